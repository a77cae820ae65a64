/* Random tensors of every type, sound in every block: the same seed gives the same bytes on every machine. */
#ifndef TESTS_RANDOM_TENSOR_H
#define TESTS_RANDOM_TENSOR_H

#include "quant/quant.h"

typedef struct {
    uint64_t s[4];
} rng;

/* A generator of its own for each name. */
rng rng_for(uint64_t seed, const char *name);

bool random_can_make(quant_type type);
/* n blocks (of types without blocks: n numbers) whose weights have about the standard deviation `std`, around `centre`
 * where the type has no blocks, else around 0. */
void random_blocks(rng *r, quant_type type, float centre, float std, size_t n, uint8_t *out);

#endif
