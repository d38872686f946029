/* tests/unit/test_pdf.c - pages written here, read back: order, rows, rectangles. */
#include "tests/test.h"
#include "ingest/extract/doc.h"

/* ---- a PDF of text on pages ---- */

struct pdf {
    struct buf pages[4];
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
    size_t offsets[16] = {0};
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
