/* SPDX-License-Identifier: ISC */

/* The table of rows keeps its own rules. */

#include "unit/help/test.h"

#include <ctype.h>

#include "unit/help/fake.h"

static void
every_row_can_be_looked_up(void **state)
{
	const struct img_rowdesc *r;
	unsigned i;

	(void)state;
	for (i = IMG_ROW_NONE + 1; i < IMG_NROWS; i++) {
		r = img_row((enum img_row)i);
		assert_non_null(r);
		assert_true(strlen(r->r_format) >= 3);
		assert_true(r->r_number > 0);
		assert_true(r->r_severity < IMG_NSEV);
		assert_true(r->r_allows <= IMG_ALLOW_WRITE);
		assert_true(r->r_stage <= IMG_STAGE_CHECK);
		assert_true(r->r_fix <= IMG_FIX_LOSSY);
	}
	assert_int_equal(img_row(IMG_VHD_BAT_OVERLAP)->r_number, 55);
	assert_int_equal(img_row(IMG_VHD_SHORT)->r_number, 1);
}

static void
what_is_no_row_has_a_description_too(void **state)
{
	(void)state;
	assert_non_null(img_row(IMG_ROW_NONE));
	assert_ptr_equal(img_row(IMG_NROWS), img_row(IMG_ROW_NONE));
	assert_ptr_equal(img_row((enum img_row)12345), img_row(IMG_ROW_NONE));
}

static void
numbers_are_unique_within_a_format(void **state)
{
	const struct img_rowdesc *a, *b;
	unsigned i, k;

	(void)state;
	for (i = 1; i < IMG_NROWS; i++) {
		a = img_row((enum img_row)i);
		for (k = 1; k < i; k++) {
			b = img_row((enum img_row)k);
			if (strcmp(a->r_format, b->r_format) == 0 &&
			    a->r_number == b->r_number)
				fail_msg("two rows are %s-%u", a->r_format,
				    a->r_number);
		}
	}
}

/* The first word is lower case or an abbreviation: "BAT", "UUID". */
static void
texts_are_lower_case_without_full_stop(void **state)
{
	const char *t;
	unsigned i;

	(void)state;
	for (i = 1; i < IMG_NROWS; i++) {
		t = img_row((enum img_row)i)->r_text;
		if (strlen(t) < 4 || strlen(t) > 72 ||
		    (isupper((unsigned char)t[0]) &&
			!isupper((unsigned char)t[1]) &&
			!isdigit((unsigned char)t[1])) ||
		    strchr(".! ", t[strlen(t) - 1]) != NULL ||
		    strpbrk(t, "\n\t") != NULL)
			fail_msg("not a good text: \"%s\"", t);
	}
}

/* So that the exit status of check follows from the severity alone. */
static void
severity_and_what_is_allowed_agree(void **state)
{
	const struct img_rowdesc *r;
	unsigned i;
	int good;

	(void)state;
	for (i = 1; i < IMG_NROWS; i++) {
		r = img_row((enum img_row)i);
		switch (r->r_severity) {
		case IMG_SEV_FATAL:
			good = r->r_allows == IMG_ALLOW_NOTHING;
			break;
		case IMG_SEV_CORRUPT:
			/* What may be written to, a repair sets right. */
			good = r->r_allows == IMG_ALLOW_MAP ||
			    r->r_allows == IMG_ALLOW_READ ||
			    (r->r_allows == IMG_ALLOW_WRITE &&
				r->r_fix == IMG_FIX_SAFE);
			break;
		default:
			/*
			 * What needs a parent, a key or a library is sound;
			 * some things are harmless to readers only.
			 */
			good = r->r_allows == IMG_ALLOW_WRITE ||
			    i == IMG_VHD_PARENT_RAW ||
			    i == IMG_VHD_DIFFERENCING ||
			    i == IMG_QCOW2_ENCRYPTED ||
			    i == IMG_QCOW2_NO_ZSTD || i == IMG_QCOW2_SIZE_ODD ||
			    i == IMG_QCOW2_BACKING_OVERLAP ||
			    i == IMG_QED_DIRTY || i == IMG_QED_DIRTY_BACKING ||
			    i == IMG_QED_DEVICE;
		}
		if (!good)
			fail_msg("%s-%u: severity and allows disagree",
			    r->r_format, r->r_number);
	}
}

static void
the_row_that_limits_most_is_remembered(void **state)
{
	struct mem m;
	struct mem_env env;
	struct mem_sink s;
	struct img *im;
	struct img_finding why;

	(void)state;
	mem_env(&env);
	mem_file(&m, 0);
	fake_draw("d");
	fake_fill(&m);
	assert_int_equal(mem_open(&im, &env, &m, &fake_format, 0, &s), 0);
	assert_int_equal(img_allows(im, &why), IMG_ALLOW_WRITE);
	assert_int_equal(why.fi_row, IMG_ROW_NONE);
	img_raise(im, IMG_VHD_FOOTER_511, 1);
	assert_int_equal(img_allows(im, &why), IMG_ALLOW_WRITE);
	img_raise_num(im, IMG_VHD_SIZE_LIMIT, 2, IMG_WANT_MAX, 10, 9);
	img_raise(im, IMG_VHD_END_LOST, 3);
	img_raise(im, IMG_VHD_BAT_SHORT, 4);
	assert_int_equal(img_allows(im, &why), IMG_ALLOW_MAP);
	assert_int_equal(why.fi_row, IMG_VHD_SIZE_LIMIT);
	assert_int_equal(why.fi_off, 2);
	assert_int_equal(why.fi_found, 10);
	assert_int_equal(why.fi_want, 9);
	assert_int_equal(why.fi_rel, IMG_WANT_MAX);
	assert_int_equal(s.s_n, 4);
	assert_int_equal(s.s_found[0].fi_row, IMG_VHD_FOOTER_511);
	assert_int_equal(s.s_found[3].fi_off, 4);
	assert_int_equal(img_allows(im, NULL), IMG_ALLOW_MAP);
	mem_abandon(im, &env);
	mem_free(&m);
}

static void
errors_that_systems_lack_have_words(void **state)
{
	(void)state;
	assert_non_null(img_strerror(EFTYPE));
	assert_non_null(img_strerror(ENOTSUP));
	assert_non_null(img_strerror(EFBIG));
	assert_null(img_strerror(12345));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_can_be_looked_up),
		cmocka_unit_test(what_is_no_row_has_a_description_too),
		cmocka_unit_test(numbers_are_unique_within_a_format),
		cmocka_unit_test(texts_are_lower_case_without_full_stop),
		cmocka_unit_test(severity_and_what_is_allowed_agree),
		cmocka_unit_test(the_row_that_limits_most_is_remembered),
		cmocka_unit_test(errors_that_systems_lack_have_words),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
