#include "llm/llm.h"
#include <stdlib.h>
#include "llm/extractive.h"

#define PASSAGES_MAX 1000

/* An engine; new ones add a row. */
struct engine {
    const char *name;
    enum err_code (*answer)(const struct llm_request *req,
                            bool (*emit)(void *arg, struct str piece), void *emit_arg,
                            const struct stop *stop, struct llm_reply *out, struct err *err);
};
static const struct engine EXTRACTIVE = {"extractive", extractive_answer};

struct llm {
    const struct engine *engine;
};

enum err_code llm_open(const struct llm_options *opt, struct llm **out, struct err *err)
{
    if (opt->model_path)
        return err_set(err, ERR_ARG, "generator %s: this carrel has the extractive engine only",
                       opt->model_path);
    struct llm *m = calloc(1, sizeof(*m));
    if (!m)
        return err_set(err, ERR_NOMEM, "a generator");
    m->engine = &EXTRACTIVE;
    *out = m;
    return OK;
}

void llm_close(struct llm *m)
{
    free(m);
}

const char *llm_name(const struct llm *m)
{
    return m->engine->name;
}

enum err_code llm_answer(struct llm *m, const struct llm_request *req,
                         bool (*emit)(void *arg, struct str piece), void *emit_arg,
                         const struct stop *stop, struct llm_reply *out, struct err *err)
{
    if (req->n_passages < 0 || req->n_passages > PASSAGES_MAX)
        return err_set(err, ERR_ARG, "%d passages: need 0 to %d", req->n_passages, PASSAGES_MAX);
    return m->engine->answer(req, emit, emit_arg, stop, out, err);
}
