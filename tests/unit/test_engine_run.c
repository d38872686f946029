#include "tests/engines.h"

/* ---- limits ---- */

TEST(a_prompt_that_passes_the_context_is_refused_with_both_numbers)
{
    struct model m = load(data_path(STORIES), 1);
    struct engine *e = start(&m, (struct engine_options){.context = 64});
    struct prompt p = random_prompt(&m, 64, 1);
    struct answer a = {0};
    struct engine_request r = request(&p, 10, 0);
    CHECK_INT(engine_context(e), 64);
    generate(e, &r, &a);
    CHECK_INT(a.rc, ERR_LIMIT);
    CHECK_STR(str_of(a.err.msg),
              "the prompt has 64 tokens and the context holds 64, the answer's among them");
    p.n = r.n_prompt = 60;
    generate_well(e, &r, &a);
    CHECK_INT(a.reply.usage.completion_tokens, 4); /* what the context leaves */
    CHECK_INT(a.reply.finish, LLM_LENGTH);
    p.ids[5] = 512;
    generate(e, &r, &a);
    CHECK_STR(str_of(a.err.msg), "token 5 of the prompt is 512: need 0 to 511");
    p.ids[5] = 1;
    r.sampling.top_p = 2;
    generate(e, &r, &a);
    CHECK_STR(str_of(a.err.msg), "top_p is 2: need 0 to 1");
    r.sampling.top_p = 0;
    r.n_prompt = 0;
    generate(e, &r, &a);
    CHECK_INT(a.rc, ERR_ARG);
    answer_free(&a);
    engine_close(e);
    unload(&m);
}

TEST(the_shortest_context_holds_a_token_and_its_answer)
{
    struct model m = load(data_path(STORIES), 1);
    struct engine *e = start(&m, (struct engine_options){.context = 2});
    struct prompt p = random_prompt(&m, 2, 1);
    struct answer a = {0};
    struct engine_request r = request(&p, 10, 0);
    generate(e, &r, &a);
    CHECK_INT(a.rc, ERR_LIMIT);
    r.n_prompt = 1;
    generate_well(e, &r, &a);
    CHECK_INT(a.reply.usage.completion_tokens, 1);
    answer_free(&a);
    engine_close(e);
    struct engine_options o = {.decoder = m.decoder, .vocab = m.vocab, .context = 1};
    struct err err;
    CHECK_ERR(engine_open(&o, &e, &err), ERR_ARG);
    CHECK_STR(str_of(err.msg), "a context of 1 tokens: need 2, one of them the answer's");
    unload(&m);
}

TEST(a_small_cache_shortens_the_context_and_serves_all_one_after_the_other)
{
    struct model m = load(data_path(STORIES), 2);
    size_t kv, scratch, page;
    int context;
    const struct decoder_shape *s = decoder_shape_of(m.decoder);
    page = kvcache_page_bytes(&(struct kvcache_options){.type = ATTN_F32,
                                                        .n_layers = s->n_layers,
                                                        .n_kv_heads = s->n_kv_heads,
                                                        .head_dim = s->head_dim});
    struct engine_options o = {.kv_bytes = 5 * page + 1, .sessions = 4};
    engine_sizes(&o, s, &context, &kv, &scratch);
    CHECK_INT(context, 5 * ATTN_PAGE);
    CHECK_INT(kv, 5 * page);
    CHECK(scratch > 0);
    struct engine *e = start(&m, o);
    CHECK_INT(engine_context(e), context);
    CHECK_INT(engine_kv_bytes(e), kv);
    struct asker k[24] = {0};
    struct prompt p[24];
    for (int i = 0; i < 24; i++) { /* 1 to 5 pages each: one at a time up to several */
        p[i] = random_prompt(&m, 3 + 6 * i, (uint64_t)i);
        k[i].r = request(&p[i], i % 3 ? 10 : 0, 0);
    }
    ask_all(e, k, 24);
    for (int i = 0; i < 24; i++) {
        CHECK_OK(k[i].a.rc, &k[i].a.err);
        answer_free(&k[i].a);
    }
    struct engine_state st;
    engine_state(e, &st);
    CHECK_INT(st.pages, 5);
    CHECK_INT(st.pages_free, 5);
    CHECK_INT(st.running + st.waiting, 0);
    engine_close(e);
    o.kv_bytes = page - 1;
    o.decoder = m.decoder, o.vocab = m.vocab;
    struct err err;
    CHECK_ERR(engine_open(&o, &e, &err), ERR_LIMIT);
    unload(&m);
}

