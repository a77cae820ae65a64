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

/* 32 products of unsigned and signed bytes, spread over lanes. */
INLINE __m256i dot_bytes(__m256i w, __m256i act) {
#ifdef __AVXVNNI__
    return _mm256_dpbusd_avx_epi32(_mm256_setzero_si256(), w, act);
#else
    return _mm256_madd_epi16(_mm256_maddubs_epi16(w, act), _mm256_set1_epi16(1));
#endif
}

/* Lane i is the whole sum of v[i]. */
INLINE __m256i sum_eight(const __m256i v[8]) {
    __m256i a = _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]));
    __m256i b = _mm256_hadd_epi32(_mm256_hadd_epi32(v[4], v[5]), _mm256_hadd_epi32(v[6], v[7]));
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

/* Word i of each half of `scale` belongs to the same half of q[i]. `factor` are what sums of 16 activations are
 * multiplied with: minimums, or scales where weights have an offset. */
struct row_block {
    __m256i q[8]; /* in the order of K; unsigned, but for IQ4_XS */
    __m256i scale, factor;
};

/* Eight bytes for 32 weights each. */
INLINE __m256i scales_of_32(uint64_t bytes) {
    return _mm256_broadcastsi128_si256(_mm_cvtepi8_epi16(_mm_cvtsi64_si128((long long)bytes)));
}

INLINE __m256i factors_of_32(uint64_t bytes) {
    const __m256i twice = _mm256_setr_epi8(0, 1, 0, 1, 2, 3, 2, 3, 4, 5, 4, 5, 6, 7, 6, 7, 8, 9, 8, 9, 10, 11, 10, 11,
                                           12, 13, 12, 13, 14, 15, 14, 15);
    return _mm256_shuffle_epi8(scales_of_32(bytes), twice);
}

/* Sixteen for 16 each. */
INLINE __m256i scales_of_16(__m128i bytes) {
    const __m128i even_odd = _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15);
    return _mm256_cvtepi8_epi16(_mm_shuffle_epi8(bytes, even_odd));
}

INLINE __m256i load_32(const uint8_t *p) { return _mm256_loadu_si256((const void *)p); }
INLINE __m128i load_16(const uint8_t *p) { return _mm_loadu_si128((const void *)p); }

INLINE void row_six_bits(const uint8_t *s, row_block *out) {
    const uint32_t six = 0x3F3F3F3F, four = 0x0F0F0F0F, two = 0x03030303;
    uint32_t a = (uint32_t)word(s), b = (uint32_t)word(s + 4), c = (uint32_t)word(s + 8);
    out->scale = scales_of_32((a & six) | (uint64_t)((c & four) | (a >> 6 & two) << 4) << 32);
    out->factor = factors_of_32((b & six) | (uint64_t)((c >> 4 & four) | (b >> 6 & two) << 4) << 32);
}

INLINE void q4_k_row(const uint8_t *p, row_block *out) {
    row_six_bits(p + 4, out);
    for (int i = 0; i < 4; i++) {
        __m256i v = load_32(p + 16 + 32 * i);
        out->q[2 * i] = bits_at(v, 0, 0, 15);
        out->q[2 * i + 1] = bits_at(v, 4, 0, 15);
    }
}

INLINE void q5_k_row(const uint8_t *p, row_block *out) {
    __m256i bits = load_32(p + 16);
    row_six_bits(p + 4, out);
    UNROLL for (int i = 0; i < 8; i++) {
        __m256i v = bits_at(load_32(p + 48 + i / 2 * 32), i % 2 * 4, 0, 15);
        out->q[i] = _mm256_or_si256(v, bits_at(bits, i, 4, 16));
    }
}

INLINE void q6_k_row(const uint8_t *p, row_block *out) {
    out->scale = scales_of_16(load_16(p + 192));
    out->factor = _mm256_cvtepi8_epi16(load_16(p + 192));
    UNROLL for (int i = 0; i < 8; i++) {
        __m256i low = bits_at(load_32(p + i / 4 * 64 + i % 2 * 32), i % 4 / 2 * 4, 0, 15);
        out->q[i] = _mm256_or_si256(low, bits_at(load_32(p + 128 + i / 4 * 32), i % 4 * 2, 4, 0x30));
    }
}

