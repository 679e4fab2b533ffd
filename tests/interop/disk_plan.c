/* SPDX-License-Identifier: ISC */

/*
 * disk_plan.c: what to do to which image, all from one number.
 *
 *	disk_plan qcow2 SEED N
 *	disk_plan qed SEED N
 *		the options of the N-th image, as lines "name=value"
 *	disk_plan plan SEED SIZE CLUSTER COUNT [WORD]
 *		so many operations, in the language of qemu-io; nodiscard:
 *		without those, long: and some of up to 8 MiB, data: and no
 *		zeros; zeros: only zeros, for whole clusters
 *	disk_plan fill SEED FILE BYTES
 *		a file of such bytes as patterns and disks have
 */

#include "interop/disk_help.h"

/* --- which image ------------------------------------------------------ */

#define MIB UINT64_C(1048576)

static const char *
pick(const char *const *words, unsigned n)
{
	return (words[upto(n)]);
}

#define PICK(...)                                  \
	pick((const char *const[]){ __VA_ARGS__ }, \
	    sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

/*
 * Sizes of clusters and widths of refcounts go round, 13 and 7 of them, so
 * that 91 images have every pair; all else is by chance.
 */
static void
do_qcow2(const char *seed, const char *nth)
{
	uint64_t n = number(nth), size, base_size;
	const char *base, *data, *start, *prealloc = "off", *ext, *snapshots;
	unsigned bits = 9 + (unsigned)(n % 13), order = (unsigned)(n % 7);
	int v2;

	state = number(seed) * 1000003 + n;
	v2 = order == 4 && upto(2) == 0;
	ext = !v2 && bits >= 14 && upto(2) == 0 ? "on" : "off";
	data = v2 ? "no" : PICK("no", "no", "no", "no", "yes", "raw");
	base = is(data, "raw") ?
	    "none" :
	    PICK("none", "none", "raw", "qcow2", "vpc", "chain");
	start = is(data, "no") && is(base, "none") ? PICK("empty", "packed") :
						     "empty";
	if (is(start, "empty") && (is(base, "none") || is(ext, "on")))
		prealloc = is(data, "no") ?
		    PICK("off", "off", "metadata", "falloc", "full") :
		    PICK("off", "metadata");
	size = (bits < 12        ? 1 :
		       bits < 18 ? 3 :
				   9) *
		MIB +
	    upto(3) * upto(2048) * 512;
	base_size = size / 2 + upto(size / 1024) * 1024;
	if (is(base, "raw") || is(base, "chain"))
		base_size += upto(1024);
	printf("cluster=%u\nrefcount=%u\ncompat=%s\next=%s\n", 1u << bits,
	    v2 ? 16 : 1u << order, v2 ? "0.10" : "1.1", ext);
	printf("lazy=%s\n", v2 ? "off" : PICK("off", "off", "on"));
	printf("packing=%s\n", v2 ? "zlib" : PICK("zlib", "zstd"));
	printf("prealloc=%s\n", prealloc);
	printf("size=%" PRIu64 "\nbase=%s\nbase_size=%" PRIu64 "\n", size, base,
	    base_size);
	printf("data=%s\nstart=%s\nslices=%u\n", data, start,
	    upto(2) == 0 ? 0 : 8u + (unsigned)upto(24));
	/* A refcount of two bits has room for one snapshot. */
	snapshots = order == 1 ? "one" : "yes";
	if (!is(data, "no") || order == 0 || (is(start, "packed") && order < 3))
		snapshots = "no";
	printf("snapshots=%s\n", snapshots);
	printf("grow=%s\n", upto(3) == 0 ? "yes" : "no");
}

/*
 * What qemu can open: tables of 2 clusters or more, and no disk, as large as
 * the tables allow, of 2^64 bytes.  40 images have all pairs of sizes.
 *
 * What is tried of a disk are size bytes from byte at on: at its start, where
 * one L2 table ends and the next begins, or at the end of the largest disk.
 */
static void
do_qed(const char *seed, const char *nth)
{
	uint64_t n = number(nth), pair = n % 40, at = 0, l2, max;
	uint64_t size, base_size;
	unsigned bits = 12 + (unsigned)pair / 4, table = 1 + (unsigned)pair % 4;
	unsigned kind;
	const char *base = "none", *start = "empty";
	int can_grow;

	if (pair == 39) { /* 2 MiB by 16 is too much, 4 MiB by 2 is not */
		bits = 22;
		table = 1;
	}
	state = number(seed) * 1000003 + n;
	/* The first two: more clusters than a cluster has bytes. */
	size = (pair < 2         ? 27 + upto(9) :
		       bits < 14 ? 9 + upto(14) :
		       bits < 20 ? 9 :
				   25) *
		MIB +
	    upto(2) * upto(2048) * 512;
	l2 = UINT64_C(1) << (table + bits - 3 + bits);
	max = UINT64_C(1) << (2 * (table + bits - 3) + bits < 62 ?
		      2 * (table + bits - 3) + bits :
		      62);
	kind = pair < 2 ? 0 : (unsigned)upto(4);
	if (kind == 1)
		at = l2 - size / 2;
	else if (kind == 2)
		at = (1 + upto(max / l2 - 1)) * l2 - size / 2;
	else if (kind == 3)
		at = max - size;
	at -= at % (UINT64_C(1) << bits);
	if (at < UINT64_C(1) << 40 && pair > 1)
		base = PICK("none", "none", "raw", "qcow2", "qed", "vpc");
	base_size = at + size / 2 + upto(size / 1024) * 1024;
	if (at > 0 && upto(4) == 0)
		base_size = upto(at); /* it ends before all this */
	if (is(base, "raw"))
		base_size += upto(1024);
	/* qemu grows no image over a longer one. */
	can_grow = kind < 3 && (is(base, "none") || base_size <= at + size);
	if (at == 0 && is(base, "none"))
		start = pair < 2 ? "full" : PICK("empty", "full");
	printf("cluster=%u\ntable=%u\n", 1u << bits, 1u << table);
	printf("at=%" PRIu64 "\nsize=%" PRIu64 "\nbase=%s\nbase_size=%" PRIu64
	       "\nstart=%s\n",
	    at, size, base, base_size, start);
	printf("slices=%u\ngrow=%s\n",
	    upto(2) == 0 ? 0 : 8u + (unsigned)upto(24),
	    can_grow && upto(3) == 0 ? "yes" : "no");
}

/* --- what is written -------------------------------------------------- */

/* A range of some sort that matters to clusters of that size. */
static void
range(struct op *o, uint64_t size, uint64_t cluster)
{
	uint64_t n = (size + cluster - 1) / cluster, off, len;

	off = upto(size);
	len = 1 + upto(700);
	switch (upto(8)) {
	case 1:
		off = upto(size / 512) * 512;
		len = (1 + upto(64)) * 512;
		break;
	case 2:
		off = upto(n) * cluster;
		off -= off > 1500 ? upto(1500) : 0;
		len = 1 + upto(4000);
		break;
	case 3:
	case 4:
		off = upto(n) * cluster;
		len = (1 + upto(3)) * cluster;
		if (cluster < 8192)
			len *= 1 + upto(16);
		break;
	case 5:
		len = 1 + upto(cluster < 65536 ? 300000 : cluster * 3);
		break;
	case 6:
		off = upto(2) == 0 ? 0 : upto(4096);
		break;
	case 7:
		off = size - (len < size ? len : size);
		break;
	}
	o->o_off = off;
	o->o_len = len < size - off ? len : size - off;
}

/* Only whole clusters, and the last one. */
static void
make_whole(struct op *o, uint64_t size, uint64_t cluster)
{
	o->o_off -= o->o_off % cluster;
	o->o_len += (cluster - o->o_len % cluster) % cluster;
	if (o->o_len > size - o->o_off)
		o->o_len = size - o->o_off;
}

static void
do_plan(char **argv, const char *word)
{
	int discard = *word == '\0', data = is(word, "data");
	int zeros = is(word, "zeros"), is_long = data || is(word, "long");
	uint64_t size = number(argv[1]), cluster = number(argv[2]);
	uint64_t count = number(argv[3]), i, kind;
	struct op o;

	state = number(argv[0]);
	for (i = 0; i < count; i++) {
		range(&o, size, cluster);
		kind = upto(20);
		if (is_long && upto(12) == 0) {
			o.o_off = upto(size);
			o.o_len = 1 + upto(8 * MIB);
			if (o.o_len > size - o.o_off)
				o.o_len = size - o.o_off;
		}
		if (kind == 0) {
			printf("flush\n");
		} else if (kind < 4 && discard) {
			make_whole(&o, size, cluster);
			printf("discard %" PRIu64 " %" PRIu64 "\n", o.o_off,
			    o.o_len);
		} else if (zeros || (kind < 7 && !data)) {
			if (zeros)
				make_whole(&o, size, cluster);
			printf("write -z %s%" PRIu64 " %" PRIu64 "\n",
			    kind == 6 ? "-u " : "", o.o_off, o.o_len);
		} else {
			printf("write -s p%u %" PRIu64 " %" PRIu64 "\n",
			    (unsigned)upto(NPATTERNS), o.o_off, o.o_len);
		}
	}
}

/* Text that can be compressed with noise that cannot. */
static void
do_fill(const char *seed, const char *path, const char *bytes)
{
	size_t len = number(bytes), i;
	uint8_t *p = malloc(len + 8);
	uint64_t word = 0;

	if (p == NULL)
		stop("malloc", path, ENOMEM);
	state = number(seed);
	for (i = 0; i < len; i++) {
		if (i % 8 == 0)
			word = next();
		if ((i / 3000) % 3 == 0)
			p[i] = (uint8_t)(word >> i % 8 * 8);
		else
			p[i] = (uint8_t)(1 + i / 3000 + (word & 3));
	}
	save(path, p, len);
	free(p);
}

int
main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (argc == 4 && is(what, "qcow2"))
		do_qcow2(argv[2], argv[3]);
	else if (argc == 4 && is(what, "qed"))
		do_qed(argv[2], argv[3]);
	else if ((argc == 6 || argc == 7) && is(what, "plan"))
		do_plan(argv + 2, argc == 7 ? argv[6] : "");
	else if (argc == 5 && is(what, "fill"))
		do_fill(argv[2], argv[3], argv[4]);
	else
		stop("usage", what, EINVAL);
	return (0);
}
