/*
 * The engine against golden logits, which scripts/reference.py computed in float64 for models that are made here
 * again; and against itself: the number of threads, the batch, the instruction set, the way the file is read and its
 * shards change no bit.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/model_maker.h"
#include "tests/unit/check.h"

enum { POSITIONS = 14, COLUMNS = 6, VALUES = POSITIONS * COLUMNS };

typedef struct {
    const char *options;   /* of the model, see model_maker.h */
    double act_error;      /* of `rounded` against `exact` */
    double sum_of_squares; /* of all the rounded logits */
    float exact[VALUES];   /* [POSITIONS][COLUMNS] */
    float rounded[VALUES]; /* the same with the inputs of quantized matrices rounded to int8, where act_error > 0 */
} golden;

#include "golden.inc"

/* What the arithmetic may add, by cache type. Float types have no other error; the f16 cache rounds keys and values,
 * which also changes what falls to which side of an int8 step: another sample of the same error, from few values. */
static const double float_limit[] = {[GGUF_CACHE_F16] = 1e-6, [GGUF_CACHE_F32] = 1e-9};
static const double act_factor[] = {[GGUF_CACHE_F16] = 3, [GGUF_CACHE_F32] = 1.5};

static char dir[] = "/tmp/gguf-golden-XXXXXX";
static char path[sizeof dir + 64];

/* ---- running a model ------------------------------------------------------------------------------ */

typedef struct {
    uint32_t n_vocab;
    float *at; /* the next row of logits */
} sheet;

static bool collect(void *ctx, uint32_t position, const float *logits) {
    (void)position;
    sheet *s = ctx;
    memcpy(s->at, logits, s->n_vocab * sizeof *logits);
    s->at += s->n_vocab;
    return true;
}

/* How a model is run; zero is the default everywhere. */
typedef struct {
    const char *tier;
    uint32_t n_threads, n_batch;
    bool no_mmap;
    gguf_cache_type cache;
} way;

/* Logits [n][*n_vocab] of the model at `path`, to be released; NULL, with err set, where it fails. */
static float *run(const way *w, const int32_t *ids, size_t n, uint32_t *n_vocab, gguf_error *err) {
    gguf_model_params mp = {.no_mmap = w->no_mmap};
    gguf_session_params sp = {.n_threads = w->n_threads ? w->n_threads : 1,
                              .n_batch = w->n_batch,
                              .cache_k = w->cache,
                              .cache_v = w->cache};
    if (w->tier) {
        setenv("GGUF_CPU", w->tier, 1);
    } else {
        unsetenv("GGUF_CPU");
    }
    gguf_model *m = gguf_model_open(path, &mp, err);
    gguf_session *s = m ? gguf_session_open(m, &sp, err) : NULL;
    float *logits = NULL;
    if (s) {
        *n_vocab = gguf_model_get_info(m).n_vocab;
        logits = calloc(n * *n_vocab, sizeof *logits);
        sheet out = {*n_vocab, logits};
        if (!logits || !gguf_session_score(s, ids, n, collect, &out, err)) {
            free(logits);
            logits = NULL;
        }
    }
    gguf_session_close(s);
    gguf_model_close(m);
    return logits;
}

static bool make(const char *options) {
    gguf_error err = {0};
    model_spec spec = {0};
    bool ok = model_spec_parse_line(&spec, options, &err) && model_write(&spec, path, &err);
    if (!ok) fprintf(stderr, "%s: %s\n", options, err.message);
    model_spec_free(&spec);
    return ok;
}

static bool report(const char *what, const char *options, double value, double limit) {
    if (value <= limit) return true;
    fprintf(stderr, "%s: %s is %.3g, more than %.3g\n", options, what, value, limit);
    return false;
}

/* ---- golden values -------------------------------------------------------------------------------- */

static double error_of(const float *a, const float *b, size_t n) {
    double difference = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        difference += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        size += (double)b[i] * (double)b[i];
    }
    return difference / size;
}

/* The positions from the first on that agree with the rounded reference. A value that lies between two int8 steps may
 * fall to the other side in float32; this changes its position and those that follow, and no one before. */
static int same_positions(const float *ours, const golden *g, double limit) {
    int n = 0;
    const float *want = g->act_error > 0 ? g->rounded : g->exact;
    while (n < POSITIONS && error_of(ours + n * COLUMNS, want + n * COLUMNS, COLUMNS) <= limit) n++;
    return n;
}

