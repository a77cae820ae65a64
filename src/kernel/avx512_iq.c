/*
 * AVX-512 products of the types with codebooks, and of TQ, with one token or two, which meet the blocks of sixteen rows
 * at once, and panels of those types, which are best taken apart row by row. Here every weight becomes a byte w + 128,
 * whose products vpdpbusd sums without saturation, and 128 times the scales comes off again through the sums of
 * activations.
 */
#include "kernel/avx512_panel.h"
#include "quant/iq_grids.h"

enum { LEAD = 512 };

#define UNROLL _Pragma("GCC unroll 64")

/* ---- sixteen rows -------------------------------------------------------------------------------- */

/* Lane i of the result is the sum of all lanes of v[i]. */
INLINE __m512i sum_rows(const __m512i v[ROWS]) {
    return add_lanes(add_lanes(sum_four(v), sum_four(v + 4)), add_lanes(sum_four(v + 8), sum_four(v + 12)));
}

/* From a place in a row to what is asked for now: LEAD bytes on, or past the row's end as far into the same row of the
 * next sixteen, where they exist. */
INLINE size_t lead_of(const matrix *w, size_t row, size_t at) {
    bool inside = at + LEAD < w->row_bytes, more = row + 2 * ROWS <= w->n_out;
    return LEAD + (inside || !more ? 0 : (ROWS - 1) * w->row_bytes);
}

/* Where sixteen rows begin, of which n exist: the others repeat the first and are not stored. */
INLINE void point_at_rows(const matrix *w, size_t row, size_t n, const uint8_t *at[ROWS]) {
    for (size_t r = 0; r < ROWS; r++) at[r] = w->data + (row + (r < n ? r : 0)) * w->row_bytes;
}

