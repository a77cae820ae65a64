/* The tests' device: see include/cuda_runtime.h. GGUF_EMULATED_GPUS and GGUF_EMULATED_MIB say how many devices there
 * are, and their memory. */
#include <cuda_runtime.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <vector>

#include "base/bits.h"

#if !defined(__x86_64__)
#include <ucontext.h>
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) /* it is told of every stack */
#include <sanitizer/common_interface_defs.h>
#endif

static void die(const char *what) {
    fprintf(stderr, "emulated device: %s\n", what);
    abort();
}

/* ---- fibers -------------------------------------------------------------------------------------- */

enum { MAX_THREADS = 1024, STACK = 256 << 10 };

#if defined(__x86_64__)
/* Saves the registers that a call keeps, on the stack that is left, and takes those of the other. */
extern "C" void switch_stack(void **save, void *to);
__asm__(".text\n.type switch_stack, @function\nswitch_stack:\n"
        "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
        "mov %rsp, (%rdi)\nmov %rsi, %rsp\n"
        "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n.size switch_stack, .-switch_stack\n");
typedef void *context;
#else
typedef ucontext_t context;
#endif

enum fiber_state { READY, AT_BLOCK, AT_WARP, DONE };

struct fiber {
    context own;
    char *stack;
    void *fake_stack;
    fiber_state state;
    unsigned exchanges;
};

static fiber fibers[MAX_THREADS];
static context scheduler;
static unsigned current;
static const std::function<void()> *body;
static char slots[MAX_THREADS / 32][2][32 * EMULATED_SLOT];

dim3 threadIdx, blockIdx, blockDim, gridDim;

static void leave(fiber_state why) {
    fiber *f = &fibers[current];
    f->state = why;
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(why == DONE ? NULL : &f->fake_stack, NULL, 0);
#endif
#if defined(__x86_64__)
    switch_stack(&f->own, scheduler);
#else
    swapcontext(&f->own, &scheduler);
#endif
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(f->fake_stack, NULL, NULL);
#endif
}

static void run_fiber(void) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(NULL, NULL, NULL);
#endif
    (*body)();
    leave(DONE);
    die("a thread went on behind its end");
}

static void prepare(fiber *f) {
    if (!f->stack) {
        f->stack =
            (char *)mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (f->stack == MAP_FAILED) die("no memory for stacks");
    }
    f->state = READY;
    f->exchanges = 0;
    f->fake_stack = NULL;
#if defined(__x86_64__)
    void **top = (void **)(void *)(f->stack + STACK) - 2; /* a call's return address stands 8 off a multiple of 16 */
    *top = (void *)(uintptr_t)&run_fiber;
    for (int i = 0; i < 6; i++) *--top = NULL;
    f->own = top;
#else
    getcontext(&f->own);
    f->own.uc_stack.ss_sp = f->stack;
    f->own.uc_stack.ss_size = STACK;
    makecontext(&f->own, run_fiber, 0);
#endif
}

static void enter(unsigned i) {
    fiber *f = &fibers[i];
    current = i;
    threadIdx = dim3(i);
#if defined(__SANITIZE_ADDRESS__)
    void *fake = NULL;
    __sanitizer_start_switch_fiber(&fake, f->stack, STACK);
#endif
#if defined(__x86_64__)
    switch_stack(&scheduler, f->own);
#else
    swapcontext(&scheduler, &f->own);
#endif
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake, NULL, NULL);
#endif
}

/* ---- a block's threads --------------------------------------------------------------------------- */

static uint32_t random_state = 1;

static uint32_t random_below(uint32_t n) {
    random_state = random_state * 1664525 + 1013904223;
    return (uint32_t)(((uint64_t)random_state * n) >> 32);
}

static void shuffle(std::vector<unsigned> *v) {
    for (size_t i = v->size(); i > 1; i--) std::swap((*v)[i - 1], (*v)[random_below((uint32_t)i)]);
}

void __syncthreads() { leave(AT_BLOCK); }
void __syncwarp() { leave(AT_WARP); }

const void *emulated_exchange(const void *mine, size_t n) {
    if (n > EMULATED_SLOT) die("too much to exchange");
    char *all = slots[current / 32][fibers[current].exchanges++ % 2];
    memcpy(all + current % 32 * EMULATED_SLOT, mine, n);
    leave(AT_WARP);
    return all;
}

/* Whether all of [begin, end) wait there: they go on. */
static bool release(unsigned begin, unsigned end, fiber_state where) {
    for (unsigned i = begin; i < end; i++) {
        if (fibers[i].state != where) return false;
    }
    for (unsigned i = begin; i < end; i++) fibers[i].state = READY;
    return true;
}

