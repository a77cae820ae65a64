/*
 * The rules were written as regular expressions. A pre-tokenizer is a list of stages, each of which cuts up the
 * pieces that the one before has left. A stage stands for one expression, mostly as the list of its alternatives
 * (pre_match.h): the first that matches wins, as in a regex engine, and what none matches stays together up to the
 * next match.
 *
 * No stage looks behind the place where its last piece ended, so it can go on from there; and none looks at a
 * character more than a bounded number of times, so a walk is linear.
 *
 * Where llama.cpp spells an expression differently from the tokenizer that a model was trained with (its regex
 * engine knows no \p{Lu} and no \p{M}), the rule here is the latter's.
 */
#include "text/pretokenize.h"

#include "text/pre_match.h"

/* ---- stages ---------------------------------------------------------------------------------- */

typedef struct stage stage;

/* Where the first piece of [p, end) ends. *known is the function's own note on the text, NULL at first; it may say
 * how far a run goes, so that the run is not counted anew for each piece of it. */
typedef const char *cut_function(const stage *s, const char *p, const char *end, const char **known);

struct stage {
    cut_function *cut;
    alternative *const *alternatives; /* of cut_matches, ends with NULL */
    char_class runs;                  /* of cut_runs and cut_groups */
    size_t most;                      /* of cut_runs: characters of a run that stay together */
};

static const char *match_any(alternative *const *alternatives, const char *p, const char *end) {
    const char *q = p;
    for (; *alternatives && q == p; alternatives++) q = (*alternatives)(p, end);
    return q;
}

/* A match at p, or what comes before the next match. */
static const char *cut_matches(const stage *s, const char *p, const char *end, const char **known) {
    (void)known;
    const char *q = match_any(s->alternatives, p, end);
    if (q > p) return q;
    for (q = p + utf8_decode(p, end).n; q < end; q += utf8_decode(q, end).n) {
        if (match_any(s->alternatives, q, end) > q) break;
    }
    return q;
}

/* The same where white space is cut up into pieces: what follows in a run without newlines is not looked through for
 * one again. Its last character may begin a word. */
static const char *cut_halving(const stage *s, const char *p, const char *end, const char **known) {
    static const char_class spaces = {.some = UNI_SPACE};
    if (*known && p < *known && p + utf8_decode(p, end).n < *known) return halving_space(p, end);
    const char *q = cut_matches(s, p, end, known);
    if (q > p && space_to_newline(p, q) == p) *known = skip(p, end, &spaces, SIZE_MAX);
    return q;
}

/* Where the class of the stage is next found. */
static const char *skip_to(const stage *s, const char *p, const char *end) {
    const char_class class = s->runs;
    for (look at; at = look_at(p, end), at.set != 0 && !holds(&class, at);) p += at.n;
    return p;
}

/* A class alone: a run of it, or what comes before the next. */
static const char *cut_runs(const stage *s, const char *p, const char *end, const char **known) {
    const char_class class = s->runs;
    const char *q = skip(p, end, &class, s->most);
    (void)known;
    return q > p ? q : skip_to(s, p, end);
}

/* "\s+$" */
static const char *cut_last_space(const stage *s, const char *p, const char *end, const char **known) {
    const char *q = end;
    (void)s, (void)known;
    while (q > p) {
        const char *begin = q - 1;
        while (begin > p && q - begin < 4 && (*begin & 0xC0) == 0x80) begin--;
        look at = look_at(begin, q);
        if (begin + at.n != q || !(at.set & UNI_SPACE)) break;
        q = begin;
    }
    return q > p ? q : end;
}

/* Runs of digits, in threes from their end: the first group has what is left over. */
static const char *cut_groups(const stage *s, const char *p, const char *end, const char **known) {
    if (*known && p < *known) return skip(p, *known, &s->runs, 3);
    const char *q = p;
    size_t n = 0;
    for (look at; at = look_at(q, end), holds(&s->runs, at); q += at.n) n++;
    if (n == 0) return cut_runs(s, p, end, known);
    *known = q;
    return skip(p, q, &s->runs, n % 3 ? n % 3 : 3);
}

