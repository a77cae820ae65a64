/*
 * Each alternative of a pre-tokenizer's regular expression is a function here. All are greedy, as the expressions
 * are; where a regex engine would step back, the function says what it would find. Every alternative looks at each
 * character a bounded number of times more than it takes, and at a bounded number where it does not match.
 */
#include "text/pre_match.h"

#include <string.h>

bool in_ranges(const code_range *ranges, size_t n, uint32_t cp) {
    while (n > 0) {
        size_t half = n / 2;
        if (cp < ranges[half].first) {
            n = half;
        } else if (cp > ranges[half].last) {
            ranges += half + 1;
            n -= half + 1;
        } else {
            return true;
        }
    }
    return false;
}

/* ---- classes --------------------------------------------------------------------------------- */

#define UPPER (UNI_Lu | UNI_Lt | UNI_Lm | UNI_Lo | UNI_M) /* [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] */
#define LOWER (UNI_Ll | UNI_Lm | UNI_Lo | UNI_M)          /* [\p{Ll}\p{Lm}\p{Lo}\p{M}] */

static const char_class letters = {.some = UNI_L};
static const char_class marked_letters = {.some = UNI_L | UNI_M};
static const char_class numbers = {.some = UNI_N};
static const char_class spaces = {.some = UNI_SPACE};
static const char_class punctuation = {.some = UNI_P};
static const char_class symbols = {.some = UNI_P | UNI_S};
static const char_class han = {.some = UNI_HAN};
static const char_class others = {.some = ~0u, .none = UNI_SPACE | UNI_L | UNI_N};           /* [^\s\p{L}\p{N}] */
static const char_class unmarked = {.some = ~0u, .none = UNI_SPACE | UNI_L | UNI_M | UNI_N}; /* [^\s\p{L}\p{M}\p{N}] */

static bool is_newline(look at) { return at.cp == '\r' || at.cp == '\n'; }

static const char *skip_bytes(const char *p, const char *end, const char *set) {
    while (p < end && *p && strchr(set, *p)) p++;
    return p;
}

/* ---- contractions ---------------------------------------------------------------------------- */

/* A letter of a contraction at p: the bytes it takes, or 0. A long s is an s where case does not count. */
static size_t match_letter(const char *p, const char *end, char letter, bool any_case) {
    if (p < end && (any_case ? *p | 0x20 : *p) == letter) return 1;
    return any_case && letter == 's' && end - p >= 2 && memcmp(p, "\xC5\xBF", 2) == 0 ? 2 : 0;
}

static const char *match_contraction(const char *p, const char *end, bool any_case) {
    static const char tails[][3] = {"s", "t", "re", "ve", "m", "ll", "d"};
    if (*p != '\'') return p;
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        size_t first = match_letter(p + 1, end, tails[i][0], any_case);
        if (first == 0) continue;
        if (!tails[i][1]) return p + 1 + first;
        size_t second = match_letter(p + 1 + first, end, tails[i][1], any_case);
        if (second > 0) return p + 1 + first + second;
    }
    return p;
}

/* 's|'t|'re|'ve|'m|'ll|'d */
const char *contraction(const char *p, const char *end) { return match_contraction(p, end, false); }
/* (?i:'s|'t|'re|'ve|'m|'ll|'d) */
const char *any_case_contraction(const char *p, const char *end) { return match_contraction(p, end, true); }

/* ---- runs of a class ------------------------------------------------------------------------- */

/* " ?" and a run of a class that does not hold the space. */
static inline const char *match_spaced(const char *p, const char *end, const char_class *c) {
    const char *run = p + (*p == ' '), *q = skip(run, end, c, SIZE_MAX);
    return q > run ? q : p;
}

/* " ?\p{L}+" and so on */
const char *spaced_letters(const char *p, const char *end) { return match_spaced(p, end, &letters); }
const char *spaced_numbers(const char *p, const char *end) { return match_spaced(p, end, &numbers); }
const char *spaced_others(const char *p, const char *end) { return match_spaced(p, end, &others); }