/* ---- waiting and leaving ---- */

/* A reader that stands still at its first piece until it is let go. */
struct gate {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool reached, open;
};

static void gate_init(struct gate *g)
{
    *g = (struct gate){0};
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->cond, NULL);
}

static void wait_at(struct answer *a)
{
    struct gate *g = a->arg;
    pthread_mutex_lock(&g->lock);
    g->reached = true;
    pthread_cond_broadcast(&g->cond);
    while (!g->open)
        pthread_cond_wait(&g->cond, &g->lock);
    pthread_mutex_unlock(&g->lock);
}

static void gate_await(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    while (!g->reached)
        pthread_cond_wait(&g->cond, &g->lock);
    pthread_mutex_unlock(&g->lock);
}

static void gate_open(struct gate *g)
{
    pthread_mutex_lock(&g->lock);
    g->open = true;
    pthread_cond_broadcast(&g->cond);
    pthread_mutex_unlock(&g->lock);
}

TEST(a_slow_reader_holds_up_nobody_and_loses_nothing)
{
    struct model m = load(data_path(STORIES), 2);
    struct engine *e = start(&m, (struct engine_options){0});
    struct prompt p = encode(&m, "Once upon a time");
    struct gate g;
    gate_init(&g);
    struct asker slow = {.e = e, .r = request(&p, 300, 0), .a = {.at_piece = wait_at, .arg = &g}};
    CHECK_INT(pthread_create(&slow.thread, NULL, ask, &slow), 0);
    gate_await(&g);
    struct answer other = {0};
    generate_well(e, &slow.r, &other); /* while the first reader stands still */
    gate_open(&g);
    pthread_join(slow.thread, NULL);
    CHECK_OK(slow.a.rc, &slow.a.err);
    check_same(&slow.a, &other, "slow");
    answer_free(&other);
    answer_free(&slow.a);
    engine_close(e);
    unload(&m);
}

TEST(a_full_queue_refuses_with_a_sentence_and_serves_those_in_it)
{
    struct model m = load(data_path(STORIES), 1);
    struct engine *e = start(&m, (struct engine_options){.sessions = 1, .queue = -1});
    struct prompt p = encode(&m, "Once upon a time");
    struct gate g;
    gate_init(&g);
    struct asker first = {.e = e, .r = request(&p, 20, 0), .a = {.at_piece = wait_at, .arg = &g}};
    CHECK_INT(pthread_create(&first.thread, NULL, ask, &first), 0);
    gate_await(&g);
    struct answer a = {0};
    generate(e, &first.r, &a);
    CHECK_INT(a.rc, ERR_BUSY);
    CHECK_STR(str_of(a.err.msg), "1 answers are being written or wait, the most there may be");
    struct engine_state s;
    engine_state(e, &s);
    CHECK_INT(s.refused, 1);
    gate_open(&g);
    pthread_join(first.thread, NULL);
    CHECK_OK(first.a.rc, &first.a.err);
    generate_well(e, &first.r, &a);
    answer_free(&a);
    answer_free(&first.a);
    engine_close(e);
    unload(&m);
}

/* The moment at which a reader leaves or a stop is set, and how far the engine was. */
struct moment {
    struct engine *e;
    struct stop *stop; /* set; NULL: the reader leaves */
    int64_t passes;
    bool caught; /* the answer was still being written */
};

static void leave_now(struct answer *a)
{
    struct moment *now = a->arg;
    if (a->pieces != 1)
        return;
    pthread_mutex_lock(&now->e->lock);
    now->passes = now->e->state.passes;
    now->caught = now->e->n_live > 0;
    if (now->stop)
        stop_set(now->stop);
    else if (now->caught)
        now->e->live[0]->left = true; /* what `false` from emit does, a moment later */
    pthread_mutex_unlock(&now->e->lock);
}

