/*
 * Choosing the next token. The chain is llama.cpp's default: penalties, top-k, typical, top-p, min-p, temperature, then
 * a draw. It runs on candidates sorted by logit, ties by id, with integer random numbers and functions of our own, so
 * that a seed gives the same text on every machine.
 */
#include <stdlib.h>

#include "base/error.h"
#include "kernel/fmath.h"

typedef struct {
    float logit;
    int32_t id;
    double p; /* probability among the candidates, after weigh() */
} candidate;

typedef struct {
    double distance; /* of a candidate's surprise from the entropy */
    size_t index;
} oddity;

struct gguf_sampler {
    gguf_sampler_params params;
    uint32_t n_vocab;
    candidate *candidates; /* [n_vocab] */
    size_t n;              /* of the candidates that are left */
    oddity *odd;           /* [n_vocab], for the typical step alone */
    int32_t *history;      /* [penalty_last_n], a ring; none where all ids count (-1) */
    size_t history_n, history_at;
    uint32_t *counts; /* [n_vocab], how often each id stands in the history */
    uint64_t random[4];
};

/* ---- random numbers: xoshiro256**, seeded by splitmix64 (Blackman and Vigna) ------------------- */

static uint64_t splitmix(uint64_t *x) {
    uint64_t z = (*x += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static uint64_t rotate(uint64_t x, int k) { return x << k | x >> (64 - k); }

static uint64_t next_random(uint64_t s[4]) {
    uint64_t result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

/* ---- candidates ------------------------------------------------------------------------------ */

/* Whether a comes before b: higher logit, then lower id. */
static bool before(const candidate *a, const candidate *b) {
    return a->logit != b->logit ? a->logit > b->logit : a->id < b->id;
}

static int by_rank(const void *a, const void *b) { return before(a, b) ? -1 : before(b, a); }

/* Keeps the k first in a heap whose root is the last of them, so that all of a large vocabulary costs one pass. */
static void sift_down(candidate *heap, size_t n, size_t i) {
    for (size_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && before(&heap[child], &heap[child + 1])) child++;
        if (!before(&heap[i], &heap[child])) return;
        candidate t = heap[i];
        heap[i] = heap[child];
        heap[child] = t;
    }
}

/* Leaves the k first candidates, sorted. */
static void select_top(gguf_sampler *s, size_t k) {
    if (k < s->n) {
        candidate *c = s->candidates;
        for (size_t i = k / 2; i-- > 0;) sift_down(c, k, i);
        for (size_t i = k; i < s->n; i++) {
            if (!before(&c[i], &c[0])) continue;
            c[0] = c[i];
            sift_down(c, k, 0);
        }
        s->n = k;
    }
    qsort(s->candidates, s->n, sizeof *s->candidates, by_rank);
}

/* Probabilities of sorted candidates. */
static void weigh(gguf_sampler *s) {
    double total = 0;
    for (size_t i = 0; i < s->n; i++) {
        s->candidates[i].p = exp_f32(s->candidates[i].logit - s->candidates[0].logit);
        total += s->candidates[i].p;
    }
    for (size_t i = 0; i < s->n; i++) s->candidates[i].p /= total;
}

/* ---- the chain's steps ----------------------------------------------------------------------- */

static void apply_penalties(gguf_sampler *s) {
    const gguf_sampler_params *p = &s->params;
    if (s->history_n == 0 || (p->penalty_repeat == 1 && p->penalty_frequency == 0 && p->penalty_presence == 0)) return;
    for (size_t i = 0; i < s->n; i++) {
        candidate *c = &s->candidates[i];
        uint32_t count = s->counts[c->id];
        if (count == 0) continue;
        c->logit = c->logit <= 0 ? c->logit * p->penalty_repeat : c->logit / p->penalty_repeat;
        c->logit -= (float)count * p->penalty_frequency + p->penalty_presence;
    }
}

static int by_distance(const void *a, const void *b) {
    const oddity *x = a, *y = b;
    if (x->distance != y->distance) return x->distance < y->distance ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

/* Keeps those whose surprise is nearest to the entropy, up to a total of typical_p (Meister et al., 2022). */
static void apply_typical(gguf_sampler *s) {
    if (!(s->params.typical_p < 1) || s->n < 2) return;
    weigh(s);
    oddity *odd = s->odd;
    double entropy = 0;
    for (size_t i = 0; i < s->n; i++) {
        double p = s->candidates[i].p;
        if (p > 0) entropy -= p * log_f64(p);
    }
    for (size_t i = 0; i < s->n; i++) {
        double p = s->candidates[i].p;
        odd[i] = (oddity){p > 0 ? fabs(-log_f64(p) - entropy) : INFINITY, i};
    }
    qsort(odd, s->n, sizeof *odd, by_distance);
    double total = 0;
    size_t keep = 0;
    while (keep < s->n && total <= s->params.typical_p) total += s->candidates[odd[keep++].index].p;
    for (size_t i = keep; i < s->n; i++) s->candidates[odd[i].index].id = GGUF_NO_TOKEN;
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (s->candidates[i].id != GGUF_NO_TOKEN) s->candidates[n++] = s->candidates[i];
    }
    s->n = n;
}

static void apply_top_p(gguf_sampler *s) {
    if (!(s->params.top_p < 1)) return;
    weigh(s);
    double total = 0;
    size_t keep = 0;
    while (keep < s->n) {
        total += s->candidates[keep++].p;
        if (total >= s->params.top_p) break;
    }
    s->n = keep;
}

static void apply_min_p(gguf_sampler *s) {
    if (!(s->params.min_p > 0)) return;
    weigh(s);
    size_t keep = 1;
    while (keep < s->n && s->candidates[keep].p >= s->params.min_p * s->candidates[0].p) keep++;
    s->n = keep;
}

static int32_t draw(gguf_sampler *s) {
    float top = s->candidates[0].logit; /* taken off first: divided by a tiny temperature it would overflow */
    for (size_t i = 0; i < s->n; i++) s->candidates[i].logit = (s->candidates[i].logit - top) / s->params.temperature;
    weigh(s);
    double u = (double)(next_random(s->random) >> 11) * 0x1p-53, total = 0;
    for (size_t i = 0; i < s->n; i++) {
        total += s->candidates[i].p;
        if (u < total) return s->candidates[i].id;
    }
    return s->candidates[s->n - 1].id; /* the sum fell short of 1 by rounding */
}

/* ---- the sampler ----------------------------------------------------------------------------- */

gguf_sampler_params gguf_sampler_defaults(void) {
    return (gguf_sampler_params){.penalty_last_n = 64,
                                 .penalty_repeat = 1,
                                 .top_k = 40,
                                 .typical_p = 1,
                                 .top_p = 0.95f,
                                 .min_p = 0.05f,
                                 .temperature = 0.8f};
}

static bool check_params(const gguf_sampler_params *p, gguf_error *err) {
    const struct {
        const char *name;
        float value, min, max;
    } ranges[] = {
        {"temperature", p->temperature, 0, 1e6f},
        {"top-p", p->top_p, 0, 1e6f},
        {"min-p", p->min_p, 0, 1},
        {"typical", p->typical_p, 0, 1e6f},
        {"repeat penalty", p->penalty_repeat, 1e-6f, 1e6f},
        {"frequency penalty", p->penalty_frequency, -1e6f, 1e6f},
        {"presence penalty", p->penalty_presence, -1e6f, 1e6f},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        if (!(ranges[i].value >= ranges[i].min && ranges[i].value <= ranges[i].max)) {
            return fail(err, GGUF_ERR_USAGE, "the sampler's %s is %g; it must be between %g and %g", ranges[i].name,
                        ranges[i].value, ranges[i].min, ranges[i].max);
        }
    }
    if (p->penalty_last_n < -1 || p->penalty_last_n > 1 << 20) {
        return fail(err, GGUF_ERR_USAGE, "the sampler's repeat-last-n is %d; it must be between -1 and %d",
                    p->penalty_last_n, 1 << 20);
    }
    return true;
}

static bool alloc_parts(gguf_sampler *s, uint32_t n_vocab, const gguf_sampler_params *p) {
    s->params = *p;
    s->n_vocab = n_vocab;
    s->candidates = malloc(n_vocab * sizeof *s->candidates);
    s->counts = calloc(n_vocab, sizeof *s->counts);
    if (p->typical_p < 1) s->odd = malloc(n_vocab * sizeof *s->odd);
    if (p->penalty_last_n > 0) s->history = malloc((size_t)p->penalty_last_n * sizeof *s->history);
    return s->candidates && s->counts && (s->odd || !(p->typical_p < 1)) && (s->history || p->penalty_last_n <= 0);
}

gguf_sampler *gguf_sampler_open(uint32_t n_vocab, const gguf_sampler_params *params, gguf_error *err) {
    gguf_sampler_params defaults = gguf_sampler_defaults();
    if (!params) params = &defaults;
    if (n_vocab == 0) {
        fail(err, GGUF_ERR_USAGE, "a sampler needs a vocabulary");
        return NULL;
    }
    if (!check_params(params, err)) return NULL;
    gguf_sampler *s = calloc(1, sizeof *s);
    if (!s || !alloc_parts(s, n_vocab, params)) {
        gguf_sampler_close(s);
        fail_memory(err, "the sampler", n_vocab * (unsigned long long)sizeof(candidate));
        return NULL;
    }
    uint64_t seed = params->seed;
    for (int i = 0; i < 4; i++) s->random[i] = splitmix(&seed);
    return s;
}

void gguf_sampler_close(gguf_sampler *s) {
    if (!s) return;
    free(s->candidates);
    free(s->counts);
    free(s->odd);
    free(s->history);
    free(s);
}

static bool is_banned(int32_t id, const int32_t *banned, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (banned[i] == id) return true;
    }
    return false;
}

int32_t gguf_sampler_sample(gguf_sampler *s, const float *logits, const int32_t *banned, size_t n_banned) {
    s->n = 0;
    for (uint32_t i = 0; i < s->n_vocab; i++) {
        if (n_banned && is_banned((int32_t)i, banned, n_banned)) continue;
        s->candidates[s->n++] = (candidate){.logit = logits[i], .id = (int32_t)i};
    }
    if (s->n == 0) return GGUF_NO_TOKEN;
    apply_penalties(s);
    const gguf_sampler_params *p = &s->params;
    if (p->temperature <= 0) {
        size_t best = 0;
        for (size_t i = 1; i < s->n; i++) best = before(&s->candidates[i], &s->candidates[best]) ? i : best;
        return s->candidates[best].id;
    }
    select_top(s, p->top_k > 0 ? (size_t)p->top_k : s->n);
    apply_typical(s);
    apply_top_p(s);
    apply_min_p(s);
    return draw(s);
}

/* Keeps every id where penalty_last_n is -1; a ring of the last ones else. */
void gguf_sampler_accept(gguf_sampler *s, int32_t id) {
    int32_t last_n = s->params.penalty_last_n;
    if (last_n == 0 || id < 0 || (uint32_t)id >= s->n_vocab) return;
    if (last_n < 0) {
        s->counts[id]++; /* nothing is ever forgotten, so the order does not matter */
        s->history_n = 1;
        return;
    }
    if (s->history_n == (size_t)last_n) {
        s->counts[s->history[s->history_at]]--;
    } else {
        s->history_n++;
    }
    s->history[s->history_at] = id;
    s->history_at = (s->history_at + 1) % (size_t)last_n;
    s->counts[id]++;
}

float gguf_logits_logprobs(const float *logits, uint32_t n_vocab, int32_t id, gguf_logprob *top, size_t n) {
    float max = logits[0];
    for (uint32_t i = 1; i < n_vocab; i++) max = logits[i] > max ? logits[i] : max;
    double total = 0;
    for (uint32_t i = 0; i < n_vocab; i++) total += exp_f32(logits[i] - max);
    double norm = log_f64(total) + max;
    size_t held = 0; /* insertion into a short sorted list; ties keep the lower id first */
    for (uint32_t i = 0; i < n_vocab; i++) {
        if (n == 0 || (held == n && !(logits[i] > top[n - 1].logprob))) continue;
        size_t at = held < n ? held++ : n - 1;
        for (; at > 0 && logits[i] > top[at - 1].logprob; at--) top[at] = top[at - 1];
        top[at] = (gguf_logprob){(int32_t)i, logits[i]};
    }
    for (size_t i = 0; i < held; i++) top[i].logprob = (float)(top[i].logprob - norm);
    for (size_t i = held; i < n; i++) top[i] = (gguf_logprob){GGUF_NO_TOKEN, -INFINITY};
    return id >= 0 && (uint32_t)id < n_vocab ? (float)(logits[id] - norm) : -INFINITY;
}
