/* The sampler chain: greedy, ties, each step by itself, seeds, penalties, log-probabilities. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gguf.h"
#include "tests/unit/check.h"

static const gguf_sampler_params nothing = {.penalty_repeat = 1, .typical_p = 1, .top_p = 1, .temperature = 1};

/* How often each of n ids comes out of `draws` draws. */
static void count(const gguf_sampler_params *p, const float *logits, uint32_t n, int draws, int *counts) {
    gguf_sampler *s = gguf_sampler_open(n, p, NULL);
    memset(counts, 0, n * sizeof *counts);
    for (int i = 0; i < draws && s; i++) {
        int32_t id = gguf_sampler_sample(s, logits, NULL, 0);
        CHECK(id >= 0 && (uint32_t)id < n);
        counts[id]++;
    }
    gguf_sampler_close(s);
}

static void test_greedy(void) {
    gguf_sampler_params p = nothing;
    p.temperature = 0;
    const float logits[] = {1, 5, 2, 5, -INFINITY};
    gguf_sampler *s = gguf_sampler_open(5, &p, NULL);
    CHECK(gguf_sampler_sample(s, logits, NULL, 0) == 1); /* the tie goes to the lower id */
    const int32_t banned[] = {1, 3};
    CHECK(gguf_sampler_sample(s, logits, banned, 2) == 2);
    const int32_t all[] = {0, 1, 2, 3, 4};
    CHECK(gguf_sampler_sample(s, logits, all, 5) == GGUF_NO_TOKEN);
    gguf_sampler_close(s);
}

static void test_steps(void) {
    /* probabilities 0.5, 0.25, 0.15, 0.1 in a mixed order */
    const float logits[] = {logf(0.15f), logf(0.5f), logf(0.1f), logf(0.25f)};
    int n[4];
    count(&nothing, logits, 4, 20000, n);
    CHECK(abs(n[1] - 10000) < 400 && abs(n[3] - 5000) < 400 && abs(n[0] - 3000) < 400 && abs(n[2] - 2000) < 400);
    gguf_sampler_params p = nothing;
    p.top_k = 2;
    count(&p, logits, 4, 2000, n);
    CHECK(n[0] == 0 && n[2] == 0 && n[1] > n[3] && n[3] > 0);
    p = nothing;
    p.top_p = 0.7f; /* 0.5 falls short, 0.75 reaches it */
    count(&p, logits, 4, 2000, n);
    CHECK(n[0] == 0 && n[2] == 0 && n[3] > 0);
    p = nothing;
    p.min_p = 0.4f; /* 0.2 and more */
    count(&p, logits, 4, 2000, n);
    CHECK(n[0] == 0 && n[2] == 0 && n[3] > 0);
    p = nothing;
    p.typical_p = 0.2f; /* entropy 1.21: 0.25 (surprise 1.39) is the most typical */
    count(&p, logits, 4, 500, n);
    CHECK(n[3] == 500);
    p = nothing;
    p.temperature = 0.05f;
    count(&p, logits, 4, 500, n);
    CHECK(n[1] == 500);
    p = nothing;
    p.top_p = 0;
    count(&p, logits, 4, 50, n);
    CHECK(n[1] == 50); /* one is always left */
}

/* Which of n ids, at most 32, ever come out of 500 draws: bit i is id i. */
static unsigned drawn(const gguf_sampler_params *p, const float *logits, uint32_t n) {
    int counts[32];
    unsigned bits = 0;
    count(p, logits, n, 500, counts);
    for (uint32_t i = 0; i < n; i++) bits |= (counts[i] > 0) << i;
    return bits;
}

static void test_top_n_sigma(void) {
    const float logits[] = {3, 1, 2, 0, -INFINITY}; /* deviation of the finite ones: sqrt 1.25 = 1.118 */
    gguf_sampler_params p = nothing;
    p.top_n_sigma = 1; /* 1.88 and more */
    CHECK(drawn(&p, logits, 5) == 0x5);
    p.top_n_sigma = 1.8f; /* 0.99 and more */
    CHECK(drawn(&p, logits, 5) == 0x7);
    p.top_n_sigma = -1;
    CHECK(drawn(&p, logits, 5) == 0xF);
}

