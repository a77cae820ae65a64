/*
 * Matrices of blocks with 256-bit vectors: what the AVX2 and the AVX-VNNI tier share. They differ in how they multiply
 * (tile_256, tile_32 and tile_16, in their own files).
 *
 * Sixteen rows at once, from the file's own layout: some blocks of theirs are transposed, four bytes at a time, so that
 * lanes are rows, and only then taken apart, so that one instruction serves eight rows, scales and minimums included.
 * The panel of unsigned bytes [K / 4][2][8 rows][4] that this makes stays in L1 while the tokens pass; a tile of tokens
 * keeps its sums in registers. One token goes the same way where its type has no better one (avx2_step.h).
 *
 * Weights are unsigned bytes w + offset, as the instructions want them; the offset comes off again through the sums of
 * activations, exactly as minimums do.
 */
#ifndef KERNEL_AVX2_BLOCKS_H
#define KERNEL_AVX2_BLOCKS_H

#include <immintrin.h>

#include "kernel/generic.h"

/* ROWS is a register's; FEW tokens take their time from memory, not from arithmetic; LEAD is how far ahead in a row
 * its bytes are asked for then. */
enum { ROWS = 8, VECTORS = 2, PANEL = 1024, FEW = 12, FEW_PANEL = 256, LEAD = 320, MAX_TILE = 6 };

/* Loops whose counter is wanted as a constant, such as the count of a shift. */
#ifdef __clang__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 64")
#endif

/* ---- eight rows ------------------------------------------------------------------------------ */

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

INLINE int word(const void *p) {
    int u;
    memcpy(&u, p, sizeof u);
    return u;
}

INLINE __m256i four_bytes(const void *p) { return _mm256_set1_epi32(word(p)); }

/* The half at byte `at` of each row. Inserted one by one: stored and loaded back together they would have to wait. */
INLINE __m256 halves(const uint8_t *const p[ROWS], size_t at) {
    short h[ROWS];
    for (int r = 0; r < ROWS; r++) memcpy(&h[r], p[r] + at, sizeof *h);
    return _mm256_cvtph_ps(_mm_setr_epi16(h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7]));
}

/* The four bytes from `at` on of each row. */
INLINE __m256i words(const uint8_t *const p[ROWS], size_t at) {
    int u[ROWS];
    for (int r = 0; r < ROWS; r++) u[r] = word(p[r] + at);
    return _mm256_setr_epi32(u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7]);
}

/* Sixteen bytes of each row: raw[at / 4 + k] has the bytes from at + 4 k on. */
INLINE void transpose(const uint8_t *const p[ROWS], size_t at, __m256i *raw) {
    __m256i v[4], *out = raw + at / 4;
    for (size_t r = 0; r < 4; r++) {
        const __m128i *low = (const void *)(p[r] + at), *high = (const void *)(p[r + 4] + at);
        v[r] = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128(low)), _mm_loadu_si128(high), 1);
    }
    __m256i a = _mm256_unpacklo_epi32(v[0], v[1]), b = _mm256_unpackhi_epi32(v[0], v[1]);
    __m256i c = _mm256_unpacklo_epi32(v[2], v[3]), d = _mm256_unpackhi_epi32(v[2], v[3]);
    out[0] = _mm256_unpacklo_epi64(a, c);
    out[1] = _mm256_unpackhi_epi64(a, c);
    out[2] = _mm256_unpacklo_epi64(b, d);
    out[3] = _mm256_unpackhi_epi64(b, d);
}

/* ---- how super-blocks come apart ------------------------------------------------------------- */

/* What weights 32 i + 4 j to 32 i + 4 j + 15 are made of, as far as sub-blocks before i have not asked for it. */
typedef void load_fn(const uint8_t *const p[ROWS], __m256i *raw, size_t i, size_t j);
/* Weights 32 i + 4 j to 32 i + 4 j + 3, unsigned, of the transposed bytes: raw[at / 4] for bytes `at` to at + 3. */
typedef __m256i weights_fn(const __m256i *raw, int i, int j);
/* Byte k of scale[j] is the signed scale of the weights 4 j + k times sub and on; likewise minimums. */
typedef void scales_fn(const uint8_t *const p[ROWS], __m256i *raw, __m256i scale[4], __m256i min[4]);
/* All at once, for types whose weights come in groups: w[i] are the weights 4 i to 4 i + 3, unsigned. */
typedef void decode_fn(const uint8_t *const p[ROWS], __m256i w[QUANT_MAX_BLOCK / 4]);
/* d of each row, as it stands at byte `at`. */
typedef __m256 d_fn(const uint8_t *const p[ROWS], size_t at);

