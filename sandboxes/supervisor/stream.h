/* One stream of a command, bounded. */
#ifndef ASSAY_STREAM_H
#define ASSAY_STREAM_H

#include "wire.h"

/* Its first half-limit bytes, its last half-limit bytes in a ring, and the digest of all. */
struct stream {
    int descriptor;
    size_t first_room, last_room;
    unsigned char *first, *last;
    size_t first_used, first_size, last_at, last_used, last_size;
    uint64_t length;
    struct digest digest;
};

int open_stream(struct stream *stream, uint32_t limit, int wanted);
size_t pump(struct stream *stream);
void answer_stream(struct answer *answer, struct stream *stream);

#endif
