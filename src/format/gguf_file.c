/*
 * Reading a GGUF file.
 *
 *   magic "GGUF", u32 version, u64 n_tensors, u64 n_kv
 *   n_kv     x { string key, u32 type, value }            string: u64 length, bytes
 *   n_tensors x { string name, u32 n_dims, u64 ne[n_dims], u32 type, u64 offset }
 *   padding to general.alignment, then the tensors' data; offsets count from here
 *
 * All bytes are read through one cursor that cannot pass the end. A count is believed only as far as the
 * bytes left could hold it, so what is allocated is in proportion to the file.
 */
#include "format/gguf_file.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/file_map.h"

enum {
    DEFAULT_ALIGNMENT = 32,
    MAX_ALIGNMENT = 64 << 10,
    MAX_DIMS = 4,
    MAX_SHARDS = 9999,
    MAX_KEYS = 1 << 16,
    MAX_TENSORS = 1 << 20
};
enum { MIN_KV_BYTES = 8 + 1 + 4 + 1, MIN_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8 };

/* ---- the cursor ------------------------------------------------------------------------------ */

typedef struct {
    const uint8_t *data;
    size_t n, pos;
    const char *path;
    gguf_error *err;
} cursor;

static bool cut_short(cursor *c, const char *what, uint64_t need) {
    return fail(c->err, GGUF_ERR_MODEL,
                "%s: at byte %zu: %s needs %llu bytes, but the file ends at byte %zu: it is cut short or damaged",
                c->path, c->pos, what, (unsigned long long)need, c->n);
}

static bool take(cursor *c, void *out, size_t n, const char *what) {
    if (n > c->n - c->pos) return cut_short(c, what, n);
    memcpy(out, c->data + c->pos, n);
    c->pos += n;
    return true;
}

