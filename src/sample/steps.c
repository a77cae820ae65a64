/* The samplers, one function each. Names, letters and meanings are llama.cpp's. */
#include "kernel/fmath.h"
#include "sample/sampler.h"

/* ---- penalties ------------------------------------------------------------------------------- */

static bool penalties_on(const gguf_sampler_params *p) {
    return p->penalty_last_n != 0 && (p->penalty_repeat != 1 || p->penalty_frequency != 0 || p->penalty_presence != 0);
}

static void apply_penalties(gguf_sampler *s) {
    const gguf_sampler_params *p = &s->params;
    candidates *c = &s->c;
    for (size_t i = 0; s->history_n && i < c->n; i++) {
        uint32_t count = s->counts[candidate_id(c, i)];
        if (count == 0) continue;
        float *logit = &c->logit[i];
        *logit = *logit <= 0 ? *logit * p->penalty_repeat : *logit / p->penalty_repeat;
        *logit -= (float)count * p->penalty_frequency + p->penalty_presence;
    }
}

static bool dry_on(const gguf_sampler_params *p) { return p->dry_multiplier != 0 && p->dry_last_n != 0; }
static void apply_dry(gguf_sampler *s) { dry_apply(&s->dry, &s->c); }

/* ---- truncation ------------------------------------------------------------------------------ */

static bool top_n_sigma_on(const gguf_sampler_params *p) { return p->top_n_sigma > 0; }

/* Logits within n standard deviations of the highest (Tang et al., 2024). */
static void apply_top_n_sigma(gguf_sampler *s) {
    candidates *c = &s->c;
    double sum = 0, squares = 0;
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (c->logit[i] == -INFINITY) continue;
        sum += (double)c->logit[i];
        n++;
    }
    if (n < 2) return;
    double mean = sum / (double)n;
    for (size_t i = 0; i < c->n; i++) {
        double d = (double)c->logit[i] - mean;
        if (c->logit[i] != -INFINITY) squares += d * d;
    }
    double deviation = sqrt(squares / (double)n);
    candidates_keep_at_least(c, (float)((double)max_of(c->logit, c->n) - (double)s->params.top_n_sigma * deviation));
}

static bool top_k_on(const gguf_sampler_params *p) { return p->top_k > 0; }

/* A quick pass before the exact one: of the highest logits of blocks the k-th is one that k candidates reach, so what
 * is below it is out. In a large vocabulary that is nearly everything. */
static void thin_out(candidates *c, size_t k) {
    enum { BLOCK = 64 };
    candidates blocks = {.n = c->n / BLOCK, .pending = c->pending};
    if (blocks.n < 2 * k) return;
    for (size_t i = 0; i < blocks.n; i++) c->value[i] = max_of(c->logit + i * BLOCK, BLOCK);
    cut at = candidates_cut(&blocks, c->value, NULL, (double)k);
    candidates_keep_at_least(c, c->value[at.index]);
}

static void apply_top_k(gguf_sampler *s) {
    candidates *c = &s->c;
    size_t k = (size_t)s->params.top_k;
    if (k >= c->n) return;
    thin_out(c, k);
    candidates_keep_to(c, c->logit, candidates_cut(c, c->logit, NULL, (double)k));
}

static bool typical_on(const gguf_sampler_params *p) { return p->typical_p < 1; }

/* Those whose surprise is nearest to the entropy, up to a total of typical_p (Meister et al., 2022). */
static void apply_typical(gguf_sampler *s) {
    candidates *c = &s->c;
    candidates_weigh(c);
    double typical = log_f64(c->total) - candidates_entropy(c); /* logit below the highest that is just typical */
    for (size_t i = 0; i < c->n; i++) c->value[i] = (float)-fabs(typical - ((double)c->logit[i] - (double)c->max));
    candidates_keep_to(c, c->value, candidates_cut(c, c->value, c->weight, (double)s->params.typical_p * c->total));
}

static bool top_p_on(const gguf_sampler_params *p) { return p->top_p < 1; }

static void apply_top_p(gguf_sampler *s) {
    candidates *c = &s->c;
    candidates_weigh(c);
    candidates_keep_to(c, c->logit, candidates_cut(c, c->logit, c->weight, (double)s->params.top_p * c->total));
}

static bool min_p_on(const gguf_sampler_params *p) { return p->min_p > 0; }

static void apply_min_p(gguf_sampler *s) {
    float max = max_of(s->c.logit, s->c.n);
    candidates_keep_at_least(&s->c, (float)((double)max + log_f64((double)s->params.min_p)));
}

static bool xtc_on(const gguf_sampler_params *p) { return p->xtc_probability > 0 && p->xtc_threshold <= 0.5f; }

/* "Exclude top choices" (p-e-w, 2024): with a probability, of those at least as likely as the threshold only the
 * unlikeliest stays. */
static void apply_xtc(gguf_sampler *s) {
    candidates *c = &s->c;
    if (random_real(s->random) >= (double)s->params.xtc_probability) return;
    candidates_weigh(c);
    double least = (double)s->params.xtc_threshold * c->total;
    size_t last = c->n, above = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (!((double)c->weight[i] >= least)) continue;
        above++;
        if (last == c->n || c->logit[i] <= c->logit[last]) last = i; /* of equals the higher id is the last */
    }
    if (above < 2) return;
    for (size_t i = 0; i < c->n; i++) {
        if ((double)c->weight[i] >= least && i != last) c->logit[i] = -INFINITY;
    }
    candidates_keep_at_least(c, -3.4e38f);
}

/* ---- temperature ----------------------------------------------------------------------------- */

