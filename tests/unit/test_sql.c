/* tests/unit/test_sql.c - what a failing statement says. */
#include "index/sql.h"
#include <string.h>
#include "tests/test.h"

TEST(sql_failure_names_its_reason_however_long_the_statement_is)
{
    char path[4096], text[600] = "SELECT 1";
    struct conn *c;
    struct err err;
    snprintf(path, sizeof(path), "%s/a.db", scratch_dir());
    for (int i = 0; i < 60; i++)
        strcat(text, " + 1111");
    strcat(text, " + missing");
    CHECK_OK(sql_open(path, SQL_SCRATCH, &c, &err), &err);
    CHECK(!sql_get(c, &err, text, ""));
    CHECK_MSG(strstr(err.msg, "no such column: missing (in \"SELECT 1 + 1111"), "%s", err.msg);
    sql_close(c);
}
