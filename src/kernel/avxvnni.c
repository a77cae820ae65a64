/*
 * AVX-VNNI (with AVX2, FMA and F16C): vpdpbusd multiplies bytes and adds them up in int32, four to a lane.
 * The sum of a sub-block meets its scale as a float32, in one fused multiply-add that is exact as long as sums stay
 * below 2^24; each type says for how many sub-blocks that holds (`exact`). Offsets are part of where a sum starts.
 */
#include "kernel/avx2_step.h"
#include "kernel/avx2_vectors.h"

enum { TILE = MAX_TILE, BY_SIGN = false };

INLINE __m256i scale_form(__m256i bytes, int k) {
    return _mm256_castps_si256(_mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(bytes, 24 - 8 * k), 24)));
}

/* sum[v] += four products a lane of w[v] with the four bytes at p. */
INLINE void add_products(__m256i sum[VECTORS], const __m256i w[VECTORS], const int8_t *p) {
    __m256i act;
    __asm__("vpbroadcastd %3, %2\n\t"
            "%{vex%} vpdpbusd %2, %4, %0\n\t"
            "%{vex%} vpdpbusd %2, %5, %1"
            : "+x"(sum[0]), "+x"(sum[1]), "=&x"(act)
            : "m"(*(const int32_t(*)[1])(const void *)p), "x"(w[0]), "x"(w[1]));
}

/* The same for sixteen inputs and a whole tile of tokens, whose inputs are `stride` apart: weights in ymm13 and ymm14,
 * activations in ymm15. Compilers move the twelve sums about between smaller pieces. */
INLINE void add_tile_16(__m256i sum[TILE][VECTORS], const uint8_t (*w)[VECTORS][ROWS][4], const int8_t *q,
                        size_t stride) {
#define TOKEN(i, at, a, b)                                                                                             \
    "vpbroadcastd 4*" #i "(" at "), %%ymm15\n\t"                                                                       \
    "%{vex%} vpdpbusd %%ymm15, %%ymm13, %" #a "\n\t%{vex%} vpdpbusd %%ymm15, %%ymm14, %" #b "\n\t"
#define FOUR_INPUTS(i)                                                                                                 \
    "vmovdqa 64*" #i "(%[w]), %%ymm13\n\tvmovdqa 64*" #i "+32(%[w]), %%ymm14\n\t" TOKEN(i, "%[q]", 0, 1)               \
        TOKEN(i, "%[q],%[stride]", 2, 3) TOKEN(i, "%[q],%[stride],2", 4, 5) TOKEN(i, "%[r]", 6, 7)                     \
            TOKEN(i, "%[r],%[stride]", 8, 9) TOKEN(i, "%[r],%[stride],2", 10, 11)
    __asm__(FOUR_INPUTS(0) FOUR_INPUTS(1) FOUR_INPUTS(2) FOUR_INPUTS(3)
            : "+x"(sum[0][0]), "+x"(sum[0][1]), "+x"(sum[1][0]), "+x"(sum[1][1]), "+x"(sum[2][0]), "+x"(sum[2][1]),
              "+x"(sum[3][0]), "+x"(sum[3][1]), "+x"(sum[4][0]), "+x"(sum[4][1]), "+x"(sum[5][0]), "+x"(sum[5][1])
            : [w] "r"(w), [q] "r"(q), [r] "r"(q + 3 * stride), [stride] "r"(stride),
              "m"(*(const uint8_t(*)[4][VECTORS][ROWS][4])w), "m"(*(const int8_t(*)[TILE * QUANT_MAX_BLOCK]) q)
            : "xmm13", "xmm14", "xmm15");
#undef TOKEN
#undef FOUR_INPUTS
}

/* sum[t] goes on by the products of `count` inputs. */
INLINE void tile_products(const uint8_t (*w)[VECTORS][ROWS][4], size_t count, const int8_t *q, size_t stride, size_t n,
                          __m256i sum[TILE][VECTORS]) {
    if (n == TILE) {
        UNROLL for (size_t i = 0; i < count; i += 16) add_tile_16(sum, w + i / 4, q + i, stride);
        return;
    }
    UNROLL for (size_t i = 0; i < count; i += 4) {
        __m256i weights[VECTORS];
        for (size_t v = 0; v < VECTORS; v++) weights[v] = _mm256_load_si256((const void *)w[i / 4][v]);
        for (size_t t = 0; t < n; t++) add_products(sum[t], weights, q + t * stride + i);
    }
}

