#include "backend/split.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cuda/cuda.h"

/* ---- what operations read and write -------------------------------------------------------------- */

/* A part of the work memory that an operation reads or writes in a step. */
typedef struct {
    const char *at;
    size_t bytes;
    bool read, written;
} area;

enum { MAX_AREAS = 16 };

typedef struct {
    area v[MAX_AREAS];
    size_t n;
} areas;

static void put(areas *a, const void *at, size_t bytes, bool read, bool written) {
    if (at && bytes) a->v[a->n++] = (area){at, bytes, read, written};
}

static void reads(areas *a, const void *at, size_t n) { put(a, at, n * 4, true, false); }
static void writes(areas *a, const void *at, size_t n) { put(a, at, n * 4, false, true); }
static void changes(areas *a, const void *at, size_t n) { put(a, at, n * 4, true, true); }

/* rows of n quantized values */
static void put_act(areas *a, const act_buffer *act, const float *x, size_t values, bool written) {
    if (act->block == 1) {
        put(a, x, values * 4, !written, written);
        return;
    }
    put(a, act->q, values, !written, written);
    put(a, act->scale, values / act->block * 4, !written, written);
    put(a, act->sum, values / ACTIVATION_SUB * 2, !written, written);
}

static void put_slots(areas *a, const routing *r, size_t slots, bool written) {
    put(a, r->slot, slots * 4, !written, written);
    put(a, r->slot_token, slots * 4, !written, written);
    put(a, r->slot_expert, slots * 4, !written, written);
    put(a, r->first, (r->n_expert + 1) * 4, !written, written);
}

/* The angles of RoPE are left out: every place makes its own. */
static areas areas_of(const op *o, const step *s) {
    areas a = {.n = 0};
    const routing *r = o->routing;
    const cache_layer *c = o->cache;
    size_t t = s->n_tok, n = t * o->n, slots = r ? t * r->n_used : 0;
    switch (o->kind) {
    case OP_EMBED: writes(&a, o->out, n); break;
    case OP_SELECT:
        reads(&a, o->in, (s->first_row + t) * o->n);
        writes(&a, o->out, n);
        break;
    case OP_RMS_NORM:
    case OP_LAYER_NORM:
        reads(&a, o->in, o->in_stride ? t * o->in_stride : n);
        if (o->out_stride) changes(&a, o->out, t * o->out_stride);
        if (!o->out_stride) writes(&a, o->out, n);
        break;
    case OP_QUANTIZE:
        reads(&a, o->in, n);
        if (o->act->block > 1) put_act(&a, o->act, NULL, n, true);
        break;
    case OP_MATMUL:
        put_act(&a, o->act, o->in, n, false);
        for (size_t i = 0; i < o->n_results; i++) writes(&a, o->result[i].out, t * o->result[i].matrix->n_out);
        break;
    case OP_ADD_POSITION:
    case OP_ADD_VECTOR:
    case OP_ROPE:
    case OP_TEMPERATURE: changes(&a, o->out, n); break;
    case OP_STORE:
        reads(&a, o->in, t * c->n_head_kv * c->n_k);
        reads(&a, o->in2, t * (o->in_stride ? o->in_stride : c->n_head_kv * c->n_v));
        break;
    case OP_ATTEND:
        reads(&a, o->in, t * o->n_head * c->n_k);
        writes(&a, o->out, n);
        break;
    case OP_ACTIVATE:
    case OP_ADD:
    case OP_SCALE:
    case OP_CLAMP:
    case OP_SOFTCAP:
        reads(&a, o->in, n);
        reads(&a, o->in2, n);
        writes(&a, o->out, n);
        break;
    case OP_GATE:
        reads(&a, o->in, n);
        reads(&a, o->in2, t);
        writes(&a, o->out, n);
        break;
    case OP_ROUTE:
        reads(&a, o->in, n);
        writes(&a, r->expert, slots);
        writes(&a, r->weight, slots);
        break;
    case OP_GROUP:
        reads(&a, r->expert, slots);
        put_slots(&a, r, slots, true);
        break;
    case OP_QUANTIZE_EXPERTS:
        reads(&a, o->in, o->gather ? n : slots * o->n);
        reads(&a, r->expert, slots);
        reads(&a, r->weight, slots);
        put_slots(&a, r, slots, false);
        put_act(&a, o->act, o->act->x, slots * o->n, true);
        break;
    case OP_MATMUL_EXPERTS:
        put_act(&a, o->act, o->act->x, slots * o->n, false);
        put_slots(&a, r, slots, false);
        for (size_t i = 0; i < o->n_results; i++) writes(&a, o->result[i].out, slots * o->result[i].matrix->n_out);
        break;
    case OP_ADD_EXPERT_VECTOR:
        reads(&a, r->expert, slots);
        put_slots(&a, r, slots, false);
        changes(&a, o->out, slots * o->n);
        break;
    case OP_SUM_EXPERTS:
        reads(&a, o->in, slots * o->n);
        reads(&a, r->weight, slots);
        put_slots(&a, r, slots, false);
        writes(&a, o->out, n);
        break;
    case OP_QUANTIZE_HEADS:
        reads(&a, o->in, t * o->n_head * o->in_stride);
        put_act(&a, o->act, o->act->x, t * o->n_head * o->n, true);
        break;
    case OP_MATMUL_HEADS:
        put_act(&a, o->act, o->act->x, t * o->n_head * o->result[0].matrix->n_in, false);
        changes(&a, o->out, t * o->n_head * o->out_stride);
        break;
    case OP_COPY_HEADS:
        reads(&a, o->in, (t * o->n_head - 1) * o->in_stride + o->n);
        changes(&a, o->out, (t * o->n_head - 1) * o->out_stride + o->n);
        break;
    case OP_CONV_STORE: reads(&a, o->in, 3 * n); break;
    case OP_CONV:
        reads(&a, o->in, 3 * n);
        writes(&a, o->out, n);
        break;
    case OP_ROPE_TABLE:
    case OP_KIND_COUNT: break;
    }
    return a;
}

