#include "text/unicode.h"

#include <string.h>

utf8_char utf8_decode(const char *p, const char *end) {
    static const struct {
        uint8_t mask, lead; /* of the first byte */
        uint32_t first;     /* the least code point of this length */
    } forms[] = {{0xE0, 0xC0, 0x80}, {0xF0, 0xE0, 0x800}, {0xF8, 0xF0, 0x10000}};
    static const utf8_char invalid = {UNICODE_INVALID, 1};
    const uint8_t *u = (const uint8_t *)p;
    if (u[0] < 0x80) return (utf8_char){u[0], 1};
    for (uint32_t form = 0; form < 3; form++) {
        if ((u[0] & forms[form].mask) != forms[form].lead) continue;
        uint32_t n = form + 2, cp = u[0] & (uint8_t)~forms[form].mask;
        if ((size_t)(end - p) < n) return invalid;
        for (uint32_t i = 1; i < n; i++) {
            if ((u[i] & 0xC0) != 0x80) return invalid;
            cp = cp << 6 | (u[i] & 0x3F);
        }
        if (cp < forms[form].first || cp >= 0x110000 || (cp >= 0xD800 && cp < 0xE000)) return invalid;
        return (utf8_char){cp, n};
    }
    return invalid;
}

size_t utf8_encode(uint32_t cp, char *out) {
    size_t n = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    if (n == 1) {
        out[0] = (char)cp;
        return 1;
    }
    for (size_t i = n; i-- > 1; cp >>= 6) out[i] = (char)(0x80 | (cp & 0x3F));
    out[0] = (char)(0xF00u >> n | cp); /* 110x, 1110, 1111 0 */
    return n;
}

/* ---- mappings -------------------------------------------------------------------------------- */

/* The entry for cp in a sorted array of n entries that begin with a code point; NULL where there is none. */
static const void *find_entry(const void *entries, size_t n, size_t size, uint32_t cp) {
    const char *base = entries;
    while (n > 0) {
        const char *middle = base + n / 2 * size;
        uint32_t at;
        memcpy(&at, middle, sizeof at);
        if (at == cp) return middle;
        if (at < cp) {
            base = middle + size;
            n -= n / 2 + 1;
        } else {
            n /= 2;
        }
    }
    return NULL;
}

/* Hangul syllables are not in the table: they are numbered by their two or three letters. */
static size_t decompose_hangul(uint32_t syllable, uint32_t out[4]) {
    enum { LEADS = 0x1100, VOWELS = 0x1161, TAILS = 0x11A7, N_VOWELS = 21, N_TAILS = 28 };
    out[0] = LEADS + syllable / (N_VOWELS * N_TAILS);
    out[1] = VOWELS + syllable / N_TAILS % N_VOWELS;
    out[2] = TAILS + syllable % N_TAILS;
    return out[2] == TAILS ? 2 : 3;
}

size_t unicode_decompose(uint32_t cp, uint32_t out[4]) {
    out[0] = cp;
    if (cp < 0xC0) return 1;
    if (cp >= 0xAC00 && cp <= 0xD7A3) return decompose_hangul(cp - 0xAC00, out);
    const unicode_decomposition *d =
        find_entry(unicode_decompositions, unicode_n_decompositions, sizeof *unicode_decompositions, cp);
    if (!d) return 1;
    size_t n = 0;
    for (; n < 4 && d->parts[n]; n++) out[n] = d->parts[n];
    return n;
}

/* The simple case mapping: one code point. */
static uint32_t simple_case(uint32_t cp, unicode_case_kind kind) {
    size_t lo = 0, hi = unicode_n_cases;
    while (lo < hi) { /* the first row that does not end before cp */
        size_t mid = lo + (hi - lo) / 2;
        if (unicode_cases[mid].last < cp)
            lo = mid + 1;
        else
            hi = mid;
    }
    const unicode_case *row = &unicode_cases[lo];
    if (lo < unicode_n_cases && cp >= row->first && (cp - row->first) % row->step == 0)
        return (uint32_t)((int32_t)cp + row->delta[kind]);
    return cp;
}

uint32_t unicode_to_lower(uint32_t cp) {
    if (cp < 0x80) return cp >= 'A' && cp <= 'Z' ? cp | 0x20 : cp;
    return simple_case(cp, UNICODE_LOWER);
}

size_t unicode_change_case(uint32_t cp, unicode_case_kind kind, uint32_t out[3]) {
    for (size_t i = 0; cp >= 0xDF && i < unicode_n_special_cases; i++) { /* a hundred rows */
        const unicode_special_case *s = &unicode_special_cases[i];
        if (s->cp != cp) continue;
        size_t n = 0;
        while (n < 3 && s->to[kind][n]) out[n] = s->to[kind][n], n++;
        return n;
    }
    out[0] = simple_case(cp, kind);
    return 1;
}

int unicode_width(uint32_t cp) {
    if (cp < 0x300 || cp >= 0x110000) return 1; /* terminals show the soft hyphen */
    if (unicode_set(cp) & (UNI_Mn | UNI_Me | UNI_Cf)) return 0;
    if (cp >= 0x1160 && cp < 0x1200) return 0; /* vowels and finals of Hangul join the letter before */
    return unicode_class[unicode_block[cp / UNICODE_BLOCK]][cp % UNICODE_BLOCK] & UNICODE_CLASS_WIDE ? 2 : 1;
}
