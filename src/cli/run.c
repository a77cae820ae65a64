/* gguf-run: a prompt goes in, its continuation comes out, token by token. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/answer.h"
#include "cli/chat_template.h"
#include "cli/input.h"
#include "cli/interrupt.h"
#include "cli/prompt.h"
#include "cli/run.h"
#include "cli/sampling.h"

double run_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- setting up ------------------------------------------------------------------------------ */

static uint64_t draw_seed(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    uint64_t x = (uint64_t)t.tv_sec * 1000000007u ^ (uint64_t)t.tv_nsec ^ (uint64_t)getpid() << 20;
    return (x ^ x >> 32) & 0xFFFFFFFF;
}

bool run_open(run *r, gguf_error *err) {
    const options *o = r->o;
    gguf_model_params mp = model_params(o, "run", false);
    r->model = gguf_model_open(o->model, &mp, err);
    if (!r->model) return false;
    r->vocab = gguf_model_vocab(r->model);
    if (!r->vocab) {
        return set_error(err, GGUF_ERR_MODEL, "%s: the file has no tokenizer, so no text can be given to it", o->model);
    }
    gguf_session_params sp = session_params(o, "run");
    sp.stop = interrupt_wanted;
    sp.profile = o->profile;
    r->session = gguf_session_open(r->model, &sp, err);
    if (!r->session) return false;
    r->seed = o->seed < 0 ? draw_seed() : (uint64_t)o->seed;
    r->sampler = open_sampler(o, r->vocab, r->seed, err);
    return r->sampler != NULL;
}

bool run_ban_ends(run *r, gguf_error *err) {
    uint32_t n = gguf_vocab_size(r->vocab);
    for (uint32_t i = 0; r->o->ignore_eos && i < n; i++) {
        if (!gguf_vocab_is_end(r->vocab, (int32_t)i)) continue;
        int32_t *more = realloc(r->banned, (r->n_banned + 1) * sizeof *more);
        if (!more) return set_error(err, GGUF_ERR_MEMORY, "not enough memory for the tokens of --ignore-eos");
        r->banned = more;
        r->banned[r->n_banned++] = (int32_t)i;
    }
    return true;
}

static bool tokenize_prompt(run *r, const buffer *text, gguf_error *err) {
    gguf_tokenize_params tp = {.no_bos = r->o->no_bos, .parse_special = r->o->parse_special};
    ptrdiff_t n = gguf_vocab_tokenize(r->vocab, text->data, text->n, &tp, &r->ids, err);
    if (n < 0) return false;
    r->n_ids = (size_t)n;
    /* A prompt goes on: the EOS that some vocabularies append would end it. */
    if (r->n_ids > 1 && gguf_vocab_adds_eos(r->vocab) && !r->o->no_bos &&
        r->ids[r->n_ids - 1] == gguf_vocab_eos(r->vocab))
        r->n_ids--;
    return r->n_ids > 0 || set_error(err, GGUF_ERR_USAGE, "the prompt is empty");
}

/* The prompt as a user's message, where there is a template: sets *chat. */
static bool chat_prompt(run *r, const buffer *text, bool *chat, gguf_error *err) {
    if (r->o->conversation == 0) return true;
    rendered_prompt p = {0};
    if (!render_prompt(r->o, r->model, text, &p, err)) return false;
    *chat = p.ids != NULL;
    if (!*chat) return true;
    r->ids = p.ids;
    r->n_ids = p.n_ids;
    r->said.marks = p.marks;
    r->said.thinking = p.thinking;
    r->forced = p.close_ids;
    r->n_forced = p.n_close_ids;
    return true;
}

/* ---- printing -------------------------------------------------------------------------------- */

static bool is_control(const run *r, int32_t id) {
    gguf_token_type type = gguf_vocab_type(r->vocab, id);
    return type == GGUF_TOKEN_CONTROL || type == GGUF_TOKEN_UNKNOWN;
}

