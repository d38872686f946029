/* cmd/model_run.c - `carrel model run`: what exactly a decoder computes.
 *
 * The ids go through the net as they are, each with its position; greedy tokens follow, ends or
 * not. Logits of positions and the mean negative log-likelihood of ids 2..n come from a second
 * pass over the prompt, so that the speed told is that of a prompt alone. The KV cache is
 * F32 unless asked otherwise. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "cmd/model.h"
#include "cmd/trial.h"

enum { IDS_MAX = 1 << 20, POSITIONS_MAX = 256 };

struct run {
    const struct model_run_options *o;
    struct trial t;
    int32_t *ids;              /* [n + greedy] */
    int n;
    int *positions;            /* [n_positions] whose logits are wanted */
    int n_positions;
    json_t *logits;            /* {"P": [...]} */
    double nll;                /* NAN for a single id */
    double prefill_s, decode_s;
};

/* ---- the command line */

/* "1,2,3" as whole numbers from 0 to max into *out (yours), *n of them. */
static enum err_code read_list(const char *text, const char *what, int64_t max, int most,
                               int **out, int *n, struct err *err)
{
    struct str rest = str_of(text), field;
    size_t commas = 0;
    for (const char *p = text; *p; p++)
        commas += *p == ',';
    if (commas >= (size_t)most)
        return err_set(err, ERR_ARG, "%s: %zu numbers, need at most %d", what, commas + 1, most);
    int *v = malloc((commas + 1) * sizeof(*v));
    if (!v)
        return err_set(err, ERR_NOMEM, "%s", what);
    *n = 0;
    while (str_split(&rest, ',', &field)) {
        int64_t x;
        if (!str_int(str_trim(field), 0, max, &x)) {
            free(v);
            return err_set(err, ERR_ARG, "%s: `%.*s`, need a whole number from 0 to %lld", what,
                           (int)(field.len < 40 ? field.len : 40), field.ptr, (long long)max);
        }
        v[(*n)++] = (int)x;
    }
    *out = v;
    return OK;
}

static enum err_code encode(struct run *r, struct str text, struct err *err)
{
    size_t n = 0;
    if (!r->t.vocab) {
        *err = r->t.vocab_err;
        return err->code;
    }
    enum err_code rc = vocab_encode(r->t.vocab, text, VOCAB_ADD_BOS, NULL, 0, &n, err);
    if (rc)
        return rc;
    if (n < 1 || n > IDS_MAX)
        return err_set(err, ERR_ARG, "a prompt of %zu tokens, need 1 to %d", n, IDS_MAX);
    r->ids = malloc((n + (size_t)r->o->greedy) * sizeof(*r->ids));
    if (!r->ids)
        return err_set(err, ERR_NOMEM, "%zu ids", n);
    r->n = (int)n;
    rc = vocab_encode(r->t.vocab, text, VOCAB_ADD_BOS, r->ids, n, &n, err);
    for (int i = 0; i < r->n && !rc; i++)
        if (r->ids[i] >= r->t.shape.n_vocab)
            rc = err_set(err, ERR_FORMAT, "token %d of the vocabulary, and logits of %d",
                         r->ids[i], r->t.shape.n_vocab);
    return rc;
}

static enum err_code read_ids(struct run *r, struct err *err)
{
    int *given = NULL;
    enum err_code rc = read_list(r->o->ids, "--ids", r->t.shape.n_vocab - 1, IDS_MAX, &given,
                                 &r->n, err);
    if (rc)
        return rc;
    r->ids = realloc(given, ((size_t)r->n + (size_t)r->o->greedy) * sizeof(*r->ids));
    if (!r->ids) {
        free(given);
        return err_set(err, ERR_NOMEM, "%d ids", r->n);
    }
    return OK;
}

static enum err_code read_positions(struct run *r, struct err *err)
{
    if (!r->o->logits)
        return OK;
    return read_list(r->o->logits, "--logits", r->n - 1, POSITIONS_MAX, &r->positions,
                     &r->n_positions, err);
}

/* ---- the prompt, and greedy tokens behind it */

static void go_on(struct run *r)
{
    double begun_ms = clock_ms();
    const float *logits = trial_feed(&r->t, r->ids, r->n);
    r->prefill_s = (clock_ms() - begun_ms) / 1000;
    for (int i = 0; i < r->o->greedy; i++) {
        int32_t *next = &r->ids[r->n + i];
        if (i == 1)
            begun_ms = clock_ms(); /* the first came with the prompt */
        *next = trial_best(&r->t, logits);
        if (i + 1 < r->o->greedy)
            logits = trial_pass(&r->t, next, 1, 1);
    }
    r->decode_s = (clock_ms() - begun_ms) / 1000;
}

