/*
 * The IQ types. IQ4: a code of four bits stands for one of sixteen unequal steps. IQ1, IQ2, IQ3: a code stands for a
 * group of eight (IQ3: four) magnitudes from a codebook (iq_grids.h), and signs stand beside them.
 *
 * Their scales are odd eighths or quarters of d: d (2 s + 1) / 8. The fraction goes into d, which is exact, and 2 s + 1
 * is the integer that quant_parts has; so does IQ1's shift of a weight by an eighth: 8 q +- 1 times d / 8.
 */
#include "quant/blocks.h"
#include "quant/iq_grids.h"

const int8_t iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

/* ---- groups -------------------------------------------------------------------------------------- */

static const int8_t iq2_values[4] = {8, 25, 43};
static const int8_t iq3_xxs_values[8] = {4, 12, 20, 28, 36, 44, 52, 62};
static const int8_t iq3_s_values[8] = {1, 3, 5, 7, 9, 11, 13, 15};

static inline int8_t with_sign(int v, unsigned signs, int i) { return (int8_t)(signs >> i & 1 ? -v : v); }

static void iq2_group(unsigned entry, unsigned signs, int8_t q[8]) {
    for (int i = 0; i < 8; i++) q[i] = with_sign(iq2_values[entry >> (2 * i) & 3], signs, i);
}

/* Two entries of four weights. */
static void iq3_groups(unsigned first, unsigned second, const int8_t values[8], unsigned signs, int8_t q[8]) {
    for (int i = 0; i < 4; i++) {
        q[i] = with_sign(values[first >> (3 * i) & 7], signs, i);
        q[i + 4] = with_sign(values[second >> (3 * i) & 7], signs, i + 4);
    }
}

/* Eight times -1, 0 or 1, and one more or one less. */
static void iq1_group(unsigned entry, bool less, int8_t q[8]) {
    for (int i = 0; i < 8; i++) q[i] = (int8_t)(8 * ((int)(entry >> (2 * i) & 3) - 1) + (less ? -1 : 1));
}

static void scale_d(quant_parts *out, float d) {
    out->d = d;
    out->dmin = 0;
}

static int8_t odd(unsigned s) { return (int8_t)(2 * s + 1); }

/* Sixteen 4-bit scales, or eight, two a byte, low half first. */
static void odd_nibbles(const uint8_t *s, int n, int8_t *scale) {
    for (int i = 0; i < n; i++) scale[i] = odd(s[i / 2] >> (4 * (i % 2)) & 15);
}

/* ---- types --------------------------------------------------------------------------------------- */

void unpack_iq2_xxs(const uint8_t *p, quant_parts *out) {
    const block_iq2_xxs *b = (const void *)p;
    scale_d(out, half_at(b->d) * 0.125f);
    for (int s = 0; s < 8; s++) { /* 32 weights: four places of eight bits, four times seven signs, the scale */
        const uint8_t *place = b->qs + 8 * s;
        uint32_t signs = u32_at(place + 4);
        for (int g = 0; g < 4; g++) {
            iq2_group(iq2_xxs_grid[place[g]], even_signs(signs >> (7 * g) & 127), out->q + 32 * s + 8 * g);
        }
        out->scale[s] = odd(signs >> 28);
    }
}

void unpack_iq2_xs(const uint8_t *p, quant_parts *out) {
    const block_iq2_xs *b = (const void *)p;
    scale_d(out, half_at(b->d) * 0.125f);
    odd_nibbles(b->scales, 16, out->scale);
    for (int g = 0; g < 32; g++) { /* a place of nine bits and seven signs */
        unsigned code = u16_at(b->qs + 2 * g);
        iq2_group(iq2_xs_grid[code & 511], even_signs(code >> 9), out->q + 8 * g);
    }
}

void unpack_iq2_s(const uint8_t *p, quant_parts *out) {
    const block_iq2_s *b = (const void *)p;
    scale_d(out, half_at(b->d) * 0.125f);
    odd_nibbles(b->scales, 16, out->scale);
    for (int g = 0; g < 32; g++) {
        unsigned place = b->qs[g] | (b->qh[g / 4] >> (2 * (g % 4)) & 3u) << 8;
        iq2_group(iq2_s_grid[place], b->signs[g], out->q + 8 * g);
    }
}

