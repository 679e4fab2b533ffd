/* SPDX-License-Identifier: ISC */

/* What is told of a QED. */

#include "unit/qed/fx.h"

#include "qed/tool.h"
#include "unit/help/told.h"

#define MIB (UINT64_C(1) << 20)

static struct fx fx;

/* An image of that geometry; fields may be changed before head(). */
static struct mkqed *
make(uint64_t size, unsigned bits, unsigned table)
{
	struct mkqed *k = fx_init(&fx, size, bits, table);

	mem_large(&fx.fx_mem);
	return (k);
}

static void
tell(void)
{
	assert_int_equal(told_of(&fx.fx_env, &fx.fx_mem, &img_qed), 0);
}

static int
teardown(void **state)
{
	(void)state;
	mem_free(&fx.fx_mem);
	return (0);
}

static void
a_plain_image_is_told_in_full(void **state)
{
	(void)state;
	mkqed_begin(make(MIB, 16, 4));
	tell();
	assert_string_equal(told_text,
	    "dirty-flag=0 | table-size=4 header-size=1 "
	    "incompatible-features=0 compatible-features=0 "
	    "autoclear-features=0 l1-offset=65536 "
	    "largest-disk=70368744177664 usable-by-qemu=1 ");
}

static void
what_the_header_has_is_told_as_it_is(void **state)
{
	struct mkqed *k = make(MIB, 12, 2);

	(void)state;
	k->k_header = 3;
	k->k_features = QED_F_NEED_CHECK;
	k->k_compat = UINT64_C(1) << 63 | 5;
	k->k_autoclear = 9;
	mkqed_begin(k);
	tell();
	assert_string_equal(told_text,
	    "dirty-flag=1 | table-size=2 header-size=3 "
	    "incompatible-features=2 "
	    "compatible-features=9223372036854775813 autoclear-features=9 "
	    "l1-offset=12288 largest-disk=4294967296 usable-by-qemu=1 ");
	/* The file is what it was: nothing was made right by looking. */
	tell();
	told_has("dirty-flag=1 ");
}

static void
a_header_size_of_0_is_told(void **state)
{
	(void)state;
	mkqed_begin(make(MIB, 12, 2));
	mkqed_put(&fx.fx_mem, 12, 0, 4);
	tell();
	told_has("header-size=0 ");
}

static void
a_backing_file_is_told_and_raw_if_it_is_that(void **state)
{
	struct mkqed *k = make(MIB, 12, 2);

	(void)state;
	k->k_backing = "base";
	mkqed_begin(k);
	tell();
	told_has("dirty-flag=0 backing-filename=base | ");
	told_has("incompatible-features=1 ");
	k->k_features |= QED_F_NO_PROBE;
	mkqed_head(k);
	tell();
	told_has("backing-filename=base backing-filename-format=raw | ");
}

static void
a_name_that_is_not_used_is_told_as_far_as_it_is_one(void **state)
{
	struct mkqed *k = make(MIB, 12, 2);

	(void)state;
	k->k_backing = "ba\nse";
	mkqed_begin(k);
	tell();
	told_has("backing-filename=ba\nse | ");
	/* Outside of the header; over its fields. */
	mkqed_put(&fx.fx_mem, 56, 4095, 4);
	tell();
	told_has_not("backing-filename");
	mkqed_put(&fx.fx_mem, 56, 0, 4);
	tell();
	told_has_not("backing-filename");
	mkqed_put(&fx.fx_mem, 56, 64, 4);
	tell();
	told_has("backing-filename=ba\nse | ");
	/* The bit is what counts, not the name. */
	mkqed_put(&fx.fx_mem, 60, 5, 4);
	mkqed_put(&fx.fx_mem, 16, QED_F_NO_PROBE, 8);
	tell();
	told_has_not("backing-filename");
}

/* By the document: tables of clusters of entries of clusters. */
static void
the_largest_disk_is_what_two_levels_reach(void **state)
{
	static const struct {
		unsigned bits, table;
		uint64_t largest; /* 0: more than 63 bits can say */
		int qemu;
	} want[] = {
		{ 12, 1, UINT64_C(512) * 512 * 4096, 0 },
		{ 12, 16, UINT64_C(8192) * 8192 * 4096, 1 },
		{ 16, 2, UINT64_C(16384) * 16384 * 65536, 1 },
		{ 20, 16, UINT64_C(1) << 62, 1 },
		{ 21, 8, 0, 1 }, /* 2 to the 63, which wraps nowhere */
		{ 21, 16, 0, 0 },
		{ 22, 4, 0, 0 },
		{ 26, 1, 0, 0 },
		{ 26, 16, 0, 0 },
	};
	char text[64];
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(want); i++) {
		mkqed_begin(make(MIB, want[i].bits, want[i].table));
		tell();
		snprintf(text, sizeof(text), "largest-disk=%llu ",
		    want[i].largest != 0 ? (unsigned long long)want[i].largest :
					   9223372036854775296ull);
		told_has(text);
		told_has(
		    want[i].qemu ? "usable-by-qemu=1 " : "usable-by-qemu=0 ");
		mem_free(&fx.fx_mem);
	}
	/* A disk of nothing is below what wraps to nothing. */
	mkqed_begin(make(0, 22, 4));
	tell();
	told_has("usable-by-qemu=1 ");
}

static int
stop(void *arg, const struct img_item *it)
{
	(void)it;
	return (++*(unsigned *)arg == 3 ? EINTR : 0);
}

static void
whoever_listens_can_end_it(void **state)
{
	unsigned n = 0;

	(void)state;
	mkqed_begin(make(MIB, 12, 2));
	fx_use(&fx, 0);
	assert_int_equal(img_info(fx.fx_im, stop, &n), EINTR);
	assert_int_equal(n, 3);
	fx_close(&fx);
}

#define TEST(fn) cmocka_unit_test_teardown(fn, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_plain_image_is_told_in_full),
		TEST(what_the_header_has_is_told_as_it_is),
		TEST(a_header_size_of_0_is_told),
		TEST(a_backing_file_is_told_and_raw_if_it_is_that),
		TEST(a_name_that_is_not_used_is_told_as_far_as_it_is_one),
		TEST(the_largest_disk_is_what_two_levels_reach),
		TEST(whoever_listens_can_end_it),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
