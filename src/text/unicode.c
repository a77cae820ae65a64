#include "text/unicode.h"

utf8_char utf8_decode(const char *p, const char *end) {
    static const struct {
        uint8_t mask, lead; /* of the first byte */
        uint32_t first;     /* the least code point of this length */
    } forms[] = {{0xE0, 0xC0, 0x80}, {0xF0, 0xE0, 0x800}, {0xF8, 0xF0, 0x10000}};
    static const utf8_char invalid = {UNICODE_INVALID, 1};
    const uint8_t *u = (const uint8_t *)p;
    if (u[0] < 0x80) return (utf8_char){u[0], 1};
    for (uint32_t form = 0; form < 3; form++) {
        if ((u[0] & forms[form].mask) != forms[form].lead) continue;
        uint32_t n = form + 2, cp = u[0] & (uint8_t)~forms[form].mask;
        if ((size_t)(end - p) < n) return invalid;
        for (uint32_t i = 1; i < n; i++) {
            if ((u[i] & 0xC0) != 0x80) return invalid;
            cp = cp << 6 | (u[i] & 0x3F);
        }
        if (cp < forms[form].first || cp >= 0x110000 || (cp >= 0xD800 && cp < 0xE000)) return invalid;
        return (utf8_char){cp, n};
    }
    return invalid;
}

size_t utf8_encode(uint32_t cp, char *out) {
    size_t n = cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    if (n == 1) {
        out[0] = (char)cp;
        return 1;
    }
    for (size_t i = n; i-- > 1; cp >>= 6) out[i] = (char)(0x80 | (cp & 0x3F));
    out[0] = (char)(0xF00u >> n | cp); /* 110x, 1110, 1111 0 */
    return n;
}
