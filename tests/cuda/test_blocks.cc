/*
 * How the device code takes blocks apart, against the type table: the very functions that its kernels call, and the
 * way an upload lays the file's bytes out.
 */
#include <stdlib.h>

#include <vector>

#include "backend/cuda/blocks.cuh"
#include "tests/unit/check.h"

extern "C" {
#include "tests/random_tensor.h"
}

enum { ROWS = 3, COLUMNS = 768 };

/* The weights, scales and minimums of a row's chunk against the parts of the block that holds it. */
template <class F> static bool chunk_agrees(const quant_row *t, const quant_parts *parts, int n, const chunk &c) {
    bool same = true;
    for (int run = 0; run < 2; run++) {
        int first = F::first(n) + run * F::GAP;
        const quant_parts &p = parts[first / t->part];
        first %= t->part;
        for (int i = 0; i < 16; i++) same &= (int8_t)(c.q[4 * run + i / 4] >> (8 * (i % 4))) == p.q[first + i];
        same &= c.scale[run] == p.scale[first / t->sub];
        if (t->has_min) same &= c.min[run] == p.min[first / t->sub];
    }
    return same;
}

template <class F> static void check_format(quant_type type, matrix_format format) {
    const quant_row *t = &quant_types[type];
    const format_row *f = &format_rows[format];
    const uint32_t n_blocks = COLUMNS / F::BLOCK;
    rng r = rng_for(7, t->name);
    std::vector<uint8_t> source(ROWS * COLUMNS / t->block * t->bytes), data(ROWS * COLUMNS * 4);
    random_blocks(&r, type, 0, 0.05f, ROWS * COLUMNS / t->block, source.data());
    device_matrix m = {format, COLUMNS, ROWS, n_blocks, 0, {}, data.data()};
    CHECK(F::BLOCK == f->block && t->block == f->block && t->bytes == f->bytes && F::MINS == t->has_min);
    for (int p = 0; p < MAX_PLANES; p++) {
        m.plane[p] = m.matrix_bytes;
        m.matrix_bytes += (size_t)(ROWS * n_blocks * f->plane_bytes[p] + 255) / 256 * 256;
    }
    for (uint32_t b = 0; b < ROWS * n_blocks; b++) {
        for (const format_piece &p : f->pieces) {
            memcpy(data.data() + m.plane[p.plane] + b * f->plane_bytes[p.plane] + p.to,
                   source.data() + b * f->bytes + p.from, p.n);
        }
    }
    const planes from = planes_of(m, 0);
    bool chunks = true, scales = true;
    for (uint32_t b = 0; b < ROWS * n_blocks; b++) {
        quant_parts parts[QUANT_MAX_PARTS];
        t->unpack(source.data() + b * t->bytes, parts);
        two_floats d = F::scales(from, b);
        scales &= f32_bits(d.a) == f32_bits(parts->d) && (!t->has_min || f32_bits(d.b) == f32_bits(parts->dmin));
        for (int n = 0; n < F::BLOCK / 32; n++) {
            chunk c;
            F::take(from, b, n, &c);
            chunks &= chunk_agrees<F>(t, parts, n, c);
        }
    }
    if (!chunks || !scales) fprintf(stderr, "%s\n", t->name);
    CHECK(chunks);
    CHECK(scales);
}

static void check_byte_tricks(void) {
    bool same = true;
    for (uint32_t n = 0; n < 128; n++) {
        for (uint32_t k = 0; k <= 32; k++) same &= (int8_t)(less(n | n << 8 | n << 24, k) >> 24) == (int8_t)(n - k);
    }
    CHECK(same);
    for (uint32_t bits = 0; bits < 16; bits++) {
        for (int i = 0; i < 4; i++) same &= byte_of(spread(bits | 0xFFF0, 4), i) == (bits >> i & 1) << 4;
    }
    CHECK(same);
}

int main(void) {
    check_byte_tricks();
    check_format<format<FORMAT_Q4_0>>(QUANT_Q4_0, FORMAT_Q4_0);
    check_format<format<FORMAT_Q4_1>>(QUANT_Q4_1, FORMAT_Q4_1);
    check_format<format<FORMAT_Q5_0>>(QUANT_Q5_0, FORMAT_Q5_0);
    check_format<format<FORMAT_Q5_1>>(QUANT_Q5_1, FORMAT_Q5_1);
    check_format<format<FORMAT_Q8_0>>(QUANT_Q8_0, FORMAT_Q8_0);
    check_format<format<FORMAT_Q2_K>>(QUANT_Q2_K, FORMAT_Q2_K);
    check_format<format<FORMAT_Q3_K>>(QUANT_Q3_K, FORMAT_Q3_K);
    check_format<format<FORMAT_Q4_K>>(QUANT_Q4_K, FORMAT_Q4_K);
    check_format<format<FORMAT_Q5_K>>(QUANT_Q5_K, FORMAT_Q5_K);
    check_format<format<FORMAT_Q6_K>>(QUANT_Q6_K, FORMAT_Q6_K);
    check_format<format<FORMAT_IQ4_XS>>(QUANT_IQ4_XS, FORMAT_IQ4_XS);
    check_format<format<FORMAT_MXFP4>>(QUANT_MXFP4, FORMAT_MXFP4);
    return check_summary();
}
