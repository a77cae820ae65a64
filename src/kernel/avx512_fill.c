/*
 * AVX-512: panels of the types whose blocks are taken apart after sixteen rows of them have been transposed, still
 * packed: a lane is a row from the first load on.
 */
#include "kernel/avx512_panel.h"

enum { Q3_K_OFFSET = 124 };

/* Bytes shifted to the left by n, to the right where n is negative; what crosses into a neighbour is masked later. */
INLINE __m512i shift(__m512i v, int n) {
    return n < 0 ? _mm512_srli_epi16(v, (unsigned)-n) : _mm512_slli_epi16(v, (unsigned)n);
}

/* Every word of four bytes made anew: byte i of it is byte `bytes` >> 8 i of the old one, or 0 where that is 0x80. */
INLINE __m512i pick(__m512i v, uint32_t bytes) {
    const uint32_t next = 0x04040404;
    return _mm512_shuffle_epi8(v, _mm512_set4_epi32((int)(bytes + 3 * next), (int)(bytes + 2 * next),
                                                    (int)(bytes + next), (int)bytes));
}

/* Byte i as an int32; bytes i and j as two int16; the same for signed bytes, the pair times 256. */
INLINE __m512i byte_of(__m512i v, uint32_t i) { return pick(v, 0x80808000 | i); }
INLINE __m512i pair_of(__m512i v, uint32_t i, uint32_t j) { return pick(v, 0x80008000 | j << 16 | i); }
INLINE __m512i signed_byte_of(__m512i v, uint32_t i) { return _mm512_srai_epi32(pick(v, i << 24 | 0x808080), 24); }
INLINE __m512i high_pair_of(__m512i v, uint32_t i, uint32_t j) { return pick(v, j << 24 | i << 8 | 0x800080); }

/* The head of Q4_K and Q5_K: d, dmin, eight scales and eight minimums of six bits. */
INLINE void six_bits(panel *p, size_t at, const row_group *g, size_t offset, bool float_sums) {
    const __m512i six = _mm512_set1_epi8(0x3F);
    __m512i head[4], scales[2], mins[2];
    take_16(g, offset, head);
    p->d[at] = low_halves(head[0]);
    p->dmin[at] = high_halves(head[0]);
    scales[0] = _mm512_and_si512(head[1], six);
    mins[0] = _mm512_and_si512(head[2], six);
    scales[1] = or_bits(low_nibbles(head[3]), shift(head[1], -2), 0x30);
    mins[1] = or_bits(high_nibbles(head[3]), shift(head[2], -2), 0x30);
    for (uint32_t s = 0; s < 8; s++) {
        __m512i scale = byte_of(scales[s / 4], s % 4);
        p->scale[at * 16 + s] = float_sums ? _mm512_castps_si512(_mm512_cvtepi32_ps(scale)) : scale;
        if (s % 2 == 0) p->pairs[at * 8 + s / 2] = pair_of(mins[s / 4], s % 4, s % 4 + 1);
    }
}

/* A part of a super-block, still packed. */
typedef struct {
    __m512i v[24];
} packed;

/* How a type's super-blocks come apart. */
typedef struct {
    size_t part; /* weights of a part */
    /* scales, minimums, d and dmin of the super-block `offset` bytes into the rows, as the panel's block `at` */
    void (*head)(panel *p, size_t at, const row_group *g, size_t offset);
    void (*load)(packed *b, const row_group *g, size_t offset, size_t i); /* part i; the first comes first */
    __m512i (*weights)(const packed *b, size_t k);                        /* [4 k, 4 k + 4) of the part, unsigned */
} super_block;

/* ---- Q4_K ------------------------------------------------------------------------------------ */

INLINE void head_q4_k(panel *p, size_t at, const row_group *g, size_t offset) { six_bits(p, at, g, offset, true); }

/* 32 bytes hold 64 weights, the lower nibbles first. */
INLINE void load_q4_k(packed *b, const row_group *g, size_t offset, size_t i) {
    take_32(g, offset + 16 + 32 * i, b->v);
}

INLINE __m512i weights_q4_k(const packed *b, size_t k) {
    return k < 8 ? low_nibbles(b->v[k]) : high_nibbles(b->v[k - 8]);
}

/* ---- Q5_K ------------------------------------------------------------------------------------ */

INLINE void head_q5_k(panel *p, size_t at, const row_group *g, size_t offset) { six_bits(p, at, g, offset, false); }

/* The same, and bit j of 32 bytes that all parts share is the fifth of weights from 32 j on: the part's two come down
 * to the bottom. */
