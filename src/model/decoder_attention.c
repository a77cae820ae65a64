/* Attention in its two kinds, and the short convolution that some layers have in its place. */
#include "model/decoder_parts.h"

/* ---- queries, keys, values -------------------------------------------------------------------- */

static void emit_clamp(builder *b, const product *p) {
    op *o = emit(b, OP_CLAMP, p->name, p->w->n_out);
    o->in = p->out;
    o->out = p->out;
    o->scale = b->m->hp.clamp_qkv;
}

/* Over each head or over the whole row; n is the row's length. */
static void emit_head_norm(builder *b, const char *name, float *x, const float *weight, const float *bias, size_t n) {
    uint64_t has = b->m->arch->has | b->m->arch->may;
    if (!weight) return;
    op *o = emit_norm(b, name, x, weight, bias, n, x);
    if (!(has & PART(P_QK_NORM_ROW))) o->group = b->m->hp.n_k;
    o->shared = (has & PART(P_QK_NORM_HEAD)) != 0;
}

static void emit_qk_norms(builder *b, const layer *l) {
    const hparams *h = &b->m->hp;
    emit_head_norm(b, "q_norm", b->w->q, l->q_norm, l->q_norm_bias, (size_t)h->n_head * h->n_k);
    emit_head_norm(b, "k_norm", b->w->k, l->k_norm, l->k_norm_bias, (size_t)h->n_head_kv * h->n_k);
}

/* Without weights, for layers that have RoPE. */
static void emit_qk_l2(builder *b) {
    const hparams *h = &b->m->hp;
    emit_norm(b, "q_norm", b->w->q, NULL, NULL, (size_t)h->n_head * h->n_k, b->w->q)->group = h->n_k;
    emit_norm(b, "k_norm", b->w->k, NULL, NULL, (size_t)h->n_head_kv * h->n_k, b->w->k)->group = h->n_k;
}

/* The last n_rot values of each head's stride, or the first where offset is 0. */
static void emit_rope(builder *b, const layer *l, const char *name, float *x, uint32_t n_head, size_t stride,
                      size_t offset) {
    op *o = emit(b, OP_ROPE, name, n_head * stride);
    o->out = x;
    o->n_head = n_head;
    o->offset = offset;
    o->rope = &b->w->rope[(l->kind & LAYER_LOCAL) != 0];
}

/* Queries that grow with the logarithm of the position, so that long texts do not blur attention. */
static void emit_temperature(builder *b, const layer *l, float *q, size_t n) {
    const hparams *h = &b->m->hp;
    bool here = !(b->m->arch->traits & A_TEMPERATURE_NOPE) || !(l->kind & LAYER_ROPE);
    if (h->temperature == 0 || !here) return;
    op *o = emit(b, OP_TEMPERATURE, NULL, n);
    o->out = q;
    o->scale = h->temperature;
    o->period = h->temperature_length;
    o->shift = b->m->arch->temperature_offset;
}

/* ---- the cache and the sum -------------------------------------------------------------------- */

static void emit_store(builder *b, const float *k, const float *v, size_t v_stride, const cache_layer *cache) {
    op *o = emit(b, OP_STORE, NULL, 0);
    o->in = k;
    o->in2 = v;
    o->in_stride = v_stride;
    o->cache = cache;
}

static void emit_attend(builder *b, const layer *l, const cache_layer *cache) {
    const hparams *h = &b->m->hp;
    op *o = emit(b, OP_ATTEND, "attn", (size_t)h->n_head * h->n_v);
    o->in = b->w->q;
    o->out = b->w->attn;
    o->cache = cache;
    o->n_head = h->n_head;
    o->scale = hparams_score_scale(h, b->m->arch);
    o->window = l->kind & LAYER_LOCAL ? h->window : 0;
    o->chunks = (b->m->arch->traits & A_WINDOW_CHUNKS) != 0;
    o->softcap = h->attn_softcap;
    o->slopes = b->slopes;
    o->sinks = l->sinks;
}

void emit_attention(builder *b, const layer *l, const float *in, const cache_layer *cache) {
    const hparams *h = &b->m->hp;
    const arch *a = b->m->arch;
    workspace *w = b->w;
    const product qkv[] = {{"q", &l->q, l->q_bias, w->q}, {"k", &l->k, l->k_bias, w->k}, {"v", &l->v, l->v_bias, w->v}};
    bool last = (a->traits & A_QK_NORM_LAST) != 0;
    emit_products(b, in, qkv, 3);
    for (size_t i = 0; i < 3 && h->clamp_qkv > 0; i++) emit_clamp(b, &qkv[i]);
    if (!last) emit_qk_norms(b, l);
    if (l->kind & LAYER_ROPE) {
        emit_rope(b, l, "q_rope", w->q, h->n_head, h->n_k, 0);
        emit_rope(b, l, "k_rope", w->k, h->n_head_kv, h->n_k, 0);
        if ((a->traits & A_QK_L2) && h->n_expert != a->l2_not_experts) emit_qk_l2(b);
    }
    if (last) emit_qk_norms(b, l);
    emit_temperature(b, l, w->q, (size_t)h->n_head * h->n_k);
    emit_store(b, w->k, w->v, 0, cache);
    emit_attend(b, l, cache);
    const product out = {"attn_out", &l->attn_out, l->attn_out_bias, w->out};
    emit_products(b, w->attn, &out, 1);
}

