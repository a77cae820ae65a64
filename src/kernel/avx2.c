/*
 * AVX2 (with FMA and F16C). Two shapes of product, both in the file's own layout:
 *
 *  - One token: eight rows at once. The eight integer sums of a block are reduced together, so that the float chain of
 *    each row runs in a lane of its own.
 *  - Several: sixteen rows' weights are unpacked into a panel of bytes [K / 4][2][8 rows][4], which stays in L1 while
 *    all tokens pass; the sums of a tile of tokens stay in registers. Sixteen registers are too few to keep an
 *    unpacked row for several tokens, so this pays from two to four tokens on; fewer go one by one.
 *
 * Weights are unsigned bytes w + offset, as vpmaddubsw wants them; the offset comes off again through the sums of
 * activations, exactly as minimums do. vpmaddubsw forms sums of two products in int16, which it saturates, so each type
 * says how many such sums an int16 holds (`fit`). The whole bytes of Q8_0 go by sign and magnitude for one token and by
 * halves of four bits for several.
 */
#include <immintrin.h>

#include "kernel/generic.h"

enum { ROWS = 8, VECTORS = 2, TILE = 4, PANEL = 1024 };

/* ---- eight rows ------------------------------------------------------------------------------ */

/* Adds v[0 .. 3] up within each 128-bit lane: each lane of the result holds four sums, one a vector. */
INLINE __m256i sum_four(const __m256i *v) {
    __m256i a = _mm256_add_epi32(_mm256_unpacklo_epi32(v[0], v[1]), _mm256_unpackhi_epi32(v[0], v[1]));
    __m256i b = _mm256_add_epi32(_mm256_unpacklo_epi32(v[2], v[3]), _mm256_unpackhi_epi32(v[2], v[3]));
    return _mm256_add_epi32(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
}

/* The same for pairs of int16 that have room for it: one widening serves four vectors. */
INLINE __m256i sum_four_pairs(const __m256i *v) {
    __m256i a = _mm256_add_epi16(_mm256_unpacklo_epi32(v[0], v[1]), _mm256_unpackhi_epi32(v[0], v[1]));
    __m256i b = _mm256_add_epi16(_mm256_unpacklo_epi32(v[2], v[3]), _mm256_unpackhi_epi32(v[2], v[3]));
    __m256i c = _mm256_add_epi16(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
    return _mm256_madd_epi16(c, _mm256_set1_epi16(1));
}

/* Lane i of the result is the sum of all lanes of v[i]. */
INLINE __m256i sum_rows(const __m256i v[ROWS]) {
    __m256i a = sum_four(v), b = sum_four(v + 4);
    return _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31));
}

/* All bits set in the first n lanes. */
INLINE __m256i first_lanes(size_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/* Rows past the end are computed and not stored. */
INLINE void store_rows(float *y, __m256 v, size_t n) {
    if (n >= ROWS) {
        _mm256_storeu_ps(y, v);
    } else {
        _mm256_maskstore_ps(y, first_lanes(n), v);
    }
}

INLINE __m256 load_rows(const float *y, size_t n) {
    return n >= ROWS ? _mm256_loadu_ps(y) : _mm256_maskload_ps(y, first_lanes(n));
}

INLINE uint16_t half_bits(const uint8_t *p) {
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return h;
}

INLINE uint32_t word(const void *p) {
    uint32_t u;
    memcpy(&u, p, sizeof u);
    return u;
}

/* The half at byte `at` of each row. Inserted one by one: stored and loaded back together they would have to wait. */
INLINE __m256 halves(const uint8_t *const p[ROWS], size_t at) {
    short h[ROWS];
    for (int r = 0; r < ROWS; r++) h[r] = (short)half_bits(p[r] + at);
    return _mm256_cvtph_ps(_mm_setr_epi16(h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7]));
}

/* Rows from `row` on, `skip` bytes in, of which n exist; those past the end repeat the first. */
INLINE void find_rows(const matrix *w, size_t row, size_t n, size_t skip, const uint8_t *p[ROWS]) {
    for (size_t r = 0; r < ROWS; r++) p[r] = w->data + (row + (r < n ? r : 0)) * w->row_bytes + skip;
}

INLINE void prefetch(const uint8_t *p, size_t bytes) {
    for (size_t line = 0; line < bytes; line += 64) _mm_prefetch((const char *)p + line, _MM_HINT_T0);
}

INLINE __m256i load(const void *p) { return _mm256_loadu_si256(p); }
INLINE __m256i twice(__m128i v) { return _mm256_broadcastsi128_si256(v); }

/* ---- super-blocks of 256: how a row comes apart ---------------------------------------------- */

/* Weights 32 i to 32 i + 31 of a block, unsigned. */
typedef __m256i weights_256_fn(const uint8_t *p, int i);

/* What belongs to a row's block beside its weights. Word i of lane h is that of weights 32 i + 16 h and on. */
typedef struct {
    __m256i scale, min; /* int16 */
} row_scales;

typedef void scales_fn(const uint8_t *p, row_scales *out);

/* Shifts the bits of every byte from place `from` to place `to`; the caller keeps those that it wants. */
INLINE __m256i move_bits(__m256i v, int from, int to) {
    return to > from ? _mm256_slli_epi16(v, to - from) : _mm256_srli_epi16(v, from - to);
}

