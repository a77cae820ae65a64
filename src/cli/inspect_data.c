/* gguf-inspect --check, --hash, --tensor: what reads the weights themselves. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/sha256.h"
#include "cli/inspect.h"

/* The longest name in the file, within reason: the width of the first column. */
static size_t name_width(const gguf_file *f) {
    size_t width = 4;
    for (size_t i = 0; i < gguf_file_tensor_count(f); i++) {
        size_t n = gguf_file_tensor(f, i)->name.n;
        if (n > width && n <= 64) width = n;
    }
    return width;
}

/* ---- --check --------------------------------------------------------------------------------- */

typedef struct {
    uint64_t nan, inf;   /* weights */
    uint64_t zero_scale; /* blocks whose scale is 0: all weights in them are equal */
    uint64_t zero_block; /* blocks, and rows of plain numbers, of zeros alone */
} findings;

static void count_values(const float *x, size_t n, findings *f, bool *all_zero) {
    for (size_t i = 0; i < n; i++) {
        f->nan += isnan(x[i]) != 0;
        f->inf += isinf(x[i]) != 0;
        *all_zero = *all_zero && x[i] == 0;
    }
}

/* Whether every weight of a finite part of a block is 0; most are done with at their first weight. */
static bool is_zero_part(const quant_row *row, const quant_parts *p) {
    for (size_t i = 0; i < row->part; i++) {
        size_t s = i / row->sub;
        float min = row->has_min ? p->dmin * (float)p->min[s] : 0;
        if (p->d * (float)(p->scale[s] * p->q[i]) - min != 0) return false;
    }
    return true;
}

/* The parts of a block are integers but for d and dmin: where these are sensible, no weight is anything else. */
static void check_blocks(const gguf_tensor *t, findings *f) {
    const quant_row *row = &quant_types[t->type];
    const uint8_t *block = t->data;
    for (uint64_t i = 0; i < t->n_bytes / row->bytes; i++, block += row->bytes) {
        quant_parts parts[QUANT_MAX_PARTS];
        row->unpack(block, parts);
        bool no_scale = true, sensible = true, all_zero = true;
        for (const quant_parts *p = parts; p < parts + row->block / row->part; p++) {
            no_scale = no_scale && p->d == 0;
            sensible = sensible && fabsf(p->d) < 1e30f && (!row->has_min || fabsf(p->dmin) < 1e30f);
            all_zero = all_zero && is_zero_part(row, p);
        }
        f->zero_scale += no_scale;
        if (!sensible) {
            all_zero = true;
            float values[QUANT_MAX_BLOCK];
            quant_decode(t->type, block, row->block, values);
            count_values(values, row->block, f, &all_zero);
        }
        f->zero_block += all_zero;
    }
}

/* Plain numbers have no blocks, so a row counts as one. */
static void check_numbers(const gguf_tensor *t, findings *f) {
    const uint8_t *at = t->data;
    for (uint64_t row = 0; row < t->n_elements / t->ne[0]; row++) {
        bool all_zero = true;
        for (uint64_t done = 0; done < t->ne[0];) {
            float values[1024];
            size_t n = t->ne[0] - done < 1024 ? (size_t)(t->ne[0] - done) : 1024;
            quant_decode(t->type, at, n, values);
            count_values(values, n, f, &all_zero);
            at += n * quant_types[t->type].bytes;
            done += n;
        }
        f->zero_block += all_zero;
    }
}

bool inspect_check(const inspection *in, gguf_error *err) {
    size_t width = name_width(in->file), n_damaged = 0;
    if (isatty(STDOUT_FILENO)) { /* as in --tensors, a pipe gets tensors alone */
        fprintf(in->out, "%-*s  %-7s  %10s  %10s  %10s  %10s\n", (int)width, "name", "type", "nan", "inf", "zero_scale",
                "zero_block");
    }
    for (size_t i = 0; i < gguf_file_tensor_count(in->file); i++) {
        const gguf_tensor *t = gguf_file_tensor(in->file, i);
        findings f = {0};
        show_word(in->out, t->name, width);
        if (quant_types[t->type].unpack) {
            check_blocks(t, &f);
        } else {
            check_numbers(t, &f);
        }
        n_damaged += f.nan > 0 || f.inf > 0;
        fprintf(in->out, "  %-7s  %10llu  %10llu  %10llu  %10llu\n", quant_types[t->type].name,
                (unsigned long long)f.nan, (unsigned long long)f.inf, (unsigned long long)f.zero_scale,
                (unsigned long long)f.zero_block);
    }
    if (n_damaged == 0) return true;
    return fail(err, GGUF_ERR_RUN,
                "%s: %zu tensor%s NaN or infinity: the file is damaged, or was made from damaged weights", in->o->model,
                n_damaged, n_damaged == 1 ? " holds" : "s hold");
}

