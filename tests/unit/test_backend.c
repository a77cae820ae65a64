/* The CPU backend, operation by operation: RoPE's angles, what attention computes, and which token an error names. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backend/backend.h"
#include "kernel/fmath.h"
#include "tests/unit/check.h"

static backend *open_backend(int n_threads) {
    gguf_error err = {0};
    backend *b = backend_cpu_new(kernels_choose(&err), n_threads, NULL, NULL, NULL, NULL, &err);
    CHECK(b);
    return b;
}

static bool run(backend *b, const op *ops, size_t n_ops, uint32_t n_tok, uint32_t position, gguf_error *err) {
    step s = {.n_tok = n_tok, .position = position};
    return backend_prepare(b, ops, n_ops, err) && backend_run(b, ops, n_ops, &s, err);
}

/* ---- RoPE ------------------------------------------------------------------------------------ */

/* Cosines and sines to 1e-7 up to position 131071, against long double. */
static void test_rope_table(void) {
    enum { N_ROT = 128, HALF = N_ROT / 2, N_TOK = 4 };
    static const double bases[] = {10000, 500000, 1000000, 5000000};
    static const uint32_t positions[] = {0, 4095, 32768, 100000, 131068};
    backend *b = open_backend(2);
    for (size_t k = 0; k < sizeof bases / sizeof *bases; k++) {
        double frequency[HALF];
        float c[N_TOK * HALF], s[N_TOK * HALF];
        for (int i = 0; i < HALF; i++) frequency[i] = pow_f64(bases[k], -2.0 * i / N_ROT);
        rope_table table = {.n_rot = N_ROT, .inverse_frequency = frequency, .scale = 1, .cos = c, .sin = s};
        op o = {.kind = OP_ROPE_TABLE, .layer = -1, .rope = &table};
        long double worst = 0;
        for (size_t p = 0; p < sizeof positions / sizeof *positions; p++) {
            CHECK(run(b, &o, 1, N_TOK, positions[p], NULL));
            for (int t = 0; t < N_TOK; t++) {
                for (int i = 0; i < HALF; i++) {
                    long double angle =
                        (long double)(positions[p] + (uint32_t)t) * powl((long double)bases[k], -2.0L * i / N_ROT);
                    worst = fmaxl(worst, fabsl(c[t * HALF + i] - cosl(angle)));
                    worst = fmaxl(worst, fabsl(s[t * HALF + i] - sinl(angle)));
                }
            }
        }
        CHECK(worst < 1e-7L);
    }
    backend_free(b);
}

/* ---- attention ------------------------------------------------------------------------------- */

enum { N_HEAD = 6, N_KV = 2, N_K = 16, N_V = 24, N_CTX = 1200, MAX_TOK = 40 };

static float keys[N_KV * N_CTX * N_K], values[N_KV * N_CTX * N_V];
static float queries[MAX_TOK * N_HEAD * N_K], got[MAX_TOK * N_HEAD * N_V];

static float random_value(void) {
    static uint64_t state = 7;
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (float)(int32_t)(state >> 32) / 0x1p31f;
}

static void fill(float *x, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = random_value();
}

/* One value of the result in double precision, straight from the definition. */
static void attention(const op *o, uint32_t position, size_t h, const float *q, double *out) {
    static double p[N_CTX];
    size_t kv = h / (N_HEAD / N_KV);
    uint32_t begin = 0;
    if (o->window && o->chunks) begin = position - position % o->window;
    if (o->window && !o->chunks && position + 1 > o->window) begin = position + 1 - o->window;
    double max = o->sinks ? (double)o->sinks[h] : -INFINITY, total = 0;
    for (uint32_t j = begin; j <= position; j++) {
        double x = 0;
        for (size_t i = 0; i < N_K; i++) x += (double)q[i] * (double)keys[(kv * N_CTX + j) * N_K + i];
        x *= (double)o->scale;
        if (o->softcap != 0) x = (double)o->softcap * tanh(x / (double)o->softcap);
        if (o->slopes) x += (double)o->slopes[h] * ((double)j - (double)position);
        p[j] = x;
        max = fmax(max, x);
    }
    memset(out, 0, N_V * sizeof *out);
    if (o->sinks) total += exp((double)o->sinks[h] - max);
    for (uint32_t j = begin; j <= position; j++) {
        double w = exp(p[j] - max);
        total += w;
        for (size_t i = 0; i < N_V; i++) out[i] += w * (double)values[(kv * N_CTX + j) * N_V + i];
    }
    for (size_t i = 0; i < N_V; i++) out[i] /= total;
}

