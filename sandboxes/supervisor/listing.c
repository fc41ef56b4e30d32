/* Listing a tree, and answering only what differs from the listing before.
 *
 * The supervisor keeps what each of a few roots held in a file in memory, which its helpers inherit and commands do not
 * get. The host says which listing it knows (by number) and which of its paths it does not trust any more;
 * where the kept listing is that one, only other entries and lost paths are answered, so that the
 * host's work does not grow with the tree.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "tree.h"

enum seen { UNSEEN, SEEN, LOST };

/* An entry as it is kept, with its path behind it, padded to eight bytes. */
struct kept {
    uint64_t size, modified, changed, inode;
    uint32_t mode, length;
    char path[];
};

struct head {
    uint64_t number; /* of the listing; 0 while it is none */
    uint64_t bytes, count;
};

static void *need(void *memory)
{
    if (!memory)
        _exit(1);
    return memory;
}

static uint64_t rotate(uint64_t value, int by) { return value << by | value >> (64 - by); }

static void mix(uint64_t v[4], uint64_t word, int rounds)
{
    v[3] ^= word;
    while (rounds--) {
        v[0] += v[1], v[1] = rotate(v[1], 13) ^ v[0], v[0] = rotate(v[0], 32);
        v[2] += v[3], v[3] = rotate(v[3], 16) ^ v[2];
        v[0] += v[3], v[3] = rotate(v[3], 21) ^ v[0];
        v[2] += v[1], v[1] = rotate(v[1], 17) ^ v[2], v[2] = rotate(v[2], 32);
    }
    v[0] ^= word;
}

/* SipHash-1-3 with a key of its own: commands choose the names, and must not choose where they collide. */
uint64_t hash_path(const uint64_t key[2], const char *path, size_t length)
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du, key[0] ^ 0x6c7967656e657261u,
                     key[1] ^ 0x7465646279746573u};
    uint64_t word, last = (uint64_t)length << 56;
    for (; length >= 8; length -= 8, path += 8) {
        memcpy(&word, path, 8);
        mix(v, word, 1);
    }
    for (size_t i = 0; i < length; i++)
        last |= (uint64_t)(unsigned char)path[i] << 8 * i;
    mix(v, last, 1);
    v[2] ^= 0xff;
    mix(v, 0, 3);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

static size_t kept_size(size_t length) { return sizeof(struct kept) + ((length + 7) & ~(size_t)7); }

/* The place in the table of a path, or of the empty place where it would be. */
static size_t look_up(const struct listing *listing, const char *path, size_t length)
{
    size_t at = hash_path(listing->key, path, length) & (listing->places - 1);
    for (; listing->table[at]; at = (at + 1) & (listing->places - 1)) {
        const struct kept *kept = (const void *)(listing->before + 8 * (size_t)(listing->table[at] - 1));
        if (kept->length == length && !memcmp(kept->path, path, length))
            break;
    }
    return at;
}

static void make_table(struct listing *listing, size_t count)
{
    for (listing->places = 16; listing->places < 2 * count; listing->places *= 2)
        ;
    listing->table = need(calloc(listing->places, sizeof *listing->table));
    listing->seen = need(calloc(listing->places, 1));
    if (getrandom(listing->key, sizeof listing->key, 0) != (ssize_t)sizeof listing->key)
        _exit(1);
    for (size_t at = 0; at < listing->size;) {
        const struct kept *kept = (const void *)(listing->before + at);
        listing->table[look_up(listing, kept->path, kept->length)] = (uint32_t)(at / 8 + 1);
        at += kept_size(kept->length);
    }
}

/* Load the kept listing if it is the one that the host knows. */
void listing_begin(struct listing *listing, int descriptor, uint64_t known)
{
    struct head head;
    *listing = (struct listing){.descriptor = descriptor, .known = known};
    if (!known || pread(descriptor, &head, sizeof head, 0) != (ssize_t)sizeof head || head.number != known)
        return;
    listing->before = need(malloc(head.bytes + 1));
    if (pread(descriptor, listing->before, head.bytes, sizeof head) != (ssize_t)head.bytes)
        _exit(1);
    listing->size = head.bytes;
    listing->matches = 1;
    make_table(listing, head.count);
}

/* What is not trusted any more is answered as lost, and then as new where it is there: what the host knows of its content
 * is void, also where nothing shows that it changed. */