/* ---- --hash ---------------------------------------------------------------------------------- */

/* As sha256sum prints it. */
bool inspect_hash(const inspection *in, gguf_error *err) {
    (void)err;
    for (size_t i = 0; i < gguf_file_tensor_count(in->file); i++) {
        const gguf_tensor *t = gguf_file_tensor(in->file, i);
        sha256 s;
        uint8_t digest[32];
        char hex[65];
        sha256_begin(&s);
        sha256_add(&s, t->data, (size_t)t->n_bytes);
        sha256_end(&s, digest);
        sha256_hex(digest, hex);
        fprintf(in->out, "%s  ", hex);
        show_word(in->out, t->name, 0);
        fputc('\n', in->out);
    }
    return true;
}

/* ---- --tensor -------------------------------------------------------------------------------- */

/* How alike two names are: the bytes that they share at the beginning and at the end. Linear, so that a file of a
 * million long names takes no time. */
static size_t likeness(str a, str b) {
    size_t shorter = a.n < b.n ? a.n : b.n, head = 0, tail = 0;
    while (head < shorter && a.p[head] == b.p[head]) head++;
    while (tail < shorter - head && a.p[a.n - 1 - tail] == b.p[b.n - 1 - tail]) tail++;
    return head + tail;
}

static bool no_such_tensor(const inspection *in, gguf_error *err) {
    enum { SHOWN = 3 };
    str wanted = str_of(in->o->tensor);
    const gguf_tensor *near[SHOWN] = {NULL};
    size_t score[SHOWN] = {0};
    for (size_t i = 0; i < gguf_file_tensor_count(in->file); i++) {
        const gguf_tensor *t = gguf_file_tensor(in->file, i);
        size_t s = likeness(wanted, t->name);
        if (s * 2 < wanted.n) continue;
        for (size_t k = 0; k < SHOWN; k++) { /* insertion; what is pushed out goes on down the list */
            if (near[k] && score[k] >= s) continue;
            const gguf_tensor *pushed = near[k];
            size_t pushed_score = score[k];
            near[k] = t, score[k] = s;
            t = pushed, s = pushed_score;
            if (!t) break;
        }
    }
    char names[400] = "";
    for (size_t k = 0, at = 0; k < SHOWN && near[k]; k++) {
        at +=
            (size_t)snprintf(names + at, sizeof names - at, "%s%.*s", k ? ", " : "; near it: ", STR_ARG(near[k]->name));
    }
    return fail(err, GGUF_ERR_USAGE, "%s: has no tensor \"%.100s\"%s (--tensors lists all)", in->o->model,
                in->o->tensor, names);
}

/* One bound of FROM:TO, or `missing` where nothing stands there. */
static bool take_bound(const char **p, uint64_t missing, uint64_t *out) {
    if (**p < '0' || **p > '9') {
        *out = missing;
        return true;
    }
    char *end;
    errno = 0;
    *out = strtoull(*p, &end, 10);
    *p = end;
    return errno == 0;
}

static bool take_range(const char *text, const gguf_tensor *t, uint64_t *from, uint64_t *to, gguf_error *err) {
    enum { DEFAULT_VALUES = 16 };
    if (!text) {
        *from = 0;
        *to = t->n_elements < DEFAULT_VALUES ? t->n_elements : DEFAULT_VALUES;
        return true;
    }
    const char *p = text;
    bool read = take_bound(&p, 0, from) && *p == ':';
    if (read) p++;
    if (!read || !take_bound(&p, t->n_elements, to) || *p) {
        return fail(err, GGUF_ERR_USAGE, "--values takes FROM:TO, two whole numbers, not \"%s\"", text);
    }
    if (*from < *to && *to <= t->n_elements) return true;
    return fail(err, GGUF_ERR_USAGE, "--values %s: the tensor has values 0 to %llu, and FROM must be below TO", text,
                (unsigned long long)(t->n_elements - 1));
}

bool inspect_values(const inspection *in, gguf_error *err) {
    const gguf_tensor *t = gguf_file_find_tensor(in->file, str_of(in->o->tensor));
    uint64_t from = 0, to = 0;
    if (!t) return no_such_tensor(in, err);
    const quant_row *row = &quant_types[t->type];
    if (!take_range(in->o->values, t, &from, &to, err)) return false;
    for (uint64_t begin = from / row->block * row->block; begin < to; begin += row->block) {
        float values[QUANT_MAX_BLOCK];
        quant_decode(t->type, t->data + begin / row->block * row->bytes, row->block, values);
        for (uint64_t i = begin < from ? from : begin; i < begin + row->block && i < to; i++) {
            fprintf(in->out, "%llu\t%.9g\n", (unsigned long long)i, (double)values[i - begin]);
        }
    }
    return true;
}
