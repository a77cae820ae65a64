/* Writing a file whole or not at all: the old one stands until the new one is complete. */
#ifndef BASE_NEW_FILE_H
#define BASE_NEW_FILE_H

#include "base/error.h"

/* {.fd = -1} to begin with. */
typedef struct {
    int fd;
    char *path;      /* to replace */
    char *temporary; /* beside it; NULL: path is written in place */
} new_file;

/* A temporary file beside `path` (beside what it leads to, where it is a link). What is there must be a regular file; with
 * in_place, a device or FIFO is opened and written to itself. Errors, here and below: GGUF_ERR_RUN. */
bool new_file_open(new_file *f, const char *path, bool in_place, gguf_error *err);
bool new_file_write(new_file *f, const void *data, size_t n, gguf_error *err);
/* Syncs the file and gives it its name. */
bool new_file_commit(new_file *f, gguf_error *err);
/* Releases everything; a file that was not committed is removed. */
void new_file_close(new_file *f);
/* Removes the file that is being written, for the handler of a signal that ends the program. */
void new_file_abandon(void);

#endif
