/* What listing, fetching and putting trees share. */
#ifndef ASSAY_TREE_H
#define ASSAY_TREE_H

#include <sys/stat.h>

#include "wire.h"

#define PATH_ROOM 4096

int open_directory(int parent, const char *name);
int open_root(struct answer *answer, const char *path, int make);
void answer_entry(struct answer *answer, const struct stat *state, const char *path);
void note_stamp(const struct stat *state);
void outlast(const struct house *house, int root);
int on_tmpfs(int root);

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

/* listing.c: a listing in the making, and the one before it. */
struct listing {
    int descriptor; /* what is kept of this root from one helper to the next */
    int matches;    /* the listing before is the one that the host knows */
    int differs;
    uint64_t key[2], known;
    unsigned char *before, *now;
    size_t size, used, room, count, places;
    uint32_t *table; /* by path: offset in `before`, in units of eight bytes, plus one */
    unsigned char *seen;
};
void listing_begin(struct listing *listing, int descriptor, uint64_t known);
void listing_doubt(struct listing *listing, const char *path);
void listing_forget(struct listing *listing);
void listing_entry(struct listing *listing, struct answer *answer, const struct stat *state, const char *path);
void listing_lost(struct listing *listing, const char *path);
void listing_carry(struct listing *listing);
void listing_end(struct listing *listing, struct answer *answer, uint64_t number);
uint64_t hash_path(const uint64_t key[2], const char *path, size_t length);

/* watch.c: which paths may have changed since a listing */
#define CHANGES_MAX 4000 /* beyond, a look at everything is as quick */

struct change {
    struct stat state;
    char new, lost;
    char path[];
};
void watch_begin(const struct house *house, int root);
void watch_directory(const struct house *house, int directory, const char *path);
void watch_entry(const struct stat *state);
void watch_nothing(void);
void watch_end(const struct house *house, uint64_t number);
void watch_on(const struct house *house, uint64_t number);

/* What can be told about what happened since a listing: nothing, which files were open for writing, or everything. */
enum told { NOTHING, WRITERS, ALL };
enum told watch_changes(const struct house *house, struct listing *listing);
struct change *note_change(const char *path);
struct change *next_change(size_t *at);

#endif
