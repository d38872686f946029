#include "web/assets.h"
#include <pthread.h>
#include <stdio.h>
#include "base/hash.h"

#define CARRY(symbol, path)                                    \
    __asm__(".section .rodata\n"                               \
            ".global " #symbol "_begin, " #symbol "_end\n"     \
            ".hidden " #symbol "_begin, " #symbol "_end\n"     \
            #symbol "_begin:\n.incbin \"" path "\"\n"          \
            #symbol "_end:\n.byte 0\n.previous\n");            \
    extern const char symbol##_begin[], symbol##_end[]

CARRY(asset_style, "web/assets/style.css");
CARRY(asset_app, "web/assets/app.js");
CARRY(asset_icon, "web/assets/favicon.svg");

#define COUNT 3
static struct asset assets[COUNT];
static char version[17];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static struct str between(const char *begin, const char *end)
{
    return (struct str){begin, (size_t)(end - begin)};
}

static void fill(void)
{
    assets[0] = (struct asset){"style.css", "text/css; charset=utf-8",
                               between(asset_style_begin, asset_style_end)};
    assets[1] = (struct asset){"app.js", "text/javascript; charset=utf-8",
                               between(asset_app_begin, asset_app_end)};
    assets[2] = (struct asset){"favicon.svg", "image/svg+xml",
                               between(asset_icon_begin, asset_icon_end)};
    uint64_t h = 0;
    for (int i = 0; i < COUNT; i++)
        h = hash64(assets[i].bytes.ptr, assets[i].bytes.len, h);
    snprintf(version, sizeof(version), "%016llx", (unsigned long long)h);
}

const struct asset *asset_find(struct str name)
{
    pthread_once(&once, fill);
    for (int i = 0; i < COUNT; i++)
        if (str_eqz(name, assets[i].name))
            return &assets[i];
    return NULL;
}

const char *assets_version(void)
{
    pthread_once(&once, fill);
    return version;
}
