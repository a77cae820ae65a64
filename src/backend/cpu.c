/*
 * The CPU backend. One parallel region a list: every thread walks the operations, takes items (rows, tokens, heads)
 * from a shared counter, and meets the others behind each operation. Items never share a sum, so that the number of
 * threads changes no bit.
 */
#include <stdio.h>
#include <stdlib.h>

#include "backend/backend.h"
#include "base/clock.h"
#include "base/pool.h"
#include "kernel/fmath.h"

/* Rows of a matrix, and values of a vector, that a thread takes at once. */
enum { MIN_ROWS = 16, MAX_ROWS = 256, PIECE = 2048 };

struct backend {
    const kernels *k;
    pool *threads;
    bool (*stop)(void *ctx);
    void *stop_ctx;
    /* the region that runs */
    const op *ops;
    size_t n_ops;
    const step *step;
    atomic_size_t next[3]; /* items handed out, of operation i in next[i % 3] */
    op_cost *costs;        /* [OP_KIND_COUNT], or NULL */
    atomic_size_t last;    /* the operation to leave after, or SIZE_MAX */
    atomic_uint bad_token; /* the first token of that operation whose values are not finite, or UINT32_MAX */
};

/* Hands out items [*begin, *end) of n, up to `chunk` at a time; false when there are none left. */
static bool take(atomic_size_t *next, size_t n, size_t chunk, size_t *begin, size_t *end) {
    if (atomic_load_explicit(next, memory_order_relaxed) >= n) return false;
    *begin = atomic_fetch_add_explicit(next, chunk, memory_order_relaxed);
    *end = *begin + chunk < n ? *begin + chunk : n;
    return *begin < n;
}

static void report_token(backend *b, const op *o, size_t token) {
    unsigned seen = atomic_load(&b->bad_token), mine = (unsigned)token;
    while (mine < seen && !atomic_compare_exchange_weak(&b->bad_token, &seen, mine)) {}
    atomic_store(&b->last, (size_t)(o - b->ops));
}

/* ---- operations by token: item t is one token ------------------------------------------------ */

static void embed(backend *b, const op *o, size_t t) {
    const matrix *m = o->result[0].matrix;
    quant_decode(m->type, m->data + (size_t)b->step->ids[t] * m->row_bytes, m->n_in, o->out + t * o->n);
}

static void select_row(backend *b, const op *o, size_t t) {
    memcpy(o->out + t * o->n, o->in + (b->step->first_row + t) * o->n, o->n * sizeof *o->out);
}

static void rope_angles(backend *b, const op *o, size_t t) {
    const rope_table *r = o->rope;
    size_t half = r->n_rot / 2;
    for (size_t i = 0; i < half; i++) {
        double s, c;
        sincos_f64((double)(b->step->position + t) * r->inverse_frequency[i], &s, &c);
        r->sin[t * half + i] = (float)s;
        r->cos[t * half + i] = (float)c;
    }
}

static void rms_norm(backend *b, const op *o, size_t t) {
    b->k->rms_norm(o->in + t * o->n, o->vector, o->n, o->eps, o->out + t * o->n);
}

static void quantize(backend *b, const op *o, size_t t) {
    const act_buffer *a = o->act;
    const float *x = o->in + t * o->n;
    bool ok = a->block == 1 ? b->k->all_finite(x, o->n)
                            : b->k->quantize(x, o->n, a->block, b->step->n_tok, a->q + t * a->block, a->scale + t,
                                             a->sum + t * (a->block / ACTIVATION_SUB));
    if (!ok) report_token(b, o, t);
}

static void add_vector(backend *b, const op *o, size_t t) {
    b->k->add(o->out + t * o->n, o->vector, o->n, o->out + t * o->n);
}

static void rope(backend *b, const op *o, size_t t) {
    const rope_table *r = o->rope;
    size_t half = r->n_rot / 2;
    b->k->rope_pairs(o->out + t * o->n, o->n_head, o->n / o->n_head, r->n_rot, r->cos + t * half, r->sin + t * half);
}

static void store_heads(const kernels *k, const float *x, uint8_t *cache, quant_type type, size_t n,
                        const cache_layer *c, size_t position) {
    size_t row_bytes = quant_row_bytes(type, n);
    for (size_t h = 0; h < c->n_head_kv; h++, x += n)
        k->store(type, x, n, cache + (h * c->n_ctx + position) * row_bytes);
}

