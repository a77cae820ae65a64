/*
 * Matrices of blocks on AArch64: what the NEON tier (sdot) and the i8mm tier (smmla) share. They differ in how a tile
 * of a prompt multiplies, and in the order in which a panel has its weights for that (neon.c, neon_i8mm.c).
 *
 * Eight rows' weights are unpacked once into a panel of signed bytes, which stays in L1 while all tokens pass; a tile
 * of TILE tokens keeps its sums in registers.
 */
#ifndef KERNEL_NEON_BLOCKS_H
#define KERNEL_NEON_BLOCKS_H

#include "kernel/neon.h"
#include "kernel/neon_iq.h"

/* MAX_STEP tokens go in the file's own layout (neon.c). */
enum { QUADS = ROWS / QUAD, MAX_STEP = 12, TILE = 4, PANEL = 1024 };
enum { BLOCK_16 = 32, BLOCK_32 = 32, BLOCK_256 = 256 }; /* of activations */

/* ---- eight rows ------------------------------------------------------------------------------ */

/* Where the eight rows from `row` on begin, of which n exist: rows past the end repeat the first and are not stored. */
INLINE void find_rows(const matrix *w, size_t row, size_t n, const uint8_t *rows[ROWS]) {
    for (size_t r = 0; r < ROWS; r++) rows[r] = w->data + (row + (r < n ? r : 0)) * w->row_bytes;
}

/* Through memory of their own where rows are missing, since sums whose address is taken do not stay in registers. */
INLINE void store_rows(float *y, const float32x4_t v[QUADS], size_t n) {
    float whole[ROWS], *to = n >= ROWS ? y : whole;
    for (size_t i = 0; i < QUADS; i++) vst1q_f32(to + QUAD * i, v[i]);
    if (n < ROWS) memcpy(y, whole, n * sizeof *y);
}

INLINE void load_rows(const float *y, float32x4_t v[QUADS], size_t n) {
    float whole[ROWS] = {0};
    if (n < ROWS) memcpy(whole, y, n * sizeof *y);
    const float *from = n >= ROWS ? y : whole;
    for (size_t i = 0; i < QUADS; i++) v[i] = vld1q_f32(from + QUAD * i);
}

/* acc + I d s */
INLINE float32x4_t add_product(float32x4_t acc, int32x4_t product, float32x4_t d, float scale) {
    return vfmaq_f32(acc, vcvtq_f32_s32(product), vmulq_n_f32(d, scale));
}

/* acc - M dmin s */
INLINE float32x4_t subtract_minimum(float32x4_t acc, int32x4_t minimum, float32x4_t dmin, float scale) {
    return vfmsq_f32(acc, vcvtq_f32_s32(minimum), vmulq_n_f32(dmin, scale));
}
/* ---- how super-blocks come apart ------------------------------------------------------------- */

INLINE int16x8_t widen_bytes(uint64_t bytes) { return vreinterpretq_s16_u16(vmovl_u8(vcreate_u8(bytes))); }

/* The six-bit scales and minimums of Q4_K and Q5_K, four at a time in the bytes of a word. */
INLINE void unpack_six_bits(const uint8_t *s, row_block *out) {
    const uint32_t six = 0x3F3F3F3F, four = 0x0F0F0F0F, two = 0x03030303;
    uint32_t a = word(s), b = word(s + 4), c = word(s + 8);
    uint64_t scales = (a & six) | (uint64_t)((c & four) | (a >> 6 & two) << 4) << 32;
    uint64_t mins = (b & six) | (uint64_t)((c >> 4 & four) | (b >> 6 & two) << 4) << 32;
    widen_scales(widen_bytes(scales), out->scale);
    out->factor[0] = widen_bytes(mins);
    out->factor[1] = vdupq_n_s16(0);
}

/* Sixteen scales as they are, and as factors. */
INLINE void set_signed_scales(int8x16_t scales, int offset, row_block *out) {
    int16x8_t half[2] = {vmovl_s8(vget_low_s8(scales)), vmovl_high_s8(scales)};
    for (int i = 0; i < 2; i++) {
        widen_scales(half[i], out->scale + 2 * i);
        out->factor[i] = vmulq_n_s16(half[i], (int16_t)offset);
    }
}

