/* Trees on their way in. The same care as in tree.c: no link is followed, whoever puts one there meanwhile. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tree.h"

/* The body of a put, as it comes in. */
struct body {
    int socket;
    size_t at, used;
    unsigned char data[CHUNK];
};

static void body_more(struct body *body)
{
    ssize_t length;
    while ((length = recv(body->socket, body->data, sizeof body->data, 0)) < 0 && errno == EINTR)
        ;
    if (length <= 0)
        _exit(1); /* the host gave up in the middle */
    body->at = 0;
    body->used = (size_t)length;
}

static void body_take(struct body *body, void *into, size_t length)
{
    unsigned char *out = into;
    while (length) {
        if (body->at == body->used)
            body_more(body);
        size_t take = body->used - body->at < length ? body->used - body->at : length;
        memcpy(out, body->data + body->at, take);
        body->at += take;
        out += take;
        length -= take;
    }
}

static uint32_t body_u32(struct body *body)
{
    unsigned char data[4];
    body_take(body, data, sizeof data);
    return get_u32(data);
}

static void body_text(struct body *body, char text[PATH_ROOM])
{
    uint32_t length = body_u32(body);
    if (length >= PATH_ROOM)
        _exit(1);
    body_take(body, text, length);
    text[length] = 0;
}

static int remove_all(int parent, const char *name);

/* Empty a directory; `spare` may name an entry that stays. Closes the descriptor. */
static int remove_entries(int directory, const char *spare)
{
    DIR *entries = fdopendir(directory);
    if (!entries)
        return -1;
    int failed = 0;
    for (struct dirent *entry; !failed && (entry = readdir(entries));)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") && (!spare || strcmp(entry->d_name, spare)))
            failed = remove_all(directory, entry->d_name);
    int error = errno;
    closedir(entries);
    errno = error;
    return failed;
}

/* Remove whatever is there, whatever permissions its directories have. */
static int remove_all(int parent, const char *name)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -1;
    for (int attempt = 0; attempt < 3; attempt++) { /* a listing may miss entries while others go */
        fchmodat(parent, name, 0700, 0);
        int directory = open_directory(parent, name);
        if (directory < 0 || remove_entries(directory, NULL) < 0)
            return -1;
        if (unlinkat(parent, name, AT_REMOVEDIR) == 0)
            return 0;
    }
    return -1;
}

static void put_regular(struct answer *answer, struct body *body, int parent, const char *name, const char *path)
{
    mode_t mode = body_u32(body) & 0111 ? 0755 : 0644;
    uint64_t left = body_u32(body);
    left |= (uint64_t)body_u32(body) << 32;
    struct stat state;
    int descriptor = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (descriptor < 0)
        answer_error(answer, errno, path);
    while (left) {
        if (body->at == body->used)
            body_more(body);
        size_t take = body->used - body->at < left ? body->used - body->at : (size_t)left;
        ssize_t wrote = write(descriptor, body->data + body->at, take);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            answer_error(answer, errno, path);
        body->at += (size_t)wrote;
        left -= (uint64_t)wrote;
    }
    if (fstat(descriptor, &state) < 0)
        answer_error(answer, errno, path);
    close(descriptor);
    answer_entry(answer, &state, path);
}

static void put_link(struct answer *answer, struct body *body, int parent, const char *name, const char *path)
{
    static char target[PATH_ROOM];
    struct stat state;
    body_text(body, target);
    if (symlinkat(target, parent, name) < 0 || fstatat(parent, name, &state, AT_SYMLINK_NOFOLLOW) < 0)
        answer_error(answer, errno, path);
    answer_entry(answer, &state, path);
}

void put_files(const struct house *house, struct answer *answer, const char *root)
{
    static struct place place;
    static struct body body;
    static char path[PATH_ROOM];
    body.socket = answer->request->socket;
    place.root = open_root(answer, root, 1);
    place.directory = -1;
    for (;;) {
        char what;
        const char *name;
        body_take(&body, &what, 1);
        if (what == '.')
            break;
        if (what == 'X') {
            forget_place(&place);
            if (remove_entries(dup(place.root), ".git") < 0)
                answer_error(answer, errno, root);
            continue;
        }
        body_text(&body, path);
        int parent = find_place(&place, path, what == 'D' ? REMOVE : MAKE, &name);
        if (parent < 0 && what == 'D' && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
            continue;
        if (parent < 0 || remove_all(parent, name) < 0)
            answer_error(answer, errno, path);
        if (what == 'D')
            forget_place(&place); /* what was removed may be the directory that is remembered */
        else if (what == 'F')
            put_regular(answer, &body, parent, name, path);
        else
            put_link(answer, &body, parent, name, path);
    }
    outlast(house, place.root);
    answer_add(answer, "=", 2);
}
