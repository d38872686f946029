#include <math.h>
#include "base/clock.h"
#include "base/cpu.h"
#include "base/vec.h"
#include "web/api.h"
#include "web/reply.h"

static json_t *encoder_json(const struct embed_stamp *s)
{
    json_t *o = json_object();
    json_put(o, "name", json_text(str_of(s->name)));
    json_put(o, "arch", json_text(str_of(s->arch)));
    json_put(o, "hash", json_text(str_of(s->hash)));
    json_put(o, "dimensions", json_integer(s->dim));
    json_put(o, "max_tokens", json_integer(s->max_tokens));
    json_put(o, "pooling", json_text(str_of(s->pooling)));
    return o;
}

static json_t *documents_json(const struct index_counts *c)
{
    json_t *o = json_object();
    for (int s = 0; s < DOC_STATES; s++)
        json_put(o, document_state_name((enum document_state)s), json_integer(c->documents[s]));
    return o;
}

static json_t *store_json(const struct index_counts *c)
{
    json_t *o = json_object();
    json_put(o, "documents", documents_json(c));
    json_put(o, "chunks", json_integer(c->chunks));
    json_put(o, "vectors", json_integer(c->vectors));
    json_put(o, "answers", json_integer(c->answers));
    json_put(o, "database_bytes", json_integer(c->db_bytes));
    json_put(o, "blob_bytes", json_integer(c->blob_bytes));
    json_put(o, "graph_nodes", json_integer(c->graph_nodes));
    json_put(o, "graph_rebuilt", json_boolean(c->graph_rebuilt));
    json_put(o, "open_ms", json_real(round(c->open_ms * 10) / 10));
    return o;
}

static json_t *queue_json(struct web *w, const struct index_counts *c)
{
    json_t *o = json_object(), *asks = json_object();
    int running, waiting;
    pool_load(w->asks, &running, &waiting);
    json_put(asks, "running", json_integer(running));
    json_put(asks, "waiting", json_integer(waiting));
    json_put(o, "jobs_waiting", json_integer(c->jobs_waiting));
    json_put(o, "jobs_running", json_integer(c->jobs_running));
    json_put(o, "questions", asks);
    return o;
}

static json_t *machine_json(void)
{
    json_t *o = json_object();
    const struct cpu *cpu = cpu_get();
    json_put(o, "processor", json_text(str_of(cpu->name)));
    json_put(o, "cores", json_integer(cpu->cores));
    json_put(o, "vectors", json_text(str_of(vec_kernel())));
    return o;
}

enum err_code api_status(struct request *r, struct err *err)
{
    struct web *w = r->web;
    struct index_counts c;
    struct query_counts q = {0};
    enum err_code rc = index_counts(w->opt.index, &c, err);
    if (rc)
        return rc;
    query_counts(w->opt.query, &q);
    json_t *o = json_object(), *models = json_object(), *served = json_object();
    json_put(models, "encoder", encoder_json(embed_stamp(w->opt.embed)));
    json_put(models, "generator", json_text(str_of(llm_name(w->opt.llm))));
    json_t *llm = llm_status_json(w->opt.llm);
    if (llm)
        json_put(models, "llm", llm);
    json_put(served, "searches", json_integer(q.searches));
    json_put(served, "asks", json_integer(q.asks));
    json_put(served, "refused", json_integer(q.refused));
    json_put(served, "cached", json_integer(q.cached));
    json_put(o, "version", json_text(str_of(w->opt.version)));
    json_put(o, "uptime_ms", json_integer((json_int_t)(clock_ms() - w->began_ms)));
    json_put(o, "models", models);
    json_put(o, "store", store_json(&c));
    json_put(o, "queue", queue_json(w, &c));
    json_put(o, "served", served);
    json_put(o, "sandbox", json_text(str_of(ingest_sandbox(w->opt.ingest))));
    json_put(o, "kernels", machine_json());
    json_put(o, "keys_required", json_boolean(index_key_count(w->opt.index) > 0 || !w->loopback));
    json_put(o, "max_upload_bytes", json_integer((json_int_t)w->opt.max_upload_bytes));
    reply_json(r, 200, o);
    return OK;
}

enum err_code api_healthz(struct request *r, struct err *err)
{
    (void)err;
    reply_text(r, 200, "application/json", STR("{\"status\":\"ok\"}\n"));
    return OK;
}

enum err_code api_readyz(struct request *r, struct err *err)
{
    struct index_counts c;
    enum err_code rc = stop_check(&r->web->stop, err);
    if (!rc)
        rc = index_counts(r->web->opt.index, &c, err);
    if (rc) {
        reply_refuse(r, 503, "not_ready", err->msg);
        return rc;
    }
    reply_text(r, 200, "application/json", STR("{\"status\":\"ready\"}\n"));
    return OK;
}

enum err_code api_metrics(struct request *r, struct err *err)
{
    (void)err;
    metrics_write(r->web, &r->reply.body);
    reply_body(r, 200, "text/plain; version=0.0.4; charset=utf-8");
    return OK;
}
