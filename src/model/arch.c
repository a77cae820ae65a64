#include "model/arch.h"

#include <stdio.h>

#define L(field)       offsetof(layer, field)
#define G(field)       offsetof(globals, field)
#define UNLESS(offset) ((offset) + 1)

/* ---- tensors --------------------------------------------------------------------------------- */

/* clang-format off */
const binding arch_globals[] = {
    {"token_embd.weight",         BIND_MATRIX, G(embedding),        {DIM_EMBD, DIM_VOCAB}, P_ALWAYS},
    {"position_embd.weight",      BIND_MATRIX, G(positions),        {DIM_EMBD, DIM_CTX},   P_POSITIONS},
    {"token_embd_norm.weight",    BIND_VECTOR, G(embd_norm),        {DIM_EMBD},            P_EMBD_NORM},
    {"token_embd_norm.bias",      BIND_VECTOR, G(embd_norm_bias),   {DIM_EMBD},            P_EMBD_NORM, .optional = true},
    {"token_embd_norm.weight",    BIND_VECTOR, G(output_norm),      {DIM_EMBD},            P_OUTPUT_NORM_EMBD, .optional = true},
    {"output_norm.weight",        BIND_VECTOR, G(output_norm),      {DIM_EMBD},            P_OUTPUT_NORM, .instead = UNLESS(G(output_norm))},
    {"output_norm.bias",          BIND_VECTOR, G(output_norm_bias), {DIM_EMBD},            P_NORM_BIAS},
    {"output.weight",             BIND_MATRIX, G(output),           {DIM_EMBD, DIM_VOCAB}, P_ALWAYS, .optional = true},
    {"output.bias",               BIND_VECTOR, G(output_bias),      {DIM_VOCAB},           P_OUTPUT_BIAS},
    {"rope_freqs.weight",         BIND_VECTOR, G(rope_factors),     {DIM_ROT_HALF},        P_ROPE, .optional = true},
    {"rope_factors_short.weight", BIND_VECTOR, G(rope_short),       {DIM_ROT_HALF},        P_ROPE, .optional = true},
    {"rope_factors_long.weight",  BIND_VECTOR, G(rope_long),        {DIM_ROT_HALF},        P_ROPE, .optional = true},
    {0},
};

