/* SPDX-License-Identifier: ISC */

/*
 * Bytes from a stranger.  Whatever a file holds, to open, check, map, read
 * and write it never crashes, never hangs and never takes more memory than
 * it was given; and an image that was sound enough to be written is so
 * afterwards.
 */

#include "unit/help/test.h"

#include "fuzz/fuzz.h"
#include "unit/help/mkvhd.h"

#define BLOCK 4096u
#define DISK (12 * (uint64_t)BLOCK - 1024)
#define BUDGET (256u * 1024)
#define NOW INT64_C(2000000000)
#define MAXCALLS 50000u /* of the host, in one case */

enum kind { DYNAMIC, FIXED, DIFFERENCING, NKINDS };

static struct mem_env env;
static struct mem base[NKINDS], m;
static uint64_t seed, cases, opened, written;
static char what[100]; /* was done to the file */

static void
make_all(void)
{
	static const int blocks[] = { 3, -1, 0, 11, 7 };
	struct mkvhd k;
	size_t i;

	for (i = 0; i < NKINDS; i++)
		mem_file(&base[i], 0);
	mkvhd_make(&k, &base[DYNAMIC], DISK, BLOCK, blocks, 5);
	mkvhd_bit(&k, 2048, 3, 0);
	mkvhd_fixed(&k, &base[FIXED], DISK);
	mkvhd_init(&k, &base[DIFFERENCING], DISK, BLOCK);
	k.k_type = 4;
	k.k_bat = 4096;
	mkvhd_begin(&k);
	mem_put(k.k_mem, 512 + 40, "parent's uuid...", 16);
	mem_put(k.k_mem, 512 + 64, "\0b\0a\0s\0e", 8);
	mem_put(k.k_mem, 512 + 576, "W2ru\0\0\2\0\0\0\0\10\0\0\0\0", 16);
	mem_put64(k.k_mem, 512 + 592, 2048);
	mem_put(k.k_mem, 2048, "b\0a\0s\0e\0", 8);
	mkvhd_header_sum(&k);
	mkvhd_block(&k, 2);
	mkvhd_block(&k, 9);
	mkvhd_end(&k);
}

