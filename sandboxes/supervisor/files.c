/* Files and process lists: what the host asks for beside commands.
 *
 * The helper that serves it has the real and saved user 0 and only the effective user of the commands:
 * the kernel checks files as that user, while no command may signal, stop or trace the helper.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire.h"

#define FLAG_EXECUTABLE 1u

void answer_error(struct answer *answer, int error, const char *path)
{
    answer_text(answer, "!%d ", error);
    answer_add(answer, path, strlen(path) + 1);
    answer_end(answer);
    _exit(0);
}

static void act_as(uid_t user)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) { /* a walk down a deep tree holds a descriptor a level */
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    if (setgroups(0, NULL) < 0 || setresgid(0, user, 0) < 0 || setresuid(0, user, 0) < 0)
        _exit(1);
    umask(022);
}

/* Open a regular file; never wait for the other end of a FIFO, never touch a device. */
static int open_regular(struct answer *answer, const char *path, int flags, mode_t mode)
{
    struct stat state;
    int descriptor = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, mode);
    if (descriptor < 0)
        answer_error(answer, errno, path);
    if (fstat(descriptor, &state) < 0)
        answer_error(answer, errno, path);
    if (S_ISDIR(state.st_mode))
        answer_error(answer, EISDIR, path);
    if (!S_ISREG(state.st_mode))
        answer_error(answer, ENXIO, path);
    return descriptor;
}

static void read_file(struct answer *answer, struct fields *fields)
{
    static unsigned char data[65536];
    uint64_t limit = field_u64(fields);
    const char *path = field_text(fields);
    if (!fields->ok)
        _exit(1);
    int descriptor = open_regular(answer, path, O_RDONLY, 0);
    answer_add(answer, "+", 1);
    for (uint64_t sent = 0; sent <= limit;) { /* one byte more than the limit tells the host that there is more */
        size_t most = limit + 1 - sent < sizeof data ? (size_t)(limit + 1 - sent) : sizeof data;
        ssize_t length = read(descriptor, data, most);
        if (length < 0 && errno == EINTR)
            continue;
        if (length <= 0)
            break;
        answer_add(answer, data, (size_t)length);
        sent += (uint64_t)length;
    }
}

static void make_parents(struct answer *answer, const char *path)
{
    char *copy = strdup(path);
    if (!copy)
        _exit(1);
    for (char *slash = copy; (slash = strchr(slash + 1, '/'));) {
        *slash = 0;
        if (mkdir(copy, 0755) < 0 && errno != EEXIST && errno != EROFS && errno != EACCES)
            answer_error(answer, errno, copy);
        *slash = '/';
    }
    free(copy);
}

static void write_file(struct answer *answer, struct fields *fields)
{
    static unsigned char data[CHUNK];
    uint32_t flags = field_u32(fields);
    const char *path = field_text(fields);
    struct stat state;
    if (!fields->ok)
        _exit(1);
    make_parents(answer, path);
    int descriptor = open_regular(answer, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if ((flags & FLAG_EXECUTABLE) && fstat(descriptor, &state) == 0 && fchmod(descriptor, (state.st_mode & 0777) | 0111) < 0)
        answer_error(answer, errno, path);
    for (ssize_t length; (length = recv(answer->request->socket, data, sizeof data, 0)) != 0;) {
        if (length < 0 && errno != EINTR)
            _exit(1);
        for (ssize_t at = 0, wrote; at < length; at += wrote)
            if ((wrote = write(descriptor, data + at, (size_t)(length - at))) < 0)
                answer_error(answer, errno, path);
    }
    if (close(descriptor) < 0)
        answer_error(answer, errno, path);
    answer_add(answer, "+", 1);
}

void serve_files(const struct house *house, char asked, const struct request *request)
{
    static struct answer answer;
    struct fields fields = {request->payload, request->payload + request->length, 1};
    answer.request = request;
    if (asked == ASK_TUNNEL)
        serve_tunnel(house, request);
    act_as(asked == ASK_PUT ? house->keeper : house->user);
    switch (asked) {
    case ASK_READ:
        read_file(&answer, &fields);
        break;
    case ASK_WRITE:
        write_file(&answer, &fields);
        break;
    case ASK_LIST:
        list_tree(house, &answer, &fields);
        break;
    case ASK_GET:
        get_files(&answer, &fields);
        break;
    case ASK_PUT:
        put_files(house, &answer, field_text(&fields));
        break;
    case ASK_PROCESSES:
        list_processes(&answer);
        break;
    default:
        _exit(1);
    }
    answer_end(&answer);
    _exit(0);
}
