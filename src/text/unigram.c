/*
 * Unigram vocabularies (T5, XLM-R): each token has a score, and a text becomes the tokens whose scores have the
 * greatest sum. Before that it is normalized: the file's map of characters (made by SentencePiece: a trie over byte
 * sequences whose leaves name the text to stand there instead), spaces merged and written as U+2581.
 *
 * The best sum is found from left to right: at each character, every token that begins there may improve the best
 * way to where it ends. A place that no token crosses is on every way, so all before it is settled: it is emitted,
 * and memory holds no more than the stretch from there on.
 */
#include <float.h>

#include "text/unicode.h"
#include "text/vocab_internal.h"

/* How much below the worst token an unknown character is. */
static const double UNKNOWN_PENALTY = 10;

/* ---- loading --------------------------------------------------------------------------------- */

static bool load_scores(gguf_vocab *v, const vocab_source *src) {
    const gguf_kv *kv;
    if (!vocab_find_scores(v, src, &kv)) return false;
    v->scores = arena_alloc(&v->mem, v->n, sizeof *v->scores, "the scores", src->err);
    if (!v->scores) return false;
    double worst = DBL_MAX;
    for (uint32_t id = 0; id < v->n; id++) {
        double score = 0;
        if (kv && (!kv_float(kv, id, &score) || score != score)) score = -FLT_MAX;
        v->scores[id] = v->types[id] == GGUF_TOKEN_USER_DEFINED ? 0 : (float)score;
        if (v->types[id] == GGUF_TOKEN_NORMAL && score < worst) worst = score;
    }
    v->unknown_score = (worst < DBL_MAX ? worst : 0) - UNKNOWN_PENALTY;
    return true;
}

/* The map: a u32 with the bytes of the trie, the trie (u32 each), then texts, each with a NUL behind it. */
static bool load_charsmap(gguf_vocab *v, const vocab_source *src) {
    static const char key[] = "tokenizer.ggml.precompiled_charsmap";
    const gguf_kv *kv = gguf_file_find_kv(src->file, STR("tokenizer.ggml.precompiled_charsmap"));
    if (!kv) return true;
    if (kv->type != KV_ARRAY || (kv->elem != KV_U8 && kv->elem != KV_I8)) {
        return fail(src->err, GGUF_ERR_MODEL, "%s must be an array of u8; it holds %s", key, kv_type_name(kv->elem));
    }
    if (kv->n == 0) return true;
    uint64_t size = 0;
    for (int i = 3; i >= 0 && kv->n_bytes >= 4; i--) size = size << 8 | kv->data[i];
    if (size == 0 || size % 4 != 0 || size + 4 >= kv->n_bytes || kv->data[kv->n_bytes - 1] != 0) {
        return fail(src->err, GGUF_ERR_MODEL,
                    "%s: %zu bytes cannot hold a trie of %llu bytes and texts that end with NUL", key, kv->n_bytes,
                    (unsigned long long)size);
    }
    charsmap *m = &v->charsmap;
    m->n_nodes = (size_t)size / 4;
    m->n_texts = kv->n_bytes - 4 - (size_t)size;
    m->nodes = arena_alloc(&v->mem, m->n_nodes, sizeof *m->nodes, "the map of characters", src->err);
    m->texts = arena_alloc(&v->mem, m->n_texts, 1, "the map of characters", src->err);
    if (!m->nodes || !m->texts) return false;
    for (size_t i = 0; i < m->n_nodes; i++) {
        const uint8_t *p = kv->data + 4 + 4 * i;
        m->nodes[i] = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    }
    memcpy(m->texts, kv->data + 4 + size, m->n_texts);
    return true;
}

static bool load(gguf_vocab *v, const vocab_source *src) {
    vocab_no_pretokenizer(src, "a Unigram");
    vocab_find_bytes(v);
    return load_scores(v, src) && load_charsmap(v, src) && vocab_build_trie(v, src);
}

