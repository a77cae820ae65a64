#include "sample/dry.h"

#include <stdlib.h>
#include <string.h>

#include "kernel/fmath.h"

/* "All" of a text, of the bytes of a breaker, and of the tokens after its head. The history is address space, touched
 * as the text grows. */
enum { ALL = 1 << 20, MAX_BREAKER = 40, MAX_TAIL = 20, MAX_PIECE = 1024 };

/* ---- breakers -------------------------------------------------------------------------------- */

/* The array with room for one more than n; NULL where there is no memory, and the array stays as it is. */
static void *grow(void *array, size_t n, size_t *room, size_t size) {
    if (n < *room) return array;
    size_t more = *room ? 2 * *room : 64;
    void *grown = realloc(array, more * size);
    if (grown) *room = more;
    return grown;
}

static bool add_breaker(dry *d, int32_t head, const int32_t *tail, size_t n, gguf_error *err) {
    dry_breaker *breakers = grow(d->breakers, d->n_breakers, &d->room_breakers, sizeof *breakers);
    if (!breakers) return fail_memory(err, "the sequence breakers", d->room_breakers * 2 * sizeof *breakers);
    d->breakers = breakers;
    breakers[d->n_breakers++] = (dry_breaker){head, (uint32_t)d->n_tails, (uint32_t)n};
    for (size_t i = 0; i < n; i++) {
        int32_t *tails = grow(d->tails, d->n_tails, &d->room_tails, sizeof *tails);
        if (!tails) return fail_memory(err, "the sequence breakers", d->room_tails * 2 * sizeof *tails);
        d->tails = tails;
        tails[d->n_tails++] = tail[i];
    }
    return true;
}

/* The token's text ends with the breaker's first k bytes: the rest must follow as tokens. */
static bool add_split(dry *d, const gguf_vocab *v, int32_t head, const char *rest, size_t n, gguf_error *err) {
    int32_t *ids = NULL;
    ptrdiff_t n_ids = gguf_vocab_tokenize(v, rest, n, &(gguf_tokenize_params){.no_bos = true}, &ids, err);
    bool ok = n_ids >= 0 && add_breaker(d, head, ids, n_ids < MAX_TAIL ? (size_t)n_ids : MAX_TAIL, err);
    free(ids);
    return ok;
}

/* Every token in which the text of a breaker stands or begins. */
static bool find_heads(dry *d, const gguf_vocab *v, const char *text, gguf_error *err) {
    size_t n = strnlen(text, MAX_BREAKER);
    if (n == 0) return fail(err, GGUF_ERR_USAGE, "a sequence breaker is empty");
    for (uint32_t id = 0; id < gguf_vocab_size(v); id++) {
        char piece[MAX_PIECE];
        gguf_detokenizer state = {.inside = true, .special = true};
        size_t size = gguf_vocab_detokenize(v, &state, (int32_t)id, piece, sizeof piece);
        if (size > sizeof piece) size = sizeof piece;
        if (memmem(piece, size, text, n)) {
            if (!add_breaker(d, (int32_t)id, NULL, 0, err)) return false;
            continue;
        }
        for (size_t k = 1; k < n && k <= size; k++) {
            if (memcmp(piece + size - k, text, k) != 0) continue;
            if (!add_split(d, v, (int32_t)id, text + k, n - k, err)) return false;
        }
    }
    return true;
}

static int by_head(const void *a, const void *b) {
    const dry_breaker *x = a, *y = b;
    return x->head < y->head ? -1 : x->head > y->head;
}

