/* tests/unit/test_pdf.c - pages written here, read back: order, rows, rectangles. */
#include "tests/test.h"
#include "ingest/extract/doc.h"

/* ---- a PDF of text on pages ---- */

struct pdf {
    struct buf pages[12];
    int n;
};

static struct buf *page(struct pdf *p)
{
    return &p->pages[p->n++];
}

/* `text` with its baseline at x, y from the bottom left of a page of 400 x 400. */
static void put(struct buf *content, int size, int x, int y, const char *text)
{
    buf_printf(content, "BT /F %d Tf 1 0 0 1 %d %d Tm (%s) Tj ET\n", size, x, y, text);
}

static void object(struct buf *out, size_t *offsets, int number, const char *head,
                   struct str stream)
{
    offsets[number] = out->len;
    buf_printf(out, "%d 0 obj%s", number, head);
    if (stream.ptr)
        buf_printf(out, "<</Length %zu>>stream\n%.*s\nendstream", stream.len, STR_ARG(stream));
    buf_puts(out, "endobj\n");
}

static struct buf finish(struct pdf *p)
{
    struct buf out = {0}, kids = {0};
    size_t offsets[32] = {0};
    char head[200];
    buf_puts(&out, "%PDF-1.4\n");
    object(&out, offsets, 1, "<</Type/Catalog/Pages 2 0 R>>", (struct str){0});
    for (int i = 0; i < p->n; i++)
        buf_printf(&kids, "%d 0 R ", 4 + 2 * i);
    snprintf(head, sizeof(head), "<</Type/Pages/Kids[%s]/Count %d>>", kids.ptr, p->n);
    object(&out, offsets, 2, head, (struct str){0});
    object(&out, offsets, 3, "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>", (struct str){0});
    for (int i = 0; i < p->n; i++) {
        snprintf(head, sizeof(head),
                 "<</Type/Page/Parent 2 0 R/MediaBox[0 0 400 400]/Resources<</Font<</F 3 0"
                 " R>>>>/Contents %d 0 R>>",
                 5 + 2 * i);
        object(&out, offsets, 4 + 2 * i, head, (struct str){0});
        object(&out, offsets, 5 + 2 * i, "", p->pages[i].ptr ? buf_view(&p->pages[i]) : STR(" "));
        buf_free(&p->pages[i]);
    }
    int n = 4 + 2 * p->n;
    size_t xref = out.len;
    buf_printf(&out, "xref\n0 %d\n0000000000 65535 f \n", n);
    for (int i = 1; i < n; i++)
        buf_printf(&out, "%010zu 00000 n \n", offsets[i]);
    buf_printf(&out, "trailer<</Size %d/Root 1 0 R>>\nstartxref\n%zu\n%%%%EOF", n, xref);
    buf_free(&kids);
    return out;
}

struct reading {
    struct doc d;
    struct layout l;
    struct err err;
    enum err_code rc;
};

static struct reading *read_bytes(struct str bytes)
{
    static struct reading r;
    struct source s = {
        .bytes = bytes, .name = "x.pdf", .mime = "", .ext = "pdf", .max_text = 8 << 20};
    r = (struct reading){0};
    doc_init(&r.d, s.max_text);
    r.rc = pdf_read(&s, &r.d, &r.err);
    if (!r.rc)
        r.rc = doc_ok(&r.d, &r.l, &r.err);
    return &r;
}

static struct reading *read_pdf(struct pdf *p)
{
    struct buf b = finish(p);
    struct reading *r = read_bytes(buf_view(&b));
    CHECK_OK(r->rc, &r->err);
    buf_free(&b);
    return r;
}

static struct str text_of(const struct reading *r)
{
    return (struct str){r->d.text.ptr, r->d.text.len};
}

/* ---- what it must do ---- */

