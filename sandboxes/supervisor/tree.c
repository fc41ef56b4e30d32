/* Trees of files, out and in. Every path is walked from the root component by component without following
 * links, so that a link which a command puts there in the meantime leads nowhere. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "wire.h"

#define PATH_ROOM 4096

static int open_directory(int parent, const char *name)
{
    return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static char kind_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG: return 'f';
    case S_IFDIR: return 'd';
    case S_IFLNK: return 'l';
    case S_IFIFO: return 'p';
    case S_IFSOCK: return 's';
    case S_IFBLK: return 'b';
    default: return 'c';
    }
}

static struct timespec newest; /* change time in this answer */

static void answer_stamp(struct answer *answer, const struct timespec *stamp)
{
    uint64_t seconds = stamp->tv_sec > 0 ? (uint64_t)stamp->tv_sec : 0;
    answer_number(answer, seconds * 1000000000u + (uint64_t)stamp->tv_nsec, 10, ' ');
}

static void answer_file(struct answer *answer, char kind, const struct stat *state)
{
    answer_add(answer, (char[]){kind, ' '}, 2);
    answer_number(answer, state->st_mode & 0777, 8, ' ');
    answer_number(answer, (uint64_t)state->st_size, 10, ' ');
    answer_stamp(answer, &state->st_mtim);
    answer_stamp(answer, &state->st_ctim);
    answer_number(answer, state->st_ino, 10, ' ');
}

/* "KIND MODE SIZE MTIME CTIME INODE PATH\0": times in nanoseconds; a directory is only that it is there. */
static void answer_entry(struct answer *answer, const struct stat *state, const char *path)
{
    char kind = kind_of(state->st_mode);
    const struct timespec *stamp = &state->st_ctim;
    if (stamp->tv_sec != newest.tv_sec ? stamp->tv_sec > newest.tv_sec : stamp->tv_nsec > newest.tv_nsec)
        newest = *stamp;
    if (kind == 'd')
        answer_text(answer, "d 0 0 0 0 0 ");
    else
        answer_file(answer, kind, state);
    answer_add(answer, path, strlen(path) + 1);
}

/* Open the directory at an absolute path without following a link; make what is missing if asked. */
static int open_root(struct answer *answer, const char *path, int make)
{
    char name[NAME_MAX + 1];
    int directory = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (const char *at = path; *(at += strspn(at, "/"));) {
        size_t length = strcspn(at, "/");
        if (length > NAME_MAX)
            answer_error(answer, ENAMETOOLONG, path);
        memcpy(name, at, length);
        name[length] = 0;
        int next = open_directory(directory, name);
        if (next < 0 && errno == ENOENT && make && (mkdirat(directory, name, 0755) == 0 || errno == EEXIST))
            next = open_directory(directory, name);
        if (next < 0)
            answer_error(answer, errno, path);
        close(directory);
        directory = next;
        at += length;
    }
    return directory;
}

static void list_directory(struct answer *answer, int directory, char *path, size_t length)
{
    DIR *entries = fdopendir(directory);
    if (!entries)
        answer_error(answer, errno, path);
    for (struct dirent *entry; (entry = readdir(entries));) {
        const char *name = entry->d_name;
        if (!strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, ".git"))
            continue;
        size_t size = strlen(name), at = length + (length > 0);
        if (at + size >= PATH_ROOM)
            answer_error(answer, ENAMETOOLONG, path);
        if (length)
            path[length] = '/';
        memcpy(path + at, name, size + 1);
        struct stat state;
        if (fstatat(directory, name, &state, AT_SYMLINK_NOFOLLOW) < 0) {
            if (errno != ENOENT)
                answer_error(answer, errno, path);
        } else {
            answer_entry(answer, &state, path);
            if (S_ISDIR(state.st_mode)) {
                int below = open_directory(directory, name);
                if (below >= 0)
                    list_directory(answer, below, path, at + size);
                else if (errno != ENOENT) /* it is no directory any more: the host looks again */
                    answer_error(answer, errno == ENOTDIR || errno == ELOOP ? ESTALE : errno, path);
            }
        }
        path[length] = 0;
    }
    closedir(entries);
}

/* Wait until the clock that stamps files has left the newest stamp behind, so that whatever changes after
 * this answer gets another stamp than the one in it (a tick is up to 10 ms). */
static void outlast(void)
{
    struct timespec now, rest = {0, 300000};
    do {
        clock_gettime(CLOCK_REALTIME_COARSE, &now);
        if (now.tv_sec != newest.tv_sec ? now.tv_sec > newest.tv_sec : now.tv_nsec > newest.tv_nsec)
            return;
    } while (nanosleep(&rest, NULL) == 0 && newest.tv_sec - now.tv_sec < 2); /* a stamp in the future: never mind */
}