/* The same with bytes of `tail` behind it, as many as there are. */
static inline const char *match_tailed(const char *p, const char *end, const char_class *c, const char *tail) {
    const char *q = match_spaced(p, end, c);
    return q > p ? skip_bytes(q, end, tail) : p;
}

/* " ?[^\s\p{L}\p{N}]+[\r\n]*" */
const char *spaced_others_newlines(const char *p, const char *end) { return match_tailed(p, end, &others, "\r\n"); }
/* " ?[^\s\p{L}\p{N}]+[\r\n/]*" */
const char *spaced_others_slashes(const char *p, const char *end) { return match_tailed(p, end, &others, "\r\n/"); }
/* " ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*" */
const char *spaced_unmarked_newlines(const char *p, const char *end) { return match_tailed(p, end, &unmarked, "\r\n"); }
/* " ?[\p{P}\p{S}]+[\r\n]*" */
const char *spaced_symbols_newlines(const char *p, const char *end) { return match_tailed(p, end, &symbols, "\r\n"); }

/* " ?[^\s\p{L}\p{N}]+[\r\n/]?" */
const char *spaced_others_slash(const char *p, const char *end) {
    const char *q = match_spaced(p, end, &others);
    return q + (q > p && q < end && (*q == '\r' || *q == '\n'));
}

/* "\s?" and a run of a class, which may hold white space itself. */
static inline const char *match_after_space(const char *p, const char *end, const char_class *c) {
    look at = look_at(p, end);
    const char *run = p + (at.set & UNI_SPACE ? at.n : 0), *q = skip(run, end, c, SIZE_MAX);
    return q > run ? q : skip(p, run, c, 1);
}

/* "\s?\p{L}+", "\s?\p{P}+" */
const char *spaced_all_letters(const char *p, const char *end) { return match_after_space(p, end, &letters); }
const char *spaced_punctuation(const char *p, const char *end) { return match_after_space(p, end, &punctuation); }

/* ---- words ----------------------------------------------------------------------------------- */

/* A character that has none of `none` and is no newline, or none; then a run of a class. */
static inline const char *match_word(const char *p, const char *end, uint32_t none, const char_class *c) {
    look at = look_at(p, end);
    const char *run = is_newline(at) || (at.set & none) ? p : p + at.n;
    const char *q = skip(run, end, c, SIZE_MAX);
    return q > run ? q : skip(p, run, c, 1);
}

/* "[^\r\n\p{L}\p{N}]?\p{L}+" */
const char *word(const char *p, const char *end) { return match_word(p, end, UNI_L | UNI_N, &letters); }
/* "[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+" */
const char *marked_word(const char *p, const char *end) { return match_word(p, end, UNI_L | UNI_N, &marked_letters); }
/* "[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+" */
const char *symbol_word(const char *p, const char *end) {
    return match_word(p, end, UNI_L | UNI_P | UNI_S, &marked_letters);
}

static bool is_ascii_letter(const char *p, const char *end) {
    return p < end && (*p | 0x20) >= 'a' && (*p | 0x20) <= 'z';
}

/* "[!-/:-~][A-Za-z]+" without letters in the first class */
const char *punctuated_word(const char *p, const char *end) {
    const char *q = p + 1;
    if (*p < '!' || *p > '~' || is_ascii_letter(p, end) || (*p >= '0' && *p <= '9')) return p;
    while (is_ascii_letter(q, end)) q++;
    return q > p + 1 ? q : p;
}

/* "[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+": words with one space between them */
const char *phrase(const char *p, const char *end) {
    static const char_class marks = {.some = UNI_M};
    look at = look_at(p, end);
    const char *q = is_newline(at) || (at.set & (UNI_L | UNI_N)) ? p : p + at.n, *begin = q;
    for (;;) {
        const char *next = q + (q > begin && q < end && *q == ' ');
        at = look_at(next, end);
        if (!(at.set & UNI_L)) break;
        q = skip(next + at.n, end, &marks, SIZE_MAX);
    }
    return q > begin ? q : p;
}

