/* tests/unit/test_check.c - what `model check` says of encoders that are not the
 * published ones, and of one that is, where such a file lies.
 *
 * The weights of bge and MiniLM cannot be kept here: a run that has them names
 * the file below CARREL_DATA as models/NAME.gguf. */
#include "base/file.h"
#include "embed/check.h"
#include "tests/bert_model.h"
#include "tests/test.h"

static struct check_result check_file(const char *path)
{
    struct err err = {0};
    struct embed *e;
    struct check_result r;
    CHECK_OK(embed_open(&(struct embed_options){.model_path = path}, &e, &err), &err);
    CHECK_OK(check_model(e, &r, &err), &err);
    embed_close(e);
    return r;
}

TEST(check_of_a_model_of_no_published_shape_says_so)
{
    struct check_result r = check_file(NULL);
    CHECK(r.verdict == VERDICT_UNKNOWN && r.model == NULL && r.stable);
    CHECK(strstr(r.says, "no published numbers"));
    r = check_file("tests/golden/bert_tiny.gguf");
    CHECK(r.verdict == VERDICT_UNKNOWN && r.stable);
}

static struct check_result check_shape(const char *name, uint32_t pooling)
{
    char path[512];
    struct err err = {0};
    struct bert_model m = {.name = name, .layers = 1, .dim = 384, .heads = 12, .ffn = 384,
                           .context = 64, .pieces = 1000, .pooling = pooling};
    snprintf(path, sizeof(path), "%s/random.gguf", scratch_dir());
    CHECK_OK(bert_model_write(path, &m, &err), &err);
    return check_file(path);
}

TEST(check_of_random_weights_under_a_known_name_finds_them_out)
{
    struct check_result r = check_shape("BGE small en v1.5", 2);
    CHECK(r.verdict == VERDICT_DIFFERENT && r.stable && r.worst > 5);
    CHECK_MSG(strstr(r.says, "bge-small-en-v1.5") && strstr(r.says, "pooling"), "%s", r.says);
    r = check_shape("BGE small en v1.5", 1);
    CHECK(r.verdict == VERDICT_DIFFERENT && strcmp(r.model, "bge-small-en-v1.5") == 0);
    r = check_shape("All MiniLM L6 v2", 1);
    CHECK(r.verdict == VERDICT_DIFFERENT && strcmp(r.model, "all-MiniLM-L6-v2") == 0);
}

TEST(check_of_a_stranger_of_a_known_shape_does_not_call_it_broken)
{
    struct check_result r = check_shape("e5-small-v2", 1);
    CHECK(r.verdict == VERDICT_UNKNOWN && r.model == NULL);
    CHECK_MSG(strstr(r.says, "another model"), "%s", r.says);
}

static void check_published(const char *name)
{
    const char *path = data_path("models");
    char file[4096];
    snprintf(file, sizeof(file), "%s/%s.gguf", path, name);
    if (!file_exists(file))
        SKIP("no model");
    struct check_result r = check_file(file);
    CHECK_MSG(r.verdict == VERDICT_SAME, "%s %s", name, r.says);
    CHECK_MSG(r.model && strcmp(r.model, name) == 0, "taken for %s", r.model);
}

TEST(check_of_bge_small_agrees_with_what_is_published)
{
    check_published("bge-small-en-v1.5");
}

TEST(check_of_bge_base_agrees_with_what_is_published)
{
    check_published("bge-base-en-v1.5");
}

TEST(check_of_minilm_agrees_with_what_is_published)
{
    check_published("all-MiniLM-L6-v2");
}