INLINE uint32_t u32_of(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE uint64_t u64_of(const uint8_t *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* ---- super-blocks of 256 in registers ------------------------------------------------------------ */

typedef struct {
    __m512i q[4];  /* 64 weights each, plus 128, in rising order */
    __m512i scale; /* int32 [16], one for each chunk, in rising order */
    float d;
} row_block;

typedef void load_fn(const uint8_t *p, row_block *out);

/* Eight int32 for 32 weights each, for each chunk. */
INLINE __m512i each_twice(__m256i eight) {
    const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    return _mm512_permutexvar_epi32(twice, _mm512_castsi256_si512(eight));
}

/* The same of eight bytes. */
INLINE __m512i each_byte_twice(uint64_t bytes) {
    return each_twice(_mm256_cvtepi8_epi32(_mm_cvtsi64_si128((long long)bytes)));
}

INLINE __m512i odd(__m512i s) { return _mm512_add_epi32(_mm512_add_epi32(s, s), _mm512_set1_epi32(1)); }

/* Sixteen scales 2 s + 1 from four bits each. */
INLINE __m512i odd_scales(uint64_t nibbles) {
    __m128i s = _mm_set_epi64x((long long)_pdep_u64(nibbles >> 32, 0x0F0F0F0F0F0F0F0Fu),
                               (long long)_pdep_u64(nibbles, 0x0F0F0F0F0F0F0F0Fu));
    return odd(_mm512_cvtepu8_epi32(s));
}

INLINE __m256i load_32(const uint8_t *p) { return _mm256_loadu_si256((const void *)p); }

/* ---- codebooks ----------------------------------------------------------------------------------- */

/*
 * An entry is a word: the codes of a group of eight weights (IQ1, IQ2), or of four (IQ3). Words of entries come in an
 * order that lets one instruction take the codes of 64 weights apart: word 4 k + j is of group 8 j + k, and of group
 * 16 (j / 2) + 2 k + j % 2 where groups are of four.
 */
INLINE size_t group_of_word(size_t w, size_t weights) {
    size_t k = w / 4, j = w % 4;
    return weights == 8 ? 8 * j + k : 16 * (j / 2) + 2 * k + j % 2;
}

/* A group's byte of v in the lower half of its word. The bytes of four groups follow each other, the first's at
 * `begin`; those of the next four stand `skip` bytes behind them. */
INLINE __m512i places_of(__m512i v, size_t begin, size_t skip, size_t weights) {
    uint8_t from[64] = {0};
    UNROLL for (size_t w = 0; w < 32; w++) {
        size_t group = group_of_word(w, weights);
        from[2 * w] = (uint8_t)(begin + group / 4 * skip + group % 4);
    }
    return _mm512_maskz_permutexvar_epi8(0x5555555555555555, _mm512_loadu_si512(from), v);
}

/* Places with further bits: `n` of 64 for each group, the first's lowest. */
INLINE __m512i with_high_bits(__m512i places, uint64_t bits, size_t begin, int n, size_t weights) {
    uint8_t from[64] = {0};
    UNROLL for (size_t w = 0; w < 32; w++) from[2 * w + 1] = (uint8_t)(begin + (size_t)n * group_of_word(w, weights));
    __m512i high = _mm512_multishift_epi64_epi8(_mm512_loadu_si512(from), _mm512_set1_epi64((long long)bits));
    return _mm512_ternarylogic_epi32(places, high, _mm512_set1_epi16((short)(((1 << n) - 1) << 8)), 0xF8);
}

/* Words of groups of eight in rising order, in the order of entries. */
INLINE __m512i in_order(__m512i words) {
    uint16_t from[32];
    UNROLL for (size_t w = 0; w < 32; w++) from[w] = (uint16_t)group_of_word(w, 8);
    return _mm512_permutexvar_epi16(_mm512_loadu_si512(from), words);
}

/* Entries of a codebook of n, a power of two: looked up 64 at a time, and chosen among by the upper bits of their
 * places. Gathers would take several times as long. */
INLINE __m512i entries_of(const uint16_t *grid, size_t n, __m512i places) {
    __m512i found[6]; /* [i]: among 64 << i */
    __mmask32 upper[5];
    UNROLL for (int i = 0; i < 5; i++) upper[i] = _mm512_test_epi16_mask(places, _mm512_set1_epi16((short)(64 << i)));
    UNROLL for (size_t c = 0; c < n / 64; c++) {
        const uint16_t *at = grid + 64 * c;
        __m512i v = _mm512_permutex2var_epi16(_mm512_loadu_si512(at), places, _mm512_loadu_si512(at + 32));
        int i = 0;
        for (; c >> i & 1; i++) v = _mm512_mask_blend_epi16(upper[i], found[i], v);
        found[i] = v;
    }
    return n == 256 ? found[2] : n == 512 ? found[3] : n == 1024 ? found[4] : found[5];
}

/* 256 weights of 32 entries, 64 of each: values of their codes of two bits. */
INLINE void eights(__m512i entries, __m128i values, __m512i q[4]) {
    for (int j = 0; j < 4; j++) {
        const __m512i shifts = _mm512_set1_epi64(0x0E0C0A0806040200 + 0x1010101010101010 * j);
        __m512i codes = _mm512_multishift_epi64_epi8(shifts, entries);
        q[j] = lookup(values, _mm512_and_si512(codes, _mm512_set1_epi8(3)));
    }
}

/* 128 weights: of their codes of three bits. */
INLINE void fours(__m512i entries, __m128i values, __m512i q[2]) {
    for (int j = 0; j < 2; j++) {
        const __m512i shifts = _mm512_set1_epi64(0x1916131009060300 + 0x2020202020202020 * j);
        __m512i codes = _mm512_multishift_epi64_epi8(shifts, entries);
        q[j] = lookup(values, _mm512_and_si512(codes, _mm512_set1_epi8(7)));
    }
}

/* Magnitudes, plus 128. */
INLINE __m128i iq2_values(void) {
    return _mm_setr_epi8((char)136, (char)153, (char)171, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
}
INLINE __m128i iq3_xxs_magnitudes(void) {
    return _mm_setr_epi8((char)132, (char)140, (char)148, (char)156, (char)164, (char)172, (char)180, (char)190, 0, 0,
                         0, 0, 0, 0, 0, 0);
}
INLINE __m128i iq3_s_magnitudes(void) {
    return _mm_setr_epi8((char)129, (char)131, (char)133, (char)135, (char)137, (char)139, (char)141, (char)143, 0, 0,
                         0, 0, 0, 0, 0, 0);
}

/* ---- signs --------------------------------------------------------------------------------------- */

/* 128 - q where q + 128 has its sign set. */
INLINE void apply_signs(const uint8_t signs[32], __m512i q[4]) {
    for (size_t j = 0; j < 4; j++) {
        q[j] = _mm512_mask_sub_epi8(q[j], u64_of(signs + 8 * j), _mm512_setzero_si512(), q[j]);
    }
}

/* Bytes of seven signs: the eighth makes their number even. */
INLINE void apply_even_signs(__m256i seven, __m512i q[4]) {
    const __m256i low = _mm256_set1_epi8(15);
    const __m256i odd_nibble = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, -128, -128, 0, -128, 0, 0, -128, -128, 0, 0, -128, 0, -128, -128, 0));
    __m256i nibble = _mm256_and_si256(_mm256_xor_si256(seven, _mm256_srli_epi16(seven, 4)), low);
    uint8_t signs[32] __attribute__((aligned(32)));
    _mm256_store_si256((void *)signs, _mm256_or_si256(seven, _mm256_shuffle_epi8(odd_nibble, nibble)));
    apply_signs(signs, q);
}

/* Eight words of four times seven signs and a scale s: the scales are 2 s + 1. */
INLINE __m512i apply_signs_and_scales(__m256i words, __m512i q[4]) {
    const __m256i sevens = _mm256_setr_epi8(0, 7, 14, 21, 32, 39, 46, 53, 0, 7, 14, 21, 32, 39, 46, 53, 0, 7, 14, 21,
                                            32, 39, 46, 53, 0, 7, 14, 21, 32, 39, 46, 53);
    __m256i seven = _mm256_and_si256(_mm256_multishift_epi64_epi8(sevens, words), _mm256_set1_epi8(127));
    apply_even_signs(seven, q);
    return odd(each_twice(_mm256_srli_epi32(words, 28)));
}

/* ---- types --------------------------------------------------------------------------------------- */

INLINE void load_iq2_xxs(const uint8_t *p, row_block *out) {
    /* 32 weights each: four places, a word of signs and a scale */
    __m512i v = _mm512_loadu_si512(p + 2);
    const __m512i second = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 1, 3, 5, 7, 9, 11, 13, 15);
    eights(entries_of(iq2_xxs_grid, 256, places_of(v, 0, 8, 8)), iq2_values(), out->q);
    out->scale = apply_signs_and_scales(_mm512_castsi512_si256(_mm512_permutexvar_epi32(second, v)), out->q);
    out->d = _cvtsh_ss(half_bits(p)) * 0.125f;
}

