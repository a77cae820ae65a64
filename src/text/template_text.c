/* Strings of the template interpreter: every operation carries along which bytes the template wrote. */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "text/template_internal.h"
#include "text/unicode.h"

/* ---- making strings --------------------------------------------------------------------------- */

static bool text_reserve(text *t, size_t n) {
    if (t->m->failed) return false;
    if (n > TEMPLATE_MAX_TEXT - t->n) {
        throw(t->m, "it makes a text of more than %d MiB", TEMPLATE_MAX_TEXT >> 20);
        return false;
    }
    if (t->n + n <= t->room) return true;
    size_t room = t->room ? 2 * t->room : 64;
    while (room < t->n + n) room *= 2;
    char *p = vm_alloc(t->m, 2 * room, 1);
    if (!p) return false;
    uint8_t *own = (uint8_t *)p + room;
    if (t->n) {
        memcpy(p, t->p, t->n);
        memcpy(own, t->own, t->n);
    }
    t->p = p;
    t->own = own;
    t->room = room;
    return true;
}

void text_add(text *t, const char *p, size_t n, bool own) {
    if (n == 0 || !text_reserve(t, n)) return;
    memcpy(t->p + t->n, p, n);
    memset(t->own + t->n, own, n);
    t->n += n;
}

bool owned(const string *s, size_t at) { return s->own ? s->own[at] : s->all_own; }

void text_add_string(text *t, const string *s, size_t from, size_t to) {
    if (to <= from || !text_reserve(t, to - from)) return;
    memcpy(t->p + t->n, s->p + from, to - from);
    if (s->own)
        memcpy(t->own + t->n, s->own + from, to - from);
    else
        memset(t->own + t->n, s->all_own, to - from);
    t->n += to - from;
    spend(t->m, to - from);
}

void text_printf(text *t, bool own, const char *fmt, ...) {
    char out[400];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(out, sizeof out, fmt, args);
    va_end(args);
    text_add(t, out, n < 0 ? 0 : (size_t)n < sizeof out ? (size_t)n : sizeof out - 1, own);
}

value text_value(text *t) {
    string *s = vm_alloc(t->m, 1, sizeof *s);
    if (!s) return UNDEFINED;
    *s = (string){.p = t->p ? t->p : "", .n = t->n, .chars = SIZE_MAX, .own = t->own};
    s->all_own = t->n == 0 || t->own[0];
    if (t->n == 0 || !memchr(t->own, !s->all_own, t->n)) s->own = NULL; /* all of one kind */
    return (value){.type = T_STRING, .u.s = s};
}

value own_string(vm *m, str view_of) {
    string *s = vm_alloc(m, 1, sizeof *s);
    if (!s) return UNDEFINED;
    *s = (string){.p = view_of.p, .n = view_of.n, .chars = SIZE_MAX, .all_own = true};
    return (value){.type = T_STRING, .u.s = s};
}

value new_string(vm *m, str view_of, bool own) {
    char *p = vm_alloc(m, view_of.n, 1);
    if (p && view_of.n) memcpy(p, view_of.p, view_of.n);
    value v = own_string(m, (str){p, p ? view_of.n : 0});
    if (is_string(v)) v.u.s->all_own = own;
    return v;
}

value substring(vm *m, const string *s, size_t from, size_t to) {
    if (from > to) from = to;
    value v = own_string(m, (str){s->p + from, to - from});
    if (!is_string(v)) return v;
    v.u.s->own = s->own ? s->own + from : NULL;
    v.u.s->all_own = s->all_own;
    v.u.s->markup = s->markup;
    return v;
}

static value keep_markup(value out, value like) {
    if (is_string(out) && is_string(like)) out.u.s->markup = like.u.s->markup;
    return out;
}

value escape_html(vm *m, value s) {
    if (!is_string(s)) s = to_string(m, s);
    if (m->failed || s.u.s->markup) return s;
    text t = {.m = m};
    static const char special[] = "&<>'\"";
    static const char *const names[] = {"&amp;", "&lt;", "&gt;", "&#39;", "&#34;"};
    size_t from = 0;
    for (size_t i = 0; i < s.u.s->n; i++) {
        const char *at = s.u.s->p[i] ? strchr(special, s.u.s->p[i]) : NULL;
        if (!at) continue;
        text_add_string(&t, s.u.s, from, i);
        text_add(&t, names[at - special], strlen(names[at - special]), owned(s.u.s, i));
        from = i + 1;
    }
    text_add_string(&t, s.u.s, from, s.u.s->n);
    value out = text_value(&t);
    if (is_string(out)) out.u.s->markup = true;
    return out;
}

