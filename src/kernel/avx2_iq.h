/*
 * The types whose codes stand for values of a table, with 256-bit vectors: how eight rows of theirs come apart, for the
 * AVX2 and the AVX-VNNI tier. Rows are lanes here, too: the codes of one group of weights of eight rows stand in the
 * low bits of eight lanes, and one gather brings their entries of the codebook.
 */
#ifndef KERNEL_AVX2_IQ_H
#define KERNEL_AVX2_IQ_H

#include "kernel/avx2_blocks.h"
#include "quant/iq_grids.h"

/* Long, and called once for thousands of bytes: a copy in every loop would only make the program large. */
#define DECODE static __attribute__((noinline))

/* ---- tables of sixteen bytes ----------------------------------------------------------------- */

#define EACH_LANE(...) _mm256_broadcastsi128_si256(_mm_setr_epi8(__VA_ARGS__))

/* The order of vpshufb that brings bytes a to d of every lane. */
INLINE __m256i lane_bytes(int a, int b, int c, int d) {
    const __m256i base =
        _mm256_setr_epi32(0, 0x04040404, 0x08080808, 0x0C0C0C0C, 0, 0x04040404, 0x08080808, 0x0C0C0C0C);
    return _mm256_add_epi8(base, _mm256_set1_epi32(a | b << 8 | c << 16 | d << 24));
}

/* The steps of IQ4, plus 128. */
INLINE __m256i iq4_table(void) {
    return EACH_LANE(1, 24, 45, 63, 79, 93, 106, 118, (char)129, (char)141, (char)153, (char)166, (char)181, (char)197,
                     (char)217, (char)241);
}

/* The E2M1 numbers, doubled, plus 12. */
INLINE __m256i e2m1_table(void) { return EACH_LANE(12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0); }

/* What codes of two bits stand for, wherever such a code stands within four bits: 0 1 2 3, or 0 4 8 12. */
INLINE __m256i table_of_codes(char a, char b, char c, char d) {
    return EACH_LANE(a, b, c, d, b, 0, 0, 0, c, 0, 0, 0, d, 0, 0, 0);
}

/* Eight codes of two bits in the low halves of the lanes, through such a table: first four, then four more. */
INLINE void two_bit_codes(__m256i codes, __m256i table, __m256i out[2]) {
    const __m256i mask = _mm256_set1_epi32(0x0C030C03);
    /* the upper half of a lane holds them shifted by four, so that its bytes begin with the third and the seventh */
    __m256i v = _mm256_blend_epi16(codes, _mm256_slli_epi32(codes, 12), 0xAA);
    for (int i = 0; i < 2; i++) {
        __m256i four = _mm256_and_si256(_mm256_shuffle_epi8(v, lane_bytes(i, i, 2 + i, 2 + i)), mask);
        out[i] = _mm256_shuffle_epi8(table, four);
    }
}

/* Codes of three bits in the low twelve of the lanes, through a table. */
INLINE __m256i three_bit_codes(__m256i codes, __m256i table) {
    __m256i v = _mm256_blend_epi16(codes, _mm256_slli_epi32(codes, 10), 0xAA);
    v = _mm256_and_si256(v, _mm256_set1_epi32(0x003F003F));
    v = _mm256_or_si256(v, _mm256_slli_epi32(v, 5));
    return _mm256_shuffle_epi8(table, _mm256_and_si256(v, _mm256_set1_epi32(0x07070707)));
}

/* Entries of codebooks; the last has another one behind it. Only the low halves of the lanes are meant. */
INLINE __m256i entries_of(const uint16_t *grid, __m256i at) { return _mm256_i32gather_epi32((const int *)grid, at, 2); }

/* The `n` bits from bit `from` of every lane on. */
INLINE __m256i lane_bits(__m256i v, int from, int n) {
    return _mm256_and_si256(_mm256_srli_epi32(v, from), _mm256_set1_epi32((1 << n) - 1));
}

/* ---- signs and scales ------------------------------------------------------------------------ */

