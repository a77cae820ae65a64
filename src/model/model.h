/* A loaded model: immutable, shared by sessions; its matrices stay where the file has them. */
#ifndef MODEL_MODEL_H
#define MODEL_MODEL_H

#include "base/arena.h"
#include "format/gguf_file.h"
#include "model/arch.h"

struct gguf_model {
    arena mem;
    gguf_file *file;
    gguf_vocab *vocab; /* or NULL */
    const arch *arch;  /* NULL where only the vocabulary was asked for, as all that follows */
    hparams hp;
    globals g;
    layer *layers; /* [n_layer] */
    gguf_model_info info;
};

/* What one token costs: what it must read, and what it must multiply. */
typedef struct {
    uint64_t decode_bytes; /* of weights, each read once: the layers' and the output matrix */
    uint64_t block_macs;   /* multiply-adds of the layers' matrices of integer blocks */
    uint64_t plain_macs;   /* and of those of plain numbers */
} model_cost;

model_cost model_count_cost(const gguf_model *m);

#endif
