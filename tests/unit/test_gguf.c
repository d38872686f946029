/* tests/unit/test_gguf.c - files of weights: what is written is read back, and
 * nothing that is wrong with a file does harm. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "base/rng.h"
#include "model/gguf.h"
#include "tests/test.h"

static void u32(struct buf *b, uint32_t v)
{
    buf_add(b, &v, 4);
}

static void u64(struct buf *b, uint64_t v)
{
    buf_add(b, &v, 8);
}

static void string(struct buf *b, const char *z)
{
    u64(b, strlen(z));
    buf_puts(b, z);
}

static void head(struct buf *b, uint32_t version, uint64_t n_tensors, uint64_t n_keys)
{
    buf_reset(b);
    buf_add(b, "GGUF", 4);
    u32(b, version);
    u64(b, n_tensors);
    u64(b, n_keys);
}

static void key(struct buf *b, const char *name, uint32_t type)
{
    string(b, name);
    u32(b, type);
}

static void info(struct buf *b, const char *name, uint32_t type, uint64_t ne0, uint64_t ne1,
                 uint64_t offset)
{
    string(b, name);
    u32(b, 2);
    u64(b, ne0);
    u64(b, ne1);
    u32(b, type);
    u64(b, offset);
}

static void fill_data(struct buf *b, size_t bytes)
{
    while (b->len % 32)
        buf_char(b, 0);
    while (bytes--)
        buf_char(b, 0);
}

/* Opening `b` gives `want`; when it fails, the sentence holds `word`. */
static void expect(const struct buf *b, enum err_code want, const char *word)
{
    struct gguf *g = NULL;
    struct err err = {0};
    CHECK(!b->failed);
    enum err_code rc = gguf_open_bytes("test", b->ptr, b->len, &g, &err);
    if (!rc)
        gguf_close(g);
    CHECK_MSG(rc == want, "%s: %s (%s), want %s", word, err_name(rc), err.msg, err_name(want));
    if (want)
        CHECK_MSG(strstr(err.msg, word), "\"%s\" does not say %s", err.msg, word);
}

/* A file with one key of each kind and three tensors, written by the writer. */
static const char *sample(void)
{
    static char path[512];
    static float f32[2 * 64];
    static uint8_t q8[2 * 68];
    snprintf(path, sizeof(path), "%s/sample.gguf", scratch_dir());
    for (int i = 0; i < 128; i++)
        f32[i] = (float)(i - 64) / 8;
    tensor_quant(TENSOR_Q8_0, f32, 64, q8);
    tensor_quant(TENSOR_Q8_0, f32 + 64, 64, q8 + 68);
    struct str strings[40];
    static char text[40][8];
    for (int i = 0; i < 40; i++) {
        snprintf(text[i], sizeof(text[i]), "s%d", i * i);
        strings[i] = str_of(i % 7 ? text[i] : "");
    }
    struct gguf_writer *w = gguf_writer_new();
    struct err err = {0};
    gguf_put_str(w, "general.architecture", STR("static"));
    gguf_put_u32(w, "a.u32", 4000000000u);
    gguf_put_f32(w, "a.f32", 0.25f);
    gguf_put_bool(w, "a.bool", true);
    gguf_put_strs(w, "a.strings", strings, 40);
    gguf_put_f32s(w, "a.floats", f32, 5);
    gguf_put_i32s(w, "a.ints", (const int32_t[]){INT32_MIN, -1, 0, INT32_MAX}, 4);
    gguf_put_tensor(w, "one", TENSOR_F32, 1, (const int64_t[]){3}, f32);
    gguf_put_tensor(w, "two", TENSOR_F32, 2, (const int64_t[]){64, 2}, f32);
    gguf_put_tensor(w, "three", TENSOR_Q8_0, 2, (const int64_t[]){64, 2}, q8);
    CHECK_OK(gguf_save(w, path, &err), &err);
    gguf_writer_free(w);
    return path;
}

