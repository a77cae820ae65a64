/* Text: UTF-8, categories, pre-tokenizers, and vocabularies made in memory, good and hostile. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/check.h"
#include "text/pretokenize.h"
#include "text/unicode.h"
#include "text/vocab.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define SPACE        "\xE2\x96\x81" /* U+2581 */

static uint32_t random_state = 1;
static uint32_t random_below(uint32_t n) {
    random_state = random_state * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)random_state * n >> 32);
}

/* ---- Unicode --------------------------------------------------------------------------------- */

static void check_decode(const char *bytes, size_t n, uint32_t cp, uint32_t used) {
    /* a copy that ends where the bytes end, so that a sanitizer sees a byte too many */
    char *copy = malloc(n);
    memcpy(copy, bytes, n);
    utf8_char c = utf8_decode(copy, copy + n);
    CHECK(c.cp == cp && c.n == used);
    free(copy);
}

static void test_utf8(void) {
    check_decode("a", 1, 'a', 1);
    check_decode("\0", 1, 0, 1);
    check_decode("\xC2\x80", 2, 0x80, 2);
    check_decode("\xED\x9F\xBF", 3, 0xD7FF, 3);
    check_decode("\xF4\x8F\xBF\xBF", 4, 0x10FFFF, 4);
    static const str invalid[] = {
        STR("\x80"),
        STR("\xBF"
            "a"),
        STR("\xC3"),
        STR("\xE2\x96"),
        STR("\xF0\x9F\x98"),
        STR("\xC0\x80"),
        STR("\xC1\xBF"),
        STR("\xE0\x9F\xBF"),
        STR("\xF0\x8F\xBF\xBF"),
        STR("\xED\xA0\x80"),
        STR("\xF4\x90\x80\x80"),
        STR("\xF8\x88\x80\x80"),
        STR("\xFF"),
        STR("\xE2"
            "ab"),
    };
    for (size_t i = 0; i < COUNT(invalid); i++) check_decode(invalid[i].p, invalid[i].n, UNICODE_INVALID, 1);
    size_t wrong = 0;
    for (uint32_t cp = 0; cp < 0x110000; cp++) {
        char bytes[4];
        size_t n = utf8_encode(cp, bytes);
        utf8_char c = utf8_decode(bytes, bytes + n);
        bool surrogate = cp >= 0xD800 && cp < 0xE000;
        wrong += surrogate ? c.cp != UNICODE_INVALID : c.cp != cp || c.n != n;
    }
    CHECK(wrong == 0);
}

static void test_categories(void) {
    static const struct {
        uint32_t cp, set;
    } rows[] = {
        {'A', UNI_Lu},
        {'z', UNI_Ll},
        {0x1C5, UNI_Lt},
        {0x2B0, UNI_Lm},
        {0x4E00, UNI_Lo | UNI_HAN},
        {0x9FFF, UNI_Lo | UNI_HAN},
        {0xAC00, UNI_Lo},
        {0xD7A3, UNI_Lo},
        {0x301, UNI_Mn},
        {0x903, UNI_Mc},
        {0x20DD, UNI_Me},
        {'7', UNI_Nd},
        {0x663, UNI_Nd},
        {0x2160, UNI_Nl},
        {0xBD, UNI_No},
        {'_', UNI_Pc},
        {'-', UNI_Pd},
        {'(', UNI_Ps},
        {')', UNI_Pe},
        {0xAB, UNI_Pi},
        {0xBB, UNI_Pf},
        {'!', UNI_Po},
        {'+', UNI_Sm},
        {'$', UNI_Sc},
        {'^', UNI_Sk},
        {0x1F600, UNI_So},
        {0xFFFD, UNI_So},
        {0x200B, UNI_Cf},
        {0, UNI_Cc},
        {0xE000, UNI_Co},
        {0xD800, UNI_Cs},
        {0x378, UNI_Cn},
        {0x10FFFF, UNI_Cn},
        {0x110000, UNI_Cn},
        {' ', UNI_Zs | UNI_SPACE},
        {'\n', UNI_Cc | UNI_SPACE},
        {0x85, UNI_Cc | UNI_SPACE},
        {0xA0, UNI_Zs | UNI_SPACE},
        {0x3000, UNI_Zs | UNI_SPACE},
        {0x2028, UNI_Zl | UNI_SPACE},
        {0x2029, UNI_Zp | UNI_SPACE},
        {UNICODE_INVALID, UNI_Cn},
    };
    for (size_t i = 0; i < COUNT(rows); i++) CHECK(unicode_set(rows[i].cp) == rows[i].set);
    size_t spaces = 0;
    for (uint32_t cp = 0; cp < 0x110000; cp++) spaces += (unicode_set(cp) & UNI_SPACE) != 0;
    CHECK(spaces == 25);
}

