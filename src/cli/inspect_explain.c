/*
 * gguf-inspect --explain and --plan: whether the file can be run here.
 *
 * gguf_model_open is the judge, so that this never says otherwise than gguf-run; but it stops at the first thing that
 * is wrong. Where it refuses, the file is looked through again for everything that can be told independently.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/inspect.h"
#include "cli/output.h"
#include "text/vocab.h"

/* ---- reasons --------------------------------------------------------------------------------- */

enum { MAX_LISTED = 8 };

typedef struct {
    const inspection *in;
    size_t n;
} reasons;

static void reason(reasons *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void reason(reasons *r, const char *fmt, ...) {
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    strip_controls(text);
    if (r->n++ == 0) fputs("This file cannot be run here:\n", r->in->out);
    fprintf(r->in->out, "- %s\n", text);
}

/* Names with commas, the first MAX_LISTED of them. */
typedef struct {
    char text[800];
    size_t at, n;
} name_list;

static void list_name(name_list *l, const char *name, size_t n) {
    if (l->n++ >= MAX_LISTED) return;
    int added =
        snprintf(l->text + l->at, sizeof l->text - l->at, "%s%.*s", l->n > 1 ? ", " : "", (int)(n < 90 ? n : 90), name);
    l->at += added > 0 ? (size_t)added : 0;
}

/* "a, b and 3 more" */
static const char *list_end(name_list *l) {
    if (l->n > MAX_LISTED) snprintf(l->text + l->at, sizeof l->text - l->at, " and %zu more", l->n - MAX_LISTED);
    return l->text;
}

static const char *plural(size_t n) { return n == 1 ? " is" : "s are"; }

/* ---- a file that cannot be read -------------------------------------------------------------- */

/* The files of a split model are named "...-00002-of-00005.gguf": which of those beside this one are not there. */
static void explain_missing_shards(reasons *r) {
    static const char form[] = "-00000-of-00000.gguf";
    const char *path = r->in->o->model;
    size_t n = strlen(path), tail = sizeof form - 1;
    if (n < tail || strncmp(path + n - tail + 6, "-of-", 4) != 0) return;
    long count = strtol(path + n - tail + 10, NULL, 10); /* five digits at most: ".gguf" ends them */
    char *name = malloc(n + 1);
    if (!name) return;
    name_list missing = {{0}, 0, 0};
    for (long i = 1; i <= count; i++) {
        char number[48];
        snprintf(number, sizeof number, "%05ld", i);
        memcpy(name, path, n + 1);
        memcpy(name + n - tail + 1, number, 5);
        if (access(name, F_OK) == 0) continue;
        snprintf(number, sizeof number, "%ld of %ld", i, count);
        list_name(&missing, number, strlen(number));
    }
    if (missing.n > 0)
        reason(r, "The model is split into %ld files, and of those %zu%s missing: %s.", count, missing.n,
               missing.n == 1 ? " is" : " are", list_end(&missing));
    free(name);
}

/* ---- a file that can ------------------------------------------------------------------------- */

static void explain_architecture(reasons *r) {
    const inspection *in = r->in;
    if (in->arch) return;
    if (in->arch_name.n == 0) {
        reason(r, "The file does not name its architecture (general.architecture), so it holds no model.");
    } else {
        char list[600];
        arch_list(list, sizeof list);
        reason(r, "The architecture %.*s is not supported; this program runs %s.", STR_ARG(in->arch_name), list);
    }
}

static void explain_vocabulary(reasons *r) {
    const inspection *in = r->in;
    gguf_error why = {0};
    gguf_vocab *v = vocab_load(in->file, NULL, NULL, NULL, &why);
    if (!v && why.code != GGUF_OK) {
        reason(r, "The tokenizer cannot be used: %s.", why.message);
    } else if (!v) {
        reason(r, "The file has no tokenizer (tokenizer.ggml.model), so no text can go in or out.");
    } else if (in->has_hparams && gguf_vocab_size(v) != in->hp.n_vocab) {
        reason(r, "The tokenizer has %u tokens, but token_embd.weight has %u rows.", gguf_vocab_size(v),
               in->hp.n_vocab);
    }
    vocab_free(v);
}

static void explain_hparams(reasons *r) {
    const inspection *in = r->in;
    name_list missing = {{0}, 0, 0};
    if (!in->arch || in->has_hparams) return;
    for (const param *p = hparams_params; p->key; p++) {
        if (!p->absent && param_concerns(p, in->arch) && !hparams_find(in->file, in->arch_name, p->key))
            list_name(&missing, p->key, strlen(p->key));
    }
    if (missing.n > 0) {
        reason(r, "%zu hyper-parameter%s missing, which a %s model needs: %s.", missing.n, plural(missing.n),
               in->arch->name, list_end(&missing));
    } else {
        reason(r, "The network cannot be set up: %s.", in->hparams_error.message);
    }
}

/* ---- tensors against the architecture's table ------------------------------------------------- */

typedef struct {
    reasons *r;
    name_list missing;
    size_t n_misshaped;
} tensor_check;

static void check_shape(tensor_check *c, const gguf_tensor *t, const binding *b) {
    if (!c->r->in->has_hparams) return; /* nothing says what it should be */
    const hparams *h = &c->r->in->hp;
    char sizes[96] = "", of[300] = "", one[96];
    bool same = t->ne[3] == 1;
    for (uint32_t i = 0, at = 0, of_at = 0; i < MAX_DIMS; i++) {
        uint64_t want = dim_size(h, b->ne[i]);
        same = same && t->ne[i] == want;
        if (i > 0 && b->ne[i] == DIM_NONE) continue;
        dim_describe(h, b->ne[i], one, sizeof one);
        at += (uint32_t)snprintf(sizes + at, sizeof sizes - at, "%s%llu", i ? "x" : "", (unsigned long long)want);
        of_at += (uint32_t)snprintf(of + of_at, sizeof of - of_at, "%s%s", i ? ", " : "", one);
    }
    if (same || c->n_misshaped++ >= MAX_LISTED) return;
    reason(c->r, "The tensor %.*s is of shape %s; the hyper-parameters ask for %s (%s).", STR_ARG(t->name),
           shape_of(t).text, sizes, of);
}

/* Files of 2023 have a tensor for each expert; the first stands for all. */
static const gguf_tensor *find_tensor(const tensor_check *c, const char *prefix, const char *name, bool of_expert) {
    char full[96];
    int n = snprintf(full, sizeof full, "%s", prefix);
    n += of_expert ? snprintf(full + n, sizeof full - (size_t)n, name, 0u)
                   : snprintf(full + n, sizeof full - (size_t)n, "%s", name);
    return gguf_file_find_tensor(c->r->in->file, (str){full, (size_t)n});
}

/* The tensor in whose presence b is not needed: the one that is bound to the field that b names. */
static bool has_other(const tensor_check *c, const binding *table, const binding *b, const char *prefix) {
    for (const binding *o = table; o->name && b->instead; o++) {
        bool whole = o->field == b->instead - 1 ||
                     (o->kind == BIND_MATRIX && o->field + offsetof(matrix, data) == b->instead - 1);
        if (whole && find_tensor(c, prefix, o->name, false)) return true;
    }
    return false;
}

static void check_table(tensor_check *c, const binding *table, uint32_t i, const char *prefix) {
    const inspection *in = c->r->in;
    for (const binding *b = table; b->name; b++) {
        need needed = arch_needs(in->arch, &in->hp, i, b);
        if (needed == NEED_NOT || has_other(c, table, b, prefix)) continue;
        const gguf_tensor *t = find_tensor(c, prefix, b->name, false);
        if (t) {
            check_shape(c, t, b);
        } else if (needed == NEED_MUST && !(b->split && find_tensor(c, prefix, b->split, true))) {
            char name[96];
            int n = snprintf(name, sizeof name, "%s%s", prefix, b->name);
            list_name(&c->missing, name, (size_t)n);
        }
    }
}

static void explain_tensors(reasons *r) {
    const inspection *in = r->in;
    tensor_check c = {.r = r};
    if (in->total.n_tensors == 0) reason(r, "The file holds no tensors, so there is no network to run.");
    if (!in->arch || in->total.n_tensors == 0) return;
    check_table(&c, arch_globals, 0, "");
    for (uint32_t i = 0; i < layer_count(in); i++) {
        char prefix[32];
        snprintf(prefix, sizeof prefix, "blk.%u.", i);
        check_table(&c, arch_layer, i, prefix);
    }
    if (c.n_misshaped > MAX_LISTED) reason(r, "%zu more tensors are of a wrong shape.", c.n_misshaped - MAX_LISTED);
    if (c.missing.n > 0)
        reason(r, "%zu tensor%s missing, which a %s model needs: %s.", c.missing.n, plural(c.missing.n), in->arch->name,
               list_end(&c.missing));
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void explain_memory(reasons *r, const memory_plan *p) {
    if (p->fits || (r->in->o->ctx == 0 && p->n_ctx_fit > 0))
        return; /* a trained context that is too large is lowered */
    reason(r, "A context of %u positions takes %s of cache and %s to work in, but this process can have %s.", p->n_ctx,
           human_bytes(p->cache).text, human_bytes(p->work).text, human_bytes(p->limit).text);
}

static void explain_success(const inspection *in, const memory_plan *p) {
    fprintf(in->out, "This file can be run here: a %s model with %s parameters of %.2f bits.\n", in->arch->name,
            human_count(in->total.n_params).text, bits_per_weight(&in->total));
    fprintf(in->out,
            "A context of %u positions takes up to %s: weights %s, cache %s, work %s. This process can have %s.\n",
            p->n_ctx, human_bytes(p->sum).text, human_bytes(p->weights).text, human_bytes(p->cache).text,
            human_bytes(p->work).text, human_bytes(p->limit).text);
    if (!p->fits) {
        fprintf(in->out, "That is too much, so a run without -c gets a context of %u.\n", p->n_ctx_fit);
    } else if (!p->weights_fit) {
        fputs("The weights do not fit beside the rest, so they are read from the disk again and again: it will be "
              "slow.\n",
              in->out);
    }
}

/* ---- --explain ------------------------------------------------------------------------------- */

static void explain_refusal(reasons *r, const gguf_error *why) {
    explain_architecture(r);
    explain_vocabulary(r);
    explain_hparams(r);
    explain_tensors(r);
    if (r->n == 0) reason(r, "%s.", why->message);
}

static void explain_file(reasons *r) {
    const inspection *in = r->in;
    static char name[] = "inspect";
    gguf_model_params params = {.no_mmap = in->o->no_mmap, .warn = print_warning, .warn_ctx = name};
    gguf_error why = {0};
    gguf_model *m = gguf_model_open(in->o->model, &params, &why);
    bool usable = m && gguf_model_vocab(m);
    gguf_model_close(m);
    if (!usable) {
        explain_refusal(r, &why);
        return;
    }
    memory_plan p = plan_memory(in);
    explain_memory(r, &p);
    if (r->n == 0) explain_success(in, &p);
}

bool inspect_explain(const inspection *in, gguf_error *err) {
    (void)err; /* the reasons are the result: stdout has them */
    reasons r = {.in = in};
    if (in->file) {
        explain_file(&r);
    } else {
        explain_missing_shards(&r);
        if (r.n == 0) reason(&r, "%s.", in->file_error.message);
    }
    return r.n == 0;
}

/* ---- --plan ---------------------------------------------------------------------------------- */

bool inspect_plan(const inspection *in, gguf_error *err) {
    if (!in->has_hparams)
        return fail(err, GGUF_ERR_MODEL, "%s: nothing can be planned: %s", in->o->model, in->hparams_error.message);
    memory_plan p = plan_memory(in);
    const struct {
        const char *name;
        uint64_t n;
    } rows[] = {{"weights", p.weights}, {"cache", p.cache}, {"work", p.work}, {"sum", p.sum}, {"allowed", p.limit}};
    fprintf(in->out, "%-10s%u\n", "context", p.n_ctx);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fprintf(in->out, "%-10s%-10s (%llu bytes)\n", rows[i].name, human_bytes(rows[i].n).text,
                (unsigned long long)rows[i].n);
    }
    if (!in->arch) fprintf(in->out, "%-10sthis program does not run the architecture yet\n", "but");
    fprintf(in->out, "%-10s", "fits");
    if (p.fits) {
        fputs(p.weights_fit ? "yes\n" : "yes, but the weights do not stay in memory beside the rest: slow\n", in->out);
    } else if (p.n_ctx_fit > 0) {
        fprintf(in->out, "no; the largest context that does is %u\n", p.n_ctx_fit);
    } else {
        fputs("no, not even one position\n", in->out);
    }
    return true;
}
