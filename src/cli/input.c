#include "cli/input.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/str.h"

enum { MAX_TEXT = 1 << 30 };

bool read_file(const char *path, buffer *b, gguf_error *err) {
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *f = is_stdin ? stdin : fopen(path, "re");
    if (!f) return fail(err, GGUF_ERR_USAGE, "%s: cannot open: %s", path, strerror(errno));
    char piece[65536];
    size_t n;
    while ((n = fread(piece, 1, sizeof piece, f)) > 0 && b->n <= MAX_TEXT) buffer_add(b, piece, n);
    int why = !ferror(f) ? 0 : errno ? errno : EIO;
    if (!is_stdin) fclose(f);
    const char *name = is_stdin ? "stdin" : path;
    gguf_code code = why == EISDIR ? GGUF_ERR_USAGE : GGUF_ERR_RUN;
    if (why) return fail(err, code, "%s: cannot read: %s", name, strerror(why));
    if (b->n > MAX_TEXT) return fail(err, GGUF_ERR_USAGE, "%s: more than %d bytes of text", name, MAX_TEXT);
    return !b->failed || fail_memory(err, "the text", b->n);
}

/* One escape after its backslash: its byte, and its length, or 0 where it is none. */
static size_t read_escape(const char *p, char *byte) {
    static const char from[] = "nrt'\"\\", to[] = "\n\r\t'\"\\";
    const char *known = *p ? strchr(from, *p) : NULL;
    if (known) {
        *byte = to[known - from];
        return 1;
    }
    if (*p != 'x' || hex_digit(p[1]) < 0 || hex_digit(p[2]) < 0) return 0;
    *byte = (char)(hex_digit(p[1]) * 16 + hex_digit(p[2]));
    return 3;
}

void unescape(char *text) {
    char *to = text;
    for (const char *p = text; *p; to++) {
        *to = *p;
        p += 1 + (*p == '\\' ? read_escape(p + 1, to) : 0);
    }
    *to = 0;
}

static void add_prompt(buffer *b, const char *text, bool escapes) {
    for (const char *p = text; *p;) {
        char byte = *p;
        size_t n = escapes && *p == '\\' ? read_escape(p + 1, &byte) : 0;
        buffer_add(b, &byte, 1);
        p += n + 1;
    }
}

bool read_text(const options *o, buffer *b, gguf_error *err) {
    if (!o->file && !o->prompt) {
        if (isatty(STDIN_FILENO))
            return fail(err, GGUF_ERR_USAGE, "there is no text: give it with -p TEXT, -f FILE, or on stdin");
        return read_file("-", b, err);
    }
    if (o->file && !read_file(o->file, b, err)) return false;
    if (o->prompt) add_prompt(b, o->prompt, o->escapes);
    return !b->failed || fail_memory(err, "the text", b->n);
}

gguf_model_params model_params(const options *o, const char *name, bool vocab_only) {
    return (gguf_model_params){.no_mmap = o->no_mmap,
                               .mlock = o->mlock,
                               .vocab_only = vocab_only,
                               .pre = o->pre,
                               .overrides = o->override_kv.items,
                               .n_overrides = (size_t)o->override_kv.n,
                               .warn = print_warning,
                               .warn_ctx = (void *)(uintptr_t)name};
}

gguf_session_params session_params(const options *o, const char *name) {
    int64_t batch = o->batch && (!o->ubatch || o->batch < o->ubatch) ? o->batch : o->ubatch;
    if (!o->ubatch && batch > 512) batch = 512; /* -b alone cannot raise -ub's default */
    return (gguf_session_params){
        .n_ctx = (uint32_t)o->ctx,
        .n_batch = (uint32_t)batch,
        .n_threads = o->threads > 0 ? (uint32_t)o->threads : 0,
        .n_threads_batch = o->threads_batch > 0 ? (uint32_t)o->threads_batch : 0,
        .cache_k = (gguf_cache_type)o->cache_k,
        .cache_v = (gguf_cache_type)o->cache_v,
        .gpu_layers = (int32_t)o->gpu_layers,
        .one_gpu = o->split_mode == 1,
        .gpu_shares = o->gpu_shares,
        .n_gpu_shares = (size_t)o->n_gpu_shares,
        .warn = print_warning,
        .warn_ctx = (void *)(uintptr_t)name,
    };
}