TEST(columns_are_read_one_after_the_other)
{
    struct pdf p = {0};
    struct buf *c = page(&p);
    put(c, 9, 40, 380, "A headline over both of the columns of this page");
    for (int i = 0; i < 10; i++) {
        put(c, 9, 30, 350 - 11 * i,
            i ? "lefthand words that fill the line" : "Alpha words that begin a column");
        put(c, 9, 210, 350 - 11 * i,
            i ? "righthand words that fill a line" : "Omega words that begin a column");
    }
    struct reading *r = read_pdf(&p);
    size_t alpha = str_find(text_of(r), STR("Alpha"), 0),
           omega = str_find(text_of(r), STR("Omega"), 0);
    size_t left = SIZE_MAX, right = str_find(text_of(r), STR("righthand"), 0);
    for (size_t at = 0; (at = str_find(text_of(r), STR("lefthand"), at)) != SIZE_MAX; at++)
        left = at;
    CHECK(str_starts(text_of(r), STR("A headline")));
    CHECK(alpha < left && left < omega && omega < right);
    doc_deinit(&r->d);
}

TEST(numbers_stay_in_the_row_of_their_label)
{
    static const char *const ROWS[][4] = {{"Revenue", "$", "16,388", "14,573"},
                                          {"Cost of revenue", "", "2,165", "1,865"},
                                          {"Gross profit", "", "15,441", "13,920"},
                                          {"Income taxes", "", "\\(112", "883"}};
    struct pdf p = {0};
    struct buf *c = page(&p);
    for (int i = 0; i < 4; i++) {
        /* column by column in the file, as programs that draw tables often do */
        put(c, 10, 30, 350 - 14 * i, ROWS[i][0]);
        put(c, 10, 300, 350 - 14 * i, ROWS[i][3]);
        if (*ROWS[i][1])
            put(c, 10, 180, 350 - 14 * i, ROWS[i][1]);
    }
    for (int i = 0; i < 4; i++)
        put(c, 10, 200, 350 - 14 * i, ROWS[i][2]);
    struct reading *r = read_pdf(&p);
    CHECK_STR(text_of(r), "Revenue | $ 16,388 | 14,573\nCost of revenue | 2,165 | 1,865\n"
                          "Gross profit | 15,441 | 13,920\nIncome taxes | (112 | 883");
    CHECK_INT(r->l.n_blocks, 1);
    CHECK_INT(r->l.blocks[0].kind, BLOCK_TABLE);
    doc_deinit(&r->d);
}

TEST(every_word_has_its_rectangle_on_its_page)
{
    struct pdf p = {0};
    put(page(&p), 10, 50, 300, "first page");
    put(page(&p), 10, 100, 200, "second");
    struct reading *r = read_pdf(&p);
    CHECK_INT(r->l.n_places, 3);
    static const struct {
        const char *word;
        uint32_t page;
        float x, y;
    } WANT[] = {{"first", 1, 50, 100}, {"page", 1, 70, 100}, {"second", 2, 100, 200}};
    for (int i = 0; i < 3; i++) {
        const struct place *w = &r->l.places[i];
        CHECK_STR(str_sub(text_of(r), w->start, w->end), WANT[i].word);
        CHECK_INT(w->page, WANT[i].page);
        CHECK_NEAR(w->x0, WANT[i].x, 3);
        CHECK_MSG(w->y0 < WANT[i].y && w->y1 >= WANT[i].y - 1 && w->y1 < WANT[i].y + 6,
                  "%s stands at %g to %g, its baseline at %g", WANT[i].word, (double)w->y0,
                  (double)w->y1, (double)WANT[i].y);
    }
    CHECK_INT(r->l.n_pages, 2);
    CHECK_NEAR(r->l.pages[0].width, 400, 0.1);
    CHECK_INT(layout_page(&r->l, r->l.places[2].start), 2);
    doc_deinit(&r->d);
}