/* The first breaker with this head, or the end. */
static size_t first_breaker(const dry *d, int32_t head) {
    size_t low = 0, high = d->n_breakers;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (d->breakers[mid].head < head) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

/* ---- opening --------------------------------------------------------------------------------- */

bool dry_open(dry *d, uint32_t n_vocab, const gguf_sampler_params *p, gguf_error *err) {
    if (p->dry_multiplier == 0 || p->dry_last_n == 0) return true;
    if (p->n_dry_breakers && !p->vocab)
        return fail(err, GGUF_ERR_USAGE, "DRY's sequence breakers need the vocabulary that they are made of");
    d->multiplier = p->dry_multiplier;
    d->base = p->dry_base;
    d->allowed_length = p->dry_allowed_length;
    d->last_n = p->dry_last_n < 0 || p->dry_last_n > ALL ? ALL : (size_t)p->dry_last_n;
    d->history = calloc(d->last_n, sizeof *d->history);
    d->repeat = calloc(d->last_n, sizeof *d->repeat);
    d->longest = calloc(n_vocab, sizeof *d->longest);
    if (!d->history || !d->repeat || !d->longest)
        return fail_memory(err, "DRY's history", d->last_n * 2 * sizeof *d->history);
    for (size_t i = 0; i < p->n_dry_breakers; i++) {
        if (!find_heads(d, p->vocab, p->dry_breakers[i], err)) return false;
    }
    if (d->n_breakers) qsort(d->breakers, d->n_breakers, sizeof *d->breakers, by_head);
    return true;
}

void dry_close(dry *d) {
    free(d->history);
    free(d->repeat);
    free(d->longest);
    free(d->breakers);
    free(d->tails);
}

void dry_accept(dry *d, int32_t id) {
    if (d->last_n == 0) return;
    d->history[d->at] = id;
    d->at = d->at + 1 == d->last_n ? 0 : d->at + 1;
    if (d->n < d->last_n) d->n++;
}

/* ---- applying -------------------------------------------------------------------------------- */

/* The id i places back; 0 is the last one. */
static int32_t back(const dry *d, size_t i) {
    return d->history[d->at > i ? d->at - 1 - i : d->at + d->last_n - 1 - i];
}

/* Tokens at the end that no breaker has cut off. */
static size_t unbroken(const dry *d) {
    for (size_t i = 0; i < d->n; i++) {
        int32_t id = back(d, i);
        size_t longest = 0;
        bool found = false;
        for (size_t b = first_breaker(d, id); b < d->n_breakers && d->breakers[b].head == id; b++) {
            size_t n = d->breakers[b].n_tail, k = 0;
            if (n > i) continue;
            while (k < n && d->tails[d->breakers[b].tail + k] == back(d, i - 1 - k)) k++;
            if (k < n) continue;
            found = true;
            longest = n > longest ? n : longest;
        }
        if (found) return i - longest;
    }
    return d->n;
}

/* repeat[k]: how many of the last tokens also stand k places earlier, by the Z algorithm over the text read backwards:
 * inside the rightmost stretch [left, right] that is known to equal the text's end, its own counts are copied. */
static void count_repeats(dry *d) {
    size_t left = 0, right = 0;
    for (size_t k = 1; k < d->n; k++) {
        size_t n = 0;
        if (k <= right) {
            n = d->repeat[k - left];
            if (n < right - k + 1) {
                d->repeat[k] = (uint32_t)n;
                continue;
            }
            n = right - k + 1;
        }
        while (n + k < d->n && back(d, n) == back(d, n + k)) n++;
        d->repeat[k] = (uint32_t)n;
        if (n > 0) {
            left = k;
            right = k + n - 1;
        }
    }
}

static bool is_breaker(const dry *d, int32_t id) {
    for (size_t b = first_breaker(d, id); b < d->n_breakers && d->breakers[b].head == id; b++) {
        if (d->breakers[b].n_tail == 0) return true;
    }
    return false;
}

/* multiplier * base^exponent, as far as a logit stays a finite float with it. */
static float penalty(const dry *d, uint32_t exponent) {
    double log_power = log_f64((double)d->base) * exponent;
    double p = (double)d->multiplier * exp_f64(log_power < 69 ? log_power : 69);
    return (float)(p < 1e30 ? (p > -1e30 ? p : -1e30) : 1e30);
}

void dry_apply(dry *d, candidates *c) {
    size_t allowed = d->allowed_length > 0 ? (size_t)d->allowed_length : 0;
    size_t limit = d->n > allowed ? unbroken(d) : 0;
    if (d->n <= allowed || limit < allowed) return;
    count_repeats(d);
    for (size_t k = 1; k < d->n; k++) { /* the id after a repeat would make it longer */
        size_t n = d->repeat[k] < limit ? d->repeat[k] : limit;
        uint32_t *longest = &d->longest[back(d, k - 1)];
        if (n >= allowed && n + 1 > *longest) *longest = (uint32_t)n + 1; /* + 1: an allowed length of 0 */
    }
    for (size_t k = 1; k < d->n; k++) {
        int32_t id = back(d, k - 1);
        uint32_t n = d->longest[id];
        d->longest[id] = 0;
        size_t i = n ? candidates_find(c, id) : c->n;
        if (i < c->n && !is_breaker(d, id)) c->logit[i] -= penalty(d, n - 1 - (uint32_t)allowed);
    }
}
