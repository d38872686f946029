#include <unistd.h>
#include "tests/stores.h"

#define TEXT_A "alpha running shoes\nbeta universities\ngamma delta"
#define TEXT_B "epsilon running\nzeta"

TEST(a_document_that_was_put_is_found_by_words_and_by_vector)
{
    struct index *x = store_new();
    store_document(x, "a", TEXT_A);
    int64_t chunk = 0;
    CHECK_INT(store_count(x, "university", &chunk), 1);
    CHECK_INT(store_nearest(x, "beta universities"), chunk);
    CHECK_INT(store_count(x, "runs", NULL), 1);
    CHECK_INT(store_count(x, "absent", NULL), 0);
    store_check(x);
    index_close(x);
}

TEST(chunks_come_back_with_their_text_and_document)
{
    struct index *x = store_new();
    struct added d = store_document(x, "a", TEXT_A);
    struct arena a = {0};
    struct stored_chunk *v;
    struct err err = {0};
    int n;
    int64_t ids[] = {store_nearest(x, "gamma delta"), 999, store_nearest(x, "alpha running shoes")};
    CHECK_OK(index_chunks_by_id(x, ids, 3, &a, &v, &n, &err), &err);
    CHECK_INT(n, 2);
    CHECK_STR(v[0].text, "gamma delta");
    CHECK_STR(v[1].text, "alpha running shoes");
    CHECK_STR(str_of(v[0].document), d.id);
    CHECK_INT(v[0].ordinal, 2);
    CHECK_OK(index_chunks_range(x, d.id, 1, 3, &a, &v, &n, &err), &err);
    CHECK_INT(n, 2);
    CHECK_STR(v[0].text, "beta universities");
    CHECK_OK(index_chunks_of(x, d.id, &a, &v, &n, &err), &err);
    CHECK_INT(n, 3);
    CHECK_ERR(index_chunks_of(x, "00000000000000000000000000000000", &a, &v, &n, &err),
              ERR_NOTFOUND);
    arena_deinit(&a);
    index_close(x);
}

TEST(a_long_text_is_stored_whole_and_sliced_anywhere)
{
    enum { LEN = 50000, CHUNKS = 60 };
    struct index *x = store_new();
    struct arena a = {0};
    struct err err = {0};
    char *text = malloc(LEN + 1);
    struct rng r;
    rng_init(&r, 8);
    for (int i = 0; i < LEN; i += 2)   /* two-byte letters, so that parts are cut inside one */
        memcpy(text + i, "\xc3\xa0", 2), text[i + 1] = (char)(0xa0 + rng_below(&r, 30));
    text[LEN] = '\0';
    struct chunk chunks[CHUNKS];
    float vectors[CHUNKS][STORE_DIM] = {{0}};
    for (int i = 0; i < CHUNKS; i++) {
        uint32_t start = 2 * (uint32_t)rng_below(&r, LEN / 2 - 1);
        chunks[i] = (struct chunk){.start = start,
                                   .end = start + 2 * (uint32_t)rng_below(&r, (LEN - start) / 2)};
    }
    struct content c = {.text = {text, LEN}, .title = "", .mime = "", .chunks = chunks,
                        .n_chunks = CHUNKS, .vectors = vectors[0]};
    struct added d = store_add(x, "long", "x", NULL);
    CHECK_OK(index_put(x, d.id, &c, &err), &err);
    struct str back;
    struct stored_chunk *v;
    int n;
    CHECK_OK(index_text(x, d.id, &a, &back, &err), &err);
    CHECK_INT(back.len, LEN);
    CHECK(memcmp(back.ptr, text, LEN) == 0);
    CHECK_OK(index_chunks_of(x, d.id, &a, &v, &n, &err), &err);
    for (int i = 0; i < CHUNKS; i++) {
        CHECK_INT(v[i].text.len, chunks[i].end - chunks[i].start);
        CHECK(memcmp(v[i].text.ptr, text + chunks[i].start, v[i].text.len) == 0);
    }
    store_check(x);
    free(text);
    arena_deinit(&a);
    index_close(x);
}

