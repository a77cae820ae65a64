/* A template's text to tokens, with jinja2's rules of what a tag takes away from the text around it. */
#include <stdlib.h>

#include "text/template_internal.h"
#include "text/unicode.h"

static bool lex_fail(lexer *l, const char *why) {
    l->m->line = l->line;
    throw(l->m, "%s", why);
    return false;
}

/* Lines are counted as the lexer goes on. */
static void count_lines(lexer *l) {
    for (; l->counted < l->at; l->counted++) l->line += l->source.p[l->counted] == '\n';
}

static size_t space_at(const lexer *l, size_t at) {
    if (at >= l->source.n) return 0;
    utf8_char c = utf8_decode(l->source.p + at, l->source.p + l->source.n);
    return space_char(c.cp) ? c.n : 0;
}

static size_t skip_spaces(const lexer *l, size_t at) {
    for (size_t n; (n = space_at(l, at)) > 0;) at += n;
    return at;
}

static bool has(const lexer *l, size_t at, const char *what) {
    size_t n = strlen(what);
    return at + n <= l->source.n && memcmp(l->source.p + at, what, n) == 0;
}

/* Where a tag's end at `at` leads to, with what it takes: -%} all blanks, %} one newline; 0: no end stands there. */
static size_t tag_end(const lexer *l, size_t at, const char *end, bool plus, bool newline) {
    char signs[2][4] = {{'-', end[0], end[1], 0}, {'+', end[0], end[1], 0}};
    if (has(l, at, signs[0])) return skip_spaces(l, at + 3);
    if (plus && has(l, at, signs[1])) return at + 3;
    if (!has(l, at, end)) return 0;
    return at + 2 + (newline && has(l, at + 2, "\n"));
}

/* {% raw %} at `at`: where its text begins, else 0. */
static size_t raw_begin(const lexer *l, size_t at) {
    at += 2;
    at += has(l, at, "-") || has(l, at, "+");
    at = skip_spaces(l, at);
    if (!has(l, at, "raw")) return 0;
    return tag_end(l, skip_spaces(l, at + 3), "%}", false, false);
}

/* {% endraw %} at `at`: where the text goes on behind it, else 0. */
static size_t raw_end(const lexer *l, size_t at) {
    at += 2;
    at += has(l, at, "-") || has(l, at, "+");
    at = skip_spaces(l, at);
    if (!has(l, at, "endraw")) return 0;
    return tag_end(l, skip_spaces(l, at + 6), "%}", true, true);
}

/* What of text [from, to) is left before a tag with this sign: '-' takes all blanks before it, and a tag that is no
 * {{ takes blanks back to the line's beginning unless '+' forbids it. */
static str before_tag(const lexer *l, size_t from, size_t to, bool lstrip) {
    const char *p = l->source.p;
    char sign = to + 2 < l->source.n ? p[to + 2] : 0;
    if (sign == '-') {
        while (to > from) {
            size_t n = 1;
            while (n < 4 && to - n > from && ((uint8_t)p[to - n] & 0xC0) == 0x80) n++;
            if (!space_char(utf8_decode(p + to - n, p + to).cp)) break;
            to -= n;
        }
    } else if (sign != '+' && lstrip) {
        size_t line = to;
        while (line > from && p[line - 1] != '\n') line--;
        if ((line > from || l->line_starting) && skip_spaces(l, line) >= to) to = line;
    }
    return (str){p + from, to - from};
}

static bool lex_comment(lexer *l) {
    size_t at = l->at + 2;
    at += has(l, at, "-") || has(l, at, "+");
    for (size_t end; at < l->source.n; at++) {
        if (!(end = tag_end(l, at, "#}", true, true))) continue;
        l->at = end;
        l->line_starting = l->source.p[end - 1] == '\n';
        return true;
    }
    return lex_fail(l, "a comment {# has no end #}");
}

/* {% raw %}: what is in it is text. */
static bool lex_raw(lexer *l, size_t begin, token *out) {
    l->line_starting = l->source.p[begin - 1] == '\n';
    for (size_t at = begin, end; at < l->source.n; at++) {
        if (!has(l, at, "{%") || !(end = raw_end(l, at))) continue;
        out->s = before_tag(l, begin, at, true);
        l->at = end;
        l->line_starting = l->source.p[end - 1] == '\n';
        return true;
    }
    return lex_fail(l, "{% raw %} has no {% endraw %}");
}