/* ---- characters ------------------------------------------------------------------------------- */

size_t string_chars(string *s) {
    if (s->chars == SIZE_MAX) {
        size_t n = 0;
        for (const char *p = s->p, *end = p + s->n; p < end; n++) p += (uint8_t)*p < 0x80 ? 1 : utf8_decode(p, end).n;
        s->chars = n;
    }
    return s->chars;
}

size_t char_to_byte(string *s, size_t index) {
    size_t chars = string_chars(s);
    if (index >= chars) return s->n;
    if (chars == s->n) return index;
    const char *p = s->p, *end = p + s->n;
    while (index-- > 0) p += (uint8_t)*p < 0x80 ? 1 : utf8_decode(p, end).n;
    return (size_t)(p - s->p);
}

bool space_char(uint32_t cp) {
    return cp != UNICODE_INVALID && ((cp >= 0x1C && cp <= 0x1F) || (unicode_set(cp) & UNI_SPACE));
}

static void add_cased(text *t, uint32_t cp, utf8_char from, const char *p, unicode_case_kind kind, bool own) {
    uint32_t out[3];
    char bytes[4];
    if (cp == UNICODE_INVALID) {
        text_add(t, p, from.n, own);
        return;
    }
    size_t n = unicode_change_case(cp, kind, out);
    for (size_t i = 0; i < n; i++) text_add(t, bytes, utf8_encode(out[i], bytes), own);
}

/* A sigma that ends a word is written in its own way. */
static bool final_sigma(const string *s, size_t at, bool after_cased) {
    const char *p = s->p + at + 2, *end = s->p + s->n;
    return after_cased && !(p < end && unicode_set(utf8_decode(p, end).cp) & UNI_L);
}

value change_case(vm *m, value v, int how) {
    text t = {.m = m};
    const string *s = v.u.s;
    bool after_cased = false; /* the character before is a letter that has a case */
    for (size_t at = 0; at < s->n && !m->failed;) {
        utf8_char c = utf8_decode(s->p + at, s->p + s->n);
        unicode_case_kind kind = how == CASE_UPPER     ? UNICODE_UPPER
                                 : how == CASE_LOWER   ? UNICODE_LOWER
                                 : how == CASE_CAPITAL ? (at == 0 ? UNICODE_TITLE : UNICODE_LOWER)
                                                       : (after_cased ? UNICODE_LOWER : UNICODE_TITLE);
        if (c.cp == 0x3A3 && kind == UNICODE_LOWER && final_sigma(s, at, after_cased))
            text_add(&t, "\xCF\x82", 2, owned(s, at));
        else
            add_cased(&t, c.cp, c, s->p + at, kind, owned(s, at));
        after_cased = c.cp != UNICODE_INVALID && (unicode_set(c.cp) & (UNI_Lu | UNI_Ll | UNI_Lt)) != 0;
        at += c.n;
    }
    return keep_markup(text_value(&t), v);
}

/* ---- stripping, finding, replacing ------------------------------------------------------------ */

static bool strips(utf8_char c, const char *p, const string *chars) {
    if (!chars) return space_char(c.cp);
    for (size_t at = 0; at + c.n <= chars->n;) {
        utf8_char d = utf8_decode(chars->p + at, chars->p + chars->n);
        if (d.n == c.n && memcmp(chars->p + at, p, c.n) == 0) return true;
        at += d.n;
    }
    return false;
}

/* The character that ends before p[n]. */
static utf8_char last_char(const char *p, size_t n) {
    for (size_t back = 1; back <= 4 && back <= n; back++) {
        if (((uint8_t)p[n - back] & 0xC0) == 0x80) continue;
        utf8_char c = utf8_decode(p + n - back, p + n);
        if (c.n == back) return c;
        break;
    }
    return (utf8_char){UNICODE_INVALID, 1};
}

value strip(vm *m, value v, value chars, int sides) {
    const string *s = v.u.s, *set = is_string(chars) ? chars.u.s : NULL;
    size_t from = 0, to = s->n;
    if (given(chars) && chars.type != T_NONE && !set) return throw(m, "strip takes a string of characters");
    while ((sides & STRIP_LEFT) && from < to) {
        utf8_char c = utf8_decode(s->p + from, s->p + to);
        if (!strips(c, s->p + from, set)) break;
        from += c.n;
    }
    while ((sides & STRIP_RIGHT) && from < to) {
        utf8_char c = last_char(s->p + from, to - from);
        if (!strips(c, s->p + to - c.n, set)) break;
        to -= c.n;
    }
    spend(m, (s->n - (to - from)) * (set ? set->n : 1));
    return substring(m, s, from, to);
}

