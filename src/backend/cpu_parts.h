/* Inside the CPU backend: what its files share. */
#ifndef BACKEND_CPU_PARTS_H
#define BACKEND_CPU_PARTS_H

#include "backend/backend.h"
#include "base/pool.h"

/* Items of a group of operations: handed out in one order to all threads, or rows of matrices, a share for each thread,
 * which has what it reads next behind what it read before; who is done helps the others. */
typedef struct {
    _Alignas(64) atomic_size_t next;
} share;

typedef struct {
    atomic_size_t next;
    share *shares; /* [threads] */
} work;

struct backend {
    const kernels *k;
    pool *threads;
    bool (*stop)(void *ctx);
    void *stop_ctx;
    /* the region that runs */
    const op *ops;
    size_t n_ops;
    const step *step;
    work work[3];       /* items handed out, of group i in work[i % 3] */
    op_cost *costs;     /* [OP_KIND_COUNT], or NULL */
    atomic_size_t last; /* the operation to leave after, or SIZE_MAX */
    atomic_ullong bad;  /* the first operation, and its first token, whose values are not finite; or NOT_BAD */
    float *scratch;     /* [threads][ATTENTION_SCRATCH] */
    float *parts;       /* of attention that is split by chunks: [tiles][chunks][queries][attention_part_size] */
    share *shares;      /* [3][threads] */
    size_t scratch_bytes, part_bytes, share_bytes;
    atomic_uint *chunks_done; /* [MAX_SPLIT_TILES] of a tile */
};

/* Hands out items [*begin, *end) of n, up to `chunk` at a time; false when there are none left. */
static inline bool take(atomic_size_t *next, size_t n, size_t chunk, size_t *begin, size_t *end) {
    if (atomic_load_explicit(next, memory_order_relaxed) >= n) return false;
    *begin = atomic_fetch_add_explicit(next, chunk, memory_order_relaxed);
    *end = *begin + chunk < n ? *begin + chunk : n;
    return *begin < n;
}

/* A value of this token is not finite: the region ends behind o. */
void report_token(backend *b, const op *o, size_t token);
/* Hands out rows [*begin, *end) of n; false when there are none left. */
bool take_rows(const backend *b, work *w, int thread, size_t n, size_t *begin, size_t *end);

/* cpu_tokens.c: item t is one token. */
void add_position(backend *b, const op *o, size_t t);
void rms_norm(backend *b, const op *o, size_t t);
void layer_norm(backend *b, const op *o, size_t t);
void temperature(backend *b, const op *o, size_t t);
void gate(backend *b, const op *o, size_t t);
void conv_store(backend *b, const op *o, size_t t);
void convolve(backend *b, const op *o, size_t t);

/* cpu_experts.c: items are tokens, slots (see `routing`), or heads of tokens. */
void route(backend *b, const op *o, size_t t);
void group_slots(backend *b, const op *o, size_t zero);
void quantize_slot(backend *b, const op *o, size_t slot);
void matmul_experts(backend *b, const op *o, work *w, int thread);
void add_expert_vector(backend *b, const op *o, size_t slot);
void sum_experts(backend *b, const op *o, size_t t);
void quantize_head(backend *b, const op *o, size_t item);
void matmul_heads(backend *b, const op *o, work *w, int thread);
void copy_heads(backend *b, const op *o, size_t t);
/* Bytes of weights that OP_MATMUL_EXPERTS or OP_MATMUL_HEADS has read. */
uint64_t grouped_bytes(const backend *b, const op *o);

#endif
