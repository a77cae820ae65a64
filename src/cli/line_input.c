#include "cli/line_input.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "cli/interrupt.h"
#include "cli/terminal.h"

static void say_history(const line_input *in, const gguf_error *err) {
    if (err->code && in->verbose) print_line("run", err->message);
}

void line_input_start(line_input *in) {
    gguf_error err = {0};
    in->edits = !in->plain && terminal_can_edit() && terminal_set(TERMINAL_QUIET);
    in->edit.past = &in->past;
    if (in->edits) in->past.path = history_default_path();
    if (in->edits) history_load(&in->past, &err);
    say_history(in, &err);
}

static void flush_drawing(buffer *out) {
    for (size_t done = 0; done < out->n;) {
        ssize_t n = write(STDERR_FILENO, out->data + done, out->n - done);
        if (n < 0 && errno != EINTR) break;
        if (n > 0) done += (size_t)n;
    }
    out->n = 0;
}

static void redraw(line_input *in, buffer *out) {
    line_draw(&in->view, &in->edit, out);
    flush_drawing(out);
}

static void say_below(line_input *in, const char *text, buffer *out) {
    line_finish(&in->view, &in->edit, out);
    buffer_add(out, text, strlen(text));
    flush_drawing(out);
}

/* Does what a key asks for; true where that ends the message. */
static bool act(line_input *in, edit_event event, buffer *out) {
    switch (event) {
    case EDIT_MORE: break;
    case EDIT_ENTER:
    case EDIT_END:
        say_below(in, in->edit.full ? "(what was typed is longer than 16 MiB: the rest is left out)\r\n" : "", out);
        return true;
    case EDIT_CANCEL: say_below(in, "(again Ctrl-C, or Ctrl-D: the end)\r\n", out); break;
    case EDIT_CLEAR:
        buffer_add(out, "\x1B[H\x1B[2J", 7);
        in->view.cursor_row = 0;
        break;
    case EDIT_SUSPEND:
        say_below(in, "", out);
        terminal_suspend();
        break;
    }
    return false;
}

/* Signals that change what is waited for. They are held back but during the wait itself, so that none comes between a
 * look at what they set and the wait. */
static void hold_signals(sigset_t *before) {
    sigset_t held;
    sigemptyset(&held);
    sigaddset(&held, SIGWINCH);
    sigaddset(&held, SIGCONT);
    sigaddset(&held, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &held, before);
}

/* Reads keys until the message is whole; the screen is drawn when no more keys are waiting, so a paste is drawn once.
 * heard: the signals' mask for the wait. */
static line_result edit_message(line_input *in, buffer *out, const sigset_t *heard, gguf_error *err) {
    char key;
    redraw(in, out);
    for (;;) {
        struct pollfd waiting = {.fd = STDIN_FILENO, .events = POLLIN};
        if (interrupt_reason() == STOP_TIMEOUT) return say_below(in, "", out), LINE_END;
        if (terminal_changed()) {
            size_t columns, rows;
            terminal_set(TERMINAL_KEYS);
            terminal_size(&columns, &rows);
            line_resize(&in->view, &in->edit, columns, rows);
            redraw(in, out);
        }
        if (ppoll(&waiting, 1, NULL, heard) < 0 && errno == EINTR) continue;
        ssize_t n = read(STDIN_FILENO, &key, 1); /* one at a time: what follows Enter is the next message's */
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno != EIO) return fail(err, GGUF_ERR_RUN, "stdin: %s", strerror(errno)), LINE_FAILED;
        if (n <= 0) return LINE_END; /* the terminal went away */
        edit_event event = line_edit_byte(&in->edit, key);
        if (in->edit.text.failed) return fail_memory(err, "the message", in->edit.text.n), LINE_FAILED;
        if (act(in, event, out)) return event == EDIT_ENTER ? LINE_MESSAGE : LINE_END;
        if (poll(&waiting, 1, 0) <= 0) redraw(in, out);
    }
}

/* Lines of stdin as they are; one that ends in a backslash goes on in the next. */
static line_result plain_message(line_input *in, const char **text, size_t *n, gguf_error *err) {
    buffer *all = &in->edit.text;
    FILE *shown = isatty(STDERR_FILENO) ? stderr : isatty(STDOUT_FILENO) ? stdout : NULL;
    all->n = 0;
    ssize_t got = 0;
    for (bool more = true; more && got >= 0;) {
        if (shown) fputs(all->n ? "  " : "> ", shown);
        if (shown) fflush(shown);
        errno = 0;
        interrupt_polled(false);
        got = getline(&in->line, &in->line_room, stdin);
        interrupt_polled(true);
        size_t size = got > 0 ? (size_t)got : 0;
        while (size > 0 && (in->line[size - 1] == '\n' || in->line[size - 1] == '\r')) size--;
        more = size > 0 && in->line[size - 1] == '\\';
        if (more) in->line[size - 1] = '\n';
        buffer_add(all, in->line, size);
    }
    if (all->failed) return fail_memory(err, "the message", all->n), LINE_FAILED;
    if (got < 0 && errno != 0 && !feof(stdin))
        return fail(err, GGUF_ERR_RUN, "stdin: %s", strerror(errno)), LINE_FAILED;
    if (got < 0 && all->n == 0) return LINE_END;
    *text = all->data;
    *n = all->n;
    return LINE_MESSAGE;
}

line_result line_input_read(line_input *in, const char **text, size_t *n, gguf_error *err) {
    if (!in->edits) return plain_message(in, text, n, err);
    buffer out = {0};
    sigset_t before;
    line_edit_reset(&in->edit);
    hold_signals(&before);
    terminal_size(&in->view.columns, &in->view.rows);
    terminal_set(TERMINAL_KEYS);
    line_result result = edit_message(in, &out, &before, err);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    terminal_set(TERMINAL_QUIET);
    buffer_free(&out);
    *text = in->edit.text.n ? in->edit.text.data : "";
    *n = in->edit.text.n;
    gguf_error history_err = {0};
    if (result == LINE_MESSAGE) history_add(&in->past, *text, *n, &history_err);
    say_history(in, &history_err);
    return result;
}

void line_input_end(line_input *in) {
    if (in->edits) terminal_set(TERMINAL_FOUND);
    line_edit_free(&in->edit);
    history_free(&in->past);
    free(in->line);
    *in = (line_input){0};
}
