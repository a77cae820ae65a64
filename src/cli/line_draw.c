/*
 * The rows of a message are one column narrower than the terminal, so that no terminal ever waits at the end of a row
 * to wrap, which they do in different ways. Each drawing goes up to the window's first row, writes every row and erases
 * what is left of it, and brings the cursor to its place.
 */
#include "cli/line_draw.h"

#include <stdlib.h>
#include <string.h>

#include "text/unicode.h"

enum { TAB = 4, MIN_COLUMNS = 8 };

/* Where the next character goes. */
typedef struct {
    size_t row, column;
} place;

static void add(buffer *out, const char *text) { buffer_add(out, text, strlen(text)); }

static void add_move(buffer *out, size_t n, char direction) {
    char move[32];
    if (n > 0) buffer_add(out, move, (size_t)snprintf(move, sizeof move, "\x1B[%zu%c", n, direction));
}

static size_t usable(const line_view *v) {
    size_t least = v->n_prompt + 3 > MIN_COLUMNS ? v->n_prompt + 3 : MIN_COLUMNS;
    return (v->columns > least ? v->columns : least) - 1;
}

/* Columns of a character; what terminals would act upon is shown as one "?". */
static size_t columns_of(uint32_t cp) {
    if (cp == '\t') return TAB;
    return cp == UNICODE_INVALID || (unicode_set(cp) & UNI_Cc) ? 1 : (size_t)unicode_width(cp);
}

/* The place of a character, given where the one before ended; `after` is where the next one may stand. */
static place put(const line_view *v, place at, uint32_t cp, place *after) {
    size_t n = columns_of(cp);
    if (cp == '\n') {
        *after = (place){at.row + 1, v->n_prompt};
        return at;
    }
    if (at.column + n > usable(v)) at = (place){at.row + 1, v->n_prompt};
    *after = (place){at.row, at.column + n};
    return at;
}

static void draw_char(buffer *out, const char *p, utf8_char c) {
    if (c.cp == '\t') {
        buffer_add(out, "    ", TAB);
    } else if (c.cp == UNICODE_INVALID || (unicode_set(c.cp) & UNI_Cc)) {
        buffer_add(out, "?", 1);
    } else {
        buffer_add(out, p, c.n);
    }
}

/* Appends the rows of the text that lie in the window and returns where the cursor belongs; with out NULL it only
 * looks, and *last is where the text ends. */
static place walk(line_view *v, const line_edit *e, buffer *out, place *last) {
    place at = {0, v->n_prompt}, cursor = at, here;
    const char *end = e->text.data + e->text.n;
    size_t row = v->top; /* that is being drawn */
    for (size_t i = 0; i < e->text.n;) {
        utf8_char c = utf8_decode(e->text.data + i, end);
        here = put(v, at, c.cp, &at);
        if (i == e->cursor) cursor = here;
        for (; out && here.row > row && row + 1 < v->top + v->rows; row++) {
            add(out, "\x1B[K\r\n");
            for (size_t k = 0; k < v->n_prompt; k++) add(out, " ");
        }
        if (out && here.row == row && c.cp != '\n') draw_char(out, e->text.data + i, c);
        i += c.n;
    }
    if (e->cursor == e->text.n) cursor = at;
    for (; out && at.row > row && row + 1 < v->top + v->rows; row++) add(out, "\x1B[K\r\n"); /* a new line at the end */
    if (last) *last = out ? (place){row, at.column} : at;
    return cursor;
}

/* The prompt, or while searching the query; in the window's first row, which for a long text is not the text's. */
static void draw_prompt(line_view *v, const line_edit *e, buffer *out) {
    if (!e->searching) {
        add(out, v->prompt);
        return;
    }
    add(out, "search \"");
    for (size_t i = 0; i < e->query.n;) {
        utf8_char c = utf8_decode(e->query.data + i, e->query.data + e->query.n);
        draw_char(out, e->query.data + i, c);
        i += c.n;
    }
    add(out, "\" (Ctrl-R: an older one)\x1B[K\r\n");
    for (size_t k = 0; k < v->n_prompt; k++) add(out, " ");
}

void line_draw(line_view *v, const line_edit *e, buffer *out) {
    place last, cursor = walk(v, e, NULL, NULL);
    size_t head = e->searching ? 1 : 0; /* rows above the text */
    size_t window = v->rows > head + 1 ? v->rows - head : 1, all = v->rows;
    add_move(out, v->cursor_row, 'A');
    add(out, "\r");
    if (cursor.row < v->top) v->top = cursor.row;
    if (cursor.row >= v->top + window) v->top = cursor.row - window + 1;
    draw_prompt(v, e, out);
    v->rows = window;
    walk(v, e, out, &last);
    v->rows = all;
    add(out, "\x1B[J");
    add_move(out, last.row - cursor.row, 'A');
    add(out, "\r");
    add_move(out, cursor.column, 'C');
    v->cursor_row = cursor.row - v->top + head;
    v->cursor_column = cursor.column;
}

/* Rows of a terminal of so many columns that a row of this width takes once it is wrapped. */
static size_t wrapped(size_t width, size_t columns) { return width > columns ? (width + columns - 1) / columns : 1; }

void line_resize(line_view *v, const line_edit *e, size_t columns, size_t rows) {
    place at = {0, v->n_prompt}, here;
    size_t row = v->top, above = e->searching ? 1 : 0, width = v->n_prompt;
    columns = columns ? columns : 1;
    for (size_t i = 0; i < e->cursor;) {
        utf8_char c = utf8_decode(e->text.data + i, e->text.data + e->text.n);
        here = put(v, at, c.cp, &at);
        i += c.n;
        for (; row < here.row; row++, width = v->n_prompt) above += wrapped(width, columns);
        if (row == at.row) width = at.column;
        for (; row < at.row; row++, width = v->n_prompt) above += wrapped(width, columns);
    }
    v->cursor_row = above + v->cursor_column / columns;
    v->columns = columns;
    v->rows = rows;
}

void line_finish(line_view *v, const line_edit *e, buffer *out) {
    line_edit done = *e; /* only looked at */
    done.searching = false;
    done.cursor = done.text.n;
    line_draw(v, &done, out);
    add(out, "\r\n");
    v->top = v->cursor_row = v->cursor_column = 0;
}
