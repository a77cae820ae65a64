/*
 * A model is planned as a list of tensors, each with its own random generator, seeded by the model's seed and the
 * tensor's name: leaving a tensor out, or putting it into another shard, changes no other tensor's bytes.
 */
#include "model_maker.h"

#include <stdio.h>
#include <stdlib.h>

#include "model_plan.h"
#include "random_tensor.h"

enum { CHUNK_BYTES = 256 << 10, MAX_ARGUMENTS = 96 };

/* ---- vocabularies ---------------------------------------------------------------------------------- */

typedef struct {
    str *tokens;    /* [n] */
    int32_t *types; /* [n] */
    float *scores;  /* [n] */
    size_t n, size;
    str *merges; /* [n_merges] */
    size_t n_merges;
    arena *mem;
    gguf_error *err;
} vocabulary;

static str keep(vocabulary *v, const char *text) {
    size_t n = strlen(text);
    char *copy = arena_copy(v->mem, text, n, v->err);
    return copy ? (str){copy, n} : (str){"", 0};
}

static void add_token(vocabulary *v, const char *text, gguf_token_type type, float score) {
    if (v->n == v->size) return;
    v->tokens[v->n] = keep(v, text);
    v->types[v->n] = type;
    v->scores[v->n++] = score;
}

static void add_merge(vocabulary *v, const char *left, char right) {
    char text[80];
    snprintf(text, sizeof text, "%s %c", left, right);
    v->merges[v->n_merges++] = keep(v, text);
}

/* The k-th word over the commonest letters: e, t, a, ..., k, ee, et, ...; every word's beginning comes before it. */
static void word(size_t k, char out[32]) {
    static const char letters[] = "etaoinshrdlucmfwygpbvk";
    char reversed[32];
    size_t n = 0, base = sizeof letters - 1;
    for (size_t x = k + 1; x > 0; x = (x - 1) / base) reversed[n++] = letters[(x - 1) % base];
    for (size_t i = 0; i < n; i++) out[i] = reversed[n - 1 - i];
    out[n] = 0;
}

/* SentencePiece: control tokens, all bytes where there is room, words with and without a space before them. */
static void make_spm(vocabulary *v) {
    char text[64], w[32];
    add_token(v, "<unk>", GGUF_TOKEN_UNKNOWN, 0);
    add_token(v, "<s>", GGUF_TOKEN_CONTROL, 0);
    add_token(v, "</s>", GGUF_TOKEN_CONTROL, 0);
    for (int i = 0; i < 256 && v->size >= 3 + 256; i++) {
        snprintf(text, sizeof text, "<0x%02X>", (unsigned)i);
        add_token(v, text, GGUF_TOKEN_BYTE, 0);
    }
    size_t first = v->n;
    add_token(v, "\u2581", GGUF_TOKEN_NORMAL, 0);
    for (size_t k = 0; v->n < v->size; k++) {
        word(k / 2, w);
        snprintf(text, sizeof text, "%s%s", k % 2 ? "" : "\u2581", w);
        add_token(v, text, GGUF_TOKEN_NORMAL, -(float)(v->n - first));
    }
}

/* A byte as the character that stands for it in GPT-2's vocabulary. */
static void byte_character(int i, char out[3]) {
    bool visible = (i > 32 && i < 127) || (i > 160 && i != 173);
    int below = i <= 32 ? i : i < 161 ? i - 127 + 33 : 67; /* invisible bytes before this one */
    int code = visible ? i : 256 + below;
    if (code < 128) {
        out[0] = (char)code;
        out[1] = 0;
    } else {
        out[0] = (char)(0xC0 | code >> 6);
        out[1] = (char)(0x80 | (code & 63));
        out[2] = 0;
    }
}

