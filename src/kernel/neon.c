/*
 * AArch64: NEON with dot products (sdot). Two shapes of product:
 *
 *  - A step of a few tokens, in the file's own layout: eight rows at once. A row's block is unpacked into registers and
 *    meets the block of every token; the integer sums of four rows are reduced together, so that each row's float chain
 *    runs in a lane of its own.
 *  - A prompt: eight rows' weights are unpacked once into a panel of bytes [K / 4][8 rows][4], which stays in L1 while
 *    all tokens pass; a tile of TILE tokens keeps its sums in registers.
 *
 * Sdot takes signed bytes. A step leaves the weights unsigned, which they can be up to 127, and takes their offset off
 * through the sums of activations, exactly as minimums; a panel holds them with the offset subtracted.
 */
#include "kernel/neon.h"
#include "kernel/neon_iq.h"

enum { QUADS = ROWS / QUAD, MAX_STEP = 12, TILE = 4, PANEL = 1024 };

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

/* ---- a few tokens: super-blocks of 256 ------------------------------------------------------- */

/* Lane i of the result is the sum over the i-th of four sub-blocks. */
INLINE int32x4_t dot_subs(const uint8x16_t *q, const int8_t *a, size_t sub) {
    int32x4_t v[4];
    for (size_t s = 0; s < 4; s++) {
        v[s] = vdupq_n_s32(0);
        for (size_t i = 0; i < sub / 16; i++) {
            size_t at = s * (sub / 16) + i;
            v[s] = vdotq_s32(v[s], vreinterpretq_s8_u8(q[at]), vld1q_s8(a + 16 * at));
        }
    }
    return sum_four(v);
}

/* The integer sums of one row's block with one token's, spread over lanes; *minimum likewise. */
INLINE int32x4_t block_product(const row_block *w, const int8_t *a, const int16_t *sum, const shape *type,
                               int32x4_t *minimum) {
    int16x8_t sums[2] = {vld1q_s16(sum), vld1q_s16(sum + 8)};
    if (type->sub == 32) sums[0] = vpaddq_s16(sums[0], sums[1]);
    int32x4_t other = vdupq_n_s32(0), p = vdupq_n_s32(0);
    for (size_t i = 0; i < 32 / type->sub && (type->has_min || type->offset); i++) {
        other = vmlal_s16(other, vget_low_s16(w->factor[i]), vget_low_s16(sums[i]));
        other = vmlal_high_s16(other, w->factor[i], sums[i]);
    }
    for (size_t i = 0; i < 64 / type->sub; i++) {
        p = vmlaq_s32(p, dot_subs(w->q + i * type->sub / 4, a + 4 * i * type->sub, type->sub), w->scale[i]);
    }
    if (!type->has_min) return vsubq_s32(p, other);
    *minimum = other;
    return p;
}

/* n_tok (at most MAX_STEP) tokens against rows [row, row + ROWS), of which n exist. */
INLINE void step_256(const matrix *w, const activations *a, size_t n_tok, size_t row, size_t n, bool more, float *y,
                     size_t y_stride, load_256_fn *load, const shape *type) {
    float32x4_t acc[MAX_STEP][QUADS];
    const uint8_t *rows[ROWS];
    size_t n_blocks = w->n_in / 256;
    find_rows(w, row, n, rows);
    for (size_t t = 0; t < n_tok; t++) acc[t][0] = acc[t][1] = vdupq_n_f32(0);
    for (size_t b = 0; b < n_blocks; b++) {
        for (size_t i = 0; i < QUADS; i++) {
            int32x4_t product[MAX_STEP][QUAD], minimum[MAX_STEP][QUAD];
            const uint8_t *const *quad = rows + QUAD * i;
            size_t begin = b * type->bytes;
            for (size_t r = 0; r < QUAD; r++) {
                if (more) { /* the same block of the next eight rows */
                    const uint8_t *next = quad[r] + ROWS * w->row_bytes + begin;
                    for (size_t line = 0; line < type->bytes; line += 64) __builtin_prefetch(next + line);
                }
                row_block block;
                load(quad[r] + begin, &block);
                for (size_t t = 0; t < n_tok; t++) {
                    size_t at = b * n_tok + t;
                    product[t][r] = block_product(&block, a->q + at * 256, a->sum + at * 16, type, &minimum[t][r]);
                }
            }
            float32x4_t d = d_of(quad, begin + type->at_d, type), dmin = halves(quad, begin + type->at_min);
            for (size_t t = 0; t < n_tok; t++) {
                float scale = a->scale[b * n_tok + t];
                acc[t][i] = add_product(acc[t][i], sum_four(product[t]), d, scale);
                if (type->has_min) acc[t][i] = subtract_minimum(acc[t][i], sum_four(minimum[t]), dmin, scale);
            }
        }
    }
    for (size_t t = 0; t < n_tok; t++) store_rows(y + t * y_stride + row, acc[t], n);
}

