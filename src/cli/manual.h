/* What is made from the tables of commands and flags besides --help. */
#ifndef CLI_MANUAL_H
#define CLI_MANUAL_H

#include <stdio.h>

/* gguf(1), one page for all commands, in man's macros. */
void print_manual(FILE *out);
/* The completions of a shell; GGUF_ERR_USAGE's code, with a line on stderr, where it is none of bash, zsh, fish. */
int print_completions(const char *shell, FILE *out);

#endif
