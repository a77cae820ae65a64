/* What the parts of gguf-inspect share: the open file with what was found out about it, and how things are shown. */
#ifndef CLI_INSPECT_H
#define CLI_INSPECT_H

#include "cli/options.h"
#include "cli/output.h"
#include "model/model.h"

typedef struct {
    size_t n_tensors;
    uint64_t n_params, n_bytes;
} tensor_total;

typedef struct {
    const options *o;
    FILE *out;       /* what is printed, on its way to stdout */
    gguf_file *file; /* NULL where it could not be opened; then all below is empty */
    gguf_error file_error;
    uint64_t file_bytes; /* of all shards */
    str arch_name;       /* empty where the file does not say */
    const arch *arch;    /* NULL: this program does not run it */
    bool has_hparams;    /* else hparams_error says what is wrong with them */
    hparams hp;
    gguf_error hparams_error;
    tensor_total total, of_type[QUANT_TYPE_COUNT];
} inspection;

/* An action: what one flag asks for. False where it failed. */
typedef bool inspect_fn(const inspection *in, gguf_error *err);
inspect_fn inspect_summary;                                     /* inspect_summary.c */
inspect_fn inspect_metadata, inspect_tensors, inspect_template; /* inspect_list.c */
inspect_fn inspect_explain, inspect_plan;                       /* inspect_explain.c */
inspect_fn inspect_check, inspect_hash, inspect_values;         /* inspect_data.c */
inspect_fn inspect_json;                                        /* inspect_json.c */

/* ---- facts about a file: inspect_facts.c ------------------------------------------------------ */

/* Fills in all that follows from in->file. */
void gather_facts(inspection *in);

/* The string under a key; false where there is none. */
bool find_string(const gguf_file *f, const char *key, str *out);
/* The key "tokenizer.ggml.NAME", or NULL. */
const gguf_kv *find_tokenizer(const gguf_file *f, const char *name);

/* The names of the ids and switches that a tokenizer can have ("bos_token_id", "add_bos_token"); they end with NULL. */
extern const char *const tokenizer_ids[], *const tokenizer_switches[];
/* The id under such a name: false where the file has none, 0xFFFFFFFF (files of 2023 mean "none" by it) included. */
bool find_token_id(const gguf_file *f, const char *name, int64_t *id);
/* The name of the token with this id; false where it is not in the vocabulary. */
bool find_token_name(const gguf_file *f, int64_t id, str *name);

/* The rest of a key under the architecture's prefix ("block_count"); false where it is not under it. */
bool key_of_arch(const inspection *in, const gguf_kv *kv, str *rest);
/* Whether something in this program reads that key. Those of hparams_params are a part of them. */
bool is_read(const inspection *in, str key);
bool is_param(const inspection *in, str key);
/* Whether a table of hyper-parameters has a row for it: it means something here, and the file has it or people look for
 * it. */
bool shows_param(const inspection *in, const param *p);

/* What is taken for a hyper-parameter, from the file or by default, as far as that is known: false where it is not. */
bool find_param_value(const inspection *in, const param *p, short_text *out);
/* The number of layers, also where other hyper-parameters are wrong; 0: the file does not say. */
uint32_t layer_count(const inspection *in);

/* general.file_type: its number and its name as llama.cpp has it (NULL: unknown); false where the file has none. */
bool find_mix(const gguf_file *f, int64_t *number, const char **name);
double bits_per_weight(const tensor_total *t); /* 0 where there are no weights */

/* What a run would take, in bytes. */
typedef struct {
    uint32_t n_ctx;
    uint64_t weights, cache, work, sum;
    uint64_t limit;     /* what this process can have for cache and work memory */
    bool fits;          /* a session can be opened */
    bool weights_fit;   /* and the weights can stay in memory beside it */
    uint32_t n_ctx_fit; /* the largest context up to n_ctx for which a session can be opened; 0: none */
} memory_plan;

/* For the context and cache types of the options. Needs has_hparams. */
memory_plan plan_memory(const inspection *in);

/* ---- how things are shown: inspect_show.c ----------------------------------------------------- */

short_text shape_of(const gguf_tensor *t); /* "2048x11008" */
/* The shortest text that reads back as the same number, as a float32 or a double. */
short_text short_float(double v, bool is_f32);

/* One line of text: what would end or upset it becomes an escape, and what is longer than max bytes is cut between two
 * characters, with a note of its length. */
void show_text(FILE *out, str s, size_t max);
/* The same for a column: whole, without spaces, filled up to `width`. */
void show_word(FILE *out, str s, size_t width);
/* Element i of a value that is no string. */
void show_number(FILE *out, const gguf_kv *kv, uint64_t i);
/* A value: strings in quotes, an array as its first elements and its length. */
void show_value(FILE *out, const gguf_kv *kv);
/* The type of a value: "u32", "string[]". */
short_text type_of(const gguf_kv *kv);

/* Decimal digits: the width of a column of numbers up to n. */
int digits_of(uint64_t n);

#endif