/* Shifts the bits of every byte from place `from` to place `to` and keeps those in the mask. */
INLINE __m256i bits_at(__m256i v, int from, int to, char mask) {
    v = to > from ? _mm256_slli_epi16(v, to - from) : _mm256_srli_epi16(v, from - to);
    return _mm256_and_si256(v, _mm256_set1_epi8(mask));
}

INLINE void q2_k_load(const uint8_t *const p[ROWS], __m256i *raw, size_t i, size_t j) {
    if (i % 4 == 0) transpose(p, 16 + 8 * i + 4 * j, raw);
}

INLINE void q3_k_load(const uint8_t *const p[ROWS], __m256i *raw, size_t i, size_t j) {
    if (i == 0) transpose(p, 4 * j, raw);
    if (i % 4 == 0) transpose(p, 32 + 8 * i + 4 * j, raw);
}

INLINE void q4_k_load(const uint8_t *const p[ROWS], __m256i *raw, size_t i, size_t j) {
    if (i % 2 == 0) transpose(p, 16 + 16 * i + 4 * j, raw);
}

INLINE void q5_k_load(const uint8_t *const p[ROWS], __m256i *raw, size_t i, size_t j) {
    if (i == 0) transpose(p, 16 + 4 * j, raw);
    if (i % 2 == 0) transpose(p, 48 + 16 * i + 4 * j, raw);
}

INLINE void q6_k_load(const uint8_t *const p[ROWS], __m256i *raw, size_t i, size_t j) {
    if (i % 4 < 2) transpose(p, i / 4 * 64 + i % 2 * 32 + 4 * j, raw);
    if (i % 4 == 0) transpose(p, 128 + 8 * i + 4 * j, raw);
}

INLINE __m256i q2_k_weights(const __m256i *raw, int i, int j) {
    return bits_at(raw[4 + i / 4 * 8 + j], i % 4 * 2, 0, 3);
}

INLINE __m256i q3_k_weights(const __m256i *raw, int i, int j) {
    return _mm256_or_si256(bits_at(raw[8 + i / 4 * 8 + j], i % 4 * 2, 0, 3), bits_at(raw[j], i, 2, 4));
}

INLINE __m256i q4_k_weights(const __m256i *raw, int i, int j) {
    return bits_at(raw[4 + i / 2 * 8 + j], i % 2 * 4, 0, 15);
}

INLINE __m256i q5_k_weights(const __m256i *raw, int i, int j) {
    return _mm256_or_si256(bits_at(raw[12 + i / 2 * 8 + j], i % 2 * 4, 0, 15), bits_at(raw[4 + j], i, 4, 16));
}

INLINE __m256i q6_k_weights(const __m256i *raw, int i, int j) {
    int half = i / 4, quarter = i % 4;
    __m256i low = raw[16 * half + quarter % 2 * 8 + j], top = raw[32 + 8 * half + j];
    return _mm256_or_si256(bits_at(low, quarter / 2 * 4, 0, 15), bits_at(top, quarter * 2, 4, 0x30));
}

INLINE void q2_k_scales(const uint8_t *const p[ROWS], __m256i *raw, __m256i scale[4], __m256i min[4]) {
    transpose(p, 0, raw);
    for (int j = 0; j < 4; j++) {
        scale[j] = bits_at(raw[j], 0, 0, 15);
        min[j] = bits_at(raw[j], 4, 0, 15);
    }
}

INLINE void q3_k_scales(const uint8_t *const p[ROWS], __m256i *raw, __m256i scale[4], __m256i min[4]) {
    (void)min;
    transpose(p, 92, raw);
    UNROLL for (int j = 0; j < 4; j++) {
        __m256i s = _mm256_or_si256(bits_at(raw[24 + j % 2], j / 2 * 4, 0, 15), bits_at(raw[26], 2 * j, 4, 0x30));
        scale[j] = _mm256_sub_epi8(s, _mm256_set1_epi8(32));
    }
}

