#include "cli/line_edit.h"

#include <stdlib.h>
#include <string.h>

#include "text/unicode.h"

/* ---- the text -------------------------------------------------------------------------------- */

/* Replaces n bytes at `at` by add[0..n_add). */
static void splice(buffer *b, size_t at, size_t n, const char *add, size_t n_add) {
    if (b->failed || b->n - n + n_add > EDIT_MAX_TEXT) return;
    size_t tail = b->n - at - n;
    if (n_add > n) buffer_add(b, add, n_add - n); /* only for the room */
    if (b->failed) return;
    if (tail) memmove(b->data + at + n_add, b->data + at + n, tail);
    if (n_add) memcpy(b->data + at, add, n_add);
    b->n = at + n_add + tail;
}

static void insert(line_edit *e, const char *text, size_t n) {
    size_t before = e->text.n;
    splice(&e->text, e->cursor, 0, text, n);
    if (e->text.n > before) {
        e->cursor += n;
    } else if (n > 0) {
        e->full = true;
    }
}

static void set_buffer(buffer *b, const char *text, size_t n) { splice(b, 0, b->n, text, n); }

static void set_text(line_edit *e, const char *text, size_t n) {
    set_buffer(&e->text, text, n);
    e->cursor = e->text.n;
}

static utf8_char char_at(const line_edit *e, size_t at) {
    return utf8_decode(e->text.data + at, e->text.data + e->text.n);
}

/* The place one character further or back, where a character is a code point with the marks that stand on it. */
static size_t next(const line_edit *e, size_t at) {
    if (at == e->text.n) return at;
    at += char_at(e, at).n;
    while (at < e->text.n && unicode_width(char_at(e, at).cp) == 0) at += char_at(e, at).n;
    return at;
}

static size_t previous(const line_edit *e, size_t at) {
    while (at > 0) {
        size_t end = at--;
        while (at > 0 && end - at < 4 && ((unsigned char)e->text.data[at] & 0xC0) == 0x80) at--;
        if (unicode_width(char_at(e, at).cp) > 0) break;
    }
    return at;
}

static bool in_word(uint32_t cp) { return (unicode_set(cp) & (UNI_L | UNI_N | UNI_M)) != 0; }
static bool no_space(uint32_t cp) { return (unicode_set(cp) & UNI_SPACE) == 0; }

/* Over what is no word, then over the word. */
static size_t word_end(const line_edit *e, size_t at) {
    while (at < e->text.n && !in_word(char_at(e, at).cp)) at = next(e, at);
    while (at < e->text.n && in_word(char_at(e, at).cp)) at = next(e, at);
    return at;
}

static size_t word_begin(const line_edit *e, size_t at, bool (*word)(uint32_t cp)) {
    for (bool inside = false; at > 0;) {
        size_t before = previous(e, at);
        bool is = word(char_at(e, before).cp);
        if (inside && !is) break;
        inside = is;
        at = before;
    }
    return at;
}

static size_t line_begin(const line_edit *e, size_t at) {
    while (at > 0 && e->text.data[at - 1] != '\n') at--;
    return at;
}

static size_t line_end(const line_edit *e, size_t at) {
    while (at < e->text.n && e->text.data[at] != '\n') at++;
    return at;
}

/* Removes the text between two places, one of which is the cursor. */
static void erase(line_edit *e, size_t from, size_t to) {
    splice(&e->text, from, to - from, "", 0);
    e->cursor = from;
}

static void kill(line_edit *e, size_t from, size_t to) {
    if (to > from) set_buffer(&e->killed, e->text.data + from, to - from);
    erase(e, from, to);
}

/* ---- the past -------------------------------------------------------------------------------- */

static void show_past(line_edit *e, size_t age) {
    if (e->age == 0) set_buffer(&e->draft, e->text.data, e->text.n);
    e->age = age;
    const history_item *item = age ? &e->past->items[e->past->n - age] : NULL;
    if (item) set_text(e, item->text, item->n);
    if (!item) set_text(e, e->draft.data, e->draft.n);
}

/* The youngest message from `age` on that holds the query, or 0. */
static size_t find(const line_edit *e, size_t age) {
    for (; e->past && e->query.n && age <= e->past->n; age++) {
        const history_item *item = &e->past->items[e->past->n - age];
        if (memmem(item->text, item->n, e->query.data, e->query.n)) return age;
    }
    return 0;
}

static void search(line_edit *e, size_t from) {
    size_t age = find(e, from ? from : 1);
    if (age) show_past(e, age);
}

