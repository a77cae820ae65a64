/*
 * The types of 4-bit floats (E2M1: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and a sign) under scales of eight bits: MXFP4 of the
 * OCP's Microscaling Formats 1.0, and NVFP4.
 */
#include "quant/blocks.h"

const int8_t e2m1_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

float e8m0_half(uint8_t e) { return f32_from_bits(e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23); }

float ue4m3_half(uint8_t e) {
    unsigned exponent = e >> 3 & 15, mantissa = e & 7;
    if (e == 0x7F) return 0;
    return (float)(exponent ? (8 + mantissa) << (exponent - 1) : mantissa) * 0x1p-10f;
}

/* Byte i of n holds weights i (low) and i + n. */
static void e2m1_pairs(const uint8_t *qs, int n, int8_t *q) {
    for (int i = 0; i < n; i++) {
        q[i] = e2m1_values[qs[i] & 15];
        q[i + n] = e2m1_values[qs[i] >> 4];
    }
}

void unpack_mxfp4(const uint8_t *p, quant_parts *out) {
    const block_mxfp4 *b = (const void *)p;
    one_scale(out, e8m0_half(b->e));
    e2m1_pairs(b->qs, 16, out->q);
}

void unpack_nvfp4(const uint8_t *p, quant_parts *out) {
    const block_nvfp4 *b = (const void *)p;
    for (int i = 0; i < 4; i++) {
        one_scale(&out[i], ue4m3_half(b->d[i]));
        e2m1_pairs(b->qs + 8 * i, 8, out[i].q);
    }
}
