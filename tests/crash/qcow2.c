/* SPDX-License-Identifier: ISC */

/* qcow2 images to try, and what must hold in them beside the guest's bytes. */

#include "unit/help/test.h"

#include "crash/crash.h"

static const struct subject_kind qcow2_kind;

static int
has(const struct subject *su, unsigned flag)
{
	return ((su->su_setup->qs_flags & flag) != 0);
}

/* Clusters of a window; the last one of the disk is not whole. */
static uint64_t
per_window(const struct subject *su)
{
	return ((su->su_len + su->su_q.k_cluster - 1) / su->su_q.k_cluster);
}

static void
set_windows(struct subject *su)
{
	struct mkqcow2 *k = &su->su_q;
	uint64_t c = k->k_cluster, n, span;

	span = c / (has(su, QS_EXTENDED) ? 16 : 8) * c;
	n = c == 512 ? 32 : c == 4096 ? 7 : 3;
	su->su_len = n * c + (c == 512 ? 0 : 1536);
	su->su_window[0] = span - n / 2 * c;
	su->su_window[1] = 6 * span - (n + 1) / 2 * c;
	su->su_spare = 3 * span;
	su->su_most = c == 512 ? 4096 : c == 4096 ? 10240 : 28672;
	su->su_align = (uint32_t)c;
	/*
	 * What was made zeros without a write, and is then written in part, has
	 * its old place there: sectors are old or new, a part of one is not.
	 */
	su->su_sectors = has(su, QS_DATA);
	su->su_zeros = su->su_setup->qs_zeros;
	su->su_noflush = has(su, QS_NOFLUSH);
	k->k_size = su->su_window[1] + su->su_len;
}

/* Guest cluster g as data; in the data file it is where the guest has it. */
static uint64_t
put_data(struct subject *su, uint64_t g, uint64_t flags)
{
	struct mkqcow2 *k = &su->su_q;
	uint64_t off = g * k->k_cluster, i;
	uint8_t buf[512];

	if (!has(su, QS_DATA)) {
		off = mkqcow2_data(k, g);
		mkqcow2_set(k, g, off | flags, UINT32_MAX);
		return (off);
	}
	for (i = 0; i < k->k_cluster; i += 512) {
		mem_pattern(buf, 512, off + i, 1);
		mem_put(&su->su_mem[1], off + i, buf, 512);
	}
	mkqcow2_set(k, g, off | MKQ_COPIED | flags, UINT32_MAX);
	return (off);
}

/* One of each kind in turn; version 2 knows no zeros. */
static void
put_one(struct subject *su, uint64_t g, uint64_t turn)
{
	struct mkqcow2 *k = &su->su_q;
	uint64_t zeros = UINT64_C(0xffffffff) << 32;
	int flag = k->k_version > 2 && !has(su, QS_EXTENDED);

	if (has(su, QS_RAW))
		turn = 0;
	switch (turn % 6) {
	case 1:
		break;
	case 2:
		if (k->k_version > 2)
			mkqcow2_set(k, g, (uint64_t)flag, zeros);
		break;
	case 3:
		if (k->k_version == 2)
			break;
		mkqcow2_set(k, g,
		    put_data(su, g, (uint64_t)flag) | flag |
			(has(su, QS_DATA) ? MKQ_COPIED : 0),
		    zeros);
		break;
	case 4:
		if (has(su, QS_PACKED))
			(void)mkqcow2_pack(k, g);
		else
			(void)put_data(su, g, 0);
		break;
	default:
		(void)put_data(su, g, 0);
		if (turn % 6 == 5 && has(su, QS_EXTENDED))
			mem_put64(k->k_mem, mkqcow2_at(k, g) + 8,
			    UINT64_C(0x0ff0000000000ff1));
	}
}

/* L2 tables of this window that no snapshot has. */
static void
own_tables(struct subject *su, uint64_t first)
{
	struct mkqcow2 *k = &su->su_q;
	uint64_t g, was = 0, to, at, span;
	uint8_t buf[512];

	span = k->k_cluster / (has(su, QS_EXTENDED) ? 16 : 8);
	for (g = first; g < first + per_window(su); g++) {
		if (mkqcow2_find(k, g) == 0 || (was != 0 && g % span != 0))
			continue;
		was = mkqcow2_find(k, g - g % span);
		to = mkqcow2_take(k, 1);
		for (at = 0; at < k->k_cluster; at += 512) {
			mem_get(k->k_mem, was + at, buf, 512);
			mem_put(k->k_mem, to + at, buf, 512);
		}
		mem_put64(k->k_mem, k->k_l1 + g / span * 8, to);
	}
}

static void
fill(struct subject *su)
{
	struct mkqcow2 *k = &su->su_q;
	uint64_t w, i, first;

	for (w = 0; w < NWINDOWS; w++) {
		first = su->su_window[w] / k->k_cluster;
		for (i = 0; i < per_window(su); i++)
			put_one(su, first + i,
			    per_window(su) < 6 ? 2 * i + w : i + w);
	}
	if (has(su, QS_RAW))
		(void)put_data(su, su->su_spare / k->k_cluster, 0);
	if (!has(su, QS_SNAP))
		return;
	mkqcow2_snapshot(k, "1", "one");
	own_tables(su, first);
	(void)put_data(su, first, 0);
	mkqcow2_snapshot(k, "2", "two");
	own_tables(su, first);
	(void)put_data(su, first + 2, 0);
}