INLINE __m256i bits_at(__m256i v, int from, int to, char mask) {
    return _mm256_and_si256(move_bits(v, from, to), _mm256_set1_epi8(mask));
}

INLINE __m256i q2_k_weights(const uint8_t *p, int i) { return bits_at(load(p + 16 + 32 * (i / 4)), i % 4 * 2, 0, 3); }

INLINE __m256i q3_k_weights(const uint8_t *p, int i) {
    return _mm256_or_si256(bits_at(load(p + 32 + 32 * (i / 4)), i % 4 * 2, 0, 3), bits_at(load(p), i, 2, 4));
}

INLINE __m256i q4_k_weights(const uint8_t *p, int i) { return bits_at(load(p + 16 + 32 * (i / 2)), i % 2 * 4, 0, 15); }

INLINE __m256i q5_k_weights(const uint8_t *p, int i) {
    return _mm256_or_si256(bits_at(load(p + 48 + 32 * (i / 2)), i % 2 * 4, 0, 15), bits_at(load(p + 16), i, 4, 16));
}

INLINE __m256i q6_k_weights(const uint8_t *p, int i) {
    int half = i / 4, quarter = i % 4;
    __m256i low = load(p + 64 * half + 32 * (quarter % 2)), top = load(p + 128 + 32 * half);
    return _mm256_or_si256(bits_at(low, quarter / 2 * 4, 0, 15), bits_at(top, quarter * 2, 4, 0x30));
}

/* The six-bit scales and minimums of Q4_K and Q5_K: the first four of each stand in bytes 4 to 11 of the block; the
 * others have their lower four bits in bytes 12 to 15 and their upper two above those of the first. */
INLINE void six_bit_scales(const uint8_t *p, row_scales *out) {
    const __m128i low = _mm_setr_epi8(4, 5, 6, 7, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m128i top = _mm_setr_epi8(-1, -1, -1, -1, 4, 5, 6, 7, -1, -1, -1, -1, 8, 9, 10, 11);
    const __m128i low_mask = _mm_setr_epi32(0x3F3F3F3F, 0x0F0F0F0F, 0x3F3F3F3F, 0x0F0F0F0F);
    __m128i v = _mm_loadu_si128((const void *)p);
    __m128i x = _mm_srlv_epi32(_mm_shuffle_epi8(v, low), _mm_setr_epi32(0, 0, 0, 4));
    __m128i y = _mm_srli_epi16(_mm_shuffle_epi8(v, top), 2);
    v = _mm_or_si128(_mm_and_si128(x, low_mask), _mm_and_si128(y, _mm_set1_epi8(0x30)));
    __m256i both = _mm256_cvtepu8_epi16(v);
    out->scale = _mm256_permute2x128_si256(both, both, 0x00);
    out->min = _mm256_permute2x128_si256(both, both, 0x11);
}

/* Sixteen signed bytes, of 16 weights each: the even ones to the lower lane. */
INLINE __m256i even_odd(__m128i v) {
    return _mm256_set_m128i(_mm_srai_epi16(v, 8), _mm_srai_epi16(_mm_slli_epi16(v, 8), 8));
}

INLINE void q2_k_scales(const uint8_t *p, row_scales *out) {
    __m128i v = _mm_loadu_si128((const void *)p), four = _mm_set1_epi8(15);
    out->scale = even_odd(_mm_and_si128(v, four));
    out->min = even_odd(_mm_and_si128(_mm_srli_epi16(v, 4), four));
}

INLINE void q3_k_scales(const uint8_t *p, row_scales *out) {
    const uint32_t four = 0x0F0F0F0F, two = 0x03030303;
    uint32_t a = word(p + 96), b = word(p + 100), c = word(p + 104);
    __m128i s =
        _mm_set_epi32((int)((b >> 4 & four) | (c >> 6 & two) << 4), (int)((a >> 4 & four) | (c >> 4 & two) << 4),
                      (int)((b & four) | (c >> 2 & two) << 4), (int)((a & four) | (c & two) << 4));
    out->scale = even_odd(_mm_sub_epi8(s, _mm_set1_epi8(32)));
}

INLINE void q4_k_scales(const uint8_t *p, row_scales *out) { six_bit_scales(p, out); }
INLINE void q5_k_scales(const uint8_t *p, row_scales *out) { six_bit_scales(p, out); }

INLINE void q6_k_scales(const uint8_t *p, row_scales *out) {
    out->scale = even_odd(_mm_loadu_si128((const void *)(p + 192)));
}

/* ---- one token: super-blocks of 256 ---------------------------------------------------------- */

/* The scales of weights 32 i to 32 i + 31, one for each pair. */
INLINE __m256i spread(__m256i scale, int i) {
    return _mm256_shuffle_epi8(scale, _mm256_set1_epi16((short)(2 * i | (2 * i + 1) << 8)));
}

/* The sixteen sums of a block of activations in the order of row_scales. */
INLINE __m256i order_sums(const int16_t *sum) {
    const __m128i order = _mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15);
    return _mm256_permute4x64_epi64(_mm256_shuffle_epi8(load(sum), twice(order)), 0xD8);
}

