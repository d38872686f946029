#include "config/config.h"
#include <dirent.h>
#include <stddef.h>
#include "base/file.h"
#include "config/config_int.h"
#include "tests/test.h"

static char *const home_env[] = {"HOME=/home/ada", NULL};

static struct config fresh(void)
{
    struct config c;
    struct err err = {0};
    CHECK_OK(config_init(&c, home_env, &err), &err);
    return c;
}

static struct config loaded(const char *text)
{
    struct config c = fresh();
    struct err err = {0};
    CHECK_OK(config_load_text(&c, str_of(text), "carrel.yaml", &err), &err);
    return c;
}

/* The sentence that `text` is refused with. */
static const char *refusal(const char *text)
{
    static struct err err;
    struct config c = fresh();
    CHECK(config_load_text(&c, str_of(text), "carrel.yaml", &err) != OK);
    config_deinit(&c);
    return err.msg;
}

static void check_refusal(const char *text, const char *want)
{
    CHECK_STR(str_of(refusal(text)), want);
}

TEST(config_built_in_settings_are_whole)
{
    struct config c = fresh();
    struct err err;
    CHECK_STR(str_of(c.server.listen), "127.0.0.1:7171");
    CHECK_STR(str_of(c.store.dir), "/home/ada/.local/share/carrel");
    CHECK_INT(c.ingest.memory_bytes, 512 << 20);
    CHECK_INT(c.ingest.timeout_ms, 20000);
    CHECK_NEAR(c.embed.dense_weight, -1, 0);
    CHECK(c.embed.model == NULL && c.embed.pooling == NULL && c.embed.query_prefix == NULL);
    CHECK_STR(str_of(c.search.mode), "hybrid");
    CHECK_INT(config_log_level(&c), LOG_INFO);
    CHECK_OK(config_check(&c, &err), &err);
    config_deinit(&c);
}

TEST(config_store_follows_the_environment)
{
    struct config c;
    char *const xdg[] = {"XDG_DATA_HOME=/data", "HOME=/home/ada", NULL}, *const none[] = {NULL};
    CHECK_ERR(config_init(&c, xdg, NULL), OK);
    CHECK_STR(str_of(c.store.dir), "/data/carrel");
    config_deinit(&c);
    CHECK_ERR(config_init(&c, none, NULL), OK);
    CHECK_STR(str_of(c.store.dir), "/var/lib/carrel");
    config_deinit(&c);
}

TEST(config_file_sets_values_of_every_kind)
{
    struct config c = loaded("server:\n  listen: \"[::1]:80\"\n  threads: 8\n  insecure: true\n"
                             "  max_upload_bytes: 2 GiB\n"
                             "store: {dir: ~/my docs}\n"
                             "embed:\n  dense_weight: 0.25\n  pooling: mean\n  query_prefix: ''\n"
                             "search:\nask:\n");
    CHECK_STR(str_of(c.server.listen), "[::1]:80");
    CHECK_INT(c.server.threads, 8);
    CHECK(c.server.insecure);
    CHECK_INT(c.server.max_upload_bytes, (int64_t)2 << 30);
    CHECK_STR(str_of(c.store.dir), "/home/ada/my docs");
    CHECK_NEAR(c.embed.dense_weight, 0.25, 0);
    CHECK_STR(str_of(c.embed.pooling), "mean");
    CHECK(c.embed.query_prefix && !*c.embed.query_prefix);
    config_deinit(&c);
    c = loaded("store:\n  dir: /x\n");
    CHECK_ERR(config_load_text(&c, STR("store:\n  dir: ~\n"), "b.yaml", NULL), OK);
    CHECK_STR(str_of(c.store.dir), "/home/ada/.local/share/carrel");
    config_deinit(&c);
}

TEST(config_unknown_keys_are_refused_with_place_and_nearest)
{
    check_refusal("\n\nservr:\n  listen: x\n",
                  "carrel.yaml: unknown key `servr` at line 3, column 1: did you mean `server`?");
    check_refusal("server:\n  thread: 3\n",
                  "carrel.yaml: unknown key `thread` at line 2, column 3: did you mean `threads`?");
    check_refusal("listen: x\n", "carrel.yaml: unknown key `listen` at line 1, column 1: it "
                                 "belongs under `server`");
    check_refusal("log:\n  quite_another: 1\n", "carrel.yaml: unknown key `quite_another` at line "
                                                "2, column 3: need one of level");
}