TEST(gguf_reads_back_what_was_written)
{
    struct gguf *g;
    struct err err = {0};
    CHECK_OK(gguf_open(sample(), &g, &err), &err);
    struct str s;
    int64_t i;
    double d;
    bool yes = false;
    size_t n;
    CHECK_OK(gguf_str(g, "general.architecture", &s, &err), &err);
    CHECK_STR(s, "static");
    CHECK_OK(gguf_int(g, "a.u32", 0, INT64_MAX, &i, &err), &err);
    CHECK_INT(i, 4000000000);
    CHECK_OK(gguf_num(g, "a.f32", &d, &err), &err);
    CHECK_NEAR(d, 0.25, 0);
    CHECK_OK(gguf_bool(g, "a.bool", &yes, &err), &err);
    CHECK(yes);
    CHECK_OK(gguf_array(g, "a.strings", true, &n, &err), &err);
    CHECK_INT(n, 40);
    for (size_t k = 0; k < n; k++) {       /* any order */
        size_t at = k * 17 % n;
        char want[8];
        snprintf(want, sizeof(want), "s%zu", at * at);
        CHECK_STR(gguf_array_str(g, "a.strings", at), at % 7 ? want : "");
    }
    CHECK_OK(gguf_array(g, "a.floats", false, &n, &err), &err);
    CHECK_INT(n, 5);
    CHECK_NEAR(gguf_array_num(g, "a.floats", 4), -60.0 / 8, 0);
    CHECK_OK(gguf_array(g, "a.ints", false, &n, &err), &err);
    CHECK_INT(n, 4);
    CHECK_NEAR(gguf_array_num(g, "a.ints", 0), INT32_MIN, 0);
    CHECK_NEAR(gguf_array_num(g, "a.ints", 1), -1, 0);
    CHECK_NEAR(gguf_array_num(g, "a.ints", 3), INT32_MAX, 0);
    CHECK_INT(gguf_n_tensors(g), 3);
    const struct tensor *t = gguf_tensor(g, "three");
    CHECK(t == gguf_tensor_at(g, 2) && t->type == TENSOR_Q8_0 && t->ne[0] == 64 && t->ne[1] == 2);
    float row[64];
    tensor_row(t, 1, row);
    for (int k = 0; k < 64; k++)
        CHECK_NEAR(row[k], k / 8.0, 63.0 / 8 / 127);
    CHECK(gguf_tensor(g, "four") == NULL);
    gguf_close(g);
}

TEST(gguf_says_which_key_is_missing_of_another_type_or_out_of_range)
{
    struct gguf *g;
    struct err err = {0};
    struct str s = {0};
    int64_t i = 7;
    size_t n = 7;
    double d = 7;
    CHECK_OK(gguf_open(sample(), &g, &err), &err);
    CHECK_ERR(gguf_str(g, "nothing", &s, &err), ERR_NOTFOUND);
    CHECK_ERR(gguf_int(g, "nothing", 0, 9, &i, &err), ERR_NOTFOUND);
    CHECK_ERR(gguf_int(g, "general.architecture", 0, 9, &i, &err), ERR_FORMAT);
    CHECK(strstr(err.msg, "general.architecture") && strstr(err.msg, "string"));
    CHECK_ERR(gguf_int(g, "a.u32", 0, 9, &i, &err), ERR_FORMAT);
    CHECK(strstr(err.msg, "4000000000"));
    CHECK_ERR(gguf_int(g, "a.f32", 0, 9, &i, &err), ERR_FORMAT);
    CHECK_ERR(gguf_num(g, "a.bool", &d, &err), ERR_FORMAT);
    CHECK_ERR(gguf_array(g, "a.strings", false, &n, &err), ERR_FORMAT);
    CHECK_ERR(gguf_array(g, "a.floats", true, &n, &err), ERR_FORMAT);
    CHECK_ERR(gguf_array(g, "a.u32", false, &n, &err), ERR_FORMAT);
    CHECK(i == 7 && n == 7 && s.ptr == NULL);
    CHECK(gguf_array_str(g, "a.strings", 40).ptr == NULL);
    CHECK(gguf_array_str(g, "a.floats", 0).ptr == NULL);
    gguf_close(g);
}

TEST(gguf_version_2_is_read_and_others_are_not)
{
    struct buf b = {0};
    for (uint32_t v = 0; v < 6; v++) {
        head(&b, v, 0, 0);
        expect(&b, v == 2 || v == 3 ? OK : ERR_FORMAT, "version");
    }
    head(&b, 3, 0, 0);
    b.ptr[0] = 'g';
    expect(&b, ERR_FORMAT, "not a GGUF");
    buf_free(&b);
}

