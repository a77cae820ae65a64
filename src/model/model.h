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
    layer *layers;                   /* [n_layer] */
    const double *inverse_frequency; /* [n_rot / 2], of RoPE */
    gguf_model_info info;
};

#endif
