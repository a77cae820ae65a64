/* SentencePiece vocabularies, and hostile ones of every kind. */
#include "tests/unit/vocab_builder.h"

/* ---- a SentencePiece vocabulary -------------------------------------------------------------- */

typedef struct {
    str name;
    int32_t type;
    float score;
} piece;

enum {
    S_UNK,
    S_BOS,
    S_EOS,
    S_BYTES,
    S_SPACE = S_BYTES + 256,
    S_A,
    S_B,
    S_AB,
    S_SPACE_A,
    S_SPACES,
    S_BA,
    S_USER,
    S_AE,
    SPM_TOKENS
};

static const piece spm_head[] = {{STR("<unk>"), 2, 0}, {STR("<s>"), 3, 0}, {STR("</s>"), 3, 0}};
static const piece spm_tail[] = {
    {STR(SPACE), 1, -10}, {STR("a"), 1, -11},      {STR("b"), 1, -12},
    {STR("ab"), 1, -1},   {STR(SPACE "a"), 1, -3}, {STR(SPACE SPACE), 1, -2},
    {STR("ba"), 1, -1},   {STR("<user>"), 4, 0},   {STR("\xC3\xA4"), 1, -5},
};

/* All keys but the one to leave out. */
static void put_spm(builder *b, const char *without) {
    bool bytes = !without || strcmp(without, "bytes") != 0;
    size_t n_bytes = bytes ? 256 : 0, n = COUNT(spm_head) + n_bytes + COUNT(spm_tail);
    const char *keys[] = {"tokenizer.ggml.model", "tokenizer.ggml.tokens", "tokenizer.ggml.scores",
                          "tokenizer.ggml.token_type"};
    bool wanted[4];
    for (int i = 0; i < 4; i++) wanted[i] = !without || strcmp(without, keys[i]) != 0;
    if (wanted[0]) put_text(b, keys[0], "llama");
    for (int k = 1; k < 4; k++) {
        if (!wanted[k]) continue;
        put_array(b, keys[k], k == 1 ? KV_STRING : k == 2 ? KV_F32 : KV_I32, n);
        for (size_t i = 0; i < n; i++) {
            char byte[8];
            piece p = {{byte, 6}, 6, 0};
            if (i < COUNT(spm_head))
                p = spm_head[i];
            else if (i >= COUNT(spm_head) + n_bytes)
                p = spm_tail[i - COUNT(spm_head) - n_bytes];
            else
                snprintf(byte, sizeof byte, "<0x%02X>", (unsigned)(i - COUNT(spm_head)) & 0xFF);
            if (k == 1) put_str(b, p.name);
            if (k == 2) put(b, &p.score, 4);
            if (k == 3) put_int(b, (uint32_t)p.type, 4);
        }
    }
}