/* The first four scales and minimums have six bits a byte; the others have their lower four in the last word and
 * their upper two above those of the first. */
INLINE void q4_k_scales(const uint8_t *const p[ROWS], __m256i *raw, __m256i scale[4], __m256i min[4]) {
    transpose(p, 0, raw);
    scale[0] = bits_at(raw[1], 0, 0, 63);
    scale[1] = _mm256_or_si256(bits_at(raw[3], 0, 0, 15), bits_at(raw[1], 6, 4, 0x30));
    min[0] = bits_at(raw[2], 0, 0, 63);
    min[1] = _mm256_or_si256(bits_at(raw[3], 4, 0, 15), bits_at(raw[2], 6, 4, 0x30));
}

INLINE void q6_k_scales(const uint8_t *const p[ROWS], __m256i *raw, __m256i scale[4], __m256i min[4]) {
    (void)min;
    transpose(p, 192, raw);
    for (int j = 0; j < 4; j++) scale[j] = raw[48 + j];
}

/* ---- how blocks of 32 come apart ------------------------------------------------------------- */

/* Of blocks of 32, raw begins where their nibbles or bytes do; raw[4] are the fifth bits. */
INLINE __m256i nibbles(const __m256i *raw, int i, int j) {
    (void)i;
    return bits_at(raw[j % 4], j / 4 * 4, 0, 15);
}

INLINE __m256i nibbles_and_bits(const __m256i *raw, int i, int j) {
    const __m256i mask = _mm256_set1_epi32(j % 2 ? (int)0x80402010 : 0x08040201); /* bits 4 j to 4 j + 3 */
    const __m256i spread =
        _mm256_setr_epi32(0, 0x04040404, 0x08080808, 0x0C0C0C0C, 0, 0x04040404, 0x08080808, 0x0C0C0C0C);
    __m256i order = _mm256_add_epi8(spread, _mm256_set1_epi8((char)(j / 2)));
    __m256i bits = _mm256_and_si256(_mm256_shuffle_epi8(raw[4], order), mask);
    bits = _mm256_and_si256(_mm256_cmpeq_epi8(bits, mask), _mm256_set1_epi8(16));
    return _mm256_or_si256(nibbles(raw, i, j), bits);
}

INLINE __m256i whole_bytes(const __m256i *raw, int i, int j) {
    (void)i;
    return _mm256_xor_si256(raw[j], _mm256_set1_epi8((char)0x80));
}

/* ---- panels ---------------------------------------------------------------------------------- */

/* PANEL inputs of sixteen rows, or of eight where a weight's magnitude and itself, signed, stand there. */
typedef struct {
    uint8_t q[PANEL / 4][VECTORS][ROWS][4] __attribute__((aligned(32)));
    __m256i scale[PANEL / 16][VECTORS];  /* of a sub-block, in the form that the tier multiplies with */
    __m256i factor[PANEL / 32][VECTORS]; /* int16 pairs, for the sums of two sub-blocks: minimums, or offset x scale */
    __m256 d[PANEL / 16][VECTORS], dmin[PANEL / 32][VECTORS];
} panel;

/* Blocks `at` and at + 1 of a type that keeps two blocks of 32 in one; such have a d for each sub-block of 16. */
typedef void fill_two_fn(panel *out, const uint8_t *const p[ROWS], size_t at, size_t v);

/* For avx2_step.h. A super-block of one row: its scales and minimums, and its weights from 32 i on. Two blocks of 32:
 * lane l of q[0] are the first sixteen weights of block l, of q[1] the others. */
typedef struct row_head row_head;
typedef void row_head_fn(const uint8_t *p, row_head *out);
typedef __m256i row_256_fn(const uint8_t *p, int i);
typedef void row_32_fn(const uint8_t *p, const uint8_t *second, __m256i q[2]);

