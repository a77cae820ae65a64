/* Vocabularies made in memory, and what becomes of texts with them. */
#ifndef TESTS_UNIT_VOCAB_BUILDER_H
#define TESTS_UNIT_VOCAB_BUILDER_H

#include <stdlib.h>
#include <string.h>

#include "tests/unit/check.h"
#include "text/unicode.h"
#include "text/vocab.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define SPACE        "\xE2\x96\x81" /* U+2581 */

static uint32_t random_state = 1;
static inline uint32_t random_below(uint32_t n) {
    random_state = random_state * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)random_state * n >> 32);
}

/* ---- files in memory ------------------------------------------------------------------------- */

typedef struct {
    uint8_t *p;
    size_t n, room;
    uint64_t n_kv;
} builder;

static inline void put(builder *b, const void *p, size_t n) {
    if (b->n + n > b->room) {
        b->room = 2 * (b->n + n);
        b->p = realloc(b->p, b->room);
    }
    if (n > 0) memcpy(b->p + b->n, p, n);
    b->n += n;
}

static inline void put_int(builder *b, uint64_t v, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) put(b, &(uint8_t){(uint8_t)(v >> 8 * i)}, 1);
}

static inline void put_str(builder *b, str s) {
    put_int(b, s.n, 8);
    put(b, s.p, s.n);
}

static inline void put_key(builder *b, const char *key, kv_type type) {
    if (b->n == 0) {
        put(b, "GGUF\3\0\0\0", 8);
        put_int(b, 0, 8); /* tensors */
        put_int(b, 0, 8); /* keys, set at the end */
    }
    b->n_kv++;
    put_str(b, str_of(key));
    put_int(b, type, 4);
}

static inline void put_array(builder *b, const char *key, kv_type elem, size_t n) {
    put_key(b, key, KV_ARRAY);
    put_int(b, elem, 4);
    put_int(b, n, 8);
}

static inline void put_text(builder *b, const char *key, const char *value) {
    put_key(b, key, KV_STRING);
    put_str(b, str_of(value));
}

static inline void put_u32(builder *b, const char *key, uint32_t value) {
    put_key(b, key, KV_U32);
    put_int(b, value, 4);
}

static inline void put_bool(builder *b, const char *key, bool value) {
    put_key(b, key, KV_BOOL);
    put_int(b, value, 1);
}

/* Ends the file, reads its vocabulary and frees it. */
static int warnings;
static inline void count_warning(void *ctx, const char *message) {
    (void)ctx;
    warnings++;
    CHECK(*message);
}

static inline gguf_vocab *load(builder *b, const char *pre, gguf_error *err) {
    for (int i = 0; i < 8; i++) b->p[16 + i] = (uint8_t)(b->n_kv >> 8 * i);
    warnings = 0;
    gguf_file *file = gguf_file_parse(b->p, b->n, "test", err);
    CHECK(file != NULL);
    gguf_vocab *v = file ? vocab_load(file, pre, count_warning, NULL, err) : NULL;
    gguf_file_close(file);
    free(b->p);
    *b = (builder){0};
    return v;
}

/* ---- a byte-level vocabulary ----------------------------------------------------------------- */

/* The 256 characters of the alphabet, in the order of the bytes. */
static inline size_t alphabet(uint8_t byte, char *out) {
    static uint32_t cps[256];
    if (!cps['a']) {
        uint32_t next = 0x100;
        for (uint32_t i = 0; i < 256; i++) {
            bool visible = (i >= 0x21 && i <= 0x7E) || (i >= 0xA1 && i <= 0xAC) || i >= 0xAE;
            cps[i] = visible ? i : next++;
        }
    }
    return utf8_encode(cps[byte], out);
}

typedef struct {
    str name;
    int32_t type;
} token;

/* ids 0 to 255 are the bytes, then `more` */
static inline void put_bpe_tokens(builder *b, const token *more, size_t n) {
    put_text(b, "tokenizer.ggml.model", "gpt2");
    put_array(b, "tokenizer.ggml.tokens", KV_STRING, 256 + n);
    for (int byte = 0; byte < 256; byte++) {
        char c[4];
        put_str(b, (str){c, alphabet((uint8_t)byte, c)});
    }
    for (size_t i = 0; i < n; i++) put_str(b, more[i].name);
    put_array(b, "tokenizer.ggml.token_type", KV_I32, 256 + n);
    for (size_t i = 0; i < 256 + n; i++) put_int(b, i < 256 ? 1 : (uint32_t)more[i - 256].type, 4);
}

static inline void put_merges(builder *b, const char *const *merges, size_t n) {
    put_array(b, "tokenizer.ggml.merges", KV_STRING, n);
    for (size_t i = 0; i < n; i++) put_str(b, str_of(merges[i]));
}

/* Compares the ids of a text, and what they become again. */
static inline void check_ids(const gguf_vocab *v, str text, gguf_tokenize_params params, const int32_t *expected,
                             size_t n) {
    int32_t *ids;
    gguf_error err = {0};
    ptrdiff_t got = gguf_vocab_tokenize(v, text.p, text.n, &params, &ids, &err);
    bool same = got == (ptrdiff_t)n && (n == 0 || memcmp(ids, expected, n * sizeof *ids) == 0);
    CHECK(same);
    if (!same) {
        fprintf(stderr, "  \"%.*s\": %s", STR_ARG(text), err.message);
        for (ptrdiff_t i = 0; i < got && i < 20; i++) fprintf(stderr, " %d", ids[i]);
        fprintf(stderr, "\n");
    }
    free(ids);
}
#define CHECK_IDS(v, text, params, ...)                                                                                \
    check_ids(v, STR(text), params, (const int32_t[]){__VA_ARGS__}, COUNT(((const int32_t[]){__VA_ARGS__})))

static inline bool comes_back(const gguf_vocab *v, str text) {
    int32_t *ids;
    gguf_detokenizer state = {0};
    ptrdiff_t n = gguf_vocab_tokenize(v, text.p, text.n, &(gguf_tokenize_params){.no_bos = true}, &ids, NULL);
    char *out = malloc(text.n + 1);
    size_t at = 0;
    for (ptrdiff_t i = 0; i < n; i++) {
        size_t room = at < text.n ? text.n - at : 0;
        at += gguf_vocab_detokenize(v, &state, ids[i], out + (at < text.n ? at : text.n), room);
    }
    bool same = n >= 0 && at == text.n && memcmp(out, text.p, text.n) == 0;
    free(out);
    free(ids);
    return same;
}

static inline void check_random_texts(const gguf_vocab *v) {
    static const char likely[] = "ab <|x|>\n\xE2\x96\x81\xC3\xA4 0'";
    char text[300];
    size_t lost = 0;
    for (int i = 0; i < 2000; i++) {
        size_t n = random_below(sizeof text);
        for (size_t k = 0; k < n; k++) {
            text[k] = (char)(i % 2 ? random_below(256) : (uint8_t)likely[random_below(sizeof likely)]);
        }
        lost += !comes_back(v, (str){text, n});
    }
    CHECK(lost == 0);
}

static const gguf_tokenize_params plain = {.no_bos = true}, special = {.no_bos = true, .parse_special = true};

static inline size_t detokenize(const gguf_vocab *v, gguf_detokenizer *state, int32_t id, char *out) {
    size_t n = gguf_vocab_detokenize(v, state, id, out, 64);
    out[n < 64 ? n : 63] = 0;
    return n;
}

#endif
