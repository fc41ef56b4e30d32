/* What a command is asked to be, and the process that becomes it. */
#ifndef ASSAY_START_H
#define ASSAY_START_H

#include "wire.h"

#define FLAG_STDIN 1u
#define FLAG_REPORT 2u

struct order {
    uint64_t microseconds;
    uint32_t limit, flags;
    const char *directory;
    char **arguments, **environment;
};

int read_order(const unsigned char *payload, size_t length, struct order *order);
void open_pipe(int ends[2]);
_Noreturn void start(const struct house *house, const struct order *order, int in, int out, int err, int report);
pid_t start_ready(const struct request *request, int out[2], int err[2]);

#endif
