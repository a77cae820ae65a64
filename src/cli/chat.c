/* The chat: messages and commands in, answers out. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/chat_answer.h"
#include "cli/interrupt.h"
#include "cli/line_input.h"
#include "cli/prompt.h"

static void say_error(gguf_error *err) {
    report("run", err);
    *err = (gguf_error){0};
}

/* ---- answering ------------------------------------------------------------------------------- */

static void say_why_it_ended(const chat *c) {
    const run *r = c->r;
    if (strcmp(r->stop, "interrupt") == 0) fprintf(stderr, "(stopped)\n");
    if (strcmp(r->stop, "context") == 0) {
        fprintf(
            stderr,
            "gguf-run: the context of %u positions is full, so the answer ends here (/clear begins anew, -c N makes "
            "it larger%s)\n",
            gguf_session_context(r->session),
            r->o->context_shift ? "" : ", --context-shift leaves out the oldest turns");
    }
}

/* Answers the last message; whether an answer was added to the conversation shows in its length. */
static bool reply(chat *c, gguf_error *err) {
    run *r = c->r;
    interrupt_reset(); /* one that came between a message and its answer */
    bool ok = chat_answer(c, err);
    if (ok) putchar('\n');
    fflush(stdout);
    if (ok && r->out.clean) fputc('\n', stderr); /* a line apart from the next message */
    if (ok) say_why_it_ended(c);
    if (ok && r->o->timings == 1) run_print_timings(r);
    interrupt_reset();
    return ok;
}

/* ---- commands -------------------------------------------------------------------------------- */

typedef enum { GO_ON, LEAVE } command_result;

typedef struct {
    const char *name, *arg; /* arg: what follows it, in the help; NULL: nothing may */
    const char *help;
    command_result (*act)(chat *c, const char *arg);
} chat_command;

static command_result help(chat *c, const char *arg);

static command_result leave(chat *c, const char *arg) {
    (void)c, (void)arg;
    return LEAVE;
}

/* Forgets all messages but the system's. */
static command_result clear(chat *c, const char *arg) {
    (void)arg;
    size_t keep = conversation_system(&c->talk) ? 1 : 0;
    conversation_remove(&c->talk, keep, c->talk.n - keep);
    chat_recall(c);
    fprintf(stderr, "(a new conversation%s)\n", keep ? ", with the same system message" : "");
    return GO_ON;
}

static command_result set_system(chat *c, const char *arg) {
    gguf_error err = {0};
    const message *now = conversation_system(&c->talk);
    if (*arg) {
        if (!conversation_set_system(&c->talk, arg, strlen(arg), &err)) say_error(&err);
        chat_recall(c);
    } else if (now) {
        text_stream out = text_stream_to(stderr);
        text_write(&out, now->content, now->n);
        text_end(&out);
        fputc('\n', stderr);
    } else {
        fprintf(stderr, "(there is no system message; /system TEXT gives one)\n");
    }
    return GO_ON;
}

static command_result save(chat *c, const char *arg) {
    gguf_error err = {0};
    if (!*arg) {
        fprintf(stderr, "(/save needs the name of a file)\n");
    } else if (conversation_save(&c->talk, arg, &err)) {
        fprintf(stderr, "(%zu messages written)\n", c->talk.n);
    } else {
        say_error(&err);
    }
    return GO_ON;
}

static command_result load(chat *c, const char *arg) {
    gguf_error err = {0};
    size_t n_dropped;
    if (!*arg) {
        fprintf(stderr, "(/load needs the name of a file)\n");
        return GO_ON;
    }
    if (!conversation_load(&c->talk, arg, &n_dropped, &err)) {
        say_error(&err);
        return GO_ON;
    }
    chat_recall(c);
    fprintf(stderr, "(%zu messages read", c->talk.n);
    if (n_dropped) fprintf(stderr, ", without %zu members that a chat has no use for", n_dropped);
    bool open = c->talk.n && strcmp(c->talk.items[c->talk.n - 1].role, "assistant") != 0;
    fprintf(stderr, open ? "; /regen answers the last one)\n" : ")\n");
    return GO_ON;
}