/* ---- a few tokens: blocks of 32 -------------------------------------------------------------- */

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

INLINE void step_32(const matrix *w, const activations *a, size_t n_tok, size_t row, size_t n, bool more, float *y,
                    size_t y_stride, load_32_fn *load, const shape *type) {
    float32x4_t acc[MAX_STEP][QUADS];
    const uint8_t *rows[ROWS];
    size_t n_blocks = w->n_in / 32;
    find_rows(w, row, n, rows);
    for (size_t t = 0; t < n_tok; t++) acc[t][0] = acc[t][1] = vdupq_n_f32(0);
    for (size_t b = 0; b < n_blocks; b++) {
        for (size_t i = 0; i < QUADS; i++) {
            int32x4_t product[MAX_STEP][QUAD];
            const uint8_t *const *quad = rows + QUAD * i;
            size_t begin = b * type->bytes;
            for (size_t r = 0; r < QUAD; r++) {
                if (more) __builtin_prefetch(quad[r] + ROWS * w->row_bytes + begin);
                uint8x16_t q[2];
                load(quad[r] + begin, q);
                for (size_t t = 0; t < n_tok; t++) {
                    const int8_t *x = a->q + (b * n_tok + t) * 32;
                    int32x4_t p = vdotq_s32(vdupq_n_s32(0), vreinterpretq_s8_u8(q[0]), vld1q_s8(x));
                    product[t][r] = vdotq_s32(p, vreinterpretq_s8_u8(q[1]), vld1q_s8(x + 16));
                }
            }
            float32x4_t d = d_of(quad, begin + type->at_d, type), m = halves(quad, begin + type->at_min);
            for (size_t t = 0; t < n_tok; t++) {
                size_t at = b * n_tok + t;
                int sum = sum_32(a->sum + 2 * at);
                int32x4_t p = vsubq_s32(sum_four(product[t]), vdupq_n_s32(type->offset * sum));
                acc[t][i] = chain_32(acc[t][i], p, d, m, a->scale[at], sum, type->has_min);
            }
        }
    }
    for (size_t t = 0; t < n_tok; t++) store_rows(y + t * y_stride + row, acc[t], n);
}

/* ---- a few tokens: NVFP4 --------------------------------------------------------------------- */

/* Blocks of 64, which meet two blocks of activations; each part of 16 has a d of its own. */
INLINE void step_16(const matrix *w, const activations *a, size_t n_tok, size_t row, size_t n, bool more, float *y,
                    size_t y_stride, load_parts_fn *load, const shape *type) {
    float32x4_t acc[MAX_STEP][QUADS];
    const uint8_t *rows[ROWS];
    find_rows(w, row, n, rows);
    for (size_t t = 0; t < n_tok; t++) acc[t][0] = acc[t][1] = vdupq_n_f32(0);
    for (size_t b = 0; b < w->n_in / 64; b++) {
        for (size_t i = 0; i < QUADS; i++) {
            int32x4_t product[MAX_STEP][4][QUAD];
            const uint8_t *const *quad = rows + QUAD * i;
            size_t begin = 2 * b * type->bytes;
            for (size_t r = 0; r < QUAD; r++) {
                if (more) __builtin_prefetch(quad[r] + ROWS * w->row_bytes + begin);
                for (size_t part = 0; part < 4; part++) {
                    int8x16_t q = vreinterpretq_s8_u8(load(quad[r] + begin, part));
                    for (size_t t = 0; t < n_tok; t++) {
                        const int8_t *x = a->q + ((2 * b + part / 2) * n_tok + t) * 32 + part % 2 * 16;
                        product[t][part][r] = vdotq_s32(vdupq_n_s32(0), q, vld1q_s8(x));
                    }
                }
            }
            for (size_t part = 0; part < 4; part++) {
                float32x4_t d = d_of(quad, begin + part, type);
                for (size_t t = 0; t < n_tok; t++) {
                    float scale = a->scale[(2 * b + part / 2) * n_tok + t];
                    acc[t][i] = add_product(acc[t][i], sum_four(product[t][part]), d, scale);
                }
            }
        }
    }
    for (size_t t = 0; t < n_tok; t++) store_rows(y + t * y_stride + row, acc[t], n);
}

