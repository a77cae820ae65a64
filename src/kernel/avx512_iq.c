/*
 * AVX-512 products of the types with codebooks, and of TQ, with a few tokens, which meet the blocks of sixteen rows at
 * once, and panels of those types that are best taken apart row by row. Here every weight becomes a byte w + 128, whose
 * products vpdpbusd sums without saturation, and 128 times the scales comes off again through the sums of activations.
 *
 * The types with a load function of their own are unpacked in registers; the others through their type's unpack.
 */
#include "kernel/avx512_panel.h"
#include "quant/iq_grids.h"

enum { MAX_STEP = 3, LEAD = 512 };

/* ---- sixteen rows -------------------------------------------------------------------------------- */

/* Lane i of the result is the sum of all lanes of v[i]. */
INLINE __m512i sum_rows(const __m512i v[ROWS]) {
    return add_lanes(add_lanes(sum_four(v), sum_four(v + 4)), add_lanes(sum_four(v + 8), sum_four(v + 12)));
}

/* out[i] lane r = in[r] lane i. */
INLINE void transpose(const __m512i in[ROWS], __m512i out[ROWS]) {
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

/* From a place in a row to what is asked for now: LEAD bytes on, or past the row's end as far into the same row of the
 * next sixteen, where they exist. */
INLINE size_t lead_of(const matrix *w, size_t row, size_t at) {
    bool inside = at + LEAD < w->row_bytes, more = row + 2 * ROWS <= w->n_out;
    return LEAD + (inside || !more ? 0 : (ROWS - 1) * w->row_bytes);
}

/* Where sixteen rows begin, of which n exist: the others repeat the first and are not stored. */
INLINE void point_at_rows(const matrix *w, size_t row, size_t n, const uint8_t *at[ROWS]) {
    for (size_t r = 0; r < ROWS; r++) at[r] = w->data + (row + (r < n ? r : 0)) * w->row_bytes;
}

INLINE uint32_t u32_of(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE uint64_t u64_of(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* ---- super-blocks of 256 in registers ------------------------------------------------------------ */

typedef struct {
    __m512i q[4];  /* 64 weights each, plus 128, in rising order */
    __m512i scale; /* int32 [16], one for each chunk, in rising order */
    float d;
} row_block;

typedef void load_fn(const uint8_t *p, const quant_row *type, row_block *out);

/* Eight bytes as sixteen int32, each twice: what 32 weights share, for each chunk. */
INLINE __m512i each_twice(uint64_t bytes) {
    const __m128i twice = _mm_setr_epi8(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    return _mm512_cvtepi8_epi32(_mm_shuffle_epi8(_mm_cvtsi64_si128((long long)bytes), twice));
}

/* Sixteen scales 2 s + 1 from four bits each. */
INLINE __m512i odd_scales(uint64_t nibbles) {
    __m128i s = _mm_set_epi64x((long long)_pdep_u64(nibbles >> 32, 0x0F0F0F0F0F0F0F0Fu),
                               (long long)_pdep_u64(nibbles, 0x0F0F0F0F0F0F0F0Fu));
    __m512i v = _mm512_cvtepu8_epi32(s);
    return _mm512_add_epi32(_mm512_add_epi32(v, v), _mm512_set1_epi32(1));
}

/* 128 + q, or 128 - q where the sign is set. */
INLINE __m512i apply_signs(__m512i q, uint64_t signs) {
    __m512i zero = _mm512_set1_epi8((char)128);
    return _mm512_mask_sub_epi8(_mm512_add_epi8(zero, q), signs, zero, q);
}

/* Eight times seven signs in the bytes of a word: the eighth makes their number even. */
INLINE uint64_t even_signs_8(uint64_t seven) {
    uint64_t p = seven ^ (seven >> 4 & 0x0F0F0F0F0F0F0F0Fu);
    p ^= p >> 2 & 0x3333333333333333u;
    p ^= p >> 1 & 0x5555555555555555u;
    return seven | (p & 0x0101010101010101u) << 7;
}

/* Sixteen entries of a codebook: the low halves of the lanes; its last entry has another one behind it. */
INLINE __m512i entries_of(const uint16_t *grid, __m512i at) { return _mm512_i32gather_epi32(at, grid, 2); }

/* Eight entries of IQ2 codebooks, one in each 64 bits, to 64 magnitudes. */
INLINE __m512i iq2_magnitudes(__m256i entries) {
    const __m128i values = _mm_setr_epi8(8, 25, 43, 43, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m512i shifts = _mm512_set1_epi64(0x0E0C0A0806040200);
    __m512i codes = _mm512_multishift_epi64_epi8(shifts, _mm512_cvtepu32_epi64(entries));
    return lookup(values, _mm512_and_si512(codes, _mm512_set1_epi8(3)));
}

/* 128 weights from sixteen entries and sixteen times eight signs. */
INLINE void iq2_weights(__m512i entries, uint64_t signs_low, uint64_t signs_high, __m512i q[2]) {
    q[0] = apply_signs(iq2_magnitudes(_mm512_castsi512_si256(entries)), signs_low);
    q[1] = apply_signs(iq2_magnitudes(_mm512_extracti64x4_epi64(entries, 1)), signs_high);
}

INLINE void load_iq2_xs(const uint8_t *p, const quant_row *type, row_block *out) {
    (void)type;
    out->d = _cvtsh_ss(half_bits(p)) * 0.125f;
    out->scale = odd_scales(u64_of(p + 66));
    for (int i = 0; i < 4; i += 2) {
        __m256i codes = _mm256_loadu_si256((const void *)(p + 2 + 16 * i));
        __m128i signs = _mm256_cvtepi16_epi8(_mm256_srli_epi16(codes, 9));
        __m512i at = _mm512_cvtepu16_epi32(_mm256_and_si256(codes, _mm256_set1_epi16(511)));
        iq2_weights(entries_of(iq2_xs_grid, at), even_signs_8((uint64_t)_mm_cvtsi128_si64(signs)),
                    even_signs_8((uint64_t)_mm_extract_epi64(signs, 1)), out->q + i);
    }
}

/* Two words of four times seven signs and a scale s: eight bytes of signs; 2 s + 1 into bytes i and i + 1 of *scales.
 */
INLINE uint64_t signs_and_scales(uint64_t a, uint64_t b, int i, uint64_t *scales) {
    *scales |= (2 * (a >> 28) + 1) << (8 * i) | (2 * (b >> 28) + 1) << (8 * i + 8);
    return even_signs_8(_pdep_u64((a & 0x0FFFFFFF) | (b & 0x0FFFFFFF) << 28, 0x7F7F7F7F7F7F7F7Fu));
}

INLINE void load_iq2_xxs(const uint8_t *p, const quant_row *type, row_block *out) {
    (void)type;
    uint64_t scales = 0;
    out->d = _cvtsh_ss(half_bits(p)) * 0.125f;
    for (int i = 0; i < 4; i += 2) {
        const uint8_t *sub = p + 2 + 16 * i; /* 32 weights: four places, a word of signs */
        __m128i at =
            _mm_setr_epi32((int)u32_of(sub), (int)u32_of(sub + 8), (int)u32_of(sub + 16), (int)u32_of(sub + 24));
        uint64_t low = signs_and_scales(u32_of(sub + 4), u32_of(sub + 12), 2 * i, &scales);
        uint64_t high = signs_and_scales(u32_of(sub + 20), u32_of(sub + 28), 2 * i + 2, &scales);
        iq2_weights(entries_of(iq2_xxs_grid, _mm512_cvtepu8_epi32(at)), low, high, out->q + i);
    }
    out->scale = each_twice(scales);
}

INLINE void load_iq2_s(const uint8_t *p, const quant_row *type, row_block *out) {
    (void)type;
    out->d = _cvtsh_ss(half_bits(p)) * 0.125f;
    out->scale = odd_scales(u64_of(p + 74));
    for (int i = 0; i < 4; i += 2) {
        __m512i low = _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)(p + 2 + 8 * i)));
        uint64_t two = _pdep_u64(u32_of(p + 66 + 2 * i), 0x0F0F0F0F0F0F0F0Fu); /* two places a byte */
        uint64_t even = two & 0x0303030303030303u, odd = two >> 2 & 0x0303030303030303u;
        __m128i high = _mm_unpacklo_epi8(_mm_cvtsi64_si128((long long)even), _mm_cvtsi64_si128((long long)odd));
        __m512i at = _mm512_or_si512(low, _mm512_slli_epi32(_mm512_cvtepu8_epi32(high), 8));
        iq2_weights(entries_of(iq2_s_grid, at), u64_of(p + 34 + 8 * i), u64_of(p + 42 + 8 * i), out->q + i);
    }
}

/* Sixteen entries of IQ3 codebooks, whose places have eight low bits in bytes and a ninth in `high`, to 64 codes. */
INLINE __m512i iq3_codes(const uint16_t *grid, const uint8_t *low, unsigned high) {
    __m512i at = _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)low));
    at = _mm512_mask_or_epi32(at, (__mmask16)high, at, _mm512_set1_epi32(256));
    const __m512i shifts = _mm512_set1_epi64(0x2926232009060300);
    return _mm512_and_si512(_mm512_multishift_epi64_epi8(shifts, entries_of(grid, at)), _mm512_set1_epi8(7));
}