/* The bytes of an id, or the name of a control token, added to what was said. */
static void add_text(run *r, int32_t id) {
    char piece[256], *large = NULL;
    gguf_detokenizer before = r->text_state;
    size_t n = gguf_vocab_detokenize(r->vocab, &r->text_state, id, piece, sizeof piece);
    if (n > sizeof piece) {
        large = malloc(n);
        if (!large) {
            r->said.text.failed = true;
            return;
        }
        gguf_vocab_detokenize(r->vocab, &before, id, large, n);
    }
    answer_add(&r->said, large ? large : piece, n, is_control(r, id), r->o->special);
    free(large);
}

/* Shows what of the thinking is new: on stderr, or with --show-thinking before the answer. */
static void show_thinking(run *r) {
    buffer *t = &r->said.thought;
    bool quiet = r->o->json || r->o->jsonl, dim = r->aside.out == stderr && has_colours(stderr);
    if (quiet || t->n == r->thought_shown) return;
    if (dim) fputs("\033[2m", r->aside.out);
    text_write(&r->aside, t->data + r->thought_shown, t->n - r->thought_shown);
    if (dim) fputs("\033[0m", r->aside.out);
    r->thought_shown = t->n;
}

/* The answer begins on a line of its own. */
void run_end_thinking(run *r) {
    if (r->thought_shown == 0 || r->aside.out == NULL) return;
    text_write(&r->aside, "\n", 1);
    text_end(&r->aside);
    r->aside.out = NULL;
}

/* Where a stop text begins in the answer from `from` on, or the end. */
static size_t find_stop(const run *r, size_t from) {
    size_t best = r->said.text.n;
    for (int64_t i = 0; i < r->o->stops.n; i++) {
        const char *stop = r->o->stops.items[i], *at;
        size_t n = strlen(stop);
        if (n == 0 || r->said.text.n - from < n) continue;
        at = memmem(r->said.text.data + from, r->said.text.n - from, stop, n);
        if (at && (size_t)(at - r->said.text.data) < best) best = (size_t)(at - r->said.text.data);
    }
    return best;
}

/* How many of the answer's last bytes could be the beginning of a stop text: they are held back. */
static size_t undecided(const run *r) {
    size_t most = 0, fresh = r->said.text.n - r->shown;
    for (int64_t i = 0; i < r->o->stops.n; i++) {
        const char *stop = r->o->stops.items[i];
        size_t n = strlen(stop);
        for (size_t k = n ? n - 1 : 0; k > most; k--) {
            if (k <= fresh && memcmp(r->said.text.data + r->said.text.n - k, stop, k) == 0) most = k;
        }
    }
    return most;
}

static void json_text(const run *r, size_t from, size_t to) {
    json_string(stdout, r->said.text.data ? r->said.text.data + from : "", to - from);
}

static void json_piece(const run *r, int32_t id) {
    char piece[256];
    gguf_detokenizer state = {.inside = true, .special = true};
    size_t n = id == GGUF_NO_TOKEN ? 0 : gguf_vocab_detokenize(r->vocab, &state, id, piece, sizeof piece);
    json_string(stdout, piece, n < sizeof piece ? n : sizeof piece);
}

/* One token as a JSON line: the text is what became whole with it. */
static void print_jsonl(const run *r, int32_t id, size_t to) {
    gguf_logprob top[1000];
    size_t n = (size_t)r->o->logprobs;
    float logprob = gguf_logits_logprobs(gguf_session_logits(r->session), gguf_vocab_size(r->vocab), id, top, n);
    printf("{\"id\":%d,\"text\":", id);
    json_text(r, r->shown, to);
    if (r->said.thought.n > r->thought_shown) {
        printf(",\"thinking\":");
        json_string(stdout, r->said.thought.data + r->thought_shown, r->said.thought.n - r->thought_shown);
    }
    printf(",\"logprob\":");
    json_number(stdout, (double)logprob, 7);
    for (size_t i = 0; i < n && top[i].id != GGUF_NO_TOKEN; i++) {
        printf(i == 0 ? ",\"top\":[" : ",");
        printf("{\"id\":%d,\"text\":", top[i].id);
        json_piece(r, top[i].id);
        printf(",\"logprob\":");
        json_number(stdout, (double)top[i].logprob, 7);
        printf("}");
    }
    printf(n ? "]}\n" : "}\n");
    fflush(stdout);
}

