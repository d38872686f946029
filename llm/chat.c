#include "llm/chat.h"
#include <stdlib.h>
#include <string.h>
#include "llm/chat_int.h"

/* ---- writing
 *
 * All text lies in one buffer; a cut says up to where it is trusted or not. */

struct cut { size_t end; bool trusted; };

struct script {
    const struct chat_family *f;
    const struct vocab *v;     /* NULL: for people, nothing is a control piece */
    struct str bos, eos;
    bool prefixes;             /* SPM: a space of its own behind control pieces */
    struct buf text, cuts;
};

static void cut(struct script *s, bool trusted)
{
    const struct cut c = {s->text.len, trusted};
    buf_add(&s->cuts, &c, sizeof(c));
}

static bool is_control(const struct script *s, struct str piece)
{
    return s->v && piece.len && vocab_is_control(s->v, vocab_find(s->v, piece));
}

/* What is written so far ends in a control piece, or is nothing. */
static bool after_control(const struct script *s)
{
    const struct str marks[] = {s->bos, s->eos, STR("[INST]"), STR("[/INST]"),
                                STR("[SYSTEM_PROMPT]"), STR("[/SYSTEM_PROMPT]")};
    struct str text = buf_view(&s->text);
    for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++)
        if (marks[i].len && str_ends(text, marks[i]) && is_control(s, marks[i]))
            return true;
    return text.len == 0;
}

/* A string of the family's table (chat_int.h tells its signs). */
static void put_trusted(struct script *s, const char *z)
{
    for (; *z; z++) {
        if (*z == CHAT_BOS[0] && s->text.len)
            buf_str(&s->text, s->bos);
        else if (*z == CHAT_EOS[0])
            buf_str(&s->text, s->eos);
        else if (*z == CHAT_GAP[0] && !(s->prefixes && after_control(s)))
            buf_char(&s->text, ' ');
        else if ((unsigned char)*z > CHAT_GAP[0])
            buf_char(&s->text, *z);
    }
    cut(s, true);
}

/* The longest mark that `text` has at `at` and that letters alone stand for, or 0. */
static size_t mark_at(const struct script *s, struct str text, size_t at)
{
    size_t longest = 0;
    for (const char *const *m = s->f->marks; m && *m; m++) {
        struct str mark = str_of(*m);
        if (mark.len > longest && str_starts(str_sub(text, at, text.len), mark) &&
            !is_control(s, mark))
            longest = mark.len;
    }
    return longest;
}

static void put_message(struct script *s, struct str text)
{
    if (s->f->trims)
        text = str_trim(text);
    for (size_t i = 0; i < text.len; i++) {
        buf_char(&s->text, text.ptr[i]);
        if (s->f->marks && strchr("[<#", text.ptr[i]) && text.ptr[i] && mark_at(s, text, i))
            buf_char(&s->text, ' ');
    }
    cut(s, false);
}

static void put_turn(struct script *s, const char *const around[2], struct str text)
{
    put_trusted(s, around[0]);
    put_message(s, text);
    put_trusted(s, around[1]);
}

/* ---- conversations */

/* Where the system texts of [from, to) are folded into the user text that follows. */
static void put_folded(struct script *s, const struct llm_message *m, int from, int to)
{
    bool any = false;
    for (int i = from; i < to; i++) {
        if (m[i].role != LLM_SYSTEM)
            continue;
        put_trusted(s, any ? "\n\n" : s->f->fold[0]);
        put_message(s, m[i].content);
        any = true;
    }
    if (any)
        put_trusted(s, s->f->fold[1]);
}

static bool folds(const struct chat_family *f)
{
    return !f->system[0];
}

static const char *role_name(enum llm_role r)
{
    return r == LLM_SYSTEM ? "system" : r == LLM_USER ? "user" : "assistant";
}

static int last_of(const struct llm_message *m, int n, enum llm_role role)
{
    while (n > 0 && m[n - 1].role != role)
        n--;
    return n - 1;
}

/* Can the family write these roles in this order? */
static enum err_code check_order(const struct chat_family *f, const struct llm_message *m, int n,
                                 struct err *err)
{
    if (n < 1)
        return err_set(err, ERR_ARG, "no messages, need one at least");
    enum llm_role before = LLM_ASSISTANT;
    for (int i = 0; i < n && f->strict; i++) {
        if (m[i].role == LLM_SYSTEM)
            continue;
        if (m[i].role == before)
            return err_set(err, ERR_ARG,
                           "message %d is of the %s: in %s's turns the user begins, and user and "
                           "assistant take turns", i + 1, role_name(before), f->name);
        before = m[i].role;
    }
    if (folds(f) && last_of(m, n, LLM_SYSTEM) > last_of(m, n, LLM_USER))
        return err_set(err, ERR_ARG,
                       "message %d is of the system: in %s's turns a user's message has to follow",
                       last_of(m, n, LLM_SYSTEM) + 1, f->name);
    return OK;
}

/* System texts that were not written in turns of their own before message i. */
static void put_system(struct script *s, const struct llm_message *m, int n, int i, int *told)
{
    if (!folds(s->f) || (s->f->folds_late && i != last_of(m, n, LLM_USER)))
        return;
    put_folded(s, m, *told, i);
    *told = i;
}

