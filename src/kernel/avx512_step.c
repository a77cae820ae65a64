/*
 * AVX-512: products with one token or two, which wait for memory and not for multipliers. Four streams of rows are read
 * in the order of memory, asked for ahead of time: one stream waits for every new page, sixteen are too many to follow.
 * A block's integer sum stays spread over lanes until sixteen blocks, four of each stream, are reduced together.
 * Weights are taken apart once for both tokens.
 */
#include "kernel/avx512.h"

/* AHEAD: bytes between what is read and what is asked for. */
enum { AHEAD = 1536 };

/* ---- sums ------------------------------------------------------------------------------------ */

/* Lane i of the result is the whole sum of vector i of sixteen, whose fours are given. */
INLINE __m512i sum_sixteen(const __m512i fours[4]) {
    return add_lanes(add_lanes(fours[0], fours[1]), add_lanes(fours[2], fours[3]));
}

/* Lanes 2 i and 2 i + 1 are the sums of the lower and the upper half of vector i of eight, whose fours are given. */
INLINE __m512i sum_halves(__m512i first, __m512i second) {
    const __m512i order = _mm512_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15);
    return _mm512_permutexvar_epi32(order, add_lanes(first, second));
}

/* ---- the heads of four super-blocks ---------------------------------------------------------- */

/* What four super-blocks hold beside their weights, as int16: the scale of each 16 weights, and what the sum of 16
 * activations is multiplied by (minimums, or scales); two blocks a register. */
typedef struct {
    __m512i scale[2], factor[2];
} heads;

/* bytes: sixteen from `head_at` bytes into each block. */
typedef void heads_fn(__m512i bytes, heads *h);
typedef void weights_fn(const uint8_t *p, __m512i q[4]); /* 64 each, unsigned, in the order of K */

/* Twelve bytes of six-bit numbers become eight scales and eight minimums, each for 32 weights. */
INLINE void heads_six_bits(__m512i bytes, heads *h) {
    const __m512i mask = _mm512_set4_epi32(0x0F0F0F0F, 0x3F3F3F3F, 0x0F0F0F0F, 0x3F3F3F3F);
    const __m512i top = _mm512_set4_epi32(0x30303030, 0, 0x30303030, 0), right = _mm512_set4_epi32(4, 0, 0, 0);
    const __m512i twice = _mm512_set_epi16(23, 23, 22, 22, 21, 21, 20, 20, 19, 19, 18, 18, 17, 17, 16, 16, 7, 7, 6, 6,
                                           5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0);
    __m512i low = _mm512_and_si512(_mm512_srlv_epi32(_mm512_shuffle_epi32(bytes, 0xED), right), mask);
    __m512i high = _mm512_srli_epi32(_mm512_shuffle_epi32(bytes, 0x84), 2);
    __m512i numbers = _mm512_ternarylogic_epi32(low, high, top, 0xF8);
    for (int i = 0; i < 2; i++) { /* byte n of two lanes as two equal words */
        const __mmask64 even = 0x5555555555555555;
        __m512i from = _mm512_add_epi16(twice, _mm512_set1_epi16((short)(32 * i)));
        h->scale[i] = _mm512_maskz_permutexvar_epi8(even, from, numbers);
        h->factor[i] = _mm512_maskz_permutexvar_epi8(even, _mm512_add_epi16(from, _mm512_set1_epi16(8)), numbers);
    }
}

INLINE void heads_q2_k(__m512i bytes, heads *h) {
    __m512i low = low_nibbles(bytes), high = high_nibbles(bytes);
    h->scale[0] = _mm512_cvtepu8_epi16(_mm512_castsi512_si256(low));
    h->scale[1] = _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(low, 1));
    h->factor[0] = _mm512_cvtepu8_epi16(_mm512_castsi512_si256(high));
    h->factor[1] = _mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(high, 1));
}

INLINE void heads_q6_k(__m512i bytes, heads *h) {
    h->factor[0] = h->scale[0] = _mm512_cvtepi8_epi16(_mm512_castsi512_si256(bytes));
    h->factor[1] = h->scale[1] = _mm512_cvtepi8_epi16(_mm512_extracti64x4_epi64(bytes, 1));
}

/* Two bytes of weights, four each of a, b and c, and d: sixteen numbers of six bits. */
INLINE void heads_q3_k(__m512i bytes, heads *h) {
    const __m512i right = _mm512_set4_epi32(4, 4, 0, 0), top_right = _mm512_set4_epi32(6, 4, 2, 0);
    __m512i v = _mm512_alignr_epi8(bytes, bytes, 2);
    __m512i low = low_nibbles(_mm512_srlv_epi32(_mm512_shuffle_epi32(v, 0x44), right));
    __m512i high = _mm512_slli_epi32(_mm512_srlv_epi32(_mm512_shuffle_epi32(v, 0xAA), top_right), 4);
    heads_q6_k(_mm512_sub_epi8(or_bits(low, high, 0x30), _mm512_set1_epi8(32)), h);
}

