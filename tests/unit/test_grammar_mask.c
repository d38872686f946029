/* tests/unit/test_grammar_mask.c - masks against trying every token, and texts
 * drawn from masks with any vocabulary and however few tokens are left. */
#include "base/utf8.h"
#include "base/json.h"
#include "base/rng.h"
#include "llm/grammar_spot.h"
#include "tests/test.h"

/* Every byte, pieces of JSON and text, halves of characters; `with_signs` false:
 * as a vocabulary of stories, which has no braces, brackets and backslash. */
static struct vocab *small_vocab(bool with_signs)
{
    static const char *const pieces[] = {
        "{\"", "\":", "\", \"", "\":\"", "},", "}}", "]}", "true", "null", "ab", "the ", "a\",\"b",
        "\\n", "\\u00", "\xc3", "\xa9x", "\xf0\x9f", "\x98\x80", " \"", ", ", ": ", "1.5", "00", "-1",
        "\"a\"", "\"\"", "[]", "{}", "[[", "\xc3\xa9\xc3\xa9", "hello", "k\"", "e5", "\": {\"", "12,"};
    static struct str tokens[300];
    static char bytes[256][8];
    float kinds[300], scores[300] = {0};
    struct err err = {0};
    size_t n = 0;
    char path[512];
    tokens[n] = STR("<unk>");
    kinds[n++] = 2;
    tokens[n] = STR("</s>");
    kinds[n++] = 3;
    for (int b = 0; b < 256; b++) {
        snprintf(bytes[b], sizeof(bytes[b]), "<0x%02X>", b);
        if (!with_signs && b < 0x80 && strchr("{}[]\\", b))
            continue;
        tokens[n] = str_of(bytes[b]);
        kinds[n++] = 6;
    }
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        if (!with_signs && strpbrk(pieces[i], "{}[]\\"))
            continue;
        tokens[n] = str_of(pieces[i]);
        kinds[n++] = 1;
    }
    struct gguf_writer *w = gguf_writer_new();
    gguf_put_str(w, "tokenizer.ggml.model", STR("llama"));
    gguf_put_strs(w, "tokenizer.ggml.tokens", tokens, n);
    gguf_put_f32s(w, "tokenizer.ggml.token_type", kinds, n);
    gguf_put_f32s(w, "tokenizer.ggml.scores", scores, n);
    gguf_put_u32(w, "tokenizer.ggml.eos_token_id", 1);
    snprintf(path, sizeof(path), "%s/v.gguf", scratch_dir());
    CHECK_OK(gguf_save(w, path, &err), &err);
    gguf_writer_free(w);
    struct gguf *g;
    struct vocab *v;
    CHECK_OK(gguf_open(path, &g, &err), &err);
    CHECK_OK(vocab_open(g, &v, &err), &err);
    gguf_close(g);
    return v;
}

static struct grammar *grammar_of(const char *schema)
{
    struct err err = {0};
    struct grammar *g;
    json_t *v;
    CHECK_OK(json_read(str_of(schema), &v, &err), &err);
    CHECK_OK(grammar_schema(v, &g, &err), &err);
    json_decref(v);
    return g;
}

static const char *const schemas[] = {
    "{\"type\":\"object\"}",
    "{\"type\":\"string\",\"maxLength\":5}",
    "{\"type\":\"string\",\"minLength\":3}",
    "{\"type\":\"string\",\"pattern\":\"^[a-l]+$|\\u00e9\"}",
    "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"number\"},\"k\":{\"type\":\"string\"}},"
    "\"required\":[\"k\"],\"additionalProperties\":false}",
    "{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"string\",\"format\":\"date\"},{\"type\":\"array\","
    "\"items\":{\"type\":[\"integer\",\"null\"]},\"maxItems\":3}]}",
    "{\"type\":\"array\",\"items\":{\"enum\":[1,12,\"a\",{},null]},\"uniqueItems\":true,\"minItems\":2}",
    "{\"type\":\"number\",\"minimum\":-1.5,\"exclusiveMaximum\":1500}",
    "{\"type\":\"object\",\"properties\":{\"a\":{},\"ab\":{}},\"additionalProperties\":{\"type\":\"null\"}}",
    "{\"type\":\"array\",\"items\":{\"type\":\"array\",\"items\":{\"$ref\":\"#\"}},\"minItems\":1}",
};
#define N_SCHEMAS ((int)(sizeof(schemas) / sizeof(schemas[0])))

