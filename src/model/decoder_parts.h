/* Inside the decoder: what its parts share. */
#ifndef MODEL_DECODER_PARTS_H
#define MODEL_DECODER_PARTS_H

#include "model/decoder.h"

typedef struct {
    const gguf_model *m;
    workspace *w;
    op *ops;
    size_t n;
    int layer;
    const float *slopes; /* [n_head], ALiBi's, or NULL */
} builder;

/* One product of an input with a matrix, and its optional bias. */
typedef struct {
    const char *name;
    const matrix *w;
    const float *bias;
    float *out;
} product;

op *emit(builder *b, op_kind kind, const char *name, size_t n);
/* The model's kind of norm over rows of n values; weights may be NULL. */
op *emit_norm(builder *b, const char *name, const float *in, const float *weight, const float *bias, size_t n,
              float *out);
/* out = a + b, rows of n_embd */
void emit_add(builder *b, const char *name, const float *a, const float *in2, float *out);
void emit_scale(builder *b, const char *name, float *x, size_t n, float scale);
/* The quantized form of an input for matrices of this type. */
act_buffer *act_for(workspace *w, quant_type type);
/* The products of one input: it is quantized once for each length of block that the matrices have. */
void emit_products(builder *b, const float *in, const product *p, size_t n);

/* Each reads `in` [n_embd] and writes w->out. */
void emit_attention(builder *b, const layer *l, const float *in, const cache_layer *cache);
void emit_latent_attention(builder *b, const layer *l, const float *in, const cache_layer *cache);
void emit_convolution(builder *b, const layer *l, const float *in, const cache_layer *cache);
void emit_feed_forward(builder *b, const layer *l, const float *in);

#endif
