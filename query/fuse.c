#include "query/fuse.h"
#include <stdlib.h>

static int by_chunk(const void *a, const void *b)
{
    const struct fused *x = a, *y = b;
    return x->chunk < y->chunk ? -1 : x->chunk > y->chunk;
}

static int by_score(const void *a, const void *b)
{
    const struct fused *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return by_chunk(a, b);
}

static double meaning(struct fuse_side d, double score)
{
    double top = d.n ? d.hits[0].score : 0;
    if (score <= d.base || top <= d.base)
        return 0;
    return (score - d.base) / (top - d.base);
}

/* What a chunk gets that the dense side did not find. */
static double unseen(struct fuse_side d)
{
    return d.n ? meaning(d, d.hits[d.n < FUSE_DEPTH ? d.n - 1 : FUSE_DEPTH - 1].score) : 0;
}

/* The two entries of a chunk that both sides found become one. */
static int join(struct fused *f, int n)
{
    int kept = 0;
    for (int i = 0; i < n; i++) {
        struct fused *last = kept ? &f[kept - 1] : NULL;
        if (!last || last->chunk != f[i].chunk) {
            f[kept++] = f[i];
            continue;
        }
        last->score += f[i].score;
        last->dense_rank += f[i].dense_rank;
        last->words_rank += f[i].words_rank;
        last->dense_score += f[i].dense_score;
        last->words_score += f[i].words_score;
    }
    return kept;
}

enum err_code fuse(struct fuse_side dense, struct fuse_side words, double weight, struct arena *a,
                   struct fused **out, int *n, struct err *err)
{
    *n = 0;
    if (!(weight >= 0 && weight <= 1))
        return err_set(err, ERR_ARG, "dense weight %g: need 0 to 1", weight);
    struct fused *f = arena_alloc(a, (size_t)dense.n + (size_t)words.n, sizeof(*f));
    if (!f)
        return err_set(err, ERR_NOMEM, "%d candidates", dense.n + words.n);
    int m = 0;
    for (int i = 0; i < dense.n; i++)
        f[m++] = (struct fused){.chunk = dense.hits[i].chunk,
                                .dense_rank = i + 1,
                                .dense_score = dense.hits[i].score,
                                .score = weight * meaning(dense, dense.hits[i].score)};
    double top = words.n ? words.hits[0].score : 0;
    for (int i = 0; i < words.n; i++)
        f[m++] = (struct fused){.chunk = words.hits[i].chunk,
                                .words_rank = i + 1,
                                .words_score = words.hits[i].score,
                                .score = top > 0 ? (1 - weight) * (words.hits[i].score / top) : 0};
    if (m)
        qsort(f, (size_t)m, sizeof(*f), by_chunk);
    m = join(f, m);
    for (int i = 0; i < m; i++)
        if (!f[i].dense_rank)
            f[i].score += weight * unseen(dense);
    if (m)
        qsort(f, (size_t)m, sizeof(*f), by_score);
    *out = f;
    *n = m;
    return OK;
}
