/*
 * Makes models with random weights: any architecture row, shape, tensor type and vocabulary, for tests and for
 * measuring speed. The same options give the same bytes on every machine.
 */
#ifndef TESTS_MODEL_MAKER_H
#define TESTS_MODEL_MAKER_H

#include "base/arena.h"
#include "base/error.h"

typedef enum { EDIT_KEY, EDIT_SET, EDIT_DROP, EDIT_DROP_TENSOR, EDIT_RENAME_TENSOR } edit_kind;

/* A deliberate oddity, applied last; or (EDIT_KEY) a key of the architecture, by which shapes go. */
typedef struct {
    edit_kind kind;
    const char *name;
    const char *value; /* EDIT_SET, EDIT_KEY: "u32:7", "f32[]:1,2"; EDIT_RENAME_TENSOR: the new name */
} model_edit;

enum { MAX_EDITS = 32 };

/* What to make; a zero field means the default that stands beside it. */
typedef struct {
    const char *arch;           /* llama */
    const char *type;           /* F32; a row of the type table, Q4_K_M or Q5_K_M */
    uint32_t n_embd, n_ff;      /* 256, 512 */
    uint32_t n_layer;           /* 4 */
    uint32_t n_head, n_head_kv; /* 8, n_head */
    uint32_t head_size;         /* n_embd / n_head */
    uint32_t n_rot;             /* head_size */
    uint32_t n_ctx, n_vocab;    /* 512, 512 */
    uint32_t alignment, n_shards;
    double rope_base;  /* the architecture's */
    const char *vocab; /* spm; bpe, none */
    const char *pre;   /* llama-bpe; tokenizer.ggml.pre of a bpe vocabulary */
    bool tied, untied; /* the architecture's */
    bool biases, rope_factors;
    bool fused, split_experts, optional;
    uint64_t seed;
    model_edit edits[MAX_EDITS];
    size_t n_edits;
    arena mem; /* of the strings above */
} model_spec;

/* Reads options ("--embd 512 --type Q8_0 --preset tiny ...") into a zeroed or already used spec. The one argument
 * that is no option goes to *path; path may be NULL, then there must be none. */
bool model_spec_parse(model_spec *s, int argc, char *const *argv, const char **path, gguf_error *err);
/* The same from one line, with spaces between the arguments. */
bool model_spec_parse_line(model_spec *s, const char *line, gguf_error *err);
void model_spec_free(model_spec *s);
/* The options and presets, for people. */
void model_spec_help(void);

/* Writes the model to a file; with n_shards > 1 to "name-00001-of-0000N.gguf" and so on, for path = "name.gguf". */
bool model_write(const model_spec *s, const char *path, gguf_error *err);
/* The same bytes in memory, to be released with free(); NULL on error. One shard. */
uint8_t *model_bytes(const model_spec *s, size_t *n, gguf_error *err);

#endif