static void test_spm(void) {
    builder b = {0};
    gguf_error err = {0};
    put_spm(&b, NULL);
    put_bool(&b, "tokenizer.ggml.add_eos_token", true);
    gguf_vocab *v = load(&b, NULL, &err);
    CHECK(v != NULL && warnings == 0);
    CHECK(gguf_vocab_bos(v) == S_BOS && gguf_vocab_eos(v) == S_EOS);
    CHECK(gguf_vocab_adds_bos(v) && gguf_vocab_adds_eos(v) && gguf_vocab_is_end(v, S_EOS));
    CHECK(gguf_vocab_type(v, S_BYTES + 10) == GGUF_TOKEN_BYTE);
    CHECK_IDS(v, "a", (gguf_tokenize_params){0}, S_BOS, S_SPACE_A, S_EOS);
    CHECK_IDS(v, "", (gguf_tokenize_params){0}, S_BOS, S_EOS);
    CHECK_IDS(v, "a", plain, S_SPACE_A);
    CHECK_IDS(v, "ab", plain, S_SPACE, S_AB); /* the higher score wins */
    CHECK_IDS(v, " a", plain, S_SPACES, S_A);
    CHECK_IDS(v, "   ", plain, S_SPACES, S_SPACES);
    CHECK_IDS(v, "bab", plain, S_SPACE, S_BA, S_B); /* of equals the leftmost */
    CHECK_IDS(v, "b a", plain, S_SPACE, S_B, S_SPACE_A);
    CHECK_IDS(v, "c\n", plain, S_SPACE, S_BYTES + 'c', S_BYTES + '\n');
    CHECK_IDS(v, "\xC3\xA4\xC3", plain, S_SPACE, S_AE, S_BYTES + 0xC3);
    CHECK_IDS(v, "<s>", plain, S_SPACE, S_BYTES + '<', S_BYTES + 's', S_BYTES + '>');
    CHECK_IDS(v, "<s>a</s>", special, S_BOS, S_SPACE_A, S_EOS);
    CHECK_IDS(v, "a<user>a", plain, S_SPACE_A, S_USER, S_SPACE_A); /* the prefix comes after a special token, too */
    CHECK_IDS(v, "<0x41>", plain, S_SPACE, S_BYTES + '<', S_BYTES + '0', S_BYTES + 'x', S_BYTES + '4', S_BYTES + '1',
              S_BYTES + '>');
    CHECK_IDS(v, SPACE, plain, S_SPACE, S_BYTES + 0xE2, S_BYTES + 0x96, S_BYTES + 0x81);
    char text[200];
    size_t lost = 0;
    for (int i = 0; i < 2000; i++) {
        size_t n = random_below(sizeof text);
        for (size_t k = 0; k < n; k++)
            text[k] = i % 2 ? (char)random_below(256) : "ab  \xC3\xA4\xE2\x96\x81\n"[random_below(10)];
        lost += !comes_back(v, (str){text, n});
    }
    CHECK(lost == 0);

    gguf_detokenizer state = {0}, loud = {.special = true}, inside = {.inside = true};
    char out[64];
    CHECK(detokenize(v, &state, S_BOS, out) == 0);
    CHECK(detokenize(v, &state, S_SPACE_A, out) == 1 && strcmp(out, "a") == 0); /* the text begins here */
    CHECK(detokenize(v, &state, S_SPACE_A, out) == 2 && strcmp(out, " a") == 0);
    CHECK(detokenize(v, &inside, S_SPACES, out) == 2 && strcmp(out, "  ") == 0);
    CHECK(detokenize(v, &loud, S_EOS, out) == 4 && strcmp(out, "</s>") == 0);
    CHECK(detokenize(v, &state, S_UNK, out) == 0 && detokenize(v, &state, S_USER, out) == 6);
    vocab_free(v);
}

static void test_spm_fallbacks(void) {
    gguf_error err = {0};
    int32_t *ids;
    builder b = {0};
    put_spm(&b, "bytes"); /* no byte tokens: an unknown token */
    gguf_vocab *v = load(&b, NULL, &err);
    CHECK(v != NULL);
    CHECK_IDS(v, "\xE4\xBD\xA0 z", plain, 3, S_UNK, 3, S_UNK);
    vocab_free(v);

    put_spm(&b, "bytes");
    put_u32(&b, "tokenizer.ggml.unknown_token_id", 0xFFFFFFFF); /* nor an unknown token */
    v = load(&b, NULL, &err);
    CHECK(v != NULL && err.code == GGUF_OK);
    CHECK(gguf_vocab_tokenize(v, "az", 2, NULL, &ids, &err) == -1 && ids == NULL && err.code == GGUF_ERR_MODEL);
    vocab_free(v);

    put_spm(&b, "tokenizer.ggml.token_type"); /* all normal, but bytes are still bytes */
    put_bool(&b, "tokenizer.ggml.add_space_prefix", false);
    put_bool(&b, "tokenizer.ggml.add_bos_token", false);
    err = (gguf_error){0};
    v = load(&b, NULL, &err);
    CHECK(v != NULL);
    CHECK_IDS(v, "az", (gguf_tokenize_params){0}, S_A, S_BYTES + 'z');
    CHECK_IDS(v, SPACE "a", plain, S_BYTES + 0xE2, S_BYTES + 0x96, S_BYTES + 0x81, S_A); /* was an offset to NULL */
    CHECK(comes_back(v, STR(" az")));
    vocab_free(v);

    put_spm(&b, "tokenizer.ggml.scores"); /* all equal: from left to right */
    v = load(&b, "gpt-2", &err);
    CHECK(v != NULL && warnings == 1); /* there is nothing a pre-tokenizer could do here */
    CHECK_IDS(v, "bab", plain, S_SPACE, S_BA, S_B);
    vocab_free(v);
}

