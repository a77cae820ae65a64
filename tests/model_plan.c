#include "model_plan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/arch.h"
#include "random_tensor.h"

/* ---- architectures --------------------------------------------------------------------------------- */

#define MOE "expert_count=u32:8 expert_used_count=u32:2 expert_feed_forward_length=u32:128"

/* clang-format off */
static const plan_arch archs[] = {
    {"llama", false, 10000, false, "", ""},
    {"smollm3", true, 5e6, false, "", ""},
    {"mistral3", false, 1e6, false, "", "attention.temperature_scale=f32:0.1 rope.scaling.type=string:yarn rope.scaling.factor=f32:4 "
        "rope.scaling.original_context_length=u32:16 rope.scaling.yarn_log_multiplier=f32:1"},
    {"qwen2", true, 1e6, false, "", ""},
    {"qwen2moe", false, 1e6, false, "", MOE " expert_shared_feed_forward_length=u32:192"},
    {"qwen3", false, 1e6, false, "", ""},
    {"qwen3moe", false, 1e6, false, "", MOE},
    {"phi2", false, 10000, true, "", ""},
    {"phi3", false, 10000, true, "rope_factors_", "attention.sliding_window=u32:12 rope.scaling.original_context_length=u32:32 rope.scaling.attn_factor=f32:1.19"},
    {"gemma", true, 10000, false, "", ""},
    {"gemma2", true, 10000, false, "", "attention.sliding_window=u32:8 attn_logit_softcapping=f32:50 final_logit_softcapping=f32:30"},
    {"gemma3", true, 1e6, false, "", "attention.sliding_window=u32:8 rope.scaling.type=string:linear rope.scaling.factor=f32:8"},
    {"granite", true, 10000, false, "", "embedding_scale=f32:12 residual_scale=f32:0.22 attention.scale=f32:0.015625 logit_scale=f32:8"},
    {"granitemoe", true, 10000, false, "", MOE " expert_shared_feed_forward_length=u32:64 embedding_scale=f32:12 residual_scale=f32:0.22 attention.scale=f32:0.015625 logit_scale=f32:6"},
    {"olmo", false, 10000, false, "", "attention.clamp_kqv=f32:0.8"},
    {"olmo2", false, 500000, false, "", "attention.sliding_window=u32:8 rope.scaling.type=string:yarn rope.scaling.factor=f32:8 rope.scaling.original_context_length=u32:16"},
    {"olmoe", false, 10000, false, "", MOE},
    {"stablelm", false, 10000, false, "ffn_norm", ""},
    {"starcoder2", true, 100000, false, "", ""},
    {"command-r", true, 8e6, false, "", "logit_scale=f32:0.0625"},
    {"cohere2", true, 50000, false, "", "logit_scale=f32:0.25 attention.sliding_window=u32:8"},
    {"exaone", true, 500000, false, "", ""},
    {"exaone4", true, 1e6, false, "", "attention.sliding_window=u32:8"},
    {"internlm2", false, 1e6, false, "", ""},
    {"baichuan", false, 10000, false, "", ""},
    {"orion", false, 10000, false, "", ""},
    {"gpt-oss", false, 150000, false, "", MOE " attention.sliding_window=u32:8 rope.scaling.type=string:yarn rope.scaling.factor=f32:32 rope.scaling.original_context_length=u32:16"},
    {"glm4", false, 10000, false, "attn_q.bias attn_k.bias attn_v.bias", ""},
    {"ernie4_5", true, 500000, false, "", ""},
    {"ernie4_5-moe", true, 500000, false, "exp_probs_b", MOE " expert_shared_feed_forward_length=u32:128 leading_dense_block_count=u32:1 interleave_moe_layer_step=u32:1"},
    {"hunyuan-dense", true, 10000, false, "", "rope.scaling.alpha=f32:1000"},
    {"seed_oss", false, 1e7, false, "attn_q.bias attn_k.bias attn_v.bias", ""},
    {"arcee", false, 10000, false, "", ""},
    {"minicpm", true, 10000, false, "", ""},
    {"gpt2", true, 10000, true, "", ""},
    {"gptneox", false, 10000, true, "", "use_parallel_residual=bool:1"},
    {"falcon", true, 10000, true, "", ""},
    {"mpt", true, 10000, true, "", "attention.max_alibi_bias=f32:8 attention.clamp_kqv=f32:1"},
    {"bloom", true, 10000, true, "", ""},
    {"apertus", false, 12e6, false, "", ""},
    {"llama4", false, 500000, false, "", MOE " expert_used_count=u32:1 interleave_moe_layer_step=u32:2 attention.sliding_window=u32:8 attention.temperature_length=u32:6"},
    {"deepseek2", false, 10000, false, "exp_probs_b", MOE " expert_shared_count=u32:1 leading_dense_block_count=u32:1 attention.kv_lora_rank=u32:64 attention.q_lora_rank=u32:96 "
        "attention.key_length=u32:80 attention.value_length=u32:64 attention.key_length_mla=u32:48 attention.value_length_mla=u32:32 rope.dimension_count=u32:16 attention.head_count_kv=u32:1 "
        "expert_gating_func=u32:2 expert_weights_norm=bool:1 expert_weights_scale=f32:2.5 expert_group_count=u32:4 expert_group_used_count=u32:2 rope.scaling.type=string:yarn rope.scaling.factor=f32:40 "
        "rope.scaling.original_context_length=u32:16 rope.scaling.yarn_log_multiplier=f32:0.1"},
    {"lfm2", true, 1e6, false, "", "shortconv.l_cache=u32:3"},
};
/* clang-format on */

