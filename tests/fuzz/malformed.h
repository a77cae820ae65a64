/* What the tests of files that are not as they should be share: sound files, opening them, and places in them. */
#ifndef TESTS_FUZZ_MALFORMED_H
#define TESTS_FUZZ_MALFORMED_H

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "format/gguf_file.h"
#include "tests/model_maker.h"
#include "tests/unit/check.h"
#include "text/vocab.h"

/* The sound files that everything begins with. LLAMA has odd keys besides, for the classes to damage. */
#define SMALL "--embd 32 --ff 32 --layers 1 --heads 2 --ctx 16 --seed 3 "
static const char LLAMA[] = SMALL "--kv-heads 1 --vocab 20 --type Q4_0 --rope-factors "
                                  "--set x.a=u32:1 --set x.b=u32:2 --set x.flag=bool:1 --set x.list=u32[]:1,2,3 "
                                  "--set x.flags=bool[]:1,0,1 --set x.names=string[]:one,two --set x.text=string:abc";
static const char SMOLLM3[] = SMALL "--arch smollm3 --vocab 24 --vocab-kind bpe --type Q8_0 --head-size 24";

/* A file in memory. */
typedef struct {
    uint8_t *data;
    size_t n;
} image;

static inline image make(const char *options, const char *more) {
    char line[2048];
    gguf_error err = {0};
    model_spec spec = {0};
    image im = {0};
    snprintf(line, sizeof line, "%s %s", options, more);
    if (model_spec_parse_line(&spec, line, &err)) im.data = model_bytes(&spec, &im.n, &err);
    if (!im.data) fprintf(stderr, "%s: %s\n", line, err.message);
    model_spec_free(&spec);
    CHECK(im.data != NULL);
    return im;
}

/* ---- opening --------------------------------------------------------------------------------------- */

/* A file in memory with a path, whose bytes can be changed in place. */
static int memory_file;
static char memory_path[64];

static inline void open_memory_file(void) {
    memory_file = memfd_create("model", MFD_CLOEXEC);
    snprintf(memory_path, sizeof memory_path, "/proc/self/fd/%d", memory_file);
    CHECK(memory_file >= 0);
}

static inline void put_memory_file(const image *im) {
    CHECK(ftruncate(memory_file, (off_t)im->n) == 0);
    CHECK(pwrite(memory_file, im->data, im->n, 0) == (ssize_t)im->n);
}

/* How far a file is used. */
typedef enum { PARSE, MODEL, DECODE } depth;

static inline void parse(const image *im, gguf_error *err) {
    gguf_file *f = gguf_file_parse(im->data, im->n, "file", err);
    if (f) vocab_free(vocab_load(f, NULL, NULL, NULL, err));
    gguf_file_close(f);
}

static inline void open_model(const char *path, bool no_mmap, depth d, gguf_error *err) {
    static const int32_t ids[] = {0, 1};
    const gguf_session_params sp = {.n_ctx = 4, .n_batch = 2, .n_threads = 1};
    gguf_model *m = gguf_model_open(path, &(gguf_model_params){.no_mmap = no_mmap}, err);
    gguf_session *s = m && d == DECODE ? gguf_session_open(m, &sp, err) : NULL;
    if (s) gguf_session_decode(s, ids, 2, err);
    gguf_session_close(s);
    gguf_model_close(m);
}

/* An error has a message, and one that a terminal shows as it is. */
static inline bool is_sound(const gguf_error *err) {
    if (err->code == GGUF_OK) return true;
    for (const char *p = err->message; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7F) return false;
    }
    return err->message[0] != 0;
}

static inline void expect(const char *what, const gguf_error *err, gguf_code code, const char *text) {
    bool ok = err->code == code && is_sound(err) && strstr(err->message, text);
    if (!ok)
        fprintf(stderr, "%s: code %d, not %d, \"%s\" and not \"%s\"\n", what, (int)err->code, (int)code, err->message,
                text);
    CHECK(ok);
}

/* ---- places in a file ------------------------------------------------------------------------------ */

typedef enum {
    NOWHERE,
    AT, /* bytes from the file's beginning */
    /* of a key */
    KEY, /* its length */
    KEY_TEXT,
    KEY_TYPE,
    ELEM_TYPE,
    COUNT,
    VALUE,
    /* of a tensor */
    TENSOR, /* its name's length */
    TENSOR_TEXT,
    TENSOR_LETTER, /* of "attn_?.weight" */
    N_DIMS,
    NE0,
    NE1,
    TENSOR_TYPE,
    OFFSET,
    DATA
} place;

static inline size_t find(const gguf_file *f, const uint8_t *data, place where, const char *name) {
    const gguf_kv *kv = where < TENSOR ? gguf_file_find_kv(f, str_of(name)) : NULL;
    const gguf_tensor *t = where >= TENSOR ? gguf_file_find_tensor(f, str_of(name)) : NULL;
    if (!kv && !t) return SIZE_MAX;
    size_t key = kv ? (size_t)((const uint8_t *)kv->key.p - data) : 0,
           dims = t ? (size_t)((const uint8_t *)t->name.p - data) + t->name.n : 0;
    switch (where) {
    case KEY: return key - 8;
    case KEY_TEXT: return key;
    case KEY_TYPE: return key + kv->key.n;
    case ELEM_TYPE: return key + kv->key.n + 4;
    case COUNT: return key + kv->key.n + 8;
    case VALUE: return (size_t)(kv->data - data);
    case TENSOR: return dims - t->name.n - 8;
    case TENSOR_TEXT: return dims - t->name.n;
    case TENSOR_LETTER: return dims - 8;
    case N_DIMS: return dims;
    case NE0: return dims + 4;
    case NE1: return dims + 12;
    case TENSOR_TYPE: return dims + 4 + 8 * t->n_dims;
    case OFFSET: return dims + 8 + 8 * t->n_dims;
    case DATA: return (size_t)(t->data - data);
    default: return SIZE_MAX;
    }
}

static inline size_t locate(const image *im, place where, const char *name) {
    if (where == AT) return strtoul(name, NULL, 10);
    gguf_error err = {0};
    gguf_file *f = gguf_file_parse(im->data, im->n, "file", &err);
    size_t at = f ? find(f, im->data, where, name) : SIZE_MAX;
    gguf_file_close(f);
    return at;
}

#endif
