/* Where the text of run and tokenize comes from. */
#ifndef CLI_INPUT_H
#define CLI_INPUT_H

#include "cli/options.h"
#include "cli/output.h"

/* Appends all of a file ("-": stdin) to b. */
bool read_file(const char *path, buffer *b, gguf_error *err);
/* The text that -f, -p or stdin give: -f's comes first; stdin only where neither was given and it is no terminal. */
bool read_text(const options *o, buffer *b, gguf_error *err);
/* Turns \n and the like into their bytes, in place. */
void unescape(char *text);
/* The model's parameters that the options ask for. */
gguf_model_params model_params(const options *o, const char *name, bool vocab_only);
/* The session's; `stop` is left out. */
gguf_session_params session_params(const options *o, const char *name);

#endif
