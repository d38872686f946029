/* tests/unit/test_ingest.c - from accepted bytes to passages in the index. */
#include "tests/test.h"
#include <unistd.h>
#include "base/arena.h"
#include "base/file.h"
#include "index/blobs.h"
#include "index/jobs.h"
#include "ingest/ingest.h"

struct box {
    struct index *index;
    struct embed *embed;
    struct ingest *ingest;
    struct arena a;
};

static const char *program(void)
{
    static char path[4200];
    ssize_t n = readlink("/proc/self/exe", path, 4096);
    CHECK(n > 0);
    path[n] = '\0';
    strcpy(strrchr(path, '/'), "/../carrel-extract");
    if (access(path, X_OK))
        SKIP("carrel-extract is not built");
    return path;
}

static struct box open_box(int workers)
{
    struct box b = {0};
    struct err err = {0};
    struct collection c;
    struct index_options io = {.dir = scratch_dir(), .volatile_store = true};
    CHECK_OK(index_open(&io, &b.index, &err), &err);
    CHECK_OK(embed_open(&(struct embed_options){0}, &b.embed, &err), &err);
    struct ingest_options o = {
        .index = b.index, .embed = b.embed, .extract_path = program(), .workers = workers};
    CHECK_OK(ingest_start(&o, &b.ingest, &err), &err);
    CHECK_OK(ingest_collection(b.ingest, "default", true, &b.a, &c, &err), &err);
    return b;
}

static void close_box(struct box *b)
{
    ingest_stop(b->ingest);
    embed_close(b->embed);
    index_close(b->index);
    arena_deinit(&b->a);
}

static struct added add(struct box *b, const char *name, struct str bytes)
{
    struct new_document d = {.collection = "default", .name = name, .uri = "", .mime = ""};
    struct added added;
    struct err err;
    CHECK_OK(blob_begin(b->index, 64 << 20, &d.blob, &err), &err);
    CHECK_OK(blob_write(d.blob, bytes.ptr, bytes.len, &err), &err);
    CHECK_OK(blob_finish(d.blob, &err), &err);
    CHECK_OK(index_add(b->index, &d, 1, &added, &err), &err);
    return added;
}

static struct document wait_for(struct box *b, const char *id)
{
    struct document d;
    struct err err;
    CHECK_OK(jobs_wait_document(b->index, id, 30000, NULL, &err), &err);
    CHECK_OK(index_document(b->index, id, &b->a, &d, &err), &err);
    return d;
}

TEST(an_added_document_becomes_ready_with_its_passages)
{
    struct box b = open_box(1);
    struct added one =
        add(&b, "lending.md", STR("# Lending\n\nBooks may be kept for three weeks.\n"));
    struct document d = wait_for(&b, one.id);
    struct stored_chunk *chunks;
    struct err err;
    int n;
    CHECK_MSG(d.state == DOC_READY, "%s: %s", document_state_name(d.state), d.error);
    CHECK_STR(str_of(d.title), "Lending");
    CHECK_STR(str_of(d.mime), "text/markdown");
    CHECK_OK(index_chunks_of(b.index, one.id, &b.a, &chunks, &n, &err), &err);
    CHECK_INT(n, 1);
    CHECK_STR(chunks[0].text, "Lending\n\nBooks may be kept for three weeks.");
    CHECK_STR(str_of(chunks[0].heading), "Lending");
    close_box(&b);
}

static int found_by(struct box *b, const char *word)
{
    struct near_hit hits[4];
    struct err err;
    int n;
    CHECK_OK(index_words(b->index, "default", str_of(word), 4, NULL, hits, &n, &err), &err);
    return n;
}

static void print_finding(void *arg, const char *sentence)
{
    (void)arg;
    printf("%s\n", sentence);
}

