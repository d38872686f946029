/* config/remotes.c - llm.remote: a list of mappings, one for each server.
 *
 *   llm:
 *     remote:
 *       - name: big
 *         url: https://models.example/v1
 *         model: llama-3.3-70b
 *         key_file: /etc/carrel/models.key
 *
 * The keys of an entry are settings like others; url and model must be there. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include "config/config_int.h"

#define AT(field) offsetof(struct config_remote, field)

const struct setting remote_keys[REMOTE_KEYS] = {
    {"llm.remote", "name", SETTING_TEXT, AT(name), NULL, 1, 63, NULL, ""},
    {"llm.remote", "url", SETTING_TEXT, AT(url), NULL, 10, 1000, NULL, ""},
    {"llm.remote", "model", SETTING_TEXT, AT(model), NULL, 1, 255, NULL, ""},
    {"llm.remote", "key_file", SETTING_PATH, AT(key_file), NULL, 0, 4000, NULL, ""},
    {"llm.remote", "timeout_ms", SETTING_INT, AT(timeout_ms), "60000", 100, 3600000, NULL, ""},
    {"llm.remote", "attempts", SETTING_INT, AT(attempts), "3", 1, 10, NULL, ""},
};

const struct setting *remote_key_find(struct str key)
{
    for (int i = 0; i < REMOTE_KEYS; i++)
        if (str_eqz(key, remote_keys[i].key))
            return &remote_keys[i];
    return NULL;
}

void remote_key_suggest(struct buf *b, struct str wrong)
{
    const char *best = NULL;
    int least = INT32_MAX;
    for (int i = 0; i < REMOTE_KEYS; i++) {
        int d = str_distance(str_of(remote_keys[i].key), wrong);
        if (d < least) {
            least = d;
            best = remote_keys[i].key;
        }
    }
    if (best && (size_t)least <= (strlen(best) + 1) / 2) { /* "ulr" too */
        buf_printf(b, ": did you mean `%s`?", best);
        return;
    }
    buf_puts(b, ": need one of");
    for (int i = 0; i < REMOTE_KEYS; i++)
        buf_printf(b, "%s%s", i ? ", " : " ", remote_keys[i].key);
}

enum err_code remote_init(const struct config *c, struct config_remote *r, struct err *err)
{
    *r = (struct config_remote){0};
    enum err_code rc = OK;
    for (int i = 0; i < REMOTE_KEYS && !rc; i++)
        rc = setting_store_at(c, r, &remote_keys[i], NULL, "", err);
    return rc;
}

void remote_deinit(struct config_remote *r)
{
    free(r->name);
    free(r->url);
    free(r->model);
    free(r->key_file);
    *r = (struct config_remote){0};
}

void remotes_deinit(struct config_remotes *r)
{
    for (int i = 0; i < r->n; i++)
        remote_deinit(&r->v[i]);
    free(r->v);
    *r = (struct config_remotes){0};
}

static bool has_name(const struct config_remotes *r, const char *name)
{
    for (int i = 0; name && i < r->n; i++)
        if (r->v[i].name && strcmp(r->v[i].name, name) == 0)
            return true;
    return false;
}

static enum err_code check_entry(const struct config_remotes *r, const struct config_remote *it,
                                 const char *at, struct err *err)
{
    if (!it->url || !it->model)
        return err_set(err, ERR_ARG, "llm.remote: an entry without `%s`%s",
                       it->url ? "model" : "url", at);
    struct str url = str_of(it->url);
    if (!str_starts(url, STR("http://")) && !str_starts(url, STR("https://")))
        return err_set(err, ERR_ARG, "llm.remote: url is `%.60s`%s, need http:// or https://",
                       it->url, at);
    if (has_name(r, it->name))
        return err_set(err, ERR_ARG, "llm.remote: a second entry named `%s`%s", it->name, at);
    if (r->n >= CONFIG_REMOTES_MAX)
        return err_set(err, ERR_ARG, "llm.remote: more than %d entries%s", CONFIG_REMOTES_MAX, at);
    return OK;
}

enum err_code remotes_push(struct config_remotes *r, struct config_remote *it, const char *at,
                           struct err *err)
{
    enum err_code rc = check_entry(r, it, at, err);
    struct config_remote *v = rc ? NULL : realloc(r->v, ((size_t)r->n + 1) * sizeof(*v));
    if (!rc && !v)
        rc = err_set(err, ERR_NOMEM, "llm.remote");
    if (rc) {
        remote_deinit(it);
        return rc;
    }
    v[r->n] = *it;
    r->v = v;
    r->n++;
    *it = (struct config_remote){0};
    return OK;
}

void remotes_print(const struct config_remotes *r, struct buf *b)
{
    buf_char(b, '[');
    for (int i = 0; i < r->n; i++) {
        const struct config_remote *it = &r->v[i];
        const struct { const char *key, *value; } texts[] = {
            {"name", it->name}, {"url", it->url}, {"model", it->model}, {"key_file", it->key_file}};
        buf_puts(b, i ? ", {" : "{");
        for (size_t k = 0; k < sizeof(texts) / sizeof(*texts); k++) {
            if (!texts[k].value)
                continue;
            buf_printf(b, "%s: ", texts[k].key);
            config_quote(b, str_of(texts[k].value));
            buf_puts(b, ", ");
        }
        buf_printf(b, "timeout_ms: %d, attempts: %d}", it->timeout_ms, it->attempts);
    }
    buf_char(b, ']');
}
