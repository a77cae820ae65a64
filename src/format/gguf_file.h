/*
 * A GGUF file (versions 2 and 3, one file or a set of shards), read and checked. Nothing else in the
 * tree knows how a file's bytes are laid out. Format: ggml's docs/gguf.md.
 *
 * After gguf_file_open has returned a file, every view in it lies inside the file: keys and names are
 * unique, every array and tensor is whole, tensors are aligned and do not overlap. Views live as long
 * as the file.
 */
#ifndef FORMAT_GGUF_FILE_H
#define FORMAT_GGUF_FILE_H

#include "base/error.h"
#include "base/str.h"
#include "quant/quant.h"

typedef enum {
    KV_U8,
    KV_I8,
    KV_U16,
    KV_I16,
    KV_U32,
    KV_I32,
    KV_F32,
    KV_BOOL,
    KV_STRING,
    KV_ARRAY,
    KV_U64,
    KV_I64,
    KV_F64,
    KV_TYPE_COUNT
} kv_type;

/* "u32"; "?" for a number that is no type. */
const char *kv_type_name(uint32_t type);
/* Bytes of one value; 0 for strings and arrays. */
size_t kv_type_size(uint32_t type);

typedef struct {
    str key;
    kv_type type;
    kv_type elem;        /* the elements' type of an array, else = type */
    uint64_t n;          /* elements of an array, else 1 */
    const uint8_t *data; /* first value; a string is its u64 length and its bytes */
    size_t n_bytes;      /* of all values from data on */
} gguf_kv;

typedef struct {
    str name;
    quant_type type;
    uint32_t n_dims;
    uint64_t ne[4]; /* ne[0] is the fastest axis; those beyond n_dims are 1 */
    uint64_t n_elements;
    uint64_t n_bytes;
    uint64_t offset; /* of data, from the beginning of its shard */
    uint32_t shard;
    const uint8_t *data;
} gguf_tensor;

typedef struct {
    const char *path;
    uint64_t n_bytes;
    uint64_t data_offset; /* where tensor data begins */
    bool is_mapped;
} gguf_shard;

typedef struct gguf_file gguf_file;

typedef struct {
    bool no_mmap;
    bool mlock;
    bool first_shard_only; /* of a split model: metadata is there; tensors of other shards are not */
    gguf_warn_fn *warn;
    void *warn_ctx;
} gguf_file_params;

/* params may be NULL. Errors: GGUF_ERR_MODEL, with the byte offset where one can be named; GGUF_ERR_MEMORY. */
gguf_file *gguf_file_open(const char *path, const gguf_file_params *params, gguf_error *err);
/* The same from memory, which must outlive the file. `name` stands in messages. One shard only. */
gguf_file *gguf_file_parse(const uint8_t *data, size_t n, const char *name, gguf_error *err);
void gguf_file_close(gguf_file *f);

uint32_t gguf_file_version(const gguf_file *f);
uint64_t gguf_file_alignment(const gguf_file *f);
size_t gguf_file_kv_count(const gguf_file *f);
const gguf_kv *gguf_file_kv(const gguf_file *f, size_t i);
size_t gguf_file_tensor_count(const gguf_file *f);
const gguf_tensor *gguf_file_tensor(const gguf_file *f, size_t i);
size_t gguf_file_shard_count(const gguf_file *f);
const gguf_shard *gguf_file_shard(const gguf_file *f, size_t i);

/* Sets a key's value as "KEY=TYPE:VALUE" says, TYPE one of int, float, bool, str; several are separated by commas. A
 * key that begins with '.' gets the architecture's name in front. GGUF_ERR_USAGE where it says nothing of the kind. */
bool gguf_file_override(gguf_file *f, const char *text, gguf_error *err);
/* Sets or adds one key; kv.key and kv.data[0..n_bytes) are copied. */
bool gguf_file_set_kv(gguf_file *f, gguf_kv kv, gguf_error *err);

/* By name, in constant time; NULL where there is none. */
const gguf_kv *gguf_file_find_kv(const gguf_file *f, str key);
const gguf_tensor *gguf_file_find_tensor(const gguf_file *f, str name);

/* Values. Each getter returns false where the value is of another kind; integers of every width and
 * sign convert when they fit, floats of both widths convert to double, integers to double too. */
bool kv_int(const gguf_kv *kv, uint64_t i, int64_t *out); /* element i; i = 0 of a scalar */
bool kv_float(const gguf_kv *kv, uint64_t i, double *out);
bool kv_bool(const gguf_kv *kv, bool *out);
bool kv_string(const gguf_kv *kv, str *out);

/* Walks an array of strings (or the one string of a string): start with pos = 0. */
bool kv_next_string(const gguf_kv *kv, size_t *pos, str *out);

#endif
