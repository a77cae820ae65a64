/*
 * Encoders of the super-blocks of 256 weights whose sub-blocks have integer scales: the K types and IQ4_XS.
 *
 * First every sub-block gets the scale that suits it best; then d is chosen so that the largest of them fits, and in
 * turns each sub-block takes the best of the integers near its own, and d is fitted to all of them.
 */
#include <math.h>

#include "quant/encode.h"

enum { WEIGHTS = 256, TURNS = 2 };

/* ---- scales -------------------------------------------------------------------------------------- */

/* x = d scale q: the types without minimums. */
typedef struct {
    int sub; /* weights a sub-block */
    const levels *l;
    int low, high; /* of the integer scales; -low > high */
} scaled_shape;

typedef struct {
    int8_t scale[16], q[WEIGHTS];
} scaled;

/* The integer scale of one sub-block, near `want`, under which its error is least. */
static int best_scale(const scaled_shape *s, const float *x, const float *w, float d, float want) {
    int middle = (int)nearest_f32(clamp_f32(want * inverse_or_zero(d), (float)s->low, (float)s->high)), best = middle;
    double least = INFINITY;
    for (int i = middle - 1; i <= middle + 1; i++) {
        if (i < s->low || i > s->high) continue;
        double error = level_error(x, w, s->sub, s->l, d * (float)i);
        if (error < least) least = error, best = i;
    }
    return best;
}

static void fit_scaled(const scaled_shape *s, const float *x, const float *w, uint8_t d_at[2], scaled *out) {
    int n_subs = WEIGHTS / s->sub;
    float want[16];
    for (int j = 0; j < n_subs; j++) want[j] = fit_scale(x + j * s->sub, w + j * s->sub, s->sub, s->l);
    float d = put_half(d_at, largest_value(want, n_subs) / (float)s->low);
    for (int turn = 0; turn < TURNS; turn++) {
        double xq = 0, qq = 0;
        for (int j = 0; j < n_subs; j++) {
            const float *xs = x + j * s->sub, *ws = w + j * s->sub;
            int8_t *q = out->q + j * s->sub;
            out->scale[j] = (int8_t)best_scale(s, xs, ws, d, want[j]);
            round_to_levels(xs, s->sub, s->l, d * (float)out->scale[j], q);
            for (int i = 0; i < s->sub; i++) {
                float v = (float)(out->scale[j] * q[i]);
                xq += (double)(ws[i] * xs[i] * v);
                qq += (double)(ws[i] * v * v);
            }
        }
        if (turn + 1 < TURNS && qq > 0) d = put_half(d_at, (float)(xq / qq));
    }
}

/* Two-bit codes: byte j of half h holds weights 128 h + j + {0, 32, 64, 96}, lowest bits first. */
static void pack_two_bits(const uint8_t q[WEIGHTS], uint8_t qs[64]) {
    for (int i = 0; i < WEIGHTS; i++) {
        uint8_t *at = &qs[32 * (i / 128) + i % 32];
        *at = (uint8_t)(*at | (q[i] & 3) << (2 * (i / 32 % 4)));
    }
}

void encode_q3_k(const float *x, const float *w, uint8_t *block) {
    static const levels three_bits = {.low = -4, .high = 3};
    static const scaled_shape shape = {16, &three_bits, -32, 31};
    block_q3_k *b = (void *)block;
    scaled f;
    uint8_t q[WEIGHTS];
    fit_scaled(&shape, x, w, b->d, &f);
    for (int j = 0; j < 16; j++) {
        unsigned s = (unsigned)(f.scale[j] + 32);
        b->scales[j % 8] = (uint8_t)(b->scales[j % 8] | (s & 15) << (4 * (j / 8)));
        b->scales[8 + j % 4] = (uint8_t)(b->scales[8 + j % 4] | (s >> 4) << (2 * (j / 4)));
    }
    for (int i = 0; i < WEIGHTS; i++) {
        q[i] = (uint8_t)(f.q[i] + 4);
        b->hmask[i % 32] = (uint8_t)(b->hmask[i % 32] | (q[i] >> 2) << (i / 32));
    }
    pack_two_bits(q, b->qs);
}