/* Eight signed scales: four low bits each in bytes 4 to 7, two high ones in bytes 2 and 3, less 32. */
INLINE void heads_iq4_xs(__m512i bytes, heads *h) {
    const __m512i low_at =
        _mm512_broadcast_i32x4(_mm_setr_epi8(4, -1, 4, -1, 5, -1, 5, -1, 6, -1, 6, -1, 7, -1, 7, -1));
    const __m512i right = _mm512_set1_epi32(4 << 16);
    const __m512i high_right = _mm512_broadcast_i32x4(_mm_setr_epi16(0, 2, 4, 6, 8, 10, 12, 14));
    const __m512i twice = _mm512_set_epi16(15, 15, 14, 14, 13, 13, 12, 12, 11, 11, 10, 10, 9, 9, 8, 8, 7, 7, 6, 6, 5, 5,
                                           4, 4, 3, 3, 2, 2, 1, 1, 0, 0);
    __m512i low = low_nibbles(_mm512_srlv_epi16(_mm512_shuffle_epi8(bytes, low_at), right));
    __m512i words = _mm512_shuffle_epi8(bytes, _mm512_set1_epi16(0x0302));
    __m512i high = _mm512_and_si512(_mm512_srlv_epi16(words, high_right), _mm512_set1_epi16(3));
    __m512i s = _mm512_or_si512(low, _mm512_slli_epi16(high, 4));
    s = _mm512_sub_epi16(s, _mm512_set1_epi16(32));
    for (int i = 0; i < 2; i++) { /* the eight scales of two rows stand in 16 words */
        __m512i from = _mm512_add_epi16(twice, _mm512_set1_epi16((short)(16 * i)));
        h->factor[i] = h->scale[i] = _mm512_permutexvar_epi16(from, s);
    }
}

/* The blocks of four rows that come next. */
typedef struct {
    const uint8_t *at[4];
    size_t ahead; /* bytes to what is asked for */
} four_rows;

INLINE int word(const uint8_t *p) {
    int u;
    memcpy(&u, p, sizeof u);
    return u;
}

/* Lane 4 b + j: the four bytes that stand `offset` bytes into block b of row j, b below n; of further ones there are
 * copies. A gather would take longer. */
INLINE __m512i words_at(const four_rows *g, size_t offset, size_t bytes, size_t n) {
    __m128i v[4];
    for (size_t b = 0; b < 4; b++) {
        size_t at = offset + (b < n ? b : 0) * bytes;
        v[b] = _mm_cvtsi32_si128(word(g->at[0] + at));
        v[b] = _mm_insert_epi32(v[b], word(g->at[1] + at), 1);
        v[b] = _mm_insert_epi32(v[b], word(g->at[2] + at), 2);
        v[b] = _mm_insert_epi32(v[b], word(g->at[3] + at), 3);
    }
    __m512i low = _mm512_inserti32x4(_mm512_castsi128_si512(v[0]), v[1], 1);
    return _mm512_inserti32x4(_mm512_inserti32x4(low, v[2], 2), v[3], 3);
}

/* ---- their weights --------------------------------------------------------------------------- */

INLINE __m512i twice(const uint8_t *p) { return _mm512_broadcast_i64x4(_mm256_loadu_si256((const void *)p)); }

/* The lower half shifted to the right by `low`, the upper one by `high`; to the left where that is negative. */
INLINE __m512i shift_halves(__m512i v, int low, int high) {
    if (low == 0 && high == 0) return v;
    int right_low = low > 0 ? low : 0, right_high = high > 0 ? high : 0;
    __m512i right = _mm512_inserti64x4(_mm512_set1_epi16((short)right_low), _mm256_set1_epi16((short)right_high), 1);
    __m512i left = _mm512_inserti64x4(_mm512_set1_epi16((short)(right_low - low)),
                                      _mm256_set1_epi16((short)(right_high - high)), 1);
    if (low >= 0 && high >= 0) return _mm512_srlv_epi16(v, right);
    if (low <= 0 && high <= 0) return _mm512_sllv_epi16(v, left);
    return _mm512_sllv_epi16(_mm512_srlv_epi16(v, right), left);
}

INLINE void weights_q4_k(const uint8_t *p, __m512i q[4]) {
    for (size_t i = 0; i < 4; i++) q[i] = low_nibbles(shift_halves(twice(p + 16 + 32 * i), 0, 4));
}

INLINE void weights_q5_k(const uint8_t *p, __m512i q[4]) {
    __m512i bits = twice(p + 16);
    for (int i = 0; i < 4; i++) {
        q[i] = low_nibbles(shift_halves(twice(p + 48 + 32 * i), 0, 4));
        q[i] = or_bits(q[i], shift_halves(bits, 2 * i - 4, 2 * i - 3), 0x10);
    }
}

