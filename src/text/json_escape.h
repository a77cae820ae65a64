/* The escapes in JSON's strings, for everything that reads JSON. */
#ifndef TEXT_JSON_ESCAPE_H
#define TEXT_JSON_ESCAPE_H

#include <stddef.h>

/* The escape whose backslash stands before *p: writes its bytes to out, moves *p behind it and returns their number; 0
 * where JSON has no such escape. \u may come as a pair of surrogates; half a pair becomes U+FFFD. */
size_t json_unescape(const char **p, const char *end, char out[4]);

#endif
