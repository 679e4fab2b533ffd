/* SPDX-License-Identifier: ISC */

/*
 * qcowctl(8) and vhdctl(8): control of qcow(4) and vhd(4), one program by two
 * names.  For OpenBSD.
 */

#include <sys/types.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <util.h>

#include "dev/qcowioctl.h"
#include "dev/vhdioctl.h"

/* The driver that this name of the program is for. */
struct driver {
	const char *d_name;
	int d_secsize; /* attach takes -s */
	unsigned long d_detach;
	unsigned long d_fname;
	unsigned long d_stat;
	unsigned long d_list;
	int (*d_attach)(int, char *, int, unsigned int);
};

static int
attach_qcow(int fd, char *image, int readonly, unsigned int secbits)
{
	struct qcow_attach qc = { .qc_file = image,
		.qc_readonly = readonly,
		.qc_secbits = secbits };

	return (ioctl(fd, QCOWIOCATTACH, &qc));
}

static int
attach_vhd(int fd, char *image, int readonly, unsigned int secbits)
{
	struct vhd_attach va = { .vhd_file = image, .vhd_readonly = readonly };

	(void)secbits;
	return (ioctl(fd, VHDIOCATTACH, &va));
}

static const struct driver drivers[] = {
	{ "qcow", 1, QCOWIOCDETACH, QCOWIOCFNAME, QCOWIOCSTAT, QCOWIOCLIST,
	    attach_qcow },
	{ "vhd", 0, VHDIOCDETACH, VHDIOCFNAME, VHDIOCSTAT, VHDIOCLIST,
	    attach_vhd },
};

static const struct driver *drv;

static __dead void
usage(void)
{
	fprintf(stderr,
	    "usage: %s attach [-r]%s [%sN] image\n"
	    "       %s detach [-f] %sN\n"
	    "       %s fname %sN\n"
	    "       %s stat %sN\n"
	    "       %s list\n",
	    getprogname(), drv->d_secsize ? " [-s secsize]" : "", drv->d_name,
	    getprogname(), drv->d_name, getprogname(), drv->d_name,
	    getprogname(), drv->d_name, getprogname());
	exit(2);
}

/* The raw partition of a unit: "qcow0", or a path that opendev(3) knows. */
static int
open_unit(const char *unit, int flags)
{
	char *path;
	int fd;

	fd = opendev(unit, flags, OPENDEV_PART, &path);
	if (fd == -1)
		err(1, "%s", unit);
	return (fd);
}

/* Any unit will do to ask about all of them: the first is always there. */
static int
open_first(int flags)
{
	char unit[32];

	(void)snprintf(unit, sizeof(unit), "%s0", drv->d_name);
	return (open_unit(unit, flags));
}

static unsigned int
secbits_of(const char *text)
{
	const char *wrong;
	unsigned int bits = 0;
	long long n;

	n = strtonum(text, 512, 65536, &wrong);
	if (wrong != NULL)
		errx(2, "sector size is %s: %s", wrong, text);
	while (1LL << bits < n)
		bits++;
	if (1LL << bits != n)
		errx(2, "sector size is not a power of two: %s", text);
	return (bits);
}

/* A unit without an image; its number. */
static unsigned int
find_free(int fd)
{
	struct imgdisk_unit iu;

	memset(&iu, 0, sizeof(iu));
	for (;; iu.iu_unit++) {
		if (ioctl(fd, drv->d_list, &iu) == -1)
			err(1, errno == ENXIO ? "no unit is free" : "list");
		if (!iu.iu_attached)
			return (iu.iu_unit);
	}
}

/*
 * No pledge(2) has a promise for these ioctls, so everything but printing
 * comes before it; until then unveil(2) holds it to what it needs.
 */
static void
only_print(void)
{
	if (pledge("stdio", NULL) == -1)
		err(1, "pledge");
}

static void
only_see(const char *dev_rights, const char *path, const char *rights)
{
	if (unveil("/dev", dev_rights) == -1 ||
	    (path != NULL && unveil(path, rights) == -1) ||
	    unveil(NULL, NULL) == -1)
		err(1, "unveil");
}

