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
    fail(err, GGUF_ERR_USAGE, "GGUF_CPU=%s: no such tier; scalar, avx2, avxvnni, avx512, amx and neon are known",
         forced ? forced : "");
    return NULL;
}
