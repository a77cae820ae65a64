/*
 * AVX-512 (F, BW, DQ, VL, VNNI, VBMI). Two shapes of product, both from the file's own layout, sixteen rows at once:
 *
 *  - A step of a token or a few: a row's block is unpacked into four registers and meets the block of every token; the
 *    sixteen integer sums of a block are reduced together, so that the float chain of each row has a lane of its own.
 *  - More tokens: the rows' blocks are unpacked and transposed into a panel of bytes [K / 4][16 rows][4], which stays
 * in L1 while all tokens pass; lanes are rows from the start, and a tile of tokens keeps its sums in registers.
 *
 * Weights are unsigned bytes w + offset, as vpdpbusd and vpmaddubsw want them; the offset comes off again through the
 * sums of activations, exactly as minimums do.
 */
#include <immintrin.h>

#include "kernel/generic.h"

/* LEAD: how far ahead in a row its bytes are asked for. */
enum { LEAD = 288, ROWS = 16, MAX_STEP = 3, TILE = 12, PANEL = 1024 };

/* ---- sums of sixteen vectors ----------------------------------------------------------------- */

/* Adds v[4 i .. 4 i + 3] up within each 128-bit lane: lane l of the result holds four partial sums, one a vector. */
INLINE __m512i sum_four(const __m512i *v) {
    __m512i a = _mm512_add_epi32(_mm512_unpacklo_epi32(v[0], v[1]), _mm512_unpackhi_epi32(v[0], v[1]));
    __m512i b = _mm512_add_epi32(_mm512_unpacklo_epi32(v[2], v[3]), _mm512_unpackhi_epi32(v[2], v[3]));
    return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

/* [a's lanes 0 + 1, a's 2 + 3, b's 0 + 1, b's 2 + 3] */
INLINE __m512i add_lanes(__m512i a, __m512i b) {
    return _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xDD));
}

/* Lane i of the result is the sum of all lanes of v[i]. */
INLINE __m512i sum_rows(const __m512i v[ROWS]) {
    return add_lanes(add_lanes(sum_four(v), sum_four(v + 4)), add_lanes(sum_four(v + 8), sum_four(v + 12)));
}

/* The same for the lower and the upper eight lanes apart. */
INLINE void sum_row_halves(const __m512i v[ROWS], __m512i *low, __m512i *high) {
    __m512i a = add_lanes(sum_four(v), sum_four(v + 4)), b = add_lanes(sum_four(v + 8), sum_four(v + 12));
    *low = _mm512_shuffle_i32x4(a, b, 0x88);
    *high = _mm512_shuffle_i32x4(a, b, 0xDD);
}

INLINE __mmask16 first_lanes(size_t n) { return n >= LANES ? 0xFFFF : (__mmask16)((1u << n) - 1); }

/* Rows past the end are computed and not stored. */
INLINE void store_rows(float *y, __m512 v, size_t n) { _mm512_mask_storeu_ps(y, first_lanes(n), v); }

INLINE uint16_t half_bits(const uint8_t *p) {
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return h;
}

/* Sixteen halves, each `offset` bytes behind one of the rows. Words are inserted one by one: stored first and loaded
 * together, they would have to leave the store buffer. */
INLINE __m512 halves(const uint8_t *const rows[ROWS], size_t offset) {
    __m128i v[2];
    for (int i = 0; i < 2; i++) {
        const uint8_t *const *at = rows + 8 * i;
        v[i] = _mm_cvtsi32_si128(half_bits(at[0] + offset));
        v[i] = _mm_insert_epi16(v[i], half_bits(at[1] + offset), 1);
        v[i] = _mm_insert_epi16(v[i], half_bits(at[2] + offset), 2);
        v[i] = _mm_insert_epi16(v[i], half_bits(at[3] + offset), 3);
        v[i] = _mm_insert_epi16(v[i], half_bits(at[4] + offset), 4);
        v[i] = _mm_insert_epi16(v[i], half_bits(at[5] + offset), 5);
        v[i] = _mm_insert_epi16(v[i], half_bits(at[6] + offset), 6);
        v[i] = _mm_insert_epi16(v[i], half_bits(at[7] + offset), 7);
    }
    return _mm512_cvtph_ps(_mm256_set_m128i(v[1], v[0]));
}

INLINE uint32_t word(const uint8_t *p) {
    uint32_t u;
    memcpy(&u, p, sizeof u);
    return u;
}

/* ---- a few tokens: super-blocks of 256 ------------------------------------------------------- */

/* One row's super-block in registers. Weights stand in the order that unpacking gives, and the activations are put into
 * the same order. */
typedef struct {
    __m512i q[4];   /* 64 weights each, unsigned */
    __m256i scale;  /* int16 [16], one for each 16 weights */
    __m256i factor; /* int16 [16]: what the sums of 16 activations are multiplied by: minimums, or scales */
} row_block;

typedef enum { ORDER_NATURAL, ORDER_PAIRS, ORDER_HALVES } weight_order;

/* Pairs: 0-31 with 64-95, 32-63 with 96-127, ... Halves: 0-31 with 128-159, 32-63 with 160-191, ... */
INLINE void order_activations(const int8_t *a, weight_order order, __m512i out[4]) {
    __m512i v[4];
    for (int i = 0; i < 4; i++) v[i] = _mm512_loadu_si512(a + 64 * i);
    int second = order == ORDER_HALVES ? 2 : 1;
    for (int i = 0; i < 4; i++) {
        int first = order == ORDER_HALVES ? i / 2 : i & 2;
        out[i] = order == ORDER_NATURAL ? v[i]
                 : i & 1                ? _mm512_shuffle_i64x2(v[first], v[first + second], 0xEE)
                                        : _mm512_shuffle_i64x2(v[first], v[first + second], 0x44);
    }
}

/* Words `a b c d` of sixteen, each for eight lanes. */
#define LANES_OF(a, b, c, d)                                                                                           \
    _mm512_set_epi16(d, d, d, d, d, d, d, d, c, c, c, c, c, c, c, c, b, b, b, b, b, b, b, b, a, a, a, a, a, a, a, a)

