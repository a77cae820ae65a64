/* The lower rooms: errors, arena, half precision, functions of our own, thread pool, processor and memory limits. */
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/bits.h"
#include "base/check.h"
#include "base/cpu.h"
#include "base/memory.h"
#include "base/pool.h"
#include "base/str.h"
#include "kernel/fmath.h"
#include "quant/quant.h"
#include "tests/unit/check.h"

static void test_error(void) {
    gguf_error e = {0};
    CHECK(!fail(&e, GGUF_ERR_MODEL, "a %s", "first\x1b[2J\n"));
    CHECK(e.code == GGUF_ERR_MODEL && strcmp(e.message, "a first?[2J?") == 0);
    CHECK(!fail(&e, GGUF_ERR_RUN, "second"));
    CHECK(e.code == GGUF_ERR_MODEL); /* the first error wins */
    CHECK(!fail(NULL, GGUF_ERR_RUN, "nobody listens"));
    /* a message that is cut is cut between characters */
    gguf_error cut = {0};
    char text[700];
    for (size_t i = 0; i + 1 < sizeof text; i += 2) memcpy(text + i, "\xC3\xA4", 2);
    text[698] = 0;
    fail(&cut, GGUF_ERR_RUN, "%s", text);
    CHECK(strlen(cut.message) == 510);
}

static void test_arena(void) {
    arena a = {0};
    gguf_error e = {0};
    for (size_t n = 0; n < 200000; n = 2 * n + 1) {
        unsigned char *p = arena_alloc(&a, n, 1, "a test", &e);
        CHECK(p && (uintptr_t)p % 64 == 0);
        for (size_t i = 0; p && i < n; i++) CHECK(p[i] == 0 || (p = NULL));
    }
    CHECK(arena_alloc(&a, SIZE_MAX, 2, "too much", &e) == NULL && e.code == GGUF_ERR_MEMORY);
    char *s = arena_copy(&a, "abc", 3, NULL);
    CHECK(s && strcmp(s, "abc") == 0);
    arena_free(&a);
    CHECK(a.head == NULL);
}

static void test_checked(void) {
    uint64_t v;
    CHECK(mul_u64(1ull << 32, 1ull << 31, &v) && v == 1ull << 63);
    CHECK(!mul_u64(1ull << 32, 1ull << 32, &v));
    CHECK(add_u64(UINT64_MAX, 0, &v) && !add_u64(UINT64_MAX, 1, &v));
}

static void test_halves(void) {
    for (uint32_t h = 0; h < 65536; h++) {
        bool nan = (h & 0x7C00) == 0x7C00 && (h & 0x3FF);
        float f = f16_to_f32((uint16_t)h);
        CHECK(nan ? f != f : f32_to_f16(f) == h);
    }
    CHECK(f16_to_f32(0x3C00) == 1 && f16_to_f32(0xC000) == -2 && f16_to_f32(1) == 0x1p-24f);
    CHECK(f32_to_f16(65519.0f) == 0x7BFF && f32_to_f16(65520.0f) == 0x7C00);             /* the tie goes to infinity */
    CHECK(f32_to_f16(1 + 0x1p-11f) == 0x3C00 && f32_to_f16(1 + 3 * 0x1p-11f) == 0x3C02); /* ties to even */
    CHECK(bf16_to_f32(0x3F80) == 1);
}

static void test_functions(void) {
    double worst = 0;
    for (float x = -87; x < 88; x += 0.0137f) {
        double e = exp((double)x), d = fabs((double)exp_f32(x) - e) / e;
        worst = d > worst ? d : worst;
    }
    CHECK(worst < 2.0e-7);
    worst = 0;
    for (float x = -12; x < 12; x += 0.00137f) {
        double t = tanh((double)x), d = fabs((double)tanh_f32(x) - t) / fmax(fabs(t), 1e-30);
        worst = d > worst ? d : worst;
    }
    CHECK(worst < 2.0e-7);
    CHECK(tanh_f32(INFINITY) == 1 && tanh_f32(-1e30f) == -1 && tanh_f32(0) == 0 && isnan(tanh_f32(NAN)));
    CHECK(exp_f32(-INFINITY) == 0 && exp_f32(1000) == INFINITY && exp_f32(0) == 1 && isnan(exp_f32(NAN)));
    for (double x = 1e-300; x < 1e300; x *= 7.3) CHECK(fabs(log_f64(x) - log(x)) <= 1e-15 * fabs(log(x)));
    CHECK(log_f64(1) == 0 && fabs(pow_f64(10000, -0.5) - 0.01) < 1e-17);
    for (double x = 0; x < 131072; x += 61.7) {
        double s, c;
        sincos_f64(x, &s, &c);
        CHECK(fabs(s - sin(x)) < 1e-15 && fabs(c - cos(x)) < 1e-15);
    }
}