/* ---- segments ------------------------------------------------------------------------------------ */

/* Area number `which` of an operation comes from another place before a segment runs. */
typedef struct {
    const op *o;
    size_t which;
    int from;
} need;

typedef struct {
    int place;
    size_t first, n; /* operations of the list */
    need *needs;
    size_t n_needs;
    cuda_program *program; /* of a device */
} segment;

typedef struct {
    const op *ops;
    size_t n_ops, n_segments;
    segment *segments;
} parts;

/* Who wrote what last, with areas of one token; what is not here is the CPU's. */
typedef struct {
    area where;
    int place;
} written;

typedef struct {
    written *v;
    size_t n;
} ledger;

struct split {
    cuda_device *devices[MAX_GPUS]; /* NULL: not used */
    int *place;                     /* [n_layers + 1], the output's last */
    split_lists lists;
    parts body, head;
    size_t gpu_bytes, all_bytes; /* of weights */
    uint32_t n_on_gpus;
};

static bool lies_in(const area *a, const area *b) { return a->at >= b->at && a->at + a->bytes <= b->at + b->bytes; }

static int writer_of(const ledger *l, const area *a) {
    for (size_t i = l->n; i-- > 0;) {
        if (lies_in(a, &l->v[i].where)) return l->v[i].place;
    }
    return ON_CPU;
}

static int place_of(const split *s, const op *o, bool head) {
    return o->layer >= 0 ? s->place[o->layer] : head ? s->place[s->lists.n_layers] : ON_CPU;
}

/* What operations [first, first + n) read that another place wrote last: needs; and what they write: ledger. Both have
 * room for all. */
static void find_needs(segment *g, const op *ops, ledger *l) {
    const step one = {.n_tok = 1};
    size_t before = l->n; /* what lies behind it was written by this segment */
    for (size_t i = g->first; i < g->first + g->n; i++) {
        areas a = areas_of(&ops[i], &one);
        for (size_t k = 0; k < a.n; k++) {
            bool here = false;
            for (size_t w = before; w < l->n && !here; w++) here = lies_in(&a.v[k], &l->v[w].where);
            for (size_t w = 0; w < g->n_needs && !here; w++) {
                areas other = areas_of(g->needs[w].o, &one);
                here = lies_in(&a.v[k], &other.v[g->needs[w].which]);
            }
            int from = writer_of(l, &a.v[k]);
            if (a.v[k].read && !here && from != g->place) g->needs[g->n_needs++] = (need){&ops[i], k, from};
        }
        for (size_t k = 0; k < a.n; k++) {
            if (a.v[k].written) l->v[l->n++] = (written){a.v[k], g->place};
        }
    }
}

