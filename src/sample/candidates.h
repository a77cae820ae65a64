/*
 * The ids that may still be chosen, and what thins them out. A vocabulary has up to some 200,000 ids and a token should
 * cost far less than a millisecond, so nothing here sorts: everything is a few passes over arrays.
 */
#ifndef SAMPLE_CANDIDATES_H
#define SAMPLE_CANDIDATES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Candidates in the order of their ids. Rank is another order: higher logit first, then lower id. A logit of -INFINITY
 * rules its id out: it weighs nothing and is never chosen. */
typedef struct {
    size_t n;
    float *logit; /* [n] */
    int32_t *id;  /* [n], ascending; not filled in while `whole` */
    bool whole;   /* candidate i is id i */

    /* scratch, [n] each */
    float *weight; /* e^(logit - max), by candidates_weigh */
    float *value;  /* another order than the logits' */
    uint32_t *pending;

    float max;    /* by candidates_weigh */
    double total; /* of the weights */
} candidates;

/* A place in an order of candidates: everything down to it is before or at it. */
typedef struct {
    uint32_t key; /* of the value there, see candidates.c */
    size_t index; /* of the candidate there */
} cut;

/* Memory for n_vocab candidates; false where there is none. */
bool candidates_open(candidates *c, uint32_t n_vocab);
void candidates_close(candidates *c);
/* All ids with their logits [n_vocab]. */
void candidates_fill(candidates *c, const float *logits, uint32_t n_vocab);

static inline int32_t candidate_id(const candidates *c, size_t i) { return c->whole ? (int32_t)i : c->id[i]; }
/* The candidate with this id, or c->n. */
size_t candidates_find(const candidates *c, int32_t id);

/* The first by rank, or 0 where there is nothing to choose from. */
size_t candidates_best(const candidates *c);
/* Fills in weight, max and total. */
void candidates_weigh(candidates *c);
/* Entropy of the weights, in nats; after candidates_weigh. */
double candidates_entropy(const candidates *c);

/* The place in the order of `value` (higher first, then lower id) where the weights of those before and at it add up to
 * `target`; the last that weighs anything where they never do. weight NULL: each weighs 1. n must not be 0. Time is
 * linear in n. */
cut candidates_cut(const candidates *c, const float *value, const float *weight, double target);
/* Keeps those before and at a place in the order of `value` (c->logit, too). */
void candidates_keep_to(candidates *c, const float *value, cut at);
/* Keeps logits of `least` and more, and the first by rank in any case. */
void candidates_keep_at_least(candidates *c, float least);
/* Keeps one. */
void candidates_keep_one(candidates *c, size_t i);

/* The sum of e^(x[i] - max), in one fixed order; weight NULL: not kept. */
double sum_exp(const float *x, size_t n, float max, float *weight);
float max_of(const float *x, size_t n);

#endif
