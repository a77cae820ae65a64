#include "kernel/generic.h"

const kernels kernels_avx2 = {GENERIC_KERNELS("avx2")};
