/*
 * AVX-512: products with a token or a few, which wait for memory and not for multipliers. Blocks are read in the order
 * of memory, since that is what the prefetchers follow; rows side by side reach two thirds of it. A block's integer sum
 * stays spread over lanes until sixteen blocks are reduced together. What they make, a value and a scale for each
 * block, is kept for sixteen rows, then read across, so that the float chain of each row has a lane of its own.
 */
#include "kernel/avx512.h"

/* RUN: blocks that are reduced together. TERMS: blocks of a row between two turns of the chain. AHEAD: bytes. */
enum { RUN = 16, TERMS = 64, AHEAD = 1536 };

/* ---- sums of sixteen vectors ----------------------------------------------------------------- */

/* Adds v[i] up within each 128-bit lane: lane l of the result holds four partial sums, one a vector. */
INLINE __m512i sum_four(const __m512i v[4]) {
    __m512i a = _mm512_add_epi32(_mm512_unpacklo_epi32(v[0], v[1]), _mm512_unpackhi_epi32(v[0], v[1]));
    __m512i b = _mm512_add_epi32(_mm512_unpacklo_epi32(v[2], v[3]), _mm512_unpackhi_epi32(v[2], v[3]));
    return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

/* [a's lanes 0 + 1, a's 2 + 3, b's 0 + 1, b's 2 + 3] */
INLINE __m512i add_lanes(__m512i a, __m512i b) {
    return _mm512_add_epi32(_mm512_shuffle_i32x4(a, b, 0x88), _mm512_shuffle_i32x4(a, b, 0xDD));
}

/* Lane i of the result is the sum of all lanes of v[i]. */
INLINE __m512i sum_sixteen(const __m512i v[16]) {
    return add_lanes(add_lanes(sum_four(v), sum_four(v + 4)), add_lanes(sum_four(v + 8), sum_four(v + 12)));
}

/* Lanes 2 i and 2 i + 1 of the result are the sums of the lower and the upper half of v[i]. */
INLINE __m512i sum_halves(const __m512i v[8]) {
    const __m512i order = _mm512_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15);
    return _mm512_permutexvar_epi32(order, add_lanes(sum_four(v), sum_four(v + 4)));
}

/* ---- the heads of sixteen super-blocks ------------------------------------------------------- */

/* What sixteen super-blocks hold beside their weights. */
typedef struct {
    int16_t scale[RUN][16];  /* of each 16 weights */
    int16_t factor[RUN][16]; /* what the sums of 16 activations are multiplied by: minimums, or scales */
    float d[RUN], dmin[RUN];
} __attribute__((aligned(64))) heads;

typedef void heads_fn(const uint8_t *const at[RUN], heads *h);
typedef void weights_fn(const uint8_t *p, __m512i q[4]); /* 64 each, unsigned, in the order of K */

INLINE uint16_t half_bits(const uint8_t *p) {
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return h;
}

/* Words are inserted one by one: stored first and loaded together, they would have to leave the store buffer. */
INLINE __m512 halves_at(const uint8_t *const at[RUN], size_t offset) {
    __m128i v[2];
    for (int i = 0; i < 2; i++) {
        const uint8_t *const *p = at + 8 * i;
        v[i] = _mm_cvtsi32_si128(half_bits(p[0] + offset));
        v[i] = _mm_insert_epi16(v[i], half_bits(p[1] + offset), 1);
        v[i] = _mm_insert_epi16(v[i], half_bits(p[2] + offset), 2);
        v[i] = _mm_insert_epi16(v[i], half_bits(p[3] + offset), 3);
        v[i] = _mm_insert_epi16(v[i], half_bits(p[4] + offset), 4);
        v[i] = _mm_insert_epi16(v[i], half_bits(p[5] + offset), 5);
        v[i] = _mm_insert_epi16(v[i], half_bits(p[6] + offset), 6);
        v[i] = _mm_insert_epi16(v[i], half_bits(p[7] + offset), 7);
    }
    return _mm512_cvtph_ps(_mm256_set_m128i(v[1], v[0]));
}

/* Every fourth block's head in a 128-bit lane: of 16 bytes d, dmin and 12 bytes of six-bit numbers become eight scales
 * and eight minimums. */
