#include "query/render.h"
#include <string.h>
#include "base/utf8.h"

#define QUADS_MAX 64 /* lines of a quote that are drawn; a page has fewer */

/* {"start","end"} */
static json_t *span(size_t start, size_t end)
{
    json_t *o = json_object();
    json_put(o, "start", json_integer((json_int_t)start));
    json_put(o, "end", json_integer((json_int_t)end));
    return o;
}

static json_t *text(const char *z)
{
    return json_text(str_of(z ? z : ""));
}

static json_t *page(uint32_t n)
{
    return n ? json_integer(n) : json_null();
}

static json_t *headings(const char *joined)
{
    json_t *list = json_array();
    struct str rest = str_of(joined), level;
    while (rest.len && str_split(&rest, '\n', &level))
        if (level.len)
            json_array_append_new(list, json_text(level));
    return list;
}

/* {"rank","score"}; null for a side that did not find it. */
static json_t *side(int rank, double score)
{
    if (!rank)
        return json_null();
    json_t *o = json_object();
    json_put(o, "rank", json_integer(rank));
    json_put(o, "score", json_real(score));
    return o;
}

static json_t *explanation(const struct hit *h)
{
    json_t *o = json_object();
    json_put(o, "dense", side(h->dense_rank, h->dense_score));
    json_put(o, "words", side(h->words_rank, h->words_score));
    json_put(o, "fused", json_real(h->fused));
    json_put(o, "rerank", json_null());
    return o;
}

static void put_source(json_t *o, const struct hit *h)
{
    json_put(o, "document_id", text(h->chunk.document));
    json_put(o, "document_name", text(h->chunk.document_name));
    bool known = h->chunk.uri && h->chunk.uri[0];
    json_put(o, "uri", known ? text(h->chunk.uri) : json_null());
    json_put(o, "chunk_id", json_integer(h->chunk.id));
}

json_t *render_hit(const struct hit *h, bool explain)
{
    json_t *o = json_object();
    json_put(o, "n", json_integer(h->n));
    put_source(o, h);
    json_put(o, "score", json_real(h->score));
    json_put(o, "text", json_text(h->text));
    json_put(o, "span", span(h->start, h->end));
    json_put(o, "page", page(h->chunk.page));
    json_put(o, "heading", headings(h->chunk.heading));
    if (explain)
        json_put(o, "explain", explanation(h));
    return o;
}

json_t *render_hits(const struct hit *hits, int n, bool explain)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(list, render_hit(&hits[i], explain));
    return list;
}

json_t *render_strings(const char *const *s, int n)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(list, text(s[i]));
    return list;
}

json_t *render_timings(const struct search_timings *t)
{
    json_t *o = json_object();
    json_put(o, "embed", json_real(t->embed_ms));
    json_put(o, "ann", json_real(t->ann_ms));
    json_put(o, "words", json_real(t->words_ms));
    json_put(o, "fuse", json_real(t->fuse_ms));
    return o;
}

static json_t *quads(const struct layout *l, uint32_t start, uint32_t end)
{
    float q[QUADS_MAX][4];
    int n = layout_quads(l, start, end, q, QUADS_MAX);
    json_t *list = json_array();
    for (int i = 0; i < n; i++) {
        json_t *one = json_array();
        for (int k = 0; k < 4; k++)
            json_array_append_new(one, json_real(q[i][k]));
        json_array_append_new(list, one);
    }
    return list;
}

json_t *render_citation(const struct citation *c, const struct hit *h, struct str stored,
                        const struct layout *layout)
{
    size_t before = utf8_count(str_sub(stored, 0, c->start));
    struct str quote = str_sub(stored, c->start, c->end);
    json_t *o = json_object(), *answer = span(c->answer_start, c->answer_end);
    json_put(answer, "unit", json_string("byte"));
    json_put(o, "n", json_integer(c->n));
    put_source(o, h);
    json_put(o, "span", span(c->start, c->end));
    json_put(o, "char_span", span(before, before + utf8_count(quote)));
    json_put(o, "page", page(layout_page(layout, c->start)));
    json_put(o, "quads", quads(layout, c->start, c->end));
    json_put(o, "heading", headings(h->chunk.heading));
    json_put(o, "quote", json_text(quote));
    json_put(o, "answer_span", answer);
    json_put(o, "score", json_real(h->score));
    json_put(o, "support", json_real(c->support));
    return o;
}

json_t *query_search_json(const struct search_request *req, const struct search_result *r)
{
    json_t *o = json_object(), *ms = render_timings(&r->ms);
    json_put(ms, "total", json_real(r->ms.total_ms));
    json_put(o, "query", json_text(req->query));
    json_put(o, "mode", json_string(search_mode_name(r->mode)));
    json_put(o, "hits", render_hits(r->hits, r->n_hits, req->explain));
    json_put(o, "degraded", render_strings(r->degraded, r->n_degraded));
    json_put(o, "timings_ms", ms);
    return o;
}