TEST(a_removed_document_is_gone_from_everywhere)
{
    struct index *x = store_new();
    struct added d = store_document(x, "a", TEXT_A), e = store_document(x, "b", TEXT_B);
    struct arena a = {0};
    struct removed r;
    struct document doc;
    struct job job;
    struct str text;
    char *path;
    struct err err = {0};
    CHECK_OK(index_blob_path(x, d.id, &a, &path, &err), &err);
    CHECK(access(path, F_OK) == 0);
    CHECK_OK(index_answer_keep(x, "c", 2, STR("k"), STR("{}"), NULL, 0, &err), &err);
    CHECK_OK(index_remove(x, d.id, &r, &err), &err);
    CHECK_INT(r.documents, 1);
    CHECK_INT(r.chunks, 3);
    CHECK_INT(r.vectors, 3);
    CHECK_INT(r.answers, 1);
    CHECK_INT(store_count(x, "running", NULL), 1);
    CHECK_INT(store_count(x, "universities", NULL), 0);
    CHECK_INT(store_nearest(x, "gamma delta"), 0);
    CHECK(store_nearest(x, "zeta") != 0);
    CHECK_ERR(index_document(x, d.id, &a, &doc, NULL), ERR_NOTFOUND);
    CHECK_ERR(index_text(x, d.id, &a, &text, NULL), ERR_NOTFOUND);
    CHECK_ERR(jobs_find(x, d.job, &a, &job, NULL), ERR_NOTFOUND);
    CHECK_ERR(index_remove(x, d.id, &r, NULL), ERR_NOTFOUND);
    CHECK(access(path, F_OK) != 0);
    store_check(x);
    index_close(x);
    x = store_open(scratch_dir());
    CHECK_INT(store_count(x, "universities", NULL), 0);
    CHECK_INT(store_nearest(x, "gamma delta"), 0);
    CHECK_OK(index_document(x, e.id, &a, &doc, &err), &err);
    store_check(x);
    arena_deinit(&a);
    index_close(x);
}

TEST(the_same_bytes_under_the_same_name_are_a_duplicate)
{
    struct index *x = store_new();
    struct added d = store_add(x, "a", TEXT_A, NULL), again = store_add(x, "a", TEXT_A, NULL);
    CHECK(!d.duplicate && again.duplicate);
    CHECK_STR(str_of(again.id), d.id);
    CHECK_INT(again.job, d.job);
    CHECK(!store_add(x, "another name", TEXT_A, NULL).duplicate);
    CHECK(!store_add(x, "a", TEXT_B, NULL).duplicate);
    CHECK(!store_add(x, "a", TEXT_A, NULL).duplicate);   /* back to the first: that is a change */
    store_check(x);
    index_close(x);
}

TEST(duplicates_within_one_call_are_found)
{
    struct index *x = store_new();
    struct err err = {0};
    struct new_document docs[3];
    struct added out[3];
    for (int i = 0; i < 3; i++)
        docs[i] = (struct new_document){"c", "n", "", "", NULL,
                                        store_blob(x, str_of(i == 1 ? TEXT_B : TEXT_A))};
    CHECK_OK(index_add(x, docs, 3, out, &err), &err);
    CHECK(!out[0].duplicate && !out[1].duplicate && !out[2].duplicate);
    for (int i = 0; i < 3; i++)
        docs[i] = (struct new_document){"c", "m", "", "", NULL, store_blob(x, str_of(TEXT_A))};
    CHECK_OK(index_add(x, docs, 3, out, &err), &err);
    CHECK(!out[0].duplicate && out[1].duplicate && out[2].duplicate);
    CHECK_STR(str_of(out[2].id), out[0].id);
    index_close(x);
}

TEST(a_failed_document_does_not_make_its_bytes_duplicates)
{
    struct index *x = store_new();
    struct err err = {0};
    struct added d = store_add(x, "a", TEXT_A, NULL);
    CHECK_OK(jobs_fail(x, d.job, "unreadable", &err), &err);
    CHECK(!store_add(x, "a", TEXT_A, NULL).duplicate);
    index_close(x);
}

