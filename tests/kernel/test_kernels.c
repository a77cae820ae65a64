/*
 * Every kernel of every tier that this machine has, against the scalar one: exactly the same bits, on random blocks and
 * on the worst ones, on odd sizes, with buffers that end where a page ends that may not be touched.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bits.h"
#include "kernel/kernel.h"
#include "tests/unit/check.h"

/* ---- buffers that end at a guard page -------------------------------------------------------- */

typedef struct {
    char *map;
    size_t n_map;
} guarded;

static guarded maps[64];
static size_t n_maps;

/* n bytes whose end is the end of the last page that may be touched. */
static void *guard(size_t n) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE), whole = (n + page - 1) / page * page;
    char *p = mmap(NULL, whole + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p + whole, page, PROT_NONE) != 0 || n_maps == 64) {
        fprintf(stderr, "cannot map a guarded buffer\n");
        exit(1);
    }
    maps[n_maps++] = (guarded){p, whole + page};
    return p + whole - n;
}

static void release_all(void) {
    while (n_maps > 0) {
        n_maps--;
        munmap(maps[n_maps].map, maps[n_maps].n_map);
    }
}

/* ---- values ---------------------------------------------------------------------------------- */

static uint64_t state = 1;

static uint32_t random_u32(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 33) ^ (uint32_t)(state >> 13);
}

static float random_f32(float scale) { return ((float)(random_u32() & 0xFFFFFF) / 0x1p24f - 0.5f) * 2 * scale; }

typedef enum { RANDOM, ALL_ZERO, ALL_ONES, N_KINDS } block_kind;

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

/* Any bytes are a block; the ends of the range are all bits clear and all bits set, but for the scales, which must be
 * finite: they are small halves. */
static void fill_blocks(quant_type type, uint8_t *data, size_t n_blocks, block_kind kind) {
    const quant_row *row = &quant_types[type];
    size_t n = n_blocks * row->bytes;
    for (size_t i = 0; i < n; i++) data[i] = kind == RANDOM ? (uint8_t)random_u32() : kind == ALL_ONES ? 0xFF : 0;
    for (size_t b = 0; b < n_blocks && row->unpack; b++) {
        uint8_t *block = data + b * row->bytes;
        float d = kind == ALL_ZERO ? 0 : random_f32(0.01f);
        if (type == QUANT_Q8_K) memcpy(block, &d, sizeof d);
        for (size_t i = 0; i < 2; i++) block[scale_bytes[type].at[i]] &= scale_bytes[type].mask[i];
    }
    for (size_t i = 0; row->load && i < n_blocks; i++) { /* plain numbers: no NaN */
        uint8_t *v = data + i * row->bytes;
        if (type == QUANT_F32 || type == QUANT_F16 || type == QUANT_BF16 || type == QUANT_F64)
            v[row->bytes - 1] &= 0xBF;
    }
}

static void fill_floats(float *x, size_t n, block_kind kind) {
    for (size_t i = 0; i < n; i++)
        x[i] = kind == ALL_ZERO ? 0 : kind == ALL_ONES ? (i % 3 ? 1.0f : -1.0f) : random_f32(i % 7 ? 1 : 1e-3f);
}

/* ---- checks ---------------------------------------------------------------------------------- */

static const kernels *scalar, *tier;

static bool same(const float *a, const float *b, size_t n) { return memcmp(a, b, n * sizeof *a) == 0; }

static void check_matmul(quant_type type, size_t n_blocks, size_t n_out, size_t n_tok, block_kind kind) {
    const quant_row *row = &quant_types[type];
    size_t n_in = n_blocks * row->block, act = row->act, n_acts = n_in / act;
    uint8_t *data = guard(n_blocks * n_out * row->bytes);
    float *x = guard(n_tok * n_in * sizeof *x), *want = guard(n_tok * n_out * sizeof *want),
          *got = guard(n_tok * n_out * sizeof *got);
    int8_t *q = guard(n_tok * n_in);
    float *scale = guard(n_tok * n_acts * sizeof *scale);
    int16_t *sum = guard((n_tok * n_in / ACTIVATION_SUB + 1) * sizeof *sum);
    fill_blocks(type, data, n_blocks * n_out, kind);
    fill_floats(x, n_tok * n_in, kind);
    for (size_t t = 0; act > 1 && t < n_tok; t++) {
        CHECK(
            scalar->quantize(x + t * n_in, n_in, act, n_tok, q + t * act, scale + t, sum + t * (act / ACTIVATION_SUB)));
    }
    matrix w = {.type = type, .n_in = n_in, .n_out = n_out, .row_bytes = n_blocks * row->bytes, .data = data};
    activations a = {.x = x, .q = q, .scale = scale, .sum = sum};
    scalar->matmul_any(&w, &a, n_tok, 0, n_out, want, n_out);
    memset(got, 0xA5, n_tok * n_out * sizeof *got);
    for (size_t r = 0; r < n_out; r += 17)
        kernels_matmul(tier, type)(&w, &a, n_tok, r, r + 17 < n_out ? r + 17 : n_out, got, n_out);
    CHECK(same(want, got, n_tok * n_out));
    release_all();
}

