/* model/mat.c - packed matrices: their memory, and the split of products. */
#include "model/mat.h"
#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "base/cpu.h"
#include "model/mat_input.h"

#define HUGE_PAGE ((size_t)2 << 20)
#define K_MAX (1 << 24)
#define JOB_PANELS 4       /* at least: kernels take up to four together */
#define JOBS_MAX 1024      /* and one a task */

struct mat {
    const struct mat_kind *kind;
    int n, k, n_panels;
    size_t panel_bytes;
    uint8_t *panels;
    bool stored;               /* panels are a store's */
};

struct mat_store {
    uint8_t *bytes;
    size_t size, used;
};

static const struct mat_kind *kind_of(enum tensor_type type)
{
    if (type == mat_kind_fixed.type)
        return &mat_kind_fixed;
    for (int i = 0; i < mat_n_kinds_float; i++)
        if (mat_kinds_float[i].type == type)
            return &mat_kinds_float[i];
    for (int i = 0; i < mat_n_kinds_block; i++)
        if (mat_kinds_block[i].type == type)
            return &mat_kinds_block[i];
    return NULL;
}

size_t mat_bytes(enum tensor_type type, int64_t n, int64_t k)
{
    const struct mat_kind *kind = kind_of(type);
    if (!kind || n < 1 || n > INT_MAX - MAT_LANES || k < 1 || k > K_MAX || k % tensor_block(type))
        return 0;
    return (size_t)((n + MAT_LANES - 1) / MAT_LANES) * kind->panel_bytes((int)k);
}

/* Large ones on large pages, where the system has them: decoding then rarely
 * waits for an address. */
static uint8_t *take_memory(size_t bytes)
{
    bool large = bytes >= 2 * HUGE_PAGE;
    size_t unit = large ? HUGE_PAGE : 64;
    uint8_t *p = aligned_alloc(unit, (bytes + unit - 1) / unit * unit);
    if (p && large)
        madvise(p, bytes, MADV_HUGEPAGE);
    return p;
}

enum err_code mat_store_new(size_t bytes, struct mat_store **out, struct err *err)
{
    struct mat_store *s = malloc(sizeof(*s));
    uint8_t *memory = take_memory(bytes);
    *out = NULL;
    if (!s || !memory) {
        free(s);
        free(memory);
        return err_set(err, ERR_NOMEM, "%zu bytes of weights", bytes);
    }
    *s = (struct mat_store){memory, bytes, 0};
    *out = s;
    return OK;
}

void mat_store_free(struct mat_store *s)
{
    if (s)
        free(s->bytes);
    free(s);
}

/* NULL: there is no room, or no store. */
static uint8_t *take_stored(struct mat_store *s, size_t bytes)
{
    size_t whole = (bytes + 63) / 64 * 64;
    if (!s || whole > s->size - s->used)
        return NULL;
    s->used += whole;
    return s->bytes + s->used - whole;
}

struct packing {
    const struct mat *w;
    const uint8_t *rows;
    size_t row_bytes;
};

static void pack_panel(void *arg, int i)
{
    const struct packing *p = arg;
    const uint8_t *src[MAT_LANES];
    for (int lane = 0; lane < MAT_LANES; lane++) {
        int row = i * MAT_LANES + lane;
        src[lane] = row < p->w->n ? p->rows + (size_t)row * p->row_bytes : NULL;
    }
    p->w->kind->pack(src, p->w->k, p->w->panels + (size_t)i * p->w->panel_bytes);
}

enum err_code mat_pack(struct team *team, const struct tensor *t, int64_t row0, int n,
                       struct mat **out, struct err *err)
{
    return mat_pack_in(NULL, team, t, row0, n, out, err);
}

enum err_code mat_pack_in(struct mat_store *store, struct team *team, const struct tensor *t,
                          int64_t row0, int n, struct mat **out, struct err *err)
{
    int64_t k = t->ne[0], rows = t->ne[1] * t->ne[2] * t->ne[3];
    size_t bytes = mat_bytes(t->type, n, k);
    *out = NULL;
    if (!bytes)
        return err_set(err, ERR_FORMAT, "%.*s: no kernel for %d rows of %lld in %s",
                       STR_ARG(t->name), n, (long long)k, tensor_type_name(t->type));
    if (row0 < 0 || row0 > rows - n)
        return err_set(err, ERR_FORMAT, "%.*s: rows %lld to %lld of %lld", STR_ARG(t->name),
                       (long long)row0, (long long)(row0 + n), (long long)rows);
    struct mat *w = malloc(sizeof(*w));
    uint8_t *panels = w ? take_stored(store, bytes) : NULL;
    bool stored = panels != NULL;
    if (w && !stored)
        panels = take_memory(bytes);
    if (!panels) {
        free(w);
        return err_set(err, ERR_NOMEM, "%.*s: %zu bytes", STR_ARG(t->name), bytes);
    }
    const struct mat_kind *kind = kind_of(t->type);
    *w = (struct mat){kind, n, (int)k, (n + MAT_LANES - 1) / MAT_LANES, kind->panel_bytes((int)k),
                      panels, stored};
    struct packing p = {w, t->data, tensor_row_bytes(t->type, k)};
    p.rows += (size_t)row0 * p.row_bytes;
    parallel_for(team, w->n_panels, pack_panel, &p);
    *out = w;
    return OK;
}