INLINE void load_q4_k(const uint8_t *p, row_block *out) {
    unpack_six_bits(p + 4, out);
    for (int i = 0; i < 8; i++) {
        uint8x16_t v = vld1q_u8(p + 16 + 16 * i);
        int at = 4 * (i / 2) + i % 2;
        out->q[at] = vandq_u8(v, vdupq_n_u8(15));
        out->q[at + 2] = vshrq_n_u8(v, 4);
    }
}

INLINE void load_q5_k(const uint8_t *p, row_block *out) {
    const uint8x16_t five = vdupq_n_u8(31);
    unpack_six_bits(p + 4, out);
    for (int i = 0; i < 8; i++) {
        uint8x16_t v = vld1q_u8(p + 48 + 16 * i), bits = vld1q_u8(p + 16 + 16 * (i % 2)) >> (i / 2 * 2);
        int at = 4 * (i / 2) + i % 2;
        /* an inserting shift brings the fifth bit, and others that the mask takes off again, next to the four */
        out->q[at] = vandq_u8(vsliq_n_u8(v, bits, 4), five);
        out->q[at + 2] = vandq_u8(vsriq_n_u8(vshlq_n_u8(bits, 3), v, 4), five);
    }
}

INLINE void load_q6_k(const uint8_t *p, row_block *out) {
    const uint8x16_t six = vdupq_n_u8(63);
    set_signed_scales(vld1q_s8((const void *)(p + 192)), 32, out);
    for (int i = 0; i < 4; i++) {
        const uint8_t *ql = p + 64 * (i / 2) + 16 * (i % 2);
        uint8x16_t a = vld1q_u8(ql), b = vld1q_u8(ql + 32), h = vld1q_u8(p + 128 + 16 * i);
        uint8x16_t *q = out->q + 8 * (i / 2) + i % 2;
        q[0] = vandq_u8(vsliq_n_u8(a, h, 4), six);
        q[2] = vandq_u8(vsliq_n_u8(b, vshrq_n_u8(h, 2), 4), six);
        q[4] = vandq_u8(vsriq_n_u8(h, a, 4), six);
        q[6] = vandq_u8(vsriq_n_u8(vshrq_n_u8(h, 2), b, 4), six);
    }
}

INLINE void load_q2_k(const uint8_t *p, row_block *out) {
    uint8x16_t s = vld1q_u8(p), scales = vandq_u8(s, vdupq_n_u8(15)), mins = vshrq_n_u8(s, 4);
    widen_scales(vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(scales))), out->scale);
    widen_scales(vreinterpretq_s16_u16(vmovl_high_u8(scales)), out->scale + 2);
    out->factor[0] = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(mins)));
    out->factor[1] = vreinterpretq_s16_u16(vmovl_high_u8(mins));
    for (int i = 0; i < 4; i++) {
        uint8x16_t v = vld1q_u8(p + 16 + 16 * i);
        for (int s2 = 0; s2 < 4; s2++) out->q[8 * (i / 2) + 2 * s2 + i % 2] = vandq_u8(v >> (2 * s2), vdupq_n_u8(3));
    }
}

INLINE void load_q3_k(const uint8_t *p, row_block *out) {
    const uint32_t four = 0x0F0F0F0F, two = 0x03030303;
    uint32_t a = word(p + 96), b = word(p + 100), c = word(p + 104);
    uint64_t low = ((a & four) | (c & two) << 4) | (uint64_t)((b & four) | (c >> 2 & two) << 4) << 32;
    uint64_t high = ((a >> 4 & four) | (c >> 4 & two) << 4) | (uint64_t)((b >> 4 & four) | (c >> 6 & two) << 4) << 32;
    set_signed_scales(vsubq_s8(vcombine_s8(vcreate_s8(low), vcreate_s8(high)), vdupq_n_s8(32)), 4, out);
    for (int i = 0; i < 4; i++) {
        uint8x16_t v = vld1q_u8(p + 32 + 16 * i), bits = vld1q_u8(p + 16 * (i % 2)) >> (4 * (i / 2));
        for (int s = 0; s < 4; s++) {
            uint8x16_t q = vsliq_n_u8(v >> (2 * s), bits >> s, 2);
            out->q[8 * (i / 2) + 2 * s + i % 2] = vandq_u8(q, vdupq_n_u8(7));
        }
    }
}
/* ---- how blocks of 32 come apart -------------------------------------------------------------- */

INLINE void load_nibbles(const uint8_t *p, uint8x16_t q[2]) {
    uint8x16_t v = vld1q_u8(p);
    q[0] = vandq_u8(v, vdupq_n_u8(15));
    q[1] = vshrq_n_u8(v, 4);
}

