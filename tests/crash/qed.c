/* SPDX-License-Identifier: ISC */

/* QED images to try, and what must hold in them beside the guest's bytes. */

#include "unit/help/test.h"

#include "crash/crash.h"

static const struct subject_kind qed_kind;

static int
has(const struct subject *su, unsigned flag)
{
	return ((su->su_setup->qs_flags & flag) != 0);
}

/*
 * Both windows lie where one L2 table ends and the next one begins; small
 * clusters fit into them, the disk ends inside its last one.
 */
static void
set_windows(struct subject *su)
{
	struct mkqed *k = &su->su_ed;
	unsigned bits = su->su_setup->qs_bits;
	uint64_t c = UINT64_C(1) << bits, span, n = bits < 13 ? 7 : 3;

	span = (c << su->su_setup->qs_order) / 8 * c;
	if (bits > 14) {
		su->su_len = 48 * 1024 + 1536;
		su->su_window[0] = span - 24 * 1024;
		su->su_window[1] = 6 * span;
	} else {
		su->su_len = n * c + 1536;
		su->su_window[0] = span - n / 2 * c;
		su->su_window[1] = 6 * span - (n + 1) / 2 * c;
	}
	su->su_spare = 3 * span;
	su->su_most = bits < 13 ? 10240 : 28672;
	su->su_align = (uint32_t)c;
	su->su_zeros = su->su_setup->qs_zeros;
	su->su_noflush = has(su, QS_NOFLUSH);
	k->k_size = su->su_window[1] + su->su_len;
}

/* Data, nothing, zeros, data behind a gap in turn. */
static void
fill(struct subject *su)
{
	struct mkqed *k = &su->su_ed;
	uint64_t w, i, first, n;

	for (w = 0; w < NWINDOWS; w++) {
		first = su->su_window[w] / k->k_cluster;
		n = (su->su_window[w] + su->su_len - 1) / k->k_cluster + 1;
		for (i = 0; first + i < n; i++)
			switch ((i + w) % 4) {
			case 3:
				(void)mkqed_take(k, 1);
				/* FALLTHROUGH */
			case 0:
				(void)mkqed_data(k, first + i);
				break;
			case 2:
				mkqed_set(k, first + i, 1);
				break;
			}
	}
}

static void
put_stray(struct subject *su)
{
	uint8_t stray[1000];

	memset(stray, 0x5c, sizeof(stray));
	mem_put(&su->su_mem[0], su->su_mem[0].m_len, stray, sizeof(stray));
}

static void
qed_lend(struct subject *su, struct img *im, struct mem *files)
{
	(void)files;
	if (su->su_backim != NULL)
		assert_int_equal(img_lend(im, su->su_backim), 0);
}

void
subject_qed(struct subject *su, const struct qsetup *qs)
{
	struct mkqed *k = &su->su_ed;

	memset(su, 0, sizeof(*su));
	mem_env(&su->su_env);
	su->su_kind = &qed_kind;
	su->su_setup = qs;
	su->su_slices = qs->qs_slices;
	mem_file(&su->su_mem[0], 0);
	mem_file(&su->su_mem[1], 0);
	if (has(su, QS_GARBAGE)) {
		su->su_mem[0].m_file.f_flags = 0;
		su->su_mem[0].m_fill = 0xa5;
	}
	mkqed_init(k, &su->su_mem[0], 0, qs->qs_bits, 1u << qs->qs_order);
	set_windows(su);
	k->k_compat = k->k_autoclear = has(su, QS_BITMAPS) ? 0x8001 : 0;
	k->k_backing = has(su, QS_BACKING) ? "base.raw" : NULL;
	mkqed_begin(k);
	if (has(su, QS_TABLES))
		fill(su);
	if (has(su, QS_STRAY))
		put_stray(su);
	if (has(su, QS_BACKING))
		subject_backing(su);
	subject_remember(su, NULL, &su->su_old);
	su->su_flags = IMG_RDWR | (has(su, QS_FRESH) ? IMG_FRESH : 0) |
	    (has(su, QS_PLAIN) ? IMG_PLAIN : 0);
	subject_begin(su);
}

static const char *
qed_before(struct subject *su, struct mem *files, unsigned required)
{
	const struct img_format *fmt;
	const char *why;
	uint64_t leaks;

	if (has(su, QS_FRESH) && mem_is(&files[0], 0, 512, 0) &&
	    required == su->su_guest.g_mark[0].ma_seq) {
		if (img_probe(&su->su_env.e_env, &files[0].m_file, &fmt) != 0 ||
		    strcmp(fmt->f_name, "qed") == 0)
			return ("taken for a QED before its end");
		return (NULL);
	}
	if (files[0].m_len >= 64 && (mkqed_get(&files[0], 16, 8) & 2) != 0)
		return ("marked to be checked");
	why = mkqed_judge(&files[0], &leaks);
	/* What claims to be up to date is. */
	if (why[0] == '\0' && mkqed_get(&files[0], 32, 8) != 0)
		why = subject_compare(su, files, NULL, &su->su_old,
		    "changed, but the autoclear bits are set");
	/* A fresh file with a header was not touched yet, or is complete. */
	if (why[0] == '\0' && has(su, QS_FRESH) && has(su, QS_NOFLUSH) &&
	    su->su_errors == 0 && !mem_equal(&files[0], &su->su_base[0]))
		why = subject_compare(su, files, NULL, &su->su_guest,
		    "has its header, but is not complete");
	return (why);
}

/* Tables and clusters were made, and what has to go is gone. */
static void
qed_worked(const struct subject *su)
{
	const struct mem *m = &su->su_mem[0];
	uint64_t leaks;

	assert_true(m->m_len > su->su_base[0].m_len);
	assert_true(m->m_len % su->su_ed.k_cluster == 0);
	assert_true(mkqed_get(m, 32, 8) == 0);
	assert_true(mkqed_get(m, 24, 8) == su->su_ed.k_compat);
	assert_string_equal(mkqed_judge(m, &leaks), "");
}

static const struct subject_kind qed_kind = {
	.sk_format = "qed",
	.sk_lend = qed_lend,
	.sk_before = qed_before,
	.sk_worked = qed_worked,
};
