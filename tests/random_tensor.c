#include "random_tensor.h"

#include <math.h>
#include <string.h>

#include "base/bits.h"

/* ---- random numbers ----------------------------------------------------------------------------- */

/* xoshiro256++ of Blackman and Vigna: https://prng.di.unimi.it */

static uint64_t rotate(uint64_t x, int k) { return x << k | x >> (64 - k); }

static inline uint64_t next(rng *r) {
    uint64_t *s = r->s, result = rotate(s[0] + s[3], 23) + s[0], t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

rng rng_for(uint64_t seed, const char *name) {
    uint64_t x = seed ^ 0xCBF29CE484222325u; /* FNV-1a over the name, then splitmix64 */
    for (; *name; name++) x = (x ^ (uint8_t)*name) * 0x100000001B3u;
    rng r;
    for (int i = 0; i < 4; i++) {
        uint64_t z = x += 0x9E3779B97F4A7C15u;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
        z = (z ^ z >> 27) * 0x94D049BB133111EBu;
        r.s[i] = z ^ z >> 31;
    }
    return r;
}

/* In [0.5, 1.5). */
static inline float around_one(rng *r) { return 0.5f + (float)(next(r) >> 40) * 0x1p-24f; }

/* Mean 0, standard deviation 1 (the sum of four uniform numbers: near enough to a normal one, and exact). */
static inline float bell(rng *r) {
    uint64_t x = next(r);
    int32_t sum = (int32_t)((x & 0xFFFF) + (x >> 16 & 0xFFFF) + (x >> 32 & 0xFFFF) + (x >> 48));
    return (float)(sum - 131070) * (1 / 37837.23f);
}

/* ---- tensors of plain numbers -------------------------------------------------------------------- */

/* n numbers around `centre`; integers are -1, 0 and 1, since nothing scales them. The generator is copied, since the
 * compiler has to think that `out` might change *r. */
#define PLAIN(name, type, expr)                                                                                        \
    static void name(rng *r, float centre, float std, size_t n, uint8_t *out) {                                        \
        rng local = *r;                                                                                                \
        for (size_t i = 0; i < n; i++) {                                                                               \
            float x = centre + std * bell(&local);                                                                     \
            type v = expr;                                                                                             \
            memcpy(out + i * sizeof v, &v, sizeof v);                                                                  \
        }                                                                                                              \
        *r = local;                                                                                                    \
    }

#define SIGN(x) ((x) > centre + 0.5f * std) - ((x) < centre - 0.5f * std)

PLAIN(plain_f32, float, x)
PLAIN(plain_f64, double, x)
PLAIN(plain_f16, uint16_t, f32_to_f16(x))
PLAIN(plain_bf16, uint16_t, (uint16_t)(f32_bits(x) >> 16))
PLAIN(plain_i8, int8_t, (int8_t)(SIGN(x)))
PLAIN(plain_i16, int16_t, (int16_t)(SIGN(x)))
PLAIN(plain_i32, int32_t, SIGN(x))
PLAIN(plain_i64, int64_t, SIGN(x))

/* ---- tensors of blocks --------------------------------------------------------------------------- */

static void put_half(uint8_t *at, float x) {
    uint16_t h = f32_to_f16(x);
    at[0] = (uint8_t)h;
    at[1] = (uint8_t)(h >> 8);
}

static float get_half(const uint8_t *at) { return f16_to_f32((uint16_t)(at[0] | at[1] << 8)); }

static int sum_of(const uint8_t *q, int n) {
    int sum = 0;
    for (int i = 0; i < n; i++) sum += (int8_t)q[i];
    return sum;
}

/* Q8_1 keeps d x sum of the weights behind d. */
static void finish_q8_1(rng *r, float std, uint8_t *b) {
    (void)r, (void)std;
    put_half(b + 2, get_half(b) * (float)sum_of(b + 4, 32));
}

/* Q8_K: a float32 scale, 256 weights, the sums of every 16 of them. */
static void finish_q8_k(rng *r, float std, uint8_t *b) {
    float d = std / 74 * around_one(r);
    memcpy(b, &d, 4);
    for (int i = 0; i < 16; i++) {
        int sum = sum_of(b + 4 + 16 * i, 16);
        b[260 + 2 * i] = (uint8_t)sum;
        b[261 + 2 * i] = (uint8_t)(sum >> 8);
    }
}

/* MXFP4: the scale is a power of two; with three of them in turn, values have a standard deviation of 3.9 before it. */
static void finish_mxfp4(rng *r, float std, uint8_t *b) {
    b[0] = (uint8_t)(127 + ilogbf(std * (1.414f / 3.9f)) + (int)(next(r) % 3) - 1);
}

/* NVFP4: four scales of eight bits, E4M3 with a bias of 7; values have a standard deviation of 2.1 at scale 1. */
static void finish_nvfp4(rng *r, float std, uint8_t *b) {
    float unit = std / 2.1f;
    int exponent = ilogbf(unit), lowest = exponent < -6 ? -6 : exponent > 8 ? 8 : exponent;
    int eighths = (int)lrintf(scalbnf(unit, 3 - lowest)); /* below 16 where unit is not beyond the range */
    for (int i = 0; i < 4; i++) {
        int code = (lowest + 7) * 8 + (eighths < 16 ? eighths : 15) - 8 + (int)(next(r) % 5) - 2;
        b[i] = (uint8_t)(code < 1 ? 1 : code > 126 ? 126 : code);
    }
}

/* IQ1_M: the half d is the top four bits of each word of scales. */
static void finish_iq1_m(rng *r, float std, uint8_t *b) {
    uint16_t d = f32_to_f16(std / 7.2f * around_one(r));
    for (int k = 0; k < 4; k++) b[49 + 2 * k] = (uint8_t)((b[49 + 2 * k] & 15) | (d >> (4 * k) & 15) << 4);
}

/* TQ2_0: of the two-bit codes only 0 to 2 are used; 3 becomes 1, which stands for 0. */
static void finish_tq2_0(rng *r, float std, uint8_t *b) {
    (void)r, (void)std;
    for (int i = 0; i < 64; i++) b[i] = (uint8_t)(b[i] & ~(b[i] << 1 & 0xAA));
}

/* TQ1_0: five (in the last four bytes: four) base-3 digits a byte, as a fraction of 256 rounded up. */
static void finish_tq1_0(rng *r, float std, uint8_t *b) {
    (void)std;
    for (int i = 0; i < 52; i++) {
        uint32_t digits = (uint32_t)(next(r) >> 32) % (i < 48 ? 243 : 81) * (i < 48 ? 1 : 3);
        b[i] = (uint8_t)((digits * 256 + 242) / 243);
    }
}

/* How random bytes become a sound block whose weights have a mean of about 0 and a given standard deviation. */
typedef struct {
    void (*plain)(rng *r, float centre, float std, size_t n, uint8_t *out);
    float unit;    /* standard deviation of the weights for d = 1; 0: finish makes the scale */
    uint8_t d_at;  /* byte of the half d */
    uint8_t m_at;  /* byte of the half m or dmin, where there is one: */
    float balance; /* m = balance x d centres the weights */
    void (*finish)(rng *r, float std, uint8_t *block);
} recipe;

static const recipe recipes[QUANT_TYPE_COUNT] = {
    [QUANT_F32] = {.plain = plain_f32},
    [QUANT_F16] = {.plain = plain_f16},
    [QUANT_BF16] = {.plain = plain_bf16},
    [QUANT_F64] = {.plain = plain_f64},
    [QUANT_I8] = {.plain = plain_i8},
    [QUANT_I16] = {.plain = plain_i16},
    [QUANT_I32] = {.plain = plain_i32},
    [QUANT_I64] = {.plain = plain_i64},
    [QUANT_Q4_0] = {.unit = 4.6f},
    [QUANT_Q4_1] = {.unit = 4.6f, .m_at = 2, .balance = -7.5f},
    [QUANT_Q5_0] = {.unit = 9.2f},
    [QUANT_Q5_1] = {.unit = 9.2f, .m_at = 2, .balance = -15.5f},
    [QUANT_Q8_0] = {.unit = 74},
    [QUANT_Q8_1] = {.unit = 74, .finish = finish_q8_1},
    [QUANT_Q2_K] = {.unit = 14.5f, .d_at = 80, .m_at = 82, .balance = 1.5f},
    [QUANT_Q3_K] = {.unit = 42, .d_at = 108},
    [QUANT_Q4_K] = {.unit = 268, .m_at = 2, .balance = 7.5f},
    [QUANT_Q5_K] = {.unit = 553, .m_at = 2, .balance = 15.5f},
    [QUANT_Q6_K] = {.unit = 1360, .d_at = 208},
    [QUANT_Q8_K] = {.finish = finish_q8_k},
    [QUANT_IQ1_S] = {.unit = 7.2f},
    [QUANT_IQ1_M] = {.finish = finish_iq1_m},
    [QUANT_IQ2_XXS] = {.unit = 53},
    [QUANT_IQ2_XS] = {.unit = 56},
    [QUANT_IQ2_S] = {.unit = 56},
    [QUANT_IQ3_XXS] = {.unit = 142},
    [QUANT_IQ3_S] = {.unit = 140},
    [QUANT_IQ4_NL] = {.unit = 70},
    [QUANT_IQ4_XS] = {.unit = 1300},
    [QUANT_TQ1_0] = {.unit = 0.8f, .d_at = 52, .finish = finish_tq1_0},
    [QUANT_TQ2_0] = {.unit = 0.7f, .d_at = 64, .finish = finish_tq2_0},
    [QUANT_MXFP4] = {.finish = finish_mxfp4},
    [QUANT_NVFP4] = {.finish = finish_nvfp4},
};

bool random_can_make(quant_type type) { return recipes[type].plain || recipes[type].unit > 0 || recipes[type].finish; }

static void random_bytes(rng *r, size_t n, uint8_t *out) {
    rng local = *r;
    for (; n >= 8; n -= 8, out += 8) {
        uint64_t x = next(&local);
        memcpy(out, &x, 8);
    }
    uint64_t x = next(&local);
    memcpy(out, &x, n);
    *r = local;
}

void random_blocks(rng *r, quant_type type, float centre, float std, size_t n, uint8_t *out) {
    const recipe *how = &recipes[type];
    size_t bytes = quant_types[type].bytes;
    if (how->plain) {
        how->plain(r, centre, std, n, out);
        return;
    }
    random_bytes(r, n * bytes, out);
    for (uint8_t *b = out; b < out + n * bytes; b += bytes) {
        if (how->unit > 0) put_half(b + how->d_at, std / how->unit * around_one(r));
        if (how->balance != 0) put_half(b + how->m_at, how->balance * get_half(b + how->d_at));
        if (how->finish) how->finish(r, std, b);
    }
}
