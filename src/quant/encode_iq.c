/*
 * Encoders of the types whose weights come in groups from a codebook: IQ1, IQ2, IQ3.
 *
 * A group is put under a scale and takes the entry of the codebook with the least error, found by looking at all: an
 * entry's error is the sum of two numbers out of tables, one for the codes of each half of its weights. The scales are
 * fitted as those of encode_k.c. IQ2 and IQ3 keep the signs apart; where only an even number of a group's eight may be
 * set, the weight that matters least takes the other sign. IQ1 shifts all levels up or down by an eighth.
 */
#include <math.h>

#include "quant/encode.h"
#include "quant/iq_grids.h"

enum { WEIGHTS = 256, GROUP = 8, MAX_SUB = 32, MAX_ENTRIES = MAX_SUB / 4, CODES = 256 };

typedef enum { NO_SIGNS, EVEN_SIGNS, ALL_SIGNS } sign_kind;

typedef struct {
    const uint16_t *grid;
    int n_entries, width; /* weights an entry: 8, with codes of two bits, or 4, with codes of three */
    int sub;              /* weights a sub-block */
    sign_kind signs;
    int8_t values[2][8]; /* what a code stands for; of IQ1, when shifted up and when shifted down */
    int n_shifts;
    bool shift_groups; /* each group has a shift of its own, not each sub-block */
    levels free;       /* the levels without a codebook, for the first guess of a scale */
    int top_scale;     /* a sub-block's scale is 2 s + 1, s from 0 to this */
    float unit;        /* d / unit is what the scales multiply */
} grid_shape;

/* What one sub-block becomes. */
typedef struct {
    uint16_t entry[MAX_ENTRIES];
    uint8_t shift[MAX_SUB / GROUP];
    double error, xq, qq; /* sums of w (x - scale q)^2, w x q, w q^2 */
} choice;

typedef struct {
    float x[WEIGHTS]; /* magnitudes where signs are kept apart; one that has the other sign is negative */
    uint8_t signs[WEIGHTS / GROUP];
    uint8_t scale[16];
    choice sub[16];
} fitted;

/* ---- one group ----------------------------------------------------------------------------------- */

/* The error of every code of `n` weights: n codes of `bits` bits, the first one lowest. */
static void code_errors(const float *x, const float *w, int n, int bits, const int8_t *values, float scale,
                        float out[CODES]) {
    int n_values = 1 << bits, size = 1;
    out[0] = 0;
    for (int i = 0; i < n; i++, size *= n_values) {
        for (int v = n_values - 1; v >= 0; v--) {
            float e = x[i] - scale * (float)values[v], error = w[i] * e * e;
            for (int c = 0; c < size; c++) out[v * size + c] = out[c] + error;
        }
    }
}

/* The entry of least error for `width` weights. */
static int best_entry(const grid_shape *g, const float *x, const float *w, const int8_t *values, float scale,
                      float *least) {
    float low[CODES], high[CODES];
    int half = g->width / 2, bits = g->width == 8 ? 2 : 3, shift = half * bits, best = 0;
    code_errors(x, w, half, bits, values, scale, low);
    code_errors(x + half, w + half, half, bits, values, scale, high);
    *least = INFINITY;
    for (int i = 0; i < g->n_entries; i++) {
        float error = low[g->grid[i] & ((1 << shift) - 1)] + high[g->grid[i] >> shift];
        if (error < *least) *least = error, best = i;
    }
    return best;
}

/* ---- one sub-block ------------------------------------------------------------------------------- */

static int level_of(const grid_shape *g, int entry, int shift, int i) {
    int bits = g->width == 8 ? 2 : 3;
    return g->values[shift][g->grid[entry] >> (bits * i) & ((1 << bits) - 1)];
}

static void add_sums(const grid_shape *g, const float *x, const float *w, choice *c) {
    c->xq = c->qq = 0;
    for (int i = 0; i < g->sub; i++) {
        float q = (float)level_of(g, c->entry[i / g->width], c->shift[i / GROUP], i % g->width);
        c->xq += (double)(w[i] * x[i] * q);
        c->qq += (double)(w[i] * q * q);
    }
}

