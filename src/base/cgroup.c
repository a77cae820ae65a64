#include "base/cgroup.h"

#include <stdio.h>
#include <string.h>

bool read_first_line(const char *path, char *out, size_t size) {
    FILE *f = fopen(path, "re");
    if (!f) return false;
    bool ok = fgets(out, (int)size, f) != NULL;
    fclose(f);
    if (ok) out[strcspn(out, "\n")] = 0;
    return ok;
}

/* The line "0::/path" of /proc/self/cgroup, after its first three characters. */
static bool own_group(char *out, size_t size) {
    FILE *f = fopen("/proc/self/cgroup", "re");
    if (!f) return false;
    bool found = false;
    while (!found && fgets(out, (int)size, f)) found = strncmp(out, "0::", 3) == 0;
    fclose(f);
    if (!found) return false;
    memmove(out, out + 3, strlen(out + 3) + 1);
    out[strcspn(out, "\n")] = 0;
    return true;
}

uint64_t cgroup_least(const char *file, uint64_t (*parse)(const char *line)) {
    char group[4096], path[4400], line[128];
    uint64_t least = UINT64_MAX;
    if (!own_group(group, sizeof group)) return least;
    for (;;) {
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/%s", group, file);
        if (read_first_line(path, line, sizeof line)) {
            uint64_t v = parse(line);
            least = v < least ? v : least;
        }
        char *slash = strrchr(group, '/'); /* the group above; "" is the root */
        if (!slash) return least;
        *slash = 0;
    }
}