/* Token t of n_tok against rows [row, row + ROWS), of which n exist. */
INLINE void step_256(const matrix *w, const activations *a, size_t n_tok, size_t t, size_t row, size_t n, bool more,
                     float *y, weights_256_fn *weights, scales_fn *scales, size_t bytes, size_t d_at, bool has_min,
                     int log_offset) {
    const uint8_t *p[ROWS];
    size_t n_blocks = w->n_in / 256, ahead = more ? ROWS * w->row_bytes : 0;
    __m256 acc = _mm256_setzero_ps();
    find_rows(w, row, n, 0, p);
    for (size_t b = 0; b < n_blocks; b++) {
        __m256i product[ROWS], other[ROWS];
        size_t at = b * n_tok + t;
        __m256i sums = order_sums(a->sum + at * 16);
        const int8_t *act = a->q + at * 256;
        for (size_t r = 0; r < ROWS; r++) {
            const uint8_t *block = p[r] + b * bytes;
            prefetch(block + ahead, bytes); /* the same block of the next eight rows */
            row_scales s;
            scales(block, &s);
            other[r] = _mm256_madd_epi16(has_min ? s.min : s.scale, sums);
            __m256i total = _mm256_setzero_si256();
            if (!has_min) total = _mm256_sub_epi32(total, _mm256_slli_epi32(other[r], log_offset));
            for (int i = 0; i < 8; i++) {
                __m256i pairs = _mm256_maddubs_epi16(weights(block, i), load(act + 32 * i));
                total = _mm256_add_epi32(total, _mm256_madd_epi16(pairs, spread(s.scale, i)));
            }
            product[r] = total;
        }
        __m256 s = _mm256_set1_ps(a->scale[at]), ds = _mm256_mul_ps(halves(p, b * bytes + d_at), s);
        acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum_rows(product)), ds, acc);
        if (!has_min) continue;
        ds = _mm256_mul_ps(halves(p, b * bytes + d_at + 2), s);
        acc = _mm256_fnmadd_ps(_mm256_cvtepi32_ps(sum_rows(other)), ds, acc);
    }
    store_rows(y + row, acc, n);
}

/* ---- blocks of 32: how two rows come apart --------------------------------------------------- */

/* Weights 16 half to 16 half + 15 of a block of row p and of one of row q, one a lane. Lanes of their own need fewer
 * steps to reduce rows, or to put them side by side, than a register each. */
typedef __m256i weights_32_fn(const uint8_t *p, const uint8_t *q, int half);

INLINE __m256i two_rows(const uint8_t *p, const uint8_t *q) {
    return _mm256_set_m128i(_mm_loadu_si128((const void *)q), _mm_loadu_si128((const void *)p));
}

INLINE __m256i nibbles(const uint8_t *p, const uint8_t *q, int half) {
    return bits_at(two_rows(p, q), 4 * half, 0, 15);
}

/* Bit i of the word at p becomes the fifth bit of weight i, and likewise q. */
INLINE __m256i add_fifth_bits(__m256i weights, const uint8_t *p, const uint8_t *q, int half) {
    const __m256i mask = _mm256_set1_epi64x((long long)0x8040201008040201);
    __m128i order = _mm_add_epi8(_mm_set_epi64x(0x0101010101010101, 0), _mm_set1_epi8((char)(2 * half)));
    __m256i words = _mm256_blend_epi32(_mm256_set1_epi32((int)word(p)), _mm256_set1_epi32((int)word(q)), 0xF0);
    __m256i bits = _mm256_and_si256(_mm256_shuffle_epi8(words, twice(order)), mask);
    return _mm256_or_si256(weights, _mm256_and_si256(_mm256_cmpeq_epi8(bits, mask), _mm256_set1_epi8(16)));
}

INLINE __m256i q4_0_weights(const uint8_t *p, const uint8_t *q, int half) { return nibbles(p + 2, q + 2, half); }
INLINE __m256i q4_1_weights(const uint8_t *p, const uint8_t *q, int half) { return nibbles(p + 4, q + 4, half); }

INLINE __m256i q5_0_weights(const uint8_t *p, const uint8_t *q, int half) {
    return add_fifth_bits(nibbles(p + 6, q + 6, half), p + 2, q + 2, half);
}

INLINE __m256i q5_1_weights(const uint8_t *p, const uint8_t *q, int half) {
    return add_fifth_bits(nibbles(p + 8, q + 8, half), p + 4, q + 4, half);
}

/* The only signed ones. */
INLINE __m256i q8_0_weights(const uint8_t *p, const uint8_t *q, int half) {
    return two_rows(p + 2 + 16 * half, q + 2 + 16 * half);
}

/* ---- one token: blocks of 32 ----------------------------------------------------------------- */

/* Whole bytes: |w| times a with w's sign, since 128 x 127 x 2 still fits; one more would not. */
INLINE __m256i signed_dot(__m256i w, __m256i a) {
    __m256i pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(a, w));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

/* Token t of n_tok against rows [row, row + ROWS), of which n exist. Sums stay pairs of int16 where eight of
 * them fit: two halves, then four vectors. */
