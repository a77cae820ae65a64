/* Limits of the control group (version 2) that this process runs in. */
#ifndef BASE_CGROUP_H
#define BASE_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The least of parse(first line of `file`) over this process's group and all groups above it, UINT64_MAX where none
 * has such a file. */
uint64_t cgroup_least(const char *file, uint64_t (*parse)(const char *line));

/* The first line of a file, without its newline; false where there is none. */
bool read_first_line(const char *path, char *out, size_t size);

#endif
