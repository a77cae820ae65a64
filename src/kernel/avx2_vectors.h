/*
 * Vectors and attention with 256-bit registers, for the AVX2 and the AVX-VNNI tier: two registers are the sixteen
 * lanes. What compilers make of the generic loops at full speed stays generic.
 */
#ifndef KERNEL_AVX2_VECTORS_H
#define KERNEL_AVX2_VECTORS_H

#include "kernel/avx2_plain.h"

/* ---- exponentials ---------------------------------------------------------------------------- */

/* exp_f32 of eight. */
INLINE __m256 exp_lanes(__m256 x) {
    const __m256 shift = _mm256_set1_ps(0x1.8p23f);
    static const float series[] = {0x1.123ccp-7f, 0x1.555b98p-5f, 0x1.55548ep-3f, 0x1.fffff8p-2f, 1.0f, 1.0f};
    /* the second operand is what comes back where one is NaN */
    __m256 c = _mm256_min_ps(_mm256_set1_ps(89.0f), _mm256_max_ps(_mm256_set1_ps(-104.0f), x));
    __m256 t = _mm256_fmadd_ps(c, _mm256_set1_ps(0x1.715476p0f), shift), n = _mm256_sub_ps(t, shift);
    __m256 r = _mm256_fmadd_ps(n, _mm256_set1_ps(-0x1.62e4p-1f), c);
    r = _mm256_fmadd_ps(n, _mm256_set1_ps(-0x1.7f7d1cp-20f), r);
    __m256 p = _mm256_set1_ps(0x1.6d7752p-10f);
    UNROLL for (size_t i = 0; i < sizeof series / sizeof *series; i++) p =
        _mm256_fmadd_ps(p, r, _mm256_set1_ps(series[i]));
    __m256i k = _mm256_sub_epi32(_mm256_castps_si256(t), _mm256_castps_si256(shift)), half = _mm256_srai_epi32(k, 1);
    const __m256i bias = _mm256_set1_epi32(127);
    __m256i first = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
    __m256i second = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(k, half), bias), 23);
    return _mm256_mul_ps(_mm256_mul_ps(p, _mm256_castsi256_ps(first)), _mm256_castsi256_ps(second));
}

INLINE __m256 silu_lanes(__m256 gate, __m256 up) {
    __m256 e = exp_lanes(_mm256_xor_ps(gate, _mm256_set1_ps(-0.0f)));
    return _mm256_mul_ps(_mm256_div_ps(gate, _mm256_add_ps(_mm256_set1_ps(1.0f), e)), up);
}

static void silu_mul(const float *gate, const float *up, size_t n, float *y) {
    size_t i = 0;
    for (; i + HALF <= n; i += HALF)
        _mm256_storeu_ps(y + i, silu_lanes(_mm256_loadu_ps(gate + i), _mm256_loadu_ps(up + i)));
    if (i == n) return;
    __m256i rest = first_lanes(n - i);
    __m256 v = silu_lanes(_mm256_maskload_ps(gate + i, rest), _mm256_maskload_ps(up + i, rest));
    _mm256_maskstore_ps(y + i, rest, v);
}

static void activate(activation_kind kind, const float *xielu_numbers, const float *gate, const float *up, size_t n,
                     float *y) {
    if (kind == ACT_SILU && up) {
        silu_mul(gate, up, n, y);
    } else {
        g_activate(kind, xielu_numbers, gate, up, n, y);
    }
}

/* ---- activations ----------------------------------------------------------------------------- */

INLINE __m256i magnitude(const float *x) {
    return _mm256_and_si256(_mm256_loadu_si256((const void *)x), _mm256_set1_epi32(0x7FFFFFFF));
}

/* The largest magnitude of n values, by its bits; n a multiple of 32. */
INLINE uint32_t max_bits_lanes(const float *x, size_t n) {
    __m256i max[4];
    for (size_t j = 0; j < 4; j++) max[j] = magnitude(x + j * HALF);
    for (size_t i = 32; i < n; i += 32) {
        for (size_t j = 0; j < 4; j++) max[j] = _mm256_max_epi32(max[j], magnitude(x + i + j * HALF));
    }
    max[0] = _mm256_max_epi32(_mm256_max_epi32(max[0], max[1]), _mm256_max_epi32(max[2], max[3]));
    __m128i m = _mm_max_epi32(_mm256_castsi256_si128(max[0]), _mm256_extracti128_si256(max[0], 1));
    m = _mm_max_epi32(m, _mm_shuffle_epi32(m, 0x4E));
    return (uint32_t)_mm_cvtsi128_si32(_mm_max_epi32(m, _mm_shuffle_epi32(m, 0xB1)));
}

