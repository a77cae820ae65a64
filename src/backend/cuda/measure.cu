/* What the device can do at most: kernels that do nothing but one thing, the median of some runs. */
#include <algorithm>

#include "backend/cuda/device.cuh"

extern "C" {
#include "base/clock.h"
}

enum { RUNS = 9, THREADS = 256, BLOCKS_EACH = 32, CHAINS = 8, MIN_BYTES = 1 << 24, MAX_ROUNDS = 1 << 20 };

static const double long_enough = 5e-3; /* seconds of a run, that starting it counts for nothing */

static __global__ void read_all(const uint4 *p, size_t n, uint32_t *out) {
    uint32_t x = 0;
    for (size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (size_t)gridDim.x * blockDim.x) {
        uint4 v = p[i];
        x ^= v.x ^ v.y ^ v.z ^ v.w;
    }
    if (x == 12345) *out = x; /* the sum must be wanted */
}

static __global__ void multiply_int8(size_t rounds, int *out) {
    int c[CHAINS][4] = {{0}}, a[4] = {(int)threadIdx.x, 1, 2, 3}, b[2] = {4, 5};
    for (size_t r = 0; r < rounds; r++) {
#pragma unroll
        for (int i = 0; i < CHAINS; i++) mma_k32(c[i], a, b);
    }
    int sum = 0;
    for (int i = 0; i < CHAINS; i++) sum += c[i][0] + c[i][1] + c[i][2] + c[i][3];
    if (sum == 12345) *out = sum;
}

static __global__ void multiply_f32(size_t rounds, float *out) {
    float x[CHAINS];
    for (int i = 0; i < CHAINS; i++) x[i] = (float)(threadIdx.x + i);
    for (size_t r = 0; r < rounds; r++) {
#pragma unroll
        for (int i = 0; i < CHAINS; i++) x[i] = fmaf(x[i], 0.5f, 1.0f);
    }
    float sum = 0;
    for (int i = 0; i < CHAINS; i++) sum += x[i];
    if (sum == 12345) *out = sum;
}

/* A second's worth of launch(n), with n doubled up to `most` until a run is long enough. */
template <typename CALL>
static bool median_rate(gpu_queue *q, size_t n, size_t most, double *rate, gguf_error *err, CALL launch) {
    double rates[RUNS];
    for (int i = -1; i < RUNS;) { /* the run before the first one warms up */
        if (!gpu_wait(q, err)) return false;
        double begin = clock_seconds();
        launch(n);
        if (!gpu_launched("measuring", err) || !gpu_wait(q, err)) return false;
        double seconds = clock_seconds() - begin;
        if (seconds < long_enough && n < most) {
            n *= 2;
            i = -1;
            continue;
        }
        if (i >= 0) rates[i] = (double)n / seconds;
        i++;
    }
    std::sort(rates, rates + RUNS);
    *rate = rates[RUNS / 2];
    return true;
}

bool gpu_measure(gpu_queue *q, int index, size_t bytes, double *read_bytes, double *int8_macs, double *f32_macs,
                 gguf_error *err) {
    int units = 1;
    uint8_t *p = (uint8_t *)gpu_alloc(q, bytes, "measuring", err);
    bool ok = p && gpu_zero(q, p, bytes, err) &&
              gpu_ok(cudaDeviceGetAttribute(&units, cudaDevAttrMultiProcessorCount, index), "asking it", err);
    dim3 grid((unsigned)(units * BLOCKS_EACH));
    double threads = (double)grid.x * THREADS, tile = 16 * 8 * 32 / 32; /* multiply-adds of a thread's share of mma */
    ok = ok &&
         median_rate(q, MIN_BYTES, bytes, read_bytes, err,
                     [&](size_t n) {
                         LAUNCH(read_all, grid, THREADS, gpu_stream(q), (const uint4 *)(const void *)p, n / 16,
                                (uint32_t *)(void *)p);
                     }) &&
         median_rate(q, 1, MAX_ROUNDS, int8_macs, err,
                     [&](size_t n) { LAUNCH(multiply_int8, grid, THREADS, gpu_stream(q), n, (int *)(void *)p); }) &&
         median_rate(q, 1, MAX_ROUNDS, f32_macs, err,
                     [&](size_t n) { LAUNCH(multiply_f32, grid, THREADS, gpu_stream(q), n, (float *)(void *)p); });
    *int8_macs *= threads * CHAINS * tile;
    *f32_macs *= threads * CHAINS;
    gpu_release(q, p);
    return ok;
}
