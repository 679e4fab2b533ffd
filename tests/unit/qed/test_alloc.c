/* SPDX-License-Identifier: ISC */

/* Space: claims, where the file ends, and files that are not complete yet. */

#include "unit/qed/fx.h"

#define C UINT64_C(4096)
#define SPAN (1024 * C) /* under one L1 entry, of tables of two clusters */
#define SIZE (8 * SPAN)

static struct fx fx;
static struct mkqed *k;

static void
make(void)
{
	k = fx_init(&fx, SIZE, 12, 2);
	mkqed_begin(k);
}

static void
nothing_shows_before_the_end_of_a_claim(void **state)
{
	struct img_claim c;

	(void)state;
	make();
	fx_use(&fx, IMG_RDWR);
	assert_int_equal(img_begin(fx.fx_im, 5 * C, 2 * C, &c), 0);
	assert_int_equal(c.c_ext.e_off, 3 * C);
	assert_int_equal(c.c_ext.e_len, 2 * C);
	assert_int_equal(c.c_flags, IMG_CLAIM_FRESH | IMG_CLAIM_ZEROED);
	mem_maps(fx.fx_im, 0, SIZE, IMG_HOLE, IMG_NOWHERE, SIZE);
	assert_int_equal(img_flush(fx.fx_im), 0);
	assert_int_equal(mkqed_get(&fx.fx_mem, k->k_l1, 8), 0);
	assert_int_equal(fx.fx_mem.m_len, 5 * C); /* the space is there */
	/* Its owner wrote nothing at all: zeros. */
	assert_int_equal(img_end(fx.fx_im, &c, 1), 0);
	mem_maps(fx.fx_im, 5 * C, SIZE / 2, IMG_DATA, 3 * C, 2 * C);
	mem_reads(fx.fx_im, 5 * C, 2 * C, 0);
	fx_close(&fx);
	assert_int_equal(fx.fx_mem.m_len, 7 * C);
	fx_sound(&fx, 0);
	fx_done(&fx);
}

static void
what_is_given_up_is_taken_again_or_a_leak(void **state)
{
	struct img_claim c, d;
	uint8_t b = 1;

	(void)state;
	make();
	fx_use(&fx, IMG_RDWR);
	assert_int_equal(img_begin(fx.fx_im, 5 * C, C, &c), 0);
	assert_int_equal(img_end(fx.fx_im, &c, 0), 0);
	assert_int_equal(img_begin(fx.fx_im, 9 * C, C, &d), 0);
	assert_int_equal(d.c_ext.e_off, 3 * C);
	/* What a failed write left there is not what the next one finds. */
	mem_put(&fx.fx_mem, 3 * C + 8, &b, 1);
	assert_int_equal(img_end(fx.fx_im, &d, 0), 0);
	assert_int_equal(fx.fx_mem.m_len, 3 * C);
	fx_writes(&fx, 5 * C + 100, 100);
	mem_reads(fx.fx_im, 5 * C, 100, 0);
	fx_close(&fx);
	assert_int_equal(mkqed_entry(k, 5), 3 * C);
	fx_sound(&fx, 0);
	/* One that is not the last one cannot be taken back. */
	fx_use(&fx, IMG_RDWR);
	assert_int_equal(img_begin(fx.fx_im, 6 * C, C, &c), 0);
	assert_int_equal(img_begin(fx.fx_im, 7 * C, C, &d), 0);
	assert_int_equal(img_end(fx.fx_im, &c, 0), 0);
	assert_int_equal(img_end(fx.fx_im, &d, 1), 0);
	fx_close(&fx);
	fx_sound(&fx, 1);
	fx_done(&fx);
}

