/* The line editor: bytes of keys in, text and cursor out; what it draws, on a terminal of our own; the history's file.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/line_draw.h"
#include "tests/unit/check.h"
#include "text/unicode.h"

static edit_event type(line_edit *e, const char *keys) {
    edit_event event = EDIT_MORE;
    for (; *keys; keys++) event = line_edit_byte(e, *keys);
    return event;
}

/* Whether the text with "|" at the cursor is this. */
static bool is(const line_edit *e, const char *expected) {
    char shown[256];
    snprintf(shown, sizeof shown, "%.*s|%.*s", (int)e->cursor, e->text.n ? e->text.data : "",
             (int)(e->text.n - e->cursor), e->text.n ? e->text.data + e->cursor : "");
    bool same = strcmp(shown, expected) == 0;
    if (!same) fprintf(stderr, "\"%s\" is expected, not \"%s\"\n", expected, shown);
    return same;
}

#define LEFT  "\x1B[D"
#define RIGHT "\x1B[C"
#define UP    "\x1B[A"
#define DOWN  "\x1B[B"

static const struct {
    const char *keys, *expected;
} cases[] = {
    {"abc", "abc|"},
    {"abc" LEFT LEFT "x", "ax|bc"},
    {"abc\x01x\x05y", "xabcy|"},
    {"abc\x1B[Hx\x1B[Fy\x1B[1~z\x1B[4~w", "zxabcyw|"},
    {"abc\x02\x02\x06x", "abx|c"},
    {"abc\x7F\x7F", "a|"},
    {"\x7F\x08" LEFT "\x1B[3~", "|"},
    {"abc\x01\x1B[3~\x04", "|c"},
    {"one two three\x1B"
     "b\x1B"
     "bX",
     "one X|two three"},
    {"one, two\x01\x1B"
     "fX\x1B[1;5CY",
     "oneX, twoY|"},
    {"one two-three\x17", "one |"},
    {"one two-three\x1B\x7F", "one two-|"},
    {"one two  \x17", "one |"},
    {"one two\x01\x1B"
     "d",
     "| two"},
    {"one two\x15", "|"},
    {"one two\x1B"
     "b\x15\x05\x19",
     "twoone |"},
    {"one two\x01\x06\x06\x06\x0B\x01\x19", " two|one"},
    {"\x19\x0B\x15\x17", "|"},
    /* characters of several bytes, marks that stand on others, wide ones */
    {"gr\xC3\xBC\xC3\x9F" LEFT LEFT "\x7F", "g|\xC3\xBC\xC3\x9F"},
    {"e\xCC\x81x" LEFT "\x7F", "|x"},
    {"\xE6\x97\xA5\xE6\x9C\xAC" LEFT "-", "\xE6\x97\xA5-|\xE6\x9C\xAC"},
    {"\xF0\x9F\x98\x80!" LEFT LEFT "\x1B[3~", "|!"},
    /* bytes that are no text */
    {"a\xC3(b", "a(b|"},
    {"a\x80\xFF\xC0"
     "b",
     "ab|"},
    {"a\x1B[99;99Zb\x1BOZc\x1B[[Ad\x1Bze", "abcde|"},
    {"a\x1B[1;\x01x", "x|a"},
    {"a\x07\x1D\x1E"
     "b",
     "ab|"},
    {"a\xC2\x9Bz", "az|"},
    /* lines */
    {"one\x1B\rtwo", "one\ntwo|"},
    {"one\\\rtwo", "one\ntwo|"},
    {"one\x1B\rtwo\x01x", "one\nx|two"},
    {"one\x1B\rtwo" UP "x" DOWN "y", "onex\ntwoy|"},
    {"long line\x1B\rab" UP "x", "lox|ng line\nab"},
    {"ab\x1B\rlong line\x1B[A\x1B[B\x1B[A\x05" DOWN "x", "ab\nlox|ng line"},
    {"ab\x1B\r\x15"
     "cd\x0B",
     "ab\ncd|"},
    /* a paste keeps its lines, and none of its control sequences does anything */
    {"\x1B[200~one\rtwo\nthree\t\x03\x04\x1B[A\x1B[31m\x1B[201~!", "one\ntwo\nthree\t!|"},
    {"\x1B[200~\x15\x17"
     "a\x1B[201~\x7F",
     "|"},
};

static void test_keys(void) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        line_edit e = {0};
        CHECK(type(&e, cases[i].keys) == EDIT_MORE);
        CHECK(is(&e, cases[i].expected));
        line_edit_free(&e);
    }
}