static void test_types(void) {
    for (uint32_t t = 0; t < 64; t++) {
        const quant_row *row = quant_find(t);
        if (!row) continue;
        CHECK(row->name && row->block && row->bytes && row->block <= QUANT_MAX_BLOCK);
        CHECK(!row->unpack != !row->load); /* every type can be decoded, in one way */
        if (row->load) CHECK(row->block == 1 && row->act == 1);
        if (!row->unpack) continue;
        CHECK(row->sub && row->part % row->sub == 0 && row->part / row->sub <= QUANT_MAX_SUBS);
        CHECK(row->block % row->part == 0 && row->block / row->part <= QUANT_MAX_PARTS);
        CHECK(row->act % row->part == 0 && row->block % row->act == 0);
    }
    CHECK(!quant_find(4) && !quant_find(31) && !quant_find(QUANT_TYPE_COUNT) && !quant_find(UINT32_MAX));
    /* one block of Q4_0 by hand: d = 0.5, low halves 0..15, high halves 15..0 */
    uint8_t block[18] = {0x00, 0x38};
    float w[32];
    for (int i = 0; i < 16; i++) block[2 + i] = (uint8_t)(i | (15 - i) << 4);
    quant_decode(QUANT_Q4_0, block, 32, w);
    for (int i = 0; i < 16; i++) CHECK(w[i] == 0.5f * (float)(i - 8) && w[i + 16] == 0.5f * (float)(7 - i));
}

/* ---- threads --------------------------------------------------------------------------------- */

enum { ROUNDS = 300 };

typedef struct {
    pool *p;
    atomic_int arrived[ROUNDS];
    atomic_int early, runs;
} meeting;

static void meet(void *ctx, int thread) {
    meeting *m = ctx;
    (void)thread;
    atomic_fetch_add(&m->runs, 1);
    for (int i = 0; i < ROUNDS; i++) {
        atomic_fetch_add(&m->arrived[i], 1);
        pool_barrier(m->p);
        if (atomic_load(&m->arrived[i]) != pool_size(m->p)) atomic_fetch_add(&m->early, 1);
    }
}

static void test_pool(void) {
    for (int n = 1; n <= 5; n++) {
        pool *p = pool_new(n, NULL, NULL, NULL);
        CHECK(p && pool_size(p) == n);
        if (!p) continue;
        meeting m = {.p = p};
        pool_run(p, meet, &m);
        CHECK(atomic_load(&m.runs) == n && atomic_load(&m.early) == 0);
        for (int i = 0; i < ROUNDS; i++) atomic_store(&m.arrived[i], 0);
        pool_run(p, meet, &m);
        CHECK(atomic_load(&m.runs) == 2 * n && atomic_load(&m.early) == 0);
        pool_free(p);
    }
    pool_free(NULL);
}

static void test_machine(void) {
    CHECK(cpu_quota_cores("max 100000") == 0);
    CHECK(cpu_quota_cores("250000 100000") == 2);
    CHECK(cpu_quota_cores("50000 100000") == 1);
    CHECK(cpu_quota_cores("") == 0 && cpu_quota_cores("100000 0") == 0 && cpu_quota_cores("-1 100000") == 0);
    CHECK(cpu_default_threads() >= 1);
    CHECK(cpu_has(CPU_SCALAR));
    CHECK(memory_limit() > 1 << 20);
    char *p = memory_reserve(1 << 20);
    CHECK(p && p[0] == 0 && p[(1 << 20) - 1] == 0);
    memory_release(p, 1 << 20);
    CHECK(memory_reserve(SIZE_MAX / 2) == NULL);
}

static void test_hash(void) {
    uint64_t key = hash_key();
    CHECK(hash_key() == key);
    CHECK(str_hash(key, STR("abc")) == str_hash(key, STR("abc")) &&
          str_hash(key, STR("abc")) != str_hash(key, STR("abd")));
    CHECK(str_hash(key, STR("")) != str_hash(key, (str){"\0", 1}) &&
          str_hash(key, STR("a")) != str_hash(key, STR("aa")));
    CHECK(str_hash(key, STR("abc")) != str_hash(key + 1, STR("abc")) && u64_hash(key, 1) != u64_hash(key, 2));
    CHECK(str_is(STR("x"), "x") && !str_is(STR("x"), "xy") && str_starts(STR("xyz"), STR("xy")) &&
          !str_starts(STR("x"), STR("xy")));
}

int main(void) {
    test_error();
    test_arena();
    test_checked();
    test_halves();
    test_functions();
    test_types();
    test_pool();
    test_machine();
    test_hash();
    return check_summary();
}
