/* JSON to values and back. */
#include <math.h>
#include <stdlib.h>

#include "text/json_escape.h"
#include "text/template_internal.h"
#include "text/unicode.h"

/* ---- reading ---------------------------------------------------------------------------------- */

typedef struct {
    vm *m;
    const char *begin, *p, *end;
    const char *what;
    int depth;
} reader;

static value refuse(reader *r, const char *why) {
    if (!r->what) return throw(r->m, "from_json: no valid JSON at byte %zu: %s", (size_t)(r->p - r->begin), why);
    if (!r->m->failed) {
        r->m->failed = true;
        fail(r->m->err, GGUF_ERR_USAGE, "%s: no valid JSON at byte %zu: %s", r->what, (size_t)(r->p - r->begin), why);
    }
    return UNDEFINED;
}

static void skip_space(reader *r) {
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r')) r->p++;
}

static bool accept(reader *r, char c) {
    skip_space(r);
    if (r->p == r->end || *r->p != c) return false;
    r->p++;
    return true;
}

static value read_string(reader *r) {
    text t = {.m = r->m};
    r->p++;
    const char *begin = r->p;
    while (r->p < r->end && *r->p != '"' && *r->p != '\\' && (uint8_t)*r->p >= 0x20) r->p++;
    if (r->p < r->end && *r->p == '"') return new_string(r->m, (str){begin, (size_t)(r->p++ - begin)}, false);
    text_add(&t, begin, (size_t)(r->p - begin), false);
    while (r->p < r->end && *r->p != '"' && !r->m->failed) {
        if ((uint8_t)*r->p < 0x20) return refuse(r, "a control character in a string");
        const char *plain = r->p;
        while (r->p < r->end && *r->p != '"' && *r->p != '\\' && (uint8_t)*r->p >= 0x20) r->p++;
        text_add(&t, plain, (size_t)(r->p - plain), false);
        if (r->p == r->end || *r->p != '\\') continue;
        if (++r->p == r->end) break;
        char bytes[4];
        size_t n = json_unescape(&r->p, r->end, bytes);
        if (n == 0) return refuse(r, "an escape that JSON does not have");
        text_add(&t, bytes, n, false);
    }
    if (r->p == r->end) return refuse(r, "a string does not end");
    r->p++;
    value v = text_value(&t);
    if (is_string(v)) v.u.s->all_own = false;
    return v;
}

static bool skip_digits(reader *r) {
    const char *begin = r->p;
    while (r->p < r->end && *r->p >= '0' && *r->p <= '9') r->p++;
    return r->p > begin;
}

static value read_number(reader *r) {
    const char *begin = r->p;
    bool real_number = false, sound;
    if (*r->p == '-') r->p++;
    bool zero = r->p < r->end && *r->p == '0';
    const char *digits = r->p;
    if (!skip_digits(r) || (zero && r->p - digits > 1)) return refuse(r, "neither a value nor its end");
    if (r->p < r->end && *r->p == '.') {
        r->p++;
        real_number = true;
        if (!skip_digits(r)) return refuse(r, "a number ends with a point");
    }
    if (r->p < r->end && (*r->p | 0x20) == 'e') {
        r->p++;
        real_number = true;
        if (r->p < r->end && (*r->p == '+' || *r->p == '-')) r->p++;
        if (!skip_digits(r)) return refuse(r, "a number's exponent has no digits");
    }
    str s = {begin, (size_t)(r->p - begin)};
    value v = real_number ? float_value(parse_real(s, &sound)) : int_value(parse_whole(s, 10, &sound));
    if (!sound) return refuse(r, "a number that does not fit 64 bits");
    v.from_input = true;
    return v;
}

static bool accept_word(reader *r, const char *word) {
    size_t n = strlen(word);
    if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0) return false;
    r->p += n;
    return true;
}

static value read_value(reader *r);

static value read_items(reader *r) {
    value out = new_list(r->m, T_LIST, 0);
    if (accept(r, ']')) return out;
    do { list_add(r->m, out, read_value(r)); } while (!r->m->failed && accept(r, ','));
    return r->m->failed || accept(r, ']') ? out : refuse(r, "a list goes on with , or ends with ]");
}

