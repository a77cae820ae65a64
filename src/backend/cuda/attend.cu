/*
 * Attention over the cache, in the CPU's order: chunks of ATTENTION_CHUNK absolute positions, whose parts are merged as
 * they come. A thread block has a tile of queries that share a key head. First a thread is a position: it holds the 16
 * lanes of its scores. Then a thread is a column of the values. Few tokens: a chunk is a thread block's, and the parts
 * are merged by another kernel; else a thread block walks all chunks.
 */
#include "backend/cuda/device.cuh"

enum { MAX_WARPS = ATTEND_THREADS / 32, MERGE_THREADS = 128, MERGE_CHUNKS = 512 };

struct tile_state {
    float q[ATTEND_QUERIES][MAX_HEAD_SIZE];   /* the queries */
    float sum[ATTEND_QUERIES][MAX_HEAD_SIZE]; /* values so far */
    float p[ATTEND_QUERIES][ATTENTION_CHUNK]; /* scores, then weights, of the chunk's positions */
    float warp_max[MAX_WARPS][ATTEND_QUERIES];
    float max[ATTEND_QUERIES], total[ATTEND_QUERIES]; /* so far */
    float chunk_max[ATTEND_QUERIES], chunk_total[ATTEND_QUERIES];
    float keep[ATTEND_QUERIES], take[ATTEND_QUERIES]; /* factors of what is there, and of what comes */
    bool fresh[ATTEND_QUERIES];                       /* nothing is there yet */
};

struct query {
    uint32_t token, head, begin, end; /* sees [begin, end) */
    bool here;
};

DEVICE uint32_t first_seen(const device_op &o, uint32_t position) {
    if (o.window == 0) return 0;
    if (o.chunks) return position / o.window * o.window;
    return position < o.window ? 0 : position - o.window + 1;
}

/* Query i of tile `tile`: of one key head's queries, which stand token by token. */
DEVICE query query_at(const device_op &o, uint32_t tile, uint32_t i, uint32_t position, uint32_t n_tok) {
    uint32_t group = o.n_head / o.cache.n_head_kv, all = group * n_tok,
             per_head = (all + ATTEND_QUERIES - 1) / ATTEND_QUERIES;
    uint32_t kv = tile / per_head, at = tile % per_head * ATTEND_QUERIES + i;
    query q;
    q.here = at < all;
    if (!q.here) at = all - 1;
    q.token = at / group;
    q.head = kv * group + at % group;
    q.begin = first_seen(o, position + q.token);
    q.end = position + q.token + 1;
    return q;
}

/* Value i of a row of the cache. */
DEVICE float cached(quant_type type, const uint8_t *row, uint32_t i) {
    if (type == QUANT_F16) return half_float(*(const uint16_t *)(const void *)(row + 2 * i));
    if (type == QUANT_BF16) return bf16_to_f32(*(const uint16_t *)(const void *)(row + 2 * i));
    if (type == QUANT_F32) return *(const float *)(const void *)(row + 4 * i);
    const uint8_t *block = row + i / 32 * 34;
    return half_float(*(const uint16_t *)(const void *)block) * (float)(int8_t)block[2 + i % 32];
}

