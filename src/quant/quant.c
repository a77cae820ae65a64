#include "quant/quant.h"

#include <assert.h>
#include <math.h>

#include "base/bits.h"

/* ---- plain numbers --------------------------------------------------------------------------- */

/* Sources need no alignment, so every number goes through memcpy, which compilers turn into a load. */
#define LOADER(name, type, expr)                                                                                       \
    static void name(const uint8_t *src, size_t n, float *out) {                                                       \
        for (size_t i = 0; i < n; i++) {                                                                               \
            type v;                                                                                                    \
            memcpy(&v, src + i * sizeof v, sizeof v);                                                                  \
            out[i] = expr;                                                                                             \
        }                                                                                                              \
    }

LOADER(load_f32, float, v)
LOADER(load_f16, uint16_t, f16_to_f32(v))
LOADER(load_bf16, uint16_t, bf16_to_f32(v))
LOADER(load_f64, double, (float)v)
LOADER(load_i8, int8_t, (float)v)
LOADER(load_i16, int16_t, (float)v)
LOADER(load_i32, int32_t, (float)v)
LOADER(load_i64, int64_t, (float)v)

/* ---- blocks of 32 ---------------------------------------------------------------------------- */

/* clang-format off */
/* Blocks are bytes without alignment; d and m are halves. The sizes are asserted against the table below. */
typedef struct { uint8_t d[2], qs[16]; } block_q4_0;             /* qs: two 4-bit weights a byte, i and i + 16 */
typedef struct { uint8_t d[2], m[2], qs[16]; } block_q4_1;
typedef struct { uint8_t d[2], qh[4], qs[16]; } block_q5_0;      /* qh: bit i is the fifth bit of weight i */
typedef struct { uint8_t d[2], m[2], qh[4], qs[16]; } block_q5_1;
typedef struct { uint8_t d[2]; int8_t qs[32]; } block_q8_0;
typedef struct { uint8_t d[2], s[2]; int8_t qs[32]; } block_q8_1; /* s = d x sum of qs: not needed to decode */
/* clang-format on */

static float half_at(const uint8_t p[2]) { return f16_to_f32((uint16_t)(p[0] | p[1] << 8)); }

static void one_scale(quant_parts *out, float d) {
    out->d = d;
    out->dmin = 0;
    out->scale[0] = 1;
}

/* weight = d q + m, so the minimum that is subtracted is -m. */
static void one_minimum(quant_parts *out, float m) {
    out->dmin = -m;
    out->min[0] = 1;
}

static void nibbles(const uint8_t qs[16], int offset, int8_t q[32]) {
    for (int i = 0; i < 16; i++) {
        q[i] = (int8_t)((qs[i] & 15) - offset);
        q[i + 16] = (int8_t)((qs[i] >> 4) - offset);
    }
}

static void add_fifth_bits(const uint8_t qh[4], int8_t q[32]) {
    for (int i = 0; i < 32; i++) q[i] = (int8_t)(q[i] + (qh[i / 8] >> (i % 8) & 1) * 16);
}

static void unpack_q4_0(const uint8_t *p, quant_parts *out) {
    const block_q4_0 *b = (const void *)p;
    one_scale(out, half_at(b->d));
    nibbles(b->qs, 8, out->q);
}

static void unpack_q4_1(const uint8_t *p, quant_parts *out) {
    const block_q4_1 *b = (const void *)p;
    one_scale(out, half_at(b->d));
    one_minimum(out, half_at(b->m));
    nibbles(b->qs, 0, out->q);
}

static void unpack_q5_0(const uint8_t *p, quant_parts *out) {
    const block_q5_0 *b = (const void *)p;
    one_scale(out, half_at(b->d));
    nibbles(b->qs, 16, out->q);
    add_fifth_bits(b->qh, out->q);
}

static void unpack_q5_1(const uint8_t *p, quant_parts *out) {
    const block_q5_1 *b = (const void *)p;
    one_scale(out, half_at(b->d));
    one_minimum(out, half_at(b->m));
    nibbles(b->qs, 0, out->q);
    add_fifth_bits(b->qh, out->q);
}

