/* From text to ids and back: what is the same for every kind of vocabulary. */
#include <stdlib.h>

#include "text/vocab_internal.h"

/* Positions in a word are 32 bits wide, and a space may become three bytes. */
#define MAX_TEXT_BYTES ((size_t)1 << 30)

/* How many bytes from one on may be in the name of a control token. */
typedef struct {
    bool parse;
    const bool *at; /* of the whole text, which begins at `begin`; NULL: everywhere */
    const char *begin, *end;
    const char *until; /* the end of the part that was looked at last, whose bytes are alike */
} special_part;

static size_t special_bytes(special_part *s, const char *p) {
    if (!s->parse || !s->at) return s->parse ? SIZE_MAX : 0;
    bool may = s->at[p - s->begin];
    if (!s->until || s->until <= p) { /* parts are walked through once: p only grows */
        s->until = p + 1;
        while (s->until < s->end && s->at[s->until - s->begin] == may) s->until++;
    }
    return may ? (size_t)(s->until - p) : 0;
}

/* The bytes of text before the first mark; *found is that mark, or NULL. */
static size_t find_mark(const gguf_vocab *v, str text, special_part *special, const mark **found) {
    const char *end = text.p + text.n;
    const bool *begins = v->begins_mark[special->parse];
    for (const char *p = text.p; p < end; p++) {
        if (!begins[(uint8_t)*p]) continue;
        *found = vocab_match_mark(v, p, end, special_bytes(special, p));
        if (*found) return (size_t)(p - text.p);
    }
    *found = NULL;
    return text.n;
}

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* Special tokens part the text; what is between them is for the kind of vocabulary. */
static bool tokenize_parts(const gguf_vocab *v, work *w, str text, const gguf_tokenize_params *params) {
    special_part special = {params->parse_special, params->special_at, text.p, text.p + text.n, NULL};
    bool first = true;
    while (text.n > 0) {
        const mark *found;
        size_t n = find_mark(v, text, &special, &found), kept = n;
        while (found && (found->strips & STRIPS_LEFT) && kept > 0 && is_blank(text.p[kept - 1])) kept--;
        if (kept > 0 && !v->kind->tokenize(v, w, (str){text.p, kept}, first)) return false;
        first = found != NULL;
        if (found && !work_emit(w, found->id)) return false;
        n += found ? found->n : 0;
        while (found && (found->strips & STRIPS_RIGHT) && n < text.n && is_blank(text.p[n])) n++;
        text = (str){text.p + n, text.n - n};
    }
    return true;
}

ptrdiff_t gguf_vocab_tokenize(const gguf_vocab *v, const char *text, size_t n, const gguf_tokenize_params *params,
                              int32_t **ids, gguf_error *err) {
    static const gguf_tokenize_params defaults = {0};
    if (!params) params = &defaults;
    *ids = NULL;
    if (n > MAX_TEXT_BYTES) {
        fail(err, GGUF_ERR_USAGE, "the text has %zu bytes; %zu can be tokenized at once", n, MAX_TEXT_BYTES);
        return -1;
    }
    work w = {.err = err};
    bool bos = !params->no_bos && gguf_vocab_adds_bos(v), eos = !params->no_bos && gguf_vocab_adds_eos(v);
    bool separator = !params->no_bos && v->adds_separator && v->special[SPECIAL_SEPARATOR] != GGUF_NO_TOKEN;
    bool ok = (!bos || work_emit(&w, v->special[SPECIAL_BOS])) &&
              tokenize_parts(v, &w, (str){text, n}, params) &&
              (!separator || work_emit(&w, v->special[SPECIAL_SEPARATOR])) &&
              (!eos || work_emit(&w, v->special[SPECIAL_EOS]));
    if (ok && !w.ids) { /* no ids are still something to free */
        w.ids = malloc(sizeof *w.ids);
        ok = w.ids || fail_memory(err, "the ids of a text", sizeof *w.ids);
    }
    if (ok) {
        *ids = w.ids;
        w.ids = NULL;
    }
    work_free(&w);
    return ok ? (ptrdiff_t)w.n_ids : -1;
}

static size_t put(const char *p, size_t n, char *out, size_t size) {
    if (n > 0 && size > 0) memcpy(out, p, n < size ? n : size);
    return n;
}

size_t gguf_vocab_detokenize(const gguf_vocab *v, gguf_detokenizer *state, int32_t id, char *out, size_t size) {
    if (id < 0 || (uint32_t)id >= v->n) return 0;
    str name = vocab_name(v, id);
    gguf_token_type type = v->types[id];
    bool control = type == GGUF_TOKEN_CONTROL || type == GGUF_TOKEN_UNKNOWN;
    bool drop_space = v->adds_space && !state->inside;
    if (control && !state->special) return 0; /* the text has not begun yet */
    state->inside = true;
    if (control) return put(name.p, name.n, out, size);
    if (type != GGUF_TOKEN_BYTE) return v->kind->decode(type, name, drop_space, out, size);
    char byte = (char)(hex_digit(name.p[3]) << 4 | hex_digit(name.p[4]));
    return drop_space && byte == ' ' ? 0 : put(&byte, 1, out, size);
}