/*
 * With U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] and V = [\p{Ll}\p{Lm}\p{Lo}\p{M}], which have much in common:
 *   "[^\r\n\p{L}\p{N}]?U*V+|[^\r\n\p{L}\p{N}]?U+V*"
 * U* takes all it can. A small letter behind it is the V+, which then takes all it can; else U* steps back until a
 * character that is in V as well can be the V+, which ends there. Only where there is none does U+ take the run.
 * `none` is what U and V do not hold.
 */
static inline const char *match_cased(const char *p, const char *end, uint32_t none) {
    const char_class upper = {.some = UPPER, .none = none}, lower = {.some = LOWER, .none = none};
    look at = look_at(p, end);
    bool prefix = !is_newline(at) && !(at.set & (UNI_L | UNI_N));
    const char *begins[2] = {p + (prefix ? at.n : 0), p}, *runs[2];
    for (int i = 0; i < 1 + prefix; i++) {
        const char *q = begins[i], *last = q; /* behind the last character that is in both */
        for (; at = look_at(q, end), holds(&upper, at); q += at.n) {
            if (holds(&lower, at)) last = q + at.n;
        }
        if (holds(&lower, at)) return skip(q, end, &lower, SIZE_MAX);
        if (last > begins[i]) return last;
        runs[i] = q;
    }
    for (int i = 0; i < 1 + prefix; i++) {
        if (runs[i] > begins[i]) return runs[i];
    }
    return p;
}

const char *cased_word(const char *p, const char *end) { return match_cased(p, end, 0); }

static const char *add_contraction(const char *p, const char *q, const char *end) {
    return q > p && q < end ? any_case_contraction(q, end) : q;
}

/* The same with "(?i:'s|'t|'re|'ve|'m|'ll|'d)?" behind it */
const char *cased_word_contraction(const char *p, const char *end) {
    return add_contraction(p, match_cased(p, end, 0), end);
}

/* The same, and letters are not of the script Han */
const char *cased_word_not_han(const char *p, const char *end) {
    return add_contraction(p, match_cased(p, end, UNI_HAN), end);
}

/* "[\p{Han}]+" */
const char *han_run(const char *p, const char *end) { return skip(p, end, &han, SIZE_MAX); }

/* ---- numbers --------------------------------------------------------------------------------- */

/* "\p{N}", "\p{N}{1,3}", "\p{N}+" */
const char *number(const char *p, const char *end) { return skip(p, end, &numbers, 1); }
const char *three_numbers(const char *p, const char *end) { return skip(p, end, &numbers, 3); }
const char *all_numbers(const char *p, const char *end) { return skip(p, end, &numbers, SIZE_MAX); }

/* ---- white space ----------------------------------------------------------------------------- */

/* "\s*[\r\n]+": up to the last newline of the run. "\s*[\r\n]" is the same. */
const char *space_to_newline(const char *p, const char *end) {
    const char *match = p, *q = p;
    for (look at; (at = look_at(q, end), at.set & UNI_SPACE);) {
        q += at.n;
        if (is_newline(at)) match = q;
    }
    return match;
}

/* "\s+(?!\S)": the whole run at the text's end, else all but its last character. */
const char *space_but_last(const char *p, const char *end) {
    const char *last = p, *q = p;
    for (look at; (at = look_at(q, end), at.set & UNI_SPACE); q += at.n) last = q;
    return q == end ? q : last;
}

/* "\s+" */
const char *space(const char *p, const char *end) { return skip(p, end, &spaces, SIZE_MAX); }

/* "\s{512}(?!\S)|\s{256}(?!\S)| ... |\s{4}(?!\S)|\s{1,2}(?!\S)|\s{1}" */
const char *halving_space(const char *p, const char *end) {
    enum { MOST = 512 };
    const char *ends[MOST + 1]; /* ends[i]: behind i characters of the run, as many as there are */
    size_t n = 0;
    ends[0] = p;
    for (look at; n < MOST && (at = look_at(ends[n], end), at.set & UNI_SPACE); n++) ends[n + 1] = ends[n] + at.n;
    if (n == 0) return p;
    bool more = look_at(ends[n], end).set & UNI_SPACE; /* the run goes on */
    size_t free = n - !(more || ends[n] == end);       /* behind so many stands no other character */
    for (size_t size = MOST; size > 0; size /= 2) {
        if (size <= free) return ends[size];
    }
    return ends[1];
}

