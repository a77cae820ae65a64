/*
 * DRY ("don't repeat yourself", p-e-w, 2024): a token that would continue a sequence which already stands in the text
 * loses multiplier * base^(length of the sequence - allowed length). Sequence breakers (a newline, a colon, the marks
 * around a name) end sequences, so that what must recur can.
 */
#ifndef SAMPLE_DRY_H
#define SAMPLE_DRY_H

#include "base/error.h"
#include "sample/candidates.h"

/* A breaker as tokens: its text begins inside token `head` and goes on with `tail`. */
typedef struct {
    int32_t head;
    uint32_t tail, n_tail; /* of dry.tails */
} dry_breaker;

typedef struct {
    float multiplier, base;
    int32_t allowed_length;
    size_t last_n;    /* 0: off */
    int32_t *history; /* [last_n], a ring of the last ids; `at` is the next place */
    size_t n, at;
    uint32_t *repeat;  /* [last_n], scratch */
    uint32_t *longest; /* [n_vocab], zero between calls */

    dry_breaker *breakers; /* by head */
    size_t n_breakers, room_breakers;
    int32_t *tails;
    size_t n_tails, room_tails;
} dry;

/* Nothing is allocated where the parameters leave it off. */
bool dry_open(dry *d, uint32_t n_vocab, const gguf_sampler_params *p, gguf_error *err);
void dry_close(dry *d);
void dry_accept(dry *d, int32_t id);
void dry_apply(dry *d, candidates *c);

#endif
