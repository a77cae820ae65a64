/*
 * From a list of operations to launches. Pointers into the session's work memory become pointers into its mirror on the
 * device; vectors, tables, caches and matrices get memory there when an operation first names them. Operations that
 * follow one another and work token by token are one launch.
 */
#include <stdlib.h>
#include <string.h>

#include "backend/cuda/cuda.h"
#include "backend/cuda/program.h"
#include "base/clock.h"

enum { STAGING_BYTES = 16 << 20, MAX_DEVICE_EXPERTS = 1024, GRAPH_LAUNCHES = 4, ALIGNMENT = 256 };

/* Something of the host's that is on the device, too. */
typedef struct {
    const void *host;
    void *device;
} copied;

typedef struct {
    const void *host; /* the first matrix's data */
    device_matrix m;
} uploaded;

typedef struct {
    const cache_layer *host;
    device_cache c;
} cached;

struct cuda_device {
    gpu_queue *queue;
    const char *work;
    char *device_work;
    size_t work_bytes;
    bool pinned;
    copied *constants;
    uploaded *matrices;
    cached *caches;
    size_t n_constants, n_matrices, n_caches;
    device_step *step, host_step; /* the device's, and what it is sent */
    float *parts;
    size_t n_parts;
    uint8_t *staging, *expanded; /* of an upload: on the device, and blocks taken apart on the host */
};

typedef enum { LAUNCH_TOKENS, LAUNCH_PRODUCT, LAUNCH_ATTEND, LAUNCH_GROUP } launch_kind;

typedef struct {
    launch_kind kind;
    uint32_t first, n; /* operations */
    product product;
    uint64_t bytes; /* of weights, of one matrix a group, in the file's layout */
} launch;

struct cuda_program {
    device_op *ops, *device_ops; /* [n_ops], here and on the device */
    launch *launches;
    size_t n_ops, n_launches;
    uint32_t runs; /* of one token */
    gpu_graph *graph;
    uint32_t graph_chunks; /* that its attention can have */
};

bool cuda_is_built(void) { return true; }
int cuda_count(char *why, size_t size) { return gpu_count(why, size); }

bool cuda_free_memory(int index, size_t *bytes, char *name, size_t name_size, gguf_error *err) {
    size_t all;
    return gpu_memory(index, bytes, &all, name, name_size, err);
}

/* ---- matrices ------------------------------------------------------------------------------------ */

static matrix_format format_of(quant_type type) {
    static const uint8_t formats[QUANT_TYPE_COUNT] = {
        [QUANT_F16] = FORMAT_F16,     [QUANT_BF16] = FORMAT_BF16,     [QUANT_Q4_0] = FORMAT_Q4_0,
        [QUANT_Q4_1] = FORMAT_Q4_1,   [QUANT_Q5_0] = FORMAT_Q5_0,     [QUANT_Q5_1] = FORMAT_Q5_1,
        [QUANT_Q8_0] = FORMAT_Q8_0,   [QUANT_Q2_K] = FORMAT_Q2_K,     [QUANT_Q3_K] = FORMAT_Q3_K,
        [QUANT_Q4_K] = FORMAT_Q4_K,   [QUANT_Q5_K] = FORMAT_Q5_K,     [QUANT_Q6_K] = FORMAT_Q6_K,
        [QUANT_MXFP4] = FORMAT_MXFP4, [QUANT_IQ4_XS] = FORMAT_IQ4_XS, [QUANT_NVFP4] = FORMAT_BYTES_16,
    };
    const quant_row *t = &quant_types[type];
    if (formats[type] != FORMAT_F32 || t->load) return formats[type]; /* plain numbers of other types: as F32 */
    return t->block == 32 ? FORMAT_BYTES_32 : FORMAT_BYTES_256;
}

/* Whether blocks (or numbers) have to be changed on the host before they are laid out. */
static bool is_expanded(quant_type type) {
    matrix_format f = format_of(type);
    return f >= FORMAT_BYTES_32 || (f == FORMAT_F32 && type != QUANT_F32);
}

