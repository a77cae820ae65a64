/*
 * Merging a word's pieces. A heap holds the pairs of neighbours that make a token; the one that is first in
 * line is merged, which may make a pair with each of its neighbours. A pair in the heap is stale when one of
 * its two was merged elsewhere: pieces only grow, so the pair is as it was exactly if the left piece is still
 * there and both have the same number of bytes together. Each merge takes a piece away and adds two entries at
 * most: the heap never holds more than 2n + 1.
 *
 * A long word (a text without blanks may be one) is merged window by window, so that memory and the cost of a
 * step do not grow with it. The result is the same as without windows, for this reason. Within a window, let
 * `sure` be a place such that everything before it is as it would be in the whole word. At first that is the
 * window's end. The last piece before it may in truth merge with what stands after it, though not before the
 * turn of the first such pair that the vocabulary and the bytes that follow allow. When this turn comes and
 * the piece is still there, it is given up: `sure` moves to its beginning, where in truth a piece of at least
 * its length stands. Nothing that is before `sure` in the end can ever merge across it, so it is finished, and
 * the next window begins there. Where a window finishes less than half of itself, which takes an odd vocabulary,
 * what is left is merged as a whole.
 */
#include <stdlib.h>

#include "base/check.h"
#include "text/vocab_internal.h"

/* ---- memory ---------------------------------------------------------------------------------- */

/* Room for n elements in an array that doubles; what it holds is lost unless `keep`. */
static void *grow(void *array, size_t *room, size_t n, size_t size, bool keep, const char *what, gguf_error *err) {
    if (n <= *room) return array;
    size_t more = *room > SIZE_MAX / 2 || 2 * *room < n ? n : 2 * *room;
    if (more < 256) more = 256;
    uint64_t bytes = UINT64_MAX;
    void *moved = NULL;
    if (mul_u64(more, size, &bytes) && bytes <= SIZE_MAX / 2) {
        moved = keep ? realloc(array, (size_t)bytes) : malloc((size_t)bytes);
    }
    if (!moved) {
        fail_memory(err, what, bytes);
        return NULL;
    }
    if (!keep) free(array);
    *room = more;
    return moved;
}

bool work_reserve_text(work *w, size_t n) {
    char *text = grow(w->text, &w->text_room, n, 1, true, "a word", w->err);
    if (text) w->text = text;
    return text || n == 0;
}

bool work_reserve_lattice(work *w, size_t n) {
    if (n <= w->lattice_room) return true;
    lattice_node *moved = grow(w->lattice, &w->lattice_room, n, sizeof *moved, true, "the ways to part a text", w->err);
    if (moved) w->lattice = moved;
    return moved;
}

bool work_emit_unknown(const gguf_vocab *v, work *w, str text) {
    int32_t id = v->special[SPECIAL_UNKNOWN];
    if (id != GGUF_NO_TOKEN) return work_emit(w, id);
    return fail(w->err, GGUF_ERR_MODEL,
                "the text holds \"%.*s\", for which this vocabulary has no token, nor has it an unknown token",
                STR_ARG(text));
}

static bool reserve_ids(work *w, size_t n) {
    if (w->id_room - w->n_ids >= n) return true;
    int32_t *ids = grow(w->ids, &w->id_room, w->n_ids + n, sizeof *ids, true, "the ids of a text", w->err);
    if (ids) w->ids = ids;
    return ids;
}

bool work_emit(work *w, int32_t id) {
    if (!reserve_ids(w, 1)) return false;
    w->ids[w->n_ids++] = id;
    return true;
}

bool work_emit_byte(const gguf_vocab *v, work *w, uint8_t byte) {
    int32_t id = v->bytes[byte] != GGUF_NO_TOKEN ? v->bytes[byte] : v->special[SPECIAL_UNKNOWN];
    if (id != GGUF_NO_TOKEN) return work_emit(w, id);
    return fail(w->err, GGUF_ERR_MODEL,
                "the text holds the byte 0x%02X, for which this vocabulary has no token, nor has it an unknown token",
                byte);
}

void work_free(work *w) {
    free(w->text);
    free(w->symbols);
    free(w->heap);
    free(w->words);
    free(w->lattice);
    free(w->ids);
}

/* ---- words ----------------------------------------------------------------------------------- */

enum { LEAST_CACHED = 2048 }; /* bytes of text; a shorter one would pay more for the empty table than it gains */

void work_begin_words(work *w, size_t n_text) {
    if (!w->words && n_text >= LEAST_CACHED) w->words = calloc(CACHE_SLOTS, sizeof *w->words);
}

bool work_word(const gguf_vocab *v, work *w, str word, bool (*make)(const gguf_vocab *v, work *w, str word)) {
    if (!w->words || word.n > CACHE_WORD) return make(v, w, word);
    cached_word *slot = &w->words[cache_slot(word)];
    if (!cache_holds(slot, word)) {
        size_t n = w->n_ids;
        if (!make(v, w, word)) return false;
        cache_store(slot, word, w->ids + n, w->n_ids - n);
        return true;
    }
    if (!reserve_ids(w, slot->n_ids)) return false;
    for (size_t i = 0; i < slot->n_ids; i++) w->ids[w->n_ids + i] = slot->ids[i];
    w->n_ids += slot->n_ids;
    return true;
}

/* ---- the heap -------------------------------------------------------------------------------- */

/* Four children to a node: they share a cache line, and a long word's heap is half as deep. */
enum { ARITY = 4 };

static void push(work *w, candidate c) {
    candidate *heap = w->heap;
    size_t i = w->n_heap++;
    for (size_t parent; i > 0 && c.turn < heap[parent = (i - 1) / ARITY].turn; i = parent) heap[i] = heap[parent];
    heap[i] = c;
}

