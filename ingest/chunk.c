/* ingest/chunk.c - units, sections, passages.
 *
 * The text is cut once into units that never break: sentences, rows of tables,
 * lines of code, headings. Each is counted once, so the whole is linear. Units
 * are gathered under their headings into sections; small sections share a
 * passage, large ones are cut into passages of about equal size, rather between
 * blocks than inside, and never behind a heading. A document that fits into
 * max_tokens stays whole: retrieval on short texts is best undivided. */
#include "ingest/chunk.h"
#include <string.h>
#include "base/sentence.h"
#include "base/utf8.h"

#define BYTES_MAX   8192 /* of a unit: a word of megabytes is one token to WordPiece */
#define TOKEN_BYTES 32   /* a passage has at most so many bytes per token of its maximum */
#define LEVELS      6
#define PATH_MAX_   480 /* bytes of a heading path */

struct unit {
    uint32_t start, end; /* trimmed of white space */
    int tokens, weight;  /* weight: tokens, or more where few tokens have many bytes */
    uint32_t block;      /* of which it is a part; UINT32_MAX between blocks */
    uint32_t section;
    bool heading, whole; /* whole: a row or line whose block should stay together */
};

struct section {
    uint32_t first, n; /* units */
    int64_t weight;
    uint32_t path[LEVELS]; /* blocks of the headings in force; UINT32_MAX: none */
    int level;             /* of its own heading; 0: text before any */
};

struct chunker {
    struct str text;
    const struct layout *l;
    struct chunk_options opt;
    struct arena *a;
    struct unit *units;
    uint32_t n_units, cap_units;
    struct section *sections;
    uint32_t n_sections, cap_sections;
    struct chunk *chunks;
    uint32_t n_chunks, cap_chunks;
    struct err *err;
    enum err_code rc;
};

/* Room for one more; the arena's old copies stay until its end, which costs as
 * much again as the last one. */
static void *grow(struct chunker *c, void *items, uint32_t n, uint32_t *cap, size_t size)
{
    if (c->rc)
        return NULL;
    if (n < *cap)
        return items;
    uint32_t more = *cap ? *cap * 2 : 64;
    void *moved = arena_alloc(c->a, more, size);
    if (!moved) {
        c->rc = err_set(c->err, ERR_NOMEM, "the passages of a text of %zu bytes", c->text.len);
        return NULL;
    }
    if (n)
        memcpy(moved, items, n * size);
    *cap = more;
    return moved;
}

/* ---- units ---- */

static bool blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f' || c == '\v';
}

static void add_unit(struct chunker *c, struct unit u)
{
    void *room = grow(c, c->units, c->n_units, &c->cap_units, sizeof(u));
    if (!room)
        return;
    c->units = room;
    c->rc = c->opt.count(c->opt.arg, str_sub(c->text, u.start, u.end), &u.tokens, c->err);
    int by_bytes = (int)((u.end - u.start) / TOKEN_BYTES);
    u.weight = u.tokens > by_bytes ? u.tokens : by_bytes;
    c->units[c->n_units++] = u;
}

/* The longest piece of [start, end) of at most BYTES_MAX, ended at white space if
 * there is any in its second half, else between characters. */
static uint32_t piece_end(const struct chunker *c, uint32_t start, uint32_t end, uint32_t most)
{
    if (end - start <= most)
        return end;
    uint32_t limit = (uint32_t)utf8_floor(c->text, start + most);
    for (uint32_t at = limit; at > start + most / 2; at--)
        if (blank(c->text.ptr[at - 1]))
            return at;
    return limit > start ? limit : (uint32_t)utf8_ceil(c->text, start + 1);
}

static struct unit trimmed(const struct chunker *c, struct unit u)
{
    while (u.end > u.start && blank(c->text.ptr[u.end - 1]))
        u.end--;
    while (u.start < u.end && blank(c->text.ptr[u.start]))
        u.start++;
    return u;
}