ptrdiff_t find_bytes(str in, str what, size_t from) {
    if (from > in.n) return -1;
    if (what.n == 0) return (ptrdiff_t)from;
    const char *at = memmem(in.p + from, in.n - from, what.p, what.n);
    return at ? at - in.p : -1;
}

ptrdiff_t find_last(str in, str what) {
    for (size_t at = in.n + 1; at-- > 0;) {
        if (in.n - at >= what.n && (what.n == 0 || memcmp(in.p + at, what.p, what.n) == 0)) return (ptrdiff_t)at;
    }
    return -1;
}

value replace(vm *m, value v, value from, value to, int64_t limit) {
    str s = view(v), what = view(from);
    text t = {.m = m};
    size_t at = 0;
    if (what.n == 0) { /* stands between all characters */
        for (; limit != 0 && at <= s.n && spend(m, 0); limit--) {
            text_add_string(&t, to.u.s, 0, to.u.s->n);
            if (at == s.n) break;
            size_t n = utf8_decode(s.p + at, s.p + s.n).n;
            text_add_string(&t, v.u.s, at, at + n);
            at += n;
        }
    }
    for (ptrdiff_t hit; what.n > 0 && limit != 0 && spend(m, 0) && (hit = find_bytes(s, what, at)) >= 0; limit--) {
        text_add_string(&t, v.u.s, at, (size_t)hit);
        text_add_string(&t, to.u.s, 0, to.u.s->n);
        at = (size_t)hit + what.n;
    }
    text_add_string(&t, v.u.s, at, s.n);
    return keep_markup(text_value(&t), v);
}

/* ---- splitting and joining -------------------------------------------------------------------- */

static void reverse_items(value l, size_t from) {
    value *items = l.u.list->items;
    for (size_t i = from, j = l.u.list->n; i + 1 < j; i++, j--) {
        value swap = items[i];
        items[i] = items[j - 1];
        items[j - 1] = swap;
    }
}

static void split_at_spaces(vm *m, value out, const string *s, int64_t limit) {
    size_t at = 0;
    for (;;) {
        while (at < s->n && space_char(utf8_decode(s->p + at, s->p + s->n).cp))
            at += utf8_decode(s->p + at, s->p + s->n).n;
        if (at == s->n || !spend(m, 0)) return;
        size_t from = at;
        if (limit == 0) { /* the rest, with the spaces at its end */
            list_add(m, out, substring(m, s, from, s->n));
            return;
        }
        for (utf8_char c; at < s->n && !space_char((c = utf8_decode(s->p + at, s->p + s->n)).cp);) at += c.n;
        list_add(m, out, substring(m, s, from, at));
        limit -= limit > 0;
    }
}

static void rsplit_at_spaces(vm *m, value out, const string *s, int64_t limit) {
    size_t end = s->n;
    for (;;) {
        while (end > 0 && space_char(last_char(s->p, end).cp)) end -= last_char(s->p, end).n;
        if (end == 0 || !spend(m, 0)) break;
        size_t to = end;
        if (limit == 0) {
            list_add(m, out, substring(m, s, 0, to));
            break;
        }
        for (utf8_char c; end > 0 && !space_char((c = last_char(s->p, end)).cp);) end -= c.n;
        list_add(m, out, substring(m, s, end, to));
        limit -= limit > 0;
    }
    if (is_list(out)) reverse_items(out, 0);
}

value split_string(vm *m, value v, value separator, int64_t limit, bool from_right) {
    value out = new_list(m, T_LIST, 4);
    string *s = v.u.s;
    if (!is_string(separator)) {
        (from_right ? rsplit_at_spaces : split_at_spaces)(m, out, s, limit);
        return out;
    }
    str what = view(separator), rest = view(v);
    if (what.n == 0) return throw(m, "split: the separator is empty");
    size_t at = 0, end = rest.n;
    if (from_right) {
        for (ptrdiff_t hit; limit != 0 && spend(m, 0) && (hit = find_last((str){rest.p, end}, what)) >= 0; limit--) {
            list_add(m, out, substring(m, s, (size_t)hit + what.n, end));
            spend(m, (end - (size_t)hit) / 64 * what.n);
            end = (size_t)hit;
        }
        list_add(m, out, substring(m, s, 0, end));
        if (is_list(out)) reverse_items(out, 0);
        return out;
    }
    for (ptrdiff_t hit; limit != 0 && spend(m, 0) && (hit = find_bytes(rest, what, at)) >= 0; limit--) {
        list_add(m, out, substring(m, s, at, (size_t)hit));
        at = (size_t)hit + what.n;
    }
    list_add(m, out, substring(m, s, at, end));
    return out;
}

