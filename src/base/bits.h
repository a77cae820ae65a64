/* Floats as bits, and half precision. */
#ifndef BASE_BITS_H
#define BASE_BITS_H

#include <stdint.h>
#include <string.h>

static inline float f32_from_bits(uint32_t u) {
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline uint32_t f32_bits(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

/* Without branches, so that a loop over it can become vectors, and without a subnormal float32 on the way, which costs a
 * processor a hundred cycles: a subnormal half is what it adds to 2^-14. */
static inline float f16_to_f32(uint16_t h) {
    uint32_t magnitude = (uint32_t)(h & 0x7FFF) << 13, sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t normal = magnitude + 0x38000000, other = magnitude | 0x7F800000;
    uint32_t subnormal = f32_bits(f32_from_bits(magnitude + 0x38800000) - 0x1p-14f);
    uint32_t finite = magnitude < 0x00800000 ? subnormal : normal;
    return f32_from_bits((magnitude >= 0x0F800000 ? other : finite) | sign);
}

/* To nearest, ties to even; beyond the range: infinity. */
static inline uint16_t f32_to_f16(float f) {
    uint32_t u = f32_bits(f), sign = u >> 16 & 0x8000;
    u &= 0x7FFFFFFF;
    if (u > 0x7F800000) return (uint16_t)(sign | 0x7E00);  /* NaN */
    if (u >= 0x477FF000) return (uint16_t)(sign | 0x7C00); /* 65520 and more */
    if (u < 0x38800000) {                                  /* below 2^-14: adding 0.5 rounds at 2^-24 */
        return (uint16_t)(sign | (f32_bits(f32_from_bits(u) + 0.5f) - 0x3F000000));
    }
    u += 0xFFF + (u >> 13 & 1);
    return (uint16_t)(sign | ((u >> 13) - (112 << 10)));
}

/* To nearest, ties to even; NaN stays NaN. */
static inline uint16_t f32_to_bf16(float f) {
    uint32_t u = f32_bits(f);
    if ((u & 0x7FFFFFFF) > 0x7F800000) return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7FFF + (u >> 16 & 1)) >> 16);
}

static inline float bf16_to_f32(uint16_t h) { return f32_from_bits((uint32_t)h << 16); }

#endif
