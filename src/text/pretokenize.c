/*
 * The rules were written as regular expressions. Here each alternative of an expression is a function that
 * matches at one place, and an expression is the list of its alternatives: the first that matches wins, as
 * in a regex engine, and what none matches stays together up to the next match. A pre-tokenizer is a list of
 * such expressions (stages), each of which cuts up the pieces that the one before has left.
 *
 * Every alternative looks at each character a bounded number of times more than it takes, so a walk is linear.
 * No alternative looks behind, so a stage can go on from wherever its last piece ended.
 */
#include "text/pretokenize.h"

#include "text/unicode.h"

/* ---- characters ------------------------------------------------------------------------------ */

typedef struct {
    uint32_t cp, n;
    uint32_t set; /* its unicode_set; 0 at the text's end, so that no class holds the end */
} look;

static look look_at(const char *p, const char *end) {
    if (p >= end) return (look){.cp = UNICODE_INVALID};
    utf8_char c = utf8_decode(p, end);
    return (look){c.cp, c.n, unicode_set(c.cp)};
}

/* A character class: holds a character that has one of `some` and none of `none`. */
typedef struct {
    uint32_t some, none;
} char_class;

static const char_class letters = {UNI_L, 0};
static const char_class numbers = {UNI_N, 0};
static const char_class others = {~0u, UNI_SPACE | UNI_L | UNI_N}; /* [^\s\p{L}\p{N}] */

static bool holds(char_class c, look at) { return (at.set & c.some) && !(at.set & c.none); }

/* Behind the run of at most `most` characters of a class. */
static const char *skip(const char *p, const char *end, char_class c, size_t most) {
    for (look at; most > 0 && (at = look_at(p, end), holds(c, at)); most--) p += at.n;
    return p;
}

static bool is_newline(look at) { return at.cp == '\r' || at.cp == '\n'; }

/* ---- alternatives ---------------------------------------------------------------------------- */

/* Where the match that begins at p (before end) ends; p itself where there is none. */
typedef const char *alternative(const char *p, const char *end);

/* 's|'t|'re|'ve|'m|'ll|'d. Setting the bits of `fold` (0x20) in a byte makes letters small. */
static const char *match_contraction(const char *p, const char *end, int fold) {
    static const char tails[][3] = {"s", "t", "re", "ve", "m", "ll", "d"};
    if (*p != '\'') return p;
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        size_t n = tails[i][1] ? 2 : 1, same = 0;
        if ((size_t)(end - p) <= n) continue;
        while (same < n && (p[1 + same] | fold) == tails[i][same]) same++;
        if (same == n) return p + 1 + n;
    }
    return p;
}

static const char *contraction(const char *p, const char *end) { return match_contraction(p, end, 0); }
static const char *any_case_contraction(const char *p, const char *end) { return match_contraction(p, end, 0x20); }

/* " ?" and a run of a class that does not hold the space. */
static const char *match_spaced(const char *p, const char *end, char_class c) {
    const char *run = p + (*p == ' '), *q = skip(run, end, c, SIZE_MAX);
    return q > run ? q : p;
}

static const char *spaced_letters(const char *p, const char *end) { return match_spaced(p, end, letters); }
static const char *spaced_numbers(const char *p, const char *end) { return match_spaced(p, end, numbers); }
static const char *spaced_others(const char *p, const char *end) { return match_spaced(p, end, others); }

/* " ?[^\s\p{L}\p{N}]+[\r\n]*" */
static const char *spaced_others_newlines(const char *p, const char *end) {
    const char *q = match_spaced(p, end, others);
    while (q > p && q < end && (*q == '\r' || *q == '\n')) q++;
    return q;
}

/* "[^\r\n\p{L}\p{N}]?\p{L}+" */
static const char *word(const char *p, const char *end) {
    look at = look_at(p, end);
    const char *run = is_newline(at) || (at.set & (UNI_L | UNI_N)) ? p : p + at.n;
    const char *q = skip(run, end, letters, SIZE_MAX);
    return q > run ? q : p;
}

static const char *number(const char *p, const char *end) { return skip(p, end, numbers, 1); }
static const char *three_numbers(const char *p, const char *end) { return skip(p, end, numbers, 3); } /* {1,3} */
static const char *all_numbers(const char *p, const char *end) { return skip(p, end, numbers, SIZE_MAX); }