/* The best entries of groups [begin, end) under a scale and a shift; returns their error. */
static double choose_entries(const grid_shape *g, const float *x, const float *w, float scale, int shift, int begin,
                             int end, choice *out) {
    double error = 0;
    float least;
    for (int at = begin * GROUP; at < end * GROUP; at += g->width) {
        out->entry[at / g->width] = (uint16_t)best_entry(g, x + at, w + at, g->values[shift], scale, &least);
        error += (double)least;
    }
    for (int i = begin; i < end; i++) out->shift[i] = (uint8_t)shift;
    return error;
}

/* The best of a sub-block under a scale. Shifts are chosen for each group, or for all together. */
static choice choose(const grid_shape *g, const float *x, const float *w, float scale) {
    choice best = {.error = 0};
    int groups = g->sub / GROUP, step = g->shift_groups ? 1 : groups;
    for (int i = 0; i < groups; i += step) {
        double least = INFINITY;
        choice found = best;
        for (int shift = 0; shift < g->n_shifts; shift++) {
            choice c = best;
            double error = choose_entries(g, x, w, scale, shift, i, i + step, &c);
            if (error < least) least = error, found = c;
        }
        best = found;
        best.error += least;
    }
    add_sums(g, x, w, &best);
    return best;
}

/* The scale that suits a sub-block best. */
static float fit_grid_scale(const grid_shape *g, const float *x, const float *w) {
    static const float around[] = {1, 0.85f, 1.15f};
    float first = fabsf(fit_scale(x, w, g->sub, &g->free)), best = first;
    double least = INFINITY;
    for (int k = 0; k < 3 && first != 0; k++) {
        float scale = first * around[k];
        for (int again = 0; again < 2; again++) {
            choice c = choose(g, x, w, scale);
            if (c.qq <= 0 || c.xq <= 0) break;
            double error = c.error - (c.xq - (double)scale * c.qq) * (c.xq - (double)scale * c.qq) / c.qq;
            scale = (float)(c.xq / c.qq);
            if (error < least) least = error, best = scale;
        }
    }
    return best;
}

/* ---- a block ------------------------------------------------------------------------------------- */

/* Takes the signs off. */
static void split_signs(const grid_shape *g, const float *x, const float *w, fitted *f) {
    for (int at = 0; at < WEIGHTS; at += GROUP) {
        unsigned signs = 0, n = 0;
        int least = at;
        for (int i = at; i < at + GROUP; i++) {
            bool negative = g->signs != NO_SIGNS && x[i] < 0;
            f->x[i] = negative ? -x[i] : x[i];
            signs |= (unsigned)negative << (i - at);
            n += negative;
            if (w[i] * x[i] * x[i] < w[least] * x[least] * x[least]) least = i;
        }
        if (g->signs == EVEN_SIGNS && n % 2 == 1) {
            f->x[least] = -f->x[least];
            signs ^= 1u << (least - at);
        }
        f->signs[at / GROUP] = (uint8_t)signs;
    }
}

/* The scale near `want` under which a sub-block's error is least, and what the sub-block becomes. */
static void choose_scale(const grid_shape *g, const float *x, const float *w, float d, float want, uint8_t *scale,
                         choice *out) {
    int middle = (int)nearest_f32(clamp_f32((want * inverse_or_zero(d) - 1) * 0.5f, 0, (float)g->top_scale));
    out->error = INFINITY;
    for (int s = middle > 0 ? middle - 1 : 0; s <= middle + 1 && s <= g->top_scale; s++) {
        choice c = choose(g, x, w, d * (float)(2 * s + 1));
        if (c.error < out->error) *out = c, *scale = (uint8_t)s;
    }
}

