/* SPDX-License-Identifier: ISC */

/* What img_copy leaves on the destination, and what it does not touch. */

#include "unit/tool/disk.h"

#define K 1024u
#define MIB (1024u * K)

static char drawing[2049];

/* n times the letter, after what is drawn already. */
static void
draw(char c, unsigned n)
{
	size_t at = strlen(drawing);

	assert_true(at + n < sizeof(drawing));
	memset(drawing + at, c, n);
	drawing[at + n] = '\0';
}

/* Copy, and the destination has the source's bytes, and its own behind them. */
static void
copy(struct disk *src, struct disk *dst, uint32_t sparse, unsigned flags)
{
	struct img_copy how = { .cp_sparse = sparse, .cp_flags = flags };
	size_t tail = (size_t)(dst->d_size - src->d_size);
	unsigned char *old = malloc(tail + 1);

	assert_non_null(old);
	memcpy(old, dst->d_bytes + src->d_size, tail);
	assert_int_equal(img_copy(img_host_env(), src->d_img, dst->d_img, &how),
	    0);
	assert_memory_equal(src->d_bytes, dst->d_bytes, src->d_size);
	assert_memory_equal(old, dst->d_bytes + src->d_size, tail);
	free(old);
}

/* A copy of one drawing over another leaves a third. */
static void
leaves(const char *from, const char *over, uint32_t sparse, unsigned flags,
    const char *result)
{
	struct disk *src = disk_draw(from), *dst = disk_draw(over);

	copy(src, dst, sparse, flags);
	assert_string_equal(dst->d_map, result);
	disk_free(src);
	disk_free(dst);
}

static void
data_is_copied_and_holes_stay_holes(void **state)
{
	(void)state;
	leaves("hhddzzdh", "hhhhhhhh", 4 * K, 0, "hhddhhdh");
}

static void
holes_are_not_read(void **state)
{
	struct disk *src = disk_draw("hhzzhh"), *dst = disk_draw("hhhhhh");

	(void)state;
	copy(src, dst, 4 * K, 0);
	assert_int_equal(src->d_reads, 0);
	assert_int_equal(src->d_maps, 3);
	assert_int_equal(dst->d_writes, 0);
	disk_free(src);
	disk_free(dst);
}

static void
zeros_in_data_become_holes(void **state)
{
	(void)state;
	leaves("0d00d0", "hhhhhh", 4 * K, 0, "hdhhdh");
}

static void
short_runs_of_zeros_are_written_with_the_data(void **state)
{
	struct disk *src = disk_draw("d0d00d000dd0d");
	struct disk *dst = disk_draw("hhhhhhhhhhhhh");

	(void)state;
	copy(src, dst, 12 * K, 0);
	assert_string_equal(dst->d_map, "ddddddhhhdddd");
	assert_int_equal(dst->d_writes, 2);
	disk_free(src);
	disk_free(dst);
}

static void
a_run_is_one_run_across_pieces(void **state)
{
	struct disk *src, *dst;

	(void)state;
	/* 4 MiB less 8 KiB of zeros, from 4 KiB before the first border. */
	drawing[0] = '\0';
	draw('d', 255);
	draw('0', 1022);
	draw('d', 3);
	src = disk_draw(drawing);
	memset(drawing, 'h', strlen(drawing));
	dst = disk_draw(drawing);
	copy(src, dst, 1022 * 4 * K, 0);
	memset(drawing, 'd', 255);
	memset(drawing + 255 + 1022, 'd', 3);
	assert_string_equal(dst->d_map, drawing);
	disk_free(dst);
	/* One byte more is asked of a run, and this one is none. */
	memset(drawing, 'h', strlen(drawing));
	dst = disk_draw(drawing);
	copy(src, dst, 1022 * 4 * K + 1, 0);
	memset(drawing, 'd', strlen(drawing));
	assert_string_equal(dst->d_map, drawing);
	disk_free(src);
	disk_free(dst);
}

static void
zeros_beside_a_hole_belong_to_it(void **state)
{
	(void)state;
	leaves("d0h0d0d", "hhhhhhh", 64 * K, 0, "dhhhddd");
}

