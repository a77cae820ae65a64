#include "kernel/peak.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/memory.h"
#include "base/pool.h"

/* ---- loops that do nothing but one thing ----------------------------------------------------- */

/* Each runs `rounds` rounds of independent chains, as many as any latency needs, and returns the multiply-adds. */
typedef uint64_t peak_loop(uint64_t rounds);

#if defined(__x86_64__)
#define TWELVE(op, reg, a, b)                                                                                          \
    op " %%" reg #a ", %%" reg #b ", %%" reg "0\n\t" op " %%" reg #a ", %%" reg #b ", %%" reg "1\n\t" op " %%" reg #a  \
       ", %%" reg #b ", %%" reg "2\n\t" op " %%" reg #a ", %%" reg #b ", %%" reg "3\n\t" op " %%" reg #a ", %%" reg #b \
       ", %%" reg "4\n\t" op " %%" reg #a ", %%" reg #b ", %%" reg "5\n\t" op " %%" reg #a ", %%" reg #b ", %%" reg    \
       "6\n\t" op " %%" reg #a ", %%" reg #b ", %%" reg "7\n\t" op " %%" reg #a ", %%" reg #b ", %%" reg "8\n\t" op    \
       " %%" reg #a ", %%" reg #b ", %%" reg "9\n\t" op " %%" reg #a ", %%" reg #b ", %%" reg "10\n\t" op " %%" reg #a \
       ", %%" reg #b ", %%" reg "11\n\t"
#define CLOBBERS                                                                                                       \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13"
#define LOOP(body)                                                                                                     \
    __asm__ volatile("vpxor %%xmm12, %%xmm12, %%xmm12\n\tvpxor %%xmm13, %%xmm13, %%xmm13\n\t"                          \
                     "1:\n\t" body "dec %0\n\tjnz 1b\n\tvzeroupper"                                                    \
                     : "+r"(rounds)                                                                                    \
                     :                                                                                                 \
                     : "cc", CLOBBERS)

static uint64_t int8_avx512(uint64_t rounds) {
    uint64_t n = rounds * 12 * 64;
    LOOP(TWELVE("vpdpbusd", "zmm", 12, 13));
    return n;
}

static uint64_t f32_avx512(uint64_t rounds) {
    uint64_t n = rounds * 12 * 16;
    LOOP(TWELVE("vfmadd231ps", "zmm", 12, 13));
    return n;
}

#ifdef HAVE_AVXVNNI
static uint64_t int8_avxvnni(uint64_t rounds) {
    uint64_t n = rounds * 12 * 32;
    LOOP(TWELVE("%{vex%} vpdpbusd", "ymm", 12, 13));
    return n;
}
#endif

/* Without VNNI a product of bytes takes three instructions: pairs to int16, pairs of these to int32, and the sum. */
#define BYTES_AVX2(acc)                                                                                                \
    "vpmaddubsw %%ymm12, %%ymm13, %%ymm11\n\tvpmaddwd %%ymm12, %%ymm11, %%ymm11\n\t"                                   \
    "vpaddd %%ymm11, %%ymm" #acc ", %%ymm" #acc "\n\t"

static uint64_t int8_avx2(uint64_t rounds) {
    uint64_t n = rounds * 4 * 32;
    LOOP(BYTES_AVX2(0) BYTES_AVX2(1) BYTES_AVX2(2) BYTES_AVX2(3));
    return n;
}

static uint64_t f32_avx2(uint64_t rounds) {
    uint64_t n = rounds * 12 * 8;
    LOOP(TWELVE("vfmadd231ps", "ymm", 12, 13));
    return n;
}
#elif defined(__aarch64__)
/* sdot vN.4s, v30.16b, v31.16b as a number, since assemblers differ in how they are told that they may know it. */
#define SDOT(n) ".inst 0x4E9F97C0 + " #n "\n\t"
#define FMLA(n) "fmla v" #n ".4s, v30.4s, v31.4s\n\t"
#define SIXTEEN(op)                                                                                                    \
    op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(16) op(17) op(18) op(19) op(20) op(21) op(22) op(23)
