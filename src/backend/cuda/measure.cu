/* What the device can do at most: kernels that do nothing but one thing, the median of some runs. */
#include <algorithm>

#include "backend/cuda/device.cuh"

extern "C" {
#include "base/clock.h"
}

enum { RUNS = 9, THREADS = 256, ROUNDS = 512 };

static __global__ void read_all(const uint4 *p, size_t n, uint32_t *out) {
    uint32_t x = 0;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) {
        uint4 v = p[i];
        x ^= v.x ^ v.y ^ v.z ^ v.w;
    }
    if (x == 12345) *out = x; /* the sum must be wanted */
}

static __global__ void multiply_int8(uint32_t rounds, int *out) {
    int c[8][4] = {{0}}, a[4] = {(int)threadIdx.x, 1, 2, 3}, b[2] = {4, 5};
    for (uint32_t r = 0; r < rounds; r++) {
#pragma unroll
        for (int i = 0; i < 8; i++) mma_k32(c[i], a, b);
    }
    int sum = 0;
    for (int i = 0; i < 8; i++) sum += c[i][0] + c[i][1] + c[i][2] + c[i][3];
    if (sum == 12345) *out = sum;
}

static __global__ void multiply_f32(uint32_t rounds, float *out) {
    float x[8];
    for (int i = 0; i < 8; i++) x[i] = (float)(threadIdx.x + i);
    for (uint32_t r = 0; r < rounds; r++) {
#pragma unroll
        for (int i = 0; i < 8; i++) x[i] = fmaf(x[i], 0.5f, 1.0f);
    }
    float sum = 0;
    for (int i = 0; i < 8; i++) sum += x[i];
    if (sum == 12345) *out = sum;
}

/* Amounts a second of launch(), each of which does `amount`. */
template <typename CALL> static bool median_rate(gpu_queue *q, double amount, double *rate, gguf_error *err, CALL launch) {
    double rates[RUNS];
    for (int i = -1; i < RUNS; i++) { /* the first one warms up */
        if (!gpu_wait(q, err)) return false;
        double begin = clock_seconds();
        launch();
        if (!gpu_launched("measuring", err) || !gpu_wait(q, err)) return false;
        if (i >= 0) rates[i] = amount / (clock_seconds() - begin);
    }
    std::sort(rates, rates + RUNS);
    *rate = rates[RUNS / 2];
    return true;
}

bool gpu_measure(gpu_queue *q, size_t bytes, uint32_t blocks, double *read_bytes, double *int8_macs, double *f32_macs,
                 gguf_error *err) {
    uint8_t *p = (uint8_t *)gpu_alloc(q, bytes, "measuring", err);
    if (!p) return false;
    double threads = (double)blocks * THREADS, macs = threads / 32 * ROUNDS * 8 * 16 * 8 * 32;
    bool ok = gpu_zero(q, p, bytes, err) && median_rate(q, (double)bytes, read_bytes, err, [&] {
                  LAUNCH(read_all, dim3(blocks), THREADS, gpu_stream(q), (const uint4 *)(const void *)p, bytes / 16, (uint32_t *)(void *)p);
              }) &&
              median_rate(q, macs, int8_macs, err, [&] {
                  LAUNCH(multiply_int8, dim3(blocks), THREADS, gpu_stream(q), (uint32_t)ROUNDS, (int *)(void *)p);
              }) &&
              median_rate(q, threads * ROUNDS * 8, f32_macs, err, [&] {
                  LAUNCH(multiply_f32, dim3(blocks), THREADS, gpu_stream(q), (uint32_t)ROUNDS, (float *)(void *)p);
              });
    gpu_release(q, p);
    return ok;
}