INLINE void weights_q6_k(const uint8_t *p, __m512i q[4]) {
    for (size_t i = 0; i < 2; i++) {
        __m512i v = _mm512_loadu_si512(p + 64 * i), top = twice(p + 128 + 32 * i);
        q[2 * i] = or_bits(low_nibbles(v), shift_halves(top, -4, -2), 0x30);
        q[2 * i + 1] = or_bits(high_nibbles(v), shift_halves(top, 0, 2), 0x30);
    }
}

INLINE void weights_two_bits(const uint8_t *p, __m512i q[4]) {
    for (size_t i = 0; i < 4; i++) {
        __m512i v = twice(p + i / 2 * 32);
        q[i] = _mm512_and_si512(i % 2 ? shift_halves(v, 4, 6) : shift_halves(v, 0, 2), _mm512_set1_epi8(3));
    }
}

INLINE void weights_q2_k(const uint8_t *p, __m512i q[4]) { weights_two_bits(p + 16, q); }

INLINE void weights_q3_k(const uint8_t *p, __m512i q[4]) {
    __m512i top = twice(p);
    weights_two_bits(p + 32, q);
    for (int i = 0; i < 4; i++) q[i] = or_bits(q[i], shift_halves(top, 2 * i - 2, 2 * i - 1), 4);
}

/* In the order of run_256_whole: low halves of 32 bytes, then high ones. */
INLINE void weights_iq4_xs(const uint8_t *p, __m512i q[4]) {
    for (size_t i = 0; i < 4; i++) q[i] = lookup(iq4_table(), low_nibbles(shift_halves(twice(p + 8 + 32 * i), 0, 4)));
}

/* ---- four blocks of 32 of a row -------------------------------------------------------------- */

/* n blocks, at most four, at `at`. v: two a register as they lie (of two that are longer, the beginning), zeros where
 * there are none. */
typedef struct {
    const uint8_t *at;
    size_t n;
    __m512i v[2];
} four_blocks;

INLINE four_blocks load_blocks(const uint8_t *p, size_t n, size_t bytes) {
    four_blocks b = {.at = p, .n = n};
    for (size_t i = 0; i < 2; i++) {
        size_t left = n > 2 * i ? n - 2 * i : 0, size = (left < 2 ? left : 2) * bytes;
        __mmask64 there = size >= 64 ? ~(__mmask64)0 : ((__mmask64)1 << size) - 1;
        b.v[i] = _mm512_maskz_loadu_epi8(there, p + (left ? 2 * i * bytes : 0));
    }
    return b;
}

/* Sixteen bytes of every block, a lane each: the one at `offset` as often as `repeat` says, then the next. */
INLINE __m512i bytes_of(const four_blocks *b, size_t bytes, size_t offset, size_t repeat) {
    uint8_t from[64];
    for (size_t i = 0; i < 64; i++) from[i] = (uint8_t)(i / 32 * 64 + i / 16 % 2 * bytes + offset + i % 16 / repeat);
    return _mm512_permutex2var_epi8(b->v[0], _mm512_loadu_si512(from), b->v[1]);
}

/* The first four bytes of every block as word j of its lane; zeros beside it. */
INLINE __m512i heads_of(const four_blocks *b, size_t bytes, size_t j) {
    const __mmask64 word_j = (__mmask64)0x000F000F000F000F << 4 * j;
    uint8_t from[64];
    for (size_t i = 0; i < 64; i++) from[i] = (uint8_t)(i / 32 * 64 + i / 16 % 2 * bytes + i % 4);
    return _mm512_maskz_permutex2var_epi8(word_j, b->v[0], _mm512_loadu_si512(from), b->v[1]);
}

/* 32 weights of every block, unsigned: lane l of q[0] holds the first sixteen of block l, of q[1] the others. */
typedef void blocks_fn(const four_blocks *b, __m512i q[2]);

INLINE void nibbles_of(const four_blocks *b, size_t bytes, size_t offset, __m512i q[2]) {
    __m512i v = bytes_of(b, bytes, offset, 1);
    q[0] = low_nibbles(v);
    q[1] = high_nibbles(v);
}

/* Adds 16 where a bit of the four bytes at `offset` is set. */
INLINE void add_fifth_bits(const four_blocks *b, size_t bytes, size_t offset, __m512i q[2]) {
    const __m512i bits = _mm512_set1_epi64((long long)0x8040201008040201);
    for (size_t i = 0; i < 2; i++) {
        __mmask64 set = _mm512_test_epi8_mask(bytes_of(b, bytes, offset + 2 * i, 8), bits);
        q[i] = _mm512_mask_add_epi8(q[i], set, q[i], _mm512_set1_epi8(16));
    }
}

