/*
 * Products with one token with 256-bit vectors, for the AVX2 and the AVX-VNNI tier: they wait for memory rather than
 * for multipliers. Four streams of rows are read in the order of memory, asked for ahead of time (sixteen, as
 * avx2_blocks.h has them, are too many to follow), and blocks stay as they lie. Two blocks of four rows are
 * reduced together, so that each row's chain runs in a lane of its own.
 */
#ifndef KERNEL_AVX2_STEP_H
#define KERNEL_AVX2_STEP_H

#include "kernel/avx2_iq.h"

/* AHEAD: bytes between what is read and what is asked for. */
enum { STREAMS = 4, AHEAD = 1024 };

/* ---- sums ------------------------------------------------------------------------------------ */

/* sum + products of the int16 pairs with their scales */
INLINE __m256i add_scaled_pairs(__m256i sum, __m256i pairs, __m256i scale) {
#ifdef __AVXVNNI__
    return _mm256_dpwssd_avx_epi32(sum, pairs, scale);
#else
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, scale));
#endif
}

/* Twice 32 products of unsigned and signed bytes, spread over lanes; those of two pairs fit an int16 where the first
 * stay below 65. */
INLINE __m256i dot_bytes(const __m256i w[2], const __m256i act[2]) {
#ifdef __AVXVNNI__
    return _mm256_dpbusd_avx_epi32(_mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), w[0], act[0]), w[1], act[1]);
#else
    __m256i pairs = _mm256_add_epi16(_mm256_maddubs_epi16(w[0], act[0]), _mm256_maddubs_epi16(w[1], act[1]));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
#endif
}

/* The same of signed bytes, above -128. */
INLINE __m256i dot_signed(const __m256i w[2], const __m256i act[2]) {
    __m256i magnitude[2], turned[2];
    for (int i = 0; i < 2; i++) {
        magnitude[i] = _mm256_abs_epi8(w[i]);
        turned[i] = _mm256_sign_epi8(act[i], w[i]);
    }
#ifdef __AVXVNNI__
    return dot_bytes(magnitude, turned);
#else
    __m256i pairs[2], one = _mm256_set1_epi16(1);
    for (int i = 0; i < 2; i++) pairs[i] = _mm256_madd_epi16(_mm256_maddubs_epi16(magnitude[i], turned[i]), one);
    return _mm256_add_epi32(pairs[0], pairs[1]);
#endif
}

/* Adds v[i] up within each 128-bit lane: a lane of the result holds four partial sums, one a vector. Horizontal
 * additions would take twice as long. */
INLINE __m256i sum_four(const __m256i v[4]) {
    __m256i a = _mm256_add_epi32(_mm256_unpacklo_epi32(v[0], v[1]), _mm256_unpackhi_epi32(v[0], v[1]));
    __m256i b = _mm256_add_epi32(_mm256_unpacklo_epi32(v[2], v[3]), _mm256_unpackhi_epi32(v[2], v[3]));
    return _mm256_add_epi32(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
}

/* Lane i is the whole sum of v[i]. */
INLINE __m256i sum_eight(const __m256i v[8]) {
    __m256i a = sum_four(v), b = sum_four(v + 4);
    return _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31));
}

INLINE __m256 two_floats(float low, float high) { return _mm256_set_m128(_mm_set1_ps(high), _mm_set1_ps(low)); }
INLINE __m256i two_ints(int low, int high) { return _mm256_set_m128i(_mm_set1_epi32(high), _mm_set1_epi32(low)); }

/* acc + value * scale, of the lower lanes and then, where there are two blocks, of the upper ones; or minus it. */
INLINE __m128 chain_two(__m128 acc, __m256 value, __m256 scale, __m256 min, __m256 min_scale, bool two, bool has_min) {
    acc = _mm_fmadd_ps(_mm256_castps256_ps128(value), _mm256_castps256_ps128(scale), acc);
    if (has_min) acc = _mm_fnmadd_ps(_mm256_castps256_ps128(min), _mm256_castps256_ps128(min_scale), acc);
    if (!two) return acc;
    acc = _mm_fmadd_ps(_mm256_extractf128_ps(value, 1), _mm256_extractf128_ps(scale, 1), acc);
    if (has_min) acc = _mm_fnmadd_ps(_mm256_extractf128_ps(min, 1), _mm256_extractf128_ps(min_scale, 1), acc);
    return acc;
}

