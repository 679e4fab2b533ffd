/* SPDX-License-Identifier: ISC */

/*
 * What img_zero makes of each kind of entry: the table of the format's
 * description for writing zeros with unmapping.
 */

#include "unit/qcow2/fx.h"

#define C 4096u
#define NONE 0 /* cases of guest clusters */
#define DATA 1
#define ZERO 2
#define ALLOC 3
#define PACKED 4
#define NCASES 5
#define SIZE (8u * C + 512)

/* Each case in the guest cluster of its number. */
static void
make(struct fx *fx, unsigned version)
{
	struct mkqcow2 *k = &fx->fx_k;

	k->k_version = version;
	mkqcow2_begin(k);
	mkqcow2_data(k, DATA);
	if (version > 2) {
		mkqcow2_set(k, ZERO, 1, 0);
		mkqcow2_set(k, ALLOC, mkqcow2_data(k, ALLOC) | 1, 0);
	}
	mkqcow2_pack(k, PACKED);
}

static void
zero_all(struct fx *fx, uint32_t flags)
{
	unsigned i;

	fx_use(fx, IMG_RDWR | flags);
	for (i = 0; i < NCASES; i++)
		assert_int_equal(img_zero(fx->fx_im, i * C, C), 0);
	for (i = 0; i < NCASES; i++)
		mem_reads(fx->fx_im, i * C, C, 0);
	fx_close(fx);
	fx_sound(fx, 0);
}

static void
version_3_has_a_flag_and_gives_the_cluster_up(void **state)
{
	struct fx fx;
	struct mkqcow2 *k = fx_init(&fx, SIZE, 12);
	uint64_t data, packed, alloc;

	(void)state;
	make(&fx, 3);
	mkqcow2_end(k);
	data = FX_OFFSET(mkqcow2_entry(k, DATA));
	packed = mkqcow2_entry(k, PACKED) & (((uint64_t)1 << 58) - 1);
	alloc = mkqcow2_entry(k, ALLOC);
	zero_all(&fx, 0);
	assert_int_equal(mkqcow2_entry(k, NONE), 0); /* without backing */
	assert_int_equal(mkqcow2_entry(k, DATA), 1);
	assert_int_equal(mkqcow2_entry(k, ZERO), 1);
	assert_int_equal(mkqcow2_entry(k, ALLOC), alloc);
	assert_int_equal(mkqcow2_entry(k, PACKED), 1);
	assert_int_equal(fx_count(&fx, data), 0);
	assert_int_equal(fx_count(&fx, packed), 0);
	assert_int_equal(fx_count(&fx, FX_OFFSET(alloc)), 1);
	fx_done(&fx);
}

static void
over_a_backing_image_what_is_not_there_gets_the_flag(void **state)
{
	struct fx fx;
	struct mkqcow2 *k = fx_init(&fx, SIZE, 12);

	(void)state;
	fx_backing(&fx, SIZE);
	make(&fx, 3);
	mkqcow2_end(k);
	zero_all(&fx, 0);
	assert_int_equal(mkqcow2_entry(k, NONE), 1);
	assert_int_equal(mkqcow2_entry(k, DATA), 1);
	assert_int_equal(mkqcow2_entry(k, PACKED), 1);
	fx_done(&fx);
}

static void
version_2_forgets_the_cluster(void **state)
{
	struct fx fx;
	struct mkqcow2 *k = fx_init(&fx, SIZE, 12);
	uint64_t data;

	(void)state;
	make(&fx, 2);
	mkqcow2_end(k);
	data = FX_OFFSET(mkqcow2_entry(k, DATA));
	zero_all(&fx, 0);
	assert_int_equal(mkqcow2_entry(k, DATA), 0);
	assert_int_equal(mkqcow2_entry(k, PACKED), 0);
	assert_int_equal(fx_count(&fx, data), 0);
	fx_done(&fx);
}

/* Of version 2, or for readers that know no flag: zeros are data. */
static void
data_over_backing(unsigned version, uint32_t flags)
{
	struct fx fx;
	struct mkqcow2 *k = fx_init(&fx, SIZE, 12);
	uint64_t data, off;
	unsigned i;

	fx_backing(&fx, SIZE);
	make(&fx, version);
	mkqcow2_end(k);
	data = mkqcow2_entry(k, DATA);
	zero_all(&fx, flags);
	assert_int_equal(mkqcow2_entry(k, DATA), data);
	for (i = 0; i < NCASES; i++) {
		if (version > 2 && (i == ZERO || i == ALLOC))
			continue;
		off = FX_OFFSET(mkqcow2_entry(k, i));
		assert_int_equal(mkqcow2_entry(k, i), off | MKQ_COPIED);
		assert_true(mem_is(&fx.fx_mem, off, C, 0));
	}
	fx_done(&fx);
}

