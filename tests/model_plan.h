/* Inside the model maker: which keys and which tensors a model has. The tensors are those that the engine's own table
 * (model/arch.h) asks for; scripts/reference.py, which knows nothing of it, says whether they are the right ones. */
#ifndef TESTS_MODEL_PLAN_H
#define TESTS_MODEL_PLAN_H

#include "format/gguf_write.h"
#include "model_maker.h"

enum { NAME_BYTES = 64 };

typedef struct {
    char name[NAME_BYTES];
    quant_type type;
    uint32_t n_dims;
    uint64_t ne[3];
    float centre, std;
    bool is_ramp; /* 1 to 8 in even steps: factors of RoPE */
} plan_tensor;

typedef struct {
    const model_spec *s;
    plan_tensor *tensors; /* [n] */
    size_t n, room;
    bool failed;
} model_plan;

/* A tensor type for all matrices, or a mix: the embedding that is the output and half of the others that matter most
 * get the better type. file_type is general.file_type, -1: it has no number. */
typedef struct {
    const char *name;
    quant_type type, better;
    int file_type;
} plan_format;

/* What models of an architecture are like where the options do not say. */
typedef struct {
    const char *name;
    bool tied;
    double rope_base;
    bool fused;       /* q, k and v in one tensor */
    const char *also; /* tensors of those that it may have: beginnings of names, with spaces between */
    const char *keys; /* "expert_count=u32:8 ..." */
} plan_arch;

const plan_arch *plan_find_arch(const char *name);
bool plan_find_format(const char *name, plan_format *out, gguf_error *err);
/* The architecture's keys. */
bool plan_put_hparams(gguf_writer *w, const model_spec *s, gguf_error *err);
/* "u32:7", "string:abc", "f32[]:1,2,3" under a key. */
bool plan_put_edit(gguf_writer *w, const char *name, const char *value, gguf_error *err);
/* The tensors, to be released with free(). */
bool plan_make_tensors(model_plan *p, const model_spec *s, const plan_format *f, gguf_error *err);

#endif