INLINE void blocks_q4_0(const four_blocks *b, __m512i q[2]) { nibbles_of(b, 18, 2, q); }
INLINE void blocks_q4_1(const four_blocks *b, __m512i q[2]) { nibbles_of(b, 20, 4, q); }

INLINE void blocks_q5_0(const four_blocks *b, __m512i q[2]) {
    nibbles_of(b, 22, 6, q);
    add_fifth_bits(b, 22, 2, q);
}

INLINE void blocks_q5_1(const four_blocks *b, __m512i q[2]) {
    nibbles_of(b, 24, 8, q);
    add_fifth_bits(b, 24, 4, q);
}

INLINE void blocks_iq4_nl(const four_blocks *b, __m512i q[2]) {
    nibbles_of(b, 18, 2, q);
    for (size_t i = 0; i < 2; i++) q[i] = lookup(iq4_table(), q[i]);
}

INLINE void blocks_mxfp4(const four_blocks *b, __m512i q[2]) {
    nibbles_of(b, 17, 1, q);
    for (size_t i = 0; i < 2; i++) q[i] = lookup(e2m1_table(), q[i]);
}

/* Two blocks of 34 bytes are longer than a register. Where there is none, the first is read again. */
INLINE void blocks_q8_0(const four_blocks *b, __m512i q[2]) {
    const __m512i sign = _mm512_set1_epi8((char)0x80);
    const uint8_t *p = b->at + 2;
    __m512i first = load_two(p, b->n > 1 ? p + 34 : p),
            second = load_two(b->n > 2 ? p + 68 : p, b->n > 3 ? p + 102 : p);
    q[0] = _mm512_xor_si512(_mm512_shuffle_i64x2(first, second, 0x88), sign);
    q[1] = _mm512_xor_si512(_mm512_shuffle_i64x2(first, second, 0xDD), sign);
}

/* ---- four rows ------------------------------------------------------------------------------- */

/* What a type is, as constants of the functions that are made for it. */
typedef struct {
    size_t block, bytes;
    size_t head_at, d_at; /* of a super-block; dmin stands behind d */
    heads_fn *heads;
    weights_fn *weights;
    blocks_fn *blocks;
    bool whole;          /* weights of a super-block are whole bytes, and d comes first */
    bool has_min, power; /* power: d is E8M0, not a half */
    int offset;          /* of a super-block: its logarithm */
} shape;

/* The chain of four rows over n blocks; lane 4 b + j of the arguments is block b of row j. */
INLINE __m128 chain(__m128 acc, size_t n, __m512 value, __m512 scale, __m512 min, __m512 min_scale, const shape s) {
    float v[4][16] __attribute__((aligned(64)));
    _mm512_store_ps(v[0], value);
    _mm512_store_ps(v[1], scale);
    _mm512_store_ps(v[2], min);
    _mm512_store_ps(v[3], min_scale);
    for (size_t i = 0; i < 4 * n && i < 16; i += 4) {
        acc = _mm_fmadd_ps(_mm_load_ps(v[0] + i), _mm_load_ps(v[1] + i), acc);
        if (!s.has_min) continue;
        __m128 m = _mm_load_ps(v[2] + i), m_scale = _mm_load_ps(v[3] + i);
        /* the m of a block of 32 is the negated minimum */
        acc = s.block == 256 ? _mm_fnmadd_ps(m, m_scale, acc) : _mm_fmadd_ps(m, m_scale, acc);
    }
    return acc;
}

/* The scales of the pairs of weights in register i of the lower or the upper block of two. */
INLINE __m512i spread(__m512i scale, int upper, int i) {
    const __m512i first = _mm512_set_epi16(3, 3, 3, 3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0,
                                           0, 0, 0, 0, 0, 0);
    return _mm512_permutexvar_epi16(_mm512_add_epi16(first, _mm512_set1_epi16((short)(16 * upper + 4 * i))), scale);
}

/* Lane 4 b + j: where token t stands in block b of four that n_tok tokens bring. */
INLINE __m512i places(size_t n_tok, size_t t) {
    const __m512i block = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    return _mm512_add_epi32(_mm512_mullo_epi32(block, _mm512_set1_epi32((int)n_tok)), _mm512_set1_epi32((int)t));
}

/* What token t brings to blocks b .. b + 3, or to the n that are left, in lanes 4 b + j: its scales, and the sums of
 * its activations by 32. */
INLINE __m512 four_scales(const activations *a, size_t n_tok, size_t t, size_t b, size_t n) {
    __m512 v = _mm512_maskz_loadu_ps(first_lanes(n * n_tok), a->scale + b * n_tok);
    return _mm512_permutexvar_ps(places(n_tok, t), v);
}

