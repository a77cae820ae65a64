#include "session/session.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"

/* LARGE_STEP: tokens from which on a step touches work memory by the megabyte. */
enum { DEFAULT_BATCH = 512, MAX_BATCH = 1 << 16, MAX_THREADS = 1024, LARGE_STEP = 64 };

struct gguf_session {
    const gguf_model *m;
    arena mem;
    const kernels *kernels;
    backend *backend, *batch_backend; /* the second for steps of several tokens; often the same */
    split *split;                     /* layers on GPUs; NULL: there are none */
    kv_cache cache;
    workspace w;
    void *work;
    size_t work_bytes;
    bool has_large_pages; /* the work memory */
    plan plan;
    uint32_t n_ctx, position;
    uint32_t high;       /* the largest position since the text began */
    const float *logits; /* of the last position decoded, in w.logits */
    op_cost *costs;      /* [OP_KIND_COUNT], or NULL */
    session_trace_fn *trace;
    void *trace_ctx;
};

/* ---- opening --------------------------------------------------------------------------------- */

/* Tokens of a step at most; 0 asked for: the default. */
static uint32_t step_size(uint32_t asked, uint32_t n_ctx) {
    uint32_t n = asked ? asked : DEFAULT_BATCH;
    if (n > n_ctx) n = n_ctx;
    return n < MAX_BATCH ? n : MAX_BATCH;
}

void session_memory(const gguf_model *m, uint32_t n_ctx, uint32_t n_batch, gguf_cache_type k, gguf_cache_type v,
                    uint64_t *cache, uint64_t *work) {
    workspace w;
    n_batch = step_size(n_batch, n_ctx);
    *cache = cache_bytes(&m->hp, n_ctx, n_batch, k, v);
    *work = workspace_layout(m, n_batch, &w, NULL);
}

/* The context: what was asked for, where it can fit; else the trained one, lowered to what can. */
static bool choose_context(gguf_session *s, const gguf_session_params *p, gguf_error *err) {
    const hparams *h = &s->m->hp;
    uint64_t limit = memory_limit(), cache, work;
    s->n_ctx = p->n_ctx ? p->n_ctx : h->n_ctx_train;
    session_memory(s->m, s->n_ctx, p->n_batch, p->cache_k, p->cache_v, &cache, &work);
    if (cache <= limit && work <= limit - cache) return true;
    if (p->n_ctx) {
        return fail(
            err, GGUF_ERR_MEMORY,
            "a context of %u positions needs %.1f MiB for its cache and %.1f MiB to work in, but this process can "
            "have %.1f MiB: choose a smaller context (-c) or batch (-ub)",
            s->n_ctx, (double)cache / 0x1p20, (double)work / 0x1p20, (double)limit / 0x1p20);
    }
    limit -= limit / 4;                /* threads, the sampler and the rest of the program want some, too */
    uint32_t low = 0, high = s->n_ctx; /* the largest that fits, by halving */
    while (high - low > 1) {
        uint32_t mid = low + (high - low) / 2;
        session_memory(s->m, mid, p->n_batch, p->cache_k, p->cache_v, &cache, &work);
        if (cache <= limit && work <= limit - cache) {
            low = mid;
        } else {
            high = mid;
        }
    }
    if (low == 0)
        return fail(err, GGUF_ERR_MEMORY, "not even one position of the cache fits into %.1f MiB",
                    (double)limit / 0x1p20);
    warnf(p->warn, p->warn_ctx, "the trained context of %u positions does not fit into this machine's memory; using %u",
          s->n_ctx, low);
    s->n_ctx = low;
    return true;
}

static backend *open_backend(const gguf_session *s, const gguf_session_params *p, uint32_t n_threads, gguf_error *err) {
    if (n_threads > MAX_THREADS) {
        fail(err, GGUF_ERR_USAGE, "%u threads are more than %d", n_threads, MAX_THREADS);
        return NULL;
    }
    backend *b = backend_cpu_new(s->kernels, (int)n_threads, p->stop, p->stop_ctx, p->warn, p->warn_ctx, err);
    if (!b || backend_prepare(b, s->plan.body, s->plan.n_body, err)) return b;
    backend_free(b);
    return NULL;
}

static bool open_split(gguf_session *s, const gguf_session_params *p, gguf_error *err) {
    const split_wish wish = {p->gpu_layers, p->one_gpu, p->gpu_shares, p->n_gpu_shares, p->warn, p->warn_ctx};
    const split_lists lists = {s->plan.body, s->plan.head, s->plan.n_body, s->plan.n_head,
                               s->m->hp.n_layer, s->work, s->work_bytes};
    return split_open(&wish, &lists, &s->split, err);
}

