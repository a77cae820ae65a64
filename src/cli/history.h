/* The messages that were typed before, oldest first, and the file that keeps them from one chat to the next. */
#ifndef CLI_HISTORY_H
#define CLI_HISTORY_H

#include "cli/output.h"

enum { HISTORY_MAX = 1000, HISTORY_MAX_TEXT = 64 << 10 }; /* messages kept; bytes of one: a longer one is not kept */

typedef struct {
    char *text; /* n bytes */
    size_t n;
} history_item;

/* Zero but for `path` to begin with. */
typedef struct {
    history_item *items;
    size_t n;
    char *path; /* of the file, or NULL: nothing is kept */
} history;

/* Whether a text is spaces and line ends alone: no message. */
bool is_blank(const char *text, size_t n);

/* $XDG_STATE_HOME/gguf/history, or ~/.local/state/gguf/history; NULL where neither can be. free() it. */
char *history_default_path(void);
/* Reads the file, and shortens it where it has grown to twice its measure. A file that is missing is an empty one. */
bool history_load(history *h, gguf_error *err);
/* Adds a message unless it is blank or the same as the last one, here and (one write) in the file, which only its owner
 * can read. */
bool history_add(history *h, const char *text, size_t n, gguf_error *err);
void history_free(history *h);

#endif
