/* SPDX-License-Identifier: ISC */

/*
 * Which bytes are a VHD, and which footer counts: the end first, because a
 * guest can write the start of a fixed disk and never its end.
 */

#include "unit/vhd/fx.h"

#define BLOCK 4096u
#define SIZE (UINT64_C(32) * BLOCK) /* of every disk here */

static const int two[] = { 1, 0 };

static void
make(struct fx *fx)
{
	fx_dynamic(fx, SIZE, BLOCK, two, 2);
}

static void
expect_first_bytes(struct fx *fx)
{
	uint8_t got[512], want[512];

	assert_int_equal(fx_open(fx, 0), 0);
	assert_int_equal(img_size(fx->fx_im), SIZE);
	assert_int_equal(img_read(fx->fx_im, got, 512, 0), 0);
	mem_pattern(want, 512, 0, 1);
	assert_memory_equal(got, want, 512);
	mem_abandon(fx->fx_im, &fx->fx_env);
}

static void
sound_images_raise_nothing(void **state)
{
	struct fx fx;

	(void)state;
	make(&fx);
	assert_true(fx_is_vhd(&fx));
	assert_int_equal(fx_try(&fx, IMG_RDWR | IMG_VERIFY), 0);
	fx_only(&fx, IMG_VHD_BLOCK_RARE); /* a note: 4 KiB */
	expect_first_bytes(&fx);
	fx_done(&fx);

	fx_init(&fx);
	mkvhd_fixed(&fx.fx_k, &fx.fx_mem, SIZE);
	assert_true(fx_is_vhd(&fx));
	assert_int_equal(fx_try(&fx, IMG_RDWR | IMG_VERIFY), 0);
	assert_int_equal(fx.fx_sink.s_n, 0);
	expect_first_bytes(&fx);
	fx_done(&fx);
}

static void
opening_costs_a_constant_number_of_reads(void **state)
{
	struct fx fx;
	uint64_t reads;

	(void)state;
	make(&fx);
	assert_int_equal(fx_try(&fx, 0), 0);
	reads = fx.fx_mem.m_calls[MEM_READ];
	assert_true(reads <= 4);
	fx_done(&fx);
	fx_dynamic(&fx, SIZE * 1000, BLOCK, two, 2);
	assert_int_equal(fx_try(&fx, 0), 0);
	assert_int_equal(fx.fx_mem.m_calls[MEM_READ], reads);
	fx_done(&fx);
}

/* A guest stores a dynamic VHD at the start of its fixed disk. */
static void
a_dynamic_image_inside_a_fixed_one_stays_inside(void **state)
{
	struct fx inner, fx;
	uint8_t *buf, got[512];
	size_t n;

	(void)state;
	make(&inner);
	fx_init(&fx);
	mkvhd_fixed(&fx.fx_k, &fx.fx_mem, SIZE);
	n = (size_t)inner.fx_mem.m_len;
	assert_true(n < SIZE);
	buf = malloc(n);
	assert_non_null(buf);
	mem_get(&inner.fx_mem, 0, buf, n);
	mem_put(&fx.fx_mem, 0, buf, n);
	assert_true(fx_is_vhd(&fx));
	assert_int_equal(fx_open(&fx, IMG_RDWR), 0);
	fx_only(&fx, IMG_VHD_FIXED_NESTED);
	assert_int_equal(img_read(fx.fx_im, got, 512, 0), 0);
	assert_memory_equal(got, buf, 512);
	assert_int_equal(img_read(fx.fx_im, got, 512, SIZE - 512), 0);
	mem_pattern(buf, 512, SIZE - 512, 1);
	assert_memory_equal(got, buf, 512);
	mem_abandon(fx.fx_im, &fx.fx_env);
	free(buf);
	fx_done(&inner);
	fx_done(&fx);
}

static void
a_fixed_footer_at_the_start_means_nothing(void **state)
{
	struct fx fx;

	(void)state;
	fx_init(&fx);
	mkvhd_fixed(&fx.fx_k, &fx.fx_mem, SIZE);
	mem_put(&fx.fx_mem, 0, fx.fx_k.k_footer, 512);
	mem_put(&fx.fx_mem, SIZE, "gone", 4);
	assert_false(fx_is_vhd(&fx));
	assert_int_equal(fx_try(&fx, 0), EFTYPE);
	fx_done(&fx);
}

