/* SPDX-License-Identifier: ISC */

/*
 * Bytes from a stranger, as qcow2.  Whatever a file holds, to open, check,
 * map, read and write it never crashes, never hangs and never takes more
 * memory than it was given; and an image whose check had nothing to say has
 * nothing to say after it was written to.
 */

#include "unit/help/test.h"

#include "fuzz/fuzz.h"
#include "unit/help/mkqcow2.h"

#define DISK (80 * UINT64_C(512) + 512)
#define BUDGET (512u * 1024)
#define MAXCALLS 100000u /* of the host, in one case */

enum kind { PLAIN, OLD, EXTENDED, DATAFILE, NKINDS };

static struct mem_env env, back_env;
static struct mem base[NKINDS], m, data, back;
static struct img *back_im;
static struct mkqcow2 made[NKINDS];
static struct mkrefs refs[NKINDS];
static uint64_t seed, cases, opened, written, clean;
static char what[100]; /* was done to the file */

#define OK(cond)                                                           \
	do {                                                               \
		if (!(cond))                                               \
			fail_msg("case %lu, %s: %s", (unsigned long)cases, \
			    what, #cond);                                  \
	} while (0)

/* All kinds of clusters, and two snapshots of them. */
static void
fill(struct mkqcow2 *k)
{
	uint64_t g;

	for (g = 0; g < k->k_size / k->k_cluster && g < 72;
	     g += g == 7 ? 55 : 1)
		switch (g % 4) {
		case 0:
			(void)mkqcow2_data(k, g);
			break;
		case 1:
			mkqcow2_set(k, g,
			    k->k_version > 2 && !(k->k_incompat & 16),
			    UINT64_C(0xf) << 33);
			break;
		case 2:
			(void)mkqcow2_pack(k, g);
			break;
		}
	mkqcow2_snapshot(k, "1", "one");
	mkqcow2_snapshot(k, "2", "two");
}

static void
make_one(enum kind i)
{
	struct mkqcow2 *k = &made[i];

	mem_file(&base[i], 0);
	mkqcow2_init(k, &base[i], DISK, 9);
	if (i == EXTENDED) {
		mkqcow2_init(k, &base[i], 8 * 16384, 14);
		k->k_incompat = 16;
	}
	k->k_version = i == OLD ? 2 : 3;
	k->k_order = i == PLAIN ? 4 : i == OLD ? 4 : i == EXTENDED ? 6 : 0;
	k->k_data = i == DATAFILE ? "data" : NULL;
	k->k_backing = i == PLAIN ? "base" : NULL;
	k->k_format = i == PLAIN ? "raw" : NULL;
	k->k_autoclear = i == PLAIN ? 1 : 0;
	mkqcow2_begin(k);
	if (i == DATAFILE)
		mkqcow2_set(k, 3, 3 * 512 | MKQ_COPIED, 0);
	else
		fill(k);
	mkqcow2_end(k);
	mkqcow2_refs(&base[i], &refs[i]);
}

/* Every extent makes progress, lies in its file, or names its row. */
static void
map_all(struct img *im)
{
	struct img_extent e;
	uint64_t voff = 0, size = img_size(im);
	unsigned n = 0;

	while (voff < size && n++ < 2000 &&
	    img_map(im, voff, size - voff, &e) == 0) {
		OK(e.e_voff == voff);
		OK(e.e_len > 0 && e.e_len <= size - voff);
		OK(e.e_file <= 1);
		if (e.e_type == IMG_DATA)
			OK(img_inside(e.e_off, e.e_len,
			    e.e_file ? data.m_len : m.m_len));
		if (e.e_type == IMG_BAD)
			OK(e.e_row > IMG_ROW_NONE && e.e_row < IMG_NROWS);
		voff += e.e_len;
	}
}

static void
read_some(struct img *im)
{
	static uint8_t buf[4096];
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
    const char *snapshot, struct mem_sink *s)
{
	struct img_args a;
	int error;

	memset(&a, 0, sizeof(a));
	memset(s, 0, sizeof(*s));
	a.a_format = fmt;
	a.a_flags = flags;
	a.a_slices = 4;
	a.a_budget = BUDGET;
	a.a_snapshot = snapshot;
	a.a_report = mem_report;
	a.a_arg = s;
	error = mem_open_args(imp, &env, &m, &a);
	OK(fuzz_errno(error));
	OK(error != EFTYPE || snapshot != NULL ||
	    fuzz_allowed(s) == IMG_ALLOW_NOTHING);
	OK(error != EROFS || fuzz_allowed(s) < IMG_ALLOW_WRITE);
	if (error != 0)
		return (error);
	(void)img_lend_data(*imp, &data.m_file);
	(void)img_lend(*imp, back_im);
	return (0);
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
look(const struct img_format *fmt, const char *snapshot)
{
	struct mem_sink s;
	struct img *im;
	unsigned items = 0;

	if (open_as(&im, fmt, IMG_VERIFY, snapshot, &s) != 0)
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

/* What a check was content with, it is content with afterwards. */
static void
write_some(const struct img_format *fmt)
{
	static uint8_t buf[4096], got[4096];
	struct mem_sink s;
	struct img *im;
	uint64_t voff = 0, size;
	uint32_t len = 0;
	int error = EIO, sound;

	if (open_as(&im, fmt, IMG_RDWR, NULL, &s) != 0)
		return;
	written++;
	check(im);
	sound = mem_worst(&s) <= IMG_SEV_LEAK;
	size = img_size(im);
	if (size > 0) {
		len = mem_random(&seed) % (uint32_t)img_min(size, sizeof(buf)) +
		    1;
		voff = fuzz_voff(&seed, size, len);
		mem_pattern(buf, len, voff, 3);
		error = img_write(im, buf, len, voff);
		OK(fuzz_errno(error));
		OK(fuzz_errno(img_zero(im, voff / 2, voff - voff / 2)));
	}
	OK(fuzz_errno(img_flush(im)));
	OK(fuzz_errno(mem_close(im, &env)));
	if (!sound || error != 0)
		return;
	clean++;
	OK(open_as(&im, fmt, IMG_RDWR, NULL, &s) == 0);
	OK(img_read(im, got, len, voff) == 0);
	OK(memcmp(buf, got, len) == 0);
	check(im);
	OK(mem_worst(&s) <= IMG_SEV_LEAK);
	mem_abandon(im, &env);
}

/* All that is done to one file. */
static void
one_case(int writing)
{
	const struct img_format *fmt = NULL, *q = img_format_find("qcow2");

	cases++;
	env.e_peak = env.e_late = 0;
	OK(img_probe(&env.e_env, &m.m_file, &fmt) == 0);
	look(q, NULL);
	if (cases % 4 == 0)
		look(q, cases % 8 == 0 ? "1" : "two");
	if (writing)
		write_some(q);
	OK(env.e_now == 0 && env.e_late == 0);
	OK(env.e_peak <= BUDGET + sizeof(struct img));
	OK(m.m_past == 0 && data.m_past == 0);
	OK(m.m_calls[MEM_READ] + m.m_calls[MEM_WRITE] < MAXCALLS);
	mem_reset(&m);
}

static void
start(enum kind k)
{
	mem_copy(&m, &base[k]);
	mem_set_len(&data, 0);
	mem_set_len(&data, 4000);
}

static void
every_byte_of_the_header(void **state)
{
	uint64_t off;
	uint8_t was, b;
	unsigned k, how;

	(void)state;
	for (k = 0; k < NKINDS; k++)
		for (off = 0; off < 160; off++)
			for (how = 0; how < 5; how++) {
				start((enum kind)k);
				mem_get(&m, off, &was, 1);
				b = (uint8_t[]){ 0, 0xff, (uint8_t)~was,
					(uint8_t)(was ^ 1),
					(uint8_t)(was ^ 0x80) }[how];
				snprintf(what, sizeof(what),
				    "kind %u, byte %lu := %#x", k,
				    (unsigned long)off, b);
				mem_put(&m, off, &b, 1);
				one_case(1);
			}
}

/* Offset and width of each number of the header. */
static const struct {
	unsigned at, bytes;
} fields[] = { { 4, 4 }, { 8, 8 }, { 16, 4 }, { 20, 4 }, { 24, 8 }, { 24, 8 },
	{ 32, 4 }, { 36, 4 }, { 36, 4 }, { 40, 8 }, { 48, 8 }, { 56, 4 },
	{ 60, 4 }, { 64, 8 }, { 72, 8 }, { 80, 8 }, { 88, 8 }, { 96, 4 },
	{ 100, 4 }, { 104, 4 }, { 112, 4 }, { 116, 4 }, { 124, 4 },
	{ 132, 4 } };

static void
random_fields(void **state)
{
	uint64_t n;
	uint32_t round, i, left, k;
	uint8_t b[8];

	(void)state;
	for (round = 0; round < 6000; round++) {
		start((enum kind)(round % NKINDS));
		snprintf(what, sizeof(what), "fields, round %u", round);
		for (left = mem_random(&seed) % 3 + 1; left > 0; left--) {
			i = mem_random(&seed) % LENGTH_OF(fields);
			n = fuzz_number(&seed);
			if (fields[i].at == 20 && left % 2)
				n = 9 + mem_random(&seed) % 13;
			if (fields[i].at >= 40 && left % 2)
				n = mem_random(&seed) % 64 * 512;
			for (k = 0; k < fields[i].bytes; k++)
				b[k] = (uint8_t)(n >>
				    8 * (fields[i].bytes - 1 - k));
			mem_put(&m, fields[i].at, b, fields[i].bytes);
		}
		one_case(1);
	}
}

/* An entry of a table: flags, and offsets that are mostly inside. */
static uint64_t
entry(enum kind k)
{
	uint64_t n = mem_random(&seed) % (refs[k].r_ncl + 2);

	n <<= made[k].k_bits;
	switch (mem_random(&seed) % 8) {
	case 0:
		return (fuzz_number(&seed));
	case 1:
		n |= 1;
		break;
	case 2:
		n |= MKQ_PACKED | mem_random(&seed) % 512;
		n |= (uint64_t)mem_random(&seed) << 55 & ~(UINT64_C(3) << 62);
		break;
	case 3:
		n ^= UINT64_C(1) << mem_random(&seed) % 64;
		break;
	}
	return (mem_random(&seed) % 2 ? n | MKQ_COPIED : n);
}

/* Entries of L1, L2 and refcount tables, snapshots; counts of blocks. */
static void
random_tables(void **state)
{
	uint32_t round, left;
	uint64_t off;
	size_t cl;
	enum kind k;

	(void)state;
	for (round = 0; round < 12000; round++) {
		k = (enum kind)(round % NKINDS);
		start(k);
		snprintf(what, sizeof(what), "tables, round %u", round);
		for (left = mem_random(&seed) % 4 + 1; left > 0;) {
			cl = mem_random(&seed) % refs[k].r_ncl;
			if (strchr("12tbsS", refs[k].r_use[cl]) == NULL)
				continue;
			off = mem_random(&seed) % (left % 2 ? 64 : 8);
			off = ((uint64_t)cl << made[k].k_bits) + off * 8;
			mem_put64(&m, off, entry(k));
			left--;
		}
		one_case(1);
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
		     len -= len > 2048 ? img_min(len - 2048, 211) : 3) {
			start((enum kind)k);
			mem_set_len(&m, len - 1);
			snprintf(what, sizeof(what), "kind %u cut to %lu", k,
			    (unsigned long)len - 1);
			one_case(1);
			if (len <= 3)
				break;
		}
}

static int
setup(void **state)
{
	unsigned i;

	(void)state;
	mkqcow2_env(&env);
	mem_file(&data, 4000);
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
	print_message("%lu cases, %lu opened, %lu written, %lu sound\n",
	    (unsigned long)cases, (unsigned long)opened, (unsigned long)written,
	    (unsigned long)clean);
	mem_close(back_im, &back_env);
	mem_free(&back);
	mem_free(&m);
	mem_free(&data);
	for (i = 0; i < NKINDS; i++) {
		mem_free(&base[i]);
		mkqcow2_refs_free(&refs[i]);
	}
	return (0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_of_the_header),
		cmocka_unit_test(random_fields),
		cmocka_unit_test(random_tables),
		cmocka_unit_test(files_cut_anywhere),
	};

	return (cmocka_run_group_tests(tests, setup, teardown));
}
