/*
 * gguf.h - run GGUF language models: the library's only public header.
 *
 *   file ──> gguf_model (immutable, may be shared) ──> gguf_session (one timeline) ──> logits
 *   text <─> gguf_vocab <─> token ids                  gguf_sampler: logits ──> id
 *
 * A function that can fail returns false or NULL and takes a gguf_error last, which may be NULL. The
 * first error stored in a gguf_error stays: reuse one only after setting it to zero.
 */
#ifndef GGUF_H
#define GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GGUF_VERSION "0.1.0"

/* ---- errors --------------------------------------------------------------------------------- */

/* What went wrong, by kind; each is also the exit code of the commands. */
typedef enum {
    GGUF_OK = 0,
    GGUF_ERR_RUN = 1,     /* failed while running: input or output, a NaN, a bug */
    GGUF_ERR_USAGE = 2,   /* the caller asked for something that makes no sense */
    GGUF_ERR_MODEL = 3,   /* the file cannot be used: missing, damaged, unsupported */
    GGUF_ERR_CONTEXT = 4, /* the ids do not fit into the context */
    GGUF_ERR_MEMORY = 5,  /* not enough memory */
    GGUF_ERR_STOPPED = 6, /* the `stop` callback asked for it */
} gguf_code;

typedef struct {
    gguf_code code;
    char message[512]; /* one sentence, without control characters: the thing, the place, the way out */
} gguf_error;

/* Receives one line of advice that is not an error; never called after the call it was given to. */
typedef void gguf_warn_fn(void *ctx, const char *message);

/* ---- model ---------------------------------------------------------------------------------- */

typedef struct gguf_model gguf_model;
typedef struct gguf_vocab gguf_vocab;

typedef struct {
    bool no_mmap;                 /* read the file into memory instead of mapping it */
    bool mlock;                   /* keep the mapped file in memory; a warning where that is refused */
    bool vocab_only;              /* load the vocabulary alone: works without tensors and hyper-parameters */
    const char *pre;              /* the pre-tokenizer to use instead of the one that the file names, or NULL */
    const char *const *overrides; /* [n_overrides], metadata instead of the file's: "KEY=int|float|bool|str:VALUE", */
    size_t n_overrides; /* several separated by commas; a key with a leading '.' gets the architecture's name */
    gguf_warn_fn *warn; /* or NULL */
    void *warn_ctx;
} gguf_model_params;

typedef struct {
    const char *arch;          /* "llama" */
    const char *name;          /* general.name, or "" */
    const char *chat_template; /* the file's Jinja text, or NULL */
    uint64_t n_params;         /* elements of all tensors */
    uint64_t n_bytes;          /* bytes of all tensors */
    uint32_t n_vocab, n_ctx_train, n_embd, n_layer;
} gguf_model_info;

/* Opens a GGUF file, or all files of a split model given any one of them. params may be NULL. */
gguf_model *gguf_model_open(const char *path, const gguf_model_params *params, gguf_error *err);
void gguf_model_close(gguf_model *model); /* NULL is fine; sessions must be closed before */
gguf_model_info gguf_model_get_info(const gguf_model *model);
/* The vocabulary, or NULL where the file has none. */
const gguf_vocab *gguf_model_vocab(const gguf_model *model);

/* ---- vocabulary ----------------------------------------------------------------------------- */

#define GGUF_NO_TOKEN (-1)

typedef enum {
    GGUF_TOKEN_NORMAL = 1,
    GGUF_TOKEN_UNKNOWN = 2,
    GGUF_TOKEN_CONTROL = 3,
    GGUF_TOKEN_USER_DEFINED = 4,
    GGUF_TOKEN_UNUSED = 5,
    GGUF_TOKEN_BYTE = 6,
} gguf_token_type;

