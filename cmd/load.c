#include "cmd/load.h"
#include <stdlib.h>
#include <string.h>
#include "base/map.h"
#include "cmd/fetch.h"
#include "cmd/people.h"
#include "index/jobs.h"

enum err_code load_init(struct load *l, struct target *t, const struct walk *w, struct err *err)
{
    l->t = t;
    l->items = calloc(w->n + 1, sizeof(*l->items));
    if (!l->items)
        return err_set(err, ERR_NOMEM, "a list of %zu files", w->n);
    l->n = w->n;
    for (size_t i = 0; i < w->n; i++)
        l->items[i].file = &w->files[i];
    l->count[LOAD_TODO] = w->n;
    return OK;
}

void load_free(struct load *l)
{
    for (int i = 0; i < l->n_batch; i++)
        blob_drop(l->blobs[i]);
    for (size_t i = 0; i < l->n; i++)
        free(l->items[i].error);
    free(l->items);
    *l = (struct load){0};
}

static void set_state(struct load *l, struct load_item *it, enum load_state to)
{
    l->count[it->state]--;
    l->count[to]++;
    it->state = to;
}

static void set_failed(struct load *l, struct load_item *it, const char *why)
{
    free(it->error);
    it->error = strdup(why);
    set_state(l, it, LOAD_FAILED);
}

static void set_ready(struct load *l, struct load_item *it, int64_t chunks)
{
    it->chunks = chunks;
    l->chunks += chunks;
    l->bytes += it->file->size_bytes;
    set_state(l, it, LOAD_READY);
}

/* ---- the store is here ---- */

static bool same_bytes(const char *a, const char *b)
{
    struct map x = {0}, y = {0};
    bool same = false;
    if (map_open(a, &x, NULL) == OK && map_open(b, &y, NULL) == OK)
        same = x.len == y.len && memcmp(x.ptr, y.ptr, x.len) == 0;
    map_close(&x);
    map_close(&y);
    return same;
}

/* What the store says of the newest document of this name: true when these
 * bytes are in it already (the item's state then tells how far they are). */
static enum err_code look_up(struct load *l, struct load_item *it, bool *known, struct err *err)
{
    struct index *x = l->t->rooms.index;
    const struct document_filter f = {
        .collection = l->collection, .state = -1, .name = it->file->name, .limit = 1};
    struct arena a = {0};
    struct document *d = NULL;
    char *blob = NULL;
    int n = 0;
    int64_t next;
    enum err_code rc = index_documents(x, &f, &a, &d, &n, &next, err);
    *known = !rc && n > 0 && d->size_bytes == it->file->size_bytes &&
             index_blob_path(x, d->id, &a, &blob, NULL) == OK && same_bytes(blob, it->file->path);
    if (*known && d->state == DOC_FAILED)
        *known = jobs_retry(x, d->job, NULL) == OK;
    if (*known) {
        memcpy(it->id, d->id, sizeof(it->id));
        set_state(l, it, d->state == DOC_READY ? LOAD_UNCHANGED : LOAD_WAITING);
    }
    arena_deinit(&a);
    return rc;
}

static void address_of(const struct walk_file *f, struct buf *b)
{
    struct str rest = str_of(f->path), part;
    buf_puts(b, "file://");
    for (bool first = true; str_split(&rest, '/', &part); first = false) {
        buf_puts(b, first ? "" : "/");
        buf_url(b, part);
    }
}

enum err_code load_flush(struct load *l, struct err *err)
{
    struct new_document docs[LOAD_BATCH] = {0};
    struct added added[LOAD_BATCH];
    struct buf uri[LOAD_BATCH] = {0};
    if (l->n_batch == 0)
        return OK;
    for (int i = 0; i < l->n_batch; i++) {
        const struct walk_file *f = l->items[l->batch[i]].file;
        if (!f->piped)
            address_of(f, &uri[i]);
        docs[i] = (struct new_document){.collection = l->collection,
                                        .name = f->name,
                                        .uri = uri[i].failed || !uri[i].len ? "" : uri[i].ptr,
                                        .mime = "",
                                        .metadata = l->metadata,
                                        .blob = l->blobs[i]};
    }
    enum err_code rc = index_add(l->t->rooms.index, docs, l->n_batch, added, err);
    for (int i = 0; i < l->n_batch; i++) {
        struct load_item *it = &l->items[l->batch[i]];
        buf_free(&uri[i]);
        if (rc)
            continue;
        memcpy(it->id, added[i].id, sizeof(it->id));
        set_state(l, it,
                  added[i].duplicate && added[i].state == DOC_READY ? LOAD_UNCHANGED
                                                                    : LOAD_WAITING);
    }
    if (!rc)
        l->n_batch = 0; /* on failure the blobs are still ours: load_free drops them */
    l->batch_bytes = 0;
    return rc;
}

