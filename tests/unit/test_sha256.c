/* SHA-256 against the examples of FIPS 180-4 and of NIST's test vectors, whole and in pieces. */
#include <stdbool.h>
#include <string.h>

#include "base/sha256.h"
#include "tests/unit/check.h"

static const struct {
    const char *text;
    size_t times; /* the text stands so often in the message */
    const char *digest;
} vectors[] = {
    {"", 1, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", 1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1,
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
     1, "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    {"a", 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
};

static void check_vector(size_t i) {
    sha256 s;
    uint8_t digest[32];
    char hex[65];
    sha256_begin(&s);
    for (size_t t = 0; t < vectors[i].times; t++) sha256_add(&s, vectors[i].text, strlen(vectors[i].text));
    sha256_end(&s, digest);
    sha256_hex(digest, hex);
    CHECK(strcmp(hex, vectors[i].digest) == 0);
}

/* A message of every length around the block's, whole and cut in two at every place, gives the same digest. */
static void check_pieces(void) {
    uint8_t message[200], whole[32], parts[32];
    for (size_t i = 0; i < sizeof message; i++) message[i] = (uint8_t)(i * 7);
    for (size_t n = 0; n <= sizeof message; n++) {
        sha256 s;
        sha256_begin(&s);
        sha256_add(&s, message, n);
        sha256_end(&s, whole);
        bool same = true;
        for (size_t cut = 0; cut <= n; cut++) {
            sha256_begin(&s);
            sha256_add(&s, message, cut);
            sha256_add(&s, message + cut, n - cut);
            sha256_end(&s, parts);
            same = same && memcmp(whole, parts, sizeof whole) == 0;
        }
        CHECK(same);
    }
}

int main(void) {
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) check_vector(i);
    check_pieces();
    return check_summary();
}
