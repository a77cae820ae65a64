/* What a model says, taken apart while it comes: its thinking, its answer, its calls of tools. */
#ifndef CLI_ANSWER_H
#define CLI_ANSWER_H

#include "cli/output.h"

/* How a family of models marks its thinking. */
typedef struct {
    const char *open, *close;
    const char *key;    /* a template that has this text uses these marks; NULL: `close` */
    const char *skip;   /* stands between the thinking and the answer, or NULL */
    const char *direct; /* stands before an answer without thinking, or NULL */
} thinking_marks;

/* The marks that a template uses; NULL: its models do not think. */
const thinking_marks *find_thinking(const gguf_chat_template *t);
/* Whether a prompt ends with an open thought. */
bool opens_thinking(const thinking_marks *marks, const gguf_chat_text *prompt);

/* Zero but for `marks` and `thinking` to begin with. */
typedef struct {
    const thinking_marks *marks; /* NULL: everything is the answer */
    bool thinking;               /* inside a thought */
    bool past;                   /* the answer has begun: nothing opens a thought any more */
    bool stripping;              /* newlines at the answer's beginning are left out */
    buffer held;                 /* what may be the beginning of a mark */
    buffer held_control;         /* a byte for each of it: of a control token's name */
    buffer text;                 /* the answer, without control tokens */
    buffer thought;
    buffer full; /* the answer with the names of control tokens, which tool calls may need */
} answer;

/* Adds what one token stands for; `control`: it is a control token's name, shown only with `show_control`. */
void answer_add(answer *a, const char *text, size_t n, bool control, bool show_control);
void answer_end(answer *a, bool show_control);
void answer_free(answer *a);
bool answer_failed(const answer *a);

/* Prints the calls of tools in the answer as JSON, "[{"name": ..., "arguments": ...}, ...]", and cuts them out of
 * a->text; false where there is none. `bare`: an answer that is one JSON object may be a call. */
bool print_tool_calls(answer *a, bool bare, FILE *out);

#endif
