/* ingest/extract/main.c - carrel-extract: reads one document inside a sandbox.
 *
 *   carrel-extract [--name NAME] [--mime TYPE] <DOCUMENT >RESULT
 *   carrel-extract --serve        (started by carrel; ingest/request.h)
 *
 * The result's form is told in ingest/frame.h. Exit status: 0 read, 1 refused
 * (the result says why), 2 wrong usage, 3 no sandbox could be entered. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/file.h"
#include "ingest/extract/charset.h"
#include "ingest/extract/doc.h"
#include "ingest/extract/format.h"
#include "ingest/extract/serve.h"
#include "ingest/frame.h"

#define TEXT_MAX  ((size_t)64 << 20)
#define PIPED_MAX ((size_t)256 << 20)

#ifdef __SANITIZE_ADDRESS__
/* What is read is never released by hand: the process ends instead. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0:allocator_may_return_null=1";
}
#endif

/* All of fd 0: mapped where it is a file, read where it is a pipe. */
static enum err_code load(struct str *out, struct buf *piped, struct err *err)
{
    off_t size = lseek(0, 0, SEEK_END);
    *out = STR("");
    if (size == 0)
        return OK;
    if (size > 0) {
        void *p = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, 0, 0);
        if (p == MAP_FAILED)
            return err_set(err, ERR_LIMIT, "the file is too large for a reader's memory");
        *out = (struct str){p, (size_t)size};
        return OK;
    }
    piped->max = PIPED_MAX;
    for (ssize_t n = 1; n;) {
        if (!buf_reserve(piped, 65536))
            return buf_ok(piped, "the document", err);
        n = read(0, piped->ptr + piped->len, 65536);
        if (n < 0)
            return err_errno(err, "reading the document");
        piped->len += (size_t)n;
    }
    *out = buf_view(piped);
    return OK;
}

static enum err_code make_result(const struct task *t, struct doc *d, struct buf *out,
                                 struct err *err)
{
    struct buf piped = {0}, packed = {0};
    struct layout layout;
    const struct format *format;
    char ext[16];
    struct source s = {.name = t->name,
                       .mime = t->mime,
                       .ext = format_extension(t->name, ext),
                       .max_text = t->max_text};
    enum err_code rc = load(&s.bytes, &piped, err);
    if (!rc)
        rc = format_find(&s, &format, err);
    if (!rc)
        rc = format->read(&s, d, err);
    if (!rc)
        rc = doc_ok(d, &layout, err);
    if (!rc)
        rc = layout_encode(&layout, &packed, err);
    if (rc)
        return rc;
    frame_begin(out);
    frame_put(out, "MIME", str_of(d->mime));
    frame_put(out, "TITL", str_of(d->title));
    frame_put(out, "TEXT", buf_view(&d->text));
    frame_put(out, "LAYO", buf_view(&packed));
    for (int i = 0; i < d->n_warnings; i++)
        frame_warning(out, &d->warnings[i]);
    frame_end(out);
    return buf_ok(out, "the result", err);
}

static void make_refusal(const struct err *why, struct buf *out)
{
    buf_reset(out);
    frame_begin(out);
    frame_put(out, "FAIL", str_of(why->msg));
    frame_end(out);
}

int read_document(const struct task *t)
{
    static struct doc d; /* nothing here is released: the process ends */
    struct sandbox_state state;
    struct err err = {0};
    struct buf out = {0};
    if (sandbox_enter(&t->sandbox, &state, &err)) {
        dprintf(2, "error extract.sandbox reason=\"%s\"\n", err.msg);
        return READ_UNSAFE;
    }
    doc_init(&d, t->max_text);
    enum err_code rc = make_result(t, &d, &out, &err);
    if (rc)
        make_refusal(&err, &out);
    if (file_write_all(1, out.ptr, out.len, &err))
        return READ_REFUSED;
    return rc ? READ_REFUSED : READ_OK;
}

int main(int argc, char **argv)
{
    struct task t = {
        .name = "", .mime = "", .max_text = TEXT_MAX, .sandbox = {.file_bytes = (size_t)1 << 30}};
    if (argc == 2 && !strcmp(argv[1], "--serve"))
        return serve();
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 < argc && !strcmp(argv[i], "--name"))
            t.name = argv[i + 1];
        else if (i + 1 < argc && !strcmp(argv[i], "--mime"))
            t.mime = argv[i + 1];
        else {
            fprintf(stderr,
                    "usage: carrel-extract [--name NAME] [--mime TYPE] <DOCUMENT >RESULT\n");
            return READ_USAGE;
        }
    }
    charset_warm();
    return read_document(&t);
}
