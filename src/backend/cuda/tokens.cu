/*
 * Operations that work token by token: a thread block takes its token through several of them in one launch, and its
 * threads meet behind each. Sums run as on the CPU: over 16 lanes, each in rising order, then the tree.
 */
#include "backend/cuda/device.cuh"
#include "backend/kinds.h"

enum { NORM_TILE = 2048, MAX_DEVICE_EXPERTS = 1024, MANY_THREADS = 1024, FEW_THREADS = 256, FEW_TOKENS = 32 };

struct shared_memory {
    float tile[NORM_TILE]; /* also the experts' values */
    float score[MAX_DEVICE_EXPERTS];
    bool taken[MAX_DEVICE_EXPERTS];
    float sum;
    uint32_t bad;
};

struct place {
    const device_op *o;
    device_step *s;
    shared_memory *m;
    size_t t; /* the token */
    uint32_t thread, n_threads;
};

DEVICE void report(const place &p) {
    atomicMin(&p.s->bad, (unsigned long long)p.o->index << 32 | (unsigned long long)p.t);
}

DEVICE bool is_finite(float x) { return (f32_bits(x) & 0x7FFFFFFF) < 0x7F800000; }

/* ---- norms --------------------------------------------------------------------------------------- */

DEVICE float add_to_lane(float lane, float x, float mean, bool squares) {
    float v = x - mean; /* mean is 0 where there is none */
    return squares ? fmaf(v, v, lane) : lane + v;
}

/* The sum over one long row: all threads bring it to shared memory, 16 lanes add it up. Every thread gets it. */
DEVICE float row_sum(const place &p, const float *x, uint32_t n, float mean, bool squares) {
    float lane = 0;
    for (uint32_t begin = 0; begin < n; begin += NORM_TILE) {
        uint32_t m = n - begin < NORM_TILE ? n - begin : (uint32_t)NORM_TILE;
        __syncthreads();
        for (uint32_t i = p.thread; i < m; i += p.n_threads) p.m->tile[i] = x[begin + i];
        __syncthreads();
        if (p.thread < LANES) {
            for (uint32_t i = p.thread; i < m; i += LANES) lane = add_to_lane(lane, p.m->tile[i], mean, squares);
        }
    }
    if (p.thread < 32) lane = sum_16(lane);
    if (p.thread == 0) p.m->sum = lane;
    __syncthreads();
    return p.m->sum;
}

DEVICE float normed(float x, float mean, float scale, const float *w, const float *bias, uint32_t i) {
    float v = (x - mean) * scale;
    return !w ? v : bias ? fmaf(v, w[i], bias[i]) : v * w[i];
}

/* A layer norm's mean is taken off first; an RMS norm's x - 0 is x. */
DEVICE void norm(const place &p, bool centred) {
    const device_op *o = p.o;
    const float *x = o->in + p.t * (o->in_stride ? o->in_stride : o->n);
    float *y = o->out + p.t * (o->out_stride ? o->out_stride : o->n);
    uint32_t group = o->group ? o->group : o->n;
    if (group == o->n) {
        float mean = centred ? row_sum(p, x, group, 0, false) / (float)group : 0;
        float scale = 1.0f / sqrtf(row_sum(p, x, group, mean, true) / (float)group + o->eps);
        for (uint32_t i = p.thread; i < group; i += p.n_threads)
            y[i] = normed(x[i], mean, scale, o->vector, o->vector2, i);
        return;
    }
    /* a half warp each; all lanes take part in the tree, so that none leaves the loop early */
    uint32_t n_groups = o->n / group, lane = p.thread % LANES, half = p.thread / LANES, halves = p.n_threads / LANES;
    for (uint32_t begin = 0; begin < n_groups; begin += halves) {
        bool here = begin + half < n_groups;
        uint32_t at = here ? (begin + half) * group : 0, from = o->shared ? 0 : at;
        float mean = 0, sum = 0;
        for (uint32_t i = lane; centred && here && i < group; i += LANES) sum = add_to_lane(sum, x[at + i], 0, false);
        if (centred) mean = sum_16(sum) / (float)group;
        sum = 0;
        for (uint32_t i = lane; here && i < group; i += LANES) sum = add_to_lane(sum, x[at + i], mean, true);
        float scale = 1.0f / sqrtf(sum_16(sum) / (float)group + o->eps);
        const float *w = o->vector ? o->vector + from : NULL, *bias = o->vector2 ? o->vector2 + from : NULL;
        for (uint32_t i = lane; here && i < group; i += LANES) y[at + i] = normed(x[at + i], mean, scale, w, bias, i);
    }
}