TEST(words_broken_at_line_ends_are_whole_again_with_a_rectangle_for_each_half)
{
    struct pdf p = {0};
    struct buf *c = page(&p);
    put(c, 10, 40, 300, "this is some infor-");
    put(c, 10, 40, 288, "mation about inter-");
    put(c, 10, 40, 276, "national affairs now");
    struct reading *r = read_pdf(&p);
    CHECK_STR(text_of(r), "this is some information about international affairs now");
    size_t halves = 0;
    for (size_t i = 0; i < r->l.n_places; i++) {
        struct str w = str_sub(text_of(r), r->l.places[i].start, r->l.places[i].end);
        halves += str_eqz(w, "infor") || str_eqz(w, "mation");
    }
    CHECK_INT(halves, 2);
    doc_deinit(&r->d);
}

TEST(a_page_without_text_is_told)
{
    struct pdf p = {0};
    put(page(&p), 10, 50, 300, "words");
    buf_puts(page(&p), "0 0 m 10 10 l S");
    struct reading *r = read_pdf(&p);
    CHECK_INT(r->d.n_warnings, 1);
    CHECK_STR(str_of(r->d.warnings[0].code), "page_without_text");
    CHECK_INT(r->d.warnings[0].page, 2);
    doc_deinit(&r->d);
}

TEST(a_file_of_pictures_only_is_refused_as_a_scan)
{
    struct pdf p = {0};
    buf_puts(page(&p), "0 0 m 10 10 l S");
    struct buf b = finish(&p);
    struct reading *r = read_bytes(buf_view(&b));
    CHECK_INT(r->rc, ERR_FORMAT);
    CHECK_MSG(strstr(r->err.msg, "scan"), "%s", r->err.msg);
    doc_deinit(&r->d);
    buf_free(&b);
}

TEST(larger_letters_make_a_heading)
{
    struct pdf p = {0};
    struct buf *c = page(&p);
    put(c, 18, 40, 350, "The Heading");
    for (int i = 0; i < 5; i++)
        put(c, 10, 40, 320 - 12 * i, "and running text of the usual size below");
    struct reading *r = read_pdf(&p);
    CHECK_INT(r->l.blocks[0].kind, BLOCK_HEADING);
    CHECK_INT(r->l.blocks[0].level, 1);
    CHECK_INT(r->l.blocks[1].kind, BLOCK_TEXT);
    CHECK_STR(str_of(r->d.title), "The Heading");
    doc_deinit(&r->d);
}

static bool has(const struct reading *r, const char *part)
{
    return str_find(text_of(r), str_of(part), 0) != SIZE_MAX;
}

static size_t count(const struct reading *r, const char *part)
{
    size_t n = 0;
    for (size_t at = 0; (at = str_find(text_of(r), str_of(part), at)) != SIZE_MAX; at++)
        n++;
    return n;
}

/* Pages tile the text: each begins where the one before ended, or behind the
 * white space there; each word lies inside its page. */
static void check_pages(const struct reading *r)
{
    const struct layout *l = &r->l;
    for (size_t i = 0; i < l->n_pages; i++) {
        uint32_t end = i ? l->pages[i - 1].end : 0;
        CHECK(l->pages[i].start == end && l->pages[i].end >= end);
    }
    CHECK_INT(l->pages[l->n_pages - 1].end, r->d.text.len);
    for (size_t i = 0; i < l->n_places; i++) {
        const struct place *w = &l->places[i];
        CHECK(w->start >= l->pages[w->page - 1].start && w->end <= l->pages[w->page - 1].end);
    }
}

/* Lines of running text from `from` down to `to`, and one in the middle that every
 * page has. */
static void fill(struct buf *c, int from, int to, const char *const *words)
{
    for (int y = from, i = 0; y >= to; y -= 12, i++)
        put(c, 10, 40, y, y == 200 ? "Amounts in millions of dollars of each year." : words[i % 3]);
}

static const char *const PROSE[] = {"Slow rivers carry sand to the sea in every season.",
                                    "Quick rivers carry stones as well and drop them.",
                                    "Mills stand on both of them for their own reason."};

/* Five pages between a header and page numbers i, ii, 1, 2, 3; a sentence runs from
 * the third to the fourth. */
