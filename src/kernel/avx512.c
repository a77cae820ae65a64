/*
 * AVX-512 (F, BW, DQ, VL, VNNI, VBMI). Products of quantized matrices with two tokens or more (avx512_step.c
 * has those with one): the blocks of sixteen rows are taken from the file's own layout, transposed while still packed,
 * and unpacked into a panel [K / 4][16 rows][4] that stays in L1. Lanes are rows from there on, so that no sum crosses
 * lanes and the float chain of each row has a lane of its own; a tile of up to twelve tokens keeps its sums in
 * registers.
 *
 * Weights are unsigned bytes w + offset, as vpdpbusd wants them; the offset comes off again through the sums of
 * activations, exactly as minimums do.
 */
#include "kernel/avx512.h"

#include "kernel/avx512_iq.h"
#include "kernel/generic.h"

/* PANEL: inputs that a panel holds. GROUPS: panels that are kept at once. */
enum { TILE = 12, MAX_TILE = 16, PANEL = 512, GROUPS = 8 };

/* ---- the panel ------------------------------------------------------------------------------- */

/* PANEL inputs of ROWS rows: lane r of every vector belongs to row r. */
typedef struct {
    __m512i q[PANEL / 4];      /* four weights, unsigned */
    __m512i scale[PANEL / 16]; /* of the weights under one scale: int32, or float32 for SUMS_FLOAT */
    __m512i pairs[PANEL / 32]; /* two int16, for the sums of 16 and 16 activations: minimums, or -offset x scale */
    __m512 d[PANEL / 32], dmin[PANEL / 32];
} panel;

/* Writes block `at` of the panel from the block that begins `offset` bytes into the rows. */
typedef void fill_fn(panel *p, size_t at, const row_group *g, size_t offset);

/* Bytes shifted to the left by n, to the right where n is negative; what crosses into a neighbour is masked later. */
INLINE __m512i shift(__m512i v, int n) {
    return n < 0 ? _mm512_srli_epi16(v, (unsigned)-n) : _mm512_slli_epi16(v, (unsigned)n);
}

/* Every word of four bytes made anew: byte i of it is byte `bytes` >> 8 i of the old one, or 0 where that is 0x80. */
INLINE __m512i pick(__m512i v, uint32_t bytes) {
    const uint32_t next = 0x04040404;
    return _mm512_shuffle_epi8(v, _mm512_set4_epi32((int)(bytes + 3 * next), (int)(bytes + 2 * next),
                                                    (int)(bytes + next), (int)bytes));
}

/* Byte i as an int32; bytes i and j as two int16; the same for signed bytes, the pair times 256. */
INLINE __m512i byte_of(__m512i v, uint32_t i) { return pick(v, 0x80808000 | i); }
INLINE __m512i pair_of(__m512i v, uint32_t i, uint32_t j) { return pick(v, 0x80008000 | j << 16 | i); }
INLINE __m512i signed_byte_of(__m512i v, uint32_t i) { return _mm512_srai_epi32(pick(v, i << 24 | 0x808080), 24); }
INLINE __m512i high_pair_of(__m512i v, uint32_t i, uint32_t j) { return pick(v, j << 24 | i << 8 | 0x800080); }

/* The head of Q4_K and Q5_K: d, dmin, eight scales and eight minimums of six bits. */
INLINE void fill_six_bits(panel *p, size_t at, const row_group *g, size_t offset, bool float_sums) {
    const __m512i six = _mm512_set1_epi8(0x3F);
    __m512i head[4], scales[2], mins[2];
    take_16(g, offset, head);
    p->d[at] = low_halves(head[0]);
    p->dmin[at] = high_halves(head[0]);
    scales[0] = _mm512_and_si512(head[1], six);
    mins[0] = _mm512_and_si512(head[2], six);
    scales[1] = or_bits(low_nibbles(head[3]), shift(head[1], -2), 0x30);
    mins[1] = or_bits(high_nibbles(head[3]), shift(head[2], -2), 0x30);
    for (uint32_t s = 0; s < 8; s++) {
        __m512i scale = byte_of(scales[s / 4], s % 4);
        p->scale[at * 16 + s] = float_sums ? _mm512_castps_si512(_mm512_cvtepi32_ps(scale)) : scale;
        p->pairs[at * 8 + s] = pair_of(mins[s / 4], s % 4, s % 4);
    }
}

INLINE void fill_q4_k(panel *p, size_t at, const row_group *g, size_t offset) {
    fill_six_bits(p, at, g, offset, true);
    for (size_t i = 0; i < 8; i++) { /* 32 bytes hold 64 weights, the lower nibbles first */
        __m512i v[4], *q = p->q + at * 64 + i / 2 * 16 + i % 2 * 4;
        take_16(g, offset + 16 + 16 * i, v);
        for (size_t j = 0; j < 4; j++) {
            q[j] = low_nibbles(v[j]);
            q[8 + j] = high_nibbles(v[j]);
        }
    }
}

INLINE void fill_q5_k(panel *p, size_t at, const row_group *g, size_t offset) {
    fill_six_bits(p, at, g, offset, false);
    for (size_t half = 0; half < 2; half++) {
        __m512i fifth[4];
        take_16(g, offset + 16 + 16 * half, fifth); /* bit i of a byte is the fifth of weight 32 i on */
        for (int i = 0; i < 4; i++) {
            __m512i v[4], *q = p->q + at * 64 + (size_t)i * 16 + half * 4;
            take_16(g, offset + 48 + 32 * (size_t)i + 16 * half, v);
            for (size_t j = 0; j < 4; j++) {
                q[j] = or_bits(low_nibbles(v[j]), shift(fifth[j], 4 - 2 * i), 0x10);
                q[8 + j] = or_bits(high_nibbles(v[j]), shift(fifth[j], 3 - 2 * i), 0x10);
            }
        }
    }
}

