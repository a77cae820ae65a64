/* What the NEON files share: a type's shape, four rows at once, and how a super-block stands in registers. */
#ifndef KERNEL_NEON_H
#define KERNEL_NEON_H

#include <arm_neon.h>

#include "kernel/generic.h"

enum { QUAD = 4, ROWS = 8 };

/* d of four rows, as it stands at `at`. */
typedef float32x4_t d_fn(const uint8_t *const row[QUAD], size_t at);

/* What is constant about a type of blocks. */
typedef struct {
    size_t bytes, sub;
    size_t at_d, at_min; /* where in a block its halves stand */
    bool has_min;
    int offset; /* what unsigned weights are too large by; 0: they are signed, or have minimums */
    d_fn *d;    /* NULL: a half */
} shape;

/* ---- four and eight rows --------------------------------------------------------------------- */

/* Lane i of the result is the sum of all lanes of v[i]. */
INLINE int32x4_t sum_four(const int32x4_t v[QUAD]) {
    return vpaddq_s32(vpaddq_s32(v[0], v[1]), vpaddq_s32(v[2], v[3]));
}

INLINE uint16_t half_bits(const uint8_t *p) {
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return h;
}

INLINE uint32_t word(const uint8_t *p) {
    uint32_t u;
    memcpy(&u, p, sizeof u);
    return u;
}

/* The halves that stand at `at` in four rows. */
INLINE float32x4_t halves(const uint8_t *const row[QUAD], size_t at) {
    uint16x4_t h = {half_bits(row[0] + at), half_bits(row[1] + at), half_bits(row[2] + at), half_bits(row[3] + at)};
    return vcvt_f32_f16(vreinterpret_f16_u16(h));
}

INLINE float32x4_t d_of(const uint8_t *const row[QUAD], size_t at, const shape *type) {
    return type->d ? type->d(row, at) : halves(row, at);
}

/* ---- super-blocks of 256 in registers -------------------------------------------------------- */

typedef struct {
    uint8x16_t q[16];    /* unsigned, or the bits of signed bytes */
    int32x4_t scale[4];  /* of every sub-block: sixteen, or eight */
    int16x8_t factor[2]; /* what sums of activations are multiplied by: minimums, or the offset times scales */
} row_block;

typedef void load_256_fn(const uint8_t *p, row_block *out);
/* The same of a block of 32. */
typedef void load_32_fn(const uint8_t *p, uint8x16_t q[2]);

INLINE void widen_scales(int16x8_t scales, int32x4_t out[2]) {
    out[0] = vmovl_s16(vget_low_s16(scales));
    out[1] = vmovl_high_s16(scales);
}

#endif
