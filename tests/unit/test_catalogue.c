#include "base/hash.h"
#include "base/http.h"
#include "config/catalogue.h"
#include "tests/test.h"

struct seen {
    struct str names[1000];
    int n, entries;
};

static void see(struct seen *s, struct str name)
{
    for (int i = 0; i < s->n; i++)
        CHECK_MSG(!str_ieq(s->names[i], name), "%.*s stands there twice", STR_ARG(name));
    CHECK(s->n < 1000);
    s->names[s->n++] = name;
}

static bool check_entry(void *arg, const struct catalogue_entry *e)
{
    struct seen *s = arg;
    struct http_address at;
    struct err err;
    uint8_t sum[32];
    char url[400];
    struct str aliases = e->aliases, alias, file = e->url;
    snprintf(url, sizeof(url), "%.*s", STR_ARG(e->url));
    CHECK_OK(http_address(url, &at, &err), &err);
    CHECK_MSG(at.https && !at.loopback && str_ends(e->url, STR(".gguf")), "%s", url);
    CHECK_MSG(!e->sha256.len || hash_unhex(e->sha256, sum, 32), "%s: its sum is no sum", url);
    CHECK_MSG(e->licence.len > 0, "%s has no licence", url);
    for (size_t slash; (slash = str_find(file, STR("/"), 0)) != SIZE_MAX;)
        file = str_sub(file, slash + 1, file.len);
    see(s, e->name);
    see(s, file); /* two models never want the same file */
    while (str_split(&aliases, ' ', &alias))
        if (alias.len)
            see(s, alias);
    s->entries++;
    return true;
}

TEST(catalogue_names_each_model_once_with_an_https_address_and_a_licence)
{
    static struct seen s;
    catalogue_each(check_entry, &s);
    CHECK(s.entries > 20);
}

TEST(catalogue_finds_by_name_and_by_cloudflares_name)
{
    struct catalogue_entry a, b;
    CHECK(catalogue_find(STR("Llama-3.2-1B-Instruct"), &a));
    CHECK(catalogue_find(STR("@cf/meta/llama-3.2-1b-instruct"), &b));
    CHECK(str_eq(a.url, b.url) && a.bytes == 807694464);
    CHECK(catalogue_find(STR("@cf/mistral/mistral-7b-instruct-v0.2"), &b));
    CHECK(!catalogue_find(STR("llama"), &b));
    CHECK(!catalogue_find(STR("-"), &b));
    CHECK(!catalogue_find(STR(""), &b));
}
