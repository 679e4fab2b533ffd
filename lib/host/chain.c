/* SPDX-License-Identifier: ISC */

/*
 * Images with all that they read through.  What img.h says of references is
 * done here, chain_ref.c opens a single one.
 *
 * A chain grows by one image at a time, in a loop: how deep it goes is a
 * stranger's choice.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host/chain.h"

static int why(struct img_chain_args *, int error, const char *fmt, ...)
    __attribute__((__format__(__printf__, 3, 4)));

static int
why(struct img_chain_args *ca, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(ca->ca_why, sizeof(ca->ca_why), fmt, ap);
	va_end(ap);
	return (error);
}

/* It is about this file, whose name does not live long enough. */
static void
blame(struct img_chain_args *ca, const char *name)
{
	(void)snprintf(ca->ca_blamed, sizeof(ca->ca_blamed), "%s", name);
	ca->ca_name = ca->ca_blamed;
}

static int
words(struct img_chain_args *ca, int error, const char *text)
{
	return (text == NULL ? error : why(ca, error, "%s", text));
}

/* Is it in the chain already, as an image or as a data file? */
static int
is_known(const struct img_chain *ch, const struct img_file *f)
{
	const struct host_link *l;

	for (l = ch->ch_link; l < ch->ch_link + ch->ch_n; l++) {
		if (l->l_file != NULL && host_same_file(l->l_file, f))
			return (1);
		if (l->l_data != NULL && host_same_file(l->l_data, f))
			return (1);
	}
	return (0);
}

static struct host_link *
last(struct img_chain *ch)
{
	return (&ch->ch_link[ch->ch_n - 1]);
}

/* The reference of a kind that an image has; ENOENT if there is none. */
static int
find_ref(struct img *im, enum img_refkind kind, struct img_ref *ref)
{
	unsigned n;
	int error;

	for (n = 0; (error = img_ref(im, n, ref)) == 0; n++)
		if (ref->rf_kind == kind)
			break;
	return (error);
}

/* A name that the user gave: any file will do that the user may open. */
static int
open_given(struct host_ref *hr, const char *name, unsigned flags)
{
	hr->hr_dir = -1;
	if ((hr->hr_path = strdup(name)) == NULL)
		return (ENOMEM);
	return (img_host_open(&hr->hr_file, name,
	    flags & HOST_REF_RDWR ? IMG_HOST_RDWR : 0));
}

/* A name that the last image has recorded. */
static int
open_recorded(struct img_chain *ch, struct img_chain_args *ca,
    struct host_ref *hr, const char *name, unsigned flags)
{
	const char *path = last(ch)->l_path, *text = NULL;
	int error = 0;

	if ((hr->hr_path = host_ref_path(path, name)) == NULL)
		return (ENOMEM);
	if (ch->ch_dir == -1)
		error = host_ref_folder(path, &ch->ch_dir);
	if (error == 0)
		error = host_ref_open(hr, ch->ch_dir, name,
		    flags | (ch->ch_confined ? HOST_REF_CONFINED : 0), &text);
	if (error == EPERM && text != NULL) {
		ca->ca_state = img_format_of(ch->ch_link[0].l_img);
		ca->ca_state_depth = 0;
	}
	return (words(ca, error, text));
}

/*
 * Open what the last image references: as recorded, or given instead.  The
 * result's path is to be freed, and its folder to be closed.
 */
static int
open_ref(struct img_chain *ch, struct img_chain_args *ca, struct host_ref *hr,
    const char *given, const struct img_ref *ref, unsigned flags)
{
	int error;

	memset(hr, 0, sizeof(*hr));
	hr->hr_dir = -1;
	if (given != NULL)
		error = open_given(hr, given, flags);
	else if (ref->rf_name == NULL)
		return (
		    why(ca, EFTYPE, "the name of its %s file cannot be used",
			ref->rf_kind == IMG_REF_DATA ? "data" : "backing"));
	else
		error = open_recorded(ch, ca, hr, ref->rf_name, flags);
	if (error == 0 && is_known(ch, hr->hr_file)) {
		(void)img_host_close(hr->hr_file);
		error = why(ca, ELOOP, "in the chain already");
	}
	if (error == EINVAL && ca->ca_why[0] == '\0')
		(void)why(ca, error, "neither a regular file nor a disk");
	if (error != 0 && hr->hr_path != NULL)
		blame(ca, hr->hr_path);
	if (error != 0) {
		free(hr->hr_path);
		if (hr->hr_dir != -1)
			close(hr->hr_dir);
	}
	return (error);
}

