#include "base/cpu.h"

#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cgroup.h"

static const char *const names[CPU_TIER_COUNT] =
    {[CPU_SCALAR] = "scalar", [CPU_AVX2] = "avx2", [CPU_AVXVNNI] = "avxvnni", [CPU_AVX512] = "avx512",
     [CPU_AMX] = "amx",       [CPU_NEON] = "neon", [CPU_I8MM] = "i8mm"};

const char *cpu_tier_name(cpu_tier tier) { return names[tier]; }

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>

/* Linux saves the tiles only of a process that asked for it. */
static bool ask_for_tiles(void) {
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0;
}

/* Which register files the operating system saves (XCR0); only to be asked where cpuid says OSXSAVE. */
static unsigned saved_state(void) {
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

bool cpu_has(cpu_tier tier) {
    enum { OSXSAVE = 1 << 27, FMA = 1 << 12, F16C = 1 << 29, AVX2 = 1 << 5 };
    enum {
        BMI2 = 1 << 8,
        AVX_VNNI = 1 << 4,
        F = 1 << 16,
        DQ = 1 << 17,
        BW = 1 << 30,
        VBMI = 1 << 1,
        VBMI2 = 1 << 6,
        VNNI = 1 << 11
    };
    const unsigned vl = 1u << 31, ymm = 0x6, zmm = 0xE6;
    if (tier == CPU_SCALAR) return true;
    unsigned a, b, c, d, b7, c7;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & OSXSAVE)) return false;
    bool fma_f16c = (c & FMA) && (c & F16C);
    if (!__get_cpuid_count(7, 0, &a, &b7, &c7, &d)) return false;
    bool avx2 = fma_f16c && (b7 & AVX2) && (saved_state() & ymm) == ymm;
    if (tier == CPU_AVX2) return avx2;
    if (tier == CPU_AVXVNNI) {
        unsigned a71; /* of leaf 7.1, which the largest number of a subleaf in a says is there */
        return avx2 && a >= 1 && __get_cpuid_count(7, 1, &a71, &b, &c, &d) && (a71 & AVX_VNNI);
    }
    enum { AMX_TILE = 1 << 24, AMX_INT8 = 1 << 25 };
    const unsigned tiles = 3u << 17;
    unsigned d7 = d; /* of leaf 7 */
    bool avx512 = avx2 && (b7 & BMI2) && (b7 & F) && (b7 & DQ) && (b7 & BW) && (b7 & vl) && (c7 & VBMI) &&
                  (c7 & VBMI2) && (c7 & VNNI) && (saved_state() & zmm) == zmm;
    if (tier == CPU_AVX512) return avx512;
    return tier == CPU_AMX && avx512 && (d7 & AMX_TILE) && (d7 & AMX_INT8) && (saved_state() & tiles) == tiles &&
           ask_for_tiles();
}
#elif defined(__aarch64__)
#include <sys/auxv.h>

bool cpu_has(cpu_tier tier) {
    enum { ASIMDDP = 1 << 20, I8MM = 1 << 13 }; /* of AT_HWCAP and AT_HWCAP2; the rest of NEON is in every AArch64 */
    bool neon = getauxval(AT_HWCAP) & ASIMDDP;
    return tier == CPU_SCALAR || (tier == CPU_NEON && neon) ||
           (tier == CPU_I8MM && neon && (getauxval(AT_HWCAP2) & I8MM));
}
#else
bool cpu_has(cpu_tier tier) { return tier == CPU_SCALAR; }
#endif

/* ---- threads --------------------------------------------------------------------------------- */

int cpu_quota_cores(const char *cpu_max) {
    char *end;
    long long quota = strtoll(cpu_max, &end, 10);
    if (end == cpu_max || quota <= 0) return 0; /* "max": no quota */
    long long period = strtoll(end, NULL, 10);
    if (period <= 0) return 0;
    long long cores = quota / period;
    return cores < 1 ? 1 : cores > INT_MAX ? INT_MAX : (int)cores;
}

/* Version 2 has both numbers in one file, version 1 in two. */
static uint64_t quota_of(const char *folder) {
    char line[64], quota[32], period[32];
    if (!read_first_line(folder, "cpu.max", line, sizeof line)) {
        if (!read_first_line(folder, "cpu.cfs_quota_us", quota, sizeof quota) ||
            !read_first_line(folder, "cpu.cfs_period_us", period, sizeof period)) {
            return UINT64_MAX;
        }
        snprintf(line, sizeof line, "%.31s %.31s", quota, period);
    }
    int cores = cpu_quota_cores(line);
    return cores > 0 ? (uint64_t)cores : UINT64_MAX;
}

/* Cores rather than hardware threads: of each group of siblings the first in the mask counts. */
static int physical_cores(const cpu_set_t *mask, size_t size, int n_cpus) {
    int cores = 0;
    for (int i = 0; i < n_cpus; i++) {
        if (!CPU_ISSET_S((size_t)i, size, mask)) continue;
        char path[128], line[256];
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology", i);
        if (!read_first_line(path, "thread_siblings_list", line, sizeof line)) {
            cores++;
            continue;
        }
        /* "0,64" or "0-1": the first sibling that the mask has stands for the core */
        bool first = true;
        for (char *p = line; *p && first;) {
            char *end;
            long from = strtol(p, &end, 10), to = from;
            if (end == p) break;
            if (*end == '-') to = strtol(end + 1, &end, 10);
            for (long s = from; s <= to && s < i && first; s++) first = s < 0 || !CPU_ISSET_S((size_t)s, size, mask);
            p = *end == ',' ? end + 1 : end;
        }
        cores += first;
    }
    return cores;
}

int cpu_default_threads(void) {
    long configured = sysconf(_SC_NPROCESSORS_CONF);
    int n_cpus = configured > 0 && configured < 65536 ? (int)configured : 1;
    cpu_set_t *mask = CPU_ALLOC((size_t)n_cpus);
    if (!mask) return 1;
    size_t size = CPU_ALLOC_SIZE((size_t)n_cpus);
    CPU_ZERO_S(size, mask);
    int n = 0;
    if (sched_getaffinity(0, size, mask) == 0) n = physical_cores(mask, size, n_cpus);
    CPU_FREE(mask);
    uint64_t quota = cgroup_least("cpu", quota_of);
    if (quota < (uint64_t)n) n = (int)quota;
    return n < 1 ? 1 : n;
}
