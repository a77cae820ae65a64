/* The forward pass, THE one for all architectures, laid out as a list of operations for a backend. */
#ifndef MODEL_DECODER_H
#define MODEL_DECODER_H

#include "backend/backend.h"
#include "model/model.h"

/* Rows of logits that exist at once: positions whose logits are asked for pass the output matrix in groups. */
enum { LOGIT_ROWS = 16 };

/* The working memory of a step of up to n_batch tokens; shapes as of the model's hparams. */
typedef struct {
    uint32_t n_batch;
    float *x;                        /* [n_batch][n_embd], the residual stream */
    float *h, *out;                  /* [n_batch][n_embd], a block's input and output */
    float *q, *k, *v, *attn;         /* [n_batch][n_head n_k], [n_head_kv n_k], [n_head_kv n_v], [n_head n_v] */
    float *waist, *heads;            /* latent attention: [n_batch][n_lora_q], [n_head n_k_full or n_v_full] */
    float *conv;                     /* [n_batch][3 n_embd] */
    float *gate, *up;                /* [n_batch][n_ff], [slots][n_ff_exp] or [n_batch][n_ff_shared] */
    float *router;                   /* [n_batch][n_expert], or one value a token */
    float *down;                     /* [slots][n_embd] */
    float *rows;                     /* [LOGIT_ROWS][n_embd] */
    float *logits;                   /* [LOGIT_ROWS][n_vocab] */
    act_buffer plain, by_32, by_256; /* of the widest input */
    routing routing;
    rope_table rope[2]; /* of layers without and with a window */
} workspace;

/* Lays the arrays of *w out from base on and returns the bytes they take; base = NULL only measures. */
size_t workspace_layout(const gguf_model *m, uint32_t n_batch, workspace *w, char *base);

typedef struct {
    op *body; /* from ids to x, with the cache written */
    size_t n_body;
    op *head; /* from rows of x to logits */
    size_t n_head;
} plan;

/* cache: [n_layer], for n_ctx positions. The plan points into the model, the workspace and the cache; its lists live
 * in mem. */
bool plan_make(const gguf_model *m, workspace *w, const cache_layer *cache, uint32_t n_ctx, arena *mem, plan *out,
               gguf_error *err);

#endif