/* ---- int8 ---------------------------------------------------------------------------------------- */

/* A row of n values to blocks: a warp takes a block, a lane block / 32 values. Block b goes to number first + b *
 * stride of q, scale and sum; scales are multiplied with `factor` where it is not 1. */
DEVICE void quantize_row(const place &p, const float *x, uint32_t n, size_t first, size_t stride, float factor) {
    const device_act &a = p.o->act;
    const uint32_t each = a.block / 32, lane = p.thread % 32;
    for (uint32_t b = p.thread / 32; b < n / a.block; b += p.n_threads / 32) {
        const float *from = x + (size_t)b * a.block + lane * each;
        uint32_t bits = 0;
        for (uint32_t i = 0; i < each; i++) bits = max(bits, f32_bits(from[i]) & 0x7FFFFFFF);
        for (int half = 16; half > 0; half /= 2) bits = max(bits, __shfl_xor_sync(EVERY_LANE, bits, half));
        if (bits >= 0x7F800000) { /* the same in all lanes */
            if (lane == 0) report(p);
            continue;
        }
        float amax = f32_from_bits(bits), inverse = amax < 1e-30f ? 0.0f : 127.0f / amax;
        const float shift = 0x1.8p23f;
        size_t to = first + b * stride;
        int sum = 0;
        for (uint32_t i = 0; i < each; i++) {
            int8_t q = (int8_t)(f32_bits(from[i] * inverse + shift) - f32_bits(shift));
            a.q[to * a.block + lane * each + i] = q;
            sum += q;
        }
        uint32_t lanes = ACTIVATION_SUB / each; /* that share a sum */
        for (uint32_t half = lanes / 2; half > 0; half /= 2) sum += __shfl_xor_sync(EVERY_LANE, sum, (int)half);
        if (lane % lanes == 0) a.sum[to * (a.block / ACTIVATION_SUB) + lane / lanes] = (int16_t)sum;
        float scale = amax < 1e-30f ? 0.0f : amax / 127.0f;
        if (lane == 0) a.scale[to] = factor == 1 ? scale : scale * factor;
    }
}

DEVICE void check_row(const place &p, const float *x, uint32_t n) {
    for (uint32_t i = p.thread; i < n; i += p.n_threads) {
        if (!is_finite(x[i])) report(p);
    }
}

DEVICE void quantize(const place &p) {
    const device_op *o = p.o;
    const float *x = o->in + p.t * o->n;
    if (o->act.block == 1) {
        check_row(p, x, o->n);
    } else {
        quantize_row(p, x, o->n, p.t, p.s->n_tok, 1);
    }
}

/* Row i of those that one matrix reads, which stand behind `before` others. */
DEVICE void put_row(const place &p, const float *x, size_t before, size_t i, size_t n_rows, float scale) {
    const device_op *o = p.o;
    const device_act &a = o->act;
    if (a.block > 1) {
        quantize_row(p, x, o->n, before * (o->n / a.block) + i, n_rows, scale);
        return;
    }
    float *to = a.x + (before + i) * o->n;
    for (uint32_t k = p.thread; k < o->n; k += p.n_threads) {
        float v = x[k] * scale;
        to[k] = v;
        if (!is_finite(v)) report(p);
    }
}

