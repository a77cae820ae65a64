/*
 * AMX: products with many tokens. A tile product sums 64 inputs of 16 tokens and 16 rows in the time in which vectors
 * sum an eighth of that, so that nothing else may be done for every part of a super-block: scales are multiplied into
 * the weights beforehand. The integer that a block gives stays what it is:
 *
 *   I = sum over k of scale_k w_k a_k = sum of low_k a_k + 2^shift sum of high_k a_k
 *
 * where scale_k w_k, at most fifteen bits, is split into two bytes: by its bits, or by those of the scale where both
 * products fit a byte. Types whose scale_k w_k is a byte need one sum, and two groups of rows take the place of the two
 * bytes. A panel of the weights (avx512_panel.h) is folded so once for all tokens and stays in L1; the sums of one tile
 * are stored and go on as vectors, lanes being rows, while the products of the next run.
 */
#include "kernel/amx_tiles.h"
#include "kernel/avx512_panel.h"

enum {
    FEW = 12,         /* tokens that vectors are done with sooner, but where weights and scales are one byte */
    TOKENS = 16,      /* of a tile */
    MAX_TOKENS = 512, /* that meet a panel before the next one is folded */
    KEPT = 1 << 20,   /* bytes of activations that stay in L2 */
    STEP = 64,        /* inputs of a tile product */
    LAG = 2, /* units that are multiplied before the values of one are taken: stored sums are not at hand soon */
};

/* ---- weights --------------------------------------------------------------------------------- */

typedef enum {
    FOLD_FLAT,   /* offset - q: negated, since that fits a signed byte for every type; d is negated, too */
    FOLD_BITS,   /* (q - offset) x scale, the low byte and the rest */
    FOLD_SCALES, /* q x scale, the scale's low three bits and the rest: unsigned */
    FOLD_32,     /* blocks of 32: q - offset */
} folding;

/* As constants of the functions that are made for it. */
typedef struct {
    folding folding;
    size_t sub;
    bool has_min;
} kind;

INLINE bool two_bytes(const kind k) { return k.folding == FOLD_BITS || k.folding == FOLD_SCALES; }
INLINE size_t block_of(const kind k) { return k.folding == FOLD_32 ? 32 : 256; }
INLINE size_t chunk_of(const kind k) { return k.folding == FOLD_32 ? PANEL : 256; }

/* A super-block, or PANEL inputs in blocks of 32, of ROWS rows. */
typedef struct {
    __m512i w[2][STEP]; /* four bytes of each row; [1]: the high bytes, or inputs from 256 on */
    __m512i pairs[8];   /* of minimums, as a panel has them */
    __m512 d[PANEL / 32];
    __m512 dmin[PANEL / 32];
} folded;

/* (q - offset) x scale of the bytes of every word: the low bytes, signed, and the rest, rounded to match. even, odd:
 * the scale beside a zero byte, for the low and the high byte of a word; shift: 128 - offset x scale. */
INLINE void split_bits(__m512i q, __m512i even, __m512i odd, __m512i shift, __m512i *low, __m512i *high) {
    const __m512i low_byte = _mm512_set1_epi16(0xFF);
    even = _mm512_add_epi16(_mm512_maddubs_epi16(q, even), shift);
    odd = _mm512_add_epi16(_mm512_maddubs_epi16(q, odd), shift);
    /* low_byte ? first : second; the 128 that rounds is taken from the low byte again */
    *low = _mm512_ternarylogic_epi32(low_byte, even, _mm512_slli_epi16(odd, 8), 0xCA);
    *low = _mm512_xor_si512(*low, _mm512_set1_epi8((char)128));
    *high = _mm512_ternarylogic_epi32(low_byte, _mm512_srli_epi16(even, 8), odd, 0xCA);
}