/* Phi-3's tokenizer takes away white space after special tokens, but for three of them. */
static void test_stripped_space(void) {
    builder b = {0};
    gguf_error err = {0};
    put_spm(&b, NULL);
    put_text(&b, "general.name", "My Phi-3-mini");
    gguf_vocab *v = load(&b, NULL, &err);
    CHECK(v != NULL);
    CHECK_IDS(v, "<s> a</s> \n\ta</s> ", special, S_BOS, S_SPACES, S_A, S_EOS, S_SPACE_A, S_EOS);
    CHECK_IDS(v, "a <user>  a", plain, S_SPACE_A, S_SPACE, S_USER, S_SPACE_A);
    vocab_free(v);
    put_spm(&b, NULL);
    put_text(&b, "general.name", "Phi-4");
    v = load(&b, NULL, &err);
    CHECK_IDS(v, "</s> a", special, S_EOS, S_SPACES, S_A);
    vocab_free(v);
}

/* Without byte tokens, one unknown token stands for unknown characters in a row, wherever words are cut, as in
 * SentencePiece. */
static void test_unknown_characters_in_a_row(void) {
    gguf_error err = {0};
    builder b = {0};
    put_spm(&b, "bytes");
    gguf_vocab *v = load(&b, NULL, &err);
    CHECK(v != NULL);
    CHECK_IDS(v, "\xF0\x9F\x98\x80\xE4\xBD\xA0", plain, 3, S_UNK);
    CHECK_IDS(v, "zzz z", plain, 3, S_UNK, 3, S_UNK);
    vocab_free(v);
    put_spm(&b, NULL); /* the unknown token is one that text becomes: a byte's */
    put_u32(&b, "tokenizer.ggml.unknown_token_id", S_BYTES + 1);
    v = load(&b, NULL, &err);
    CHECK(v != NULL);
    CHECK_IDS(v, "\x01\x01", plain, S_SPACE, S_BYTES + 1, S_BYTES + 1);
    vocab_free(v);
}

/* Words are cut where no name joins two bytes: never inside a character, nor where U+2581 is taken for a space. */
static void test_cuts(void) {
    gguf_error err = {0};
    builder b = {0};
    put_spm(&b, "bytes");
    gguf_vocab *v = load(&b, NULL, &err);
    CHECK(v != NULL);
    CHECK_IDS(v, "b" SPACE SPACE "a" SPACE "a", plain, 3, 5, 8, 4, 7);
    CHECK_IDS(v, "b" SPACE " a", plain, 3, 5, 8, 4);
    vocab_free(v);
    put_spm(&b, NULL);
    v = load(&b, NULL, &err);
    static char text[8000]; /* long enough for words to be remembered, and with one beside the other */
    static int32_t expected[COUNT(text)];
    size_t n = 0;
    for (size_t i = 0; i < sizeof text; i += 4)
        memcpy(text + i,
               i % 8 ? "ab a"
                     : "\xC3\xA4"
                       "b ",
               4);
    expected[n++] = S_SPACE;
    for (size_t i = 0; i < sizeof text; i += 8) {
        const int32_t ids[] = {S_AE, S_B, S_SPACE, S_AB, S_SPACE_A};
        for (size_t k = 0; k < COUNT(ids); k++) expected[n++] = ids[k];
    }
    check_ids(v, (str){text, sizeof text}, plain, expected, n);
    vocab_free(v);
}

/* ---- hostile vocabularies -------------------------------------------------------------------- */

static void one_string(builder *b, const char *key, const char *value) {
    put_array(b, key, KV_STRING, 1);
    put_str(b, str_of(value));
}
static void numbers(builder *b, const char *key, kv_type elem, size_t n) {
    put_array(b, key, elem, n);
    for (size_t i = 0; i < n; i++) put_int(b, 1, kv_type_size(elem));
}