#define LOOP(body)                                                                                                     \
    __asm__ volatile("movi v30.2d, #0\n\tmovi v31.2d, #0\n\t"                                                          \
                     "1:\n\t" body "subs %0, %0, #1\n\tb.ne 1b"                                                        \
                     : "+r"(rounds)                                                                                    \
                     :                                                                                                 \
                     : "cc", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v16", "v17", "v18", "v19", "v20", "v21", \
                       "v22", "v23", "v30", "v31")

static uint64_t int8_neon(uint64_t rounds) {
    uint64_t n = rounds * 16 * 16;
    LOOP(SIXTEEN(SDOT));
    return n;
}

static uint64_t f32_neon(uint64_t rounds) {
    uint64_t n = rounds * 16 * 4;
    LOOP(SIXTEEN(FMLA));
    return n;
}
#endif

static uint64_t f32_plain(uint64_t rounds) {
    float sum[16] = {0};
    for (uint64_t r = 0; r < rounds; r++) {
        for (int i = 0; i < 16; i++) sum[i] = sum[i] * 0.5f + 1.0f;
        __asm__ volatile("" : : "r"(sum) : "memory");
    }
    return rounds * 16;
}

static uint64_t int8_plain(uint64_t rounds) {
    static const int8_t a[64] = {1}, b[64] = {2};
    int32_t sum = 0;
    for (uint64_t r = 0; r < rounds; r++) {
        for (int i = 0; i < 64; i++) sum += a[i] * b[i];
        __asm__ volatile("" : : "r"(sum), "r"(a), "r"(b) : "memory");
    }
    return rounds * 64;
}

/* Rows by tier; the best that the machine has counts, whatever GGUF_CPU says: a limit is the machine's. */
static const struct {
    peak_loop *int8, *f32;
} loops[CPU_TIER_COUNT] = {
    [CPU_SCALAR] = {int8_plain, f32_plain},
#if defined(__x86_64__)
    [CPU_AVX2] = {int8_avx2, f32_avx2},
#ifdef HAVE_AVXVNNI
    [CPU_AVXVNNI] = {int8_avxvnni, f32_avx2},
#endif
    [CPU_AVX512] = {int8_avx512, f32_avx512},
#elif defined(__aarch64__)
    [CPU_NEON] = {int8_neon, f32_neon},
#endif
};

/* ---- threads --------------------------------------------------------------------------------- */

enum { RUNS = 9, ROUNDS = 8000000 };

typedef struct {
    pool *p;
    peak_loop *loop; /* or NULL: read */
    const uint64_t *data;
    size_t n;           /* words a thread */
    atomic_ullong done; /* multiply-adds, or bytes */
} job;

/* Memory moves whole lines, so one word of each is enough. Four streams, each asked for ahead of time: one alone does
 * not keep a core's line buffers filled. */
enum { STREAMS = 4, LINE = 64 / sizeof(uint64_t), READ_AHEAD = 8 * LINE };

static uint64_t read_words(const uint64_t *p, size_t n) {
    uint64_t sum[STREAMS] = {0};
    size_t per = n / STREAMS / LINE * LINE;
    for (size_t i = 0; i < per; i += LINE) {
        for (size_t s = 0; s < STREAMS; s++) {
            __builtin_prefetch(p + s * per + i + READ_AHEAD);
            sum[s] += p[s * per + i];
        }
    }
    __asm__ volatile("" : : "r"(sum) : "memory");
    return STREAMS * per * sizeof *p;
}

static void run_job(void *ctx, int thread) {
    job *j = ctx;
    uint64_t n = j->loop ? j->loop(ROUNDS) : read_words(j->data + (size_t)thread * j->n, j->n);
    atomic_fetch_add(&j->done, n);
}

static int by_rate(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The median of some runs: clocks rise for a moment and fall when all cores work, and other work comes and goes. */
static double median_rate(job *j) {
    double rates[RUNS];
    for (int i = 0; i < RUNS; i++) {
        atomic_store(&j->done, 0);
        double begin = clock_seconds();
        pool_run(j->p, run_job, j);
        rates[i] = (double)atomic_load(&j->done) / (clock_seconds() - begin);
    }
    qsort(rates, RUNS, sizeof *rates, by_rate);
    return rates[RUNS / 2];
}

bool machine_measure(int n_threads, machine_peak *out, gguf_error *err) {
    size_t n_bytes = (size_t)1 << 30; /* at least this much, since a cache may hold hundreds of megabytes */
    cpu_tier tier = CPU_TIER_COUNT - 1;
    while (!cpu_has(tier) || !loops[tier].int8) tier--;
    job j = {.p = pool_new(n_threads, NULL, NULL, err)};
    char *data = j.p ? memory_reserve(n_bytes) : NULL;
    if (!data) {
        pool_free(j.p);
        return fail_memory(err, "measuring the read rate", n_bytes);
    }
    for (size_t i = 0; i < n_bytes; i += 4096) data[i] = 1; /* pages of their own, not the one zero page */
    j.data = (const void *)data;
    j.n = n_bytes / sizeof *j.data / (size_t)pool_size(j.p) / 8 * 8;
    out->read_bytes = median_rate(&j);
    j.loop = loops[tier].int8;
    out->int8_macs = median_rate(&j);
    j.loop = loops[tier].f32;
    out->f32_macs = median_rate(&j);
    memory_release(data, n_bytes);
    pool_free(j.p);
    return true;
}