static size_t least_child(const candidate *heap, size_t first, size_t n) {
    size_t least = first, end = first + ARITY < n ? first + ARITY : n;
    for (size_t i = first + 1; i < end; i++) {
        if (heap[i].turn < heap[least].turn) least = i;
    }
    return least;
}

static candidate pop(work *w) {
    candidate *heap = w->heap, top = heap[0], last = heap[--w->n_heap];
    size_t i = 0;
    for (size_t first; (first = ARITY * i + 1) < w->n_heap;) {
        size_t child = least_child(heap, first, w->n_heap);
        if (last.turn <= heap[child].turn) break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = last;
    return top;
}

/* ---- merging --------------------------------------------------------------------------------- */

enum {
    WINDOW = 16 << 10,   /* bytes: what is needed for it stays in the second-level cache */
    MAX_LOOKAHEAD = 512, /* no windows where a name is longer: to look for it costs the square of that */
};

typedef struct {
    const gguf_vocab *v;
    work *w;
    const merge_rules *rules;
    const char *p, *end; /* the window begins at p, the word ends at `end` */
    size_t sure;
    size_t least; /* bytes of the piece that stands at `sure`, at least */
} window;

static void set_piece(symbol *symbols, size_t at, size_t n, int32_t id) {
    symbols[at + n - 1] = (symbol){NOT_A_HEAD, (uint32_t)n};
    symbols[at] = (symbol){id, (uint32_t)n};
}

/* Cuts at most n bytes into the pieces to start with. */
static bool begin_window(window *m, size_t n) {
    work *w = m->w;
    symbol *symbols = grow(w->symbols, &w->symbol_room, n, sizeof *symbols, false, "the pieces of a word", w->err);
    if (!symbols) return false;
    w->symbols = symbols;
    candidate *heap = grow(w->heap, &w->heap_room, 2 * n + 1, sizeof *heap, false, "the pieces of a word", w->err);
    if (!heap) return false;
    w->heap = heap;
    w->n_heap = 0;
    m->sure = 0;
    m->least = 1;
    while (m->sure < n) {
        int32_t id = GGUF_NO_TOKEN;
        size_t bytes = m->rules->first(m->v, m->p + m->sure, m->end, &id);
        if (bytes > n - m->sure) break;
        for (size_t i = 1; i < bytes; i++) symbols[m->sure + i].id = NOT_A_HEAD;
        set_piece(symbols, m->sure, bytes, id);
        m->sure += bytes;
    }
    return true;
}

static void try_pair(const window *m, size_t left, size_t right) {
    symbol l = m->w->symbols[left], r = m->w->symbols[right];
    uint32_t place;
    int32_t id;
    if (!m->rules->pair(m->v, m->p + left, l, r, &place, &id)) return;
    push(m->w, (candidate){(uint64_t)place << 32 | left, l.n + r.n, id});
}

/* For the last piece before `sure`. */
static void try_cross(const window *m) {
    if (m->sure == 0 || m->p + m->sure == m->end) return;
    size_t left = m->sure - m->w->symbols[m->sure - 1].n;
    symbol l = m->w->symbols[left];
    uint32_t place;
    if (!m->rules->cross(m->v, m->w, m->p + left, l, m->least, m->end, &place)) return;
    push(m->w, (candidate){(uint64_t)place << 32 | left, l.n, MAY_CROSS});
}

static void give_up_last(window *m, size_t left) {
    m->least = m->sure - left;
    m->sure = left;
    try_cross(m);
}

static void merge_pair(window *m, size_t left, candidate c) {
    symbol *symbols = m->w->symbols;
    symbols[left + symbols[left].n].id = NOT_A_HEAD;
    set_piece(symbols, left, c.n, c.id);
    if (left > 0) try_pair(m, left - symbols[left - 1].n, left);
    if (left + c.n < m->sure)
        try_pair(m, left, left + c.n);
    else
        try_cross(m);
}

/* Merges what can be merged before m->sure, which may move towards the beginning. */
static void merge_window(window *m) {
    const symbol *symbols = m->w->symbols;
    for (size_t left = 0, right; (right = left + symbols[left].n) < m->sure; left = right) try_pair(m, left, right);
    try_cross(m);
    while (m->w->n_heap > 0) {
        candidate c = pop(m->w);
        size_t left = (uint32_t)c.turn, right = left + symbols[left].n;
        if (symbols[left].id == NOT_A_HEAD || left + c.n > m->sure) continue;
        if (c.id == MAY_CROSS) {
            if (right == m->sure && symbols[left].n == c.n) give_up_last(m, left);
        } else if (right < m->sure && symbols[left].n + symbols[right].n == c.n) {
            merge_pair(m, left, c);
        }
    }
}

bool work_merge(const gguf_vocab *v, work *w, str word, const merge_rules *rules) {
    window m = {.v = v, .w = w, .rules = rules, .p = word.p, .end = word.p + word.n};
    if (v->longest > MAX_LOOKAHEAD) w->no_windows = true;
    while (m.p < m.end) {
        size_t left = (size_t)(m.end - m.p), n = left < WINDOW || w->no_windows ? left : WINDOW;
        if (!begin_window(&m, n)) return false;
        merge_window(&m);
        for (size_t at = 0; at < m.sure; at += w->symbols[at].n) {
            if (!rules->emit(v, w, m.p + at, w->symbols[at])) return false;
        }
        m.p += m.sure;
        if (m.sure < n / 2) w->no_windows = true;
    }
    return true;
}