static void store(backend *b, const op *o, size_t t) {
    const cache_layer *c = o->cache;
    store_heads(b->k, o->in + t * c->n_head_kv * c->n_k, c->k, c->k_type, c->n_k, c, b->step->position + t);
    store_heads(b->k, o->in2 + t * c->n_head_kv * c->n_v, c->v, c->v_type, c->n_v, c, b->step->position + t);
}

/* ---- operations by other items --------------------------------------------------------------- */

/* Item i is head i mod n_head of token i / n_head. */
static void attend(backend *b, const op *o, size_t item) {
    const cache_layer *c = o->cache;
    size_t t = item / o->n_head, h = item % o->n_head, kv = h / (o->n_head / c->n_head_kv);
    attention_span span = {
        .k = c->k + kv * c->n_ctx * quant_row_bytes(c->k_type, c->n_k),
        .v = c->v + kv * c->n_ctx * quant_row_bytes(c->v_type, c->n_v),
        .k_type = c->k_type,
        .v_type = c->v_type,
        .n_k = c->n_k,
        .n_v = c->n_v,
        .begin = 0,
        .end = b->step->position + (uint32_t)t + 1,
        .scale = o->scale,
    };
    b->k->attend(&span, o->in + (t * o->n_head + h) * c->n_k, o->out + (t * o->n_head + h) * c->n_v);
}

/* Items are pieces of a vector over all tokens; the operation is the same at every element. */
static void silu_mul(backend *b, const op *o, size_t begin, size_t end) {
    b->k->silu_mul(o->in + begin, o->in2 + begin, end - begin, o->out + begin);
}

static void add(backend *b, const op *o, size_t begin, size_t end) {
    b->k->add(o->in + begin, o->in2 + begin, end - begin, o->out + begin);
}

/* Items are the rows of all the matrices, one after another. */
static void matmul_rows(backend *b, const op *o, size_t begin, size_t end) {
    activations a = {.x = o->in, .q = o->act->q, .scale = o->act->scale, .sum = o->act->sum};
    for (size_t i = 0, first = 0; i < o->n_results; first += o->result[i++].matrix->n_out) {
        const matrix *m = o->result[i].matrix;
        size_t from = begin > first ? begin - first : 0, to = end > first ? end - first : 0;
        if (to > m->n_out) to = m->n_out;
        if (from < to) kernels_matmul(b->k, m->type)(m, &a, b->step->n_tok, from, to, o->result[i].out, m->n_out);
    }
}

static void matmul(backend *b, const op *o, atomic_size_t *next) {
    size_t rows = 0, begin, end;
    for (size_t i = 0; i < o->n_results; i++) rows += o->result[i].matrix->n_out;
    size_t chunk = rows / (8 * (size_t)pool_size(b->threads));
    chunk = chunk < MIN_ROWS ? MIN_ROWS : chunk > MAX_ROWS ? MAX_ROWS : chunk;
    while (take(next, rows, chunk, &begin, &end)) matmul_rows(b, o, begin, end);
}

/* ---- running a list -------------------------------------------------------------------------- */

typedef struct {
    const char *name;
    void (*item)(backend *b, const op *o, size_t i);                  /* one item at a time */
    void (*range)(backend *b, const op *o, size_t begin, size_t end); /* values of all tokens, in pieces */
    void (*whole)(backend *b, const op *o, atomic_size_t *next);      /* takes its items itself */
} op_runner;

static const op_runner runners[] = {
    [OP_EMBED] = {"embedding", .item = embed},
    [OP_SELECT] = {"select rows", .item = select_row},
    [OP_ROPE_TABLE] = {"rope table", .item = rope_angles},
    [OP_RMS_NORM] = {"rms norm", .item = rms_norm},
    [OP_QUANTIZE] = {"quantize", .item = quantize},
    [OP_MATMUL] = {"matrix products", .whole = matmul},
    [OP_ADD_VECTOR] = {"biases", .item = add_vector},
    [OP_ROPE] = {"rope", .item = rope},
    [OP_STORE] = {"cache write", .item = store},
    [OP_ATTEND] = {"attention", .item = attend},
    [OP_SILU_MUL] = {"silu x up", .range = silu_mul},
    [OP_ADD] = {"residual", .range = add},
};

