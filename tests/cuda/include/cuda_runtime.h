/*
 * A device of the tests' own: what the CUDA backend's sources need of the CUDA runtime and of its C++, so that they
 * compile with any C++ compiler and run on a processor (emulator.cc). Threads of a block are fibers that meet where
 * CUDA has them meet; blocks come one after another, both in a shuffled order. It is strict where a real device is
 * silent: device memory is unreachable for the host and every array ends at a page that nobody may touch, kernels may
 * not be given pointers of the host, a barrier that some threads never reach ends the program, and everything that a
 * stream is told to do waits until somebody waits for the stream.
 */
#ifndef TESTS_CUDA_RUNTIME_H
#define TESTS_CUDA_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#include <functional>
#include <tuple>

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __launch_bounds__(...)

/* ---- the C++ of kernels -------------------------------------------------------------------------- */

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

struct alignas(16) uint4 {
    unsigned x, y, z, w;
};

struct alignas(8) float2 {
    float x, y;
};

static inline float2 make_float2(float x, float y) { return {x, y}; }

extern dim3 threadIdx, blockIdx, blockDim, gridDim;

void __syncthreads();
void __syncwarp();

/* Every lane of the warp puts n bytes down and, when all have, may read what the others put there. */
const void *emulated_exchange(const void *mine, size_t n);
enum { EMULATED_SLOT = 32 };

template <class T> static inline T __shfl_xor_sync(unsigned mask, T value, int lanes) {
    (void)mask;
    T other;
    const char *all = (const char *)emulated_exchange(&value, sizeof value);
    __builtin_memcpy(&other, all + ((threadIdx.x % 32) ^ (unsigned)lanes) * EMULATED_SLOT, sizeof other);
    return other;
}

static inline int __dp4a(int a, int b, int c) {
    for (int i = 0; i < 4; i++) c += (int8_t)(a >> (8 * i)) * (int8_t)(b >> (8 * i));
    return c;
}

template <class T> static inline T max(T a, T b) { return a > b ? a : b; }

static inline unsigned long long atomicMin(unsigned long long *at, unsigned long long value) {
    unsigned long long old = *at;
    if (value < old) *at = value;
    return old;
}

float half_float(uint16_t h);
/* Fragments as the PTX manual has them for mma.m16n8k16 and m16n8k32 of s8. */
void mma_k16(int c[4], const int a[2], int b);
void mma_k32(int c[4], const int a[4], const int b[2]);

/* ---- the runtime --------------------------------------------------------------------------------- */

typedef enum {
    cudaSuccess = 0,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInsufficientDriver = 35,
    cudaErrorNoDevice = 100,
    cudaErrorInvalidValue = 1
} cudaError_t;

typedef struct emulated_stream *cudaStream_t;
typedef struct emulated_graph *cudaGraph_t, *cudaGraphExec_t;
enum cudaMemcpyKind { cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost };
enum { cudaStreamNonBlocking = 1 };
enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal };

struct cudaDeviceProp {
    char name[256];
    int major, minor;
};

enum cudaDeviceAttr { cudaDevAttrMultiProcessorCount };

const char *cudaGetErrorString(cudaError_t e);
cudaError_t cudaGetLastError(void);
cudaError_t cudaGetDeviceCount(int *n);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int device);
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device);
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *all);
cudaError_t cudaMalloc(void **p, size_t bytes);
cudaError_t cudaFree(void *p);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t s);
cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t s);
enum { cudaHostRegisterPortable = 1 };
cudaError_t cudaHostRegister(void *p, size_t bytes, unsigned flags); /* at most once */
cudaError_t cudaHostUnregister(void *p);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t s);
cudaError_t cudaStreamSynchronize(cudaStream_t s);
cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *g);
cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *exec, cudaGraph_t g, unsigned long long flags);
cudaError_t cudaGraphLaunch(cudaGraphExec_t g, cudaStream_t s);
cudaError_t cudaGraphDestroy(cudaGraph_t g);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t g);

/* ---- launches ------------------------------------------------------------------------------------ */

/* Ends the program where a word of an argument points into the host's memory. */
void emulated_check_argument(const void *at, size_t bytes, cudaStream_t s);
void emulated_enqueue(cudaStream_t s, dim3 grid, dim3 block, std::function<void()> thread);

template <class... P, class... A>
static inline void emulated_launch(void (*kernel)(P...), dim3 grid, dim3 block, cudaStream_t s, A... a) {
    std::tuple<P...> arguments(a...);
    std::apply([&](const P &...p) { (emulated_check_argument(&p, sizeof p, s), ...); }, arguments);
    emulated_enqueue(s, grid, block, [=] { std::apply(kernel, arguments); });
}

#define LAUNCH(kernel, grid, block, stream, ...) emulated_launch(kernel, grid, block, stream, __VA_ARGS__)

#endif
