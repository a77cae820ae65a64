#include "cli/answer.h"

#include <stdlib.h>
#include <string.h>

#include "cli/json.h"
#include "cli/python_call.h"

/* ---- thinking --------------------------------------------------------------------------------- */

/* One row a way to mark thoughts; the first that a template knows counts. */
static const thinking_marks marks_table[] = {
    {.open = "<|channel|>analysis<|message|>",
     .close = "<|end|>",
     .key = "<|channel|>analysis",
     .skip = "<|start|>assistant<|channel|>final<|message|>",
     .direct = "<|channel|>final<|message|>"},
    {.open = "<|START_THINKING|>", .close = "<|END_THINKING|>"},
    {.open = "[THINK]", .close = "[/THINK]"},
    {.open = "<seed:think>", .close = "</seed:think>"},
    {.open = "<|inner_prefix|>", .close = "<|inner_suffix|>"},
    {.open = "<think>", .close = "</think>"},
};

const thinking_marks *find_thinking(const gguf_chat_template *t) {
    for (size_t i = 0; t && i < sizeof marks_table / sizeof *marks_table; i++) {
        const thinking_marks *m = &marks_table[i];
        if (gguf_chat_template_contains(t, m->key ? m->key : m->close)) return m;
    }
    return NULL;
}

bool opens_thinking(const thinking_marks *m, const gguf_chat_text *prompt) {
    size_t n = prompt->n, size = m ? strlen(m->open) : 0;
    while (n > 0 && strchr(" \t\r\n", prompt->text[n - 1]) && prompt->own[n - 1]) n--;
    return m && n >= size && memcmp(prompt->text + n - size, m->open, size) == 0 && prompt->own[n - 1];
}

/* How much of held[at ..) is the beginning of `mark`: all of the mark, all that is held, or 0. */
static size_t begins(const buffer *held, size_t at, const char *mark) {
    size_t n = strlen(mark), left = held->n - at, common = n < left ? n : left;
    return common && memcmp(held->data + at, mark, common) == 0 ? common : 0;
}

static bool blank(const buffer *b, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (!strchr(" \t\r\n", b->data[i]) || !b->data[i]) return false;
    }
    return true;
}

/* Hands held[from .. to) to the thought or to the answer. */
static void pass_on(answer *a, size_t from, size_t to, bool show_control) {
    for (size_t i = from; i < to; i++) {
        const char *c = a->held.data + i;
        bool control = a->held_control.data[i];
        if (!a->thinking && a->stripping && (*c == '\n' || *c == '\r') && !control) continue;
        if (!a->thinking && !control) a->stripping = false;
        if (!a->thinking) buffer_add(&a->full, c, 1);
        if (!control || show_control) buffer_add(a->thinking ? &a->thought : &a->text, c, 1);
    }
}

static void drop_held(answer *a, size_t n) {
    if (n == 0) return;
    memmove(a->held.data, a->held.data + n, a->held.n - n);
    memmove(a->held_control.data, a->held_control.data + n, a->held.n - n);
    a->held.n -= n;
    a->held_control.n -= n;
}

/* Before the answer has begun: a mark may open a thought, or the text between thought and answer may come. True where
 * more must be seen. */
static bool at_beginning(answer *a) {
    const char *marks[] = {a->marks->open, a->marks->skip, a->marks->direct};
    size_t spaces = 0;
    while (spaces < a->held.n && blank(&a->held, spaces + 1)) spaces++;
    if (spaces == a->held.n) return true;
    bool partly = false;
    for (int i = 0; i < 3; i++) {
        size_t n = marks[i] ? begins(&a->held, spaces, marks[i]) : 0;
        if (n == 0) continue;
        partly = partly || n < strlen(marks[i]);
        if (n < strlen(marks[i])) continue;
        drop_held(a, spaces + n);
        a->thinking = i == 0;
        a->past = i > 0;
        return false;
    }
    a->past = !partly;
    return partly;
}

