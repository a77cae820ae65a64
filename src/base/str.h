/* String views: bytes with a length, not NUL-terminated, owned by somebody else (mostly the mapped file). */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct {
    const char *p;
    size_t n;
} str;

#define STR(literal) ((str){"" literal, sizeof(literal) - 1})
/* For printf's "%.*s"; a longer view is cut at 120 bytes. */
#define STR_ARG(s) ((int)((s).n < 120 ? (s).n : 120)), (s).p

static inline str str_of(const char *c) { return (str){c, strlen(c)}; }
static inline bool str_eq(str a, str b) { return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0); }
static inline bool str_is(str a, const char *c) { return str_eq(a, str_of(c)); }
static inline bool str_starts(str a, str head) { return a.n >= head.n && memcmp(a.p, head.p, head.n) == 0; }

/* The value of a hexadecimal digit, or -1. */
static inline int hex_digit(char c) {
    char small = c | 0x20;
    return c >= '0' && c <= '9' ? c - '0' : small >= 'a' && small <= 'f' ? small - 'a' + 10 : -1;
}

/* ---- hashes ---------------------------------------------------------------------------------- */

/* A number drawn once a process: hashes keyed with it have no collisions that a file could choose. They are for
 * tables in memory only, since they differ from run to run. */
uint64_t hash_key(void);

/* 1 to 8 bytes as a number; of the same n, others give another. Nothing behind them is read. */
static inline uint64_t bytes_word(const char *p, size_t n) {
    uint64_t a = 0, b = 0;
    if (n == 8) {
        memcpy(&a, p, 8);
    } else if (n >= 4) {
        memcpy(&a, p, 4);
        memcpy(&b, p + n - 4, 4);
    } else {
        a = (uint8_t)p[0];
        b = (uint64_t)(uint8_t)p[n / 2] << 8 | (uint8_t)p[n - 1];
    }
    return a | b << 32;
}

/* Folds the 128-bit product of two words onto 64 bits. */
static inline uint64_t hash_fold(uint64_t a, uint64_t b) {
    __extension__ typedef unsigned __int128 u128;
    u128 p = (u128)a * b;
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

static inline uint64_t u64_hash(uint64_t key, uint64_t x) { return hash_fold(x ^ key, 0x9E3779B97F4A7C15u ^ key >> 7); }

static inline uint64_t str_hash(uint64_t key, str s) {
    uint64_t h = key ^ s.n, factor = 0x9E3779B97F4A7C15u ^ key;
    if (s.n == 0) return hash_fold(h, factor);
    for (; s.n > 8; s.n -= 8, s.p += 8) h = hash_fold(h ^ bytes_word(s.p, 8), factor);
    return hash_fold(h ^ bytes_word(s.p, s.n), 0xD6E8FEB86659FD93u ^ key);
}

#endif