/* The scales of the pairs of weights in each of four registers. */
INLINE void spread_scales(__m256i scales, weight_order order, __m512i out[4]) {
    __m512i s = _mm512_castsi256_si512(scales);
    if (order == ORDER_NATURAL) {
        out[0] = _mm512_permutexvar_epi16(LANES_OF(0, 1, 2, 3), s);
        out[1] = _mm512_permutexvar_epi16(LANES_OF(4, 5, 6, 7), s);
        out[2] = _mm512_permutexvar_epi16(LANES_OF(8, 9, 10, 11), s);
        out[3] = _mm512_permutexvar_epi16(LANES_OF(12, 13, 14, 15), s);
    } else if (order == ORDER_PAIRS) {
        out[0] = _mm512_permutexvar_epi16(LANES_OF(0, 1, 4, 5), s);
        out[1] = _mm512_permutexvar_epi16(LANES_OF(2, 3, 6, 7), s);
        out[2] = _mm512_permutexvar_epi16(LANES_OF(8, 9, 12, 13), s);
        out[3] = _mm512_permutexvar_epi16(LANES_OF(10, 11, 14, 15), s);
    } else {
        out[0] = _mm512_permutexvar_epi16(LANES_OF(0, 1, 8, 9), s);
        out[1] = _mm512_permutexvar_epi16(LANES_OF(2, 3, 10, 11), s);
        out[2] = _mm512_permutexvar_epi16(LANES_OF(4, 5, 12, 13), s);
        out[3] = _mm512_permutexvar_epi16(LANES_OF(6, 7, 14, 15), s);
    }
}

INLINE __m512i low_nibbles(__m512i v) { return _mm512_and_si512(v, _mm512_set1_epi8(15)); }
INLINE __m512i high_nibbles(__m512i v) { return low_nibbles(_mm512_srli_epi16(v, 4)); }

/* Eight bytes as sixteen words, each twice: what 32 weights share, for each 16 of them. */
INLINE __m256i each_twice(uint64_t bytes) {
    const __m128i twice = _mm_setr_epi8(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    return _mm256_cvtepu8_epi16(_mm_shuffle_epi8(_mm_cvtsi64_si128((long long)bytes), twice));
}

/* The six-bit scales and minimums of Q4_K and Q5_K, four at a time in the bytes of a word. */
INLINE void unpack_six_bits(const uint8_t *s, row_block *out) {
    const uint32_t six = 0x3F3F3F3F, four = 0x0F0F0F0F, two = 0x03030303;
    uint32_t a = word(s), b = word(s + 4), c = word(s + 8);
    uint64_t scales = (a & six) | (uint64_t)((c & four) | (a >> 6 & two) << 4) << 32;
    uint64_t mins = (b & six) | (uint64_t)((c >> 4 & four) | (b >> 6 & two) << 4) << 32;
    out->scale = each_twice(scales);
    out->factor = each_twice(mins);
}

INLINE void load_q4_k(const uint8_t *p, row_block *out) {
    unpack_six_bits(p + 4, out);
    for (int i = 0; i < 2; i++) {
        __m512i v = _mm512_loadu_si512(p + 16 + 64 * i);
        out->q[2 * i] = low_nibbles(v);
        out->q[2 * i + 1] = high_nibbles(v);
    }
}

/* Adds `value` to the weights whose bit is set: bit `low` of the 32 bytes for the lower half, `high` for the upper. */
INLINE __m512i add_where(__m512i q, __m512i bits, int low, int high, char value) {
    __m512i which = _mm512_inserti64x4(_mm512_set1_epi8((char)(1 << low)), _mm256_set1_epi8((char)(1 << high)), 1);
    return _mm512_mask_add_epi8(q, _mm512_test_epi8_mask(bits, which), q, _mm512_set1_epi8(value));
}

INLINE __m512i twice(const uint8_t *p) { return _mm512_broadcast_i64x4(_mm256_loadu_si256((const void *)p)); }

INLINE void load_q5_k(const uint8_t *p, row_block *out) {
    unpack_six_bits(p + 4, out);
    __m512i bits = twice(p + 16);
    for (int i = 0; i < 2; i++) {
        __m512i v = _mm512_loadu_si512(p + 48 + 64 * i);
        out->q[2 * i] = add_where(low_nibbles(v), bits, 4 * i, 4 * i + 2, 16);
        out->q[2 * i + 1] = add_where(high_nibbles(v), bits, 4 * i + 1, 4 * i + 3, 16);
    }
}

INLINE void load_q6_k(const uint8_t *p, row_block *out) {
    const __m512i top = _mm512_set1_epi8(0x30);
    const __m512i left = _mm512_inserti64x4(_mm512_set1_epi16(4), _mm256_set1_epi16(2), 1);
    const __m512i right = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi16(2), 1);
    out->factor = _mm256_cvtepi8_epi16(_mm_loadu_si128((const void *)(p + 192)));
    out->scale = out->factor;
    for (int i = 0; i < 2; i++) {
        __m512i v = _mm512_loadu_si512(p + 64 * i), h = twice(p + 128 + 32 * i);
        out->q[2 * i] = _mm512_or_si512(low_nibbles(v), _mm512_and_si512(_mm512_sllv_epi16(h, left), top));
        out->q[2 * i + 1] = _mm512_or_si512(high_nibbles(v), _mm512_and_si512(_mm512_srlv_epi16(h, right), top));
    }
}

INLINE void load_two_bits(const uint8_t *p, row_block *out) {
    __m512i v = _mm512_loadu_si512(p), three = _mm512_set1_epi8(3);
    out->q[0] = _mm512_and_si512(v, three);
    out->q[1] = _mm512_and_si512(_mm512_srli_epi16(v, 2), three);
    out->q[2] = _mm512_and_si512(_mm512_srli_epi16(v, 4), three);
    out->q[3] = _mm512_and_si512(_mm512_srli_epi16(v, 6), three);
}