/* Bit i of `bits` is the fifth bit of weight i. */
INLINE void add_fifth_bits(uint32_t bits, uint8x16_t q[2]) {
    const uint8x16_t which = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
    const uint8x16_t bytes = vcombine_u8(vdup_n_u8(0), vdup_n_u8(1)), sixteen = vdupq_n_u8(16);
    uint8x16_t all = vreinterpretq_u8_u32(vdupq_n_u32(bits));
    uint8x16_t low = vqtbl1q_u8(all, bytes), high = vqtbl1q_u8(all, vaddq_u8(bytes, vdupq_n_u8(2)));
    q[0] = vorrq_u8(q[0], vandq_u8(vtstq_u8(low, which), sixteen));
    q[1] = vorrq_u8(q[1], vandq_u8(vtstq_u8(high, which), sixteen));
}

INLINE void load_q4_0(const uint8_t *p, uint8x16_t q[2]) { load_nibbles(p + 2, q); }
INLINE void load_q4_1(const uint8_t *p, uint8x16_t q[2]) { load_nibbles(p + 4, q); }

INLINE void load_q5_0(const uint8_t *p, uint8x16_t q[2]) {
    load_nibbles(p + 6, q);
    add_fifth_bits(word(p + 2), q);
}

INLINE void load_q5_1(const uint8_t *p, uint8x16_t q[2]) {
    load_nibbles(p + 8, q);
    add_fifth_bits(word(p + 4), q);
}

/* Signed in the file. */
INLINE void load_q8_0(const uint8_t *p, uint8x16_t q[2]) {
    q[0] = vld1q_u8(p + 2);
    q[1] = vld1q_u8(p + 18);
}

/* acc + I d s + m s sum: a block of 32 has one minimum, and the file's m is its negative. */
INLINE float32x4_t chain_32(float32x4_t acc, int32x4_t product, float32x4_t d, float32x4_t m, float scale, int sum,
                            bool has_min) {
    acc = add_product(acc, product, d, scale);
    return has_min ? vfmaq_n_f32(acc, vmulq_n_f32(m, scale), (float)sum) : acc;
}

INLINE int sum_32(const int16_t *sum) { return sum[0] + sum[1]; }

/* ---- panels ---------------------------------------------------------------------------------- */

/* PANEL inputs of ROWS rows, taken apart. Weights and minimums, signed bytes, stand as put_rows has them. */
typedef struct {
    int32_t q[PANEL / 4][ROWS];
    int32_t scale[PANEL / 16][ROWS];
    int32_t min[PANEL / 64][ROWS];     /* of four sub-blocks each; four of these a super-block */
    float d[PANEL / 16][ROWS];         /* of blocks, or of parts of 16 */
    float min_scale[PANEL / 32][ROWS]; /* dmin of super-blocks, m of blocks of 32 */
} panel;

/* Each tier's own: sixteen bytes of each of four rows, from first_row on, where its tiles want them, in four rows of
 * the panel. */
INLINE void put_rows(const int32x4_t v[QUAD], int32_t (*to)[ROWS], size_t first_row);
/* And the order of a tile's sums: between that of rows, acc[token][row / QUAD], and its own, either way. */
INLINE void turn(float32x4_t acc[TILE][QUADS], size_t n);

/* Lane i of the four rows v to rows of the panel: to[i]. */
INLINE void store_columns(const int32x4_t v[QUAD], int32_t (*to)[ROWS], size_t first_row) {
    int64x2_t a = vreinterpretq_s64_s32(vtrn1q_s32(v[0], v[1])), b = vreinterpretq_s64_s32(vtrn2q_s32(v[0], v[1]));
    int64x2_t c = vreinterpretq_s64_s32(vtrn1q_s32(v[2], v[3])), d = vreinterpretq_s64_s32(vtrn2q_s32(v[2], v[3]));
    vst1q_s32(to[0] + first_row, vreinterpretq_s32_s64(vtrn1q_s64(a, c)));
    vst1q_s32(to[1] + first_row, vreinterpretq_s32_s64(vtrn1q_s64(b, d)));
    vst1q_s32(to[2] + first_row, vreinterpretq_s32_s64(vtrn2q_s64(a, c)));
    vst1q_s32(to[3] + first_row, vreinterpretq_s32_s64(vtrn2q_s64(b, d)));
}

