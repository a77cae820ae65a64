/*
 * AVX2 (with FMA and F16C). vpmaddubsw forms sums of two products in int16, which it saturates, so each type says how
 * many such sums an int16 holds (`fit`); then scales multiply them, and sums go on in int32. Where weights fill a byte,
 * as those of Q8_0 and IQ4, their magnitudes meet activations that take over their signs.
 */
#include "kernel/avx2_step.h"
#include "kernel/avx2_vectors.h"

enum { TILE = 4, BY_SIGN = true };

/* Twice, one for each of the two sums of a lane. */
INLINE __m256i scale_form(__m256i bytes, int k) { return two_bytes(bytes, k, k); }

/* *sum += v, as int16 or as int32. Written out, since compilers would rather form all products first, and run out of
 * registers for them. */
INLINE void add_words(__m256i *sum, __m256i v) { __asm__("vpaddw %1, %0, %0" : "+x"(*sum) : "x"(v)); }
INLINE void add_doublewords(__m256i *sum, __m256i v) { __asm__("vpaddd %1, %0, %0" : "+x"(*sum) : "x"(v)); }

/* Four inputs of all vectors against n tokens. */
INLINE void tile_four(const uint8_t w[VECTORS][ROWS][4], const int8_t *q, size_t q_stride, size_t n, bool first,
                      __m256i pairs[TILE][VECTORS]) {
    __m256i v[VECTORS];
    for (size_t i = 0; i < VECTORS; i++) v[i] = _mm256_load_si256((const void *)w[i]);
    for (size_t t = 0; t < n; t++) {
        __m256i act = four_bytes(q + t * q_stride);
        for (size_t i = 0; i < VECTORS; i++) {
            if (first) {
                pairs[t][i] = _mm256_maddubs_epi16(v[i], act);
            } else {
                add_words(&pairs[t][i], _mm256_maddubs_epi16(v[i], act));
            }
        }
    }
}

/* Adds up, in int16, the products of `count` (even) times four inputs from k on. */
INLINE void tile_pairs(const panel *p, size_t k, size_t count, const int8_t *q, size_t q_stride, size_t n,
                       __m256i pairs[TILE][VECTORS]) {
    const uint8_t(*w)[VECTORS][ROWS][4] = p->q + k / 4;
    tile_four(w[0], q, q_stride, n, true, pairs);
    UNROLL for (size_t i = 1; i < count; i++) tile_four(w[i], q + 4 * i, q_stride, n, false, pairs);
}

/* total goes on with factor times the products of `count` times four inputs, of weights that are there by_sign. */
INLINE void tile_signed(const panel *p, size_t k, size_t count, const int8_t *q, size_t q_stride, size_t n,
                        __m256i factor, __m256i total[TILE]) {
    UNROLL for (size_t i = 0; i < count; i++) {
        const __m256i *at = (const void *)p->q[k / 4 + i];
        __m256i magnitude = _mm256_load_si256(at), w = _mm256_load_si256(at + 1);
        for (size_t t = 0; t < n; t++) {
            __m256i act = _mm256_sign_epi8(four_bytes(q + t * q_stride + 4 * i), w);
            add_doublewords(&total[t], _mm256_madd_epi16(_mm256_maddubs_epi16(magnitude, act), factor));
        }
    }
}

INLINE void signed_256(const panel *p, size_t at, const int8_t *q, const float *scale, size_t n,
                       __m256 acc[MAX_TILE][VECTORS], const shape s) {
    __m256i total[TILE];
    for (size_t t = 0; t < n; t++) total[t] = _mm256_setzero_si256();
    for (size_t k = 0; k < 256; k += s.sub)
        tile_signed(p, at * 256 + k, s.sub / 4, q + k, 256, n, p->scale[(at * 256 + k) / s.sub][0], total);
    for (size_t t = 0; t < n; t++) {
        chain_256(&acc[t][0], _mm256_cvtepi32_ps(total[t]), _mm256_setzero_ps(), p, at, 0, scale[t], false);
    }
}

INLINE void tile_256(const panel *p, size_t at, const int8_t *q, const int16_t *sum, const float *scale, size_t n,
                     __m256 acc[MAX_TILE][VECTORS], const shape s) {
    __m256i total[TILE][VECTORS], other[TILE][VECTORS];
    int16_t sums[TILE][16];
    const size_t count = s.fit < s.sub / 4 ? s.fit : s.sub / 4, n_pairs = 128 / s.sub;
    if (s.by_sign) {
        signed_256(p, at, q, scale, n, acc, s);
        return;
    }
    for (size_t t = 0; t < n; t++) {
        sums_of_subs(sum + t * 16, s.sub, sums[t]);
        for (size_t v = 0; v < VECTORS; v++) other[t][v] = _mm256_setzero_si256();
    }
    for (size_t i = 0; i < n_pairs; i++) {
        for (size_t t = 0; t < n; t++) {
            __m256i two = four_bytes(sums[t] + 2 * i);
            for (size_t v = 0; v < VECTORS; v++)
                other[t][v] = _mm256_add_epi32(other[t][v], _mm256_madd_epi16(p->factor[at * 8 + i][v], two));
        }
    }
    for (size_t t = 0; t < n; t++) {
        for (size_t v = 0; v < VECTORS; v++) {
            total[t][v] = _mm256_setzero_si256();
            if (!s.has_min) total[t][v] = _mm256_sub_epi32(total[t][v], other[t][v]);
        }
    }
    for (size_t k = 0; k < 256; k += 4 * count) {
        __m256i pairs[TILE][VECTORS];
        tile_pairs(p, at * 256 + k, count, q + k, 256, n, pairs);
        for (size_t v = 0; v < VECTORS; v++) {
            __m256i factor = p->scale[(at * 256 + k) / s.sub][v];
            for (size_t t = 0; t < n; t++)
                total[t][v] = _mm256_add_epi32(total[t][v], _mm256_madd_epi16(pairs[t][v], factor));
        }
    }
    for (size_t t = 0; t < n; t++) {
        for (size_t v = 0; v < VECTORS; v++) {
            chain_256(&acc[t][v], _mm256_cvtepi32_ps(total[t][v]), _mm256_cvtepi32_ps(other[t][v]), p, at, v, scale[t],
                      s.has_min);
        }
    }
}