INLINE void heads_six_bits(const uint8_t *const at[RUN], heads *h) {
    const __m512i mask = _mm512_set4_epi32(0x0F0F0F0F, 0x3F3F3F3F, 0x0F0F0F0F, 0x3F3F3F3F);
    const __m512i top = _mm512_set4_epi32(0x30303030, 0, 0x30303030, 0), right = _mm512_set4_epi32(4, 0, 0, 0);
    __m512i first[2], v[4]; /* where byte i of a lane's eight, as two equal words, comes from, for two lanes */
    for (int i = 0; i < 2; i++) {
        first[i] = _mm512_add_epi16(_mm512_set1_epi16((short)(32 * i)),
                                    _mm512_set_epi16(23, 23, 22, 22, 21, 21, 20, 20, 19, 19, 18, 18, 17, 17, 16, 16, 7,
                                                     7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0));
    }
    for (int i = 0; i < 4; i++) {
        v[i] = _mm512_castsi128_si512(load_16(at[4 * i]));
        v[i] = _mm512_inserti32x4(v[i], load_16(at[4 * i + 1]), 1);
        v[i] = _mm512_inserti32x4(v[i], load_16(at[4 * i + 2]), 2);
        v[i] = _mm512_inserti32x4(v[i], load_16(at[4 * i + 3]), 3);
        __m512i low = _mm512_and_si512(_mm512_srlv_epi32(_mm512_shuffle_epi32(v[i], 0xED), right), mask);
        __m512i high = _mm512_srli_epi32(_mm512_shuffle_epi32(v[i], 0x84), 2);
        __m512i bytes = _mm512_ternarylogic_epi32(low, high, top, 0xF8);
        for (int j = 0; j < 2; j++) {
            const __mmask64 even = 0x5555555555555555;
            __m512i from = first[j], eight = _mm512_set1_epi16(8);
            _mm512_store_si512(h->scale[4 * i + 2 * j], _mm512_maskz_permutexvar_epi8(even, from, bytes));
            _mm512_store_si512(h->factor[4 * i + 2 * j],
                               _mm512_maskz_permutexvar_epi8(even, _mm512_add_epi16(from, eight), bytes));
        }
    }
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512i d = _mm512_unpacklo_epi64(_mm512_unpacklo_epi32(v[0], v[1]), _mm512_unpacklo_epi32(v[2], v[3]));
    d = _mm512_permutexvar_epi32(order, d);
    _mm512_store_ps(h->d, low_halves(d));
    _mm512_store_ps(h->dmin, high_halves(d));
}

INLINE void heads_q6_k(const uint8_t *const at[RUN], heads *h) {
    for (size_t i = 0; i < RUN; i++) {
        __m256i scale = _mm256_cvtepi8_epi16(load_16(at[i] + 192));
        _mm256_store_si256((void *)h->scale[i], scale);
        _mm256_store_si256((void *)h->factor[i], scale);
    }
    _mm512_store_ps(h->d, halves_at(at, 208));
}

INLINE void heads_q2_k(const uint8_t *const at[RUN], heads *h) {
    const __m128i four = _mm_set1_epi8(15);
    for (size_t i = 0; i < RUN; i++) {
        __m128i v = load_16(at[i]);
        _mm256_store_si256((void *)h->scale[i], _mm256_cvtepu8_epi16(_mm_and_si128(v, four)));
        _mm256_store_si256((void *)h->factor[i], _mm256_cvtepu8_epi16(_mm_and_si128(_mm_srli_epi16(v, 4), four)));
    }
    _mm512_store_ps(h->d, halves_at(at, 80));
    _mm512_store_ps(h->dmin, halves_at(at, 82));
}

