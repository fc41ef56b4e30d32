/* The stream to and from the host: stdin and stdout. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "helpers.h"

void send_frame(uint32_t id, uint32_t type, const void *payload, uint32_t length)
{
    unsigned char frame[HEADER + 16];
    put_header(frame, id, type, length);
    memcpy(frame + HEADER, payload, length);
    if (write(1, frame, HEADER + length) != (ssize_t)(HEADER + length))
        leave("the host does not listen");
}

void send_failed(uint32_t id, uint32_t status, uint32_t error, uint32_t oom)
{
    unsigned char payload[12];
    put_u32(payload, status);
    put_u32(payload + 4, error);
    put_u32(payload + 8, oom);
    send_frame(id, F_FAILED, payload, sizeof payload);
}

/* Where much passes, a larger pipe to the engine wakes fewer processes. Not before: what all pipes of a user hold together
 * is limited, and most sandboxes never need it. */
static void widen(int pipe, int *done, size_t length)
{
    if (*done || length < CHUNK / 2)
        return;
    *done = 1;
    fcntl(pipe, F_SETPIPE_SZ, 4 * CHUNK); /* an engine that gives no pipe gives what it gives */
}

struct incoming incoming;

void read_host(void)
{
    static int widened;
    if (incoming.room - incoming.used < HEADER + CHUNK) {
        incoming.room = incoming.used + HEADER + CHUNK;
        incoming.data = realloc(incoming.data, incoming.room);
        if (!incoming.data)
            leave("no memory");
    }
    size_t most = incoming.room - incoming.used - 1; /* one byte stays free: it is written to behind a payload */
    ssize_t length = read(0, incoming.data + incoming.used, most);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (length <= 0)
        _exit(0); /* the host is gone or has closed the sandbox */
    incoming.used += (size_t)length;
    widen(0, &widened, (size_t)length);
    heard = seconds(CLOCK_MONOTONIC);
}

void pass_frames(const unsigned char *frames, size_t length)
{
    static int widened;
    widen(1, &widened, length);
    for (size_t at = 0; at < length;) {
        ssize_t wrote = write(1, frames + at, length - at);
        if (wrote < 0)
            leave("the host does not listen");
        at += (size_t)wrote;
    }
}
