/* What the AVX-512 files share. Included by them alone: it needs their instructions. */
#ifndef KERNEL_AVX512_H
#define KERNEL_AVX512_H

#include <immintrin.h>
#include <string.h>

#include "kernel/kernel.h"

/* ROWS: a lane each. STEP_TOK: tokens that avx512_step serves at most. */
enum { ROWS = 16, STEP_TOK = 2 };

/* Products with any number of tokens, of every type that has a panel_shape (avx512_panel.h). */
matmul_fn avx512_matmul, amx_matmul;

/* avx512_plain.c: the same of plain numbers. */
matmul_fn avx512_f32, avx512_f16, avx512_bf16;

/* By type: products with up to STEP_TOK tokens (avx512_step.c, avx512_iq.c). */
extern matmul_fn *const avx512_step[QUANT_TYPE_COUNT];
matmul_fn avx512_step_iq1_s, avx512_step_iq1_m, avx512_step_iq2_xxs, avx512_step_iq2_xs, avx512_step_iq2_s,
    avx512_step_iq3_xxs, avx512_step_iq3_s, avx512_step_tq1_0, avx512_step_tq2_0;

/* avx512_attend.c: the tier's attend_chunk. */
void avx512_attend_chunk(const attention_span *s, const attention_query *q, size_t n, uint32_t chunk, float *parts,
                         float *scratch);

/* avx512_vectors.c: slots of the tier. */
bool avx512_quantize(const float *x, size_t n, size_t block, size_t stride, int8_t *q, float *scale, int16_t *sum);
void avx512_store(quant_type type, const float *x, size_t n, uint8_t *row);

INLINE __mmask16 first_lanes(size_t n) { return n >= LANES ? 0xFFFF : (__mmask16)((1u << n) - 1); }

/* ---- sixteen rows ---------------------------------------------------------------------------- */

/* Where sixteen rows begin. Those past the matrix's end repeat the first and are not stored. */
typedef struct {
    const uint8_t *at[ROWS];
} row_group;

INLINE row_group rows_from(const matrix *w, size_t row, size_t n) {
    row_group g;
    for (size_t r = 0; r < ROWS; r++) g.at[r] = w->data + (row + (r < n ? r : 0)) * w->row_bytes;
    return g;
}

INLINE __m128i load_16(const uint8_t *p) { return _mm_loadu_si128((const void *)p); }

/* Four words of four rows a 128-bit lane, transposed within it. */
INLINE void transpose_lanes(const __m512i v[4], __m512i out[4]) {
    __m512i a = _mm512_unpacklo_epi32(v[0], v[1]), b = _mm512_unpackhi_epi32(v[0], v[1]);
    __m512i c = _mm512_unpacklo_epi32(v[2], v[3]), d = _mm512_unpackhi_epi32(v[2], v[3]);
    out[0] = _mm512_unpacklo_epi64(a, c);
    out[1] = _mm512_unpackhi_epi64(a, c);
    out[2] = _mm512_unpacklo_epi64(b, d);
    out[3] = _mm512_unpackhi_epi64(b, d);
}

/* Sixteen bytes of every row, transposed: lane r of out[i] is the i-th word of four bytes of row r. */
INLINE void take_16(const row_group *g, size_t offset, __m512i out[4]) {
    __m512i v[4]; /* 128-bit lane l of v[j] is row 4 l + j */
    for (int j = 0; j < 4; j++) {
        v[j] = _mm512_castsi128_si512(load_16(g->at[j] + offset));
        v[j] = _mm512_inserti32x4(v[j], load_16(g->at[4 + j] + offset), 1);
        v[j] = _mm512_inserti32x4(v[j], load_16(g->at[8 + j] + offset), 2);
        v[j] = _mm512_inserti32x4(v[j], load_16(g->at[12 + j] + offset), 3);
    }
    transpose_lanes(v, out);
}

INLINE __m512i load_two(const uint8_t *low, const uint8_t *high) {
    __m512i v = _mm512_castsi256_si512(_mm256_loadu_si256((const void *)low));
    return _mm512_inserti64x4(v, _mm256_loadu_si256((const void *)high), 1);
}

/* The same of 32 bytes, out[8], with half the loads for each. */
INLINE void take_32(const row_group *g, size_t offset, __m512i out[8]) {
    /* of rows 0 to 7, and of 8 to 15: 128-bit lanes 2 l and 2 l + 1 hold rows from 4 l on */
    __m512i v[4], first[4], second[4];
    for (int j = 0; j < 4; j++) v[j] = load_two(g->at[j] + offset, g->at[4 + j] + offset);
    transpose_lanes(v, first);
    for (int j = 0; j < 4; j++) v[j] = load_two(g->at[8 + j] + offset, g->at[12 + j] + offset);
    transpose_lanes(v, second);
    for (int j = 0; j < 4; j++) {
        out[j] = _mm512_shuffle_i32x4(first[j], second[j], 0x88);
        out[4 + j] = _mm512_shuffle_i32x4(first[j], second[j], 0xDD);
    }
}