/* What a type is, as constants of the functions that are made for it. */
typedef struct {
    size_t block, sub, bytes;
    size_t at; /* where a block of 32 has its nibbles or bytes; where a super-block has d, and dmin behind it */
    weights_fn *weights;
    load_fn *load;         /* of super-blocks */
    scales_fn *scales;     /* of super-blocks */
    decode_fn *decode;     /* of super-blocks, in place of weights and load */
    d_fn *d;               /* NULL: a half */
    fill_two_fn *fill_two; /* NULL: a block at a time */
    row_head_fn *row_head; /* NULL, all three: one token goes the way of many */
    row_256_fn *row_256;
    row_32_fn *row_32;
    bool is_signed;         /* what these give */
    bool has_min, has_bits; /* minimums; fifth bits before a block's nibbles */
    int offset;             /* of a super-block: its logarithm */
    bool by_sign;           /* its weights fill both vectors: their magnitudes, and they themselves, signed */
    size_t fit;             /* AVX2: how many sums of two products an int16 holds */
    size_t exact;           /* AVX-VNNI: how many sub-blocks a float32 sums up exactly */
} shape;

/* Byte k of each word of `bytes`, signed, in the form of panel.scale. */
typedef __m256i scale_form_fn(__m256i bytes, int k);
/* Block `at` of the panel against n tokens, whose blocks follow each other: acc goes on. n is a constant. */
typedef void tile_fn(const panel *p, size_t at, const int8_t *q, const int16_t *sum, const float *scale, size_t n,
                     __m256 acc[MAX_TILE][VECTORS], const shape s);

/* Bytes k and l of each word, signed, as two int16. */
INLINE __m256i two_bytes(__m256i v, int k, int l) {
    const __m256i word_base =
        _mm256_setr_epi32(0, 0x04000400, 0x08000800, 0x0C000C00, 0, 0x04000400, 0x08000800, 0x0C000C00);
    __m256i order = _mm256_add_epi8(word_base, _mm256_set1_epi32(k << 8 | l << 24));
    return _mm256_srai_epi16(_mm256_shuffle_epi8(v, order), 8);
}

/* Weights 4 i to 4 i + 3 of eight rows. */
INLINE void put_weights(panel *out, size_t i, size_t v, __m256i w, bool by_sign) {
    __m256i *to = (void *)out->q[i];
    if (by_sign) {
        to[1] = _mm256_xor_si256(w, _mm256_set1_epi8((char)0x80));
        to[0] = _mm256_abs_epi8(to[1]);
    } else {
        to[v] = w;
    }
}

INLINE __m256 d_of(const uint8_t *const p[ROWS], size_t at, const shape s) { return s.d ? s.d(p, at) : halves(p, at); }

/* Block `at` of the panel, of eight rows. */
INLINE void fill_256(panel *out, const uint8_t *const p[ROWS], size_t at, size_t v, const shape s,
                     scale_form_fn *scale_form) {
    __m256i raw[QUANT_MAX_BLOCK / 4], scale[4], min[4];
    const int n_subs = (int)(256 / s.sub);
    s.scales(p, raw, scale, min);
    UNROLL for (int i = 0; i < n_subs; i++) out->scale[at * (size_t)n_subs + (size_t)i][v] =
        scale_form(scale[i / 4], i % 4);
    UNROLL for (int i = 0; i < n_subs; i += 2) {
        __m256i f = two_bytes(s.has_min ? min[i / 4] : scale[i / 4], i % 4, i % 4 + 1);
        out->factor[at * 8 + (size_t)i / 2][v] = s.has_min ? f : _mm256_slli_epi16(f, s.offset);
    }
    if (s.decode) {
        __m256i w[QUANT_MAX_BLOCK / 4];
        s.decode(p, w);
        for (size_t i = 0; i < 64; i++) put_weights(out, at * 64 + i, v, w[i], s.by_sign);
    } else {
        UNROLL for (int j = 0; j < 8; j += 4) {
            UNROLL for (int i = 0; i < 8; i++) {
                s.load(p, raw, (size_t)i, (size_t)j);
                UNROLL for (int k = j; k < j + 4; k++) {
                    put_weights(out, at * 64 + (size_t)(8 * i + k), v, s.weights(raw, i, k), s.by_sign);
                }
            }
        }
    }
    out->d[at][v] = d_of(p, s.at, s);
    if (s.has_min) out->dmin[at][v] = halves(p, s.at + 2);
}

