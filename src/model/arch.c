#include "model/arch.h"

#include <stdio.h>

#define L(field) offsetof(layer, field)
#define G(field) offsetof(globals, field)

static const binding llama_globals[] = {
    {"token_embd.weight", BIND_MATRIX, G(embedding), {DIM_EMBD, DIM_VOCAB}, false},
    {"output_norm.weight", BIND_VECTOR, G(output_norm), {DIM_EMBD}, false},
    {"output.weight", BIND_MATRIX, G(output), {DIM_EMBD, DIM_VOCAB}, true},
    {"rope_freqs.weight", BIND_VECTOR, G(rope_factors), {DIM_ROT_HALF}, true},
    {0},
};

static const binding llama_layer[] = {
    {"attn_norm.weight", BIND_VECTOR, L(attn_norm), {DIM_EMBD}, false},
    {"attn_q.weight", BIND_MATRIX, L(q), {DIM_EMBD, DIM_Q}, false},
    {"attn_k.weight", BIND_MATRIX, L(k), {DIM_EMBD, DIM_K}, false},
    {"attn_v.weight", BIND_MATRIX, L(v), {DIM_EMBD, DIM_V}, false},
    {"attn_q.bias", BIND_VECTOR, L(q_bias), {DIM_Q}, true},
    {"attn_k.bias", BIND_VECTOR, L(k_bias), {DIM_K}, true},
    {"attn_v.bias", BIND_VECTOR, L(v_bias), {DIM_V}, true},
    {"attn_output.weight", BIND_MATRIX, L(attn_out), {DIM_ATTN, DIM_EMBD}, false},
    {"attn_output.bias", BIND_VECTOR, L(attn_out_bias), {DIM_EMBD}, true},
    {"ffn_norm.weight", BIND_VECTOR, L(ffn_norm), {DIM_EMBD}, false},
    {"ffn_gate.weight", BIND_MATRIX, L(gate), {DIM_EMBD, DIM_FF}, false},
    {"ffn_up.weight", BIND_MATRIX, L(up), {DIM_EMBD, DIM_FF}, false},
    {"ffn_down.weight", BIND_MATRIX, L(down), {DIM_FF, DIM_EMBD}, false},
    {"ffn_gate.bias", BIND_VECTOR, L(gate_bias), {DIM_FF}, true},
    {"ffn_up.bias", BIND_VECTOR, L(up_bias), {DIM_FF}, true},
    {"ffn_down.bias", BIND_VECTOR, L(down_bias), {DIM_EMBD}, true},
    {0},
};

static const arch archs[] = {
    /* name       no-RoPE step, globals, layer */
    {"llama", 0, llama_globals, llama_layer},
    {"smollm3", 4, llama_globals, llama_layer},
};

enum { N_ARCHS = sizeof archs / sizeof *archs };

const arch *arch_find(str name) {
    for (size_t i = 0; i < N_ARCHS; i++) {
        if (str_is(name, archs[i].name)) return &archs[i];
    }
    return NULL;
}

const char *arch_list(void) { return "llama, smollm3"; }

bool arch_layer_has_rope(const arch *a, uint32_t i) { return a->no_rope_step == 0 || (i + 1) % a->no_rope_step != 0; }

uint64_t dim_size(const hparams *h, dim d) {
    switch (d) {
    case DIM_EMBD: return h->n_embd;
    case DIM_VOCAB: return h->n_vocab;
    case DIM_FF: return h->n_ff;
    case DIM_Q: return (uint64_t)h->n_head * h->n_k;
    case DIM_K: return (uint64_t)h->n_head_kv * h->n_k;
    case DIM_V: return (uint64_t)h->n_head_kv * h->n_v;
    case DIM_ATTN: return (uint64_t)h->n_head * h->n_v;
    case DIM_ROT_HALF: return h->n_rot / 2;
    default: return 1;
    }
}

void dim_describe(const hparams *h, dim d, char *out, size_t size) {
    switch (d) {
    case DIM_EMBD: snprintf(out, size, "embedding_length"); break;
    case DIM_VOCAB: snprintf(out, size, "the vocabulary's size"); break;
    case DIM_FF: snprintf(out, size, "feed_forward_length"); break;
    case DIM_Q: snprintf(out, size, "%u heads of %u", h->n_head, h->n_k); break;
    case DIM_K: snprintf(out, size, "%u kv heads of %u", h->n_head_kv, h->n_k); break;
    case DIM_V: snprintf(out, size, "%u kv heads of %u", h->n_head_kv, h->n_v); break;
    case DIM_ATTN: snprintf(out, size, "%u heads of %u", h->n_head, h->n_v); break;
    case DIM_ROT_HALF: snprintf(out, size, "half of rope.dimension_count %u", h->n_rot); break;
    default: snprintf(out, size, "1"); break;
    }
}
