#include "format/gguf_write.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/new_file.h"

enum { VERSION = 3, DEFAULT_ALIGNMENT = 32 };

static const char ALIGNMENT_KEY[] = "general.alignment";

/* Bytes that grow; a failed growth leaves data NULL for good. */
typedef struct {
    uint8_t *data;
    size_t n, room;
    bool failed;
} buffer;

typedef struct {
    char *name;
    uint8_t *value; /* as in the file: u32 type and the value */
    size_t n_value;
} key;

typedef struct {
    uint64_t offset, n_bytes; /* of data, from the header's end on */
} extent;

struct gguf_writer {
    gguf_error err; /* the first error of a call that could not report it */
    key *keys;      /* [n_keys] */
    size_t n_keys, keys_room;
    extent *tensors; /* [n_tensors] */
    size_t n_tensors, tensors_room;
    buffer infos; /* the tensor table as in the file */
    buffer header;
    uint64_t alignment;
    /* the file being written */
    new_file file;
    uint64_t n_data;  /* bytes of tensor data written, padding included */
    size_t at_tensor; /* the tensor that the next byte belongs to */
};

/* ---- bytes in memory ---------------------------------------------------------------------------- */

static void put(buffer *b, const void *p, size_t n) {
    if (b->failed || n == 0) return;
    if (n > b->room - b->n) {
        size_t room = b->room ? b->room : 256;
        while (room - b->n < n && room <= SIZE_MAX / 2) room *= 2;
        uint8_t *moved = room - b->n < n ? NULL : realloc(b->data, room);
        if (!moved) {
            b->failed = true;
            return;
        }
        b->data = moved;
        b->room = room;
    }
    memcpy(b->data + b->n, p, n);
    b->n += n;
}

static void put_int(buffer *b, uint64_t v, size_t bytes) {
    uint8_t raw[8];
    for (size_t i = 0; i < bytes; i++) raw[i] = (uint8_t)(v >> (8 * i));
    put(b, raw, bytes);
}

static void put_string(buffer *b, str s) {
    put_int(b, s.n, 8);
    put(b, s.p, s.n);
}

static uint64_t round_up(uint64_t n, uint64_t alignment) { return (n + alignment - 1) & ~(alignment - 1); }

/* The items with room for one more; where there is no memory, NULL and w->err, and the items stay. */
static void *grow(gguf_writer *w, void *items, size_t n, size_t *room, size_t size) {
    if (n < *room) return items;
    size_t more = *room ? 2 * *room : 64;
    void *moved = realloc(items, more * size);
    if (!moved) {
        fail_memory(&w->err, "the file's header", more * size);
        return NULL;
    }
    *room = more;
    return moved;
}

/* ---- keys --------------------------------------------------------------------------------------- */

static key *find_key(gguf_writer *w, const char *name) {
    for (key *k = w->keys; k < w->keys + w->n_keys; k++) {
        if (strcmp(k->name, name) == 0) return k;
    }
    return NULL;
}

static key *add_key(gguf_writer *w, const char *name) {
    key *moved = grow(w, w->keys, w->n_keys, &w->keys_room, sizeof *w->keys);
    char *copy = moved ? strdup(name) : NULL;
    if (moved) w->keys = moved;
    if (!copy) return NULL;
    key *k = &w->keys[w->n_keys++];
    *k = (key){.name = copy};
    return k;
}

/* Takes over the value's bytes. */
static void set_key(gguf_writer *w, const char *name, buffer *value) {
    key *k = value->failed ? NULL : find_key(w, name);
    if (!k && !value->failed) k = add_key(w, name);
    if (!k) {
        fail_memory(&w->err, name, value->n);
        free(value->data);
        return;
    }
    free(k->value);
    k->value = value->data;
    k->n_value = value->n;
}

static buffer begin_value(kv_type type) {
    buffer b = {0};
    put_int(&b, type, 4);
    return b;
}