static void check_matmuls(void) {
    static const size_t tokens[] = {1, 2, 3, 4, 5, 9, 12, 13, 26, 70};
    for (int type = 0; type < QUANT_TYPE_COUNT; type++) {
        if (!quant_find((uint32_t)type)) continue;
        bool plain = quant_types[type].block == 1;
        const size_t blocks[] = {1, 3, plain ? 257 : 8, plain ? 64 : 35}; /* with and without a rest of the lanes */
        for (size_t b = 0; b < sizeof blocks / sizeof *blocks; b++) {
            for (int kind = 0; kind < N_KINDS; kind++) {
                for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
                    check_matmul((quant_type)type, blocks[b], 2 + (i * 7 + b) % 19, tokens[i], (block_kind)kind);
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
            fill_floats(x, n, RANDOM);
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
    fill_floats(a, n, RANDOM);
    for (size_t i = 0; i < n; i++) b[i] = random_f32(100);
    scalar->rms_norm(a, b, n, 1e-5f, want);
    tier->rms_norm(a, b, n, 1e-5f, got);
    CHECK(same(want, got, n));
    scalar->silu_mul(b, a, n, want);
    tier->silu_mul(b, a, n, got);
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
    fill_floats(x[0], n, RANDOM);
    memcpy(x[1], x[0], n * 4);
    fill_floats(c, n_rot / 2, RANDOM);
    fill_floats(s, n_rot / 2, RANDOM);
    scalar->rope_pairs(x[0], n_heads, stride, n_rot, c, s);
    tier->rope_pairs(x[1], n_heads, stride, n_rot, c, s);
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
        fill_floats(x, n, RANDOM);
        scalar->store(type, x, n, rows + j * row_bytes);
    }
    return rows;
}

static void check_attend(uint32_t n_k, uint32_t n_v, uint32_t begin, uint32_t end, quant_type k_type,
                         quant_type v_type) {
    if (n_k % quant_types[k_type].block || n_v % quant_types[v_type].block) return;
    float *q = guard(n_k * 4), *want = guard(n_v * 4), *got = guard(n_v * 4);
    fill_floats(q, n_k, RANDOM);
    attention_span s = {.k = random_rows(k_type, end, n_k),
                        .v = random_rows(v_type, end, n_v),
                        .k_type = k_type,
                        .v_type = v_type,
                        .n_k = n_k,
                        .n_v = n_v,
                        .begin = begin,
                        .end = end,
                        .scale = 0.3f};
    scalar->attend(&s, q, want);
    tier->attend(&s, q, got);
    CHECK(same(want, got, n_v));
    release_all();
}

static void check_cache(void) {
    static const quant_type types[] = {QUANT_F16, QUANT_F32, QUANT_BF16, QUANT_Q8_0};
    for (size_t k = 0; k < 4; k++) {
        check_store(types[k], 96);
        for (size_t v = 0; v < 4; v++) {
            check_attend(64, 64, 0, 1, types[k], types[v]);
            check_attend(96, 160, 0, 300, types[k], types[v]);
            check_attend(7, 33, 100, 700, types[k], types[v]);
            check_attend(128, 32, 511, 530, types[k], types[v]);
        }
    }
}

int main(void) {
    scalar = kernels_of_tier(CPU_SCALAR);
    for (int t = 0; t < CPU_TIER_COUNT; t++) {
        tier = kernels_of_tier((cpu_tier)t);
        if (!tier) {
            printf("%s: not on this machine\n", cpu_tier_name((cpu_tier)t));
            continue;
        }
        check_matmuls();
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
