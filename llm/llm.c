/* llm/llm.c - who answers: the extractive engine, or the generators there are, in order. */
#include "llm/llm.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/log.h"
#include "llm/extractive.h"
#include "llm/local.h"
#include "llm/remote.h"
#include "llm/sampler.h"

enum {
    PASSAGES_MAX = 1000,
    MODELS_MAX = 9,            /* eight remotes and a file */
    STOPS_MAX = 16,
    STOP_BYTES_MAX = 256,
    LOGPROBS_MAX = 20,
    REMOTE_CONTEXT = 8192,     /* estimates, as llm.h says */
    REMOTE_BYTES_A_TOKEN = 3
};

/* One of the two is not NULL. */
struct generator {
    struct local *local;
    struct remote *remote;
    char *url, *model;         /* of a remote, to tell */
    char *stamp;
};

struct llm {
    struct generator models[MODELS_MAX];   /* in the order they are tried */
    int n;
    int max_tokens;
    double temperature;
};

/* ---- opening */

static enum err_code add_local(struct llm *m, const struct llm_options *opt, struct err *err)
{
    struct local *l = NULL;
    if (!opt->model_path)
        return OK;
    enum err_code rc = local_open(opt, &l, err);
    if (!rc)
        m->models[m->n++].local = l;
    return rc;
}

static enum err_code add_remotes(struct llm *m, const struct llm_options *opt, struct err *err)
{
    if (opt->n_remotes < 0 || opt->n_remotes > MODELS_MAX - 1)
        return err_set(err, ERR_ARG, "%d remote generators, need 0 to %d", opt->n_remotes,
                       MODELS_MAX - 1);
    for (int i = 0; i < opt->n_remotes; i++) {
        struct remote *r = NULL;
        enum err_code rc = remote_open(&opt->remotes[i], &r, err);
        if (rc)
            return rc;
        struct generator *g = &m->models[m->n++];
        *g = (struct generator){NULL, r, str_dup(str_of(opt->remotes[i].url)),
                                str_dup(str_of(opt->remotes[i].model)), NULL};
        if (!g->url || !g->model)
            return err_set(err, ERR_NOMEM, "a remote generator");
    }
    return OK;
}

static enum err_code add_stamps(struct llm *m, struct err *err)
{
    for (int i = 0; i < m->n; i++) {
        struct generator *g = &m->models[i];
        struct buf b = {0};
        buf_printf(&b, "%d ", m->max_tokens);
        if (g->local)
            local_stamp(g->local, &b);
        else
            buf_printf(&b, "%s %s", g->url, g->model);
        g->stamp = buf_take(&b, NULL);
        if (!g->stamp)
            return err_set(err, ERR_NOMEM, "a generator's stamp");
    }
    return OK;
}

enum err_code llm_open(const struct llm_options *opt, struct llm **out, struct err *err)
{
    struct llm *m = calloc(1, sizeof(*m));
    if (!m)
        return err_set(err, ERR_NOMEM, "a generator");
    m->max_tokens = opt->max_tokens;
    m->temperature = opt->temperature;
    enum err_code rc = opt->remote_first ? add_remotes(m, opt, err) : add_local(m, opt, err);
    if (!rc)
        rc = opt->remote_first ? add_local(m, opt, err) : add_remotes(m, opt, err);
    if (!rc)
        rc = add_stamps(m, err);
    if (rc) {
        llm_close(m);
        return rc;
    }
    *out = m;
    return OK;
}

void llm_close(struct llm *m)
{
    for (int i = 0; m && i < m->n; i++) {
        if (m->models[i].local)
            local_close(m->models[i].local);
        else
            remote_close(m->models[i].remote);
        free(m->models[i].url);
        free(m->models[i].model);
        free(m->models[i].stamp);
    }
    free(m);
}

/* ---- telling */

static const char *name_of(const struct generator *g)
{
    return g->local ? local_name(g->local) : remote_name(g->remote);
}

const char *llm_name(const struct llm *m)
{
    return m->n ? name_of(&m->models[0]) : "extractive";
}

int llm_n_models(const struct llm *m)
{
    return m->n;
}

