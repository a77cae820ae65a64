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
#include "kernel/avx512_panel.h"
#include "kernel/generic.h"

/* TILE: tokens whose sums are kept in registers. GROUPS: panels that are kept at once. */
enum { TILE = 12, GROUPS = 8 };

/* ---- the tile -------------------------------------------------------------------------------- */

/* What a type is, as constants of the functions that are made for its kind. */
typedef struct {
    size_t block, sub;
    sums_kind sums;
    bool has_min;
} kind;

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
INLINE void int_sums(const __m512i *w, const __m512i *scale, const int8_t *q, const kind s, size_t n,
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
                       __m512 *acc, const kind s) {
    for (size_t t = 0; t < n; t++) acc[t] = _mm512_fmadd_ps(value[t], scaled(p->d[at], scale[t]), acc[t]);
    if (!s.has_min) return;
    __m512i other[TILE];
    pair_sums(p->pairs + at * 8, sum, n, other);
    for (size_t t = 0; t < n; t++)
        acc[t] = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(other[t]), scaled(p->dmin[at], scale[t]), acc[t]);
}

/* Block `at` of the panel against n tokens. */
INLINE void tile_256(const panel *p, size_t at, const int8_t *q, const int16_t *sum, const float *scale, size_t n,
                     __m512 acc[TILE], const kind s) {
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
                      __m512 *acc, int offset, const kind s) {
    for (size_t t = 0; t < n; t++) {
        if (!s.has_min) madd_broadcast(&total[t], _mm512_set1_epi16((short)-offset), sum + 2 * t);
        acc[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(total[t]), scaled(p->d[at], scale[t]), acc[t]);
        if (!s.has_min) continue;
        __m512 m = _mm512_set1_ps((float)(sum[2 * t] + sum[2 * t + 1])); /* the file's m is the negated minimum */
        acc[t] = _mm512_fmadd_ps(m, scaled(p->dmin[at], scale[t]), acc[t]);
    }
}

INLINE void tile_32(const panel *p, size_t at, const int8_t *q, const int16_t *sum, const float *scale, size_t n,
                    __m512 acc[TILE], int offset, const kind s) {
    __m512i total[TILE];
    dot_tile(p->q + at * 8, q, 32, 32, n, total);
    finish_32(p, at, total, sum, scale, n, acc, offset, s);
}

/* Sixteen rows that are read soon; at: NULL where there are none. */
typedef struct {
    const uint8_t *at;
    size_t row_bytes, bytes; /* of a row, of a block */
} ahead;

INLINE void ask_for(const ahead x, size_t block) {
    for (size_t r = 0; r < ROWS && x.at; r++) {
        for (size_t i = 0; i < x.bytes; i += 64)
            _mm_prefetch(x.at + r * x.row_bytes + block * x.bytes + i, _MM_HINT_T1);
    }
}

