/*
 * Choosing the next token: logits go in, an id comes out. A chain of samplers (steps.c) thins out the candidates, then
 * one is drawn. Integer random numbers and functions of our own: a seed gives the same text on every machine.
 */
#include "sample/sampler.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/fmath.h"

gguf_sampler_params gguf_sampler_defaults(void) {
    static const char *const breakers[] = {"\n", ":", "\"", "*"};
    return (gguf_sampler_params){.penalty_last_n = 64,
                                 .penalty_repeat = 1,
                                 .dry_base = 1.75f,
                                 .dry_allowed_length = 2,
                                 .dry_last_n = -1,
                                 .dry_breakers = breakers,
                                 .n_dry_breakers = sizeof breakers / sizeof *breakers,
                                 .top_k = 40,
                                 .typical_p = 1,
                                 .top_p = 0.95f,
                                 .min_p = 0.05f,
                                 .xtc_threshold = 0.1f,
                                 .temperature = 0.8f,
                                 .dynatemp_exponent = 1,
                                 .mirostat_tau = 5,
                                 .mirostat_eta = 0.1f};
}

/* ---- the chain ------------------------------------------------------------------------------- */

/* Whether text[0..n) is the name, in any case, with '-', '_' or nothing between its words. */
static bool is_name(const char *name, const char *text, size_t n) {
    size_t i = 0;
    for (; *name; name++) {
        if (*name == '_' && !(i < n && (text[i] == '-' || text[i] == '_'))) continue;
        if (i == n) return false;
        char c = text[i] == '-' ? '_' : (char)tolower((unsigned char)text[i]);
        if (c != *name) return false;
        i++;
    }
    return i == n && n > 0;
}

static const sampler_step *find_step(const char *text, size_t n, bool letters) {
    for (const sampler_step *s = sampler_steps; s->name; s++) {
        if (letters ? *text == s->letter : is_name(s->name, text, n) || is_name(s->alias, text, n)) return s;
    }
    return NULL;
}

static bool add_step(gguf_sampler *s, const sampler_step *step, gguf_error *err) {
    if (!step->on(&s->params)) return true;
    if (s->n_steps == MAX_STEPS) return fail(err, GGUF_ERR_USAGE, "the chain has more than %d samplers", MAX_STEPS);
    s->steps[s->n_steps++] = step;
    return true;
}

static bool unknown_sampler(const char *text, size_t n, gguf_error *err) {
    char known[160] = "";
    for (const sampler_step *s = sampler_steps; s->name; s++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s (%c)", used ? ", " : "", s->name, s->letter);
    }
    return fail(err, GGUF_ERR_USAGE, "no sampler is called \"%.*s\"; there are %s", (int)(n < 40 ? n : 40), text,
                known);
}

/* The steps that do something, in the order asked for. Right before a greedy choice, those that cannot change it are
 * left out. */
static bool make_chain(gguf_sampler *s, const gguf_sampler_params *p, gguf_error *err) {
    const char *text = p->samplers ? p->samplers : p->sampler_letters;
    bool letters = !p->samplers, greedy = false;
    if (!text) {
        for (const sampler_step *step = sampler_steps; step->name; step++) {
            if (!add_step(s, step, err)) return false;
        }
    }
    while (text && *text) {
        size_t n = letters ? 1 : strcspn(text, ";");
        const sampler_step *step = n ? find_step(text, n, letters) : NULL;
        if (n && !step) return unknown_sampler(text, n, err);
        if (step && !add_step(s, step, err)) return false;
        text += n;
        if (!letters && *text == ';') text++;
    }
    for (size_t i = s->n_steps; i-- > 0;) { /* backwards: what stands before something else that counts must stay */
        bool takes_best = s->steps[i]->letter == 't' && is_greedy(p);
        greedy = takes_best || (greedy && s->steps[i]->keeps_best);
        if (takes_best || !greedy) continue;
        memmove(s->steps + i, s->steps + i + 1, (--s->n_steps - i) * sizeof *s->steps);
    }
    return true;
}

/* ---- opening --------------------------------------------------------------------------------- */

static bool check_params(uint32_t n_vocab, const gguf_sampler_params *p, gguf_error *err) {
    const float numbers[] = {p->penalty_repeat, p->penalty_frequency, p->penalty_presence, p->dry_multiplier,
                             p->dry_base,       p->top_n_sigma,       p->typical_p,        p->top_p,
                             p->min_p,          p->xtc_probability,   p->xtc_threshold,    p->temperature,
                             p->dynatemp_range, p->dynatemp_exponent, p->mirostat_tau,     p->mirostat_eta};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        if (!isfinite(numbers[i]))
            return fail(err, GGUF_ERR_USAGE, "a parameter of the sampler is not a finite number");
    }
    if (p->penalty_repeat <= 0)
        return fail(err, GGUF_ERR_USAGE, "a repeat penalty of %g is not above 0", (double)p->penalty_repeat);
    if (p->penalty_last_n > 1 << 20)
        return fail(err, GGUF_ERR_USAGE, "%d tokens to look back at are more than 1048576 (-1: all)",
                    p->penalty_last_n);
    if (p->dry_multiplier != 0 && p->dry_base < 1)
        return fail(err, GGUF_ERR_USAGE, "a DRY base of %g is below 1", (double)p->dry_base);
    if (p->mirostat < 0 || p->mirostat > 2)
        return fail(err, GGUF_ERR_USAGE, "there is no Mirostat %d (0: off, 1, 2)", p->mirostat);
    for (size_t i = 0; i < p->n_bias; i++) {
        const gguf_logit_bias *b = &p->bias[i];
        if (b->id < 0 || (uint32_t)b->id >= n_vocab)
            return fail(err, GGUF_ERR_USAGE, "a logit bias names the id %d, which is not in the vocabulary (0 to %u)",
                        b->id, n_vocab - 1);
        if (isnan(b->bias) || b->bias == INFINITY)
            return fail(err, GGUF_ERR_USAGE, "the logit bias of id %d must be finite, or -inf", b->id);
    }
    return true;
}

