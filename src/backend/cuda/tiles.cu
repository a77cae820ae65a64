/*
 * Matrix products for many tokens, on the int8 tensor cores. A thread block makes a tile of 64 rows and 64 tokens; 256
 * columns at a time, weights are taken apart into shared memory, once for all its tokens. A warp has 16 of the rows.
 * The minimums' sums M are products, too: a sum of 16 activations is 64 high + low, each of which fits int8.
 */
#include "backend/cuda/product.cuh"

enum { TILE_ROWS = 64, TILE_TOKENS = 64, COLUMNS = 256, SUBS = COLUMNS / ACTIVATION_SUB, PAD = 16, WARPS = 4 };
enum { STRIDE = COLUMNS + PAD, N_TILES = TILE_TOKENS / 8, SPLIT_SUM = 64 };

/* Shared rows that mma's fragments are read from; strides keep eight rows in different banks. */
struct alignas(16) tile_memory {
    int8_t w[TILE_ROWS][STRIDE], a[TILE_TOKENS][STRIDE];
    int8_t scale[TILE_ROWS][SUBS + 4], min[TILE_ROWS][SUBS + 4]; /* of 16 weights each */
    int8_t low[TILE_TOKENS][SUBS + 4], high[TILE_TOKENS][SUBS + 4];
};

DEVICE int word_at(const int8_t *p) { return *(const int *)(const void *)p; }

DEVICE void put_16(int8_t *to, const int *q) {
    for (int i = 0; i < 4; i++) *(int *)(void *)(to + 4 * i) = q[i];
}

/* 256 columns of the weights, from block `block` on; columns behind the row's end become zeros. */
template <class F>
DEVICE void take_weights(const device_matrix &w, const planes &from, uint32_t first_row, uint32_t block,
                         tile_memory *m) {
    enum { CHUNKS = F::BLOCK / 32 };
    for (uint32_t i = threadIdx.x; i < TILE_ROWS * (COLUMNS / 32); i += 32 * WARPS) {
        uint32_t r = i / (COLUMNS / 32), in_tile = i % (COLUMNS / 32), b = block + in_tile / CHUNKS;
        int n = (int)(in_tile % CHUNKS), first = (int)(in_tile / CHUNKS * F::BLOCK) + F::first(n);
        chunk c;
        if (first_row + r < w.n_out && b < w.n_blocks) {
            F::take(from, (size_t)(first_row + r) * w.n_blocks + b, n, &c);
        } else {
            c = chunk();
        }
        for (int k = 0; k < 2; k++) {
            put_16(&m->w[r][first + k * F::GAP], c.q + 4 * k);
            m->scale[r][(first + k * F::GAP) / 16] = (int8_t)c.scale[k];
            if (F::MINS) m->min[r][(first + k * F::GAP) / 16] = (int8_t)c.min[k];
        }
    }
}

template <class F>
DEVICE void take_activations(const product &p, const rows_of &g, uint32_t n_in, uint32_t t0, uint32_t block,
                             uint32_t n_blocks, tile_memory *m) {
    enum { RUNS = F::BLOCK / 16 };
    for (uint32_t i = threadIdx.x; i < TILE_TOKENS * SUBS; i += 32 * WARPS) {
        uint32_t t = i / SUBS, s = i % SUBS, b = block + s / RUNS, run = s % RUNS;
        words v = {{0, 0, 0, 0}};
        int sum = 0;
        if (t0 + t < g.n && b < n_blocks) {
            size_t at = (size_t)g.before * n_in + ((size_t)b * g.n + t0 + t) * F::BLOCK + 16 * run;
            v = load_16((const uint8_t *)p.act.q + at);
            if (F::MINS) sum = p.act.sum[at / 16];
        }
        for (int k = 0; k < 4; k++) *(uint32_t *)(void *)&m->a[t][16 * s + 4 * k] = v.w[k];
        if (!F::MINS) continue;
        int low = (sum & (SPLIT_SUM - 1)); /* sum = 64 high + low, low in 0 ... 63, high in -32 ... 31 */
        m->low[t][s] = (int8_t)low;
        m->high[t][s] = (int8_t)((sum - low) / SPLIT_SUM);
    }
}

