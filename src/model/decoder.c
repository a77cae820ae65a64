#include "model/decoder.h"

#include <math.h>

/* ---- working memory -------------------------------------------------------------------------- */

static size_t max_size(size_t a, size_t b) { return a > b ? a : b; }

/* The next n x size bytes, on a cache line of their own. */
static void *carve(char *base, size_t *at, size_t n, size_t size) {
    void *p = base ? base + *at : NULL;
    *at = (*at + n * size + 63) & ~(size_t)63;
    return p;
}

static act_buffer carve_act(char *base, size_t *at, size_t n, size_t block) {
    act_buffer a = {.block = block};
    a.q = carve(base, at, n, sizeof *a.q);
    a.scale = carve(base, at, n / block, sizeof *a.scale);
    a.sum = carve(base, at, n / ACTIVATION_SUB, sizeof *a.sum);
    return a;
}

/* Every size below is a product of hyper-parameters that tensors of the file have proven, and n_batch, so that none
 * can wrap 64 bits. */
size_t workspace_layout(const gguf_model *m, uint32_t n_batch, workspace *w, char *base) {
    const hparams *h = &m->hp;
    size_t at = 0, n = n_batch;
    size_t q = (size_t)h->n_head * h->n_k, k = (size_t)h->n_head_kv * h->n_k, v = (size_t)h->n_head_kv * h->n_v;
    size_t attn = (size_t)h->n_head * h->n_v, widest = max_size(max_size(h->n_embd, h->n_ff), attn);
    *w = (workspace){.n_batch = n_batch};
    w->x = carve(base, &at, n * h->n_embd, sizeof(float));
    w->h = carve(base, &at, n * h->n_embd, sizeof(float));
    w->q = carve(base, &at, n * q, sizeof(float));
    w->k = carve(base, &at, n * k, sizeof(float));
    w->v = carve(base, &at, n * v, sizeof(float));
    w->attn = carve(base, &at, n * attn, sizeof(float));
    w->gate = carve(base, &at, n * h->n_ff, sizeof(float));
    w->up = carve(base, &at, n * h->n_ff, sizeof(float));
    w->rows = carve(base, &at, (size_t)LOGIT_ROWS * h->n_embd, sizeof(float));
    w->logits = carve(base, &at, (size_t)LOGIT_ROWS * h->n_vocab, sizeof(float));
    w->plain = (act_buffer){.block = 1};
    w->by_32 = carve_act(base, &at, max_size(n, LOGIT_ROWS) * widest, 32);
    w->by_256 = carve_act(base, &at, max_size(n, LOGIT_ROWS) * widest, 256);
    w->rope = (rope_table){.n_rot = h->n_rot, .inverse_frequency = m->inverse_frequency};
    w->rope.cos = carve(base, &at, n * (h->n_rot / 2), sizeof(float));
    w->rope.sin = carve(base, &at, n * (h->n_rot / 2), sizeof(float));
    return at;
}

/* ---- the list -------------------------------------------------------------------------------- */

/* No layer has more operations than this, nor has what surrounds them. */
enum { MAX_LAYER_OPS = 32, MAX_OTHER_OPS = 16 };

typedef struct {
    const gguf_model *m;
    workspace *w;
    op *ops;
    size_t n;
    int layer;
} builder;

static op *emit(builder *b, op_kind kind, const char *name, size_t n) {
    op *o = &b->ops[b->n++];
    *o = (op){.kind = kind, .layer = b->layer, .name = name, .n = n};
    return o;
}

static void emit_norm(builder *b, const char *name, const float *in, const float *weight, float *out) {
    op *o = emit(b, OP_RMS_NORM, name, b->m->hp.n_embd);
    o->in = in;
    o->vector = weight;
    o->eps = b->m->hp.norm_eps;
    o->out = out;
}

static void emit_add(builder *b, const char *name, const float *a, const float *in2, float *out) {
    op *o = emit(b, OP_ADD, name, b->m->hp.n_embd);
    o->in = a;
    o->in2 = in2;
    o->out = out;
}

static act_buffer *act_for(workspace *w, quant_type type) {
    size_t block = quant_types[type].act;
    return block == 1 ? &w->plain : block == 32 ? &w->by_32 : &w->by_256;
}

/* One product of an input with a matrix, and its optional bias. */
typedef struct {
    const char *name;
    const matrix *w;
    const float *bias;
    float *out;
} product;