INLINE int32x4_t without_offset(uint8x16_t q, int offset) {
    return vreinterpretq_s32_u8(vsubq_u8(q, vdupq_n_u8((uint8_t)offset)));
}

/* The block at `begin` of four rows, as block `at` of the panel. */
INLINE void fill_256(panel *p, const uint8_t *const row[QUAD], size_t begin, size_t at, size_t first_row,
                     load_256_fn *load, const shape *type) {
    row_block block[QUAD];
    int32x4_t v[QUAD];
    for (size_t r = 0; r < QUAD; r++) load(row[r] + begin, &block[r]);
    for (size_t i = 0; i < 16; i++) {
        for (size_t r = 0; r < QUAD; r++) v[r] = without_offset(block[r].q[i], type->offset);
        put_rows(v, p->q + 64 * at + 4 * i, first_row);
    }
    size_t n_subs = 256 / type->sub;
    for (size_t i = 0; i < n_subs / 4; i++) {
        for (size_t r = 0; r < QUAD; r++) v[r] = block[r].scale[i];
        store_columns(v, p->scale + n_subs * at + 4 * i, first_row);
    }
    vst1q_f32(p->d[at] + first_row, d_of(row, begin + type->at_d, type));
    if (!type->has_min) return;
    for (size_t r = 0; r < QUAD; r++) {
        const int16x8_t *f = block[r].factor;
        v[r] = vreinterpretq_s32_s8(vmovn_high_s16(vmovn_s16(f[0]), f[1]));
    }
    put_rows(v, p->min + 4 * at, first_row);
    vst1q_f32(p->min_scale[at] + first_row, halves(row, begin + type->at_min));
}

INLINE void fill_32(panel *p, const uint8_t *const row[QUAD], size_t begin, size_t at, size_t first_row,
                    load_32_fn *load, const shape *type) {
    uint8x16_t q[QUAD][2];
    for (size_t r = 0; r < QUAD; r++) load(row[r] + begin, q[r]);
    for (size_t i = 0; i < 2; i++) {
        int32x4_t v[QUAD];
        for (size_t r = 0; r < QUAD; r++) v[r] = without_offset(q[r][i], type->offset);
        put_rows(v, p->q + 8 * at + 4 * i, first_row);
    }
    vst1q_f32(p->d[at] + first_row, d_of(row, begin + type->at_d, type));
    if (type->has_min) vst1q_f32(p->min_scale[at] + first_row, halves(row, begin + type->at_min));
}

/* Half a block of 64: its first where `at` is even, since panels begin with whole ones. */
INLINE void fill_16(panel *p, const uint8_t *const row[QUAD], size_t begin, size_t at, size_t first_row,
                    load_parts_fn *load, const shape *type) {
    size_t block = begin - at % 2 * type->bytes;
    for (size_t i = 0; i < 2; i++) {
        size_t part = at % 2 * 2 + i;
        int32x4_t v[QUAD];
        for (size_t r = 0; r < QUAD; r++) v[r] = vreinterpretq_s32_u8(load(row[r] + block, part));
        put_rows(v, p->q + 8 * at + 4 * i, first_row);
        vst1q_f32(p->d[2 * at + i] + first_row, d_of(row, block + part, type));
    }
}
INLINE int8x16_t bytes_at(const int32_t *p) { return vreinterpretq_s8_s32(vld1q_s32(p)); }

INLINE void clear(int32x4_t acc[TILE][QUADS], size_t n) {
    for (size_t t = 0; t < n; t++) acc[t][0] = acc[t][1] = vdupq_n_s32(0);
}
/* The sums of one token's sub-blocks as 128 high + low, so that bytes hold both. */
INLINE void split_sums(const int16_t *sum, size_t sub, int8x16_t *high, int8x16_t *low) {
    int16x8_t a = vld1q_s16(sum), b = vld1q_s16(sum + 8);
    if (sub == 32) a = b = vpaddq_s16(a, b);
    *high = vshrn_high_n_s16(vshrn_n_s16(a, 7), b, 7);
    *low = vandq_s8(vmovn_high_s16(vmovn_s16(a), b), vdupq_n_s8(127));
}

typedef void tile_fn(const panel *p, size_t at, const int8_t *q, const int16_t *sum, const float *scale, size_t n,
                     float32x4_t acc[TILE][QUADS], const shape *type);