/* "[\n]+", "[^\n]+" */
const char *newline_run(const char *p, const char *end) {
    while (p < end && *p == '\n') p++;
    return p;
}
const char *line(const char *p, const char *end) {
    const char *newline = memchr(p, '\n', (size_t)(end - p));
    return newline ? newline : end;
}

/* ---- of single models ------------------------------------------------------------------------ */

/* " ?[^(\s|.,!?…。，、।۔،)]+" */
const char *no_bloom_mark(const char *p, const char *end) {
    static const code_range marks[] = {
        {'!', '!'},       {'(', ')'},       {',', ','},       {'.', '.'},       {'?', '?'},       {'|', '|'},
        {0x060C, 0x060C}, {0x06D4, 0x06D4}, {0x0964, 0x0964}, {0x2026, 0x2026}, {0x3001, 0x3002}, {0xFF0C, 0xFF0C},
    };
    const char *run = p + (*p == ' '), *q = run;
    for (look at; (at = look_at(q, end), at.set != 0 && !(at.set & UNI_SPACE)); q += at.n) {
        if (in_ranges(RANGES(marks), at.cp)) break;
    }
    return q > run ? q : p;
}

static const char *match_literal(const char *p, const char *end, const char *text) {
    size_t n = strlen(text);
    return (size_t)(end - p) >= n && memcmp(p, text, n) == 0 ? p + n : p;
}

/* "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z" */
const char *image_token(const char *p, const char *end) {
    const char *q = match_literal(p, end, "IMGIMG"), *digits = q;
    if (q == p) return p;
    while (q < end && q < digits + 4 && *q >= 'A' && *q <= 'I') q++;
    return q > digits && q < end && *q == 'Z' ? q + 1 : p;
}

/* "<sentinel:[0-9]+>" */
const char *sentinel_token(const char *p, const char *end) {
    const char *q = match_literal(p, end, "<sentinel:"), *digits = q;
    if (q == p) return p;
    while (q < end && *q >= '0' && *q <= '9') q++;
    return q > digits && q < end && *q == '>' ? q + 1 : p;
}

/* "([\t\n]|    |  )" */
const char *two_or_four_spaces(const char *p, const char *end) {
    if (*p == '\t' || *p == '\n') return p + 1;
    const char *q = match_literal(p, end, "    ");
    return q > p ? q : match_literal(p, end, "  ");
}

