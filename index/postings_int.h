/* index/postings_int.h - between postings.c and postings_search.c only. */
#ifndef CARREL_INDEX_POSTINGS_INT_H
#define CARREL_INDEX_POSTINGS_INT_H
#include "index/postings.h"

/* The connection's word reader, made at first use; NULL without memory. */
struct words *postings_words(struct conn *c, struct err *err);
/* `fmt` with every # replaced by the collection's table name. */
const char *postings_sql(char out[200], const char *fmt, int64_t collection);
/* FTS5 auxiliary function postings_walk(words_N, ?): see postings_search.c. */
void postings_walk(const Fts5ExtensionApi *api, Fts5Context *fts, sqlite3_context *ctx, int n,
                   sqlite3_value **args);
#endif