void encode_q6_k(const float *x, const float *w, uint8_t *block) {
    static const levels six_bits = {.low = -32, .high = 31};
    static const scaled_shape shape = {16, &six_bits, -128, 127};
    block_q6_k *b = (void *)block;
    scaled f;
    fit_scaled(&shape, x, w, b->d, &f);
    memcpy(b->scales, f.scale, sizeof b->scales);
    for (int i = 0; i < WEIGHTS; i++) { /* weight i of a half: 64 low bytes, whose high halves are the second 64 */
        unsigned q = (unsigned)(f.q[i] + 32);
        int half = i / 128, k = i % 128;
        uint8_t *low = &b->ql[64 * half + k % 64], *high = &b->qh[32 * half + k % 32];
        *low = (uint8_t)(*low | (q & 15) << (4 * (k / 64)));
        *high = (uint8_t)(*high | (q >> 4) << (2 * (k / 32)));
    }
}

void encode_iq4_xs(const float *x, const float *w, uint8_t *block) {
    static const levels iq4_levels = {.low = -127, .high = 113, .table = iq4_values, .n = 16};
    static const scaled_shape shape = {32, &iq4_levels, -32, 31};
    block_iq4_xs *b = (void *)block;
    scaled f;
    unsigned high = 0;
    fit_scaled(&shape, x, w, b->d, &f);
    for (int j = 0; j < 8; j++) {
        unsigned s = (unsigned)(f.scale[j] + 32);
        b->scales_l[j / 2] = (uint8_t)(b->scales_l[j / 2] | (s & 15) << (4 * (j % 2)));
        high |= (s >> 4) << (2 * j);
    }
    put_u16(b->scales_h, high);
    for (int i = 0; i < WEIGHTS; i++) {
        unsigned code = 0;
        while (iq4_values[code] != f.q[i]) code++;
        uint8_t *at = &b->qs[16 * (i / 32) + i % 16];
        *at = (uint8_t)(*at | code << (4 * (i / 16 % 2)));
    }
}

/* ---- scales and minimums ------------------------------------------------------------------------- */

/* x = d scale q - dmin min. */
typedef struct {
    int sub, top;  /* weights a sub-block, largest q */
    int top_scale; /* of scales and minimums */
} lined_shape;

typedef struct {
    uint8_t scale[16], min[16], q[WEIGHTS];
} lined;

/* The pair of integers near `want` under which a sub-block's error is least. */
static void best_pair(const lined_shape *s, const float *x, const float *w, float d, float dmin, line want,
                      uint8_t *scale, uint8_t *min) {
    float most = (float)s->top_scale;
    int a = (int)nearest_f32(clamp_f32(want.scale * inverse_or_zero(d), 0, most));
    int c = (int)nearest_f32(clamp_f32(-want.offset * inverse_or_zero(dmin), 0, most));
    double least = INFINITY;
    for (int i = a > 0 ? a - 1 : 0; i <= a + 1 && i <= s->top_scale; i++) {
        for (int k = c > 0 ? c - 1 : 0; k <= c + 1 && k <= s->top_scale; k++) {
            double error = line_error(x, w, s->sub, s->top, (line){d * (float)i, -dmin * (float)k});
            if (error < least) least = error, *scale = (uint8_t)i, *min = (uint8_t)k;
        }
    }
}

/* Sums for the least squares of x = d u - dmin v over a super-block. */
typedef struct {
    double uu, uv, vv, xu, xv;
} pair_sums;

/* d and dmin that suit the integers best; as they are where these do not tell, or where one would turn negative. */
static void fit_pair(const pair_sums *p, float *d, float *dmin) {
    double det = p->uu * p->vv - p->uv * p->uv;
    if (det > 1e-9 * p->uu * p->vv) {
        double a = (p->xu * p->vv - p->xv * p->uv) / det, b = (p->xu * p->uv - p->xv * p->uu) / det;
        if (a > 0 && b > 0) *d = (float)a, *dmin = (float)b;
    } else if (p->vv == 0 && p->uu > 0 && p->xu > 0) {
        *d = (float)(p->xu / p->uu);
    }
}

