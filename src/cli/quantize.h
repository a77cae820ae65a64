/* The parts of gguf-quantize. A mix is a name for the types that a model's tensors get ("Q4_K_M"). */
#ifndef CLI_QUANTIZE_H
#define CLI_QUANTIZE_H

#include "format/gguf_file.h"

typedef struct {
    const char *name;
    int file_type;   /* general.file_type; -1: as it is */
    quant_type type; /* of the tensors that no rule names */
} quant_mix;

extern const quant_mix quant_mixes[]; /* THE table of mixes; ends with a NULL name */

/* By name, in capitals or not, or by its general.file_type in digits; NULL where there is none. */
const quant_mix *mix_find(const char *text);
/* A tensor type by name, in capitals or not: one that weights can be stored in. */
bool mix_find_type(const char *text, quant_type *out);

/* What the rules look at. */
typedef struct {
    uint32_t n_layer, n_expert;
    uint32_t n_group;  /* query heads that share a key head */
    bool tied;         /* the embeddings are the output matrix too */
    uint32_t *values;  /* [n_layer] layers up to this one, itself not included, that have an attn_v */
    uint32_t n_values; /* all of them */
} mix_model;

bool mix_model_open(mix_model *m, const gguf_file *f, gguf_error *err);
void mix_model_close(mix_model *m);

/* Whether a tensor gets another type at all: matrices of weights do; norms, biases, routers and tables of positions
 * stay as they are. */
bool mix_is_weight(const gguf_tensor *t);
bool mix_is_output(const mix_model *m, const gguf_tensor *t); /* or the embeddings in its stead */
bool mix_is_embedding(const gguf_tensor *t);
/* The type that the mix's rules give a tensor for which mix_is_weight is true. */
quant_type mix_type(const quant_mix *mix, const mix_model *m, const gguf_tensor *t);
/* The nearest type whose blocks fill rows of n weights. */
quant_type mix_type_that_fits(quant_type type, uint64_t n);

#endif
