/* Editing a message, apart from any terminal: the bytes of keys go in, the text and the cursor come out. */
#ifndef CLI_LINE_EDIT_H
#define CLI_LINE_EDIT_H

#include "cli/history.h"

/* What a key asks of whoever reads the keys. */
typedef enum {
    EDIT_MORE,    /* nothing: go on */
    EDIT_ENTER,   /* the message is whole */
    EDIT_CANCEL,  /* Ctrl-C where there is no text; where there is, it is thrown away */
    EDIT_END,     /* Ctrl-D in an empty text, or a second Ctrl-C */
    EDIT_CLEAR,   /* Ctrl-L: clear the screen */
    EDIT_SUSPEND, /* Ctrl-Z */
} edit_event;

enum { EDIT_MAX_TEXT = 16 << 20, EDIT_MAX_KEY = 32 };

/* Zero but for `past` to begin with. */
typedef struct {
    buffer text;   /* the message so far: lines are parted by \n */
    size_t cursor; /* bytes before it; never inside a character */
    const history *past;

    size_t age;             /* which message of the past is shown: 1 the youngest; 0 the one being written */
    buffer draft;           /* that one, while the past is shown */
    buffer killed;          /* for Ctrl-Y */
    char key[EDIT_MAX_KEY]; /* what has come of a key */
    size_t n_key;           /* its bytes */
    bool pasting;           /* between the marks of a bracketed paste: keys are text */
    bool full;              /* something was left out: the text would have grown past EDIT_MAX_TEXT */
    bool interrupted;       /* the last key was Ctrl-C, and there was no text */
    bool searching;         /* Ctrl-R: keys go to the query */
    buffer query;           /* what is searched for */
} line_edit;

edit_event line_edit_byte(line_edit *e, char byte);
/* For the next message: all but the past and what was killed is forgotten. */
void line_edit_reset(line_edit *e);
void line_edit_free(line_edit *e);

#endif