/* "\d{1,3}(?=(?:\d{3})*\b)": the same, but not for digits with a letter after them. */
static const char *cut_number_groups(const stage *s, const char *p, const char *end, const char **known) {
    static const char_class in_words = {.some = UNI_L | UNI_M | UNI_N | UNI_Pc};
    if (*known && p < *known) return cut_groups(s, p, end, known);
    for (const char *q = p, *digits;; q = skip(digits, end, &s->runs, SIZE_MAX)) {
        digits = skip_to(s, q, end);
        if (digits == end) return end;
        if (holds(&in_words, look_at(skip(digits, end, &s->runs, SIZE_MAX), end))) continue;
        return digits > p ? digits : cut_groups(s, p, end, known);
    }
}

/* "(?=(\d{3})+(?!\d))" matches no characters: it parts the text wherever three, six, ... digits end a run. */
static const char *cut_before_groups(const stage *s, const char *p, const char *end, const char **known) {
    const char *q = p;
    if (*known && p < *known) {
        q = skip(p, *known, &s->runs, 3);
        if (q < *known) return q;
    }
    for (;;) {
        const char *digits = q = skip_to(s, q, end);
        size_t n = 0;
        for (look at; at = look_at(q, end), holds(&s->runs, at); q += at.n) n++;
        if (n == 0) return end;
        *known = q;
        const char *first = skip(digits, q, &s->runs, n % 3);
        if (first == p) first = skip(first, q, &s->runs, 3);
        if (first < q) return first;
    }
}

/* ---- the table of expressions ---------------------------------------------------------------- */

#define MATCHES(...)                                                                                                   \
    {                                                                                                                  \
        .cut = cut_matches, .alternatives = (alternative *const[]) { __VA_ARGS__, NULL }                               \
    }
#define RUNS(limit, ...)                                                                                               \
    { .cut = cut_runs, .runs = {__VA_ARGS__}, .most = (limit) }
#define NEWLINES_AND_SPACE space_to_newline, space_but_last, space

static const stage gpt2_words =
    MATCHES(contraction, spaced_letters, spaced_numbers, spaced_others, space_but_last, space);
static const stage llama_words =
    MATCHES(any_case_contraction, word, three_numbers, spaced_others_newlines, NEWLINES_AND_SPACE);
static const stage qwen_words = MATCHES(any_case_contraction, word, number, spaced_others_newlines, NEWLINES_AND_SPACE);
static const stage qwen35_words =
    MATCHES(any_case_contraction, marked_word, number, spaced_unmarked_newlines, NEWLINES_AND_SPACE);
static const stage minicpm_words =
    MATCHES(any_case_contraction, word, all_numbers, spaced_others_newlines, NEWLINES_AND_SPACE);
static const stage seed_words = MATCHES(any_case_contraction, word, number, spaced_others, NEWLINES_AND_SPACE);
static const stage jais2_words = {
    .cut = cut_halving,
    .alternatives = (alternative *const[]){any_case_contraction, word, three_numbers, spaced_others_newlines,
                                           space_to_newline, halving_space, NULL},
};
static const stage phrases = MATCHES(any_case_contraction, phrase, number, spaced_others_slash, NEWLINES_AND_SPACE);
static const stage gpt4o_words =
    MATCHES(cased_word_contraction, three_numbers, spaced_others_slashes, NEWLINES_AND_SPACE);
static const stage tekken_words = MATCHES(cased_word, number, spaced_others_slashes, NEWLINES_AND_SPACE);
static const stage kimi_words =
    MATCHES(han_run, cased_word_not_han, three_numbers, spaced_others_newlines, NEWLINES_AND_SPACE);
static const stage deepseek3_words = MATCHES(punctuated_word, symbol_word, spaced_symbols_newlines, NEWLINES_AND_SPACE);
static const stage youtu_scripts = MATCHES(korean_run, youtu_marks, bopomofo_run, chinese_run);
static const stage youtu_words = MATCHES(cased_word_contraction, number, spaced_others_slashes, NEWLINES_AND_SPACE);
static const stage deepseek_letters = MATCHES(spaced_deepseek_letters);
static const stage deepseek_punctuation = MATCHES(spaced_deepseek_punctuation);
static const stage coder_letters = MATCHES(spaced_all_letters);
static const stage coder_punctuation = MATCHES(spaced_punctuation);
static const stage bloom_words = MATCHES(no_bloom_mark);
static const stage sentinels = MATCHES(sentinel_token);
static const stage images = MATCHES(image_token);
static const stage chameleon_spaces = MATCHES(two_or_four_spaces);
static const stage lines = MATCHES(newline_run, line);

