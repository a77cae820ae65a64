#include "model/hparams.h"

#include <math.h>
#include <stdio.h>

#include "kernel/fmath.h"
#include "model/arch.h"

#define H(field) offsetof(hparams, field)

/* Parts whose architectures have these keys. */
#define EXPERTS  PART(P_EXPERTS)
#define LATENT   PART(P_LATENT)
#define WITH_FFN (PART(P_FFN) | PART(P_EXPERTS))

/* clang-format off */
const param hparams_params[] = {
    {"context_length",                    PARAM_U32, H(n_ctx_train), 1, 1 << 30, NULL, 0},
    {"embedding_length",                  PARAM_U32, H(n_embd),      1, 1 << 20, NULL, 0},
    {"block_count",                       PARAM_U32, H(n_layer),     1, MAX_LAYERS, NULL, 0},
    {"feed_forward_length",               PARAM_U32, H(n_ff),        1, 1 << 24, NULL, 0},
    {"attention.head_count",              PARAM_U32, H(n_head),      1, 1 << 16, NULL, 0},
    {"attention.head_count_kv",           PARAM_U32, H(n_head_kv),   1, 1 << 16, "attention.head_count", 0},
    {"attention.key_length",              PARAM_U32, H(n_k),         1, MAX_HEAD_SIZE, "embedding_length / attention.head_count", 0},
    {"attention.value_length",            PARAM_U32, H(n_v),         1, MAX_HEAD_SIZE, "embedding_length / attention.head_count", 0},
    {"attention.layer_norm_rms_epsilon",  PARAM_F32, H(norm_eps),    0, 1, NULL, PART(P_RMS_NORM)},
    {"attention.layer_norm_epsilon",      PARAM_F32, H(norm_eps),    0, 1, NULL, PART(P_LAYER_NORM)},
    {"rope.dimension_count",              PARAM_U32, H(n_rot),       2, MAX_HEAD_SIZE, "attention.key_length", PART(P_ROPE)},
    {"rope.freq_base",                    PARAM_F64, H(rope_base),   1, 1e15, "10000", PART(P_ROPE)},
    {"rope.freq_base_swa",                PARAM_F64, H(rope_base_local), 1, 1e15, "the architecture's", PART(P_WINDOW), true},
    {"rope.scaling.factor",               PARAM_F64, H(rope_factor), 1e-6, 1e6, "1", PART(P_ROPE)},
    {"rope.scaling.original_context_length", PARAM_U32, H(n_ctx_orig), 1, 1 << 30, "context_length", PART(P_ROPE), true},
    {"rope.scaling.attn_factor",          PARAM_F64, H(rope_attn_factor), 1e-6, 1e6, "1", PART(P_ROPE), true},
    {"rope.scaling.alpha",                PARAM_F64, H(rope_alpha),  0, 1e9, "0", PART(P_ROPE), true},
    {"rope.scaling.yarn_ext_factor",      PARAM_F64, H(yarn_ext_factor), 0, 1e3, "1", PART(P_ROPE), true},
    {"rope.scaling.yarn_beta_fast",       PARAM_F64, H(yarn_beta_fast), 1e-3, 1e6, "32", PART(P_ROPE), true},
    {"rope.scaling.yarn_beta_slow",       PARAM_F64, H(yarn_beta_slow), 1e-3, 1e6, "1", PART(P_ROPE), true},
    {"rope.scaling.yarn_log_multiplier",  PARAM_F64, H(yarn_log_mul), 0, 1e3, "0", PART(P_ROPE), true},
    {"attention.sliding_window",          PARAM_U32, H(window),      0, 1 << 30, "the architecture's", PART(P_WINDOW)},
    {"attention.scale",                   PARAM_F32, H(attn_scale),  0, 1e6, "1 / sqrt(attention.key_length)", 0, true},
    {"attn_logit_softcapping",            PARAM_F32, H(attn_softcap), 0, 1e6, "0", PART(P_SOFTCAP), true},
    {"final_logit_softcapping",           PARAM_F32, H(logit_softcap), 0, 1e6, "0", PART(P_SOFTCAP), true},
    {"attention.clamp_kqv",               PARAM_F32, H(clamp_qkv),   0, 1e6, "0", PART(P_CLAMP), true},
    {"attention.max_alibi_bias",          PARAM_F32, H(alibi),       0, 1e6, "the architecture's", PART(P_ALIBI), true},
    {"attention.temperature_scale",       PARAM_F32, H(temperature), 0, 1e6, "the architecture's", 0, true},
    {"attention.temperature_length",      PARAM_U32, H(temperature_length), 1, 1 << 30, "rope.scaling.original_context_length", 0, true},
    {"embedding_scale",                   PARAM_F32, H(embd_scale),  0, 1e6, "the architecture's", PART(P_SCALES), true},
    {"residual_scale",                    PARAM_F32, H(residual_scale), 0, 1e6, "the architecture's", PART(P_SCALES), true},
    {"logit_scale",                       PARAM_F32, H(logit_scale), 0, 1e6, "the architecture's", PART(P_SCALES), true},
    {"use_parallel_residual",             PARAM_BOOL, H(parallel),   0, 1, "the architecture's", 0, true},
    {"expert_count",                      PARAM_U32, H(n_expert),    0, 1 << 12, "0", EXPERTS},
    {"expert_used_count",                 PARAM_U32, H(n_expert_used), 0, 1 << 8, "0", EXPERTS},
    {"expert_feed_forward_length",        PARAM_U32, H(n_ff_exp),    1, 1 << 24, "feed_forward_length", EXPERTS, true},
    {"expert_shared_count",               PARAM_U32, H(n_expert_shared), 0, 1 << 12, "0", PART(P_SHARED), true},
    {"expert_shared_feed_forward_length", PARAM_U32, H(n_ff_shared), 0, 1 << 24, "expert_shared_count x expert_feed_forward_length", PART(P_SHARED), true},
    {"expert_group_count",                PARAM_U32, H(n_expert_group), 0, 1 << 12, "0", EXPERTS, true},
    {"expert_group_used_count",           PARAM_U32, H(n_expert_group_used), 0, 1 << 12, "0", EXPERTS, true},
    {"expert_gating_func",                PARAM_U32, H(gating),      0, GATE_KIND_COUNT - 1, "the architecture's", EXPERTS, true},
    {"expert_weights_scale",              PARAM_F32, H(expert_scale), 0, 1e6, "1", EXPERTS, true},
    {"expert_weights_norm",               PARAM_BOOL, H(expert_norm), 0, 1, "the architecture's", EXPERTS, true},
    {"leading_dense_block_count",         PARAM_U32, H(n_dense_lead), 0, MAX_LAYERS, "0", EXPERTS, true},
    {"interleave_moe_layer_step",         PARAM_U32, H(expert_step), 0, MAX_LAYERS, "1", EXPERTS, true},
    {"attention.q_lora_rank",             PARAM_U32, H(n_lora_q),    0, 1 << 20, "0", LATENT},
    {"attention.kv_lora_rank",            PARAM_U32, H(n_lora_kv),   1, MAX_HEAD_SIZE, NULL, LATENT},
    {"attention.key_length_mla",          PARAM_U32, H(n_k_full),    1, 1 << 16, NULL, LATENT},
    {"attention.value_length_mla",        PARAM_U32, H(n_v_full),    1, 1 << 16, NULL, LATENT},
    {"shortconv.l_cache",                 PARAM_U32, H(n_conv),      2, 64, NULL, PART(P_CONV)},
    {"nextn_predict_layers",              PARAM_U32, H(n_layer_extra), 0, MAX_LAYERS, "0", 0, true},
    {0},
};
/* clang-format on */

