/* What listing, fetching and putting trees share. */
#ifndef ASSAY_TREE_H
#define ASSAY_TREE_H

#include <sys/stat.h>

#include "wire.h"

#define PATH_ROOM 4096

int open_directory(int parent, const char *name);
int open_root(struct answer *answer, const char *path, int make);
void answer_entry(struct answer *answer, const struct stat *state, const char *path);
void outlast(void);

/* The directory that holds `path`, walked from `root`; the last one is remembered, since neighbours
 * come one after the other. Returns -1 with errno; `*name` is the last component. */
enum purpose { LOOK, REMOVE, MAKE };

struct place {
    int root, directory;
    size_t length;
    char parent[PATH_ROOM];
};
int find_place(struct place *place, const char *path, enum purpose purpose, const char **name);
void forget_place(struct place *place);

#endif
