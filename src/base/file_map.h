/* A whole regular file as bytes: mapped, or read into memory. */
#ifndef BASE_FILE_MAP_H
#define BASE_FILE_MAP_H

#include "base/error.h"

typedef struct {
    const uint8_t *data; /* n bytes; NULL when n = 0 */
    size_t n;
    bool mapped; /* else read into memory of our own */
    int slot;    /* in the fault handler's list, or -1 */
} file_map;

/* Opens path, which must be a regular file (not a directory, FIFO or device), read-only.
 * Errors: GGUF_ERR_MODEL for what the path is or does, GGUF_ERR_MEMORY. */
bool file_map_open(file_map *m, const char *path, bool no_mmap, gguf_error *err);
void file_map_close(file_map *m);
/* Keeps the bytes in memory; false where the system refuses. */
bool file_map_lock(const file_map *m);

#endif
