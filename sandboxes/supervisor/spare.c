/* Starting helpers. One waits for its request, so that no command waits for a fork of the supervisor. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "helpers.h"

static struct {
    pid_t pid;  /* 0: there is none */
    int socket;
} spare;

int is_spare(pid_t pid) { return spare.pid == pid; }

void note_spare_dead(pid_t pid)
{
    if (spare.pid != pid)
        return;
    close(spare.socket);
    spare.pid = 0;
}

/* In the helper: keep nothing of the supervisor's but what a request needs. */
static void become_helper(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    sigset_t none;
    for (size_t i = 0; i < HELPERS; i++) {
        if (helpers[i].used && helpers[i].socket >= 0)
            close(helpers[i].socket);
        free(helpers[i].queue);
    }
    close(signals);
    if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0)
        _exit(1);
    close(null);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* Returns where this helper waits for another request. */
static void serve_request(int own, uint32_t id, unsigned char *payload, size_t length)
{
    struct request request = {id, own, payload + 1, length - 1};
    if (payload[0] == ASK_RUN) {
        serve_command(&house, &request);
        return;
    }
    unwatch_children();
    dismiss_ready();
    serve_files(&house, (char)payload[0], &request);
}

/* In a spare helper: "u32 id, payload" comes as a message, until the supervisor needs this helper no more. */
static _Noreturn void await_requests(int own)
{
    static unsigned char order[4 + CHUNK + 1];
    for (;;) {
        ssize_t length;
        get_ready(&house);
        while ((length = recv(own, order, sizeof order - 1, 0)) < 0 && errno == EINTR)
            ;
        if (length <= 4)
            _exit(length ? 1 : 0);
        order[length] = 0;
        serve_request(own, get_u32(order), order + 4, (size_t)length - 4);
    }
}

/* Milliseconds until a spare helper is to be made: 0 is now, -1 not at all. One that serves a short request may be back
 * sooner than another is made, and the making would take the CPU from what is waited for. */
int spare_due(void)
{
    uint64_t now = milliseconds(), latest = 0;
    if (relieved || spare.pid)
        return -1;
    for (size_t i = 0; i < HELPERS; i++)
        if (helpers[i].used && !helpers[i].answered && helpers[i].began > latest)
            latest = helpers[i].began;
    return latest + STAYING_MS > now ? (int)(latest + STAYING_MS - now) : 0;
}

/* Take a helper that has answered for the spare one; 0 where it is not needed. */
int keep_spare(pid_t pid, int socket)
{
    if (relieved || spare.pid || !pid)
        return 0;
    spare.pid = pid;
    spare.socket = socket;
    return 1;
}

/* Where there is no process left for it, requests fork for themselves, and tell. */
void make_spare(void)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return;
    pid_t pid = fork();
    if (pid == 0) {
        close(pair[0]);
        become_helper();
        await_requests(pair[1]);
    }
    close(pair[1]);
    if (pid < 0)
        close(pair[0]);
    else {
        spare.pid = pid;
        spare.socket = pair[0];
    }
}

/* Give a request to the spare helper. Returns its process, or 0 where it cannot take it. */
static pid_t use_spare(uint32_t id, unsigned char *payload, size_t length, int *socket)
{
    unsigned char head[4];
    struct iovec parts[2] = {{head, sizeof head}, {payload, length}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    pid_t pid = spare.pid;
    put_u32(head, id);
    if (!pid || length > CHUNK || sendmsg(spare.socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
        return 0;
    *socket = spare.socket;
    spare.pid = 0;
    return pid;
}

static pid_t fork_helper(uint32_t id, unsigned char *payload, size_t length, int *socket)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        close(pair[0]);
        become_helper();
        serve_request(pair[1], id, payload, length);
        await_requests(pair[1]);
    }
    int error = errno;
    close(pair[1]);
    if (pid < 0)
        close(pair[0]);
    errno = error;
    *socket = pair[0];
    return pid;
}

/* Returns the helper's process, or -1 with errno. */
pid_t start_helper(uint32_t id, unsigned char *payload, size_t length, int *socket)
{
    pid_t pid = use_spare(id, payload, length, socket);
    return pid ? pid : fork_helper(id, payload, length, socket);
}
