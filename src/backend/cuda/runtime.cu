/* The CUDA runtime behind a few functions that return false and say why. */
#include <stdio.h>
#include <stdlib.h>

#include "backend/cuda/device.cuh"

extern "C" {
#include "base/error.h"
}

struct gpu_queue {
    int device;
    cudaStream_t stream;
};

struct gpu_graph {
    cudaGraphExec_t exec;
};

cudaStream_t gpu_stream(gpu_queue *q) { return q->stream; }

bool gpu_ok(int status, const char *what, gguf_error *err) {
    if (status == cudaSuccess) return true;
    const char *text = cudaGetErrorString((cudaError_t)status);
    if (status == cudaErrorMemoryAllocation)
        return fail(err, GGUF_ERR_MEMORY, "the GPU has no memory left for %s: put fewer layers there (-ngl)", what);
    return fail(err, GGUF_ERR_RUN, "the GPU failed (%s): %s", what, text);
}

bool gpu_launched(const char *what, gguf_error *err) { return gpu_ok(cudaGetLastError(), what, err); }

int gpu_count(char *why, size_t size) {
    int n = 0;
    cudaError_t status = cudaGetDeviceCount(&n);
    if (status == cudaSuccess && n > 0) return n;
    cudaGetLastError(); /* it is said here, not by the next launch */
    snprintf(why, size, "%s", status == cudaSuccess ? "there is no device" : cudaGetErrorString(status));
    return 0;
}

bool gpu_memory(int index, size_t *free_bytes, size_t *all_bytes, char *name, size_t name_size, gguf_error *err) {
    cudaDeviceProp p;
    if (!gpu_ok(cudaSetDevice(index), "choosing it", err) ||
        !gpu_ok(cudaGetDeviceProperties(&p, index), "asking it", err))
        return false;
    snprintf(name, name_size, "%s", p.name);
    if (p.major * 10 + p.minor < 75)
        return fail(err, GGUF_ERR_USAGE, "%s is too old: compute capability 7.5 and later are used", p.name);
    return gpu_ok(cudaMemGetInfo(free_bytes, all_bytes), "its free memory", err);
}

gpu_queue *gpu_queue_open(int index, gguf_error *err) {
    gpu_queue *q = (gpu_queue *)calloc(1, sizeof *q);
    if (!q) {
        fail_memory(err, "the GPU's queue", sizeof *q);
        return NULL;
    }
    q->device = index;
    if (gpu_ok(cudaSetDevice(index), "choosing it", err) &&
        gpu_ok(cudaStreamCreateWithFlags(&q->stream, cudaStreamNonBlocking), "a stream", err))
        return q;
    free(q);
    return NULL;
}

static bool choose(const gpu_queue *q, gguf_error *err) { return gpu_ok(cudaSetDevice(q->device), "choosing it", err); }

void gpu_queue_close(gpu_queue *q) {
    if (!q) return;
    if (cudaSetDevice(q->device) == cudaSuccess) cudaStreamDestroy(q->stream);
    free(q);
}

void *gpu_alloc(gpu_queue *q, size_t bytes, const char *what, gguf_error *err) {
    void *p = NULL;
    return choose(q, err) && gpu_ok(cudaMalloc(&p, bytes ? bytes : 1), what, err) ? p : NULL;
}

void gpu_release(gpu_queue *q, void *p) {
    if (p && cudaSetDevice(q->device) == cudaSuccess) cudaFree(p);
}

bool gpu_send(gpu_queue *q, void *device, const void *host, size_t bytes, gguf_error *err) {
    return choose(q, err) &&
           gpu_ok(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, q->stream), "a copy", err);
}

bool gpu_fetch(gpu_queue *q, void *host, const void *device, size_t bytes, gguf_error *err) {
    return choose(q, err) &&
           gpu_ok(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, q->stream), "a copy", err);
}

bool gpu_zero(gpu_queue *q, void *device, size_t bytes, gguf_error *err) {
    return choose(q, err) && gpu_ok(cudaMemsetAsync(device, 0, bytes, q->stream), "clearing memory", err);
}

bool gpu_wait(gpu_queue *q, gguf_error *err) {
    return choose(q, err) && gpu_ok(cudaStreamSynchronize(q->stream), "waiting", err);
}

bool gpu_pin(gpu_queue *q, const void *host, size_t bytes) {
    if (cudaSetDevice(q->device) == cudaSuccess &&
        cudaHostRegister((void *)(uintptr_t)host, bytes, cudaHostRegisterPortable) == cudaSuccess)
        return true;
    cudaGetLastError();
    return false;
}

void gpu_unpin(gpu_queue *q, const void *host) {
    if (cudaSetDevice(q->device) == cudaSuccess) cudaHostUnregister((void *)(uintptr_t)host);
}

bool gpu_capture_begin(gpu_queue *q, gguf_error *err) {
    return choose(q, err) &&
           gpu_ok(cudaStreamBeginCapture(q->stream, cudaStreamCaptureModeThreadLocal), "capturing a graph", err);
}

gpu_graph *gpu_capture_end(gpu_queue *q, gguf_error *err) {
    cudaGraph_t graph = NULL;
    gpu_graph *g = (gpu_graph *)calloc(1, sizeof *g);
    bool ok = gpu_ok(cudaStreamEndCapture(q->stream, &graph), "capturing a graph", err);
    if (!g) fail_memory(err, "a graph", sizeof *g);
    if (ok && g) ok = gpu_ok(cudaGraphInstantiateWithFlags(&g->exec, graph, 0), "making a graph", err);
    if (graph) cudaGraphDestroy(graph);
    if (ok && g) return g;
    free(g);
    return NULL;
}

bool gpu_graph_run(gpu_queue *q, gpu_graph *g, gguf_error *err) {
    return choose(q, err) && gpu_ok(cudaGraphLaunch(g->exec, q->stream), "running a graph", err);
}

void gpu_graph_free(gpu_graph *g) {
    if (!g) return;
    cudaGraphExecDestroy(g->exec);
    free(g);
}
