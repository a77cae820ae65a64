/* gguf-eval over a text: perplexity, divergence from another model's run, log-probabilities of lines. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/eval.h"
#include "cli/input.h"
#include "kernel/fmath.h"

void mean_add(mean *m, double v) {
    m->sum += v;
    m->squares += v * v;
    m->n++;
}

double mean_value(const mean *m) { return m->n ? m->sum / (double)m->n : 0; }

double mean_error(const mean *m) {
    double v = mean_value(m), variance = m->n > 1 ? m->squares / (double)m->n - v * v : 0;
    return variance > 0 ? sqrt(variance / (double)(m->n - 1)) : 0;
}

ptrdiff_t eval_tokenize(const options *o, const gguf_vocab *v, const char *text, size_t n, int32_t **ids,
                        gguf_error *err) {
    gguf_tokenize_params p = {.no_bos = true, .parse_special = o->parse_special};
    ptrdiff_t count = gguf_vocab_tokenize(v, text, n, &p, ids, err);
    if (count < 0 || o->no_bos || !gguf_vocab_adds_bos(v)) return count;
    int32_t *more = realloc(*ids, ((size_t)count + 1) * sizeof *more);
    if (!more) {
        free(*ids);
        fail_memory(err, "the ids", ((size_t)count + 1) * sizeof *more);
        return -1;
    }
    memmove(more + 1, more, (size_t)count * sizeof *more);
    more[0] = gguf_vocab_bos(v);
    *ids = more;
    return count + 1;
}

/* ---- opening --------------------------------------------------------------------------------- */

typedef struct {
    gguf_model *model;
    gguf_session *session;
    const gguf_vocab *vocab;
    uint32_t n_vocab;
} runner;

static bool open_model(runner *r, const options *o, gguf_error *err) {
    gguf_model_params mp = model_params(o, "eval", false);
    r->model = gguf_model_open(o->model, &mp, err);
    if (!r->model) return false;
    r->n_vocab = gguf_model_get_info(r->model).n_vocab;
    r->vocab = gguf_model_vocab(r->model);
    if (r->vocab) return true;
    return fail(err, GGUF_ERR_MODEL, "%s: the file has no tokenizer, so no text can be given to it", o->model);
}

/* n_ctx 0: as -c says. */
static bool open_session(runner *r, const options *o, uint32_t n_ctx, gguf_error *err) {
    gguf_session_params sp = session_params(o, "eval");
    uint32_t trained = gguf_model_get_info(r->model).n_ctx_train;
    if (n_ctx) sp.n_ctx = n_ctx;
    if (n_ctx > trained)
        fprintf(stderr, "gguf-eval: warning: chunks of %u ids are longer than the trained context of %u\n", n_ctx,
                trained);
    r->session = gguf_session_open(r->model, &sp, err);
    return r->session != NULL;
}

static void close_runner(runner *r) {
    gguf_session_close(r->session);
    gguf_model_close(r->model);
}

/* ---- perplexity ------------------------------------------------------------------------------ */

typedef struct {
    const options *o;
    runner r;
    chunks c;
    kl_file kl;
    bool writes, compares;
    size_t chunk; /* the one at work */
    mean nll;
    gguf_error why; /* of what failed inside a chunk */
} perplexity;

/* By default the second half of each chunk is scored, as llama.cpp does; with a stride, the last `stride` ids. */
static bool cut_text(perplexity *p, gguf_error *err) {
    const options *o = p->o;
    buffer text = {0};
    bool ok = read_file(o->file, &text, err);
    ptrdiff_t n = ok ? eval_tokenize(o, p->r.vocab, text.data, text.n, &p->c.ids, err) : -1;
    buffer_free(&text);
    if (n < 0) return false;
    p->c.n_ids = (size_t)n;
    p->c.size = o->chunk ? (uint32_t)o->chunk : o->ctx ? (uint32_t)o->ctx : 512;
    if (p->c.size < 4) return fail(err, GGUF_ERR_USAGE, "a chunk has 4 ids at least");
    if (o->stride >= p->c.size)
        return fail(err, GGUF_ERR_USAGE, "--stride %lld is not below the chunk's %u ids", (long long)o->stride,
                    p->c.size);
    p->c.stride = o->stride ? (uint32_t)o->stride : p->c.size;
    p->c.first = o->stride ? p->c.size - p->c.stride - 1 : p->c.size / 2;
    if (p->c.n_ids < p->c.size)
        return fail(err, GGUF_ERR_USAGE, "%s: the text has %zu tokens, and a chunk takes %u (fewer: --chunk N)",
                    o->file, p->c.n_ids, p->c.size);
    p->c.n_chunks = (p->c.n_ids - p->c.size) / p->c.stride + 1;
    if (o->n_chunks > 0 && p->c.n_chunks > (size_t)o->n_chunks) p->c.n_chunks = (size_t)o->n_chunks;
    return true;
}

