#include "kernel/kernel.h"

#include <stdlib.h>
#include <string.h>

static const kernels *const built[CPU_TIER_COUNT] = {
    [CPU_SCALAR] = &kernels_scalar,
#if defined(__x86_64__)
    [CPU_AVX2] = &kernels_avx2,
#ifdef HAVE_AVXVNNI /* a compiler that knows these instructions */
    [CPU_AVXVNNI] = &kernels_avxvnni,
#endif
    [CPU_AVX512] = &kernels_avx512,
#ifdef HAVE_AMX
    [CPU_AMX] = &kernels_amx,
#endif
#elif defined(__aarch64__)
    [CPU_NEON] = &kernels_neon,
#ifdef HAVE_I8MM
    [CPU_I8MM] = &kernels_i8mm,
#endif
#endif
};

const kernels *kernels_of_tier(cpu_tier tier) { return cpu_has(tier) ? built[tier] : NULL; }

const kernels *kernels_choose(gguf_error *err) {
    const char *forced = getenv("GGUF_CPU");
    for (int tier = CPU_TIER_COUNT - 1; tier >= 0; tier--) {
        const kernels *k = kernels_of_tier((cpu_tier)tier);
        if (!forced || !*forced) {
            if (k) return k;
        } else if (strcmp(forced, cpu_tier_name((cpu_tier)tier)) == 0) {
            if (!k)
                fail(err, GGUF_ERR_USAGE, "GGUF_CPU=%s: this machine or this build lacks these instructions", forced);
            return k;
        }
    }
    fail(err, GGUF_ERR_USAGE, "GGUF_CPU=%s: no such tier; scalar, avx2, avxvnni, avx512, amx, neon and i8mm are known",
         forced ? forced : "");
    return NULL;
}

void kernels_attend(const kernels *k, const attention_span *s, const attention_query *q, size_t n, float *scratch) {
    size_t size = attention_part_size(s->n_v);
    float *sums = scratch, *parts = sums + n * size, *rest = parts + n * size;
    uint32_t first = UINT32_MAX, last = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t from = q[i].begin / ATTENTION_CHUNK, to = (q[i].end - 1) / ATTENTION_CHUNK;
        first = from < first ? from : first;
        last = to > last ? to : last;
    }
    for (uint32_t chunk = first; chunk <= last; chunk++) {
        attention_span rows = attention_rows(s, chunk);
        k->attend_chunk(&rows, q, n, chunk, parts, rest);
        for (size_t i = 0; i < n; i++) {
            if (!attention_sees(&q[i], chunk)) continue;
            if (chunk == q[i].begin / ATTENTION_CHUNK) {
                memcpy(sums + i * size, parts + i * size, (s->n_v + 2) * sizeof *sums);
            } else {
                k->attend_merge(sums + i * size, parts + i * size, s->n_v);
            }
        }
    }
    for (size_t i = 0; i < n; i++) k->attend_end(sums + i * size, q[i].sink, s->n_v, q[i].out);
}
