/*
 * A pool of threads for parallel regions: every thread runs the same function, meets the others at barriers,
 * and takes work from shared counters, so that a thread that the system preempts does not hold up the rest.
 */
#ifndef BASE_POOL_H
#define BASE_POOL_H

#include <stdatomic.h>

#include "base/error.h"

typedef struct pool pool;

/* A pool of n threads, the caller's included. Where not all can be started there are fewer, with a warning.
 * NULL: GGUF_ERR_MEMORY. */
pool *pool_new(int n, gguf_warn_fn *warn, void *warn_ctx, gguf_error *err);
void pool_free(pool *p);
int pool_size(const pool *p);

/* Runs fn(ctx, thread) on every thread, the caller as thread 0, and returns when all have returned. */
void pool_run(pool *p, void (*fn)(void *ctx, int thread), void *ctx);
/* Inside a region: waits until every thread is here. Writes before it are seen by all after it. */
void pool_barrier(pool *p);

#endif