static void test_xtc(void) {
    const float logits[] = {logf(0.1f), logf(0.4f), logf(0.3f), logf(0.2f)};
    gguf_sampler_params p = nothing;
    p.xtc_probability = 1;
    p.xtc_threshold = 0.15f; /* of 0.4, 0.3, 0.2 the last stays */
    CHECK(drawn(&p, logits, 4) == 0x9);
    p.xtc_threshold = 0.35f; /* one alone stays */
    CHECK(drawn(&p, logits, 4) == 0xF);
    p.xtc_threshold = 0.51f; /* off */
    CHECK(drawn(&p, logits, 4) == 0xF);
    p.xtc_threshold = 0.15f;
    p.xtc_probability = 0.5f; /* id 1 only in the other half: 0.5 * 0.4 */
    int n[4];
    count(&p, logits, 4, 20000, n);
    CHECK(abs(n[1] - 4000) < 300 && abs(n[2] - 3000) < 300);
    const float twins[] = {0, 0, -1};
    p.xtc_threshold = 0.2f;
    p.xtc_probability = 1;
    CHECK(drawn(&p, twins, 3) == 0x6); /* of equals the higher id is the last */
}

static void test_temperature(void) {
    /* even chances: normalised entropy 1, so temperature + range; a sure choice: temperature - range */
    const float even[] = {1, 1}, logits[] = {2, 0};
    gguf_sampler_params p = nothing;
    p.temperature = 1;
    p.dynatemp_range = 1;
    p.dynatemp_exponent = 1;
    int n[2];
    count(&p, even, 2, 20000, n);
    CHECK(abs(n[0] - 10000) < 400);
    /* p = 0.881, 0.119: entropy 0.3653 of ln 2 = 0.527, temperature 0 + 2 * 0.527 = 1.054: p = 0.8696 */
    count(&p, logits, 2, 20000, n);
    CHECK(abs(n[0] - 17392) < 200);
    p.dynatemp_exponent = 2; /* 2 * 0.2777 = 0.5555: p = 0.9734 */
    count(&p, logits, 2, 20000, n);
    CHECK(abs(n[0] - 19468) < 120);
}

static void test_mirostat(void) {
    float logits[16];
    for (int i = 0; i < 16; i++) logits[i] = -(float)i;
    gguf_sampler_params p = nothing;
    p.mirostat = 2;
    p.mirostat_eta = 0;
    p.mirostat_tau = 1; /* the bound stays 2 bits: p >= 1/4. p0 = 0.632, p1 = 0.2325 */
    CHECK(drawn(&p, logits, 16) == 0x1);
    p.mirostat_tau = 1.1f; /* 2.2 bits: p >= 0.2176 */
    CHECK(drawn(&p, logits, 16) == 0x3);
    p.mirostat_tau = 0; /* one is always left */
    CHECK(drawn(&p, logits, 16) == 0x1);
    for (int i = 0; i < 16; i++) logits[i] = -logf((float)i + 1); /* Zipf's law: the exponent is 1 */
    p.mirostat = 1;
    p.mirostat_tau = 1.2f; /* (2^2.4 / ln 16) = 1.904: the first alone */
    CHECK(drawn(&p, logits, 16) == 0x1);
    p.mirostat_tau = 1.6f; /* 2^3.2 / ln 16 = 3.31 */
    CHECK(drawn(&p, logits, 16) == 0x7);
    p.temperature = 0;
    CHECK(drawn(&p, logits, 16) == 0x1);
}

static void test_bias(void) {
    const float logits[] = {1, 2, 3, 0};
    const gguf_logit_bias bias[] = {{2, -INFINITY}, {0, 1.5f}, {0, 1}};
    gguf_sampler_params p = nothing;
    p.temperature = 0;
    p.bias = bias;
    p.n_bias = 3;
    gguf_sampler *s = gguf_sampler_open(4, &p, NULL);
    CHECK(gguf_sampler_sample(s, logits, NULL, 0) == 0); /* 1 + 2.5 against 2 */
    gguf_sampler_close(s);
    const gguf_logit_bias all[] = {{0, -INFINITY}, {1, -INFINITY}, {2, -INFINITY}, {3, -INFINITY}};
    p.bias = all;
    p.n_bias = 4;
    s = gguf_sampler_open(4, &p, NULL);
    CHECK(gguf_sampler_sample(s, logits, NULL, 0) == GGUF_NO_TOKEN);
    gguf_sampler_close(s);
}

static int32_t after(const gguf_sampler_params *p, const float *logits, uint32_t n, const char *ids) {
    gguf_sampler *s = gguf_sampler_open(n, p, NULL);
    for (; *ids; ids++) gguf_sampler_accept(s, *ids - 'a');
    int32_t id = gguf_sampler_sample(s, logits, NULL, 0);
    gguf_sampler_close(s);
    return id;
}

