#include "embed/bags.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"

#define SENTENCES_MAX      64
#define VIEW_PIECES_MIN    5 /* a shorter sentence says too little to ask with */
#define VIEW_SENTENCES_MIN 3 /* of a passage that gets a view */

static enum err_code no_memory(struct err *err)
{
    return err_set(err, ERR_NOMEM, "training texts as pieces");
}

/* A full stop, question or exclamation mark behind a word and before white
 * space; initials and list marks are words of one character. */
static bool ends_sentence(const struct wordpiece *w, struct str text, const int32_t *ids,
                          const uint32_t *ends, size_t i)
{
    struct str piece = wordpiece_piece(w, ids[i]);
    if (piece.len != 1 || !strchr(".?!", piece.ptr[0]) || i == 0)
        return false;
    bool space = ends[i] < text.len && (text.ptr[ends[i]] == ' ' || text.ptr[ends[i]] == '\n');
    return space && wordpiece_piece(w, ids[i - 1]).len > 1;
}

/* Append at most `max` known pieces of `text`; their number, or -1 with *err. */
static int append_text(struct corpus *c, const struct wordpiece *w, struct str text, int max,
                       struct err *err)
{
    int32_t ids[BAGS_PASSAGE_MAX];
    uint32_t ends[BAGS_PASSAGE_MAX];
    size_t n = 0;
    if (wordpiece_encode(w, text, ids, ends, (size_t)max, &n, err))
        return -1;
    if (n > (size_t)max)
        n = (size_t)max;
    int kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (ids[i] == wordpiece_unk(w))
            continue;
        uint32_t id = (uint32_t)ids[i];
        if (ends_sentence(w, text, ids, ends, i))
            id |= BAGS_SENTENCE_END;
        c->ids[c->n_ids + (size_t)kept++] = id;
    }
    c->n_ids += (size_t)kept;
    return kept;
}

/* Which texts hold which pieces; `last` is scratch: the last text that did. */
static void count_pieces(struct corpus *c, const uint32_t *ids, int n, uint32_t text,
                         uint32_t *last)
{
    for (int i = 0; i < n; i++) {
        uint32_t id = ids[i] & ~BAGS_SENTENCE_END;
        c->texts_with[id] += last[id] != text;
        last[id] = text;
    }
}

static enum err_code append_pair(struct corpus *c, const struct pair *p, const struct wordpiece *w,
                                 uint32_t *last, struct err *err)
{
    if (c->n_ids + BAGS_QUERY_MAX + BAGS_PASSAGE_MAX > c->cap_ids) {
        size_t cap = 2 * c->cap_ids + 65536;
        uint32_t *ids = realloc(c->ids, cap * sizeof(*ids));
        if (!ids)
            return no_memory(err);
        c->ids = ids;
        c->cap_ids = cap;
    }
    size_t at = c->n_ids;
    int q = append_text(c, w, p->q, BAGS_QUERY_MAX, err);
    int n = q < 0 ? -1 : append_text(c, w, p->p, BAGS_PASSAGE_MAX, err);
    if (n < 0)
        return err ? err->code : ERR_NOMEM;
    if (q == 0 || n == 0) {
        c->n_ids = at;
        return OK;
    }
    uint32_t text = 2 * (uint32_t)c->n;
    count_pieces(c, c->ids + at, q, text + 1, last);
    count_pieces(c, c->ids + at + q, n, text + 2, last);
    c->pairs[c->n++] =
        (struct corpus_pair){at,
                             (uint16_t)q,
                             (uint16_t)n,
                             p->source,
                             hash64(c->ids + at, (size_t)q * sizeof(*c->ids), 0),
                             hash64(c->ids + at + q, (size_t)n * sizeof(*c->ids), 0)};
    return OK;
}

