/* The KV cache: address space for every position of the context, memory for those that were reached. */
#ifndef SESSION_CACHE_H
#define SESSION_CACHE_H

#include "backend/backend.h"
#include "model/model.h"

typedef struct {
    cache_layer *layers; /* [n_layer] */
    void *base;
    size_t n_bytes;
} kv_cache;

/* Bytes that a cache of n_ctx positions takes when all are used. Layers whose attention sees a window, and
 * convolutions, hold no more than that and the n_batch positions of a step. */
uint64_t cache_bytes(const hparams *h, uint32_t n_ctx, uint32_t n_batch, gguf_cache_type k, gguf_cache_type v);
/* Errors: GGUF_ERR_MEMORY; GGUF_ERR_USAGE where a type does not fit the heads. The layer table lives in mem. */
bool cache_open(kv_cache *c, const hparams *h, uint32_t n_ctx, uint32_t n_batch, gguf_cache_type k, gguf_cache_type v,
                arena *mem, gguf_error *err);
/* Whether positions up to `position` can be gone back to when `high` have been filled: what comes next must see them.
 */
bool cache_holds(const kv_cache *c, const hparams *h, uint32_t position, uint32_t high);
void cache_close(kv_cache *c);

#endif