static void fit_lined(const lined_shape *s, const float *x, const float *w, uint8_t d_at[2], uint8_t dmin_at[2],
                      lined *out) {
    int n_subs = WEIGHTS / s->sub;
    line want[16];
    float most_scale = 0, most_min = 0;
    for (int j = 0; j < n_subs; j++) {
        want[j] = fit_line(x + j * s->sub, w + j * s->sub, s->sub, s->top, true);
        most_scale = want[j].scale > most_scale ? want[j].scale : most_scale;
        most_min = -want[j].offset > most_min ? -want[j].offset : most_min;
    }
    float d = put_half(d_at, most_scale / (float)s->top_scale);
    float dmin = put_half(dmin_at, most_min / (float)s->top_scale);
    for (int turn = 0; turn < TURNS; turn++) {
        pair_sums sums = {0};
        for (int j = 0; j < n_subs; j++) {
            const float *xs = x + j * s->sub, *ws = w + j * s->sub;
            uint8_t *q = out->q + j * s->sub;
            best_pair(s, xs, ws, d, dmin, want[j], &out->scale[j], &out->min[j]);
            float v = (float)out->min[j];
            round_to_line(xs, s->sub, s->top, (line){d * (float)out->scale[j], -dmin * v}, q);
            for (int i = 0; i < s->sub; i++) {
                float u = (float)(out->scale[j] * q[i]);
                sums.uu += (double)(ws[i] * u * u);
                sums.uv += (double)(ws[i] * u * v);
                sums.vv += (double)(ws[i] * v * v);
                sums.xu += (double)(ws[i] * u * xs[i]);
                sums.xv += (double)(ws[i] * v * xs[i]);
            }
        }
        if (turn + 1 == TURNS) break;
        fit_pair(&sums, &d, &dmin);
        d = put_half(d_at, d);
        dmin = put_half(dmin_at, dmin);
    }
}

void encode_q2_k(const float *x, const float *w, uint8_t *block) {
    static const lined_shape shape = {16, 3, 15};
    block_q2_k *b = (void *)block;
    lined f;
    fit_lined(&shape, x, w, b->d, b->dmin, &f);
    for (int j = 0; j < 16; j++) b->scales[j] = (uint8_t)(f.scale[j] | f.min[j] << 4);
    pack_two_bits(f.q, b->qs);
}

/* Eight 6-bit scales and minimums in twelve bytes (six_bit_scales in kquants.c). */
static void pack_scales(const lined *f, uint8_t s[12]) {
    for (int j = 0; j < 4; j++) {
        s[j] = (uint8_t)(f->scale[j] | f->scale[j + 4] >> 4 << 6);
        s[j + 4] = (uint8_t)(f->min[j] | f->min[j + 4] >> 4 << 6);
        s[j + 8] = (uint8_t)((f->scale[j + 4] & 15) | (f->min[j + 4] & 15) << 4);
    }
}

static void pack_four_bits(const uint8_t q[WEIGHTS], uint8_t qs[128]) {
    for (int i = 0; i < WEIGHTS; i++) {
        uint8_t *at = &qs[32 * (i / 64) + i % 32];
        *at = (uint8_t)(*at | (q[i] & 15) << (4 * (i / 32 % 2)));
    }
}

void encode_q4_k(const float *x, const float *w, uint8_t *block) {
    static const lined_shape shape = {32, 15, 63};
    block_q4_k *b = (void *)block;
    lined f;
    fit_lined(&shape, x, w, b->d, b->dmin, &f);
    pack_scales(&f, b->scales);
    pack_four_bits(f.q, b->qs);
}

void encode_q5_k(const float *x, const float *w, uint8_t *block) {
    static const lined_shape shape = {32, 31, 63};
    block_q5_k *b = (void *)block;
    lined f;
    fit_lined(&shape, x, w, b->d, b->dmin, &f);
    pack_scales(&f, b->scales);
    pack_four_bits(f.q, b->qs);
    for (int i = 0; i < WEIGHTS; i++) b->qh[i % 32] = (uint8_t)(b->qh[i % 32] | (f.q[i] >> 4) << (i / 32));
}