/* ---- how a super-block of one row comes apart ------------------------------------------------- */

/* Word i of each half of `scale` belongs to the same half of the 32 weights from 32 i on. `factor` are what sums of 16
 * activations are multiplied with: minimums, or scales where weights have an offset. */
struct row_head {
    __m256i scale, factor;
};

/* Sixteen scales for 16 weights each. */
INLINE __m256i scales_of_16(__m128i bytes) {
    const __m128i even_odd = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
    return _mm256_cvtepi8_epi16(_mm_shuffle_epi8(bytes, even_odd));
}

INLINE __m256i load_32(const uint8_t *p) { return _mm256_loadu_si256((const void *)p); }
INLINE __m128i load_16(const uint8_t *p) { return _mm_loadu_si128((const void *)p); }

/* Twelve bytes of six-bit numbers, behind four others, are eight scales and eight minimums of 32 weights each. */
INLINE void six_bits_head(const uint8_t *p, row_head *out) {
    const __m128i right = _mm_setr_epi32(0, 0, 0, 4), top = _mm_setr_epi32(0, 0x30303030, 0, 0x30303030);
    const __m128i mask = _mm_setr_epi32(0x3F3F3F3F, 0x0F0F0F0F, 0x3F3F3F3F, 0x0F0F0F0F);
    const __m256i twice = _mm256_setr_epi8(0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 4, 5, 6, 7, 6, 7, 8, 9, 8, 9, 10, 11, 10, 11,
                                           12, 13, 12, 13, 14, 15, 14, 15);
    __m128i bytes = load_16(p);
    __m128i low = _mm_and_si128(_mm_srlv_epi32(_mm_shuffle_epi32(bytes, 0xED), right), mask);
    __m128i high = _mm_and_si128(_mm_srli_epi32(_mm_shuffle_epi32(bytes, 0x84), 2), top);
    __m256i numbers = _mm256_cvtepu8_epi16(_mm_or_si128(low, high));
    out->scale = _mm256_permute4x64_epi64(numbers, 0x44);
    out->factor = _mm256_shuffle_epi8(_mm256_permute4x64_epi64(numbers, 0xEE), twice);
}

INLINE __m256i q4_k_row(const uint8_t *p, int i) { return bits_at(load_32(p + 16 + i / 2 * 32), i % 2 * 4, 0, 15); }

INLINE __m256i q5_k_row(const uint8_t *p, int i) {
    __m256i low = bits_at(load_32(p + 48 + i / 2 * 32), i % 2 * 4, 0, 15);
    return _mm256_or_si256(low, bits_at(load_32(p + 16), i, 4, 16));
}

INLINE void q6_k_head(const uint8_t *p, row_head *out) {
    out->scale = scales_of_16(load_16(p + 192));
    out->factor = _mm256_cvtepi8_epi16(load_16(p + 192));
}

INLINE __m256i q6_k_row(const uint8_t *p, int i) {
    __m256i low = bits_at(load_32(p + i / 4 * 64 + i % 2 * 32), i % 4 / 2 * 4, 0, 15);
    return _mm256_or_si256(low, bits_at(load_32(p + 128 + i / 4 * 32), i % 4 * 2, 4, 0x30));
}

INLINE __m256i row_two_bits(const uint8_t *p, int i) { return bits_at(load_32(p + i / 4 * 32), i % 4 * 2, 0, 3); }

INLINE void q2_k_head(const uint8_t *p, row_head *out) {
    const __m128i low = _mm_set1_epi8(15);
    __m128i s = load_16(p);
    out->scale = scales_of_16(_mm_and_si128(s, low));
    out->factor = _mm256_cvtepi8_epi16(_mm_and_si128(_mm_srli_epi16(s, 4), low));
}

