/* Limits of the control groups that this process runs in. */
#ifndef BASE_CGROUP_H
#define BASE_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The least of limit(folder) over the folders of this process's group and of all groups above it, in version 2 and
 * under the controller ("cpu", "memory") of version 1; limit gives UINT64_MAX where the folder names none. */
uint64_t cgroup_least(const char *controller, uint64_t (*limit)(const char *folder));

/* The first line of a file in a folder, without its newline; false where there is none. */
bool read_first_line(const char *folder, const char *file, char *out, size_t size);

#endif