static void tokens_of_u32(builder *b) { numbers(b, "tokenizer.ggml.tokens", KV_U32, 300); }
static void tokens_a_string(builder *b) { put_text(b, "tokenizer.ggml.tokens", "a"); }
static void tokens_none(builder *b) { put_array(b, "tokenizer.ggml.tokens", KV_STRING, 0); }
static void tokens_one(builder *b) { one_string(b, "tokenizer.ggml.tokens", "a"); }
static void tokens_huge(builder *b) {
    put_array(b, "tokenizer.ggml.tokens", KV_STRING, 2);
    put_str(b, STR("a"));
    char *name = calloc(1, 70000);
    put_str(b, (str){name, 70000});
    free(name);
}
static void scores_short(builder *b) { numbers(b, "tokenizer.ggml.scores", KV_F32, 10); }
static void scores_strings(builder *b) { one_string(b, "tokenizer.ggml.scores", "1"); }
static void scores_ints(builder *b) { numbers(b, "tokenizer.ggml.scores", KV_I32, 300); }
static void types_short(builder *b) { numbers(b, "tokenizer.ggml.token_type", KV_I32, 10); }
static void types_floats(builder *b) { numbers(b, "tokenizer.ggml.token_type", KV_F32, 300); }
static void types_all_bytes(builder *b) {
    put_array(b, "tokenizer.ggml.token_type", KV_I32, SPM_TOKENS);
    for (int i = 0; i < SPM_TOKENS; i++) put_int(b, 6, 4);
}
static void bos_too_large(builder *b) { put_u32(b, "tokenizer.ggml.bos_token_id", SPM_TOKENS); }
static void bos_negative(builder *b) {
    put_key(b, "tokenizer.ggml.bos_token_id", KV_I64);
    put_int(b, (uint64_t)-7, 8);
}
static void eot_text(builder *b) { put_text(b, "tokenizer.ggml.eot_token_id", "2"); }
static void eos_array(builder *b) { numbers(b, "tokenizer.ggml.eos_token_id", KV_U32, 1); }
static void add_bos_number(builder *b) { put_u32(b, "tokenizer.ggml.add_bos_token", 1); }
static void add_space_text(builder *b) { put_text(b, "tokenizer.ggml.add_space_prefix", "true"); }
static void model_unknown(builder *b) { put_text(b, "tokenizer.ggml.model", "plamo2"); }
static void model_number(builder *b) { put_u32(b, "tokenizer.ggml.model", 1); }
static void model_gpt2(builder *b) { put_text(b, "tokenizer.ggml.model", "gpt2"); }
static void pre_unknown(builder *b) {
    model_gpt2(b);
    put_text(b, "tokenizer.ggml.pre", "gpt-3\x1b");
    one_string(b, "tokenizer.ggml.merges", "a b");
}
static void pre_number(builder *b) {
    model_gpt2(b);
    put_u32(b, "tokenizer.ggml.pre", 7);
}
static void merges_numbers(builder *b) {
    model_gpt2(b);
    numbers(b, "tokenizer.ggml.merges", KV_U8, 5);
}

