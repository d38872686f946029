/* ingest/extract/format.c - signatures, then names. */
#include "ingest/extract/format.h"
#include <ctype.h>
#include <string.h>

enum { F_PDF, F_HTML, F_MARKDOWN, F_TEXT };
static const struct format FORMATS[] = {
    [F_PDF] = {"PDF", "application/pdf", pdf_read},
    [F_HTML] = {"HTML", "text/html", html_read},
    [F_MARKDOWN] = {"Markdown", "text/markdown", markdown_read},
    [F_TEXT] = {"text", "text/plain", text_read},
};

/* Bytes at a place that settle what a file is, and what its kind is called. */
static const struct signature {
    size_t at;
    struct str bytes;
    const char *kind;
} SIGNATURES[] = {
    {0, {"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", 8}, "old Microsoft Office (doc, xls, ppt or msg)"},
    {0, {"{\\rtf", 5}, "RTF"},
    {0, {"\x89PNG\r\n", 6}, "PNG image"},
    {0, {"\xFF\xD8\xFF", 3}, "JPEG image"},
    {0, {"GIF87a", 6}, "GIF image"},
    {0, {"GIF89a", 6}, "GIF image"},
    {0, {"II*\0", 4}, "TIFF image"},
    {0, {"MM\0*", 4}, "TIFF image"},
    {8, {"WEBP", 4}, "WebP image"},
    {8, {"WAVE", 4}, "WAV audio"},
    {8, {"AVI ", 4}, "AVI video"},
    {4, {"ftyp", 4}, "MP4 or HEIF media"},
    {0, {"\x1A\x45\xDF\xA3", 4}, "Matroska or WebM video"},
    {0, {"OggS", 4}, "Ogg media"},
    {0, {"fLaC", 4}, "FLAC audio"},
    {0, {"ID3", 3}, "MP3 audio"},
    {0, {"\x1F\x8B\x08", 3}, "gzip archive"},
    {0, {"BZh", 3}, "bzip2 archive"},
    {0,
     {"\xFD"
      "7zXZ\0",
      6},
     "xz archive"},
    {0, {"\x28\xB5\x2F\xFD", 4}, "zstd archive"},
    {0, {"7z\xBC\xAF\x27\x1C", 6}, "7-Zip archive"},
    {0, {"Rar!\x1A\x07", 6}, "RAR archive"},
    {257, {"ustar", 5}, "tar archive"},
    {0,
     {"\x7F"
      "ELF",
      4},
     "Linux program"},
    {0, {"MZ\x90\0", 4}, "Windows program"},
    {0, {"MZ\0\0", 4}, "Windows program"},
    {0, {"SQLite format 3\0", 16}, "SQLite database"},
    {0, {"%!PS", 4}, "PostScript"},
    {0, {"AT&TFORM", 8}, "DjVu"},
    {0, {"GGUF", 4}, "GGUF model"},
    {0, {"wOFF", 4}, "font"},
    {0, {"\xCA\xFE\xBA\xBE", 4}, "program"},
};

static bool has(struct str bytes, size_t at, struct str what)
{
    return bytes.len >= at && str_starts(str_sub(bytes, at, bytes.len), what);
}

/* A zip by the names of its parts; the directory lies at its end. */
static const char *zip_kind(struct str b)
{
    static const struct {
        struct str mark;
        const char *kind;
    } PARTS[] = {
        {{"word/document", 13}, "docx"},
        {{"ppt/presentation", 16}, "pptx"},
        {{"xl/workbook", 11}, "xlsx"},
        {{"application/epub+zip", 20}, "epub"},
        {{"opendocument.text", 17}, "odt"},
        {{"opendocument.spreadsheet", 24}, "ods"},
        {{"opendocument.presentation", 25}, "odp"},
    };
    struct str head = str_sub(b, 0, 65536),
               tail = str_sub(b, b.len > 65536 ? b.len - 65536 : 0, b.len);
    for (size_t i = 0; i < sizeof(PARTS) / sizeof(*PARTS); i++)
        if (str_find(head, PARTS[i].mark, 0) != SIZE_MAX ||
            str_find(tail, PARTS[i].mark, 0) != SIZE_MAX)
            return PARTS[i].kind;
    return "zip archive";
}

static const char *binary_kind(struct str b)
{
    if (has(b, 0, STR("PK\3\4")) || has(b, 0, STR("PK\5\6")))
        return zip_kind(b);
    for (size_t i = 0; i < sizeof(SIGNATURES) / sizeof(*SIGNATURES); i++)
        if (has(b, SIGNATURES[i].at, SIGNATURES[i].bytes))
            return SIGNATURES[i].kind;
    return NULL;
}