const plan_arch *plan_find_arch(const char *name) {
    for (size_t i = 0; i < sizeof archs / sizeof *archs; i++) {
        if (strcmp(archs[i].name, name) == 0) return &archs[i];
    }
    return NULL;
}

/* ---- types ------------------------------------------------------------------------------------------ */

static const plan_format mixes[] = {
    {"Q4_K_M", QUANT_Q4_K, QUANT_Q6_K, 15},
    {"Q5_K_M", QUANT_Q5_K, QUANT_Q6_K, 17},
};

static const int8_t file_types[QUANT_TYPE_COUNT] = {
    /* 0, which is also F32's own number, stands for none */
    [QUANT_F16] = 1,      [QUANT_Q4_0] = 2,    [QUANT_Q4_1] = 3,    [QUANT_Q8_0] = 7,     [QUANT_Q5_0] = 8,
    [QUANT_Q5_1] = 9,     [QUANT_Q2_K] = 10,   [QUANT_Q3_K] = 12,   [QUANT_Q4_K] = 14,    [QUANT_Q5_K] = 16,
    [QUANT_Q6_K] = 18,    [QUANT_IQ4_NL] = 25, [QUANT_IQ4_XS] = 30, [QUANT_BF16] = 32,    [QUANT_TQ1_0] = 36,
    [QUANT_TQ2_0] = 37,   [QUANT_MXFP4] = 38,  [QUANT_NVFP4] = 39,  [QUANT_IQ2_XXS] = 19, [QUANT_IQ2_XS] = 20,
    [QUANT_IQ3_XXS] = 23, [QUANT_IQ1_S] = 24,  [QUANT_IQ3_S] = 26,  [QUANT_IQ2_S] = 28,   [QUANT_IQ1_M] = 31,
};

bool plan_find_format(const char *name, plan_format *out, gguf_error *err) {
    for (size_t i = 0; i < sizeof mixes / sizeof *mixes; i++) {
        if (strcmp(name, mixes[i].name) != 0) continue;
        *out = mixes[i];
        return true;
    }
    for (int t = 0; t < QUANT_TYPE_COUNT; t++) {
        if (!quant_types[t].name || strcmp(name, quant_types[t].name) != 0 || !random_can_make((quant_type)t)) continue;
        *out = (plan_format){name, (quant_type)t, (quant_type)t, file_types[t] || t == QUANT_F32 ? file_types[t] : -1};
        return true;
    }
    return fail(err, GGUF_ERR_USAGE, "no tensors of type %s can be made", name);
}

