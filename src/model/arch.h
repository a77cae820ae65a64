/*
 * THE architecture table: one row an architecture, with what it has and which tensors it binds. No architecture's
 * name is compared anywhere else.
 */
#ifndef MODEL_ARCH_H
#define MODEL_ARCH_H

#include "base/str.h"
#include "kernel/kernel.h"
#include "model/hparams.h"

/* One transformer layer; matrices are rows of n_in, as in the file. NULL and data == NULL: the model has none. */
typedef struct {
    const float *attn_norm; /* [n_embd] */
    matrix q, k, v;         /* [n_head n_k][n_embd], [n_head_kv n_k][n_embd], [n_head_kv n_v][n_embd] */
    const float *q_bias, *k_bias, *v_bias;
    matrix attn_out; /* [n_embd][n_head n_v] */
    const float *attn_out_bias;
    const float *ffn_norm; /* [n_embd] */
    matrix gate, up, down; /* [n_ff][n_embd] twice, [n_embd][n_ff] */
    const float *gate_bias, *up_bias, *down_bias;
    bool has_rope;
} layer;

/* Tensors outside the layers. */
typedef struct {
    matrix embedding;          /* [n_vocab][n_embd] */
    const float *output_norm;  /* [n_embd] */
    matrix output;             /* [n_vocab][n_embd]; the embedding where the file has none */
    const float *rope_factors; /* [n_rot / 2], or NULL: frequencies are divided by these */
} globals;

/* ---- binding: which tensor goes where, and which shape it must have --------------------------- */

typedef enum { DIM_NONE, DIM_EMBD, DIM_VOCAB, DIM_FF, DIM_Q, DIM_K, DIM_V, DIM_ATTN, DIM_ROT_HALF, DIM_COUNT } dim;
typedef enum { BIND_MATRIX, BIND_VECTOR } bind_kind;

typedef struct {
    const char *name; /* in a layer: what follows "blk.N." */
    bind_kind kind;
    size_t field; /* offset in layer or globals */
    dim ne[2];    /* ne[0] is the length of a row */
    bool optional;
} binding;

typedef struct {
    const char *name;       /* general.architecture, and the prefix of its keys */
    uint32_t no_rope_step;  /* layers step - 1, 2 step - 1, ... have no RoPE; 0: all have it */
    const binding *globals; /* ends with a NULL name */
    const binding *layer;
} arch;

/* NULL where the name is unknown. */
const arch *arch_find(str name);
/* "llama, smollm3": for messages. */
const char *arch_list(void);
bool arch_layer_has_rope(const arch *a, uint32_t layer);

/* The size that a dim stands for, and its derivation ("n_head 32 x head size 128") for messages. */
uint64_t dim_size(const hparams *h, dim d);
void dim_describe(const hparams *h, dim d, char *out, size_t size);

#endif