void mat_free(struct mat *w)
{
    if (w && !w->stored)
        free(w->panels);
    free(w);
}

int mat_n(const struct mat *w)
{
    return w->n;
}

int mat_k(const struct mat *w)
{
    return w->k;
}

enum tensor_type mat_type(const struct mat *w)
{
    return w->kind->type;
}

size_t mat_size_bytes(const struct mat *w)
{
    return (size_t)w->n_panels * w->panel_bytes;
}

void mat_row(const struct mat *w, int row, float *out)
{
    assert(row >= 0 && row < w->n);
    w->kind->row(w->panels + (size_t)(row / MAT_LANES) * w->panel_bytes, row % MAT_LANES, w->k, out);
}

/* A loop over runs of panels of several matrices. Runs get shorter towards the
 * end: few of them (each begins with a wait for memory), and no thread is left
 * long with the last. */
struct run {
    int task, first, panels;
};
struct product {
    const struct mat_task *tasks;
    const struct mat_x *x;
    int n;
    struct run runs[JOBS_MAX + MAT_TASKS_MAX];
};

static void multiply(void *arg, int i)
{
    const struct product *p = arg;
    const struct run *run = &p->runs[i];
    const struct mat_task *t = &p->tasks[run->task];
    const struct mat *w = t->w;
    int first = MAT_LANES * run->first, columns = w->n - first;
    struct mat_job job = {
        .panels = w->panels + (size_t)run->first * w->panel_bytes,
        .panel_bytes = w->panel_bytes,
        .n_panels = run->panels,
        .columns = columns < MAT_LANES * run->panels ? columns : MAT_LANES * run->panels,
        .x = p->x,
        .bias = t->bias ? t->bias + first : NULL,
        .y = t->y + first,
        .ldy = t->ldy,
    };
    w->kind->mul(&job);
}

/* `left` panels are left of `all`. One thread takes whole matrices. */
static int run_panels(int left, int all, int threads)
{
    if (threads == 1)
        return all;
    int share = left / (2 * threads), least = all / JOBS_MAX + 1;
    share = share < least ? least : share;
    return (share + JOB_PANELS - 1) / JOB_PANELS * JOB_PANELS;
}

static void cut_runs(struct product *p, int n_tasks, int all, int threads)
{
    int left = all;
    for (int i = 0; i < n_tasks; i++) {
        int panels = p->tasks[i].w->n_panels;
        for (int first = 0; first < panels;) {
            int n = run_panels(left, all, threads);
            n = n < panels - first ? n : panels - first;
            p->runs[p->n++] = (struct run){i, first, n};
            first += n;
            left -= n;
        }
    }
}

void mat_mul(struct team *team, struct mat_input *x, const struct mat_task *tasks, int n_tasks)
{
    assert(n_tasks >= 0 && n_tasks <= MAT_TASKS_MAX);
    struct product p;
    p.tasks = tasks;
    p.x = mat_input_x(x);
    p.n = 0;
    int all = 0;
    for (int i = 0; i < n_tasks; i++) {
        assert(tasks[i].w->k == p.x->k);
        mat_input_need(x, team, tasks[i].w->kind->form(), tasks[i].w->kind->fix);
        all += tasks[i].w->n_panels;
    }
    cut_runs(&p, n_tasks, all, team_size(team));
    if (p.x->m > 0)
        parallel_for(team, p.n, multiply, &p);
}

const char *mat_kernels(void)
{
    const struct cpu *c = cpu_get();
    if (c->avx512)
        return c->vnni ? c->bf16 ? "avx512 vnni bf16" : "avx512 vnni" : c->bf16 ? "avx512 bf16" : "avx512";
    return c->avxvnni ? "avx2 vnni" : c->avx2 ? "avx2" : "plain";
}