INLINE void fill_32(panel *out, const uint8_t *const p[ROWS], size_t skip, size_t at, size_t v, const shape s) {
    __m256i raw[8];
    const uint8_t *weights[ROWS];
    for (size_t r = 0; r < ROWS; r++) weights[r] = p[r] + skip + s.at;
    transpose(weights, 0, raw);
    if (s.has_bits) raw[4] = words(p, skip + s.at - 4);
    if (s.weights == whole_bytes) transpose(weights, 16, raw);
    UNROLL for (int j = 0; j < 8; j++) put_weights(out, at * 8 + (size_t)j, v, s.weights(raw, 0, j), s.by_sign);
    out->d[at][v] = d_of(p, skip, s);
    if (s.has_min) out->dmin[at][v] = halves(p, skip + 2); /* negated, as it stands in the file */
}

/* The sums of a token's block by sub-blocks, as panel.factor meets them. */
INLINE void sums_of_subs(const int16_t *sum, size_t sub, int16_t out[16]) {
    __m256i v = _mm256_loadu_si256((const void *)sum);
    if (sub == ACTIVATION_SUB) {
        _mm256_storeu_si256((void *)out, v);
    } else {
        v = _mm256_madd_epi16(v, _mm256_set1_epi16(1));
        __m128i eight = _mm_packs_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
        _mm_storeu_si128((void *)out, eight);
    }
}

/* acc + I d s - M dmin s */
INLINE void chain_256(__m256 *acc, __m256 product, __m256 minimum, const panel *p, size_t at, size_t v, float scale,
                      bool has_min) {
    __m256 s = _mm256_set1_ps(scale);
    *acc = _mm256_fmadd_ps(product, _mm256_mul_ps(p->d[at][v], s), *acc);
    if (has_min) *acc = _mm256_fnmadd_ps(minimum, _mm256_mul_ps(p->dmin[at][v], s), *acc);
}

/* The same for a block of 32, where M is the token's sum alone and dmin stands negated; `two` are its halves' sums. */
INLINE void chain_32(__m256 *acc, __m256 product, __m256i two, const panel *p, size_t at, size_t v, float scale,
                     bool has_min) {
    __m256 s = _mm256_set1_ps(scale);
    *acc = _mm256_fmadd_ps(product, _mm256_mul_ps(p->d[at][v], s), *acc);
    if (!has_min) return;
    __m256 sum = _mm256_cvtepi32_ps(_mm256_madd_epi16(two, _mm256_set1_epi16(1)));
    *acc = _mm256_fmadd_ps(sum, _mm256_mul_ps(p->dmin[at][v], s), *acc);
}

/* Blocks [first, first + n_blocks), which the panel holds, against tokens [t0, t0 + n): y is read and written. */
INLINE void tile(const panel *p, const activations *a, size_t n_tok, size_t first, size_t n_blocks, size_t t0, size_t n,
                 float *y, size_t y_stride, size_t rows, tile_fn *tile_block, const shape s) {
    __m256 acc[MAX_TILE][VECTORS];
    for (size_t t = 0; t < n; t++) {
        for (size_t v = 0; v < VECTORS; v++) {
            acc[t][v] = first == 0 || v * ROWS >= rows ? _mm256_setzero_ps()
                                                       : load_rows(y + (t0 + t) * y_stride + v * ROWS, rows - v * ROWS);
        }
    }
    for (size_t b = 0; b < n_blocks; b++) {
        size_t at = (first + b) * n_tok + t0;
        tile_block(p, b, a->q + at * s.block, a->sum + at * (s.block / ACTIVATION_SUB), a->scale + at, n, acc, s);
    }
    for (size_t t = 0; t < n; t++) {
        for (size_t v = 0; v * ROWS < rows; v++)
            store_rows(y + (t0 + t) * y_stride + v * ROWS, acc[t][v], rows - v * ROWS);
    }
}

/* Rows from `row` on, of which n exist; those past the end repeat the first. */
INLINE void find_rows(const matrix *w, size_t row, size_t n, const uint8_t *p[ROWS]) {
    for (size_t r = 0; r < ROWS; r++) p[r] = w->data + (row + (r < n ? r : 0)) * w->row_bytes;
}

INLINE void prefetch(const uint8_t *p, size_t bytes) {
    for (size_t line = 0; line < bytes; line += 64) _mm_prefetch((const char *)p + line, _MM_HINT_T0);
}

