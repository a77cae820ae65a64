/*
 * What a signal handler needs is static here, as a process has one terminal. tcsetattr, write, sigaction and raise are
 * safe in a handler.
 */
#include "cli/terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "cli/interrupt.h"

/* Signals that end a program; those in the second half are raised by the program's own instruction, which is repeated.
 */
static const int deadly[] = {SIGHUP, SIGQUIT, SIGTERM, SIGPIPE, SIGXCPU, SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGABRT};
enum { N_DEADLY = sizeof deadly / sizeof *deadly, FIRST_REPEATED = 5 };

static struct termios found, quiet, keys;
static struct sigaction before[N_DEADLY];
static volatile sig_atomic_t mode_now = TERMINAL_FOUND, changed;
static bool installed;

static const char paste_on[] = "\x1B[?2004h", paste_off[] = "\x1B[?2004l";

static void apply(terminal_mode mode) {
    const struct termios *const modes[] = {&found, &quiet, &keys};
    const char *marks = mode == TERMINAL_KEYS ? paste_on : mode_now == TERMINAL_KEYS ? paste_off : "";
    while (tcsetattr(STDIN_FILENO, TCSADRAIN, modes[mode]) != 0 && errno == EINTR) continue;
    ssize_t ignored = write(STDERR_FILENO, marks, strlen(marks));
    (void)ignored;
    mode_now = (sig_atomic_t)mode;
}

static void put_back(void) {
    if (mode_now != TERMINAL_FOUND) apply(TERMINAL_FOUND);
}

static void on_deadly(int sig, siginfo_t *info, void *context) {
    int kept = errno;
    (void)context;
    put_back();
    for (size_t i = 0; i < N_DEADLY; i++) {
        if (deadly[i] != sig) continue;
        sigaction(sig, &before[i], NULL);
        if (i < FIRST_REPEATED || info->si_code <= 0) raise(sig); /* 0 and below: somebody sent it */
    }
    errno = kept;
}

static void on_change(int sig) {
    (void)sig;
    changed = 1;
}

/* Installs a handler, unless the signal is ignored. */
static void handle(int sig, struct sigaction action, struct sigaction *old) {
    action.sa_flags |= SA_RESTART;
    sigemptyset(&action.sa_mask);
    if (sigaction(sig, NULL, old) == 0 && old->sa_handler != SIG_IGN) sigaction(sig, &action, NULL);
}

static bool install(void) {
    struct sigaction ignored;
    if (tcgetattr(STDIN_FILENO, &found) != 0) return false;
    quiet = found;
    quiet.c_lflag &= (tcflag_t) ~(ICANON | ECHO | IEXTEN);
    quiet.c_cc[VMIN] = 1;
    quiet.c_cc[VTIME] = 0;
    keys = quiet;
    keys.c_lflag &= (tcflag_t)~ISIG;
    keys.c_iflag &= (tcflag_t) ~(ICRNL | INLCR | IXON | ISTRIP);
    for (size_t i = 0; i < N_DEADLY; i++)
        handle(deadly[i], (struct sigaction){.sa_sigaction = on_deadly, .sa_flags = SA_SIGINFO}, &before[i]);
    handle(SIGWINCH, (struct sigaction){.sa_handler = on_change}, &ignored);
    handle(SIGCONT, (struct sigaction){.sa_handler = on_change}, &ignored);
    interrupt_before_end(put_back);
    atexit(put_back);
    return true;
}

bool terminal_can_edit(void) {
    const char *term = getenv("TERM");
    return isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1 && term && *term && strcmp(term, "dumb") != 0;
}

bool terminal_set(terminal_mode mode) {
    if (!installed && !install()) return false;
    installed = true;
    apply(mode);
    return true;
}

void terminal_size(size_t *columns, size_t *rows) {
    struct winsize size;
    bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0;
    *columns = known ? size.ws_col : 80;
    *rows = known ? size.ws_row : 24;
}

bool terminal_changed(void) {
    bool was = changed;
    changed = 0;
    return was;
}

void terminal_suspend(void) {
    terminal_mode mode = (terminal_mode)mode_now;
    put_back();
    raise(SIGTSTP);
    apply(mode);
    changed = 1;
}
