/* The sorted names that begin with the path to a node are a range; the trie is built level by level from such
 * ranges, and the children of a node are the parts of its range that have the same next byte. */
#include "text/trie.h"

#include <stdlib.h>

static int by_name(const void *a, const void *b) {
    const trie_entry *x = a, *y = b;
    int order = memcmp(x->name.p, y->name.p, x->name.n < y->name.n ? x->name.n : y->name.n);
    if (order != 0) return order;
    if (x->name.n != y->name.n) return x->name.n < y->name.n ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static size_t common_bytes(str a, str b) {
    size_t n = 0;
    while (n < a.n && n < b.n && a.p[n] == b.p[n]) n++;
    return n;
}

/* Entries [first, last) begin with the path to a node. */
typedef struct {
    uint32_t first, last;
} span;

/* Adds the children of a node whose path has `depth` bytes behind the n nodes there are; returns how many there are
 * then. */
static uint32_t add_children(trie *t, span *spans, const trie_entry *entries, uint32_t node, size_t depth, uint32_t n) {
    span s = spans[node];
    t->nodes[node] = (trie_node){n, -1, 0};
    for (; s.first < s.last && entries[s.first].name.n == depth; s.first++) {
        if (t->nodes[node].id < 0) t->nodes[node].id = entries[s.first].id;
    }
    while (s.first < s.last) {
        char byte = entries[s.first].name.p[depth];
        uint32_t begin = s.first;
        while (s.first < s.last && entries[s.first].name.p[depth] == byte) s.first++;
        t->bytes[n] = (uint8_t)byte;
        spans[n++] = (span){begin, s.first};
        t->nodes[node].n++;
    }
    return n;
}

bool trie_build(trie *t, trie_entry *entries, size_t n, arena *mem, gguf_error *err) {
    static const char what[] = "the trie of tokens";
    if (n > 0) qsort(entries, n, sizeof *entries, by_name);
    size_t n_nodes = 1 + (n > 0 ? entries[0].name.n : 0);
    for (size_t i = 1; i < n; i++) n_nodes += entries[i].name.n - common_bytes(entries[i - 1].name, entries[i].name);
    if (n_nodes > UINT32_MAX) return fail_memory(err, what, UINT64_MAX);
    t->nodes = arena_alloc(mem, n_nodes, sizeof *t->nodes, what, err);
    t->bytes = arena_alloc(mem, n_nodes, 1, what, err);
    span *spans = malloc(n_nodes * sizeof *spans);
    if (!spans) fail_memory(err, what, n_nodes * sizeof *spans);
    bool ok = t->nodes && t->bytes && spans;
    if (ok) {
        uint32_t made = 1, level = 1; /* nodes; the end of the level that gets its children */
        size_t depth = 0;
        spans[0] = (span){0, (uint32_t)n};
        for (uint32_t node = 0; node < made; node++) {
            if (node == level) {
                level = made;
                depth++;
            }
            made = add_children(t, spans, entries, node, depth, made);
        }
    }
    free(spans);
    return ok;
}
