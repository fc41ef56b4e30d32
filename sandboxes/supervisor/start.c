/* The process that becomes a command. One is kept ready by the helper that waits, so that no command waits for a fork. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "start.h"

#define EXIT_NOT_FOUND 127 /* as a shell answers */
#define EXIT_NOT_STARTED 126
#define REPORT 3

extern char **environ;

static char **read_texts(struct fields *fields, uint32_t count)
{
    if (count > (size_t)(fields->end - fields->at)) {
        fields->ok = 0;
        return NULL;
    }
    char **texts = calloc(count + 1, sizeof *texts);
    if (!texts)
        _exit(1);
    for (uint32_t i = 0; i < count; i++)
        texts[i] = (char *)(uintptr_t)field_text(fields);
    return texts;
}

int read_order(const unsigned char *payload, size_t length, struct order *order)
{
    struct fields fields = {payload, payload + length, 1};
    order->microseconds = field_u64(&fields);
    order->limit = field_u32(&fields);
    order->flags = field_u32(&fields);
    uint32_t arguments = field_u32(&fields), variables = field_u32(&fields);
    order->directory = field_text(&fields);
    order->arguments = fields.ok ? read_texts(&fields, arguments) : NULL;
    order->environment = fields.ok ? read_texts(&fields, variables) : NULL;
    return fields.ok && arguments ? 0 : -1;
}

static _Noreturn void refuse(const char *what, const char *which)
{
    dprintf(2, "assay: cannot %s '%s': %s\n", what, which, strerror(errno));
    _exit(errno == ENOENT && *what == 'r' ? EXIT_NOT_FOUND : EXIT_NOT_STARTED);
}

static void become_user(const struct house *house)
{
    int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (score >= 0) { /* the kernel takes a command before it takes the supervisor */
        (void)!write(score, "1000", 4);
        close(score);
    }
    if (setgroups(0, NULL) < 0 || setresgid(house->user, house->user, house->user) < 0 ||
        setresuid(house->user, house->user, house->user) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        _exit(EXIT_NOT_STARTED);
}

/* A session of its own, every signal as it is by default, and the ends of its streams. */
static void take_place(int in, int out, int err, int report)
{
    sigset_t none;
    sigemptyset(&none);
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0 || (report >= 0 && dup2(report, REPORT) < 0))
        _exit(EXIT_NOT_STARTED);
}

static _Noreturn void become_command(const struct house *house, const struct order *order)
{
    become_user(house);
    umask(022);
    if (chdir(order->directory) < 0)
        refuse("enter", order->directory);
    environ = order->environment;
    execvp(order->arguments[0], order->arguments);
    refuse("run", order->arguments[0]);
}

_Noreturn void start(const struct house *house, const struct order *order, int in, int out, int err, int report)
{
    take_place(in, out, err, report);
    become_command(house, order);
}

void open_pipe(int ends[2])
{
    if (pipe2(ends, O_CLOEXEC) < 0)
        _exit(1);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
}

/* The child of a waiting helper that waits for its order: "u32 length, payload". */
static struct {
    pid_t pid; /* 0: there is none */
    int out[2], err[2], order[2];
} ready;

static int read_all(int from, void *into, size_t length)
{
    unsigned char *at = into;
    while (length) {
        ssize_t got = read(from, at, length);
        if (got <= 0)
            return -1;
        at += got;
        length -= (size_t)got;
    }
    return 0;
}

static _Noreturn void await_order(const struct house *house)
{
    static unsigned char size[4], payload[CHUNK + 1];
    static struct order order;
    close(ready.order[1]); /* else it would never hear that its helper is gone */
    int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    take_place(null, ready.out[1], ready.err[1], -1);
    if (read_all(ready.order[0], size, sizeof size) < 0 || get_u32(size) > CHUNK ||
        read_all(ready.order[0], payload, get_u32(size)) < 0 || read_order(payload, get_u32(size), &order) < 0)
        _exit(EXIT_NOT_STARTED);
    become_command(house, &order);
}

/* Before the request is known: most are for commands without input. */
void get_ready(const struct house *house)
{
    open_pipe(ready.out);
    open_pipe(ready.err);
    if (pipe2(ready.order, O_CLOEXEC) < 0)
        _exit(1);
    ready.pid = fork();
    if (ready.pid == 0)
        await_order(house);
    close(ready.out[1]);
    close(ready.err[1]);
    close(ready.order[0]);
    if (ready.pid < 0) { /* it is tried again for each request: nothing of this one may stay */
        ready.pid = 0;
        close(ready.out[0]);
        close(ready.err[0]);
        close(ready.order[1]);
    }
}

/* It ends as it hears that no order comes. */
void dismiss_ready(void)
{
    if (!ready.pid)
        return;
    close(ready.order[1]);
    close(ready.out[0]);
    close(ready.err[0]);
    while (waitpid(ready.pid, NULL, 0) < 0 && errno == EINTR)
        ;
    ready.pid = 0;
}

/* Give the waiting child its order. Returns its process, or 0 where there is none or it does not listen. */
pid_t start_ready(const struct request *request, int out[2], int err[2])
{
    unsigned char size[4];
    if (!ready.pid || request->length > CHUNK)
        return 0;
    put_u32(size, (uint32_t)request->length);
    struct iovec parts[2] = {{size, sizeof size}, {(void *)(uintptr_t)request->payload, request->length}};
    if (writev(ready.order[1], parts, 2) != (ssize_t)(sizeof size + request->length))
        return 0;
    close(ready.order[1]);
    memcpy(out, ready.out, sizeof ready.out);
    memcpy(err, ready.err, sizeof ready.err);
    return ready.pid;
}
