/* gguf-inspect: numbers and texts as people read them. */
#include <stdio.h>
#include <stdlib.h>

#include "cli/inspect.h"
#include "cli/output.h"

enum { MAX_SHOWN_STRING = 200, MAX_SHOWN_ELEMENT = 40, MAX_SHOWN_ELEMENTS = 6 };

/* ---- numbers --------------------------------------------------------------------------------- */

int digits_of(uint64_t n) { return snprintf(NULL, 0, "%llu", (unsigned long long)n); }

short_text shape_of(const gguf_tensor *t) {
    short_text l;
    size_t at = 0;
    for (uint32_t i = 0; i < t->n_dims; i++) { /* 4 dimensions whose product is below 2^63: they fit */
        at += (size_t)snprintf(l.text + at, sizeof l.text - at, "%s%llu", i ? "x" : "", (unsigned long long)t->ne[i]);
    }
    return l;
}

short_text short_float(double v, bool is_f32) {
    short_text l;
    if (v > -1e15 && v < 1e15 && v == (double)(int64_t)v) { /* no 5e+06 where 5000000 does */
        snprintf(l.text, sizeof l.text, "%.0f", v);
        return l;
    }
    for (int digits = 1, most = is_f32 ? 9 : 17; digits <= most; digits++) {
        snprintf(l.text, sizeof l.text, "%.*g", digits, v);
        double back = strtod(l.text, NULL);
        if (is_f32 ? (float)back == (float)v : back == v) break;
    }
    return l;
}

/* ---- text ------------------------------------------------------------------------------------ */

/* Prints s with escapes for what ends a line, for the backslash, and for the bytes in `more`; returns the bytes. */
static size_t escape(FILE *out, str s, const char *more) {
    static const char from[] = "\n\r\t\\", to[] = "nrt\\";
    size_t printed = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        const char *named = c ? strchr(from, c) : NULL;
        int n = 1;
        if (named) {
            n = fprintf(out, "\\%c", to[named - from]);
        } else if (c == '"' && *more == c) {
            n = fprintf(out, "\\\"");
        } else if (c < 0x20 || c == 0x7F || strchr(more, c)) {
            n = fprintf(out, "\\x%02x", c);
        } else {
            fputc(c, out);
        }
        printed += n > 0 ? (size_t)n : 0;
    }
    return printed;
}

static void show_cut(FILE *out, str s, size_t max, const char *quote) {
    str head = {s.p, s.n > max ? utf8_whole(s.p, max) : s.n};
    fputs(quote, out);
    escape(out, head, quote);
    fputs(quote, out);
    if (s.n > max) fprintf(out, "... (%zu bytes)", s.n);
}

void show_text(FILE *out, str s, size_t max) { show_cut(out, s, max, ""); }

void show_word(FILE *out, str s, size_t width) {
    size_t n = escape(out, s, " ");
    if (n < width) fprintf(out, "%*s", (int)(width - n), "");
}

/* ---- values ---------------------------------------------------------------------------------- */

short_text type_of(const gguf_kv *kv) {
    short_text l;
    snprintf(l.text, sizeof l.text, "%s%s", kv_type_name(kv->elem), kv->type == KV_ARRAY ? "[]" : "");
    return l;
}

void show_number(FILE *out, const gguf_kv *kv, uint64_t i) {
    int64_t whole;
    double real;
    uint64_t large;
    if (kv->elem == KV_BOOL) {
        fputs(kv->data[i] ? "true" : "false", out);
    } else if (kv_int(kv, i, &whole)) {
        fprintf(out, "%lld", (long long)whole);
    } else if (kv_float(kv, i, &real)) {
        fputs(short_float(real, kv->elem == KV_F32).text, out);
    } else { /* a u64 beyond int64_t */
        memcpy(&large, kv->data + i * sizeof large, sizeof large);
        fprintf(out, "%llu", (unsigned long long)large);
    }
}

void show_value(FILE *out, const gguf_kv *kv) {
    bool is_array = kv->type == KV_ARRAY;
    uint64_t shown = kv->n < MAX_SHOWN_ELEMENTS ? kv->n : MAX_SHOWN_ELEMENTS;
    size_t pos = 0;
    str s;
    if (is_array) fputc('[', out);
    for (uint64_t i = 0; i < shown; i++) {
        if (i > 0) fputs(", ", out);
        if (kv->elem != KV_STRING) {
            show_number(out, kv, i);
        } else if (kv_next_string(kv, &pos, &s)) {
            show_cut(out, s, is_array ? MAX_SHOWN_ELEMENT : MAX_SHOWN_STRING, "\"");
        }
    }
    if (!is_array) return;
    if (shown < kv->n) {
        fprintf(out, ", ...] (%llu values)", (unsigned long long)kv->n);
    } else {
        fputc(']', out);
    }
}