/* What was held back, as a stop text's beginning or a character's, when nothing follows: a line without a token. */
static void print_jsonl_rest(run *r) {
    if (r->shown == r->said.text.n) return;
    printf("{\"id\":null,\"text\":");
    json_text(r, r->shown, r->said.text.n);
    printf("}\n");
    r->shown = r->said.text.n;
}

/* Shows the answer up to `to`; id is the token that brought it there. */
static void show(run *r, int32_t id, size_t to) {
    if (r->o->jsonl) {
        size_t whole = to < r->said.text.n ? to : r->shown + utf8_whole(r->said.text.data + r->shown, to - r->shown);
        print_jsonl(r, id, whole);
        r->shown = whole;
        r->thought_shown = r->said.thought.n;
        return;
    }
    show_thinking(r);
    if (to > r->shown) run_end_thinking(r);
    if (!r->o->json && to > r->shown) text_write(&r->out, r->said.text.data + r->shown, to - r->shown);
    r->shown = to;
}

static void print_json(run *r) {
    char *calls = NULL;
    size_t n_calls = 0;
    FILE *out = open_memstream(&calls, &n_calls);
    r->said.text.n = r->shown; /* without what a stop text cut off */
    bool called = out && print_tool_calls(&r->said, r->o->tools != NULL, out);
    if (out) fclose(out);
    printf("{\"text\":");
    json_text(r, 0, r->said.text.n);
    if (r->said.thought.n) {
        printf(",\"thinking\":");
        json_string(stdout, r->said.thought.data, r->said.thought.n);
    }
    if (called) printf(",\"tool_calls\":%s", calls);
    free(calls);
    printf(",\"ids\":[");
    for (int64_t i = 0; i < r->n_answer; i++)
        printf(i ? ",%d" : "%d", ((const int32_t *)(const void *)r->answer_ids.data)[i]);
    printf("],\"prompt_tokens\":%zu,\"tokens\":%lld,\"stop\":\"%s\",\"prompt_ms\":%.3f,\"gen_ms\":%.3f,\"prompt_tps\":",
           r->n_ids, (long long)r->n_answer, r->stop, r->prompt_s * 1e3, r->gen_s * 1e3);
    json_number(stdout, r->prompt_s > 0 ? (double)r->n_ids / r->prompt_s : 0, 6);
    printf(",\"gen_tps\":");
    json_number(stdout, r->gen_s > 0 ? (double)r->n_answer / r->gen_s : 0, 6);
    printf(",\"seed\":%llu}\n", (unsigned long long)r->seed);
}

void run_print_timings(const run *r) {
    bool wanted = r->o->timings < 0 ? isatty(STDERR_FILENO) == 1 : r->o->timings == 1;
    if (!wanted) return;
    fprintf(stderr, "prompt: %zu tokens in %.2f s (%.1f tokens/s), generation: %lld tokens in %.2f s (%.1f tokens/s)\n",
            r->n_ids, r->prompt_s, r->prompt_s > 0 ? (double)r->n_ids / r->prompt_s : 0, (long long)r->n_answer,
            r->gen_s, r->gen_s > 0 ? (double)r->n_answer / r->gen_s : 0);
}

