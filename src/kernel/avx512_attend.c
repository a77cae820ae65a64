/*
 * Attention on AVX-512: a tile of queries meets a chunk of the cache. Some rows of keys, and later of values, become
 * floats once, in L1, and all queries read them there. For few queries a register is the sixteen lanes of a score's
 * sum. For more, keys are transposed: a register is one lane of sixteen keys' sums, and the tree that ends the sums
 * adds whole registers.
 */
#include "kernel/avx512.h"
#include "kernel/generic.h"

/* AHEAD: how many rows ahead of their use memory is asked for them. VALUES: rows of values that are weighed at once,
 * and of keys that are transposed at once. MANY: from so many queries on they are; fewer wait for memory. TOGETHER:
 * queries that meet transposed keys at once. */
enum { AHEAD = 64, VALUES = ATTENTION_ROWS, MANY = 16, TOGETHER = 4 };

#define UNROLL _Pragma("GCC unroll 16")
/* A value that several products read stays in its register; compilers would read memory again for each. */
#define KEEP(v) __asm__("" : "+v"(v))

/* How many floats a row of n takes here: whole registers, with zeros behind n. */
INLINE size_t padded(size_t n) { return (n + LANES - 1) / LANES * LANES; }

/* ---- asking memory ahead of time ------------------------------------------------------------- */

/* Bytes to ask for. Only so many requests can wait at a time, so that they are spread over the products. */
typedef struct {
    const uint8_t *at, *end;
} wish;

INLINE void ask_two(wish *w) {
    if (w->at >= w->end) return;
    _mm_prefetch((const char *)w->at, _MM_HINT_T1);
    _mm_prefetch((const char *)w->at + 64, _MM_HINT_T1);
    w->at += 128;
}

/* The n_rows that will be read AHEAD rows after row j: of the same array, or past its end of the next one. */
INLINE wish wish_for(const uint8_t *rows, size_t row_bytes, const uint8_t *next, size_t next_bytes, uint32_t j,
                     uint32_t end, size_t n_rows) {
    bool same = j + AHEAD < end;
    const uint8_t *at = same ? rows + (j + AHEAD) * row_bytes : next + (j + AHEAD - end) * next_bytes;
    return (wish){at, at + n_rows * (same ? row_bytes : next_bytes)};
}

/* ---- rows of the cache as floats ------------------------------------------------------------- */

/* Values [at, at + 16) of a row, at a multiple of 16. */
typedef __m512 load_cache_fn(const uint8_t *row, size_t at, __mmask16 mask);

INLINE __m512 cache_f32(const uint8_t *row, size_t at, __mmask16 mask) { return load_f32(row + 4 * at, mask); }
INLINE __m512 cache_f16(const uint8_t *row, size_t at, __mmask16 mask) { return load_f16(row + 2 * at, mask); }
INLINE __m512 cache_bf16(const uint8_t *row, size_t at, __mmask16 mask) { return load_bf16(row + 2 * at, mask); }
INLINE __m512 cache_q8_0(const uint8_t *row, size_t at, __mmask16 mask) {
    const uint8_t *block = row + at / 32 * 34;
    __m512i q = _mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(mask, block + 2 + at % 32));
    return _mm512_mul_ps(_mm512_set1_ps(_cvtsh_ss(half_bits(block))), _mm512_cvtepi32_ps(q));
}

/* n_rows rows of n values to floats, in one of these shapes: */
typedef void load_tile_fn(const uint8_t *rows, size_t row_bytes, size_t n_rows, size_t n, float *out,
                          load_cache_fn *load);

/* out [n_rows][padded(n)] */
INLINE void load_rows(const uint8_t *rows, size_t row_bytes, size_t n_rows, size_t n, float *out, load_cache_fn *load) {
    for (size_t r = 0; r < n_rows; r++, rows += row_bytes) {
        size_t at = 0;
        for (; at + LANES <= n; at += LANES, out += LANES) _mm512_store_ps(out, load(rows, at, 0xFFFF));
        if (at == n) continue;
        _mm512_store_ps(out, load(rows, at, first_lanes(n - at)));
        out += LANES;
    }
}

