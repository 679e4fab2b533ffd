/* SPDX-License-Identifier: ISC */

/*
 * What refers to each cluster of a qcow2 file.  Everything is read from the
 * bytes again, with the numbers that the description of the format has.
 */

#include "unit/help/test.h"

#include "unit/help/mkqcow2.h"

#define OFFSET UINT64_C(0x00fffffffffffe00)

struct file {
	const struct mem *f_mem;
	struct mkrefs *f_refs;
	unsigned f_version, f_bits, f_order;
	uint64_t f_cluster, f_incompat;
	uint64_t f_rt, f_rt_n; /* offset, entries */
	unsigned f_esz;
	int f_judge; /* COPIED must be as it has to be */
};

static uint64_t
get(const struct mem *m, uint64_t off, unsigned bytes)
{
	uint8_t b[8];
	uint64_t n = 0;
	unsigned i;

	mem_get(m, off, b, bytes);
	for (i = 0; i < bytes; i++)
		n = n << 8 | b[i];
	return (n);
}

static void
read_head(struct file *f, const struct mem *m)
{
	memset(f, 0, sizeof(*f));
	f->f_mem = m;
	f->f_version = (unsigned)get(m, 4, 4);
	f->f_bits = (unsigned)get(m, 20, 4);
	f->f_cluster = UINT64_C(1) << f->f_bits;
	f->f_order = 4;
	f->f_rt = get(m, 48, 8);
	f->f_rt_n = get(m, 56, 4) * f->f_cluster / 8;
	if (f->f_version >= 3) {
		f->f_incompat = get(m, 72, 8);
		f->f_order = (unsigned)get(m, 96, 4);
	}
	f->f_esz = f->f_incompat & 16 ? 16 : 8;
}

/* Where the count of a cluster is: the block's offset, or 0; *i in it. */
static uint64_t
block_of(const struct file *f, uint64_t cl, uint64_t *i)
{
	uint64_t per = (f->f_cluster * 8) >> f->f_order;

	*i = cl % per;
	if (cl / per >= f->f_rt_n)
		return (0);
	return (get(f->f_mem, f->f_rt + cl / per * 8, 8) & ~UINT64_C(0x1ff));
}

static uint64_t
count_in(const struct file *f, uint64_t cl)
{
	unsigned bits = 1u << f->f_order;
	uint64_t i, rb = block_of(f, cl, &i);

	if (rb == 0)
		return (0);
	if (bits >= 8)
		return (get(f->f_mem, rb + i * bits / 8, bits / 8));
	return (get(f->f_mem, rb + i * bits / 8, 1) >> (i * bits % 8) &
	    ((1u << bits) - 1));
}

uint64_t
mkqcow2_count(const struct mem *m, uint64_t cl)
{
	struct file f;

	read_head(&f, m);
	return (count_in(&f, cl));
}

void
mkqcow2_put_count(struct mem *m, uint64_t cl, uint64_t n)
{
	struct file f;
	uint64_t i, rb, bits;
	uint8_t b;

	read_head(&f, m);
	bits = UINT64_C(1) << f.f_order;
	rb = block_of(&f, cl, &i);
	if (rb == 0)
		fail_msg("the test has no block for cluster %lu",
		    (unsigned long)cl);
	if (bits < 8) {
		b = (uint8_t)get(m, rb + i * bits / 8, 1);
		b = (uint8_t)(b & ~(((1u << bits) - 1) << i * bits % 8));
		b = (uint8_t)(b | n << i * bits % 8);
		mem_put(m, rb + i * bits / 8, &b, 1);
		return;
	}
	for (i = i * bits / 8 + bits / 8; bits > 0; bits -= 8, n >>= 8) {
		b = (uint8_t)n;
		mem_put(m, rb + --i, &b, 1);
	}
}

static void
wrong(struct file *f, const char *what, uint64_t at)
{
	if (f->f_refs->r_why[0] == '\0')
		snprintf(f->f_refs->r_why, sizeof(f->f_refs->r_why),
		    "%s at %#lx", what, (unsigned long)at);
}

/* The clusters of [off, off + len), which must begin inside the file. */
static void
refer(struct file *f, char use, uint64_t off, uint64_t len, int whole,
    uint64_t at)
{
	struct mkrefs *r = f->f_refs;
	uint64_t cl;

	if (off >= f->f_mem->m_len || (whole && f->f_mem->m_len - off < len)) {
		wrong(f, "a pointer behind the end of the file", at);
		return;
	}
	for (cl = off >> f->f_bits; cl <= (off + len - 1) >> f->f_bits; cl++) {
		if (cl >= r->r_ncl)
			break;
		r->r_n[cl]++;
		r->r_use[cl] = use;
	}
}

/* Table at an aligned place; 0 if it cannot be. */
static int
table(struct file *f, char use, uint64_t off, uint64_t len, uint64_t at)
{
	if (off == 0 || off % f->f_cluster != 0) {
		wrong(f, "an impossible table", at);
		return (0);
	}
	refer(f, use, off, len, 1, at);
	return (f->f_refs->r_why[0] == '\0');
}

static void
check_copied(struct file *f, uint64_t entry, uint64_t off, uint64_t at)
{
	int copied = (entry & MKQ_COPIED) != 0;

	if (f->f_judge && copied != (count_in(f, off >> f->f_bits) == 1))
		wrong(f, copied ? "COPIED, but shared" : "not COPIED", at);
}