INLINE void fill_q6_k(panel *p, size_t at, const row_group *g, size_t offset) {
    __m512i scales[4], last[4];
    take_16(g, offset + 192, scales);
    take_16(g, offset + 194, last);
    p->d[at] = high_halves(last[3]);
    for (uint32_t s = 0; s < 16; s++) p->scale[at * 16 + s] = signed_byte_of(scales[s / 4], s % 4);
    for (uint32_t s = 0; s < 8; s++) { /* -32 x scale */
        __m512i pair = _mm512_srai_epi16(high_pair_of(scales[s / 2], s % 2 * 2, s % 2 * 2 + 1), 3);
        p->pairs[at * 8 + s] = _mm512_sub_epi16(_mm512_setzero_si512(), pair);
    }
    for (size_t i = 0; i < 4; i++) { /* 16 bytes of two bits go with 32 of nibbles: 64 of 128 weights */
        __m512i a[4], b[4], top[4], *q = p->q + at * 64 + i / 2 * 32 + i % 2 * 4;
        take_16(g, offset + 64 * (i / 2) + 16 * (i % 2), a);
        take_16(g, offset + 64 * (i / 2) + 16 * (i % 2) + 32, b);
        take_16(g, offset + 128 + 16 * i, top);
        for (size_t j = 0; j < 4; j++) {
            q[j] = or_bits(low_nibbles(a[j]), shift(top[j], 4), 0x30);
            q[8 + j] = or_bits(low_nibbles(b[j]), shift(top[j], 2), 0x30);
            q[16 + j] = or_bits(high_nibbles(a[j]), top[j], 0x30);
            q[24 + j] = or_bits(high_nibbles(b[j]), shift(top[j], -2), 0x30);
        }
    }
}

/* Two bits times four still fit a byte, so that the product needs no scales. Both bytes of a word are multiplied at
 * once: nothing carries from one into the other. */
INLINE void fill_q2_k(panel *p, size_t at, const row_group *g, size_t offset) {
    __m512i head[4], last[4], scales[4];
    take_16(g, offset, head);
    take_16(g, offset + 68, last); /* d and dmin are its last word */
    p->d[at] = low_halves(last[3]);
    p->dmin[at] = high_halves(last[3]);
    for (size_t i = 0; i < 4; i++) {
        __m512i mins = high_nibbles(head[i]);
        scales[i] = low_nibbles(head[i]);
        p->pairs[at * 8 + 2 * i] = pair_of(mins, 0, 1);
        p->pairs[at * 8 + 2 * i + 1] = pair_of(mins, 2, 3);
    }
    for (uint32_t i = 0; i < 4; i++) { /* 16 bytes hold 64 of 128 weights */
        __m512i v[4];
        take_16(g, offset + 16 + 16 * i, v);
        for (uint32_t two = 0; two < 4; two++) {
            uint32_t s = i / 2 * 8 + two * 2 + i % 2;
            __m512i scale = pair_of(scales[s / 4], s % 4, s % 4);
            for (size_t j = 0; j < 4; j++) {
                __m512i q = _mm512_and_si512(shift(v[j], -2 * (int)two), _mm512_set1_epi8(3));
                p->q[at * 64 + s * 4 + j] = _mm512_mullo_epi16(q, scale);
            }
        }
    }
}

/* The same for three bits: (q - 4) x scale + 124 is a byte, too. */
INLINE void fill_q3_k(panel *p, size_t at, const row_group *g, size_t offset) {
    enum { OFFSET = 124 };
    __m512i tail[4], last[4], scales[4], top[2][4];
    take_16(g, offset + 92, tail);
    take_16(g, offset + 94, last);
    p->d[at] = high_halves(last[3]);
    for (int i = 0; i < 4; i++) {
        __m512i four = i < 2 ? low_nibbles(tail[1 + i]) : high_nibbles(tail[i - 1]);
        scales[i] = _mm512_sub_epi8(or_bits(four, shift(tail[3], 4 - 2 * i), 0x30), _mm512_set1_epi8(32));
    }
    for (size_t s = 0; s < 8; s++) p->pairs[at * 8 + s] = _mm512_set1_epi16(-OFFSET);
    for (size_t half = 0; half < 2; half++) take_16(g, offset + 16 * half, top[half]);
    for (uint32_t i = 0; i < 4; i++) {
        __m512i v[4];
        take_16(g, offset + 32 + 16 * i, v);
        for (uint32_t two = 0; two < 4; two++) {
            uint32_t s = i / 2 * 8 + two * 2 + i % 2;
            __m512i scale = _mm512_srai_epi16(high_pair_of(scales[s / 4], s % 4, s % 4), 8);
            __m512i add = _mm512_sub_epi16(_mm512_set1_epi16(OFFSET), _mm512_slli_epi16(scale, 2));
            add = _mm512_add_epi16(add, _mm512_slli_epi16(add, 8));
            for (size_t j = 0; j < 4; j++) {
                __m512i q = _mm512_and_si512(shift(v[j], -2 * (int)two), _mm512_set1_epi8(3));
                q = or_bits(q, shift(top[i % 2][j], 2 - (int)(i / 2 * 4 + two)), 4);
                p->q[at * 64 + s * 4 + j] = _mm512_add_epi16(_mm512_mullo_epi16(q, scale), add);
            }
        }
    }
}

