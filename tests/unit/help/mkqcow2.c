/* SPDX-License-Identifier: ISC */

/* qcow2 images for tests; offsets are written as the description has them. */

#include "unit/help/test.h"

#include <zlib.h>

#include "img_host.h"
#include "unit/help/mkqcow2.h"

#define OFFSET UINT64_C(0x00fffffffffffe00)
#define MAXCLUSTER (2u << 20)

void
mkqcow2_init(struct mkqcow2 *k, struct mem *m, uint64_t size, unsigned bits)
{
	memset(k, 0, sizeof(*k));
	k->k_mem = m;
	k->k_size = size;
	k->k_version = 3;
	k->k_bits = bits;
	k->k_order = 4;
	k->k_length = 112;
	k->k_rt_n = 1;
	k->k_cluster = UINT64_C(1) << bits;
}

static uint64_t
get64(const struct mem *m, uint64_t off)
{
	return ((uint64_t)mem_get32(m, off) << 32 | mem_get32(m, off + 4));
}

static unsigned
entry_size(const struct mkqcow2 *k)
{
	return (k->k_incompat & 16 ? 16 : 8);
}

/* Guest clusters under one L1 entry. */
static uint64_t
per_table(const struct mkqcow2 *k)
{
	return (k->k_cluster / entry_size(k));
}

uint64_t
mkqcow2_take(struct mkqcow2 *k, uint64_t n)
{
	static const uint8_t zeros[512];
	uint64_t off = k->k_next, at;

	k->k_next += n * k->k_cluster;
	for (at = off; at < k->k_next; at += sizeof(zeros))
		mem_put(k->k_mem, at, zeros, sizeof(zeros));
	return (off);
}

uint64_t
mkqcow2_ext(struct mkqcow2 *k, uint64_t off, uint32_t type, const void *data,
    uint32_t len)
{
	mem_put32(k->k_mem, off, type);
	mem_put32(k->k_mem, off + 4, len);
	mem_put(k->k_mem, off + 8, data, len);
	return (off + 8 + (len + 7) / 8 * 8);
}

static void
make_v3(struct mkqcow2 *k)
{
	struct mem *m = k->k_mem;
	uint8_t type = (uint8_t)k->k_compression;

	mem_put64(m, 72, k->k_incompat);
	mem_put64(m, 80, k->k_compat);
	mem_put64(m, 88, k->k_autoclear);
	mem_put32(m, 96, k->k_order);
	mem_put32(m, 100, k->k_length);
	if (k->k_length > 104)
		mem_put(m, 104, &type, 1);
}

static void
make_names(struct mkqcow2 *k)
{
	uint64_t off = k->k_version < 3 ? 72 : k->k_length;

	if (k->k_format != NULL)
		off = mkqcow2_ext(k, off, 0xe2792aca, k->k_format,
		    (uint32_t)strlen(k->k_format));
	if (k->k_data != NULL)
		off = mkqcow2_ext(k, off, 0x44415441, k->k_data,
		    (uint32_t)strlen(k->k_data));
	off = mkqcow2_ext(k, off, 0, "", 0);
	if (k->k_backing == NULL)
		return;
	mem_put64(k->k_mem, 8, off);
	mem_put32(k->k_mem, 16, (uint32_t)strlen(k->k_backing));
	mem_put(k->k_mem, off, k->k_backing, strlen(k->k_backing));
}

void
mkqcow2_begin(struct mkqcow2 *k)
{
	struct mem *m = k->k_mem;
	uint64_t span;

	if (k->k_data != NULL)
		k->k_incompat |= 4;
	if (k->k_compression != 0)
		k->k_incompat |= 8;
	span = per_table(k) * k->k_cluster;
	if (k->k_l1_size == 0)
		k->k_l1_size = (uint32_t)((k->k_size + span - 1) / span);
	k->k_next = 0;
	mkqcow2_take(k, 1);
	k->k_rt = mkqcow2_take(k, k->k_rt_n);
	k->k_l1 = mkqcow2_take(k,
	    (k->k_l1_size * UINT64_C(8) + k->k_cluster - 1) / k->k_cluster);
	mem_put32(m, 0, 0x514649fb);
	mem_put32(m, 4, k->k_version);
	mem_put32(m, 20, k->k_bits);
	mem_put64(m, 24, k->k_size);
	mem_put32(m, 36, k->k_l1_size);
	mem_put64(m, 40, k->k_l1);
	mem_put64(m, 48, k->k_rt);
	mem_put32(m, 56, k->k_rt_n);
	if (k->k_version >= 3)
		make_v3(k);
	make_names(k);
}

