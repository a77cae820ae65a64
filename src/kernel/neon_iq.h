/*
 * The types whose codes stand for values of a table: how their blocks come apart with NEON, into signed bytes. The
 * table look-ups are tbl's; codebooks are read entry by entry.
 */
#ifndef KERNEL_NEON_IQ_H
#define KERNEL_NEON_IQ_H

#include "kernel/neon.h"
#include "quant/blocks.h"
#include "quant/iq_grids.h"

/* ---- codes, signs and scales ----------------------------------------------------------------- */

INLINE uint8x16_t table_16(const int8_t v[16]) { return vreinterpretq_u8_s8(vld1q_s8(v)); }

/* Sixteen codes of two bits, through a table that has four. */
INLINE uint8x16_t two_bit_codes(uint32_t codes, uint8x16_t table) {
    const uint8x16_t bytes = {0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3};
    const int8x16_t shifts = {0, -2, -4, -6, 0, -2, -4, -6, 0, -2, -4, -6, 0, -2, -4, -6};
    uint8x16_t v = vshlq_u8(vqtbl1q_u8(vreinterpretq_u8_u32(vdupq_n_u32(codes)), bytes), shifts);
    return vqtbl1q_u8(table, vandq_u8(v, vdupq_n_u8(3)));
}

/* Four codes of three bits in the low twelve of every lane, through a table. */
INLINE uint8x16_t three_bit_codes(uint32x4_t codes, uint8x16_t table) {
    uint32x4_t v = vandq_u32(vorrq_u32(codes, vshlq_n_u32(codes, 10)), vdupq_n_u32(0x003F003F));
    v = vandq_u32(vorrq_u32(v, vshlq_n_u32(v, 5)), vdupq_n_u32(0x07070707));
    return vqtbl1q_u8(table, vreinterpretq_u8_u32(v));
}

/* -q where its bit of bytes 2 k and 2 k + 1 is set, else q. */
INLINE uint8x16_t apply_signs(uint8x16_t q, uint8x16_t signs, int k) {
    const uint8x16_t which = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
    uint8x16_t two = vcombine_u8(vdup_n_u8((uint8_t)(2 * k)), vdup_n_u8((uint8_t)(2 * k + 1)));
    uint8x16_t negative = vtstq_u8(vqtbl1q_u8(signs, two), which);
    return vsubq_u8(veorq_u8(q, negative), negative);
}

/* Bytes of seven signs: the eighth makes their number even. */
INLINE uint8x16_t even_signs_of(uint8x16_t seven) { return vorrq_u8(seven, vshlq_n_u8(vcntq_u8(seven), 7)); }

/* Four times seven bits in every lane as bytes. */
INLINE uint8x16_t seven_bits(uint32x4_t v) {
    uint32x4_t low = vorrq_u32(vandq_u32(v, vdupq_n_u32(0x7F)), vandq_u32(vshlq_n_u32(v, 1), vdupq_n_u32(0x7F00)));
    uint32x4_t high = vorrq_u32(vandq_u32(vshlq_n_u32(v, 2), vdupq_n_u32(0x7F0000)),
                                vandq_u32(vshlq_n_u32(v, 3), vdupq_n_u32(0x7F000000)));
    return vreinterpretq_u8_u32(vorrq_u32(low, high));
}

/* The sixteen nibbles of eight bytes. */
INLINE uint8x16_t nibbles_of(const uint8_t *p) {
    uint8x8_t v = vld1_u8(p), low = vand_u8(v, vdup_n_u8(15)), high = vshr_n_u8(v, 4);
    return vcombine_u8(vzip1_u8(low, high), vzip2_u8(low, high));
}

/* 2 s + 1 of the first eight bytes, or of all. */
INLINE void odd_scales(uint8x16_t s, bool all, row_block *out) {
    int16x8_t low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(s))), high = vreinterpretq_s16_u16(vmovl_high_u8(s));
    const int16x8_t one = vdupq_n_s16(1);
    widen_scales(vaddq_s16(vaddq_s16(low, low), one), out->scale);
    if (all) widen_scales(vaddq_s16(vaddq_s16(high, high), one), out->scale + 2);
}

/* The top four bits of eight words. */
INLINE void odd_top_nibbles(uint32x4_t a, uint32x4_t b, row_block *out) {
    uint16x8_t s = vcombine_u16(vmovn_u32(vshrq_n_u32(a, 28)), vmovn_u32(vshrq_n_u32(b, 28)));
    odd_scales(vcombine_u8(vmovn_u16(s), vdup_n_u8(0)), false, out);
}

