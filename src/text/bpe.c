/*
 * Byte-level BPE: the text's bytes are written as the 256 characters of an alphabet without blanks, cut into
 * words by a pre-tokenizer, and within each word the pair of tokens that stands first in the list of merges
 * is merged until there is none.
 */
#include <stdlib.h>

#include "text/unicode.h"
#include "text/vocab_internal.h"

/* ---- the alphabet ---------------------------------------------------------------------------- */

/* A byte that is a visible character of Latin-1 stands for itself; the n-th of the others for U+0100 + n. */
enum { GAP_1 = 0x21, BLANKS_2 = 0x7F, GAP_2 = 0xA1, BLANK_3 = 0xAD, ALPHABET_END = 0x144 };

static uint32_t alphabet_of(uint8_t byte) {
    if (byte < GAP_1) return 0x100u + byte;
    if (byte >= BLANKS_2 && byte < GAP_2) return 0x100u + GAP_1 + (byte - BLANKS_2);
    return byte == BLANK_3 ? ALPHABET_END - 1 : byte;
}

/* The byte that a character stands for, or -1. */
static int byte_of(uint32_t cp) {
    if (cp >= ALPHABET_END) return -1;
    if (cp < 0x100) return alphabet_of((uint8_t)cp) == cp ? (int)cp : -1;
    uint32_t i = cp - 0x100;
    if (i < GAP_1) return (int)i;
    return cp == ALPHABET_END - 1 ? BLANK_3 : (int)(i - GAP_1 + BLANKS_2);
}

/* Writes text in the alphabet to out[0 .. 2 n). */
static size_t encode(str text, char *out) {
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) n += utf8_encode(alphabet_of((uint8_t)text.p[i]), out + n);
    return n;
}

/* ---- merges ---------------------------------------------------------------------------------- */

/* The slot of a pair, or the empty one where it belongs. */
static inline merge *find_merge(const merge_table *t, uint64_t pair) {
    size_t i = u64_hash(t->key, pair) & t->mask;
    while (t->slots[i].id != GGUF_NO_TOKEN && t->slots[i].pair != pair) i = (i + 1) & t->mask;
    return &t->slots[i];
}

static inline uint64_t pair_of(int32_t left, int32_t right) { return (uint64_t)(uint32_t)left << 32 | (uint32_t)right; }

/*
 * A merge is three names to be looked up and a slot to be filled, each somewhere in megabytes. So merges are read by
 * the batch, step by step, and every step asks for the memory that the next one needs.
 */
enum { MERGE_BATCH = 64 };

typedef struct {
    str names[3]; /* left, right, and both joined */
    uint64_t hashes[3];
    merge made;
} merge_line;

typedef struct {
    merge_line lines[MERGE_BATCH];
    char *joined; /* [MERGE_BATCH][longest] */
    size_t n;
} merge_batch;

/* Parts "left right" at the first space that is not the first byte. False where it names no tokens. */
static bool parse_merge(const gguf_vocab *v, str text, char *joined, merge_line *line) {
    const char *space = text.n > 1 ? memchr(text.p + 1, ' ', text.n - 1) : NULL;
    if (!space || text.n - 1 > v->longest) return false;
    size_t n_left = (size_t)(space - text.p), n_right = text.n - n_left - 1;
    if (n_right == 0) return false;
    memcpy(joined, text.p, n_left);
    memcpy(joined + n_left, space + 1, n_right);
    line->names[0] = (str){text.p, n_left};
    line->names[1] = (str){space + 1, n_right};
    line->names[2] = (str){joined, n_left + n_right};
    for (int i = 0; i < 3; i++) {
        line->hashes[i] = vocab_hash(v, line->names[i]);
        vocab_prefetch_slot(v, line->hashes[i]);
    }
    return true;
}

