#include "sample/candidates.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "kernel/fmath.h"

enum { LANES = 16, BLOCK = 256, BINS = 2048 };

bool candidates_open(candidates *c, uint32_t n_vocab) {
    c->logit = calloc(n_vocab, sizeof *c->logit);
    c->id = calloc(n_vocab, sizeof *c->id);
    c->weight = calloc(n_vocab, sizeof *c->weight);
    c->value = calloc(n_vocab, sizeof *c->value);
    c->pending = calloc(n_vocab, sizeof *c->pending);
    return c->logit && c->id && c->weight && c->value && c->pending;
}

void candidates_close(candidates *c) {
    free(c->logit);
    free(c->id);
    free(c->weight);
    free(c->value);
    free(c->pending);
}

void candidates_fill(candidates *c, const float *logits, uint32_t n_vocab) {
    memcpy(c->logit, logits, n_vocab * sizeof *logits);
    c->n = n_vocab;
    c->whole = true;
}

size_t candidates_find(const candidates *c, int32_t id) {
    if (c->whole) return id >= 0 && (size_t)id < c->n ? (size_t)id : c->n;
    size_t low = 0, high = c->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (c->id[mid] < id) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < c->n && c->id[low] == id ? low : c->n;
}

/* ---- sums ------------------------------------------------------------------------------------ */

/* e^-y for y >= 0, to some 2 units in the last place, without a fused product, which takes a function call where the
 * compiler may not count on it. As exp_f32 in kernel/fmath.h, -y = n ln 2 + r, the high part of ln 2 short enough for n
 * times it to be exact. What would be subnormal, and slow, is 0. Comparisons are those of integers, and there is no
 * branch, so that a loop becomes vectors. */
static inline float exp_minus(float y) {
    const float shift = 0x1.8p23f;
    const int32_t most = 0x42AE0000; /* 87 */
    int32_t bits = (int32_t)f32_bits(y), clamped = bits < most ? bits : most;
    float c = -f32_from_bits((uint32_t)clamped);
    float t = c * 0x1.715476p0f + shift, n = t - shift;
    float r = (c - n * 0x1.62e4p-1f) - n * 0x1.7f7d1cp-20f;
    float p = 0x1.6d7752p-10f;
    p = p * r + 0x1.123ccp-7f;
    p = p * r + 0x1.555b98p-5f;
    p = p * r + 0x1.55548ep-3f;
    p = p * r + 0x1.fffff8p-2f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    uint32_t k = f32_bits(t) - f32_bits(shift);
    float e = p * f32_from_bits((k + 127) << 23);
    return f32_from_bits(f32_bits(e) & -(uint32_t)(bits < most));
}

double sum_exp(const float *x, size_t n, float max, float *weight) {
    double sum[LANES] = {0}, total = 0;
    for (size_t i = 0; i < n; i += BLOCK) {
        size_t size = n - i < BLOCK ? n - i : BLOCK;
        float kept[BLOCK], *e = weight ? weight + i : kept;
        for (size_t j = 0; j < size; j++) e[j] = exp_minus(max - x[i + j]);
        size_t whole = size - size % LANES;
        for (size_t j = 0; j < whole; j += LANES) {
            for (size_t k = 0; k < LANES; k++) sum[k] += (double)e[j + k];
        }
        for (size_t j = whole; j < size; j++) sum[j % LANES] += (double)e[j];
    }
    for (int j = 0; j < LANES; j++) total += sum[j];
    return total;
}

/* An integer that grows with the float: these compare as sign and magnitude, so the negative ones are turned around. Of
 * a maximum of integers every compiler makes a loop of vectors. */
static inline int32_t order_of(float x) {
    int32_t u = (int32_t)f32_bits(x);
    return u ^ (int32_t)((uint32_t)(u >> 31) >> 1);
}

float max_of(const float *x, size_t n) {
    int32_t max = order_of(-INFINITY);
    for (size_t i = 0; i < n; i++) {
        int32_t o = order_of(x[i]);
        max = o > max ? o : max;
    }
    return f32_from_bits((uint32_t)(max ^ (int32_t)((uint32_t)(max >> 31) >> 1)));
}