static void test_values(const golden *g, gguf_cache_type cache) {
    gguf_error err = {0};
    uint32_t n_vocab = 0;
    float *logits = run(&(way){.cache = cache}, golden_ids, POSITIONS, &n_vocab, &err), ours[VALUES];
    if (!logits) fprintf(stderr, "%s: %s\n", g->options, err.message);
    CHECK(logits != NULL);
    if (!logits) return;
    double sum = 0;
    for (size_t i = 0; i < (size_t)POSITIONS * n_vocab; i++) sum += (double)logits[i] * (double)logits[i];
    for (int i = 0; i < VALUES; i++)
        ours[i] = logits[(size_t)(i / COLUMNS) * n_vocab + (size_t)golden_columns[i % COLUMNS]];
    free(logits);
    double limit = g->act_error > 0 ? act_factor[cache] * g->act_error : float_limit[cache];
    double sum_error = fabs(sum / g->sum_of_squares - 1);
    CHECK(report("the error", g->options, error_of(ours, g->exact, VALUES), limit));
    CHECK(report("the sum of squares' error", g->options, sum_error, 2 * sqrt(limit)));
    if (cache == GGUF_CACHE_F16) return;
    int wrong = POSITIONS - same_positions(ours, g, float_limit[cache]);
    CHECK(report("the number of positions that are not exact", g->options, wrong, POSITIONS / 2));
}

/* ---- the same bits -------------------------------------------------------------------------------- */

/* More positions than a chunk of attention and than a group of logits. */
enum { LONG = 300 };

/* Every tier there is; those that this machine lacks are passed over. */
static const char *const tiers[] = {"scalar", "avx2", "avxvnni", "avx512", "amx", "neon", "i8mm"};
enum { N_TIERS = sizeof tiers / sizeof *tiers };

/* The logits of the first n positions. */
static void same_prefix(const char *what, const way *w, const int32_t *ids, size_t n, const float *expected) {
    gguf_error err = {0};
    uint32_t n_vocab = 0;
    float *logits = run(w, ids, n, &n_vocab, &err);
    static const char *told; /* of the last tier that is not here */
    if (!logits && w->tier && err.code == GGUF_ERR_USAGE) {
        if (told != w->tier) printf("not checked: %s\n", err.message);
        told = w->tier;
        return;
    }
    bool same = logits && memcmp(logits, expected, n * n_vocab * sizeof *logits) == 0;
    if (!same) {
        fprintf(stderr, "%s, tier %s, %u threads, batches of %u: other logits %s\n", what, w->tier ? w->tier : "best",
                w->n_threads, w->n_batch, err.message);
    }
    CHECK(same);
    free(logits);
}

static void same_bits(const char *what, const way *w, const int32_t *ids, const float *expected) {
    same_prefix(what, w, ids, LONG, expected);
}

/* What a session's calls have to agree on: all at once, in two parts, after going back. Where a window no longer holds
 * what a position needs, going back to it is an error, and the text is fed again. */
static void test_session(const int32_t *ids, const float *expected, uint32_t n_vocab, bool has_window) {
    gguf_error err = {0};
    gguf_model *m = gguf_model_open(path, NULL, &err);
    gguf_session *s = m ? gguf_session_open(m, &(gguf_session_params){.n_batch = 32}, &err) : NULL;
    const float *last = expected + (size_t)(LONG - 1) * n_vocab;
    CHECK(s != NULL);
    if (s) {
        CHECK(gguf_session_decode(s, ids, 100, &err));
        CHECK(memcmp(gguf_session_logits(s), expected + (size_t)99 * n_vocab, n_vocab * sizeof *last) == 0);
        CHECK(gguf_session_decode(s, ids + 100, LONG - 100, &err));
        CHECK(memcmp(gguf_session_logits(s), last, n_vocab * sizeof *last) == 0);
        CHECK(gguf_session_rewind(s, LONG - 40, &err) && gguf_session_position(s) == LONG - 40);
        CHECK(gguf_session_decode(s, ids + LONG - 40, 40, &err));
        CHECK(memcmp(gguf_session_logits(s), last, n_vocab * sizeof *last) == 0);
        gguf_error lost = {0};
        uint32_t from = gguf_session_rewind(s, 10, &lost) ? 10 : 0;
        CHECK(has_window ? lost.code == GGUF_ERR_CONTEXT : from == 10);
        CHECK(gguf_session_rewind(s, from, &err) && gguf_session_decode(s, ids + from, LONG - from, &err));
        CHECK(memcmp(gguf_session_logits(s), last, n_vocab * sizeof *last) == 0);
    }
    gguf_session_close(s);
    gguf_model_close(m);
}

