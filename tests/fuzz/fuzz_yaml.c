/* tests/fuzz/fuzz_yaml.c - any bytes as a configuration: refused with a place,
 * or read, shown and read again to the same settings. */
#include <stdlib.h>
#include <string.h>
#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_round_trip(const struct config *c)
{
    struct config again;
    struct buf first = {0}, second = {0};
    struct err err = {0};
    config_show(c, true, &first);
    if (config_init(&again, NULL, &err) ||
        config_load_text(&again, buf_view(&first), "shown", &err))
        abort();
    buf_reset(&first);
    config_show(c, false, &first);
    config_show(&again, false, &second);
    if (!str_eq(buf_view(&first), buf_view(&second)))
        abort();
    config_deinit(&again);
    buf_free(&first);
    buf_free(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config c;
    struct err err = {0};
    if (config_init(&c, NULL, &err))
        abort();
    enum err_code rc =
        config_load_text(&c, (struct str){(const char *)data, size}, "carrel.yaml", &err);
    if (rc == OK)
        check_round_trip(&c);
    else if (rc != ERR_LIMIT && !strstr(err.msg, " at line "))
        abort();
    config_deinit(&c);
    return 0;
}