struct llm_model llm_model_at(const struct llm *m, int i)
{
    const struct generator *g = &m->models[i];
    if (g->local)
        return (struct llm_model){local_name(g->local), "local", local_context(g->local), g->stamp};
    return (struct llm_model){remote_name(g->remote), "remote", REMOTE_CONTEXT, g->stamp};
}

int llm_find(const struct llm *m, struct str name)
{
    for (int i = 0; i < llm_n_models(m); i++)
        if (str_eqz(name, llm_model_at(m, i).name))
            return i;
    return -1;
}

json_t *llm_status_json(struct llm *m)
{
    json_t *o = NULL, *remotes = json_array();
    for (int i = 0; i < m->n; i++) {
        const struct generator *g = &m->models[i];
        if (g->local)
            o = local_status_json(g->local);
        else
            json_array_append_new(remotes, json_pack("{s:o,s:o,s:o}", "name",
                                                     json_text(str_of(name_of(g))), "url",
                                                     json_text(str_of(g->url)), "model",
                                                     json_text(str_of(g->model))));
    }
    o = o ? o : json_object();
    if (json_array_size(remotes))
        json_object_set(o, "remotes", remotes);
    json_decref(remotes);
    return o;
}

int llm_count(const struct llm *m, struct str text)
{
    if (!m->n)
        return 0;
    if (m->models[0].local)
        return local_count(m->models[0].local, text);
    size_t n = text.len / REMOTE_BYTES_A_TOKEN + (text.len % REMOTE_BYTES_A_TOKEN > 0);
    return n > INT32_MAX ? INT32_MAX : (int)n;
}

double llm_temperature(const struct llm *m)
{
    return m->temperature;
}

/* ---- extractive answers */

enum err_code llm_answer(struct llm *m, const struct llm_request *req,
                         bool (*emit)(void *arg, struct str piece), void *emit_arg,
                         const struct stop *stop, struct llm_reply *out, struct err *err)
{
    (void)m;
    if (req->n_passages < 0 || req->n_passages > PASSAGES_MAX)
        return err_set(err, ERR_ARG, "%d passages: need 0 to %d", req->n_passages, PASSAGES_MAX);
    return extractive_answer(req, emit, emit_arg, stop, out, err);
}

/* ---- language models */

static enum err_code check_request(const struct llm_chat *req, struct err *err)
{
    if (req->n_messages < 0 || (req->n_messages == 0 && req->prompt.len == 0))
        return err_set(err, ERR_ARG, "no messages and no prompt, need one of them");
    if (req->max_tokens < 0)
        return err_set(err, ERR_ARG, "max_tokens is %d, need 1 or more", req->max_tokens);
    if (req->n_stops < 0 || req->n_stops > STOPS_MAX)
        return err_set(err, ERR_ARG, "%d stop texts, need at most %d", req->n_stops, STOPS_MAX);
    for (int i = 0; i < req->n_stops; i++)
        if (req->stops[i].len < 1 || req->stops[i].len > STOP_BYTES_MAX)
            return err_set(err, ERR_ARG, "stop text %d has %zu bytes, need 1 to %d", i + 1,
                           req->stops[i].len, STOP_BYTES_MAX);
    if (req->logprobs && (req->n_logprobs < 0 || req->n_logprobs > LOGPROBS_MAX))
        return err_set(err, ERR_ARG, "top_logprobs is %d, need 0 to %d", req->n_logprobs,
                       LOGPROBS_MAX);
    return sampler_check(&req->sampling, INT32_MAX, err);
}

/* What one generator says goes through here, so that it is known whether it has said anything. */
struct relay {
    bool (*emit)(void *arg, const struct llm_piece *piece);
    void *arg;
    bool said;
};

static bool relay(void *arg, const struct llm_piece *piece)
{
    struct relay *r = arg;
    r->said |= piece->text.len > 0 || piece->n_tokens > 0;
    return r->emit(r->arg, piece);
}

static void add_attempt(struct llm_usage *u, const char *name, enum err_code rc,
                        const struct err *err, double ms)
{
    if (u->n_attempts >= LLM_ATTEMPTS_MAX)
        return;
    struct llm_attempt *a = &u->attempts[u->n_attempts++];
    *a = (struct llm_attempt){.status = rc ? 0 : 200, .ms = ms};
    snprintf(a->name, sizeof(a->name), "%.63s", name);
    snprintf(a->error, sizeof(a->error), "%.119s", rc ? err->msg : "");
}