/* ---- prompts --------------------------------------------------------------------------------- */

/* PANEL inputs of ROWS rows, taken apart. */
typedef struct {
    int32_t q[PANEL / 4][ROWS]; /* four weights each, signed */
    int32_t scale[PANEL / 16][ROWS];
    int32_t min[PANEL / 64][ROWS];     /* of four sub-blocks each; four of these a super-block */
    float d[PANEL / 16][ROWS];         /* of blocks, or of parts of 16 */
    float min_scale[PANEL / 32][ROWS]; /* dmin of super-blocks, m of blocks of 32 */
} panel;

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
        store_columns(v, p->q + 64 * at + 4 * i, first_row);
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
    store_columns(v, p->min + 4 * at, first_row);
    vst1q_f32(p->min_scale[at] + first_row, halves(row, begin + type->at_min));
}

INLINE void fill_32(panel *p, const uint8_t *const row[QUAD], size_t begin, size_t at, size_t first_row,
                    load_32_fn *load, const shape *type) {
    uint8x16_t q[QUAD][2];
    for (size_t r = 0; r < QUAD; r++) load(row[r] + begin, q[r]);
    for (size_t i = 0; i < 2; i++) {
        int32x4_t v[QUAD];
        for (size_t r = 0; r < QUAD; r++) v[r] = without_offset(q[r][i], type->offset);
        store_columns(v, p->q + 8 * at + 4 * i, first_row);
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
        store_columns(v, p->q + 8 * at + 4 * i, first_row);
        vst1q_f32(p->d[2 * at + i] + first_row, d_of(row, block + part, type));
    }
}

INLINE int8x16_t bytes_at(const int32_t *p) { return vreinterpretq_s8_s32(vld1q_s32(p)); }

/* Four rows, w[0], w[1], ..., with four inputs each, against as many inputs of one token: n is 8 or 16. */
INLINE int32x4_t dot_inputs(int32x4_t acc, const int8x16_t w[4], int8x16_t a, size_t n) {
    acc = vdotq_laneq_s32(acc, w[0], a, 0);
    acc = vdotq_laneq_s32(acc, w[1], a, 1);
    if (n == 8) return acc;
    acc = vdotq_laneq_s32(acc, w[2], a, 2);
    return vdotq_laneq_s32(acc, w[3], a, 3);
}

/* Sixteen inputs of all rows against n tokens, which follow each other at `stride` bytes. */
INLINE void tile_inputs(const int32_t (*w)[ROWS], const int8_t *q, size_t stride, size_t n,
                        int32x4_t acc[TILE][QUADS]) {
    int8x16_t a[TILE];
    for (size_t t = 0; t < n; t++) a[t] = vld1q_s8(q + t * stride);
    for (size_t i = 0; i < QUADS; i++) {
        const int8x16_t v[4] = {bytes_at(w[0] + QUAD * i), bytes_at(w[1] + QUAD * i), bytes_at(w[2] + QUAD * i),
                                bytes_at(w[3] + QUAD * i)};
        for (size_t t = 0; t < n; t++) acc[t][i] = dot_inputs(acc[t][i], v, a[t], 16);
    }
}

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