TEST(gguf_counts_that_lie_are_refused_before_memory_is_asked_for)
{
    static const uint64_t lies[] = {1, 65537, 1u << 31, (uint64_t)1 << 32, UINT64_MAX,
                                    UINT64_MAX / 14, UINT64_MAX / 33 + 1};
    struct buf b = {0};
    for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
        head(&b, 3, lies[i], 0);
        expect(&b, ERR_FORMAT, "tensors");
        head(&b, 3, 0, lies[i]);
        expect(&b, ERR_FORMAT, "keys");
    }
    buf_free(&b);
}

TEST(gguf_keys_that_are_wrong_are_refused)
{
    static const uint64_t lies[] = {9, 1u << 31, UINT64_MAX, UINT64_MAX - 7, (uint64_t)1 << 62};
    struct buf b = {0};
    for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
        head(&b, 3, 0, 1);
        u64(&b, lies[i]);                  /* length of a key's name */
        buf_puts(&b, "k234567");
        u32(&b, 4);
        expect(&b, ERR_FORMAT, "key");
        head(&b, 3, 0, 1);
        key(&b, "k", 8);
        u64(&b, lies[i]);                  /* of a string */
        expect(&b, ERR_FORMAT, "key k");
        for (uint32_t type = 0; type < 13; type++) {
            head(&b, 3, 0, 1);
            key(&b, "k", 9);
            u32(&b, type);
            u64(&b, lies[i]);              /* of an array */
            u32(&b, 1);
            expect(&b, ERR_FORMAT, "key k");
        }
    }
    head(&b, 3, 0, 1);
    key(&b, "k", 13);
    u64(&b, 0);
    expect(&b, ERR_FORMAT, "unknown type 13");
    head(&b, 3, 0, 1);
    key(&b, "k", 7);
    buf_char(&b, 2);
    expect(&b, ERR_FORMAT, "bool");
    head(&b, 3, 0, 2);
    for (int i = 0; i < 2; i++) {
        key(&b, "k", 4);
        u32(&b, 1);
    }
    expect(&b, ERR_FORMAT, "twice");
    head(&b, 3, 0, 1);
    key(&b, "", 4);
    u32(&b, 1);
    expect(&b, ERR_FORMAT, "key of 0 bytes");
    head(&b, 3, 0, 1);
    key(&b, "\xff", 4);
    u32(&b, 1);
    expect(&b, ERR_FORMAT, "UTF-8");
    buf_free(&b);
}

TEST(gguf_alignment_is_a_power_of_two_from_8_to_65536)
{
    static const uint32_t values[] = {0, 1, 4, 7, 8, 33, 64, 65536, 131072, 0x80000000, UINT32_MAX};
    struct buf b = {0};
    for (size_t i = 0; i < sizeof(values) / sizeof(*values); i++) {
        bool good = values[i] == 8 || values[i] == 64 || values[i] == 65536;
        head(&b, 3, 0, 1);
        key(&b, "general.alignment", 4);
        u32(&b, values[i]);
        expect(&b, good ? OK : ERR_FORMAT, "alignment");
    }
    head(&b, 3, 0, 1);
    key(&b, "general.alignment", 10);
    u64(&b, 32);
    expect(&b, ERR_FORMAT, "alignment");
    head(&b, 3, 0, 1);
    key(&b, "general.architecture", 4);
    u32(&b, 32);
    expect(&b, ERR_FORMAT, "architecture");
    buf_free(&b);
}

/* One tensor, 512 bytes of data. */
static void expect_tensor(const char *name, uint32_t type, uint64_t ne0, uint64_t ne1,
                          uint64_t offset, enum err_code want, const char *word)
{
    struct buf b = {0};
    head(&b, 3, 1, 0);
    info(&b, name, type, ne0, ne1, offset);
    fill_data(&b, 512);
    expect(&b, want, word);
    buf_free(&b);
}

