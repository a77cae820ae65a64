/*
 * What the kernels of matrix products share: which rows a thread block multiplies with which matrix, and the order of
 * the sums. Integer sums are exact in any order; the float sum of a row and a token runs over its blocks as they stand,
 * acc = fma(I, d s, acc), then acc = fma(-M, dmin s, acc), as on the CPU (kernel.h).
 */
#ifndef BACKEND_CUDA_PRODUCT_CUH
#define BACKEND_CUDA_PRODUCT_CUH

#include "backend/cuda/blocks.cuh"

/* Rows of activations [before, before + n) meet matrix number `matrix`. */
struct rows_of {
    uint32_t matrix, before, n;
};

DEVICE rows_of rows_in_group(const product &p, uint32_t g) {
    if (p.mode == GROUP_ALL) return {0, 0, p.n_tok};
    if (p.mode == GROUP_HEADS) return {g, g * p.n_tok, p.n_tok};
    uint32_t e = p.mode == GROUP_SLOTS ? p.slot_expert[g] : g, first = p.first[e];
    if (p.mode == GROUP_SLOTS && first != g) return {e, 0, 0}; /* the expert's first slot stands for all */
    return {e, first, p.first[e + 1] - first};
}

/* Where output row 0 of activation row i of the group goes. */
DEVICE float *output_row(const product &p, uint32_t result, const rows_of &r, uint32_t i) {
    if (p.mode == GROUP_HEADS) return p.out[result] + ((size_t)i * p.n_groups + r.matrix) * p.out_stride;
    return p.out[result] + (size_t)(r.before + i) * p.w[result].n_out;
}

/* Thread blocks go over the rows of the results one after another, `rows` at a time. */
DEVICE uint32_t find_result(const product &p, uint32_t block, uint32_t rows, uint32_t *first_row) {
    uint32_t result = 0;
    for (; result + 1 < p.n_results; result++) {
        uint32_t n = (p.w[result].n_out + rows - 1) / rows;
        if (block < n) break;
        block -= n;
    }
    *first_row = block * rows;
    return result;
}

/* Host: how many these are. */
static inline uint32_t row_blocks(const product *p, uint32_t rows) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n_results; i++) n += (p->w[i].n_out + rows - 1) / rows;
    return n;
}

bool launch_matvec(gpu_queue *q, const product *p, gguf_error *err);
bool launch_plain(gpu_queue *q, const product *p, gguf_error *err);
bool launch_tiles(gpu_queue *q, const product *p, gguf_error *err);

#endif
