/* Unigram vocabularies. Expected ids come from the Python package tokenizers (models.Unigram with this vocabulary). */
#include "tests/unit/vocab_builder.h"

typedef struct {
    const char *name;
    float score;
    int32_t type;
} piece;

static const piece pieces[] = {
    {"<unk>", 0, 2},     {"</s>", 0, 3},        {SPACE, -2.5f, 1}, {"a", -3, 1},      {"b", -3.1f, 1},
    {"c", -3.2f, 1},     {"ab", -4, 1},         {"bc", -3.5f, 1},  {"abc", -6.6f, 1}, {SPACE "a", -3.4f, 1},
    {SPACE "ab", -5, 1}, {SPACE "b", -3.6f, 1}, {"aa", -4.5f, 1},  {"ca", -4, 1},     {"\xC3\xA4", -5, 1},
    {"bca", -7.5f, 1},   {"<u>", 0, 4},
};

enum { WITH_BYTES = 1, WITH_MAP = 2, MERGES_SPACES = 4, NO_SPACE = 8 };

/* ---- a map of characters --------------------------------------------------------------------- */

/* Each node has 256 cells for its children, so no two collide; cell 0 is for the leaf. */
typedef struct {
    uint32_t cells[64 * 256];
    size_t n_nodes;
    char texts[256];
    size_t n_texts;
} map_builder;

static void set_children(map_builder *m, size_t cell) {
    size_t offset = cell ^ (256 * ++m->n_nodes);
    CHECK(m->n_nodes < 64 && offset < 1 << 21);
    m->cells[cell] |= (uint32_t)offset << 10;
}

static void map_text(map_builder *m, const char *from, str to) {
    size_t cell = 0;
    if (m->n_nodes == 0) set_children(m, 0);
    for (; *from; from++) {
        cell = (cell ^ m->cells[cell] >> 10) + (uint8_t)*from;
        if (!(m->cells[cell] >> 10)) set_children(m, cell);
        m->cells[cell] |= (uint8_t)*from;
    }
    m->cells[cell] |= 1u << 8;
    m->cells[cell ^ m->cells[cell] >> 10] = 0x80000000u | (uint32_t)m->n_texts;
    memcpy(m->texts + m->n_texts, to.p, to.n);
    m->n_texts += to.n + 1;
}

static void put_map(builder *b) {
    map_builder *m = calloc(1, sizeof *m);
    map_text(m, "\t", STR(" "));
    map_text(m, "\xE3\x80\x80", STR(" "));
    map_text(m, "\xC3\x84", STR("\xC3\xA4"));
    map_text(m, "A", STR("a"));
    map_text(m, "AB", STR("bb"));
    map_text(m, "ABCD", STR("c"));
    map_text(m, "\xC2\xAD", STR(""));
    put_array(b, "tokenizer.ggml.precompiled_charsmap", KV_U8, 4 + sizeof m->cells + m->n_texts);
    put_int(b, sizeof m->cells, 4);
    for (size_t i = 0; i < COUNT(m->cells); i++) put_int(b, m->cells[i], 4);
    put(b, m->texts, m->n_texts);
    free(m);
}

/* ---- the vocabulary -------------------------------------------------------------------------- */

