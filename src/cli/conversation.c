#include "cli/conversation.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/new_file.h"
#include "cli/input.h"
#include "cli/json.h"

/* ---- messages -------------------------------------------------------------------------------- */

void message_free(message *m) {
    free(m->role);
    free(m->content);
    free(m->thinking);
    *m = (message){0};
}

static char *copy_text(const char *text, size_t n) {
    char *copy = malloc(n + 1);
    if (!copy) return NULL;
    if (n) memcpy(copy, text, n);
    copy[n] = 0;
    return copy;
}

/* Puts a message at a place of the list. */
static bool insert(conversation *c, size_t at, message m, gguf_error *err) {
    message *items = m.role && m.content ? realloc(c->items, (c->n + 1) * sizeof *items) : NULL;
    if (!items) {
        message_free(&m);
        return fail_memory(err, "a message", m.n);
    }
    c->items = items;
    memmove(items + at + 1, items + at, (c->n - at) * sizeof *items);
    items[at] = m;
    c->n++;
    return true;
}

bool conversation_push(conversation *c, message m, gguf_error *err) { return insert(c, c->n, m, err); }
message conversation_pop(conversation *c) { return c->items[--c->n]; }

bool conversation_add(conversation *c, const char *role, const char *content, size_t n, const char *thinking,
                      size_t n_thinking, gguf_error *err) {
    message m = {strdup(role), copy_text(content, n), n, thinking ? copy_text(thinking, n_thinking) : NULL, n_thinking};
    return conversation_push(c, m, err);
}

const message *conversation_system(const conversation *c) {
    return c->n && strcmp(c->items[0].role, "system") == 0 ? &c->items[0] : NULL;
}

bool conversation_set_system(conversation *c, const char *content, size_t n, gguf_error *err) {
    if (!insert(c, 0, (message){strdup("system"), copy_text(content, n), n}, err)) return false;
    if (c->n > 1 && strcmp(c->items[1].role, "system") == 0) conversation_remove(c, 1, 1);
    return true;
}

void conversation_remove(conversation *c, size_t at, size_t n) {
    for (size_t i = at; i < at + n; i++) message_free(&c->items[i]);
    if (n) memmove(c->items + at, c->items + at + n, (c->n - at - n) * sizeof *c->items);
    c->n -= n;
}

void conversation_free(conversation *c) {
    conversation_remove(c, 0, c->n);
    free(c->items);
    *c = (conversation){0};
}

/* ---- files ----------------------------------------------------------------------------------- */

static void print_message(const message *m, FILE *out) {
    fputs("\n{\"role\": ", out);
    json_string(out, m->role, strlen(m->role));
    fputs(", \"content\": ", out);
    json_string(out, m->content, m->n);
    if (m->thinking) {
        fputs(", \"reasoning_content\": ", out);
        json_string(out, m->thinking, m->n_thinking);
    }
    fputs("}", out);
}

bool conversation_print(const conversation *c, const char *more, FILE *out) {
    const message *system = conversation_system(c);
    buffer text = {0};
    if (system) buffer_add(&text, system->content, system->n);
    if (more) buffer_add(&text, more, strlen(more));
    fputs("[", out);
    if (more && !text.failed) print_message(&(message){"system", text.data, text.n}, out);
    for (size_t i = more && system ? 1 : 0; i < c->n; i++) {
        if (i > 0 || more) fputs(",", out);
        print_message(&c->items[i], out);
    }
    fputs("\n]\n", out);
    bool ok = !text.failed && !ferror(out);
    buffer_free(&text);
    return ok;
}

/* The path with the home folder for "~", to be freed. */
static char *expand(const char *path) {
    const char *home = path[0] == '~' && path[1] == '/' ? getenv("HOME") : NULL;
    char *full = NULL;
    return asprintf(&full, "%s%s", home ? home : "", home ? path + 1 : path) < 0 ? NULL : full;
}

bool conversation_save(const conversation *c, const char *path, gguf_error *err) {
    char *text = NULL, *full = expand(path);
    size_t n = 0;
    FILE *memory = full ? open_memstream(&text, &n) : NULL;
    bool ok = memory && conversation_print(c, NULL, memory);
    if (memory && fclose(memory) != 0) ok = false;
    if (!ok) fail_memory(err, "the conversation as JSON", n);
    new_file f = {.fd = -1};
    ok = ok && new_file_open(&f, full, true, err) && new_file_write(&f, text, n, err) && new_file_commit(&f, err);
    new_file_close(&f);
    free(text);
    free(full);
    return ok;
}

/* One message from its JSON object. */
static bool read_message(conversation *c, const char *text, size_t n, size_t *n_dropped, gguf_error *err) {
    buffer role = {0}, content = {0}, thinking = {0};
    bool has_role = false, has_content = false, has_thinking = false;
    json_object object = json_begin(text, n);
    json_member m = {0};
    json_step step;
    while ((step = json_next(&object, &m)) == JSON_MEMBER) {
        if (json_is_named(&m, "role")) {
            has_role = json_read_string(m.value, m.n_value, &role) && !memchr(role.data ? role.data : "", 0, role.n);
        } else if (json_is_named(&m, "content")) {
            has_content = json_read_string(m.value, m.n_value, &content);
        } else if (json_is_named(&m, "reasoning_content")) {
            has_thinking = json_read_string(m.value, m.n_value, &thinking);
        } else {
            ++*n_dropped;
        }
    }
    buffer_add(&role, "", 1);
    bool ok = step == JSON_END && has_role && has_content && !role.failed && !content.failed && !thinking.failed;
    if (!ok) fail(err, GGUF_ERR_USAGE, "message %zu needs a \"role\" and a \"content\", both strings", c->n + 1);
    ok = ok && conversation_add(c, role.data, content.data, content.n,
                                has_thinking ? thinking.data ? thinking.data : "" : NULL, thinking.n, err);
    buffer_free(&role);
    buffer_free(&content);
    buffer_free(&thinking);
    buffer_free(&m.name);
    return ok;
}

static bool read_messages(conversation *c, const char *text, size_t n, size_t *n_dropped, gguf_error *err) {
    json_object array = json_begin(text, n);
    const char *item;
    size_t n_item;
    json_step step;
    while ((step = json_next_item(&array, &item, &n_item)) == JSON_MEMBER) {
        if (!read_message(c, item, n_item, n_dropped, err)) return false;
    }
    return step == JSON_END || fail(err, GGUF_ERR_USAGE, "no JSON array of messages");
}

/* Finds "messages" where the text is an object. */
static void find_messages(const char **text, size_t *n) {
    json_object object = json_begin(*text, *n);
    json_member m = {0};
    while (json_next(&object, &m) == JSON_MEMBER) {
        if (!json_is_named(&m, "messages")) continue;
        *text = m.value;
        *n = m.n_value;
        break;
    }
    buffer_free(&m.name);
}

bool conversation_load(conversation *c, const char *path, size_t *n_dropped, gguf_error *err) {
    buffer file = {0};
    conversation loaded = {0};
    gguf_error why = {0};
    char *full = expand(path);
    if (!full) return fail_memory(err, "a file name", strlen(path));
    *n_dropped = 0;
    bool ok = read_file(full, &file, err);
    const char *text = file.data ? file.data : "";
    size_t n = file.n;
    if (ok) find_messages(&text, &n);
    if (ok && !read_messages(&loaded, text, n, n_dropped, &why)) ok = fail(err, why.code, "%s: %s", path, why.message);
    if (ok) {
        conversation_free(c);
        *c = loaded;
    } else {
        conversation_free(&loaded);
    }
    buffer_free(&file);
    free(full);
    return ok;
}
