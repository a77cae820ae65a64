/*
 * Experts: every token is multiplied with some of many matrices. A token at one of its experts is a slot; slots are
 * put in the order of experts, so that an expert's rows are read once for all its tokens, and the rows of all experts
 * that are used are handed out as one list. Heads with matrices of their own are the same with nothing to choose.
 */
#include <math.h>

#include "backend/cpu_parts.h"
#include "kernel/fmath.h"

/* ---- which experts ---------------------------------------------------------------------------- */

enum { MAX_EXPERTS = 1 << 12 };

static float sigmoid(float x) { return 1 / (1 + exp_f32(-x)); }

/* x becomes softmax(x). */
static void softmax(float *x, size_t n) {
    float max = x[0], sum = 0;
    for (size_t i = 1; i < n; i++) max = x[i] > max ? x[i] : max;
    for (size_t i = 0; i < n; i++) sum += x[i] = exp_f32(x[i] - max);
    for (size_t i = 0; i < n; i++) x[i] /= sum;
}

/* The largest of score[0..n) that is not taken, the first of those that are equal. */
static uint32_t take_best(const float *score, uint32_t n, bool *taken) {
    uint32_t best = n;
    for (uint32_t i = 0; i < n; i++) {
        if (!taken[i] && (best == n || score[i] > score[best])) best = i;
    }
    taken[best] = true;
    return best;
}

/* Experts of all but the best groups count as taken. A group is as good as its best expert, or, where a shift
 * balances experts, as its best two (DeepSeek-V2 and V3). */
static void exclude_groups(const routing *r, const float *score, bool by_two, bool *taken) {
    uint32_t size = r->n_expert / r->n_group;
    float group_score[MAX_EXPERTS];
    bool chosen[MAX_EXPERTS] = {false};
    for (uint32_t g = 0; g < r->n_group; g++) {
        float first = -INFINITY, second = -INFINITY;
        for (uint32_t i = g * size; i < (g + 1) * size; i++) {
            second = score[i] > first ? first : score[i] > second ? score[i] : second;
            first = score[i] > first ? score[i] : first;
        }
        group_score[g] = by_two && size > 1 ? first + second : first;
    }
    for (uint32_t i = 0; i < r->n_group_used; i++) take_best(group_score, r->n_group, chosen);
    for (uint32_t i = 0; i < r->n_expert; i++) taken[i] = !chosen[i / size];
}

static void choose(const routing *r, const float *score, bool by_two, uint32_t *expert) {
    bool taken[MAX_EXPERTS] = {false};
    if (r->n_group > 1) exclude_groups(r, score, by_two, taken);
    for (uint32_t k = 0; k < r->n_used; k++) { /* kept in rising order */
        uint32_t e = take_best(score, r->n_expert, taken), at = k;
        for (; at > 0 && expert[at - 1] > e; at--) expert[at] = expert[at - 1];
        expert[at] = e;
    }
}

void route(backend *b, const op *o, size_t t) {
    (void)b;
    const routing *r = o->routing;
    const float *logit = o->in + t * r->n_expert;
    uint32_t *expert = r->expert + t * r->n_used;
    float *weight = r->weight + t * r->n_used, value[MAX_EXPERTS], score[MAX_EXPERTS];
    memcpy(value, logit, r->n_expert * sizeof *value);
    if (r->gating == GATE_SOFTMAX) softmax(value, r->n_expert);
    for (uint32_t i = 0; r->gating == GATE_SIGMOID && i < r->n_expert; i++) value[i] = sigmoid(logit[i]);
    for (uint32_t i = 0; i < r->n_expert; i++)
        score[i] = (r->by_logit ? logit[i] : value[i]) + (o->vector ? o->vector[i] : 0);
    choose(r, score, o->vector != NULL, expert);
    for (uint32_t k = 0; k < r->n_used; k++) weight[k] = value[expert[k]];
    if (r->gating == GATE_SOFTMAX_LAST) softmax(weight, r->n_used);
    float sum = r->normalise ? 0 : 1;
    for (uint32_t k = 0; r->normalise && k < r->n_used; k++) sum += weight[k];
    for (uint32_t k = 0; k < r->n_used; k++) weight[k] = weight[k] / (sum > 1e-20f ? sum : 1e-20f) * r->scale;
}

void group_slots(backend *b, const op *o, size_t zero) {
    (void)zero;
    routing *r = o->routing;
    size_t n_slots = (size_t)b->step->n_tok * r->n_used;
    memset(r->first, 0, (r->n_expert + 1) * sizeof *r->first);
    for (size_t i = 0; i < n_slots; i++) r->first[r->expert[i] + 1]++;
    for (uint32_t e = 0; e < r->n_expert; e++) r->first[e + 1] += r->first[e];
    for (size_t i = 0; i < n_slots; i++) { /* first[e] runs through e's slots ... */
        uint32_t e = r->expert[i], slot = r->first[e]++;
        r->slot[i] = slot;
        r->slot_token[slot] = (uint32_t)(i / r->n_used);
        r->slot_expert[slot] = e;
    }
    for (uint32_t e = r->n_expert; e > 0; e--) r->first[e] = r->first[e - 1]; /* ... and so ends where e + 1 begins */
    r->first[0] = 0;
}

/* ---- rows in the order of their matrices -------------------------------------------------------- */

/* A row of n values, number i of the n_rows that one matrix reads and that stand behind `before` others. */
static bool quantize_row(backend *b, const act_buffer *a, const float *x, size_t n, size_t before, size_t i,
                         size_t n_rows, float scale) {
    size_t sums = a->block / ACTIVATION_SUB;
    if (a->block == 1) {
        float *to = a->x + (before + i) * n;
        b->k->scale(x, scale, n, to);
        return b->k->all_finite(to, n);
    }
    return b->k->quantize(x, n, a->block, n_rows, a->q + before * n + i * a->block,
                          a->scale + before * n / a->block + i, a->sum + before * n / ACTIVATION_SUB + i * sums);
}