TEST(a_reader_who_leaves_frees_the_place_within_a_token)
{
    struct model m = load(data_path(STORIES), 1);
    struct engine *e = start(&m, (struct engine_options){.sessions = 1, .no_lookup = true});
    struct prompt p = encode(&m, "Once upon a time");
    struct engine_request r = request(&p, 400, 0);
    struct engine_state after;
    for (int round = 0; round < 20; round++) {
        struct moment now = {.e = e};
        struct answer a = {.leave_at = 1, .at_piece = leave_now, .arg = &now};
        generate(e, &r, &a);
        engine_state(e, &after);
        CHECK_INT(a.rc, ERR_CANCELLED);
        CHECK_MSG(!now.caught || after.passes <= now.passes + 1, "%d passes after the reader left",
                  (int)(after.passes - now.passes));
        CHECK_INT(after.running, 0);
        CHECK_INT(after.pages_free, after.pages);
        CHECK_STR(str_of(a.err.msg), "the reader left");
        answer_free(&a);
    }
    engine_close(e);
    unload(&m);
}

TEST(a_stop_ends_an_answer_that_runs_and_one_that_waits)
{
    struct model m = load(data_path(STORIES), 1);
    struct engine *e = start(&m, (struct engine_options){.sessions = 1});
    struct prompt p = encode(&m, "Once upon a time");
    struct engine_request r = request(&p, 400, 0);
    struct stop stop;
    struct answer a;
    struct engine_state s;
    struct moment now;
    do { /* again, should the answer be whole before the reader was on its turn */
        stop = (struct stop){0};
        now = (struct moment){.e = e, .stop = &stop};
        a = (struct answer){.at_piece = leave_now, .arg = &now};
        a.rc = engine_generate(e, &r, take, &a, &stop, &a.reply, &a.err);
        answer_free(&a);
    } while (!now.caught || a.rc == OK);
    CHECK_INT(a.rc, ERR_CANCELLED);
    CHECK_STR(str_of(a.err.msg), "stopped");
    engine_state(e, &s);
    CHECK_INT(s.running, 0);
    CHECK(s.passes <= now.passes + 1);
    a = (struct answer){0}; /* asked to stop before it came in: not a token */
    int64_t tokens = s.tokens;
    CHECK_ERR(engine_generate(e, &r, take, &a, &stop, &a.reply, &a.err), ERR_CANCELLED);
    engine_state(e, &s);
    CHECK_INT(s.tokens, tokens);
    CHECK_INT(a.pieces, 0);
    engine_close(e);
    unload(&m);
}

TEST(closing_ends_answers_that_run_and_wait)
{
    struct model m = load(data_path(STORIES), 2);
    struct engine *e = start(&m, (struct engine_options){.sessions = 2});
    struct prompt p = encode(&m, "Once upon a time");
    struct asker k[5] = {0};
    struct gate g;
    gate_init(&g);
    for (int i = 0; i < 5; i++) {
        k[i] = (struct asker){.e = e, .r = request(&p, 450, 1)};
        if (i == 0)
            k[i].a = (struct answer){.at_piece = wait_at, .arg = &g};
        k[i].r.sampling.seed = (uint64_t)i;
        CHECK_INT(pthread_create(&k[i].thread, NULL, ask, &k[i]), 0);
        if (i == 0)
            gate_await(&g);
    }
    gate_open(&g);
    struct engine_state s;
    do {
        engine_state(e, &s);
    } while (s.running + s.waiting + (s.tokens >= 450 ? 5 : 0) < 5);
    engine_close(e);
    for (int i = 0; i < 5; i++) {
        pthread_join(k[i].thread, NULL);
        if (k[i].a.rc)
            CHECK_STR(str_of(k[i].a.err.msg), "the model is being closed");
        answer_free(&k[i].a);
    }
    unload(&m);
}

/* ---- who waits for whom ---- */

/* At the first piece of one: prompts of those that have begun to answer, all told. */
struct first { struct engine *e; pthread_mutex_t lock; int64_t begun; };

static void note_first(struct answer *a)
{
    struct first *f = a->arg;
    struct engine_state s;
    engine_state(f->e, &s);
    pthread_mutex_lock(&f->lock);
    if (!f->begun)
        f->begun = s.prompt_tokens;
    pthread_mutex_unlock(&f->lock);
}

/* Ask all while another's answer leaves no page for them, so that they come in together; false:
 * it was over before. */