static value read_members(reader *r) {
    value out = new_dict(r->m);
    if (accept(r, '}')) return out;
    do {
        skip_space(r);
        if (r->p == r->end || *r->p != '"') return refuse(r, "a member's name is a string");
        value key = read_string(r);
        if (!r->m->failed && !accept(r, ':')) return refuse(r, "a : stands behind a member's name");
        value v = read_value(r);
        if (!r->m->failed) dict_set(r->m, out.u.dict, key, v);
    } while (!r->m->failed && accept(r, ','));
    return r->m->failed || accept(r, '}') ? out : refuse(r, "an object goes on with , or ends with }");
}

/* Calls itself at most TEMPLATE_MAX_DEPTH times. */
static value read_value(reader *r) {
    skip_space(r);
    if (r->p == r->end) return refuse(r, "it ends too early");
    if (*r->p == '"') return read_string(r);
    if (*r->p == '{' || *r->p == '[') {
        if (++r->depth > TEMPLATE_MAX_DEPTH) return refuse(r, "it is nested too deeply");
        value v = *r->p++ == '{' ? read_members(r) : read_items(r);
        r->depth--;
        return v;
    }
    value v = NONE;
    if (accept_word(r, "true"))
        v = bool_value(true);
    else if (accept_word(r, "false"))
        v = bool_value(false);
    else if (!accept_word(r, "null"))
        return read_number(r);
    v.from_input = true;
    return v;
}

value parse_json(vm *m, str json, const char *what) {
    reader r = {.m = m, .begin = json.p, .p = json.p, .end = json.p + json.n, .what = what};
    value v = read_value(&r);
    skip_space(&r);
    return m->failed || r.p == r.end ? v : refuse(&r, "something follows the value");
}

/* ---- writing ---------------------------------------------------------------------------------- */

typedef struct {
    text t;
    bool ascii, sort, lines;
    value indent, comma, colon;
} writer;

static void write_string(writer *w, const string *s) {
    static const char special[] = "\"\\\n\r\t\f\b", letters[] = "\"\\nrtfb";
    text *t = &w->t;
    text_add(t, "\"", 1, true);
    size_t from = 0;
    for (size_t at = 0; at < s->n && !t->m->failed;) {
        utf8_char c =
            (uint8_t)s->p[at] < 0x80 ? (utf8_char){(uint8_t)s->p[at], 1} : utf8_decode(s->p + at, s->p + s->n);
        bool plain =
            c.cp >= 0x20 && c.cp != '"' && c.cp != '\\' && c.cp != UNICODE_INVALID && (!w->ascii || c.cp < 0x7F);
        if (!plain) {
            bool own = owned(s, at);
            const char *known = c.cp && c.cp < 0x80 ? strchr(special, (int)c.cp) : NULL;
            text_add_string(t, s, from, at);
            from = at + c.n;
            if (known)
                text_printf(t, own, "\\%c", letters[known - special]);
            else if (c.cp == UNICODE_INVALID)
                text_add(t, w->ascii ? "\\ufffd" : "\xEF\xBF\xBD", w->ascii ? 6 : 3, own);
            else if (c.cp >= 0x10000)
                text_printf(t, own, "\\u%04x\\u%04x", 0xD800 + ((c.cp - 0x10000) >> 10), 0xDC00 + (c.cp & 0x3FF));
            else
                text_printf(t, own, "\\u%04x", c.cp);
        }
        at += c.n;
    }
    text_add_string(t, s, from, s->n);
    text_add(t, "\"", 1, true);
}

static void write_float(text *t, value v) {
    double f = v.u.f;
    if (isfinite(f))
        print_float(t, f, !v.from_input);
    else
        text_printf(t, !v.from_input, "%s", isnan(f) ? "NaN" : f > 0 ? "Infinity" : "-Infinity");
}

static void break_line(writer *w, int depth) {
    if (!w->lines) return;
    text_add(&w->t, "\n", 1, true);
    for (int i = 0; i < depth && !w->t.m->failed; i++) text_add_value(&w->t, w->indent);
}

static void write_value(writer *w, value v, int depth);

static void write_key(writer *w, value key) {
    if (is_string(key)) {
        write_string(w, key.u.s);
    } else if (is_number(key) || key.type == T_NONE) {
        text_add(&w->t, "\"", 1, true);
        write_value(w, key, 0);
        text_add(&w->t, "\"", 1, true);
    } else {
        throw(w->t.m, "tojson: a %s cannot be a member's name", type_name(key));
    }
}

