/*
 * What device code stands on: the project's own functions for the device, and the few instructions that have no C. The
 * tests compile the same sources with g++ and a cuda_runtime.h of their own (tests/cuda), which has all of this in C++;
 * __CUDACC__ is nvcc's.
 */
#ifndef BACKEND_CUDA_DEVICE_CUH
#define BACKEND_CUDA_DEVICE_CUH

#include <cuda_runtime.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* exp, tanh, log, sin ... are the CPU's own functions, and so are their bits: nothing is contracted (-fmad=false), and
 * division and square root are correctly rounded. */
#define inline __host__ __device__ inline
#include "kernel/fmath.h"
#undef inline

#include "backend/cuda/program.h"

#define DEVICE     static __device__ inline
#define EVERY_LANE 0xFFFFFFFFu

#ifdef __CUDACC__
#define LAUNCH(kernel, grid, block, stream, ...) kernel<<<grid, block, 0, stream>>>(__VA_ARGS__)

DEVICE float half_float(uint16_t h) {
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(h));
    return f;
}

/*
 * Products of int8 on tensor cores: c += a b, with a of 16 rows, b of 8 columns. In thread l of a warp (g = l / 4,
 * t = l mod 4) stand, four int8 in a register: a[0], a[1] of rows g and g + 8, columns 4 t and on; a[2], a[3] the same,
 * 16 columns on; b[0], b[1] likewise of column g; and c[0..1] of row g, c[2..3] of row g + 8, columns 2 t and 2 t + 1
 * (PTX ISA, "Matrix Fragments for mma.m16n8k32"). Turing has the quarter of it.
 */
DEVICE void mma_k16(int c[4], const int a[2], int b) {
#if __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(b));
#else
    asm("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};"
        : "+r"(c[0]), "+r"(c[1])
        : "r"(a[0]), "r"(b));
    asm("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0, %1}, {%2}, {%3}, {%0, %1};"
        : "+r"(c[2]), "+r"(c[3])
        : "r"(a[1]), "r"(b));
#endif
}

DEVICE void mma_k32(int c[4], const int a[4], const int b[2]) {
#if __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    mma_k16(c, a, b[0]);
    mma_k16(c, a + 2, b[1]);
#endif
}
#endif

/* The tree over 16 lanes, upper half onto lower; every lane of the half warp gets the sum. */
DEVICE float sum_16(float x) {
    for (int half = LANES / 2; half > 0; half /= 2) x += __shfl_xor_sync(EVERY_LANE, x, half);
    return x;
}

/* The stream that is behind a queue, and the outcome of a launch into it. */
cudaStream_t gpu_stream(gpu_queue *q);
bool gpu_launched(const char *what, gguf_error *err);

#endif