INLINE void fill_nibbles(__m512i *q, const row_group *g, size_t offset) {
    __m512i v[4];
    take_16(g, offset, v);
    for (size_t j = 0; j < 4; j++) {
        q[j] = low_nibbles(v[j]);
        q[4 + j] = high_nibbles(v[j]);
    }
}

/* Adds 16 to the weights whose bit is set: four of each lane's 32 bits a vector. */
INLINE void add_fifth_bits(__m512i *q, __m512i bits) {
    for (uint32_t j = 0; j < 8; j++) {
        __m512i eight = pick(bits, 0x01010101 * (j / 2));
        __mmask64 set = _mm512_test_epi8_mask(eight, _mm512_set1_epi32(j % 2 ? (int)0x80402010 : 0x08040201));
        q[j] = _mm512_mask_add_epi8(q[j], set, q[j], _mm512_set1_epi8(16));
    }
}

INLINE void fill_q4_0(panel *p, size_t at, const row_group *g, size_t offset) {
    __m512i head[4];
    take_16(g, offset, head);
    p->d[at] = low_halves(head[0]);
    fill_nibbles(p->q + at * 8, g, offset + 2);
}

INLINE void fill_q4_1(panel *p, size_t at, const row_group *g, size_t offset) {
    __m512i head[4];
    take_16(g, offset, head);
    p->d[at] = low_halves(head[0]);
    p->dmin[at] = high_halves(head[0]);
    fill_nibbles(p->q + at * 8, g, offset + 4);
}

INLINE void fill_q5_0(panel *p, size_t at, const row_group *g, size_t offset) {
    __m512i head[4];
    take_16(g, offset, head);
    p->d[at] = low_halves(head[0]);
    fill_nibbles(p->q + at * 8, g, offset + 6);
    add_fifth_bits(p->q + at * 8, _mm512_shrdi_epi32(head[0], head[1], 16));
}

INLINE void fill_q5_1(panel *p, size_t at, const row_group *g, size_t offset) {
    __m512i head[4];
    take_16(g, offset, head);
    p->d[at] = low_halves(head[0]);
    p->dmin[at] = high_halves(head[0]);
    fill_nibbles(p->q + at * 8, g, offset + 8);
    add_fifth_bits(p->q + at * 8, head[1]);
}

INLINE void fill_q8_0(panel *p, size_t at, const row_group *g, size_t offset) {
    __m512i head[4], *q = p->q + at * 8;
    take_16(g, offset, head);
    p->d[at] = low_halves(head[0]);
    take_16(g, offset + 2, q);
    take_16(g, offset + 18, q + 4);
    for (size_t j = 0; j < 8; j++) q[j] = _mm512_xor_si512(q[j], _mm512_set1_epi8((char)0x80));
}

/* ---- the tile -------------------------------------------------------------------------------- */

/* How the integer sum of a super-block is made. */
typedef enum {
    SUMS_FLAT,  /* the weights hold their scales already */
    SUMS_INT,   /* scale x part in int32 */
    SUMS_FLOAT, /* in float32, each half of the block exact below 2^24 */
} sums_kind;

/* What a type is, as constants of the functions that are made for it. */
typedef struct {
    size_t block, bytes;
    fill_fn *fill;
    size_t sub; /* weights under one scale; those summed at once for SUMS_FLAT */
    sums_kind sums;
    bool has_min;
    int offset; /* of a block of 32 */
} shape;

/*
 * part[t] += sum of weight x activation over 16 or 32 inputs, for n tokens (12, 8, 4, 2 or 1): four weights a lane of
 * w[k] meet the four bytes at q + t stride + 4 k. Written out, since compilers load and broadcast apart, and keep a
 * pointer for each token; with a pointer in the middle of each four tokens the displacements take a byte.
 */
#define LOAD(k)                 "vmovdqa64 64*" #k "(%[w]), %[v]\n\t"
#define DOT(k, stride, p, i, t) "vpdpbusd 4*" #k "+" #stride "*" #i "(%[" #p "])%{1to16%}, %[v], %[p" #t "]\n\t"
#define DOT_0(k, stride)                                                                                               \
    DOT(k, stride, q0, -2, 0) DOT(k, stride, q0, -1, 1) DOT(k, stride, q0, 0, 2) DOT(k, stride, q0, 1, 3)
#define DOT_4(k, stride)                                                                                               \
    DOT(k, stride, q4, -2, 4) DOT(k, stride, q4, -1, 5) DOT(k, stride, q4, 0, 6) DOT(k, stride, q4, 1, 7)
#define DOT_8(k, stride)                                                                                               \
    DOT(k, stride, q8, -2, 8) DOT(k, stride, q8, -1, 9) DOT(k, stride, q8, 0, 10) DOT(k, stride, q8, 1, 11)
