#include "cli/chat_template.h"

#include <string.h>

#include "cli/input.h"

bool wants_template_list(const options *o) { return o->chat_template && strcmp(o->chat_template, "list") == 0; }

void list_chat_templates(void) {
    for (size_t i = 0; gguf_chat_template_name(i); i++) puts(gguf_chat_template_name(i));
}

gguf_chat_template *open_chat_template(const options *o, const gguf_model *model, gguf_error *err) {
    if (o->chat_template_file) {
        buffer text = {0};
        bool ok = read_file(o->chat_template_file, &text, err);
        gguf_chat_template *t = ok ? gguf_chat_template_open(text.data ? text.data : "", text.n, err) : NULL;
        buffer_free(&text);
        return t;
    }
    const char *given = o->chat_template;
    if (given && (strstr(given, "{%") || strstr(given, "{{")))
        return gguf_chat_template_open(given, strlen(given), err);
    if (given) return gguf_chat_template_builtin(given, err);
    const char *own = model ? gguf_model_get_info(model).chat_template : NULL;
    return own ? gguf_chat_template_open(own, strlen(own), err) : NULL;
}