INLINE void fold_256(const panel *p, folded *f, const panel_shape *shape, const kind k) {
    const __m512i off = _mm512_set1_epi8((char)shape->offset);
    for (size_t s = 0; s < 256 / k.sub; s++) {
        __m512i scale = p->scale[s];
        if (shape->sums == SUMS_FLOAT) scale = _mm512_cvtps_epi32(_mm512_castsi512_ps(scale));
        if (k.folding == FOLD_SCALES) {
            __m512i low = _mm512_and_si512(scale, _mm512_set1_epi32(7)), high = _mm512_srli_epi32(scale, 3);
            low = _mm512_or_si512(low, _mm512_slli_epi32(low, 16));
            high = _mm512_or_si512(high, _mm512_slli_epi32(high, 16));
            for (size_t i = s * k.sub / 4; i < (s + 1) * k.sub / 4; i++) {
                /* no byte's product carries into the next one */
                f->w[0][i] = _mm512_mullo_epi16(p->q[i], low);
                f->w[1][i] = _mm512_mullo_epi16(p->q[i], high);
            }
        } else if (k.folding == FOLD_BITS) {
            __m512i odd = _mm512_slli_epi16(scale_pair(scale, scale, 1), 8), even = _mm512_srli_epi16(odd, 8);
            __m512i shift = _mm512_add_epi16(scale_pair(scale, scale, -shape->offset), _mm512_set1_epi16(128));
            for (size_t i = s * k.sub / 4; i < (s + 1) * k.sub / 4; i++)
                split_bits(p->q[i], even, odd, shift, &f->w[0][i], &f->w[1][i]);
        } else {
            for (size_t i = s * k.sub / 4; i < (s + 1) * k.sub / 4; i++) f->w[0][i] = _mm512_sub_epi8(off, p->q[i]);
        }
    }
    f->d[0] = k.folding == FOLD_FLAT ? _mm512_sub_ps(_mm512_set1_ps(-0.0f), p->d[0]) : p->d[0];
    if (!k.has_min) return;
    f->dmin[0] = p->dmin[0];
    memcpy(f->pairs, p->pairs, sizeof f->pairs);
}

INLINE void fold_32(const panel *p, folded *f, size_t n_blocks, int offset, const kind k) {
    const __m512i off = _mm512_set1_epi8((char)offset);
    for (size_t i = 0; i < n_blocks * 8; i++) f->w[i / STEP][i % STEP] = _mm512_sub_epi8(p->q[i], off);
    memcpy(f->d, p->d, n_blocks * sizeof *f->d);
    if (k.has_min) memcpy(f->dmin, p->dmin, n_blocks * sizeof *f->dmin);
}

/* ---- tiles ----------------------------------------------------------------------------------- */

/* 0 to 3 hold sums, 4 and 5 activations of `rows` tokens, 6 and 7 weights. */
static void begin(size_t inputs, size_t rows) {
    tile_config config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.bytes[i] = i == 4 || i == 5 ? (uint16_t)inputs : 64;
        config.rows[i] = (uint8_t)(i < 6 ? rows : inputs / 4);
    }
    TILES_BEGIN(config);
}

#define TILE_SUMS(c, p) TILE_STORE(c, p, 4 * ROWS)
/* c += a b: signed activations with signed or, for FOLD_SCALES, unsigned weights */
#define TILE_DOT(c, a, b, k)                                                                                           \
    do {                                                                                                               \
        if ((k).folding == FOLD_SCALES) {                                                                              \
            TILE_DOT_UNSIGNED(c, a, b);                                                                                \
        } else {                                                                                                       \
            TILE_DOT_SIGNED(c, a, b);                                                                                  \
        }                                                                                                              \
    } while (0)

/* What meets a folded chunk: n tokens of n_tok from t0 on. */
typedef struct {
    const activations *a;
    size_t n_tok, t0, n;
    size_t first;            /* block of the chunk */
    const int16_t (*sum)[8]; /* [n] of 32 activations of the chunk, where minimums are of as many */
} batch;

/* Tokens [from, to) of the batch, in a tile that begins at `start`: the last one begins earlier, so as to be whole. */
typedef struct {
    size_t start, from, to;
} token_tile;

INLINE token_tile tile_at(const batch *b, size_t i) {
    size_t rows = b->n < TOKENS ? b->n : TOKENS, from = i * TOKENS;
    return (token_tile){from + rows <= b->n ? from : b->n - rows, from, from + TOKENS < b->n ? from + TOKENS : b->n};
}

/* ---- super-blocks ---------------------------------------------------------------------------- */

/* Of two token tiles with two panels, or with the two bytes of one. */
typedef struct {
    int32_t sum[2][2][TOKENS][ROWS]; /* [token tile][operand] */
    token_tile t[2];
    size_t n_tiles;
    const folded *f;    /* of operand 0 */
    float (*acc)[ROWS]; /* of f, by token; that of a second panel stands MAX_TOKENS further */
} __attribute__((aligned(64))) unit;