/* Each type of cache: near the f16 one, and the same bits whatever computes it. */
static void test_caches(const int32_t *ids, const float *exact, uint32_t n_vocab) {
    static const struct {
        gguf_cache_type cache;
        const char *name;
        double limit; /* of the error that its rounding may bring */
    } caches[] = {{GGUF_CACHE_F32, "f32", 1e-4},
                  {GGUF_CACHE_F16, "f16", 1e-4},
                  {GGUF_CACHE_BF16, "bf16", 1e-3},
                  {GGUF_CACHE_Q8_0, "q8_0", 1e-3}};
    for (size_t i = 0; i < sizeof caches / sizeof *caches; i++) {
        gguf_error err = {0};
        gguf_cache_type c = caches[i].cache;
        float *expected = run(&(way){.cache = c}, ids, LONG, &n_vocab, &err);
        CHECK(expected != NULL);
        if (!expected) continue;
        double sum = 0, square = 0;
        for (size_t k = 0; k < (size_t)LONG * n_vocab; k++) {
            sum += ((double)expected[k] - (double)exact[k]) * ((double)expected[k] - (double)exact[k]);
            square += (double)exact[k] * (double)exact[k];
        }
        CHECK(sum <= caches[i].limit * square);
        same_bits(caches[i].name, &(way){.cache = c, .n_threads = 3, .n_batch = 7}, ids, expected);
        for (size_t t = 0; t < N_TIERS; t++)
            same_bits(caches[i].name, &(way){.cache = c, .tier = tiers[t], .n_batch = 64}, ids, expected);
        unsetenv("GGUF_CPU");
        free(expected);
    }
}

static void test_bits(const char *options) {
    static const struct {
        const char *what;
        way w;
    } ways[] = {
        {"2 threads", {.n_threads = 2}},    {"3 threads", {.n_threads = 3}},
        {"batches of 1", {.n_batch = 1}},   {"batches of 7", {.n_batch = 7, .n_threads = 2}},
        {"batches of 64", {.n_batch = 64}}, {"one batch", {.n_batch = LONG}},
        {"scalar", {.tier = "scalar"}},     {"scalar, batches of 5", {.tier = "scalar", .n_batch = 5}},
        {"avx2", {.tier = "avx2"}},         {"avx2, batches of 5", {.tier = "avx2", .n_batch = 5}},
        {"avxvnni", {.tier = "avxvnni"}},   {"avxvnni, batches of 5", {.tier = "avxvnni", .n_batch = 5}},
        {"avx512", {.tier = "avx512"}},     {"avx512, batches of 5", {.tier = "avx512", .n_batch = 5}},
        {"amx", {.tier = "amx"}},           {"neon", {.tier = "neon"}},
        {"i8mm", {.tier = "i8mm"}},         {"neon, batches of 5", {.tier = "neon", .n_batch = 5}},
        {"no mmap", {.no_mmap = true}},
    };
    gguf_error err = {0};
    int32_t ids[LONG];
    uint32_t n_vocab = 0;
    snprintf(path, sizeof path, "%s/bits.gguf", dir);
    CHECK(make(options));
    for (int i = 0; i < LONG; i++) ids[i] = i * 7919 % 300;
    float *expected = run(&(way){0}, ids, LONG, &n_vocab, &err);
    CHECK(expected != NULL);
    if (!expected) return;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) same_bits(ways[i].what, &ways[i].w, ids, expected);
    unsetenv("GGUF_CPU");
    static const char *const windows[] = {"gpt-oss", "gemma", "llama4", "lfm2"};
    bool has_window = false;
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) has_window |= strstr(options, windows[i]) != NULL;
    test_session(ids, expected, n_vocab, has_window);
    if (strstr(options, "--type F16")) test_caches(ids, expected, n_vocab); /* where the error is the cache's alone */
    unlink(path);

    char split[512];
    snprintf(split, sizeof split, "%s --shards 3", options);
    CHECK(make(split));
    for (int i = 3; i >= 1; i--) { /* any of the files opens the model */
        snprintf(path, sizeof path, "%s/bits-%05d-of-00003.gguf", dir, i);
        same_bits("three shards", &(way){0}, ids, expected);
    }
    for (int i = 1; i <= 3; i++) {
        snprintf(path, sizeof path, "%s/bits-%05d-of-00003.gguf", dir, i);
        unlink(path);
    }
    free(expected);
}