static void fit_grid(const grid_shape *g, const float *x, const float *w, uint8_t d_at[2], fitted *f) {
    int n_subs = WEIGHTS / g->sub;
    float want[16];
    split_signs(g, x, w, f);
    for (int j = 0; j < n_subs; j++) want[j] = fit_grid_scale(g, f->x + j * g->sub, w + j * g->sub);
    float top = (float)(2 * g->top_scale + 1), d = put_half(d_at, largest_value(want, n_subs) / top * g->unit);
    for (int turn = 0; turn < 2; turn++) {
        double xq = 0, qq = 0;
        for (int j = 0; j < n_subs; j++) {
            choice *c = &f->sub[j];
            choose_scale(g, f->x + j * g->sub, w + j * g->sub, d / g->unit, want[j], &f->scale[j], c);
            xq += (2 * f->scale[j] + 1) * c->xq;
            qq += (double)((2 * f->scale[j] + 1) * (2 * f->scale[j] + 1)) * c->qq;
        }
        if (turn == 0 && qq > 0 && xq > 0) d = put_half(d_at, (float)(xq / qq) * g->unit);
    }
}

/* The place in the codebook of entry i of the block. */
static unsigned entry_of(const grid_shape *g, const fitted *f, int i) {
    int each = g->sub / g->width;
    return f->sub[i / each].entry[i % each];
}

/* Two 4-bit scales a byte. */
static void pack_scales(const fitted *f, int n, uint8_t *out) {
    for (int j = 0; j < n; j++) out[j / 2] = (uint8_t)(out[j / 2] | f->scale[j] << (4 * (j % 2)));
}

/* ---- types --------------------------------------------------------------------------------------- */

static const int8_t iq2_rising[] = {8, 25, 43};
static const int8_t iq3_xxs_rising[] = {4, 12, 20, 28, 36, 44, 52, 62};
static const int8_t iq3_s_rising[] = {1, 3, 5, 7, 9, 11, 13, 15};
static const int8_t iq1_rising[] = {-8, 0, 8};

/* clang-format off */
#define IQ2_LEVELS .values = {{8, 25, 43, 43}}, .n_shifts = 1, .free = {8, 43, iq2_rising, 3}, .top_scale = 15, .unit = 8
static const grid_shape
    iq2_xxs = {iq2_xxs_grid, 256, 8, 32, EVEN_SIGNS, IQ2_LEVELS},
    iq2_xs = {iq2_xs_grid, 512, 8, 16, EVEN_SIGNS, IQ2_LEVELS},
    iq2_s = {iq2_s_grid, 1024, 8, 16, ALL_SIGNS, IQ2_LEVELS};
#undef IQ2_LEVELS

static const grid_shape
    iq3_xxs = {iq3_xxs_grid, 256, 4, 32, EVEN_SIGNS, {{4, 12, 20, 28, 36, 44, 52, 62}}, .n_shifts = 1,
               .free = {4, 62, iq3_xxs_rising, 8}, .top_scale = 15, .unit = 4},
    iq3_s = {iq3_s_grid, 512, 4, 32, ALL_SIGNS, {{1, 3, 5, 7, 9, 11, 13, 15}}, .n_shifts = 1,
             .free = {1, 15, iq3_s_rising, 8}, .top_scale = 15, .unit = 1};

#define IQ1_LEVELS .values = {{-7, 1, 9, 9}, {-9, -1, 7, 7}}, .n_shifts = 2, .free = {-8, 8, iq1_rising, 3}, .top_scale = 7, .unit = 8
static const grid_shape
    iq1_s = {iq1_grid, 2048, 8, 32, NO_SIGNS, IQ1_LEVELS},
    iq1_m = {iq1_grid, 2048, 8, 16, NO_SIGNS, IQ1_LEVELS, .shift_groups = true};
#undef IQ1_LEVELS
/* clang-format on */

static void put_u32(uint8_t at[4], uint32_t v) {
    put_u16(at, v & 0xFFFF);
    put_u16(at + 2, v >> 16);
}

/* Four times seven signs and a scale. */
static uint32_t signs_and_scale(const fitted *f, int sub) {
    uint32_t word = (uint32_t)f->scale[sub] << 28;
    for (int k = 0; k < 4; k++) word |= (uint32_t)(f->signs[4 * sub + k] & 127) << (7 * k);
    return word;
}

