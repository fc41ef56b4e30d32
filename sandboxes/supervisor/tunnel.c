/* The way out of a sandbox that has one: connections to 127.0.0.1 in it, carried to the host over the channel.
 *
 * One helper serves all of them. It runs as a user of its own, without any capability: commands may connect to it, and
 * can do nothing else to it. What the host makes of a connection is the host's business; here are only bytes. The body
 * of the request and its answer are streams of frames { u32 connection, u32 kind, u32 length, payload }; Python's side
 * of the same format is sandboxes/egress/tunnel.py. Each connection has a window in each direction, so that one which
 * nobody reads holds up no other, and this process is bounded.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "wire.h"

#define TUNNEL_WINDOW 131072u /* bytes of a connection on their way without a credit, in each direction */
#define CONNECTIONS 512u
#define BACKLOG 1024
#define PART (CHUNK - HEADER)
#define END_SECONDS 5 /* how long a command may take to see that its connection has ended */

#define T_LISTENING 1u /* to the host */
#define T_OPENED 2u    /* to the host */
#define T_DATA 3u      /* both ways */
#define T_CREDIT 4u    /* both ways: u32, so many bytes went on */
#define T_CLOSED 5u    /* to the host: the command has closed it */
#define T_END 6u       /* to the sandbox: no more comes; what is on its way is delivered, then it ends */

struct connection {
    int descriptor; /* -1: this place is free */
    uint32_t id;
    uint32_t window;      /* bytes that the host takes now */
    unsigned char *queue; /* from the host, not yet taken by the command */
    uint32_t at, queued, taken;
    int ending;   /* the host has sent its last byte */
    time_t until; /* when it is cut off; 0 before everything is delivered */
};

struct tunnel {
    struct answer answer;
    struct connection list[CONNECTIONS];
    uint32_t most, open, last_id;
    int listener;
    unsigned char incoming[2 * CHUNK]; /* from the host, not yet a whole frame */
    size_t used;
};

static struct tunnel tunnel;

static time_t now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

static void become(uid_t user)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    /* With all three users changed, the kernel takes every capability; to be dumpable would open it to its user. */
    if (setgroups(0, NULL) < 0 || setresgid(user, user, user) < 0 || setresuid(user, user, user) < 0 ||
        prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || chdir("/") < 0)
        _exit(1);
}

static int listen_on(uint32_t port)
{
    int yes = 1;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, BACKLOG) < 0)
        answer_error(&tunnel.answer, errno, "127.0.0.1");
    return listener;
}

static void say(uint32_t id, uint32_t kind, const void *payload, uint32_t length)
{
    answer_u32(&tunnel.answer, id);
    answer_u32(&tunnel.answer, kind);
    answer_u32(&tunnel.answer, length);
    answer_add(&tunnel.answer, payload, length);
}

static void say_credit(struct connection *connection)
{
    unsigned char count[4];
    put_u32(count, connection->taken);
    say(connection->id, T_CREDIT, count, sizeof count);
    connection->taken = 0;
}

static void drop(struct connection *connection)
{
    close(connection->descriptor);
    free(connection->queue);
    say(connection->id, T_CLOSED, "", 0);
    *connection = (struct connection){.descriptor = -1};
    tunnel.open--;
}

static void accept_one(void)
{
    int yes = 1, descriptor = accept4(tunnel.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0)
        return;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    struct connection *connection = tunnel.list;
    while (connection->descriptor >= 0)
        connection++;
    *connection = (struct connection){.descriptor = descriptor, .id = ++tunnel.last_id, .window = TUNNEL_WINDOW};
    tunnel.open++;
    say(connection->id, T_OPENED, "", 0);
}

/* From the command to the host, as far as the host takes it. */
static void take_in(struct connection *connection)
{
    static unsigned char data[PART];
    size_t most = connection->ending || connection->window > sizeof data ? sizeof data : connection->window;
    ssize_t length = recv(connection->descriptor, data, most, 0);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0) {
        drop(connection);
        return;
    }
    if (connection->ending)
        return; /* nobody wants it any more */
    connection->window -= (uint32_t)length;
    say(connection->id, T_DATA, data, (uint32_t)length);
}