/* ---- latent attention ------------------------------------------------------------------------- */

/* Each head's first n_in values of a row of in_stride, through a matrix of its own, to rows of out_stride. */
static void emit_head_products(builder *b, const char *name, const matrix *heads, const float *in, size_t in_stride,
                               float *out, size_t out_stride) {
    op *o = emit(b, OP_QUANTIZE_HEADS, NULL, heads->n_in);
    o->in = in;
    o->act = act_for(b->w, heads->type);
    o->n_head = b->m->hp.n_head;
    o->in_stride = in_stride;
    op *p = emit(b, OP_MATMUL_HEADS, name, out_stride * b->m->hp.n_head);
    p->act = o->act;
    p->n_head = o->n_head;
    p->out = out;
    p->out_stride = out_stride;
    p->result[0] = (op_result){NULL, heads, out};
}

/* Keys and values of all heads come from one narrow row a position, which is what the cache holds (DeepSeek-V2, arXiv
 * 2405.04434). The matrix that would make a head's key from it is applied to the query instead, and the one that would
 * make its value to the sum. */
void emit_latent_attention(builder *b, const layer *l, const float *in, const cache_layer *cache) {
    const hparams *h = &b->m->hp;
    workspace *w = b->w;
    size_t n_plain = h->n_k_full - h->n_rot;
    const product kv = {"kv", &l->kv_a, NULL, w->k};
    if (l->q_a.data) {
        const product qa[] = {{"q_a", &l->q_a, NULL, w->waist}, kv}, qb = {"q", &l->q_b, NULL, w->heads};
        emit_products(b, in, qa, 2);
        emit_norm(b, "q_a_norm", w->waist, l->q_a_norm, NULL, h->n_lora_q, w->waist);
        emit_products(b, w->waist, &qb, 1);
    } else {
        const product q[] = {{"q", &l->q, NULL, w->heads}, kv};
        emit_products(b, in, q, 2);
    }
    op *norm = emit_norm(b, "kv_norm", w->k, l->kv_a_norm, NULL, h->n_lora_kv, w->k);
    norm->in_stride = norm->out_stride = h->n_k;
    emit_rope(b, l, "q_rope", w->heads, h->n_head, h->n_k_full, n_plain);
    emit_rope(b, l, "k_rope", w->k, 1, h->n_k, h->n_lora_kv);
    emit_head_products(b, "q_latent", l->k_up, w->heads, h->n_k_full, w->q, h->n_k);
    op *o = emit(b, OP_COPY_HEADS, NULL, h->n_rot);
    o->in = w->heads + n_plain;
    o->in_stride = h->n_k_full;
    o->out = w->q + h->n_lora_kv;
    o->out_stride = h->n_k;
    o->n_head = h->n_head;
    emit_temperature(b, l, w->q, (size_t)h->n_head * h->n_k);
    emit_store(b, w->k, w->k, h->n_k, cache);
    emit_attend(b, l, cache);
    emit_head_products(b, "attn_heads", l->v_up, w->attn, h->n_v, w->heads, h->n_v_full);
    const product out = {"attn_out", &l->attn_out, NULL, w->out};
    emit_products(b, w->heads, &out, 1);
}

/* ---- short convolution ------------------------------------------------------------------------ */

void emit_convolution(builder *b, const layer *l, const float *in, const cache_layer *cache) {
    const hparams *h = &b->m->hp;
    workspace *w = b->w;
    const product first = {"conv_in", &l->conv_in, NULL, w->conv}, last = {"conv_out", &l->conv_out, NULL, w->out};
    emit_products(b, in, &first, 1);
    op *o = emit(b, OP_CONV_STORE, NULL, h->n_embd);
    o->in = w->conv;
    o->cache = cache;
    o = emit(b, OP_CONV, "conv", h->n_embd);
    o->in = w->conv;
    o->out = w->h;
    o->vector = l->conv;
    o->period = h->n_conv;
    o->cache = cache;
    emit_products(b, w->h, &last, 1);
}
