/* Conversations to text and token ids: what gguf.h offers of chat templates. */
#include "text/chat.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "text/template.h"

gguf_chat_template *gguf_chat_template_open(const char *text, size_t n, gguf_error *err) {
    return (gguf_chat_template *)template_parse((str){text, n}, err);
}

gguf_chat_template *gguf_chat_template_builtin(const char *name, gguf_error *err) {
    for (const chat_builtin *b = chat_builtins; b->name; b++) {
        if (strcmp(name, b->name) == 0) return gguf_chat_template_open(b->jinja, strlen(b->jinja), err);
    }
    fail(err, GGUF_ERR_USAGE,
         "no built-in chat template is called \"%s\" (chatml is the commonest; --chat-template list names all)", name);
    return NULL;
}

const char *gguf_chat_template_name(size_t i) {
    size_t n = 0;
    while (chat_builtins[n].name) n++;
    return i < n ? chat_builtins[i].name : NULL;
}

void gguf_chat_template_close(gguf_chat_template *t) { template_free((template *)t); }

bool gguf_chat_template_reads(const gguf_chat_template *t, const char *variable) {
    return template_reads((const template *)t, str_of(variable));
}

bool gguf_chat_template_contains(const gguf_chat_template *t, const char *text) {
    return template_contains((const template *)t, str_of(text));
}

/* ---- rendering -------------------------------------------------------------------------------- */

static bool read_clock(const char *text, int64_t *out, gguf_error *err) {
    struct tm t = {0};
    int end = 0;
    int n = sscanf(text, "%4d-%2d-%2d %2d:%2d:%2d%n", &t.tm_year, &t.tm_mon, &t.tm_mday, &t.tm_hour, &t.tm_min,
                   &t.tm_sec, &end);
    t.tm_year -= 1900;
    t.tm_mon--;
    struct tm same = t;
    time_t at = n == 6 && text[end] == 0 ? timegm(&same) : -1;
    bool sound = n == 6 && text[end] == 0 && same.tm_mon == t.tm_mon && same.tm_mday == t.tm_mday &&
                 same.tm_hour == t.tm_hour && same.tm_min == t.tm_min;
    *out = (int64_t)at;
    return sound || fail(err, GGUF_ERR_USAGE, "\"%s\" is no time: it is written YYYY-MM-DD HH:MM:SS", text);
}

static void add_input(template_input *in, const char *what, const char *name, const char *json) {
    if (!json) return;
    str variable = name ? str_of(name) : (str){0};
    in->json[in->n_json].what = what;
    in->json[in->n_json].name = variable;
    in->json[in->n_json++].text = str_of(json);
}

static str token_name(const gguf_vocab *vocab, int32_t id) {
    size_t n = 0;
    const char *p = id == GGUF_NO_TOKEN ? "" : gguf_vocab_name(vocab, id, &n);
    return (str){p, n};
}

bool gguf_chat_render(const gguf_chat_template *t, const gguf_chat_params *p, gguf_chat_text *out, gguf_error *err) {
    template_input in = {0};
    template_text text = {0};
    *out = (gguf_chat_text){0};
    if (p->messages) { /* what transformers gives every template */
        add_input(&in, "the defaults", NULL, "{\"tools\": null, \"documents\": null}");
        add_input(&in, "the defaults", "add_generation_prompt", p->add_generation_prompt ? "true" : "false");
    }
    add_input(&in, "the conversation", NULL, p->variables);
    add_input(&in, "the messages", "messages", p->messages);
    add_input(&in, "the tools", "tools", p->tools);
    add_input(&in, "the template's arguments", NULL, p->kwargs);
    if (p->vocab) {
        in.bos = token_name(p->vocab, gguf_vocab_bos(p->vocab));
        in.eos = token_name(p->vocab, gguf_vocab_eos(p->vocab));
    }
    in.has_clock = p->now != NULL;
    if (p->now && !read_clock(p->now, &in.clock, err)) return false;
    if (!template_render((const template *)t, &in, &text, err)) return false;
    *out = (gguf_chat_text){text.text, text.own, text.n};
    return true;
}

void gguf_chat_text_free(gguf_chat_text *text) {
    free(text->text);
    free(text->own);
    *text = (gguf_chat_text){0};
}

/* ---- ids -------------------------------------------------------------------------------------- */

ptrdiff_t gguf_chat_tokenize(const gguf_vocab *vocab, const gguf_chat_text *text, int32_t **ids, gguf_error *err) {
    gguf_tokenize_params tp = {.no_bos = true, .parse_special = true, .special_at = text->own};
    ptrdiff_t n = gguf_vocab_tokenize(vocab, text->text, text->n, &tp, ids, err);
    int32_t bos = gguf_vocab_bos(vocab);
    if (n < 0 || !gguf_vocab_adds_bos(vocab) || (n > 0 && (*ids)[0] == bos)) return n;
    int32_t *more = realloc(*ids, ((size_t)n + 1) * sizeof *more); /* the template wrote no BOS */
    if (!more) {
        free(*ids);
        *ids = NULL;
        fail_memory(err, "the ids of a conversation", ((size_t)n + 1) * sizeof *more);
        return -1;
    }
    memmove(more + 1, more, (size_t)n * sizeof *more);
    more[0] = bos;
    *ids = more;
    return n + 1;
}
