/* What the supervisor does once, before it listens. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "wire.h"

/* The kernel's interface (capabilities(7)); musl brings no kernel headers. */
#define CAPABILITY_VERSION_3 0x20080522u
#define CAP_KILL 5
#define CAP_SETGID 6
#define CAP_SETUID 7
#define SECURE_NOROOT_LOCKED 3ul /* SECBIT_NOROOT and its lock */

struct capability_header {
    uint32_t version;
    int pid;
};

struct capability_data {
    uint32_t effective, permitted, inheritable;
};

extern char **environ;

/* From here on nothing in this container can gain a capability; only this process keeps three. */
void give_up_privileges(void)
{
    struct capability_header header = {CAPABILITY_VERSION_3, 0};
    uint32_t kept = 1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_KILL;
    struct capability_data data[2] = {{kept, kept, 0}, {0, 0, 0}};
    for (int capability = 0; capability <= 63; capability++)
        if (prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 1 && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
            leave("cannot empty the bounding set");
    /* Once more for what the empty bounding set says already; gVisor does not know it (EINVAL). */
    if (prctl(PR_SET_SECUREBITS, SECURE_NOROOT_LOCKED, 0, 0, 0) < 0 && errno != EINVAL)
        leave("cannot set secure bits");
    /* Without it a daemon would leave its command (kill.c). Helpers set it for themselves; a fork does not inherit. */
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) < 0)
        leave("this kernel has no child subreapers; gVisor of 2024 has them");
    if (syscall(SYS_capset, &header, data) < 0)
        leave("cannot drop capabilities");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
        leave("cannot protect itself");
    for (char **variable = environ; *variable; variable++) /* some kernels show it to everybody all the same */
        memset(*variable, 0, strlen(*variable));
}

/* What is the commands' user's own. */
void make_home(struct house *house)
{
    if (seteuid(house->user) < 0)
        leave("cannot act as the commands' user");
    mkdir("/tmp/home", 0700);
    /* Counted by user, of which no other sandbox has this one; without it, every file is looked at. */
    house->events = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (seteuid(0) < 0)
        leave("cannot act as itself again");
}

int open_oom_counter(void)
{
    int v2 = open("/sys/fs/cgroup/memory.events", O_RDONLY | O_CLOEXEC);
    return v2 >= 0 ? v2 : open("/sys/fs/cgroup/memory/memory.oom_control", O_RDONLY | O_CLOEXEC);
}

static int same(const struct timespec *one, const struct timespec *other)
{
    return one->tv_sec == other->tv_sec && one->tv_nsec == other->tv_nsec;
}

/* Linux stamps files by a clock that ticks every few milliseconds; since 6.13, on some file systems, a change that
 * follows a look gets a finer stamp. Two changes within one tick tell which it is. */
static int find_stamps(int descriptor)
{
    for (int attempt = 0; attempt < 100; attempt++) {
        struct timespec before, after;
        struct stat one, other;
        clock_gettime(CLOCK_REALTIME_COARSE, &before);
        if (fchmod(descriptor, 0400) < 0 || fstat(descriptor, &one) < 0 || fchmod(descriptor, 0600) < 0 ||
            fstat(descriptor, &other) < 0)
            return 0;
        clock_gettime(CLOCK_REALTIME_COARSE, &after);
        if (same(&before, &after))
            return !same(&one.st_ctim, &other.st_ctim);
    }
    return 0;
}

/* Files in memory are of the same file system as the places where trees lie, tmpfs. */
void open_listings(struct house *house)
{
    for (int i = 0; i < LISTINGS; i++)
        if ((house->listings[i] = memfd_create("listing", MFD_CLOEXEC)) < 0)
            leave("cannot make files in memory");
    if ((house->watched = memfd_create("watched", MFD_CLOEXEC)) < 0)
        leave("cannot make files in memory");
    house->fine_stamps = find_stamps(house->listings[0]);
}