static void put_pieces(builder *b, int what) {
    size_t n_bytes = what & WITH_BYTES ? 256 : 0, n = COUNT(pieces) + n_bytes;
    put_text(b, "tokenizer.ggml.model", "t5");
    put_array(b, "tokenizer.ggml.tokens", KV_STRING, n);
    for (size_t i = 0; i < n; i++) {
        char byte[8];
        snprintf(byte, sizeof byte, "<0x%02X>", (unsigned)(i - COUNT(pieces)) & 0xFF);
        put_str(b, str_of(i < COUNT(pieces) ? pieces[i].name : byte));
    }
    put_array(b, "tokenizer.ggml.scores", KV_F32, n);
    for (size_t i = 0; i < n; i++) put(b, &(float){i < COUNT(pieces) ? pieces[i].score : 0}, 4);
    put_array(b, "tokenizer.ggml.token_type", KV_I32, n);
    for (size_t i = 0; i < n; i++) put_int(b, i < COUNT(pieces) ? (uint32_t)pieces[i].type : 6, 4);
    put_u32(b, "tokenizer.ggml.unknown_token_id", 0);
    put_bool(b, "tokenizer.ggml.add_space_prefix", !(what & NO_SPACE));
    put_bool(b, "tokenizer.ggml.remove_extra_whitespaces", what & MERGES_SPACES);
    if (what & WITH_MAP) put_map(b);
}

static gguf_vocab *make(int what) {
    builder b = {0};
    gguf_error err = {0};
    put_pieces(&b, what);
    gguf_vocab *v = load(&b, NULL, &err);
    CHECK(v != NULL && warnings == 0);
    return v;
}

static void test_best_sum(void) {
    gguf_vocab *v = make(0);
    CHECK(gguf_vocab_eos(v) == 1 && gguf_vocab_adds_eos(v) && !gguf_vocab_adds_bos(v));
    CHECK_IDS(v, "abc", plain, 9, 7);
    CHECK_IDS(v, "aaaa", plain, 9, 3, 12);
    CHECK_IDS(v, "bcab", plain, 2, 7, 6);
    CHECK_IDS(v, "abca", plain, 10, 13);
    CHECK_IDS(v, "cab abc b", plain, 2, 13, 4, 9, 7, 11);
    CHECK_IDS(v,
              "\xC3\xA4"
              "a",
              plain, 2, 14, 3);
    CHECK_IDS(v, "xyab", plain, 2, 0, 6); /* one unknown token for all in a row */
    CHECK_IDS(v, "xay", plain, 2, 0, 3, 0);
    CHECK_IDS(v, "abcabcabcabc", plain, 10, 13, 7, 6, 13, 7);
    CHECK_IDS(v, "aabbcc", plain, 9, 6, 7, 5);
    CHECK_IDS(v, "caca", plain, 2, 13, 13);
    CHECK_IDS(v, "a", (gguf_tokenize_params){0}, 9, 1);
    CHECK_IDS(v, "a</s>a", special, 9, 1, 9);
    CHECK_IDS(v, "a<u>ab", plain, 9, 16, 10);
    CHECK_IDS(v, "\xFF\xE4\xB8", plain, 2, 0);
    check_ids(v, STR(""), plain, NULL, 0);
    gguf_detokenizer state = {0};
    char out[64];
    CHECK(detokenize(v, &state, 10, out) == 2 && strcmp(out, "ab") == 0);
    CHECK(detokenize(v, &state, 11, out) == 2 && strcmp(out, " b") == 0);
    vocab_free(v);
}

static void test_spaces(void) {
    gguf_vocab *v = make(0);
    CHECK_IDS(v, "  a ", plain, 2, 2, 9, 2);
    vocab_free(v);
    v = make(MERGES_SPACES);
    CHECK_IDS(v, "  a   b ", plain, 9, 11);
    check_ids(v, STR("   "), plain, NULL, 0);
    vocab_free(v);
    v = make(NO_SPACE | MERGES_SPACES);
    check_ids(v, STR("  "), plain, NULL, 0); /* only spaces, and no memory for a text was needed yet */
    CHECK_IDS(v, " ab  a ", plain, 6, 9);
    vocab_free(v);
}

static void test_bytes(void) {
    gguf_vocab *v = make(WITH_BYTES);
    int32_t byte = COUNT(pieces);
    CHECK_IDS(v, "xa\xFF", plain, 2, byte + 'x', 3, byte + 0xFF);
    CHECK(comes_back(v, STR("\xE4\xBD\xA0 abc\xFF\n x")));
    vocab_free(v);
}

