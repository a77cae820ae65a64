/* Activations and rows of the cache on AVX-512, where compilers make little of the generic loops. */
#include "kernel/avx512.h"
#include "kernel/generic.h"

#define UNROLL _Pragma("GCC unroll 16")

/* Sixteen values times `inverse`, to nearest even, as int8. */
INLINE __m128i quantize_16(const float *x, __m512 inverse) {
    __m512 v = _mm512_mul_ps(_mm512_loadu_ps(x), inverse);
    return _mm512_cvtepi32_epi8(_mm512_cvt_roundps_epi32(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

/* The sum of sixteen int8 in each word of its 128 bits. */
INLINE __m512i sums_of_16(__m512i q) {
    __m512i s = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_set1_epi8(1), q);
    s = _mm512_add_epi32(s, _mm512_shuffle_epi32(s, 0x4E));
    return _mm512_add_epi32(s, _mm512_shuffle_epi32(s, 0xB1));
}

INLINE void quantize_256(const float *x, __m512 inverse, int8_t *q, int16_t *sum) {
    const __m512i in_order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512i s[4];
    UNROLL for (size_t i = 0; i < 4; i++) {
        __m512i v = _mm512_castsi128_si512(quantize_16(x + 64 * i, inverse));
        v = _mm512_inserti32x4(v, quantize_16(x + 64 * i + 16, inverse), 1);
        v = _mm512_inserti32x4(v, quantize_16(x + 64 * i + 32, inverse), 2);
        v = _mm512_inserti32x4(v, quantize_16(x + 64 * i + 48, inverse), 3);
        _mm512_storeu_si512(q + 64 * i, v);
        s[i] = sums_of_16(v);
    }
    __m512i low = _mm512_mask_mov_epi32(s[0], 0x2222, s[1]), high = _mm512_mask_mov_epi32(s[2], 0x8888, s[3]);
    __m512i all = _mm512_permutexvar_epi32(in_order, _mm512_mask_mov_epi32(low, 0xCCCC, high));
    _mm256_storeu_si256((void *)sum, _mm512_cvtepi32_epi16(all));
}

INLINE void quantize_32(const float *x, __m512 inverse, int8_t *q, int16_t *sum) {
    __m256i v = _mm256_set_m128i(quantize_16(x + 16, inverse), quantize_16(x, inverse));
    _mm256_storeu_si256((void *)q, v);
    __m512i s = sums_of_16(_mm512_castsi256_si512(v));
    sum[0] = (int16_t)_mm_cvtsi128_si32(_mm512_castsi512_si128(s));
    sum[1] = (int16_t)_mm_cvtsi128_si32(_mm512_extracti32x4_epi32(s, 1));
}

bool avx512_quantize(const float *x, size_t n, size_t block, size_t stride, int8_t *q, float *scale, int16_t *sum) {
    const size_t n_sums = block / ACTIVATION_SUB;
    for (size_t b = 0; b < n; b += block, x += block, q += stride * block, scale += stride, sum += stride * n_sums) {
        __m512i max[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
        for (size_t i = 0; i < block; i += 2 * LANES) {
            UNROLL for (size_t j = 0; j < 2; j++) {
                __m512i v = _mm512_loadu_si512(x + i + j * LANES);
                max[j] = _mm512_max_epi32(max[j], _mm512_and_si512(v, _mm512_set1_epi32(0x7FFFFFFF)));
            }
        }
        uint32_t bits = (uint32_t)_mm512_reduce_max_epi32(_mm512_max_epi32(max[0], max[1]));
        if (bits >= infinity_bits) return false;
        float amax = f32_from_bits(bits);
        bool zero = amax < 1e-30f;
        __m512 inverse = _mm512_set1_ps(zero ? 0.0f : 127.0f / amax);
        *scale = zero ? 0.0f : amax / 127.0f;
        if (block == 256) {
            quantize_256(x, inverse, q, sum);
        } else {
            for (size_t i = 0; i < block; i += 32) quantize_32(x + i, inverse, q + i, sum + i / ACTIVATION_SUB);
        }
    }
    return true;
}

/* A NaN loses what it carries, but for its sign, as f32_to_f16's does. */
INLINE __m256i to_f16(__m512 x) {
    __m512 nan = _mm512_or_ps(_mm512_and_ps(x, _mm512_set1_ps(-0.0f)), _mm512_set1_ps(NAN));
    x = _mm512_mask_mov_ps(x, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), nan);
    return _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

void avx512_store(quant_type type, const float *x, size_t n, uint8_t *row) {
    size_t whole = type == QUANT_F16 ? n / LANES * LANES : 0;
    for (size_t i = 0; i < whole; i += LANES)
        _mm256_storeu_si256((void *)(row + 2 * i), to_f16(_mm512_loadu_ps(x + i)));
    g_store(type, x + whole, n - whole, row + 2 * whole);
}