/* "[0-9][0-9][0-9]" */
static const char *three_digits(const char *p, const char *end) {
    if (end - p < 3) return p;
    for (int i = 0; i < 3; i++) {
        if (p[i] < '0' || p[i] > '9') return p;
    }
    return p + 3;
}

/* "\s*[\r\n]+": up to the last newline of the run. */
static const char *space_to_newline(const char *p, const char *end) {
    const char *match = p, *q = p;
    for (look at; (at = look_at(q, end), at.set & UNI_SPACE);) {
        q += at.n;
        if (is_newline(at)) match = q;
    }
    return match;
}

/* "\s+(?!\S)": the whole run at the text's end, else all but its last character. */
static const char *space_but_last(const char *p, const char *end) {
    const char *last = p, *q = p;
    for (look at; (at = look_at(q, end), at.set & UNI_SPACE); q += at.n) last = q;
    return q == end ? q : last;
}

/* "\s+" */
static const char *space(const char *p, const char *end) { return skip(p, end, (char_class){UNI_SPACE, 0}, SIZE_MAX); }

/* "[\p{P}$+<=>^~|]+" */
static const char *punctuation(const char *p, const char *end) {
    for (look at; (at = look_at(p, end), at.set != 0); p += at.n) {
        bool symbol = at.cp > 0 && at.cp < 0x80 && strchr("$+<=>^~|", (int)at.cp);
        if (!symbol && !(at.set & UNI_P)) break;
    }
    return p;
}

/* ---- the table ------------------------------------------------------------------------------- */

typedef alternative *const expression[]; /* ends with NULL */

static const expression gpt2_words = {contraction, spaced_letters, spaced_numbers, spaced_others, space_but_last, space,
                                      NULL};
static const expression llama_words = {any_case_contraction, word,           three_numbers, spaced_others_newlines,
                                       space_to_newline,     space_but_last, space,         NULL};
static const expression qwen_words = {any_case_contraction, word,           number, spaced_others_newlines,
                                      space_to_newline,     space_but_last, space,  NULL};
static const expression punctuation_runs = {punctuation, NULL};
static const expression single_numbers = {number, NULL};
static const expression number_runs = {all_numbers, NULL};
static const expression digit_triples = {three_digits, NULL};

enum { WHOLE_WORDS = 1, ADDS_BOS = 2 };

struct pretokenizer {
    const char *names; /* separated by spaces */
    alternative *const *stages[PRE_MAX_STAGES];
    unsigned flags;
};

static const pretokenizer rows[] = {
    {"default", {punctuation_runs, gpt2_words, number_runs, digit_triples}, 0},
    {"gpt-2 phi-2 mpt olmo jais trillion granite-docling exaone4 gigachat mellum a.x-4.0", {gpt2_words}, 0},
    {"smollm starcoder refact command-r codeshell exaone minerva-7b mellum2", {single_numbers, gpt2_words}, 0},
    {"llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2", {llama_words}, WHOLE_WORDS | ADDS_BOS},
    {"dbrx smaug-bpe chatglm-bpe glm4", {llama_words}, 0},
    {"qwen2 deepseek-r1-qwen stablelm2 hunyuan solar-open grok-2 megrez kormo f2llmv2", {qwen_words}, 0},
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
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (list_has(rows[i].names, name)) return &rows[i];
    }
    return NULL;
}

bool pretokenizer_whole_words(const pretokenizer *pre) { return pre->flags & WHOLE_WORDS; }
bool pretokenizer_adds_bos(const pretokenizer *pre) { return pre->flags & ADDS_BOS; }

/* ---- the walk -------------------------------------------------------------------------------- */

static const char *match_stage(alternative *const *stage, const char *p, const char *end) {
    const char *q = p;
    for (; *stage && q == p; stage++) q = (*stage)(p, end);
    return q;
}

/* Where the first piece of [p, end) ends: a match at p, or what comes before the next match. */
static const char *cut_piece(alternative *const *stage, const char *p, const char *end) {
    const char *q = match_stage(stage, p, end);
    if (q > p) return q;
    for (q = p + utf8_decode(p, end).n; q < end; q += utf8_decode(q, end).n) {
        if (match_stage(stage, q, end) > q) break;
    }
    return q;
}

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
        if (p == walk->ends[i + 1]) walk->ends[i + 1] = cut_piece(walk->pre->stages[i], p, walk->ends[i]);
    }
    walk->p = walk->ends[i];
    *word = (str){p, (size_t)(walk->p - p)};
    return true;
}
