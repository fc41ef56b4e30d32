/* The first process of a sandbox: it starts commands, moves files, reaps, and passes frames.
 *
 *     supervisor USER KEEPER SECONDS PATIENCE [PLACE...]
 *
 * Frames (wire.h) come in on stdin and go out on stdout, which no command can reach: this process is not
 * dumpable, its descriptors are closed on exec, and commands run as another user without capabilities.
 * Every request is served by a helper, a fork of this process; here are only the table of helpers and the
 * passing of frames, so that no request holds up another. It ends when the host closes stdin, has said nothing
 * for PATIENCE seconds, or after SECONDS, and with it, as process 1, everything in the container.
 *
 * Where it is not process 1, its sandbox has lost its host, and it was started beside the first one to carry
 * the files out: it kills what still runs, and serves another host in the same way.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "helpers.h"

#define ORPHAN_SECONDS 8

struct helper helpers[HELPERS];

struct house house;
int signals;
int relieved; /* another one serves the sandbox from now on, and waits until no process is left here */
static time_t end_of_life; /* on the clock that runs on while the machine sleeps */
time_t heard;
static time_t patience; /* seconds for which the host need not speak */

_Noreturn void leave(const char *why)
{
    dprintf(2, "assay: supervisor ends: %s\n", why);
    _exit(1);
}

time_t seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec;
}

uint64_t milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

static void watch_signals(void)
{
    sigset_t watched;
    sigfillset(&watched);
    sigprocmask(SIG_BLOCK, &watched, NULL);
    sigemptyset(&watched);
    sigaddset(&watched, SIGCHLD);
    sigaddset(&watched, SIGTERM);
    sigaddset(&watched, SIGUSR1);
    signals = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0)
        leave("cannot watch its children");
}

static struct helper *free_place(void)
{
    for (size_t i = 0; i < HELPERS; i++)
        if (!helpers[i].used)
            return helpers + i;
    return NULL;
}

static struct helper *find_helper(uint32_t id)
{
    for (size_t i = 0; i < HELPERS; i++)
        if (helpers[i].used && helpers[i].id == id)
            return helpers + i;
    return NULL;
}

static int is_helper(pid_t pid)
{
    if (is_spare(pid))
        return 1;
    for (size_t i = 0; i < HELPERS; i++)
        if (helpers[i].used && helpers[i].pid == pid)
            return 1;
    return 0;
}

static void open_request(uint32_t id, unsigned char *payload, size_t length)
{
    struct helper *helper = free_place();
    int socket;
    if (!helper || find_helper(id) || !length)
        leave("the host asks for what cannot be");
    long oom_kills = read_oom_kills(house.oom_counter);
    pid_t pid = start_helper(id, payload, length, &socket);
    if (pid < 0) {
        send_failed(id, 0, (uint32_t)errno, 0);
        return;
    }
    *helper = (struct helper){
        .pid = pid, .socket = socket, .used = 1, .id = id, .oom_kills = oom_kills, .began = milliseconds()};
}

static void release_queue(struct helper *helper)
{
    free(helper->queue);
    helper->queue = NULL;
    helper->at = helper->queued = 0;
}

/* Hand on as much of the body as the helper takes without waiting. */
static void feed_helper(struct helper *helper)
{
    while (helper->socket >= 0 && helper->at < helper->queued) {
        size_t left = helper->queued - helper->at, take = left < CHUNK ? left : CHUNK;
        ssize_t sent = send(helper->socket, helper->queue + helper->at, take, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS || errno == ENOMEM))
            break;
        if (sent < 0) { /* it takes no more: what is left goes nowhere */
            helper->credit += (uint32_t)left;
            helper->at = helper->queued;
            break;
        }
        helper->at += (size_t)sent;
        helper->credit += (uint32_t)sent;
    }
    if (helper->at == helper->queued) {
        release_queue(helper);
        if (helper->complete && helper->socket >= 0)
            shutdown(helper->socket, SHUT_WR);
    }
    if (helper->credit >= WINDOW / 4 && !helper->answered) {
        unsigned char credit[4];
        put_u32(credit, helper->credit);
        send_frame(helper->id, F_CREDIT, credit, sizeof credit);
        helper->credit = 0;
    }
}