static void
zeros_at_the_end_are_left_out_however_short(void **state)
{
	struct disk *src = disk_draw_as("d0", 4 * K, 4095, IMG_ALLOW_WRITE);
	struct disk *dst = disk_draw_as("hh", 4 * K, 4095, IMG_ALLOW_WRITE);

	(void)state;
	copy(src, dst, 64 * K, 0);
	assert_string_equal(dst->d_map, "dh");
	disk_free(src);
	disk_free(dst);
}

static void
blocks_of_zeros_are_aligned_on_the_disk(void **state)
{
	/* An extent that starts in the middle of a block of 4 KiB. */
	struct disk *src, *dst;
	char map[41] = "hhhhhhhd00000000"
		       "00000000"
		       "0000000dd";

	(void)state;
	src = disk_draw_as(map, 512, 0, IMG_ALLOW_WRITE);
	memset(map, 'h', strlen(map));
	dst = disk_draw_as(map, 512, 0, IMG_ALLOW_WRITE);
	copy(src, dst, 4 * K, 0);
	assert_string_equal(dst->d_map,
	    "hhhhhhhd"
	    "hhhhhhhh"
	    "hhhhhhhh"
	    "ddddddddd");
	disk_free(src);
	disk_free(dst);
}

static void
without_sparse_everything_is_written(void **state)
{
	(void)state;
	leaves("h0zd0", "hhhhh", 0, 0, "ddddd");
}

static void
old_data_in_place_becomes_zeros(void **state)
{
	(void)state;
	leaves("hd0zd0d", "ddddddd", 4 * K, IMG_COPY_INPLACE, "zdzzdzd");
}

static void
in_place_a_run_is_zeroed_by_one_call(void **state)
{
	struct disk *src = disk_draw("d00hhzz0d"), *dst;

	(void)state;
	dst = disk_draw("ddddddddd");
	copy(src, dst, 4 * K, IMG_COPY_INPLACE);
	assert_int_equal(dst->d_zeros, 1);
	disk_free(src);
	disk_free(dst);
}

static void
what_lies_behind_the_source_stays(void **state)
{
	(void)state;
	leaves("d0d", "dddddd", 4 * K, IMG_COPY_INPLACE, "dzdddd");
	leaves("ddd", "dddddd", 0, IMG_COPY_INPLACE, "dddddd");
}

static void
a_smaller_destination_is_refused_untouched(void **state)
{
	struct disk *src = disk_draw("dhd"), *dst = disk_draw("hh");
	struct img_copy how = { .cp_sparse = 4 * K };

	(void)state;
	assert_int_equal(img_copy(img_host_env(), src->d_img, dst->d_img, &how),
	    EINVAL);
	assert_int_equal(dst->d_writes, 0);
	disk_free(src);
	disk_free(dst);
}

static void
a_bad_entry_is_named(void **state)
{
	struct disk *src = disk_draw("hddbd"), *dst = disk_draw("hhhhh");
	struct img_copy how = { .cp_sparse = 4 * K };

	(void)state;
	assert_int_equal(img_copy(img_host_env(), src->d_img, dst->d_img, &how),
	    EIO);
	assert_int_equal(how.cp_bad_voff, 3 * 4 * K);
	assert_int_equal(how.cp_bad_row, IMG_VHD_BAT_RANGE);
	assert_int_equal(how.cp_dst, 0);
	disk_free(src);
	disk_free(dst);
}

static void
an_unreadable_place_is_named(void **state)
{
	struct disk *src = disk_draw("hhd"), *dst = disk_draw("hhh");
	struct img_copy how = { .cp_sparse = 4 * K };

	(void)state;
	src->d_unread = EIO;
	assert_int_equal(img_copy(img_host_env(), src->d_img, dst->d_img, &how),
	    EIO);
	assert_int_equal(how.cp_bad_voff, 2 * 4 * K);
	assert_int_equal(how.cp_bad_row, IMG_ROW_NONE);
	assert_int_equal(how.cp_dst, 0);
	disk_free(src);
	disk_free(dst);
}

static void
a_failing_destination_is_told_from_a_failing_source(void **state)
{
	struct disk *src = disk_draw("dhd"), *dst = disk_draw("hhh");
	struct img_copy how = { .cp_sparse = 4 * K };

	(void)state;
	dst->d_fail = 2;
	assert_int_equal(img_copy(img_host_env(), src->d_img, dst->d_img, &how),
	    ENOSPC);
	assert_int_equal(how.cp_dst, 1);
	assert_int_equal(how.cp_bad_voff, IMG_NOWHERE);
	disk_free(src);
	disk_free(dst);
}

