/* API keys: shown once, kept as a hash, found only whole. */
#include "tests/test.h"
#include "web/keys.h"

static struct index *open_store(void)
{
    struct index_options opt = {.dir = scratch_dir(), .volatile_store = true};
    struct index *x;
    struct err err;
    CHECK_OK(index_open(&opt, &x, &err), &err);
    return x;
}

TEST(keys_made_are_found_with_their_scopes)
{
    struct index *x = open_store();
    char text[KEY_TEXT_MAX];
    struct key k;
    struct err err;
    CHECK_INT(index_key_count(x), 0);
    CHECK_OK(key_make(x, "laptop", "query,ingest", "papers", text, &err), &err);
    CHECK_INT(strlen(text), 7 + 8 + 43);
    CHECK_INT(index_key_count(x), 1);
    CHECK_OK(key_find(x, str_of(text), &k, &err), &err);
    CHECK_STR(str_of(k.name), "laptop");
    CHECK_STR(str_of(k.scopes), "query,ingest");
    CHECK_STR(str_of(k.collection), "papers");
    index_close(x);
}

TEST(keys_with_any_byte_changed_cut_or_added_are_not_found)
{
    struct index *x = open_store();
    char text[KEY_TEXT_MAX], other[KEY_TEXT_MAX + 8];
    struct key k;
    struct err err;
    CHECK_OK(key_make(x, "a", "admin", NULL, text, &err), &err);
    for (size_t i = 0; i < strlen(text); i++) {
        memcpy(other, text, sizeof(text));
        other[i] ^= 1;
        CHECK_MSG(key_find(x, str_of(other), &k, &err) == ERR_NOTFOUND, "byte %zu", i);
        CHECK_ERR(key_find(x, (struct str){text, i}, &k, &err), ERR_NOTFOUND);
    }
    snprintf(other, sizeof(other), "%sx", text);
    CHECK_ERR(key_find(x, str_of(other), &k, &err), ERR_NOTFOUND);
    index_close(x);
}

TEST(keys_revoked_are_not_found)
{
    struct index *x = open_store();
    char text[KEY_TEXT_MAX];
    struct key k;
    struct err err;
    CHECK_OK(key_make(x, "a", "query", NULL, text, &err), &err);
    CHECK_OK(key_find(x, str_of(text), &k, &err), &err);
    CHECK_OK(index_key_remove(x, k.id, &err), &err);
    CHECK_ERR(key_find(x, str_of(text), &k, &err), ERR_NOTFOUND);
    CHECK_INT(index_key_count(x), 0);
    index_close(x);
}

TEST(keys_never_repeat)
{
    struct index *x = open_store();
    static char text[200][KEY_TEXT_MAX];
    struct err err;
    for (int i = 0; i < 200; i++) {
        CHECK_OK(key_make(x, "a", "query", NULL, text[i], &err), &err);
        for (int j = 0; j < i; j++)
            CHECK(strcmp(text[i], text[j]) != 0);
    }
    index_close(x);
}

TEST(keys_of_unknown_scope_or_no_name_are_refused)
{
    static const char *const scopes[] = {"", "root", "query,", ",query", "query,root", "Query",
                                         "query ingest"};
    struct index *x = open_store();
    char text[KEY_TEXT_MAX];
    struct err err;
    for (size_t i = 0; i < sizeof(scopes) / sizeof(*scopes); i++)
        CHECK_MSG(key_make(x, "a", scopes[i], NULL, text, &err) == ERR_ARG, "\"%s\"", scopes[i]);
    CHECK_ERR(key_make(x, "", "query", NULL, text, &err), ERR_ARG);
    CHECK_ERR(key_make(x, "a\nb", "query", NULL, text, &err), ERR_ARG);
    CHECK_INT(index_key_count(x), 0);
    index_close(x);
}
