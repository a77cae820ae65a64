/* The file holds a message a line; a newline in it stands as \n and a backslash as \\. */
#include "cli/history.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/new_file.h"
#include "cli/input.h"

char *history_default_path(void) {
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    bool own = state && *state == '/'; /* a relative one is to be ignored, says the XDG specification */
    char *path = NULL;
    if (!own && (!home || !*home)) return NULL;
    int n = asprintf(&path, "%s%s/gguf/history", own ? state : home, own ? "" : "/.local/state");
    return n < 0 ? NULL : path;
}

bool is_blank(const char *text, size_t n) {
    while (n > 0 && (*text == ' ' || *text == '\n' || *text == '\t')) text++, n--;
    return n == 0;
}

static bool keep(history *h, const char *text, size_t n) {
    const history_item *last = h->n ? &h->items[h->n - 1] : NULL;
    if (is_blank(text, n) || n > HISTORY_MAX_TEXT || (last && last->n == n && memcmp(last->text, text, n) == 0))
        return false;
    if (h->n == HISTORY_MAX) {
        free(h->items[0].text);
        memmove(h->items, h->items + 1, --h->n * sizeof *h->items);
    }
    history_item *items = realloc(h->items, (h->n + 1) * sizeof *items);
    if (items) h->items = items;
    char *copy = items ? malloc(n) : NULL;
    if (!copy) return false;
    memcpy(copy, text, n);
    h->items[h->n++] = (history_item){copy, n};
    return true;
}

static void add_escaped(buffer *b, const char *text, size_t n) {
    for (size_t i = 0; i < n; i++) {
        bool special = text[i] == '\n' || text[i] == '\\';
        if (special) buffer_add(b, "\\", 1);
        buffer_add(b, text[i] == '\n' ? "n" : &text[i], 1);
    }
    buffer_add(b, "\n", 1);
}

/* Makes the folders above the file; those that are there are fine. */
static void make_folders(const char *path) {
    char *copy = strdup(path);
    for (char *slash = copy ? strchr(copy + 1, '/') : NULL; slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(copy, 0700);
        *slash = '/';
    }
    free(copy);
}

/* Writes the messages kept as a new file. */
static bool shorten(const history *h, gguf_error *err) {
    new_file f = {.fd = -1};
    buffer all = {0};
    for (size_t i = 0; i < h->n; i++) add_escaped(&all, h->items[i].text, h->items[i].n);
    bool ok = (!all.failed || fail_memory(err, "the history", all.n)) && new_file_open(&f, h->path, false, err) &&
              (fchmod(f.fd, 0600) == 0 || fail(err, GGUF_ERR_RUN, "%s: cannot be made private", h->path)) &&
              new_file_write(&f, all.data, all.n, err) && new_file_commit(&f, err);
    new_file_close(&f);
    buffer_free(&all);
    return ok;
}

bool history_load(history *h, gguf_error *err) {
    struct stat st;
    if (!h->path || stat(h->path, &st) != 0) return true;
    if (!S_ISREG(st.st_mode)) return fail(err, GGUF_ERR_RUN, "%s: the history is no regular file", h->path);
    buffer file = {0}, line = {0};
    bool ok = read_file(h->path, &file, err);
    size_t n_lines = 0;
    for (size_t i = 0; ok && i < file.n; i++) {
        char c = file.data[i];
        if (c == '\n') {
            keep(h, line.data, line.n);
            line.n = 0;
            n_lines++;
            continue;
        }
        if (c == '\\' && i + 1 < file.n) c = file.data[++i] == 'n' ? '\n' : file.data[i];
        buffer_add(&line, &c, 1);
    }
    buffer_free(&file);
    buffer_free(&line);
    return ok && (n_lines < 2 * HISTORY_MAX || shorten(h, err));
}

bool history_add(history *h, const char *text, size_t n, gguf_error *err) {
    if (!keep(h, text, n) || !h->path) return true;
    make_folders(h->path);
    int fd = open(h->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
    if (fd < 0) return fail(err, GGUF_ERR_RUN, "%s: the history cannot be kept: %s", h->path, strerror(errno));
    buffer line = {0};
    add_escaped(&line, text, n);
    ssize_t written = line.failed ? -1 : write(fd, line.data, line.n);
    bool ok = written == (ssize_t)line.n;
    if (!ok) fail(err, GGUF_ERR_RUN, "%s: the history cannot be kept: %s", h->path, strerror(errno));
    buffer_free(&line);
    close(fd);
    return ok;
}

void history_free(history *h) {
    for (size_t i = 0; i < h->n; i++) free(h->items[i].text);
    free(h->items);
    free(h->path);
    *h = (history){0};
}
