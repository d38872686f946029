/* tests/tools/schema_walk.c - texts that a grammar allows, drawn at random.
 *
 *   schema_walk VOCAB.gguf TEXTS MAX_TOKENS SEED < schemas.jsonl
 *
 * Every line in is a schema; lines out, by schema's number from 0:
 *   {"schema":0,"refused":"/: `not` is not supported"}
 *   {"schema":1,"whole":true,"tokens":9,"text":"{}"}
 * Tokens are drawn evenly from the mask, as by a model that knows nothing. It
 * checks on the way that a token of the mask is taken and that there always is one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "llm/grammar.h"

struct walk {
    const struct vocab *v;
    const struct gtrie *trie;
    uint64_t *mask;
    struct rng rng;
    int max_tokens;
};

static void fail(const char *why)
{
    fprintf(stderr, "schema_walk: %s\n", why);
    exit(1);
}

static int32_t draw(struct walk *w)
{
    uint64_t n = 0, words = ((uint64_t)vocab_size(w->v) + 63) / 64;
    for (uint64_t i = 0; i < words; i++)
        n += (uint64_t)__builtin_popcountll(w->mask[i]);
    if (n == 0)
        return -1;
    uint64_t k = rng_below(&w->rng, n);
    uint64_t i = 0, here;
    for (; k >= (here = (uint64_t)__builtin_popcountll(w->mask[i])); i++)
        k -= here;
    for (int32_t id = (int32_t)i * 64;; id++)
        if (w->mask[i] >> (id % 64) & 1 && k-- == 0)
            return id;
}

static void one_text(struct walk *w, const struct grammar *g, int schema)
{
    struct gstate *s;
    struct buf text = {0}, line = {0};
    struct err err = {0};
    int n = 0;
    if (gstate_new(g, &s, &err))
        fail(err.msg);
    for (; n < w->max_tokens && !gstate_must_end(s); n++) {
        gstate_mask(s, w->trie, w->max_tokens - n, w->mask);
        int32_t id = draw(w);
        if (id < 0)
            fail("a mask without tokens");
        if (vocab_is_end(w->v, id))
            break;
        if (!gstate_take(s, vocab_text(w->v, id)))
            fail("a token of the mask is not taken");
        buf_str(&text, vocab_text(w->v, id));
    }
    json_t *out = json_pack("{s:i, s:b, s:i, s:o}", "schema", schema, "whole", gstate_may_end(s),
                            "tokens", n, "text", json_text(buf_view(&text)));
    json_write(&line, out);
    puts(line.ptr);
    json_decref(out);
    buf_free(&text);
    buf_free(&line);
    gstate_free(s);
}

static void one_schema(struct walk *w, struct str text, int schema, int texts)
{
    json_t *v;
    struct grammar *g;
    struct err err = {0};
    if (json_read(text, &v, &err))
        fail(err.msg);
    enum err_code rc = grammar_schema(v, &g, &err);
    json_decref(v);
    if (!rc && (rc = grammar_fit(g, w->trie, &err)))
        grammar_free(g);
    if (rc) {
        struct buf line = {0};
        json_t *out = json_pack("{s:i, s:o}", "schema", schema, "refused", json_text(str_of(err.msg)));
        json_write(&line, out);
        puts(line.ptr);
        buf_free(&line);
        json_decref(out);
        return;
    }
    for (int i = 0; i < texts; i++)
        one_text(w, g, schema);
    grammar_free(g);
}

int main(int argc, char **argv)
{
    struct gguf *g;
    struct vocab *v;
    struct gtrie *trie;
    struct err err = {0};
    if (argc != 5)
        fail("usage: schema_walk VOCAB.gguf TEXTS MAX_TOKENS SEED < schemas.jsonl");
    if (gguf_open(argv[1], &g, &err) || vocab_open(g, &v, &err) || gtrie_new(v, &trie, &err))
        fail(err.msg);
    gguf_close(g);
    struct walk w = {.v = v, .trie = trie, .max_tokens = atoi(argv[3])};
    w.mask = calloc((size_t)vocab_size(v) / 64 + 1, sizeof(*w.mask));
    rng_init(&w.rng, (uint64_t)atoll(argv[4]));
    struct buf line = {0};
    int schema = 0, c;
    while ((c = getchar()) != EOF) {
        if (c != '\n') {
            buf_char(&line, (char)c);
            continue;
        }
        one_schema(&w, buf_view(&line), schema++, atoi(argv[2]));
        buf_reset(&line);
    }
    buf_free(&line);
    free(w.mask);
    gtrie_free(trie);
    vocab_free(v);
    return 0;
}
