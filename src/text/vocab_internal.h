/* What the parts of the vocabulary share: its tables, and the work memory of one call. */
#ifndef TEXT_VOCAB_INTERNAL_H
#define TEXT_VOCAB_INTERNAL_H

#include "base/arena.h"
#include "base/str.h"
#include "text/pretokenize.h"
#include "text/trie.h"
#include "text/vocab.h"
#include "text/word_cache.h"

/* ---- the vocabulary --------------------------------------------------------------------------- */

/* How a space is written in the names of all kinds but byte-level BPE: U+2581. */
static const str SPACE = {"\xE2\x96\x81", 3};

/* Where a vocabulary comes from: the arguments of vocab_load. */
typedef struct {
    const gguf_file *file;
    const char *pre;
    gguf_warn_fn *warn;
    void *warn_ctx;
    gguf_error *err;
} vocab_source;

typedef enum {
    SPECIAL_BOS,
    SPECIAL_EOS,
    SPECIAL_UNKNOWN,
    SPECIAL_EOT,
    SPECIAL_EOM,
    SPECIAL_PADDING,
    SPECIAL_SEPARATOR,
    SPECIAL_MASK,
    SPECIAL_FIM_PAD,
    SPECIAL_FIM_REPO,
    SPECIAL_FIM_FILE,
    SPECIAL_COUNT
} special_id;

struct work;

/* A kind of tokenizer. */
typedef struct {
    const char *name;                                    /* in tokenizer.ggml.model */
    bool adds_bos, adds_eos, adds_separator, adds_space; /* where the file does not say */
    bool names_bytes;                                    /* tokens named <0xNN> stand for bytes */
    int32_t bos, eos, unknown, separator;                /* where the file does not say */
    /* Reads what this kind needs beyond tokens, types and special ids. */
    bool (*load)(gguf_vocab *v, const vocab_source *src);
    /* Appends the ids of text; `first`: it begins the whole text or comes after a special token. */
    bool (*tokenize)(const gguf_vocab *v, struct work *w, str text, bool first);
    /* The bytes of a token with text: writes at most `size` of them, returns their whole count. */
    size_t (*decode)(gguf_token_type type, str name, bool drop_space, char *out, size_t size);
} tokenizer_kind;

extern const tokenizer_kind spm_kind, bpe_kind, unigram_kind, wordpiece_kind;

/* The decode of all kinds that write a space as U+2581. */
size_t spm_decode(gguf_token_type type, str name, bool drop_space, char *out, size_t size);

/* A name that is looked for in text. */
typedef struct {
    const char *p;
    uint16_t n;
    uint16_t strips; /* STRIPS_*: white space beside it goes */
    int32_t id;
} mark;

enum { STRIPS_LEFT = 1, STRIPS_RIGHT = 2 };

/* Of the hash table of names, which has the first of equal names. */
typedef struct {
    uint32_t hash, id_1; /* the upper half of the hash; 1 + id, 0 is empty */
} name_slot;

typedef struct {
    name_slot *slots;
    size_t mask;
    uint64_t key; /* of the hash */
} name_table;

/* What a pair of tokens merges into. */
typedef struct {
    uint64_t pair; /* left << 32 | right */
    uint32_t rank; /* the lowest is merged first */
    int32_t id;    /* GGUF_NO_TOKEN: the slot is empty */
} merge;

typedef struct {
    merge *slots;
    size_t mask;
    uint64_t key; /* of the hash */
} merge_table;

/* SentencePiece's map of characters; src/text/unigram.c has its layout. */
typedef struct {
    uint32_t *nodes;
    char *texts; /* the last byte is NUL */
    size_t n_nodes, n_texts;
} charsmap;

