/* SPDX-License-Identifier: ISC */

/* The table of rows, and how a row is raised on a handle. */

#include "core/core.h"

#define F(fmt, n, name, sev, allows, stage, fix, text)                   \
	{ #fmt, n, IMG_SEV_##sev, IMG_ALLOW_##allows, IMG_STAGE_##stage, \
		IMG_FIX_##fix, text },

static const struct img_rowdesc rows[IMG_NROWS] = {
	{ "IMG", 0, IMG_SEV_NOTE, IMG_ALLOW_WRITE, IMG_STAGE_OPEN, IMG_FIX_NONE,
	    "nothing" },
#include "core/findings.def"
};
#undef F

const struct img_rowdesc *
img_row(enum img_row row)
{
	return (&rows[row < IMG_NROWS ? row : IMG_ROW_NONE]);
}

void
img_raise_finding(struct img *im, const struct img_finding *fi)
{
	const struct img_rowdesc *r = img_row(fi->fi_row);

	if (r->r_allows < im->im_allows) {
		im->im_allows = r->r_allows;
		im->im_why = *fi;
	}
	if (im->im_report != NULL)
		im->im_report(im->im_arg, fi);
}

void
img_raise_num(struct img *im, enum img_row row, uint64_t off, enum img_want rel,
    uint64_t found, uint64_t want)
{
	struct img_finding fi;

	memset(&fi, 0, sizeof(fi));
	fi.fi_row = row;
	fi.fi_off = off;
	fi.fi_rel = rel;
	fi.fi_found = found;
	fi.fi_want = want;
	img_raise_finding(im, &fi);
}

void
img_raise(struct img *im, enum img_row row, uint64_t off)
{
	img_raise_num(im, row, off, IMG_WANT_NONE, 0, 0);
}

const char *
img_strerror(int error)
{
	switch (error) {
	case EINVAL:
		return ("invalid argument");
	case ENOTSUP:
		return ("not supported");
	case EFTYPE:
		return ("image breaks its format");
	case EFBIG:
		return ("too large");
	default:
		return (NULL);
	}
}