/* ---- pre-tokenizers -------------------------------------------------------------------------- */

/* The words of a text, with a bar between them. */
static void join_words(const char *pre, str text, char *out, size_t size) {
    const pretokenizer *p = pretokenizer_find(str_of(pre));
    CHECK(p != NULL);
    size_t n = 0;
    pre_walk walk = pre_walk_begin(p, text);
    for (str word; pre_walk_next(&walk, &word);) {
        CHECK(word.n > 0 && n + word.n + 1 < size);
        if (n > 0) out[n++] = '|';
        memcpy(out + n, word.p, word.n);
        n += word.n;
    }
    out[n] = 0;
}

static void test_pretokenizers(void) {
    static const struct {
        const char *pre, *text, *words;
    } rows[] = {
        {"gpt-2", "Hello world", "Hello| world"},
        {"gpt-2", "a  b   ", "a| | b|   "},
        {"gpt-2", "a\n\n b", "a|\n\n| b"},
        {"gpt-2", "don't DON'T we'll 'tis ' s", "don|'t| DON|'|T| we|'ll| '|tis| '| s"},
        {"gpt-2", "x=12345;", "x|=|12345|;"},
        {"gpt-2", " 42", " 42"},
        {"gpt-2", "\xE4\xBD\xA0\xE5\xA5\xBD\xE3\x80\x82", "\xE4\xBD\xA0\xE5\xA5\xBD|\xE3\x80\x82"},
        {"gpt-2", "e\xCC\x81t", "e|\xCC\x81|t"}, /* a combining mark is no letter */
        {"gpt-2",
         "a\xFF\xFE"
         "b",
         "a|\xFF\xFE|b"},
        {"gpt-2",
         "a\xC2\xA0"
         "b",
         "a|\xC2\xA0|b"},
        {"gpt-2", " \xF0\x9F\x98\x80!", " \xF0\x9F\x98\x80!"},
        {"gpt-2", "'", "'"},
        {"gpt-2", "'l", "'|l"},
        {"llama-bpe", "DON'T we'Ll 'x", "DON|'T| we|'Ll| '|x"},
        {"llama-bpe", "1234567 8", "123|456|7| |8"},
        {"llama-bpe", "(word) -x", "(word|)| -|x"},
        {"llama-bpe", "end!\r\n\n  next", "end|!\r\n\n| | next"},
        {"llama-bpe", "a \n \n  b", "a| \n \n| | b"},
        {"llama-bpe", "a\tb", "a|\tb"},
        {"llama-bpe", "a  ", "a|  "},
        {"llama-bpe", "\xC2\xA0x", "\xC2\xA0x"},
        {"llama-bpe", "\x80x", "\x80x"},
        {"llama3", "12345", "123|45"},
        {"dbrx", "12345", "123|45"},
        {"qwen2", "1234 it'S", "1|2|3|4| it|'S"},
        {"qwen2", "\n\n\nx", "\n\n\n|x"},
        {"smollm", "a 12 b", "a| |1|2| b"},
        {"command-r", "\xD9\xA3\xD9\xA4", "\xD9\xA3|\xD9\xA4"},
        {"default", "Hi, you: 12345 $5.00", "Hi|,| you|:| |123|45| |$|5|.|00"},
        {"default", "a ``x`` ((y))", "a| ``|x|``| |((|y|))"},
        {"default", "it's", "it|'|s"}, /* punctuation is cut off first */
        {"default", "", ""},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char words[256];
        join_words(rows[i].pre, str_of(rows[i].text), words, sizeof words);
        CHECK(strcmp(words, rows[i].words) == 0);
        if (strcmp(words, rows[i].words) != 0) fprintf(stderr, "  %s: \"%s\"\n", rows[i].pre, words);
    }
    char words[16];
    join_words("gpt-2", (str){"a\0\0b", 4}, words, sizeof words);
    CHECK(memcmp(words, "a|\0\0|b", 7) == 0);
    static const char *const unknown[] = {"", " ", "gpt", "gpt-2 ", "llama", "gpt-2 phi-2"};
    for (size_t i = 0; i < COUNT(unknown); i++) CHECK(pretokenizer_find(str_of(unknown[i])) == NULL);
}

