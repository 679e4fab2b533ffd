/* SPDX-License-Identifier: ISC */

/* Claims of a qcow2: what callers that move the bytes themselves rely on. */

#include "unit/qcow2/fx.h"

#define C 4096u
#define SIZE (1024u * C) /* two L2 tables */

static struct fx fx;
static struct mkqcow2 *k;

static void
make(unsigned version)
{
	k = fx_init(&fx, SIZE, 12);
	k->k_version = version;
}

static void
a_claim_is_not_seen_before_its_end(void **state)
{
	struct img_claim a, b;
	uint8_t buf[C];

	(void)state;
	make(3);
	mkqcow2_begin(k);
	mkqcow2_end(k);
	fx_use(&fx, IMG_RDWR);
	assert_int_equal(img_begin(fx.fx_im, 0, C, &a), 0);
	assert_int_equal(img_begin(fx.fx_im, C, C, &b), 0);
	assert_int_not_equal(a.c_ext.e_off, b.c_ext.e_off);
	/* By the caller's own means; the library does not see it. */
	mem_pattern(buf, C, C, 3);
	mem_put(&fx.fx_mem, b.c_ext.e_off, buf, C);
	mem_reads(fx.fx_im, 0, 2 * C, 0);
	assert_int_equal(img_flush(fx.fx_im), 0);
	assert_int_equal(img_end(fx.fx_im, &b, 1), 0);
	mem_reads(fx.fx_im, C, C, 3);
	mem_reads(fx.fx_im, 0, C, 0);
	assert_int_equal(img_end(fx.fx_im, &a, 0), 0);
	fx_close(&fx);
	fx_sound(&fx, 0);
	fx_use(&fx, IMG_VERIFY);
	mem_reads(fx.fx_im, C, C, 3);
	fx_close(&fx);
	fx_done(&fx);
}

static void
what_callers_moved_is_not_cut_off(void **state)
{
	struct img_claim a, b;
	uint8_t buf[C];

	(void)state;
	make(3);
	mkqcow2_begin(k);
	mkqcow2_end(k);
	fx_use(&fx, IMG_RDWR);
	assert_int_equal(img_begin(fx.fx_im, 0, C, &a), 0);
	assert_int_equal(img_begin(fx.fx_im, C, C, &b), 0);
	mem_pattern(buf, C, C, 3);
	mem_put(&fx.fx_mem, b.c_ext.e_off, buf, C);
	mem_pattern(buf, C, 0, 3);
	mem_put(&fx.fx_mem, a.c_ext.e_off, buf, C);
	assert_int_equal(img_end(fx.fx_im, &a, 1), 0);
	assert_int_equal(img_flush(fx.fx_im), 0);
	assert_int_equal(img_end(fx.fx_im, &b, 1), 0);
	mem_reads(fx.fx_im, 0, 2 * C, 3);
	fx_close(&fx);
	fx_sound(&fx, 0);
	fx_done(&fx);
}

/*
 * The filling before a claim ends inside its cluster, because there the
 * backing image ends, and by then others have written behind it.
 */
static void
what_is_behind_a_claim_is_not_cut_off(void **state)
{
	struct img_claim a, b;
	uint8_t buf[C];

	(void)state;
	make(3);
	fx_backing(&fx, 3 * 512);
	mkqcow2_begin(k);
	mkqcow2_end(k);
	fx_use(&fx, IMG_RDWR);
	assert_int_equal(img_begin(fx.fx_im, 512, 512, &a), 0);
	assert_int_equal(img_begin(fx.fx_im, C, C, &b), 0);
	mem_pattern(buf, 512, 512, 3);
	mem_put(&fx.fx_mem, a.c_ext.e_off, buf, 512);
	mem_pattern(buf, C, C, 3);
	mem_put(&fx.fx_mem, b.c_ext.e_off, buf, C);
	assert_int_equal(img_end(fx.fx_im, &a, 1), 0);
	assert_int_equal(img_end(fx.fx_im, &b, 1), 0);
	mem_reads(fx.fx_im, 0, 512, 7);
	mem_reads(fx.fx_im, 512, 512, 3);
	mem_reads(fx.fx_im, C, C, 3);
	fx_close(&fx);
	fx_sound(&fx, 0);
	fx_done(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_claim_is_not_seen_before_its_end),
		cmocka_unit_test(what_callers_moved_is_not_cut_off),
		cmocka_unit_test(what_is_behind_a_claim_is_not_cut_off),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
