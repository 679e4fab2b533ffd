/* SPDX-License-Identifier: ISC */

/* The formats' tables for programs, a line each, and the calls on them. */

#include "tool/tool.h"

static const struct img_tool *const tools[] = {
	&img_tool_vhd,
	&img_tool_qcow2,
	&img_tool_qed,
	&img_tool_raw,
};

const struct img_tool *
img_tool_of(const struct img_format *fmt)
{
	size_t i;

	for (i = 0; i < sizeof(tools) / sizeof(tools[0]) - 1; i++)
		if (tools[i]->t_format == fmt)
			break;
	return (tools[i]);
}

int
img_info(struct img *im, img_info_fn *fn, void *arg)
{
	const struct img_tool *t = img_tool_of(im->im_fmt);

	return (t->t_info == NULL ? 0 : t->t_info(im, fn, arg));
}

int
img_check(struct img *im, unsigned flags, int64_t now, struct img_checked *ch)
{
	if (!(im->im_flags & (IMG_VERIFY | IMG_RDWR)))
		return (EINVAL);
	memset(ch, 0, sizeof(*ch));
	return (img_tool_of(im->im_fmt)->t_check(im, flags, now, ch));
}

int
img_repair(const struct img_env *env, struct img_file *f,
    const struct img_format *fmt, const struct img_finding *find, size_t nfind,
    enum img_fix level, unsigned flags, img_fixed_fn *tell, void *arg)
{
	const struct img_tool *t = img_tool_of(fmt);
	struct img_repair rp;

	if (t->t_repair == NULL)
		return (0);
	rp.rp_env = env;
	rp.rp_file = f;
	rp.rp_find = find;
	rp.rp_nfind = nfind;
	rp.rp_level = level;
	rp.rp_flags = flags;
	rp.rp_tell = tell;
	rp.rp_arg = arg;
	return (t->t_repair(&rp));
}

const struct img_opt *
img_create_opts(const struct img_format *fmt)
{
	return (img_tool_of(fmt)->t_opts);
}

int
img_create(const struct img_env *env, struct img_file *f,
    const struct img_format *fmt, struct img_create *cr)
{
	const struct img_tool *t = img_tool_of(fmt);
	int error;

	cr->cr_error[0] = '\0';
	error = img_opts_known(cr, t->t_opts);
	return (error != 0 ? error : t->t_create(env, f, cr));
}
