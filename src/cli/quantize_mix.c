/* gguf-quantize: which tensor gets which type. The mixes and their rules are llama.cpp's, so that files of the same
 * name hold the same types; its exceptions for Falcon alone are left out. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "cli/quantize.h"

/* ---- the mixes ----------------------------------------------------------------------------------- */

/* clang-format off */
/* Places in the table, so that rules can name several. */
enum {
    M_F32, M_F16, M_BF16, M_Q4_0, M_Q4_1, M_Q5_0, M_Q5_1, M_Q8_0, M_Q2_K, M_Q2_K_S, M_Q3_K_S, M_Q3_K_M, M_Q3_K_L,
    M_Q4_K_S, M_Q4_K_M, M_Q5_K_S, M_Q5_K_M, M_Q6_K, M_IQ4_NL, M_IQ4_XS, M_TQ1_0, M_TQ2_0, M_MXFP4, M_MXFP4_MOE,
    M_COPY, N_MIXES,
};

const quant_mix quant_mixes[] = {
    [M_F32]       = {"F32", 0, QUANT_F32},
    [M_F16]       = {"F16", 1, QUANT_F16},
    [M_BF16]      = {"BF16", 32, QUANT_BF16},
    [M_Q4_0]      = {"Q4_0", 2, QUANT_Q4_0},
    [M_Q4_1]      = {"Q4_1", 3, QUANT_Q4_1},
    [M_Q5_0]      = {"Q5_0", 8, QUANT_Q5_0},
    [M_Q5_1]      = {"Q5_1", 9, QUANT_Q5_1},
    [M_Q8_0]      = {"Q8_0", 7, QUANT_Q8_0},
    [M_Q2_K]      = {"Q2_K", 10, QUANT_Q2_K},
    [M_Q2_K_S]    = {"Q2_K_S", 21, QUANT_Q2_K},
    [M_Q3_K_S]    = {"Q3_K_S", 11, QUANT_Q3_K},
    [M_Q3_K_M]    = {"Q3_K_M", 12, QUANT_Q3_K},
    [M_Q3_K_L]    = {"Q3_K_L", 13, QUANT_Q3_K},
    [M_Q4_K_S]    = {"Q4_K_S", 14, QUANT_Q4_K},
    [M_Q4_K_M]    = {"Q4_K_M", 15, QUANT_Q4_K},
    [M_Q5_K_S]    = {"Q5_K_S", 16, QUANT_Q5_K},
    [M_Q5_K_M]    = {"Q5_K_M", 17, QUANT_Q5_K},
    [M_Q6_K]      = {"Q6_K", 18, QUANT_Q6_K},
    [M_IQ4_NL]    = {"IQ4_NL", 25, QUANT_IQ4_NL},
    [M_IQ4_XS]    = {"IQ4_XS", 30, QUANT_IQ4_XS},
    [M_TQ1_0]     = {"TQ1_0", 36, QUANT_TQ1_0},
    [M_TQ2_0]     = {"TQ2_0", 37, QUANT_TQ2_0},
    [M_MXFP4]     = {"MXFP4", 38, QUANT_MXFP4},
    [M_MXFP4_MOE] = {"MXFP4_MOE", 38, QUANT_Q8_0},
    [M_COPY]      = {"COPY", -1, QUANT_F32},
    [N_MIXES]     = {0},
};
/* clang-format on */

const quant_mix *mix_find(const char *text) {
    char *end;
    long number = isdigit((unsigned char)*text) ? strtol(text, &end, 10) : -1;
    bool is_number = number >= 0 && *end == 0;
    for (const quant_mix *m = quant_mixes; m->name; m++) {
        if (is_number ? m->file_type == number : strcasecmp(text, m->name) == 0) return m;
    }
    return NULL;
}

bool mix_find_type(const char *text, quant_type *out) {
    for (int t = 0; t < QUANT_TYPE_COUNT; t++) {
        const quant_row *row = &quant_types[t];
        if (!row->name || strcasecmp(text, row->name) != 0 || (!row->encode && !row->store)) continue;
        *out = (quant_type)t;
        return true;
    }
    return false;
}

/* ---- what a tensor is ---------------------------------------------------------------------------- */

static bool contains(str s, const char *part) { return memmem(s.p, s.n, part, strlen(part)) != NULL; }

/* The layer in "blk.12.attn_q.weight"; 0 where none is named. */
static uint32_t layer_of(str name) {
    uint32_t layer = 0;
    if (!str_starts(name, STR("blk."))) return 0;
    for (size_t i = 4; i < name.n && isdigit((unsigned char)name.p[i]) && layer < 100000; i++)
        layer = layer * 10 + (uint32_t)(name.p[i] - '0');
    return layer;
}

bool mix_is_weight(const gguf_tensor *t) {
    static const char *const kept[] = {
        "_norm.weight", "ffn_gate_inp", "position_embd", "token_types", "ssm_conv1d",           "shortconv.conv",
        "attn_rel_b",   "altup",        "laurel",        "time_mix_",   "per_layer_model_proj",
    };
    const quant_row *row = &quant_types[t->type];
    if (!row->store && !row->unpack) return false; /* integers */
    if (t->n_elements == t->ne[0] || t->name.n < 6 || memcmp(t->name.p + t->name.n - 6, "weight", 6) != 0) return false;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        if (contains(t->name, kept[i])) return false;
    }
    return true;
}

