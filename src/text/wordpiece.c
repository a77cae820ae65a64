/*
 * WordPiece vocabularies (BERT): the text is cleaned, made small and stripped of accents as the file says, cut into
 * words at white space and around punctuation and Chinese characters, and each word is parted into the longest tokens
 * from left to right. GGUF files write a token that begins a word with U+2581 before it, and leave the "##" of the
 * others away. A word that is not made of tokens is one unknown token.
 */
#include "text/unicode.h"
#include "text/vocab_internal.h"

enum { DOTTED_I = 0x130 }; /* the one letter whose lower case is two characters: i and a dot */
enum { MAX_WORD = 100 };   /* characters; a longer word is unknown, as it was in training */

static bool load(gguf_vocab *v, const vocab_source *src) {
    vocab_no_pretokenizer(src, "a WordPiece");
    v->lowers = true;
    if (!vocab_load_flag(src, STR("tokenizer.ggml.normalizer.lowercase"), &v->lowers)) return false;
    v->strips_accents = v->lowers;
    return vocab_load_flag(src, STR("tokenizer.ggml.normalizer.strip_accents"), &v->strips_accents) &&
           vocab_build_trie(v, src);
}

/* The longest token at p, before end; *n: its bytes. */
static int32_t find_longest(const gguf_vocab *v, const char *p, const char *end, size_t *n) {
    int32_t best = GGUF_NO_TOKEN;
    uint32_t node = 0;
    for (const char *q = p; q < end && (node = trie_child(&v->trie, node, *q)) != TRIE_NONE;) {
        q++;
        if (v->trie.nodes[node].id < 0) continue;
        best = v->trie.nodes[node].id;
        *n = (size_t)(q - p);
    }
    return best;
}

/* The word that stands in w->text behind a U+2581. */
static bool emit_word(const gguf_vocab *v, work *w, size_t n_chars) {
    const char *p = w->text, *end = p + w->n_text;
    size_t n_ids = w->n_ids, n = 0;
    bool known = n_chars <= MAX_WORD;
    w->n_text = SPACE.n;
    if (n_chars == 0) return true;
    for (; known && p < end; p += n) {
        /* a U+2581 of the text must not be taken for the beginning of a word */
        bool inside = p > w->text && str_starts((str){p, (size_t)(end - p)}, SPACE);
        int32_t id = inside ? GGUF_NO_TOKEN : find_longest(v, p, end, &n);
        known = id != GGUF_NO_TOKEN;
        if (known && !work_emit(w, id)) return false;
    }
    if (known) return true;
    w->n_ids = n_ids;
    return work_emit_unknown(v, w, (str){w->text + SPACE.n, (size_t)(end - w->text) - SPACE.n});
}

static bool is_chinese(uint32_t cp) {
    return (cp >= 0x4E00 && cp <= 0x9FFF) || (cp >= 0x3400 && cp <= 0x4DBF) || (cp >= 0x20000 && cp <= 0x2A6DF) ||
           (cp >= 0x2A700 && cp <= 0x2B73F) || (cp >= 0x2B740 && cp <= 0x2B81F) || (cp >= 0x2B920 && cp <= 0x2CEAF) ||
           (cp >= 0xF900 && cp <= 0xFAFF) || (cp >= 0x2F800 && cp <= 0x2FA1F);
}

/* Whether a character is a word of its own. */
static bool stands_alone(uint32_t cp, uint32_t set) {
    return (set & UNI_P) || (cp < 0x80 && (set & UNI_S)) || is_chinese(cp);
}

/* Control characters and bytes that are no characters go; a tab and a newline are white space. */
static bool is_dropped(uint32_t cp, uint32_t set) {
    bool control = (set & (UNI_C & ~UNI_Cn)) && cp != '\t' && cp != '\n' && cp != '\r';
    return control || cp == 0xFFFD || cp == UNICODE_INVALID;
}

static bool add_character(const gguf_vocab *v, work *w, uint32_t cp, size_t *n_chars) {
    uint32_t set = unicode_set(cp);
    if (v->strips_accents && (set & UNI_Mn)) return true;
    bool alone = stands_alone(cp, set);
    if ((alone || (set & UNI_SPACE)) && (!emit_word(v, w, *n_chars) || (*n_chars = 0))) return false;
    if (set & UNI_SPACE) return true;
    if (!work_reserve_text(w, w->n_text + 4)) return false;
    if (*n_chars <= MAX_WORD) { /* the rest of a word that is too long does not matter */
        w->n_text += utf8_encode(v->lowers ? unicode_to_lower(cp) : cp, w->text + w->n_text);
        ++*n_chars;
    }
    if (!alone) return true;
    *n_chars = 0;
    return emit_word(v, w, 1);
}

static bool tokenize(const gguf_vocab *v, work *w, str text, bool first) {
    (void)first;
    size_t n_chars = 0; /* of the word */
    if (!work_reserve_text(w, SPACE.n)) return false;
    memcpy(w->text, SPACE.p, SPACE.n);
    w->n_text = SPACE.n;
    for (const char *p = text.p, *end = p + text.n; p < end;) {
        utf8_char c = utf8_decode(p, end);
        uint32_t parts[4] = {c.cp};
        p += c.n;
        if (is_dropped(c.cp, unicode_set(c.cp))) continue;
        bool splits = v->strips_accents || (v->lowers && c.cp == DOTTED_I);
        size_t n = splits ? unicode_decompose(c.cp, parts) : 1;
        for (size_t i = 0; i < n; i++) {
            if (!add_character(v, w, parts[i], &n_chars)) return false;
        }
    }
    return emit_word(v, w, n_chars);
}

const tokenizer_kind wordpiece_kind = {
    .name = "bert",
    .adds_bos = true,
    .adds_separator = true,
    .adds_space = true, /* before the first word, to be dropped on the way back */
    .names_bytes = false,
    .bos = 101,
    .eos = GGUF_NO_TOKEN,
    .unknown = 100,
    .separator = 102,
    .load = load,
    .tokenize = tokenize,
    .decode = spm_decode,
};