/* Cuts a list where the place changes. */
static bool cut(split *s, const op *ops, size_t n_ops, bool head, ledger *l, parts *out, gguf_error *err) {
    out->ops = ops;
    out->n_ops = n_ops;
    out->segments = calloc(n_ops, sizeof *out->segments);
    if (!out->segments) return fail_memory(err, "the segments", n_ops * sizeof *out->segments);
    for (size_t i = 0; i < n_ops;) {
        segment *g = &out->segments[out->n_segments++];
        *g = (segment){.place = place_of(s, &ops[i], head), .first = i};
        while (i < n_ops && place_of(s, &ops[i], head) == g->place) i++;
        g->n = i - g->first;
        g->needs = calloc(g->n * MAX_AREAS, sizeof *g->needs);
        if (!g->needs) return fail_memory(err, "the segments", g->n * MAX_AREAS * sizeof *g->needs);
        find_needs(g, ops, l);
        if (g->place == ON_CPU) continue;
        g->program = cuda_translate(s->devices[g->place], ops + g->first, g->n, g->first, err);
        if (!g->program) return false;
    }
    return true;
}

static bool cut_both(split *s, gguf_error *err) {
    const split_lists *l = &s->lists;
    ledger seen = {calloc((l->n_body + l->n_head) * MAX_AREAS, sizeof *seen.v), 0};
    if (!seen.v) return fail_memory(err, "the segments", (l->n_body + l->n_head) * MAX_AREAS * sizeof *seen.v);
    bool ok = cut(s, l->body, l->n_body, false, &seen, &s->body, err) &&
              cut(s, l->head, l->n_head, true, &seen, &s->head, err);
    free(seen.v);
    return ok;
}

/* ---- opening ------------------------------------------------------------------------------------- */

/* What is free on the devices: room, less a margin for what the driver and other programs take. */
enum { MARGIN = 512 << 20 };

typedef struct {
    int n;
    size_t room[MAX_GPUS];
    double shares[MAX_GPUS];
} gpus;

static bool find_gpus(const split_wish *w, gpus *g, char *why, size_t why_size, gguf_error *err) {
    char name[64];
    g->n = cuda_count(why, why_size);
    if (w->n_shares > (size_t)g->n && g->n > 0)
        return fail(err, GGUF_ERR_USAGE, "-ts has %zu parts, but there are %d GPUs", w->n_shares, g->n);
    if (g->n > MAX_GPUS) g->n = MAX_GPUS;
    if (w->one && g->n > 1) g->n = 1;
    for (int i = g->n - 1; i >= 0; i--) {
        if (!cuda_free_memory(i, &g->room[i], name, sizeof name, err)) return false;
        size_t margin = MARGIN < g->room[i] / 4 ? MARGIN : g->room[i] / 4;
        g->room[i] -= margin;
        g->shares[i] = w->n_shares == 0 ? (double)g->room[i] : (size_t)i < w->n_shares ? (double)w->shares[i] : 0;
    }
    return true;
}

typedef struct {
    size_t *layers;
    bool *stays;
} layer_sizes;

/* Bytes of each layer on a device, and which cannot go there; one warning names the reason. */
static void measure_layers(const split_wish *w, const split_lists *l, layer_sizes *out, bool quiet) {
    const char *lacks = NULL;
    int first = 0;
    for (size_t i = 0; i < l->n_body + l->n_head; i++) {
        const op *o = i < l->n_body ? &l->body[i] : &l->head[i - l->n_body];
        if (o->layer < 0 && i < l->n_body) continue;
        size_t layer = o->layer >= 0 ? (size_t)o->layer : l->n_layers;
        const char *what = cuda_lacks(o);
        if (what && !lacks) {
            lacks = what;
            first = (int)layer;
        }
        out->stays[layer] |= what != NULL;
        if (!what) out->layers[layer] += cuda_op_bytes(o);
    }
    if (lacks && !quiet)
        warnf(w->warn, w->warn_ctx, "layers with %s stay on the CPU (layer %d is the first)", lacks, first);
}

/* The number of layers to try: down from there, as long as it is the program's choice. */
static bool choose_places(split *s, const split_wish *w, const gpus *g, const layer_sizes *sizes, gguf_error *err) {
    const split_lists *l = &s->lists;
    size_t n = l->n_layers + 1, all = l->n_body + l->n_head;
    size_t other = cuda_other_bytes(l->work_bytes, l->body, l->n_body) + all * sizeof(void *) * 64;
    split_sizes sz = {sizes->layers, sizes->stays, n, other};
    size_t wanted = w->layers < 0 || (size_t)w->layers > n ? n : (size_t)w->layers;
    for (;; wanted--) {
        if (split_place(&sz, wanted, g->shares, g->room, (size_t)g->n, s->place)) break;
        if (w->layers != GGUF_GPU_AUTO) {
            size_t bytes = 0;
            for (size_t i = 0; i < n; i++) bytes += s->place[i] >= 0 ? sizes->layers[i] : 0;
            return fail(err, GGUF_ERR_MEMORY,
                        "%zu layers need %.1f MiB on the GPU and %.1f MiB are free: choose fewer (-ngl), a smaller "
                        "context (-c), or -ngl auto",
                        wanted, (double)(bytes + other) / 0x1p20, (double)g->room[0] / 0x1p20);
        }
    }
    for (size_t i = 0; i < n; i++) s->n_on_gpus += s->place[i] >= 0;
    return true;
}