/* One block of all rows against n tokens: adds to acc its product and minimum. Constant where inlined: n and type. */
INLINE void tile_256(const panel *p, size_t at, const int8_t *q, const int16_t *sum, const float *scale, size_t n,
                     float32x4_t acc[TILE][QUADS], const shape *type) {
    int32x4_t total[TILE][QUADS], part[TILE][QUADS];
    size_t sub = type->sub, n_subs = 256 / sub;
    clear(total, n);
    for (size_t s = 0; s < n_subs; s++) {
        clear(part, n);
        for (size_t k = 0; k < sub; k += 16) {
            size_t first = s * sub + k;
            tile_inputs(p->q + 64 * at + first / 4, q + first, 256, n, part);
        }
        for (size_t i = 0; i < QUADS; i++) {
            int32x4_t v = vld1q_s32(p->scale[n_subs * at + s] + QUAD * i);
            for (size_t t = 0; t < n; t++) total[t][i] = vmlaq_s32(total[t][i], part[t][i], v);
        }
    }
    for (size_t i = 0; i < QUADS; i++) {
        float32x4_t d = vld1q_f32(p->d[at] + QUAD * i);
        for (size_t t = 0; t < n; t++) acc[t][i] = add_product(acc[t][i], total[t][i], d, scale[t]);
    }
    if (!type->has_min) return;
    for (size_t i = 0; i < QUADS; i++) {
        float32x4_t dmin = vld1q_f32(p->min_scale[at] + QUAD * i);
        int8x16_t m[4];
        for (size_t j = 0; j < n_subs / 4; j++) m[j] = bytes_at(p->min[4 * at + j] + QUAD * i);
        for (size_t t = 0; t < n; t++) {
            int8x16_t high, low;
            split_sums(sum + 16 * t, sub, &high, &low);
            int32x4_t minimum = vshlq_n_s32(dot_inputs(vdupq_n_s32(0), m, high, n_subs), 7);
            acc[t][i] = subtract_minimum(acc[t][i], dot_inputs(minimum, m, low, n_subs), dmin, scale[t]);
        }
    }
}

INLINE void tile_32(const panel *p, size_t at, const int8_t *q, const int16_t *sum, const float *scale, size_t n,
                    float32x4_t acc[TILE][QUADS], const shape *type) {
    int32x4_t total[TILE][QUADS];
    clear(total, n);
    for (size_t k = 0; k < 32; k += 16) tile_inputs(p->q + 8 * at + k / 4, q + k, 32, n, total);
    for (size_t i = 0; i < QUADS; i++) {
        float32x4_t d = vld1q_f32(p->d[at] + QUAD * i), m = vld1q_f32(p->min_scale[at] + QUAD * i);
        for (size_t t = 0; t < n; t++) {
            acc[t][i] = chain_32(acc[t][i], total[t][i], d, m, scale[t], sum_32(sum + 2 * t), type->has_min);
        }
    }
}

INLINE void tile_16(const panel *p, size_t at, const int8_t *q, const int16_t *sum, const float *scale, size_t n,
                    float32x4_t acc[TILE][QUADS], const shape *type) {
    (void)sum, (void)type;
    for (size_t part = 0; part < 2; part++) {
        int32x4_t total[TILE][QUADS];
        clear(total, n);
        tile_inputs(p->q + 8 * at + 4 * part, q + 16 * part, 32, n, total);
        for (size_t i = 0; i < QUADS; i++) {
            float32x4_t d = vld1q_f32(p->d[2 * at + part] + QUAD * i);
            for (size_t t = 0; t < n; t++) acc[t][i] = add_product(acc[t][i], total[t][i], d, scale[t]);
        }
    }
}

typedef void tile_fn(const panel *p, size_t at, const int8_t *q, const int16_t *sum, const float *scale, size_t n,
                     float32x4_t acc[TILE][QUADS], const shape *type);

