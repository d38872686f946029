/* web/access.h - who may do what: the one place that decides, for every route.
 *
 * No key in the store and a loopback address: everyone, everything. Else a key
 * by `Authorization: Bearer` or by the strict cookie the sign-in page sets.
 * Threads   no state of its own. */
#ifndef CARREL_WEB_ACCESS_H
#define CARREL_WEB_ACCESS_H
#include "web/request.h"

#define ACCESS_COOKIE "carrel_key"

/* May this request use its route? Sets r->who; false with r->failure set (401,
 * 403, 429), or a redirect to the sign-in page. */
bool access_authorize(struct request *r);
/* Is `text` a key? Counts a wrong one against its address; when there were too
 * many, r->failure is set (429). */
bool access_key(struct request *r, struct str text, struct key *out);
/* May it see that collection? A foreign one is told as if it were not there. */
bool access_sees(const struct request *r, const char *collection);
/* Find a document and check that; ERR_NOTFOUND in the same words for both. */
enum err_code access_document(struct request *r, struct str id, struct document *out,
                              struct err *err);
/* The collection named by a field (or the default one); ERR_NOTFOUND when foreign. */
enum err_code access_collection(struct request *r, struct str wanted, const char **name,
                                struct err *err);
/* Does the Host header name this box? (DNS rebinding) */
bool access_host(const struct request *r);
#endif
