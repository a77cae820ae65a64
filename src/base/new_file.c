#include "base/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_TEMPORARY_NAMES = 1000, MAX_PATH_LENGTH = 4096 };

/* The temporary file that a signal's handler is to remove: in memory that is never released. One at a time; a second
 * one that is open beside it is not kept here. */
static char unfinished[MAX_PATH_LENGTH];

static void forget(const char *temporary) {
    if (temporary && strcmp(unfinished, temporary) == 0) unfinished[0] = 0;
}

void new_file_abandon(void) {
    if (unfinished[0]) unlink(unfinished);
}

static bool fail_io(const new_file *f, const char *what, gguf_error *err) {
    return fail(err, GGUF_ERR_RUN, "%s: cannot %s: %s", f->path, what, strerror(errno));
}

/* A new file beside the target, so that the final rename stays in one file system. */
static bool create_temporary(new_file *f, gguf_error *err) {
    size_t size = strlen(f->path) + 32;
    f->temporary = malloc(size);
    if (!f->temporary) return fail_memory(err, "a file name", size);
    for (int i = 0; i < MAX_TEMPORARY_NAMES && f->fd < 0; i++) {
        snprintf(f->temporary, size, "%s.%d-%d.tmp", f->path, (int)getpid() % 100000000, i);
        f->fd = open(f->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (f->fd < 0 && errno != EEXIST) break;
    }
    if (f->fd >= 0) {
        /* the first byte last: a signal finds a whole name or none */
        if (!unfinished[0] && strlen(f->temporary) < sizeof unfinished) {
            strcpy(unfinished + 1, f->temporary + 1);
            unfinished[0] = f->temporary[0];
        }
        return true;
    }
    fail_io(f, "create a temporary file beside it", err);
    free(f->temporary); /* perhaps the name of somebody else's file */
    f->temporary = NULL;
    return false;
}

bool new_file_open(new_file *f, const char *path, bool in_place, gguf_error *err) {
    struct stat st;
    f->path = strdup(path);
    if (!f->path) return fail_memory(err, "a file name", strlen(path));
    bool exists = stat(path, &st) == 0;
    if (!exists && errno != ENOENT) return fail_io(f, "write", err);
    if (exists && !S_ISREG(st.st_mode)) {
        if (!in_place || S_ISDIR(st.st_mode))
            return fail(err, GGUF_ERR_RUN, "%s: is no regular file, so that nothing can take its place", path);
        f->fd = open(path, O_WRONLY | O_CLOEXEC);
        return f->fd >= 0 || fail_io(f, "write", err);
    }
    if (exists) { /* where it is a link, what the link leads to */
        char *real = realpath(path, NULL);
        if (!real) return fail_io(f, "find", err);
        free(f->path);
        f->path = real;
    }
    return create_temporary(f, err);
}

bool new_file_write(new_file *f, const void *data, size_t n, gguf_error *err) {
    for (const char *p = data; n > 0;) {
        ssize_t done = write(f->fd, p, n);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return fail_io(f, "write", err);
        p += done;
        n -= (size_t)done;
    }
    return true;
}

/* Makes the new name last; where the directory cannot be opened or synced, the file itself is safe all the same. */
static void sync_directory(const char *path) {
    char dir[MAX_PATH_LENGTH];
    const char *slash = strrchr(path, '/');
    int n = snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    int fd = n < (int)sizeof dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    fsync(fd);
    close(fd);
}

bool new_file_commit(new_file *f, gguf_error *err) {
    if (f->temporary && fsync(f->fd) != 0) return fail_io(f, "write", err);
    int fd = f->fd;
    f->fd = -1;
    if (close(fd) != 0) return fail_io(f, "write", err);
    if (!f->temporary) return true;
    if (rename(f->temporary, f->path) != 0) return fail_io(f, "give the new file its name", err);
    forget(f->temporary);
    free(f->temporary);
    f->temporary = NULL;
    sync_directory(f->path);
    return true;
}

void new_file_close(new_file *f) {
    if (f->fd >= 0) close(f->fd);
    if (f->temporary) unlink(f->temporary);
    forget(f->temporary);
    free(f->temporary);
    free(f->path);
    *f = (new_file){.fd = -1};
}
