/*
 * Functions of our own instead of libm's, whose results differ between systems: the same operations on every
 * tier give the same bits everywhere. From libm come only fmaf, fma, sqrtf and rint, which are correctly rounded.
 */
#ifndef KERNEL_FMATH_H
#define KERNEL_FMATH_H

#include <math.h>

#include "base/bits.h"

/* e^x to 2 units in the last place: x = n ln 2 + r, e^r by its series, times 2^n in two steps so that results
 * down to the smallest subnormal come out. NaN stays NaN. */
static inline float exp_f32(float x) {
    const float shift = 0x1.8p23f; /* adding it rounds to an integer, which then stands in the low bits */
    float c = x < -104.0f ? -104.0f : x;
    c = c > 89.0f ? 89.0f : c;
    float t = fmaf(c, 0x1.715476p0f, shift), n = t - shift;
    float r = fmaf(n, -0x1.62e4p-1f, c);
    r = fmaf(n, -0x1.7f7d1cp-20f, r);
    float p = 0x1.6d7752p-10f;
    p = fmaf(p, r, 0x1.123ccp-7f);
    p = fmaf(p, r, 0x1.555b98p-5f);
    p = fmaf(p, r, 0x1.55548ep-3f);
    p = fmaf(p, r, 0x1.fffff8p-2f);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    int32_t k = (int32_t)(f32_bits(t) - f32_bits(shift)), half = k >> 1;
    return p * f32_from_bits((uint32_t)(half + 127) << 23) * f32_from_bits((uint32_t)(k - half + 127) << 23);
}

/* Odd series in x for small |x|, then 1 - 2 / (e^2x + 1). */
static inline float tanh_f32(float x) {
    float a = fabsf(x), s = x * x, p = -0x1.733f28p-8f;
    p = fmaf(p, s, 0x1.51708ap-6f);
    p = fmaf(p, s, -0x1.b818ap-5f);
    p = fmaf(p, s, 0x1.11059ep-3f);
    p = fmaf(p, s, -0x1.555526p-2f);
    p = fmaf(p * s, x, x);
    float large = copysignf(1.0f - 2.0f / (exp_f32(2.0f * a) + 1.0f), x);
    return a < 0.625f ? p : large;
}

/* Odd series in x for |x| < 1, then 1 - e^-q with q = -ln erfc fitted on [0.9, 4]; from 4 on it is 1. */
static inline float erf_f32(float x) {
    float a = fabsf(x), s = x * x, p = 0x1.4a9dacp-14f, t = a > 4.0f ? 4.0f : a, q = -0x1.b03ee2p-20f;
    p = fmaf(p, s, -0x1.a46b4p-11f);
    p = fmaf(p, s, 0x1.541636p-8f);
    p = fmaf(p, s, -0x1.b7fb38p-6f);
    p = fmaf(p, s, 0x1.ce2d18p-4f);
    p = fmaf(p, s, -0x1.81273ep-2f);
    p = fmaf(p, s, 0x1.20dd74p+0f);
    q = fmaf(q, t, 0x1.7dc9fp-15f);
    q = fmaf(q, t, -0x1.366d58p-11f);
    q = fmaf(q, t, 0x1.3670d8p-8f);
    q = fmaf(q, t, -0x1.afcd64p-6f);
    q = fmaf(q, t, 0x1.c26642p-4f);
    q = fmaf(q, t, 0x1.438fc4p-1f);
    q = fmaf(q, t, 0x1.2151d8p+0f);
    q = fmaf(q, t, -0x1.3adaccp-12f);
    float large = copysignf(1.0f - exp_f32(-q), x);
    return a < 1.0f ? p * x : a == a ? large : x;
}

static inline float sigmoid_f32(float x) { return 1.0f / (1.0f + exp_f32(-x)); }

/* x/2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) = x sigmoid(2 ...) */
static inline float gelu_f32(float x) {
    float u = x * fmaf(x * x, 0.0713548163f, 1.59576912f);
    return x / (1.0f + exp_f32(-u));
}

static inline float gelu_erf_f32(float x) {
    float half = 0.5f * x;
    return fmaf(half, erf_f32(x * 0.707106781f), half);
}

static inline float silu_f32(float x) { return x / (1.0f + exp_f32(-x)); }

/* ---- double precision, for tables and the sampler -------------------------------------------- */

/* ln x for normal x > 0: x = m 2^e with m in [sqrt 1/2, sqrt 2), ln m = 2 artanh((m - 1) / (m + 1)). */
static inline double log_f64(double x) {
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    int64_t e = (int64_t)((u - 0x3FE6A09E667F3BCDu) >> 52 << 52) >> 52;
    u -= (uint64_t)e << 52;
    double m;
    memcpy(&m, &u, sizeof m);
    double s = (m - 1) / (m + 1), s2 = s * s, p = 0;
    for (int k = 23; k >= 3; k -= 2) p = fma(p, s2, 1.0 / k);
    p = fma(2 * s * s2, p, 2 * s);
    return fma((double)e, 0x1.62e42fefa39efp-1, fma((double)e, 0x1.abc9e3b39803fp-56, p));
}

/* e^x for |x| < 700. */
static inline double exp_f64(double x) {
    double n = rint(x * 0x1.71547652b82fep0);
    double r = fma(n, -0x1.62e42fefa39efp-1, x);
    r = fma(n, -0x1.abc9e3b39803fp-56, r);
    double p = 1.0 / 87178291200.0, f = 87178291200.0; /* 14! */
    for (int k = 14; k >= 1; k--) {
        f /= k; /* (k - 1)!, exact */
        p = fma(p, r, 1.0 / f);
    }
    uint64_t u = (uint64_t)((int64_t)n + 1023) << 52;
    double scale;
    memcpy(&scale, &u, sizeof scale);
    return p * scale;
}

/* base^y for base > 0 and results within double's range. */
static inline double pow_f64(double base, double y) { return exp_f64(y * log_f64(base)); }

/* sin and cos of 0 <= x < 2^30: x = n pi/2 + r with pi/2 in two parts, then their series on |r| <= pi/4. */
static inline void sincos_f64(double x, double *sin_x, double *cos_x) {
    double n = rint(x * 0x1.45f306dc9c883p-1);
    double r = fma(n, -0x1.921fb54442d18p0, x);
    r = fma(n, -0x1.1a62633145c07p-54, r);
    double r2 = r * r, s = 0, c = 0;
    for (int k = 16; k >= 2; k -= 2) {
        s = fma(s, r2, 1.0) * (-1.0 / (k * (k + 1)));
        c = fma(c, r2, 1.0) * (-1.0 / (k * (k - 1)));
    }
    s = fma(s * r2, r, r);
    c = fma(c, r2, 1.0);
    switch ((int64_t)n & 3) {
    case 0: *sin_x = s, *cos_x = c; break;
    case 1: *sin_x = c, *cos_x = -s; break;
    case 2: *sin_x = -s, *cos_x = -c; break;
    default: *sin_x = -c, *cos_x = s; break;
    }
}

#endif