enum err_code corpus_new(struct corpus *c, const struct pairs *p, const struct wordpiece *w,
                         const struct stop *stop, struct err *err)
{
    *c = (struct corpus){.n_pieces = (int)wordpiece_size(w), .n_sources = p->n_sources};
    c->pairs = calloc(p->n + 1, sizeof(*c->pairs));
    c->texts_with = calloc((size_t)c->n_pieces, sizeof(*c->texts_with));
    uint32_t *last = calloc((size_t)c->n_pieces, sizeof(*last));
    enum err_code rc = c->pairs && c->texts_with && last ? OK : no_memory(err);
    for (size_t i = 0; i < p->n && !rc; i++) {
        if (i % 1024 == 0)
            rc = stop_check(stop, err);
        if (!rc)
            rc = append_pair(c, &p->v[i], w, last, err);
    }
    free(last);
    if (rc)
        corpus_deinit(c);
    return rc;
}

void corpus_deinit(struct corpus *c)
{
    free(c->pairs);
    free(c->ids);
    free(c->texts_with);
    *c = (struct corpus){0};
}

/* Choose sentences of the passage to ask with; false when it has too few. */
static bool choose_view(const struct corpus *c, const struct corpus_pair *p, struct rng *rng,
                        struct plan_item *item)
{
    const uint32_t *ids = c->ids + p->at + p->n_query;
    uint16_t ends[SENTENCES_MAX + 1];
    int n = 0;
    ends[0] = 0;
    for (int i = 0; i < p->n_passage && n < SENTENCES_MAX; i++)
        if (ids[i] & BAGS_SENTENCE_END || i + 1 == p->n_passage)
            ends[++n] = (uint16_t)(i + 1);
    if (n < VIEW_SENTENCES_MIN)
        return false;
    uint64_t pick = rng_below(rng, (uint64_t)n);
    item->view_start = ends[pick];
    item->view_end = ends[pick + 1];
    return item->view_end - item->view_start >= VIEW_PIECES_MIN;
}

static void shuffle(struct plan_item *v, size_t n, struct rng *rng)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = rng_below(rng, i);
        struct plan_item t = v[i - 1];
        v[i - 1] = v[j];
        v[j] = t;
    }
}

static size_t draw_items(const struct corpus *c, double views, struct rng *rng,
                         struct plan_item *out)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        out[n++] = (struct plan_item){.pair = (uint32_t)i};
        struct plan_item view = {.pair = (uint32_t)i};
        if (rng_unit(rng) < views && choose_view(c, &c->pairs[i], rng, &view))
            out[n++] = view;
    }
    shuffle(out, n, rng);
    return n;
}

/* Move the items of each source together in whole batches to the front of `out`,
 * the others, still shuffled, behind them. */
static void group(const struct corpus *c, const struct plan_item *items, size_t n, size_t batch,
                  struct plan_item *out, size_t *place, size_t *grouped)
{
    size_t *counts = place, *next = place + c->n_sources, at = 0;
    for (size_t i = 0; i < n; i++)
        counts[c->pairs[items[i].pair].source]++;
    for (int s = 0; s < c->n_sources; s++) {
        counts[s] -= counts[s] % batch;
        next[s] = at;
        at += counts[s];
    }
    *grouped = at;
    for (size_t i = 0; i < n; i++) {
        int s = c->pairs[items[i].pair].source;
        out[counts[s] ? next[s]++ : at++] = items[i];
        counts[s] -= counts[s] > 0;
    }
}

/* Batches change places; what lies in them stays together. */
static void shuffle_batches(struct plan_item *v, size_t n, size_t batch, struct plan_item *scratch,
                            struct rng *rng)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = rng_below(rng, i), bytes = batch * sizeof(*v);
        if (j == i - 1)
            continue;
        memcpy(scratch, v + (i - 1) * batch, bytes);
        memcpy(v + (i - 1) * batch, v + j * batch, bytes);
        memcpy(v + j * batch, scratch, bytes);
    }
}