bool mix_is_embedding(const gguf_tensor *t) { return str_is(t->name, "token_embd.weight"); }

bool mix_is_output(const mix_model *m, const gguf_tensor *t) {
    return str_is(t->name, "output.weight") || (m->tied && mix_is_embedding(t));
}

/* What rules call a tensor. */
typedef enum { OUTPUT, EMBEDDING, ATTN_V, ATTN_K, ATTN_QKV, ATTN_OUTPUT, FFN_DOWN, EXPERTS, OTHER } tensor_role;

static bool has_role(const mix_model *m, const gguf_tensor *t, tensor_role role) {
    switch (role) {
    case OUTPUT: return mix_is_output(m, t);
    case EMBEDDING: return mix_is_embedding(t) || str_is(t->name, "per_layer_token_embd.weight");
    case ATTN_V: return contains(t->name, "attn_v.weight");
    case ATTN_K: return contains(t->name, "attn_k.weight");
    case ATTN_QKV: return contains(t->name, "attn_qkv.weight");
    case ATTN_OUTPUT: return contains(t->name, "attn_output.weight");
    case FFN_DOWN: return contains(t->name, "ffn_down");
    case EXPERTS: return t->ne[2] > 1;
    case OTHER: break;
    }
    return true;
}

/* ---- the model ----------------------------------------------------------------------------------- */

/* A hyper-parameter of the file's architecture, of its first layer where there is one for each; 0: not there. */
static uint32_t param_of(const gguf_file *f, const char *name) {
    char key[256];
    str arch;
    int64_t v = 0;
    const gguf_kv *kv = gguf_file_find_kv(f, STR("general.architecture"));
    if (!kv || !kv_string(kv, &arch)) return 0;
    snprintf(key, sizeof key, "%.*s.%s", STR_ARG(arch), name);
    kv = gguf_file_find_kv(f, str_of(key));
    return kv && kv_int(kv, 0, &v) && v > 0 && v <= UINT32_MAX ? (uint32_t)v : 0;
}

bool mix_model_open(mix_model *m, const gguf_file *f, gguf_error *err) {
    uint32_t heads = param_of(f, "attention.head_count"), kv_heads = param_of(f, "attention.head_count_kv");
    *m = (mix_model){.n_expert = param_of(f, "expert_count"), .n_group = kv_heads ? heads / kv_heads : 1};
    m->tied = !gguf_file_find_tensor(f, STR("output.weight"));
    for (size_t i = 0; i < gguf_file_tensor_count(f); i++) {
        uint32_t layer = layer_of(gguf_file_tensor(f, i)->name);
        if (layer >= m->n_layer) m->n_layer = layer + 1;
    }
    m->values = calloc((size_t)m->n_layer + 1, sizeof *m->values);
    if (!m->values) return fail_memory(err, "the layers", m->n_layer * sizeof *m->values);
    for (size_t i = 0; i < gguf_file_tensor_count(f); i++) {
        const gguf_tensor *t = gguf_file_tensor(f, i);
        if (has_role(m, t, ATTN_V) || has_role(m, t, ATTN_QKV)) m->values[layer_of(t->name)] = 1;
    }
    for (uint32_t i = 0; i < m->n_layer; i++) { /* from marks to counts of those before */
        uint32_t here = m->values[i];
        m->values[i] = m->n_values;
        m->n_values += here;
    }
    return true;
}

void mix_model_close(mix_model *m) { free(m->values); }

/* ---- the rules ----------------------------------------------------------------------------------- */

/* clang-format off */
/* Where among the layers, or in what models, a rule holds. */
typedef enum {
    ALWAYS, FIRST_TWO, FIRST_FOUR, FIRST_SIXTEENTH, FIRST_EIGHTH,
    MORE_BITS,   /* the first and the last eighth, and every third between them */
    GROUPED,     /* four query heads or more share a key: then v is small */
    EIGHT_EXPERTS,
    SEVENTY_B,   /* 80 layers, 8 query heads to a key */
} condition;
/* clang-format on */

static bool holds(condition c, const mix_model *m, uint32_t i, uint32_t n) {
    switch (c) {
    case ALWAYS: return true;
    case FIRST_TWO: return i < 2;
    case FIRST_FOUR: return i < 4;
    case FIRST_SIXTEENTH: return i < n / 16;
    case FIRST_EIGHTH: return i < n / 8;
    case MORE_BITS: return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
    case GROUPED: return m->n_group >= 4;
    case EIGHT_EXPERTS: return m->n_expert == 8;
    case SEVENTY_B: return m->n_layer == 80 && m->n_group == 8;
    }
    return false;
}

/* clang-format off */
#define IN(mix) (1u << M_##mix)
#define ALL_BLOCKS (~(IN(F32) | IN(F16) | IN(BF16) | IN(COPY)))
#define IQ4     (IN(IQ4_NL) | IN(IQ4_XS))
#define MXFP4S  (IN(MXFP4) | IN(MXFP4_MOE))

