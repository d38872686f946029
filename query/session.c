#include "query/session.h"
#include <string.h>
#include "base/words.h"

#define ENOUGH        2 /* content words that make a question stand alone */
#define SHORT         4 /* fewer: "this" and "there" point back too */
#define CARRIED_BYTES 512
#define CARRIED_WORDS 64

static const char *const POINTING[] = {
    "it",  "its",     "itself", "they", "them", "their",   "theirs", "themselves", "he", "him",
    "his", "himself", "she",    "her",  "hers", "herself", "former", "latter",     NULL};
static const char *const MAYBE_POINTING[] = {"this", "that", "these", "those", "there",
                                             "one",  "ones", "then",  NULL};

static bool in_list(struct str s, const char *const *list)
{
    for (; *list; list++)
        if (str_eqz(s, *list))
            return true;
    return false;
}

struct look {
    int content;
    bool points, may_point;
};

static bool look(void *arg, const struct word *w)
{
    struct look *l = arg;
    bool points = in_list(w->surface, POINTING), may = in_list(w->surface, MAYBE_POINTING);
    l->points = l->points || points;
    l->may_point = l->may_point || may;
    l->content += !points && !may && !words_is_stop(w->surface);
    return true;
}

static bool stands_alone(const struct look *l)
{
    if (l->points || l->content < ENOUGH)
        return false;
    return !(l->may_point && l->content < SHORT);
}

struct seek {
    struct str stem;
    bool found;
};

static bool seek(void *arg, const struct word *w)
{
    struct seek *s = arg;
    s->found = str_eq(s->stem, w->stem);
    return !s->found;
}

struct carried {
    struct str word[CARRIED_WORDS], stem[CARRIED_WORDS];
    int n;
    struct arena *a;
    struct str text; /* that the words are of */
};

static bool take_content(void *arg, const struct word *w)
{
    struct carried *c = arg;
    bool empty =
        words_is_stop(w->surface) || in_list(w->surface, POINTING) || w->kind == WORD_CJK_ONE;
    if (empty || c->n == CARRIED_WORDS)
        return true;
    struct str stem = arena_str(c->a, w->stem);
    if (!stem.ptr)
        return false;
    c->stem[c->n] = stem;
    c->word[c->n++] = str_sub(c->text, w->start, w->end);
    return true;
}

/* Content words of `before` that `question` lacks, behind it. */
static enum err_code carry_over(struct words *w, struct str before, struct str question,
                                struct arena *a, struct str *out, struct err *err)
{
    struct carried c = {.a = a, .text = before};
    struct buf b = {.max = question.len + CARRIED_BYTES};
    buf_str(&b, question);
    enum err_code rc = words_each(w, before, take_content, &c, err);
    for (int i = 0; i < c.n && !rc; i++) {
        struct seek s = {.stem = c.stem[i]};
        rc = words_each(w, buf_view(&b), seek, &s, err);
        if (rc || s.found || b.len + 1 + c.word[i].len > b.max)
            continue;
        buf_char(&b, ' ');
        buf_str(&b, c.word[i]);
    }
    if (!rc)
        rc = buf_ok(&b, "a search query", err);
    if (!rc)
        *out = arena_str(a, buf_view(&b));
    if (!rc && !out->ptr)
        rc = err_set(err, ERR_NOMEM, "a search query");
    buf_free(&b);
    return rc;
}

enum err_code session_resolve(struct str before, struct str question, struct arena *a,
                              struct str *out, struct err *err)
{
    struct words *w = NULL;
    struct look l = {0};
    *out = question;
    if (!before.len)
        return OK;
    enum err_code rc = words_new(&w, err);
    if (!rc)
        rc = words_each(w, question, look, &l, err);
    if (!rc && !stands_alone(&l))
        rc = carry_over(w, before, question, a, out, err);
    words_free(w);
    return rc;
}

enum err_code session_stands_alone(struct str question, bool *alone, struct err *err)
{
    struct words *w = NULL;
    struct look l = {0};
    enum err_code rc = words_new(&w, err);
    if (!rc)
        rc = words_each(w, question, look, &l, err);
    *alone = stands_alone(&l);
    words_free(w);
    return rc;
}

enum err_code session_query(const struct ask_turn *turns, int n, struct str question,
                            struct arena *a, struct str *out, struct err *err)
{
    struct str before = {NULL, 0};
    enum err_code rc = OK;
    for (int i = n > SESSION_TURNS ? n - SESSION_TURNS : 0; i < n && !rc; i++)
        rc = session_resolve(before, turns[i].question, a, &before, err);
    return rc ? rc : session_resolve(before, question, a, out, err);
}

enum err_code session_turns(struct index *x, const char *conversation, struct arena *a,
                            struct ask_turn **out, int *n, struct err *err)
{
    struct message *m = NULL;
    int all = 0, turns = 0, from = 0;
    *n = 0;
    if (!conversation || !conversation[0])
        return OK;
    enum err_code rc = index_conversation(x, conversation, a, &m, &all, err);
    for (from = all; !rc && from > 0 && turns < SESSION_TURNS; from--)
        turns += strcmp(m[from - 1].role, "user") == 0;
    *out = arena_alloc(a, (size_t)turns, sizeof(**out));
    if (!rc && !*out)
        rc = err_set(err, ERR_NOMEM, "%d turns", turns);
    for (int i = from; i < all && !rc; i++) {
        if (strcmp(m[i].role, "user") == 0)
            (*out)[(*n)++].question = str_of(m[i].content);
        else if (*n)
            (*out)[*n - 1].answer = str_of(m[i].content);
    }
    return rc;
}

enum err_code session_history(const struct llm_message *m, int n_messages, struct arena *a,
                              struct ask_turn **out, int *n, struct err *err)
{
    int turns = 0, from = n_messages;
    for (; from > 0 && turns < SESSION_TURNS; from--)
        turns += m[from - 1].role == LLM_USER;
    *n = 0;
    *out = arena_alloc(a, (size_t)turns, sizeof(**out));
    if (!*out)
        return err_set(err, ERR_NOMEM, "%d turns", turns);
    for (int i = from; i < n_messages; i++) {
        if (m[i].role == LLM_USER)
            (*out)[(*n)++].question = m[i].content;
        else if (m[i].role == LLM_ASSISTANT && *n)
            (*out)[*n - 1].answer = m[i].content;
    }
    return OK;
}

enum err_code session_keep(struct index *x, char id[33], struct str question, struct str answer,
                           struct err *err)
{
    enum err_code rc = index_conversation_add(x, id, "user", question, err);
    return rc ? rc : index_conversation_add(x, id, "assistant", answer, err);
}
