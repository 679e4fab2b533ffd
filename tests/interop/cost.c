/* SPDX-License-Identifier: ISC */

/*
 * cost.c: what calls of the library cost, as counts of reads, bytes and
 * memory, printed as lines "name=number"; and a file that is as stubborn as
 * a device.  Work is counted by a host file around a host file.
 *
 *	cost check FILE		as imgtool check does it
 *	cost open FILE		img_open and img_close alone
 *	cost copy FMT FILE	to a new VHD whose bytes are not kept
 *	cost make FILE GIB BLOCK ORDER
 *				a dynamic VHD with all blocks allocated, in
 *				this order: up, down, mixed, same
 *	cost device RAW FILE [N]
 *				convert to FILE as if it were a device; die
 *				with status 3 after N writes
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "img_host.h"

/* As in cmd/imgtool/check.c. */
#define SLICES 8192

#define UNTESTABLE 77
#define DIED 3

struct counted {
	struct img_file c_file; /* first */
	struct img_file *c_under;
	uint64_t c_reads;
	uint64_t c_bytes;
	uint64_t c_writes;
	uint64_t c_last; /* die instead of the write after this one */
};

static uint64_t now, peak; /* bytes allocated */
static uint64_t nfound, nbad;

static void
stop(const char *what, int error)
{
	const char *words = img_strerror(error);

	fprintf(stderr, "cost: %s: %s\n", what,
	    words != NULL ? words : strerror(error));
	exit(1);
}

static struct counted *
counted(struct img_file *f)
{
	return ((struct counted *)f);
}

static int
count_read(struct img_file *f, void *p, uint32_t len, uint64_t off)
{
	counted(f)->c_reads++;
	counted(f)->c_bytes += len;
	f = counted(f)->c_under;
	return (f->f_ops->fo_read(f, p, len, off));
}

static int
count_write(struct img_file *f, const void *p, uint32_t len, uint64_t off)
{
	uint64_t end;
	int error;

	if (counted(f)->c_writes++ == counted(f)->c_last)
		exit(DIED);
	if (f->f_flags & IMG_FILE_FIXED) {
		error = f->f_ops->fo_length(f, &end);
		if (error != 0)
			return (error);
		if (off > end || len > end - off)
			return (ENOSPC);
	}
	f = counted(f)->c_under;
	return (f->f_ops->fo_write(f, p, len, off));
}

static int
count_barrier(struct img_file *f)
{
	(void)f;
	return (0);
}

static int
count_length(struct img_file *f, uint64_t *len)
{
	f = counted(f)->c_under;
	return (f->f_ops->fo_length(f, len));
}

static int
count_resize(struct img_file *f, uint64_t len)
{
	if (f->f_flags & IMG_FILE_FIXED)
		return (EINVAL);
	counted(f)->c_writes++;
	f = counted(f)->c_under;
	return (f->f_ops->fo_resize(f, len));
}

static int
count_extent(struct img_file *f, uint64_t off, uint64_t *len, int *data)
{
	f = counted(f)->c_under;
	return (f->f_ops->fo_extent(f, off, len, data));
}

static const struct img_fileops file_ops = {
	.fo_read = count_read,
	.fo_write = count_write,
	.fo_barrier = count_barrier,
	.fo_length = count_length,
	.fo_resize = count_resize,
	.fo_extent = count_extent,
};
static const struct img_fileops device_ops = {
	.fo_read = count_read,
	.fo_write = count_write,
	.fo_barrier = count_barrier,
	.fo_length = count_length,
	.fo_resize = count_resize,
};

static void
wrap(struct counted *c, const char *path, unsigned flags, int device)
{
	int error;

	memset(c, 0, sizeof(*c));
	error = img_host_open(&c->c_under, path, flags);
	if (error != 0)
		stop(path, error);
	c->c_last = UINT64_MAX;
	c->c_file.f_ops = device ? &device_ops : &file_ops;
	c->c_file.f_flags = device ? IMG_FILE_FIXED : IMG_FILE_ZEROES;
}

