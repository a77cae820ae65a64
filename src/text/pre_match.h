/* What pre-tokenizers are made of: character classes, and functions that match at one place of a text. */
#ifndef TEXT_PRE_MATCH_H
#define TEXT_PRE_MATCH_H

#include <stdbool.h>

#include "text/unicode.h"

/* ---- character classes ------------------------------------------------------------------------ */

typedef struct {
    uint32_t first, last;
} code_range;

/* Holds a character that has one of `some` (UNI_*) or lies in one of the ranges, sorted; but none with one of `none`.
 */
typedef struct {
    uint32_t some, none;
    const code_range *ranges;
    size_t n_ranges;
} char_class;

#define RANGES(array) (array), sizeof(array) / sizeof *(array)

typedef struct {
    uint32_t cp, n;
    uint32_t set; /* its unicode_set; 0 at the text's end, so that no class holds the end */
} look;

static inline look look_at(const char *p, const char *end) {
    if (p >= end) return (look){.cp = UNICODE_INVALID};
    uint8_t byte = (uint8_t)*p;
    if (byte < 0x80) return (look){byte, 1, unicode_set(byte)};
    utf8_char c = utf8_decode(p, end);
    return (look){c.cp, c.n, unicode_set(c.cp)};
}

bool in_ranges(const code_range *ranges, size_t n, uint32_t cp);

static inline bool holds(const char_class *c, look at) {
    if (at.set & c->none) return false;
    if (at.set & c->some) return true;
    return c->n_ranges > 0 && at.set != 0 && in_ranges(c->ranges, c->n_ranges, at.cp);
}

/* Behind the run of at most `most` characters of a class. */
static inline const char *skip(const char *p, const char *end, const char_class *c, size_t most) {
    for (look at; most > 0 && (at = look_at(p, end), holds(c, at)); most--) p += at.n;
    return p;
}

/* ---- alternatives ---------------------------------------------------------------------------- */

/* Where the match that begins at p (before end) ends; p itself where there is none. Each is named for its
 * expression, which stands beside its definition. */
typedef const char *alternative(const char *p, const char *end);

alternative contraction, any_case_contraction;
alternative spaced_letters, spaced_numbers, spaced_others, spaced_others_newlines, spaced_others_slashes,
    spaced_others_slash, spaced_unmarked_newlines, spaced_symbols_newlines;
alternative word, marked_word, symbol_word, punctuated_word, phrase;
alternative cased_word, cased_word_contraction, cased_word_not_han, han_run;
alternative number, three_numbers, all_numbers;
alternative space_to_newline, space_but_last, space, halving_space, newline_run, line;
alternative no_bloom_mark, image_token, sentinel_token, two_or_four_spaces;
alternative spaced_deepseek_letters, spaced_deepseek_punctuation, spaced_all_letters, spaced_punctuation;
alternative korean_run, youtu_marks, bopomofo_run, chinese_run;

#endif
