/* cmd/shape.h - rows of the store as the JSON objects of the HTTP API.
 * Threads   no state. Memory  results are yours; NULL without memory. */
#ifndef CARREL_CMD_SHAPE_H
#define CARREL_CMD_SHAPE_H
#include "base/json.h"
#include "index/index.h"
#include "index/jobs.h"

json_t *shape_document(const struct document *d);
json_t *shape_job(const struct job *j);
json_t *shape_collection(const struct collection *c);
json_t *shape_key(const struct key *k);
json_t *shape_chunk(const struct stored_chunk *k);
#endif
