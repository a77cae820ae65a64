/* gguf-inspect: what can be found out about a file from its keys and its tensor table. No tensor data is read, and no
 * table of the vocabulary is made, so that this takes milliseconds. */
#include <stdio.h>

#include "base/check.h"
#include "base/memory.h"
#include "cli/inspect.h"
#include "session/session.h"

/* ---- keys ------------------------------------------------------------------------------------ */

bool find_string(const gguf_file *f, const char *key, str *out) {
    const gguf_kv *kv = gguf_file_find_kv(f, str_of(key));
    return kv && kv_string(kv, out);
}

const gguf_kv *find_tokenizer(const gguf_file *f, const char *name) {
    char key[96];
    snprintf(key, sizeof key, "tokenizer.ggml.%s", name);
    return gguf_file_find_kv(f, str_of(key));
}

bool key_of_arch(const inspection *in, const gguf_kv *kv, str *rest) {
    str name = in->arch_name;
    if (name.n == 0 || !str_starts(kv->key, name) || kv->key.n < name.n + 2 || kv->key.p[name.n] != '.') return false;
    *rest = (str){kv->key.p + name.n + 1, kv->key.n - name.n - 1};
    return true;
}

bool shows_param(const inspection *in, const param *p) {
    return param_concerns(p, in->arch) && (!p->quiet || hparams_find(in->file, in->arch_name, p->key));
}

bool is_param(const inspection *in, str key) {
    for (const param *p = hparams_params; p->key; p++) {
        if (str_is(key, p->key) && param_concerns(p, in->arch)) return true;
    }
    return false;
}

bool is_read(const inspection *in, str key) {
    static const char *const others[] = {"rope.scaling.type",
                                         "rope.scale_linear", /* they decide on rope.scaling.factor */
                                         "rope.scaling.finetuned", "attention.sliding_window_pattern"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (str_is(key, others[i])) return true;
    }
    return is_param(in, key);
}

bool find_param_value(const inspection *in, const param *p, short_text *out) {
    /* Where hparams_read fails, it has filled in what comes before the fault; a value of 0 was not reached, or is the
     * default that the table has as a number. */
    double v = hparams_value(&in->hp, p);
    *out = short_float(v, p->kind == PARAM_F32);
    if (in->has_hparams || v != 0) return true;
    if (!p->absent || *p->absent < '0' || *p->absent > '9') return false;
    snprintf(out->text, sizeof out->text, "%s", p->absent);
    return true;
}

uint32_t layer_count(const inspection *in) {
    const gguf_kv *kv = hparams_find(in->file, in->arch_name, "block_count");
    int64_t n;
    if (in->has_hparams) return in->hp.n_layer;
    return kv && kv_int(kv, 0, &n) && n > 0 && n <= MAX_LAYERS ? (uint32_t)n : 0;
}

/* ---- the tokenizer --------------------------------------------------------------------------- */

const char *const tokenizer_ids[] = {
    "bos_token_id",
    "eos_token_id",
    "unknown_token_id",
    "eot_token_id",
    "eom_token_id",
    "padding_token_id",
    "seperator_token_id" /* spelt so in files */,
    "cls_token_id",
    "mask_token_id",
    "prefix_token_id",
    "suffix_token_id",
    "middle_token_id",
    "fim_pre_token_id",
    "fim_suf_token_id",
    "fim_mid_token_id",
    "fim_pad_token_id",
    "fim_rep_token_id",
    "fim_sep_token_id",
    NULL,
};

const char *const tokenizer_switches[] = {
    "add_bos_token", "add_eos_token", "add_sep_token", "add_space_prefix", "remove_extra_whitespaces", NULL,
};

bool find_token_id(const gguf_file *f, const char *name, int64_t *id) {
    const gguf_kv *kv = find_tokenizer(f, name);
    return kv && kv->type != KV_ARRAY && kv_int(kv, 0, id) && *id != UINT32_MAX && *id != -1;
}

bool find_token_name(const gguf_file *f, int64_t id, str *name) {
    const gguf_kv *kv = find_tokenizer(f, "tokens");
    size_t pos = 0;
    if (!kv || kv->type != KV_ARRAY || id < 0 || (uint64_t)id >= kv->n) return false;
    for (int64_t i = 0; i <= id; i++) {
        if (!kv_next_string(kv, &pos, name)) return false;
    }
    return true;
}

/* ---- the mix of types ------------------------------------------------------------------------ */

