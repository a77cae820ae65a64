/* All names of tokens that begin at a place of a text, in one walk over its bytes. */
#ifndef TEXT_TRIE_H
#define TEXT_TRIE_H

#include "base/arena.h"
#include "base/str.h"

/* Node 0 is the root; the children of a node stand side by side, sorted by their bytes. */
typedef struct {
    uint32_t first; /* child */
    int32_t id;     /* the token whose name ends here, or -1 */
    uint16_t n;     /* children */
} trie_node;

typedef struct {
    trie_node *nodes;
    uint8_t *bytes; /* [nodes]: the byte that leads to a node */
} trie;

/* A name and its token. */
typedef struct {
    str name;
    int32_t id;
} trie_entry;

enum { TRIE_MAX_NAME = 1024 }; /* a walk takes no more steps */

/* Makes a trie of names of 1 to TRIE_MAX_NAME bytes, which it sorts; of equal names the lowest id counts. */
bool trie_build(trie *t, trie_entry *entries, size_t n, arena *mem, gguf_error *err);

enum { TRIE_NONE = 0 }; /* the root is nobody's child */

/* The child of a node by a byte, or TRIE_NONE. */
static inline uint32_t trie_child(const trie *t, uint32_t node, char byte) {
    uint32_t lo = t->nodes[node].first, hi = lo + t->nodes[node].n;
    while (lo < hi) {
        uint32_t middle = lo + (hi - lo) / 2;
        if (t->bytes[middle] == (uint8_t)byte) return middle;
        if (t->bytes[middle] < (uint8_t)byte)
            lo = middle + 1;
        else
            hi = middle;
    }
    return TRIE_NONE;
}

#endif
