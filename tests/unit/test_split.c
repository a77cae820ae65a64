/* Which layers go to which GPU: numbers alone, no device is needed. */
#include <string.h>

#include "backend/split.h"
#include "tests/unit/check.h"

enum { N = 6 }; /* five layers and the output */

static const size_t layers[N] = {10, 10, 10, 10, 10, 30};

/* The places as text: '.' is the CPU, '0' the first device; "!" in front: there is no room. */
static bool places(const bool *stays, size_t wanted, const double *shares, const size_t *room, size_t n,
                   const char *want) {
    static const bool none[N];
    int place[N];
    char text[N + 2] = "";
    split_sizes s = {layers, stays ? stays : none, N, 5};
    bool ok = split_place(&s, wanted, shares, room, n, place);
    size_t at = 0;
    if (!ok) text[at++] = '!';
    for (size_t i = 0; i < N; i++) text[at++] = place[i] < 0 ? '.' : (char)('0' + place[i]);
    text[at] = 0;
    if (strcmp(text, want) == 0) return true;
    fprintf(stderr, "%s, not %s\n", text, want);
    return false;
}

int main(void) {
    const double one[] = {1}, three[] = {1, 1, 1}, weighted[] = {3, 1}, second[] = {0, 1};
    const size_t much[] = {1000, 1000, 1000}, some[] = {65}, little[] = {64}, uneven[] = {1000, 34};
    CHECK(places(NULL, 0, one, much, 1, "......"));
    CHECK(places(NULL, 1, one, much, 1, ".....0"));
    CHECK(places(NULL, 3, one, much, 1, "...000"));
    CHECK(places(NULL, 6, one, much, 1, "000000"));
    CHECK(places(NULL, 99, one, much, 1, "000000"));
    /* 3 x 10 + 30, and 5 for what every device needs */
    CHECK(places(NULL, 4, one, some, 1, "..0000"));
    CHECK(places(NULL, 4, one, little, 1, "!..0000"));
    /* several devices */
    CHECK(places(NULL, 6, three, much, 3, "001122"));
    CHECK(places(NULL, 4, weighted, much, 2, "..0001"));
    CHECK(places(NULL, 6, second, much, 2, "111111"));
    CHECK(places(NULL, 4, weighted, uneven, 2, "!..0001"));
    /* layers that cannot leave */
    const bool stays[N] = {false, true, false, false, true, false};
    CHECK(places(stays, 6, one, much, 1, "0.00.0"));
    CHECK(places(stays, 3, three, much, 3, "...0.2"));
    return check_summary();
}
