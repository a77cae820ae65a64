/*
 * AVX-512: products of plain numbers (F32, F16, BF16). A register is the sixteen lanes of one sum, which goes on from
 * the first input to the last: rows and tokens may be blocked, and so may the inputs, as long as their order stays.
 *
 * Few tokens wait for memory: four streams of rows are read in the order of memory and asked for ahead of time. With
 * more, pieces of sixteen rows are converted once for all tokens and stay in L1; tiles of rows and tokens keep their
 * sums in registers over a piece, and in memory from one piece to the next.
 */
#include "kernel/avx512.h"

enum {
    STREAMS = 4,     /* and the most tokens that go with them */
    AHEAD = 2048,    /* bytes between what a stream reads and what it asks for */
    PIECE = 512,     /* inputs */
    TILE_ROWS = 4,   /* of a tile, and */
    TILE_TOKENS = 6, /* with which 24 sums fill the registers */
    MAX_TOKENS = 192 /* whose sums stay in L2 */
};

/* ---- few tokens ------------------------------------------------------------------------------ */

/* n_tok <= STREAMS is a constant, so that the sums stay in registers. */
INLINE void step(const matrix *w, const float *x, size_t n_tok, size_t row_begin, size_t row_end, float *y,
                 size_t y_stride, load_plain_fn *load, size_t bytes) {
    size_t quarter = (row_end - row_begin + STREAMS - 1) / STREAMS;
    for (size_t r = 0; r < quarter; r++) {
        const uint8_t *at[STREAMS];
        __m512 acc[STREAMS][STREAMS]; /* [stream][token] */
        for (size_t j = 0; j < STREAMS; j++) {
            size_t row = row_begin + j * quarter + r; /* past the end: the first stream's, computed and not stored */
            at[j] = w->data + (row < row_end ? row : row_begin + r) * w->row_bytes;
            for (size_t t = 0; t < n_tok; t++) acc[j][t] = _mm512_setzero_ps();
        }
        size_t k = 0;
        for (; k + LANES <= w->n_in; k += LANES) {
            for (size_t j = 0; j < STREAMS; j++) {
                const uint8_t *p = at[j] + k * bytes;
                _mm_prefetch(p + AHEAD, _MM_HINT_T0);
                __m512 v = load(p, 0xFFFF);
                for (size_t t = 0; t < n_tok; t++)
                    acc[j][t] = _mm512_fmadd_ps(v, _mm512_loadu_ps(x + t * w->n_in + k), acc[j][t]);
            }
        }
        if (k < w->n_in) { /* lanes past the end are left as they are, not added zero to */
            __mmask16 rest = first_lanes(w->n_in - k);
            for (size_t j = 0; j < STREAMS; j++) {
                __m512 v = load(at[j] + k * bytes, rest);
                for (size_t t = 0; t < n_tok; t++)
                    acc[j][t] =
                        _mm512_mask3_fmadd_ps(v, _mm512_maskz_loadu_ps(rest, x + t * w->n_in + k), acc[j][t], rest);
            }
        }
        for (size_t j = 0; j < STREAMS; j++) {
            size_t row = row_begin + j * quarter + r;
            for (size_t t = 0; t < n_tok && row < row_end; t++) y[t * y_stride + row] = sum_tree(acc[j][t]);
        }
    }
}

/* ---- several tokens -------------------------------------------------------------------------- */

/* Sixteen rows of a piece, and the sums of all tokens so far. */
typedef struct {
    float w[ROWS][PIECE];
    __m512 sum[ROWS][MAX_TOKENS];
} __attribute__((aligned(64))) panel;

/* n inputs of rows [row, row + n_rows); those that are missing are zero. */
INLINE void fill(panel *p, const matrix *w, size_t row, size_t n_rows, size_t first, size_t n, load_plain_fn *load,
                 size_t bytes) {
    for (size_t r = 0; r < ROWS; r++) {
        if (r >= n_rows) {
            memset(p->w[r], 0, sizeof p->w[r]);
            continue;
        }
        const uint8_t *at = w->data + (row + r) * w->row_bytes + first * bytes;
        for (size_t k = 0; k < n; k += LANES) {
            _mm_prefetch(at + (k + PIECE) * bytes, _MM_HINT_T1); /* the next piece */
            _mm512_store_ps(p->w[r] + k, load(at + k * bytes, first_lanes(n - k)));
        }
    }
}