INLINE void load_iq2_xs(const uint8_t *p, row_block *out) {
    /* eight weights each: a place of nine bits, seven signs */
    __m512i codes = _mm512_loadu_si512(p + 2);
    __m512i places = in_order(_mm512_and_si512(codes, _mm512_set1_epi16(511)));
    eights(entries_of(iq2_xs_grid, 512, places), iq2_values(), out->q);
    apply_even_signs(_mm512_cvtepi16_epi8(_mm512_srli_epi16(codes, 9)), out->q);
    out->scale = odd_scales(u64_of(p + 66));
    out->d = _cvtsh_ss(half_bits(p)) * 0.125f;
}

INLINE void load_iq2_s(const uint8_t *p, row_block *out) {
    __m512i places = places_of(_mm512_castsi256_si512(load_32(p + 2)), 0, 4, 8);
    places = with_high_bits(places, u64_of(p + 66), 0, 2, 8);
    eights(entries_of(iq2_s_grid, 1024, places), iq2_values(), out->q);
    apply_signs(p + 34, out->q);
    out->scale = odd_scales(u64_of(p + 74));
    out->d = _cvtsh_ss(half_bits(p)) * 0.125f;
}

INLINE void load_iq3_xxs(const uint8_t *p, row_block *out) {
    __m512i v = _mm512_loadu_si512(p + 2);
    UNROLL for (size_t i = 0; i < 2; i++) {
        __m512i places = places_of(v, 32 * i, 4, 4);
        fours(entries_of(iq3_xxs_grid, 256, places), iq3_xxs_magnitudes(), out->q + 2 * i);
    }
    out->scale = apply_signs_and_scales(load_32(p + 66), out->q);
    out->d = _cvtsh_ss(half_bits(p)) * 0.25f;
}

