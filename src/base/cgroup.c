#include "base/cgroup.h"

#include <stdio.h>
#include <string.h>

enum { MAX_PATH = 4400 };

bool read_first_line(const char *folder, const char *file, char *out, size_t size) {
    char path[MAX_PATH + 64];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    FILE *f = fopen(path, "re");
    if (!f) return false;
    bool ok = fgets(out, (int)size, f) != NULL;
    fclose(f);
    if (ok) out[strcspn(out, "\n")] = 0;
    return ok;
}

/* Whether a list such as "cpu,cpuacct" [0..n) names the controller. */
static bool names(const char *list, size_t n, const char *controller) {
    size_t length = strlen(controller);
    for (const char *p = list, *end = list + n; p < end;) {
        size_t word = strcspn(p, ",:");
        if (word == length && memcmp(p, controller, length) == 0) return true;
        p += word + 1;
    }
    return false;
}

/* The folder that a line of /proc/self/cgroup, "number:controllers:/path", stands for; version 2 has no controllers. */
static bool folder_of(char *line, const char *controller, char *out, size_t size, size_t *root) {
    char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
    if (!path) return false;
    size_t n = (size_t)(path - (list + 1));
    if (n > 0 && !names(list + 1, n, controller)) return false;
    path[1 + strcspn(path + 1, "\n")] = 0;
    *root = (size_t)snprintf(out, size, "/sys/fs/cgroup%s%s", n ? "/" : "", n ? controller : "");
    snprintf(out + *root, size - *root, "%s", strcmp(path + 1, "/") == 0 ? "" : path + 1);
    return true;
}

uint64_t cgroup_least(const char *controller, uint64_t (*limit)(const char *folder)) {
    char line[4200], folder[MAX_PATH];
    uint64_t least = UINT64_MAX;
    FILE *f = fopen("/proc/self/cgroup", "re");
    if (!f) return least;
    while (fgets(line, sizeof line, f)) {
        size_t root;
        if (!folder_of(line, controller, folder, sizeof folder, &root)) continue;
        for (;;) { /* from the group up to the root */
            uint64_t v = limit(folder);
            least = v < least ? v : least;
            char *slash = strrchr(folder + root, '/');
            if (!slash) break;
            *slash = 0;
        }
    }
    fclose(f);
    return least;
}
