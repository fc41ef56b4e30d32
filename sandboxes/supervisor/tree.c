/* Trees of files, out. Every path is walked from the root component by component without following
 * links, so that a link which a command puts there in the meantime leads nowhere. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "tree.h"

#define TMPFS 0x01021994 /* statfs(2) */

int open_directory(int parent, const char *name)
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

void note_stamp(const struct stat *state)
{
    const struct timespec *stamp = &state->st_ctim;
    if (stamp->tv_sec != newest.tv_sec ? stamp->tv_sec > newest.tv_sec : stamp->tv_nsec > newest.tv_nsec)
        newest = *stamp;
}

/* "KIND MODE SIZE MTIME CTIME INODE PATH\0": times in nanoseconds; a directory is only that it is there. */
void answer_entry(struct answer *answer, const struct stat *state, const char *path)
{
    char kind = kind_of(state->st_mode);
    note_stamp(state);
    if (kind == 'd')
        answer_text(answer, "d 0 0 0 0 0 ");
    else
        answer_file(answer, kind, state);
    answer_add(answer, path, strlen(path) + 1);
}

/* Open the directory at an absolute path without following a link; make what is missing if asked. */
int open_root(struct answer *answer, const char *path, int make)
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

static void list_directory(const struct house *house, struct listing *listing, struct answer *answer, int directory,
                           char *path, size_t length)
{
    watch_directory(house, directory, path);
    DIR *entries = fdopendir(directory);
    if (!entries)
        answer_error(answer, errno, path);
    for (struct dirent *entry; (entry = readdir(entries));) {
        const char *name = entry->d_name;
        if (!strcmp(name, ".git"))
            watch_nothing();
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
            if (!S_ISDIR(state.st_mode) && state.st_nlink != 1) /* it may be written under a name that nobody watches */
                listing_doubt(listing, path);
            listing_entry(listing, answer, &state, path);
            watch_entry(&state);
            if (S_ISDIR(state.st_mode)) {
                int below = open_directory(directory, name);
                if (below >= 0)
                    list_directory(house, listing, answer, below, path, at + size);
                else if (errno != ENOENT) /* it is no directory any more: the host looks again */
                    answer_error(answer, errno == ENOTDIR || errno == ELOOP ? ESTALE : errno, path);
            }
        }
        path[length] = 0;
    }
    closedir(entries);
}

int on_tmpfs(int root)
{
    struct statfs system;
    return fstatfs(root, &system) == 0 && system.f_type == TMPFS;
}

/* Whatever changes after this answer must get another stamp than the one in it. Where every look at a file makes the
 * next change's stamp a new one (`fine_stamps`), it will; else wait until the clock that stamps files has left
 * the newest stamp behind: a tick is up to 10 ms. */
void outlast(const struct house *house, int root)
{
    struct timespec now, rest = {0, 300000};
    if (house->fine_stamps && on_tmpfs(root))
        return;
    do {
        clock_gettime(CLOCK_REALTIME_COARSE, &now);
        if (now.tv_sec != newest.tv_sec ? now.tv_sec > newest.tv_sec : now.tv_nsec > newest.tv_nsec)
            return;
    } while (nanosleep(&rest, NULL) == 0 && newest.tv_sec - now.tv_sec < 2); /* a stamp in the future: never mind */
}

/* Look only at what may have changed. Returns 0, with nothing answered, where that needs a look at everything. */
static int look_again(struct listing *listing, struct answer *answer, int root)
{
    static struct place place;
    struct change *change;
    place.root = root;
    place.directory = -1;
    for (size_t at = 0; (change = next_change(&at));) {
        const char *name;
        int parent = find_place(&place, change->path, LOOK, &name);
        if (parent >= 0 && fstatat(parent, name, &change->state, AT_SYMLINK_NOFOLLOW) == 0) {
            if (S_ISDIR(change->state.st_mode) || change->state.st_nlink != 1)
                return 0;
        } else if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP) {
            change->lost = 1;
        } else {
            return 0;
        }
    }
    forget_place(&place);
    for (size_t at = 0; (change = next_change(&at));)
        if (change->lost)
            listing_lost(listing, change->path);
        else
            listing_entry(listing, answer, &change->state, change->path);
    listing_carry(listing);
    return 1;
}

/* "*\0" or, where only differences follow, "~\0"; entries and "-PATH\0" for what is lost, or is there but may hold another
 * content than its entry did before; "=\0". */
void list_tree(const struct house *house, struct answer *answer, struct fields *fields)
{
    static struct listing listing;
    char path[PATH_ROOM] = "";
    uint32_t asked = field_u32(fields), slot = asked & ~LIST_WATCHED;
    uint64_t known = field_u64(fields), number = field_u64(fields);
    const char *name = field_text(fields);
    if (!fields->ok || slot >= LISTINGS)
        _exit(1);
    int root = open_root(answer, name, 0), kept = dup(root);
    listing_begin(&listing, house->listings[slot], known);
    int few = slot == 0 && (asked & LIST_WATCHED) && listing.matches;
    while (fields->at < fields->end) {
        const char *doubted = field_text(fields);
        listing_doubt(&listing, doubted);
        few = few && note_change(doubted);
    }
    enum told told = slot == 0 && listing.matches ? watch_changes(house, &listing) : NOTHING;
    if (slot == 0 && told == NOTHING)
        listing_forget(&listing);
    answer_add(answer, listing.matches ? "~" : "*", 2);
    if (few && told == ALL && look_again(&listing, answer, root)) {
        listing_end(&listing, answer, number);
        watch_on(house, number);
    } else {
        if (slot == 0)
            watch_begin(house, root);
        list_directory(house, &listing, answer, root, path, 0);
        listing_end(&listing, answer, number);
        if (slot == 0)
            watch_end(house, number);
    }
    outlast(house, kept);
    answer_add(answer, "=", 2);
}

static int open_step(int directory, const char *name, enum purpose purpose)
{
    int next = open_directory(directory, name);
    if (next < 0 && errno == ENOENT && purpose == MAKE && (mkdirat(directory, name, 0755) == 0 || errno == EEXIST))
        return open_directory(directory, name);
    if (next < 0 && errno == EACCES && purpose != LOOK && fchmodat(directory, name, 0755, 0) == 0)
        return open_directory(directory, name); /* a command has locked it; it is ours to unlock */
    return next;
}

int find_place(struct place *place, const char *path, enum purpose purpose, const char **name)
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
    struct stat state;
    if (directory >= 0 && purpose != LOOK && fstat(directory, &state) == 0 && (state.st_mode & 0777) != 0755)
        fchmod(directory, 0755); /* only then: who watches the directory hears of it */
    place->directory = directory;
    return directory;
}

void forget_place(struct place *place)
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
