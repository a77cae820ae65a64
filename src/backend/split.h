/*
 * Layers on GPUs, the rest on the CPU. Which goes where is decided once a session, by bytes; a list then falls into
 * segments, and at their borders what the next one reads, and another place wrote last, is copied.
 */
#ifndef BACKEND_SPLIT_H
#define BACKEND_SPLIT_H

#include "backend/backend.h"
#include "kernel/peak.h"

enum { MAX_GPUS = 16 };

/* What is asked for; as in gguf_session_params. */
typedef struct {
    int32_t layers;      /* GGUF_GPU_AUTO, GGUF_GPU_ALL, or how many of the last layers; one more is the output's */
    bool one;            /* on the first GPU alone */
    const float *shares; /* [n_shares] parts of the layers that each GPU gets; none: by free memory */
    size_t n_shares;
    gguf_warn_fn *warn;
    void *warn_ctx;
} split_wish;

/* ---- placement: numbers alone ------------------------------------------------------------------ */

/* Bytes that a device needs. */
typedef struct {
    const size_t *layers; /* [n_layers] of each, the output's last */
    const bool *stays;    /* [n_layers] it cannot leave the CPU */
    size_t n_layers;
    size_t other; /* of every device that is used */
} split_sizes;

/* place[i]: the device of layer i, or CPU; `wanted` of the last ones that can go are spread by shares [n], in order.
 * True where every device has room [n] for what it gets. */
enum { ON_CPU = -1 };
bool split_place(const split_sizes *s, size_t wanted, const double *shares, const size_t *room, size_t n, int *place);

/* ---- running ------------------------------------------------------------------------------------- */

/* The lists of a session: `body` from ids to rows, `head` from rows to logits. */
typedef struct {
    const op *body, *head;
    size_t n_body, n_head;
    uint32_t n_layers;
    const void *work; /* which they work in */
    size_t work_bytes;
} split_lists;

typedef struct split split;

/* *out is NULL where nothing goes to a GPU: with a warning, where one could be expected. Errors where GPUs were asked
 * for and cannot be had: GGUF_ERR_USAGE, GGUF_ERR_MEMORY. */
bool split_open(const split_wish *wish, const split_lists *lists, split **out, gguf_error *err);
void split_free(split *s); /* NULL is fine */
/* As backend_run: the body, the head, or a single operation of either, by itself. cpu runs what stays there. costs
 * [OP_KIND_COUNT] or NULL: of what GPUs run. */
bool split_run(split *s, backend *cpu, const op *ops, size_t n_ops, const step *st, op_cost *costs, gguf_error *err);

/* How many layers (the output's is one) are on GPUs. */
uint32_t split_layers(const split *s);
/* The part of the weights' bytes that is there. */
double split_share(const split *s);
/* What GPU number `index` can do at most, measured, and its name; out->read_bytes is 0 where there is none. */
bool split_measure(int index, machine_peak *out, char *name, size_t size, gguf_error *err);

#endif
