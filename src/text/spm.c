/*
 * SentencePiece vocabularies: a space is written U+2581; pieces of a word are merged by the score of the token
 * they make, the highest first, the leftmost of equals. Characters that are no token become byte tokens;
 * where there are none, one unknown token stands for all such characters in a row.
 *
 * There are no words in such a text, merges could go across it as a whole. But no merge crosses a place between two
 * bytes that stand side by side in no token's name: merging each side alone gives the same. With the vocabularies
 * there are, this cuts the text before nearly every space, and around most punctuation.
 */
#include "text/unicode.h"
#include "text/vocab_internal.h"

/* ---- loading --------------------------------------------------------------------------------- */

/* Turns a score into a number that is the lower the higher the score; NaN is last. */
static uint32_t order_of(float score) {
    uint32_t bits;
    if (score != score) return UINT32_MAX;
    score += 0.0f; /* -0 is 0 */
    memcpy(&bits, &score, sizeof bits);
    return bits & 0x80000000u ? bits : 0x7FFFFFFFu - bits;
}

static bool load_scores(gguf_vocab *v, const vocab_source *src) {
    const gguf_kv *kv;
    if (!vocab_find_scores(v, src, &kv)) return false;
    v->order = arena_alloc(&v->mem, v->n, sizeof *v->order, "the scores", src->err);
    if (!v->order || !kv) return v->order != NULL; /* without scores, all are equal */
    double score;
    for (uint32_t i = 0; i < v->n && kv_float(kv, i, &score); i++) v->order[i] = order_of((float)score);
    return true;
}

static void set_joined(gguf_vocab *v, char left, char right) {
    v->joined[(uint8_t)left][(uint8_t)right / 64] |= (uint64_t)1 << (uint8_t)right % 64;
}

/* Notes which bytes stand side by side in names: as they are, and with spaces for U+2581 as texts have them. */
static void find_joined_bytes(gguf_vocab *v) {
    for (uint32_t id = 0; id < v->n; id++) {
        str name = vocab_name(v, (int32_t)id);
        char last = 0;
        for (size_t i = 0, n; i < name.n; i += n) {
            bool space = str_starts((str){name.p + i, name.n - i}, SPACE);
            char byte = space ? ' ' : name.p[i];
            n = space ? SPACE.n : 1;
            if (i > 0) { /* a text may have either form on either side */
                set_joined(v, last, byte);
                set_joined(v, last, name.p[i]);
                set_joined(v, name.p[i - 1], byte);
                set_joined(v, name.p[i - 1], name.p[i]);
            }
            for (size_t k = 1; k < n; k++) set_joined(v, name.p[i + k - 1], name.p[i + k]);
            last = byte;
        }
    }
}

static bool load(gguf_vocab *v, const vocab_source *src) {
    vocab_no_pretokenizer(src, "a SentencePiece");
    if (!load_scores(v, src)) return false;
    find_joined_bytes(v);
    vocab_find_bytes(v);
    return true;
}

/* ---- tokenizing ------------------------------------------------------------------------------ */

static size_t first_piece(const gguf_vocab *v, const char *p, const char *end, int32_t *id) {
    (void)v, (void)id;
    return utf8_decode(p, end).n;
}

static bool find_pair(const gguf_vocab *v, const char *p, symbol left, symbol right, uint32_t *place, int32_t *id) {
    *id = vocab_find_text(v, (str){p, (size_t)left.n + right.n});
    if (*id == GGUF_NO_TOKEN) return false;
    *place = v->order[*id];
    return true;
}

static bool find_cross(const gguf_vocab *v, work *w, const char *p, symbol left, size_t least, const char *end,
                       uint32_t *place) {
    (void)w;
    bool found = false;
    *place = UINT32_MAX;
    for (size_t n = left.n + least; n <= v->longest && n <= (size_t)(end - p); n++) {
        int32_t id = vocab_find_text(v, (str){p, n});
        if (id == GGUF_NO_TOKEN) continue;
        found = true;
        if (v->order[id] < *place) *place = v->order[id];
    }
    return found;
}

/* A character by its bytes; one unknown token where they have none. */
static bool emit_bytes(const gguf_vocab *v, work *w, str c) {
    for (size_t i = 0; i < c.n; i++) {
        if (!work_emit_byte(v, w, (uint8_t)c.p[i])) return false;
        if (v->bytes[(uint8_t)c.p[i]] == GGUF_NO_TOKEN) break;
    }
    return true;
}

/* A character that no merge took up. */
static bool emit_character(const gguf_vocab *v, work *w, str c) {
    int32_t id = vocab_find_text(v, c);
    if (id != GGUF_NO_TOKEN) return work_emit(w, id);
    return emit_bytes(v, w, str_eq(c, SPACE) ? STR(" ") : c);
}

