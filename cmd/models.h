/* cmd/models.h - the folder of model files, and which of them answers.
 *
 * A GGUF file of a decoder that lies there answers at the next start; with several, llm.model
 * names one, or else the first by name is taken.
 * Threads   no state. Memory  models_free releases a list. */
#ifndef CARREL_CMD_MODELS_H
#define CARREL_CMD_MODELS_H
#include "base/str.h"
#include "config/config.h"
#include "llm/decoder.h"

#define MODELS_FILES_MAX 1000

/* llm.models, or "models" in store.dir, behind `out`. It need not be there. */
enum err_code models_dir(const struct config *c, struct buf *out, struct err *err);

struct models_file {
    char *path;
    char name[96];             /* general.name, or the file's */
    char arch[32];             /* "" when it could not be read */
    bool decoder;
    struct decoder_shape shape; /* of a decoder */
    int64_t size_bytes;
    struct err err;            /* why it is no decoder, nor an encoder */
};
struct models { struct models_file *v; int n; };
/* The *.gguf of the folder by name, at most MODELS_FILES_MAX; none when there is no
 * such folder. A file that cannot be read is listed with its error. */
enum err_code models_list(const char *dir, struct models *out, struct err *err);
void models_free(struct models *m);
/* Fill in one of `path` alone: what the file says of itself. */
void models_look(struct models_file *f);

/* The generator's file by the configuration, behind `path`; empty: none. *named: the
 * configuration names it, and it must do. ERR_NOTFOUND: it names one that is not there. */
enum err_code models_choose(const struct config *c, struct buf *path, bool *named,
                            struct err *err);
#endif
