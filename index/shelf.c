/* The collections in memory: each with its lengths and its graph. */
#include "index/index_int.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void shelf_free(struct shelf *s)
{
    lengths_deinit(&s->lengths);
    graph_deinit(&s->graph);
    for (int i = 0; i < FILTERS_KEPT; i++) {
        free(s->filters[i].json);
        free(s->filters[i].filter.spans);
    }
    pthread_mutex_destroy(&s->filters_lock);
    free(s);
}

enum err_code shelf_new(struct index *x, int64_t id, const char *name, int dim, struct shelf **out,
                        struct err *err)
{
    struct shelf *s = calloc(1, sizeof(*s));
    if (!s)
        return err_set(err, ERR_NOMEM, "a collection");
    s->id = id;
    s->dim = dim;
    s->refs = 1;
    pthread_mutex_init(&s->filters_lock, NULL);
    snprintf(s->name, sizeof(s->name), "%s", name);
    enum err_code rc = graph_init(&s->graph, dim, &x->opt, err);
    if (!rc) {   /* room in the list, so that shelf_put_in cannot fail */
        pthread_rwlock_wrlock(&x->shelves_lock);
        struct shelf **list = realloc(x->shelves, ((size_t)x->n_shelves + 64) * sizeof(*list));
        if (list)
            x->shelves = list;
        pthread_rwlock_unlock(&x->shelves_lock);
        if (!list)
            rc = err_set(err, ERR_NOMEM, "a collection");
    }
    if (rc) {
        free(s);
        return rc;
    }
    *out = s;
    return OK;
}

void shelf_put_in(struct index *x, struct shelf *s)
{
    pthread_rwlock_wrlock(&x->shelves_lock);
    x->shelves[x->n_shelves++] = s;
    pthread_rwlock_unlock(&x->shelves_lock);
}

static int find(struct index *x, const char *name)
{
    for (int i = 0; i < x->n_shelves; i++)
        if (strcmp(x->shelves[i]->name, name) == 0)
            return i;
    return -1;
}

struct shelf *shelf_take_out(struct index *x, const char *name)
{
    pthread_rwlock_wrlock(&x->shelves_lock);
    int i = find(x, name);
    struct shelf *s = i < 0 ? NULL : x->shelves[i];
    if (s)
        x->shelves[i] = x->shelves[--x->n_shelves];
    pthread_rwlock_unlock(&x->shelves_lock);
    return s;
}

struct shelf *shelf_take(struct index *x, const char *name)
{
    pthread_rwlock_rdlock(&x->shelves_lock);
    int i = find(x, name);
    struct shelf *s = i < 0 ? NULL : x->shelves[i];
    if (s)
        s->refs++;
    pthread_rwlock_unlock(&x->shelves_lock);
    return s;
}

struct shelf *shelf_at(struct index *x, int i)
{
    pthread_rwlock_rdlock(&x->shelves_lock);
    struct shelf *s = i < x->n_shelves ? x->shelves[i] : NULL;
    if (s)
        s->refs++;
    pthread_rwlock_unlock(&x->shelves_lock);
    return s;
}

void shelf_give(struct shelf *s)
{
    if (s && atomic_fetch_sub(&s->refs, 1) == 1)
        shelf_free(s);
}
