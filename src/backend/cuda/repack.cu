/* From the file's layout to the device's, on the device: blocks' fields into planes, plain numbers into lanes. */
#include "backend/cuda/device.cuh"

/* clang-format off */
const format_row format_rows[FORMAT_COUNT] = {
    /*             block act bytes  planes       pieces: from, plane, to, bytes */
    /* F32 */      {1, 1, 4, {}, {}},
    /* F16 */      {1, 1, 2, {}, {}},
    /* BF16 */     {1, 1, 2, {}, {}},
    /* Q4_0 */     {32, 32, 18, {16, 2}, {{2, 0, 0, 16}, {0, 1, 0, 2}}},
    /* Q4_1 */     {32, 32, 20, {16, 4}, {{4, 0, 0, 16}, {0, 1, 0, 4}}},
    /* Q5_0 */     {32, 32, 22, {16, 4, 2}, {{6, 0, 0, 16}, {2, 1, 0, 4}, {0, 2, 0, 2}}},
    /* Q5_1 */     {32, 32, 24, {16, 8}, {{8, 0, 0, 16}, {0, 1, 0, 8}}},
    /* Q8_0 */     {32, 32, 34, {32, 2}, {{2, 0, 0, 32}, {0, 1, 0, 2}}},
    /* Q2_K */     {256, 256, 84, {80, 4}, {{16, 0, 0, 64}, {0, 0, 64, 16}, {80, 1, 0, 4}}},
    /* Q3_K */     {256, 256, 110, {96, 16}, {{32, 0, 0, 64}, {0, 0, 64, 32}, {96, 1, 0, 12}, {108, 1, 12, 2}}},
    /* Q4_K */     {256, 256, 144, {144}, {{0, 0, 0, 144}}},
    /* Q5_K */     {256, 256, 176, {176}, {{0, 0, 0, 176}}},
    /* Q6_K */     {256, 256, 210, {208, 2}, {{0, 0, 0, 208}, {208, 1, 0, 2}}},
    /* IQ4_XS */   {256, 256, 136, {128, 8}, {{8, 0, 0, 128}, {0, 1, 0, 8}}},
    /* MXFP4 */    {32, 32, 17, {16, 1}, {{1, 0, 0, 16}, {0, 1, 0, 1}}},
    /* BYTES_32 */ {32, 32, 36, {32, 4}, {{0, 0, 0, 32}, {32, 1, 0, 4}}},
    /* BYTES_256 */{256, 256, 276, {272, 4}, {{0, 0, 0, 272}, {272, 1, 0, 4}}},
    /* BYTES_16 */ {32, 32, 40, {32, 8}, {{0, 0, 0, 32}, {32, 1, 0, 8}}},
};
/* clang-format on */

/* A thread a block. */
static __global__ void repack_blocks(device_matrix m, format_row f, uint32_t index, const uint8_t *source, uint32_t row,
                                     uint32_t n) {
    uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const uint8_t *from = source + (size_t)i * f.bytes;
    uint8_t *data = (uint8_t *)(uintptr_t)m.data + index * m.matrix_bytes;
    for (int k = 0; k < MAX_PIECES; k++) {
        const format_piece &p = f.pieces[k];
        uint8_t *to = data + m.plane[p.plane] + ((size_t)row * m.n_blocks + i) * f.plane_bytes[p.plane] + p.to;
        for (uint32_t j = 0; j < p.n; j++) to[j] = from[p.from + j];
    }
}

/* A thread 16 bytes of a lane: numbers 16 apart; behind the row's end zeros. */
static __global__ void repack_plain(device_matrix m, uint32_t bytes, uint32_t index, const uint8_t *source,
                                    uint32_t row, uint32_t n_rows) {
    uint32_t i = blockIdx.x * blockDim.x + threadIdx.x, lane = i % LANES, b = i / LANES % m.n_blocks;
    uint32_t r = i / LANES / m.n_blocks, each = PLAIN_LANE_BYTES / bytes;
    if (r >= n_rows) return;
    uint8_t *to = (uint8_t *)(uintptr_t)m.data + index * m.matrix_bytes +
                  (((size_t)(row + r) * m.n_blocks + b) * LANES + lane) * PLAIN_LANE_BYTES;
    for (uint32_t k = 0; k < each; k++) {
        uint32_t column = (b * each + k) * LANES + lane;
        for (uint32_t j = 0; j < bytes; j++)
            to[k * bytes + j] = column < m.n_in ? source[((size_t)r * m.n_in + column) * bytes + j] : 0;
    }
}

bool gpu_repack(gpu_queue *q, const device_matrix *m, uint32_t index, const uint8_t *source, uint32_t row,
                uint32_t n_rows, gguf_error *err) {
    const format_row &f = format_rows[m->format];
    uint32_t n = n_rows * m->n_blocks * (f.block == 1 ? (uint32_t)LANES : 1);
    dim3 grid((n + 255) / 256);
    if (f.block == 1) {
        LAUNCH(repack_plain, grid, 256, gpu_stream(q), *m, f.bytes, index, source, row, n_rows);
    } else {
        LAUNCH(repack_blocks, grid, 256, gpu_stream(q), *m, f, index, source, row, n);
    }
    return gpu_launched("laying out a matrix", err);
}