DEVICE void quantize_slots(const place &p) {
    const device_op *o = p.o;
    const device_routing &r = o->routing;
    for (uint32_t k = 0; k < r.n_used; k++) {
        size_t at = p.t * r.n_used + k;
        uint32_t slot = r.slot[at], e = r.expert[at], before = r.first[e];
        const float *x = o->in + (o->gather ? p.t : slot) * o->n;
        put_row(p, x, before, slot - before, r.first[e + 1] - before, o->weight_first ? r.weight[at] : 1);
    }
}

DEVICE void quantize_heads(const place &p) {
    const device_op *o = p.o;
    for (uint32_t h = 0; h < o->n_head; h++)
        put_row(p, o->in + (p.t * o->n_head + h) * o->in_stride, (size_t)h * p.s->n_tok, p.t, p.s->n_tok, 1);
}

/* ---- positions ----------------------------------------------------------------------------------- */

DEVICE void rope_angles(const place &p) {
    const device_rope &r = p.o->rope;
    uint32_t half = r.n_rot / 2;
    for (uint32_t i = p.thread; i < half; i += p.n_threads) {
        double s, c;
        sincos_f64((double)(p.s->position + p.t) * r.inverse_frequency[i], &s, &c);
        r.sin[p.t * half + i] = (float)s * r.scale;
        r.cos[p.t * half + i] = (float)c * r.scale;
    }
}

DEVICE void rope(const place &p) {
    const device_op *o = p.o;
    const device_rope &r = o->rope;
    uint32_t half = r.n_rot / 2, stride = o->n / o->n_head;
    for (uint32_t k = p.thread; k < o->n_head * half; k += p.n_threads) {
        uint32_t h = k / half, i = k % half;
        float *x = o->out + p.t * o->n + o->offset + h * stride, *a = r.halves ? x + i : x + 2 * i,
              *b = a + (r.halves ? half : 1);
        float c = r.cos[p.t * half + i], s = r.sin[p.t * half + i], u = *a, v = *b;
        *a = fmaf(u, c, -(v * s));
        *b = fmaf(u, s, v * c);
    }
}

DEVICE void temperature(const place &p) {
    const device_op *o = p.o;
    uint64_t whole = ((uint64_t)p.s->position + p.t + o->shift) / o->period;
    float scale = (float)(1 + (double)o->scale * log_f64(1 + (double)whole));
    for (uint32_t i = p.thread; i < o->n; i += p.n_threads) o->out[p.t * o->n + i] *= scale;
}

/* A block of 32 of the cache by one warp, a value a lane. */
DEVICE void store_q8_0(float x, uint8_t *block, uint32_t lane) {
    uint32_t bits = f32_bits(x) & 0x7FFFFFFF;
    for (int half = 16; half > 0; half /= 2) bits = max(bits, __shfl_xor_sync(EVERY_LANE, bits, half));
    float amax = f32_from_bits(bits);
    bool zero = amax < 1e-30f, bad = bits >= 0x7F800000;
    float inverse = zero || bad ? 0.0f : 127.0f / amax, v = bad ? 1.0f : x * inverse;
    if (lane == 0) {
        uint32_t d = bad ? 0x7E00 : f32_to_f16(zero ? 0.0f : amax / 127.0f);
        block[0] = (uint8_t)d;
        block[1] = (uint8_t)(d >> 8);
    }
    block[2 + lane] = (uint8_t)(f32_bits(v + 0x1.8p23f) - f32_bits(0x1.8p23f));
}

