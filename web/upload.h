/* web/upload.h - a body on its way to the store: one raw file, or a form of files.
 *
 * Bytes go to index/blobs as they come; nothing but a blob's own temporary file
 * is touched, and a name from outside is only ever text.
 * Threads   the request's owner. Memory  upload_free drops what was not taken. */
#ifndef CARREL_WEB_UPLOAD_H
#define CARREL_WEB_UPLOAD_H
#include "base/json.h"
#include "index/blobs.h"
#include "index/index.h"

#define UPLOAD_FILES_MAX  64
#define UPLOAD_FIELD_MAX  65536    /* bytes of `metadata`, the longest field */
#define UPLOAD_NAME_MAX   255      /* bytes of a document's name */

struct upload_file { char name[UPLOAD_NAME_MAX + 1]; char mime[128]; struct blob *blob; };
struct upload {
    struct index *index;
    size_t max_bytes, received;
    struct multipart *form;        /* NULL: one raw file */
    struct upload_file files[UPLOAD_FILES_MAX];
    int n_files;
    struct buf field;              /* the field that is coming in */
    char field_name[32];
    char *collection, *metadata;   /* or NULL */
    bool wait;
    bool disk_full;                /* the failure was the disk's, not the client's */
    const char *param;             /* static: the field that was wrong, or NULL */
};

/* A form when `type` is multipart/form-data, else a raw file of that type and
 * name. ERR_FORMAT for a form without boundary. */
enum err_code upload_new(struct index *x, struct str type, struct str name, size_t max_bytes,
                         struct upload **out, struct err *err);
void upload_free(struct upload *u);    /* NULL is fine */
/* ERR_LIMIT: too much (or the disk is full: disk_full). ERR_FORMAT, ERR_ARG: the form. */
enum err_code upload_push(struct upload *u, struct str bytes, struct err *err);
/* All is there: every file is synced to disk. */
enum err_code upload_finish(struct upload *u, struct err *err);
/* Any bytes to a name: valid UTF-8, no controls, 1..UPLOAD_NAME_MAX bytes. */
void upload_clean_name(struct str raw, char out[UPLOAD_NAME_MAX + 1]);
#endif