/* Kinds of text that deserve a reader of their own and have none yet. */
static const struct {
    const char *ext, *mime, *kind;
} LATER[] = {
    {"eml", "message/rfc822", "e-mail"},
    {"mbox", "application/mbox", "mailbox"},
    {"msg", "application/vnd.ms-outlook", "Outlook message"},
    {"xml", "application/xml", "XML"},
    {"xml", "text/xml", "XML"},
    {"svg", "image/svg+xml", "SVG"},
    {"rss", "application/rss+xml", "RSS"},
    {"atom", "application/atom+xml", "Atom"},
    {"ipynb", "application/x-ipynb+json", "Jupyter notebook"},
    {"doc", "application/msword", "old Word"},
    {"xls", "application/vnd.ms-excel", "old Excel"},
    {"docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"},
    {"pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx"},
    {"xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"},
    {"ppt", "application/vnd.ms-powerpoint", "old PowerPoint"},
    {"odt", "application/vnd.oasis.opendocument.text", "odt"},
    {"ods", "application/vnd.oasis.opendocument.spreadsheet", "ods"},
    {"epub", "application/epub+zip", "epub"},
    {"rtf", "application/rtf", "RTF"},
    {"zip", "application/zip", "zip"},
    {"gz", "application/gzip", "gzip"},
    {"png", "image/png", "PNG image"},
    {"jpg", "image/jpeg", "JPEG image"},
    {"jpeg", "image/jpeg", "JPEG image"},
    {"gif", "image/gif", "GIF image"},
};

const char *format_extension(const char *name, char out[16])
{
    const char *dot = strrchr(name, '.'), *slash = strrchr(name, '/');
    out[0] = '\0';
    if (!dot || (slash && dot < slash) || strlen(dot + 1) > 15)
        return out;
    size_t n = 0;
    for (const char *p = dot + 1; *p; p++)
        out[n++] = (char)tolower((unsigned char)*p);
    out[n] = '\0';
    return out;
}

static bool word_in(const char *word, const char *list)
{
    struct str rest = str_of(list), one;
    while (*word && str_split(&rest, ' ', &one))
        if (str_eqz(one, word))
            return true;
    return false;
}

/* A tag or a declaration near the start, after blanks, comments and a BOM. */
static bool looks_html(struct str b)
{
    struct str head = str_sub(b, 0, 1024);
    static const char *const MARKS[] = {"<!doctype html", "<html", "<head", "<body"};
    for (size_t i = 0; i < head.len; i++) {
        if (head.ptr[i] != '<')
            continue;
        for (size_t m = 0; m < sizeof(MARKS) / sizeof(*MARKS); m++)
            if (str_ieq(str_sub(head, i, i + strlen(MARKS[m])), str_of(MARKS[m])))
                return true;
    }
    return false;
}

static bool looks_xml(struct str b)
{
    struct str s = str_sub(b, 0, 256);
    if (str_starts(s, STR("\xEF\xBB\xBF")))
        s = str_sub(s, 3, s.len);
    return str_starts(str_trim(s), STR("<?xml"));
}

static bool mime_is(const struct source *s, const char *mime)
{
    size_t n = strlen(mime);
    return !strncasecmp(s->mime, mime, n) &&
           (s->mime[n] == '\0' || s->mime[n] == ';' || s->mime[n] == ' ');
}

static const char *kind_later(const struct source *s)
{
    for (size_t i = 0; i < sizeof(LATER) / sizeof(*LATER); i++)
        if (!strcmp(s->ext, LATER[i].ext) || mime_is(s, LATER[i].mime))
            return LATER[i].kind;
    return NULL;
}

static enum err_code not_yet(const char *kind, const struct source *s, struct err *err)
{
    if (!strcmp(s->ext, "pdf") || mime_is(s, "application/pdf"))
        return err_set(err, ERR_FORMAT,
                       "it is called a PDF, but its bytes are those of another kind: %s", kind);
    return err_set(err, ERR_FORMAT,
                   "%s files are not read yet: carrel reads text, Markdown, HTML and PDF", kind);
}

/* Text of some kind, by what its name, its type and its first bytes say. */
static int text_kind(const struct source *s)
{
    bool html = looks_html(s->bytes);
    if (word_in(s->ext, "md markdown mdown mkd mdx") || mime_is(s, "text/markdown"))
        return F_MARKDOWN;
    if (word_in(s->ext, "html htm xhtml") || mime_is(s, "text/html") ||
        mime_is(s, "application/xhtml+xml"))
        return F_HTML;
    if (*s->ext == '\0' || !strcmp(s->ext, "php") || !strcmp(s->ext, "asp"))
        return html ? F_HTML : F_TEXT;
    return F_TEXT;
}

enum err_code format_find(const struct source *s, const struct format **out, struct err *err)
{
    if (!s->bytes.len)
        return err_set(err, ERR_FORMAT, "no text: the file is empty");
    /* Readers of PDF look for the mark in the first kilobyte: mail puts headers before it. */
    if (str_find(str_sub(s->bytes, 0, 1024), STR("%PDF-"), 0) != SIZE_MAX) {
        *out = &FORMATS[F_PDF];
        return OK;
    }
    const char *binary = binary_kind(s->bytes);
    if (binary)
        return not_yet(binary, s, err);
    int kind = text_kind(s);
    if (kind == F_TEXT && !mime_is(s, "text/plain")) {
        const char *later = kind_later(s);
        if (later || (looks_xml(s->bytes) && !looks_html(s->bytes)))
            return not_yet(later ? later : "XML", s, err);
    }
    if (!strcmp(s->ext, "pdf") || mime_is(s, "application/pdf"))
        return err_set(err, ERR_FORMAT,
                       "it is called a PDF, but holds no PDF (no \"%%PDF-\" at its start)");
    *out = &FORMATS[kind];
    return OK;
}