INLINE void load_iq3_s(const uint8_t *p, row_block *out) {
    __m512i v = _mm512_loadu_si512(p + 2);
    UNROLL for (size_t i = 0; i < 2; i++) {
        __m512i places = with_high_bits(places_of(v, 32 * i, 4, 4), u64_of(p + 66), 32 * i, 1, 4);
        fours(entries_of(iq3_s_grid, 512, places), iq3_s_magnitudes(), out->q + 2 * i);
    }
    apply_signs(p + 74, out->q);
    uint64_t s = _pdep_u64(u32_of(p + 106), 0x0F0F0F0F0F0F0F0Fu);
    out->scale = each_byte_twice(2 * s + 0x0101010101010101u);
    out->d = _cvtsh_ss(half_bits(p));
}

/* Eight times the values -1, 0 and 1, and one more, or where the bit of a group is set one less. */
INLINE void iq1_weights(__m512i places, uint32_t less, __m512i q[4]) {
    const __m128i values = _mm_setr_epi8(121, (char)129, (char)137, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    eights(entries_of(iq1_grid, 2048, in_order(places)), values, q);
    for (int j = 0; j < 4; j++) {
        __m512i two = _mm512_maskz_mov_epi64((__mmask8)(less >> 8 * j), _mm512_set1_epi8(2));
        q[j] = _mm512_sub_epi8(q[j], two);
    }
}

/* Words for 32 weights each: upper bits of four places, the scale, the sign of the shift. */
INLINE void load_iq1_s(const uint8_t *p, row_block *out) {
    const __m512i shifts = _mm512_set1_epi64(0x0900060003000000);
    __m128i words = load_16(p + 34);
    __m512i high = _mm512_multishift_epi64_epi8(shifts, _mm512_cvtepu16_epi64(words));
    __m512i places = _mm512_cvtepu8_epi16(load_32(p + 2));
    places = _mm512_ternarylogic_epi32(places, high, _mm512_set1_epi16(0x0700), 0xF8);
    iq1_weights(places, 15 * _pdep_u32(_mm_movepi16_mask(words), 0x11111111), out->q);
    __m256i scale = _mm256_cvtepu16_epi32(_mm_and_si128(_mm_srli_epi16(words, 12), _mm_set1_epi16(7)));
    out->scale = odd(each_twice(scale));
    out->d = _cvtsh_ss(half_bits(p)) * 0.125f;
}

/* Half a byte for eight weights: upper bits of the place, the sign of the shift. Four words of four scales of three
 * bits; above them, four bits of d each. */
INLINE void load_iq1_m(const uint8_t *p, row_block *out) {
    const __m128i shifts = _mm_setr_epi8(0, 3, 6, 9, 16, 19, 22, 25, 32, 35, 38, 41, 48, 51, 54, 57);
    __m512i bytes = _mm512_cvtepu8_epi32(load_16(p + 32));
    __m512i high = _mm512_and_si512(_mm512_slli_epi32(bytes, 20), _mm512_set1_epi32(0x0F000000));
    high = _mm512_ternarylogic_epi32(high, _mm512_slli_epi32(bytes, 8), _mm512_set1_epi32(0x0F00), 0xF8);
    __m512i places = _mm512_or_si512(_mm512_cvtepu8_epi16(load_32(p)), high);
    uint32_t less = _mm512_test_epi16_mask(places, _mm512_set1_epi16(0x0800));
    iq1_weights(_mm512_and_si512(places, _mm512_set1_epi16(0x07FF)), less, out->q);
    uint64_t words = u64_of(p + 48);
    __m128i s = _mm_multishift_epi64_epi8(shifts, _mm_set1_epi64x((long long)words));
    out->scale = odd(_mm512_cvtepu8_epi32(_mm_and_si128(s, _mm_set1_epi8(7))));
    out->d = _cvtsh_ss((uint16_t)_pext_u64(words, 0xF000F000F000F000)) * 0.125f;
}

/* -1 0 1 as codes 0 1 2: byte j of half h holds weights 128 h + j + {0, 32, 64, 96}. */
INLINE void load_tq2_0(const uint8_t *p, row_block *out) {
    const __m512i three = _mm512_set1_epi8(3), zero = _mm512_set1_epi8(127);
    out->d = _cvtsh_ss(half_bits(p + 64));
    out->scale = _mm512_set1_epi32(1);
    for (int i = 0; i < 4; i++) {
        __m512i v = _mm512_broadcast_i64x4(_mm256_loadu_si256((const void *)(p + 32 * (i / 2))));
        __m512i by =
            _mm512_inserti64x4(_mm512_set1_epi16((short)(4 * (i % 2))), _mm256_set1_epi16((short)(4 * (i % 2) + 2)), 1);
        out->q[i] = _mm512_add_epi8(_mm512_and_si512(_mm512_srlv_epi16(v, by), three), zero);
    }
}

/* Weight i of a super-block of TQ1_0 is digit `digit` of byte `byte`: five of 32 bytes, of sixteen, and four of four.
 */
INLINE void digit_of(size_t i, size_t *byte, size_t *digit) {
    size_t first = i < 160 ? 0 : i < 240 ? 160 : 240, begin = i < 160 ? 0 : i < 240 ? 32 : 48;
    size_t n = i < 160 ? 32 : i < 240 ? 16 : 4;
    *byte = begin + (i - first) % n;
    *digit = (i - first) / n;
}

/* A byte is a number of base-3 digits as a fraction of 256: times a power of three, what goes beyond 256 is gone, and
 * what then goes beyond it times three is the digit. Two weights that follow each other have the same power. */
INLINE void load_tq1_0(const uint8_t *p, row_block *out) {
    static const uint16_t powers[] = {1, 3, 9, 27, 81};
    const __m512i low = _mm512_set1_epi16(255), three = _mm512_set1_epi16(3);
    __m512i bytes = _mm512_maskz_loadu_epi8(((__mmask64)1 << 54) - 1, p);
    UNROLL for (size_t q = 0; q < 4; q++) {
        uint8_t from[64];
        uint16_t power[32];
        UNROLL for (size_t i = 0; i < 64; i++) {
            size_t byte, digit;
            digit_of(64 * q + i, &byte, &digit);
            from[i] = (uint8_t)byte;
            power[i / 2] = (uint16_t)(powers[digit] << 8);
        }
        __m512i v = _mm512_permutexvar_epi8(_mm512_loadu_si512(from), bytes), times = _mm512_loadu_si512(power);
        __m512i even = _mm512_mulhi_epu16(_mm512_mullo_epi16(_mm512_and_si512(v, low), times), three);
        __m512i upper = _mm512_mulhi_epu16(_mm512_mullo_epi16(_mm512_srli_epi16(v, 8), times), three);
        v = _mm512_or_si512(even, _mm512_slli_epi16(upper, 8));
        out->q[q] = _mm512_add_epi8(v, _mm512_set1_epi8(127));
    }
    out->d = _cvtsh_ss(half_bits(p + 52));
    out->scale = _mm512_set1_epi32(1);
}

/* ---- products of super-blocks -------------------------------------------------------------------- */

/* The scales of four chunks, each for the four lanes of its dots. */
INLINE void spread_scales(__m512i scale, __m512i out[4]) {
    const __m512i each = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    for (int i = 0; i < 4; i++)
        out[i] = _mm512_permutexvar_epi32(_mm512_add_epi32(each, _mm512_set1_epi32(4 * i)), scale);
}

/* n_tok (at most STEP_TOK) tokens against rows [row, row + ROWS), of which n exist. */
INLINE void step_256(const matrix *w, const activations *a, size_t n_tok, size_t row, size_t n, float *y,
                     size_t y_stride, load_fn *load) {
    const quant_row *type = &quant_types[w->type];
    __m512 acc[STEP_TOK];
    __m512i product[STEP_TOK][ROWS], act[STEP_TOK][4], sums[STEP_TOK];
    const uint8_t *at[ROWS];
    point_at_rows(w, row, n, at);
    for (size_t t = 0; t < n_tok; t++) acc[t] = _mm512_setzero_ps();
    for (size_t b = 0; b < w->n_in / 256; b++) {
        float d[ROWS];
        size_t lead = lead_of(w, row, b * type->bytes);
        for (size_t t = 0; t < n_tok; t++) {
            for (int i = 0; i < 4; i++) act[t][i] = _mm512_loadu_si512(a->q + (b * n_tok + t) * 256 + 64 * i);
            /* times 128, negated: what the offset of the weights adds */
            __m256i s = _mm256_loadu_si256((const void *)(a->sum + (b * n_tok + t) * 16));
            sums[t] = _mm512_mullo_epi32(_mm512_cvtepi16_epi32(s), _mm512_set1_epi32(-128));
        }
        for (size_t r = 0; r < ROWS; r++) {
            const uint8_t *p = at[r] + b * type->bytes;
            for (size_t line = 0; line < type->bytes; line += 64) _mm_prefetch(p + lead + line, _MM_HINT_T0);
            row_block block;
            __m512i spread[4];
            load(p, &block);
            spread_scales(block.scale, spread);
            d[r] = block.d;
            for (size_t t = 0; t < n_tok; t++) {
                __m512i sum = _mm512_mullo_epi32(block.scale, sums[t]);
                for (int i = 0; i < 4; i++) {
                    __m512i dot = _mm512_dpbusd_epi32(_mm512_setzero_si512(), block.q[i], act[t][i]);
                    sum = _mm512_add_epi32(sum, _mm512_mullo_epi32(dot, spread[i]));
                }
                product[t][r] = sum;
            }
        }
        for (size_t t = 0; t < n_tok; t++) {
            __m512 ds = _mm512_mul_ps(_mm512_loadu_ps(d), _mm512_set1_ps(a->scale[b * n_tok + t]));
            acc[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum_rows(product[t])), ds, acc[t]);
        }
    }
    for (size_t t = 0; t < n_tok; t++) _mm512_mask_storeu_ps(y + t * y_stride + row, first_lanes(n), acc[t]);
}

