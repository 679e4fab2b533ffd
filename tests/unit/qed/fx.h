/* SPDX-License-Identifier: ISC */

/* fx.h: a QED in memory and a handle on it, for the tests beside. */

#ifndef TESTS_UNIT_QED_FX_H
#define TESTS_UNIT_QED_FX_H

#include "unit/help/test.h"

#include "qed/qed.h"
#include "unit/help/mkqed.h"

struct fx {
	struct mem fx_mem;
	struct mem fx_back;
	struct mem_env fx_env;
	struct mem_env fx_backenv;
	struct mem_sink fx_sink;
	struct mem_log fx_log;
	struct mkqed fx_k;
	struct img *fx_backim;
	struct img *fx_im;
};

/* The defaults of an image of that size; then mkqed_begin and so on. */
static inline struct mkqed *
fx_init(struct fx *fx, uint64_t size, unsigned bits, unsigned table)
{
	memset(fx, 0, sizeof(*fx));
	mem_env(&fx->fx_env);
	mem_file(&fx->fx_mem, 0);
	/* What the format tells, without a look at the host's holes. */
	fx->fx_mem.m_ops.fo_extent = NULL;
	mkqed_init(&fx->fx_k, &fx->fx_mem, size, bits, table);
	return (&fx->fx_k);
}

/* A raw image with pattern 7 behind it; before mkqed_begin. */
static inline void
fx_backing(struct fx *fx, uint64_t size)
{
	fx->fx_k.k_backing = "base";
	fx->fx_k.k_features |= 4; /* it is raw */
	fx->fx_backim = mem_open_base(&fx->fx_backenv, &fx->fx_back, size);
}

/* slices and budget 0 are the defaults. */
static inline int
fx_open_as(struct fx *fx, uint32_t flags, uint32_t slices, uint64_t budget)
{
	struct img_args a;
	int error;

	memset(&a, 0, sizeof(a));
	memset(&fx->fx_sink, 0, sizeof(fx->fx_sink));
	a.a_format = &img_qed;
	a.a_flags = flags;
	a.a_slices = slices;
	a.a_budget = budget;
	a.a_report = mem_report;
	a.a_arg = &fx->fx_sink;
	error = mem_open_args(&fx->fx_im, &fx->fx_env, &fx->fx_mem, &a);
	if (error == 0 && fx->fx_backim != NULL)
		assert_int_equal(img_lend(fx->fx_im, fx->fx_backim), 0);
	return (error);
}

static inline int
fx_open(struct fx *fx, uint32_t flags)
{
	return (fx_open_as(fx, flags, 0, 0));
}

/* For what must go well. */
static inline void
fx_use(struct fx *fx, uint32_t flags)
{
	assert_int_equal(fx_open(fx, flags), 0);
}

static inline void
fx_close(struct fx *fx)
{
	assert_int_equal(mem_close(fx->fx_im, &fx->fx_env), 0);
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
	if (fx->fx_backim != NULL)
		mem_close(fx->fx_backim, &fx->fx_backenv);
	mem_free(&fx->fx_mem);
	mem_free(&fx->fx_back);
	mem_log_free(&fx->fx_log);
}

/* The file is sound, and so many of its clusters are in no use. */
static inline void
fx_sound(struct fx *fx, uint64_t leaks)
{
	uint64_t n;

	assert_string_equal(mkqed_judge(&fx->fx_mem, &n), "");
	assert_int_equal(n, leaks);
}

static inline void
fx_only(struct fx *fx, enum img_row row)
{
	mem_only(&fx->fx_sink, row);
}

/* Write pattern 3. */
static inline void
fx_writes(struct fx *fx, uint64_t voff, size_t len)
{
	static uint8_t buf[1 << 20];

	assert_true(len <= sizeof(buf));
	mem_pattern(buf, len, voff, 3);
	assert_int_equal(img_write(fx->fx_im, buf, (uint32_t)len, voff), 0);
}

#endif /* TESTS_UNIT_QED_FX_H */