const binding arch_layer[] = {
    {"attn_norm.weight",   BIND_VECTOR, L(attn_norm),        {DIM_EMBD}, P_ATTN_NORM},
    {"attn_norm.bias",     BIND_VECTOR, L(attn_norm_bias),   {DIM_EMBD}, P_NORM_BIAS},
    {"attn_norm_2.weight", BIND_VECTOR, L(attn_norm_2),      {DIM_EMBD}, P_ATTN_NORM_2},
    {"attn_norm_2.bias",   BIND_VECTOR, L(attn_norm_2_bias), {DIM_EMBD}, P_ATTN_NORM_2},

    {"attn_qkv.weight", BIND_MATRIX, L(qkv),      {DIM_EMBD, DIM_QKV}, P_ATTENTION, .optional = true},
    {"attn_qkv.bias",   BIND_VECTOR, L(qkv_bias), {DIM_QKV},           P_QKV_BIAS, .optional = true},
    {"attn_q.weight",   BIND_MATRIX, L(q),        {DIM_EMBD, DIM_Q},   P_ATTENTION, .instead = UNLESS(L(qkv.data))},
    {"attn_k.weight",   BIND_MATRIX, L(k),        {DIM_EMBD, DIM_K},   P_ATTENTION, .instead = UNLESS(L(qkv.data))},
    {"attn_v.weight",   BIND_MATRIX, L(v),        {DIM_EMBD, DIM_V},   P_ATTENTION, .instead = UNLESS(L(qkv.data))},
    {"attn_q.bias",     BIND_VECTOR, L(q_bias),   {DIM_Q},             P_QKV_BIAS, .instead = UNLESS(L(qkv.data))},
    {"attn_k.bias",     BIND_VECTOR, L(k_bias),   {DIM_K},             P_QKV_BIAS, .instead = UNLESS(L(qkv.data))},
    {"attn_v.bias",     BIND_VECTOR, L(v_bias),   {DIM_V},             P_QKV_BIAS, .instead = UNLESS(L(qkv.data))},
    {"attn_q_norm.weight", BIND_VECTOR, L(q_norm), {DIM_KEY},               P_QK_NORM_HEAD},
    {"attn_k_norm.weight", BIND_VECTOR, L(k_norm), {DIM_KEY},               P_QK_NORM_HEAD},
    {"attn_q_norm.weight", BIND_VECTOR, L(q_norm), {DIM_KEY, DIM_HEADS},    P_QK_NORM_HEADS},
    {"attn_k_norm.weight", BIND_VECTOR, L(k_norm), {DIM_KEY, DIM_HEADS_KV}, P_QK_NORM_HEADS},
    {"attn_q_norm.weight", BIND_VECTOR, L(q_norm), {DIM_Q},                 P_QK_NORM_ROW},
    {"attn_k_norm.weight", BIND_VECTOR, L(k_norm), {DIM_K},                 P_QK_NORM_ROW},
    {"attn_q_norm.bias",   BIND_VECTOR, L(q_norm_bias), {DIM_Q},            P_QK_NORM_ROW, .optional = true},
    {"attn_k_norm.bias",   BIND_VECTOR, L(k_norm_bias), {DIM_K},            P_QK_NORM_ROW, .optional = true},
    {"attn_sinks.weight",  BIND_VECTOR, L(sinks),  {DIM_HEADS},             P_SINKS},
    {"attn_output.weight", BIND_MATRIX, L(attn_out),      {DIM_ATTN, DIM_EMBD}, P_ATTENTION},
    {"attn_output.bias",   BIND_VECTOR, L(attn_out_bias), {DIM_EMBD},           P_OUT_BIAS},

    {"attn_q.weight",         BIND_MATRIX,  L(q),         {DIM_EMBD, DIM_Q_FULL},        P_LATENT_Q},
    {"attn_q_a.weight",       BIND_MATRIX,  L(q_a),       {DIM_EMBD, DIM_LORA_Q},        P_LATENT_Q_A},
    {"attn_q_a_norm.weight",  BIND_VECTOR,  L(q_a_norm),  {DIM_LORA_Q},                  P_LATENT_Q_A},
    {"attn_q_b.weight",       BIND_MATRIX,  L(q_b),       {DIM_LORA_Q, DIM_Q_FULL},      P_LATENT_Q_A},
    {"attn_kv_a_mqa.weight",  BIND_MATRIX,  L(kv_a),      {DIM_EMBD, DIM_LORA_KV_ROT},   P_LATENT},
    {"attn_kv_a_norm.weight", BIND_VECTOR,  L(kv_a_norm), {DIM_LORA_KV},                 P_LATENT},
    {"attn_k_b.weight",       BIND_EXPERTS, L(k_up),      {DIM_KEY_PLAIN, DIM_LORA_KV, DIM_HEADS},  P_LATENT},
    {"attn_v_b.weight",       BIND_EXPERTS, L(v_up),      {DIM_LORA_KV, DIM_VALUE_FULL, DIM_HEADS}, P_LATENT},
    {"attn_output.weight",    BIND_MATRIX,  L(attn_out),  {DIM_ATTN, DIM_EMBD},          P_LATENT},

    {"shortconv.conv.weight",     BIND_VECTOR, L(conv),     {DIM_CONV, DIM_EMBD},   P_CONV},
    {"shortconv.in_proj.weight",  BIND_MATRIX, L(conv_in),  {DIM_EMBD, DIM_EMBD_3}, P_CONV},
    {"shortconv.out_proj.weight", BIND_MATRIX, L(conv_out), {DIM_EMBD, DIM_EMBD},   P_CONV},

    {"post_attention_norm.weight", BIND_VECTOR, L(attn_post_norm), {DIM_EMBD}, P_POST_NORM},
    {"post_ffw_norm.weight",       BIND_VECTOR, L(ffn_post_norm),  {DIM_EMBD}, P_POST_NORM},

    {"ffn_norm.weight",            BIND_VECTOR, L(ffn_norm),      {DIM_EMBD}, P_FFN_NORM},
    {"post_attention_norm.weight", BIND_VECTOR, L(ffn_norm),      {DIM_EMBD}, P_FFN_NORM_POST},
    {"ffn_norm.bias",              BIND_VECTOR, L(ffn_norm_bias), {DIM_EMBD}, P_NORM_BIAS, .optional = true},

    {"ffn_gate.weight", BIND_MATRIX, L(gate),      {DIM_EMBD, DIM_FF},   P_GATE},
    {"ffn_up.weight",   BIND_MATRIX, L(up),        {DIM_EMBD, DIM_FF},   P_FFN},
    {"ffn_up.weight",   BIND_MATRIX, L(gate_up),   {DIM_EMBD, DIM_FF_2}, P_GATE_IN_UP},
    {"ffn_down.weight", BIND_MATRIX, L(down),      {DIM_FF, DIM_EMBD},   P_FFN},
    {"ffn_gate.bias",   BIND_VECTOR, L(gate_bias), {DIM_FF},             P_FFN_BIAS, .optional = true},
    {"ffn_up.bias",     BIND_VECTOR, L(up_bias),   {DIM_FF},             P_FFN_BIAS},
    {"ffn_down.bias",   BIND_VECTOR, L(down_bias), {DIM_EMBD},           P_FFN_BIAS},

    {"ffn_gate_inp.weight",   BIND_MATRIX,  L(router),         {DIM_EMBD, DIM_EXPERTS},               P_EXPERTS},
    {"ffn_gate_inp.bias",     BIND_VECTOR,  L(router_bias),    {DIM_EXPERTS},                         P_EXPERT_BIAS},
    {"exp_probs_b.bias",      BIND_VECTOR,  L(router_shift),   {DIM_EXPERTS},                         P_EXPERT_SHIFT},
    {"ffn_gate_up_exps.weight", BIND_EXPERTS, L(gate_up_exps), {DIM_EMBD, DIM_FF_EXP_2, DIM_EXPERTS}, P_EXPERTS, .optional = true},
    {"ffn_gate_exps.weight",  BIND_EXPERTS, L(gate_exps),      {DIM_EMBD, DIM_FF_EXP, DIM_EXPERTS},   P_EXPERTS, .instead = UNLESS(L(gate_up_exps)), .split = "ffn_gate.%u.weight"},
    {"ffn_up_exps.weight",    BIND_EXPERTS, L(up_exps),        {DIM_EMBD, DIM_FF_EXP, DIM_EXPERTS},   P_EXPERTS, .instead = UNLESS(L(gate_up_exps)), .split = "ffn_up.%u.weight"},
    {"ffn_down_exps.weight",  BIND_EXPERTS, L(down_exps),      {DIM_FF_EXP, DIM_EMBD, DIM_EXPERTS},   P_EXPERTS, .split = "ffn_down.%u.weight"},
    {"ffn_gate_exps.bias",    BIND_VECTOR,  L(gate_exps_bias), {DIM_FF_EXP, DIM_EXPERTS},             P_EXPERT_BIAS},
    {"ffn_up_exps.bias",      BIND_VECTOR,  L(up_exps_bias),   {DIM_FF_EXP, DIM_EXPERTS},             P_EXPERT_BIAS},
    {"ffn_down_exps.bias",    BIND_VECTOR,  L(down_exps_bias), {DIM_EMBD, DIM_EXPERTS},               P_EXPERT_BIAS},
    {"ffn_gate_shexp.weight", BIND_MATRIX,  L(shared_gate),    {DIM_EMBD, DIM_FF_SHARED},             P_SHARED},
    {"ffn_up_shexp.weight",   BIND_MATRIX,  L(shared_up),      {DIM_EMBD, DIM_FF_SHARED},             P_SHARED},
    {"ffn_down_shexp.weight", BIND_MATRIX,  L(shared_down),    {DIM_FF_SHARED, DIM_EMBD},             P_SHARED},
    {"ffn_gate_inp_shexp.weight", BIND_MATRIX, L(shared_router), {DIM_EMBD},                          P_SHARED_ROUTER},
    {0},
};