/* 32 values times `inverse`, rounded to nearest even. */
INLINE __m256i quantize_32(const float *x, __m256 inverse) {
    const __m256i in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    __m256i v[4];
    for (size_t j = 0; j < 4; j++) v[j] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + j * HALF), inverse));
    __m256i bytes = _mm256_packs_epi16(_mm256_packs_epi32(v[0], v[1]), _mm256_packs_epi32(v[2], v[3]));
    return _mm256_permutevar8x32_epi32(bytes, in_order);
}

/* The two sums of sixteen of 32 int8. */
INLINE int two_sums(__m256i q) {
    __m256i s = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), q), _mm256_set1_epi16(1));
    s = _mm256_add_epi32(s, _mm256_shuffle_epi32(s, 0x4E));
    s = _mm256_add_epi32(s, _mm256_shuffle_epi32(s, 0xB1));
    return (_mm256_extract_epi32(s, 0) & 0xFFFF) | (int)((unsigned)_mm256_extract_epi32(s, 4) << 16);
}

static bool quantize(const float *x, size_t n, size_t block, size_t stride, int8_t *q, float *scale, int16_t *sum) {
    const size_t n_sums = block / ACTIVATION_SUB;
    for (size_t b = 0; b < n; b += block, x += block, q += stride * block, scale += stride, sum += stride * n_sums) {
        uint32_t bits = max_bits_lanes(x, block);
        if (bits >= infinity_bits) return false;
        float amax = f32_from_bits(bits);
        bool zero = amax < 1e-30f;
        __m256 inverse = _mm256_set1_ps(zero ? 0.0f : 127.0f / amax);
        *scale = zero ? 0.0f : amax / 127.0f;
        for (size_t i = 0; i < block; i += 32) {
            __m256i v = quantize_32(x + i, inverse);
            int sums = two_sums(v);
            _mm256_storeu_si256((void *)(q + i), v);
            memcpy(sum + i / ACTIVATION_SUB, &sums, sizeof sums);
        }
    }
    return true;
}

/* ---- rows of the cache ----------------------------------------------------------------------- */

/* A NaN loses what it carries, but for its sign, as f32_to_f16's does. */
INLINE __m128i to_f16(__m256 x) {
    __m256 nan = _mm256_or_ps(_mm256_and_ps(x, _mm256_set1_ps(-0.0f)), _mm256_set1_ps(NAN));
    x = _mm256_blendv_ps(x, nan, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    return _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT);
}

static void store_row(quant_type type, const float *x, size_t n, uint8_t *row) {
    size_t whole = type == QUANT_F16 ? n / HALF * HALF : 0;
    for (size_t i = 0; i < whole; i += HALF) _mm_storeu_si128((void *)(row + 2 * i), to_f16(_mm256_loadu_ps(x + i)));
    g_store(type, x + whole, n - whole, row + 2 * whole);
}

/* Values [at, at + 8) of a row of the cache, at a multiple of 8. */
typedef __m256 load_cache_fn(const uint8_t *row, size_t at);

INLINE __m256 cache_f32(const uint8_t *row, size_t at) { return load_f32(row + 4 * at); }
INLINE __m256 cache_f16(const uint8_t *row, size_t at) { return load_f16(row + 2 * at); }
INLINE __m256 cache_bf16(const uint8_t *row, size_t at) { return load_bf16(row + 2 * at); }
INLINE __m256 cache_q8_0(const uint8_t *row, size_t at) {
    const uint8_t *block = row + at / 32 * 34;
    __m256i q = _mm256_cvtepi8_epi32(_mm_loadl_epi64((const void *)(block + 2 + at % 32)));
    uint16_t d;
    memcpy(&d, block, sizeof d);
    return _mm256_mul_ps(_mm256_set1_ps(_cvtsh_ss(d)), _mm256_cvtepi32_ps(q));
}

/* The same at the end of a row of n plain numbers of `bytes`: zeros follow. */
INLINE __m256 cache_end(const uint8_t *row, size_t at, size_t n, size_t bytes, load_cache_fn *load) {
    uint8_t last[HALF * sizeof(float)] = {0};
    if (at >= n) return _mm256_setzero_ps();
    if (n - at >= HALF) return load(row, at);
    memcpy(last, row + at * bytes, (n - at) * bytes);
    return load(last, 0);
}

