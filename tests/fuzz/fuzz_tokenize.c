/*
 * libFuzzer target: a small vocabulary of any kind, made from the input, and a text. What must hold: ids lie in the
 * vocabulary; a text that is tokenized twice gives the same; where every byte is a token, the text comes back.
 *
 * The input: kind, flags, pre-tokenizer, number of names; each name as a byte of type and length, a byte of score and
 * its bytes; pairs of bytes, the merges, ended by two equal ones; a byte for the length of a map of characters, in
 * words, and the map; the text.
 */
#include "tests/unit/vocab_builder.h"
#include "text/pretokenize.h"

enum { MAX_NAMES = 32, BYTES_FLAG = 1, SPACE_FLAG = 2, PREFIX_FLAG = 4, SPECIAL_FLAG = 8, REPEAT_FLAG = 16 };

static const char *const pres[] = {
    "default",  "gpt-2",    "smollm",         "llama-bpe",    "qwen2",    "qwen35",    "gpt-4o",
    "tekken",   "kimi-k2",  "falcon",         "bloom",        "viking",   "chameleon", "seed-coder",
    "afmoe",    "superbpe", "deepseek-coder", "deepseek-v3",  "tiny_aya", "jais-2",    "exaone-moe",
    "minicpm5", "laguna",   "youtu",          "deepseek-llm",
};
static const char *const kinds[] = {"llama", "gpt2", "t5", "bert"};
enum { SPM, BPE, UNIGRAM, WORDPIECE };

typedef struct {
    const uint8_t *p, *end;
} input;

static uint8_t take(input *in) { return in->p < in->end ? *in->p++ : 0; }

static str take_str(input *in, size_t n) {
    size_t left = (size_t)(in->end - in->p);
    str s = {(const char *)in->p, n < left ? n : left};
    in->p += s.n;
    return s;
}

typedef struct {
    str names[256 + MAX_NAMES];
    char bytes[256][8];
    uint32_t types[256 + MAX_NAMES];
    float scores[256 + MAX_NAMES];
    size_t n;
    bool user_defined;
} tokens;

static void add(tokens *t, str name, uint32_t type, float score) {
    t->names[t->n] = name;
    t->types[t->n] = type;
    t->scores[t->n++] = score;
}

static void make_tokens(tokens *t, input *in, int kind, bool bytes, size_t n) {
    for (int i = 0; i < 256 && bytes && kind != WORDPIECE; i++) {
        if (kind == BPE)
            add(t, (str){t->bytes[i], alphabet((uint8_t)i, t->bytes[i])}, 1, 0);
        else
            add(t, (str){t->bytes[i], (size_t)snprintf(t->bytes[i], 8, "<0x%02X>", (unsigned)i)}, 6, 0);
    }
    for (size_t i = 0; i < n; i++) {
        uint8_t head = take(in);
        float score = (float)(int8_t)take(in) / 4;
        uint32_t type = 1 + head % 5;
        t->user_defined = t->user_defined || type == 4;
        add(t, take_str(in, head / 8), type, score);
    }
}

static void put_tokens(builder *b, const tokens *t) {
    put_array(b, "tokenizer.ggml.tokens", KV_STRING, t->n);
    for (size_t i = 0; i < t->n; i++) put_str(b, t->names[i]);
    put_array(b, "tokenizer.ggml.scores", KV_F32, t->n);
    for (size_t i = 0; i < t->n; i++) put(b, &t->scores[i], 4);
    put_array(b, "tokenizer.ggml.token_type", KV_I32, t->n);
    for (size_t i = 0; i < t->n; i++) put_int(b, t->types[i], 4);
}

static void put_pairs(builder *b, const tokens *t, input *in) {
    str lines[64];
    char text[64][160];
    size_t n = 0;
    for (; n < 64; n++) {
        uint8_t left = take(in), right = take(in);
        if (left == right && n > 0) break;
        str l = t->names[(256 + (size_t)left) % t->n], r = t->names[(256 + (size_t)right) % t->n];
        if (left & 1) l = t->names[left % t->n];
        if (right & 1) r = t->names[right % t->n];
        int size = snprintf(text[n], sizeof text[n], "%.*s %.*s", STR_ARG(l), STR_ARG(r));
        lines[n] = (str){text[n], (size_t)size < sizeof text[n] ? (size_t)size : sizeof text[n] - 1};
    }
    put_array(b, "tokenizer.ggml.merges", KV_STRING, n);
    for (size_t i = 0; i < n; i++) put_str(b, lines[i]);
}

