/*
 * THE architecture table: one row an architecture, with what it has and how it computes. No architecture's name is
 * compared anywhere else.
 *
 * What a layer may have is one table of tensors (arch_layer), each belonging to a part; a row says which parts its
 * architecture has, and which it may have.
 */
#ifndef MODEL_ARCH_H
#define MODEL_ARCH_H

#include "base/str.h"
#include "kernel/kernel.h"
#include "model/hparams.h"

/* ---- what a model is made of ------------------------------------------------------------------ */

/* One matrix an expert, [n_expert]; NULL: the model has none. */
typedef const matrix *expert_matrices;

/* One transformer layer; matrices are rows of n_in, as in the file. NULL and data == NULL: the model has none. */
typedef struct {
    const float *attn_norm, *attn_norm_bias;     /* [n_embd] */
    const float *attn_norm_2, *attn_norm_2_bias; /* [n_embd]: attention reads this one, the feed-forward attn_norm */
    matrix qkv;                                  /* the three that follow in one tensor; they point into it */
    matrix q, k, v; /* [n_head n_k][n_embd], [n_head_kv n_k][n_embd], [n_head_kv n_v][n_embd] */
    const float *qkv_bias, *q_bias, *k_bias, *v_bias;
    const float *q_norm, *k_norm; /* [n_k], or as wide as q and k */
    const float *q_norm_bias, *k_norm_bias;
    const float *sinks; /* [n_head] */
    matrix attn_out;    /* [n_embd][n_head n_v] */
    const float *attn_out_bias;
    const float *attn_post_norm, *ffn_post_norm; /* [n_embd] */

    /* latent attention: queries and keys pass a narrow waist, and the cache holds the keys' */
    matrix q_a, q_b;            /* [n_lora_q][n_embd], [n_head n_k_full][n_lora_q] */
    const float *q_a_norm;      /* [n_lora_q] */
    matrix kv_a;                /* [n_lora_kv + n_rot][n_embd] */
    const float *kv_a_norm;     /* [n_lora_kv] */
    expert_matrices k_up, v_up; /* a head: [n_lora_kv][n_k_full - n_rot], [n_v_full][n_lora_kv] */

    /* short convolution, instead of attention */
    matrix conv_in, conv_out; /* [3 n_embd][n_embd], [n_embd][n_embd] */
    const float *conv;        /* [n_embd][n_conv] */

    const float *ffn_norm, *ffn_norm_bias; /* [n_embd] */
    matrix gate_up;                        /* gate and up in one tensor; they point into it */
    matrix gate, up, down;                 /* [n_ff][n_embd] twice, [n_embd][n_ff] */
    const float *gate_bias, *up_bias, *down_bias;
    float xielu[4]; /* alpha_n, alpha_p, beta, eps */

    matrix router;                           /* [n_expert][n_embd] */
    const float *router_bias, *router_shift; /* [n_expert]; the second one only decides which are chosen */
    expert_matrices gate_up_exps, gate_exps, up_exps, down_exps; /* [n_ff_exp][n_embd] twice, [n_embd][n_ff_exp] */
    const float *gate_exps_bias, *up_exps_bias, *down_exps_bias; /* [n_expert] rows of it */
    matrix shared_gate, shared_up, shared_down;                  /* of the expert that sees every token: n_ff_shared */
    matrix shared_router;                                        /* [1][n_embd] */

    uint8_t kind; /* LAYER_... of hparams.h */
} layer;

/* Tensors outside the layers. */
typedef struct {
    matrix embedding;                                   /* [n_vocab][n_embd] */
    matrix positions;                                   /* [n_ctx_train][n_embd], added to the embedding */
    const float *embd_norm, *embd_norm_bias;            /* [n_embd], of the embedding */
    const float *output_norm, *output_norm_bias;        /* [n_embd] */
    matrix output;                                      /* [n_vocab][n_embd]; the embedding where there is none */
    const float *output_bias;                           /* [n_vocab] */
    const float *rope_factors, *rope_short, *rope_long; /* [n_rot / 2]: frequencies are divided by these */
} globals;

/* ---- parts: groups of tensors that come together ----------------------------------------------- */

#define PART(n) (UINT64_C(1) << (n))

enum {
    P_ALWAYS,
    P_ATTN_NORM,
    P_ATTN_NORM_2,
    P_NORM_BIAS,
    P_ATTENTION, /* q, k, v in one tensor or in three, and the output matrix */
    P_QKV_BIAS,
    P_OUT_BIAS,
    P_QK_NORM_HEAD,  /* one for all heads */
    P_QK_NORM_HEADS, /* one for each head */
    P_QK_NORM_ROW,   /* over all heads together */
    P_SINKS,
    P_POST_NORM,
    P_LATENT,
    P_LATENT_Q,   /* queries from one matrix */
    P_LATENT_Q_A, /* queries through a waist, too */
    P_CONV,
    P_FFN_NORM,
    P_FFN_NORM_POST, /* the same under the name post_attention_norm */
    P_FFN,           /* up and down */
    P_GATE,
    P_GATE_IN_UP, /* gate and up in one tensor */
    P_FFN_BIAS,
    P_EXPERTS,
    P_EXPERT_BIAS,
    P_EXPERT_SHIFT,
    P_SHARED,
    P_SHARED_ROUTER,
    P_POSITIONS,
    P_EMBD_NORM,
    P_OUTPUT_NORM,
    P_OUTPUT_NORM_EMBD, /* the same under the name token_embd_norm */
    P_OUTPUT_BIAS,
    P_ROPE,       /* factors of the frequencies */
    P_SCALES,     /* keys that scale the embedding, residuals, attention */
    P_WINDOW,     /* keys of sliding windows */
    P_SOFTCAP,    /* keys of soft-caps */
    P_ALIBI,      /* the key of the largest bias */
    P_CLAMP,      /* the key that clamps q, k, v */
    P_LAYER_NORM, /* the key of its epsilon */
    P_RMS_NORM,
    P_XIELU,
    P_COUNT
};

