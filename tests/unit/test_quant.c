/*
 * Tensor types: blocks decode as the Python package gguf decodes them, and encoders make the blocks they should.
 */
#include <math.h>
#include <string.h>

#include "base/bits.h"
#include "quant/quant.h"
#include "tests/random_tensor.h"
#include "tests/unit/check.h"

enum { BLOCKS = 256, MAX_BYTES = 292 };

/* ---- decoding ------------------------------------------------------------------------------------ */

/* FNV-1a over the float32 bits of 256 blocks of random bytes, as gguf.quants.dequantize of gguf 0.19 gives them; every
 * zero counts as +0 and every NaN as 0x7FC00000. */
static const struct {
    quant_type type;
    uint64_t hash;
} decoded[] = {
    {QUANT_Q4_0, 0xF9ED873CC966EF25},   {QUANT_Q5_0, 0x6D97F385206B8725},    {QUANT_Q8_0, 0x9F68CDCF085A9265},
    {QUANT_Q3_K, 0xFBCD57F2D2ECBA65},   {QUANT_Q6_K, 0x6336D3CE5940261F},    {QUANT_IQ1_S, 0xD2B5AB558BE5B4A5},
    {QUANT_IQ1_M, 0xBDDF281FD211AA45},  {QUANT_IQ2_XXS, 0xC3D18A9E6BDD2AFD}, {QUANT_IQ2_XS, 0x3D8E0B8DFB3F84D5},
    {QUANT_IQ2_S, 0x51E5F28CD6CF7A11},  {QUANT_IQ3_XXS, 0x8500237F710A1CF5}, {QUANT_IQ3_S, 0xA4708A027BB173E5},
    {QUANT_IQ4_NL, 0xEE7F475F0790B1E5}, {QUANT_IQ4_XS, 0x58317C214E5F3C37},  {QUANT_TQ1_0, 0x734024AA62966325},
    {QUANT_TQ2_0, 0xB4C98EEE46DB8325},  {QUANT_MXFP4, 0x89B086E0B6D4A325},   {QUANT_NVFP4, 0xE01F141B3E772325},
};

static void test_decode(void) {
    for (size_t i = 0; i < sizeof decoded / sizeof *decoded; i++) {
        const quant_row *row = &quant_types[decoded[i].type];
        static uint8_t blocks[BLOCKS * MAX_BYTES];
        static float y[BLOCKS * QUANT_MAX_BLOCK];
        uint64_t state = 1, hash = 0xCBF29CE484222325u;
        for (size_t k = 0; k < (size_t)BLOCKS * row->bytes; k++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            blocks[k] = (uint8_t)(state >> 56);
        }
        quant_decode(decoded[i].type, blocks, (size_t)BLOCKS * row->block, y);
        for (size_t k = 0; k < (size_t)BLOCKS * row->block; k++) {
            uint32_t bits = isnan(y[k]) ? 0x7FC00000 : y[k] == 0 ? 0 : f32_bits(y[k]);
            hash = (hash ^ bits) * 0x100000001B3u;
        }
        if (hash != decoded[i].hash) fprintf(stderr, "%s: decodes otherwise\n", row->name);
        CHECK(hash == decoded[i].hash);
    }
}

/* ---- encoding ------------------------------------------------------------------------------------ */

/* Root mean square error of normal weights, relative to theirs; whether weights that were decoded from such blocks
 * become the same weights again; and FNV-1a over the blocks, which are the same on every machine. */