/* ---- files in memory ------------------------------------------------------------------------- */

typedef struct {
    uint8_t *p;
    size_t n, room;
    uint64_t n_kv;
} builder;

static void put(builder *b, const void *p, size_t n) {
    if (b->n + n > b->room) {
        b->room = 2 * (b->n + n);
        b->p = realloc(b->p, b->room);
    }
    if (n > 0) memcpy(b->p + b->n, p, n);
    b->n += n;
}

static void put_int(builder *b, uint64_t v, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) put(b, &(uint8_t){(uint8_t)(v >> 8 * i)}, 1);
}

static void put_str(builder *b, str s) {
    put_int(b, s.n, 8);
    put(b, s.p, s.n);
}

static void put_key(builder *b, const char *key, kv_type type) {
    if (b->n == 0) {
        put(b, "GGUF\3\0\0\0", 8);
        put_int(b, 0, 8); /* tensors */
        put_int(b, 0, 8); /* keys, set at the end */
    }
    b->n_kv++;
    put_str(b, str_of(key));
    put_int(b, type, 4);
}

static void put_array(builder *b, const char *key, kv_type elem, size_t n) {
    put_key(b, key, KV_ARRAY);
    put_int(b, elem, 4);
    put_int(b, n, 8);
}

static void put_text(builder *b, const char *key, const char *value) {
    put_key(b, key, KV_STRING);
    put_str(b, str_of(value));
}

static void put_u32(builder *b, const char *key, uint32_t value) {
    put_key(b, key, KV_U32);
    put_int(b, value, 4);
}

static void put_bool(builder *b, const char *key, bool value) {
    put_key(b, key, KV_BOOL);
    put_int(b, value, 1);
}

/* Ends the file, reads its vocabulary and frees it. */
static int warnings;
static void count_warning(void *ctx, const char *message) {
    (void)ctx;
    warnings++;
    CHECK(*message);
}

