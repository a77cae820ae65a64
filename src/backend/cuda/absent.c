/* A program without CUDA: there is no device, and nothing else is ever called. */
#include <stdio.h>

#include "backend/cuda/cuda.h"

bool cuda_is_built(void) { return false; }

int cuda_count(char *why, size_t size) {
    snprintf(why, size, "this program was built without CUDA (cmake -DGGUF_CUDA=ON)");
    return 0;
}

static bool absent(gguf_error *err) { return fail(err, GGUF_ERR_USAGE, "this program was built without CUDA"); }

bool cuda_free_memory(int index, size_t *bytes, char *name, size_t name_size, gguf_error *err) {
    (void)index, (void)bytes, (void)name, (void)name_size;
    return absent(err);
}

const char *cuda_lacks(const op *o) { return (void)o, "CUDA"; }
size_t cuda_op_bytes(const op *o) { return (void)o, (size_t)0; }
size_t cuda_other_bytes(size_t work_bytes, const op *ops, size_t n_ops) {
    return (void)work_bytes, (void)ops, (void)n_ops, (size_t)0;
}

cuda_device *cuda_open(int index, const void *work, size_t work_bytes, gguf_error *err) {
    (void)index, (void)work, (void)work_bytes;
    absent(err);
    return NULL;
}
void cuda_close(cuda_device *d) { (void)d; }

cuda_program *cuda_translate(cuda_device *d, const op *ops, size_t n_ops, size_t first, gguf_error *err) {
    (void)d, (void)ops, (void)n_ops, (void)first;
    absent(err);
    return NULL;
}
void cuda_program_free(cuda_device *d, cuda_program *p) { (void)d, (void)p; }

bool cuda_send(cuda_device *d, const void *host, size_t bytes, gguf_error *err) {
    return (void)d, (void)host, (void)bytes, absent(err);
}
bool cuda_fetch(cuda_device *d, void *host, size_t bytes, gguf_error *err) {
    return (void)d, (void)host, (void)bytes, absent(err);
}
bool cuda_run(cuda_device *d, cuda_program *p, const step *s, op_cost *costs, gguf_error *err) {
    return (void)d, (void)p, (void)s, (void)costs, absent(err);
}
bool cuda_finish(cuda_device *d, uint64_t *bad, gguf_error *err) { return (void)d, (void)bad, absent(err); }

bool cuda_measure(int index, double *read_bytes, double *int8_macs, double *f32_macs, gguf_error *err) {
    return (void)index, (void)read_bytes, (void)int8_macs, (void)f32_macs, absent(err);
}