INLINE void load_q2_k(const uint8_t *p, row_block *out) {
    __m128i v = _mm_loadu_si128((const void *)p), four = _mm_set1_epi8(15);
    out->scale = _mm256_cvtepu8_epi16(_mm_and_si128(v, four));
    out->factor = _mm256_cvtepu8_epi16(_mm_and_si128(_mm_srli_epi16(v, 4), four));
    load_two_bits(p + 16, out);
}

INLINE void load_q3_k(const uint8_t *p, row_block *out) {
    const uint32_t four = 0x0F0F0F0F, two = 0x03030303;
    uint32_t a = word(p + 96), b = word(p + 100), c = word(p + 104);
    __m128i s =
        _mm_set_epi32((int)((b >> 4 & four) | (c >> 6 & two) << 4), (int)((a >> 4 & four) | (c >> 4 & two) << 4),
                      (int)((b & four) | (c >> 2 & two) << 4), (int)((a & four) | (c & two) << 4));
    out->factor = _mm256_cvtepi8_epi16(_mm_sub_epi8(s, _mm_set1_epi8(32)));
    out->scale = out->factor;
    load_two_bits(p + 32, out);
    __m512i bits = twice(p);
    for (int i = 0; i < 4; i++) out->q[i] = add_where(out->q[i], bits, i, 4 + i, 4);
}

/* The integer sums of one row's block with one token's, spread over lanes; *minimum likewise. */
INLINE __m512i block_product(const row_block *w, const __m512i scale[4], const __m512i a[4], __m256i sums, bool has_min,
                             int log_offset, __m512i *minimum) {
    __m512i other = _mm512_zextsi256_si512(_mm256_madd_epi16(w->factor, sums)), p = _mm512_setzero_si512();
    if (has_min) {
        *minimum = other;
    } else {
        p = _mm512_sub_epi32(p, _mm512_slli_epi32(other, (unsigned)log_offset));
    }
    for (int i = 0; i < 4; i++) p = _mm512_dpwssd_epi32(p, _mm512_maddubs_epi16(w->q[i], a[i]), scale[i]);
    return p;
}

typedef void load_fn(const uint8_t *p, row_block *out);

/* Where sixteen rows begin, of which n exist: the others repeat the first and are not stored. */
INLINE void point_at_rows(const matrix *w, size_t row, size_t n, const uint8_t *at[ROWS]) {
    for (size_t r = 0; r < ROWS; r++) at[r] = w->data + (row + (r < n ? r : 0)) * w->row_bytes;
}

/* From block b of a row to the block to ask for now: some blocks on, or past the row's end as far into the same row of
 * the next sixteen, which is `ahead` behind it. */
INLINE size_t lead_of(size_t b, size_t n_blocks, size_t bytes, size_t ahead) {
    size_t n = (LEAD + bytes - 1) / bytes;
    return n * bytes + (b + n < n_blocks ? 0 : ahead);
}

/* n_tok (at most MAX_STEP) tokens against rows [row, row + ROWS), of which n exist. */
INLINE void step_256(const matrix *w, const activations *a, size_t n_tok, size_t row, size_t n, size_t ahead, float *y,
                     size_t y_stride, load_fn *load, size_t bytes, size_t d_at, weight_order order, bool has_min,
                     int log_offset) {
    __m512 acc[MAX_STEP];
    __m512i product[MAX_STEP][ROWS], minimum[MAX_STEP][ROWS], act[MAX_STEP][4];
    size_t n_blocks = w->n_in / 256;
    const uint8_t *at[ROWS];
    point_at_rows(w, row, n, at);
    for (size_t t = 0; t < n_tok; t++) acc[t] = _mm512_setzero_ps();
    for (size_t b = 0; b < n_blocks; b++) {
        size_t lead = lead_of(b, n_blocks, bytes, ahead);
        for (size_t t = 0; t < n_tok; t++) order_activations(a->q + (b * n_tok + t) * 256, order, act[t]);
        for (size_t r = 0; r < ROWS; r++) {
            const uint8_t *p = at[r] + b * bytes;
            for (size_t line = 0; line < bytes; line += 64) _mm_prefetch(p + lead + line, _MM_HINT_T0);
            row_block block;
            __m512i spread[4];
            load(p, &block);
            spread_scales(block.scale, order, spread);
            for (size_t t = 0; t < n_tok; t++) {
                __m256i sums = _mm256_loadu_si256((const void *)(a->sum + (b * n_tok + t) * 16));
                product[t][r] = block_product(&block, spread, act[t], sums, has_min, log_offset, &minimum[t][r]);
            }
        }
        __m512 d = halves(at, b * bytes + d_at), dmin = d;
        if (has_min) dmin = halves(at, b * bytes + d_at + 2); /* else it may lie behind the last block */
        for (size_t t = 0; t < n_tok; t++) {
            __m512 s = _mm512_set1_ps(a->scale[b * n_tok + t]);
            acc[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum_rows(product[t])), _mm512_mul_ps(d, s), acc[t]);
            if (!has_min) continue;
            acc[t] = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(sum_rows(minimum[t])), _mm512_mul_ps(dmin, s), acc[t]);
        }
    }
    for (size_t t = 0; t < n_tok; t++) store_rows(y + t * y_stride + row, acc[t], n);
}

/* ---- a few tokens: blocks of 32 -------------------------------------------------------------- */

typedef __m256i load_32_fn(const uint8_t *p); /* 32 unsigned weights */

INLINE __m256i nibbles_32(const uint8_t *p) {
    __m128i v = _mm_loadu_si128((const void *)p);
    return _mm256_and_si256(_mm256_set_m128i(_mm_srli_epi16(v, 4), v), _mm256_set1_epi8(15));
}

INLINE __m256i add_fifth_bits_32(__m256i q, uint32_t bits) {
    return _mm256_mask_add_epi8(q, bits, q, _mm256_set1_epi8(16));
}