INLINE __m512 four_sums(const activations *a, size_t n_tok, size_t t, size_t b, size_t n) {
    __m512i pairs = _mm512_maskz_loadu_epi32(first_lanes(n * n_tok), a->sum + 2 * b * n_tok);
    __m512 v = _mm512_cvtepi32_ps(_mm512_madd_epi16(pairs, _mm512_set1_epi16(1)));
    return _mm512_permutexvar_ps(places(n_tok, t), v);
}

/* Sixteen bytes of each row. */
INLINE __m512i load_heads(const four_rows *g, size_t offset) {
    __m512i bytes = _mm512_castsi128_si512(load_16(g->at[0] + offset));
    bytes = _mm512_inserti32x4(bytes, load_16(g->at[1] + offset), 1);
    bytes = _mm512_inserti32x4(bytes, load_16(g->at[2] + offset), 2);
    return _mm512_inserti32x4(bytes, load_16(g->at[3] + offset), 3);
}

INLINE void ask_ahead(const uint8_t *p, const four_rows *g, size_t bytes) {
    for (size_t line = 0; line < bytes; line += 64) _mm_prefetch(p + g->ahead + line, _MM_HINT_T0);
}

/* Four super-blocks from b on, or n where fewer are left, of four rows, against n_tok tokens: acc goes on. */
INLINE void run_256(const four_rows *g, const activations *a, size_t n_tok, size_t b, size_t n, __m128 acc[],
                    const shape s) {
    __m512i product[STEP_TOK][4], other[STEP_TOK][8];
#pragma GCC unroll 1
    for (size_t i = 0; i < 4; i++) {
        size_t k = i < n ? i : 0, offset = k * s.bytes;
        __m512i part[STEP_TOK][4];
        heads h;
        s.heads(load_heads(g, offset + s.head_at), &h);
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) {
            __m512i q[4];
            ask_ahead(g->at[j] + offset, g, s.bytes);
            s.weights(g->at[j] + offset, q);
            for (size_t t = 0; t < n_tok; t++) part[t][j] = _mm512_setzero_si512();
            for (int v = 0; v < 4; v++) {
                __m512i scale = spread(h.scale[j / 2], j % 2, v);
                for (size_t t = 0; t < n_tok; t++) {
                    const int8_t *act = a->q + ((b + k) * n_tok + t) * 256 + 64 * v;
                    __m512i pairs = _mm512_maddubs_epi16(q[v], _mm512_loadu_si512(act));
                    part[t][j] = _mm512_dpwssd_epi32(part[t][j], pairs, scale);
                }
            }
        }
        for (size_t t = 0; t < n_tok; t++) {
            __m512i sums = twice((const uint8_t *)(a->sum + ((b + k) * n_tok + t) * 16));
            product[t][i] = sum_four(part[t]);
            other[t][2 * i] = _mm512_madd_epi16(h.factor[0], sums);
            other[t][2 * i + 1] = _mm512_madd_epi16(h.factor[1], sums);
        }
    }
    /* d and dmin, or what stands before d and d */
    __m512i halves = words_at(g, s.has_min ? s.d_at : s.d_at - 2, s.bytes, n);
    __m512 d = s.has_min ? low_halves(halves) : high_halves(halves), dmin = high_halves(halves);
    for (size_t t = 0; t < n_tok; t++) {
        __m512 scale = four_scales(a, n_tok, t, b, n);
        __m512i sum = sum_sixteen(product[t]), total = sum_halves(sum_four(other[t]), sum_four(other[t] + 4));
        if (!s.has_min) sum = _mm512_sub_epi32(sum, _mm512_slli_epi32(total, (unsigned)s.offset));
        acc[t] = chain(acc[t], n, _mm512_cvtepi32_ps(sum), _mm512_mul_ps(d, scale), _mm512_cvtepi32_ps(total),
                       _mm512_mul_ps(dmin, scale), s);
    }
}

/* The same with weights that are whole bytes: products of four a lane, which meet their scales as float32. Sums stay
 * below 4 x 4 x 241 x 127 x 32 and so below 2^24: they are exact. */
