/* Filters that make text for other places: lines of a width, URLs, attributes of a tag. */
#include <stdio.h>

#include "text/template_internal.h"
#include "text/unicode.h"

/* ---- wordwrap: Python's textwrap.wrap, line by line ---------------------------------------------- */

typedef struct {
    string *s;
    size_t n;      /* characters */
    uint32_t *cps; /* [n] */
    size_t *at;    /* [n + 1] where each begins */
    bool hyphens;  /* a word may be parted behind them */
} wrap_line;

static bool is_blank(const wrap_line *l, size_t i) {
    uint32_t c = l->cps[i];
    return c == ' ' || (c >= '\t' && c <= '\r');
}
static bool is_word(const wrap_line *l, size_t i) {
    return i < l->n && (l->cps[i] == '_' || (unicode_set(l->cps[i]) & (UNI_L | UNI_N)));
}
static bool is_letter(const wrap_line *l, size_t i) { return is_word(l, i) && !(unicode_set(l->cps[i]) & UNI_Nd); }
static bool is_hyphen(const wrap_line *l, size_t i) { return i < l->n && l->cps[i] == '-'; }
static bool ends_clause(const wrap_line *l, size_t i) {
    return is_word(l, i) || (l->cps[i] < 0x80 && l->cps[i] && strchr("!\"'&.,?", (int)l->cps[i]));
}

/* Behind two or more hyphens that begin at i and stand before a word; i where there are none such. */
static size_t skip_dash(const wrap_line *l, size_t i) {
    size_t end = i;
    while (is_hyphen(l, end)) end++;
    return end >= i + 2 && is_word(l, end) ? end : i;
}

/* Whether the hyphen at i is inside a word: behind two letters, or one-letter parts, and before two. */
static bool parts_word(const wrap_line *l, size_t i) {
    bool behind = i >= 2 && is_letter(l, i - 1) && is_letter(l, i - 2);
    if (!behind) behind = i >= 3 && ends_clause(l, i - 1) && is_hyphen(l, i - 2) && is_letter(l, i - 3);
    return behind && is_letter(l, i + 1) && is_letter(l, i + 2 + is_hyphen(l, i + 2));
}

/* Where the chunk that begins at i ends: blanks, a dash, a word or a part of one. */
static size_t chunk_end(const wrap_line *l, size_t i) {
    size_t end = i;
    while (end < l->n && is_blank(l, end)) end++;
    if (end > i) return end;
    if (l->hyphens && i > 0 && ends_clause(l, i - 1) && skip_dash(l, i) > i) return skip_dash(l, i);
    for (end = i + 1; end < l->n && !is_blank(l, end); end++) {
        if (!l->hyphens || !is_hyphen(l, end)) continue;
        if (parts_word(l, end)) return end + 1;
        if (ends_clause(l, end - 1) && skip_dash(l, end) > end) return end;
    }
    return end;
}

/* How much of a chunk that is too long goes into the `room` that is left: all up to its last hyphen, or all. */
static size_t part_of_word(const wrap_line *l, size_t begin, size_t end, size_t room) {
    if (end - begin <= room) return end;
    for (size_t i = begin + room; l->hyphens && i-- > begin + 1;) {
        if (!is_hyphen(l, i)) continue;
        for (size_t k = begin; k < i; k++) {
            if (!is_hyphen(l, k)) return i + 1;
        }
        break;
    }
    return begin + room;
}

static bool only_space(const wrap_line *l, size_t begin, size_t end) {
    while (begin < end && space_char(l->cps[begin])) begin++;
    return begin == end;
}

static void wrap(text *t, const wrap_line *l, size_t width, bool break_long, value separator) {
    bool any = false;
    size_t known = 0; /* a chunk that was broken goes on up to here */
    for (size_t at = 0; at < l->n && !t->m->failed && spend(t->m, 0);) {
        size_t end = at < known ? known : chunk_end(l, at);
        if (any && only_space(l, at, end)) at = end;
        size_t begin = at, last = at; /* of the line, and of its last chunk */
        for (; at < l->n; last = at, at = end) {
            end = at < known ? known : chunk_end(l, at);
            if (end - begin > width) break;
        }
        if (at < l->n && end - at > width && break_long) {
            last = at;
            known = end;
            at = part_of_word(l, at, end, width - (at - begin));
        } else if (at < l->n && end - at > width && at == begin) {
            at = end;
        }
        size_t stop = at > last && only_space(l, last, at) ? last : at;
        if (stop == begin) continue;
        if (any) text_add_value(t, separator);
        any = true;
        text_add_string(t, l->s, l->at[begin], l->at[stop]);
    }
}

static bool read_line(vm *m, string *s, wrap_line *l) {
    *l = (wrap_line){.s = s, .n = string_chars(s)};
    l->cps = vm_alloc(m, l->n + 1, sizeof *l->cps);
    l->at = vm_alloc(m, l->n + 1, sizeof *l->at);
    if (!l->cps || !l->at) return false;
    size_t at = 0;
    for (size_t i = 0; i < l->n; i++) {
        utf8_char c = utf8_decode(s->p + at, s->p + s->n);
        l->cps[i] = c.cp;
        l->at[i] = at;
        at += c.n;
    }
    l->at[l->n] = at;
    return true;
}