/* Byte-level BPE: the bytes' characters, merged words with and without a space, two control tokens at the end. */
static void make_bpe(vocabulary *v) {
    static const struct {
        int begin, end;
    } ranges[] = {{33, 127}, {161, 173}, {174, 256}, {0, 33}, {127, 161}, {173, 174}};
    char text[64], w[32];
    size_t size = v->size;
    v->size -= size < 2 ? size : 2;
    for (size_t r = 0; r < sizeof ranges / sizeof *ranges; r++) {
        for (int i = ranges[r].begin; i < ranges[r].end; i++) {
            char c[3];
            byte_character(i, c);
            add_token(v, c, GGUF_TOKEN_NORMAL, 0);
        }
    }
    for (size_t k = 0; v->n < v->size; k++) {
        word(k / 2, w);
        size_t n = strlen(w);
        if (k % 2 && n == 1) continue; /* a byte already */
        snprintf(text, sizeof text, "%s%s", k % 2 ? "" : "\u0120", w);
        add_token(v, text, GGUF_TOKEN_NORMAL, 0);
        char last = w[n - 1];
        text[strlen(text) - 1] = 0;
        add_merge(v, text, last);
    }
    v->size = size;
    add_token(v, "<|begin|>", GGUF_TOKEN_CONTROL, 0);
    add_token(v, "<|end|>", GGUF_TOKEN_CONTROL, 0);
}

static const struct {
    const char *name, *model;
    void (*make)(vocabulary *v);
} vocabularies[] = {{"spm", "llama", make_spm}, {"bpe", "gpt2", make_bpe}, {"none", "no_vocab", NULL}};

static bool put_vocabulary(gguf_writer *w, const model_spec *s, gguf_error *err) {
    size_t kind = 0, n = s->n_vocab, n_kinds = sizeof vocabularies / sizeof *vocabularies;
    while (kind < n_kinds && strcmp(s->vocab, vocabularies[kind].name) != 0) kind++;
    if (kind == n_kinds) return fail(err, GGUF_ERR_USAGE, "--vocab-kind %s: spm, bpe and none are known", s->vocab);
    gguf_writer_string(w, "tokenizer.ggml.model", str_of(vocabularies[kind].model));
    if (!vocabularies[kind].make) return true;
    arena mem = {0};
    gguf_error why = {0};
    vocabulary v = {.size = n, .mem = &mem, .err = &why};
    v.tokens = arena_alloc(&mem, n, sizeof *v.tokens, "a vocabulary", &why);
    v.types = arena_alloc(&mem, n, sizeof *v.types, "a vocabulary", &why);
    v.scores = arena_alloc(&mem, n, sizeof *v.scores, "a vocabulary", &why);
    v.merges = arena_alloc(&mem, n, sizeof *v.merges, "a vocabulary", &why);
    if (why.code == GGUF_OK) {
        bool bpe = vocabularies[kind].make == make_bpe;
        vocabularies[kind].make(&v);
        if (bpe) gguf_writer_string(w, "tokenizer.ggml.pre", str_of(s->pre));
        gguf_writer_strings(w, "tokenizer.ggml.tokens", v.tokens, v.n);
        gguf_writer_array(w, "tokenizer.ggml.token_type", KV_I32, v.types, v.n);
        if (bpe) {
            gguf_writer_strings(w, "tokenizer.ggml.merges", v.merges, v.n_merges);
        } else {
            gguf_writer_array(w, "tokenizer.ggml.scores", KV_F32, v.scores, v.n);
            gguf_writer_int(w, "tokenizer.ggml.unknown_token_id", KV_U32, 0);
        }
        gguf_writer_int(w, "tokenizer.ggml.bos_token_id", KV_U32, bpe ? (int64_t)n - 2 : 1);
        gguf_writer_int(w, "tokenizer.ggml.eos_token_id", KV_U32, bpe ? (int64_t)n - 1 : 2);
    }
    arena_free(&mem);
    return why.code == GGUF_OK || fail(err, why.code, "%s", why.message);
}

/* ---- keys ------------------------------------------------------------------------------------------ */

