#include "cli/output.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void print_line(const char *command, const char *line) {
    fprintf(stderr, "gguf-%s: ", command);
    for (const char *p = line; *p; p++) fputc((unsigned char)*p < 0x20 || *p == 0x7F ? '?' : *p, stderr);
    fputc('\n', stderr);
}

bool set_error(gguf_error *err, gguf_code code, const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    vsnprintf(err->message, sizeof err->message, fmt, args);
    va_end(args);
    err->code = code;
    return false;
}

int report(const char *command, const gguf_error *err) {
    print_line(command, err->message);
    return err->code == GGUF_OK ? GGUF_ERR_RUN : (int)err->code;
}

void print_warning(void *command, const char *message) {
    fprintf(stderr, "gguf-%s: warning: %s\n", (const char *)command, message);
}

/* The reason of the first write to stdout that failed: by the end errno speaks of something else. */
static int stdout_errno;

static void note_failure(FILE *f) {
    if (f == stdout && ferror(f) && !stdout_errno) stdout_errno = errno;
}

int finish_stdout(int code) {
    if (fflush(stdout) != 0) note_failure(stdout);
    if (!ferror(stdout)) return code;
    fprintf(stderr, "gguf: cannot write to stdout: %s\n", stdout_errno ? strerror(stdout_errno) : "a write failed");
    return code ? code : GGUF_ERR_RUN;
}

/* ---- text ------------------------------------------------------------------------------------ */

/* Length of the UTF-8 sequence that a first byte announces; 1 for a byte that cannot be first. */
static size_t utf8_length(unsigned char c) { return c < 0xC2 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : c < 0xF5 ? 4 : 1; }

size_t utf8_whole(const char *text, size_t n) {
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        unsigned char c = (unsigned char)text[n - back];
        if ((c & 0xC0) == 0x80) continue;
        return utf8_length(c) > back ? n - back : n;
    }
    return n;
}

text_stream text_stream_to(FILE *out) { return (text_stream){.out = out, .clean = isatty(fileno(out)) == 1}; }

bool has_colours(FILE *out) {
    const char *no = getenv("NO_COLOR");
    return isatty(fileno(out)) == 1 && !(no && *no);
}

/* Control characters make terminals do things: C0 but newline and tab, DEL, C1 (as UTF-8 or as stray bytes). */
static void write_clean(FILE *out, const char *text, size_t n) {
    for (size_t i = 0; i < n;) {
        unsigned char c = (unsigned char)text[i];
        size_t len = utf8_length(c);
        if (len > n - i) len = 1;
        bool c1 = (c == 0xC2 && len == 2 && (unsigned char)text[i + 1] < 0xA0) || (c >= 0x80 && c < 0xA0 && len == 1);
        if (c == '\n' || c == '\t' || (c >= 0x20 && c != 0x7F && !c1)) fwrite(text + i, 1, len, out);
        i += len;
    }
}

static void write_text(text_stream *s, const char *text, size_t n) {
    if (n == 0) return;
    if (s->clean) {
        write_clean(s->out, text, n);
    } else {
        fwrite(text, 1, n, s->out);
    }
    fflush(s->out);
    note_failure(s->out);
}

void text_write(text_stream *s, const char *text, size_t n) {
    /* complete a pending character first: it has at most three bytes so far */
    while (s->n_pending > 0 && n > 0) {
        if (((unsigned char)*text & 0xC0) != 0x80) { /* it will never be whole */
            write_text(s, s->pending, s->n_pending);
            s->n_pending = 0;
            break;
        }
        s->pending[s->n_pending++] = *text++;
        n--;
        if (s->n_pending < utf8_length((unsigned char)s->pending[0])) continue;
        write_text(s, s->pending, s->n_pending);
        s->n_pending = 0;
    }
    size_t whole = utf8_whole(text, n);
    write_text(s, text, whole);
    if (n > whole) {
        memcpy(s->pending, text + whole, n - whole);
        s->n_pending = n - whole;
    }
}

void text_end(text_stream *s) {
    write_text(s, s->pending, s->n_pending);
    s->n_pending = 0;
    fflush(s->out);
}

/* ---- buffers --------------------------------------------------------------------------------- */

void buffer_add(buffer *b, const void *data, size_t n) {
    if (b->failed || n == 0) return;
    if (n > b->room - b->n) {
        size_t room = b->room ? b->room : 256;
        while (room - b->n < n && room <= SIZE_MAX / 4) room *= 2;
        char *grown = room - b->n < n ? NULL : realloc(b->data, room);
        if (!grown) {
            b->failed = true;
            return;
        }
        b->data = grown;
        b->room = room;
    }
    memcpy(b->data + b->n, data, n);
    b->n += n;
}

void buffer_free(buffer *b) {
    free(b->data);
    *b = (buffer){0};
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* Length of a well-formed UTF-8 sequence at text (no overlong form, no surrogate, up to U+10FFFF), or 0. */
static size_t utf8_valid(const unsigned char *t, size_t n) {
    size_t len = utf8_length(t[0]);
    if (t[0] < 0x80) return 1;
    if (len == 1 || len > n) return 0;
    for (size_t i = 1; i < len; i++) {
        if ((t[i] & 0xC0) != 0x80) return 0;
    }
    if ((t[0] == 0xE0 && t[1] < 0xA0) || (t[0] == 0xED && t[1] > 0x9F)) return 0;
    if ((t[0] == 0xF0 && t[1] < 0x90) || (t[0] == 0xF4 && t[1] > 0x8F)) return 0;
    return len;
}

void json_string(FILE *out, const char *text, size_t n) {
    static const char names[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const unsigned char *t = (const unsigned char *)text;
    fputc('"', out);
    for (size_t i = 0; i < n;) {
        const char *name = t[i] ? strchr(names, t[i]) : NULL;
        size_t len = utf8_valid(t + i, n - i);
        if (name) {
            fprintf(out, "\\%c", letters[name - names]);
        } else if (t[i] < 0x20 || t[i] == 0x7F) {
            fprintf(out, "\\u%04x", t[i]);
        } else if (len == 0) {
            fputs("\xEF\xBF\xBD", out);
        } else {
            fwrite(t + i, 1, len, out);
        }
        i += len ? len : 1;
    }
    fputc('"', out);
}

void json_number(FILE *out, double v, int digits) {
    if (isfinite(v)) {
        fprintf(out, "%.*g", digits, v);
    } else {
        fputs("null", out);
    }
}

/* ---- numbers for people --------------------------------------------------------------------------- */

/* Three digits that count, and the unit: the largest of which there is at least one. */
static short_text scaled(double v, double ratio, const char *const *units, size_t n_units) {
    size_t unit = 0;
    short_text l;
    for (; v >= ratio && unit + 1 < n_units; unit++) v /= ratio;
    snprintf(l.text, sizeof l.text, "%.*f%s", unit == 0 || v >= 100 ? 0 : v >= 10 ? 1 : 2, v, units[unit]);
    return l;
}

short_text human_bytes(uint64_t n) {
    static const char *const units[] = {" bytes", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"};
    return scaled((double)n, 1024, units, sizeof units / sizeof *units);
}

short_text human_count(uint64_t n) {
    static const char *const units[] = {"", " K", " M", " B", " T"};
    return scaled((double)n, 1000, units, sizeof units / sizeof *units);
}