bool param_concerns(const param *p, const arch *a) {
    const uint64_t common = PART(P_RMS_NORM) | PART(P_ROPE) | PART(P_EXPERTS);
    return p->parts == 0 || (p->parts & (a ? a->has | a->may : common)) != 0;
}

const gguf_kv *hparams_find(const gguf_file *f, str name, const char *key) {
    char full[256];
    int n = snprintf(full, sizeof full, "%.*s.%s", (int)(name.n < 100 ? name.n : 100), name.p, key);
    return gguf_file_find_kv(f, (str){full, (size_t)n});
}

double hparams_value(const hparams *h, const param *p) {
    const void *at = (const char *)h + p->field;
    switch (p->kind) {
    case PARAM_U32: return *(const uint32_t *)at;
    case PARAM_F32: return (double)*(const float *)at;
    case PARAM_F64: return *(const double *)at;
    default: return *(const bool *)at;
    }
}

static void set(hparams *h, const param *p, double v) {
    void *at = (char *)h + p->field;
    switch (p->kind) {
    case PARAM_U32: *(uint32_t *)at = (uint32_t)v; break;
    case PARAM_F32: *(float *)at = (float)v; break;
    case PARAM_F64: *(double *)at = v; break;
    case PARAM_BOOL: *(bool *)at = v != 0; break;
    }
}

