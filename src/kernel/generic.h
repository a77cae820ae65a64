/*
 * Every kernel in plain C: the definition of the arithmetic (kernel.h). A tier's file includes this, compiled with its
 * own instructions, and may put faster slots over it; the compiler's vectors change no bit, since integer sums
 * are exact and float sums have their lanes written out.
 */
#include "kernel/fmath.h"
#include "kernel/kernel.h"

/* The tree over the lanes: upper half onto lower. Leaves the sum in lane 0. */
INLINE float sum_lanes(float lane[LANES]) {
    for (size_t half = LANES / 2; half > 0; half /= 2) {
        for (size_t i = 0; i < half; i++) lane[i] += lane[i + half];
    }
    return lane[0];
}

/* lane[i mod 16] += a[i] * b[i], where a begins at a multiple of 16. */
INLINE void dot_lanes(const float *a, const float *b, size_t n, float lane[LANES]) {
    float l[LANES];
    memcpy(l, lane, sizeof l);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (size_t j = 0; j < LANES; j++) l[j] = fmaf(a[i + j], b[i + j], l[j]);
    }
    for (size_t j = 0; i + j < n; j++) l[j] = fmaf(a[i + j], b[i + j], l[j]);
    memcpy(lane, l, sizeof l);
}

/* ---- activations ----------------------------------------------------------------------------- */

/* The largest magnitude, by its bits: NaN and infinity are the largest of all, so that none is lost. */
INLINE uint32_t max_bits(const float *x, size_t n) {
    uint32_t max = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t u = f32_bits(x[i]) & 0x7FFFFFFF;
        max = u > max ? u : max;
    }
    return max;
}

static const uint32_t infinity_bits = 0x7F800000;

static inline bool g_all_finite(const float *x, size_t n) { return max_bits(x, n) < infinity_bits; }

static inline bool g_quantize(const float *x, size_t n, size_t block, size_t stride, int8_t *q, float *scale,
                              int16_t *sum) {
    const size_t n_sums = block / ACTIVATION_SUB;
    for (size_t b = 0; b < n; b += block, x += block, q += stride * block, scale += stride, sum += stride * n_sums) {
        uint32_t bits = max_bits(x, block);
        if (bits >= infinity_bits) return false;
        float amax = f32_from_bits(bits);
        bool zero = amax < 1e-30f;
        float inverse = zero ? 0.0f : 127.0f / amax;
        *scale = zero ? 0.0f : amax / 127.0f;
        const float shift = 0x1.8p23f; /* adding it rounds to nearest even and leaves the integer in the low bits */
        for (size_t i = 0; i < block; i++) q[i] = (int8_t)(f32_bits(x[i] * inverse + shift) - f32_bits(shift));
        for (size_t s = 0; s < n_sums; s++) {
            int total = 0;
            for (size_t i = 0; i < ACTIVATION_SUB; i++) total += q[s * ACTIVATION_SUB + i];
            sum[s] = (int16_t)total;
        }
    }
    return true;
}

/* ---- matrices of blocks ---------------------------------------------------------------------- */

/* Tokens that one pass over a row serves: their sums stay in L1 while each block is unpacked once. */
enum { TOKEN_TILE = 64, PLAIN_TILE = 8, PLAIN_PIECE = 256 };

/* The integers I and M of one part of a block; `part` and `sub` are constants where this is inlined. */
INLINE void part_sums(const quant_parts *w, const int8_t *a, const int16_t *sum, size_t part, size_t sub, bool has_min,
                      int32_t *product, int32_t *minimum) {
    int32_t p = 0, m = 0;
    for (size_t s = 0; s < part / sub; s++) {
        int32_t dot = 0;
        for (size_t i = 0; i < sub; i++) dot += (int16_t)w->q[s * sub + i] * (int16_t)a[s * sub + i];
        p += w->scale[s] * dot;
        if (!has_min) continue;
        for (size_t i = 0; i < sub / ACTIVATION_SUB; i++) m += w->min[s] * sum[s * (sub / ACTIVATION_SUB) + i];
    }
    *product = p;
    *minimum = m;
}