template <class F> __global__ void __launch_bounds__(32 * WARPS) product_tiles(const product p) {
    enum { PER_TILE = COLUMNS / F::BLOCK };
    __shared__ tile_memory m;
    uint32_t first_row, result = find_result(p, blockIdx.x, TILE_ROWS, &first_row), t0 = blockIdx.z * TILE_TOKENS;
    rows_of group = rows_in_group(p, blockIdx.y);
    if (t0 >= group.n) return;
    const device_matrix &w = p.w[result];
    const planes from = planes_of(w, group.matrix);
    const float *scale = p.act.scale + (size_t)group.before * w.n_blocks;
    const uint32_t warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, t = threadIdx.x % 4, row = 16 * warp + g;
    float acc[N_TILES][4];
#pragma unroll
    for (int n = 0; n < N_TILES; n++) {
        for (int i = 0; i < 4; i++) acc[n][i] = 0;
    }
    for (uint32_t block = 0; block < w.n_blocks; block += PER_TILE) {
        __syncthreads();
        take_weights<F>(w, from, first_row, block, &m);
        take_activations<F>(p, group, w.n_in, t0, block, w.n_blocks, &m);
        __syncthreads();
        for (int b = 0; b < PER_TILE && block + b < w.n_blocks; b++) {
            enum { RUNS = F::BLOCK / 16 };
            two_floats d[2]; /* of rows `row` and `row` + 8 */
            for (int h = 0; h < 2; h++) {
                uint32_t r = first_row + row + 8 * h < w.n_out ? first_row + row + 8 * h : w.n_out - 1;
                d[h] = F::scales(from, (size_t)r * w.n_blocks + block + b);
            }
#pragma unroll
            for (int n = 0; n < N_TILES; n++) {
                int total[4] = {0, 0, 0, 0}, other[4] = {0, 0, 0, 0};
                for (int s = b * RUNS; s < (b + 1) * RUNS; s += F::SUB == 32 && !F::HALVES ? 2 : 1) {
                    const int8_t *a = &m.w[row][16 * s + 4 * t], *y = &m.a[8 * n + g][16 * s + 4 * t];
                    int dot[4] = {0, 0, 0, 0};
                    if (F::SUB == 32 && !F::HALVES) {
                        int wa[4] = {word_at(a), word_at(a + 8 * STRIDE), word_at(a + 16),
                                     word_at(a + 8 * STRIDE + 16)};
                        int yb[2] = {word_at(y), word_at(y + 16)};
                        mma_k32(dot, wa, yb);
                    } else {
                        int wa[2] = {word_at(a), word_at(a + 8 * STRIDE)};
                        mma_k16(dot, wa, word_at(y));
                    }
                    for (int i = 0; i < 4; i++) {
                        if (F::HALVES) {
                            (s % 2 ? other : total)[i] = dot[i];
                        } else {
                            total[i] += F::BLOCK == 32 ? dot[i] : m.scale[row + 8 * (i / 2)][s] * dot[i];
                        }
                    }
                }
                if (F::MINS && F::BLOCK == 256) {
                    int wa[2] = {word_at(&m.min[row][4 * t]), word_at(&m.min[row + 8][4 * t])}, high[4] = {0, 0, 0, 0};
                    mma_k16(other, wa, word_at(&m.low[8 * n + g][4 * t]));
                    mma_k16(high, wa, word_at(&m.high[8 * n + g][4 * t]));
                    for (int i = 0; i < 4; i++) other[i] += SPLIT_SUM * high[i];
                }
                for (int i = 0; i < 4; i++) {
                    uint32_t column = 8 * n + 2 * t + i % 2, token = t0 + column < group.n ? t0 + column : group.n - 1;
                    float s = scale[(size_t)(block + b) * group.n + token];
                    if (F::MINS && F::BLOCK == 32) { /* its one minimum is 1 */
                        other[i] = 0;
                        for (int k = 0; k < 2; k++)
                            other[i] += SPLIT_SUM * m.high[column][2 * b + k] + m.low[column][2 * b + k];
                    }
                    acc[n][i] = fmaf((float)total[i], d[i / 2].a * s, acc[n][i]);
                    if (F::MINS) acc[n][i] = fmaf(-(float)other[i], d[i / 2].b * s, acc[n][i]);
                    if (F::HALVES) acc[n][i] = fmaf((float)other[i], d[i / 2].b * s, acc[n][i]);
                }
            }
        }
    }
#pragma unroll
    for (int n = 0; n < N_TILES; n++) {
        for (int i = 0; i < 4; i++) {
            uint32_t r = first_row + row + 8 * (i / 2), token = t0 + 8 * n + 2 * t + i % 2;
            if (r < w.n_out && token < group.n) output_row(p, result, group, token)[r] = acc[n][i];
        }
    }
}

bool launch_tiles(gpu_queue *q, const product *p, gguf_error *err) {
    dim3 grid(row_blocks(p, TILE_ROWS), p->n_groups, (p->n_tok + TILE_TOKENS - 1) / TILE_TOKENS);
    with_format(p->w[0].format,
                [&](auto f) { LAUNCH((product_tiles<decltype(f)>), grid, 32 * WARPS, gpu_stream(q), *p); });
    return gpu_launched("a matrix product", err);
}

/* Below this many tokens a matrix, reading weights takes longer than multiplying them. */
enum { FEW_TOKENS = 16 };

bool gpu_product(gpu_queue *q, const product *p, gguf_error *err) {
    if (format_rows[p->w[0].format].block == 1) return launch_plain(q, p, err);
    return p->rows_expected < FEW_TOKENS ? launch_matvec(q, p, err) : launch_tiles(q, p, err);
}