/* Open the data file of the last image, if it has one. */
static int
add_data(struct img_chain *ch, struct img_chain_args *ca, unsigned flags)
{
	const char *given = ch->ch_n == 1 ? ca->ca_data_file : NULL;
	struct host_link *l = last(ch);
	struct host_ref hr;
	struct img_ref ref;
	int error;

	error = find_ref(l->l_img, IMG_REF_DATA, &ref);
	if (error == ENOENT && given != NULL)
		return (why(ca, EINVAL, "the image has no data file"));
	if (error != 0)
		return (error == ENOENT ? 0 : error);
	error = open_ref(ch, ca, &hr, given, &ref, flags);
	if (error == ENOENT && given == NULL && ca->ca_why[0] == '\0')
		(void)why(ca, error,
		    "not found beside the image, where its data "
		    "file is looked for (qemu: in the working directory)");
	if (error != 0)
		return (error);
	if (hr.hr_dir != -1)
		close(hr.hr_dir);
	l->l_data = hr.hr_file;
	l->l_data_path = hr.hr_path;
	error = img_lend_data(l->l_img, l->l_data);
	if (error != 0)
		blame(ca, l->l_data_path);
	return (error);
}

/* What a backing image reports: only what forbids to read it counts. */
struct limit {
	enum img_row li_row;
};

static void
note(void *arg, const struct img_finding *f)
{
	enum img_allows a = img_row(f->fi_row)->r_allows;
	struct limit *li = arg;

	if (a < IMG_ALLOW_READ &&
	    (li->li_row == IMG_ROW_NONE || a < img_row(li->li_row)->r_allows))
		li->li_row = f->fi_row;
}

static int
unreadable(struct img_chain_args *ca, const struct limit *li, int error)
{
	const struct img_rowdesc *r = img_row(li->li_row);

	if (li->li_row == IMG_ROW_NONE)
		return (error);
	if (error == 0)
		error = r->r_severity < IMG_SEV_CORRUPT ? ENOTSUP : EFTYPE;
	return (
	    why(ca, error, "%s-%u: %s", r->r_format, r->r_number, r->r_text));
}

/*
 * Of which image the format is to be stated so that one of it may be found
 * out at the end of the chain: of the first behind the top where all of them
 * have it, for there it can be stated and is expected from then on.
 */
static unsigned
depth_to_state(const struct img_chain *ch, const struct img_format *fmt)
{
	unsigned d;

	for (d = 1; d < ch->ch_n; d++)
		if (img_format_of(ch->ch_link[d].l_img) != fmt)
			return (ch->ch_n);
	return (1);
}

/* What was found out may lead no further, unless it was expected. */
static int
check_found(struct img_chain *ch, struct img_chain_args *ca, struct img *im)
{
	struct img_ref ref;
	int error = img_ref(im, 0, &ref);

	if (error == ENOENT || img_format_of(im) == ca->ca_expected)
		return (0);
	if (error != 0)
		return (error);
	ca->ca_state = img_format_of(im);
	ca->ca_state_depth = depth_to_state(ch, ca->ca_state);
	return (why(ca, EPERM,
	    "its format, %s, is not recorded in %s, and it "
	    "needs a file itself",
	    img_format_name(ca->ca_state),
	    ch->ch_n == 1 ? "the image" : "the one above"));
}

/* The image in an open file becomes the last one; it reads from there. */
static int
add_image(struct img_chain *ch, struct img_chain_args *ca, struct host_ref *hr,
    const struct img_format *fmt)
{
	struct limit li = { IMG_ROW_NONE };
	struct img_args a = { .a_format = fmt,
		.a_budget = ca->ca_args.a_budget,
		.a_report = note,
		.a_arg = &li };
	struct host_link *l = &ch->ch_link[ch->ch_n];
	struct img *im = NULL;
	int error;

	error = img_open(&im, img_host_env(), hr->hr_file, &a);
	if (error != 0 || img_allows(im, NULL) < IMG_ALLOW_READ)
		error = unreadable(ca, &li, error);
	if (error == 0 && fmt == NULL)
		error = check_found(ch, ca, im);
	if (error != 0) {
		if (im != NULL)
			(void)img_abandon(im);
		return (error);
	}
	l->l_img = im;
	l->l_file = hr->hr_file;
	l->l_path = hr->hr_path;
	ch->ch_n++;
	if (ch->ch_dir != -1)
		close(ch->ch_dir);
	ch->ch_dir = hr->hr_dir;
	if ((error = add_data(ch, ca, 0)) == 0)
		error = img_lend(l[-1].l_img, im);
	return (error);
}