/* All heads' rows of n values at row `row` of the cache. */
DEVICE void store_heads(const place &p, const float *x, uint8_t *cache, quant_type type, uint32_t n, uint32_t row_bytes,
                        uint32_t row) {
    const device_cache &c = p.o->cache;
    uint32_t all = c.n_head_kv * n;
    for (uint32_t k = p.thread; k < all; k += p.n_threads) { /* n is a multiple of 32 for Q8_0: warps stay whole */
        uint8_t *to = cache + ((size_t)(k / n) * c.n_ctx + row) * row_bytes;
        uint32_t i = k % n;
        if (type == QUANT_F16) {
            *(uint16_t *)(void *)(to + 2 * i) = f32_to_f16(x[k]);
        } else if (type == QUANT_BF16) {
            *(uint16_t *)(void *)(to + 2 * i) = f32_to_bf16(x[k]);
        } else if (type == QUANT_Q8_0) {
            store_q8_0(x[k], to + i / 32 * 34, i % 32);
        } else {
            *(float *)(void *)(to + 4 * i) = x[k];
        }
    }
}

DEVICE void store(const place &p) {
    const device_op *o = p.o;
    const device_cache &c = o->cache;
    uint32_t position = p.s->position + (uint32_t)p.t, row = c.is_ring ? position % c.n_ctx : position;
    store_heads(p, o->in + p.t * c.n_head_kv * c.n_k, c.k, c.k_type, c.n_k, c.k_bytes, row);
    uint32_t v_stride = o->in_stride ? o->in_stride : c.n_head_kv * c.n_v;
    store_heads(p, o->in2 + p.t * v_stride, c.v, c.v_type, c.n_v, c.v_bytes, row);
}

/* The cache of a convolution: float32 rows [n]. */
DEVICE float *conv_row(const device_op *o, uint32_t position) {
    return (float *)(void *)o->cache.k + (size_t)(position % o->cache.n_ctx) * o->n;
}

DEVICE void conv_store(const place &p) {
    const device_op *o = p.o;
    const float *gate = o->in + p.t * 3 * o->n, *x = gate + 2 * o->n;
    float *row = conv_row(o, p.s->position + (uint32_t)p.t);
    for (uint32_t i = p.thread; i < o->n; i += p.n_threads) row[i] = gate[i] * x[i];
}

DEVICE void convolve(const place &p) {
    const device_op *o = p.o;
    const float *gate = o->in + p.t * 3 * o->n + o->n;
    uint32_t position = p.s->position + (uint32_t)p.t;
    for (uint32_t i = p.thread; i < o->n; i += p.n_threads) {
        float y = 0;
        for (uint32_t j = 0; j < o->period; j++) {
            if (position + j + 1 < o->period) continue; /* before the text */
            y += o->vector[i * o->period + j] * conv_row(o, position + j + 1 - o->period)[i];
        }
        o->out[p.t * o->n + i] = y * gate[i];
    }
}

/* ---- value by value ------------------------------------------------------------------------------ */

DEVICE float relu_squared(float x) {
    float r = x > 0 ? x : x < 0 ? 0 : x; /* NaN stays */
    return r * r;
}

DEVICE float swiglu_oai(float x, float up) {
    float g = x > 7.0f ? 7.0f : x, u = up > 7.0f ? 7.0f : up < -7.0f ? -7.0f : up;
    return g / (1.0f + exp_f32(-1.702f * g)) * (u + 1.0f);
}

DEVICE float xielu(float x, const float *a) {
    float low = x < a[3] ? x : a[3], negative = (exp_f32(low) - 1.0f - x) * a[0], positive = a[1] * x * x;
    return fmaf(a[2], x, x > 0 ? positive : negative);
}

DEVICE float activated(uint32_t kind, const float *a, float x) {
    switch (kind) {
    case ACT_SILU: return silu_f32(x);
    case ACT_GELU: return gelu_f32(x);
    case ACT_GELU_ERF: return gelu_erf_f32(x);
    case ACT_RELU_SQUARED: return relu_squared(x);
    default: return xielu(x, a);
    }
}