static void
a_footer_of_511_bytes_is_one(void **state)
{
	struct fx fx;

	(void)state;
	make(&fx);
	mem_set_len(&fx.fx_mem, fx.fx_mem.m_len - 1);
	assert_true(fx_is_vhd(&fx));
	expect_first_bytes(&fx);
	assert_int_equal(fx_try(&fx, IMG_RDWR), 0);
	assert_int_equal(mem_has(&fx.fx_sink, IMG_VHD_FOOTER_511), 1);
	fx_done(&fx);

	fx_init(&fx);
	mkvhd_fixed(&fx.fx_k, &fx.fx_mem, SIZE);
	mem_set_len(&fx.fx_mem, fx.fx_mem.m_len - 1);
	assert_true(fx_is_vhd(&fx));
	expect_first_bytes(&fx);
	fx_only(&fx, IMG_VHD_FOOTER_511);
	fx_done(&fx);

	/* No file is shorter and still one. */
	fx_init(&fx);
	mkvhd_fixed(&fx.fx_k, &fx.fx_mem, 0);
	assert_true(fx_is_vhd(&fx));
	mem_set_len(&fx.fx_mem, 511);
	assert_false(fx_is_vhd(&fx));
	assert_int_equal(fx_try(&fx, 0), EFTYPE);
	fx_only(&fx, IMG_VHD_SHORT);
	fx_done(&fx);
}

static void
an_unaligned_footer_is_read_but_not_written(void **state)
{
	struct fx fx;

	(void)state;
	make(&fx);
	mem_put(&fx.fx_mem, fx.fx_k.k_next, "12345", 5);
	mem_put(&fx.fx_mem, fx.fx_k.k_next + 5, fx.fx_k.k_footer, 512);
	assert_true(fx_is_vhd(&fx));
	expect_first_bytes(&fx);
	assert_int_equal(mem_has(&fx.fx_sink, IMG_VHD_FOOTER_UNALIGNED), 1);
	assert_int_equal(fx_try(&fx, IMG_RDWR), EROFS);
	fx_done(&fx);
}

/* What was done to a dynamic image, and what it is then. */
struct damage {
	uint64_t end_at;  /* this byte of the end footer ... */
	uint64_t copy_at; /* ... and of the copy are changed; 0: none */
	enum img_row row;
	int vhd;   /* recognised without being told */
	int error; /* when opened */
};

static void
damage(struct fx *fx, uint64_t off)
{
	uint8_t b;

	mem_get(&fx->fx_mem, off, &b, 1);
	b ^= 0x20;
	mem_put(&fx->fx_mem, off, &b, 1);
}

static void
a_dynamic_image_with_one_footer_is_never_raw(void **state)
{
	static const struct damage list[] = {
		{ 1, 0, IMG_VHD_END_LOST, 1, 0 },
		{ 70, 0, IMG_VHD_END_SUM, 1, 0 },
		{ 0, 1, IMG_VHD_COPY_LOST, 1, 0 },
		{ 0, 70, IMG_VHD_COPY_SUM, 1, 0 },
		{ 1, 1, IMG_VHD_NO_FOOTER, 0, EFTYPE },
		{ 70, 70, IMG_VHD_BOTH_SUMS, 0, EFTYPE },
	};
	struct fx fx;
	unsigned i;

	(void)state;
	for (i = 0; i < LENGTH_OF(list); i++) {
		make(&fx);
		if (list[i].end_at != 0)
			damage(&fx, fx.fx_k.k_next + list[i].end_at);
		if (list[i].copy_at != 0)
			damage(&fx, list[i].copy_at);
		assert_int_equal(fx_is_vhd(&fx), list[i].vhd);
		assert_int_equal(fx_try(&fx, 0), list[i].error);
		assert_int_equal(mem_has(&fx.fx_sink, list[i].row), 1);
		if (list[i].error == 0) {
			expect_first_bytes(&fx);
			assert_int_equal(fx_try(&fx, IMG_RDWR), EROFS);
		}
		fx_done(&fx);
	}
}

/* A copy alone is not enough where it leads to no header. */
static void
a_crafted_copy_without_header_is_raw(void **state)
{
	struct fx fx;

	(void)state;
	make(&fx);
	damage(&fx, fx.fx_k.k_next);
	damage(&fx, 512 + 900);
	assert_false(fx_is_vhd(&fx));
	fx_done(&fx);
}

static void
bytes_behind_the_footer_do_not_hide_it(void **state)
{
	static uint8_t junk[4096];
	struct fx fx;

	(void)state;
	memset(junk, 0x55, sizeof(junk));
	make(&fx);
	mem_put(&fx.fx_mem, fx.fx_mem.m_len, junk, sizeof(junk));
	assert_true(fx_is_vhd(&fx));
	expect_first_bytes(&fx);
	assert_int_equal(mem_has(&fx.fx_sink, IMG_VHD_TRAILING), 1);
	mem_put(&fx.fx_mem, fx.fx_mem.m_len, junk, 7);
	assert_int_equal(fx_try(&fx, IMG_RDWR), EROFS);
	assert_int_equal(mem_has(&fx.fx_sink, IMG_VHD_STRAY), 1);
	fx_done(&fx);

	/* A fixed one has no copy to be known by. */
	fx_init(&fx);
	mkvhd_fixed(&fx.fx_k, &fx.fx_mem, SIZE);
	mem_put(&fx.fx_mem, fx.fx_mem.m_len, junk, sizeof(junk));
	assert_false(fx_is_vhd(&fx));
	expect_first_bytes(&fx);
	fx_only(&fx, IMG_VHD_FIXED_TRAILING);
	fx_done(&fx);
}