INLINE void heads_q3_k(const uint8_t *const at[RUN], heads *h) {
    const __m128i right = _mm_setr_epi32(0, 0, 4, 4);
    for (size_t i = 0; i < RUN; i++) {
        __m128i v = load_16(at[i] + 94); /* two bytes of weights, a, b, c, and d */
        v = _mm_alignr_epi8(v, v, 2);    /* a, b, c, rest */
        __m128i low = _mm_and_si128(_mm_srlv_epi32(_mm_shuffle_epi32(v, 0x44), right), _mm_set1_epi8(15));
        __m128i high = _mm_srlv_epi32(_mm_shuffle_epi32(v, 0xAA), _mm_setr_epi32(0, 2, 4, 6));
        high = _mm_slli_epi32(_mm_and_si128(high, _mm_set1_epi8(3)), 4);
        __m256i scale = _mm256_cvtepi8_epi16(_mm_sub_epi8(_mm_or_si128(low, high), _mm_set1_epi8(32)));
        _mm256_store_si256((void *)h->scale[i], scale);
        _mm256_store_si256((void *)h->factor[i], scale);
    }
    _mm512_store_ps(h->d, halves_at(at, 108));
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

/* ---- blocks of 32, two a register ------------------------------------------------------------ */

/* Two blocks, which lie side by side; of a single one the upper half is left undefined. */
typedef __m512i pair_fn(const uint8_t *p, bool two);

/* The nibbles that begin `offset` bytes into two blocks of `bytes`: 32 weights of each. */
INLINE __m512i nibble_pair(const uint8_t *p, size_t offset, size_t bytes, bool two) {
    __mmask64 there = two ? (__mmask64)-1 >> (64 - 2 * bytes) : (__mmask64)-1 >> (64 - bytes);
    __m512i v = _mm512_maskz_loadu_epi8(there, p);
    const __m512i count = _mm512_set_epi8(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10,
                                          9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2,
                                          1, 0, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    __m512i begin = _mm512_inserti64x4(_mm512_set1_epi8((char)offset), _mm256_set1_epi8((char)(offset + bytes)), 1);
    const __m512i right =
        _mm512_set_epi64(0x4000400040004, 0x4000400040004, 0, 0, 0x4000400040004, 0x4000400040004, 0, 0);
    v = _mm512_permutexvar_epi8(_mm512_add_epi8(count, begin), v);
    return low_nibbles(_mm512_srlv_epi16(v, right));
}

INLINE uint32_t word(const uint8_t *p) {
    uint32_t u;
    memcpy(&u, p, sizeof u);
    return u;
}

INLINE __m512i fifth_bits(__m512i q, const uint8_t *p, size_t bytes, bool two) {
    __mmask64 set = word(p) | (two ? (uint64_t)word(p + bytes) << 32 : 0);
    return _mm512_mask_add_epi8(q, set, q, _mm512_set1_epi8(16));
}

INLINE __m512i pair_q4_0(const uint8_t *p, bool two) { return nibble_pair(p, 2, 18, two); }
INLINE __m512i pair_q4_1(const uint8_t *p, bool two) { return nibble_pair(p, 4, 20, two); }
INLINE __m512i pair_q5_0(const uint8_t *p, bool two) { return fifth_bits(nibble_pair(p, 6, 22, two), p + 2, 22, two); }
INLINE __m512i pair_q5_1(const uint8_t *p, bool two) { return fifth_bits(nibble_pair(p, 8, 24, two), p + 4, 24, two); }
INLINE __m512i pair_q8_0(const uint8_t *p, bool two) {
    __m512i v = _mm512_castsi256_si512(_mm256_loadu_si256((const void *)(p + 2)));
    if (two) v = _mm512_inserti64x4(v, _mm256_loadu_si256((const void *)(p + 36)), 1);
    return _mm512_xor_si512(v, _mm512_set1_epi8((char)0x80));
}

/* ---- what blocks make, and the chain --------------------------------------------------------- */

/* What the blocks of sixteen rows make with one token: acc = fma(value, scale, acc), then +-fma(min, min_scale, acc),
 * block after block. Rows stand one behind the other; a run of blocks may write past the last. */
typedef struct {
    float value[ROWS * TERMS + 2 * RUN], scale[ROWS * TERMS + 2 * RUN];
    float min[ROWS * TERMS + 2 * RUN], min_scale[ROWS * TERMS + 2 * RUN];
} terms;

/* What a token brings to TERMS blocks of K; then once more to the first, for runs that go on into the next row. */
typedef struct {
    float scale[TERMS + 2 * RUN];
    int32_t sum[TERMS + 2 * RUN];      /* of 32 activations */
    int16_t sums[TERMS + 2 * RUN][16]; /* of a super-block */
} token;

/* What a type is, as constants of the functions that are made for it. */
typedef struct {
    size_t block, bytes;
    heads_fn *heads;
    weights_fn *weights;
    pair_fn *pair;
    bool has_min;
    int offset; /* of a super-block: its logarithm */
} shape;

/* Four columns of the terms of sixteen rows, a lane a row. */
INLINE void columns(const float *at, size_t stride, __m512 out[4]) {
    row_group g;
    __m512i v[4];
    for (size_t r = 0; r < ROWS; r++) g.at[r] = (const uint8_t *)(at + r * stride);
    take_16(&g, 0, v);
    for (int i = 0; i < 4; i++) out[i] = _mm512_castsi512_ps(v[i]);
}

/* n blocks of each row. */
INLINE __m512 chain(const terms *x, size_t n, const shape s, __m512 acc) {
    for (size_t b = 0; b < n; b += 4) {
        __m512 value[4], scale[4], min[4], min_scale[4];
        columns(x->value + b, n, value);
        columns(x->scale + b, n, scale);
        if (s.has_min) {
            columns(x->min + b, n, min);
            columns(x->min_scale + b, n, min_scale);
        }
        for (size_t i = 0; i < 4 && b + i < n; i++) {
            acc = _mm512_fmadd_ps(value[i], scale[i], acc);
            if (!s.has_min) continue;
            acc = s.block == 256 ? _mm512_fnmadd_ps(min[i], min_scale[i], acc)
                                 : _mm512_fmadd_ps(min[i], min_scale[i], acc); /* the file's m is the negated minimum */
        }
    }
    return acc;
}

/* The scales of the pairs of weights in register i. */
INLINE __m512i spread(const int16_t scale[16], int i) {
    const __m512i first = _mm512_set_epi16(3, 3, 3, 3, 3, 3, 3, 3, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0,
                                           0, 0, 0, 0, 0, 0);
    __m512i v = _mm512_castsi256_si512(_mm256_load_si256((const void *)scale));
    return _mm512_permutexvar_epi16(_mm512_add_epi16(first, _mm512_set1_epi16((short)(4 * i))), v);
}

/* Blocks of K that rows are cut into: [first, first + n). */
typedef struct {
    const activations *a;
    size_t n_tok, first, n;
    token t[MAX_STEP];
} slice;

INLINE void prepare(slice *k, const activations *a, size_t n_tok, size_t first, size_t n, size_t block) {
    k->a = a;
    k->n_tok = n_tok;
    k->first = first;
    k->n = n;
    for (size_t i = 0; i < n + 2 * RUN; i++) {
        for (size_t t = 0; t < n_tok; t++) {
            size_t at = (first + i % n) * n_tok + t;
            k->t[t].scale[i] = a->scale[at];
            if (block == 256) {
                memcpy(k->t[t].sums[i], a->sum + 16 * at, sizeof k->t[t].sums[i]);
            } else {
                k->t[t].sum[i] = a->sum[2 * at] + a->sum[2 * at + 1];
            }
        }
    }
}

/* n super-blocks that stand one behind the other, the first at the beginning of the slice: terms from `out` on. */
INLINE void stretch_256(const uint8_t *p, size_t n, const slice *k, size_t out, terms *x, const shape s) {
    for (size_t i = 0, b = 0; i < n; i += RUN, p += RUN * s.bytes, out += RUN, b = (b + RUN) % k->n) {
        size_t run = n - i < RUN ? n - i : RUN;
        const uint8_t *at[RUN];
        heads h;
        __m512i product[MAX_STEP][RUN];
        for (size_t j = 0; j < RUN; j++) at[j] = p + (j < run ? j : 0) * s.bytes;
        s.heads(at, &h);
        for (size_t j = 0, in_row = b; j < RUN; j++, in_row = in_row + 1 < k->n ? in_row + 1 : 0) {
            __m512i q[4];
            for (size_t line = 0; line < s.bytes; line += 64) _mm_prefetch(at[j] + AHEAD + line, _MM_HINT_T0);
            s.weights(at[j], q);
            const int8_t *act = k->a->q + (k->first + in_row) * k->n_tok * 256;
            for (size_t t = 0; t < k->n_tok; t++) {
                __m512i sum = _mm512_setzero_si512();
                for (int v = 0; v < 4; v++) {
                    __m512i pairs = _mm512_maddubs_epi16(q[v], _mm512_loadu_si512(act + t * 256 + 64 * v));
                    sum = _mm512_dpwssd_epi32(sum, pairs, spread(h.scale[j], v));
                }
                product[t][j] = sum;
            }
        }
        for (size_t t = 0; t < k->n_tok; t++) {
            const token *tok = &k->t[t];
            __m512i other[8], sum = sum_sixteen(product[t]);
            __m512 scale = _mm512_loadu_ps(tok->scale + b);
            for (size_t j = 0; j < 8; j++) {
                __m512i sums = _mm512_loadu_si512(tok->sums[b + 2 * j]);
                other[j] = _mm512_madd_epi16(_mm512_load_si512(h.factor[2 * j]), sums);
            }
            __m512i total = sum_halves(other);
            if (!s.has_min) sum = _mm512_sub_epi32(sum, _mm512_slli_epi32(total, (unsigned)s.offset));
            _mm512_storeu_ps(x[t].value + out, _mm512_cvtepi32_ps(sum));
            _mm512_storeu_ps(x[t].scale + out, _mm512_mul_ps(_mm512_load_ps(h.d), scale));
            if (!s.has_min) continue;
            _mm512_storeu_ps(x[t].min + out, _mm512_cvtepi32_ps(total));
            _mm512_storeu_ps(x[t].min_scale + out, _mm512_mul_ps(_mm512_load_ps(h.dmin), scale));
        }
    }
}

/* The same for blocks of 32: two a register, 32 a run. */
INLINE void stretch_32(const uint8_t *p, size_t n, const slice *k, size_t out, terms *x, const shape s) {
    for (size_t i = 0, b = 0; i < n; i += 2 * RUN, p += 2 * RUN * s.bytes, out += 2 * RUN, b = (b + 2 * RUN) % k->n) {
        size_t run = n - i < 2 * RUN ? n - i : 2 * RUN;
        const uint8_t *at[2 * RUN];
        __m512i dot[MAX_STEP][RUN];
        for (size_t j = 0; j < 2 * RUN; j++) at[j] = p + (j < run ? j : 0) * s.bytes;
        for (size_t j = 0, in_row = b; j < RUN; j++) {
            bool two = 2 * j + 1 < run;
            size_t next = in_row + 1 < k->n ? in_row + 1 : 0;
            _mm_prefetch(at[2 * j] + AHEAD, _MM_HINT_T0);
            __m512i q = s.pair(at[2 * j], two);
            for (size_t t = 0; t < k->n_tok; t++) {
                const int8_t *low = k->a->q + ((k->first + in_row) * k->n_tok + t) * 32;
                const int8_t *high = k->a->q + ((k->first + next) * k->n_tok + t) * 32;
                __m512i act = _mm512_castsi256_si512(_mm256_loadu_si256((const void *)low));
                act = _mm512_inserti64x4(act, _mm256_loadu_si256((const void *)high), 1);
                dot[t][j] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), q, act);
            }
            in_row = next + 1 < k->n ? next + 1 : 0;
        }
        for (size_t half = 0; half < 2; half++) {
            __m512 d = halves_at(at + RUN * half, 0), m = s.has_min ? halves_at(at + RUN * half, 2) : d;
            size_t from = b + RUN * half, to = out + RUN * half;
            for (size_t t = 0; t < k->n_tok; t++) {
                const token *tok = &k->t[t];
                __m512i sum = sum_halves(dot[t] + 8 * half), act = _mm512_loadu_si512(tok->sum + from);
                __m512 scale = _mm512_loadu_ps(tok->scale + from);
                if (!s.has_min) sum = _mm512_sub_epi32(sum, _mm512_mullo_epi32(act, _mm512_set1_epi32(s.offset)));
                _mm512_storeu_ps(x[t].value + to, _mm512_cvtepi32_ps(sum));
                _mm512_storeu_ps(x[t].scale + to, _mm512_mul_ps(d, scale));
                if (!s.has_min) continue;
                _mm512_storeu_ps(x[t].min + to, _mm512_cvtepi32_ps(act));
                _mm512_storeu_ps(x[t].min_scale + to, _mm512_mul_ps(m, scale));
            }
        }
    }
}

