/* SPDX-License-Identifier: ISC */

/* Names and temporary files in a folder: private to lib/host. */

#ifndef HOST_PLACE_H
#define HOST_PLACE_H

#include <limits.h>
#include <stddef.h>

#define HOST_TEMP_TRIES 100 /* random names before it is no accident */

/* A name in a folder that is held open, so that neither can be swapped. */
struct host_place {
	int pl_dir; /* -1 for none */
	char pl_name[NAME_MAX + 1];
};

/* Where path leads through all links; what it names need not exist. */
int host_place_find(struct host_place *, const char *path);
void host_place_free(struct host_place *);

/*
 * A new empty file in that folder, to read and write: without a name, and
 * temp the empty string, or where the system has no such or named is set,
 * as temp.  Private to the user until it is given more, else by the umask.
 */
int host_place_temp(const struct host_place *, int private, int named, int *fd,
    char temp[NAME_MAX + 1]);

/* Think of a name for a temporary; nothing is made. */
int host_place_name(const struct host_place *, char temp[NAME_MAX + 1]);

/* Give a file without a name this one, which must be free (EEXIST). */
int host_place_link(const struct host_place *, int fd, const char *name);

/* Make names durable. */
int host_place_sync(const struct host_place *);

/*
 * Give to newfd what the file at the place has: owner where permitted,
 * extended attributes (by oldfd, -1 if it cannot be read), mode.
 */
int host_keep(const struct host_place *, int oldfd, int newfd, char *why,
    size_t whylen);

#endif /* HOST_PLACE_H */
