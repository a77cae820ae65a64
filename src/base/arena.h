/* Memory that is released all at once: what a model or a vocabulary owns. Not thread-safe. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/error.h"

typedef struct arena_block arena_block;

typedef struct {
    arena_block *head;
} arena;

/* n x size bytes, zeroed, aligned to 64; NULL with err set (GGUF_ERR_MEMORY) where it cannot be had
 * or the product wraps. n = 0 gives a valid pointer. `what` names the thing for the message. */
void *arena_alloc(arena *a, size_t n, size_t size, const char *what, gguf_error *err);
/* A NUL-terminated copy of p[0..n). */
char *arena_copy(arena *a, const char *p, size_t n, gguf_error *err);
void arena_free(arena *a);

#endif
