/* SPDX-License-Identifier: ISC */

/* QED images for tests; numbers and offsets as the document has them. */

#include "unit/help/test.h"

#include "unit/help/mkqed.h"

static uint64_t
number(const uint8_t *b, unsigned bytes)
{
	uint64_t n = 0;

	while (bytes-- > 0)
		n = n << 8 | b[bytes];
	return (n);
}

uint64_t
mkqed_get(const struct mem *m, uint64_t off, unsigned bytes)
{
	uint8_t b[8];

	mem_get(m, off, b, bytes);
	return (number(b, bytes));
}

void
mkqed_put(struct mem *m, uint64_t off, uint64_t n, unsigned bytes)
{
	uint8_t b[8];
	unsigned i;

	for (i = 0; i < bytes; i++)
		b[i] = (uint8_t)(n >> 8 * i);
	mem_put(m, off, b, bytes);
}

void
mkqed_init(struct mkqed *k, struct mem *m, uint64_t size, unsigned bits,
    unsigned table)
{
	memset(k, 0, sizeof(*k));
	k->k_mem = m;
	k->k_size = size;
	k->k_bits = bits;
	k->k_table = table;
	k->k_header = 1;
}

void
mkqed_head(struct mkqed *k)
{
	struct mem *m = k->k_mem;
	size_t len = k->k_backing != NULL ? strlen(k->k_backing) : 0;

	mem_put(m, 0, "QED\0", 4);
	mkqed_put(m, 4, UINT64_C(1) << k->k_bits, 4);
	mkqed_put(m, 8, k->k_table, 4);
	mkqed_put(m, 12, k->k_header, 4);
	mkqed_put(m, 16, k->k_features | (len > 0 ? 1 : 0), 8);
	mkqed_put(m, 24, k->k_compat, 8);
	mkqed_put(m, 32, k->k_autoclear, 8);
	mkqed_put(m, 40, k->k_l1, 8);
	mkqed_put(m, 48, k->k_size, 8);
	mkqed_put(m, 56, len > 0 ? 64 : 0, 4);
	mkqed_put(m, 60, len, 4);
	if (len > 0)
		mem_put(m, 64, k->k_backing, len);
}

void
mkqed_begin(struct mkqed *k)
{
	k->k_cluster = UINT64_C(1) << k->k_bits;
	k->k_entries = k->k_table * k->k_cluster / 8;
	k->k_next = 0;
	mkqed_take(k, k->k_header);
	if (k->k_l1 == 0)
		k->k_l1 = k->k_next;
	k->k_next = k->k_l1;
	mkqed_take(k, k->k_table);
	mkqed_head(k);
}

uint64_t
mkqed_take(struct mkqed *k, uint64_t n)
{
	static const uint8_t zeros[512];
	struct mem *m = k->k_mem;
	uint64_t off = k->k_next, at;

	k->k_next += n * k->k_cluster;
	if (m->m_len < k->k_next)
		mem_set_len(m, k->k_next);
	/* New space of a file is zeros, that of a device is not. */
	for (at = off; m->m_fill != 0 && at < k->k_next; at += sizeof(zeros))
		mem_put(m, at, zeros, sizeof(zeros));
	return (off);
}

uint64_t
mkqed_l1(const struct mkqed *k, uint64_t g)
{
	return (k->k_l1 + g / k->k_entries * 8);
}

uint64_t
mkqed_find(const struct mkqed *k, uint64_t g)
{
	uint64_t l2 = mkqed_get(k->k_mem, mkqed_l1(k, g), 8);

	return (l2 == 0 ? 0 : l2 + g % k->k_entries * 8);
}

uint64_t
mkqed_at(struct mkqed *k, uint64_t g)
{
	if (mkqed_find(k, g) == 0)
		mkqed_put(k->k_mem, mkqed_l1(k, g), mkqed_take(k, k->k_table),
		    8);
	return (mkqed_find(k, g));
}

void
mkqed_set(struct mkqed *k, uint64_t g, uint64_t entry)
{
	mkqed_put(k->k_mem, mkqed_at(k, g), entry, 8);
}

uint64_t
mkqed_entry(const struct mkqed *k, uint64_t g)
{
	uint64_t at = mkqed_find(k, g);

	return (at == 0 ? 0 : mkqed_get(k->k_mem, at, 8));
}

uint64_t
mkqed_data(struct mkqed *k, uint64_t g)
{
	uint64_t off = mkqed_take(k, 1), i;
	uint8_t buf[512];

	for (i = 0; i < k->k_cluster; i += sizeof(buf)) {
		mem_pattern(buf, sizeof(buf), g * k->k_cluster + i, 1);
		mem_put(k->k_mem, off + i, buf, sizeof(buf));
	}
	mkqed_set(k, g, off);
	return (off);
}

