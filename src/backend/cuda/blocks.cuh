/*
 * How blocks come apart on the device (quant/ has the definition). Work comes in chunks of 32 weights: two runs of 16,
 * each under one scale and one minimum, as int8 in eight registers.
 */
#ifndef BACKEND_CUDA_BLOCKS_CUH
#define BACKEND_CUDA_BLOCKS_CUH

#include "backend/cuda/device.cuh"

#define ANYWHERE static __host__ __device__ inline

struct chunk {
    int q[8];     /* run 0: q[0..3], run 1: q[4..7] */
    int scale[2]; /* of each run */
    int min[2];
};

/* The planes of one matrix. */
struct planes {
    const uint8_t *p[MAX_PLANES];
};

/* d, and dmin or the second half's d */
struct two_floats {
    float a, b;
};

ANYWHERE planes planes_of(const device_matrix &m, uint32_t index) {
    const uint8_t *data = m.data + index * m.matrix_bytes;
    return {{data + m.plane[0], data + m.plane[1], data + m.plane[2]}};
}

struct words {
    uint32_t w[4];
};

ANYWHERE words load_16(const uint8_t *p) {
    uint4 v = *(const uint4 *)(const void *)p;
    return {{v.x, v.y, v.z, v.w}};
}

ANYWHERE uint32_t load_4(const uint8_t *p) { return *(const uint32_t *)(const void *)p; }
ANYWHERE uint16_t load_2(const uint8_t *p) { return *(const uint16_t *)(const void *)p; }
ANYWHERE uint32_t byte_of(uint32_t w, int i) { return w >> (8 * i) & 255; }

ANYWHERE float device_half(uint32_t h) {
#ifdef __CUDA_ARCH__
    return half_float((uint16_t)h);
#else
    return f16_to_f32((uint16_t)h);
#endif
}

/* Each byte less k; bytes are below 128. */
ANYWHERE int less(uint32_t bytes, uint32_t k) { return (int)(((bytes | 0x80808080u) - k * 0x01010101u) ^ 0x80808080u); }

/* Bit i of the low four bits to bit `to` of byte i. */
ANYWHERE uint32_t spread(uint32_t bits, int to) {
    uint32_t b = bits & 15;
    return ((b | b << 7 | b << 14 | b << 21) & 0x01010101u) << to;
}

/* Two runs that lie in the low and the high halves of 16 bytes. */
ANYWHERE void nibbles(const words &v, uint32_t offset, chunk *c) {
    for (int i = 0; i < 4; i++) {
        c->q[i] = less(v.w[i] & 0x0F0F0F0Fu, offset);
        c->q[i + 4] = less(v.w[i] >> 4 & 0x0F0F0F0Fu, offset);
    }
}

ANYWHERE uint32_t permute(uint32_t low, uint32_t high, uint32_t selector) {
#ifdef __CUDA_ARCH__
    return __byte_perm(low, high, selector);
#else
    uint64_t all = (uint64_t)high << 32 | low;
    uint32_t r = 0;
    for (int i = 0; i < 4; i++) r |= (uint32_t)(all >> (8 * (selector >> (4 * i) & 7)) & 255) << (8 * i);
    return r;
#endif
}

/* The same through a table of 16 values, four a word. */
ANYWHERE void table_nibbles(const words &v, uint32_t t0, uint32_t t1, uint32_t t2, uint32_t t3, chunk *c) {
    for (int i = 0; i < 4; i++) {
        uint32_t r[2];
        for (int h = 0; h < 2; h++) { /* four codes: of bytes 2 h and 2 h + 1, low half first */
            uint32_t codes = v.w[i] >> (16 * h), below_8 = permute(t0, t1, codes & 0x7777),
                     above = permute(t2, t3, codes & 0x7777);
            r[h] = permute(below_8, above, 0x3210 | (codes & 0x8888) >> 1);
        }
        c->q[i] = (int)permute(r[0], r[1], 0x6420);
        c->q[i + 4] = (int)permute(r[0], r[1], 0x7531);
    }
}