static void test_dry(void) {
    const float logits[26] = {0, 0, 5, 4, 3}; /* c before d before e */
    gguf_sampler_params p = nothing;
    p.temperature = 0;
    p.dry_multiplier = 1;
    p.dry_base = 2;
    p.dry_allowed_length = 2;
    p.dry_last_n = -1;
    CHECK(after(&p, logits, 26, "abcxab") == 2);        /* "ab" again, then c costs 1: 4, and the tie goes to c */
    CHECK(after(&p, logits, 26, "yabcxyab") == 3);      /* "yab": c costs 2, d is left with 4 */
    CHECK(after(&p, logits, 26, "yabcxyabdzyab") == 2); /* d costs as much */
    CHECK(after(&p, logits, 26, "abcxb") == 2);         /* a repeat of one token is allowed */
    p.dry_allowed_length = 1;
    p.dry_multiplier = 2;
    CHECK(after(&p, logits, 26, "abcxb") == 3);
    p.dry_last_n = 3; /* "cxb": nothing recurs */
    CHECK(after(&p, logits, 26, "abcxb") == 2);
    p.dry_last_n = -1;
    p.dry_allowed_length = 0; /* each token costs something */
    CHECK(after(&p, logits, 26, "xcx") == 3);
    p.dry_allowed_length = 2; /* a long repeat costs no more than a float can hold */
    CHECK(after(&p, logits, 26,
                "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc") == 3);
}

static void test_chain(void) {
    const float logits[] = {logf(0.5f), logf(0.3f), logf(0.15f), logf(0.05f)};
    gguf_sampler_params p = nothing;
    p.top_k = 2;
    p.xtc_probability = 1;
    p.xtc_threshold = 0.2f;
    CHECK(drawn(&p, logits, 4) == 0x2); /* 0, 1, then without 0 */
    p.samplers = "xtc;top_k";
    CHECK(drawn(&p, logits, 4) == 0x6); /* without 0, then 1, 2 */
    p.samplers = "Top-K";
    CHECK(drawn(&p, logits, 4) == 0x3);
    p.samplers = NULL;
    p.sampler_letters = "xk";
    CHECK(drawn(&p, logits, 4) == 0x6);
    p.sampler_letters = "";
    CHECK(drawn(&p, logits, 4) == 0xF);
    /* a greedy choice leaves out what cannot change it, but not what stands before a step that counts */
    p.temperature = 0;
    p.top_k = 1;
    p.samplers = "top_k;xtc;temperature";
    CHECK(drawn(&p, logits, 4) == 0x1);
    p.samplers = "xtc;top_k;temperature";
    CHECK(drawn(&p, logits, 4) == 0x2);
    gguf_error e = {0};
    p.samplers = "top_k;nonsense";
    CHECK(!gguf_sampler_open(4, &p, &e) && e.code == GGUF_ERR_USAGE && strstr(e.message, "nonsense"));
}

static int by_value(const void *a, const void *b) {
    const float *x = a, *y = b;
    return (*x < *y) - (*x > *y);
}

/* Large vocabularies take other ways to the same end: against a plain sort. */
static void test_large(void) {
    enum { N = 20000, K = 40 };
    static float logits[N], sorted[N];
    uint32_t x = 1;
    for (int i = 0; i < N; i++) logits[i] = (float)((x = x * 1664525 + 1013904223) >> 20) * 0.01f - 20;
    memcpy(sorted, logits, sizeof logits);
    qsort(sorted, N, sizeof *sorted, by_value);
    gguf_sampler_params p = nothing;
    p.top_k = K;
    p.temperature = 1e3f;
    gguf_sampler *s = gguf_sampler_open(N, &p, NULL);
    float least = sorted[0];
    for (int i = 0; i < 2000; i++) {
        float v = logits[gguf_sampler_sample(s, logits, NULL, 0)];
        least = v < least ? v : least;
    }
    CHECK(least == sorted[K - 1]);
    gguf_sampler_close(s);
    double total = 0, sum = 0;
    for (int i = 0; i < N; i++) total += exp((double)sorted[i] - (double)sorted[0]);
    int keep = 0;
    while (sum < 0.5 * total) sum += exp((double)sorted[keep++] - (double)sorted[0]);
    p.top_k = 0;
    p.top_p = 0.5f;
    s = gguf_sampler_open(N, &p, NULL);
    least = sorted[0];
    for (int i = 0; i < 5000; i++) {
        float v = logits[gguf_sampler_sample(s, logits, NULL, 0)];
        least = v < least ? v : least;
    }
    CHECK(least == sorted[keep - 1]);
    gguf_sampler_close(s);
}

