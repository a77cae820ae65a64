/* The ids of words seen before in the same text: in natural text nine words in ten have stood there already. A slot
 * holds the last word that fell into it; memory is fixed, and a text of different words only pays for the look. */
#ifndef TEXT_WORD_CACHE_H
#define TEXT_WORD_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/str.h"

enum { CACHE_SLOTS = 1 << 13, CACHE_WORD = 30, CACHE_IDS = 8 };

typedef struct {
    uint8_t n, n_ids; /* n = 0: empty */
    char word[CACHE_WORD];
    int32_t ids[CACHE_IDS];
} cached_word; /* one cache line */

/* The slot of a word of 1 to CACHE_WORD bytes. Whatever words a text has, a look costs the same, so the hash needs no
 * key. */
static inline size_t cache_slot(str word) {
    uint64_t h = word.n;
    const char *p = word.p;
    size_t n = word.n;
    for (; n > 8; n -= 8, p += 8) h = (h ^ bytes_word(p, 8)) * 0x9E3779B97F4A7C15u, h ^= h >> 32;
    h = (h ^ bytes_word(p, n)) * 0x9E3779B97F4A7C15u;
    return (h >> 40) % CACHE_SLOTS;
}

static inline bool cache_holds(const cached_word *slot, str word) {
    return slot->n == word.n && memcmp(slot->word, word.p, word.n) == 0;
}

static inline void cache_store(cached_word *slot, str word, const int32_t *ids, size_t n_ids) {
    if (n_ids > CACHE_IDS) return;
    slot->n = (uint8_t)word.n;
    slot->n_ids = (uint8_t)n_ids;
    memcpy(slot->word, word.p, word.n);
    memcpy(slot->ids, ids, n_ids * sizeof *ids);
}

#endif
