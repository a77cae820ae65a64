#include "text/json_escape.h"

#include "base/str.h"
#include "text/unicode.h"

/* Four hexadecimal digits at *p. */
static bool hex4(const char **p, const char *end, uint32_t *out) {
    *out = 0;
    if (end - *p < 4) return false;
    for (int i = 0; i < 4; i++) {
        int d = hex_digit(*(*p)++);
        if (d < 0) return false;
        *out = *out << 4 | (uint32_t)d;
    }
    return true;
}

static bool code_point(const char **p, const char *end, uint32_t *out) {
    uint32_t c, low;
    if (!hex4(p, end, &c)) return false;
    if (c >= 0xD800 && c < 0xDC00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u') {
        const char *ahead = *p + 2;
        if (!hex4(&ahead, end, &low)) return false;
        if (low >= 0xDC00 && low < 0xE000) {
            c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
            *p = ahead;
        }
    }
    *out = c >= 0xD800 && c < 0xE000 ? 0xFFFD : c;
    return true;
}

size_t json_unescape(const char **p, const char *end, char out[4]) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (*p == end) return 0;
    char c = *(*p)++;
    const char *known = c ? strchr(from, c) : NULL;
    if (known) {
        out[0] = to[known - from];
        return 1;
    }
    uint32_t cp;
    return c == 'u' && code_point(p, end, &cp) ? utf8_encode(cp, out) : 0;
}
