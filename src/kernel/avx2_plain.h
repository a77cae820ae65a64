/*
 * Matrices of plain numbers with 256-bit vectors, for the AVX2 and the AVX-VNNI tier. A sum goes on from the first
 * input to the last, in two registers: rows and tokens may be blocked, and so may the inputs, as long as their order
 * stays.
 *
 * Few tokens meet the rows as the file has them. With more, pieces of some rows are converted once for all tokens and
 * stay in L1; tiles of rows and tokens keep their sums in registers over a piece, and in memory from one piece to the
 * next.
 */
#ifndef KERNEL_AVX2_PLAIN_H
#define KERNEL_AVX2_PLAIN_H

#include "kernel/avx2_blocks.h"

/* ---- two registers are the sixteen lanes ------------------------------------------------------ */

enum {
    HALF = LANES / 2,
    PLAIN_STREAMS = 4, /* rows that one token meets at once */
    PIECE = 256,       /* inputs */
    PLAIN_ROWS = 12,   /* of which pieces stay in L1 */
    TILE_ROWS = 3,     /* of a tile, and */
    TILE_TOKENS = 4,   /* with which twelve sums, a row of weights each and an input fill the registers */
    MOST_TOKENS = 96,  /* that pieces meet at once */
    FEW_ROWS = 2,      /* of a tile of few tokens in the file's layout, and */
    FEW_TOKENS = 3
};

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

/* ---- few tokens ------------------------------------------------------------------------------ */

