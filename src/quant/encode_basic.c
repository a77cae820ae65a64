/* Encoders of the types with one scale, or a scale and a minimum, for 16 or 32 weights; and of the ternary types. */
#include <math.h>

#include "quant/encode.h"

static const levels four_bits = {.low = -8, .high = 7}, five_bits = {.low = -16, .high = 15};
static const levels iq4_levels = {.low = -127, .high = 113, .table = iq4_values, .n = 16};
static const levels ternary = {.low = -1, .high = 1};

static void pack_nibbles(const uint8_t q[32], uint8_t qs[16]) {
    for (int i = 0; i < 16; i++) qs[i] = (uint8_t)((q[i] & 15) | (q[i + 16] & 15) << 4);
}

static void pack_fifth_bits(const uint8_t q[32], uint8_t qh[4]) {
    for (int i = 0; i < 32; i++) qh[i / 8] = (uint8_t)(qh[i / 8] | (q[i] >> 4 & 1) << (i % 8));
}

/* Rounds 32 weights under one scale to codes from 0 on. */
static void one_scale_codes(const float *x, const float *w, const levels *l, uint8_t d[2], uint8_t q[32]) {
    float scale = put_half(d, fit_scale(x, w, 32, l));
    int8_t v[32];
    round_to_levels(x, 32, l, scale, v);
    for (int i = 0; i < 32; i++) q[i] = (uint8_t)(v[i] - (int)l->low);
}

static void line_codes(const float *x, const float *w, int top, uint8_t d[2], uint8_t m[2], uint8_t q[32]) {
    line l = fit_line(x, w, 32, top, false);
    l.scale = put_half(d, l.scale);
    l.offset = put_half(m, l.offset);
    round_to_line(x, 32, top, l, q);
}

void encode_q4_0(const float *x, const float *w, uint8_t *block) {
    block_q4_0 *b = (void *)block;
    uint8_t q[32];
    one_scale_codes(x, w, &four_bits, b->d, q);
    pack_nibbles(q, b->qs);
}

void encode_q4_1(const float *x, const float *w, uint8_t *block) {
    block_q4_1 *b = (void *)block;
    uint8_t q[32];
    line_codes(x, w, 15, b->d, b->m, q);
    pack_nibbles(q, b->qs);
}

void encode_q5_0(const float *x, const float *w, uint8_t *block) {
    block_q5_0 *b = (void *)block;
    uint8_t q[32];
    one_scale_codes(x, w, &five_bits, b->d, q);
    pack_nibbles(q, b->qs);
    pack_fifth_bits(q, b->qh);
}

void encode_q5_1(const float *x, const float *w, uint8_t *block) {
    block_q5_1 *b = (void *)block;
    uint8_t q[32];
    line_codes(x, w, 31, b->d, b->m, q);
    pack_nibbles(q, b->qs);
    pack_fifth_bits(q, b->qh);
}

/* The largest weight is 127 steps: with so many, no other scale is better by much. */
void encode_q8_0(const float *x, const float *w, uint8_t *block) {
    static const levels eight_bits = {.low = -127, .high = 127};
    block_q8_0 *b = (void *)block;
    (void)w;
    float scale = put_half(b->d, fabsf(largest_value(x, 32)) / 127);
    round_to_levels(x, 32, &eight_bits, scale, b->qs);
}

/* ---- codes that stand for unequal steps ---------------------------------------------------------- */

static uint8_t code_of(const int8_t values[16], int8_t v) {
    uint8_t code = 0;
    while (values[code] != v) code++;
    return code;
}

void encode_iq4_nl(const float *x, const float *w, uint8_t *block) {
    block_iq4_nl *b = (void *)block;
    int8_t v[32];
    uint8_t q[32];
    float scale = put_half(b->d, fit_scale(x, w, 32, &iq4_levels));
    round_to_levels(x, 32, &iq4_levels, scale, v);
    for (int i = 0; i < 32; i++) q[i] = code_of(iq4_values, v[i]);
    pack_nibbles(q, b->qs);
}

/* The E2M1 numbers, doubled, in rising order. */
static const int8_t e2m1_rising[15] = {-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12};
static const levels e2m1_levels = {.low = -12, .high = 12, .table = e2m1_rising, .n = 15};

static void e2m1_codes(const float *x, int n, float scale, uint8_t *q) {
    int8_t v[32];
    round_to_levels(x, n, &e2m1_levels, scale, v);
    for (int i = 0; i < n; i++) q[i] = code_of(e2m1_values, v[i]);
}