#define STEP_1(k, stride)      LOAD(k) DOT(k, stride, q0, -2, 0)
#define STEP_2(k, stride)      STEP_1(k, stride) DOT(k, stride, q0, -1, 1)
#define STEP_4(k, stride)      LOAD(k) DOT_0(k, stride)
#define STEP_8(k, stride)      STEP_4(k, stride) DOT_4(k, stride)
#define STEP_12(k, stride)     STEP_8(k, stride) DOT_8(k, stride)
#define STEPS_16(step, stride) step(0, stride) step(1, stride) step(2, stride) step(3, stride)
#define STEPS_32(step, stride) STEPS_16(step, stride) step(4, stride) step(5, stride) step(6, stride) step(7, stride)
#define PART(t)                [p##t] "+v"(part[t])
#define PARTS_1                PART(0)
#define PARTS_2                PARTS_1, PART(1)
#define PARTS_4                PARTS_1, PART(1), PART(2), PART(3)
#define PARTS_8                PARTS_4, PART(4), PART(5), PART(6), PART(7)
#define PARTS_12               PARTS_8, PART(8), PART(9), PART(10), PART(11)
#define DOTS(n, inputs, stride)                                                                                        \
    __asm__(STEPS_##inputs(STEP_##n, stride)                                                                           \
            : PARTS_##n, [v] "=&v"(v)                                                                                  \
            : [w] "r"(w), [q0] "r"(q + 2 * (stride)), [q4] "r"(q + 6 * (stride)), [q8] "r"(q + 10 * (stride))          \
            : "memory")
#define DOTS_OF(inputs, stride)                                                                                        \
    INLINE void dots_##inputs##_##stride(__m512i *part, const __m512i *w, const int8_t *q, size_t n) {                 \
        __m512i v;                                                                                                     \
        if (n == 12) DOTS(12, inputs, stride);                                                                         \
        if (n == 8) DOTS(8, inputs, stride);                                                                           \
        if (n == 4) DOTS(4, inputs, stride);                                                                           \
        if (n == 2) DOTS(2, inputs, stride);                                                                           \
        if (n == 1) DOTS(1, inputs, stride);                                                                           \
        (void)v;                                                                                                       \
    }

DOTS_OF(16, 256)
DOTS_OF(32, 256)
DOTS_OF(32, 32)

INLINE __m512 scaled(__m512 d, float s) { return _mm512_mul_ps(d, _mm512_set1_ps(s)); }

/* A zero of its own: compilers make one and copy it, which costs what a sum does. */
INLINE __m512i zero(void) {
    __m512i v;
    __asm__ volatile("vpxord %0, %0, %0" : "=v"(v));
    return v;
}

/* part[t] = sum over n_in inputs of weight x activation, in blocks of `stride`. */
INLINE void dot_tile(const __m512i *w, const int8_t *q, size_t stride, size_t n_in, size_t n, __m512i part[TILE]) {
    for (size_t t = 0; t < n; t++) part[t] = zero();
    if (n_in == 16) dots_16_256(part, w, q, n);
#pragma GCC unroll 2
    for (size_t k = 0; k + 32 <= n_in; k += 32) {
        if (stride == 256) {
            dots_32_256(part, w + k / 4, q + k, n);
        } else {
            dots_32_32(part, w + k / 4, q + k, n);
        }
    }
}

/* Half a super-block's sums in float32; its first part is not added to anything. */
INLINE void half_sums(const __m512i *w, const __m512i *scale, const int8_t *q, size_t sub, size_t n,
                      __m512 value[TILE]) {
    __m512i part[TILE];
    dot_tile(w, q, 256, sub, n, part);
    for (size_t t = 0; t < n; t++) value[t] = _mm512_mul_ps(_mm512_cvtepi32_ps(part[t]), _mm512_castsi512_ps(*scale));
#pragma GCC unroll 4
    for (size_t k = sub; k < 128; k += sub) {
        __m512 s = _mm512_castsi512_ps(scale[k / sub]);
        dot_tile(w + k / 4, q + k, 256, sub, n, part);
        for (size_t t = 0; t < n; t++) value[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(part[t]), s, value[t]);
    }
}

INLINE void float_sums(const __m512i *w, const __m512i *scale, const int8_t *q, size_t sub, size_t n,
                       __m512 value[TILE]) {
    __m512 first[TILE];
    half_sums(w, scale, q, sub, n, first);
    half_sums(w + 32, scale + 128 / sub, q + 128, sub, n, value);
    for (size_t t = 0; t < n; t++) value[t] = _mm512_add_ps(first[t], value[t]);
}

/* total[t] goes on. */
INLINE void int_sums(const __m512i *w, const __m512i *scale, const int8_t *q, const shape s, size_t n,
                     __m512i total[TILE]) {
#pragma GCC unroll 16
    for (size_t k = 0; k < 256; k += s.sub) {
        __m512i part[TILE];
        dot_tile(w + k / 4, q + k, 256, s.sub, n, part);
        for (size_t t = 0; t < n; t++) {
            __m512i x = s.sums == SUMS_FLAT ? part[t] : _mm512_mullo_epi32(part[t], scale[k / s.sub]);
            total[t] = _mm512_add_epi32(total[t], x);
        }
    }
}

/* Sums of the pairs with the sums of activations. */
INLINE void pair_sums(const __m512i *pairs, const int16_t *sum, size_t n, __m512i other[TILE]) {
    for (size_t t = 0; t < n; t++) other[t] = zero();
#pragma GCC unroll 8
    for (size_t i = 0; i < 8; i++) {
        for (size_t t = 0; t < n; t++) madd_broadcast(&other[t], pairs[i], sum + t * 16 + 2 * i);
    }
}

