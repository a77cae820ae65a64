#include "session/cache.h"

#include <math.h>

#include "base/memory.h"

static const quant_type types[] = {
    [GGUF_CACHE_F16] = QUANT_F16,
    [GGUF_CACHE_F32] = QUANT_F32,
    [GGUF_CACHE_BF16] = QUANT_BF16,
    [GGUF_CACHE_Q8_0] = QUANT_Q8_0,
};

/* Bytes of one layer's keys or values, rounded up to a cache line, so that every part is aligned. */
static double part_bytes(const hparams *h, uint32_t n_ctx, uint32_t n, gguf_cache_type t) {
    return ceil((double)h->n_head_kv * n_ctx * (double)quant_row_bytes(types[t], n) / 64) * 64;
}

/* Doubles cannot wrap, and are exact up to 2^53 bytes, beyond which nothing is believed anyway. */
uint64_t cache_bytes(const hparams *h, uint32_t n_ctx, gguf_cache_type k, gguf_cache_type v) {
    double bytes = h->n_layer * (part_bytes(h, n_ctx, h->n_k, k) + part_bytes(h, n_ctx, h->n_v, v));
    return bytes < 0x1p53 ? (uint64_t)bytes : UINT64_MAX;
}

bool cache_open(kv_cache *c, const hparams *h, uint32_t n_ctx, gguf_cache_type k, gguf_cache_type v, arena *mem,
                gguf_error *err) {
    uint64_t bytes = cache_bytes(h, n_ctx, k, v);
    size_t k_block = quant_types[types[k]].block, v_block = quant_types[types[v]].block;
    if (h->n_k % k_block != 0 || h->n_v % v_block != 0) {
        return fail(err, GGUF_ERR_USAGE,
                    "the cache type %s needs head sizes that are multiples of %zu; here they are %u and %u",
                    quant_types[types[h->n_k % k_block ? k : v]].name, h->n_k % k_block ? k_block : v_block, h->n_k,
                    h->n_v);
    }
    c->n_bytes = (size_t)bytes;
    c->layers = arena_alloc(mem, h->n_layer, sizeof *c->layers, "the KV cache", err);
    if (!c->layers) return false;
    c->base = bytes <= SIZE_MAX / 2 ? memory_reserve(c->n_bytes) : NULL;
    if (!c->base) return fail_memory(err, "the KV cache", bytes);
    size_t k_layer = (size_t)part_bytes(h, n_ctx, h->n_k, k), v_layer = (size_t)part_bytes(h, n_ctx, h->n_v, v);
    uint8_t *at = c->base;
    for (uint32_t i = 0; i < h->n_layer; i++, at += k_layer + v_layer) {
        c->layers[i] = (cache_layer){.k = at,
                                     .v = at + k_layer,
                                     .k_type = types[k],
                                     .v_type = types[v],
                                     .n_head_kv = h->n_head_kv,
                                     .n_ctx = n_ctx,
                                     .n_k = h->n_k,
                                     .n_v = h->n_v};
    }
    return true;
}

void cache_close(kv_cache *c) {
    memory_release(c->base, c->n_bytes);
    *c = (kv_cache){0};
}
