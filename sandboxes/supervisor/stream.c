/* A command's output: counted, digested, and kept within bounds, however much it is. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stream.h"

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

static void keep(struct stream *stream, const unsigned char *data, size_t length)
{
    stream->length += length;
    digest_add(&stream->digest, data, length);
    size_t take = stream->first_room - stream->first_used;
    take = length < take ? length : take;
    if (take) {
        stream->first = grow(stream->first, &stream->first_size, stream->first_used + take, stream->first_room);
        memcpy(stream->first + stream->first_used, data, take);
        stream->first_used += take;
    }
    data += take;
    length -= take;
    if (length > stream->last_room) {
        data += length - stream->last_room;
        length = stream->last_room;
    }
    if (!length)
        return;
    if (stream->last_used < stream->last_room) {
        /* not yet a ring: it begins at 0 and grows */
        size_t needed = stream->last_used + length;
        needed = needed < stream->last_room ? needed : stream->last_room;
        stream->last = grow(stream->last, &stream->last_size, needed, stream->last_room);
    }
    size_t straight = stream->last_room - stream->last_at;
    straight = length < straight ? length : straight;
    memcpy(stream->last + stream->last_at, data, straight);
    memcpy(stream->last, data + straight, length - straight);
    stream->last_at = (stream->last_at + length) % stream->last_room;
    stream->last_used += length;
    if (stream->last_used > stream->last_room)
        stream->last_used = stream->last_room;
}

/* Read what is there, at most once; close at the end of the stream. Returns the bytes read. */
size_t pump(struct stream *stream)
{
    static unsigned char data[65536];
    ssize_t length = read(stream->descriptor, data, sizeof data);
    if (length > 0) {
        keep(stream, data, (size_t)length);
        return (size_t)length;
    }
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    close(stream->descriptor);
    stream->descriptor = -1;
    return 0;
}

int open_stream(struct stream *stream, uint32_t limit, int wanted)
{
    memset(stream, 0, sizeof *stream);
    stream->descriptor = -1;
    stream->first_room = limit / 2;
    stream->last_room = limit - limit / 2;
    digest_begin(&stream->digest);
    int ends[2];
    if (!wanted)
        return -1;
    if (pipe2(ends, O_CLOEXEC) < 0)
        _exit(1);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    stream->descriptor = ends[0];
    return ends[1];
}

void answer_stream(struct answer *answer, struct stream *stream)
{
    unsigned char digest[32];
    digest_end(&stream->digest, digest);
    answer_u64(answer, stream->length);
    answer_u32(answer, (uint32_t)stream->first_used);
    answer_u32(answer, (uint32_t)stream->last_used);
    answer_add(answer, digest, sizeof digest);
    answer_add(answer, stream->first, stream->first_used);
    if (stream->last_used == stream->last_room && stream->last_room) {
        answer_add(answer, stream->last + stream->last_at, stream->last_room - stream->last_at);
        answer_add(answer, stream->last, stream->last_at);
    } else {
        answer_add(answer, stream->last, stream->last_used);
    }
}
