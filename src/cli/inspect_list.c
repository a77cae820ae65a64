/* gguf-inspect --metadata, --tensors, --template: one line a thing, for eyes and for awk. */
#include <stdio.h>
#include <unistd.h>

#include "cli/inspect.h"

enum { MAX_NAME_COLUMN = 64 };

static size_t wider(size_t width, size_t n) { return n > width && n <= MAX_NAME_COLUMN ? n : width; }

bool inspect_metadata(const inspection *in, gguf_error *err) {
    (void)err;
    size_t width = 0;
    for (size_t i = 0; i < gguf_file_kv_count(in->file); i++) width = wider(width, gguf_file_kv(in->file, i)->key.n);
    for (size_t i = 0; i < gguf_file_kv_count(in->file); i++) {
        const gguf_kv *kv = gguf_file_kv(in->file, i);
        show_word(in->out, kv->key, width);
        fprintf(in->out, "  %-8s  ", type_of(kv).text);
        show_value(in->out, kv);
        fputc('\n', in->out);
    }
    return true;
}

/* What the columns must hold. */
typedef struct {
    size_t name, shape;
    int bytes, offset;
} widths;

static widths measure(const gguf_file *f) {
    widths w = {.name = 4, .shape = 5, .bytes = 5, .offset = 6};
    for (size_t i = 0; i < gguf_file_tensor_count(f); i++) {
        const gguf_tensor *t = gguf_file_tensor(f, i);
        w.name = wider(w.name, t->name.n);
        w.shape = wider(w.shape, strlen(shape_of(t).text));
        if (digits_of(t->n_bytes) > w.bytes) w.bytes = digits_of(t->n_bytes);
        if (digits_of(t->offset) > w.offset) w.offset = digits_of(t->offset);
    }
    return w;
}

/* The columns' names are for people: a pipe gets tensors alone, so that sort and awk need not skip a line. */
bool inspect_tensors(const inspection *in, gguf_error *err) {
    (void)err;
    widths w = measure(in->file);
    if (isatty(STDOUT_FILENO)) {
        fprintf(in->out, "%-*s  %-*s  %-7s  %*s  %*s  %s\n", (int)w.name, "name", (int)w.shape, "shape", "type",
                w.bytes, "bytes", w.offset, "offset", "shard");
    }
    for (size_t i = 0; i < gguf_file_tensor_count(in->file); i++) {
        const gguf_tensor *t = gguf_file_tensor(in->file, i);
        show_word(in->out, t->name, w.name);
        fprintf(in->out, "  %-*s  %-7s  %*llu  %*llu  %u\n", (int)w.shape, shape_of(t).text, quant_types[t->type].name,
                w.bytes, (unsigned long long)t->n_bytes, w.offset, (unsigned long long)t->offset, t->shard);
    }
    return true;
}

bool inspect_template(const inspection *in, gguf_error *err) {
    str text;
    if (!find_string(in->file, "tokenizer.chat_template", &text)) {
        return fail(err, GGUF_ERR_RUN, "%s: has no chat template (tokenizer.chat_template)", in->o->model);
    }
    fwrite(text.p, 1, text.n, in->out);
    return true;
}
