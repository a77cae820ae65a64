#include "cli/json.h"

#include <string.h>

#include "text/json_escape.h"

/* Nesting deeper than this is refused, so that no input can use up the stack. */
enum { MAX_DEPTH = 64 };

typedef struct {
    const char *p, *end;
} reader;

static void skip_space(reader *r) {
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r')) r->p++;
}

static bool accept(reader *r, char c) {
    skip_space(r);
    if (r->p == r->end || *r->p != c) return false;
    r->p++;
    return true;
}

static bool take_string(reader *r, buffer *out) {
    if (!accept(r, '"')) return false;
    while (r->p < r->end && *r->p != '"') {
        if ((unsigned char)*r->p < 0x20) return false;
        if (*r->p != '\\') {
            buffer_add(out, r->p++, 1);
            continue;
        }
        r->p++;
        char bytes[4];
        size_t n = json_unescape(&r->p, r->end, bytes);
        if (n == 0) return false;
        buffer_add(out, bytes, n);
    }
    return accept(r, '"');
}

static size_t skip_digits(reader *r) {
    const char *begin = r->p;
    while (r->p < r->end && *r->p >= '0' && *r->p <= '9') r->p++;
    return (size_t)(r->p - begin);
}

/* -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? */
static bool skip_number(reader *r) {
    if (r->p < r->end && *r->p == '-') r->p++;
    bool zero = r->p < r->end && *r->p == '0';
    size_t n = skip_digits(r);
    if (n == 0 || (zero && n > 1)) return false;
    if (r->p < r->end && *r->p == '.') {
        r->p++;
        if (skip_digits(r) == 0) return false;
    }
    if (r->p < r->end && (*r->p == 'e' || *r->p == 'E')) {
        r->p++;
        if (r->p < r->end && (*r->p == '+' || *r->p == '-')) r->p++;
        if (skip_digits(r) == 0) return false;
    }
    return true;
}

static bool skip_word(reader *r) {
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i]);
        if ((size_t)(r->end - r->p) < n || memcmp(r->p, words[i], n) != 0) continue;
        r->p += n;
        return true;
    }
    return false;
}

static bool skip_string(reader *r) {
    buffer ignored = {0};
    bool ok = take_string(r, &ignored);
    buffer_free(&ignored);
    return ok;
}

/* Skips one value of any kind; it calls itself at most MAX_DEPTH times. */
static bool skip_value(reader *r, int depth) {
    skip_space(r);
    if (r->p == r->end || depth > MAX_DEPTH) return false;
    char open = *r->p, close = open == '{' ? '}' : ']';
    if (open == '"') return skip_string(r);
    if (open != '{' && open != '[') return skip_word(r) || skip_number(r);
    r->p++;
    if (accept(r, close)) return true;
    do {
        if (open == '{' && !(skip_string(r) && accept(r, ':'))) return false;
        if (!skip_value(r, depth + 1)) return false;
    } while (accept(r, ','));
    return accept(r, close);
}

bool json_is_named(const json_member *m, const char *name) {
    size_t n = strlen(name);
    return m->name.n == n && (n == 0 || memcmp(m->name.data, name, n) == 0);
}

json_object json_begin(const char *text, size_t n) { return (json_object){text, text + n, true}; }

json_step json_next(json_object *o, json_member *m) {
    reader r = {o->p, o->end};
    if (o->first && !accept(&r, '{')) return JSON_MALFORMED;
    if (accept(&r, '}')) {
        skip_space(&r);
        return r.p == r.end ? JSON_END : JSON_MALFORMED;
    }
    if (!o->first && !accept(&r, ',')) return JSON_MALFORMED;
    skip_space(&r);
    m->text = r.p;
    m->name.n = 0;
    if (!take_string(&r, &m->name) || !accept(&r, ':')) return JSON_MALFORMED;
    skip_space(&r);
    m->value = r.p;
    if (!skip_value(&r, 0)) return JSON_MALFORMED;
    m->n_value = (size_t)(r.p - m->value);
    m->n_text = (size_t)(r.p - m->text);
    o->p = r.p;
    o->first = false;
    return JSON_MEMBER;
}

json_step json_next_item(json_object *o, const char **value, size_t *n) {
    reader r = {o->p, o->end};
    if (o->first && !accept(&r, '[')) return JSON_MALFORMED;
    if (accept(&r, ']')) {
        skip_space(&r);
        return r.p == r.end ? JSON_END : JSON_MALFORMED;
    }
    if (!o->first && !accept(&r, ',')) return JSON_MALFORMED;
    skip_space(&r);
    *value = r.p;
    if (!skip_value(&r, 0)) return JSON_MALFORMED;
    *n = (size_t)(r.p - *value);
    o->p = r.p;
    o->first = false;
    return JSON_MEMBER;
}

bool json_read_string(const char *text, size_t n, buffer *out) {
    reader r = {text, text + n};
    return take_string(&r, out) && r.p == r.end && !out->failed;
}

size_t json_value_length(const char *text, size_t n) {
    reader r = {text, text + n};
    return skip_value(&r, 0) ? (size_t)(r.p - text) : 0;
}
