/* bench-tokenize MODEL TEXT: how long the vocabulary takes to load, and how fast the text becomes ids on one thread.
 * Not a test: figures depend on the machine. Take a text that does not repeat itself, or the figure means nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "gguf.h"

enum { RUNS = 5 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static char *read_file(const char *path, size_t *n) {
    FILE *f = fopen(path, "rb");
    if (!f || fseek(f, 0, SEEK_END) != 0) return NULL;
    *n = (size_t)ftell(f);
    rewind(f);
    char *text = malloc(*n + 1);
    if (text && fread(text, 1, *n, f) != *n) {
        free(text);
        text = NULL;
    }
    fclose(f);
    return text;
}

static double least(double a, double b) { return a < b ? a : b; }

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: bench-tokenize MODEL TEXT [PRE]\n");
        return 2;
    }
    gguf_error err = {0};
    gguf_model *model = NULL;
    double load = 1e9, tokenize = 1e9;
    for (int run = 0; run < RUNS; run++) {
        gguf_model_params params = {.vocab_only = true, .pre = argc > 3 ? argv[3] : NULL};
        gguf_model_close(model);
        double start = now();
        model = gguf_model_open(argv[1], &params, &err);
        load = least(load, now() - start);
        if (!model) break;
    }
    size_t n = 0;
    char *text = read_file(argv[2], &n);
    if (!model || !text) {
        fprintf(stderr, "bench-tokenize: %s\n", model ? "the text cannot be read" : err.message);
        return 1;
    }
    ptrdiff_t count = 0;
    for (int run = 0; run < RUNS; run++) {
        int32_t *ids;
        double start = now();
        count = gguf_vocab_tokenize(gguf_model_vocab(model), text, n, &(gguf_tokenize_params){0}, &ids, &err);
        tokenize = least(tokenize, now() - start);
        free(ids);
    }
    printf("load %.1f ms; %zu bytes, %td ids, %.1f MB/s (best of %d)\n", load * 1e3, n, count,
           1e-6 * (double)n / tokenize, RUNS);
    free(text);
    gguf_model_close(model);
    return count < 0;
}