static bool put_keys(gguf_writer *w, const model_spec *s, const plan_format *f, gguf_error *err) {
    char name[128];
    snprintf(name, sizeof name, "random %s %ux%u %s", s->arch, s->n_embd, s->n_layer, f->name);
    gguf_writer_string(w, "general.architecture", str_of(s->arch));
    gguf_writer_string(w, "general.name", str_of(name));
    gguf_writer_int(w, "general.quantization_version", KV_U32, 2);
    if (f->file_type >= 0) gguf_writer_int(w, "general.file_type", KV_U32, f->file_type);
    if (!plan_put_hparams(w, s, err)) return false;
    if (!put_vocabulary(w, s, err)) return false;
    for (const model_edit *e = s->edits; e < s->edits + s->n_edits; e++) {
        if (e->kind == EDIT_DROP) gguf_writer_drop(w, e->name);
        if (e->kind == EDIT_SET && !plan_put_edit(w, e->name, e->value, err)) return false;
    }
    return true;
}

static void put_split(gguf_writer *w, uint32_t shard, uint32_t n_shards, size_t n_tensors) {
    gguf_writer_int(w, "split.no", KV_U16, shard);
    gguf_writer_int(w, "split.count", KV_U16, n_shards);
    gguf_writer_int(w, "split.tensors.count", KV_I32, (int64_t)n_tensors);
}

/* ---- making ---------------------------------------------------------------------------------------- */

static bool fill_in(model_spec *s, gguf_error *err) {
    if (!s->arch) s->arch = "llama";
    const plan_arch *a = plan_find_arch(s->arch);
    if (!a) return fail(err, GGUF_ERR_USAGE, "no models of architecture %s can be made", s->arch);
    if (!s->type) s->type = "F32";
    if (!s->vocab) s->vocab = "spm";
    if (!s->pre) s->pre = "llama-bpe";
    if (!s->n_embd) s->n_embd = 256;
    if (!s->n_ff) s->n_ff = 512;
    if (!s->n_layer) s->n_layer = 4;
    if (!s->n_head) s->n_head = 8;
    if (!s->n_head_kv) s->n_head_kv = s->n_head;
    if (!s->head_size) s->head_size = s->n_embd / s->n_head;
    if (!s->n_rot) s->n_rot = s->head_size;
    if (!s->n_ctx) s->n_ctx = 512;
    if (!s->n_vocab) s->n_vocab = 512;
    if (!s->n_shards) s->n_shards = 1;
    if (s->rope_base == 0) s->rope_base = a->rope_base;
    s->tied = s->tied || (a->tied && !s->untied);
    return true;
}

typedef bool sink(void *ctx, const uint8_t *data, size_t n, gguf_error *err);

/* Makes a tensor's bytes piece by piece. Pieces have the same size everywhere, so that the bytes do. */
static bool make_tensor(const model_spec *s, const plan_tensor *t, sink *to, void *ctx, gguf_error *err) {
    const quant_row *row = &quant_types[t->type];
    uint64_t left = t->ne[0] * t->ne[1] * t->ne[2] / row->block;
    size_t most = CHUNK_BYTES / row->bytes;
    uint8_t *piece = malloc(CHUNK_BYTES);
    if (!piece) return fail_memory(err, "a tensor", CHUNK_BYTES);
    rng r = rng_for(s->seed, t->name);
    bool ok = true;
    for (uint64_t done = 0; left > 0 && ok;) {
        size_t n = left < most ? (size_t)left : most;
        if (t->is_ramp) {
            float *x = (float *)(void *)piece, last = t->ne[0] > 1 ? (float)(t->ne[0] - 1) : 1;
            for (size_t i = 0; i < n; i++) x[i] = 1 + 7 * (float)(done + i) / last;
        } else {
            random_blocks(&r, t->type, t->centre, t->std, n, piece);
        }
        ok = to(ctx, piece, n * row->bytes, err);
        left -= n;
        done += n;
    }
    free(piece);
    return ok;
}

static bool to_file(void *ctx, const uint8_t *data, size_t n, gguf_error *err) {
    return gguf_writer_data(ctx, data, n, err);
}

static bool to_memory(void *ctx, const uint8_t *data, size_t n, gguf_error *err) {
    (void)err;
    uint8_t **at = ctx;
    memcpy(*at, data, n);
    *at += n;
    return true;
}

static gguf_writer *new_writer(const model_spec *s, gguf_error *err) {
    gguf_writer *w = gguf_writer_new();
    if (!w) fail_memory(err, "the writer", 0);
    if (w && s->alignment) gguf_writer_align(w, s->alignment);
    return w;
}