INLINE void load_q5_k(packed *b, const row_group *g, size_t offset, size_t i) {
    if (i == 0) {
        take_32(g, offset + 16, b->v + 8);
    } else {
        for (size_t j = 8; j < 16; j++) b->v[j] = _mm512_srli_epi16(b->v[j], 2);
    }
    take_32(g, offset + 48 + 32 * i, b->v);
}

INLINE __m512i weights_q5_k(const packed *b, size_t k) {
    return or_bits(weights_q4_k(b, k), shift(b->v[8 + k % 8], k < 8 ? 4 : 3), 0x10);
}

/* ---- Q6_K ------------------------------------------------------------------------------------ */

INLINE void head_q6_k(panel *p, size_t at, const row_group *g, size_t offset) {
    __m512i scales[4], last[4];
    take_16(g, offset + 192, scales);
    take_16(g, offset + 194, last);
    p->d[at] = high_halves(last[3]);
    for (uint32_t s = 0; s < 16; s++) p->scale[at * 16 + s] = signed_byte_of(scales[s / 4], s % 4);
    for (uint32_t s = 0; s < 8; s++) { /* -32 x scale */
        __m512i pair = _mm512_srai_epi16(high_pair_of(scales[s / 2], s % 2 * 2, s % 2 * 2 + 1), 3);
        p->pairs[at * 8 + s] = _mm512_sub_epi16(_mm512_setzero_si512(), pair);
    }
}

/* 64 bytes of nibbles and 32 of two bits: 128 weights. */
INLINE void load_q6_k(packed *b, const row_group *g, size_t offset, size_t i) {
    take_32(g, offset + 64 * i, b->v);
    take_32(g, offset + 64 * i + 32, b->v + 8);
    take_32(g, offset + 128 + 32 * i, b->v + 16);
}

INLINE __m512i weights_q6_k(const packed *b, size_t k) {
    __m512i v = b->v[k % 16], four = k < 16 ? low_nibbles(v) : high_nibbles(v);
    return or_bits(four, shift(b->v[16 + k % 8], 4 - 2 * (int)(k / 8)), 0x30);
}

INLINE void fill_super_block(panel *p, size_t at, const row_group *g, size_t offset, const super_block s) {
    packed b;
    size_t n_parts = 256 / s.part;
    __asm__("" : "+r"(n_parts)); /* a loop for certain: written out, few tokens took 15 % longer */
    s.head(p, at, g, offset);
    for (size_t i = 0; i < n_parts; i++) {
        s.load(&b, g, offset, i);
#pragma GCC unroll 32
        for (size_t k = 0; k < s.part / 4; k++) p->q[at * 64 + i * (s.part / 4) + k] = s.weights(&b, k);
    }
}

static void fill_q4_k(panel *p, size_t at, const row_group *g, size_t offset) {
    const super_block s = {64, head_q4_k, load_q4_k, weights_q4_k};
    fill_super_block(p, at, g, offset, s);
}

static void fill_q5_k(panel *p, size_t at, const row_group *g, size_t offset) {
    const super_block s = {64, head_q5_k, load_q5_k, weights_q5_k};
    fill_super_block(p, at, g, offset, s);
}

static void fill_q6_k(panel *p, size_t at, const row_group *g, size_t offset) {
    const super_block s = {128, head_q6_k, load_q6_k, weights_q6_k};
    fill_super_block(p, at, g, offset, s);
}

/* Two bits times four still fit a byte, so that the product needs no scales. Both bytes of a word are multiplied at
 * once: nothing carries from one into the other. */
static void fill_q2_k(panel *p, size_t at, const row_group *g, size_t offset) {
    __m512i head[4], last[4], scales[4];
    take_16(g, offset, head);
    take_16(g, offset + 68, last); /* d and dmin are its last word */
    p->d[at] = low_halves(last[3]);
    p->dmin[at] = high_halves(last[3]);
    for (size_t i = 0; i < 4; i++) {
        __m512i mins = high_nibbles(head[i]);
        scales[i] = low_nibbles(head[i]);
        p->pairs[at * 8 + 2 * i] = pair_of(mins, 0, 1);
        p->pairs[at * 8 + 2 * i + 1] = pair_of(mins, 2, 3);
    }
    for (uint32_t i = 0; i < 4; i++) { /* 16 bytes hold 64 of 128 weights */
        __m512i v[4];
        take_16(g, offset + 16 + 16 * i, v);
        for (uint32_t two = 0; two < 4; two++) {
            uint32_t s = i / 2 * 8 + two * 2 + i % 2;
            __m512i scale = pair_of(scales[s / 4], s % 4, s % 4);
            for (size_t j = 0; j < 4; j++) {
                __m512i q = _mm512_and_si512(shift(v[j], -2 * (int)two), _mm512_set1_epi8(3));
                p->q[at * 64 + s * 4 + j] = _mm512_mullo_epi16(q, scale);
            }
        }
    }
}

