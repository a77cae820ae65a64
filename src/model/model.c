#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>

#include "kernel/fmath.h"
#include "text/vocab.h"

/* ---- binding --------------------------------------------------------------------------------- */

static bool check_shape(const hparams *h, const gguf_tensor *t, const binding *b, uint32_t n_dims, gguf_error *err) {
    for (uint32_t i = 0; i < 4; i++) {
        dim d = i < n_dims ? b->ne[i] : DIM_NONE;
        if (t->ne[i] == dim_size(h, d)) continue;
        char want[96];
        dim_describe(h, d, want, sizeof want);
        return fail(err, GGUF_ERR_MODEL,
                    "tensor %.*s: dimension %u is %llu, but the hyper-parameters ask for %llu (%s)", STR_ARG(t->name),
                    i, (unsigned long long)t->ne[i], (unsigned long long)dim_size(h, d), want);
    }
    return true;
}

/* Vectors are read as aligned float32: in place where the file has them so, else as a copy of some kilobytes. */
static bool bind_vector(gguf_model *m, const gguf_tensor *t, const float **out, gguf_error *err) {
    if (t->type == QUANT_F32 && (uintptr_t)t->data % sizeof(float) == 0) {
        *out = (const float *)(const void *)t->data;
        return true;
    }
    float *copy = arena_alloc(&m->mem, (size_t)t->n_elements, sizeof *copy, "a vector of the model", err);
    *out = copy;
    if (copy) quant_decode(t->type, t->data, (size_t)t->n_elements, copy);
    return copy != NULL;
}

/* Rows [first, first + n) of a matrix are a matrix. */
static matrix rows_of(const matrix *m, size_t first, size_t n) {
    matrix part = *m;
    part.n_out = n;
    part.data += first * m->row_bytes;
    return part;
}

static matrix matrix_of(const gguf_tensor *t) {
    return (matrix){.type = t->type,
                    .n_in = (size_t)t->ne[0],
                    .n_out = (size_t)t->ne[1],
                    .row_bytes = (size_t)(t->n_bytes / t->ne[1] / t->ne[2]),
                    .data = t->data};
}

/* One tensor of all experts, or (t is NULL) a tensor for each, as files of 2023 have them. */
static bool bind_experts(gguf_model *m, const gguf_tensor *t, const binding *b, const char *prefix,
                         expert_matrices *out, size_t *used, gguf_error *err) {
    size_t n = (size_t)dim_size(&m->hp, b->ne[2]);
    matrix *all = arena_alloc(&m->mem, n, sizeof *all, "the experts", err);
    if (!all) return false;
    *out = all;
    for (size_t i = 0; i < n; i++) {
        char name[96];
        int length = snprintf(name, sizeof name, "%s", prefix);
        const gguf_tensor *one = t;
        if (!t) {
            length += snprintf(name + length, sizeof name - (size_t)length, b->split, (unsigned)i);
            one = gguf_file_find_tensor(m->file, (str){name, (size_t)length});
            if (!one)
                return fail(err, GGUF_ERR_MODEL, "the tensor %s is missing, which a %s model needs", name,
                            m->arch->name);
            if (!check_shape(&m->hp, one, b, 2, err)) return false;
            ++*used;
        }
        all[i] = matrix_of(one);
        if (t) all[i].data += i * all[i].n_out * all[i].row_bytes;
        if (all[i].type != all[0].type) {
            return fail(err, GGUF_ERR_MODEL, "tensor %s is of type %s, but that of the first expert is of type %s",
                        name, quant_types[all[i].type].name, quant_types[all[0].type].name);
        }
    }
    return true;
}

static const gguf_tensor *find_tensor(const gguf_model *m, const char *prefix, const char *name, unsigned i) {
    char full[96];
    int n = snprintf(full, sizeof full, "%s", prefix);
    n += snprintf(full + n, sizeof full - (size_t)n, name, i);
    return gguf_file_find_tensor(m->file, (str){full, (size_t)n});
}

