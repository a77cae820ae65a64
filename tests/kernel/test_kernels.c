/*
 * Every kernel of every tier that this machine has, and AMX's with emulated tiles where it has AVX-512 alone, against
 * the scalar one: exactly the same bits, on random blocks and on the worst ones, on odd sizes, with buffers that begin
 * or end at a page that may not be touched.
 *
 * kernel-kernels --bench [TIER] [SLOT]: instead, how fast each slot is on one core, scalar beside.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"
#include "kernel/kernel.h"
#include "tests/unit/check.h"

/* ---- buffers between guard pages ------------------------------------------------------------- */

typedef struct {
    char *map;
    size_t n_map;
} guarded;

static guarded maps[64];
static size_t n_maps;
static bool guard_front; /* buffers begin behind a page that may not be touched; else they end before one */

/* n bytes between two pages that may not be touched, against one of them. */
static void *guard(size_t n) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (n + page - 1) / page * page;
    char *p = mmap(NULL, whole + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    /* an emulator refuses an empty range, which Linux takes */
    bool opened = p != MAP_FAILED && (whole == 0 || mprotect(p + page, whole, PROT_READ | PROT_WRITE) == 0);
    if (!opened || n_maps == sizeof maps / sizeof *maps) {
        fprintf(stderr, "cannot map a guarded buffer of %zu bytes\n", n);
        exit(1);
    }
    maps[n_maps++] = (guarded){p, whole + 2 * page};
    return p + page + (guard_front ? 0 : whole - n);
}

/* Releases all buffers; the next ones lie against the other page. */
static void release_all(void) {
    while (n_maps > 0) {
        n_maps--;
        munmap(maps[n_maps].map, maps[n_maps].n_map);
    }
    guard_front = !guard_front;
}

/* ---- values ---------------------------------------------------------------------------------- */

static uint64_t state = 1;

static uint32_t random_u32(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) ^ (uint32_t)(state >> 13);
}

static float random_f32(float scale) { return ((float)(random_u32() & 0xFFFFFF) / 0x1p24f - 0.5f) * 2 * scale; }

/* Blocks of random bytes, and those at the ends of the range: all bits clear, all bits set, and between them the least
 * and the largest of signed bytes. */
typedef enum { RANDOM, ALL_ZERO, ALL_ONES, ALL_LEAST, ALL_LARGEST, N_KINDS } block_kind;

/* What keeps the scales of any bytes finite: a mask on the byte that holds the exponent's top bits. A half without its
 * top exponent bit is small; the sign stays. */
typedef struct {
    uint8_t at[2], mask[2];
} scale_byte;

/* clang-format off */
#define ONE(place) {{place, place}, {0xBB, 0xBB}}
#define TWO(first, second) {{first, second}, {0xBB, 0xBB}}
#define SET_OR_SOUND {{0, 0}, {0xFF, 0xFF}}
static const scale_byte scale_bytes[QUANT_TYPE_COUNT] = {
    [QUANT_Q4_0] = ONE(1), [QUANT_Q4_1] = TWO(1, 3), [QUANT_Q5_0] = ONE(1), [QUANT_Q5_1] = TWO(1, 3),
    [QUANT_Q8_0] = ONE(1), [QUANT_Q8_1] = TWO(1, 3), [QUANT_Q2_K] = TWO(81, 83), [QUANT_Q3_K] = ONE(109),
    [QUANT_Q4_K] = TWO(1, 3), [QUANT_Q5_K] = TWO(1, 3), [QUANT_Q6_K] = ONE(209), [QUANT_Q8_K] = SET_OR_SOUND,
    [QUANT_IQ1_S] = ONE(1), [QUANT_IQ1_M] = ONE(55), [QUANT_IQ2_XXS] = ONE(1), [QUANT_IQ2_XS] = ONE(1),
    [QUANT_IQ2_S] = ONE(1), [QUANT_IQ3_XXS] = ONE(1), [QUANT_IQ3_S] = ONE(1), [QUANT_IQ4_NL] = ONE(1),
    [QUANT_IQ4_XS] = ONE(1), [QUANT_TQ1_0] = ONE(53), [QUANT_TQ2_0] = ONE(65),
    [QUANT_MXFP4] = {{0, 0}, {0x7F, 0x7F}}, [QUANT_NVFP4] = SET_OR_SOUND,
};
#undef SET_OR_SOUND
#undef ONE
#undef TWO
/* clang-format on */

