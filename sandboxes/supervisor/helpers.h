/* The supervisor's own: its helpers, and its host. */
#ifndef ASSAY_HELPERS_H
#define ASSAY_HELPERS_H

#include <time.h>

#include "wire.h"

/* Requests at a time. The host keeps to fewer, counted by answers; a helper that has answered still has to be
 * reaped, and while there is no place, the host's next requests wait in its stream. */
#define HELPERS 96

struct helper {
    pid_t pid;  /* 0 once it is reaped */
    int socket; /* -1 once the helper has closed its end */
    int used, answered, status;
    int fed; /* something of a body went to it */
    int killed; /* a signal for its request is on its way to it, and may come after its answer */
    uint64_t began; /* milliseconds, as `milliseconds` tells */
    uint32_t id;
    long oom_kills;
    unsigned char *queue; /* the request's body that the helper has not taken yet */
    size_t at, queued;
    uint32_t credit;
    int complete; /* the host has sent all of the body */
};

/* supervisor.c */
extern struct helper helpers[HELPERS];
extern struct house house;
extern int signals;
extern int relieved; /* another one serves the sandbox from now on, and waits until no process is left here */

extern time_t heard; /* when the host last spoke, on the clock that stands still while the machine sleeps */
time_t seconds(clockid_t clock);
uint64_t milliseconds(void);

/* spare.c */
int is_spare(pid_t pid);
void note_spare_dead(pid_t pid);
int spare_due(void);
void make_spare(void);
int keep_spare(pid_t pid, int socket);
pid_t start_helper(uint32_t id, unsigned char *payload, size_t length, int *socket);

/* host.c: what has come from the host and is not taken yet, and what goes to it */
struct incoming {
    unsigned char *data;
    size_t used, room;
};
extern struct incoming incoming;
void read_host(void);
void send_frame(uint32_t id, uint32_t type, const void *payload, uint32_t length);
void send_failed(uint32_t id, uint32_t status, uint32_t error, uint32_t oom);
void pass_frames(const unsigned char *frames, size_t length);

#endif
