/* SHA-256 (FIPS 180-4). */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint32_t state[8];
    uint64_t n_bytes;  /* hashed so far, with those that wait */
    uint8_t block[64]; /* the first n_bytes % 64 of them wait for the block to be full */
} sha256;

void sha256_begin(sha256 *s);
void sha256_add(sha256 *s, const void *data, size_t n);
void sha256_end(sha256 *s, uint8_t digest[32]);

/* 64 lower-case digits and a NUL. */
void sha256_hex(const uint8_t digest[32], char out[65]);

#endif