/* Any bytes are a block, but for its halves, which become small. Where scales are signed bytes they are the least and
 * the largest with weights that are so, too. */
static void fill_blocks(quant_type type, uint8_t *data, size_t n_blocks, block_kind kind) {
    static const uint8_t fill[] = {0, 0, 0xFF, 0x80, 0x7F};
    const quant_row *row = &quant_types[type];
    size_t n = n_blocks * row->bytes;
    for (size_t i = 0; i < n; i++) data[i] = kind == RANDOM ? (uint8_t)random_u32() : fill[kind];
    for (size_t b = 0; b < n_blocks && row->unpack; b++) {
        uint8_t *block = data + b * row->bytes;
        float d = kind == ALL_ZERO ? 0 : random_f32(0.01f);
        if (type == QUANT_Q8_K) memcpy(block, &d, sizeof d);
        if (type == QUANT_Q6_K && kind != RANDOM) memset(block + 192, kind == ALL_ZERO ? 0x80 : 0x7F, 16);
        for (size_t i = 0; i < 2; i++) block[scale_bytes[type].at[i]] &= scale_bytes[type].mask[i];
    }
    for (size_t i = 0; row->load && i < n_blocks; i++) { /* plain numbers: no NaN */
        uint8_t *v = data + i * row->bytes;
        if (type == QUANT_F32 || type == QUANT_F16 || type == QUANT_BF16 || type == QUANT_F64)
            v[row->bytes - 1] &= 0xBF;
    }
}

/* Activations that become random bytes, or all 0, 127, -127, or both of these. */
typedef enum { SOME, NOTHING, MOST, LEAST, BOTH, N_INPUTS } input_kind;

static void fill_floats(float *x, size_t n, input_kind kind) {
    for (size_t i = 0; i < n; i++) {
        switch (kind) {
        case NOTHING: x[i] = 0; break;
        case MOST: x[i] = 1; break;
        case LEAST: x[i] = -1; break;
        case BOTH: x[i] = i % 3 ? 1.0f : -1.0f; break;
        default: x[i] = random_f32(i % 7 ? 1 : 1e-3f);
        }
    }
}

/* ---- checks ---------------------------------------------------------------------------------- */

static const kernels *scalar, *tier;

static bool same(const float *a, const float *b, size_t n) { return memcmp(a, b, n * sizeof *a) == 0; }

/* A slot that is wrong is wrong many times: named once. */
static void check_slot(bool holds, const char *slot) {
    static const char *last_slot;
    static const kernels *last_tier;
    if (!holds && (slot != last_slot || tier != last_tier)) fprintf(stderr, "%s: %s differs\n", tier->name, slot);
    if (!holds) last_slot = slot, last_tier = tier;
    checks_failed += !holds;
    checks_made++;
}

/* A matrix with what it multiplies. */
typedef struct {
    matrix w;
    activations a;
    size_t n_tok;
} product;

static product make_product(quant_type type, size_t n_blocks, size_t n_out, size_t n_tok, block_kind kind,
                            input_kind input) {
    const quant_row *row = &quant_types[type];
    size_t n_in = n_blocks * row->block, act = row->act, n_acts = n_in / act, sums = act / ACTIVATION_SUB;
    uint8_t *data = guard(n_blocks * n_out * row->bytes);
    float *x = guard(n_tok * n_in * sizeof *x), *scale = guard(n_tok * n_acts * sizeof *scale);
    int8_t *q = guard(n_tok * n_in);
    int16_t *sum = guard(n_tok * n_acts * sums * sizeof *sum);
    fill_blocks(type, data, n_blocks * n_out, kind);
    fill_floats(x, n_tok * n_in, input);
    for (size_t t = 0; act > 1 && t < n_tok; t++)
        CHECK(scalar->quantize(x + t * n_in, n_in, act, n_tok, q + t * act, scale + t, sum + t * sums));
    return (product){{.type = type, .n_in = n_in, .n_out = n_out, .row_bytes = n_blocks * row->bytes, .data = data},
                     {.x = x, .q = q, .scale = scale, .sum = sum},
                     n_tok};
}