/* offset + q, or offset - q where bit 4 i + k of byte `at` of the lane is set, k being the byte's place. */
INLINE __m256i apply_signs(__m256i q, __m256i signs, int at, int i, char offset) {
    const __m256i bits = _mm256_set1_epi32(i ? (int)0x80402010 : 0x08040201);
    __m256i set = _mm256_and_si256(_mm256_shuffle_epi8(signs, lane_bytes(at, at, at, at)), bits);
    __m256i negative = _mm256_cmpeq_epi8(set, bits);
    q = _mm256_sub_epi8(_mm256_xor_si256(q, negative), negative);
    return _mm256_add_epi8(q, _mm256_set1_epi8(offset));
}

/* Bytes of seven signs: the eighth makes their number even. */
INLINE __m256i even_signs_of(__m256i seven) {
    const __m256i odd = EACH_LANE(0, -128, -128, 0, -128, 0, 0, -128, -128, 0, 0, -128, 0, -128, -128, 0);
    __m256i nibble = _mm256_xor_si256(seven, bits_at(seven, 4, 0, 15));
    nibble = _mm256_and_si256(nibble, _mm256_set1_epi8(15));
    return _mm256_or_si256(seven, _mm256_shuffle_epi8(odd, nibble));
}

/* Four times seven bits as bytes. */
INLINE __m256i seven_bits(__m256i v) {
    __m256i low = _mm256_or_si256(lane_bits(v, 0, 7), _mm256_slli_epi32(lane_bits(v, 7, 7), 8));
    __m256i high = _mm256_or_si256(lane_bits(v, 14, 7), _mm256_slli_epi32(lane_bits(v, 21, 7), 8));
    return _mm256_or_si256(low, _mm256_slli_epi32(high, 16));
}

/* Four of the eight nibbles of a lane as bytes: of its lower or its upper half. */
INLINE __m256i four_nibbles(__m256i v, int half) {
    __m256i twice = _mm256_shuffle_epi8(v, lane_bytes(2 * half, 2 * half, 2 * half + 1, 2 * half + 1));
    __m256i even = _mm256_and_si256(twice, _mm256_set1_epi16(0x000F));
    return _mm256_or_si256(even, _mm256_and_si256(_mm256_srli_epi16(twice, 4), _mm256_set1_epi16(0x0F00)));
}

/* 2 s + 1 */
INLINE __m256i odd(__m256i s) { return _mm256_add_epi8(_mm256_add_epi8(s, s), _mm256_set1_epi8(1)); }

/* As many nibbles as there are sub-blocks from byte `at` on. */
INLINE void odd_nibbles(const uint8_t *const p[ROWS], size_t at, int n, __m256i scale[4]) {
    for (int i = 0; i < n / 4; i += 2) {
        __m256i v = words(p, at + 2 * (size_t)i);
        scale[i] = odd(four_nibbles(v, 0));
        scale[i + 1] = odd(four_nibbles(v, 1));
    }
}

/* The top four bits of eight words of four signs, one every `step` bytes. */
INLINE void odd_top_nibbles(const uint8_t *const p[ROWS], size_t at, size_t step, __m256i scale[4]) {
    for (size_t i = 0; i < 2; i++) {
        __m256i all = _mm256_setzero_si256();
        for (size_t k = 0; k < 4; k++) {
            __m256i s = _mm256_srli_epi32(words(p, at + (4 * i + k) * step), 28);
            all = _mm256_or_si256(_mm256_srli_epi32(all, 8), _mm256_slli_epi32(s, 24));
        }
        scale[i] = odd(all);
    }
}

INLINE __m256 halves_8th(const uint8_t *const p[ROWS], size_t at) {
    return _mm256_mul_ps(halves(p, at), _mm256_set1_ps(0.125f));
}

INLINE __m256 halves_4th(const uint8_t *const p[ROWS], size_t at) {
    return _mm256_mul_ps(halves(p, at), _mm256_set1_ps(0.25f));
}

/* ---- IQ4 and FP4: nibbles -------------------------------------------------------------------- */

INLINE __m256i iq4_nl_weights(const __m256i *raw, int i, int j) {
    return _mm256_shuffle_epi8(iq4_table(), nibbles(raw, i, j));
}

INLINE __m256i mxfp4_weights(const __m256i *raw, int i, int j) {
    return _mm256_shuffle_epi8(e2m1_table(), nibbles(raw, i, j));
}

