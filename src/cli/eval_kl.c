/* Log-probabilities of a base run in a file, and how far another run is from them. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "cli/eval.h"
#include "kernel/fmath.h"
#include "sample/candidates.h"

enum { ROW_HEAD = 4, DEPTH = 16, STEPS = 65535 }; /* what is DEPTH nats below the likeliest becomes the lowest */

static const char magic[8] = "_logits_";

static size_t row_bytes(uint32_t n_vocab) { return (ROW_HEAD + ((size_t)n_vocab + 1) / 2 * 2) * sizeof(uint16_t); }

static bool alloc_row(kl_file *k, uint32_t n_vocab, gguf_error *err) {
    k->n_vocab = n_vocab;
    k->row = calloc(1, row_bytes(n_vocab));
    k->logprob = calloc(n_vocab, sizeof *k->logprob);
    k->weight = calloc(n_vocab, sizeof *k->weight);
    return (k->row && k->logprob && k->weight) || fail_memory(err, "a row of log-probabilities", row_bytes(n_vocab));
}

void kl_close(kl_file *k) {
    if (k->in) fclose(k->in);
    new_file_close(&k->out);
    free(k->row);
    free(k->logprob);
    free(k->weight);
    free(k->kl);
}

/* ---- writing --------------------------------------------------------------------------------- */

bool kl_create(kl_file *k, const char *path, const chunks *c, uint32_t n_vocab, gguf_error *err) {
    const uint32_t head[] = {c->size, n_vocab, (uint32_t)c->n_chunks};
    return alloc_row(k, n_vocab, err) && new_file_open(&k->out, path, false, err) &&
           new_file_write(&k->out, magic, sizeof magic, err) && new_file_write(&k->out, head, sizeof head, err) &&
           new_file_write(&k->out, c->ids, c->n_chunks * c->size * sizeof *c->ids, err);
}

bool kl_write(kl_file *k, const float *logits, gguf_error *err) {
    uint32_t n = k->n_vocab;
    float max = max_of(logits, n), min = logits[0];
    double log_sum = log_f64(sum_exp(logits, n, max, NULL));
    for (uint32_t i = 1; i < n; i++) min = logits[i] < min ? logits[i] : min;
    if (min < max - DEPTH) min = max - DEPTH;
    float head[2] = {(max - min) / STEPS, (float)((double)min - (double)max - log_sum)};
    float steps = max > min ? STEPS / (max - min) : 0;
    memcpy(k->row, head, sizeof head);
    for (uint32_t i = 0; i < n; i++)
        k->row[ROW_HEAD + i] = logits[i] > min ? (uint16_t)rintf((logits[i] - min) * steps) : 0;
    return new_file_write(&k->out, k->row, row_bytes(n), err);
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool take(kl_file *k, void *out, size_t n, const char *path, gguf_error *err) {
    return fread(out, 1, n, k->in) == n ||
           fail(err, GGUF_ERR_RUN, "%s: %s", path, ferror(k->in) ? strerror(errno) : "the file is cut short");
}

bool kl_open(kl_file *k, const char *path, chunks *c, uint32_t n_vocab, gguf_error *err) {
    char name[sizeof magic];
    uint32_t head[3];
    k->in = fopen(path, "re");
    if (!k->in) return fail(err, GGUF_ERR_USAGE, "%s: cannot open: %s", path, strerror(errno));
    if (!take(k, name, sizeof name, path, err)) return false;
    if (memcmp(name, magic, sizeof magic) != 0)
        return fail(err, GGUF_ERR_USAGE, "%s: holds no log-probabilities (gguf-eval --kl-base makes them)", path);
    if (!take(k, head, sizeof head, path, err)) return false;
    if (head[1] != n_vocab)
        return fail(err, GGUF_ERR_USAGE, "%s: was made with a vocabulary of %u, but this model has %u", path, head[1],
                    n_vocab);
    if (head[0] < 4 || head[0] > 1 << 20 || head[2] < 1 || head[2] > 1 << 20)
        return fail(err, GGUF_ERR_USAGE, "%s: says that it has %u chunks of %u ids: it is damaged", path, head[2],
                    head[0]);
    *c = (chunks){.size = head[0], .stride = head[0], .first = head[0] / 2, .n_chunks = head[2]};
    while (c->n_ids < (size_t)head[0] * head[2]) { /* chunk by chunk: what the file says is proven as it is read */
        int32_t *more = realloc(c->ids, (c->n_ids + head[0]) * sizeof *more);
        if (!more) return fail_memory(err, "the ids", (c->n_ids + head[0]) * sizeof *more);
        c->ids = more;
        if (!take(k, more + c->n_ids, head[0] * sizeof *more, path, err)) return false;
        for (uint32_t i = 0; i < head[0]; i++, c->n_ids++) {
            if (more[c->n_ids] < 0 || (uint32_t)more[c->n_ids] >= n_vocab)
                return fail(err, GGUF_ERR_USAGE, "%s: the id %d is not in the vocabulary: it is damaged", path,
                            more[c->n_ids]);
        }
    }
    return alloc_row(k, n_vocab, err);
}

static bool add_divergence(kl_file *k, double v, gguf_error *err) {
    if (k->n_kl == k->room_kl) {
        size_t room = k->room_kl ? 2 * k->room_kl : 1024;
        double *more = realloc(k->kl, room * sizeof *more);
        if (!more) return fail_memory(err, "the divergences", room * sizeof *more);
        k->kl = more;
        k->room_kl = room;
    }
    k->kl[k->n_kl++] = v;
    mean_add(&k->divergence, v);
    return true;
}

static uint32_t highest(const float *x, uint32_t n) {
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++) best = x[i] > x[best] ? i : best;
    return best;
}

bool kl_compare(kl_file *k, const float *logits, int32_t next, gguf_error *err) {
    uint32_t n = k->n_vocab;
    float head[2], max = max_of(logits, n);
    double norm = (double)max + log_f64(sum_exp(logits, n, max, NULL)), sum = 0;
    if (!take(k, k->row, row_bytes(n), "--kl", err)) return false;
    memcpy(head, k->row, sizeof head);
    for (uint32_t i = 0; i < n; i++) k->logprob[i] = head[0] * (float)k->row[ROW_HEAD + i] + head[1];
    sum_exp(k->logprob, n, 0, k->weight);
    for (uint32_t i = 0; i < n; i++) {
        if (k->logprob[i] > -DEPTH) sum += (double)k->weight[i] * ((double)k->logprob[i] - ((double)logits[i] - norm));
    }
    mean_add(&k->base_nll, -(double)k->logprob[next]);
    k->n_same_top += highest(k->logprob, n) == highest(logits, n);
    return add_divergence(k, sum, err);
}

static int by_size(const void *a, const void *b) {
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

double kl_quantile(kl_file *k, double share) {
    if (k->n_kl == 0) return 0;
    qsort(k->kl, k->n_kl, sizeof *k->kl, by_size);
    double at = share * (double)(k->n_kl - 1), below = floor(at);
    size_t i = (size_t)below;
    return i + 1 < k->n_kl ? k->kl[i] + (at - below) * (k->kl[i + 1] - k->kl[i]) : k->kl[i];
}