static const struct {
    quant_type type;
    double error;
    bool exact_again;
    uint64_t hash;
} encoders[] = {
    {QUANT_F32, 0, true, 0x30ADBE4116617881},          {QUANT_F64, 0, true, 0xEC6DBEB45B135A40},
    {QUANT_F16, 0.0003, true, 0x839158B82EF0CADB},     {QUANT_BF16, 0.0025, true, 0xCCECF6AD5F1FE655},
    {QUANT_Q4_0, 0.083, true, 0x4C8C1F20619B5FE1},     {QUANT_Q4_1, 0.072, false, 0xC05B199BF99C3DE0},
    {QUANT_Q5_0, 0.042, false, 0xF946BC2CA90231DF},    {QUANT_Q5_1, 0.035, false, 0xDFBB9BD21528EC30},
    {QUANT_Q8_0, 0.0056, true, 0x7BC3540003D7E075},    {QUANT_Q2_K, 0.27, false, 0x8284CDE8E04A398D},
    {QUANT_Q3_K, 0.15, false, 0x35C78941CD7CA141},     {QUANT_Q4_K, 0.072, false, 0xD6DB58661BD4DF5D},
    {QUANT_Q5_K, 0.036, false, 0xF027383581E05FE8},    {QUANT_Q6_K, 0.0175, false, 0x4E3059DBF59EB950},
    {QUANT_IQ4_NL, 0.076, true, 0x8AD6DF4B611F750A},   {QUANT_IQ4_XS, 0.077, false, 0x07558553ED57D930},
    {QUANT_TQ1_0, 0.45, true, 0xD74AF45144CB3A44},     {QUANT_TQ2_0, 0.45, true, 0x76DFE3106047092F},
    {QUANT_MXFP4, 0.115, true, 0x166B4297FFA22857},    {QUANT_NVFP4, 0.1, true, 0x30DC06E96BFEC958},
    {QUANT_IQ3_S, 0.135, false, 0xD824A58CD32C8A33},   {QUANT_IQ3_XXS, 0.185, false, 0x2A3E587EE52ADA64},
    {QUANT_IQ2_S, 0.25, false, 0xCECE70C01F7ED867},    {QUANT_IQ2_XS, 0.295, false, 0x648545587000A132},
    {QUANT_IQ2_XXS, 0.335, false, 0xBD9C9E92085F7610}, {QUANT_IQ1_M, 0.42, false, 0xB237241F6264D561},
    {QUANT_IQ1_S, 0.45, false, 0xE7E1A8ADD6DB980E},
};

enum { N = 64 * 256 };

static float x[N], y[N], again[N], importance[N];
static uint8_t blocks[N * 8];

static bool encode(quant_type type, const float *weights, gguf_error *err) {
    return quant_encode(type, x, N, weights, blocks, err);
}

static double error_of(const float *a, const float *b, const float *weights) {
    double error = 0, size = 0;
    for (int i = 0; i < N; i++) {
        double w = weights ? (double)weights[i] : 1, e = (double)a[i] - (double)b[i];
        error += w * e * e;
        size += w * (double)a[i] * (double)a[i];
    }
    return sqrt(error / size);
}

/* Normal weights of the given size, by a seed that is the same for all types. */
static void fill(float size) {
    rng r = rng_for(1, "weights");
    random_blocks(&r, QUANT_F32, 0, size, N, (uint8_t *)x);
}

static uint64_t hash_of_blocks(quant_type type) {
    uint64_t hash = 0xCBF29CE484222325u;
    for (size_t i = 0; i < quant_row_bytes(type, N); i++) hash = (hash ^ blocks[i]) * 0x100000001B3u;
    return hash;
}

static void test_errors(quant_type type, double limit, bool exact_again, uint64_t hash) {
    const char *name = quant_types[type].name;
    gguf_error err = {0};
    fill(0.5f);
    CHECK(encode(type, NULL, &err));
    quant_decode(type, blocks, N, y);
    double error = error_of(x, y, NULL);
    if (error > limit) fprintf(stderr, "%s: the error is %.4f, more than %.4f\n", name, error, limit);
    CHECK(error <= limit);
    if (hash_of_blocks(type) != hash)
        fprintf(stderr, "%s: other blocks: 0x%016llX\n", name, (unsigned long long)hash_of_blocks(type));
    CHECK(hash_of_blocks(type) == hash);

    /* what matters more comes closer */
    for (int i = 0; i < N; i++) importance[i] = i % 3 == 0 ? 100 : 0;
    double before = error_of(x, y, importance);
    CHECK(encode(type, importance, &err));
    quant_decode(type, blocks, N, y);
    if (type != QUANT_Q8_0) CHECK(error_of(x, y, importance) <= before);

    if (!exact_again) return;
    fill(0.5f);
    CHECK(encode(type, NULL, &err));
    quant_decode(type, blocks, N, y);
    memcpy(x, y, sizeof x);
    CHECK(encode(type, NULL, &err));
    quant_decode(type, blocks, N, again);
    int others = 0;
    for (int i = 0; i < N; i++) others += y[i] != again[i];
    if (others > 0) fprintf(stderr, "%s: %d weights are not the same again\n", name, others);
    CHECK(others == 0);
}