static void put_all(struct script *s, const struct llm_message *m, int n)
{
    const struct chat_family *f = s->f;
    int told = 0;
    if (f->unsaid && m[0].role != LLM_SYSTEM)
        put_turn(s, f->system, str_of(f->unsaid));
    for (int i = 0; i < n; i++) {
        if (m[i].role == LLM_SYSTEM && !folds(f))
            put_turn(s, f->system, m[i].content);
        if (m[i].role == LLM_USER) {
            put_trusted(s, f->user[0]);
            put_system(s, m, n, i, &told);
            put_message(s, m[i].content);
            put_trusted(s, f->user[1]);
        }
        if (m[i].role == LLM_ASSISTANT && i < n - 1)
            put_turn(s, f->assistant, m[i].content);
        else if (m[i].role == LLM_ASSISTANT) {
            put_trusted(s, f->assistant[0]);
            put_message(s, m[i].content);
        }
    }
    if (m[n - 1].role != LLM_ASSISTANT)
        put_trusted(s, f->opens);
}

/* Texts behind each other, for models without turns. */
static void put_plain(struct script *s, const struct llm_message *m, int n)
{
    for (int i = 0; i < n; i++) {
        if (i > 0)
            put_trusted(s, "\n");
        put_message(s, m[i].content);
    }
}

static enum err_code write_script(struct script *s, const struct llm_message *m, int n,
                                  struct err *err)
{
    enum err_code rc = check_order(s->f, m, n, err);
    if (rc)
        return rc;
    if (s->f->user[0])
        put_all(s, m, n);
    else
        put_plain(s, m, n);
    rc = buf_ok(&s->text, "a prompt", err);
    return rc ? rc : buf_ok(&s->cuts, "parts of a prompt", err);
}

static void script_free(struct script *s)
{
    buf_free(&s->text);
    buf_free(&s->cuts);
}

enum err_code chat_write(const struct chat_family *f, struct str bos, struct str eos,
                         const struct llm_message *messages, int n, struct buf *out,
                         struct err *err)
{
    struct script s = {.f = f, .bos = bos, .eos = eos};
    enum err_code rc = write_script(&s, messages, n, err);
    if (!rc) {
        buf_str(out, buf_view(&s.text));
        rc = buf_ok(out, "a prompt", err);
    }
    script_free(&s);
    return rc;
}

/* ---- ids */

/* Does this vocabulary put a space of its own before a text? */
static bool puts_space(const struct vocab *v)
{
    int32_t id = -1;
    size_t n = 0;
    return vocab_model(v) == VOCAB_SPM && vocab_encode(v, STR("a"), 0, &id, 1, &n, NULL) == OK &&
           n > 0 && str_starts(vocab_text(v, id), STR(" "));
}

/* The family's prompts begin with a BOS that vocab_encode_parts does not put. */
static bool needs_bos(const struct chat_family *f, const struct vocab *v)
{
    return f->bos && !vocab_adds_bos(v) && vocab_bos(v) >= 0;
}

static enum err_code encode_parts(const struct chat_family *f, const struct vocab *v,
                                  const struct vocab_part *parts, size_t n_parts, int32_t **ids,
                                  int *n_ids, struct err *err)
{
    size_t n = 0, front = needs_bos(f, v);
    enum err_code rc = vocab_encode_parts(v, parts, n_parts, VOCAB_ADD_BOS, NULL, 0, &n, err);
    if (rc)
        return rc;
    if (n > INT32_MAX / 2)
        return err_set(err, ERR_LIMIT, "a prompt of %zu tokens, want at most %d", n, INT32_MAX / 2);
    int32_t *all = malloc((n + front + 1) * sizeof(*all));
    if (!all)
        return err_set(err, ERR_NOMEM, "a prompt of %zu tokens", n);
    if (front)
        all[0] = vocab_bos(v);
    rc = vocab_encode_parts(v, parts, n_parts, VOCAB_ADD_BOS, all + front, n, &n, err);
    if (rc) {
        free(all);
        return rc;
    }
    *ids = all;
    *n_ids = (int)(n + front);
    return OK;
}

static enum err_code encode_script(const struct script *s, int32_t **ids, int *n_ids,
                                   struct err *err)
{
    size_t n = s->cuts.len / sizeof(struct cut), at = 0;
    const struct cut *cuts = (const struct cut *)(const void *)s->cuts.ptr;
    struct vocab_part *parts = malloc((n + 1) * sizeof(*parts));
    if (!parts)
        return err_set(err, ERR_NOMEM, "%zu parts of a prompt", n);
    for (size_t i = 0; i < n; at = cuts[i++].end)
        parts[i] = (struct vocab_part){str_sub(buf_view(&s->text), at, cuts[i].end),
                                       cuts[i].trusted};
    enum err_code rc = encode_parts(s->f, s->v, parts, n, ids, n_ids, err);
    free(parts);
    return rc;
}

enum err_code chat_encode(const struct chat_family *f, const struct vocab *v,
                          const struct llm_message *messages, int n, int32_t **ids, int *n_ids,
                          struct err *err)
{
    struct script s = {.f = f,
                       .v = v,
                       .bos = vocab_piece(v, vocab_bos(v)),
                       .eos = vocab_piece(v, vocab_eos(v)),
                       .prefixes = puts_space(v)};
    *ids = NULL;
    *n_ids = 0;
    enum err_code rc = write_script(&s, messages, n, err);
    if (!rc)
        rc = encode_script(&s, ids, n_ids, err);
    if (!rc && *n_ids == 0) { /* an empty text for a model without turns */
        free(*ids);
        *ids = NULL;
        rc = err_set(err, ERR_ARG, "the messages say nothing, need a text");
    }
    script_free(&s);
    return rc;
}