/* acc[t] goes on with the value of block `at`, and with its minimums. */
INLINE void finish_256(const panel *p, size_t at, const __m512 *value, const int16_t *sum, const float *scale, size_t n,
                       __m512 *acc, const shape s) {
    for (size_t t = 0; t < n; t++) acc[t] = _mm512_fmadd_ps(value[t], scaled(p->d[at], scale[t]), acc[t]);
    if (!s.has_min) return;
    __m512i other[MAX_TILE];
    pair_sums(p->pairs + at * 8, sum, n, other);
    for (size_t t = 0; t < n; t++)
        acc[t] = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(other[t]), scaled(p->dmin[at], scale[t]), acc[t]);
}

/* Block `at` of the panel against n tokens. */
INLINE void tile_256(const panel *p, size_t at, const int8_t *q, const int16_t *sum, const float *scale, size_t n,
                     __m512 acc[TILE], const shape s) {
    __m512i other[TILE];
    __m512 value[TILE];
    const __m512i *w = p->q + at * 64, *scales = p->scale + at * 16;
    if (s.sums == SUMS_FLOAT) {
        float_sums(w, scales, q, s.sub, n, value);
    } else {
        if (s.has_min) {
            for (size_t t = 0; t < n; t++) other[t] = zero();
        } else {
            pair_sums(p->pairs + at * 8, sum, n, other);
        }
        int_sums(w, scales, q, s, n, other);
        for (size_t t = 0; t < n; t++) value[t] = _mm512_cvtepi32_ps(other[t]);
    }
    finish_256(p, at, value, sum, scale, n, acc, s);
}

/* The same for a block of 32; total is its sum, without the offset. */
INLINE void finish_32(const panel *p, size_t at, __m512i *total, const int16_t *sum, const float *scale, size_t n,
                      __m512 *acc, const shape s) {
    for (size_t t = 0; t < n; t++) {
        if (!s.has_min) madd_broadcast(&total[t], _mm512_set1_epi16((short)-s.offset), sum + 2 * t);
        acc[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(total[t]), scaled(p->d[at], scale[t]), acc[t]);
        if (!s.has_min) continue;
        __m512 m = _mm512_set1_ps((float)(sum[2 * t] + sum[2 * t + 1])); /* the file's m is the negated minimum */
        acc[t] = _mm512_fmadd_ps(m, scaled(p->dmin[at], scale[t]), acc[t]);
    }
}

INLINE void tile_32(const panel *p, size_t at, const int8_t *q, const int16_t *sum, const float *scale, size_t n,
                    __m512 acc[TILE], const shape s) {
    __m512i total[TILE];
    dot_tile(p->q + at * 8, q, 32, 32, n, total);
    finish_32(p, at, total, sum, scale, n, acc, s);
}

/* Sixteen rows that are read soon; at: NULL where there are none. */
typedef struct {
    const uint8_t *at;
    size_t row_bytes;
} ahead;

INLINE void ask_for(const ahead x, size_t offset, size_t bytes) {
    for (size_t r = 0; r < ROWS && x.at; r++) {
        for (size_t i = 0; i < bytes; i += 64) _mm_prefetch(x.at + r * x.row_bytes + offset + i, _MM_HINT_T1);
    }
}

/* Blocks [first, first + n_blocks), which the panel holds, against tokens [t0, t0 + n): y is read and written. */
INLINE void tile(const panel *p, const activations *a, size_t n_tok, size_t first, size_t n_blocks, size_t t0, size_t n,
                 float *y, size_t y_stride, __mmask16 rows, const ahead to_come, const shape s) {
    __m512 acc[TILE];
    for (size_t t = 0; t < n; t++) {
        acc[t] = first == 0 ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(rows, y + (t0 + t) * y_stride);
    }
    for (size_t b = 0; b < n_blocks; b++) {
        size_t at = (first + b) * n_tok + t0;
        const int8_t *q = a->q + at * s.block;
        const int16_t *sum = a->sum + at * (s.block / ACTIVATION_SUB);
        ask_for(to_come, b * s.bytes, s.bytes);
        if (s.block == 256) {
            tile_256(p, b, q, sum, a->scale + at, n, acc, s);
        } else {
            tile_32(p, b, q, sum, a->scale + at, n, acc, s);
        }
    }
    for (size_t t = 0; t < n; t++) _mm512_mask_storeu_ps(y + (t0 + t) * y_stride, rows, acc[t]);
}

/* ---- the tile on AMX ------------------------------------------------------------------------- */

/* Sixteen tokens at once: the panel is laid out as the second operand of a tile product wants it, and activations lie
 * as the first one does, so that a row of the result is a token's sums with a lane for each row. The sums under one
 * scale are stored and go on as vectors, while the products of the next block run. */
enum { PARTS = 8 }; /* sums under one scale of a super-block, at most */

typedef struct {
    int32_t sum[PARTS][MAX_TILE][ROWS];
} __attribute__((aligned(64))) parts;

/* Inputs whose products one sum takes, of a tile product. */
INLINE size_t amx_inputs(const shape s) { return s.block == 32 ? 32 : s.sub; }
INLINE size_t amx_parts(const shape s) { return s.block == 32 || s.sums == SUMS_FLAT ? 1 : 256 / s.sub; }