/* out [padded(n)][VALUES]: up to VALUES rows transposed, with zeros behind them */
INLINE void load_columns(const uint8_t *rows, size_t row_bytes, size_t n_rows, size_t n, float *out,
                         load_cache_fn *load) {
    for (size_t r = 0; r < VALUES; r += LANES) {
        for (size_t at = 0; at < n; at += LANES) {
            __m512i in[LANES], column[LANES];
            for (size_t i = 0; i < LANES; i++) {
                __mmask16 there = r + i < n_rows ? first_lanes(n - at) : 0;
                const uint8_t *row = rows + (there ? r + i : 0) * row_bytes;
                in[i] = _mm512_castps_si512(load(row, at, there));
            }
            transpose_16(in, column);
            for (size_t i = 0; i < LANES; i++) _mm512_store_si512(out + (at + i) * VALUES + r, column[i]);
        }
    }
}

INLINE void to_f32(quant_type type, const uint8_t *rows, size_t n_rows, size_t n, float *out, load_tile_fn *tile) {
    size_t row_bytes = quant_row_bytes(type, n);
    switch (type) {
    case QUANT_F16: tile(rows, row_bytes, n_rows, n, out, cache_f16); break;
    case QUANT_BF16: tile(rows, row_bytes, n_rows, n, out, cache_bf16); break;
    case QUANT_Q8_0: tile(rows, row_bytes, n_rows, n, out, cache_q8_0); break;
    default: tile(rows, row_bytes, n_rows, n, out, cache_f32); break;
    }
}

static void rows_to_f32(quant_type type, const uint8_t *rows, size_t n_rows, size_t n, float *out) {
    to_f32(type, rows, n_rows, n, out, load_rows);
}

static void columns_to_f32(quant_type type, const uint8_t *rows, size_t n_rows, size_t n, float *out) {
    to_f32(type, rows, n_rows, n, out, load_columns);
}

/* ---- scores ---------------------------------------------------------------------------------- */

/* The tree over eight sums, down to four lanes: 16 to 8, two a register, then 8 to 4, four a register. */
INLINE void fold_eight(const __m512 v[8], __m512 out[2]) {
    __m512 a[4];
    UNROLL for (int i = 0; i < 4; i++) {
        __m512 x = v[2 * i], y = v[2 * i + 1];
        a[i] = _mm512_add_ps(_mm512_shuffle_f32x4(x, y, 0x44), _mm512_shuffle_f32x4(x, y, 0xEE));
    }
    UNROLL for (int i = 0; i < 2; i++) {
        __m512 x = a[2 * i], y = a[2 * i + 1];
        out[i] = _mm512_add_ps(_mm512_shuffle_f32x4(x, y, 0x88), _mm512_shuffle_f32x4(x, y, 0xDD));
    }
}

/* The rest of sixteen trees, 4 to 2 to 1: lane i of the result is the tree over sum i. */
INLINE __m512 fold_last(const __m512 b[4]) {
    const __m512i in_order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512 c[2];
    UNROLL for (int i = 0; i < 2; i++) {
        __m512 x = b[2 * i], y = b[2 * i + 1];
        c[i] = _mm512_add_ps(_mm512_shuffle_ps(x, y, 0x44), _mm512_shuffle_ps(x, y, 0xEE));
    }
    __m512 d = _mm512_add_ps(_mm512_shuffle_ps(c[0], c[1], 0x88), _mm512_shuffle_ps(c[0], c[1], 0xDD));
    return _mm512_permutexvar_ps(in_order, d);
}