/* Rows r + [0, TILE_ROWS) of the panel against n_tok tokens, whose inputs are x[t n_in + k], over n inputs. */
INLINE void tile(panel *p, size_t r, const float *x, size_t n_in, size_t n, size_t t0, size_t n_tok) {
    __m512 acc[TILE_ROWS][TILE_TOKENS];
    for (size_t i = 0; i < TILE_ROWS; i++) {
        for (size_t t = 0; t < n_tok; t++) acc[i][t] = p->sum[r + i][t0 + t];
    }
    size_t k = 0;
    for (; k + LANES <= n; k += LANES) {
        __m512 w[TILE_ROWS];
        for (size_t i = 0; i < TILE_ROWS; i++) w[i] = _mm512_load_ps(p->w[r + i] + k);
        for (size_t t = 0; t < n_tok; t++) {
            __m512 v = _mm512_loadu_ps(x + t * n_in + k);
            for (size_t i = 0; i < TILE_ROWS; i++) acc[i][t] = _mm512_fmadd_ps(w[i], v, acc[i][t]);
        }
    }
    if (k < n) {
        __mmask16 rest = first_lanes(n - k);
        for (size_t t = 0; t < n_tok; t++) {
            __m512 v = _mm512_maskz_loadu_ps(rest, x + t * n_in + k);
            for (size_t i = 0; i < TILE_ROWS; i++)
                acc[i][t] = _mm512_mask3_fmadd_ps(_mm512_load_ps(p->w[r + i] + k), v, acc[i][t], rest);
        }
    }
    for (size_t i = 0; i < TILE_ROWS; i++) {
        for (size_t t = 0; t < n_tok; t++) p->sum[r + i][t0 + t] = acc[i][t];
    }
}

INLINE void many(const matrix *w, const float *x, size_t n_tok, size_t row_begin, size_t row_end, float *y,
                 size_t y_stride, load_plain_fn *load, size_t bytes) {
    panel p;
    for (size_t row = row_begin; row < row_end; row += ROWS) {
        size_t n_rows = row_end - row < ROWS ? row_end - row : ROWS;
        for (size_t r = 0; r < ROWS; r++) {
            for (size_t t = 0; t < n_tok; t++) p.sum[r][t] = _mm512_setzero_ps();
        }
        for (size_t first = 0; first < w->n_in; first += PIECE) {
            size_t n = w->n_in - first < PIECE ? w->n_in - first : PIECE, t = 0;
            fill(&p, w, row, n_rows, first, n, load, bytes);
#define TILES_OF(size)                                                                                                 \
    for (; t + size <= n_tok; t += size) {                                                                             \
        for (size_t r = 0; r < n_rows; r += TILE_ROWS) tile(&p, r, x + t * w->n_in + first, w->n_in, n, t, size);      \
    }
            TILES_OF(6)
            TILES_OF(4)
            TILES_OF(2)
            TILES_OF(1)
#undef TILES_OF
        }
        for (size_t t = 0; t < n_tok; t++) {
            for (size_t r = 0; r < n_rows; r++) y[t * y_stride + row + r] = sum_tree(p.sum[r][t]);
        }
    }
}

INLINE void matmul(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end, float *y,
                   size_t y_stride, load_plain_fn *load, size_t bytes) {
    switch (n_tok) {
    case 1: step(w, a->x, 1, row_begin, row_end, y, y_stride, load, bytes); return;
    case 2: step(w, a->x, 2, row_begin, row_end, y, y_stride, load, bytes); return;
    case 3: step(w, a->x, 3, row_begin, row_end, y, y_stride, load, bytes); return;
    case 4: step(w, a->x, 4, row_begin, row_end, y, y_stride, load, bytes); return;
    default: break;
    }
    for (size_t t = 0; t < n_tok; t += MAX_TOKENS) {
        size_t n = n_tok - t < MAX_TOKENS ? n_tok - t : MAX_TOKENS;
        many(w, a->x + t * w->n_in, n, row_begin, row_end, y + t * y_stride, y_stride, load, bytes);
    }
}

#define SLOT(type, bytes)                                                                                              \
    void avx512_##type(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end,          \
                       float *y, size_t y_stride) {                                                                    \
        matmul(w, a, n_tok, row_begin, row_end, y, y_stride, load_##type, bytes);                                      \
    }

SLOT(f32, 4)
SLOT(f16, 2)
SLOT(bf16, 2)
