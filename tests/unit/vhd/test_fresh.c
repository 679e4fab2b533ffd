/* SPDX-License-Identifier: ISC */

/* A file that nobody needs yet: no barriers, and its header comes last. */

#include "unit/vhd/fx.h"

#define BLOCK 4096u
#define DISK (300 * (uint64_t)BLOCK)

static void
make(struct fx *fx, int kind)
{
	fx_init(fx);
	if (kind == 'd')
		mem_device(&fx->fx_mem, 2 * DISK);
	if (kind == 'x')
		mkvhd_fixed(&fx->fx_k, &fx->fx_mem, DISK);
	else
		mkvhd_make(&fx->fx_k, &fx->fx_mem, DISK, BLOCK, NULL, 0);
	fx->fx_mem.m_log = &fx->fx_log;
}

/* Small caches, so that tables spill. */
static void
open_fresh(struct fx *fx)
{
	struct img_args a;

	memset(&a, 0, sizeof(a));
	a.a_format = &img_vhd;
	a.a_flags = IMG_RDWR | IMG_FRESH;
	a.a_slices = 2;
	assert_int_equal(mem_open_args(&fx->fx_im, &fx->fx_env, &fx->fx_mem,
			     &a),
	    0);
}

static void
write_some(struct fx *fx)
{
	uint8_t buf[BLOCK];
	unsigned i;

	for (i = 0; i < 300; i += 7) {
		mem_pattern(buf, BLOCK, (uint64_t)i * BLOCK, 2);
		assert_int_equal(img_write(fx->fx_im, buf, BLOCK,
				     (uint64_t)i * BLOCK),
		    0);
	}
}

static void
expect_some(struct fx *fx)
{
	uint8_t got[BLOCK], want[BLOCK];
	unsigned i;

	assert_int_equal(fx_open(fx, IMG_RDWR | IMG_VERIFY), 0);
	assert_int_equal(mem_worst(&fx->fx_sink), IMG_SEV_NOTE);
	for (i = 0; i < 300; i += 7) {
		mem_pattern(want, BLOCK, (uint64_t)i * BLOCK, 2);
		assert_int_equal(img_read(fx->fx_im, got, BLOCK,
				     (uint64_t)i * BLOCK),
		    0);
		assert_memory_equal(got, want, BLOCK);
	}
	mem_abandon(fx->fx_im, &fx->fx_env);
}

static void
expect_unusable(struct fx *fx)
{
	assert_false(fx_is_vhd(fx));
	assert_int_equal(fx_try(fx, 0), EFTYPE);
	assert_int_equal(mem_has(&fx->fx_sink, IMG_VHD_NO_FOOTER), 1);
}

static void
the_header_comes_last(void **state)
{
	const struct mem_logged *l;
	struct fx fx;
	size_t i, n;
	uint64_t last;

	(void)state;
	for (i = 0; i < 3; i++) {
		make(&fx, "fdx"[i]);
		open_fresh(&fx);
		write_some(&fx);
		/* No data is there before the header is gone. */
		assert_int_equal(fx.fx_mem.m_calls[MEM_BARRIER], 1);
		expect_unusable(&fx);
		fx.fx_env.e_late = 0; /* that was another image */
		assert_int_equal(img_flush(fx.fx_im), 0);
		n = fx.fx_log.lg_n;
		l = fx.fx_log.lg_op;
		assert_int_equal(l[n - 1].l_op, MEM_BARRIER);
		last = fx.fx_mem.m_len - 512;
		if ("fdx"[i] != 'x') {
			/* ..., barrier, end, barrier, start, barrier */
			assert_int_equal(l[n - 2].l_off, 0);
			assert_int_equal(l[n - 2].l_len, 512);
			assert_int_equal(l[n - 3].l_op, MEM_BARRIER);
			n -= 2;
		}
		assert_int_equal(l[n - 2].l_off, last);
		assert_int_equal(l[n - 2].l_len, 512);
		assert_int_equal(l[n - 3].l_op, MEM_BARRIER);
		assert_int_equal(mem_close(fx.fx_im, &fx.fx_env), 0);
		expect_some(&fx);
		fx_done(&fx);
	}
}

static void
an_abandoned_file_is_unusable_and_said_to_be(void **state)
{
	struct fx fx;
	unsigned i;

	(void)state;
	for (i = 0; i < 3; i++) {
		make(&fx, "fdx"[i]);
		open_fresh(&fx);
		write_some(&fx);
		assert_int_equal(mem_abandon(fx.fx_im, &fx.fx_env), 1);
		expect_unusable(&fx);
		fx_done(&fx);
	}
}

static void
a_file_not_written_to_stays_as_it_was(void **state)
{
	struct fx fx;
	struct mem before;
	unsigned i;

	(void)state;
	memset(&before, 0, sizeof(before));
	for (i = 0; i < 6; i++) {
		make(&fx, "fdxfdx"[i]);
		mem_copy(&before, &fx.fx_mem);
		open_fresh(&fx);
		if (i < 3)
			assert_int_equal(mem_abandon(fx.fx_im, &fx.fx_env), 0);
		else
			assert_int_equal(mem_close(fx.fx_im, &fx.fx_env), 0);
		assert_true(mem_equal(&fx.fx_mem, &before));
		fx_done(&fx);
	}
	mem_free(&before);
}

static void
after_the_flush_it_is_written_like_any_other(void **state)
{
	struct fx fx;
	uint64_t barriers;

	(void)state;
	make(&fx, 'f');
	open_fresh(&fx);
	write_some(&fx);
	assert_int_equal(img_flush(fx.fx_im), 0);
	barriers = fx.fx_mem.m_calls[MEM_BARRIER];
	assert_int_equal(img_write(fx.fx_im, "x", 1, BLOCK), 0);
	assert_int_equal(fx.fx_mem.m_calls[MEM_BARRIER], barriers + 1);
	assert_true(fx_is_vhd(&fx));
	assert_int_equal(mem_abandon(fx.fx_im, &fx.fx_env), 0);
	expect_some(&fx);
	fx_done(&fx);
}

static void
a_failed_write_of_the_header_is_told(void **state)
{
	struct fx fx;
	uint64_t n, writes = 0;
	int error = EIO;

	(void)state;
	for (n = 0; error != 0; n++) {
		make(&fx, 'f');
		open_fresh(&fx);
		write_some(&fx);
		writes = fx.fx_mem.m_calls[MEM_WRITE];
		fx.fx_mem.m_fail[MEM_WRITE] = writes + 1 + n;
		error = mem_close(fx.fx_im, &fx.fx_env);
		if (error != 0)
			assert_int_equal(error, EIO);
		else
			expect_some(&fx);
		fx_done(&fx);
	}
	assert_true(n >= 4);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_header_comes_last),
		cmocka_unit_test(an_abandoned_file_is_unusable_and_said_to_be),
		cmocka_unit_test(a_file_not_written_to_stays_as_it_was),
		cmocka_unit_test(after_the_flush_it_is_written_like_any_other),
		cmocka_unit_test(a_failed_write_of_the_header_is_told),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
