/* SPDX-License-Identifier: ISC */

/*
 * Names of snapshots: can each be told from the others by its id, and by its
 * name?  Hashes of all are sorted; strings with the same hash are compared.
 */

#include "qcow2/check.h"

struct name {
	uint64_t nm_hash;
	uint64_t nm_off; /* of the string in the file */
	uint32_t nm_len;
	uint32_t nm_index; /* of the snapshot */
	uint64_t nm_snap;  /* its entry's offset */
};

int
qcow2_text(struct img *im, uint64_t off, uint32_t len, char *buf)
{
	int error = 0;

	len = (uint32_t)img_min(len, QCOW2_TEXT_MAX);
	if (len > 0)
		error = img_io_read(im, 0, buf, len, off);
	buf[error == 0 ? len : 0] = '\0';
	return (error);
}

/* FNV-1a: whoever makes strings collide makes this slow, no more. */
static int
hash(struct img *im, struct name *nm)
{
	uint32_t i;
	int error;

	nm->nm_hash = UINT64_C(0xcbf29ce484222325);
	if (nm->nm_len == 0)
		return (0);
	error = img_io_read(im, 0, im->im_buf, nm->nm_len, nm->nm_off);
	for (i = 0; error == 0 && i < nm->nm_len; i++)
		nm->nm_hash =
		    (nm->nm_hash ^ im->im_buf[i]) * UINT64_C(0x100000001b3);
	return (error);
}

static int
is_after(const struct name *a, const struct name *b)
{
	return (a->nm_hash != b->nm_hash ? a->nm_hash > b->nm_hash :
					   a->nm_index > b->nm_index);
}

static void
sift(struct name *nm, uint32_t i, uint32_t n)
{
	struct name swap;
	uint32_t k;

	for (; (k = 2 * i + 1) < n; i = k) {
		if (k + 1 < n && is_after(&nm[k + 1], &nm[k]))
			k++;
		if (!is_after(&nm[k], &nm[i]))
			return;
		swap = nm[k];
		nm[k] = nm[i];
		nm[i] = swap;
	}
}

static void
sort(struct name *nm, uint32_t n)
{
	struct name swap;
	uint32_t i;

	for (i = n / 2; i > 0; i--)
		sift(nm, i - 1, n);
	for (i = n; i > 1; i--) {
		swap = nm[0];
		nm[0] = nm[i - 1];
		nm[i - 1] = swap;
		sift(nm, 0, i - 1);
	}
}

/* Do both say the same, of which the hashes do? */
static int
same(struct img *im, const struct name *a, const struct name *b, int *yes)
{
	uint32_t half = IMG_BOUNCE / 2, at, n;
	int error = 0;

	*yes = a->nm_hash == b->nm_hash && a->nm_len == b->nm_len;
	for (at = 0; *yes && error == 0 && at < a->nm_len; at += n) {
		n = (uint32_t)img_min(half, a->nm_len - at);
		error = img_io_read(im, 0, im->im_buf, n, a->nm_off + at);
		if (error == 0)
			error = img_io_read(im, 0, im->im_buf + half, n,
			    b->nm_off + at);
		*yes = error == 0 &&
		    memcmp(im->im_buf, im->im_buf + half, n) == 0;
	}
	return (error);
}

/* All ids, or all names; *np says how many there are. */
static int
gather(struct img *im, struct name *nm, int ids, uint32_t *np)
{
	struct qcow2_snap s;
	int error;

	*np = 0;
	memset(&s, 0, sizeof(s));
	s.s_next = qcow2(im)->q_snap_off;
	while ((error = qcow2_snap_next(im, &s)) == 0) {
		nm->nm_off = ids ? s.s_id_off : s.s_name_off;
		nm->nm_len = ids ? s.s_id_len : s.s_name_len;
		nm->nm_index = s.s_index;
		nm->nm_snap = s.s_off;
		error = hash(im, nm);
		if (error != 0)
			return (error);
		nm++;
		(*np)++;
	}
	return (error == ENOENT || error == EFTYPE ? 0 : error);
}

static int
raise_name(struct img *im, const struct name *nm)
{
	char text[QCOW2_TEXT_MAX + 1];
	struct img_finding fi;
	int error;

	error = qcow2_text(im, nm->nm_off, nm->nm_len, text);
	if (error != 0)
		return (error);
	memset(&fi, 0, sizeof(fi));
	fi.fi_row = IMG_QCOW2_SNAP_NAMES;
	fi.fi_off = nm->nm_snap;
	fi.fi_name = text;
	img_raise_finding(im, &fi);
	return (0);
}

static int
check_all(struct img *im, struct name *nm, int ids)
{
	uint32_t i, n;
	int error, yes;

	error = gather(im, nm, ids, &n);
	if (error != 0)
		return (error);
	sort(nm, n);
	for (i = 0; i < n && error == 0; i++) {
		yes = nm[i].nm_len == 0;
		if (!yes && i > 0)
			error = same(im, &nm[i - 1], &nm[i], &yes);
		if (error == 0 && yes)
			error = raise_name(im, &nm[i]);
	}
	return (error);
}

int
qcow2_check_names(struct img *im)
{
	uint64_t n = qcow2(im)->q_nsnap;
	struct name *nm;
	int error;

	if (n == 0)
		return (0);
	error = img_alloc(im, n * sizeof(*nm), &nm);
	if (error != 0)
		return (error);
	error = check_all(im, nm, 1);
	if (error == 0)
		error = check_all(im, nm, 0);
	img_free(im, nm, n * sizeof(*nm));
	return (error);
}
