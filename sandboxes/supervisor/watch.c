/* Directories that are watched between two listings, so that what did not change need not be looked at.
 *
 * What changed is told by a file's line in the listing, as ever; the kernel's events only say which files may have changed.
 * They are believed where nobody was at work when the listing before was made (the host says so): then whoever changed
 * a file since has opened, truncated, renamed, … it since, under a name in a watched directory. What cannot be told so
 * (directories that come and go, files with several names, `.git`) means a look at everything.
 *
 * What is written through memory after it was read there changes nothing of a file's line. But who could write has closed
 * the file since, also where it has ended: what was closed so is fetched anew whatever its line says, also after a look at
 * everything. Where events were lost, or a directory was not watched, everything is.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/random.h>
#include <unistd.h>

#include "tree.h"

#define EVENTS                                                                                                         \
    (IN_OPEN | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |          \
     IN_DELETE_SELF | IN_MOVE_SELF)
#define WATCHES_MAX (1 << 20)
#define PLACES 16384u /* of the table of names; at most half of them are used */

/* What is kept from one helper to the next: of which listing, and behind it "i32 watch, u32 length, path" each. */
struct head {
    uint64_t number, bytes, few; /* few: what happened to nothing need not be looked at */
};

static struct {
    int active, few;
    dev_t device;
    unsigned char *data;
    size_t used, room;
} watched;

static struct {
    struct change *table[PLACES];
    uint64_t key[2];
    size_t count;
} changes;

static ssize_t read_events(const struct house *house, unsigned char *into, size_t room)
{
    ssize_t length;
    while ((length = read(house->events, into, room)) < 0 && errno == EINTR)
        ;
    return length;
}

/* Begin to watch what is listed from now on; what happened before is in the listing. */
void watch_begin(const struct house *house, int root)
{
    static unsigned char unread[65536];
    struct stat state;
    struct head none = {0};
    if (house->events < 0 || pwrite(house->watched, &none, sizeof none, 0) != (ssize_t)sizeof none)
        return;
    while (read_events(house, unread, sizeof unread) > 0)
        ;
    watched.active = on_tmpfs(root) && fstat(root, &state) == 0;
    watched.few = house->fine_stamps;
    watched.device = state.st_dev;
}

static void keep_watch(int watch, const char *path, size_t length)
{
    uint32_t size = (uint32_t)length;
    if (watched.used + 8 + length + 1 > watched.room) {
        watched.room = 2 * watched.room + 65536 + length;
        watched.data = realloc(watched.data, watched.room);
        if (!watched.data)
            _exit(1);
    }
    memcpy(watched.data + watched.used, &watch, 4);
    memcpy(watched.data + watched.used + 4, &size, 4);
    memcpy(watched.data + watched.used + 8, path, length + 1);
    watched.used += 8 + length + 1;
}

/* The directory that is about to be listed. It is watched itself, whatever lies at its path meanwhile. */
void watch_directory(const struct house *house, int directory, const char *path)
{
    int watch = -1;
    if (!watched.active)
        return;
    if (fchdir(directory) == 0)
        watch = inotify_add_watch(house->events, ".", EVENTS | IN_ONLYDIR);
    if (watch < 0 || watch >= WATCHES_MAX)
        watched.active = 0;
    else
        keep_watch(watch, path, strlen(path));
}

/* A file with a second name can change under that one. */
void watch_entry(const struct stat *state)
{
    if (state->st_dev != watched.device)
        watched.active = 0;
    if (!S_ISDIR(state->st_mode) && state->st_nlink != 1)
        watched.few = 0;
}

/* What is not listed cannot be told about. */
void watch_nothing(void) { watched.few = 0; }

void watch_end(const struct house *house, uint64_t number)
{
    struct head head = {number, watched.used, (uint64_t)watched.few};
    if (!watched.active) {
        for (size_t at = 0; at < watched.used;) {
            int watch;
            uint32_t length;
            memcpy(&watch, watched.data + at, 4);
            memcpy(&length, watched.data + at + 4, 4);
            inotify_rm_watch(house->events, watch);
            at += 8 + length + 1;
        }
        return;
    }
    if (ftruncate(house->watched, (off_t)(sizeof head + watched.used)) == 0 &&
        pwrite(house->watched, watched.data, watched.used, sizeof head) == (ssize_t)watched.used)
        (void)!pwrite(house->watched, &head, sizeof head, 0);
}

/* The same watches belong to the next listing, too. */
void watch_on(const struct house *house, uint64_t number)
{
    (void)!pwrite(house->watched, &number, sizeof number, 0);
}

