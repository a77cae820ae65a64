/*
 * The table of compute kernels. Every tier (scalar, avx2, ...) fills one table; all give the same bits.
 *
 * The arithmetic, which scalar code defines and every tier repeats exactly:
 *  - Activations for a matrix of blocks are int8 blocks of the same length (quant_row.act; for NVFP4's blocks of 64
 * they are 32 long): s = amax / 127, q = x * (127 / amax) rounded to nearest even; a block with amax below 1e-30 is
 * zero.
 *  - A block of weights (of NVFP4: each part of 16, which has its own d) times its activations is I = sum of scale *
 * q_w * q_a and M = sum of min * q_a, exact integers; then acc = fma(I, d * s, acc) and, for types with minimums, acc =
 * fma(-M, dmin * s, acc), each product rounded once, blocks in rising order.
 *  - Every sum that is float by nature runs over 16 virtual lanes (element i into lane i mod 16, fused
 *    multiply-add) and one tree: 16 to 8 to 4 to 2 to 1, upper half onto lower.
 *  - Attention walks the cache in chunks of ATTENTION_CHUNK absolute positions and merges their parts in order; a sink
 *    comes last, like a chunk whose values are zero.
 */
#ifndef KERNEL_KERNEL_H
#define KERNEL_KERNEL_H

#include "base/cpu.h"
#include "base/error.h"
#include "quant/quant.h"

enum { LANES = 16, ATTENTION_CHUNK = 256, ATTENTION_QUERIES = 32, MAX_HEAD_SIZE = 1024, ACTIVATION_SUB = 16 };

/* Inlined for certain: the constants that callers pass are what lets the loops become vectors. */
#define INLINE static inline __attribute__((always_inline))

/* A weight matrix in the file's own layout: n_out rows of n_in weights. */
typedef struct {
    quant_type type;
    size_t n_in, n_out;
    size_t row_bytes;
    const uint8_t *data;
} matrix;

/* What a matrix reads, for n_tok tokens: x where it holds plain numbers, else the quantized form, in which the same
 * block of all tokens stands together, since that is what one block of weights meets. */
typedef struct {
    const float *x;     /* [n_tok][n_in] */
    const int8_t *q;    /* [n_in / act][n_tok][act], act from the type's row */
    const float *scale; /* [n_in / act][n_tok] */
    const int16_t *sum; /* [n_in / act][n_tok][act / ACTIVATION_SUB], of q */
} activations;

/* Output rows [row_begin, row_end) for n_tok tokens: y[t * y_stride + row]. */
typedef void matmul_fn(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end, float *y,
                       size_t y_stride);

/* One head's part of the cache, and how scores are made of it: q k * scale, then capped, then with ALiBi's slope. */
typedef struct {
    const uint8_t *k, *v;      /* [positions] rows of n_k and n_v values */
    quant_type k_type, v_type; /* one of F32, F16, BF16, Q8_0 */
    uint32_t n_k, n_v;         /* at most MAX_HEAD_SIZE */
    float scale;
    float softcap; /* score = softcap * tanh(score / softcap); 0: none */
    uint32_t ring; /* position p stands in row p mod ring, a multiple of ATTENTION_CHUNK; 0: in row p */
} attention_span;

/* The span as chunk `chunk` sees it: in a ring, rows begin again somewhere before it. */
static inline attention_span attention_rows(const attention_span *s, uint32_t chunk) {
    attention_span rows = *s;
    if (s->ring == 0) return rows;
    uint32_t first = chunk * ATTENTION_CHUNK;
    size_t shift = first - first % s->ring;
    rows.k = (const uint8_t *)((uintptr_t)s->k - shift * quant_row_bytes(s->k_type, s->n_k));
    rows.v = (const uint8_t *)((uintptr_t)s->v - shift * quant_row_bytes(s->v_type, s->n_v));
    return rows;
}

/* One query of those that meet the same keys: heads that share a key head, tokens that follow one another. */
typedef struct {
    const float *q;      /* [n_k] */
    float *out;          /* [n_v] */
    uint32_t begin, end; /* it sees positions [begin, end), at least one, and stands at end - 1 */
    float slope;         /* score += slope * (position - its own); 0: none */
    float sink;          /* a score that joins the softmax's denominator alone; -INFINITY: none */
} attention_query;

/* A query's part of some chunks, as floats: the sum of the values weighted with exp(score - max) [n_v], max, and the
 * sum of the weights. Parts lie attention_part_size(n_v) apart. */
static inline size_t attention_part_size(uint32_t n_v) { return (n_v + 2 + LANES - 1) / LANES * LANES; }

/* Floats of scratch that attention needs, aligned to 64 bytes: sums and parts of a tile of queries, their scores, and
 * keys or values as floats. */
