/*
 * AVX-512 (F, BW, DQ, VL, VNNI, VBMI). Products of quantized matrices with several tokens (avx512_step.c has those with
 * few): the blocks of sixteen rows are taken from the file's own layout, transposed while still packed, and unpacked
 * into a panel [K / 4][16 rows][4]. Lanes are rows from there on, so that no sum crosses lanes and the float chain of
 * each row has a lane of its own. Two panels stay in L1 and meet a tile of tokens after the other, whose sums stay in
 * registers.
 *
 * Weights are unsigned bytes w + offset, as vpdpbusd wants them; the offset comes off again through the sums of
 * activations, exactly as minimums do.
 */
#include "kernel/avx512_panel.h"
#include "kernel/generic.h"

/* TILE: tokens of a tile. GROUPS: panels that are kept at once. KEPT: tokens that meet them. FILL_COST: how many tokens
 * meet a panel while another is filled. */
enum { TILE = 6, GROUPS = 8, KEPT = 512, FILL_COST = 4 };

/* ---- the tile -------------------------------------------------------------------------------- */

/* What a type is, as constants of the functions that are made for its kind. */
typedef struct {
    size_t block, sub;
    sums_kind sums;
    bool has_min;
} kind;

/* Sums of activations that a token brings to a block, as int32: of a block of 32 their sum times -offset, or, as a
 * float, itself; of a super-block pairs of int16. */
INLINE size_t sums_of(const kind s) { return s.block == 32 ? 1 : s.has_min && s.sub == 32 ? 4 : 8; }

/* Bytes that are read soon. */
typedef struct {
    const uint8_t *at;
    size_t n_bytes;
} soon;

/* The n rows from `row` on, as far as there are so many. They may be another call's, which may be this thread's next.
 */
INLINE soon rows_ahead(const matrix *w, size_t row, size_t n) {
    if (n > w->n_out - row) n = w->n_out - row;
    return (soon){w->data + row * w->row_bytes, n * w->row_bytes};
}

/* Parts [begin, end) of n. */
INLINE soon part_of(const soon x, size_t begin, size_t end, size_t n) {
    size_t from = x.n_bytes * begin / n;
    return (soon){x.at + from, x.n_bytes * end / n - from};
}

/* Asks for part i of n, into L2: the few lines that L1 waits for at once are not enough for memory. In its order: row
 * by row a panel's bytes are too few for what fetches ahead itself.
 */
INLINE void ask_part(const soon *x, size_t i, size_t n) {
    if (x->n_bytes == 0) return;
    const uint8_t *end = x->at + x->n_bytes * (i + 1) / n;
    for (const uint8_t *p = x->at + x->n_bytes * i / n; p < end; p += 64) _mm_prefetch(p, _MM_HINT_T1);
}

/* n tokens of those that meet a panel's blocks, and two panels: lane r of vector g belongs to row 16 g + r. */
typedef struct {
    const panel *p[2];
    const int8_t *q;    /* of the tokens' first block; the next is `tokens` blocks further */
    const float *scale; /* the same */
    const int32_t *sum; /* [block][sum_tokens][sums_of] */
    size_t tokens, sum_tokens;
    soon next; /* asked for meanwhile */
} meeting;

/* Written out and kept in this order: compilers move products of one sum together, which then wait for each other. */
INLINE void dot(__m512i *sum, __m512i w, __m512i x) {
    __asm__ volatile("vpdpbusd %2, %1, %0" : "+v"(*sum) : "v"(w), "v"(x));
}

INLINE __m512i four_activations(const int8_t *q) {
    __m512i v;
    __asm__ volatile("vpbroadcastd %1, %0" : "=v"(v) : "m"(*(const int32_t(*)[1])(const void *)q));
    return v;
}

/* part[g][t] += sum of weight x activation over n_in inputs, in blocks of `stride`. A broadcast serves two products:
 * with one each, loads would bind. */
INLINE void dots(__m512i part[2][TILE], const __m512i *w0, const __m512i *w1, const int8_t *q, size_t stride,
                 size_t n_in, size_t n) {
#pragma GCC unroll 8
    for (size_t k = 0; k < n_in / 4; k++) {
        __m512i a = w0[k], b = w1[k];
#pragma GCC unroll 6
        for (size_t t = 0; t < n; t++) {
            __m512i x = four_activations(q + t * stride + 4 * k);
            dot(&part[0][t], a, x);
            dot(&part[1][t], b, x);
        }
    }
}