INLINE __m256i load_q4_0(const uint8_t *p) { return nibbles_32(p + 2); }
INLINE __m256i load_q4_1(const uint8_t *p) { return nibbles_32(p + 4); }
INLINE __m256i load_q5_0(const uint8_t *p) { return add_fifth_bits_32(nibbles_32(p + 6), word(p + 2)); }
INLINE __m256i load_q5_1(const uint8_t *p) { return add_fifth_bits_32(nibbles_32(p + 8), word(p + 4)); }

INLINE __m256i load_q8_0(const uint8_t *p) {
    return _mm256_xor_si256(_mm256_loadu_si256((const void *)(p + 2)), _mm256_set1_epi8((char)0x80));
}

INLINE int sum_32(const activations *a, size_t at) { return a->sum[2 * at] + a->sum[2 * at + 1]; }

/* acc + I d s (- M dmin s), where every row of a block of 32 shares the token's sum. */
INLINE __m512 chain_32(__m512 acc, __m512i dot, __m512 d, __m512 m, float scale, int sum, bool has_min, int offset) {
    __m512 s = _mm512_set1_ps(scale);
    if (!has_min) dot = _mm512_sub_epi32(dot, _mm512_set1_epi32(offset * sum));
    acc = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), _mm512_mul_ps(d, s), acc);
    /* the file's m is the negated minimum */
    return has_min ? _mm512_fmadd_ps(_mm512_set1_ps((float)sum), _mm512_mul_ps(m, s), acc) : acc;
}

INLINE void step_32(const matrix *w, const activations *a, size_t n_tok, size_t row, size_t n, size_t ahead, float *y,
                    size_t y_stride, load_32_fn *load, size_t bytes, bool has_min, int offset) {
    __m512 acc[MAX_STEP];
    __m512i dot[MAX_STEP][ROWS];
    size_t n_blocks = w->n_in / 32;
    const uint8_t *at_row[ROWS];
    point_at_rows(w, row, n, at_row);
    for (size_t t = 0; t < n_tok; t++) acc[t] = _mm512_setzero_ps();
    for (size_t b = 0; b < n_blocks; b += 2) { /* two blocks fill a register; a last single one meets zeros */
        bool two = b + 1 < n_blocks;
        size_t lead = lead_of(b, n_blocks, bytes, ahead);
        __m512i act[MAX_STEP];
        for (size_t t = 0; t < n_tok; t++) {
            __m256i low = _mm256_loadu_si256((const void *)(a->q + (b * n_tok + t) * 32)),
                    high = _mm256_setzero_si256();
            if (two) high = _mm256_loadu_si256((const void *)(a->q + ((b + 1) * n_tok + t) * 32));
            act[t] = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
        }
        for (size_t r = 0; r < ROWS; r++) {
            const uint8_t *p = at_row[r] + b * bytes, *next = two ? p + bytes : p;
            _mm_prefetch(p + lead, _MM_HINT_T0);
            __m512i q = _mm512_inserti64x4(_mm512_castsi256_si512(load(p)), load(next), 1);
            for (size_t t = 0; t < n_tok; t++) dot[t][r] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), q, act[t]);
        }
        size_t second = two ? (b + 1) * bytes : b * bytes;
        __m512 d[2] = {halves(at_row, b * bytes), halves(at_row, second)};
        __m512 m[2] = {halves(at_row, b * bytes + 2), halves(at_row, second + 2)}; /* used where has_min */
        for (size_t t = 0; t < n_tok; t++) {
            __m512i low, high;
            size_t at = b * n_tok + t;
            sum_row_halves(dot[t], &low, &high);
            acc[t] = chain_32(acc[t], low, d[0], m[0], a->scale[at], sum_32(a, at), has_min, offset);
            at += n_tok;
            if (two) acc[t] = chain_32(acc[t], high, d[1], m[1], a->scale[at], sum_32(a, at), has_min, offset);
        }
    }
    for (size_t t = 0; t < n_tok; t++) store_rows(y + t * y_stride + row, acc[t], n);
}

/* ---- many tokens ----------------------------------------------------------------------------- */

/* PANEL inputs of ROWS rows, taken apart and transposed: lanes are rows. */
typedef struct {
    __m512i q[PANEL / 4];       /* four weights a lane, unsigned */
    __m512i scale[PANEL / 16];  /* int32, of each 16 weights */
    __m512i factor[PANEL / 32]; /* int16 pairs, for a pair of sums: minimums, or offset x scale */
    __m512 d[PANEL / 32], dmin[PANEL / 32];
} panel;

/* out[i] lane r = in[r] lane i. */
INLINE void transpose(const __m512i in[ROWS], __m512i out[ROWS]) {
    __m512i four[4][4]; /* [rows 4 g ..][c]: in each 128-bit lane l, element 4 l + c of four rows */
    for (int g = 0; g < 4; g++) {
        const __m512i *v = in + 4 * g;
        __m512i a = _mm512_unpacklo_epi32(v[0], v[1]), b = _mm512_unpackhi_epi32(v[0], v[1]);
        __m512i c = _mm512_unpacklo_epi32(v[2], v[3]), d = _mm512_unpackhi_epi32(v[2], v[3]);
        four[g][0] = _mm512_unpacklo_epi64(a, c);
        four[g][1] = _mm512_unpackhi_epi64(a, c);
        four[g][2] = _mm512_unpacklo_epi64(b, d);
        four[g][3] = _mm512_unpackhi_epi64(b, d);
    }
    for (int c = 0; c < 4; c++) { /* and the lanes of the four groups */
        __m512i even_a = _mm512_shuffle_i32x4(four[0][c], four[1][c], 0x88),
                odd_a = _mm512_shuffle_i32x4(four[0][c], four[1][c], 0xDD);
        __m512i even_b = _mm512_shuffle_i32x4(four[2][c], four[3][c], 0x88),
                odd_b = _mm512_shuffle_i32x4(four[2][c], four[3][c], 0xDD);
        out[c] = _mm512_shuffle_i32x4(even_a, even_b, 0x88);
        out[4 + c] = _mm512_shuffle_i32x4(odd_a, odd_b, 0x88);
        out[8 + c] = _mm512_shuffle_i32x4(even_a, even_b, 0xDD);
        out[12 + c] = _mm512_shuffle_i32x4(odd_a, odd_b, 0xDD);
    }
}