INLINE void run_256_whole(const four_rows *g, const activations *a, size_t n_tok, size_t b, size_t n, __m128 acc[],
                          const shape s) {
    const __m512i chunks = _mm512_setr_epi32(0, 0, 0, 0, 2, 2, 2, 2, 1, 1, 1, 1, 3, 3, 3, 3);
    __m512i product[STEP_TOK][4], other[STEP_TOK][8];
#pragma GCC unroll 1
    for (size_t i = 0; i < 4; i++) {
        size_t k = i < n ? i : 0, offset = k * s.bytes;
        __m512i part[STEP_TOK][4], act[STEP_TOK][4];
        heads h;
        s.heads(load_heads(g, offset + s.head_at), &h);
        for (size_t t = 0; t < n_tok; t++) {
            for (size_t v = 0; v < 4; v++) {
                act[t][v] = _mm512_loadu_si512(a->q + ((b + k) * n_tok + t) * 256 + 64 * v);
                act[t][v] = _mm512_shuffle_i64x2(act[t][v], act[t][v], 0xD8);
            }
        }
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) {
            __m512i q[4];
            ask_ahead(g->at[j] + offset, g, s.bytes);
            s.weights(g->at[j] + offset, q);
            __m256i two = _mm512_extracti64x4_epi64(h.scale[j / 2], 1);
            if (j % 2 == 0) two = _mm512_castsi512_si256(h.scale[j / 2]);
            __m512 scale = _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(two)), sum[STEP_TOK];
            for (size_t t = 0; t < n_tok; t++) sum[t] = _mm512_setzero_ps();
            for (int v = 0; v < 4; v++) {
                __m512i from = _mm512_add_epi32(chunks, _mm512_set1_epi32(4 * v));
                __m512 each = _mm512_permutexvar_ps(from, scale);
                for (size_t t = 0; t < n_tok; t++) {
                    __m512i dot = _mm512_dpbusd_epi32(_mm512_setzero_si512(), q[v], act[t][v]);
                    sum[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), each, sum[t]);
                }
            }
            for (size_t t = 0; t < n_tok; t++) part[t][j] = _mm512_cvtps_epi32(sum[t]);
        }
        for (size_t t = 0; t < n_tok; t++) {
            __m512i sums = twice((const uint8_t *)(a->sum + ((b + k) * n_tok + t) * 16));
            product[t][i] = sum_four(part[t]);
            other[t][2 * i] = _mm512_madd_epi16(h.factor[0], sums);
            other[t][2 * i + 1] = _mm512_madd_epi16(h.factor[1], sums);
        }
    }
    __m512 d = low_halves(words_at(g, 0, s.bytes, n)), none = _mm512_setzero_ps();
    for (size_t t = 0; t < n_tok; t++) {
        __m512 scale = _mm512_mul_ps(d, four_scales(a, n_tok, t, b, n));
        __m512i total = sum_halves(sum_four(other[t]), sum_four(other[t] + 4));
        __m512i sum = _mm512_sub_epi32(sum_sixteen(product[t]), _mm512_slli_epi32(total, (unsigned)s.offset));
        acc[t] = chain(acc[t], n, _mm512_cvtepi32_ps(sum), scale, none, none, s);
    }
}

/* ue4m3_half of the lowest byte of every lane. */
INLINE __m512 ue4m3_halves(__m512i v) {
    const __m512i seven = _mm512_set1_epi32(7), one = _mm512_set1_epi32(1);
    __m512i e = _mm512_and_si512(v, _mm512_set1_epi32(255)), fraction = _mm512_and_si512(e, seven);
    __m512i exponent = _mm512_and_si512(_mm512_srli_epi32(e, 3), _mm512_set1_epi32(15));
    __mmask16 normal = _mm512_test_epi32_mask(exponent, exponent);
    __m512i n = _mm512_mask_add_epi32(fraction, normal, fraction, _mm512_set1_epi32(8));
    n = _mm512_mask_sllv_epi32(n, normal, n, _mm512_sub_epi32(exponent, one));
    n = _mm512_maskz_mov_epi32(_mm512_cmpneq_epi32_mask(e, _mm512_set1_epi32(0x7F)), n);
    return _mm512_mul_ps(_mm512_cvtepi32_ps(n), _mm512_set1_ps(0x1p-10f));
}

/* Activations of blocks b .. b + 3, or of the n that are left, as a blocks_fn has the weights. */
INLINE void four_activations(const activations *a, size_t n_tok, size_t t, size_t b, size_t n, __m512i act[2]) {
    const bool adjoin = n_tok == 1 && n == 4;
    const uint8_t *q[4];
    for (size_t i = 0; i < 4; i++) q[i] = (const uint8_t *)a->q + ((b + (i < n ? i : 0)) * n_tok + t) * 32;
    __m512i first = adjoin ? _mm512_loadu_si512(q[0]) : load_two(q[0], q[1]);
    __m512i second = adjoin ? _mm512_loadu_si512(q[2]) : load_two(q[2], q[3]);
    act[0] = _mm512_shuffle_i64x2(first, second, 0x88);
    act[1] = _mm512_shuffle_i64x2(first, second, 0xDD);
}

