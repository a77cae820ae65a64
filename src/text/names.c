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
    t->key = hash_key();
    for (uint32_t id = 0; id < v->n; id++) {
        str name = vocab_name(v, (int32_t)id);
        uint64_t hash = vocab_hash(v, name);
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
    return vocab_find_hashed(v, name, vocab_hash(v, name));
}

void vocab_find_bytes(gguf_vocab *v) {
    static const char hex[] = "0123456789ABCDEF";
    for (int byte = 0; byte < 256; byte++) {
        char name[6] = {'<', '0', 'x', hex[byte >> 4], hex[byte & 15], '>'};
        v->bytes[byte] = vocab_find(v, (str){name, sizeof name});
    }
}

int32_t vocab_find_text(const gguf_vocab *v, str name) { return vocab_text_id(v, vocab_find(v, name)); }

bool vocab_build_trie(gguf_vocab *v, const vocab_source *src) {
    trie_entry *entries = malloc(v->n * sizeof *entries);
    if (!entries) return fail_memory(src->err, "the trie of tokens", v->n * sizeof *entries);
    size_t n = 0, too_long = 0;
    for (uint32_t id = 0; id < v->n; id++) {
        str name = vocab_name(v, (int32_t)id);
        if (name.n == 0 || vocab_is_special(v->types[id]) || v->types[id] == GGUF_TOKEN_BYTE) continue;
        if (name.n > TRIE_MAX_NAME)
            too_long++;
        else
            entries[n++] = (trie_entry){name, (int32_t)id};
    }
    if (too_long > 0) {
        warnf(src->warn, src->warn_ctx, "%zu tokens have names of more than %d bytes and are never used", too_long,
              TRIE_MAX_NAME);
    }
    bool ok = trie_build(&v->trie, entries, n, &v->mem, src->err);
    free(entries);
    return ok;
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

/* Some tokenizers take away the white space beside a special token. Files do not say so: what a key of the file holds
 * gives them away. */
static const struct {
    str key;
    const char *parts; /* one of them stands in the value, whatever the case; separated by spaces */
    const char *only;  /* the token meant; NULL: all but those named below */
    uint16_t strips;
} strip_rules[] = {
    {STR("tokenizer.ggml.pre"), "jina-v2-de jina-v2-es jina-v2-code", "<mask>", STRIPS_LEFT},
    {STR("general.architecture"), "nomic-bert-moe jina-bert-v3", "<mask>", STRIPS_LEFT},
    {STR("general.name"), "modern-bert", "[MASK]", STRIPS_LEFT},
    {STR("general.name"), "phi-3 phi3", NULL, STRIPS_RIGHT},
};
static const char *const never_stripped[] = {"<unk>", "<s>", "<|endoftext|>"};

static char to_lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c; }

/* Whether text holds one of the words of a list, which are small. */
static bool holds_one(str text, const char *list) {
    for (size_t n; *list; list += n + (list[n] == ' ')) {
        n = strcspn(list, " ");
        for (size_t at = 0; at + n <= text.n; at++) {
            size_t same = 0;
            while (same < n && to_lower(text.p[at + same]) == list[same]) same++;
            if (same == n) return true;
        }
    }
    return false;
}

static bool is_never_stripped(str name) {
    for (size_t i = 0; i < sizeof never_stripped / sizeof *never_stripped; i++) {
        if (str_is(name, never_stripped[i])) return true;
    }
    return false;
}

static void set_strips(mark *marks, size_t n, const gguf_file *file) {
    for (size_t r = 0; r < sizeof strip_rules / sizeof *strip_rules; r++) {
        const gguf_kv *kv = gguf_file_find_kv(file, strip_rules[r].key);
        str value;
        if (!kv || !kv_string(kv, &value) || !holds_one(value, strip_rules[r].parts)) continue;
        for (size_t i = 0; i < n; i++) {
            str name = {marks[i].p, marks[i].n};
            bool meant = strip_rules[r].only ? str_is(name, strip_rules[r].only) : !is_never_stripped(name);
            if (meant) marks[i].strips |= strip_rules[r].strips;
        }
    }
}

bool vocab_index_marks(gguf_vocab *v, const vocab_source *src) {
    size_t n = 0, too_long = 0;
    for (uint32_t id = 0; id < v->n; id++)
        n += vocab_is_special(v->types[id]) || v->types[id] == GGUF_TOKEN_USER_DEFINED;
    v->marks = arena_alloc(&v->mem, n, sizeof *v->marks, "the table of special tokens", src->err);
    if (!v->marks) return false;
    n = 0;
    for (uint32_t id = 0; id < v->n; id++) {
        str name = vocab_name(v, (int32_t)id);
        if (name.n == 0 || !(vocab_is_special(v->types[id]) || v->types[id] == GGUF_TOKEN_USER_DEFINED)) continue;
        if (name.n > MAX_MARK_BYTES) {
            too_long++;
            continue;
        }
        v->marks[n++] = (mark){.p = name.p, .n = (uint16_t)name.n, .id = (int32_t)id};
    }
    if (too_long > 0) {
        warnf(src->warn, src->warn_ctx,
              "%zu special tokens have names of more than %d bytes and are not looked for in text", too_long,
              MAX_MARK_BYTES);
    }
    qsort(v->marks, n, sizeof *v->marks, by_bytes);
    n = drop_equal(v->marks, n);
    set_strips(v->marks, n, src->file);
    for (size_t i = 0; i < n; i++) {
        uint8_t byte = (uint8_t)v->marks[i].p[0];
        v->mark_at[byte + 1]++;
        v->begins_mark[1][byte] = true;
        if (v->types[v->marks[i].id] == GGUF_TOKEN_USER_DEFINED) v->begins_mark[0][byte] = true;
    }
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

const mark *vocab_match_mark(const gguf_vocab *v, const char *p, const char *end, size_t special) {
    const mark *marks = v->marks, *best = NULL;
    uint32_t lo = v->mark_at[(uint8_t)*p], hi = v->mark_at[(uint8_t)*p + 1];
    /* marks[lo .. hi) begin with p[0 .. depth); of these, the one of just that length comes first */
    for (uint32_t depth = 1; lo < hi; depth++) {
        if (marks[lo].n == depth) {
            if (depth <= special || v->types[marks[lo].id] == GGUF_TOKEN_USER_DEFINED) best = &marks[lo];
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
