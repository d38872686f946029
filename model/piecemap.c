#include "model/piecemap.h"
#include <stdlib.h>
#include "base/hash.h"
#include "base/rng.h"

static enum err_code make_slots(struct piecemap *m, size_t cap, struct err *err)
{
    struct piecemap_slot *slots = malloc(cap * sizeof(*slots));
    if (!slots)
        return err_set(err, ERR_NOMEM, "a table of %zu pieces", cap / 2);
    for (size_t i = 0; i < cap; i++)
        slots[i].id = -1;
    m->slots = slots;
    m->mask = cap - 1;
    return OK;
}

enum err_code piecemap_init(struct piecemap *m, size_t n, struct err *err)
{
    size_t cap = 16;
    while (cap < 2 * n)
        cap *= 2;
    rng_secret(&m->seed, sizeof(m->seed));
    m->n = 0;
    return make_slots(m, cap, err);
}

void piecemap_free(struct piecemap *m)
{
    free(m->slots);
    *m = (struct piecemap){0};
}

/* The slot that has `s`, or the empty one where it belongs. */
static struct piecemap_slot *slot_of(const struct piecemap *m, const struct str *texts,
                                     struct str s, uint32_t *mark)
{
    uint64_t hash = hash64(s.ptr, s.len, m->seed);
    *mark = (uint32_t)(hash >> 32);
    for (size_t i = hash & m->mask;; i = (i + 1) & m->mask) {
        struct piecemap_slot *slot = &m->slots[i];
        if (slot->id < 0 || (slot->mark == *mark && str_eq(texts[slot->id], s)))
            return slot;
    }
}

static enum err_code grow(struct piecemap *m, const struct str *texts, struct err *err)
{
    struct piecemap_slot *old = m->slots;
    size_t cap = m->mask + 1;
    enum err_code rc = make_slots(m, 2 * cap, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < cap; i++) {
        uint32_t mark;
        if (old[i].id >= 0)
            *slot_of(m, texts, texts[old[i].id], &mark) = old[i];
    }
    free(old);
    return OK;
}

enum err_code piecemap_put(struct piecemap *m, const struct str *texts, int32_t id, struct err *err)
{
    uint32_t mark;
    if (2 * m->n > m->mask) {
        enum err_code rc = grow(m, texts, err);
        if (rc)
            return rc;
    }
    struct piecemap_slot *slot = slot_of(m, texts, texts[id], &mark);
    m->n += slot->id < 0;
    *slot = (struct piecemap_slot){mark, id};
    return OK;
}

int32_t piecemap_find(const struct piecemap *m, const struct str *texts, struct str s)
{
    uint32_t mark;
    return m->slots ? slot_of(m, texts, s, &mark)->id : -1;
}