static command_result regenerate(chat *c, const char *arg) {
    (void)arg;
    gguf_error err = {0};
    conversation *t = &c->talk;
    bool answered = t->n && strcmp(t->items[t->n - 1].role, "assistant") == 0;
    message old = answered ? conversation_pop(t) : (message){0};
    size_t n = t->n;
    if (n == 0 || strcmp(t->items[n - 1].role, "system") == 0) {
        fprintf(stderr, "(there is nothing yet to answer again)\n");
    } else if (!reply(c, &err)) {
        say_error(&err);
    }
    if (answered && t->n == n) {
        conversation_push(t, old, NULL); /* there is no new one */
    } else {
        message_free(&old);
    }
    return GO_ON;
}

static double rate(size_t n, double seconds) { return seconds > 0 ? (double)n / seconds : 0; }

static void print_stats(const char *name, const answer_stats *s) {
    fprintf(stderr, "%-12s %8zu %8zu %10.1f %8zu %8zu %10.1f\n", name, s->n_cached, s->n_prompt,
            rate(s->n_prompt, s->prompt_s), s->n_answer, s->n_thinking, rate(s->n_answer, s->answer_s));
}

static command_result stats(chat *c, const char *arg) {
    (void)arg;
    uint32_t filled = gguf_session_position(c->r->session), room = gguf_session_context(c->r->session);
    fprintf(stderr, "%-12s %8s %8s %10s %8s %8s %10s\n", "tokens", "cached", "prompt", "tokens/s", "answer", "thinking",
            "tokens/s");
    print_stats("last answer", &c->last);
    print_stats("whole chat", &c->all);
    fprintf(stderr, "context: %u of %u positions (%.0f %%), %zu messages, seed %llu\n", filled, room,
            100.0 * filled / room, c->talk.n, (unsigned long long)c->r->seed);
    return GO_ON;
}

static const chat_command chat_commands[] = {
    {"/help", NULL, "this list", help},
    {"/clear", NULL, "forget the messages, but not the system message", clear},
    {"/system", "[TEXT]", "set the system message, or show it", set_system},
    {"/regen", NULL, "answer the last message again", regenerate},
    {"/save", "FILE", "write the messages as JSON", save},
    {"/load", "FILE", "go on with the messages of a file", load},
    {"/stats", NULL, "speed, context, thinking", stats},
    {"/exit", NULL, "end, as Ctrl-D does", leave},
};
enum { N_COMMANDS = sizeof chat_commands / sizeof *chat_commands };

static command_result help(chat *c, const char *arg) {
    (void)c, (void)arg;
    for (size_t i = 0; i < N_COMMANDS; i++) {
        const chat_command *k = &chat_commands[i];
        fprintf(stderr, "  %-7s %-7s %s\n", k->name, k->arg ? k->arg : "", k->help);
    }
    fprintf(stderr, "Enter sends a message; Alt-Enter, or a \\ before Enter, begins a new line in it.\n"
                    "With a space before it, what begins with / is a message. Ctrl-C stops an answer\n"
                    "or clears what is typed; arrows and Ctrl-R find what was typed before.\n");
    return GO_ON;
}

/* Whether a message is meant as a command: a slash and letters alone up to its end or a space. */
static size_t command_length(const char *text, size_t n) {
    size_t i = 1;
    if (n < 2 || text[0] != '/') return 0;
    while (i < n && ((text[i] >= 'a' && text[i] <= 'z') || (text[i] >= 'A' && text[i] <= 'Z'))) i++;
    return i > 1 && (i == n || text[i] == ' ' || text[i] == '\n') ? i : 0;
}

/* text[0..n) ends with a NUL that is not counted; `name` bytes of it are the command. */
static command_result run_command(chat *c, const char *text, size_t n, size_t name) {
    const char *arg = text + name;
    while (*arg == ' ') arg++;
    for (size_t i = 0; i < N_COMMANDS; i++) {
        const chat_command *k = &chat_commands[i];
        if (strlen(k->name) != name || memcmp(k->name, text, name) != 0) continue;
        if (k->arg || arg == text + n) return k->act(c, arg);
        fprintf(stderr, "(%s takes nothing after it)\n", k->name);
        return GO_ON;
    }
    fprintf(stderr, "(there is no command %.*s; /help lists them)\n", (int)name, text);
    return GO_ON;
}