/* The first that holds counts. */
static const struct {
    unsigned mixes;
    tensor_role role;
    condition when;
    quant_type type;
} rules[] = {
    {IN(Q8_0) | MXFP4S, OUTPUT, ALWAYS, QUANT_Q8_0},
    {ALL_BLOCKS, OUTPUT, ALWAYS, QUANT_Q6_K},
    {IN(TQ1_0) | IN(TQ2_0), EMBEDDING, ALWAYS, QUANT_Q4_K},
    {IN(MXFP4_MOE), EXPERTS, ALWAYS, QUANT_MXFP4},

    {ALL_BLOCKS, ATTN_V, EIGHT_EXPERTS, QUANT_Q8_0},
    {IN(Q4_K_M) | IN(Q5_K_M), ATTN_V, MORE_BITS, QUANT_Q6_K},
    {IN(Q2_K) | IN(Q3_K_S) | IN(Q3_K_M) | IN(Q3_K_L) | IN(Q4_K_S) | IN(Q4_K_M), ATTN_V, SEVENTY_B, QUANT_Q5_K},
    {IN(Q2_K) | IN(Q2_K_S), ATTN_V, GROUPED, QUANT_Q4_K},
    {IN(Q2_K), ATTN_V, ALWAYS, QUANT_Q3_K},
    {IN(Q3_K_M), ATTN_V, FIRST_TWO, QUANT_Q5_K},
    {IN(Q3_K_M), ATTN_V, ALWAYS, QUANT_Q4_K},
    {IN(Q3_K_L), ATTN_V, ALWAYS, QUANT_Q5_K},
    {IN(Q4_K_S), ATTN_V, FIRST_FOUR, QUANT_Q5_K},
    {IQ4, ATTN_V, GROUPED, QUANT_Q5_K},

    {ALL_BLOCKS, ATTN_K, EIGHT_EXPERTS, QUANT_Q8_0},

    {IN(Q2_K), FFN_DOWN, ALWAYS, QUANT_Q3_K},
    {IN(Q2_K_S), FFN_DOWN, FIRST_EIGHTH, QUANT_Q4_K},
    {IN(Q3_K_M), FFN_DOWN, FIRST_SIXTEENTH, QUANT_Q5_K},
    {IN(Q3_K_M), FFN_DOWN, ALWAYS, QUANT_Q4_K},
    {IN(Q3_K_L), FFN_DOWN, ALWAYS, QUANT_Q5_K},
    {IN(Q4_K_M) | IN(Q5_K_M), FFN_DOWN, MORE_BITS, QUANT_Q6_K},
    {IN(Q4_K_S) | IQ4, FFN_DOWN, FIRST_EIGHTH, QUANT_Q5_K},

    {IN(Q2_K) | IN(Q3_K_S) | IN(Q3_K_M) | IN(Q4_K_S) | IN(Q4_K_M) | IQ4, ATTN_OUTPUT, EIGHT_EXPERTS, QUANT_Q5_K},
    {IN(Q2_K), ATTN_OUTPUT, ALWAYS, QUANT_Q3_K},
    {IN(Q3_K_M), ATTN_OUTPUT, ALWAYS, QUANT_Q4_K},
    {IN(Q3_K_L), ATTN_OUTPUT, ALWAYS, QUANT_Q5_K},

    {IN(Q3_K_M) | IN(Q3_K_L), ATTN_QKV, ALWAYS, QUANT_Q4_K},
    {IN(Q4_K_M), ATTN_QKV, ALWAYS, QUANT_Q5_K},
    {IN(Q5_K_M), ATTN_QKV, ALWAYS, QUANT_Q6_K},
};
/* clang-format on */

quant_type mix_type(const quant_mix *mix, const mix_model *m, const gguf_tensor *t) {
    unsigned bit = 1u << (mix - quant_mixes);
    uint32_t layer = layer_of(t->name);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (!(rules[i].mixes & bit) || !has_role(m, t, rules[i].role)) continue;
        bool of_values = rules[i].role == ATTN_V;
        if (holds(rules[i].when, m, of_values ? m->values[layer] : layer, of_values ? m->n_values : m->n_layer))
            return rules[i].type;
    }
    return mix->type;
}

quant_type mix_type_that_fits(quant_type type, uint64_t n) {
    static const struct {
        quant_type from, to;
    } smaller[] = {{QUANT_Q4_K, QUANT_Q5_0},
                   {QUANT_Q5_K, QUANT_Q5_1},
                   {QUANT_Q6_K, QUANT_Q8_0},
                   {QUANT_TQ1_0, QUANT_Q4_0},
                   {QUANT_TQ2_0, QUANT_Q4_0}};
    quant_type found = type;
    if (n % quant_types[type].block == 0) return type;
    if (quant_types[type].block == 256) found = QUANT_IQ4_NL;
    for (size_t i = 0; i < sizeof smaller / sizeof *smaller; i++) {
        if (smaller[i].from == type) found = smaller[i].to;
    }
    return n % quant_types[found].block == 0 ? found : QUANT_F16;
}