/* `bits` more bits at 4 and up: qh's bit i is weight i's. */
ANYWHERE void fifth_bits(uint32_t qh, uint32_t offset, const words &v, chunk *c) {
    for (int i = 0; i < 4; i++) {
        c->q[i] = less((v.w[i] & 0x0F0F0F0Fu) | spread(qh >> (4 * i), 4), offset);
        c->q[i + 4] = less((v.w[i] >> 4 & 0x0F0F0F0Fu) | spread(qh >> (16 + 4 * i), 4), offset);
    }
}

ANYWHERE void all_ones(chunk *c, int min) {
    c->scale[0] = c->scale[1] = 1;
    c->min[0] = c->min[1] = min;
}

/* A format says: BLOCK weights; SUB, the weights under a scale (as far as the tensor cores care: 16 or 32); MINS,
 * whether it has minimums; HALVES, whether each half of 32 has a d of its own; first(c) and GAP, where the runs of
 * chunk c begin; take(), the chunk; scales(). `b` is the block's number in the matrix. */
template <int FORMAT> struct format;

struct of_32 {
    enum { BLOCK = 32, SUB = 32, MINS = 0, HALVES = 0, GAP = 16 };
    ANYWHERE int first(int) { return 0; }
};

struct of_256 {
    enum { BLOCK = 256, SUB = 32, MINS = 0, HALVES = 0, GAP = 16 };
    ANYWHERE int first(int c) { return 32 * c; }
};

template <> struct format<FORMAT_Q4_0> : of_32 {
    ANYWHERE void take(const planes &p, size_t b, int, chunk *c) {
        nibbles(load_16(p.p[0] + 16 * b), 8, c);
        all_ones(c, 0);
    }
    ANYWHERE two_floats scales(const planes &p, size_t b) { return {device_half(load_2(p.p[1] + 2 * b)), 0}; }
};

template <> struct format<FORMAT_Q4_1> : of_32 {
    enum { MINS = 1 };
    ANYWHERE void take(const planes &p, size_t b, int, chunk *c) {
        nibbles(load_16(p.p[0] + 16 * b), 0, c);
        all_ones(c, 1);
    }
    ANYWHERE two_floats scales(const planes &p, size_t b) {
        uint32_t dm = load_4(p.p[1] + 4 * b);
        return {device_half(dm & 0xFFFF), -device_half(dm >> 16)};
    }
};

template <> struct format<FORMAT_Q5_0> : of_32 {
    ANYWHERE void take(const planes &p, size_t b, int, chunk *c) {
        fifth_bits(load_4(p.p[1] + 4 * b), 16, load_16(p.p[0] + 16 * b), c);
        all_ones(c, 0);
    }
    ANYWHERE two_floats scales(const planes &p, size_t b) { return {device_half(load_2(p.p[2] + 2 * b)), 0}; }
};

template <> struct format<FORMAT_Q5_1> : of_32 {
    enum { MINS = 1 };
    ANYWHERE void take(const planes &p, size_t b, int, chunk *c) {
        fifth_bits(load_4(p.p[1] + 8 * b + 4), 0, load_16(p.p[0] + 16 * b), c);
        all_ones(c, 1);
    }
    ANYWHERE two_floats scales(const planes &p, size_t b) {
        uint32_t dm = load_4(p.p[1] + 8 * b);
        return {device_half(dm & 0xFFFF), -device_half(dm >> 16)};
    }
};

ANYWHERE void plain_bytes(const uint8_t *p, chunk *c) {
    words low = load_16(p), high = load_16(p + 16);
    for (int i = 0; i < 4; i++) {
        c->q[i] = (int)low.w[i];
        c->q[i + 4] = (int)high.w[i];
    }
}

