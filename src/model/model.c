#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>

#include "kernel/fmath.h"
#include "text/vocab.h"

/* ---- binding --------------------------------------------------------------------------------- */

static bool check_shape(const hparams *h, const gguf_tensor *t, const binding *b, gguf_error *err) {
    for (uint32_t i = 0; i < 4; i++) {
        dim d = i < 2 ? b->ne[i] : DIM_NONE;
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

static bool bind_matrix(const gguf_tensor *t, matrix *out) {
    *out = (matrix){.type = t->type,
                    .n_in = (size_t)t->ne[0],
                    .n_out = (size_t)t->ne[1],
                    .row_bytes = (size_t)(t->n_bytes / t->ne[1]),
                    .data = t->data};
    return true;
}

/* Binds every row of a table into `base`; counts the tensors used. */
static bool bind_all(gguf_model *m, const binding *table, const char *prefix, void *base, size_t *used,
                     gguf_error *err) {
    for (const binding *b = table; b->name; b++) {
        char name[96];
        int n = snprintf(name, sizeof name, "%s%s", prefix, b->name);
        const gguf_tensor *t = gguf_file_find_tensor(m->file, (str){name, (size_t)n});
        if (!t && b->optional) continue;
        if (!t)
            return fail(err, GGUF_ERR_MODEL, "the tensor %s is missing, which a %s model needs", name, m->arch->name);
        if (!check_shape(&m->hp, t, b, err)) return false;
        void *field = (char *)base + b->field;
        if (b->kind == BIND_MATRIX ? !bind_matrix(t, field) : !bind_vector(m, t, field, err)) return false;
        ++*used;
    }
    return true;
}

static bool bind_tensors(gguf_model *m, const gguf_model_params *params, gguf_error *err) {
    size_t used = 0;
    if (!bind_all(m, m->arch->globals, "", &m->g, &used, err)) return false;
    if (!m->g.output.data) m->g.output = m->g.embedding;
    m->layers = arena_alloc(&m->mem, m->hp.n_layer, sizeof *m->layers, "the layers", err);
    if (!m->layers) return false;
    for (uint32_t i = 0; i < m->hp.n_layer; i++) {
        char prefix[32];
        snprintf(prefix, sizeof prefix, "blk.%u.", i);
        if (!bind_all(m, m->arch->layer, prefix, &m->layers[i], &used, err)) return false;
        m->layers[i].has_rope = arch_layer_has_rope(m->arch, i);
    }
    if (used < gguf_file_tensor_count(m->file)) {
        warnf(params->warn, params->warn_ctx, "%zu of the file's %zu tensors are not used by a %s model",
              gguf_file_tensor_count(m->file) - used, gguf_file_tensor_count(m->file), m->arch->name);
    }
    return true;
}

static bool make_frequencies(gguf_model *m, gguf_error *err) {
    uint32_t half = m->hp.n_rot / 2;
    double *f = arena_alloc(&m->mem, half, sizeof *f, "the RoPE frequencies", err);
    if (!f) return false;
    for (uint32_t i = 0; i < half; i++) {
        double factor = m->g.rope_factors ? (double)m->g.rope_factors[i] : 1;
        if (!(factor >= 1e-6 && factor <= 1e6)) {
            return fail(err, GGUF_ERR_MODEL, "rope_freqs.weight: value %u is %g; it must be a sensible factor", i,
                        factor);
        }
        f[i] = pow_f64(m->hp.rope_base, -2.0 * i / m->hp.n_rot) / (factor * m->hp.rope_factor);
    }
    m->inverse_frequency = f;
    return true;
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
        return fail(err, GGUF_ERR_MODEL, "the architecture %.*s is not supported; this program runs %s", STR_ARG(name),
                    arch_list());
    }
    if (!hparams_read(m->file, name, &m->hp, err) || !bind_tensors(m, params, err) || !make_frequencies(m, err))
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

static void count_matrix(model_cost *c, const matrix *w, bool in_layer) {
    c->decode_bytes += w->row_bytes * w->n_out;
    uint64_t n = in_layer ? (uint64_t)w->n_in * w->n_out : 0; /* of a prompt, the output matrix sees one token */
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
        const matrix *const all[] = {&l->q, &l->k, &l->v, &l->attn_out, &l->gate, &l->up, &l->down};
        for (size_t j = 0; j < sizeof all / sizeof *all; j++) count_matrix(&c, all[j], true);
    }
    count_matrix(&c, &m->g.output, false);
    return c;
}
