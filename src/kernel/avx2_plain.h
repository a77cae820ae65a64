/*
 * Matrices of plain numbers with 256-bit vectors, for the AVX2 and the AVX-VNNI tier.
 */
#ifndef KERNEL_AVX2_PLAIN_H
#define KERNEL_AVX2_PLAIN_H

#include "kernel/avx2_blocks.h"

/* ---- plain numbers: two registers are the sixteen lanes -------------------------------------- */

enum { HALF = LANES / 2, PLAIN_ROWS = 4, PLAIN_TOKEN_ROWS = 2, PLAIN_TOKENS = 3 };

typedef __m256 load_plain_fn(const uint8_t *p); /* eight */

INLINE __m256 load_f32(const uint8_t *p) { return _mm256_loadu_ps((const void *)p); }
INLINE __m256 load_f16(const uint8_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const void *)p)); }
INLINE __m256 load_bf16(const uint8_t *p) {
    __m256i v = _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(v, 16));
}

/* The tree: upper half onto lower, four times. */
INLINE float sum_tree(__m256 low, __m256 high) {
    __m256 a = _mm256_add_ps(low, high);
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

/* n_rows x n_tok sums side by side; lanes past the end of a row are left as they are, not added zero to. */
INLINE void plain_tile(const matrix *w, const float *x, size_t n_tok, size_t n_rows, size_t row, float *y,
                       size_t y_stride, load_plain_fn *load_eight, size_t bytes) {
    __m256 acc[PLAIN_TOKENS][PLAIN_ROWS][2];
    for (size_t t = 0; t < n_tok; t++) {
        for (size_t r = 0; r < n_rows; r++) acc[t][r][0] = acc[t][r][1] = _mm256_setzero_ps();
    }
    const uint8_t *p = w->data + row * w->row_bytes;
    size_t k = 0;
    for (; k + LANES <= w->n_in; k += LANES) {
        for (size_t r = 0; r < n_rows; r++) {
            _mm_prefetch((const char *)p + r * w->row_bytes + k * bytes + 1024, _MM_HINT_T0);
        }
        for (size_t h = 0; h < 2; h++) {
            __m256 v[PLAIN_ROWS];
            for (size_t r = 0; r < n_rows; r++) v[r] = load_eight(p + r * w->row_bytes + (k + h * HALF) * bytes);
            for (size_t t = 0; t < n_tok; t++) {
                __m256 a = _mm256_loadu_ps(x + t * w->n_in + k + h * HALF);
                for (size_t r = 0; r < n_rows; r++) acc[t][r][h] = _mm256_fmadd_ps(v[r], a, acc[t][r][h]);
            }
        }
    }
    for (size_t h = 0; h < 2 && k < w->n_in; h++, k += HALF) {
        size_t n = w->n_in - k < HALF ? w->n_in - k : HALF;
        __m256i mask = first_lanes(n);
        for (size_t r = 0; r < n_rows; r++) {
            uint8_t last[HALF * sizeof(float)] = {0};
            memcpy(last, p + r * w->row_bytes + k * bytes, n * bytes);
            __m256 v = load_eight(last);
            for (size_t t = 0; t < n_tok; t++) {
                __m256 sum = _mm256_fmadd_ps(v, _mm256_maskload_ps(x + t * w->n_in + k, mask), acc[t][r][h]);
                acc[t][r][h] = _mm256_blendv_ps(acc[t][r][h], sum, _mm256_castsi256_ps(mask));
            }
        }
    }
    for (size_t t = 0; t < n_tok; t++) {
        for (size_t r = 0; r < n_rows; r++) y[t * y_stride + row + r] = sum_tree(acc[t][r][0], acc[t][r][1]);
    }
}

INLINE void plain_rows(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end, float *y,
                       size_t y_stride, load_plain_fn *load_eight, size_t bytes) {
    size_t t = 0, row;
    for (; t + PLAIN_TOKENS <= n_tok; t += PLAIN_TOKENS) {
        const float *x = a->x + t * w->n_in;
        float *to = y + t * y_stride;
        for (row = row_begin; row + PLAIN_TOKEN_ROWS <= row_end; row += PLAIN_TOKEN_ROWS) {
            plain_tile(w, x, PLAIN_TOKENS, PLAIN_TOKEN_ROWS, row, to, y_stride, load_eight, bytes);
        }
        for (; row < row_end; row++) plain_tile(w, x, PLAIN_TOKENS, 1, row, to, y_stride, load_eight, bytes);
    }
    for (; t < n_tok; t++) {
        const float *x = a->x + t * w->n_in;
        float *to = y + t * y_stride;
        for (row = row_begin; row + PLAIN_ROWS <= row_end; row += PLAIN_ROWS) {
            plain_tile(w, x, 1, PLAIN_ROWS, row, to, y_stride, load_eight, bytes);
        }
        for (; row < row_end; row++) plain_tile(w, x, 1, 1, row, to, y_stride, load_eight, bytes);
    }
}

#define SLOT_PLAIN(type, bytes)                                                                                        \
    static void type##_matmul(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end,   \
                              float *y, size_t y_stride) {                                                             \
        for (size_t row = row_begin; row < row_end; row += PLAIN_ROWS) {                                               \
            size_t end = row_end - row < PLAIN_ROWS ? row_end : row + PLAIN_ROWS;                                      \
            plain_rows(w, a, n_tok, row, end, y, y_stride, load_##type, bytes);                                        \
        }                                                                                                              \
    }

#define PLAIN_SLOTS                                                                                                    \
    SLOT_PLAIN(f32, 4)                                                                                                 \
    SLOT_PLAIN(f16, 2)                                                                                                 \
    SLOT_PLAIN(bf16, 2)

#define PLAIN_SLOT_TABLE [QUANT_F32] = f32_matmul, [QUANT_F16] = f16_matmul, [QUANT_BF16] = bf16_matmul

#endif
