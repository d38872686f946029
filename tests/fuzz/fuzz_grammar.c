/* tests/fuzz/fuzz_grammar.c - any bytes as a JSON schema: refused with a sentence,
 * or a grammar of which random texts are drawn.
 *
 * The first two bytes seed the draw, the rest is the schema. Steps are bytes that
 * the grammar takes. From every place the text can be ended, within the bytes that
 * it promises; what it calls whole is JSON, and satisfies the schema's own checker. */
#include <stdlib.h>
#include <string.h>
#include "base/json.h"
#include "base/rng.h"
#include "llm/grammar_spot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS 120
#define ENDING 4000       /* bytes to an end that are walked */

static void must(bool truth)
{
    if (!truth)
        abort();
}

static int can_follow(const struct gstate *s, struct gstate *try, uint8_t *bytes, int32_t *dist)
{
    int n = 0;
    for (int b = 0; b < 256; b++) {
        char c = (char)b;
        must(gstate_copy(try, s, NULL) == OK);
        if (!gstate_take(try, (struct str){&c, 1}))
            continue;
        dist[n] = grammar_spots_dist(try->g, &try->now);
        must(dist[n] < DFA_FAR);
        bytes[n++] = (uint8_t)b;
    }
    return n;
}

static bool go_on(struct gstate *s, struct gstate *try, struct rng *r, bool home, struct buf *text)
{
    uint8_t bytes[256];
    int32_t dist[256];
    int n = can_follow(s, try, bytes, dist), k;
    must(n > 0 || gstate_may_end(s));
    must((n == 0) == gstate_must_end(s) || !gstate_may_end(s));
    if (n == 0 || (home && gstate_may_end(s)))
        return false;
    k = (int)rng_below(r, (uint64_t)n);
    for (int i = 0; home && i < n; i++)
        k = dist[i] < dist[k] ? i : k;
    must(gstate_take(s, (struct str){(char *)&bytes[k], 1}));
    buf_char(text, (char)bytes[k]);
    return true;
}

static void check_text(const json_t *schema, struct str text)
{
    json_t *v;
    struct err err = {0};
    struct checker c = {.root = schema, .err = &err};
    must(json_read(text, &v, &err) == OK);
    bool good = grammar_check(&c, schema, v, 0);
    must(good || err.code);
    dfa_free(c.dfa);
    json_decref(v);
}

static void draw(const json_t *schema, const struct grammar *g, uint64_t seed)
{
    struct gstate *s, *try;
    struct buf text = {0};
    struct rng r;
    int i = 0;
    rng_init(&r, seed);
    must(gstate_new(g, &s, NULL) == OK && gstate_new(g, &try, NULL) == OK);
    while (i < STEPS && go_on(s, try, &r, false, &text))
        i++;
    if (grammar_spots_dist(g, &s->now) < ENDING) {
        for (i = 0; i < 2 * ENDING && go_on(s, try, &r, true, &text);)
            i++;
        must(gstate_may_end(s));
        check_text(schema, buf_view(&text));
    }
    buf_free(&text);
    gstate_free(s);
    gstate_free(try);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *schema;
    struct grammar *g;
    struct err err = {0};
    if (size < 3 || json_read((struct str){(const char *)data + 2, size - 2}, &schema, &err))
        return 0;
    if (grammar_schema(schema, &g, &err)) {
        must(err.msg[0] != 0);
    } else {
        draw(schema, g, data[0]);
        draw(schema, g, data[1]);
        grammar_free(g);
    }
    json_decref(schema);
    return 0;
}
