/*
 * gguf-quantize: the same model in other tensor types. Tensors go through one after the other, and a tensor in batches
 * of pieces that threads share; a piece is encoded by itself, so that the bytes do not depend on the threads.
 */
#include <regex.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/cpu.h"
#include "base/new_file.h"
#include "base/pool.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/quantize.h"
#include "format/gguf_write.h"

/* In weights: a multiple of every type's block; and what is encoded between two writes. */
enum { PIECE = 1 << 14, BATCH = 64 * PIECE, COPY_BYTES = 16 << 20 };

/* --tensor-type: tensors whose name the pattern finds get the type. */
typedef struct {
    regex_t pattern;
    quant_type type;
} tensor_rule;

typedef struct {
    const options *o;
    const char *in, *out;
    const quant_mix *mix;
    int n_threads;
    bool has_output_type, has_embedding_type;
    quant_type output_type, embedding_type;
    tensor_rule rules[MAX_LIST];
    size_t n_rules;
    gguf_file *file;
    mix_model model;
    quant_type *types; /* [n_tensors] */
    uint64_t bytes_before, bytes_after, n_weights;
    pool *threads;
    float *rooms;   /* [threads][PIECE] */
    uint8_t *batch; /* of BATCH weights in any type */
} quantizer;

/* ---- what is asked for --------------------------------------------------------------------------- */

static bool unknown_type(const char *text, gguf_error *err) {
    char names[320] = "";
    for (const quant_mix *m = quant_mixes; m->name; m++) {
        size_t n = strlen(names);
        snprintf(names + n, sizeof names - n, "%s%s", n ? ", " : "", m->name);
    }
    return fail(err, GGUF_ERR_USAGE, "\"%.40s\" is no type: %s", text, names);
}

static bool take_type(const char *name, const char *text, bool *given, quant_type *out, gguf_error *err) {
    if (!text) return true;
    *given = true;
    return mix_find_type(text, out) ||
           fail(err, GGUF_ERR_USAGE, "%s: \"%.40s\" is no tensor type (Q6_K, F16, ...)", name, text);
}

/* "PATTERN=TYPE"; the pattern may hold '='. */
static bool take_rule(quantizer *q, const char *text, gguf_error *err) {
    const char *equals = strrchr(text, '=');
    tensor_rule *rule = &q->rules[q->n_rules];
    if (!equals || equals == text)
        return fail(err, GGUF_ERR_USAGE, "--tensor-type takes PATTERN=TYPE, not \"%.100s\"", text);
    bool given;
    if (!take_type("--tensor-type", equals + 1, &given, &rule->type, err)) return false;
    char *pattern = strndup(text, (size_t)(equals - text));
    if (!pattern) return fail_memory(err, "a pattern", strlen(text));
    int code = regcomp(&rule->pattern, pattern, REG_EXTENDED | REG_NOSUB);
    free(pattern);
    if (code == 0) {
        q->n_rules++;
        return true;
    }
    char why[100];
    regerror(code, &rule->pattern, why, sizeof why);
    return fail(err, GGUF_ERR_USAGE, "--tensor-type \"%.100s\": %s", text, why);
}

