/* SPDX-License-Identifier: ISC */

/*
 * Repair of QED: whatever is damaged is sound afterwards, and guest bytes
 * change only where a step said so.
 */

#include "unit/qed/damage.h"

static void
every_damage_is_repaired(void **state)
{
	static struct content was;
	static struct told t;
	unsigned bad = 0;
	struct fx fx;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(damages); i++) {
		make(&fx);
		damages[i].d_do(&fx);
		look(&fx, &was);
		memset(&t, 0, sizeof(t));
		if (!mend(&fx, &t)) {
			print_error("%s: not sound: QED-%u\n",
			    damages[i].d_name,
			    fx.fx_sink.s_n == 0 ?
				0 :
				img_row(fx.fx_sink.s_found[0].fi_row)
				    ->r_number);
			bad++;
		}
		if (t.t_n == 0) {
			print_error("%s: no damage\n", damages[i].d_name);
			bad++;
		}
		if (!is_intact(&fx, &t, &was)) {
			print_error("%s: guest bytes changed\n",
			    damages[i].d_name);
			bad++;
		}
		done(&fx);
	}
	assert_int_equal(bad, 0);
}

static void
a_dry_run_tells_the_same_and_writes_nothing(void **state)
{
	static struct told dry, wet;
	struct mem was = { 0 };
	struct fx fx;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(damages); i++) {
		make(&fx);
		damages[i].d_do(&fx);
		memset(&dry, 0, sizeof(dry));
		memset(&wet, 0, sizeof(wet));
		check(&fx);
		mem_copy(&was, &fx.fx_mem);
		assert_int_equal(repair(&fx, IMG_FIX_LOSSY, IMG_DRYRUN, &dry),
		    0);
		assert_true(mem_equal(&was, &fx.fx_mem));
		assert_int_equal(repair(&fx, IMG_FIX_LOSSY, 0, &wet), 0);
		if (memcmp(&dry, &wet, sizeof(dry)) != 0)
			fail_msg("%s: not the same", damages[i].d_name);
		/* What is done is not done again, by the same findings. */
		mem_copy(&was, &fx.fx_mem);
		assert_int_equal(repair(&fx, IMG_FIX_LOSSY, 0, &dry), 0);
		if (!mem_equal(&was, &fx.fx_mem))
			fail_msg("%s: done again", damages[i].d_name);
		mem_free(&was);
		done(&fx);
	}
}

/* After it, the rows that were repaired are gone, and there are no others. */
static void
one_safe_repair_is_enough(void **state)
{
	static struct content was;
	static struct told t;
	struct mem_sink first;
	enum img_row row;
	unsigned before;
	struct fx fx;
	size_t i;

	(void)state;
	for (i = 0; i < LENGTH_OF(damages); i++) {
		make(&fx);
		damages[i].d_do(&fx);
		look(&fx, &was);
		check(&fx);
		first = fx.fx_sink;
		before = corruptions(&fx);
		repair_once(&fx, IMG_FIX_SAFE, &t);
		if (!is_intact(&fx, NULL, &was))
			fail_msg("%s: guest bytes changed", damages[i].d_name);
		check(&fx);
		assert_true(corruptions(&fx) <= before);
		for (row = IMG_ROW_NONE; row < IMG_NROWS; row++)
			if (t.t_row[row] > 0 && mem_has(&fx.fx_sink, row) > 0)
				fail_msg("%s: QED-%u", damages[i].d_name,
				    img_row(row)->r_number);
			else if (mem_has(&fx.fx_sink, row) > 0 &&
			    !mem_has(&first, row) &&
			    img_row(row)->r_severity > IMG_SEV_LEAK)
				fail_msg("%s: QED-%u is new", damages[i].d_name,
				    img_row(row)->r_number);
		done(&fx);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_damage_is_repaired),
		cmocka_unit_test(a_dry_run_tells_the_same_and_writes_nothing),
		cmocka_unit_test(one_safe_repair_is_enough),
	};

	return (cmocka_run_group_tests_name("qed repair", tests, NULL, NULL));
}
