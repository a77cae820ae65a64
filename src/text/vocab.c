/*
 * Loading a vocabulary from the keys tokenizer.ggml.* of a file.
 *
 * A file may hold anything, and this is what is made of it: empty names and names that are not UTF-8 are
 * tokens that text seldom or never becomes; of equal names the first counts; a type that is none of
 * gguf_token_type is normal. A name of more than MAX_NAME_BYTES is an error.
 */
#include "text/vocab.h"

#include <stdlib.h>

#include "text/vocab_internal.h"

enum { MAX_NAME_BYTES = 65535 };

static const tokenizer_kind *const kinds[] = {&spm_kind, &bpe_kind, &unigram_kind, &wordpiece_kind};

/* ---- keys ------------------------------------------------------------------------------------ */

bool vocab_load_flag(const vocab_source *src, str key, bool *out) {
    const gguf_kv *kv = gguf_file_find_kv(src->file, key);
    if (!kv || kv_bool(kv, out)) return true;
    return fail(src->err, GGUF_ERR_MODEL, "%s must be a bool, but it is of type %s", key.p, kv_type_name(kv->type));
}

/* The kind that tokenizer.ggml.model names; NULL without an error where there is no vocabulary. */
static const tokenizer_kind *find_kind(const vocab_source *src) {
    const gguf_kv *kv = gguf_file_find_kv(src->file, STR("tokenizer.ggml.model"));
    str name;
    if (!kv) return NULL;
    if (!kv_string(kv, &name)) {
        fail(src->err, GGUF_ERR_MODEL, "tokenizer.ggml.model must be a string, but it is of type %s",
             kv_type_name(kv->type));
        return NULL;
    }
    if (str_is(name, "no_vocab") || str_is(name, "none")) return NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (str_is(name, kinds[i]->name)) return kinds[i];
    }
    fail(src->err, GGUF_ERR_MODEL,
         "the tokenizer %.*s (tokenizer.ggml.model) is not supported; llama, gpt2, t5 and bert are", STR_ARG(name));
    return NULL;
}

bool vocab_find_scores(const gguf_vocab *v, const vocab_source *src, const gguf_kv **scores) {
    const gguf_kv *kv = gguf_file_find_kv(src->file, STR("tokenizer.ggml.scores"));
    *scores = kv;
    if (!kv) return true;
    if (kv->type != KV_ARRAY || (kv->elem != KV_F32 && kv->elem != KV_F64)) {
        return fail(src->err, GGUF_ERR_MODEL, "tokenizer.ggml.scores must be an array of f32; it holds %s",
                    kv_type_name(kv->elem));
    }
    if (kv->n >= v->n) return true;
    return fail(src->err, GGUF_ERR_MODEL, "tokenizer.ggml.scores has %llu scores, but there are %u tokens",
                (unsigned long long)kv->n, v->n);
}

