/* SPDX-License-Identifier: ISC */

/*
 * disk_help.h: what the programs share that try formats with random writes.
 */

#ifndef DISK_HELP_H
#define DISK_HELP_H

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "img_host.h"

/* Files p0 to p7 of the current directory. */
#define NPATTERNS 8

struct op {
	char o_what; /* 'w'rite, 'z'ero, 'd'iscard, 'f'lush */
	unsigned o_pattern;
	uint64_t o_off;
	uint64_t o_len;
};

static uint64_t state;

static inline void
stop(const char *what, const char *name, int error)
{
	const char *words = img_strerror(error);

	fprintf(stderr, "%s %s: %s\n", what, name,
	    words != NULL ? words : strerror(error));
	exit(1);
}

/* splitmix64, by its definition. */
static inline uint64_t
next(void)
{
	uint64_t z = (state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (z ^ (z >> 31));
}

/* Less than n, which is not 0. */
static inline uint64_t
upto(uint64_t n)
{
	return (next() % n);
}

static inline uint64_t
number(const char *s)
{
	char *end;
	uint64_t n = strtoull(s, &end, 10);

	if (*s < '0' || *s > '9' || *end != '\0')
		stop("number", s, EINVAL);
	return (n);
}

static inline int
is(const char *a, const char *b)
{
	return (strcmp(a, b) == 0);
}

static inline uint8_t *
load(const char *path, size_t *len)
{
	struct stat st;
	uint8_t *p;
	int fd = open(path, O_RDONLY);

	if (fd == -1 || fstat(fd, &st) == -1)
		stop("open", path, errno);
	*len = (size_t)st.st_size;
	if ((p = malloc(*len + 1)) == NULL)
		stop("malloc", path, ENOMEM);
	if (read(fd, p, *len) != (ssize_t)*len)
		stop("read", path, EIO);
	close(fd);
	return (p);
}

static inline void
save(const char *path, const uint8_t *p, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0666);

	if (fd == -1 || write(fd, p, len) != (ssize_t)len || close(fd) == -1)
		stop("write", path, errno);
}

#endif /* DISK_HELP_H */
