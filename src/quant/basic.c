/* The types of 32 weights a block under one scale, or under one scale and one minimum. */
#include "quant/blocks.h"

/* weight = d q + m, so the minimum that is subtracted is -m. */
static void one_minimum(quant_parts *out, float m) {
    out->dmin = -m;
    out->min[0] = 1;
}

void unpack_nibbles(const uint8_t qs[16], int offset, int8_t q[32]) {
    for (int i = 0; i < 16; i++) {
        q[i] = (int8_t)((qs[i] & 15) - offset);
        q[i + 16] = (int8_t)((qs[i] >> 4) - offset);
    }
}

static void add_fifth_bits(const uint8_t qh[4], int8_t q[32]) {
    for (int i = 0; i < 32; i++) q[i] = (int8_t)(q[i] + (qh[i / 8] >> (i % 8) & 1) * 16);
}

void unpack_q4_0(const uint8_t *p, quant_parts *out) {
    const block_q4_0 *b = (const void *)p;
    one_scale(out, half_at(b->d));
    unpack_nibbles(b->qs, 8, out->q);
}

void unpack_q4_1(const uint8_t *p, quant_parts *out) {
    const block_q4_1 *b = (const void *)p;
    one_scale(out, half_at(b->d));
    one_minimum(out, half_at(b->m));
    unpack_nibbles(b->qs, 0, out->q);
}

void unpack_q5_0(const uint8_t *p, quant_parts *out) {
    const block_q5_0 *b = (const void *)p;
    one_scale(out, half_at(b->d));
    unpack_nibbles(b->qs, 16, out->q);
    add_fifth_bits(b->qh, out->q);
}

void unpack_q5_1(const uint8_t *p, quant_parts *out) {
    const block_q5_1 *b = (const void *)p;
    one_scale(out, half_at(b->d));
    one_minimum(out, half_at(b->m));
    unpack_nibbles(b->qs, 0, out->q);
    add_fifth_bits(b->qh, out->q);
}

void unpack_q8_0(const uint8_t *p, quant_parts *out) {
    const block_q8_0 *b = (const void *)p;
    one_scale(out, half_at(b->d));
    memcpy(out->q, b->qs, 32);
}

void unpack_q8_1(const uint8_t *p, quant_parts *out) {
    const block_q8_1 *b = (const void *)p;
    one_scale(out, half_at(b->d));
    memcpy(out->q, b->qs, 32);
}