/* ---- reading --------------------------------------------------------------------------------- */

static const char *const kind_names[] =
    {[PARAM_U32] = "an integer", [PARAM_F32] = "a number", [PARAM_F64] = "a number", [PARAM_BOOL] = "a bool"};

static bool read_element(const gguf_kv *kv, uint64_t i, param_kind kind, double *out) {
    int64_t whole;
    bool yes;
    switch (kind) {
    case PARAM_U32:
        if (!kv_int(kv, i, &whole)) return false;
        *out = (double)whole;
        return true;
    case PARAM_BOOL:
        if (kv->type != KV_BOOL || !kv_bool(kv, &yes)) return false;
        *out = yes;
        return true;
    default: return kv_float(kv, i, out);
    }
}

/* One value for all layers: a number, or an array whose elements are all the same. In architectures with convolutions
 * the layers that have those have no heads. */
static bool read_number(const gguf_kv *kv, const param *p, str name, const arch *a, const hparams *h, double *out,
                        gguf_error *err) {
    bool has_gaps = a && (a->has & PART(P_CONV)) && p->field == H(n_head_kv) && kv->type == KV_ARRAY, found = false;
    for (uint64_t i = 0; i < kv->n; i++) {
        double v;
        if (!read_element(kv, i, p->kind, &v)) {
            return fail(err, GGUF_ERR_MODEL, "%.*s.%s is of type %s; it must be %s", STR_ARG(name), p->key,
                        kv_type_name(kv->elem), kind_names[p->kind]);
        }
        if (has_gaps && v == 0) continue;
        if (!(v >= p->min && v <= p->max)) {
            return fail(err, GGUF_ERR_MODEL, "%.*s.%s is %.10g; it must be between %.10g and %.10g", STR_ARG(name),
                        p->key, v, p->min, p->max);
        }
        if (found && v != *out) {
            return fail(err, GGUF_ERR_MODEL,
                        "%.*s.%s differs from layer to layer (%.10g, then %.10g), which is not supported",
                        STR_ARG(name), p->key, *out, v);
        }
        *out = v;
        found = true;
    }
    if (kv->type == KV_ARRAY && h->n_layer && kv->n != h->n_layer) {
        return fail(err, GGUF_ERR_MODEL, "%.*s.%s has %llu values, but block_count is %u", STR_ARG(name), p->key,
                    (unsigned long long)kv->n, h->n_layer);
    }
    return found || fail(err, GGUF_ERR_MODEL, "%.*s.%s is 0 in every layer", STR_ARG(name), p->key);
}

