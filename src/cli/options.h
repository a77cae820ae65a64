/* The command line: THE table of commands and THE table of flags. --help, the manual and
 * the completions are made from them. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdio.h>

#include "gguf.h"

/* The program's commands, as bits, so that a flag can name those it belongs to. */
enum {
    CMD_RUN = 1 << 0,
    CMD_INSPECT = 1 << 1,
    CMD_EVAL = 1 << 2,
    CMD_TOKENIZE = 1 << 3,
    CMD_BENCH = 1 << 4,
    CMD_QUANTIZE = 1 << 5,
    CMD_ALL = CMD_RUN | CMD_INSPECT | CMD_EVAL | CMD_TOKENIZE | CMD_BENCH | CMD_QUANTIZE,
};

enum { MAX_LIST = 128, MAX_ROPE = 8, MAX_WORDS = 4, MAX_SHARES = 16 };

/* A flag that may be given several times. */
typedef struct {
    const char *items[MAX_LIST];
    int64_t n;
} option_list;

typedef enum { THINK_AUTO, THINK_ON, THINK_OFF } think_mode;

/* Every flag's value; a command reads those it has. */
typedef struct {
    /* everywhere */
    const char *model, *pre;
    bool help, version, json;
    const char *words[MAX_WORDS]; /* arguments that are no flags */
    int n_words;
    int64_t no_effect; /* where flags go that llama.cpp has and nothing here needs */
    /* text in */
    const char *prompt, *file;
    bool escapes, parse_special, no_bos;
    /* machine */
    int64_t threads, threads_batch, ctx, batch, ubatch;
    int64_t cache_k, cache_v; /* gguf_cache_type */
    bool no_mmap, mlock;
    int64_t gpu_layers; /* or GGUF_GPU_AUTO, GGUF_GPU_ALL */
    int64_t split_mode; /* 0: layers over all GPUs, 1: the first alone */
    const char *tensor_split;
    float gpu_shares[MAX_SHARES]; /* what it says */
    int64_t n_gpu_shares;
    /* metadata instead of the file's */
    option_list override_kv;
    int64_t rope_scaling;                                              /* -1: the file's; else of the flag's choices */
    double rope_scale, rope_freq_base, rope_freq_scale, yarn_orig_ctx; /* NAN: the file's, as those that follow */
    double yarn_ext_factor, yarn_attn_factor, yarn_beta_fast, yarn_beta_slow;
    char rope_overrides[MAX_ROPE][64]; /* what these amount to, as items of override_kv */
    double timeout;                    /* seconds; 0: none */
    /* run */
    int64_t n_predict;
    bool profile, echo, ignore_eos, special, jsonl, verbose;
    int64_t conversation; /* 1: a chat, 0: the text as it is, -1: as prompt, terminal and template have it */
    int64_t timings;      /* -1: where stderr is a terminal */
    int64_t logprobs;
    option_list stops;
    int64_t keep;                /* of a chat whose context is full: tokens of the beginning that stay */
    bool single_turn, simple_io; /* of a chat */
    bool context_shift;
    /* sampler */
    int64_t seed; /* -1: drawn */
    double temp, top_p, min_p, typical, repeat_penalty, presence_penalty, frequency_penalty;
    int64_t top_k, repeat_last_n;
    double top_n_sigma, xtc_probability, xtc_threshold, dynatemp_range, dynatemp_exp;
    double dry_multiplier, dry_base, mirostat_lr, mirostat_ent;
    int64_t dry_allowed_length, dry_penalty_last_n, mirostat;
    option_list dry_breakers, logit_bias;
    const char *samplers, *sampling_seq;
    /* inspect */
    bool metadata, tensors, show_template, json_arrays, explain, plan, check, hash;
    const char *tensor, *values;
    /* eval */
    const char *ids, *logits_out, *kl, *kl_base;
    bool score;
    int64_t chunk, stride, n_chunks;
    option_list dump;
    /* bench: lists of numbers, separated by commas */
    const char *n_prompt, *n_gen, *n_depth, *n_threads, *format;
    int64_t repetitions;
    bool ceilings, start;
    /* quantize */
    bool pure, allow_requantize, leave_output, dry_run;
    const char *output_type, *embedding_type;
    option_list tensor_types;
    /* tokenize */
    bool ids_only, count, detokenize;
    const char *chat;
    /* chat templates */
    const char *chat_template, *chat_template_file, *chat_kwargs, *clock;
    const char *system, *system_file, *tools;
    int64_t think;        /* think_mode */
    int64_t think_budget; /* tokens; -1: no limit */
    bool show_thinking;
} options;

typedef struct {
    const char *name; /* "run" */
    unsigned bit;
    const char *usage;   /* after the name */
    const char *summary; /* one line */
    const char *more;    /* the paragraph under the flags */
    int (*main)(const options *o);
    int n_words; /* arguments without a flag that it takes at most; the one of gguf-inspect is the model */
} command;

extern const command commands[]; /* ends with a NULL name */

typedef enum {
    OPT_ON,
    OPT_OFF,
    OPT_TEXT,
    OPT_INT,
    OPT_REAL,
    OPT_CACHE,
    OPT_LAYERS,
    OPT_CHOICE,
    OPT_LIST,
    OPT_ONE,
    OPT_ZERO
} option_kind;

/* A row of the table of flags. */
typedef struct {
    unsigned commands;
    const char *names; /* "-m, --model": the first long one is the flag's name */
    const char *arg; /* "FILE"; NULL: it takes none; of a choice "on|off|auto", in brackets where it may be left out */
    option_kind kind;
    size_t field;
    double min, max; /* of a number */
    const char *env;
    const char *help;
} flag;

const flag *options_flags(size_t *n);
/* Whether given[0..n), with '_' read as '-' in long names, is one of a row's names. */
bool flag_has_name(const char *names, const char *given, size_t n);
/* Whether a row's `arg` may be left out: "on" then. */
bool value_is_optional(const char *arg);

/* What the program's exit codes mean; ends with NULL. */
typedef struct {
    int code;
    const char *what;
} exit_code;

extern const exit_code exit_codes[];

/* Reads argv[first..argc) and the LLAMA_ARG_* variables into *o; false with GGUF_ERR_USAGE. */
bool options_parse(const command *c, int argc, char **argv, int first, options *o, gguf_error *err);
void options_help(const command *c, FILE *out);

/* Names of gguf_cache_type, ended by NULL. */
extern const char *const cache_types[];

int run_main(const options *o);
int inspect_main(const options *o);
int eval_main(const options *o);
int tokenize_main(const options *o);
int bench_main(const options *o);
int quantize_main(const options *o);

#endif
