/* What is said of a flag or a command that does not exist: what it may have been meant to be, or what to do instead. */
#ifndef CLI_UNKNOWN_H
#define CLI_UNKNOWN_H

#include "cli/options.h"

/* Of a flag, given[0..n) without its value, that the command does not have. Returns false with GGUF_ERR_USAGE. */
bool fail_unknown_flag(const command *c, const char *given, size_t n, gguf_error *err);
/* The command whose name is nearest to a word, or NULL where none is near. */
const command *nearest_command(const char *word);

#endif