DEVICE void activate(const place &p) {
    const device_op *o = p.o;
    for (uint32_t i = p.thread; i < o->n; i += p.n_threads) {
        size_t at = p.t * o->n + i;
        if (o->activation == ACT_SWIGLU_OAI) {
            o->out[at] = swiglu_oai(o->in[at], o->in2[at]);
        } else {
            float y = activated(o->activation, o->xielu, o->in[at]);
            o->out[at] = o->in2 ? y * o->in2[at] : y;
        }
    }
}

DEVICE void each_value(const place &p) {
    const device_op *o = p.o;
    float gate = o->kind == OP_GATE ? 1 / (1 + exp_f32(-o->in2[p.t])) : 0;
    for (uint32_t i = p.thread; i < o->n; i += p.n_threads) {
        size_t at = p.t * o->n + i;
        float x = o->in[at];
        switch (o->kind) {
        case OP_ADD: x = x + o->in2[at]; break;
        case OP_SCALE: x = x * o->scale; break;
        case OP_CLAMP: x = x < -o->scale ? -o->scale : x > o->scale ? o->scale : x; break;
        case OP_SOFTCAP: x = o->scale * tanh_f32(x / o->scale); break;
        case OP_GATE: x = x * gate; break;
        default: x = x + o->vector[i]; break; /* OP_ADD_VECTOR, whose in is its out */
        }
        o->out[at] = x;
    }
}

DEVICE void select_row(const place &p) {
    const device_op *o = p.o;
    for (uint32_t i = p.thread; i < o->n; i += p.n_threads)
        o->out[p.t * o->n + i] = o->in[(p.s->first_row + p.t) * o->n + i];
}

DEVICE void copy_heads(const place &p) {
    const device_op *o = p.o;
    for (uint32_t k = p.thread; k < o->n_head * o->n; k += p.n_threads) {
        size_t head = p.t * o->n_head + k / o->n;
        o->out[head * o->out_stride + k % o->n] = o->in[head * o->in_stride + k % o->n];
    }
}

/* ---- experts ------------------------------------------------------------------------------------- */

/* x becomes softmax(x), by one thread but for the exponentials; the sum runs in order, as the CPU's. */
DEVICE void softmax(const place &p, float *x, uint32_t n) {
    if (p.thread == 0) {
        float top = x[0];
        for (uint32_t i = 1; i < n; i++) top = x[i] > top ? x[i] : top;
        p.m->sum = top;
    }
    __syncthreads();
    for (uint32_t i = p.thread; i < n; i += p.n_threads) x[i] = exp_f32(x[i] - p.m->sum);
    __syncthreads();
    if (p.thread == 0) {
        float sum = 0;
        for (uint32_t i = 0; i < n; i++) sum += x[i];
        p.m->sum = sum;
    }
    __syncthreads();
    for (uint32_t i = p.thread; i < n; i += p.n_threads) x[i] /= p.m->sum;
    __syncthreads();
}

/* The largest score that is not taken, the first of those that are equal; by one warp, the same in every lane. */
DEVICE uint32_t take_best(const float *score, uint32_t n, bool *taken, uint32_t lane) {
    uint32_t best = n;
    for (uint32_t i = lane; i < n; i += 32) {
        if (!taken[i] && (best == n || score[i] > score[best])) best = i;
    }
    float top = best < n ? score[best] : 0;
    for (int half = 16; half > 0; half /= 2) {
        uint32_t other = __shfl_xor_sync(EVERY_LANE, best, half);
        float value = __shfl_xor_sync(EVERY_LANE, top, half);
        bool better = other < n && (best == n || value > top || (value == top && other < best));
        best = better ? other : best;
        top = better ? value : top;
    }
    __syncwarp();
    if (lane == 0) taken[best] = true;
    __syncwarp();
    return best;
}

