/* web/keys.h - API keys: 256 random bits, shown once, stored as a hash.
 *
 * "carrel_" + 8 digits of id + 43 base64url characters; libsodium makes the
 * randomness and the BLAKE2b-256 that the store keeps.
 * Threads   no state. */
#ifndef CARREL_WEB_KEYS_H
#define CARREL_WEB_KEYS_H
#include "index/index.h"

#define KEY_TEXT_MAX 80
/* Make and store a key; its text goes to out, once. scopes: "query,ingest,admin" or fewer. */
enum err_code key_make(struct index *x, const char *name, const char *scopes,
                       const char *collection, char out[KEY_TEXT_MAX], struct err *err);
/* ERR_NOTFOUND when there is no such key. */
enum err_code key_find(struct index *x, struct str text, struct key *out, struct err *err);
#endif
