#include "model/hparams.h"

#include <math.h>
#include <stdio.h>

#include "kernel/kernel.h"

#define H(field) offsetof(hparams, field)

/* clang-format off */
const param hparams_params[] = {
    {"context_length",                   PARAM_U32, H(n_ctx_train), 1, 1 << 30, NULL},
    {"embedding_length",                 PARAM_U32, H(n_embd),      1, 1 << 20, NULL},
    {"block_count",                      PARAM_U32, H(n_layer),     1, 4096,    NULL},
    {"feed_forward_length",              PARAM_U32, H(n_ff),        1, 1 << 24, NULL},
    {"attention.head_count",             PARAM_U32, H(n_head),      1, 1 << 16, NULL},
    {"attention.head_count_kv",          PARAM_U32, H(n_head_kv),   1, 1 << 16, "attention.head_count"},
    {"attention.key_length",             PARAM_U32, H(n_k),         1, MAX_HEAD_SIZE, "embedding_length / attention.head_count"},
    {"attention.value_length",           PARAM_U32, H(n_v),         1, MAX_HEAD_SIZE, "embedding_length / attention.head_count"},
    {"attention.layer_norm_rms_epsilon", PARAM_F32, H(norm_eps),    0, 1,       NULL},
    {"rope.dimension_count",             PARAM_U32, H(n_rot),       2, MAX_HEAD_SIZE, "attention.key_length"},
    {"rope.freq_base",                   PARAM_F64, H(rope_base),   1, 1e15,    "10000"},
    {"rope.scaling.factor",              PARAM_F64, H(rope_factor), 1e-6, 1e6,  "1"},
    {"expert_count",                     PARAM_U32, H(n_expert),    0, 1 << 16, "0"},
    {0},
};
/* clang-format on */

const gguf_kv *hparams_find(const gguf_file *f, str arch, const char *key) {
    char full[256];
    int n = snprintf(full, sizeof full, "%.*s.%s", (int)(arch.n < 100 ? arch.n : 100), arch.p, key);
    return gguf_file_find_kv(f, (str){full, (size_t)n});
}

double hparams_value(const hparams *h, const param *p) {
    const void *at = (const char *)h + p->field;
    return p->kind == PARAM_U32   ? *(const uint32_t *)at
           : p->kind == PARAM_F32 ? *(const float *)at
                                  : *(const double *)at;
}

static void set(hparams *h, const param *p, double v) {
    void *at = (char *)h + p->field;
    switch (p->kind) {
    case PARAM_U32: *(uint32_t *)at = (uint32_t)v; break;
    case PARAM_F32: *(float *)at = (float)v; break;
    case PARAM_F64: *(double *)at = v; break;
    }
}

/* One value for all layers: a number, or an array whose elements are all the same. */
static bool read_number(const gguf_kv *kv, const param *p, str arch, uint32_t n_layer, double *out, gguf_error *err) {
    for (uint64_t i = 0; i < kv->n; i++) {
        double v;
        int64_t whole;
        if (p->kind == PARAM_U32 ? !kv_int(kv, i, &whole) : !kv_float(kv, i, &v)) {
            return fail(err, GGUF_ERR_MODEL, "%.*s.%s is of type %s; it must be %s", STR_ARG(arch), p->key,
                        kv_type_name(kv->elem), p->kind == PARAM_U32 ? "an integer" : "a number");
        }
        if (p->kind == PARAM_U32) v = (double)whole;
        if (!(v >= p->min && v <= p->max)) {
            return fail(err, GGUF_ERR_MODEL, "%.*s.%s is %.10g; it must be between %.10g and %.10g", STR_ARG(arch),
                        p->key, v, p->min, p->max);
        }
        if (i > 0 && v != *out) {
            return fail(err, GGUF_ERR_MODEL,
                        "%.*s.%s differs from layer to layer (%.10g, then %.10g), which is not supported",
                        STR_ARG(arch), p->key, *out, v);
        }
        *out = v;
    }
    if (kv->type == KV_ARRAY && n_layer && kv->n != n_layer) {
        return fail(err, GGUF_ERR_MODEL, "%.*s.%s has %llu values, but block_count is %u", STR_ARG(arch), p->key,
                    (unsigned long long)kv->n, n_layer);
    }
    return true;
}