/* Text up to the next tag, which l->tag then is; tags without tokens are gone through. */
static bool lex_text(lexer *l, token *out) {
    const char *p = l->source.p;
    size_t from = l->at, at = from;
    while (at + 1 < l->source.n && !(p[at] == '{' && (p[at + 1] == '{' || p[at + 1] == '%' || p[at + 1] == '#'))) at++;
    bool end = at + 1 >= l->source.n;
    if (end) at = l->source.n;
    *out = (token){.type = TOKEN_TEXT, .line = l->line};
    out->s = end ? (str){p + from, at - from} : before_tag(l, from, at, p[at + 1] != '{');
    l->tag = end ? 0 : p[at + 1];
    l->at = at;
    return true;
}

/* ---- inside of tags --------------------------------------------------------------------------- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_name(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (uint8_t)c >= 0x80;
}

/* The digits of some base, maybe parted by single _, from `at` on: where they end. */
static size_t skip_digits(const lexer *l, size_t at, int base) {
    const char *p = l->source.p;
    size_t n = l->source.n;
    for (;; at++) {
        if (at < n && p[at] == '_' && at + 1 < n) at++;
        int c = at < n ? p[at] | 0x20 : 0, d = at < n && is_digit(p[at]) ? p[at] - '0'
                                               : c >= 'a' && c <= 'f'    ? c - 'a' + 10
                                                                         : 99;
        if (d >= base) return at > 0 && at < n && p[at - 1] == '_' ? at - 1 : at;
    }
}

static bool lex_number(lexer *l, token *out) {
    const char *p = l->source.p;
    size_t from = l->at, at;
    bool ok, real_number = false;
    int prefix = p[from] == '0' && from + 1 < l->source.n ? p[from + 1] | 0x20 : 0;
    int base = prefix == 'x' ? 16 : prefix == 'o' ? 8 : prefix == 'b' ? 2 : 10;
    at = base != 10 ? skip_digits(l, from + 2, base) : skip_digits(l, from, 10);
    if (base == 10 && (from == 0 || p[from - 1] != '.')) {
        if (at + 1 < l->source.n && p[at] == '.' && is_digit(p[at + 1])) {
            at = skip_digits(l, at + 1, 10);
            real_number = true;
        }
        size_t e = at + 1;
        if (at < l->source.n && (p[at] | 0x20) == 'e') {
            e += has(l, e, "+") || has(l, e, "-");
            if (e < l->source.n && is_digit(p[e])) {
                at = skip_digits(l, e, 10);
                real_number = true;
            }
        }
    }
    if (!real_number && base == 10 && p[from] == '0') { /* 0 does not begin a number: 01 are two */
        at = from + 1;
        while (has(l, at, "0") || has(l, at, "_0")) at += p[at] == '_' ? 2 : 1;
    }
    str s = {p + from, at - from};
    if (real_number) {
        out->type = TOKEN_FLOAT;
        out->f = parse_real(s, &ok);
    } else {
        out->type = TOKEN_INT;
        out->i = parse_whole(s, 0, &ok);
    }
    l->at = at;
    return ok || lex_fail(l, "a number that is too large, or none");
}

static int hex_digits(const char *p, const char *end, int n, uint32_t *out) {
    *out = 0;
    for (int i = 0; i < n; i++) {
        if (p + i >= end) return -1;
        int d = hex_digit(p[i]);
        if (d < 0) return -1;
        *out = *out << 4 | (uint32_t)d;
    }
    return n;
}

/* After a backslash: adds what the escape means; an unknown one stays as it is. Returns its length, -1 for a wrong one.
 */
static int add_escape(text *t, const char *p, const char *end) {
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    const char *known = *p ? strchr(from, *p) : NULL;
    uint32_t cp = 0;
    int n = 0;
    char bytes[4];
    if (known) return text_add(t, &to[known - from], 1, true), 1;
    if (*p == '\n') return 1;
    if (*p == 'N') return -1; /* characters by name are not known here */
    if (*p == 'x' || *p == 'u' || *p == 'U') {
        n = hex_digits(p + 1, end, *p == 'x' ? 2 : *p == 'u' ? 4 : 8, &cp);
        if (n < 0 || cp >= 0x110000) return -1;
        n++;
    } else if (*p >= '0' && *p <= '7') {
        for (; n < 3 && p + n < end && p[n] >= '0' && p[n] <= '7'; n++) cp = cp * 8 + (uint32_t)(p[n] - '0');
    } else {
        return text_add(t, "\\", 1, true), 0;
    }
    if (cp >= 0xD800 && cp < 0xDC00 && p + n + 6 <= end && p[n] == '\\' && p[n + 1] == 'u') { /* a pair */
        uint32_t low;
        if (hex_digits(p + n + 2, end, 4, &low) == 4 && low >= 0xDC00 && low < 0xE000) {
            cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
            n += 6;
        }
    }
    text_add(t, bytes, utf8_encode(cp, bytes), true);
    return n;
}

