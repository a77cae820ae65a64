/* Hyper-parameters: read under the file's own architecture prefix, completed with defaults, and checked. */
#ifndef MODEL_HPARAMS_H
#define MODEL_HPARAMS_H

#include "backend/backend.h"
#include "format/gguf_file.h"

typedef struct arch arch; /* model/arch.h */

enum { MAX_LAYERS = 4096 };

/* What kind a layer is. */
enum {
    LAYER_ROPE = 1,
    LAYER_LOCAL = 2, /* attention sees a window */
    LAYER_EXPERTS = 4,
    LAYER_CONV = 8, /* a short convolution instead of attention */
};

typedef enum { SCALING_LINEAR, SCALING_YARN, SCALING_LONG } rope_scaling;

typedef struct {
    uint32_t n_layer, n_embd, n_ff;
    uint32_t n_head, n_head_kv;
    uint32_t n_k, n_v; /* values of one head's key (and query), and of its value, as the cache holds them */
    uint32_t n_rot;    /* of the n_k, those that RoPE turns */
    uint32_t n_ctx_train;
    uint32_t n_vocab; /* rows of the embedding */
    float norm_eps;

    double rope_base, rope_base_local; /* of layers without and with a window */
    rope_scaling scaling;
    double rope_factor; /* positions are divided by it */
    double rope_alpha;  /* NTK: the base grows */
    uint32_t n_ctx_orig;
    double rope_attn_factor; /* scales cos and sin */
    double yarn_ext_factor, yarn_beta_fast, yarn_beta_slow, yarn_log_mul;

    uint32_t window; /* positions that attention sees in layers with LAYER_LOCAL, its own one included */
    uint32_t window_step;
    float attn_scale, attn_softcap, clamp_qkv, alibi; /* 0: none; the scale is 1 / sqrt(n_k) then */
    float temperature;                                /* queries grow with log(position) */
    uint32_t temperature_length;
    float embd_scale, residual_scale, logit_scale, logit_softcap; /* 0: none */
    bool parallel;                                                /* attention and feed-forward side by side */

    uint32_t n_expert, n_expert_used, n_ff_exp, n_expert_shared, n_ff_shared;
    uint32_t n_expert_group, n_expert_group_used;
    uint32_t n_dense_lead, expert_step; /* layers before the first with experts; one in expert_step has them */
    gating_kind gating;
    float expert_scale;
    bool expert_norm; /* the weights of a token's experts are made to add up to 1 */

    uint32_t n_lora_q, n_lora_kv, n_k_full, n_v_full; /* latent attention: n_k = n_lora_kv + n_rot, n_v = n_lora_kv */
    uint32_t n_conv;                                  /* positions that a short convolution sees */
    uint32_t n_layer_extra; /* last layers of the file, which predict further tokens: unused */

    uint8_t layer[MAX_LAYERS]; /* [n_layer] LAYER_... */
} hparams;

typedef enum { PARAM_U32, PARAM_F32, PARAM_F64, PARAM_BOOL } param_kind;

/* One key, "llama.block_count" without its prefix. */
typedef struct {
    const char *key;
    param_kind kind;
    size_t field;       /* offset in hparams */
    double min, max;    /* what makes sense */
    const char *absent; /* what is taken where the file has none; NULL: it must be there */
    uint64_t parts;     /* only architectures with one of these have it; 0: all */
    bool quiet;         /* not worth showing where the file has none */
} param;

/* The keys that are read, in the order to show them; ends with a NULL key. */
extern const param hparams_params[];

/* Whether the key means something to the architecture; NULL, an unknown one: what all have. */
bool param_concerns(const param *p, const arch *a);

/* The key's value under the architecture's prefix, or NULL. */
const gguf_kv *hparams_find(const gguf_file *f, str name, const char *key);
/* Every value in *h but n_vocab, or GGUF_ERR_MODEL with a sentence that names both sides of what does not fit. `a` may
 * be NULL (an unknown architecture): then it is what all have. */
bool hparams_read_keys(const gguf_file *f, str name, const arch *a, hparams *h, gguf_error *err);
/* The same, and n_vocab from the tensor token_embd.weight. */
bool hparams_read(const gguf_file *f, str name, const arch *a, hparams *h, gguf_error *err);
/* As the fields that `p` describes stand in h. */
double hparams_value(const hparams *h, const param *p);

/* What the products of queries and keys are multiplied with. */
float hparams_score_scale(const hparams *h, const arch *a);
/* The frequencies of RoPE [n_rot / 2] for layers with a window or without, `factors` [n_rot / 2] or NULL dividing
 * them; *scale is what cos and sin are multiplied with. */
void hparams_frequencies(const hparams *h, const arch *a, bool local, const float *factors, double *out, float *scale);

#endif