/* sum[i][r] += products of values [at, at + 16) of query i and row r, lane by lane. */
INLINE void score_step(const attention_query *q, size_t n, __mmask16 mask, const float *rows, size_t stride, size_t at,
                       __m512 sum[2][8], wish *w) {
    __m512 x[2];
    ask_two(w);
    for (size_t i = 0; i < n; i++) x[i] = _mm512_maskz_loadu_ps(mask, q[i].q + at);
    UNROLL for (size_t r = 0; r < 8; r++) {
        __m512 row = _mm512_load_ps(rows + r * stride + at);
        KEEP(row);
        for (size_t i = 0; i < n; i++) sum[i][r] = _mm512_fmadd_ps(x[i], row, sum[i][r]);
    }
}

/* Sixteen scores at score + i VALUES: products of query i with the rows of k, n queries (1 or 2). */
INLINE void score_queries(const attention_query *q, size_t n, size_t n_k, const float *k, float *score, wish *w) {
    size_t stride = padded(n_k);
    __m512 fold[2][4];
    UNROLL for (size_t half = 0; half < 2; half++) {
        __m512 sum[2][8];
        UNROLL for (size_t r = 0; r < 8; r++) sum[0][r] = sum[1][r] = _mm512_setzero_ps();
        const float *rows = k + half * 8 * stride;
        size_t at = 0;
        for (; at + LANES <= n_k; at += LANES) score_step(q, n, 0xFFFF, rows, stride, at, sum, w);
        if (at < n_k) score_step(q, n, first_lanes(n_k - at), rows, stride, at, sum, w);
        for (size_t i = 0; i < n; i++) fold_eight(sum[i], fold[i] + 2 * half);
    }
    for (size_t i = 0; i < n; i++) _mm512_store_ps(score + i * VALUES, fold_last(fold[i]));
}

/* VALUES scores at score + i VALUES of query i, n queries (1 or TOGETHER): k as load_columns leaves it. The lanes come
 * in the order in which the tree adds them, so that every sum meets its partner at once. */
INLINE void score_columns(const attention_query *q, size_t n, size_t n_k, const float *k, float *score, wish *w) {
    static const uint8_t order[LANES] = {0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15};
    __m512 tree[5][TOGETHER][2]; /* [level]: of 1 << level lanes */
    UNROLL for (size_t lane = 0; lane < LANES; lane++) {
        __m512 sum[TOGETHER][2];
        size_t level = 0;
        ask_two(w);
        for (size_t i = 0; i < n; i++) sum[i][0] = sum[i][1] = _mm512_setzero_ps();
        for (size_t at = order[lane]; at < n_k; at += LANES) {
            __m512 first = _mm512_load_ps(k + at * VALUES), second = _mm512_load_ps(k + at * VALUES + LANES);
            KEEP(first);
            KEEP(second);
            for (size_t i = 0; i < n; i++) {
                __m512 x = _mm512_set1_ps(q[i].q[at]);
                sum[i][0] = _mm512_fmadd_ps(x, first, sum[i][0]);
                sum[i][1] = _mm512_fmadd_ps(x, second, sum[i][1]);
            }
        }
        for (; lane >> level & 1; level++) {
            for (size_t i = 0; i < n; i++) {
                for (size_t v = 0; v < 2; v++) sum[i][v] = _mm512_add_ps(tree[level][i][v], sum[i][v]);
            }
        }
        for (size_t i = 0; i < n; i++) {
            for (size_t v = 0; v < 2; v++) tree[level][i][v] = sum[i][v];
        }
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t v = 0; v < 2; v++) _mm512_store_ps(score + i * VALUES + v * LANES, tree[4][i][v]);
    }
}

/* ---- weights --------------------------------------------------------------------------------- */