/* ---- the loop -------------------------------------------------------------------------------- */

/* Answers a message, which is taken back where there is no answer. */
static void answer_message(chat *c, const char *text, size_t n, gguf_error *err) {
    size_t before = c->talk.n;
    if (conversation_add(&c->talk, "user", text, n, NULL, 0, err)) reply(c, err);
    if (c->talk.n == before + 1) conversation_remove(&c->talk, before, 1);
}

static command_result take_message(chat *c, const char *text, size_t n, gguf_error *err) {
    size_t name = command_length(text, n);
    if (name) {
        char *copy = strndup(text, n);
        command_result result = copy ? run_command(c, copy, n, name) : GO_ON;
        free(copy);
        return result;
    }
    if (is_blank(text, n)) return GO_ON;
    if (n > 1 && text[0] == ' ' && text[1] == '/') text++, n--;
    answer_message(c, text, n, err);
    return GO_ON;
}

static void greet(const chat *c) {
    const run *r = c->r;
    gguf_model_info info = gguf_model_get_info(r->model);
    char line[512]; /* the name is the file's: no control characters of it reach a terminal */
    snprintf(line, sizeof line, "%s (%s, %s parameters), context %u; /help helps", *info.name ? info.name : "a model",
             info.arch, human_count(info.n_params).text, gguf_session_context(r->session));
    if (isatty(STDERR_FILENO) == 1) print_line("run", line);
    if (!c->has_template) {
        print_line("run",
                   "the model has no chat template: what you type is continued as text, with all that stood before");
    }
}

/* Whether the chat goes on after what was typed when it had n_before messages. An error is said, and ends it where no
 * person can answer to it: scripts want its exit code. */
static bool goes_on(const chat *c, size_t n_before, gguf_error *err) {
    const run *r = c->r;
    bool timed_out = r->stop && strcmp(r->stop, "timeout") == 0, taken = err->code || c->talk.n > n_before;
    if (ferror(stdout) || timed_out || (r->o->single_turn && taken)) return false;
    if (err->code == GGUF_OK) return true;
    if (err->code == GGUF_ERR_MEMORY || isatty(STDIN_FILENO) != 1) return false;
    say_error(err);
    return true;
}

/* One message after another; err is set where a failure ends the chat. */
static void talk(chat *c, line_input *in, const buffer *first, gguf_error *err) {
    size_t n_first = message_length(c->r->o, first), before = c->talk.n;
    bool go_on = true;
    if (n_first) {
        answer_message(c, first->data, n_first, err);
        go_on = goes_on(c, before, err);
    }
    while (go_on) {
        const char *text;
        size_t n;
        before = c->talk.n;
        line_result got = line_input_read(in, &text, &n, err);
        if (got == LINE_END && interrupt_reason() == STOP_TIMEOUT) c->r->stop = "timeout";
        go_on = got == LINE_MESSAGE && take_message(c, text, n, err) == GO_ON && goes_on(c, before, err);
    }
}

int chat_main(run *r, const buffer *first) {
    chat c = {.r = r};
    line_input in = {.view = {.prompt = "> ", .n_prompt = 2}, .plain = r->o->simple_io, .verbose = r->o->verbose};
    gguf_error err = {0};
    interrupt_polled(true);
    if (has_colours(stderr)) in.view.prompt = "\x1B[1m> \x1B[0m";
    line_input_start(&in);
    const options *o = r->o;
    c.has_template = o->chat_template || o->chat_template_file || gguf_model_get_info(r->model).chat_template;
    bool ok = run_ban_ends(r, &err) && add_system_prompt(o, &c.talk, &err);
    if (ok) {
        greet(&c);
        talk(&c, &in, first, &err);
    }
    line_input_end(&in);
    chat_free(&c);
    return err.code ? report("run", &err) : 0;
}