static bool read_all(const gguf_file *f, str name, const arch *a, hparams *h, gguf_error *err) {
    for (const param *p = hparams_params; p->key; p++) {
        const gguf_kv *kv = hparams_find(f, name, p->key);
        double v = 0;
        if (!param_concerns(p, a)) continue;
        if (kv && kv->n > 0) {
            if (!read_number(kv, p, name, a, h, &v, err)) return false;
            set(h, p, v);
        } else if (!p->absent) {
            return fail(err, GGUF_ERR_MODEL, "the file has no %.*s.%s, which a %.*s model needs", STR_ARG(name), p->key,
                        STR_ARG(name));
        }
    }
    return true;
}

static bool has_key(const gguf_file *f, str name, const char *key) { return hparams_find(f, name, key) != NULL; }

/* ---- defaults -------------------------------------------------------------------------------- */

static bool fill_heads(const arch *a, hparams *h, gguf_error *err) {
    if (!h->n_head_kv) h->n_head_kv = h->n_head;
    if (a && (a->has & PART(P_LATENT))) {
        if (!h->n_rot)
            return fail(err, GGUF_ERR_MODEL, "rope.dimension_count is missing, which latent attention needs");
        h->n_head_kv = 1; /* the latent values stand for the keys and values of all heads */
        h->n_k = h->n_lora_kv + h->n_rot;
        h->n_v = h->n_lora_kv;
        return true;
    }
    if (!h->n_k || !h->n_v) {
        uint32_t size = h->n_embd / h->n_head;
        if (h->n_embd % h->n_head != 0) {
            return fail(err, GGUF_ERR_MODEL,
                        "embedding_length %u is not a multiple of attention.head_count %u, and attention.key_length "
                        "and value_length are not given",
                        h->n_embd, h->n_head);
        }
        if (!h->n_k) h->n_k = size;
        if (!h->n_v) h->n_v = size;
    }
    if (!h->n_rot) h->n_rot = h->n_k;
    return true;
}

/* The scaling's name decides what the factor means; files of 2023 have another key. */
static bool fill_rope(const gguf_file *f, str name, const arch *a, hparams *h, gguf_error *err) {
    static const struct {
        const char *name;
        rope_scaling scaling;
    } kinds[] = {{"linear", SCALING_LINEAR},
                 {"none", SCALING_LINEAR},
                 {"yarn", SCALING_YARN},
                 {"longrope", SCALING_LONG}};
    str type = STR("linear");
    size_t kind = 0;
    const gguf_kv *kv = hparams_find(f, name, "rope.scaling.type"), *old = hparams_find(f, name, "rope.scale_linear");
    if (kv && !kv_string(kv, &type)) {
        return fail(err, GGUF_ERR_MODEL, "%.*s.rope.scaling.type is of type %s; it must be a string", STR_ARG(name),
                    kv_type_name(kv->type));
    }
    while (kind < sizeof kinds / sizeof *kinds && !str_is(type, kinds[kind].name)) kind++;
    if (kind == sizeof kinds / sizeof *kinds) {
        return fail(err, GGUF_ERR_MODEL, "RoPE scaling of type %.*s (%.*s.rope.scaling.type) is not supported",
                    STR_ARG(type), STR_ARG(name));
    }
    h->scaling = kinds[kind].scaling;
    if (h->rope_factor == 0 && old && !kv_float(old, 0, &h->rope_factor)) {
        return fail(err, GGUF_ERR_MODEL, "%.*s.rope.scale_linear is of type %s; it must be a number", STR_ARG(name),
                    kv_type_name(old->type));
    }
    if (old && h->rope_factor != 0 && !(h->rope_factor >= 1e-6 && h->rope_factor <= 1e6)) {
        return fail(err, GGUF_ERR_MODEL, "%.*s.rope.scale_linear is %g; it must be a sensible factor", STR_ARG(name),
                    h->rope_factor);
    }
    if (h->rope_factor == 0 || str_is(type, "none")) h->rope_factor = 1;
    if (h->rope_base == 0) h->rope_base = 10000;
    if (h->rope_base_local == 0) h->rope_base_local = a && a->local_rope_base > 0 ? a->local_rope_base : h->rope_base;
    if (h->n_ctx_orig == 0) h->n_ctx_orig = h->n_ctx_train;
    if (h->rope_attn_factor == 0) h->rope_attn_factor = 1;
    if (!has_key(f, name, "rope.scaling.yarn_ext_factor")) h->yarn_ext_factor = 1;
    if (h->yarn_beta_fast == 0) h->yarn_beta_fast = 32;
    if (h->yarn_beta_slow == 0) h->yarn_beta_slow = 1;
    if (a && (a->traits & A_YARN_SQUARED)) h->yarn_log_mul *= 10; /* files have a tenth of it */
    return true;
}