static void test_hostile(void) {
    static const char tokens[] = "tokenizer.ggml.tokens", scores[] = "tokenizer.ggml.scores",
                      model[] = "tokenizer.ggml.model", types[] = "tokenizer.ggml.token_type";
    static const struct {
        const char *without;
        void (*add)(builder *b);
        const char *says; /* what the message must contain */
    } rows[] = {
        {tokens, NULL, "tokenizer.ggml.tokens is missing"},
        {tokens, tokens_of_u32, "array of strings"},
        {tokens, tokens_a_string, "array of strings"},
        {tokens, tokens_none, "0 tokens"},
        {tokens, tokens_huge, "token 1 has 70000 bytes"},
        {scores, scores_short, "10 scores"},
        {scores, scores_strings, "string"},
        {scores, scores_ints, "i32"},
        {types, types_short, "10 types"},
        {types, types_floats, "f32"},
        {types, types_all_bytes, "\"<unk>\" and not <0xNN>"},
        {NULL, bos_too_large, "tokenizer.ggml.bos_token_id is 268, but there are only 268 tokens"},
        {NULL, bos_negative, "tokenizer.ggml.bos_token_id is -7"},
        {NULL, eot_text, "tokenizer.ggml.eot_token_id must be a u32"},
        {NULL, eos_array, "tokenizer.ggml.eos_token_id"},
        {NULL, add_bos_number, "tokenizer.ggml.add_bos_token must be a bool"},
        {NULL, add_space_text, "tokenizer.ggml.add_space_prefix must be a bool"},
        {model, model_unknown, "plamo2"},
        {model, model_number, "tokenizer.ggml.model must be a string"},
        {model, pre_unknown, "the pre-tokenizer gpt-3? (tokenizer.ggml.pre) is not known"},
        {model, pre_number, "tokenizer.ggml.pre must be a string"},
        {model, model_gpt2, "tokenizer.ggml.merges is missing"},
        {model, merges_numbers, "tokenizer.ggml.merges must be an array of strings"},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        builder b = {0};
        gguf_error err = {0};
        put_spm(&b, rows[i].without);
        if (rows[i].add) rows[i].add(&b);
        CHECK(load(&b, NULL, &err) == NULL);
        bool as_expected = err.code == GGUF_ERR_MODEL && strstr(err.message, rows[i].says);
        CHECK(as_expected);
        if (!as_expected) fprintf(stderr, "  row %zu: code %d: %s\n", i, err.code, err.message);
    }
    builder b = {0};
    gguf_error err = {0};
    put_spm(&b, model); /* no vocabulary at all is no error */
    CHECK(load(&b, NULL, &err) == NULL && err.code == GGUF_OK);
    put_spm(&b, model);
    put_text(&b, model, "no_vocab");
    CHECK(load(&b, NULL, &err) == NULL && err.code == GGUF_OK);
    put_spm(&b, tokens); /* too many scores and types are none either */
    tokens_one(&b);
    gguf_vocab *v = load(&b, NULL, &err);
    CHECK(v != NULL && gguf_vocab_bos(v) == GGUF_NO_TOKEN && gguf_vocab_size(v) == 1);
    vocab_free(v);
}

/* Names that are empty, not UTF-8, hold NULs, or stand there twice; merges of all kinds. */
static void test_odd_names(void) {
    char long_name[300];
    memset(long_name, '<', sizeof long_name);
    const token odd[] = {
        {STR(""), 1},
        {STR(""), 3},
        {STR(""), 4},
        {STR("\xFF\xC3"), 1},
        {STR("\0\0"), 4},
        {STR("<|im_end|>"), 1},
        {STR("x y"), 4},
        {STR("x y"), 3},
        {STR("ab"), 77},
        {STR("<0xZZ>"), 6},
        {{long_name, sizeof long_name}, 4},
    };
    static const char *const merges[] = {"",    " ",    "a",   "a ",        " a",        "a b",
                                         "a b", "a  b", "q z", "\xFF \xFF", "a \xC4\xA0"};
    builder b = {0};
    gguf_error err = {0};
    put_bpe_tokens(&b, odd, COUNT(odd));
    put_merges(&b, merges, COUNT(merges));
    gguf_vocab *v = load(&b, NULL, &err);
    CHECK(v != NULL);
    CHECK(warnings == 3); /* merges, a name too long to be looked for, no pre-tokenizer */
    CHECK(gguf_vocab_type(v, 256 + 5) == GGUF_TOKEN_CONTROL && gguf_vocab_is_end(v, 256 + 5));
    CHECK(gguf_vocab_type(v, 256 + 8) == GGUF_TOKEN_NORMAL);
    CHECK_IDS(v, "a\0\0b", plain, 'a', 256 + 4, 'b');
    CHECK_IDS(v, "x yab", plain, 256 + 6, 256 + 8);
    check_random_texts(v);
    vocab_free(v);
    put_bpe_tokens(&b, odd, COUNT(odd));
    put_merges(&b, merges, 0);
    CHECK(load(&b, "nonsense", &err) == NULL && err.code == GGUF_ERR_USAGE);
}

int main(void) {
    test_spm();
    test_spm_fallbacks();
    test_stripped_space();
    test_unknown_characters_in_a_row();
    test_cuts();
    test_hostile();
    test_odd_names();
    return check_summary();
}