/* Where the sums of a block's n sub-blocks start: at minus their offset. */
INLINE void starts_of_subs(const int16_t *sum, size_t n, int log_offset, int32_t out[16]) {
    for (size_t i = 0; i < n; i += 8) {
        __m256i v = _mm256_cvtepi16_epi32(_mm_loadu_si128((const void *)(sum + i)));
        v = _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_slli_epi32(v, log_offset));
        _mm256_storeu_si256((void *)(out + i), v);
    }
}

/* total = sum of scale x products over the sub-blocks from `first` on that a float32 holds exactly. */
INLINE void tile_exact(const panel *p, size_t at, const int8_t *q, size_t first, int32_t start[TILE][16], size_t n,
                       __m256 total[TILE][VECTORS], const shape s) {
    for (size_t t = 0; t < n; t++) {
        for (size_t v = 0; v < VECTORS; v++) total[t][v] = _mm256_setzero_ps();
    }
    for (size_t i = first; i < first + s.exact; i++) {
        __m256i sum[TILE][VECTORS];
        for (size_t t = 0; t < n; t++) {
            for (size_t v = 0; v < VECTORS; v++)
                sum[t][v] = s.has_min ? _mm256_setzero_si256() : _mm256_set1_epi32(start[t][i]);
        }
        tile_products(p->q + (at * 256 + i * s.sub) / 4, s.sub, q + i * s.sub, 256, n, sum);
        for (size_t v = 0; v < VECTORS; v++) {
            __m256 factor = _mm256_castsi256_ps(p->scale[at * (256 / s.sub) + i][v]);
            for (size_t t = 0; t < n; t++) {
                total[t][v] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[t][v]), factor, total[t][v]);
            }
        }
    }
}

INLINE void tile_256(const panel *p, size_t at, const int8_t *q, const int16_t *sum, const float *scale, size_t n,
                     __m256 acc[MAX_TILE][VECTORS], const shape s) {
    const size_t n_subs = 256 / s.sub;
    __m256 product[TILE][VECTORS];
    __m256i minimum[TILE][VECTORS];
    int32_t start[TILE][16];
    int16_t sums[TILE][16];
    for (size_t t = 0; t < n; t++) {
        sums_of_subs(sum + t * 16, s.sub, sums[t]);
        if (!s.has_min) starts_of_subs(sums[t], n_subs, s.offset, start[t]);
    }
    if (n_subs / s.exact <= 2) { /* the sum of two exact halves rounds as the integer's conversion would */
        tile_exact(p, at, q, 0, start, n, product, s);
        if (s.exact < n_subs) {
            __m256 upper[TILE][VECTORS];
            tile_exact(p, at, q, s.exact, start, n, upper, s);
            for (size_t t = 0; t < n; t++) {
                for (size_t v = 0; v < VECTORS; v++) product[t][v] = _mm256_add_ps(product[t][v], upper[t][v]);
            }
        }
    } else {
        __m256i total[TILE][VECTORS];
        for (size_t t = 0; t < n; t++) {
            for (size_t v = 0; v < VECTORS; v++) total[t][v] = _mm256_setzero_si256();
        }
        for (size_t i = 0; i < n_subs; i += s.exact) {
            tile_exact(p, at, q, i, start, n, product, s);
            for (size_t t = 0; t < n; t++) {
                for (size_t v = 0; v < VECTORS; v++) {
                    total[t][v] = _mm256_add_epi32(total[t][v], _mm256_cvtps_epi32(product[t][v]));
                }
            }
        }
        for (size_t t = 0; t < n; t++) {
            for (size_t v = 0; v < VECTORS; v++) product[t][v] = _mm256_cvtepi32_ps(total[t][v]);
        }
    }
    for (size_t t = 0; t < n; t++) {
        for (size_t v = 0; v < VECTORS; v++) minimum[t][v] = _mm256_setzero_si256();
    }
    for (size_t i = 0; s.has_min && i < n_subs / 2; i++) {
        for (size_t t = 0; t < n; t++) {
            __m256i two = four_bytes(sums[t] + 2 * i);
            for (size_t v = 0; v < VECTORS; v++)
                minimum[t][v] = _mm256_dpwssd_avx_epi32(minimum[t][v], p->factor[at * 8 + i][v], two);
        }
    }
    for (size_t t = 0; t < n; t++) {
        for (size_t v = 0; v < VECTORS; v++) {
            chain_256(&acc[t][v], product[t][v], _mm256_cvtepi32_ps(minimum[t][v]), p, at, v, scale[t], s.has_min);
        }
    }
}