/* One type of weights: tiers, threads, chunks of the prompt and types of the cache, each against the scalar tier with
 * one thread. Only a chunk of 512 needs all the positions. */
static void test_axes(const char *type) {
    enum { ALL = 520, SHORT = 70 };
    static const uint32_t chunks[] = {1, 7, 64, 512}, threads[] = {2, 3, 5};
    char options[256];
    gguf_error err = {0};
    int32_t ids[ALL];
    uint32_t n_vocab = 0;
    snprintf(options, sizeof options,
             "--embd 256 --ff 256 --layers 1 --heads 4 --kv-heads 2 --ctx 640 --vocab 300 --type %s", type);
    CHECK(make(options));
    for (int i = 0; i < ALL; i++) ids[i] = i * 7919 % 300;
    for (int cache = 0; cache < 4; cache++) {
        const bool first = cache == GGUF_CACHE_F16; /* the other types of cache vary by themselves */
        const size_t n = first ? ALL : SHORT;
        way w = {.tier = "scalar", .n_threads = 1, .n_batch = 512, .cache = (gguf_cache_type)cache};
        float *expected = run(&w, ids, n, &n_vocab, &err);
        CHECK(expected != NULL);
        if (!expected) continue;
        for (size_t t = 0; t < N_TIERS; t++) {
            w.tier = tiers[t];
            for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
                w.n_batch = chunks[c];
                if (first ? w.n_batch == 512 && t == 0 : w.n_batch != 7) continue;
                same_prefix(type, &w, ids, w.n_batch == 512 ? n : SHORT, expected);
            }
        }
        w = (way){.tier = "scalar", .n_batch = 64};
        for (size_t i = 0; i < sizeof threads / sizeof *threads && first; i++) {
            w.n_threads = threads[i];
            same_prefix(type, &w, ids, SHORT, expected);
        }
        free(expected);
    }
    unsetenv("GGUF_CPU");
    unlink(path);
}

int main(void) {
    if (!mkdtemp(dir)) {
        perror("mkdtemp");
        return 1;
    }
    snprintf(path, sizeof path, "%s/golden.gguf", dir);
    for (size_t i = 0; i < sizeof goldens / sizeof *goldens; i++) {
        CHECK(make(goldens[i].options));
        test_values(&goldens[i], GGUF_CACHE_F32);
        test_values(&goldens[i], GGUF_CACHE_F16);
    }
    unlink(path);
    const char *shape = "--embd 256 --ff 512 --heads 4 --kv-heads 2 --ctx 512 --vocab 300 --layers";
    static const char *const others[] = {"2 --type Q4_K_M --biases", "4 --type Q8_0 --arch smollm3",
                                         "2 --type F16 --rope-factors", "2 --type Q5_1 --head-size 40 --rot 20",
                                         /* each kind of block: experts, windows, sinks, soft-caps, ALiBi, latent
                                          * attention, convolutions */
                                         "2 --type Q8_0 --arch qwen2moe", "4 --type Q4_K --arch gpt-oss",
                                         "2 --type Q8_0 --arch gemma3 --key attention.sliding_window_pattern=u32:2",
                                         "2 --type Q4_K --arch gemma2", "2 --type Q4_K --arch bloom",
                                         "4 --type F32 --arch llama4", "2 --type Q8_0 --arch deepseek2",
                                         "4 --type Q4_K --arch lfm2"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char options[256];
        snprintf(options, sizeof options, "%s %s", shape, others[i]);
        test_bits(options);
    }
    static const char *const types[] = {"Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K",
                                        "Q4_K", "Q5_K", "Q6_K", "F16",  "BF16", "F32"};
    snprintf(path, sizeof path, "%s/axes.gguf", dir);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) test_axes(types[i]);
    rmdir(dir);
    return check_summary();
}
