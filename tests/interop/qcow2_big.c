/* SPDX-License-Identifier: ISC */

/*
 * qcow2_big.c: images of 512-byte clusters with refcounts of one bit, whose
 * few clusters are all over a file as long as such counts reach: 2^32
 * clusters are what a refcount table of 8 MiB covers, 4096 with each block.
 *
 *	qcow2_big make FILE BITS [leaks] [uncounted] [twice]
 *		a file of 2^BITS clusters, its disk full; with defects
 *	qcow2_big run PEAK COMMAND ...
 *		run it and write its peak of memory, in KiB, to a file
 */

#include <sys/resource.h>
#include <sys/wait.h>

#include "interop/disk_help.h"

#define CLUSTER 512u
#define PER_BLOCK 4096u /* clusters that a block counts */
#define PER_L2 64u
#define NL2 1024u /* 32 KiB of disk each */
#define L1_CLUSTERS (NL2 * 8 / CLUSTER)
#define NREGIONS 61u /* parts of the file that are in use, a block each */
#define NLOW 8u      /* blocks that may be needed for header and tables */

#define COPIED (UINT64_C(1) << 63)

/* As many clusters as a block counts, the first of them the block itself. */
struct region {
	uint64_t rg_first; /* cluster */
	uint32_t rg_used;
	int rg_down; /* from its end downwards */
	uint8_t rg_block[CLUSTER];
};

static struct region regions[NREGIONS];
static uint8_t low[NLOW][CLUSTER]; /* blocks for clusters 0 ... */
static uint8_t l1[NL2 * 8];
static uint64_t data[NL2 * PER_L2]; /* cluster of each guest cluster */
static int fd;

static void
put64(uint8_t *p, uint64_t v)
{
	unsigned i;

	for (i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (56 - 8 * i));
}

