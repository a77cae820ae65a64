/*
 * Jinja as chat templates use it: the dialect and the whitespace rules of transformers' apply_chat_template, which is
 * jinja2's immutable sandbox with trim_blocks, lstrip_blocks, `break` and `continue`, and a `tojson` that is
 * json.dumps.
 *
 *   text ──template_parse──> template (immutable) ──template_render──> text, and whose each byte is
 *
 * A text made by a template remembers which bytes the template wrote and which came from the caller, through every
 * operation on strings: only the template's own may become control tokens.
 */
#ifndef TEXT_TEMPLATE_H
#define TEXT_TEMPLATE_H

#include "base/error.h"
#include "base/str.h"

/* What a render may use up; beyond it, it ends with an error. */
enum {
    TEMPLATE_MAX_SOURCE = 1 << 20,  /* bytes of a template */
    TEMPLATE_MAX_DEPTH = 64,        /* of nested blocks and brackets, of calls of macros, of values in values */
    TEMPLATE_MAX_STEPS = 1000000,   /* statements, calls, and each KiB of text that is gone through */
    TEMPLATE_MAX_TEXT = 8 << 20,    /* bytes of the result, and of every text on the way */
    TEMPLATE_MAX_MEMORY = 256 << 20 /* bytes of all values of a render */
};

typedef struct template template;

/* Errors name the line. The source is copied. */
template *template_parse(str source, gguf_error *err);
void template_free(template *t); /* NULL is fine */
/* Whether the template reads a variable of this name anywhere. */
bool template_reads(const template *t, str name);
/* Whether this text stands anywhere in the source. */
bool template_contains(const template *t, str text);

enum { TEMPLATE_MAX_INPUTS = 6 };

/* What a template is given. What stands later goes before. */
typedef struct {
    struct {
        const char *what; /* for errors: "the conversation" */
        str name;         /* the variable that the JSON text is the value of; p NULL: it is an object of variables */
        str text;
    } json[TEMPLATE_MAX_INPUTS];
    size_t n_json;
    str bos, eos;   /* variables bos_token and eos_token, where p is set: the template's own text */
    int64_t clock;  /* strftime_now's: seconds since 1970, as UTC */
    bool has_clock; /* else the machine's local time */
} template_input;

typedef struct {
    char *text; /* n bytes and a NUL; free() */
    bool *own;  /* [n]: the template wrote this byte; free() */
    size_t n;
} template_text;

bool template_render(const template *t, const template_input *in, template_text *out, gguf_error *err);

#endif