/* Shapes of the tiles: 0 to 3 sums, 4 and 5 activations, 6 and 7 weights. */
INLINE void amx_begin(const shape s) {
    struct {
        uint8_t palette, start, reserved[14];
        uint16_t bytes[16]; /* of a row */
        uint8_t rows[16];
    } __attribute__((packed)) config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.bytes[i] = i == 4 || i == 5 ? (uint16_t)amx_inputs(s) : 64;
        config.rows[i] = i < 6 ? 16 : (uint8_t)(amx_inputs(s) / 4);
    }
    __asm__ volatile("ldtilecfg %0" : : "m"(config));
}

INLINE void amx_end(void) { __asm__ volatile("tilerelease"); }

#define AMX_LOAD_AND_MULTIPLY(c, a, b)                                                                                 \
    "tileloadd (%[q],%[stride]), %%tmm" #a "\n\ttileloadd (%[w],%[line]), %%tmm" #b "\n\ttdpbsud %%tmm" #b             \
    ", %%tmm" #a ", %%tmm" #c "\n\t"
#define AMX(c, text)                                                                                                   \
    __asm__ volatile(text                                                                                              \
                     :                                                                                                 \
                     : [q] "r"(q), [w] "r"(w), [stride] "r"(s.block), [line] "r"((size_t)64), [out] "r"(out)           \
                     : "memory")