/* out[i] lane r = in[r] lane i. */
INLINE void transpose_16(const __m512i in[16], __m512i out[16]) {
    __m512i four[4][4]; /* [rows 4 g ..][c]: in each 128-bit lane l, element 4 l + c of four rows */
    for (int g = 0; g < 4; g++) {
        const __m512i *v = in + 4 * g;
        __m512i a = _mm512_unpacklo_epi32(v[0], v[1]), b = _mm512_unpackhi_epi32(v[0], v[1]);
        __m512i c = _mm512_unpacklo_epi32(v[2], v[3]), d = _mm512_unpackhi_epi32(v[2], v[3]);
        four[g][0] = _mm512_unpacklo_epi64(a, c);
        four[g][1] = _mm512_unpackhi_epi64(a, c);
        four[g][2] = _mm512_unpacklo_epi64(b, d);
        four[g][3] = _mm512_unpackhi_epi64(b, d);
    }
    for (int c = 0; c < 4; c++) { /* and the lanes of the four groups */
        __m512i even_a = _mm512_shuffle_i32x4(four[0][c], four[1][c], 0x88),
                odd_a = _mm512_shuffle_i32x4(four[0][c], four[1][c], 0xDD);
        __m512i even_b = _mm512_shuffle_i32x4(four[2][c], four[3][c], 0x88),
                odd_b = _mm512_shuffle_i32x4(four[2][c], four[3][c], 0xDD);
        out[c] = _mm512_shuffle_i32x4(even_a, even_b, 0x88);
        out[4 + c] = _mm512_shuffle_i32x4(odd_a, odd_b, 0x88);
        out[8 + c] = _mm512_shuffle_i32x4(even_a, even_b, 0xDD);
        out[12 + c] = _mm512_shuffle_i32x4(odd_a, odd_b, 0xDD);
    }
}

/* The halves in the lower and the upper words of every lane. */
INLINE __m512 low_halves(__m512i v) { return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v)); }
INLINE __m512 high_halves(__m512i v) { return low_halves(_mm512_srli_epi32(v, 16)); }

INLINE __m512i low_nibbles(__m512i v) { return _mm512_and_si512(v, _mm512_set1_epi8(15)); }
INLINE __m512i high_nibbles(__m512i v) { return low_nibbles(_mm512_srli_epi16(v, 4)); }

/* w | (v & mask), byte by byte */
INLINE __m512i or_bits(__m512i w, __m512i v, char mask) {
    return _mm512_ternarylogic_epi32(w, v, _mm512_set1_epi8(mask), 0xF8);
}

/* ---- codes that stand for values -------------------------------------------------------------- */

INLINE __m512i lookup(__m128i table, __m512i codes) {
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(table), codes);
}

/* The steps of IQ4, plus 128. */
INLINE __m128i iq4_table(void) {
    return _mm_setr_epi8(1, 24, 45, 63, 79, 93, 106, 118, (char)129, (char)141, (char)153, (char)166, (char)181,
                         (char)197, (char)217, (char)241);
}

/* The E2M1 numbers, doubled, plus 128. */
INLINE __m128i e2m1_table(void) {
    return _mm_add_epi8(_mm_setr_epi8(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12),
                        _mm_set1_epi8((char)128));
}

/* Half of E8M0 numbers, since E2M1 numbers are doubled: those of 0 and 1 are subnormal. */
INLINE __m512 half_powers(__m512i e) {
    const __m512i one = _mm512_set1_epi32(1);
    __m512i normal = _mm512_slli_epi32(_mm512_sub_epi32(e, one), 23);
    __m512i small = _mm512_sllv_epi32(_mm512_set1_epi32(0x00200000), e);
    return _mm512_castsi512_ps(_mm512_mask_mov_epi32(normal, _mm512_cmple_epu32_mask(e, one), small));
}

/* ---- sums of products ------------------------------------------------------------------------ */

/* Adds v[i] up within each 128-bit lane: lane l of the result holds four partial sums, one a vector. */
INLINE __m512i sum_four(const __m512i v[4]) {
    __m512i a = _mm512_add_epi32(_mm512_unpacklo_epi32(v[0], v[1]), _mm512_unpackhi_epi32(v[0], v[1]));
    __m512i b = _mm512_add_epi32(_mm512_unpacklo_epi32(v[2], v[3]), _mm512_unpackhi_epi32(v[2], v[3]));
    return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

/* [a's lanes 0 + 1, a's 2 + 3, b's 0 + 1, b's 2 + 3] */
INLINE __m512i add_lanes(__m512i a, __m512i b) {
    return _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xDD));
}

/* acc += two products a lane of w with the two int16 at p: written out, since compilers load and broadcast first. */
INLINE void madd_broadcast(__m512i *acc, __m512i w, const int16_t *p) {
    __asm__("vpdpwssd %2%{1to16%}, %1, %0" : "+v"(*acc) : "v"(w), "m"(*(const int32_t(*)[1])(const void *)p));
}

/* ---- plain numbers: a register is the sixteen lanes ------------------------------------------ */

typedef __m512 load_plain_fn(const uint8_t *p, __mmask16 mask);

INLINE __m512 load_f32(const uint8_t *p, __mmask16 mask) { return _mm512_maskz_loadu_ps(mask, p); }
INLINE __m512 load_f16(const uint8_t *p, __mmask16 mask) { return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, p)); }
INLINE __m512 load_bf16(const uint8_t *p, __mmask16 mask) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, p)), 16));
}

/* The tree: upper half onto lower, four times. */
INLINE float sum_tree(__m512 v) {
    __m256 a = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

INLINE uint16_t half_bits(const uint8_t *p) {
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return h;
}

#endif