value f_wordwrap(vm *m, value v, call_args *a) {
    value separator = given(a->v[2]) && a->v[2].type != T_NONE ? a->v[2] : own_string(m, STR("\n"));
    if (v.type == T_UNDEFINED) return throw_undefined(m, v);
    if (!is_string(v) || !is_string(separator)) return throw(m, "wordwrap takes strings");
    if (given(a->v[0]) && !is_whole(a->v[0])) return throw(m, "wordwrap: the width is a whole number");
    int64_t width = given(a->v[0]) ? whole(a->v[0]) : 79;
    bool break_long = !given(a->v[1]) || truth(a->v[1]), hyphens = !given(a->v[3]) || truth(a->v[3]);
    value lines = split_lines(m, v, false);
    text t = {.m = m};
    for (size_t i = 0; !m->failed && i < lines.u.list->n; i++) {
        wrap_line l;
        if (width <= 0) return throw(m, "wordwrap: the width is above 0");
        if (i > 0) text_add_value(&t, separator);
        if (!read_line(m, lines.u.list->items[i].u.s, &l)) break;
        l.hyphens = hyphens;
        wrap(&t, &l, (size_t)width, break_long, separator);
    }
    return text_value(&t);
}

/* ---- URLs --------------------------------------------------------------------------------------- */

static void add_quoted(text *t, value v, bool query) {
    value s = to_string(t->m, v);
    for (size_t i = 0; is_string(s) && i < s.u.s->n && !t->m->failed; i++) {
        uint8_t c = (uint8_t)s.u.s->p[i];
        bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
        if (letter || (c >= '0' && c <= '9') || (c && strchr(query ? "_.-~" : "_.-~/", c)))
            text_add_string(t, s.u.s, i, i + 1);
        else if (query && c == ' ')
            text_add(t, "+", 1, owned(s.u.s, i));
        else
            text_printf(t, owned(s.u.s, i), "%%%02X", c);
    }
}

/* Of a string, or of pairs: a dict's, or those of a sequence. */
value f_urlencode(vm *m, value v, call_args *a) {
    (void)a;
    text t = {.m = m};
    if (v.type != T_DICT && !is_list(v) && v.type != T_RANGE) {
        add_quoted(&t, v, false);
        return text_value(&t);
    }
    value pairs = v.type == T_DICT ? to_list(m, dict_view(m, v.u.dict, T_ITEMS)) : to_list(m, v);
    for (size_t i = 0; !m->failed && i < pairs.u.list->n; i++) {
        value pair = to_list(m, pairs.u.list->items[i]);
        if (m->failed || pair.u.list->n != 2) return throw(m, "urlencode takes a string or pairs");
        if (i > 0) text_add(&t, "&", 1, true);
        add_quoted(&t, pair.u.list->items[0], true);
        text_add(&t, "=", 1, true);
        add_quoted(&t, pair.u.list->items[1], true);
    }
    return text_value(&t);
}

/* ---- tags and sizes ------------------------------------------------------------------------------ */

value f_xmlattr(vm *m, value v, call_args *a) {
    text t = {.m = m};
    bool space = !given(a->v[0]) || truth(a->v[0]);
    if (v.type == T_UNDEFINED) return throw_undefined(m, v);
    if (v.type != T_DICT) return throw(m, "xmlattr takes a dict, not a %s", type_name(v));
    for (size_t i = 0; i < v.u.dict->n && !m->failed && spend(m, 0); i++) {
        entry e = v.u.dict->entries[i];
        if (e.value.type == T_NONE || e.value.type == T_UNDEFINED) continue;
        if (!is_string(e.key)) return throw(m, "xmlattr: the name of an attribute is a string");
        for (size_t k = 0; k < e.key.u.s->n; k++) {
            char c = e.key.u.s->p[k];
            if (c == ' ' || (c >= '\t' && c <= '\r') || c == '/' || c == '>' || c == '=')
                return throw(m, "xmlattr: the name of an attribute has no blanks, nor / > =");
        }
        if (space || t.n > 0) text_add(&t, " ", 1, true);
        text_add_value(&t, escape_html(m, e.key));
        text_add(&t, "=\"", 2, true);
        text_add_value(&t, escape_html(m, e.value));
        text_add(&t, "\"", 1, true);
    }
    return text_value(&t);
}

value f_filesizeformat(vm *m, value v, call_args *a) {
    static const char prefixes[] = "kMGTPEZY";
    bool ok = is_number(v), binary_units = truth(a->v[0]);
    double bytes = ok ? real(v) : is_string(v) ? parse_real(view(v), &ok) : 0, base = binary_units ? 1024 : 1000;
    if (v.type == T_UNDEFINED) return throw_undefined(m, v);
    if (!ok) return throw(m, "filesizeformat takes a number");
    text t = {.m = m};
    if (bytes == 1 || bytes < base) {
        text_printf(&t, !v.from_input, bytes == 1 ? "%.0f Byte" : "%.0f Bytes",
                    bytes < 0 ? -(double)(int64_t)-bytes : (double)(int64_t)bytes);
        return text_value(&t);
    }
    double unit = base * base;
    size_t i = 0;
    for (; bytes >= unit && prefixes[i + 1]; i++) unit *= base;
    char prefix = binary_units && i == 0 ? 'K' : prefixes[i];
    text_printf(&t, !v.from_input, "%.1f %c%sB", base * bytes / unit, prefix, binary_units ? "i" : "");
    return text_value(&t);
}