/* The format to open the backing image by; NULL: none is stated. */
static int
backing_format(struct img_chain_args *ca, unsigned depth,
    const struct img_ref *ref, const struct img_format **fmt)
{
	*fmt = depth == 1 ? ca->ca_backing_format : NULL;
	if (*fmt != NULL || ref->rf_format == NULL)
		return (0);
	*fmt = img_format_find(ref->rf_format);
	return (*fmt != NULL ? 0 :
			       why(ca, ENOTSUP,
				   "recorded as of format \"%s\", which is not "
				   "known",
				   ref->rf_format));
}

int
host_chain_follow(struct img_chain *ch, struct img_chain_args *ca, int *more)
{
	const char *given = ch->ch_n == 1 ? ca->ca_backing : NULL;
	const struct img_format *fmt;
	struct host_ref hr;
	struct img_ref ref;
	int error;

	*more = 0;
	ca->ca_name = ch->ch_link[0].l_path;
	ca->ca_why[0] = '\0';
	ca->ca_state = NULL;
	error = find_ref(last(ch)->l_img, IMG_REF_BACKING, &ref);
	if (error == ENOENT && given != NULL)
		return (why(ca, EINVAL, "the image has no backing file"));
	if (error != 0)
		return (error == ENOENT ? 0 : error);
	*more = 1;
	if (ch->ch_n == IMG_CHAIN_MAX)
		return (why(ca, ELOOP, "chain of more than %u images",
		    IMG_CHAIN_MAX));
	if ((error = open_ref(ch, ca, &hr, given, &ref, 0)) != 0)
		return (error);
	blame(ca, hr.hr_path);
	error = backing_format(ca, ch->ch_n, &ref, &fmt);
	if (error == 0)
		error = add_image(ch, ca, &hr, fmt);
	if (error != 0 && last(ch)->l_file != hr.hr_file) {
		(void)img_host_close(hr.hr_file);
		free(hr.hr_path);
		if (hr.hr_dir != -1)
			close(hr.hr_dir);
	}
	return (error);
}

/* Open the image at path, with its data file if that is wanted. */
static int
add_top(struct img_chain *ch, struct img_chain_args *ca, const char *path,
    struct img_file *f)
{
	int rdwr = (ca->ca_args.a_flags & IMG_RDWR) != 0, error;
	struct host_link *l = ch->ch_link;

	if ((l->l_path = strdup(path)) == NULL)
		return (ENOMEM);
	l->l_file = f;
	l->l_lent = f != NULL;
	ch->ch_n = 1;
	ch->ch_confined = ca->ca_args.a_format == NULL &&
	    !(ca->ca_flags & IMG_CHAIN_TRUST);
	if (f == NULL) {
		error =
		    img_host_open(&l->l_file, path, rdwr ? IMG_HOST_RDWR : 0);
		if (error == EINVAL)
			(void)why(ca, error,
			    "neither a regular file nor a disk");
		if (error != 0)
			return (error);
	}
	error = img_open(&l->l_img, img_host_env(), l->l_file, &ca->ca_args);
	if (error == ENOENT && ca->ca_args.a_snapshot != NULL)
		(void)why(ca, error, "no snapshot \"%s\"",
		    ca->ca_args.a_snapshot);
	if (error != 0 || (ca->ca_flags & IMG_CHAIN_TOP))
		return (error);
	return (add_data(ch, ca, rdwr ? HOST_REF_RDWR : 0));
}

int
img_chain_open(struct img_chain **chp, const char *path, struct img_file *f,
    struct img_chain_args *ca)
{
	int error,
	    more = (ca->ca_flags & (IMG_CHAIN_TOP | IMG_CHAIN_ALONE)) == 0;
	struct img_chain *ch;

	ca->ca_name = path;
	ca->ca_why[0] = '\0';
	ca->ca_state = NULL;
	if ((ch = calloc(1, sizeof(*ch))) == NULL)
		return (ENOMEM);
	ch->ch_dir = -1;
	error = add_top(ch, ca, path, f);
	while (error == 0 && more)
		error = host_chain_follow(ch, ca, &more);
	if (error != 0) {
		if (ca->ca_name != ca->ca_blamed)
			ca->ca_name = path;
		(void)img_chain_abandon(ch);
		return (error);
	}
	*chp = ch;
	return (0);
}