static bool in_thought(answer *a, bool show_control) {
    for (size_t at = 0; at < a->held.n; at++) {
        size_t n = begins(&a->held, at, a->marks->close);
        if (n == 0) continue;
        pass_on(a, 0, at, show_control);
        drop_held(a, at);
        if (n < strlen(a->marks->close)) return true;
        drop_held(a, n);
        a->thinking = false;
        a->past = a->marks->skip == NULL;
        a->stripping = true;
        return false;
    }
    pass_on(a, 0, a->held.n, show_control);
    drop_held(a, a->held.n);
    return true;
}

void answer_add(answer *a, const char *text, size_t n, bool control, bool show_control) {
    buffer_add(&a->held, text, n);
    for (size_t i = 0; i < n; i++) buffer_add(&a->held_control, control ? "\1" : "", 1);
    if (answer_failed(a)) return;
    if (a->marks && a->text.n == 0 && !a->past) a->stripping = true;
    for (bool wait = false; a->marks && a->held.n > 0 && !wait && (a->thinking || !a->past);)
        wait = a->thinking ? in_thought(a, show_control) : at_beginning(a);
    if (a->marks && !a->past) return;
    pass_on(a, 0, a->held.n, show_control);
    drop_held(a, a->held.n);
}

void answer_end(answer *a, bool show_control) {
    if (answer_failed(a) || a->held.n == 0) return;
    pass_on(a, 0, a->held.n, show_control);
    drop_held(a, a->held.n);
}

bool answer_failed(const answer *a) {
    return a->held.failed || a->held_control.failed || a->text.failed || a->thought.failed || a->full.failed;
}

void answer_free(answer *a) {
    buffer_free(&a->held);
    buffer_free(&a->held_control);
    buffer_free(&a->text);
    buffer_free(&a->thought);
    buffer_free(&a->full);
}

/* ---- calls of tools --------------------------------------------------------------------------- */

typedef struct {
    const char *p, *end;
} span;

typedef struct {
    FILE *out;
    int n; /* calls printed */
} call_list;

static span skip_blanks(span s) {
    while (s.p < s.end && *s.p && strchr(" \t\r\n,;", *s.p)) s.p++;
    return s;
}

static const char *find_text(span s, const char *what) {
    return s.p < s.end ? memmem(s.p, (size_t)(s.end - s.p), what, strlen(what)) : NULL;
}

/* The name as JSON; the arguments as they stand, where they are a string of JSON its content. */
static void print_call(call_list *calls, const char *name, size_t n_name, const char *args, size_t n_args) {
    buffer unquoted = {0};
    if (n_args && *args == '"' && json_read_string(args, n_args, &unquoted) && unquoted.n) {
        args = unquoted.data;
        n_args = unquoted.n;
    }
    fputs(calls->n++ ? "," : "[", calls->out);
    fputs("{\"name\":", calls->out);
    json_string(calls->out, name, n_name);
    fputs(",\"arguments\":", calls->out);
    fwrite(n_args ? args : "{}", 1, n_args ? n_args : 2, calls->out);
    fputc('}', calls->out);
    buffer_free(&unquoted);
}

/* {"name": ..., "arguments" or "parameters": ...} */
static bool object_call(call_list *calls, span s) {
    static const char *const name_keys[] = {"name", "tool_name"}, *const arg_keys[] = {"arguments", "parameters"};
    json_object object = json_begin(s.p, (size_t)(s.end - s.p));
    json_member m = {0};
    buffer name = {0};
    span args = {NULL, NULL};
    json_step step;
    while ((step = json_next(&object, &m)) == JSON_MEMBER) {
        for (int i = 0; i < 2; i++) {
            if (json_is_named(&m, name_keys[i]) && name.n == 0) json_read_string(m.value, m.n_value, &name);
            if (json_is_named(&m, arg_keys[i])) args = (span){m.value, m.value + m.n_value};
        }
    }
    bool ok = step == JSON_END && name.n > 0 && args.p;
    if (ok) print_call(calls, name.data, name.n, args.p, (size_t)(args.end - args.p));
    buffer_free(&m.name);
    buffer_free(&name);
    return ok;
}

