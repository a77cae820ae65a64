/* UTF-8 and what Unicode says of a code point. */
#ifndef TEXT_UNICODE_H
#define TEXT_UNICODE_H

#include <stddef.h>
#include <stdint.h>

/* A set of general categories, or the one of a code point, as bits: UNI_Lu is \p{Lu}. UNI_SPACE is the
 * property White_Space, which is \s, UNI_HAN the script Han; a code point with one has the bit of its category as
 * well. */
/* clang-format off */
enum {
    UNI_Cn = 1 << 0, UNI_Cc = 1 << 1, UNI_Cf = 1 << 2, UNI_Cs = 1 << 3, UNI_Co = 1 << 4,
    UNI_Lu = 1 << 5, UNI_Ll = 1 << 6, UNI_Lt = 1 << 7, UNI_Lm = 1 << 8, UNI_Lo = 1 << 9,
    UNI_Mn = 1 << 10, UNI_Mc = 1 << 11, UNI_Me = 1 << 12,
    UNI_Nd = 1 << 13, UNI_Nl = 1 << 14, UNI_No = 1 << 15,
    UNI_Pc = 1 << 16, UNI_Pd = 1 << 17, UNI_Ps = 1 << 18, UNI_Pe = 1 << 19, UNI_Pi = 1 << 20, UNI_Pf = 1 << 21,
    UNI_Po = 1 << 22,
    UNI_Sm = 1 << 23, UNI_Sc = 1 << 24, UNI_Sk = 1 << 25, UNI_So = 1 << 26,
    UNI_Zs = 1 << 27, UNI_Zl = 1 << 28, UNI_Zp = 1 << 29,
    UNI_SPACE = 1 << 30,

    UNI_L = UNI_Lu | UNI_Ll | UNI_Lt | UNI_Lm | UNI_Lo,
    UNI_M = UNI_Mn | UNI_Mc | UNI_Me,
    UNI_N = UNI_Nd | UNI_Nl | UNI_No,
    UNI_P = UNI_Pc | UNI_Pd | UNI_Ps | UNI_Pe | UNI_Pi | UNI_Pf | UNI_Po,
    UNI_S = UNI_Sm | UNI_Sc | UNI_Sk | UNI_So,
    UNI_Z = UNI_Zs | UNI_Zl | UNI_Zp,
    UNI_C = UNI_Cn | UNI_Cc | UNI_Cf | UNI_Cs | UNI_Co,
};
/* clang-format on */
#define UNI_HAN 0x80000000u /* an enumeration constant is an int */

#define UNICODE_INVALID 0xFFFFFFFFu /* stands for a byte that does not begin valid UTF-8 */

/* One character of a text: a code point, or one invalid byte. */
typedef struct {
    uint32_t cp;
    uint32_t n; /* bytes, 1 to 4 */
} utf8_char;

/* The character at p, which lies before end. Overlong forms, surrogates and what lies past U+10FFFF are invalid. */
utf8_char utf8_decode(const char *p, const char *end);
/* Writes a code point below U+110000 to out[0..4); returns its bytes. */
size_t utf8_encode(uint32_t cp, char *out);

/* Two-stage table: the class of cp is unicode_class[unicode_block[cp / UNICODE_BLOCK]][cp % UNICODE_BLOCK]. */
enum {
    UNICODE_BLOCK = 256,
    UNICODE_CLASS_CATEGORY = 0x1F,
    UNICODE_CLASS_SPACE = 0x20,
    UNICODE_CLASS_HAN = 0x40,
    UNICODE_CLASS_WIDE = 0x80
};
extern const uint8_t unicode_block[0x110000 / UNICODE_BLOCK];
extern const uint8_t unicode_class[][UNICODE_BLOCK];

/* Letters that change with case: every `step`-th code point of first .. last does so by these differences. */
typedef enum { UNICODE_UPPER, UNICODE_LOWER, UNICODE_TITLE } unicode_case_kind;
typedef struct {
    uint32_t first, last;
    uint16_t step;
    int32_t delta[3]; /* by unicode_case_kind */
} unicode_case;
/* One letter that becomes several, or in another way than the rows above say. */
typedef struct {
    uint16_t cp;
    uint16_t to[3][3]; /* by unicode_case_kind; ended by 0 */
} unicode_special_case;
extern const unicode_case unicode_cases[];
extern const size_t unicode_n_cases;
extern const unicode_special_case unicode_special_cases[];
extern const size_t unicode_n_special_cases;

/* The full case mapping of cp, without regard to what stands around it: its code points in out, their number. */
size_t unicode_change_case(uint32_t cp, unicode_case_kind kind, uint32_t out[3]);

/* The category of cp, UNI_SPACE and UNI_HAN; UNI_Cn for UNICODE_INVALID. */
static inline uint32_t unicode_set(uint32_t cp) {
    if (cp >= 0x110000) return UNI_Cn;
    uint8_t class = unicode_class[unicode_block[cp / UNICODE_BLOCK]][cp % UNICODE_BLOCK];
    return 1u << (class & UNICODE_CLASS_CATEGORY) | (class & UNICODE_CLASS_SPACE ? (uint32_t)UNI_SPACE : 0) |
           (class & UNICODE_CLASS_HAN ? UNI_HAN : 0);
}

/* Columns of a terminal that cp takes: 2 for East Asian wide characters and pictures, 0 for marks that stand on the
 * character before and for what is not shown, else 1. */
int unicode_width(uint32_t cp);

/* What cp decomposes into canonically (the first step of NFD, without the reordering of marks): writes it to
 * out[0..4) and returns how many code points it is; 1, cp itself, where there is nothing to decompose. */
size_t unicode_decompose(uint32_t cp, uint32_t out[4]);
/* The simple lower case of cp. */
uint32_t unicode_to_lower(uint32_t cp);

/* Behind unicode_decompose: sorted by the code point; parts end with 0. */
typedef struct {
    uint32_t cp, parts[4];
} unicode_decomposition;
extern const unicode_decomposition unicode_decompositions[];
extern const size_t unicode_n_decompositions;

#endif