static bool read_all(const gguf_file *f, str arch, hparams *h, gguf_error *err) {
    for (const param *p = hparams_params; p->key; p++) {
        const gguf_kv *kv = hparams_find(f, arch, p->key);
        double v = 0;
        if (kv && kv->n > 0) {
            if (!read_number(kv, p, arch, h->n_layer, &v, err)) return false;
            set(h, p, v);
        } else if (!p->absent) {
            return fail(err, GGUF_ERR_MODEL, "the file has no %.*s.%s, which a %.*s model needs", STR_ARG(arch), p->key,
                        STR_ARG(arch));
        }
    }
    return true;
}

static bool fill_defaults(const gguf_file *f, str arch, hparams *h, gguf_error *err) {
    if (!h->n_head_kv) h->n_head_kv = h->n_head;
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
    if (h->rope_base == 0) h->rope_base = 10000;

    /* Scaling: the type's name decides whether the factor is a linear one; files of 2023 have another key. */
    str type = STR("linear");
    const gguf_kv *kv = hparams_find(f, arch, "rope.scaling.type"), *old = hparams_find(f, arch, "rope.scale_linear");
    if (kv && !kv_string(kv, &type)) {
        return fail(err, GGUF_ERR_MODEL, "%.*s.rope.scaling.type is of type %s; it must be a string", STR_ARG(arch),
                    kv_type_name(kv->type));
    }
    if (str_is(type, "none")) {
        h->rope_factor = 1;
    } else if (!str_is(type, "linear")) {
        return fail(err, GGUF_ERR_MODEL, "RoPE scaling of type %.*s (%.*s.rope.scaling.type) is not supported",
                    STR_ARG(type), STR_ARG(arch));
    }
    if (h->rope_factor == 0 && old && !kv_float(old, 0, &h->rope_factor)) {
        return fail(err, GGUF_ERR_MODEL, "%.*s.rope.scale_linear is of type %s; it must be a number", STR_ARG(arch),
                    kv_type_name(old->type));
    }
    if (!old && h->rope_factor == 0) h->rope_factor = 1;
    return true;
}

static bool check(const gguf_file *f, str arch, hparams *h, gguf_error *err) {
    if (h->n_expert > 0) {
        return fail(err, GGUF_ERR_MODEL, "%.*s.expert_count is %u: models with experts are not supported",
                    STR_ARG(arch), h->n_expert);
    }
    if (h->n_head % h->n_head_kv != 0) {
        return fail(err, GGUF_ERR_MODEL, "attention.head_count %u is not a multiple of attention.head_count_kv %u",
                    h->n_head, h->n_head_kv);
    }
    if (h->n_k > MAX_HEAD_SIZE || h->n_v > MAX_HEAD_SIZE) {
        return fail(err, GGUF_ERR_MODEL,
                    "the head size %u (embedding_length %u / attention.head_count %u) is more than %d", h->n_k,
                    h->n_embd, h->n_head, MAX_HEAD_SIZE);
    }
    if (h->n_rot > h->n_k || h->n_rot % 2 != 0) {
        return fail(
            err, GGUF_ERR_MODEL,
            "rope.dimension_count %u does not fit the head size %u (attention.key_length, or embedding_length %u "
            "/ attention.head_count %u): it must be even and at most as large",
            h->n_rot, h->n_k, h->n_embd, h->n_head);
    }
    if (!(h->rope_factor >= 1e-6 && h->rope_factor <= 1e6)) {
        return fail(err, GGUF_ERR_MODEL, "%.*s.rope.scale_linear is %g; it must be a sensible factor", STR_ARG(arch),
                    h->rope_factor);
    }
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

bool hparams_read(const gguf_file *f, str arch, hparams *h, gguf_error *err) {
    *h = (hparams){0};
    return read_all(f, arch, h, err) && fill_defaults(f, arch, h, err) && check(f, arch, h, err);
}