uint32_t gguf_vocab_size(const gguf_vocab *vocab);
int32_t gguf_vocab_bos(const gguf_vocab *vocab); /* GGUF_NO_TOKEN where the file names none */
int32_t gguf_vocab_eos(const gguf_vocab *vocab);
bool gguf_vocab_adds_bos(const gguf_vocab *vocab); /* whether a prompt starts with BOS */
bool gguf_vocab_adds_eos(const gguf_vocab *vocab);
bool gguf_vocab_is_end(const gguf_vocab *vocab, int32_t id); /* a token that ends generation */
gguf_token_type gguf_vocab_type(const gguf_vocab *vocab, int32_t id);
/* The token's name in the file ("<0x0A>", "▁the", "Ġthe"); not NUL-terminated. */
const char *gguf_vocab_name(const gguf_vocab *vocab, int32_t id, size_t *n);

typedef struct {
    bool no_bos;        /* leave out the BOS and EOS that the file asks for */
    bool parse_special; /* control tokens' names in the text become these tokens */
    /* [n] or NULL; with parse_special: only names all of whose bytes are true here do */
    const bool *special_at;
} gguf_tokenize_params;

/* Ids of text[0..n), which may hold any bytes. Returns their count and *ids, to be released with
 * free(); or -1. params may be NULL. Time is linear in n. */
ptrdiff_t gguf_vocab_tokenize(const gguf_vocab *vocab, const char *text, size_t n, const gguf_tokenize_params *params,
                              int32_t **ids, gguf_error *err);

/* Turns ids back into bytes, one at a time: a SentencePiece vocabulary drops the space before the
 * first word. Zero-initialise for a text's beginning; set `inside` to go on within one. */
typedef struct {
    bool inside;  /* text came before: a leading space is kept */
    bool special; /* show control tokens by their names; else they give no text */
} gguf_detokenizer;

/* The bytes of one id (may be an incomplete UTF-8 sequence): writes at most `size` of them to out
 * and returns their whole count. An id outside the vocabulary gives none. */
size_t gguf_vocab_detokenize(const gguf_vocab *vocab, gguf_detokenizer *state, int32_t id, char *out, size_t size);

/* ---- chat templates ------------------------------------------------------------------------- */

typedef struct gguf_chat_template gguf_chat_template;

/* From Jinja text[0..n), such as a model's (gguf_model_info.chat_template), or by a built-in's name ("chatml"). */
gguf_chat_template *gguf_chat_template_open(const char *text, size_t n, gguf_error *err);
gguf_chat_template *gguf_chat_template_builtin(const char *name, gguf_error *err);
const char *gguf_chat_template_name(size_t i); /* of built-in number i; NULL behind the last */
void gguf_chat_template_close(gguf_chat_template *t); /* NULL is fine */
/* Whether the template looks at a variable of this name ("enable_thinking"), or has this text in it. */
bool gguf_chat_template_reads(const gguf_chat_template *t, const char *variable);
bool gguf_chat_template_contains(const gguf_chat_template *t, const char *text);

/* What is rendered: JSON texts, each of which may be NULL. Of two that set the same variable the later one counts. */
typedef struct {
    const char *variables;      /* an object: {"messages": [...], "bos_token": "<s>", ...} */
    const char *messages;       /* an array: [{"role": "user", "content": "Hello"}, ...]; with it, `tools` and
                                 * `documents` are null where they are not given, and the next one is set */
    bool add_generation_prompt; /* the text ends where the assistant's answer begins */
    const char *tools;          /* an array of function descriptions */
    const char *kwargs;         /* an object: {"enable_thinking": false} */
    const char *now;            /* the template's clock, "YYYY-MM-DD HH:MM:SS"; NULL: the machine's */
    const gguf_vocab *vocab;    /* gives bos_token and eos_token, or NULL */
} gguf_chat_params;

/* A rendered conversation. It remembers which bytes the template wrote: only they may be control tokens, whatever the
 * messages hold. */
typedef struct {
    char *text; /* n bytes and a NUL */
    bool *own;  /* [n] true: the template's, false: the caller's */
    size_t n;
} gguf_chat_text;

/* A template that fails, or refuses the conversation: GGUF_ERR_USAGE, naming its line. */
bool gguf_chat_render(const gguf_chat_template *t, const gguf_chat_params *params, gguf_chat_text *out,
                      gguf_error *err);