/* "\s?[...]+" with the letters of Latin, Greek, Cyrillic and others that have cases, as the expression lists them */
const char *spaced_deepseek_letters(const char *p, const char *end) {
    static const code_range ranges[] = {
        {0x41, 0x5A},       {0x61, 0x7A},       {0xB5, 0xB5},       {0xC0, 0xD6},       {0xD8, 0xF6},
        {0xF8, 0x1BA},      {0x1BC, 0x1BF},     {0x1C4, 0x293},     {0x295, 0x2AF},     {0x370, 0x373},
        {0x376, 0x377},     {0x37B, 0x37D},     {0x37F, 0x37F},     {0x386, 0x386},     {0x388, 0x38A},
        {0x38C, 0x38C},     {0x38E, 0x3A1},     {0x3A3, 0x3F5},     {0x3F7, 0x481},     {0x48A, 0x52F},
        {0x531, 0x556},     {0x10A0, 0x10C5},   {0x13A0, 0x13F5},   {0x13F8, 0x13FD},   {0x1C90, 0x1CBA},
        {0x1CBD, 0x1CBF},   {0x1D00, 0x1D2B},   {0x1D6B, 0x1D77},   {0x1D79, 0x1D9A},   {0x1E00, 0x1F15},
        {0x1F18, 0x1F1D},   {0x1F20, 0x1F45},   {0x1F48, 0x1F4D},   {0x1F50, 0x1F57},   {0x1F59, 0x1F59},
        {0x1F5B, 0x1F5B},   {0x1F5D, 0x1F5D},   {0x1F5F, 0x1F7D},   {0x1F80, 0x1FB4},   {0x1FB6, 0x1FBC},
        {0x1FBE, 0x1FBE},   {0x1FC2, 0x1FC4},   {0x1FC6, 0x1FCC},   {0x1FD0, 0x1FD3},   {0x1FD6, 0x1FDB},
        {0x1FE0, 0x1FEC},   {0x1FF2, 0x1FF4},   {0x1FF6, 0x1FFC},   {0x2102, 0x2102},   {0x2107, 0x2107},
        {0x210A, 0x2113},   {0x2115, 0x2115},   {0x2119, 0x211D},   {0x2124, 0x2124},   {0x2126, 0x2126},
        {0x2128, 0x2128},   {0x212A, 0x212D},   {0x212F, 0x2134},   {0x2139, 0x2139},   {0x213C, 0x213F},
        {0x2145, 0x2149},   {0x214E, 0x214E},   {0x2183, 0x2184},   {0x2C00, 0x2C7B},   {0x2C7E, 0x2CE4},
        {0x2CEB, 0x2CEE},   {0x2CF2, 0x2CF3},   {0xA640, 0xA66D},   {0xA680, 0xA69B},   {0xA722, 0xA76F},
        {0xA771, 0xA787},   {0xA78B, 0xA78E},   {0xAB70, 0xABBF},   {0xFB00, 0xFB06},   {0xFB13, 0xFB17},
        {0xFF21, 0xFF3A},   {0xFF41, 0xFF5A},   {0x10400, 0x1044F}, {0x104B0, 0x104D3}, {0x104D8, 0x104FB},
        {0x10C80, 0x10CB2}, {0x10CC0, 0x10CF2}, {0x118A0, 0x118DF}, {0x1E900, 0x1E943},
    };
    static const char_class listed = {0, 0, RANGES(ranges)};
    return match_after_space(p, end, &listed);
}

/* "\s?[!-/:-~！-／：-～‘-‟　-。]+": between ':' and '~' are letters, too; white space
 * is not taken */
const char *spaced_deepseek_punctuation(const char *p, const char *end) {
    static const code_range ranges[] = {{'!', '/'},       {':', '~'},       {0x2018, 0x201F},
                                        {0x3000, 0x3002}, {0xFF01, 0xFF0F}, {0xFF1A, 0xFF5E}};
    static const char_class listed = {0, UNI_SPACE, RANGES(ranges)};
    return match_after_space(p, end, &listed);
}

/* "[가-힣ㄱ-ㆎ]+|[！…“”‘’—：；，、-〿︰-﹏]+|[ㄅ-ㄯ]+|[一-龥぀-ゟ゠-ヿ]+" */
const char *korean_run(const char *p, const char *end) {
    static const code_range ranges[] = {{0x3131, 0x318E}, {0xAC00, 0xD7A3}};
    static const char_class listed = {0, 0, RANGES(ranges)};
    return skip(p, end, &listed, SIZE_MAX);
}
const char *youtu_marks(const char *p, const char *end) {
    static const code_range ranges[] = {{0x2014, 0x2014}, {0x2018, 0x2019}, {0x201C, 0x201D},
                                        {0x2026, 0x2026}, {0x3001, 0x303F}, {0xFE30, 0xFE4F},
                                        {0xFF01, 0xFF01}, {0xFF0C, 0xFF0C}, {0xFF1A, 0xFF1B}};
    static const char_class listed = {0, 0, RANGES(ranges)};
    return skip(p, end, &listed, SIZE_MAX);
}
const char *bopomofo_run(const char *p, const char *end) {
    static const code_range ranges[] = {{0x3105, 0x312F}};
    static const char_class listed = {0, 0, RANGES(ranges)};
    return skip(p, end, &listed, SIZE_MAX);
}
const char *chinese_run(const char *p, const char *end) {
    static const code_range ranges[] = {{0x3040, 0x30FF}, {0x4E00, 0x9FA5}};
    static const char_class listed = {0, 0, RANGES(ranges)};
    return skip(p, end, &listed, SIZE_MAX);
}
