#include "query/eval_read.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/json.h"

#define FILE_BYTES_MAX ((size_t)256 << 20)

struct file {
    const char *name;
    struct arena *a;
    int line;
    struct err *err;
};

/* Calls take for each line that is not empty. */
static enum err_code each_line(const char *dir, struct file *f,
                               enum err_code (*take)(void *arg, struct file *f, struct str line),
                               void *arg)
{
    struct buf bytes = {0};
    char *path = arena_printf(f->a, "%s/%s", dir, f->name);
    if (!path)
        return err_set(f->err, ERR_NOMEM, "a path");
    if (!file_exists(path))
        return err_set(f->err, ERR_NOTFOUND, "no %s", path);
    enum err_code rc = file_read(path, FILE_BYTES_MAX, &bytes, f->err);
    struct str rest = buf_view(&bytes), line;
    for (f->line = 1; !rc && rest.len && str_split(&rest, '\n', &line); f->line++)
        if (str_trim(line).len)
            rc = take(arg, f, str_trim(line));
    buf_free(&bytes);
    return rc;
}

static enum err_code malformed(const struct file *f, const char *want)
{
    return err_set(f->err, ERR_FORMAT, "%s line %d: need %s", f->name, f->line, want);
}

/* Room for one more of `size` bytes in *v. */
static bool grow(struct arena *a, void *v, int n, size_t size)
{
    void **p = v;
    if (n && (n < 64 || (n & (n - 1))))
        return true;
    void *more = arena_alloc(a, n ? (size_t)n * 2 : 64, size);
    if (more && n)
        memcpy(more, *p, (size_t)n * size);
    if (more)
        *p = more;
    return more != NULL;
}

static enum err_code object_of(const struct file *f, struct str line, json_t **out)
{
    enum err_code rc = json_read(line, out, f->err);
    if (rc)
        return err_wrap(f->err, rc, "%s line %d", f->name, f->line);
    if (json_is_object(*out))
        return OK;
    json_decref(*out);
    return malformed(f, "an object");
}

/* ---- qrels.tsv ---- */

static struct str string_of(const json_t *v)
{
    return (struct str){json_string_value(v), json_string_length(v)};
}

struct judgements {
    struct judgement *v;
    int n;
};

static enum err_code take_judgement(void *arg, struct file *f, struct str line)
{
    struct judgements *j = arg;
    struct str query, document, grade;
    int64_t value;
    if (f->line == 1)
        return OK;
    if (!str_split(&line, '\t', &query) || !str_split(&line, '\t', &document) ||
        !str_split(&line, '\t', &grade) || !str_int(str_trim(grade), -1000, 1000, &value))
        return malformed(f, "query, document and grade by tabs");
    if (!grow(f->a, &j->v, j->n, sizeof(*j->v)))
        return err_set(f->err, ERR_NOMEM, "%d judgements", j->n);
    struct judgement *one = &j->v[j->n];
    *one = (struct judgement){arena_strz(f->a, query), arena_strz(f->a, document), (int)value};
    if (!one->query || !one->document)
        return err_set(f->err, ERR_NOMEM, "%d judgements", j->n);
    j->n++;
    return OK;
}

static int by_query(const void *a, const void *b)
{
    const struct judgement *x = a, *y = b;
    int c = strcmp(x->query, y->query);
    return c ? c : strcmp(x->document, y->document);
}

/* ---- queries.jsonl ---- */

struct queries {
    const struct judgements *j;
    struct judged_set *set;
};