static void run_op(backend *b, const op *o, atomic_size_t *next) {
    const op_runner *r = &runners[o->kind];
    size_t n_tok = b->step->n_tok, begin, end;
    if (r->whole) {
        r->whole(b, o, next);
    } else if (r->range) {
        while (take(next, n_tok * o->n, PIECE, &begin, &end)) r->range(b, o, begin, end);
    } else {
        size_t items = o->kind == OP_ATTEND ? n_tok * o->n_head : n_tok;
        while (take(next, items, 1, &begin, &end)) r->item(b, o, begin);
    }
}

const char *op_name(op_kind kind) { return runners[kind].name; }

/* Bytes of weights and cache that an operation has to read. */
static uint64_t bytes_read(const backend *b, const op *o) {
    uint64_t bytes = 0;
    if (o->kind == OP_MATMUL) {
        for (size_t i = 0; i < o->n_results; i++) bytes += o->result[i].matrix->row_bytes * o->result[i].matrix->n_out;
    } else if (o->kind == OP_ATTEND) {
        const cache_layer *c = o->cache;
        size_t row = quant_row_bytes(c->k_type, c->n_k) + quant_row_bytes(c->v_type, c->n_v);
        bytes = (uint64_t)c->n_head_kv * (b->step->position + b->step->n_tok) * row;
    }
    return bytes;
}

/* Thread 0, behind the barrier of an operation that began at `begin`. */
static double count_cost(backend *b, const op *o, double begin) {
    double end = clock_seconds();
    op_cost *c = &b->costs[o->kind];
    c->calls++;
    c->seconds += end - begin;
    c->bytes += bytes_read(b, o);
    return end;
}

static void region(void *ctx, int thread) {
    backend *b = ctx;
    double begin = b->costs && thread == 0 ? clock_seconds() : 0;
    for (size_t i = 0; i < b->n_ops; i++) {
        run_op(b, &b->ops[i], &b->next[i % 3]);
        if (thread == 0) {
            /* Nobody touches this counter now: operation i - 2 was the last to use it, i + 1 will be the next. */
            atomic_store_explicit(&b->next[(i + 1) % 3], 0, memory_order_relaxed);
            if (b->stop && i % 4 == 0 && b->stop(b->stop_ctx)) atomic_store(&b->last, i);
        }
        pool_barrier(b->threads);
        if (b->costs && thread == 0) begin = count_cost(b, &b->ops[i], begin);
        /* A faster thread may already have set a later `last` than the one this barrier made visible. */
        if (atomic_load(&b->last) <= i) return;
    }
}

bool backend_run(backend *b, const op *ops, size_t n_ops, const step *s, gguf_error *err) {
    b->ops = ops;
    b->n_ops = n_ops;
    b->step = s;
    atomic_store(&b->last, SIZE_MAX);
    for (int i = 0; i < 3; i++) atomic_store(&b->next[i], 0);
    atomic_store(&b->bad_token, UINT32_MAX);
    pool_run(b->threads, region, b);
    size_t last = atomic_load(&b->last);
    if (last == SIZE_MAX) return true;
    unsigned bad = atomic_load(&b->bad_token);
    if (bad == UINT32_MAX) return fail(err, GGUF_ERR_STOPPED, "stopped");
    char where[32] = "the output";
    if (ops[last].layer >= 0) snprintf(where, sizeof where, "layer %d", ops[last].layer);
    return fail(err, GGUF_ERR_RUN,
                "a value is not finite (NaN or infinity) in %s at token %u: the weights are damaged, or too large for "
                "the cache's type (try -ctk f32 -ctv f32)",
                where, s->position + s->first_row + bad);
}

backend *backend_cpu_new(const kernels *k, int n_threads, bool (*stop)(void *ctx), void *stop_ctx, gguf_warn_fn *warn,
                         void *warn_ctx, gguf_error *err) {
    backend *b = calloc(1, sizeof *b);
    if (!b) {
        fail_memory(err, "the backend", sizeof *b);
        return NULL;
    }
    b->k = k;
    b->stop = stop;
    b->stop_ctx = stop_ctx;
    b->threads = pool_new(n_threads, warn, warn_ctx, err);
    if (b->threads) return b;
    free(b);
    return NULL;
}

void backend_free(backend *b) {
    if (!b) return;
    pool_free(b->threads);
    free(b);
}

void backend_profile(backend *b, op_cost *costs) { b->costs = costs; }

int backend_threads(const backend *b) { return pool_size(b->threads); }
