/* The processes of the sandbox: everything that does not belong to the supervisor. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire.h"

static ssize_t read_all(int directory, const char *name, char *data, size_t room)
{
    int descriptor = openat(directory, name, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return -1;
    ssize_t length = read(descriptor, data, room - 1);
    close(descriptor);
    if (length >= 0)
        data[length] = 0;
    return length;
}

/* Users from /proc/PID/status: the owner of /proc/PID is root for whoever is not dumpable. */
static int read_users(int directory, unsigned *real, unsigned *effective)
{
    char text[4096];
    if (read_all(directory, "status", text, sizeof text) <= 0)
        return -1;
    const char *line = strstr(text, "\nUid:");
    return line && sscanf(line + 5, "%u %u", real, effective) == 2 ? 0 : -1;
}

static void list_process(struct answer *answer, int proc, const char *name)
{
    char stat[512], command[4096];
    unsigned real, effective;
    int parent;
    char state;
    int directory = openat(proc, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0)
        return;
    ssize_t length = read_all(directory, "stat", stat, sizeof stat);
    char *after = length > 0 ? strrchr(stat, ')') : NULL;
    /* The supervisor and its helpers have the real user 0, or the tunnel's, which no command can have. */
    if (after && sscanf(after + 1, " %c %d", &state, &parent) == 2 && read_users(directory, &real, &effective) == 0 &&
        real != 0 && real != TUNNEL_USER) {
        length = read_all(directory, "cmdline", command, sizeof command);
        while (length > 0 && command[length - 1] == 0)
            length--;
        for (ssize_t i = 0; i < length; i++)
            command[i] = command[i] ? command[i] : ' ';
        if (length <= 0) { /* a zombie, or one that has overwritten its arguments: its name */
            char *before = strchr(stat, '(');
            length = before ? snprintf(command, sizeof command, "[%.*s]", (int)(after - before - 1), before + 1) : 0;
        }
        answer_text(answer, "%s %d %u %c ", name, parent, real, state);
        answer_add(answer, command, (size_t)length);
        answer_add(answer, "", 1);
    }
    close(directory);
}

void list_processes(struct answer *answer)
{
    DIR *proc = opendir("/proc");
    if (!proc)
        answer_error(answer, 2, "/proc");
    for (struct dirent *entry; (entry = readdir(proc));)
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
            list_process(answer, dirfd(proc), entry->d_name);
    closedir(proc);
    answer_add(answer, "+", 1);
    answer_add(answer, "", 1);
}
