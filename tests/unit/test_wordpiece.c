/* WordPiece vocabularies. Expected ids come from the Python package tokenizers: models.WordPiece with this vocabulary,
 * BertNormalizer and BertPreTokenizer. */
#include "tests/unit/vocab_builder.h"

/* As it stands in vocab.txt. */
static const char *const names[] = {
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "hello",
    "world",
    "un",
    "##aff",
    "##able",
    "##s",
    "!",
    ",",
    "\xE4\xB8\xAD",
    "a",
    "##b",
    "ae",
    "cafe",
    "##\xE6\x96\x87",
    "naive",
    "$",
    "~",
    "\xC3\xB6",
    "i",
    "'",
    "##ab",
    "\xEB\xAC\xB8",
    "##\xE1\x84\x86",
    "\xE1\x84\x86",
    "##\xE1\x85\xAE",
    "##\xE1\x86\xAB",
};

/* As GGUF files have it: U+2581 before what begins a word, nothing before the rest. */
static gguf_vocab *make(bool lowers) {
    builder b = {0};
    gguf_error err = {0};
    put_text(&b, "tokenizer.ggml.model", "bert");
    put_array(&b, "tokenizer.ggml.tokens", KV_STRING, COUNT(names));
    for (size_t i = 0; i < COUNT(names); i++) {
        char name[32];
        bool special_name = i < 3, inside = strncmp(names[i], "##", 2) == 0;
        snprintf(name, sizeof name, "%s%s", special_name || inside ? "" : SPACE, names[i] + (inside ? 2 : 0));
        put_str(&b, str_of(name));
    }
    put_array(&b, "tokenizer.ggml.token_type", KV_I32, COUNT(names));
    for (size_t i = 0; i < COUNT(names); i++) put_int(&b, i < 3 ? 3 : 1, 4);
    put_u32(&b, "tokenizer.ggml.unknown_token_id", 0);
    put_u32(&b, "tokenizer.ggml.bos_token_id", 1);
    put_u32(&b, "tokenizer.ggml.seperator_token_id", 2);
    if (!lowers) put_bool(&b, "tokenizer.ggml.normalizer.lowercase", false);
    gguf_vocab *v = load(&b, NULL, &err);
    CHECK(v != NULL && warnings == 0);
    return v;
}

static void test_small_letters(void) {
    gguf_vocab *v = make(true);
    CHECK_IDS(v, "Hello, WORLD!", (gguf_tokenize_params){0}, 1, 3, 10, 4, 9, 2);
    CHECK_IDS(v, "", (gguf_tokenize_params){0}, 1, 2);
    CHECK_IDS(v, "Hello[SEP]hello", special, 3, 2, 3);
    CHECK_IDS(v, "Hello, WORLD!", plain, 3, 10, 4, 9);
    CHECK_IDS(v, "unaffables", plain, 5, 6, 7, 8);
    CHECK_IDS(v, "unaffabel a", plain, 0, 12); /* no part of an unknown word is kept */
    CHECK_IDS(v,
              "\xE4\xB8\xAD\xE6\x96\x87"
              "a\xE4\xB8\xAD",
              plain, 11, 0, 12, 11);
    CHECK_IDS(v, "Caf\xC3\xA9 na\xC3\xAFve", plain, 15, 17);
    CHECK_IDS(v, "\xC3\x96\xC3\x96 \xC3\xB6", plain, 0, 0);
    CHECK_IDS(v,
              "a\xE2\x80\x8B"
              "b\xC2\xAD a\0b",
              plain, 12, 13, 12, 13);
    CHECK_IDS(v, "a" SPACE "b", plain, 0);
    CHECK_IDS(v, "$a~b", plain, 18, 12, 19, 0);
    CHECK_IDS(v, "\xC4\xB0", plain, 21);
    CHECK_IDS(v,
              "ab\xE3\x80\x80"
              "ab\xC2\xA0"
              "a",
              plain, 12, 13, 12, 13, 12);
    CHECK_IDS(v, "a\tb\nb", plain, 12, 0, 0);
    CHECK_IDS(v, "hello'hello", plain, 3, 22, 3);
    CHECK_IDS(v, "\xEB\xAC\xB8 \xEB\xAC\xB4", plain, 26, 27, 28, 26, 27);
    CHECK_IDS(v,
              "\xCC\x81"
              "a",
              plain, 12);
    CHECK_IDS(v,
              "\xEF\xBF\xBD"
              "a",
              plain, 12);
    CHECK_IDS(v,
              "a\xC2\x85"
              "b",
              plain, 12, 13);
    CHECK_IDS(v,
              "a\xFF"
              "b",
              plain, 12, 13); /* bytes that are no characters go */
    check_ids(v, STR(" \n "), plain, NULL, 0);
    gguf_detokenizer state = {0};
    char out[64];
    CHECK(detokenize(v, &state, 5, out) == 2 && strcmp(out, "un") == 0);
    CHECK(detokenize(v, &state, 6, out) == 3 && strcmp(out, "aff") == 0);
    CHECK(detokenize(v, &state, 3, out) == 6 && strcmp(out, " hello") == 0);
    vocab_free(v);
}

static void test_as_it_is(void) {
    gguf_vocab *v = make(false);
    CHECK_IDS(v, "Hello, WORLD!", plain, 0, 10, 0, 9);
    CHECK_IDS(v, "Caf\xC3\xA9 na\xC3\xAFve", plain, 0, 0);
    CHECK_IDS(v, "\xC3\x96\xC3\x96 \xC3\xB6", plain, 0, 20);
    CHECK_IDS(v, "\xC4\xB0", plain, 0);
    CHECK_IDS(v, "\xEB\xAC\xB8 \xEB\xAC\xB4", plain, 24, 0);
    vocab_free(v);
}

/* A word of more than 100 characters is unknown, however many bytes it has. */
static void test_long_words(void) {
    gguf_vocab *v = make(true);
    static char text[1 << 16];
    int32_t expected[100] = {12};
    for (int i = 1; i < 100; i++) expected[i] = 13;
    memset(text, 'b', sizeof text);
    text[0] = 'a';
    check_ids(v, (str){text, 100}, plain, expected, 100);
    check_ids(v, (str){text, 101}, plain, (int32_t[]){0}, 1);
    check_ids(v, (str){text, sizeof text}, plain, (int32_t[]){0}, 1);
    vocab_free(v);
}

int main(void) {
    test_small_letters();
    test_as_it_is();
    test_long_words();
    return check_summary();
}
