/*
 * SHA-256 (FIPS 180-4, sections 4 to 6).
 *
 * The message, then a bit 1, zeros and the length in bits as 64 bits fill whole blocks of 64 bytes. Each block's
 * sixteen big-endian words are stretched to 64 (the schedule), and each of those goes through one round that mixes it
 * into eight words of state. Only the last sixteen words of the schedule are ever needed, so it is kept as a ring.
 */
#include "base/sha256.h"

#include <string.h>

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static const uint32_t round_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

/* The same of the square roots of the first eight primes. */
static const uint32_t first_state[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

static uint32_t big_endian(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void hash_block(uint32_t state[8], const uint8_t *block) {
    uint32_t w[16], a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int t = 0; t < 64; t++) {
        uint32_t *word = &w[t & 15]; /* holds word t - 16 still */
        if (t < 16) {
            *word = big_endian(block + 4 * t);
        } else {
            uint32_t w2 = w[(t - 2) & 15], w15 = w[(t - 15) & 15];
            *word += (rotate(w2, 17) ^ rotate(w2, 19) ^ w2 >> 10) + w[(t - 7) & 15] +
                     (rotate(w15, 7) ^ rotate(w15, 18) ^ w15 >> 3);
        }
        uint32_t choice = (e & f) ^ (~e & g), majority = (a & b) ^ (a & c) ^ (b & c);
        uint32_t one = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + choice + round_constants[t] + *word;
        uint32_t two = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + majority;
        h = g, g = f, f = e, e = d + one;
        d = c, c = b, b = a, a = one + two;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

void sha256_begin(sha256 *s) {
    memcpy(s->state, first_state, sizeof first_state);
    s->n_bytes = 0;
}

void sha256_add(sha256 *s, const void *data, size_t n) {
    const uint8_t *p = data;
    size_t waiting = s->n_bytes % 64;
    s->n_bytes += n;
    if (waiting > 0) {
        size_t part = n < 64 - waiting ? n : 64 - waiting;
        memcpy(s->block + waiting, p, part);
        if (waiting + part < 64) return;
        hash_block(s->state, s->block);
        p += part;
        n -= part;
    }
    for (; n >= 64; n -= 64, p += 64) hash_block(s->state, p);
    if (n > 0) memcpy(s->block, p, n);
}

void sha256_end(sha256 *s, uint8_t digest[32]) {
    static const uint8_t padding[64] = {0x80};
    uint64_t bits = s->n_bytes * 8;
    uint8_t length[8];
    for (int i = 0; i < 8; i++) length[i] = (uint8_t)(bits >> (56 - 8 * i));
    /* up to 56 bytes of the last block, wherever the message ends in it */
    sha256_add(s, padding, 1 + (119 - s->n_bytes % 64) % 64);
    sha256_add(s, length, sizeof length);
    for (int i = 0; i < 32; i++) digest[i] = (uint8_t)(s->state[i / 4] >> (24 - 8 * (i % 4)));
}

void sha256_hex(const uint8_t digest[32], char out[65]) {
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 32; i++) {
        out[2 * i] = digits[digest[i] >> 4];
        out[2 * i + 1] = digits[digest[i] & 15];
    }
    out[64] = 0;
}