enum err_code plan_new(struct plan *p, const struct corpus *c, int batch, double views,
                       struct rng *rng, struct err *err)
{
    size_t b = (size_t)batch, grouped = 0;
    *p = (struct plan){.batch = batch};
    struct plan_item *drawn = calloc(2 * c->n + b, sizeof(*drawn));
    size_t *place = calloc(2 * (size_t)c->n_sources + 1, sizeof(*place));
    p->items = calloc(2 * c->n + b, sizeof(*p->items));
    enum err_code rc = drawn && place && p->items ? OK : no_memory(err);
    if (!rc) {
        size_t n = draw_items(c, views, rng, drawn);
        group(c, drawn, n, b, p->items, place, &grouped);
        shuffle(p->items + grouped, n - grouped, rng);
        p->n_batches = n / b;
        shuffle_batches(p->items, p->n_batches, b, drawn, rng);
    }
    free(drawn);
    free(place);
    if (rc)
        plan_deinit(p);
    return rc;
}

void plan_deinit(struct plan *p)
{
    free(p->items);
    *p = (struct plan){0};
}

enum err_code bags_new(struct bags *b, int batch, int n_pieces, struct err *err)
{
    size_t n = (size_t)batch, most = n * (BAGS_QUERY_MAX + 2 * BAGS_PASSAGE_MAX);
    *b = (struct bags){.batch = batch};
    b->start = calloc(2 * n + 1, sizeof(*b->start));
    b->ids = calloc(most, sizeof(*b->ids));
    b->weights = calloc(most, sizeof(*b->weights));
    b->same = calloc(2 * n, sizeof(*b->same));
    b->seen = calloc((size_t)n_pieces, sizeof(*b->seen));
    b->place = calloc((size_t)n_pieces, sizeof(*b->place));
    if (b->start && b->ids && b->weights && b->same && b->seen && b->place)
        return OK;
    bags_deinit(b);
    return no_memory(err);
}

void bags_deinit(struct bags *b)
{
    free(b->start);
    free(b->ids);
    free(b->weights);
    free(b->same);
    free(b->seen);
    free(b->place);
    *b = (struct bags){0};
}

/* Count ids[0..n) into the text that begins at `first` and ends at `at`; returns its new end. */
static int add_ids(struct bags *b, const uint32_t *ids, int n, int at)
{
    for (int i = 0; i < n; i++) {
        int32_t id = (int32_t)(ids[i] & ~BAGS_SENTENCE_END);
        if (b->seen[id] != b->text) {
            b->seen[id] = b->text;
            b->place[id] = at;
            b->ids[at] = id;
            b->weights[at++] = 0;
        }
        b->weights[b->place[id]] += 1;
    }
    return at;
}

/* Text number `t` is a[0..na) and b[0..nb) together. */
static void add_text(struct bags *bags, int t, const uint32_t *a, int na, const uint32_t *b, int nb)
{
    int first = bags->start[t];
    bags->text++;
    int at = add_ids(bags, a, na, first);
    at = add_ids(bags, b, nb, at);
    for (int i = first; i < at; i++)
        bags->weights[i] = 1 + logf(bags->weights[i]);
    bags->start[t + 1] = at;
}

void bags_fill(struct bags *b, const struct corpus *c, const struct plan *p, size_t i,
               struct rng *rng)
{
    const struct plan_item *items = p->items + i * (size_t)p->batch;
    for (int t = 0; t < b->batch; t++) {
        const struct corpus_pair *pair = &c->pairs[items[t].pair];
        const uint32_t *q = c->ids + pair->at, *text = q + pair->n_query;
        int from = items[t].view_start, to = items[t].view_end;
        if (to > 0)
            add_text(b, t, text + from, to - from, NULL, 0);
        else
            add_text(b, t, q, pair->n_query, NULL, 0);
        b->same[t] = to > 0 ? rng_next(rng) : pair->query_hash;
    }
    for (int t = 0; t < b->batch; t++) {
        const struct corpus_pair *pair = &c->pairs[items[t].pair];
        const uint32_t *text = c->ids + pair->at + pair->n_query;
        int from = items[t].view_start, to = items[t].view_end;
        add_text(b, b->batch + t, text, to ? from : pair->n_passage, text + to,
                 to ? pair->n_passage - to : 0);
        b->same[b->batch + t] = pair->passage_hash;
    }
}