static void test_events(void) {
    line_edit e = {0};
    CHECK(type(&e, "a\r") == EDIT_ENTER && is(&e, "a|"));
    line_edit_reset(&e);
    CHECK(type(&e, "\x0C") == EDIT_CLEAR && type(&e, "\x1A") == EDIT_SUSPEND);
    CHECK(type(&e, "a\x04") == EDIT_MORE && type(&e, "\x7F\x04") == EDIT_END);
    line_edit_reset(&e);
    CHECK(type(&e, "abc\x03") == EDIT_MORE && is(&e, "|")); /* Ctrl-C with text only clears it */
    CHECK(type(&e, "\x03") == EDIT_CANCEL && type(&e, "\x03") == EDIT_END);
    line_edit_reset(&e);
    CHECK(type(&e, "\x03"
                   "d\x03") == EDIT_MORE); /* not one after the other */
    CHECK(type(&e, "\x1B[D\x03") == EDIT_CANCEL && type(&e, "\x1B[D\x03") == EDIT_CANCEL);
    CHECK(type(&e, "\x1B[200~\r\r\x1B[201~\r") == EDIT_ENTER && is(&e, "\n\n|"));
    line_edit_free(&e);
}

static void test_past(void) {
    history past = {0};
    CHECK(history_add(&past, "first", 5, NULL) && history_add(&past, "two\nlines", 9, NULL));
    CHECK(history_add(&past, "two\nlines", 9, NULL) && history_add(&past, "", 0, NULL) && past.n == 2);
    line_edit e = {.past = &past};
    type(&e, "new" UP);
    CHECK(is(&e, "two\nlines|"));
    type(&e, UP UP UP UP UP);
    CHECK(is(&e, "first|"));
    type(&e, DOWN DOWN DOWN DOWN);
    CHECK(is(&e, "new|"));
    type(&e, "\x10!");
    CHECK(is(&e, "two\nlines!|"));
    CHECK(past.items[1].n == 9);
    line_edit_reset(&e);
    type(&e, "\x12"
             "ir");
    CHECK(e.searching && is(&e, "first|"));
    CHECK(type(&e, "\r") == EDIT_ENTER && is(&e, "first|"));
    line_edit_reset(&e);
    type(&e, "x\x12"
             "i\x12");
    CHECK(is(&e, "first|"));
    type(&e, "\x03");
    CHECK(!e.searching && is(&e, "x|"));
    type(&e, "\x12zzz\x7F\x7F\x7F"
             "lin\x1B[D");
    CHECK(!e.searching && is(&e, "two\nline|s"));
    line_edit_free(&e);
    history_free(&past);
}

/* ---- drawing --------------------------------------------------------------------------------- */

enum { ROWS = 12, COLUMNS = 40 };

/* As much of a terminal as the drawing uses; whatever else comes is `broken`. */
typedef struct {
    uint32_t cells[ROWS][COLUMNS]; /* 0 is blank; the second half of a wide character is 1 */
    size_t rows, columns, row, column;
    bool broken;
} screen;

static void scroll(screen *s) {
    if (++s->row < s->rows) return;
    memmove(s->cells, s->cells + 1, (ROWS - 1) * sizeof *s->cells);
    memset(s->cells[ROWS - 1], 0, sizeof *s->cells);
    s->row = s->rows - 1;
}

static void erase(screen *s, size_t row, size_t column) {
    for (; column < COLUMNS; column++) s->cells[row][column] = 0;
}

static void control(screen *s, size_t n, char what) {
    n = n ? n : 1;
    if (what == 'A') {
        s->broken |= n > s->row;
        s->row -= n > s->row ? s->row : n;
    } else if (what == 'C') {
        s->column += n;
        s->broken |= s->column >= s->columns;
    } else if (what == 'K' || what == 'J') {
        erase(s, s->row, s->column);
        for (size_t row = s->row + 1; what == 'J' && row < s->rows; row++) erase(s, row, 0);
    } else if (what != 'm') {
        s->broken = true;
    }
}

static void print(screen *s, uint32_t cp) {
    size_t n = (size_t)unicode_width(cp);
    if (n == 0) return;
    s->broken |= s->column + n >= s->columns; /* never into the last column, where terminals differ */
    if (s->column + n > COLUMNS) return;
    s->cells[s->row][s->column] = cp;
    if (n == 2) s->cells[s->row][s->column + 1] = 1;
    s->column += n;
}

static void feed(screen *s, buffer *out) {
    const char *p = out->data, *end = p + out->n;
    while (p < end) {
        if (*p == 0x1B && p + 1 < end && p[1] == '[') {
            char *after;
            size_t n = strtoul(p + 2, &after, 10);
            control(s, n, *after);
            p = after + 1;
        } else if (*p == '\r' || *p == '\n') {
            if (*p == '\r') s->column = 0;
            if (*p == '\n') scroll(s);
            p++;
        } else {
            utf8_char c = utf8_decode(p, end);
            s->broken |= c.cp < 0x20 || c.cp == UNICODE_INVALID;
            print(s, c.cp);
            p += c.n;
        }
    }
    out->n = 0;
}