struct gguf_vocab {
    arena mem;
    const tokenizer_kind *kind;
    uint32_t n;
    size_t longest;    /* bytes of the longest name */
    char *names;       /* all of them, one after the other */
    uint32_t *name_at; /* [n + 1]: name i is names[name_at[i] .. name_at[i + 1]) */
    uint8_t *types;    /* [n] gguf_token_type */
    bool *ends;        /* [n]: the token ends generation */
    name_table by_name;
    int32_t special[SPECIAL_COUNT];
    int32_t bytes[256]; /* the token that stands for a byte alone, or GGUF_NO_TOKEN */
    bool adds_bos, adds_eos, adds_separator, adds_space;
    bool begins_mark[2][256]; /* [1]: some mark begins with this byte; [0]: the name of a user-defined token */
    mark *marks;              /* names looked for in text, sorted by their bytes, each once */
    uint32_t mark_at[257];    /* marks that begin with byte b are marks[mark_at[b] .. mark_at[b + 1]) */

    uint32_t *order;         /* SPM [n]: place in line by score; the same for equal scores */
    uint64_t joined[256][4]; /* SPM: a bit for each byte that comes after this one in some name */

    const pretokenizer *pre; /* BPE */
    merge_table merges;      /* BPE */

    trie trie;                   /* Unigram, WordPiece: the names that text may turn into */
    float *scores;               /* Unigram [n] */
    double unknown_score;        /* Unigram */
    charsmap charsmap;           /* Unigram; no nodes where there is none */
    bool merges_spaces;          /* Unigram: several spaces are one, and none stand at an end */
    bool lowers, strips_accents; /* WordPiece */
};

static inline str vocab_name(const gguf_vocab *v, int32_t id) {
    return (str){v->names + v->name_at[id], v->name_at[id + 1] - v->name_at[id]};
}

/* Makes by_name from the names. */
bool vocab_index_names(gguf_vocab *v, gguf_error *err);
static inline uint64_t vocab_hash(const gguf_vocab *v, str name) { return str_hash(v->by_name.key, name); }
/* The first token of this name, or GGUF_NO_TOKEN. */
int32_t vocab_find(const gguf_vocab *v, str name);
/* The same for a name whose hash is known. */
static inline int32_t vocab_find_hashed(const gguf_vocab *v, str name, uint64_t hash) {
    const name_table *t = &v->by_name;
    for (size_t i = hash & t->mask; t->slots[i].id_1; i = (i + 1) & t->mask) {
        int32_t id = (int32_t)t->slots[i].id_1 - 1;
        if (t->slots[i].hash == hash >> 32 && str_eq(vocab_name(v, id), name)) return id;
    }
    return GGUF_NO_TOKEN;
}

/* Asks for the memory that vocab_find_hashed will need: first for the table, and when that has come, for the name. */
static inline void vocab_prefetch_slot(const gguf_vocab *v, uint64_t hash) {
    __builtin_prefetch(&v->by_name.slots[hash & v->by_name.mask]);
}

static inline void vocab_prefetch_name(const gguf_vocab *v, uint64_t hash) {
    const name_table *t = &v->by_name;
    for (size_t i = hash & t->mask; t->slots[i].id_1; i = (i + 1) & t->mask) {
        if (t->slots[i].hash != hash >> 32) continue;
        __builtin_prefetch(v->names + v->name_at[t->slots[i].id_1 - 1]);
        return;
    }
}

static inline bool vocab_is_special(uint8_t type) { return type == GGUF_TOKEN_CONTROL || type == GGUF_TOKEN_UNKNOWN; }

/* A token that text may turn into by itself: no control, unknown or byte token; else GGUF_NO_TOKEN. */
static inline int32_t vocab_text_id(const gguf_vocab *v, int32_t id) {
    bool none = id == GGUF_NO_TOKEN || vocab_is_special(v->types[id]) || v->types[id] == GGUF_TOKEN_BYTE;
    return none ? GGUF_NO_TOKEN : id;
}

/* The first token of a name that text may turn into, or GGUF_NO_TOKEN. */
int32_t vocab_find_text(const gguf_vocab *v, str name);

/* Makes `trie`. */
bool vocab_build_trie(gguf_vocab *v, const vocab_source *src);

/* Makes `marks` from the control, unknown and user-defined tokens; warns of names too long for it. */
bool vocab_index_marks(gguf_vocab *v, const vocab_source *src);
/* The longest mark at p, before end, or NULL: a user-defined token's name, or another's of at most `special` bytes. */
const mark *vocab_match_mark(const gguf_vocab *v, const char *p, const char *end, size_t special);

