/* SPDX-License-Identifier: ISC */

/* fx.h: a VHD in memory and a handle on it, for the tests beside. */

#ifndef TESTS_UNIT_VHD_FX_H
#define TESTS_UNIT_VHD_FX_H

#include "unit/help/test.h"

#include "unit/help/mkvhd.h"
#include "vhd/vhd.h"

struct fx {
	struct mem fx_mem;
	struct mem_env fx_env;
	struct mem_sink fx_sink;
	struct mkvhd fx_k;
	struct mem_log fx_log;
	struct img *fx_im;
};

static inline void
fx_init(struct fx *fx)
{
	memset(fx, 0, sizeof(*fx));
	mem_env(&fx->fx_env);
	mem_file(&fx->fx_mem, 0);
	/* What the format tells, without a look at the host's holes. */
	fx->fx_mem.m_ops.fo_extent = NULL;
}

/* A dynamic image with these blocks, -1 for a gap. */
static inline void
fx_dynamic(struct fx *fx, uint64_t size, uint32_t block, const int *blocks,
    size_t n)
{
	fx_init(fx);
	mkvhd_make(&fx->fx_k, &fx->fx_mem, size, block, blocks, n);
}

static inline int
fx_open(struct fx *fx, uint32_t flags)
{
	return (mem_open(&fx->fx_im, &fx->fx_env, &fx->fx_mem, &img_vhd, flags,
	    &fx->fx_sink));
}

/* The same with a table cache of n slices, so that tables are read again. */
static inline int
fx_open_slices(struct fx *fx, uint32_t flags, uint32_t n)
{
	struct img_args a;

	memset(&a, 0, sizeof(a));
	a.a_format = &img_vhd;
	a.a_flags = flags;
	a.a_slices = n;
	a.a_report = mem_report;
	a.a_arg = &fx->fx_sink;
	fx->fx_sink.s_n = 0;
	return (mem_open_args(&fx->fx_im, &fx->fx_env, &fx->fx_mem, &a));
}

/* Open, abandon, and say how it went: the findings are in fx_sink. */
static inline int
fx_try(struct fx *fx, uint32_t flags)
{
	int error;

	error = fx_open(fx, flags);
	if (error == 0)
		mem_abandon(fx->fx_im, &fx->fx_env);
	return (error);
}

static inline void
fx_done(struct fx *fx)
{
	assert_true(mem_env_sound(&fx->fx_env));
	mem_free(&fx->fx_mem);
	mem_log_free(&fx->fx_log);
}

static inline int
fx_is_vhd(struct fx *fx)
{
	const struct img_format *fmt = NULL;

	assert_int_equal(img_probe(&fx->fx_env.e_env, &fx->fx_mem.m_file, &fmt),
	    0);
	return (fmt == &img_vhd);
}

static inline void
fx_only(struct fx *fx, enum img_row row)
{
	mem_only(&fx->fx_sink, row);
}

#endif /* TESTS_UNIT_VHD_FX_H */