static activations rows_behind(const act_buffer *a, size_t before, size_t n) {
    activations rows = {.x = a->x + before * n};
    if (a->block == 1) return rows;
    return (activations){.q = a->q + before * n,
                         .scale = a->scale + before * n / a->block,
                         .sum = a->sum + before * n / ACTIVATION_SUB};
}

void quantize_slot(backend *b, const op *o, size_t slot) {
    const routing *r = o->routing;
    uint32_t e = r->slot_expert[slot], token = r->slot_token[slot];
    const float *x = o->in + (o->gather ? token : slot) * o->n;
    float scale = 1;
    size_t before = r->first[e], n_rows = r->first[e + 1] - before, i = slot - before;
    if (o->weight_first) {
        for (uint32_t k = 0; k < r->n_used; k++) {
            if (r->slot[token * r->n_used + k] == slot) scale = r->weight[token * r->n_used + k];
        }
    }
    if (!quantize_row(b, o->act, x, o->n, before, i, n_rows, scale)) report_token(b, o, token);
    if (scale == 1 || o->act->block == 1) return;
    float *d = o->act->scale + before * o->n / o->act->block + i; /* of a block: the whole row's factor goes there */
    for (size_t block = 0; block < o->n / o->act->block; block++) d[block * n_rows] *= scale;
}

/* Rows [begin, end) of the list that has n_out rows of every result for every expert with slots. */
static void expert_rows(backend *b, const op *o, size_t begin, size_t end) {
    const routing *r = o->routing;
    size_t first = 0;
    for (uint32_t e = 0; e < r->n_expert && first < end; e++) {
        size_t before = r->first[e], n_rows = r->first[e + 1] - before;
        for (size_t i = 0; n_rows > 0 && i < o->n_results; i++) {
            const matrix *m = &o->result[i].matrix[e];
            size_t from = begin > first ? begin - first : 0, to = end > first ? end - first : 0;
            if (to > m->n_out) to = m->n_out;
            first += m->n_out;
            if (from >= to) continue;
            activations a = rows_behind(o->act, before, m->n_in);
            kernels_matmul(b->k, m->type)(m, &a, n_rows, from, to, o->result[i].out + before * m->n_out, m->n_out);
        }
    }
}

static size_t experts_used(const routing *r) {
    size_t n = 0;
    for (uint32_t e = 0; e < r->n_expert; e++) n += r->first[e + 1] > r->first[e];
    return n;
}

void matmul_experts(backend *b, const op *o, work *w, int thread) {
    size_t rows = 0, begin, end;
    for (size_t i = 0; i < o->n_results; i++) rows += o->result[i].matrix->n_out;
    rows *= experts_used(o->routing);
    while (take_rows(b, w, thread, rows, &begin, &end)) expert_rows(b, o, begin, end);
}

void add_expert_vector(backend *b, const op *o, size_t slot) {
    const float *bias = o->vector + (size_t)o->routing->slot_expert[slot] * o->n;
    b->k->add(o->out + slot * o->n, bias, o->n, o->out + slot * o->n);
}

void sum_experts(backend *b, const op *o, size_t t) {
    const routing *r = o->routing;
    float *y = o->out + t * o->n;
    memset(y, 0, o->n * sizeof *y);
    for (uint32_t k = 0; k < r->n_used; k++) {
        size_t i = t * r->n_used + k;
        b->k->add_scaled(o->in + r->slot[i] * o->n, o->weight_first ? 1 : r->weight[i], o->n, y);
    }
}

/* ---- heads ------------------------------------------------------------------------------------- */

/* Item i is head i mod n_head of token i / n_head; a head's tokens stand together. */
void quantize_head(backend *b, const op *o, size_t item) {
    size_t t = item / o->n_head, h = item % o->n_head, n_tok = b->step->n_tok;
    if (!quantize_row(b, o->act, o->in + item * o->in_stride, o->n, h * n_tok, t, n_tok, 1)) report_token(b, o, t);
}

void matmul_heads(backend *b, const op *o, work *w, int thread) {
    const matrix *heads = o->result[0].matrix;
    size_t n_tok = b->step->n_tok, n_out = heads->n_out, rows = o->n_head * n_out, begin, end;
    while (take_rows(b, w, thread, rows, &begin, &end)) {
        for (size_t h = begin / n_out; h * n_out < end; h++) {
            size_t from = begin > h * n_out ? begin - h * n_out : 0, to = end - h * n_out;
            const matrix *m = &heads[h];
            activations a = rows_behind(o->act, h * n_tok, m->n_in);
            kernels_matmul(b->k, m->type)(m, &a, n_tok, from, to < n_out ? to : n_out, o->out + h * o->out_stride,
                                          o->n_head * o->out_stride);
        }
    }
}

void copy_heads(backend *b, const op *o, size_t t) {
    (void)b;
    for (size_t h = t * o->n_head; h < (t + 1) * o->n_head; h++)
        memcpy(o->out + h * o->out_stride, o->in + h * o->in_stride, o->n * sizeof *o->out);
}

uint64_t grouped_bytes(const backend *b, const op *o) {
    (void)b;
    uint64_t bytes = 0, groups = o->kind == OP_MATMUL_HEADS ? o->n_head : experts_used(o->routing);
    size_t n = o->kind == OP_MATMUL_HEADS ? 1 : o->n_results;
    for (size_t i = 0; i < n; i++) bytes += groups * o->result[i].matrix->row_bytes * o->result[i].matrix->n_out;
    return bytes;
}