/* Block `at` of the panel, from `offset` bytes behind the rows' beginnings. */
INLINE void fill_256(panel *p, size_t at, const row_group *g, size_t offset, load_fn *load, size_t sub) {
    __m512i q[4][ROWS], scale[ROWS], out[ROWS];
    float d[ROWS];
    for (size_t r = 0; r < ROWS; r++) {
        row_block b;
        load(g->at[r] + offset, &b);
        for (int i = 0; i < 4; i++) q[i][r] = b.q[i];
        scale[r] = b.scale;
        d[r] = b.d;
    }
    for (size_t i = 0; i < 4; i++) transpose_16(q[i], p->q + at * 64 + 16 * i);
    transpose_16(scale, out); /* of chunks of 16 */
    for (size_t s = 0; s < 256 / sub; s++) p->scale[at * 16 + s] = out[s * sub / 16];
    for (size_t s = 0; s < 8; s++) p->pairs[at * 8 + s] = scale_pair(out[2 * s], out[2 * s + 1], -128);
    p->d[at] = _mm512_loadu_ps(d);
}

/* ---- matrices ------------------------------------------------------------------------------------ */

/* Up to STEP_TOK tokens; a constant for a single one, so that its sums stay in registers. */
INLINE void step(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end, float *y,
                 size_t y_stride, load_fn *load) {
    for (size_t row = row_begin; row < row_end; row += ROWS) {
        size_t n = row_end - row < ROWS ? row_end - row : ROWS;
        if (n_tok == 1) {
            step_256(w, a, 1, row, n, y, y_stride, load);
        } else {
            step_256(w, a, n_tok, row, n, y, y_stride, load);
        }
    }
}

#define STEP_AND_FILL(type, sub, load)                                                                                 \
    void avx512_step_##type(const matrix *w, const activations *a, size_t n_tok, size_t row_begin, size_t row_end,     \
                            float *y, size_t y_stride) {                                                               \
        step(w, a, n_tok, row_begin, row_end, y, y_stride, load);                                                      \
    }                                                                                                                  \
    void avx512_fill_##type(panel *p, size_t at, const row_group *g, size_t offset) {                                  \
        fill_256(p, at, g, offset, load, sub);                                                                         \
    }

STEP_AND_FILL(iq1_s, 32, load_iq1_s)
STEP_AND_FILL(iq1_m, 16, load_iq1_m)
STEP_AND_FILL(iq2_xxs, 32, load_iq2_xxs)
STEP_AND_FILL(iq2_xs, 16, load_iq2_xs)
STEP_AND_FILL(iq2_s, 16, load_iq2_s)
STEP_AND_FILL(iq3_xxs, 32, load_iq3_xxs)
STEP_AND_FILL(iq3_s, 32, load_iq3_s)
STEP_AND_FILL(tq1_0, 32, load_tq1_0)
STEP_AND_FILL(tq2_0, 32, load_tq2_0)