/* The same for three bits: (q - 4) x scale + 124 is a byte, too. */
static void fill_q3_k(panel *p, size_t at, const row_group *g, size_t offset) {
    __m512i tail[4], last[4], scales[4], top[2][4];
    take_16(g, offset + 92, tail);
    take_16(g, offset + 94, last);
    p->d[at] = high_halves(last[3]);
    for (int i = 0; i < 4; i++) {
        __m512i four = i < 2 ? low_nibbles(tail[1 + i]) : high_nibbles(tail[i - 1]);
        scales[i] = _mm512_sub_epi8(or_bits(four, shift(tail[3], 4 - 2 * i), 0x30), _mm512_set1_epi8(32));
    }
    for (size_t s = 0; s < 8; s++) p->pairs[at * 8 + s] = _mm512_set1_epi16(-Q3_K_OFFSET);
    for (size_t half = 0; half < 2; half++) take_16(g, offset + 16 * half, top[half]);
    for (uint32_t i = 0; i < 4; i++) {
        __m512i v[4];
        take_16(g, offset + 32 + 16 * i, v);
        for (uint32_t two = 0; two < 4; two++) {
            uint32_t s = i / 2 * 8 + two * 2 + i % 2;
            __m512i scale = _mm512_srai_epi16(high_pair_of(scales[s / 4], s % 4, s % 4), 8);
            __m512i add = _mm512_sub_epi16(_mm512_set1_epi16(Q3_K_OFFSET), _mm512_slli_epi16(scale, 2));
            add = _mm512_add_epi16(add, _mm512_slli_epi16(add, 8));
            for (size_t j = 0; j < 4; j++) {
                __m512i q = _mm512_and_si512(shift(v[j], -2 * (int)two), _mm512_set1_epi8(3));
                q = or_bits(q, shift(top[i % 2][j], 2 - (int)(i / 2 * 4 + two)), 4);
                p->q[at * 64 + s * 4 + j] = _mm512_add_epi16(_mm512_mullo_epi16(q, scale), add);
            }
        }
    }
}

INLINE void fill_nibbles(__m512i *q, const row_group *g, size_t offset) {
    __m512i v[4];
    take_16(g, offset, v);
    for (size_t j = 0; j < 4; j++) {
        q[j] = low_nibbles(v[j]);
        q[4 + j] = high_nibbles(v[j]);
    }
}

/* Adds 16 to the weights whose bit is set: four of each lane's 32 bits a vector. */
INLINE void add_fifth_bits(__m512i *q, __m512i bits) {
    for (uint32_t j = 0; j < 8; j++) {
        __m512i eight = pick(bits, 0x01010101 * (j / 2));
        __mmask64 set = _mm512_test_epi8_mask(eight, _mm512_set1_epi32(j % 2 ? (int)0x80402010 : 0x08040201));
        q[j] = _mm512_mask_add_epi8(q[j], set, q[j], _mm512_set1_epi8(16));
    }
}

static void fill_q4_0(panel *p, size_t at, const row_group *g, size_t offset) {
    __m512i head[4];
    take_16(g, offset, head);
    p->d[at] = low_halves(head[0]);
    fill_nibbles(p->q + at * 8, g, offset + 2);
}

static void fill_q4_1(panel *p, size_t at, const row_group *g, size_t offset) {
    __m512i head[4];
    take_16(g, offset, head);
    p->d[at] = low_halves(head[0]);
    p->dmin[at] = high_halves(head[0]);
    fill_nibbles(p->q + at * 8, g, offset + 4);
}

static void fill_q5_0(panel *p, size_t at, const row_group *g, size_t offset) {
    __m512i head[4];
    take_16(g, offset, head);
    p->d[at] = low_halves(head[0]);
    fill_nibbles(p->q + at * 8, g, offset + 6);
    add_fifth_bits(p->q + at * 8, _mm512_shrdi_epi32(head[0], head[1], 16));
}

static void fill_q5_1(panel *p, size_t at, const row_group *g, size_t offset) {
    __m512i head[4];
    take_16(g, offset, head);
    p->d[at] = low_halves(head[0]);
    p->dmin[at] = high_halves(head[0]);
    fill_nibbles(p->q + at * 8, g, offset + 8);
    add_fifth_bits(p->q + at * 8, head[1]);
}