void encode_iq2_xxs(const float *x, const float *w, uint8_t *block) {
    block_iq2_xxs *b = (void *)block;
    fitted f;
    fit_grid(&iq2_xxs, x, w, b->d, &f);
    for (int s = 0; s < 8; s++) {
        for (int k = 0; k < 4; k++) b->qs[8 * s + k] = (uint8_t)entry_of(&iq2_xxs, &f, 4 * s + k);
        put_u32(b->qs + 8 * s + 4, signs_and_scale(&f, s));
    }
}

void encode_iq2_xs(const float *x, const float *w, uint8_t *block) {
    block_iq2_xs *b = (void *)block;
    fitted f;
    fit_grid(&iq2_xs, x, w, b->d, &f);
    for (int i = 0; i < 32; i++) put_u16(b->qs + 2 * i, entry_of(&iq2_xs, &f, i) | (f.signs[i] & 127u) << 9);
    pack_scales(&f, 16, b->scales);
}

void encode_iq2_s(const float *x, const float *w, uint8_t *block) {
    block_iq2_s *b = (void *)block;
    fitted f;
    fit_grid(&iq2_s, x, w, b->d, &f);
    for (int i = 0; i < 32; i++) {
        unsigned entry = entry_of(&iq2_s, &f, i);
        b->qs[i] = (uint8_t)entry;
        b->qh[i / 4] = (uint8_t)(b->qh[i / 4] | entry >> 8 << (2 * (i % 4)));
        b->signs[i] = f.signs[i];
    }
    pack_scales(&f, 16, b->scales);
}

void encode_iq3_xxs(const float *x, const float *w, uint8_t *block) {
    block_iq3_xxs *b = (void *)block;
    fitted f;
    fit_grid(&iq3_xxs, x, w, b->d, &f);
    for (int i = 0; i < 64; i++) b->qs[i] = (uint8_t)entry_of(&iq3_xxs, &f, i);
    for (int s = 0; s < 8; s++) put_u32(b->scales_signs + 4 * s, signs_and_scale(&f, s));
}

void encode_iq3_s(const float *x, const float *w, uint8_t *block) {
    block_iq3_s *b = (void *)block;
    fitted f;
    fit_grid(&iq3_s, x, w, b->d, &f);
    for (int i = 0; i < 64; i++) {
        unsigned entry = entry_of(&iq3_s, &f, i);
        b->qs[i] = (uint8_t)entry;
        b->qh[i / 8] = (uint8_t)(b->qh[i / 8] | entry >> 8 << (i % 8));
    }
    memcpy(b->signs, f.signs, sizeof b->signs);
    pack_scales(&f, 8, b->scales);
}

void encode_iq1_s(const float *x, const float *w, uint8_t *block) {
    block_iq1_s *b = (void *)block;
    fitted f;
    fit_grid(&iq1_s, x, w, b->d, &f);
    for (int s = 0; s < 8; s++) {
        unsigned high = (unsigned)f.scale[s] << 12 | (unsigned)f.sub[s].shift[0] << 15;
        for (int k = 0; k < 4; k++) {
            unsigned entry = f.sub[s].entry[k];
            b->qs[4 * s + k] = (uint8_t)entry;
            high |= entry >> 8 << (3 * k);
        }
        put_u16(b->qh + 2 * s, high);
    }
}

void encode_iq1_m(const float *x, const float *w, uint8_t *block) {
    block_iq1_m *b = (void *)block;
    fitted f;
    uint8_t d[2];
    fit_grid(&iq1_m, x, w, d, &f);
    for (int k = 0; k < 4; k++) {
        unsigned word = (unsigned)(u16_at(d) >> (4 * k) & 15) << 12;
        for (int s = 0; s < 4; s++) word |= (unsigned)f.scale[4 * k + s] << (3 * s);
        put_u16(b->scales + 2 * k, word);
    }
    for (int i = 0; i < 32; i++) {
        unsigned entry = f.sub[i / 2].entry[i % 2], high = entry >> 8 | (unsigned)f.sub[i / 2].shift[i % 2] << 3;
        b->qs[i] = (uint8_t)entry;
        b->qh[i / 2] = (uint8_t)(b->qh[i / 2] | high << (4 * (i % 2)));
    }
}
