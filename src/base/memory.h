/* Address space that costs memory only where it is touched, and how much memory there can be. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* n zeroed bytes, aligned to pages; NULL where the system refuses. */
void *memory_reserve(size_t n);
void memory_release(void *p, size_t n);

/* What is touched from now on of a reserved area comes in large pages, where the system has them: fewer to look up, but
 * two megabytes at a time. */
void memory_prefer_large_pages(void *p, size_t n);

/* The most that this process could ever use besides what it has mapped: the least of the machine's memory, its
 * cgroup's limit, and what RLIMIT_AS leaves. */
uint64_t memory_limit(void);

#endif
