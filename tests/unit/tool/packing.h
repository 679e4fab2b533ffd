/* SPDX-License-Identifier: ISC */

/* packing.h: a drawn disk to copy from, a qcow2 in memory to pack into. */

#ifndef TESTS_UNIT_TOOL_PACKING_H
#define TESTS_UNIT_TOOL_PACKING_H

#include "unit/tool/disk.h"
#include "unit/help/mem.h"
#include "host/host.h"

#define U 4096u /* a block of the source, a cluster of the destination */
#define BATCH 1024u

static struct mem_env dst_env, env;
static struct mem mem;
static struct img *dst;
static struct img_copy how;
static char drawing[4 * BATCH + 1];

static inline void
make_with(uint64_t size, const char *opts)
{
	struct img_create cr = { 0 };

	mem_env(&dst_env);
	mem_env(&env);
	dst_env.e_env.ev_pack = img_host_env()->ev_pack;
	dst_env.e_env.ev_unpack = img_host_env()->ev_unpack;
	mem_file(&mem, 0);
	cr.cr_size = size;
	cr.cr_opts = opts;
	assert_int_equal(img_create(&dst_env.e_env, &mem.m_file, &img_qcow2,
			     &cr),
	    0);
	assert_int_equal(mem_open(&dst, &dst_env, &mem, &img_qcow2, IMG_RDWR,
			     NULL),
	    0);
}

static inline void
make(uint64_t size)
{
	make_with(size, "cluster_size=4k");
}

static inline void
done(void)
{
	assert_int_equal(mem_close(dst, &dst_env), 0);
	assert_true(mem_env_sound(&dst_env));
	assert_true(mem_env_sound(&env));
	mem_free(&mem);
}

static inline int
copy(struct disk *src, uint32_t sparse, unsigned flags)
{
	memset(&how, 0, sizeof(how));
	how.cp_sparse = sparse;
	how.cp_flags = IMG_COPY_PACK | flags;
	return (img_copy(&env.e_env, src->d_img, dst, &how));
}

/* The source's bytes are there, and these letters: p packed, d, h, z. */
static inline void
check_result(struct disk *src, const char *want)
{
	static const char letters[] = { 'h', 'z', 'd', 'p', 'b' };
	unsigned char *buf = malloc((size_t)src->d_size);
	struct img_extent e;
	uint64_t i;
	char c;

	assert_non_null(buf);
	assert_int_equal(img_read(dst, buf, (uint32_t)src->d_size, 0), 0);
	assert_memory_equal(buf, src->d_bytes, (size_t)src->d_size);
	free(buf);
	for (i = 0; want[i] != '\0'; i++) {
		assert_int_equal(img_map(dst, i * U, 1, &e), 0);
		c = letters[e.e_type];
		if (c != want[i])
			fail_msg("unit %u is %c, not %c", (unsigned)i, c,
			    want[i]);
	}
}

/* Nothing that could be packed. */
static inline void
randomize(struct disk *d, unsigned i, unsigned n)
{
	uint64_t seed = i + 1;
	size_t k;

	for (k = 0; k < (size_t)n * U; k++)
		d->d_bytes[(size_t)i * U + k] =
		    (unsigned char)(mem_random(&seed) >> 9);
}

/* Some of everything, of more than three batches. */
static inline struct disk *
mixed(void)
{
	struct disk *d;
	uint64_t seed = 1;
	unsigned i;

	for (i = 0; i < sizeof(drawing) - 1; i++)
		drawing[i] = "dddd0hz"[mem_random(&seed) % 7];
	drawing[i] = '\0';
	d = disk_draw_as(drawing, U, 512, IMG_ALLOW_WRITE);
	for (i = 0; i + 2 < sizeof(drawing); i++)
		if (drawing[i] == 'd' && mem_random(&seed) % 3 == 0)
			randomize(d, i, 1);
	return (d);
}

#endif /* TESTS_UNIT_TOOL_PACKING_H */
