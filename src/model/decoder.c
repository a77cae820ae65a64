#include "model/decoder.h"

#include <math.h>

#include "kernel/fmath.h"
#include "model/decoder_parts.h"

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

static routing carve_routing(const hparams *h, char *base, size_t *at, size_t n_batch) {
    size_t slots = n_batch * h->n_expert_used;
    routing r = {
        .n_expert = h->n_expert,
        .n_used = h->n_expert_used,
        .n_group = h->n_expert_group,
        .n_group_used = h->n_expert_group_used,
        .gating = h->gating,
        .normalise = h->expert_norm,
        .scale = h->expert_scale,
    };
    r.expert = carve(base, at, slots, sizeof *r.expert);
    r.weight = carve(base, at, slots, sizeof *r.weight);
    r.slot = carve(base, at, slots, sizeof *r.slot);
    r.first = carve(base, at, (size_t)h->n_expert + 1, sizeof *r.first);
    r.slot_token = carve(base, at, slots, sizeof *r.slot_token);
    r.slot_expert = carve(base, at, slots, sizeof *r.slot_expert);
    return r;
}

/* Every size below is a product of hyper-parameters that tensors of the file have proven, and n_batch, so that none
 * can wrap 64 bits. Only m->hp is read. */
size_t workspace_layout(const gguf_model *m, uint32_t n_batch, workspace *w, char *base) {
    const hparams *h = &m->hp;
    bool latent = h->n_lora_kv > 0, conv = h->n_conv > 0, experts = h->n_expert > 0;
    size_t at = 0, n = n_batch, slots = experts ? n * h->n_expert_used : 0;
    size_t q = (size_t)h->n_head * h->n_k, k = (size_t)h->n_head_kv * h->n_k, v = (size_t)h->n_head_kv * h->n_v;
    size_t attn = (size_t)h->n_head * h->n_v, full = (size_t)h->n_head * max_size(h->n_k_full, h->n_v_full);
    size_t n_ff = max_size(h->n_ff, h->n_ff_shared), inner = max_size(n * n_ff, slots * h->n_ff_exp);
    size_t widest = max_size(max_size(h->n_embd, n_ff), max_size(attn, max_size(full, h->n_lora_q)));
    size_t quantized = max_size(max_size(n, LOGIT_ROWS) * widest, slots * max_size(h->n_embd, h->n_ff_exp));
    *w = (workspace){.n_batch = n_batch};
    w->x = carve(base, &at, n * h->n_embd, sizeof(float));
    w->h = carve(base, &at, n * h->n_embd, sizeof(float));
    w->out = carve(base, &at, n * h->n_embd, sizeof(float));
    w->q = carve(base, &at, n * q, sizeof(float));
    w->k = carve(base, &at, n * k, sizeof(float));
    w->v = carve(base, &at, n * v, sizeof(float));
    w->attn = carve(base, &at, n * attn, sizeof(float));
    w->waist = carve(base, &at, latent ? n * h->n_lora_q : 0, sizeof(float));
    w->heads = carve(base, &at, latent ? n * full : 0, sizeof(float));
    w->conv = carve(base, &at, conv ? 3 * n * h->n_embd : 0, sizeof(float));
    w->gate = carve(base, &at, inner, sizeof(float));
    w->up = carve(base, &at, inner, sizeof(float));
    w->router = carve(base, &at, experts ? n * h->n_expert : 0, sizeof(float));
    w->down = carve(base, &at, slots * h->n_embd, sizeof(float));
    w->rows = carve(base, &at, (size_t)LOGIT_ROWS * h->n_embd, sizeof(float));
    w->logits = carve(base, &at, (size_t)LOGIT_ROWS * h->n_vocab, sizeof(float));
    w->plain = (act_buffer){.block = 1};
    w->plain.x = carve(base, &at, experts || latent ? quantized : 0, sizeof(float));
    w->by_32 = carve_act(base, &at, quantized, 32);
    w->by_256 = carve_act(base, &at, quantized, 256);
    w->routing = carve_routing(h, base, &at, n);
    for (size_t i = 0; i < 2; i++) {
        w->rope[i] = (rope_table){.n_rot = h->n_rot};
        w->rope[i].cos = carve(base, &at, n * (h->n_rot / 2), sizeof(float));
        w->rope[i].sin = carve(base, &at, n * (h->n_rot / 2), sizeof(float));
    }
    return at;
}

/* ---- the list -------------------------------------------------------------------------------- */

/* No layer has more operations than this, nor has what surrounds them. */
enum { MAX_LAYER_OPS = 64, MAX_OTHER_OPS = 16 };