INLINE float32x4_t halves_8th(const uint8_t *const row[QUAD], size_t at) {
    return vmulq_n_f32(halves(row, at), 0.125f);
}
INLINE float32x4_t halves_4th(const uint8_t *const row[QUAD], size_t at) { return vmulq_n_f32(halves(row, at), 0.25f); }

/* ---- IQ4 and FP4: nibbles -------------------------------------------------------------------- */

INLINE void load_table(const uint8_t *p, const int8_t values[16], uint8x16_t q[2]) {
    uint8x16_t v = vld1q_u8(p), table = table_16(values);
    q[0] = vqtbl1q_u8(table, vandq_u8(v, vdupq_n_u8(15)));
    q[1] = vqtbl1q_u8(table, vshrq_n_u8(v, 4));
}

INLINE void load_iq4_nl(const uint8_t *p, uint8x16_t q[2]) { load_table(p + 2, iq4_values, q); }
INLINE void load_mxfp4(const uint8_t *p, uint8x16_t q[2]) { load_table(p + 1, e2m1_values, q); }

INLINE float32x4_t e8m0_halves(const uint8_t *const row[QUAD], size_t at) {
    return (float32x4_t){e8m0_half(row[0][at]), e8m0_half(row[1][at]), e8m0_half(row[2][at]), e8m0_half(row[3][at])};
}

/* Sixteen weights under one d. */
typedef uint8x16_t load_parts_fn(const uint8_t *p, size_t part);

INLINE uint8x16_t load_nvfp4(const uint8_t *p, size_t part) {
    uint8x8_t v = vld1_u8(p + 4 + 8 * part);
    return vqtbl1q_u8(table_16(e2m1_values), vcombine_u8(vand_u8(v, vdup_n_u8(15)), vshr_n_u8(v, 4)));
}

INLINE float32x4_t ue4m3_halves(const uint8_t *const row[QUAD], size_t at) {
    return (float32x4_t){ue4m3_half(row[0][at]), ue4m3_half(row[1][at]), ue4m3_half(row[2][at]),
                         ue4m3_half(row[3][at])};
}