/* The queue is twice as long as what may be in it, so that moving it to the front is seldom. */
static void queue_body(struct helper *helper, const unsigned char *data, size_t length)
{
    if (helper->queued - helper->at + length > WINDOW)
        leave("the host sends more than was agreed");
    if (!length)
        return;
    if (!helper->queue && !(helper->queue = malloc(2 * WINDOW)))
        leave("no memory");
    if (helper->queued + length > 2 * WINDOW) {
        memmove(helper->queue, helper->queue + helper->at, helper->queued - helper->at);
        helper->queued -= helper->at;
        helper->at = 0;
    }
    memcpy(helper->queue + helper->queued, data, length);
    helper->queued += length;
}

static void take_frame(uint32_t id, uint32_t type, unsigned char *payload, size_t length)
{
    struct helper *helper = find_helper(id);
    switch (type) {
    case F_OPEN:
        open_request(id, payload, length);
        break;
    case F_DATA:
    case F_EOF: /* for a request that is over already they mean nothing */
        if (!helper)
            break;
        queue_body(helper, payload, length);
        helper->complete = type == F_EOF;
        helper->fed = 1;
        feed_helper(helper);
        break;
    case F_KILL:
        if (helper && helper->pid) {
            helper->killed = 1;
            kill(helper->pid, SIGTERM);
        }
        break;
    case F_PING:
        send_frame(id, F_PONG, "", 0);
        break;
    case F_LEAVE:
        _exit(0);
    default:
        leave("the host sends what is no frame");
    }
}

static void take_frames(void)
{
    size_t at = 0;
    while (incoming.used - at >= HEADER) {
        unsigned char *frame = incoming.data + at;
        uint32_t type = get_u32(frame + 4), size = get_u32(frame + 8);
        if (size > (type == F_OPEN ? OPEN_MAX : CHUNK))
            leave("the host sends too long a frame");
        if (incoming.used - at < HEADER + size || (type == F_OPEN && !free_place()))
            break;
        unsigned char *end = frame + HEADER + size, after = *end;
        *end = 0;
        take_frame(get_u32(frame), type, frame + HEADER, size);
        *end = after;
        at += HEADER + size;
    }
    if (at) {
        memmove(incoming.data, incoming.data + at, incoming.used - at);
        incoming.used -= at;
    }
}

static void pass_answer(struct helper *helper)
{
    static unsigned char frame[HEADER + CHUNK];
    ssize_t length;
    /* A helper that ends without having read its body resets the connection: that is told first, and once; what it
     * had sent is read after. */
    do
        length = recv(helper->socket, frame, sizeof frame, MSG_DONTWAIT);
    while (length < 0 && errno == ECONNRESET);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0) {
        close(helper->socket);
        helper->socket = -1;
        return;
    }
    uint32_t type = get_u32(frame + 4);
    if (type == (F_END | F_STAYS))
        put_u32(frame + 4, F_END);
    pass_frames(frame, (size_t)length);
    helper->answered |= (type & ~F_STAYS) == F_END;
    /* What it was sent of a body, or a signal, may still lie before it: then it cannot have another request. */
    if (type == (F_END | F_STAYS) && !helper->fed && !helper->killed && keep_spare(helper->pid, helper->socket)) {
        release_queue(helper);
        helper->used = 0;
    } else if (type == (F_END | F_STAYS)) {
        close(helper->socket);
        helper->socket = -1;
    }
}

static void reap(void)
{
    struct signalfd_siginfo information;
    int status;
    while (read(signals, &information, sizeof information) == (ssize_t)sizeof information)
        if (information.ssi_signo == SIGTERM)
            leave("asked to");
        else if (information.ssi_signo == SIGUSR1)
            relieved = 1;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        note_spare_dead(pid);
        for (size_t i = 0; i < HELPERS; i++)
            if (helpers[i].used && helpers[i].pid == pid) {
                helpers[i].pid = 0;
                helpers[i].status = status;
            }
    }
}

