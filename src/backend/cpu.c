/*
 * The CPU backend. One parallel region a list: every thread walks the operations, takes items (rows, tokens, chunks)
 * from a shared counter, and meets the others behind each. Operations that follow one another and work token by token
 * are one group: a thread takes a token through all of them, and they meet behind the last. Items never share a sum, so
 * that the number of threads changes no bit.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "backend/cpu_parts.h"
#include "base/clock.h"
#include "base/memory.h"
#include "kernel/fmath.h"

/* Rows of a matrix, values of a vector, and tokens or chunks of the cache that a thread takes at once: sixteen tokens
 * share a line of scales. */
enum { MIN_ROWS = 32, MAX_ROWS = 256, PIECE = 2048, MAX_RUN = 16, MAX_SPLIT_TILES = 1024 };

#define NOT_BAD ULLONG_MAX

void report_token(backend *b, const op *o, size_t token) {
    unsigned long long mine = (unsigned long long)(o - b->ops) << 32 | token, seen = atomic_load(&b->bad);
    while (mine < seen && !atomic_compare_exchange_weak(&b->bad, &seen, mine)) {}
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
        r->sin[t * half + i] = (float)s * r->scale;
        r->cos[t * half + i] = (float)c * r->scale;
    }
}

static void add_vector(backend *b, const op *o, size_t t) {
    b->k->add(o->out + t * o->n, o->vector, o->n, o->out + t * o->n);
}

static void rope(backend *b, const op *o, size_t t) {
    const rope_table *r = o->rope;
    size_t half = r->n_rot / 2;
    rope_fn *turn = r->halves ? b->k->rope_halves : b->k->rope_pairs;
    turn(o->out + t * o->n + o->offset, o->n_head, o->n / o->n_head, r->n_rot, r->cos + t * half, r->sin + t * half);
}

static void store_heads(const kernels *k, const float *x, uint8_t *cache, quant_type type, size_t n,
                        const cache_layer *c, size_t position) {
    size_t row_bytes = quant_row_bytes(type, n);
    for (size_t h = 0; h < c->n_head_kv; h++, x += n)
        k->store(type, x, n, cache + (h * c->n_ctx + position) * row_bytes);
}

static void store(backend *b, const op *o, size_t t) {
    const cache_layer *c = o->cache;
    size_t position = b->step->position + t, row = c->is_ring ? position % c->n_ctx : position;
    store_heads(b->k, o->in + t * c->n_head_kv * c->n_k, c->k, c->k_type, c->n_k, c, row);
    size_t v_stride = o->in_stride ? o->in_stride : c->n_head_kv * c->n_v;
    store_heads(b->k, o->in2 + t * v_stride, c->v, c->v_type, c->n_v, c, row);
}

/* ---- operations by tokens [begin, end) ------------------------------------------------------- */

/* A stripe of all tokens after the other: the same block of them stands together, and where blocks lie some power of
 * two apart, no cache would keep what one token writes until the next comes. */
static void quantize(backend *b, const op *o, size_t begin, size_t end) {
    const act_buffer *a = o->act;
    const size_t n_tok = b->step->n_tok, stripe = end - begin == 1 || a->block == 1 ? o->n : QUANT_MAX_BLOCK;
    for (size_t i = 0; i < o->n; i += stripe) {
        size_t n = o->n - i < stripe ? o->n - i : stripe, at = i / a->block * n_tok;
        for (size_t t = begin; t < end; t++) {
            const float *x = o->in + t * o->n + i;
            bool ok = a->block == 1
                          ? b->k->all_finite(x, n)
                          : b->k->quantize(x, n, a->block, n_tok, a->q + (at + t) * a->block, a->scale + at + t,
                                           a->sum + (at + t) * (a->block / ACTIVATION_SUB));
            if (!ok) report_token(b, o, t);
        }
    }
}

/* ---- operations by other items --------------------------------------------------------------- */

/* Items are pieces of a vector over all tokens; the operation is the same at every element. */
static void activate(backend *b, const op *o, size_t begin, size_t end) {
    b->k->activate(o->activation, o->xielu, o->in + begin, o->in2 ? o->in2 + begin : NULL, end - begin, o->out + begin);
}