static uint64_t le64(const uint8_t *p, size_t n) {
    uint64_t v = 0;
    if (n == 8) { /* a compiler makes one load of this, and names and merges have half a million lengths */
        return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
               (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 | (uint64_t)p[7] << 56;
    }
    for (size_t i = 0; i < n; i++) v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static bool take_int(cursor *c, size_t bytes, uint64_t *out, const char *what) {
    uint8_t raw[8];
    if (!take(c, raw, bytes, what)) return false;
    *out = le64(raw, bytes);
    return true;
}

static bool take_string(cursor *c, str *out, const char *what) {
    size_t at = c->pos;
    uint64_t n;
    if (!take_int(c, 8, &n, what)) return false;
    if (n > c->n - c->pos) {
        c->pos = at;
        return cut_short(c, what, n > UINT64_MAX - 8 ? n : n + 8);
    }
    *out = (str){(const char *)c->data + c->pos, (size_t)n};
    c->pos += (size_t)n;
    return true;
}

/* ---- value types ----------------------------------------------------------------------------- */

static const struct {
    const char *name;
    uint8_t size;
} kv_types[KV_TYPE_COUNT] = {
    [KV_U8] = {"u8", 1},         [KV_I8] = {"i8", 1},       [KV_U16] = {"u16", 2}, [KV_I16] = {"i16", 2},
    [KV_U32] = {"u32", 4},       [KV_I32] = {"i32", 4},     [KV_F32] = {"f32", 4}, [KV_BOOL] = {"bool", 1},
    [KV_STRING] = {"string", 0}, [KV_ARRAY] = {"array", 0}, [KV_U64] = {"u64", 8}, [KV_I64] = {"i64", 8},
    [KV_F64] = {"f64", 8},
};

const char *kv_type_name(uint32_t type) { return type < KV_TYPE_COUNT ? kv_types[type].name : "?"; }
size_t kv_type_size(uint32_t type) { return type < KV_TYPE_COUNT ? kv_types[type].size : 0; }

static bool check_bools(cursor *c, const gguf_kv *kv) {
    for (uint64_t i = 0; i < kv->n; i++) {
        if (kv->data[i] > 1) {
            return fail(c->err, GGUF_ERR_MODEL, "%s: at byte %zu: key %.*s: a bool holds %u, neither 0 nor 1", c->path,
                        (size_t)(kv->data - c->data) + (size_t)i, STR_ARG(kv->key), kv->data[i]);
        }
    }
    return true;
}

/* The value of kv, whose key and type are set; leaves the cursor behind it. */
static bool take_value(cursor *c, gguf_kv *kv) {
    kv->elem = kv->type;
    kv->n = 1;
    if (kv->type == KV_ARRAY) {
        size_t at = c->pos;
        uint64_t elem;
        if (!take_int(c, 4, &elem, "an array's element type") || !take_int(c, 8, &kv->n, "an array's length"))
            return false;
        if (elem == KV_ARRAY) {
            return fail(c->err, GGUF_ERR_MODEL, "%s: at byte %zu: key %.*s: arrays of arrays are not supported",
                        c->path, at, STR_ARG(kv->key));
        }
        if (elem >= KV_TYPE_COUNT) {
            return fail(c->err, GGUF_ERR_MODEL, "%s: at byte %zu: key %.*s: unknown element type %llu", c->path, at,
                        STR_ARG(kv->key), (unsigned long long)elem);
        }
        kv->elem = (kv_type)elem;
    }
    kv->data = c->data + c->pos;
    size_t begin = c->pos, left = c->n - c->pos, size = kv_types[kv->elem].size;
    if (kv->n > left / (size ? size : 8)) {
        return fail(c->err, GGUF_ERR_MODEL,
                    "%s: at byte %zu: key %.*s: %llu values of type %s need more than the %zu bytes that are left: the "
                    "file is cut short or damaged",
                    c->path, begin, STR_ARG(kv->key), (unsigned long long)kv->n, kv_types[kv->elem].name, left);
    }
    if (kv->elem == KV_STRING) {
        str s;
        for (uint64_t i = 0; i < kv->n; i++) {
            if (!take_string(c, &s, "a string")) return false;
        }
    } else {
        c->pos += (size_t)kv->n * size;
    }
    kv->n_bytes = c->pos - begin;
    return kv->elem != KV_BOOL || check_bools(c, kv);
}

/* ---- tables by name -------------------------------------------------------------------------- */

/* Open addressing over items of `stride` bytes that begin with their name. */
typedef struct {
    uint32_t *slots; /* 1 + index of an item; 0 is empty */
    size_t mask;
} name_index;

static uint32_t *find_slot(const name_index *x, const void *items, size_t stride, str name) {
    size_t i = str_hash(hash_key(), name) & x->mask;
    while (x->slots[i] && !str_eq(*(const str *)(const void *)((const char *)items + (x->slots[i] - 1) * stride), name))
        i = (i + 1) & x->mask;
    return &x->slots[i];
}

/* Indexes n items; *twice is the first whose name another has already, or NULL. */
static bool index_names(name_index *x, arena *mem, const void *items, size_t stride, size_t n, const str **twice,
                        gguf_error *err) {
    size_t size = 4;
    while (size < 2 * n) size *= 2;
    *twice = NULL;
    x->mask = size - 1;
    x->slots = arena_alloc(mem, size, sizeof *x->slots, "a table of names", err);
    if (!x->slots) return false;
    for (size_t i = 0; i < n && !*twice; i++) {
        const str *name = (const void *)((const char *)items + i * stride);
        uint32_t *slot = find_slot(x, items, stride, *name);
        if (*slot) *twice = name;
        *slot = (uint32_t)i + 1;
    }
    return true;
}

/* Room for one more item in an array that grows only as items are proven to be there: returns the
 * array, moved where it had to be, or NULL. */
static void *grow(arena *mem, void *items, size_t n, size_t *room, size_t size, const char *what, gguf_error *err) {
    if (n < *room) return items;
    size_t more = *room ? 2 * *room : 64;
    void *moved = arena_alloc(mem, more, size, what, err);
    if (!moved) return NULL;
    if (n) memcpy(moved, items, n * size);
    *room = more;
    return moved;
}

/* ---- reading one shard ----------------------------------------------------------------------- */

/* Says what a file is that does not begin with a GGUF header. */
static bool not_gguf(const cursor *c) {
    static const struct {
        str head;
        const char *what;
    } known[] = {
        {STR("version https://git-lfs"), "is a Git LFS pointer, not the model itself: fetch it with `git lfs pull`"},
        {STR("<!DOCTYPE"), "is an HTML page, not a model: the download link led to a web page"},
        {STR("<!doctype"), "is an HTML page, not a model: the download link led to a web page"},
        {STR("<html"), "is an HTML page, not a model: the download link led to a web page"},
        {STR("PK\3\4"), "is a ZIP archive (perhaps a PyTorch checkpoint): convert it to GGUF first"},
        {STR("lmgg"), "is a GGML file of early 2023: convert it to GGUF"},
        {STR("fmgg"), "is a GGMF file of early 2023: convert it to GGUF"},
        {STR("tjgg"), "is a GGJT file of 2023: convert it to GGUF"},
        {STR("algg"), "is a GGLA adapter of 2023, not a model"},
        {STR("\x1f\x8b"), "is compressed with gzip: decompress it first"},
        {STR("\x28\xb5\x2f\xfd"), "is compressed with zstd: decompress it first"},
        {STR("FUGG"), "is a GGUF file in big-endian byte order, which is not supported"},
    };
    str head = {(const char *)c->data, c->n};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (str_starts(head, known[i].head)) return fail(c->err, GGUF_ERR_MODEL, "%s: %s", c->path, known[i].what);
    }
    /* safetensors: u64 length of a JSON header, then the header */
    if (c->n > 9 && c->data[8] == '{' && le64(c->data, 8) < c->n) {
        return fail(c->err, GGUF_ERR_MODEL, "%s: is a safetensors file: convert it to GGUF first", c->path);
    }
    if (c->n < 4 && memcmp(c->data, "GGUF", c->n) == 0) {
        return fail(c->err, GGUF_ERR_MODEL, "%s: is only %zu bytes long: the download is not complete", c->path, c->n);
    }
    char magic[17] = "";
    for (size_t i = 0; i < 4 && i < c->n; i++) snprintf(magic + 3 * i, sizeof magic - 3 * i, "%02x ", c->data[i]);
    return fail(c->err, GGUF_ERR_MODEL, "%s: is not a GGUF file: it begins with the bytes %sand not with \"GGUF\"",
                c->path, magic);
}

static bool take_header(cursor *c, uint32_t *version, uint64_t *n_tensors, uint64_t *n_kv) {
    if (c->n < 4 || memcmp(c->data, "GGUF", 4) != 0) return not_gguf(c);
    c->pos = 4;
    uint64_t v;
    if (!take_int(c, 4, &v, "the version")) return false;
    if (v == 1)
        return fail(c->err, GGUF_ERR_MODEL, "%s: is GGUF version 1 of 2023, which is not supported: convert it again",
                    c->path);
    if (v != 0 && (v & 0xFFFF) == 0)
        return fail(c->err, GGUF_ERR_MODEL, "%s: is a GGUF file in big-endian byte order, which is not supported",
                    c->path);
    if (v != 2 && v != 3)
        return fail(c->err, GGUF_ERR_MODEL, "%s: is GGUF version %llu; this program reads versions 2 and 3", c->path,
                    (unsigned long long)v);
    *version = (uint32_t)v;
    if (!take_int(c, 8, n_tensors, "the number of tensors") || !take_int(c, 8, n_kv, "the number of keys"))
        return false;
    size_t left = c->n - c->pos;
    if (*n_kv > left / MIN_KV_BYTES) {
        return fail(
            c->err, GGUF_ERR_MODEL,
            "%s: at byte 16: %llu keys cannot stand in the %zu bytes that are left: the file is cut short or damaged",
            c->path, (unsigned long long)*n_kv, left);
    }
    if (*n_tensors > left / MIN_TENSOR_BYTES) {
        return fail(
            c->err, GGUF_ERR_MODEL,
            "%s: at byte 8: %llu tensors cannot stand in the %zu bytes that are left: the file is cut short or damaged",
            c->path, (unsigned long long)*n_tensors, left);
    }
    if (*n_kv > MAX_KEYS || *n_tensors > MAX_TENSORS) { /* keeps the tables' memory bounded, whatever the file's size */
        return fail(c->err, GGUF_ERR_MODEL,
                    "%s: at byte 8: %llu tensors and %llu keys are more than any model has (%d, %d)", c->path,
                    (unsigned long long)*n_tensors, (unsigned long long)*n_kv, MAX_TENSORS, MAX_KEYS);
    }
    return true;
}

static bool take_name(cursor *c, str *name, const char *what) {
    size_t at = c->pos;
    if (!take_string(c, name, what)) return false;
    if (name->n == 0) return fail(c->err, GGUF_ERR_MODEL, "%s: at byte %zu: %s without a name", c->path, at, what);
    if (memchr(name->p, 0, name->n))
        return fail(c->err, GGUF_ERR_MODEL, "%s: at byte %zu: the name of %s holds a NUL byte", c->path, at, what);
    return true;
}

static bool take_kv(cursor *c, gguf_kv *kv) {
    if (!take_name(c, &kv->key, "a key")) return false;
    size_t at = c->pos;
    uint64_t type;
    if (!take_int(c, 4, &type, "a value's type")) return false;
    if (type >= KV_TYPE_COUNT) {
        return fail(c->err, GGUF_ERR_MODEL, "%s: at byte %zu: key %.*s: unknown value type %llu", c->path, at,
                    STR_ARG(kv->key), (unsigned long long)type);
    }
    kv->type = (kv_type)type;
    return take_value(c, kv);
}

static bool find_alignment(const cursor *c, const gguf_kv *kv, uint64_t *out) {
    *out = DEFAULT_ALIGNMENT;
    if (!kv) return true;
    int64_t v;
    if (kv->type != KV_U32 || !kv_int(kv, 0, &v)) {
        return fail(c->err, GGUF_ERR_MODEL, "%s: general.alignment is of type %s; it must be a u32", c->path,
                    kv_type_name(kv->type));
    }
    if (v <= 0 || (v & (v - 1)) || v > MAX_ALIGNMENT) {
        return fail(c->err, GGUF_ERR_MODEL, "%s: general.alignment is %lld; it must be a power of two up to %d",
                    c->path, (long long)v, MAX_ALIGNMENT);
    }
    *out = (uint64_t)v;
    return true;
}

/* The one place that computes how many elements and bytes a tensor has. */
static bool measure(const cursor *c, gguf_tensor *t, size_t at) {
    const quant_row *row = quant_find(t->type);
    t->n_elements = 1;
    for (uint32_t i = 0; i < MAX_DIMS; i++) {
        if (t->ne[i] == 0)
            return fail(c->err, GGUF_ERR_MODEL, "%s: at byte %zu: tensor %.*s: dimension %u is 0", c->path, at,
                        STR_ARG(t->name), i);
        if (t->ne[i] > INT64_MAX || !mul_u64(t->n_elements, t->ne[i], &t->n_elements) || t->n_elements > INT64_MAX) {
            return fail(c->err, GGUF_ERR_MODEL, "%s: at byte %zu: tensor %.*s: its dimensions' product is too large",
                        c->path, at, STR_ARG(t->name));
        }
    }
    if (t->ne[0] % row->block != 0) {
        return fail(c->err, GGUF_ERR_MODEL,
                    "%s: at byte %zu: tensor %.*s: rows of %llu are not whole blocks of %u (%s)", c->path, at,
                    STR_ARG(t->name), (unsigned long long)t->ne[0], row->block, row->name);
    }
    if (!mul_u64(t->n_elements / row->block, row->bytes, &t->n_bytes) || t->n_bytes > INT64_MAX) {
        return fail(c->err, GGUF_ERR_MODEL, "%s: at byte %zu: tensor %.*s: its size in bytes is too large", c->path, at,
                    STR_ARG(t->name));
    }
    return true;
}

static bool take_tensor(cursor *c, gguf_tensor *t) {
    size_t at = c->pos;
    uint64_t n_dims, type;
    if (!take_name(c, &t->name, "a tensor")) return false;
    if (!take_int(c, 4, &n_dims, "a tensor's number of dimensions")) return false;
    if (n_dims < 1 || n_dims > MAX_DIMS) {
        return fail(c->err, GGUF_ERR_MODEL, "%s: at byte %zu: tensor %.*s has %llu dimensions; 1 to %d are possible",
                    c->path, at, STR_ARG(t->name), (unsigned long long)n_dims, MAX_DIMS);
    }
    t->n_dims = (uint32_t)n_dims;
    for (uint32_t i = 0; i < MAX_DIMS; i++) {
        t->ne[i] = 1;
        if (i < n_dims && !take_int(c, 8, &t->ne[i], "a tensor's dimension")) return false;
    }
    if (!take_int(c, 4, &type, "a tensor's type") || !take_int(c, 8, &t->offset, "a tensor's offset")) return false;
    if (!quant_find((uint32_t)type)) {
        bool removed = type < QUANT_TYPE_COUNT && quant_types[type].name;
        return fail(c->err, GGUF_ERR_MODEL, "%s: at byte %zu: tensor %.*s is of type %llu%s%s%s", c->path, at,
                    STR_ARG(t->name), (unsigned long long)type,
                    removed ? " (" : ", which is unknown: the file is newer than this program, or damaged",
                    removed ? quant_types[type].name : "",
                    removed ? "), which was removed from the format: quantize the model again" : "");
    }
    t->type = (quant_type)type;
    return measure(c, t, at);
}

static int by_offset(const void *a, const void *b) {
    const gguf_tensor *x = *(const gguf_tensor *const *)a, *y = *(const gguf_tensor *const *)b;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    return x->n_bytes < y->n_bytes ? -1 : x->n_bytes > y->n_bytes;
}

/* Places the tensors of one shard: aligned, inside the file, apart from each other. */
static bool place_tensors(cursor *c, gguf_tensor *t, size_t n, uint64_t alignment, gguf_shard *shard,
                          uint32_t shard_index) {
    uint64_t base = (c->pos + alignment - 1) & ~(alignment - 1), last_end = 0;
    shard->data_offset = base;
    const gguf_tensor *last = NULL, **sorted = malloc((n ? n : 1) * sizeof *sorted);
    if (!sorted) return fail_memory(c->err, "the tensor table", n * sizeof *sorted);
    bool ok = true;
    for (size_t i = 0; i < n && ok; i++) {
        sorted[i] = &t[i];
        t[i].shard = shard_index;
        if (t[i].offset % alignment != 0) {
            ok = fail(c->err, GGUF_ERR_MODEL, "%s: tensor %.*s: offset %llu is not a multiple of the alignment %llu",
                      c->path, STR_ARG(t[i].name), (unsigned long long)t[i].offset, (unsigned long long)alignment);
        } else if (!add_u64(t[i].offset, base, &t[i].offset)) {
            ok = fail(c->err, GGUF_ERR_MODEL, "%s: tensor %.*s: its offset is too large", c->path, STR_ARG(t[i].name));
        }
    }
    if (ok) qsort(sorted, n, sizeof *sorted, by_offset);
    for (size_t i = 0; i < n && ok; i++) {
        const gguf_tensor *s = sorted[i];
        uint64_t end;
        if (!add_u64(s->offset, s->n_bytes, &end)) {
            ok = fail(c->err, GGUF_ERR_MODEL, "%s: tensor %.*s: its offset is too large", c->path, STR_ARG(s->name));
        } else if (last && s->offset < last->offset + last->n_bytes) {
            ok = fail(c->err, GGUF_ERR_MODEL, "%s: tensors %.*s and %.*s overlap at byte %llu", c->path,
                      STR_ARG(last->name), STR_ARG(s->name), (unsigned long long)s->offset);
        } else {
            last = s;
            last_end = end;
        }
    }
    if (ok && last_end > c->n) {
        ok = fail(c->err, GGUF_ERR_MODEL,
                  "%s: tensor %.*s needs %llu bytes at byte %llu, but the file ends at byte %zu: it is cut short by "
                  "%llu bytes (the download is not complete?)",
                  c->path, STR_ARG(last->name), (unsigned long long)last->n_bytes, (unsigned long long)last->offset,
                  c->n, (unsigned long long)(last_end - c->n));
    }
    for (size_t i = 0; i < n && ok; i++) t[i].data = c->data + t[i].offset;
    free(sorted);
    return ok;
}

/* What one shard holds. The first one's keys are the model's. */
typedef struct {
    uint32_t version;
    uint64_t alignment;
    size_t n_kv, n_tensors;
    gguf_kv *kv;          /* [n_kv] */
    gguf_tensor *tensors; /* [n_tensors] */
    name_index kv_index;
    const uint8_t *data; /* the shard's first byte */
} part;

static const gguf_kv *part_kv(const part *p, str key) {
    uint32_t slot = *find_slot(&p->kv_index, p->kv, sizeof *p->kv, key);
    return slot ? &p->kv[slot - 1] : NULL;
}

/* Where a name stands in its shard: at the length before it. */
static size_t name_at(const part *p, const str *name) { return (size_t)((const uint8_t *)name->p - p->data) - 8; }

static bool read_part(arena *mem, const uint8_t *data, size_t n, const char *path, gguf_shard *shard, uint32_t index,
                      part *p, gguf_error *err) {
    cursor c = {.data = data, .n = n, .path = path, .err = err};
    uint64_t n_tensors = 0, n_kv = 0;
    p->data = data;
    if (!take_header(&c, &p->version, &n_tensors, &n_kv)) return false;
    for (size_t room = 0; p->n_kv < n_kv; p->n_kv++) {
        p->kv = grow(mem, p->kv, p->n_kv, &room, sizeof *p->kv, "the keys", err);
        if (!p->kv || !take_kv(&c, &p->kv[p->n_kv])) return false;
    }
    const str *twice;
    if (!index_names(&p->kv_index, mem, p->kv, sizeof *p->kv, p->n_kv, &twice, err)) return false;
    if (twice)
        return fail(err, GGUF_ERR_MODEL, "%s: at byte %zu: the key %.*s stands twice", path, name_at(p, twice),
                    STR_ARG(*twice));
    if (!find_alignment(&c, part_kv(p, STR("general.alignment")), &p->alignment)) return false;
    for (size_t room = 0; p->n_tensors < n_tensors; p->n_tensors++) {
        p->tensors = grow(mem, p->tensors, p->n_tensors, &room, sizeof *p->tensors, "the tensor table", err);
        if (!p->tensors || !take_tensor(&c, &p->tensors[p->n_tensors])) return false;
    }
    shard->path = path;
    shard->n_bytes = n;
    return place_tensors(&c, p->tensors, p->n_tensors, p->alignment, shard, index);
}

/* ---- the whole file -------------------------------------------------------------------------- */

struct gguf_file {
    arena mem;
    size_t n_shards, n_tensors;
    part *parts;          /* [n_shards]; the keys are parts[0]'s */
    gguf_shard *shards;   /* [n_shards] */
    file_map *maps;       /* [n_shards]; NULL where the caller owns the bytes */
    gguf_tensor *tensors; /* [n_tensors], shard after shard */
    name_index tensor_index;
};

static bool alloc_shards(gguf_file *f, size_t n, gguf_error *err) {
    f->parts = arena_alloc(&f->mem, n, sizeof *f->parts, "the shards", err);
    f->shards = arena_alloc(&f->mem, n, sizeof *f->shards, "the shards", err);
    f->maps = arena_alloc(&f->mem, n, sizeof *f->maps, "the shards", err);
    return f->parts && f->shards && f->maps;
}

/* Puts the shards' tensors into one array and finds names that stand twice. */
static bool merge_tensors(gguf_file *f, gguf_error *err) {
    for (size_t s = 0; s < f->n_shards; s++) f->n_tensors += f->parts[s].n_tensors;
    f->tensors = f->parts[0].tensors;
    if (f->n_shards > 1) {
        f->tensors = arena_alloc(&f->mem, f->n_tensors, sizeof *f->tensors, "the tensor table", err);
        if (!f->tensors) return false;
        gguf_tensor *to = f->tensors;
        for (const part *p = f->parts; p < f->parts + f->n_shards; to += p++->n_tensors) {
            if (p->n_tensors) memcpy(to, p->tensors, p->n_tensors * sizeof *to);
        }
    }
    const str *twice;
    if (!index_names(&f->tensor_index, &f->mem, f->tensors, sizeof *f->tensors, f->n_tensors, &twice, err))
        return false;
    if (!twice) return true;
    const gguf_tensor *t = (const void *)twice;
    return fail(err, GGUF_ERR_MODEL, "%s: at byte %zu: the tensor %.*s stands twice", f->shards[t->shard].path,
                name_at(&f->parts[t->shard], twice), STR_ARG(*twice));
}

static bool open_shard(gguf_file *f, size_t i, const char *path, const gguf_file_params *params, gguf_error *err) {
    char *own = arena_copy(&f->mem, path, strlen(path), err);
    if (!own || !file_map_open(&f->maps[i], own, params->no_mmap, err)) return false;
    f->n_shards = i + 1;
    f->shards[i].is_mapped = f->maps[i].mapped;
    if (!read_part(&f->mem, f->maps[i].data, f->maps[i].n, own, &f->shards[i], (uint32_t)i, &f->parts[i], err))
        return false;
    if (params->mlock && !file_map_lock(&f->maps[i])) {
        warnf(params->warn, params->warn_ctx,
              "%s: the system does not allow to lock %zu bytes in memory (see `ulimit -l`)", path, f->maps[i].n);
    }
    return true;
}

/* ---- split models ---------------------------------------------------------------------------- */

/* Splits ".../name-00002-of-00005.gguf" after "name"; false where the path has no such end. */
static bool parse_shard_name(const char *path, size_t *n_prefix, int64_t *count) {
    static const char form[] = "-00000-of-00000.gguf";
    size_t n = strlen(path), m = sizeof form - 1;
    if (n < m) return false;
    const char *tail = path + n - m;
    for (size_t i = 0; i < m; i++) {
        bool digit = tail[i] >= '0' && tail[i] <= '9';
        if (form[i] == '0' ? !digit : tail[i] != form[i]) return false;
    }
    *n_prefix = n - m;
    *count = strtol(tail + 10, NULL, 10);
    return true;
}

/* -1 where the shard does not say. */
static int64_t split_number(const part *p, str key) {
    int64_t v;
    const gguf_kv *kv = part_kv(p, key);
    return kv && kv_int(kv, 0, &v) ? v : -1;
}

static bool check_shard(const gguf_file *f, size_t i, int64_t count, gguf_error *err) {
    const part *p = &f->parts[i];
    if (split_number(p, STR("split.no")) != (int64_t)i || split_number(p, STR("split.count")) != count) {
        return fail(err, GGUF_ERR_MODEL,
                    "%s: does not say that it is file %zu of %lld (split.no, split.count): it belongs to another model",
                    f->shards[i].path, i + 1, (long long)count);
    }
    if (split_number(p, STR("split.tensors.count")) != split_number(&f->parts[0], STR("split.tensors.count"))) {
        return fail(err, GGUF_ERR_MODEL,
                    "%s: its split.tensors.count is not that of the first file: it belongs to another model",
                    f->shards[i].path);
    }
    return true;
}

/* Opens all shards of a split model, starting over with the first. */
static bool open_split(gguf_file *f, const char *path, int64_t count, const gguf_file_params *params, gguf_error *err) {
    size_t n_prefix;
    int64_t named_count;
    if (count > MAX_SHARDS)
        return fail(err, GGUF_ERR_MODEL, "%s: split.count is %lld; at most %d files are possible", path,
                    (long long)count, MAX_SHARDS);
    if (!parse_shard_name(path, &n_prefix, &named_count) || named_count != count) {
        return fail(err, GGUF_ERR_MODEL,
                    "%s: is one of %lld files of a split model, so its name must end in -00001-of-%05lld.gguf and the "
                    "like: rename it back",
                    path, (long long)count, (long long)count);
    }
    file_map_close(&f->maps[0]);
    f->n_shards = 0;
    size_t n = params->first_shard_only ? 1 : (size_t)count, size = n_prefix + 32;
    char *name = arena_alloc(&f->mem, size, 1, "a file name", err);
    if (!name || !alloc_shards(f, n, err)) return false;
    for (size_t i = 0; i < n; i++) {
        snprintf(name, size, "%.*s-%05zu-of-%05lld.gguf", (int)n_prefix, path, i + 1, (long long)count);
        if (!open_shard(f, i, name, params, err) || !check_shard(f, i, count, err)) return false;
    }
    uint64_t found = 0;
    for (size_t i = 0; i < n; i++) found += f->parts[i].n_tensors;
    int64_t total = split_number(&f->parts[0], STR("split.tensors.count"));
    if (n == (size_t)count && total >= 0 && (uint64_t)total != found) {
        return fail(err, GGUF_ERR_MODEL,
                    "%s: split.tensors.count says %lld tensors, but the %zu files hold %llu: one of them belongs to "
                    "another model",
                    f->shards[0].path, (long long)total, n, (unsigned long long)found);
    }
    return true;
}

gguf_file *gguf_file_open(const char *path, const gguf_file_params *params, gguf_error *err) {
    static const gguf_file_params defaults = {0};
    if (!params) params = &defaults;
    gguf_file *f = calloc(1, sizeof *f);
    if (!f) {
        fail_memory(err, "the model file", sizeof *f);
        return NULL;
    }
    bool ok = alloc_shards(f, 1, err) && open_shard(f, 0, path, params, err);
    int64_t count = ok ? split_number(&f->parts[0], STR("split.count")) : 0;
    if (ok && count > 1) ok = open_split(f, path, count, params, err);
    if (ok && merge_tensors(f, err)) return f;
    gguf_file_close(f);
    return NULL;
}

gguf_file *gguf_file_parse(const uint8_t *data, size_t n, const char *name, gguf_error *err) {
    gguf_file *f = calloc(1, sizeof *f);
    if (!f) {
        fail_memory(err, "the model file", sizeof *f);
        return NULL;
    }
    bool ok = alloc_shards(f, 1, err);
    f->n_shards = ok;
    ok = ok && (n > 0 || fail(err, GGUF_ERR_MODEL, "%s: is empty", name));
    if (ok && read_part(&f->mem, data, n, name, &f->shards[0], 0, &f->parts[0], err) && merge_tensors(f, err)) return f;
    gguf_file_close(f);
    return NULL;
}

void gguf_file_close(gguf_file *f) {
    if (!f) return;
    for (size_t i = 0; i < f->n_shards; i++) file_map_close(&f->maps[i]); /* nothing happens to an unused one */
    arena_free(&f->mem);
    free(f);
}

uint32_t gguf_file_version(const gguf_file *f) { return f->parts[0].version; }
uint64_t gguf_file_alignment(const gguf_file *f) { return f->parts[0].alignment; }
size_t gguf_file_kv_count(const gguf_file *f) { return f->parts[0].n_kv; }
const gguf_kv *gguf_file_kv(const gguf_file *f, size_t i) { return &f->parts[0].kv[i]; }
size_t gguf_file_tensor_count(const gguf_file *f) { return f->n_tensors; }
const gguf_tensor *gguf_file_tensor(const gguf_file *f, size_t i) { return &f->tensors[i]; }
size_t gguf_file_shard_count(const gguf_file *f) { return f->n_shards; }
const gguf_shard *gguf_file_shard(const gguf_file *f, size_t i) { return &f->shards[i]; }

const gguf_kv *gguf_file_find_kv(const gguf_file *f, str key) { return part_kv(&f->parts[0], key); }

bool gguf_file_set_kv(gguf_file *f, gguf_kv kv, gguf_error *err) {
    part *p = &f->parts[0];
    const gguf_kv *old = part_kv(p, kv.key);
    kv.data = (const uint8_t *)arena_copy(&f->mem, (const char *)kv.data, kv.n_bytes, err);
    if (!kv.data) return false;
    if (old) {
        kv.key = old->key;
        p->kv[old - p->kv] = kv;
        return true;
    }
    kv.key.p = arena_copy(&f->mem, kv.key.p, kv.key.n, err);
    gguf_kv *more = arena_alloc(&f->mem, p->n_kv + 1, sizeof *more, "the keys", err);
    if (!kv.key.p || !more) return false;
    if (p->n_kv) memcpy(more, p->kv, p->n_kv * sizeof *more);
    more[p->n_kv++] = kv;
    p->kv = more;
    const str *twice;
    return index_names(&p->kv_index, &f->mem, p->kv, sizeof *p->kv, p->n_kv, &twice, err);
}

const gguf_tensor *gguf_file_find_tensor(const gguf_file *f, str name) {
    uint32_t slot = *find_slot(&f->tensor_index, f->tensors, sizeof *f->tensors, name);
    return slot ? &f->tensors[slot - 1] : NULL;
}

/* ---- values ---------------------------------------------------------------------------------- */

bool kv_int(const gguf_kv *kv, uint64_t i, int64_t *out) {
    if (i >= kv->n) return false;
    size_t size = kv_type_size(kv->elem);
    uint64_t raw = size ? le64(kv->data + i * size, size) : 0;
    switch (kv->elem) {
    case KV_U8:
    case KV_U16:
    case KV_U32: *out = (int64_t)raw; return true;
    case KV_U64: *out = (int64_t)raw; return raw <= INT64_MAX;
    case KV_I8: *out = (int8_t)raw; return true;
    case KV_I16: *out = (int16_t)raw; return true;
    case KV_I32: *out = (int32_t)raw; return true;
    case KV_I64: *out = (int64_t)raw; return true;
    default: return false;
    }
}

bool kv_float(const gguf_kv *kv, uint64_t i, double *out) {
    int64_t v;
    if (kv_int(kv, i, &v)) {
        *out = (double)v;
        return true;
    }
    if (i >= kv->n) return false;
    if (kv->elem == KV_F32) {
        float f;
        memcpy(&f, kv->data + i * 4, 4);
        *out = f;
        return true;
    }
    if (kv->elem != KV_F64) return false;
    memcpy(out, kv->data + i * 8, 8);
    return true;
}

bool kv_bool(const gguf_kv *kv, bool *out) {
    if (kv->type != KV_BOOL) return false;
    *out = kv->data[0] != 0;
    return true;
}

bool kv_string(const gguf_kv *kv, str *out) {
    size_t pos = 0;
    return kv->type == KV_STRING && kv_next_string(kv, &pos, out);
}

bool kv_next_string(const gguf_kv *kv, size_t *pos, str *out) {
    if (kv->elem != KV_STRING || *pos >= kv->n_bytes) return false;
    uint64_t n = le64(kv->data + *pos, 8);
    *out = (str){(const char *)kv->data + *pos + 8, (size_t)n};
    *pos += 8 + (size_t)n;
    return true;
}