/* The members' order: by name where asked for. A simple merge sort over places. */
static void sort_members(vm *m, entry *e, entry *work, size_t n) {
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t at = 0; at < n && spend(m, 0); at += 2 * width) {
            size_t i = at, mid = at + width < n ? at + width : n, j = mid, end = mid + width < n ? mid + width : n;
            for (size_t k = at; k < end; k++) {
                bool right = i == mid || (j < end && compare(m, e[j].key, e[i].key) < 0);
                work[k] = right ? e[j++] : e[i++];
            }
        }
        memcpy(e, work, n * sizeof *e);
    }
}

static void write_members(writer *w, const dict *d, int depth) {
    entry *entries = d->entries;
    if (w->sort && d->n > 1) {
        entries = vm_alloc(w->t.m, d->n, sizeof *entries);
        entry *work = vm_alloc(w->t.m, d->n, sizeof *work);
        if (!entries || !work) return;
        memcpy(entries, d->entries, d->n * sizeof *entries);
        sort_members(w->t.m, entries, work, d->n);
    }
    text_add(&w->t, "{", 1, true);
    for (size_t i = 0; i < d->n && spend(w->t.m, 0); i++) {
        if (i > 0) text_add_value(&w->t, w->comma);
        break_line(w, depth);
        write_key(w, entries[i].key);
        text_add_value(&w->t, w->colon);
        write_value(w, entries[i].value, depth);
    }
    if (d->n) break_line(w, depth - 1);
    text_add(&w->t, "}", 1, true);
}

static void write_items(writer *w, const list *l, int depth) {
    text_add(&w->t, "[", 1, true);
    for (size_t i = 0; i < l->n && spend(w->t.m, 0); i++) {
        if (i > 0) text_add_value(&w->t, w->comma);
        break_line(w, depth);
        write_value(w, l->items[i], depth);
    }
    if (l->n) break_line(w, depth - 1);
    text_add(&w->t, "]", 1, true);
}

/* Calls itself at most 2 x TEMPLATE_MAX_DEPTH times. */
static void write_value(writer *w, value v, int depth) {
    text *t = &w->t;
    bool own = !v.from_input;
    if (depth > 2 * TEMPLATE_MAX_DEPTH) {
        throw(t->m, "tojson: a value is nested too deeply");
        return;
    }
    switch (v.type) {
    case T_NONE: text_add(t, "null", 4, own); break;
    case T_BOOL: text_printf(t, own, "%s", v.u.b ? "true" : "false"); break;
    case T_INT: text_printf(t, own, "%lld", (long long)v.u.i); break;
    case T_FLOAT: write_float(t, v); break;
    case T_STRING: write_string(w, v.u.s); break;
    case T_LIST:
    case T_TUPLE: write_items(w, v.u.list, depth + 1); break;
    case T_DICT: write_members(w, v.u.dict, depth + 1); break;
    case T_UNDEFINED: throw(t->m, "tojson: an undefined value cannot be written as JSON"); break;
    default: throw(t->m, "tojson: a %s cannot be written as JSON", type_name(v));
    }
}

value to_json(vm *m, value v, value ensure_ascii, value indent, value separators, value sort_keys) {
    writer w = {.t = {.m = m}, .ascii = truth(ensure_ascii), .sort = truth(sort_keys)};
    w.lines = given(indent) && indent.type != T_NONE;
    w.indent = is_string(indent) ? indent : own_string(m, STR(""));
    if (is_whole(indent)) {
        text t = {.m = m};
        if (whole(indent) > TEMPLATE_MAX_TEXT) return throw(m, "tojson: an indent of %lld", (long long)whole(indent));
        for (int64_t i = 0; i < whole(indent) && !m->failed; i++) text_add(&t, " ", 1, true);
        w.indent = text_value(&t);
    } else if (w.lines && !is_string(indent)) {
        return throw(m, "tojson: indent is a number or a string");
    }
    w.comma = own_string(m, w.lines ? STR(",") : STR(", "));
    w.colon = own_string(m, STR(": "));
    if (given(separators) && separators.type != T_NONE) {
        bool two = (separators.type == T_LIST || separators.type == T_TUPLE) && separators.u.list->n == 2;
        if (!two) return throw(m, "tojson: separators are two strings");
        w.comma = separators.u.list->items[0];
        w.colon = separators.u.list->items[1];
    }
    write_value(&w, v, 0);
    return text_value(&w.t);
}
