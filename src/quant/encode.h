/*
 * Fitting blocks to weights: what the encoders of several types share.
 *
 * Every encoder looks for the block whose decoded weights y have the least sum of w (x - y)^2, w being the importance
 * of each weight. The way is the same for all: round to the type's levels under some scales, keep the one after whose
 * rounding a least-squares scale leaves the least error, round the scales to what the block can hold, and round the
 * weights again under these. Sums run over fixed lanes, so that every machine makes the same bytes.
 */
#ifndef QUANT_ENCODE_H
#define QUANT_ENCODE_H

#include "quant/blocks.h"

/* Largest magnitude that encoders get, but for those of types that hold every float32; and what counts as zero. */
#define ENCODE_LARGEST  1e12f
#define ENCODE_SMALLEST 1e-30f

/* The levels that a weight may have under its scale: all integers from low to high, or those of a rising table. */
typedef struct {
    float low, high;
    const int8_t *table;
    int n; /* of the table */
} levels;

/* To the nearest integer; |v| below 2^22. */
static inline float nearest_f32(float v) { return (v + 0x1.8p23f) - 0x1.8p23f; }
static inline float clamp_f32(float v, float low, float high) { return v < low ? low : v > high ? high : v; }

/* The level nearest to v. */
static inline float level_near(const levels *l, float v) {
    if (!l->table) return nearest_f32(clamp_f32(v, l->low, l->high));
    float best = l->table[0];
    for (int k = 1; k < l->n; k++) best = v > (float)(l->table[k - 1] + l->table[k]) * 0.5f ? l->table[k] : best;
    return best;
}

static inline void put_u16(uint8_t at[2], unsigned v) {
    at[0] = (uint8_t)v;
    at[1] = (uint8_t)(v >> 8);
}

/* Stores v as a half and returns what the half stands for. */
static inline float put_half(uint8_t at[2], float v) {
    put_u16(at, f32_to_f16(v));
    return half_at(at);
}

/* 1 / v, or 0 where that would not be finite. */
static inline float inverse_or_zero(float v) { return v > 1e-36f || v < -1e-36f ? 1 / v : 0; }

/* The value of largest magnitude; 0 where all count as zero. */
float largest_value(const float *x, int n);

/* Sum of w (x - scale q)^2, with q the levels nearest to x / scale. n is a multiple of 8, as below. */
double level_error(const float *x, const float *w, int n, const levels *l, float scale);
/* The scale of least level_error, near enough. */
float fit_scale(const float *x, const float *w, int n, const levels *l);
/* q[i] = the level nearest to x[i] / scale. */
void round_to_levels(const float *x, int n, const levels *l, float scale, int8_t *q);

/* x = scale q + offset, with q from 0 to top. */
typedef struct {
    float scale, offset;
} line;

/* The line of least error; with `below`, its offset is not above 0, nor its scale below. */
line fit_line(const float *x, const float *w, int n, int top, bool below);
double line_error(const float *x, const float *w, int n, int top, line l);
void round_to_line(const float *x, int n, int top, line l, uint8_t *q);

/* One for each type: x[block], w[block] all above 0. */
typedef void encode_fn(const float *x, const float *w, uint8_t *block);
encode_fn encode_q4_0, encode_q4_1, encode_q5_0, encode_q5_1, encode_q8_0;
encode_fn encode_q2_k, encode_q3_k, encode_q4_k, encode_q5_k, encode_q6_k;
encode_fn encode_iq4_nl, encode_iq4_xs, encode_mxfp4, encode_nvfp4, encode_tq1_0, encode_tq2_0;
encode_fn encode_iq1_s, encode_iq1_m, encode_iq2_xxs, encode_iq2_xs, encode_iq2_s, encode_iq3_xxs, encode_iq3_s;

#endif
