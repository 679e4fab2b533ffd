/* SPDX-License-Identifier: ISC */

/*
 * Bytes from a stranger, as QED.  Whatever a file holds, to open, check, map,
 * read and write it never crashes, never hangs and never takes more memory
 * than it was given; it can be written exactly if a judge that shares nothing
 * with the library finds no pointer wrong, and then the judge finds none wrong
 * and nothing more lost after it was written to.
 */

#include "unit/help/test.h"

#include "fuzz/fuzz.h"
#include "unit/help/mkqed.h"

#define BUDGET (192u * 1024)
#define MAXCALLS 2000u /* of the host, in one case */

enum kind { PLAIN, BACKED, LARGE, NKINDS };

static struct mem_env env, back_env;
static struct mem base[NKINDS], m, back;
static struct img *back_im;
static struct mkqed made[NKINDS];
static uint64_t seed, cases, opened, written, most;
static int head_ok;    /* only tables were damaged, or the length */
static char what[100]; /* was done to the file */

#define OK(cond)                                                           \
	do {                                                               \
		if (!(cond))                                               \
			fail_msg("case %lu, %s: %s", (unsigned long)cases, \
			    what, #cond);                                  \
	} while (0)

/* Data, zeros, gaps; tables 0, 1 and the last one; the disk's end. */
static void
fill(struct mkqed *k)
{
	uint64_t g, n = k->k_entries;
	unsigned i;

	for (i = 0; i < 14; i++) {
		g = i < 6 ? i : n - 4 + i - 6;
		if (i >= 12)
			g = k->k_size / k->k_cluster - 14 + i;
		if (i % 4 == 2)
			mkqed_set(k, g, 1);
		else if (i % 4 != 3)
			(void)mkqed_data(k, g);
		if (i == 5)
			mkqed_take(k, 2);
	}
}

static void
make_one(enum kind i)
{
	struct mkqed *k = &made[i];

	mem_file(&base[i], 0);
	mkqed_init(k, &base[i], 0, i == LARGE ? 13 : 12, i == BACKED ? 2 : 1);
	k->k_size = (i == LARGE ? UINT64_C(20) : UINT64_C(5)) << 20;
	k->k_size += 1536;
	k->k_header = i == LARGE ? 2 : 1;
	k->k_l1 = i == LARGE ? 4 * 8192 : 0;
	k->k_backing = i == BACKED ? "base" : NULL;
	k->k_autoclear = i == BACKED ? 1 : 0;
	mkqed_begin(k);
	fill(k);
	if (i == BACKED)
		mem_put(&base[i], base[i].m_len, "stray", 5);
}

/* Every extent makes progress, lies in the file, or names its row. */
static void
map_all(struct img *im)
{
	struct img_extent e;
	uint64_t voff = 0, size = img_size(im);
	unsigned n = 0;

	while (voff < size && n++ < 1000 &&
	    img_map(im, voff, img_min(size - voff, 16 << 20), &e) == 0) {
		OK(e.e_voff == voff);
		OK(e.e_len > 0 && e.e_len <= size - voff);
		OK(e.e_file == 0);
		if (e.e_type == IMG_DATA)
			OK(img_inside(e.e_off, e.e_len, m.m_len));
		if (e.e_type == IMG_BAD)
			OK(e.e_row > IMG_ROW_NONE && e.e_row < IMG_NROWS);
		voff += e.e_len;
	}
}

static void
read_some(struct img *im)
{
	static uint8_t buf[8192];
	uint64_t size = img_size(im), voff;
	uint32_t len, i;
	int error;

	for (i = 0; i < 4 && size > 0; i++) {
		len = mem_random(&seed) % (uint32_t)img_min(size, sizeof(buf)) +
		    1;
		voff = i == 0 ? 0 :
		    i == 1    ? size - len :
				fuzz_voff(&seed, size, len);
		error = img_read(im, buf, len, voff);
		OK(fuzz_errno(error));
		OK(error != 0 || img_allows(im, NULL) >= IMG_ALLOW_READ);
	}
}

static int
open_as(struct img **imp, const struct img_format *fmt, uint32_t flags,
    struct mem_sink *s)
{
	struct img_args a;
	int error;

	memset(&a, 0, sizeof(a));
	memset(s, 0, sizeof(*s));
	a.a_format = fmt;
	a.a_flags = flags;
	a.a_slices = 4;
	a.a_budget = BUDGET;
	a.a_report = mem_report;
	a.a_arg = s;
	error = mem_open_args(imp, &env, &m, &a);
	OK(fuzz_errno(error));
	OK(error != EFTYPE || fuzz_allowed(s) == IMG_ALLOW_NOTHING);
	OK(error != EROFS || fuzz_allowed(s) < IMG_ALLOW_WRITE);
	if (error == 0)
		(void)img_lend(*imp, back_im);
	return (error);
}

static void
check(struct img *im)
{
	struct img_checked checked;

	env.e_opening = 1;
	OK(fuzz_errno(img_check(im, mem_random(&seed) % 4 == 0 ? IMG_DEEP : 0,
	    0, &checked)));
	env.e_opening = 0;
}

static void
look(const struct img_format *fmt)
{
	struct mem_sink s;
	struct img *im;
	unsigned items = 0;

	if (open_as(&im, fmt, IMG_VERIFY, &s) != 0)
		return;
	opened++;
	map_all(im);
	read_some(im);
	OK(env.e_late == 0);
	check(im);
	env.e_opening = 1;
	OK(fuzz_errno(img_info(im, fuzz_item, &items)));
	env.e_opening = 0;
	mem_abandon(im, &env);
}

static int
write_at(struct img *im, uint8_t *buf, uint32_t len, uint64_t voff)
{
	int error;

	OK(fuzz_errno(img_zero(im, voff / 2, voff - voff / 2)));
	mem_pattern(buf, len, voff, 3);
	error = img_write(im, buf, len, voff);
	OK(fuzz_errno(error));
	return (error);
}

/* What the judge and a check were content with, they are afterwards. */
static void
write_some(const struct img_format *fmt)
{
	static uint8_t buf[8192], got[8192];
	struct mem_sink before, s;
	struct img *im;
	uint64_t voff = 0, size, lost, more;
	uint32_t len = 0;
	int error;
	const char *why = mkqed_judge(&m, &lost);

	error = open_as(&im, fmt, IMG_RDWR, &before);
	OK(error != 0 || why[0] == '\0');
	OK(error == 0 || why[0] != '\0' || !head_ok);
	if (error != 0)
		return;
	written++;
	check(im);
	size = img_size(im);
	error = size > 0 ? 0 : EIO;
	if (size > 0) {
		len = mem_random(&seed) % (uint32_t)img_min(size, sizeof(buf)) +
		    1;
		voff = fuzz_voff(&seed, img_min(size, 16 << 20), len);
		error = write_at(im, buf, len, voff);
	}
	OK(fuzz_errno(img_flush(im)));
	OK(fuzz_errno(mem_close(im, &env)));
	OK(mkqed_judge(&m, &more)[0] == '\0' && more <= lost);
	if (error != 0)
		return;
	OK(open_as(&im, fmt, IMG_RDWR, &s) == 0);
	OK(img_read(im, got, len, voff) == 0);
	OK(memcmp(buf, got, len) == 0);
	check(im);
	OK(mem_worst(&s) <= mem_worst(&before));
	mem_abandon(im, &env);
}

/* All that is done to one file. */
static void
one_case(void)
{
	const struct img_format *fmt = NULL, *q = img_format_find("qed");

	cases++;
	env.e_peak = env.e_late = 0;
	OK(img_probe(&env.e_env, &m.m_file, &fmt) == 0);
	look(q);
	write_some(q);
	OK(env.e_now == 0 && env.e_late == 0);
	OK(env.e_peak <= BUDGET + sizeof(struct img));
	OK(m.m_past == 0);
	OK(m.m_calls[MEM_READ] + m.m_calls[MEM_WRITE] < MAXCALLS);
	if (m.m_calls[MEM_READ] > most)
		most = m.m_calls[MEM_READ];
	mem_reset(&m);
}

static void
every_byte_of_the_header(void **state)
{
	uint64_t off;
	uint8_t was, b;
	unsigned k, how;

	(void)state;
	for (k = 0; k < NKINDS; k++)
		for (off = 0; off < 68; off++)
			for (how = 0; how < 5; how++) {
				mem_copy(&m, &base[k]);
				mem_get(&m, off, &was, 1);
				b = (uint8_t[]){ 0, 0xff, (uint8_t)~was,
					(uint8_t)(was ^ 1),
					(uint8_t)(was ^ 0x80) }[how];
				snprintf(what, sizeof(what),
				    "kind %u, byte %lu := %#x", k,
				    (unsigned long)off, b);
				mem_put(&m, off, &b, 1);
				one_case();
			}
}

/* Offset and width of each number of the header. */
static const struct {
	unsigned at, bytes;
} fields[] = { { 4, 4 }, { 8, 4 }, { 12, 4 }, { 16, 8 }, { 24, 8 }, { 32, 8 },
	{ 40, 8 }, { 40, 8 }, { 48, 8 }, { 48, 8 }, { 56, 4 }, { 60, 4 } };

/* Mostly what may be, so that the fields behind it are looked at. */
static uint64_t
field(unsigned at)
{
	uint64_t n = fuzz_number(&seed);

	if (mem_random(&seed) % 4 == 0)
		return (n);
	switch (at) {
	case 4:
		return (UINT64_C(4096) << mem_random(&seed) % 5);
	case 8:
		return (UINT64_C(1) << mem_random(&seed) % 5);
	case 12:
		return (mem_random(&seed) % 6);
	case 16:
		return (mem_random(&seed) % 9);
	case 40:
		return (mem_random(&seed) % 40 * 4096);
	case 48:
		return (n >> mem_random(&seed) % 32 & ~UINT64_C(511));
	default:
		return (n);
	}
}

static void
random_fields(void **state)
{
	uint32_t round, i, left;

	(void)state;
	for (round = 0; round < 3000; round++) {
		mem_copy(&m, &base[round % NKINDS]);
		snprintf(what, sizeof(what), "fields, round %u", round);
		for (left = mem_random(&seed) % 3 + 1; left > 0; left--) {
			i = mem_random(&seed) % LENGTH_OF(fields);
			mkqed_put(&m, fields[i].at, field(fields[i].at),
			    fields[i].bytes);
		}
		one_case();
	}
}

/* An entry of a table: mostly inside the file, sometimes a little off. */
static uint64_t
entry(enum kind k)
{
	uint64_t n = m.m_len / made[k].k_cluster;

	n = mem_random(&seed) % (n + 2) * made[k].k_cluster;
	switch (mem_random(&seed) % 8) {
	case 0:
		return (fuzz_number(&seed));
	case 1:
		return (n | 1);
	case 2:
		return (mem_random(&seed) % 2);
	case 3:
		return (n ^ UINT64_C(1) << mem_random(&seed) % 64);
	default:
		return (n);
	}
}

static void
put_entry(enum kind k, uint64_t n)
{
	const struct mkqed *q = &made[k];
	uint64_t i = mem_random(&seed) % 8, at;

	if (mem_random(&seed) % 3 == 0)
		at = q->k_l1 + i * 8;
	else
		at =
		    mkqed_find(q, mem_random(&seed) % 2 * q->k_entries) + i * 8;
	mkqed_put(&m, at, n, 8);
}

static void
random_tables(void **state)
{
	uint32_t round, left;
	enum kind k;

	(void)state;
	head_ok = 1;
	for (round = 0; round < 5000; round++) {
		k = (enum kind)(round % NKINDS);
		mem_copy(&m, &base[k]);
		snprintf(what, sizeof(what), "tables, round %u", round);
		for (left = mem_random(&seed) % 4 + 1; left > 0; left--)
			put_entry(k, entry(k));
		one_case();
	}
}

/* All entries of the L1 table lead to somewhere: the same, or in turn. */
static void
full_tables(void **state)
{
	uint64_t i, n, ncl;
	uint32_t round;
	enum kind k;

	(void)state;
	for (round = 0; round < 60; round++) {
		k = (enum kind)(round % NKINDS);
		mem_copy(&m, &base[k]);
		snprintf(what, sizeof(what), "full, round %u", round);
		ncl = m.m_len / made[k].k_cluster;
		n = entry(k);
		for (i = 0; i < made[k].k_entries; i++) {
			if (round / 3 % 2)
				n = i % ncl * made[k].k_cluster;
			mkqed_put(&m, made[k].k_l1 + i * 8, n, 8);
		}
		one_case();
	}
}

static void
files_cut_anywhere(void **state)
{
	uint64_t len;
	unsigned k;

	(void)state;
	for (k = 0; k < NKINDS; k++)
		for (len = base[k].m_len; len > 0;
		     len -= len > 1024 ? img_min(len - 1024, 331) : 7) {
			mem_copy(&m, &base[k]);
			mem_set_len(&m, len - 1);
			snprintf(what, sizeof(what), "kind %u cut to %lu", k,
			    (unsigned long)len - 1);
			one_case();
			if (len <= 7)
				break;
		}
}

static int
setup(void **state)
{
	unsigned i;

	(void)state;
	mem_env(&env);
	mem_env(&back_env);
	mem_file(&back, 5000);
	mem_put(&back, 1000, "behind it", 9);
	assert_int_equal(mem_open(&back_im, &back_env, &back,
			     img_format_find("raw"), 0, NULL),
	    0);
	for (i = 0; i < NKINDS; i++)
		make_one((enum kind)i);
	seed = 20;
	return (0);
}

static int
teardown(void **state)
{
	unsigned i;

	(void)state;
	print_message("%lu cases, %lu opened, %lu written, %lu reads at most\n",
	    (unsigned long)cases, (unsigned long)opened, (unsigned long)written,
	    (unsigned long)most);
	mem_close(back_im, &back_env);
	mem_free(&back);
	mem_free(&m);
	for (i = 0; i < NKINDS; i++)
		mem_free(&base[i]);
	return (0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_of_the_header),
		cmocka_unit_test(random_fields),
		cmocka_unit_test(random_tables),
		cmocka_unit_test(full_tables),
		cmocka_unit_test(files_cut_anywhere),
	};

	return (cmocka_run_group_tests(tests, setup, teardown));
}
