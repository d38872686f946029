#include "cmd/people.h"
#include <stdio.h>
#include <string.h>
#include "base/utf8.h"
#include "cmd/cmd.h"

enum { ID_SHOWN = 12, SNIPPET = 300, QUOTE = 240 };

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

void people_line(struct str text, int max)
{
    struct buf line = {0};
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
                buf_char(&line, ' ');
            n += 1 + space;
            space = false;
            buf_add(&line, text.ptr + i, (size_t)len);
        }
        i += (size_t)len;
    }
    if (str_trim(str_sub(text, i, text.len)).len)
        buf_puts(&line, "…");
    cmd_text(buf_view(&line));
    buf_free(&line);
}

/* ", page 3, Terms > Rent" */
static void print_place(const json_t *o)
{
    int64_t page = people_number(o, "page");
    const json_t *heading = json_object_get(o, "heading");
    size_t i;
    json_t *level;
    if (page > 0)
        printf(", page %lld", (long long)page);
    json_array_foreach(heading, i, level)
    {
        fputs(i ? " > " : ", ", stdout);
        people_line(str_of(json_string_value(level)), 60);
    }
}

static void print_show(const json_t *o)
{
    const json_t *span = json_object_get(o, "span");
    printf("    carrel show %.*s:%lld-%lld\n", ID_SHOWN, people_text(o, "document_id"),
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

void people_hits(const json_t *hits, bool explain)
{
    size_t i;
    json_t *hit;
    json_array_foreach(hits, i, hit)
    {
        printf("%s%lld  ", i ? "\n" : "", (long long)people_number(hit, "n"));
        people_line(str_of(people_text(hit, "document_name")), 100);
        print_place(hit);
        printf("  (%.3f)\n    ", json_number_value(json_object_get(hit, "score")));
        people_line(str_of(people_text(hit, "text")), SNIPPET);
        putchar('\n');
        if (explain)
            print_explanation(hit);
        print_show(hit);
    }
}

void people_citations(const json_t *citations)
{
    size_t i;
    json_t *c;
    json_array_foreach(citations, i, c)
    {
        printf("[%lld] ", (long long)people_number(c, "n"));
        people_line(str_of(people_text(c, "document_name")), 100);
        print_place(c);
        fputs("\n    \"", stdout);
        people_line(str_of(people_text(c, "quote")), QUOTE);
        fputs("\"\n", stdout);
        print_show(c);
    }
}
