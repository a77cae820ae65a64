/* Asks for a message: with line editing and history on a terminal, else a line of stdin. */
#ifndef CLI_LINE_INPUT_H
#define CLI_LINE_INPUT_H

#include "cli/line_draw.h"

typedef enum { LINE_MESSAGE, LINE_END, LINE_FAILED } line_result;

/* Zero but for `view.prompt`, `view.n_prompt`, `plain` and `verbose` to begin with. */
typedef struct {
    line_edit edit;
    line_view view;
    history past;
    bool plain;   /* lines are not to be edited */
    bool edits;   /* they are, and the terminal can do it */
    bool verbose; /* say where the history cannot be read or kept; all else works without it */
    char *line;   /* getline's */
    size_t line_room;
} line_input;

/* Reads the history, if lines are edited. */
void line_input_start(line_input *in);
/* Reads a message into *text, valid until the next call, and keeps it in the history. Between calls the terminal shows
 * no keys, and keeps them for the next message. LINE_END: end of file, Ctrl-D, Ctrl-C twice, or --timeout ran out. */
line_result line_input_read(line_input *in, const char **text, size_t *n, gguf_error *err);
void line_input_end(line_input *in);

#endif