/* One part, which begins at column `column`, for n tokens from t0 on: acc[t] += its product. */
INLINE void part_product(const quant_parts *w, const activations *a, size_t n_tok, size_t t0, size_t n, size_t column,
                         size_t part, size_t sub, size_t act, bool has_min, float *acc) {
    size_t first = column / act * n_tok + t0, offset = column % act;
    for (size_t t = 0; t < n; t++) {
        int32_t product, minimum;
        const int16_t *sum = a->sum + ((first + t) * act + offset) / ACTIVATION_SUB;
        part_sums(w, a->q + (first + t) * act + offset, sum, part, sub, has_min, &product, &minimum);
        acc[t] = fmaf((float)product, w->d * a->scale[first + t], acc[t]);
        if (has_min) acc[t] = fmaf(-(float)minimum, w->dmin * a->scale[first + t], acc[t]);
    }
}

INLINE void matmul_blocks(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end,
                          float *y, size_t y_stride, size_t part, size_t sub, size_t act, bool has_min) {
    const quant_row *type = &quant_types[w->type];
    size_t n_blocks = w->n_in / type->block, n_parts = type->block / part;
    for (size_t t0 = 0; t0 < n_tok; t0 += TOKEN_TILE) {
        size_t n = n_tok - t0 < TOKEN_TILE ? n_tok - t0 : TOKEN_TILE;
        for (size_t row = row_begin; row < row_end; row++) {
            float acc[TOKEN_TILE] = {0};
            for (size_t b = 0; b < n_blocks; b++) {
                quant_parts parts[QUANT_MAX_PARTS];
                type->unpack(w->data + row * w->row_bytes + b * type->bytes, parts);
                for (size_t p = 0; p < n_parts; p++) {
                    part_product(&parts[p], a, n_tok, t0, n, b * type->block + p * part, part, sub, act, has_min, acc);
                }
            }
            for (size_t t = 0; t < n; t++) y[(t0 + t) * y_stride + row] = acc[t];
        }
    }
}

/* ---- matrices of plain numbers --------------------------------------------------------------- */

static inline void g_matmul_plain(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end,
                                  float *y, size_t y_stride) {
    const quant_row *type = &quant_types[w->type];
    for (size_t t0 = 0; t0 < n_tok; t0 += PLAIN_TILE) {
        size_t n = n_tok - t0 < PLAIN_TILE ? n_tok - t0 : PLAIN_TILE;
        for (size_t row = row_begin; row < row_end; row++) {
            float lanes[PLAIN_TILE][LANES] = {{0}};
            for (size_t k = 0; k < w->n_in; k += PLAIN_PIECE) {
                float piece[PLAIN_PIECE];
                size_t m = w->n_in - k < PLAIN_PIECE ? w->n_in - k : PLAIN_PIECE;
                type->load(w->data + row * w->row_bytes + k * type->bytes, m, piece);
                for (size_t t = 0; t < n; t++) dot_lanes(piece, a->x + (t0 + t) * w->n_in + k, m, lanes[t]);
            }
            for (size_t t = 0; t < n; t++) y[(t0 + t) * y_stride + row] = sum_lanes(lanes[t]);
        }
    }
}

/* Any type: the shape of its block picks the instance whose loops have constant bounds. */
static inline void g_matmul_any(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end,
                                float *y, size_t y_stride) {
    const quant_row *t = &quant_types[w->type];
    if (t->load) {
        g_matmul_plain(w, a, n_tok, row_begin, row_end, y, y_stride);
        return;
    }
#define PARTS_OF(n_part, n_sub, n_act, minimums)                                                                       \
    if (t->part == (n_part) && t->sub == (n_sub) && t->act == (n_act) && t->has_min == (minimums)) {                   \
        matmul_blocks(w, a, n_tok, row_begin, row_end, y, y_stride, n_part, n_sub, n_act, minimums);                   \
        return;                                                                                                        \
    }
    PARTS_OF(16, 16, 32, false)
    PARTS_OF(32, 32, 32, false)
    PARTS_OF(32, 32, 32, true)
    PARTS_OF(256, 16, 256, false)
    PARTS_OF(256, 16, 256, true)
    PARTS_OF(256, 32, 256, false)
    PARTS_OF(256, 32, 256, true)
#undef PARTS_OF
    matmul_blocks(w, a, n_tok, row_begin, row_end, y, y_stride, t->part, t->sub, t->act, t->has_min);
}

