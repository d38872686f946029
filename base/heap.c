#include "base/heap.h"

/* True when `a` belongs above `b`. */
static bool above(const struct heap *h, struct item a, struct item b)
{
    if (a.d != b.d)
        return h->far ? a.d > b.d : a.d < b.d;
    return h->far ? a.id > b.id : a.id < b.id;
}

void heap_push(struct heap *h, struct item it)
{
    int i = h->n++;
    while (i > 0 && above(h, it, h->v[(i - 1) / 2])) {
        h->v[i] = h->v[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    h->v[i] = it;
}

struct item heap_pop(struct heap *h)
{
    struct item top = h->v[0], it = h->v[--h->n];
    int i = 0;
    for (int child; (child = 2 * i + 1) < h->n; i = child) {
        if (child + 1 < h->n && above(h, h->v[child + 1], h->v[child]))
            child++;
        if (!above(h, h->v[child], it))
            break;
        h->v[i] = h->v[child];
    }
    h->v[i] = it;
    return top;
}