static void fill_scales(const gguf_file *f, str name, const arch *a, hparams *h) {
    if (a->traits & A_EMBD_SQRT) h->embd_scale = sqrtf((float)h->n_embd);
    for (const arch_default *d = a->defaults; d && d->key; d++) {
        const param *p = hparams_params;
        while (p->key && strcmp(p->key, d->key) != 0) p++;
        double v = d->value * pow_f64(h->n_embd, d->n_embd) * pow_f64(h->n_layer, d->n_layer);
        if (p->key && !has_key(f, name, d->key)) set(h, p, v);
    }
    if (a->alibi_layers && h->n_layer != a->alibi_layers) h->alibi = 0;
    if (a->embd_scale_layers && h->n_layer == a->embd_scale_layers && h->attn_scale == 0)
        h->attn_scale = (float)(1 / sqrt((double)h->n_embd / h->n_head));
    if (!h->temperature_length) h->temperature_length = h->n_ctx_orig;
    /* The key may only take it back: converters say true of every StableLM, whose tensors tell which are. */
    if (!has_key(f, name, "use_parallel_residual")) h->parallel = true;
    if (!(a->traits & A_PARALLEL)) h->parallel = false;
}

static void fill_experts(const gguf_file *f, str name, const arch *a, hparams *h) {
    if (a->traits & A_FF_BY_USED) {
        if (!h->n_ff_exp && h->n_expert_used) h->n_ff_exp = h->n_ff / h->n_expert_used;
        if (!h->n_ff_shared) h->n_ff_shared = h->n_ff;
    }
    if (!h->n_ff_exp) h->n_ff_exp = h->n_ff;
    if (!h->n_ff_shared) h->n_ff_shared = h->n_expert_shared * h->n_ff_exp;
    if (!h->gating) h->gating = a->gating;
    if (!h->gating) h->gating = GATE_SOFTMAX;
    if (h->expert_scale == 0) h->expert_scale = 1;
    if (!h->expert_step) h->expert_step = 1;
    if (!has_key(f, name, "expert_weights_norm")) h->expert_norm = (a->traits & A_NORM_WEIGHTS) != 0;
}

/* Element i of an array of bools or numbers. */
static bool flag_at(const gguf_kv *kv, uint64_t i, int64_t *out) {
    if (kv->elem != KV_BOOL) return kv_int(kv, i, out);
    *out = kv->data[i];
    return true;
}

/* attention.sliding_window_pattern is a step, or one bool a layer. */
static bool fill_windows(const gguf_file *f, str name, const arch *a, hparams *h, gguf_error *err) {
    const gguf_kv *kv = hparams_find(f, name, "attention.sliding_window_pattern");
    int64_t every = a->window_step, local;
    if (!(a->has & PART(P_WINDOW)) && !(a->may & PART(P_WINDOW))) return true;
    if (!has_key(f, name, "attention.sliding_window")) h->window = a->window;
    if (h->window == 0) return true;
    if (kv && kv->type != KV_ARRAY && (!kv_int(kv, 0, &every) || every < 0 || every > MAX_LAYERS)) {
        return fail(err, GGUF_ERR_MODEL,
                    "%.*s.attention.sliding_window_pattern must be an integer of 0 to %d, or one bool a layer",
                    STR_ARG(name), MAX_LAYERS);
    }
    if (kv && kv->type == KV_ARRAY && kv->n < h->n_layer) {
        return fail(err, GGUF_ERR_MODEL, "%.*s.attention.sliding_window_pattern has %llu values, but block_count is %u",
                    STR_ARG(name), (unsigned long long)kv->n, h->n_layer);
    }
    for (uint32_t i = 0; i < h->n_layer; i++) {
        local = every == 0 || i % every < every - 1;
        if (kv && kv->type == KV_ARRAY && !flag_at(kv, i, &local)) {
            return fail(err, GGUF_ERR_MODEL,
                        "%.*s.attention.sliding_window_pattern holds values of type %s; they must be bools",
                        STR_ARG(name), kv_type_name(kv->elem));
        }
        if (local) h->layer[i] |= LAYER_LOCAL;
    }
    return true;
}

