/* As much of reading JSON as the commands need. */
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include "cli/output.h"

/* Finds the member `name` of the one object that text[0..n) must be, appends its value, a string, to *value without
 * its escapes, and sets *end behind the object's last member. False where the text is not such an object. Lone
 * surrogates become U+FFFD. */
bool json_find_string(const char *text, size_t n, const char *name, buffer *value, size_t *end);

#endif