/* From the host to the command, as far as the command takes it. */
static void hand_on(struct connection *connection)
{
    while (connection->at < connection->queued) {
        ssize_t sent = send(connection->descriptor, connection->queue + connection->at,
                            connection->queued - connection->at, MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (sent < 0) {
            drop(connection);
            return;
        }
        connection->at += (uint32_t)sent;
        connection->taken += (uint32_t)sent;
    }
    if (connection->at == connection->queued) {
        free(connection->queue);
        connection->queue = NULL;
        connection->at = connection->queued = 0;
        if (connection->ending && !connection->until) {
            shutdown(connection->descriptor, SHUT_WR);
            connection->until = now_seconds() + END_SECONDS;
        }
    }
    if (connection->taken >= TUNNEL_WINDOW / 4)
        say_credit(connection);
}

static void queue_data(struct connection *connection, const unsigned char *data, uint32_t length)
{
    if (connection->queued - connection->at + length > TUNNEL_WINDOW || connection->ending)
        _exit(1); /* more than was agreed: what is there is not the host that we know */
    if (!connection->queue && !(connection->queue = malloc(TUNNEL_WINDOW)))
        _exit(1);
    if (connection->queued + length > TUNNEL_WINDOW) {
        memmove(connection->queue, connection->queue + connection->at, connection->queued - connection->at);
        connection->queued -= connection->at;
        connection->at = 0;
    }
    memcpy(connection->queue + connection->queued, data, length);
    connection->queued += length;
}

/* Straight to the command where nothing waits before it, and what it does not take into the queue. */
static void take_data(struct connection *connection, const unsigned char *data, uint32_t length)
{
    ssize_t sent = connection->queued ? 0 : send(connection->descriptor, data, length, MSG_NOSIGNAL);
    if (sent > 0)
        connection->taken += (uint32_t)sent;
    else
        sent = 0; /* what is wrong shows when it is tried again */
    if ((uint32_t)sent < length)
        queue_data(connection, data + sent, length - (uint32_t)sent);
    hand_on(connection);
}

static void take_part(uint32_t id, uint32_t kind, const unsigned char *payload, uint32_t length)
{
    struct connection *connection = tunnel.list;
    while (connection < tunnel.list + tunnel.most && (connection->descriptor < 0 || connection->id != id))
        connection++;
    if (connection == tunnel.list + tunnel.most)
        return; /* it has ended here meanwhile */
    if (kind == T_CREDIT && length == 4) {
        connection->window += get_u32(payload);
    } else if (kind == T_DATA) {
        take_data(connection, payload, length);
    } else if (kind == T_END) {
        connection->ending = 1;
        hand_on(connection);
        if (connection->descriptor >= 0 && !connection->until) /* a command that reads nothing is not waited for */
            connection->until = now_seconds() + 2 * END_SECONDS;
    } else {
        _exit(1);
    }
}

static void read_parts(const struct request *request)
{
    ssize_t length = recv(request->socket, tunnel.incoming + tunnel.used, sizeof tunnel.incoming - tunnel.used, 0);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0)
        _exit(0);
    tunnel.used += (size_t)length;
    size_t at = 0;
    while (tunnel.used - at >= HEADER) {
        const unsigned char *part = tunnel.incoming + at;
        uint32_t size = get_u32(part + 8);
        if (size > PART)
            _exit(1);
        if (tunnel.used - at < HEADER + size)
            break;
        take_part(get_u32(part), get_u32(part + 4), part + HEADER, size);
        at += HEADER + size;
    }
    memmove(tunnel.incoming, tunnel.incoming + at, tunnel.used - at);
    tunnel.used -= at;
}

static void attend(struct connection *connection, short events, time_t now)
{
    if (events & POLLOUT)
        hand_on(connection);
    if (connection->descriptor >= 0 && events & (POLLIN | POLLHUP | POLLERR))
        take_in(connection);
    if (connection->descriptor >= 0 && connection->until && now >= connection->until)
        drop(connection);
}

static short wanted(const struct connection *connection)
{
    int in = connection->window > 0 || connection->ending, out = connection->at < connection->queued;
    return (short)((in ? POLLIN : 0) | (out ? POLLOUT : 0));
}

void serve_tunnel(const struct house *house, const struct request *request)
{
    static struct pollfd polls[2 + CONNECTIONS];
    struct fields fields = {request->payload, request->payload + request->length, 1};
    uint32_t port = field_u32(&fields);
    tunnel.answer.request = request;
    tunnel.most = field_u32(&fields);
    if (!fields.ok || !tunnel.most || tunnel.most > CONNECTIONS || house->user == TUNNEL_USER)
        _exit(1);
    become(TUNNEL_USER);
    tunnel.listener = listen_on(port);
    for (uint32_t i = 0; i < CONNECTIONS; i++)
        tunnel.list[i].descriptor = -1;
    say(0, T_LISTENING, "", 0);
    for (;;) {
        answer_flush(&tunnel.answer);
        polls[0] = (struct pollfd){.fd = request->socket, .events = POLLIN};
        polls[1] = (struct pollfd){.fd = tunnel.open < tunnel.most ? tunnel.listener : -1, .events = POLLIN};
        for (uint32_t i = 0; i < tunnel.most; i++)
            polls[2 + i] = (struct pollfd){.fd = tunnel.list[i].descriptor, .events = wanted(tunnel.list + i)};
        if (poll(polls, 2 + tunnel.most, 1000) < 0 && errno != EINTR)
            _exit(1);
        time_t now = now_seconds();
        for (uint32_t i = 0; i < tunnel.most; i++)
            if (polls[2 + i].fd >= 0)
                attend(tunnel.list + i, polls[2 + i].revents, now);
        if (polls[0].revents)
            read_parts(request);
        if (polls[1].revents)
            accept_one();
    }
}