static void unpack_q8_0(const uint8_t *p, quant_parts *out) {
    const block_q8_0 *b = (const void *)p;
    one_scale(out, half_at(b->d));
    memcpy(out->q, b->qs, 32);
}

static void unpack_q8_1(const uint8_t *p, quant_parts *out) {
    const block_q8_1 *b = (const void *)p;
    one_scale(out, half_at(b->d));
    memcpy(out->q, b->qs, 32);
}

/* ---- super-blocks of 256 --------------------------------------------------------------------- */

/* clang-format off */
typedef struct { uint8_t scales[16], qs[64], d[2], dmin[2]; } block_q2_k; /* scales: scale low, minimum high half */
typedef struct { uint8_t hmask[32], qs[64], scales[12], d[2]; } block_q3_k;
typedef struct { uint8_t d[2], dmin[2], scales[12], qs[128]; } block_q4_k;
typedef struct { uint8_t d[2], dmin[2], scales[12], qh[32], qs[128]; } block_q5_k;
typedef struct { uint8_t ql[128], qh[64]; int8_t scales[16]; uint8_t d[2]; } block_q6_k;
typedef struct { uint8_t d[4]; int8_t qs[256]; uint8_t bsums[32]; } block_q8_k;
/* clang-format on */

/* Two-bit weights: byte j of half h holds weights 128 h + j + {0, 32, 64, 96}, lowest bits first. */
static void two_bits(const uint8_t qs[64], int8_t q[256]) {
    for (int h = 0; h < 2; h++) {
        for (int s = 0; s < 4; s++) {
            for (int j = 0; j < 32; j++) q[128 * h + 32 * s + j] = (int8_t)(qs[32 * h + j] >> (2 * s) & 3);
        }
    }
}

/* Four-bit weights: byte j of quarter k holds weights 64 k + j and 64 k + 32 + j. */
static void four_bits(const uint8_t qs[128], int8_t q[256]) {
    for (int k = 0; k < 4; k++) {
        for (int j = 0; j < 32; j++) {
            q[64 * k + j] = (int8_t)(qs[32 * k + j] & 15);
            q[64 * k + 32 + j] = (int8_t)(qs[32 * k + j] >> 4);
        }
    }
}

/* The twelve bytes of Q4_K and Q5_K: eight 6-bit scales and eight 6-bit minimums. The first four of each stand
 * in the low six bits of bytes 0-3 and 4-7; the others have their low halves in bytes 8-11 and their top two
 * bits above those of the first. */
static void six_bit_scales(const uint8_t s[12], quant_parts *out) {
    for (int j = 0; j < 4; j++) {
        out->scale[j] = (int8_t)(s[j] & 63);
        out->min[j] = s[j + 4] & 63;
        out->scale[j + 4] = (int8_t)((s[j + 8] & 15) | s[j] >> 6 << 4);
        out->min[j + 4] = (uint8_t)(s[j + 8] >> 4 | s[j + 4] >> 6 << 4);
    }
}

static void unpack_q2_k(const uint8_t *p, quant_parts *out) {
    const block_q2_k *b = (const void *)p;
    out->d = half_at(b->d);
    out->dmin = half_at(b->dmin);
    for (int j = 0; j < 16; j++) {
        out->scale[j] = (int8_t)(b->scales[j] & 15);
        out->min[j] = b->scales[j] >> 4;
    }
    two_bits(b->qs, out->q);
}

static void unpack_q3_k(const uint8_t *p, quant_parts *out) {
    const block_q3_k *b = (const void *)p;
    out->d = half_at(b->d);
    out->dmin = 0;
    /* Sixteen 6-bit scales less 32: low halves in bytes 0-7 (first 0-7, then 8-15 above), top bits in 8-11. */
    for (int j = 0; j < 16; j++) {
        int low = b->scales[j % 8] >> (4 * (j / 8)) & 15, top = b->scales[8 + j % 4] >> (2 * (j / 4)) & 3;
        out->scale[j] = (int8_t)((low | top << 4) - 32);
    }
    two_bits(b->qs, out->q);
    /* The third bit: a clear bit k of hmask[j] takes 4 from weight 32 k + j. */
    for (int k = 0; k < 8; k++) {
        for (int j = 0; j < 32; j++) out->q[32 * k + j] = (int8_t)(out->q[32 * k + j] - 4 + 4 * (b->hmask[j] >> k & 1));
    }
}

