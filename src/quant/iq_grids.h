/*
 * The codebooks of the IQ1, IQ2 and IQ3 types: entries of 8 weights with codes of 2 bits, or of 4 weights with codes of
 * 3 bits, the first weight's code lowest. A code stands for a magnitude (IQ1: for a value).
 * Behind the last entry stands one of zeros, so that four bytes may be read where any entry begins.
 */
#ifndef QUANT_IQ_GRIDS_H
#define QUANT_IQ_GRIDS_H

#include <stdint.h>

extern const uint16_t iq1_grid[2048 + 1];    /* -1 0 1 */
extern const uint16_t iq2_xxs_grid[256 + 1]; /* 8 25 43 */
extern const uint16_t iq2_xs_grid[512 + 1];  /* 8 25 43 */
extern const uint16_t iq2_s_grid[1024 + 1];  /* 8 25 43 */
extern const uint16_t iq3_xxs_grid[256 + 1]; /* 4 12 20 28 36 44 52 62 */
extern const uint16_t iq3_s_grid[512 + 1];   /* 1 3 5 7 9 11 13 15 */

#endif