static buffer begin_array(kv_type elem, size_t n) {
    buffer b = begin_value(KV_ARRAY);
    put_int(&b, elem, 4);
    put_int(&b, n, 8);
    return b;
}

static void put_value(buffer *b, kv_type type, const void *value) {
    uint64_t raw = 0; /* a number's bytes in the low end, whatever the machine's byte order */
    switch (kv_type_size(type)) {
    case 1: raw = *(const uint8_t *)value; break;
    case 2: raw = *(const uint16_t *)value; break;
    case 4: raw = *(const uint32_t *)value; break;
    default: raw = *(const uint64_t *)value; break;
    }
    put_int(b, raw, kv_type_size(type));
}

void gguf_writer_int(gguf_writer *w, const char *name, kv_type type, int64_t value) {
    buffer b = begin_value(type);
    put_int(&b, (uint64_t)value, kv_type_size(type));
    set_key(w, name, &b);
}

void gguf_writer_float(gguf_writer *w, const char *name, kv_type type, double value) {
    buffer b = begin_value(type);
    float narrow = (float)value;
    put_value(&b, type, type == KV_F32 ? (const void *)&narrow : (const void *)&value);
    set_key(w, name, &b);
}

void gguf_writer_string(gguf_writer *w, const char *name, str value) {
    buffer b = begin_value(KV_STRING);
    put_string(&b, value);
    set_key(w, name, &b);
}

void gguf_writer_array(gguf_writer *w, const char *name, kv_type elem, const void *values, size_t n) {
    buffer b = begin_array(elem, n);
    size_t size = kv_type_size(elem);
    for (size_t i = 0; i < n; i++) put_value(&b, elem, (const char *)values + i * size);
    set_key(w, name, &b);
}

void gguf_writer_strings(gguf_writer *w, const char *name, const str *values, size_t n) {
    buffer b = begin_array(KV_STRING, n);
    for (size_t i = 0; i < n; i++) put_string(&b, values[i]);
    set_key(w, name, &b);
}

void gguf_writer_copy(gguf_writer *w, const gguf_kv *kv) {
    char *name = strndup(kv->key.p, kv->key.n);
    if (!name) {
        fail_memory(&w->err, "a key", kv->key.n);
        return;
    }
    buffer b = kv->type == KV_ARRAY ? begin_array(kv->elem, (size_t)kv->n) : begin_value(kv->type);
    put(&b, kv->data, kv->n_bytes);
    set_key(w, name, &b);
    free(name);
}

void gguf_writer_drop(gguf_writer *w, const char *name) {
    key *k = find_key(w, name);
    if (!k) return;
    free(k->name);
    free(k->value);
    size_t i = (size_t)(k - w->keys);
    memmove(k, k + 1, (--w->n_keys - i) * sizeof *k);
}

void gguf_writer_align(gguf_writer *w, uint32_t alignment) {
    assert(alignment && (alignment & (alignment - 1)) == 0 && w->n_tensors == 0);
    w->alignment = alignment;
    gguf_writer_int(w, ALIGNMENT_KEY, KV_U32, alignment);
}

/* ---- tensors ------------------------------------------------------------------------------------ */

void gguf_writer_tensor(gguf_writer *w, str name, quant_type type, uint32_t n_dims, const uint64_t *ne) {
    extent *moved = grow(w, w->tensors, w->n_tensors, &w->tensors_room, sizeof *w->tensors);
    if (!moved) return;
    w->tensors = moved;
    const quant_row *row = quant_find(type);
    const extent *last = w->n_tensors ? &w->tensors[w->n_tensors - 1] : NULL;
    uint64_t offset = last ? round_up(last->offset + last->n_bytes, w->alignment) : 0, n = 1;
    put_string(&w->infos, name);
    put_int(&w->infos, n_dims, 4);
    for (uint32_t i = 0; i < n_dims; i++) {
        put_int(&w->infos, ne[i], 8);
        n *= ne[i];
    }
    put_int(&w->infos, type, 4);
    put_int(&w->infos, offset, 8);
    assert(row && ne[0] % row->block == 0);
    w->tensors[w->n_tensors++] = (extent){offset, n / row->block * row->bytes};
}