op *emit(builder *b, op_kind kind, const char *name, size_t n) {
    op *o = &b->ops[b->n++];
    *o = (op){.kind = kind, .layer = b->layer, .name = name, .n = n};
    return o;
}

op *emit_norm(builder *b, const char *name, const float *in, const float *weight, const float *bias, size_t n,
              float *out) {
    bool rms = ((b->m->arch->has | b->m->arch->may) & PART(P_RMS_NORM)) != 0;
    op *o = emit(b, rms ? OP_RMS_NORM : OP_LAYER_NORM, name, n);
    o->in = in;
    o->vector = weight;
    o->vector2 = bias;
    o->eps = b->m->hp.norm_eps;
    o->out = out;
    return o;
}

void emit_add(builder *b, const char *name, const float *a, const float *in2, float *out) {
    op *o = emit(b, OP_ADD, name, b->m->hp.n_embd);
    o->in = a;
    o->in2 = in2;
    o->out = out;
}

void emit_scale(builder *b, const char *name, float *x, size_t n, float scale) {
    if (scale == 0 || scale == 1) return;
    op *o = emit(b, OP_SCALE, name, n);
    o->in = x;
    o->out = x;
    o->scale = scale;
}

act_buffer *act_for(workspace *w, quant_type type) {
    size_t block = quant_types[type].act;
    return block == 1 ? &w->plain : block == 32 ? &w->by_32 : &w->by_256;
}

