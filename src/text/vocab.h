/* Loading a vocabulary; what it can do stands in gguf.h. */
#ifndef TEXT_VOCAB_H
#define TEXT_VOCAB_H

#include "format/gguf_file.h"

/* From the file's tokenizer.* keys; it does not keep the file. pre names the pre-tokenizer to use instead of
 * the file's, or NULL. Returns NULL with err->code GGUF_OK where the file has no vocabulary at all
 * (no tokenizer.ggml.model, or "no_vocab"). */
gguf_vocab *vocab_load(const gguf_file *file, const char *pre, gguf_warn_fn *warn, void *warn_ctx, gguf_error *err);
void vocab_free(gguf_vocab *vocab);

#endif