static bool visit(void *ctx, uint32_t position, const float *logits) {
    perplexity *p = ctx;
    if (position < p->c.first || position + 1 >= p->c.size) return true;
    int32_t next = p->c.ids[p->chunk * p->c.stride + position + 1];
    mean_add(&p->nll, -(double)gguf_logits_logprobs(logits, p->r.n_vocab, next, NULL, 0));
    if (p->writes) return kl_write(&p->kl, logits, &p->why);
    return !p->compares || kl_compare(&p->kl, logits, next, &p->why);
}

static bool run_chunk(perplexity *p, gguf_error *err) {
    int32_t *ids = p->c.ids + p->chunk * p->c.stride, own = ids[0];
    bool bos = gguf_vocab_adds_bos(p->r.vocab) && !p->o->no_bos;
    gguf_error why = {0};
    if (bos) ids[0] = gguf_vocab_bos(p->r.vocab); /* each chunk begins as a text does */
    bool ok = gguf_session_rewind(p->r.session, 0, &why);
    if (p->c.first > 0) ok = ok && gguf_session_decode(p->r.session, ids, p->c.first, &why);
    ok = ok && gguf_session_score(p->r.session, ids + p->c.first, p->c.size - p->c.first, visit, p, &why);
    ids[0] = own;
    if (ok) return true;
    if (p->why.code) why = p->why;
    return fail(err, why.code, "%s", why.message);
}

/* exp of a mean surprise; beyond double's range: infinity. */
static double ppl_of(const mean *m) { return mean_value(m) < 700 ? exp_f64(mean_value(m)) : INFINITY; }

static bool run_all(perplexity *p, gguf_error *err) {
    bool shown = isatty(STDERR_FILENO) == 1;
    for (p->chunk = 0; p->chunk < p->c.n_chunks; p->chunk++) {
        if (!run_chunk(p, err)) return false;
        if (shown) fprintf(stderr, "\rchunk %zu of %zu: PPL = %.4f ", p->chunk + 1, p->c.n_chunks, ppl_of(&p->nll));
    }
    if (shown) fputc('\n', stderr);
    return true;
}

static void print_result(perplexity *p) {
    double ppl = ppl_of(&p->nll), nll = mean_value(&p->nll);
    printf("PPL = %.4f +/- %.5f, mean negative log-likelihood %.6f (%llu tokens of %zu chunks of %u)\n", ppl,
           ppl * mean_error(&p->nll), nll, (unsigned long long)p->nll.n, p->c.n_chunks, p->c.size);
    if (!p->compares) return;
    kl_file *k = &p->kl;
    printf("PPL of the base = %.4f (its file ends 16 nats below the likeliest)\n", ppl_of(&k->base_nll));
    printf("mean KL    %.6f +/- %.6f\n", mean_value(&k->divergence), mean_error(&k->divergence));
    printf("median KL  %.6f\n99%% KL     %.6f\n", kl_quantile(k, 0.5), kl_quantile(k, 0.99));
    printf("max KL     %.6f\n", kl_quantile(k, 1));
    printf("same top   %.3f %%\n", 100 * (double)k->n_same_top / (double)k->n_kl);
}

static void json_field(const char *name, double v) {
    printf(",\"%s\":", name);
    json_number(stdout, v, 9);
}

static void print_json_result(perplexity *p) {
    printf("{\"tokens\":%llu,\"chunks\":%zu,\"chunk\":%u", (unsigned long long)p->nll.n, p->c.n_chunks, p->c.size);
    json_field("ppl", ppl_of(&p->nll));
    json_field("ppl_error", ppl_of(&p->nll) * mean_error(&p->nll));
    json_field("nll", mean_value(&p->nll));
    if (p->compares) {
        json_field("ppl_base", ppl_of(&p->kl.base_nll));
        json_field("kl_mean", mean_value(&p->kl.divergence));
        json_field("kl_error", mean_error(&p->kl.divergence));
        json_field("kl_median", kl_quantile(&p->kl, 0.5));
        json_field("kl_99", kl_quantile(&p->kl, 0.99));
        json_field("kl_max", kl_quantile(&p->kl, 1));
        json_field("same_top", (double)p->kl.n_same_top / (double)p->kl.n_kl);
    }
    printf("}\n");
}

