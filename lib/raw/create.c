/* SPDX-License-Identifier: ISC */

/* Making a raw image: a file of that length, or any device that is larger. */

#include "raw/tool.h"

const struct img_opt raw_opts[] = {
	{ NULL, NULL },
};

int
raw_create(const struct img_env *env, struct img_file *f, struct img_create *cr)
{
	uint64_t len;
	int error;

	(void)env;
	error = f->f_ops->fo_length(f, &len);
	if (error != 0)
		return (error);
	if (f->f_flags & IMG_FILE_FIXED) {
		if (len < cr->cr_size)
			return (img_create_error(cr, EFBIG,
			    "device is smaller than the image", NULL));
		return (0);
	}
	if (cr->cr_size > INT64_MAX)
		return (EFBIG);
	if (len != 0)
		return (
		    img_create_error(cr, EINVAL, "file is not empty", NULL));
	return (f->f_ops->fo_resize(f, cr->cr_size));
}