/* ---- rows ------------------------------------------------------------------------------------- */

#define P(part) PART(P_##part)

/* Parts that many have. */
#define ATTENTION (P(ATTN_NORM) | P(ATTENTION))
#define SWIGLU    (P(FFN) | P(GATE))
#define SWIGLU_1  (P(FFN) | P(GATE_IN_UP)) /* gate and up in one tensor */
#define MLP       P(FFN)
#define RMS       (P(RMS_NORM) | P(OUTPUT_NORM))
#define LN        (P(LAYER_NORM) | P(OUTPUT_NORM))
#define LLAMA     (ATTENTION | SWIGLU | RMS | P(FFN_NORM) | P(ROPE))
#define BIASES    (P(NORM_BIAS) | P(QKV_BIAS) | P(OUT_BIAS) | P(FFN_BIAS))
#define GPT       (ATTENTION | MLP | LN | P(FFN_NORM) | BIASES)
#define QKV_OUT   (P(QKV_BIAS) | P(OUT_BIAS))
#define ANY_BIAS  (QKV_OUT | P(FFN_BIAS))
#define SHARED    (P(EXPERTS) | P(SHARED))

static const arch_default gemma2[] = {{"attn_logit_softcapping", 50}, {"final_logit_softcapping", 30}, {0}};
static const arch_default alibi[] = {{"attention.max_alibi_bias", 8}, {0}};
static const arch_default minicpm[] = {
    {"embedding_scale", 12}, {"residual_scale", 1.4, .n_layer = -0.5}, {"logit_scale", 1 / 256.0, .n_embd = 1}, {0}};
