/* web/assets.h - style.css, app.js and favicon.svg, carried in the program.
 * Threads   immutable. */
#ifndef CARREL_WEB_ASSETS_H
#define CARREL_WEB_ASSETS_H
#include "base/str.h"

struct asset { const char *name, *type; struct str bytes; };
const struct asset *asset_find(struct str name);   /* NULL when there is none */
/* Changes when any asset does: 16 hex digits, for "?v=". */
const char *assets_version(void);
#endif