static void run_block(unsigned n) {
    std::vector<unsigned> warps(n / 32);
    for (unsigned i = 0; i < n; i++) prepare(&fibers[i]);
    for (unsigned i = 0; i < n / 32; i++) warps[i] = i;
    for (;;) {
        shuffle(&warps);
        for (unsigned w : warps) { /* a warp goes on until all of it waits for the block, or has ended */
            do {
                unsigned turn = random_below(32);
                for (unsigned k = 0; k < 32; k++) {
                    unsigned i = 32 * w + (k + turn) % 32;
                    if (fibers[i].state == READY) enter(i);
                }
            } while (release(32 * w, 32 * w + 32, AT_WARP));
        }
        if (release(0, n, AT_BLOCK)) continue;
        for (unsigned i = 0; i < n; i++) {
            if (fibers[i].state != DONE) die("threads wait for others that do not come");
        }
        return;
    }
}

static void run_grid(dim3 grid, dim3 block, const std::function<void()> &thread) {
    if (block.x % 32 || block.x > MAX_THREADS || block.y != 1 || block.z != 1) die("a block of so many threads");
    if (!grid.x || !grid.y || !grid.z || grid.y > 65535 || grid.z > 65535) die("a grid of such a size");
    std::vector<unsigned> blocks(grid.x * grid.y * grid.z);
    for (unsigned i = 0; i < blocks.size(); i++) blocks[i] = i;
    shuffle(&blocks);
    body = &thread;
    blockDim = block;
    gridDim = grid;
    for (unsigned i : blocks) {
        blockIdx = dim3(i % grid.x, i / grid.x % grid.y, i / grid.x / grid.y);
        run_block(block.x);
    }
}

/* ---- tensor cores -------------------------------------------------------------------------------- */

struct fragments {
    int a[4], b[2];
};

static int at(const fragments *f, bool of_a, int row, int k) {
    int lane = row % 8 * 4 + k % 16 / 4, word;
    if (of_a) {
        word = f[lane].a[row / 8 + 2 * (k / 16)];
    } else {
        word = f[lane].b[k / 16];
    }
    return (int8_t)(word >> (8 * (k % 4)));
}

static void multiply(int c[4], const fragments &mine, int columns) {
    const char *all = (const char *)emulated_exchange(&mine, sizeof mine);
    fragments f[32];
    for (int i = 0; i < 32; i++) memcpy(&f[i], all + i * EMULATED_SLOT, sizeof f[i]);
    int g = (int)threadIdx.x % 32 / 4, t = (int)threadIdx.x % 4;
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < columns; k++) c[i] += at(f, true, g + 8 * (i / 2), k) * at(f, false, 2 * t + i % 2, k);
    }
}

void mma_k16(int c[4], const int a[2], int b) { multiply(c, {{a[0], a[1], 0, 0}, {b, 0}}, 16); }
void mma_k32(int c[4], const int a[4], const int b[2]) { multiply(c, {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}}, 32); }

float half_float(uint16_t h) { return f16_to_f32(h); }

/* ---- memory -------------------------------------------------------------------------------------- */

struct block_of_memory {
    char *pages; /* `mapped` bytes and a guard */
    size_t mapped, bytes;
    int device;
};

static std::map<char *, block_of_memory> memory; /* by where the bytes begin */
static int device_now;
static size_t in_use[64];
static cudaError_t last_error = cudaSuccess;

static long number_of(const char *name, long otherwise) {
    const char *v = getenv(name);
    return v && *v ? atol(v) : otherwise;
}

static size_t device_bytes() { return (size_t)number_of("GGUF_EMULATED_MIB", 2048) << 20; }

static cudaError_t outcome(cudaError_t e) {
    if (e != cudaSuccess) last_error = e;
    return e;
}

cudaError_t cudaMalloc(void **p, size_t bytes) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), used = (bytes + 15) / 16 * 16,
           mapped = (used + page - 1) / page * page;
    if (in_use[device_now] + bytes > device_bytes()) return outcome(cudaErrorMemoryAllocation);
    char *pages = (char *)mmap(NULL, mapped + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED) return outcome(cudaErrorMemoryAllocation);
    char *begin = pages + mapped - used;
    mprotect(pages, mapped, PROT_READ | PROT_WRITE);
    memset(begin, 0xFF, used); /* NaN, as a float */
    mprotect(pages, mapped, PROT_NONE);
    memory[begin] = {pages, mapped, bytes, device_now};
    in_use[device_now] += bytes;
    *p = begin;
    return cudaSuccess;
}

cudaError_t cudaFree(void *p) {
    auto m = memory.find((char *)p);
    if (m == memory.end()) die("what is freed was not allocated");
    if (m->second.device != device_now) die("memory is freed on another device");
    munmap(m->second.pages, m->second.mapped + (size_t)sysconf(_SC_PAGESIZE));
    in_use[m->second.device] -= m->second.bytes;
    memory.erase(m);
    return cudaSuccess;
}