/* Which layers are of which kind. */
static void fill_layers(const gguf_file *f, str name, const arch *a, hparams *h) {
    const gguf_kv *heads = hparams_find(f, name, "attention.head_count_kv");
    bool finetuned = true;
    const gguf_kv *kv = hparams_find(f, name, "rope.scaling.finetuned");
    if ((a->traits & A_ROPE_FINETUNED) && kv && !kv_bool(kv, &finetuned)) finetuned = true;
    for (uint32_t i = 0; i < h->n_layer; i++) {
        uint8_t *kind = &h->layer[i];
        int64_t n = 1;
        if ((a->has & PART(P_CONV)) && heads && heads->type == KV_ARRAY && kv_int(heads, i, &n) && n == 0) {
            *kind = LAYER_CONV;
        } else if (a->rope != ROPE_NONE && h->alibi == 0 && finetuned &&
                   (a->no_rope_step == 0 || (i + 1) % a->no_rope_step != 0) &&
                   (!(a->traits & A_LOCAL_ROPE) || h->window == 0 || (*kind & LAYER_LOCAL))) {
            *kind |= LAYER_ROPE;
        }
        bool experts = ((a->has | a->may) & EXPERTS) && h->n_expert > 0;
        if (experts && i >= h->n_dense_lead && (i + 1) % h->expert_step == 0) *kind |= LAYER_EXPERTS;
    }
}

static bool fill_defaults(const gguf_file *f, str name, const arch *a, hparams *h, gguf_error *err) {
    if (!fill_heads(a, h, err) || !fill_rope(f, name, a, h, err)) return false;
    if (!a) return true;
    if (h->n_layer_extra >= h->n_layer) {
        return fail(err, GGUF_ERR_MODEL, "nextn_predict_layers %u leaves none of block_count %u layers",
                    h->n_layer_extra, h->n_layer);
    }
    h->n_layer -= h->n_layer_extra;
    fill_scales(f, name, a, h);
    fill_experts(f, name, a, h);
    if (!fill_windows(f, name, a, h, err)) return false;
    fill_layers(f, name, a, h);
    return true;
}

/* ---- what must fit together ------------------------------------------------------------------- */

static bool check_heads(const hparams *h, const arch *a, gguf_error *err) {
    if (h->n_head % h->n_head_kv != 0) {
        return fail(err, GGUF_ERR_MODEL, "attention.head_count %u is not a multiple of attention.head_count_kv %u",
                    h->n_head, h->n_head_kv);
    }
    if (h->n_k > MAX_HEAD_SIZE || h->n_v > MAX_HEAD_SIZE) {
        return fail(err, GGUF_ERR_MODEL,
                    "the head size %u (embedding_length %u / attention.head_count %u) is more than %d", h->n_k,
                    h->n_embd, h->n_head, MAX_HEAD_SIZE);
    }
    if (a && a->rope == ROPE_NONE) return true;
    if (h->n_rot > h->n_k || h->n_rot % 2 != 0) {
        return fail(
            err, GGUF_ERR_MODEL,
            "rope.dimension_count %u does not fit the head size %u (attention.key_length, or embedding_length %u "
            "/ attention.head_count %u): it must be even and at most as large",
            h->n_rot, h->n_k, h->n_embd, h->n_head);
    }
    if (a && (a->has & PART(P_LATENT)) && h->n_rot >= h->n_k_full) {
        return fail(err, GGUF_ERR_MODEL, "rope.dimension_count %u leaves nothing of attention.key_length_mla %u",
                    h->n_rot, h->n_k_full);
    }
    return true;
}