template <> struct format<FORMAT_Q8_0> : of_32 {
    ANYWHERE void take(const planes &p, size_t b, int, chunk *c) {
        plain_bytes(p.p[0] + 32 * b, c);
        all_ones(c, 0);
    }
    ANYWHERE two_floats scales(const planes &p, size_t b) { return {device_half(load_2(p.p[1] + 2 * b)), 0}; }
};

/* Two-bit weights: chunk c has bytes 32 h + 16 i and on, two of their four pairs of bits. */
struct of_two_bits : of_256 {
    enum { SUB = 16, GAP = 32 };
    ANYWHERE int first(int c) { return 128 * (c >> 2) + 64 * (c >> 1 & 1) + 16 * (c & 1); }
    ANYWHERE int at(int c) { return 32 * (c >> 2) + 16 * (c & 1); }
    ANYWHERE int shift(int c) { return 4 * (c >> 1 & 1); }
};

template <> struct format<FORMAT_Q2_K> : of_two_bits {
    enum { MINS = 1 };
    ANYWHERE void take(const planes &p, size_t b, int n, chunk *c) {
        const uint8_t *block = p.p[0] + 80 * b; /* qs, scales */
        words v = load_16(block + at(n));
        for (int i = 0; i < 4; i++) {
            c->q[i] = (int)(v.w[i] >> shift(n) & 0x03030303u);
            c->q[i + 4] = (int)(v.w[i] >> (shift(n) + 2) & 0x03030303u);
        }
        for (int r = 0; r < 2; r++) {
            uint32_t s = block[64 + first(n) / 16 + 2 * r];
            c->scale[r] = (int)(s & 15);
            c->min[r] = (int)(s >> 4);
        }
    }
    ANYWHERE two_floats scales(const planes &p, size_t b) {
        uint32_t dm = load_4(p.p[1] + 4 * b);
        return {device_half(dm & 0xFFFF), device_half(dm >> 16)};
    }
};

template <> struct format<FORMAT_Q3_K> : of_two_bits {
    ANYWHERE void take(const planes &p, size_t b, int n, chunk *c) {
        const uint8_t *block = p.p[0] + 96 * b; /* qs, hmask */
        words v = load_16(block + at(n)), mask = load_16(block + 64 + 16 * (n & 1)), s = load_16(p.p[1] + 16 * b);
        int k = first(n) / 32; /* the bit of hmask */
        for (int i = 0; i < 4; i++) {
            uint32_t high = mask.w[i] >> k;
            c->q[i] = less((v.w[i] >> shift(n) & 0x03030303u) | (high & 0x01010101u) << 2, 4);
            c->q[i + 4] = less((v.w[i] >> (shift(n) + 2) & 0x03030303u) | (high >> 1 & 0x01010101u) << 2, 4);
        }
        for (int r = 0; r < 2; r++) {
            int j = first(n) / 16 + 2 * r;
            uint32_t low = byte_of(s.w[j % 8 / 4], j % 4) >> (4 * (j / 8)) & 15,
                     top = byte_of(s.w[2], j % 4) >> (2 * (j / 4)) & 3;
            c->scale[r] = (int)(low | top << 4) - 32;
            c->min[r] = 0;
        }
    }
    ANYWHERE two_floats scales(const planes &p, size_t b) { return {device_half(load_2(p.p[1] + 16 * b + 12)), 0}; }
};

/* Q4_K and Q5_K: blocks as the file has them, of which the first 16 bytes are d, dmin and twelve bytes of scales. */
struct of_k4 : of_256 {
    enum { MINS = 1, GAP = 32 };
    ANYWHERE int first(int c) { return 64 * (c >> 1) + 16 * (c & 1); }
    ANYWHERE void six_bits(const words &head, int n, chunk *c) {
        for (int r = 0; r < 2; r++) {
            int j = 2 * (n >> 1) + r, i = j & 3;
            uint32_t a = byte_of(head.w[1], i), m = byte_of(head.w[2], i), low = byte_of(head.w[3], i);
            c->scale[r] = (int)(j < 4 ? a & 63 : (low & 15) | a >> 6 << 4);
            c->min[r] = (int)(j < 4 ? m & 63 : low >> 4 | m >> 6 << 4);
        }
    }
    ANYWHERE two_floats halves(const uint8_t *block) {
        uint32_t dm = load_4(block);
        return {device_half(dm & 0xFFFF), device_half(dm >> 16)};
    }
};