/* exp_f32 of sixteen; scalef rounds once, as do the two products there. */
INLINE __m512 exp_lanes(__m512 x) {
    static const float series[] = {0x1.123ccp-7f, 0x1.555b98p-5f, 0x1.55548ep-3f, 0x1.fffff8p-2f, 1.0f, 1.0f};
    const __m512 shift = _mm512_set1_ps(0x1.8p23f);
    /* the second operand is what comes back where one is NaN */
    __m512 c = _mm512_min_ps(_mm512_set1_ps(89.0f), _mm512_max_ps(_mm512_set1_ps(-104.0f), x));
    __m512 n = _mm512_sub_ps(_mm512_fmadd_ps(c, _mm512_set1_ps(0x1.715476p0f), shift), shift);
    __m512 r = _mm512_fmadd_ps(n, _mm512_set1_ps(-0x1.62e4p-1f), c);
    r = _mm512_fmadd_ps(n, _mm512_set1_ps(-0x1.7f7d1cp-20f), r);
    __m512 p = _mm512_set1_ps(0x1.6d7752p-10f);
    UNROLL for (size_t i = 0; i < sizeof series / sizeof *series; i++) p =
        _mm512_fmadd_ps(p, r, _mm512_set1_ps(series[i]));
    return _mm512_scalef_ps(p, n);
}

/* The positions of a chunk, counted from its first, that a query sees: [from, to), empty for none. */
typedef struct {
    uint32_t from, to;
} range;

INLINE range seen(const attention_query *q, uint32_t chunk) {
    uint32_t origin = chunk * ATTENTION_CHUNK;
    if (!attention_sees(q, chunk)) return (range){0, 0};
    uint32_t to = q->end - origin;
    return (range){q->begin > origin ? q->begin - origin : 0, to < ATTENTION_CHUNK ? to : ATTENTION_CHUNK};
}

/* Whether any of the sixteen positions from j on lies in the range. */
INLINE bool meets(range r, uint32_t j) { return j < r.to && j + LANES > r.from; }

/* The lanes of the sixteen positions from j on that lie in the range. */
INLINE __mmask16 lanes_in(size_t j, range r) {
    if (r.from <= j && j + LANES <= r.to) return 0xFFFF;
    return first_lanes(r.to - j) & (__mmask16)(r.from > j ? 0xFFFFu << (r.from - j) : 0xFFFFu);
}

/* Where a query's scores from position j on stand: [ATTENTION_CHUNK / VALUES][n queries][VALUES], j a multiple of 16.
 */
INLINE float *score_at(float *scores, size_t n, size_t query, size_t j) {
    return scores + (j / VALUES * n + query) * VALUES + j % VALUES;
}

/* Turns the products of query i of n into weights. */
static void weights(const attention_span *s, const attention_query *q, uint32_t origin, range r, float *scores,
                    size_t n, size_t i, float *max, float *total) {
    __m512 top = _mm512_set1_ps(-INFINITY), sum = _mm512_setzero_ps();
    /* then the largest product makes the largest score, since rounding keeps their order */
    bool plain = s->softcap == 0 && q->slope == 0 && s->scale > 0;
    for (uint32_t j = r.from / LANES * LANES; j < r.to; j += LANES) {
        float *at = score_at(scores, n, i, j);
        if (!plain) finish_scores(s, q, origin + j, LANES, at);
        /* a NaN gives way; it comes back as a weight */
        top = _mm512_mask_max_ps(top, lanes_in(j, r), _mm512_load_ps(at), top);
    }
    *max = _mm512_reduce_max_ps(top) * (plain ? s->scale : 1);
    __m512 scale = _mm512_set1_ps(plain ? s->scale : 1);
    for (uint32_t j = r.from / LANES * LANES; j < r.to; j += LANES) {
        float *at = score_at(scores, n, i, j);
        __m512 score = _mm512_mul_ps(_mm512_load_ps(at), scale);
        __m512 e = exp_lanes(_mm512_sub_ps(score, _mm512_set1_ps(*max)));
        _mm512_store_ps(at, e);
        sum = _mm512_mask_add_ps(sum, lanes_in(j, r), sum, e);
    }
    *total = sum_tree(sum);
}

/* ---- values ---------------------------------------------------------------------------------- */