/* The tier gets its rows in pieces, so that they begin anywhere. */
static void check_pieces(quant_type type, size_t n_blocks, size_t n_out, size_t n_tok, block_kind kind,
                         input_kind input, size_t piece) {
    product p = make_product(type, n_blocks, n_out, n_tok, kind, input);
    size_t n = n_tok * n_out;
    float *want = guard(n * sizeof *want), *got = guard(n * sizeof *got);
    scalar->matmul_any(&p.w, &p.a, n_tok, 0, n_out, want, n_out);
    memset(got, 0xA5, n * sizeof *got);
    for (size_t r = 0; r < n_out; r += piece)
        kernels_matmul(tier, type)(&p.w, &p.a, n_tok, r, r + piece < n_out ? r + piece : n_out, got, n_out);
    check_slot(same(want, got, n), quant_types[type].name);
    release_all();
}

static void check_matmul(quant_type type, size_t n_blocks, size_t n_out, size_t n_tok, block_kind kind,
                         input_kind input) {
    check_pieces(type, n_blocks, n_out, n_tok, kind, input, 17);
}

/* More tokens and inputs than any cache block, of one type for each way in which they are gone through. */
static void check_long_matmuls(void) {
    static const quant_type types[] = {QUANT_Q4_0, QUANT_Q5_1, QUANT_Q2_K,   QUANT_Q3_K,
                                       QUANT_Q4_K, QUANT_Q6_K, QUANT_IQ4_XS, QUANT_F16};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        size_t block = quant_types[types[i]].block;
        check_pieces(types[i], block == 256 ? 9 : 2400 / block, 37, 530, RANDOM, SOME, 37);
    }
}

static void check_matmuls(void) {
    static const size_t tokens[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 26, 70};
    for (int type = 0; type < QUANT_TYPE_COUNT; type++) {
        if (!quant_find((uint32_t)type)) continue;
        bool plain = quant_types[type].block == 1;
        const size_t blocks[] = {1, 3, plain ? 257 : 8, plain ? 64 : 35}; /* with and without a rest of the lanes */
        for (size_t b = 0; b < sizeof blocks / sizeof *blocks; b++) {
            for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
                size_t n_out = 2 + (i * 7 + b) % 37;
                check_matmul((quant_type)type, blocks[b], n_out, tokens[i], RANDOM, SOME);
                if (blocks[b] > 8 || tokens[i] > 13) continue;
                for (int kind = 0; kind < N_KINDS; kind++) {
                    for (int input = 0; input < N_INPUTS; input++)
                        check_matmul((quant_type)type, blocks[b], n_out, tokens[i], (block_kind)kind,
                                     (input_kind)input);
                }
            }
        }
    }
}

static void check_quantize(size_t block) {
    size_t n = 3 * block;
    float *x = guard(n * sizeof *x), s[2][3];
    int8_t q[2][768];
    int16_t sum[2][48];
    for (int round = 0; round < 50; round++) {
        for (size_t i = 0; i < n; i++) x[i] = random_f32(round % 5 == 0 ? 1e-31f : round % 5 == 1 ? 1e30f : 1);
        if (round == 7) memset(x, 0, n * sizeof *x);
        CHECK(scalar->quantize(x, n, block, 1, q[0], s[0], sum[0]));
        CHECK(tier->quantize(x, n, block, 1, q[1], s[1], sum[1]));
        CHECK(memcmp(q[0], q[1], n) == 0 && same(s[0], s[1], 3) &&
              memcmp(sum[0], sum[1], n / ACTIVATION_SUB * sizeof **sum) == 0);
    }
    static const uint32_t bad[] = {0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 0xFFFFFFFF};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        for (size_t at = 0; at < n; at += 37) {
            fill_floats(x, n, SOME);
            x[at] = f32_from_bits(bad[i]);
            CHECK(!scalar->quantize(x, n, block, 1, q[0], s[0], sum[0]) &&
                  !tier->quantize(x, n, block, 1, q[1], s[1], sum[1]));
            CHECK(!scalar->all_finite(x, n) && !tier->all_finite(x, n));
        }
    }
    release_all();
}