INLINE __m256i q2_k_row(const uint8_t *p, int i) { return row_two_bits(p + 16, i); }

/* Four bytes each of a, b and c are sixteen numbers of six bits: four of them in the nibbles of a and b, two in c. */
INLINE void q3_k_head(const uint8_t *p, row_head *out) {
    const __m128i right = _mm_setr_epi32(0, 0, 4, 4), top_right = _mm_setr_epi32(0, 2, 4, 6);
    __m128i v = _mm_srli_si128(load_16(p + 94), 2); /* sixteen bytes from a on would leave the block */
    __m128i low = _mm_srlv_epi32(_mm_shuffle_epi32(v, 0x44), right);
    __m128i high = _mm_slli_epi32(_mm_srlv_epi32(_mm_shuffle_epi32(v, 0xAA), top_right), 4);
    __m128i s = _mm_or_si128(_mm_and_si128(low, _mm_set1_epi8(15)), _mm_and_si128(high, _mm_set1_epi8(0x30)));
    s = _mm_sub_epi8(s, _mm_set1_epi8(32));
    out->scale = scales_of_16(s);
    out->factor = _mm256_cvtepi8_epi16(s);
}

INLINE __m256i q3_k_row(const uint8_t *p, int i) {
    return _mm256_or_si256(row_two_bits(p + 32, i), bits_at(load_32(p), i, 2, 4));
}

/* The steps of IQ4. */
INLINE __m256i row_iq4(__m256i codes) {
    const __m256i steps = EACH_LANE(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
    return _mm256_shuffle_epi8(steps, codes);
}

INLINE void iq4_xs_head(const uint8_t *p, row_head *out) {
    __m128i low = _mm_cvtsi32_si128(word(p + 4));
    low = _mm_and_si128(_mm_unpacklo_epi8(low, _mm_srli_epi16(low, 4)), _mm_set1_epi8(15));
    __m256i high[2];
    two_bit_codes(_mm256_set1_epi32(word(p) >> 16 & 0xFFFF), table_of_codes(0, 16, 32, 48), high);
    __m128i top = _mm_unpacklo_epi32(_mm256_castsi256_si128(high[0]), _mm256_castsi256_si128(high[1]));
    __m128i s = _mm_sub_epi8(_mm_or_si128(low, top), _mm_set1_epi8(32));
    out->scale = _mm256_broadcastsi128_si256(_mm_cvtepi8_epi16(s));
    out->factor = out->scale; /* of no use: weights are signed */
}

INLINE __m256i iq4_xs_row(const uint8_t *p, int i) {
    __m128i v = load_16(p + 8 + 16 * i);
    return row_iq4(_mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(v, 4), v), _mm256_set1_epi8(15)));
}

/* ---- and two blocks of 32 --------------------------------------------------------------------- */

/* Sixteen bytes of each block, a lane each. */
INLINE __m256i load_two(const uint8_t *p, const uint8_t *second) {
    return _mm256_set_m128i(load_16(second), load_16(p));
}

INLINE void two_nibbles(const uint8_t *p, const uint8_t *second, __m256i q[2]) {
    __m256i v = load_two(p, second);
    q[0] = bits_at(v, 0, 0, 15);
    q[1] = bits_at(v, 4, 0, 15);
}

