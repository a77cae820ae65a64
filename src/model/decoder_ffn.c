/* The feed-forward: dense, or a choice of experts with or without one that sees every token. */
#include "model/decoder_parts.h"

static void emit_activation(builder *b, const layer *l, const float *gate, const float *up, size_t n, float *out) {
    op *o = emit(b, OP_ACTIVATE, "ffn_act", n);
    o->in = gate ? gate : up;
    o->in2 = gate ? up : NULL;
    o->out = out;
    o->activation = b->m->arch->act;
    o->xielu = l->xielu;
}

static void emit_dense(builder *b, const layer *l, const float *in) {
    workspace *w = b->w;
    const product up[] = {{"ffn_up", &l->up, l->up_bias, w->up}, {"ffn_gate", &l->gate, l->gate_bias, w->gate}};
    bool gated = l->gate.data != NULL;
    emit_products(b, in, up, gated ? 2 : 1);
    emit_activation(b, l, gated ? w->gate : NULL, w->up, b->m->hp.n_ff, w->gate);
    const product down = {"ffn_out", &l->down, l->down_bias, w->out};
    emit_products(b, w->gate, &down, 1);
}

/* ---- experts ---------------------------------------------------------------------------------- */

static void emit_choice(builder *b, const layer *l, const float *in) {
    const hparams *h = &b->m->hp;
    workspace *w = b->w;
    const product router = {"ffn_router", &l->router, l->router_bias, w->router};
    emit_products(b, in, &router, 1);
    op *o = emit(b, OP_ROUTE, NULL, h->n_expert);
    o->in = w->router;
    o->routing = &w->routing;
    o->vector = l->router_shift;
    emit(b, OP_GROUP, NULL, 0)->routing = &w->routing;
}

typedef struct {
    const matrix *experts; /* [n_expert] */
    const float *bias;     /* [n_expert] rows, or NULL */
    float *out;            /* by slot */
} expert_product;

/* As emit_products, by slot. in_by_token: else `in` is by slot, too. */
static void emit_expert_products(builder *b, const float *in, bool in_by_token, const expert_product *p, size_t n) {
    workspace *w = b->w;
    act_buffer *const acts[] = {&w->plain, &w->by_32, &w->by_256};
    size_t n_in = p[0].experts->n_in;
    for (size_t a = 0; a < 3; a++) {
        op_result result[OP_MAX_RESULTS];
        size_t n_results = 0;
        for (size_t i = 0; i < n; i++) {
            if (act_for(w, p[i].experts->type) == acts[a])
                result[n_results++] = (op_result){NULL, p[i].experts, p[i].out};
        }
        if (n_results == 0) continue;
        op *o = emit(b, OP_QUANTIZE_EXPERTS, NULL, n_in);
        o->in = in;
        o->gather = in_by_token;
        o->weight_first = in_by_token && (b->m->arch->traits & A_WEIGHT_FIRST);
        o->act = acts[a];
        o->routing = &w->routing;
        o = emit(b, OP_MATMUL_EXPERTS, NULL, n_in);
        o->act = acts[a];
        o->routing = &w->routing;
        o->n_results = n_results;
        memcpy(o->result, result, sizeof result);
    }
    for (size_t i = 0; i < n; i++) {
        if (!p[i].bias) continue;
        op *o = emit(b, OP_ADD_EXPERT_VECTOR, NULL, p[i].experts->n_out);
        o->out = p[i].out;
        o->vector = p[i].bias;
        o->routing = &w->routing;
    }
}

static void emit_experts(builder *b, const layer *l, const float *in) {
    const hparams *h = &b->m->hp;
    workspace *w = b->w;
    const expert_product up[] = {{l->up_exps, l->up_exps_bias, w->up}, {l->gate_exps, l->gate_exps_bias, w->gate}};
    const expert_product down = {l->down_exps, l->down_exps_bias, w->down};
    emit_choice(b, l, in);
    emit_expert_products(b, in, true, up, 2);
    emit_activation(b, l, w->gate, w->up, (size_t)h->n_expert_used * h->n_ff_exp, w->gate);
    b->ops[b->n - 1].name = NULL; /* it is by slot */
    emit_expert_products(b, w->gate, false, &down, 1);
    op *o = emit(b, OP_SUM_EXPERTS, "ffn_experts", h->n_embd);
    o->in = w->down;
    o->out = w->out;
    o->routing = &w->routing;
    o->weight_first = (b->m->arch->traits & A_WEIGHT_FIRST) != 0;
}

/* The expert that sees every token; w->down, which has a row a slot and so at least one a token, holds its output. */
static void emit_shared(builder *b, const layer *l, const float *in) {
    const hparams *h = &b->m->hp;
    workspace *w = b->w;
    bool gated = l->shared_router.data != NULL;
    const product up[] = {{"ffn_shared_up", &l->shared_up, NULL, w->up},
                          {"ffn_shared_gate", &l->shared_gate, NULL, w->gate},
                          {"ffn_shared_router", &l->shared_router, NULL, w->router}};
    emit_products(b, in, up, gated ? 3 : 2);
    emit_activation(b, l, w->gate, w->up, h->n_ff_shared, w->gate);
    const product down = {"ffn_shared", &l->shared_down, NULL, w->down};
    emit_products(b, w->gate, &down, 1);
    if (gated) {
        op *o = emit(b, OP_GATE, "ffn_shared", h->n_embd);
        o->in = w->down;
        o->in2 = w->router;
        o->out = w->down;
    }
    emit_add(b, "ffn_out", w->out, w->down, w->out);
}

void emit_feed_forward(builder *b, const layer *l, const float *in) {
    if (!l->router.data) {
        emit_dense(b, l, in);
        return;
    }
    emit_experts(b, l, in);
    if (l->shared_up.data) emit_shared(b, l, in);
}