static bool take_words(quantizer *q, gguf_error *err) {
    const options *o = q->o;
    if (o->n_words < 3) {
        return fail(err, GGUF_ERR_USAGE,
                    "an input, an output and a type are needed: gguf-quantize in.gguf out.gguf Q4_K_M");
    }
    q->in = o->words[0];
    q->out = o->words[1];
    q->mix = mix_find(o->words[2]);
    if (!q->mix) return unknown_type(o->words[2], err);
    q->n_threads = cpu_default_threads();
    if (o->n_words == 4) {
        char *end;
        long n = strtol(o->words[3], &end, 10);
        if (*end || n < 1 || n > 1024)
            return fail(err, GGUF_ERR_USAGE, "the number of threads is between 1 and 1024, not \"%.40s\"", o->words[3]);
        q->n_threads = (int)n;
    }
    if (!take_type("--output-tensor-type", o->output_type, &q->has_output_type, &q->output_type, err) ||
        !take_type("--token-embedding-type", o->embedding_type, &q->has_embedding_type, &q->embedding_type, err))
        return false;
    for (int64_t i = 0; i < o->tensor_types.n; i++) {
        if (!take_rule(q, o->tensor_types.items[i], err)) return false;
    }
    struct stat a, b;
    if (!o->dry_run && stat(q->in, &a) == 0 && stat(q->out, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
        return fail(err, GGUF_ERR_USAGE, "%s: is input and output at once: choose another name for the output", q->out);
    return true;
}

/* ---- the plan ------------------------------------------------------------------------------------ */

static bool find_rule(const quantizer *q, str name, quant_type *out) {
    char text[256];
    snprintf(text, sizeof text, "%.*s", name.n < sizeof text ? (int)name.n : (int)sizeof text - 1, name.p);
    for (size_t i = 0; i < q->n_rules; i++) {
        if (regexec(&q->rules[i].pattern, text, 0, NULL, 0) != 0) continue;
        *out = q->rules[i].type;
        return true;
    }
    return false;
}

static quant_type wanted_type(const quantizer *q, const gguf_tensor *t) {
    const options *o = q->o;
    quant_type type = q->mix->type;
    if (!mix_is_weight(t)) return t->type;
    if (o->leave_output && str_is(t->name, "output.weight")) return t->type;
    if (find_rule(q, t->name, &type)) return type;
    if (mix_is_embedding(t) && q->has_embedding_type) return q->embedding_type;
    if (mix_is_output(&q->model, t) && q->has_output_type) return q->output_type;
    if (q->mix->file_type < 0) return t->type;
    return o->pure ? type : mix_type(q->mix, &q->model, t);
}

/* Fills types and sums. What is said of a tensor goes to stderr, a line each. */
static bool make_plan(quantizer *q, gguf_error *err) {
    size_t n = gguf_file_tensor_count(q->file);
    q->types = calloc(n + 1, sizeof *q->types);
    if (!q->types) return fail_memory(err, "the tensors' types", n * sizeof *q->types);
    for (size_t i = 0; i < n; i++) {
        const gguf_tensor *t = gguf_file_tensor(q->file, i);
        quant_type wanted = wanted_type(q, t), type = mix_type_that_fits(wanted, t->ne[0]);
        if (type != wanted) {
            fprintf(stderr, "gguf-quantize: %.*s: rows of %llu do not fill blocks of %s: %s instead\n",
                    STR_ARG(t->name), (unsigned long long)t->ne[0], quant_types[wanted].name, quant_types[type].name);
        }
        if (type != t->type && quant_types[t->type].unpack && quant_types[type].unpack && !q->o->allow_requantize) {
            return fail(err, GGUF_ERR_USAGE,
                        "%.*s is %s already, and rounding it again to %s loses more than rounding once: start from a "
                        "file in F16, BF16 or F32, or give --allow-requantize",
                        STR_ARG(t->name), quant_types[t->type].name, quant_types[type].name);
        }
        q->types[i] = type;
        q->bytes_before += t->n_bytes;
        q->bytes_after += t->n_elements / quant_types[type].block * quant_types[type].bytes;
        q->n_weights += t->n_elements;
    }
    return true;
}

static void show_tensor(FILE *out, const quantizer *q, size_t i) {
    const gguf_tensor *t = gguf_file_tensor(q->file, i);
    const quant_row *to = &quant_types[q->types[i]];
    uint64_t after = t->n_elements / to->block * to->bytes;
    char name[128], shape[96];
    size_t at = 0;
    snprintf(name, sizeof name, "%.*s", STR_ARG(t->name));
    strip_controls(name);
    for (uint32_t k = 0; k < t->n_dims; k++)
        at += (size_t)snprintf(shape + at, sizeof shape - at, "%s%llu", k ? "x" : "", (unsigned long long)t->ne[k]);
    fprintf(out, "[%4zu/%4zu] %-32s %-14s %6s", i + 1, gguf_file_tensor_count(q->file), name, shape,
            quant_types[t->type].name);
    if (q->types[i] == t->type) {
        fprintf(out, "    as it is  %s\n", human_bytes(t->n_bytes).text);
    } else {
        fprintf(out, " -> %-7s  %s -> %s\n", to->name, human_bytes(t->n_bytes).text, human_bytes(after).text);
    }
}

static void show_sums(FILE *out, const quantizer *q) {
    fprintf(out, "%s -> %s, %.2f bits a weight\n", human_bytes(q->bytes_before).text, human_bytes(q->bytes_after).text,
            q->n_weights ? 8 * (double)q->bytes_after / (double)q->n_weights : 0);
}

/* ---- keys ---------------------------------------------------------------------------------------- */

/* A number that --override-kv set has the widest type; other readers ask for the usual one. */
static void put_override(gguf_writer *w, const gguf_kv *kv, kv_type before) {
    char key[160];
    int64_t i;
    double x;
    snprintf(key, sizeof key, "%.*s", (int)kv->key.n, kv->key.p);
    if (kv->type == KV_I64 && kv_int(kv, 0, &i)) {
        bool known = kv_type_size(before) > 0 && before != KV_F32 && before != KV_F64 && before != KV_BOOL;
        gguf_writer_int(w, key, known ? before : i < 0 ? KV_I32 : i > UINT32_MAX ? KV_U64 : KV_U32, i);
    } else if (kv->type == KV_F64 && kv_float(kv, 0, &x)) {
        gguf_writer_float(w, key, before == KV_F64 ? KV_F64 : KV_F32, x);
    } else {
        gguf_writer_copy(w, kv);
    }
}

/* The keys after --override-kv, and those of the new types. */
static bool put_keys(quantizer *q, gguf_writer *w, gguf_error *err) {
    gguf_file *f = q->file;
    size_t n_before = gguf_file_kv_count(f);
    kv_type *before = calloc(n_before + 1, sizeof *before);
    if (!before) return fail_memory(err, "the keys", n_before * sizeof *before);
    for (size_t i = 0; i < n_before; i++) before[i] = gguf_file_kv(f, i)->type;
    bool ok = true, quantized = false;
    for (int64_t i = 0; i < q->o->override_kv.n && ok; i++) ok = gguf_file_override(f, q->o->override_kv.items[i], err);
    gguf_writer_align(w, (uint32_t)gguf_file_alignment(f));
    if (!gguf_file_find_kv(f, STR("general.alignment"))) gguf_writer_drop(w, "general.alignment");
    for (size_t i = 0; i < gguf_file_tensor_count(f); i++) quantized = quantized || quant_types[q->types[i]].unpack;
    for (int after = 0; after < 2 && ok; after++) { /* what is overridden counts more than what the types say */
        for (size_t i = 0; i < gguf_file_kv_count(f); i++) {
            const gguf_kv *kv = gguf_file_kv(f, i);
            bool changed = i >= n_before || kv->type != before[i];
            if (changed != after || str_starts(kv->key, STR("split.")) || str_is(kv->key, "general.alignment"))
                continue;
            if (changed) {
                put_override(w, kv, i < n_before ? before[i] : KV_TYPE_COUNT);
            } else {
                gguf_writer_copy(w, kv);
            }
        }
        if (after) break;
        if (q->mix->file_type >= 0) gguf_writer_int(w, "general.file_type", KV_U32, q->mix->file_type);
        if (quantized) gguf_writer_int(w, "general.quantization_version", KV_U32, 2);
    }
    free(before);
    return ok;
}

/* ---- the data ------------------------------------------------------------------------------------ */

/* A batch of a tensor on its way into another type. */
typedef struct {
    const quantizer *q;
    const gguf_tensor *t;
    quant_type type;
    uint64_t begin; /* of its weights, and how many there are */
    size_t n;
    atomic_size_t next; /* piece */
    atomic_flag failing;
    size_t failed_at; /* of the first piece that failed */
    gguf_error why;
} work;

static void encode_pieces(void *ctx, int thread) {
    work *b = ctx;
    float *x = b->q->rooms + (size_t)thread * PIECE;
    for (size_t at; (at = atomic_fetch_add(&b->next, 1) * PIECE) < b->n;) {
        size_t n = b->n - at < PIECE ? b->n - at : PIECE;
        gguf_error err = {0};
        if (thread == 0 && interrupt_reason() != STOP_NONE) { /* nobody gets another piece: a batch may take seconds */
            atomic_store(&b->next, b->n);
            break;
        }
        quant_decode(b->t->type,
                     b->t->data + b->begin / quant_types[b->t->type].block * quant_types[b->t->type].bytes +
                         quant_row_bytes(b->t->type, at),
                     n, x);
        if (quant_encode(b->type, x, n, NULL, b->q->batch + quant_row_bytes(b->type, at), &err)) continue;
        while (atomic_flag_test_and_set(&b->failing)) { /* held for a moment */
        }
        if (b->why.code == GGUF_OK || at < b->failed_at) b->why = err, b->failed_at = at;
        atomic_flag_clear(&b->failing);
    }
}

static bool stopped(gguf_error *err) {
    return interrupt_reason() == STOP_NONE || fail(err, GGUF_ERR_STOPPED, "interrupted");
}

static bool convert_tensor(const quantizer *q, gguf_writer *w, const gguf_tensor *t, quant_type type, gguf_error *err) {
    for (uint64_t done = 0; done < t->n_elements; done += BATCH) {
        work b = {.q = q, .t = t, .type = type, .begin = done, .failing = ATOMIC_FLAG_INIT};
        b.n = t->n_elements - done < BATCH ? (size_t)(t->n_elements - done) : BATCH;
        pool_run(q->threads, encode_pieces, &b);
        if (b.why.code != GGUF_OK) {
            return fail(err, b.why.code, "%s: %.*s, from value %llu on: %s", q->in, STR_ARG(t->name),
                        (unsigned long long)(done + b.failed_at), b.why.message);
        }
        if (!stopped(err) || !gguf_writer_data(w, q->batch, quant_row_bytes(type, b.n), err)) return false;
    }
    return true;
}

static bool copy_tensor(gguf_writer *w, const gguf_tensor *t, gguf_error *err) {
    for (uint64_t done = 0; done < t->n_bytes; done += COPY_BYTES) {
        size_t n = t->n_bytes - done < COPY_BYTES ? (size_t)(t->n_bytes - done) : COPY_BYTES;
        if (!stopped(err) || !gguf_writer_data(w, t->data + done, n, err)) return false;
    }
    return true;
}

static bool write_file(quantizer *q, gguf_writer *w, gguf_error *err) {
    size_t n = gguf_file_tensor_count(q->file);
    static char name[] = "quantize";
    if (!put_keys(q, w, err)) return false;
    for (size_t i = 0; i < n; i++) {
        const gguf_tensor *t = gguf_file_tensor(q->file, i);
        gguf_writer_tensor(w, t->name, q->types[i], t->n_dims, t->ne);
    }
    q->threads = pool_new(q->n_threads, print_warning, name, err);
    if (!q->threads) return false;
    q->rooms = malloc((size_t)pool_size(q->threads) * PIECE * sizeof *q->rooms);
    q->batch = malloc(BATCH * sizeof(double));
    if (!q->rooms || !q->batch) return fail_memory(err, "the work on a tensor", BATCH * sizeof(double));
    if (!gguf_writer_open(w, q->out, err)) return false;
    for (size_t i = 0; i < n; i++) {
        const gguf_tensor *t = gguf_file_tensor(q->file, i);
        show_tensor(stderr, q, i);
        bool ok = q->types[i] == t->type ? copy_tensor(w, t, err) : convert_tensor(q, w, t, q->types[i], err);
        if (!ok) return false;
    }
    return gguf_writer_commit(w, err);
}

/* ---- all together -------------------------------------------------------------------------------- */

static bool quantize(quantizer *q, gguf_error *err) {
    static char name[] = "quantize";
    const gguf_file_params params = {.no_mmap = q->o->no_mmap, .warn = print_warning, .warn_ctx = name};
    if (!take_words(q, err)) return false;
    q->file = gguf_file_open(q->in, &params, err);
    if (!q->file || !mix_model_open(&q->model, q->file, err) || !make_plan(q, err)) return false;
    if (q->o->dry_run) {
        for (size_t i = 0; i < gguf_file_tensor_count(q->file); i++) show_tensor(stdout, q, i);
        show_sums(stdout, q);
        return true;
    }
    gguf_writer *w = gguf_writer_new();
    bool ok = w ? write_file(q, w, err) : fail_memory(err, "the writer", 0);
    gguf_writer_free(w);
    if (ok) show_sums(stderr, q);
    return ok;
}

int quantize_main(const options *o) {
    static quantizer q;
    gguf_error err = {0};
    q.o = o;
    interrupt_before_end(new_file_abandon);
    interrupt_install("quantize", 0);
    interrupt_polled(true);
    int code = quantize(&q, &err) ? 0 : err.code == GGUF_ERR_STOPPED ? GGUF_ERR_STOPPED : report("quantize", &err);
    for (size_t i = 0; i < q.n_rules; i++) regfree(&q.rules[i].pattern);
    pool_free(q.threads);
    free(q.rooms);
    free(q.batch);
    free(q.types);
    mix_model_close(&q.model);
    gguf_file_close(q.file);
    if (code == GGUF_ERR_STOPPED) interrupt_finish();
    return finish_stdout(code);
}
