#include "query/metric.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include "base/utf8.h"

static int descending(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

static double gain(const int *grades, int n, int k)
{
    double sum = 0;
    for (int i = 0; i < n && i < k; i++)
        if (grades[i] > 0)
            sum += grades[i] / log2(i + 2.0);
    return sum;
}

double metric_ndcg(const int *ranked, int n, const int *judged, int m, int k)
{
    int *ideal = malloc(((size_t)m + 1) * sizeof(*ideal));
    if (!ideal)
        return 0;
    for (int i = 0; i < m; i++)
        ideal[i] = judged[i];
    qsort(ideal, (size_t)m, sizeof(*ideal), descending);
    double best = gain(ideal, m, k);
    free(ideal);
    return best > 0 ? gain(ranked, n, k) / best : 0;
}

static int relevant(const int *grades, int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++)
        sum += grades[i] > 0;
    return sum;
}

double metric_recall(const int *ranked, int n, const int *judged, int m, int k)
{
    int all = relevant(judged, m);
    return all ? (double)relevant(ranked, n < k ? n : k) / all : 0;
}

double metric_mrr(const int *ranked, int n, int k)
{
    for (int i = 0; i < n && i < k; i++)
        if (ranked[i] > 0)
            return 1.0 / (i + 1);
    return 0;
}

double metric_auc(const double *answerable, int n, const double *unanswerable, int m)
{
    double right = 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < m; k++)
            right += answerable[i] > unanswerable[k]    ? 1
                     : answerable[i] == unanswerable[k] ? 0.5
                                                        : 0;
    return n && m ? right / n / m : 0;
}

static bool article(struct str w)
{
    return str_eqz(w, "a") || str_eqz(w, "an") || str_eqz(w, "the");
}

enum err_code metric_normal(struct str text, struct buf *out, struct err *err)
{
    struct buf bare = {0}, fold = {0};
    size_t from = out->len;
    enum err_code rc = utf8_fold(text, &fold, err);
    for (size_t i = 0; i < fold.len && !rc; i++) {
        unsigned char c = (unsigned char)fold.ptr[i];
        if (isspace(c))
            buf_char(&bare, ' ');
        else if (c >= 0x80 || !ispunct(c))
            buf_char(&bare, (char)c);
    }
    struct str rest = buf_view(&bare), word;
    while (!rc && rest.len && str_split(&rest, ' ', &word)) {
        if (!word.len || article(word))
            continue;
        if (out->len > from)
            buf_char(out, ' ');
        buf_str(out, word);
    }
    if (!rc)
        rc = buf_ok(&bare, "an answer", err);
    if (!rc)
        rc = buf_ok(out, "an answer", err);
    buf_free(&bare);
    buf_free(&fold);
    return rc;
}

bool metric_contains(struct str text, struct str gold)
{
    for (size_t at = 0; gold.len && (at = str_find(text, gold, at)) != SIZE_MAX; at++) {
        bool begins = at == 0 || text.ptr[at - 1] == ' ';
        bool ends = at + gold.len == text.len || text.ptr[at + gold.len] == ' ';
        if (begins && ends)
            return true;
    }
    return false;
}

/* How often `word` stands in `text` up to byte `end`. */
static int occurrences(struct str text, struct str word, size_t end)
{
    struct str rest = str_sub(text, 0, end), w;
    int n = 0;
    while (rest.len && str_split(&rest, ' ', &w))
        n += str_eq(w, word);
    return n;
}

double metric_f1(struct str text, struct str gold)
{
    struct str rest = gold, w;
    int shared = 0, n = metric_words(text), m = metric_words(gold);
    while (rest.len && str_split(&rest, ' ', &w)) {
        size_t end = (size_t)(w.ptr - gold.ptr) + w.len;
        shared += occurrences(gold, w, end) <= occurrences(text, w, text.len);
    }
    return n + m ? 2.0 * shared / (n + m) : 0;
}

int metric_words(struct str text)
{
    int n = 0;
    for (size_t i = 0; i < text.len; i++)
        n += !isspace((unsigned char)text.ptr[i]) &&
             (i == 0 || isspace((unsigned char)text.ptr[i - 1]));
    return n;
}