/* acc of tokens from + [0, n) of a tile goes on. */
INLINE void finish(const unit *u, const batch *b, size_t tile, size_t from, size_t n, const kind k) {
    const size_t operands = two_bytes(k) ? 1 : 2;
    for (size_t o = 0; o < operands; o++) {
        const folded *f = u->f + o;
        float(*acc)[ROWS] = u->acc + o * MAX_TOKENS + u->t[tile].start;
        const size_t at = b->first * b->n_tok + b->t0 + u->t[tile].start;
        const float *scale = b->a->scale + at;
        const int16_t *sum = k.sub == 32 ? b->sum[u->t[tile].start] : b->a->sum + at * 16;
        const size_t n_sums = 256 / (k.sub == 32 ? 32 : 16);
        __m512 v[8];
        for (size_t i = 0; i < n; i++) {
            __m512i x = _mm512_load_si512(u->sum[tile][o][from + i]);
            if (two_bytes(k)) {
                x = _mm512_add_epi32(x, _mm512_slli_epi32(_mm512_load_si512(u->sum[tile][1][from + i]),
                                                          k.folding == FOLD_BITS ? 8 : 3));
            }
            __m512 ds = _mm512_mul_ps(f->d[0], _mm512_set1_ps(scale[from + i]));
            v[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(x), ds, _mm512_load_ps(acc[from + i]));
        }
        if (k.has_min) {
            __m512i m[8];
            for (size_t i = 0; i < n; i++) m[i] = _mm512_setzero_si512();
            for (size_t j = 0; j < n_sums / 2; j++) {
                for (size_t i = 0; i < n; i++) madd_broadcast(&m[i], f->pairs[j], sum + (from + i) * n_sums + 2 * j);
            }
            for (size_t i = 0; i < n; i++) {
                __m512 ds = _mm512_mul_ps(f->dmin[0], _mm512_set1_ps(scale[from + i]));
                v[i] = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(m[i]), ds, v[i]);
            }
        }
        for (size_t i = 0; i < n; i++) _mm512_store_ps(acc[from + i], v[i]);
    }
}

/* A quarter of the unit: eight tokens. */
INLINE void finish_quarter(const unit *u, const batch *b, size_t quarter, const kind k) {
    size_t tile = quarter / 2, from = quarter % 2 * 8;
    if (tile >= u->n_tiles) return;
    const token_tile *t = &u->t[tile];
    size_t first = t->from - t->start, end = t->to - t->start;
    if (first <= from && from + 8 <= end) {
        finish(u, b, tile, from, 8, k);
    } else {
        for (size_t i = from > first ? from : first; i < from + 8 && i < end; i++) finish(u, b, tile, i, 1, k);
    }
}

/* The sums of `now`, and meanwhile the values of `before`, if any. */
INLINE void run_unit(const folded *f, const batch *b, unit *now, const unit *before, const kind k) {
    const __m512i *w0 = f->w[0], *w1 = two_bytes(k) ? f->w[1] : f[1].w[0];
    const int8_t *q = b->a->q + (b->first * b->n_tok + b->t0) * 256;
    const int8_t *q0 = q + now->t[0].start * 256, *q1 = q + now->t[1].start * 256;
    TILE_ZERO(0);
    TILE_ZERO(1);
    TILE_ZERO(2);
    TILE_ZERO(3);
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
        TILE_LOAD(4, q0 + i * STEP, 256);
        TILE_LOAD(6, w0 + i * STEP / 4, 64);
        TILE_DOT(0, 4, 6, k);
        TILE_LOAD(7, w1 + i * STEP / 4, 64);
        TILE_DOT(1, 4, 7, k);
        if (now->n_tiles == 2) {
            TILE_LOAD(5, q1 + i * STEP, 256);
            TILE_DOT(2, 5, 6, k);
            TILE_DOT(3, 5, 7, k);
        }
        if (before) finish_quarter(before, b, i, k);
    }
    TILE_SUMS(0, now->sum[0][0]);
    TILE_SUMS(1, now->sum[0][1]);
    if (now->n_tiles == 2) {
        TILE_SUMS(2, now->sum[1][0]);
        TILE_SUMS(3, now->sum[1][1]);
    }
}

/* Rows that are asked for while others are multiplied. */
typedef struct {
    const uint8_t *at; /* NULL: none */
    size_t row_bytes, bytes;
} ahead;

INLINE void ask_for(const ahead *x, size_t begin, size_t end) {
    for (size_t r = begin; r < end && x->at; r++) {
        for (size_t i = 0; i < x->bytes; i += 64) _mm_prefetch(x->at + r * x->row_bytes + i, _MM_HINT_T1);
    }
}