#define EACH(g, t, n)                                                                                                  \
    for (size_t g = 0; g < 2; g++)                                                                                     \
        for (size_t t = 0; t < (n); t++)

INLINE __m512 scaled(__m512 d, float s) { return _mm512_mul_ps(d, _mm512_set1_ps(s)); }

/* A zero of its own: compilers make one and copy it, which costs what a sum does. */
INLINE __m512i zero(void) {
    __m512i v;
    __asm__ volatile("vpxord %0, %0, %0" : "=v"(v));
    return v;
}

INLINE void zeros(__m512i v[2][TILE], size_t n) { EACH(g, t, n) v[g][t] = zero(); }

/* Half a super-block's sums in float32. */
INLINE void half_sums(const meeting *m, size_t at, size_t half, const int8_t *q, size_t n, __m512 value[2][TILE]) {
    const __m512i *w[2], *scale[2];
    for (size_t g = 0; g < 2; g++) {
        w[g] = m->p[g]->q + at * 64 + half * 32;
        scale[g] = m->p[g]->scale + at * 16 + half * 4;
    }
    EACH(g, t, n) value[g][t] = _mm512_castsi512_ps(zero());
#pragma GCC unroll 1
    for (size_t i = 0; i < 4; i++) {
        __m512i part[2][TILE];
        ask_part(&m->next, at * 8 + half * 4 + i, PANEL / 32);
        zeros(part, n);
        dots(part, w[0] + 8 * i, w[1] + 8 * i, q + half * 128 + 32 * i, 256, 32, n);
        EACH(g, t, n) {
            value[g][t] =
                _mm512_fmadd_ps(_mm512_cvtepi32_ps(part[g][t]), _mm512_castsi512_ps(scale[g][i]), value[g][t]);
        }
    }
}

/* total[g][t] goes on. */
INLINE void int_sums(const meeting *m, size_t at, const int8_t *q, size_t n, __m512i total[2][TILE], const kind s) {
    const __m512i *w[2], *scale[2];
    for (size_t g = 0; g < 2; g++) {
        w[g] = m->p[g]->q + at * 64;
        scale[g] = m->p[g]->scale + at * 16;
    }
#pragma GCC unroll 2
    for (size_t k = 0; k < 256; k += s.sub) {
        __m512i part[2][TILE];
        if (k % 32 == 0) ask_part(&m->next, at * 8 + k / 32, PANEL / 32);
        if (s.sums == SUMS_FLAT) {
            dots(total, w[0] + k / 4, w[1] + k / 4, q + k, 256, s.sub, n);
            continue;
        }
        zeros(part, n);
        dots(part, w[0] + k / 4, w[1] + k / 4, q + k, 256, s.sub, n);
        EACH(g, t, n) {
            __m512i x = _mm512_mullo_epi32(part[g][t], scale[g][k / s.sub]);
            total[g][t] = _mm512_add_epi32(total[g][t], x);
        }
    }
}

/* Sums of the pairs with the sums of activations. */
INLINE void pair_sums(const meeting *m, size_t at, const int32_t *sum, size_t n, __m512i other[2][TILE], const kind s) {
    zeros(other, n);
#pragma GCC unroll 8
    for (size_t i = 0; i < sums_of(s); i++) {
        EACH(g, t, n) {
            madd_broadcast(&other[g][t], m->p[g]->pairs[at * 8 + i], (const int16_t *)(sum + t * sums_of(s) + i));
        }
    }
}

/* acc goes on with the value of super-block `at` of the panels, and with its minimums. */
INLINE void tile_256(const meeting *m, size_t at, size_t n, __m512 acc[2][TILE], const kind s) {
    const int8_t *q = m->q + at * m->tokens * 256;
    const float *scale = m->scale + at * m->tokens;
    const int32_t *sum = m->sum + at * m->sum_tokens * sums_of(s);
    __m512i other[2][TILE];
    if (s.sums == SUMS_FLOAT) {
        __m512 first[2][TILE], second[2][TILE];
        half_sums(m, at, 0, q, n, first);
        half_sums(m, at, 1, q, n, second);
        EACH(g, t, n) {
            __m512 value = _mm512_add_ps(first[g][t], second[g][t]);
            acc[g][t] = _mm512_fmadd_ps(value, scaled(m->p[g]->d[at], scale[t]), acc[g][t]);
        }
    } else {
        if (s.has_min) {
            zeros(other, n);
        } else {
            pair_sums(m, at, sum, n, other, s);
        }
        int_sums(m, at, q, n, other, s);
        EACH(g, t, n) {
            __m512 value = _mm512_cvtepi32_ps(other[g][t]);
            acc[g][t] = _mm512_fmadd_ps(value, scaled(m->p[g]->d[at], scale[t]), acc[g][t]);
        }
    }
    if (!s.has_min) return;
    pair_sums(m, at, sum, n, other, s);
    EACH(g, t, n) {
        __m512 value = _mm512_cvtepi32_ps(other[g][t]);
        acc[g][t] = _mm512_fnmadd_ps(value, scaled(m->p[g]->dmin[at], scale[t]), acc[g][t]);
    }
}

