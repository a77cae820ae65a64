#include "session/cache.h"

#include <math.h>

#include "base/memory.h"

static const quant_type types[] = {
    [GGUF_CACHE_F16] = QUANT_F16,
    [GGUF_CACHE_F32] = QUANT_F32,
    [GGUF_CACHE_BF16] = QUANT_BF16,
    [GGUF_CACHE_Q8_0] = QUANT_Q8_0,
};

/* Positions that the next token sees of a layer, or 0: all. */
static uint32_t reach(const hparams *h, uint32_t i) {
    return h->layer[i] & LAYER_CONV ? h->n_conv : h->layer[i] & LAYER_LOCAL ? h->window : 0;
}

/* The shape of layer i's cache; no data yet. */
static cache_layer shape(const hparams *h, uint32_t i, uint32_t n_ctx, uint32_t n_batch, gguf_cache_type k,
                         gguf_cache_type v) {
    cache_layer c = {.k_type = types[k], .v_type = types[v], .n_head_kv = h->n_head_kv, .n_k = h->n_k, .n_v = h->n_v};
    uint64_t rows = (uint64_t)reach(h, i) + n_batch;
    rows = (rows + ATTENTION_CHUNK - 1) / ATTENTION_CHUNK * ATTENTION_CHUNK;
    c.is_ring = reach(h, i) > 0 && rows < n_ctx;
    c.n_ctx = c.is_ring ? (uint32_t)rows : n_ctx;
    if (h->layer[i] & LAYER_CONV) {
        c.k_type = c.v_type = QUANT_F32;
        c.n_head_kv = 1;
        c.n_k = h->n_embd;
        c.n_v = 0;
    }
    return c;
}

/* Bytes of a layer's keys or values, rounded up to a cache line, so that every part is aligned. Doubles cannot wrap,
 * and are exact up to 2^53 bytes, beyond which nothing is believed anyway. */
static double part_bytes(const cache_layer *c, uint32_t n, quant_type type) {
    return ceil((double)c->n_head_kv * c->n_ctx * (double)quant_row_bytes(type, n) / 64) * 64;
}

uint64_t cache_bytes(const hparams *h, uint32_t n_ctx, uint32_t n_batch, gguf_cache_type k, gguf_cache_type v) {
    double bytes = 0;
    for (uint32_t i = 0; i < h->n_layer; i++) {
        cache_layer c = shape(h, i, n_ctx, n_batch, k, v);
        bytes += part_bytes(&c, c.n_k, c.k_type) + part_bytes(&c, c.n_v, c.v_type);
    }
    return bytes < 0x1p53 ? (uint64_t)bytes : UINT64_MAX;
}

bool cache_open(kv_cache *c, const hparams *h, uint32_t n_ctx, uint32_t n_batch, gguf_cache_type k, gguf_cache_type v,
                arena *mem, gguf_error *err) {
    uint64_t bytes = cache_bytes(h, n_ctx, n_batch, k, v);
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
    uint8_t *at = c->base;
    for (uint32_t i = 0; i < h->n_layer; i++) {
        cache_layer *l = &c->layers[i];
        *l = shape(h, i, n_ctx, n_batch, k, v);
        l->k = at;
        at += (size_t)part_bytes(l, l->n_k, l->k_type);
        l->v = at;
        at += (size_t)part_bytes(l, l->n_v, l->v_type);
    }
    return true;
}

bool cache_holds(const kv_cache *c, const hparams *h, uint32_t position, uint32_t high) {
    for (uint32_t i = 0; i < h->n_layer; i++) {
        uint64_t seen = reach(h, i);
        bool lost = c->layers[i].is_ring && high > c->layers[i].n_ctx; /* positions below high - n_ctx */
        if (lost && position > 0 && (uint64_t)position + c->layers[i].n_ctx + 1 < (uint64_t)high + seen) return false;
    }
    return true;
}

void cache_close(kv_cache *c) {
    memory_release(c->base, c->n_bytes);
    *c = (kv_cache){0};
}