/* One super-block of two panels. */
INLINE void run_256(const folded f[2], const batch *b, float (*acc)[ROWS], const ahead *to_come, const kind k) {
    const size_t panels = two_bytes(k) ? 2 : 1; /* that are gone through one by one */
    size_t tiles = (b->n + TOKENS - 1) / TOKENS, pairs = (tiles + 1) / 2, n = pairs * panels;
    unit u[LAG + 1];
    for (size_t i = 0; i < n; i++) {
        unit *now = &u[i % (LAG + 1)];
        size_t pair = i / panels, p = i % panels;
        now->n_tiles = 2 * pair + 1 < tiles ? 2 : 1;
        now->t[0] = tile_at(b, 2 * pair);
        now->t[1] = tile_at(b, 2 * pair + now->n_tiles - 1);
        now->f = f + p;
        now->acc = acc + p * MAX_TOKENS;
        run_unit(f + p, b, now, i >= LAG ? &u[(i - LAG) % (LAG + 1)] : NULL, k);
        ask_for(to_come, 2 * ROWS * i / n, 2 * ROWS * (i + 1) / n);
    }
    for (size_t i = n < LAG ? 0 : n - LAG; i < n; i++) {
        for (size_t quarter = 0; quarter < 4; quarter++) finish_quarter(&u[i % (LAG + 1)], b, quarter, k);
    }
}

/* ---- blocks of 32 ---------------------------------------------------------------------------- */

/* What a tile of tokens meets: blocks of a panel. */
typedef struct {
    const folded *f;
    const batch *b;
    size_t start; /* token */
} meeting_32;

/* Sums of a block, in tile `tile`, a constant. */
INLINE void dot_32(const meeting_32 *m, size_t block, size_t tile, const kind k) {
    const int8_t *q = m->b->a->q + ((m->b->first + block) * m->b->n_tok + m->b->t0 + m->start) * 32;
    const __m512i *w = m->f->w[block * 8 / STEP] + block * 8 % STEP;
#define DOT_32(c, a, b)                                                                                                \
    TILE_LOAD(a, q, 32);                                                                                               \
    TILE_LOAD(b, w, 64);                                                                                               \
    TILE_ZERO(c);                                                                                                      \
    TILE_DOT(c, a, b, k)
    switch (tile) {
    case 0: DOT_32(0, 4, 6); break;
    case 1: DOT_32(1, 5, 7); break;
    case 2: DOT_32(2, 4, 6); break;
    default: DOT_32(3, 5, 7);
    }
#undef DOT_32
}

INLINE void store_32(size_t tile, int32_t (*sum)[ROWS]) {
    switch (tile) {
    case 0: TILE_SUMS(0, sum); break;
    case 1: TILE_SUMS(1, sum); break;
    case 2: TILE_SUMS(2, sum); break;
    default: TILE_SUMS(3, sum);
    }
}

/* n tokens of a tile go on with one block. */
INLINE void finish_block(const folded *f, const batch *b, size_t start, size_t block, const int32_t (*sums)[ROWS],
                         size_t n, __m512 *acc, const kind k) {
    size_t at = (b->first + block) * b->n_tok + b->t0 + start;
    const float *scale = b->a->scale + at;
    const int16_t *sum = b->a->sum + 2 * at;
    for (size_t t = 0; t < n; t++) {
        __m512 ds = _mm512_mul_ps(f->d[block], _mm512_set1_ps(scale[t]));
        acc[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_load_si512(sums[t])), ds, acc[t]);
        if (!k.has_min) continue;
        __m512 m = _mm512_set1_ps((float)(sum[2 * t] + sum[2 * t + 1])); /* the file's m is the negated minimum */
        acc[t] = _mm512_fmadd_ps(m, _mm512_mul_ps(f->dmin[block], _mm512_set1_ps(scale[t])), acc[t]);
    }
}

typedef int32_t sums_32[4][TOKENS][ROWS];

/* Blocks in fours, a tile each: block i is multiplied, i - 2 stored and i - 4 taken on, since a tile is not at hand
 * soon, nor is what has just been stored. `more`: there are blocks [block, block + 4); `before`: and four before. */
INLINE void four_32(const meeting_32 *m, size_t block, sums_32 sum, bool more, bool before, size_t n, __m512 *acc,
                    const kind k) {
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
        if (more) dot_32(m, block + i, i, k);
        if (i < 2 ? before : more) store_32((i + 2) % 4, sum[(i + 2) % 4]);
        if (before) finish_block(m->f, m->b, m->start, block + i - 4, (const int32_t(*)[ROWS])sum[i], n, acc, k);
    }
}