/* Returns how many of the batch name no tokens. */
static uint32_t add_merges(gguf_vocab *v, merge_batch *b) {
    uint32_t skipped = 0;
    for (size_t i = 0; i < b->n; i++) {
        for (int k = 0; k < 3; k++) vocab_prefetch_name(v, b->lines[i].hashes[k]);
    }
    for (size_t i = 0; i < b->n; i++) {
        merge_line *line = &b->lines[i];
        int32_t ids[3];
        for (int k = 0; k < 3; k++) {
            ids[k] = vocab_text_id(v, vocab_find_hashed(v, line->names[k], line->hashes[k]));
        }
        line->made.pair = pair_of(ids[0], ids[1]);
        line->made.id = ids[0] == GGUF_NO_TOKEN || ids[1] == GGUF_NO_TOKEN ? GGUF_NO_TOKEN : ids[2];
        __builtin_prefetch(&v->merges.slots[u64_hash(v->merges.key, line->made.pair) & v->merges.mask], 1);
    }
    for (size_t i = 0; i < b->n; i++) {
        merge made = b->lines[i].made, *slot = find_merge(&v->merges, made.pair);
        skipped += made.id == GGUF_NO_TOKEN;
        if (slot->id == GGUF_NO_TOKEN && made.id != GGUF_NO_TOKEN) *slot = made; /* of equal merges the first counts */
    }
    b->n = 0;
    return skipped;
}

static bool alloc_merges(gguf_vocab *v, uint64_t n, gguf_error *err) {
    merge_table *t = &v->merges;
    size_t size = 16;
    while (size < n + n / 2) size *= 2;
    t->slots = arena_alloc(&v->mem, size, sizeof *t->slots, "the table of merges", err);
    if (!t->slots) return false;
    t->mask = size - 1;
    t->key = hash_key();
    for (size_t i = 0; i < size; i++) t->slots[i].id = GGUF_NO_TOKEN;
    return true;
}

static bool load_merges(gguf_vocab *v, const vocab_source *src) {
    const gguf_kv *kv = gguf_file_find_kv(src->file, STR("tokenizer.ggml.merges"));
    if (!kv) return fail(src->err, GGUF_ERR_MODEL, "tokenizer.ggml.merges is missing, which a gpt2 tokenizer needs");
    if (kv->type != KV_ARRAY || kv->elem != KV_STRING || kv->n > UINT32_MAX) {
        return fail(src->err, GGUF_ERR_MODEL, "tokenizer.ggml.merges must be an array of strings; it holds %s",
                    kv_type_name(kv->elem));
    }
    merge_batch b = {.n = 0};
    b.joined = malloc(MERGE_BATCH * v->longest + 1);
    if (!b.joined) return fail_memory(src->err, "merges", MERGE_BATCH * v->longest);
    bool ok = alloc_merges(v, kv->n, src->err);
    size_t pos = 0;
    uint32_t skipped = 0;
    str text;
    for (uint32_t rank = 0; ok && kv_next_string(kv, &pos, &text); rank++) {
        b.lines[b.n].made.rank = rank;
        if (parse_merge(v, text, b.joined + b.n * v->longest, &b.lines[b.n]))
            b.n++;
        else
            skipped++;
        if (b.n == MERGE_BATCH) skipped += add_merges(v, &b);
    }
    if (ok) skipped += add_merges(v, &b);
    free(b.joined);
    if (skipped > 0) {
        warnf(src->warn, src->warn_ctx, "%u of %llu merges name no tokens of the vocabulary and are skipped", skipped,
              (unsigned long long)kv->n);
    }
    return ok;
}

/* ---- loading --------------------------------------------------------------------------------- */

static bool choose_pretokenizer(gguf_vocab *v, const vocab_source *src) {
    const gguf_kv *kv = gguf_file_find_kv(src->file, STR("tokenizer.ggml.pre"));
    str name = {0};
    if (src->pre) {
        name = str_of(src->pre);
    } else if (kv && !kv_string(kv, &name)) {
        return fail(src->err, GGUF_ERR_MODEL, "tokenizer.ggml.pre must be a string, but it is of type %s",
                    kv_type_name(kv->type));
    } else if (name.n == 0) {
        warnf(src->warn, src->warn_ctx,
              "the file does not name its pre-tokenizer (tokenizer.ggml.pre): \"default\" is used, "
              "which may not be the one the model was trained with");
        name = STR("default");
    }
    v->pre = pretokenizer_find(name);
    if (v->pre) return true;
    return fail(src->err, src->pre ? GGUF_ERR_USAGE : GGUF_ERR_MODEL,
                "the pre-tokenizer %.*s%s is not known; another can be chosen by --pre NAME", STR_ARG(name),
                src->pre ? "" : " (tokenizer.ggml.pre)");
}

static bool load(gguf_vocab *v, const vocab_source *src) {
    if (!choose_pretokenizer(v, src) || !load_merges(v, src)) return false;
    v->adds_bos = pretokenizer_adds_bos(v->pre);
    for (int byte = 0; byte < 256; byte++) {
        char c[4];
        v->bytes[byte] = vocab_find_text(v, (str){c, utf8_encode(alphabet_of((uint8_t)byte), c)});
    }
    return true;
}