/* Where, in fours of weights, register i of an order begins, and where its upper half does. */
INLINE size_t lower_half(weight_order order, size_t i) {
    return order == ORDER_NATURAL ? 16 * i : order == ORDER_PAIRS ? i / 2 * 32 + i % 2 * 8 : 8 * i;
}
INLINE size_t upper_half(weight_order order, size_t i) {
    return lower_half(order, i) + (order == ORDER_NATURAL ? 8 : order == ORDER_PAIRS ? 16 : 32);
}

/* Block `at` of the panel, from `offset` bytes behind the rows' beginnings. */
INLINE void fill_256(panel *p, size_t at, const uint8_t *const rows[ROWS], size_t offset, load_fn *load, size_t d_at,
                     weight_order order, bool has_min, int log_offset) {
    __m512i q[4][ROWS], scale[ROWS], factor[ROWS], out[ROWS];
    for (size_t r = 0; r < ROWS; r++) {
        row_block b;
        load(rows[r] + offset, &b);
        for (int i = 0; i < 4; i++) q[i][r] = b.q[i];
        scale[r] = _mm512_cvtepi16_epi32(b.scale);
        factor[r] = _mm512_zextsi256_si512(_mm256_slli_epi16(b.factor, log_offset));
    }
    for (size_t i = 0; i < 4; i++) {
        transpose(q[i], out);
        memcpy(p->q + at * 64 + lower_half(order, i), out, 8 * sizeof *out);
        memcpy(p->q + at * 64 + upper_half(order, i), out + 8, 8 * sizeof *out);
    }
    transpose(scale, p->scale + at * 16);
    transpose(factor, out);
    memcpy(p->factor + at * 8, out, 8 * sizeof *out);
    p->d[at] = halves(rows, offset + d_at);
    if (has_min) p->dmin[at] = halves(rows, offset + d_at + 2);
}

/* Blocks `at` and at + 1; where there is no second one the first stands in, and is not used. */
INLINE void fill_32(panel *p, size_t at, const uint8_t *const rows[ROWS], size_t offset, bool two, load_32_fn *load,
                    size_t bytes, bool has_min) {
    __m512i q[ROWS];
    for (size_t r = 0; r < ROWS; r++) {
        const uint8_t *first = rows[r] + offset, *second = two ? first + bytes : first;
        q[r] = _mm512_inserti64x4(_mm512_castsi256_si512(load(first)), load(second), 1);
    }
    transpose(q, p->q + at * 8);
    for (size_t i = 0; i < 2; i++) {
        size_t block = two && i == 1 ? offset + bytes : offset;
        p->d[at + i] = halves(rows, block);
        if (has_min) p->dmin[at + i] = halves(rows, block + 2);
    }
}

/* acc += four products a lane of w with the four bytes at p: written out, since compilers load and broadcast first. */
INLINE void dot_broadcast(__m512i *acc, __m512i w, const int8_t *p) {
    __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(*acc) : "v"(w), "m"(*(const int32_t(*)[1])(const void *)p));
}

INLINE void madd_broadcast(__m512i *acc, __m512i w, const int16_t *p) {
    __asm__("vpdpwssd %2%{1to16%}, %1, %0" : "+v"(*acc) : "v"(w), "m"(*(const int32_t(*)[1])(const void *)p));
}

INLINE __m512 scaled(__m512 d, float s) { return _mm512_mul_ps(d, _mm512_set1_ps(s)); }

/* Block `at` of the panel against n tokens: acc[t] goes on. */
INLINE void tile_256(const panel *p, size_t at, const int8_t *q, const int16_t *sum, const float *scale, size_t n,
                     __m512 acc[TILE], size_t sub, bool has_min) {
    __m512i total[TILE], other[TILE];
    for (size_t t = 0; t < n; t++) total[t] = other[t] = _mm512_setzero_si512();
    for (size_t s = 0; s < 8; s++) {
        for (size_t t = 0; t < n; t++) madd_broadcast(&other[t], p->factor[at * 8 + s], sum + t * 16 + 2 * s);
    }
    for (size_t t = 0; t < n && !has_min; t++) total[t] = _mm512_sub_epi32(total[t], other[t]);
    for (size_t k0 = 0; k0 < 256; k0 += sub) {
        __m512i part[TILE], s = p->scale[(at * 256 + k0) / 16];
        for (size_t t = 0; t < n; t++) part[t] = _mm512_setzero_si512();
        for (size_t k = k0; k < k0 + sub; k += 4) {
            __m512i w = p->q[(at * 256 + k) / 4];
            for (size_t t = 0; t < n; t++) dot_broadcast(&part[t], w, q + t * 256 + k);
        }
        for (size_t t = 0; t < n; t++) total[t] = _mm512_add_epi32(total[t], _mm512_mullo_epi32(part[t], s));
    }
    for (size_t t = 0; t < n; t++) {
        acc[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(total[t]), scaled(p->d[at], scale[t]), acc[t]);
        if (has_min) acc[t] = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(other[t]), scaled(p->dmin[at], scale[t]), acc[t]);
    }
}