/* The same for blocks of 32: four of a row at once. */
INLINE void run_32(const four_rows *g, const activations *a, size_t n_tok, size_t b, size_t n, __m128 acc[],
                   const shape s) {
    __m512i dot[STEP_TOK][4], head[4], act[STEP_TOK][2];
    for (size_t t = 0; t < n_tok; t++) four_activations(a, n_tok, t, b, n, act[t]);
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; j++) {
        four_blocks blocks = load_blocks(g->at[j], n, s.bytes);
        __m512i q[2];
        ask_ahead(g->at[j], g, 4 * s.bytes);
        s.blocks(&blocks, q);
        for (size_t t = 0; t < n_tok; t++) {
            dot[t][j] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), q[0], act[t][0]);
            dot[t][j] = _mm512_dpbusd_epi32(dot[t][j], q[1], act[t][1]);
        }
        head[j] = heads_of(&blocks, s.bytes, j);
    }
    __m512i halves = _mm512_or_si512(_mm512_or_si512(head[0], head[1]), _mm512_or_si512(head[2], head[3]));
    const __m512i byte = _mm512_set1_epi32(255);
    __m512 d = s.power ? half_powers(_mm512_and_si512(halves, byte)) : low_halves(halves), min = high_halves(halves);
    for (size_t t = 0; t < n_tok; t++) {
        __m512 scale = four_scales(a, n_tok, t, b, n), sum = four_sums(a, n_tok, t, b, n);
        __m512 value = _mm512_cvtepi32_ps(sum_four(dot[t]));
        /* exact: both are integers below 2^24, and so is the result */
        if (!s.has_min) value = _mm512_fnmadd_ps(sum, _mm512_set1_ps((float)s.offset), value);
        acc[t] = chain(acc[t], n, value, _mm512_mul_ps(d, scale), sum, _mm512_mul_ps(min, scale), s);
    }
}

/* The same for NVFP4's blocks of 64, which meet two blocks of activations, and one token: each 16 weights have a d of
 * their own. */
INLINE void run_64(const four_rows *g, const activations *a, size_t b, size_t n, __m128 *acc, const shape s) {
    /* eight bytes hold a part: low halves first */
    const __m512i spread_parts = _mm512_setr_epi64(0, 0, 1, 1, 2, 2, 3, 3);
    const __m512i right = _mm512_setr_epi64(0, 4, 0, 4, 0, 4, 0, 4);
    const __m512i each = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    for (size_t i = 0; i < n; i++, b++) {
        __m512i act = _mm512_loadu_si512(a->q + b * 64), dot[4];
        int d[4];
        for (size_t j = 0; j < 4; j++) {
            const uint8_t *p = g->at[j] + i * s.bytes;
            ask_ahead(p, g, s.bytes);
            memcpy(&d[j], p, sizeof d[j]);
            __m512i v = _mm512_castsi256_si512(_mm256_loadu_si256((const void *)(p + 4)));
            v = _mm512_srlv_epi64(_mm512_permutexvar_epi64(spread_parts, v), right);
            dot[j] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), lookup(e2m1_table(), low_nibbles(v)), act);
        }
        /* lane 4 part + row */
        __m512i bytes = _mm512_broadcast_i32x4(_mm_setr_epi32(d[0], d[1], d[2], d[3]));
        bytes = _mm512_srlv_epi32(bytes, _mm512_slli_epi32(each, 3));
        __m512i sums = _mm512_castsi128_si512(_mm_cvtepi16_epi32(_mm_loadl_epi64((const void *)(a->sum + 4 * b))));
        sums = _mm512_mullo_epi32(_mm512_permutexvar_epi32(each, sums), _mm512_set1_epi32(s.offset));
        __m512 value = _mm512_cvtepi32_ps(_mm512_sub_epi32(sum_four(dot), sums)), none = _mm512_setzero_ps();
        __m128 scale = _mm_castpd_ps(_mm_load_sd((const void *)(a->scale + 2 * b)));
        __m512 scales = _mm512_permutexvar_ps(_mm512_srli_epi32(each, 1), _mm512_castps128_ps512(scale));
        *acc = chain(*acc, 4, value, _mm512_mul_ps(ue4m3_halves(bytes), scales), none, none, s);
    }
}

INLINE void run(const four_rows *g, const activations *a, size_t n_tok, size_t b, size_t n, __m128 acc[],
                const shape s) {
    if (s.block == 32) {
        run_32(g, a, n_tok, b, n, acc, s);
    } else if (s.block == 64) {
        run_64(g, a, b, n, acc, s);
    } else if (s.whole) {
        run_256_whole(g, a, n_tok, b, n, acc, s);
    } else {
        run_256(g, a, n_tok, b, n, acc, s);
    }
}

/* A row of each stream: sums[t], a lane each. */
INLINE void row_sums(four_rows g, const activations *a, size_t n_tok, size_t n_blocks, __m128 sums[], const shape s) {
    size_t b = 0;
    for (size_t t = 0; t < n_tok; t++) sums[t] = _mm_setzero_ps();
    for (; b + 4 <= n_blocks; b += 4) {
        run(&g, a, n_tok, b, 4, sums, s);
        for (size_t j = 0; j < 4; j++) g.at[j] += 4 * s.bytes;
    }
    if (b < n_blocks) run(&g, a, n_tok, b, n_blocks - b, sums, s);
}