static bool ask_behind(struct engine *e, struct asker *k, int n, const struct prompt *p)
{
    struct gate g;
    gate_init(&g);
    struct asker before = {.e = e, .r = request(p, 480, 0), .a = {.at_piece = wait_at, .arg = &g}};
    struct engine_state s;
    CHECK_INT(pthread_create(&before.thread, NULL, ask, &before), 0);
    gate_await(&g);
    for (int i = 0; i < n; i++) {
        k[i].e = e;
        CHECK_INT(pthread_create(&k[i].thread, NULL, ask, &k[i]), 0);
    }
    do
        engine_state(e, &s);
    while (s.waiting < n && s.tokens < 480);
    bool together = s.waiting == n && s.tokens < 480;
    gate_open(&g);
    pthread_join(before.thread, NULL);
    for (int i = 0; i < n; i++)
        pthread_join(k[i].thread, NULL);
    answer_free(&before.a);
    return together;
}

TEST(prompts_that_come_together_begin_to_be_answered_together)
{
    enum { N = 4, ALL = 70 + 90 + 50 + 80 };
    const int length[N] = {70, 90, 50, 80};
    struct model m = load(data_path(STORIES), 1);
    const struct decoder_shape *s = decoder_shape_of(m.decoder);
    const struct kvcache_options kv = {.type = ATTN_F32,
                                       .n_layers = s->n_layers,
                                       .n_kv_heads = s->n_kv_heads,
                                       .head_dim = s->head_dim};
    struct engine *e = start(&m, (struct engine_options){.context = 512, .slice = 16,
                                                         .kv_bytes = 16 * kvcache_page_bytes(&kv)});
    struct prompt p[N], before = random_prompt(&m, 10, 99);
    bool together;
    do {
        struct asker k[N] = {0};
        struct engine_state was;
        struct first f = {.e = e};
        pthread_mutex_init(&f.lock, NULL);
        engine_state(e, &was);
        for (int i = 0; i < N; i++) {
            p[i] = random_prompt(&m, length[i], (uint64_t)(was.passes + i));
            k[i].r = request(&p[i], 3, 0);
            k[i].a = (struct answer){.at_piece = note_first, .arg = &f};
        }
        together = ask_behind(e, k, N, &before);
        for (int i = 0; i < N; i++) {
            CHECK_OK(k[i].a.rc, &k[i].a.err);
            answer_free(&k[i].a);
        }
        CHECK(!together || f.begun - was.prompt_tokens - before.n == ALL);
    } while (!together);
    engine_close(e);
    unload(&m);
}

static void hurry(struct answer *a)
{
    struct rng *r = a->arg;
    if (rng_below(r, 50) == 0)
        a->leave_at = a->pieces;
}

TEST(a_crowd_that_comes_leaves_and_asks_all_sorts_is_served)
{
    struct model m = load(data_path(STORIES), 2);
    struct engine *e = start(
        &m, (struct engine_options){.sessions = 3, .queue = 4, .context = 256, .kv_bytes = 0});
    enum { CROWD = 10 };
    struct rng rng[CROWD], all;
    struct prompt p[CROWD];
    int served = 0, left = 0, busy = 0;
    rng_init(&all, 3);
    for (int round = 0; round < 6; round++) {
        struct asker k[CROWD] = {0};
        for (int i = 0; i < CROWD; i++) {
            rng_init(&rng[i], rng_next(&all));
            p[i] = random_prompt(&m, 1 + (int)rng_below(&all, 200), rng_below(&all, 3));
            k[i].r = request(&p[i], 1 + (int)rng_below(&all, 60), (double)rng_below(&all, 2));
            k[i].a = (struct answer){.at_piece = i % 2 ? hurry : NULL, .arg = &rng[i]};
        }
        ask_all(e, k, CROWD);
        for (int i = 0; i < CROWD; i++) {
            served += k[i].a.rc == OK;
            left += k[i].a.rc == ERR_CANCELLED;
            busy += k[i].a.rc == ERR_BUSY;
            answer_free(&k[i].a);
        }
    }
    CHECK_INT(served + left + busy, 60);
    CHECK(served > 0);
    struct engine_state s;
    engine_state(e, &s);
    CHECK_INT(s.refused, busy);
    CHECK_INT(s.running + s.waiting, 0);
    CHECK_INT(s.pages_free, s.pages);
    engine_close(e);
    unload(&m);
}
