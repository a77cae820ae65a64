/* Pre-tokenizers: how a byte-level BPE vocabulary wants text cut into words before merges run within each. */
#ifndef TEXT_PRETOKENIZE_H
#define TEXT_PRETOKENIZE_H

#include <stdbool.h>

#include "base/str.h"

enum { PRE_MAX_STAGES = 6 };

typedef struct pretokenizer pretokenizer;

/* By a name that stands in tokenizer.ggml.pre; NULL where it is not known. */
const pretokenizer *pretokenizer_find(str name);
/* Whether a word that is a token is taken whole, whatever the merges would make of it. */
bool pretokenizer_whole_words(const pretokenizer *pre);
/* Whether a prompt starts with BOS where the file does not say. */
bool pretokenizer_adds_bos(const pretokenizer *pre);

/* A walk over the words of a text; every byte is in exactly one. */
typedef struct {
    const pretokenizer *pre;
    const char *p;                        /* the next word begins here */
    const char *ends[PRE_MAX_STAGES + 1]; /* ends[0]: of the text; ends[i]: of the piece that stage i cut */
    const char *known[PRE_MAX_STAGES];    /* of stage i: up to here it has looked (see cut_function) */
} pre_walk;

pre_walk pre_walk_begin(const pretokenizer *pre, str text);
bool pre_walk_next(pre_walk *walk, str *word);

#endif
