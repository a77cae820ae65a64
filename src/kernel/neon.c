/*
 * AArch64: NEON with dot products (sdot). Two shapes of product:
 *
 *  - A step of a few tokens, in the file's own layout: eight rows at once. A row's block is unpacked into registers and
 *    meets the block of every token; the integer sums of four rows are reduced together, so that each row's float chain
 *    runs in a lane of its own.
 *  - A prompt: panels of bytes [K / 4][8 rows][4] (neon_blocks.h).
 *
 * Sdot takes signed bytes. A step leaves the weights unsigned, which they can be up to 127, and takes their offset off
 * through the sums of activations, exactly as minimums; a panel holds them with the offset subtracted.
 */
#include "kernel/neon_blocks.h"

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

INLINE void put_rows(const int32x4_t v[QUAD], int32_t (*to)[ROWS], size_t first_row) {
    store_columns(v, to, first_row);
}

INLINE void turn(float32x4_t acc[TILE][QUADS], size_t n) { (void)acc, (void)n; }

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
PROMPTS

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

/* One slot a type. A step of one token is compiled by itself, so that its sums stay in registers. */
#define SLOT(type, size, kind, ...)                                                                                    \
    FILLING(type, size, __VA_ARGS__)                                                                                   \
    static void type##_matmul(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end,   \
                              float *y, size_t y_stride) {                                                             \
        const shape *s = &type##_shape;                                                                                \
        if (n_tok > MAX_STEP) {                                                                                        \
            kind(w, a, n_tok, row_begin, row_end, y, y_stride, type##_fill);                                           \
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

SLOTS

SLOT_PLAIN(f32, load_f32, 4)
SLOT_PLAIN(f16, load_f16, 2)
SLOT_PLAIN(bf16, load_bf16, 2)

#define PLAIN           [QUANT_F32] = f32_matmul, [QUANT_F16] = f16_matmul, [QUANT_BF16] = bf16_matmul
#define OWN(type)       type##_matmul
#define WITH_I8MM(type) i8mm_matmul

const kernels kernels_neon = {GENERIC_KERNELS("neon"), .matmul = {SLOT_TABLE(OWN), PLAIN}};
#ifdef HAVE_I8MM
const kernels kernels_i8mm = {GENERIC_KERNELS("i8mm"), .matmul = {SLOT_TABLE(WITH_I8MM), PLAIN}};
#endif