static bool lex_string(lexer *l, token *out) {
    const char *p = l->source.p + l->at, *end = l->source.p + l->source.n;
    char quote = *p++;
    const char *begin = p;
    while (p < end && *p != quote && *p != '\\') p++;
    out->type = TOKEN_STRING;
    if (p < end && *p == quote) {
        out->s = (str){begin, (size_t)(p - begin)};
        l->at = (size_t)(p + 1 - l->source.p);
        return true;
    }
    text t = {.m = l->m};
    text_add(&t, begin, (size_t)(p - begin), true);
    while (p < end && *p != quote && !l->m->failed) {
        if (*p != '\\') {
            const char *plain = p;
            while (p < end && *p != quote && *p != '\\') p++;
            text_add(&t, plain, (size_t)(p - plain), true);
            continue;
        }
        int n = p + 1 < end ? add_escape(&t, p + 1, end) : -1;
        if (n < 0) return lex_fail(l, "a string with an escape that is not complete");
        p += 1 + n;
    }
    if (p == end) return lex_fail(l, "a string has no end");
    out->s = (str){t.p ? t.p : "", t.n};
    l->at = (size_t)(p + 1 - l->source.p);
    return !l->m->failed;
}

static bool lex_operator(lexer *l, token *out) {
    static const char *const operators[] = {"//", "**", "==", "!=", ">=", "<="};
    const char *p = l->source.p + l->at;
    char c = *p;
    out->type = TOKEN_OPERATOR;
    out->s = (str){p, 1};
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (has(l, l->at, operators[i])) out->s.n = 2;
    }
    if (out->s.n == 1 && (!c || !strchr("+-/*%~[](){}><=.:|,;", c))) {
        l->m->line = l->line;
        throw(l->m, "an unexpected character '%.*s'", (int)utf8_decode(p, l->source.p + l->source.n).n, p);
        return false;
    }
    if (out->s.n == 1 && strchr("([{", c)) {
        if (l->n_brackets == sizeof l->brackets) return lex_fail(l, "brackets are nested too deeply");
        l->brackets[l->n_brackets++] = c == '(' ? ')' : c == '[' ? ']' : '}';
    } else if (out->s.n == 1 && strchr(")]}", c)) {
        if (l->n_brackets == 0 || l->brackets[--l->n_brackets] != c)
            return lex_fail(l, "a closing bracket that was not opened");
    }
    l->at += out->s.n;
    return true;
}

static bool lex_inside(lexer *l, token *out) {
    bool block = l->inside == '%';
    l->at = skip_spaces(l, l->at);
    count_lines(l);
    *out = (token){.line = l->line};
    if (l->at >= l->source.n) return lex_fail(l, block ? "a tag {% has no end %}" : "an expression {{ has no end }}");
    size_t end = l->n_brackets ? 0 : tag_end(l, l->at, block ? "%}" : "}}", block, block);
    if (end) {
        out->type = block ? TOKEN_BLOCK_END : TOKEN_PRINT_END;
        l->at = end;
        l->inside = 0;
        l->line_starting = l->source.p[end - 1] == '\n';
        return true;
    }
    const char *p = l->source.p + l->at;
    if (is_digit(*p)) return lex_number(l, out);
    if (*p == '\'' || *p == '"') return lex_string(l, out);
    if (!is_name(*p)) return lex_operator(l, out);
    size_t n = 1;
    while (l->at + n < l->source.n && is_name(p[n])) n++;
    out->type = TOKEN_NAME;
    out->s = (str){p, n};
    l->at += n;
    return true;
}

bool lex(lexer *l, token *out) {
    for (;;) {
        count_lines(l);
        if (l->inside) return lex_inside(l, out);
        if (!l->tag) {
            if (l->at >= l->source.n) {
                *out = (token){.type = TOKEN_END, .line = l->line};
                return true;
            }
            if (!lex_text(l, out)) return false;
            if (out->s.n > 0) return true;
            continue;
        }
        char tag = (char)l->tag;
        l->tag = 0;
        *out = (token){.line = l->line};
        size_t raw = tag == '%' ? raw_begin(l, l->at) : 0;
        if (raw) {
            out->type = TOKEN_TEXT;
            if (!lex_raw(l, raw, out)) return false;
            if (out->s.n > 0) return true;
        } else if (tag == '#') {
            if (!lex_comment(l)) return false;
        } else {
            out->type = tag == '%' ? TOKEN_BLOCK_BEGIN : TOKEN_PRINT_BEGIN;
            l->inside = tag;
            l->n_brackets = 0;
            l->at += 2;
            l->at += has(l, l->at, "-") || has(l, l->at, "+");
            return true;
        }
    }
}