INLINE void tile_32(const panel *p, size_t at, const int8_t *q, const int16_t *sum, const float *scale, size_t n,
                    __m512 acc[TILE], bool has_min, int offset) {
    __m512i total[TILE];
    for (size_t t = 0; t < n; t++) {
        total[t] = _mm512_setzero_si512();
        if (!has_min) madd_broadcast(&total[t], _mm512_set1_epi16((short)-offset), sum + 2 * t);
    }
    for (size_t k = 0; k < 32; k += 4) {
        __m512i w = p->q[at * 8 + k / 4];
        for (size_t t = 0; t < n; t++) dot_broadcast(&total[t], w, q + t * 32 + k);
    }
    for (size_t t = 0; t < n; t++) {
        acc[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(total[t]), scaled(p->d[at], scale[t]), acc[t]);
        if (!has_min) continue;
        __m512 m = _mm512_set1_ps((float)(sum[2 * t] + sum[2 * t + 1])); /* the file's m is the negated minimum */
        acc[t] = _mm512_fmadd_ps(m, scaled(p->dmin[at], scale[t]), acc[t]);
    }
}

/* What a type is, as constants of the functions that are made for it. */
typedef struct {
    size_t block, sub, bytes;
    size_t d_at;         /* where in a super-block its d stands, and dmin behind it */
    load_fn *load;       /* of a super-block */
    load_32_fn *load_32; /* of a block of 32 */
    weight_order order;
    bool has_min;
    int offset; /* of a super-block: its logarithm */
} shape;

/* Blocks [first, first + n_blocks), which the panel holds, against tokens [t0, t0 + n): y is read and written. */
INLINE void tile(const panel *p, const activations *a, size_t n_tok, size_t first, size_t n_blocks, size_t t0, size_t n,
                 float *y, size_t y_stride, __mmask16 rows, const shape s) {
    __m512 acc[TILE];
    for (size_t t = 0; t < n; t++) {
        acc[t] = first == 0 ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(rows, y + (t0 + t) * y_stride);
    }
    for (size_t b = 0; b < n_blocks; b++) {
        size_t at = (first + b) * n_tok + t0;
        const int8_t *q = a->q + at * s.block;
        const int16_t *sum = a->sum + at * (s.block / ACTIVATION_SUB);
        if (s.block == 256) {
            tile_256(p, b, q, sum, a->scale + at, n, acc, s.sub, s.has_min);
        } else {
            tile_32(p, b, q, sum, a->scale + at, n, acc, s.has_min, s.offset);
        }
    }
    for (size_t t = 0; t < n; t++) _mm512_mask_storeu_ps(y + (t0 + t) * y_stride, rows, acc[t]);
}

INLINE void many(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end, float *y,
                 size_t y_stride, const shape s) {
    size_t n_blocks = w->n_in / s.block, per_panel = PANEL / s.block;
    panel p;
    for (size_t row = row_begin; row < row_end; row += ROWS) {
        size_t n_rows = row_end - row < ROWS ? row_end - row : ROWS;
        __mmask16 rows = first_lanes(n_rows);
        const uint8_t *at[ROWS];
        point_at_rows(w, row, n_rows, at);
        for (size_t first = 0; first < n_blocks; first += per_panel) {
            size_t n = n_blocks - first < per_panel ? n_blocks - first : per_panel, t = 0;
            for (size_t b = 0; b < n; b += s.block == 256 ? 1 : 2) {
                size_t offset = (first + b) * s.bytes;
                if (s.block == 256) {
                    fill_256(&p, b, at, offset, s.load, s.d_at, s.order, s.has_min, s.offset);
                } else {
                    fill_32(&p, b, at, offset, b + 1 < n, s.load_32, s.bytes, s.has_min);
                }
            }
#define TILES_OF(size)                                                                                                 \
    for (; t + size <= n_tok; t += size) tile(&p, a, n_tok, first, n, t, size, y + row, y_stride, rows, s)
            TILES_OF(12);
            TILES_OF(8);
            TILES_OF(4);
            TILES_OF(1);
#undef TILES_OF
        }
    }
}

/* ---- plain numbers: a register is the sixteen lanes ------------------------------------------ */

enum { PLAIN_ROWS = 4, PLAIN_TOKENS = 4 };

typedef __m512 load_plain_fn(const uint8_t *p, __mmask16 mask);

INLINE __m512 load_f32(const uint8_t *p, __mmask16 mask) { return _mm512_maskz_loadu_ps(mask, p); }
INLINE __m512 load_f16(const uint8_t *p, __mmask16 mask) { return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, p)); }
INLINE __m512 load_bf16(const uint8_t *p, __mmask16 mask) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, p)), 16));
}

/* The tree: upper half onto lower, four times. */
INLINE float sum_tree(__m512 v) {
    __m256 a = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

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

/* ---- attention ------------------------------------------------------------------------------- */

/* Lane i of the result is sum_tree(v[i]): the same additions, sixteen trees at once. */
INLINE __m512 sum_trees(const __m512 v[ROWS]) {
    const __m512i in_order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512 a[8], b[4], c[2];
    for (int i = 0; i < 8; i++) { /* 16 to 8: upper 256 bits onto lower, two vectors a register */
        __m512 x = v[2 * i], y = v[2 * i + 1];
        a[i] = _mm512_add_ps(_mm512_shuffle_f32x4(x, y, 0x44), _mm512_shuffle_f32x4(x, y, 0xEE));
    }
    for (int i = 0; i < 4; i++) { /* 8 to 4 */
        __m512 x = a[2 * i], y = a[2 * i + 1];
        b[i] = _mm512_add_ps(_mm512_shuffle_f32x4(x, y, 0x88), _mm512_shuffle_f32x4(x, y, 0xDD));
    }
    for (int i = 0; i < 2; i++) { /* 4 to 2 */
        __m512 x = b[2 * i], y = b[2 * i + 1];
        c[i] = _mm512_add_ps(_mm512_shuffle_ps(x, y, 0x44), _mm512_shuffle_ps(x, y, 0xEE));
    }
    __m512 d = _mm512_add_ps(_mm512_shuffle_ps(c[0], c[1], 0x88), _mm512_shuffle_ps(c[0], c[1], 0xDD));
    return _mm512_permutexvar_ps(in_order, d);
}

/* exp_f32 of sixteen. */
INLINE __m512 exp_lanes(__m512 x) {
    const __m512 low = _mm512_set1_ps(-104.0f), high = _mm512_set1_ps(89.0f), shift = _mm512_set1_ps(0x1.8p23f);
    static const float series[] = {0x1.123ccp-7f, 0x1.555b98p-5f, 0x1.55548ep-3f, 0x1.fffff8p-2f, 1.0f, 1.0f};
    __m512 c = _mm512_mask_mov_ps(x, _mm512_cmp_ps_mask(x, low, _CMP_LT_OQ), low);
    c = _mm512_mask_mov_ps(c, _mm512_cmp_ps_mask(c, high, _CMP_GT_OQ), high);
    __m512 t = _mm512_fmadd_ps(c, _mm512_set1_ps(0x1.715476p0f), shift), n = _mm512_sub_ps(t, shift);
    __m512 r = _mm512_fmadd_ps(n, _mm512_set1_ps(-0x1.62e4p-1f), c);
    r = _mm512_fmadd_ps(n, _mm512_set1_ps(-0x1.7f7d1cp-20f), r);
    __m512 p = _mm512_set1_ps(0x1.6d7752p-10f);
    for (size_t i = 0; i < sizeof series / sizeof *series; i++) p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(series[i]));
    __m512i k = _mm512_sub_epi32(_mm512_castps_si512(t), _mm512_castps_si512(shift)), half = _mm512_srai_epi32(k, 1);
    const __m512i bias = _mm512_set1_epi32(127);
    __m512i first = _mm512_slli_epi32(_mm512_add_epi32(half, bias), 23);
    __m512i second = _mm512_slli_epi32(_mm512_add_epi32(_mm512_sub_epi32(k, half), bias), 23);
    return _mm512_mul_ps(_mm512_mul_ps(p, _mm512_castsi512_ps(first)), _mm512_castsi512_ps(second));
}

