/* The operations of a forward pass, by their numbers; backend.h says of what they are made. */
#ifndef BACKEND_KINDS_H
#define BACKEND_KINDS_H

typedef enum {
    OP_EMBED,        /* out = the rows of result[0].matrix that the step's ids name */
    OP_ADD_POSITION, /* out += the rows of result[0].matrix at the step's positions */
    OP_SELECT,       /* out[i] = in[step.first_row + i] */
    OP_ROPE_TABLE,   /* cos, sin of every position of the step */
    OP_RMS_NORM,     /* out = rms_norm(in) * vector, over groups of `group` values */
    OP_LAYER_NORM,   /* out = layer_norm(in) * vector + vector2, likewise */
    OP_QUANTIZE,     /* act = in as int8 blocks of act->block; block 1 only proves that in is finite */
    OP_MATMUL,       /* result[i].out = matrix * act (or in), for up to three matrices that read the same */
    OP_ADD_VECTOR,   /* out += vector, each token */
    OP_ROPE,         /* turns the heads of out in place */
    OP_TEMPERATURE,  /* out *= 1 + scale * ln(1 + floor(position / period)) */
    OP_STORE,        /* in (keys) and in2 (values) into the cache at the step's positions */
    OP_ATTEND,       /* out = attention of the heads in `in` over the cache */
    OP_ACTIVATE,     /* out = activation(in), times in2 where that is there */
    OP_ADD,          /* out = in + in2 */
    OP_SCALE,        /* out = in * scale */
    OP_CLAMP,        /* out = in within -scale ... scale */
    OP_SOFTCAP,      /* out = scale * tanh(in / scale) */
    OP_GATE,         /* out = in * sigmoid(in2), in2 being one value a token */

    /* Experts: see `routing`. Slots are rows, [n_slots][n]. */
    OP_ROUTE,             /* in: one value an expert; chooses each token's experts and their weights */
    OP_GROUP,             /* puts the slots in order */
    OP_QUANTIZE_EXPERTS,  /* as OP_QUANTIZE: in by token (gather) or by slot; act in the order of slots */
    OP_MATMUL_EXPERTS,    /* result[i].out, by slot, for up to three matrices an expert */
    OP_ADD_EXPERT_VECTOR, /* out += the row of vector that belongs to the slot's expert */
    OP_SUM_EXPERTS,       /* out = sum of weight * in, in by slot, in the order of the experts */

    /* Heads that have a matrix each; in and out are [n_tok][n_head] rows of in_stride and out_stride values. */
    OP_QUANTIZE_HEADS, /* the first n of each row */
    OP_MATMUL_HEADS,   /* result[0].matrix is the first head's of n_head */
    OP_COPY_HEADS,     /* out = in, n values a head */

    /* A convolution over the last `period` positions, one filter a channel; in is [3][n]: b, c, x of each token */
    OP_CONV_STORE, /* b * x into the cache */
    OP_CONV,       /* out = c * sum of vector * the cache's rows */
    OP_KIND_COUNT
} op_kind;

/* How a token's experts are chosen and weighted; numbers as files have them, 0 being none. */
typedef enum {
    GATE_DEFAULT,
    GATE_SOFTMAX, /* of all experts' values */
    GATE_SIGMOID,
    GATE_SOFTMAX_LAST, /* of the values of those chosen */
    GATE_KIND_COUNT
} gating_kind;

#endif