TEST(gguf_tensors_that_are_wrong_are_refused)
{
    expect_tensor("t", 0, 8, 16, 0, OK, "");
    expect_tensor("t", 0, 8, 17, 0, ERR_FORMAT, "512 bytes of data");
    expect_tensor("t", 0, 8, 8, 256, OK, "");
    expect_tensor("t", 0, 8, 8, 288, ERR_FORMAT, "offset");
    expect_tensor("t", 0, 8, 8, 1, ERR_FORMAT, "unaligned");
    expect_tensor("t", 0, 8, 8, UINT64_MAX - 31, ERR_FORMAT, "offset");
    expect_tensor("t", 0, 0, 8, 0, ERR_FORMAT, "dimension");
    expect_tensor("t", 0, UINT64_MAX, 8, 0, ERR_FORMAT, "dimension");
    expect_tensor("t", 0, (uint64_t)1 << 62, 4, 0, ERR_FORMAT, "dimension");
    expect_tensor("t", 0, (uint64_t)1 << 62, 1, 0, ERR_FORMAT, "larger than the file");
    expect_tensor("t", 8, 32, 15, 0, OK, "");
    expect_tensor("t", 8, 33, 1, 0, ERR_FORMAT, "whole blocks");
    expect_tensor("t", 12, 32, 1, 0, ERR_FORMAT, "whole blocks");
    expect_tensor("t", 16, 256, 1, 0, ERR_FORMAT, "IQ2_XXS");
    expect_tensor("t", 4, 32, 1, 0, ERR_FORMAT, "type 4");
    expect_tensor("t", UINT32_MAX, 32, 1, 0, ERR_FORMAT, "type");
    expect_tensor("", 0, 8, 8, 0, ERR_FORMAT, "name");
    char name[65] = {0};
    memset(name, 'n', 63);
    expect_tensor(name, 0, 8, 8, 0, OK, "");
    name[63] = 'n';
    expect_tensor(name, 0, 8, 8, 0, ERR_FORMAT, "64 bytes");
}

TEST(gguf_tensors_do_not_share_bytes_or_names)
{
    struct buf b = {0};
    static const struct { const char *name; uint64_t offset; const char *word; } second[] = {
        {"u", 256, ""}, {"u", 224, "share"}, {"u", 0, "share"}, {"t", 256, "twice"}};
    for (size_t i = 0; i < 4; i++) {
        head(&b, 3, 2, 0);
        info(&b, "t", 0, 8, 8, 0);
        info(&b, second[i].name, 0, 8, 8, second[i].offset);
        fill_data(&b, 512);
        expect(&b, i ? ERR_FORMAT : OK, second[i].word);
    }
    for (uint32_t dims = 0; dims < 70; dims += dims < 6 ? 1 : 32) {
        head(&b, 3, 1, 0);
        string(&b, "t");
        u32(&b, dims);
        for (uint32_t i = 0; i < dims; i++)
            u64(&b, 2);
        u32(&b, 0);
        u64(&b, 0);
        fill_data(&b, 512);
        expect(&b, dims >= 1 && dims <= 4 ? OK : ERR_FORMAT, "dimensions");
    }
    buf_free(&b);
}

/* Touch all that a reader could. */
static void read_everything(const struct gguf *g)
{
    struct str s;
    int64_t i;
    double d;
    size_t n = 0;
    bool yes;
    gguf_str(g, "general.architecture", &s, NULL);
    gguf_int(g, "a.u32", 0, 9, &i, NULL);
    gguf_num(g, "a.f32", &d, NULL);
    gguf_bool(g, "a.bool", &yes, NULL);
    if (!gguf_array(g, "a.strings", true, &n, NULL))
        for (size_t k = 0; k < n; k++)
            CHECK(gguf_array_str(g, "a.strings", k).len < 4096);
    if (!gguf_array(g, "a.floats", false, &n, NULL))
        for (size_t k = 0; k < n; k++)
            gguf_array_num(g, "a.floats", k);
    for (size_t k = 0; k < gguf_n_tensors(g); k++) {
        const struct tensor *t = gguf_tensor_at(g, k);
        CHECK(t->ne[0] <= 4096);
        float row[4096];
        for (int64_t r = 0; r < t->ne[1] * t->ne[2] * t->ne[3]; r++)
            tensor_row(t, r, row);
    }
}

TEST(gguf_cut_at_any_byte_is_refused)
{
    struct buf b = {0};
    struct err err = {0};
    struct gguf *g;
    CHECK_OK(file_read(sample(), 1 << 20, &b, &err), &err);
    size_t end = b.len;
    while (end > 0 && gguf_open_bytes("cut", b.ptr, end, &g, &err) == OK) {
        gguf_close(g);                     /* the padding at the end may go */
        end--;
    }
    CHECK(b.len - end < 32 && end > 0);
    for (size_t n = 0; n <= end; n++) {
        char *exact = malloc(n + 1);       /* so that a sanitizer sees the end */
        memcpy(exact, b.ptr, n);
        CHECK_ERR(gguf_open_bytes("cut", exact, n, &g, &err), ERR_FORMAT);
        free(exact);
    }
    buf_free(&b);
}