/* Values [at, at + 16) of a row of the cache, at a multiple of 16, masked at the row's end. */
typedef __m512 load_cache_fn(const uint8_t *row, size_t at, __mmask16 mask);

INLINE __m512 cache_f32(const uint8_t *row, size_t at, __mmask16 mask) { return load_f32(row + 4 * at, mask); }
INLINE __m512 cache_f16(const uint8_t *row, size_t at, __mmask16 mask) { return load_f16(row + 2 * at, mask); }
INLINE __m512 cache_bf16(const uint8_t *row, size_t at, __mmask16 mask) { return load_bf16(row + 2 * at, mask); }
INLINE __m512 cache_q8_0(const uint8_t *row, size_t at, __mmask16 mask) {
    const uint8_t *block = row + at / 32 * 34;
    __m512i q = _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(mask, block + 2 + at % 32));
    return _mm512_mul_ps(_mm512_set1_ps(_cvtsh_ss(half_bits(block))), _mm512_cvtepi32_ps(q));
}

/* scores[i] = q k[i] * scale for sixteen positions from k on, of which n exist. */
INLINE __m512 score_lanes(const uint8_t *k, size_t row_bytes, size_t n, const float *q, size_t n_k, float scale,
                          load_cache_fn *load) {
    __m512 dot[ROWS];
    for (size_t i = 0; i < ROWS; i++) dot[i] = _mm512_setzero_ps();
    for (size_t at = 0; at < n_k; at += LANES) {
        __mmask16 mask = first_lanes(n_k - at);
        __m512 x = _mm512_maskz_loadu_ps(mask, q + at);
        for (size_t i = 0; i < ROWS; i++) {
            dot[i] = _mm512_mask3_fmadd_ps(x, load(k + (i < n ? i : 0) * row_bytes, at, mask), dot[i], mask);
        }
    }
    return _mm512_mul_ps(sum_trees(dot), _mm512_set1_ps(scale));
}

/* out[0..n_v) = sum over n rows of weight[j] v[j], in rising order; 128 values at a time, whose sums stay in
 * registers. */
INLINE void weigh_values(const uint8_t *v, size_t row_bytes, const float *weight, size_t n, size_t n_v, float *out,
                         load_cache_fn *load) {
    enum { WIDE = 8 };
    for (size_t at = 0; at < n_v; at += WIDE * LANES) {
        __m512 acc[WIDE];
        __mmask16 mask[WIDE];
        for (size_t i = 0; i < WIDE; i++) {
            acc[i] = _mm512_setzero_ps();
            mask[i] = at + i * LANES < n_v ? first_lanes(n_v - at - i * LANES) : 0;
        }
        for (size_t j = 0; j < n; j++) {
            __m512 w = _mm512_set1_ps(weight[j]);
            for (size_t i = 0; i < WIDE; i++) {
                if (mask[i]) acc[i] = _mm512_fmadd_ps(w, load(v + j * row_bytes, at + i * LANES, mask[i]), acc[i]);
            }
        }
        for (size_t i = 0; i < WIDE; i++) _mm512_mask_storeu_ps(out + at + i * LANES, mask[i], acc[i]);
    }
}

/* The lanes of the group of positions from origin + j on that lie in the span. */
INLINE __mmask16 group_mask(size_t j, size_t begin, size_t end) {
    return first_lanes(end - j) & (__mmask16)(begin > j ? 0xFFFFu << (begin - j) : 0xFFFFu);
}

