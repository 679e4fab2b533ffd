/* SPDX-License-Identifier: ISC */

/* folder.h: an empty folder to work in, gone after the test. */

#ifndef TESTS_UNIT_HOST_FOLDER_H
#define TESTS_UNIT_HOST_FOLDER_H

#include <sys/types.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/host.h"

static char folder_path[PATH_MAX];

static inline int
folder_make(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(folder_path, sizeof(folder_path), "%s/imgtool.XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	umask(022);
	/* Nothing here may take long; what blocks shall fail. */
	alarm(60);
	return (mkdtemp(folder_path) == NULL || chdir(folder_path) == -1 ||
	    chmod(".", 0777) == -1);
}

/*
 * A loop device over the file, which a test of devices needs; NULL if there
 * is none to be had.  It goes with the folder.
 */
static char folder_loop[64];

static inline const char *
loop_attach(const char *file)
{
	char cmd[PATH_MAX];
	FILE *p;

	snprintf(cmd, sizeof(cmd), "losetup --show -f '%s' 2>/dev/null", file);
	if (geteuid() != 0 || (p = popen(cmd, "r")) == NULL)
		return (NULL);
	if (fgets(folder_loop, sizeof(folder_loop), p) == NULL)
		folder_loop[0] = '\0';
	folder_loop[strcspn(folder_loop, "\n")] = '\0';
	return (pclose(p) == 0 && folder_loop[0] != '\0' ? folder_loop : NULL);
}

static inline int
folder_remove(void **state)
{
	char cmd[PATH_MAX + 16];

	(void)state;
	if (folder_loop[0] != '\0') {
		snprintf(cmd, sizeof(cmd), "losetup -d '%s'", folder_loop);
		folder_loop[0] = '\0';
		if (system(cmd) != 0)
			return (1);
	}
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", folder_path);
	return (chdir("/") == -1 || system(cmd) != 0);
}

/* How many names there are, hidden ones too. */
static inline unsigned
folder_count(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	unsigned n = 0;

	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			n++;
	closedir(d);
	return (n);
}

static inline void
put_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static inline void
assert_file(const char *path, const char *text)
{
	char buf[256];
	ssize_t n;
	int fd = open(path, O_RDONLY);

	assert_int_not_equal(fd, -1);
	n = read(fd, buf, sizeof(buf) - 1);
	assert_true(n >= 0);
	buf[n] = '\0';
	close(fd);
	assert_string_equal(buf, text);
}

/* Run fn in a child and give what waitpid says of it. */
static inline int
in_child(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return (status);
}

/* In a child, where cmocka's assertions would go on in the parent's name. */
#define CHILD_ASSERT(x) ((x) ? (void)0 : _exit(__LINE__ % 250 + 1))

#endif /* TESTS_UNIT_HOST_FOLDER_H */
