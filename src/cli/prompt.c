#include "cli/prompt.h"

#include <stdlib.h>
#include <string.h>

#include "cli/chat_template.h"
#include "cli/input.h"

/* Variables that turn thinking on and off, as templates call them. */
static const char *const think_variables[] = {"enable_thinking", "thinking"};

static bool reads_think_variable(const gguf_chat_template *t) {
    for (size_t i = 0; i < sizeof think_variables / sizeof *think_variables; i++) {
        if (gguf_chat_template_reads(t, think_variables[i])) return true;
    }
    return false;
}

static void add_message(FILE *out, const char *role, const char *text, size_t n, const char *more) {
    fprintf(out, "{\"role\":\"%s\",\"content\":", role);
    char *whole = NULL;
    size_t n_whole = 0;
    FILE *joined = open_memstream(&whole, &n_whole);
    if (joined) {
        if (n) fwrite(text, 1, n, joined);
        fputs(more, joined);
        fclose(joined);
    }
    json_string(out, whole ? whole : "", n_whole);
    free(whole);
    fputc('}', out);
}

/* The conversation as JSON; a word for templates that look for it in the system message turns thinking on or off. */
static char *conversation(const options *o, const gguf_chat_template *t, const buffer *text, gguf_error *err) {
    buffer system = {0};
    char *json = NULL;
    size_t n = 0;
    const char *word = o->think == THINK_OFF ? "/no_think" : "/think";
    bool by_word = o->think != THINK_AUTO && !reads_think_variable(t) && gguf_chat_template_contains(t, word);
    if (o->system_file && !read_file(o->system_file, &system, err)) return NULL;
    if (o->system) buffer_add(&system, o->system, strlen(o->system));
    FILE *out = open_memstream(&json, &n);
    if (!out || system.failed) {
        err->code = GGUF_ERR_MEMORY;
        snprintf(err->message, sizeof err->message, "not enough memory for the conversation");
        if (out) fclose(out);
        buffer_free(&system);
        return NULL;
    }
    fputc('[', out);
    if (o->system || o->system_file || by_word) {
        add_message(out, "system", system.data, system.n, by_word ? word : "");
        fputc(',', out);
    }
    /* a file's or pipe's last line end is no part of what is said */
    size_t size = text->n;
    if (!o->prompt && size > 0 && text->data[size - 1] == '\n') size--;
    add_message(out, "user", text->data, size, "");
    fputc(']', out);
    fclose(out);
    buffer_free(&system);
    return json;
}

/* --chat-template-kwargs, with what --think asks for. */
static char *template_kwargs(const options *o) {
    char *json = NULL;
    size_t n = 0;
    FILE *out = open_memstream(&json, &n);
    if (!out) return NULL;
    const char *given = o->chat_kwargs ? o->chat_kwargs : "{}", *open = strchr(given, '{');
    if (o->think == THINK_AUTO || !open || strspn(given, " \t\r\n") != (size_t)(open - given)) {
        fputs(given, out); /* what is no object is refused by the template */
    } else {
        fputc('{', out);
        for (size_t i = 0; i < sizeof think_variables / sizeof *think_variables; i++)
            fprintf(out, "%s\"%s\":%s", i ? "," : "", think_variables[i], o->think == THINK_ON ? "true" : "false");
        bool empty = open[1 + strspn(open + 1, " \t\r\n")] == '}';
        fprintf(out, "%s%s", empty ? "" : ",", open + 1);
    }
    fclose(out);
    return json;
}

static bool find_close(const options *o, const gguf_vocab *v, rendered_prompt *out, gguf_error *err) {
    gguf_tokenize_params tp = {.no_bos = true, .parse_special = true};
    if (!out->marks || o->think_budget < 0) return true;
    char text[256];
    int size = snprintf(text, sizeof text, "%s%s", out->marks->close, out->marks->skip ? out->marks->skip : "");
    ptrdiff_t n = gguf_vocab_tokenize(v, text, (size_t)size, &tp, &out->close_ids, err);
    out->n_close_ids = n > 0 ? (size_t)n : 0;
    return n >= 0;
}

bool render_prompt(const options *o, const gguf_model *model, const buffer *text, rendered_prompt *out,
                   gguf_error *err) {
    const gguf_vocab *v = gguf_model_vocab(model);
    gguf_chat_template *t = open_chat_template(o, model, err);
    if (!t) return err->code == GGUF_OK;
    buffer tools = {0};
    gguf_chat_text prompt = {0};
    char *messages = conversation(o, t, text, err), *kwargs = messages ? template_kwargs(o) : NULL;
    bool ok = messages && kwargs && (!o->tools || read_file(o->tools, &tools, err));
    if (o->tools) buffer_add(&tools, "", 1);
    gguf_chat_params p = {.messages = messages,
                          .add_generation_prompt = true,
                          .tools = tools.data,
                          .kwargs = kwargs,
                          .now = o->clock,
                          .vocab = v};
    ok = ok && gguf_chat_render(t, &p, &prompt, err);
    ptrdiff_t n = ok ? gguf_chat_tokenize(v, &prompt, &out->ids, err) : -1;
    ok = n >= 0;
    if (ok) {
        out->n_ids = (size_t)n;
        out->marks = find_thinking(t);
        out->thinking = opens_thinking(out->marks, &prompt);
        ok = find_close(o, v, out, err);
    }
    gguf_chat_text_free(&prompt);
    gguf_chat_template_close(t);
    buffer_free(&tools);
    free(messages);
    free(kwargs);
    return ok;
}
