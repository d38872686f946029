/* ingest/extract/html_choose.c - which part of a page is its article. */
#include <math.h>
#include <string.h>
#include "ingest/extract/html_tree.h"

/* Below this many characters a page is no article: all of it is kept. */
#define ARTICLE_MIN 250

static GumboTag tag_of(const struct html_node *x)
{
    return x->g->type == GUMBO_NODE_ELEMENT ? x->g->v.element.tag : GUMBO_TAG_UNKNOWN;
}

static float density(const struct html_node *x)
{
    return x->chars ? (float)x->link_chars / (float)x->chars : 0;
}

static bool skipped(const struct html_node *x)
{
    return x->why != HTML_KEPT;
}

static float first_score(const struct html_node *x)
{
    float s = 25.0f * x->weight;
    switch (tag_of(x)) {
    case GUMBO_TAG_ARTICLE: case GUMBO_TAG_MAIN:
        return s + 10;
    case GUMBO_TAG_DIV: case GUMBO_TAG_SECTION:
        return s + 5;
    case GUMBO_TAG_PRE: case GUMBO_TAG_TD: case GUMBO_TAG_BLOCKQUOTE:
        return s + 3;
    case GUMBO_TAG_ADDRESS: case GUMBO_TAG_OL: case GUMBO_TAG_UL: case GUMBO_TAG_DL:
    case GUMBO_TAG_DD: case GUMBO_TAG_DT: case GUMBO_TAG_LI: case GUMBO_TAG_FORM:
        return s - 3;
    case GUMBO_TAG_H1: case GUMBO_TAG_H2: case GUMBO_TAG_H3: case GUMBO_TAG_H4:
    case GUMBO_TAG_H5: case GUMBO_TAG_H6: case GUMBO_TAG_TH:
        return s - 5;
    default:
        return s;
    }
}

/* Elements that hold running text themselves. */
static bool speaks(const struct html_node *x)
{
    switch (tag_of(x)) {
    case GUMBO_TAG_P: case GUMBO_TAG_PRE: case GUMBO_TAG_TD: case GUMBO_TAG_BLOCKQUOTE:
        return true;
    case GUMBO_TAG_DIV: case GUMBO_TAG_SECTION: case GUMBO_TAG_ARTICLE:
        return !x->block_inside;
    default:
        return false;
    }
}

/* A paragraph's worth goes to its parent, half of it one up, then a third per level. */
static void lend(struct html_tree *t, uint32_t i)
{
    const struct html_node *x = &t->nodes[i];
    float worth = 1 + (float)x->commas + fminf((float)x->chars / 100, 3);
    uint32_t up = x->parent;
    for (int level = 0; level < 5 && up; level++, up = t->nodes[up].parent) {
        struct html_node *a = &t->nodes[up];
        if (!a->scored) {
            a->scored = true;
            a->score = first_score(a);
        }
        a->score += worth / (level == 0 ? 1.0f : level == 1 ? 2.0f : 3.0f * (float)level);
    }
}

static uint32_t next_kept(const struct html_tree *t, uint32_t i)
{
    return skipped(&t->nodes[i]) ? t->nodes[i].end : i + 1;
}

static uint32_t heaviest(struct html_tree *t)
{
    uint32_t best = 0;
    float top = 0;
    for (uint32_t i = t->body; i < t->nodes[t->body].end; i = next_kept(t, i))
        if (!skipped(&t->nodes[i]) && t->nodes[i].chars >= 20 && speaks(&t->nodes[i]))
            lend(t, i);
    for (uint32_t i = t->body; i < t->nodes[t->body].end; i = next_kept(t, i)) {
        struct html_node *x = &t->nodes[i];
        if (!x->scored || skipped(x))
            continue;
        x->score *= 1 - density(x);
        if (x->score > top) {
            top = x->score;
            best = i;
        }
    }
    return best;
}

/* Where the article is split over several siblings, its parent scores nearly as
 * much; and an only child is its parent. */
static uint32_t climb(const struct html_tree *t, uint32_t best)
{
    float last = t->nodes[best].score, floor_score = last / 3;
    for (uint32_t up = t->nodes[best].parent; up > t->body; up = t->nodes[up].parent) {
        const struct html_node *x = &t->nodes[up];
        if (x->scored && x->score < floor_score)
            break;
        if (x->scored && x->score > last) {
            best = up;
            break;
        }
        if (x->scored)
            last = x->score;
    }
    for (uint32_t up = t->nodes[best].parent; up > t->body; up = t->nodes[up].parent) {
        if (t->nodes[up].chars != t->nodes[best].chars)
            break;
        best = up;
    }
    return best;
}

static bool same_class(const struct html_node *a, const struct html_node *b)
{
    const char *x = html_attr(a->g, "class"), *y = html_attr(b->g, "class");
    return x && y && *x && !strcmp(x, y);
}

