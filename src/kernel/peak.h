/* What this machine can do at most, measured: the limits that gguf-bench holds its figures against. */
#ifndef KERNEL_PEAK_H
#define KERNEL_PEAK_H

#include "base/error.h"

typedef struct {
    double read_bytes; /* a second, streaming through memory larger than any cache */
    double int8_macs;  /* int8 multiply-adds a second, on registers, with the best instructions there are */
    double f32_macs;   /* float32 multiply-adds a second */
} machine_peak;

/* With n_threads threads; takes about a second. Errors: GGUF_ERR_MEMORY. */
bool machine_measure(int n_threads, machine_peak *out, gguf_error *err);

#endif