static void
walk_entry(struct file *f, uint64_t entry, uint64_t bits, uint64_t at,
    int active)
{
	uint64_t off = entry & OFFSET, n;
	unsigned x = 70 - f->f_bits;

	if (entry & MKQ_PACKED) {
		off = entry & ((UINT64_C(1) << x) - 1);
		n = (entry & ~(UINT64_C(3) << 62)) >> x;
		refer(f, 'p', off, (n + 1) * 512 - off % 512, 0, at);
		return;
	}
	if (f->f_incompat & 4) /* the data is in another file */
		return;
	if ((entry & 1) && f->f_version < 3)
		wrong(f, "a zero flag in version 2", at);
	if ((bits & bits >> 32 & UINT32_MAX) != 0 ||
	    (off == 0 && (bits & UINT32_MAX) != 0))
		wrong(f, "impossible subclusters", at);
	if (off == 0)
		return;
	if (off % f->f_cluster != 0)
		wrong(f, "an unaligned cluster", at);
	refer(f, 'd', off, f->f_cluster, 0, at);
	if (active)
		check_copied(f, entry, off, at);
}

static void
walk_tree(struct file *f, uint64_t l1, uint64_t n, char use)
{
	uint64_t i, k, e, off, at;

	if (n == 0 || !table(f, use, l1, n * 8, 40))
		return;
	for (i = 0; i < n && f->f_refs->r_why[0] == '\0'; i++) {
		e = get(f->f_mem, l1 + i * 8, 8);
		off = e & OFFSET;
		if (e == 0 || !table(f, '2', off, f->f_cluster, l1 + i * 8))
			continue;
		if (use == '1')
			check_copied(f, e, off, l1 + i * 8);
		for (k = 0; k < f->f_cluster / f->f_esz; k++) {
			at = off + k * f->f_esz;
			walk_entry(f, get(f->f_mem, at, 8),
			    f->f_esz == 16 ? get(f->f_mem, at + 8, 8) : 0, at,
			    use == '1');
		}
	}
}

static void
walk_snapshots(struct file *f, uint64_t n, uint64_t off)
{
	const struct mem *m = f->f_mem;
	uint64_t start = off, i, end = off;

	for (i = 0; i < n; i++) {
		if (off + 40 > m->m_len) {
			wrong(f, "a cut snapshot table", off);
			return;
		}
		walk_tree(f, get(m, off, 8), get(m, off + 8, 4), 'S');
		end = off + 40 + get(m, off + 36, 4) + get(m, off + 12, 2) +
		    get(m, off + 14, 2);
		off = (end + 7) / 8 * 8;
	}
	if (n > 0)
		(void)table(f, 's', start, end - start, 64);
}

static void
walk_counts(struct file *f)
{
	uint64_t i, rb;

	if (!table(f, 't', f->f_rt, f->f_rt_n * 8, 48))
		return;
	for (i = 0; i < f->f_rt_n; i++) {
		rb = get(f->f_mem, f->f_rt + i * 8, 8);
		if (rb != 0)
			(void)table(f, 'b', rb, f->f_cluster, f->f_rt + i * 8);
	}
}

static void
refs_of(struct file *f, const struct mem *m, struct mkrefs *r, int judge)
{
	memset(r, 0, sizeof(*r));
	read_head(f, m);
	f->f_judge = judge;
	f->f_refs = r;
	r->r_ncl = (size_t)((m->m_len + f->f_cluster - 1) >> f->f_bits);
	r->r_n = calloc(r->r_ncl + 1, sizeof(*r->r_n));
	r->r_use = calloc(r->r_ncl + 1, 1);
	if (r->r_n == NULL || r->r_use == NULL)
		abort();
	refer(f, 'h', 0, f->f_cluster, 0, 0);
	walk_counts(f);
	if (r->r_why[0] == '\0')
		walk_tree(f, get(m, 40, 8), get(m, 36, 4), '1');
	if (r->r_why[0] == '\0')
		walk_snapshots(f, get(m, 60, 4), get(m, 64, 8));
}

void
mkqcow2_refs(const struct mem *m, struct mkrefs *r)
{
	struct file f;

	refs_of(&f, m, r, 0);
}

void
mkqcow2_refs_free(struct mkrefs *r)
{
	free(r->r_n);
	free(r->r_use);
	memset(r, 0, sizeof(*r));
}

const char *
mkqcow2_judge(const struct mem *m, uint64_t *leaks)
{
	static char why[160];
	struct mkrefs r;
	struct file f;
	uint64_t n;
	size_t cl;

	*leaks = 0;
	refs_of(&f, m, &r, 1);
	for (cl = 0; cl < r.r_ncl && r.r_why[0] == '\0'; cl++) {
		n = count_in(&f, cl);
		if (n < r.r_n[cl])
			snprintf(r.r_why, sizeof(r.r_why),
			    "cluster %#lx ('%c'): refcount %lu, %lu references",
			    (unsigned long)cl, r.r_use[cl], (unsigned long)n,
			    (unsigned long)r.r_n[cl]);
		*leaks += n > r.r_n[cl];
		/* Only streams, and what snapshots have, are shared. */
		if (r.r_n[cl] > 1 && strchr("h1tbsS", r.r_use[cl]) != NULL)
			wrong(&f, "a shared table", (uint64_t)cl << f.f_bits);
	}
	memcpy(why, r.r_why, sizeof(why));
	mkqcow2_refs_free(&r);
	return (why);
}