void vocab_no_pretokenizer(const vocab_source *src, const char *kind) {
    if (!src->pre) return;
    warnf(src->warn, src->warn_ctx, "%s vocabulary has no pre-tokenizer: %s is not used", kind, src->pre);
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static bool load_names(gguf_vocab *v, const vocab_source *src) {
    const gguf_kv *kv = gguf_file_find_kv(src->file, STR("tokenizer.ggml.tokens"));
    if (!kv) return fail(src->err, GGUF_ERR_MODEL, "tokenizer.ggml.tokens is missing");
    if (kv->type != KV_ARRAY || kv->elem != KV_STRING) {
        return fail(src->err, GGUF_ERR_MODEL, "tokenizer.ggml.tokens must be an array of strings; it holds %s",
                    kv_type_name(kv->elem));
    }
    /* each string has eight bytes of length before it */
    if (kv->n == 0 || kv->n > INT32_MAX || kv->n_bytes - 8 * kv->n > UINT32_MAX) {
        return fail(src->err, GGUF_ERR_MODEL,
                    "tokenizer.ggml.tokens has %llu tokens in %zu bytes, which is no usable vocabulary",
                    (unsigned long long)kv->n, kv->n_bytes);
    }
    v->n = (uint32_t)kv->n;
    v->names = arena_alloc(&v->mem, kv->n_bytes - 8 * (size_t)kv->n, 1, "the tokens", src->err);
    v->name_at = arena_alloc(&v->mem, (size_t)v->n + 1, sizeof *v->name_at, "the tokens", src->err);
    if (!v->names || !v->name_at) return false;
    size_t pos = 0;
    str name;
    for (uint32_t id = 0; id < v->n && kv_next_string(kv, &pos, &name); id++) {
        if (name.n > MAX_NAME_BYTES) {
            return fail(src->err, GGUF_ERR_MODEL,
                        "tokenizer.ggml.tokens: token %u has %zu bytes; no more than %d are possible", id, name.n,
                        MAX_NAME_BYTES);
        }
        if (name.n > 0) memcpy(v->names + v->name_at[id], name.p, name.n);
        v->name_at[id + 1] = v->name_at[id] + (uint32_t)name.n;
        if (name.n > v->longest) v->longest = name.n;
    }
    return true;
}

static bool is_byte_name(str name) {
    return name.n == 6 && memcmp(name.p, "<0x", 3) == 0 && hex_digit(name.p[3]) >= 0 && hex_digit(name.p[4]) >= 0 &&
           name.p[5] == '>';
}

/* Brings the file's types in line with the names: only <0xNN> can stand for a byte. */
static bool settle_type(const gguf_vocab *v, uint32_t id, int64_t given, gguf_error *err) {
    bool byte_name = is_byte_name(vocab_name(v, (int32_t)id));
    bool known = given >= GGUF_TOKEN_NORMAL && given <= GGUF_TOKEN_BYTE;
    gguf_token_type type = known ? (gguf_token_type)given : GGUF_TOKEN_NORMAL;
    if (type == GGUF_TOKEN_BYTE && !byte_name) {
        if (v->kind->names_bytes) {
            return fail(err, GGUF_ERR_MODEL,
                        "tokenizer.ggml.tokens: token %u is a byte token but is named \"%.*s\" and not <0xNN>", id,
                        STR_ARG(vocab_name(v, (int32_t)id)));
        }
        type = GGUF_TOKEN_NORMAL;
    }
    if (type == GGUF_TOKEN_NORMAL && byte_name && v->kind->names_bytes) type = GGUF_TOKEN_BYTE;
    v->types[id] = (uint8_t)type;
    return true;
}

static bool load_types(gguf_vocab *v, const vocab_source *src) {
    const gguf_kv *kv = gguf_file_find_kv(src->file, STR("tokenizer.ggml.token_type"));
    int64_t type = GGUF_TOKEN_NORMAL;
    if (kv && (kv->type != KV_ARRAY || (kv->n > 0 && !kv_int(kv, 0, &type)))) {
        return fail(src->err, GGUF_ERR_MODEL, "tokenizer.ggml.token_type must be an array of i32; it holds %s",
                    kv_type_name(kv->elem));
    }
    if (kv && kv->n < v->n) {
        return fail(src->err, GGUF_ERR_MODEL, "tokenizer.ggml.token_type has %llu types, but there are %u tokens",
                    (unsigned long long)kv->n, v->n);
    }
    v->types = arena_alloc(&v->mem, v->n, sizeof *v->types, "the types of tokens", src->err);
    if (!v->types) return false;
    for (uint32_t id = 0; id < v->n; id++) {
        if (kv && !kv_int(kv, id, &type)) type = GGUF_TOKEN_NORMAL; /* a u64 beyond i64 */
        if (!settle_type(v, id, type, src->err)) return false;
    }
    return true;
}

/* ---- special tokens -------------------------------------------------------------------------- */

static const struct {
    str key;
    special_id what;
} special_keys[] = {
    {STR("tokenizer.ggml.bos_token_id"), SPECIAL_BOS},
    {STR("tokenizer.ggml.eos_token_id"), SPECIAL_EOS},
    {STR("tokenizer.ggml.unknown_token_id"), SPECIAL_UNKNOWN},
    {STR("tokenizer.ggml.eot_token_id"), SPECIAL_EOT},
    {STR("tokenizer.ggml.eom_token_id"), SPECIAL_EOM},
    {STR("tokenizer.ggml.padding_token_id"), SPECIAL_PADDING},
    {STR("tokenizer.ggml.seperator_token_id"), SPECIAL_SEPARATOR}, /* spelled so in the format */
    {STR("tokenizer.ggml.mask_token_id"), SPECIAL_MASK},
    {STR("tokenizer.ggml.fim_pad_token_id"), SPECIAL_FIM_PAD},
    {STR("tokenizer.ggml.fim_rep_token_id"), SPECIAL_FIM_REPO},
    {STR("tokenizer.ggml.fim_sep_token_id"), SPECIAL_FIM_FILE},
};

static int32_t default_id(const gguf_vocab *v, int32_t id) { return id < (int32_t)v->n ? id : GGUF_NO_TOKEN; }

static bool load_special_ids(gguf_vocab *v, const vocab_source *src) {
    for (size_t i = 0; i < SPECIAL_COUNT; i++) v->special[i] = GGUF_NO_TOKEN;
    v->special[SPECIAL_BOS] = default_id(v, v->kind->bos);
    v->special[SPECIAL_EOS] = default_id(v, v->kind->eos);
    v->special[SPECIAL_UNKNOWN] = default_id(v, v->kind->unknown);
    v->special[SPECIAL_SEPARATOR] = default_id(v, v->kind->separator);
    for (size_t i = 0; i < sizeof special_keys / sizeof *special_keys; i++) {
        const gguf_kv *kv = gguf_file_find_kv(src->file, special_keys[i].key);
        int64_t id;
        if (!kv) continue;
        if (kv->type == KV_ARRAY || !kv_int(kv, 0, &id)) {
            return fail(src->err, GGUF_ERR_MODEL, "%s must be a u32, but it is of type %s", special_keys[i].key.p,
                        kv_type_name(kv->type));
        }
        if (id == -1 || id == UINT32_MAX) { /* means that there is none */
            id = GGUF_NO_TOKEN;
        } else if (id < 0 || id >= v->n) {
            return fail(src->err, GGUF_ERR_MODEL, "%s is %lld, but there are only %u tokens", special_keys[i].key.p,
                        (long long)id, v->n);
        }
        v->special[special_keys[i].what] = (int32_t)id;
    }
    return true;
}

/* ---- the end of generation ------------------------------------------------------------------- */

/* Files seldom name all tokens that end a turn: these names do so in every vocabulary. They are made control
 * tokens, which some files forget. */
static const char *const end_names[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|calls|>",
    "<|flush|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<eos>",
    "<turn|>",
    "<end_of_utterance>",
    "<|tool_response>",
    "[e~[",
    "<\uFF5Cend\u2581of\u2581sentence\uFF5C>",
    "<|fim_pad|>",
    "<fim-pad>",
    "<fim_pad>",
    "<|fim_repo|>",
    "<|repo_name|>",
    "<fim-repo>",
    "<reponame>",
    "<|file_sep|>",
};
/* These may be plain text as well: they end where the file has them as control tokens. */
static const char *const control_end_names[] = {"</s>", "<PAD>", "[PAD]", "<REPO>"};

static void set_end(gguf_vocab *v, const char *name, bool only_control) {
    int32_t id = vocab_find(v, str_of(name));
    if (id == GGUF_NO_TOKEN || (only_control && v->types[id] != GGUF_TOKEN_CONTROL)) return;
    v->types[id] = GGUF_TOKEN_CONTROL;
    v->ends[id] = true;
}

static bool is_end_name(const gguf_vocab *v, const char *name) {
    int32_t id = vocab_find(v, str_of(name));
    return id != GGUF_NO_TOKEN && v->ends[id];
}

static bool find_ends(gguf_vocab *v, gguf_error *err) {
    static const special_id ending[] = {SPECIAL_EOS,     SPECIAL_EOT,      SPECIAL_EOM,
                                        SPECIAL_FIM_PAD, SPECIAL_FIM_REPO, SPECIAL_FIM_FILE};
    v->ends = arena_alloc(&v->mem, v->n, sizeof *v->ends, "the tokens that end", err);
    if (!v->ends) return false;
    for (size_t i = 0; i < sizeof end_names / sizeof *end_names; i++) set_end(v, end_names[i], false);
    for (size_t i = 0; i < sizeof control_end_names / sizeof *control_end_names; i++) {
        set_end(v, control_end_names[i], true);
    }
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++) {
        if (v->special[ending[i]] != GGUF_NO_TOKEN) v->ends[v->special[ending[i]]] = true;
    }
    /* where a whole answer ends with <|return|> or <|flush|>, <|end|> only parts its messages */
    bool call = is_end_name(v, "<|call|>") || is_end_name(v, "<|calls|>");
    if (call && (is_end_name(v, "<|return|>") || is_end_name(v, "<|flush|>"))) {
        int32_t id = vocab_find(v, STR("<|end|>"));
        if (id != GGUF_NO_TOKEN) v->ends[id] = false;
    }
    return true;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static bool load(gguf_vocab *v, const vocab_source *src) {
    v->adds_bos = v->kind->adds_bos;
    v->adds_eos = v->kind->adds_eos;
    v->adds_separator = v->kind->adds_separator;
    v->adds_space = v->kind->adds_space;
    return load_names(v, src) && vocab_index_names(v, src->err) && load_types(v, src) && load_special_ids(v, src) &&
           find_ends(v, src->err) && v->kind->load(v, src) &&
           vocab_load_flag(src, STR("tokenizer.ggml.add_bos_token"), &v->adds_bos) &&
           vocab_load_flag(src, STR("tokenizer.ggml.add_eos_token"), &v->adds_eos) &&
           vocab_load_flag(src, STR("tokenizer.ggml.add_sep_token"), &v->adds_separator) &&
           vocab_load_flag(src, STR("tokenizer.ggml.add_space_prefix"), &v->adds_space) &&
           vocab_load_flag(src, STR("tokenizer.ggml.remove_extra_whitespaces"), &v->merges_spaces) &&
           vocab_index_marks(v, src);
}

gguf_vocab *vocab_load(const gguf_file *file, const char *pre, gguf_warn_fn *warn, void *warn_ctx, gguf_error *err) {
    vocab_source src = {file, pre, warn, warn_ctx, err};
    const tokenizer_kind *kind = find_kind(&src);
    if (!kind) return NULL;
    gguf_vocab *v = calloc(1, sizeof *v);
    if (!v) {
        fail_memory(err, "the vocabulary", sizeof *v);
        return NULL;
    }
    v->kind = kind;
    if (load(v, &src)) return v;
    vocab_free(v);
    return NULL;
}

void vocab_free(gguf_vocab *v) {
    if (!v) return;
    arena_free(&v->mem);
    free(v);
}

/* ---- what gguf.h offers ---------------------------------------------------------------------- */

static bool has(const gguf_vocab *v, int32_t id) { return id >= 0 && (uint32_t)id < v->n; }

uint32_t gguf_vocab_size(const gguf_vocab *v) { return v->n; }
int32_t gguf_vocab_bos(const gguf_vocab *v) { return v->special[SPECIAL_BOS]; }
int32_t gguf_vocab_eos(const gguf_vocab *v) { return v->special[SPECIAL_EOS]; }
bool gguf_vocab_adds_bos(const gguf_vocab *v) { return v->adds_bos && v->special[SPECIAL_BOS] != GGUF_NO_TOKEN; }
bool gguf_vocab_adds_eos(const gguf_vocab *v) { return v->adds_eos && v->special[SPECIAL_EOS] != GGUF_NO_TOKEN; }
bool gguf_vocab_is_end(const gguf_vocab *v, int32_t id) { return has(v, id) && v->ends[id]; }

gguf_token_type gguf_vocab_type(const gguf_vocab *v, int32_t id) {
    return has(v, id) ? (gguf_token_type)v->types[id] : GGUF_TOKEN_UNUSED;
}

const char *gguf_vocab_name(const gguf_vocab *v, int32_t id, size_t *n) {
    str name = has(v, id) ? vocab_name(v, id) : STR("");
    *n = name.n;
    return name.p;
}
