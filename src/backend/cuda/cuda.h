/*
 * NVIDIA GPUs, as split.c uses them: a device mirrors the session's work memory, holds weights and caches of the layers
 * that are placed there, and runs segments of the list. Built with -DGGUF_CUDA=ON; else absent.c says that it is not.
 */
#ifndef BACKEND_CUDA_CUDA_H
#define BACKEND_CUDA_CUDA_H

#include "backend/backend.h"

typedef struct cuda_device cuda_device;
typedef struct cuda_program cuda_program; /* a segment of a list, translated for a device */

bool cuda_is_built(void);
/* How many devices there are; 0, and the reason, where none can be used. */
int cuda_count(char *why, size_t size);
/* Bytes of memory that are free, and the device's name. */
bool cuda_free_memory(int index, size_t *bytes, char *name, size_t name_size, gguf_error *err);

/* Whether the device can run an operation: NULL, or what of it is not there. */
const char *cuda_lacks(const op *o);
/* Bytes that a device needs for the weights, vectors and the cache of an operation. */
size_t cuda_op_bytes(const op *o);
/* And for everything else, of lists whose work memory has so many bytes. */
size_t cuda_other_bytes(size_t work_bytes, const op *ops, size_t n_ops);

cuda_device *cuda_open(int index, const void *work, size_t work_bytes, gguf_error *err);
void cuda_close(cuda_device *d); /* NULL is fine */

/* ops[0..n): its weights are uploaded. `first` is ops[0]'s place in the caller's list. */
cuda_program *cuda_translate(cuda_device *d, const op *ops, size_t n_ops, size_t first, gguf_error *err);
void cuda_program_free(cuda_device *d, cuda_program *p);

/* Queued, in order, until cuda_finish: copies of the work memory, and runs. costs [OP_KIND_COUNT] or NULL. */
bool cuda_send(cuda_device *d, const void *host, size_t bytes, gguf_error *err);
bool cuda_fetch(cuda_device *d, void *host, size_t bytes, gguf_error *err);
bool cuda_run(cuda_device *d, cuda_program *p, const step *s, op_cost *costs, gguf_error *err);
/* Waits. *bad: the first operation << 32 | token with a value that is not finite, or UINT64_MAX. */
bool cuda_finish(cuda_device *d, uint64_t *bad, gguf_error *err);

/* The device's limits, measured: bytes read a second, int8 and float32 multiply-adds a second. */
bool cuda_measure(int index, double *read_bytes, double *int8_macs, double *f32_macs, gguf_error *err);

#endif