static int
do_attach(int argc, char **argv)
{
	char unit[32];
	unsigned int secbits = 0;
	int ch, fd, readonly = 0;

	while ((ch = getopt(argc, argv, drv->d_secsize ? "rs:" : "r")) != -1) {
		if (ch == 'r')
			readonly = 1;
		else if (ch == 's')
			secbits = secbits_of(optarg);
		else
			usage();
	}
	argc -= optind;
	argv += optind;
	if (argc != 1 && argc != 2)
		usage();
	/* The kernel opens the image with the rights that this has. */
	only_see("rw", argv[argc - 1], readonly ? "r" : "rw");
	if (argc == 1) {
		fd = open_first(O_RDONLY);
		(void)snprintf(unit, sizeof(unit), "%s%u", drv->d_name,
		    find_free(fd));
		close(fd);
	} else
		(void)strlcpy(unit, argv[0], sizeof(unit));
	fd = open_unit(unit, O_RDWR);
	if (drv->d_attach(fd, argv[argc - 1], readonly, secbits) == -1)
		err(1, "%s: %s", unit, argv[argc - 1]);
	close(fd);
	only_print();
	if (argc == 1)
		printf("%s\n", unit);
	return (0);
}

static int
do_detach(int argc, char **argv)
{
	unsigned int force = 0;
	int ch, fd;

	while ((ch = getopt(argc, argv, "f")) != -1) {
		if (ch != 'f')
			usage();
		force = 1;
	}
	if (argc - optind != 1)
		usage();
	only_see("rw", NULL, NULL);
	fd = open_unit(argv[optind], O_RDWR);
	if (ioctl(fd, drv->d_detach, &force) == -1)
		err(1, "%s", argv[optind]);
	/* By force, this descriptor is one of those that are gone. */
	(void)close(fd);
	return (0);
}

/* The unit that a question is about, from here on without a file system. */
static int
open_asked(int argc, char **argv)
{
	if (argc != 2)
		usage();
	only_see("r", NULL, NULL);
	return (open_unit(argv[1], O_RDONLY));
}

static int
do_fname(int argc, char **argv)
{
	struct imgdisk_fname in;
	int fd = open_asked(argc, argv);

	if (ioctl(fd, drv->d_fname, &in) == -1)
		err(1, "%s", argv[1]);
	only_print();
	printf("%s\n", in.if_name);
	return (0);
}

static int
do_stat(int argc, char **argv)
{
	struct stat sb;
	int fd = open_asked(argc, argv);

	if (ioctl(fd, drv->d_stat, &sb) == -1)
		err(1, "%s", argv[1]);
	only_print();
	printf("device %u,%u inode %llu size %lld blocks %lld\n",
	    (unsigned int)major(sb.st_dev), (unsigned int)minor(sb.st_dev),
	    (unsigned long long)sb.st_ino, (long long)sb.st_size,
	    (long long)sb.st_blocks);
	return (0);
}

static void
print_unit(const struct imgdisk_unit *iu)
{
	if (!iu->iu_attached)
		printf("%s%u: not in use\n", drv->d_name, iu->iu_unit);
	else
		printf("%s%u: %s, %llu bytes%s\n", drv->d_name, iu->iu_unit,
		    iu->iu_name, (unsigned long long)iu->iu_size,
		    iu->iu_readonly ? ", read-only" : "");
}

static int
do_list(int argc, char **argv)
{
	struct imgdisk_unit *iu = NULL;
	unsigned int i, n;
	int fd;

	(void)argv;
	if (argc != 1)
		usage();
	only_see("r", NULL, NULL);
	fd = open_first(O_RDONLY);
	for (n = 0;; n++) {
		iu = reallocarray(iu, n + 1, sizeof(*iu));
		if (iu == NULL)
			err(1, NULL);
		iu[n].iu_unit = n;
		if (ioctl(fd, drv->d_list, &iu[n]) == -1)
			break;
	}
	if (errno != ENXIO)
		err(1, "list");
	only_print();
	for (i = 0; i < n; i++)
		print_unit(&iu[i]);
	free(iu);
	return (0);
}

static const struct {
	const char *v_name;
	int (*v_do)(int, char **);
} verbs[] = {
	{ "attach", do_attach },
	{ "detach", do_detach },
	{ "fname", do_fname },
	{ "stat", do_stat },
	{ "list", do_list },
};

int
main(int argc, char **argv)
{
	size_t i;

	drv = &drivers[strncmp(getprogname(), "vhd", 3) == 0];
	if (argc < 2)
		usage();
	for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(argv[1], verbs[i].v_name) == 0)
			return (verbs[i].v_do(argc - 1, argv + 1));
	usage();
}