static void
unwrap(struct counted *c)
{
	int error = img_host_close(c->c_under);

	if (error != 0)
		stop("close", error);
}

static void *
count_alloc(void *arg, size_t n)
{
	void *p = calloc(1, n);

	(void)arg;
	if (p != NULL)
		now += n;
	if (now > peak)
		peak = now;
	return (p);
}

static void
count_free(void *arg, void *p, size_t n)
{
	(void)arg;
	if (p != NULL)
		now -= n;
	free(p);
}

static const struct img_env env = { .ev_alloc = count_alloc,
	.ev_free = count_free };

static void
found(void *arg, const struct img_finding *f)
{
	(void)arg;
	nfound++;
	if (img_row(f->fi_row)->r_severity > IMG_SEV_NOTE)
		nbad++;
}

static void
print_counts(const struct counted *c)
{
	printf("reads=%" PRIu64 "\nbytes=%" PRIu64 "\nwrites=%" PRIu64 "\n",
	    c->c_reads, c->c_bytes, c->c_writes);
	printf("peak=%" PRIu64 "\nleft=%" PRIu64 "\n", peak, now);
	printf("findings=%" PRIu64 "\nbad=%" PRIu64 "\n", nfound, nbad);
}

static void
open_counted(struct img **im, struct counted *c, const char *format,
    unsigned flags, unsigned slices)
{
	struct img_args a = { .a_flags = flags,
		.a_slices = slices,
		.a_report = found };
	int error;

	if (format != NULL)
		a.a_format = img_format_find(format);
	error = img_open(im, &env, &c->c_file, &a);
	if (error != 0)
		stop("img_open", error);
}

static void
close_counted(struct img *im, struct counted *c)
{
	int error = img_close(im);

	if (error != 0)
		stop("img_close", error);
	print_counts(c);
	unwrap(c);
}

static void
do_check(const char *path)
{
	struct img_checked ch;
	struct counted c;
	struct img *im;
	int error;

	memset(&ch, 0, sizeof(ch));
	wrap(&c, path, 0, 0);
	open_counted(&im, &c, NULL, IMG_VERIFY, SLICES);
	error = img_check(im, 0, 2000000000, &ch);
	if (error != 0)
		stop("img_check", error);
	printf("units=%" PRIu64 "\nallocated=%" PRIu64 "\n", ch.ch_units,
	    ch.ch_allocated);
	close_counted(im, &c);
}

static void
do_open(const char *path)
{
	struct counted c;
	struct img *im;

	wrap(&c, path, 0, 0);
	open_counted(&im, &c, NULL, 0, 0);
	printf("size=%" PRIu64 "\n", img_size(im));
	close_counted(im, &c);
}

static void
make_image(struct counted *c, uint64_t size, const char *opts)
{
	struct img_create cr = { .cr_size = size,
		.cr_opts = opts,
		.cr_time = 1000000000 };
	int error;

	memset(cr.cr_random, 0x55, sizeof(cr.cr_random));
	error = img_create(&env, &c->c_file, img_format_find("vhd"), &cr);
	if (error != 0)
		stop(cr.cr_error[0] != '\0' ? cr.cr_error : "img_create",
		    error);
}

static void
copy_to(struct img *src, struct counted *c, unsigned flags)
{
	struct img_copy how = { .cp_sparse = 4096, .cp_flags = flags };
	struct img *dst;
	int error;

	make_image(c, img_size(src), NULL);
	open_counted(&dst, c, "vhd", IMG_RDWR | IMG_FRESH, 0);
	error = img_copy(&env, src, dst, &how);
	if (error == 0)
		error = img_close(dst);
	if (error != 0)
		stop("img_copy", error);
}

static void
do_copy(const char *format, const char *path)
{
	static const char temp[] = "cost.tmp";
	struct counted from, to;
	struct img *src;

	wrap(&from, path, 0, 0);
	wrap(&to, temp, IMG_HOST_CREATE, 0);
	(void)unlink(temp);
	open_counted(&src, &from, format, 0, 0);
	copy_to(src, &to, 0);
	printf("written=%" PRIu64 "\n", to.c_writes);
	unwrap(&to);
	close_counted(src, &from);
}

