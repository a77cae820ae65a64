/*
 * A libFuzzer target: a template and what it is given, parted by a byte 0. Nothing may crash, hang or read out of
 * bounds; a text that comes out has a mark for each byte.
 *
 *   cmake -B build-fuzz -DGGUF_FUZZ=ON -DCMAKE_C_COMPILER=clang && cmake --build build-fuzz --target fuzz-template
 *   build-fuzz/tests/fuzz-template corpus/ tests/fuzz/seeds/template/
 */
#include <stdlib.h>
#include <string.h>

#include "gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    static const char some[] =
        "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\\n \\u00e9\"}, {\"role\": \"assistant\", "
        "\"content\": null, \"n\": [1, 2.5, true, {\"a\": \"b\"}]}], \"tools\": [{\"name\": \"f\"}]}";
    const uint8_t *nul = n ? memchr(data, 0, n) : NULL;
    size_t n_template = nul ? (size_t)(nul - data) : n, n_json = nul ? n - n_template - 1 : 0;
    char *json = malloc(n_json + 1);
    if (!json) return 0;
    if (n_json) memcpy(json, nul + 1, n_json);
    json[n_json] = 0;
    gguf_error err = {0};
    gguf_chat_template *t = gguf_chat_template_open((const char *)data, n_template, &err);
    gguf_chat_params p = {.variables = n_json ? json : some, .now = "2026-11-20 12:34:56"};
    gguf_chat_text text;
    bool ok = t && gguf_chat_render(t, &p, &text, &err);
    if (ok ? memchr(text.own, 2, text.n) != NULL : err.code == GGUF_OK || !err.message[0]) abort();
    if (ok) gguf_chat_text_free(&text);
    gguf_chat_template_close(t);
    free(json);
    return 0;
}