/* Blocks [first, first + n_blocks), which the panel holds, against tokens [t0, t0 + n): y is read and written. */
INLINE void tile(const panel *p, const activations *a, size_t n_tok, size_t first, size_t n_blocks, size_t t0, size_t n,
                 float *y, size_t y_stride, __mmask16 rows, const ahead to_come, int offset, const kind s) {
    __m512 acc[TILE];
    for (size_t t = 0; t < n; t++) {
        acc[t] = first == 0 ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(rows, y + (t0 + t) * y_stride);
    }
    for (size_t b = 0; b < n_blocks; b++) {
        size_t at = (first + b) * n_tok + t0;
        const int8_t *q = a->q + at * s.block;
        const int16_t *sum = a->sum + at * (s.block / ACTIVATION_SUB);
        ask_for(to_come, b);
        if (s.block == 256) {
            tile_256(p, b, q, sum, a->scale + at, n, acc, s);
        } else {
            tile_32(p, b, q, sum, a->scale + at, n, acc, offset, s);
        }
    }
    for (size_t t = 0; t < n; t++) _mm512_mask_storeu_ps(y + (t0 + t) * y_stride, rows, acc[t]);
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* Panels of GROUPS x ROWS rows stay in L2 while a tile of tokens, which stays in L1, meets one after the other: the
 * activations, which may fill the last level, are read once for all these rows. */
INLINE void matmul_panels(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end,
                          float *y, size_t y_stride, const panel_shape *shape, const kind k) {
    size_t n_blocks = w->n_in / k.block, per_panel = PANEL / k.block, bytes = quant_types[w->type].bytes;
    panel p[GROUPS];
    for (size_t row = row_begin; row < row_end; row += GROUPS * ROWS) {
        size_t n_rows = row_end - row < GROUPS * ROWS ? row_end - row : GROUPS * ROWS;
        for (size_t first = 0; first < n_blocks; first += per_panel) {
            size_t n = n_blocks - first < per_panel ? n_blocks - first : per_panel, t = 0;
            for (size_t r = 0; r < n_rows; r += ROWS) {
                row_group g = rows_from(w, row + r, n_rows - r);
                for (size_t b = 0; b < n; b++) shape->fill(&p[r / ROWS], b, &g, (first + b) * bytes);
            }
            /* what is filled next: the same rows further on, or the rows that follow */
            bool last = first + per_panel >= n_blocks;
            const uint8_t *next = last ? w->data + (row + GROUPS * ROWS) * w->row_bytes
                                       : w->data + row * w->row_bytes + (first + per_panel) * bytes;
            if (last && row + GROUPS * ROWS >= row_end) next = NULL;
#define TILES_OF(size)                                                                                                 \
    for (; t + size <= n_tok; t += size) {                                                                             \
        for (size_t r = 0; r < n_rows; r += ROWS) {                                                                    \
            ahead to_come = {t == 0 && next ? next + r * w->row_bytes : NULL, w->row_bytes, bytes};                    \
            tile(&p[r / ROWS], a, n_tok, first, n, t, size, y + row + r, y_stride, first_lanes(n_rows - r), to_come,   \
                 shape->offset, k);                                                                                    \
        }                                                                                                              \
    }
            TILES_OF(12)
            TILES_OF(8)
            TILES_OF(4)
            TILES_OF(1)
#undef TILES_OF
        }
    }
}

typedef void panels_fn(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end, float *y,
                       size_t y_stride, const panel_shape *shape);

#define KIND(name, ...)                                                                                                \
    static void name(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end, float *y,  \
                     size_t y_stride, const panel_shape *shape) {                                                      \
        const kind k = {__VA_ARGS__};                                                                                  \
        matmul_panels(w, a, n_tok, row_begin, row_end, y, y_stride, shape, k);                                         \
    }

KIND(panels_32, 32, 32)
KIND(panels_32_min, 32, 32, .has_min = true)
KIND(panels_flat, 256, 64, SUMS_FLAT)
KIND(panels_flat_min, 256, 64, SUMS_FLAT, true)
KIND(panels_int_16, 256, 16, SUMS_INT)
KIND(panels_int_32, 256, 32, SUMS_INT)
KIND(panels_int_32_min, 256, 32, SUMS_INT, true)
KIND(panels_float_32_min, 256, 32, SUMS_FLOAT, true)

static panels_fn *panels_of(size_t block, const panel_shape *s) {
    if (block == 32) return s->has_min ? panels_32_min : panels_32;
    switch (s->sums) {
    case SUMS_FLAT: return s->has_min ? panels_flat_min : panels_flat;
    case SUMS_FLOAT: return panels_float_32_min;
    default: return s->has_min ? panels_int_32_min : s->sub == 16 ? panels_int_16 : panels_int_32;
    }
}

void avx512_matmul(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end, float *y,
                   size_t y_stride) {
    const panel_shape *s = &avx512_shapes[w->type];
    if (n_tok <= s->step) {
        avx512_step[w->type](w, a, n_tok, row_begin, row_end, y, y_stride);
    } else {
        panels_of(quant_types[w->type].block, s)(w, a, n_tok, row_begin, row_end, y, y_stride, s);
    }
}

/* Blocks of 64 in parts of sixteen have no panel: several tokens go with vectors of 256 bits. */
static void nvfp4(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end, float *y,
                  size_t y_stride) {
    matmul_fn *fn = n_tok == 1 ? avx512_step[QUANT_NVFP4] : kernels_avx2.matmul[QUANT_NVFP4];
    fn(w, a, n_tok, row_begin, row_end, y, y_stride);
}

/* ---- slots ----------------------------------------------------------------------------------- */

#define PANELS(name)                                                                                                   \
    [QUANT_Q4_0] = name, [QUANT_Q4_1] = name, [QUANT_Q5_0] = name, [QUANT_Q5_1] = name, [QUANT_Q8_0] = name,           \
    [QUANT_Q2_K] = name, [QUANT_Q3_K] = name, [QUANT_Q4_K] = name, [QUANT_Q5_K] = name, [QUANT_Q6_K] = name,           \
    [QUANT_IQ1_S] = name, [QUANT_IQ1_M] = name, [QUANT_IQ2_XXS] = name, [QUANT_IQ2_XS] = name, [QUANT_IQ2_S] = name,   \
    [QUANT_IQ3_XXS] = name, [QUANT_IQ3_S] = name, [QUANT_IQ4_NL] = name, [QUANT_IQ4_XS] = name, [QUANT_TQ1_0] = name,  \
    [QUANT_TQ2_0] = name, [QUANT_MXFP4] = name
#define SLOTS(name, panels)                                                                                            \
    GENERIC_KERNELS_ALWAYS(name),                                                                                      \
        .quantize = avx512_quantize, .store = avx512_store, .attend_chunk = avx512_attend_chunk,                       \
        .matmul = {PANELS(panels), [QUANT_NVFP4] = nvfp4, [QUANT_F32] = avx512_f32, [QUANT_F16] = avx512_f16,          \
                   [QUANT_BF16] = avx512_bf16}

const kernels kernels_avx512 = {SLOTS("avx512", avx512_matmul)};
#ifdef HAVE_AMX
const kernels kernels_amx = {SLOTS("amx", amx_matmul)};
#endif