TEST(new_bytes_replace_the_old_document_once_they_are_ready_not_before)
{
    struct index *x = store_new();
    struct arena a = {0};
    struct document doc;
    struct added old = store_document(x, "a", TEXT_A), next = store_add(x, "a", TEXT_B, NULL);
    CHECK_INT(store_count(x, "universities", NULL), 1);
    CHECK_INT(store_count(x, "epsilon", NULL), 0);
    store_put(x, next.id, TEXT_B);
    CHECK_INT(store_count(x, "universities", NULL), 0);
    CHECK_INT(store_count(x, "epsilon", NULL), 1);
    CHECK_INT(store_nearest(x, "gamma delta"), 0);
    CHECK_ERR(index_document(x, old.id, &a, &doc, NULL), ERR_NOTFOUND);
    store_check(x);
    arena_deinit(&a);
    index_close(x);
}

TEST(a_document_overtaken_by_a_newer_one_is_not_stored)
{
    struct index *x = store_new();
    struct err err = {0};
    struct added old = store_add(x, "a", TEXT_A, NULL), next = store_add(x, "a", TEXT_B, NULL);
    store_put(x, next.id, TEXT_B);
    CHECK_ERR(store_try_put(x, old.id, TEXT_A, &err), ERR_NOTFOUND);
    CHECK_INT(store_count(x, "universities", NULL), 0);
    store_check(x);
    index_close(x);
}

TEST(a_document_removed_while_it_was_read_is_not_stored)
{
    struct index *x = store_new();
    struct err err = {0};
    struct removed r;
    struct added d = store_add(x, "a", TEXT_A, NULL);
    CHECK_OK(index_remove(x, d.id, &r, &err), &err);
    CHECK_ERR(store_try_put(x, d.id, TEXT_A, &err), ERR_NOTFOUND);
    CHECK_INT(store_count(x, "running", NULL), 0);
    store_check(x);
    index_close(x);
}

TEST(many_documents_are_put_in_one_transaction_or_none)
{
    struct index *x = store_new();
    struct err err = {0};
    struct lines l[2];
    struct added d = store_add(x, "a", TEXT_A, NULL), e = store_add(x, "b", TEXT_B, NULL);
    lines_of(TEXT_A, &l[0]);
    lines_of(TEXT_B, &l[1]);
    struct content c[2] = {l[0].content, l[1].content};
    const char *wrong[] = {d.id, "ffffffffffffffffffffffffffffffff"}, *right[] = {d.id, e.id};
    CHECK_ERR(index_put_many(x, 2, wrong, c, &err), ERR_NOTFOUND);
    CHECK_INT(store_count(x, "running", NULL), 0);
    CHECK_OK(index_put_many(x, 2, right, c, &err), &err);
    CHECK_INT(store_count(x, "running", NULL), 2);
    CHECK_ERR(index_put_many(x, 2, right, c, &err), ERR_ARG);   /* ready already */
    store_check(x);
    index_close(x);
}

TEST(content_that_breaks_the_rules_is_refused_and_nothing_is_stored)
{
    struct index *x = store_new();
    struct err err = {0};
    struct added d = store_add(x, "a", TEXT_A, NULL);
    struct lines l;
    for (int broken = 0; broken < 6; broken++) {
        lines_of(TEXT_A, &l);
        if (broken == 0)
            l.chunks[1].end = 10000;
        if (broken == 1)
            l.chunks[1].start = l.chunks[1].end + 1;
        if (broken == 2)
            l.vectors[2][3] += 2;
        if (broken == 3)
            l.vectors[0][0] = 0.0f / 0.0f;
        if (broken == 4)
            l.content.text = STR("\xff\xfe not utf-8 but long enough for the chunks of it");
        if (broken == 5)
            l.content.vectors = NULL;
        CHECK_ERR(index_put(x, d.id, &l.content, &err), ERR_ARG);
    }
    lines_of("\xc3\xa9\xc3\xa9\n", &l);
    l.chunks[0].end = 1;   /* inside a letter */
    CHECK_ERR(index_put(x, d.id, &l.content, &err), ERR_ARG);
    CHECK_INT(store_count(x, "running", NULL), 0);
    store_check(x);
    index_close(x);
}

