/* Paths that lead to no model, files that shrink while they are used, and split models whose files do not fit together.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "malformed.h"

/* ---- paths ------------------------------------------------------------------------------------------ */

static char dir[] = "/tmp/gguf-malformed-XXXXXX";

/* Valid until the call after the next. */
static const char *in_dir(const char *name) {
    static char paths[2][sizeof dir + 256];
    static int turn;
    turn = !turn;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", dir, name);
    return paths[turn];
}

static void expect_path(const char *name, const char *text) {
    for (int no_mmap = 0; no_mmap < 2; no_mmap++) {
        gguf_error err = {0};
        open_model(in_dir(name), no_mmap, DECODE, &err);
        expect(name, &err, GGUF_ERR_MODEL, text);
    }
}

static void write_file(const char *name, const void *data, size_t n) {
    FILE *f = fopen(in_dir(name), "wb");
    CHECK(f && fwrite(data, 1, n, f) == n);
    if (f) fclose(f);
}

static void make_socket(const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", in_dir(name));
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(s >= 0 && bind(s, (const struct sockaddr *)(const void *)&address, sizeof address) == 0);
    if (s >= 0) close(s);
}

static void test_paths(void) {
    expect_path("missing.gguf", "missing.gguf: cannot open: No such file");
    expect_path("missing/model.gguf", "cannot open");
    expect_path("", "is a directory");
    write_file("empty.gguf", "", 0);
    expect_path("empty.gguf", "the file is empty");
    expect_path("empty.gguf/model.gguf", "cannot open");
    CHECK(mkfifo(in_dir("fifo.gguf"), 0600) == 0);
    expect_path("fifo.gguf", "is a FIFO");
    make_socket("socket.gguf");
    expect_path("socket.gguf", "cannot open");
    CHECK(symlink("loop.gguf", in_dir("loop.gguf")) == 0);
    expect_path("loop.gguf", "cannot open");
    CHECK(symlink("/dev/null", in_dir("device.gguf")) == 0);
    expect_path("device.gguf", "is a character device");
    image im = make(LLAMA, "");
    write_file("half.gguf", im.data, im.n / 2);
    expect_path("half.gguf", "cut short");
    write_file("most.gguf", im.data, im.n - 1);
    expect_path("most.gguf", "cut short by 1 bytes");
    write_file("locked.gguf", im.data, im.n);
    CHECK(chmod(in_dir("locked.gguf"), 0) == 0);
    if (geteuid() != 0) expect_path("locked.gguf", "cannot open: Permission denied");
    free(im.data);
    static const char *const names[] = {"empty.gguf",  "fifo.gguf", "socket.gguf", "loop.gguf",
                                        "device.gguf", "half.gguf", "most.gguf",   "locked.gguf"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) CHECK(unlink(in_dir(names[i])) == 0);
}

/* A file that becomes shorter while it is mapped: the program ends with code 1 and not by a signal. */
static void test_shrinking(void) {
    image im = make(LLAMA, "");
    put_memory_file(&im);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        gguf_error err = {0};
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDERR_FILENO); /* what the handler says */
        gguf_catch_file_faults();
        gguf_model *m = gguf_model_open(memory_path, NULL, &err);
        gguf_session *s = m ? gguf_session_open(m, &(gguf_session_params){.n_ctx = 4, .n_threads = 1}, &err) : NULL;
        if (s && ftruncate(memory_file, 0) == 0) gguf_session_decode(s, (const int32_t[]){0, 1}, 2, &err);
        _exit(0);
    }
    int status = 0;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == GGUF_ERR_RUN);
    free(im.data);
}

/* ---- split models ----------------------------------------------------------------------------------- */

static void make_shards(const char *more) {
    char line[2048];
    gguf_error err = {0};
    model_spec spec = {0};
    snprintf(line, sizeof line, "%s --shards 3 %s", LLAMA, more);
    CHECK(model_spec_parse_line(&spec, line, &err) && model_write(&spec, in_dir("m.gguf"), &err));
    model_spec_free(&spec);
}

static void copy_file(const char *from, const char *to) {
    char bytes[1 << 16];
    FILE *f = fopen(in_dir(from), "rb");
    size_t n = f ? fread(bytes, 1, sizeof bytes, f) : 0;
    CHECK(f && n > 0 && n < sizeof bytes);
    if (f) fclose(f);
    write_file(to, bytes, n);
}

#define SHARD(i) "m-0000" #i "-of-00003.gguf"

static void test_shards(void) {
    gguf_error err = {0};
    make_shards("");
    open_model(in_dir(SHARD(1)), false, DECODE, &err);
    open_model(in_dir(SHARD(3)), true, DECODE, &err);
    CHECK(err.code == GGUF_OK);
    CHECK(truncate(in_dir(SHARD(3)), 600) == 0);
    expect_path(SHARD(1), SHARD(3) ": ");
    expect_path(SHARD(1), "cut short");
    CHECK(unlink(in_dir(SHARD(2))) == 0);
    expect_path(SHARD(1), SHARD(2) ": cannot open");
    expect_path(SHARD(3), "cut short");
    copy_file(SHARD(1), SHARD(2));
    expect_path(SHARD(1), SHARD(2) ": does not say that it is file 2 of 3");
    CHECK(rename(in_dir(SHARD(1)), in_dir("renamed.gguf")) == 0);
    expect_path("renamed.gguf", "rename it back");
    expect_path(SHARD(2), SHARD(1) ": cannot open");

    make_shards(""); /* the second file of a model with more tensors */
    copy_file(SHARD(1), "first.gguf");
    make_shards("--biases");
    copy_file("first.gguf", SHARD(1));
    expect_path(SHARD(1), "belongs to another model");

    make_shards(""); /* tensors of the first file again in the second: only split.no is changed */
    image im = {0};
    FILE *f = fopen(in_dir(SHARD(1)), "rb");
    im.data = malloc(1 << 16);
    im.n = f && im.data ? fread(im.data, 1, 1 << 16, f) : 0;
    if (f) fclose(f);
    size_t at = im.data ? locate(&im, VALUE, "split.no") : SIZE_MAX;
    CHECK(at < im.n);
    if (at < im.n) im.data[at] = 1;
    write_file(SHARD(2), im.data, im.n);
    free(im.data);
    expect_path(SHARD(1), SHARD(2) ": at byte ");
    expect_path(SHARD(1), "the tensor token_embd.weight stands twice");

    static const char *const names[] = {SHARD(1), SHARD(2), SHARD(3), "renamed.gguf", "first.gguf"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) CHECK(unlink(in_dir(names[i])) == 0);
}

static void test_split_keys(void) {
    static const struct {
        const char *options, *text;
    } rows[] = {
        {"--set split.count=u16:2", "rename it back"},
        {"--set split.count=u16:0xFFFF", "split.count is 65535"},
        {"--set split.count=u64:0x7FFFFFFFFFFFFFFF", "split.count is 9223372036854775807"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        image im = make(LLAMA, rows[i].options);
        write_file("split.gguf", im.data, im.n);
        expect_path("split.gguf", rows[i].text);
        free(im.data);
    }
    CHECK(unlink(in_dir("split.gguf")) == 0);
}

int main(void) {
    if (!mkdtemp(dir)) {
        perror("mkdtemp");
        return 1;
    }
    open_memory_file();
    test_paths();
    test_shrinking();
    test_shards();
    test_split_keys();
    close(memory_file);
    CHECK(rmdir(dir) == 0);
    return check_summary();
}
