/*
 * What runs a forward pass. The decoder (model/decoder.h) lays one pass out as a list of coarse operations, once a
 * session; a backend runs the list for a step of some tokens. A list knows nothing of threads or devices.
 *
 * Arrays are [n_tok][n] float32 unless said otherwise; results do not depend on how many tokens share a step.
 */
#ifndef BACKEND_BACKEND_H
#define BACKEND_BACKEND_H

#include "base/error.h"
#include "kernel/kernel.h"

typedef enum {
    OP_EMBED,      /* out = the rows of result[0].matrix that the step's ids name */
    OP_SELECT,     /* out[i] = in[step.first_row + i] */
    OP_ROPE_TABLE, /* cos, sin of every position of the step */
    OP_RMS_NORM,   /* out = rms_norm(in) * vector */
    OP_QUANTIZE,   /* act = in as int8 blocks of act->block; block 1 only proves that in is finite */
    OP_MATMUL,     /* result[i].out = matrix * act (or in), for up to three matrices that read the same */
    OP_ADD_VECTOR, /* out += vector, each token */
    OP_ROPE,       /* turns the heads of out in place */
    OP_STORE,      /* in (keys) and in2 (values) into the cache at the step's positions */
    OP_ATTEND,     /* out = attention of the heads in `in` over the cache */
    OP_SILU_MUL,   /* out = silu(in) * in2 */
    OP_ADD,        /* out = in + in2 */
    OP_KIND_COUNT
} op_kind;

/* What OP_QUANTIZE last made for the matrices whose blocks have this length. */
typedef struct {
    size_t block; /* 1: plain numbers, read from the operation's `in` */
    int8_t *q;
    float *scale;
    int16_t *sum;
} act_buffer;

/* One layer's cache: [n_head_kv][n_ctx] rows of n_k and n_v values. */
typedef struct {
    uint8_t *k, *v;
    quant_type k_type, v_type; /* F32, F16, BF16, Q8_0 */
    uint32_t n_head_kv, n_ctx, n_k, n_v;
} cache_layer;

/* RoPE's angles: position * inverse_frequency[i] for pair i. */
typedef struct {
    uint32_t n_rot;
    const double *inverse_frequency; /* [n_rot / 2] */
    float *cos, *sin;                /* [n_tok][n_rot / 2] of the current step */
} rope_table;

typedef struct {
    const char *name;
    const matrix *matrix;
    float *out; /* [n_tok][matrix->n_out] */
} op_result;

enum { OP_MAX_RESULTS = 3 };

typedef struct {
    op_kind kind;
    int layer;        /* -1 outside the layers */
    const char *name; /* of what it makes: "attn_norm", "q", ...; NULL where that is nothing new */
    size_t n;         /* values a token of in and out */
    const float *in, *in2;
    float *out;
    const float *vector; /* [n] */
    float eps;           /* OP_RMS_NORM */
    act_buffer *act;
    op_result result[OP_MAX_RESULTS];
    size_t n_results;
    rope_table *rope;
    const cache_layer *cache;
    uint32_t n_head; /* OP_ROPE, OP_ATTEND: heads in out */
    /* OP_ATTEND */
    float scale;
    float softcap;       /* of the scores; 0: none */
    uint32_t window;     /* positions that a query sees, its own included; 0: all */
    bool chunks;         /* windows begin at multiples of their size */
    const float *slopes; /* [n_head], ALiBi's; NULL: none */
    const float *sinks;  /* [n_head], scores that join the denominators alone; NULL: none */
} op;

typedef struct {
    const int32_t *ids; /* [n_tok] */
    uint32_t n_tok;
    uint32_t position;  /* of the first token */
    uint32_t first_row; /* OP_SELECT */
} step;

/* What the operations of one kind have cost since profiling began. */
typedef struct {
    uint64_t calls;
    double seconds;
    uint64_t bytes; /* of weights and cache that they read, at least once each */
} op_cost;

typedef struct backend backend;

/* The CPU with n_threads threads. stop (or NULL) is asked between operations. */
backend *backend_cpu_new(const kernels *k, int n_threads, bool (*stop)(void *ctx), void *stop_ctx, gguf_warn_fn *warn,
                         void *warn_ctx, gguf_error *err);
void backend_free(backend *b);
int backend_threads(const backend *b);
const char *op_name(op_kind kind);

/* Once for a list before it runs: makes room for what its operations keep between threads. */
bool backend_prepare(backend *b, const op *ops, size_t n_ops, gguf_error *err);

/* From now on every operation is timed into costs [OP_KIND_COUNT]; NULL ends that. */
void backend_profile(backend *b, op_cost *costs);

/* Errors: GGUF_ERR_RUN, naming layer and token, where a value is not finite; GGUF_ERR_STOPPED. */
bool backend_run(backend *b, const op *ops, size_t n_ops, const step *s, gguf_error *err);

#endif