static void check_attention(const op *kind, uint32_t n_tok, uint32_t position) {
    cache_layer cache = {(uint8_t *)keys, (uint8_t *)values, QUANT_F32, QUANT_F32, N_KV, N_CTX, N_K, N_V};
    op o = *kind;
    o.kind = OP_ATTEND;
    o.n = N_HEAD * N_V;
    o.n_head = N_HEAD;
    o.in = queries;
    o.out = got;
    o.cache = &cache;
    for (int threads = 1; threads <= 3; threads++) {
        backend *b = open_backend(threads);
        double worst = 0;
        memset(got, 0xFF, sizeof got);
        CHECK(run(b, &o, 1, n_tok, position, NULL));
        for (uint32_t t = 0; t < n_tok; t++) {
            for (size_t h = 0; h < N_HEAD; h++) {
                double want[N_V];
                attention(&o, position + t, h, queries + (t * N_HEAD + h) * N_K, want);
                for (size_t i = 0; i < N_V; i++) {
                    double d = fabs(want[i] - (double)got[(t * N_HEAD + h) * N_V + i]);
                    worst = d <= worst ? worst : d; /* a NaN, too */
                }
            }
        }
        CHECK(worst < 2e-6);
        backend_free(b);
    }
}

static void test_attention(void) {
    static const float slopes[N_HEAD] = {0.5f, 0.25f, 0, 0.125f, 0.01f, 1}, sinks[N_HEAD] = {0, 3, -2, 10, -50, 1};
    static const op kinds[] = {
        {.scale = 0.25f},
        {.scale = 3, .softcap = 2},
        {.scale = 0.5f, .window = 100},
        {.scale = 0.5f, .window = 700},
        {.scale = 0.5f, .window = 256, .chunks = true},
        {.scale = 0.5f, .slopes = slopes},
        {.scale = 0.5f, .sinks = sinks},
        {.scale = 1, .softcap = 5, .window = 300, .slopes = slopes, .sinks = sinks},
    };
    fill(keys, sizeof keys / sizeof *keys);
    fill(values, sizeof values / sizeof *values);
    fill(queries, sizeof queries / sizeof *queries);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        check_attention(&kinds[i], 1, 0);
        check_attention(&kinds[i], 1, 1199);
        check_attention(&kinds[i], 3, 510);
        check_attention(&kinds[i], MAX_TOK, 0);
        check_attention(&kinds[i], MAX_TOK, 750);
    }
}

/* ---- errors ---------------------------------------------------------------------------------- */

/* Two operations of one group see values that are not finite: the first operation's first token is named. */
static void test_bad_values(void) {
    enum { N = 64, N_TOK = 20 };
    static float x[N_TOK * N], y[N_TOK * N];
    act_buffer plain = {.block = 1};
    const op ops[] = {
        {.kind = OP_QUANTIZE, .layer = 3, .n = N, .in = x, .act = &plain},
        {.kind = OP_QUANTIZE, .layer = 4, .n = N, .in = y, .act = &plain},
    };
    y[0] = NAN;
    x[7 * N + 5] = INFINITY;
    x[9 * N] = NAN;
    for (int threads = 1; threads <= 4; threads++) {
        gguf_error err = {0};
        backend *b = open_backend(threads);
        CHECK(!run(b, ops, 2, N_TOK, 100, &err) && err.code == GGUF_ERR_RUN);
        CHECK(strstr(err.message, "in layer 3 at token 107"));
        gguf_error second = {0};
        CHECK(!run(b, ops + 1, 1, N_TOK, 100, &second) && strstr(second.message, "in layer 4 at token 100"));
        backend_free(b);
    }
}

static bool always(void *ctx) { return (void)ctx, true; }

static void test_stop(void) {
    static float x[64];
    gguf_error err = {0};
    const op o = {.kind = OP_ADD, .n = 64, .in = x, .in2 = x, .out = x};
    backend *b = backend_cpu_new(kernels_choose(&err), 2, always, NULL, NULL, NULL, &err);
    CHECK(b && !run(b, &o, 1, 1, 0, &err) && err.code == GGUF_ERR_STOPPED);
    backend_free(b);
}

int main(void) {
    test_rope_table();
    test_attention();
    test_bad_values();
    test_stop();
    return check_summary();
}