/* As if all were in use, up to where the refcount table hardly reaches. */
static void
fill_up(struct subject *su)
{
	struct mkqcow2 *k = &su->su_q;
	uint64_t cl, most;

	most = k->k_rt_n * k->k_cluster / 8 * (k->k_cluster * 8 >> k->k_order);
	k->k_next = (most - 76) * k->k_cluster;
	mkqcow2_end(k);
	for (cl = 0; cl < k->k_next / k->k_cluster; cl++)
		if (mkqcow2_count(k->k_mem, cl) == 0)
			mkqcow2_put_count(k->k_mem, cl, 1);
}

static void
qcow2_lend(struct subject *su, struct img *im, struct mem *files)
{
	if (su->su_backim != NULL)
		assert_int_equal(img_lend(im, su->su_backim), 0);
	if (has(su, QS_DATA))
		assert_int_equal(img_lend_data(im, &files[1].m_file), 0);
}

static const char *const snapshots[NSNAPS] = { "1", "two" };

void
subject_qcow2(struct subject *su, const struct qsetup *qs)
{
	struct mkqcow2 *k = &su->su_q;
	unsigned i;

	memset(su, 0, sizeof(*su));
	mkqcow2_env(&su->su_env);
	su->su_kind = &qcow2_kind;
	su->su_setup = qs;
	su->su_slices = qs->qs_slices;
	if (has(su, QS_DEVICE))
		mem_device(&su->su_mem[0], 320 * 512);
	else
		mem_file(&su->su_mem[0], 0);
	mem_file(&su->su_mem[1], 0);
	mkqcow2_init(k, &su->su_mem[0], 0, qs->qs_bits);
	set_windows(su);
	k->k_version = qs->qs_version;
	k->k_order = qs->qs_order;
	k->k_incompat = has(su, QS_EXTENDED) ? 16 : 0;
	k->k_autoclear = has(su, QS_BITMAPS) ? 0x8001 : 0;
	k->k_autoclear |= has(su, QS_RAW) ? 2 : 0;
	k->k_backing = has(su, QS_BACKING) ? "base.raw" : NULL;
	k->k_format = has(su, QS_BACKING) ? "raw" : NULL;
	k->k_data = has(su, QS_DATA) ? "data.raw" : NULL;
	mkqcow2_begin(k);
	if (has(su, QS_TABLES))
		fill(su);
	if (has(su, QS_FULL))
		fill_up(su);
	else
		mkqcow2_end(k);
	if (has(su, QS_BACKING))
		subject_backing(su);
	if (has(su, QS_RAW))
		mem_set_len(&su->su_mem[1], k->k_size);
	for (i = 0; i < NSNAPS && has(su, QS_SNAP); i++)
		subject_remember(su, snapshots[i], &su->su_snap[i]);
	subject_remember(su, NULL, &su->su_old);
	su->su_flags = IMG_RDWR | (has(su, QS_FRESH) ? IMG_FRESH : 0) |
	    (has(su, QS_PLAIN) ? IMG_PLAIN : 0);
	subject_begin(su);
}

static const char *
qcow2_before(struct subject *su, struct mem *files, unsigned required)
{
	const char *why;
	uint64_t leaks;

	if (has(su, QS_FRESH) && mem_is(&files[0], 0, 512, 0) &&
	    required == su->su_guest.g_mark[0].ma_seq)
		return (NULL);
	why = mkqcow2_judge(&files[0], &leaks);
	/* What claims to be up to date is. */
	if (why[0] == '\0' && has(su, QS_BITMAPS) &&
	    (mem_get32(&files[0], 92) & 1) != 0)
		why = subject_compare(su, files, NULL, &su->su_old,
		    "changed, but the autoclear bits are set");
	return (why);
}

/* The data file alone is the disk. */
static const char *
judge_raw(struct subject *su, struct mem *files, unsigned required, int bytes)
{
	struct mem_env env;
	struct img *im;
	const char *why = "";

	mem_env(&env);
	if (files[1].m_len < su->su_q.k_size)
		return ("the raw data file is too short");
	assert_int_equal(mem_open(&im, &env, &files[1], img_format_find("raw"),
			     0, NULL),
	    0);
	if (!guest_check(&su->su_guest, im, required, bytes))
		why = "the raw data file is another disk";
	mem_close(im, &env);
	return (why);
}

static const char *
qcow2_after(struct subject *su, struct mem *files, unsigned required, int bytes)
{
	const char *why = "";
	unsigned i;

	for (i = 0; i < NSNAPS && has(su, QS_SNAP) && why[0] == '\0'; i++)
		why = subject_compare(su, files, snapshots[i], &su->su_snap[i],
		    "a snapshot has changed");
	if (why[0] == '\0' && has(su, QS_RAW))
		why = judge_raw(su, files, required, bytes);
	return (why);
}

static void
qcow2_worked(const struct subject *su)
{
	if (has(su, QS_FULL)) /* the table did move */
		assert_int_not_equal(mem_get32(&su->su_mem[0], 52),
		    su->su_q.k_rt);
}

static const struct subject_kind qcow2_kind = {
	.sk_format = "qcow2",
	.sk_lend = qcow2_lend,
	.sk_before = qcow2_before,
	.sk_after = qcow2_after,
	.sk_worked = qcow2_worked,
};