INLINE void stretch(const uint8_t *p, size_t n, const slice *k, size_t out, terms *x, const shape s) {
    if (s.block == 256) {
        stretch_256(p, n, k, out, x, s);
    } else {
        stretch_32(p, n, k, out, x, s);
    }
}

/* Rows that fit a slice whole are one stretch, others a stretch each. */
INLINE void step_rows(const matrix *w, const slice *k, size_t row, size_t n_rows, float *y, size_t y_stride,
                      const shape s) {
    terms x[MAX_STEP];
    const uint8_t *p = w->data + row * w->row_bytes + k->first * s.bytes;
    if (k->n * s.bytes == w->row_bytes) {
        stretch(p, n_rows * k->n, k, 0, x, s);
    } else {
        for (size_t r = 0; r < n_rows; r++) stretch(p + r * w->row_bytes, k->n, k, r * k->n, x, s);
    }
    __mmask16 rows = first_lanes(n_rows);
    for (size_t t = 0; t < k->n_tok; t++) {
        float *to = y + t * y_stride + row;
        __m512 acc = k->first == 0 ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(rows, to);
        _mm512_mask_storeu_ps(to, rows, chain(&x[t], k->n, s, acc));
    }
}

INLINE void step(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end, float *y,
                 size_t y_stride, const shape s) {
    size_t n_blocks = w->n_in / s.block;
    slice k;
    for (size_t first = 0; first < n_blocks; first += TERMS) {
        prepare(&k, a, n_tok, first, n_blocks - first < TERMS ? n_blocks - first : TERMS, s.block);
        k.n_tok = n_tok; /* a constant where it is one */
        for (size_t row = row_begin; row < row_end; row += ROWS) {
            step_rows(w, &k, row, row_end - row < ROWS ? row_end - row : ROWS, y, y_stride, s);
        }
    }
}