TEST(a_passage_is_found_by_the_words_of_its_files_name_until_it_is_deleted)
{
    struct box b = open_box(1);
    struct added one = add(&b, "old/AMAZON_2019-report.txt", STR("The office is in Seattle."));
    CHECK_INT(wait_for(&b, one.id).state, DOC_READY);
    CHECK_INT(found_by(&b, "amazon"), 1);
    CHECK_INT(found_by(&b, "seattle"), 1);
    CHECK_INT(found_by(&b, "old"), 0);
    struct removed gone;
    struct err err;
    int findings;
    CHECK_OK(index_check(b.index, true, print_finding, NULL, &findings, &err), &err);
    CHECK_INT(findings, 0);
    CHECK_OK(index_remove(b.index, one.id, &gone, &err), &err);
    CHECK_INT(found_by(&b, "amazon"), 0);
    CHECK_OK(index_check(b.index, true, print_finding, NULL, &findings, &err), &err);
    CHECK_INT(findings, 0);
    close_box(&b);
}

static void nearest(struct box *b, const char *question, struct near_hit hits[8], int *n)
{
    float q[4096];
    struct err err;
    CHECK_OK(embed_query(b->embed, str_of(question), q, &err), &err);
    CHECK_OK(index_near(b->index, "default", q, 8, 64, NULL, hits, n, &err), &err);
}

/* A linked vector's score went through 1 - (1 - dot), a waiting one's did not. */
static void check_same_hits(const struct near_hit *a, const struct near_hit *b, int n)
{
    for (int i = 0; i < n; i++) {
        CHECK_INT(a[i].chunk, b[i].chunk);
        CHECK_NEAR(a[i].score, b[i].score, 1e-6);
    }
}

TEST(embedding_a_collection_anew_gives_the_same_vectors_and_a_stopped_one_changes_nothing)
{
    struct box b = open_box(1);
    const char *texts[] = {"# Rent\n\nRent is due on the third.", "# Cats\n\nCats are welcome.", "???"};
    struct near_hit before[8], after[8];
    struct stop stop = {0};
    struct err err;
    int n, m, findings;
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof(name), "part_%d.md", i);
        CHECK_INT(wait_for(&b, add(&b, name, str_of(texts[i])).id).state, DOC_READY);
    }
    nearest(&b, "when is the rent due", before, &n);
    CHECK(n >= 2);
    stop_set(&stop);
    CHECK_ERR(ingest_reembed(b.index, b.embed, "default", NULL, NULL, &stop, &err), ERR_CANCELLED);
    nearest(&b, "when is the rent due", after, &m);
    CHECK_INT(m, n);
    check_same_hits(after, before, n);
    CHECK_OK(ingest_reembed(b.index, b.embed, "default", NULL, NULL, NULL, &err), &err);
    nearest(&b, "when is the rent due", after, &m);
    CHECK_INT(m, n);
    check_same_hits(after, before, n);
    CHECK_OK(index_check(b.index, true, print_finding, NULL, &findings, &err), &err);
    CHECK_INT(findings, 0);
    CHECK_ERR(ingest_reembed(b.index, b.embed, "nowhere", NULL, NULL, NULL, &err), ERR_NOTFOUND);
    close_box(&b);
}

TEST(a_document_that_cannot_be_read_fails_with_its_reason_and_stops_nothing)
{
    struct box b = open_box(1);
    struct added bad = add(&b, "a.docx", STR("PK\3\4 word/document.xml"));
    struct added good = add(&b, "a.txt", STR("plain words"));
    struct document d = wait_for(&b, bad.id);
    CHECK_INT(d.state, DOC_FAILED);
    CHECK_MSG(strstr(d.error, "docx files are not read yet"), "%s", d.error);
    CHECK_INT(wait_for(&b, good.id).state, DOC_READY);
    /* A worker counts a document before it takes the next. */
    struct added last = add(&b, "b.txt", STR("more words"));
    CHECK_INT(wait_for(&b, last.id).state, DOC_READY);
    struct ingest_stats s;
    ingest_stats(b.ingest, &s);
    CHECK_INT(s.failed, 1);
    CHECK(s.documents >= 1 && s.chunks >= 1 && s.tokens >= 2);
    close_box(&b);
}