enum {
    ATTENTION_ROWS = 32, /* of keys or values at once */
    ATTENTION_SCRATCH = 2 * ATTENTION_QUERIES * (MAX_HEAD_SIZE + LANES) + ATTENTION_QUERIES * ATTENTION_CHUNK +
                        ATTENTION_ROWS * MAX_HEAD_SIZE
};

typedef void rope_fn(float *x, size_t n_heads, size_t stride, size_t n_rot, const float *cos, const float *sin);

/* What stands between the two products of a feed-forward: of gate and up, or of up alone. */
typedef enum {
    ACT_SILU,
    ACT_GELU,     /* the approximation with tanh */
    ACT_GELU_ERF, /* the exact one */
    ACT_RELU_SQUARED,
    ACT_SWIGLU_OAI, /* both clamped; silu of 1.702 gate, times up + 1 */
    ACT_XIELU,      /* with the four numbers of `xielu` */
} activation_kind;

typedef struct {
    const char *name;
    matmul_fn *matmul_any;               /* of every type that can be decoded */
    matmul_fn *matmul[QUANT_TYPE_COUNT]; /* a faster one, or NULL */
    /* One token's x[0..n) to int8 blocks of `block` (32 or 256), n a multiple of it; each block lies `stride` blocks
     * behind the one before. False where a value is not finite. */
    bool (*quantize)(const float *x, size_t n, size_t block, size_t stride, int8_t *q, float *scale, int16_t *sum);
    bool (*all_finite)(const float *x, size_t n);
    /* y = x / sqrt(mean of x^2 + eps) * w + bias; y may be x, w and bias may be NULL */
    void (*rms_norm)(const float *x, const float *w, const float *bias, size_t n, float eps, float *y);
    /* The same of x - mean of x. */
    void (*layer_norm)(const float *x, const float *w, const float *bias, size_t n, float eps, float *y);
    /* Turns neighbouring pairs of the first n_rot values of n_heads rows of `stride`: cos, sin [n_rot / 2]. */
    rope_fn *rope_pairs;
    /* Turns value i with value i + n_rot / 2. */
    rope_fn *rope_halves;
    /* y = activation(gate) * up, or activation(gate) where up is NULL; y may be either. xielu: four numbers. */
    void (*activate)(activation_kind kind, const float *xielu, const float *gate, const float *up, size_t n, float *y);
    /* y = x * s; y may be x */
    void (*scale)(const float *x, float s, size_t n, float *y);
    /* y = fma(x, s, y) */
    void (*add_scaled)(const float *x, float s, size_t n, float *y);
    /* y = cap * tanh(x / cap); y may be x */
    void (*softcap)(const float *x, float cap, size_t n, float *y);
    /* y = a + b; y may be either */
    void (*add)(const float *a, const float *b, size_t n, float *y);
    /* A row of the cache: n values as F32, F16, BF16, or Q8_0 (n a multiple of 32). What is not finite stays so. */
    void (*store)(quant_type type, const float *x, size_t n, uint8_t *row);
    /* Parts of chunk `chunk` [n] of n <= ATTENTION_QUERIES queries; not written for those that see none of it. scratch:
     * ATTENTION_QUERIES * ATTENTION_CHUNK + ATTENTION_ROWS * MAX_HEAD_SIZE floats. */
    void (*attend_chunk)(const attention_span *s, const attention_query *q, size_t n, uint32_t chunk, float *parts,
                         float *scratch);
    /* sum = the chunks of sum, then those of part */
    void (*attend_merge)(float *sum, const float *part, uint32_t n_v);
    /* out = sum with the sink, divided by the sum of the weights */
    void (*attend_end)(const float *sum, float sink, uint32_t n_v, float *out);
} kernels;

static inline matmul_fn *kernels_matmul(const kernels *k, quant_type type) {
    return k->matmul[type] ? k->matmul[type] : k->matmul_any;
}

/* q[i].out = softmax(scores) v for n <= ATTENTION_QUERIES queries: all their chunks in order. scratch:
 * ATTENTION_SCRATCH floats. */
void kernels_attend(const kernels *k, const attention_span *s, const attention_query *q, size_t n, float *scratch);

/* Whether the query sees any of the chunk. */
static inline bool attention_sees(const attention_query *q, uint32_t chunk) {
    return q->begin / ATTENTION_CHUNK <= chunk && chunk <= (q->end - 1) / ATTENTION_CHUNK;
}

/* The best table this machine can run, or the one that GGUF_CPU names. NULL (GGUF_ERR_USAGE) where that name is
 * unknown or the machine lacks it. */
const kernels *kernels_choose(gguf_error *err);
/* The table of one tier; NULL where the machine or the build lacks it. */
const kernels *kernels_of_tier(cpu_tier tier);

/* One exported by each tier's file. */
extern const kernels kernels_scalar, kernels_avx2, kernels_avxvnni, kernels_avx512, kernels_amx, kernels_neon,
    kernels_i8mm;

#endif
