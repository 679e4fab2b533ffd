/* SPDX-License-Identifier: ISC */

/*
 * disk_io.c: a plan of disk_plan, for the library and for a plain file.
 *
 *	disk_io raw PLAN FILE
 *		do that to a plain file
 *	disk_io img FORMAT AT PLAN FILE IMAGE SLICES
 *		do that to an image whose disk, from byte AT on, is what the
 *		file has, and to the file; look all the time, before and
 *		after flushes, whether it reads as it must
 *	disk_io same FORMAT AT FILE IMAGE SNAPSHOT ...
 *		does the library read just these bytes, and is its check
 *		content?  SNAPSHOT is a name, or "" for the active disk
 *
 * Patterns are repeated over what is written, as qemu-io's write -s has it.
 */

#include "interop/disk_help.h"

#define PATTERN_MAX 8192

struct pattern {
	uint8_t p_bytes[PATTERN_MAX];
	size_t p_len;
};

static int
parse(const char *line, struct op *o)
{
	memset(o, 0, sizeof(*o));
	o->o_what = 'w';
	if (sscanf(line, "write -s p%u %" SCNu64 " %" SCNu64, &o->o_pattern,
		&o->o_off, &o->o_len) == 3)
		return (o->o_pattern < NPATTERNS);
	o->o_what = 'z';
	if (sscanf(line, "write -z -u %" SCNu64 " %" SCNu64, &o->o_off,
		&o->o_len) == 2 ||
	    sscanf(line, "write -z %" SCNu64 " %" SCNu64, &o->o_off,
		&o->o_len) == 2 ||
	    sscanf(line, "discard %" SCNu64 " %" SCNu64, &o->o_off,
		&o->o_len) == 2)
		return (1);
	o->o_what = 'f';
	return (strcmp(line, "flush\n") == 0);
}

static void
load_patterns(struct pattern *p)
{
	char name[8];
	uint8_t *bytes;
	size_t len;
	unsigned i;

	for (i = 0; i < NPATTERNS; i++) {
		snprintf(name, sizeof(name), "p%u", i);
		bytes = load(name, &len);
		if (len == 0 || len > PATTERN_MAX)
			stop("pattern", name, EINVAL);
		memcpy(p[i].p_bytes, bytes, len);
		p[i].p_len = len;
		free(bytes);
	}
}

/* Do it to memory. */
static void
apply(const struct op *o, const struct pattern *p, uint8_t *disk, size_t len)
{
	uint64_t i;

	if (o->o_what == 'f')
		return;
	if (o->o_off > len || o->o_len > len - o->o_off)
		stop("range", "in the plan", EINVAL);
	for (i = 0; i < o->o_len; i++)
		disk[o->o_off + i] = o->o_what == 'z' ?
		    0 :
		    p[o->o_pattern].p_bytes[i % p[o->o_pattern].p_len];
}

/* --- images ----------------------------------------------------------- */

static unsigned nbad;
static const char *format;
static uint64_t at; /* where on the disk the file begins */

static void
report(void *arg, const struct img_finding *f)
{
	const struct img_rowdesc *r = img_row(f->fi_row);

	(void)arg;
	if (r->r_severity <= IMG_SEV_NOTE)
		return;
	nbad++;
	fprintf(stderr, "disk_io: %s-%u at %" PRIu64 ": %s\n", r->r_format,
	    r->r_number, f->fi_off, r->r_text);
}

static struct img_chain *
open_image(const char *path, unsigned flags, unsigned slices,
    const char *snapshot)
{
	struct img_chain_args ca;
	struct img_chain *ch;
	int error;

	memset(&ca, 0, sizeof(ca));
	ca.ca_args.a_format = img_format_find(format);
	ca.ca_args.a_flags = flags;
	ca.ca_args.a_slices = slices;
	ca.ca_args.a_report = report;
	ca.ca_args.a_snapshot = snapshot;
	ca.ca_flags = IMG_CHAIN_TRUST;
	error = img_chain_open(&ch, path, NULL, &ca);
	if (error != 0) {
		fprintf(stderr, "disk_io: %s\n", ca.ca_why);
		stop("open", path, error);
	}
	return (ch);
}

/* [off, off + len) of the disk is as in memory. */
static void
look(struct img *im, const uint8_t *disk, uint64_t off, uint64_t len)
{
	static uint8_t buf[1 << 20];
	uint32_t n;
	size_t i;
	int error;

	for (; len > 0; off += n, len -= n) {
		n = len < sizeof(buf) ? (uint32_t)len : sizeof(buf);
		error = img_read(im, buf, n, at + off);
		if (error != 0)
			stop("img_read", "", error);
		if (memcmp(buf, disk + off, n) == 0)
			continue;
		for (i = 0; buf[i] == disk[off + i];)
			i++;
		printf("byte %" PRIu64 " is %#x, not %#x\n", off + i, buf[i],
		    disk[off + i]);
		exit(1);
	}
}

