/*
 * Writing a GGUF file (version 3): first the keys, then the tensors' names and shapes, then their data in the same
 * order, in pieces of any size, so that a file of gigabytes passes through a buffer of kilobytes.
 *
 *   gguf_writer *w = gguf_writer_new();
 *   gguf_writer_string(w, "general.architecture", STR("llama"));
 *   gguf_writer_tensor(w, STR("token_embd.weight"), QUANT_F32, 2, ne);
 *   ok = gguf_writer_open(w, path, err) && gguf_writer_data(w, data, n, err) && gguf_writer_commit(w, err);
 *   gguf_writer_free(w);
 *
 * What stands under `path` stays as it is until gguf_writer_commit has put the whole new file in its place.
 */
#ifndef FORMAT_GGUF_WRITE_H
#define FORMAT_GGUF_WRITE_H

#include "format/gguf_file.h"

typedef struct gguf_writer gguf_writer;

/* NULL: no memory. Errors of the calls without gguf_error are kept and come out of the next call with one. */
gguf_writer *gguf_writer_new(void);
/* NULL is fine. An opened file that was not committed is removed. */
void gguf_writer_free(gguf_writer *w);

/* ---- keys: a key that is there already gets the new value and keeps its place ------------------- */

/* A number of any integer type or KV_BOOL: the value is cut to the type's width. */
void gguf_writer_int(gguf_writer *w, const char *key, kv_type type, int64_t value);
void gguf_writer_float(gguf_writer *w, const char *key, kv_type type, double value); /* KV_F32, KV_F64 */
void gguf_writer_string(gguf_writer *w, const char *key, str value);
/* n values of kv_type_size(elem) bytes each, in this machine's memory. */
void gguf_writer_array(gguf_writer *w, const char *key, kv_type elem, const void *values, size_t n);
void gguf_writer_strings(gguf_writer *w, const char *key, const str *values, size_t n);
/* The value of another file's key. */
void gguf_writer_copy(gguf_writer *w, const gguf_kv *kv);
void gguf_writer_drop(gguf_writer *w, const char *key);
/* Sets general.alignment, a power of two; without it tensors begin at multiples of 32. */
void gguf_writer_align(gguf_writer *w, uint32_t alignment);

/* ---- tensors ------------------------------------------------------------------------------------ */

/* Declares the next tensor; ne[n_dims], fastest axis first, whole blocks. */
void gguf_writer_tensor(gguf_writer *w, str name, quant_type type, uint32_t n_dims, const uint64_t *ne);

/* ---- bytes: from here on keys and tensors are fixed ---------------------------------------------- */

/* The header: all bytes before the first tensor's, padding included. They belong to the writer. */
bool gguf_writer_header(gguf_writer *w, const uint8_t **bytes, size_t *n, gguf_error *err);
/* Bytes of tensor i, and where they begin from the header's end on. */
uint64_t gguf_writer_tensor_bytes(const gguf_writer *w, size_t i);
uint64_t gguf_writer_tensor_offset(const gguf_writer *w, size_t i);

/* Creates a temporary file beside path and writes the header. path must be new or a regular file. */
bool gguf_writer_open(gguf_writer *w, const char *path, gguf_error *err);
/* The next n bytes of tensor data; what lies between tensors is filled with zeros. */
bool gguf_writer_data(gguf_writer *w, const void *data, size_t n, gguf_error *err);
/* Checks that all tensors are there, waits for the disk, and gives the file its name. */
bool gguf_writer_commit(gguf_writer *w, gguf_error *err);

#endif