static const stage single_numbers = RUNS(1, .some = UNI_N);
static const stage triple_numbers = RUNS(3, .some = UNI_N);
static const stage number_runs = RUNS(SIZE_MAX, .some = UNI_N);
static const stage last_space = {.cut = cut_last_space};
static const stage number_groups = {.cut = cut_groups, .runs = {.some = UNI_N}, .most = SIZE_MAX};
static const stage digit_groups = {.cut = cut_number_groups, .runs = {.some = UNI_Nd}, .most = SIZE_MAX};
static const stage before_groups = {.cut = cut_before_groups, .runs = {.some = UNI_Nd}};

/* "[\r\n]" */
static const code_range newline_ranges[] = {{'\n', '\n'}, {'\r', '\r'}};
static const stage newlines = RUNS(1, 0, 0, RANGES(newline_ranges));
/* "[\p{P}$+<=>^~|]+", "[\p{P}$+<=>^~|`]+" */
static const code_range symbol_ranges[] = {{'$', '$'}, {'+', '+'}, {'<', '>'}, {'^', '^'}, {'|', '|'}, {'~', '~'}};
static const code_range falcon_ranges[] = {{'$', '$'}, {'+', '+'}, {'<', '>'}, {'^', '^'},
                                           {'`', '`'}, {'|', '|'}, {'~', '~'}};
static const stage default_punctuation = RUNS(SIZE_MAX, UNI_P, 0, RANGES(symbol_ranges));
static const stage falcon_punctuation = RUNS(SIZE_MAX, UNI_P, 0, RANGES(falcon_ranges));
/* "[\p{P}!-/:-@\[-`{-~]" */
static const code_range ascii_marks[] = {{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}};
static const stage single_punctuation = RUNS(1, UNI_P, 0, RANGES(ascii_marks));
/* "[一-龥ࠀ-一가-퟿]+", but for the white space in it; "[一-龥぀-ゟ゠-ヿ]+" */
static const code_range cjk_ranges[] = {{0x0800, 0x9FA5}, {0xAC00, 0xD7FF}};
static const code_range kana_ranges[] = {{0x3040, 0x30FF}, {0x4E00, 0x9FA5}};
static const stage cjk_runs = RUNS(SIZE_MAX, 0, UNI_SPACE, RANGES(cjk_ranges));
static const stage kana_runs = RUNS(SIZE_MAX, 0, 0, RANGES(kana_ranges));
/* "[一-鿿㐀-䶿豈-﫿぀-ゟ゠-ヿ･-ﾟ⼀-⿟เ-๿຀-໿ក-៿က-႟ꩠ-ꩿꧠ-꧿가-힯ᄀ-ᇿ]+" */
static const code_range asian_ranges[] = {{0x0E40, 0x0EFF}, {0x1000, 0x109F}, {0x1100, 0x11FF}, {0x1780, 0x17FF},
                                          {0x2F00, 0x2FDF}, {0x3040, 0x30FF}, {0x3400, 0x4DBF}, {0x4E00, 0x9FFF},
                                          {0xA9E0, 0xA9FF}, {0xAA60, 0xAA7F}, {0xAC00, 0xD7AF}, {0xF900, 0xFAFF},
                                          {0xFF65, 0xFF9F}};
static const stage asian_runs = RUNS(SIZE_MAX, 0, 0, RANGES(asian_ranges));
/* "[0-9][0-9][0-9]": of a run of digits, what is left over at its end stays with what follows */
static const char *three_digits(const char *p, const char *end) {
    if (end - p < 3) return p;
    for (int i = 0; i < 3; i++) {
        if (p[i] < '0' || p[i] > '9') return p;
    }
    return p + 3;
}
static const stage digit_triples = MATCHES(three_digits);

/* ---- the table of pre-tokenizers ------------------------------------------------------------- */

enum { WHOLE_WORDS = 1, ADDS_BOS = 2 };

struct pretokenizer {
    const char *names; /* separated by spaces */
    const stage *stages[PRE_MAX_STAGES];
    unsigned flags;
};