/* ---- binding: which tensor goes where, and which shape it must have ----------------------------- */

typedef enum {
    DIM_NONE,
    DIM_EMBD,
    DIM_EMBD_3,
    DIM_VOCAB,
    DIM_CTX,
    DIM_FF,
    DIM_FF_2,
    DIM_FF_EXP,
    DIM_FF_EXP_2,
    DIM_FF_SHARED,
    DIM_EXPERTS,
    DIM_Q,
    DIM_K,
    DIM_V,
    DIM_QKV,
    DIM_ATTN,
    DIM_KEY,
    DIM_HEADS,
    DIM_HEADS_KV,
    DIM_ROT_HALF,
    DIM_LORA_Q,
    DIM_LORA_KV,
    DIM_LORA_KV_ROT,
    DIM_KEY_PLAIN,
    DIM_VALUE_FULL,
    DIM_Q_FULL,
    DIM_CONV,
    DIM_COUNT
} dim;

typedef enum { BIND_MATRIX, BIND_VECTOR, BIND_EXPERTS } bind_kind;

enum { MAX_DIMS = 3 };

typedef struct {
    const char *name; /* in a layer: what follows "blk.N." */
    bind_kind kind;
    size_t field;     /* offset in layer or globals */
    dim ne[MAX_DIMS]; /* ne[0] is the length of a row */
    uint8_t part;     /* P_... */
    bool optional;    /* even where the part is there */
    size_t instead;   /* field + 1 of a tensor in whose presence this one is not needed; 0: none */
    const char
        *split; /* BIND_EXPERTS: the name of one expert's tensor in files that have one for each, "ffn_up.%u.weight" */
} binding;

extern const binding arch_globals[], arch_layer[]; /* end with a NULL name */

/* ---- rows ---------------------------------------------------------------------------------------- */

typedef enum { ROPE_PAIRS, ROPE_HALVES, ROPE_NONE } rope_kind;

enum {
    A_PARALLEL = 1 << 0,          /* attention and feed-forward read the same residual stream */
    A_EMBD_SQRT = 1 << 1,         /* embeddings are scaled by sqrt(n_embd) */
    A_QK_NORM_LAST = 1 << 2,      /* q and k are normalised behind RoPE */
    A_QK_L2 = 1 << 3,             /* and so, without weights, in layers that have RoPE */
    A_WEIGHT_FIRST = 1 << 4,      /* an expert's weight scales its input, not its output */
    A_LOCAL_ROPE = 1 << 5,        /* layers with a window are the only ones with RoPE */
    A_LOCAL_PLAIN = 1 << 6,       /* their RoPE is not scaled */
    A_WINDOW_CHUNKS = 1 << 7,     /* windows do not slide: a position sees its own chunk */
    A_LOGIT_DIVIDE = 1 << 8,      /* logits are divided by logit_scale */
    A_YARN_SQUARED = 1 << 9,      /* YaRN's factor goes to the scores, squared */
    A_NORM_WEIGHTS = 1 << 10,     /* the weights of a token's experts are made to add up to 1 */
    A_TEMPERATURE_NOPE = 1 << 11, /* queries grow with the position only in layers without RoPE */
    A_ROPE_FINETUNED = 1 << 12,   /* rope.scaling.finetuned = false: no RoPE */
    A_YARN_FRACTIONS = 1 << 13,   /* YaRN's range of pairs is not rounded to whole ones */
    A_FF_BY_USED = 1 << 14, /* files of early 2024 name only feed_forward_length: of all experts that are used, and
                             * of the shared one */
};

/* What a key is where the file has none: value * n_embd ^ e * n_layer ^ l. */
typedef struct {
    const char *key;
    double value, n_embd, n_layer;
} arch_default;

typedef struct arch {
    const char *name;  /* general.architecture, and the prefix of its keys */
    uint64_t has, may; /* PART(...) */
    uint32_t traits;   /* A_... */
    rope_kind rope;
    activation_kind act;
    gating_kind gating;
    uint32_t no_rope_step; /* layers step - 1, 2 step - 1, ... have no RoPE; 0: all have it */
    /* Windows: the size where the file names none (0: then there are none), and the step between layers without one
     * (0: all layers have one). */
    uint32_t window, window_step;
    double local_rope_base;     /* of layers with a window; 0: as the others' */
    uint32_t alibi_layers;      /* only the variant with so many layers has ALiBi, and it has no RoPE; 0: all */
    uint32_t embd_scale_layers; /* the variant with so many layers scales scores by sqrt(n_embd / n_head) */
    uint32_t l2_not_experts;    /* the variant with so many experts lacks A_QK_L2 */
    uint32_t temperature_offset;
    const arch_default *defaults; /* ends with a NULL key; or NULL */
} arch;

/* NULL where the name is unknown. */
const arch *arch_find(str name);
/* "llama, smollm3, ...": for messages. */
void arch_list(char *out, size_t size);
/* The i-th row, or NULL. */
const arch *arch_at(size_t i);

/* Whether layer i has a tensor of this binding, and whether it must (globals: i = 0). */
typedef enum { NEED_NOT, NEED_MAY, NEED_MUST } need;
need arch_needs(const arch *a, const hparams *h, uint32_t i, const binding *b);

/* The size that a dim stands for, and its derivation ("n_head 32 x head size 128") for messages. */
uint64_t dim_size(const hparams *h, dim d);
void dim_describe(const hparams *h, dim d, char *out, size_t size);

#endif
