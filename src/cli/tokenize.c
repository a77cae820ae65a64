/* gguf-tokenize: text to ids and back. */
#include <stdlib.h>
#include <string.h>

#include "cli/chat_template.h"
#include "cli/input.h"
#include "cli/json.h"

static ptrdiff_t tokenize(const options *o, const gguf_vocab *v, const char *text, size_t n, int32_t **ids,
                          gguf_error *err) {
    gguf_tokenize_params p = {.no_bos = o->no_bos, .parse_special = o->parse_special};
    return gguf_vocab_tokenize(v, text, n, &p, ids, err);
}

static void print_ids(const int32_t *ids, ptrdiff_t n, const char *between) {
    for (ptrdiff_t i = 0; i < n; i++) printf("%s%d", i ? between : "", ids[i]);
}

/* id<TAB>piece: line breaks and tabs of the piece as escapes, so that a line stays a line. */
static void print_table(const gguf_vocab *v, const int32_t *ids, ptrdiff_t n) {
    text_stream out = text_stream_to(stdout);
    for (ptrdiff_t i = 0; i < n; i++) {
        size_t len;
        const char *piece = gguf_vocab_name(v, ids[i], &len);
        printf("%d\t", ids[i]);
        for (size_t j = 0; j < len; j++) {
            static const char from[] = "\n\t\r\\", to[] = "ntr\\";
            const char *special = piece[j] ? strchr(from, piece[j]) : NULL;
            char escape[2] = {'\\', special ? to[special - from] : 0};
            text_write(&out, special ? escape : piece + j, special ? 2 : 1);
        }
        text_end(&out);
        putchar('\n');
    }
}

static bool tokenize_text(const options *o, const gguf_vocab *v, const buffer *text, gguf_error *err) {
    int32_t *ids = NULL;
    ptrdiff_t n = tokenize(o, v, text->data, text->n, &ids, err);
    if (n < 0) return false;
    if (o->count) {
        printf("%td\n", n);
    } else if (o->ids_only) {
        print_ids(ids, n, " ");
        putchar('\n');
    } else {
        print_table(v, ids, n);
    }
    free(ids);
    return true;
}

/* ---- JSON lines ------------------------------------------------------------------------------ */

/* Finds the text, and collects the object's other members in *rest, each with ", " behind it; ids that are there
 * already are left out. */
static bool read_line(const char *line, size_t n, buffer *text, buffer *rest) {
    json_object object = json_begin(line, n);
    json_member m = {0};
    json_step step;
    bool found = false;
    while ((step = json_next(&object, &m)) == JSON_MEMBER) {
        if (json_is_named(&m, "text")) found = !found && json_read_string(m.value, m.n_value, text);
        if (json_is_named(&m, "ids")) continue;
        buffer_add(rest, m.text, m.n_text);
        buffer_add(rest, ", ", 2);
    }
    buffer_free(&m.name);
    return step == JSON_END && found && !rest->failed;
}

static bool tokenize_line(const options *o, const gguf_vocab *v, const char *line, size_t n, size_t number,
                          gguf_error *err) {
    buffer text = {0}, rest = {0};
    int32_t *ids = NULL;
    bool ok = read_line(line, n, &text, &rest);
    if (!ok) set_error(err, GGUF_ERR_USAGE, "line %zu is not a JSON object with a \"text\"", number);
    ptrdiff_t count = ok ? tokenize(o, v, text.data, text.n, &ids, err) : -1;
    if (count >= 0) {
        putchar('{');
        fwrite(rest.data, 1, rest.n, stdout);
        printf("\"ids\": [");
        print_ids(ids, count, ", ");
        printf("]}\n");
    }
    free(ids);
    buffer_free(&text);
    buffer_free(&rest);
    return count >= 0;
}

static bool tokenize_lines(const options *o, const gguf_vocab *v, const buffer *text, gguf_error *err) {
    size_t number = 0;
    for (size_t at = 0; at < text->n;) {
        const char *line = text->data + at, *newline = memchr(line, '\n', text->n - at);
        size_t n = newline ? (size_t)(newline - line) : text->n - at;
        number++;
        at += n + 1;
        if (n == 0 || strspn(line, " \t\r\n") >= n) continue;
        if (!tokenize_line(o, v, line, n, number, err)) return false;
    }
    return true;
}

/* ---- back to text ---------------------------------------------------------------------------- */

