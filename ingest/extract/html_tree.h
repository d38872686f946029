/* ingest/extract/html_tree.h - a parsed page as one flat array, and which of it
 * is the page's content.
 *
 * gumbo's tree in document order; a node's subtree is [i, nodes[i].end). What is
 * never content (scripts, forms, navigation, hidden parts) is marked DROPPED;
 * html_choose then weighs the rest after the idea of Arc90's Readability (2009):
 * paragraphs with commas and length lend their parents weight, links take it
 * away, and the heaviest element with its like-minded siblings is the article.
 * Threads   one owner. Memory  html_tree_deinit. Private to the HTML reader. */
#ifndef CARREL_INGEST_EXTRACT_HTML_TREE_H
#define CARREL_INGEST_EXTRACT_HTML_TREE_H
#include <gumbo.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

enum html_why { HTML_KEPT, HTML_DROPPED, HTML_HIDDEN, HTML_UNLIKELY, HTML_PRUNED };

struct html_node {
    const GumboNode *g;
    uint32_t parent, end;
    uint32_t chars;          /* of visible text below, white space not counted */
    uint32_t link_chars;     /* of those, inside links */
    uint32_t commas, paragraphs, items, images, fields;
    float score;
    int8_t weight;           /* what class and id suggest: -1, 0, 1 */
    uint8_t why;             /* enum html_why; not inherited: walkers skip to end */
    bool scored, chosen, block_inside;
};

struct html_tree {
    struct html_node *nodes;
    uint32_t n, body;        /* body: its index, 0 when there is none */
    uint32_t depth;
    uint32_t hidden_chars, body_chars, chosen_chars;
};

enum err_code html_tree_build(const GumboNode *root, struct html_tree *out, struct err *err);
void html_tree_deinit(struct html_tree *t);
/* Mark the nodes whose subtrees are the content `chosen`. */
void html_choose(struct html_tree *t);
/* All that is not dropped or hidden. */
void html_choose_all(struct html_tree *t);

bool html_is(const struct html_tree *t, uint32_t i, GumboTag tag);
bool html_is_block(GumboTag tag);
/* Value of an attribute, or NULL. Borrowed. */
const char *html_attr(const GumboNode *g, const char *name);
#endif
