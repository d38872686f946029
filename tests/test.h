/* tests/test.h - a thin layer over cmocka: tests that read as sentences.
 *
 *   TEST(hnsw_search_of_an_empty_graph_finds_nothing) { ... CHECK_INT(n, 0); }
 *
 * TEST registers itself; tests/test_main.c runs each in a child process with a
 * time limit (60 s, ten times that under CARREL_SLOW) and prints
 * "N passed, N failed, N skipped" last. `prog -l` lists, `prog PATTERN` narrows.
 * CHECK* print both values, file and line, and end the test. */
#ifndef CARREL_TESTS_TEST_H
#define CARREL_TESTS_TEST_H
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/err.h"
#include "base/str.h"

void test_register(const char *name, const char *file, void (*fn)(void));
_Noreturn void test_fail(const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
_Noreturn void test_skip(const char *why);

#define TEST(name)                                                                   \
    static void name(void);                                                          \
    __attribute__((constructor)) static void register_##name(void)                   \
    {                                                                                \
        test_register(#name, __FILE__, name);                                        \
    }                                                                                \
    static void name(void)

#define CHECK(cond)                                                                  \
    do { if (!(cond)) test_fail(__FILE__, __LINE__, "%s", #cond); } while (0)
#define CHECK_MSG(cond, ...)                                                         \
    do { if (!(cond)) test_fail(__FILE__, __LINE__, __VA_ARGS__); } while (0)
#define CHECK_INT(got, want)                                                         \
    do { long long g_ = (long long)(got), w_ = (long long)(want);                    \
         if (g_ != w_) test_fail(__FILE__, __LINE__, "%s is %lld, want %lld", #got, g_, w_); } while (0)
#define CHECK_NEAR(got, want, tol)                                                   \
    do { double g_ = (got), w_ = (want), t_ = (tol);                                 \
         if (!(g_ - w_ <= t_ && w_ - g_ <= t_))                                      \
             test_fail(__FILE__, __LINE__, "%s is %.9g, want %.9g within %g", #got, g_, w_, t_); } while (0)
#define CHECK_STR(got, want)                                                         \
    do { struct str g_ = (got), w_ = str_of(want);                                   \
         if (!str_eq(g_, w_)) test_fail(__FILE__, __LINE__, "%s is \"%.*s\", want \"%.*s\"", #got, \
                                        STR_ARG(g_), STR_ARG(w_)); } while (0)
/* The call gave OK; else prints its sentence. */
#define CHECK_OK(call, err)                                                          \
    do { enum err_code rc_ = (call);                                                 \
         if (rc_) test_fail(__FILE__, __LINE__, "%s: %s: %s", #call, err_name(rc_), (err)->msg); } while (0)
#define CHECK_ERR(call, want)                                                        \
    do { enum err_code rc_ = (call);                                                 \
         if (rc_ != (want)) test_fail(__FILE__, __LINE__, "%s gave %s, want %s", #call,      \
                                      err_name(rc_), err_name(want)); } while (0)
#define SKIP(why) test_skip(why)

/* Path of test data below CARREL_DATA; skips the test ("no data") when absent. */
const char *data_path(const char *relative);
/* A fresh folder of this test's own, removed when the test ends. */
const char *scratch_dir(void);
/* CARREL_SLOW is set: run the long version. */
bool test_slow(void);
#endif
