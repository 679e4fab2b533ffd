/* SPDX-License-Identifier: ISC */

/*
 * qcow2_plan.c: what to do to which image, all from one number.
 *
 *	qcow2_plan case SEED N
 *		the options of the N-th image, as lines "name=value"
 *	qcow2_plan plan SEED SIZE CLUSTER COUNT [nodiscard]
 *		so many operations, in the language of qemu-io
 *	qcow2_plan fill SEED FILE BYTES
 *		a file of such bytes as patterns and disks have
 */

#include "interop/qcow2_help.h"

/* --- which image ------------------------------------------------------ */

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
do_case(const char *seed, const char *nth)
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
		UINT64_C(1048576) +
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

static void
do_plan(char **argv, int nodiscard)
{
	uint64_t size = number(argv[1]), cluster = number(argv[2]);
	uint64_t count = number(argv[3]), i, kind;
	struct op o;

	state = number(argv[0]);
	for (i = 0; i < count; i++) {
		range(&o, size, cluster);
		kind = upto(20);
		if (kind == 0) {
			printf("flush\n");
		} else if (kind < 4 && !nodiscard) {
			/* Only whole clusters count, as does the last one. */
			o.o_off -= o.o_off % cluster;
			o.o_len += (cluster - o.o_len % cluster) % cluster;
			if (o.o_len > size - o.o_off)
				o.o_len = size - o.o_off;
			printf("discard %" PRIu64 " %" PRIu64 "\n", o.o_off,
			    o.o_len);
		} else if (kind < 7) {
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

	if (argc == 4 && is(what, "case"))
		do_case(argv[2], argv[3]);
	else if ((argc == 6 || argc == 7) && is(what, "plan"))
		do_plan(argv + 2, argc == 7);
	else if (argc == 5 && is(what, "fill"))
		do_fill(argv[2], argv[3], argv[4]);
	else
		stop("usage", what, EINVAL);
	return (0);
}