/* One generator; its attempts stand behind those before it. */
static enum err_code try_one(const struct llm *m, const struct generator *g,
                             const struct llm_chat *req, struct relay *r, const struct stop *stop,
                             struct llm_chat_reply *out, struct err *err)
{
    const struct llm_usage before = out->usage;
    struct llm_chat afar = *req;
    if (!afar.max_tokens)
        afar.max_tokens = m->max_tokens; /* here the context decides too */
    double begun_ms = clock_ms();
    *out = (struct llm_chat_reply){0};
    enum err_code rc = OK;
    if (g->local)
        rc = local_chat(g->local, req, relay, r, stop, out, err);
    else if (!relay(r, &(struct llm_piece){.text = STR("")}))
        rc = err_set(err, ERR_CANCELLED, "the reader left");
    else
        rc = remote_chat(g->remote, &afar, relay, r, stop, out, err);
    if (g->local)
        add_attempt(&out->usage, local_name(g->local), rc, err, clock_ms() - begun_ms);
    struct llm_usage *u = &out->usage;
    int keep = before.n_attempts, own = u->n_attempts;
    if (own > LLM_ATTEMPTS_MAX - keep)
        own = LLM_ATTEMPTS_MAX - keep;
    memmove(u->attempts + keep, u->attempts, (size_t)own * sizeof(*u->attempts));
    memcpy(u->attempts, before.attempts, (size_t)keep * sizeof(*u->attempts));
    u->n_attempts = keep + own;
    return rc;
}

/* May another generator do what this one could not? */
static bool next_may(enum err_code rc, const struct relay *r)
{
    return rc && !r->said && rc != ERR_CANCELLED && rc != ERR_ARG;
}

static bool answers_to(const struct generator *g, const char *model)
{
    return !model || strcmp(model, name_of(g)) == 0;
}

static enum err_code no_model(const struct llm *m, const char *model, struct err *err)
{
    struct buf names = {0};
    for (int i = 0; i < m->n; i++)
        buf_printf(&names, "%s%s", i ? ", " : "", name_of(&m->models[i]));
    if (m->n)
        err_set(err, ERR_NOTFOUND, "no model `%.80s`: there is %s", model,
                names.ptr ? names.ptr : "");
    else
        err_set(err, ERR_NOTFOUND,
                "no language model is installed: put a GGUF file into the models folder, or name "
                "one by llm.model or llm.remote");
    buf_free(&names);
    return ERR_NOTFOUND;
}

static enum err_code try_all(struct llm *m, const struct llm_chat *req, struct relay *r,
                             const struct stop *stop, struct llm_chat_reply *out, struct err *err)
{
    enum err_code rc = ERR_NOTFOUND;
    struct err busy = {0}; /* the better thing to tell when all fail: it passes */
    for (int i = 0; i < m->n; i++) {
        if (!answers_to(&m->models[i], req->model))
            continue;
        rc = try_one(m, &m->models[i], req, r, stop, out, err);
        if (!next_may(rc, r))
            return rc;
        if (rc == ERR_BUSY)
            busy = *err;
        char name[128], why[300];
        log_warn("llm.failed", "model=%s error=%s",
                 log_quote(name_of(&m->models[i]), name, sizeof(name)),
                 log_quote(err->msg, why, sizeof(why)));
    }
    if (busy.code && rc != ERR_BUSY) {
        *err = busy;
        return ERR_BUSY;
    }
    return rc;
}

static bool known(const struct llm *m, const char *model)
{
    for (int i = 0; i < m->n; i++)
        if (answers_to(&m->models[i], model))
            return true;
    return false;
}

enum err_code llm_chat(struct llm *m, const struct llm_chat *req,
                       bool (*emit)(void *arg, const struct llm_piece *piece), void *emit_arg,
                       const struct stop *stop, struct llm_chat_reply *out, struct err *err)
{
    struct err own = {0};
    struct relay r = {emit, emit_arg, false};
    err = err ? err : &own;
    *out = (struct llm_chat_reply){0};
    enum err_code rc = check_request(req, err);
    if (rc)
        return rc;
    return known(m, req->model) ? try_all(m, req, &r, stop, out, err)
                                : no_model(m, req->model, err);
}
