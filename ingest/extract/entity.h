/* ingest/extract/entity.h - "&eacute;" and "&#233;" become the characters they name.
 * Threads   no state. */
#ifndef CARREL_INGEST_EXTRACT_ENTITY_H
#define CARREL_INGEST_EXTRACT_ENTITY_H
#include <stddef.h>
#include "base/str.h"

/* `entity` from '&' to ';'. Writes UTF-8 to out[8], returns its bytes; 0: no such entity. */
size_t entity_decode(struct str entity, char out[8]);
#endif