#define OK(cond)                                                           \
	do {                                                               \
		if (!(cond))                                               \
			fail_msg("case %lu, %s: %s", (unsigned long)cases, \
			    what, #cond);                                  \
	} while (0)

/* Every extent makes progress, lies in the file, or names its row. */
static void
map_all(struct img *im)
{
	struct img_extent e;
	uint64_t voff = 0, size = img_size(im);
	unsigned n = 0;

	while (voff < size) {
		if (img_map(im, voff, size - voff, &e) != 0)
			break;
		OK(e.e_voff == voff);
		OK(e.e_len > 0 && e.e_len <= size - voff);
		if (e.e_type == IMG_DATA)
			OK(img_inside(e.e_off, e.e_len, m.m_len));
		if (e.e_type == IMG_BAD)
			OK(e.e_row > IMG_ROW_NONE && e.e_row < IMG_NROWS);
		voff += e.e_len;
		OK(++n < 100000);
	}
}

static void
read_some(struct img *im)
{
	static uint8_t buf[3 * BLOCK];
	uint64_t size = img_size(im), voff;
	uint32_t len, i;
	int error;

	for (i = 0; i < 5 && size > 0; i++) {
		len = mem_random(&seed) % (uint32_t)img_min(size, 3 * BLOCK);
		voff = 0;
		if (i == 1)
			voff = size - len;
		if (i > 1)
			voff = fuzz_voff(&seed, size, len);
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
	OK(error != EFTYPE || mem_worst(s) == IMG_SEV_FATAL);
	OK(error != EROFS || mem_worst(s) >= IMG_SEV_CORRUPT ||
	    mem_has(s, IMG_VHD_DIFFERENCING));
	return (error);
}

static void
look(const struct img_format *fmt)
{
	struct img_checked checked;
	struct mem_sink s;
	struct img *im;
	unsigned items = 0;

	if (open_as(&im, fmt, IMG_VERIFY, &s) != 0)
		return;
	opened++;
	map_all(im);
	read_some(im);
	OK(env.e_late == 0);
	env.e_opening = 1;
	OK(fuzz_errno(img_check(im, mem_random(&seed) % 4 == 0 ? IMG_DEEP : 0,
	    NOW, &checked)));
	OK(fuzz_errno(img_info(im, fuzz_item, &items)));
	env.e_opening = 0;
	mem_abandon(im, &env);
}

/* What can be written is sound afterwards, and has what was written. */
static void
write_some(const struct img_format *fmt)
{
	static uint8_t buf[2 * BLOCK], got[2 * BLOCK];
	struct mem_sink s;
	struct img *im;
	uint64_t voff = 0, size;
	uint32_t len = 0, verify = mem_random(&seed) % 2 ? IMG_VERIFY : 0;
	int error = EIO;

	if (open_as(&im, fmt, IMG_RDWR | verify, &s) != 0)
		return;
	written++;
	size = img_size(im);
	if (size > 0) {
		len = mem_random(&seed) % (uint32_t)img_min(size, 2 * BLOCK);
		voff = fuzz_voff(&seed, size, len);
		mem_pattern(buf, len, voff, 3);
		error = img_write(im, buf, len, voff);
		OK(fuzz_errno(error));
		OK(fuzz_errno(img_zero(im, 0, voff)));
	}
	OK(fuzz_errno(img_flush(im)));
	OK(fuzz_errno(mem_close(im, &env)));
	if (!verify || error != 0)
		return;
	OK(open_as(&im, fmt, IMG_RDWR | IMG_VERIFY, &s) == 0);
	OK(img_read(im, got, len, voff) == 0);
	OK(memcmp(buf, got, len) == 0);
	mem_abandon(im, &env);
}

/* All that is done to one file. */
static void
one_case(int writing)
{
	const struct img_format *fmt = NULL, *vhd = img_format_find("vhd");

	cases++;
	env.e_peak = env.e_late = 0;
	OK(img_probe(&env.e_env, &m.m_file, &fmt) == 0);
	look(vhd);
	if (fmt != vhd)
		look(fmt);
	if (writing)
		write_some(vhd);
	OK(env.e_now == 0 && env.e_late == 0);
	OK(env.e_peak <= BUDGET + sizeof(struct img));
	OK(m.m_past == 0);
	OK(m.m_calls[MEM_READ] + m.m_calls[MEM_WRITE] < MAXCALLS);
	mem_reset(&m);
}

/* Put the checksums right, so that the fields behind them are believed. */
static void
right_sums(void)
{
	uint8_t b[1024];
	uint64_t end = m.m_len - m.m_len % 512 - 512;

	mem_get(&m, 512, b, 1024);
	mem_put32(&m, 512 + 36, mkvhd_sum(b, 1024, 36));
	mem_get(&m, 0, b, 512);
	if (memcmp(b, "conectix", 8) == 0)
		mem_put32(&m, 64, mkvhd_sum(b, 512, 64));
	mem_get(&m, end, b, 512);
	mem_put32(&m, end + 64, mkvhd_sum(b, 512, 64));
}

/* The file as it was, where only so many bytes at off were changed. */
static void
restore(enum kind k, uint64_t off, size_t n)
{
	uint8_t b[1024];

	mem_get(&base[k], off, b, n);
	mem_put(&m, off, b, n);
	mem_get(&base[k], 512, b, 1024);
	mem_put(&m, 512, b, 1024);
	mem_get(&base[k], 64, b, 4);
	mem_put(&m, 64, b, 4);
	mem_get(&base[k], m.m_len - 512, b, 512);
	mem_put(&m, m.m_len - 512, b, 512);
}

static void
change_byte(enum kind k, uint64_t off)
{
	uint8_t was, b;
	unsigned how, sums;

	mem_get(&m, off, &was, 1);
	for (how = 0; how < 5; how++) {
		b = (uint8_t[]){ 0, 0xff, (uint8_t)~was, (uint8_t)(was ^ 1),
			(uint8_t)(was ^ 0x80) }[how];
		for (sums = 0; sums < 2; sums++) {
			snprintf(what, sizeof(what),
			    "kind %u, byte %lu := %#x, sums %u", k,
			    (unsigned long)off, b, sums);
			mem_put(&m, off, &b, 1);
			if (sums)
				right_sums();
			one_case(0);
			if (sums && how == 2) {
				one_case(1);
				mem_copy(&m, &base[k]);
			} else
				restore(k, off, 1);
		}
	}
}

static void
every_byte_of_head_and_tail(void **state)
{
	uint64_t off, head;
	unsigned k;

	(void)state;
	for (k = 0; k < NKINDS; k++) {
		mem_copy(&m, &base[k]);
		head = k == FIXED ? 512 : 3072;
		for (off = 0; off < head; off++)
			change_byte((enum kind)k, off);
		for (off = m.m_len - 512; off < m.m_len; off++)
			change_byte((enum kind)k, off);
	}
	print_message("%lu cases, %lu opened, %lu written\n",
	    (unsigned long)cases, (unsigned long)opened,
	    (unsigned long)written);
}

/* Offset and width of each number that something is computed from. */
static const struct {
	unsigned at, bytes;
	int end; /* in the footers, else in the head */
} fields[] = { { 8, 4, 1 }, { 12, 4, 1 }, { 16, 8, 1 }, { 24, 4, 1 },
	{ 28, 4, 1 }, { 40, 8, 1 }, { 48, 8, 1 }, { 48, 8, 1 }, { 56, 4, 1 },
	{ 60, 4, 1 }, { 84, 2, 1 }, { 528, 8, 0 }, { 540, 4, 0 }, { 540, 4, 0 },
	{ 544, 4, 0 }, { 544, 4, 0 }, { 552, 8, 0 }, { 576, 8, 0 },
	{ 1092, 4, 0 }, { 1096, 4, 0 }, { 1104, 8, 0 }, { 1536, 4, 0 },
	{ 1540, 4, 0 }, { 1548, 4, 0 }, { 1564, 4, 0 }, { 4104, 4, 0 },
	{ 4096, 4, 0 } };

static void
put_field(unsigned i, uint64_t n)
{
	uint8_t b[8];
	unsigned bytes = fields[i].bytes, k;
	uint64_t end = m.m_len - m.m_len % 512 - 512;

	for (k = 0; k < bytes; k++)
		b[k] = (uint8_t)(n >> 8 * (bytes - 1 - k));
	if (!fields[i].end || mem_random(&seed) % 4 > 0)
		mem_put(&m, fields[i].at, b, bytes);
	if (fields[i].end && mem_random(&seed) % 4 > 0)
		mem_put(&m, end + fields[i].at, b, bytes);
}

static void
random_fields_under_right_checksums(void **state)
{
	uint32_t n, i, left;
	uint64_t value;
	enum kind k;

	(void)state;
	for (n = 0; n < 40000; n++) {
		k = (enum kind)(n % 8 == 0 ? FIXED :
			n % 4 == 1         ? DIFFERENCING :
					     DYNAMIC);
		mem_copy(&m, &base[k]);
		snprintf(what, sizeof(what), "kind %u, round %u", k, n);
		for (left = mem_random(&seed) % 4 + 1; left > 0; left--) {
			i = mem_random(&seed) % LENGTH_OF(fields);
			value = fuzz_number(&seed);
			/* Most block sizes would only be refused. */
			if (fields[i].at == 544 && left % 2)
				value = UINT64_C(512) << mem_random(&seed) % 23;
			put_field(i, value);
		}
		if (n % 16 != 0)
			right_sums();
		one_case(1);
	}
	print_message("%lu cases, %lu opened, %lu written\n",
	    (unsigned long)cases, (unsigned long)opened,
	    (unsigned long)written);
}

static void
random_tables(void **state)
{
	uint32_t n, i;
	uint64_t bat;

	(void)state;
	for (n = 0; n < 10000; n++) {
		mem_copy(&m, &base[n % 4 == 0 ? DIFFERENCING : DYNAMIC]);
		bat = n % 4 == 0 ? 4096 : 1536;
		snprintf(what, sizeof(what), "tables, round %u", n);
		for (i = 0; i < 12; i++)
			if (mem_random(&seed) % 3 == 0)
				mem_put32(&m, bat + i * 4,
				    mem_random(&seed) % 3 == 0 ?
					mem_random(&seed) :
					mem_random(&seed) % 80);
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
		     len -= len > 4096 ? img_min(len - 4096, 37) : 1) {
			mem_copy(&m, &base[k]);
			mem_set_len(&m, len - 1);
			snprintf(what, sizeof(what), "kind %u cut to %lu", k,
			    (unsigned long)len - 1);
			one_case(1);
		}
}

static void
files_of_nothing_but_one_byte(void **state)
{
	static const uint8_t bytes[] = { 0, 0xff, 'c', 0xc7 };
	uint64_t len;
	unsigned i;
	uint8_t buf[64];

	(void)state;
	for (i = 0; i < sizeof(bytes); i++) {
		mem_free(&m);
		mem_file(&m, 0);
		memset(buf, bytes[i], sizeof(buf));
		for (len = 0; len < 8192; len += 64) {
			snprintf(what, sizeof(what), "%lu bytes %#x",
			    (unsigned long)len, bytes[i]);
			one_case(1);
			mem_put(&m, len, buf, sizeof(buf));
		}
		/* Behind a cookie. */
		mem_put(&m, 0, "conectix", 8);
		mem_put(&m, m.m_len - 512, "conectix", 8);
		right_sums();
		one_case(1);
	}
}

static int
setup(void **state)
{
	(void)state;
	mem_env(&env);
	make_all();
	seed = 20;
	return (0);
}

static int
teardown(void **state)
{
	unsigned i;

	(void)state;
	mem_free(&m);
	for (i = 0; i < NKINDS; i++)
		mem_free(&base[i]);
	return (0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_of_head_and_tail),
		cmocka_unit_test(random_fields_under_right_checksums),
		cmocka_unit_test(random_tables),
		cmocka_unit_test(files_cut_anywhere),
		cmocka_unit_test(files_of_nothing_but_one_byte),
	};

	return (cmocka_run_group_tests(tests, setup, teardown));
}