#define AMX_SUM(c, a, b)                                                                                               \
    AMX(c, "tilezero %%tmm" #c "\n\t" AMX_LOAD_AND_MULTIPLY(c, a, b) "tilestored %%tmm" #c ", (%[out],%[line])")

/* Part i of a block. */
INLINE void amx_sum(const __m512i *w, const int8_t *q, size_t i, int32_t *out, const shape s) {
    w += i * amx_inputs(s) / 4;
    q += i * amx_inputs(s);
    if (s.sums == SUMS_FLAT && s.block == 256) {
        AMX(0, "tilezero %%tmm0");
        for (size_t k = 0; k < 256; k += s.sub, w += s.sub / 4, q += s.sub) AMX(0, AMX_LOAD_AND_MULTIPLY(0, 4, 6));
        AMX(0, "tilestored %%tmm0, (%[out],%[line])");
    } else if (i % 4 == 0) {
        AMX_SUM(0, 4, 6);
    } else if (i % 4 == 1) {
        AMX_SUM(1, 5, 7);
    } else if (i % 4 == 2) {
        AMX_SUM(2, 4, 6);
    } else {
        AMX_SUM(3, 5, 7);
    }
}

INLINE __m512i amx_take(const parts *x, size_t i, size_t t) { return _mm512_load_si512(x->sum[i][t]); }

/* Where blocks of a tile's tokens begin. */
typedef struct {
    const panel *p;
    const int8_t *q;
    size_t next; /* bytes from a block's activations to the next one's */
} amx_source;

INLINE void amx_block_sum(const amx_source *x, size_t b, size_t i, parts *out, const shape s) {
    amx_sum(x->p->q + b * s.block / 4, x->q + b * x->next, i, out->sum[i][0], s);
}

/* The value of block b in `now`; meanwhile the sums of block b + 1 are made in `to_come`, if `more`. */
INLINE void amx_values(const amx_source *x, size_t b, bool more, const parts *now, parts *to_come, const int16_t *sum,
                       __m512 value[MAX_TILE], const shape s) {
    const __m512i *scales = x->p->scale + b * 16;
    if (s.sums == SUMS_FLOAT) {
        __m512 half[2][MAX_TILE];
#pragma GCC unroll 8
        for (size_t i = 0; i < 8; i++) {
            __m512 scale = _mm512_castsi512_ps(scales[i]), *to = half[i / 4];
            if (more) amx_block_sum(x, b + 1, i, to_come, s);
            for (size_t t = 0; t < MAX_TILE; t++) {
                __m512 v = _mm512_cvtepi32_ps(amx_take(now, i, t));
                to[t] = i % 4 == 0 ? _mm512_mul_ps(v, scale) : _mm512_fmadd_ps(v, scale, to[t]);
            }
        }
        for (size_t t = 0; t < MAX_TILE; t++) value[t] = _mm512_add_ps(half[0][t], half[1][t]);
        return;
    }
    __m512i total[MAX_TILE];
    if (s.has_min) {
        for (size_t t = 0; t < MAX_TILE; t++) total[t] = zero();
    } else {
        pair_sums(x->p->pairs + b * 8, sum, MAX_TILE, total);
    }
#pragma GCC unroll 16
    for (size_t i = 0; i < amx_parts(s); i++) {
        if (more) amx_block_sum(x, b + 1, i, to_come, s);
        for (size_t t = 0; t < MAX_TILE; t++) {
            __m512i v = amx_take(now, i, t);
            total[t] = _mm512_add_epi32(total[t], s.sums == SUMS_FLAT ? v : _mm512_mullo_epi32(v, scales[i]));
        }
    }
    for (size_t t = 0; t < MAX_TILE; t++) value[t] = _mm512_cvtepi32_ps(total[t]);
}

/* As `tile`, for MAX_TILE tokens. */
INLINE void amx_tile(const panel *p, const activations *a, size_t n_tok, size_t first, size_t n_blocks, size_t t0,
                     float *y, size_t y_stride, __mmask16 rows, const ahead to_come, const shape s) {
    __m512 acc[MAX_TILE], value[MAX_TILE];
    parts sums[2];
    size_t at = first * n_tok + t0;
    amx_source x = {p, a->q + at * s.block, n_tok * s.block};
    for (size_t t = 0; t < MAX_TILE; t++) {
        acc[t] = first == 0 ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(rows, y + (t0 + t) * y_stride);
    }
    for (size_t i = 0; i < amx_parts(s); i++) amx_block_sum(&x, 0, i, &sums[0], s);
    for (size_t b = 0; b < n_blocks; b++, at += n_tok) {
        const int16_t *sum = a->sum + at * (s.block / ACTIVATION_SUB);
        parts *now = &sums[b % 2], *next = &sums[(b + 1) % 2];
        bool more = b + 1 < n_blocks;
        ask_for(to_come, b * s.bytes, s.bytes);
        if (s.block == 256) {
            amx_values(&x, b, more, now, next, sum, value, s);
            finish_256(p, b, value, sum, a->scale + at, MAX_TILE, acc, s);
        } else {
            __m512i total[MAX_TILE];
            if (more) amx_block_sum(&x, b + 1, 0, next, s);
            for (size_t t = 0; t < MAX_TILE; t++) total[t] = amx_take(now, 0, t);
            finish_32(p, b, total, sum, a->scale + at, MAX_TILE, acc, s);
        }
    }
    for (size_t t = 0; t < MAX_TILE; t++) _mm512_mask_storeu_ps(y + (t0 + t) * y_stride, rows, acc[t]);
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* Panels of GROUPS x ROWS rows stay in L2 while a tile of tokens, which stays in L1, meets one after the other: the
 * activations, which may fill the last level, are read once for all these rows. */
INLINE void matmul_shape(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end,
                         float *y, size_t y_stride, bool amx, const shape s) {
    size_t n_blocks = w->n_in / s.block, per_panel = PANEL / s.block;
    panel p[GROUPS];
    if (amx) amx_begin(s);
    for (size_t row = row_begin; row < row_end; row += GROUPS * ROWS) {
        size_t n_rows = row_end - row < GROUPS * ROWS ? row_end - row : GROUPS * ROWS;
        for (size_t first = 0; first < n_blocks; first += per_panel) {
            size_t n = n_blocks - first < per_panel ? n_blocks - first : per_panel, t = 0;
            for (size_t r = 0; r < n_rows; r += ROWS) {
                row_group g = rows_from(w, row + r, n_rows - r);
                for (size_t b = 0; b < n; b++) s.fill(&p[r / ROWS], b, &g, (first + b) * s.bytes);
            }
            /* what is filled next: the same rows further on, or the rows that follow */
            bool last = first + per_panel >= n_blocks;
            const uint8_t *next = last ? w->data + (row + GROUPS * ROWS) * w->row_bytes
                                       : w->data + row * w->row_bytes + (first + per_panel) * s.bytes;
            if (last && row + GROUPS * ROWS >= row_end) next = NULL;
#define TILES_OF(size, with, ...)                                                                                      \
    for (; t + size <= n_tok; t += size) {                                                                             \
        for (size_t r = 0; r < n_rows; r += ROWS) {                                                                    \
            ahead to_come = {t == 0 && next ? next + r * w->row_bytes : NULL, w->row_bytes};                           \
            with(&p[r / ROWS], a, n_tok, first, n, t, __VA_ARGS__ y + row + r, y_stride, first_lanes(n_rows - r),      \
                 to_come, s);                                                                                          \
        }                                                                                                              \
    }
            if (amx) TILES_OF(MAX_TILE, amx_tile)
            TILES_OF(12, tile, 12, )
            TILES_OF(8, tile, 8, )
            TILES_OF(4, tile, 4, )
            TILES_OF(2, tile, 2, )
            TILES_OF(1, tile, 1, )
#undef TILES_OF
        }
    }
    if (amx) amx_end();
}

#define SLOT_OF(tier, amx, name, ...)                                                                                  \
    static void name##_##tier(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end,   \
                              float *y, size_t y_stride) {                                                             \
        const shape s = {__VA_ARGS__};                                                                                 \
        if (n_tok == 1) {                                                                                              \
            avx512_step[w->type](w, a, n_tok, row_begin, row_end, y, y_stride);                                        \
        } else {                                                                                                       \
            matmul_shape(w, a, n_tok, row_begin, row_end, y, y_stride, amx &&n_tok >= MAX_TILE, s);                    \
        }                                                                                                              \
    }
#ifdef HAVE_AMX
#define SLOT(name, ...) SLOT_OF(avx512, false, name, __VA_ARGS__) SLOT_OF(amx, true, name, __VA_ARGS__)
#else
#define SLOT(name, ...) SLOT_OF(avx512, false, name, __VA_ARGS__)
#endif

/*         block bytes fill */
SLOT(q4_0, 32, 18, fill_q4_0, .offset = 8)
SLOT(q4_1, 32, 20, fill_q4_1, .has_min = true)
SLOT(q5_0, 32, 22, fill_q5_0, .offset = 16)
SLOT(q5_1, 32, 24, fill_q5_1, .has_min = true)
SLOT(q8_0, 32, 34, fill_q8_0, .offset = 128)
SLOT(q2_k, 256, 84, fill_q2_k, 64, SUMS_FLAT, .has_min = true)
SLOT(q3_k, 256, 110, fill_q3_k, 64, SUMS_FLAT)
SLOT(q4_k, 256, 144, fill_q4_k, 32, SUMS_FLOAT, .has_min = true)
SLOT(q5_k, 256, 176, fill_q5_k, 32, SUMS_INT, .has_min = true)
/* in both tiers: sixteen inputs leave a tile product three quarters idle */
SLOT_OF(avx512, false, q6_k, 256, 210, fill_q6_k, 16, SUMS_INT)

/* ---- plain numbers: a register is the sixteen lanes ------------------------------------------ */

enum { PLAIN_ROWS = 4, PLAIN_TOKENS = 4 };

/* n_rows x n_tok sums side by side; lanes past the end of a row are left as they are, not added zero to. */
INLINE void plain_tile(const matrix *w, const float *x, size_t n_tok, size_t n_rows, size_t row, float *y,
                       size_t y_stride, load_plain_fn *load, size_t bytes) {
    __m512 acc[PLAIN_TOKENS][PLAIN_ROWS];
    for (size_t t = 0; t < n_tok; t++) {
        for (size_t r = 0; r < n_rows; r++) acc[t][r] = _mm512_setzero_ps();
    }
    for (size_t k = 0; k < w->n_in; k += LANES) {
        __mmask16 mask = first_lanes(w->n_in - k);
        __m512 v[PLAIN_ROWS];
        for (size_t r = 0; r < n_rows; r++) {
            const uint8_t *p = w->data + (row + r) * w->row_bytes + k * bytes;
            _mm_prefetch(p + 1024, _MM_HINT_T0);
            v[r] = load(p, mask);
        }
        for (size_t t = 0; t < n_tok; t++) {
            __m512 a = _mm512_maskz_loadu_ps(mask, x + t * w->n_in + k);
            for (size_t r = 0; r < n_rows; r++) acc[t][r] = _mm512_mask3_fmadd_ps(v[r], a, acc[t][r], mask);
        }
    }
    for (size_t t = 0; t < n_tok; t++) {
        for (size_t r = 0; r < n_rows; r++) y[t * y_stride + row + r] = sum_tree(acc[t][r]);
    }
}

INLINE void plain_rows(const matrix *w, const activations *a, size_t n_tok, size_t n_rows, size_t row, float *y,
                       size_t y_stride, load_plain_fn *load, size_t bytes) {
    size_t t = 0;
    for (; t + PLAIN_TOKENS <= n_tok; t += PLAIN_TOKENS) {
        plain_tile(w, a->x + t * w->n_in, PLAIN_TOKENS, n_rows, row, y + t * y_stride, y_stride, load, bytes);
    }
    for (; t < n_tok; t++) plain_tile(w, a->x + t * w->n_in, 1, n_rows, row, y + t * y_stride, y_stride, load, bytes);
}

#define SLOT_PLAIN(type, load, bytes)                                                                                  \
    static void type##_matmul(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end,   \
                              float *y, size_t y_stride) {                                                             \
        size_t row = row_begin;                                                                                        \
        for (; row + PLAIN_ROWS <= row_end; row += PLAIN_ROWS) {                                                       \
            plain_rows(w, a, n_tok, PLAIN_ROWS, row, y, y_stride, load, bytes);                                        \
        }                                                                                                              \
        for (; row < row_end; row++) plain_rows(w, a, n_tok, 1, row, y, y_stride, load, bytes);                        \
    }

