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
#include "host/host.h"

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

static int
is_allowed(const struct image *i, enum img_allows need)
{
	struct img_finding f;

	if (img_allows(i->i_img, &f) >= need)
		return (1);
	/* The handle does not keep the name that came with the finding. */
	if (i->i_limit.fi_row == f.fi_row)
		f = i->i_limit;
	complain_refused(i->i_name, &f);
	return (0);
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

void
image_tell_chain(const char *name, const struct img_chain_args *ca, int error,
    int letter)
{
	const char *words = ca->ca_why[0] != '\0' ? ca->ca_why :
						    error_text(error);
	const char *fmt = NULL;
	char text[sizeof(ca->ca_blamed) + sizeof(ca->ca_why) + 64];

	if (ca->ca_name != ca->ca_blamed)
		snprintf(text, sizeof(text), "%s", words);
	else
		snprintf(text, sizeof(text), "needs \"%s\": %s", ca->ca_name,
		    words);
	if (error == EPERM && ca->ca_state != NULL)
		fmt = img_format_name(ca->ca_state);
	if (fmt != NULL && ca->ca_state_depth == 0)
		complain_permit(name, text, letter, fmt);
	else if (fmt != NULL && ca->ca_state_depth == 1 && letter == 'f')
		complain(name, "%s; --backing-format %s states it", text, fmt);
	else if (fmt != NULL && ca->ca_state_depth == 1 && letter == 'O')
		complain(name, "%s; -F %s states it", text, fmt);
	else
		complain(name, "%s", text);
}

static void
tell_open(const struct image *i, const struct img_chain_args *ca, int error,
    int letter)
{
	if (i->i_limit.fi_row != IMG_ROW_NONE && ca->ca_why[0] == '\0' &&
	    ca->ca_name != ca->ca_blamed && (error == EFTYPE || error == EROFS))
		complain_refused(i->i_name, &i->i_limit);
	else
		image_tell_chain(i->i_name, ca, error, letter);
}

static void
set_chain_args(struct img_chain_args *ca, const struct how *h)
{
	memset(ca, 0, sizeof(*ca));
	ca->ca_args.a_format = h->h_format;
	ca->ca_args.a_flags = h->h_flags;
	ca->ca_args.a_snapshot = h->h_snapshot;
	ca->ca_flags = h->h_chain;
	ca->ca_backing = h->h_backing;
	ca->ca_backing_format = h->h_backing_format;
	ca->ca_expected = h->h_expected;
	ca->ca_data_file = h->h_data_file;
}

/* Is it to be written to without what its holes read through to? */
static int
lacks_backing(const struct image *i, const struct how *h)
{
	struct img_ref ref;
	unsigned n;

	if (!(h->h_flags & IMG_RDWR) || !(h->h_chain & IMG_CHAIN_ALONE))
		return (0);
	for (n = 0; img_ref(i->i_img, n, &ref) == 0; n++)
		if (ref.rf_kind == IMG_REF_BACKING)
			return (1);
	return (0);
}

int
image_open(struct image *i, const char *name, struct img_file *file,
    const struct how *h)
{
	struct img_chain_args ca;
	char *id = NULL;
	int error;

	memset(i, 0, sizeof(*i));
	i->i_name = name;
	set_chain_args(&ca, h);
	ca.ca_args.a_report = report;
	ca.ca_args.a_arg = i;
	if (h->h_snapshot != NULL && (error = snapshot_id(name, h, &id)) != 0)
		return (error);
	if (id != NULL)
		ca.ca_args.a_snapshot = id;
	error = img_chain_open(&i->i_chain, name, file, &ca);
	free(id);
	if (error != 0) {
		i->i_chain = NULL;
		tell_open(i, &ca, error, h->h_letter != 0 ? h->h_letter : 'f');
		image_drop(i);
		return (error);
	}
	i->i_img = img_chain_image(i->i_chain, 0);
	i->i_file = img_chain_file(i->i_chain, 0);
	if (lacks_backing(i, h)) {
		complain(name, "not written to without its backing file");
		error = EROFS;
	} else if (!is_allowed(i, h->h_need)) {
		error = EFTYPE;
	}
	if (error != 0) {
		image_drop(i);
		return (error);
	}
	i->i_format = img_format_of(i->i_img);
	warn(i);
	return (0);
}

void
image_complain(struct image *i, int error, uint64_t voff)
{
	struct img_finding f = { .fi_off = IMG_NOWHERE };
	struct img_extent e = { .e_type = IMG_HOLE };
	const char *name = i->i_name;
	struct img *owner;
	unsigned depth;

	if (error == EINTR || voff == IMG_NOWHERE) {
		complain_errno(name, error);
		return;
	}
	/* Of a chain, it is about the file that has the bytes. */
	if (error == EIO && voff < img_size(i->i_img) &&
	    img_walk(i->i_img, voff, img_size(i->i_img) - voff, &e, &owner,
		&depth) == 0)
		name = e.e_file == 1 ? host_chain_data_path(i->i_chain, depth) :
				       img_chain_path(i->i_chain, depth);
	if (e.e_type == IMG_BAD) {
		f.fi_row = e.e_row;
		f.fi_voff = e.e_voff;
		f.fi_vlen = e.e_len;
		complain_finding(name, &f, 0);
	} else {
		complain(name, "at guest byte %" PRIu64 ": %s", voff,
		    error_text(error));
	}
}

/* The n-th of the files that it is made of, or NULL: the image is the first. */
static const struct img_file *
file_at(const struct image *i, unsigned n)
{
	return (n % 2 == 0 ? img_chain_file(i->i_chain, n / 2) :
			     host_chain_data(i->i_chain, n / 2));
}

int
image_has(const struct image *i, int fd)
{
	const struct img_file *f;
	unsigned n;

	for (n = 0; (f = file_at(i, n)) != NULL || n % 2 == 1; n++)
		if (f != NULL && host_same_fd(f, fd))
			return (1);
	return (0);
}

int
image_has_path(const struct image *i, unsigned from, const char *path)
{
	const struct img_file *f;
	unsigned n;

	for (n = from; (f = file_at(i, n)) != NULL || n % 2 == 1; n++)
		if (f != NULL && host_same_path(f, path))
			return (1);
	return (0);
}

static void
forget_findings(struct image *i)
{
	unsigned n;

	for (n = 0; n < IMAGE_WARNINGS; n++)
		forget(&i->i_warn[n]);
	forget(&i->i_limit);
	i->i_chain = NULL;
	i->i_img = NULL;
	i->i_file = NULL;
}

int
image_close(struct image *i)
{
	int error = 0;

	if (i->i_chain != NULL)
		error = img_chain_close(i->i_chain);
	forget_findings(i);
	if (error != 0)
		complain_errno(i->i_name, error);
	return (error);
}

int
image_drop(struct image *i)
{
	int begun = 0;

	if (i->i_chain != NULL)
		begun = img_chain_abandon(i->i_chain);
	forget_findings(i);
	return (begun);
}