INLINE void tile_32(const panel *p, size_t at, const int8_t *q, const int16_t *sum, const float *scale, size_t n,
                    __m256 acc[MAX_TILE][VECTORS], const shape s) {
    __m256i total[TILE][VECTORS];
    for (size_t t = 0; t < n; t++) {
        __m256i start = _mm256_setzero_si256(), off = _mm256_set1_epi16((short)-s.offset);
        if (!s.has_min) start = _mm256_dpwssd_avx_epi32(start, four_bytes(sum + 2 * t), off);
        for (size_t v = 0; v < VECTORS; v++) total[t][v] = start;
    }
    tile_products(p->q + at * 8, 32, q, 32, n, total);
    for (size_t t = 0; t < n; t++) {
        for (size_t v = 0; v < VECTORS; v++) {
            chain_32(&acc[t][v], _mm256_cvtepi32_ps(total[t][v]), four_bytes(sum + 2 * t), p, at, v, scale[t],
                     s.has_min);
        }
    }
}

/* A block of two sub-blocks with a d of their own. */
INLINE void tile_16(const panel *p, size_t at, const int8_t *q, const int16_t *sum, const float *scale, size_t n,
                    __m256 acc[MAX_TILE][VECTORS], const shape s) {
    for (size_t i = 0; i < 2; i++) {
        __m256i total[TILE][VECTORS];
        for (size_t t = 0; t < n; t++) {
            for (size_t v = 0; v < VECTORS; v++) total[t][v] = _mm256_set1_epi32(-s.offset * sum[2 * t + i]);
        }
        tile_products(p->q + at * 8 + 4 * i, 16, q + 16 * i, 32, n, total);
        for (size_t t = 0; t < n; t++) {
            for (size_t v = 0; v < VECTORS; v++) {
                chain_32(&acc[t][v], _mm256_cvtepi32_ps(total[t][v]), total[t][v], p, 2 * at + i, v, scale[t], false);
            }
        }
    }
}

/* Sums of `exact` sub-blocks stay below 2^24, for example 32 weights x 127 x 127 x a scale of 32 for IQ4_XS.
 *                block sub */
KIND(bytes_32, 32, 32)
KIND(bytes_32_min, 32, 32, .has_min = true)
KIND(parts_16, 32, 16)
KIND(q2_k_kind, 256, 16, .exact = 16, .has_min = true)
KIND(q4_k_kind, 256, 32, .exact = 4, .has_min = true)
KIND(q5_k_kind, 256, 32, .exact = 2, .has_min = true)
KIND(q6_k_kind, 256, 16, .exact = 2)
KIND(iq4_xs_kind, 256, 32, .exact = 1)
KIND(wide_32, 256, 32, .exact = 2)
KIND(wide_16, 256, 16, .exact = 4)
KIND(narrow_32, 256, 32, .exact = 8)
KIND(narrow_16, 256, 16, .exact = 16)
/* bytes of all magnitudes multiply alike here */
#define nibbles_32     bytes_32
#define nibbles_32_min bytes_32_min
#define fives_32       bytes_32
#define fives_32_min   bytes_32_min

BLOCK_SLOTS
IQ_SLOTS
PLAIN_SLOTS

const kernels kernels_avxvnni = {
    .name = "avxvnni",
    .matmul_any = g_matmul_any,
    .matmul = {BLOCK_SLOT_TABLE, IQ_SLOT_TABLE, PLAIN_SLOT_TABLE},
    VECTOR_SLOT_TABLE,
};