void gguf_chat_text_free(gguf_chat_text *text);
/* Its ids, as gguf_vocab_tokenize; BOS comes first where the vocabulary wants it, once. */
ptrdiff_t gguf_chat_tokenize(const gguf_vocab *vocab, const gguf_chat_text *text, int32_t **ids, gguf_error *err);

/* ---- session -------------------------------------------------------------------------------- */

typedef struct gguf_session gguf_session;

typedef enum { GGUF_CACHE_F16, GGUF_CACHE_F32, GGUF_CACHE_BF16, GGUF_CACHE_Q8_0 } gguf_cache_type;

typedef struct {
    uint32_t n_ctx;           /* positions at most; 0: the trained context, lowered with a warning if too large */
    uint32_t n_batch;         /* positions computed at once; 0: 512 */
    uint32_t n_threads;       /* 0: what affinity, cgroup and cores allow */
    uint32_t n_threads_batch; /* the same for more than one token at once; 0: n_threads */
    gguf_cache_type cache_k, cache_v;
    int32_t gpu_layers; /* layers on GPUs, counted from the last; one more is the output; or one of those below; 0: the
                         * CPU alone */
    bool one_gpu;       /* on the first GPU alone */
    const float *gpu_shares; /* [n_gpu_shares] how layers are spread over the GPUs; none: by their free memory */
    size_t n_gpu_shares;
    bool profile;       /* time every operation: gguf_session_profile */
    gguf_warn_fn *warn; /* or NULL */
    void *warn_ctx;
    bool (*stop)(void *ctx); /* or NULL; asked several times a layer, where GPUs compute once a step: true ends the
                              * call, GGUF_ERR_STOPPED */
    void *stop_ctx;
} gguf_session_params;

enum {
    GGUF_GPU_AUTO = -1, /* as many layers as fit; none, with one warning, where no GPU can be used */
    GGUF_GPU_ALL = -2,
};

/* Whether the library was built with a GPU backend. Without one, gpu_layers above 0 and GGUF_GPU_ALL are an error. */
bool gguf_has_gpu_backend(void);

/* params may be NULL. The cache is address space: a page costs memory when a position reaches it. */
gguf_session *gguf_session_open(const gguf_model *model, const gguf_session_params *params, gguf_error *err);
void gguf_session_close(gguf_session *session); /* NULL is fine */

uint32_t gguf_session_context(const gguf_session *session);  /* positions at most */
uint32_t gguf_session_position(const gguf_session *session); /* positions filled */
uint32_t gguf_session_threads(const gguf_session *session);
uint32_t gguf_session_gpu_layers(const gguf_session *session); /* layers on GPUs, the output as one */

/* Appends ids[0..n) to the timeline. More than fit: GGUF_ERR_CONTEXT, and nothing is appended. After
 * any other error the position is where the last whole batch ended. */
bool gguf_session_decode(gguf_session *session, const int32_t *ids, size_t n, gguf_error *err);
/* Logits [n_vocab] after the last id; valid until the next call with this session. */
const float *gguf_session_logits(const gguf_session *session);
/* As gguf_session_decode, and hands over the logits [n_vocab] of every position, in order; false
 * from `each` ends the call with GGUF_ERR_STOPPED. */
bool gguf_session_score(gguf_session *session, const int32_t *ids, size_t n,
                        bool (*each)(void *ctx, uint32_t position, const float *logits), void *ctx, gguf_error *err);
/* What the operations of one kind have cost so far. */
typedef struct {
    const char *name; /* "matrix products" */
    uint64_t calls;
    double seconds;
    uint64_t bytes; /* of weights and cache that had to be read */
} gguf_profile_row;

/* Fills rows with at most n kinds of operation, in the order of a forward pass, and returns how many; 0 where the
 * session was opened without `profile`. */
size_t gguf_session_profile(const gguf_session *session, gguf_profile_row *rows, size_t n);