/* \n \r \r\n \v \f \x1c \x1d \x1e \x85 U+2028 U+2029 */
static size_t line_end(const char *p, const char *end) {
    if (p[0] == '\r' && p + 1 < end && p[1] == '\n') return 2;
    if ((*p >= '\n' && *p <= '\r') || (*p >= 0x1C && *p <= 0x1E)) return 1;
    if ((uint8_t)*p < 0x80) return 0;
    utf8_char c = utf8_decode(p, end);
    return c.cp == 0x85 || c.cp == 0x2028 || c.cp == 0x2029 ? c.n : 0;
}

value split_lines(vm *m, value v, bool keep_ends) {
    value out = new_list(m, T_LIST, 4);
    const string *s = v.u.s;
    size_t from = 0;
    for (size_t at = 0; at < s->n && !m->failed;) {
        size_t n = line_end(s->p + at, s->p + s->n);
        if (n > 0) {
            spend(m, 0);
            list_add(m, out, substring(m, s, from, keep_ends ? at + n : at));
            from = at + n;
        }
        at += n ? n : 1;
    }
    if (from < s->n) list_add(m, out, substring(m, s, from, s->n));
    return out;
}

value join(vm *m, value separator, value items) {
    text t = {.m = m};
    value all = to_list(m, items);
    bool markup = is_string(separator) && separator.u.s->markup;
    for (size_t i = 0; !m->failed && i < all.u.list->n; i++) {
        if (i > 0) text_add_string(&t, separator.u.s, 0, separator.u.s->n);
        value item = all.u.list->items[i];
        if (markup) item = escape_html(m, item);
        text_add_value(&t, item);
        spend(m, 0);
    }
    return keep_markup(text_value(&t), separator);
}

/* ---- numbers in text -------------------------------------------------------------------------- */

static int digit_value(char c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'z' ? (c | 0x20) - 'a' + 10 : 99;
}

static str trim_spaces(str s) {
    while (s.n > 0 && space_char((uint8_t)*s.p)) s = (str){s.p + 1, s.n - 1};
    while (s.n > 0 && space_char((uint8_t)s.p[s.n - 1])) s.n--;
    return s;
}

/* As Python's int(text, base): blanks around, a sign, 0x where the base allows it, single _ between digits. */
int64_t parse_whole(str s, int base, bool *ok) {
    s = trim_spaces(s);
    bool negative = s.n > 0 && *s.p == '-';
    if (s.n > 0 && (*s.p == '-' || *s.p == '+')) s = (str){s.p + 1, s.n - 1};
    int prefix = s.n > 2 && *s.p == '0' ? digit_value(s.p[1]) : 0;
    int named = prefix == 33 ? 16 : prefix == 24 ? 8 : prefix == 11 ? 2 : 0; /* x, o, b */
    if (named && (base == 0 || base == named)) {
        base = named;
        s = (str){s.p + 2, s.n - 2};
        if (s.n > 0 && *s.p == '_') s = (str){s.p + 1, s.n - 1};
    }
    if (base == 0) base = 10;
    uint64_t out = 0, most = (uint64_t)INT64_MAX + negative;
    *ok = s.n > 0 && base >= 2 && base <= 36;
    bool digit = false;
    for (size_t i = 0; i < s.n && *ok; i++) {
        if (s.p[i] == '_' && digit && i + 1 < s.n) {
            digit = false;
            continue;
        }
        int d = digit_value(s.p[i]);
        digit = true;
        *ok = d < base && out <= (most - (uint64_t)d) / (uint64_t)base;
        out = out * (uint64_t)base + (uint64_t)d;
    }
    return negative ? (int64_t)(0 - out) : (int64_t)out;
}

double parse_real(str s, bool *ok) {
    char copy[128];
    s = trim_spaces(s);
    size_t n = 0;
    *ok = s.n > 0 && s.n < sizeof copy;
    for (size_t i = 0; i < s.n && *ok; i++) {
        if (s.p[i] == '_' && n > 0 && i + 1 < s.n && digit_value(s.p[i - 1]) < 10) continue;
        *ok = s.p[i] != 0 && (s.p[i] | 0x20) != 'x' && s.p[i] != '('; /* hexadecimal is strtod's own */
        copy[n++] = s.p[i];
    }
    if (!*ok) return 0;
    copy[n] = 0;
    char *end;
    double f = strtod(copy, &end);
    *ok = end == copy + n;
    return f;
}