/* The block that holds [at, at + n), or NULL. */
static const block_of_memory *find_block(const void *at, size_t n) {
    auto m = memory.upper_bound((char *)(uintptr_t)at);
    if (m == memory.begin()) return NULL;
    --m;
    return (const char *)at + n <= m->first + m->second.bytes ? &m->second : NULL;
}

static void reach(int protection) {
    for (auto &m : memory) mprotect(m.second.pages, m.second.mapped, protection);
}

void emulated_check_argument(const void *at, size_t bytes, cudaStream_t s);

/* ---- streams ------------------------------------------------------------------------------------- */

typedef std::vector<std::function<void()>> work_list;

struct emulated_graph {
    work_list work;
};

struct emulated_stream {
    int device;
    work_list work;
    bool capturing;
    work_list captured;
};

static void add(cudaStream_t s, std::function<void()> f) { (s->capturing ? s->captured : s->work).push_back(f); }

void emulated_check_argument(const void *at, size_t bytes, cudaStream_t s) {
    for (size_t i = 0; i + 8 <= bytes && (uintptr_t)at % 8 == 0; i += 8) {
        uintptr_t word;
        memcpy(&word, (const char *)at + i, 8);
        if (word < (uintptr_t)1 << 45 || word >= (uintptr_t)1 << 48) continue; /* no place of a program's memory */
        const block_of_memory *b = find_block((void *)word, 0);
        if (b && b->device != s->device) die("a kernel is given a pointer of another device");
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        if (!b && msync((void *)(word / page * page), page, MS_ASYNC) == 0) {
            fprintf(stderr, "word %zu of an argument of %zu bytes is %#zx\n", i / 8, bytes, (size_t)word);
            die("a kernel is given a pointer of the host");
        }
    }
}

void emulated_enqueue(cudaStream_t s, dim3 grid, dim3 block, std::function<void()> thread) {
    if (s->device != device_now) die("a launch while another device is chosen");
    add(s, [=] { run_grid(grid, block, thread); });
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t s) {
    const void *device = kind == cudaMemcpyHostToDevice ? to : from, *host = kind == cudaMemcpyHostToDevice ? from : to;
    const block_of_memory *b = find_block(device, bytes);
    if (!b || b->device != s->device || find_block(host, 0)) die("a copy that is not between the host and the device");
    add(s, [=] { memcpy(to, from, bytes); });
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t s) {
    if (!find_block(to, bytes)) die("memory is cleared that was not allocated");
    add(s, [=] { memset(to, value, bytes); });
    return cudaSuccess;
}

static std::map<void *, size_t> pinned;

cudaError_t cudaHostRegister(void *p, size_t bytes, unsigned) {
    return outcome(pinned.insert({p, bytes}).second ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t cudaHostUnregister(void *p) {
    if (pinned.erase(p) == 0) die("pages are let go that were not held");
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned) {
    *s = new emulated_stream{device_now, {}, false, {}};
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t s) {
    delete s;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t s) {
    if (s->capturing) die("waiting for a stream that is captured");
    reach(PROT_READ | PROT_WRITE);
    for (auto &f : s->work) f();
    reach(PROT_NONE);
    s->work.clear();
    return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode) {
    s->capturing = true;
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *g) {
    *g = new emulated_graph{s->captured};
    s->captured.clear();
    s->capturing = false;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *exec, cudaGraph_t g, unsigned long long) {
    *exec = new emulated_graph(*g);
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t g, cudaStream_t s) {
    for (auto &f : g->work) add(s, f);
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t g) {
    delete g;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t g) {
    delete g;
    return cudaSuccess;
}

/* ---- devices ------------------------------------------------------------------------------------- */

const char *cudaGetErrorString(cudaError_t e) {
    switch (e) {
    case cudaSuccess: return "no error";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInsufficientDriver: return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    default: return "invalid argument";
    }
}

cudaError_t cudaGetLastError(void) {
    cudaError_t e = last_error;
    last_error = cudaSuccess;
    return e;
}

cudaError_t cudaGetDeviceCount(int *n) {
    *n = (int)number_of("GGUF_EMULATED_GPUS", 1);
    return outcome(*n > 0 ? cudaSuccess : cudaErrorNoDevice);
}

cudaError_t cudaSetDevice(int device) {
    device_now = device;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int device) {
    snprintf(p->name, sizeof p->name, "emulated %d", device);
    p->major = 9;
    p->minor = 0;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr, int) {
    *value = 1;
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *all) {
    *all = device_bytes();
    *free_bytes = *all - in_use[device_now];
    return cudaSuccess;
}