/* Reads a bool; *out stays where the file does not have it. */
bool vocab_load_flag(const vocab_source *src, str key, bool *out);
/* Fills `bytes` with the tokens <0xNN>. */
void vocab_find_bytes(gguf_vocab *v);
/* The array of scores, or NULL where there is none; checks its type and length. */
bool vocab_find_scores(const gguf_vocab *v, const vocab_source *src, const gguf_kv **scores);
/* Warns that a pre-tokenizer asked for is not used. */
void vocab_no_pretokenizer(const vocab_source *src, const char *kind);

/* ---- work memory of one call ------------------------------------------------------------------ */

/* A piece of a word. There is one symbol for each byte; that of a piece's first byte is its head, that of its last
 * byte has the same n, so that both neighbours can be found. */
typedef struct {
    int32_t id; /* its token; GGUF_NO_TOKEN: none, or not looked up yet; NOT_A_HEAD */
    uint32_t n; /* bytes */
} symbol;

#define NOT_A_HEAD (-2)

/* Something to be done in its turn, the lowest first. */
typedef struct {
    uint64_t turn; /* place in line << 32 | where the left piece begins */
    uint32_t n;    /* bytes of both pieces; of the one where id is MAY_CROSS */
    int32_t id;    /* what they make; MAY_CROSS: from here on the last piece may merge with what is not there */
} candidate;

#define MAY_CROSS (-3)

/* Unigram: the best way to a place of the text. */
typedef struct {
    double score;  /* the sum up to here */
    uint32_t from; /* where the last piece of the way begins */
    int32_t id;    /* its token; GGUF_NO_TOKEN: an unknown character */
} lattice_node;

typedef struct work {
    char *text; /* the word, where it is not a part of the text as it stands */
    size_t n_text, text_room;
    symbol *symbols;
    size_t symbol_room;
    candidate *heap;
    size_t n_heap, heap_room;
    cached_word *words; /* [CACHE_SLOTS], or NULL */
    lattice_node *lattice;
    size_t lattice_room;
    bool no_windows; /* long words are merged as a whole */
    int32_t *ids;
    size_t n_ids, id_room;
    gguf_error *err;
} work;

/* Room for n bytes in `text`; those that are there stay. */
bool work_reserve_text(work *w, size_t n);
/* Room for n nodes in `lattice`; those that are there stay. */
bool work_reserve_lattice(work *w, size_t n);
bool work_emit(work *w, int32_t id);
/* Appends the unknown token; an error that quotes the text where the vocabulary has none. */
bool work_emit_unknown(const gguf_vocab *v, work *w, str text);
/* Appends the token of a byte, else the unknown token; an error where the vocabulary has neither. */
bool work_emit_byte(const gguf_vocab *v, work *w, uint8_t byte);
void work_free(work *w);
/* Makes `words` where a text is long enough to gain by it. Without memory for it there is none. */
void work_begin_words(work *w, size_t n_text);
/* Appends the ids of a word: those known of it, else what `make` appends. */
bool work_word(const gguf_vocab *v, work *w, str word, bool (*make)(const gguf_vocab *v, work *w, str word));

/* How a kind of vocabulary merges. */
typedef struct {
    /* Bytes of the piece to start with at p; *id: its token, where that is needed. */
    size_t (*first)(const gguf_vocab *v, const char *p, const char *end, int32_t *id);
    /* Whether two neighbours, of which the left one begins at p, make a token: which, and its place in line. */
    bool (*pair)(const gguf_vocab *v, const char *p, symbol left, symbol right, uint32_t *place, int32_t *id);
    /* Whether the piece at p makes a token with any piece of `least` bytes or more that may stand after it before
     * `end`: the first place in line of them all. */
    bool (*cross)(const gguf_vocab *v, work *w, const char *p, symbol left, size_t least, const char *end,
                  uint32_t *place);
    /* Appends the ids of a finished piece. */
    bool (*emit)(const gguf_vocab *v, work *w, const char *p, symbol piece);
} merge_rules;

/* Merges the pieces of a word until no neighbours make a token, and appends the ids. */
bool work_merge(const gguf_vocab *v, work *w, str word, const merge_rules *rules);

#endif