static const arch_default llama4[] = {
    {"attention.temperature_scale", 0.1}, {"attention.temperature_length", 8192}, {"expert_shared_count", 1}, {0}};

/* What it has, what it may have, and what is particular. */
static const arch archs[] = {
    {"llama", LLAMA, P(EXPERTS) | ANY_BIAS, .traits = A_NORM_WEIGHTS},
    {"mistral3", LLAMA, P(EXPERTS) | ANY_BIAS, .traits = A_NORM_WEIGHTS},
    {"smollm3", LLAMA, ANY_BIAS, .no_rope_step = 4},
    {"qwen2", LLAMA | P(QKV_BIAS), P(OUTPUT_BIAS), .rope = ROPE_HALVES},
    {"qwen2moe", LLAMA | SHARED | P(QKV_BIAS) | P(SHARED_ROUTER), 0,
     .rope = ROPE_HALVES, .traits = A_FF_BY_USED},
    {"qwen3", LLAMA | P(QK_NORM_HEAD), P(QKV_BIAS), .rope = ROPE_HALVES},
    {"qwen3moe", LLAMA | P(EXPERTS) | P(QK_NORM_HEAD), P(QKV_BIAS), .rope = ROPE_HALVES, .traits = A_NORM_WEIGHTS},
    {"gemma", LLAMA, 0, .rope = ROPE_HALVES, .act = ACT_GELU, .traits = A_EMBD_SQRT},
    {"gemma2", LLAMA | P(POST_NORM) | P(WINDOW) | P(SOFTCAP), 0,
     .rope = ROPE_HALVES, .act = ACT_GELU, .traits = A_EMBD_SQRT,
     .window = 4096, .window_step = 2, .embd_scale_layers = 46, .defaults = gemma2},
    {"gemma3", LLAMA | P(POST_NORM) | P(QK_NORM_HEAD) | P(WINDOW) | P(SOFTCAP), 0,
     .rope = ROPE_HALVES, .act = ACT_GELU, .traits = A_EMBD_SQRT | A_LOCAL_PLAIN,
     .window_step = 6, .local_rope_base = 10000, .embd_scale_layers = 62},
    {"phi2", ATTENTION | MLP | LN | BIASES | P(OUTPUT_BIAS) | P(ROPE), 0,
     .rope = ROPE_HALVES, .act = ACT_GELU, .traits = A_PARALLEL},
    {"phi3", ATTENTION | SWIGLU_1 | RMS | P(FFN_NORM) | P(ROPE), P(QKV_BIAS) | P(OUTPUT_BIAS) | P(WINDOW),
     .rope = ROPE_HALVES},
    {"granite", LLAMA | P(SCALES), SHARED | ANY_BIAS, .traits = A_LOGIT_DIVIDE | A_NORM_WEIGHTS | A_ROPE_FINETUNED},
    {"granitemoe", LLAMA | P(SCALES), SHARED | ANY_BIAS, .traits = A_LOGIT_DIVIDE | A_NORM_WEIGHTS | A_ROPE_FINETUNED},
    {"olmo", P(ATTENTION) | SWIGLU | P(LAYER_NORM) | P(ROPE) | P(CLAMP), 0},
    {"olmo2", P(ATTENTION) | SWIGLU | RMS | P(POST_NORM) | P(QK_NORM_ROW) | P(ROPE) | P(WINDOW), 0,
     .rope = ROPE_HALVES, .traits = A_LOCAL_PLAIN, .window_step = 4},
    {"olmoe", LLAMA | P(EXPERTS) | P(QK_NORM_ROW), 0, .rope = ROPE_HALVES},
    {"stablelm", ATTENTION | SWIGLU | LN | P(NORM_BIAS) | P(ROPE), P(FFN_NORM) | P(QKV_BIAS) | P(QK_NORM_HEADS),
     .rope = ROPE_HALVES},
    {"starcoder2", GPT | P(ROPE), 0, .rope = ROPE_HALVES, .act = ACT_GELU},
    {"command-r", ATTENTION | SWIGLU | LN | P(ROPE) | P(SCALES), P(QK_NORM_HEADS), .traits = A_PARALLEL},
    {"cohere2", ATTENTION | SWIGLU | LN | P(ROPE) | P(SCALES) | P(WINDOW), 0,
     .traits = A_PARALLEL | A_LOCAL_ROPE, .window = 4096, .window_step = 4},
    {"exaone", LLAMA, 0, .rope = ROPE_HALVES},
    {"exaone4", P(ATTENTION) | SWIGLU | RMS | P(POST_NORM) | P(QK_NORM_HEAD) | P(ROPE) | P(WINDOW), 0,
     .rope = ROPE_HALVES, .traits = A_LOCAL_ROPE, .window_step = 4},
    {"internlm2", LLAMA, QKV_OUT},
    {"baichuan", LLAMA | P(ALIBI), 0, .alibi_layers = 40, .defaults = alibi},
    {"orion", ATTENTION | SWIGLU | LN | P(FFN_NORM) | P(NORM_BIAS) | P(ROPE), 0, .rope = ROPE_HALVES},
    {"gpt-oss",
     ATTENTION | P(EXPERTS) | P(EXPERT_BIAS) | RMS | P(FFN_NORM_POST) | QKV_OUT | P(SINKS) | P(ROPE) | P(WINDOW), 0,
     .rope = ROPE_HALVES, .act = ACT_SWIGLU_OAI, .gating = GATE_SOFTMAX_LAST, .traits = A_YARN_FRACTIONS,
     .window_step = 2},
    {"glm4", ATTENTION | SWIGLU_1 | RMS | P(FFN_NORM) | P(POST_NORM) | P(ROPE), P(QKV_BIAS)},
    {"ernie4_5", LLAMA, QKV_OUT},
    {"ernie4_5-moe", LLAMA | P(EXPERTS), P(SHARED) | P(EXPERT_SHIFT) | QKV_OUT, .traits = A_NORM_WEIGHTS},
    {"hunyuan-dense", LLAMA | P(QK_NORM_HEAD), P(QKV_BIAS), .rope = ROPE_HALVES, .traits = A_QK_NORM_LAST},
    {"seed_oss", ATTENTION | SWIGLU | RMS | P(FFN_NORM_POST) | P(ROPE), QKV_OUT, .rope = ROPE_HALVES},
    {"arcee", ATTENTION | MLP | RMS | P(FFN_NORM) | P(ROPE), QKV_OUT, .act = ACT_RELU_SQUARED},
    {"minicpm", LLAMA | P(SCALES), P(EXPERTS) | ANY_BIAS, .traits = A_LOGIT_DIVIDE | A_NORM_WEIGHTS,
     .defaults = minicpm},
    {"gpt2", GPT | P(POSITIONS), 0, .rope = ROPE_NONE, .act = ACT_GELU},
    {"gptneox", GPT | P(ROPE), 0, .rope = ROPE_HALVES, .act = ACT_GELU_ERF, .traits = A_PARALLEL},
    {"falcon", ATTENTION | MLP | LN | P(NORM_BIAS) | P(ROPE), P(ATTN_NORM_2),
     .rope = ROPE_HALVES, .act = ACT_GELU_ERF, .traits = A_PARALLEL},
    {"mpt", ATTENTION | MLP | LN | P(FFN_NORM) | P(CLAMP) | P(ALIBI), BIASES | P(POSITIONS) | P(QK_NORM_ROW),
     .rope = ROPE_NONE, .act = ACT_GELU_ERF},
    {"bloom", GPT | P(EMBD_NORM) | P(ALIBI), 0, .rope = ROPE_NONE, .act = ACT_GELU, .defaults = alibi},
    {"apertus", ATTENTION | MLP | RMS | P(FFN_NORM) | P(QK_NORM_HEAD) | P(XIELU) | P(ROPE), QKV_OUT,
     .rope = ROPE_HALVES, .act = ACT_XIELU},
    {"llama4", LLAMA | SHARED | P(WINDOW), QKV_OUT,
     .traits = A_QK_L2 | A_WEIGHT_FIRST | A_LOCAL_ROPE | A_WINDOW_CHUNKS | A_TEMPERATURE_NOPE,
     .gating = GATE_SIGMOID, .window = 8192, .window_step = 4, .temperature_offset = 1, .l2_not_experts = 128,
     .defaults = llama4},
    {"deepseek2", P(ATTN_NORM) | P(LATENT) | P(LATENT_Q) | P(LATENT_Q_A) | SWIGLU | RMS | P(FFN_NORM) | SHARED | P(ROPE),
     P(EXPERT_SHIFT), .traits = A_YARN_SQUARED},
    {"lfm2", LLAMA | P(QK_NORM_HEAD) | P(OUTPUT_NORM_EMBD) | P(CONV) | P(WINDOW), 0, .rope = ROPE_HALVES},
};
/* clang-format on */