/* Blocks [first, first + n_blocks), which the panel holds, against tokens [t0, t0 + n): y is read and written. */
INLINE void tile(const panel *p, const activations *a, size_t n_tok, size_t first, size_t n_blocks, size_t t0, size_t n,
                 float *y, size_t y_stride, size_t rows, tile_fn *tile_block, size_t block, const shape *type) {
    float32x4_t acc[TILE][QUADS];
    for (size_t t = 0; t < n; t++) {
        if (first == 0) {
            acc[t][0] = acc[t][1] = vdupq_n_f32(0);
        } else {
            load_rows(y + (t0 + t) * y_stride, acc[t], rows);
        }
    }
    for (size_t b = 0; b < n_blocks; b++) {
        size_t at = (first + b) * n_tok + t0;
        tile_block(p, b, a->q + at * block, a->sum + at * (block / ACTIVATION_SUB), a->scale + at, n, acc, type);
    }
    for (size_t t = 0; t < n; t++) store_rows(y + (t0 + t) * y_stride, acc[t], rows);
}

typedef void fill_fn(panel *p, const uint8_t *const row[QUAD], size_t begin, size_t at, size_t first_row);

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
            for (size_t r = 0; r < ROWS; r += QUAD) {
                for (size_t b = 0; b < n; b++) fill(&p, rows + r, (first + b) * type->bytes, b, r);
            }
            for (; t + TILE <= n_tok; t += TILE) {
                tile(&p, a, n_tok, first, n, t, TILE, y + row, y_stride, n_rows, tile_block, block, type);
            }
            for (; t < n_tok; t++) {
                tile(&p, a, n_tok, first, n, t, 1, y + row, y_stride, n_rows, tile_block, block, type);
            }
        }
    }
}

/* ---- plain numbers --------------------------------------------------------------------------- */

enum { PLAIN_ROWS = 4, PLAIN_TOKENS = 2, PAIR = 2 };

/* The sixteen lanes. */
typedef struct {
    float32x4_t v[4];
} lanes;

typedef lanes load_plain_fn(const uint8_t *p);

INLINE float32x4_t bits_f32(const uint8_t *p) { return vreinterpretq_f32_u8(vld1q_u8(p)); }

INLINE lanes load_f32(const uint8_t *p) {
    return (lanes){{bits_f32(p), bits_f32(p + 16), bits_f32(p + 32), bits_f32(p + 48)}};
}

INLINE lanes load_f16(const uint8_t *p) {
    float16x8_t a = vreinterpretq_f16_u8(vld1q_u8(p)), b = vreinterpretq_f16_u8(vld1q_u8(p + 16));
    return (lanes){
        {vcvt_f32_f16(vget_low_f16(a)), vcvt_high_f32_f16(a), vcvt_f32_f16(vget_low_f16(b)), vcvt_high_f32_f16(b)}};
}

/* The upper halves of float32. */
INLINE lanes load_bf16(const uint8_t *p) {
    uint16x8_t a = vreinterpretq_u16_u8(vld1q_u8(p)), b = vreinterpretq_u16_u8(vld1q_u8(p + 16));
    return (lanes){
        {vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(a), 16)), vreinterpretq_f32_u32(vshll_high_n_u16(a, 16)),
         vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(b), 16)), vreinterpretq_f32_u32(vshll_high_n_u16(b, 16))}};
}

/* acc += a b */
INLINE void add_lanes(lanes *acc, const lanes *a, const lanes *b) {
    acc->v[0] = vfmaq_f32(acc->v[0], a->v[0], b->v[0]);
    acc->v[1] = vfmaq_f32(acc->v[1], a->v[1], b->v[1]);
    acc->v[2] = vfmaq_f32(acc->v[2], a->v[2], b->v[2]);
    acc->v[3] = vfmaq_f32(acc->v[3], a->v[3], b->v[3]);
}

INLINE void store_lanes(const lanes *acc, float lane[LANES]) {
    vst1q_f32(lane, acc->v[0]);
    vst1q_f32(lane + 4, acc->v[1]);
    vst1q_f32(lane + 8, acc->v[2]);
    vst1q_f32(lane + 12, acc->v[3]);
}

/* The sum over the lanes of a row that ends with n more weights: the lanes past its end are left as they are. */
static float finish_row(const matrix *w, const uint8_t *p, const float *x, size_t n, float lane[LANES]) {
    float rest[LANES];
    quant_types[w->type].load(p, n, rest);
    dot_lanes(rest, x, n, lane);
    return sum_lanes(lane);
}