TEST(names_and_metadata_are_checked_and_the_upload_stays_the_callers)
{
    struct index *x = store_new();
    struct added out;
    struct blob *b = store_blob(x, STR("x"));
    struct new_document bad[] = {
        {"c", "", "", "", NULL, b},        {"c", "a\nb", "", "", NULL, b},
        {"c", "\xff", "", "", NULL, b},    {"c", "n", "", "", "[1]", b},
        {"c", "n", "", "", "{\"a\":", b},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        CHECK_ERR(index_add(x, &bad[i], 1, &out, NULL), ERR_ARG);
    struct new_document elsewhere = {"nowhere", "n", "", "", NULL, b};
    CHECK_ERR(index_add(x, &elsewhere, 1, &out, NULL), ERR_NOTFOUND);
    struct new_document good = {"c", "n", "", "", "{}", b};
    CHECK_ERR(index_add(x, &good, 1, &out, NULL), OK);
    store_check(x);
    index_close(x);
}

TEST(a_chunk_without_a_vector_is_found_by_words_only)
{
    struct index *x = store_new();
    struct lines l;
    struct err err = {0};
    struct index_counts n;
    struct added d = store_add(x, "a", TEXT_A, NULL);
    lines_of(TEXT_A, &l);
    memset(l.vectors[1], 0, sizeof(l.vectors[1]));
    CHECK_OK(index_put(x, d.id, &l.content, &err), &err);
    CHECK_INT(store_count(x, "universities", NULL), 1);
    CHECK_INT(store_nearest(x, "beta universities"), 0);
    CHECK_OK(index_counts(x, &n, &err), &err);
    CHECK_INT(n.chunks, 3);
    CHECK_INT(n.vectors, 2);
    store_check(x);
    index_close(x);
}

TEST(documents_are_listed_newest_first_in_pages)
{
    struct index *x = store_new();
    struct arena a = {0};
    struct err err = {0};
    char name[16];
    for (int i = 0; i < 25; i++) {
        snprintf(name, sizeof(name), "d%d", i);
        store_add(x, name, name, NULL);
    }
    struct document_filter f = {.collection = "c", .state = -1, .limit = 10};
    struct document *v;
    int n, seen = 24;
    do {
        CHECK_OK(index_documents(x, &f, &a, &v, &n, &f.cursor, &err), &err);
        for (int i = 0; i < n; i++) {
            snprintf(name, sizeof(name), "d%d", seen--);
            CHECK_STR(str_of(v[i].name), name);
            CHECK(v[i].job > 0 && v[i].state == DOC_QUEUED);
        }
    } while (f.cursor);
    CHECK_INT(seen, -1);
    f.name = "d7";
    CHECK_OK(index_documents(x, &f, &a, &v, &n, &f.cursor, &err), &err);
    CHECK_INT(n, 1);
    f = (struct document_filter){.state = DOC_READY, .limit = 10};
    CHECK_OK(index_documents(x, &f, &a, &v, &n, &f.cursor, &err), &err);
    CHECK_INT(n, 0);
    f.limit = 0;
    CHECK_ERR(index_documents(x, &f, &a, &v, &n, &f.cursor, &err), ERR_ARG);
    arena_deinit(&a);
    index_close(x);
}

TEST(warnings_title_and_layout_come_back)
{
    struct index *x = store_new();
    struct arena a = {0};
    struct err err = {0};
    struct document doc;
    struct layout l;
    struct lines lines;
    struct block blocks[] = {{0, 19, SRC_NONE, SRC_NONE, 1, BLOCK_HEADING, 2}};
    struct page pages[] = {{0, 48, 100, 200}};
    struct layout layout = {.blocks = blocks, .n_blocks = 1, .pages = pages, .n_pages = 1};
    struct warning w = {"no_text", "page 2 has \"no\" text", 2};
    struct added d = store_add(x, "a", TEXT_A, NULL);
    lines_of(TEXT_A, &lines);
    lines.content.layout = &layout;
    lines.content.warnings = &w;
    lines.content.n_warnings = 1;
    lines.content.mime = "text/markdown";
    CHECK_OK(index_put(x, d.id, &lines.content, &err), &err);
    CHECK_OK(index_document(x, d.id, &a, &doc, &err), &err);
    CHECK_STR(str_of(doc.warnings),
              "[{\"code\":\"no_text\",\"message\":\"page 2 has \\\"no\\\" text\",\"page\":2}]");
    CHECK_STR(str_of(doc.title), "A title");
    CHECK_STR(str_of(doc.mime), "text/markdown");
    CHECK(doc.state == DOC_READY && doc.pages == 1 && doc.chunks == 3);
    CHECK_OK(index_layout(x, d.id, &a, &l, &err), &err);
    CHECK_INT(l.n_blocks, 1);
    CHECK_INT(l.blocks[0].level, 2);
    arena_deinit(&a);
    index_close(x);
}

TEST(collections_keep_their_documents_and_words_apart)
{
    struct index *x = store_new();
    struct arena a = {0};
    struct collection c, *list;
    struct near_hit hits[5];
    struct err err = {0};
    int n;
    int64_t gone;
    CHECK_OK(index_collection(x, "other", "{}", STORE_DIM, NULL, true, &a, &c, &err), &err);
    store_document(x, "a", TEXT_A);
    CHECK_OK(index_words(x, "other", STR("running"), 5, NULL, hits, &n, &err), &err);
    CHECK_INT(n, 0);
    CHECK_ERR(index_words(x, "none", STR("running"), 5, NULL, hits, &n, &err), ERR_NOTFOUND);
    CHECK_OK(index_collections(x, &a, &list, &n, &err), &err);
    CHECK_INT(n, 2);
    CHECK_STR(str_of(list[0].name), "c");
    CHECK(list[0].documents == 1 && list[0].chunks == 3 && list[0].revision == 1);
    CHECK_OK(index_collection_remove(x, "c", &gone, &err), &err);
    CHECK_INT(gone, 1);
    CHECK_ERR(index_words(x, "c", STR("running"), 5, NULL, hits, &n, &err), ERR_NOTFOUND);
    store_check(x);
    CHECK_OK(index_collection(x, "c", "{}", STORE_DIM, NULL, true, &a, &c, &err), &err);
    CHECK_INT(store_count(x, "running", NULL), 0);
    store_check(x);
    arena_deinit(&a);
    index_close(x);
}

TEST(a_collection_of_another_encoder_is_refused)
{
    struct index *x = store_new();
    struct arena a = {0};
    struct collection c;
    CHECK_ERR(index_collection(x, "c", "{\"model\":\"other\"}", STORE_DIM, NULL, true, &a, &c, NULL),
              ERR_INCOMPATIBLE);
    CHECK_ERR(index_collection(x, "c", NULL, 0, NULL, false, &a, &c, NULL), OK);
    CHECK_STR(str_of(c.stamp), "{\"model\":\"lines\"}");
    CHECK_ERR(index_collection(x, "absent", NULL, 0, NULL, false, &a, &c, NULL), ERR_NOTFOUND);
    CHECK_ERR(index_collection(x, "a/b", "{}", 4, NULL, true, &a, &c, NULL), ERR_ARG);
    CHECK_ERR(index_collection(x, "new", NULL, 4, NULL, true, &a, &c, NULL), ERR_ARG);
    arena_deinit(&a);
    index_close(x);
}

TEST(answers_hold_until_a_document_changes)
{
    struct index *x = store_new();
    struct arena a = {0};
    struct str json;
    struct collection c;
    struct err err = {0};
    struct added d = store_document(x, "a", TEXT_A);
    const char *cited[] = {d.id};
    CHECK_OK(index_collection(x, "c", NULL, 0, NULL, false, &a, &c, &err), &err);
    CHECK_ERR(index_answer_find(x, "c", STR("q"), &a, &json, NULL), ERR_NOTFOUND);
    CHECK_OK(index_answer_keep(x, "c", c.revision, STR("q"), STR("{\"a\":1}"), cited, 1, &err), &err);
    CHECK_OK(index_answer_find(x, "c", STR("q"), &a, &json, &err), &err);
    CHECK_STR(json, "{\"a\":1}");
    CHECK_OK(index_answer_keep(x, "c", c.revision, STR("q"), STR("{\"a\":2}"), cited, 1, &err), &err);
    CHECK_OK(index_answer_find(x, "c", STR("q"), &a, &json, &err), &err);
    CHECK_STR(json, "{\"a\":2}");
    store_document(x, "b", TEXT_B);
    CHECK_ERR(index_answer_find(x, "c", STR("q"), &a, &json, NULL), ERR_NOTFOUND);
    /* an answer that was being written when the document came is not kept */
    CHECK_OK(index_answer_keep(x, "c", c.revision, STR("q"), STR("{}"), cited, 1, &err), &err);
    CHECK_ERR(index_answer_find(x, "c", STR("q"), &a, &json, NULL), ERR_NOTFOUND);
    store_check(x);
    arena_deinit(&a);
    index_close(x);
}

TEST(conversations_keep_the_order_of_what_was_said)
{
    struct index *x = store_new();
    struct arena a = {0};
    struct message *m;
    struct err err = {0};
    char id[33] = "", unknown[33] = "0123456789abcdef0123456789abcdef";
    int n;
    CHECK_OK(index_conversation_add(x, id, "user", STR("one"), &err), &err);
    CHECK_INT(strlen(id), 32);
    CHECK_OK(index_conversation_add(x, id, "assistant", STR("two"), &err), &err);
    CHECK_OK(index_conversation(x, id, &a, &m, &n, &err), &err);
    CHECK_INT(n, 2);
    CHECK_STR(str_of(m[1].role), "assistant");
    CHECK_STR(str_of(m[0].content), "one");
    CHECK_ERR(index_conversation_add(x, unknown, "user", STR("x"), &err), ERR_NOTFOUND);
    CHECK_ERR(index_conversation(x, unknown, &a, &m, &n, &err), ERR_NOTFOUND);
    arena_deinit(&a);
    index_close(x);
}

TEST(keys_are_found_by_prefix_and_hash_until_they_are_removed)
{
    struct index *x = store_new();
    struct arena a = {0};
    struct err err = {0};
    struct key k = {.name = "bot", .prefix = "ck_12345", .scopes = "query"}, found, *list;
    uint8_t hash[32] = {1, 2, 3}, other[32] = {1, 2, 4};
    int64_t id;
    int n;
    CHECK_INT(index_key_count(x), 0);
    CHECK_OK(index_key_add(x, &k, hash, &id, &err), &err);
    CHECK_INT(index_key_count(x), 1);
    CHECK_OK(index_key_find(x, "ck_12345", hash, &found, &err), &err);
    CHECK_STR(str_of(found.name), "bot");
    CHECK_ERR(index_key_find(x, "ck_12345", other, &found, &err), ERR_NOTFOUND);
    CHECK_ERR(index_key_find(x, "ck_99999", hash, &found, &err), ERR_NOTFOUND);
    CHECK_OK(index_keys(x, &a, &list, &n, &err), &err);
    CHECK_INT(n, 1);
    CHECK(list[0].used_ms > 0);
    index_close(x);
    x = store_open(scratch_dir());
    CHECK_INT(index_key_count(x), 1);
    CHECK_OK(index_key_remove(x, id, &err), &err);
    CHECK_ERR(index_key_remove(x, id, &err), ERR_NOTFOUND);
    CHECK_ERR(index_key_find(x, "ck_12345", hash, &found, &err), ERR_NOTFOUND);
    CHECK_INT(index_key_count(x), 0);
    arena_deinit(&a);
    index_close(x);
}

TEST(searches_with_a_filter_find_only_what_it_allows)
{
    struct index *x = store_new();
    struct err err = {0};
    struct near_hit hits[10];
    float q[STORE_DIM];
    char name[16], text[64];
    static const char *const metadata[] = {
        "{\"lang\":\"en\",\"year\":2020,\"tags\":[\"a\",\"b\"]}",
        "{\"lang\":\"de\",\"year\":2021.5,\"draft\":true}",
        "{\"lang\":null,\"year\":\"2020\",\"draft\":false,\"o\\\"dd\":1}",
    };
    for (int i = 0; i < 9; i++) {
        snprintf(name, sizeof(name), "d%d", i);
        snprintf(text, sizeof(text), "word number%d", i);
        struct added d = store_add(x, name, text, metadata[i % 3]);
        store_put(x, d.id, text);
    }
    static const struct { const char *filter; int n; } cases[] = {
        {NULL, 9}, {"{}", 9},
        {"{\"lang\":\"en\"}", 3}, {"{\"lang\":[\"en\",\"de\"]}", 6}, {"{\"lang\":null}", 3},
        {"{\"year\":2020}", 3}, {"{\"year\":\"2020\"}", 3}, {"{\"year\":2021.5}", 3},
        {"{\"draft\":true}", 3}, {"{\"draft\":false}", 3}, {"{\"tags\":\"b\"}", 3},
        {"{\"tags\":\"b\",\"lang\":\"de\"}", 0}, {"{\"name\":\"d4\"}", 1},
        {"{\"name\":[\"d4\",\"d5\",\"no\"],\"lang\":\"de\"}", 1}, {"{\"mime\":\"text/plain\"}", 9},
        {"{\"absent\":1}", 0}, {"{\"document_id\":\"x\"}", 0}, {"{\"lang\":[]}", 0},
    };
    line_vector(STR("word number4"), q);
    for (int again = 0; again < 2; again++)   /* the second time from what was remembered */
        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
            int n;
            CHECK_OK(index_words(x, "c", STR("word"), 10, cases[i].filter, hits, &n, &err), &err);
            CHECK_MSG(n == cases[i].n, "%s: %d by words, want %d", cases[i].filter, n, cases[i].n);
            CHECK_OK(index_near(x, "c", q, 10, 50, cases[i].filter, hits, &n, &err), &err);
            CHECK_MSG(n == cases[i].n, "%s: %d near, want %d", cases[i].filter, n, cases[i].n);
        }
    int n;
    CHECK_OK(index_words(x, "c", STR("word"), 10, "{\"lang\":\"en\"}", hits, &n, &err), &err);
    struct added d = store_add(x, "new", "word", "{\"lang\":\"en\"}");
    store_put(x, d.id, "word");
    CHECK_OK(index_words(x, "c", STR("word"), 10, "{\"lang\":\"en\"}", hits, &n, &err), &err);
    CHECK_INT(n, 4);   /* what was remembered is void */
    static const char *const bad[] = {"[]", "{", "{\"a\":{}}", "{\"a\":[[1]]}", "{\"a\\\"\":1}", "7"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        CHECK_ERR(index_words(x, "c", STR("word"), 10, bad[i], hits, &n, &err), ERR_ARG);
    index_close(x);
}

TEST(searches_refuse_what_is_out_of_range)
{
    struct index *x = store_new();
    struct near_hit hits[10];
    float q[STORE_DIM] = {0};
    int n;
    CHECK_ERR(index_near(x, "c", q, 5, 10, NULL, hits, &n, NULL), ERR_ARG);   /* length 0 */
    q[0] = 0.0f / 0.0f;
    CHECK_ERR(index_near(x, "c", q, 5, 10, NULL, hits, &n, NULL), ERR_ARG);
    q[0] = 1;
    CHECK_ERR(index_near(x, "c", q, 0, 10, NULL, hits, &n, NULL), ERR_ARG);
    CHECK_ERR(index_near(x, "c", q, 5, 10, NULL, hits, &n, NULL), OK);
    CHECK_INT(n, 0);
    CHECK_ERR(index_words(x, "c", STR("x"), 0, NULL, hits, &n, NULL), ERR_ARG);
    index_close(x);
}