static void unpack_q4_k(const uint8_t *p, quant_parts *out) {
    const block_q4_k *b = (const void *)p;
    out->d = half_at(b->d);
    out->dmin = half_at(b->dmin);
    six_bit_scales(b->scales, out);
    four_bits(b->qs, out->q);
}

static void unpack_q5_k(const uint8_t *p, quant_parts *out) {
    const block_q5_k *b = (const void *)p;
    out->d = half_at(b->d);
    out->dmin = half_at(b->dmin);
    six_bit_scales(b->scales, out);
    four_bits(b->qs, out->q);
    for (int k = 0; k < 8; k++) { /* bit k of qh[j] is the fifth bit of weight 32 k + j */
        for (int j = 0; j < 32; j++) out->q[32 * k + j] = (int8_t)(out->q[32 * k + j] + (b->qh[j] >> k & 1) * 16);
    }
}

static void unpack_q6_k(const uint8_t *p, quant_parts *out) {
    const block_q6_k *b = (const void *)p;
    out->d = half_at(b->d);
    out->dmin = 0;
    memcpy(out->scale, b->scales, 16);
    for (int h = 0; h < 2; h++) {
        const uint8_t *ql = b->ql + 64 * h, *qh = b->qh + 32 * h;
        int8_t *q = out->q + 128 * h;
        for (int j = 0; j < 32; j++) { /* four weights 32 apart share byte j of qh */
            q[j] = (int8_t)(((ql[j] & 15) | (qh[j] & 3) << 4) - 32);
            q[j + 32] = (int8_t)(((ql[j + 32] & 15) | (qh[j] >> 2 & 3) << 4) - 32);
            q[j + 64] = (int8_t)((ql[j] >> 4 | (qh[j] >> 4 & 3) << 4) - 32);
            q[j + 96] = (int8_t)((ql[j + 32] >> 4 | qh[j] >> 6 << 4) - 32);
        }
    }
}

static void unpack_q8_k(const uint8_t *p, quant_parts *out) {
    const block_q8_k *b = (const void *)p;
    memcpy(&out->d, b->d, 4);
    out->dmin = 0;
    memset(out->scale, 1, QUANT_MAX_SUBS);
    memcpy(out->q, b->qs, 256);
}

/* ---- the table ------------------------------------------------------------------------------- */