/* ---- vectors --------------------------------------------------------------------------------- */

/* y = x * scale * w + bias, each of w and bias where it is there. */
INLINE void norm_row(const float *x, float scale, const float *w, const float *bias, size_t n, float *y) {
    if (!w) {
        for (size_t i = 0; i < n; i++) y[i] = x[i] * scale;
    } else if (!bias) {
        for (size_t i = 0; i < n; i++) y[i] = x[i] * scale * w[i];
    } else {
        for (size_t i = 0; i < n; i++) y[i] = fmaf(x[i] * scale, w[i], bias[i]);
    }
}

static inline void g_rms_norm(const float *x, const float *w, const float *bias, size_t n, float eps, float *y) {
    float lane[LANES] = {0};
    dot_lanes(x, x, n, lane);
    norm_row(x, 1.0f / sqrtf(sum_lanes(lane) / (float)n + eps), w, bias, n, y);
}

static inline void g_layer_norm(const float *x, const float *w, const float *bias, size_t n, float eps, float *y) {
    float lane[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (size_t j = 0; j < LANES; j++) lane[j] += x[i + j];
    }
    for (size_t j = 0; i + j < n; j++) lane[j] += x[i + j];
    float mean = sum_lanes(lane) / (float)n;
    for (i = 0; i < n; i++) y[i] = x[i] - mean;
    memset(lane, 0, sizeof lane);
    dot_lanes(y, y, n, lane);
    norm_row(y, 1.0f / sqrtf(sum_lanes(lane) / (float)n + eps), w, bias, n, y);
}

static inline void g_rope_pairs(float *x, size_t n_heads, size_t stride, size_t n_rot, const float *cos,
                                const float *sin) {
    for (size_t h = 0; h < n_heads; h++, x += stride) {
        for (size_t i = 0; i < n_rot / 2; i++) {
            float a = x[2 * i], b = x[2 * i + 1];
            x[2 * i] = fmaf(a, cos[i], -(b * sin[i]));
            x[2 * i + 1] = fmaf(a, sin[i], b * cos[i]);
        }
    }
}

static inline void g_rope_halves(float *x, size_t n_heads, size_t stride, size_t n_rot, const float *cos, const float *sin) {
    size_t half = n_rot / 2;
    for (size_t h = 0; h < n_heads; h++, x += stride) {
        for (size_t i = 0; i < half; i++) {
            float a = x[i], b = x[half + i];
            x[i] = fmaf(a, cos[i], -(b * sin[i]));
            x[half + i] = fmaf(a, sin[i], b * cos[i]);
        }
    }
}

static inline float relu_squared(float x) {
    float r = x > 0 ? x : x < 0 ? 0 : x; /* NaN stays */
    return r * r;
}

/* gpt-oss: the gate has an upper limit, and times sigmoid(1.702 gate) takes silu's place. */
static inline float limited_silu(float x) {
    float g = x > 7.0f ? 7.0f : x;
    return g / (1.0f + exp_f32(-1.702f * g));
}

/* xIELU (arXiv 2411.13010) with p = alpha_n, alpha_p, beta, eps. */
static inline float xielu(float x, const float p[4]) {
    float low = x < p[3] ? x : p[3], negative = (exp_f32(low) - 1.0f - x) * p[0], positive = p[1] * x * x;
    return fmaf(p[2], x, x > 0 ? positive : negative);
}

#define ACTIVATE(f)                                                                                                    \
    if (up) {                                                                                                          \
        for (size_t i = 0; i < n; i++) y[i] = f * up[i];                                                               \
    } else {                                                                                                           \
        for (size_t i = 0; i < n; i++) y[i] = f;                                                                       \
    }                                                                                                                  \
    break

static inline void g_activate(activation_kind kind, const float *parameters, const float *gate, const float *up, size_t n,
                       float *y) {
    switch (kind) {
    case ACT_SILU: ACTIVATE(silu_f32(gate[i]));
    case ACT_GELU: ACTIVATE(gelu_f32(gate[i]));
    case ACT_GELU_ERF: ACTIVATE(gelu_erf_f32(gate[i]));
    case ACT_RELU_SQUARED: ACTIVATE(relu_squared(gate[i]));
    case ACT_XIELU: ACTIVATE(xielu(gate[i], parameters));
    case ACT_SWIGLU_OAI:
        for (size_t i = 0; i < n; i++) {
            float u = up[i] > 7.0f ? 7.0f : up[i] < -7.0f ? -7.0f : up[i];
            y[i] = limited_silu(gate[i]) * (u + 1.0f);
        }
        break;
    }
}

