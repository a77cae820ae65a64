/* A prompt as a conversation: what gguf-run gives a model that has a chat template. */
#ifndef CLI_PROMPT_H
#define CLI_PROMPT_H

#include "cli/answer.h"
#include "cli/conversation.h"
#include "cli/options.h"

typedef struct {
    int32_t *ids; /* NULL: there is no template; free() */
    size_t n_ids;
    const thinking_marks *marks;
    bool thinking;      /* the prompt ends inside a thought */
    int32_t *close_ids; /* what ends a thought at --think-budget, or NULL; free() */
    size_t n_close_ids;
} rendered_prompt;

/* Bytes of a text that are said: the last line end of a file or pipe is not. */
size_t message_length(const options *o, const buffer *text);

/* Renders the system prompt and `text` as a user's message, with the options' template, tools and arguments. */
bool render_prompt(const options *o, const gguf_model *model, const buffer *text, rendered_prompt *out,
                   gguf_error *err);

/* The same for a conversation whose last message is to be answered. */
bool render_conversation(const options *o, const gguf_model *model, const conversation *talk, rendered_prompt *out,
                         gguf_error *err);
/* Puts the options' system message, if there is one, into a conversation. */
bool add_system_prompt(const options *o, conversation *talk, gguf_error *err);
void rendered_free(rendered_prompt *p);

#endif