static bool open_parts(gguf_session *s, const gguf_session_params *p, gguf_error *err) {
    s->kernels = kernels_choose(err);
    if (!s->kernels || !choose_context(s, p, err)) return false;
    uint32_t n_batch = step_size(p->n_batch, s->n_ctx);
    s->work_bytes = workspace_layout(s->m, n_batch, &s->w, NULL);
    s->work = memory_reserve(s->work_bytes);
    if (!s->work) return fail_memory(err, "the work memory", s->work_bytes);
    workspace_layout(s->m, n_batch, &s->w, s->work);
    s->logits = s->w.logits;
    if (!cache_open(&s->cache, &s->m->hp, s->n_ctx, n_batch, p->cache_k, p->cache_v, &s->mem, err)) return false;
    if (!plan_make(s->m, &s->w, s->cache.layers, s->n_ctx, &s->mem, &s->plan, err)) return false;
    if (!open_split(s, p, err)) return false;
    uint32_t n_threads = p->n_threads ? p->n_threads : (uint32_t)cpu_default_threads();
    uint32_t n_batch_threads = p->n_threads_batch ? p->n_threads_batch : n_threads;
    s->backend = open_backend(s, p, n_threads, err);
    s->batch_backend = s->backend;
    if (s->backend && n_batch_threads != n_threads) s->batch_backend = open_backend(s, p, n_batch_threads, err);
    if (!s->batch_backend || !p->profile) return s->batch_backend != NULL;
    s->costs = arena_alloc(&s->mem, OP_KIND_COUNT, sizeof *s->costs, "the profile", err);
    backend_profile(s->backend, s->costs);
    backend_profile(s->batch_backend, s->costs);
    return s->costs != NULL;
}

gguf_session *gguf_session_open(const gguf_model *m, const gguf_session_params *params, gguf_error *err) {
    static const gguf_session_params defaults = {0};
    if (!m->arch) {
        fail(err, GGUF_ERR_USAGE, "the model was opened for its vocabulary alone");
        return NULL;
    }
    gguf_session *s = calloc(1, sizeof *s);
    if (!s) {
        fail_memory(err, "the session", sizeof *s);
        return NULL;
    }
    s->m = m;
    if (open_parts(s, params ? params : &defaults, err)) return s;
    gguf_session_close(s);
    return NULL;
}

void gguf_session_close(gguf_session *s) {
    if (!s) return;
    split_free(s->split);
    if (s->batch_backend != s->backend) backend_free(s->batch_backend);
    backend_free(s->backend);
    cache_close(&s->cache);
    memory_release(s->work, s->work_bytes);
    arena_free(&s->mem);
    free(s);
}

uint32_t gguf_session_context(const gguf_session *s) { return s->n_ctx; }
uint32_t gguf_session_position(const gguf_session *s) { return s->position; }
uint32_t gguf_session_threads(const gguf_session *s) { return (uint32_t)backend_threads(s->backend); }
uint32_t gguf_session_gpu_layers(const gguf_session *s) { return split_layers(s->split); }
const split *session_split(const gguf_session *s) { return s->split; }

size_t gguf_session_profile(const gguf_session *s, gguf_profile_row *rows, size_t n) {
    size_t used = 0;
    for (int kind = 0; s->costs && kind < OP_KIND_COUNT && used < n; kind++) {
        const op_cost *c = &s->costs[kind];
        if (c->calls) rows[used++] = (gguf_profile_row){op_name((op_kind)kind), c->calls, c->seconds, c->bytes};
    }
    return used;
}

/* ---- running --------------------------------------------------------------------------------- */

void session_set_trace(gguf_session *s, session_trace_fn *fn, void *ctx) {
    s->trace = fn;
    s->trace_ctx = ctx;
}

static void show(gguf_session *s, int in_layer, const char *name, const step *st, size_t n, const float *values) {
    char full[96];
    if (!name) return;
    if (in_layer >= 0) {
        snprintf(full, sizeof full, "blk.%d.%s", in_layer, name);
        name = full;
    }
    s->trace(s->trace_ctx, name, st->position + st->first_row, st->n_tok, n, values);
}

static bool run_list(gguf_session *s, const op *ops, size_t n_ops, const step *st, gguf_error *err) {
    if (st->n_tok >= LARGE_STEP && !s->has_large_pages) {
        memory_prefer_large_pages(s->work, s->work_bytes);
        s->has_large_pages = true;
    }
    backend *b = st->n_tok > 1 ? s->batch_backend : s->backend;
    return s->split ? split_run(s->split, b, ops, n_ops, st, s->costs, err) : backend_run(b, ops, n_ops, st, err);
}

