/* As much of reading JSON as the commands need: the members of an object, and strings. */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include "cli/output.h"

typedef struct {
    const char *p, *end;
    bool first;
} json_object;

typedef struct {
    buffer name;      /* without its escapes; reused from member to member */
    const char *text; /* the whole member, "name": value */
    size_t n_text;
    const char *value;
    size_t n_value;
} json_member;

typedef enum { JSON_END, JSON_MEMBER, JSON_MALFORMED } json_step;

bool json_is_named(const json_member *m, const char *name);

/* Walks the one object that text[0..n) must be. */
json_object json_begin(const char *text, size_t n);
json_step json_next(json_object *o, json_member *m);

/* The same for the items of the one array that the text must be. */
json_step json_next_item(json_object *o, const char **value, size_t *n);

/* Appends a string's bytes to out; false where text[0..n) is no JSON string. Lone surrogates become U+FFFD. */
bool json_read_string(const char *text, size_t n, buffer *out);

/* Bytes of the value that begins at text (blanks before it counted); 0: there is none, or it is not complete. */
size_t json_value_length(const char *text, size_t n);

#endif