static bool bind_one(gguf_model *m, const binding *b, need needed, const char *prefix, void *base, size_t *used,
                     gguf_error *err) {
    void *field = (char *)base + b->field;
    const gguf_tensor *t = find_tensor(m, prefix, b->name, 0);
    bool split = !t && b->split && find_tensor(m, prefix, b->split, 0);
    if (!t && !split) {
        if (needed == NEED_MAY) return true;
        return fail(err, GGUF_ERR_MODEL, "the tensor %s%s is missing, which a %s model needs", prefix, b->name,
                    m->arch->name);
    }
    if (t && !check_shape(&m->hp, t, b, MAX_DIMS, err)) return false;
    *used += t != NULL;
    switch (b->kind) {
    case BIND_MATRIX: *(matrix *)field = matrix_of(t); return true;
    case BIND_VECTOR: return bind_vector(m, t, field, err);
    default: return bind_experts(m, t, b, prefix, field, used, err);
    }
}

/* Binds what layer i has of a table into `base`; counts the tensors used. */
static bool bind_all(gguf_model *m, const binding *table, uint32_t i, const char *prefix, void *base, size_t *used,
                     gguf_error *err) {
    for (const binding *b = table; b->name; b++) {
        need needed = arch_needs(m->arch, &m->hp, i, b);
        const void *other = NULL;
        if (b->instead) memcpy(&other, (const char *)base + b->instead - 1, sizeof other);
        if (needed == NEED_NOT || other) continue;
        if (!bind_one(m, b, needed, prefix, base, used, err)) return false;
    }
    return true;
}

/* ---- tensors that are several ---------------------------------------------------------------- */

static void split_qkv(const hparams *h, layer *l) {
    size_t q = (size_t)dim_size(h, DIM_Q), k = (size_t)dim_size(h, DIM_K), v = (size_t)dim_size(h, DIM_V);
    if (!l->qkv.data) return;
    l->q = rows_of(&l->qkv, 0, q);
    l->k = rows_of(&l->qkv, q, k);
    l->v = rows_of(&l->qkv, q + k, v);
    if (!l->qkv_bias) return;
    l->q_bias = l->qkv_bias;
    l->k_bias = l->qkv_bias + q;
    l->v_bias = l->qkv_bias + q + k;
}

static bool split_experts(gguf_model *m, layer *l, gguf_error *err) {
    size_t n = m->hp.n_expert, n_ff = m->hp.n_ff_exp;
    if (!l->gate_up_exps) return true;
    matrix *gate = arena_alloc(&m->mem, n, sizeof *gate, "the experts", err);
    matrix *up = arena_alloc(&m->mem, n, sizeof *up, "the experts", err);
    if (!gate || !up) return false;
    for (size_t e = 0; e < n; e++) {
        gate[e] = rows_of(&l->gate_up_exps[e], 0, n_ff);
        up[e] = rows_of(&l->gate_up_exps[e], n_ff, n_ff);
    }
    l->gate_exps = gate;
    l->up_exps = up;
    return true;
}

static bool split_tensors(gguf_model *m, layer *l, gguf_error *err) {
    split_qkv(&m->hp, l);
    if (l->gate_up.data) {
        l->gate = rows_of(&l->gate_up, 0, m->hp.n_ff);
        l->up = rows_of(&l->gate_up, m->hp.n_ff, m->hp.n_ff);
    }
    return split_experts(m, l, err);
}

/* The numbers of xIELU, one a layer or one for all; they have no prefix. */
static bool read_xielu(gguf_model *m, uint32_t i, gguf_error *err) {
    static const char *const keys[4] = {"xielu.alpha_n", "xielu.alpha_p", "xielu.beta", "xielu.eps"};
    if (!(m->arch->has & PART(P_XIELU))) return true;
    for (size_t k = 0; k < 4; k++) {
        const gguf_kv *kv = gguf_file_find_kv(m->file, str_of(keys[k]));
        double v;
        if (!kv || !kv_float(kv, kv->type == KV_ARRAY ? i : 0, &v) || !(v > -1e6 && v < 1e6)) {
            return fail(err, GGUF_ERR_MODEL, "%s must hold a number for each of %u layers, which a %s model needs",
                        keys[k], m->hp.n_layer, m->arch->name);
        }
        m->layers[i].xielu[k] = (float)v;
    }
    return true;
}

