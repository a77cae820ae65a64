/* Calls of tools as some models write them: Python, NAME(KEY=VALUE, ...) with literals for values. */
#ifndef CLI_PYTHON_CALL_H
#define CLI_PYTHON_CALL_H

#include <stddef.h>
#include <stdio.h>

/* The call that begins at p: the length of its name into *n_name, its arguments as a JSON object into args. Returns
 * where the call ends, or NULL where there is none. */
const char *python_call(const char *p, const char *end, size_t *n_name, FILE *args);

#endif