static bool open_devices(split *s, gguf_error *err) {
    for (size_t i = 0; i <= s->lists.n_layers; i++) {
        int d = s->place[i];
        if (d < 0 || s->devices[d]) continue;
        s->devices[d] = cuda_open(d, s->lists.work, s->lists.work_bytes, err);
        if (!s->devices[d]) return false;
    }
    return true;
}

static void count_weights(split *s) {
    for (size_t i = 0; i < s->lists.n_body + s->lists.n_head; i++) {
        bool head = i >= s->lists.n_body;
        const op *o = head ? &s->lists.head[i - s->lists.n_body] : &s->lists.body[i];
        size_t bytes = 0, n = o->kind == OP_MATMUL_EXPERTS ? o->routing->n_used : 1;
        for (size_t k = 0; k < o->n_results; k++)
            bytes += n * o->result[k].matrix->row_bytes * o->result[k].matrix->n_out;
        if (o->kind == OP_MATMUL_HEADS) bytes = o->n_head * o->result[0].matrix->row_bytes * o->result[0].matrix->n_out;
        s->all_bytes += bytes;
        if (place_of(s, o, head) >= 0) s->gpu_bytes += bytes;
    }
}

static bool open_parts(split *s, const split_wish *w, gguf_error *err) {
    size_t n = s->lists.n_layers + 1;
    char why[160] = "";
    gpus g = {.n = 0};
    bool automatic = w->layers == GGUF_GPU_AUTO;
    if (!cuda_is_built() && automatic) return true; /* nothing could be expected */
    if (!find_gpus(w, &g, why, sizeof why, err)) return false;
    if (g.n == 0) {
        if (!automatic) return fail(err, GGUF_ERR_USAGE, "no GPU can be used: %s; leave -ngl out for the CPU", why);
        warnf(w->warn, w->warn_ctx, "no GPU can be used, the CPU computes: %s (-ngl 0 asks for none)", why);
        return true;
    }
    layer_sizes sizes = {calloc(n, sizeof *sizes.layers), calloc(n, sizeof *sizes.stays)};
    s->place = calloc(n, sizeof *s->place);
    bool ok = sizes.layers && sizes.stays && s->place;
    if (!ok) fail_memory(err, "the placement of layers", n * sizeof *sizes.layers);
    if (ok) measure_layers(w, &s->lists, &sizes, w->layers == 0);
    ok = ok && choose_places(s, w, &g, &sizes, err);
    free(sizes.layers);
    free(sizes.stays);
    if (!ok || s->n_on_gpus == 0) return ok;
    count_weights(s);
    return open_devices(s, err) && cut_both(s, err);
}

bool split_open(const split_wish *wish, const split_lists *lists, split **out, gguf_error *err) {
    *out = NULL;
    if (wish->layers == 0) return true;
    split *s = calloc(1, sizeof *s);
    if (!s) return fail_memory(err, "the placement of layers", sizeof *s);
    s->lists = *lists;
    gguf_error why = {0};
    bool ok = open_parts(s, wish, &why);
    if (ok && s->n_on_gpus > 0) {
        *out = s;
        return true;
    }
    split_free(s);
    if (ok) return true;
    if (wish->layers != GGUF_GPU_AUTO) return fail(err, why.code, "%s", why.message);
    warnf(wish->warn, wish->warn_ctx, "the CPU computes: %s", why.message);
    return true;
}

static void free_parts(split *s, parts *p) {
    for (size_t i = 0; i < p->n_segments; i++) {
        if (p->segments[i].place >= 0) cuda_program_free(s->devices[p->segments[i].place], p->segments[i].program);
        free(p->segments[i].needs);
    }
    free(p->segments);
}

void split_free(split *s) {
    if (!s) return;
    free_parts(s, &s->body);
    free_parts(s, &s->head);
    for (int i = 0; i < MAX_GPUS; i++) cuda_close(s->devices[i]);
    free(s->place);
    free(s);
}

bool gguf_has_gpu_backend(void) { return cuda_is_built(); }

uint32_t split_layers(const split *s) { return s ? s->n_on_gpus : 0; }
double split_share(const split *s) { return s ? (double)s->gpu_bytes / (double)s->all_bytes : 0; }

