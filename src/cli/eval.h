/* The parts of gguf-eval. */
#ifndef CLI_EVAL_H
#define CLI_EVAL_H

#include "base/new_file.h"
#include "cli/options.h"

/* A mean and its standard error. */
typedef struct {
    double sum, squares;
    uint64_t n;
} mean;

void mean_add(mean *m, double v);
double mean_value(const mean *m);
double mean_error(const mean *m);

/* Ids of a text with BOS in front where the model wants one, and without an EOS. Returns their count and *ids, to be
 * released with free(); or -1. */
ptrdiff_t eval_tokenize(const options *o, const gguf_vocab *v, const char *text, size_t n, int32_t **ids,
                        gguf_error *err);

/* Text cut into chunks; of each the last positions are scored: how surprised the model is by the id that follows. */
typedef struct {
    int32_t *ids; /* [n_ids] */
    size_t n_ids, n_chunks;
    uint32_t size, stride; /* ids of a chunk, and from one's beginning to the next one's */
    uint32_t first;        /* position of a chunk that is scored first; the last one is size - 2 */
} chunks;

/* A file of a base run's log-probabilities at every scored position, as llama-perplexity writes and reads it:
 * "_logits_", i32 chunk size, vocabulary, chunks; i32 ids [chunks][size]; then for each scored position f32 scale, f32
 * lowest, u16 [vocabulary, made even], with ln p = scale * u16 + lowest. */
typedef struct {
    FILE *in;
    new_file out;
    uint32_t n_vocab;
    uint16_t *row;           /* [4 + n_vocab, made even] */
    float *logprob, *weight; /* [n_vocab] of the base, when reading */
    double *kl;              /* [n_kl] of every position so far */
    size_t n_kl, room_kl;
    mean divergence, base_nll;
    uint64_t n_same_top;
} kl_file;

bool kl_create(kl_file *k, const char *path, const chunks *c, uint32_t n_vocab, gguf_error *err);
bool kl_write(kl_file *k, const float *logits, gguf_error *err);
/* Fills in *c from the file; its ids are to be released with free(). */
bool kl_open(kl_file *k, const char *path, chunks *c, uint32_t n_vocab, gguf_error *err);
/* Compares the next position, whose following id is `next`. */
bool kl_compare(kl_file *k, const float *logits, int32_t next, gguf_error *err);
/* The value below which a share of the divergences lies; sorts them. */
double kl_quantile(kl_file *k, double share);
void kl_close(kl_file *k);

/* gguf-eval -f, --kl-base, --kl */
bool eval_perplexity(const options *o, gguf_error *err);
/* gguf-eval --score */
bool eval_score(const options *o, gguf_error *err);

#endif