/* e8m0_half of byte `at`. */
INLINE __m256 e8m0_halves(const uint8_t *const p[ROWS], size_t at) {
    __m256i e = _mm256_setr_epi32(p[0][at], p[1][at], p[2][at], p[3][at], p[4][at], p[5][at], p[6][at], p[7][at]);
    __m256i tiny = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e), one = _mm256_set1_epi32(1);
    __m256i bits = _mm256_slli_epi32(_mm256_sub_epi32(e, one), 23);
    return _mm256_castsi256_ps(_mm256_blendv_epi8(tiny, bits, _mm256_cmpgt_epi32(e, one)));
}

/* Sub-block i: sixteen bytes, whose lower halves come first. */
INLINE void iq4_xs_load(const uint8_t *const p[ROWS], __m256i *raw, size_t i, size_t j) {
    if (j == 0) transpose(p, 8 + 16 * i, raw);
}

INLINE __m256i iq4_xs_weights(const __m256i *raw, int i, int j) {
    return _mm256_shuffle_epi8(iq4_table(), bits_at(raw[2 + 4 * i + j % 4], j / 4 * 4, 0, 15));
}

/* Four low bits each, and two above them beside d; less 32. */
INLINE void iq4_xs_scales(const uint8_t *const p[ROWS], __m256i *raw, __m256i scale[4], __m256i min[4]) {
    (void)min;
    transpose(p, 0, raw);
    two_bit_codes(_mm256_srli_epi32(raw[0], 16), table_of_codes(0, 16, 32, 48), scale);
    for (int i = 0; i < 2; i++) {
        __m256i s = _mm256_or_si256(scale[i], four_nibbles(raw[1], i));
        scale[i] = _mm256_sub_epi8(s, _mm256_set1_epi8(32));
    }
}

/* ---- IQ2: groups of eight, magnitudes 8 25 43, plus 64 --------------------------------------- */

enum { IQ2_OFFSET = 64, IQ3_XXS_OFFSET = 64, IQ3_S_OFFSET = 16, IQ1_OFFSET = 16 };

/* Two words of weights from an entry and the signs in byte `at` of the lane. */
INLINE void iq2_group(__m256i entry, __m256i signs, int at, __m256i w[2]) {
    __m256i q[2];
    two_bit_codes(entry, table_of_codes(8, 25, 43, 43), q);
    for (int i = 0; i < 2; i++) w[i] = apply_signs(q[i], signs, at, i, IQ2_OFFSET);
}

/* A word: two times nine bits of a place and seven signs. */
DECODE void iq2_xs_decode(const uint8_t *const p[ROWS], __m256i w[64]) {
    __m256i raw[16];
    for (size_t k = 0; k < 64; k += 16) transpose(p, 2 + k, raw);
    for (int k = 0; k < 16; k++) {
        __m256i signs = even_signs_of(_mm256_srli_epi16(raw[k], 9));
        iq2_group(entries_of(iq2_xs_grid, lane_bits(raw[k], 0, 9)), signs, 0, w + 4 * k);
        iq2_group(entries_of(iq2_xs_grid, lane_bits(raw[k], 16, 9)), signs, 2, w + 4 * k + 2);
    }
}

INLINE void iq2_xs_scales(const uint8_t *const p[ROWS], __m256i *raw, __m256i scale[4], __m256i min[4]) {
    (void)raw, (void)min;
    odd_nibbles(p, 66, 16, scale);
}

/* A word of four places, then one of four times seven signs and a scale. */
DECODE void iq2_xxs_decode(const uint8_t *const p[ROWS], __m256i w[64]) {
    __m256i raw[16];
    for (size_t k = 0; k < 64; k += 16) transpose(p, 2 + k, raw);
    for (int s = 0; s < 8; s++) {
        __m256i signs = even_signs_of(seven_bits(raw[2 * s + 1]));
        UNROLL for (int g = 0; g < 4; g++) {
            __m256i entry = entries_of(iq2_xxs_grid, lane_bits(raw[2 * s], 8 * g, 8));
            iq2_group(entry, signs, g, w + 8 * s + 2 * g);
        }
    }
}

INLINE void iq2_xxs_scales(const uint8_t *const p[ROWS], __m256i *raw, __m256i scale[4], __m256i min[4]) {
    (void)raw, (void)min;
    odd_top_nibbles(p, 6, 8, scale);
}

