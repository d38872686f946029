/* cmd/model_try.c - `carrel model check` of a decoder: all its tensors are read and checked, a
 * prompt goes through and tokens follow. Random or damaged weights still give numbers;
 * what can be said without a reference is that they are finite, that they are the same
 * when computed one by one, and how fast they come. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "cmd/model.h"
#include "cmd/people.h"
#include "cmd/trial.h"
#include "llm/chat.h"

enum { PROMPT = 64, ANSWER = 16, CONTEXT = PROMPT + ANSWER };

struct check {
    const struct cmd *c;
    struct trial t;
    const struct chat_family *family;   /* NULL: unknown */
    int n_prompt, findings;
    int32_t prompt[PROMPT];
    double prefill, decode;             /* tokens a second */
};

static void check_words(struct check *k)
{
    struct err err;
    if (!k->t.vocab) {
        cmd_finding(k->c, &k->findings, "%s", k->t.vocab_err.msg);
        return;
    }
    if (vocab_size(k->t.vocab) > k->t.shape.n_vocab)
        cmd_finding(k->c, &k->findings,
                    "%d tokens in the vocabulary, and logits of %d", vocab_size(k->t.vocab),
             k->t.shape.n_vocab);
    if (chat_detect(k->t.file, k->t.vocab, &k->family, &err)) {
        k->family = NULL;
        cmd_finding(k->c, &k->findings, "%s", err.msg);
    }
}

static bool is_finite(const struct check *k, const float *logits)
{
    for (int i = 0; i < k->t.shape.n_vocab; i++)
        if (!isfinite(logits[i]))
            return false;
    return true;
}

/* Ids all over the vocabulary, with BOS in front where there is one. */
static void make_prompt(struct check *k)
{
    int context = k->t.shape.context, room = context > ANSWER ? context - ANSWER : 1;
    k->n_prompt = room < PROMPT ? room : PROMPT;
    for (int i = 0; i < k->n_prompt; i++)
        k->prompt[i] = (int32_t)((uint32_t)i * 2654435761u % (uint32_t)k->t.shape.n_vocab);
    int32_t bos = k->t.vocab ? vocab_bos(k->t.vocab) : -1;
    if (bos >= 0 && bos < k->t.shape.n_vocab)
        k->prompt[0] = bos;
}

/* The prompt in one pass, then tokens; the first of them is the same id by id. */
static enum err_code run_tokens(struct check *k, struct err *err)
{
    const int n = k->n_prompt, answer = k->t.shape.context - n < ANSWER ? 0 : ANSWER;
    double begun_ms = clock_ms();
    const float *logits = trial_feed(&k->t, k->prompt, n);
    k->prefill = n / ((clock_ms() - begun_ms) / 1000);
    bool all_finite = is_finite(k, logits);
    int32_t first = trial_best(&k->t, logits), next = first;
    begun_ms = clock_ms();
    for (int i = 0; i < answer; i++) {
        logits = trial_pass(&k->t, &next, 1, 1);
        all_finite = all_finite && is_finite(k, logits);
        next = trial_best(&k->t, logits);
    }
    k->decode = answer / ((clock_ms() - begun_ms) / 1000);
    if (!all_finite)
        cmd_finding(k->c, &k->findings,
                    "it computes numbers that are none (infinite or NaN): the weights are damaged");
    enum err_code rc = trial_begin(&k->t, n, err);
    for (int i = 0; i < n && !rc; i++)
        logits = trial_pass(&k->t, &k->prompt[i], 1, 1);
    if (!rc && trial_best(&k->t, logits) != first)
        cmd_finding(k->c, &k->findings,
                    "the token behind a prompt is another one when it is read id by id");
    return rc;
}

static void tell(const struct check *k, const char *path)
{
    const struct decoder_shape *s = &k->t.shape;
    const char *family = k->family ? chat_name(k->family) : "unknown";
    if (k->c->json) {
        cmd_json(json_pack("{s:o,s:s,s:s,s:i,s:I,s:I,s:i,s:{s:f,s:f}}", "file",
                           json_text(str_of(path)), "architecture", s->arch, "template", family,
                           "context", s->context, "parameters", (json_int_t)s->n_params,
                           "weight_bytes", (json_int_t)s->weight_bytes, "findings", k->findings,
                           "tokens_per_s", "prefill", isfinite(k->prefill) ? k->prefill : 0,
                           "decode", isfinite(k->decode) ? k->decode : 0));
        return;
    }
    char text[16];
    printf("%s: %s, %s parameters, context %d, template %s\n", path, s->arch,
           people_count(s->n_params, text), s->context, family);
    printf("reads %.1f tokens a second, writes %.1f, with %s of weights on %d threads\n", k->prefill,
           k->decode, people_size((int64_t)s->weight_bytes, text), team_size(k->t.team));
    printf("%s\n", k->findings ? "something is wrong with it" : "it does what a decoder should");
}

int model_check_decoder(const struct cmd *c, const char *path, int threads)
{
    struct check k = {.c = c};
    struct err err;
    enum err_code rc = trial_open(path, &k.t, &err);
    if (!rc) {
        check_words(&k);
        make_prompt(&k);
        int context = k.t.shape.context < CONTEXT ? k.t.shape.context : CONTEXT;
        rc = trial_load(&k.t, threads, ATTN_F32, context, &err);
    }
    if (!rc)
        rc = run_tokens(&k, &err);
    if (!rc)
        tell(&k, path);
    trial_close(&k.t);
    if (rc)
        return cmd_fail(c, rc, &err);
    return cmd_done(k.findings ? CMD_FINDINGS : CMD_OK);
}