INLINE void signed_32(const panel *p, size_t at, const int8_t *q, const int16_t *sum, const float *scale, size_t n,
                      __m256 acc[MAX_TILE][VECTORS]) {
    __m256i total[TILE];
    for (size_t t = 0; t < n; t++) total[t] = _mm256_setzero_si256();
    tile_signed(p, at * 32, 8, q, 32, n, _mm256_set1_epi16(1), total);
    for (size_t t = 0; t < n; t++) {
        chain_32(&acc[t][0], _mm256_cvtepi32_ps(total[t]), four_bytes(sum + 2 * t), p, at, 0, scale[t], false);
    }
}

INLINE void tile_32(const panel *p, size_t at, const int8_t *q, const int16_t *sum, const float *scale, size_t n,
                    __m256 acc[MAX_TILE][VECTORS], const shape s) {
    const __m256i one = _mm256_set1_epi16(1);
    __m256i total[TILE][VECTORS];
    if (s.by_sign) {
        signed_32(p, at, q, sum, scale, n, acc);
        return;
    }
    for (size_t k = 0; k < 32; k += 4 * s.fit) {
        __m256i pairs[TILE][VECTORS];
        tile_pairs(p, at * 32 + k, s.fit, q + k, 32, n, pairs);
        for (size_t t = 0; t < n; t++) {
            for (size_t v = 0; v < VECTORS; v++) {
                __m256i m = _mm256_madd_epi16(pairs[t][v], one);
                total[t][v] = k == 0 ? m : _mm256_add_epi32(total[t][v], m);
            }
        }
    }
    for (size_t t = 0; t < n; t++) {
        __m256i two = four_bytes(sum + 2 * t), off = _mm256_madd_epi16(two, _mm256_set1_epi16((short)s.offset));
        for (size_t v = 0; v < VECTORS; v++) {
            if (!s.has_min) total[t][v] = _mm256_sub_epi32(total[t][v], off);
            chain_32(&acc[t][v], _mm256_cvtepi32_ps(total[t][v]), two, p, at, v, scale[t], s.has_min);
        }
    }
}

/* A block of two sub-blocks with a d of their own. */
INLINE void tile_16(const panel *p, size_t at, const int8_t *q, const int16_t *sum, const float *scale, size_t n,
                    __m256 acc[MAX_TILE][VECTORS], const shape s) {
    const __m256i one = _mm256_set1_epi16(1);
    for (size_t i = 0; i < 2; i++) {
        __m256i pairs[TILE][VECTORS];
        tile_pairs(p, at * 32 + 16 * i, s.fit, q + 16 * i, 32, n, pairs);
        for (size_t t = 0; t < n; t++) {
            __m256i off = _mm256_set1_epi32(s.offset * sum[2 * t + i]);
            for (size_t v = 0; v < VECTORS; v++) {
                __m256i total = _mm256_sub_epi32(_mm256_madd_epi16(pairs[t][v], one), off);
                chain_32(&acc[t][v], _mm256_cvtepi32_ps(total), off, p, 2 * at + i, v, scale[t], false);
            }
        }
    }
}

/*                block sub */
KIND(nibbles_32, 32, 32, .fit = 8)
KIND(nibbles_32_min, 32, 32, .fit = 8, .has_min = true)
KIND(fives_32, 32, 32, .fit = 4)
KIND(fives_32_min, 32, 32, .fit = 4, .has_min = true)
KIND(bytes_32, 32, 32, .by_sign = true)
KIND(parts_16, 32, 16, .fit = 4)
KIND(q2_k_kind, 256, 16, .fit = 4, .has_min = true)
KIND(q4_k_kind, 256, 32, .fit = 8, .has_min = true)
KIND(q5_k_kind, 256, 32, .fit = 4, .has_min = true)
KIND(q6_k_kind, 256, 16, .fit = 2)
KIND(iq4_xs_kind, 256, 32, .by_sign = true)
KIND(wide_32, 256, 32, .fit = 1)
KIND(wide_16, 256, 16, .fit = 1)
KIND(narrow_32, 256, 32, .fit = 4)
KIND(narrow_16, 256, 16, .fit = 4)

BLOCK_SLOTS
IQ_SLOTS
PLAIN_SLOTS

const kernels kernels_avx2 = {
    .name = "avx2",
    .matmul_any = g_matmul_any,
    .matmul = {BLOCK_SLOT_TABLE, IQ_SLOT_TABLE, PLAIN_SLOT_TABLE},
    VECTOR_SLOT_TABLE,
};