static size_t round_up(size_t n) { return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

/* The shape on the device; no data yet. */
static device_matrix shape_of(const matrix *w) {
    device_matrix m = {.format = format_of(w->type), .n_in = (uint32_t)w->n_in, .n_out = (uint32_t)w->n_out};
    const format_row *f = &format_rows[m.format];
    if (f->block == 1) {
        size_t group = (size_t)LANES * PLAIN_LANE_BYTES / f->bytes;
        m.n_blocks = (uint32_t)((w->n_in + group - 1) / group);
        m.matrix_bytes = round_up(w->n_out * m.n_blocks * LANES * PLAIN_LANE_BYTES);
        return m;
    }
    m.n_blocks = m.n_in / f->block;
    for (int p = 0; p < MAX_PLANES; p++) {
        m.plane[p] = m.matrix_bytes;
        m.matrix_bytes += round_up(w->n_out * m.n_blocks * f->plane_bytes[p]);
    }
    return m;
}

/* A row of the file as source blocks of the device's format; of BYTES_*: q, scales where the format has them, d. */
static void expand_row(const matrix *w, size_t row, const format_row *f, matrix_format format, uint8_t *out) {
    const quant_row *t = &quant_types[w->type];
    const uint8_t *from = w->data + row * w->row_bytes;
    if (f->block == 1) {
        t->load(from, w->n_in, (float *)(void *)out);
        return;
    }
    for (size_t i = 0; i < w->n_in; i += t->block, from += t->bytes) {
        quant_parts parts[QUANT_MAX_PARTS];
        t->unpack(from, parts);
        if (format != FORMAT_BYTES_16) {
            memcpy(out, parts->q, t->block);
            out += t->block;
            for (size_t s = 0; format == FORMAT_BYTES_256 && s < 16; s++)
                *out++ = (uint8_t)parts->scale[s * 16 / t->sub];
            memcpy(out, &parts->d, sizeof parts->d);
            out += sizeof parts->d;
            continue;
        }
        for (int pair = 0; pair < 2; pair++, out += f->bytes) { /* 64 weights: two blocks of 32 */
            for (int h = 0; h < 2; h++) {
                memcpy(out + 16 * h, parts[2 * pair + h].q, 16);
                memcpy(out + 32 + 4 * h, &parts[2 * pair + h].d, 4);
            }
        }
    }
}

static size_t source_row_bytes(const matrix *w, const device_matrix *m) {
    const format_row *f = &format_rows[m->format];
    return is_expanded(w->type) ? w->n_in / f->block * f->bytes : w->row_bytes;
}

static bool upload_one(cuda_device *d, const matrix *w, const device_matrix *m, uint32_t index, gguf_error *err) {
    const format_row *f = &format_rows[m->format];
    size_t bytes = source_row_bytes(w, m), at_once = STAGING_BYTES / bytes;
    if (at_once == 0)
        return fail(err, GGUF_ERR_MODEL, "a row of %zu weights is too long for the GPU: leave -ngl out", w->n_in);
    for (size_t row = 0; row < w->n_out; row += at_once) {
        size_t n = w->n_out - row < at_once ? w->n_out - row : at_once;
        const uint8_t *from = w->data + row * w->row_bytes;
        if (is_expanded(w->type)) {
            if (!gpu_wait(d->queue, err)) return false; /* the rows before are on their way */
            for (size_t i = 0; i < n; i++) expand_row(w, row + i, f, m->format, d->expanded + i * bytes);
            from = d->expanded;
        }
        if (!gpu_send(d->queue, d->staging, from, n * bytes, err) ||
            !gpu_repack(d->queue, m, index, d->staging, (uint32_t)row, (uint32_t)n, err))
            return false;
    }
    return true;
}

/* Room for one more of n elements; false where there is no memory. */
static bool grow(void **list, size_t n, size_t size, gguf_error *err) {
    if (n & (n - 1)) return true; /* doubled when n reaches a power of two */
    void *more = realloc(*list, (n ? 2 * n : 1) * size);
    if (!more) return fail_memory(err, "the GPU's tables", (n ? 2 * n : 1) * size);
    *list = more;
    return true;
}

/* n_matrices of one type and shape. */
static bool upload(cuda_device *d, const matrix *w, size_t n_matrices, device_matrix *out, gguf_error *err) {
    for (size_t i = 0; i < d->n_matrices; i++) {
        *out = d->matrices[i].m;
        if (d->matrices[i].host == w->data && out->n_in == w->n_in && out->n_out == w->n_out) return true;
    }
    *out = shape_of(w);
    if (!grow((void **)&d->matrices, d->n_matrices, sizeof *d->matrices, err)) return false;
    out->data = gpu_alloc(d->queue, n_matrices * out->matrix_bytes, "weights", err);
    if (!out->data) return false;
    d->matrices[d->n_matrices++] = (uploaded){w->data, *out};
    for (size_t i = 0; i < n_matrices; i++) {
        if (!upload_one(d, &w[i], out, (uint32_t)i, err)) return false;
    }
    return true;
}

/* ---- pointers ------------------------------------------------------------------------------------ */

/* A pointer into the work memory, on the device. */
static bool mirror(const cuda_device *d, const void *host, void *out, gguf_error *err) {
    const char *p = host;
    char *device = NULL;
    if (p && (p < d->work || p > d->work + d->work_bytes))
        return fail(err, GGUF_ERR_RUN, "an operation reads memory that is not the session's"); /* a bug */
    if (p) device = d->device_work + (p - d->work);
    memcpy(out, &device, sizeof device);
    return true;
}

/* A table of the model's or the session's that does not change. */
static bool constant(cuda_device *d, const void *host, size_t bytes, void *out, gguf_error *err) {
    void *device = NULL;
    for (size_t i = 0; host && i < d->n_constants && !device; i++) {
        if (d->constants[i].host == host) device = d->constants[i].device;
    }
    if (host && !device) {
        if (!grow((void **)&d->constants, d->n_constants, sizeof *d->constants, err)) return false;
        device = gpu_alloc(d->queue, bytes, "vectors", err);
        if (!device || !gpu_send(d->queue, device, host, bytes, err)) return false;
        d->constants[d->n_constants++] = (copied){host, device};
    }
    memcpy(out, &device, sizeof device);
    return true;
}

static size_t cache_part(const cache_layer *c, quant_type type, uint32_t n) {
    return (size_t)c->n_head_kv * c->n_ctx * quant_row_bytes(type, n);
}

static bool open_cache(cuda_device *d, const cache_layer *c, device_cache *out, gguf_error *err) {
    for (size_t i = 0; i < d->n_caches; i++) {
        *out = d->caches[i].c;
        if (d->caches[i].host == c) return true;
    }
    *out = (device_cache){.k_type = c->k_type,
                          .v_type = c->v_type,
                          .n_head_kv = c->n_head_kv,
                          .n_ctx = c->n_ctx,
                          .n_k = c->n_k,
                          .n_v = c->n_v,
                          .k_bytes = (uint32_t)quant_row_bytes(c->k_type, c->n_k),
                          .v_bytes = (uint32_t)quant_row_bytes(c->v_type, c->n_v),
                          .is_ring = c->is_ring};
    size_t k = round_up(cache_part(c, c->k_type, c->n_k)), v = cache_part(c, c->v_type, c->n_v);
    if (!grow((void **)&d->caches, d->n_caches, sizeof *d->caches, err)) return false;
    out->k = gpu_alloc(d->queue, k + v, "the KV cache", err);
    if (!out->k || !gpu_zero(d->queue, out->k, k + v, err)) return false;
    out->v = out->k + k;
    d->caches[d->n_caches++] = (cached){c, *out};
    return true;
}

static bool mirror_act(const cuda_device *d, const act_buffer *a, device_act *out, gguf_error *err) {
    out->block = (uint32_t)a->block;
    if (a->block == 1) return mirror(d, a->x, &out->x, err);
    return mirror(d, a->q, &out->q, err) && mirror(d, a->scale, &out->scale, err) && mirror(d, a->sum, &out->sum, err);
}

static bool mirror_rope(cuda_device *d, const rope_table *r, device_rope *out, gguf_error *err) {
    *out = (device_rope){.n_rot = r->n_rot, .halves = r->halves, .scale = r->scale};
    return constant(d, r->inverse_frequency, r->n_rot / 2 * sizeof(double), &out->inverse_frequency, err) &&
           mirror(d, r->cos, &out->cos, err) && mirror(d, r->sin, &out->sin, err);
}

static bool mirror_routing(const cuda_device *d, const routing *r, device_routing *out, gguf_error *err) {
    *out = (device_routing){.n_expert = r->n_expert,
                            .n_used = r->n_used,
                            .n_group = r->n_group,
                            .n_group_used = r->n_group_used,
                            .gating = r->gating,
                            .normalise = r->normalise,
                            .by_logit = r->by_logit,
                            .scale = r->scale};
    return mirror(d, r->expert, &out->expert, err) && mirror(d, r->weight, &out->weight, err) &&
           mirror(d, r->slot, &out->slot, err) && mirror(d, r->first, &out->first, err) &&
           mirror(d, r->slot_token, &out->slot_token, err) && mirror(d, r->slot_expert, &out->slot_expert, err);
}

/* Values of `vector` and of `vector2`. */
static size_t vector_length(const op *o) {
    switch (o->kind) {
    case OP_ROUTE: return o->routing->n_expert;
    case OP_ADD_EXPERT_VECTOR: return o->routing->n_expert * o->n;
    case OP_CONV: return o->n * o->period;
    default: return o->shared && o->group ? o->group : o->n;
    }
}

static bool translate_op(cuda_device *d, const op *o, size_t index, device_op *to, gguf_error *err) {
    *to = (device_op){.kind = o->kind,
                      .index = (uint32_t)index,
                      .layer = o->layer,
                      .n = (uint32_t)o->n,
                      .group = (uint32_t)o->group,
                      .n_head = o->n_head,
                      .offset = (uint32_t)o->offset,
                      .in_stride = (uint32_t)o->in_stride,
                      .out_stride = (uint32_t)o->out_stride,
                      .window = o->window,
                      .period = o->period,
                      .shift = o->shift,
                      .activation = o->activation,
                      .shared = o->shared,
                      .chunks = o->chunks,
                      .gather = o->gather,
                      .weight_first = o->weight_first,
                      .eps = o->eps,
                      .scale = o->scale,
                      .softcap = o->softcap};
    size_t n = vector_length(o) * sizeof(float), heads = o->n_head * sizeof(float);
    bool ok = mirror(d, o->in, &to->in, err) && mirror(d, o->in2, &to->in2, err) && mirror(d, o->out, &to->out, err) &&
              constant(d, o->vector, n, &to->vector, err) && constant(d, o->vector2, n, &to->vector2, err) &&
              constant(d, o->slopes, heads, &to->slopes, err) && constant(d, o->sinks, heads, &to->sinks, err) &&
              constant(d, o->xielu, 4 * sizeof(float), &to->xielu, err);
    if (o->kind == OP_ADD_VECTOR) to->in = to->out;
    if (ok && o->act) ok = mirror_act(d, o->act, &to->act, err);
    if (ok && o->rope) ok = mirror_rope(d, o->rope, &to->rope, err);
    if (ok && o->cache) ok = open_cache(d, o->cache, &to->cache, err);
    if (ok && o->routing) ok = mirror_routing(d, o->routing, &to->routing, err);
    return ok;
}

/* ---- what is there ------------------------------------------------------------------------------- */

/* How an operation is launched. */
enum {
    NOT_HERE,
    BY_TOKEN, /* with its neighbours */
    ALONE,    /* by token, but what its neighbours make of other tokens must be there, or they need what it makes */
    PRODUCT,
    ATTENTION,
    ORDER,
};

static const uint8_t ways[OP_KIND_COUNT] = {
    [OP_SELECT] = BY_TOKEN,
    [OP_ROPE_TABLE] = BY_TOKEN,
    [OP_RMS_NORM] = BY_TOKEN,
    [OP_LAYER_NORM] = BY_TOKEN,
    [OP_QUANTIZE] = BY_TOKEN,
    [OP_MATMUL] = PRODUCT,
    [OP_ADD_VECTOR] = BY_TOKEN,
    [OP_ROPE] = BY_TOKEN,
    [OP_TEMPERATURE] = BY_TOKEN,
    [OP_STORE] = BY_TOKEN,
    [OP_ATTEND] = ATTENTION,
    [OP_ACTIVATE] = BY_TOKEN,
    [OP_ADD] = BY_TOKEN,
    [OP_SCALE] = BY_TOKEN,
    [OP_CLAMP] = BY_TOKEN,
    [OP_SOFTCAP] = BY_TOKEN,
    [OP_GATE] = BY_TOKEN,
    [OP_ROUTE] = BY_TOKEN,
    [OP_GROUP] = ORDER,
    [OP_QUANTIZE_EXPERTS] = ALONE, /* by slot, as the two that follow; an activation runs over slots of other tokens */
    [OP_MATMUL_EXPERTS] = PRODUCT,
    [OP_ADD_EXPERT_VECTOR] = ALONE,
    [OP_SUM_EXPERTS] = ALONE,
    [OP_QUANTIZE_HEADS] = BY_TOKEN,
    [OP_MATMUL_HEADS] = PRODUCT,
    [OP_COPY_HEADS] = BY_TOKEN,
    [OP_CONV_STORE] = BY_TOKEN,
    [OP_CONV] = ALONE, /* reads what other tokens store */
};

const char *cuda_lacks(const op *o) {
    if (o->kind == OP_EMBED || o->kind == OP_ADD_POSITION) return "embeddings";
    if (ways[o->kind] == NOT_HERE) return op_name(o->kind);
    if (o->routing && o->routing->n_expert > MAX_DEVICE_EXPERTS) return "more than 1024 experts";
    return NULL;
}

static size_t matrices_of(const op *o) {
    return o->kind == OP_MATMUL_EXPERTS ? o->routing->n_expert : o->kind == OP_MATMUL_HEADS ? o->n_head : 1;
}

static size_t results_of(const op *o) {
    return o->kind == OP_MATMUL_HEADS ? 1 : ways[o->kind] == PRODUCT ? o->n_results : 0;
}

size_t cuda_op_bytes(const op *o) {
    size_t bytes = 0;
    for (size_t i = 0; i < results_of(o); i++)
        bytes += round_up(matrices_of(o) * shape_of(o->result[i].matrix).matrix_bytes);
    if (o->kind == OP_STORE || o->kind == OP_CONV_STORE) {
        bytes += round_up(cache_part(o->cache, o->cache->k_type, o->cache->n_k)) +
                 round_up(cache_part(o->cache, o->cache->v_type, o->cache->n_v));
    }
    const float *const vectors[] = {o->vector, o->vector2};
    for (size_t i = 0; i < 2; i++) bytes += vectors[i] ? round_up(vector_length(o) * sizeof(float)) : 0;
    return bytes;
}

/* Chunks that an operation's queries can see at most. */
static uint32_t most_chunks(const op *o) {
    uint32_t n = (o->cache->n_ctx + ATTENTION_CHUNK - 1) / ATTENTION_CHUNK;
    if (o->window == 0) return n;
    uint32_t seen = (o->window + ATTEND_SPLIT_TOKENS) / ATTENTION_CHUNK + 2;
    return o->cache->is_ring || seen < n ? seen : n;
}

static size_t parts_of(const op *o) {
    device_op shape = {.n_head = o->n_head, .cache = {.n_v = o->cache->n_v}};
    return gpu_attend_parts(&shape, most_chunks(o));
}

static size_t most_parts(const op *ops, size_t n_ops) {
    size_t most = 0;
    for (size_t i = 0; i < n_ops; i++) {
        size_t n = ops[i].kind == OP_ATTEND ? parts_of(&ops[i]) : 0;
        most = n > most ? n : most;
    }
    return most;
}

size_t cuda_other_bytes(size_t work_bytes, const op *ops, size_t n_ops) {
    return round_up(work_bytes) + STAGING_BYTES + round_up(most_parts(ops, n_ops) * sizeof(float)) +
           round_up((n_ops + 2) * sizeof(device_op));
}

/* ---- the device ---------------------------------------------------------------------------------- */

cuda_device *cuda_open(int index, const void *work, size_t work_bytes, gguf_error *err) {
    cuda_device *d = calloc(1, sizeof *d);
    if (!d) {
        fail_memory(err, "the GPU's tables", sizeof *d);
        return NULL;
    }
    d->work = work;
    d->work_bytes = work_bytes;
    d->queue = gpu_queue_open(index, err);
    if (d->queue) d->device_work = gpu_alloc(d->queue, work_bytes, "the work memory", err);
    if (d->device_work) d->step = gpu_alloc(d->queue, sizeof *d->step, "the step", err);
    if (d->step) d->staging = gpu_alloc(d->queue, STAGING_BYTES, "the upload", err);
    if (d->staging) d->expanded = malloc(STAGING_BYTES);
    if (d->staging && !d->expanded) fail_memory(err, "the upload", STAGING_BYTES);
    if (d->expanded) d->pinned = gpu_pin(d->queue, work, work_bytes);
    if (d->expanded && gpu_zero(d->queue, d->device_work, work_bytes, err)) return d;
    cuda_close(d);
    return NULL;
}

void cuda_close(cuda_device *d) {
    if (!d) return;
    if (d->queue) gpu_wait(d->queue, NULL);
    if (d->pinned) gpu_unpin(d->queue, d->work);
    for (size_t i = 0; i < d->n_constants; i++) gpu_release(d->queue, d->constants[i].device);
    for (size_t i = 0; i < d->n_matrices; i++) gpu_release(d->queue, (void *)(uintptr_t)d->matrices[i].m.data);
    for (size_t i = 0; i < d->n_caches; i++) gpu_release(d->queue, d->caches[i].c.k);
    if (d->queue) {
        gpu_release(d->queue, d->parts);
        gpu_release(d->queue, d->staging);
        gpu_release(d->queue, d->step);
        gpu_release(d->queue, d->device_work);
    }
    gpu_queue_close(d->queue);
    free(d->constants);
    free(d->matrices);
    free(d->caches);
    free(d->expanded);
    free(d);
}

/* ---- programs ------------------------------------------------------------------------------------ */

static void add_tokens(cuda_program *p, uint32_t at, bool alone, bool *open) {
    launch *last = p->n_launches ? &p->launches[p->n_launches - 1] : NULL;
    if (*open && !alone) {
        last->n++;
    } else {
        p->launches[p->n_launches++] = (launch){.kind = LAUNCH_TOKENS, .first = at, .n = 1};
    }
    *open = !alone;
}

/* A launch for each format among the results. */
static bool add_products(cuda_device *d, cuda_program *p, const op *o, uint32_t at, gguf_error *err) {
    bool taken[OP_MAX_RESULTS] = {false};
    for (size_t first = 0; first < results_of(o); first++) {
        if (taken[first]) continue;
        launch *l = &p->launches[p->n_launches++];
        *l = (launch){.kind = LAUNCH_PRODUCT, .first = at, .n = 1};
        product *to = &l->product;
        to->act = p->ops[at].act;
        to->x = o->kind == OP_MATMUL ? p->ops[at].in : to->act.x;
        to->out_stride = (uint32_t)o->out_stride;
        to->mode = o->kind == OP_MATMUL ? GROUP_ALL : o->kind == OP_MATMUL_HEADS ? GROUP_HEADS : GROUP_EXPERTS;
        to->n_groups = (uint32_t)matrices_of(o);
        to->first = p->ops[at].routing.first;
        to->slot_expert = p->ops[at].routing.slot_expert;
        for (size_t i = first; i < results_of(o); i++) {
            const matrix *w = o->result[i].matrix;
            if (taken[i] || format_of(w->type) != format_of(o->result[first].matrix->type)) continue;
            taken[i] = true;
            float *const out = o->kind == OP_MATMUL_HEADS ? o->out : o->result[i].out;
            if (!upload(d, w, matrices_of(o), &to->w[to->n_results], err) ||
                !mirror(d, out, &to->out[to->n_results], err))
                return false;
            to->n_results++;
            l->bytes += w->row_bytes * w->n_out;
        }
    }
    return true;
}

static bool add_launches(cuda_device *d, cuda_program *p, const op *const *ops, gguf_error *err) {
    bool open = false; /* the last launch takes more operations by token */
    for (uint32_t i = 0; i < p->n_ops; i++) {
        int way = ways[ops[i]->kind];
        if (way == BY_TOKEN || way == ALONE) {
            add_tokens(p, i, way == ALONE, &open);
            continue;
        }
        open = false;
        if (way == PRODUCT) {
            if (!add_products(d, p, ops[i], i, err)) return false;
        } else {
            launch_kind kind = way == ATTENTION ? LAUNCH_ATTEND : LAUNCH_GROUP;
            p->launches[p->n_launches++] = (launch){.kind = kind, .first = i, .n = 1};
        }
    }
    return true;
}

/* The operations, and before them those that make the angles that they turn by. */
static size_t with_angles(const op *ops, size_t n_ops, op *angles, const op **out) {
    size_t n = 0;
    for (size_t i = 0; i < n_ops; i++) {
        bool known = ops[i].kind != OP_ROPE;
        for (size_t k = 0; k < n; k++) known |= angles[k].rope == ops[i].rope;
        if (known) continue;
        angles[n] = (op){.kind = OP_ROPE_TABLE, .layer = -1, .rope = ops[i].rope};
        out[n] = &angles[n];
        n++;
    }
    for (size_t i = 0; i < n_ops; i++) out[n + i] = &ops[i];
    return n + n_ops;
}

static bool make_room_for_parts(cuda_device *d, const op *ops, size_t n_ops, gguf_error *err) {
    size_t n = most_parts(ops, n_ops);
    if (n <= d->n_parts) return true;
    gpu_release(d->queue, d->parts);
    d->n_parts = n;
    d->parts = gpu_alloc(d->queue, n * sizeof *d->parts, "the parts of attention", err);
    return d->parts != NULL;
}

enum { MAX_ROPE_TABLES = 8 };

static bool fill_program(cuda_device *d, cuda_program *p, const op *const *ops, size_t n_angles, size_t first,
                         gguf_error *err) {
    for (size_t i = 0; i < p->n_ops; i++) {
        size_t index = i < n_angles ? first : first + i - n_angles;
        if (!translate_op(d, ops[i], index, &p->ops[i], err)) return false;
    }
    if (!add_launches(d, p, ops, err)) return false;
    p->device_ops = gpu_alloc(d->queue, p->n_ops * sizeof *p->ops, "the operations", err);
    return p->device_ops && gpu_send(d->queue, p->device_ops, p->ops, p->n_ops * sizeof *p->ops, err) &&
           gpu_wait(d->queue, err);
}

cuda_program *cuda_translate(cuda_device *d, const op *ops, size_t n_ops, size_t first, gguf_error *err) {
    op angles[MAX_ROPE_TABLES];
    cuda_program *p = calloc(1, sizeof *p);
    const op **all = calloc(n_ops + MAX_ROPE_TABLES, sizeof *all);
    size_t n = all ? with_angles(ops, n_ops, angles, all) : 0;
    if (p) {
        p->n_ops = n;
        p->ops = calloc(n, sizeof *p->ops);
        p->launches = calloc(n * OP_MAX_RESULTS, sizeof *p->launches);
    }
    bool room = all && p && p->ops && p->launches;
    if (!room) fail_memory(err, "the GPU's operations", n * sizeof *p->ops);
    bool ok = room && make_room_for_parts(d, ops, n_ops, err) && fill_program(d, p, all, n - n_ops, first, err);
    free(all);
    if (ok) return p;
    cuda_program_free(d, p);
    return NULL;
}

void cuda_program_free(cuda_device *d, cuda_program *p) {
    if (!p) return;
    gpu_graph_free(p->graph);
    gpu_release(d->queue, p->device_ops);
    free(p->ops);
    free(p->launches);
    free(p);
}

/* ---- running ------------------------------------------------------------------------------------- */

bool cuda_send(cuda_device *d, const void *host, size_t bytes, gguf_error *err) {
    void *device = NULL;
    return mirror(d, host, &device, err) && gpu_send(d->queue, device, host, bytes, err);
}

bool cuda_fetch(cuda_device *d, void *host, size_t bytes, gguf_error *err) {
    void *device = NULL;
    return mirror(d, host, &device, err) && gpu_fetch(d->queue, host, device, bytes, err);
}

static uint32_t first_seen(const device_op *o, uint32_t position) {
    if (o->window == 0) return 0;
    if (o->chunks) return position / o->window * o->window;
    return position < o->window ? 0 : position - o->window + 1;
}

static uint32_t chunks_seen(const device_op *o, const step *s) {
    return (s->position + s->n_tok - 1) / ATTENTION_CHUNK - first_seen(o, s->position) / ATTENTION_CHUNK + 1;
}

/* Chunks that a captured attention must be able to have, for `seen` of a step. */
static uint32_t chunk_room(const device_op *o, uint32_t chunks) {
    uint32_t most = (o->cache.n_ctx + ATTENTION_CHUNK - 1) / ATTENTION_CHUNK;
    if (o->window) {
        uint32_t window = (o->window + ATTEND_SPLIT_TOKENS) / ATTENTION_CHUNK + 2;
        most = o->cache.is_ring || window < most ? window : most;
    }
    return chunks < most ? chunks : most;
}

static bool run_product(cuda_device *d, const launch *l, const device_op *o, const step *s, gguf_error *err) {
    product p = l->product;
    p.n_tok = p.rows_expected = s->n_tok;
    if (p.mode == GROUP_EXPERTS) {
        uint32_t n_slots = s->n_tok * o->routing.n_used;
        p.rows_expected = n_slots / o->routing.n_expert;
        if (n_slots < p.n_groups) {
            p.mode = GROUP_SLOTS;
            p.n_groups = n_slots;
        }
    }
    return gpu_product(d->queue, &p, err);
}

static bool run_launch(cuda_device *d, const cuda_program *p, const launch *l, const step *s, uint32_t chunks,
                       gguf_error *err) {
    const device_op *o = &p->ops[l->first];
    switch (l->kind) {
    case LAUNCH_TOKENS: return gpu_tokens(d->queue, p->device_ops, l->first, l->n, d->step, s->n_tok, err);
    case LAUNCH_PRODUCT: return run_product(d, l, o, s, err);
    case LAUNCH_GROUP: return gpu_group_slots(d->queue, p->device_ops + l->first, o->routing.n_expert, s->n_tok, err);
    case LAUNCH_ATTEND: break;
    }
    bool split = s->n_tok <= ATTEND_SPLIT_TOKENS;
    return gpu_attend(d->queue, o, d->step, s->n_tok, chunk_room(o, chunks), split ? d->parts : NULL, err);
}

static bool run_launches(cuda_device *d, const cuda_program *p, const step *s, uint32_t chunks, gguf_error *err) {
    for (size_t i = 0; i < p->n_launches; i++) {
        if (!run_launch(d, p, &p->launches[i], s, chunks, err)) return false;
    }
    return true;
}

/* Bytes of weights or cache that a launch has to read. */
static bool count_bytes(cuda_device *d, const cuda_program *p, const launch *l, const step *s, uint64_t *out,
                        gguf_error *err) {
    const device_op *o = &p->ops[l->first];
    const device_cache *c = &o->cache;
    *out = l->bytes;
    if (l->kind == LAUNCH_ATTEND) {
        uint64_t seen = s->position + s->n_tok - first_seen(o, s->position);
        *out = seen * c->n_head_kv * (c->k_bytes + c->v_bytes);
    }
    if (l->kind != LAUNCH_PRODUCT || l->product.mode == GROUP_ALL) return true;
    if (l->product.mode == GROUP_HEADS) {
        *out *= o->n_head;
        return true;
    }
    uint32_t first[MAX_DEVICE_EXPERTS + 1], used = 0;
    if (!gpu_fetch(d->queue, first, l->product.first, (o->routing.n_expert + 1) * sizeof *first, err) ||
        !gpu_wait(d->queue, err))
        return false;
    for (uint32_t e = 0; e < o->routing.n_expert; e++) used += first[e + 1] > first[e];
    *out *= used;
    return true;
}

/* One operation after another, each waited for. */
static bool run_timed(cuda_device *d, const cuda_program *p, const step *s, uint32_t chunks, op_cost *costs,
                      gguf_error *err) {
    for (size_t i = 0; i < p->n_launches; i++) {
        for (uint32_t k = 0; k < p->launches[i].n; k++) {
            launch l = p->launches[i];
            l.first += k;
            l.n = 1;
            uint64_t bytes;
            double begin = clock_seconds();
            if (!run_launch(d, p, &l, s, chunks, err) || !gpu_wait(d->queue, err)) return false;
            op_cost *c = &costs[p->ops[l.first].kind];
            c->seconds += clock_seconds() - begin;
            c->calls++;
            if (!count_bytes(d, p, &l, s, &bytes, err)) return false;
            c->bytes += bytes;
        }
    }
    return true;
}

/* Runs of one token: the second one is captured (the first loads the kernels), and so is one that needs more chunks
 * than the graph has room for: a power of two. */
static bool run_graph(cuda_device *d, cuda_program *p, const step *s, uint32_t chunks, gguf_error *err) {
    if (p->runs++ == 0 || p->n_launches < GRAPH_LAUNCHES) return run_launches(d, p, s, chunks, err);
    if (!p->graph || chunks > p->graph_chunks) {
        gpu_graph_free(p->graph);
        p->graph = NULL;
        for (p->graph_chunks = 1; p->graph_chunks < chunks;) p->graph_chunks *= 2;
        if (!gpu_capture_begin(d->queue, err)) return false;
        bool ok = run_launches(d, p, s, p->graph_chunks, err);
        p->graph = gpu_capture_end(d->queue, err);
        if (!ok || !p->graph) return false;
    }
    return gpu_graph_run(d->queue, p->graph, err);
}

bool cuda_run(cuda_device *d, cuda_program *p, const step *s, op_cost *costs, gguf_error *err) {
    d->host_step = (device_step){NOT_BAD, s->position, s->n_tok, s->first_row};
    if (!gpu_send(d->queue, d->step, &d->host_step, sizeof d->host_step, err)) return false;
    uint32_t chunks = 1;
    for (size_t i = 0; i < p->n_ops; i++) {
        uint32_t n = p->ops[i].kind == OP_ATTEND ? chunks_seen(&p->ops[i], s) : 0;
        chunks = n > chunks ? n : chunks;
    }
    if (costs) return run_timed(d, p, s, chunks, costs, err);
    return s->n_tok == 1 ? run_graph(d, p, s, chunks, err) : run_launches(d, p, s, chunks, err);
}

bool cuda_finish(cuda_device *d, uint64_t *bad, gguf_error *err) {
    unsigned long long seen = NOT_BAD;
    if (!gpu_fetch(d->queue, &seen, &d->step->bad, sizeof seen, err) || !gpu_wait(d->queue, err)) return false;
    *bad = seen;
    return true;
}

bool cuda_measure(int index, double *read_bytes, double *int8_macs, double *f32_macs, gguf_error *err) {
    enum { MOST = 1 << 30, LEAST = 1 << 24 }; /* larger than any cache, where there is room */
    size_t bytes = 0, all;
    char name[64];
    gpu_queue *q = gpu_queue_open(index, err);
    bool ok = q && gpu_memory(index, &bytes, &all, name, sizeof name, err);
    for (bytes /= 2; bytes & (bytes - 1);) bytes &= bytes - 1; /* a power of two */
    bytes = bytes > MOST ? MOST : bytes < LEAST ? LEAST : bytes;
    ok = ok && gpu_measure(q, index, bytes, read_bytes, int8_macs, f32_macs, err);
    gpu_queue_close(q);
    return ok;
}
