/* Pre-tokenizers: the words that texts are cut into. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/check.h"
#include "tests/unit/pretokenize.inc"
#include "text/pretokenize.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

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

/* What the models' own expressions make of texts (scripts/pretokenize_vectors.py). */
static void test_expressions(void) {
    for (size_t r = 0; r < COUNT(pre_rows); r++) {
        for (size_t t = 0; t < COUNT(pre_texts); t++) {
            char lengths[1024];
            size_t n = 0;
            lengths[0] = 0;
            pre_walk walk = pre_walk_begin(pretokenizer_find(str_of(pre_rows[r].pre)), str_of(pre_texts[t]));
            for (str word; pre_walk_next(&walk, &word) && n + 32 < sizeof lengths;) {
                n += (size_t)snprintf(lengths + n, 32, "%s%zu", n ? " " : "", word.n);
            }
            CHECK(strcmp(lengths, pre_rows[r].lengths[t]) == 0);
            if (strcmp(lengths, pre_rows[r].lengths[t]) != 0) {
                fprintf(stderr, "  %s, text %zu: %s, not %s\n", pre_rows[r].pre, t, lengths, pre_rows[r].lengths[t]);
            }
        }
    }
}

static const char *const all_names =
    "default gpt-2 llama-bpe llama3 llama-v3 llama4 falcon falcon3 falcon-h1 deepseek-llm deepseek-coder deepseek-v3 "
    "deepseek-r1-qwen mpt starcoder refact command-r qwen2 qwen35 stablelm2 olmo dbrx smaug-bpe poro-chat glm4 "
    "chatglm-bpe viking jais jais-2 tekken smollm codeshell bloom gpt3-finnish exaone exaone4 exaone-moe chameleon "
    "minerva-7b megrez gpt-4o kimi-k2 superbpe trillion bailingmoe bailingmoe2 llada-moe seed-coder hunyuan "
    "hunyuan-dense phi-2 gigachat minimax-m2 solar-open afmoe grok-2 laguna youtu minicpm5 tiny_aya cohere2moe "
    "granite-docling granite-embed-multi-97m kanana2 talkie mellum mellum2 a.x-4.0 pixtral midm-2.0 lfm2 kormo f2llmv2 "
    "modern-bert roberta-bpe jina-es jina-de jina-v1-en jina-v2-code jina-v2-de jina-v2-es jina-v5-nano joyai-llm";

/* Any bytes, with any rule: the words are the text. */
static void test_every_byte_is_in_a_word(void) {
    static const char likely[] = "aB1 \n\r'\xC3\xA4\xE4\xB8\xAD\xCC\x81\xE2\x80\xA8/!<s";
    static uint32_t state = 1;
    char text[200];
    size_t names = 0, wrong = 0;
    for (const char *p = all_names, *end; *p; p = end + (*end == ' ')) {
        end = p + strcspn(p, " ");
        const pretokenizer *pre = pretokenizer_find((str){p, (size_t)(end - p)});
        CHECK(pre != NULL);
        if (!pre) continue;
        names++;
        for (int round = 0; round < 200; round++) {
            for (size_t i = 0; i < sizeof text; i++) {
                state = state * 1664525u + 1013904223u;
                text[i] = round % 2 ? (char)(state >> 24) : likely[(state >> 16) % (sizeof likely - 1)];
            }
            char *copy = malloc(sizeof text); /* so that a sanitizer sees a look behind the end */
            memcpy(copy, text, sizeof text);
            const char *at = copy;
            pre_walk walk = pre_walk_begin(pre, (str){copy, sizeof text});
            for (str word; pre_walk_next(&walk, &word); at += word.n) wrong += word.p != at || word.n == 0;
            wrong += at != copy + sizeof text;
            free(copy);
        }
    }
    CHECK(names > 80 && wrong == 0);
}

static void test_flags(void) {
    CHECK(pretokenizer_whole_words(pretokenizer_find(STR("llama-bpe"))));
    CHECK(pretokenizer_whole_words(pretokenizer_find(STR("tekken"))));
    CHECK(!pretokenizer_whole_words(pretokenizer_find(STR("glm4"))));
    CHECK(pretokenizer_adds_bos(pretokenizer_find(STR("chameleon"))));
    CHECK(!pretokenizer_adds_bos(pretokenizer_find(STR("minicpm5"))));
}

int main(void) {
    test_pretokenizers();
    test_expressions();
    test_every_byte_is_in_a_word();
    test_flags();
    return check_summary();
}