TEST(gguf_with_any_bit_flipped_is_refused_or_harmless)
{
    struct buf b = {0};
    struct err err = {0};
    CHECK_OK(file_read(sample(), 1 << 20, &b, &err), &err);
    int opened = 0;
    for (size_t bit = 0; bit < b.len * 8; bit++) {
        struct gguf *g = NULL;
        b.ptr[bit / 8] ^= (char)(1 << bit % 8);
        if (gguf_open_bytes("flip", b.ptr, b.len, &g, &err) == OK) {
            read_everything(g);
            gguf_close(g);
            opened++;
        }
        b.ptr[bit / 8] ^= (char)(1 << bit % 8);
    }
    CHECK(opened > 0);
    buf_free(&b);
}

TEST(gguf_that_everyone_may_write_is_refused)
{
    struct gguf *g;
    struct err err = {0};
    const char *path = sample();
    CHECK(chmod(path, 0666) == 0);
    CHECK_ERR(gguf_open(path, &g, &err), ERR_IO);
    CHECK(strstr(err.msg, "chmod"));
    CHECK_ERR(gguf_open("/nowhere/model.gguf", &g, &err), ERR_NOTFOUND);
    CHECK_ERR(gguf_open(scratch_dir(), &g, &err), ERR_IO);
}

/* 4,000 strings, then a tensor of a few pages. */
static const char *long_sample(void)
{
    static char path[512];
    static float numbers[8192];
    struct str strings[4000];
    struct err err = {0};
    snprintf(path, sizeof(path), "%s/long.gguf", scratch_dir());
    for (int i = 0; i < 4000; i++)
        strings[i] = STR("a string that is checked once and read later, again and again and again");
    for (int i = 0; i < 8192; i++)
        numbers[i] = 1;
    struct gguf_writer *w = gguf_writer_new();
    gguf_put_strs(w, "a.strings", strings, 4000);
    gguf_put_tensor(w, "one", TENSOR_F32, 1, (const int64_t[]){8192}, numbers);
    CHECK_OK(gguf_save(w, path, &err), &err);
    gguf_writer_free(w);
    return path;
}

/* Lengths that were checked against the file must not come from it again. */
TEST(gguf_head_stays_what_was_checked_when_the_file_is_written_over)
{
    struct gguf *g;
    struct err err = {0};
    struct stat st;
    float row[8192];
    const char *path = long_sample();
    CHECK_OK(gguf_open(path, &g, &err), &err);
    CHECK_OK(gguf_intact(g, &err), &err);
    int fd = open(path, O_WRONLY);
    CHECK(fd >= 0 && fstat(fd, &st) == 0);
    for (off_t at = 0; at < st.st_size; at += 8)
        CHECK_INT(pwrite(fd, "\377\377\377\377\377\377\377\177", 8, at), 8);
    close(fd);
    for (size_t i = 0; i < 4000; i++)
        CHECK_INT(gguf_array_str(g, "a.strings", i).len, 71);
    CHECK_ERR(gguf_intact(g, &err), ERR_IO);
    CHECK_INT(truncate(path, 100), 0);
    tensor_row(gguf_tensor(g, "one"), 0, row);
    CHECK(row[8191] == 0);
    CHECK_INT(gguf_array_str(g, "a.strings", 3999).len, 71);
    CHECK_ERR(gguf_intact(g, &err), ERR_IO);
    CHECK_MSG(strstr(err.msg, "written while it was read"), "%s", err.msg);
    gguf_close(g);
}

/* Another file in its place is no harm: ours lives on. */
TEST(gguf_stays_intact_when_another_file_takes_its_name)
{
    struct gguf *g;
    struct err err = {0};
    float row[8192];
    const char *path = long_sample();
    CHECK_OK(gguf_open(path, &g, &err), &err);
    CHECK_INT(rename(sample(), path), 0);
    tensor_row(gguf_tensor(g, "one"), 0, row);
    CHECK(row[8191] == 1);
    CHECK_OK(gguf_intact(g, &err), &err);
    gguf_close(g);
}

/* Pages of files that this process shows in its memory. */
static long shown_pages(void)
{
    long all = 0, shown = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    CHECK(f && fscanf(f, "%ld %ld", &all, &shown) == 2 && fscanf(f, "%ld", &shown) == 1);
    fclose(f);
    return shown;
}