/* The same for a block of 32. */
INLINE void tile_32(const meeting *m, size_t at, size_t n, __m512 acc[2][TILE], const kind s) {
    const int8_t *q = m->q + at * m->tokens * 32;
    const float *scale = m->scale + at * m->tokens;
    const int32_t *sum = m->sum + at * m->sum_tokens;
    __m512i total[2][TILE];
    ask_part(&m->next, at, PANEL / 32);
    if (s.has_min) {
        zeros(total, n);
    } else {
        EACH(g, t, n) total[g][t] = four_activations((const int8_t *)(sum + t));
    }
    dots(total, m->p[0]->q + at * 8, m->p[1]->q + at * 8, q, 32, 32, n);
    EACH(g, t, n) {
        __m512 value = _mm512_cvtepi32_ps(total[g][t]);
        acc[g][t] = _mm512_fmadd_ps(value, scaled(m->p[g]->d[at], scale[t]), acc[g][t]);
        if (!s.has_min) continue;
        __m512 x = _mm512_castsi512_ps(_mm512_set1_epi32(sum[t])); /* the file's m is the negated minimum */
        acc[g][t] = _mm512_fmadd_ps(x, scaled(m->p[g]->dmin[at], scale[t]), acc[g][t]);
    }
}

/* n_blocks that the panels hold. Sums go on from `kept` but where `begin`, and there but where `end`: then to y, at the
 * first token's first row. */