INLINE void tile_32(const folded *f, const batch *b, const token_tile *t, size_t n_blocks, float (*acc)[ROWS], size_t n,
                    const kind k) {
    const meeting_32 m = {f, b, t->start};
    sums_32 sum __attribute__((aligned(64)));
    __m512 v[TOKENS];
    size_t block = 0;
    for (size_t i = 0; i < n; i++) v[i] = _mm512_load_ps(acc[t->start + i]);
    if (n_blocks >= 4) {
        four_32(&m, 0, sum, true, false, n, v, k);
        for (block = 4; block + 4 <= n_blocks; block += 4) four_32(&m, block, sum, true, true, n, v, k);
        four_32(&m, block, sum, false, true, n, v, k);
    }
    for (; block < n_blocks; block++) {
        dot_32(&m, block, 0, k);
        store_32(0, sum[0]);
        finish_block(f, b, t->start, block, (const int32_t(*)[ROWS])sum[0], n, v, k);
    }
    for (size_t i = 0; i < n; i++) { /* those before `from` were another tile's */
        if (t->start + i >= t->from) _mm512_store_ps(acc[t->start + i], v[i]);
    }
}

INLINE void run_32(const folded f[2], const batch *b, size_t n_blocks, float (*acc)[ROWS], const ahead *to_come,
                   const kind k) {
    size_t n = (b->n + TOKENS - 1) / TOKENS;
    for (size_t i = 0; i < n; i++) {
        token_tile t = tile_at(b, i);
        for (size_t p = 0; p < 2; p++) {
            if (b->n >= TOKENS) {
                tile_32(f + p, b, &t, n_blocks, acc + p * MAX_TOKENS, TOKENS, k);
            } else {
                tile_32(f + p, b, &t, n_blocks, acc + p * MAX_TOKENS, b->n, k);
            }
        }
        ask_for(to_come, 2 * ROWS * i / n, 2 * ROWS * (i + 1) / n);
    }
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* Sums of 32 activations of tokens t0 + [0, n), of super-blocks [first, end). */
static void sums_of_32(const activations *a, size_t n_tok, size_t t0, size_t n, size_t first, size_t end,
                       int16_t (*out)[8]) {
    for (size_t block = first; block < end; block++) {
        for (size_t t = 0; t < n; t++, out++) {
            __m256i sums = _mm256_loadu_si256((const void *)(a->sum + (block * n_tok + t0 + t) * 16));
            __m256i pairs = _mm256_madd_epi16(sums, _mm256_set1_epi16(1));
            _mm_storeu_si128((void *)out, _mm256_cvtepi32_epi16(pairs));
        }
    }
}

/* Inputs of chunks [first, end) of two panels of rows against the batch: y is read, unless they are the first, and
 * written. */
INLINE void run_rows(const matrix *w, batch *b, size_t first, size_t end, size_t row, size_t row_end, float *y,
                     size_t y_stride, const int16_t (*sum)[8], const panel_shape *shape, const kind k) {
    float acc[2 * MAX_TOKENS][ROWS] __attribute__((aligned(64)));
    const size_t per_chunk = chunk_of(k) / block_of(k), bytes = quant_types[w->type].bytes;
    size_t n_blocks = w->n_in / block_of(k), n_rows = row_end - row < 2 * ROWS ? row_end - row : 2 * ROWS;
    size_t n[2] = {n_rows < ROWS ? n_rows : ROWS, n_rows < ROWS ? 0 : n_rows - ROWS};
    row_group g[2] = {rows_from(w, row, n[0]), rows_from(w, n[1] ? row + ROWS : row, n[1])};
    for (size_t t = 0; t < b->n; t++) {
        for (size_t p = 0; p < 2; p++) {
            __m512 v = first == 0 ? _mm512_setzero_ps()
                                  : _mm512_maskz_loadu_ps(first_lanes(n[p]), y + t * y_stride + row + p * ROWS);
            _mm512_store_ps(acc[p * MAX_TOKENS + t], v);
        }
    }
    for (size_t c = first; c < end; c++) {
        panel unpacked;
        folded f[2];
        size_t blocks = n_blocks - c * per_chunk < per_chunk ? n_blocks - c * per_chunk : per_chunk;
        b->first = c * per_chunk;
        b->sum = sum + (c - first) * b->n;
        for (size_t p = 0; p < 2; p++) {
            for (size_t i = 0; i < blocks; i++) shape->fill(&unpacked, i, &g[p], (b->first + i) * bytes);
            if (block_of(k) == 32) {
                fold_32(&unpacked, &f[p], blocks, shape->offset, k);
            } else {
                fold_256(&unpacked, &f[p], shape, k);
            }
        }
        /* what is unpacked next: these rows further on, or the rows that follow */
        size_t next = b->first + per_chunk;
        ahead to_come = {n_rows < 2 * ROWS ? NULL : w->data + row * w->row_bytes + next * bytes, w->row_bytes,
                         per_chunk * bytes};
        if (c + 1 == end) {
            to_come.at =
                row + 4 * ROWS > row_end ? NULL : w->data + (row + 2 * ROWS) * w->row_bytes + first * per_chunk * bytes;
        }
        if (block_of(k) == 32) {
            run_32(f, b, blocks, acc, &to_come, k);
        } else {
            run_256(f, b, acc, &to_come, k);
        }
    }
    for (size_t t = 0; t < b->n; t++) {
        for (size_t p = 0; p < 2; p++) {
            _mm512_mask_storeu_ps(y + t * y_stride + row + p * ROWS, first_lanes(n[p]),
                                  _mm512_load_ps(acc[p * MAX_TOKENS + t]));
        }
    }
}

/* Activations that do not stay in L2 as a whole are gone through in slices of the inputs. */
INLINE void matmul_tiles(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end,
                         float *y, size_t y_stride, const panel_shape *shape, const kind k) {
    size_t n_chunks = (w->n_in + chunk_of(k) - 1) / chunk_of(k);
    int16_t sum[KEPT / 256][8] __attribute__((aligned(64)));
    for (size_t t0 = 0; t0 < n_tok; t0 += MAX_TOKENS) {
        batch b = {a, n_tok, t0, n_tok - t0 < MAX_TOKENS ? n_tok - t0 : MAX_TOKENS};
        size_t slice = b.n * w->n_in <= KEPT ? n_chunks : KEPT / 2 / (b.n * chunk_of(k));
        begin(k.folding == FOLD_32 ? 32 : STEP, b.n < TOKENS ? b.n : TOKENS);
        for (size_t c = 0; c < n_chunks; c += slice) {
            size_t end = c + slice < n_chunks ? c + slice : n_chunks;
            if (k.has_min && k.sub == 32 && block_of(k) == 256) sums_of_32(a, n_tok, t0, b.n, c, end, sum);
            for (size_t row = row_begin; row < row_end; row += 2 * ROWS) {
                run_rows(w, &b, c, end, row, row_end, y + t0 * y_stride, y_stride, (const int16_t(*)[8])sum, shape, k);
            }
        }
    }
    TILES_END();
}

#define KIND(name, ...)                                                                                                \
    static void name(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end, float *y,  \
                     size_t y_stride, const panel_shape *shape) {                                                      \
        const kind k = {__VA_ARGS__};                                                                                  \
        matmul_tiles(w, a, n_tok, row_begin, row_end, y, y_stride, shape, k);                                          \
    }

KIND(tiles_32, FOLD_32, 32)
KIND(tiles_32_min, FOLD_32, 32, true)
KIND(tiles_flat, FOLD_FLAT, 64)
KIND(tiles_flat_min, FOLD_FLAT, 64, true)
KIND(tiles_bits_16, FOLD_BITS, 16)
KIND(tiles_bits_32, FOLD_BITS, 32)
KIND(tiles_scales, FOLD_SCALES, 32, true)

void amx_matmul(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end, float *y,
                size_t y_stride) {
    const panel_shape *s = &avx512_shapes[w->type];
    const bool blocks_32 = quant_types[w->type].block == 32, flat = !blocks_32 && s->sums == SUMS_FLAT;
    if (n_tok <= (flat ? STEP_TOK : FEW)) {
        avx512_matmul(w, a, n_tok, row_begin, row_end, y, y_stride);
    } else if (blocks_32) {
        (s->has_min ? tiles_32_min : tiles_32)(w, a, n_tok, row_begin, row_end, y, y_stride, s);
    } else if (flat) {
        (s->has_min ? tiles_flat_min : tiles_flat)(w, a, n_tok, row_begin, row_end, y, y_stride, s);
    } else if (s->has_min) {
        tiles_scales(w, a, n_tok, row_begin, row_end, y, y_stride, s);
    } else {
        (s->sub == 16 ? tiles_bits_16 : tiles_bits_32)(w, a, n_tok, row_begin, row_end, y, y_stride, s);
    }
}