/* ---- normalizing ----------------------------------------------------------------------------- */

/* Neither what is replaced nor what stands instead may have more bytes (the longest there is has 33): time and memory
 * stay linear with any map. */
enum { MAX_MAPPED = 255 };

/*
 * The longest beginning of [p, end) that the map holds: its bytes, or 0; *text stands instead of it. A node of the
 * trie is a u32: bits 0 to 7 and 31 the byte that leads there, bit 8 that a leaf hangs on it, bits 10 to 30 where its
 * children are, times 256 with bit 9; of a leaf, bits 0 to 30 say where its text begins. The children are found by
 * exclusive or, and any index may lie outside.
 */
static size_t find_mapped(const charsmap *m, const char *p, const char *end, str *text) {
    size_t best = 0, at = 0;
    if (m->n_nodes == 0) return 0;
    for (size_t i = 0;; i++) {
        uint32_t node = m->nodes[at];
        at ^= (size_t)(node >> 10) << ((node & 1u << 9) >> 6);
        if (at >= m->n_nodes) break;
        if (i > 0 && (node >> 8 & 1)) {
            size_t offset = m->nodes[at] & 0x7FFFFFFFu;
            if (offset < m->n_texts && strnlen(m->texts + offset, MAX_MAPPED + 1) <= MAX_MAPPED) {
                best = i;
                *text = str_of(m->texts + offset); /* the last byte of all is NUL */
            }
        }
        if (p + i == end || p[i] == 0 || i == MAX_MAPPED) break;
        at ^= (uint8_t)p[i];
        if (at >= m->n_nodes || (m->nodes[at] & 0x800000FFu) != (uint8_t)p[i]) break;
    }
    return best;
}

/* Where the normalized text stands. */
typedef struct {
    bool began; /* something other than spaces was written */
    bool blank; /* a space was not written yet */
} spacing;

static bool append(work *w, str text) {
    if (!work_reserve_text(w, w->n_text + text.n)) return false;
    memcpy(w->text + w->n_text, text.p, text.n);
    w->n_text += text.n;
    return true;
}

/* Where spaces are merged, one waits for what follows it: none come at the beginning and the end. */
static bool append_normalized(const gguf_vocab *v, work *w, spacing *s, str text) {
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == ' ') {
            if (v->merges_spaces)
                s->blank = s->began;
            else if (!append(w, SPACE))
                return false;
            continue;
        }
        if (s->blank && !append(w, SPACE)) return false;
        *s = (spacing){.began = true};
        if (!append(w, (str){text.p + i, 1})) return false;
    }
    return true;
}

static bool normalize(const gguf_vocab *v, work *w, str text) {
    const char *p = text.p, *end = p + text.n;
    spacing s = {0};
    w->n_text = 0;
    if (v->adds_space && !append(w, SPACE)) return false;
    while (p < end) {
        str mapped;
        size_t n = find_mapped(&v->charsmap, p, end, &mapped);
        if (n == 0) {
            n = utf8_decode(p, end).n;
            mapped = (str){p, n};
        }
        if (!append_normalized(v, w, &s, mapped)) return false;
        p += n;
    }
    if (v->merges_spaces && !s.began) w->n_text = 0; /* nothing but spaces is nothing */
    return true;
}

/* ---- the best sum ---------------------------------------------------------------------------- */

/* The way to position 0 of the lattice is settled; the text of the lattice begins at p. */
typedef struct {
    const gguf_vocab *v;
    work *w;
    const char *p;
    size_t n;     /* positions that are there */
    size_t far;   /* no token goes further */
    bool unknown; /* the last thing emitted was the unknown token */
} search;