INLINE void tile(const meeting *m, size_t n_blocks, bool begin, bool end, size_t n, __m512 *kept, float *y,
                 size_t y_stride, const __mmask16 rows[2], const kind s) {
    __m512 acc[2][TILE];
    EACH(g, t, n) acc[g][t] = begin ? _mm512_setzero_ps() : kept[g * n + t];
    for (size_t b = 0; b < n_blocks; b++) {
        if (s.block == 256) {
            tile_256(m, b, n, acc, s);
        } else {
            tile_32(m, b, n, acc, s);
        }
    }
    if (end) {
        EACH(g, t, n) _mm512_mask_storeu_ps(y + t * y_stride + g * ROWS, rows[g], acc[g][t]);
    } else {
        EACH(g, t, n) kept[g * n + t] = acc[g][t];
    }
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* What n tokens bring to a block. */
INLINE void block_sums(const int16_t *sum, size_t n, int32_t *out, int offset, const kind s) {
    const __m512i factor = _mm512_set1_epi16((short)(s.block == 32 && !s.has_min ? -offset : 1));
    if (sums_of(s) == 8) {
        memcpy(out, sum, n * 8 * sizeof *out);
        return;
    }
    size_t n_sums = n * s.block / 32; /* of 32 activations each */
    for (size_t i = 0; i < n_sums; i += 16) {
        __mmask16 there = first_lanes(n_sums - i);
        __m512i v = _mm512_madd_epi16(_mm512_maskz_loadu_epi32(there, sum + 2 * i), factor);
        if (s.block == 256) {
            _mm512_mask_cvtepi32_storeu_epi16((int16_t *)out + i, there, v);
        } else {
            if (s.has_min) v = _mm512_castps_si512(_mm512_cvtepi32_ps(v));
            _mm512_mask_storeu_epi32(out + i, there, v);
        }
    }
}

/* Whether a tile of `size` comes next: eight tokens go as four and four, since two alone would wait for each other. */
INLINE bool fits(size_t left, size_t size) { return left >= size && !(size == 6 && left == 8); }

/* Panels of GROUPS x ROWS rows stay in L2. Two of them stay in L1 while the tokens, a tile at a time, meet them: the
 * activations, which may fill the last level, are read once for all these rows. Tokens [t0, t0 + n_kept) of n_tok. */
INLINE void matmul_kept(const matrix *w, const activations *a, size_t n_tok, size_t t0, size_t n_kept, size_t row_begin,
                        size_t row_end, float *y, size_t y_stride, const panel_shape *shape, const kind k) {
    const size_t n_blocks = w->n_in / k.block, per_panel = PANEL / k.block, bytes = quant_types[w->type].bytes;
    /* few tokens: rows after rows, each read to its end */
    const size_t n_first = n_kept < 2 * TILE ? n_kept : 2 * TILE, n_groups = n_kept == n_first ? 2 : GROUPS;
    panel p[GROUPS];
    __m512 kept[GROUPS * KEPT]; /* sums: in y they may lie a power of two apart, where no cache keeps them */
    int32_t sums[PANEL / 32 * KEPT] __attribute__((aligned(64)));
    for (size_t row = row_begin; row < row_end; row += n_groups * ROWS) {
        size_t n_rows = row_end - row < n_groups * ROWS ? row_end - row : n_groups * ROWS;
        for (size_t first = 0; first < n_blocks; first += per_panel) {
            size_t n = n_blocks - first < per_panel ? n_blocks - first : per_panel;
            /* meanwhile a part of the rows that follow, at an even pace, or memory rests while panels are filled */
            soon next = part_of(rows_ahead(w, row + n_rows, n_rows), first, first + n, n_blocks);
            soon while_filling = part_of(next, 0, FILL_COST, FILL_COST + n_first);
            next = part_of(next, FILL_COST, FILL_COST + n_first, FILL_COST + n_first);
            for (size_t r = 0; r < n_rows; r += ROWS) {
                row_group g = rows_from(w, row + r, n_rows - r);
                for (size_t b = 0; b < n; b++) {
                    ask_part(&while_filling, r / ROWS * n + b, (n_rows + ROWS - 1) / ROWS * n);
                    shape->fill(&p[r / ROWS], b, &g, (first + b) * bytes);
                }
            }
            for (size_t b = 0; b < n; b++) {
                const int16_t *sum = a->sum + ((first + b) * n_tok + t0) * (k.block / ACTIVATION_SUB);
                block_sums(sum, n_kept, sums + b * n_kept * sums_of(k), shape->offset, k);
            }
            for (size_t r = 0; r < n_rows; r += 2 * ROWS) {
                bool second = n_rows - r > ROWS;
                __mmask16 rows[2] = {first_lanes(n_rows - r), second ? first_lanes(n_rows - r - ROWS) : 0};
                soon part = part_of(next, r, r + 2 * ROWS < n_rows ? r + 2 * ROWS : n_rows, n_rows);
                size_t t = 0;
#define TILES_OF(size)                                                                                                 \
    for (; fits(n_kept - t, (size)); t += (size)) {                                                                    \
        size_t at = first * n_tok + t0 + t;                                                                            \
        size_t from = t < n_first ? t : n_first, to = t + (size) < n_first ? t + (size) : n_first;                     \
        meeting m = {{&p[r / ROWS], &p[r / ROWS + second]},                                                            \
                     a->q + at * k.block,                                                                              \
                     a->scale + at,                                                                                    \
                     sums + t * sums_of(k),                                                                            \
                     n_tok,                                                                                            \
                     n_kept,                                                                                           \
                     part_of(part, from, to, n_first)};                                                                \
        tile(&m, n, first == 0, first + n == n_blocks, size, kept + r / ROWS * KEPT + 2 * t,                           \
             y + (t0 + t) * y_stride + row + r, y_stride, rows, k);                                                    \
    }
                TILES_OF(6)
                TILES_OF(4)
                TILES_OF(2)
                TILES_OF(1)
#undef TILES_OF
            }
        }
    }
}

INLINE void matmul_panels(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end,
                          float *y, size_t y_stride, const panel_shape *shape, const kind k) {
    for (size_t t0 = 0; t0 < n_tok; t0 += KEPT) {
        size_t n_kept = n_tok - t0 < KEPT ? n_tok - t0 : KEPT;
        matmul_kept(w, a, n_tok, t0, n_kept, row_begin, row_end, y, y_stride, shape, k);
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
    if (n_tok <= STEP_TOK) {
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