static void find_judgements(const struct judgements *j, struct judged_query *q)
{
    int lo = 0, hi = j->n;
    while (lo < hi) {
        int mid = lo + (hi - lo) / 2;
        if (strcmp(j->v[mid].query, q->id) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    q->judgements = j->v + lo;
    while (lo + q->n < j->n && strcmp(j->v[lo + q->n].query, q->id) == 0)
        q->n++;
}

static bool has_relevant(const struct judged_query *q)
{
    for (int i = 0; i < q->n; i++)
        if (q->judgements[i].grade > 0)
            return true;
    return false;
}

static enum err_code take_query(void *arg, struct file *f, struct str line)
{
    struct queries *qs = arg;
    struct judged_set *s = qs->set;
    struct judged_query q = {0};
    json_t *o = NULL;
    enum err_code rc = object_of(f, line, &o);
    if (rc)
        return rc;
    const json_t *id = json_object_get(o, "_id"), *text = json_object_get(o, "text");
    if (!json_is_string(id) || !json_is_string(text)) {
        json_decref(o);
        return malformed(f, "_id and text");
    }
    q.id = arena_strz(f->a, str_of(json_string_value(id)));
    q.text = arena_str(f->a, string_of(text));
    json_decref(o);
    if (!q.id || !q.text.ptr || !grow(f->a, &s->queries, s->n_queries, sizeof(*s->queries)))
        return err_set(f->err, ERR_NOMEM, "%d queries", s->n_queries);
    find_judgements(qs->j, &q);
    if (!has_relevant(&q))
        return OK;
    q.grades = arena_alloc(f->a, (size_t)q.n, sizeof(*q.grades));
    if (!q.grades)
        return err_set(f->err, ERR_NOMEM, "%d grades", q.n);
    for (int i = 0; i < q.n; i++)
        q.grades[i] = q.judgements[i].grade;
    s->queries[s->n_queries++] = q;
    return OK;
}

int eval_grade(const struct judged_query *q, const char *document)
{
    struct judgement want = {.query = q->id, .document = document};
    const struct judgement *j =
        bsearch(&want, q->judgements, (size_t)q->n, sizeof(*q->judgements), by_query);
    return j ? j->grade : 0;
}

/* ---- qa.jsonl ---- */

static enum err_code strings_of(const struct file *f, const json_t *list, const char ***out, int *n)
{
    size_t count = json_array_size(list);
    *out = arena_alloc(f->a, count, sizeof(**out));
    for (size_t i = 0; i < count && *out; i++) {
        const char *z = json_string_value(json_array_get(list, i));
        if (!z)
            return malformed(f, "strings in answers and gold");
        (*out)[(*n)++] = arena_strz(f->a, str_of(z));
        if (!(*out)[*n - 1])
            *out = NULL;
    }
    return *out ? OK : err_set(f->err, ERR_NOMEM, "%zu strings", count);
}

static enum err_code take_question(void *arg, struct file *f, struct str line)
{
    struct judged_set *s = arg;
    struct judged_question q = {.answerable = true};
    json_t *o = NULL;
    enum err_code rc = object_of(f, line, &o);
    if (rc)
        return rc;
    const json_t *text = json_object_get(o, "question");
    q.answerable = !json_is_false(json_object_get(o, "answerable"));
    if (json_is_string(text))
        q.question = arena_str(f->a, string_of(text));
    else
        rc = malformed(f, "a question");
    if (!rc)
        rc = strings_of(f, json_object_get(o, "answers"), &q.answers, &q.n_answers);
    if (!rc)
        rc = strings_of(f, json_object_get(o, "gold"), &q.gold, &q.n_gold);
    json_decref(o);
    if (!rc && (!q.question.ptr || !grow(f->a, &s->questions, s->n_questions, sizeof(q))))
        rc = err_set(f->err, ERR_NOMEM, "%d questions", s->n_questions);
    if (!rc)
        s->questions[s->n_questions++] = q;
    return rc;
}

enum err_code eval_read(const char *dir, struct arena *a, struct judged_set *out, struct err *err)
{
    struct judgements j = {0};
    struct queries qs = {&j, out};
    *out = (struct judged_set){0};
    enum err_code rc = each_line(dir, &(struct file){"qrels.tsv", a, 0, err}, take_judgement, &j);
    if (rc)
        return rc;
    if (j.n)
        qsort(j.v, (size_t)j.n, sizeof(*j.v), by_query);
    rc = each_line(dir, &(struct file){"queries.jsonl", a, 0, err}, take_query, &qs);
    if (rc)
        return rc;
    rc = each_line(dir, &(struct file){"qa.jsonl", a, 0, err}, take_question, out);
    return rc == ERR_NOTFOUND ? OK : rc;
}