/* Experts of all but the best groups count as taken; a group is as good as its best, or its best two. By one thread. */
DEVICE void exclude_groups(const device_routing &r, const float *score, bool by_two, float *group_score, bool *taken) {
    uint32_t size = r.n_expert / r.n_group;
    for (uint32_t g = 0; g < r.n_group; g++) {
        float first = -INFINITY, second = -INFINITY;
        for (uint32_t i = g * size; i < (g + 1) * size; i++) {
            taken[i] = true;
            second = score[i] > first ? first : score[i] > second ? score[i] : second;
            first = score[i] > first ? score[i] : first;
        }
        group_score[g] = by_two && size > 1 ? first + second : first;
    }
    for (uint32_t k = 0; k < r.n_group_used; k++) {
        uint32_t best = r.n_group;
        for (uint32_t g = 0; g < r.n_group; g++) {
            if (taken[g * size] && (best == r.n_group || group_score[g] > group_score[best])) best = g;
        }
        for (uint32_t i = best * size; i < (best + 1) * size; i++) taken[i] = false;
    }
}

/* The weights of a token's experts, by one thread. */
DEVICE void weigh(const device_routing &r, const float *value, const uint32_t *expert, float *weight) {
    for (uint32_t k = 0; k < r.n_used; k++) weight[k] = value[expert[k]];
    if (r.gating == GATE_SOFTMAX_LAST) {
        float top = weight[0], sum = 0;
        for (uint32_t k = 1; k < r.n_used; k++) top = weight[k] > top ? weight[k] : top;
        for (uint32_t k = 0; k < r.n_used; k++) sum += weight[k] = exp_f32(weight[k] - top);
        for (uint32_t k = 0; k < r.n_used; k++) weight[k] /= sum;
    }
    float sum = r.normalise ? 0 : 1;
    for (uint32_t k = 0; r.normalise && k < r.n_used; k++) sum += weight[k];
    for (uint32_t k = 0; k < r.n_used; k++) weight[k] = weight[k] / (sum > 1e-20f ? sum : 1e-20f) * r.scale;
}

DEVICE void route(const place &p) {
    const device_op *o = p.o;
    const device_routing &r = o->routing;
    const float *logit = o->in + p.t * r.n_expert;
    uint32_t *expert = r.expert + p.t * r.n_used;
    float *value = p.m->tile, *score = p.m->score;
    bool *taken = p.m->taken;
    for (uint32_t i = p.thread; i < r.n_expert; i += p.n_threads) {
        value[i] = r.gating == GATE_SIGMOID ? 1 / (1 + exp_f32(-logit[i])) : logit[i];
        taken[i] = false;
    }
    __syncthreads();
    if (r.gating == GATE_SOFTMAX) softmax(p, value, r.n_expert);
    for (uint32_t i = p.thread; i < r.n_expert; i += p.n_threads)
        score[i] = (r.by_logit ? logit[i] : value[i]) + (o->vector ? o->vector[i] : 0);
    __syncthreads();
    if (p.thread == 0 && r.n_group > 1)
        exclude_groups(r, score, o->vector != NULL, p.m->tile + MAX_DEVICE_EXPERTS, taken);
    __syncthreads();
    if (p.thread < 32) {
        for (uint32_t k = 0; k < r.n_used; k++) { /* kept in rising order */
            uint32_t e = take_best(score, r.n_expert, taken, p.thread), at = k;
            if (p.thread != 0) continue;
            for (; at > 0 && expert[at - 1] > e; at--) expert[at] = expert[at - 1];
            expert[at] = e;
        }
        if (p.thread == 0) weigh(r, value, expert, r.weight + p.t * r.n_used);
    }
}

DEVICE void add_expert_vectors(const place &p) {
    const device_op *o = p.o;
    const device_routing &r = o->routing;
    for (uint32_t k = 0; k < r.n_used; k++) {
        size_t at = p.t * r.n_used + k, slot = r.slot[at];
        const float *bias = o->vector + (size_t)r.expert[at] * o->n;
        for (uint32_t i = p.thread; i < o->n; i += p.n_threads) o->out[slot * o->n + i] += bias[i];
    }
}