static void scale(backend *b, const op *o, size_t begin, size_t end) {
    b->k->scale(o->in + begin, o->scale, end - begin, o->out + begin);
}

static void clamp(backend *b, const op *o, size_t begin, size_t end) {
    (void)b;
    for (size_t i = begin; i < end; i++) {
        float x = o->in[i];
        o->out[i] = x < -o->scale ? -o->scale : x > o->scale ? o->scale : x;
    }
}

static void softcap(backend *b, const op *o, size_t begin, size_t end) {
    b->k->softcap(o->in + begin, o->scale, end - begin, o->out + begin);
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

bool take_rows(const backend *b, work *w, int thread, size_t n, size_t *begin, size_t *end) {
    const size_t n_threads = (size_t)pool_size(b->threads);
    size_t chunk = n / (8 * n_threads);
    chunk -= chunk % MIN_ROWS; /* kernels take so many at once */
    chunk = chunk < MIN_ROWS ? MIN_ROWS : chunk > MAX_ROWS ? MAX_ROWS : chunk;
    size_t chunks = (n + chunk - 1) / chunk, taken, unused;
    for (size_t i = 0; i < n_threads; i++) {
        size_t owner = ((size_t)thread + i) % n_threads;
        size_t first = chunks * owner / n_threads, end_of_share = chunks * (owner + 1) / n_threads;
        if (!take(&w->shares[owner].next, end_of_share - first, 1, &taken, &unused)) continue;
        *begin = (first + taken) * chunk;
        *end = *begin + chunk < n ? *begin + chunk : n;
        return true;
    }
    return false;
}

static void matmul(backend *b, const op *o, work *w, int thread) {
    size_t rows = 0, begin, end;
    for (size_t i = 0; i < o->n_results; i++) rows += o->result[i].matrix->n_out;
    while (take_rows(b, w, thread, rows, &begin, &end)) matmul_rows(b, o, begin, end);
}

/* ---- attention ------------------------------------------------------------------------------- */

/* The queries of a tile: those of some heads that share a key head, of some tokens. */
typedef struct {
    size_t kv, head, n_heads, token, n_tokens;
} tile;

/* How an operation's queries come in tiles of at most ATTENTION_QUERIES, by key head. */
typedef struct {
    size_t group, heads, tokens;         /* heads that share a key head; heads and tokens of a tile */
    size_t head_tiles, token_tiles, all; /* tiles of a key head by heads and by tokens; of the operation */
} tiling;

static tiling tiles_of(const backend *b, const op *o) {
    tiling l = {.group = o->n_head / o->cache->n_head_kv};
    l.heads = l.group < ATTENTION_QUERIES ? l.group : ATTENTION_QUERIES;
    l.tokens = ATTENTION_QUERIES / l.heads;
    l.head_tiles = (l.group + l.heads - 1) / l.heads;
    l.token_tiles = (b->step->n_tok + l.tokens - 1) / l.tokens;
    l.all = o->cache->n_head_kv * l.head_tiles * l.token_tiles;
    return l;
}

/* One key head after another, so that its rows stay in the cache; the latest tokens, which see most, come first. */
static tile tile_at(const backend *b, const tiling *l, size_t i) {
    size_t late = l->token_tiles - 1 - i % l->token_tiles, heads = i / l->token_tiles;
    tile t = {.kv = heads / l->head_tiles, .token = late * l->tokens};
    size_t first = heads % l->head_tiles * l->heads;
    t.head = t.kv * l->group + first;
    t.n_heads = l->group - first < l->heads ? l->group - first : l->heads;
    t.n_tokens = b->step->n_tok - t.token < l->tokens ? b->step->n_tok - t.token : l->tokens;
    return t;
}

static uint32_t first_seen(const op *o, uint32_t position) {
    if (o->window == 0) return 0;
    if (o->chunks) return position / o->window * o->window;
    return position < o->window ? 0 : position - o->window + 1;
}

static attention_span span_of(const op *o, size_t kv) {
    const cache_layer *c = o->cache;
    return (attention_span){
        .k = c->k + kv * c->n_ctx * quant_row_bytes(c->k_type, c->n_k),
        .v = c->v + kv * c->n_ctx * quant_row_bytes(c->v_type, c->n_v),
        .k_type = c->k_type,
        .v_type = c->v_type,
        .n_k = c->n_k,
        .n_v = c->n_v,
        .scale = o->scale,
        .softcap = o->softcap,
        .ring = c->is_ring ? c->n_ctx : 0,
    };
}

/* The tile's queries, token by token. */
static size_t queries_of(const backend *b, const op *o, const tile *t, attention_query *q) {
    size_t n = 0;
    for (size_t token = t->token; token < t->token + t->n_tokens; token++) {
        uint32_t position = b->step->position + (uint32_t)token;
        for (size_t h = t->head; h < t->head + t->n_heads; h++) {
            q[n++] = (attention_query){
                .q = o->in + (token * o->n_head + h) * o->cache->n_k,
                .out = o->out + (token * o->n_head + h) * o->cache->n_v,
                .begin = first_seen(o, position),
                .end = position + 1,
                .slope = o->slopes ? o->slopes[h] : 0,
                .sink = o->sinks ? o->sinks[h] : -INFINITY,
            };
        }
    }
    return n;
}

static void attend_tiles(backend *b, const op *o, const tiling *l, atomic_size_t *next, float *scratch) {
    size_t begin, end;
    while (take(next, l->all, 1, &begin, &end)) {
        attention_query q[ATTENTION_QUERIES];
        tile t = tile_at(b, l, begin);
        attention_span s = span_of(o, t.kv);
        kernels_attend(b->k, &s, q, queries_of(b, o, &t, q), scratch);
    }
}

/* Few tokens: threads share the chunks of a tile, and the one that makes the last part merges all, in order. */
static void attend_chunks(backend *b, const op *o, const tiling *l, atomic_size_t *next, float *scratch) {
    uint32_t position = b->step->position, first = first_seen(o, position) / ATTENTION_CHUNK;
    uint32_t n_chunks = (position + b->step->n_tok - 1) / ATTENTION_CHUNK - first + 1;
    size_t size = attention_part_size(o->cache->n_v), room = l->heads * l->tokens * size;
    size_t n = l->all * n_chunks, run = n / (8 * (size_t)pool_size(b->threads)), begin, end;
    run = run < 1 ? 1 : run > MAX_RUN ? MAX_RUN : run;
    while (take(next, n, run, &begin, &end)) {
        for (size_t item = begin; item < end; item++) {
            attention_query q[ATTENTION_QUERIES];
            tile t = tile_at(b, l, item / n_chunks);
            uint32_t chunk = first + (uint32_t)(item % n_chunks);
            attention_span whole = span_of(o, t.kv), s = attention_rows(&whole, chunk);
            size_t n_queries = queries_of(b, o, &t, q);
            b->k->attend_chunk(&s, q, n_queries, chunk, b->parts + item * room, scratch);
            atomic_uint *done = &b->chunks_done[item / n_chunks];
            if (atomic_fetch_add(done, 1) + 1 < n_chunks) continue;
            atomic_store(done, 0);
            float *parts = b->parts + item / n_chunks * n_chunks * room;
            for (size_t i = 0; i < n_queries; i++) {
                uint32_t from = q[i].begin / ATTENTION_CHUNK - first, to = (q[i].end - 1) / ATTENTION_CHUNK - first;
                float *sum = parts + from * room + i * size;
                for (uint32_t c = from + 1; c <= to; c++) b->k->attend_merge(sum, parts + c * room + i * size, s.n_v);
                b->k->attend_end(sum, q[i].sink, s.n_v, q[i].out);
            }
        }
    }
}

static void attend(backend *b, const op *o, work *w, int thread) {
    tiling l = tiles_of(b, o);
    float *scratch = b->scratch + (size_t)thread * ATTENTION_SCRATCH;
    if (b->parts && l.token_tiles == 1 && l.all <= MAX_SPLIT_TILES) {
        attend_chunks(b, o, &l, &w->next, scratch);
    } else {
        attend_tiles(b, o, &l, &w->next, scratch);
    }
}

/* Floats of the parts that the operation can need. */
static size_t parts_of(const op *o) {
    size_t group = o->n_head / o->cache->n_head_kv;
    size_t heads = group < ATTENTION_QUERIES ? group : ATTENTION_QUERIES, tokens = ATTENTION_QUERIES / heads;
    size_t tiles = o->cache->n_head_kv * ((group + heads - 1) / heads);
    size_t chunks = (o->cache->n_ctx + ATTENTION_CHUNK - 1) / ATTENTION_CHUNK;
    return tiles * chunks * heads * tokens * attention_part_size(o->cache->n_v);
}

/* ---- running a list -------------------------------------------------------------------------- */

typedef struct {
    const char *name;
    bool by_token; /* token t of what it makes depends on token t of what others made, and on nothing else they made */
    void (*item)(backend *b, const op *o, size_t i);                   /* one item at a time */
    void (*tokens)(backend *b, const op *o, size_t begin, size_t end); /* several tokens at a time */
    size_t (*items)(const backend *b, const op *o);                    /* how many; NULL: one a token */
    void (*range)(backend *b, const op *o, size_t begin, size_t end);  /* values of all tokens, in pieces */
    void (*whole)(backend *b, const op *o, work *w, int thread);       /* takes its items itself */
} op_runner;

static size_t slots(const backend *b, const op *o) { return b->step->n_tok * o->routing->n_used; }
static size_t heads(const backend *b, const op *o) { return b->step->n_tok * o->n_head; }
static size_t one(const backend *b, const op *o) { return (void)b, (void)o, 1; }

static const op_runner runners[] = {
    [OP_EMBED] = {"embedding", true, .item = embed},
    [OP_SELECT] = {"select rows", .item = select_row},
    [OP_ROPE_TABLE] = {"rope table", true, .item = rope_angles},
    [OP_ADD_POSITION] = {"position embedding", true, .item = add_position},
    [OP_RMS_NORM] = {"rms norm", true, .item = rms_norm},
    [OP_LAYER_NORM] = {"layer norm", true, .item = layer_norm},
    [OP_QUANTIZE] = {"quantize", true, .tokens = quantize},
    [OP_MATMUL] = {"matrix products", .whole = matmul},
    [OP_ADD_VECTOR] = {"biases", true, .item = add_vector},
    [OP_ROPE] = {"rope", true, .item = rope},
    [OP_STORE] = {"cache write", true, .item = store},
    [OP_ATTEND] = {"attention", .whole = attend},
    [OP_TEMPERATURE] = {"temperature", true, .item = temperature},
    [OP_ACTIVATE] = {"activation", true, .range = activate},
    [OP_ADD] = {"residual", true, .range = add},
    [OP_SCALE] = {"scale", true, .range = scale},
    [OP_CLAMP] = {"clamp", true, .range = clamp},
    [OP_SOFTCAP] = {"soft-cap", .range = softcap},
    [OP_GATE] = {"shared expert's gate", .item = gate},
    [OP_ROUTE] = {"choice of experts", .item = route},
    [OP_GROUP] = {"order of experts", .item = group_slots, .items = one},
    [OP_QUANTIZE_EXPERTS] = {"quantize", .item = quantize_slot, .items = slots},
    [OP_MATMUL_EXPERTS] = {"experts' products", .whole = matmul_experts},
    [OP_ADD_EXPERT_VECTOR] = {"experts' biases", .item = add_expert_vector, .items = slots},
    [OP_SUM_EXPERTS] = {"experts' sum", .item = sum_experts},
    [OP_QUANTIZE_HEADS] = {"quantize", .item = quantize_head, .items = heads},
    [OP_MATMUL_HEADS] = {"heads' products", .whole = matmul_heads},
    [OP_COPY_HEADS] = {"copy", .item = copy_heads},
    [OP_CONV_STORE] = {"cache write", .item = conv_store},
    [OP_CONV] = {"convolution", .item = convolve},
};

/* Tokens that a thread takes at a time. */
static size_t run_of_tokens(const backend *b) {
    size_t run = b->step->n_tok / (8 * (size_t)pool_size(b->threads));
    return run < 1 ? 1 : run > MAX_RUN ? MAX_RUN : run;
}

static void run_op(backend *b, const op *o, work *w, int thread) {
    const op_runner *r = &runners[o->kind];
    size_t n_tok = b->step->n_tok, begin, end;
    if (r->whole) {
        r->whole(b, o, w, thread);
    } else if (r->range) {
        while (take(&w->next, n_tok * o->n, PIECE, &begin, &end)) r->range(b, o, begin, end);
    } else if (r->tokens) {
        while (take(&w->next, n_tok, run_of_tokens(b), &begin, &end)) r->tokens(b, o, begin, end);
    } else {
        size_t items = r->items ? r->items(b, o) : n_tok;
        while (take(&w->next, items, 1, &begin, &end)) r->item(b, o, begin);
    }
}

/* Operations by token for tokens [begin, end), in runs: each for all of them where it takes several at a time, the
 * others for one token after the other, which stays in the cache. */
static void run_tokens(backend *b, const op *ops, size_t n_ops, size_t begin, size_t end) {
    for (size_t i = 0, next; i < n_ops; i = next) {
        next = i + 1;
        if (runners[ops[i].kind].tokens) {
            runners[ops[i].kind].tokens(b, &ops[i], begin, end);
            continue;
        }
        while (next < n_ops && !runners[ops[next].kind].tokens) next++;
        for (size_t t = begin; t < end; t++) {
            for (const op *o = ops + i; o < ops + next; o++) {
                const op_runner *r = &runners[o->kind];
                if (r->range) {
                    r->range(b, o, t * o->n, (t + 1) * o->n);
                } else {
                    r->item(b, o, t);
                }
            }
        }
    }
}

static void run_group(backend *b, const op *ops, size_t n_ops, atomic_size_t *next) {
    size_t begin, end;
    while (take(next, b->step->n_tok, run_of_tokens(b), &begin, &end)) run_tokens(b, ops, n_ops, begin, end);
}

/* Whether the operation may be in a group. Long vectors of few tokens are quicker in pieces, one for each thread. */
static bool groups(const backend *b, const op *o) {
    const op_runner *r = &runners[o->kind];
    bool pieces = r->range && o->n > 2 * PIECE && b->step->n_tok < (uint32_t)pool_size(b->threads);
    return r->by_token && !pieces;
}

/* Where the group that begins with operation i ends. Profiling looks at each operation by itself. */
static size_t group_end(const backend *b, size_t i) {
    size_t end = i + 1;
    if (b->costs || !groups(b, &b->ops[i])) return end;
    while (end < b->n_ops && groups(b, &b->ops[end])) end++;
    return end;
}

const char *op_name(op_kind kind) { return runners[kind].name; }

/* Bytes of weights and cache that an operation has to read. */
static uint64_t bytes_read(const backend *b, const op *o) {
    uint64_t bytes = 0;
    if (o->kind == OP_MATMUL) {
        for (size_t i = 0; i < o->n_results; i++) bytes += o->result[i].matrix->row_bytes * o->result[i].matrix->n_out;
    } else if (o->kind == OP_MATMUL_EXPERTS || o->kind == OP_MATMUL_HEADS) {
        bytes = grouped_bytes(b, o);
    } else if (o->kind == OP_ATTEND) {
        const cache_layer *c = o->cache;
        size_t row = quant_row_bytes(c->k_type, c->n_k) + quant_row_bytes(c->v_type, c->n_v);
        uint32_t seen = b->step->position + b->step->n_tok - first_seen(o, b->step->position);
        bytes = (uint64_t)c->n_head_kv * seen * row;
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
    for (size_t i = 0, end, group = 0; i < b->n_ops; i = end, group++) {
        end = group_end(b, i);
        work *w = &b->work[group % 3], *to_come = &b->work[(group + 1) % 3];
        if (end - i > 1) {
            run_group(b, &b->ops[i], end - i, &w->next);
        } else {
            run_op(b, &b->ops[i], w, thread);
        }
        /* Nobody touches these counters now: group - 2 was the last to use them, group + 1 will be the next. */
        atomic_store_explicit(&to_come->shares[thread].next, 0, memory_order_relaxed);
        if (thread == 0) {
            atomic_store_explicit(&to_come->next, 0, memory_order_relaxed);
            if (b->stop && group % 4 == 0 && b->stop(b->stop_ctx)) atomic_store(&b->last, i);
        }
        pool_barrier(b->threads);
        if (b->costs && thread == 0) begin = count_cost(b, &b->ops[i], begin);
        /* A faster thread may already have set a later `last` than the one this barrier made visible. */
        if (atomic_load(&b->last) < end) return;
    }
}

bool backend_run(backend *b, const op *ops, size_t n_ops, const step *s, gguf_error *err) {
    b->ops = ops;
    b->n_ops = n_ops;
    b->step = s;
    atomic_store(&b->last, SIZE_MAX);
    for (int i = 0; i < 3; i++) {
        atomic_store(&b->work[i].next, 0);
        for (int t = 0; t < pool_size(b->threads); t++) atomic_store(&b->work[i].shares[t].next, 0);
    }
    atomic_store(&b->bad, NOT_BAD);
    pool_run(b->threads, region, b);
    unsigned long long bad = atomic_load(&b->bad);
    if (atomic_load(&b->last) == SIZE_MAX) return true;
    if (bad == NOT_BAD) return fail(err, GGUF_ERR_STOPPED, "stopped");
    return backend_not_finite(&ops[bad >> 32], s, (uint32_t)bad, err);
}

bool backend_not_finite(const op *o, const step *s, uint32_t token, gguf_error *err) {
    char where[32] = "the output";
    if (o->layer >= 0) snprintf(where, sizeof where, "layer %d", o->layer);
    return fail(err, GGUF_ERR_RUN,
                "a value is not finite (NaN or infinity) in %s at token %u: the weights are damaged, or too large for "
                "the cache's type (try -ctk f32 -ctv f32)",
                where, s->position + s->first_row + token);
}

bool backend_stops(const backend *b) { return b->stop && b->stop(b->stop_ctx); }

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
    if (n_threads < 1) n_threads = 1;
    /* Before the threads, which take what address space there is. */
    b->scratch_bytes = (size_t)n_threads * ATTENTION_SCRATCH * sizeof *b->scratch;
    b->scratch = memory_reserve(b->scratch_bytes);
    if (!b->scratch) fail_memory(err, "the threads' scratch memory", b->scratch_bytes);
    b->share_bytes = 3 * (size_t)n_threads * sizeof *b->shares;
    if (b->scratch) b->shares = memory_reserve(b->share_bytes);
    if (b->scratch && !b->shares) fail_memory(err, "the threads' shares of work", b->share_bytes);
    for (int i = 0; i < 3 && b->shares; i++) b->work[i].shares = b->shares + i * n_threads;
    if (b->shares) b->threads = pool_new(n_threads, warn, warn_ctx, err);
    if (b->threads) return b;
    backend_free(b);
    return NULL;
}

bool backend_prepare(backend *b, const op *ops, size_t n_ops, gguf_error *err) {
    size_t most = 0;
    for (size_t i = 0; i < n_ops; i++) {
        size_t n = ops[i].kind == OP_ATTEND ? parts_of(&ops[i]) * sizeof *b->parts : 0;
        most = n > most ? n : most;
    }
    if (most <= b->part_bytes || pool_size(b->threads) == 1) return true;
    memory_release(b->parts, b->part_bytes);
    b->part_bytes = most;
    b->parts = memory_reserve(most);
    if (!b->parts) return fail_memory(err, "the parts of attention", most);
    if (!b->chunks_done) b->chunks_done = calloc(MAX_SPLIT_TILES, sizeof *b->chunks_done);
    return b->chunks_done || fail_memory(err, "the parts of attention", MAX_SPLIT_TILES * sizeof *b->chunks_done);
}

void backend_free(backend *b) {
    if (!b) return;
    memory_release(b->scratch, b->scratch_bytes);
    memory_release(b->shares, b->share_bytes);
    memory_release(b->parts, b->part_bytes);
    free(b->chunks_done);
    pool_free(b->threads);
    free(b);
}

void backend_profile(backend *b, op_cost *costs) { b->costs = costs; }

int backend_threads(const backend *b) { return pool_size(b->threads); }