static bool check_flags(const options *o, gguf_error *err) {
    if (o->kl && (o->file || o->kl_base || o->chunk || o->stride || o->n_chunks))
        return fail(
            err, GGUF_ERR_USAGE,
            "--kl takes its text and chunks from the file: leave out -f, --chunk, --chunks, --stride, --kl-base");
    if (o->kl_base && !o->file) return fail(err, GGUF_ERR_USAGE, "--kl-base needs a text (-f FILE)");
    if (o->kl_base && o->stride) return fail(err, GGUF_ERR_USAGE, "--kl-base and --stride do not go together");
    return true;
}

bool eval_perplexity(const options *o, gguf_error *err) {
    perplexity p = {.o = o, .kl = {.out = {.fd = -1}}, .writes = o->kl_base != NULL, .compares = o->kl != NULL};
    bool ok = check_flags(o, err) && open_model(&p.r, o, err);
    ok = ok && (p.compares ? kl_open(&p.kl, o->kl, &p.c, p.r.n_vocab, err) : cut_text(&p, err));
    ok = ok && open_session(&p.r, o, p.c.size, err);
    if (ok && p.writes) ok = kl_create(&p.kl, o->kl_base, &p.c, p.r.n_vocab, err);
    ok = ok && run_all(&p, err);
    if (ok && p.writes) ok = new_file_commit(&p.kl.out, err);
    if (ok && o->json) {
        print_json_result(&p);
    } else if (ok) {
        print_result(&p);
    }
    kl_close(&p.kl);
    free(p.c.ids);
    close_runner(&p.r);
    return ok;
}

/* ---- lines ----------------------------------------------------------------------------------- */

typedef struct {
    const int32_t *ids;
    size_t n;
    uint32_t n_vocab;
    double logprob;
} line_score;

static bool add_logprob(void *ctx, uint32_t position, const float *logits) {
    line_score *s = ctx;
    if (position + 1 < s->n)
        s->logprob += (double)gguf_logits_logprobs(logits, s->n_vocab, s->ids[position + 1], NULL, 0);
    return true;
}

/* One line: the log-probability of every token that follows another (BOS counts), and how many these are. */
static bool score_line(const options *o, runner *r, const char *text, size_t n, gguf_error *err) {
    int32_t *ids = NULL;
    ptrdiff_t count = eval_tokenize(o, r->vocab, text, n, &ids, err);
    if (count < 0) return false;
    line_score s = {.ids = ids, .n = (size_t)count, .n_vocab = r->n_vocab};
    bool ok = gguf_session_rewind(r->session, 0, err);
    if (count > 1) ok = ok && gguf_session_score(r->session, ids, s.n - 1, add_logprob, &s, err);
    size_t scored = count > 1 ? s.n - 1 : 0;
    if (ok && o->json) {
        printf("{\"text\":");
        json_string(stdout, text, n);
        json_field("logprob", s.logprob);
        printf(",\"tokens\":%zu}\n", scored);
    } else if (ok) {
        printf("%.6f\t%zu\n", s.logprob, scored);
    }
    fflush(stdout);
    free(ids);
    return ok;
}

static bool score_lines(const options *o, runner *r, gguf_error *err) {
    FILE *in = !o->file || strcmp(o->file, "-") == 0 ? stdin : fopen(o->file, "re");
    if (!in) return fail(err, GGUF_ERR_USAGE, "%s: cannot open: %s", o->file, strerror(errno));
    char *line = NULL;
    size_t room = 0;
    bool ok = true;
    unsigned long long number = 1;
    for (ssize_t n; ok && (n = getline(&line, &room, in)) >= 0; number++) {
        if (n > 0 && line[n - 1] == '\n') n--;
        gguf_error why = {0};
        ok = score_line(o, r, line, (size_t)n, &why);
        if (!ok) fail(err, why.code, "line %llu: %s", number, why.message);
    }
    if (ok && ferror(in)) ok = fail(err, GGUF_ERR_RUN, "the lines cannot be read");
    free(line);
    if (in != stdin) fclose(in);
    return ok;
}

bool eval_score(const options *o, gguf_error *err) {
    runner r = {0};
    bool ok = open_model(&r, o, err) && open_session(&r, o, 0, err) && score_lines(o, &r, err);
    close_runner(&r);
    return ok;
}