static bool row_is(const screen *s, size_t row, const char *expected) {
    char shown[4 * COLUMNS + 1];
    size_t n = 0, last = 0;
    for (size_t i = 0; i < COLUMNS; i++) {
        uint32_t cp = s->cells[row][i];
        if (cp == 1) continue;
        n += utf8_encode(cp ? cp : ' ', shown + n);
        if (cp && cp != ' ') last = n;
    }
    shown[last] = 0;
    if (strcmp(shown, expected) == 0) return true;
    fprintf(stderr, "row %zu is \"%s\", not \"%s\"\n", row, shown, expected);
    return false;
}

static void test_draw(void) {
    screen s = {.rows = 4, .columns = 10};
    line_view v = {.rows = 4, .columns = 10, .prompt = "> ", .n_prompt = 2};
    line_edit e = {0};
    buffer out = {0};
    type(&e, "one two three");
    line_draw(&v, &e, &out);
    feed(&s, &out);
    CHECK(row_is(&s, 0, "> one two") && row_is(&s, 1, "   three") && s.row == 1 && s.column == 8);
    type(&e, "\x15\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E\xE6\x97\xA5\xE6\x9C\xAC"); /* wide ones do not part */
    line_draw(&v, &e, &out);
    feed(&s, &out);
    CHECK(row_is(&s, 0, "> \xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E") && row_is(&s, 1, "  \xE6\x97\xA5\xE6\x9C\xAC"));
    type(&e, "\x15"
             "a\x1B\r\x1B\rb\x1B\rc\x1B\rd"); /* five rows in a terminal of four */
    line_draw(&v, &e, &out);
    feed(&s, &out);
    CHECK(row_is(&s, 1, "  b") && row_is(&s, 3, "  d") && s.row == 3 && s.column == 3);
    type(&e, UP UP UP UP);
    line_draw(&v, &e, &out);
    feed(&s, &out);
    CHECK(row_is(&s, 0, "> a") && row_is(&s, 3, "  c") && s.row == 0 && s.column == 2);
    line_finish(&v, &e, &out);
    feed(&s, &out);
    CHECK(s.column == 0 && row_is(&s, 2, "  d") && row_is(&s, 3, ""));
    CHECK(!s.broken);
    buffer_free(&out);
    line_edit_free(&e);
}

/* After any keys the screen looks as if the message had been drawn at once, and the cursor stands at its place. */
static void test_draw_random(void) {
    /* clang-format off */
    static const char *const keys[] = {"a", "bc ", "\xC3\xBC", "\xE6\x97\xA5", "e\xCC\x81", "\t", LEFT, RIGHT, UP, DOWN,
        "\x1B\r", "\x7F", "\x01", "\x05", "\x17", "\x0B", "\x19", "\033b", "a long text ", "\x12"};
    /* clang-format on */
    history past = {0};
    history_add(&past, "an older message\nof two lines", 29, NULL);
    uint32_t random = 1;
    for (int round = 0; round < 200; round++) {
        size_t rows = 3 + (size_t)round % 8, columns = 8 + (size_t)(round / 8) % 30;
        screen s = {.rows = rows, .columns = columns};
        line_view v = {.rows = rows, .columns = columns, .prompt = "> ", .n_prompt = 2};
        line_edit e = {.past = &past};
        buffer out = {0};
        for (int i = 0; i < 60; i++) {
            random = random * 1664525 + 1013904223;
            type(&e, keys[(random >> 16) % (sizeof keys / sizeof *keys)]);
            if (e.searching) type(&e, "old" LEFT);
            line_draw(&v, &e, &out);
            feed(&s, &out);
        }
        screen fresh = {.rows = rows, .columns = columns};
        line_view again = v;
        again.cursor_row = 0;
        line_draw(&again, &e, &out);
        feed(&fresh, &out);
        size_t up = s.row - v.cursor_row; /* rows above the window scrolled away */
        CHECK(!s.broken && !fresh.broken && s.row >= v.cursor_row);
        CHECK(s.row == fresh.row + up && s.column == fresh.column);
        CHECK(memcmp(s.cells + up, fresh.cells, (rows - up) * sizeof *s.cells) == 0);
        buffer_free(&out);
        line_edit_free(&e);
    }
    history_free(&past);
}