static void
several_claims_end_in_any_order(void **state)
{
	static const unsigned order[] = { 2, 0, 3, 1 };
	struct img_claim c[4];
	uint8_t buf[C];
	unsigned i;

	(void)state;
	make();
	fx_use(&fx, IMG_RDWR);
	for (i = 0; i < 4; i++) /* two of them in one new table */
		assert_int_equal(img_begin(fx.fx_im, (i * 512 + 3) * C, C,
				     &c[i]),
		    0);
	for (i = 0; i < 4; i++) {
		assert_int_equal(c[i].c_ext.e_off, (3 + i) * C);
		mem_pattern(buf, C, c[order[i]].c_ext.e_voff, 3);
		mem_put(&fx.fx_mem, c[order[i]].c_ext.e_off, buf, C);
		assert_int_equal(img_end(fx.fx_im, &c[order[i]], 1), 0);
		mem_reads(fx.fx_im, c[order[i]].c_ext.e_voff, C, 3);
		assert_int_equal(img_flush(fx.fx_im), 0);
	}
	fx_close(&fx);
	fx_sound(&fx, 0);
	fx_use(&fx, IMG_VERIFY);
	for (i = 0; i < 4; i++)
		mem_reads(fx.fx_im, (i * 512 + 3) * C, C, 3);
	fx_close(&fx);
	fx_done(&fx);
}

/*
 * The filling around a claim ends inside its cluster, because there the
 * backing image ends, and by then others have written behind it.
 */
