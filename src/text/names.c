/* Finding tokens by name: in a hash table, and as marks inside a text. */
#include <stdlib.h>

#include "text/vocab_internal.h"

/* ---- the hash table -------------------------------------------------------------------------- */

bool vocab_index_names(gguf_vocab *v, gguf_error *err) {
    name_table *t = &v->by_name;
    size_t size = 16;
    while (size < 2 * (size_t)v->n) size *= 2;
    t->slots = arena_alloc(&v->mem, size, sizeof *t->slots, "the table of tokens", err);
    if (!t->slots) return false;
    t->mask = size - 1;
    for (uint32_t id = 0; id < v->n; id++) {
        str name = vocab_name(v, (int32_t)id);
        uint64_t hash = str_hash(name);
        size_t i = hash & t->mask;
        for (; t->slots[i].id_1; i = (i + 1) & t->mask) {
            if (t->slots[i].hash == hash >> 32 && str_eq(vocab_name(v, (int32_t)t->slots[i].id_1 - 1), name)) break;
        }
        if (!t->slots[i].id_1) t->slots[i] = (name_slot){(uint32_t)(hash >> 32), id + 1};
    }
    return true;
}

int32_t vocab_find(const gguf_vocab *v, str name) {
    if (name.n == 0 || name.n > v->longest) return GGUF_NO_TOKEN;
    const name_table *t = &v->by_name;
    uint64_t hash = str_hash(name);
    for (size_t i = hash & t->mask; t->slots[i].id_1; i = (i + 1) & t->mask) {
        int32_t id = (int32_t)t->slots[i].id_1 - 1;
        if (t->slots[i].hash == hash >> 32 && str_eq(vocab_name(v, id), name)) return id;
    }
    return GGUF_NO_TOKEN;
}

static bool is_special(uint8_t type) { return type == GGUF_TOKEN_CONTROL || type == GGUF_TOKEN_UNKNOWN; }

int32_t vocab_find_text(const gguf_vocab *v, str name) {
    int32_t id = vocab_find(v, name);
    return id != GGUF_NO_TOKEN && (is_special(v->types[id]) || v->types[id] == GGUF_TOKEN_BYTE) ? GGUF_NO_TOKEN : id;
}

/* ---- marks ----------------------------------------------------------------------------------- */

/* Longer names are not looked for: each place of a text may cost this many steps. */
enum { MAX_MARK_BYTES = 255 };

static int by_bytes(const void *a, const void *b) {
    const mark *x = a, *y = b;
    int order = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
    if (order != 0) return order;
    if (x->n != y->n) return x->n < y->n ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static bool same_name(mark a, mark b) { return a.n == b.n && memcmp(a.p, b.p, a.n) == 0; }

/* Keeps the first of equal marks; returns how many are left. */
static size_t drop_equal(mark *marks, size_t n) {
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (kept == 0 || !same_name(marks[kept - 1], marks[i])) marks[kept++] = marks[i];
    }
    return kept;
}

bool vocab_index_marks(gguf_vocab *v, const vocab_source *src) {
    size_t n = 0, too_long = 0;
    for (uint32_t id = 0; id < v->n; id++) n += is_special(v->types[id]) || v->types[id] == GGUF_TOKEN_USER_DEFINED;
    v->marks = arena_alloc(&v->mem, n, sizeof *v->marks, "the table of special tokens", src->err);
    if (!v->marks) return false;
    n = 0;
    for (uint32_t id = 0; id < v->n; id++) {
        str name = vocab_name(v, (int32_t)id);
        if (name.n == 0 || !(is_special(v->types[id]) || v->types[id] == GGUF_TOKEN_USER_DEFINED)) continue;
        if (name.n > MAX_MARK_BYTES) {
            too_long++;
            continue;
        }
        v->marks[n++] = (mark){name.p, (uint32_t)name.n, (int32_t)id};
    }
    if (too_long > 0) {
        warnf(src->warn, src->warn_ctx,
              "%zu special tokens have names of more than %d bytes and are not looked for in text", too_long,
              MAX_MARK_BYTES);
    }
    qsort(v->marks, n, sizeof *v->marks, by_bytes);
    n = drop_equal(v->marks, n);
    for (size_t i = 0; i < n; i++) v->mark_at[(uint8_t)v->marks[i].p[0] + 1]++;
    for (int byte = 0; byte < 256; byte++) v->mark_at[byte + 1] += v->mark_at[byte];
    return true;
}

/* The first of the marks [lo, hi), sorted, whose byte at `depth` is not below `byte`. */
static uint32_t lower_bound(const mark *marks, uint32_t lo, uint32_t hi, uint32_t depth, unsigned byte) {
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if ((uint8_t)marks[mid].p[depth] < byte)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

const mark *vocab_match_mark(const gguf_vocab *v, const char *p, const char *end, bool parse_special) {
    const mark *marks = v->marks, *best = NULL;
    uint32_t lo = v->mark_at[(uint8_t)*p], hi = v->mark_at[(uint8_t)*p + 1];
    /* marks[lo .. hi) begin with p[0 .. depth); of these, the one of just that length comes first */
    for (uint32_t depth = 1; lo < hi; depth++) {
        if (marks[lo].n == depth) {
            if (parse_special || v->types[marks[lo].id] == GGUF_TOKEN_USER_DEFINED) best = &marks[lo];
            lo++;
        }
        if (lo == hi || p + depth == end) break;
        uint8_t byte = (uint8_t)p[depth];
        if ((uint8_t)marks[lo].p[depth] == byte && (uint8_t)marks[hi - 1].p[depth] == byte) continue; /* all go on */
        lo = lower_bound(marks, lo, hi, depth, byte);
        hi = lower_bound(marks, lo, hi, depth, byte + 1u);
    }
    return best;
}
