/* Errors travel as gguf_error (gguf.h); this is how the library fills them in. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include "gguf.h"

#if defined(__GNUC__)
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define PRINTF_LIKE(fmt, args)
#endif

/* Stores an error unless one is stored already (or err is NULL) and returns false, so that a caller
 * can `return fail(err, ...)`. Control characters in the message become '?'. */
bool fail(gguf_error *err, gguf_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* The one sentence for memory that is not there. */
bool fail_memory(gguf_error *err, const char *what, unsigned long long bytes);

/* A warning with a printf format; nothing where fn is NULL. */
void warnf(gguf_warn_fn *fn, void *ctx, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Replaces control characters (C0, DEL, C1) by '?', in place. */
void strip_controls(char *text);

#endif
