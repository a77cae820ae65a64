/* The modes of the terminal that stdin is, which are put back however the program ends (but for SIGKILL). */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

typedef enum {
    TERMINAL_FOUND, /* as it was found */
    TERMINAL_QUIET, /* keys are kept for later and not shown; Ctrl-C is a signal */
    TERMINAL_KEYS,  /* every key comes at once, Ctrl-C too; pasted text comes between marks */
} terminal_mode;

/* Whether stdin and stderr are a terminal on which a line can be edited (TERM is neither missing nor dumb). */
bool terminal_can_edit(void);
/* Changes the mode; the first call installs what puts it back at the program's end and on signals. */
bool terminal_set(terminal_mode mode);
/* The terminal's size, or 80 x 24. */
void terminal_size(size_t *columns, size_t *rows);
/* Whether the size has changed, or the program was stopped and goes on, since the last call. */
bool terminal_changed(void);
/* Stops the program as Ctrl-Z does; returns when it goes on, in the same mode. */
void terminal_suspend(void);

#endif
