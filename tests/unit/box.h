/* tests/unit/box.h - a whole box in a scratch folder, for the tests of query/.
 * Documents come in as plain texts, so that no reader process is needed. */
#ifndef CARREL_TESTS_BOX_H
#define CARREL_TESTS_BOX_H
#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"
#include "embed/embed.h"
#include "index/index.h"
#include "ingest/ingest.h"
#include "llm/llm.h"
#include "query/query.h"
#include "tests/test.h"

struct box {
    struct index *index;
    struct embed *embed;
    struct ingest *ingest;
    struct llm *llm;
    struct query *query;
};

static inline void box_open_with(struct box *b, struct query_options o)
{
    struct err err;
    struct arena a = {0};
    struct collection c;
    CHECK_OK(index_open(&(struct index_options){.dir = scratch_dir(), .volatile_store = true},
                        &b->index, &err),
             &err);
    CHECK_OK(embed_open(&(struct embed_options){0}, &b->embed, &err), &err);
    CHECK_OK(ingest_start(&(struct ingest_options){.index = b->index,
                                                   .embed = b->embed,
                                                   .workers = 1,
                                                   .extract_path = "/bin/true"},
                          &b->ingest, &err),
             &err);
    CHECK_OK(ingest_collection(b->ingest, "default", true, &a, &c, &err), &err);
    CHECK_OK(llm_open(&(struct llm_options){0}, &b->llm, &err), &err);
    o.index = b->index;
    o.embed = b->embed;
    o.llm = b->llm;
    CHECK_OK(query_new(&o, &b->query, &err), &err);
    arena_deinit(&a);
}

static inline void box_open(struct box *b)
{
    box_open_with(b, (struct query_options){.dense_weight = -1, .min_evidence = -1});
}

static inline void box_close(struct box *b)
{
    query_free(b->query);
    llm_close(b->llm);
    ingest_stop(b->ingest);
    embed_close(b->embed);
    index_close(b->index);
}

static inline void box_add(struct box *b, const char *name, struct str text)
{
    struct err err;
    struct plain p = {.name = name, .title = STR(""), .text = text};
    CHECK_OK(ingest_plain(b->ingest, "default", &p, 1, NULL, &err), &err);
}

static inline void box_add_file(struct box *b, const char *dir, const char *name)
{
    struct err err;
    struct buf text = {0};
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    CHECK_OK(file_read(path, 1 << 20, &text, &err), &err);
    box_add(b, name, buf_view(&text));
    buf_free(&text);
}

/* The reply; yours. */
static inline json_t *box_ask(struct box *b, const char *question)
{
    struct err err;
    json_t *reply = NULL;
    struct ask_request r = {.question = str_of(question)};
    CHECK_OK(query_ask(b->query, &r, NULL, NULL, &reply, &err), &err);
    return reply;
}

static inline const char *box_str(const json_t *o, const char *key)
{
    const char *z = json_string_value(json_object_get(o, key));
    CHECK_MSG(z, "%s is no string", key);
    return z;
}

static inline long long box_int(const json_t *o, const char *outer, const char *key)
{
    const json_t *v = json_object_get(outer ? json_object_get(o, outer) : o, key);
    CHECK_MSG(json_is_integer(v), "%s is no integer", key);
    return json_integer_value(v);
}

/* Every promise a reply makes about its citations, against the store. */
static inline void box_check_reply(struct box *b, const json_t *reply)
{
    struct str answer = str_of(box_str(reply, "answer"));
    const json_t *list = json_object_get(reply, "citations");
    struct arena a = {0};
    struct err err;
    size_t marks = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *c = json_array_get(list, i);
        struct str text, quote = str_of(box_str(c, "quote"));
        CHECK_OK(index_text(b->index, box_str(c, "document_id"), &a, &text, &err), &err);
        size_t start = (size_t)box_int(c, "span", "start"), end = (size_t)box_int(c, "span", "end");
        CHECK(start < end && end <= text.len);
        CHECK(str_eq(str_sub(text, start, end), quote));
        size_t from = (size_t)box_int(c, "answer_span", "start");
        size_t to = (size_t)box_int(c, "answer_span", "end");
        CHECK(from < to && to <= answer.len);
        CHECK_INT(box_int(c, "char_span", "end") - box_int(c, "char_span", "start"),
                  utf8_count(quote));
        CHECK_INT(box_int(c, "char_span", "start"), utf8_count(str_sub(text, 0, start)));
        char mark[16];
        snprintf(mark, sizeof(mark), "[%lld]", box_int(c, NULL, "n"));
        CHECK(str_find(answer, str_of(mark), from) != SIZE_MAX); /* in its claim or behind */
    }
    for (size_t i = 0; i + 2 < answer.len + 1; i++) {
        size_t k = i + 1;
        while (answer.ptr[i] == '[' && k < answer.len && answer.ptr[k] >= '0' &&
               answer.ptr[k] <= '9')
            k++;
        marks += answer.ptr[i] == '[' && k > i + 1 && k < answer.len && answer.ptr[k] == ']';
    }
    CHECK_INT(marks, json_array_size(list));
    arena_deinit(&a);
}
#endif