/* ---- keys ------------------------------------------------------------------------------------------- */

/* Turns one value's text into its bytes; false where it is none of the type. */
static bool parse_value(kv_type type, const char *text, uint8_t out[8]) {
    char *end;
    if (type == KV_F32 || type == KV_F64) {
        double wide = strtod(text, &end);
        float narrow = (float)wide;
        memcpy(out, type == KV_F32 ? (const void *)&narrow : (const void *)&wide, kv_type_size(type));
    } else {
        unsigned long long v = *text == '-' ? (unsigned long long)strtoll(text, &end, 0) : strtoull(text, &end, 0);
        memcpy(out, &v, kv_type_size(type));
    }
    return end != text && *end == 0;
}

/* "u32:7", "string:abc", "f32[]:1,2,3" */
bool plan_put_edit(gguf_writer *w, const char *name, const char *value, gguf_error *err) {
    uint32_t type = 0;
    char text[1024];
    size_t n_name = strcspn(value, ":[");
    while (type < KV_TYPE_COUNT && !str_is((str){value, n_name}, kv_type_name(type))) type++;
    const char *rest = value + n_name;
    bool is_array = strncmp(rest, "[]", 2) == 0;
    rest += is_array ? 2 : 0;
    if (type == KV_TYPE_COUNT || type == KV_ARRAY || *rest != ':' || strlen(rest) >= sizeof text) {
        return fail(err, GGUF_ERR_USAGE, "--set %s=%s: the value must be type:value or type[]:value,value", name,
                    value);
    }
    snprintf(text, sizeof text, "%s", rest + 1);
    if (type == KV_STRING && !is_array) {
        gguf_writer_string(w, name, str_of(text));
        return true;
    }
    str strings[256];
    uint8_t raw[256 * 8];
    size_t n = 0, size = kv_type_size(type);
    for (char *save, *item = strtok_r(text, ",", &save); item && n < 256; item = strtok_r(NULL, ",", &save), n++) {
        strings[n] = str_of(item);
        if (type != KV_STRING && !parse_value((kv_type)type, item, raw + n * size)) {
            return fail(err, GGUF_ERR_USAGE, "--set %s: %s is no %s", name, item, kv_type_name(type));
        }
    }
    if (is_array && type == KV_STRING) {
        gguf_writer_strings(w, name, strings, n);
    } else if (is_array) {
        gguf_writer_array(w, name, (kv_type)type, raw, n);
    } else if (type == KV_F32 || type == KV_F64) {
        float narrow;
        double wide;
        memcpy(&narrow, raw, 4);
        memcpy(&wide, raw, 8);
        gguf_writer_float(w, name, (kv_type)type, type == KV_F32 ? (double)narrow : wide);
    } else {
        int64_t v = 0;
        memcpy(&v, raw, size);
        gguf_writer_int(w, name, (kv_type)type, v);
    }
    return true;
}

/* "expert_count=u32:8 ..." */
static bool put_list(gguf_writer *w, const model_spec *s, const char *list, gguf_error *err) {
    char text[1024], name[2 * NAME_BYTES];
    snprintf(text, sizeof text, "%s", list);
    for (char *save, *item = strtok_r(text, " ", &save); item; item = strtok_r(NULL, " ", &save)) {
        char *value = strchr(item, '=');
        if (!value) return fail(err, GGUF_ERR_USAGE, "%s: KEY=TYPE:VALUE is expected", item);
        *value++ = 0;
        snprintf(name, sizeof name, "%s.%s", s->arch, item);
        if (!plan_put_edit(w, name, value, err)) return false;
    }
    return true;
}

