/* The messages of a chat, and the JSON files that keep them: an array of {"role": ..., "content": ...}. */
#ifndef CLI_CONVERSATION_H
#define CLI_CONVERSATION_H

#include "cli/output.h"

/* Each text ends with a NUL that is not counted. */
typedef struct {
    char *role;    /* "system", "user", "assistant", ... */
    char *content; /* n bytes */
    size_t n;
    char *thinking; /* "reasoning_content" in JSON; NULL: none */
    size_t n_thinking;
} message;

/* Zero to begin with. */
typedef struct {
    message *items;
    size_t n;
} conversation;

/* thinking may be NULL. The texts are copied. */
bool conversation_add(conversation *c, const char *role, const char *content, size_t n, const char *thinking,
                      size_t n_thinking, gguf_error *err);
/* Puts a system message first, in place of one that is there. */
bool conversation_set_system(conversation *c, const char *content, size_t n, gguf_error *err);
/* The system message, or NULL. */
const message *conversation_system(const conversation *c);
/* The last message, taken out; and a message put in at the end, which takes over its texts (also where it fails). */
message conversation_pop(conversation *c);
bool conversation_push(conversation *c, message m, gguf_error *err);
void message_free(message *m);
/* Removes n messages from `at` on. */
void conversation_remove(conversation *c, size_t at, size_t n);
void conversation_free(conversation *c);

/* Writes the messages as a JSON array, one a line; `more`, or NULL, stands at the end of the system message, which is
 * there for it alone where the conversation has none. False where memory ran out. */
bool conversation_print(const conversation *c, const char *more, FILE *out);
/* Writes the file whole or not at all; "~/" is the home folder, here and below. */
bool conversation_save(const conversation *c, const char *path, gguf_error *err);
/* Replaces *c by the file's messages, which may also stand in an object under "messages"; after an error *c is as it
 * was. Members other than role, content and reasoning_content are counted in *n_dropped. */
bool conversation_load(conversation *c, const char *path, size_t *n_dropped, gguf_error *err);

#endif
