#include "base/str.h"

#include <pthread.h>
#include <time.h>

/* One 64-bit key a process: the addresses that ASLR chose, the clock, mixed. */
static uint64_t drawn_key;

static uint64_t mix(uint64_t x) { /* the finaliser of splitmix64 */
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static void draw_key(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    uint64_t stack = (uintptr_t)&t, code = (uintptr_t)&draw_key;
    drawn_key = mix(stack ^ mix(code ^ mix((uint64_t)t.tv_nsec + ((uint64_t)t.tv_sec << 30)))) | 1;
}

uint64_t hash_key(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, draw_key);
    return drawn_key;
}