#define SLOT(type, ...)                                                                                                \
    static void type##_step(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end,     \
                            float *y, size_t y_stride) {                                                               \
        const shape s = {__VA_ARGS__};                                                                                 \
        if (n_tok == 1) {                                                                                              \
            step(w, a, 1, row_begin, row_end, y, y_stride, s);                                                         \
        } else {                                                                                                       \
            step(w, a, n_tok, row_begin, row_end, y, y_stride, s);                                                     \
        }                                                                                                              \
    }

SLOT(q4_0, 32, 18, .pair = pair_q4_0, .offset = 8)
SLOT(q4_1, 32, 20, .pair = pair_q4_1, .has_min = true)
SLOT(q5_0, 32, 22, .pair = pair_q5_0, .offset = 16)
SLOT(q5_1, 32, 24, .pair = pair_q5_1, .has_min = true)
SLOT(q8_0, 32, 34, .pair = pair_q8_0, .offset = 128)
SLOT(q2_k, 256, 84, heads_q2_k, weights_q2_k, .has_min = true)
SLOT(q3_k, 256, 110, heads_q3_k, weights_q3_k, .offset = 2)
SLOT(q4_k, 256, 144, heads_six_bits, weights_q4_k, .has_min = true)
SLOT(q5_k, 256, 176, heads_six_bits, weights_q5_k, .has_min = true)
SLOT(q6_k, 256, 210, heads_q6_k, weights_q6_k, .offset = 5)

matmul_fn *const avx512_step[QUANT_TYPE_COUNT] = {
    [QUANT_Q4_0] = q4_0_step, [QUANT_Q4_1] = q4_1_step, [QUANT_Q5_0] = q5_0_step, [QUANT_Q5_1] = q5_1_step,
    [QUANT_Q8_0] = q8_0_step, [QUANT_Q2_K] = q2_k_step, [QUANT_Q3_K] = q3_k_step, [QUANT_Q4_K] = q4_k_step,
    [QUANT_Q5_K] = q5_k_step, [QUANT_Q6_K] = q6_k_step,
};
