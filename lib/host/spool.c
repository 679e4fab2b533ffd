/* SPDX-License-Identifier: ISC */

/* A pipe as a file: some work needs the size first, or reads out of order. */

#include <sys/types.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/host.h"
#include "host/place.h"
#include "core/env.h"

#define PIECE 65536u /* a run of zeros this long becomes a hole */

/* Beside dstpath; beside a device would be in memory, most likely. */
static int
find_folder(struct host_place *pl, const char *dstpath)
{
	const char *tmp = getenv("TMPDIR");
	struct stat st;

	if (stat(dstpath, &st) == -1 || S_ISREG(st.st_mode))
		return (host_place_find(pl, dstpath));
	if (tmp == NULL || *tmp == '\0')
		tmp = "/var/tmp";
	pl->pl_dir = open(tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	memcpy(pl->pl_name, "spool", sizeof("spool"));
	return (pl->pl_dir == -1 ? errno : 0);
}

static int
open_spool(struct img_file **f, const char *dstpath)
{
	char temp[NAME_MAX + 1];
	struct host_place pl;
	int error, fd;

	if ((error = find_folder(&pl, dstpath)) != 0)
		return (error);
	error = host_place_temp(&pl, 1, 0, &fd, temp);
	if (error == 0) {
		if (temp[0] != '\0' && unlinkat(pl.pl_dir, temp, 0) == -1)
			error = errno;
		else
			error = img_host_fdopen(f, fd);
		if (error != 0)
			close(fd);
	}
	host_place_free(&pl);
	return (error);
}

static int
fill(struct img_file *f, int infd)
{
	const struct img_env *env = img_host_env();
	unsigned char *buf;
	uint64_t off = 0;
	size_t got = PIECE;
	int error = 0;

	if ((buf = malloc(PIECE)) == NULL)
		return (ENOMEM);
	while (error == 0 && got == PIECE) {
		if ((error = host_read(infd, buf, PIECE, &got)) != 0)
			break;
		if (!img_is_zero(buf, got))
			error = f->f_ops->fo_write(f, buf, (uint32_t)got, off);
		off += got;
		if (error == 0)
			error = env->ev_poll(env->ev_arg, off, 0);
	}
	/* What was left out at the end counts too. */
	if (error == 0)
		error = f->f_ops->fo_resize(f, off);
	free(buf);
	return (error);
}

int
host_spool(struct img_file **out, const char *dstpath, int infd, char *why,
    size_t whylen)
{
	struct img_file *f;
	int error;

	(void)host_why(why, whylen, NULL, 0);
	if ((error = open_spool(&f, dstpath)) != 0)
		return (host_why(why, whylen,
		    "a temporary file for the "
		    "input cannot be made",
		    error));
	if ((error = fill(f, infd)) != 0) {
		(void)img_host_close(f);
		return (host_why(why, whylen,
		    error == EINTR ?
			NULL :
			"the input cannot be copied to a temporary file",
		    error));
	}
	*out = f;
	return (0);
}