/* A helper that is reaped and read to its end. One that died without an answer has left its command's
 * processes to process 1, which has no other children than helpers: what else is there is killed. */
static void finish(struct helper *helper)
{
    if (!helper->answered) {
        if (WIFEXITED(helper->status) && WEXITSTATUS(helper->status) == EXIT_TREE_LIVES)
            leave("a command cannot be killed");
        helper->used = 0;
        if (kill_below(1, is_helper, ORPHAN_SECONDS) < 0)
            leave("what a command left cannot be killed");
        send_failed(helper->id, (uint32_t)helper->status, 0, read_oom_kills(house.oom_counter) > helper->oom_kills);
    }
    release_queue(helper);
    helper->used = 0;
}

/* Milliseconds until the sandbox has lived as long as it may, some hours at most. */
static int time_left(void)
{
    time_t life = end_of_life - seconds(CLOCK_BOOTTIME), silence = heard + patience - seconds(CLOCK_MONOTONIC);
    if (life <= 0)
        leave("its time is over");
    if (silence <= 0)
        leave("its host has said nothing for too long");
    time_t left = life < silence ? life : silence;
    return left > 10000 ? 10000000 : (int)left * 1000;
}

static void serve(void)
{
    for (;;) {
        struct pollfd polls[2 + HELPERS] = {
            {.fd = free_place() ? 0 : -1, .events = POLLIN},
            {.fd = signals, .events = POLLIN},
        };
        for (size_t i = 0; i < HELPERS; i++) {
            struct helper *helper = helpers + i;
            polls[2 + i].fd = helper->used ? helper->socket : -1;
            polls[2 + i].events = (short)(POLLIN | (helper->at < helper->queued ? POLLOUT : 0));
        }
        int left = time_left(), due = spare_due();
        if (poll(polls, 2 + HELPERS, due >= 0 && due < left ? due : left) < 0 && errno != EINTR)
            leave("cannot wait");
        if (polls[1].revents)
            reap();
        for (size_t i = 0; i < HELPERS; i++) {
            struct helper *helper = helpers + i;
            if (!helper->used || polls[2 + i].fd != helper->socket)
                continue;
            if (polls[2 + i].revents & POLLOUT)
                feed_helper(helper);
            if (polls[2 + i].revents & (POLLIN | POLLHUP | POLLERR))
                pass_answer(helper);
            if (helper->socket < 0 && !helper->pid)
                finish(helper);
        }
        if (polls[0].revents)
            read_host();
        take_frames();
        if (spare_due() == 0)
            make_spare();
    }
}

int main(int count, char **arguments)
{
    unsigned char version[4];
    if (count < 5)
        leave("usage: supervisor USER KEEPER SECONDS PATIENCE [PLACE...]");
    house.user = (uid_t)strtoul(arguments[1], NULL, 10);
    house.keeper = (uid_t)strtoul(arguments[2], NULL, 10);
    end_of_life = seconds(CLOCK_BOOTTIME) + strtol(arguments[3], NULL, 10);
    patience = strtol(arguments[4], NULL, 10);
    heard = seconds(CLOCK_MONOTONIC);
    house.places = (const char *const *)arguments + 5;
    if (!house.user || !house.keeper || getuid() != 0)
        leave("commands must not be root, and the supervisor must");
    for (int descriptor = 3; descriptor < 1024; descriptor++)
        close(descriptor);
    /* Descriptor 3 stays taken, so that only a report can ever be it. */
    if (open("/dev/null", O_RDONLY | O_CLOEXEC) != 3)
        leave("no /dev/null");
    give_up_privileges();
    house.oom_counter = open_oom_counter();
    open_listings(&house);
    make_home(&house);
    if (getpid() != 1 && (kill(1, SIGUSR1) < 0 || kill_below(1, NULL, ORPHAN_SECONDS) < 0))
        leave("what runs cannot be killed");
    watch_signals();
    put_u32(version, WIRE_VERSION);
    send_frame(0, F_HELLO, version, sizeof version);
    serve();
}
