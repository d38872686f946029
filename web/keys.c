#include "web/keys.h"
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/utf8.h"

#define KEY_HEAD   "carrel_"
#define HEAD_LEN   (sizeof(KEY_HEAD) - 1)
#define ID_LEN     8
#define SECRET_LEN 43                   /* 32 bytes in base64url, unpadded */
#define KEY_LEN    (HEAD_LEN + ID_LEN + SECRET_LEN)

static void hash_key(struct str text, uint8_t out[32])
{
    crypto_generichash(out, 32, (const unsigned char *)text.ptr, text.len, NULL, 0);
}

static enum err_code check_scopes(const char *scopes, struct err *err)
{
    struct str rest = str_of(scopes), one;
    if (rest.len == 0 || rest.len >= sizeof(((struct key *)0)->scopes))
        return err_set(err, ERR_ARG, "scopes: need one or more of query,ingest,admin");
    while (str_split(&rest, ',', &one))
        if (!str_eqz(one, "query") && !str_eqz(one, "ingest") && !str_eqz(one, "admin"))
            return err_set(err, ERR_ARG, "unknown scope \"%.*s\": there are query, ingest and "
                                         "admin", (int)(one.len < 32 ? one.len : 32), one.ptr);
    return OK;
}

static enum err_code check_name(struct str name, struct err *err)
{
    if (name.len < 1 || name.len >= sizeof(((struct key *)0)->name) || !utf8_valid(name))
        return err_set(err, ERR_ARG, "a key's name has 1 to 63 bytes of UTF-8");
    uint32_t cp;
    for (size_t i = 0; i < name.len; i += (size_t)utf8_decode(name, i, &cp)) {
        utf8_decode(name, i, &cp);
        if (utf8_is_control(cp))
            return err_set(err, ERR_ARG, "a key's name holds a control character");
    }
    return OK;
}

enum err_code key_make(struct index *x, const char *name, const char *scopes,
                       const char *collection, char out[KEY_TEXT_MAX], struct err *err)
{
    struct key k = {.created_ms = clock_now_ms()};
    uint8_t id[ID_LEN / 2], secret[32], hash[32];
    char digits[ID_LEN + 1], text[SECRET_LEN + 1];
    enum err_code rc = check_scopes(scopes, err);
    if (!rc)
        rc = check_name(str_of(name), err);
    if (rc)
        return rc;
    if (collection && strlen(collection) >= sizeof(k.collection))
        return err_set(err, ERR_ARG, "a collection's name has at most 63 bytes");
    if (sodium_init() < 0)
        return err_set(err, ERR_IO, "no randomness to make a key from");
    randombytes_buf(id, sizeof(id));
    randombytes_buf(secret, sizeof(secret));
    sodium_bin2hex(digits, sizeof(digits), id, sizeof(id));
    sodium_bin2base64(text, sizeof(text), secret, sizeof(secret),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    snprintf(out, KEY_TEXT_MAX, KEY_HEAD "%s%s", digits, text);
    snprintf(k.name, sizeof(k.name), "%s", name);
    snprintf(k.prefix, sizeof(k.prefix), "%s", digits);
    snprintf(k.scopes, sizeof(k.scopes), "%s", scopes);
    snprintf(k.collection, sizeof(k.collection), "%s", collection ? collection : "");
    hash_key(str_of(out), hash);
    rc = index_key_add(x, &k, hash, &k.id, err);
    if (rc)
        sodium_memzero(out, KEY_TEXT_MAX);
    sodium_memzero(secret, sizeof(secret));
    sodium_memzero(text, sizeof(text));
    return rc;
}

enum err_code key_find(struct index *x, struct str text, struct key *out, struct err *err)
{
    uint8_t hash[32];
    char prefix[ID_LEN + 1];
    if (text.len != KEY_LEN || !str_starts(text, STR(KEY_HEAD)))
        return err_set(err, ERR_NOTFOUND, "there is no such key");
    memcpy(prefix, text.ptr + HEAD_LEN, ID_LEN);
    prefix[ID_LEN] = '\0';
    hash_key(text, hash);
    return index_key_find(x, prefix, hash, out, err);
}
