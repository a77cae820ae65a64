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

static bool no_memory(gguf_error *err) {
    return set_error(err, GGUF_ERR_MEMORY, "not enough memory for the conversation");
}

/* The conversation as JSON; a word for templates that look for it in the system message turns thinking on or off. */
static char *messages_json(const options *o, const gguf_chat_template *t, const conversation *talk, gguf_error *err) {
    char *json = NULL;
    size_t n = 0;
    const char *word = o->think == THINK_OFF ? "/no_think" : "/think";
    bool by_word = o->think != THINK_AUTO && !reads_think_variable(t) && gguf_chat_template_contains(t, word);
    FILE *out = open_memstream(&json, &n);
    bool ok = out && conversation_print(talk, by_word ? word : NULL, out);
    if (out && fclose(out) == 0 && ok) return json;
    no_memory(err);
    free(json);
    return NULL;
}

bool add_system_prompt(const options *o, conversation *talk, gguf_error *err) {
    buffer system = {0};
    if (!o->system && !o->system_file) return true;
    bool ok = !o->system_file || read_file(o->system_file, &system, err);
    if (o->system) buffer_add(&system, o->system, strlen(o->system));
    if (system.failed) ok = no_memory(err);
    ok = ok && conversation_set_system(talk, system.data, system.n, err);
    buffer_free(&system);
    return ok;
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

bool render_conversation(const options *o, const gguf_model *model, const conversation *talk, rendered_prompt *out,
                         gguf_error *err) {
    const gguf_vocab *v = gguf_model_vocab(model);
    gguf_chat_template *t = open_chat_template(o, model, err);
    if (!t) return err->code == GGUF_OK;
    buffer tools = {0};
    gguf_chat_text prompt = {0};
    char *messages = messages_json(o, t, talk, err), *kwargs = messages ? template_kwargs(o) : NULL;
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

size_t message_length(const options *o, const buffer *text) {
    return text->n - (!o->prompt && text->n > 0 && text->data[text->n - 1] == '\n');
}

bool render_prompt(const options *o, const gguf_model *model, const buffer *text, rendered_prompt *out,
                   gguf_error *err) {
    conversation talk = {0};
    size_t n = message_length(o, text);
    bool ok = add_system_prompt(o, &talk, err) && conversation_add(&talk, "user", text->data, n, NULL, 0, err) &&
              render_conversation(o, model, &talk, out, err);
    conversation_free(&talk);
    return ok;
}

void rendered_free(rendered_prompt *p) {
    free(p->ids);
    free(p->close_ids);
    *p = (rendered_prompt){0};
}
