/*
 * What runs a forward pass. The decoder (model/decoder.h) lays one pass out as a list of coarse operations, once a
 * session; a backend runs the list for a step of some tokens. A list knows nothing of threads or devices.
 *
 * Arrays are [n_tok][n] float32 unless said otherwise; results do not depend on how many tokens share a step.
 */
#ifndef BACKEND_BACKEND_H
#define BACKEND_BACKEND_H

#include "backend/kinds.h"
#include "base/error.h"
#include "kernel/kernel.h"

/* What OP_QUANTIZE last made for the matrices whose blocks have this length. */
typedef struct {
    size_t block; /* 1: plain numbers, read from the operation's `in` */
    int8_t *q;
    float *scale;
    int16_t *sum;
    float *x; /* block 1 of experts and heads: the rows put in order; else NULL */
} act_buffer;

/* One layer's cache: [n_head_kv][n_ctx] rows of n_k and n_v values. A ring holds the last n_ctx positions, which is a
 * multiple of ATTENTION_CHUNK: position p in row p mod n_ctx. */
typedef struct {
    uint8_t *k, *v;
    quant_type k_type, v_type; /* F32, F16, BF16, Q8_0 */
    uint32_t n_head_kv, n_ctx, n_k, n_v;
    bool is_ring;
} cache_layer;

/* RoPE's angles: position * inverse_frequency[i] for pair i. */
typedef struct {
    uint32_t n_rot;
    bool halves;                     /* value i turns with i + n_rot / 2, else with its neighbour */
    float scale;                     /* of cos and sin */
    const double *inverse_frequency; /* [n_rot / 2] */
    float *cos, *sin;                /* [n_tok][n_rot / 2] of the current step */
} rope_table;

/* How experts are chosen, and who goes where. A slot is a token at one of its experts; an expert's slots stand
 * together, by rising token, and experts stand in their order. */
typedef struct {
    uint32_t n_expert, n_used, n_group, n_group_used;
    gating_kind gating;
    bool normalise, by_logit; /* weights are made to add up to 1; chosen by the values before gating */
    float scale;              /* of the weights */
    const float *shift;       /* [n_expert] or NULL: added for the choice alone */
    uint32_t *expert;         /* [n_tok][n_used] rising */
    float *weight;            /* [n_tok][n_used] */
    uint32_t *slot;           /* [n_tok][n_used] */
    uint32_t *first;          /* [n_expert + 1] slots */
    uint32_t *slot_token;     /* [n_tok n_used] */
    uint32_t *slot_expert;    /* [n_tok n_used] */
} routing;

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
    const float *vector, *vector2; /* [n]; or NULL */
    float eps;                     /* norms */
    size_t group;                  /* norms: values that are one norm's; 0: n */
    bool shared;                   /* norms: all groups have the same vector [group] */
    act_buffer *act;
    op_result result[OP_MAX_RESULTS];
    size_t n_results;
    rope_table *rope;
    const cache_layer *cache;
    uint32_t n_head; /* heads in out */
    size_t offset;   /* OP_ROPE: in a head, of the first value to turn */
    size_t in_stride, out_stride;
    float scale;
    /* OP_ATTEND */
    uint32_t window; /* positions that a query sees, its own included; 0: all */
    bool chunks;     /* windows begin at multiples of their size */
    float softcap;       /* of the scores, and OP_SOFTCAP; 0: none */
    const float *slopes; /* [n_head], ALiBi's; NULL: none */
    const float *sinks;  /* [n_head], scores that join the denominators alone; NULL: none */
    uint32_t period;    /* OP_TEMPERATURE, OP_CONV */
    uint32_t shift;     /* OP_TEMPERATURE: added to the position */
    activation_kind activation;
    const float *xielu;
    routing *routing;
    bool gather;       /* in is by token, not by slot */
    bool weight_first; /* and its rows are multiplied with their weights */
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

/* Whether the caller wants to stop: what the backend asks between operations. */
bool backend_stops(const backend *b);
/* The error of a token's value of o that is not finite. */
bool backend_not_finite(const op *o, const step *s, uint32_t token, gguf_error *err);

/* Errors: GGUF_ERR_RUN, naming layer and token, where a value is not finite; GGUF_ERR_STOPPED. */
bool backend_run(backend *b, const op *ops, size_t n_ops, const step *s, gguf_error *err);

#endif