/* The products of one input: it is quantized once for each length of block that the matrices have. */
static void emit_products(builder *b, const float *in, const product *p, size_t n) {
    act_buffer *const acts[] = {&b->w->plain, &b->w->by_32, &b->w->by_256};
    size_t n_in = p[0].w->n_in;
    for (size_t a = 0; a < 3; a++) {
        op_result result[OP_MAX_RESULTS];
        size_t n_results = 0;
        for (size_t i = 0; i < n; i++) {
            if (act_for(b->w, p[i].w->type) == acts[a]) result[n_results++] = (op_result){p[i].name, p[i].w, p[i].out};
        }
        if (n_results == 0) continue;
        op *o = emit(b, OP_QUANTIZE, NULL, n_in);
        o->in = in;
        o->act = acts[a];
        o = emit(b, OP_MATMUL, NULL, n_in);
        o->in = in;
        o->act = acts[a];
        o->n_results = n_results;
        memcpy(o->result, result, sizeof result);
    }
    for (size_t i = 0; i < n; i++) {
        if (!p[i].bias) continue;
        op *o = emit(b, OP_ADD_VECTOR, p[i].name, p[i].w->n_out);
        o->out = p[i].out;
        o->vector = p[i].bias;
    }
}

static void emit_rope(builder *b, const char *name, float *x, uint32_t n_head) {
    op *o = emit(b, OP_ROPE, name, (size_t)n_head * b->m->hp.n_k);
    o->out = x;
    o->n_head = n_head;
    o->rope = &b->w->rope;
}

static void emit_attention(builder *b, const layer *l, const cache_layer *cache) {
    const hparams *h = &b->m->hp;
    workspace *w = b->w;
    const product qkv[] = {{"q", &l->q, l->q_bias, w->q}, {"k", &l->k, l->k_bias, w->k}, {"v", &l->v, l->v_bias, w->v}};
    emit_products(b, w->h, qkv, 3);
    if (l->has_rope) {
        emit_rope(b, "q_rope", w->q, h->n_head);
        emit_rope(b, "k_rope", w->k, h->n_head_kv);
    }
    op *o = emit(b, OP_STORE, NULL, 0);
    o->in = w->k;
    o->in2 = w->v;
    o->cache = cache;
    o = emit(b, OP_ATTEND, "attn", (size_t)h->n_head * h->n_v);
    o->in = w->q;
    o->out = w->attn;
    o->cache = cache;
    o->n_head = h->n_head;
    o->scale = (float)(1 / sqrt((double)h->n_k));
    const product out = {"attn_out", &l->attn_out, l->attn_out_bias, w->h};
    emit_products(b, w->attn, &out, 1);
}

static void emit_feed_forward(builder *b, const layer *l) {
    workspace *w = b->w;
    const product gate_up[] = {{"ffn_gate", &l->gate, l->gate_bias, w->gate}, {"ffn_up", &l->up, l->up_bias, w->up}};
    emit_products(b, w->h, gate_up, 2);
    op *o = emit(b, OP_SILU_MUL, "ffn_act", b->m->hp.n_ff);
    o->in = w->gate;
    o->in2 = w->up;
    o->out = w->gate;
    const product down = {"ffn_out", &l->down, l->down_bias, w->h};
    emit_products(b, w->gate, &down, 1);
}

static void emit_body(builder *b, const cache_layer *cache) {
    const gguf_model *m = b->m;
    workspace *w = b->w;
    op *o = emit(b, OP_EMBED, "embd", m->hp.n_embd);
    o->result[0] = (op_result){"embd", &m->g.embedding, w->x};
    o->out = w->x;
    o = emit(b, OP_ROPE_TABLE, NULL, 0);
    o->rope = &w->rope;
    for (uint32_t i = 0; i < m->hp.n_layer; i++) {
        const layer *l = &m->layers[i];
        b->layer = (int)i;
        emit_norm(b, "attn_norm", w->x, l->attn_norm, w->h);
        emit_attention(b, l, &cache[i]);
        emit_add(b, "attn_residual", w->x, w->h, w->x);
        emit_norm(b, "ffn_norm", w->x, l->ffn_norm, w->h);
        emit_feed_forward(b, l);
        emit_add(b, "out", w->x, w->h, w->x);
    }
    b->layer = -1;
}

static void emit_head(builder *b) {
    const gguf_model *m = b->m;
    workspace *w = b->w;
    op *o = emit(b, OP_SELECT, NULL, m->hp.n_embd);
    o->in = w->x;
    o->out = w->rows;
    emit_norm(b, "output_norm", w->rows, m->g.output_norm, w->rows);
    const product logits = {"logits", &m->g.output, NULL, w->logits};
    emit_products(b, w->rows, &logits, 1);
}

bool plan_make(const gguf_model *m, workspace *w, const cache_layer *cache, arena *mem, plan *out, gguf_error *err) {
    size_t room = (size_t)m->hp.n_layer * MAX_LAYER_OPS + 2 * MAX_OTHER_OPS;
    builder b = {.m = m, .w = w, .layer = -1};
    b.ops = arena_alloc(mem, room, sizeof *b.ops, "the list of operations", err);
    if (!b.ops) return false;
    emit_body(&b, cache);
    *out = (plan){.body = b.ops, .n_body = b.n};
    b.ops += b.n;
    b.n = 0;
    emit_head(&b);
    out->head = b.ops;
    out->n_head = b.n;
    return true;
}
