/* Operations on one token at a time that not every model has. */
#include "backend/cpu_parts.h"
#include "kernel/fmath.h"

void add_position(backend *b, const op *o, size_t t) {
    const matrix *m = o->result[0].matrix;
    float row[256];
    size_t block = quant_types[m->type].block, piece = block > 1 ? block : sizeof row / sizeof *row;
    const uint8_t *from = m->data + (b->step->position + t) * m->row_bytes;
    for (size_t i = 0; i < o->n; i += piece) {
        size_t n = o->n - i < piece ? o->n - i : piece;
        quant_decode(m->type, from + quant_row_bytes(m->type, i), n, row);
        b->k->add(o->out + t * o->n + i, row, n, o->out + t * o->n + i);
    }
}

/* Norms over groups of a token's values. */
typedef void norm_fn(const float *x, const float *w, const float *bias, size_t n, float eps, float *y);

static void norm_groups(const op *o, size_t t, norm_fn *norm) {
    const float *x = o->in + t * (o->in_stride ? o->in_stride : o->n);
    float *y = o->out + t * (o->out_stride ? o->out_stride : o->n);
    size_t group = o->group ? o->group : o->n, stride = o->shared ? 0 : group;
    for (size_t i = 0, at = 0; i < o->n; i += group, at += stride) {
        norm(x + i, o->vector ? o->vector + at : NULL, o->vector2 ? o->vector2 + at : NULL, group, o->eps, y + i);
    }
}

void rms_norm(backend *b, const op *o, size_t t) { norm_groups(o, t, b->k->rms_norm); }

void layer_norm(backend *b, const op *o, size_t t) { norm_groups(o, t, b->k->layer_norm); }

void temperature(backend *b, const op *o, size_t t) {
    uint64_t whole = ((uint64_t)b->step->position + t + o->shift) / o->period;
    float scale = (float)(1 + (double)o->scale * log_f64(1 + (double)whole));
    b->k->scale(o->out + t * o->n, scale, o->n, o->out + t * o->n);
}

void gate(backend *b, const op *o, size_t t) {
    b->k->scale(o->in + t * o->n, 1 / (1 + exp_f32(-o->in2[t])), o->n, o->out + t * o->n);
}

/* ---- short convolution: the cache's rows are float32 [n] ---------------------------------------- */

static float *conv_row(const op *o, size_t position) {
    return (float *)(void *)o->cache->k + position % o->cache->n_ctx * o->n;
}

void conv_store(backend *b, const op *o, size_t t) {
    const float *gate_in = o->in + t * 3 * o->n, *x = gate_in + 2 * o->n;
    float *row = conv_row(o, b->step->position + t);
    for (size_t i = 0; i < o->n; i++) row[i] = gate_in[i] * x[i];
}

void convolve(backend *b, const op *o, size_t t) {
    const float *gate_out = o->in + t * 3 * o->n + o->n;
    float *y = o->out + t * o->n;
    size_t position = b->step->position + t;
    memset(y, 0, o->n * sizeof *y);
    for (uint32_t j = 0; j < o->period; j++) {
        if (position + j + 1 < o->period) continue; /* before the text */
        const float *row = conv_row(o, position + j + 1 - o->period);
        for (size_t i = 0; i < o->n; i++) y[i] += o->vector[i * o->period + j] * row[i];
    }
    for (size_t i = 0; i < o->n; i++) y[i] *= gate_out[i];
}
