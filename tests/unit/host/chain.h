/* SPDX-License-Identifier: ISC */

/* chain.h: images that reference each other, for the tests of chains. */

#ifndef TESTS_UNIT_HOST_CHAIN_H
#define TESTS_UNIT_HOST_CHAIN_H

#include "unit/host/folder.h"

#define MIB (UINT64_C(1) << 20)

/* An image of a format at path; opts as for img_create. */
static inline void
make(const char *path, const char *format, const char *opts)
{
	struct img_create cr = { .cr_size = MIB,
		.cr_opts = opts,
		.cr_name = path,
		.cr_repeatable = 1 };
	struct img_file *f;

	assert_int_equal(img_host_open(&f, path,
			     IMG_HOST_RDWR | IMG_HOST_CREATE),
	    0);
	assert_int_equal(img_create(img_host_env(), f, img_format_find(format),
			     &cr),
	    0);
	assert_int_equal(img_host_close(f), 0);
}

/* Bytes of a header that no writer would write. */
static inline void
patch(const char *path, const char *text, uint64_t off)
{
	struct img_file *f;

	assert_int_equal(img_host_open(&f, path, IMG_HOST_RDWR), 0);
	assert_int_equal(f->f_ops->fo_write(f, text, (uint32_t)strlen(text),
			     off),
	    0);
	assert_int_equal(img_host_close(f), 0);
}

/* Where the format of the backing file is, first of the extensions. */
#define EXT_TYPE 112
#define EXT_NAME 120

/* An overlay at path; the format is not recorded where it is NULL. */
static inline void
make_overlay(const char *path, const char *name, const char *format)
{
	char opts[5000];

	(void)snprintf(opts, sizeof(opts), "backing_file=%s,backing_fmt=%s",
	    name, format != NULL ? format : "raw");
	make(path, "qcow2", opts);
	if (format == NULL)
		patch(path, "none", EXT_TYPE);
}

static struct img_chain_args ca;

static inline void
fresh_args(unsigned flags)
{
	memset(&ca, 0, sizeof(ca));
	ca.ca_flags = flags;
	ca.ca_name = "not set";
	memset(ca.ca_why, 'x', sizeof(ca.ca_why) - 1);
}

static inline unsigned
open_files(void)
{
	unsigned n = 0;
	int fd;

	for (fd = 0; fd < 1000; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return (n);
}

/* Opening fails like this, is about that file, and leaves nothing open. */
static inline void
assert_refused(const char *path, int error, const char *name, const char *why)
{
	struct img_chain *ch = NULL;
	unsigned n = open_files();

	assert_int_equal(img_chain_open(&ch, path, NULL, &ca), error);
	assert_null(ch);
	assert_string_equal(ca.ca_name, name);
	if (*why == '\0')
		assert_string_equal(ca.ca_why, "");
	else
		assert_non_null(strstr(ca.ca_why, why));
	assert_int_equal(open_files(), n);
}

static inline struct img_chain *
opened(const char *path)
{
	struct img_chain *ch;

	assert_int_equal(img_chain_open(&ch, path, NULL, &ca), 0);
	return (ch);
}

static inline void
assert_depth(const struct img_chain *ch, unsigned n)
{
	assert_non_null(img_chain_image(ch, n - 1));
	assert_null(img_chain_image(ch, n));
	assert_null(img_chain_path(ch, n));
	assert_null(img_chain_file(ch, n));
}

static inline int
is_writable(const struct img_file *f)
{
	return ((fcntl(img_host_fd(f), F_GETFL) & O_ACCMODE) == O_RDWR);
}

#endif /* TESTS_UNIT_HOST_CHAIN_H */
