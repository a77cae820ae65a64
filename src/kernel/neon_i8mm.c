/*
 * AArch64 with i8mm: smmla multiplies two rows by two tokens, eight inputs each, twice as much as sdot does. Only
 * prompts go this way; a step of few tokens waits for memory and is NEON's.
 *
 * A panel is [K / 8][4 pairs of rows][2][8]. What a pair of rows sums up with a pair of tokens is one register, {token,
 * row} = {0, 0}, {0, 1}, {1, 0}, {1, 1}: acc[2 i + r % 2][r / 2] for tokens 2 i and 2 i + 1 and pair r of rows. Where
 * the second token is missing, the first stands for it.
 */
#include "kernel/neon_blocks.h"

enum { PAIRS = TILE / 2, ROW_PAIRS = ROWS / 2 };

/* ---- pairs ----------------------------------------------------------------------------------- */

INLINE int8x16_t lower_halves(int8x16_t a, int8x16_t b) {
    return vreinterpretq_s8_s64(vzip1q_s64(vreinterpretq_s64_s8(a), vreinterpretq_s64_s8(b)));
}

INLINE int8x16_t upper_halves(int8x16_t a, int8x16_t b) {
    return vreinterpretq_s8_s64(vzip2q_s64(vreinterpretq_s64_s8(a), vreinterpretq_s64_s8(b)));
}

INLINE void put_rows(const int32x4_t v[QUAD], int32_t (*to)[ROWS], size_t first_row) {
    for (size_t r = 0; r < QUAD; r += 2) {
        int8x16_t a = vreinterpretq_s8_s32(v[r]), b = vreinterpretq_s8_s32(v[r + 1]);
        size_t at = (first_row + r) * 2; /* in two rows of the panel, which are eight inputs */
        vst1q_s32(to[0] + at, vreinterpretq_s32_s8(lower_halves(a, b)));
        vst1q_s32(to[2] + at, vreinterpretq_s32_s8(upper_halves(a, b)));
    }
}

INLINE void turn(float32x4_t acc[TILE][QUADS], size_t n) {
    for (size_t t = 0; t < n; t += 2) {
        for (size_t i = 0; i < QUADS; i++) {
            float64x2_t a = vreinterpretq_f64_f32(acc[t][i]), b = vreinterpretq_f64_f32(acc[t + 1][i]);
            acc[t][i] = vreinterpretq_f32_f64(vzip1q_f64(a, b));
            acc[t + 1][i] = vreinterpretq_f32_f64(vzip2q_f64(a, b));
        }
    }
}

/* v[0], v[1], v[0], v[1] */
INLINE float32x4_t both(const float *v) {
    float32x2_t two = vld1_f32(v);
    return vcombine_f32(two, two);
}

INLINE int32x4_t both_ints(const int32_t *v) {
    int32x2_t two = vld1_s32(v);
    return vcombine_s32(two, two);
}

/* The second token of the pair that begins with t. */
INLINE size_t second(size_t t, size_t n) { return t + 1 < n ? t + 1 : t; }

INLINE float32x4_t scales_of(const float *scale, size_t t, size_t n) {
    return vcombine_f32(vdup_n_f32(scale[t]), vdup_n_f32(scale[second(t, n)]));
}

/* ---- tiles ----------------------------------------------------------------------------------- */

/* Sixteen inputs of all rows against n tokens, which follow each other at `stride` bytes. */
INLINE void tile_inputs(const int32_t (*w)[ROWS], const int8_t *q, size_t stride, size_t n,
                        int32x4_t acc[TILE][QUADS]) {
    int8x16_t a[2][PAIRS];
    for (size_t t = 0; t < n; t += 2) {
        int8x16_t one = vld1q_s8(q + t * stride), two = vld1q_s8(q + second(t, n) * stride);
        a[0][t / 2] = lower_halves(one, two);
        a[1][t / 2] = upper_halves(one, two);
    }
    for (size_t k = 0; k < 2; k++) {
        for (size_t r = 0; r < ROW_PAIRS; r++) {
            int8x16_t v = bytes_at(w[2 * k] + 4 * r);
            for (size_t t = 0; t < n; t += 2) acc[t + r % 2][r / 2] = vmmlaq_s32(acc[t + r % 2][r / 2], a[k][t / 2], v);
        }
    }
}

/* acc += total d s, where d are eight rows' */
INLINE void add_products(float32x4_t acc[TILE][QUADS], int32x4_t total[TILE][QUADS], const float *d, const float *scale,
                         size_t n) {
    for (size_t r = 0; r < ROW_PAIRS; r++) {
        float32x4_t rows = both(d + 2 * r);
        for (size_t t = 0; t < n; t += 2) {
            size_t at = t + r % 2;
            float32x4_t s = vmulq_f32(rows, scales_of(scale, t, n));
            acc[at][r / 2] = vfmaq_f32(acc[at][r / 2], vcvtq_f32_s32(total[at][r / 2]), s);
        }
    }
}