void emit_products(builder *b, const float *in, const product *p, size_t n) {
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

/* ---- layers ---------------------------------------------------------------------------------- */

/* What attention reads: x, or its norm (without weights where the file has none), or x itself in models that
 * normalise behind their blocks. */
static const float *emit_attention_input(builder *b, const layer *l) {
    const workspace *w = b->w;
    if (!l->attn_norm && l->attn_post_norm) return w->x;
    const float *weight = l->attn_norm_2 ? l->attn_norm_2 : l->attn_norm;
    const float *bias = l->attn_norm_2 ? l->attn_norm_2_bias : l->attn_norm_bias;
    emit_norm(b, "attn_norm", w->x, weight, bias, b->m->hp.n_embd, w->h);
    return w->h;
}

/* The same for the feed-forward. Side by side with attention it reads what that read, unless it has a norm of its own.
 */
static const float *emit_feed_forward_input(builder *b, const layer *l, bool parallel) {
    const workspace *w = b->w;
    size_t n = b->m->hp.n_embd;
    if (!l->ffn_norm && !parallel && l->ffn_post_norm) return w->x;
    if (!l->ffn_norm && parallel && l->attn_norm_2) {
        emit_norm(b, "ffn_norm", w->x, l->attn_norm, l->attn_norm_bias, n, w->h);
    } else if (l->ffn_norm || !parallel) {
        emit_norm(b, "ffn_norm", w->x, l->ffn_norm, l->ffn_norm_bias, n, w->h);
    }
    return w->h;
}

static void emit_block_end(builder *b, const char *name, const char *sum, const float *norm) {
    workspace *w = b->w;
    if (norm) emit_norm(b, name, w->out, norm, NULL, b->m->hp.n_embd, w->out);
    emit_scale(b, NULL, w->out, b->m->hp.n_embd, b->m->hp.residual_scale);
    emit_add(b, sum, w->x, w->out, w->x);
}

static void emit_layer(builder *b, const layer *l, const cache_layer *cache) {
    const arch *a = b->m->arch;
    bool parallel = b->m->hp.parallel || ((a->may & PART(P_FFN_NORM)) && !l->ffn_norm);
    const float *in = emit_attention_input(b, l);
    if (l->conv) {
        emit_convolution(b, l, in, cache);
    } else if (l->kv_a.data) {
        emit_latent_attention(b, l, in, cache);
    } else {
        emit_attention(b, l, in, cache);
    }
    if (parallel) in = emit_feed_forward_input(b, l, true);
    emit_block_end(b, "attn_post_norm", "attn_residual", l->attn_post_norm);
    if (!parallel) in = emit_feed_forward_input(b, l, false);
    emit_feed_forward(b, l, in);
    emit_block_end(b, "ffn_post_norm", "out", l->ffn_post_norm);
}

static void emit_body(builder *b, const cache_layer *cache) {
    const gguf_model *m = b->m;
    workspace *w = b->w;
    op *o = emit(b, OP_EMBED, "embd", m->hp.n_embd);
    o->result[0] = (op_result){"embd", &m->g.embedding, w->x};
    o->out = w->x;
    emit_scale(b, "embd", w->x, m->hp.n_embd, m->hp.embd_scale);
    if (m->g.positions.data) {
        o = emit(b, OP_ADD_POSITION, "embd", m->hp.n_embd);
        o->result[0] = (op_result){"embd", &m->g.positions, w->x};
        o->out = w->x;
    }
    if (m->g.embd_norm) emit_norm(b, "embd", w->x, m->g.embd_norm, m->g.embd_norm_bias, m->hp.n_embd, w->x);
    bool used[2] = {false, false};
    for (uint32_t i = 0; i < m->hp.n_layer; i++) {
        if (m->layers[i].kind & LAYER_ROPE) used[(m->layers[i].kind & LAYER_LOCAL) != 0] = true;
    }
    for (size_t i = 0; i < 2; i++) {
        if (used[i]) emit(b, OP_ROPE_TABLE, NULL, 0)->rope = &w->rope[i];
    }
    for (uint32_t i = 0; i < m->hp.n_layer; i++) {
        b->layer = (int)i;
        emit_layer(b, &m->layers[i], &cache[i]);
    }
    b->layer = -1;
}

static void emit_head(builder *b) {
    const gguf_model *m = b->m;
    const hparams *h = &m->hp;
    workspace *w = b->w;
    op *o = emit(b, OP_SELECT, NULL, h->n_embd);
    o->in = w->x;
    o->out = w->rows;
    emit_norm(b, "output_norm", w->rows, m->g.output_norm, m->g.output_norm_bias, h->n_embd, w->rows);
    const product logits = {"logits", &m->g.output, m->g.output_bias, w->logits};
    emit_products(b, w->rows, &logits, 1);
    float scale = h->logit_scale > 0 && (m->arch->traits & A_LOGIT_DIVIDE) ? 1 / h->logit_scale : h->logit_scale;
    emit_scale(b, "logits", w->logits, h->n_vocab, scale);
    if (h->logit_softcap > 0) {
        o = emit(b, OP_SOFTCAP, "logits", h->n_vocab);
        o->in = w->logits;
        o->out = w->logits;
        o->scale = h->logit_softcap;
    }
}

/* Tables for short and long texts are chosen once, by the context. */
static bool set_frequencies(const gguf_model *m, workspace *w, uint32_t n_ctx, arena *mem, gguf_error *err) {
    const float *factors = m->g.rope_factors          ? m->g.rope_factors
                           : n_ctx > m->hp.n_ctx_orig ? m->g.rope_long
                                                      : m->g.rope_short;
    for (int local = 0; local < 2; local++) {
        double *f = arena_alloc(mem, m->hp.n_rot / 2, sizeof *f, "the RoPE frequencies", err);
        if (!f) return false;
        w->rope[local].inverse_frequency = f;
        w->rope[local].halves = m->arch->rope == ROPE_HALVES;
        if (m->arch->rope != ROPE_NONE)
            hparams_frequencies(&m->hp, m->arch, local == 1, factors, f, &w->rope[local].scale);
    }
    return true;
}

/* ALiBi's slopes (arXiv 2108.12409): a geometric series over the largest power of two of heads, and then what lies
 * between its values. */
static bool make_slopes(const hparams *h, arena *mem, const float **out, gguf_error *err) {
    if (h->alibi == 0) return true;
    float *slopes = arena_alloc(mem, h->n_head, sizeof *slopes, "the slopes of the heads", err);
    if (!slopes) return false;
    size_t n = 1;
    while (2 * n <= h->n_head) n *= 2;
    for (size_t i = 0; i < h->n_head; i++) {
        double exponent = i < n ? (double)(i + 1) / (double)n : (double)(2 * (i - n) + 1) / (double)(2 * n);
        slopes[i] = (float)exp_f64(-(double)h->alibi * exponent * 0.6931471805599453);
    }
    *out = slopes;
    return true;
}

bool plan_make(const gguf_model *m, workspace *w, const cache_layer *cache, uint32_t n_ctx, arena *mem, plan *out,
               gguf_error *err) {
    size_t room = (size_t)m->hp.n_layer * MAX_LAYER_OPS + 2 * MAX_OTHER_OPS;
    builder b = {.m = m, .w = w, .layer = -1};
    b.ops = arena_alloc(mem, room, sizeof *b.ops, "the list of operations", err);
    if (!b.ops || !set_frequencies(m, w, n_ctx, mem, err) || !make_slopes(&m->hp, mem, &b.slopes, err)) return false;
    w->routing.by_logit = (m->arch->traits & A_WEIGHT_FIRST) || m->hp.gating == GATE_SOFTMAX_LAST;
    emit_body(&b, cache);
    *out = (plan){.body = b.ops, .n_body = b.n};
    b.ops += b.n;
    b.n = 0;
    emit_head(&b);
    out->head = b.ops;
    out->n_head = b.n;
    return true;
}