uint64_t gguf_writer_tensor_bytes(const gguf_writer *w, size_t i) { return w->tensors[i].n_bytes; }
uint64_t gguf_writer_tensor_offset(const gguf_writer *w, size_t i) { return w->tensors[i].offset; }

/* ---- the header --------------------------------------------------------------------------------- */

bool gguf_writer_header(gguf_writer *w, const uint8_t **bytes, size_t *n, gguf_error *err) {
    buffer *h = &w->header;
    if (h->n == 0) {
        put(h, "GGUF", 4);
        put_int(h, VERSION, 4);
        put_int(h, w->n_tensors, 8);
        put_int(h, w->n_keys, 8);
        for (const key *k = w->keys; k < w->keys + w->n_keys; k++) {
            put_string(h, str_of(k->name));
            put(h, k->value, k->n_value);
        }
        put(h, w->infos.data, w->infos.n);
        for (size_t pad = round_up(h->n, w->alignment) - h->n; pad > 0; pad--) put_int(h, 0, 1);
    }
    if (h->failed || w->infos.failed) fail_memory(&w->err, "the file's header", h->n);
    if (w->err.code != GGUF_OK) return fail(err, w->err.code, "%s", w->err.message);
    *bytes = h->data;
    *n = h->n;
    return true;
}

/* ---- the file ----------------------------------------------------------------------------------- */

bool gguf_writer_open(gguf_writer *w, const char *path, gguf_error *err) {
    const uint8_t *header;
    size_t n;
    assert(w->file.fd < 0);
    return gguf_writer_header(w, &header, &n, err) && new_file_open(&w->file, path, false, err) &&
           new_file_write(&w->file, header, n, err);
}

/* Zeros up to the next tensor. */
static bool write_padding(gguf_writer *w, gguf_error *err) {
    static const uint8_t zeros[4096];
    for (uint64_t gap; (gap = round_up(w->n_data, w->alignment) - w->n_data) > 0;) {
        size_t some = gap < sizeof zeros ? (size_t)gap : sizeof zeros;
        if (!new_file_write(&w->file, zeros, some, err)) return false;
        w->n_data += some;
    }
    return true;
}

bool gguf_writer_data(gguf_writer *w, const void *data, size_t n, gguf_error *err) {
    for (const uint8_t *p = data; n > 0;) {
        if (w->at_tensor == w->n_tensors)
            return fail(err, GGUF_ERR_RUN, "%s: more data than the tensors hold", w->file.path);
        const extent *t = &w->tensors[w->at_tensor];
        uint64_t left = t->offset + t->n_bytes - w->n_data;
        size_t some = n < left ? n : (size_t)left;
        if (!new_file_write(&w->file, p, some, err)) return false;
        p += some;
        n -= some;
        w->n_data += some;
        if (some < left) continue;
        w->at_tensor++;
        if (!write_padding(w, err)) return false; /* behind the last tensor too: other readers ask for it */
    }
    return true;
}

bool gguf_writer_commit(gguf_writer *w, gguf_error *err) {
    if (w->at_tensor < w->n_tensors) {
        return fail(err, GGUF_ERR_RUN, "%s: only %zu of %zu tensors were written", w->file.path, w->at_tensor,
                    w->n_tensors);
    }
    return new_file_commit(&w->file, err);
}

/* ---- begin and end ------------------------------------------------------------------------------ */

gguf_writer *gguf_writer_new(void) {
    gguf_writer *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    w->file.fd = -1;
    w->alignment = DEFAULT_ALIGNMENT;
    return w;
}

void gguf_writer_free(gguf_writer *w) {
    if (!w) return;
    new_file_close(&w->file);
    for (key *k = w->keys; k < w->keys + w->n_keys; k++) {
        free(k->name);
        free(k->value);
    }
    free(w->keys);
    free(w->tensors);
    free(w->infos.data);
    free(w->header.data);
    free(w);
}