/* part[i][0..16 wide) += sum of weight[i][j] v[j] for n queries and rows [from, to) of v, rising. */
INLINE void weigh(const float *weight, size_t n, size_t from, size_t to, const float *v, size_t stride, size_t wide,
                  float *part, size_t size, wish *w) {
    __m512 sum[4][4];
    UNROLL for (size_t i = 0; i < n; i++) {
        UNROLL for (size_t c = 0; c < wide; c++) sum[i][c] = _mm512_load_ps(part + i * size + c * LANES);
    }
    for (size_t j = from; j < to; j++) {
        __m512 row[4];
        ask_two(w);
        UNROLL for (size_t c = 0; c < wide; c++) row[c] = _mm512_load_ps(v + j * stride + c * LANES);
        UNROLL for (size_t i = 0; i < n; i++) {
            __m512 p = _mm512_set1_ps(weight[i * VALUES + j]);
            UNROLL for (size_t c = 0; c < wide; c++) sum[i][c] = _mm512_fmadd_ps(p, row[c], sum[i][c]);
        }
    }
    UNROLL for (size_t i = 0; i < n; i++) {
        UNROLL for (size_t c = 0; c < wide; c++) _mm512_store_ps(part + i * size + c * LANES, sum[i][c]);
    }
}

INLINE void weigh_row(const float *weight, size_t n, size_t from, size_t to, const float *v, size_t n_v, float *part,
                      size_t size, wish *w) {
    size_t stride = padded(n_v), at = 0;
    if (from >= to) return;
    for (; at + 4 * LANES <= stride; at += 4 * LANES) weigh(weight, n, from, to, v + at, stride, 4, part + at, size, w);
    for (; at < stride; at += LANES) weigh(weight, n, from, to, v + at, stride, 1, part + at, size, w);
}

/* Of the VALUES positions from j on those that the range holds, counted from j. */
INLINE range within(range r, uint32_t j) {
    uint32_t from = r.from > j ? r.from - j : 0, to = r.to > j ? r.to - j : 0;
    return (range){from, to < VALUES ? to : VALUES};
}

/* Four queries: the rows that all of them see together, those before and behind one by one. No query meets a value that
 * it does not see, be it NaN. */
static void weigh_four(const float *weight, const range *seen_by, uint32_t j, const float *v, size_t n_v, float *part,
                       size_t size, wish *w) {
    range r[4], all = {0, VALUES};
    bool same = true;
    for (size_t i = 0; i < 4; i++) {
        r[i] = within(seen_by[i], j);
        all.from = r[i].from > all.from ? r[i].from : all.from;
        all.to = r[i].to < all.to ? r[i].to : all.to;
        same = same && r[i].from == r[0].from && r[i].to == r[0].to;
    }
    if (same) {
        weigh_row(weight, 4, all.from, all.to, v, n_v, part, size, w);
        return;
    }
    if (all.from >= all.to) all.from = all.to = VALUES;
    for (size_t i = 0; i < 4; i++) {
        size_t to = r[i].to < all.from ? r[i].to : all.from;
        weigh_row(weight + i * VALUES, 1, r[i].from, to, v, n_v, part + i * size, size, w);
    }
    weigh_row(weight, 4, all.from, all.to, v, n_v, part, size, w);
    for (size_t i = 0; i < 4; i++) weigh_row(weight + i * VALUES, 1, all.to, r[i].to, v, n_v, part + i * size, size, w);
}

/* ---- a chunk --------------------------------------------------------------------------------- */

