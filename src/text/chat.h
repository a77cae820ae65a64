/* Chat templates that come with the program. */
#ifndef TEXT_CHAT_H
#define TEXT_CHAT_H

typedef struct {
    const char *name; /* as llama.cpp calls it */
    const char *jinja;
} chat_builtin;

extern const chat_builtin chat_builtins[]; /* ends with a NULL name */

#endif
