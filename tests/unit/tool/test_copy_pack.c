/* SPDX-License-Identifier: ISC */

/* What img_copy packs, what it does not, and that threads change nothing. */

#include "unit/tool/packing.h"

static void
what_has_bytes_is_packed(void **state)
{
	struct disk *src = disk_draw("ddh0zzd0d");

	(void)state;
	make(src->d_size);
	assert_int_equal(copy(src, U, 0), 0);
	check_result(src, "pphhhhphp");
	disk_free(src);
	done();
}

static void
a_unit_that_is_zeros_only_in_part_is_packed(void **state)
{
	struct disk *src;

	(void)state;
	src = disk_draw_as("hhhh"
			   "hhhd"
			   "hhhh"
			   "hhhh"
			   "hdhh"
			   "hz00"
			   "h0d0"
			   "00zz",
	    U / 4, 0, IMG_ALLOW_WRITE);
	make(src->d_size);
	assert_int_equal(copy(src, U, 0), 0);
	check_result(src, "hphhphph");
	disk_free(src);
	done();
}

static void
zeros_are_packed_where_none_are_left_out(void **state)
{
	struct disk *src = disk_draw("dh0z");

	(void)state;
	make(src->d_size);
	assert_int_equal(copy(src, 0, 0), 0);
	check_result(src, "pppp");
	disk_free(src);
	done();
}

static void
what_does_not_get_smaller_is_written_in_one_go(void **state)
{
	struct disk *src = disk_draw("dddddddddd");
	struct mem_log log = { NULL, 0, 0 };
	size_t i, n = 0;

	(void)state;
	randomize(src, 2, 5);
	make(src->d_size);
	mem.m_log = &log;
	assert_int_equal(copy(src, U, 0), 0);
	mem.m_log = NULL;
	for (i = 0; i < log.lg_n; i++)
		n += log.lg_op[i].l_len == 5 * U;
	assert_int_equal(n, 1);
	mem_log_free(&log);
	check_result(src, "ppdddddppp");
	disk_free(src);
	done();
}

static void
old_data_is_written_over_in_place(void **state)
{
	struct disk *src = disk_draw("ddh0dd"), *old = disk_draw("dhdddh");

	(void)state;
	make(src->d_size);
	assert_int_equal(img_write(dst, old->d_bytes, 6 * U, 0), 0);
	assert_int_equal(copy(src, U, IMG_COPY_INPLACE), 0);
	check_result(src, "ddzzdd");
	disk_free(src);
	disk_free(old);
	done();
}

static void
without_old_data_nothing_is_zeroed(void **state)
{
	struct disk *src = disk_draw("dh0d"), *old = disk_draw("hddh");
	struct img_extent e;

	(void)state;
	make(src->d_size);
	assert_int_equal(img_write(dst, old->d_bytes, 4 * U, 0), 0);
	assert_int_equal(copy(src, U, 0), 0);
	assert_int_equal(img_map(dst, U, U, &e), 0);
	assert_int_equal(e.e_type, IMG_DATA);
	disk_free(src);
	disk_free(old);
	done();
}

static void
zeros_fill_the_last_unit_at_the_end_of_the_disk(void **state)
{
	struct disk *src = disk_draw_as("dd", U, 512, IMG_ALLOW_WRITE);

	(void)state;
	make(src->d_size);
	assert_int_equal(copy(src, U, 0), 0);
	check_result(src, "pp");
	disk_free(src);
	done();
}

/* Half a unit of old data behind the end of the source. */
static void
what_is_behind_the_source_stays(void **state)
{
	struct disk *src = disk_draw_as("dd", U, U / 2, IMG_ALLOW_WRITE);
	unsigned char buf[U / 2];

	(void)state;
	make(4 * U);
	assert_int_equal(copy(src, U, 0), 0);
	check_result(src, "pphh");
	done();
	make(4 * U);
	memset(buf, 7, sizeof(buf));
	assert_int_equal(img_write(dst, buf, U / 2, U + U / 2), 0);
	assert_int_equal(copy(src, U, IMG_COPY_INPLACE), 0);
	check_result(src, "pdhh");
	memset(buf, 0, sizeof(buf));
	assert_int_equal(img_read(dst, buf, U / 2, U + U / 2), 0);
	assert_int_equal(buf[0], 7);
	disk_free(src);
	done();
}