static void
version_2_over_a_backing_image_stores_zeros(void **state)
{
	(void)state;
	data_over_backing(2, 0);
}

static void
so_does_version_3_for_readers_that_know_no_flag(void **state)
{
	(void)state;
	data_over_backing(3, IMG_PLAIN);
}

static void
what_is_shared_with_a_snapshot_stays_there(void **state)
{
	struct fx fx;
	struct mkqcow2 *k = fx_init(&fx, SIZE, 12);
	uint64_t data, l2;

	(void)state;
	make(&fx, 3);
	mkqcow2_snapshot(k, "1", "s");
	mkqcow2_end(k);
	data = FX_OFFSET(mkqcow2_entry(k, DATA));
	l2 = mkqcow2_find(k, 0);
	assert_int_equal(fx_count(&fx, data), 2);
	zero_all(&fx, 0);
	assert_int_not_equal(mkqcow2_find(k, 0), l2);
	assert_int_equal(mkqcow2_entry(k, DATA), 1);
	assert_int_equal(fx_count(&fx, data), 1);
	assert_int_equal(fx_count(&fx, l2), 1);
	assert_int_equal(fx_open_as(&fx, 0, 0, "s"), 0);
	mem_reads(fx.fx_im, DATA * C, C, 1);
	mem_reads(fx.fx_im, PACKED * C, C, 1);
	fx_close(&fx);
	fx_done(&fx);
}

static void
part_of_a_cluster_is_written_and_the_rest_stays(void **state)
{
	struct fx fx;
	struct mkqcow2 *k = fx_init(&fx, SIZE, 12);
	uint64_t data;

	(void)state;
	fx_backing(&fx, SIZE);
	make(&fx, 3);
	mkqcow2_end(k);
	data = mkqcow2_entry(k, DATA);
	fx_use(&fx, IMG_RDWR);
	assert_int_equal(img_zero(fx.fx_im, NONE * C + 100, 1000), 0);
	assert_int_equal(img_zero(fx.fx_im, DATA * C + 512, C - 512), 0);
	assert_int_equal(img_zero(fx.fx_im, PACKED * C, 7), 0);
	mem_reads(fx.fx_im, 0, 100, 7);
	mem_reads(fx.fx_im, 100, 1000, 0);
	mem_reads(fx.fx_im, 1100, C - 1100, 7);
	mem_reads(fx.fx_im, DATA * C, 512, 1);
	mem_reads(fx.fx_im, DATA * C + 512, C - 512, 0);
	mem_reads(fx.fx_im, PACKED * C, 7, 0);
	mem_reads(fx.fx_im, PACKED * C + 7, C - 7, 1);
	fx_close(&fx);
	assert_int_equal(mkqcow2_entry(k, DATA), data);
	fx_sound(&fx, 0);
	fx_done(&fx);
}

static void
the_last_cluster_of_the_disk_is_a_whole_one(void **state)
{
	struct fx fx;
	struct mkqcow2 *k = fx_init(&fx, SIZE, 12);

	(void)state;
	fx_backing(&fx, SIZE);
	mkqcow2_begin(k);
	mkqcow2_data(k, 7);
	mkqcow2_data(k, 8); /* has 512 bytes of the disk */
	mkqcow2_end(k);
	fx_use(&fx, IMG_RDWR);
	assert_int_equal(img_zero(fx.fx_im, 7 * C, SIZE - 7 * C), 0);
	fx_close(&fx);
	assert_int_equal(mkqcow2_entry(k, 7), 1);
	assert_int_equal(mkqcow2_entry(k, 8), 1);
	fx_sound(&fx, 0);
	fx_done(&fx);
}

static void
an_empty_disk_of_any_size_takes_no_time_and_no_table(void **state)
{
	struct fx fx;
	struct mkqcow2 *k = fx_init(&fx, (uint64_t)1 << 50, 21);

	(void)state;
	mkqcow2_begin(k);
	mkqcow2_end(k);
	fx_use(&fx, IMG_RDWR);
	mem_reset(&fx.fx_mem);
	assert_int_equal(img_zero(fx.fx_im, 0, (uint64_t)1 << 50), 0);
	assert_true(fx.fx_mem.m_calls[MEM_READ] < 10);
	assert_int_equal(fx.fx_mem.m_calls[MEM_WRITE], 0);
	fx_close(&fx);
	fx_done(&fx);
}