static bool bind_tensors(gguf_model *m, const gguf_model_params *params, gguf_error *err) {
    size_t used = 0;
    if (!bind_all(m, arch_globals, 0, "", &m->g, &used, err)) return false;
    if (!m->g.output.data) m->g.output = m->g.embedding;
    m->layers = arena_alloc(&m->mem, m->hp.n_layer, sizeof *m->layers, "the layers", err);
    if (!m->layers) return false;
    for (uint32_t i = 0; i < m->hp.n_layer; i++) {
        char prefix[32];
        snprintf(prefix, sizeof prefix, "blk.%u.", i);
        m->layers[i].kind = m->hp.layer[i];
        if (!bind_all(m, arch_layer, i, prefix, &m->layers[i], &used, err) || !split_tensors(m, &m->layers[i], err) ||
            !read_xielu(m, i, err))
            return false;
    }
    if (used < gguf_file_tensor_count(m->file) && m->hp.n_layer_extra == 0) {
        warnf(params->warn, params->warn_ctx, "%zu of the file's %zu tensors are not used by a %s model",
              gguf_file_tensor_count(m->file) - used, gguf_file_tensor_count(m->file), m->arch->name);
    }
    return true;
}

static bool check_factors(const gguf_model *m, const float *factors, const char *name, gguf_error *err) {
    for (uint32_t i = 0; factors && i < m->hp.n_rot / 2; i++) {
        double f = (double)factors[i];
        if (!(f >= 1e-6 && f <= 1e6))
            return fail(err, GGUF_ERR_MODEL, "%s.weight: value %u is %g; it must be a sensible factor", name, i, f);
    }
    return true;
}

static bool check_all_factors(const gguf_model *m, gguf_error *err) {
    return check_factors(m, m->g.rope_factors, "rope_freqs", err) &&
           check_factors(m, m->g.rope_short, "rope_factors_short", err) &&
           check_factors(m, m->g.rope_long, "rope_factors_long", err);
}

/* ---- opening --------------------------------------------------------------------------------- */

static bool string_key(const gguf_model *m, str key, str *out) {
    const gguf_kv *kv = gguf_file_find_kv(m->file, key);
    return kv && kv_string(kv, out);
}

static bool load_network(gguf_model *m, const gguf_model_params *params, gguf_error *err) {
    str name;
    if (!string_key(m, STR("general.architecture"), &name)) {
        return fail(err, GGUF_ERR_MODEL,
                    "the file does not name its architecture (general.architecture): it holds no model");
    }
    m->arch = arch_find(name);
    if (!m->arch) {
        char list[600];
        arch_list(list, sizeof list);
        return fail(err, GGUF_ERR_MODEL, "the architecture %.*s is not supported; this program runs %s", STR_ARG(name),
                    list);
    }
    if (!hparams_read(m->file, name, m->arch, &m->hp, err) || !bind_tensors(m, params, err) ||
        !check_all_factors(m, err))
        return false;
    if (m->vocab && gguf_vocab_size(m->vocab) != m->hp.n_vocab) {
        return fail(err, GGUF_ERR_MODEL, "the tokenizer has %u tokens, but token_embd.weight has %u rows",
                    gguf_vocab_size(m->vocab), m->hp.n_vocab);
    }
    return true;
}

static bool fill_info(gguf_model *m, gguf_error *err) {
    str name_of_arch = {0}, name = {0}, template = {0};
    string_key(m, STR("general.architecture"), &name_of_arch);
    string_key(m, STR("general.name"), &name);
    m->info.arch = arena_copy(&m->mem, name_of_arch.p, name_of_arch.n, err);
    m->info.name = arena_copy(&m->mem, name.p, name.n, err);
    if (!m->info.arch || !m->info.name) return false;
    if (string_key(m, STR("tokenizer.chat_template"), &template)) {
        m->info.chat_template = arena_copy(&m->mem, template.p, template.n, err);
        if (!m->info.chat_template) return false;
    }
    for (size_t i = 0; i < gguf_file_tensor_count(m->file); i++) {
        m->info.n_params += gguf_file_tensor(m->file, i)->n_elements;
        m->info.n_bytes += gguf_file_tensor(m->file, i)->n_bytes;
    }
    m->info.n_vocab = m->arch ? m->hp.n_vocab : m->vocab ? gguf_vocab_size(m->vocab) : 0;
    m->info.n_ctx_train = m->hp.n_ctx_train;
    m->info.n_embd = m->hp.n_embd;
    m->info.n_layer = m->hp.n_layer;
    return true;
}