/* How far a constant may come back off: FP4 has steps of a quarter, codebooks few entries of equal weights, and
 * 0.00325 makes scales that are subnormal halves. */
static double constant_error(quant_type type) {
    if (type == QUANT_MXFP4 || type == QUANT_NVFP4) return 0.1;
    bool codebook = type != QUANT_IQ4_NL && type != QUANT_IQ4_XS && strncmp(quant_types[type].name, "IQ", 2) == 0;
    return codebook ? 0.2 : 0.012;
}

static void test_odd_values(quant_type type) {
    gguf_error err = {0};
    bool block = quant_types[type].block > 1;
    memset(x, 0, sizeof x);
    CHECK(encode(type, NULL, &err));
    quant_decode(type, blocks, N, y);
    for (int i = 0; i < N; i++) CHECK(y[i] == 0);

    static const float constants[] = {0.75f, -0.75f, 3.25e-3f, -100};
    for (size_t c = 0; c < sizeof constants / sizeof *constants; c++) {
        if (type == QUANT_NVFP4 && fabsf(constants[c]) < 1) continue; /* its scales have a narrow range */
        for (int i = 0; i < N; i++) x[i] = constants[c];
        CHECK(encode(type, NULL, &err));
        quant_decode(type, blocks, N, y);
        double error = error_of(x, y, NULL), limit = constant_error(type);
        if (error > limit) fprintf(stderr, "%s: %g becomes %g\n", quant_types[type].name, (double)x[0], (double)y[0]);
        CHECK(error <= limit);
    }

    fill(1e-38f); /* denormals among them: zeros for all whose scale is a half */
    x[5] = 1e-45f;
    CHECK(encode(type, NULL, &err));
    quant_decode(type, blocks, N, y);
    for (int i = 0; i < N; i++) CHECK(fabsf(y[i]) <= 1e-30f);
    CHECK(err.code == GGUF_OK);

    static const uint32_t bad[] = {0x7FC00000, 0x7F800000, 0xFF800000};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fill(1);
        x[1000] = f32_from_bits(bad[i]);
        err = (gguf_error){0};
        CHECK(!encode(type, NULL, &err) && err.code == GGUF_ERR_RUN && strstr(err.message, "value 1000 "));
    }
    fill(1);
    x[777] = 1e30f;
    err = (gguf_error){0};
    bool holds = type == QUANT_F32 || type == QUANT_F64 || type == QUANT_BF16;
    CHECK(encode(type, NULL, &err) == holds && (holds || strstr(err.message, "value 777 ")));
    if (!block) return;
    fill(1);
    importance[3000] = -1;
    err = (gguf_error){0};
    CHECK(!encode(type, importance, &err) && strstr(err.message, "importance 3000 "));
    importance[3000] = 0;
    memset(importance, 0, sizeof importance); /* nothing matters: as if all did */
    CHECK(encode(type, importance, NULL));
}

/* A scale that a half cannot hold is refused, not stored as infinity. */
static void test_large_values(void) {
    gguf_error err = {0};
    fill(1);
    x[300] = 2e7f;
    CHECK(!encode(QUANT_Q8_0, NULL, &err) && strstr(err.message, "too large for type Q8_0"));
    err = (gguf_error){0};
    CHECK(!encode(QUANT_I32, NULL, &err) && err.code == GGUF_ERR_USAGE && strstr(err.message, "I32"));
}

int main(void) {
    test_decode();
    for (size_t i = 0; i < sizeof encoders / sizeof *encoders; i++) {
        test_errors(encoders[i].type, encoders[i].error, encoders[i].exact_again, encoders[i].hash);
        test_odd_values(encoders[i].type);
    }
    test_large_values();
    return check_summary();
}
