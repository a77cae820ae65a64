/* Hyper-parameters: read under the file's own architecture prefix, completed with defaults, and checked. */
#ifndef MODEL_HPARAMS_H
#define MODEL_HPARAMS_H

#include "format/gguf_file.h"

typedef struct {
    uint32_t n_layer, n_embd, n_ff;
    uint32_t n_head, n_head_kv;
    uint32_t n_k, n_v; /* values of one head's key (and query), and of its value */
    uint32_t n_rot;    /* of the n_k, those that RoPE turns */
    uint32_t n_ctx_train;
    uint32_t n_vocab; /* rows of the embedding */
    uint32_t n_expert;
    float norm_eps;
    double rope_base;
    double rope_factor; /* linear scaling: positions are divided by it */
} hparams;

typedef enum { PARAM_U32, PARAM_F32, PARAM_F64 } param_kind;

/* One key, "llama.block_count" without its prefix. */
typedef struct {
    const char *key;
    param_kind kind;
    size_t field;       /* offset in hparams */
    double min, max;    /* what makes sense */
    const char *absent; /* what is taken where the file has none; NULL: it must be there */
} param;

/* The keys that are read, in the order to show them; ends with a NULL key. */
extern const param hparams_params[];

/* The key's value under the architecture's prefix, or NULL. */
const gguf_kv *hparams_find(const gguf_file *f, str arch, const char *key);
/* Every value in *h, or GGUF_ERR_MODEL with a sentence that names both sides of what does not fit. Needs the tensor
 * token_embd.weight for n_vocab. */
bool hparams_read(const gguf_file *f, str arch, hparams *h, gguf_error *err);
/* As the fields that `p` describes stand in h. */
double hparams_value(const hparams *h, const param *p);

#endif
