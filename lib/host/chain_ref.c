/* SPDX-License-Identifier: ISC */

/*
 * Opening what an image names.  The name is a stranger's: it may lead to
 * anything that this user can open, and opening alone can do harm or block.
 * So nothing is opened that was not looked at, and what was opened is looked
 * at again.
 */

#include <sys/types.h>
#include <sys/stat.h>
#ifdef __linux__
#include <sys/vfs.h>
#include <linux/magic.h>
#endif

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/chain.h"

#ifdef O_PATH
#define DIR_FLAGS (O_PATH | O_DIRECTORY | O_CLOEXEC)
#else
#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC)
#endif

/* Bytes of a path up to and with its last slash. */
static size_t
folder_length(const char *path)
{
	const char *last = strrchr(path, '/');

	return (last == NULL ? 0 : (size_t)(last - path) + 1);
}

/* Open the folder that the first n bytes of path name, from dir on. */
static int
open_folder(int dir, const char *path, size_t n, int *out)
{
	char *copy;
	int error;

	copy = strndup(n == 0 ? "." : path, n == 0 ? 1 : n);
	if (copy == NULL)
		return (ENOMEM);
	*out = openat(dir, copy, DIR_FLAGS);
	error = *out == -1 ? errno : 0;
	free(copy);
	return (error);
}

int
host_ref_folder(const char *path, int *dirp)
{
	return (open_folder(AT_FDCWD, path, folder_length(path), dirp));
}

char *
host_ref_path(const char *path, const char *name)
{
	size_t n = *name == '/' ? 0 : folder_length(path);
	size_t len = strlen(name) + 1;
	char *p = malloc(n + len);

	if (p != NULL) {
		memcpy(p, path, n);
		memcpy(p + n, name, len);
	}
	return (p);
}

static int
outside(const char **why)
{
	*why = "outside of the folder of the image, whose format was only "
	       "found out";
	return (EPERM);
}

/* A folder below dir, by one name that is no link. */
static int
descend(int dir, const char *name, int *out, const char **why)
{
	struct stat st;

	*out = openat(dir, name, DIR_FLAGS | O_NOFOLLOW);
	if (*out != -1)
		return (0);
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == -1)
		return (errno);
	return (S_ISLNK(st.st_mode) ? outside(why) : ENOTDIR);
}

/*
 * Go from dir to the folder that the first n bytes of name lead to, downwards
 * and through no link.
 */
static int
confined_folder(int dir, const char *name, size_t n, int *out, const char **why)
{
	char part[NAME_MAX + 1];
	size_t at, len;
	int error, fd;

	if (*name == '/')
		return (outside(why));
	if ((error = open_folder(dir, ".", 0, out)) != 0)
		return (error);
	for (at = 0; at < n && error == 0; at += len + 1) {
		len = strcspn(name + at, "/");
		if (len == 0 || (len == 1 && name[at] == '.'))
			continue;
		if (len > NAME_MAX) {
			error = ENAMETOOLONG;
			break;
		}
		memcpy(part, name + at, len);
		part[len] = '\0';
		error = strcmp(part, "..") == 0 ? outside(why) :
						  descend(*out, part, &fd, why);
		if (error == 0) {
			close(*out);
			*out = fd;
		}
	}
	if (error != 0)
		close(*out);
	return (error);
}

#ifdef __linux__
/*
 * File systems whose files are the kernel's doing, though they are called
 * regular: to open or to read one may do anything.
 */
static int
is_special(int fd)
{
	static const uint32_t magics[] = { PROC_SUPER_MAGIC, SYSFS_MAGIC,
		DEBUGFS_MAGIC, TRACEFS_MAGIC, SECURITYFS_MAGIC,
		CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, BPF_FS_MAGIC,
		EFIVARFS_MAGIC, PSTOREFS_MAGIC, SELINUX_MAGIC };
	struct statfs fs;
	size_t i;

	if (fstatfs(fd, &fs) == -1)
		return (1);
	for (i = 0; i < sizeof(magics) / sizeof(magics[0]); i++)
		if ((uint32_t)fs.f_type == magics[i])
			return (1);
	return (0);
}
#else
#define is_special(fd) 0
#endif

static int
judge(const struct stat *st, int special, const char **why)
{
	if (S_ISLNK(st->st_mode))
		return (outside(why));
	if (S_ISDIR(st->st_mode))
		return (EISDIR);
	if (!S_ISREG(st->st_mode))
		*why = "not a regular file";
	else if (special)
		*why = "a file of the kernel's own, as in /proc";
	else
		return (0);
	return (EINVAL);
}

/* Learn what has the name, without opening it. */
static int
look(int dir, const char *name, int nofollow, struct stat *st, const char **why)
{
#ifdef O_PATH
	int error, fd, special = 0;

	fd =
	    openat(dir, name, O_PATH | O_CLOEXEC | (nofollow ? O_NOFOLLOW : 0));
	if (fd == -1)
		return (errno);
	error = fstat(fd, st) == -1 ? errno : 0;
	if (error == 0)
		special = is_special(fd);
	close(fd);
	return (error != 0 ? error : judge(st, special, why));
#else
	if (fstatat(dir, name, st, nofollow ? AT_SYMLINK_NOFOLLOW : 0) == -1)
		return (errno);
	return (judge(st, 0, why));
#endif
}

static int
open_file(int dir, const char *name, unsigned flags, struct img_file **f,
    const char **why)
{
	int nofollow = (flags & HOST_REF_CONFINED) != 0, error, fd;
	struct stat a, b;

	if ((error = look(dir, name, nofollow, &a, why)) != 0)
		return (error);
	fd = openat(dir, name,
	    (flags & HOST_REF_RDWR ? O_RDWR : O_RDONLY) | O_NONBLOCK |
		O_NOCTTY | O_CLOEXEC | (nofollow ? O_NOFOLLOW : 0));
	if (fd == -1)
		return (errno);
	if (fstat(fd, &b) == -1)
		error = errno;
	else if (a.st_dev != b.st_dev || a.st_ino != b.st_ino) {
		*why = "changed while it was opened";
		error = EAGAIN;
	}
	if (error == 0)
		error = img_host_fdopen(f, fd);
	if (error != 0)
		close(fd);
	return (error);
}

int
host_ref_open(struct host_ref *hr, int dir, const char *name, unsigned flags,
    const char **why)
{
	size_t n = folder_length(name);
	const char *last = name + n;
	int error;

	*why = NULL;
	if (flags & HOST_REF_CONFINED)
		error = confined_folder(dir, name, n, &hr->hr_dir, why);
	else
		error = open_folder(dir, name, n, &hr->hr_dir);
	if (error == 0) {
		if (strcmp(last, "..") == 0 && (flags & HOST_REF_CONFINED))
			error = outside(why);
		else if (*last == '\0')
			error = *name == '\0' ? ENOENT : EISDIR;
		else
			error = open_file(hr->hr_dir, last, flags, &hr->hr_file,
			    why);
		if (error != 0)
			close(hr->hr_dir);
	}
	if (error != 0)
		hr->hr_dir = -1;
	return (error);
}
