#include "base/file_map.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The maps a SIGBUS may point into. A signal handler can only look at something global; slots are
 * claimed and released with atomics. A program with more maps than slots has the rest unguarded. */
enum { MAX_GUARDED = 256 };
static struct { atomic_uintptr_t begin, end; } guarded[MAX_GUARDED];

static int guard(uintptr_t begin, uintptr_t end) {
    for (int i = 0; i < MAX_GUARDED; i++) {
        uintptr_t expected = 0;
        if (atomic_compare_exchange_strong(&guarded[i].end, &expected, end)) {
            atomic_store(&guarded[i].begin, begin);
            return i;
        }
    }
    return -1;
}

static void on_sigbus(int sig, siginfo_t *info, void *context) {
    (void)context;
    uintptr_t at = (uintptr_t)info->si_addr;
    for (int i = 0; i < MAX_GUARDED; i++) {
        uintptr_t begin = atomic_load(&guarded[i].begin);
        if (begin && at >= begin && at < atomic_load(&guarded[i].end)) {
            static const char text[] =
                "gguf: the model file became shorter, or could not be read, while it was in use\n";
            ssize_t ignored = write(STDERR_FILENO, text, sizeof text - 1);
            (void)ignored;
            _exit(GGUF_ERR_RUN);
        }
    }
    signal(sig, SIG_DFL); /* not ours: the fault happens again and ends the program as it would have */
}

void gguf_catch_file_faults(void) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_sigbus;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGBUS, &action, NULL);
}

static const char *kind_of(mode_t mode) {
    return S_ISDIR(mode)    ? "a directory"
           : S_ISFIFO(mode) ? "a FIFO"
           : S_ISSOCK(mode) ? "a socket"
           : S_ISCHR(mode)  ? "a character device"
           : S_ISBLK(mode)  ? "a block device"
                            : "no regular file";
}

static void *reserve(size_t n, int fd) {
    void *p = fd >= 0 ? mmap(NULL, n, PROT_READ, MAP_SHARED, fd, 0)
                      : mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static bool read_all(int fd, uint8_t *out, size_t n, const char *path, gguf_error *err) {
    for (size_t done = 0; done < n;) {
        size_t want = n - done < (64u << 20) ? n - done : 64u << 20;
        ssize_t got = pread(fd, out + done, want, (off_t)done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(err, GGUF_ERR_MODEL, "%s: cannot read at byte %zu: %s", path, done, strerror(errno));
        if (got == 0)
            return fail(err, GGUF_ERR_MODEL, "%s: the file became shorter while it was read (at byte %zu)", path, done);
        done += (size_t)got;
    }
    return true;
}

bool file_map_open(file_map *m, const char *path, bool no_mmap, gguf_error *err) {
    *m = (file_map){.slot = -1};
    /* O_NONBLOCK: opening a FIFO must not wait for a writer. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return fail(err, GGUF_ERR_MODEL, "%s: cannot open: %s", path, strerror(errno));
    struct stat st;
    if (fstat(fd, &st) != 0) {
        fail(err, GGUF_ERR_MODEL, "%s: cannot look at the file: %s", path, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        fail(err, GGUF_ERR_MODEL, "%s: is %s, not a GGUF file", path, kind_of(st.st_mode));
    } else if (st.st_size == 0) {
        fail(err, GGUF_ERR_MODEL, "%s: the file is empty: the download has not begun or has failed", path);
    } else if ((uint64_t)st.st_size > SIZE_MAX / 2) {
        fail(err, GGUF_ERR_MEMORY, "%s: %lld bytes do not fit into this machine's address space", path,
             (long long)st.st_size);
    } else if (no_mmap && (uint64_t)st.st_size > memory_limit()) {
        fail(err, GGUF_ERR_MEMORY, "%s: %lld bytes do not fit into this machine's memory: leave out --no-mmap", path,
             (long long)st.st_size);
    } else {
        m->n = (size_t)st.st_size;
        void *p = reserve(m->n, no_mmap ? -1 : fd);
        if (!p) {
            fail(err, GGUF_ERR_MEMORY, "%s: cannot %s %zu bytes: %s", path, no_mmap ? "reserve" : "map", m->n,
                 strerror(errno));
        } else if (no_mmap && !read_all(fd, p, m->n, path, err)) {
            munmap(p, m->n);
        } else {
            m->data = p;
            m->mapped = !no_mmap;
            if (m->mapped) m->slot = guard((uintptr_t)p, (uintptr_t)p + m->n);
        }
    }
    close(fd);
    return m->data != NULL;
}

void file_map_close(file_map *m) {
    if (!m->data) return;
    if (m->slot >= 0) {
        atomic_store(&guarded[m->slot].begin, 0);
        atomic_store(&guarded[m->slot].end, 0);
    }
    munmap((void *)(uintptr_t)m->data, m->n);
    *m = (file_map){.slot = -1};
}

bool file_map_lock(const file_map *m) { return mlock(m->data, m->n) == 0; }