static bool run(gguf_session *s, const op *ops, size_t n_ops, const step *st, gguf_error *err) {
    if (!s->trace) return run_list(s, ops, n_ops, st, err);
    for (const op *o = ops; o < ops + n_ops; o++) {
        if (!run_list(s, o, 1, st, err)) return false;
        show(s, o->layer, o->name, st, o->n, o->out);
        for (size_t i = 0; i < o->n_results; i++)
            show(s, o->layer, o->result[i].name, st, o->result[i].matrix->n_out, o->result[i].out);
    }
    return true;
}

/* Logits of n rows of the step's x, at most LOGIT_ROWS. */
static bool run_head(gguf_session *s, const step *body, uint32_t first_row, uint32_t n, gguf_error *err) {
    step st = {.ids = body->ids, .n_tok = n, .position = body->position, .first_row = first_row};
    if (!run(s, s->plan.head, s->plan.n_head, &st, err)) return false;
    for (uint32_t i = 0; i < n; i++) {
        if (s->kernels->all_finite(s->w.logits + (size_t)i * s->m->hp.n_vocab, s->m->hp.n_vocab)) continue;
        return fail(err, GGUF_ERR_RUN,
                    "a value is not finite (NaN or infinity) in the logits at token %u: the output matrix is damaged",
                    st.position + first_row + i);
    }
    return true;
}

static bool check_ids(const gguf_session *s, const int32_t *ids, size_t n, gguf_error *err) {
    if (n == 0) return fail(err, GGUF_ERR_USAGE, "there are no ids to decode");
    if (n > s->n_ctx - s->position) {
        return fail(err, GGUF_ERR_CONTEXT,
                    "%zu tokens do not fit into the context: %u of its %u positions are filled (a larger one: -c)", n,
                    s->position, s->n_ctx);
    }
    for (size_t i = 0; i < n; i++) {
        if (ids[i] < 0 || (uint32_t)ids[i] >= s->m->hp.n_vocab) {
            return fail(err, GGUF_ERR_USAGE, "the id %d is not in the vocabulary (0 to %u)", ids[i],
                        s->m->hp.n_vocab - 1);
        }
    }
    return true;
}

bool gguf_session_score(gguf_session *s, const int32_t *ids, size_t n,
                        bool (*each)(void *ctx, uint32_t position, const float *logits), void *ctx, gguf_error *err) {
    if (!check_ids(s, ids, n, err)) return false;
    for (size_t done = 0; done < n;) {
        uint32_t n_tok = n - done < s->w.n_batch ? (uint32_t)(n - done) : s->w.n_batch;
        step st = {.ids = ids + done, .n_tok = n_tok, .position = s->position};
        if (!run(s, s->plan.body, s->plan.n_body, &st, err)) return false;
        done += n_tok;
        uint32_t first = each       ? 0
                         : done < n ? n_tok
                                    : n_tok - 1; /* without `each` only the last row of all is wanted */
        for (uint32_t row = first; row < n_tok; row += LOGIT_ROWS) {
            uint32_t rows = n_tok - row < LOGIT_ROWS ? n_tok - row : LOGIT_ROWS;
            if (!run_head(s, &st, row, rows, err)) return false;
            s->logits = s->w.logits + (size_t)(rows - 1) * s->m->hp.n_vocab;
            for (uint32_t i = 0; each && i < rows; i++) {
                if (!each(ctx, s->position + row + i, s->w.logits + (size_t)i * s->m->hp.n_vocab))
                    return fail(err, GGUF_ERR_STOPPED, "stopped");
            }
        }
        s->position += n_tok;
        if (s->position > s->high) s->high = s->position;
    }
    return true;
}

bool gguf_session_decode(gguf_session *s, const int32_t *ids, size_t n, gguf_error *err) {
    return gguf_session_score(s, ids, n, NULL, NULL, err);
}

const float *gguf_session_logits(const gguf_session *s) { return s->logits; }

bool gguf_session_rewind(gguf_session *s, uint32_t position, gguf_error *err) {
    if (position > s->position) {
        return fail(err, GGUF_ERR_USAGE, "cannot go back to position %u: only %u are filled", position, s->position);
    }
    if (!cache_holds(&s->cache, &s->m->hp, position, s->high)) {
        return fail(err, GGUF_ERR_CONTEXT,
                    "cannot go back to position %u of %u: layers with a window no longer hold what stood before it; go "
                    "back to 0 and feed the text again",
                    position, s->high);
    }
    if (position == 0) s->high = 0;
    s->position = position;
    return true;
}
