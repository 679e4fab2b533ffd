/* SPDX-License-Identifier: ISC */

/* What an image names is opened by the rules, and not otherwise. */

#include "unit/host/chain.h"

static void
a_loop_is_refused_by_any_name(void **state)
{
	(void)state;
	make_overlay("a", "b", "qcow2");
	make_overlay("b", "c", "qcow2");
	assert_int_equal(link("a", "c"), 0);
	fresh_args(IMG_CHAIN_TRUST);
	assert_refused("a", ELOOP, "c", "already");
	assert_int_equal(unlink("c"), 0);
	assert_int_equal(symlink("a", "c"), 0);
	assert_refused("a", ELOOP, "c", "already");
	assert_refused("c", ELOOP, "c", "already");
}

static void
an_image_does_not_store_its_data_in_the_chain(void **state)
{
	(void)state;
	put_file("base", "");
	make("top", "qcow2",
	    "data_file=base,backing_file=base,backing_fmt=raw");
	fresh_args(0);
	ca.ca_args.a_flags = IMG_RDWR;
	assert_refused("top", ELOOP, "base", "already");
	ca.ca_data_file = "top";
	assert_refused("top", ELOOP, "top", "already");
}

static void
as_many_images_as_stated_are_a_chain(void **state)
{
	char name[16], back[16];
	struct img_chain *ch;
	unsigned i;

	(void)state;
	make("0", "qcow2", NULL);
	for (i = 1; i <= IMG_CHAIN_MAX; i++) {
		(void)snprintf(name, sizeof(name), "%u", i);
		(void)snprintf(back, sizeof(back), "%u", i - 1);
		make_overlay(name, back, "qcow2");
	}
	fresh_args(0);
	ch = opened(back);
	assert_depth(ch, IMG_CHAIN_MAX);
	assert_int_equal(img_chain_close(ch), 0);
	assert_refused(name, ELOOP, name, "more than");
}

/* What a top image that is found out is refused, and one that is stated not. */
static void
assert_confined(const char *name)
{
	struct img_chain *ch;

	make_overlay("box/top", name, "raw");
	fresh_args(0);
	assert_int_equal(img_chain_open(&ch, "box/top", NULL, &ca), EPERM);
	assert_ptr_equal(ca.ca_state, img_format_find("qcow2"));
	assert_int_equal(ca.ca_state_depth, 0);
	assert_non_null(strstr(ca.ca_why, "outside"));
	ca.ca_args.a_format = ca.ca_state;
	ch = opened("box/top");
	assert_null(ca.ca_state);
	assert_int_equal(img_chain_close(ch), 0);
	fresh_args(IMG_CHAIN_TRUST);
	ch = opened("box/top");
	assert_int_equal(img_chain_close(ch), 0);
	assert_int_equal(unlink("box/top"), 0);
}

static void
names_stay_in_the_folder_of_what_was_found_out(void **state)
{
	char here[4096], name[4200];
	struct img_chain *ch;

	(void)state;
	assert_non_null(getcwd(here, sizeof(here)));
	assert_int_equal(mkdir("box", 0777), 0);
	assert_int_equal(mkdir("box/in", 0777), 0);
	put_file("base", "");
	put_file("box/base", "");
	put_file("box/in/base", "");
	assert_int_equal(symlink("..", "box/up"), 0);
	assert_int_equal(symlink("base", "box/link"), 0);
	assert_int_equal(symlink("in", "box/way"), 0);
	assert_confined("../base");
	assert_confined("in/../base");
	assert_confined("up/base");
	assert_confined("link");
	assert_confined("way/base");
	assert_confined("in/../up/base");
	(void)snprintf(name, sizeof(name), "%s/base", here);
	assert_confined(name);
	make_overlay("box/top", "./in//base", "raw");
	fresh_args(0);
	ch = opened("box/top");
	assert_string_equal(img_chain_path(ch, 1), "box/./in//base");
	assert_int_equal(img_chain_close(ch), 0);
}

static void
they_do_so_further_down_as_well(void **state)
{
	(void)state;
	assert_int_equal(mkdir("box", 0777), 0);
	put_file("base", "");
	make_overlay("box/mid", "../base", "raw");
	make_overlay("box/top", "mid", "qcow2");
	fresh_args(0);
	assert_refused("box/top", EPERM, "box/../base", "outside");
	assert_ptr_equal(ca.ca_state, img_format_find("qcow2"));
	assert_int_equal(ca.ca_state_depth, 0);
}

static void
what_is_found_out_behind_leads_no_further(void **state)
{
	struct img_chain *ch;

	(void)state;
	put_file("base", "");
	make_overlay("mid", "base", "raw");
	make_overlay("top", "mid", NULL);
	fresh_args(0);
	assert_refused("top", EPERM, "mid", "not recorded");
	assert_ptr_equal(ca.ca_state, img_format_find("qcow2"));
	assert_int_equal(ca.ca_state_depth, 1);
	ca.ca_backing_format = ca.ca_state;
	ch = opened("top");
	assert_depth(ch, 3);
	assert_int_equal(img_chain_close(ch), 0);
	/* Further down it has to be expected. */
	make_overlay("above", "top", "qcow2");
	fresh_args(0);
	assert_refused("above", EPERM, "mid", "not recorded");
	assert_int_equal(ca.ca_state_depth, 1);
	ca.ca_backing_format = ca.ca_state;
	assert_refused("above", EPERM, "mid", "not recorded");
	ca.ca_expected = img_format_find("qed");
	assert_refused("above", EPERM, "mid", "not recorded");
	ca.ca_expected = img_format_find("qcow2");
	ch = opened("above");
	assert_depth(ch, 4);
	assert_int_equal(img_chain_close(ch), 0);
	/* One of another format between: no single statement does. */
	assert_int_equal(unlink("above"), 0);
	make("between", "qed", "backing_file=mid,backing_fmt=qcow2");
	make_overlay("above", "between", "qed");
	fresh_args(0);
	assert_refused("above", EPERM, "mid", "not recorded");
	assert_int_equal(ca.ca_state_depth, 2);
	ca.ca_expected = ca.ca_state;
	ch = opened("above");
	assert_depth(ch, 4);
	assert_int_equal(img_chain_close(ch), 0);
	/* What needs nothing is read, as what it was found out to be. */
	assert_int_equal(unlink("mid"), 0);
	make("mid", "qcow2", NULL);
	ch = opened("top");
	assert_ptr_equal(img_format_of(img_chain_image(ch, 1)),
	    img_format_find("qcow2"));
	assert_int_equal(img_chain_close(ch), 0);
	assert_int_equal(unlink("mid"), 0);
	put_file("mid", "text");
	ch = opened("top");
	assert_ptr_equal(img_format_of(img_chain_image(ch, 1)),
	    img_format_find("raw"));
	assert_int_equal(img_chain_close(ch), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, folder_make, folder_remove)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_loop_is_refused_by_any_name),
		TEST(an_image_does_not_store_its_data_in_the_chain),
		TEST(as_many_images_as_stated_are_a_chain),
		TEST(names_stay_in_the_folder_of_what_was_found_out),
		TEST(they_do_so_further_down_as_well),
		TEST(what_is_found_out_behind_leads_no_further),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