INLINE void row_two_bits(const uint8_t *p, __m256i q[8]) {
    UNROLL for (int i = 0; i < 8; i++) q[i] = bits_at(load_32(p + i / 4 * 32), i % 4 * 2, 0, 3);
}

INLINE void q2_k_row(const uint8_t *p, row_block *out) {
    const __m128i low = _mm_set1_epi8(15);
    __m128i s = load_16(p);
    out->scale = scales_of_16(_mm_and_si128(s, low));
    out->factor = _mm256_cvtepi8_epi16(_mm_and_si128(_mm_srli_epi16(s, 4), low));
    row_two_bits(p + 16, out->q);
}

INLINE void q3_k_row(const uint8_t *p, row_block *out) {
    const uint32_t four = 0x0F0F0F0F, two = 0x03030303;
    uint32_t a = (uint32_t)word(p + 96), b = (uint32_t)word(p + 100), c = (uint32_t)word(p + 104);
    uint64_t low = ((a & four) | (c & two) << 4) | (uint64_t)((b & four) | (c >> 2 & two) << 4) << 32;
    uint64_t high = ((a >> 4 & four) | (c >> 4 & two) << 4) | (uint64_t)((b >> 4 & four) | (c >> 6 & two) << 4) << 32;
    __m128i s = _mm_sub_epi8(_mm_set_epi64x((long long)high, (long long)low), _mm_set1_epi8(32));
    __m256i bits = load_32(p);
    out->scale = scales_of_16(s);
    out->factor = _mm256_cvtepi8_epi16(s);
    row_two_bits(p + 32, out->q);
    UNROLL for (int i = 0; i < 8; i++) out->q[i] = _mm256_or_si256(out->q[i], bits_at(bits, i, 2, 4));
}

/* Sixteen bytes of nibbles: the lower ones, then the upper ones. */
INLINE __m256i row_nibbles(const uint8_t *p) {
    __m128i v = load_16(p);
    return _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(v, 4), v), _mm256_set1_epi8(15));
}

INLINE __m256i row_iq4(const uint8_t *p) {
    const __m256i steps = EACH_LANE(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
    return _mm256_shuffle_epi8(steps, row_nibbles(p));
}

INLINE void iq4_xs_row(const uint8_t *p, row_block *out) {
    __m128i low = _mm_cvtsi32_si128(word(p + 4));
    low = _mm_and_si128(_mm_unpacklo_epi8(low, _mm_srli_epi16(low, 4)), _mm_set1_epi8(15));
    __m256i high[2];
    two_bit_codes(_mm256_set1_epi32(word(p) >> 16 & 0xFFFF), table_of_codes(0, 16, 32, 48), high);
    __m128i top = _mm_unpacklo_epi32(_mm256_castsi256_si128(high[0]), _mm256_castsi256_si128(high[1]));
    __m128i s = _mm_sub_epi8(_mm_or_si128(low, top), _mm_set1_epi8(32));
    out->scale = _mm256_broadcastsi128_si256(_mm_cvtepi8_epi16(s));
    for (int i = 0; i < 8; i++) out->q[i] = row_iq4(p + 8 + 16 * i);
}

/* ---- and a block of 32 ------------------------------------------------------------------------ */

/* Bit i of the four bytes at p as 16 in byte i. */
INLINE __m256i row_fifth_bits(const uint8_t *p) {
    const __m256i bytes = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3,
                                           3, 3, 3, 3, 3, 3);
    const __m256i which = _mm256_set1_epi64x((long long)0x8040201008040201);
    __m256i v = _mm256_and_si256(_mm256_shuffle_epi8(four_bytes(p), bytes), which);
    return _mm256_and_si256(_mm256_cmpeq_epi8(v, which), _mm256_set1_epi8(16));
}

INLINE __m256i q4_0_row(const uint8_t *p) { return row_nibbles(p + 2); }
INLINE __m256i q4_1_row(const uint8_t *p) { return row_nibbles(p + 4); }
INLINE __m256i q5_0_row(const uint8_t *p) { return _mm256_or_si256(row_nibbles(p + 6), row_fifth_bits(p + 2)); }
INLINE __m256i q5_1_row(const uint8_t *p) { return _mm256_or_si256(row_nibbles(p + 8), row_fifth_bits(p + 4)); }
INLINE __m256i q8_0_row(const uint8_t *p) { return load_32(p + 2); }
INLINE __m256i iq4_nl_row(const uint8_t *p) { return row_iq4(p + 2); }
INLINE __m256i mxfp4_row(const uint8_t *p) { return _mm256_shuffle_epi8(e2m1_table(), row_nibbles(p + 1)); }