static bool detokenize(const options *o, const gguf_vocab *v, buffer *text, gguf_error *err) {
    text_stream out = text_stream_to(stdout);
    gguf_detokenizer state = {.special = o->special};
    buffer_add(text, "", 1);
    if (text->failed) return set_error(err, GGUF_ERR_MEMORY, "not enough memory for the ids");
    char *piece = NULL;
    size_t room = 0;
    for (const char *p = text->data, *last = text->data + text->n - 1;;) {
        p += strspn(p, ", \t\r\n[]");
        if (p == last) break; /* a NUL before the end is no id */
        char *end;
        long id = strtol(p, &end, 10);
        if (end == p || id < 0 || (unsigned long)id >= gguf_vocab_size(v)) {
            size_t n = strcspn(p, ", \t\r\n[]");
            free(piece);
            return set_error(err, GGUF_ERR_USAGE, "\"%.*s\" is no id of this vocabulary (0 to %u)",
                             n < 20 ? (int)n : 20, p, gguf_vocab_size(v) - 1);
        }
        gguf_detokenizer before = state;
        size_t n = gguf_vocab_detokenize(v, &state, (int32_t)id, piece, room);
        if (n > room) {
            free(piece);
            piece = malloc(n);
            room = n;
            state = before;
            if (!piece) return set_error(err, GGUF_ERR_MEMORY, "not enough memory for a piece");
            gguf_vocab_detokenize(v, &state, (int32_t)id, piece, room);
        }
        text_write(&out, piece ? piece : "", n);
        p = end;
    }
    text_end(&out);
    free(piece);
    return true;
}

/* ---- conversations --------------------------------------------------------------------------- */

static bool print_chat(const options *o, const gguf_vocab *v, const gguf_chat_text *text, gguf_error *err) {
    int32_t *ids = NULL;
    if (!o->ids_only && !o->count) {
        fwrite(text->text, 1, text->n, stdout);
        return true;
    }
    if (!v) return set_error(err, GGUF_ERR_USAGE, "ids come from a model's vocabulary (-m FILE)");
    gguf_tokenize_params as_written = {.no_bos = true, .parse_special = true, .special_at = text->own};
    ptrdiff_t n = o->no_bos ? gguf_vocab_tokenize(v, text->text, text->n, &as_written, &ids, err)
                            : gguf_chat_tokenize(v, text, &ids, err);
    if (n < 0) return false;
    if (o->count)
        printf("%td", n);
    else
        print_ids(ids, n, " ");
    putchar('\n');
    free(ids);
    return true;
}

static bool tokenize_chat(const options *o, const gguf_model *m, gguf_error *err) {
    const gguf_vocab *v = m ? gguf_model_vocab(m) : NULL;
    gguf_chat_template *t = open_chat_template(o, m, err);
    buffer json = {0};
    gguf_chat_text text = {0};
    if (!t && err->code == GGUF_OK)
        set_error(err, GGUF_ERR_USAGE,
                  "the model has no chat template: name one with --chat-template or --chat-template-file");
    bool ok = t && read_file(o->chat, &json, err);
    buffer_add(&json, "", 1);
    if (ok && json.failed) ok = set_error(err, GGUF_ERR_MEMORY, "not enough memory for the conversation");
    gguf_chat_params p = {.variables = json.data, .kwargs = o->chat_kwargs, .now = o->clock, .vocab = v};
    ok = ok && gguf_chat_render(t, &p, &text, err) && print_chat(o, v, &text, err);
    gguf_chat_text_free(&text);
    gguf_chat_template_close(t);
    buffer_free(&json);
    return ok;
}

static bool run(const options *o, gguf_error *err) {
    if (wants_template_list(o)) return list_chat_templates(), true;
    if (o->chat && !o->model) return tokenize_chat(o, NULL, err);
    gguf_model_params mp = model_params(o, "tokenize", true);
    gguf_model *m = gguf_model_open(o->model, &mp, err);
    if (!m) return false;
    const gguf_vocab *v = gguf_model_vocab(m);
    buffer text = {0};
    bool ok;
    if (o->chat) {
        ok = tokenize_chat(o, m, err);
    } else if (!v) {
        ok = set_error(err, GGUF_ERR_MODEL, "the file has no tokenizer (tokenizer.ggml.model)");
    } else {
        ok = read_text(o, &text, err) && (o->detokenize ? detokenize(o, v, &text, err)
                                          : o->jsonl    ? tokenize_lines(o, v, &text, err)
                                                        : tokenize_text(o, v, &text, err));
    }
    buffer_free(&text);
    gguf_model_close(m);
    return ok;
}

int tokenize_main(const options *o) {
    gguf_error err = {0};
    return finish_stdout(run(o, &err) ? 0 : report("tokenize", &err));
}
