/* base/memory.c - proc(5), getrlimit(2), cgroup-v2 and cgroup-v1 of the kernel's
 * documentation. Files the kernel writes, yet read with care: a container may
 * put others in their place. */
#include "base/memory.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "base/str.h"

struct least { size_t bytes; const char *why; };

static void take(struct least *l, uint64_t bytes, const char *why)
{
    if (bytes < l->bytes) {
        l->bytes = (size_t)bytes;
        l->why = why;
    }
}

/* The number behind `key` in a file of lines, or at its begin (key ""); false without. */
static bool read_number(const char *path, const char *key, uint64_t *out)
{
    char line[256];
    FILE *f = fopen(path, "re");
    bool found = false;
    if (!f)
        return false;
    while (!found && fgets(line, sizeof(line), f))
        found = strncmp(line, key, strlen(key)) == 0 &&
                sscanf(line + strlen(key), " %20ju", (uintmax_t *)out) == 1;
    fclose(f);
    return found;
}

static void take_machine(struct least *l)
{
    uint64_t kib;
    if (read_number("/proc/meminfo", "MemAvailable:", &kib))
        take(l, kib * 1024, "memory of the machine");
}

static void take_limits(struct least *l)
{
    static const struct { int resource; const char *key, *why; } limits[] = {
        {RLIMIT_AS, "VmSize:", "limit on address space"},
        {RLIMIT_DATA, "VmData:", "limit on data"},
    };
    for (int i = 0; i < 2; i++) {
        struct rlimit r;
        uint64_t used;
        if (getrlimit(limits[i].resource, &r) != 0 || r.rlim_cur == RLIM_INFINITY ||
            !read_number("/proc/self/status", limits[i].key, &used))
            continue;
        take(l, r.rlim_cur > used * 1024 ? r.rlim_cur - used * 1024 : 0, limits[i].why);
    }
}

/* What one group allows beyond what it holds; its page cache can be given back. */
static void take_group(struct least *l, const char *dir, const char *max, const char *now,
                       const char *cache)
{
    char path[4400];
    uint64_t limit, used, files = 0;
    snprintf(path, sizeof(path), "%s/%s", dir, max);
    if (!read_number(path, "", &limit))
        return; /* "max": none */
    snprintf(path, sizeof(path), "%s/%s", dir, now);
    if (!read_number(path, "", &used))
        return;
    snprintf(path, sizeof(path), "%s/memory.stat", dir);
    read_number(path, cache, &files);
    used -= files < used ? files : used;
    take(l, limit > used ? limit - used : 0, "limit of the control group");
}

/* The group and all above it up to the root of the tree. */
static void take_groups(struct least *l, const char *root, struct str group, bool v2)
{
    char dir[4200];
    for (;;) {
        snprintf(dir, sizeof(dir), "%s%.*s", root, (int)(group.len < 4000 ? group.len : 4000),
                 group.ptr);
        if (v2)
            take_group(l, dir, "memory.max", "memory.current", "inactive_file ");
        else
            take_group(l, dir, "memory.limit_in_bytes", "memory.usage_in_bytes",
                       "total_inactive_file ");
        while (group.len && group.ptr[group.len - 1] != '/')
            group.len--;
        if (!group.len)
            return;
        group.len--;
    }
}

static void take_cgroups(struct least *l)
{
    char line[4200];
    FILE *f = fopen("/proc/self/cgroup", "re");
    if (!f)
        return;
    while (fgets(line, sizeof(line), f)) { /* "0::/a/b" or "5:memory:/a/b" */
        struct str rest = str_trim(str_of(line)), number, names;
        str_split(&rest, ':', &number);
        str_split(&rest, ':', &names);
        if (str_eqz(number, "0") && names.len == 0)
            take_groups(l, "/sys/fs/cgroup", rest, true);
        else if (str_find(names, STR("memory"), 0) != SIZE_MAX)
            take_groups(l, "/sys/fs/cgroup/memory", rest, false);
    }
    fclose(f);
}

size_t memory_available(const char **why)
{
    struct least l = {SIZE_MAX, "nothing"};
    take_machine(&l);
    take_limits(&l);
    take_cgroups(&l);
    if (why)
        *why = l.why;
    return l.bytes;
}
