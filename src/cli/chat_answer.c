#include "cli/chat_answer.h"

#include <stdlib.h>
#include <string.h>

#include "cli/interrupt.h"
#include "cli/prompt.h"

static bool no_memory(gguf_error *err) {
    return set_error(err, GGUF_ERR_MEMORY, "not enough memory for the conversation");
}

/* ---- the prompt ------------------------------------------------------------------------------ */

/* Without a template the texts follow one another, the user's each in a line of its own. */
static void add_raw(buffer *text, const conversation *talk) {
    for (size_t i = 0; i < talk->n; i++) {
        const message *m = &talk->items[i];
        bool joined = text->n == 0 || text->data[text->n - 1] == '\n' || strcmp(m->role, "assistant") == 0;
        if (!joined) buffer_add(text, "\n", 1);
        buffer_add(text, m->content, m->n);
    }
}

static bool render_raw(const run *r, const conversation *talk, rendered_prompt *out, gguf_error *err) {
    buffer text = {0};
    gguf_tokenize_params tp = {.no_bos = r->o->no_bos, .parse_special = r->o->parse_special};
    add_raw(&text, talk);
    ptrdiff_t n = text.failed ? -1 : gguf_vocab_tokenize(r->vocab, text.data, text.n, &tp, &out->ids, err);
    if (text.failed) no_memory(err);
    buffer_free(&text);
    bool ends = n > 1 && gguf_vocab_adds_eos(r->vocab) && !r->o->no_bos && out->ids[n - 1] == gguf_vocab_eos(r->vocab);
    out->n_ids = n < 0 ? 0 : (size_t)(ends ? n - 1 : n); /* the EOS that some vocabularies append would end the text */
    return n >= 0;
}

/* The ids of a conversation, ready for the assistant's answer. */
static bool render(const chat *c, const conversation *talk, rendered_prompt *out, gguf_error *err) {
    if (!c->has_template) return render_raw(c->r, talk, out, err);
    return render_conversation(c->r->o, c->r->model, talk, out, err);
}

/* The conversation without what is left out. Its texts belong to the conversation: only the list is to be freed. */
static bool fitting(const chat *c, conversation *out, gguf_error *err) {
    size_t after = c->n_kept + c->n_left_out;
    *out = (conversation){.items = malloc((c->talk.n + 1) * sizeof *out->items)};
    if (!out->items) return no_memory(err);
    for (size_t i = 0; i < c->talk.n; i++) {
        if (i < c->n_kept || i >= after) out->items[out->n++] = c->talk.items[i];
    }
    return true;
}

static bool render_fitting(const chat *c, rendered_prompt *out, gguf_error *err) {
    conversation talk;
    rendered_free(out);
    bool ok = fitting(c, &talk, err) && render(c, &talk, out, err);
    free(talk.items);
    return ok;
}

/* ---- a full context -------------------------------------------------------------------------- */

/* How many messages of the beginning stay: the system message, and those whose ids are among the first --keep. */
static size_t count_kept(const chat *c) {
    size_t n = conversation_system(&c->talk) ? 1 : 0;
    int64_t keep = c->r->o->keep;
    if (keep < 0) return n + 2; /* the first turn */
    for (; keep > 0 && n + 2 < c->talk.n; n += 2) {
        conversation begin = {c->talk.items, n + 2};
        rendered_prompt list = {0};
        gguf_error ignored = {0}; /* a template that refuses a part of the conversation: no more is kept */
        bool fits = render(c, &begin, &list, &ignored) && list.n_ids <= (size_t)keep;
        rendered_free(&list);
        if (!fits) break;
    }
    return n;
}

/* Leaves out the oldest turn that is not left out yet; false where only the last one is left. */
static bool leave_out_turn(chat *c) {
    size_t begin = c->n_kept + c->n_left_out, end = begin + 1;
    while (end < c->talk.n && strcmp(c->talk.items[end].role, "user") != 0) end++;
    if (end >= c->talk.n) return false;
    c->n_left_out += end - begin;
    return true;
}

/* The prompt's ids. Where they and n_more further ones do not fit, --context-shift leaves out the oldest turns until
 * half of the context is free, so that it need not happen again soon. */
static bool make_prompt(chat *c, size_t n_more, rendered_prompt *out, gguf_error *err) {
    size_t room = gguf_session_context(c->r->session), before = c->n_left_out;
    if (!render_fitting(c, out, err)) return false;
    bool shift = c->r->o->context_shift && out->n_ids + n_more >= room;
    if (shift && c->n_left_out == 0) c->n_kept = count_kept(c);
    while (shift && out->n_ids + n_more > room / 2 && leave_out_turn(c)) {
        if (!render_fitting(c, out, err)) return false;
    }
    if (c->n_left_out > before) {
        fprintf(stderr,
                "gguf-run: the context of %zu positions is full: the model no longer sees %zu of the %zu messages\n",
                room, c->n_left_out, c->talk.n);
    }
    if (out->n_ids + n_more <= room && (n_more == 0 || out->n_ids + n_more < room)) return true;
    return set_error(err, GGUF_ERR_CONTEXT,
                     "%zu tokens do not fit into the context of %zu positions (/clear begins anew, -c N makes it "
                     "larger%s)",
                     out->n_ids + n_more, room,
                     c->r->o->context_shift ? "" : ", --context-shift leaves out the oldest turns");
}

/* ---- the answer ------------------------------------------------------------------------------ */

