/* SPDX-License-Identifier: ISC */

/* How options of img_create are taken apart. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tool/tool.h"

static char value[9];

static int
get(const char *opts, const char *name)
{
	memset(value, 'x', sizeof(value));
	return (img_opt_get(opts, name, value, sizeof(value)));
}

static void
a_value_ends_at_a_comma(void **state)
{
	(void)state;
	assert_int_equal(get("a=1,bc=xy,c=", "bc"), 0);
	assert_string_equal(value, "xy");
	assert_int_equal(get("a=1,bc=xy", "a"), 0);
	assert_string_equal(value, "1");
	assert_int_equal(get("a=1,bc=x=y", "bc"), 0);
	assert_string_equal(value, "x=y");
	assert_int_equal(get("a=1,bc=xy", "b"), ENOENT);
	assert_int_equal(get("a=1,bc=xy", "xy"), ENOENT);
	assert_int_equal(get(NULL, "a"), ENOENT);
	assert_int_equal(get("", "a"), ENOENT);
}

static void
two_commas_are_one_in_a_value(void **state)
{
	(void)state;
	assert_int_equal(get("a=,,x,,y,,,b=2", "a"), 0);
	assert_string_equal(value, ",x,y,");
	assert_int_equal(get("a=,,x,,y,,,b=2", "b"), 0);
	assert_string_equal(value, "2");
	assert_int_equal(get("a=x,,b=3,c=4", "b"), ENOENT);
	assert_int_equal(get("a=x,,b=3,c=4", "a"), 0);
	assert_string_equal(value, "x,b=3");
}

static void
the_last_one_wins(void **state)
{
	(void)state;
	assert_int_equal(get("a=1,b=2,a=3", "a"), 0);
	assert_string_equal(value, "3");
}

static void
a_value_must_be_there_and_fit(void **state)
{
	(void)state;
	assert_int_equal(get("a=12345678", "a"), 0);
	assert_string_equal(value, "12345678");
	assert_int_equal(get("a=123456789", "a"), EINVAL);
	assert_int_equal(get("a=1234567,,,b=1", "a"), 0);
	assert_string_equal(value, "1234567,");
	assert_int_equal(get("a=12345678,,,b=1", "a"), EINVAL);
	assert_int_equal(get("a=", "a"), EINVAL);
	assert_int_equal(get("a=,b=1", "a"), EINVAL);
	assert_int_equal(get("a", "a"), EINVAL);
	assert_int_equal(get("a,b=1", "a"), EINVAL);
}

static void
unknown_options_are_refused(void **state)
{
	static const struct img_opt table[] = { { "ab", "" }, { "c", "" },
		{ NULL, NULL } };
	static const char *const bad[] = { "a=1", "abc=1", "ab=1,d=2", "c", ",",
		"=", "c=1,ab" };
	struct img_create cr = { 0 };
	size_t i;

	(void)state;
	cr.cr_opts = "ab=x,,d=1,c=2,ab=,,c,";
	assert_int_equal(img_opts_known(&cr, table), 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		cr.cr_opts = bad[i];
		cr.cr_error[0] = '\0';
		assert_int_equal(img_opts_known(&cr, table), EINVAL);
		assert_true(cr.cr_error[0] != '\0');
	}
}

static void
sizes_have_suffixes(void **state)
{
	static const struct {
		const char *text;
		uint64_t n;
	} good[] = { { "0", 0 }, { "512", 512 }, { "1k", 1024 }, { "1K", 1024 },
		{ "3M", 3 << 20 }, { "1KiB", 1024 },
		{ "16777215T", UINT64_C(16777215) << 40 },
		{ "18446744073709551615", UINT64_MAX } };
	static const char *const bad[] = { "", "k", "-1", "+1", " 1", "1kk",
		"1Ki", "1KB", "16777216T", "18446744073709551616", "0x10",
		"1.5k" };
	uint64_t n;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(img_opt_size(good[i].text, &n), 0);
		assert_true(n == good[i].n);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(img_opt_size(bad[i], &n), EINVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_value_ends_at_a_comma),
		cmocka_unit_test(two_commas_are_one_in_a_value),
		cmocka_unit_test(the_last_one_wins),
		cmocka_unit_test(a_value_must_be_there_and_fit),
		cmocka_unit_test(unknown_options_are_refused),
		cmocka_unit_test(sizes_have_suffixes),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
