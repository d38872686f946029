/* tests/unit/fake_llm.h - llm.h with a language model that says what a test tells it to.
 *
 * Defines every function of that door, so that the linker leaves the real one out;
 * the extractive engine is the real one. `fake` is both script and record. */
#ifndef CARREL_TESTS_FAKE_LLM_H
#define CARREL_TESTS_FAKE_LLM_H
#include "base/utf8.h"
#include "llm/extractive.h"
#include "tests/test.h"

struct llm { int unused; };

static struct {
    int n_models;
    const char *says;          /* the answer; NULL: nothing */
    const char *rewrites;      /* what it says to the request for a rewritten question */
    enum err_code fails;       /* with "the model is away" */
    int fails_after;           /* bytes said before that */
    bool busy_rewrite;
    int step;                  /* bytes of a piece; 0: 7 */
    int context;               /* 0: 4096; four bytes are a token */
    int second_context;        /* 0: as the first's */
    const char *stamp;
    int attempts;              /* as told in usage; 0: 1 */
    enum llm_finish finish;
    bool endless;              /* says it again and again */
    /* record */
    int chats, rewritings;
    char asked[32];            /* the generator that was named; "" none */
    char prompt[1 << 16], system[4096];
    struct llm_sampling sampling;
    int max_tokens, n_stops;
    bool json;
    uint64_t circle, rewriting_circle;
} fake;

enum err_code llm_open(const struct llm_options *opt, struct llm **out, struct err *err)
{
    (void)opt;
    *out = calloc(1, sizeof(**out));
    return *out ? OK : err_set(err, ERR_NOMEM, "a generator");
}

void llm_close(struct llm *m)
{
    free(m);
}

int llm_n_models(const struct llm *m)
{
    (void)m;
    return fake.n_models;
}

int llm_count(const struct llm *m, struct str text)
{
    (void)m;
    return (int)(text.len / 4) + 1;
}

struct llm_model llm_model_at(const struct llm *m, int i)
{
    (void)m;
    int context = i && fake.second_context ? fake.second_context : fake.context;
    return (struct llm_model){i ? "second" : "first", "local", context ? context : 4096,
                              fake.stamp ? fake.stamp : ""};
}

int llm_find(const struct llm *m, struct str name)
{
    for (int i = 0; i < llm_n_models(m); i++)
        if (str_eqz(name, llm_model_at(m, i).name))
            return i;
    return -1;
}

const char *llm_name(const struct llm *m)
{
    return llm_n_models(m) ? "first" : "extractive";
}

double llm_temperature(const struct llm *m)
{
    (void)m;
    return 0;
}

json_t *llm_status_json(struct llm *m)
{
    (void)m;
    return json_object();
}

enum err_code llm_answer(struct llm *m, const struct llm_request *req,
                         bool (*emit)(void *arg, struct str piece), void *emit_arg,
                         const struct stop *stop, struct llm_reply *out, struct err *err)
{
    (void)m;
    return extractive_answer(req, emit, emit_arg, stop, out, err);
}

static void fake_record(const struct llm_chat *req)
{
    fake.chats++;
    fake.sampling = req->sampling;
    fake.max_tokens = req->max_tokens;
    fake.circle = req->circle;
    fake.n_stops = req->n_stops;
    fake.json = req->schema || req->json_object;
    snprintf(fake.asked, sizeof(fake.asked), "%s", req->model ? req->model : "");
    snprintf(fake.system, sizeof(fake.system), "%.*s", STR_ARG(req->messages[0].content));
    snprintf(fake.prompt, sizeof(fake.prompt), "%.*s", STR_ARG(req->messages[1].content));
}

static enum err_code fake_say(struct str text, bool (*emit)(void *, const struct llm_piece *),
                              void *arg, const struct stop *stop, struct err *err)
{
    size_t step = fake.step ? (size_t)fake.step : 7, at = 0;
    while (at < text.len) {
        size_t to = utf8_ceil(text, at + step < text.len ? at + step : text.len);
        struct llm_piece piece = {.text = str_sub(text, at, to)};
        if (stop_asked(stop) || !emit(arg, &piece))
            return err_set(err, ERR_CANCELLED, "stopped");
        at = to;
    }
    return OK;
}

enum err_code llm_chat(struct llm *m, const struct llm_chat *req,
                       bool (*emit)(void *arg, const struct llm_piece *piece), void *emit_arg,
                       const struct stop *stop, struct llm_chat_reply *out, struct err *err)
{
    bool rewrite = strstr(req->messages[1].content.ptr, "<passages of ") == NULL;
    struct str text = str_of(rewrite ? fake.rewrites : fake.says);
    *out = (struct llm_chat_reply){.finish = fake.finish,
                                   .usage = {.prompt_tokens = 100,
                                             .completion_tokens = (int)text.len / 4,
                                             .cached_tokens = 60,
                                             .proposed_tokens = 5,
                                             .accepted_tokens = 4,
                                             .n_attempts = fake.attempts ? fake.attempts : 1}};
    snprintf(out->model, sizeof(out->model), "%s", req->model ? req->model : llm_name(m));
    if (rewrite) {
        fake.rewritings++;
        fake.rewriting_circle = req->circle;
        out->finish = LLM_STOP;
        return fake.busy_rewrite ? err_set(err, ERR_BUSY, "the queue is full")
                                 : fake_say(text, emit, emit_arg, stop, err);
    }
    if (fake.fails == ERR_BUSY)
        return err_set(err, fake.fails, "the model is away");
    if (!emit(emit_arg, &(struct llm_piece){.text = STR("")}))
        return err_set(err, ERR_CANCELLED, "the reader left");
    fake_record(req);
    if (fake.fails && fake.fails_after < (int)text.len)
        text.len = (size_t)fake.fails_after;
    enum err_code rc = fake_say(text, emit, emit_arg, stop, err);
    while (!rc && fake.endless)
        rc = fake_say(text, emit, emit_arg, stop, err);
    if (!rc && fake.fails)
        rc = err_set(err, fake.fails, "the model is away");
    return rc;
}
#endif