static bool emit_piece(const gguf_vocab *v, work *w, const char *p, symbol piece) {
    return piece.id != GGUF_NO_TOKEN ? work_emit(w, piece.id) : emit_character(v, w, (str){p, piece.n});
}

static const merge_rules rules = {first_piece, find_pair, find_cross, emit_piece};

/* Appends [p, end) to the word with its spaces written as U+2581. */
static bool append_escaped(work *w, const char *p, const char *end) {
    size_t n = w->n_text + (size_t)(end - p);
    for (const char *q = p; q < end; q++) n += *q == ' ' ? SPACE.n - 1 : 0;
    if (!work_reserve_text(w, n)) return false;
    for (; p < end; p++) {
        str c = *p == ' ' ? SPACE : (str){p, 1};
        memcpy(w->text + w->n_text, c.p, c.n);
        w->n_text += c.n;
    }
    return true;
}

/* A U+2581 of the text itself, which must not come back as a space. */
static bool is_literal(const gguf_vocab *v, const char *p, const char *end) {
    return *p == SPACE.p[0] && str_starts((str){p, (size_t)(end - p)}, SPACE) &&
           v->bytes[(uint8_t)SPACE.p[0]] != GGUF_NO_TOKEN;
}

static bool is_joined(const gguf_vocab *v, char left, char right) {
    return v->joined[(uint8_t)left][(uint8_t)right / 64] >> (uint8_t)right % 64 & 1;
}

/* Where the word that begins at p ends: before a U+2581, or between two bytes that stand side by side in no name. A
 * character stays whole. */
static const char *word_end(const gguf_vocab *v, const char *p, const char *end) {
    if (is_literal(v, p, end)) return p;
    for (const char *q = p + 1; q < end; q++) {
        if (!is_joined(v, q[-1], *q) && (*q & 0xC0) != 0x80) return q;
        if (is_literal(v, q, end)) return q;
    }
    return end;
}

/* A word that begins with what stands in w->text already. */
static bool emit_word(const gguf_vocab *v, work *w, str word) {
    if (!append_escaped(w, word.p, word.p + word.n)) return false;
    str escaped = {w->text, w->n_text};
    w->n_text = 0;
    return work_merge(v, w, escaped, &rules);
}

/* Of unknown tokens in a row, the ids from `from` on keep one. Where a file calls a token unknown that text may become
 * by itself, nothing is joined. */
static void join_unknown(const gguf_vocab *v, work *w, size_t from) {
    int32_t unknown = v->special[SPECIAL_UNKNOWN];
    size_t n = from;
    if (unknown == GGUF_NO_TOKEN || !vocab_is_special(v->types[unknown])) return;
    for (size_t i = from; i < w->n_ids; i++) {
        if (n == from || w->ids[i] != unknown || w->ids[n - 1] != unknown) w->ids[n++] = w->ids[i];
    }
    w->n_ids = n;
}

static bool tokenize(const gguf_vocab *v, work *w, str text, bool first) {
    static const char prefix[] = " ";
    const char *end = text.p + text.n;
    const size_t n_ids = w->n_ids;
    w->n_text = 0;
    work_begin_words(w, text.n);
    if (first && v->adds_space && !append_escaped(w, prefix, prefix + 1)) return false;
    for (const char *p = text.p, *q; p < end; p = q) {
        q = word_end(v, p, end);
        str word = {p, (size_t)(q - p)};
        bool alone = w->n_text == 0; /* no prefix stands before it; where it is empty, too, a U+2581 comes first */
        if (alone && word.n > 0 && !work_word(v, w, word, emit_word)) return false;
        if (!alone && !emit_word(v, w, word)) return false;
        if (q == end || !is_literal(v, q, end)) continue;
        if (!emit_bytes(v, w, SPACE)) return false;
        q += SPACE.n;
    }
    join_unknown(v, w, n_ids);
    return true;
}

/* ---- detokenizing ---------------------------------------------------------------------------- */

size_t spm_decode(gguf_token_type type, str name, bool drop_space, char *out, size_t size) {
    (void)type;
    size_t n = 0, at = 0;
    if (drop_space && str_starts(name, SPACE))
        at = SPACE.n;
    else if (drop_space && str_starts(name, STR(" ")))
        at = 1;
    while (at < name.n) {
        bool space = str_starts((str){name.p + at, name.n - at}, SPACE);
        if (n < size) out[n] = space ? ' ' : name.p[at];
        at += space ? SPACE.n : 1;
        n++;
    }
    return n;
}

const tokenizer_kind spm_kind = {
    .name = "llama",
    .adds_bos = true,
    .adds_space = true,
    .names_bytes = true,
    .bos = 1,
    .eos = 2,
    .unknown = 0,
    .separator = GGUF_NO_TOKEN,
    .load = load,
    .tokenize = tokenize,
    .decode = spm_decode,
};