/* Numbers of general.file_type, which llama.cpp calls ftype. */
static const char *const mixes[] = {
    [0] = "F32",     [1] = "F16",      [2] = "Q4_0",       [3] = "Q4_1",      [4] = "Q4_1_SOME_F16", [5] = "Q4_2",
    [6] = "Q4_3",    [7] = "Q8_0",     [8] = "Q5_0",       [9] = "Q5_1",      [10] = "Q2_K",         [11] = "Q3_K_S",
    [12] = "Q3_K_M", [13] = "Q3_K_L",  [14] = "Q4_K_S",    [15] = "Q4_K_M",   [16] = "Q5_K_S",       [17] = "Q5_K_M",
    [18] = "Q6_K",   [19] = "IQ2_XXS", [20] = "IQ2_XS",    [21] = "Q2_K_S",   [22] = "IQ3_XS",       [23] = "IQ3_XXS",
    [24] = "IQ1_S",  [25] = "IQ4_NL",  [26] = "IQ3_S",     [27] = "IQ3_M",    [28] = "IQ2_S",        [29] = "IQ2_M",
    [30] = "IQ4_XS", [31] = "IQ1_M",   [32] = "BF16",      [33] = "Q4_0_4_4", [34] = "Q4_0_4_8",     [35] = "Q4_0_8_8",
    [36] = "TQ1_0",  [37] = "TQ2_0",   [38] = "MXFP4_MOE", [39] = "NVFP4",
};

bool find_mix(const gguf_file *f, int64_t *number, const char **name) {
    const gguf_kv *kv = gguf_file_find_kv(f, STR("general.file_type"));
    if (!kv || !kv_int(kv, 0, number)) return false;
    int64_t n_mixes = sizeof mixes / sizeof *mixes,
            mix = *number >= 1024 ? *number - 1024 : *number; /* 1024: "guessed" */
    *name = mix >= 0 && mix < n_mixes ? mixes[mix] : NULL;
    return true;
}

double bits_per_weight(const tensor_total *t) { return t->n_params ? 8 * (double)t->n_bytes / (double)t->n_params : 0; }

/* ---- all together ---------------------------------------------------------------------------- */

static void add_to(tensor_total *sum, const gguf_tensor *t) {
    sum->n_tensors++;
    sum->n_params += t->n_elements;
    sum->n_bytes += t->n_bytes;
}

void gather_facts(inspection *in) {
    const gguf_file *f = in->file;
    for (size_t i = 0; i < gguf_file_shard_count(f); i++) in->file_bytes += gguf_file_shard(f, i)->n_bytes;
    for (size_t i = 0; i < gguf_file_tensor_count(f); i++) {
        const gguf_tensor *t = gguf_file_tensor(f, i);
        add_to(&in->total, t);
        add_to(&in->of_type[t->type], t);
    }
    if (!find_string(f, "general.architecture", &in->arch_name) || in->arch_name.n == 0) {
        fail(&in->hparams_error, GGUF_ERR_MODEL, "the file does not name its architecture (general.architecture)");
        return;
    }
    in->arch = arch_find(in->arch_name);
    in->has_hparams = hparams_read(f, in->arch_name, in->arch, &in->hp, &in->hparams_error);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static uint64_t sum_of(uint64_t a, uint64_t b) {
    uint64_t sum;
    return add_u64(a, b, &sum) ? sum : UINT64_MAX;
}

/* Of a session alone. Its size depends on nothing but the hyper-parameters, so no model has to be loaded for it. */
static uint64_t session_bytes(const inspection *in, uint32_t n_ctx, uint64_t *cache, uint64_t *work) {
    const gguf_model shape = {.hp = in->hp};
    session_memory(&shape, n_ctx, 0, (gguf_cache_type)in->o->cache_k, (gguf_cache_type)in->o->cache_v, cache, work);
    return sum_of(*cache, *work);
}

/* The largest context in [0, high) whose session fits, by halving. */
static uint32_t largest_context(const inspection *in, uint32_t high, uint64_t limit) {
    uint32_t low = 0;
    uint64_t cache, work;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (session_bytes(in, middle, &cache, &work) <= limit) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

memory_plan plan_memory(const inspection *in) {
    memory_plan p = {.n_ctx = in->o->ctx ? (uint32_t)in->o->ctx : in->hp.n_ctx_train,
                     .weights = in->total.n_bytes,
                     .limit = memory_limit()};
    uint64_t session = session_bytes(in, p.n_ctx, &p.cache, &p.work);
    p.sum = sum_of(p.weights, session);
    p.fits = session <= p.limit;
    p.weights_fit = p.sum <= p.limit;
    p.n_ctx_fit = p.fits ? p.n_ctx : largest_context(in, p.n_ctx, p.limit);
    return p;
}
