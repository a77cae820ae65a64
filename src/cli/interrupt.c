#include "cli/interrupt.h"

#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "gguf.h"

enum { GRACE_SECONDS = 2 };

static volatile sig_atomic_t interrupted, timed_out, polled;
static char timeout_message[64];
static size_t timeout_length;
static void (*before_end)(void);

/* What ends the program without a question. */
static void on_end(int sig) {
    if (before_end) before_end();
    signal(sig, SIG_DFL);
    raise(sig);
}

static void on_interrupt(int sig) {
    if (interrupted || !polled) on_end(sig);
    interrupted = 1;
}

static void on_alarm(int sig) {
    (void)sig;
    if (polled && !timed_out) { /* ask first; the next alarm finds a program that is stuck, in a write perhaps */
        timed_out = 1;
        return;
    }
    if (before_end) before_end();
    ssize_t ignored = write(STDERR_FILENO, timeout_message, timeout_length);
    (void)ignored;
    _exit(GGUF_ERR_STOPPED);
}

static void handle(int sig, void (*handler)(int)) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    action.sa_flags = SA_RESTART;
    sigaction(sig, &action, NULL);
}

/* A parent that ignores a signal (nohup, a background job) wants it ignored. */
static void handle_unless_ignored(int sig, void (*handler)(int)) {
    struct sigaction old;
    if (sigaction(sig, NULL, &old) == 0 && old.sa_handler != SIG_IGN) handle(sig, handler);
}

void interrupt_install(const char *command, double seconds) {
    handle_unless_ignored(SIGINT, on_interrupt);
    handle_unless_ignored(SIGTERM, on_end);
    handle_unless_ignored(SIGHUP, on_end);
    if (seconds <= 0) return;
    strcpy(timeout_message, "gguf-");
    strncat(timeout_message, command, 16);
    strcat(timeout_message, ": --timeout ran out\n");
    timeout_length = strlen(timeout_message);
    handle(SIGALRM, on_alarm);
    struct itimerval timer = {{GRACE_SECONDS, 0},
                              {(time_t)seconds, (suseconds_t)((seconds - (double)(time_t)seconds) * 1e6)}};
    if (timer.it_value.tv_sec == 0 && timer.it_value.tv_usec == 0) timer.it_value.tv_usec = 1;
    setitimer(ITIMER_REAL, &timer, NULL);
}

void interrupt_polled(bool somebody_looks) { polled = somebody_looks; }

stop_reason interrupt_reason(void) { return interrupted ? STOP_INTERRUPT : timed_out ? STOP_TIMEOUT : STOP_NONE; }

void interrupt_reset(void) { interrupted = 0; }

void interrupt_before_end(void (*fn)(void)) { before_end = fn; }

bool interrupt_wanted(void *ctx) {
    (void)ctx;
    return interrupt_reason() != STOP_NONE;
}

void interrupt_finish(void) {
    if (before_end) before_end();
    signal(SIGINT, SIG_DFL);
    raise(SIGINT);
}
