/*
 * Inside the CUDA backend: what the translation (translate.c) and the device code (*.cu) share. A segment of a list
 * becomes an array of device_op, whose pointers are all the device's; kernels read it there. Plain structs for C and
 * C++.
 */
#ifndef BACKEND_CUDA_PROGRAM_H
#define BACKEND_CUDA_PROGRAM_H

#include <assert.h>

#ifdef __cplusplus
extern "C" {
#endif

#include "kernel/kernel.h"

/* ---- matrices ---------------------------------------------------------------------------------- */

/* How weights lie on the device: the file's blocks with their fields sorted into planes, so that every lane loads 16
 * bytes; plain numbers permuted, so that the 8 (F32: 4) of one lane stand together; and, for every other type, blocks
 * taken apart to int8. */
typedef enum {
    FORMAT_F32,
    FORMAT_F16,
    FORMAT_BF16,
    FORMAT_Q4_0,
    FORMAT_Q4_1,
    FORMAT_Q5_0,
    FORMAT_Q5_1,
    FORMAT_Q8_0,
    FORMAT_Q2_K,
    FORMAT_Q3_K,
    FORMAT_Q4_K,
    FORMAT_Q5_K,
    FORMAT_Q6_K,
    FORMAT_IQ4_XS,
    FORMAT_MXFP4,
    FORMAT_BYTES_32,  /* 32 int8, d */
    FORMAT_BYTES_256, /* 256 int8, 16 int8 scales, d */
    FORMAT_BYTES_16,  /* 32 int8, two d: of each half */
    FORMAT_COUNT
} matrix_format;

enum { MAX_PLANES = 3, MAX_PIECES = 5, PLAIN_LANE_BYTES = 16 };

typedef struct {
    uint16_t from, plane, to, n; /* n bytes of a block, from its byte `from`, to byte `to` of its part of the plane */
} format_piece;

typedef struct {
    uint16_t block;                   /* weights; 1: plain numbers */
    uint16_t act;                     /* activations' blocks, as quant_row.act */
    uint16_t bytes;                   /* a block of the source: the file's, or the parts taken apart */
    uint16_t plane_bytes[MAX_PLANES]; /* a block's */
    format_piece pieces[MAX_PIECES];
} format_row;

extern const format_row format_rows[FORMAT_COUNT];

/* n_matrices of one shape: block b of row r of matrix m has its part of plane p at
 * data + m * matrix_bytes + plane[p] + (r * n_blocks + b) * plane_bytes[p]. */
typedef struct {
    matrix_format format;
    uint32_t n_in, n_out, n_blocks; /* blocks a row; of plain numbers: groups of 16 lanes' 16 bytes */
    size_t matrix_bytes;
    size_t plane[MAX_PLANES];
    const uint8_t *data;
} device_matrix;

/* ---- operations -------------------------------------------------------------------------------- */

/* These have no padding, whose bytes the tests' device may take for a pointer: flags are words, and `none` is 0. */
typedef struct {
    uint32_t block, none;
    int8_t *q;
    float *scale;
    int16_t *sum;
    float *x;
} device_act;

typedef struct {
    uint32_t n_rot, halves;
    float scale;
    uint32_t none;
    const double *inverse_frequency;
    float *cos, *sin;
} device_rope;

typedef struct {
    uint8_t *k, *v;
    quant_type k_type, v_type;
    uint32_t n_head_kv, n_ctx, n_k, n_v, k_bytes, v_bytes; /* bytes a row */
    uint32_t is_ring, none;
} device_cache;

typedef struct {
    uint32_t n_expert, n_used, n_group, n_group_used, gating; /* gating_kind */
    uint32_t normalise, by_logit;
    float scale;
    uint32_t *expert, *slot, *first, *slot_token, *slot_expert;
    float *weight;
} device_routing;

/* An operation as backend.h has it; `index` is its place in the caller's list. */
typedef struct {
    uint32_t kind, index; /* op_kind */
    int32_t layer;
    uint32_t n, group, n_head, offset, in_stride, out_stride, window, period, shift, activation;
    bool shared, chunks, gather, weight_first;
    float eps, scale, softcap;
    const float *in, *in2, *vector, *vector2, *slopes, *sinks, *xielu;
    float *out;
    device_act act;
    device_rope rope;
    device_cache cache;
    device_routing routing;
} device_op;

static_assert(sizeof(device_act) == 2 * 4 + 4 * sizeof(void *) && sizeof(device_rope) == 4 * 4 + 3 * sizeof(void *) &&
                  sizeof(device_cache) == 10 * 4 + 2 * sizeof(void *) &&
                  sizeof(device_routing) == 8 * 4 + 6 * sizeof(void *) &&
                  sizeof(device_op) == 18 * 4 + 8 * sizeof(void *) + sizeof(device_act) + sizeof(device_rope) +
                                           sizeof(device_cache) + sizeof(device_routing),
              "padding of an operation");

/* What of a step kernels read in device memory, so that a captured graph serves every position. */
typedef struct {
    unsigned long long bad; /* operation << 32 | token of the first value that is not finite, or NOT_BAD */
    uint32_t position, n_tok, first_row;
} device_step;

#define NOT_BAD (~0ull)

/* Products: up to three matrices of one format that read the same. */
typedef enum { GROUP_ALL, GROUP_EXPERTS, GROUP_SLOTS, GROUP_HEADS } group_mode;

typedef struct {
    device_matrix w[3];
    float *out[3];
    uint32_t n_results;
    group_mode mode;
    uint32_t n_groups, n_tok, out_stride; /* heads: values from one head's output to the next */
    uint32_t rows_expected;               /* of a group, on average */
    device_act act;
    const float *x;
    const uint32_t *first, *slot_expert;
} product;

/* Attention: queries in tiles of ATTEND_QUERIES of one key head; tokens of few are split over the cache's chunks. */
enum { ATTEND_QUERIES = 4, ATTEND_SPLIT_TOKENS = 4, ATTEND_THREADS = 256 };

/* ---- the runtime (runtime.cu): every call is false, with err set, where the driver says no ----- */

typedef struct gpu_queue gpu_queue; /* a stream on one device */

bool gpu_ok(int status, const char *what, gguf_error *err);
int gpu_count(char *why, size_t size); /* devices; 0 and the reason */
bool gpu_memory(int index, size_t *free_bytes, size_t *all_bytes, char *name, size_t name_size, gguf_error *err);
gpu_queue *gpu_queue_open(int index, gguf_error *err);
void gpu_queue_close(gpu_queue *q);
void *gpu_alloc(gpu_queue *q, size_t bytes, const char *what, gguf_error *err);
void gpu_release(gpu_queue *q, void *p);
/* Asynchronous; the host's memory must stay as it is until gpu_wait. */
bool gpu_send(gpu_queue *q, void *device, const void *host, size_t bytes, gguf_error *err);
bool gpu_fetch(gpu_queue *q, void *host, const void *device, size_t bytes, gguf_error *err);
bool gpu_zero(gpu_queue *q, void *device, size_t bytes, gguf_error *err);
bool gpu_wait(gpu_queue *q, gguf_error *err);
/* Copies from and to the host's memory are faster where its pages stay; false where they cannot, which is no error. */
bool gpu_pin(gpu_queue *q, const void *host, size_t bytes);
void gpu_unpin(gpu_queue *q, const void *host);
/* What is queued between these becomes a graph instead of running. */
typedef struct gpu_graph gpu_graph;
bool gpu_capture_begin(gpu_queue *q, gguf_error *err);
gpu_graph *gpu_capture_end(gpu_queue *q, gguf_error *err);
bool gpu_graph_run(gpu_queue *q, gpu_graph *g, gguf_error *err);
void gpu_graph_free(gpu_graph *g);

/* ---- kernels ------------------------------------------------------------------------------------ */

/* tokens.cu: operations [first, first + n) of ops, which work token by token. */
bool gpu_tokens(gpu_queue *q, const device_op *ops, uint32_t first, uint32_t n, device_step *s, uint32_t n_tok,
                gguf_error *err);
/* tokens.cu: OP_GROUP */
bool gpu_group_slots(gpu_queue *q, const device_op *op, uint32_t n_expert, uint32_t n_tok, gguf_error *err);
/* matmul.cu */
bool gpu_product(gpu_queue *q, const product *p, gguf_error *err);
/* attend.cu: o is the host's copy of the operation; parts: gpu_attend_parts floats, where n_tok is at most
 * ATTEND_SPLIT_TOKENS; n_chunks: how many the positions that are seen lie in, at most. */
bool gpu_attend(gpu_queue *q, const device_op *o, const device_step *s, uint32_t n_tok, uint32_t n_chunks, float *parts,
                gguf_error *err);
size_t gpu_attend_parts(const device_op *o, uint32_t n_chunks);
/* repack.cu: n_rows rows of source blocks (on the device) to rows `row` and on of matrix number `index` of m. */
bool gpu_repack(gpu_queue *q, const device_matrix *m, uint32_t index, const uint8_t *source, uint32_t row,
                uint32_t n_rows, gguf_error *err);
/* measure.cu: bytes read a second of a buffer of so many, int8 and float32 multiply-adds a second */
bool gpu_measure(gpu_queue *q, int index, size_t bytes, double *read_bytes, double *int8_macs, double *f32_macs,
                 gguf_error *err);

#ifdef __cplusplus
}
#endif
#endif