static void declare(gguf_writer *w, const plan_tensor *t, size_t n) {
    for (size_t i = 0; i < n; i++) gguf_writer_tensor(w, str_of(t[i].name), t[i].type, t[i].n_dims, t[i].ne);
}

/* Tensors [begin, end) as one file. */
static bool write_shard(const model_spec *s, const plan_format *f, const model_plan *p, uint32_t shard,
                        const char *path, gguf_error *err) {
    size_t begin = p->n * shard / s->n_shards, end = p->n * (shard + 1) / s->n_shards;
    gguf_writer *w = new_writer(s, err);
    bool ok = w && (shard > 0 || put_keys(w, s, f, err));
    if (ok && s->n_shards > 1) put_split(w, shard, s->n_shards, p->n);
    if (ok) declare(w, p->tensors + begin, end - begin);
    ok = ok && gguf_writer_open(w, path, err);
    for (size_t i = begin; i < end && ok; i++) ok = make_tensor(s, &p->tensors[i], to_file, w, err);
    ok = ok && gguf_writer_commit(w, err);
    gguf_writer_free(w);
    return ok;
}

bool model_write(const model_spec *given, const char *path, gguf_error *err) {
    model_spec s = *given;
    plan_format f;
    model_plan p;
    if (!fill_in(&s, err) || !plan_find_format(s.type, &f, err)) return false;
    bool ok = plan_make_tensors(&p, &s, &f, err);
    size_t n = strlen(path), n_prefix = n > 5 && strcmp(path + n - 5, ".gguf") == 0 ? n - 5 : n;
    for (uint32_t i = 0; i < s.n_shards && ok; i++) {
        char name[4096];
        snprintf(name, sizeof name, "%.*s-%05u-of-%05u.gguf", (int)n_prefix, path, i + 1, s.n_shards);
        ok = write_shard(&s, &f, &p, i, s.n_shards > 1 ? name : path, err);
    }
    free(p.tensors);
    return ok;
}

/* Header and tensors behind each other; the gaps are zero. */
static uint8_t *bytes_of(gguf_writer *w, const model_plan *p, size_t *n, gguf_error *err) {
    const uint8_t *header;
    size_t n_header, last = p->n - 1;
    if (!gguf_writer_header(w, &header, &n_header, err)) return NULL;
    *n = n_header;
    if (p->n) *n += (size_t)(gguf_writer_tensor_offset(w, last) + gguf_writer_tensor_bytes(w, last));
    uint8_t *bytes = calloc(1, *n);
    if (!bytes) {
        fail_memory(err, "the model", *n);
        return NULL;
    }
    memcpy(bytes, header, n_header);
    for (size_t i = 0; i < p->n; i++) {
        uint8_t *at = bytes + n_header + gguf_writer_tensor_offset(w, i);
        if (make_tensor(p->s, &p->tensors[i], to_memory, &at, err)) continue;
        free(bytes);
        return NULL;
    }
    return bytes;
}

uint8_t *model_bytes(const model_spec *given, size_t *n, gguf_error *err) {
    model_spec s = *given;
    plan_format f;
    model_plan p;
    uint8_t *bytes = NULL;
    if (!fill_in(&s, err) || !plan_find_format(s.type, &f, err)) return NULL;
    gguf_writer *w = new_writer(&s, err);
    if (plan_make_tensors(&p, &s, &f, err) && w && put_keys(w, &s, &f, err)) {
        declare(w, p.tensors, p.n);
        bytes = bytes_of(w, &p, n, err);
    }
    free(p.tensors);
    gguf_writer_free(w);
    return bytes;
}

/* ---- options --------------------------------------------------------------------------------------- */

typedef enum { OPT_U32, OPT_U64, OPT_F64, OPT_TEXT, OPT_FLAG, OPT_PRESET, OPT_EDIT } option_kind;

#define S(field) offsetof(model_spec, field)

