#include "base/str.h"

#include <pthread.h>
#include <time.h>

/* One 64-bit key a process: the addresses that ASLR chose, the clock, mixed. */
static uint64_t hash_key;

static uint64_t mix(uint64_t x) { /* the finaliser of splitmix64 */
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static void draw_key(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    uint64_t stack = (uintptr_t)&t, code = (uintptr_t)&draw_key;
    hash_key = mix(stack ^ mix(code ^ mix((uint64_t)t.tv_nsec + ((uint64_t)t.tv_sec << 30)))) | 1;
}

static uint64_t key(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, draw_key);
    return hash_key;
}

/* Folds the 128-bit product of two words onto 64 bits. */
static uint64_t fold(uint64_t a, uint64_t b) {
    __extension__ typedef unsigned __int128 u128;
    u128 p = (u128)a * b;
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

uint64_t str_hash(str s) {
    uint64_t k = key(), h = k ^ s.n;
    size_t n = s.n;
    const char *p = s.p;
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        h = fold(h ^ w, 0x9E3779B97F4A7C15u ^ k);
    }
    uint64_t w = 0;
    if (n > 0) memcpy(&w, p, n);
    return mix(fold(h ^ w, 0xD6E8FEB86659FD93u ^ k));
}

uint64_t u64_hash(uint64_t x) { return mix(fold(x ^ key(), 0x9E3779B97F4A7C15u)); }