INLINE void step_32(const matrix *w, const activations *a, size_t n_tok, size_t t, size_t row, size_t n, bool more,
                    float *y, weights_32_fn *weights, size_t bytes, bool has_min, int offset, size_t fit,
                    bool whole_bytes) {
    const uint8_t *p[ROWS];
    size_t n_blocks = w->n_in / 32, ahead = more ? ROWS * w->row_bytes : 0;
    bool in_pairs = fit >= 8 && !whole_bytes;
    __m256 acc = _mm256_setzero_ps();
    find_rows(w, row, n, 0, p);
    for (size_t b = 0; b < n_blocks; b++) {
        __m256i dot[ROWS / 2];
        size_t at = b * n_tok + t;
        const __m128i *act = (const void *)(a->q + at * 32);
        __m256i x[2] = {twice(_mm_loadu_si128(act)), twice(_mm_loadu_si128(act + 1))};
        for (size_t r = 0; r < ROWS / 2; r++) {
            const uint8_t *low = p[r] + b * bytes, *high = p[r + 4] + b * bytes;
            prefetch(low + ahead, bytes); /* the same block of the next eight rows */
            prefetch(high + ahead, bytes);
            __m256i q[2] = {weights(low, high, 0), weights(low, high, 1)};
            if (whole_bytes) {
                dot[r] = _mm256_add_epi32(signed_dot(q[0], x[0]), signed_dot(q[1], x[1]));
            } else {
                dot[r] = _mm256_add_epi16(_mm256_maddubs_epi16(q[0], x[0]), _mm256_maddubs_epi16(q[1], x[1]));
                if (!in_pairs) dot[r] = _mm256_madd_epi16(dot[r], _mm256_set1_epi16(1));
            }
        }
        __m256i total = in_pairs ? sum_four_pairs(dot) : sum_four(dot);
        int sum = a->sum[2 * at] + a->sum[2 * at + 1];
        if (!has_min && !whole_bytes) total = _mm256_sub_epi32(total, _mm256_set1_epi32(offset * sum));
        __m256 s = _mm256_set1_ps(a->scale[at]), ds = _mm256_mul_ps(halves(p, b * bytes), s);
        acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(total), ds, acc);
        if (!has_min) continue;
        ds = _mm256_mul_ps(halves(p, b * bytes + 2), s); /* the negated minimum */
        acc = _mm256_fmadd_ps(_mm256_set1_ps((float)sum), ds, acc);
    }
    store_rows(y + row, acc, n);
}

/* ---- several tokens -------------------------------------------------------------------------- */

/* PANEL inputs of sixteen rows, taken apart; of eight where weights are whole bytes, whose upper four bits are
 * vector 0 and whose lower four are vector 1. */
typedef struct {
    uint8_t q[PANEL / 4][VECTORS][ROWS][4] __attribute__((aligned(32)));
    int16_t scale[PANEL / 16][VECTORS][ROWS][2] __attribute__((aligned(32)));  /* twice the same, one a pair */
    int16_t factor[PANEL / 32][VECTORS][ROWS][2] __attribute__((aligned(32))); /* of two sums: min, offset x scale */
    float d[PANEL / 32][VECTORS][ROWS] __attribute__((aligned(32)));
    float dmin[PANEL / 32][VECTORS][ROWS] __attribute__((aligned(32)));
} panel;

/* Word k of v[r] becomes word r of v[k], in each lane. */
INLINE void transpose_lanes(__m256i v[4]) {
    __m256i a = _mm256_unpacklo_epi32(v[0], v[1]), b = _mm256_unpackhi_epi32(v[0], v[1]);
    __m256i c = _mm256_unpacklo_epi32(v[2], v[3]), d = _mm256_unpackhi_epi32(v[2], v[3]);
    v[0] = _mm256_unpacklo_epi64(a, c);
    v[1] = _mm256_unpackhi_epi64(a, c);
    v[2] = _mm256_unpacklo_epi64(b, d);
    v[3] = _mm256_unpackhi_epi64(b, d);
}

/* Word k of v[r] becomes word r of to[k stride]. */
INLINE void store_transposed(const __m256i v[ROWS], __m256i *to, size_t stride) {
    __m256i low[4], high[4];
    for (size_t r = 0; r < 4; r++) {
        low[r] = _mm256_permute2x128_si256(v[r], v[r + 4], 0x20);
        high[r] = _mm256_permute2x128_si256(v[r], v[r + 4], 0x31);
    }
    transpose_lanes(low);
    transpose_lanes(high);
    for (size_t k = 0; k < 4; k++) {
        _mm256_store_si256(to + k * stride, low[k]);
        _mm256_store_si256(to + (4 + k) * stride, high[k]);
    }
}

INLINE __m256i pair_up(__m128i first, __m128i second) {
    return _mm256_or_si256(_mm256_cvtepu16_epi32(first), _mm256_slli_epi32(_mm256_cvtepu16_epi32(second), 16));
}

/* Block `at` (counted in the panel) of eight rows. */
INLINE void fill_256(panel *out, const uint8_t *const p[ROWS], size_t at, size_t vector, weights_256_fn *weights,
                     scales_fn *scales, size_t d_at, size_t sub, bool has_min, int log_offset) {
    __m256i even[ROWS], odd[ROWS], factor[ROWS], *to = (void *)out->scale[at * (256 / sub)][vector];
    for (size_t r = 0; r < ROWS; r++) {
        row_scales s;
        scales(p[r], &s);
        __m256i f = has_min ? s.min : _mm256_slli_epi16(s.scale, log_offset);
        __m128i low = _mm256_castsi256_si128(s.scale), high = _mm256_extracti128_si256(s.scale, 1);
        factor[r] = pair_up(_mm256_castsi256_si128(f), _mm256_extracti128_si256(f, 1));
        even[r] = pair_up(low, low);
        odd[r] = pair_up(high, high);
    }
    store_transposed(factor, (void *)out->factor[at * 8][vector], VECTORS);
    if (sub == 16) {
        store_transposed(even, to, 2 * VECTORS);
        store_transposed(odd, to + VECTORS, 2 * VECTORS);
    } else {
        store_transposed(even, to, VECTORS);
    }
    _mm256_store_ps(out->d[at][vector], halves(p, d_at));
    if (has_min) _mm256_store_ps(out->dmin[at][vector], halves(p, d_at + 2));
    for (size_t i = 0; i < 8; i++) {
        __m256i q[ROWS];
        for (size_t r = 0; r < ROWS; r++) q[r] = weights(p[r], (int)i);
        store_transposed(q, (void *)out->q[at * 64 + i * 8][vector], VECTORS);
    }
}

