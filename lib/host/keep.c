/* SPDX-License-Identifier: ISC */

/* What a file that replaces another takes over from it. */

#include <sys/types.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/xattr.h>
#endif

#include "host/host.h"
#include "host/place.h"

#ifdef __linux__
/*
 * Attributes of the system (labels, ACLs) may belong to somebody who does
 * not let us set them, or to nobody on another file system.
 */
static int
may_fail(const char *name, int error)
{
	return (error == ENOTSUP || error == ENODATA ||
	    ((error == EPERM || error == EACCES) &&
		strncmp(name, "user.", 5) != 0));
}

static int
keep_xattr(int oldfd, int newfd, const char *name)
{
	char *value = NULL;
	ssize_t n;
	int error = 0;

	if ((n = fgetxattr(oldfd, name, NULL, 0)) == -1)
		return (may_fail(name, errno) ? 0 : errno);
	if ((value = malloc((size_t)n + 1)) == NULL)
		return (ENOMEM);
	if ((n = fgetxattr(oldfd, name, value, (size_t)n)) == -1 ||
	    fsetxattr(newfd, name, value, (size_t)n, 0) == -1)
		error = errno;
	free(value);
	return (error == 0 || may_fail(name, error) ? 0 : error);
}

static int
keep_xattrs(int oldfd, int newfd, char *why, size_t whylen)
{
	char *names, *p;
	ssize_t n;
	int error = 0;

	if ((n = flistxattr(oldfd, NULL, 0)) <= 0)
		return (n == 0 || errno == ENOTSUP ? 0 : errno);
	if ((names = malloc((size_t)n)) == NULL)
		return (ENOMEM);
	if ((n = flistxattr(oldfd, names, (size_t)n)) == -1)
		error = errno;
	for (p = names; error == 0 && p < names + n; p += strlen(p) + 1)
		error = keep_xattr(oldfd, newfd, p);
	free(names);
	if (error != 0)
		(void)host_why(why, whylen,
		    "its extended attributes cannot "
		    "be kept",
		    error);
	return (error);
}
#else
static int
keep_xattrs(int oldfd, int newfd, char *why, size_t whylen)
{
	(void)oldfd;
	(void)newfd;
	(void)why;
	(void)whylen;
	return (0);
}
#endif

int
host_keep(const struct host_place *pl, int oldfd, int newfd, char *why,
    size_t whylen)
{
	struct stat st;
	mode_t mode;
	int error;

	if (fstatat(pl->pl_dir, pl->pl_name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return (errno);
	mode = st.st_mode & 07777;
	if (fchown(newfd, st.st_uid, st.st_gid) == -1) {
		/* Never run as us what was to run as somebody else. */
		mode &= 01777;
		if (fchown(newfd, (uid_t)-1, st.st_gid) == -1 && errno != EPERM)
			return (errno);
	}
	if (oldfd != -1 &&
	    (error = keep_xattrs(oldfd, newfd, why, whylen)) != 0)
		return (error);
	return (fchmod(newfd, mode) == -1 ? errno : 0);
}
