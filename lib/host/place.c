/* SPDX-License-Identifier: ISC */

/* Names and temporary files in a folder. */

#include <sys/types.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#ifdef __APPLE__
#include <sys/random.h>
#endif

#include "host/place.h"

#define MAX_LINKS 40 /* as Linux has it */

/* A folder that may be passed through and written, but not listed, will do. */
#ifdef O_PATH
#define DIR_FLAGS (O_PATH | O_DIRECTORY | O_CLOEXEC)
#else
#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)
#endif

/* Go from the folder pl_dir to that of path, and keep its last name. */
static int
step(struct host_place *pl, const char *path)
{
	const char *last = strrchr(path, '/');
	char dir[PATH_MAX];
	size_t n;
	int fd;

	last = last == NULL ? path : last + 1;
	n = (size_t)(last - path);
	if (n >= sizeof(dir) || strlen(last) > NAME_MAX)
		return (ENAMETOOLONG);
	/* "x/" can only be meant as a folder. */
	if (*last == '\0')
		return (*path == '\0' ? ENOENT : EISDIR);
	memcpy(dir, path, n);
	dir[n] = '\0';
	fd = openat(pl->pl_dir == -1 ? AT_FDCWD : pl->pl_dir,
	    n == 0 ? "." : dir, DIR_FLAGS);
	if (fd == -1)
		return (errno);
	if (pl->pl_dir != -1)
		close(pl->pl_dir);
	pl->pl_dir = fd;
	memcpy(pl->pl_name, last, strlen(last) + 1);
	return (0);
}

int
host_place_find(struct host_place *pl, const char *path)
{
	char target[PATH_MAX];
	ssize_t n;
	int error, i;

	pl->pl_dir = -1;
	error = step(pl, path);
	for (i = 0; error == 0; i++) {
		n = readlinkat(pl->pl_dir, pl->pl_name, target, sizeof(target));
		/* Not a link, or nothing: the end of the chain. */
		if (n == -1 && (errno == EINVAL || errno == ENOENT))
			return (0);
		if (n == -1)
			error = errno;
		else if (i == MAX_LINKS)
			error = ELOOP;
		else if ((size_t)n == sizeof(target))
			error = ENAMETOOLONG;
		else {
			target[n] = '\0';
			error = step(pl, target);
		}
	}
	host_place_free(pl);
	return (error);
}

void
host_place_free(struct host_place *pl)
{
	if (pl->pl_dir != -1)
		close(pl->pl_dir);
	pl->pl_dir = -1;
}

int
host_place_name(const struct host_place *pl, char temp[NAME_MAX + 1])
{
	static const char set[] =
	    "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
	static const char tail[] = ".imgtool-";
	unsigned char r[6];
	size_t n = strlen(pl->pl_name), room, i;

	if (getentropy(r, sizeof(r)) == -1)
		return (errno);
	/* Of a name near the limit, the end is left out. */
	room = NAME_MAX - 1 - (sizeof(tail) - 1) - sizeof(r);
	if (n > room)
		n = room;
	temp[0] = '.';
	memcpy(temp + 1, pl->pl_name, n);
	memcpy(temp + 1 + n, tail, sizeof(tail) - 1);
	n += 1 + sizeof(tail) - 1;
	for (i = 0; i < sizeof(r); i++)
		temp[n + i] = set[r[i] % 64];
	temp[n + i] = '\0';
	return (0);
}

#ifdef O_TMPFILE
static void
proc_name(int fd, char *buf, size_t len)
{
	(void)snprintf(buf, len, "/proc/self/fd/%d", fd);
}

/*
 * A file without a name, or -1.  One that could not get a name later, for
 * want of /proc, is no use: that would be noticed after all the work.
 */
static int
unnamed(const struct host_place *pl, mode_t mode)
{
	struct stat a, b;
	char proc[32];
	int fd;

	fd = openat(pl->pl_dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
	if (fd == -1)
		return (-1);
	proc_name(fd, proc, sizeof(proc));
	if (fstat(fd, &a) == 0 && stat(proc, &b) == 0 && a.st_dev == b.st_dev &&
	    a.st_ino == b.st_ino)
		return (fd);
	close(fd);
	return (-1);
}
#endif

int
host_place_temp(const struct host_place *pl, int private, int named, int *fdp,
    char temp[NAME_MAX + 1])
{
	mode_t mode = private ? 0600 : 0666;
	int error, fd, tries;

#ifdef O_TMPFILE
	if (!named && (fd = unnamed(pl, mode)) != -1) {
		*fdp = fd;
		temp[0] = '\0';
		return (0);
	}
#else
	(void)named;
#endif
	for (tries = 0; tries < HOST_TEMP_TRIES; tries++) {
		if ((error = host_place_name(pl, temp)) != 0)
			break;
		fd = openat(pl->pl_dir, temp,
		    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, mode);
		if (fd != -1) {
			*fdp = fd;
			return (0);
		}
		if ((error = errno) != EEXIST)
			break;
	}
	temp[0] = '\0';
	return (error);
}

int
host_place_link(const struct host_place *pl, int fd, const char *name)
{
#ifdef O_TMPFILE
	char proc[32];

	proc_name(fd, proc, sizeof(proc));
	if (linkat(AT_FDCWD, proc, pl->pl_dir, name, AT_SYMLINK_FOLLOW) == -1)
		return (errno);
	return (0);
#else
	(void)pl;
	(void)fd;
	(void)name;
	return (ENOTSUP);
#endif
}

int
host_place_sync(const struct host_place *pl)
{
	int error, fd;

	fd = openat(pl->pl_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* What may not be listed cannot be opened to sync it either. */
	if (fd == -1)
		return (errno == EACCES ? 0 : errno);
	error = fsync(fd) == -1 ? errno : 0;
	close(fd);
	/* Some file systems have no sync for folders. */
	return (error == EINVAL || error == ENOTSUP ? 0 : error);
}