static void put_map(builder *b, input *in) {
    str map = take_str(in, 4 * (size_t)take(in));
    if (map.n < 8) return;
    put_array(b, "tokenizer.ggml.precompiled_charsmap", KV_U8, 4 + map.n + 1);
    put_int(b, map.n / 2 / 4 * 4, 4);
    put(b, map.p, map.n);
    put_int(b, 0, 1);
}

static void demand(bool holds_true, const char *what) {
    if (holds_true) return;
    fprintf(stderr, "does not hold: %s\n", what);
    abort();
}

static void check_text(const gguf_vocab *v, str text, bool parse_special, bool exact) {
    gguf_tokenize_params params = {.no_bos = exact, .parse_special = parse_special && !exact};
    gguf_error err = {0};
    int32_t *ids, *again;
    ptrdiff_t n = gguf_vocab_tokenize(v, text.p, text.n, &params, &ids, &err);
    if (n < 0) {
        demand(err.code == GGUF_ERR_MODEL && *err.message, "an error says why");
        return;
    }
    for (ptrdiff_t i = 0; i < n; i++)
        demand(ids[i] >= 0 && (uint32_t)ids[i] < gguf_vocab_size(v), "an id of the vocabulary");
    demand(gguf_vocab_tokenize(v, text.p, text.n, &params, &again, NULL) == n, "the same count again");
    demand(n == 0 || memcmp(ids, again, (size_t)n * sizeof *ids) == 0, "the same ids again");
    free(ids);
    free(again);
    if (exact) demand(comes_back(v, text), "the text comes back");
}

static int run(input *in) {
    int kind = take(in) % 4;
    uint8_t flags = take(in);
    const char *pre = pres[take(in) % COUNT(pres)];
    tokens *t = calloc(1, sizeof *t);
    builder b = {0};
    gguf_error err = {0};
    make_tokens(t, in, kind, flags & BYTES_FLAG, 1 + take(in) % MAX_NAMES);
    put_text(&b, "tokenizer.ggml.model", kinds[kind]);
    put_tokens(&b, t);
    put_bool(&b, "tokenizer.ggml.add_space_prefix", flags & PREFIX_FLAG);
    put_bool(&b, "tokenizer.ggml.remove_extra_whitespaces", flags & SPACE_FLAG);
    put_u32(&b, "tokenizer.ggml.unknown_token_id", flags & BYTES_FLAG ? 0 : 0xFFFFFFFF);
    if (kind == BPE) {
        put_text(&b, "tokenizer.ggml.pre", pre);
        put_pairs(&b, t, in);
    }
    if (kind == UNIGRAM) put_map(&b, in);
    if (flags & SPECIAL_FLAG) put_text(&b, "general.name", "phi-3");
    bool exact = (kind == BPE || (kind == SPM && !t->user_defined)) && (flags & BYTES_FLAG) && !(flags & SPECIAL_FLAG);
    gguf_vocab *v = load(&b, NULL, &err);
    free(t);
    demand(v || (err.code && *err.message), "an error says why");
    if (!v) return 0;
    str text = take_str(in, SIZE_MAX);
    check_text(v, text, flags & SPECIAL_FLAG, exact);
    if ((flags & REPEAT_FLAG) && text.n > 0) { /* long enough for words to be remembered */
        size_t n = 2048 / text.n + 2;
        char *longer = malloc(n * text.n);
        for (size_t i = 0; i < n; i++) memcpy(longer + i * text.n, text.p, text.n);
        check_text(v, (str){longer, n * text.n}, flags & SPECIAL_FLAG, exact);
        free(longer);
    }
    vocab_free(v);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    input in = {data, data + n};
    return run(&in);
}