static const struct {
    const char *name;
    option_kind kind;
    size_t field; /* offset in model_spec; OPT_EDIT: the edit_kind */
    const char *help;
} options[] = {
    {"--preset", OPT_PRESET, 0, "a known model's shape; later options change it"},
    {"--arch", OPT_TEXT, S(arch), "any that the program runs"},
    {"--type", OPT_TEXT, S(type), "of the matrices: F32, F16, Q8_0, Q4_K, ...; Q4_K_M, Q5_K_M"},
    {"--embd", OPT_U32, S(n_embd), "embedding length"},
    {"--ff", OPT_U32, S(n_ff), "feed-forward length"},
    {"--layers", OPT_U32, S(n_layer), ""},
    {"--heads", OPT_U32, S(n_head), ""},
    {"--kv-heads", OPT_U32, S(n_head_kv), ""},
    {"--head-size", OPT_U32, S(head_size), ""},
    {"--rot", OPT_U32, S(n_rot), "values of a head that RoPE turns"},
    {"--rope-base", OPT_F64, S(rope_base), ""},
    {"--rope-factors", OPT_FLAG, S(rope_factors), "a tensor rope_freqs.weight"},
    {"--biases", OPT_FLAG, S(biases), "every matrix of a layer has a bias"},
    {"--tied", OPT_FLAG, S(tied), "the embedding is the output matrix"},
    {"--untied", OPT_FLAG, S(untied), "an output matrix of its own"},
    {"--ctx", OPT_U32, S(n_ctx), "trained context"},
    {"--vocab", OPT_U32, S(n_vocab), "tokens"},
    {"--vocab-kind", OPT_TEXT, S(vocab), "spm, bpe, none"},
    {"--pre", OPT_TEXT, S(pre), "tokenizer.ggml.pre of a bpe vocabulary"},
    {"--seed", OPT_U64, S(seed), ""},
    {"--shards", OPT_U32, S(n_shards), "files that the tensors are split into"},
    {"--align", OPT_U32, S(alignment), "general.alignment"},
    {"--fused", OPT_FLAG, S(fused), "q, k and v in one tensor"},
    {"--split-experts", OPT_FLAG, S(split_experts), "a tensor for each expert, as in files of 2023"},
    {"--optional", OPT_FLAG, S(optional), "tensors that the architecture may have"},
    {"--key", OPT_EDIT, EDIT_KEY, "KEY=TYPE:VALUE without the architecture's name; shapes follow it"},
    {"--set", OPT_EDIT, EDIT_SET, "KEY=TYPE:VALUE, KEY=TYPE[]:VALUE,VALUE"},
    {"--drop", OPT_EDIT, EDIT_DROP, "KEY"},
    {"--drop-tensor", OPT_EDIT, EDIT_DROP_TENSOR, "NAME"},
    {"--rename-tensor", OPT_EDIT, EDIT_RENAME_TENSOR, "NAME=NEW"},
};

static const struct {
    const char *name, *line;
} presets[] = {
    {"tiny", "--embd 256 --ff 512 --layers 4 --heads 8 --kv-heads 4 --ctx 512 --vocab 512"},
    {"500mb", "--embd 2048 --ff 5632 --layers 16 --heads 32 --kv-heads 4 --ctx 4096 --vocab 32000 --type Q4_K_M"},
    {"llama32-1b",
     "--embd 2048 --ff 8192 --layers 16 --heads 32 --kv-heads 8 --ctx 131072 --vocab 128256 --vocab-kind bpe "
     "--tied --rope-factors --rope-base 500000 --type Q4_K_M"},
    {"smollm3-3b",
     "--arch smollm3 --embd 2048 --ff 11008 --layers 36 --heads 16 --kv-heads 4 --ctx 65536 --vocab 128256 "
     "--vocab-kind bpe --pre smaug-bpe --type Q4_K_M"},
    {"llama3-8b",
     "--embd 4096 --ff 14336 --layers 32 --heads 32 --kv-heads 8 --ctx 8192 --vocab 128256 --vocab-kind bpe "
     "--rope-base 500000 --type Q4_K_M"},
    {"olmoe-7b",
     "--arch olmoe --embd 2048 --layers 16 --heads 16 --kv-heads 16 --ctx 4096 --vocab 50304 --vocab-kind bpe "
     "--key expert_count=u32:64 --key expert_used_count=u32:8 --key expert_feed_forward_length=u32:1024 "
     "--type Q4_K_M"},
};