static void
what_a_backing_image_shows_behind_the_source_stays(void **state)
{
	struct disk *src = disk_draw_as("dd", U, U / 2, IMG_ALLOW_WRITE);
	struct disk *back = disk_draw("dddd");
	unsigned char buf[U];

	(void)state;
	make(4 * U);
	assert_int_equal(img_lend(dst, back->d_img), 0);
	assert_int_equal(copy(src, U, 0), 0);
	check_result(src, "pdhh");
	assert_int_equal(img_read(dst, buf, U / 2, U + U / 2), 0);
	assert_memory_equal(buf, back->d_bytes + U + U / 2, U / 2);
	disk_free(src);
	done();
	/* But up to the end of the disk there are zeros. */
	src = disk_draw_as("dd", U, U / 2 + 100, IMG_ALLOW_WRITE);
	make(2 * U - U / 2);
	assert_int_equal(img_lend(dst, back->d_img), 0);
	assert_int_equal(copy(src, U, 0), 0);
	check_result(src, "pp");
	disk_free(src);
	done();
	disk_free(back);
}

static void
threads_do_not_change_the_result(void **state)
{
	static const unsigned threads[] = { 1, 2, 3, 8 };
	struct disk *src = mixed();
	struct mem first;
	unsigned i;

	(void)state;
	make(src->d_size);
	assert_int_equal(copy(src, U, 0), 0);
	assert_int_equal(img_flush(dst), 0);
	check_result(src, "");
	mem_file(&first, 0);
	mem_copy(&first, &mem);
	done();
	for (i = 0; i < sizeof(threads) / sizeof(threads[0]); i++) {
		make(src->d_size);
		env.e_env.ev_parallel = img_host_env()->ev_parallel;
		host_set_threads(threads[i]);
		assert_int_equal(copy(src, U, 0), 0);
		assert_int_equal(img_flush(dst), 0);
		assert_true(mem_equal(&first, &mem));
		done();
	}
	host_set_threads(0);
	mem_free(&first);
	disk_free(src);
}

/* The buffer had been that of another batch. */
static void
nothing_but_zeros_is_behind_the_end_of_the_disk(void **state)
{
	unsigned char packed[U], unit[U];
	struct disk *src;
	struct img_extent e;
	uint64_t last;

	(void)state;
	memset(drawing, 'd', sizeof(drawing) - 1);
	src = disk_draw_as(drawing, U, 512, IMG_ALLOW_WRITE);
	make(src->d_size);
	last = src->d_size / U * U;
	assert_int_equal(copy(src, U, 0), 0);
	assert_int_equal(img_flush(dst), 0);
	assert_int_equal(img_map(dst, last, 512, &e), 0);
	assert_int_equal(e.e_type, IMG_PACKED);
	memset(packed, 0, sizeof(packed));
	mem_get(&mem, e.e_off, packed, e.e_plen);
	assert_int_equal(img_host_env()->ev_unpack(NULL, IMG_DEFLATE, packed,
			     sizeof(packed), unit, U),
	    0);
	assert_memory_equal(unit, src->d_bytes + last, U - 512);
	assert_true(img_is_zero(unit + U - 512, 512));
	disk_free(src);
	done();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_has_bytes_is_packed),
		cmocka_unit_test(a_unit_that_is_zeros_only_in_part_is_packed),
		cmocka_unit_test(zeros_are_packed_where_none_are_left_out),
		cmocka_unit_test(
		    what_does_not_get_smaller_is_written_in_one_go),
		cmocka_unit_test(old_data_is_written_over_in_place),
		cmocka_unit_test(without_old_data_nothing_is_zeroed),
		cmocka_unit_test(
		    zeros_fill_the_last_unit_at_the_end_of_the_disk),
		cmocka_unit_test(what_is_behind_the_source_stays),
		cmocka_unit_test(
		    what_a_backing_image_shows_behind_the_source_stays),
		cmocka_unit_test(threads_do_not_change_the_result),
		cmocka_unit_test(
		    nothing_but_zeros_is_behind_the_end_of_the_disk),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