/* n_rows x n_tok sums side by side. */
INLINE void plain_tile(const matrix *w, const float *x, size_t n_tok, size_t n_rows, size_t row, float *y,
                       size_t y_stride, load_plain_fn *load, size_t bytes) {
    lanes acc[PLAIN_TOKENS][PLAIN_ROWS];
    float lane[PLAIN_TOKENS][PLAIN_ROWS][LANES];
    const uint8_t *data = w->data + row * w->row_bytes;
    size_t rest = w->n_in % LANES, whole = w->n_in - rest;
    for (size_t t = 0; t < n_tok; t++) {
        for (size_t r = 0; r < n_rows; r++) acc[t][r] = (lanes){{vdupq_n_f32(0)}};
    }
    for (size_t k = 0; k < whole; k += LANES) {
        lanes a[PLAIN_TOKENS];
        for (size_t t = 0; t < n_tok; t++) a[t] = load_f32((const void *)(x + t * w->n_in + k));
        for (size_t r = 0; r < n_rows; r++) {
            lanes v = load(data + r * w->row_bytes + k * bytes);
            for (size_t t = 0; t < n_tok; t++) add_lanes(&acc[t][r], &v, &a[t]);
        }
    }
    for (size_t t = 0; t < n_tok; t++) {
        for (size_t r = 0; r < n_rows; r++) store_lanes(&acc[t][r], lane[t][r]);
    }
    for (size_t t = 0; t < n_tok; t++) {
        for (size_t r = 0; r < n_rows; r++) {
            const uint8_t *end = data + r * w->row_bytes + whole * bytes;
            y[t * y_stride + row + r] = finish_row(w, end, x + t * w->n_in + whole, rest, lane[t][r]);
        }
    }
}

