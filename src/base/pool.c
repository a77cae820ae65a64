#include "base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>

#include "base/clock.h"

/* How long to spin before sleeping: longer than the gap between two operations of a token and shorter than what anyone
 * would notice as load. The clock is asked every so many looks, since a pause lasts 3 to 50 ns. */
static const double spin_seconds = 40e-6;
enum { LOOKS = 64 };

/* Kernels keep panels of weights on the stack, and some systems give a thread as little as 128 KiB. */
enum { STACK = 1 << 20 };

/* Threads wait for `epoch` to move: first spinning, then asleep on the condition variable. */
typedef struct {
    atomic_uint epoch;
    atomic_int sleepers;
    pthread_mutex_t lock;
    pthread_cond_t moved;
} gate;

typedef struct {
    pool *pool;
    int index;
    pthread_t thread;
} worker;

struct pool {
    int n;
    worker *workers; /* [n]; the first is the caller */
    gate start, meet;
    atomic_int arrived;
    void (*fn)(void *ctx, int thread);
    void *ctx;
    bool quit;
};

static void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#else
    sched_yield();
#endif
}

static void gate_init(gate *g) {
    atomic_init(&g->epoch, 0);
    atomic_init(&g->sleepers, 0);
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->moved, NULL);
}

static void gate_destroy(gate *g) {
    pthread_mutex_destroy(&g->lock);
    pthread_cond_destroy(&g->moved);
}

static void gate_open(gate *g) {
    /* Sequentially consistent, as are the sleeper's count and its second look at the epoch: either the
     * sleeper sees the new epoch, or we see the sleeper. */
    atomic_fetch_add(&g->epoch, 1);
    if (atomic_load(&g->sleepers) > 0) {
        pthread_mutex_lock(&g->lock);
        pthread_cond_broadcast(&g->moved);
        pthread_mutex_unlock(&g->lock);
    }
}

static void gate_wait(gate *g, unsigned seen) {
    double end = 0, now = 0;
    while (now <= end) {
        for (int i = 0; i < LOOKS; i++) {
            if (atomic_load_explicit(&g->epoch, memory_order_acquire) != seen) return;
            relax();
        }
        now = clock_seconds();
        if (end == 0) end = now + spin_seconds;
    }
    pthread_mutex_lock(&g->lock);
    atomic_fetch_add(&g->sleepers, 1);
    while (atomic_load(&g->epoch) == seen) pthread_cond_wait(&g->moved, &g->lock);
    atomic_fetch_sub(&g->sleepers, 1);
    pthread_mutex_unlock(&g->lock);
}

void pool_barrier(pool *p) {
    if (p->n == 1) return;
    unsigned seen = atomic_load(&p->meet.epoch);
    if (atomic_fetch_add(&p->arrived, 1) == p->n - 1) {
        atomic_store(&p->arrived, 0);
        gate_open(&p->meet);
    } else {
        gate_wait(&p->meet, seen);
    }
}

static void *work(void *arg) {
    worker *w = arg;
    pool *p = w->pool;
    for (unsigned seen = 0;; seen++) {
        gate_wait(&p->start, seen);
        if (p->quit) return NULL;
        p->fn(p->ctx, w->index);
        pool_barrier(p);
    }
}

pool *pool_new(int n, gguf_warn_fn *warn, void *warn_ctx, gguf_error *err) {
    if (n < 1) n = 1;
    pool *p = calloc(1, sizeof *p);
    worker *workers = calloc((size_t)n, sizeof *workers);
    if (!p || !workers) {
        free(p);
        free(workers);
        fail_memory(err, "the thread pool", (unsigned long long)n * sizeof *workers);
        return NULL;
    }
    p->workers = workers;
    gate_init(&p->start);
    gate_init(&p->meet);
    /* Signals are the main thread's: a worker that took one would run its handler in the middle of a product. */
    sigset_t all, before;
    sigfillset(&all);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGSEGV);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK);
    int started = 1;
    for (; started < n; started++) {
        workers[started] = (worker){.pool = p, .index = started};
        if (pthread_create(&workers[started].thread, &attr, work, &workers[started]) != 0) break;
    }
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (started < n) warnf(warn, warn_ctx, "only %d of %d threads could be started; going on with these", started, n);
    p->n = started; /* before the first region: the workers read it only in regions */
    return p;
}

void pool_free(pool *p) {
    if (!p) return;
    p->quit = true;
    gate_open(&p->start);
    for (int i = 1; i < p->n; i++) pthread_join(p->workers[i].thread, NULL);
    gate_destroy(&p->start);
    gate_destroy(&p->meet);
    free(p->workers);
    free(p);
}

int pool_size(const pool *p) { return p->n; }

void pool_run(pool *p, void (*fn)(void *ctx, int thread), void *ctx) {
    p->fn = fn;
    p->ctx = ctx;
    gate_open(&p->start);
    fn(ctx, 0);
    pool_barrier(p);
}