static bool check_experts(const hparams *h, str name, const arch *a, gguf_error *err) {
    if (!a || !((a->has | a->may) & EXPERTS)) return true;
    if (h->n_expert == 0) {
        return !(a->has & EXPERTS) ||
               fail(err, GGUF_ERR_MODEL, "%.*s.expert_count is 0 or missing, but a %.*s model has experts",
                    STR_ARG(name), STR_ARG(name));
    }
    if (h->n_expert_used == 0 || h->n_expert_used > h->n_expert) {
        return fail(err, GGUF_ERR_MODEL, "%.*s.expert_used_count is %u; it must be between 1 and expert_count %u",
                    STR_ARG(name), h->n_expert_used, h->n_expert);
    }
    for (uint32_t i = 0; i < h->n_layer && !(a->has & PART(P_FFN)); i++) {
        if (h->layer[i] & LAYER_EXPERTS) continue;
        return fail(
            err, GGUF_ERR_MODEL,
            "by leading_dense_block_count %u and interleave_moe_layer_step %u layer %u has no experts, but every "
            "layer of a %.*s model does",
            h->n_dense_lead, h->expert_step, i, STR_ARG(name));
    }
    if (h->n_expert_group <= 1) return true;
    if (h->n_expert % h->n_expert_group != 0) {
        return fail(err, GGUF_ERR_MODEL, "expert_count %u is not a multiple of expert_group_count %u", h->n_expert,
                    h->n_expert_group);
    }
    uint32_t size = h->n_expert / h->n_expert_group;
    if (h->n_expert_group_used == 0 || h->n_expert_group_used > h->n_expert_group) {
        return fail(err, GGUF_ERR_MODEL,
                    "expert_group_used_count is %u; it must be between 1 and expert_group_count %u",
                    h->n_expert_group_used, h->n_expert_group);
    }
    if ((uint64_t)h->n_expert_group_used * size < h->n_expert_used) {
        return fail(err, GGUF_ERR_MODEL, "expert_used_count %u is more than the %u experts of %u groups of %u",
                    h->n_expert_used, h->n_expert_group_used * size, h->n_expert_group_used, size);
    }
    return true;
}

static bool check_shared(const hparams *h, str name, const arch *a, gguf_error *err) {
    if (!a || !(a->has & PART(P_SHARED)) || h->n_ff_shared > 0) return true;
    return fail(err, GGUF_ERR_MODEL,
                "the file has neither %.*s.expert_shared_feed_forward_length nor %.*s.expert_shared_count, which a "
                "%.*s model needs",
                STR_ARG(name), STR_ARG(name), STR_ARG(name));
}

static bool check_no_experts(const gguf_file *f, str name, const arch *a, gguf_error *err) {
    const gguf_kv *kv = hparams_find(f, name, "expert_count");
    int64_t n = 0;
    if (!a || ((a->has | a->may) & EXPERTS) || !kv || !kv_int(kv, 0, &n) || n == 0) return true;
    return fail(err, GGUF_ERR_MODEL, "%.*s.expert_count is %lld, but %s models have no experts", STR_ARG(name),
                (long long)n, a->name);
}

bool hparams_read_keys(const gguf_file *f, str name, const arch *a, hparams *h, gguf_error *err) {
    *h = (hparams){0};
    return read_all(f, name, a, h, err) && fill_defaults(f, name, a, h, err) && check_heads(h, a, err) &&
           check_experts(h, name, a, err) && check_shared(h, name, a, err) && check_no_experts(f, name, a, err);
}