static void check_vectors(size_t n) {
    float *a = guard(n * sizeof *a), *b = guard(n * sizeof *b), *want = guard(n * sizeof *want),
          *got = guard(n * sizeof *got);
    fill_floats(a, n, SOME);
    for (size_t i = 0; i < n; i++) b[i] = random_f32(100);
    for (int form = 0; form < 3; form++) { /* alone, with weights, with weights and bias */
        const float *w = form > 0 ? b : NULL, *bias = form > 1 ? a : NULL;
        scalar->rms_norm(a, w, bias, n, 1e-5f, want);
        tier->rms_norm(a, w, bias, n, 1e-5f, got);
        CHECK(same(want, got, n));
        scalar->layer_norm(a, w, bias, n, 1e-5f, want);
        tier->layer_norm(a, w, bias, n, 1e-5f, got);
        CHECK(same(want, got, n));
    }
    static const float numbers[4] = {0.8f, 0.7f, 0.5f, -1e-6f};
    for (int kind = ACT_SILU; kind <= ACT_XIELU; kind++) {
        scalar->activate((activation_kind)kind, numbers, b, a, n, want);
        tier->activate((activation_kind)kind, numbers, b, a, n, got);
        CHECK(same(want, got, n));
    }
    scalar->scale(a, 0.3f, n, want);
    tier->scale(a, 0.3f, n, got);
    scalar->add_scaled(b, 1.7f, n, want);
    tier->add_scaled(b, 1.7f, n, got);
    CHECK(same(want, got, n));
    scalar->softcap(b, 30, n, want);
    tier->softcap(b, 30, n, got);
    CHECK(same(want, got, n));
    scalar->add(a, b, n, want);
    tier->add(a, b, n, got);
    CHECK(same(want, got, n));
    CHECK(tier->all_finite(b, n));
    release_all();
}

static void check_rope(size_t n_heads, size_t stride, size_t n_rot) {
    size_t n = n_heads * stride;
    float *x[2] = {guard(n * 4), guard(n * 4)}, *c = guard(n_rot * 2), *s = guard(n_rot * 2);
    fill_floats(x[0], n, SOME);
    memcpy(x[1], x[0], n * 4);
    fill_floats(c, n_rot / 2, SOME);
    fill_floats(s, n_rot / 2, SOME);
    scalar->rope_pairs(x[0], n_heads, stride, n_rot, c, s);
    tier->rope_pairs(x[1], n_heads, stride, n_rot, c, s);
    CHECK(same(x[0], x[1], n));
    scalar->rope_halves(x[0], n_heads, stride, n_rot, c, s);
    tier->rope_halves(x[1], n_heads, stride, n_rot, c, s);
    CHECK(same(x[0], x[1], n));
    release_all();
}

/* Rows as tier and scalar store them: the same bytes, for any value there is. */
static void check_store(quant_type type, size_t n) {
    size_t n_bytes = quant_row_bytes(type, n);
    float *x = guard(n * sizeof *x);
    uint8_t *row[2] = {guard(n_bytes), guard(n_bytes)};
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < n; i++) x[i] = round < 10 ? random_f32(3) : f32_from_bits(random_u32());
        scalar->store(type, x, n, row[0]);
        tier->store(type, x, n, row[1]);
        CHECK(memcmp(row[0], row[1], n_bytes) == 0);
    }
    release_all();
}

/* end rows of n values, stored in a guarded buffer. */
static uint8_t *random_rows(quant_type type, uint32_t end, uint32_t n) {
    size_t row_bytes = quant_row_bytes(type, n);
    uint8_t *rows = guard(end * row_bytes);
    float x[1024];
    for (uint32_t j = 0; j < end; j++) {
        fill_floats(x, n, SOME);
        scalar->store(type, x, n, rows + j * row_bytes);
    }
    return rows;
}

