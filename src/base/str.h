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

/* A 64-bit hash keyed with a number drawn once a process, so that no file can choose its collisions.
 * For tables in memory only: it differs from run to run. */
uint64_t str_hash(str s);
uint64_t u64_hash(uint64_t x);

#endif