/* ---- tokenizing ------------------------------------------------------------------------------ */

static size_t first_piece(const gguf_vocab *v, const char *p, const char *end, int32_t *id) {
    (void)end;
    *id = v->bytes[(uint8_t)*p];
    return 1;
}

static bool find_pair(const gguf_vocab *v, const char *p, symbol left, symbol right, uint32_t *place, int32_t *id) {
    (void)p;
    if (left.id == GGUF_NO_TOKEN || right.id == GGUF_NO_TOKEN) return false;
    const merge *m = find_merge(&v->merges, pair_of(left.id, right.id));
    *place = m->rank;
    *id = m->id;
    return m->id != GGUF_NO_TOKEN;
}

static bool find_cross(const gguf_vocab *v, work *w, const char *p, symbol left, size_t least, const char *end,
                       uint32_t *place) {
    bool found = false;
    *place = UINT32_MAX;
    p += left.n;
    for (size_t i = 0, n = 0; i < (size_t)(end - p) && n < v->longest; i++) {
        n += encode((str){p + i, 1}, w->text + n);
        if (i + 1 < least) continue;
        symbol right = {vocab_find_text(v, (str){w->text, n}), 0};
        uint32_t at;
        int32_t id;
        if (!find_pair(v, p, left, right, &at, &id)) continue;
        found = true;
        if (at < *place) *place = at;
    }
    return found;
}

static bool emit_piece(const gguf_vocab *v, work *w, const char *p, symbol piece) {
    return piece.id != GGUF_NO_TOKEN ? work_emit(w, piece.id) : work_emit_byte(v, w, (uint8_t)*p);
}

static const merge_rules rules = {first_piece, find_pair, find_cross, emit_piece};

/* The token that a word is as a whole, where the pre-tokenizer wants it so. */
static int32_t find_whole(const gguf_vocab *v, work *w, str word) {
    if (!pretokenizer_whole_words(v->pre) || word.n > v->longest || w->text_room < 2 * word.n) return GGUF_NO_TOKEN;
    return vocab_find_text(v, (str){w->text, encode(word, w->text)});
}

static bool emit_word(const gguf_vocab *v, work *w, str word) {
    int32_t whole = word.n == 1 ? v->bytes[(uint8_t)*word.p] : find_whole(v, w, word);
    if (whole != GGUF_NO_TOKEN) return work_emit(w, whole);
    return work_merge(v, w, word, &rules);
}

static bool tokenize(const gguf_vocab *v, work *w, str text, bool first) {
    (void)first;
    if (!work_reserve_text(w, 2 * v->longest)) return false; /* for any name, and a character more */
    work_begin_words(w, text.n);
    pre_walk walk = pre_walk_begin(v->pre, text);
    for (str word; pre_walk_next(&walk, &word);) {
        if (!work_word(v, w, word, emit_word)) return false;
    }
    return true;
}

/* ---- detokenizing ---------------------------------------------------------------------------- */

/* A token added later has its text as it is: one that is user-defined, or has characters outside the alphabet. */
static bool is_plain(gguf_token_type type, str name) {
    if (type == GGUF_TOKEN_USER_DEFINED) return true;
    for (size_t at = 0; at < name.n;) {
        utf8_char c = utf8_decode(name.p + at, name.p + name.n);
        if (byte_of(c.cp) < 0) return true;
        at += c.n;
    }
    return false;
}

static size_t decode(gguf_token_type type, str name, bool drop_space, char *out, size_t size) {
    (void)drop_space;
    if (is_plain(type, name)) {
        if (name.n > 0) memcpy(out, name.p, name.n < size ? name.n : size);
        return name.n;
    }
    size_t n = 0;
    for (size_t at = 0; at < name.n; n++) {
        utf8_char c = utf8_decode(name.p + at, name.p + name.n);
        if (n < size) out[n] = (char)byte_of(c.cp);
        at += c.n;
    }
    return n;
}

const tokenizer_kind bpe_kind = {
    .name = "gpt2",
    .adds_bos = false,
    .adds_space = false,
    .names_bytes = false,
    .bos = GGUF_NO_TOKEN,
    .eos = GGUF_NO_TOKEN,
    .unknown = GGUF_NO_TOKEN,
    .separator = GGUF_NO_TOKEN,
    .load = load,
    .tokenize = tokenize,
    .decode = decode,
};
