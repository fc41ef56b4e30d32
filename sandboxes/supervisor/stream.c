/* A command's output: counted, digested, and kept within bounds, however much it is. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "stream.h"

#define PIECE 8u /* what stands before bytes of a stream: u32 stream, u32 length */
#define FULL (CHUNK - PIECE)

/* Room that grows as it is needed: most commands print little. */
static unsigned char *grow(unsigned char *data, size_t *size, size_t needed, size_t most)
{
    if (needed <= *size)
        return data;
    size_t larger = *size ? *size * 2 : 4096;
    while (larger < needed)
        larger *= 2;
    larger = larger < most ? larger : most;
    data = realloc(data, larger);
    if (!data)
        _exit(1);
    *size = larger;
    return data;
}

/* What lies beyond the limit. */
static void keep_last(struct stream *stream, const unsigned char *data, size_t length)
{
    if (length > stream->ring_room) {
        data += length - stream->ring_room;
        length = stream->ring_room;
    }
    if (!length)
        return;
    if (stream->ring_used < stream->ring_room) {
        /* not yet a ring: it begins at 0 and grows */
        size_t needed = stream->ring_used + length;
        needed = needed < stream->ring_room ? needed : stream->ring_room;
        stream->ring = grow(stream->ring, &stream->ring_size, needed, stream->ring_room);
    }
    size_t straight = stream->ring_room - stream->ring_at;
    straight = length < straight ? length : straight;
    memcpy(stream->ring + stream->ring_at, data, straight);
    memcpy(stream->ring, data + straight, length - straight);
    stream->ring_at = (stream->ring_at + length) % stream->ring_room;
    stream->ring_used += length;
    if (stream->ring_used > stream->ring_room)
        stream->ring_used = stream->ring_room;
}

/* Send whole frames of what is held while the supervisor takes them without waiting: a command is never held up by
 * its host. */
static void send_held(const struct request *request, struct stream *stream)
{
    unsigned char head[HEADER + PIECE];
    size_t at = 0;
    put_header(head, request->id, F_DATA, CHUNK);
    put_u32(head + HEADER, stream->number);
    put_u32(head + HEADER + 4, FULL);
    for (; stream->held_used - at >= FULL; at += FULL) {
        struct iovec parts[2] = {{head, sizeof head}, {stream->held + at, FULL}};
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        if (sendmsg(request->socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
            break;
    }
    if (at) {
        stream->held_used -= at;
        stream->passed += at;
        memmove(stream->held, stream->held + at, stream->held_used);
    }
}

/* Where the next bytes are read to, and how many: straight behind what is held, so that they are not copied. */
static size_t find_room(struct stream *stream, unsigned char **at)
{
    static unsigned char beyond[65536];
    size_t left = stream->limit - stream->passed - stream->held_used;
    if (!left) {
        *at = beyond;
        return sizeof beyond;
    }
    size_t wanted = stream->held_used + (left < FULL ? left : FULL);
    stream->held = grow(stream->held, &stream->held_size, wanted, stream->limit);
    *at = stream->held + stream->held_used;
    return wanted - stream->held_used;
}

/* Read what is there, at most once; close at the end of the stream. Returns the bytes read. */
size_t pump(const struct request *request, struct stream *stream)
{
    unsigned char *at;
    size_t room = find_room(stream, &at);
    ssize_t length = read(stream->descriptor, at, room);
    if (length > 0) {
        stream->length += (uint64_t)length;
        digest_add(&stream->digest, at, (size_t)length);
        if (stream->passed + stream->held_used == stream->limit)
            keep_last(stream, at, (size_t)length);
        else
            stream->held_used += (size_t)length;
        send_held(request, stream);
        return (size_t)length;
    }
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    close(stream->descriptor);
    stream->descriptor = -1;
    return 0;
}

void open_stream(struct stream *stream, uint32_t number, uint32_t limit, int descriptor)
{
    memset(stream, 0, sizeof *stream);
    stream->descriptor = descriptor;
    stream->number = number;
    stream->limit = limit;
    stream->ring_room = limit - limit / 2;
    digest_begin(&stream->digest);
}

void close_stream(struct stream *stream)
{
    if (stream->descriptor >= 0)
        close(stream->descriptor);
    free(stream->held);
    free(stream->ring);
}

/* What the host does not have of the bytes within the limit. */
void answer_rest(struct answer *answer, struct stream *stream)
{
    if (!stream->held_used)
        return;
    answer_u32(answer, stream->number);
    answer_u32(answer, (uint32_t)stream->held_used);
    answer_add(answer, stream->held, stream->held_used);
}

void answer_stream(struct answer *answer, struct stream *stream)
{
    unsigned char digest[32];
    digest_end(&stream->digest, digest);
    answer_u64(answer, stream->length);
    answer_u32(answer, (uint32_t)stream->ring_used);
    answer_add(answer, digest, sizeof digest);
    if (stream->ring_used == stream->ring_room) {
        answer_add(answer, stream->ring + stream->ring_at, stream->ring_room - stream->ring_at);
        answer_add(answer, stream->ring, stream->ring_at);
    } else {
        answer_add(answer, stream->ring, stream->ring_used);
    }
}