/* Four streams, a quarter of the rows each. n_tok is a constant. */
INLINE void step(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end, float *y,
                 size_t y_stride, const shape s) {
    size_t quarter = (row_end - row_begin + 3) / 4, bytes = quarter * w->row_bytes;
    for (size_t r = 0; r < quarter; r++) {
        /* behind its end a stream goes on in the rows that may be the next call's */
        four_rows g = {.ahead = r * w->row_bytes + AHEAD < bytes ? AHEAD : AHEAD + 3 * bytes};
        size_t row[4];
        __m128 acc[STEP_TOK];
        for (size_t j = 0; j < 4; j++) {
            row[j] = row_begin + j * quarter + r;
            size_t read = row[j] < row_end ? row[j] : row_begin + r; /* computed and not stored */
            g.at[j] = w->data + read * w->row_bytes;
        }
        row_sums(g, a, n_tok, w->n_in / s.block, acc, s);
        for (size_t t = 0; t < n_tok; t++) {
            float sums[4];
            _mm_storeu_ps(sums, acc[t]);
            for (size_t j = 0; j < 4; j++) {
                if (row[j] < row_end) y[t * y_stride + row[j]] = sums[j];
            }
        }
    }
}

#define SLOT(type, ...)                                                                                                \
    static void type##_step(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end,     \
                            float *y, size_t y_stride) {                                                               \
        const shape s = {__VA_ARGS__};                                                                                 \
        if (n_tok == 1 || s.block == 64) {                                                                             \
            step(w, a, 1, row_begin, row_end, y, y_stride, s);                                                         \
        } else {                                                                                                       \
            step(w, a, STEP_TOK, row_begin, row_end, y, y_stride, s);                                                  \
        }                                                                                                              \
    }

SLOT(q4_0, 32, 18, .blocks = blocks_q4_0, .offset = 8)
SLOT(q4_1, 32, 20, .blocks = blocks_q4_1, .has_min = true)
SLOT(q5_0, 32, 22, .blocks = blocks_q5_0, .offset = 16)
SLOT(q5_1, 32, 24, .blocks = blocks_q5_1, .has_min = true)
SLOT(q8_0, 32, 34, .blocks = blocks_q8_0, .offset = 128)
SLOT(iq4_nl, 32, 18, .blocks = blocks_iq4_nl, .offset = 128)
SLOT(mxfp4, 32, 17, .blocks = blocks_mxfp4, .power = true, .offset = 128)
SLOT(nvfp4, 64, 36, .offset = 128)
/*           bytes head d */
SLOT(q2_k, 256, 84, 0, 80, heads_q2_k, weights_q2_k, .has_min = true)
SLOT(q3_k, 256, 110, 94, 108, heads_q3_k, weights_q3_k, .offset = 2)
SLOT(q4_k, 256, 144, 0, 0, heads_six_bits, weights_q4_k, .has_min = true)
SLOT(q5_k, 256, 176, 0, 0, heads_six_bits, weights_q5_k, .has_min = true)
SLOT(q6_k, 256, 210, 192, 208, heads_q6_k, weights_q6_k, .offset = 5)
SLOT(iq4_xs, 256, 136, 0, 0, heads_iq4_xs, weights_iq4_xs, .whole = true, .offset = 7)

matmul_fn *const avx512_step[QUANT_TYPE_COUNT] = {
    [QUANT_Q4_0] = q4_0_step,
    [QUANT_Q4_1] = q4_1_step,
    [QUANT_Q5_0] = q5_0_step,
    [QUANT_Q5_1] = q5_1_step,
    [QUANT_Q8_0] = q8_0_step,
    [QUANT_Q2_K] = q2_k_step,
    [QUANT_Q3_K] = q3_k_step,
    [QUANT_Q4_K] = q4_k_step,
    [QUANT_Q5_K] = q5_k_step,
    [QUANT_Q6_K] = q6_k_step,
    [QUANT_IQ1_S] = avx512_step_iq1_s,
    [QUANT_IQ1_M] = avx512_step_iq1_m,
    [QUANT_IQ2_XXS] = avx512_step_iq2_xxs,
    [QUANT_IQ2_XS] = avx512_step_iq2_xs,
    [QUANT_IQ2_S] = avx512_step_iq2_s,
    [QUANT_IQ3_XXS] = avx512_step_iq3_xxs,
    [QUANT_IQ3_S] = avx512_step_iq3_s,
    [QUANT_IQ4_NL] = iq4_nl_step,
    [QUANT_IQ4_XS] = iq4_xs_step,
    [QUANT_MXFP4] = mxfp4_step,
    [QUANT_TQ1_0] = avx512_step_tq1_0,
    [QUANT_TQ2_0] = avx512_step_tq2_0,
    [QUANT_NVFP4] = nvfp4_step,
};
