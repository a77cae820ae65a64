/* Ctrl-C and --timeout: both ask the run to stop, and say so only when asked. */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

#include <stdbool.h>

typedef enum { STOP_NONE, STOP_INTERRUPT, STOP_TIMEOUT } stop_reason;

/* From here on Ctrl-C sets a flag (a second one ends the program), and so does the end of `seconds` (0: never). While
 * nobody looks at the flags, as at first, both end the program at once. */
void interrupt_install(const char *command, double seconds);
void interrupt_polled(bool somebody_looks);
stop_reason interrupt_reason(void);
/* Forgets an interrupt, so that a chat goes on after it. */
void interrupt_reset(void);
/* What to call before the program ends by Ctrl-C, --timeout, SIGTERM or SIGHUP; it must be safe in a signal handler. */
void interrupt_before_end(void (*fn)(void));
/* For gguf_session_params.stop. */
bool interrupt_wanted(void *ctx);
/* Ends the program as an interrupted one ends, so that shells and loops see it. */
void interrupt_finish(void);

#endif