/* n queries over positions up to `end`, each a little different, and each the same whatever shares its call. */
static void check_attend(uint32_t n_k, uint32_t n_v, uint32_t begin, uint32_t end, size_t n, quant_type k_type,
                         quant_type v_type, float softcap) {
    static float scratch[ATTENTION_SCRATCH] __attribute__((aligned(64)));
    if (n_k % quant_types[k_type].block || n_v % quant_types[v_type].block) return;
    float *x = guard(n * n_k * 4), *want = guard(n * n_v * 4), *got = guard(n * n_v * 4);
    attention_query q[2][ATTENTION_QUERIES];
    attention_span s = {.k = random_rows(k_type, end, n_k),
                        .v = random_rows(v_type, end, n_v),
                        .k_type = k_type,
                        .v_type = v_type,
                        .n_k = n_k,
                        .n_v = n_v,
                        .scale = 0.3f,
                        .softcap = softcap};
    fill_floats(x, n * n_k, SOME);
    for (size_t i = 0; i < n; i++) {
        uint32_t before = (uint32_t)(n - 1 - i) / 3, to = end > before ? end - before : 1;
        q[0][i] = (attention_query){.q = x + i * n_k,
                                    .out = want + i * n_v,
                                    .begin = begin + (uint32_t)i * 40 < to ? begin + (uint32_t)i * 40 : to - 1,
                                    .end = to,
                                    .slope = softcap != 0 || i % 2 == 0 ? 0 : 0.02f * (float)i,
                                    .sink = i % 3 ? -INFINITY : random_f32(4)};
        q[1][i] = q[0][i];
        q[1][i].out = got + i * n_v;
        kernels_attend(scalar, &s, &q[0][i], 1, scratch);
    }
    kernels_attend(tier, &s, q[1], n, scratch);
    CHECK(same(want, got, n * n_v));
    release_all();
}

static void check_cache(void) {
    static const quant_type types[] = {QUANT_F16, QUANT_F32, QUANT_BF16, QUANT_Q8_0};
    for (size_t k = 0; k < 4; k++) {
        check_store(types[k], 96);
        for (size_t v = 0; v < 4; v++) {
            check_attend(64, 64, 0, 1, 1, types[k], types[v], 0);
            check_attend(96, 160, 0, 300, 3, types[k], types[v], 30);
            check_attend(7, 33, 100, 700, 32, types[k], types[v], 0);
            check_attend(128, 32, 511, 530, 9, types[k], types[v], 0);
            check_attend(64, 128, 0, 40, 14, types[k], types[v], 5);
            check_attend(128, 64, 40, 530, 17, types[k], types[v], 0);
            check_attend(80, 80, 0, 290, 32, types[k], types[v], 0);
            check_attend(1024, 40, 250, 300, 18, types[k], types[v], 0);
            check_attend(1024, 1024, 250, 262, 2, types[k], types[v], 0);
        }
    }
}

#ifdef EMULATED_AMX
matmul_fn emulated_amx_matmul; /* emulated_amx.c */

/* AMX's table where there is none: that of AVX-512, with products by emulated tiles for all types that have panels. */
static const kernels *emulated_amx(void) {
    static kernels table;
    const kernels *avx512 = kernels_of_tier(CPU_AVX512);
    if (!avx512) return NULL;
    table = *avx512;
    table.name = "amx, its tiles emulated";
    for (int i = 0; i < QUANT_TYPE_COUNT; i++) {
        if (avx512->matmul[i] == avx512->matmul[QUANT_Q4_0]) table.matmul[i] = emulated_amx_matmul;
    }
    return &table;
}
#else
static const kernels *emulated_amx(void) { return NULL; }
#endif

static int check_all(void) {
    for (int t = 0; t < CPU_TIER_COUNT; t++) {
        tier = kernels_of_tier((cpu_tier)t);
        if (!tier && t == CPU_AMX) tier = emulated_amx();
        if (!tier) {
            printf("%s: not on this machine\n", cpu_tier_name((cpu_tier)t));
            continue;
        }
        check_matmuls();
        check_long_matmuls();
        check_quantize(32);
        check_quantize(256);
        for (size_t n = 1; n < 70; n++) check_vectors(n);
        check_vectors(1031);
        check_rope(3, 64, 64);
        check_rope(2, 96, 34);
        check_rope(1, 7, 2);
        check_cache();
        printf("%s: checked\n", tier->name);
    }
    return check_summary();
}

/* ---- timing ---------------------------------------------------------------------------------- */

/* One call of a slot of `tier`; returns how many multiply-adds, or values, it served. */
typedef double bench_call(const void *what);

/* Processor time of this thread: what else runs on the machine does not count. */
static double thread_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Billions a second: the median of five runs of at least 4 ms, behind one that is not counted. */
static double rate_of(bench_call *call, const void *what) {
    double rates[5];
    call(what);
    for (int i = 0; i < 5; i++) {
        double begin = thread_seconds(), done = 0, seconds;
        do {
            done += call(what);
            seconds = thread_seconds() - begin;
        } while (seconds < 4e-3);
        rates[i] = done / seconds * 1e-9;
    }
    qsort(rates, 5, sizeof *rates, by_size);
    return rates[2];
}