/* A word of four places, with two bits more of each in a byte of qh, and a word of signs. */
DECODE void iq2_s_decode(const uint8_t *const p[ROWS], __m256i w[64]) {
    __m256i raw[16], high[2] = {words(p, 66), words(p, 70)};
    for (size_t k = 0; k < 64; k += 16) transpose(p, 2 + k, raw);
    UNROLL for (int s = 0; s < 8; s++) {
        UNROLL for (int g = 0; g < 4; g++) {
            __m256i top = _mm256_slli_epi32(lane_bits(high[s / 4], s % 4 * 8 + 2 * g, 2), 8);
            __m256i at = _mm256_or_si256(lane_bits(raw[s], 8 * g, 8), top);
            iq2_group(entries_of(iq2_s_grid, at), raw[8 + s], g, w + 8 * s + 2 * g);
        }
    }
}

INLINE void iq2_s_scales(const uint8_t *const p[ROWS], __m256i *raw, __m256i scale[4], __m256i min[4]) {
    (void)raw, (void)min;
    odd_nibbles(p, 74, 16, scale);
}

/* ---- IQ3: groups of four --------------------------------------------------------------------- */

DECODE void iq3_xxs_decode(const uint8_t *const p[ROWS], __m256i w[64]) {
    const __m256i values = EACH_LANE(4, 12, 20, 28, 36, 44, 52, 62, 0, 0, 0, 0, 0, 0, 0, 0);
    __m256i raw[24];
    for (size_t k = 0; k < 96; k += 16) transpose(p, 2 + k, raw);
    for (int s = 0; s < 8; s++) {
        __m256i signs = even_signs_of(seven_bits(raw[16 + s]));
        UNROLL for (int g = 0; g < 8; g++) {
            __m256i entry = entries_of(iq3_xxs_grid, lane_bits(raw[2 * s + g / 4], g % 4 * 8, 8));
            w[8 * s + g] = apply_signs(three_bit_codes(entry, values), signs, g / 2, g % 2, IQ3_XXS_OFFSET);
        }
    }
}

INLINE void iq3_xxs_scales(const uint8_t *const p[ROWS], __m256i *raw, __m256i scale[4], __m256i min[4]) {
    (void)raw, (void)min;
    odd_top_nibbles(p, 66, 4, scale);
}

/* Two words of places, whose ninth bits stand in a byte of qh. */
DECODE void iq3_s_decode(const uint8_t *const p[ROWS], __m256i w[64]) {
    const __m256i values = EACH_LANE(1, 3, 5, 7, 9, 11, 13, 15, 0, 0, 0, 0, 0, 0, 0, 0);
    __m256i raw[26]; /* 64 bytes of places, 8 of qh, 32 of signs */
    for (size_t k = 0; k < 96; k += 16) transpose(p, 2 + k, raw);
    raw[24] = words(p, 98);
    raw[25] = words(p, 102);
    UNROLL for (int s = 0; s < 8; s++) {
        UNROLL for (int g = 0; g < 8; g++) {
            __m256i top = _mm256_slli_epi32(lane_bits(raw[16 + s / 4], s % 4 * 8 + g, 1), 8);
            __m256i at = _mm256_or_si256(lane_bits(raw[2 * s + g / 4], g % 4 * 8, 8), top);
            __m256i q = three_bit_codes(entries_of(iq3_s_grid, at), values);
            w[8 * s + g] = apply_signs(q, raw[18 + s], g / 2, g % 2, IQ3_S_OFFSET);
        }
    }
}

INLINE void iq3_s_scales(const uint8_t *const p[ROWS], __m256i *raw, __m256i scale[4], __m256i min[4]) {
    (void)raw, (void)min;
    odd_nibbles(p, 106, 8, scale);
}

/* ---- IQ1: groups of eight, 8 times -1 0 1 and one more or less, plus 16 ----------------------- */

/* less: all bits where one less is meant. */
INLINE void iq1_group(__m256i entry, __m256i less, __m256i w[2]) {
    two_bit_codes(entry, table_of_codes(IQ1_OFFSET - 7, IQ1_OFFSET + 1, IQ1_OFFSET + 9, IQ1_OFFSET + 9), w);
    const __m256i two = _mm256_set1_epi8(2);
    for (int i = 0; i < 2; i++) w[i] = _mm256_sub_epi8(w[i], _mm256_and_si256(less, two));
}