uint64_t
mkqcow2_find(const struct mkqcow2 *k, uint64_t g)
{
	uint64_t l2;

	l2 = get64(k->k_mem, k->k_l1 + g / per_table(k) * 8) & OFFSET;
	return (l2 == 0 ? 0 : l2 + g % per_table(k) * entry_size(k));
}

uint64_t
mkqcow2_at(struct mkqcow2 *k, uint64_t g)
{
	if (mkqcow2_find(k, g) == 0)
		mem_put64(k->k_mem, k->k_l1 + g / per_table(k) * 8,
		    mkqcow2_take(k, 1));
	return (mkqcow2_find(k, g));
}

void
mkqcow2_set(struct mkqcow2 *k, uint64_t g, uint64_t entry, uint64_t bits)
{
	uint64_t at = mkqcow2_at(k, g);

	mem_put64(k->k_mem, at, entry);
	if (entry_size(k) == 16)
		mem_put64(k->k_mem, at + 8, bits);
}

uint64_t
mkqcow2_entry(const struct mkqcow2 *k, uint64_t g)
{
	uint64_t at = mkqcow2_find(k, g);

	return (at == 0 ? 0 : get64(k->k_mem, at));
}

uint64_t
mkqcow2_subs(const struct mkqcow2 *k, uint64_t g)
{
	uint64_t at = mkqcow2_find(k, g);

	return (at == 0 ? 0 : get64(k->k_mem, at + 8));
}

uint64_t
mkqcow2_data(struct mkqcow2 *k, uint64_t g)
{
	uint64_t off, i;
	uint8_t buf[512];

	(void)mkqcow2_at(k, g);
	off = mkqcow2_take(k, 1);
	for (i = 0; i < k->k_cluster; i += sizeof(buf)) {
		mem_pattern(buf, sizeof(buf), g * k->k_cluster + i, 1);
		mem_put(k->k_mem, off + i, buf, sizeof(buf));
	}
	mkqcow2_set(k, g, off, UINT32_MAX);
	return (off);
}

/* A raw deflate stream with a window of 4 KiB, as the format wants it. */
static uint32_t
deflate_pattern(struct mkqcow2 *k, uint64_t g, uint8_t *out)
{
	static uint8_t in[MAXCLUSTER];
	z_stream z;

	mem_pattern(in, (size_t)k->k_cluster, g * k->k_cluster, 1);
	memset(&z, 0, sizeof(z));
	if (deflateInit2(&z, 9, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY) != Z_OK)
		abort();
	z.next_in = in;
	z.avail_in = (uInt)k->k_cluster;
	z.next_out = out;
	z.avail_out = (uInt)k->k_cluster;
	if (deflate(&z, Z_FINISH) != Z_STREAM_END)
		fail_msg("the pattern does not get smaller");
	(void)deflateEnd(&z);
	return ((uint32_t)z.total_out);
}

uint64_t
mkqcow2_pack(struct mkqcow2 *k, uint64_t g)
{
	static uint8_t out[MAXCLUSTER];
	uint32_t len = deflate_pattern(k, g, out);
	uint64_t off, entry, n;

	(void)mkqcow2_at(k, g);
	off = k->k_pack;
	/* One that does not fit goes on in the next cluster, if that is next. */
	if (off == 0 || off % k->k_cluster == 0)
		off = mkqcow2_take(k, 1);
	else if (off / k->k_cluster != (off + len - 1) / k->k_cluster &&
	    mkqcow2_take(k, 1) / k->k_cluster != off / k->k_cluster + 1)
		off = k->k_next - k->k_cluster;
	mem_put(k->k_mem, off, out, len);
	k->k_pack = off + len;
	n = (off + len - 1) / 512 - off / 512;
	entry = MKQ_PACKED | n << (70 - k->k_bits) | off;
	mkqcow2_set(k, g, entry, 0);
	return (entry);
}

struct mkqsnap *
mkqcow2_snapshot(struct mkqcow2 *k, const char *id, const char *name)
{
	struct mkqsnap *s = &k->k_snap[k->k_nsnap++];
	uint32_t i;

	assert_true(k->k_nsnap <= MKQ_NSNAPS);
	snprintf(s->s_id, sizeof(s->s_id), "%s", id);
	snprintf(s->s_name, sizeof(s->s_name), "%s", name);
	s->s_l1_size = k->k_l1_size;
	s->s_size = k->k_size;
	s->s_extra = 24;
	s->s_l1 = mkqcow2_take(k,
	    (k->k_l1_size * UINT64_C(8) + k->k_cluster - 1) / k->k_cluster);
	for (i = 0; i < k->k_l1_size; i++)
		mem_put64(k->k_mem, s->s_l1 + i * UINT64_C(8),
		    get64(k->k_mem, k->k_l1 + i * UINT64_C(8)));
	return (s);
}

