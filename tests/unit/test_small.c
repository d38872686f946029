/* tests/unit/test_small.c - the small files of base/: arena, hash, rng, heap,
 * clock, log, cpu. */
#include <math.h>
#include <unistd.h>
#include "base/arena.h"
#include "base/clock.h"
#include "base/cpu.h"
#include "base/hash.h"
#include "base/heap.h"
#include "base/log.h"
#include "base/rng.h"
#include "tests/test.h"

TEST(arena_memory_is_zeroed_aligned_and_apart)
{
    struct arena a = {0};
    unsigned char *last = NULL;
    for (int round = 0; round < 3; round++) {
        for (size_t n = 1; n < 40000; n = n * 3 + 1) {
            unsigned char *p = arena_alloc(&a, n, 1);
            CHECK(p && (uintptr_t)p % 16 == 0 && p != last);
            for (size_t i = 0; i < n; i++)
                CHECK(p[i] == 0);
            memset(p, 0xaa, n);
            last = p;
        }
        arena_reset(&a);
        CHECK_INT(a.used, 0);
    }
    CHECK(arena_alloc(&a, SIZE_MAX / 2, 4) == NULL);
    CHECK(arena_alloc(&a, SIZE_MAX, 1) == NULL);
    CHECK(strcmp(arena_printf(&a, "%d %s", 7, "x"), "7 x") == 0);
    CHECK_STR(arena_str(&a, STR("copy")), "copy");
    CHECK(arena_strz(&a, (struct str){NULL, 0})[0] == '\0');
    arena_deinit(&a);
    CHECK(a.first == NULL);
}

/* xxHash's own sanity vectors of the empty input. */
TEST(hash_is_xxh3)
{
    char hex[33];
    CHECK(hash64("", 0, 0) == 0x2d06800538d394c2u);
    hash_hex(hash128("", 0).bytes, 16, hex);
    CHECK_STR(str_of(hex), "99aa06d3014798d86001c324468d497f");
}

TEST(hash_streamed_equals_hash_at_once)
{
    char data[5000];
    for (int i = 0; i < 5000; i++)
        data[i] = (char)(i * 7);
    struct hasher *h = hasher_new();
    for (size_t at = 0, n = 1; at < sizeof(data); at += n, n = n * 2 % 997 + 1)
        hasher_add(h, data + at, at + n > sizeof(data) ? sizeof(data) - at : n);
    struct hash128 a = hasher_done(h), b = hash128(data, sizeof(data));
    CHECK(memcmp(&a, &b, sizeof(a)) == 0);
    hasher_free(hasher_new());
}

TEST(hash_hex_comes_back_and_bad_hex_is_refused)
{
    uint8_t out[2] = {0};
    CHECK(hash_unhex(STR("aBf0"), out, 2) && out[0] == 0xab && out[1] == 0xf0);
    CHECK(!hash_unhex(STR("abf"), out, 2) && !hash_unhex(STR("abfg"), out, 2));
    CHECK(!hash_unhex(STR("abf00"), out, 2));
}

/* The vector that other implementations test themselves with: state 1, 2, 3, 4. */
TEST(rng_is_xoshiro256)
{
    struct rng r = {{1, 2, 3, 4}};
    static const uint64_t want[] = {
        11520,
        0,
        1509978240,
        1215971899390074240,
        1216172134540287360,
        607988272756665600,
        16172922978634559625u,
        8476171486693032832,
        10595114339597558777u,
        2904607092377533576,
    };
    for (int i = 0; i < 10; i++)
        CHECK_INT(rng_next(&r), want[i]);
}

TEST(rng_draws_have_the_moments_they_should)
{
    struct rng r;
    rng_init(&r, 1);
    double sum = 0, square = 0, unit = 0;
    int low = 0, n = 200000;
    for (int i = 0; i < n; i++) {
        double x = rng_normal(&r), u = rng_unit(&r);
        sum += x;
        square += x * x;
        unit += u;
        CHECK(u >= 0 && u < 1);
        low += rng_below(&r, 3) == 0;
        CHECK(rng_below(&r, 7) < 7);
    }
    CHECK_NEAR(sum / n, 0, 0.01);
    CHECK_NEAR(square / n, 1, 0.015);
    CHECK_NEAR(unit / n, 0.5, 0.005);
    CHECK_NEAR((double)low / n, 1 / 3.0, 0.005);
    uint64_t a = 0, b = 0;
    rng_secret(&a, 8);
    rng_secret(&b, 8);
    CHECK(a != b);
}