void listing_doubt(struct listing *listing, const char *path)
{
    size_t at = listing->matches ? look_up(listing, path, strlen(path)) : 0;
    if (listing->matches && listing->table[at]) {
        ((struct kept *)(void *)(listing->before + 8 * (size_t)(listing->table[at] - 1)))->mode = 0;
        listing->differs = 1;
    }
}

/* Nothing is known of the listing before. */
void listing_forget(struct listing *listing)
{
    listing->matches = 0;
    listing->places = 0;
}

static uint64_t nanoseconds(const struct timespec *stamp)
{
    return (uint64_t)stamp->tv_sec * 1000000000u + (uint64_t)stamp->tv_nsec;
}

static void keep_entry(struct listing *listing, const struct kept *kept, const char *path)
{
    size_t size = kept_size(kept->length);
    if (listing->used + size > listing->room) {
        listing->room = 2 * listing->room + 65536 + size;
        listing->now = need(realloc(listing->now, listing->room));
    }
    memset(listing->now + listing->used + size - 8, 0, 8);
    memcpy(listing->now + listing->used, kept, sizeof *kept);
    memcpy(listing->now + listing->used + sizeof *kept, path, kept->length);
    listing->used += size;
    listing->count++;
}

static void answer_path(struct answer *answer, const struct kept *kept)
{
    answer_add(answer, "-", 1);
    answer_add(answer, kept->path, kept->length);
    answer_add(answer, "", 1);
}

void listing_entry(struct listing *listing, struct answer *answer, const struct stat *state, const char *path)
{
    struct kept kept = {.mode = state->st_mode, .length = (uint32_t)strlen(path)};
    if (S_ISDIR(state->st_mode)) /* a directory is only that it is there */
        kept.mode = S_IFDIR;
    else {
        kept.size = (uint64_t)state->st_size;
        kept.modified = nanoseconds(&state->st_mtim);
        kept.changed = nanoseconds(&state->st_ctim);
        kept.inode = state->st_ino;
    }
    keep_entry(listing, &kept, path);
    note_stamp(state);
    if (listing->matches) {
        size_t at = look_up(listing, path, kept.length);
        if (listing->table[at]) {
            const struct kept *before = (const void *)(listing->before + 8 * (size_t)(listing->table[at] - 1));
            listing->seen[at] = SEEN;
            if (!memcmp(before, &kept, sizeof kept))
                return;
            if (!before->mode)
                answer_path(answer, before);
        }
    }
    listing->differs = 1;
    answer_entry(answer, state, path);
}

/* A path that was looked at and is not there. */
void listing_lost(struct listing *listing, const char *path)
{
    size_t at = look_up(listing, path, strlen(path));
    if (listing->table[at])
        listing->seen[at] = LOST;
}

/* What was not looked at is as it was. */
void listing_carry(struct listing *listing)
{
    for (size_t at = 0; at < listing->places; at++) {
        if (!listing->table[at] || listing->seen[at])
            continue;
        const struct kept *kept = (const void *)(listing->before + 8 * (size_t)(listing->table[at] - 1));
        listing->seen[at] = SEEN;
        keep_entry(listing, kept, kept->path);
    }
}

static void answer_lost(struct listing *listing, struct answer *answer)
{
    for (size_t at = 0; at < listing->places; at++) {
        if (!listing->table[at] || listing->seen[at] == SEEN)
            continue;
        const struct kept *kept = (const void *)(listing->before + 8 * (size_t)(listing->table[at] - 1));
        listing->differs = 1;
        answer_path(answer, kept);
    }
}

/* Answer what is lost, and keep what was listed under its number. Where there is no room, nothing is kept. */
void listing_end(struct listing *listing, struct answer *answer, uint64_t number)
{
    struct head none = {0}, head = {number, listing->used, listing->count};
    answer_lost(listing, answer);
    if (!listing->matches || listing->differs) {
        if (pwrite(listing->descriptor, &none, sizeof none, 0) != (ssize_t)sizeof none ||
            ftruncate(listing->descriptor, (off_t)(sizeof head + listing->used)) < 0 ||
            pwrite(listing->descriptor, listing->now, listing->used, sizeof head) != (ssize_t)listing->used)
            return;
    }
    (void)!pwrite(listing->descriptor, &head, sizeof head, 0);
}