/* A word of four places; half a word with three bits more of each, a scale of three bits, and the sign of the shift. */
DECODE void iq1_s_decode(const uint8_t *const p[ROWS], __m256i w[64]) {
    __m256i raw[12];
    for (size_t k = 0; k < 48; k += 16) transpose(p, 2 + k, raw);
    UNROLL for (int s = 0; s < 8; s++) {
        __m256i high = raw[8 + s / 2], less = _mm256_srai_epi32(_mm256_slli_epi32(high, s % 2 ? 0 : 16), 31);
        UNROLL for (int g = 0; g < 4; g++) {
            __m256i top = _mm256_slli_epi32(lane_bits(high, s % 2 * 16 + 3 * g, 3), 8);
            __m256i at = _mm256_or_si256(lane_bits(raw[s], 8 * g, 8), top);
            iq1_group(entries_of(iq1_grid, at), less, w + 8 * s + 2 * g);
        }
    }
}

INLINE void iq1_s_scales(const uint8_t *const p[ROWS], __m256i *raw, __m256i scale[4], __m256i min[4]) {
    (void)min;
    transpose(p, 34, raw);
    for (int i = 0; i < 2; i++) {
        __m256i a = raw[8 + 2 * i], b = raw[9 + 2 * i]; /* two sub-blocks each */
        __m256i low = _mm256_or_si256(lane_bits(a, 12, 3), _mm256_slli_epi32(lane_bits(a, 28, 3), 8));
        __m256i high = _mm256_or_si256(lane_bits(b, 12, 3), _mm256_slli_epi32(lane_bits(b, 28, 3), 8));
        scale[i] = odd(_mm256_or_si256(low, _mm256_slli_epi32(high, 16)));
    }
}

/* A word of four places, and half a word with three bits more of each and the sign of its shift. */
DECODE void iq1_m_decode(const uint8_t *const p[ROWS], __m256i w[64]) {
    __m256i raw[12];
    for (size_t k = 0; k < 48; k += 16) transpose(p, k, raw);
    UNROLL for (int s = 0; s < 8; s++) {
        UNROLL for (int g = 0; g < 4; g++) {
            const int bit = s % 2 * 16 + 4 * g;
            __m256i high = raw[8 + s / 2], top = _mm256_slli_epi32(lane_bits(high, bit, 3), 8);
            __m256i at = _mm256_or_si256(lane_bits(raw[s], 8 * g, 8), top);
            __m256i less = _mm256_srai_epi32(_mm256_slli_epi32(high, 28 - bit), 31);
            iq1_group(entries_of(iq1_grid, at), less, w + 8 * s + 2 * g);
        }
    }
}

/* Four times three bits in each half of the two words, and four bits of d. */
INLINE void iq1_m_scales(const uint8_t *const p[ROWS], __m256i *raw, __m256i scale[4], __m256i min[4]) {
    (void)raw, (void)min;
    for (int i = 0; i < 4; i++) {
        __m256i v = words(p, 48 + 4 * ((size_t)i / 2)), all = _mm256_setzero_si256();
        if (i % 2) v = _mm256_srli_epi32(v, 16);
        for (int k = 3; k >= 0; k--) all = _mm256_or_si256(_mm256_slli_epi32(all, 8), lane_bits(v, 3 * k, 3));
        scale[i] = odd(all);
    }
}

/* Of the four bits on top of four halves. */
INLINE __m256 iq1_m_d(const uint8_t *const p[ROWS], size_t at) {
    __m256i a = words(p, at), b = words(p, at + 4);
    __m256i d = _mm256_or_si256(lane_bits(a, 12, 4), _mm256_slli_epi32(lane_bits(a, 28, 4), 4));
    d = _mm256_or_si256(d, _mm256_slli_epi32(lane_bits(b, 12, 4), 8));
    d = _mm256_or_si256(d, _mm256_slli_epi32(lane_bits(b, 28, 4), 12));
    __m128i eight = _mm_packus_epi32(_mm256_castsi256_si128(d), _mm256_extracti128_si256(d, 1));
    return _mm256_mul_ps(_mm256_cvtph_ps(eight), _mm256_set1_ps(0.125f));
}

/* ---- TQ: -1 0 1, plus 1 ---------------------------------------------------------------------- */

