/* SPDX-License-Identifier: ISC */

/* fx.h: a qcow2 in memory and a handle on it, for the tests beside. */

#ifndef TESTS_UNIT_QCOW2_FX_H
#define TESTS_UNIT_QCOW2_FX_H

#include "unit/help/test.h"

#include "qcow2/qcow2.h"
#include "unit/help/mkqcow2.h"

struct fx {
	struct mem fx_mem;
	struct mem fx_data; /* the external data file */
	struct mem fx_back;
	struct mem_env fx_env;
	struct mem_env fx_backenv;
	struct mem_sink fx_sink;
	struct mkqcow2 fx_k;
	struct img *fx_backim;
	struct img *fx_im;
};

/* The defaults of an image of that size; then mkqcow2_begin and so on. */
static inline struct mkqcow2 *
fx_init(struct fx *fx, uint64_t size, unsigned bits)
{
	memset(fx, 0, sizeof(*fx));
	mkqcow2_env(&fx->fx_env);
	mem_env(&fx->fx_backenv);
	mem_file(&fx->fx_mem, 0);
	mem_file(&fx->fx_data, 0);
	/* What the format tells, without a look at the host's holes. */
	fx->fx_mem.m_ops.fo_extent = NULL;
	fx->fx_data.m_ops.fo_extent = NULL;
	mkqcow2_init(&fx->fx_k, &fx->fx_mem, size, bits);
	return (&fx->fx_k);
}

/* A raw image with pattern 7 behind it. */
static inline void
fx_backing(struct fx *fx, uint64_t size)
{
	uint8_t buf[512];
	uint64_t off;

	fx->fx_k.k_backing = "base";
	fx->fx_k.k_format = "raw";
	mem_file(&fx->fx_back, 0);
	for (off = 0; off < size; off += 512) {
		mem_pattern(buf, 512, off, 7);
		mem_put(&fx->fx_back, off, buf,
		    (size_t)img_min(512, size - off));
	}
	assert_int_equal(mem_open(&fx->fx_backim, &fx->fx_backenv, &fx->fx_back,
			     img_format_find("raw"), 0, NULL),
	    0);
}

/* a_snapshot may be NULL; slices 0 is the default. */
static inline int
fx_open_as(struct fx *fx, uint32_t flags, uint32_t slices, const char *snapshot)
{
	struct img_args a;
	int error;

	memset(&a, 0, sizeof(a));
	memset(&fx->fx_sink, 0, sizeof(fx->fx_sink));
	a.a_format = &img_qcow2;
	a.a_flags = flags;
	a.a_slices = slices;
	a.a_snapshot = snapshot;
	a.a_report = mem_report;
	a.a_arg = &fx->fx_sink;
	error = mem_open_args(&fx->fx_im, &fx->fx_env, &fx->fx_mem, &a);
	if (error == 0 && fx->fx_backim != NULL)
		assert_int_equal(img_lend(fx->fx_im, fx->fx_backim), 0);
	if (error == 0 && fx->fx_k.k_data != NULL)
		assert_int_equal(img_lend_data(fx->fx_im, &fx->fx_data.m_file),
		    0);
	return (error);
}

static inline int
fx_open(struct fx *fx, uint32_t flags)
{
	return (fx_open_as(fx, flags, 0, NULL));
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
	mem_free(&fx->fx_data);
	mem_free(&fx->fx_back);
}

/* The file is sound, and so many clusters are counted too high. */
static inline void
fx_sound(struct fx *fx, uint64_t leaks)
{
	uint64_t n;

	assert_string_equal(mkqcow2_judge(&fx->fx_mem, &n), "");
	assert_int_equal(n, leaks);
}

/* That row, at least once, and none that is not in the list. */
static inline void
fx_only(struct fx *fx, enum img_row row)
{
	if (fx->fx_sink.s_n != 1 || mem_has(&fx->fx_sink, row) != 1)
		fail_msg("wanted QCOW2-%u alone, got %u rows, first %u",
		    img_row(row)->r_number, fx->fx_sink.s_n,
		    fx->fx_sink.s_n == 0 ?
			0 :
			img_row(fx->fx_sink.s_found[0].fi_row)->r_number);
}

static inline uint64_t
fx_count(struct fx *fx, uint64_t off)
{
	return (mkqcow2_count(&fx->fx_mem, off >> fx->fx_k.k_bits));
}

#define FX_OFFSET(entry) ((entry)&UINT64_C(0x00fffffffffffe00))

/* All len bytes at voff read as that pattern; 0 is zeros. */
static inline void
fx_reads(struct img *im, uint64_t voff, size_t len, unsigned version)
{
	uint8_t got[512], want[512];
	size_t n;

	for (; len > 0; len -= n, voff += n) {
		n = len < sizeof(got) ? len : sizeof(got);
		memset(want, 0, sizeof(want));
		if (version != 0)
			mem_pattern(want, n, voff, version);
		assert_int_equal(img_read(im, got, (uint32_t)n, voff), 0);
		if (memcmp(got, want, n) != 0)
			fail_msg("bytes at %lu are not of version %u",
			    (unsigned long)voff, version);
	}
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

/* What img_map says, in one line: type, offset or -1, length. */
static inline void
fx_maps(struct img *im, uint64_t voff, uint64_t len, enum img_etype type,
    uint64_t off, uint64_t elen)
{
	struct img_extent e;

	assert_int_equal(img_map(im, voff, len, &e), 0);
	assert_int_equal(e.e_voff, voff);
	if (e.e_type != type || e.e_off != off || e.e_len != elen)
		fail_msg("at %#lx: type %d, off %#lx, len %#lx",
		    (unsigned long)voff, e.e_type, (unsigned long)e.e_off,
		    (unsigned long)e.e_len);
}

#endif /* TESTS_UNIT_QCOW2_FX_H */