struct change *note_change(const char *path)
{
    size_t length = strlen(path);
    if (!changes.count && getrandom(changes.key, sizeof changes.key, 0) != (ssize_t)sizeof changes.key)
        _exit(1);
    size_t at = hash_path(changes.key, path, length) & (PLACES - 1);
    for (; changes.table[at]; at = (at + 1) & (PLACES - 1))
        if (!strcmp(changes.table[at]->path, path))
            return changes.table[at];
    if (changes.count >= CHANGES_MAX)
        return NULL;
    struct change *change = calloc(1, sizeof *change + length + 1);
    if (!change)
        _exit(1);
    memcpy(change->path, path, length + 1);
    changes.count++;
    return changes.table[at] = change;
}

struct change *next_change(size_t *at)
{
    while (*at < PLACES)
        if (changes.table[(*at)++])
            return changes.table[*at - 1];
    return NULL;
}

/* A name that came up since may be a second one of any file, and what was written under it, that file's: so it must
 * still be there when it is looked at, with what it held from the beginning. `cookie` ties the two ends of a move. */
static int follow_name(const struct inotify_event *event, struct change *change)
{
    static uint32_t cookie;
    static int moved_new;
    if (event->mask & IN_CREATE) {
        if (change->new)
            return 0;
        change->new = 1;
    }
    if (event->mask & IN_DELETE)
        return !change->new;
    if (event->mask & IN_MOVED_FROM) {
        cookie = event->cookie;
        moved_new = change->new;
    }
    if (event->mask & IN_MOVED_TO) {
        if (change->new || event->cookie != cookie)
            return 0;
        change->new = moved_new;
    }
    return 1;
}

static enum told note_event(const struct inotify_event *event, struct listing *listing, char *const *paths, int most)
{
    char path[PATH_ROOM];
    if (event->mask & (IN_Q_OVERFLOW | IN_UNMOUNT))
        return NOTHING;
    if (event->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF))
        return WRITERS;
    if (event->mask & IN_ISDIR)
        return event->mask & EVENTS & ~(uint32_t)IN_OPEN ? WRITERS : ALL;
    if (event->wd < 0 || event->wd > most || !paths[event->wd] || !event->len || !strcmp(event->name, ".git"))
        return WRITERS; /* of nothing that was listed */
    const char *parent = paths[event->wd];
    size_t length = strlen(parent), size = strlen(event->name);
    if (length + 1 + size >= sizeof path)
        return WRITERS;
    memcpy(path, parent, length);
    path[length] = '/';
    memcpy(path + length + (length > 0), event->name, size + 1);
    if (event->mask & IN_CLOSE_WRITE)
        listing_doubt(listing, path);
    struct change *change = note_change(path);
    return change && follow_name(event, change) ? ALL : WRITERS;
}

static char **load_watches(const struct house *house, uint64_t known, int *most, enum told *told)
{
    struct head head;
    if (house->events < 0 || pread(house->watched, &head, sizeof head, 0) != (ssize_t)sizeof head || head.number != known)
        return NULL;
    *told = head.few ? ALL : WRITERS;
    char *data = malloc(head.bytes + 1), **paths = calloc(WATCHES_MAX, sizeof *paths);
    if (!data || !paths || pread(house->watched, data, head.bytes, sizeof head) != (ssize_t)head.bytes)
        _exit(1);
    for (size_t at = 0; at < head.bytes;) {
        int watch;
        uint32_t length;
        memcpy(&watch, data + at, 4);
        memcpy(&length, data + at + 4, 4);
        paths[watch] = data + at + 8;
        *most = watch > *most ? watch : *most;
        at += 8 + length + 1;
    }
    return paths;
}

/* Note every name that something happened to since the listing before. */
enum told watch_changes(const struct house *house, struct listing *listing)
{
    static _Alignas(struct inotify_event) unsigned char data[65536];
    int most = -1;
    enum told told = NOTHING;
    char **paths = load_watches(house, listing->known, &most, &told);
    uint64_t none = 0; /* what is read now is told once: a helper that is killed meanwhile leaves no listing behind */
    if (!paths || pwrite(house->watched, &none, sizeof none, 0) != (ssize_t)sizeof none)
        return NOTHING;
    for (ssize_t length; told && (length = read_events(house, data, sizeof data)) > 0;)
        for (ssize_t at = 0; told && at < length;) {
            const struct inotify_event *event = (const void *)(data + at);
            enum told by_this = note_event(event, listing, paths, most);
            told = by_this < told ? by_this : told;
            at += (ssize_t)(sizeof *event + event->len);
        }
    return errno == EAGAIN ? told : NOTHING;
}