enum { N_ARCHS = sizeof archs / sizeof *archs };

const arch *arch_find(str name) {
    for (size_t i = 0; i < N_ARCHS; i++) {
        if (str_is(name, archs[i].name)) return &archs[i];
    }
    return NULL;
}

void arch_list(char *out, size_t size) {
    *out = 0;
    for (size_t i = 0, at = 0; i < N_ARCHS && at + 1 < size; i++)
        at += (size_t)snprintf(out + at, size - at, "%s%s", i ? ", " : "", archs[i].name);
}

const arch *arch_at(size_t i) { return i < N_ARCHS ? &archs[i] : NULL; }

/* The parts that layer i lacks although the architecture has them. */
static uint64_t absent_parts(const hparams *h, const arch *a, uint32_t i) {
    const uint64_t experts =
        PART(P_EXPERTS) | PART(P_EXPERT_BIAS) | PART(P_EXPERT_SHIFT) | PART(P_SHARED) | PART(P_SHARED_ROUTER);
    uint64_t absent = 0;
    if (h->layer[i] & LAYER_EXPERTS) {
        absent |= PART(P_FFN) | PART(P_GATE) | PART(P_GATE_IN_UP) | PART(P_FFN_BIAS);
        if (h->n_ff_shared == 0) absent |= PART(P_SHARED) | PART(P_SHARED_ROUTER);
    } else {
        absent |= experts;
    }
    absent |= h->layer[i] & LAYER_CONV ? PART(P_ATTENTION) | PART(P_QK_NORM_HEAD) : PART(P_CONV);
    if (a->has & PART(P_LATENT)) absent |= PART(h->n_lora_q ? P_LATENT_Q : P_LATENT_Q_A);
    return absent;
}