void list_tree(struct answer *answer, const char *root)
{
    char path[PATH_ROOM] = "";
    list_directory(answer, open_root(answer, root, 0), path, 0);
    outlast();
    answer_add(answer, "=", 2);
}

/* The directory that holds `path`, walked from `root`; the last one is remembered, since neighbours
 * come one after the other. Returns -1 with errno; `*name` is the last component. */
enum purpose { LOOK, REMOVE, MAKE };

struct place {
    int root, directory;
    size_t length;
    char parent[PATH_ROOM];
};

static int open_step(int directory, const char *name, enum purpose purpose)
{
    int next = open_directory(directory, name);
    if (next < 0 && errno == ENOENT && purpose == MAKE && (mkdirat(directory, name, 0755) == 0 || errno == EEXIST))
        return open_directory(directory, name);
    if (next < 0 && errno == EACCES && purpose != LOOK && fchmodat(directory, name, 0755, 0) == 0)
        return open_directory(directory, name); /* a command has locked it; it is ours to unlock */
    return next;
}

static int find_place(struct place *place, const char *path, enum purpose purpose, const char **name)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    *name = slash ? slash + 1 : path;
    if (length >= PATH_ROOM || strlen(*name) > NAME_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (!length)
        return place->root;
    if (place->directory >= 0 && place->length == length && !memcmp(place->parent, path, length))
        return place->directory;
    if (place->directory >= 0)
        close(place->directory);
    place->directory = -1;
    memcpy(place->parent, path, length);
    place->parent[length] = 0;
    place->length = length;
    int directory = dup(place->root);
    for (char *at = place->parent; directory >= 0 && at < place->parent + length;) {
        size_t size = strcspn(at, "/");
        at[size] = 0;
        int next = open_step(directory, at, purpose);
        int error = errno;
        close(directory);
        errno = error;
        directory = next;
        if (at + size < place->parent + length)
            at[size] = '/';
        at += size + 1;
    }
    if (directory >= 0 && purpose != LOOK)
        fchmod(directory, 0755);
    place->directory = directory;
    return directory;
}

static void forget_place(struct place *place)
{
    if (place->directory >= 0)
        close(place->directory);
    place->directory = -1;
}

static void get_link(struct answer *answer, int parent, const char *name, const struct stat *state, const char *path)
{
    char target[PATH_ROOM];
    ssize_t length = readlinkat(parent, name, target, sizeof target);
    if (length < 0)
        answer_error(answer, errno, path);
    struct stat told = *state;
    told.st_size = length;
    answer_entry(answer, &told, path);
    answer_add(answer, target, (size_t)length);
    answer_entry(answer, &told, path);
}

/* The entry as it is before, as many bytes as it announces, and the entry as it is after: where the two
 * differ, the file changed in between and the host asks again. */
static void get_regular(struct answer *answer, int descriptor, const struct stat *state, const char *path)
{
    static unsigned char data[65536];
    struct stat after;
    answer_entry(answer, state, path);
    for (off_t left = state->st_size; left > 0;) {
        size_t most = left < (off_t)sizeof data ? (size_t)left : sizeof data;
        ssize_t length = read(descriptor, data, most);
        if (length < 0 && errno == EINTR)
            continue;
        if (length <= 0) { /* shorter than announced: the entry after it will tell */
            memset(data, 0, most);
            length = (ssize_t)most;
        }
        answer_add(answer, data, (size_t)length);
        left -= length;
    }
    if (fstat(descriptor, &after) < 0)
        answer_error(answer, errno, path);
    answer_entry(answer, &after, path);
}

void get_files(struct answer *answer, struct fields *fields)
{
    static struct place place;
    place.root = open_root(answer, field_text(fields), 0);
    place.directory = -1;
    while (fields->at < fields->end) {
        const char *path = field_text(fields), *name;
        struct stat state;
        if (!fields->ok)
            _exit(1);
        int parent = find_place(&place, path, LOOK, &name);
        if (parent < 0 || fstatat(parent, name, &state, AT_SYMLINK_NOFOLLOW) < 0)
            answer_error(answer, errno, path);
        if (S_ISLNK(state.st_mode)) {
            get_link(answer, parent, name, &state, path);
            continue;
        }
        int descriptor = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (descriptor < 0 || fstat(descriptor, &state) < 0)
            answer_error(answer, errno, path);
        if (!S_ISREG(state.st_mode))
            answer_error(answer, ESTALE, path);
        get_regular(answer, descriptor, &state, path);
        close(descriptor);
    }
    answer_add(answer, "=", 2);
}

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

void put_files(struct answer *answer, const char *root)
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
    outlast();
    answer_add(answer, "=", 2);
}
