/* The K types: super-blocks of 256 weights, whose scales are integers times one half. */
#include "quant/blocks.h"

/* Two-bit weights: byte j of half h holds weights 128 h + j + {0, 32, 64, 96}, lowest bits first. */
void unpack_two_bits(const uint8_t qs[64], int8_t q[256]) {
    for (int h = 0; h < 2; h++) {
        for (int s = 0; s < 4; s++) {
            for (int j = 0; j < 32; j++) q[128 * h + 32 * s + j] = (int8_t)(qs[32 * h + j] >> (2 * s) & 3);
        }
    }
}

/* Four-bit weights: byte j of quarter k holds weights 64 k + j and 64 k + 32 + j. */
static void four_bits(const uint8_t qs[128], int8_t q[256]) {
    for (int k = 0; k < 4; k++) {
        for (int j = 0; j < 32; j++) {
            q[64 * k + j] = (int8_t)(qs[32 * k + j] & 15);
            q[64 * k + 32 + j] = (int8_t)(qs[32 * k + j] >> 4);
        }
    }
}

/* The twelve bytes of Q4_K and Q5_K: eight 6-bit scales and eight 6-bit minimums. The first four of each stand
 * in the low six bits of bytes 0-3 and 4-7; the others have their low halves in bytes 8-11 and their top two
 * bits above those of the first. */
static void six_bit_scales(const uint8_t s[12], quant_parts *out) {
    for (int j = 0; j < 4; j++) {
        out->scale[j] = (int8_t)(s[j] & 63);
        out->min[j] = s[j + 4] & 63;
        out->scale[j + 4] = (int8_t)((s[j + 8] & 15) | s[j] >> 6 << 4);
        out->min[j + 4] = (uint8_t)(s[j + 8] >> 4 | s[j + 4] >> 6 << 4);
    }
}

void unpack_q2_k(const uint8_t *p, quant_parts *out) {
    const block_q2_k *b = (const void *)p;
    out->d = half_at(b->d);
    out->dmin = half_at(b->dmin);
    for (int j = 0; j < 16; j++) {
        out->scale[j] = (int8_t)(b->scales[j] & 15);
        out->min[j] = b->scales[j] >> 4;
    }
    unpack_two_bits(b->qs, out->q);
}

void unpack_q3_k(const uint8_t *p, quant_parts *out) {
    const block_q3_k *b = (const void *)p;
    out->d = half_at(b->d);
    out->dmin = 0;
    /* Sixteen 6-bit scales less 32: low halves in bytes 0-7 (first 0-7, then 8-15 above), top bits in 8-11. */
    for (int j = 0; j < 16; j++) {
        int low = b->scales[j % 8] >> (4 * (j / 8)) & 15, top = b->scales[8 + j % 4] >> (2 * (j / 4)) & 3;
        out->scale[j] = (int8_t)((low | top << 4) - 32);
    }
    unpack_two_bits(b->qs, out->q);
    /* The third bit: a clear bit k of hmask[j] takes 4 from weight 32 k + j. */
    for (int k = 0; k < 8; k++) {
        for (int j = 0; j < 32; j++) out->q[32 * k + j] = (int8_t)(out->q[32 * k + j] - 4 + 4 * (b->hmask[j] >> k & 1));
    }
}

void unpack_q4_k(const uint8_t *p, quant_parts *out) {
    const block_q4_k *b = (const void *)p;
    out->d = half_at(b->d);
    out->dmin = half_at(b->dmin);
    six_bit_scales(b->scales, out);
    four_bits(b->qs, out->q);
}

void unpack_q5_k(const uint8_t *p, quant_parts *out) {
    const block_q5_k *b = (const void *)p;
    out->d = half_at(b->d);
    out->dmin = half_at(b->dmin);
    six_bit_scales(b->scales, out);
    four_bits(b->qs, out->q);
    for (int k = 0; k < 8; k++) { /* bit k of qh[j] is the fifth bit of weight 32 k + j */
        for (int j = 0; j < 32; j++) out->q[32 * k + j] = (int8_t)(out->q[32 * k + j] + (b->qh[j] >> k & 1) * 16);
    }
}

void unpack_q6_k(const uint8_t *p, quant_parts *out) {
    const block_q6_k *b = (const void *)p;
    out->d = half_at(b->d);
    out->dmin = 0;
    memcpy(out->scale, b->scales, 16);
    for (int h = 0; h < 2; h++) {
        const uint8_t *ql = b->ql + 64 * h, *qh = b->qh + 32 * h;
        int8_t *q = out->q + 128 * h;
        for (int j = 0; j < 32; j++) { /* four weights 32 apart share byte j of qh */
            q[j] = (int8_t)(((ql[j] & 15) | (qh[j] & 3) << 4) - 32);
            q[j + 32] = (int8_t)(((ql[j + 32] & 15) | (qh[j] >> 2 & 3) << 4) - 32);
            q[j + 64] = (int8_t)((ql[j] >> 4 | (qh[j] >> 4 & 3) << 4) - 32);
            q[j + 96] = (int8_t)((ql[j + 32] >> 4 | qh[j] >> 6 << 4) - 32);
        }
    }
}

void unpack_q8_k(const uint8_t *p, quant_parts *out) {
    const block_q8_k *b = (const void *)p;
    memcpy(&out->d, b->d, 4);
    out->dmin = 0;
    memset(out->scale, 1, QUANT_MAX_SUBS);
    memcpy(out->q, b->qs, 256);
}