/* The kernel counts by the handful: a few hundred of 8192 pages are not asked after. */
TEST(gguf_gives_back_the_memory_of_what_was_read_and_reads_it_again)
{
    enum { ROWS = 8192, PAGE = 4096 };
    char path[512];
    snprintf(path, sizeof(path), "%s/large.gguf", scratch_dir());
    uint8_t *bytes = malloc((size_t)ROWS * PAGE);
    struct gguf_writer *w = gguf_writer_new();
    struct gguf *g;
    struct err err = {0};
    for (size_t i = 0; i < (size_t)ROWS * PAGE; i++)
        bytes[i] = (uint8_t)(i * 2654435761u >> 24);
    gguf_put_str(w, "general.architecture", STR("static"));
    gguf_put_tensor(w, "before", TENSOR_F32, 1, (const int64_t[]){3}, bytes);
    gguf_put_tensor(w, "large", TENSOR_F32, 2, (const int64_t[]){PAGE / 4, ROWS}, bytes);
    CHECK_OK(gguf_save(w, path, &err), &err);
    gguf_writer_free(w);
    CHECK_OK(gguf_open(path, &g, &err), &err);
    const struct tensor *t = gguf_tensor(g, "large"), *before = gguf_tensor(g, "before");
    for (int again = 0; again < 2; again++) {
        CHECK(memcmp(t->data, bytes, t->size_bytes) == 0);
        long shown = shown_pages();
        gguf_done_with(g, t->data, t->size_bytes);
        gguf_done_with(g, before->data, before->size_bytes);
        CHECK_MSG(shown - shown_pages() > ROWS * 3 / 4, "%ld of %ld pages are still shown",
                  shown_pages(), shown);
        CHECK(memcmp(before->data, bytes, before->size_bytes) == 0);
    }
    gguf_close(g);
    struct buf whole = {0};    /* bytes of somebody else's stay */
    CHECK_OK(file_read(path, SIZE_MAX, &whole, &err), &err);
    uint8_t *pages = aligned_alloc(PAGE, (whole.len + PAGE - 1) / PAGE * PAGE);
    memcpy(pages, whole.ptr, whole.len);
    CHECK_OK(gguf_open_bytes("memory", pages, whole.len, &g, &err), &err);
    t = gguf_tensor(g, "large");
    gguf_done_with(g, t->data, t->size_bytes);
    CHECK(memcmp(t->data, bytes, t->size_bytes) == 0);
    gguf_close(g);
    buf_free(&whole);
    free(pages);
    free(bytes);
}

TEST(gguf_hash_is_of_the_whole_file)
{
    struct gguf *g;
    struct err err = {0};
    char a[33], b[33];
    const char *path = sample();
    CHECK_OK(gguf_open(path, &g, &err), &err);
    gguf_hash(g, a);
    gguf_close(g);
    FILE *f = fopen(path, "ab");
    CHECK(f && fputc(0, f) == 0 && fclose(f) == 0);
    CHECK_OK(gguf_open(path, &g, &err), &err);
    gguf_hash(g, b);
    gguf_close(g);
    CHECK(strlen(a) == 32 && strcmp(a, b) != 0);
}

TEST(gguf_hostile_files_end_as_their_list_says)
{
    struct buf list = {0};
    struct err err = {0};
    CHECK_OK(file_read(data_path("hostile/gguf/manifest.tsv"), 1 << 20, &list, &err), &err);
    struct str rest = buf_view(&list), line;
    int seen = 0;
    while (str_split(&rest, '\n', &line)) {
        struct str name, verdict;
        struct gguf *g;
        char path[4096];
        if (!str_split(&line, '\t', &name) || !name.len || !str_split(&line, '\t', &verdict))
            continue;
        snprintf(path, sizeof(path), "%s/%.*s", data_path("hostile/gguf"), STR_ARG(name));
        if (!file_exists(path))            /* the list names more than a set may hold */
            continue;
        enum err_code rc = gguf_open(path, &g, &err);
        CHECK_MSG(str_eqz(verdict, rc ? "reject" : "accept"), "%s: %s", path, err.msg);
        if (!rc)
            gguf_close(g);
        seen++;
    }
    CHECK(seen > 50);
    buf_free(&list);
}