/* --- the judge ---------------------------------------------------------- */

struct file {
	const struct mem *f_mem;
	struct mkqed_refs *f_refs;
	uint64_t f_cluster, f_table, f_header; /* bytes */
	uint64_t f_at;                         /* of what is in f_buf */
	uint8_t f_buf[512];
};

static void
wrong(struct file *f, const char *what, uint64_t at)
{
	if (f->f_refs->r_why[0] == '\0')
		snprintf(f->f_refs->r_why, sizeof(f->f_refs->r_why),
		    "%s at %#lx", what, (unsigned long)at);
}

/* The clusters of [off, off + len), by the pointer at byte at; 0: no way. */
static int
refer(struct file *f, char use, uint64_t off, uint64_t len, uint64_t at)
{
	struct mkqed_refs *r = f->f_refs;
	uint64_t cl, end = f->f_mem->m_len;

	if (off % f->f_cluster != 0 || off > end || end - off < len) {
		wrong(f, "an impossible pointer", at);
		return (0);
	}
	for (cl = off / f->f_cluster; cl < (off + len) / f->f_cluster; cl++) {
		if (r->r_n[cl]++ > 0)
			wrong(f, "two pointers to one cluster", at);
		r->r_use[cl] = use;
	}
	return (1);
}

static uint64_t
entry(struct file *f, uint64_t at)
{
	if (f->f_at != at - at % sizeof(f->f_buf)) {
		f->f_at = at - at % sizeof(f->f_buf);
		mem_get(f->f_mem, f->f_at, f->f_buf, sizeof(f->f_buf));
	}
	return (number(f->f_buf + at - f->f_at, 8));
}

static void
walk_l2(struct file *f, uint64_t l2)
{
	uint64_t at, n;

	for (at = l2; at < l2 + f->f_table; at += 8) {
		n = entry(f, at);
		if (n > 1)
			(void)refer(f, 'd', n, f->f_cluster, at);
	}
}

/* Field by field; 0 where no pointer means anything. */
static int
read_head(struct file *f, const struct mem *m)
{
	uint64_t table;

	f->f_mem = m;
	if (m->m_len < 64 || mkqed_get(m, 0, 4) != 0x00444551) {
		wrong(f, "no header", 0);
		return (0);
	}
	f->f_cluster = mkqed_get(m, 4, 4);
	table = mkqed_get(m, 8, 4);
	f->f_header = mkqed_get(m, 12, 4) * f->f_cluster;
	if (f->f_cluster < 4096 || f->f_cluster > 64u << 20 ||
	    (f->f_cluster & (f->f_cluster - 1)) != 0)
		wrong(f, "an impossible cluster size", 4);
	else if (table == 0 || table > 16 || (table & (table - 1)) != 0)
		wrong(f, "an impossible table size", 8);
	else if (f->f_header == 0)
		wrong(f, "no clusters of the header", 12);
	f->f_table = table * f->f_cluster;
	return (f->f_refs->r_why[0] == '\0');
}

void
mkqed_refs(const struct mem *m, struct mkqed_refs *r)
{
	struct file f;
	uint64_t l1, at, n;

	memset(r, 0, sizeof(*r));
	memset(&f, 0, sizeof(f));
	f.f_refs = r;
	f.f_at = UINT64_MAX;
	if (!read_head(&f, m))
		return;
	r->r_ncl = (size_t)((m->m_len + f.f_cluster - 1) / f.f_cluster);
	r->r_n = calloc(r->r_ncl + 1, sizeof(*r->r_n));
	r->r_use = calloc(r->r_ncl + 1, 1);
	if (r->r_n == NULL || r->r_use == NULL)
		abort();
	l1 = mkqed_get(m, 40, 8);
	if (!refer(&f, 'h', 0, f.f_header, 12) ||
	    !refer(&f, '1', l1, f.f_table, 40))
		return;
	for (at = l1; at < l1 + f.f_table; at += 8) {
		n = entry(&f, at);
		if (n != 0 && refer(&f, '2', n, f.f_table, at))
			walk_l2(&f, n);
	}
}

void
mkqed_refs_free(struct mkqed_refs *r)
{
	free(r->r_n);
	free(r->r_use);
	memset(r, 0, sizeof(*r));
}

const char *
mkqed_judge(const struct mem *m, uint64_t *leaks)
{
	static char why[160];
	struct mkqed_refs r;
	size_t cl, whole;

	*leaks = 0;
	mkqed_refs(m, &r);
	whole = r.r_ncl == 0 ? 0 : (size_t)(m->m_len / mkqed_get(m, 4, 4));
	for (cl = 0; cl < whole; cl++)
		*leaks += r.r_n[cl] == 0;
	memcpy(why, r.r_why, sizeof(why));
	mkqed_refs_free(&r);
	return (why);
}
