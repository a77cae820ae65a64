/* Which chat template a command uses: --chat-template, --chat-template-file, or the model's own. */
#ifndef CLI_CHAT_TEMPLATE_H
#define CLI_CHAT_TEMPLATE_H

#include "cli/options.h"
#include "cli/output.h"

/* The template that the options name, or the model's (which may be NULL). NULL with err->code GGUF_OK: there is none.
 */
gguf_chat_template *open_chat_template(const options *o, const gguf_model *model, gguf_error *err);
/* Prints the names of the built-in templates. */
void list_chat_templates(void);
/* "list" was asked for. */
bool wants_template_list(const options *o);

#endif
