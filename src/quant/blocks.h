/*
 * How the blocks of every type are laid out, for what takes them apart and what makes them. Blocks are bytes without
 * alignment; d, m and dmin are halves, lowest byte first.
 */
#ifndef QUANT_BLOCKS_H
#define QUANT_BLOCKS_H

#include <assert.h>

#include "base/bits.h"
#include "quant/quant.h"

/* clang-format off */
/* 32 weights */
typedef struct { uint8_t d[2], qs[16]; } block_q4_0;             /* qs: two 4-bit weights a byte, i and i + 16 */
typedef struct { uint8_t d[2], m[2], qs[16]; } block_q4_1;
typedef struct { uint8_t d[2], qh[4], qs[16]; } block_q5_0;      /* qh: bit i is the fifth bit of weight i */
typedef struct { uint8_t d[2], m[2], qh[4], qs[16]; } block_q5_1;
typedef struct { uint8_t d[2]; int8_t qs[32]; } block_q8_0;
typedef struct { uint8_t d[2], s[2]; int8_t qs[32]; } block_q8_1; /* s = d x sum of qs: not needed to decode */
typedef struct { uint8_t d[2], qs[16]; } block_iq4_nl;           /* qs: places in iq4_values */
typedef struct { uint8_t e, qs[16]; } block_mxfp4;               /* e: E8M0; qs: E2M1 */

/* 64 weights */
typedef struct { uint8_t d[4], qs[32]; } block_nvfp4;            /* d: UE4M3, one for each 16; qs: E2M1 */

/* 256 weights */
typedef struct { uint8_t scales[16], qs[64], d[2], dmin[2]; } block_q2_k; /* scales: scale low, minimum high half */
typedef struct { uint8_t hmask[32], qs[64], scales[12], d[2]; } block_q3_k;
typedef struct { uint8_t d[2], dmin[2], scales[12], qs[128]; } block_q4_k;
typedef struct { uint8_t d[2], dmin[2], scales[12], qh[32], qs[128]; } block_q5_k;
typedef struct { uint8_t ql[128], qh[64]; int8_t scales[16]; uint8_t d[2]; } block_q6_k;
typedef struct { uint8_t d[4]; int8_t qs[256]; uint8_t bsums[32]; } block_q8_k;
typedef struct { uint8_t d[2], scales_h[2], scales_l[4], qs[128]; } block_iq4_xs;
typedef struct { uint8_t qs[48], qh[4], d[2]; } block_tq1_0;     /* base-3 digits */
typedef struct { uint8_t qs[64], d[2]; } block_tq2_0;
typedef struct { uint8_t d[2], qs[32], qh[16]; } block_iq1_s;
typedef struct { uint8_t qs[32], qh[16], scales[8]; } block_iq1_m; /* d: the top four bits of the four words of scales */
typedef struct { uint8_t d[2], qs[64]; } block_iq2_xxs;
typedef struct { uint8_t d[2], qs[64], scales[8]; } block_iq2_xs;
typedef struct { uint8_t d[2], qs[32], signs[32], qh[8], scales[8]; } block_iq2_s;
typedef struct { uint8_t d[2], qs[64], scales_signs[32]; } block_iq3_xxs;
typedef struct { uint8_t d[2], qs[64], qh[8], signs[32], scales[4]; } block_iq3_s;
/* clang-format on */

static_assert(sizeof(block_q4_0) == 18 && sizeof(block_q4_1) == 20 && sizeof(block_q5_0) == 22, "block layout");
static_assert(sizeof(block_q5_1) == 24 && sizeof(block_q8_0) == 34 && sizeof(block_q8_1) == 36, "block layout");
static_assert(sizeof(block_q2_k) == 84 && sizeof(block_q3_k) == 110 && sizeof(block_q4_k) == 144, "block layout");
static_assert(sizeof(block_q5_k) == 176 && sizeof(block_q6_k) == 210 && sizeof(block_q8_k) == 292, "block layout");
static_assert(sizeof(block_iq4_nl) == 18 && sizeof(block_iq4_xs) == 136, "block layout");
static_assert(sizeof(block_mxfp4) == 17 && sizeof(block_nvfp4) == 36, "block layout");
static_assert(sizeof(block_tq1_0) == 54 && sizeof(block_tq2_0) == 66, "block layout");
static_assert(sizeof(block_iq1_s) == 50 && sizeof(block_iq1_m) == 56, "block layout");
static_assert(sizeof(block_iq2_xxs) == 66 && sizeof(block_iq2_xs) == 74 && sizeof(block_iq2_s) == 82, "block layout");
static_assert(sizeof(block_iq3_xxs) == 98 && sizeof(block_iq3_s) == 110, "block layout");

static inline uint16_t u16_at(const uint8_t p[2]) { return (uint16_t)(p[0] | p[1] << 8); }
static inline uint32_t u32_at(const uint8_t p[4]) { return u16_at(p) | (uint32_t)u16_at(p + 2) << 16; }
static inline float half_at(const uint8_t p[2]) { return f16_to_f32(u16_at(p)); }

/* What a code of four bits stands for. */
extern const int8_t iq4_values[16];  /* IQ4_NL, IQ4_XS */
extern const int8_t e2m1_values[16]; /* twice the E2M1 number: MXFP4, NVFP4 */

/* What a scale stands for, halved since e2m1_values are doubled. E8M0 is a power of two; 255, which the OCP's
 * specification calls NaN, is 2^127, as ggml has it. UE4M3 has a bias of 7; 0x7F (not 0xFF) is zero, else its top bit is not read. */
float e8m0_half(uint8_t e);
float ue4m3_half(uint8_t e);

/* Eight signs of seven bits: the eighth makes their number even. */
static inline uint8_t even_signs(unsigned seven) {
    unsigned p = seven ^ seven >> 4;
    p ^= p >> 2;
    return (uint8_t)(seven | ((p ^ p >> 1) & 1) << 7);
}

/* One for each type: basic.c, kquants.c, iquants.c, fp4.c, ternary.c. */
typedef void unpack_fn(const uint8_t *block, quant_parts *out);
unpack_fn unpack_q4_0, unpack_q4_1, unpack_q5_0, unpack_q5_1, unpack_q8_0, unpack_q8_1;
unpack_fn unpack_q2_k, unpack_q3_k, unpack_q4_k, unpack_q5_k, unpack_q6_k, unpack_q8_k;
unpack_fn unpack_iq1_s, unpack_iq1_m, unpack_iq2_xxs, unpack_iq2_xs, unpack_iq2_s, unpack_iq3_xxs, unpack_iq3_s;
unpack_fn unpack_iq4_nl, unpack_iq4_xs, unpack_mxfp4, unpack_nvfp4, unpack_tq1_0, unpack_tq2_0;

/* Steps that several of them share. */
void unpack_nibbles(const uint8_t qs[16], int offset, int8_t q[32]);
void unpack_two_bits(const uint8_t qs[64], int8_t q[256]);

static inline void one_scale(quant_parts *out, float d) {
    out->d = d;
    out->dmin = 0;
    out->scale[0] = 1;
}

#endif
