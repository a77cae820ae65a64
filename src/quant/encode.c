#include "quant/encode.h"

#include <float.h>
#include <math.h>

/* Inlined for certain: what callers know of the levels is what lets the loops become vectors. */
#define INLINE static inline __attribute__((always_inline))

/* ---- one scale ----------------------------------------------------------------------------------- */

/* Sums over the weights of a group have eight lanes, which a compiler can put into vectors. */
enum { SUM_LANES = 8 };

static float sum_of_lanes(const float lane[SUM_LANES]) {
    return ((lane[0] + lane[4]) + (lane[2] + lane[6])) + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

float largest_value(const float *x, int n) {
    float best = 0;
    for (int i = 0; i < n; i++) best = fabsf(x[i]) > fabsf(best) ? x[i] : best;
    return fabsf(best) < ENCODE_SMALLEST ? 0 : best;
}

INLINE double level_error_inline(const float *x, const float *w, int n, const levels *l, float scale) {
    float lane[SUM_LANES] = {0}, inverse = inverse_or_zero(scale);
    for (int i = 0; i < n; i += SUM_LANES) {
        for (int k = 0; k < SUM_LANES; k++) {
            float e = x[i + k] - scale * level_near(l, x[i + k] * inverse);
            lane[k] += w[i + k] * e * e;
        }
    }
    return (double)sum_of_lanes(lane);
}

/* Rounds x * inverse to levels q; returns how much of sum w x^2 the best scale for these q explains. */
INLINE float gain_of(const float *x, const float *w, int n, const levels *l, float inverse, float *scale) {
    float xq[SUM_LANES] = {0}, qq[SUM_LANES] = {0};
    for (int i = 0; i < n; i += SUM_LANES) {
        for (int k = 0; k < SUM_LANES; k++) {
            float q = level_near(l, x[i + k] * inverse), wq = w[i + k] * q;
            xq[k] += wq * x[i + k];
            qq[k] += wq * q;
        }
    }
    float a = sum_of_lanes(xq), b = sum_of_lanes(qq);
    *scale = b > 0 ? a / b : 0;
    return b > 0 ? a * *scale : 0;
}

/* The largest value is tried at every level of a short scale, which finds the scale of weights that have been rounded
 * before, and in small steps around the ends. */
INLINE float fit_scale_inline(const float *x, const float *w, int n, const levels *l) {
    float top = largest_value(x, n), best = 0, best_gain = 0, scale;
    if (top == 0) return 0;
    float end = -l->low > l->high ? l->low : l->high;
    int n_levels = l->table ? l->n : (int)(l->high - l->low) + 1, n_steps = n_levels <= 16 ? n_levels : 0;
    for (int k = -12; k < 13 + n_steps; k++) {
        float at = k < 13     ? end * (1 + (float)k * 0.1f / (n_levels <= 32 ? (float)n_levels * 0.5f : 16.0f))
                   : l->table ? l->table[k - 13]
                              : l->low + (float)(k - 13);
        float gain = gain_of(x, w, n, l, at / top, &scale);
        if (gain > best_gain) best_gain = gain, best = scale;
    }
    for (int again = 0; again < 2 && best != 0; again++) {
        float gain = gain_of(x, w, n, l, 1 / best, &scale);
        if (gain <= best_gain) break;
        best_gain = gain;
        best = scale;
    }
    return best;
}

/* With the number of levels known, the loops have no branch. */
#define WITH_KNOWN_LEVELS(l, expression)                                                                               \
    do {                                                                                                               \
        levels known = *(l);                                                                                           \
        if (!known.table) {                                                                                            \
            known.table = NULL;                                                                                        \
            return expression;                                                                                         \
        }                                                                                                              \
        if (known.n == 16) {                                                                                           \
            known.n = 16;                                                                                              \
            return expression;                                                                                         \
        }                                                                                                              \
        return expression;                                                                                             \
    } while (0)

double level_error(const float *x, const float *w, int n, const levels *l, float scale) {
    WITH_KNOWN_LEVELS(l, level_error_inline(x, w, n, &known, scale));
}

float fit_scale(const float *x, const float *w, int n, const levels *l) {
    WITH_KNOWN_LEVELS(l, fit_scale_inline(x, w, n, &known));
}

void round_to_levels(const float *x, int n, const levels *l, float scale, int8_t *q) {
    float inverse = inverse_or_zero(scale);
    for (int i = 0; i < n; i++) q[i] = (int8_t)level_near(l, x[i] * inverse);
}

/* ---- a scale and an offset ----------------------------------------------------------------------- */

static float line_step(float x, line l, float inverse, int top) {
    return nearest_f32(clamp_f32((x - l.offset) * inverse, 0, (float)top));
}

double line_error(const float *x, const float *w, int n, int top, line l) {
    float lane[SUM_LANES] = {0}, inverse = inverse_or_zero(l.scale);
    for (int i = 0; i < n; i += SUM_LANES) {
        for (int k = 0; k < SUM_LANES; k++) {
            float e = x[i + k] - l.offset - l.scale * line_step(x[i + k], l, inverse, top);
            lane[k] += w[i + k] * e * e;
        }
    }
    return (double)sum_of_lanes(lane);
}

void round_to_line(const float *x, int n, int top, line l, uint8_t *q) {
    float inverse = inverse_or_zero(l.scale);
    for (int i = 0; i < n; i++) q[i] = (uint8_t)line_step(x[i], l, inverse, top);
}

/* What least squares need of a group: sums of w times 1, x, x^2. */
typedef struct {
    double w, x, xx;
} moments;

/* Rounds to steps under `guess` and returns the best line for these steps; *error becomes what it leaves. */
static line best_line(const float *x, const float *w, int n, int top, bool below, line guess, const moments *m,
                      double *error) {
    float q1[SUM_LANES] = {0}, q2[SUM_LANES] = {0}, xq[SUM_LANES] = {0}, inverse = inverse_or_zero(guess.scale);
    for (int i = 0; i < n; i += SUM_LANES) {
        for (int k = 0; k < SUM_LANES; k++) {
            float q = line_step(x[i + k], guess, inverse, top), wq = w[i + k] * q;
            q1[k] += wq;
            q2[k] += wq * q;
            xq[k] += wq * x[i + k];
        }
    }
    double q = (double)sum_of_lanes(q1), qq = (double)sum_of_lanes(q2), s_xq = (double)sum_of_lanes(xq);
    double det = m->w * qq - q * q, scale = 0, offset = m->x / m->w;
    if (det > 1e-9 * m->w * qq) {
        scale = (m->w * s_xq - m->x * q) / det;
        offset = (qq * m->x - q * s_xq) / det;
    }
    if (below && (offset > 0 || scale < 0)) {
        offset = offset > 0 ? 0 : offset;
        scale = qq > 0 ? (s_xq - offset * q) / qq : 0;
        scale = scale < 0 ? 0 : scale;
    }
    *error =
        m->xx + scale * scale * qq + offset * offset * m->w - 2 * (scale * s_xq + offset * m->x - scale * offset * q);
    return (line){(float)scale, (float)offset};
}

line fit_line(const float *x, const float *w, int n, int top, bool below) {
    float low = x[0], high = x[0];
    moments m = {0};
    for (int i = 0; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
        m.w += (double)w[i];
        m.x += (double)(w[i] * x[i]);
        m.xx += (double)(w[i] * x[i]) * (double)x[i];
    }
    if (below && low > 0) low = 0;
    if (high - low < ENCODE_SMALLEST) return (line){0, low};
    line best = {0, below && low > 0 ? 0 : low};
    double least = INFINITY, error;
    for (int k = -10; k <= 10; k++) {
        line guess = {(high - low) / ((float)top + 0.1f * (float)k), low};
        line l = best_line(x, w, n, top, below, guess, &m, &error);
        if (error < least) least = error, best = l;
    }
    for (int again = 0; again < 3; again++) {
        line l = best_line(x, w, n, top, below, best, &m, &error);
        if (error >= least) break;
        least = error;
        best = l;
    }
    return best;
}

/* ---- rows ---------------------------------------------------------------------------------------- */

static bool check_values(const quant_row *row, const float *x, size_t n, size_t first, float largest, gguf_error *err) {
    for (size_t i = 0; i < n; i++) {
        if (fabsf(x[i]) <= largest) continue;
        if (isfinite(x[i])) {
            return fail(err, GGUF_ERR_RUN, "value %zu is %g, beyond what type %s can hold", first + i, (double)x[i],
                        row->name);
        }
        return fail(err, GGUF_ERR_RUN, "value %zu is not finite (NaN or infinity)", first + i);
    }
    return true;
}

/* Importance as weights around 1, all above 0. */
static bool take_weights(const float *importance, size_t n, size_t first, float *w, gguf_error *err) {
    float sum = 0;
    for (size_t i = 0; i < n; i++) {
        if (importance && !(importance[i] >= 0 && importance[i] <= ENCODE_LARGEST)) {
            return fail(err, GGUF_ERR_RUN, "importance %zu is %g; it must be finite and not below 0", first + i,
                        (double)importance[i]);
        }
        sum += importance ? importance[i] : 0;
    }
    float unit = sum > ENCODE_SMALLEST ? (float)n / sum : 0;
    for (size_t i = 0; i < n; i++) w[i] = unit > 0 ? importance[i] * unit + 1e-4f : 1;
    return true;
}

/* Whether the scales of a block have stayed finite. */
static bool block_is_finite(const quant_row *row, const uint8_t *block) {
    quant_parts parts[QUANT_MAX_PARTS];
    row->unpack(block, parts);
    bool ok = true;
    for (size_t p = 0; p < row->block / row->part; p++) ok = ok && isfinite(parts[p].d) && isfinite(parts[p].dmin);
    return ok;
}

bool quant_encode(quant_type type, const float *x, size_t n, const float *importance, uint8_t *out, gguf_error *err) {
    const quant_row *row = &quant_types[type];
    if (row->store) {
        /* what still rounds to a finite number */
        float largest = type == QUANT_F16 ? 65519.996f : type == QUANT_BF16 ? 0x1.fefffep127f : FLT_MAX;
        if (!check_values(row, x, n, 0, largest, err)) return false;
        row->store(x, n, out);
        return true;
    }
    if (!row->encode) return fail(err, GGUF_ERR_USAGE, "tensors of type %s cannot be made", row->name);
    for (size_t i = 0; i < n; i += row->block, out += row->bytes) {
        float w[QUANT_MAX_BLOCK];
        if (!check_values(row, x + i, row->block, i, ENCODE_LARGEST, err) ||
            !take_weights(importance ? importance + i : NULL, row->block, i, w, err)) {
            return false;
        }
        memset(out, 0, row->bytes);
        row->encode(x + i, w, out);
        if (block_is_finite(row, out)) continue;
        return fail(err, GGUF_ERR_RUN, "the values from %zu on are too large for type %s", i, row->name);
    }
    return true;
}
