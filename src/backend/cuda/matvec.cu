/*
 * Matrix products for few tokens: bound by reading the weights. A thread block makes 4 rows; its warps take turns at
 * the row's blocks, a lane at a time 32 weights of each row, loaded 16 bytes at once. The integers I and M of a tile of
 * blocks go to shared memory, where one thread a row (and token) runs the float sum in order.
 */
#include "backend/cuda/product.cuh"

enum { ROWS = 4, WARPS = 4, TILE = 256 };

/* I (or the two halves' I) and M of the chunk's part of a block. */
template <class F>
DEVICE void chunk_sums(const chunk &c, const int8_t *a, const int16_t *sum, int first, int *i, int *m) {
    int dot[2] = {0, 0};
    for (int r = 0; r < 2; r++) {
        words v = load_16((const uint8_t *)a + first + r * F::GAP);
        for (int k = 0; k < 4; k++) dot[r] = __dp4a(c.q[4 * r + k], (int)v.w[k], dot[r]);
    }
    if (F::HALVES) {
        *i = dot[0];
        *m = dot[1];
        return;
    }
    *i = c.scale[0] * dot[0] + c.scale[1] * dot[1];
    if (F::MINS) *m = c.min[0] * sum[first / ACTIVATION_SUB] + c.min[1] * sum[(first + F::GAP) / ACTIVATION_SUB];
}

template <class F, int TOKENS> __global__ void __launch_bounds__(32 * WARPS) matvec(const product p) {
    enum { TERMS = F::MINS || F::HALVES ? 2 : 1, CHUNKS = F::BLOCK / 32, SUMS = F::BLOCK / ACTIVATION_SUB };
    enum { BLOCKS = TILE / TOKENS, SIDE = 32 / CHUNKS, PAIRS = ROWS * TOKENS };
    __shared__ float2 terms[BLOCKS * TERMS * PAIRS];
    uint32_t first_row, result = find_result(p, blockIdx.x, ROWS, &first_row);
    rows_of group = rows_in_group(p, blockIdx.y);
    if (group.n == 0) return;
    const device_matrix &w = p.w[result];
    const planes from = planes_of(w, group.matrix);
    const uint32_t n_blocks = w.n_blocks, tid = threadIdx.x, warp = tid / 32, lane = tid % 32;
    const int c = (int)(lane % CHUNKS), first = F::first(c);
    const int8_t *q = p.act.q + (size_t)group.before * w.n_in;
    const float *scale = p.act.scale + (size_t)group.before * n_blocks;
    const int16_t *sum = p.act.sum + (size_t)group.before * n_blocks * SUMS;
    for (uint32_t t0 = 0; t0 < group.n; t0 += TOKENS) {
        float acc = 0; /* of pair tid: row tid mod ROWS, token tid / ROWS */
        for (uint32_t tile = 0; tile < n_blocks; tile += BLOCKS) {
            uint32_t n = n_blocks - tile < BLOCKS ? n_blocks - tile : (uint32_t)BLOCKS;
            for (uint32_t side = warp * SIDE; side < n; side += WARPS * SIDE) {
                uint32_t at = side + lane / CHUNKS, b = tile + at;
                bool inside = at < n;
                chunk part[ROWS];
                two_floats d[ROWS];
                for (int r = 0; r < ROWS; r++) {
                    uint32_t row = first_row + r < w.n_out ? first_row + r : w.n_out - 1;
                    size_t block = (size_t)row * n_blocks + (inside ? b : tile);
                    F::take(from, block, c, &part[r]);
                    d[r] = F::scales(from, block);
                }
                for (int t = 0; t < TOKENS; t++) {
                    uint32_t token = t0 + t < group.n ? t0 + t : group.n - 1;
                    size_t block = (size_t)(inside ? b : tile) * group.n + token;
                    float s = scale[block];
                    for (int r = 0; r < ROWS; r++) {
                        int i, m = 0;
                        chunk_sums<F>(part[r], q + block * F::BLOCK, sum + block * SUMS, first, &i, &m);
                        for (int half = CHUNKS / 2; half > 0; half /= 2) {
                            i += __shfl_xor_sync(EVERY_LANE, i, half);
                            if (F::MINS) m += __shfl_xor_sync(EVERY_LANE, m, half);
                        }
                        if (!inside || c != 0) continue;
                        float2 *to = terms + at * TERMS * PAIRS + t * ROWS + r;
                        to[0] = make_float2((float)i, d[r].a * s);
                        if (TERMS == 2) to[PAIRS] = make_float2(F::HALVES ? (float)m : -(float)m, d[r].b * s);
                    }
                }
            }
            __syncthreads();
            if (tid < PAIRS) {
                for (uint32_t i = 0; i < n * TERMS; i++) {
                    float2 term = terms[i * PAIRS + tid];
                    acc = fmaf(term.x, term.y, acc);
                }
            }
            __syncthreads();
        }
        uint32_t row = first_row + tid % ROWS, token = t0 + tid / ROWS;
        if (tid < PAIRS && row < w.n_out && token < group.n) output_row(p, result, group, token)[row] = acc;
    }
}