static void test_map(void) {
    gguf_vocab *v = make(WITH_MAP | MERGES_SPACES);
    CHECK_IDS(v, "a\t\tb", plain, 9, 11);
    CHECK_IDS(v, "a\xE3\x80\x80 b\t", plain, 9, 11);
    CHECK_IDS(v, "\xC3\x84", plain, 2, 14);
    CHECK_IDS(v, "A", plain, 9);
    CHECK_IDS(v, "ABb", plain, 11, 4, 4); /* the longest that is mapped: AB, not A */
    CHECK_IDS(v, "ABC", plain, 11, 4, 0); /* ABC begins ABCD, but is not mapped itself */
    CHECK_IDS(v, "ABCD", plain, 2, 5);
    CHECK_IDS(v,
              "a\xC2\xAD"
              "b",
              plain, 10);
    vocab_free(v);
}

/* What no token crosses is settled: long texts give what their parts give. */
static void test_long_text(void) {
    enum { REPEATS = 5000 };
    static char text[4 * REPEATS];
    static int32_t expected[2 * REPEATS];
    gguf_vocab *v = make(NO_SPACE);
    for (int i = 0; i < REPEATS; i++) {
        memcpy(text + 4 * i, " abc", 4);
        expected[2 * i] = 9;
        expected[2 * i + 1] = 7;
    }
    check_ids(v, (str){text, sizeof text}, plain, expected, COUNT(expected));
    memset(text, 'a', sizeof text); /* and where every place is crossed */
    for (int i = 0; i < 2 * REPEATS; i++) expected[i] = 12;
    check_ids(v, (str){text, sizeof text}, plain, expected, COUNT(expected));
    vocab_free(v);
}

static void put_bytes(builder *b, const char *bytes, size_t n) {
    put_array(b, "tokenizer.ggml.precompiled_charsmap", KV_U8, n);
    put(b, bytes, n);
}

static void test_hostile_maps(void) {
    static const struct {
        const char *bytes;
        size_t n;
    } rows[] = {
        {"\4\0", 2},
        {"\4\0\0\0\0\0\0\0", 8},
        {"\5\0\0\0\0\0\0\0\0\0", 10},
        {"\xFF\xFF\xFF\xFF\0\0", 6},
        {"\4\0\0\0\0\0\0\0a", 9}, /* a text without its NUL */
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        builder b = {0};
        gguf_error err = {0};
        put_pieces(&b, 0);
        put_bytes(&b, rows[i].bytes, rows[i].n);
        CHECK(load(&b, NULL, &err) == NULL && err.code == GGUF_ERR_MODEL);
        CHECK(strstr(err.message, "precompiled_charsmap"));
    }
    for (int round = 0; round < 200; round++) { /* any cells: no index may leave the map */
        char bytes[4 + 4 * 300 + 2] = {(char)0xB0, 4};
        for (size_t i = 4; i < sizeof bytes - 1; i++) bytes[i] = (char)random_below(round % 2 ? 256 : 3);
        for (size_t i = 4; round % 3 && i < sizeof bytes - 2; i += 4) bytes[i] = (char)(i / 4 - 1);
        builder b = {0};
        gguf_error err = {0};
        put_pieces(&b, WITH_BYTES);
        put_bytes(&b, bytes, sizeof bytes);
        gguf_vocab *v = load(&b, NULL, &err);
        CHECK(v != NULL);
        char text[64];
        for (size_t i = 0; i < sizeof text; i++) text[i] = (char)random_below(256);
        int32_t *ids;
        CHECK(gguf_vocab_tokenize(v, text, sizeof text, NULL, &ids, &err) >= 0);
        free(ids);
        vocab_free(v);
    }
}

int main(void) {
    test_best_sum();
    test_spaces();
    test_bytes();
    test_map();
    test_long_text();
    test_hostile_maps();
    return check_summary();
}