INLINE void load_iq3_s(const uint8_t *p, const quant_row *type, row_block *out) {
    const __m128i values = _mm_setr_epi8(1, 3, 5, 7, 9, 11, 13, 15, 0, 0, 0, 0, 0, 0, 0, 0);
    (void)type;
    uint64_t s = _pdep_u64(u32_of(p + 106), 0x0F0F0F0F0F0F0F0Fu);
    out->d = _cvtsh_ss(half_bits(p));
    out->scale = each_twice(2 * s + 0x0101010101010101u);
    for (int i = 0; i < 4; i++) {
        __m512i codes = iq3_codes(iq3_s_grid, p + 2 + 16 * i, half_bits(p + 66 + 2 * i));
        out->q[i] = apply_signs(lookup(values, codes), u64_of(p + 74 + 8 * i));
    }
}

INLINE void load_iq3_xxs(const uint8_t *p, const quant_row *type, row_block *out) {
    const __m128i values = _mm_setr_epi8(4, 12, 20, 28, 36, 44, 52, 62, 0, 0, 0, 0, 0, 0, 0, 0);
    (void)type;
    uint64_t scales = 0;
    out->d = _cvtsh_ss(half_bits(p)) * 0.25f;
    for (int i = 0; i < 4; i++) {
        uint64_t signs = signs_and_scales(u32_of(p + 66 + 8 * i), u32_of(p + 70 + 8 * i), 2 * i, &scales);
        out->q[i] = apply_signs(lookup(values, iq3_codes(iq3_xxs_grid, p + 2 + 16 * i, 0)), signs);
    }
    out->scale = each_twice(scales);
}

