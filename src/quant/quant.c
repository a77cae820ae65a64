#include "quant/quant.h"

#include <math.h>

#include "quant/encode.h"

/* ---- plain numbers --------------------------------------------------------------------------- */

/* Sources need no alignment, so every number goes through memcpy, which compilers turn into a load. */
#define LOADER(name, type, expr)                                                                                       \
    static void name(const uint8_t *src, size_t n, float *out) {                                                       \
        for (size_t i = 0; i < n; i++) {                                                                               \
            type v;                                                                                                    \
            memcpy(&v, src + i * sizeof v, sizeof v);                                                                  \
            out[i] = expr;                                                                                             \
        }                                                                                                              \
    }

LOADER(load_f32, float, v)
LOADER(load_f16, uint16_t, f16_to_f32(v))
LOADER(load_bf16, uint16_t, bf16_to_f32(v))
LOADER(load_f64, double, (float)v)
LOADER(load_i8, int8_t, (float)v)
LOADER(load_i16, int16_t, (float)v)
LOADER(load_i32, int32_t, (float)v)
LOADER(load_i64, int64_t, (float)v)

#define STORER(name, type, expr)                                                                                       \
    static void name(const float *x, size_t n, uint8_t *dst) {                                                         \
        for (size_t i = 0; i < n; i++) {                                                                               \
            type v = expr;                                                                                             \
            memcpy(dst + i * sizeof v, &v, sizeof v);                                                                  \
        }                                                                                                              \
    }

STORER(store_f32, float, x[i])
STORER(store_f16, uint16_t, f32_to_f16(x[i]))
STORER(store_bf16, uint16_t, f32_to_bf16(x[i]))
STORER(store_f64, double, (double)x[i])

/* ---- the table ------------------------------------------------------------------------------- */