template <> struct format<FORMAT_Q4_K> : of_k4 {
    ANYWHERE void take(const planes &p, size_t b, int n, chunk *c) {
        const uint8_t *block = p.p[0] + 144 * b;
        nibbles(load_16(block + 16 + 16 * n), 0, c);
        six_bits(load_16(block), n, c);
    }
    ANYWHERE two_floats scales(const planes &p, size_t b) { return halves(p.p[0] + 144 * b); }
};

template <> struct format<FORMAT_Q5_K> : of_k4 {
    ANYWHERE void take(const planes &p, size_t b, int n, chunk *c) {
        const uint8_t *block = p.p[0] + 176 * b;
        words v = load_16(block + 48 + 16 * n), high = load_16(block + 16 + 16 * (n & 1));
        int k = 2 * (n >> 1); /* bit k of qh[j] is weight 32 k + j's */
        for (int i = 0; i < 4; i++) {
            c->q[i] = (int)((v.w[i] & 0x0F0F0F0Fu) | (high.w[i] >> k & 0x01010101u) << 4);
            c->q[i + 4] = (int)((v.w[i] >> 4 & 0x0F0F0F0Fu) | (high.w[i] >> (k + 1) & 0x01010101u) << 4);
        }
        six_bits(load_16(block), n, c);
    }
    ANYWHERE two_floats scales(const planes &p, size_t b) { return halves(p.p[0] + 176 * b); }
};

template <> struct format<FORMAT_Q6_K> : of_256 {
    enum { SUB = 16, GAP = 64 };
    ANYWHERE int first(int c) { return 128 * (c >> 2) + 16 * (c & 3); }
    ANYWHERE void take(const planes &p, size_t b, int n, chunk *c) {
        const uint8_t *block = p.p[0] + 208 * b; /* ql, qh, scales */
        int h = n >> 2, r = n & 3, shift = 2 * (r >> 1);
        words low = load_16(block + 64 * h + 16 * r), high = load_16(block + 128 + 32 * h + 16 * (r & 1));
        for (int i = 0; i < 4; i++) {
            uint32_t top = high.w[i] >> shift;
            c->q[i] = less((low.w[i] & 0x0F0F0F0Fu) | (top & 0x03030303u) << 4, 32);
            c->q[i + 4] = less((low.w[i] >> 4 & 0x0F0F0F0Fu) | (top >> 4 & 0x03030303u) << 4, 32);
        }
        for (int k = 0; k < 2; k++) {
            c->scale[k] = (int8_t)block[192 + first(n) / 16 + 4 * k];
            c->min[k] = 0;
        }
    }
    ANYWHERE two_floats scales(const planes &p, size_t b) { return {device_half(load_2(p.p[1] + 2 * b)), 0}; }
};

template <> struct format<FORMAT_IQ4_XS> : of_256 {
    ANYWHERE void take(const planes &p, size_t b, int n, chunk *c) {
        const uint8_t *head = p.p[1] + 8 * b; /* d, scales_h, scales_l */
        table_nibbles(load_16(p.p[0] + 128 * b + 16 * n), 0xBFAD9881u, 0xF6EADDCFu, 0x26190D01u, 0x71594535u, c);
        uint32_t low = head[4 + n / 2] >> (4 * (n % 2)) & 15, high = load_2(head + 2) >> (2 * n) & 3;
        c->scale[0] = c->scale[1] = (int)(low | high << 4) - 32;
        c->min[0] = c->min[1] = 0;
    }
    ANYWHERE two_floats scales(const planes &p, size_t b) { return {device_half(load_2(p.p[1] + 8 * b)), 0}; }
};

