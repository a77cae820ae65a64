/* The instructions of AMX, written out: operations on the eight tiles of a thread. With EMULATED_TILES they are what
 * tests/kernel/emulated_amx.c makes of them. */
#ifndef KERNEL_AMX_TILES_H
#define KERNEL_AMX_TILES_H

#include <stddef.h>
#include <stdint.h>

/* What LDTILECFG reads. */
typedef struct {
    uint8_t palette, start, reserved[14];
    uint16_t bytes[16]; /* of a row */
    uint8_t rows[16];
} __attribute__((packed)) tile_config;

#ifndef EMULATED_TILES
#define TILES_BEGIN(config)   __asm__ volatile("ldtilecfg %0" : : "m"(config))
#define TILES_END()           __asm__ volatile("tilerelease")
#define TILE_ZERO(c)          __asm__ volatile("tilezero %%tmm" #c ::: "memory")
#define TILE_LOAD(c, p, line) __asm__ volatile("tileloadd (%0,%1), %%tmm" #c ::"r"(p), "r"((size_t)(line)) : "memory")
#define TILE_STORE(c, p, line)                                                                                         \
    __asm__ volatile("tilestored %%tmm" #c ", (%0,%1)" ::"r"(p), "r"((size_t)(line)) : "memory")
/* c += a b: int32 sums of four products a word; a's bytes are signed */
#define TILE_DOT_SIGNED(c, a, b)   __asm__ volatile("tdpbssd %%tmm" #b ", %%tmm" #a ", %%tmm" #c ::: "memory")
#define TILE_DOT_UNSIGNED(c, a, b) __asm__ volatile("tdpbsud %%tmm" #b ", %%tmm" #a ", %%tmm" #c ::: "memory")
#endif

#endif
