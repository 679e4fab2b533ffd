/* SPDX-License-Identifier: ISC */

/* The cache of data: whatever happens, it says what the file says. */

#include "core/dcache.h"
#include "unit/help/test.h"

#define LEN (64u * 1024)
#define UNIT 4096u
#define NSLOTS 3u

struct fixture {
	struct mem fx_mem;
	struct mem_env fx_env;
	struct img_dcache fx_dc;
};

static uint64_t
random_below(uint64_t *seed, uint64_t n)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return (*seed % n);
}

static void
begin(struct fixture *fx, uint32_t nslots)
{
	uint8_t block[UNIT];
	unsigned i, k;

	mem_file(&fx->fx_mem, LEN);
	for (i = 0; i < LEN / UNIT; i++) {
		for (k = 0; k < UNIT; k++)
			block[k] = (uint8_t)(i * 7 + k * 31 + k / 256);
		mem_put(&fx->fx_mem, i * UNIT, block, UNIT);
	}
	mem_env(&fx->fx_env);
	assert_int_equal(img_dcache_init(&fx->fx_dc, &fx->fx_env.e_env,
			     &fx->fx_mem.m_file),
	    0);
	assert_int_equal(img_dcache_slots(&fx->fx_dc, nslots, UNIT), 0);
	mem_reset(&fx->fx_mem);
}

static void
end(struct fixture *fx)
{
	img_dcache_fini(&fx->fx_dc);
	assert_int_equal(fx->fx_env.e_now, 0);
	mem_free(&fx->fx_mem);
}

/* Read through it: an error, or what is in the file. */
static int
look(struct fixture *fx, uint64_t off, uint32_t len)
{
	struct img_file *f = &fx->fx_dc.dc_file;
	static uint8_t got[4 * UNIT], want[4 * UNIT];
	int error;

	error = f->f_ops->fo_read(f, got, len, off);
	if (error != 0)
		return (error);
	mem_get(&fx->fx_mem, off, want, len);
	assert_memory_equal(got, want, len);
	return (0);
}

/* One change or question; units need not be aligned to each other. */
static void
step(struct fixture *fx, uint64_t *seed)
{
	struct img_file *f = &fx->fx_dc.dc_file;
	static uint8_t buf[2 * UNIT];
	uint64_t len = fx->fx_mem.m_len, off = random_below(seed, len);
	uint32_t n = 1 + (uint32_t)random_below(seed, sizeof(buf));

	switch (random_below(seed, 8)) {
	case 0:
		memset(buf, (int)random_below(seed, 256), n);
		(void)f->f_ops->fo_write(f, buf, n, off);
		break;
	case 1:
		(void)f->f_ops->fo_resize(f,
		    UNIT + random_below(seed, 2 * LEN));
		break;
	case 2:
		assert_int_equal(f->f_ops->fo_length(f, &len), 0);
		assert_int_equal(len, fx->fx_mem.m_len);
		break;
	default:
		/* As rw.c does it: the unit that the bytes lie in. */
		f->f_ops->fo_unit(f, off - random_below(seed, off + 1) % UNIT,
		    UNIT << random_below(seed, 2));
		(void)look(fx, off, (uint32_t)img_min(n, len - off));
		break;
	}
}

static void
it_always_says_what_the_file_says(void **state)
{
	struct fixture fx;
	unsigned i, round;
	uint64_t seed;

	(void)state;
	for (round = 0; round < 60; round++) {
		seed = round + 1;
		begin(&fx, round % NSLOTS + 1);
		for (i = 0; i < 1500; i++) {
			/* Some writes and resizes fail, writes half done. */
			fx.fx_mem.m_half = 1;
			fx.fx_mem.m_fail[MEM_WRITE] =
			    i % 7 == 0 ? fx.fx_mem.m_calls[MEM_WRITE] + 1 : 0;
			fx.fx_mem.m_fail[MEM_RESIZE] =
			    i % 5 == 0 ? fx.fx_mem.m_calls[MEM_RESIZE] + 1 : 0;
			fx.fx_mem.m_fail[MEM_READ] =
			    i % 11 == 0 ? fx.fx_mem.m_calls[MEM_READ] + 1 : 0;
			step(&fx, &seed);
		}
		assert_true(fx.fx_mem.m_failed > 0);
		assert_int_equal(fx.fx_mem.m_past, 0);
		end(&fx);
	}
}

/* A unit is read once; what is not in one is never kept. */
static void
only_units_are_kept(void **state)
{
	struct fixture fx;
	struct img_file *f = &fx.fx_dc.dc_file;
	uint64_t *reads = &fx.fx_mem.m_calls[MEM_READ];

	(void)state;
	begin(&fx, 2);
	assert_int_equal(look(&fx, 0, 512), 0);
	assert_int_equal(look(&fx, 0, 512), 0);
	assert_int_equal(*reads, 2);
	f->f_ops->fo_unit(f, 1000, UNIT);
	assert_int_equal(look(&fx, 1000 + UNIT - 512, 512), 0);
	assert_int_equal(look(&fx, 1000, 512), 0);
	assert_int_equal(*reads, 3);
	assert_int_equal(look(&fx, 0, 1000), 0);
	assert_int_equal(*reads, 4);
	/* The last one ends with the file. */
	f->f_ops->fo_unit(f, LEN - 100, UNIT);
	assert_int_equal(look(&fx, LEN - 100, 100), 0);
	assert_int_equal(look(&fx, LEN - 1, 1), 0);
	assert_int_equal(*reads, 5);
	assert_int_equal(fx.fx_mem.m_past, 0);
	/* No sum of an offset and a length wraps. */
	f->f_ops->fo_unit(f, UINT64_MAX - 10, UNIT);
	assert_int_equal(look(&fx, LEN - UNIT, 10), 0);
	assert_int_not_equal(look(&fx, UINT64_MAX - 5, 1), 0);
	end(&fx);
}

static void
slots_are_within_limits_and_come_back(void **state)
{
	struct fixture fx;
	struct img_dcache *dc = &fx.fx_dc;
	unsigned i;

	(void)state;
	begin(&fx, 0);
	assert_int_equal(img_dcache_slots(dc, IMG_DCACHE_NSLOTS_MAX + 1, UNIT),
	    EINVAL);
	assert_int_equal(img_dcache_slots(dc, 1, UNIT + 1), EINVAL);
	assert_int_equal(fx.fx_env.e_allocs, 0);
	for (i = 1; i <= 2; i++) {
		fx.fx_env.e_fail = fx.fx_env.e_allocs + i;
		assert_int_equal(img_dcache_slots(dc, 2, UNIT), ENOMEM);
		assert_int_equal(fx.fx_env.e_now, 0);
		assert_int_equal(look(&fx, 0, 512), 0);
	}
	fx.fx_env.e_fail = 0;
	/* Large units are cut in pieces. */
	assert_int_equal(img_dcache_slots(dc, 1, 4 * IMG_DCACHE_SLOT_MAX), 0);
	assert_int_equal(fx.fx_env.e_now,
	    sizeof(struct img_dslot) + IMG_DCACHE_SLOT_MAX);
	assert_int_equal(img_dcache_slots(dc, 1, UNIT), EINVAL);
	end(&fx);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_always_says_what_the_file_says),
		cmocka_unit_test(only_units_are_kept),
		cmocka_unit_test(slots_are_within_limits_and_come_back),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
