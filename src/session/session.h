/* Behind gguf_session: what the commands that look inside need. */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include "backend/split.h"
#include "model/decoder.h"
#include "session/cache.h"

/* Receives what an operation made: name ("blk.3.attn_out", "logits"), rows of n values of the tokens from `position`
 * on. */
typedef void session_trace_fn(void *ctx, const char *name, uint32_t position, size_t n_rows, size_t n,
                              const float *values);

/* From now on every operation is run by itself and shown. fn = NULL ends that. */
void session_set_trace(gguf_session *s, session_trace_fn *fn, void *ctx);

/* What of the session is on GPUs, or NULL. */
const split *session_split(const gguf_session *s);

/* Bytes of a session with these parameters (zeros filled in as gguf_session_open would): the cache when full, and
 * the work memory. Of the model only hp is read. */
void session_memory(const gguf_model *m, uint32_t n_ctx, uint32_t n_batch, gguf_cache_type k, gguf_cache_type v,
                    uint64_t *cache, uint64_t *work);

#endif