/* ---- slots ----------------------------------------------------------------------------------- */

SLOT_PLAIN(f32, load_f32, 4)
SLOT_PLAIN(f16, load_f16, 2)
SLOT_PLAIN(bf16, load_bf16, 2)

#define SLOTS(name)                                                                                                    \
    GENERIC_KERNELS_ALWAYS(#name),                                                                                     \
        .quantize = avx512_quantize, .store = avx512_store, .attend_chunk = avx512_attend_chunk,                       \
        .matmul = {                                                                                                    \
            [QUANT_Q4_0] = q4_0_##name,       [QUANT_Q4_1] = q4_1_##name,     [QUANT_Q5_0] = q5_0_##name,              \
            [QUANT_Q5_1] = q5_1_##name,       [QUANT_Q8_0] = q8_0_##name,     [QUANT_Q2_K] = q2_k_##name,              \
            [QUANT_Q3_K] = q3_k_##name,       [QUANT_Q4_K] = q4_k_##name,     [QUANT_Q5_K] = q5_k_##name,              \
            [QUANT_Q6_K] = q6_k_avx512,       [QUANT_F32] = f32_matmul,       [QUANT_F16] = f16_matmul,                \
            [QUANT_BF16] = bf16_matmul,       [QUANT_IQ1_S] = avx512_iq1_s,   [QUANT_IQ1_M] = avx512_iq1_m,            \
            [QUANT_IQ2_XXS] = avx512_iq2_xxs, [QUANT_IQ2_XS] = avx512_iq2_xs, [QUANT_IQ2_S] = avx512_iq2_s,            \
            [QUANT_IQ3_XXS] = avx512_iq3_xxs, [QUANT_IQ3_S] = avx512_iq3_s,   [QUANT_IQ4_NL] = avx512_iq4_nl,          \
            [QUANT_IQ4_XS] = avx512_iq4_xs,   [QUANT_TQ1_0] = avx512_tq1_0,   [QUANT_TQ2_0] = avx512_tq2_0,            \
            [QUANT_MXFP4] = avx512_mxfp4,                                                                              \
    }

/* clang-format off */
const kernels kernels_avx512 = {SLOTS(avx512)};
#ifdef HAVE_AMX
const kernels kernels_amx = {SLOTS(amx)};
#endif