/* Objects one after the other, maybe in a list; returns where they end. */
static const char *object_calls(call_list *calls, span s) {
    s = skip_blanks(s);
    bool is_list = s.p < s.end && *s.p == '[';
    s.p += is_list;
    for (;;) {
        s = skip_blanks(s);
        size_t n = s.p < s.end && *s.p == '{' ? json_value_length(s.p, (size_t)(s.end - s.p)) : 0;
        if (n == 0 || !object_call(calls, (span){s.p, s.p + n})) break;
        s.p += n;
    }
    s = skip_blanks(s);
    return is_list && s.p < s.end && *s.p == ']' ? s.p + 1 : s.p;
}

/* name[ARGS]{...} */
static const char *args_calls(call_list *calls, span s) {
    const char *mark = find_text(s, "[ARGS]");
    if (!mark) return object_calls(calls, s);
    span value = {mark + 6, s.end};
    size_t n = json_value_length(value.p, (size_t)(value.end - value.p));
    if (n) print_call(calls, s.p, (size_t)(mark - s.p), value.p, n);
    return n ? value.p + n : s.p;
}

static span trim_newlines(span s) {
    if (s.p < s.end && *s.p == '\n') s.p++;
    if (s.p < s.end && s.end[-1] == '\n') s.end--;
    return s;
}

/* Calls written in tags: a name, and for each argument a key and its value. */
typedef struct {
    const char *name, *name_end, *key, *key_end, *value, *value_end;
} call_tags;

static const call_tags tags[] = {
    {"<function=", ">", "<parameter=", ">", "", "</parameter>"},
    {"<invoke name=\"", "\"", "<parameter name=\"", "\"", ">", "</parameter>"},
    {"<\uFF5CDSML\uFF5Cinvoke name=\"", "\"", "<\uFF5CDSML\uFF5Cparameter name=\"", "\"", ">",
     "</\uFF5CDSML\uFF5Cparameter>"},
    {"", "<arg_key>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"},
};

/* What stands between the next two marks, and s begins behind the second; false where they are not there. */
static bool between(span *s, const char *open, const char *close, span *out) {
    const char *begin = *open ? find_text(*s, open) : s->p;
    if (!begin) return false;
    *out = (span){begin + strlen(open), s->end};
    out->end = find_text(*out, close);
    if (out->end) s->p = out->end + strlen(close);
    return out->end != NULL;
}

/* Values that are JSON stay so, unless they are said to be strings. */
static void print_argument(FILE *out, bool first, span key, span v, bool is_text) {
    size_t n = (size_t)(v.end - v.p);
    fputs(first ? "" : ",", out);
    json_string(out, key.p, (size_t)(key.end - key.p));
    fputc(':', out);
    if (!is_text && n && json_value_length(v.p, n) == n && *v.p != '"')
        fwrite(v.p, 1, n, out);
    else
        json_string(out, v.p, n);
}

static bool tagged_call(call_list *calls, const call_tags *t, span *s) {
    span name, key, value, rest = *s;
    char *args = NULL;
    size_t n_args = 0;
    if (!between(&rest, t->name, t->name_end, &name)) return false;
    if (strcmp(t->name_end, t->key) == 0) rest.p = name.end; /* the first key ends the name */
    const char *next = *t->name ? find_text(rest, t->name) : NULL;
    if (next) rest.end = next;
    s->p = next ? next : s->end;
    FILE *out = open_memstream(&args, &n_args);
    if (!out) return false;
    fputc('{', out);
    for (bool first = true; between(&rest, t->key, t->key_end, &key); first = false) {
        const char *behind_key = rest.p;
        if (!between(&rest, t->value, t->value_end, &value)) break;
        bool is_text = find_text((span){behind_key, value.p}, "string=\"true\"") != NULL;
        print_argument(out, first, key, trim_newlines(value), is_text);
    }
    fputc('}', out);
    name = trim_newlines(name);
    bool ok = fclose(out) == 0 && name.end > name.p;
    if (ok) print_call(calls, name.p, (size_t)(name.end - name.p), args, n_args);
    free(args);
    return ok;
}