static bool load(gguf_model *m, const gguf_model_params *params, gguf_error *err) {
    gguf_error vocab_err = {0};
    for (size_t i = 0; i < params->n_overrides; i++) {
        if (!gguf_file_override(m->file, params->overrides[i], err)) return false;
    }
    m->vocab = vocab_load(m->file, params->pre, params->warn, params->warn_ctx, &vocab_err);
    if (!m->vocab && vocab_err.code != GGUF_OK) return fail(err, vocab_err.code, "%s", vocab_err.message);
    if (!params->vocab_only && !load_network(m, params, err)) return false;
    return fill_info(m, err);
}

gguf_model *gguf_model_open(const char *path, const gguf_model_params *params, gguf_error *err) {
    static const gguf_model_params defaults = {0};
    if (!params) params = &defaults;
    gguf_model *m = calloc(1, sizeof *m);
    if (!m) {
        fail_memory(err, "the model", sizeof *m);
        return NULL;
    }
    gguf_file_params file = {
        .no_mmap = params->no_mmap,
        .mlock = params->mlock && !params->vocab_only,
        .first_shard_only = params->vocab_only,
        .warn = params->warn,
        .warn_ctx = params->warn_ctx,
    };
    m->file = gguf_file_open(path, &file, err);
    if (!m->file) {
        free(m);
        return NULL;
    }
    gguf_error why = {0};
    if (load(m, params, &why)) return m;
    fail(err, why.code, "%s: %s", path, why.message);
    gguf_model_close(m);
    return NULL;
}

void gguf_model_close(gguf_model *m) {
    if (!m) return;
    vocab_free(m->vocab);
    gguf_file_close(m->file);
    arena_free(&m->mem);
    free(m);
}

gguf_model_info gguf_model_get_info(const gguf_model *m) { return m->info; }
const gguf_vocab *gguf_model_vocab(const gguf_model *m) { return m->vocab; }

/* ---- cost ------------------------------------------------------------------------------------ */

static void count_matrix(model_cost *c, const matrix *w, uint64_t times, bool in_layer) {
    if (!w->data) return;
    c->decode_bytes += times * w->row_bytes * w->n_out;
    uint64_t n = in_layer ? times * w->n_in * w->n_out : 0; /* of a prompt, the output matrix sees one token */
    if (quant_types[w->type].block > 1) {
        c->block_macs += n;
    } else {
        c->plain_macs += n;
    }
}

model_cost model_count_cost(const gguf_model *m) {
    model_cost c = {0};
    for (uint32_t i = 0; i < m->hp.n_layer; i++) {
        const layer *l = &m->layers[i];
        const matrix *const all[] =
            {&l->q,      &l->k,           &l->v,         &l->attn_out,    &l->q_a,          &l->q_b,
             &l->kv_a,   &l->conv_in,     &l->conv_out,  &l->gate,        &l->up,           &l->down,
             &l->router, &l->shared_gate, &l->shared_up, &l->shared_down, &l->shared_router};
        const matrix *const experts[] = {l->gate_exps, l->up_exps, l->down_exps};
        const matrix *const heads[] = {l->k_up, l->v_up};
        for (size_t j = 0; j < sizeof all / sizeof *all; j++) count_matrix(&c, all[j], 1, true);
        for (size_t j = 0; j < 3 && experts[j]; j++) count_matrix(&c, experts[j], m->hp.n_expert_used, true);
        for (size_t j = 0; j < 2 && heads[j]; j++) count_matrix(&c, heads[j], m->hp.n_head, true);
    }
    count_matrix(&c, &m->g.output, 1, false);
    return c;
}