void avx512_attend_chunk(const attention_span *s, const attention_query *q, size_t n, uint32_t chunk, float *parts,
                         float *scratch) {
    float *scores = scratch;
    float *tile = scratch + ATTENTION_QUERIES * ATTENTION_CHUNK;
    size_t size = attention_part_size(s->n_v);
    size_t k_bytes = quant_row_bytes(s->k_type, s->n_k), v_bytes = quant_row_bytes(s->v_type, s->n_v);
    uint32_t origin = chunk * ATTENTION_CHUNK;
    range r[ATTENTION_QUERIES], all = {ATTENTION_CHUNK, 0};
    float max[ATTENTION_QUERIES], total[ATTENTION_QUERIES];
    for (size_t i = 0; i < n; i++) {
        r[i] = seen(&q[i], chunk);
        if (r[i].to == 0) continue;
        all.from = r[i].from < all.from ? r[i].from : all.from;
        all.to = r[i].to > all.to ? r[i].to : all.to;
    }
    const uint8_t *k = s->k + origin * k_bytes, *v = s->v + origin * v_bytes;
    uint32_t first = all.from / LANES * LANES;
    for (uint32_t j = all.from / VALUES * VALUES; n >= MANY && j < all.to; j += VALUES) {
        columns_to_f32(s->k_type, k + j * k_bytes, all.to - j < VALUES ? all.to - j : VALUES, s->n_k, tile);
        wish w = wish_for(k, k_bytes, v + first * v_bytes, v_bytes, j, all.to, VALUES);
        for (size_t i = 0; i < n;) {
            size_t together = i + TOGETHER <= n ? TOGETHER : 1;
            bool any = false;
            for (size_t t = i; t < i + together; t++) any = any || meets(r[t], j) || meets(r[t], j + LANES);
            if (any && together > 1) score_columns(q + i, TOGETHER, s->n_k, tile, score_at(scores, n, i, j), &w);
            if (any && together == 1) score_columns(q + i, 1, s->n_k, tile, score_at(scores, n, i, j), &w);
            i += together;
        }
        while (w.at < w.end) ask_two(&w);
    }
    for (uint32_t j = first; n < MANY && j < all.to; j += LANES) {
        size_t n_rows = all.to - j < LANES ? all.to - j : LANES;
        rows_to_f32(s->k_type, k + j * k_bytes, n_rows, s->n_k, tile);
        wish w = wish_for(k, k_bytes, v + first * v_bytes, v_bytes, j, all.to, LANES);
        for (size_t i = 0; i < n; i += 2) {
            bool two = i + 1 < n;
            if (!meets(r[i], j) && !(two && meets(r[i + 1], j))) continue;
            if (two) {
                score_queries(q + i, 2, s->n_k, tile, score_at(scores, n, i, j), &w);
            } else {
                score_queries(q + i, 1, s->n_k, tile, score_at(scores, n, i, j), &w);
            }
        }
        while (w.at < w.end) ask_two(&w);
    }
    for (size_t i = 0; i < n; i++) {
        if (r[i].to == 0) continue;
        weights(s, &q[i], origin, r[i], scores, n, i, &max[i], &total[i]);
        memset(parts + i * size, 0, size * sizeof *parts);
    }
    for (uint32_t j = all.from / VALUES * VALUES; j < all.to; j += VALUES) {
        uint32_t from = j < first ? first - j : 0, to = all.to - j < VALUES ? all.to - j : VALUES;
        rows_to_f32(s->v_type, v + (j + from) * v_bytes, to - from, s->n_v, tile + from * padded(s->n_v));
        wish w = wish_for(v, v_bytes, k + ATTENTION_CHUNK * k_bytes, k_bytes, j, all.to, VALUES);
        size_t i = 0;
        for (; i + 4 <= n; i += 4)
            weigh_four(score_at(scores, n, i, j), r + i, j, tile, s->n_v, parts + i * size, size, &w);
        for (; i < n; i++) {
            range own = within(r[i], j);
            weigh_row(score_at(scores, n, i, j), 1, own.from, own.to, tile, s->n_v, parts + i * size, size, &w);
        }
        while (w.at < w.end) ask_two(&w);
    }
    for (size_t i = 0; i < n; i++) {
        if (r[i].to == 0) continue;
        parts[i * size + s->n_v] = max[i];
        parts[i * size + s->n_v + 1] = total[i];
    }
}
