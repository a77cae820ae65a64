/* What the commands print: text streams that are safe for terminals, JSON, messages. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include <stdio.h>

#include "gguf.h"

/* Prints "gguf-run: message" on stderr and returns the exit code. */
int report(const char *command, const gguf_error *err);
/* Stores an error, for commands that stand on gguf.h alone; returns false. */
bool set_error(gguf_error *err, gguf_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Prints "gguf-run: line" on stderr, without control characters. */
void print_line(const char *command, const char *line);
/* A gguf_warn_fn; ctx is the command's name. */
void print_warning(void *command, const char *message);
/* Flushes stdout; `code`, or GGUF_ERR_RUN with a message where something could not be written. */
int finish_stdout(int code);

/* A stream of UTF-8 text that arrives in arbitrary pieces. A character is written when it is whole; on a terminal,
 * control characters other than newline and tab are left out. Zero but for `out` and `clean` to begin with. */
typedef struct {
    FILE *out;
    bool clean;
    char pending[4];
    size_t n_pending;
} text_stream;

text_stream text_stream_to(FILE *out);
void text_write(text_stream *s, const char *text, size_t n);
void text_end(text_stream *s); /* what is pending is written as it is; flushes */

/* Whether control sequences that colour or dim may go into a stream: a terminal, where NO_COLOR is not set. */
bool has_colours(FILE *out);

/* Bytes of the longest prefix of text[0..n) that does not end inside a character. */
size_t utf8_whole(const char *text, size_t n);

/* A piece of text that fits a line. */
typedef struct {
    char text[64];
} short_text;

short_text human_bytes(uint64_t n); /* "1.78 GiB" */
short_text human_count(uint64_t n); /* "3.08 B" */

/* A growing buffer of bytes; `failed` once memory ran out. */
typedef struct {
    char *data;
    size_t n, room;
    bool failed;
} buffer;

void buffer_add(buffer *b, const void *data, size_t n);
void buffer_free(buffer *b);

/* "text" as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void json_string(FILE *out, const char *text, size_t n);
/* A number that JSON can hold: NaN and infinity become null. */
void json_number(FILE *out, double v, int digits);

#endif
