/* SPDX-License-Identifier: ISC */

/* Results that appear under their name only when they are complete. */

#include <sys/types.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/host.h"
#include "host/place.h"

struct host_output {
	struct img_file *ho_file;
	struct host_place ho_place; /* where the name will be */
	char ho_temp[NAME_MAX + 1]; /* in that folder; "" while unnamed */
	unsigned ho_flags;
	int ho_device;
	int ho_exists; /* the name is that of a file */
};

struct img_file *
host_output_file(struct host_output *out)
{
	return (out->ho_file);
}

int
host_output_is_device(const struct host_output *out)
{
	return (out->ho_device);
}

/* Exclusively where that means something: not a mounted file system. */
static int
open_device(struct host_output *out, const char *path, char *why, size_t whylen)
{
	int error, fd, fl = O_RDWR | O_CLOEXEC;

#ifdef __linux__
	if (!(out->ho_flags & HOST_FORCE))
		fl |= O_EXCL;
#endif
	if ((fd = open(path, fl)) == -1) {
		error = errno;
		return (host_why(why, whylen,
		    error == EBUSY ? "the device is in use" : NULL, error));
	}
	if ((error = img_host_fdopen(&out->ho_file, fd)) != 0)
		close(fd);
	out->ho_device = 1;
	return (error);
}

/* May this file be replaced? */
static int
check_old(const struct host_output *out, const struct stat *st, char *why,
    size_t whylen)
{
	if (st->st_nlink > 1 && !(out->ho_flags & HOST_FORCE))
		return (host_why(why, whylen,
		    "it has other hard links, "
		    "which would keep the old contents",
		    EMLINK));
	/* The folder's permissions would let us, the file's are respected. */
	if (faccessat(out->ho_place.pl_dir, out->ho_place.pl_name, W_OK,
		AT_EACCESS) == -1)
		return (errno);
	return (0);
}

static int
take_over(struct host_output *out, char *why, size_t whylen)
{
	int error, fd;

	fd = openat(out->ho_place.pl_dir, out->ho_place.pl_name,
	    O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	/* A file that may be written but not read keeps its mode at least. */
	if (fd == -1 && errno != EACCES)
		return (errno);
	error = host_keep(&out->ho_place, fd, img_host_fd(out->ho_file), why,
	    whylen);
	if (fd != -1)
		close(fd);
	return (error);
}

static int
open_file(struct host_output *out, const char *path, char *why, size_t whylen)
{
	struct stat st;
	int error, fd;

	if ((error = host_place_find(&out->ho_place, path)) != 0)
		return (error);
	if (fstatat(out->ho_place.pl_dir, out->ho_place.pl_name, &st,
		AT_SYMLINK_NOFOLLOW) == 0) {
		out->ho_exists = 1;
		error = check_old(out, &st, why, whylen);
	} else if (errno != ENOENT)
		error = errno;
	if (error != 0)
		return (error);
	error = host_place_temp(&out->ho_place, out->ho_exists,
	    (out->ho_flags & HOST_NAMED) != 0, &fd, out->ho_temp);
	if (error != 0)
		return (host_why(why, whylen,
		    "a temporary file cannot be "
		    "made in its folder",
		    error));
	if ((error = img_host_fdopen(&out->ho_file, fd)) != 0) {
		close(fd);
		return (error);
	}
	return (out->ho_exists ? take_over(out, why, whylen) : 0);
}

int
host_output_open(struct host_output **outp, const char *path, unsigned flags,
    char *why, size_t whylen)
{
	struct host_output *out;
	struct stat st;
	int error = 0, exists;

	(void)host_why(why, whylen, NULL, 0);
	exists = stat(path, &st) == 0;
	if (!exists && errno != ENOENT)
		return (errno);
	if (exists && S_ISDIR(st.st_mode))
		return (EISDIR);
	if (exists && !S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return (host_why(why, whylen,
		    "neither a regular file nor a "
		    "block device",
		    EINVAL));
	if (exists && (flags & HOST_NOCLOBBER))
		return (EEXIST);
	if ((out = calloc(1, sizeof(*out))) == NULL)
		return (ENOMEM);
	out->ho_place.pl_dir = -1;
	out->ho_flags = flags;
	if (exists && S_ISBLK(st.st_mode))
		error = open_device(out, path, why, whylen);
	else
		error = open_file(out, path, why, whylen);
	if (error != 0) {
		host_output_abort(out);
		return (error);
	}
	*outp = out;
	return (0);
}

void
host_output_abort(struct host_output *out)
{
	if (out == NULL)
		return;
	if (out->ho_temp[0] != '\0')
		(void)unlinkat(out->ho_place.pl_dir, out->ho_temp, 0);
	if (out->ho_file != NULL)
		(void)img_host_close(out->ho_file);
	host_place_free(&out->ho_place);
	free(out);
}

/* The name is new, or shall be: nothing that has it may be replaced. */
static int
name_new(struct host_output *out)
{
	struct host_place *pl = &out->ho_place;
	struct stat st;

	if (out->ho_temp[0] == '\0')
		return (host_place_link(pl, img_host_fd(out->ho_file),
		    pl->pl_name));
	if (linkat(pl->pl_dir, out->ho_temp, pl->pl_dir, pl->pl_name, 0) == 0)
		return (0);
	if (errno == EEXIST)
		return (EEXIST);
	/* A file system without links: look, then rename. */
	if (fstatat(pl->pl_dir, pl->pl_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return (EEXIST);
	if (renameat(pl->pl_dir, out->ho_temp, pl->pl_dir, pl->pl_name) == -1)
		return (errno);
	out->ho_temp[0] = '\0';
	return (0);
}

/* Put it in the place of what has the name. */
static int
name_over(struct host_output *out)
{
	struct host_place *pl = &out->ho_place;
	int error = EEXIST, tries;

	for (tries = 0; out->ho_temp[0] == '\0' && error == EEXIST; tries++) {
		if (tries == HOST_TEMP_TRIES)
			return (EEXIST);
		if ((error = host_place_name(pl, out->ho_temp)) == 0)
			error = host_place_link(pl, img_host_fd(out->ho_file),
			    out->ho_temp);
		if (error != 0)
			out->ho_temp[0] = '\0';
	}
	if (out->ho_temp[0] == '\0')
		return (error);
	if (renameat(pl->pl_dir, out->ho_temp, pl->pl_dir, pl->pl_name) == -1)
		return (errno);
	out->ho_temp[0] = '\0';
	return (0);
}

int
host_output_commit(struct host_output *out)
{
	int error;

	do {
		/* Not the barrier: a new file's mode and owner count too. */
		error = fsync(img_host_fd(out->ho_file)) == -1 ? errno : 0;
	} while (error == EINTR);
	if (error == 0 && !out->ho_device) {
		error = EEXIST;
		if (!out->ho_exists)
			error = name_new(out);
		if (error == EEXIST && !(out->ho_flags & HOST_NOCLOBBER))
			error = name_over(out);
		if (error == 0)
			error = host_place_sync(&out->ho_place);
	}
	host_output_abort(out);
	return (error);
}