/* The same for blocks of 32. */
INLINE void fill_32(panel *out, const uint8_t *const p[ROWS], size_t at, size_t vector, weights_32_fn *weights,
                    bool has_min, bool whole_bytes) {
    _mm256_store_ps(out->d[at][vector], halves(p, 0));
    if (has_min) _mm256_store_ps(out->dmin[at][vector], halves(p, 2)); /* negated, as it stands in the file */
    for (int half = 0; half < 2; half++) {
        __m256i v[4];
        for (size_t r = 0; r < 4; r++) v[r] = weights(p[r], p[r + 4], half);
        transpose_lanes(v);
        for (size_t k = 0; k < 4; k++) {
            __m256i *to = (void *)out->q[at * 8 + (size_t)half * 4 + k];
            if (whole_bytes) {
                v[k] = _mm256_xor_si256(v[k], _mm256_set1_epi8((char)0x80)); /* w + 128 */
                _mm256_store_si256(to, bits_at(v[k], 4, 0, 15));
                _mm256_store_si256(to + 1, bits_at(v[k], 0, 0, 15));
            } else {
                _mm256_store_si256(to + vector, v[k]);
            }
        }
    }
}

INLINE __m256i four_bytes(const void *p) { return _mm256_set1_epi32((int)word(p)); }

/* *sum += products of w and act, pairs of them in int16. Written out, since compilers would rather form all products
 * first, and run out of registers for them. */
INLINE void add_pairs(__m256i *sum, __m256i w, __m256i act) {
    __asm__("vpaddw %1, %0, %0" : "+x"(*sum) : "x"(_mm256_maddubs_epi16(w, act)));
}

/* Four inputs of all vectors against n tokens. */
INLINE void tile_four(const uint8_t w[VECTORS][ROWS][4], const int8_t *q, size_t q_stride, size_t n, bool first,
                      __m256i pairs[TILE][VECTORS]) {
    __m256i v[VECTORS];
    for (size_t i = 0; i < VECTORS; i++) v[i] = _mm256_load_si256((const void *)w[i]);
    for (size_t t = 0; t < n; t++) {
        __m256i act = four_bytes(q + t * q_stride);
        for (size_t i = 0; i < VECTORS; i++) {
            if (first) {
                pairs[t][i] = _mm256_maddubs_epi16(v[i], act);
            } else {
                add_pairs(&pairs[t][i], v[i], act);
            }
        }
    }
}

/* Adds up, in int16, the products of `count` (even) times four inputs from k on. */
INLINE void tile_pairs(const panel *p, size_t k, size_t count, const int8_t *q, size_t q_stride, size_t n,
                       __m256i pairs[TILE][VECTORS]) {
    const uint8_t(*w)[VECTORS][ROWS][4] = p->q + k / 4;
    tile_four(w[0], q, q_stride, n, true, pairs);
    tile_four(w[1], q + 4, q_stride, n, false, pairs);
    for (size_t i = 2; i < count; i += 2) {
        tile_four(w[i], q + 4 * i, q_stride, n, false, pairs);
        tile_four(w[i + 1], q + 4 * i + 4, q_stride, n, false, pairs);
    }
}

/* One block of 256 of all rows against n tokens. Constant where inlined: n and all from `sub` on; `fit` is how many
 * sums of two products an int16 holds. */
INLINE void tile_256(const panel *p, size_t at, const int8_t *q, const int16_t *sum, const float *scale, size_t n,
                     __m256 acc[TILE][VECTORS], size_t sub, bool has_min, size_t fit) {
    __m256i total[TILE][VECTORS], other[TILE][VECTORS];
    size_t count = fit < sub / 4 ? fit : sub / 4;
    for (size_t t = 0; t < n; t++) {
        for (size_t v = 0; v < VECTORS; v++) other[t][v] = _mm256_setzero_si256();
    }
    for (size_t s = 0; s < 8; s++) {
        for (size_t t = 0; t < n; t++) {
            __m256i two = four_bytes(sum + t * 16 + 2 * s);
            for (size_t v = 0; v < VECTORS; v++) {
                __m256i f = _mm256_load_si256((const void *)p->factor[at * 8 + s][v]);
                other[t][v] = _mm256_add_epi32(other[t][v], _mm256_madd_epi16(f, two));
            }
        }
    }
    for (size_t t = 0; t < n; t++) {
        for (size_t v = 0; v < VECTORS; v++) {
            total[t][v] = _mm256_setzero_si256();
            if (!has_min) total[t][v] = _mm256_sub_epi32(total[t][v], other[t][v]);
        }
    }
    for (size_t k = 0; k < 256; k += 4 * count) {
        __m256i pairs[TILE][VECTORS];
        tile_pairs(p, at * 256 + k, count, q + k, 256, n, pairs);
        for (size_t v = 0; v < VECTORS; v++) {
            __m256i s = _mm256_load_si256((const void *)p->scale[(at * 256 + k) / sub][v]);
            for (size_t t = 0; t < n; t++) {
                total[t][v] = _mm256_add_epi32(total[t][v], _mm256_madd_epi16(pairs[t][v], s));
            }
        }
    }
    for (size_t t = 0; t < n; t++) {
        __m256 s = _mm256_broadcast_ss(scale + t);
        for (size_t v = 0; v < VECTORS; v++) {
            __m256 ds = _mm256_mul_ps(_mm256_load_ps(p->d[at][v]), s);
            acc[t][v] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(total[t][v]), ds, acc[t][v]);
            if (!has_min) continue;
            ds = _mm256_mul_ps(_mm256_load_ps(p->dmin[at][v]), s);
            acc[t][v] = _mm256_fnmadd_ps(_mm256_cvtepi32_ps(other[t][v]), ds, acc[t][v]);
        }
    }
}

