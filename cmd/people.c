#include "cmd/people.h"
#include <stdio.h>
#include <string.h>
#include "base/utf8.h"
#include "cmd/cmd.h"
#include "cmd/wrap.h"

enum { ID_SHOWN = 12, SNIPPET = 300, QUOTE = 240, INDENT = 4 };

const char *people_text(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

int64_t people_number(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

const char *people_size(int64_t bytes, char out[16])
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
    double v = (double)bytes;
    int u = 0;
    while (v >= 1000 && u < 4) {
        v /= 1000;
        u++;
    }
    snprintf(out, 16, u && v < 99.95 ? "%.1f %s" : "%.0f %s", v, units[u]);
    return out;
}

const char *people_count(int64_t n, char out[16])
{
    static const char *const words[] = {"thousand", "million", "billion"};
    double v = (double)n;
    int w = -1;
    while (v >= 1000 && w < 2) {
        v /= 1000;
        w++;
    }
    if (w < 0)
        snprintf(out, 16, "%lld", (long long)n);
    else
        snprintf(out, 16, v < 9.995 ? "%.2f %s" : v < 99.95 ? "%.1f %s" : "%.0f %s", v, words[w]);
    return out;
}

/* `text` with white space folded and cut at `max` characters, behind `line`. */
static void add_line(struct buf *line, struct str text, int max)
{
    bool space = false;
    int n = 0;
    size_t i = 0;
    while (i < text.len && n < max) {
        uint32_t cp;
        int len = utf8_decode(text, i, &cp);
        if (utf8_is_space(cp)) {
            space = n > 0;
        } else {
            if (space)
                buf_char(line, ' ');
            n += 1 + space;
            space = false;
            buf_add(line, text.ptr + i, (size_t)len);
        }
        i += (size_t)len;
    }
    if (str_trim(str_sub(text, i, text.len)).len)
        buf_puts(line, "…");
}

void people_line(struct str text, int max)
{
    struct buf line = {0};
    add_line(&line, text, max);
    cmd_text(buf_view(&line));
    buf_free(&line);
}

/* `text` behind `first`, broken between words on a terminal, and the line's end. */
static void print_block(const char *first, const struct buf *text)
{
    struct wrap w = {.width = wrap_columns(), .indent = INDENT, .column = (int)strlen(first)};
    struct buf out = {0};
    wrap_add(&w, buf_view(text), &out);
    wrap_end(&w, &out);
    fputs(first, stdout);
    cmd_text(buf_view(&out));
    putchar('\n');
    buf_free(&out);
}

/* "notes/lease.pdf, page 3, Terms > Rent" */
static void add_place(struct buf *line, const json_t *o)
{
    int64_t page = people_number(o, "page");
    const json_t *heading = json_object_get(o, "heading");
    size_t i;
    json_t *level;
    add_line(line, str_of(people_text(o, "document_name")), 100);
    if (page > 0)
        buf_printf(line, ", page %lld", (long long)page);
    json_array_foreach(heading, i, level)
    {
        buf_puts(line, i ? " > " : ", ");
        add_line(line, str_of(json_string_value(level)), 60);
    }
}

static void print_show(const json_t *o)
{
    const json_t *span = json_object_get(o, "span");
    printf("carrel show %.*s:%lld-%lld\n", ID_SHOWN, people_text(o, "document_id"),
           (long long)people_number(span, "start"), (long long)people_number(span, "end"));
}

static void print_explanation(const json_t *hit)
{
    const json_t *e = json_object_get(hit, "explain");
    if (!json_is_object(e))
        return;
    char *text = json_dumps(e, JSON_COMPACT | JSON_REAL_PRECISION(4));
    printf("    %s\n", text ? text : "");
    free(text);
}

static void print_hit(const json_t *hit, bool explain)
{
    struct buf line = {0};
    char number[24];
    snprintf(number, sizeof(number), "%lld  ", (long long)people_number(hit, "n"));
    add_place(&line, hit);
    buf_printf(&line, "  (%.3f)", json_number_value(json_object_get(hit, "score")));
    print_block(number, &line);
    line.len = 0;
    add_line(&line, str_of(people_text(hit, "text")), SNIPPET);
    print_block("    ", &line);
    buf_free(&line);
    if (explain)
        print_explanation(hit);
    fputs("    ", stdout);
    print_show(hit);
}

void people_hits(const json_t *hits, bool explain)
{
    size_t i;
    json_t *hit;
    json_array_foreach(hits, i, hit)
    {
        if (i)
            putchar('\n');
        print_hit(hit, explain);
    }
}

/* The words and where they stand; `page` is that of the line above them. */
static void print_quote(const json_t *c, int64_t page)
{
    struct buf line = {0};
    buf_char(&line, '"');
    add_line(&line, str_of(people_text(c, "quote")), QUOTE);
    buf_char(&line, '"');
    print_block("    ", &line);
    buf_free(&line);
    fputs("    ", stdout);
    if (people_number(c, "page") != page)
        printf("page %lld: ", (long long)people_number(c, "page"));
    print_show(c);
}

static bool is_first_of_its_number(const json_t *list, size_t at, int64_t n)
{
    for (size_t i = 0; i < at; i++)
        if (people_number(json_array_get(list, i), "n") == n)
            return false;
    return true;
}

void people_citations(const json_t *citations)
{
    for (size_t i = 0; i < json_array_size(citations); i++) {
        const json_t *c = json_array_get(citations, i), *other;
        int64_t n = people_number(c, "n");
        struct buf line = {0};
        char number[24];
        if (!is_first_of_its_number(citations, i, n))
            continue;
        snprintf(number, sizeof(number), "[%lld] ", (long long)n);
        if (i)
            putchar('\n');
        add_place(&line, c);
        print_block(number, &line);
        buf_free(&line);
        for (size_t k = i; k < json_array_size(citations); k++) {
            other = json_array_get(citations, k);
            if (people_number(other, "n") == n)
                print_quote(other, people_number(c, "page"));
        }
    }
}