/* These very ids are what every machine must draw. */
static void test_seed(void) {
    float logits[100];
    for (int i = 0; i < 100; i++) logits[i] = (float)(i * 37 % 100) * 0.05f;
    gguf_sampler_params p = gguf_sampler_defaults();
    p.seed = 42;
    int32_t ids[2][8];
    for (int k = 0; k < 2; k++) {
        gguf_sampler *s = gguf_sampler_open(100, &p, NULL);
        for (int i = 0; i < 8; i++) ids[k][i] = gguf_sampler_sample(s, logits, NULL, 0);
        gguf_sampler_close(s);
    }
    CHECK(memcmp(ids[0], ids[1], sizeof ids[0]) == 0);
    static const int32_t want[8] = {54, 89, 5, 56, 18, 13, 59, 21};
    CHECK(memcmp(ids[0], want, sizeof want) == 0);
}

static void test_penalties(void) {
    const float logits[] = {2.0f, 1.9f, -1.0f};
    gguf_sampler_params p = nothing;
    p.temperature = 0;
    p.penalty_last_n = 2;
    p.penalty_repeat = 1.5f;
    gguf_sampler *s = gguf_sampler_open(3, &p, NULL);
    CHECK(gguf_sampler_sample(s, logits, NULL, 0) == 0);
    gguf_sampler_accept(s, 0);
    CHECK(gguf_sampler_sample(s, logits, NULL, 0) == 1); /* 2 / 1.5 < 1.9 */
    gguf_sampler_accept(s, 2);
    gguf_sampler_accept(s, 2); /* 0 is out of the window again */
    CHECK(gguf_sampler_sample(s, logits, NULL, 0) == 0);
    gguf_sampler_close(s);
    p.penalty_repeat = 1;
    p.penalty_last_n = -1;
    p.penalty_frequency = 0.04f;
    s = gguf_sampler_open(3, &p, NULL);
    for (int i = 0; i < 2; i++) gguf_sampler_accept(s, 0);
    CHECK(gguf_sampler_sample(s, logits, NULL, 0) == 0); /* 1.92 */
    gguf_sampler_accept(s, 0);
    CHECK(gguf_sampler_sample(s, logits, NULL, 0) == 1); /* 1.88 */
    gguf_sampler_accept(s, 77);                          /* an id outside is not counted */
    gguf_sampler_close(s);
}

static void test_errors(void) {
    gguf_error e = {0};
    gguf_sampler_params p = nothing;
    p.temperature = NAN;
    CHECK(!gguf_sampler_open(4, &p, &e) && e.code == GGUF_ERR_USAGE);
    e = (gguf_error){0};
    p = nothing;
    p.penalty_repeat = 0;
    CHECK(!gguf_sampler_open(4, &p, &e) && e.code == GGUF_ERR_USAGE);
    e = (gguf_error){0};
    CHECK(!gguf_sampler_open(0, NULL, &e) && e.code == GGUF_ERR_USAGE);
    static const gguf_logit_bias wrong[] = {{4, 1}, {-1, 1}, {0, NAN}, {0, INFINITY}};
    for (int i = 0; i < 4; i++) {
        e = (gguf_error){0};
        p = nothing;
        p.bias = &wrong[i];
        p.n_bias = 1;
        CHECK(!gguf_sampler_open(4, &p, &e) && e.code == GGUF_ERR_USAGE);
    }
    e = (gguf_error){0};
    p = nothing;
    p.dry_multiplier = 1;
    p.dry_base = 0.5f;
    CHECK(!gguf_sampler_open(4, &p, &e) && e.code == GGUF_ERR_USAGE);
    e = (gguf_error){0};
    p = gguf_sampler_defaults();
    p.dry_multiplier = 1; /* breakers without a vocabulary */
    CHECK(!gguf_sampler_open(4, &p, &e) && e.code == GGUF_ERR_USAGE);
    e = (gguf_error){0};
    p = nothing;
    p.mirostat = 3;
    CHECK(!gguf_sampler_open(4, &p, &e) && e.code == GGUF_ERR_USAGE);
}

static void test_logprobs(void) {
    const float logits[] = {0, 1, 1, -2};
    gguf_logprob top[5];
    double norm = log(1 + 2 * exp(1) + exp(-2));
    CHECK(fabs((double)gguf_logits_logprobs(logits, 4, 3, top, 5) - (-2 - norm)) < 1e-6);
    CHECK(top[0].id == 1 && top[1].id == 2 && top[2].id == 0 && top[3].id == 3 && top[4].id == GGUF_NO_TOKEN);
    CHECK(fabs((double)top[0].logprob - (1 - norm)) < 1e-6);
    gguf_logits_logprobs(logits, 4, 0, top, 2);
    CHECK(top[0].id == 1 && top[1].id == 2);
}

int main(void) {
    test_greedy();
    test_steps();
    test_top_n_sigma();
    test_xtc();
    test_temperature();
    test_mirostat();
    test_bias();
    test_dry();
    test_chain();
    test_large();
    test_seed();
    test_penalties();
    test_errors();
    test_logprobs();
    return check_summary();
}
