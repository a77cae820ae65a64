/* Products on AVX-512 of the types whose codes stand for values of a table: a file of their own beside avx512.c. */
#ifndef KERNEL_AVX512_IQ_H
#define KERNEL_AVX512_IQ_H

#include "kernel/kernel.h"

matmul_fn avx512_iq1_s, avx512_iq1_m, avx512_iq2_xxs, avx512_iq2_xs, avx512_iq2_s, avx512_iq3_xxs, avx512_iq3_s;
matmul_fn avx512_iq4_nl, avx512_iq4_xs, avx512_mxfp4, avx512_tq1_0, avx512_tq2_0;

#endif
