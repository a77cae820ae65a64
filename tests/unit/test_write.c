/* Writing a GGUF file: what is written is what is read, and a file is there whole or not at all. */
#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "format/gguf_write.h"
#include "tests/unit/check.h"

static char dir[] = "/tmp/gguf-write-XXXXXX";

static const char *in_dir(const char *name) {
    static char path[sizeof dir + 64];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static int files_in_dir(void) {
    int n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; d && (e = readdir(d));) n += e->d_name[0] != '.';
    if (d) closedir(d);
    return n;
}

static void put_keys(gguf_writer *w) {
    static const int16_t shorts[] = {-1, 2, -32768};
    static const double doubles[] = {0.5, -1e300};
    static const str names[] = {{"one", 3}, {"", 0}, {"a\0b", 3}};
    gguf_writer_string(w, "general.architecture", STR("none"));
    gguf_writer_int(w, "u8", KV_U8, 200);
    gguf_writer_int(w, "i8", KV_I8, -100);
    gguf_writer_int(w, "u16", KV_U16, 60000);
    gguf_writer_int(w, "i16", KV_I16, -30000);
    gguf_writer_int(w, "u32", KV_U32, 4000000000);
    gguf_writer_int(w, "i32", KV_I32, -2000000000);
    gguf_writer_int(w, "u64", KV_U64, INT64_MAX);
    gguf_writer_int(w, "i64", KV_I64, INT64_MIN);
    gguf_writer_int(w, "bool", KV_BOOL, 1);
    gguf_writer_float(w, "f32", KV_F32, 0.1);
    gguf_writer_float(w, "f64", KV_F64, 0.1);
    gguf_writer_array(w, "shorts", KV_I16, shorts, 3);
    gguf_writer_array(w, "doubles", KV_F64, doubles, 2);
    gguf_writer_array(w, "nothing", KV_U32, NULL, 0);
    gguf_writer_strings(w, "names", names, 3);
    gguf_writer_int(w, "gone", KV_U32, 1);
    gguf_writer_drop(w, "gone");
    gguf_writer_drop(w, "never there");
    gguf_writer_string(w, "u8", STR("in between"));
    gguf_writer_int(w, "u8", KV_U8, 201); /* the last value counts */
}

static const gguf_kv *find(const gguf_file *f, const char *key) { return gguf_file_find_kv(f, str_of(key)); }

static int64_t int_of(const gguf_file *f, const char *key, uint64_t i) {
    int64_t v = 0;
    const gguf_kv *kv = find(f, key);
    CHECK(kv && kv_int(kv, i, &v));
    return v;
}

static double float_of(const gguf_file *f, const char *key, uint64_t i) {
    double v = 0;
    const gguf_kv *kv = find(f, key);
    CHECK(kv && kv_float(kv, i, &v));
    return v;
}

static void check_keys(const gguf_file *f) {
    CHECK(gguf_file_kv_count(f) == 16);
    CHECK(int_of(f, "u8", 0) == 201 && int_of(f, "i8", 0) == -100);
    CHECK(int_of(f, "u16", 0) == 60000 && int_of(f, "i16", 0) == -30000);
    CHECK(int_of(f, "u32", 0) == 4000000000 && int_of(f, "i32", 0) == -2000000000);
    CHECK(int_of(f, "u64", 0) == INT64_MAX && int_of(f, "i64", 0) == INT64_MIN);
    CHECK(float_of(f, "f32", 0) == (double)0.1f && float_of(f, "f64", 0) == 0.1);
    CHECK(int_of(f, "shorts", 0) == -1 && int_of(f, "shorts", 2) == -32768 && find(f, "shorts")->n == 3);
    CHECK(float_of(f, "doubles", 1) == -1e300 && find(f, "nothing")->n == 0);
    bool flag = false;
    CHECK(find(f, "bool") && kv_bool(find(f, "bool"), &flag) && flag);
    str s;
    size_t pos = 0, n = 0;
    for (; find(f, "names") && kv_next_string(find(f, "names"), &pos, &s); n++) {
        CHECK(str_eq(s, n == 0 ? STR("one") : n == 1 ? STR("") : STR("a\0b")));
    }
    CHECK(n == 3);
}

/* Two tensors of sizes that leave gaps. */
static const uint64_t shape[] = {5, 3};
static float values[15];

static void declare(gguf_writer *w) {
    gguf_writer_tensor(w, STR("a"), QUANT_F32, 1, shape);
    gguf_writer_tensor(w, STR("b"), QUANT_F32, 2, shape);
}

/* The data in pieces that respect no tensor's end. */
static bool write_data(gguf_writer *w, gguf_error *err) {
    uint8_t all[20 + 60];
    memcpy(all, values, 20);
    memcpy(all + 20, values, 60);
    for (size_t at = 0; at < sizeof all; at += 16) {
        if (!gguf_writer_data(w, all + at, 16, err)) return false;
    }
    return true;
}

static gguf_writer *new_writer(uint32_t alignment) {
    gguf_writer *w = gguf_writer_new();
    if (!w) abort();
    put_keys(w);
    if (alignment) gguf_writer_align(w, alignment);
    declare(w);
    return w;
}