static void
footers_that_differ_forbid_writing(void **state)
{
	struct fx fx;
	uint8_t f[512];

	(void)state;
	make(&fx);
	mem_get(&fx.fx_mem, 0, f, 512);
	f[32]++; /* version of the creator */
	vhd_set_sum(f, 512, 64);
	mem_put(&fx.fx_mem, 0, f, 512);
	assert_int_equal(fx_try(&fx, IMG_RDWR), EROFS);
	assert_int_equal(mem_has(&fx.fx_sink, IMG_VHD_DIFFER), 1);
	/* Unless only in the time stamp. */
	f[32]--;
	f[24]++;
	vhd_set_sum(f, 512, 64);
	mem_put(&fx.fx_mem, 0, f, 512);
	assert_int_equal(fx_try(&fx, IMG_RDWR), 0);
	assert_int_equal(mem_has(&fx.fx_sink, IMG_VHD_STAMP_DIFFERS), 1);
	fx_done(&fx);
}

static void
a_dynamic_image_that_says_fixed_is_refused(void **state)
{
	struct fx fx;

	(void)state;
	make(&fx);
	fx.fx_k.k_footer[63] = 2;
	mkvhd_footer(&fx.fx_k, fx.fx_k.k_next);
	assert_int_equal(fx_try(&fx, 0), EFTYPE);
	assert_int_equal(mem_has(&fx.fx_sink, IMG_VHD_TYPE_FIXED), 1);
	fx_done(&fx);
}

static void
a_disabled_image_is_refused_by_name(void **state)
{
	struct fx fx;

	(void)state;
	make(&fx);
	mem_put(&fx.fx_mem, fx.fx_k.k_next, "v_poison", 8);
	assert_int_equal(fx_try(&fx, 0), EFTYPE);
	fx_only(&fx, IMG_VHD_POISON);
	fx_done(&fx);
}

static void
a_differencing_image_is_described_but_not_read(void **state)
{
	struct fx fx;
	struct img_extent e;
	struct img_finding why;
	uint8_t b;

	(void)state;
	fx_init(&fx);
	mkvhd_init(&fx.fx_k, &fx.fx_mem, SIZE, BLOCK);
	fx.fx_k.k_type = 4;
	mkvhd_begin(&fx.fx_k);
	mem_put(&fx.fx_mem, 512 + 40, "parent's uuid...", 16);
	mem_put(&fx.fx_mem, 512 + 64, "\0b\0a\0s\0e", 8);
	mkvhd_header_sum(&fx.fx_k);
	mkvhd_block(&fx.fx_k, 3);
	mkvhd_end(&fx.fx_k);
	assert_true(fx_is_vhd(&fx));
	assert_int_equal(fx_try(&fx, IMG_RDWR), EROFS);
	assert_int_equal(fx_open(&fx, IMG_VERIFY), 0);
	assert_int_equal(img_allows(fx.fx_im, &why), IMG_ALLOW_MAP);
	assert_int_equal(why.fi_row, IMG_VHD_DIFFERENCING);
	assert_string_equal(why.fi_name, "base");
	assert_int_equal(img_read(fx.fx_im, &b, 1, 0), ENOTSUP);
	assert_int_equal(img_map(fx.fx_im, 0, SIZE, &e), 0);
	assert_int_equal(e.e_type, IMG_HOLE);
	mem_abandon(fx.fx_im, &fx.fx_env);
	fx_done(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sound_images_raise_nothing),
		cmocka_unit_test(opening_costs_a_constant_number_of_reads),
		cmocka_unit_test(
		    a_dynamic_image_inside_a_fixed_one_stays_inside),
		cmocka_unit_test(a_fixed_footer_at_the_start_means_nothing),
		cmocka_unit_test(a_footer_of_511_bytes_is_one),
		cmocka_unit_test(an_unaligned_footer_is_read_but_not_written),
		cmocka_unit_test(a_dynamic_image_with_one_footer_is_never_raw),
		cmocka_unit_test(a_crafted_copy_without_header_is_raw),
		cmocka_unit_test(bytes_behind_the_footer_do_not_hide_it),
		cmocka_unit_test(footers_that_differ_forbid_writing),
		cmocka_unit_test(a_dynamic_image_that_says_fixed_is_refused),
		cmocka_unit_test(a_disabled_image_is_refused_by_name),
		cmocka_unit_test(
		    a_differencing_image_is_described_but_not_read),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
