#include "cli/python_call.h"

#include <stdbool.h>
#include <string.h>

#include "cli/json.h"

enum { MAX_DEPTH = 32 };

typedef struct {
    const char *p, *end;
    FILE *out;
    int depth;
} reader;

static bool value(reader *r);

static void skip_blanks(reader *r) {
    while (r->p < r->end && *r->p && strchr(" \t\r\n", *r->p)) r->p++;
}

static bool accept(reader *r, char c) {
    skip_blanks(r);
    if (r->p == r->end || *r->p != c) return false;
    r->p++;
    return true;
}

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Behind a name, which may have dots in it. */
static const char *name_end(const char *p, const char *end) {
    if (p == end || !is_letter(*p)) return p;
    while (p < end && (is_letter(*p) || is_digit(*p) || *p == '.')) p++;
    return p;
}

static bool string(reader *r) {
    static const char escapes[] = "n\nt\tr\rb\bf\f";
    char quote = *r->p++;
    buffer text = {0};
    for (; r->p < r->end && *r->p != quote; r->p++) {
        char c = *r->p;
        if (c == '\\' && r->p + 1 < r->end) {
            const char *known = strchr(escapes, *++r->p);
            c = known && *r->p && (known - escapes) % 2 == 0 ? known[1] : *r->p;
        }
        buffer_add(&text, &c, 1);
    }
    bool ok = r->p < r->end && !text.failed;
    if (ok) json_string(r->out, text.data ? text.data : "", text.n);
    buffer_free(&text);
    r->p += ok;
    return ok;
}

static bool number(reader *r) {
    size_t n = 0;
    while (r->p + n < r->end && (is_digit(r->p[n]) || (r->p[n] && strchr("+-.eE", r->p[n])))) n++;
    if (n == 0 || json_value_length(r->p, n) != n) return false;
    fwrite(r->p, 1, n, r->out);
    r->p += n;
    return true;
}

static bool word(reader *r) {
    static const char *const words[][2] = {{"True", "true"}, {"False", "false"}, {"None", "null"},
                                           {"true", "true"}, {"false", "false"}, {"null", "null"}};
    size_t n = (size_t)(name_end(r->p, r->end) - r->p);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (strlen(words[i][0]) != n || memcmp(r->p, words[i][0], n) != 0) continue;
        fputs(words[i][1], r->out);
        r->p += n;
        return true;
    }
    return false;
}

/* A list or a tuple, or a dict, whose items are pairs. A comma may stand behind the last. */
static bool items(reader *r, char close, bool pairs) {
    fputc(pairs ? '{' : '[', r->out);
    for (bool first = true; !accept(r, close); first = false) {
        if (!first && !accept(r, ',')) return false;
        if (!first && accept(r, close)) break;
        if (!first) fputc(',', r->out);
        skip_blanks(r);
        if (pairs && (r->p == r->end || !strchr("'\"", *r->p))) return false;
        if (!value(r)) return false;
        if (!pairs) continue;
        if (!accept(r, ':')) return false;
        fputc(':', r->out);
        if (!value(r)) return false;
    }
    fputc(pairs ? '}' : ']', r->out);
    return true;
}

static bool value(reader *r) {
    skip_blanks(r);
    if (r->p == r->end || r->depth == MAX_DEPTH) return false;
    r->depth++;
    bool ok;
    switch (*r->p) {
    case '\'':
    case '"': ok = string(r); break;
    case '[': ok = (r->p++, items(r, ']', false)); break;
    case '(': ok = (r->p++, items(r, ')', false)); break;
    case '{': ok = (r->p++, items(r, '}', true)); break;
    default: ok = number(r) || word(r);
    }
    r->depth--;
    return ok;
}

const char *python_call(const char *p, const char *end, size_t *n_name, FILE *args) {
    reader r = {name_end(p, end), end, args, 0};
    *n_name = (size_t)(r.p - p);
    if (*n_name == 0 || !accept(&r, '(')) return NULL;
    fputc('{', args);
    for (bool first = true; !accept(&r, ')'); first = false) {
        if (!first && !accept(&r, ',')) return NULL;
        if (!first && accept(&r, ')')) break;
        skip_blanks(&r);
        const char *key = r.p, *key_end = name_end(key, end);
        r.p = key_end;
        if (key == key_end || !accept(&r, '=')) return NULL;
        if (!first) fputc(',', args);
        json_string(args, key, (size_t)(key_end - key));
        fputc(':', args);
        if (!value(&r)) return NULL;
    }
    fputc('}', args);
    return r.p;
}