/* -1 0 1 as codes 0 1 2: byte j of half h holds weights 128 h + j + {0, 32, 64, 96}. */
INLINE void load_tq2_0(const uint8_t *p, const quant_row *type, row_block *out) {
    (void)type;
    const __m512i three = _mm512_set1_epi8(3), zero = _mm512_set1_epi8(127);
    out->d = _cvtsh_ss(half_bits(p + 64));
    out->scale = _mm512_set1_epi32(1);
    for (int i = 0; i < 4; i++) {
        __m512i v = _mm512_broadcast_i64x4(_mm256_loadu_si256((const void *)(p + 32 * (i / 2))));
        __m512i by =
            _mm512_inserti64x4(_mm512_set1_epi16((short)(4 * (i % 2))), _mm256_set1_epi16((short)(4 * (i % 2) + 2)), 1);
        out->q[i] = _mm512_add_epi8(_mm512_and_si512(_mm512_srlv_epi16(v, by), three), zero);
    }
}

/* Any type, through its unpack function. */
INLINE void load_unpacked(const uint8_t *p, const quant_row *type, row_block *out) {
    quant_parts parts;
    type->unpack(p, &parts);
    for (int i = 0; i < 4; i++) {
        out->q[i] = _mm512_xor_si512(_mm512_loadu_si512(parts.q + 64 * i), _mm512_set1_epi8((char)128));
    }
    out->d = parts.d;
    out->scale = type->sub == 16 ? _mm512_cvtepi8_epi32(_mm_loadu_si128((const void *)parts.scale))
                                 : each_twice(u64_of((const uint8_t *)parts.scale));
}

/* ---- products of super-blocks -------------------------------------------------------------------- */

/* The scales of four chunks, each for the four lanes of its dots. */
INLINE void spread_scales(__m512i scale, __m512i out[4]) {
    const __m512i each = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    for (int i = 0; i < 4; i++)
        out[i] = _mm512_permutexvar_epi32(_mm512_add_epi32(each, _mm512_set1_epi32(4 * i)), scale);
}