static inline void g_scale(const float *x, float s, size_t n, float *y) {
    for (size_t i = 0; i < n; i++) y[i] = x[i] * s;
}

static inline void g_add_scaled(const float *x, float s, size_t n, float *y) {
    for (size_t i = 0; i < n; i++) y[i] = fmaf(x[i], s, y[i]);
}

static inline void g_softcap(const float *x, float cap, size_t n, float *y) {
    for (size_t i = 0; i < n; i++) y[i] = cap * tanh_f32(x[i] / cap);
}

static inline void g_add(const float *a, const float *b, size_t n, float *y) {
    for (size_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}

/* Blocks of 32 as the format has them: a half d = amax / 127, and q = x * (127 / amax) to nearest even. A value that is
 * not finite makes its block NaN, so that it is found where attention's result is quantized. */
static inline void store_q8_0(const float *x, size_t n, uint8_t *row) {
    for (; n > 0; n -= 32, x += 32, row += 34) {
        uint32_t bits = max_bits(x, 32);
        float amax = f32_from_bits(bits);
        bool zero = amax < 1e-30f, bad = bits >= infinity_bits;
        float inverse = zero || bad ? 0.0f : 127.0f / amax;
        uint16_t d = bad ? 0x7E00 : f32_to_f16(zero ? 0.0f : amax / 127.0f);
        memcpy(row, &d, sizeof d);
        for (size_t i = 0; i < 32; i++) {
            float v = bad ? 1.0f : x[i] * inverse;
            row[2 + i] = (uint8_t)(f32_bits(v + 0x1.8p23f) - f32_bits(0x1.8p23f));
        }
    }
}

static inline void g_store(quant_type type, const float *x, size_t n, uint8_t *row) {
    switch (type) {
    case QUANT_F16:
        for (size_t i = 0; i < n; i++) {
            uint16_t h = f32_to_f16(x[i]);
            memcpy(row + 2 * i, &h, sizeof h);
        }
        break;
    case QUANT_BF16:
        for (size_t i = 0; i < n; i++) {
            uint16_t h = f32_to_bf16(x[i]);
            memcpy(row + 2 * i, &h, sizeof h);
        }
        break;
    case QUANT_Q8_0: store_q8_0(x, n, row); break;
    default: memcpy(row, x, n * sizeof *x); break;
    }
}

/* ---- attention ------------------------------------------------------------------------------- */

/* A row of the cache as floats; the usual types here, where the tier's own instructions decode them. */
INLINE void cache_row(quant_type type, const uint8_t *row, size_t n, float *out) {
    uint16_t h;
    if (type == QUANT_F16) {
        for (size_t i = 0; i < n; i++) memcpy(&h, row + 2 * i, 2), out[i] = f16_to_f32(h);
    } else if (type == QUANT_F32) {
        memcpy(out, row, n * sizeof *out);
    } else {
        quant_decode(type, row, n, out);
    }
}

/* Scores of n positions from `first` on, from their products q k. */
INLINE void finish_scores(const attention_span *s, const attention_query *q, uint32_t first, size_t n, float *x) {
    for (size_t j = 0; j < n; j++) x[j] *= s->scale;
    if (s->softcap != 0) {
        for (size_t j = 0; j < n; j++) x[j] = s->softcap * tanh_f32(x[j] / s->softcap);
    }
    if (q->slope != 0) {
        int32_t distance = (int32_t)(first - (q->end - 1));
        for (int32_t j = 0; j < (int32_t)n; j++) x[j] = fmaf(q->slope, (float)(distance + j), x[j]);
    }
}

/* One query's part of its positions [begin, end), which lie in one chunk. */
typedef void attend_one_fn(const attention_span *s, const attention_query *q, uint32_t begin, uint32_t end,
                           float *part);

INLINE void attend_one(const attention_span *s, const attention_query *q, uint32_t begin, uint32_t end, float *part) {
    float p[ATTENTION_CHUNK], row[MAX_HEAD_SIZE]; /* p by absolute position, so that lanes do not depend on `begin` */
    uint32_t origin = begin / ATTENTION_CHUNK * ATTENTION_CHUNK;
    size_t k_bytes = quant_row_bytes(s->k_type, s->n_k), v_bytes = quant_row_bytes(s->v_type, s->n_v);
    float max = -INFINITY;
    for (uint32_t j = begin; j < end; j++) {
        float lane[LANES] = {0};
        cache_row(s->k_type, s->k + j * k_bytes, s->n_k, row);
        dot_lanes(q->q, row, s->n_k, lane);
        p[j - origin] = sum_lanes(lane);
    }
    finish_scores(s, q, begin, end - begin, p + (begin - origin));
    for (uint32_t j = begin - origin; j < end - origin; j++)
        max = p[j] > max ? p[j] : max; /* a NaN is not larger; it comes back through its weight */
    float lane[LANES] = {0};
    for (uint32_t j = begin - origin; j < end - origin; j++) {
        p[j] = exp_f32(p[j] - max);
        lane[j % LANES] += p[j];
    }
    memset(part, 0, s->n_v * sizeof *part);
    for (uint32_t j = begin; j < end; j++) {
        float weight = p[j - origin];
        cache_row(s->v_type, s->v + j * v_bytes, s->n_v, row);
        for (uint32_t i = 0; i < s->n_v; i++) part[i] = fmaf(weight, row[i], part[i]);
    }
    part[s->n_v] = max;
    part[s->n_v + 1] = sum_lanes(lane);
}

/* One query after another. */
INLINE void attend_each(const attention_span *s, const attention_query *q, size_t n, uint32_t chunk, float *parts,
                        attend_one_fn *one) {
    uint32_t first = chunk * ATTENTION_CHUNK, after = first + ATTENTION_CHUNK;
    for (size_t i = 0; i < n; i++, parts += attention_part_size(s->n_v)) {
        if (!attention_sees(&q[i], chunk)) continue;
        one(s, &q[i], q[i].begin > first ? q[i].begin : first, q[i].end < after ? q[i].end : after, parts);
    }
}

static inline void g_attend_chunk(const attention_span *s, const attention_query *q, size_t n, uint32_t chunk,
                                  float *parts, float *scratch) {
    (void)scratch;
    attend_each(s, q, n, chunk, parts, attend_one);
}

static inline void g_attend_merge(float *sum, const float *part, uint32_t n_v) {
    float max = sum[n_v], m = part[n_v], top = m > max ? m : max, keep = exp_f32(max - top), take = exp_f32(m - top);
    for (uint32_t i = 0; i < n_v; i++) sum[i] = fmaf(part[i], take, sum[i] * keep);
    sum[n_v] = top;
    sum[n_v + 1] = fmaf(part[n_v + 1], take, sum[n_v + 1] * keep);
}

static inline void g_attend_end(const float *sum, float sink, uint32_t n_v, float *out) {
    float max = sum[n_v], total = sum[n_v + 1], keep = 1;
    if (sink != -INFINITY) {
        float top = sink > max ? sink : max;
        keep = exp_f32(max - top);
        total = fmaf(total, keep, exp_f32(sink - top));
    }
    for (uint32_t i = 0; i < n_v; i++) out[i] = sum[i] * keep / total;
}

/* ---- the table ------------------------------------------------------------------------------- */

/* What every tier has from here, and what those have that bring vectors of their own. */
#define GENERIC_VECTORS                                                                                                \
    .all_finite = g_all_finite, .rms_norm = g_rms_norm, .layer_norm = g_layer_norm, .rope_pairs = g_rope_pairs,        \
    .rope_halves = g_rope_halves, .scale = g_scale, .add_scaled = g_add_scaled, .softcap = g_softcap, .add = g_add,    \
    .attend_merge = g_attend_merge, .attend_end = g_attend_end

#define GENERIC_KERNELS_ALWAYS(tier_name)                                                                              \
    .name = tier_name, .matmul_any = g_matmul_any, .activate = g_activate, GENERIC_VECTORS

#define GENERIC_KERNELS(tier_name)                                                                                     \
    GENERIC_KERNELS_ALWAYS(tier_name), .quantize = g_quantize, .store = g_store, .attend_chunk = g_attend_chunk
