/* One stream of a command, bounded. */
#ifndef ASSAY_STREAM_H
#define ASSAY_STREAM_H

#include "wire.h"

/* Up to the limit, output goes to the host while the command runs; what is not yet sent is held. Of what comes
 * after, the last half-limit bytes are kept in a ring. The digest is of all. */
struct stream {
    int descriptor;
    uint32_t number;
    uint64_t length;
    size_t limit, passed; /* passed: bytes within the limit that were sent */
    unsigned char *held, *ring;
    size_t held_used, held_size, ring_at, ring_used, ring_size, ring_room;
    struct digest digest;
};

void open_stream(struct stream *stream, uint32_t number, uint32_t limit, int descriptor);
size_t pump(const struct request *request, struct stream *stream);
void close_stream(struct stream *stream);
void answer_rest(struct answer *answer, struct stream *stream);
void answer_stream(struct answer *answer, struct stream *stream);

#endif
