/* gguf-eval: ids or a text go in, numbers come out: here logits of every position, or what an operation made. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/new_file.h"
#include "cli/eval.h"
#include "cli/input.h"
#include "cli/interrupt.h"
#include "model/model.h"
#include "session/session.h"

/* ---- ids ------------------------------------------------------------------------------------- */

static bool parse_ids(const char *text, buffer *ids, gguf_error *err) {
    for (const char *p = text;;) {
        p += strspn(p, ", \t\n");
        if (!*p) break;
        char *end;
        long v = strtol(p, &end, 10);
        if (end == p || (*end && !strchr(", \t\n", *end)) || v < 0 || v > INT32_MAX) {
            return fail(err, GGUF_ERR_USAGE, "--ids: \"%.20s\" is not a token id", p);
        }
        int32_t id = (int32_t)v;
        buffer_add(ids, &id, sizeof id);
        p = end;
    }
    if (ids->n == 0) return fail(err, GGUF_ERR_USAGE, "no ids were given (--ids 1,2,3)");
    return !ids->failed || fail_memory(err, "the ids", ids->n);
}

/* ---- logits ---------------------------------------------------------------------------------- */

typedef struct {
    bool wanted;
    FILE *to_stdout; /* or NULL: */
    new_file file;
    uint32_t n_vocab;
    gguf_error why; /* of a write that failed */
} logits_writer;

static bool write_logits(void *ctx, uint32_t position, const float *logits) {
    logits_writer *w = ctx;
    (void)position;
    size_t n = w->n_vocab;
    if (!w->wanted) return true;
    if (!w->to_stdout) return new_file_write(&w->file, logits, n * sizeof *logits, &w->why);
    return fwrite(logits, sizeof *logits, n, w->to_stdout) == n ||
           fail(&w->why, GGUF_ERR_RUN, "stdout: cannot write the logits");
}

/* ---- dump ------------------------------------------------------------------------------------ */

typedef struct {
    const option_list *names;
    bool list; /* print the names alone */
    bool found[MAX_LIST];
} dumper;

static void dump(void *ctx, const char *name, uint32_t position, size_t n_rows, size_t n, const float *values) {
    dumper *d = ctx;
    if (d->list) {
        printf("%s\t%zu\n", name, n);
        return;
    }
    for (int64_t i = 0; i < d->names->n; i++) {
        if (strcmp(name, d->names->items[i]) != 0) continue;
        d->found[i] = true;
        for (size_t r = 0; r < n_rows; r++) {
            printf("%s\t%zu", name, position + r);
            for (size_t j = 0; j < n; j++) printf("\t%.9g", (double)values[r * n + j]);
            putchar('\n');
        }
    }
}

static bool check_found(const dumper *d, gguf_error *err) {
    for (int64_t i = 0; i < d->names->n && !d->list; i++) {
        if (!d->found[i])
            return fail(err, GGUF_ERR_USAGE, "--dump: nothing is called \"%s\" (--dump list names all)",
                        d->names->items[i]);
    }
    return true;
}

/* ---- the command ----------------------------------------------------------------------------- */

static bool evaluate(const options *o, gguf_session *s, const int32_t *ids, size_t n, logits_writer *w,
                     gguf_error *err) {
    dumper d = {.names = &o->dump};
    for (int64_t i = 0; i < o->dump.n; i++) d.list = d.list || strcmp(o->dump.items[i], "list") == 0;
    if (d.list && (o->dump.n > 1 || w->wanted))
        return fail(err, GGUF_ERR_USAGE, "--dump list prints names alone: leave out the other --dump and --logits");
    if (o->dump.n) session_set_trace(s, dump, &d);
    if (d.list) n = 1;
    gguf_error why = {0};
    if (gguf_session_score(s, ids, n, write_logits, w, &why)) return check_found(&d, err);
    if (w->why.code) why = w->why;
    return fail(err, why.code, "%s", why.message);
}

static bool eval_ids(const options *o, gguf_error *err) {
    buffer ids = {0};
    gguf_model *m = NULL;
    gguf_session *s = NULL;
    logits_writer w = {.wanted = o->logits_out != NULL, .file = {.fd = -1}};
    bool ok = false;
    if (!o->logits_out && !o->dump.n)
        return fail(err, GGUF_ERR_USAGE, "nothing to show was asked for (--logits FILE, --dump NAME)");
    if (!parse_ids(o->ids, &ids, err)) goto done;
    gguf_model_params mp = model_params(o, "eval", false);
    m = gguf_model_open(o->model, &mp, err);
    if (!m) goto done;
    gguf_session_params sp = session_params(o, "eval");
    s = gguf_session_open(m, &sp, err);
    if (!s) goto done;
    w.n_vocab = gguf_model_get_info(m).n_vocab;
    if (w.wanted && strcmp(o->logits_out, "-") == 0) w.to_stdout = stdout;
    if (w.wanted && !w.to_stdout && !new_file_open(&w.file, o->logits_out, true, err)) goto done;
    ok = evaluate(o, s, (const int32_t *)(const void *)ids.data, ids.n / sizeof(int32_t), &w, err);
    if (ok && w.wanted && !w.to_stdout) ok = new_file_commit(&w.file, err);
done:
    new_file_close(&w.file);
    gguf_session_close(s);
    gguf_model_close(m);
    buffer_free(&ids);
    return ok;
}

/* Each kind of run has its flags; exactly one kind is asked for. */
static bool run(const options *o, gguf_error *err) {
    bool ids = o->ids || o->logits_out || o->dump.n, text = (o->file && !o->score) || o->kl || o->kl_base;
    if (ids + text + o->score != 1)
        return fail(err, GGUF_ERR_USAGE,
                    "one thing to do is needed: a text (-f FILE), --kl FILE, --score, or --ids LIST");
    if (ids && !o->ids) return fail(err, GGUF_ERR_USAGE, "no ids were given (--ids 1,2,3)");
    return ids ? eval_ids(o, err) : o->score ? eval_score(o, err) : eval_perplexity(o, err);
}

int eval_main(const options *o) {
    gguf_error err = {0};
    interrupt_before_end(new_file_abandon);
    interrupt_install("eval", 0);
    return finish_stdout(run(o, &err) ? 0 : report("eval", &err));
}
