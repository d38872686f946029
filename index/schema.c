/* schema.sql inside the program. The Makefile names the dependency, which the
 * compiler cannot see. */
#include "index/sql.h"

__asm__(".section .rodata\n"
        ".global sql_schema\n"
        "sql_schema: .incbin \"index/schema.sql\"\n"
        ".byte 0\n"
        ".previous\n");