/* clang-format off */
const quant_row quant_types[QUANT_TYPE_COUNT] = {
    /*                name   weights bytes sub  min   unpack / load */
    [QUANT_F32] = {"F32", 1, 4, .load = load_f32},
    [QUANT_F16] = {"F16", 1, 2, .load = load_f16},
    [QUANT_BF16] = {"BF16", 1, 2, .load = load_bf16},
    [QUANT_F64] = {"F64", 1, 8, .load = load_f64},
    [QUANT_I8] = {"I8", 1, 1, .load = load_i8},
    [QUANT_I16] = {"I16", 1, 2, .load = load_i16},
    [QUANT_I32] = {"I32", 1, 4, .load = load_i32},
    [QUANT_I64] = {"I64", 1, 8, .load = load_i64},
    [QUANT_Q4_0] = {"Q4_0", 32, sizeof(block_q4_0), 32, false, unpack_q4_0},
    [QUANT_Q4_1] = {"Q4_1", 32, sizeof(block_q4_1), 32, true, unpack_q4_1},
    [QUANT_Q5_0] = {"Q5_0", 32, sizeof(block_q5_0), 32, false, unpack_q5_0},
    [QUANT_Q5_1] = {"Q5_1", 32, sizeof(block_q5_1), 32, true, unpack_q5_1},
    [QUANT_Q8_0] = {"Q8_0", 32, sizeof(block_q8_0), 32, false, unpack_q8_0},
    [QUANT_Q8_1] = {"Q8_1", 32, sizeof(block_q8_1), 32, false, unpack_q8_1},
    [QUANT_Q2_K] = {"Q2_K", 256, sizeof(block_q2_k), 16, true, unpack_q2_k},
    [QUANT_Q3_K] = {"Q3_K", 256, sizeof(block_q3_k), 16, false, unpack_q3_k},
    [QUANT_Q4_K] = {"Q4_K", 256, sizeof(block_q4_k), 32, true, unpack_q4_k},
    [QUANT_Q5_K] = {"Q5_K", 256, sizeof(block_q5_k), 32, true, unpack_q5_k},
    [QUANT_Q6_K] = {"Q6_K", 256, sizeof(block_q6_k), 16, false, unpack_q6_k},
    [QUANT_Q8_K] = {"Q8_K", 256, sizeof(block_q8_k), 32, false, unpack_q8_k},
    /* Known by size, not decoded yet. */
    [QUANT_IQ1_S] = {"IQ1_S", 256, 50},
    [QUANT_IQ1_M] = {"IQ1_M", 256, 56},
    [QUANT_IQ2_XXS] = {"IQ2_XXS", 256, 66},
    [QUANT_IQ2_XS] = {"IQ2_XS", 256, 74},
    [QUANT_IQ2_S] = {"IQ2_S", 256, 82},
    [QUANT_IQ3_XXS] = {"IQ3_XXS", 256, 98},
    [QUANT_IQ3_S] = {"IQ3_S", 256, 110},
    [QUANT_IQ4_NL] = {"IQ4_NL", 32, 18},
    [QUANT_IQ4_XS] = {"IQ4_XS", 256, 136},
    [QUANT_TQ1_0] = {"TQ1_0", 256, 54},
    [QUANT_TQ2_0] = {"TQ2_0", 256, 66},
    [QUANT_MXFP4] = {"MXFP4", 32, 17},
    [QUANT_NVFP4] = {"NVFP4", 64, 36},
    /* Numbers of types that were removed from the format. */
    [4] = {"Q4_2"}, [5] = {"Q4_3"},
    [31] = {"Q4_0_4_4"}, [32] = {"Q4_0_4_8"}, [33] = {"Q4_0_8_8"},
    [36] = {"IQ4_NL_4_4"}, [37] = {"IQ4_NL_4_8"}, [38] = {"IQ4_NL_8_8"},
};
/* clang-format on */

static_assert(sizeof(block_q4_0) == 18 && sizeof(block_q4_1) == 20 && sizeof(block_q5_0) == 22, "block layout");
static_assert(sizeof(block_q5_1) == 24 && sizeof(block_q8_0) == 34 && sizeof(block_q8_1) == 36, "block layout");
static_assert(sizeof(block_q2_k) == 84 && sizeof(block_q3_k) == 110 && sizeof(block_q4_k) == 144, "block layout");
static_assert(sizeof(block_q5_k) == 176 && sizeof(block_q6_k) == 210 && sizeof(block_q8_k) == 292, "block layout");

const quant_row *quant_find(uint32_t type) {
    return type < QUANT_TYPE_COUNT && quant_types[type].block ? &quant_types[type] : NULL;
}

bool quant_can_decode(quant_type type) { return quant_types[type].unpack || quant_types[type].load; }

bool quant_decode(quant_type type, const uint8_t *src, size_t n, float *out) {
    const quant_row *row = &quant_types[type];
    if (row->load) {
        row->load(src, n, out);
        return true;
    }
    if (!row->unpack) return false;
    quant_parts p;
    for (size_t i = 0; i < n; i += row->block, src += row->bytes) {
        row->unpack(src, &p);
        for (size_t j = 0; j < row->block; j++) {
            size_t s = j / row->sub;
            float min = row->has_min ? p.dmin * (float)p.min[s] : 0;
            out[i + j] = fmaf(p.d, (float)(p.scale[s] * p.q[j]), -min);
        }
    }
    return true;
}