/* Layers that have convolutions have no heads: the first of every three. */
static void put_conv_heads(gguf_writer *w, const model_spec *s) {
    uint32_t heads[MAX_LAYERS];
    char name[NAME_BYTES];
    for (uint32_t i = 0; i < s->n_layer; i++) heads[i] = i % 3 == 0 ? 0 : s->n_head_kv;
    snprintf(name, sizeof name, "%s.attention.head_count_kv", s->arch);
    gguf_writer_array(w, name, KV_U32, heads, s->n_layer);
}

static void put_xielu(gguf_writer *w, const model_spec *s) {
    static const struct {
        const char *key;
        float value, step;
    } keys[] = {{"xielu.alpha_n", 0.9f, 0.05f},
                {"xielu.alpha_p", 0.7f, 0.1f},
                {"xielu.beta", 0.5f, 0},
                {"xielu.eps", -1e-6f, 0}};
    float values[MAX_LAYERS];
    for (size_t k = 0; k < 4; k++) {
        for (uint32_t i = 0; i < s->n_layer; i++) values[i] = keys[k].value + (float)i * keys[k].step;
        gguf_writer_array(w, keys[k].key, KV_F32, values, s->n_layer);
    }
}

bool plan_put_hparams(gguf_writer *w, const model_spec *s, gguf_error *err) {
    const struct {
        const char *key;
        kv_type type;
        double value;
        uint64_t parts;
    } keys[] = {
        {"context_length", KV_U32, s->n_ctx, 0},
        {"embedding_length", KV_U32, s->n_embd, 0},
        {"block_count", KV_U32, s->n_layer, 0},
        {"feed_forward_length", KV_U32, s->n_ff, 0},
        {"attention.head_count", KV_U32, s->n_head, 0},
        {"attention.head_count_kv", KV_U32, s->n_head_kv, 0},
        {"attention.layer_norm_rms_epsilon", KV_F32, 1e-5, PART(P_RMS_NORM)},
        {"attention.layer_norm_epsilon", KV_F32, 1e-5, PART(P_LAYER_NORM)},
        {"rope.freq_base", KV_F32, s->rope_base, PART(P_ROPE)},
        {"rope.dimension_count", KV_U32, s->n_rot, PART(P_ROPE)},
        {"vocab_size", KV_U32, s->n_vocab, 0},
        {"attention.key_length", KV_U32, s->head_size, 0},
        {"attention.value_length", KV_U32, s->head_size, 0},
    };
    const arch *a = arch_find(str_of(s->arch));
    size_t n = sizeof keys / sizeof *keys;
    char name[2 * NAME_BYTES];
    if ((uint64_t)s->head_size * s->n_head == s->n_embd) n -= 2; /* files name the head size only where it is odd */
    for (size_t i = 0; i < n; i++) {
        if (keys[i].parts && !((a->has | a->may) & keys[i].parts)) continue;
        snprintf(name, sizeof name, "%s.%s", s->arch, keys[i].key);
        if (keys[i].type == KV_F32) {
            gguf_writer_float(w, name, KV_F32, keys[i].value);
        } else {
            gguf_writer_int(w, name, KV_U32, (int64_t)keys[i].value);
        }
    }
    if (a->has & PART(P_CONV)) put_conv_heads(w, s);
    if (a->has & PART(P_XIELU)) put_xielu(w, s);
    if (!put_list(w, s, plan_find_arch(s->arch)->keys, err)) return false;
    for (const model_edit *e = s->edits; e < s->edits + s->n_edits; e++) {
        snprintf(name, sizeof name, "%s.%s", s->arch, e->name);
        if (e->kind == EDIT_KEY && !plan_put_edit(w, name, e->value, err)) return false;
    }
    return true;
}

/* ---- tensors ---------------------------------------------------------------------------------------- */

/* The layers whose v and down matrices get the better type of a mix, as llama.cpp chooses them. */
static bool is_better_layer(uint32_t i, uint32_t n) {
    uint32_t eighth = n / 8;
    return i < eighth || i >= 7 * n / 8 || (i - eighth) % 3 == 2;
}