INLINE void advance(const uint8_t *p[ROWS], size_t bytes) {
    for (size_t r = 0; r < ROWS; r++) {
        p[r] += bytes;
        __asm__("" : "+r"(p[r])); /* else they become vectors, and have to come back */
    }
}

/* Blocks [first, first + n) of the `rows` rows from `row` on; asks for those that begin `ahead` bytes behind them. */
INLINE void fill(panel *out, const matrix *w, size_t row, size_t rows, size_t first, size_t n, size_t ahead,
                 const shape s, scale_form_fn *scale_form) {
    for (size_t v = 0; v < (s.by_sign ? 1 : VECTORS); v++) {
        const uint8_t *p[ROWS];
        size_t skip = v * ROWS < rows ? v * ROWS : 0; /* a vector without rows repeats the first */
        find_rows(w, row + skip, rows - skip, p);
        for (size_t r = 0; r < ROWS; r++) {
            p[r] += first * s.bytes;
            prefetch(p[r] + ahead, n * s.bytes);
        }
        if (s.block == 256) {
            for (size_t b = 0; b < n; b++, advance(p, s.bytes)) fill_256(out, p, b, v, s, scale_form);
            continue;
        }
        size_t b = 0;
        for (; s.fill_two && b < n; b += 2, advance(p, 2 * s.bytes)) s.fill_two(out, p, b, v);
        for (; b + 4 <= n; b += 4, advance(p, 4 * s.bytes)) {
            UNROLL for (size_t i = 0; i < 4; i++) fill_32(out, p, i * s.bytes, b + i, v, s);
        }
        for (; b < n; b++, advance(p, s.bytes)) fill_32(out, p, 0, b, v, s);
    }
}

/* How panels of a type are filled, and what products need to know of it besides its kind. */
typedef struct filling filling;
typedef void fill_fn(panel *out, const matrix *w, size_t row, size_t rows, size_t first, size_t n, size_t ahead,
                     const filling *f);
struct filling {
    fill_fn *fill;
    size_t bytes; /* as a shape has them, like the others */
    int offset;
    size_t at; /* these where codebooks are looked up (avx2_iq.h) */
    decode_fn *decode;
    scales_fn *scales;
    d_fn *d;
};

/* Few tokens: rows after rows, a short panel at a time, so that memory is read evenly. Many: a panel of all rows after
 * the next, so that the activations it meets stay in L2. */
INLINE void multiply(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end, float *y,
                     size_t y_stride, const filling *f, tile_fn *tile_block, size_t tile_size, const shape s) {
    const bool few = n_tok <= FEW;
    size_t n_blocks = w->n_in / s.block, max_rows = s.by_sign ? ROWS : VECTORS * ROWS;
    size_t step = (few ? FEW_PANEL : PANEL) / s.block, span = few ? n_blocks : step;
    panel p;
    for (size_t begin = 0; begin < n_blocks; begin += span) {
        for (size_t row = row_begin; row < row_end; row += max_rows) {
            size_t rows = row_end - row < max_rows ? row_end - row : max_rows;
            size_t next = row + 2 * max_rows <= w->n_out ? max_rows * w->row_bytes : 0; /* to the next rows */
            for (size_t first = begin; first < begin + span && first < n_blocks; first += step) {
                size_t n = n_blocks - first < step ? n_blocks - first : step, t = 0, ahead = next;
                if (few)
                    ahead = first * f->bytes + LEAD < w->row_bytes || next == 0 ? LEAD : next - w->row_bytes + LEAD;
                f->fill(&p, w, row, rows, first, n, ahead, f);
#define TILES_OF(size)                                                                                                 \
    for (; t + size <= n_tok; t += size) tile(&p, a, n_tok, first, n, t, size, y + row, y_stride, rows, tile_block, s)
                TILES_OF(tile_size);
                if (tile_size > 4) TILES_OF(4);
                TILES_OF(1);
#undef TILES_OF
            }
        }
    }
}

/* Products of types that multiply alike, made of the tier's own tile_256, tile_32, tile_16 and TILE: what a shape says
 * but for how weights come apart. */