static struct reading *read_furnished(void)
{
    static const char *const NUMBERS[] = {"i", "ii", "1", "2", "3"};
    struct pdf p = {0};
    for (int i = 0; i < 5; i++) {
        struct buf *c = page(&p);
        put(c, 8, 160, 385, "Annals of Rivers");
        fill(c, 344, i == 2 ? 80 : 68, PROSE);
        if (i == 2)
            put(c, 10, 40, 68, "The miller said that after the flood the water had");
        if (i == 3)
            put(c, 10, 40, 356, "risen over the wheel and taken the door away.");
        put(c, 8, 196, 20, NUMBERS[i]);
    }
    return read_pdf(&p);
}

TEST(running_headers_and_page_numbers_are_left_out_and_told_once)
{
    struct reading *r = read_furnished();
    CHECK(!has(r, "Annals"));
    CHECK_INT(count(r, "Amounts in millions of dollars of each year."), 5);
    for (size_t i = 0; i < r->l.n_places; i++)
        CHECK(r->l.places[i].end - r->l.places[i].start > 1);
    CHECK_INT(r->d.n_warnings, 1);
    CHECK_STR(str_of(r->d.warnings[0].code), "page_furniture");
    CHECK_INT(r->d.warnings[0].page, 1);
    CHECK_STR(str_of(r->d.warnings[0].message),
              "running headers and footers on 5 pages left out, e.g. \"Annals of Rivers\"");
    check_pages(r);
    doc_deinit(&r->d);
}

TEST(a_sentence_over_a_page_break_is_whole_and_marked_on_the_page_where_it_begins)
{
    struct reading *r = read_furnished();
    struct str whole = STR("The miller said that after the flood the water had risen over the"
                           " wheel and taken the door away.");
    size_t at = str_find(text_of(r), whole, 0);
    CHECK(at != SIZE_MAX);
    if (at == SIZE_MAX)
        return;
    size_t inside = 0;
    for (size_t i = 0; i < r->l.n_blocks; i++)
        inside += r->l.blocks[i].start <= at && r->l.blocks[i].end >= at + whole.len;
    CHECK_INT(inside, 1);
    CHECK_INT(layout_page(&r->l, (uint32_t)at), 3);
    size_t risen = str_find(text_of(r), STR("risen"), 0);
    CHECK_INT(layout_page(&r->l, (uint32_t)risen), 4);
    CHECK_INT(r->l.pages[3].start, risen);
    float quads[8][4];
    CHECK_INT(layout_quads(&r->l, (uint32_t)at, (uint32_t)(at + whole.len), quads, 8), 1);
    CHECK_NEAR(quads[0][3], 400 - 68, 4);
    CHECK_INT(layout_quads(&r->l, (uint32_t)risen, (uint32_t)(at + whole.len), quads, 8), 1);
    CHECK_NEAR(quads[0][3], 400 - 356, 4);
    doc_deinit(&r->d);
}

TEST(a_word_broken_by_a_page_is_whole_and_lies_on_both)
{
    struct pdf p = {0};
    struct buf *c = page(&p);
    put(c, 10, 40, 100, "it was written by some inter-");
    put(c, 10, 40, 88, "national lawyers for the gover-");
    put(c, 10, 40, 76, "nor himself and sent in an enve-");
    put(page(&p), 10, 40, 360, "lope to all of them.");
    struct reading *r = read_pdf(&p);
    CHECK_STR(text_of(r), "it was written by some international lawyers for the governor himself"
                          " and sent in an envelope to all of them.");
    CHECK_INT(r->l.n_blocks, 1);
    check_pages(r);
    doc_deinit(&r->d);
}