TEST(many_documents_at_once_all_become_ready)
{
    struct box b = open_box(2);
    struct added docs[150];
    for (int i = 0; i < 150; i++) {
        char name[32], text[64];
        snprintf(name, sizeof(name), "d%d.txt", i);
        snprintf(text, sizeof(text), "The number of this document is %d.", i);
        docs[i] = add(&b, name, str_of(text));
    }
    for (int i = 0; i < 150; i++)
        CHECK_INT(wait_for(&b, docs[i].id).state, DOC_READY);
    struct index_counts c;
    struct err err;
    CHECK_OK(index_counts(b.index, &c, &err), &err);
    CHECK_INT(c.chunks, 150);
    CHECK_INT(c.vectors, 150);
    CHECK_INT(c.jobs_waiting + c.jobs_running, 0);
    close_box(&b);
}

TEST(a_warning_of_the_reader_is_kept_with_the_document)
{
    struct box b = open_box(1);
    struct added one = add(&b, "a.txt",
                           STR("Das Caf\xE9 ist in der Stra\xDF"
                               "e."));
    struct document d = wait_for(&b, one.id);
    CHECK_INT(d.state, DOC_READY);
    CHECK_MSG(strstr(d.warnings, "charset_guessed"), "%s", d.warnings);
    close_box(&b);
}

TEST(work_that_was_stopped_is_taken_up_again)
{
    struct box b = open_box(1);
    struct added docs[40];
    for (int i = 0; i < 40; i++) {
        char name[32], text[64];
        snprintf(name, sizeof(name), "d%d.txt", i);
        snprintf(text, sizeof(text), "Text number %d.", i);
        docs[i] = add(&b, name, str_of(text));
    }
    ingest_stop(b.ingest); /* some are done, some are not */
    struct ingest_options o = {
        .index = b.index, .embed = b.embed, .extract_path = program(), .workers = 1};
    struct err err;
    CHECK_OK(ingest_start(&o, &b.ingest, &err), &err);
    for (int i = 0; i < 40; i++)
        CHECK_INT(wait_for(&b, docs[i].id).state, DOC_READY);
    close_box(&b);
}

TEST(plain_texts_are_ready_when_the_call_returns)
{
    for (int workers = -1; workers <= 1; workers += 2) {
        struct box b = open_box(workers);
        struct plain docs[] = {{"1", STR("Owls"), STR("Owls hunt at night.")},
                               {"2", STR(""), STR("No title here.")}};
        struct document_filter f = {.collection = "default", .state = -1, .limit = 10};
        struct document *found;
        struct stored_chunk *chunks;
        struct err err;
        int64_t next;
        int n;
        CHECK_OK(ingest_plain(b.ingest, "default", docs, 2, NULL, &err), &err);
        CHECK_OK(index_documents(b.index, &f, &b.a, &found, &n, &next, &err), &err);
        CHECK_INT(n, 2);
        for (int i = 0; i < n; i++)
            CHECK_INT(found[i].state, DOC_READY);
        CHECK_OK(index_chunks_of(b.index, found[1].id, &b.a, &chunks, &n, &err), &err);
        CHECK_INT(n, 1);
        CHECK_STR(chunks[0].text, "Owls\n\nOwls hunt at night.");
        close_box(&b);
    }
}

TEST(a_program_that_is_missing_is_told_at_the_start)
{
    struct index *x;
    struct embed *e;
    struct ingest *g;
    struct err err;
    CHECK_OK(
        index_open(&(struct index_options){.dir = scratch_dir(), .volatile_store = true}, &x, &err),
        &err);
    CHECK_OK(embed_open(&(struct embed_options){0}, &e, &err), &err);
    struct ingest_options o = {.index = x, .embed = e, .extract_path = "/nowhere/carrel-extract"};
    CHECK_ERR(ingest_start(&o, &g, &err), ERR_IO);
    CHECK(strstr(err.msg, "/nowhere/carrel-extract"));
    embed_close(e);
    index_close(x);
}