/* The power of two that just holds the largest weight, and its neighbours. */
void encode_mxfp4(const float *x, const float *w, uint8_t *block) {
    block_mxfp4 *b = (void *)block;
    float top = fabsf(largest_value(x, 32));
    int first = top > 0 ? 127 + ilogbf(top) - 3 : 0;
    double least = INFINITY;
    for (int e = first; e < first + 3; e++) {
        int code = e < 0 ? 0 : e > 254 ? 254 : e;
        double error = level_error(x, w, 32, &e2m1_levels, e8m0_half((uint8_t)code));
        if (error < least) least = error, b->e = (uint8_t)code;
    }
    uint8_t q[32];
    e2m1_codes(x, 32, e8m0_half(b->e), q);
    pack_nibbles(q, b->qs);
}

/* Codes of UE4M3 rise with what they stand for: those around the one that makes the largest weight 6, or 4. */
void encode_nvfp4(const float *x, const float *w, uint8_t *block) {
    block_nvfp4 *b = (void *)block;
    for (int s = 0; s < 4; s++, x += 16, w += 16) {
        float top = fabsf(largest_value(x, 16));
        int middle = 0;
        while (middle < 126 && 12 * ue4m3_half((uint8_t)middle) < top) middle++;
        double least = INFINITY;
        for (int code = middle < 6 ? 0 : middle - 6; code <= middle + 6 && code <= 126; code++) {
            double error = level_error(x, w, 16, &e2m1_levels, ue4m3_half((uint8_t)code));
            if (error < least) least = error, b->d[s] = (uint8_t)code;
        }
        uint8_t q[16];
        e2m1_codes(x, 16, ue4m3_half(b->d[s]), q);
        for (int i = 0; i < 8; i++) b->qs[8 * s + i] = (uint8_t)(q[i] | q[i + 8] << 4);
    }
}

/* ---- ternary ------------------------------------------------------------------------------------- */

/* What is beyond half the scale is 1 or -1, and the scale is the mean of their magnitudes: of many thresholds, the
 * best. */
static float fit_ternary(const float *x, const float *w) {
    float top = fabsf(largest_value(x, 256)), best = top;
    double least = INFINITY;
    for (int k = 0; k < 40 && top > 0; k++) {
        float threshold = top * (float)k / 40, sum = 0, weight = 0;
        for (int i = 0; i < 256; i++) {
            float inside = fabsf(x[i]) > threshold ? w[i] : 0;
            sum += inside * fabsf(x[i]);
            weight += inside;
        }
        double error = level_error(x, w, 256, &ternary, sum / weight);
        if (error < least) least = error, best = sum / weight;
    }
    return best;
}

static void ternary_codes(const float *x, const float *w, uint8_t d[2], uint8_t q[256]) {
    int8_t v[256];
    round_to_levels(x, 256, &ternary, put_half(d, fit_ternary(x, w)), v);
    for (int i = 0; i < 256; i++) q[i] = (uint8_t)(v[i] + 1);
}

/* `digits` digits a byte, highest first, n weights apart; as a fraction of 256, rounded up (unpack_tq1_0). */
static void pack_base_3(const uint8_t *q, int n, int digits, uint8_t *qs) {
    for (int i = 0; i < n; i++) {
        unsigned number = 0;
        for (int k = 0; k < 5; k++) number = number * 3 + (k < digits ? q[n * k + i] : 0);
        qs[i] = (uint8_t)((number * 256 + 242) / 243);
    }
}

void encode_tq1_0(const float *x, const float *w, uint8_t *block) {
    block_tq1_0 *b = (void *)block;
    uint8_t q[256];
    ternary_codes(x, w, b->d, q);
    pack_base_3(q, 32, 5, b->qs);
    pack_base_3(q + 160, 16, 5, b->qs + 32);
    pack_base_3(q + 240, 4, 4, b->qh);
}

void encode_tq2_0(const float *x, const float *w, uint8_t *block) {
    block_tq2_0 *b = (void *)block;
    uint8_t q[256];
    ternary_codes(x, w, b->d, q);
    for (int i = 0; i < 256; i++) {
        uint8_t *at = &b->qs[32 * (i / 128) + i % 32];
        *at = (uint8_t)(*at | q[i] << (2 * (i / 32 % 4)));
    }
}
