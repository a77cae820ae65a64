#include "base/memory.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cgroup.h"

void *memory_reserve(size_t n) {
    void *p = mmap(NULL, n ? n : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

void memory_release(void *p, size_t n) {
    if (p) munmap(p, n ? n : 1);
}

void memory_prefer_large_pages(void *p, size_t n) {
#ifdef MADV_HUGEPAGE
    madvise(p, n, MADV_HUGEPAGE); /* a wish: small pages do as well */
#else
    (void)p;
    (void)n;
#endif
}

static uint64_t least(uint64_t a, uint64_t b) { return a < b ? a : b; }

/* UINT64_MAX where there is no number ("max"). */
static uint64_t parse_number(const char *line) {
    char *end;
    unsigned long long v = strtoull(line, &end, 10);
    return end == line ? UINT64_MAX : v;
}

static uint64_t number_in(const char *folder, const char *file) {
    char line[64];
    return read_first_line(folder, file, line, sizeof line) ? parse_number(line) : UINT64_MAX;
}

/* By version 2 and by version 1. */
static uint64_t group_limit(const char *folder) {
    return least(number_in(folder, "memory.max"), number_in(folder, "memory.limit_in_bytes"));
}

uint64_t memory_limit(void) {
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t limit = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : UINT64_MAX;
    limit = least(limit, cgroup_least("memory", group_limit));
    struct rlimit as;
    if (getrlimit(RLIMIT_AS, &as) == 0 && as.rlim_cur != RLIM_INFINITY) {
        uint64_t mapped = number_in("/proc/self", "statm");
        mapped = mapped == UINT64_MAX ? 0 : mapped * (uint64_t)page;
        limit = least(limit, as.rlim_cur > mapped ? as.rlim_cur - mapped : 0);
    }
    return limit;
}