INLINE __m256 floats_end(const float *x, size_t at, size_t n) {
    return at < n ? _mm256_maskload_ps(x + at, first_lanes(n - at)) : _mm256_setzero_ps();
}

/* ---- attention ------------------------------------------------------------------------------- */

/* Lane i of the result is the tree over v[i], whose upper half is added to the lower already. */
INLINE __m256 sum_trees(const __m256 v[8]) {
    __m256 b[4], c[2];
    for (int i = 0; i < 4; i++) { /* 8 to 4: of vectors i and i + 4 */
        __m256 low = _mm256_permute2f128_ps(v[i], v[i + 4], 0x20), high = _mm256_permute2f128_ps(v[i], v[i + 4], 0x31);
        b[i] = _mm256_add_ps(low, high);
    }
    for (int i = 0; i < 2; i++) { /* 4 to 2 */
        __m256 x = b[2 * i], y = b[2 * i + 1];
        c[i] = _mm256_add_ps(_mm256_shuffle_ps(x, y, 0x44), _mm256_shuffle_ps(x, y, 0xEE));
    }
    return _mm256_add_ps(_mm256_shuffle_ps(c[0], c[1], 0x88), _mm256_shuffle_ps(c[0], c[1], 0xDD));
}

/* q k[i] for eight positions from k on, of which n exist. Lanes 0 to 7 of all of them come first, then 8 to 15, since
 * sixteen sums are more than there are registers. */
INLINE __m256 score_lanes(const uint8_t *k, size_t row_bytes, size_t n, const float *q, size_t n_k, size_t bytes,
                          load_cache_fn *load) {
    const uint8_t *row[8];
    __m256 sum[2][8];
    for (size_t i = 0; i < 8; i++) row[i] = k + (i < n ? i : 0) * row_bytes;
    for (size_t h = 0; h < 2; h++) {
        size_t at = h * HALF;
        for (size_t i = 0; i < 8; i++) sum[h][i] = _mm256_setzero_ps();
        for (; at + HALF <= n_k; at += LANES) {
            __m256 x = _mm256_loadu_ps(q + at);
            for (size_t i = 0; i < 8; i++) sum[h][i] = _mm256_fmadd_ps(x, load(row[i], at), sum[h][i]);
        }
        if (at >= n_k) continue;
        __m256 x = floats_end(q, at, n_k);
        for (size_t i = 0; i < 8; i++)
            sum[h][i] = _mm256_fmadd_ps(x, cache_end(row[i], at, n_k, bytes, load), sum[h][i]);
    }
    for (size_t i = 0; i < 8; i++) sum[0][i] = _mm256_add_ps(sum[0][i], sum[1][i]);
    return sum_trees(sum[0]);
}

/* out[0..n_v) = sum over n rows of weight[j] v[j], in rising order; 64 values at a time, whose sums stay in
 * registers. */
INLINE void weigh_values(const uint8_t *v, size_t row_bytes, const float *weight, size_t n, size_t n_v, float *out,
                         size_t bytes, load_cache_fn *load) {
    enum { WIDE = 8 };
    size_t at = 0;
    for (; at + WIDE * HALF <= n_v; at += WIDE * HALF) {
        __m256 sum[WIDE];
        for (size_t i = 0; i < WIDE; i++) sum[i] = _mm256_setzero_ps();
        for (size_t j = 0; j < n; j++) {
            __m256 w = _mm256_broadcast_ss(weight + j);
            for (size_t i = 0; i < WIDE; i++)
                sum[i] = _mm256_fmadd_ps(w, load(v + j * row_bytes, at + i * HALF), sum[i]);
        }
        for (size_t i = 0; i < WIDE; i++) _mm256_storeu_ps(out + at + i * HALF, sum[i]);
    }
    for (; at < n_v; at += HALF) {
        __m256 sum = _mm256_setzero_ps();
        for (size_t j = 0; j < n; j++) {
            __m256 x = cache_end(v + j * row_bytes, at, n_v, bytes, load);
            sum = _mm256_fmadd_ps(_mm256_broadcast_ss(weight + j), x, sum);
        }
        store_rows(out + at, sum, n_v - at);
    }
}

typedef void score_fn(const attention_span *s, const float *q, size_t position, size_t n, float *scores);
typedef void weigh_fn(const attention_span *s, const float *weight, size_t position, size_t n, float *out);

