/* SPDX-License-Identifier: ISC */

/*
 * imgtool: inspect, check, convert and make disk images.
 */

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "imgtool.h"
#include "host/host.h"

#define C(name) &cmd_##name,
static const struct command *const commands[] = { COMMANDS NULL };
#undef C

char **command_line;

/* What qemu-img has and we have not, and what comes nearest. */
static const struct {
	const char *q_name;
	const char *q_near;
} elsewhere[] = {
	{ "amend", "convert -o" },
	{ "bench", "dd-read" },
	{ "bitmap", "map" },
	{ "commit", "convert" },
	{ "dd", "dd-read and dd-write" },
	{ "measure", "info" },
	{ "rebase", "convert -B" },
	{ "resize", "create and convert -n" },
	{ "snapshot", "info and convert -l" },
};

static int
version(void)
{
	printf("imgtool %s\n", IMGTOOL_VERSION);
	return (finish(0, 1));
}

static int
help(void)
{
	const struct command *const *c;
	const struct img_format *f;
	unsigned i;

	printf("usage: imgtool COMMAND [OPTION ...] ...\n\n");
	for (c = commands; *c != NULL; c++)
		printf("  %-10s %s\n", (*c)->c_name, (*c)->c_about);
	printf("\nformats:");
	for (i = 0; (f = img_format_at(i)) != NULL; i++)
		printf(" %s", img_format_name(f));
	printf("\nimgtool COMMAND --help tells more; imgtool --version the "
	       "version.\n");
	return (finish(0, 1));
}

static int
unknown(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++) {
		if (strcmp(elsewhere[i].q_name, name) == 0) {
			complain(name, "not an imgtool command; see %s",
			    elsewhere[i].q_near);
			return (1);
		}
	}
	complain(name, "no such command; see imgtool --help");
	return (1);
}

/* What was printed may not have arrived: a full disk, a closed pipe. */
int
finish(int status, int error)
{
	int bad;

	errno = 0;
	bad = ferror(stdout);
	if (fflush(stdout) != 0 || bad) {
		complain("standard output", "%s",
		    errno != 0 ? strerror(errno) : "write error");
		return (status > error ? status : error);
	}
	return (status);
}

/* A signal ended the work: it is what ends the program, too. */
static int
die_of_signal(int sig)
{
	fflush(stdout);
	signal(sig, SIG_DFL);
	raise(sig);
	return (128 + sig);
}

/*
 * Where a standard descriptor is closed, the next file opened would get its
 * number, and messages would go into an image.  Put something there that
 * fails as a closed one does.
 */
static void
guard_descriptors(void)
{
	int fd;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) == -1)
			(void)open("/dev/null",
			    fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int
main(int argc, char **argv)
{
	const struct command *const *c;
	int status;

	command_line = argv;
	guard_descriptors();
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2) {
		complain(NULL, "no command; see imgtool --help");
		return (1);
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
		return (help());
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
		return (version());
	for (c = commands; *c != NULL; c++) {
		if (strcmp((*c)->c_name, argv[1]) == 0)
			break;
	}
	if (*c == NULL)
		return (unknown(argv[1]));
	status = (*c)->c_main(argc - 1, argv + 1);
	progress_end();
	if (status != 0 && host_signal() != 0)
		return (die_of_signal(host_signal()));
	return (finish(status, (*c)->c_error));
}
