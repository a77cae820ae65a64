/*
 * Tensor types: THE table, one row a type, and the way a block of weights comes apart.
 * Block layouts: ggml's ggml-common.h; type numbers: ggml.h and docs/gguf.md.
 */
#ifndef QUANT_QUANT_H
#define QUANT_QUANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Numbers as they stand in files. */
typedef enum {
    QUANT_F32 = 0,
    QUANT_F16 = 1,
    QUANT_Q4_0 = 2,
    QUANT_Q4_1 = 3,
    QUANT_Q5_0 = 6,
    QUANT_Q5_1 = 7,
    QUANT_Q8_0 = 8,
    QUANT_Q8_1 = 9,
    QUANT_Q2_K = 10,
    QUANT_Q3_K = 11,
    QUANT_Q4_K = 12,
    QUANT_Q5_K = 13,
    QUANT_Q6_K = 14,
    QUANT_Q8_K = 15,
    QUANT_IQ2_XXS = 16,
    QUANT_IQ2_XS = 17,
    QUANT_IQ3_XXS = 18,
    QUANT_IQ1_S = 19,
    QUANT_IQ4_NL = 20,
    QUANT_IQ3_S = 21,
    QUANT_IQ2_S = 22,
    QUANT_IQ4_XS = 23,
    QUANT_I8 = 24,
    QUANT_I16 = 25,
    QUANT_I32 = 26,
    QUANT_I64 = 27,
    QUANT_F64 = 28,
    QUANT_IQ1_M = 29,
    QUANT_BF16 = 30,
    QUANT_TQ1_0 = 34,
    QUANT_TQ2_0 = 35,
    QUANT_MXFP4 = 39,
    QUANT_NVFP4 = 40,
    QUANT_TYPE_COUNT = 41
} quant_type;

enum { QUANT_MAX_BLOCK = 256, QUANT_MAX_SUBS = 16, QUANT_MAX_PARTS = 4 };

/* A block taken apart, exactly, or a part of one: NVFP4's has four, each with a d of its own.
 *   weight[i] = d * scale[i / sub] * q[i] - dmin * min[i / sub]      with `sub` from the type's row. */
typedef struct {
    float d, dmin;
    int8_t q[QUANT_MAX_BLOCK]; /* the type's offset is subtracted already */
    int8_t scale[QUANT_MAX_SUBS];
    uint8_t min[QUANT_MAX_SUBS]; /* only where the row says has_min */
} quant_parts;

typedef struct {
    const char *name;
    uint16_t block; /* weights a block; 1: a plain number; 0: a type that was removed from the format */
    uint16_t bytes; /* bytes a block */
    uint16_t part;  /* weights under one d; 0 for plain numbers */
    uint16_t sub;   /* weights under one scale; 0 for plain numbers */
    uint16_t act;   /* length of the int8 blocks of activations that they meet; a multiple of part; 1: plain numbers */
    bool has_min;
    void (*unpack)(const uint8_t *block, quant_parts *out); /* types of blocks: out[block / part] */
    /* The block that comes closest to x[block], errors weighted by w[block]; NULL: files have no such tensors. */
    void (*encode)(const float *x, const float *w, uint8_t *block);
    void (*load)(const uint8_t *src, size_t n, float *out); /* plain numbers, rounded to float32 */
    void (*store)(const float *x, size_t n, uint8_t *dst);  /* plain numbers from float32, or NULL */
} quant_row;

/* Indexed by quant_type. A row without name is a number that names no type. Sources need no alignment. */
extern const quant_row quant_types[QUANT_TYPE_COUNT];

/* NULL where the number names no type or a removed one. */
const quant_row *quant_find(uint32_t type);

/* Bytes of n weights, whole blocks. */
static inline size_t quant_row_bytes(quant_type type, size_t n) {
    return n / quant_types[type].block * quant_types[type].bytes;
}

/* n weights (whole blocks) to float32: each is one fused multiply-add of exact integers with d and dmin. */
void quant_decode(quant_type type, const uint8_t *src, size_t n, float *out);

/* n float32 (whole blocks) to the type. importance [n], or NULL for the same everywhere: how much the square of a
 * weight's error counts. The same bytes on every machine. False, naming the place, where a value is not finite or
 * larger than the type can hold (GGUF_ERR_RUN), or where such tensors cannot be made (GGUF_ERR_USAGE). */
bool quant_encode(quant_type type, const float *x, size_t n, const float *importance, uint8_t *out, gguf_error *err);

#endif