static void
holes_of_a_disk_that_may_not_be_read_are_no_zeros(void **state)
{
	struct disk *src = disk_draw_as("hh", 4 * K, 0, IMG_ALLOW_MAP);
	struct disk *dst = disk_draw("hh");
	struct img_copy how = { .cp_sparse = 4 * K };

	(void)state;
	assert_int_not_equal(img_copy(img_host_env(), src->d_img, dst->d_img,
				 &how),
	    0);
	disk_free(src);
	disk_free(dst);
}

struct told {
	uint64_t to_last;
	unsigned to_calls;
	unsigned to_stop; /* at which call */
};

static int
listen(void *arg, uint64_t done, uint64_t total)
{
	struct told *t = arg;

	assert_true(done >= t->to_last && done <= total);
	assert_int_equal(total, 75 * MIB);
	t->to_last = done;
	return (++t->to_calls == t->to_stop ? EINTR : 0);
}

/* 75 MiB, of which 3 are data. */
static int
copy_listening(struct told *t, unsigned flags)
{
	struct img_env env = *img_host_env();
	struct img_copy how = { .cp_sparse = 4 * K, .cp_flags = flags };
	struct disk *src, *dst;
	int error;

	drawing[0] = '\0';
	draw('h', 70);
	draw('d', 3);
	draw('h', 2);
	src = disk_draw_as(drawing, MIB, 0, IMG_ALLOW_WRITE);
	dst = disk_draw_as(drawing, MIB, 0, IMG_ALLOW_WRITE);
	env.ev_poll = listen;
	env.ev_arg = t;
	error = img_copy(&env, src->d_img, dst->d_img, &how);
	disk_free(src);
	disk_free(dst);
	return (error);
}

static void
progress_grows_to_the_whole(void **state)
{
	struct told t = { 0, 0, 0 };

	(void)state;
	assert_int_equal(copy_listening(&t, 0), 0);
	assert_int_equal(t.to_last, 75 * MIB);
	t.to_last = 0;
	assert_int_equal(copy_listening(&t, IMG_COPY_INPLACE), 0);
	assert_int_equal(t.to_last, 75 * MIB);
}

static void
a_poll_ends_the_copy_at_any_time(void **state)
{
	struct told all = { 0, 0, 0 }, t;
	unsigned i;

	(void)state;
	assert_int_equal(copy_listening(&all, IMG_COPY_INPLACE), 0);
	/* At least two for the first hole, and one for each piece. */
	assert_true(all.to_calls >= 5);
	for (i = 1; i <= all.to_calls; i++) {
		memset(&t, 0, sizeof(t));
		t.to_stop = i;
		assert_int_equal(copy_listening(&t, IMG_COPY_INPLACE), EINTR);
		assert_int_equal(t.to_calls, i);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(data_is_copied_and_holes_stay_holes),
		cmocka_unit_test(holes_are_not_read),
		cmocka_unit_test(zeros_in_data_become_holes),
		cmocka_unit_test(short_runs_of_zeros_are_written_with_the_data),
		cmocka_unit_test(a_run_is_one_run_across_pieces),
		cmocka_unit_test(zeros_beside_a_hole_belong_to_it),
		cmocka_unit_test(zeros_at_the_end_are_left_out_however_short),
		cmocka_unit_test(blocks_of_zeros_are_aligned_on_the_disk),
		cmocka_unit_test(without_sparse_everything_is_written),
		cmocka_unit_test(old_data_in_place_becomes_zeros),
		cmocka_unit_test(in_place_a_run_is_zeroed_by_one_call),
		cmocka_unit_test(what_lies_behind_the_source_stays),
		cmocka_unit_test(a_smaller_destination_is_refused_untouched),
		cmocka_unit_test(a_bad_entry_is_named),
		cmocka_unit_test(an_unreadable_place_is_named),
		cmocka_unit_test(
		    a_failing_destination_is_told_from_a_failing_source),
		cmocka_unit_test(
		    holes_of_a_disk_that_may_not_be_read_are_no_zeros),
		cmocka_unit_test(progress_grows_to_the_whole),
		cmocka_unit_test(a_poll_ends_the_copy_at_any_time),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