static bool in_mask(const uint64_t *mask, int32_t id)
{
    return mask[id / 64] >> (id % 64) & 1;
}

/* What a mask must be, token by token. */
static bool may_follow(const struct vocab *v, const struct gstate *s, struct gstate *try,
                       int32_t id, int left)
{
    struct str text = vocab_text(v, id);
    if (vocab_is_end(v, id))
        return gstate_may_end(s);
    if (vocab_is_control(v, id) || text.len == 0)
        return false;
    CHECK(gstate_copy(try, s, NULL) == OK);
    return gstate_take(try, text) &&
           grammar_spots_dist(try->g, &try->now) <= (left ? left - 1 : DFA_FAR - 1);
}

/* A name of an object's own that ends exactly at its greatest length would have to be
 * new at that very character: masks leave such tokens out. */
static bool fills_a_name(const struct gstate *s, struct str text)
{
    size_t n = utf8_count(text);
    for (uint32_t i = 0; i < s->now.n; i++) {
        const struct spot *at = &s->now.v[i];
        const struct node *node = &s->g->nodes[at->node];
        bool key = at->phase == AT_NEW_KEY, fresh = at->phase == AT_IN && node->kind == NODE_FRESH;
        if (n > 1 && ((key && n == node->name_max - at->lo) || (fresh && n == node->max - at->n)))
            return true;
    }
    return false;
}

static int32_t draw(struct rng *r, const uint64_t *mask, int32_t n)
{
    int32_t from = (int32_t)rng_below(r, (uint64_t)n);
    for (int32_t i = 0; i < n; i++)
        if (in_mask(mask, (from + i) % n))
            return (from + i) % n;
    return -1;
}

static void compare_masks(const struct vocab *v, const struct gtrie *t, const char *schema,
                          uint64_t seed, int steps)
{
    struct grammar *g = grammar_of(schema);
    struct gstate *s, *try;
    struct rng r;
    int32_t n = vocab_size(v), id = 0;
    uint64_t *mask = calloc((size_t)n / 64 + 1, sizeof(*mask));
    rng_init(&r, seed);
    CHECK(gstate_new(g, &s, NULL) == OK && gstate_new(g, &try, NULL) == OK);
    for (int i = 0; i < steps && !vocab_is_end(v, id); i++) {
        int left = i % 3 ? 0 : 200;
        gstate_mask(s, t, left, mask);
        for (id = 0; id < n; id++)
            CHECK_MSG(in_mask(mask, id) == may_follow(v, s, try, id, left) ||
                          (!in_mask(mask, id) && fills_a_name(s, vocab_text(v, id))),
                      "%s, step %d, token %d \"%.*s\": mask %d", schema, i, id,
                      STR_ARG(vocab_text(v, id)), in_mask(mask, id));
        id = draw(&r, mask, n);
        CHECK(id >= 0);
        if (!vocab_is_end(v, id))
            CHECK(gstate_take(s, vocab_text(v, id)));
    }
    free(mask);
    gstate_free(s);
    gstate_free(try);
    grammar_free(g);
}

TEST(grammar_mask_is_what_trying_every_token_gives)
{
    struct err err = {0};
    struct vocab *v = small_vocab(true);
    struct gtrie *t;
    CHECK_OK(gtrie_new(v, &t, &err), &err);
    for (int i = 0; i < N_SCHEMAS; i++)
        for (uint64_t seed = 0; seed < 4; seed++)
            compare_masks(v, t, schemas[i], seed, 30);
    gtrie_free(t);
    vocab_free(v);
}

