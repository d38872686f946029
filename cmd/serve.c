/* cmd/serve.c - `carrel serve`: all rooms, and web in front of them. */
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "cmd/args.h"
#include "cmd/cmd.h"
#include "cmd/open.h"
#include "web/web.h"

/* Tell systemd (sd_notify(3)): one datagram to the socket that it names. */
static void notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof(to.sun_path))
        return;
    memcpy(to.sun_path, path, strlen(path));
    if (path[0] == '@')
        to.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    socklen_t n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&to, n) < 0)
        log_warn("serve.notify", "error=\"the service manager could not be told %s\"", state);
    close(fd);
}

static enum err_code start_web(struct rooms *r, struct web **out, struct err *err)
{
    const struct config *c = r->config;
    const struct web_options opt = {
        .listen = c->server.listen,
        .index = r->index,
        .embed = r->embed,
        .llm = r->llm,
        .ingest = r->ingest,
        .query = r->query,
        .threads = c->server.threads,
        .max_connections = c->server.max_connections,
        .max_upload_bytes = (size_t)c->server.max_upload_bytes,
        .insecure = c->server.insecure,
        .version = CARREL_VERSION,
    };
    return web_start(&opt, out, err);
}

/* The collection that everything goes to by default must fit the encoder: say
 * so now, not at the first upload. */
static enum err_code ready_collection(struct rooms *r, struct err *err)
{
    struct arena a = {0};
    struct collection made;
    enum err_code rc = ingest_collection(r->ingest, "default", true, &a, &made, err);
    arena_deinit(&a);
    return rc;
}

static void announce(const struct cmd *c, const struct rooms *r, const char *url, double begun_ms)
{
    char store[4200], encoder[128], generator[128];
    log_info("serve.ready", "url=%s store=%s encoder=%s generator=%s ms=%.0f", url,
             log_quote(r->config->store.dir, store, sizeof(store)),
             log_quote(embed_stamp(r->embed)->name, encoder, sizeof(encoder)),
             log_quote(llm_name(r->llm), generator, sizeof(generator)), clock_ms() - begun_ms);
    if (c->json)
        cmd_json(json_pack("{s:s}", "url", url));
    else
        printf("listening on %s\n", url);
    fflush(stdout);
    notify("READY=1");
}

/* The signals are blocked everywhere, so that this thread is the one that takes them. */
static void wait_for_end(const sigset_t *signals)
{
    int number;
    sigset_t interrupt;
    while (sigwait(signals, &number) != 0)
        continue;
    log_info("serve.stop", "signal=%d", number);
    notify("STOPPING=1");
    /* The next SIGINT ends the process at once: nothing is lost by it. */
    signal(SIGINT, SIG_DFL);
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    pthread_sigmask(SIG_UNBLOCK, &interrupt, NULL);
}

static int serve(const struct cmd *c, struct config **config, const sigset_t *signals)
{
    struct rooms rooms = {0};
    struct web *web = NULL;
    struct err err;
    double begun_ms = clock_ms();
    char dir[4200];
    snprintf(dir, sizeof(dir), "%s", (*config)->store.dir);
    enum err_code rc =
        rooms_open(config, WANT_INDEX | WANT_QUERY | WANT_LLM | WANT_INGEST | WANT_CREATE, &rooms,
                   &err);
    struct index_holder h = {0};
    if (rc == ERR_BUSY && index_holder(dir, &h, NULL) == OK && h.pid > 0)
        err_set(&err, rc, "process %ld holds the store in %s%s%s", h.pid, dir,
                *h.url ? " and serves it at " : "", h.url);
    if (!rc)
        rc = ready_collection(&rooms, &err);
    if (!rc)
        rc = start_web(&rooms, &web, &err);
    if (!rc)
        rc = index_publish(rooms.index, web_url(web), &err);
    if (!rc) {
        announce(c, &rooms, web_url(web), begun_ms);
        wait_for_end(signals);
    }
    if (web)
        web_stop(web);
    rooms_close(&rooms);
    return rc ? cmd_fail(c, rc, &err) : cmd_done(CMD_OK);
}

int cmd_serve(int argc, char **argv)
{
    struct cmd c = {0};
    const char *listen = NULL;
    bool insecure = false;
    const struct arg args[] = {
        {"listen", ARG_TEXT, &listen, "HOST:PORT", "where (127.0.0.1:7171); port 0 picks one", 0,
         0},
        {"data", ARG_TEXT, &c.data_dir, "DIR", "folder of the store", 0, 0},
        {"insecure", ARG_FLAG, &insecure, NULL, "serve other machines although there is no key", 0,
         0},
    };
    const struct args_usage u = {
        "serve",
        "",
        "Serve the web pages and the API until SIGINT or SIGTERM. Prints\n"
        "\"listening on http://...\" when ready. Other machines are served only once\n"
        "there is a key: `carrel key add NAME`.",
        args,
        3,
        true};
    int status, n = args_parse(&u, &c, argc, argv, &status);
    if (n < 0)
        return status;
    if (n > 0)
        return args_wrong(&u, &c, "serve takes no words, and there is \"%s\"", argv[0]);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    /* Large buffers go back to the system when freed: a server lives long, and
     * glibc would keep what its largest document needed. Measured after 30 MiB
     * of text: 173 MB against 254 MB. */
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
    struct err err;
    struct config *config = NULL;
    enum err_code rc = open_config(&c, &config, &err);
    if (!rc && listen)
        rc = config_set(config, "server.listen", listen, "--listen", &err);
    if (!rc && insecure)
        rc = config_set(config, "server.insecure", "true", "--insecure", &err);
    if (rc) {
        open_config_free(config);
        return cmd_exit_with(&c, CMD_USAGE, "%s", err.msg);
    }
    log_set_level(config_log_level(config));
    status = serve(&c, &config, &signals);
    open_config_free(config);
    return status;
}
