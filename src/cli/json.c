#include "cli/json.h"

#include <string.h>

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

static bool hex4(reader *r, uint32_t *out) {
    *out = 0;
    if (r->end - r->p < 4) return false;
    for (int i = 0; i < 4; i++) {
        char c = *r->p++;
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (d < 0) return false;
        *out = *out << 4 | (uint32_t)d;
    }
    return true;
}

static void add_utf8(buffer *b, uint32_t c) {
    unsigned char out[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = n - 1; i > 0; i--, c >>= 6) out[i] = (unsigned char)(0x80 | (c & 0x3F));
    out[0] = (unsigned char)(lead[n] | c);
    buffer_add(b, out, n);
}

/* \uXXXX, which may be half of a surrogate pair. */
static bool unicode_escape(reader *r, buffer *out) {
    uint32_t c, low;
    if (!hex4(r, &c)) return false;
    if (c >= 0xD800 && c < 0xDC00 && r->end - r->p >= 6 && r->p[0] == '\\' && r->p[1] == 'u') {
        reader ahead = {r->p + 2, r->end};
        if (!hex4(&ahead, &low)) return false;
        if (low >= 0xDC00 && low < 0xE000) {
            c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
            *r = ahead;
        }
    }
    add_utf8(out, c >= 0xD800 && c < 0xE000 ? 0xFFFD : c);
    return true;
}

static bool take_string(reader *r, buffer *out) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (!accept(r, '"')) return false;
    while (r->p < r->end && *r->p != '"') {
        if ((unsigned char)*r->p < 0x20) return false;
        if (*r->p != '\\') {
            buffer_add(out, r->p++, 1);
            continue;
        }
        if (++r->p == r->end) return false;
        char c = *r->p++;
        const char *known = c ? strchr(from, c) : NULL;
        if (known) {
            buffer_add(out, &to[known - from], 1);
        } else if (c != 'u' || !unicode_escape(r, out)) {
            return false;
        }
    }
    return accept(r, '"');
}

/* Skips one value of any kind; nesting is counted, not recursed into. */
static bool skip_value(reader *r) {
    size_t depth = 0;
    do {
        skip_space(r);
        if (r->p == r->end) return false;
        char c = *r->p;
        if (c == '"') {
            buffer ignored = {0};
            bool ok = take_string(r, &ignored);
            buffer_free(&ignored);
            if (!ok) return false;
        } else if (c == '{' || c == '[') {
            if (++depth > MAX_DEPTH) return false;
            r->p++;
        } else if (c == '}' || c == ']') {
            if (depth == 0) return false;
            depth--;
            r->p++;
        } else if (c == ',' || c == ':') {
            if (depth == 0) return false;
            r->p++;
        } else {
            size_t n = 0;
            while (r->p + n < r->end && !strchr(",:{}[]\" \t\r\n", r->p[n])) n++;
            if (n == 0) return false;
            r->p += n;
        }
    } while (depth > 0);
    return true;
}

bool json_find_string(const char *text, size_t n, const char *name, buffer *value, size_t *end) {
    reader r = {text, text + n};
    bool found = false;
    if (!accept(&r, '{')) return false;
    do {
        buffer key = {0};
        bool ok = take_string(&r, &key) && accept(&r, ':');
        bool wanted = ok && !found && key.n == strlen(name) && memcmp(key.data ? key.data : "", name, key.n) == 0;
        buffer_free(&key);
        if (!ok || !(wanted ? take_string(&r, value) : skip_value(&r))) return false;
        found = found || wanted;
        *end = (size_t)(r.p - text);
    } while (accept(&r, ','));
    if (!accept(&r, '}')) return false;
    skip_space(&r);
    return found && r.p == r.end && !value->failed;
}
