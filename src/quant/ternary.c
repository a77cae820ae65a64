/* The types of 256 weights that are -1, 0 or 1 times one scale. */
#include "quant/blocks.h"

static void ternary_scale(quant_parts *out, float d) {
    out->d = d;
    out->dmin = 0;
    memset(out->scale, 1, QUANT_MAX_SUBS);
}

/* A byte is a number of five base-3 digits as a fraction of 256, rounded up: times 3, the next digit, highest first,
 * is what goes beyond 256. Digit k of byte i is weight n k + i. */
static void base_3_digits(const uint8_t *qs, int n, int digits, int8_t *q) {
    for (int i = 0; i < n; i++) {
        unsigned fraction = qs[i];
        for (int k = 0; k < digits; k++, fraction = fraction * 3 & 255)
            q[n * k + i] = (int8_t)((fraction * 3 >> 8) - 1);
    }
}

void unpack_tq1_0(const uint8_t *p, quant_parts *out) {
    const block_tq1_0 *b = (const void *)p;
    ternary_scale(out, half_at(b->d));
    base_3_digits(b->qs, 32, 5, out->q);
    base_3_digits(b->qs + 32, 16, 5, out->q + 160);
    base_3_digits(b->qh, 4, 4, out->q + 240);
}

void unpack_tq2_0(const uint8_t *p, quant_parts *out) {
    const block_tq2_0 *b = (const void *)p;
    ternary_scale(out, half_at(b->d));
    unpack_two_bits(b->qs, out->q);
    for (int i = 0; i < 256; i++) out->q[i]--; /* the code 3, which encoders do not write, is 2 */
}
