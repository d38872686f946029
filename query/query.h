/* query/query.h - the front door: a question in, passages or a cited answer out.
 *
 * query_search: dense and BM25 candidates, fused, neighbours merged.
 * query_ask: search, the evidence gate, the generator (a language model where there
 * is one, else the passages' own sentences), citations checked byte by byte, the
 * exact-match answer cache.
 * Ranges    bytes of the document's stored text, half-open; pages from 1.
 * Threads   locks inside: any thread may call. Memory  results lie in the
 *           caller's arena; json values are the caller's (json_decref). */
#ifndef CARREL_QUERY_QUERY_H
#define CARREL_QUERY_QUERY_H
#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"
#include "base/str.h"
#include "base/thread.h"
#include "embed/embed.h"
#include "index/index.h"
#include "llm/llm.h"

struct query;
struct query_options {
    struct index *index;
    struct embed *embed;
    struct llm *llm;
    double dense_weight;       /* < 0: as the encoder's stamp says */
    double min_evidence;       /* < 0: as measured (query/ground.h) */
    int ef;                    /* HNSW beam; 0: 128 */
    int ask_top_k;             /* passages an answer may use; 0: 6 */
    int max_sentences;         /* extractive answers; 0: the engine's default */
};
enum err_code query_new(const struct query_options *opt, struct query **out, struct err *err);
void query_free(struct query *q);

enum search_mode { SEARCH_HYBRID, SEARCH_DENSE, SEARCH_WORDS };
/* ERR_ARG naming the three when `name` is none of them. */
enum err_code search_mode_parse(struct str name, enum search_mode *out, struct err *err);
const char *search_mode_name(enum search_mode m);

#define SEARCH_TOP_K_MAX 1000
#define QUESTION_BYTES_MAX 8192

struct search_request {
    struct str query;          /* 1..QUESTION_BYTES_MAX bytes of UTF-8 */
    const char *collection;    /* NULL: "default" */
    int top_k;                 /* 1..SEARCH_TOP_K_MAX; 0: 10 */
    enum search_mode mode;
    const char *filter;        /* JSON object text or NULL */
    bool explain;
    bool no_merge;             /* keep neighbouring chunks apart (eval) */
};
struct hit {
    int n;                     /* from 1 */
    struct stored_chunk chunk; /* of the best of the merged chunks */
    uint32_t start, end;       /* after merging neighbours */
    struct str text;           /* the stored text of [start, end) */
    double score;
    int dense_rank, words_rank;            /* 0: not among its candidates */
    double dense_score, words_score, fused;
};
struct search_timings { double embed_ms, ann_ms, words_ms, fuse_ms, total_ms; };
struct search_result {
    enum search_mode mode;     /* as served */
    struct hit *hits; int n_hits;
    const char *degraded[4]; int n_degraded;   /* "dense: the question has no known word" */
    struct search_timings ms;
};
enum err_code query_search(struct query *q, const struct search_request *req, struct arena *a,
                           struct search_result *out, struct err *err);
/* As API.md writes it. */
json_t *query_search_json(const struct search_request *req, const struct search_result *r);

struct ask_request {
    struct str question;
    const char *collection, *filter;
    const char *conversation;  /* id, "" or NULL */
    int top_k, max_tokens;     /* 0: as the options say; as llm.h says */
    /* What follows is a language model's. */
    const char *generator;     /* its name, or "extractive"; NULL: as llm.h tries them */
    struct llm_sampling sampling;
    bool has_seed;             /* without, a temperature above 0 draws anew each time */
    const struct str *stops; int n_stops;
    /* The answer as JSON of this schema, or as any object: then it has no marks, and
     * citations say which string or number each is for. Borrowed. */
    const json_t *schema;
    bool json_object;
    /* A conversation that is not stored here, oldest message first; looked at when
     * `conversation` is NULL. System messages are not ours and are left out. */
    const struct llm_message *history; int n_history;
};
/* Events as they happen; any may be NULL. Values are borrowed during the call.
 * Return false when the reader left. A language model's text comes as it is
 * written (marks checked, links that no passage has taken out), the citations behind it. */
struct ask_events {
    bool (*query)(void *arg, struct str search_query);
    bool (*sources)(void *arg, const json_t *hits);
    bool (*delta)(void *arg, struct str text);
    bool (*citation)(void *arg, const json_t *citation);
    void *arg;
};
/* *reply: the whole reply of API.md, `answer` included; of a language model with
 * `unsupported`, the ranges of the answer that no citation supports. Refusals are OK.
 * When no generator can answer the passages' own sentences do, and `degraded` says why.
 * ERR_BUSY: the queue is full, or a document was deleted while it was being cited: try later.
 * ERR_NOTFOUND: no such collection, conversation or model. ERR_IO: a generator broke off
 * when part of its answer was out. */
enum err_code query_ask(struct query *q, const struct ask_request *req,
                        const struct ask_events *events, const struct stop *stop, json_t **reply,
                        struct err *err);

struct query_counts { int64_t searches, asks, refused, cached; double search_ms, ask_ms; };
void query_counts(struct query *q, struct query_counts *out);
#endif