/* n_rows x n_tok sums side by side; lanes past the end of a row are left as they are, not added zero to. */
INLINE void few_tile(const matrix *w, const float *x, size_t n_tok, size_t n_rows, size_t row, float *y,
                     size_t y_stride, load_plain_fn *load_eight, size_t bytes) {
    __m256 acc[FEW_TOKENS][PLAIN_STREAMS][2];
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
            __m256 v[PLAIN_STREAMS];
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

INLINE void few_rows(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end, float *y,
                     size_t y_stride, load_plain_fn *load_eight, size_t bytes) {
    size_t t = 0, row;
    for (; t + FEW_TOKENS <= n_tok; t += FEW_TOKENS) {
        const float *x = a->x + t * w->n_in;
        float *to = y + t * y_stride;
        for (row = row_begin; row + FEW_ROWS <= row_end; row += FEW_ROWS) {
            few_tile(w, x, FEW_TOKENS, FEW_ROWS, row, to, y_stride, load_eight, bytes);
        }
        for (; row < row_end; row++) few_tile(w, x, FEW_TOKENS, 1, row, to, y_stride, load_eight, bytes);
    }
    for (; t < n_tok; t++) {
        const float *x = a->x + t * w->n_in;
        float *to = y + t * y_stride;
        for (row = row_begin; row + PLAIN_STREAMS <= row_end; row += PLAIN_STREAMS) {
            few_tile(w, x, 1, PLAIN_STREAMS, row, to, y_stride, load_eight, bytes);
        }
        for (; row < row_end; row++) few_tile(w, x, 1, 1, row, to, y_stride, load_eight, bytes);
    }
}

/* ---- many tokens ----------------------------------------------------------------------------- */

/* PIECE inputs of some rows, and the sums of all tokens so far. */
typedef struct {
    float w[PLAIN_ROWS][PIECE] __attribute__((aligned(32)));
    __m256 sum[PLAIN_ROWS][MOST_TOKENS][2];
} plain_panel;

/* Inputs [first, first + n) of rows [row, row + n_rows); those that are missing are zero. Asks for the next ones. */
INLINE void plain_fill(plain_panel *p, const matrix *w, size_t row, size_t n_rows, size_t first, size_t n,
                       load_plain_fn *load, size_t bytes) {
    for (size_t r = 0; r < PLAIN_ROWS; r++) {
        if (r >= n_rows) {
            memset(p->w[r], 0, sizeof p->w[r]);
            continue;
        }
        const uint8_t *at = w->data + (row + r) * w->row_bytes + first * bytes;
        for (size_t line = 0; line < PIECE * bytes; line += 64) {
            _mm_prefetch((const char *)at + PIECE * bytes + line, _MM_HINT_T1);
        }
        size_t k = 0;
        for (; k + HALF <= n; k += HALF) _mm256_store_ps(p->w[r] + k, load(at + k * bytes));
        if (k == n) continue;
        uint8_t last[HALF * sizeof(float)] = {0};
        memcpy(last, at + k * bytes, (n - k) * bytes);
        _mm256_store_ps(p->w[r] + k, load(last));
    }
}

/* Rows r + [0, TILE_ROWS) of the panel against n_tok tokens from t0 on, whose inputs are x[t n_in + k], over n inputs,
 * whole lanes; one half of the lanes after the other, whose sums fill the registers. */
INLINE void plain_tile(plain_panel *p, size_t r, const float *x, size_t n_in, size_t n, size_t t0, size_t n_tok) {
    for (size_t h = 0; h < 2; h++) {
        __m256 acc[TILE_ROWS][TILE_TOKENS];
        for (size_t i = 0; i < TILE_ROWS; i++) {
            for (size_t t = 0; t < n_tok; t++) acc[i][t] = p->sum[r + i][t0 + t][h];
        }
        for (size_t k = h * HALF; k < n; k += LANES) {
            __m256 w[TILE_ROWS];
            for (size_t i = 0; i < TILE_ROWS; i++) w[i] = _mm256_load_ps(p->w[r + i] + k);
            for (size_t t = 0; t < n_tok; t++) {
                __m256 v = _mm256_loadu_ps(x + t * n_in + k);
                for (size_t i = 0; i < TILE_ROWS; i++) acc[i][t] = _mm256_fmadd_ps(w[i], v, acc[i][t]);
            }
        }
        for (size_t i = 0; i < TILE_ROWS; i++) {
            for (size_t t = 0; t < n_tok; t++) p->sum[r + i][t0 + t][h] = acc[i][t];
        }
    }
}

/* What is left of n inputs behind the whole lanes, of all rows and tokens. */
static void plain_rest(plain_panel *p, size_t n_rows, const float *x, size_t n_in, size_t n, size_t n_tok) {
    for (size_t k = n / LANES * LANES, h = 0; k < n; k += HALF, h++) {
        for (size_t r = 0; r < n_rows; r++) {
            __m256 w = _mm256_load_ps(p->w[r] + k), *sum = &p->sum[r][0][h];
            __m256i mask = first_lanes(n - k);
            for (size_t t = 0; t < n_tok; t++, sum += 2) {
                __m256 v = _mm256_fmadd_ps(w, _mm256_maskload_ps(x + t * n_in + k, mask), *sum);
                *sum = _mm256_blendv_ps(*sum, v, _mm256_castsi256_ps(mask));
            }
        }
    }
}

INLINE void plain_many(const matrix *w, const float *x, size_t n_tok, size_t row_begin, size_t row_end, float *y,
                       size_t y_stride, load_plain_fn *load, size_t bytes) {
    plain_panel p;
    for (size_t row = row_begin; row < row_end; row += PLAIN_ROWS) {
        size_t n_rows = row_end - row < PLAIN_ROWS ? row_end - row : PLAIN_ROWS;
        for (size_t r = 0; r < PLAIN_ROWS; r++) {
            for (size_t t = 0; t < n_tok; t++) p.sum[r][t][0] = p.sum[r][t][1] = _mm256_setzero_ps();
        }
        for (size_t first = 0; first < w->n_in; first += PIECE) {
            size_t n = w->n_in - first < PIECE ? w->n_in - first : PIECE, whole = n / LANES * LANES, t = 0;
            plain_fill(&p, w, row, n_rows, first, n, load, bytes);
#define TILES_OF(size)                                                                                                 \
    for (; t + size <= n_tok; t += size) {                                                                             \
        for (size_t r = 0; r < n_rows; r += TILE_ROWS)                                                                 \
            plain_tile(&p, r, x + t * w->n_in + first, w->n_in, whole, t, size);                                       \
    }
            TILES_OF(4)
            TILES_OF(2)
            TILES_OF(1)
#undef TILES_OF
            plain_rest(&p, n_rows, x + first, w->n_in, n, n_tok);
        }
        for (size_t t = 0; t < n_tok; t++) {
            for (size_t r = 0; r < n_rows; r++) y[t * y_stride + row + r] = sum_tree(p.sum[r][t][0], p.sum[r][t][1]);
        }
    }
}

INLINE void plain_matmul(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end,
                         float *y, size_t y_stride, load_plain_fn *load, size_t bytes) {
    if (n_tok <= FEW) {
        for (size_t row = row_begin; row < row_end; row += PLAIN_STREAMS) {
            size_t end = row_end - row < PLAIN_STREAMS ? row_end : row + PLAIN_STREAMS;
            few_rows(w, a, n_tok, row, end, y, y_stride, load, bytes);
        }
        return;
    }
    for (size_t t = 0; t < n_tok; t += MOST_TOKENS) {
        size_t n = n_tok - t < MOST_TOKENS ? n_tok - t : MOST_TOKENS;
        plain_many(w, a->x + t * w->n_in, n, row_begin, row_end, y + t * y_stride, y_stride, load, bytes);
    }
}

#define SLOT_PLAIN(type, bytes)                                                                                        \
    static void type##_matmul(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end,   \
                              float *y, size_t y_stride) {                                                             \
        plain_matmul(w, a, n_tok, row_begin, row_end, y, y_stride, load_##type, bytes);                                \
    }

#define PLAIN_SLOTS                                                                                                    \
    SLOT_PLAIN(f32, 4)                                                                                                 \
    SLOT_PLAIN(f16, 2)                                                                                                 \
    SLOT_PLAIN(bf16, 2)

#define PLAIN_SLOT_TABLE [QUANT_F32] = f32_matmul, [QUANT_F16] = f16_matmul, [QUANT_BF16] = bf16_matmul

#endif
