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

/* Bytes that a cache of n_ctx positions takes when all are used. */
uint64_t cache_bytes(const hparams *h, uint32_t n_ctx, gguf_cache_type k, gguf_cache_type v);
/* Errors: GGUF_ERR_MEMORY; GGUF_ERR_USAGE where a type does not fit the heads. The layer table lives in mem. */
bool cache_open(kv_cache *c, const hparams *h, uint32_t n_ctx, gguf_cache_type k, gguf_cache_type v, arena *mem,
                gguf_error *err);
void cache_close(kv_cache *c);

#endif