size_t candidates_best(const candidates *c) {
    float max = -INFINITY;
    size_t at = 0, i = 0;
    for (; i < c->n; i += BLOCK) {
        float highest = max_of(c->logit + i, c->n - i < BLOCK ? c->n - i : BLOCK);
        if (!(highest > max)) continue;
        max = highest;
        at = i;
    }
    for (i = at; i < c->n && c->logit[i] != max;) i++;
    return i < c->n ? i : 0;
}

void candidates_weigh(candidates *c) {
    c->max = max_of(c->logit, c->n);
    c->total = sum_exp(c->logit, c->n, c->max, c->weight);
}

/* -sum p ln p with ln p = (logit - max) - ln total. */
double candidates_entropy(const candidates *c) {
    double sum = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (c->weight[i] > 0) sum += (double)c->weight[i] * ((double)c->logit[i] - (double)c->max);
    }
    return log_f64(c->total) - sum / c->total;
}

/* ---- places in an order ---------------------------------------------------------------------- */

/* A number that grows with the value. */
static inline uint32_t key_of(float value) { return (uint32_t)order_of(value + 0.0f) ^ 0x80000000u; /* -0 becomes 0 */ }

/* The bin in which the weights from the last bin down reach *target, which becomes what this bin has to give. Sums
 * round differently in another order, so a target beyond them is lowered to what there is. */
static uint32_t find_bin(const double *bins, double *target) {
    double all = 0, above = 0;
    for (uint32_t b = BINS; b-- > 0;) all += bins[b];
    if (!(*target <= all)) *target = all;
    for (uint32_t b = BINS; b-- > 0;) {
        if (bins[b] > 0 && above + bins[b] >= *target) {
            *target -= above;
            return b;
        }
        above += bins[b];
    }
    return 0;
}

/* A radix search: the key's upper 11 bits, then the 11 below among those that share these, then the last 10, each time
 * with the weights in bins. What is left shares the whole key and stands in the order of ids. */
cut candidates_cut(const candidates *c, const float *value, const float *weight, double target) {
    double bins[BINS] = {0};
    uint32_t *pending = c->pending;
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) bins[key_of(value[i]) >> 21] += weight ? (double)weight[i] : 1;
    uint32_t bin = find_bin(bins, &target), shift = 10;
    for (size_t i = 0; i < c->n; i++) {
        if (key_of(value[i]) >> 21 == bin) pending[n++] = (uint32_t)i;
    }
    for (int round = 0; round < 2; round++, shift = 0) {
        uint32_t mask = round == 0 ? BINS - 1 : BINS / 2 - 1;
        memset(bins, 0, sizeof bins);
        for (size_t k = 0; k < n; k++)
            bins[key_of(value[pending[k]]) >> shift & mask] += weight ? (double)weight[pending[k]] : 1;
        bin = find_bin(bins, &target);
        size_t left = 0;
        for (size_t k = 0; k < n; k++) {
            if ((key_of(value[pending[k]]) >> shift & mask) == bin) pending[left++] = pending[k];
        }
        n = left;
    }
    size_t last = 0;
    if (n == 0) return (cut){0, c->n - 1}; /* weights that are no numbers: everything stays */
    for (double sum = 0; last + 1 < n; last++) {
        sum += weight ? (double)weight[pending[last]] : 1;
        if (sum >= target) break;
    }
    return (cut){key_of(value[pending[last]]), pending[last]};
}

static void move(candidates *c, size_t to, size_t from) {
    c->logit[to] = c->logit[from];
    c->id[to] = c->whole ? (int32_t)from : c->id[from];
}

void candidates_keep_to(candidates *c, const float *value, cut at) {
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        uint32_t key = key_of(value[i]);
        if (key > at.key || (key == at.key && i <= at.index)) move(c, n++, i);
    }
    c->n = n;
    c->whole = false;
}

void candidates_keep_at_least(candidates *c, float least) {
    float max = max_of(c->logit, c->n);
    if (!(least <= max)) {
        candidates_keep_one(c, candidates_best(c));
        return;
    }
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (c->logit[i] >= least) move(c, n++, i);
    }
    c->n = n;
    c->whole = false;
}

void candidates_keep_one(candidates *c, size_t i) {
    if (c->n == 0) return;
    move(c, 0, i);
    c->n = 1;
    c->whole = false;
}