static void
what_is_behind_a_claim_is_not_cut_off(void **state)
{
	struct img_claim a, b;
	uint8_t buf[C];

	(void)state;
	k = fx_init(&fx, SIZE, 12, 2);
	fx_backing(&fx, 3 * 512);
	mkqed_begin(k);
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

static void
offsets_end_where_a_file_s_do(void **state)
{
	struct img_claim c;
	uint64_t top = UINT64_C(1) << 63;

	(void)state;
	make();
	mem_set_len(&fx.fx_mem, top - C);
	fx_use(&fx, IMG_RDWR);
	assert_int_equal(img_begin(fx.fx_im, 0, C, &c), EFBIG);
	fx_close(&fx);
	fx_done(&fx);
	make(); /* room for the cluster, but not for its table */
	mem_set_len(&fx.fx_mem, top - 2 * C);
	fx_use(&fx, IMG_RDWR);
	assert_int_equal(img_begin(fx.fx_im, 0, C, &c), 0);
	assert_int_equal(c.c_ext.e_off, top - 2 * C);
	assert_int_equal(img_end(fx.fx_im, &c, 1), EFBIG);
	mem_maps(fx.fx_im, 0, SIZE, IMG_HOLE, IMG_NOWHERE, SIZE);
	fx_close(&fx);
	assert_int_equal(mkqed_get(&fx.fx_mem, k->k_l1, 8), 0);
	fx_done(&fx);
}

/* Writes to the header; *barriers: how many of these there were. */
static unsigned
headers(unsigned *barriers)
{
	const struct mem_logged *l;
	unsigned n = 0;
	size_t i;

	*barriers = 0;
	for (i = 0; i < fx.fx_log.lg_n; i++) {
		l = &fx.fx_log.lg_op[i];
		*barriers += l->l_op == MEM_BARRIER;
		n += l->l_op == MEM_WRITE && l->l_off < C;
	}
	return (n);
}

static void
a_fresh_file_has_no_header_until_it_is_complete(void **state)
{
	const struct mem_logged *l;
	unsigned barriers;
	uint64_t i;

	(void)state;
	make();
	assert_int_equal(fx_open_as(&fx, IMG_RDWR | IMG_FRESH, 8, 0), 0);
	fx.fx_mem.m_log = &fx.fx_log;
	for (i = 0; i < 100; i++) /* more than the cache has room for */
		fx_writes(&fx, i * 37 % 100 * 20 * C, C);
	assert_int_equal(img_zero(fx.fx_im, SIZE / 2, C), 0);
	/* Taken away first of all, and that is durable; no other barrier. */
	assert_true(mem_is(&fx.fx_mem, 0, C, 0));
	assert_int_equal(headers(&barriers), 1);
	assert_int_equal(barriers, 1);
	l = fx.fx_log.lg_op;
	assert_int_equal(l[0].l_off, 0);
	assert_int_equal(l[1].l_op, MEM_BARRIER);
	fx_close(&fx);
	assert_int_equal(headers(&barriers), 2);
	l = &fx.fx_log.lg_op[fx.fx_log.lg_n - 1];
	assert_int_equal(l[0].l_op, MEM_BARRIER);
	assert_int_equal(l[-1].l_op, MEM_WRITE);
	assert_int_equal(l[-1].l_off, 0);
	assert_int_equal(l[-2].l_op, MEM_BARRIER);
	fx_sound(&fx, 0);
	fx_use(&fx, IMG_VERIFY);
	assert_int_equal(fx.fx_sink.s_n, 0);
	for (i = 0; i < 100; i++)
		mem_reads(fx.fx_im, i * 20 * C, C, 3);
	fx_close(&fx);
	fx_done(&fx);
}

static void
a_fresh_file_that_is_given_up_is_none(void **state)
{
	const struct img_format *fmt;

	(void)state;
	make();
	assert_int_equal(fx_open_as(&fx, IMG_RDWR | IMG_FRESH, 8, 0), 0);
	fx_writes(&fx, 0, C);
	assert_int_equal(mem_abandon(fx.fx_im, &fx.fx_env), 1);
	assert_int_equal(img_probe(&fx.fx_env.e_env, &fx.fx_mem.m_file, &fmt),
	    0);
	assert_ptr_equal(fmt, &img_raw);
	fx_done(&fx);
}

/* --- any writes at all -------------------------------------------------- */

#define DISK (3 * SPAN - 512)

static uint8_t model[3 * SPAN], got[3 * SPAN];

static void
same(void)
{
	assert_int_equal(img_read(fx.fx_im, got, DISK, 0), 0);
	assert_memory_equal(got, model, DISK);
}

static void
change(uint64_t *seed, unsigned version)
{
	uint64_t voff = mem_random(seed) % DISK, len;

	/* Around the borders of the tables, mostly. */
	if (mem_random(seed) % 3 != 0)
		voff =
		    (1 + mem_random(seed) % 2) * SPAN - 8 * C + voff % (16 * C);
	len = 1 + mem_random(seed) % (mem_random(seed) % 2 ? 9 * C : 700);
	len = img_min(len, DISK - voff);
	if (mem_random(seed) % 4 == 0) {
		memset(model + voff, 0, len);
		assert_int_equal(img_zero(fx.fx_im, voff, len), 0);
		return;
	}
	mem_pattern(model + voff, len, voff, version);
	assert_int_equal(img_write(fx.fx_im, model + voff, (uint32_t)len, voff),
	    0);
}

/* Against a plain copy of the disk, through as few slices as there can be. */
static void
all_that_was_written_is_read(void **state)
{
	unsigned how, i;
	uint64_t seed = 11;

	(void)state;
	for (how = 0; how < 4; how++) {
		memset(model, 0, sizeof(model));
		k = fx_init(&fx, DISK, 12, 2);
		if (how % 2) {
			fx_backing(&fx, 2 * SPAN - 300);
			mem_pattern(model, 2 * SPAN - 300, 0, 7);
		}
		mkqed_begin(k);
		assert_int_equal(fx_open_as(&fx,
				     IMG_RDWR | (how / 2 ? IMG_PLAIN : 0), 8,
				     0),
		    0);
		for (i = 0; i < 150; i++) {
			change(&seed, 10 + i);
			if (i % 20 == 19)
				same();
			if (i % 50 == 49)
				assert_int_equal(img_flush(fx.fx_im), 0);
		}
		fx_close(&fx);
		fx_sound(&fx, 0);
		fx_use(&fx, IMG_VERIFY);
		assert_int_equal(fx.fx_sink.s_n, 0);
		same();
		fx_close(&fx);
		fx_done(&fx);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_shows_before_the_end_of_a_claim),
		cmocka_unit_test(what_is_given_up_is_taken_again_or_a_leak),
		cmocka_unit_test(several_claims_end_in_any_order),
		cmocka_unit_test(what_is_behind_a_claim_is_not_cut_off),
		cmocka_unit_test(offsets_end_where_a_file_s_do),
		cmocka_unit_test(
		    a_fresh_file_has_no_header_until_it_is_complete),
		cmocka_unit_test(a_fresh_file_that_is_given_up_is_none),
		cmocka_unit_test(all_that_was_written_is_read),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