/* Adds 16 where a bit of the four bytes at p, or at `second`, is set. */
INLINE void add_fifth_bits(const uint8_t *p, const uint8_t *second, __m256i q[2]) {
    const __m256i which = _mm256_set1_epi64x((long long)0x8040201008040201);
    const __m256i first = EACH_LANE(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    __m256i bits = _mm256_blend_epi32(four_bytes(p), four_bytes(second), 0xF0);
    for (int i = 0; i < 2; i++) {
        __m256i eight = _mm256_shuffle_epi8(bits, _mm256_add_epi8(first, _mm256_set1_epi8((char)(2 * i))));
        __m256i set = _mm256_cmpeq_epi8(_mm256_and_si256(eight, which), which);
        q[i] = _mm256_or_si256(q[i], _mm256_and_si256(set, _mm256_set1_epi8(16)));
    }
}

INLINE void q4_0_rows(const uint8_t *p, const uint8_t *second, __m256i q[2]) { two_nibbles(p + 2, second + 2, q); }
INLINE void q4_1_rows(const uint8_t *p, const uint8_t *second, __m256i q[2]) { two_nibbles(p + 4, second + 4, q); }

INLINE void q5_0_rows(const uint8_t *p, const uint8_t *second, __m256i q[2]) {
    two_nibbles(p + 6, second + 6, q);
    add_fifth_bits(p + 2, second + 2, q);
}

INLINE void q5_1_rows(const uint8_t *p, const uint8_t *second, __m256i q[2]) {
    two_nibbles(p + 8, second + 8, q);
    add_fifth_bits(p + 4, second + 4, q);
}

INLINE void q8_0_rows(const uint8_t *p, const uint8_t *second, __m256i q[2]) {
    q[0] = load_two(p + 2, second + 2);
    q[1] = load_two(p + 18, second + 18);
}

INLINE void iq4_nl_rows(const uint8_t *p, const uint8_t *second, __m256i q[2]) {
    two_nibbles(p + 2, second + 2, q);
    for (int i = 0; i < 2; i++) q[i] = row_iq4(q[i]);
}

INLINE void mxfp4_rows(const uint8_t *p, const uint8_t *second, __m256i q[2]) {
    two_nibbles(p + 1, second + 1, q);
    for (int i = 0; i < 2; i++) q[i] = _mm256_shuffle_epi8(e2m1_table(), q[i]);
}

/* ---- four rows ------------------------------------------------------------------------------- */

/* The halves at byte `at` of each block, and those behind them. */
INLINE void two_halves(const uint8_t *const p[8], size_t at, __m256 *first, __m256 *second) {
    const __m256i even_odd = EACH_LANE(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
    __m256i v = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(words(p, at), even_odd), 0xD8);
    *first = _mm256_cvtph_ps(_mm256_castsi256_si128(v));
    *second = _mm256_cvtph_ps(_mm256_extracti128_si256(v, 1));
}

/* Two super-blocks of four rows, at p; of the second ones there are none where `two` is false. */
INLINE __m128 run_256(const uint8_t *const p[8], const activations *a, size_t b, bool two, __m128 acc, const shape s) {
    __m256i product[8], other[8];
    for (size_t i = 0; i < 2; i++) {
        size_t at = b + (two ? i : 0);
        const int8_t *q = a->q + at * 256;
        __m256i sums = load_32((const uint8_t *)(a->sum + at * 16));
        __m256i scale[STREAMS];
        UNROLL for (size_t j = 0; j < STREAMS; j++) { /* all before products, which would wait for them */
            row_head head;
            s.row_head(p[4 * i + j], &head);
            scale[j] = head.scale;
            other[4 * i + j] = _mm256_madd_epi16(head.factor, sums);
        }
        UNROLL for (size_t j = 0; j < STREAMS; j++) {
            __m256i sum = _mm256_setzero_si256();
            prefetch(p[4 * i + j] + AHEAD, s.bytes);
            UNROLL for (int k = 0; k < 8; k++) {
                __m256i w = s.row_256(p[4 * i + j], k), act = load_32((const uint8_t *)q + 32 * k);
                __m256i which = _mm256_set1_epi16((short)(2 * k | (2 * k + 1) << 8));
                if (s.is_signed) act = _mm256_sign_epi8(act, w), w = _mm256_abs_epi8(w);
                __m256i pairs = _mm256_maddubs_epi16(w, act);
                sum = add_scaled_pairs(sum, pairs, _mm256_shuffle_epi8(scale[j], which));
            }
            product[4 * i + j] = sum;
        }
    }
    __m256 scale = two_floats(a->scale[b], two ? a->scale[b + 1] : 0), d, dmin = _mm256_setzero_ps();
    __m256i sum = sum_eight(product), total = s.is_signed ? sum : sum_eight(other);
    if (!s.has_min && !s.is_signed) sum = _mm256_sub_epi32(sum, _mm256_slli_epi32(total, s.offset));
    if (s.has_min) {
        two_halves(p, s.at, &d, &dmin);
        dmin = _mm256_mul_ps(dmin, scale);
    } else {
        d = d_of(p, s.at, s);
    }
    d = _mm256_mul_ps(d, scale);
    return chain_two(acc, _mm256_cvtepi32_ps(sum), d, _mm256_cvtepi32_ps(total), dmin, two, s.has_min);
}

/* The same of blocks of 32, a lane each. */
INLINE __m128 run_32(const uint8_t *const p[8], const activations *a, size_t b, bool two, __m128 acc, const shape s) {
    const uint8_t *q = (const uint8_t *)a->q + b * 32;
    __m256i product[4], first = load_32(q), second = load_32(two ? q + 32 : q);
    __m256i act[2] = {_mm256_permute2x128_si256(first, second, 0x20), _mm256_permute2x128_si256(first, second, 0x31)};
    UNROLL for (size_t j = 0; j < STREAMS; j++) {
        __m256i w[2];
        _mm_prefetch((const char *)p[j] + AHEAD, _MM_HINT_T0);
        s.row_32(p[j], p[STREAMS + j], w);
        product[j] = s.is_signed ? dot_signed(w, act) : dot_bytes(w, act);
    }
    const int16_t *at = a->sum + 2 * b;
    __m256i sum = sum_four(product), sums = two_ints(at[0] + at[1], two ? at[2] + at[3] : 0);
    __m256 scale = two_floats(a->scale[b], two ? a->scale[b + 1] : 0), d, dmin = _mm256_setzero_ps();
    if (!s.has_min && !s.is_signed) sum = _mm256_sub_epi32(sum, _mm256_mullo_epi32(sums, _mm256_set1_epi32(s.offset)));
    if (s.has_min) {
        two_halves(p, 0, &d, &dmin); /* the m of a block of 32 is the negated minimum */
        dmin = _mm256_mul_ps(_mm256_xor_ps(dmin, _mm256_set1_ps(-0.0f)), scale);
    } else {
        d = d_of(p, 0, s);
    }
    d = _mm256_mul_ps(d, scale);
    return chain_two(acc, _mm256_cvtepi32_ps(sum), d, _mm256_cvtepi32_ps(sums), dmin, two, s.has_min);
}

/* Four streams, a quarter of the rows each. */
INLINE void step(const matrix *w, const activations *a, size_t row_begin, size_t row_end, float *y, const shape s) {
    size_t n_blocks = w->n_in / s.block, quarter = (row_end - row_begin + STREAMS - 1) / STREAMS;
    for (size_t r = 0; r < quarter; r++) {
        const uint8_t *p[2 * STREAMS];
        size_t row[STREAMS];
        __m128 acc = _mm_setzero_ps();
        for (size_t j = 0; j < STREAMS; j++) {
            row[j] = row_begin + j * quarter + r;
            size_t read = row[j] < row_end ? row[j] : row_begin + r; /* computed and not stored */
            p[j] = w->data + read * w->row_bytes;
        }
        for (size_t b = 0; b < n_blocks; b += 2) {
            bool two = b + 1 < n_blocks;
            for (size_t j = 0; j < STREAMS; j++) p[STREAMS + j] = p[j] + (two ? s.bytes : 0);
            acc = s.block == 256 ? run_256(p, a, b, two, acc, s) : run_32(p, a, b, two, acc, s);
            for (size_t j = 0; j < STREAMS; j++) p[j] += 2 * s.bytes;
        }
        float sums[STREAMS];
        _mm_storeu_ps(sums, acc);
        for (size_t j = 0; j < STREAMS; j++) {
            if (row[j] < row_end) y[row[j]] = sums[j];
        }
    }
}

#endif