static gguf_vocab *load(builder *b, const char *pre, gguf_error *err) {
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
static size_t alphabet(uint8_t byte, char *out) {
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
static void put_bpe_tokens(builder *b, const token *more, size_t n) {
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

static void put_merges(builder *b, const char *const *merges, size_t n) {
    put_array(b, "tokenizer.ggml.merges", KV_STRING, n);
    for (size_t i = 0; i < n; i++) put_str(b, str_of(merges[i]));
}

/* Compares the ids of a text, and what they become again. */
static void check_ids(const gguf_vocab *v, str text, gguf_tokenize_params params, const int32_t *expected, size_t n) {
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

static bool comes_back(const gguf_vocab *v, str text) {
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

static void check_random_texts(const gguf_vocab *v) {
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

enum { T_AB = 256, T_ABC, T_BC, T_SPACE_A, T_EOT, T_USER, T_USER_2, T_ADDED, T_AB_AGAIN, T_ABAB, BPE_TOKENS };

static const token bpe_tokens[] = {
    {STR("ab"), 1},
    {STR("abc"), 1},
    {STR("bc"), 1},
    {STR("\xC4\xA0"
         "a"),
     1},
    {STR("<|eot_id|>"), 3},
    {STR("<u>"), 4},
    {STR("<u><u>"), 4},
    {STR("\xE6\x97\xA5 x"), 1},
    {STR("ab"), 1},
    {STR("abab"), 1},
};
static const char *const bpe_merges[] = {"a b", "ab c", "b c", "\xC4\xA0 a", "ab ab"};

static gguf_vocab *make_bpe(const char *pre) {
    builder b = {0};
    gguf_error err = {0};
    put_bpe_tokens(&b, bpe_tokens, COUNT(bpe_tokens));
    put_merges(&b, bpe_merges, COUNT(bpe_merges));
    put_text(&b, "tokenizer.ggml.pre", pre);
    put_u32(&b, "tokenizer.ggml.bos_token_id", T_EOT);
    put_u32(&b, "tokenizer.ggml.eos_token_id", 0xFFFFFFFF);
    gguf_vocab *v = load(&b, NULL, &err);
    CHECK(v != NULL && warnings == 0);
    return v;
}

static void test_bpe(void) {
    gguf_vocab *v = make_bpe("gpt-2");
    CHECK(gguf_vocab_size(v) == 256 + COUNT(bpe_tokens));
    CHECK(gguf_vocab_bos(v) == T_EOT && gguf_vocab_eos(v) == GGUF_NO_TOKEN);
    CHECK(!gguf_vocab_adds_bos(v) && !gguf_vocab_adds_eos(v));
    CHECK(gguf_vocab_is_end(v, T_EOT) && !gguf_vocab_is_end(v, T_AB) && !gguf_vocab_is_end(v, -1));
    CHECK(!gguf_vocab_is_end(v, 1 << 30));
    CHECK_IDS(v, "ab", plain, T_AB); /* of equal names the first */
    CHECK_IDS(v, "abc", plain, T_ABC);
    CHECK_IDS(v, "bc", plain, T_BC);
    CHECK_IDS(v, "aab", plain, 'a', T_AB);
    CHECK_IDS(v, " a", plain, T_SPACE_A);
    CHECK_IDS(v, "ababab", plain, T_ABAB, T_AB); /* the leftmost of equals first */
    CHECK_IDS(v, "\xFF\0z", plain, 0xFF, 0, 'z');
    CHECK_IDS(v, "a<u><u><u>b", plain, 'a', T_USER_2, T_USER, 'b');
    CHECK_IDS(v, "<|eot_id|>", special, T_EOT);
    CHECK_IDS(v, "ab<|eot_id|>", special, T_AB, T_EOT);
    CHECK_IDS(v, "<|eot_id|", special, '<', '|', 'e', 'o', 't', '_', 'i', 'd', '|');
    CHECK_IDS(v, "<|eot_id|>", plain, '<', '|', 'e', 'o', 't', '_', 'i', 'd', '|', '>');
    check_ids(v, STR(""), plain, NULL, 0);
    check_random_texts(v);
    vocab_free(v);
}

static size_t detokenize(const gguf_vocab *v, gguf_detokenizer *state, int32_t id, char *out) {
    size_t n = gguf_vocab_detokenize(v, state, id, out, 64);
    out[n < 64 ? n : 63] = 0;
    return n;
}

static void test_bpe_pieces(void) {
    gguf_vocab *v = make_bpe("llama-bpe");
    char out[64];
    size_t n;
    gguf_detokenizer state = {0}, loud = {.special = true};
    CHECK(gguf_vocab_adds_bos(v));
    CHECK_IDS(v, "ab", (gguf_tokenize_params){0}, T_EOT, T_AB);
    CHECK(detokenize(v, &state, T_SPACE_A, out) == 2 && strcmp(out, " a") == 0);
    CHECK(detokenize(v, &state, 0xE4, out) == 1 && strcmp(out, "\xE4") == 0);
    CHECK(detokenize(v, &state, T_EOT, out) == 0);
    CHECK(detokenize(v, &loud, T_EOT, out) == 10 && strcmp(out, "<|eot_id|>") == 0);
    CHECK(detokenize(v, &state, T_USER, out) == 3 && strcmp(out, "<u>") == 0);
    CHECK(detokenize(v, &state, T_ADDED, out) == 5 && strcmp(out, "\xE6\x97\xA5 x") == 0); /* outside the alphabet */
    CHECK(detokenize(v, &state, -1, out) == 0 && detokenize(v, &state, 100000, out) == 0);
    CHECK(gguf_vocab_detokenize(v, &state, T_ABC, out, 0) == 3);
    CHECK(gguf_vocab_detokenize(v, &state, T_ABC, out, 2) == 3);
    CHECK(memcmp(gguf_vocab_name(v, T_SPACE_A, &n),
                 "\xC4\xA0"
                 "a",
                 3) == 0 &&
          n == 3);
    CHECK(gguf_vocab_name(v, -5, &n) != NULL && n == 0);
    vocab_free(v);
}

/* A pre-tokenizer that takes whole words prefers a token to what the merges make; merges alone never reach it. */
static void test_whole_words(void) {
    static const token more[] = {{STR("abd"), 1}, {STR("bd"), 1}, {STR("ctl"), 3}};
    static const char *const merges[] = {"b d"};
    for (int whole = 0; whole < 2; whole++) {
        builder b = {0};
        gguf_error err = {0};
        put_bpe_tokens(&b, more, COUNT(more));
        put_merges(&b, merges, COUNT(merges));
        put_text(&b, "tokenizer.ggml.pre", "qwen2");
        gguf_vocab *v = load(&b, whole ? "llama-bpe" : NULL, &err);
        CHECK(v != NULL);
        if (whole)
            CHECK_IDS(v, "abd", plain, 256);
        else
            CHECK_IDS(v, "abd", plain, 'a', 257);
        CHECK_IDS(v, "ctl", plain, 'c', 't', 'l'); /* a control token is no word */
        vocab_free(v);
    }
}

/* ---- long words ------------------------------------------------------------------------------ */

/* Merges in the plainest way: again and again, the pair first in line. Letters a to d; pairs name their merges. */
typedef struct {
    int32_t left, right, made;
} rule;

static size_t merge_plainly(int32_t *ids, size_t n, const rule *rules, size_t n_rules) {
    size_t *place = malloc((n + 1) * sizeof *place);
#define PLACE_OF(i)                                                                                                    \
    do {                                                                                                               \
        place[i] = n_rules;                                                                                            \
        for (size_t r = 0; r < n_rules && (i) + 1 < n; r++) {                                                          \
            if (rules[r].left == ids[i] && rules[r].right == ids[(i) + 1]) {                                           \
                place[i] = r;                                                                                          \
                break;                                                                                                 \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)
    for (size_t i = 0; i < n; i++) PLACE_OF(i);
    for (;;) {
        size_t best = 0;
        for (size_t i = 1; i < n; i++) {
            if (place[i] < place[best]) best = i;
        }
        if (n == 0 || place[best] == n_rules) break;
        ids[best] = rules[place[best]].made;
        memmove(ids + best + 1, ids + best + 2, (n - best - 2) * sizeof *ids);
        memmove(place + best + 1, place + best + 2, (n - best - 2) * sizeof *place);
        n--;
        PLACE_OF(best);
        if (best > 0) PLACE_OF(best - 1);
    }
#undef PLACE_OF
    free(place);
    return n;
}

enum { MAX_RULES = 60, LONG_WORD = 21000 };

/* A vocabulary of random merges over the letters, in an order that training would never give. */
static gguf_vocab *make_random_bpe(rule *rules, size_t n_rules, uint32_t n_letters) {
    static char names[MAX_RULES + 4][64];
    static char lines[MAX_RULES][140];
    const char *merges[MAX_RULES];
    token tokens[MAX_RULES];
    int32_t ids[MAX_RULES + 4];
    for (uint32_t i = 0; i < n_letters; i++) {
        snprintf(names[i], sizeof names[i], "%c", 'a' + (int)i);
        ids[i] = 'a' + (int32_t)i;
    }
    size_t n = 0;
    for (int tries = 0; n < n_rules && tries < 10000; tries++) {
        uint32_t l = random_below(n_letters + (uint32_t)n), r = random_below(n_letters + (uint32_t)n);
        char name[130];
        snprintf(name, sizeof name, "%s%s", names[l], names[r]);
        bool known = strlen(name) > 40;
        for (size_t i = 0; i < n_letters + n; i++) known = known || strcmp(names[i], name) == 0;
        if (known) continue;
        memcpy(names[n_letters + n], name, strlen(name) + 1);
        ids[n_letters + n] = 256 + (int32_t)n;
        tokens[n] = (token){str_of(names[n_letters + n]), 1};
        rules[n] = (rule){ids[l], ids[r], 256 + (int32_t)n};
        n++;
    }
    CHECK(n == n_rules);
    for (size_t i = 0; i < n; i++) { /* any order */
        size_t k = random_below((uint32_t)n);
        rule other = rules[i];
        rules[i] = rules[k];
        rules[k] = other;
    }
    for (size_t i = 0; i < n; i++) {
        str side[2];
        for (int s = 0; s < 2; s++) {
            int32_t id = s ? rules[i].right : rules[i].left;
            side[s] = id >= 256 ? tokens[id - 256].name : str_of(names[id - 'a']);
        }
        snprintf(lines[i], sizeof lines[i], "%.*s %.*s", STR_ARG(side[0]), STR_ARG(side[1]));
        merges[i] = lines[i];
    }
    builder b = {0};
    gguf_error err = {0};
    put_bpe_tokens(&b, tokens, n);
    put_merges(&b, merges, n);
    put_text(&b, "tokenizer.ggml.pre", "gpt-2");
    return load(&b, NULL, &err);
}

/* Words longer than a window give the same ids as the plain way. */
static void test_long_words(void) {
    static char text[LONG_WORD];
    static int32_t expected[LONG_WORD];
    for (int round = 0; round < 8; round++) {
        rule rules[MAX_RULES];
        uint32_t n_letters = 1 + random_below(3);
        size_t n_rules = n_letters == 1 ? 6 : 5 + random_below(MAX_RULES - 5), n = LONG_WORD - random_below(3000);
        gguf_vocab *v = make_random_bpe(rules, n_rules, n_letters);
        CHECK(v != NULL);
        for (size_t i = 0; i < n; i++) {
            bool repeat = round % 3 == 0 && i > 9;
            text[i] = repeat ? text[i - 1 - random_below(3)] : (char)('a' + random_below(n_letters));
            expected[i] = text[i];
        }
        size_t n_expected = merge_plainly(expected, n, rules, n_rules);
        check_ids(v, (str){text, n}, plain, expected, n_expected);
        vocab_free(v);
    }
}

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
    put_spm(&b, "bytes"); /* no byte tokens: one unknown token a character */
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
    CHECK(comes_back(v, STR(" az")));
    vocab_free(v);

    put_spm(&b, "tokenizer.ggml.scores"); /* all equal: from left to right */
    v = load(&b, "gpt-2", &err);
    CHECK(v != NULL && warnings == 1); /* there is nothing a pre-tokenizer could do here */
    CHECK_IDS(v, "bab", plain, S_SPACE, S_BA, S_B);
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
    test_utf8();
    test_categories();
    test_pretokenizers();
    test_bpe();
    test_bpe_pieces();
    test_whole_words();
    test_long_words();
    test_spm();
    test_spm_fallbacks();
    test_hostile();
    test_odd_names();
    return check_summary();
}