/* Blocks [first, first + n_blocks), which the panel holds, against tokens [t0, t0 + n): y is read and written. */
INLINE void tile(const panel *p, const activations *a, size_t n_tok, size_t first, size_t n_blocks, size_t t0, size_t n,
                 float *y, size_t y_stride, size_t rows, tile_fn *tile_block, size_t block, const shape *type) {
    float32x4_t acc[TILE][QUADS];
    for (size_t t = 0; t < TILE; t++) acc[t][0] = acc[t][1] = vdupq_n_f32(0);
    for (size_t t = 0; t < n && first > 0; t++) load_rows(y + (t0 + t) * y_stride, acc[t], rows);
    turn(acc, n);
    for (size_t b = 0; b < n_blocks; b++) {
        size_t at = (first + b) * n_tok + t0;
        tile_block(p, b, a->q + at * block, a->sum + at * (block / ACTIVATION_SUB), a->scale + at, n, acc, type);
    }
    turn(acc, n);
    for (size_t t = 0; t < n; t++) store_rows(y + (t0 + t) * y_stride, acc[t], rows);
}
/* Blocks [first, first + n) of eight rows, as the first n of the panel. */
typedef void fill_fn(panel *p, const uint8_t *const rows[ROWS], size_t first, size_t n);

INLINE void prompt(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end, float *y,
                   size_t y_stride, fill_fn *fill, tile_fn *tile_block, size_t block, const shape *type) {
    size_t n_blocks = w->n_in / block, per_panel = PANEL / block;
    panel p;
    for (size_t row = row_begin; row < row_end; row += ROWS) {
        size_t n_rows = row_end - row < ROWS ? row_end - row : ROWS;
        const uint8_t *rows[ROWS];
        find_rows(w, row, n_rows, rows);
        for (size_t first = 0; first < n_blocks; first += per_panel) {
            size_t n = n_blocks - first < per_panel ? n_blocks - first : per_panel, t = 0;
            fill(&p, rows, first, n);
            for (; t + TILE <= n_tok; t += TILE) {
                tile(&p, a, n_tok, first, n, t, TILE, y + row, y_stride, n_rows, tile_block, block, type);
            }
            for (; t < n_tok; t++) {
                tile(&p, a, n_tok, first, n, t, 1, y + row, y_stride, n_rows, tile_block, block, type);
            }
        }
    }
}

/* Prompts of types that multiply alike, made of the tier's own tile_256, tile_32 and tile_16: what a shape says but for
 * how weights come apart. */
