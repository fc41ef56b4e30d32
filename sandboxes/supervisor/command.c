/* One command: started as the unprivileged user, its output counted, digested and kept within bounds,
 * its time limited, and its whole tree dead before the answer goes out. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "start.h"
#include "stream.h"

#define KILL_SECONDS 8
#define DRAIN_MAX (4u << 20) /* what can still be in a pipe whose writers are dead, generously */
#define STREAMS 3 /* stdout, stderr, report */

enum ending { EXITED = 0, SIGNALLED = 1, TIMED_OUT = 2, OUT_OF_MEMORY = 3, KILLED = 4, NOT_STARTED = 5 };

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

/* The command's stdin: what came from the host and the command has not taken yet. */
struct feed {
    int from, to;
    int open; /* whether the host may still send */
    size_t at, used;
    unsigned char data[CHUNK];
};

static void feed_receive(struct feed *feed)
{
    ssize_t length = recv(feed->from, feed->data, sizeof feed->data, MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    feed->at = 0;
    feed->used = length > 0 ? (size_t)length : 0;
    if (length <= 0)
        feed->open = 0;
    if (feed->to < 0)
        feed->used = 0; /* nobody reads it; what comes is dropped so that nobody waits */
}

static void feed_write(struct feed *feed)
{
    ssize_t length = write(feed->to, feed->data + feed->at, feed->used - feed->at);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    feed->at += length > 0 ? (size_t)length : 0;
    if (length <= 0) {
        feed->at = feed->used;
        close(feed->to);
        feed->to = -1;
    }
}

static int places_full(const struct house *house)
{
    for (const char *const *place = house->places; *place; place++) {
        struct statvfs state;
        if (statvfs(*place, &state) == 0 && ((state.f_blocks && !state.f_bavail) || (state.f_files && !state.f_ffree)))
            return 1;
    }
    return 0;
}

struct spent {
    uint64_t time, cpu; /* microseconds */
};

static void answer_result(struct answer *answer, const struct house *house, enum ending ending, uint32_t code,
                          const struct spent *spent, struct stream streams[STREAMS])
{
    for (int i = 0; i < STREAMS; i++)
        answer_rest(answer, streams + i);
    answer_u32(answer, STREAMS);
    answer_u32(answer, ending);
    answer_u32(answer, code);
    answer_u32(answer, (uint32_t)places_full(house));
    answer_u64(answer, spent->time);
    answer_u64(answer, spent->cpu);
    for (int i = 0; i < STREAMS; i++)
        answer_stream(answer, streams + i);
}

/* CPU time of all that is dead below this helper, microseconds. */
static uint64_t cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000u +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

struct watch {
    pid_t main;
    int status, over; /* over: the main process is dead */
    int killed, late; /* asked to end; out of time */
    int signals;
    uint64_t deadline;
};

/* What serves no command is ended by SIGTERM itself, also by one that is here already: a helper whose request was killed
 * gets no other, so it is this request's. */
void unwatch_children(void)
{
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int watch_children(void)
{
    static int signals = -1;
    sigset_t watched;
    if (signals >= 0)
        return signals;
    sigemptyset(&watched);
    sigaddset(&watched, SIGCHLD);
    sigaddset(&watched, SIGTERM);
    sigprocmask(SIG_BLOCK, &watched, NULL);
    return signals = signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void read_signals(struct watch *watch)
{
    struct signalfd_siginfo information;
    while (read(watch->signals, &information, sizeof information) == (ssize_t)sizeof information)
        if (information.ssi_signo == SIGTERM)
            watch->killed = 1;
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        if (pid == watch->main) {
            watch->status = status;
            watch->over = 1;
        }
}

static void follow(struct watch *watch, const struct request *request, struct feed *feed,
                   struct stream streams[STREAMS])
{
    while (!watch->over && !watch->killed && !watch->late) {
        struct pollfd polls[3 + STREAMS] = {
            {.fd = watch->signals, .events = POLLIN},
            {.fd = feed->open && feed->at == feed->used ? feed->from : -1, .events = POLLIN},
            {.fd = feed->at < feed->used ? feed->to : -1, .events = POLLOUT},
        };
        for (int i = 0; i < STREAMS; i++)
            polls[3 + i] = (struct pollfd){.fd = streams[i].descriptor, .events = POLLIN};
        uint64_t now = now_us(), left = watch->deadline > now ? watch->deadline - now : 0;
        poll(polls, 3 + STREAMS, left > 60000000u ? 60000 : (int)((left + 999) / 1000));
        if (polls[1].revents)
            feed_receive(feed);
        if (polls[2].revents)
            feed_write(feed);
        if (!feed->open && feed->at == feed->used && feed->to >= 0) {
            close(feed->to);
            feed->to = -1;
        }
        for (int i = 0; i < STREAMS; i++)
            if (polls[3 + i].revents)
                pump(request, streams + i);
        if (polls[0].revents)
            read_signals(watch);
        watch->late = !watch->over && now_us() >= watch->deadline;
    }
}

/* Nothing of the command lives after this. A tree that does not die takes the sandbox with it. */
static void end_tree(struct watch *watch)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
        if (pid == watch->main && !watch->over) {
            watch->status = status;
            watch->over = 1;
        }
    if (pid == 0) {
        if (kill_below(getpid(), NULL, KILL_SECONDS) < 0)
            _exit(EXIT_TREE_LIVES);
        while ((pid = waitpid(-1, &status, 0)) > 0 || (pid < 0 && errno == EINTR))
            if (pid == watch->main)
                watch->status = status;
    }
}

static enum ending judge(const struct watch *watch, uint32_t *code, int oom)
{
    *code = 0;
    if (watch->killed)
        return KILLED;
    if (oom)
        return OUT_OF_MEMORY;
    if (watch->late)
        return TIMED_OUT;
    *code = WIFSIGNALED(watch->status) ? (uint32_t)WTERMSIG(watch->status) : (uint32_t)WEXITSTATUS(watch->status);
    return WIFSIGNALED(watch->status) ? SIGNALLED : EXITED;
}

/* Start the command, in the process that is ready for it where it needs no more than that. */
static void start_command(const struct house *house, const struct request *request, const struct order *order,
                          struct watch *watch, struct stream streams[STREAMS], struct feed *feed)
{
    int in[2] = {-1, -1}, out[2], err[2], report[2] = {-1, -1};
    open_stream(streams + 2, 2, order->limit, -1);
    if (!(order->flags & (FLAG_STDIN | FLAG_REPORT)) && (watch->main = start_ready(request, out, err)) > 0) {
        open_stream(streams, 0, order->limit, out[0]);
        open_stream(streams + 1, 1, order->limit, err[0]);
        return;
    }
    dismiss_ready();
    open_pipe(out);
    open_pipe(err);
    if (order->flags & FLAG_REPORT)
        open_pipe(report);
    in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (order->flags & FLAG_STDIN) {
        close(in[0]);
        if (pipe2(in, O_CLOEXEC) < 0)
            _exit(1);
        fcntl(in[1], F_SETFL, O_NONBLOCK);
    }
    *feed = (struct feed){.from = request->socket, .to = in[1], .open = (order->flags & FLAG_STDIN) != 0};
    open_stream(streams, 0, order->limit, out[0]);
    open_stream(streams + 1, 1, order->limit, err[0]);
    open_stream(streams + 2, 2, order->limit, report[0]);
    watch->main = fork();
    if (watch->main == 0)
        start(house, order, in[0], out[1], err[1], report[1]);
    int error = errno;
    close(in[0]);
    close(out[1]);
    close(err[1]);
    if (report[1] >= 0)
        close(report[1]);
    errno = error;
}

/* Answer, and say whether this helper waits for another request: one whose command was short, took no input, and left
 * nothing behind. */
static void answer_and_stay(struct answer *answer, const struct order *order, const struct watch *watch, uint64_t time,
                            struct stream streams[STREAMS])
{
    if (time >= STAYING_MS * 1000u || watch->killed || watch->late || (order->flags & FLAG_STDIN)) {
        answer_end(answer);
        _exit(0);
    }
    answer_end_staying(answer);
    for (int i = 0; i < STREAMS; i++)
        close_stream(streams + i);
    free(order->arguments);
    free(order->environment);
}

void serve_command(const struct house *house, const struct request *request)
{
    static struct answer answer;
    static struct order order;
    static struct stream streams[STREAMS];
    static struct feed feed;
    feed.from = feed.to = -1;
    feed.open = 0;
    feed.at = feed.used = 0;
    answer.request = request;
    if (read_order(request->payload, request->length, &order) < 0)
        _exit(1);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    struct watch watch = {.signals = watch_children()};
    long kills = read_oom_kills(house->oom_counter);
    uint64_t began = now_us(), cpu = cpu_us();
    watch.deadline = began + order.microseconds;
    start_command(house, request, &order, &watch, streams, &feed);
    if (watch.main < 0) {
        answer_result(&answer, house, NOT_STARTED, (uint32_t)errno, &(struct spent){0}, streams);
        answer_end(&answer);
        _exit(0);
    }
    follow(&watch, request, &feed, streams);
    end_tree(&watch);
    struct spent spent = {now_us() - began, cpu_us() - cpu};
    for (int i = 0; i < STREAMS; i++)
        for (size_t read = 0, more = 1; streams[i].descriptor >= 0 && more && read < DRAIN_MAX; read += more)
            more = pump(request, streams + i);
    uint32_t code;
    enum ending ending = judge(&watch, &code, read_oom_kills(house->oom_counter) > kills);
    answer_result(&answer, house, ending, code, &spent, streams);
    answer_and_stay(&answer, &order, &watch, spent.time, streams);
}
