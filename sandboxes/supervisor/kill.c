/* Killing a tree of processes so that nothing of it is left.
 *
 * Every command has a helper of its own, which is the "child subreaper" of all that the command starts:
 * a daemon that forks twice and starts a session of its own is still below that helper, and nothing an
 * unprivileged process can do takes it out. So "below the helper" is what a command is.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "wire.h"

struct process {
    pid_t pid, parent;
    char alive, below;
};

struct census {
    struct process *list;
    size_t count, room;
};

static int read_stat(const char *pid, struct process *process)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return -1;
    ssize_t length = read(descriptor, text, sizeof text - 1);
    close(descriptor);
    if (length <= 0)
        return -1;
    text[length] = 0;
    char *after = strrchr(text, ')'); /* the name before it may hold anything, brackets too */
    int parent;
    char state;
    if (!after || sscanf(after + 1, " %c %d", &state, &parent) != 2)
        return -1;
    *process = (struct process){.pid = atoi(pid), .parent = parent, .alive = state != 'Z' && state != 'X'};
    return 0;
}

static int take_census(struct census *census)
{
    DIR *directory = opendir("/proc");
    if (!directory)
        return -1;
    census->count = 0;
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
            continue;
        if (census->count == census->room) {
            size_t room = census->room ? census->room * 2 : 256;
            struct process *list = realloc(census->list, room * sizeof *list);
            if (!list)
                break;
            census->list = list;
            census->room = room;
        }
        census->count += !read_stat(entry->d_name, census->list + census->count);
    }
    closedir(directory);
    return 0;
}

static size_t mark_below(struct census *census, pid_t ancestor, int (*spare)(pid_t))
{
    size_t living = 0;
    for (int more = 1; more;) {
        more = 0;
        for (size_t i = 0; i < census->count; i++) {
            struct process *process = census->list + i;
            if (process->below || process->pid == ancestor || (spare && spare(process->pid)))
                continue;
            int below = process->parent == ancestor;
            for (size_t j = 0; j < census->count && !below; j++)
                below = census->list[j].below && census->list[j].pid == process->parent;
            if (below) {
                process->below = 1;
                more = 1;
                living += (size_t)process->alive;
            }
        }
    }
    return living;
}

static void signal_below(const struct census *census, int signal)
{
    for (size_t i = 0; i < census->count; i++)
        if (census->list[i].below && census->list[i].alive)
            kill(census->list[i].pid, signal);
}

int kill_below(pid_t ancestor, int (*spare)(pid_t), int seconds)
{
    struct census census = {0};
    time_t end = time(NULL) + seconds;
    int result = -1;
    for (int pass = 0; time(NULL) <= end; pass++) {
        if (take_census(&census) < 0)
            break;
        size_t living = mark_below(&census, ancestor, spare);
        if (!living) {
            result = 0;
            break;
        }
        /* What forks faster than it is found is first stopped: stopped processes fork no more and
         * keep their places under the limit of processes, so the census comes to an end. */
        for (size_t before = 0; pass && before != living && time(NULL) <= end;) {
            before = living;
            signal_below(&census, SIGSTOP);
            if (take_census(&census) < 0)
                break;
            living = mark_below(&census, ancestor, spare);
        }
        signal_below(&census, SIGKILL);
        usleep(pass < 3 ? 200 : 2000);
    }
    free(census.list);
    return result;
}
