/* Panels: blocks of sixteen rows taken apart and transposed, for products with several tokens. Filled by
 * avx512_fill.c and avx512_iq.c, multiplied by avx512.c and amx.c. */
#ifndef KERNEL_AVX512_PANEL_H
#define KERNEL_AVX512_PANEL_H

#include "kernel/avx512.h"

enum { PANEL = 512 }; /* inputs that a panel holds */

/* PANEL inputs of ROWS rows: lane r of every vector belongs to row r. */
typedef struct {
    __m512i q[PANEL / 4];      /* four weights plus the shape's offset, unsigned */
    __m512i scale[PANEL / 16]; /* of the weights under one scale: int32, or float32 for SUMS_FLOAT */
    /* two int16, for the sums of 16 and 16 activations: minimums, or -offset x scale; four of them a super-block for
     * the sums of 32 and 32 where there is a minimum for as many */
    __m512i pairs[PANEL / 32];
    __m512 d[PANEL / 32], dmin[PANEL / 32];
} panel;

/* Writes block `at` of the panel from the block that begins `offset` bytes into the rows. */
typedef void fill_fn(panel *p, size_t at, const row_group *g, size_t offset);

/* How the integer sum of a super-block is made. */
typedef enum {
    SUMS_FLAT,  /* the weights hold their scales already */
    SUMS_INT,   /* scale x part in int32 */
    SUMS_FLOAT, /* in float32, each half of the block exact below 2^24 */
} sums_kind;

/* What products of panels need to know of a type. */
typedef struct {
    fill_fn *fill;
    sums_kind sums; /* of a super-block, as are: */
    size_t sub;     /* weights under one scale; those summed at once for SUMS_FLAT */
    int offset;     /* of the weights in a panel */
    bool has_min;
} panel_shape;

/* By type; fill: NULL where there is none. */
extern const panel_shape avx512_shapes[QUANT_TYPE_COUNT];

/* scale times factor of 16 and of 16 inputs, as the pairs of a panel. */
INLINE __m512i scale_pair(__m512i low, __m512i high, int factor) {
    low = _mm512_mullo_epi32(low, _mm512_set1_epi32(factor));
    high = _mm512_mullo_epi32(high, _mm512_set1_epi32(factor));
    return _mm512_mask_blend_epi16(0xAAAAAAAA, low, _mm512_slli_epi32(high, 16));
}

/* avx512_iq.c */
fill_fn avx512_fill_iq1_s, avx512_fill_iq1_m, avx512_fill_iq2_xxs, avx512_fill_iq2_xs, avx512_fill_iq2_s,
    avx512_fill_iq3_xxs, avx512_fill_iq3_s, avx512_fill_tq1_0, avx512_fill_tq2_0;

#endif