static void fill_q8_0(panel *p, size_t at, const row_group *g, size_t offset) {
    __m512i head[4], *q = p->q + at * 8;
    take_16(g, offset, head);
    p->d[at] = low_halves(head[0]);
    take_32(g, offset + 2, q);
    for (size_t j = 0; j < 8; j++) q[j] = _mm512_xor_si512(q[j], _mm512_set1_epi8((char)0x80));
}

/* ---- codes that stand for values of a table -------------------------------------------------- */

INLINE void look_up(__m512i *q, size_t n, __m128i table) {
    for (size_t j = 0; j < n; j++) q[j] = lookup(table, q[j]);
}

static void fill_iq4_nl(panel *p, size_t at, const row_group *g, size_t offset) {
    fill_q4_0(p, at, g, offset);
    look_up(p->q + at * 8, 8, iq4_table());
}

static void fill_mxfp4(panel *p, size_t at, const row_group *g, size_t offset) {
    __m512i head[4];
    take_16(g, offset, head);
    p->d[at] = half_powers(_mm512_and_si512(head[0], _mm512_set1_epi32(255)));
    fill_nibbles(p->q + at * 8, g, offset + 1);
    look_up(p->q + at * 8, 8, e2m1_table());
}

/* d, two bits of each scale, four bits of each scale, nibbles as Q4_K has them. */
static void fill_iq4_xs(panel *p, size_t at, const row_group *g, size_t offset) {
    __m512i head[4];
    take_16(g, offset, head);
    p->d[at] = low_halves(head[0]);
    for (unsigned s = 0; s < 8; s++) {
        __m512i low = _mm512_and_si512(_mm512_srli_epi32(head[1], 4 * s), _mm512_set1_epi32(15));
        __m512i high = _mm512_slli_epi32(_mm512_srli_epi32(head[0], 16 + 2 * s), 4);
        __m512i scale = _mm512_sub_epi32(_mm512_ternarylogic_epi32(low, high, _mm512_set1_epi32(0x30), 0xF8),
                                         _mm512_set1_epi32(32));
        p->scale[at * 16 + s] = scale;
        p->pairs[at * 8 + s] = scale_pair(scale, scale, -128);
        fill_nibbles(p->q + at * 64 + 8 * s, g, offset + 8 + 16 * s);
    }
    look_up(p->q + at * 64, 64, iq4_table());
}

/* clang-format off */
/*                   fill                 sums       sub offset */
const panel_shape avx512_shapes[QUANT_TYPE_COUNT] = {
    [QUANT_Q4_0]     = {fill_q4_0,           .offset = 8},
    [QUANT_Q4_1]     = {fill_q4_1,           .has_min = true},
    [QUANT_Q5_0]     = {fill_q5_0,           .offset = 16},
    [QUANT_Q5_1]     = {fill_q5_1,           .has_min = true},
    [QUANT_Q8_0]     = {fill_q8_0,           .offset = 128},
    [QUANT_IQ4_NL]   = {fill_iq4_nl,         .offset = 128},
    [QUANT_MXFP4]    = {fill_mxfp4,          .offset = 128},
    [QUANT_Q2_K]     = {fill_q2_k,           SUMS_FLAT,  64, .has_min = true},
    [QUANT_Q3_K]     = {fill_q3_k,           SUMS_FLAT,  64, Q3_K_OFFSET},
    [QUANT_Q4_K]     = {fill_q4_k,           SUMS_FLOAT, 32, .has_min = true},
    [QUANT_Q5_K]     = {fill_q5_k,           SUMS_INT,   32, .has_min = true},
    [QUANT_Q6_K]     = {fill_q6_k,           SUMS_INT,   16, 32},
    [QUANT_IQ1_S]    = {avx512_fill_iq1_s,   SUMS_INT,   32, 128},
    [QUANT_IQ1_M]    = {avx512_fill_iq1_m,   SUMS_INT,   16, 128},
    [QUANT_IQ2_XXS]  = {avx512_fill_iq2_xxs, SUMS_INT,   32, 128},
    [QUANT_IQ2_XS]   = {avx512_fill_iq2_xs,  SUMS_INT,   16, 128},
    [QUANT_IQ2_S]    = {avx512_fill_iq2_s,   SUMS_INT,   16, 128},
    [QUANT_IQ3_XXS]  = {avx512_fill_iq3_xxs, SUMS_INT,   32, 128},
    [QUANT_IQ3_S]    = {avx512_fill_iq3_s,   SUMS_INT,   32, 128},
    [QUANT_IQ4_XS]   = {fill_iq4_xs,         SUMS_INT,   32, 128},
    [QUANT_TQ1_0]    = {avx512_fill_tq1_0,   SUMS_FLAT,  64, 128},
    [QUANT_TQ2_0]    = {avx512_fill_tq2_0,   SUMS_FLAT,  64, 128},
};
