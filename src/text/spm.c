/*
 * SentencePiece vocabularies: a space is written U+2581; pieces of a word are merged by the score of the token
 * they make, the highest first, the leftmost of equals. Characters that are no token become byte tokens.
 *
 * There are no words in such a text, merges could go across it as a whole. But no merge crosses a place where
 * no token has U+2581 after the character that stands there: merging each side alone gives the same. With
 * the vocabularies there are, this cuts the text before nearly every space.
 */
#include "text/unicode.h"
#include "text/vocab_internal.h"

static const str SPACE = {"\xE2\x96\x81", 3}; /* U+2581 */

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

static void find_joined_spaces(gguf_vocab *v) {
    for (uint32_t id = 0; id < v->n; id++) {
        str name = vocab_name(v, (int32_t)id);
        for (size_t i = 1; i + SPACE.n <= name.n; i++) {
            if (memcmp(name.p + i, SPACE.p, SPACE.n) != 0) continue;
            bool after_space = i >= SPACE.n && memcmp(name.p + i - SPACE.n, SPACE.p, SPACE.n) == 0;
            if (!after_space) v->before_space[(uint8_t)name.p[i - 1]] = true;
        }
    }
}

static bool load(gguf_vocab *v, const vocab_source *src) {
    vocab_no_pretokenizer(src, "a SentencePiece");
    if (!load_scores(v, src)) return false;
    find_joined_spaces(v);
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

/* Where the word that begins at p ends: before a U+2581, or a space that no token has after what stands there. */
static const char *word_end(const gguf_vocab *v, const char *p, const char *end) {
    for (const char *q = p; q < end; q++) {
        if (*q == ' ' && q > p && q[-1] != ' ' && !v->before_space[(uint8_t)q[-1]]) return q;
        if (is_literal(v, q, end)) return q;
    }
    return end;
}

static bool tokenize(const gguf_vocab *v, work *w, str text, bool first) {
    static const char prefix[] = " ";
    const char *end = text.p + text.n;
    w->n_text = 0;
    if (first && v->adds_space && !append_escaped(w, prefix, prefix + 1)) return false;
    for (const char *p = text.p, *q; p < end; p = q) {
        q = word_end(v, p, end);
        if (!append_escaped(w, p, q) || !work_merge(v, w, (str){w->text, w->n_text}, &rules)) return false;
        w->n_text = 0;
        if (q == end || !is_literal(v, q, end)) continue;
        if (!emit_bytes(v, w, SPACE)) return false;
        q += SPACE.n;
    }
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
