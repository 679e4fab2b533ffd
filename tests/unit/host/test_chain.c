/* SPDX-License-Identifier: ISC */

/* Images are opened with what they reference. */

#include "unit/host/chain.h"

static void
a_chain_has_its_images_from_the_top_down(void **state)
{
	struct img_chain *ch;
	unsigned n = open_files();
	char byte;

	(void)state;
	assert_int_equal(mkdir("sub", 0777), 0);
	put_file("sub/base.raw", "what the guest sees");
	make_overlay("sub/mid", "base.raw", "raw");
	make_overlay("top", "sub/mid", "qcow2");
	fresh_args(0);
	ch = opened("top");
	assert_depth(ch, 3);
	assert_string_equal(img_chain_path(ch, 0), "top");
	assert_string_equal(img_chain_path(ch, 1), "sub/mid");
	assert_string_equal(img_chain_path(ch, 2), "sub/base.raw");
	assert_null(img_chain_data_path(ch));
	assert_ptr_equal(img_format_of(img_chain_image(ch, 2)),
	    img_format_find("raw"));
	assert_int_equal(img_read(img_chain_image(ch, 0), &byte, 1, 5), 0);
	assert_int_equal(byte, 't');
	assert_int_equal(img_chain_close(ch), 0);
	assert_int_equal(open_files(), n);
}

static void
only_the_top_is_opened_to_write(void **state)
{
	struct img_chain *ch;

	(void)state;
	put_file("base.data", "");
	make("base", "qcow2", "data_file=base.data");
	put_file("top.data", "");
	make("top", "qcow2",
	    "data_file=top.data,backing_file=base,backing_fmt=qcow2");
	fresh_args(0);
	ca.ca_args.a_flags = IMG_RDWR;
	ch = opened("top");
	assert_true(is_writable(img_chain_file(ch, 0)));
	assert_true(is_writable(host_chain_data(ch, 0)));
	assert_false(is_writable(img_chain_file(ch, 1)));
	assert_false(is_writable(host_chain_data(ch, 1)));
	assert_string_equal(img_chain_data_path(ch), "top.data");
	assert_string_equal(host_chain_data_path(ch, 1), "base.data");
	assert_int_equal(img_write(img_chain_image(ch, 0), "x", 1, 0), 0);
	assert_int_equal(img_chain_close(ch), 0);

	fresh_args(0);
	ch = opened("top");
	assert_false(is_writable(img_chain_file(ch, 0)));
	assert_false(is_writable(host_chain_data(ch, 0)));
	assert_int_equal(img_chain_close(ch), 0);
}

static void
top_and_alone_open_less(void **state)
{
	struct img_chain *ch;
	char byte = 'x';

	(void)state;
	put_file("top.data", "");
	make("top", "qcow2",
	    "data_file=top.data,backing_file=gone,backing_fmt=raw");
	fresh_args(0);
	assert_refused("top", ENOENT, "gone", "");
	fresh_args(IMG_CHAIN_ALONE);
	ch = opened("top");
	assert_depth(ch, 1);
	assert_string_equal(img_chain_data_path(ch), "top.data");
	assert_int_equal(img_read(img_chain_image(ch, 0), &byte, 1, 0), 0);
	assert_int_equal(byte, 0);
	assert_int_equal(img_chain_close(ch), 0);
	assert_int_equal(unlink("top.data"), 0);
	assert_refused("top", ENOENT, "top.data", "beside");
	fresh_args(IMG_CHAIN_TOP);
	ch = opened("top");
	assert_null(img_chain_data_path(ch));
	assert_int_equal(img_read(img_chain_image(ch, 0), &byte, 1, 0), ENXIO);
	assert_int_equal(img_chain_close(ch), 0);
}

static void
a_file_that_is_given_stays_open(void **state)
{
	struct img_chain *ch;
	struct img_file *f;
	uint64_t len;

	(void)state;
	assert_int_equal(mkdir("sub", 0777), 0);
	put_file("sub/base.raw", "");
	make_overlay("top", "base.raw", "raw");
	assert_int_equal(img_host_open(&f, "top", 0), 0);
	/* Its name is where it will be, and its names start there. */
	fresh_args(0);
	assert_int_equal(img_chain_open(&ch, "sub/later", f, &ca), 0);
	assert_ptr_equal(img_chain_file(ch, 0), f);
	assert_string_equal(img_chain_path(ch, 1), "sub/base.raw");
	assert_int_equal(img_chain_close(ch), 0);
	assert_int_equal(unlink("sub/base.raw"), 0);
	assert_int_equal(img_chain_open(&ch, "sub/later", f, &ca), ENOENT);
	assert_int_equal(f->f_ops->fo_length(f, &len), 0);
	assert_int_equal(img_host_close(f), 0);
}