/* acc -= M dmin s: minimums, eight or sixteen of each row, times the sums of as many sub-blocks. */
INLINE void subtract_minimums(const panel *p, size_t at, const int16_t *sum, const float *scale, size_t n,
                              float32x4_t acc[TILE][QUADS], size_t sub) {
    for (size_t t = 0; t < n; t += 2) {
        int8x16_t high[2], low[2];
        split_sums(sum + 16 * t, sub, &high[0], &low[0]);
        split_sums(sum + 16 * second(t, n), sub, &high[1], &low[1]);
        for (size_t r = 0; r < ROW_PAIRS; r++) {
            int8x16_t m = bytes_at(p->min[4 * at] + 4 * r), more = bytes_at(p->min[4 * at + 2] + 4 * r);
            int32x4_t v = vmmlaq_s32(vdupq_n_s32(0), lower_halves(high[0], high[1]), m);
            if (sub == 16) v = vmmlaq_s32(v, upper_halves(high[0], high[1]), more);
            v = vmmlaq_s32(vshlq_n_s32(v, 7), lower_halves(low[0], low[1]), m);
            if (sub == 16) v = vmmlaq_s32(v, upper_halves(low[0], low[1]), more);
            float32x4_t s = vmulq_f32(both(p->min_scale[at] + 2 * r), scales_of(scale, t, n));
            acc[t + r % 2][r / 2] = vfmsq_f32(acc[t + r % 2][r / 2], vcvtq_f32_s32(v), s);
        }
    }
}

/* One block of all rows against n tokens: adds to acc its product and minimum. Constant where inlined: n and type. */
INLINE void tile_256(const panel *p, size_t at, const int8_t *q, const int16_t *sum, const float *scale, size_t n,
                     float32x4_t acc[TILE][QUADS], const shape *type) {
    int32x4_t total[TILE][QUADS], part[TILE][QUADS];
    size_t sub = type->sub, n_subs = 256 / sub;
    clear(total, TILE);
    for (size_t s = 0; s < n_subs; s++) {
        clear(part, TILE);
        for (size_t k = 0; k < sub; k += 16) {
            size_t first = s * sub + k;
            tile_inputs(p->q + 64 * at + first / 4, q + first, 256, n, part);
        }
        for (size_t r = 0; r < ROW_PAIRS; r++) {
            int32x4_t v = both_ints(p->scale[n_subs * at + s] + 2 * r);
            for (size_t t = r % 2; t < n + r % 2; t += 2)
                total[t][r / 2] = vmlaq_s32(total[t][r / 2], part[t][r / 2], v);
        }
    }
    add_products(acc, total, p->d[at], scale, n);
    if (type->has_min) subtract_minimums(p, at, sum, scale, n, acc, sub);
}

INLINE void tile_32(const panel *p, size_t at, const int8_t *q, const int16_t *sum, const float *scale, size_t n,
                    float32x4_t acc[TILE][QUADS], const shape *type) {
    int32x4_t total[TILE][QUADS];
    clear(total, TILE);
    for (size_t k = 0; k < 32; k += 16) tile_inputs(p->q + 8 * at + k / 4, q + k, 32, n, total);
    add_products(acc, total, p->d[at], scale, n);
    if (!type->has_min) return;
    for (size_t t = 0; t < n; t += 2) {
        float32x2_t one = vdup_n_f32((float)sum_32(sum + 2 * t)),
                    two = vdup_n_f32((float)sum_32(sum + 2 * second(t, n)));
        float32x4_t sums = vcombine_f32(one, two), s = scales_of(scale, t, n);
        for (size_t r = 0; r < ROW_PAIRS; r++) {
            float32x4_t m = vmulq_f32(both(p->min_scale[at] + 2 * r), s);
            acc[t + r % 2][r / 2] = vfmaq_f32(acc[t + r % 2][r / 2], m, sums);
        }
    }
}

INLINE void tile_16(const panel *p, size_t at, const int8_t *q, const int16_t *sum, const float *scale, size_t n,
                    float32x4_t acc[TILE][QUADS], const shape *type) {
    (void)sum, (void)type;
    for (size_t part = 0; part < 2; part++) {
        int32x4_t total[TILE][QUADS];
        clear(total, TILE);
        tile_inputs(p->q + 8 * at + 4 * part, q + 16 * part, 32, n, total);
        add_products(acc, total, p->d[2 * at + part], scale, n);
    }
}

PROMPTS

/* ---- slots ----------------------------------------------------------------------------------- */

#define SLOT(type, size, kind, ...)                                                                                    \
    FILLING(type, size, __VA_ARGS__)                                                                                   \
    static void type##_prompt(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end,   \
                              float *y, size_t y_stride) {                                                             \
        kind(w, a, n_tok, row_begin, row_end, y, y_stride, type##_fill);                                               \
    }

SLOTS

#define PROMPT_OF(type) type##_prompt

void i8mm_matmul(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end, float *y,
                 size_t y_stride) {
    static matmul_fn *const prompts[QUANT_TYPE_COUNT] = {SLOT_TABLE(PROMPT_OF)};
    (n_tok > MAX_STEP ? prompts : kernels_neon.matmul)[w->type](w, a, n_tok, row_begin, row_end, y, y_stride);
}
