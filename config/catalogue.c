/* The Makefile names the dependency on catalogue.tsv, which the compiler cannot see. */
#include "config/catalogue.h"

__asm__(".section .rodata\n"
        "catalogue_text: .incbin \"config/catalogue.tsv\"\n"
        ".byte 0\n"
        ".previous\n");
extern const char catalogue_text[];

/* The next field of the line; "-" is empty. */
static struct str next(struct str *line)
{
    struct str field = STR("");
    str_split(line, '\t', &field);
    return str_eqz(field, "-") ? STR("") : field;
}

static struct catalogue_entry read_line(struct str line)
{
    struct catalogue_entry e = {.name = next(&line)};
    struct str bytes = next(&line);
    str_int(bytes, 1, INT64_MAX, &e.bytes);
    e.sha256 = next(&line);
    e.licence = next(&line);
    e.url = next(&line);
    e.aliases = next(&line);
    return e;
}

void catalogue_each(bool (*fn)(void *arg, const struct catalogue_entry *e), void *arg)
{
    struct str rest = str_of(catalogue_text), line;
    while (str_split(&rest, '\n', &line)) {
        if (!line.len || line.ptr[0] == '#')
            continue;
        struct catalogue_entry e = read_line(line);
        if (!fn(arg, &e))
            return;
    }
}

struct search {
    struct str name;
    struct catalogue_entry *out;
    bool found;
};

static bool is_it(void *arg, const struct catalogue_entry *e)
{
    struct search *s = arg;
    struct str aliases = e->aliases, alias;
    s->found = str_ieq(e->name, s->name);
    while (!s->found && str_split(&aliases, ' ', &alias))
        s->found = alias.len && str_ieq(alias, s->name);
    if (s->found)
        *s->out = *e;
    return !s->found;
}

bool catalogue_find(struct str name, struct catalogue_entry *out)
{
    struct search s = {.name = name, .out = out};
    catalogue_each(is_it, &s);
    return s.found;
}
