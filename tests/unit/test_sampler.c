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
    test_seed();
    test_penalties();
    test_errors();
    test_logprobs();
    return check_summary();
}