INLINE void scales_of_one(const uint8_t *const p[ROWS], __m256i *raw, __m256i scale[4], __m256i min[4]) {
    (void)p, (void)raw, (void)min;
    scale[0] = scale[1] = _mm256_set1_epi8(1);
}

DECODE void tq2_0_decode(const uint8_t *const p[ROWS], __m256i w[64]) {
    __m256i raw[16];
    for (size_t k = 0; k < 64; k += 16) transpose(p, k, raw);
    UNROLL for (int i = 0; i < 8; i++) {
        for (int j = 0; j < 8; j++) w[8 * i + j] = bits_at(raw[i / 4 * 8 + j], i % 4 * 2, 0, 3);
    }
}

/* Takes the next base-3 digit off the fractions in the bytes of *v. */
INLINE __m256i next_digit(__m256i *v) {
    const __m256i three = _mm256_set1_epi16(3), low = _mm256_set1_epi16(0x00FF);
    __m256i even = _mm256_mullo_epi16(_mm256_and_si256(*v, low), three);
    __m256i upper = _mm256_mullo_epi16(_mm256_srli_epi16(*v, 8), three);
    *v = _mm256_or_si256(_mm256_and_si256(even, low), _mm256_slli_epi16(upper, 8));
    return _mm256_or_si256(_mm256_srli_epi16(even, 8), _mm256_andnot_si256(low, upper));
}

/* Digit k of byte i is weight n k + i of n bytes: 32, 16, and four. */
DECODE void tq1_0_decode(const uint8_t *const p[ROWS], __m256i w[64]) {
    __m256i raw[13];
    for (size_t k = 0; k < 48; k += 16) transpose(p, k, raw);
    raw[12] = words(p, 48);
    for (int i = 0; i < 8; i++) {
        for (int k = 0; k < 5; k++) w[8 * k + i] = next_digit(&raw[i]);
    }
    for (int i = 0; i < 4; i++) {
        for (int k = 0; k < 5; k++) w[40 + 4 * k + i] = next_digit(&raw[8 + i]);
    }
    for (int k = 0; k < 4; k++) w[60 + k] = next_digit(&raw[12]);
}

/* ---- NVFP4 ----------------------------------------------------------------------------------- */

/* ue4m3_half of byte k of the lanes. */
INLINE __m256 ue4m3_halves(__m256i v, int k) {
    __m256i e = lane_bits(v, 8 * k, 8), exponent = lane_bits(e, 3, 4), mantissa = lane_bits(e, 0, 3);
    __m256i normal = _mm256_cmpgt_epi32(exponent, _mm256_setzero_si256());
    __m256i n = _mm256_or_si256(mantissa, _mm256_and_si256(normal, _mm256_set1_epi32(8)));
    n = _mm256_sllv_epi32(n, _mm256_sub_epi32(exponent, _mm256_srli_epi32(normal, 31)));
    n = _mm256_andnot_si256(_mm256_cmpeq_epi32(e, _mm256_set1_epi32(0x7F)), n);
    return _mm256_mul_ps(_mm256_cvtepi32_ps(n), _mm256_set1_ps(0x1p-10f));
}

/* 64 weights as two blocks of activations meet them: each has two parts of sixteen weights and a d of their own. */
INLINE void fill_nvfp4(panel *out, const uint8_t *const p[ROWS], size_t at, size_t v) {
    __m256i raw[9];
    transpose(p, 4, raw); /* eight bytes a part: raw[1 + 2 part] */
    transpose(p, 20, raw);
    raw[0] = words(p, 0);
    UNROLL for (int part = 0; part < 4; part++) {
        UNROLL for (int j = 0; j < 4; j++) {
            __m256i codes = bits_at(raw[1 + 2 * part + j % 2], j / 2 * 4, 0, 15);
            put_weights(out, at * 8 + (size_t)(4 * part + j), v, _mm256_shuffle_epi8(e2m1_table(), codes), false);
        }
        out->d[2 * at + (size_t)part][v] = ue4m3_halves(raw[0], part);
    }
}

/* ---- slots ----------------------------------------------------------------------------------- */

/* Codebooks come apart in functions of their own, so that types which multiply alike share the rest. */
#define FILL_APART(name, n_sub)                                                                                        \
    static void name(panel *out, const matrix *w, size_t row, size_t rows, size_t first, size_t n, size_t ahead,       \
                     const filling *f) {                                                                               \
        const shape s =                                                                                                \
            {256, n_sub, f->bytes, f->at, .decode = f->decode, .scales = f->scales, .d = f->d, .offset = f->offset};   \
        fill(out, w, row, rows, first, n, ahead, s, scale_form);                                                       \
    }

