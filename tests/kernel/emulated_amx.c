/*
 * The products of src/kernel/amx.c with tiles that are arrays, for machines that have AVX-512 but no AMX: everything
 * but the instructions themselves (src/kernel/amx_tiles.h) is the engine's own.
 */
#define EMULATED_TILES
#include <string.h>

#include "kernel/amx_tiles.h"

enum { TILES = 8, TILE_ROWS = 16, LINE = 64 };

static tile_config emulated_shape;
static uint8_t emulated_tiles[TILES][TILE_ROWS][LINE];

static void configure_tiles(const tile_config *config) {
    emulated_shape = *config;
    memset(emulated_tiles, 0, sizeof emulated_tiles);
}

static void load_tile(int c, const void *p, size_t line) {
    memset(emulated_tiles[c], 0, sizeof emulated_tiles[c]);
    for (size_t r = 0; r < emulated_shape.rows[c]; r++)
        memcpy(emulated_tiles[c][r], (const uint8_t *)p + r * line, emulated_shape.bytes[c]);
}

static void store_tile(int c, void *p, size_t line) {
    for (size_t r = 0; r < emulated_shape.rows[c]; r++)
        memcpy((uint8_t *)p + r * line, emulated_tiles[c][r], emulated_shape.bytes[c]);
}

/* Row m of a holds signed bytes; word n of row k of b the four weights that its bytes from 4 k on meet. */
static void dot_tiles(int c, int a, int b, int is_signed) {
    for (size_t m = 0; m < emulated_shape.rows[c]; m++) {
        int32_t sum[LINE / 4];
        memcpy(sum, emulated_tiles[c][m], sizeof sum);
        for (size_t i = 0; i < emulated_shape.bytes[a]; i++) {
            int32_t x = (int8_t)emulated_tiles[a][m][i];
            uint32_t w[LINE / 4];
            memcpy(w, emulated_tiles[b][i / 4], sizeof w);
            for (size_t n = 0; n < LINE / 4; n++) {
                w[n] = w[n] >> 8 * (i % 4) & 0xFF;
                sum[n] += x * (is_signed ? (int8_t)w[n] : (int32_t)w[n]);
            }
        }
        memcpy(emulated_tiles[c][m], sum, sizeof sum);
    }
}

#define TILES_BEGIN(config)        configure_tiles(&(config))
#define TILES_END()                memset(&emulated_shape, 0, sizeof emulated_shape)
#define TILE_ZERO(c)               memset(emulated_tiles[c], 0, sizeof emulated_tiles[c])
#define TILE_LOAD(c, p, line)      load_tile(c, p, line)
#define TILE_STORE(c, p, line)     store_tile(c, p, line)
#define TILE_DOT_SIGNED(c, a, b)   dot_tiles(c, a, b, 1)
#define TILE_DOT_UNSIGNED(c, a, b) dot_tiles(c, a, b, 0)

#define amx_matmul emulated_amx_matmul
#include "kernel/amx.c"