static bool joins(const struct html_tree *t, uint32_t i, uint32_t best)
{
    const struct html_node *x = &t->nodes[i], *b = &t->nodes[best];
    float need = fmaxf(10, b->score * 0.2f), bonus = same_class(x, b) ? b->score * 0.2f : 0;
    GumboTag tag = tag_of(x);
    if (x->scored && x->score + bonus >= need)
        return true;
    bool heading = tag >= GUMBO_TAG_H1 && tag <= GUMBO_TAG_H6;
    if (tag != GUMBO_TAG_P && !heading)
        return false;
    return (x->chars > 60 && density(x) < 0.25f) || (x->chars && x->link_chars == 0);
}

static void choose_around(struct html_tree *t, uint32_t best)
{
    uint32_t up = t->nodes[best].parent;
    for (uint32_t i = up + 1; i < t->nodes[up].end; i = t->nodes[i].end)
        if (i == best || (!skipped(&t->nodes[i]) && joins(t, i, best)))
            t->nodes[i].chosen = true;
}

/* Lists of links, bars of buttons and the like inside the article. */
static bool clutter(const struct html_node *x)
{
    GumboTag tag = tag_of(x);
    bool list = tag == GUMBO_TAG_UL || tag == GUMBO_TAG_OL;
    if (tag != GUMBO_TAG_DIV && tag != GUMBO_TAG_SECTION && tag != GUMBO_TAG_TABLE && !list &&
        tag != GUMBO_TAG_FORM && tag != GUMBO_TAG_FIELDSET && tag != GUMBO_TAG_HEADER)
        return false;
    if (!x->chars)
        return false;
    if (x->weight < 0 && !list)
        return true;
    if (x->commas >= 10)
        return false;
    if (!list && x->items > x->paragraphs + 100)
        return true;
    if (x->fields > x->paragraphs / 3)
        return true;
    return density(x) > (x->weight > 0 ? 0.5f : 0.33f) && x->chars > 3;
}

/* Drop clutter; returns the characters that went. What holds half of all that was
 * chosen is the content, however many links it has. */
static uint32_t prune(struct html_tree *t)
{
    uint32_t gone = 0;
    for (uint32_t i = t->body; i < t->nodes[t->body].end;) {
        if (!t->nodes[i].chosen) {
            i = next_kept(t, i);
            continue;
        }
        uint32_t end = t->nodes[i].end;
        for (uint32_t k = i + 1; k < end; k = next_kept(t, k)) {
            struct html_node *x = &t->nodes[k];
            if (skipped(x) || x->chars * 2 > t->chosen_chars || !clutter(x))
                continue;
            x->why = HTML_PRUNED;
            gone += x->chars;
        }
        i = end;
    }
    return gone;
}

/* An index, a glossary, a page of a reference: mostly clutter by these rules. */
static void restore(struct html_tree *t)
{
    for (uint32_t i = 0; i < t->n; i++)
        if (t->nodes[i].why == HTML_PRUNED)
            t->nodes[i].why = HTML_KEPT;
}

static uint32_t chosen_chars(const struct html_tree *t)
{
    uint32_t n = 0;
    for (uint32_t i = t->body; i < t->nodes[t->body].end;) {
        const struct html_node *x = &t->nodes[i];
        n += x->chosen && !skipped(x) ? x->chars : 0;
        i = x->chosen ? x->end : next_kept(t, i);
    }
    return n;
}

/* The page's one <main> or role="main"; 0 when there is none or more. */
static uint32_t main_part(const struct html_tree *t)
{
    uint32_t found = 0;
    for (uint32_t i = t->body; i < t->nodes[t->body].end; i = next_kept(t, i)) {
        const char *role = html_attr(t->nodes[i].g, "role");
        bool main = html_is(t, i, GUMBO_TAG_MAIN) || (role && !strcmp(role, "main"));
        if (skipped(&t->nodes[i]) || !main)
            continue;
        if (found && i >= t->nodes[found].end)
            return 0;
        found = found ? found : i;
    }
    return found;
}

static void choose_one(struct html_tree *t, uint32_t part)
{
    for (uint32_t i = 0; i < t->n; i++)
        t->nodes[i].chosen = i == part;
    t->chosen_chars = t->nodes[part].chars;
}

void html_choose_all(struct html_tree *t)
{
    for (uint32_t i = 0; i < t->n; i++) {
        t->nodes[i].chosen = false;
        if (t->nodes[i].why == HTML_UNLIKELY || t->nodes[i].why == HTML_PRUNED)
            t->nodes[i].why = HTML_KEPT;
    }
    t->nodes[t->body].chosen = true;
    t->chosen_chars = t->nodes[t->body].chars;
}

void html_choose(struct html_tree *t)
{
    uint32_t best = heaviest(t), part = main_part(t);
    if (best) {
        best = climb(t, best);
        if (best == t->body)
            t->nodes[best].chosen = true;
        else
            choose_around(t, best);
        t->chosen_chars = chosen_chars(t);
    }
    /* What the page itself calls its main part is not to be reduced to one section. */
    if (part && t->nodes[part].chars > 2 * t->chosen_chars)
        choose_one(t, part);
    if (t->chosen_chars < ARTICLE_MIN)
        html_choose_all(t);
    else if (prune(t) * 3 > t->chosen_chars)
        restore(t);
}