/* The same for a block of 32. */
INLINE void tile_32(const panel *p, size_t at, const int8_t *q, const int16_t *sum, const float *scale, size_t n,
                    __m256 acc[TILE][VECTORS], bool has_min, int offset, size_t fit, bool whole_bytes) {
    const __m256i one = _mm256_set1_epi16(1), sixteen = _mm256_set1_epi16(16);
    __m256i total[TILE][VECTORS];
    for (size_t k = 0; k < 32; k += 4 * fit) {
        __m256i pairs[TILE][VECTORS];
        tile_pairs(p, at * 32 + k, fit, q + k, 32, n, pairs);
        for (size_t t = 0; t < n; t++) {
            for (size_t v = 0; v < VECTORS; v++) {
                __m256i m = _mm256_madd_epi16(pairs[t][v], whole_bytes && v == 0 ? sixteen : one);
                total[t][v] = k == 0 ? m : _mm256_add_epi32(total[t][v], m);
            }
        }
    }
    size_t n_vectors = whole_bytes ? 1 : VECTORS;
    for (size_t t = 0; t < n; t++) {
        if (whole_bytes) total[t][0] = _mm256_add_epi32(total[t][0], total[t][1]);
        __m256i other = _mm256_madd_epi16(four_bytes(sum + 2 * t), _mm256_set1_epi16((short)(has_min ? 1 : offset)));
        __m256 s = _mm256_broadcast_ss(scale + t);
        for (size_t v = 0; v < n_vectors; v++) {
            __m256i dot = has_min ? total[t][v] : _mm256_sub_epi32(total[t][v], other);
            __m256 ds = _mm256_mul_ps(_mm256_load_ps(p->d[at][v]), s);
            acc[t][v] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot), ds, acc[t][v]);
            if (!has_min) continue;
            ds = _mm256_mul_ps(_mm256_load_ps(p->dmin[at][v]), s);
            acc[t][v] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(other), ds, acc[t][v]);
        }
    }
}

/* Adds to acc[t] one block of all rows against n tokens. */
typedef void tile_fn(const panel *p, size_t at, const int8_t *q, const int16_t *sum, const float *scale, size_t n,
                     __m256 acc[TILE][VECTORS]);
/* Takes a block of eight rows apart: block `at` of the panel. */
typedef void fill_fn(panel *out, const uint8_t *const p[ROWS], size_t at, size_t vector);

/* Blocks [first, first + n_blocks), which the panel holds, against tokens [t0, t0 + n): y is read and written. */
INLINE void tile(const panel *p, const activations *a, size_t n_tok, size_t first, size_t n_blocks, size_t t0, size_t n,
                 float *y, size_t y_stride, size_t rows, tile_fn *tile_block, size_t block) {
    __m256 acc[TILE][VECTORS];
    for (size_t t = 0; t < n; t++) {
        for (size_t v = 0; v < VECTORS; v++) {
            acc[t][v] = first == 0 || v * ROWS >= rows ? _mm256_setzero_ps()
                                                       : load_rows(y + (t0 + t) * y_stride + v * ROWS, rows - v * ROWS);
        }
    }
    for (size_t b = 0; b < n_blocks; b++) {
        size_t at = (first + b) * n_tok + t0;
        tile_block(p, b, a->q + at * block, a->sum + at * (block / ACTIVATION_SUB), a->scale + at, n, acc);
    }
    for (size_t t = 0; t < n; t++) {
        for (size_t v = 0; v * ROWS < rows; v++) {
            store_rows(y + (t0 + t) * y_stride + v * ROWS, acc[t][v], rows - v * ROWS);
        }
    }
}