static const char *bench_tier, *bench_slot; /* NULL: all */

static bool in_table(int t) {
    const char *name = cpu_tier_name((cpu_tier)t);
    return kernels_of_tier((cpu_tier)t) && (t == CPU_SCALAR || !bench_tier || strcmp(name, bench_tier) == 0);
}

/* A line of the table, unless another slot was asked for. */
static void bench_line(const char *slot, const char *shape, bench_call *call, const void *what) {
    if (bench_slot && strcmp(slot, bench_slot) != 0) return;
    printf("%-10s %-14s", slot, shape);
    for (int t = 0; t < CPU_TIER_COUNT; t++) {
        if (!in_table(t)) continue;
        tier = kernels_of_tier((cpu_tier)t);
        printf(" %9.2f", rate_of(call, what));
        fflush(stdout);
    }
    printf("\n");
}

/* Whether a tier of the table has more than the way that serves every type. */
static bool is_fast(int type) {
    bool fast = false;
    for (int t = 0; t < CPU_TIER_COUNT; t++) fast |= in_table(t) && kernels_of_tier((cpu_tier)t)->matmul[type];
    return fast;
}

static float *bench_out;

static double bench_matmul(const void *what) {
    const product *p = what;
    kernels_matmul(tier, p->w.type)(&p->w, &p->a, p->n_tok, 0, p->w.n_out, bench_out, p->w.n_out);
    return (double)p->w.n_in * (double)p->w.n_out * (double)p->n_tok;
}

/* Numbers of the usual size: sums of the smallest ones would take the processor's slow way. */
static void fill_usual(const matrix *w) {
    if (w->type == QUANT_MXFP4) { /* exponents from -31 on */
        for (size_t i = 0; i < w->n_out * w->row_bytes; i += 17) ((uint8_t *)w->data)[i] |= 0x60;
    }
    if (!quant_types[w->type].load) return;
    float *x = guard(w->n_in * sizeof *x);
    for (size_t row = 0; row < w->n_out; row++) {
        fill_floats(x, w->n_in, SOME);
        scalar->store(w->type, x, w->n_in, (uint8_t *)w->data + row * w->row_bytes);
    }
}

static void bench_matmuls(void) {
    static const size_t tokens[] = {1, 2, 4, 8, 12, 512};
    for (int type = 0; type < QUANT_TYPE_COUNT; type++) {
        const char *slot = quant_find((uint32_t)type) ? quant_types[type].name : NULL;
        if (!slot || !is_fast(type) || (bench_slot && strcmp(slot, bench_slot) != 0)) continue;
        for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
            size_t n_out = 128;
            product p = make_product((quant_type)type, 2048 / quant_types[type].block, n_out, tokens[i], RANDOM, SOME);
            fill_usual(&p.w);
            bench_out = guard(tokens[i] * n_out * sizeof *bench_out);
            char shape[32];
            snprintf(shape, sizeof shape, "%zu token%s", tokens[i], tokens[i] == 1 ? "" : "s");
            bench_line(slot, shape, bench_matmul, &p);
            release_all();
        }
    }
}

/* What the vector slots read and write. */
typedef struct {
    size_t n, block;
    quant_type type;
    float *a, *b, *c;
    int8_t *q;
    int16_t *sum;
} vectors;

static double bench_quantize(const void *what) {
    const vectors *v = what;
    tier->quantize(v->a, v->n, v->block, 1, v->q, v->c, v->sum);
    return (double)v->n;
}

static double bench_all_finite(const void *what) {
    const vectors *v = what;
    CHECK(tier->all_finite(v->a, v->n));
    return (double)v->n;
}

static double bench_rms_norm(const void *what) {
    const vectors *v = what;
    tier->rms_norm(v->a, v->b, NULL, v->n, 1e-5f, v->c);
    return (double)v->n;
}

static double bench_rope_pairs(const void *what) {
    const vectors *v = what;
    tier->rope_pairs(v->c, v->n / 128, 128, 128, v->a, v->b);
    return (double)v->n;
}

static double bench_activate(const void *what) {
    const vectors *v = what;
    tier->activate(ACT_SILU, NULL, v->a, v->b, v->n, v->c);
    return (double)v->n;
}

static double bench_add(const void *what) {
    const vectors *v = what;
    tier->add(v->a, v->b, v->n, v->c);
    return (double)v->n;
}