/* Forgets everything from `position` on. A position not yet filled is an error, and so is (GGUF_ERR_CONTEXT) one from
 * which layers with a sliding window no longer hold what stands before it: 0 always works. */
bool gguf_session_rewind(gguf_session *session, uint32_t position, gguf_error *err);

/* ---- sampler -------------------------------------------------------------------------------- */

typedef struct gguf_sampler gguf_sampler;

typedef struct {
    int32_t id;
    float bias; /* added to the logit; -INFINITY: never chosen */
} gguf_logit_bias;

/* The chain's samplers, in its default order; one whose value is the one in brackets does nothing. */
typedef struct {
    int32_t penalty_last_n;          /* tokens looked back at by the penalties; 0 none, -1 all [0] */
    float penalty_repeat;            /* [1] */
    float penalty_frequency;         /* [0] */
    float penalty_presence;          /* [0] */
    float dry_multiplier;            /* [0] */
    float dry_base;                  /* at least 1 */
    int32_t dry_allowed_length;      /* repeats up to this length cost nothing */
    int32_t dry_last_n;              /* tokens looked back at; -1: all, up to a million [0] */
    const char *const *dry_breakers; /* [n_dry_breakers], texts that end a sequence; they need `vocab` */
    size_t n_dry_breakers;
    const gguf_vocab *vocab; /* or NULL */
    float top_n_sigma;       /* [0 and less] */
    int32_t top_k;           /* [0 and less] */
    float typical_p;         /* [1] */
    float top_p;             /* [1] */
    float min_p;             /* [0] */
    float xtc_probability;   /* [0] */
    float xtc_threshold;     /* [above 0.5] */
    float temperature;       /* 0: greedy */
    float dynatemp_range;    /* temperature - range to temperature + range, by the entropy [0] */
    float dynatemp_exponent;
    int mirostat; /* 1 or 2: with the temperature alone, instead of the chain [0] */
    float mirostat_tau, mirostat_eta;
    const gguf_logit_bias *bias; /* [n_bias], added before everything else */
    size_t n_bias;
    const char *samplers;        /* another chain: "top_k;temperature"; NULL: the order above */
    const char *sampler_letters; /* the same in letters, "kt", where samplers is NULL */
    uint64_t seed;
} gguf_sampler_params;

/* llama.cpp's defaults, seed 0: top-k 40, top-p 0.95, min-p 0.05, temperature 0.8. */
gguf_sampler_params gguf_sampler_defaults(void);
/* params may be NULL; what it points to is copied. Values that make no sense: GGUF_ERR_USAGE. */
gguf_sampler *gguf_sampler_open(uint32_t n_vocab, const gguf_sampler_params *params, gguf_error *err);
void gguf_sampler_close(gguf_sampler *sampler); /* NULL is fine */
/* Chooses an id from logits [n_vocab], which stay as they are. The same seed, parameters and logits
 * give the same id on every machine. Ties go to the lower id. Ids in `banned` are never chosen. */
int32_t gguf_sampler_sample(gguf_sampler *sampler, const float *logits, const int32_t *banned, size_t n_banned);
/* Tells the sampler that the text goes on with this id (of the prompt, too): the penalties and DRY look back at it. */
void gguf_sampler_accept(gguf_sampler *sampler, int32_t id);

typedef struct {
    int32_t id;
    float logprob; /* natural logarithm */
} gguf_logprob;

/* The n likeliest ids of logits [n_vocab] before any sampling, likeliest first, into top[n], and the
 * log-probability of `id`. */
float gguf_logits_logprobs(const float *logits, uint32_t n_vocab, int32_t id, gguf_logprob *top, size_t n);

/* ---- process -------------------------------------------------------------------------------- */

/* A mapped file that shrinks under a running program raises SIGBUS. This installs a handler that says
 * so and ends the program with code 1 when the address is in a mapped model, and leaves every other
 * SIGBUS alone. The commands call it; a program with handlers of its own need not. */
void gguf_catch_file_faults(void);

#ifdef __cplusplus
}
#endif
#endif