bool is_greedy(const gguf_sampler_params *p) { return p->temperature <= 0 && p->dynatemp_range <= 0; }

static bool temperature_on(const gguf_sampler_params *p) { return p->temperature != 1 || p->dynatemp_range > 0; }

/* Between temperature - range and + range, by how near the entropy is to that of an even choice. */
static double dynamic_temperature(gguf_sampler *s) {
    const gguf_sampler_params *p = &s->params;
    candidates_weigh(&s->c);
    double least = (double)p->temperature - (double)p->dynatemp_range, share;
    double most = (double)p->temperature + (double)p->dynatemp_range;
    if (least < 0) least = 0;
    share = candidates_entropy(&s->c) / log_f64((double)s->c.n);
    double power = share > 1e-12 ? pow_f64(share, (double)p->dynatemp_exponent) : p->dynatemp_exponent == 0;
    return least + (most - least) * power;
}

static void apply_temperature(gguf_sampler *s) {
    candidates *c = &s->c;
    const gguf_sampler_params *p = &s->params;
    if (p->dynatemp_range > 0 && c->n < 2) return;
    float t = p->dynatemp_range > 0 ? (float)dynamic_temperature(s) : p->temperature;
    if (!(t > 0)) {
        candidates_keep_one(c, candidates_best(c));
        return;
    }
    float offset = t < 1e-3f ? max_of(c->logit, c->n) : 0; /* divided by a tiny temperature they would overflow */
    for (size_t i = 0; i < c->n; i++) c->logit[i] = (c->logit[i] - offset) / t;
}

/* ---- THE table ------------------------------------------------------------------------------- */

/* clang-format off */
const sampler_step sampler_steps[] = {
    {"penalties",   "",        'e', false, penalties_on,   apply_penalties},
    {"dry",         "",        'd', false, dry_on,         apply_dry},
    {"top_n_sigma", "",        's', true,  top_n_sigma_on, apply_top_n_sigma},
    {"top_k",       "",        'k', true,  top_k_on,       apply_top_k},
    {"typ_p",       "typ",     'y', false, typical_on,     apply_typical},
    {"top_p",       "nucleus", 'p', true,  top_p_on,       apply_top_p},
    {"min_p",       "",        'm', true,  min_p_on,       apply_min_p},
    {"xtc",         "",        'x', false, xtc_on,         apply_xtc},
    {"temperature", "temp",    't', false, temperature_on, apply_temperature},
    {0},
};
/* clang-format on */

/* ---- drawing --------------------------------------------------------------------------------- */

static uint64_t rotate(uint64_t x, int k) { return x << k | x >> (64 - k); }

/* xoshiro256** (Blackman and Vigna). */
double random_real(uint64_t s[4]) {
    uint64_t result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return (double)(result >> 11) * 0x1p-53;
}

size_t draw(gguf_sampler *s) {
    candidates *c = &s->c;
    candidates_weigh(c);
    return candidates_cut(c, c->logit, c->weight, random_real(s->random) * c->total).index;
}

/* Mirostat 1 (Basu et al., 2020): the exponent of Zipf's law, from the likeliest, says how many candidates have the
 * surprise mu; returns their number. */
static double zipf_count(gguf_sampler *s) {
    enum { TOP = 100 };
    candidates *c = &s->c;
    float top[TOP];
    double sum_tb = 0, sum_tt = 0;
    size_t n = 0;
    cut at = candidates_cut(c, c->logit, NULL, TOP);
    for (size_t i = 0; i < c->n && n < TOP; i++) { /* the first by rank, sorted by insertion */
        float v = c->logit[i];
        if (v == -INFINITY || v < c->logit[at.index] || (v == c->logit[at.index] && i > at.index)) continue;
        size_t k = n++;
        for (; k > 0 && v > top[k - 1]; k--) top[k] = top[k - 1];
        top[k] = v;
    }
    for (size_t i = 0; i + 1 < n; i++) {
        double t = log_f64((double)(i + 2) / (double)(i + 1));
        sum_tb += t * ((double)top[i] - (double)top[i + 1]);
        sum_tt += t * t;
    }
    double exponent = n > 1 ? sum_tb / sum_tt : 0;
    if (exponent < 1e-6) return n > 1 ? (double)c->n : 1; /* all alike, or one alone */
    double e = exponent - 1, log_n = log_f64((double)s->n_vocab);
    double shrink = e * log_n < 600 ? (e * log_n > -600 ? e * log_n : -600) : 600;
    double scale = fabs(e) < 1e-9 ? 1 / log_n : e / (1 - exp_f64(-shrink));
    double log_count = (log_f64(scale) + s->mu * 0x1.62e42fefa39efp-1) / exponent;
    return log_count > 0 ? exp_f64(log_count < 40 ? log_count : 40) : 1;
}

size_t draw_mirostat(gguf_sampler *s) {
    candidates *c = &s->c;
    const double ln2 = 0x1.62e42fefa39efp-1;
    if (s->params.mirostat == 1) {
        double k = floor(zipf_count(s));
        if (k < (double)c->n) candidates_keep_to(c, c->logit, candidates_cut(c, c->logit, NULL, k > 1 ? k : 1));
    } else { /* 2: those whose surprise is not above mu */
        candidates_weigh(c);
        candidates_keep_at_least(c, (float)((double)c->max + log_f64(c->total) - s->mu * ln2));
    }
    size_t i = draw(s);
    double surprise = (log_f64(c->total) - ((double)c->logit[i] - (double)c->max)) / ln2;
    s->mu -= (double)s->params.mirostat_eta * (surprise - (double)s->params.mirostat_tau);
    return i;
}