/* ---- four rows ------------------------------------------------------------------------------- */

/* Two super-blocks of four rows, at p; of the second ones there are none where `two` is false. */
INLINE __m128 run_256(const uint8_t *const p[8], const activations *a, size_t b, bool two, __m128 acc, const shape s) {
    __m256i product[8], other[8];
    for (size_t i = 0; i < 2; i++) {
        size_t at = b + (two ? i : 0);
        const int8_t *q = a->q + at * 256;
        __m256i sums = load_32((const uint8_t *)(a->sum + at * 16));
        UNROLL for (size_t j = 0; j < STREAMS; j++) {
            row_block block;
            __m256i sum = _mm256_setzero_si256();
            prefetch(p[4 * i + j] + AHEAD, s.bytes);
            s.row_256(p[4 * i + j], &block);
            UNROLL for (size_t k = 0; k < 8; k++) {
                __m256i w = block.q[k], act = load_32((const uint8_t *)q + 32 * k);
                __m256i which = _mm256_set1_epi16((short)(2 * k | (2 * k + 1) << 8));
                if (s.is_signed) act = _mm256_sign_epi8(act, w), w = _mm256_abs_epi8(w);
                __m256i pairs = _mm256_maddubs_epi16(w, act);
                sum = add_scaled_pairs(sum, pairs, _mm256_shuffle_epi8(block.scale, which));
            }
            product[4 * i + j] = sum;
            other[4 * i + j] = s.is_signed ? sum : _mm256_madd_epi16(block.factor, sums);
        }
    }
    __m256 scale = two_floats(a->scale[b], two ? a->scale[b + 1] : 0), none = _mm256_setzero_ps();
    __m256i sum = sum_eight(product), total = s.is_signed ? sum : sum_eight(other);
    if (!s.has_min && !s.is_signed) sum = _mm256_sub_epi32(sum, _mm256_slli_epi32(total, s.offset));
    __m256 d = _mm256_mul_ps(d_of(p, s.at, s), scale);
    __m256 dmin = s.has_min ? _mm256_mul_ps(halves(p, s.at + 2), scale) : none;
    return chain_two(acc, _mm256_cvtepi32_ps(sum), d, _mm256_cvtepi32_ps(total), dmin, two, s.has_min);
}

INLINE __m128 run_32(const uint8_t *const p[8], const activations *a, size_t b, bool two, __m128 acc, const shape s) {
    __m256i product[8];
    for (size_t i = 0; i < 2; i++) {
        __m256i act = load_32((const uint8_t *)a->q + (b + (two ? i : 0)) * 32);
        UNROLL for (size_t j = 0; j < STREAMS; j++) {
            __m256i w = s.row_32(p[4 * i + j]);
            if (i == 0) _mm_prefetch((const char *)p[j] + AHEAD, _MM_HINT_T0);
            product[4 * i + j] =
                s.is_signed ? dot_bytes(_mm256_abs_epi8(w), _mm256_sign_epi8(act, w)) : dot_bytes(w, act);
        }
    }
    const int16_t *at = a->sum + 2 * b;
    __m256i sum = sum_eight(product), sums = two_ints(at[0] + at[1], two ? at[2] + at[3] : 0);
    __m256 scale = two_floats(a->scale[b], two ? a->scale[b + 1] : 0), none = _mm256_setzero_ps();
    if (!s.has_min && !s.is_signed) sum = _mm256_sub_epi32(sum, _mm256_mullo_epi32(sums, _mm256_set1_epi32(s.offset)));
    __m256 d = _mm256_mul_ps(d_of(p, 0, s), scale);
    /* the m of a block of 32 is the negated minimum */
    __m256 dmin = s.has_min ? _mm256_mul_ps(_mm256_xor_ps(halves(p, 2), _mm256_set1_ps(-0.0f)), scale) : none;
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
