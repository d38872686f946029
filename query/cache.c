#include "query/cache.h"
#include <stdlib.h>
#include <string.h>
#include "base/hash.h"
#include "base/utf8.h"
#include "query/prompt.h"

/* Raised when the shape of what is kept changes, or any measured constant that
 * answers hang on: an upgrade must not serve what the old program said. */
#define KEY_VERSION 3

/* Folded, one space between words, no stop or space at the end. */
static enum err_code add_question(struct buf *b, struct str question, struct err *err)
{
    struct buf folded = {0};
    enum err_code rc = utf8_fold(question, &folded, err);
    struct str s = buf_view(&folded);
    size_t keep = b->len;
    bool gap = false;
    for (size_t i = 0; i < s.len && !rc;) {
        uint32_t cp;
        size_t n = (size_t)utf8_decode(s, i, &cp);
        if (utf8_is_space(cp)) {
            gap = b->len > keep;
        } else {
            if (gap)
                buf_char(b, ' ');
            gap = false;
            buf_add(b, s.ptr + i, n);
        }
        i += n;
    }
    while (!b->failed && b->len > keep && strchr(" ?.!", b->ptr[b->len - 1]))
        b->ptr[--b->len] = 0;
    buf_free(&folded);
    return rc;
}

/* One spelling for equal filters. */
static enum err_code add_filter(struct buf *b, const char *filter, struct err *err)
{
    json_t *v = NULL;
    if (!filter)
        return OK;
    enum err_code rc = json_read(str_of(filter), &v, err);
    if (rc)
        return err_set(err, ERR_ARG, "filter: not JSON");
    if (!json_is_object(v))
        rc = err_set(err, ERR_ARG, "filter: need a JSON object");
    char *text = rc || !json_object_size(v) ? NULL : json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS);
    if (text)
        buf_puts(b, text);
    free(text);
    json_decref(v);
    return rc;
}

static void add_hash(struct buf *b, struct str s)
{
    char hex[33];
    struct hash128 h = hash128(s.ptr ? s.ptr : "", s.len);
    hash_hex(h.bytes, 16, hex);
    buf_printf(b, "%zu:%s", s.len, hex);
}

enum err_code cache_model(const struct query *q, const struct ask_request *req,
                          const struct cache_served *served, struct arena *a, struct str *out,
                          struct err *err)
{
    struct buf b = {0};
    const struct llm_sampling *s = &req->sampling;
    buf_printf(&b, "prompt %d %s %d\n", PROMPT_VERSION, req->generator ? req->generator : "",
               req->json_object);
    buf_printf(&b, "%.17g %.17g %.17g %.17g %.17g %d\n", s->top_p, s->min_p, s->repetition,
               s->presence, s->frequency, s->top_k);
    for (int i = 0; i < s->n_bias; i++)
        buf_printf(&b, "%d %.9g ", s->bias[i].id, (double)s->bias[i].add);
    for (int i = 0; i < llm_n_models(q->opt.llm); i++) {
        struct llm_model m = llm_model_at(q->opt.llm, i);
        buf_printf(&b, "by %s %d %s\n", m.name, m.context, m.stamp);
    }
    for (int i = 0; i < req->n_stops; i++)
        add_hash(&b, req->stops[i]);
    char *schema = req->schema ? json_dumps(req->schema, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    bool failed = req->schema && !schema;
    if (schema)
        buf_printf(&b, "schema %s\n", schema);
    free(schema);
    for (int i = 0; i < served->n_hits; i++) {
        const struct hit *h = &served->hits[i];
        buf_printf(&b, "%s %u %u ", h->chunk.document, h->start, h->end);
        add_hash(&b, h->text);
        buf_char(&b, '\n');
    }
    if (served->n_turns)
        add_hash(&b, req->question); /* as it was put: the search query is in the key anyway */
    for (int i = 0; i < served->n_turns; i++) {
        add_hash(&b, served->turns[i].question);
        add_hash(&b, served->turns[i].answer);
    }
    *out = arena_str(a, buf_view(&b));
    failed = failed || b.failed || !out->ptr;
    buf_free(&b);
    return failed ? err_set(err, ERR_NOMEM, "a cache key") : OK;
}

enum err_code cache_key(const struct query *q, const struct ask_request *req,
                        struct str search_query, const struct scope *scope, struct str model,
                        struct arena *a, struct str *out, struct err *err)
{
    struct buf b = {0};
    const struct query_options *o = &q->opt;
    buf_printf(&b, "%d %s %s %d\n", KEY_VERSION, llm_name(o->llm), embed_stamp(o->embed)->hash,
               embed_stamp(o->embed)->version);
    buf_printf(&b, "%.17g %.17g %d %d %d %d %.17g %llu\n", o->dense_weight, o->min_evidence, o->ef,
               req->top_k ? req->top_k : o->ask_top_k, o->max_sentences, req->max_tokens,
               req->sampling.temperature,
               (unsigned long long)(req->sampling.temperature > 0 ? req->sampling.seed : 0));
    buf_str(&b, model);
    buf_printf(&b, "%s\n", scope->name);
    enum err_code rc = add_filter(&b, req->filter, err);
    buf_char(&b, '\n');
    if (!rc)
        rc = add_question(&b, search_query, err);
    if (!rc)
        rc = buf_ok(&b, "a cache key", err);
    if (!rc)
        *out = arena_str(a, buf_view(&b));
    if (!rc && !out->ptr)
        rc = err_set(err, ERR_NOMEM, "a cache key");
    buf_free(&b);
    return rc;
}

enum err_code cache_find(struct query *q, const struct scope *scope, struct str key,
                         struct arena *a, json_t **out, struct err *err)
{
    struct str text;
    *out = NULL;
    enum err_code rc = index_answer_find(q->opt.index, scope->name, key, a, &text, err);
    if (rc == ERR_NOTFOUND)
        return OK;
    return rc ? rc : json_read(text, out, err);
}

enum err_code cache_keep(struct query *q, const struct scope *scope, struct str key,
                         const json_t *value, const json_t *sources, struct arena *a,
                         struct err *err)
{
    size_t n = json_array_size(sources);
    const char **ids = arena_alloc(a, n, sizeof(*ids));
    struct buf b = {0};
    if (!ids)
        return err_set(err, ERR_NOMEM, "%zu document ids", n);
    for (size_t i = 0; i < n; i++)
        ids[i] = json_string_value(json_object_get(json_array_get(sources, i), "document_id"));
    json_write(&b, value);
    enum err_code rc = buf_ok(&b, "an answer", err);
    if (!rc)
        rc = index_answer_keep(q->opt.index, scope->name, scope->collection.revision, key,
                               buf_view(&b), ids, (int)n, err);
    buf_free(&b);
    return rc;
}