/* A terminal that becomes narrower wraps the rows drawn; the next drawing begins at the first of them. */
static void test_resize(void) {
    line_view v = {.rows = 10, .columns = 30, .prompt = "> ", .n_prompt = 2};
    line_edit e = {0};
    buffer out = {0};
    type(&e, "twenty columns are 20\x1B\rb\x1B\rend");
    line_draw(&v, &e, &out);
    CHECK(v.cursor_row == 2 && v.cursor_column == 5);
    line_resize(&v, &e, 10, 10);
    CHECK(v.cursor_row == 4); /* 23 columns are three rows now */
    line_view wrapped = {.rows = 10, .columns = 30, .prompt = "> ", .n_prompt = 2};
    line_edit more = {0};
    type(&more, "a message of more than one row's thirty columns");
    out.n = 0;
    line_draw(&wrapped, &more, &out);
    CHECK(wrapped.cursor_row == 1);
    line_resize(&wrapped, &more, 15, 10);
    CHECK(wrapped.cursor_row == 3); /* 29 columns are two rows, and the cursor is in the second of the rest */
    line_edit_free(&more);
    line_view wider = {.rows = 10, .columns = 10, .prompt = "> ", .n_prompt = 2};
    out.n = 0;
    line_draw(&wider, &e, &out);
    size_t before = wider.cursor_row;
    line_resize(&wider, &e, 30, 10);
    CHECK(wider.cursor_row == before);
    buffer_free(&out);
    line_edit_free(&e);
}

/* ---- the history's file ---------------------------------------------------------------------- */

static void test_history_file(void) {
    char folder[] = "/tmp/gguf-history-XXXXXX", path[128];
    CHECK(mkdtemp(folder) != NULL);
    setenv("XDG_STATE_HOME", folder, 1);
    snprintf(path, sizeof path, "%s/gguf/history", folder);
    history h = {.path = history_default_path()};
    CHECK(h.path && strcmp(h.path, path) == 0);
    CHECK(history_load(&h, NULL) && h.n == 0);
    CHECK(history_add(&h, "one", 3, NULL) && history_add(&h, "two\nwith \\n", 11, NULL));
    struct stat st;
    CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
    history_free(&h);

    h = (history){.path = strdup(path)};
    CHECK(history_load(&h, NULL) && h.n == 2);
    CHECK(h.n == 2 && h.items[1].n == 11 && memcmp(h.items[1].text, "two\nwith \\n", 11) == 0);
    for (int i = 0; i < 2 * HISTORY_MAX; i++) {
        char line[32];
        CHECK(history_add(&h, line, (size_t)snprintf(line, sizeof line, "line %d", i), NULL));
    }
    CHECK(h.n == HISTORY_MAX);
    history_free(&h);
    off_t long_size = stat(path, &st) == 0 ? st.st_size : 0;
    h = (history){.path = strdup(path)};
    CHECK(history_load(&h, NULL) && h.n == HISTORY_MAX);
    CHECK(h.n == HISTORY_MAX && memcmp(h.items[HISTORY_MAX - 1].text, "line 1999", 9) == 0);
    CHECK(stat(path, &st) == 0 && st.st_size < long_size * 2 / 3 && (st.st_mode & 0777) == 0600);
    history_free(&h);

    unlink(path);
    CHECK(mkdir(path, 0700) == 0); /* what cannot be written is said, and kept in memory all the same */
    h = (history){.path = strdup(path)};
    gguf_error err = {0};
    CHECK(!history_load(&h, &err) && err.code == GGUF_ERR_RUN);
    CHECK(!history_add(&h, "x", 1, NULL) && h.n == 1);
    history_free(&h);
    rmdir(path);
    path[strlen(path) - strlen("/history")] = 0;
    rmdir(path);
    rmdir(folder);

    unsetenv("XDG_STATE_HOME");
    setenv("HOME", "/home/somebody", 1);
    char *home = history_default_path();
    CHECK(home && strcmp(home, "/home/somebody/.local/state/gguf/history") == 0);
    free(home);
}

static void test_width(void) {
    CHECK(unicode_width('a') == 1 && unicode_width(0xE9) == 1 && unicode_width(0x301) == 0 &&
          unicode_width(0x200D) == 0);
    CHECK(unicode_width(0x4E00) == 2 && unicode_width(0xAC00) == 2 && unicode_width(0x1F600) == 2 &&
          unicode_width(0xFF21) == 2);
    CHECK(unicode_width(0xFF71) == 1 && unicode_width(0x1161) == 0 && unicode_width(0x2500) == 1);
    CHECK(unicode_width(UNICODE_INVALID) == 1);
}

int main(void) {
    test_keys();
    test_events();
    test_past();
    test_draw();
    test_draw_random();
    test_resize();
    test_history_file();
    test_width();
    return check_summary();
}