static bool open_parts(gguf_sampler *s, uint32_t n_vocab, const gguf_sampler_params *p, gguf_error *err) {
    s->params = *p;
    s->n_vocab = n_vocab;
    s->mu = 2 * (double)p->mirostat_tau;
    s->n_bias = p->n_bias;
    s->counts = calloc(n_vocab, sizeof *s->counts);
    if (p->n_bias) s->bias = malloc(p->n_bias * sizeof *s->bias);
    if (p->penalty_last_n > 0) s->history = malloc((size_t)p->penalty_last_n * sizeof *s->history);
    if (!candidates_open(&s->c, n_vocab) || !s->counts || (p->n_bias && !s->bias) ||
        (p->penalty_last_n > 0 && !s->history))
        return fail_memory(err, "the sampler", n_vocab * 6 * (unsigned long long)sizeof(float));
    if (p->n_bias) memcpy(s->bias, p->bias, p->n_bias * sizeof *s->bias);
    return make_chain(s, p, err) && dry_open(&s->dry, n_vocab, p, err);
}

static uint64_t splitmix(uint64_t *x) { /* to fill the random numbers' state from a seed (Vigna) */
    uint64_t z = (*x += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

gguf_sampler *gguf_sampler_open(uint32_t n_vocab, const gguf_sampler_params *params, gguf_error *err) {
    gguf_sampler_params defaults = gguf_sampler_defaults();
    if (!params) params = &defaults;
    if (n_vocab == 0) {
        fail(err, GGUF_ERR_USAGE, "a sampler needs a vocabulary");
        return NULL;
    }
    if (!check_params(n_vocab, params, err)) return NULL;
    gguf_sampler *s = calloc(1, sizeof *s);
    if (!s) fail_memory(err, "the sampler", sizeof *s);
    if (!s || !open_parts(s, n_vocab, params, err)) {
        gguf_sampler_close(s);
        return NULL;
    }
    uint64_t seed = params->seed;
    for (int i = 0; i < 4; i++) s->random[i] = splitmix(&seed);
    return s;
}

void gguf_sampler_close(gguf_sampler *s) {
    if (!s) return;
    candidates_close(&s->c);
    dry_close(&s->dry);
    free(s->bias);
    free(s->counts);
    free(s->history);
    free(s);
}

/* ---- sampling -------------------------------------------------------------------------------- */

int32_t gguf_sampler_sample(gguf_sampler *s, const float *logits, const int32_t *banned, size_t n_banned) {
    candidates *c = &s->c;
    candidates_fill(c, logits, s->n_vocab);
    for (size_t i = 0; i < s->n_bias; i++) c->logit[s->bias[i].id] += s->bias[i].bias;
    for (size_t i = 0; i < n_banned; i++) {
        if (banned[i] >= 0 && (uint32_t)banned[i] < s->n_vocab) c->logit[banned[i]] = -INFINITY;
    }
    size_t best = candidates_best(c), chosen = 0;
    if (!(c->logit[best] > -INFINITY)) return GGUF_NO_TOKEN; /* nothing is left */
    if (s->params.mirostat) {
        if (s->params.temperature <= 0) return (int32_t)best;
        float max = c->logit[best];
        for (size_t i = 0; i < c->n; i++) c->logit[i] = (c->logit[i] - max) / s->params.temperature;
        chosen = draw_mirostat(s);
    } else {
        for (size_t i = 0; i < s->n_steps; i++) s->steps[i]->apply(s);
        chosen = draw(s); /* also from one: each token takes a random number */
    }
    return candidate_id(c, chosen);
}

/* Keeps every id where penalty_last_n is -1; a ring of the last ones else. */
void gguf_sampler_accept(gguf_sampler *s, int32_t id) {
    int32_t last_n = s->params.penalty_last_n;
    if (id < 0 || (uint32_t)id >= s->n_vocab) return;
    dry_accept(&s->dry, id);
    if (last_n == 0) return;
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
    float max = max_of(logits, n_vocab);
    double norm = log_f64(sum_exp(logits, n_vocab, max, NULL)) + (double)max;
    size_t held = 0; /* insertion into a short sorted list; ties keep the lower id first */
    for (uint32_t i = 0; n && i < n_vocab; i++) {
        if (held == n && !(logits[i] > top[n - 1].logprob)) continue;
        size_t at = held < n ? held++ : n - 1;
        for (; at > 0 && logits[i] > top[at - 1].logprob; at--) top[at] = top[at - 1];
        top[at] = (gguf_logprob){(int32_t)i, logits[i]};
    }
    for (size_t i = 0; i < held; i++) top[i].logprob = (float)(top[i].logprob - norm);
    for (size_t i = held; i < n; i++) top[i] = (gguf_logprob){GGUF_NO_TOKEN, -INFINITY};
    return id >= 0 && (uint32_t)id < n_vocab ? (float)(logits[id] - norm) : -INFINITY;
}