bool split_measure(int index, machine_peak *out, char *name, size_t size, gguf_error *err) {
    size_t room;
    *out = (machine_peak){0};
    if (index >= cuda_count(name, size)) return true;
    return cuda_free_memory(index, &room, name, size, err) &&
           cuda_measure(index, &out->read_bytes, &out->int8_macs, &out->f32_macs, err);
}

/* ---- running ------------------------------------------------------------------------------------- */

/* Waits for a device; false where a value on it was not finite. */
static bool finish(split *s, int place, const op *ops, const step *st, gguf_error *err) {
    uint64_t bad;
    if (!cuda_finish(s->devices[place], &bad, err)) return false;
    return bad == UINT64_MAX || backend_not_finite(&ops[bad >> 32], st, (uint32_t)bad, err);
}

static bool bring(split *s, const segment *g, const op *ops, const step *st, gguf_error *err) {
    for (size_t i = 0; i < g->n_needs; i++) { /* first to the host */
        const need *n = &g->needs[i];
        const area a = areas_of(n->o, st).v[n->which];
        if (n->from < 0) continue;
        if (!cuda_fetch(s->devices[n->from], (void *)(uintptr_t)a.at, a.bytes, err)) return false;
        bool more = i + 1 < g->n_needs && g->needs[i + 1].from == n->from;
        if (!more && !finish(s, n->from, ops, st, err)) return false;
    }
    for (size_t i = 0; g->place >= 0 && i < g->n_needs; i++) {
        const area a = areas_of(g->needs[i].o, st).v[g->needs[i].which];
        if (!cuda_send(s->devices[g->place], a.at, a.bytes, err)) return false;
    }
    return true;
}

/* The list's last result, which the session reads. */
static bool fetch_last(split *s, const segment *g, const op *last, const step *st, gguf_error *err) {
    const areas a = areas_of(last, st);
    for (size_t i = 0; i < a.n; i++) {
        if (a.v[i].written && !cuda_fetch(s->devices[g->place], (void *)(uintptr_t)a.v[i].at, a.v[i].bytes, err))
            return false;
    }
    return true;
}

static bool run_parts(split *s, backend *cpu, const parts *p, bool head, const step *st, op_cost *costs,
                      gguf_error *err) {
    for (size_t i = 0; i < p->n_segments; i++) {
        const segment *g = &p->segments[i];
        bool last = i + 1 == p->n_segments;
        if (!bring(s, g, p->ops, st, err)) return false;
        if (g->place < 0) {
            if (!backend_run(cpu, p->ops + g->first, g->n, st, err)) return false;
            continue;
        }
        if (!cuda_run(s->devices[g->place], g->program, st, costs, err)) return false;
        if (last && head && !fetch_last(s, g, &p->ops[p->n_ops - 1], st, err)) return false;
        if (last && !finish(s, g->place, p->ops, st, err)) return false;
        if (backend_stops(cpu)) return fail(err, GGUF_ERR_STOPPED, "stopped");
    }
    return true;
}

/* An operation by itself: all that it reads is sent, all that it writes comes back. */
static bool run_alone(split *s, backend *cpu, const op *o, bool head, const step *st, gguf_error *err) {
    int place = place_of(s, o, head);
    if (place < 0) return backend_run(cpu, o, 1, st, err);
    cuda_device *d = s->devices[place];
    cuda_program *p = cuda_translate(d, o, 1, 0, err);
    const areas a = areas_of(o, st);
    bool ok = p != NULL;
    for (size_t i = 0; ok && i < a.n; i++) {
        if (a.v[i].read) ok = cuda_send(d, a.v[i].at, a.v[i].bytes, err);
    }
    ok = ok && cuda_run(d, p, st, NULL, err) && fetch_last(s, &(segment){.place = place}, o, st, err) &&
         finish(s, place, o, st, err);
    cuda_program_free(d, p);
    return ok;
}

bool split_run(split *s, backend *cpu, const op *ops, size_t n_ops, const step *st, op_cost *costs, gguf_error *err) {
    const split_lists *l = &s->lists;
    if (ops == l->body && n_ops == l->n_body) return run_parts(s, cpu, &s->body, false, st, costs, err);
    if (ops == l->head && n_ops == l->n_head) return run_parts(s, cpu, &s->head, true, st, costs, err);
    bool head = ops >= l->head && ops < l->head + l->n_head;
    for (size_t i = 0; i < n_ops; i++) {
        if (!run_alone(s, cpu, &ops[i], head, st, err)) return false;
    }
    return true;
}