static void
what_the_caller_states_wins(void **state)
{
	struct img_chain *ch;

	(void)state;
	put_file("base.raw", "raw");
	make("other", "qcow2", NULL);
	make_overlay("top", "base.raw", "raw");
	fresh_args(0);
	ca.ca_backing = "other";
	ch = opened("top");
	assert_string_equal(img_chain_path(ch, 1), "other");
	assert_ptr_equal(img_format_of(img_chain_image(ch, 1)),
	    img_format_find("raw"));
	assert_int_equal(img_chain_close(ch), 0);
	ca.ca_backing_format = img_format_find("qcow2");
	ch = opened("top");
	assert_ptr_equal(img_format_of(img_chain_image(ch, 1)),
	    img_format_find("qcow2"));
	assert_int_equal(img_chain_close(ch), 0);
	/* And for the recorded file alone. */
	make_overlay("wrong", "other", "raw");
	ca.ca_backing = NULL;
	ch = opened("wrong");
	assert_ptr_equal(img_format_of(img_chain_image(ch, 1)),
	    img_format_find("qcow2"));
	assert_int_equal(img_chain_close(ch), 0);
}

static void
what_is_stated_for_nothing_is_a_mistake(void **state)
{
	(void)state;
	put_file("raw", "");
	fresh_args(0);
	ca.ca_backing = "raw";
	assert_refused("raw", EINVAL, "raw", "no backing file");
	fresh_args(0);
	ca.ca_data_file = "raw";
	assert_refused("raw", EINVAL, "raw", "no data file");
}

static void
errors_are_about_the_file_that_has_them(void **state)
{
	char text[100] = "top";

	(void)state;
	fresh_args(0);
	assert_refused(text, ENOENT, "top", "");
	assert_ptr_equal(ca.ca_name, text);
	make_overlay("top", "mid", "qcow2");
	assert_refused(text, ENOENT, "mid", "");
	put_file("mid", "short");
	assert_refused(text, EFTYPE, "mid", "QCOW2-1: ");
	assert_int_equal(unlink("mid"), 0);
	make_overlay("mid", "base", "raw");
	patch("mid", "cow", EXT_NAME);
	assert_refused(text, ENOENT, "base", "");
	put_file("base", "");
	assert_refused(text, ENOTSUP, "base", "\"cow\"");
	assert_int_equal(unlink("base"), 0);
	assert_int_equal(mkfifo("base", 0600), 0);
	assert_refused(text, EINVAL, "base", "regular");
	assert_refused("base", EINVAL, "base", "regular");
	assert_int_equal(mkdir("folder", 0777), 0);
	assert_refused("folder", EISDIR, "folder", "");
}

static void
a_snapshot_that_is_not_there_is_told(void **state)
{
	(void)state;
	make("top", "qcow2", NULL);
	fresh_args(0);
	ca.ca_args.a_snapshot = "monday";
	assert_refused("top", ENOENT, "top", "no snapshot \"monday\"");
}

static void
a_chain_can_be_followed_step_by_step(void **state)
{
	struct img_chain *ch;
	int more = 0;

	(void)state;
	make_overlay("mid", "base", "raw");
	make_overlay("top", "mid", "qcow2");
	fresh_args(IMG_CHAIN_ALONE);
	ch = opened("top");
	assert_int_equal(host_chain_follow(ch, &ca, &more), 0);
	assert_int_equal(more, 1);
	assert_depth(ch, 2);
	assert_int_equal(host_chain_follow(ch, &ca, &more), ENOENT);
	assert_int_equal(more, 1);
	assert_string_equal(ca.ca_name, "base");
	assert_depth(ch, 2);
	put_file("base", "");
	assert_int_equal(host_chain_follow(ch, &ca, &more), 0);
	assert_int_equal(more, 1);
	assert_depth(ch, 3);
	assert_int_equal(host_chain_follow(ch, &ca, &more), 0);
	assert_int_equal(more, 0);
	assert_int_equal(img_chain_close(ch), 0);
}

static void
abandoning_says_whether_the_header_is_gone(void **state)
{
	struct img_chain *ch;
	unsigned n = open_files();

	(void)state;
	put_file("base", "");
	make_overlay("top", "base", "raw");
	fresh_args(0);
	ca.ca_args.a_flags = IMG_RDWR | IMG_FRESH;
	ch = opened("top");
	assert_int_equal(img_chain_abandon(ch), 0);
	ch = opened("top");
	assert_int_equal(img_write(img_chain_image(ch, 0), "x", 1, 0), 0);
	assert_int_equal(img_chain_abandon(ch), 1);
	assert_int_equal(open_files(), n);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, folder_make, folder_remove)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_chain_has_its_images_from_the_top_down),
		TEST(only_the_top_is_opened_to_write),
		TEST(top_and_alone_open_less),
		TEST(a_file_that_is_given_stays_open),
		TEST(what_the_caller_states_wins),
		TEST(what_is_stated_for_nothing_is_a_mistake),
		TEST(errors_are_about_the_file_that_has_them),
		TEST(a_snapshot_that_is_not_there_is_told),
		TEST(a_chain_can_be_followed_step_by_step),
		TEST(abandoning_says_whether_the_header_is_gone),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