TEST(config_bad_values_are_refused_with_place_and_range)
{
    check_refusal("server:\n  threads: many\n",
                  "carrel.yaml: server.threads is `many` at line 2, column 12, need a whole number "
                  "from 1 to 256");
    check_refusal("search:\n  mode: both\n", "carrel.yaml: search.mode is `both` at line 2, column "
                                             "9, need hybrid, dense or words");
    const char *const bad[] = {
        "server: {threads: 0}",
        "server: {threads: 257}",
        "server: {threads: 1.5}",
        "server: {insecure: yes}",
        "server: {listen: ''}",
        "server: {max_upload_bytes: 5 parsecs}",
        "server: {max_upload_bytes: 9999999 TiB}",
        "server: {max_upload_bytes: -1}",
        "embed: {dense_weight: 1.01}",
        "embed: {dense_weight: -0.5}",
        "embed: {dense_weight: nan}",
        "embed: {dense_weight: 0x1}",
        "search: {mode: ''}",
        "embed: {pooling: max}",
        "server: {threads: [1]}",
        "server: {threads: {a: 1}}",
        "server: 3",
        "server: [threads]",
        "[]",
        "text",
        "server: {threads: 1, threads: 2}",
        "server: {}\nserver: {}",
        "? [a]\n: b",
        "server: {\"threads\\0\": 1}",
        "store: {dir: \"a\\0b\"}",
        "server: {[a]: 1}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        CHECK_MSG(strstr(refusal(bad[i]), "line "), "%s: %s", bad[i], refusal(bad[i]));
}

TEST(config_yaml_that_can_bite_is_refused)
{
    check_refusal("server: &a\n  threads: 1\n", "carrel.yaml: an anchor (&), which carrel does not "
                                                "take, at line 1, column 9");
    check_refusal("server:\n  threads: *a\n", "carrel.yaml: an alias (*), which carrel does not "
                                              "take, at line 2, column 12");
    check_refusal("server:\n  threads: !!int 1\n", "carrel.yaml: a tag (!), which carrel does not "
                                                   "take, at line 2, column 12");
    CHECK(strstr(refusal("%YAML 1.1\n---\n{}\n"), "directive"));
    CHECK(strstr(refusal("---\n{}\n---\n{}\n"), "second document at line 3"));
    CHECK(strstr(refusal("server:\n\tthreads: 1\n"), "line 2"));
    CHECK(strstr(refusal("log:\n  level: \xff\n"), "line 2, column 10"));
    CHECK(strstr(refusal("log:\n  level: \x01\n"), "line 2, column 10"));
    struct buf b = {0};
    for (int i = 0; i < 100000; i++)
        buf_char(&b, '[');
    CHECK(strstr(refusal(b.ptr), "line 1, column 1"));
    while (b.len <= CONFIG_BYTES_MAX)
        buf_puts(&b, "# long\n");
    struct config c = fresh();
    CHECK_ERR(config_load_text(&c, buf_view(&b), "big", NULL), ERR_LIMIT);
    config_deinit(&c);
    buf_free(&b);
}

TEST(config_files_with_nothing_in_them_change_nothing)
{
    const char *const empty[] = {"", "\n# only a comment\n", "---\n", "~", "{}", "--- {}\n...\n"};
    for (size_t i = 0; i < sizeof(empty) / sizeof(*empty); i++) {
        struct config c = loaded(empty[i]);
        CHECK_INT(c.server.threads, 4);
        config_deinit(&c);
    }
}

static const char *origin_of(const struct config *c, const char *name)
{
    static char found[100];
    struct buf b = {0};
    config_show(c, true, &b);
    struct str rest = buf_view(&b), line;
    found[0] = '\0';
    while (str_split(&rest, '\n', &line))
        if (str_starts(str_trim(line), str_of(name)))
            snprintf(found, sizeof(found), "%.*s",
                     STR_ARG(str_sub(line, str_find(line, STR("# "), 0) + 2, line.len)));
    buf_free(&b);
    return found;
}

TEST(config_later_sources_win_and_every_value_knows_its_origin)
{
    struct err err;
    struct config c = loaded("server:\n  listen: 127.0.0.1:1\n  threads: 5\n");
    char *const env[] = {"CARREL_SERVER_LISTEN=127.0.0.1:2",
                         "CARREL_DATA=/elsewhere",
                         "CARREL_SLOW=1",
                         "PATH=/bin",
                         "CARREL_ASK_TOP_K=9",
                         NULL};
    CHECK_OK(config_load_env(&c, env, &err), &err);
    CHECK_STR(str_of(c.server.listen), "127.0.0.1:2");
    CHECK_INT(c.ask.top_k, 9);
    CHECK_STR(str_of(origin_of(&c, "listen:")), "CARREL_SERVER_LISTEN");
    CHECK_STR(str_of(origin_of(&c, "threads:")), "carrel.yaml:3");
    CHECK_STR(str_of(origin_of(&c, "ef:")), "built-in");
    CHECK_OK(config_set(&c, "server.listen", "127.0.0.1:3", "--listen", &err), &err);
    CHECK_STR(str_of(c.server.listen), "127.0.0.1:3");
    CHECK_STR(str_of(origin_of(&c, "listen:")), "--listen");
    CHECK_ERR(config_set(&c, "server.threads", "x", "--threads", &err), ERR_ARG);
    CHECK_INT(c.server.threads, 5);
    CHECK_STR(str_of(origin_of(&c, "threads:")), "carrel.yaml:3");
    config_deinit(&c);
}

TEST(config_unknown_variables_and_names_are_refused)
{
    struct err err;
    struct config c = fresh();
    char *const env[] = {"CARREL_SERVER_LISTN=x", NULL}, *const bad[] = {"CARREL_LOG_LEVEL=loud",
                                                                         NULL};
    CHECK_ERR(config_load_env(&c, env, &err), ERR_ARG);
    CHECK_STR(str_of(err.msg),
              "unknown variable CARREL_SERVER_LISTN: did you mean CARREL_SERVER_LISTEN?");
    CHECK_ERR(config_load_env(&c, bad, &err), ERR_ARG);
    CHECK_STR(str_of(err.msg),
              "CARREL_LOG_LEVEL: log.level is `loud`, need error, warn, info or debug");
    CHECK_ERR(config_set(&c, "server.lisen", "x", "--x", &err), ERR_ARG);
    CHECK_STR(str_of(err.msg), "unknown setting `server.lisen`: did you mean `listen`?");
    CHECK_ERR(config_set(&c, "servr.listen", "x", "--x", &err), ERR_ARG);
    CHECK_STR(str_of(err.msg), "unknown setting `servr.listen`: did you mean `server`?");
    CHECK_ERR(config_set(&c, "", "x", "--x", &err), ERR_ARG);
    config_deinit(&c);
}

TEST(config_shown_is_read_back_as_the_same)
{
    struct err err;
    struct config a = fresh(), b = fresh();
    const char *const odd[] = {"~",
                               "null",
                               "true",
                               "a: b",
                               " lead",
                               "#x",
                               "\"q\" \\ \n\t\x01",
                               "- x",
                               "[::1]:7171",
                               "é\xe2\x80\xa8z",
                               "x:",
                               "12",
                               "search_query: "};
    for (size_t i = 0; i < sizeof(odd) / sizeof(*odd); i++) {
        struct buf first = {0}, again = {0};
        CHECK_OK(config_set(&a, "embed.query_prefix", odd[i], "--a\nb", &err), &err);
        CHECK_OK(config_set(&a, "embed.dense_weight", "0.3", "--w", &err), &err);
        config_show(&a, i % 2, &first);
        CHECK_OK(config_load_text(&b, buf_view(&first), "shown", &err), &err);
        CHECK_STR(str_of(b.embed.query_prefix), odd[i]);
        config_show(&b, false, &again);
        buf_reset(&first);
        config_show(&a, false, &first);
        CHECK_STR(buf_view(&again), first.ptr);
        buf_free(&first);
        buf_free(&again);
    }
    config_deinit(&a);
    config_deinit(&b);
}

/* ---- the list llm.remote */

#define REMOTE "llm:\n  remote:\n    - "

TEST(config_remotes_are_a_list_of_mappings)
{
    struct config c = loaded("llm:\n  order: remote\n  kv_memory: 2 GiB\n  temperature: 0.5\n"
                             "  remote:\n"
                             "    - name: big\n      url: https://a.example/v1\n"
                             "      model: llama-70b\n      key_file: ~/key\n"
                             "      timeout_ms: 5000\n      attempts: 1\n"
                             "    - {url: 'http://[::1]:8000/v1', model: small, name: ~}\n");
    const struct config_remote *r = c.llm.remotes.v;
    CHECK_INT(c.llm.remotes.n, 2);
    CHECK_STR(str_of(c.llm.order), "remote");
    CHECK_INT(c.llm.kv_memory, (int64_t)2 << 30);
    CHECK_NEAR(c.llm.temperature, 0.5, 0);
    CHECK_STR(str_of(r[0].name), "big");
    CHECK_STR(str_of(r[0].key_file), "/home/ada/key");
    CHECK_INT(r[0].timeout_ms, 5000);
    CHECK_INT(r[0].attempts, 1);
    CHECK(r[1].name == NULL && r[1].key_file == NULL);
    CHECK_STR(str_of(r[1].url), "http://[::1]:8000/v1");
    CHECK_INT(r[1].timeout_ms, 60000);
    CHECK_INT(r[1].attempts, 3);
    CHECK_STR(str_of(origin_of(&c, "remote:")), "carrel.yaml:6");
    CHECK_ERR(config_load_text(&c, STR("llm: {remote: []}"), "b.yaml", NULL), OK);
    CHECK_INT(c.llm.remotes.n, 0);
    config_deinit(&c);
}

TEST(config_remotes_with_faults_are_refused_with_place_and_reason)
{
    check_refusal(REMOTE "ulr: x\n",
                  "carrel.yaml: unknown key `ulr` at line 3, column 7: did you mean `url`?");
    check_refusal(REMOTE "colour: x\n", "carrel.yaml: unknown key `colour` at line 3, column 7: "
                                        "need one of name, url, model, key_file, timeout_ms, "
                                        "attempts");
    check_refusal(REMOTE "url: https://a.example\n",
                  "carrel.yaml: llm.remote: an entry without `model` at line 3, column 7");
    check_refusal(REMOTE "url: ftp://a.example\n      model: m\n",
                  "carrel.yaml: llm.remote: url is `ftp://a.example` at line 3, column 7, need "
                  "http:// or https://");
    check_refusal(REMOTE "timeout_ms: soon\n",
                  "carrel.yaml: llm.remote.timeout_ms is `soon` at line 3, column 19, need a whole "
                  "number from 100 to 3600000");
    check_refusal(REMOTE "url: [a]\n", "carrel.yaml: llm.remote.url is a list, need one value, at "
                                       "line 3, column 12");
    check_refusal(REMOTE "model: a\n      model: b\n",
                  "carrel.yaml: llm.remote.model a second time (first in line 3) at line 4, column "
                  "7");
    check_refusal(REMOTE "https://a.example\n", "carrel.yaml: llm.remote is a value, need a list "
                                                "of mappings, each with url and model, at line 3, "
                                                "column 7");
    check_refusal("llm:\n  remote: {url: x}\n", "carrel.yaml: llm.remote is a mapping, need a list "
                                                "of mappings, each with url and model, at line 2, "
                                                "column 11");
}

TEST(config_remotes_are_at_most_eight_and_no_name_is_there_twice)
{
    struct buf b = {0};
    buf_puts(&b, "llm:\n  remote:\n");
    for (int i = 0; i < 9; i++)
        buf_printf(&b, "    - {url: 'http://a.example', model: m, name: x%d}\n", i);
    CHECK(strstr(refusal(b.ptr), "more than 8 entries at line 11"));
    CHECK(strstr(refusal("llm:\n  remote:\n    - {url: 'http://a.example', model: m, name: x}\n"
                         "    - {url: 'http://b.example', model: m, name: x}\n"),
                 "a second entry named `x` at line 4"));
    buf_free(&b);
}

TEST(config_remotes_at_fault_leave_those_before)
{
    struct config c = loaded("llm: {remote: [{url: 'http://a.example', model: m}]}");
    CHECK(config_load_text(&c, STR("llm: {remote: [{url: 'http://b.example'}]}"), "b.yaml", NULL));
    CHECK_INT(c.llm.remotes.n, 1);
    CHECK_STR(str_of(c.llm.remotes.v[0].url), "http://a.example");
    config_deinit(&c);
}

TEST(config_remotes_come_from_a_file_only)
{
    struct err err;
    struct config c = fresh();
    char *const env[] = {"CARREL_LLM_REMOTE=[]", NULL};
    CHECK_ERR(config_load_env(&c, env, &err), ERR_ARG);
    CHECK_STR(str_of(err.msg), "CARREL_LLM_REMOTE: llm.remote is `[]`, need a list, which only a "
                               "configuration file can hold");
    CHECK_ERR(config_set(&c, "llm.remote", "x", "--x", &err), ERR_ARG);
    config_deinit(&c);
}

TEST(config_remotes_shown_are_read_back)
{
    struct err err;
    struct buf first = {0}, again = {0};
    struct config a = loaded("llm: {remote: [{url: 'http://a.example/ #', model: \"m\\n\\\"\", "
                             "name: 'x: y'}, {url: 'http://b.example', model: true, attempts: 2}]}"),
                  b = fresh();
    config_show(&a, true, &first);
    CHECK_OK(config_load_text(&b, buf_view(&first), "shown", &err), &err);
    CHECK_INT(b.llm.remotes.n, 2);
    CHECK_STR(str_of(b.llm.remotes.v[0].model), "m\n\"");
    buf_reset(&first);
    config_show(&a, false, &first);
    config_show(&b, false, &again);
    CHECK_STR(buf_view(&again), first.ptr);
    config_deinit(&a);
    config_deinit(&b);
    buf_free(&first);
    buf_free(&again);
}

TEST(config_temperature_is_never_less_than_nothing)
{
    check_refusal("llm: {temperature: -1}",
                  "carrel.yaml: llm.temperature is `-1` at line 1, column 20, need a number from 0 "
                  "to 2");
}

TEST(config_check_sees_what_single_settings_cannot)
{
    struct err err;
    struct config c = fresh();
    CHECK_OK(config_set(&c, "chunk.target_tokens", "500", "--x", &err), &err);
    CHECK_ERR(config_check(&c, &err), ERR_ARG);
    CHECK_STR(str_of(err.msg), "chunk.target_tokens is 500, need at most chunk.max_tokens (480)");
    CHECK_OK(config_set(&c, "chunk.target_tokens", "320", "--x", &err), &err);
    const char *const bad[] = {"localhost", "127.0.0.1:", ":80",  "h:65536",
                               "h:-1",      "::1:80",     "[]:1", "a b:1"};
    const char *const good[] = {"localhost:0", "[::1]:80", "0.0.0.0:65535"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        CHECK_OK(config_set(&c, "server.listen", bad[i], "--x", &err), &err);
        CHECK_MSG(config_check(&c, &err) == ERR_ARG, "%s", bad[i]);
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        CHECK_OK(config_set(&c, "server.listen", good[i], "--x", &err), &err);
        CHECK_OK(config_check(&c, &err), &err);
    }
    CHECK_OK(config_set(&c, "embed.model", "/no/such.gguf", "--model", &err), &err);
    CHECK_ERR(config_check(&c, &err), ERR_IO);
    CHECK_OK(config_set(&c, "embed.model", "", "--model", &err), &err);
    const struct str remote =
        STR("llm: {remote: [{url: 'http://a.example', model: m, key_file: /no/such.key}]}");
    CHECK_OK(config_load_text(&c, remote, "a.yaml", &err), &err);
    CHECK_ERR(config_check(&c, &err), ERR_IO);
    CHECK_STR(str_of(err.msg), "llm.remote: key_file /no/such.key: No such file or directory");
    config_deinit(&c);
}

TEST(config_load_finds_the_file_and_refuses_a_missing_one)
{
    struct err err;
    struct config c;
    struct buf path = {0}, env_xdg = {0};
    buf_printf(&path, "%s/carrel", scratch_dir());
    CHECK_OK(file_make_dirs(path.ptr, &err), &err);
    buf_puts(&path, "/carrel.yaml");
    CHECK_OK(file_write_atomic(path.ptr, STR("server: {threads: 7}\n"), &err), &err);
    buf_printf(&env_xdg, "XDG_CONFIG_HOME=%s", scratch_dir());
    char *const env[] = {env_xdg.ptr, "HOME=/home/ada", "CARREL_SEARCH_EF=99", NULL};
    CHECK_OK(config_load(&c, NULL, env, &err), &err);
    CHECK_INT(c.server.threads, 7);
    CHECK_INT(c.search.ef, 99);
    CHECK_STR(str_of(c.file), path.ptr);
    config_deinit(&c);
    CHECK_ERR(config_load(&c, "/no/such.yaml", env, &err), ERR_NOTFOUND);
    buf_free(&path);
    buf_free(&env_xdg);
}

/* carrel.yaml shows every setting with its built-in value: taking away the #
 * must change nothing, and none may be left out. */
TEST(config_sample_file_shows_every_setting_as_it_is_built_in)
{
    struct err err;
    struct buf file = {0}, live = {0}, want = {0}, got = {0};
    CHECK_OK(file_read("config/carrel.yaml", CONFIG_BYTES_MAX, &file, &err), &err);
    struct config c = loaded(file.ptr), built_in = fresh();
    struct str rest = buf_view(&file), line;
    int shown = 0;
    while (str_split(&rest, '\n', &line)) {
        bool setting = str_starts(line, STR("#  "));
        shown += setting;
        buf_str(&live, setting ? str_sub(line, 1, line.len) : line);
        buf_char(&live, '\n');
    }
    CHECK_INT(shown, n_settings);
    CHECK_OK(config_load_text(&c, buf_view(&live), "carrel.yaml", &err), &err);
    for (int i = 0; i < n_settings; i++)
        CHECK_MSG(c.origin[i], "%s.%s is not shown", settings[i].section, settings[i].key);
    config_show(&c, false, &got);
    config_show(&built_in, false, &want);
    CHECK_STR(buf_view(&got), want.ptr);
    config_deinit(&c);
    config_deinit(&built_in);
    buf_free(&file);
    buf_free(&live);
    buf_free(&want);
    buf_free(&got);
}

/* yaml-test-suite: its cases, and the files that hold them, as our input. */
TEST(config_survives_the_yaml_test_suite)
{
    const char *dir = data_path("hostile/yaml/src");
    DIR *d = opendir(dir);
    CHECK(d != NULL);
    int n = 0;
    for (struct dirent *e; (e = readdir(d));) {
        if (!strstr(e->d_name, ".yaml"))
            continue;
        char path[1024];
        snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
        struct buf file = {0}, yaml = {0};
        CHECK_OK(file_read(path, 1 << 20, &file, NULL), &(struct err){0});
        struct str rest = buf_view(&file), line;
        bool within = false;
        while (str_split(&rest, '\n', &line)) { /* the lines under "yaml: |", as they are */
            if (within && line.len > 0 && !str_starts(line, STR("    ")))
                within = false;
            if (within) {
                buf_str(&yaml, str_sub(line, 4, line.len));
                buf_char(&yaml, '\n');
            }
            if (str_find(line, STR("yaml: |"), 0) != SIZE_MAX)
                within = true;
        }
        for (int i = 0; i < 2; i++) {
            struct config c = fresh();
            struct err err = {0};
            struct str text = i ? buf_view(&yaml) : buf_view(&file);
            enum err_code rc = config_load_text(&c, text, e->d_name, &err);
            CHECK_MSG(rc == OK || strstr(err.msg, "line "), "%s: %s", e->d_name, err.msg);
            config_deinit(&c);
        }
        buf_free(&file);
        buf_free(&yaml);
        n++;
    }
    closedir(d);
    CHECK(n > 300);
}