static plan_tensor *add(model_plan *p, const char *name, quant_type type) {
    static plan_tensor nowhere;
    if (p->n == p->room) {
        size_t room = p->room ? 2 * p->room : 64;
        plan_tensor *moved = realloc(p->tensors, room * sizeof *moved);
        if (!moved) {
            p->failed = true;
            return &nowhere;
        }
        p->tensors = moved;
        p->room = room;
    }
    plan_tensor *t = &p->tensors[p->n++];
    *t = (plan_tensor){.type = type, .n_dims = 1, .ne = {1, 1, 1}};
    snprintf(t->name, sizeof t->name, "%s", name);
    return t;
}

static bool ends_with(const char *text, const char *end) {
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* Whether a tensor that the architecture may have is made. */
static bool wants(const model_spec *s, const binding *b, bool in_layer) {
    const char *also = plan_find_arch(s->arch)->also;
    if (b->field == offsetof(globals, rope_factors) && !in_layer) return s->rope_factors;
    if (strcmp(b->name, "output.weight") == 0) return !s->tied;
    if (in_layer && strcmp(b->name, "attn_qkv.weight") == 0) return s->fused || plan_find_arch(s->arch)->fused;
    for (const char *at = also; *at; at += strcspn(at, " "), at += *at == ' ') {
        size_t n = strcspn(at, " ");
        if (strncmp(b->name, at, n) == 0) return true;
    }
    if (in_layer && ends_with(b->name, ".bias") && s->biases) return true;
    return s->optional && !strstr(b->name, "gate_up_exps") && !strstr(b->name, "rope_factors_");
}

/* How its values are spread. */
static void choose_values(plan_tensor *t, const binding *b, const model_spec *s) {
    bool embedding = strncmp(t->name, "token_embd.", 11) == 0;
    const arch *a = arch_find(str_of(s->arch));
    t->std = 0.1f;
    if (b->kind != BIND_VECTOR) t->std = 0.8f / sqrtf((float)t->ne[0]);
    if (strstr(t->name, "norm") && ends_with(t->name, ".weight")) t->centre = 1;
    if (strstr(t->name, "sinks")) t->std = 1;
    if (strstr(t->name, "gate_inp") && ends_with(t->name, ".weight")) t->std = 0.2f;
    if (strstr(t->name, "conv.weight")) t->std = 0.5f;
    if (embedding) t->std = a->traits & A_EMBD_SQRT ? 0.5f / sqrtf((float)s->n_embd) : 0.5f;
    t->is_ramp = strncmp(t->name, "rope_", 5) == 0;
}

static quant_type choose_type(const model_spec *s, const plan_format *f, const binding *b, const char *name,
                              uint64_t n_in, uint32_t i) {
    bool better = strcmp(name, "output.weight") == 0 || (s->tied && strncmp(name, "token_embd.", 11) == 0);
    if (b->kind == BIND_VECTOR || strstr(name, "gate_inp") || strstr(name, "position_embd")) return QUANT_F32;
    if (is_better_layer(i, s->n_layer) && (strstr(name, "attn_v.") || strstr(name, "ffn_down"))) better = true;
    quant_type type = better ? f->better : f->type;
    return n_in % quant_types[type].block != 0 ? QUANT_F16 : type; /* where rows are not whole blocks */
}

static void add_bound(model_plan *p, const hparams *h, const plan_format *f, const binding *b, const char *prefix,
                      uint32_t layer_index, const char *name_format, unsigned expert, bool one_expert) {
    char name[NAME_BYTES], rest[NAME_BYTES];
    snprintf(rest, sizeof rest, name_format, expert);
    snprintf(name, sizeof name, "%s%.40s", prefix, rest);
    plan_tensor *t = add(p, name, choose_type(p->s, f, b, name, dim_size(h, b->ne[0]), layer_index));
    for (uint32_t i = 0; i < (one_expert ? 2u : 3u); i++) {
        t->ne[i] = dim_size(h, b->ne[i]);
        if (b->ne[i] != DIM_NONE) t->n_dims = i + 1;
    }
    choose_values(t, b, p->s);
}

/* The tensors of a table; of the globals, those for the output come last. */
static void add_table(model_plan *p, const hparams *h, const plan_format *f, const binding *table, const char *prefix,
                      uint32_t i, bool output) {
    const arch *a = arch_find(str_of(p->s->arch));
    bool fused = p->s->fused || plan_find_arch(p->s->arch)->fused, in_layer = *prefix != 0;
    for (const binding *b = table; b->name; b++) {
        need needed = arch_needs(a, h, i, b);
        bool of_qkv = in_layer && (b->field == offsetof(layer, qkv) || b->field == offsetof(layer, qkv_bias));
        if (needed == NEED_NOT || (!in_layer && output != (strncmp(b->name, "output", 6) == 0))) continue;
        if (in_layer && b->instead == offsetof(layer, qkv.data) + 1 && fused) continue;
        if (!in_layer && b->instead && (a->has & PART(P_OUTPUT_NORM_EMBD))) continue;
        bool must = needed == NEED_MUST || (of_qkv && fused && (b->part == P_ATTENTION || (a->has & PART(P_QKV_BIAS))));
        if (of_qkv && !fused) continue;
        if (strcmp(b->name, "token_embd_norm.weight") == 0 && !in_layer) must = true;
        if (!must && !wants(p->s, b, in_layer)) continue;
        if (b->split && p->s->split_experts) {
            for (unsigned e = 0; e < h->n_expert; e++) add_bound(p, h, f, b, prefix, i, b->split, e, true);
        } else {
            add_bound(p, h, f, b, prefix, i, b->name, 0, false);
        }
    }
}

static void apply_tensor_edits(model_plan *p) {
    for (const model_edit *e = p->s->edits; e < p->s->edits + p->s->n_edits; e++) {
        for (size_t i = 0; i < p->n; i++) {
            if (strcmp(p->tensors[i].name, e->name) != 0) continue;
            if (e->kind == EDIT_RENAME_TENSOR) snprintf(p->tensors[i].name, NAME_BYTES, "%s", e->value);
            if (e->kind != EDIT_DROP_TENSOR) continue;
            memmove(&p->tensors[i], &p->tensors[i + 1], (p->n - i - 1) * sizeof *p->tensors);
            p->n--;
            break;
        }
    }
}

/* The hyper-parameters as the engine reads them from the keys. */
static bool read_hparams(const model_spec *s, hparams *h, gguf_error *err) {
    const uint8_t *bytes;
    size_t n;
    gguf_writer *w = gguf_writer_new();
    if (!w) return fail_memory(err, "the writer", 0);
    bool ok = plan_put_hparams(w, s, err) && gguf_writer_header(w, &bytes, &n, err);
    gguf_file *f = ok ? gguf_file_parse(bytes, n, "the keys", err) : NULL;
    ok = f && hparams_read_keys(f, str_of(s->arch), arch_find(str_of(s->arch)), h, err);
    h->n_vocab = s->n_vocab;
    gguf_file_close(f);
    gguf_writer_free(w);
    return ok;
}

bool plan_make_tensors(model_plan *p, const model_spec *s, const plan_format *f, gguf_error *err) {
    hparams h;
    *p = (model_plan){.s = s};
    if (!read_hparams(s, &h, err)) return false;
    add_table(p, &h, f, arch_globals, "", 0, false);
    for (uint32_t i = 0; i < h.n_layer; i++) {
        char prefix[32];
        snprintf(prefix, sizeof prefix, "blk.%u.", i);
        add_table(p, &h, f, arch_layer, prefix, i, false);
    }
    add_table(p, &h, f, arch_globals, "", 0, true);
    apply_tensor_edits(p);
    return !p->failed || fail_memory(err, "the list of tensors", p->n * sizeof *p->tensors);
}
