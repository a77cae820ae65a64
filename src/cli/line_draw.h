/* Shows a message that is being edited: computes where its characters stand, and the bytes that draw them. */
#ifndef CLI_LINE_DRAW_H
#define CLI_LINE_DRAW_H

#include "cli/line_edit.h"

/* Zero but for the terminal's size and the prompt to begin with. */
typedef struct {
    size_t columns, rows; /* of the terminal */
    const char *prompt;   /* may hold colours */
    size_t n_prompt;      /* columns it takes; further rows are indented as much */
    size_t top;           /* the first row of the message that is shown: a long one is seen through a window */
    size_t cursor_row;    /* of the window: where the terminal's cursor was left */
    size_t cursor_column;
} line_view;

/* Appends what replaces the last drawing by the present state. */
void line_draw(line_view *v, const line_edit *e, buffer *out);
/* The terminal is now of this size, and may have wrapped the rows drawn: corrects what is known of the cursor. */
void line_resize(line_view *v, const line_edit *e, size_t columns, size_t rows);
/* Draws the message a last time and leaves the cursor below it. */
void line_finish(line_view *v, const line_edit *e, buffer *out);

#endif