/* clang-format off */
const quant_row quant_types[QUANT_TYPE_COUNT] = {
    /*             name  weights bytes, .. act */
    [QUANT_F32] = {"F32", 1, 4, .act = 1, .load = load_f32, .store = store_f32},
    [QUANT_F16] = {"F16", 1, 2, .act = 1, .load = load_f16, .store = store_f16},
    [QUANT_BF16] = {"BF16", 1, 2, .act = 1, .load = load_bf16, .store = store_bf16},
    [QUANT_F64] = {"F64", 1, 8, .act = 1, .load = load_f64, .store = store_f64},
    [QUANT_I8] = {"I8", 1, 1, .act = 1, .load = load_i8},
    [QUANT_I16] = {"I16", 1, 2, .act = 1, .load = load_i16},
    [QUANT_I32] = {"I32", 1, 4, .act = 1, .load = load_i32},
    [QUANT_I64] = {"I64", 1, 8, .act = 1, .load = load_i64},
    /*              name    weights bytes           part sub act  min    unpack */
    [QUANT_Q4_0] = {"Q4_0", 32, sizeof(block_q4_0), 32, 32, 32, false, unpack_q4_0, encode_q4_0},
    [QUANT_Q4_1] = {"Q4_1", 32, sizeof(block_q4_1), 32, 32, 32, true, unpack_q4_1, encode_q4_1},
    [QUANT_Q5_0] = {"Q5_0", 32, sizeof(block_q5_0), 32, 32, 32, false, unpack_q5_0, encode_q5_0},
    [QUANT_Q5_1] = {"Q5_1", 32, sizeof(block_q5_1), 32, 32, 32, true, unpack_q5_1, encode_q5_1},
    [QUANT_Q8_0] = {"Q8_0", 32, sizeof(block_q8_0), 32, 32, 32, false, unpack_q8_0, encode_q8_0},
    [QUANT_Q8_1] = {"Q8_1", 32, sizeof(block_q8_1), 32, 32, 32, false, unpack_q8_1},
    [QUANT_Q2_K] = {"Q2_K", 256, sizeof(block_q2_k), 256, 16, 256, true, unpack_q2_k, encode_q2_k},
    [QUANT_Q3_K] = {"Q3_K", 256, sizeof(block_q3_k), 256, 16, 256, false, unpack_q3_k, encode_q3_k},
    [QUANT_Q4_K] = {"Q4_K", 256, sizeof(block_q4_k), 256, 32, 256, true, unpack_q4_k, encode_q4_k},
    [QUANT_Q5_K] = {"Q5_K", 256, sizeof(block_q5_k), 256, 32, 256, true, unpack_q5_k, encode_q5_k},
    [QUANT_Q6_K] = {"Q6_K", 256, sizeof(block_q6_k), 256, 16, 256, false, unpack_q6_k, encode_q6_k},
    [QUANT_Q8_K] = {"Q8_K", 256, sizeof(block_q8_k), 256, 32, 256, false, unpack_q8_k},
    [QUANT_IQ1_S] = {"IQ1_S", 256, sizeof(block_iq1_s), 256, 32, 256, false, unpack_iq1_s, encode_iq1_s},
    [QUANT_IQ1_M] = {"IQ1_M", 256, sizeof(block_iq1_m), 256, 16, 256, false, unpack_iq1_m, encode_iq1_m},
    [QUANT_IQ2_XXS] = {"IQ2_XXS", 256, sizeof(block_iq2_xxs), 256, 32, 256, false, unpack_iq2_xxs, encode_iq2_xxs},
    [QUANT_IQ2_XS] = {"IQ2_XS", 256, sizeof(block_iq2_xs), 256, 16, 256, false, unpack_iq2_xs, encode_iq2_xs},
    [QUANT_IQ2_S] = {"IQ2_S", 256, sizeof(block_iq2_s), 256, 16, 256, false, unpack_iq2_s, encode_iq2_s},
    [QUANT_IQ3_XXS] = {"IQ3_XXS", 256, sizeof(block_iq3_xxs), 256, 32, 256, false, unpack_iq3_xxs, encode_iq3_xxs},
    [QUANT_IQ3_S] = {"IQ3_S", 256, sizeof(block_iq3_s), 256, 32, 256, false, unpack_iq3_s, encode_iq3_s},
    [QUANT_IQ4_NL] = {"IQ4_NL", 32, sizeof(block_iq4_nl), 32, 32, 32, false, unpack_iq4_nl, encode_iq4_nl},
    [QUANT_IQ4_XS] = {"IQ4_XS", 256, sizeof(block_iq4_xs), 256, 32, 256, false, unpack_iq4_xs, encode_iq4_xs},
    [QUANT_TQ1_0] = {"TQ1_0", 256, sizeof(block_tq1_0), 256, 32, 256, false, unpack_tq1_0, encode_tq1_0},
    [QUANT_TQ2_0] = {"TQ2_0", 256, sizeof(block_tq2_0), 256, 32, 256, false, unpack_tq2_0, encode_tq2_0},
    [QUANT_MXFP4] = {"MXFP4", 32, sizeof(block_mxfp4), 32, 32, 32, false, unpack_mxfp4, encode_mxfp4},
    [QUANT_NVFP4] = {"NVFP4", 64, sizeof(block_nvfp4), 16, 16, 32, false, unpack_nvfp4, encode_nvfp4},
    /* Numbers of types that were removed from the format. */
    [4] = {"Q4_2"}, [5] = {"Q4_3"},
    [31] = {"Q4_0_4_4"}, [32] = {"Q4_0_4_8"}, [33] = {"Q4_0_8_8"},
    [36] = {"IQ4_NL_4_4"}, [37] = {"IQ4_NL_4_8"}, [38] = {"IQ4_NL_8_8"},
};
/* clang-format on */

const quant_row *quant_find(uint32_t type) {
    return type < QUANT_TYPE_COUNT && quant_types[type].block ? &quant_types[type] : NULL;
}

void quant_decode(quant_type type, const uint8_t *src, size_t n, float *out) {
    const quant_row *row = &quant_types[type];
    if (row->load) {
        row->load(src, n, out);
        return;
    }
    quant_parts parts[QUANT_MAX_PARTS];
    for (size_t i = 0; i < n; i += row->block, src += row->bytes) {
        row->unpack(src, parts);
        for (size_t j = 0; j < row->block; j++) {
            const quant_parts *p = &parts[j / row->part];
            size_t k = j % row->part, s = k / row->sub;
            float min = row->has_min ? p->dmin * (float)p->min[s] : 0;
            out[i + j] = fmaf(p->d, (float)(p->scale[s] * p->q[k]), -min);
        }
    }
}
