#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { ALIGN = 64, BLOCK_BYTES = 64 << 10 };

struct arena_block {
    arena_block *next;
    size_t size, used; /* of the bytes after this header, which takes ALIGN bytes */
};

void *arena_alloc(arena *a, size_t n, size_t size, const char *what, gguf_error *err) {
    uint64_t bytes;
    if (!mul_u64(n, size, &bytes) || bytes > SIZE_MAX / 2) {
        fail_memory(err, what, UINT64_MAX);
        return NULL;
    }
    bytes = (bytes + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);
    arena_block *b = a->head;
    if (!b || b->size - b->used < bytes) {
        size_t room = bytes > BLOCK_BYTES ? (size_t)bytes : BLOCK_BYTES;
        b = aligned_alloc(ALIGN, ALIGN + room);
        if (!b) {
            fail_memory(err, what, bytes);
            return NULL;
        }
        b->size = room;
        b->used = 0;
        if (a->head && bytes > BLOCK_BYTES) { /* keep filling the small block that is open */
            b->next = a->head->next;
            a->head->next = b;
        } else {
            b->next = a->head;
            a->head = b;
        }
    }
    void *p = (char *)b + ALIGN + b->used;
    b->used += bytes;
    return memset(p, 0, bytes);
}

char *arena_copy(arena *a, const char *p, size_t n, gguf_error *err) {
    if (n == SIZE_MAX) return NULL;
    char *copy = arena_alloc(a, n + 1, 1, "a text", err);
    if (copy && n) memcpy(copy, p, n);
    return copy;
}

void arena_free(arena *a) {
    for (arena_block *b = a->head; b;) {
        arena_block *next = b->next;
        free(b);
        b = next;
    }
    a->head = NULL;
}