/* Add [start, end) as one unit, or as several where it is too long for a passage. */
static void add_range(struct chunker *c, struct unit u, uint32_t most)
{
    for (uint32_t at = u.start, stop = u.end; at < stop && !c->rc;) {
        u.start = at;
        u.end = at = piece_end(c, at, stop, most);
        struct unit t = trimmed(c, u);
        if (t.start == t.end)
            continue;
        uint32_t before = c->n_units;
        add_unit(c, t);
        if (c->rc || c->units[before].weight <= c->opt.max_tokens || most <= 4)
            continue;
        int64_t tokens = c->units[before].weight;
        uint32_t aim = (uint32_t)((int64_t)(t.end - t.start) * c->opt.max_tokens * 3 / 4 / tokens);
        c->n_units = before;
        add_range(c, t, aim < 4 ? 4 : aim < most ? aim : most / 2);
    }
}

static uint32_t line_end(struct str s, uint32_t at, uint32_t end)
{
    const char *nl = memchr(s.ptr + at, '\n', end - at);
    return nl ? (uint32_t)(nl - s.ptr) + 1 : end;
}

static void add_block(struct chunker *c, uint32_t start, uint32_t end, uint32_t block)
{
    const struct block *b = block == UINT32_MAX ? NULL : &c->l->blocks[block];
    struct unit u = {.block = block};
    u.heading = b && b->kind == BLOCK_HEADING;
    u.whole = b && (b->kind == BLOCK_TABLE || b->kind == BLOCK_CODE);
    struct str inside = str_sub(c->text, 0, end);
    for (uint32_t at = start; at < end && !c->rc; at = u.end) {
        u.start = at;
        u.end = u.heading ? end
                : u.whole ? line_end(c->text, at, end)
                          : (uint32_t)sentence_end(inside, at);
        add_range(c, u, BYTES_MAX);
    }
}

static void cut_units(struct chunker *c)
{
    uint32_t at = 0;
    for (size_t i = 0; i < c->l->n_blocks && !c->rc; i++) {
        add_block(c, at, c->l->blocks[i].start, UINT32_MAX);
        add_block(c, c->l->blocks[i].start, c->l->blocks[i].end, (uint32_t)i);
        at = c->l->blocks[i].end;
    }
    add_block(c, at, (uint32_t)c->text.len, UINT32_MAX);
}

/* ---- sections ---- */

static void begin_section(struct chunker *c, uint32_t unit)
{
    void *room = grow(c, c->sections, c->n_sections, &c->cap_sections, sizeof(struct section));
    if (!room)
        return;
    c->sections = room;
    struct section *s = &c->sections[c->n_sections], *last = c->n_sections ? s - 1 : NULL;
    *s = (struct section){.first = unit};
    for (int i = 0; i < LEVELS; i++)
        s->path[i] = last ? last->path[i] : UINT32_MAX;
    const struct unit *u = &c->units[unit];
    if (u->heading) {
        int level = c->l->blocks[u->block].level;
        s->level = level < 1 ? 1 : level > LEVELS ? LEVELS : level;
        s->path[s->level - 1] = u->block;
        for (int i = s->level; i < LEVELS; i++)
            s->path[i] = UINT32_MAX;
    }
    c->n_sections++;
}

static void cut_sections(struct chunker *c)
{
    for (uint32_t i = 0; i < c->n_units && !c->rc; i++) {
        const struct unit *u = &c->units[i];
        /* A heading cut in pieces is one heading. */
        bool again = i && u->heading && u[-1].heading && u[-1].block == u->block;
        if (i == 0 || (u->heading && !again))
            begin_section(c, i);
        if (c->rc)
            return;
        struct section *s = &c->sections[c->n_sections - 1];
        s->n++;
        s->weight += u->weight;
        c->units[i].section = c->n_sections - 1;
    }
}

