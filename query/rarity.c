#include "query/rarity.h"
#include <math.h>
#include "base/words.h"

#define STEMS_MAX 1024
#define ABSENT    0.5

double rarity_formula(int64_t with, int64_t total)
{
    double n = (double)(with > 0 ? with : 0) + RARITY_PRIOR / 50.0;
    double all = (double)(total > with ? total : with) + RARITY_PRIOR;
    double rare = log(1 + (all - n + 0.5) / (n + 0.5));
    return with > 0 ? rare : ABSENT * rare;
}

struct gather {
    struct rarity *r;
    struct arena *a;
    bool full;
};

static bool gather(void *arg, const struct word *w)
{
    struct gather *g = arg;
    struct rarity *r = g->r;
    for (int i = 0; i < r->n; i++)
        if (str_eq(r->stems[i], w->stem))
            return true;
    struct str copy = arena_str(g->a, w->stem);
    g->full = !copy.ptr;
    if (copy.ptr)
        r->stems[r->n++] = copy;
    return copy.ptr && r->n < STEMS_MAX;
}

enum err_code rarity_read(struct index *x, const char *collection, struct str question,
                          struct arena *a, struct rarity *out, struct err *err)
{
    *out = (struct rarity){.stems = arena_alloc(a, STEMS_MAX, sizeof(*out->stems))};
    struct gather g = {.r = out, .a = a};
    struct words *w = NULL;
    if (!out->stems)
        return err_set(err, ERR_NOMEM, "the words of a question");
    enum err_code rc = words_new(&w, err);
    if (!rc)
        rc = words_each(w, question, gather, &g, err);
    words_free(w);
    int64_t *with = arena_alloc(a, (size_t)out->n, sizeof(*with)), total = 0;
    out->idf = arena_alloc(a, (size_t)out->n, sizeof(*out->idf));
    if (!rc && (g.full || !with || !out->idf))
        rc = err_set(err, ERR_NOMEM, "the words of a question");
    if (!rc && out->n)
        rc = index_word_counts(x, collection, out->stems, out->n, with, &total, err);
    for (int i = 0; i < out->n && !rc; i++)
        out->idf[i] = rarity_formula(with[i], total);
    return rc;
}

double rarity_idf(void *arg, struct str stem)
{
    const struct rarity *r = arg;
    for (int i = 0; i < r->n; i++)
        if (str_eq(r->stems[i], stem))
            return r->idf[i];
    return rarity_formula(0, 0);
}