static const pretokenizer rows[] = {
    {"default", {&default_punctuation, &gpt2_words, &number_runs, &digit_triples}, 0},
    {"gpt-2 phi-2 mpt olmo jais trillion granite-docling exaone4 gigachat mellum a.x-4.0 modern-bert roberta-bpe "
     "jina-es jina-de jina-v1-en jina-v2-code jina-v2-de jina-v2-es",
     {&gpt2_words},
     0},
    {"smollm starcoder refact command-r codeshell exaone minerva-7b mellum2", {&single_numbers, &gpt2_words}, 0},
    {"llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano",
     {&llama_words},
     WHOLE_WORDS | ADDS_BOS},
    {"dbrx smaug-bpe chatglm-bpe glm4", {&llama_words}, 0},
    {"qwen2 deepseek-r1-qwen stablelm2 hunyuan solar-open grok-2 megrez kormo f2llmv2 bailingmoe bailingmoe2 llada-moe",
     {&qwen_words},
     0},
    {"qwen35", {&qwen35_words}, 0},
    {"gpt-4o llama4 kanana2 talkie inkling minimax-m2", {&gpt4o_words}, 0},
    {"granite-embed-multi-97m", {&gpt4o_words}, WHOLE_WORDS},
    {"tekken", {&tekken_words}, WHOLE_WORDS | ADDS_BOS},
    {"kimi-k2", {&kimi_words}, 0},
    {"falcon", {&falcon_punctuation, &gpt2_words, &digit_triples}, 0},
    {"deepseek-llm", {&newlines, &deepseek_letters, &deepseek_punctuation, &last_space, &cjk_runs, &number_runs}, 0},
    {"deepseek-coder", {&newlines, &coder_letters, &coder_punctuation, &cjk_runs, &single_numbers}, 0},
    {"deepseek-v3 hunyuan-dense joyai-llm", {&triple_numbers, &kana_runs, &deepseek3_words}, 0},
    {"afmoe", {&number_groups, &asian_runs, &deepseek3_words}, 0},
    {"bloom poro-chat gpt3-finnish", {&bloom_words}, 0},
    {"viking", {&bloom_words, &single_numbers}, 0},
    {"chameleon",
     {&sentinels, &images, &chameleon_spaces, &single_numbers, &single_punctuation, &gpt2_words},
     ADDS_BOS},
    {"seed-coder", {&seed_words}, 0},
    {"superbpe", {&number_runs, &before_groups}, 0},
    {"tiny_aya cohere2moe", {&digit_groups, &gpt4o_words}, 0},
    {"exaone-moe", {&phrases}, 0},
    {"minicpm5", {&triple_numbers, &minicpm_words}, WHOLE_WORDS},
    {"jais-2", {&jais2_words}, 0},
    {"laguna", {&lines, &qwen_words}, 0},
    {"youtu", {&youtu_scripts, &youtu_words}, WHOLE_WORDS},
};

static bool list_has(const char *list, str name) {
    while (*list) {
        size_t n = strcspn(list, " ");
        if (str_eq((str){list, n}, name)) return true;
        list += n + (list[n] == ' ');
    }
    return false;
}

const pretokenizer *pretokenizer_find(str name) {
    if (name.n == 0) return NULL;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (list_has(rows[i].names, name)) return &rows[i];
    }
    return NULL;
}

bool pretokenizer_whole_words(const pretokenizer *pre) { return pre->flags & WHOLE_WORDS; }
bool pretokenizer_adds_bos(const pretokenizer *pre) { return pre->flags & ADDS_BOS; }

/* ---- the walk -------------------------------------------------------------------------------- */

pre_walk pre_walk_begin(const pretokenizer *pre, str text) {
    pre_walk walk = {.pre = pre, .p = text.p};
    for (size_t i = 0; i <= PRE_MAX_STAGES; i++) walk.ends[i] = text.p;
    walk.ends[0] = text.p + text.n;
    return walk;
}

bool pre_walk_next(pre_walk *walk, str *word) {
    const char *p = walk->p;
    if (p == walk->ends[0]) return false;
    size_t i = 0;
    for (; i < PRE_MAX_STAGES && walk->pre->stages[i]; i++) {
        const stage *s = walk->pre->stages[i];
        if (p == walk->ends[i + 1]) walk->ends[i + 1] = s->cut(s, p, walk->ends[i], &walk->known[i]);
    }
    walk->p = walk->ends[i];
    *word = (str){p, (size_t)(walk->p - p)};
    return true;
}