static const char *tagged_calls(call_list *calls, span s) {
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        if (!find_text(s, *tags[i].name ? tags[i].name : tags[i].name_end)) continue;
        while (s.p < s.end && tagged_call(calls, &tags[i], &s)) continue;
        return s.end;
    }
    return object_calls(calls, s);
}

/* NAME, a mark, and the arguments; or "function", the mark, NAME and the arguments in a block of code. */
static const char *parted_call(call_list *calls, span s, const char *mark) {
    span head = {s.p, find_text(s, mark)}, rest = {head.end ? head.end + strlen(mark) : s.end, s.end};
    const char *args = rest.p < rest.end ? memchr(rest.p, '{', (size_t)(rest.end - rest.p)) : NULL;
    const char *line = args ? memchr(rest.p, '\n', (size_t)(args - rest.p)) : NULL;
    size_t n = args ? json_value_length(args, (size_t)(s.end - args)) : 0;
    if (n == 0) return s.p;
    if (line && line > rest.p) head = (span){rest.p, line};
    while (head.p < head.end && (*head.p == ' ' || *head.p == '\n')) head.p++;
    while (head.p < head.end && (head.end[-1] == ' ' || head.end[-1] == '\n')) head.end--;
    print_call(calls, head.p, (size_t)(head.end - head.p), args, n);
    return args + n;
}

static const char *separated_call(call_list *calls, span s) {
    return parted_call(calls, s, "<\uFF5Ctool\u2581sep\uFF5C>");
}

/* functions.NAME:3 and the arguments behind a mark */
static const char *numbered_call(call_list *calls, span s) {
    static const char mark[] = "<|tool_call_argument_begin|>", prefix[] = "functions.";
    const char *end = find_text(s, mark), *colon = end;
    s = skip_blanks(s);
    if ((size_t)(s.end - s.p) > strlen(prefix) && memcmp(s.p, prefix, strlen(prefix)) == 0) s.p += strlen(prefix);
    while (colon && colon > s.p && *colon != ':') colon--;
    if (!colon || colon == s.p) return parted_call(calls, s, mark);
    const char *args = memchr(end, '{', (size_t)(s.end - end));
    size_t n = args ? json_value_length(args, (size_t)(s.end - args)) : 0;
    if (n) print_call(calls, s.p, (size_t)(colon - s.p), args, n);
    return n ? args + n : s.p;
}

/* NAME ... <|message|>{...} */
static const char *addressed_call(call_list *calls, span s) {
    static const char mark[] = "<|message|>";
    const char *args = find_text(s, mark), *end = s.p;
    while (end < s.end && *end != ' ' && *end != '<' && *end != '\n') end++;
    if (!args || end == s.p) return s.p;
    args += strlen(mark);
    size_t n = args < s.end && *args == '{' ? json_value_length(args, (size_t)(s.end - args)) : 0;
    if (n) print_call(calls, s.p, (size_t)(end - s.p), args, n);
    return n ? args + n : s.p;
}

/* [NAME(KEY=VALUE, ...), ...] with Python's literals, or one call without the brackets */
static const char *python_calls(call_list *calls, span s) {
    span rest = skip_blanks(s);
    bool is_list = rest.p < rest.end && *rest.p == '[';
    rest.p += is_list;
    for (;;) {
        rest = skip_blanks(rest);
        char *args = NULL;
        size_t n_args = 0, n_name = 0;
        FILE *out = open_memstream(&args, &n_args);
        if (!out) break;
        const char *end = python_call(rest.p, rest.end, &n_name, out);
        bool ok = fclose(out) == 0 && end;
        if (ok) print_call(calls, rest.p, n_name, args, n_args);
        free(args);
        if (!ok) break;
        rest.p = end;
        if (!is_list) return end;
    }
    if (is_list && rest.p < rest.end && *rest.p == ']') return rest.p + 1;
    return object_calls(calls, s);
}