#define KIND(name, ...)                                                                                                \
    static void name(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end, float *y,  \
                     size_t y_stride, const filling *f) {                                                              \
        const shape s = {__VA_ARGS__, .offset = f->offset};                                                            \
        multiply(w, a, n_tok, row_begin, row_end, y, y_stride, f,                                                      \
                 s.block == 256 ? tile_256                                                                             \
                 : s.sub == 32  ? tile_32                                                                              \
                                : tile_16,                                                                              \
                 TILE, s);                                                                                             \
    }

/* A type's slot, made of its kind, the tier's own scale_form, and step (avx2_step.h). */
#define SLOT(type, kind, ...)                                                                                          \
    static void type##_fill(panel *out, const matrix *w, size_t row, size_t rows, size_t first, size_t n,              \
                            size_t ahead, const filling *f) {                                                          \
        const shape s = {__VA_ARGS__};                                                                                 \
        (void)f;                                                                                                       \
        fill(out, w, row, rows, first, n, ahead, s, scale_form);                                                       \
    }                                                                                                                  \
    static void type##_matmul(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end,   \
                              float *y, size_t y_stride) {                                                             \
        const shape s = {__VA_ARGS__};                                                                                 \
        if (n_tok == 1 && (s.row_256 || s.row_32)) {                                                                   \
            step(w, a, row_begin, row_end, y, s);                                                                      \
        } else {                                                                                                       \
            const filling f = {type##_fill, s.bytes, s.offset};                                                        \
            kind(w, a, n_tok, row_begin, row_end, y, y_stride, &f);                                                    \
        }                                                                                                              \
    }

/*   type, kind, block sub bytes at */
#define BLOCK_SLOTS                                                                                                    \
    SLOT(q4_0, nibbles_32, 32, 32, 18, 2, nibbles, .offset = 8, .row_32 = q4_0_rows)                                   \
    SLOT(q4_1, nibbles_32_min, 32, 32, 20, 4, nibbles, .has_min = true, .row_32 = q4_1_rows)                           \
    SLOT(q5_0, fives_32, 32, 32, 22, 6, nibbles_and_bits, .has_bits = true, .offset = 16, .row_32 = q5_0_rows)         \
    SLOT(q5_1, fives_32_min, 32, 32, 24, 8, nibbles_and_bits, .has_bits = true, .has_min = true, .row_32 = q5_1_rows)  \
    SLOT(q8_0, bytes_32, 32, 32, 34, 2, whole_bytes, .offset = 128, .by_sign = BY_SIGN, .row_32 = q8_0_rows,           \
         .is_signed = true)                                                                                            \
    SLOT(q2_k, q2_k_kind, 256, 16, 84, 80, q2_k_weights, q2_k_load, q2_k_scales, .has_min = true,                      \
         .row_head = q2_k_head, .row_256 = q2_k_row)                                                                   \
    SLOT(q3_k, narrow_16, 256, 16, 110, 108, q3_k_weights, q3_k_load, q3_k_scales, .offset = 2, .row_head = q3_k_head, \
         .row_256 = q3_k_row)                                                                                          \
    SLOT(q4_k, q4_k_kind, 256, 32, 144, 0, q4_k_weights, q4_k_load, q4_k_scales, .has_min = true,                      \
         .row_head = six_bits_head, .row_256 = q4_k_row)                                                               \
    SLOT(q5_k, q5_k_kind, 256, 32, 176, 0, q5_k_weights, q5_k_load, q4_k_scales, .has_min = true,                      \
         .row_head = six_bits_head, .row_256 = q5_k_row)                                                               \
    SLOT(q6_k, q6_k_kind, 256, 16, 210, 208, q6_k_weights, q6_k_load, q6_k_scales, .offset = 5, .row_head = q6_k_head, \
         .row_256 = q6_k_row)

#define BLOCK_SLOT_TABLE                                                                                               \
    [QUANT_Q4_0] = q4_0_matmul, [QUANT_Q4_1] = q4_1_matmul, [QUANT_Q5_0] = q5_0_matmul, [QUANT_Q5_1] = q5_1_matmul,    \
    [QUANT_Q8_0] = q8_0_matmul, [QUANT_Q2_K] = q2_k_matmul, [QUANT_Q3_K] = q3_k_matmul, [QUANT_Q4_K] = q4_k_matmul,    \
    [QUANT_Q5_K] = q5_k_matmul, [QUANT_Q6_K] = q6_k_matmul

#endif