/* Headings that all of sections [from, to) stand under, outermost first. */
static struct str heading_path(struct chunker *c, uint32_t from, uint32_t to)
{
    char path[PATH_MAX_];
    size_t n = 0;
    for (int i = 0; i < LEVELS; i++) {
        uint32_t block = c->sections[from].path[i];
        bool shared = true;
        for (uint32_t s = from; s < to && shared; s++)
            shared = c->sections[s].path[i] == block;
        if (!shared)
            break;
        if (block == UINT32_MAX)
            continue;
        struct str h = str_sub(c->text, c->l->blocks[block].start, c->l->blocks[block].end);
        h.len = h.len > 200 ? utf8_floor(h, 200) : h.len;
        if (n + h.len + 1 >= sizeof(path))
            break;
        if (n)
            path[n++] = '\n';
        for (size_t k = 0; k < h.len; k++)
            path[n++] = blank(h.ptr[k]) ? ' ' : h.ptr[k];
    }
    struct str made = arena_str(c->a, (struct str){path, n});
    if (!made.ptr)
        c->rc = err_set(c->err, ERR_NOMEM, "a heading path");
    return made;
}

/* ---- passages ---- */

static int64_t tokens_of(const struct chunker *c, uint32_t from, uint32_t to)
{
    int64_t n = 0;
    for (uint32_t i = from; i < to; i++)
        n += c->units[i].tokens;
    return n;
}

static int64_t weight_of(const struct chunker *c, uint32_t from, uint32_t to)
{
    int64_t n = 0;
    for (uint32_t i = from; i < to; i++)
        n += c->units[i].weight;
    return n;
}

/* Units repeated from the passage before: whole sentences of the same section. */
static uint32_t overlap_start(const struct chunker *c, uint32_t from, int64_t weight)
{
    int64_t spare = c->opt.overlap_tokens;
    if (!c->n_chunks || spare <= 0)
        return from;
    while (from > 0 && c->units[from - 1].section == c->units[from].section &&
           !c->units[from - 1].heading && c->units[from - 1].weight <= spare &&
           weight + c->units[from - 1].weight <= c->opt.max_tokens) {
        spare -= c->units[--from].weight;
        weight += c->units[from].weight;
    }
    return from;
}

static void put_chunk(struct chunker *c, uint32_t from, uint32_t to)
{
    void *room = grow(c, c->chunks, c->n_chunks, &c->cap_chunks, sizeof(struct chunk));
    if (!room || from == to)
        return;
    c->chunks = room;
    struct str path = heading_path(c, c->units[from].section, c->units[to - 1].section + 1);
    uint32_t begin = overlap_start(c, from, weight_of(c, from, to));
    struct chunk *k = &c->chunks[c->n_chunks++];
    *k = (struct chunk){.start = c->units[begin].start,
                        .end = c->units[to - 1].end,
                        .tokens = (int)tokens_of(c, begin, to),
                        .heading = path};
    k->page = layout_page(c->l, k->start);
}

/* The end of the table or code that unit i begins, if it would fit whole. */
static uint32_t whole_end(const struct chunker *c, uint32_t i, uint32_t end, int64_t *weight)
{
    const struct unit *u = &c->units[i];
    *weight = u->weight;
    if (!u->whole || (i && u[-1].block == u->block))
        return i + 1;
    uint32_t to = i + 1;
    int64_t sum = u->weight;
    while (to < end && c->units[to].block == u->block && sum <= c->opt.max_tokens)
        sum += c->units[to++].weight;
    if (sum > c->opt.max_tokens)
        return i + 1;
    *weight = sum;
    return to;
}

static bool between_blocks(const struct chunker *c, uint32_t i)
{
    return c->units[i].block != c->units[i - 1].block;
}