/* Sixteen values from i on, of which n are there. */
DEVICE void cached_16(quant_type type, const uint8_t *row, uint32_t i, uint32_t n, float *out) {
    if (type == QUANT_F16 && n == LANES && ((uintptr_t)(row + 2 * i) & 15) == 0) {
#pragma unroll
        for (int h = 0; h < 2; h++) {
            uint4 v = *(const uint4 *)(const void *)(row + 2 * i + 16 * h);
            uint32_t w[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
            for (int k = 0; k < 8; k++) out[8 * h + k] = half_float((uint16_t)(w[k / 2] >> (16 * (k % 2))));
        }
        return;
    }
#pragma unroll
    for (uint32_t k = 0; k < LANES; k++) {
        if (k < n) out[k] = cached(type, row, i + k);
    }
}

/* The tree over lanes that one thread holds. */
template <int HALF> DEVICE void fold(float *lane) {
#pragma unroll
    for (int k = 0; k < HALF; k++) lane[k] += lane[k + HALF];
}

DEVICE float tree_16(float *lane) {
    fold<8>(lane);
    fold<4>(lane);
    fold<2>(lane);
    return lane[0] + lane[1];
}

/* This thread's position of the chunk meets all queries of the tile. */
DEVICE void score(const device_op &o, const query *q, tile_state *m, const uint8_t *row, uint32_t position, bool seen) {
    float lane[ATTEND_QUERIES][LANES];
#pragma unroll
    for (int i = 0; i < ATTEND_QUERIES; i++) {
#pragma unroll
        for (int k = 0; k < LANES; k++) lane[i][k] = 0;
    }
    for (uint32_t at = 0; seen && at < o.cache.n_k; at += LANES) {
        float key[LANES];
        uint32_t n = o.cache.n_k - at < LANES ? o.cache.n_k - at : (uint32_t)LANES;
        cached_16(o.cache.k_type, row, at, n, key);
#pragma unroll
        for (int i = 0; i < ATTEND_QUERIES; i++) {
#pragma unroll
            for (int k = 0; k < LANES; k++) {
                if ((uint32_t)k < n) lane[i][k] = fmaf(m->q[i][at + k], key[k], lane[i][k]);
            }
        }
    }
#pragma unroll
    for (int i = 0; i < ATTEND_QUERIES; i++) {
        float x = tree_16(lane[i]) * o.scale;
        if (o.softcap != 0) x = o.softcap * tanh_f32(x / o.softcap);
        float slope = o.slopes ? o.slopes[q[i].head] : 0;
        if (slope != 0) x = fmaf(slope, (float)(int32_t)(position - (q[i].end - 1)), x);
        m->p[i][threadIdx.x] = x;
    }
}

/* The chunk's scores become weights; chunk_max and chunk_total. */
DEVICE void weigh(const query *q, tile_state *m, uint32_t first, bool *in_chunk) {
    const uint32_t tid = threadIdx.x, warp = tid / 32, position = first + tid;
#pragma unroll
    for (int i = 0; i < ATTEND_QUERIES; i++) {
        bool seen = position >= q[i].begin && position < q[i].end;
        float max = -INFINITY, x = seen ? m->p[i][tid] : -INFINITY;
        max = x > max ? x : max; /* a NaN is not larger; it comes back through its weight */
        for (int half = 16; half > 0; half /= 2) {
            float other = __shfl_xor_sync(EVERY_LANE, max, half);
            max = other > max ? other : max;
        }
        if (tid % 32 == 0) m->warp_max[warp][i] = max;
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < ATTEND_QUERIES; i++) {
        float max = -INFINITY;
        for (int k = 0; k < MAX_WARPS; k++) max = m->warp_max[k][i] > max ? m->warp_max[k][i] : max;
        bool seen = position >= q[i].begin && position < q[i].end;
        if (seen) m->p[i][tid] = exp_f32(m->p[i][tid] - max);
        if (tid == 0) m->chunk_max[i] = max;
        in_chunk[i] = q[i].begin < first + ATTENTION_CHUNK && q[i].end > first;
    }
    __syncthreads();
    if (warp < ATTEND_QUERIES) {
        float lane = 0;
        query mine = q[0];
#pragma unroll
        for (int i = 1; i < ATTEND_QUERIES; i++) mine = warp == (uint32_t)i ? q[i] : mine;
        for (uint32_t j = tid % 32; tid % 32 < LANES && j < ATTENTION_CHUNK; j += LANES) {
            if (first + j >= mine.begin && first + j < mine.end) lane += m->p[warp][j];
        }
        lane = sum_16(lane);
        if (tid % 32 == 0) m->chunk_total[warp] = lane;
    }
}

/* How the chunk joins what is there: one thread a query. */
DEVICE void join(tile_state *m, int i) {
    float top = m->chunk_max[i] > m->max[i] ? m->chunk_max[i] : m->max[i];
    if (m->fresh[i]) {
        m->fresh[i] = false;
        m->keep[i] = 0;
        m->take[i] = -1; /* as it is */
        m->max[i] = m->chunk_max[i];
        m->total[i] = m->chunk_total[i];
        return;
    }
    m->keep[i] = exp_f32(m->max[i] - top);
    m->take[i] = exp_f32(m->chunk_max[i] - top);
    m->total[i] = fmaf(m->chunk_total[i], m->take[i], m->total[i] * m->keep[i]);
    m->max[i] = top;
}

/* Column `column` of the chunk's values, weighted, for queries [from, to): joins sum. */
DEVICE void add_values(const device_op &o, const query *q, tile_state *m, const uint8_t *rows, uint32_t first,
                       uint32_t column, int from, int to, const bool *in_chunk) {
    float part[ATTEND_QUERIES];
    uint32_t begin = ATTENTION_CHUNK, end = 0;
#pragma unroll
    for (int i = 0; i < ATTEND_QUERIES; i++) {
        part[i] = 0;
        if (i < from || i >= to || !in_chunk[i]) continue;
        uint32_t b = q[i].begin > first ? q[i].begin - first : 0, e = q[i].end - first;
        e = e < ATTENTION_CHUNK ? e : (uint32_t)ATTENTION_CHUNK;
        begin = b < begin ? b : begin;
        end = e > end ? e : end;
    }
    for (uint32_t j = begin; j < end; j++) {
        float v = cached(o.cache.v_type, rows + (size_t)j * o.cache.v_bytes, column);
#pragma unroll
        for (int i = 0; i < ATTEND_QUERIES; i++) {
            if (i >= from && i < to && first + j >= q[i].begin && first + j < q[i].end)
                part[i] = fmaf(m->p[i][j], v, part[i]);
        }
    }
#pragma unroll
    for (int i = 0; i < ATTEND_QUERIES; i++) {
        if (i < from || i >= to || !in_chunk[i]) continue;
        float *sum = &m->sum[i][column];
        *sum = m->take[i] < 0 ? part[i] : fmaf(part[i], m->take[i], *sum * m->keep[i]);
    }
}

/* Floats of a part: the sum, max and the sum of the weights. */
static __host__ __device__ inline size_t part_floats(uint32_t n_v) { return (n_v + 2 + LANES - 1) / LANES * LANES; }

/* What the values are divided by, and multiplied with: a sink joins the sum of the weights alone. */
DEVICE float end_total(float max, float total, float sink, float *keep) {
    if (sink == -INFINITY) return total;
    float top = sink > max ? sink : max;
    *keep = exp_f32(max - top);
    return fmaf(total, *keep, exp_f32(sink - top));
}

static __global__ void __launch_bounds__(ATTEND_THREADS)
    attend(const device_op o, const device_step *s, uint32_t n_tok, uint32_t n_chunks, float *parts) {
    __shared__ tile_state m;
    const uint32_t position = s->position, tid = threadIdx.x;
    query q[ATTEND_QUERIES];
    uint32_t first_chunk = UINT32_MAX, last_chunk = 0;
    bool in_chunk[ATTEND_QUERIES];
#pragma unroll
    for (int i = 0; i < ATTEND_QUERIES; i++) {
        q[i] = query_at(o, blockIdx.x, (uint32_t)i, position, n_tok);
        uint32_t from = q[i].begin / ATTENTION_CHUNK, to = (q[i].end - 1) / ATTENTION_CHUNK;
        first_chunk = from < first_chunk ? from : first_chunk;
        last_chunk = to > last_chunk ? to : last_chunk;
    }
    const uint32_t base_chunk = first_seen(o, position) / ATTENTION_CHUNK; /* the step's first: parts count from it */
    if (parts) {
        uint32_t mine = base_chunk + blockIdx.y;
        if (blockIdx.y >= n_chunks || mine < first_chunk || mine > last_chunk) return;
        first_chunk = last_chunk = mine;
    }
    const uint32_t kv = q[0].head / (o.n_head / o.cache.n_head_kv), n_v = o.cache.n_v;
    const uint8_t *keys = o.cache.k + (size_t)kv * o.cache.n_ctx * o.cache.k_bytes;
    const uint8_t *values = o.cache.v + (size_t)kv * o.cache.n_ctx * o.cache.v_bytes;
#pragma unroll
    for (int i = 0; i < ATTEND_QUERIES; i++) {
        const float *from = o.in + ((size_t)q[i].token * o.n_head + q[i].head) * o.cache.n_k;
        for (uint32_t k = tid; k < o.cache.n_k; k += ATTEND_THREADS) m.q[i][k] = from[k];
    }
    if (tid < ATTEND_QUERIES) m.fresh[tid] = true;
    __syncthreads();
    for (uint32_t chunk = first_chunk; chunk <= last_chunk; chunk++) {
        uint32_t first = chunk * ATTENTION_CHUNK, row = o.cache.is_ring ? first % o.cache.n_ctx : first;
        bool seen = false;
#pragma unroll
        for (int i = 0; i < ATTEND_QUERIES; i++) seen |= first + tid >= q[i].begin && first + tid < q[i].end;
        score(o, q, &m, keys + (size_t)(row + tid) * o.cache.k_bytes, first + tid, seen);
        weigh(q, &m, first, in_chunk);
        __syncthreads();
        if (tid == 0) {
#pragma unroll
            for (int i = 0; i < ATTEND_QUERIES; i++) {
                if (in_chunk[i]) join(&m, i);
            }
        }
        __syncthreads();
        const uint8_t *rows = values + (size_t)row * o.cache.v_bytes;
        if (n_v <= ATTEND_THREADS / 2) {
            int side = (int)(tid / (ATTEND_THREADS / 2)) * (ATTEND_QUERIES / 2);
            uint32_t column = tid % (ATTEND_THREADS / 2);
            if (column < n_v) add_values(o, q, &m, rows, first, column, side, side + ATTEND_QUERIES / 2, in_chunk);
        } else {
            for (uint32_t column = tid; column < n_v; column += ATTEND_THREADS)
                add_values(o, q, &m, rows, first, column, 0, ATTEND_QUERIES, in_chunk);
        }
        __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < ATTEND_QUERIES; i++) {
        if (!q[i].here || m.fresh[i]) continue;
        size_t at = (size_t)q[i].token * o.n_head + q[i].head;
        if (parts) {
            float *to = parts + ((size_t)blockIdx.y * n_tok * o.n_head + at) * part_floats(n_v);
            for (uint32_t k = tid; k < n_v; k += ATTEND_THREADS) to[k] = m.sum[i][k];
            if (tid == 0) {
                to[n_v] = m.max[i];
                to[n_v + 1] = m.total[i];
            }
            continue;
        }
        float keep = 1, total = end_total(m.max[i], m.total[i], o.sinks ? o.sinks[q[i].head] : -INFINITY, &keep);
        for (uint32_t k = tid; k < n_v; k += ATTEND_THREADS) o.out[at * n_v + k] = m.sum[i][k] * keep / total;
    }
}

/* The parts of one head of one token, in the order of chunks; a thread has columns. */
static __global__ void __launch_bounds__(MERGE_THREADS)
    merge(const device_op o, const device_step *s, const float *parts, uint32_t n_tok) {
    __shared__ float keep[MERGE_CHUNKS], take[MERGE_CHUNKS];
    const uint32_t tid = threadIdx.x, token = blockIdx.y, head = blockIdx.x, n_v = o.cache.n_v;
    uint32_t base = first_seen(o, s->position) / ATTENTION_CHUNK, position = s->position + token;
    uint32_t from = first_seen(o, position) / ATTENTION_CHUNK - base, to = position / ATTENTION_CHUNK - base;
    size_t size = part_floats(n_v), step = (size_t)n_tok * o.n_head * size;
    const float *mine = parts + ((size_t)token * o.n_head + head) * size;
    float sum[MAX_HEAD_SIZE / MERGE_THREADS];
    for (int c = 0; c < MAX_HEAD_SIZE / MERGE_THREADS; c++) {
        uint32_t k = tid + c * MERGE_THREADS;
        sum[c] = k < n_v ? mine[from * step + k] : 0;
    }
    float max = mine[from * step + n_v], total = mine[from * step + n_v + 1]; /* the same in all threads */
    for (uint32_t begin = from + 1; begin <= to; begin += MERGE_CHUNKS) {
        uint32_t n = to + 1 - begin < MERGE_CHUNKS ? to + 1 - begin : (uint32_t)MERGE_CHUNKS;
        __syncthreads();
        for (uint32_t c = tid; c < n; c += MERGE_THREADS) { /* the largest before it, and with it */
            float before = max, own = mine[(begin + c) * step + n_v];
            for (uint32_t k = 0; k < c; k++) {
                float m = mine[(begin + k) * step + n_v];
                before = m > before ? m : before;
            }
            float top = own > before ? own : before;
            keep[c] = exp_f32(before - top);
            take[c] = exp_f32(own - top);
        }
        __syncthreads();
        for (uint32_t c = 0; c < n; c++) {
            const float *part = mine + (begin + c) * step;
            for (int i = 0; i < MAX_HEAD_SIZE / MERGE_THREADS; i++) {
                uint32_t k = tid + i * MERGE_THREADS;
                if (k < n_v) sum[i] = fmaf(part[k], take[c], sum[i] * keep[c]);
            }
            max = part[n_v] > max ? part[n_v] : max;
            total = fmaf(part[n_v + 1], take[c], total * keep[c]);
        }
    }
    float factor = 1, all = end_total(max, total, o.sinks ? o.sinks[head] : -INFINITY, &factor);
    for (int i = 0; i < MAX_HEAD_SIZE / MERGE_THREADS; i++) {
        uint32_t k = tid + i * MERGE_THREADS;
        if (k < n_v) o.out[((size_t)token * o.n_head + head) * n_v + k] = sum[i] * factor / all;
    }
}

size_t gpu_attend_parts(const device_op *o, uint32_t n_chunks) {
    return (size_t)n_chunks * ATTEND_SPLIT_TOKENS * o->n_head * part_floats(o->cache.n_v);
}

bool gpu_attend(gpu_queue *q, const device_op *o, const device_step *s, uint32_t n_tok, uint32_t n_chunks, float *parts,
                gguf_error *err) {
    uint32_t group = o->n_head / o->cache.n_head_kv, tiles = (group * n_tok + ATTEND_QUERIES - 1) / ATTEND_QUERIES;
    dim3 grid(o->cache.n_head_kv * tiles, parts ? n_chunks : 1);
    LAUNCH(attend, grid, ATTEND_THREADS, gpu_stream(q), *o, s, n_tok, n_chunks, parts);
    if (parts) LAUNCH(merge, dim3(o->n_head, n_tok), MERGE_THREADS, gpu_stream(q), *o, s, parts, n_tok);
    return gpu_launched("attention", err);
}