static uint64_t
put_snapshot(struct mem *m, uint64_t off, const struct mkqsnap *s)
{
	uint8_t x[24];
	size_t id = strlen(s->s_id), name = strlen(s->s_name);

	memset(x, 0, sizeof(x));
	img_put_be64(x + 8, s->s_size);
	memset(x + 16, 0xff, 8);
	mem_put64(m, off, s->s_l1);
	mem_put32(m, off + 8, s->s_l1_size);
	mem_put32(m, off + 12, (uint32_t)(id << 16 | name));
	mem_put32(m, off + 16, 1700000000);
	mem_put32(m, off + 36, s->s_extra);
	mem_put(m, off + 40, x, s->s_extra < 24 ? s->s_extra : 24);
	mem_put(m, off + 40 + s->s_extra, s->s_id, id);
	mem_put(m, off + 40 + s->s_extra + id, s->s_name, name);
	off += 40 + s->s_extra + id + name;
	return ((off + 7) / 8 * 8);
}

static void
make_snapshots(struct mkqcow2 *k)
{
	uint64_t off, len = 0;
	unsigned i;

	for (i = 0; i < k->k_nsnap; i++)
		len += 40 + k->k_snap[i].s_extra + strlen(k->k_snap[i].s_id) +
		    strlen(k->k_snap[i].s_name) + 7;
	if (len == 0)
		return;
	off = mkqcow2_take(k, (len + k->k_cluster - 1) / k->k_cluster);
	k->k_snap_off = off;
	mem_put32(k->k_mem, 60, k->k_nsnap);
	mem_put64(k->k_mem, 64, off);
	for (i = 0; i < k->k_nsnap; i++)
		off = put_snapshot(k->k_mem, off, &k->k_snap[i]);
}

/* COPIED where the reference is the only one. */
static void
set_copied(struct mkqcow2 *k, uint64_t at, uint64_t n)
{
	struct mem *m = k->k_mem;
	uint64_t e = get64(m, at) & ~MKQ_COPIED;

	mem_put64(m, at, n == 1 ? e | MKQ_COPIED : e);
}

static void
right_table(struct mkqcow2 *k, const struct mkrefs *r, uint64_t l2)
{
	uint64_t i, at, e;

	for (i = 0; i < per_table(k); i++) {
		at = l2 + i * entry_size(k);
		e = get64(k->k_mem, at);
		if ((e & MKQ_PACKED) || (k->k_incompat & 4))
			continue;
		if ((e & OFFSET) != 0 && (e & OFFSET) >> k->k_bits < r->r_ncl)
			set_copied(k, at, r->r_n[(e & OFFSET) >> k->k_bits]);
	}
}

void
mkqcow2_recount(struct mkqcow2 *k)
{
	struct mkrefs r;
	uint64_t l2;
	size_t cl;
	uint32_t i;

	mkqcow2_refs(k->k_mem, &r);
	if (r.r_why[0] != '\0')
		fail_msg("the test made an impossible image: %s", r.r_why);
	for (cl = 0; cl < r.r_ncl; cl++)
		if (r.r_n[cl] != mkqcow2_count(k->k_mem, cl))
			mkqcow2_put_count(k->k_mem, cl, r.r_n[cl]);
	for (i = 0; i < k->k_l1_size; i++) {
		l2 = get64(k->k_mem, k->k_l1 + i * UINT64_C(8)) & OFFSET;
		if (l2 == 0)
			continue;
		set_copied(k, k->k_l1 + i * UINT64_C(8),
		    r.r_n[l2 >> k->k_bits]);
		right_table(k, &r, l2);
	}
	mkqcow2_refs_free(&r);
}

/* Blocks for all clusters, those of the blocks too. */
static void
make_blocks(struct mkqcow2 *k)
{
	uint64_t per = (k->k_cluster * 8) >> k->k_order, i;

	for (i = 0; i * per * k->k_cluster < k->k_next; i++) {
		if (i >= k->k_rt_n * k->k_cluster / 8)
			fail_msg("the test needs a larger refcount table");
		if (get64(k->k_mem, k->k_rt + i * 8) == 0)
			mem_put64(k->k_mem, k->k_rt + i * 8,
			    mkqcow2_take(k, 1));
	}
}

void
mkqcow2_end(struct mkqcow2 *k)
{
	make_snapshots(k);
	make_blocks(k);
	mkqcow2_recount(k);
}

void
mkqcow2_env(struct mem_env *e)
{
	mem_env(e);
	e->e_env.ev_unpack = img_host_env()->ev_unpack;
	e->e_env.ev_can = img_host_env()->ev_can;
}
