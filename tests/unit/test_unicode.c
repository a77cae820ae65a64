/* UTF-8, categories and mappings of characters. */
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "tests/unit/check.h"
#include "text/unicode.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void check_decode(const char *bytes, size_t n, uint32_t cp, uint32_t used) {
    /* a copy that ends where the bytes end, so that a sanitizer sees a byte too many */
    char *copy = malloc(n);
    memcpy(copy, bytes, n);
    utf8_char c = utf8_decode(copy, copy + n);
    CHECK(c.cp == cp && c.n == used);
    free(copy);
}

static void test_utf8(void) {
    check_decode("a", 1, 'a', 1);
    check_decode("\0", 1, 0, 1);
    check_decode("\xC2\x80", 2, 0x80, 2);
    check_decode("\xED\x9F\xBF", 3, 0xD7FF, 3);
    check_decode("\xF4\x8F\xBF\xBF", 4, 0x10FFFF, 4);
    static const str invalid[] = {
        STR("\x80"),
        STR("\xBF"
            "a"),
        STR("\xC3"),
        STR("\xE2\x96"),
        STR("\xF0\x9F\x98"),
        STR("\xC0\x80"),
        STR("\xC1\xBF"),
        STR("\xE0\x9F\xBF"),
        STR("\xF0\x8F\xBF\xBF"),
        STR("\xED\xA0\x80"),
        STR("\xF4\x90\x80\x80"),
        STR("\xF8\x88\x80\x80"),
        STR("\xFF"),
        STR("\xE2"
            "ab"),
    };
    for (size_t i = 0; i < COUNT(invalid); i++) check_decode(invalid[i].p, invalid[i].n, UNICODE_INVALID, 1);
    size_t wrong = 0;
    for (uint32_t cp = 0; cp < 0x110000; cp++) {
        char bytes[4];
        size_t n = utf8_encode(cp, bytes);
        utf8_char c = utf8_decode(bytes, bytes + n);
        bool surrogate = cp >= 0xD800 && cp < 0xE000;
        wrong += surrogate ? c.cp != UNICODE_INVALID : c.cp != cp || c.n != n;
    }
    CHECK(wrong == 0);
}

static void test_categories(void) {
    static const struct {
        uint32_t cp, set;
    } rows[] = {
        {'A', UNI_Lu},
        {'z', UNI_Ll},
        {0x1C5, UNI_Lt},
        {0x2B0, UNI_Lm},
        {0x4E00, UNI_Lo | UNI_HAN},
        {0x9FFF, UNI_Lo | UNI_HAN},
        {0xAC00, UNI_Lo},
        {0xD7A3, UNI_Lo},
        {0x301, UNI_Mn},
        {0x903, UNI_Mc},
        {0x20DD, UNI_Me},
        {'7', UNI_Nd},
        {0x663, UNI_Nd},
        {0x2160, UNI_Nl},
        {0xBD, UNI_No},
        {'_', UNI_Pc},
        {'-', UNI_Pd},
        {'(', UNI_Ps},
        {')', UNI_Pe},
        {0xAB, UNI_Pi},
        {0xBB, UNI_Pf},
        {'!', UNI_Po},
        {'+', UNI_Sm},
        {'$', UNI_Sc},
        {'^', UNI_Sk},
        {0x1F600, UNI_So},
        {0xFFFD, UNI_So},
        {0x200B, UNI_Cf},
        {0, UNI_Cc},
        {0xE000, UNI_Co},
        {0xD800, UNI_Cs},
        {0x378, UNI_Cn},
        {0x10FFFF, UNI_Cn},
        {0x110000, UNI_Cn},
        {' ', UNI_Zs | UNI_SPACE},
        {'\n', UNI_Cc | UNI_SPACE},
        {0x85, UNI_Cc | UNI_SPACE},
        {0xA0, UNI_Zs | UNI_SPACE},
        {0x3000, UNI_Zs | UNI_SPACE},
        {0x2028, UNI_Zl | UNI_SPACE},
        {0x2029, UNI_Zp | UNI_SPACE},
        {UNICODE_INVALID, UNI_Cn},
    };
    for (size_t i = 0; i < COUNT(rows); i++) CHECK(unicode_set(rows[i].cp) == rows[i].set);
    size_t spaces = 0;
    for (uint32_t cp = 0; cp < 0x110000; cp++) spaces += (unicode_set(cp) & UNI_SPACE) != 0;
    CHECK(spaces == 25);
}

static void check_parts(uint32_t cp, const uint32_t *parts, size_t n) {
    uint32_t out[4];
    CHECK(unicode_decompose(cp, out) == n && memcmp(out, parts, n * sizeof *parts) == 0);
}
#define CHECK_PARTS(cp, ...) check_parts(cp, (const uint32_t[]){__VA_ARGS__}, COUNT(((const uint32_t[]){__VA_ARGS__})))

/* Expected values: Python's unicodedata.normalize("NFD", c) and str.lower. */
static void test_mappings(void) {
    CHECK_PARTS('a', 'a');
    CHECK_PARTS(0, 0);
    CHECK_PARTS(0xC4, 'A', 0x308);
    CHECK_PARTS(0x1E69, 's', 0x323, 0x307);
    CHECK_PARTS(0x1F82, 0x3B1, 0x313, 0x300, 0x345);
    CHECK_PARTS(0xAC00, 0x1100, 0x1161);
    CHECK_PARTS(0xAC01, 0x1100, 0x1161, 0x11A8);
    CHECK_PARTS(0xD7A3, 0x1112, 0x1175, 0x11C2);
    CHECK_PARTS(0xF900, 0x8C48);
    CHECK_PARTS(0x2FA1D, 0x2A600);
    CHECK_PARTS(0xFB01, 0xFB01); /* a ligature has only a decomposition for compatibility */
    CHECK_PARTS(0x10FFFF, 0x10FFFF);
    CHECK_PARTS(UNICODE_INVALID, UNICODE_INVALID);
    CHECK(unicode_to_lower('A') == 'a' && unicode_to_lower('[') == '[' && unicode_to_lower(0xC4) == 0xE4);
    CHECK(unicode_to_lower(0x410) == 0x430 && unicode_to_lower(0x1E9E) == 0xDF && unicode_to_lower(0x10400) == 0x10428);
    CHECK(unicode_to_lower(0xDF) == 0xDF && unicode_to_lower(UNICODE_INVALID) == UNICODE_INVALID);
}

int main(void) {
    test_utf8();
    test_categories();
    test_mappings();
    return check_summary();
}
