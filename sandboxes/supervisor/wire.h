/* What the supervisor and the host say to each other.
 *
 * One frame is { u32 id, u32 type, u32 length, payload }, little endian, in both directions. The host
 * chooses the id of a request; everything about that request carries it. Python's side of the same
 * format is sandboxes/frames.py.
 */
#ifndef ASSAY_WIRE_H
#define ASSAY_WIRE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define WIRE_VERSION 2
#define HEADER 12u
#define CHUNK 65536u          /* largest payload of a frame, OPEN excepted */
#define OPEN_MAX (8u << 20)   /* largest payload of OPEN: arguments and environment, or paths */
#define WINDOW (1u << 20)     /* bytes of a request's body that may be on their way without a CREDIT */

/* host to supervisor */
#define F_OPEN 1u   /* first byte: what is asked (ASK_...) */
#define F_DATA 2u   /* the next bytes of the request's body; from the supervisor: of the answer */
#define F_EOF 3u    /* the request's body is complete */
#define F_KILL 4u   /* end the request: kill its command's tree */
#define F_PING 5u
#define F_LEAVE 11u /* end the sandbox */

/* supervisor to host */
#define F_END 6u    /* last bytes of the answer */
#define F_FAILED 7u /* the helper died: u32 wait status, u32 errno (when it could not start), u32 out of memory */
#define F_CREDIT 8u /* u32: so many bytes of the body went on */
#define F_PONG 9u
#define F_HELLO 10u /* u32: WIRE_VERSION */

/* From a helper to the supervisor only: with F_END, this helper waits for another request. */
#define F_STAYS 0x100u
#define STAYING_MS 20 /* a helper whose command took longer ends with it: meanwhile another one waits in its place */

#define LISTINGS 2 /* roots of which the last listing is kept; the first one's directories are watched */
#define LIST_WATCHED 0x100u /* with a root's number: nobody was at work while the listing before was made */

#define EXIT_TREE_LIVES 99 /* a helper could not kill its command: the sandbox ends */

#define ASK_RUN 'R'
#define ASK_READ 'r'
#define ASK_WRITE 'w'
#define ASK_LIST 'l'
#define ASK_GET 'g'
#define ASK_PUT 'p'
#define ASK_PROCESSES 's'
#define ASK_TUNNEL 'T'

#define TUNNEL_USER 65534u /* serves connections of commands; no profile can name it as their user */

/* The running supervisor, as its helpers inherit it. */
struct house {
    uid_t user;           /* commands run as this user, and files are read and written as it */
    uid_t keeper;         /* trees are put as this user; another one than `user` where they are read-only */
    const char *const *places; /* writable file systems, NULL at the end: looked at for "disk full" */
    int oom_counter;      /* descriptor of the control group's file that counts kills, or -1 */
    int listings[LISTINGS]; /* descriptors of files in memory: what roots held when they were listed last */
    int events, watched;  /* the kernel's events about watched directories, or -1; which these are, in memory */
    int fine_stamps;      /* a change that follows a look at a file always shows in its stamp */
};

/* One request, in the helper process that serves it. */
struct request {
    uint32_t id;
    int socket; /* SOCK_SEQPACKET to the supervisor: body in, frames out */
    const unsigned char *payload; /* of OPEN, without its first byte; a NUL byte follows it */
    size_t length;
};

/* answer.c: the answer to a request, gathered into frames. */
struct answer {
    const struct request *request;
    size_t used;
    unsigned char frame[HEADER + CHUNK];
};
void answer_add(struct answer *answer, const void *data, size_t length);
void answer_text(struct answer *answer, const char *format, ...) __attribute__((format(printf, 2, 3)));
void answer_u32(struct answer *answer, uint32_t value);
void answer_u64(struct answer *answer, uint64_t value);
void answer_number(struct answer *answer, uint64_t value, unsigned base, char after);
void answer_flush(struct answer *answer); /* what is there goes out now, and more follows */
void answer_end(struct answer *answer);
void answer_end_staying(struct answer *answer);

/* Fields of a payload, in order; `ok` falls to 0 at the first that is not there. */
struct fields {
    const unsigned char *at, *end;
    int ok;
};
uint32_t field_u32(struct fields *fields);
uint64_t field_u64(struct fields *fields);
const char *field_text(struct fields *fields);

void put_header(unsigned char *frame, uint32_t id, uint32_t type, uint32_t length);
uint32_t get_u32(const unsigned char *at);
void put_u32(unsigned char *at, uint32_t value);
long read_oom_kills(int descriptor);

/* supervisor.c: say why, and end everything. */
_Noreturn void leave(const char *why);
/* beginning.c */
void give_up_privileges(void);
void make_home(struct house *house);
int open_oom_counter(void);
void open_listings(struct house *house);
/* command.c: returns where the helper waits for another request */
void serve_command(const struct house *house, const struct request *request);
void unwatch_children(void);
/* start.c: a process that waits to become a command */
void get_ready(const struct house *house);
void dismiss_ready(void);
/* kill.c: kill every process below `ancestor` (not itself); those for which `spare` is true stay, with
 * what is below them. Returns 0 when all are gone, -1 when some still live after `seconds`. */
int kill_below(pid_t ancestor, int (*spare)(pid_t), int seconds);
/* files.c */
_Noreturn void serve_files(const struct house *house, char asked, const struct request *request);
/* tree.c */
void list_tree(const struct house *house, struct answer *answer, struct fields *fields);
void get_files(struct answer *answer, struct fields *fields);
/* put.c */
void put_files(const struct house *house, struct answer *answer, const char *root);
/* tunnel.c */
_Noreturn void serve_tunnel(const struct house *house, const struct request *request);
/* processes.c */
void list_processes(struct answer *answer);
/* files.c, shared: an error about a path ends the answer and the helper. */
_Noreturn void answer_error(struct answer *answer, int error, const char *path);

/* digest.c: SHA-256, FIPS 180-4; with the CPU's own instructions where it has them. */
struct digest {
    uint32_t state[8];
    uint64_t length;
    unsigned char block[64];
};
void digest_begin(struct digest *digest);
void digest_add(struct digest *digest, const unsigned char *data, size_t length);
void digest_end(struct digest *digest, unsigned char out[32]);

#endif