static void
put32(uint8_t *p, uint32_t v)
{
	unsigned i;

	for (i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

static void
put(const void *p, size_t len, uint64_t cl)
{
	if (pwrite(fd, p, len, (off_t)(cl * CLUSTER)) == (ssize_t)len)
		return;
	if (errno == EFBIG) {
		printf("this file system has no file of 2^32 clusters\n");
		exit(77);
	}
	stop("write", "", errno);
}

static void
set_bit(uint8_t *block, uint64_t i)
{
	block[i / 8] |= (uint8_t)(1u << i % 8);
}

static void
clear_bit(uint8_t *block, uint64_t i)
{
	block[i / 8] &= (uint8_t) ~(1u << i % 8);
}

static uint64_t
allocate(struct region *rg)
{
	uint32_t n = ++rg->rg_used;

	if (n >= PER_BLOCK)
		stop("region", "is full", ENOSPC);
	if (rg->rg_down)
		n = PER_BLOCK - n;
	set_bit(rg->rg_block, n);
	return (rg->rg_first + n);
}

static struct region *
somewhere(void)
{
	return (&regions[upto(NREGIONS)]);
}

static struct region *
region_of(uint64_t cl)
{
	unsigned i;

	for (i = 0; regions[i].rg_first != cl / PER_BLOCK * PER_BLOCK; i++)
		;
	return (&regions[i]);
}

/* Far apart, and the last at the very end; the prime goes round. */
static void
make_regions(uint64_t nblocks)
{
	uint64_t at = 0;
	unsigned i;

	for (i = 0; i < NREGIONS; i++) {
		do
			at = (at + 17189) % nblocks;
		while (at < NLOW || at == nblocks - 1);
		regions[i].rg_first = at * PER_BLOCK;
		set_bit(regions[i].rg_block, 0);
	}
	regions[0].rg_first = (nblocks - 1) * PER_BLOCK;
	regions[0].rg_down = 1;
}

/* Two guest clusters of every hundredth table have the same. */
static void
make_twice(void)
{
	uint64_t i, other;

	for (i = 0; i < NL2; i += 100) {
		other = (i + 500) % NL2 * PER_L2;
		clear_bit(region_of(data[i * PER_L2])->rg_block,
		    data[i * PER_L2] % PER_BLOCK);
		data[i * PER_L2] = data[other + 1];
	}
}

static void
make_disk(int twice)
{
	uint8_t buf[CLUSTER];
	uint64_t i, k, l2;

	for (i = 0; i < NL2 * PER_L2; i++) {
		data[i] = allocate(somewhere());
		for (k = 0; k < CLUSTER; k += 8)
			put64(buf + k, i * 1000003 + k);
		put(buf, CLUSTER, data[i]);
	}
	if (twice)
		make_twice();
	for (i = 0; i < NL2; i++) {
		l2 = allocate(somewhere());
		put64(l1 + i * 8, COPIED | l2 * CLUSTER);
		for (k = 0; k < PER_L2; k++)
			put64(buf + k * 8,
			    COPIED | data[i * PER_L2 + k] * CLUSTER);
		put(buf, CLUSTER, l2);
	}
}

/* What is counted and not used, or used and not counted, in every region. */
static void
make_defects(int leaks, int uncounted)
{
	unsigned i, k;

	for (i = 0; i < NREGIONS; i++)
		for (k = 0; leaks && k < 3; k++)
			allocate(&regions[i]);
	for (i = 0; uncounted && i < NL2 * PER_L2; i += 1000)
		clear_bit(region_of(data[i])->rg_block, data[i] % PER_BLOCK);
}

static void
make_header(uint64_t table)
{
	uint8_t h[CLUSTER];

	memset(h, 0, sizeof(h));
	put32(h, 0x514649fb);
	put32(h + 4, 3);
	put32(h + 20, 9); /* log2 of the cluster size */
	put64(h + 24, UINT64_C(1) * NL2 * PER_L2 * CLUSTER);
	put32(h + 36, NL2);
	put64(h + 40, (1 + table) * CLUSTER);
	put64(h + 48, CLUSTER);
	put32(h + 56, (uint32_t)table);
	put32(h + 100, 104); /* its length; refcounts are of order 0 */
	put(h, CLUSTER, 0);
}

static void
put_entry(uint64_t block, uint64_t cl)
{
	uint8_t e[8];

	put64(e, cl * CLUSTER);
	if (pwrite(fd, e, 8, (off_t)(CLUSTER + block * 8)) != 8)
		stop("write", "", errno);
}

/* Header, refcount table, L1 table and the first blocks lie in a row. */
static void
make_tables(uint64_t nblocks)
{
	uint64_t table = nblocks * 8 / CLUSTER, next, i, n;

	next = 1 + table + L1_CLUSTERS;
	n = (next + NLOW) / PER_BLOCK + 1;
	if (n > NLOW)
		stop("blocks", "", EINVAL);
	for (i = 0; i < next + n; i++)
		set_bit(low[i / PER_BLOCK], i % PER_BLOCK);
	make_header(table);
	put(l1, sizeof(l1), 1 + table);
	for (i = 0; i < n; i++) {
		put_entry(i, next + i);
		put(low[i], CLUSTER, next + i);
	}
	for (i = 0; i < NREGIONS; i++) {
		put_entry(regions[i].rg_first / PER_BLOCK, regions[i].rg_first);
		put(regions[i].rg_block, CLUSTER, regions[i].rg_first);
	}
}

static void
do_make(int argc, char **argv)
{
	uint64_t nblocks;
	int leaks = 0, uncounted = 0, twice = 0;

	nblocks = (UINT64_C(1) << number(argv[1])) / PER_BLOCK;
	if (nblocks < NREGIONS * 8)
		stop("bits", argv[1], EINVAL);
	for (; argc > 2; argc--) {
		leaks |= is(argv[argc - 1], "leaks");
		uncounted |= is(argv[argc - 1], "uncounted");
		twice |= is(argv[argc - 1], "twice");
	}
	fd = open(argv[0], O_RDWR | O_CREAT | O_EXCL, 0666);
	if (fd == -1)
		stop("open", argv[0], errno);
	make_regions(nblocks);
	make_disk(twice);
	make_defects(leaks, uncounted);
	make_tables(nblocks);
	if (close(fd) == -1)
		stop("close", argv[0], errno);
}

static int
do_run(const char *path, char **argv)
{
	struct rusage ru;
	FILE *peak;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execvp(argv[0], argv);
		_exit(127);
	}
	if (pid == -1 || wait4(pid, &status, 0, &ru) == -1)
		stop("run", argv[0], errno);
	if ((peak = fopen(path, "w")) == NULL)
		stop("open", path, errno);
	fprintf(peak, "%ld\n", ru.ru_maxrss);
	if (fclose(peak) != 0)
		stop("close", path, errno);
	return (WIFEXITED(status) ? WEXITSTATUS(status) : 126);
}

int
main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (argc >= 4 && is(what, "make"))
		do_make(argc - 2, argv + 2);
	else if (argc >= 4 && is(what, "run"))
		return (do_run(argv[2], argv + 3));
	else
		stop("usage", what, EINVAL);
	return (0);
}