/* One chunk, as the generic kernel's: largest score, sum of the weights, weighted sum of the values. */
INLINE void attend_lanes(const attention_span *s, const float *q, uint32_t begin, uint32_t end, float *max,
                         float *total, float *out, load_cache_fn *load_k, load_cache_fn *load_v) {
    float p[ATTENTION_CHUNK + LANES] __attribute__((aligned(64)));
    size_t origin = begin / ATTENTION_CHUNK * ATTENTION_CHUNK, from = begin - origin, to = end - origin;
    size_t k_bytes = quant_row_bytes(s->k_type, s->n_k), v_bytes = quant_row_bytes(s->v_type, s->n_v);
    size_t first = from / LANES * LANES; /* whole groups of lanes, by absolute position */
    __m512 m = _mm512_set1_ps(-INFINITY), sum = _mm512_setzero_ps();
    for (size_t j = first; j < to; j += LANES) {
        __m512 x = score_lanes(s->k + (origin + j) * k_bytes, k_bytes, to - j, q, s->n_k, s->scale, load_k);
        _mm512_store_ps(p + j, x);
        m = _mm512_mask_max_ps(m, group_mask(j, from, to), x, m); /* a NaN gives way; it comes back as a weight */
    }
    *max = _mm512_reduce_max_ps(m);
    for (size_t j = first; j < to; j += LANES) {
        __m512 e = exp_lanes(_mm512_sub_ps(_mm512_load_ps(p + j), _mm512_set1_ps(*max)));
        _mm512_store_ps(p + j, e);
        sum = _mm512_mask_add_ps(sum, group_mask(j, from, to), sum, e);
    }
    *total = sum_tree(sum);
    weigh_values(s->v + (size_t)begin * v_bytes, v_bytes, p + from, end - begin, s->n_v, out, load_v);
}

/* Both caches of one type, which is what people use, by themselves; any other pair through floats. */
#define ATTEND_CHUNK(type)                                                                                             \
    INLINE void attend_##type(const attention_span *s, const float *q, uint32_t begin, uint32_t end, float *max,       \
                              float *total, float *out) {                                                              \
        attend_lanes(s, q, begin, end, max, total, out, cache_##type, cache_##type);                                   \
    }

ATTEND_CHUNK(f32)
ATTEND_CHUNK(f16)
ATTEND_CHUNK(bf16)
ATTEND_CHUNK(q8_0)

static void attend_avx512(const attention_span *s, const float *q, float *out) {
    switch (s->k_type == s->v_type ? s->k_type : QUANT_TYPE_COUNT) {
    case QUANT_F32: attend_span(s, q, out, attend_f32); break;
    case QUANT_F16: attend_span(s, q, out, attend_f16); break;
    case QUANT_BF16: attend_span(s, q, out, attend_bf16); break;
    case QUANT_Q8_0: attend_span(s, q, out, attend_q8_0); break;
    default: attend_span(s, q, out, attend_chunk); break;
    }
}

/* ---- slots ----------------------------------------------------------------------------------- */

/* n_tok is a constant for a single token, so that its sums stay in registers. */
INLINE void few(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end, float *y,
                size_t y_stride, const shape s) {
    for (size_t row = row_begin; row < row_end; row += ROWS) {
        size_t n = row_end - row < ROWS ? row_end - row : ROWS;
        size_t ahead = row + 2 * ROWS <= w->n_out ? (ROWS - 1) * w->row_bytes : 0; /* to what follows */
        if (s.block == 256) {
            step_256(w, a, n_tok, row, n, ahead, y, y_stride, s.load, s.bytes, s.d_at, s.order, s.has_min, s.offset);
        } else {
            step_32(w, a, n_tok, row, n, ahead, y, y_stride, s.load_32, s.bytes, s.has_min, s.offset);
        }
    }
}

#define SLOT(type, ...)                                                                                                \
    static void type##_matmul(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end,   \
                              float *y, size_t y_stride) {                                                             \
        const shape s = {__VA_ARGS__};                                                                                 \
        if (n_tok == 1) {                                                                                              \
            few(w, a, 1, row_begin, row_end, y, y_stride, s);                                                          \
        } else if (n_tok <= MAX_STEP) {                                                                                \
            few(w, a, n_tok, row_begin, row_end, y, y_stride, s);                                                      \
        } else {                                                                                                       \
            many(w, a, n_tok, row_begin, row_end, y, y_stride, s);                                                     \
        }                                                                                                              \
    }

/*         block sub bytes d */
SLOT(q4_0, 32, 32, 18, 0, .load_32 = load_q4_0, .offset = 8)
SLOT(q4_1, 32, 32, 20, 0, .load_32 = load_q4_1, .has_min = true)
SLOT(q5_0, 32, 32, 22, 0, .load_32 = load_q5_0, .offset = 16)
SLOT(q5_1, 32, 32, 24, 0, .load_32 = load_q5_1, .has_min = true)
SLOT(q8_0, 32, 32, 34, 0, .load_32 = load_q8_0, .offset = 128)
SLOT(q2_k, 256, 16, 84, 80, .load = load_q2_k, .order = ORDER_HALVES, .has_min = true)
SLOT(q3_k, 256, 16, 110, 108, .load = load_q3_k, .order = ORDER_HALVES, .offset = 2)
SLOT(q4_k, 256, 32, 144, 0, .load = load_q4_k, .order = ORDER_PAIRS, .has_min = true)
SLOT(q5_k, 256, 32, 176, 0, .load = load_q5_k, .order = ORDER_PAIRS, .has_min = true)
SLOT(q6_k, 256, 16, 210, 208, .load = load_q6_k, .order = ORDER_NATURAL, .offset = 5)

SLOT_PLAIN(f32, load_f32, 4)
SLOT_PLAIN(f16, load_f16, 2)
SLOT_PLAIN(bf16, load_bf16, 2)

const kernels kernels_avx512 = {
    GENERIC_KERNELS_BUT_ATTEND("avx512"),
    .attend = attend_avx512,
    .matmul = {[QUANT_F32] = f32_matmul,
               [QUANT_F16] = f16_matmul,
               [QUANT_BF16] = bf16_matmul,
               [QUANT_Q4_0] = q4_0_matmul,
               [QUANT_Q4_1] = q4_1_matmul,
               [QUANT_Q5_0] = q5_0_matmul,
               [QUANT_Q5_1] = q5_1_matmul,
               [QUANT_Q8_0] = q8_0_matmul,
               [QUANT_Q2_K] = q2_k_matmul,
               [QUANT_Q3_K] = q3_k_matmul,
               [QUANT_Q4_K] = q4_k_matmul,
               [QUANT_Q5_K] = q5_k_matmul,
               [QUANT_Q6_K] = q6_k_matmul},
};
