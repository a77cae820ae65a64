/* Byte-level BPE vocabularies. */
#include "tests/unit/vocab_builder.h"

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

/* Words remembered: a long text gives what its words give. */
static void test_repeated_words(void) {
    gguf_vocab *v = make_bpe("gpt-2");
    static char text[7 * 1000];
    static int32_t expected[4 * 1000];
    for (int i = 0; i < 1000; i++) {
        memcpy(text + 7 * i, " abcbc\n", 7);
        memcpy(expected + 4 * i, (const int32_t[]){' ', T_ABC, T_BC, '\n'}, 4 * sizeof(int32_t));
    }
    check_ids(v, (str){text, sizeof text}, plain, expected, COUNT(expected));
    vocab_free(v);
}

/* Some tokenizers take away the white space before <mask>. */
static void test_stripped_mask(void) {
    static const token more[] = {{STR("<mask>"), 4}};
    builder b = {0};
    gguf_error err = {0};
    put_bpe_tokens(&b, more, COUNT(more));
    put_merges(&b, NULL, 0);
    put_text(&b, "tokenizer.ggml.pre", "jina-v2-code");
    gguf_vocab *v = load(&b, NULL, &err);
    CHECK(v != NULL);
    CHECK_IDS(v, "a \n<mask> b  <mask>", plain, 'a', 256, ' ', 'b', 256);
    vocab_free(v);
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

int main(void) {
    test_bpe();
    test_bpe_pieces();
    test_whole_words();
    test_repeated_words();
    test_stripped_mask();
    test_long_words();
    return check_summary();
}