bool hparams_read(const gguf_file *f, str name, const arch *a, hparams *h, gguf_error *err) {
    if (!hparams_read_keys(f, name, a, h, err)) return false;
    const gguf_tensor *t = gguf_file_find_tensor(f, STR("token_embd.weight"));
    if (!t) {
        return fail(err, GGUF_ERR_MODEL, "the tensor token_embd.weight is missing: the file holds no whole model");
    }
    if (t->ne[1] > INT32_MAX / 2) {
        return fail(err, GGUF_ERR_MODEL, "token_embd.weight has %llu rows, more than any vocabulary",
                    (unsigned long long)t->ne[1]);
    }
    h->n_vocab = (uint32_t)t->ne[1];
    return true;
}

/* ---- RoPE ------------------------------------------------------------------------------------ */

/* YaRN (arXiv 2309.00071): the pair that turns `turns` times within the original context. */
static double yarn_pair(const hparams *h, double base, double turns) {
    return h->n_rot * log_f64(h->n_ctx_orig / (turns * 6.283185307179586)) / (2 * log_f64(base));
}

static double yarn_magnitude(double factor, double mul) { return factor <= 1 ? 1 : 0.1 * mul * log_f64(factor) + 1; }

/* 1: the pair turns so often that it keeps its frequency; 0: so seldom that it is stretched by the whole factor. */
static double yarn_keep(const hparams *h, const arch *a, double base, uint32_t i) {
    if (base <= 1) return 0;
    double low = yarn_pair(h, base, h->yarn_beta_fast), high = yarn_pair(h, base, h->yarn_beta_slow);
    if (!(a->traits & A_YARN_FRACTIONS)) low = floor(low), high = ceil(high);
    low = low < 0 ? 0 : low;
    high = high > h->n_rot - 1 ? h->n_rot - 1 : high;
    double y = (i - low) / (high - low > 0.001 ? high - low : 0.001);
    return h->yarn_ext_factor * (1 - (y < 0 ? 0 : y > 1 ? 1 : y));
}

float hparams_score_scale(const hparams *h, const arch *a) {
    if (h->attn_scale > 0) return h->attn_scale;
    bool latent = (a->has & PART(P_LATENT)) != 0;
    double scale = 1 / sqrt((double)(latent ? h->n_k_full : h->n_k));
    if ((a->traits & A_YARN_SQUARED) && h->scaling == SCALING_YARN && h->yarn_log_mul > 0) {
        double magnitude = yarn_magnitude(h->rope_factor, h->yarn_log_mul);
        scale *= magnitude * magnitude;
    }
    return (float)scale;
}

void hparams_frequencies(const hparams *h, const arch *a, bool local, const float *factors, double *out, float *scale) {
    bool plain = local && (a->traits & A_LOCAL_PLAIN);
    double base = local ? h->rope_base_local : h->rope_base, factor = plain ? 1 : h->rope_factor, magnitude = 1;
    bool yarn = h->scaling == SCALING_YARN && !plain && h->yarn_ext_factor > 0;
    if (h->scaling == SCALING_LONG) factor = 1;
    if (h->rope_alpha > 0 && h->n_rot > 2) base *= pow_f64(h->rope_alpha, h->n_k / (h->n_k - 2.0));
    for (uint32_t i = 0; i < h->n_rot / 2; i++) {
        double f = pow_f64(base, -2.0 * i / h->n_rot) / (factors && !plain ? (double)factors[i] : 1);
        double keep = yarn ? yarn_keep(h, a, base, i) : 0;
        out[i] = f / factor * (1 - keep) + f * keep;
    }
    if (yarn) {
        double own = (a->traits & A_YARN_SQUARED) ? h->yarn_log_mul : 1;
        magnitude = yarn_magnitude(factor, h->yarn_log_mul > 0 ? own : 1);
        if (h->yarn_log_mul > 0) magnitude /= yarn_magnitude(factor, h->yarn_log_mul);
    }
    *scale = (float)(plain ? 1 : magnitude * h->rope_attn_factor);
}
