-- The store, version 1. One transaction makes it; PRAGMA user_version tells.
-- Times are Unix milliseconds. Ids of chunks, jobs and collections are never
-- used again (AUTOINCREMENT): a graph or a cache may still name an old one.

CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE collections (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT NOT NULL UNIQUE,
    stamp      TEXT NOT NULL,              -- the encoder's, compared whole
    dim        INTEGER NOT NULL CHECK (dim BETWEEN 1 AND 4096),
    settings   TEXT NOT NULL,              -- chunking, JSON
    revision   INTEGER NOT NULL DEFAULT 0, -- grows with every change of its documents
    created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE documents (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    collection  INTEGER NOT NULL REFERENCES collections (id),
    name        TEXT NOT NULL,
    uri         TEXT NOT NULL,
    mime        TEXT NOT NULL,
    metadata    TEXT NOT NULL,             -- JSON object
    title       TEXT NOT NULL DEFAULT '',
    context     TEXT NOT NULL DEFAULT '',  -- searched with each of its chunks, never shown
    size_bytes  INTEGER NOT NULL,
    hash        BLOB NOT NULL,             -- XXH3-128 of the original bytes
    state       INTEGER NOT NULL,          -- enum document_state
    error       TEXT NOT NULL DEFAULT '',
    warnings    TEXT NOT NULL DEFAULT '[]',
    pages       INTEGER NOT NULL DEFAULT 0,
    chunks      INTEGER NOT NULL DEFAULT 0,
    first_chunk INTEGER NOT NULL DEFAULT 0, -- its chunks are [first_chunk, first_chunk + chunks)
    tokens      INTEGER NOT NULL DEFAULT 0,
    text_bytes  INTEGER NOT NULL DEFAULT 0,
    created_ms  INTEGER NOT NULL,
    updated_ms  INTEGER NOT NULL
) STRICT;
CREATE INDEX documents_by_name ON documents (collection, name);
CREATE INDEX documents_by_state ON documents (state, collection);

-- The text in parts of 16 KiB, so that a passage is read without the rest.
CREATE TABLE texts (
    document INTEGER NOT NULL REFERENCES documents (seq),
    part     INTEGER NOT NULL,
    body     BLOB NOT NULL,
    PRIMARY KEY (document, part)
) STRICT;

CREATE TABLE layouts (
    document INTEGER PRIMARY KEY REFERENCES documents (seq),
    body     BLOB NOT NULL                 -- document.c
) STRICT;

CREATE TABLE chunks (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    collection INTEGER NOT NULL,
    document   INTEGER NOT NULL REFERENCES documents (seq),
    ordinal    INTEGER NOT NULL,
    start      INTEGER NOT NULL,           -- bytes of the text, half-open
    "end"      INTEGER NOT NULL CHECK ("end" >= start),
    page       INTEGER NOT NULL,
    tokens     INTEGER NOT NULL,
    words      INTEGER NOT NULL,           -- its length, as BM25 sees it
    embedded   INTEGER NOT NULL,           -- 1: has a row in vectors
    heading    TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX chunks_by_document ON chunks (document, ordinal);
CREATE INDEX chunks_by_collection ON chunks (collection, id, words, embedded);

CREATE TABLE vectors (
    chunk INTEGER PRIMARY KEY REFERENCES chunks (id),
    body  BLOB NOT NULL                    -- float32[dim], little-endian
) STRICT;

-- Beside these, a table words_N for collection N (postings.c), made with it:
-- CREATE VIRTUAL TABLE words_N USING fts5 (text, content='', columnsize=0, tokenize='carrel')

CREATE TABLE jobs (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    document    INTEGER NOT NULL REFERENCES documents (seq),
    state       INTEGER NOT NULL,          -- enum job_state
    stage       TEXT NOT NULL DEFAULT '',
    attempts    INTEGER NOT NULL DEFAULT 0,
    error       TEXT NOT NULL DEFAULT '',
    created_ms  INTEGER NOT NULL,
    started_ms  INTEGER NOT NULL DEFAULT 0,
    finished_ms INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX jobs_by_state ON jobs (state, id);
CREATE INDEX jobs_by_document ON jobs (document, id);

CREATE TABLE answers (
    id         INTEGER PRIMARY KEY,
    collection INTEGER NOT NULL REFERENCES collections (id),
    key        BLOB NOT NULL,
    revision   INTEGER NOT NULL,           -- of the collection when it was given
    json       TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    UNIQUE (collection, key)
) STRICT;
CREATE TABLE answer_documents (
    answer   INTEGER NOT NULL REFERENCES answers (id) ON DELETE CASCADE,
    document BLOB NOT NULL,
    PRIMARY KEY (answer, document)
) STRICT, WITHOUT ROWID;

CREATE TABLE conversations (
    id         BLOB PRIMARY KEY CHECK (length(id) = 16),
    created_ms INTEGER NOT NULL,
    updated_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE messages (
    id           INTEGER PRIMARY KEY,
    conversation BLOB NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    role         TEXT NOT NULL,
    content      TEXT NOT NULL,
    created_ms   INTEGER NOT NULL
) STRICT;
CREATE INDEX messages_by_conversation ON messages (conversation, id);

CREATE TABLE keys (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT NOT NULL,
    prefix     TEXT NOT NULL,
    hash       BLOB NOT NULL CHECK (length(hash) = 32),
    scopes     TEXT NOT NULL,
    collection TEXT NOT NULL DEFAULT '',
    created_ms INTEGER NOT NULL,
    used_ms    INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX keys_by_prefix ON keys (prefix);

CREATE TABLE usage (
    day               INTEGER NOT NULL,    -- days since 1970, UTC
    kind              TEXT NOT NULL,
    model             TEXT NOT NULL,
    requests          INTEGER NOT NULL,
    prompt_tokens     INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    ms                REAL NOT NULL,
    PRIMARY KEY (day, kind, model)
) STRICT, WITHOUT ROWID;
