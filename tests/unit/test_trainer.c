#include "tests/test.h"
#include "base/file.h"
#include "embed/table.h"
#include "embed/trainer.h"

enum { TOPICS = 12, PAIRS = 600 };

/* Queries and passages of a topic share meaning but no word. */
static void make_pairs(struct pairs *p)
{
    static const char *const q[TOPICS] = {"car",   "doctor", "sea",    "money", "bread", "war",
                                          "music", "snow",   "school", "king",  "star",  "horse"};
    static const char *const a[TOPICS] = {"automobile", "physician", "ocean",  "currency",
                                          "loaf",       "battle",    "melody", "ice",
                                          "pupils",     "monarch",   "galaxy", "saddle"};
    static const char *const filler[] = {"about", "some", "which", "that", "very"};
    static struct str source = {"made", 4};
    p->v = calloc(PAIRS, sizeof(*p->v));
    p->n_sources = 1;
    p->sources = &source;
    for (int i = 0; i < PAIRS; i++) {
        int t = i % TOPICS;
        struct str query = {arena_printf(&p->texts, "%s %s", filler[i % 5], q[t]), 0};
        struct str text = {arena_printf(&p->texts, "%s %s %s %s", filler[i / 7 % 5], a[t],
                                        filler[i / 3 % 5], a[t]),
                           0};
        query.len = strlen(query.ptr);
        text.len = strlen(text.ptr);
        p->v[p->n++] = (struct pair){query, text, 0};
    }
}

static void drop_pairs(struct pairs *p)
{
    free(p->v);
    arena_deinit(&p->texts);
}

static const struct trainer_options tiny = {.dim = 32, .pieces = 300, .batch = 48, .passes = 8};

static void train(const struct pairs *p, struct trainer_options opt, int threads, const char *name,
                  struct buf *bytes, struct trainer_result *r)
{
    char path[512];
    struct err err = {0};
    snprintf(path, sizeof(path), "%s/%s", scratch_dir(), name);
    CHECK_OK(team_new(threads, &opt.team, &err), &err);
    CHECK_OK(trainer_run(&opt, p, path, r, &err), &err);
    CHECK_OK(file_read(path, 1 << 24, bytes, &err), &err);
    CHECK_INT(r->size_bytes, bytes->len);
    team_free(opt.team);
}

TEST(trainer_lowers_the_loss)
{
    struct pairs p = {0};
    struct buf file = {0};
    struct trainer_result r;
    make_pairs(&p);
    train(&p, tiny, 1, "a.gguf", &file, &r);
    CHECK_INT(r.pairs, PAIRS);
    CHECK_MSG(r.last_loss < r.first_loss / 3, "loss %g, at first %g", r.last_loss, r.first_loss);
    buf_free(&file);
    drop_pairs(&p);
}

TEST(trainer_gives_the_same_file_for_a_seed_whatever_the_team)
{
    struct pairs p = {0};
    struct buf a = {0}, b = {0}, other = {0};
    struct trainer_result r;
    make_pairs(&p);
    struct trainer_options opt = tiny;
    opt.passes = 2;
    train(&p, opt, 1, "a.gguf", &a, &r);
    train(&p, opt, 3, "b.gguf", &b, &r);
    opt.seed = 2;
    train(&p, opt, 1, "c.gguf", &other, &r);
    CHECK(a.len == b.len && memcmp(a.ptr, b.ptr, a.len) == 0);
    CHECK(other.len != a.len || memcmp(a.ptr, other.ptr, a.len) != 0);
    buf_free(&a);
    buf_free(&b);
    buf_free(&other);
    drop_pairs(&p);
}

static double cosine(const struct table *t, const char *x, const char *y)
{
    float a[32], b[32];
    struct err err = {0};
    double sum = 0;
    CHECK_OK(table_embed(t, str_of(x), a, NULL, &err), &err);
    CHECK_OK(table_embed(t, str_of(y), b, NULL, &err), &err);
    for (int d = 0; d < 32; d++)
        sum += (double)a[d] * (double)b[d];
    return sum;
}

TEST(trainer_brings_words_together_that_answer_each_other)
{
    struct pairs p = {0};
    struct buf file = {0};
    struct trainer_result r;
    struct gguf *g = NULL;
    struct table *t = NULL;
    struct str sources = {0};
    struct err err = {0};
    make_pairs(&p);
    train(&p, tiny, 2, "a.gguf", &file, &r);
    CHECK_OK(gguf_open_bytes("trained", file.ptr, file.len, &g, &err), &err);
    CHECK_OK(table_open(g, &t, &err), &err);
    CHECK_OK(gguf_str(g, "general.sources", &sources, &err), &err);
    CHECK_STR(sources, "made");
    CHECK(cosine(t, "car", "automobile") > cosine(t, "car", "physician") + 0.3);
    CHECK(cosine(t, "sea", "ocean") > cosine(t, "sea", "melody") + 0.3);
    table_free(t);
    gguf_close(g);
    buf_free(&file);
    drop_pairs(&p);
}

TEST(trainer_refuses_options_out_of_their_range)
{
    struct pairs p = {0};
    struct trainer_result r;
    struct err err = {0};
    struct trainer_options opt = tiny;
    make_pairs(&p);
    opt.dim = 40;
    CHECK_ERR(trainer_run(&opt, &p, "/nowhere/x.gguf", &r, &err), ERR_ARG);
    opt = tiny;
    opt.scale = 41;
    CHECK_ERR(trainer_run(&opt, &p, "/nowhere/x.gguf", &r, &err), ERR_ARG);
    opt = tiny;
    p.n = 1;
    CHECK_ERR(trainer_run(&opt, &p, "/nowhere/x.gguf", &r, &err), ERR_ARG);
    drop_pairs(&p);
}

TEST(trainer_stops_when_it_is_asked_and_leaves_no_file)
{
    struct pairs p = {0};
    struct trainer_result r;
    struct err err = {0};
    struct stop stop = {0};
    struct trainer_options opt = tiny;
    char path[512];
    snprintf(path, sizeof(path), "%s/never.gguf", scratch_dir());
    make_pairs(&p);
    stop_set(&stop);
    opt.stop = &stop;
    CHECK_ERR(trainer_run(&opt, &p, path, &r, &err), ERR_CANCELLED);
    CHECK(!file_exists(path));
    drop_pairs(&p);
}
