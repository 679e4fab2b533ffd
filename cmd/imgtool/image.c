/* SPDX-License-Identifier: ISC */

/*
 * Images that a command works on: opening, and telling what is wrong with
 * them in one line.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "imgtool.h"

/* A finding that outlives the call that brings it. */
static void
keep(struct img_finding *to, const struct img_finding *f)
{
	*to = *f;
	if (f->fi_name != NULL)
		to->fi_name = strdup(f->fi_name);
}

static void
forget(struct img_finding *f)
{
	free((void *)(uintptr_t)f->fi_name);
	f->fi_name = NULL;
}

/* The row that leaves least is what a refusal is about: keep the first. */
static void
keep_limit(struct image *i, const struct img_finding *f)
{
	enum img_allows a = img_row(f->fi_row)->r_allows;

	if (a == IMG_ALLOW_WRITE ||
	    (i->i_limit.fi_row != IMG_ROW_NONE &&
		img_row(i->i_limit.fi_row)->r_allows <= a))
		return;
	forget(&i->i_limit);
	keep(&i->i_limit, f);
}

static void
report(void *arg, const struct img_finding *f)
{
	struct image *i = arg;

	keep_limit(i, f);
	if (img_row(f->fi_row)->r_severity != IMG_SEV_CORRUPT)
		return;
	if (i->i_nwarn < IMAGE_WARNINGS)
		keep(&i->i_warn[i->i_nwarn], f);
	i->i_nwarn++;
}

/* What is corrupt but leaves enough to go on. */
static void
warn(const struct image *i)
{
	unsigned n;

	for (n = 0; n < i->i_nwarn && n < IMAGE_WARNINGS; n++)
		complain_finding(i->i_name, &i->i_warn[n], 1);
	if (i->i_nwarn > IMAGE_WARNINGS)
		complain(i->i_name, "%u more warnings; imgtool check has them",
		    i->i_nwarn - IMAGE_WARNINGS);
}

static void
tell_open(const struct image *i, int error)
{
	if (i->i_limit.fi_row != IMG_ROW_NONE &&
	    (error == EFTYPE || error == EROFS))
		complain_finding(i->i_name, &i->i_limit, 0);
	else
		complain_errno(i->i_name, error);
}

static int
is_allowed(const struct image *i, enum img_allows need)
{
	struct img_finding f;

	if (img_allows(i->i_img, &f) >= need)
		return (1);
	/* The handle does not keep the name that came with the finding. */
	if (i->i_limit.fi_row == f.fi_row)
		f = i->i_limit;
	complain_finding(i->i_name, &f, 0);
	return (0);
}

int
image_open_file(struct image *i, const char *name, struct img_file *file,
    const struct img_format *fmt, unsigned flags, enum img_allows need)
{
	struct img_args args = { .a_format = fmt,
		.a_flags = flags,
		.a_report = report,
		.a_arg = i };
	int error;

	memset(i, 0, sizeof(*i));
	i->i_name = name;
	i->i_file = file;
	error = img_open(&i->i_img, img_host_env(), file, &args);
	if (error != 0) {
		i->i_img = NULL;
		tell_open(i, error);
	} else if (!is_allowed(i, need)) {
		error = EFTYPE;
	} else {
		i->i_format = img_format_of(i->i_img);
		warn(i);
		return (0);
	}
	image_drop(i);
	return (error);
}

int
file_open(struct img_file **file, const char *name, unsigned flags)
{
	int error = img_host_open(file, name, flags);

	if (error == EINVAL)
		complain(name, "neither a regular file nor a disk");
	else if (error != 0)
		complain_errno(name, error);
	return (error);
}

int
image_open(struct image *i, const char *name, const struct img_format *fmt,
    unsigned flags, enum img_allows need)
{
	struct img_file *file;
	int error;

	error =
	    file_open(&file, name, (flags & IMG_RDWR) != 0 ? IMG_HOST_RDWR : 0);
	if (error != 0)
		return (error);
	error = image_open_file(i, name, file, fmt, flags, need);
	if (error != 0)
		img_host_close(file);
	return (error);
}

void
image_complain(struct image *i, int error, uint64_t voff)
{
	struct img_finding f = { .fi_off = IMG_NOWHERE };
	struct img_extent e;

	if (error == EIO && voff < img_size(i->i_img) &&
	    img_map(i->i_img, voff, img_size(i->i_img) - voff, &e) == 0 &&
	    e.e_type == IMG_BAD) {
		f.fi_row = e.e_row;
		f.fi_voff = e.e_voff;
		f.fi_vlen = e.e_len;
		complain_finding(i->i_name, &f, 0);
	} else if (error == EINTR || voff == IMG_NOWHERE) {
		complain_errno(i->i_name, error);
	} else {
		complain(i->i_name, "at guest byte %" PRIu64 ": %s", voff,
		    error_text(error));
	}
}

int
image_end(struct image *i)
{
	int error;

	if (i->i_img == NULL)
		return (0);
	error = img_close(i->i_img);
	i->i_img = NULL;
	image_drop(i);
	if (error != 0)
		complain_errno(i->i_name, error);
	return (error);
}

int
image_close(struct image *i)
{
	struct img_file *file = i->i_file;
	int error, error2;

	error = image_end(i);
	error2 = img_host_close(file);
	if (error == 0 && error2 != 0)
		complain_errno(i->i_name, error2);
	return (error != 0 ? error : error2);
}

int
image_drop(struct image *i)
{
	int begun = 0;
	unsigned n;

	if (i->i_img != NULL)
		begun = img_abandon(i->i_img);
	for (n = 0; n < IMAGE_WARNINGS; n++)
		forget(&i->i_warn[n]);
	forget(&i->i_limit);
	i->i_img = NULL;
	i->i_file = NULL;
	return (begun);
}
