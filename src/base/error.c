#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

void strip_controls(char *text) {
    for (unsigned char *p = (unsigned char *)text; *p; p++) {
        if (*p < 0x20 || *p == 0x7F) {
            *p = '?';
        } else if (p[0] == 0xC2 && p[1] >= 0x80 && p[1] < 0xA0) { /* C1 in UTF-8 */
            p[0] = p[1] = '?';
        }
    }
}

/* Drops an incomplete UTF-8 sequence that vsnprintf may have left at the end of a full buffer. */
static void trim_utf8(char *text, size_t n) {
    size_t i = n;
    while (i > 0 && n - i < 4 && ((unsigned char)text[i - 1] & 0xC0) == 0x80) i--;
    if (i > 0 && (unsigned char)text[i - 1] >= 0xC0) text[i - 1] = 0;
}

static void format(char *out, size_t size, const char *fmt, va_list args) {
    int n = vsnprintf(out, size, fmt, args);
    if (n >= (int)size) trim_utf8(out, size - 1);
    strip_controls(out);
}

bool fail(gguf_error *err, gguf_code code, const char *fmt, ...) {
    if (!err || err->code != GGUF_OK) return false;
    err->code = code;
    va_list args;
    va_start(args, fmt);
    format(err->message, sizeof err->message, fmt, args);
    va_end(args);
    return false;
}

bool fail_memory(gguf_error *err, const char *what, unsigned long long bytes) {
    return fail(err, GGUF_ERR_MEMORY, "not enough memory for %s (%llu bytes)", what, bytes);
}

void warnf(gguf_warn_fn *fn, void *ctx, const char *fmt, ...) {
    if (!fn) return;
    char line[512];
    va_list args;
    va_start(args, fmt);
    format(line, sizeof line, fmt, args);
    va_end(args);
    fn(ctx, line);
}