static void
do_device(const char *path, const char *device, const char *last)
{
	struct counted from, to;
	struct img *src;

	wrap(&from, path, 0, 0);
	wrap(&to, device, IMG_HOST_RDWR, 1);
	if (last != NULL)
		to.c_last = strtoull(last, NULL, 10);
	open_counted(&src, &from, "raw", 0, 0);
	copy_to(src, &to, IMG_COPY_INPLACE);
	close_counted(src, &to);
	unwrap(&from);
}

static void
put(struct img_file *f, const void *p, uint32_t len, uint64_t off)
{
	int error = f->f_ops->fo_write(f, p, len, off);

	if (error == EFBIG) {
		printf("this file system has no file of %" PRIu64 " bytes\n",
		    off);
		exit(UNTESTABLE);
	}
	if (error != 0)
		stop("write", error);
}

/* Which place the i-th of n blocks has. */
static uint64_t
place(const char *order, uint64_t i, uint64_t n)
{
	if (strcmp(order, "up") == 0)
		return (i);
	if (strcmp(order, "down") == 0)
		return (n - 1 - i);
	if (strcmp(order, "same") == 0)
		return (n - 1);
	/* The prime has no factor in common with any n used here. */
	return (i * 7368787 % n);
}

static void
write_bat(struct img_file *f, uint64_t n, uint64_t stride, const char *order)
{
	uint64_t start = (1536 + (n * 4 + 511) / 512 * 512) / 512, i, sec;
	uint8_t *bat = malloc((size_t)n * 4);

	if (bat == NULL)
		stop("malloc", ENOMEM);
	for (i = 0; i < n; i++) {
		sec = start + place(order, i, n) * stride;
		bat[i * 4] = (uint8_t)(sec >> 24);
		bat[i * 4 + 1] = (uint8_t)(sec >> 16);
		bat[i * 4 + 2] = (uint8_t)(sec >> 8);
		bat[i * 4 + 3] = (uint8_t)sec;
	}
	put(f, bat, (uint32_t)n * 4, 1536);
	free(bat);
}

/* create makes it empty; a full BAT and the footer at its end make it full. */
static void
do_make(const char *path, const char *gib, const char *block, const char *order)
{
	uint64_t size = strtoull(gib, NULL, 10) << 30, n, end, stride;
	uint64_t unit = strtoull(block, NULL, 10);
	uint8_t footer[512];
	struct counted c;
	char opts[64];
	int error;

	wrap(&c, path, IMG_HOST_CREATE, 0);
	snprintf(opts, sizeof(opts), "block_size=%s", block);
	make_image(&c, size, opts);
	n = size / unit;
	stride = unit + (unit / 4096 + 511) / 512 * 512;
	end = 1536 + (n * 4 + 511) / 512 * 512;
	error =
	    c.c_under->f_ops->fo_read(c.c_under, footer, sizeof(footer), end);
	if (error != 0)
		stop("read", error);
	memset(opts, 0, sizeof(opts));
	put(c.c_under, footer, sizeof(footer), end + n * stride);
	memset(footer, 0, sizeof(footer));
	put(c.c_under, footer, sizeof(footer), end);
	write_bat(c.c_under, n, stride / 512, order);
	unwrap(&c);
	printf("metadata=%" PRIu64 "\nentries=%" PRIu64 "\n", end + 512, n);
}

int
main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (argc == 3 && strcmp(what, "check") == 0)
		do_check(argv[2]);
	else if (argc == 3 && strcmp(what, "open") == 0)
		do_open(argv[2]);
	else if (argc == 4 && strcmp(what, "copy") == 0)
		do_copy(argv[2], argv[3]);
	else if (argc == 6 && strcmp(what, "make") == 0)
		do_make(argv[2], argv[3], argv[4], argv[5]);
	else if ((argc == 4 || argc == 5) && strcmp(what, "device") == 0)
		do_device(argv[2], argv[3], argv[4]);
	else
		stop("usage", EINVAL);
	return (0);
}