need arch_needs(const arch *a, const hparams *h, uint32_t i, const binding *b) {
    uint64_t part = PART(b->part), absent = absent_parts(h, a, i);
    /* Where gate and up are one tensor, P_FFN stands for down alone. */
    if ((a->has & PART(P_GATE_IN_UP)) && b->field == L(up) && b->part == P_FFN) return NEED_NOT;
    if (b->part == P_ALWAYS) return b->optional ? NEED_MAY : NEED_MUST;
    if (part & absent) return NEED_NOT;
    /* Whether a layer has these, keys have said. */
    if (part & (a->has | ((a->has | a->may) & (PART(P_EXPERTS) | PART(P_SHARED)))))
        return b->optional ? NEED_MAY : NEED_MUST;
    return part & a->may ? NEED_MAY : NEED_NOT;
}

/* ---- sizes ------------------------------------------------------------------------------------ */

uint64_t dim_size(const hparams *h, dim d) {
    uint64_t q = (uint64_t)h->n_head * h->n_k, k = (uint64_t)h->n_head_kv * h->n_k, v = (uint64_t)h->n_head_kv * h->n_v;
    switch (d) {
    case DIM_EMBD: return h->n_embd;
    case DIM_EMBD_3: return 3 * (uint64_t)h->n_embd;
    case DIM_VOCAB: return h->n_vocab;
    case DIM_CTX: return h->n_ctx_train;
    case DIM_FF: return h->n_ff;
    case DIM_FF_2: return 2 * (uint64_t)h->n_ff;
    case DIM_FF_EXP: return h->n_ff_exp;
    case DIM_FF_EXP_2: return 2 * (uint64_t)h->n_ff_exp;
    case DIM_FF_SHARED: return h->n_ff_shared;
    case DIM_EXPERTS: return h->n_expert;
    case DIM_Q: return q;
    case DIM_K: return k;
    case DIM_V: return v;
    case DIM_QKV: return q + k + v;
    case DIM_ATTN: return (uint64_t)h->n_head * (h->n_v_full ? h->n_v_full : h->n_v);
    case DIM_KEY: return h->n_k;
    case DIM_HEADS: return h->n_head;
    case DIM_HEADS_KV: return h->n_head_kv;
    case DIM_ROT_HALF: return h->n_rot / 2;
    case DIM_LORA_Q: return h->n_lora_q;
    case DIM_LORA_KV: return h->n_lora_kv;
    case DIM_LORA_KV_ROT: return (uint64_t)h->n_lora_kv + h->n_rot;
    case DIM_KEY_PLAIN: return h->n_k_full - h->n_rot;
    case DIM_VALUE_FULL: return h->n_v_full;
    case DIM_Q_FULL: return (uint64_t)h->n_head * h->n_k_full;
    case DIM_CONV: return h->n_conv;
    default: return 1;
    }
}