template <> struct format<FORMAT_MXFP4> : of_32 {
    ANYWHERE void take(const planes &p, size_t b, int, chunk *c) {
        table_nibbles(load_16(p.p[0] + 16 * b), 0x03020100u, 0x0C080604u, 0xFDFEFF00u, 0xF4F8FAFCu, c);
        all_ones(c, 0);
    }
    ANYWHERE two_floats scales(const planes &p, size_t b) {
        uint32_t e = p.p[1][b];
        return {f32_from_bits(e < 2 ? 0x00200000u << e : (e - 1) << 23), 0};
    }
};

template <> struct format<FORMAT_BYTES_32> : of_32 {
    ANYWHERE void take(const planes &p, size_t b, int, chunk *c) {
        plain_bytes(p.p[0] + 32 * b, c);
        all_ones(c, 0);
    }
    ANYWHERE two_floats scales(const planes &p, size_t b) { return {f32_from_bits(load_4(p.p[1] + 4 * b)), 0}; }
};

template <> struct format<FORMAT_BYTES_16> : of_32 {
    enum { HALVES = 1 };
    ANYWHERE void take(const planes &p, size_t b, int, chunk *c) {
        plain_bytes(p.p[0] + 32 * b, c);
        all_ones(c, 0);
    }
    ANYWHERE two_floats scales(const planes &p, size_t b) {
        return {f32_from_bits(load_4(p.p[1] + 8 * b)), f32_from_bits(load_4(p.p[1] + 8 * b + 4))};
    }
};

template <> struct format<FORMAT_BYTES_256> : of_256 {
    enum { SUB = 16 };
    ANYWHERE void take(const planes &p, size_t b, int n, chunk *c) {
        const uint8_t *block = p.p[0] + 272 * b; /* q, scales */
        plain_bytes(block + 32 * n, c);
        c->scale[0] = (int8_t)block[256 + 2 * n];
        c->scale[1] = (int8_t)block[256 + 2 * n + 1];
        c->min[0] = c->min[1] = 0;
    }
    ANYWHERE two_floats scales(const planes &p, size_t b) { return {f32_from_bits(load_4(p.p[1] + 4 * b)), 0}; }
};

/* call(format<f>()), for a format of blocks. */
template <typename CALL> static inline void with_format(matrix_format f, CALL call) {
    switch (f) {
    case FORMAT_Q4_0: call(format<FORMAT_Q4_0>()); break;
    case FORMAT_Q4_1: call(format<FORMAT_Q4_1>()); break;
    case FORMAT_Q5_0: call(format<FORMAT_Q5_0>()); break;
    case FORMAT_Q5_1: call(format<FORMAT_Q5_1>()); break;
    case FORMAT_Q8_0: call(format<FORMAT_Q8_0>()); break;
    case FORMAT_Q2_K: call(format<FORMAT_Q2_K>()); break;
    case FORMAT_Q3_K: call(format<FORMAT_Q3_K>()); break;
    case FORMAT_Q4_K: call(format<FORMAT_Q4_K>()); break;
    case FORMAT_Q5_K: call(format<FORMAT_Q5_K>()); break;
    case FORMAT_Q6_K: call(format<FORMAT_Q6_K>()); break;
    case FORMAT_IQ4_XS: call(format<FORMAT_IQ4_XS>()); break;
    case FORMAT_MXFP4: call(format<FORMAT_MXFP4>()); break;
    case FORMAT_BYTES_32: call(format<FORMAT_BYTES_32>()); break;
    case FORMAT_BYTES_16: call(format<FORMAT_BYTES_16>()); break;
    case FORMAT_BYTES_256: call(format<FORMAT_BYTES_256>()); break;
    default: break;
    }
}

#endif
