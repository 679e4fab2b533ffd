/* SPDX-License-Identifier: ISC */

/* Handles: probing, opening, flushing, closing. */

#include "core/core.h"

static int
bind_file(struct img *im, const struct img_env *env, struct img_file *f)
{
	memset(im, 0, sizeof(*im));
	im->im_env = env;
	im->im_file[0] = f;
	im->im_allows = IMG_ALLOW_WRITE;
	im->im_budget = IMG_BUDGET_DEFAULT;
	im->im_packoff = IMG_NOWHERE;
	return (f->f_ops->fo_length(f, &im->im_eof[0]));
}

int
img_probe(const struct img_env *env, struct img_file *f,
    const struct img_format **fmtp)
{
	const struct img_format *fmt;
	struct img im;
	unsigned i;
	int error;

	error = bind_file(&im, env, f);
	if (error != 0)
		return (error);
	for (i = 0; (fmt = img_format_at(i)) != NULL; i++) {
		error = fmt->f_probe == NULL ? 0 : fmt->f_probe(&im);
		if (error == ENXIO)
			continue;
		if (error == 0)
			*fmtp = fmt;
		return (error);
	}
	return (ENXIO);
}

static void
destroy(struct img *im)
{
	const struct img_env *env = im->im_env;

	if (im->im_priv != NULL && im->im_fmt->f_close != NULL)
		im->im_fmt->f_close(im);
	img_free(im, im->im_priv, im->im_fmt->f_privsize);
	img_free(im, im->im_packed, im->im_packmax);
	img_free(im, im->im_unpacked, im->im_unit);
	img_free(im, im->im_buf, IMG_BOUNCE);
	img_cache_fini(im);
	env->ev_free(env->ev_arg, im, sizeof(*im));
}

/* Memory of the handle that does not depend on the image. */
static int
equip(struct img *im, const struct img_args *a)
{
	int error = 0;

	if (im->im_fmt->f_privsize > 0)
		error = img_alloc(im, im->im_fmt->f_privsize, &im->im_priv);
	if (error == 0)
		error = img_alloc(im, IMG_BOUNCE, &im->im_buf);
	if (error == 0)
		error = img_cache_init(im,
		    a->a_slices != 0 ? a->a_slices : IMG_SLICES_DEFAULT);
	return (error);
}

static int
equip_packed(struct img *im)
{
	uint32_t n = im->im_packmax;
	int error;

	im->im_packmax = 0; /* until it is allocated: destroy looks at it */
	if (n == 0)
		return (0);
	error = img_alloc(im, n, &im->im_packed);
	if (error != 0)
		return (error);
	im->im_packmax = n;
	return (img_alloc(im, im->im_unit, &im->im_unpacked));
}

static int
parse(struct img *im, const struct img_args *a)
{
	int error;

	error = equip(im, a);
	if (error == 0)
		error = im->im_fmt->f_open(im);
	if (error == 0 && im->im_snapshot != NULL &&
	    im->im_fmt->f_snapshots == 0)
		error = ENOENT;
	if (error == 0)
		error = equip_packed(im);
	if (error == 0 && im->im_allows == IMG_ALLOW_NOTHING)
		error = EFTYPE;
	if (error == 0 && (im->im_flags & (IMG_VERIFY | IMG_RDWR)) &&
	    im->im_fmt->f_verify != NULL)
		error = im->im_fmt->f_verify(im);
	if (error == 0 && (im->im_flags & IMG_RDWR) &&
	    im->im_allows < IMG_ALLOW_WRITE)
		error = EROFS;
	return (error);
}

int
img_open(struct img **imp, const struct img_env *env, struct img_file *f,
    const struct img_args *a)
{
	const struct img_format *fmt = a->a_format;
	struct img *im;
	int error;

	if ((a->a_flags & (IMG_RDWR | IMG_FRESH)) == IMG_FRESH)
		return (EINVAL);
	if (a->a_snapshot != NULL && (a->a_flags & IMG_RDWR))
		return (EINVAL);
	if (fmt == NULL) {
		error = img_probe(env, f, &fmt);
		if (error != 0)
			return (error);
	}
	im = env->ev_alloc(env->ev_arg, sizeof(*im));
	if (im == NULL)
		return (ENOMEM);
	error = bind_file(im, env, f);
	if (error != 0) {
		env->ev_free(env->ev_arg, im, sizeof(*im));
		return (error);
	}
	im->im_fmt = fmt;
	im->im_flags = a->a_flags;
	im->im_report = a->a_report;
	im->im_arg = a->a_arg;
	im->im_snapshot = a->a_snapshot;
	if (a->a_budget != 0)
		im->im_budget = a->a_budget;
	error = parse(im, a);
	im->im_snapshot = NULL;
	if (error != 0) {
		destroy(im);
		return (error);
	}
	*imp = im;
	return (0);
}

int
img_flush(struct img *im)
{
	int error;

	if (!(im->im_flags & IMG_RDWR))
		return (0);
	if (im->im_latched)
		return (EIO);
	if (!im->im_begun || im->im_fmt->f_fresh == NULL)
		im->im_flags &= ~IMG_FRESH; /* the header is where it was */
	error = im->im_fmt->f_flush(im);
	if (error != 0)
		im->im_latched = 1;
	return (error);
}

int
img_close(struct img *im)
{
	int error;

	error = img_flush(im);
	destroy(im);
	return (error);
}

int
img_abandon(struct img *im)
{
	int begun = im->im_begun && (im->im_flags & IMG_FRESH);

	destroy(im);
	return (begun);
}

uint64_t
img_size(const struct img *im)
{
	return (im->im_size);
}

uint32_t
img_unit(const struct img *im)
{
	return (im->im_unit);
}

const struct img_format *
img_format_of(const struct img *im)
{
	return (im->im_fmt);
}

enum img_allows
img_allows(const struct img *im, struct img_finding *why)
{
	if (why != NULL)
		*why = im->im_why;
	return (im->im_allows);
}

int
img_ref(struct img *im, unsigned n, struct img_ref *ref)
{
	if (im->im_fmt->f_ref == NULL)
		return (ENOENT);
	return (im->im_fmt->f_ref(im, n, ref));
}

int
img_lend(struct img *im, struct img *backing)
{
	im->im_back = backing;
	return (0);
}

int
img_lend_data(struct img *im, struct img_file *f)
{
	uint64_t len;
	int error;

	if (!(im->im_needs & IMG_NEEDS_DATA))
		return (EINVAL);
	error = f->f_ops->fo_length(f, &len);
	if (error != 0)
		return (error);
	im->im_file[1] = f;
	im->im_eof[1] = len;
	return (0);
}
