/* From the sampler's flags to the sampler. */
#ifndef CLI_SAMPLING_H
#define CLI_SAMPLING_H

#include "cli/options.h"

/* GGUF_ERR_USAGE where a flag's value makes no sense. */
gguf_sampler *open_sampler(const options *o, const gguf_vocab *vocab, uint64_t seed, gguf_error *err);

#endif