void unpack_iq3_xxs(const uint8_t *p, quant_parts *out) {
    const block_iq3_xxs *b = (const void *)p;
    scale_d(out, half_at(b->d) * 0.25f);
    for (int s = 0; s < 8; s++) {
        uint32_t signs = u32_at(b->scales_signs + 4 * s);
        for (int g = 0; g < 4; g++) {
            const uint8_t *place = b->qs + 8 * s + 2 * g;
            iq3_groups(iq3_xxs_grid[place[0]], iq3_xxs_grid[place[1]], iq3_xxs_values,
                       even_signs(signs >> (7 * g) & 127), out->q + 32 * s + 8 * g);
        }
        out->scale[s] = odd(signs >> 28);
    }
}

void unpack_iq3_s(const uint8_t *p, quant_parts *out) {
    const block_iq3_s *b = (const void *)p;
    scale_d(out, half_at(b->d));
    odd_nibbles(b->scales, 8, out->scale);
    for (int g = 0; g < 32; g++) { /* bits 2 g and 2 g + 1 of qh are the ninth bits of two places */
        unsigned high = b->qh[g / 4] >> (2 * (g % 4));
        unsigned first = b->qs[2 * g] | (high & 1) << 8, second = b->qs[2 * g + 1] | (high & 2) << 7;
        iq3_groups(iq3_s_grid[first], iq3_s_grid[second], iq3_s_values, b->signs[g], out->q + 8 * g);
    }
}

void unpack_iq1_s(const uint8_t *p, quant_parts *out) {
    const block_iq1_s *b = (const void *)p;
    scale_d(out, half_at(b->d) * 0.125f);
    for (int s = 0; s < 8; s++) { /* high bits of four places, the scale, the sign of the shift */
        unsigned high = u16_at(b->qh + 2 * s);
        for (int g = 0; g < 4; g++) {
            unsigned place = b->qs[4 * s + g] | (high >> (3 * g) & 7) << 8;
            iq1_group(iq1_grid[place], high >> 15, out->q + 32 * s + 8 * g);
        }
        out->scale[s] = odd(high >> 12 & 7);
    }
}

void unpack_iq1_m(const uint8_t *p, quant_parts *out) {
    const block_iq1_m *b = (const void *)p;
    unsigned d = 0;
    for (int k = 0; k < 4; k++) d |= (unsigned)(b->scales[2 * k + 1] >> 4) << (4 * k);
    scale_d(out, f16_to_f32((uint16_t)d) * 0.125f);
    for (int s = 0; s < 16; s++) out->scale[s] = odd(u16_at(b->scales + 2 * (s / 4)) >> (3 * (s % 4)) & 7);
    for (int g = 0; g < 32; g++) { /* four bits: the top of the place and the sign of the shift */
        unsigned high = b->qh[g / 2] >> (4 * (g % 2));
        iq1_group(iq1_grid[b->qs[g] | (high & 7) << 8], high >> 3 & 1, out->q + 8 * g);
    }
}

static void iq4_codes(const uint8_t qs[16], int8_t q[32]) {
    for (int i = 0; i < 16; i++) {
        q[i] = iq4_values[qs[i] & 15];
        q[i + 16] = iq4_values[qs[i] >> 4];
    }
}

void unpack_iq4_nl(const uint8_t *p, quant_parts *out) {
    const block_iq4_nl *b = (const void *)p;
    one_scale(out, half_at(b->d));
    iq4_codes(b->qs, out->q);
}

void unpack_iq4_xs(const uint8_t *p, quant_parts *out) {
    const block_iq4_xs *b = (const void *)p;
    scale_d(out, half_at(b->d));
    unsigned high = u16_at(b->scales_h);
    for (int s = 0; s < 8; s++) {
        int low = b->scales_l[s / 2] >> (4 * (s % 2)) & 15;
        out->scale[s] = (int8_t)((low | (int)(high >> (2 * s) & 3) << 4) - 32);
        iq4_codes(b->qs + 16 * s, out->q + 32 * s);
    }
}