static void
subclusters_have_a_bit_each(void **state)
{
	struct fx fx;
	struct mkqcow2 *k = fx_init(&fx, 4 * 16384, 14);
	uint64_t e;

	(void)state;
	k->k_incompat = 16;
	fx_backing(&fx, 4 * 16384);
	mkqcow2_begin(k);
	mkqcow2_data(k, 0);
	mkqcow2_data(k, 1);
	mkqcow2_end(k);
	e = mkqcow2_entry(k, 0);
	fx_use(&fx, IMG_RDWR);
	/* Subclusters 8 to 15, a part of 16, and one of 7. */
	assert_int_equal(img_zero(fx.fx_im, 8 * 512, 8 * 512 + 100), 0);
	assert_int_equal(img_zero(fx.fx_im, 8 * 512 - 100, 100), 0);
	mem_reads(fx.fx_im, 8 * 512 - 612, 512, 1);
	mem_reads(fx.fx_im, 8 * 512 - 100, 8 * 512 + 200, 0);
	mem_reads(fx.fx_im, 16 * 512 + 100, 512, 1);
	assert_int_equal(img_zero(fx.fx_im, 16384, 16384), 0);
	assert_int_equal(img_zero(fx.fx_im, 2 * 16384 + 512, 1024), 0);
	mem_reads(fx.fx_im, 2 * 16384, 512, 7);
	mem_reads(fx.fx_im, 2 * 16384 + 512, 1024, 0);
	mem_reads(fx.fx_im, 2 * 16384 + 1536, 512, 7);
	assert_int_equal(img_zero(fx.fx_im, 3 * 16384, 16384), 0);
	fx_close(&fx);
	assert_int_equal(mkqcow2_entry(k, 0), e);
	assert_int_equal(mkqcow2_subs(k, 0), UINT64_C(0x0000ff00ffff00ff));
	assert_int_equal(mkqcow2_entry(k, 1), 0);
	assert_int_equal(mkqcow2_subs(k, 1), UINT64_C(0xffffffff00000000));
	assert_int_equal(mkqcow2_entry(k, 2), 0);
	assert_int_equal(mkqcow2_subs(k, 2), UINT64_C(0x0000000600000000));
	assert_int_equal(mkqcow2_subs(k, 3), UINT64_C(0xffffffff00000000));
	fx_sound(&fx, 0);
	fx_done(&fx);
}

/* Guest cluster 1 is in the data file. */
static void
data_file(struct fx *fx, uint64_t autoclear)
{
	struct mkqcow2 *k = fx_init(fx, SIZE, 12);
	uint8_t buf[C];

	k->k_data = "d";
	k->k_autoclear = autoclear;
	mem_set_len(&fx->fx_data, SIZE);
	mem_pattern(buf, C, C, 1);
	mem_put(&fx->fx_data, C, buf, C);
	mkqcow2_begin(k);
	mkqcow2_set(k, 1, C | MKQ_COPIED, 0);
	mkqcow2_end(k);
	fx_use(fx, IMG_RDWR);
	mem_reads(fx->fx_im, C, C, 1);
	assert_int_equal(img_zero(fx->fx_im, C, C), 0);
	mem_reads(fx->fx_im, C, C, 0);
	fx_close(fx);
}

static void
in_a_data_file_the_place_is_kept(void **state)
{
	struct fx fx;

	(void)state;
	data_file(&fx, 0);
	assert_int_equal(mkqcow2_entry(&fx.fx_k, 1), C | MKQ_COPIED | 1);
	fx_done(&fx);
}

static void
a_raw_data_file_holds_the_zeros_itself(void **state)
{
	struct fx fx;

	(void)state;
	data_file(&fx, 2);
	assert_int_equal(mkqcow2_entry(&fx.fx_k, 1), C | MKQ_COPIED);
	assert_true(mem_is(&fx.fx_data, C, C, 0));
	assert_int_equal(mem_get32(&fx.fx_mem, 92), 2); /* still said so */
	fx_done(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(version_3_has_a_flag_and_gives_the_cluster_up),
		cmocka_unit_test(
		    over_a_backing_image_what_is_not_there_gets_the_flag),
		cmocka_unit_test(version_2_forgets_the_cluster),
		cmocka_unit_test(version_2_over_a_backing_image_stores_zeros),
		cmocka_unit_test(
		    so_does_version_3_for_readers_that_know_no_flag),
		cmocka_unit_test(what_is_shared_with_a_snapshot_stays_there),
		cmocka_unit_test(
		    part_of_a_cluster_is_written_and_the_rest_stays),
		cmocka_unit_test(the_last_cluster_of_the_disk_is_a_whole_one),
		cmocka_unit_test(
		    an_empty_disk_of_any_size_takes_no_time_and_no_table),
		cmocka_unit_test(subclusters_have_a_bit_each),
		cmocka_unit_test(in_a_data_file_the_place_is_kept),
		cmocka_unit_test(a_raw_data_file_holds_the_zeros_itself),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