void dim_describe(const hparams *h, dim d, char *out, size_t size) {
    static const char *const names[DIM_COUNT] = {
        [DIM_EMBD] = "embedding_length",
        [DIM_EMBD_3] = "3 x embedding_length",
        [DIM_VOCAB] = "the vocabulary's size",
        [DIM_CTX] = "context_length",
        [DIM_FF] = "feed_forward_length",
        [DIM_FF_2] = "2 x feed_forward_length",
        [DIM_FF_EXP] = "expert_feed_forward_length",
        [DIM_FF_EXP_2] = "2 x expert_feed_forward_length",
        [DIM_FF_SHARED] = "expert_shared_feed_forward_length",
        [DIM_EXPERTS] = "expert_count",
        [DIM_KEY] = "attention.key_length",
        [DIM_HEADS] = "attention.head_count",
        [DIM_HEADS_KV] = "attention.head_count_kv",
        [DIM_LORA_Q] = "attention.q_lora_rank",
        [DIM_LORA_KV] = "attention.kv_lora_rank",
        [DIM_LORA_KV_ROT] = "attention.kv_lora_rank + rope.dimension_count",
        [DIM_KEY_PLAIN] = "attention.key_length_mla - rope.dimension_count",
        [DIM_VALUE_FULL] = "attention.value_length_mla",
        [DIM_CONV] = "shortconv.l_cache",
    };
    switch (d) {
    case DIM_Q: snprintf(out, size, "%u heads of %u", h->n_head, h->n_k); break;
    case DIM_K: snprintf(out, size, "%u kv heads of %u", h->n_head_kv, h->n_k); break;
    case DIM_V: snprintf(out, size, "%u kv heads of %u", h->n_head_kv, h->n_v); break;
    case DIM_QKV:
        snprintf(out, size, "%u heads and %u kv heads of %u, values of %u", h->n_head, h->n_head_kv, h->n_k, h->n_v);
        break;
    case DIM_ATTN: snprintf(out, size, "%u heads of %u", h->n_head, h->n_v_full ? h->n_v_full : h->n_v); break;
    case DIM_Q_FULL: snprintf(out, size, "%u heads of %u", h->n_head, h->n_k_full); break;
    case DIM_ROT_HALF: snprintf(out, size, "half of rope.dimension_count %u", h->n_rot); break;
    default: snprintf(out, size, "%s", names[d] ? names[d] : "1"); break;
    }
}