/* The way to position `to` by a token that begins at `from`, where it is better than the one that is known. */
static bool improve(search *s, size_t from, size_t to, int32_t id, double score) {
    if (!work_reserve_lattice(s->w, to + 1)) return false;
    lattice_node *nodes = s->w->lattice;
    for (; s->n <= to; s->n++) nodes[s->n] = (lattice_node){-DBL_MAX, 0, GGUF_NO_TOKEN};
    if (to > s->far) s->far = to;
    score += nodes[from].score;
    if (score > nodes[to].score) nodes[to] = (lattice_node){score, (uint32_t)from, id};
    return true;
}

/* All tokens that begin at a position; n bytes are the character there. */
static bool try_tokens(search *s, size_t at, size_t n, const char *end) {
    const trie *t = &s->v->trie;
    const char *begin = s->p + at;
    uint32_t node = 0;
    bool whole = false; /* some token is just this character */
    for (const char *q = begin; q < end && (node = trie_child(t, node, *q)) != TRIE_NONE;) {
        int32_t id = t->nodes[node].id;
        q++;
        if (id < 0) continue;
        whole = whole || (size_t)(q - begin) == n;
        if (!improve(s, at, at + (size_t)(q - begin), id, s->v->scores[id])) return false;
    }
    return whole || improve(s, at, at + n, GGUF_NO_TOKEN, s->v->unknown_score);
}

/* A character that is no token: its bytes, else one unknown token for all in a row. */
static bool emit_unknown(search *s, str c) {
    bool bytes = true;
    for (size_t i = 0; i < c.n; i++) bytes = bytes && s->v->bytes[(uint8_t)c.p[i]] != GGUF_NO_TOKEN;
    if (!bytes && s->unknown) return true;
    s->unknown = !bytes;
    for (size_t i = 0; i < (bytes ? c.n : 1); i++) {
        if (bytes ? !work_emit_byte(s->v, s->w, (uint8_t)c.p[i]) : !work_emit_unknown(s->v, s->w, c)) return false;
    }
    return true;
}

/* Emits the best way to `end`, where the lattice begins anew. */
static bool settle(search *s, size_t end) {
    lattice_node *nodes = s->w->lattice;
    double score = nodes[end].score;
    size_t next = end;
    for (size_t at = end, before; at > 0; at = before) { /* turn the links round */
        before = nodes[at].from;
        nodes[at].from = (uint32_t)next;
        next = at;
    }
    for (size_t from = 0, at = next; from < end; from = at, at = nodes[at].from) {
        if (nodes[at].id == GGUF_NO_TOKEN) {
            if (!emit_unknown(s, (str){s->p + from, at - from})) return false;
        } else {
            s->unknown = false;
            if (!work_emit(s->w, nodes[at].id)) return false;
        }
    }
    nodes[0] = (lattice_node){score, 0, GGUF_NO_TOKEN};
    s->p += end;
    s->n = 1;
    s->far = 0;
    return true;
}

static bool tokenize(const gguf_vocab *v, work *w, str text, bool first) {
    (void)first; /* every part of a text gets its space */
    if (!normalize(v, w, text) || !work_reserve_lattice(w, 1)) return false;
    if (w->n_text == 0) return true; /* there may be no memory for a text yet */
    const char *end = w->text + w->n_text;
    search s = {.v = v, .w = w, .p = w->text, .n = 1};
    w->lattice[0] = (lattice_node){0, 0, GGUF_NO_TOKEN};
    for (size_t at = 0; s.p + at < end;) {
        size_t n = utf8_decode(s.p + at, end).n;
        if (!try_tokens(&s, at, n, end)) return false;
        at += n;
        if (s.far > at) continue;
        if (!settle(&s, at)) return false;
        at = 0;
    }
    return true;
}

const tokenizer_kind unigram_kind = {
    .name = "t5",
    .adds_bos = false,
    .adds_eos = true,
    .adds_space = false,
    .names_bytes = true,
    .bos = GGUF_NO_TOKEN,
    .eos = 1,
    .unknown = 2,
    .separator = GGUF_NO_TOKEN,
    .load = load,
    .tokenize = tokenize,
    .decode = spm_decode,
};
