#include "cmd/args.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COMMON_MAX = 5, ARGS_MAX = 32 };

/* The options of struct cmd, as a table over `c`; the last three need a store. */
static int common_args(struct cmd *c, bool no_store, struct arg out[COMMON_MAX])
{
    const struct arg all[COMMON_MAX] = {
        {"json", ARG_FLAG, &c->json, NULL, "one JSON value a line on standard output", 0, 0},
        {"config", ARG_TEXT, &c->config_path, "FILE", "configuration to read", 0, 0},
        {"data", ARG_TEXT, &c->data_dir, "DIR", "folder of the store", 0, 0},
        {"server", ARG_TEXT, &c->server, "URL", "ask this running carrel", 0, 0},
        {"key-file", ARG_TEXT, &c->key_file, "FILE", "file with the API key for it", 0, 0},
    };
    int n = no_store ? 2 : COMMON_MAX;
    memcpy(out, all, sizeof(all));
    return n;
}

static void print_arg(const struct arg *a)
{
    char left[64];
    snprintf(left, sizeof(left), "--%s%s%s", a->name, a->value ? " " : "",
             a->value ? a->value : "");
    printf("  %-22s %s\n", left, a->help);
}

static void print_help(const struct args_usage *u, const struct arg *common, int n_common)
{
    printf("carrel %s [options]%s%s\n\n%s\n\n", u->verb, *u->words ? " " : "", u->words, u->text);
    for (int i = 0; i < u->n_args; i++)
        print_arg(&u->args[i]);
    for (int i = 0; i < n_common; i++)
        print_arg(&common[i]);
}

int args_wrong(const struct args_usage *u, const struct cmd *c, const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return cmd_exit_with(c, CMD_USAGE, "%s\n  carrel %s [options] %s\n  carrel help %s tells more",
                         text, u->verb, u->words, u->verb);
}

const char *args_nearest(const char *word, const char *const *names, int n)
{
    const char *best = NULL;
    int best_distance = (int)strlen(word) / 3 + 1;
    for (int i = 0; i < n; i++) {
        int d = str_distance(str_of(word), str_of(names[i]));
        if (d <= best_distance && (!best || d < best_distance)) {
            best = names[i];
            best_distance = d;
        }
    }
    return best;
}

/* Store `value` where the option wants it; a sentence when it is not one. */
static bool set_value(const struct arg *a, const char *value, char *why, size_t cap)
{
    if (a->kind == ARG_TEXT) {
        *(const char **)a->to = value;
        return true;
    }
    if (a->kind == ARG_INT) {
        if (str_int(str_of(value), (int64_t)a->min, (int64_t)a->max, a->to))
            return true;
        snprintf(why, cap, "--%s %s: want a whole number from %.0f to %.0f", a->name, value, a->min,
                 a->max);
        return false;
    }
    char *end = NULL;
    double v = strtod(value, &end);
    if (end != value && !*end && v >= a->min && v <= a->max) {
        *(double *)a->to = v;
        return true;
    }
    snprintf(why, cap, "--%s %s: want a number from %g to %g", a->name, value, a->min, a->max);
    return false;
}

static const struct arg *find_arg(const struct arg *args, int n, struct str name)
{
    for (int i = 0; i < n; i++)
        if (str_eqz(name, args[i].name))
            return &args[i];
    return NULL;
}

static int unknown_option(const struct args_usage *u, const struct cmd *c, const struct arg *args,
                          int n, struct str name)
{
    const char *names[ARGS_MAX];
    char word[65];
    snprintf(word, sizeof(word), "%.*s", STR_ARG(str_sub(name, 0, 64)));
    for (int i = 0; i < n; i++)
        names[i] = args[i].name;
    const char *near = args_nearest(word, names, n);
    return args_wrong(u, c, "there is no option --%s%s%s%s", word, near ? "; did you mean --" : "",
                      near ? near : "", near ? "?" : "");
}

/* One option at argv[*i]; moves *i past its value. CMD_OK or CMD_USAGE. */
static int take_option(const struct args_usage *u, struct cmd *c, const struct arg *args, int n,
                       int argc, char **argv, int *i)
{
    struct str rest = str_of(argv[*i] + 2), name;
    const char *value = strchr(argv[*i], '=');
    str_split(&rest, '=', &name);
    const struct arg *a = find_arg(args, n, name);
    if (!a)
        return unknown_option(u, c, args, n, name);
    if (a->kind == ARG_FLAG) {
        if (value)
            return args_wrong(u, c, "--%s takes no value", a->name);
        *(bool *)a->to = true;
        return CMD_OK;
    }
    if (value) {
        value++;
    } else {
        if (*i + 1 >= argc)
            return args_wrong(u, c, "--%s needs a value: %s", a->name, a->value);
        value = argv[++*i];
    }
    char why[200];
    return set_value(a, value, why, sizeof(why)) ? CMD_OK : args_wrong(u, c, "%s", why);
}

/* --json decides how complaints look, so it is looked for before anything is read. */
static bool wants_json(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--json") == 0)
            return true;
    return false;
}

int args_parse(const struct args_usage *u, struct cmd *c, int argc, char **argv, int *status)
{
    struct arg all[ARGS_MAX], common[COMMON_MAX];
    int n_common = common_args(c, u->no_store, common), n = 0, words = 0;
    for (int i = 0; i < u->n_args; i++)
        all[n++] = u->args[i];
    for (int i = 0; i < n_common; i++)
        all[n++] = common[i];
    c->json = wants_json(argc, argv);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            while (++i < argc)
                argv[words++] = argv[i];
            break;
        }
        if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) {
            print_help(u, common, n_common);
            *status = cmd_done(CMD_OK);
            return -1;
        }
        if (argv[i][0] == '-' && argv[i][1] == '-') {
            *status = take_option(u, c, all, n, argc, argv, &i);
            if (*status)
                return -1;
        } else if (argv[i][0] == '-' && argv[i][1]) {
            *status = args_wrong(u, c, "there is no option %s", argv[i]);
            return -1;
        } else {
            argv[words++] = argv[i];
        }
    }
    return words;
}