/* Brings the session to the end of these ids; what its cache has of them stays. */
static bool feed(chat *c, const int32_t *ids, size_t n, gguf_error *err) {
    run *r = c->r;
    const int32_t *have = (const int32_t *)(const void *)c->timeline.data;
    size_t same = 0, n_have = c->timeline.n / sizeof *have;
    while (same < n_have && same + 1 < n && have[same] == ids[same]) same++; /* one at least, for its logits */
    if (!gguf_session_rewind(r->session, (uint32_t)same, err)) return false;
    for (size_t i = same; i < n; i++) gguf_sampler_accept(r->sampler, ids[i]);
    double begin = run_now();
    bool ok = gguf_session_decode(r->session, ids + same, n - same, err);
    c->last.prompt_s += run_now() - begin;
    c->last.n_cached += same;
    c->last.n_prompt += n - same;
    c->timeline.n = 0;
    buffer_add(&c->timeline, ids, gguf_session_position(r->session) * sizeof *ids);
    if (c->timeline.failed) return no_memory(err);
    if (ok || err->code != GGUF_ERR_STOPPED) return ok;
    *err = (gguf_error){0};
    r->stop = interrupt_reason() == STOP_TIMEOUT ? "timeout" : "interrupt";
    return true;
}

/* The session has taken in the prompt and the answer but perhaps for its last id. */
static bool note_answer(chat *c, size_t n_before, gguf_error *err) {
    size_t n = gguf_session_position(c->r->session) - c->timeline.n / sizeof(int32_t);
    buffer_add(&c->timeline, (const int32_t *)(const void *)c->r->answer_ids.data + n_before, n * sizeof(int32_t));
    return !c->timeline.failed || no_memory(err);
}

/* Generates on, and where the context ends meanwhile, without the oldest turns. */
static bool generate(chat *c, gguf_error *err) {
    run *r = c->r;
    for (;;) {
        size_t n_before = (size_t)r->n_answer;
        double spent = r->gen_s;
        bool ok = run_generate(r, err);
        if (ok) *err = (gguf_error){0}; /* Ctrl-C's, which r->stop names */
        r->gen_s += spent;
        if (!note_answer(c, n_before, err) || !ok) return false;
        if (strcmp(r->stop, "context") != 0 || !r->o->context_shift) return true;
        rendered_prompt prompt = {0};
        size_t n = (size_t)r->n_answer, left_out = c->n_left_out;
        bool room = make_prompt(c, n, &prompt, err) && c->n_left_out > left_out;
        int32_t *all = room ? realloc(prompt.ids, (prompt.n_ids + n) * sizeof *all) : NULL;
        if (all) prompt.ids = all;
        if (all) memcpy(all + prompt.n_ids, r->answer_ids.data, n * sizeof *all);
        if (all) r->stop = NULL;
        *err = (gguf_error){0}; /* where nothing is left to leave out, the answer ends here */
        ok = !all || feed(c, all, prompt.n_ids + n, err);
        rendered_free(&prompt);
        if (!ok || r->stop) return ok;
    }
}

/* Makes the run ready for the answer to a prompt, whose ids stay the caller's. */
static void begin_answer(chat *c, rendered_prompt *prompt) {
    run *r = c->r;
    answer_free(&r->said);
    free(r->forced);
    r->said = (answer){.marks = prompt->marks, .thinking = prompt->thinking};
    r->forced = prompt->close_ids;
    r->n_forced = prompt->n_close_ids;
    prompt->close_ids = NULL;
    r->answer_ids.n = r->shown = r->thought_shown = r->next_forced = 0;
    r->n_answer = r->n_thought = 0;
    r->stop = NULL;
    r->gen_s = 0;
    r->text_state = (gguf_detokenizer){.inside = true, .special = true};
    r->aside = text_stream_to(r->o->show_thinking ? stdout : stderr);
}

static void end_answer(chat *c) {
    run *r = c->r;
    run_end_thinking(r);
    text_end(&r->out);
    c->last.n_thinking = (size_t)r->n_thought;
    c->last.n_answer = (size_t)r->n_answer;
    c->last.answer_s = r->gen_s;
    c->all.n_cached += c->last.n_cached;
    c->all.n_prompt += c->last.n_prompt;
    c->all.n_answer += c->last.n_answer;
    c->all.n_thinking += c->last.n_thinking;
    c->all.prompt_s += c->last.prompt_s;
    c->all.answer_s += c->last.answer_s;
    r->n_ids = c->last.n_prompt; /* for run_print_timings */
    r->prompt_s = c->last.prompt_s;
}

bool chat_answer(chat *c, gguf_error *err) {
    run *r = c->r;
    rendered_prompt prompt = {0};
    c->last = (answer_stats){0};
    bool ok = make_prompt(c, 0, &prompt, err);
    begin_answer(c, &prompt);
    ok = ok && feed(c, prompt.ids, prompt.n_ids, err) && (r->stop || generate(c, err));
    rendered_free(&prompt);
    end_answer(c);
    if (!ok) return false;
    if (answer_failed(&r->said) || r->answer_ids.failed) return no_memory(err);
    if (r->n_answer == 0 && strcmp(r->stop, "eos") != 0) return true; /* stopped before it began */
    const buffer *thought = &r->said.thought;
    return conversation_add(&c->talk, "assistant", r->said.text.data, r->shown, thought->n ? thought->data : NULL,
                            thought->n, err);
}

void chat_recall(chat *c) { c->n_kept = c->n_left_out = 0; }

void chat_free(chat *c) {
    conversation_free(&c->talk);
    buffer_free(&c->timeline);
}