DEVICE void sum_experts(const place &p) {
    const device_op *o = p.o;
    const device_routing &r = o->routing;
    for (uint32_t i = p.thread; i < o->n; i += p.n_threads) {
        float y = 0;
        for (uint32_t k = 0; k < r.n_used; k++) {
            size_t at = p.t * r.n_used + k;
            y = fmaf(o->in[(size_t)r.slot[at] * o->n + i], o->weight_first ? 1 : r.weight[at], y);
        }
        o->out[p.t * o->n + i] = y;
    }
}

/* A thread an expert: counts its slots, and puts them behind those of the experts before it. One thread block. */
static __global__ void group_slots(const device_op *o, uint32_t n_tok) {
    __shared__ uint32_t count[MAX_DEVICE_EXPERTS];
    const device_routing &r = o->routing;
    uint32_t n_slots = n_tok * r.n_used, e = threadIdx.x, n = 0;
    for (uint32_t i = 0; i < n_slots; i++) n += r.expert[i] == e;
    if (e < r.n_expert) count[e] = n;
    __syncthreads();
    if (e >= r.n_expert) return;
    uint32_t slot = 0;
    for (uint32_t before = 0; before < e; before++) slot += count[before];
    r.first[e] = slot;
    if (e == r.n_expert - 1) r.first[e + 1] = n_slots;
    for (uint32_t i = 0; i < n_slots; i++) {
        if (r.expert[i] != e) continue;
        r.slot[i] = slot;
        r.slot_token[slot] = i / r.n_used;
        r.slot_expert[slot++] = e;
    }
}

bool gpu_group_slots(gpu_queue *q, const device_op *op, uint32_t n_expert, uint32_t n_tok, gguf_error *err) {
    LAUNCH(group_slots, dim3(1), (n_expert + 31) / 32 * 32, gpu_stream(q), op, n_tok);
    return gpu_launched("the order of experts", err);
}

/* ---- all of them --------------------------------------------------------------------------------- */

DEVICE void run_one(const place &p) {
    switch (p.o->kind) {
    case OP_SELECT: select_row(p); break;
    case OP_ROPE_TABLE: rope_angles(p); break;
    case OP_RMS_NORM: norm(p, false); break;
    case OP_LAYER_NORM: norm(p, true); break;
    case OP_QUANTIZE: quantize(p); break;
    case OP_ROPE: rope(p); break;
    case OP_TEMPERATURE: temperature(p); break;
    case OP_STORE: store(p); break;
    case OP_ACTIVATE: activate(p); break;
    case OP_ROUTE: route(p); break;
    case OP_QUANTIZE_EXPERTS: quantize_slots(p); break;
    case OP_ADD_EXPERT_VECTOR: add_expert_vectors(p); break;
    case OP_SUM_EXPERTS: sum_experts(p); break;
    case OP_QUANTIZE_HEADS: quantize_heads(p); break;
    case OP_COPY_HEADS: copy_heads(p); break;
    case OP_CONV_STORE: conv_store(p); break;
    case OP_CONV: convolve(p); break;
    default: each_value(p); break;
    }
}

static __global__ void __launch_bounds__(MANY_THREADS)
    run_tokens(const device_op *ops, uint32_t first, uint32_t n, device_step *s) {
    __shared__ shared_memory m;
    for (uint32_t i = first; i < first + n; i++) {
        place p = {ops + i, s, &m, blockIdx.x, threadIdx.x, blockDim.x};
        run_one(p);
        __syncthreads();
    }
}

bool gpu_tokens(gpu_queue *q, const device_op *ops, uint32_t first, uint32_t n, device_step *s, uint32_t n_tok,
                gguf_error *err) {
    LAUNCH(run_tokens, dim3(n_tok), n_tok < FEW_TOKENS ? MANY_THREADS : FEW_THREADS, gpu_stream(q), ops, first, n, s);
    return gpu_launched("operations by token", err);
}