void model_spec_help(void) {
    printf("make-model [options] OUT.gguf: a model with random weights\n\n");
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        printf("  %-16s %s\n", options[i].name, options[i].help);
    printf("\npresets\n");
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
        printf("  %-11s %s\n", presets[i].name, presets[i].line);
}

static bool use_preset(model_spec *s, const char *name, gguf_error *err) {
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++) {
        if (strcmp(name, presets[i].name) == 0) return model_spec_parse_line(s, presets[i].line, err);
    }
    return fail(err, GGUF_ERR_USAGE, "--preset %s is not known", name);
}

static bool add_edit(model_spec *s, edit_kind kind, char *value, gguf_error *err) {
    bool has_value = kind == EDIT_SET || kind == EDIT_KEY || kind == EDIT_RENAME_TENSOR;
    char *equals = has_value ? strchr(value, '=') : NULL;
    if (has_value && !equals) return fail(err, GGUF_ERR_USAGE, "%s: NAME=VALUE is expected", value);
    if (s->n_edits == MAX_EDITS) return fail(err, GGUF_ERR_USAGE, "more than %d edits", MAX_EDITS);
    if (equals) *equals = 0;
    s->edits[s->n_edits++] = (model_edit){kind, value, equals ? equals + 1 : NULL};
    return true;
}

static bool set_option(model_spec *s, size_t option, const char *value, gguf_error *err) {
    void *field = (char *)s + options[option].field;
    char *end = NULL;
    switch (options[option].kind) {
    case OPT_FLAG: *(bool *)field = true; return true;
    case OPT_PRESET: return use_preset(s, value, err);
    case OPT_U32: *(uint32_t *)field = (uint32_t)strtoul(value, &end, 0); break;
    case OPT_U64: *(uint64_t *)field = strtoull(value, &end, 0); break;
    case OPT_F64: *(double *)field = strtod(value, &end); break;
    case OPT_TEXT: return (*(const char **)field = arena_copy(&s->mem, value, strlen(value), err)) != NULL;
    case OPT_EDIT: {
        char *copy = arena_copy(&s->mem, value, strlen(value), err);
        return copy && add_edit(s, (edit_kind)options[option].field, copy, err);
    }
    }
    return (end != value && *end == 0) || fail(err, GGUF_ERR_USAGE, "%s %s: not a number", options[option].name, value);
}

bool model_spec_parse(model_spec *s, int argc, char *const *argv, const char **path, gguf_error *err) {
    size_t n_options = sizeof options / sizeof *options;
    for (int i = 0; i < argc; i++) {
        size_t o = 0;
        while (o < n_options && strcmp(argv[i], options[o].name) != 0) o++;
        if (o == n_options) {
            if (argv[i][0] == '-' || !path || *path)
                return fail(err, GGUF_ERR_USAGE, "unexpected argument %s", argv[i]);
            *path = argv[i];
            continue;
        }
        bool takes_value = options[o].kind != OPT_FLAG;
        if (takes_value && i + 1 == argc) return fail(err, GGUF_ERR_USAGE, "%s wants a value", argv[i]);
        if (!set_option(s, o, takes_value ? argv[++i] : NULL, err)) return false;
    }
    return true;
}

bool model_spec_parse_line(model_spec *s, const char *line, gguf_error *err) {
    char *argv[MAX_ARGUMENTS], *copy = strdup(line);
    int argc = 0;
    if (!copy) return fail_memory(err, "the options", strlen(line));
    for (char *save, *arg = strtok_r(copy, " ", &save); arg && argc < MAX_ARGUMENTS; arg = strtok_r(NULL, " ", &save)) {
        argv[argc++] = arg;
    }
    bool ok = model_spec_parse(s, argc, argv, NULL, err);
    free(copy);
    return ok;
}

void model_spec_free(model_spec *s) {
    arena_free(&s->mem);
    *s = (model_spec){0};
}