TEST(a_paragraph_may_fill_pages_between_its_first_and_last)
{
    struct pdf p = {0};
    for (int i = 0; i < 4; i++) {
        struct buf *c = page(&p);
        if (i == 3)
            put(c, 10, 40, 360, "and so it came to its end.");
        for (int y = 360; i < 3 && y > 60; y -= 12)
            put(c, 10, 40, y, "and it went on and on through the whole of the night");
    }
    struct reading *r = read_pdf(&p);
    CHECK_INT(r->l.n_blocks, 1);
    for (uint32_t i = 0; i < 4; i++)
        CHECK_INT(layout_page(&r->l, r->l.pages[i].start), i + 1);
    check_pages(r);
    doc_deinit(&r->d);
}

TEST(a_finished_paragraph_ends_with_its_page)
{
    struct pdf p = {0};
    put(page(&p), 10, 40, 100, "This was all there was to say about it.");
    put(page(&p), 10, 40, 360, "a new paragraph begins small.");
    struct reading *r = read_pdf(&p);
    CHECK_INT(r->l.n_blocks, 2);
    doc_deinit(&r->d);
}

TEST(two_pages_have_no_furniture)
{
    struct pdf p = {0};
    for (int i = 0; i < 2; i++) {
        struct buf *c = page(&p);
        put(c, 8, 160, 385, "Annals of Rivers");
        fill(c, 344, 68, PROSE);
        put(c, 8, 196, 20, i ? "2" : "1");
    }
    struct reading *r = read_pdf(&p);
    CHECK_INT(count(r, "Annals of Rivers"), 2);
    CHECK_INT(r->d.n_warnings, 0);
    doc_deinit(&r->d);
}

TEST(pages_of_one_and_the_same_line_keep_it)
{
    struct pdf p = {0};
    for (int i = 0; i < 5; i++)
        put(page(&p), 10, 160, 385, "Left blank on purpose");
    struct reading *r = read_pdf(&p);
    CHECK_INT(count(r, "Left blank on purpose"), 5);
    CHECK_INT(r->d.n_warnings, 0);
    doc_deinit(&r->d);
}

TEST(the_head_of_a_table_on_every_page_stays)
{
    struct pdf p = {0};
    for (int i = 0; i < 5; i++) {
        struct buf *c = page(&p);
        put(c, 8, 160, 390, "Annals of Rivers");
        put(c, 10, 40, 360, "Name of mill");
        put(c, 10, 200, 360, "Wheels");
        for (int y = 342; y > 60; y -= 18) {
            put(c, 10, 40, y, "A mill of");
            put(c, 10, 200, y, i & 1 ? "17" : "4");
        }
    }
    struct reading *r = read_pdf(&p);
    CHECK_INT(count(r, "Name of mill | Wheels"), 5);
    CHECK(!has(r, "Annals"));
    doc_deinit(&r->d);
}

TEST(numbers_of_pages_are_found_at_any_height_and_other_numbers_stay)
{
    static const char *const OTHERS[] = {"1984", "17", "3060", "412", "95", "7"};
    struct pdf p = {0};
    for (int i = 0; i < 6; i++) {
        char number[16];
        struct buf *c = page(&p);
        put(c, 10, 40, 385, OTHERS[i]);
        fill(c, 344, 92 + 24 * i, PROSE);
        snprintf(number, sizeof(number), "F-%d", 9 + i);
        put(c, 8, 196, 40 + 24 * i, number);
    }
    struct reading *r = read_pdf(&p);
    CHECK(!has(r, "F-"));
    for (int i = 0; i < 6; i++)
        CHECK_MSG(has(r, OTHERS[i]), "%s was taken for a page's number", OTHERS[i]);
    doc_deinit(&r->d);
}

TEST(a_pdf_cut_anywhere_is_read_or_refused_with_a_reason)
{
    struct pdf p = {0};
    put(page(&p), 10, 50, 300, "some words");
    struct buf b = finish(&p);
    for (size_t n = 0; n < b.len; n += test_slow() ? 1 : 7) {
        struct reading *r = read_bytes((struct str){b.ptr, n});
        CHECK(!r->rc || r->err.msg[0]);
        doc_deinit(&r->d);
    }
    buf_free(&b);
}