static double bench_store(const void *what) {
    const vectors *v = what;
    tier->store(v->type, v->a, v->n, (uint8_t *)v->c);
    return (double)v->n;
}

static void bench_vectors(void) {
    enum { N = 4096 };
    vectors v = {.n = N, .a = guard(N * 4), .b = guard(N * 4), .c = guard(N * 4), .q = guard(N), .sum = guard(N)};
    fill_floats(v.a, N, SOME);
    fill_floats(v.b, N, SOME);
    for (v.block = 32; v.block <= 256; v.block *= 8)
        bench_line("quantize", v.block == 32 ? "blocks of 32" : "blocks of 256", bench_quantize, &v);
    bench_line("all_finite", "4096 values", bench_all_finite, &v);
    bench_line("rms_norm", "4096 values", bench_rms_norm, &v);
    memset(v.c, 0, N * 4); /* which stays zero, however often it is turned */
    bench_line("rope_pairs", "heads of 128", bench_rope_pairs, &v);
    bench_line("activate", "silu x up", bench_activate, &v);
    bench_line("add", "4096 values", bench_add, &v);
    static const quant_type types[] = {QUANT_F16, QUANT_F32, QUANT_BF16, QUANT_Q8_0};
    for (size_t i = 0; i < 4; i++) {
        v.type = types[i];
        bench_line("store", quant_types[types[i]].name, bench_store, &v);
    }
    release_all();
}

typedef struct {
    attention_span s;
    attention_query q[ATTENTION_QUERIES];
    size_t n;
    float *scratch;
} attention;

static double bench_attend(const void *what) {
    const attention *a = what;
    kernels_attend(tier, &a->s, a->q, a->n, a->scratch);
    return (double)((a->s.n_k + a->s.n_v) * a->n * a->q[0].end);
}

/* One query, as a decoded token of a model without shared key heads has, and as many as a prompt gives at once. */
static void bench_attends(void) {
    static const quant_type types[] = {QUANT_F16, QUANT_F32, QUANT_BF16, QUANT_Q8_0};
    static float scratch[ATTENTION_SCRATCH] __attribute__((aligned(64)));
    enum { N = 128, END = 1024 };
    for (size_t i = 0; i < 8; i++) {
        quant_type type = types[i / 2];
        attention a = {{.k_type = type, .v_type = type, .n_k = N, .n_v = N, .scale = 0.1f}};
        float *q = guard(ATTENTION_QUERIES * N * 4), *out = guard(ATTENTION_QUERIES * N * 4);
        a.s.k = random_rows(type, END, N);
        a.s.v = random_rows(type, END, N);
        a.n = i % 2 ? ATTENTION_QUERIES : 1;
        a.scratch = scratch;
        fill_floats(q, ATTENTION_QUERIES * N, SOME);
        for (size_t j = 0; j < a.n; j++)
            a.q[j] = (attention_query){.q = q + j * N, .out = out + j * N, .end = END, .sink = -INFINITY};
        bench_line(i % 2 ? "attend 32" : "attend", quant_types[type].name, bench_attend, &a);
        release_all();
    }
}

static int bench_all(void) {
    printf("one core, billions of multiply-adds (vectors: values) a second, %s\n%-25s",
           "median of five, matrices of 2048 x 128", "slot");
    for (int t = 0; t < CPU_TIER_COUNT; t++) {
        if (in_table(t)) printf(" %9s", cpu_tier_name((cpu_tier)t));
    }
    printf("\n");
    bench_matmuls();
    bench_vectors();
    bench_attends();
    return checks_failed > 0;
}

int main(int argc, char **argv) {
    scalar = kernels_of_tier(CPU_SCALAR);
    if (argc < 2) return check_all();
    bool known = false;
    for (int t = 0; t < CPU_TIER_COUNT && argc > 2; t++) known |= strcmp(argv[2], cpu_tier_name((cpu_tier)t)) == 0;
    bench_tier = known ? argv[2] : NULL;
    bench_slot = argc > 3 ? argv[3] : argc > 2 && !known ? argv[2] : NULL;
    if (strcmp(argv[1], "--bench") == 0 && argc <= 4) return bench_all();
    fprintf(stderr, "usage: kernel-kernels [--bench [TIER] [SLOT]]\n");
    return 2;
}