/* ---- logits of positions, and likelihood */

/* -ln p of `id` by softmax, in double precision. */
static double surprise(const float *logits, int n, int32_t id)
{
    double most = -INFINITY, sum = 0;
    for (int i = 0; i < n; i++)
        most = fmax(most, (double)logits[i]);
    for (int i = 0; i < n; i++)
        sum += exp((double)logits[i] - most);
    return most + log(sum) - (double)logits[id];
}

static void keep_logits(struct run *r, int position, const float *logits)
{
    char name[16];
    json_t *all = json_array();
    for (int i = 0; i < r->t.shape.n_vocab; i++)
        json_array_append_new(all, isfinite(logits[i]) ? json_real((double)logits[i])
                                                       : json_null());
    snprintf(name, sizeof(name), "%d", position);
    json_put(r->logits, name, all);
}

static void look_at(struct run *r, int position, const float *logits)
{
    if (position + 1 < r->n)
        r->nll += surprise(logits, r->t.shape.n_vocab, r->ids[position + 1]);
    for (int i = 0; i < r->n_positions; i++)
        if (r->positions[i] == position)
            keep_logits(r, position, logits);
}

static enum err_code read_over(struct run *r, int context, struct err *err)
{
    enum err_code rc = trial_begin(&r->t, context, err);
    for (int at = 0; at < r->n && !rc; at += TRIAL_LOGITS) {
        int n = r->n - at < TRIAL_LOGITS ? r->n - at : TRIAL_LOGITS;
        const float *rows = trial_pass(&r->t, r->ids + at, n, n);
        for (int i = 0; i < n; i++)
            look_at(r, at + i, rows + (size_t)i * (size_t)r->t.shape.n_vocab);
    }
    r->nll = r->n > 1 ? r->nll / (r->n - 1) : NAN;
    return rc;
}

/* ---- telling */

static json_t *ids_json(const int32_t *ids, int n)
{
    json_t *list = json_array();
    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_integer(ids[i]));
    return list;
}

static void greedy_text(const struct run *r, struct buf *out)
{
    struct vocab_decoder d = {0};
    for (int i = 0; r->t.vocab && i < r->o->greedy; i++)
        vocab_decode(r->t.vocab, &d, r->ids[r->n + i], out);
    if (r->t.vocab)
        vocab_decode_end(&d, out);
}

static json_t *number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static void tell(struct run *r, const struct cmd *c)
{
    struct buf text = {0};
    int greedy = r->o->greedy;
    double prefill = r->n / r->prefill_s, decode = greedy > 1 ? (greedy - 1) / r->decode_s : NAN;
    greedy_text(r, &text);
    if (c->json) {
        cmd_json(json_pack("{s:o,s:o,s:o,s:O,s:o,s:{s:o,s:o}}", "ids", ids_json(r->ids, r->n),
                           "greedy_ids", ids_json(r->ids + r->n, greedy), "text",
                           json_text(buf_view(&text)), "logits", r->logits, "nll", number(r->nll),
                           "tokens_per_s", "prefill", number(prefill), "decode", number(decode)));
    } else {
        cmd_text(buf_view(&text));
        printf("\n");
        cmd_note("%d tokens in, %.1f a second; %d out, %.1f a second; %.5f nats a token", r->n,
                 prefill, greedy, greedy > 1 ? decode : 0, r->n > 1 ? r->nll : 0);
    }
    buf_free(&text);
}

int model_run(const struct cmd *c, const char *path, const struct model_run_options *o)
{
    struct run r = {.o = o, .logits = json_object()};
    struct err err;
    enum err_code rc = trial_open(path, &r.t, &err);
    if (!rc)
        rc = o->ids ? read_ids(&r, &err) : encode(&r, str_of(o->prompt), &err);
    if (!rc)
        rc = read_positions(&r, &err);
    int context = r.n + (int)o->greedy;
    if (!rc)
        rc = trial_load(&r.t, (int)o->threads, o->kv, context, &err);
    if (!rc) {
        go_on(&r);
        rc = read_over(&r, context, &err);
    }
    if (!rc)
        tell(&r, c);
    trial_close(&r.t);
    json_decref(r.logits);
    free(r.positions);
    free(r.ids);
    if (rc == ERR_ARG)
        return cmd_exit_with(c, CMD_USAGE, "%s", err.msg);
    return rc ? cmd_fail(c, rc, &err) : cmd_done(CMD_OK);
}