/* A text of at most `max` tokens drawn from masks, whole at its end. */
static void check_walk(const struct vocab *v, const struct gtrie *t, const struct grammar *g,
                       const char *schema, int max, uint64_t seed)
{
    struct gstate *s;
    struct rng r;
    struct buf text = {0};
    struct err err = {0};
    json_t *value;
    int32_t n = vocab_size(v);
    uint64_t *mask = calloc((size_t)n / 64 + 1, sizeof(*mask));
    rng_init(&r, seed);
    CHECK(gstate_new(g, &s, NULL) == OK);
    for (int i = 0; i < max && !gstate_must_end(s); i++) {
        gstate_mask(s, t, max - i, mask);
        int32_t id = draw(&r, mask, n);
        CHECK_MSG(id >= 0, "%s: an empty mask behind %s", schema, text.ptr);
        if (vocab_is_end(v, id))
            break;
        CHECK(gstate_take(s, vocab_text(v, id)));
        buf_str(&text, vocab_text(v, id));
    }
    CHECK_MSG(gstate_may_end(s), "%s: %d tokens end in %s", schema, max, text.ptr);
    CHECK_OK(json_read(buf_view(&text), &value, &err), &err);
    json_decref(value);
    buf_free(&text);
    free(mask);
    gstate_free(s);
}

TEST(grammar_ends_whole_when_tokens_run_out)
{
    struct err err = {0};
    struct vocab *v = small_vocab(true);
    struct gtrie *t;
    CHECK_OK(gtrie_new(v, &t, &err), &err);
    for (int i = 0; i < N_SCHEMAS; i++) {
        struct grammar *g = grammar_of(schemas[i]);
        int least = g->nodes[g->root].len;
        for (int max = least; max < least + 40; max++)
            check_walk(v, t, g, schemas[i], max, (uint64_t)max);
        grammar_free(g);
    }
    gtrie_free(t);
    vocab_free(v);
}

TEST(grammar_is_refused_where_a_vocabulary_cannot_write_it)
{
    struct err err = {0};
    struct vocab *v = small_vocab(false);
    struct gtrie *t;
    CHECK_OK(gtrie_new(v, &t, &err), &err);
    struct grammar *g = grammar_of("{\"type\":\"object\"}");
    CHECK_ERR(grammar_fit(g, t, &err), ERR_ARG);
    CHECK_STR(str_of(err.msg), "the model's vocabulary cannot write this schema's JSON, it lacks {}[]");
    grammar_free(g);
    const char *mixed = "{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"array\"},{\"const\":\"\\\\\"},"
                        "{\"pattern\":\"^a\\\\\\\\?$\"}]}";
    g = grammar_of(mixed);
    CHECK_OK(grammar_fit(g, t, &err), &err);
    for (int max = 2; max < 40; max++)
        check_walk(v, t, g, mixed, max, (uint64_t)max);
    grammar_free(g);
    gtrie_free(t);
    vocab_free(v);
}

TEST(grammar_mask_agrees_with_trying_on_a_vocabulary_of_32000)
{
    struct err err = {0};
    struct gguf *file;
    struct vocab *v;
    struct gtrie *t;
    CHECK_OK(gguf_open(data_path("models/vocab/ggml-vocab-llama-spm.gguf"), &file, &err), &err);
    CHECK_OK(vocab_open(file, &v, &err), &err);
    gguf_close(file);
    CHECK_OK(gtrie_new(v, &t, &err), &err);
    for (int i = 0; i < N_SCHEMAS; i++)
        compare_masks(v, t, schemas[i], 7, test_slow() ? 40 : 6);
    gtrie_free(t);
    vocab_free(v);
}
