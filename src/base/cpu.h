/* What this machine's processor can do, and how much of it we may use. */
#ifndef BASE_CPU_H
#define BASE_CPU_H

#include <stdbool.h>

/* Tiers of instructions, in order of preference: the later the better. */
typedef enum {
    CPU_SCALAR,
    CPU_AVX2,    /* x86: AVX2, FMA, F16C */
    CPU_AVXVNNI, /* x86: those and AVX-VNNI */
    CPU_AVX512,  /* x86: AVX-512 F, BW, DQ, VL, VNNI, VBMI, VBMI2, and BMI2 */
    CPU_AMX,     /* x86: those and AMX's tiles of int8 */
    CPU_NEON,    /* AArch64: NEON with dot products */
    CPU_I8MM,    /* AArch64: those and products of matrices of int8 */
    CPU_TIER_COUNT
} cpu_tier;

const char *cpu_tier_name(cpu_tier tier);
/* Whether the processor and the operating system have all of the tier. */
bool cpu_has(cpu_tier tier);

/* Threads that a run should have: the least of the cores in the affinity mask, the cgroup's processor quota
 * (rounded down, at least 1) and the physical cores. */
int cpu_default_threads(void);
/* The parts of the above, for tests: a quota file's text ("200000 100000", "max 100000") as whole cores, 0 for none. */
int cpu_quota_cores(const char *cpu_max);

#endif