/* A key while searching; false: it ends the search and means what it always means. */
static bool search_key(line_edit *e, const char *key, size_t n) {
    if (*key == 0x12) { /* Ctrl-R again */
        search(e, e->age + 1);
    } else if (*key == 0x7F || *key == 0x08) {
        while (e->query.n > 0 && ((unsigned char)e->query.data[--e->query.n] & 0xC0) == 0x80) continue;
    } else if (*key == 0x07 || *key == 0x03) { /* Ctrl-G, Ctrl-C: as if nothing had been */
        if (e->age) show_past(e, 0);
        e->searching = false;
    } else if ((unsigned char)*key >= 0x20) {
        buffer_add(&e->query, key, n);
        search(e, e->age);
    } else {
        e->searching = false;
        return false;
    }
    return true;
}

/* ---- keys ------------------------------------------------------------------------------------ */

#define MOVE(name, place)                                                                                              \
    static edit_event name(line_edit *e) {                                                                             \
        e->cursor = (place);                                                                                           \
        return EDIT_MORE;                                                                                              \
    }
#define KILL(name, how, from, to)                                                                                      \
    static edit_event name(line_edit *e) {                                                                             \
        how(e, (from), (to));                                                                                          \
        return EDIT_MORE;                                                                                              \
    }

MOVE(go_left, previous(e, e->cursor))
MOVE(go_right, next(e, e->cursor))
MOVE(go_home, line_begin(e, e->cursor))
MOVE(go_end, line_end(e, e->cursor))
MOVE(go_word_left, word_begin(e, e->cursor, in_word))
MOVE(go_word_right, word_end(e, e->cursor))
KILL(backspace, erase, previous(e, e->cursor), e->cursor)
KILL(delete_next, erase, e->cursor, next(e, e->cursor))
KILL(kill_line, kill, e->cursor, line_end(e, e->cursor))
KILL(kill_line_back, kill, line_begin(e, e->cursor), e->cursor)
KILL(kill_space_back, kill, word_begin(e, e->cursor, no_space), e->cursor)
KILL(kill_word_back, kill, word_begin(e, e->cursor, in_word), e->cursor)
KILL(kill_word, kill, e->cursor, word_end(e, e->cursor))

static edit_event yank(line_edit *e) {
    insert(e, e->killed.data, e->killed.n);
    return EDIT_MORE;
}

static edit_event new_line(line_edit *e) {
    insert(e, "\n", 1);
    return EDIT_MORE;
}

static edit_event tab(line_edit *e) {
    insert(e, "\t", 1);
    return EDIT_MORE;
}

/* A backslash before it makes Enter a new line. */
static edit_event enter(line_edit *e) {
    if (e->cursor == 0 || e->text.data[e->cursor - 1] != '\\') return EDIT_ENTER;
    splice(&e->text, e->cursor - 1, 1, "\n", 1);
    return EDIT_MORE;
}

static edit_event cancel(line_edit *e) {
    bool empty = e->text.n == 0;
    if (e->interrupted && empty) return EDIT_END;
    line_edit_reset(e);
    e->interrupted = empty;
    return empty ? EDIT_CANCEL : EDIT_MORE;
}

static edit_event delete_or_end(line_edit *e) { return e->text.n ? delete_next(e) : EDIT_END; }
static edit_event clear(line_edit *e) { return (void)e, EDIT_CLEAR; }
static edit_event suspend(line_edit *e) { return (void)e, EDIT_SUSPEND; }

/* From a place in its line to the same one (counted in characters) of the line that begins at `begin`. */
static void go_line(line_edit *e, size_t begin) {
    size_t n = 0, end = line_end(e, begin);
    for (size_t at = line_begin(e, e->cursor); at < e->cursor; at = next(e, at)) n++;
    for (e->cursor = begin; n > 0 && e->cursor < end; n--) e->cursor = next(e, e->cursor);
}

static edit_event go_up(line_edit *e) {
    size_t begin = line_begin(e, e->cursor);
    if (begin > 0) {
        go_line(e, line_begin(e, begin - 1));
    } else if (e->past && e->age < e->past->n) {
        show_past(e, e->age + 1);
    }
    return EDIT_MORE;
}

static edit_event go_down(line_edit *e) {
    size_t end = line_end(e, e->cursor);
    if (end < e->text.n) {
        go_line(e, end + 1);
    } else if (e->age > 0) {
        show_past(e, e->age - 1);
    }
    return EDIT_MORE;
}

static edit_event begin_search(line_edit *e) {
    e->searching = true;
    e->query.n = 0;
    return EDIT_MORE;
}

static edit_event begin_paste(line_edit *e) {
    e->pasting = true;
    return EDIT_MORE;
}