static void print_profile(const run *r) {
    gguf_profile_row rows[32];
    size_t n = gguf_session_profile(r->session, rows, 32);
    double total = 0;
    for (size_t i = 0; i < n; i++) total += rows[i].seconds;
    if (n) fprintf(stderr, "%-16s %9s %10s %6s %9s %8s\n", "operation", "calls", "ms", "share", "MiB", "GB/s");
    for (size_t i = 0; i < n; i++) {
        const gguf_profile_row *p = &rows[i];
        fprintf(stderr, "%-16s %9llu %10.2f %5.1f%% %9.1f %8.2f\n", p->name, (unsigned long long)p->calls,
                p->seconds * 1e3, 100 * p->seconds / total, (double)p->bytes / 0x1p20,
                p->seconds > 0 ? (double)p->bytes / p->seconds / 1e9 : 0);
    }
}

/* ---- generating ------------------------------------------------------------------------------ */

static const char *stop_name(void) { return interrupt_reason() == STOP_TIMEOUT ? "timeout" : "interrupt"; }

/* The id to go on with: the sampler's, or where the thinking has had its --think-budget, what ends it. */
static int32_t next_token(run *r) {
    if (r->said.thinking && r->forced && r->next_forced == 0 && r->n_thought >= r->o->think_budget)
        return r->forced[r->next_forced++];
    if (r->next_forced > 0 && r->next_forced < r->n_forced) return r->forced[r->next_forced++];
    return gguf_sampler_sample(r->sampler, gguf_session_logits(r->session), r->banned, r->n_banned);
}

/* Adds a token to the answer and shows what is certain; false where a stop text ended it. */
static bool take_token(run *r, int32_t id) {
    size_t longest = 0;
    for (int64_t i = 0; i < r->o->stops.n; i++) {
        size_t n = strlen(r->o->stops.items[i]);
        longest = n > longest ? n : longest;
    }
    size_t before = r->said.text.n, from = before > longest ? before - longest : 0;
    bool thinking = r->said.thinking;
    add_text(r, id);
    r->n_thought += thinking && r->said.thinking;
    buffer_add(&r->answer_ids, &id, sizeof id);
    r->n_answer++;
    gguf_sampler_accept(r->sampler, id);
    size_t end = find_stop(r, from < r->shown ? r->shown : from);
    if (end < r->said.text.n) {
        show(r, id, end);
        r->stop = "stop";
        return false;
    }
    show(r, id, r->said.text.n - undecided(r));
    return true;
}

/* One token after another until something ends it: sets r->stop. */
bool run_generate(run *r, gguf_error *err) {
    int64_t limit = r->o->n_predict < 0 ? INT64_MAX : r->o->n_predict;
    double begin = run_now();
    bool ok = true;
    while (!r->stop) {
        if (r->n_answer >= limit) {
            r->stop = "length";
            break;
        }
        if (interrupt_reason() != STOP_NONE) {
            r->stop = stop_name();
            break;
        }
        int32_t id = next_token(r);
        if (id == GGUF_NO_TOKEN || gguf_vocab_is_end(r->vocab, id)) {
            r->stop = "eos";
            break;
        }
        if (!take_token(r, id) || r->n_answer >= limit) continue;
        if (gguf_session_position(r->session) == gguf_session_context(r->session)) {
            r->stop = "context";
            break;
        }
        if (gguf_session_decode(r->session, &id, 1, err)) continue;
        ok = err->code == GGUF_ERR_STOPPED;
        r->stop = ok ? stop_name() : "error";
        break;
    }
    r->gen_s = run_now() - begin;
    if (strcmp(r->stop, "stop") == 0) return ok;
    answer_end(&r->said, r->o->special);
    if (r->o->jsonl) {
        print_jsonl_rest(r);
    } else {
        show(r, GGUF_NO_TOKEN, r->said.text.n);
    }
    return ok;
}

static bool read_prompt(run *r, gguf_error *err) {
    for (size_t i = 0; i < r->n_ids; i++) gguf_sampler_accept(r->sampler, r->ids[i]);
    double begin = run_now();
    bool ok = gguf_session_decode(r->session, r->ids, r->n_ids, err);
    r->prompt_s = run_now() - begin;
    if (!ok && err->code == GGUF_ERR_STOPPED) {
        r->stop = stop_name();
        return true;
    }
    return ok;
}