static enum err_code offer_here(struct load *l, size_t i, struct err *err)
{
    struct load_item *it = &l->items[i];
    struct blob *blob = NULL;
    struct err why;
    bool known = false;
    enum err_code rc = look_up(l, it, &known, err);
    if (rc || known)
        return rc;
    rc = blob_from_file(l->t->rooms.index, it->file->path, (size_t)l->max_file_bytes, &blob, &why);
    if (rc) {
        set_failed(l, it, why.msg);
        return OK;
    }
    l->batch[l->n_batch] = i;
    l->blobs[l->n_batch++] = blob;
    l->batch_bytes += it->file->size_bytes;
    return l->n_batch == LOAD_BATCH || l->batch_bytes >= LOAD_BATCH_BYTES ? load_flush(l, err) : OK;
}

/* ---- the store is behind a server ---- */

static enum err_code offer_there(struct load *l, size_t i, struct err *err)
{
    struct load_item *it = &l->items[i];
    struct buf path = {0};
    json_t *out = NULL;
    struct err why;
    buf_puts(&path, "/v1/documents?name=");
    buf_url(&path, str_of(it->file->name));
    buf_puts(&path, "&collection=");
    buf_url(&path, str_of(l->collection));
    if (l->metadata) {
        buf_puts(&path, "&metadata=");
        buf_url(&path, str_of(l->metadata));
    }
    enum err_code rc = client_upload(l->t->client, path.ptr, it->file->path, &out, &why);
    buf_free(&path);
    const json_t *d = json_array_get(json_object_get(out, "documents"), 0);
    const char *id = people_text(d, "id");
    if (rc == ERR_IO || rc == ERR_CANCELLED || (rc && client_denied(l->t->client))) {
        err_set(err, rc, "%s", why.msg); /* no use in trying the others */
    } else if (rc || strlen(id) != 32) {
        set_failed(l, it, rc ? why.msg : "the server gave it no id");
        rc = OK;
    } else {
        memcpy(it->id, id, sizeof(it->id));
        bool same = json_is_true(json_object_get(d, "duplicate")) &&
                    strcmp(people_text(d, "state"), "ready") == 0;
        set_state(l, it, same ? LOAD_UNCHANGED : LOAD_WAITING);
    }
    json_decref(out);
    return rc;
}

enum err_code load_offer(struct load *l, size_t i, struct err *err)
{
    return l->t->client ? offer_there(l, i, err) : offer_here(l, i, err);
}

/* ---- waiting ---- */

static enum err_code poll_item(struct load *l, struct load_item *it, struct err *err)
{
    json_t *d = NULL;
    enum err_code rc = fetch_document(l->t, it->id, &d, err);
    if (rc == ERR_NOTFOUND) {
        set_failed(l, it, "it was deleted, or replaced by another file of its name");
        return OK;
    }
    if (rc)
        return rc;
    const char *state = people_text(d, "state");
    if (strcmp(state, "ready") == 0)
        set_ready(l, it, people_number(d, "chunks"));
    else if (strcmp(state, "failed") == 0)
        set_failed(l, it, people_text(d, "error"));
    json_decref(d);
    return OK;
}

enum err_code load_poll(struct load *l, struct err *err)
{
    /* Jobs end nearly in the order in which they were accepted, so looking no
     * further than a few that still run sees all but the last ones at once. */
    int busy = 0;
    size_t i = l->polled;
    for (; i < l->n && busy < 4; i++) {
        struct load_item *it = &l->items[i];
        if (it->state == LOAD_TODO)
            break;
        if (it->state == LOAD_WAITING) {
            enum err_code rc = poll_item(l, it, err);
            if (rc)
                return rc;
        }
        busy += it->state == LOAD_WAITING;
        if (!busy)
            l->polled = i + 1;
    }
    return OK;
}