INLINE void panels(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end, float *y,
                   size_t y_stride, fill_fn *fill, tile_fn *tile_block, size_t block, size_t bytes, bool whole_bytes) {
    size_t n_blocks = w->n_in / block, per_panel = PANEL / block, max_rows = whole_bytes ? ROWS : VECTORS * ROWS;
    panel p;
    for (size_t row = row_begin; row < row_end; row += max_rows) {
        size_t rows = row_end - row < max_rows ? row_end - row : max_rows;
        for (size_t first = 0; first < n_blocks; first += per_panel) {
            size_t n = n_blocks - first < per_panel ? n_blocks - first : per_panel, t = 0;
            /* the same block of the next panel, of these rows or the next */
            size_t ahead = first + n < n_blocks ? n * bytes : max_rows * w->row_bytes - first * bytes;
            bool more = first + n < n_blocks || row + 2 * max_rows <= row_end;
            for (size_t v = 0; v * ROWS < max_rows; v++) { /* a vector without rows repeats the first */
                size_t r = v * ROWS < rows ? v * ROWS : 0;
                for (size_t b = 0; b < n; b++) {
                    const uint8_t *at[ROWS];
                    find_rows(w, row + r, rows - r, (first + b) * bytes, at);
                    for (size_t i = 0; more && i < ROWS; i++) prefetch(at[i] + ahead, bytes);
                    fill(&p, at, b, v);
                }
            }
            for (; t + TILE <= n_tok; t += TILE)
                tile(&p, a, n_tok, first, n, t, TILE, y + row, y_stride, rows, tile_block, block);
            for (; t + 2 <= n_tok; t += 2)
                tile(&p, a, n_tok, first, n, t, 2, y + row, y_stride, rows, tile_block, block);
            if (t < n_tok) tile(&p, a, n_tok, first, n, t, 1, y + row, y_stride, rows, tile_block, block);
        }
    }
}

/* ---- plain numbers: two registers are the sixteen lanes -------------------------------------- */

enum { HALF = LANES / 2, PLAIN_ROWS = 4, PLAIN_TOKEN_ROWS = 2, PLAIN_TOKENS = 3 };

typedef __m256 load_plain_fn(const uint8_t *p); /* eight */