/* Two tokens at once meet two rows, since more sums do not fit the registers; a single one meets four. */
INLINE void plain_rows(const matrix *w, const activations *a, size_t n_tok, size_t n_rows, size_t row, float *y,
                       size_t y_stride, load_plain_fn *load, size_t bytes) {
    size_t t = 0, pair = n_rows < PAIR ? n_rows : PAIR;
    for (; t + PLAIN_TOKENS <= n_tok; t += PLAIN_TOKENS) {
        for (size_t r = 0; r < n_rows; r += pair) {
            plain_tile(w, a->x + t * w->n_in, PLAIN_TOKENS, pair, row + r, y + t * y_stride, y_stride, load, bytes);
        }
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

enum { BLOCK_16 = 32, BLOCK_32 = 32, BLOCK_256 = 256 }; /* of activations */

/* One slot a type, for blocks of `size` under one d: what follows are the fields of its shape. A step of one token is
 * compiled by itself, so that its sums stay in registers. */
#define SLOT(type, size, ...)                                                                                          \
    static const shape type##_shape = {__VA_ARGS__};                                                                   \
                                                                                                                       \
    INLINE void type##_fill(panel *p, const uint8_t *const row[QUAD], size_t begin, size_t at, size_t first_row) {     \
        fill_##size(p, row, begin, at, first_row, load_##type, &type##_shape);                                         \
    }                                                                                                                  \
                                                                                                                       \
    static void type##_matmul(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end,   \
                              float *y, size_t y_stride) {                                                             \
        const shape *s = &type##_shape;                                                                                \
        if (n_tok > MAX_STEP) {                                                                                        \
            prompt(w, a, n_tok, row_begin, row_end, y, y_stride, type##_fill, tile_##size, BLOCK_##size, s);           \
            return;                                                                                                    \
        }                                                                                                              \
        for (size_t row = row_begin; row < row_end; row += ROWS) {                                                     \
            size_t n = row_end - row < ROWS ? row_end - row : ROWS;                                                    \
            bool more = row + 2 * ROWS <= row_end;                                                                     \
            if (n_tok == 1) {                                                                                          \
                step_##size(w, a, 1, row, n, more, y, y_stride, load_##type, s);                                       \
            } else {                                                                                                   \
                step_##size(w, a, n_tok, row, n, more, y, y_stride, load_##type, s);                                   \
            }                                                                                                          \
        }                                                                                                              \
    }

SLOT(q4_0, 32, .bytes = 18, .offset = 8)
SLOT(q4_1, 32, .bytes = 20, .at_min = 2, .has_min = true)
SLOT(q5_0, 32, .bytes = 22, .offset = 16)
SLOT(q5_1, 32, .bytes = 24, .at_min = 2, .has_min = true)
SLOT(q8_0, 32, .bytes = 34)
SLOT(q2_k, 256, .bytes = 84, .sub = 16, .at_d = 80, .at_min = 82, .has_min = true)
SLOT(q3_k, 256, .bytes = 110, .sub = 16, .at_d = 108, .offset = 4)
SLOT(q4_k, 256, .bytes = 144, .sub = 32, .at_min = 2, .has_min = true)
SLOT(q5_k, 256, .bytes = 176, .sub = 32, .at_min = 2, .has_min = true)
SLOT(q6_k, 256, .bytes = 210, .sub = 16, .at_d = 208, .offset = 32)

SLOT(iq4_nl, 32, .bytes = 18)
SLOT(mxfp4, 32, .bytes = 17, .d = e8m0_halves)
SLOT(nvfp4, 16, .bytes = 18, .d = ue4m3_halves) /* half a block */
SLOT(iq1_s, 256, .bytes = 50, .sub = 32, .d = halves_8th)
SLOT(iq1_m, 256, .bytes = 56, .sub = 16, .at_d = 48, .d = iq1_m_d)
SLOT(iq2_xxs, 256, .bytes = 66, .sub = 32, .d = halves_8th)
SLOT(iq2_xs, 256, .bytes = 74, .sub = 16, .d = halves_8th)
SLOT(iq2_s, 256, .bytes = 82, .sub = 16, .d = halves_8th)
SLOT(iq3_xxs, 256, .bytes = 98, .sub = 32, .d = halves_4th)
SLOT(iq3_s, 256, .bytes = 110, .sub = 32)
SLOT(iq4_xs, 256, .bytes = 136, .sub = 32)
SLOT(tq1_0, 256, .bytes = 54, .sub = 32, .at_d = 52)
SLOT(tq2_0, 256, .bytes = 66, .sub = 32, .at_d = 64)

SLOT_PLAIN(f32, load_f32, 4)
SLOT_PLAIN(f16, load_f16, 2)
SLOT_PLAIN(bf16, load_bf16, 2)

const kernels kernels_neon = {
    GENERIC_KERNELS("neon"),
    .matmul = {[QUANT_F32] = f32_matmul,         [QUANT_F16] = f16_matmul,       [QUANT_BF16] = bf16_matmul,
               [QUANT_Q4_0] = q4_0_matmul,       [QUANT_Q4_1] = q4_1_matmul,     [QUANT_Q5_0] = q5_0_matmul,
               [QUANT_Q5_1] = q5_1_matmul,       [QUANT_Q8_0] = q8_0_matmul,     [QUANT_Q2_K] = q2_k_matmul,
               [QUANT_Q3_K] = q3_k_matmul,       [QUANT_Q4_K] = q4_k_matmul,     [QUANT_Q5_K] = q5_k_matmul,
               [QUANT_Q6_K] = q6_k_matmul,       [QUANT_IQ1_S] = iq1_s_matmul,   [QUANT_IQ1_M] = iq1_m_matmul,
               [QUANT_IQ2_XXS] = iq2_xxs_matmul, [QUANT_IQ2_XS] = iq2_xs_matmul, [QUANT_IQ2_S] = iq2_s_matmul,
               [QUANT_IQ3_XXS] = iq3_xxs_matmul, [QUANT_IQ3_S] = iq3_s_matmul,   [QUANT_IQ4_NL] = iq4_nl_matmul,
               [QUANT_IQ4_XS] = iq4_xs_matmul,   [QUANT_TQ1_0] = tq1_0_matmul,   [QUANT_TQ2_0] = tq2_0_matmul,
               [QUANT_MXFP4] = mxfp4_matmul,     [QUANT_NVFP4] = nvfp4_matmul},
};