/* By type of the cache: n scores (room for whole eights), and values, from a position on. */
#define CACHE_SLOTS(type, quant, bytes)                                                                                \
    static void score_##type(const attention_span *s, const float *q, size_t position, size_t n, float *scores) {      \
        size_t row_bytes = quant_row_bytes(quant, s->n_k);                                                             \
        for (size_t j = 0; j < n; j += HALF) {                                                                         \
            const uint8_t *k = s->k + (position + j) * row_bytes;                                                      \
            __m256 x = score_lanes(k, row_bytes, n - j, q, s->n_k, bytes, cache_##type);                               \
            _mm256_store_ps(scores + j, x);                                                                            \
        }                                                                                                              \
    }                                                                                                                  \
    static void weigh_##type(const attention_span *s, const float *weight, size_t position, size_t n, float *out) {    \
        size_t row_bytes = quant_row_bytes(quant, s->n_v);                                                             \
        weigh_values(s->v + position * row_bytes, row_bytes, weight, n, s->n_v, out, bytes, cache_##type);             \
    }

CACHE_SLOTS(f32, QUANT_F32, 4)
CACHE_SLOTS(f16, QUANT_F16, 2)
CACHE_SLOTS(bf16, QUANT_BF16, 2)
CACHE_SLOTS(q8_0, QUANT_Q8_0, 0)

static score_fn *const scores_of[QUANT_TYPE_COUNT] =
    {[QUANT_F32] = score_f32, [QUANT_F16] = score_f16, [QUANT_BF16] = score_bf16, [QUANT_Q8_0] = score_q8_0};
static weigh_fn *const values_of[QUANT_TYPE_COUNT] =
    {[QUANT_F32] = weigh_f32, [QUANT_F16] = weigh_f16, [QUANT_BF16] = weigh_bf16, [QUANT_Q8_0] = weigh_q8_0};

/* All bits set in the lanes of the positions j to j + 7 that lie in [from, to). */
INLINE __m256 span_mask(size_t j, size_t from, size_t to) {
    __m256i at = _mm256_add_epi32(_mm256_set1_epi32((int)j), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    __m256i below = _mm256_cmpgt_epi32(_mm256_set1_epi32((int)from), at);
    return _mm256_castsi256_ps(_mm256_andnot_si256(below, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)to), at)));
}

INLINE float max_lane(__m256 v) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

/* One chunk, as the generic kernel's: largest score, sum of the weights, weighted sum of the values. */
INLINE void attend_lanes(const attention_span *s, const attention_query *q, uint32_t begin, uint32_t end, float *part) {
    float p[ATTENTION_CHUNK] __attribute__((aligned(32)));
    size_t origin = begin / ATTENTION_CHUNK * ATTENTION_CHUNK, from = begin - origin, to = end - origin;
    size_t first = from / LANES * LANES; /* whole groups of lanes, by absolute position */
    __m256 m = _mm256_set1_ps(-INFINITY), sum[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    scores_of[s->k_type](s, q->q, origin + first, to - first, p + first);
    finish_scores(s, q, (uint32_t)(origin + first), (to - first + HALF - 1) / HALF * HALF, p + first);
    for (size_t j = first; j < to; j += HALF) { /* a NaN gives way; it comes back as a weight */
        m = _mm256_blendv_ps(m, _mm256_max_ps(_mm256_load_ps(p + j), m), span_mask(j, from, to));
    }
    float max = max_lane(m);
    for (size_t j = first; j < to; j += HALF) {
        __m256 e = exp_lanes(_mm256_sub_ps(_mm256_load_ps(p + j), _mm256_set1_ps(max)));
        _mm256_store_ps(p + j, e);
        __m256 *lanes = &sum[j / HALF % 2];
        *lanes = _mm256_blendv_ps(*lanes, _mm256_add_ps(*lanes, e), span_mask(j, from, to));
    }
    values_of[s->v_type](s, p + from, begin, end - begin, part);
    part[s->n_v] = max;
    part[s->n_v + 1] = sum_tree(sum[0], sum[1]);
}

static void attend(const attention_span *s, const attention_query *q, size_t n, uint32_t chunk, float *parts,
                   float *scratch) {
    (void)scratch;
    attend_each(s, q, n, chunk, parts, attend_lanes);
}

#define VECTOR_SLOT_TABLE                                                                                              \
    GENERIC_VECTORS, .quantize = quantize, .activate = activate, .store = store_row, .attend_chunk = attend

#endif