INLINE void load_iq4_xs(const uint8_t *p, row_block *out) {
    const uint8x16_t high = {0, 16, 32, 48, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    uint8x8_t v = vcreate_u8(word(p + 4)), low = vzip1_u8(vand_u8(v, vdup_n_u8(15)), vshr_n_u8(v, 4));
    uint8x8_t s = vorr_u8(low, vget_low_u8(two_bit_codes(half_bits(p + 2), high)));
    widen_scales(vmovl_s8(vreinterpret_s8_u8(vsub_u8(s, vdup_n_u8(32)))), out->scale);
    for (int i = 0; i < 8; i++) load_table(p + 8 + 16 * i, iq4_values, out->q + 2 * i);
}

/* ---- IQ2: groups of eight -------------------------------------------------------------------- */

/* Two groups, whose signs are bytes 2 k and 2 k + 1. */
INLINE uint8x16_t iq2_groups(unsigned first, unsigned second, uint8x16_t signs, int k) {
    const uint8x16_t magnitudes = {8, 25, 43, 43};
    return apply_signs(two_bit_codes(first | second << 16, magnitudes), signs, k);
}

INLINE void load_iq2_xs(const uint8_t *p, row_block *out) {
    odd_scales(nibbles_of(p + 66), true, out);
    for (int h = 0; h < 2; h++) { /* sixteen codes: nine bits of a place, seven signs */
        uint16x8_t a = vreinterpretq_u16_u8(vld1q_u8(p + 2 + 32 * h)),
                   b = vreinterpretq_u16_u8(vld1q_u8(p + 18 + 32 * h));
        uint8x16_t signs = even_signs_of(vcombine_u8(vmovn_u16(vshrq_n_u16(a, 9)), vmovn_u16(vshrq_n_u16(b, 9))));
        for (int k = 0; k < 8; k++) {
            uint32_t two = word(p + 2 + 32 * h + 4 * k);
            out->q[8 * h + k] = iq2_groups(iq2_xs_grid[two & 511], iq2_xs_grid[two >> 16 & 511], signs, k);
        }
    }
}

/* Words 2 k (even) and 2 k + 1 (odd) of 32 bytes. */
INLINE uint32x4x2_t words_apart(const uint8_t *p) {
    uint32x4_t a = vreinterpretq_u32_u8(vld1q_u8(p)), b = vreinterpretq_u32_u8(vld1q_u8(p + 16));
    return (uint32x4x2_t){{vuzp1q_u32(a, b), vuzp2q_u32(a, b)}};
}

INLINE void load_iq2_xxs(const uint8_t *p, row_block *out) {
    uint32x4_t last[2]; /* of each sub-block: four times seven signs and a scale */
    for (int h = 0; h < 2; h++) {
        last[h] = words_apart(p + 2 + 32 * h).val[1];
        uint8x16_t signs = even_signs_of(seven_bits(last[h]));
        for (int k = 0; k < 8; k++) {
            const uint8_t *place = p + 2 + 32 * h + 8 * (k / 2) + 2 * (k % 2);
            out->q[8 * h + k] = iq2_groups(iq2_xxs_grid[place[0]], iq2_xxs_grid[place[1]], signs, k);
        }
    }
    odd_top_nibbles(last[0], last[1], out);
}

INLINE void load_iq2_s(const uint8_t *p, row_block *out) {
    odd_scales(nibbles_of(p + 74), true, out);
    for (int h = 0; h < 2; h++) {
        uint8x16_t signs = vld1q_u8(p + 34 + 16 * h);
        for (int k = 0; k < 8; k++) {
            const uint8_t *place = p + 2 + 16 * h + 2 * k;
            unsigned high = p[66 + 4 * h + k / 2] >> (4 * (k % 2));
            unsigned first = place[0] | (high & 3) << 8, second = place[1] | (high >> 2 & 3) << 8;
            out->q[8 * h + k] = iq2_groups(iq2_s_grid[first], iq2_s_grid[second], signs, k);
        }
    }
}

/* ---- IQ3: groups of four --------------------------------------------------------------------- */

INLINE void load_iq3_xxs(const uint8_t *p, row_block *out) {
    const uint8x16_t magnitudes = {4, 12, 20, 28, 36, 44, 52, 62};
    uint32x4_t last[2];
    for (int h = 0; h < 2; h++) {
        last[h] = vreinterpretq_u32_u8(vld1q_u8(p + 66 + 16 * h));
        uint8x16_t signs = even_signs_of(seven_bits(last[h]));
        for (int k = 0; k < 8; k++) {
            const uint8_t *place = p + 2 + 32 * h + 4 * k;
            uint32x4_t codes = {iq3_xxs_grid[place[0]], iq3_xxs_grid[place[1]], iq3_xxs_grid[place[2]],
                                iq3_xxs_grid[place[3]]};
            out->q[8 * h + k] = apply_signs(three_bit_codes(codes, magnitudes), signs, k);
        }
    }
    odd_top_nibbles(last[0], last[1], out);
}

INLINE void load_iq3_s(const uint8_t *p, row_block *out) {
    const uint8x16_t magnitudes = {1, 3, 5, 7, 9, 11, 13, 15};
    uint8x16_t scales = nibbles_of(p + 102); /* which ends with four bytes of signs and four of scales */
    odd_scales(vextq_u8(scales, scales, 8), false, out);
    for (int h = 0; h < 2; h++) {
        uint8x16_t signs = vld1q_u8(p + 74 + 16 * h);
        for (int k = 0; k < 8; k++) {
            const uint8_t *place = p + 2 + 32 * h + 4 * k;
            unsigned high = (unsigned)p[66 + 4 * h + k / 2] << 8 >> (4 * (k % 2)); /* ninth bits from bit 8 on */
            uint32x4_t codes = {iq3_s_grid[place[0] | (high & 256)], iq3_s_grid[place[1] | (high >> 1 & 256)],
                                iq3_s_grid[place[2] | (high >> 2 & 256)], iq3_s_grid[place[3] | (high >> 3 & 256)]};
            out->q[8 * h + k] = apply_signs(three_bit_codes(codes, magnitudes), signs, k);
        }
    }
}

/* ---- IQ1: groups of eight, 8 times -1 0 1 and one more or less -------------------------------- */

/* less: -2 in the bytes where one less is meant, else 0. */
INLINE uint8x16_t iq1_groups(unsigned first, unsigned second, uint8x16_t less) {
    const uint8x16_t values = {(uint8_t)-7, 1, 9, 9};
    return vaddq_u8(two_bit_codes(first | second << 16, values), less);
}

INLINE uint8x8_t iq1_less(unsigned bit) { return vdup_n_u8(bit ? (uint8_t)-2 : 0); }

INLINE void load_iq1_s(const uint8_t *p, row_block *out) {
    uint16x8_t high = vreinterpretq_u16_u8(vld1q_u8(p + 34));
    uint8x8_t s = vmovn_u16(vandq_u16(vshrq_n_u16(high, 12), vdupq_n_u16(7)));
    odd_scales(vcombine_u8(s, vdup_n_u8(0)), false, out);
    for (int k = 0; k < 16; k++) {
        const uint8_t *place = p + 2 + 2 * k;
        unsigned word_of_32 = half_bits(p + 34 + k / 2 * 2), top = word_of_32 >> (6 * (k % 2));
        uint8x8_t less = iq1_less(word_of_32 >> 15);
        out->q[k] = iq1_groups(iq1_grid[place[0] | (top & 7) << 8], iq1_grid[place[1] | (top >> 3 & 7) << 8],
                               vcombine_u8(less, less));
    }
}

INLINE void load_iq1_m(const uint8_t *p, row_block *out) {
    const int16x8_t by = {0, -3, -6, -9, 0, -3, -6, -9};
    for (int h = 0; h < 2; h++) {
        uint16x8_t v = vcombine_u16(vdup_n_u16(half_bits(p + 48 + 4 * h)), vdup_n_u16(half_bits(p + 50 + 4 * h)));
        int16x8_t s = vreinterpretq_s16_u16(vandq_u16(vshlq_u16(v, by), vdupq_n_u16(7)));
        widen_scales(vaddq_s16(vaddq_s16(s, s), vdupq_n_s16(1)), out->scale + 2 * h);
    }
    for (int k = 0; k < 16; k++) {
        unsigned high = p[32 + k];
        uint8x16_t less = vcombine_u8(iq1_less(high & 8), iq1_less(high & 128));
        out->q[k] =
            iq1_groups(iq1_grid[p[2 * k] | (high & 7) << 8], iq1_grid[p[2 * k + 1] | (high >> 4 & 7) << 8], less);
    }
}

/* The four bits on top of four halves. */
INLINE float iq1_m_half(const uint8_t *p) {
    unsigned d = p[1] >> 4 | (p[3] & 0xF0u) | (p[5] & 0xF0u) << 4 | (p[7] & 0xF0u) << 8;
    return f16_to_f32((uint16_t)d) * 0.125f;
}

INLINE float32x4_t iq1_m_d(const uint8_t *const row[QUAD], size_t at) {
    return (float32x4_t){iq1_m_half(row[0] + at), iq1_m_half(row[1] + at), iq1_m_half(row[2] + at),
                         iq1_m_half(row[3] + at)};
}

/* ---- TQ -------------------------------------------------------------------------------------- */

INLINE void scales_of_one(row_block *out) { out->scale[0] = out->scale[1] = vdupq_n_s32(1); }

INLINE void load_tq2_0(const uint8_t *p, row_block *out) {
    scales_of_one(out);
    for (int i = 0; i < 4; i++) {
        uint8x16_t v = vld1q_u8(p + 16 * i);
        for (int s = 0; s < 4; s++) {
            out->q[8 * (i / 2) + 2 * s + i % 2] = vsubq_u8(vandq_u8(v >> (2 * s), vdupq_n_u8(3)), vdupq_n_u8(1));
        }
    }
}

/* Takes the next base-3 digit, less one, off the fractions in the bytes of *v. */
INLINE uint8x16_t next_digit(uint8x16_t *v) {
    const uint8x16_t three = vdupq_n_u8(3);
    uint8x8_t low = vshrn_n_u16(vmull_u8(vget_low_u8(*v), vget_low_u8(three)), 8);
    uint8x16_t digit = vshrn_high_n_u16(low, vmull_high_u8(*v, three), 8);
    *v = vmulq_u8(*v, three);
    return vsubq_u8(digit, vdupq_n_u8(1));
}

/* Digit k of byte i is weight n k + i of n bytes: 32, 16, and four. */
INLINE void load_tq1_0(const uint8_t *p, row_block *out) {
    scales_of_one(out);
    uint8x16_t v[3] = {vld1q_u8(p), vld1q_u8(p + 16), vld1q_u8(p + 32)};
    for (int k = 0; k < 5; k++) {
        out->q[2 * k] = next_digit(&v[0]);
        out->q[2 * k + 1] = next_digit(&v[1]);
        out->q[10 + k] = next_digit(&v[2]);
    }
    uint8x16_t last = vreinterpretq_u8_u32(vdupq_n_u32(word(p + 48)));
    uint32x4_t a = vreinterpretq_u32_u8(next_digit(&last)), b = vreinterpretq_u32_u8(next_digit(&last));
    uint32x4_t c = vreinterpretq_u32_u8(next_digit(&last)), d = vreinterpretq_u32_u8(next_digit(&last));
    out->q[15] = vreinterpretq_u8_u64(
        vzip1q_u64(vreinterpretq_u64_u32(vzip1q_u32(a, b)), vreinterpretq_u64_u32(vzip1q_u32(c, d))));
}

#endif