/* n_tok (at most MAX_STEP) tokens against rows [row, row + ROWS), of which n exist. */
INLINE void step_256(const matrix *w, const activations *a, size_t n_tok, size_t row, size_t n, float *y,
                     size_t y_stride, load_fn *load) {
    const quant_row *type = &quant_types[w->type];
    __m512 acc[MAX_STEP];
    __m512i product[MAX_STEP][ROWS], act[MAX_STEP][4], sums[MAX_STEP];
    const uint8_t *at[ROWS];
    point_at_rows(w, row, n, at);
    for (size_t t = 0; t < n_tok; t++) acc[t] = _mm512_setzero_ps();
    for (size_t b = 0; b < w->n_in / 256; b++) {
        float d[ROWS];
        size_t lead = lead_of(w, row, b * type->bytes);
        for (size_t t = 0; t < n_tok; t++) {
            for (int i = 0; i < 4; i++) act[t][i] = _mm512_loadu_si512(a->q + (b * n_tok + t) * 256 + 64 * i);
            /* times 128, negated: what the offset of the weights adds */
            __m256i s = _mm256_loadu_si256((const void *)(a->sum + (b * n_tok + t) * 16));
            sums[t] = _mm512_mullo_epi32(_mm512_cvtepi16_epi32(s), _mm512_set1_epi32(-128));
        }
        for (size_t r = 0; r < ROWS; r++) {
            const uint8_t *p = at[r] + b * type->bytes;
            for (size_t line = 0; line < type->bytes; line += 64) _mm_prefetch(p + lead + line, _MM_HINT_T0);
            row_block block;
            __m512i spread[4];
            load(p, type, &block);
            spread_scales(block.scale, spread);
            d[r] = block.d;
            for (size_t t = 0; t < n_tok; t++) {
                __m512i sum = _mm512_mullo_epi32(block.scale, sums[t]);
                for (int i = 0; i < 4; i++) {
                    __m512i dot = _mm512_dpbusd_epi32(_mm512_setzero_si512(), block.q[i], act[t][i]);
                    sum = _mm512_add_epi32(sum, _mm512_mullo_epi32(dot, spread[i]));
                }
                product[t][r] = sum;
            }
        }
        for (size_t t = 0; t < n_tok; t++) {
            __m512 ds = _mm512_mul_ps(_mm512_loadu_ps(d), _mm512_set1_ps(a->scale[b * n_tok + t]));
            acc[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum_rows(product[t])), ds, acc[t]);
        }
    }
    for (size_t t = 0; t < n_tok; t++) _mm512_mask_storeu_ps(y + t * y_stride + row, first_lanes(n), acc[t]);
}

/* Block `at` of the panel, from `offset` bytes behind the rows' beginnings. */
INLINE void fill_256(panel *p, size_t at, const row_group *g, size_t offset, const quant_row *type, load_fn *load,
                     size_t sub) {
    __m512i q[4][ROWS], scale[ROWS], out[ROWS];
    float d[ROWS];
    for (size_t r = 0; r < ROWS; r++) {
        row_block b;
        load(g->at[r] + offset, type, &b);
        for (int i = 0; i < 4; i++) q[i][r] = b.q[i];
        scale[r] = b.scale;
        d[r] = b.d;
    }
    for (size_t i = 0; i < 4; i++) transpose(q[i], p->q + at * 64 + 16 * i);
    transpose(scale, out); /* of chunks of 16 */
    for (size_t s = 0; s < 256 / sub; s++) p->scale[at * 16 + s] = out[s * sub / 16];
    for (size_t s = 0; s < 8; s++) p->pairs[at * 8 + s] = scale_pair(out[2 * s], out[2 * s + 1], -128);
    p->d[at] = _mm512_loadu_ps(d);
}

/* ---- matrices ------------------------------------------------------------------------------------ */

/* Up to MAX_STEP tokens; a constant for a single one, so that its sums stay in registers. */
INLINE void step(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end, float *y,
                 size_t y_stride, load_fn *load) {
    for (size_t row = row_begin; row < row_end; row += ROWS) {
        size_t n = row_end - row < ROWS ? row_end - row : ROWS;
        if (n_tok == 1) {
            step_256(w, a, 1, row, n, y, y_stride, load);
        } else {
            step_256(w, a, n_tok, row, n, y, y_stride, load);
        }
    }
}

#define STEP_AND_FILL(type, quant, sub, load)                                                                          \
    void avx512_step_##type(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end,     \
                            float *y, size_t y_stride) {                                                               \
        step(w, a, n_tok, row_begin, row_end, y, y_stride, load);                                                      \
    }                                                                                                                  \
    void avx512_fill_##type(panel *p, size_t at, const row_group *g, size_t offset) {                                  \
        fill_256(p, at, g, offset, &quant_types[quant], load, sub);                                                    \
    }

STEP_AND_FILL(iq1_s, QUANT_IQ1_S, 32, load_unpacked)
STEP_AND_FILL(iq1_m, QUANT_IQ1_M, 16, load_unpacked)
STEP_AND_FILL(iq2_xxs, QUANT_IQ2_XXS, 32, load_iq2_xxs)
STEP_AND_FILL(iq2_xs, QUANT_IQ2_XS, 16, load_iq2_xs)
STEP_AND_FILL(iq2_s, QUANT_IQ2_S, 16, load_iq2_s)
STEP_AND_FILL(iq3_xxs, QUANT_IQ3_XXS, 32, load_iq3_xxs)
STEP_AND_FILL(iq3_s, QUANT_IQ3_S, 32, load_iq3_s)
STEP_AND_FILL(tq1_0, QUANT_TQ1_0, 32, load_unpacked)
STEP_AND_FILL(tq2_0, QUANT_TQ2_0, 32, load_tq2_0)