/* clang-format off */
static const struct {
    const char *key;
    edit_event (*act)(line_edit *e);
} bindings[] = {
    {"\x01", go_home}, {"\x02", go_left}, {"\x03", cancel}, {"\x04", delete_or_end}, {"\x05", go_end},
    {"\x06", go_right}, {"\x08", backspace}, {"\t", tab}, {"\n", enter}, {"\x0B", kill_line}, {"\x0C", clear},
    {"\r", enter}, {"\x0E", go_down}, {"\x10", go_up}, {"\x12", begin_search}, {"\x15", kill_line_back},
    {"\x17", kill_space_back}, {"\x19", yank}, {"\x1A", suspend}, {"\x7F", backspace},
    /* with Alt */
    {"\x1B\r", new_line}, {"\x1B\n", new_line}, {"\x1B" "b", go_word_left}, {"\x1B" "f", go_word_right},
    {"\x1B" "d", kill_word}, {"\x1B\x7F", kill_word_back}, {"\x1B\x08", kill_word_back},
    /* arrows, Home, End, as terminals send them in their two modes, and with Ctrl or Alt */
    {"\x1B[A", go_up}, {"\x1B[B", go_down}, {"\x1B[C", go_right}, {"\x1B[D", go_left},
    {"\x1BOA", go_up}, {"\x1BOB", go_down}, {"\x1BOC", go_right}, {"\x1BOD", go_left},
    {"\x1B[H", go_home}, {"\x1B[F", go_end}, {"\x1BOH", go_home}, {"\x1BOF", go_end},
    {"\x1B[1~", go_home}, {"\x1B[4~", go_end}, {"\x1B[7~", go_home}, {"\x1B[8~", go_end}, {"\x1B[3~", delete_next},
    {"\x1B[1;5C", go_word_right}, {"\x1B[1;5D", go_word_left}, {"\x1B[1;3C", go_word_right}, {"\x1B[1;3D", go_word_left},
    {"\x1B[200~", begin_paste},
};
/* clang-format on */

/* Whether the bytes that came are a whole key: a character of UTF-8, ESC and a character, or a control sequence. */
static bool is_whole(const char *key, size_t n) {
    unsigned char first = (unsigned char)key[0], last = (unsigned char)key[n - 1];
    if (first >= 0xC2 && first < 0xF5) return n == (first < 0xE0 ? 2u : first < 0xF0 ? 3u : 4u);
    if (first != 0x1B) return true;
    if (n == 1) return false;
    if (key[1] == 'O') return n == 3;
    if (key[1] != '[') return true;
    if (n > 2 && key[2] == '[') return n == 4; /* function keys of the Linux console */
    return n > 2 && last >= 0x40 && last < 0x7F;
}

/* Whether a key that has begun may go on with this byte. */
static bool goes_on(const line_edit *e, unsigned char byte) {
    if (e->n_key == EDIT_MAX_KEY) return false;
    if ((unsigned char)e->key[0] >= 0x80) return (byte & 0xC0) == 0x80;
    return e->n_key < 2 || (byte >= 0x20 && byte < 0x80);
}

/* What was pasted comes in as it is, but for control characters, and with \n for any end of a line. */
static void paste_key(line_edit *e, const char *key, size_t n) {
    static const char end[] = "\x1B[201~";
    if (n == sizeof end - 1 && memcmp(key, end, n) == 0) {
        e->pasting = false;
    } else if (*key == '\r' || *key == '\n' || *key == '\t') {
        insert(e, *key == '\r' ? "\n" : key, 1);
    } else {
        uint32_t cp = utf8_decode(key, key + n).cp;
        if (cp != UNICODE_INVALID && !(unicode_set(cp) & UNI_Cc)) insert(e, key, n);
    }
}

static edit_event whole_key(line_edit *e, const char *key, size_t n) {
    bool after_interrupt = e->interrupted;
    if (e->pasting) return paste_key(e, key, n), EDIT_MORE;
    if (e->searching && search_key(e, key, n)) return EDIT_MORE;
    for (size_t i = 0; i < sizeof bindings / sizeof *bindings; i++) {
        if (strlen(bindings[i].key) != n || memcmp(bindings[i].key, key, n) != 0) continue;
        edit_event event = bindings[i].act(e);
        if (after_interrupt) e->interrupted = false;
        return event;
    }
    e->interrupted = false;
    uint32_t cp = utf8_decode(key, key + n).cp;
    if (cp != UNICODE_INVALID && !(unicode_set(cp) & UNI_Cc)) insert(e, key, n);
    return EDIT_MORE;
}

edit_event line_edit_byte(line_edit *e, char byte) {
    if (e->n_key > 0 && !goes_on(e, (unsigned char)byte)) e->n_key = 0; /* what came is no key */
    e->key[e->n_key++] = byte;
    if (!is_whole(e->key, e->n_key)) return EDIT_MORE;
    size_t n = e->n_key;
    e->n_key = 0;
    return whole_key(e, e->key, n);
}

void line_edit_reset(line_edit *e) {
    e->text.n = e->cursor = e->age = e->draft.n = e->query.n = 0;
    e->n_key = 0;
    e->pasting = e->searching = e->interrupted = e->full = false;
}

void line_edit_free(line_edit *e) {
    buffer_free(&e->text);
    buffer_free(&e->draft);
    buffer_free(&e->killed);
    buffer_free(&e->query);
    *e = (line_edit){0};
}