INLINE __m256 load_f32(const uint8_t *p) { return _mm256_loadu_ps((const void *)p); }
INLINE __m256 load_f16(const uint8_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const void *)p)); }
INLINE __m256 load_bf16(const uint8_t *p) {
    __m256i v = _mm256_cvtepu16_epi32(_mm_loadu_si128((const void *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(v, 16));
}

/* The tree: upper half onto lower, four times. */
INLINE float sum_tree(__m256 low, __m256 high) {
    __m256 a = _mm256_add_ps(low, high);
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

/* n_rows x n_tok sums side by side; lanes past the end of a row are left as they are, not added zero to. */
INLINE void plain_tile(const matrix *w, const float *x, size_t n_tok, size_t n_rows, size_t row, float *y,
                       size_t y_stride, load_plain_fn *load_eight, size_t bytes) {
    __m256 acc[PLAIN_TOKENS][PLAIN_ROWS][2];
    for (size_t t = 0; t < n_tok; t++) {
        for (size_t r = 0; r < n_rows; r++) acc[t][r][0] = acc[t][r][1] = _mm256_setzero_ps();
    }
    const uint8_t *p = w->data + row * w->row_bytes;
    size_t k = 0;
    for (; k + LANES <= w->n_in; k += LANES) {
        for (size_t r = 0; r < n_rows; r++) {
            _mm_prefetch((const char *)p + r * w->row_bytes + k * bytes + 1024, _MM_HINT_T0);
        }
        for (size_t h = 0; h < 2; h++) {
            __m256 v[PLAIN_ROWS];
            for (size_t r = 0; r < n_rows; r++) v[r] = load_eight(p + r * w->row_bytes + (k + h * HALF) * bytes);
            for (size_t t = 0; t < n_tok; t++) {
                __m256 a = _mm256_loadu_ps(x + t * w->n_in + k + h * HALF);
                for (size_t r = 0; r < n_rows; r++) acc[t][r][h] = _mm256_fmadd_ps(v[r], a, acc[t][r][h]);
            }
        }
    }
    for (size_t h = 0; h < 2 && k < w->n_in; h++, k += HALF) {
        size_t n = w->n_in - k < HALF ? w->n_in - k : HALF;
        __m256i mask = first_lanes(n);
        for (size_t r = 0; r < n_rows; r++) {
            uint8_t last[HALF * sizeof(float)] = {0};
            memcpy(last, p + r * w->row_bytes + k * bytes, n * bytes);
            __m256 v = load_eight(last);
            for (size_t t = 0; t < n_tok; t++) {
                __m256 sum = _mm256_fmadd_ps(v, _mm256_maskload_ps(x + t * w->n_in + k, mask), acc[t][r][h]);
                acc[t][r][h] = _mm256_blendv_ps(acc[t][r][h], sum, _mm256_castsi256_ps(mask));
            }
        }
    }
    for (size_t t = 0; t < n_tok; t++) {
        for (size_t r = 0; r < n_rows; r++) y[t * y_stride + row + r] = sum_tree(acc[t][r][0], acc[t][r][1]);
    }
}

INLINE void plain_rows(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end, float *y,
                       size_t y_stride, load_plain_fn *load_eight, size_t bytes) {
    size_t t = 0, row;
    for (; t + PLAIN_TOKENS <= n_tok; t += PLAIN_TOKENS) {
        const float *x = a->x + t * w->n_in;
        float *to = y + t * y_stride;
        for (row = row_begin; row + PLAIN_TOKEN_ROWS <= row_end; row += PLAIN_TOKEN_ROWS) {
            plain_tile(w, x, PLAIN_TOKENS, PLAIN_TOKEN_ROWS, row, to, y_stride, load_eight, bytes);
        }
        for (; row < row_end; row++) plain_tile(w, x, PLAIN_TOKENS, 1, row, to, y_stride, load_eight, bytes);
    }
    for (; t < n_tok; t++) {
        const float *x = a->x + t * w->n_in;
        float *to = y + t * y_stride;
        for (row = row_begin; row + PLAIN_ROWS <= row_end; row += PLAIN_ROWS) {
            plain_tile(w, x, 1, PLAIN_ROWS, row, to, y_stride, load_eight, bytes);
        }
        for (; row < row_end; row++) plain_tile(w, x, 1, 1, row, to, y_stride, load_eight, bytes);
    }
}

#define SLOT_PLAIN(type, bytes)                                                                                        \
    static void type##_matmul(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end,   \
                              float *y, size_t y_stride) {                                                             \
        for (size_t row = row_begin; row < row_end; row += PLAIN_ROWS) {                                               \
            size_t end = row_end - row < PLAIN_ROWS ? row_end : row + PLAIN_ROWS;                                      \
            plain_rows(w, a, n_tok, row, end, y, y_stride, load_##type, bytes);                                        \
        }                                                                                                              \
    }

/* ---- slots ----------------------------------------------------------------------------------- */

/* One slot a type: how its blocks come apart, and its constants; `singly`: up to how many tokens one by one are faster
 * than a panel. */
#define SLOT_256(type, bytes, d_at, sub, has_min, log_offset, fit, singly)                                             \
    static void type##_step(const matrix *w, const activations *a, size_t n_tok, size_t t, size_t row, size_t n,       \
                            bool more, float *y) {                                                                     \
        step_256(w, a, n_tok, t, row, n, more, y, type##_weights, type##_scales, bytes, d_at, has_min, log_offset);    \
    }                                                                                                                  \
    static void type##_fill(panel *out, const uint8_t *const p[ROWS], size_t at, size_t vector) {                      \
        fill_256(out, p, at, vector, type##_weights, type##_scales, d_at, sub, has_min, log_offset);                   \
    }                                                                                                                  \
    INLINE void type##_tile(const panel *p, size_t at, const int8_t *q, const int16_t *sum, const float *scale,        \
                            size_t n, __m256 acc[TILE][VECTORS]) {                                                     \
        tile_256(p, at, q, sum, scale, n, acc, sub, has_min, fit);                                                     \
    }                                                                                                                  \
    SLOT_OF(type, 256, bytes, false, singly)

#define SLOT_32(type, bytes, has_min, offset, fit, whole_bytes, singly)                                                \
    static void type##_step(const matrix *w, const activations *a, size_t n_tok, size_t t, size_t row, size_t n,       \
                            bool more, float *y) {                                                                     \
        step_32(w, a, n_tok, t, row, n, more, y, type##_weights, bytes, has_min, offset, fit, whole_bytes);            \
    }                                                                                                                  \
    static void type##_fill(panel *out, const uint8_t *const p[ROWS], size_t at, size_t vector) {                      \
        fill_32(out, p, at, vector, type##_weights, has_min, whole_bytes);                                             \
    }                                                                                                                  \
    INLINE void type##_tile(const panel *p, size_t at, const int8_t *q, const int16_t *sum, const float *scale,        \
                            size_t n, __m256 acc[TILE][VECTORS]) {                                                     \
        tile_32(p, at, q, sum, scale, n, acc, has_min, offset, fit, whole_bytes);                                      \
    }                                                                                                                  \
    SLOT_OF(type, 32, bytes, whole_bytes, singly)

#define SLOT_OF(type, block, bytes, whole_bytes, singly)                                                               \
    static void type##_matmul(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end,   \
                              float *y, size_t y_stride) {                                                             \
        if (n_tok > singly) {                                                                                          \
            panels(w, a, n_tok, row_begin, row_end, y, y_stride, type##_fill, type##_tile, block, bytes, whole_bytes); \
            return;                                                                                                    \
        }                                                                                                              \
        for (size_t row = row_begin; row < row_end; row += ROWS) {                                                     \
            size_t n = row_end - row;                                                                                  \
            bool more = row + 2 * ROWS <= row_end;                                                                     \
            for (size_t t = 0; t < n_tok; t++) type##_step(w, a, n_tok, t, row, n, more, y + t * y_stride);            \
        }                                                                                                              \
    }

SLOT_32(q4_0, 18, false, 8, 8, false, 1)
SLOT_32(q4_1, 20, true, 0, 8, false, 1)
SLOT_32(q5_0, 22, false, 16, 4, false, 1)
SLOT_32(q5_1, 24, true, 0, 4, false, 1)
SLOT_32(q8_0, 34, false, 128, 8, true, 3)
SLOT_256(q2_k, 84, 80, 16, true, 0, 8, 2)
SLOT_256(q3_k, 110, 108, 16, false, 2, 8, 2)
SLOT_256(q4_k, 144, 0, 32, true, 0, 8, 1)
SLOT_256(q5_k, 176, 0, 32, true, 0, 4, 1)
SLOT_256(q6_k, 210, 208, 16, false, 5, 2, 2)

SLOT_PLAIN(f32, 4)
SLOT_PLAIN(f16, 2)
SLOT_PLAIN(bf16, 2)

const kernels kernels_avx2 = {
    GENERIC_KERNELS("avx2"),
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
