/* Behind gguf_sampler: its parts, and THE table of samplers. */
#ifndef SAMPLE_SAMPLER_H
#define SAMPLE_SAMPLER_H

#include "base/error.h"
#include "sample/candidates.h"
#include "sample/dry.h"

enum { MAX_STEPS = 32 };

typedef struct sampler_step sampler_step;

struct gguf_sampler {
    gguf_sampler_params params; /* without its pointers */
    uint32_t n_vocab;
    candidates c;
    const sampler_step *steps[MAX_STEPS]; /* of the chain, those that do something */
    size_t n_steps;
    gguf_logit_bias *bias; /* [n_bias] */
    size_t n_bias;
    int32_t *history; /* [penalty_last_n], a ring; none where all ids count (-1) */
    size_t history_n, history_at;
    uint32_t *counts; /* [n_vocab], how often each id stands in the history */
    dry dry;
    double mu; /* mirostat's bound of surprise, in bits */
    uint64_t random[4];
};

struct sampler_step {
    const char *name, *alias; /* "top_k"; '-' and '_' in a name may be left out; alias: another one, or "" */
    char letter;
    bool keeps_best; /* the likeliest candidate stays, and stays the likeliest: nothing to do before a greedy choice */
    bool (*on)(const gguf_sampler_params *p);
    void (*apply)(gguf_sampler *s);
};

/* The samplers in the order of the default chain; ends with a NULL name. */
extern const sampler_step sampler_steps[];

/* Whether the temperature step takes the likeliest candidate. */
bool is_greedy(const gguf_sampler_params *p);
/* A random number in [0, 1). */
double random_real(uint64_t s[4]);
/* Draws one of the candidates by weight: its place in the list. Weighs them first. */
size_t draw(gguf_sampler *s);
/* Mirostat instead of a chain: thins out, draws, and moves mu. */
size_t draw_mirostat(gguf_sampler *s);

#endif