/* One row a way to write calls: what is between the marks is for `read`, which says how far it got. */
static const struct {
    const char *open, *close; /* close NULL: to the end of what `read` understands */
    const char *(*read)(call_list *calls, span s);
} call_formats[] = {
    {"<tool_call>", "</tool_call>", tagged_calls},
    {"<minimax:tool_call>", "</minimax:tool_call>", tagged_calls},
    {"<\uFF5CDSML\uFF5Cfunction_calls>", "</\uFF5CDSML\uFF5Cfunction_calls>", tagged_calls},
    {"<\uFF5CDSML\uFF5Ctool_calls>", "</\uFF5CDSML\uFF5Ctool_calls>", tagged_calls},
    {"<\uFF5Ctool\u2581call\u2581begin\uFF5C>", "<\uFF5Ctool\u2581call\u2581end\uFF5C>", separated_call},
    {"<|tool_call_begin|>", "<|tool_call_end|>", numbered_call},
    {"to=functions.", NULL, addressed_call},
    {"<function_call>", "</function_call>", object_calls},
    {"<|START_ACTION|>", "<|END_ACTION|>", object_calls},
    {"<|tool_call_start|>", "<|tool_call_end|>", python_calls},
    {"<|tool_call|>", "<|/tool_call|>", object_calls},
    {"[TOOL_CALLS]", NULL, args_calls},
    {"<|python_tag|>", NULL, python_calls},
    {"<|tool_call|>", NULL, object_calls},
    {"functools", NULL, object_calls},
};

static void cut(buffer *b, size_t from, size_t to) {
    memmove(b->data + from, b->data + to, b->n - to);
    b->n -= to - from;
}

/* Cuts the piece out of the shown text as well, where it stands there with or without its marks. */
static void cut_shown(answer *a, span whole, span inner) {
    span shown = {a->text.data, a->text.data + a->text.n};
    span pieces[] = {whole, inner};
    for (int i = 0; i < 2 && a->text.n; i++) {
        size_t n = (size_t)(pieces[i].end - pieces[i].p);
        const char *at = n ? memmem(shown.p, a->text.n, pieces[i].p, n) : NULL;
        if (!at) continue;
        cut(&a->text, (size_t)(at - shown.p), (size_t)(at - shown.p) + n);
        return;
    }
}

bool print_tool_calls(answer *a, bool bare, FILE *out) {
    if (a->full.n == 0) return false;
    call_list calls = {.out = out};
    for (size_t i = 0; i < sizeof call_formats / sizeof *call_formats && a->full.n; i++) {
        for (size_t at = 0; at < a->full.n;) {
            span all = {a->full.data + at, a->full.data + a->full.n};
            const char *open = find_text(all, call_formats[i].open);
            if (!open) break;
            span inner = {open + strlen(call_formats[i].open), all.end};
            const char *close = call_formats[i].close ? find_text(inner, call_formats[i].close) : NULL;
            if (call_formats[i].close && !close) break;
            if (close) inner.end = close;
            int before = calls.n;
            const char *end = call_formats[i].read(&calls, inner);
            at = (size_t)(inner.p - a->full.data);
            if (calls.n == before) continue;
            inner.end = close ? close : end;
            span whole = {open, close ? close + strlen(call_formats[i].close) : end};
            cut_shown(a, whole, inner);
            at = (size_t)(whole.end - a->full.data);
        }
        if (calls.n) break;
    }
    span text = skip_blanks((span){a->full.data, a->full.data + a->full.n});
    if (bare && calls.n == 0 && text.p < text.end && *text.p == '{' && object_calls(&calls, text) && calls.n)
        a->text.n = 0;
    if (calls.n) fputs("]", out);
    return calls.n > 0;
}