#define SLOT_APART(type, kind, ...)                                                                                    \
    static void type##_matmul(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end,   \
                              float *y, size_t y_stride) {                                                             \
        static const filling f = {__VA_ARGS__};                                                                        \
        kind(w, a, n_tok, row_begin, row_end, y, y_stride, &f);                                                        \
    }

/* Wide: unsigned bytes below 128; narrow: below 32.
 *   type, kind, block sub bytes at; or type, kind, fill, bytes, offset, at; super-blocks: offsets are logarithms */
#define IQ_SLOTS                                                                                                       \
    FILL_APART(fill_apart_16, 16)                                                                                      \
    FILL_APART(fill_apart_32, 32)                                                                                      \
    SLOT(iq4_nl, bytes_32, 32, 32, 18, 2, iq4_nl_weights, .offset = 128, .by_sign = BY_SIGN, .row_32 = iq4_nl_rows,    \
         .is_signed = true)                                                                                            \
    SLOT(mxfp4, fives_32, 32, 32, 17, 1, mxfp4_weights, .d = e8m0_halves, .offset = 12, .row_32 = mxfp4_rows)          \
    SLOT(nvfp4, parts_16, 32, 16, 18, 0, .fill_two = fill_nvfp4, .offset = 12)                                         \
    SLOT(iq4_xs, iq4_xs_kind, 256, 32, 136, 0, iq4_xs_weights, iq4_xs_load, iq4_xs_scales, .offset = 7,                \
         .by_sign = BY_SIGN, .row_head = iq4_xs_head, .row_256 = iq4_xs_row, .is_signed = true)                        \
    SLOT_APART(iq2_xxs, wide_32, fill_apart_32, 66, 6, 0, iq2_xxs_decode, iq2_xxs_scales, halves_8th)                  \
    SLOT_APART(iq3_xxs, wide_32, fill_apart_32, 98, 6, 0, iq3_xxs_decode, iq3_xxs_scales, halves_4th)                  \
    SLOT_APART(iq2_xs, wide_16, fill_apart_16, 74, 6, 0, iq2_xs_decode, iq2_xs_scales, halves_8th)                     \
    SLOT_APART(iq2_s, wide_16, fill_apart_16, 82, 6, 0, iq2_s_decode, iq2_s_scales, halves_8th)                        \
    SLOT_APART(iq3_s, narrow_32, fill_apart_32, 110, 4, 0, iq3_s_decode, iq3_s_scales, halves)                         \
    SLOT_APART(iq1_s, narrow_32, fill_apart_32, 50, 4, 0, iq1_s_decode, iq1_s_scales, halves_8th)                      \
    SLOT_APART(iq1_m, narrow_16, fill_apart_16, 56, 4, 48, iq1_m_decode, iq1_m_scales, iq1_m_d)                        \
    SLOT_APART(tq1_0, narrow_32, fill_apart_32, 54, 0, 52, tq1_0_decode, scales_of_one, halves)                        \
    SLOT_APART(tq2_0, narrow_32, fill_apart_32, 66, 0, 64, tq2_0_decode, scales_of_one, halves)

#define IQ_SLOT_TABLE                                                                                                  \
    [QUANT_IQ4_NL] = iq4_nl_matmul, [QUANT_MXFP4] = mxfp4_matmul, [QUANT_IQ4_XS] = iq4_xs_matmul,                      \
    [QUANT_IQ2_XXS] = iq2_xxs_matmul, [QUANT_IQ2_XS] = iq2_xs_matmul, [QUANT_IQ2_S] = iq2_s_matmul,                    \
    [QUANT_IQ3_XXS] = iq3_xxs_matmul, [QUANT_IQ3_S] = iq3_s_matmul, [QUANT_IQ1_S] = iq1_s_matmul,                      \
    [QUANT_IQ1_M] = iq1_m_matmul, [QUANT_TQ1_0] = tq1_0_matmul, [QUANT_TQ2_0] = tq2_0_matmul,                          \
    [QUANT_NVFP4] = nvfp4_matmul

#endif
