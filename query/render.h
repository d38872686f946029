/* query/render.h - hits and citations as API.md writes them.
 *
 * Threads   no state. Memory  values are the caller's; NULL without memory.
 * Private to query/. */
#ifndef CARREL_QUERY_RENDER_H
#define CARREL_QUERY_RENDER_H
#include "index/document.h"
#include "query/cite.h"
#include "query/query.h"

json_t *render_hit(const struct hit *h, bool explain);
json_t *render_hits(const struct hit *hits, int n, bool explain);
json_t *render_strings(const char *const *s, int n);
/* `stored` is the whole text of the hit's document, `layout` its layout. */
json_t *render_citation(const struct citation *c, const struct hit *h, struct str stored,
                        const struct layout *layout);
/* {"embed","ann","words","fuse"}; the caller adds "total". */
json_t *render_timings(const struct search_timings *t);
#endif