bool launch_matvec(gpu_queue *q, const product *p, gguf_error *err) {
    dim3 grid(row_blocks(p, ROWS), p->n_groups);
    with_format(p->w[0].format, [&](auto f) {
        typedef decltype(f) F;
        if (p->n_tok == 1) {
            LAUNCH((matvec<F, 1>), grid, 32 * WARPS, gpu_stream(q), *p);
        } else {
            LAUNCH((matvec<F, 4>), grid, 32 * WARPS, gpu_stream(q), *p);
        }
    });
    return gpu_launched("a matrix product", err);
}

/* ---- plain numbers ------------------------------------------------------------------------------- */

/* A half warp makes a row: lane j holds lane j of the CPU's sixteen, whose numbers stand together in the matrix. */
struct plain_f32 {
    enum { N = 4 };
    DEVICE void take(const uint8_t *p, float *w) {
        words v = load_16(p);
        for (int i = 0; i < 4; i++) w[i] = f32_from_bits(v.w[i]);
    }
};

struct plain_f16 {
    enum { N = 8 };
    DEVICE void take(const uint8_t *p, float *w) {
        words v = load_16(p);
        for (int i = 0; i < 8; i++) w[i] = device_half(v.w[i / 2] >> (16 * (i % 2)) & 0xFFFF);
    }
};

struct plain_bf16 {
    enum { N = 8 };
    DEVICE void take(const uint8_t *p, float *w) {
        words v = load_16(p);
        for (int i = 0; i < 8; i++) w[i] = f32_from_bits(v.w[i / 2] >> (16 * (i % 2)) << 16);
    }
};

template <class F, int TOKENS> __global__ void __launch_bounds__(128) plain_rows(const product p) {
    enum { PLAIN_ROWS = 8 };
    uint32_t first_row, result = find_result(p, blockIdx.x, PLAIN_ROWS, &first_row);
    rows_of group = rows_in_group(p, blockIdx.y);
    if (group.n == 0) return;
    const device_matrix &w = p.w[result];
    const uint32_t lane = threadIdx.x % LANES, row = first_row + threadIdx.x / LANES;
    const uint32_t row_here = row < w.n_out ? row : w.n_out - 1;
    const uint8_t *data =
        planes_of(w, group.matrix).p[0] + ((size_t)row_here * w.n_blocks * LANES + lane) * PLAIN_LANE_BYTES;
    const float *x = p.x + (size_t)group.before * w.n_in;
    for (uint32_t t0 = 0; t0 < group.n; t0 += TOKENS) {
        float acc[TOKENS];
        for (int t = 0; t < TOKENS; t++) acc[t] = 0;
        for (uint32_t b = 0; b < w.n_blocks; b++) {
            float piece[F::N];
            F::take(data + (size_t)b * LANES * PLAIN_LANE_BYTES, piece);
            for (int i = 0; i < F::N; i++) {
                uint32_t column = (b * F::N + i) * LANES + lane;
                if (column >= w.n_in) break;
                for (int t = 0; t < TOKENS; t++) {
                    uint32_t token = t0 + t < group.n ? t0 + t : group.n - 1;
                    acc[t] = fmaf(piece[i], x[(size_t)token * w.n_in + column], acc[t]);
                }
            }
        }
        for (int t = 0; t < TOKENS; t++) {
            float y = sum_16(acc[t]);
            if (lane == 0 && row < w.n_out && t0 + t < group.n) output_row(p, result, group, t0 + t)[row] = y;
        }
    }
}

template <class F> static void launch_plain_of(gpu_queue *q, const product *p) {
    dim3 grid(row_blocks(p, 8), p->n_groups);
    if (p->n_tok == 1) {
        LAUNCH((plain_rows<F, 1>), grid, 128, gpu_stream(q), *p);
    } else {
        LAUNCH((plain_rows<F, 8>), grid, 128, gpu_stream(q), *p);
    }
}

bool launch_plain(gpu_queue *q, const product *p, gguf_error *err) {
    if (p->w[0].format == FORMAT_F32) launch_plain_of<plain_f32>(q, p);
    if (p->w[0].format == FORMAT_F16) launch_plain_of<plain_f16>(q, p);
    if (p->w[0].format == FORMAT_BF16) launch_plain_of<plain_bf16>(q, p);
    return gpu_launched("a matrix product", err);
}