static void
look_somewhere(struct img *im, const uint8_t *disk, uint64_t len)
{
	uint64_t off = upto(len), n = 1 + upto(100000);

	look(im, disk, off, n < len - off ? n : len - off);
}

static int
perform(struct img *im, const struct op *o, const uint8_t *disk)
{
	uint64_t off = o->o_off, left = o->o_len;
	uint32_t n;
	int error = 0;

	if (o->o_what == 'f')
		return (img_flush(im));
	if (o->o_what == 'z')
		return (img_zero(im, at + off, left));
	for (; left > 0 && error == 0; off += n, left -= n) {
		n = upto(2) == 0 ? 777777 : 8 << 20;
		n = left < n ? (uint32_t)left : n;
		error = img_write(im, disk + off, n, at + off);
	}
	return (error);
}

static void
follow(struct img *im, FILE *plan, uint8_t *disk, size_t len)
{
	static struct pattern patterns[NPATTERNS];
	char line[128];
	struct op o;
	int error;

	load_patterns(patterns);
	while (fgets(line, sizeof(line), plan) != NULL) {
		if (!parse(line, &o))
			stop("plan", line, EINVAL);
		apply(&o, patterns, disk, len);
		if (im == NULL)
			continue;
		error = perform(im, &o, disk);
		if (error != 0)
			stop("img", line, error);
		if (o.o_what != 'f')
			look(im, disk, o.o_off, o.o_len);
		look_somewhere(im, disk, len);
	}
}

static FILE *
open_plan(const char *path)
{
	FILE *plan = fopen(path, "r");

	if (plan == NULL)
		stop("open", path, errno);
	return (plan);
}

static void
do_raw(const char *path, const char *file)
{
	FILE *plan = open_plan(path);
	uint8_t *disk;
	size_t len;

	disk = load(file, &len);
	follow(NULL, plan, disk, len);
	save(file, disk, len);
	free(disk);
	fclose(plan);
}

static void
do_img(const char *path, const char *file, const char *image,
    const char *slices)
{
	FILE *plan = open_plan(path);
	struct img_chain *ch;
	struct img *im;
	uint8_t *disk;
	size_t len;
	int error;

	disk = load(file, &len);
	ch = open_image(image, IMG_RDWR, (unsigned)number(slices), NULL);
	im = img_chain_image(ch, 0);
	if (img_size(im) != at + len)
		stop("size", image, EINVAL);
	follow(im, plan, disk, len);
	look(im, disk, 0, len);
	error = img_chain_close(ch);
	if (error != 0)
		stop("close", image, error);
	save(file, disk, len);
	free(disk);
	fclose(plan);
}

static void
do_same(const char *file, const char *image, const char *snapshot)
{
	struct img_checked checked;
	struct img_chain *ch;
	struct img *im;
	uint8_t *disk;
	size_t len;
	int error;

	printf("%s of %s: ", *snapshot != '\0' ? snapshot : "disk", image);
	disk = load(file, &len);
	ch = open_image(image, IMG_VERIFY, 0,
	    *snapshot != '\0' ? snapshot : NULL);
	im = img_chain_image(ch, 0);
	if (img_size(im) != at + len)
		stop("size", image, EINVAL);
	look(im, disk, 0, len);
	if (*snapshot == '\0') {
		memset(&checked, 0, sizeof(checked));
		error = img_check(im, IMG_DEEP, 2000000000, &checked);
		if (error != 0)
			stop("check", image, error);
	}
	if (nbad > 0)
		exit(1);
	(void)img_chain_close(ch);
	free(disk);
	printf("good\n");
}

int
main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int i;

	if (argc == 4 && is(what, "raw")) {
		do_raw(argv[2], argv[3]);
		return (0);
	}
	if (argc > 4) {
		format = argv[2];
		at = number(argv[3]);
	}
	if (argc == 8 && is(what, "img"))
		do_img(argv[4], argv[5], argv[6], argv[7]);
	else if (argc > 6 && argc % 3 == 1 && is(what, "same"))
		for (i = 4; i < argc; i += 3)
			do_same(argv[i], argv[i + 1], argv[i + 2]);
	else
		stop("usage", what, EINVAL);
	return (0);
}