/* Cut units [first, end) of one section into passages of about equal size. */
static void cut_section(struct chunker *c, uint32_t first, uint32_t end, int64_t total)
{
    int64_t parts = (total + c->opt.target_tokens - 1) / c->opt.target_tokens;
    int64_t aim = total / (parts < 1 ? 1 : parts) + 1, have = 0, step;
    uint32_t from = first;
    for (uint32_t i = first, next; i < end && !c->rc; i = next) {
        next = whole_end(c, i, end, &step);
        bool only_headings = i == from || c->units[i - 1].heading;
        bool full = have + step > c->opt.max_tokens;
        /* Past three quarters of the aim a block's end is a better place than
         * the exact one inside the next block. */
        bool good = i > from && between_blocks(c, i) && have * 4 >= aim * 3 && have + step > aim;
        bool enough = have >= aim;
        if (have && (full || ((enough || good) && !only_headings))) {
            put_chunk(c, from, i);
            from = i;
            have = 0;
        }
        have += step;
    }
    put_chunk(c, from, end);
}

/* May section s share the passage that sections [from, s) fill with a weight of `have`? */
static bool shares(const struct chunker *c, uint32_t from, uint32_t s, int64_t have, int top)
{
    const struct section *next = &c->sections[s];
    int64_t tiny = c->opt.target_tokens / 4;
    bool chapter = next->level && next->level <= top;
    if (have + next->weight > c->opt.target_tokens)
        return false;
    if (chapter && have > tiny)
        return false;
    /* A section of some size that ends here is a good passage by itself. */
    if (next->level && next->level <= c->sections[from].level && have > c->opt.target_tokens / 2)
        return false;
    return true;
}

/* The outermost level of which there is more than one heading. */
static int top_level(const struct chunker *c)
{
    uint32_t seen[LEVELS + 1] = {0};
    for (uint32_t i = 0; i < c->n_sections; i++)
        seen[c->sections[i].level]++;
    for (int level = 1; level <= LEVELS; level++)
        if (seen[level] > 1)
            return level;
    return 0;
}

static void pack(struct chunker *c)
{
    int top = top_level(c);
    for (uint32_t s = 0; s < c->n_sections && !c->rc;) {
        uint32_t to = s + 1;
        int64_t have = c->sections[s].weight;
        while (to < c->n_sections && shares(c, s, to, have, top))
            have += c->sections[to++].weight;
        uint32_t first = c->sections[s].first,
                 end = c->sections[to - 1].first + c->sections[to - 1].n;
        if (have <= c->opt.max_tokens)
            put_chunk(c, first, end);
        else
            cut_section(c, first, end, have);
        s = to;
    }
}

enum err_code chunk_text(struct str text, const struct layout *l, const struct chunk_options *opt,
                         struct arena *a, struct chunk **out, int *n, struct err *err)
{
    struct chunker c = {.text = text, .l = l, .opt = *opt, .a = a, .err = err};
    *out = NULL;
    *n = 0;
    c.opt.target_tokens = opt->target_tokens ? opt->target_tokens : CHUNK_TARGET;
    c.opt.max_tokens = opt->max_tokens ? opt->max_tokens : CHUNK_MAX;
    if (c.opt.target_tokens < 8 || c.opt.max_tokens < c.opt.target_tokens ||
        opt->overlap_tokens < 0 || opt->overlap_tokens * 2 > c.opt.target_tokens ||
        text.len >= UINT32_MAX)
        return err_set(err, ERR_ARG,
                       "passages of %d to %d tokens with %d shared: need 8 <= target"
                       " <= max and 2 * shared <= target",
                       c.opt.target_tokens, c.opt.max_tokens, opt->overlap_tokens);
    cut_units(&c);
    if (!c.rc)
        cut_sections(&c);
    int64_t total = c.rc ? 0 : weight_of(&c, 0, c.n_units);
    if (!c.rc && c.n_units && total <= c.opt.max_tokens)
        put_chunk(&c, 0, c.n_units);
    else if (!c.rc)
        pack(&c);
    if (c.rc)
        return c.rc;
    *out = c.chunks;
    *n = (int)c.n_chunks;
    return OK;
}