#define PROMPT(name, size, ...)                                                                                        \
    static void name(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end, float *y,  \
                     size_t y_stride, fill_fn *fill) {                                                                 \
        static const shape kind = {__VA_ARGS__};                                                                       \
        prompt(w, a, n_tok, row_begin, row_end, y, y_stride, fill, tile_##size, BLOCK_##size, &kind);                  \
    }

#define PROMPTS                                                                                                        \
    PROMPT(prompt_32, 32)                                                                                              \
    PROMPT(prompt_32_min, 32, .has_min = true)                                                                         \
    PROMPT(prompt_parts, 16)                                                                                           \
    PROMPT(prompt_subs_16, 256, .sub = 16)                                                                             \
    PROMPT(prompt_subs_16_min, 256, .sub = 16, .has_min = true)                                                        \
    PROMPT(prompt_subs_32, 256, .sub = 32)                                                                             \
    PROMPT(prompt_subs_32_min, 256, .sub = 32, .has_min = true)

/* ---- types ----------------------------------------------------------------------------------- */

/* SLOT(type, blocks of how many under one d, how its prompts multiply, the fields of its shape) of each. */
#define SLOTS                                                                                                          \
    SLOT(q4_0, 32, prompt_32, .bytes = 18, .offset = 8)                                                                \
    SLOT(q4_1, 32, prompt_32_min, .bytes = 20, .at_min = 2, .has_min = true)                                           \
    SLOT(q5_0, 32, prompt_32, .bytes = 22, .offset = 16)                                                               \
    SLOT(q5_1, 32, prompt_32_min, .bytes = 24, .at_min = 2, .has_min = true)                                           \
    SLOT(q8_0, 32, prompt_32, .bytes = 34)                                                                             \
    SLOT(q2_k, 256, prompt_subs_16_min, .bytes = 84, .sub = 16, .at_d = 80, .at_min = 82, .has_min = true)             \
    SLOT(q3_k, 256, prompt_subs_16, .bytes = 110, .sub = 16, .at_d = 108, .offset = 4)                                 \
    SLOT(q4_k, 256, prompt_subs_32_min, .bytes = 144, .sub = 32, .at_min = 2, .has_min = true)                         \
    SLOT(q5_k, 256, prompt_subs_32_min, .bytes = 176, .sub = 32, .at_min = 2, .has_min = true)                         \
    SLOT(q6_k, 256, prompt_subs_16, .bytes = 210, .sub = 16, .at_d = 208, .offset = 32)                                \
    SLOT(iq4_nl, 32, prompt_32, .bytes = 18)                                                                           \
    SLOT(mxfp4, 32, prompt_32, .bytes = 17, .d = e8m0_halves)                                                          \
    SLOT(nvfp4, 16, prompt_parts, .bytes = 18, .d = ue4m3_halves) /* half a block */                                   \
    SLOT(iq1_s, 256, prompt_subs_32, .bytes = 50, .sub = 32, .d = halves_8th)                                          \
    SLOT(iq1_m, 256, prompt_subs_16, .bytes = 56, .sub = 16, .at_d = 48, .d = iq1_m_d)                                 \
    SLOT(iq2_xxs, 256, prompt_subs_32, .bytes = 66, .sub = 32, .d = halves_8th)                                        \
    SLOT(iq2_xs, 256, prompt_subs_16, .bytes = 74, .sub = 16, .d = halves_8th)                                         \
    SLOT(iq2_s, 256, prompt_subs_16, .bytes = 82, .sub = 16, .d = halves_8th)                                          \
    SLOT(iq3_xxs, 256, prompt_subs_32, .bytes = 98, .sub = 32, .d = halves_4th)                                        \
    SLOT(iq3_s, 256, prompt_subs_32, .bytes = 110, .sub = 32)                                                          \
    SLOT(iq4_xs, 256, prompt_subs_32, .bytes = 136, .sub = 32)                                                         \
    SLOT(tq1_0, 256, prompt_subs_32, .bytes = 54, .sub = 32, .at_d = 52)                                               \
    SLOT(tq2_0, 256, prompt_subs_32, .bytes = 66, .sub = 32, .at_d = 64)

/* The table of what `of` makes of each type's name. */
#define SLOT_TABLE(of)                                                                                                 \
    [QUANT_Q4_0] = of(q4_0), [QUANT_Q4_1] = of(q4_1), [QUANT_Q5_0] = of(q5_0), [QUANT_Q5_1] = of(q5_1),                \
    [QUANT_Q8_0] = of(q8_0), [QUANT_Q2_K] = of(q2_k), [QUANT_Q3_K] = of(q3_k), [QUANT_Q4_K] = of(q4_k),                \
    [QUANT_Q5_K] = of(q5_k), [QUANT_Q6_K] = of(q6_k), [QUANT_IQ1_S] = of(iq1_s), [QUANT_IQ1_M] = of(iq1_m),            \
    [QUANT_IQ2_XXS] = of(iq2_xxs), [QUANT_IQ2_XS] = of(iq2_xs), [QUANT_IQ2_S] = of(iq2_s),                             \
    [QUANT_IQ3_XXS] = of(iq3_xxs), [QUANT_IQ3_S] = of(iq3_s), [QUANT_IQ4_NL] = of(iq4_nl),                             \
    [QUANT_IQ4_XS] = of(iq4_xs), [QUANT_TQ1_0] = of(tq1_0), [QUANT_TQ2_0] = of(tq2_0), [QUANT_MXFP4] = of(mxfp4),      \
    [QUANT_NVFP4] = of(nvfp4)

/* A type's shape, and how its panels are filled. */
#define FILLING(type, size, ...)                                                                                       \
    static const shape type##_shape = {__VA_ARGS__};                                                                   \
    static void type##_fill(panel *p, const uint8_t *const rows[ROWS], size_t first, size_t n) {                       \
        const shape *s = &type##_shape;                                                                                \
        for (size_t r = 0; r < ROWS; r += QUAD) {                                                                      \
            for (size_t b = 0; b < n; b++) fill_##size(p, rows + r, (first + b) * s->bytes, b, r, load_##type, s);     \
        }                                                                                                              \
    }

/* Many tokens go with matrices of 2 x 8 bytes, others as on NEON (neon_i8mm.c). */
matmul_fn i8mm_matmul;

#endif
