/*
 * Every allocation and every system call of a load, a prompt and eight tokens is made to fail once, in turn: the
 * program must end with a success (fewer threads, say) or an error with a message, and release everything. The linker
 * puts the wrappers below in front of the library's calls (--wrap).
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gguf.h"
#include "tests/model_maker.h"
#include "tests/unit/check.h"

static long countdown = -1; /* calls until the one that fails; negative: none does */
static bool failed;

static bool fails_now(int error) {
    if (countdown < 0 || countdown-- > 0) return false;
    failed = true;
    errno = error;
    return true;
}

/* Wrappers are called by the linker's doing, from nowhere that a compiler sees. */
#define WRAP(type, name, params, args, failure, error)                                                                 \
    type __real_##name params;                                                                                         \
    type __wrap_##name params;                                                                                         \
    type __wrap_##name params { return fails_now(error) ? failure : __real_##name args; }

WRAP(void *, malloc, (size_t n), (n), NULL, ENOMEM)
WRAP(void *, calloc, (size_t n, size_t size), (n, size), NULL, ENOMEM)
WRAP(void *, realloc, (void *p, size_t n), (p, n), NULL, ENOMEM)
WRAP(void *, aligned_alloc, (size_t align, size_t n), (align, n), NULL, ENOMEM)
WRAP(void *, mmap, (void *p, size_t n, int prot, int flags, int fd, off_t at), (p, n, prot, flags, fd, at), MAP_FAILED,
     ENOMEM)
WRAP(int, fstat, (int fd, struct stat *s), (fd, s), -1, EIO)
WRAP(ssize_t, pread, (int fd, void *p, size_t n, off_t at), (fd, p, n, at), -1, EIO)
WRAP(int, pthread_create, (pthread_t * t, const pthread_attr_t *a, void *(*f)(void *), void *arg), (t, a, f, arg),
     EAGAIN, EAGAIN)

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...) { return fails_now(EMFILE) ? -1 : __real_open(path, flags); }

static bool generate(gguf_session *session, const gguf_vocab *vocab, gguf_error *err) {
    int32_t *ids = NULL;
    const gguf_logit_bias bias = {5, 1};
    gguf_sampler_params sp = gguf_sampler_defaults();
    sp.dry_multiplier = 1;
    sp.vocab = vocab;
    sp.dry_breakers = (const char *const[]){"a b", "\n"};
    sp.n_dry_breakers = 2;
    sp.bias = &bias;
    sp.n_bias = 1;
    gguf_sampler *sampler = gguf_sampler_open(gguf_vocab_size(vocab), &sp, err);
    ptrdiff_t n = sampler ? gguf_vocab_tokenize(vocab, "a b c", 5, NULL, &ids, err) : -1;
    bool ok = n > 0 && gguf_session_decode(session, ids, (size_t)n, err);
    for (int i = 0; ok && i < 8; i++) {
        int32_t id = gguf_sampler_sample(sampler, gguf_session_logits(session), NULL, 0);
        gguf_sampler_accept(sampler, id);
        ok = gguf_session_decode(session, &id, 1, err);
    }
    free(ids);
    gguf_sampler_close(sampler);
    return ok;
}

static bool run(const char *path, bool no_mmap, gguf_error *err) {
    const char *const overrides[] = {".rope.scaling.factor=float:2", "general.name=str:x"};
    gguf_model_params mp = {.no_mmap = no_mmap, .overrides = overrides, .n_overrides = 2};
    gguf_session_params sp = {.n_ctx = 64, .n_threads = 2, .n_threads_batch = 3};
    gguf_model *model = gguf_model_open(path, &mp, err);
    gguf_session *session = model ? gguf_session_open(model, &sp, err) : NULL;
    bool ok = session && generate(session, gguf_model_vocab(model), err);
    gguf_session_close(session);
    gguf_model_close(model);
    return ok;
}

static void fail_each(const char *options, bool no_mmap) {
    char path[] = "/tmp/gguf-failures-XXXXXX";
    model_spec spec = {0};
    gguf_error err = {0};
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    bool made = model_spec_parse_line(&spec, options, &err) && model_write(&spec, path, &err);
    CHECK(made);
    long n = 0;
    for (failed = true; made && failed && n < 100000; n++) {
        gguf_error e = {0};
        failed = false;
        countdown = n;
        bool ok = run(path, no_mmap, &e);
        countdown = -1;
        CHECK(ok ? e.code == GGUF_OK : e.code != GGUF_OK && e.message[0]);
        if (!failed) CHECK(ok);
    }
    CHECK(n > 20 && n < 100000);
    printf("%s%s: %ld calls failed in turn\n", options, no_mmap ? ", read into memory" : "", n - 1);
    model_spec_free(&spec);
    close(fd);
    unlink(path);
}

/* The same for a chat template. */
static bool render(gguf_error *err) {
    static const char text[] =
        "{% macro m(a, b=1) %}{{ a ~ b }}{% endmacro %}{% for x in messages %}{{ m(x.role) }}"
        "{{ x | tojson | upper }}{% set y = x.items() | list | sort %}{% endfor %}{{ 'a\\n' * 9 }}";
    gguf_chat_params p = {.messages = "[{\"role\": \"user\", \"content\": \"\\u00e9\"}, {\"role\": \"a\"}]"};
    gguf_chat_text out = {0};
    gguf_chat_template *t = gguf_chat_template_open(text, sizeof text - 1, err);
    bool ok = t && gguf_chat_render(t, &p, &out, err);
    gguf_chat_text_free(&out);
    gguf_chat_template_close(t);
    return ok;
}

static void fail_each_of_template(void) {
    long n = 0;
    for (failed = true; failed && n < 1000; n++) {
        gguf_error e = {0};
        failed = false;
        countdown = n;
        bool ok = render(&e);
        countdown = -1;
        CHECK(ok ? e.code == GGUF_OK : e.code == GGUF_ERR_MEMORY && e.message[0]);
        if (!failed) CHECK(ok);
    }
    CHECK(n > 4 && n < 1000);
    printf("a chat template: %ld calls failed in turn\n", n - 1);
}

int main(void) {
    fail_each_of_template();
    fail_each("--embd 32 --ff 64 --layers 2 --heads 2 --vocab 300 --type Q4_0", false);
    fail_each("--embd 32 --ff 64 --layers 2 --heads 2 --vocab 300 --vocab-kind bpe --type F16 --arch smollm3", true);
    return check_summary();
}