static void check_heap(bool far)
{
    struct item v[500], last = {0};
    struct heap h = {.v = v, .far = far};
    struct rng r;
    rng_init(&r, 4);
    for (uint32_t i = 0; i < 500; i++)
        heap_push(&h, (struct item){(float)rng_below(&r, 40), i * 7919 % 500});
    for (int i = 0; i < 500; i++) {
        struct item it = heap_pop(&h);
        if (i > 0) {
            CHECK(far ? it.d <= last.d : it.d >= last.d);
            CHECK(it.d != last.d || (far ? it.id < last.id : it.id > last.id));
        }
        last = it;
    }
    CHECK_INT(h.n, 0);
}

TEST(heap_pops_in_order_with_ties_by_id)
{
    check_heap(false);
    check_heap(true);
}

TEST(clock_writes_rfc3339)
{
    char out[25];
    CHECK_STR(str_of(clock_rfc3339(0, out)), "1970-01-01T00:00:00.000Z");
    CHECK_STR(str_of(clock_rfc3339(951827696123, out)), "2000-02-29T12:34:56.123Z");
    CHECK_STR(str_of(clock_rfc3339(-1, out)), "1969-12-31T23:59:59.999Z");
    CHECK_STR(str_of(clock_rfc3339(INT64_MAX, out)), "9999-12-31T23:59:59.999Z");
    CHECK_STR(str_of(clock_rfc3339(INT64_MIN, out)), "0000-01-01T00:00:00.000Z");
    double begin = clock_ms();
    CHECK(clock_ms() >= begin && clock_now_ms() > 1700000000000 && clock_cpu_ms() >= 0);
}

/* What `fn` writes to stderr. */
static struct str logged(void (*fn)(void))
{
    static char text[8192];
    int pipes[2], old = dup(STDERR_FILENO);
    CHECK(pipe(pipes) == 0);
    dup2(pipes[1], STDERR_FILENO);
    fn();
    dup2(old, STDERR_FILENO);
    close(pipes[1]);
    ssize_t n = read(pipes[0], text, sizeof(text));
    close(pipes[0]);
    close(old);
    return (struct str){text, n > 0 ? (size_t)n : 0};
}

static void log_some(void)
{
    char q[64];
    log_info("ingest.done", "doc=%d name=%s", 7, log_quote("a b\n\"c\"", q, sizeof(q)));
    log_debug("never.seen", "x=1");
    log_warn("plain", " ");
}

static void log_forged(void)
{
    log_info("x", "name=a\ninfo forged=1");
}

static void log_long(void)
{
    char many[5000];
    memset(many, 'x', sizeof(many) - 1);
    many[sizeof(many) - 1] = '\0';
    log_error("long", "v=%s", many);
}

TEST(log_events_are_one_line_each)
{
    CHECK_STR(logged(log_some), "info ingest.done doc=7 name=\"a b\\n\\\"c\\\"\"\nwarn plain  \n");
    CHECK_STR(logged(log_forged), "info x name=a info forged=1\n");
    struct str line = logged(log_long);
    CHECK(line.len == 2047 && line.ptr[2046] == '\n' && !memchr(line.ptr, 0, line.len));
}

TEST(log_quote_fits_any_room)
{
    char out[70];
    for (int cap = 1; cap < 70; cap++) {
        memset(out, '#', sizeof(out));
        log_quote("a \"quoted\" \x01 value that is rather long, as values go", out, cap);
        CHECK(memchr(out, 0, (size_t)cap) && out[cap] == '#');
    }
    CHECK_STR(str_of(log_quote("plain", out, 70)), "plain");
    CHECK_STR(str_of(log_quote("", out, 70)), "\"\"");
}

TEST(cpu_knows_itself)
{
    const struct cpu *c = cpu_get();
    CHECK(c->cores >= 1 && c->name[0] && c == cpu_get());
    CHECK((!c->avx512 && !c->avxvnni) || c->avx2);
    const char *core = cpu_blas_coretype();
    CHECK(!core || c->avx512);
}