static void check_file(const char *path, uint64_t alignment, gguf_file **out) {
    gguf_error err = {0};
    gguf_file *f = gguf_file_open(path, NULL, &err);
    CHECK(f != NULL);
    const gguf_tensor *a = f ? gguf_file_find_tensor(f, STR("a")) : NULL,
                      *b = f ? gguf_file_find_tensor(f, STR("b")) : NULL;
    CHECK(a && b && gguf_file_tensor_count(f) == 2 && gguf_file_alignment(f) == alignment);
    if (a && b) {
        CHECK(a->n_dims == 1 && a->ne[0] == 5 && b->n_dims == 2 && b->ne[1] == 3);
        CHECK(memcmp(a->data, values, 20) == 0 && memcmp(b->data, values, 60) == 0);
        CHECK(a->offset % alignment == 0 && b->offset % alignment == 0);
        CHECK(gguf_file_shard(f, 0)->n_bytes % alignment == 0);
    }
    *out = f;
}

static void test_round_trip(void) {
    static const uint32_t alignments[] = {1, 8, 32, 4096, 65536};
    for (size_t i = 0; i < sizeof alignments / sizeof *alignments; i++) {
        gguf_error err = {0};
        gguf_writer *w = new_writer(alignments[i] == 32 ? 0 : alignments[i]);
        CHECK(gguf_writer_open(w, in_dir("model"), &err) && write_data(w, &err) && gguf_writer_commit(w, &err));
        gguf_writer_free(w);
        gguf_file *f;
        check_file(in_dir("model"), alignments[i], &f);
        if (f && alignments[i] == 32) check_keys(f);
        gguf_file_close(f);
        CHECK(files_in_dir() == 1);
    }
}

/* A file's keys, copied into another file, are the same. */
static void test_copy(void) {
    gguf_error err = {0};
    gguf_writer *w = new_writer(0), *copy = gguf_writer_new();
    const uint8_t *bytes, *copied;
    size_t n = 0, n_copied = 0;
    CHECK(copy && gguf_writer_header(w, &bytes, &n, &err));
    uint8_t *whole = calloc(1, n + 128);
    if (!whole) abort();
    memcpy(whole, bytes, n);
    gguf_file *f = gguf_file_parse(whole, n + 128, "memory", &err);
    CHECK(f != NULL);
    for (size_t i = 0; f && i < gguf_file_kv_count(f); i++) gguf_writer_copy(copy, gguf_file_kv(f, i));
    declare(copy);
    CHECK(gguf_writer_header(copy, &copied, &n_copied, &err));
    CHECK(n_copied == n && memcmp(copied, bytes, n) == 0);
    gguf_file_close(f);
    gguf_writer_free(w);
    gguf_writer_free(copy);
    free(whole);
}

static void expect_old_file(void) {
    gguf_file *f;
    check_file(in_dir("model"), 65536, &f);
    gguf_file_close(f);
    CHECK(files_in_dir() == 1); /* and no temporary one */
}

static void test_failures(void) {
    gguf_error err = {0};
    gguf_writer *w = new_writer(0);
    CHECK(gguf_writer_open(w, in_dir("model"), &err) && gguf_writer_data(w, values, 20, &err));
    CHECK(files_in_dir() == 2);
    CHECK(!gguf_writer_commit(w, &err) && err.code == GGUF_ERR_RUN && strstr(err.message, "only 1 of 2 tensors"));
    gguf_writer_free(w);
    expect_old_file();

    w = new_writer(0);
    err = (gguf_error){0};
    CHECK(gguf_writer_open(w, in_dir("model"), &err) && write_data(w, &err));
    CHECK(!gguf_writer_data(w, values, 1, &err) && strstr(err.message, "more data than the tensors hold"));
    gguf_writer_free(w);
    expect_old_file();

    static const char *const bad[] = {"", "missing/model", "model/model", "/dev/null"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        w = new_writer(0);
        err = (gguf_error){0};
        CHECK(!gguf_writer_open(w, bad[i][0] == '/' ? bad[i] : in_dir(bad[i]), &err) && err.code == GGUF_ERR_RUN &&
              err.message[0]);
        gguf_writer_free(w);
    }
    struct stat st;
    CHECK(stat("/dev/null", &st) == 0 && S_ISCHR(st.st_mode));
    expect_old_file();
}

/* A write that the system refuses, as a full disk would. */
static void test_full(void) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        gguf_error err = {0};
        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){512, 512});
        gguf_writer *w = new_writer(0);
        bool ok = gguf_writer_open(w, in_dir("model"), &err) && write_data(w, &err) && gguf_writer_commit(w, &err);
        gguf_writer_free(w);
        _exit(!ok && err.code == GGUF_ERR_RUN && strstr(err.message, "cannot write") ? 0 : 1);
    }
    int status = -1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    expect_old_file();
}

/* Behind a link stands the file that is replaced; the link stays. */
static void test_link(void) {
    gguf_error err = {0};
    struct stat st;
    CHECK(symlink("model", in_dir("link")) == 0);
    gguf_writer *w = new_writer(8);
    CHECK(gguf_writer_open(w, in_dir("link"), &err) && write_data(w, &err) && gguf_writer_commit(w, &err));
    gguf_writer_free(w);
    CHECK(lstat(in_dir("link"), &st) == 0 && S_ISLNK(st.st_mode));
    gguf_file *f;
    check_file(in_dir("model"), 8, &f);
    gguf_file_close(f);
    CHECK(unlink(in_dir("link")) == 0);
}

int main(void) {
    if (!mkdtemp(dir)) {
        perror("mkdtemp");
        return 1;
    }
    for (int i = 0; i < 15; i++) values[i] = (float)i - 7.25f;
    test_round_trip();
    test_copy();
    test_failures();
    test_full();
    test_link();
    CHECK(unlink(in_dir("model")) == 0 && rmdir(dir) == 0);
    return check_summary();
}