static bool answer_prompt(run *r, const buffer *text, gguf_error *err) {
    bool chat = false;
    if (!chat_prompt(r, text, &chat, err) || (!chat && !tokenize_prompt(r, text, err)) || !run_ban_ends(r, err))
        return false;
    interrupt_polled(true);
    r->text_state = (gguf_detokenizer){.inside = true, .special = true};
    if (r->o->echo && !r->o->json && !r->o->jsonl) text_write(&r->out, text->data, text->n);
    bool ok = read_prompt(r, err) && (r->stop || run_generate(r, err));
    run_end_thinking(r);
    text_end(&r->out);
    if (!ok) return false;
    if (r->o->json) {
        print_json(r);
    } else if (!r->o->jsonl && r->out.clean) {
        putchar('\n'); /* on a terminal the shell's prompt comes next */
    }
    if (answer_failed(&r->said) || r->answer_ids.failed)
        return set_error(err, GGUF_ERR_MEMORY, "not enough memory for the answer");
    if (strcmp(r->stop, "context") == 0) {
        fprintf(stderr, "gguf-run: the context of %u positions is full (a larger one: -c)\n",
                gguf_session_context(r->session));
    }
    run_print_timings(r);
    print_profile(r);
    return true;
}

static void say_what_is_used(const run *r) {
    gguf_model_info info = gguf_model_get_info(r->model);
    char line[512]; /* the name is the file's: no control characters of it reach a terminal */
    snprintf(line, sizeof line, "%s \"%s\", %s parameters, %s; context %u of %u, %u threads, seed %llu", info.arch,
             info.name, human_count(info.n_params).text, human_bytes(info.n_bytes).text,
             gguf_session_context(r->session), info.n_ctx_train, gguf_session_threads(r->session),
             (unsigned long long)r->seed);
    print_line("run", line);
    uint32_t on_gpus = gguf_session_gpu_layers(r->session);
    snprintf(line, sizeof line, "%u layers on GPUs (the output counts as one)", on_gpus);
    if (on_gpus > 0) print_line("run", line);
}

void run_close(run *r) {
    gguf_sampler_close(r->sampler);
    gguf_session_close(r->session);
    gguf_model_close(r->model);
    answer_free(&r->said);
    free(r->forced);
    buffer_free(&r->answer_ids);
    free(r->ids);
    free(r->banned);
}

static int answer_once(run *r, const buffer *text) {
    gguf_error err = {0};
    return answer_prompt(r, text, &err) ? 0 : report("run", &err);
}

/* It is a chat where -cnv says so, or where nobody gives a text but a person at a terminal. */
static bool is_chat(const options *o) {
    bool person = !o->prompt && !o->file && isatty(STDIN_FILENO) == 1;
    return (o->conversation < 0 ? person : o->conversation == 1) && !o->json && !o->jsonl;
}

int run_main(const options *o) {
    if (wants_template_list(o)) return list_chat_templates(), finish_stdout(0);
    run r = {.o = o, .out = text_stream_to(stdout), .aside = text_stream_to(o->show_thinking ? stdout : stderr)};
    gguf_error err = {0};
    buffer text = {0};
    bool chat = is_chat(o), reads_text = !chat || o->prompt || o->file;
    interrupt_install("run", o->timeout);
    bool ok = (!reads_text || read_text(o, &text, &err)) && run_open(&r, &err);
    if (ok && o->verbose) say_what_is_used(&r);
    int code = !ok ? report("run", &err) : chat ? chat_main(&r, &text) : answer_once(&r, &text);
    if (code == 0 && r.stop && strcmp(r.stop, "timeout") == 0) {
        fprintf(stderr, "gguf-run: --timeout ran out\n");
        code = GGUF_ERR_STOPPED;
    }
    bool interrupted = code == 0 && interrupt_reason() == STOP_INTERRUPT;
    code = finish_stdout(code);
    buffer_free(&text);
    run_close(&r);
    if (interrupted) interrupt_finish();
    return code;
}
