/* SPDX-License-Identifier: ISC */

/* damage.h: ways to damage a VHD, and what to expect of its repair. */

#ifndef TESTS_UNIT_VHD_DAMAGE_H
#define TESTS_UNIT_VHD_DAMAGE_H

#include "tool/tool.h"
#include "unit/vhd/fx.h"

#define BLOCK 4096u
#define STRIDE (512u + BLOCK)
#define NBLOCKS 10u
#define DISK (NBLOCKS * (uint64_t)BLOCK)
#define TODAY 1500000000 /* the images were made in January 2017 */
#define MAX_PASSES 4

/* A gap, too small for a block, and then: */
static const int blocks[] = { -1, 0, 5, 2, 3 };

#define OFF(i) (2048 + 4096 + (i) * (uint64_t)STRIDE)
#define END OFF(4)
#define BAT(i) (1536 + (i) * (uint64_t)4)

/* What a repair said, and which sectors of the disk it may change. */
struct told {
	unsigned t_n;
	uint8_t t_lost[NBLOCKS * BLOCK / 512];
};

static void
tell(void *arg, const struct img_fixed *x)
{
	struct told *t = arg;
	uint64_t i;

	t->t_n++;
	assert_non_null(x->fx_text);
	for (i = x->fx_voff / 512; i * 512 < x->fx_voff + x->fx_vlen; i++)
		if (i < LENGTH_OF(t->t_lost))
			t->t_lost[i] = 1;
}

/* A check may allocate; what it took comes back. */
static void
done(struct fx *fx)
{
	assert_int_equal(fx->fx_env.e_now, 0);
	mem_free(&fx->fx_mem);
	mem_log_free(&fx->fx_log);
}

static void
check(struct fx *fx)
{
	struct img_checked ch;

	memset(&fx->fx_sink, 0, sizeof(fx->fx_sink));
	if (fx_open(fx, IMG_VERIFY) != 0)
		return;
	assert_int_equal(img_check(fx->fx_im, IMG_DEEP, TODAY, &ch), 0);
	mem_abandon(fx->fx_im, &fx->fx_env);
}

static int
repair(struct fx *fx, enum img_fix fix, unsigned flags, struct told *t)
{
	assert_true(fx->fx_sink.s_n <= MEM_NFOUND);
	return (img_repair(&fx->fx_env.e_env, &fx->fx_mem.m_file, &img_vhd,
	    fx->fx_sink.s_found, fx->fx_sink.s_n, fix, flags, tell, t));
}

/* Repair until nothing is left to do; is the image sound then? */
static int
mend(struct fx *fx, struct told *t)
{
	unsigned before, i;

	for (i = 0; i < MAX_PASSES; i++) {
		before = t->t_n;
		check(fx);
		assert_int_equal(repair(fx, IMG_FIX_LOSSY, 0, t), 0);
		if (t->t_n == before)
			break;
	}
	for (i = 0; i < fx->fx_sink.s_n; i++)
		if (img_row(fx->fx_sink.s_found[i].fi_row)->r_severity >
		    IMG_SEV_NOTE)
			return (0);
	return (t->t_n == before);
}

/* Is every byte as it was made, but for what the repairs told? */
static int
is_intact(struct fx *fx, const struct told *t, const uint8_t *was)
{
	uint8_t got[512];
	uint64_t i;
	int same = 1;

	assert_int_equal(fx_open(fx, 0), 0);
	for (i = 0; i < img_size(fx->fx_im) / 512; i++) {
		if (i >= LENGTH_OF(t->t_lost) || t->t_lost[i])
			continue;
		assert_int_equal(img_read(fx->fx_im, got, 512, i * 512), 0);
		same &= memcmp(got, was + i * 512, 512) == 0;
	}
	mem_abandon(fx->fx_im, &fx->fx_env);
	return (same);
}

/* Before the damage. */
static void
remember(struct fx *fx, uint8_t *was)
{
	memset(was, 0, DISK);
	assert_int_equal(fx_open(fx, 0), 0);
	assert_true(img_size(fx->fx_im) <= DISK);
	assert_int_equal(img_read(fx->fx_im, was, (uint32_t)img_size(fx->fx_im),
			     0),
	    0);
	mem_abandon(fx->fx_im, &fx->fx_env);
}

static void
footers(struct fx *fx)
{
	mkvhd_footer(&fx->fx_k, 0);
	mkvhd_footer(&fx->fx_k, fx->fx_mem.m_len - 512);
}

static void
fill(struct fx *fx, uint64_t off, size_t len, int c)
{
	uint8_t *p = malloc(len);

	assert_non_null(p);
	memset(p, c, len);
	mem_put(&fx->fx_mem, off, p, len);
	free(p);
}

static void
entry(struct fx *fx, unsigned i, uint64_t off)
{
	mem_put32(&fx->fx_mem, BAT(i), (uint32_t)(off / 512));
}

/* One damage each to a sound dynamic image. */
static void
end_lost(struct fx *fx)
{
	fill(fx, END, 512, 0);
}

static void
end_killed(struct fx *fx)
{
	fill(fx, END, 512, 0xff);
}

static void
end_cut(struct fx *fx)
{
	mem_set_len(&fx->fx_mem, END - 1500);
}

static void
end_torn(struct fx *fx)
{
	mem_set_len(&fx->fx_mem, END + 100);
}

static void
end_511(struct fx *fx)
{
	mem_set_len(&fx->fx_mem, END + 511);
}

static void
end_sum(struct fx *fx)
{
	mem_put32(&fx->fx_mem, END + 64, 0);
}

static void
end_odd(struct fx *fx)
{
	fill(fx, END, 612, 0x41);
	mkvhd_footer(&fx->fx_k, END + 100);
}

static void
copy_lost(struct fx *fx)
{
	fill(fx, 0, 512, 0);
}

static void
both_sums(struct fx *fx)
{
	mem_put32(&fx->fx_mem, 64, 0);
	mem_put32(&fx->fx_mem, END + 64, 0);
}

static void
trailing(struct fx *fx)
{
	fill(fx, END + 512, 1024, 0x41);
}

static void
footers_differ(struct fx *fx)
{
	fx->fx_k.k_footer[32] = 1;
	mkvhd_footer(&fx->fx_k, END);
}

static void
geometry(struct fx *fx)
{
	memset(fx->fx_k.k_footer + 56, 0, 4);
	footers(fx);
}

static void
header_reserved(struct fx *fx)
{
	fill(fx, 512 + 1000, 4, 1);
	fill(fx, 512 + 60, 1, 1);
	mkvhd_header_sum(&fx->fx_k);
}

static void
header_lost(struct fx *fx)
{
	fill(fx, 512, 8, 0);
}

static void
bat_short(struct fx *fx)
{
	mem_put32(&fx->fx_mem, 512 + 28, 6);
	fill(fx, BAT(6), 16, 0);
	mkvhd_header_sum(&fx->fx_k);
}

static void
out_of_range(struct fx *fx)
{
	entry(fx, 6, UINT64_C(1) << 30);
	entry(fx, 7, 512);
}

static void
same_place(struct fx *fx)
{
	entry(fx, 1, OFF(1));
	entry(fx, 7, OFF(1));
}

static void
partly_over(struct fx *fx)
{
	entry(fx, 7, OFF(1) + 1024);
}

static void
over_footer(struct fx *fx)
{
	mem_set_len(&fx->fx_mem, END);
	mkvhd_footer(&fx->fx_k, END - 512);
}

static void
over_all(struct fx *fx)
{
	over_footer(fx);
	entry(fx, 7, OFF(2) + 512);
	entry(fx, 6, UINT64_C(1) << 30);
}

static void
cut_behind_footer(struct fx *fx)
{
	mem_set_len(&fx->fx_mem, END - 1024);
	mkvhd_footer(&fx->fx_k, END - 1536);
}

static void
leak_inside(struct fx *fx)
{
	mem_put32(&fx->fx_mem, BAT(0), 0xffffffff);
	mem_put32(&fx->fx_mem, BAT(2), 0xffffffff);
}

static void
leak_behind(struct fx *fx)
{
	mem_set_len(&fx->fx_mem, END + 3 * STRIDE + 512);
	mkvhd_footer(&fx->fx_k, END + 3 * STRIDE);
}

static void
all_zeros(struct fx *fx)
{
	fill(fx, OFF(1) + 512, BLOCK, 0);
	fill(fx, OFF(2), STRIDE, 0);
}

static void
bits_clear(struct fx *fx)
{
	mkvhd_bit(&fx->fx_k, OFF(1), 3, 0);
	mkvhd_bit(&fx->fx_k, OFF(3), 0, 0);
}

/* The same and more to a fixed image. */
static void
fixed_511(struct fx *fx)
{
	mem_set_len(&fx->fx_mem, DISK + 511);
}

static void
fixed_odd(struct fx *fx)
{
	fill(fx, DISK, 100, 0x41);
	mkvhd_footer(&fx->fx_k, DISK + 100);
}

static void
fixed_trailing(struct fx *fx)
{
	fill(fx, DISK + 512, 1124, 0x41);
}

static void
fixed_short(struct fx *fx)
{
	mem_set_len(&fx->fx_mem, DISK - 1024);
	mkvhd_footer(&fx->fx_k, DISK - 1536);
}

static void
fixed_short_odd(struct fx *fx)
{
	mem_set_len(&fx->fx_mem, DISK + 412);
	mkvhd_footer(&fx->fx_k, DISK - 100);
}

static void
fixed_long(struct fx *fx)
{
	fill(fx, DISK, 4096, 0x41);
	mkvhd_footer(&fx->fx_k, DISK + 4096);
}

static void
fixed_sum(struct fx *fx)
{
	mem_put32(&fx->fx_mem, DISK + 64, 0);
}

static void
device_end_lost(struct fx *fx)
{
	fill(fx, fx->fx_mem.m_len - 512, 512, 0);
}

static const struct damage {
	const char *d_name;
	int d_kind; /* d dynamic, x fixed, b dynamic on a device */
	void (*d_do)(struct fx *);
	enum img_row d_row; /* raised, among others */
	int d_known;        /* the disk is right as it is then */
} damages[] = {
	{ "end_lost", 'd', end_lost, IMG_VHD_END_LOST, 0 },
	{ "end_killed", 'd', end_killed, IMG_VHD_END_LOST, 0 },
	{ "end_cut", 'd', end_cut, IMG_VHD_BLOCK_CUT, 0 },
	{ "end_torn", 'd', end_torn, IMG_VHD_STRAY, 0 },
	{ "end_511", 'd', end_511, IMG_VHD_FOOTER_511, 0 },
	{ "end_sum", 'd', end_sum, IMG_VHD_END_SUM, 0 },
	{ "end_odd", 'd', end_odd, IMG_VHD_FOOTER_UNALIGNED, 0 },
	{ "copy_lost", 'd', copy_lost, IMG_VHD_COPY_LOST, 0 },
	{ "both_sums", 'd', both_sums, IMG_VHD_BOTH_SUMS, 0 },
	{ "trailing", 'd', trailing, IMG_VHD_TRAILING, 0 },
	{ "footers_differ", 'd', footers_differ, IMG_VHD_DIFFER, 0 },
	{ "geometry", 'd', geometry, IMG_VHD_CHS_ZERO, 0 },
	{ "header_reserved", 'd', header_reserved, IMG_VHD_HDR_RESERVED, 0 },
	{ "header_lost", 'd', header_lost, IMG_VHD_HDR_COOKIE, 0 },
	{ "bat_short", 'd', bat_short, IMG_VHD_BAT_SHORT, 0 },
	{ "out_of_range", 'd', out_of_range, IMG_VHD_BLOCK_META, 0 },
	{ "same_place", 'd', same_place, IMG_VHD_BAT_OVERLAP, 1 },
	{ "partly_over", 'd', partly_over, IMG_VHD_BLOCK_OVERLAP, 0 },
	{ "over_footer", 'd', over_footer, IMG_VHD_BLOCK_FOOTER, 0 },
	{ "over_all", 'd', over_all, IMG_VHD_BLOCK_OVERLAP, 0 },
	{ "cut_behind_footer", 'd', cut_behind_footer, IMG_VHD_BLOCK_CUT, 0 },
	{ "leak_inside", 'd', leak_inside, IMG_VHD_LEAK, 1 },
	{ "leak_behind", 'd', leak_behind, IMG_VHD_LEAK, 1 },
	{ "all_zeros", 'd', all_zeros, IMG_VHD_BLOCK_ZERO, 1 },
	{ "fixed_511", 'x', fixed_511, IMG_VHD_FOOTER_511, 0 },
	{ "fixed_odd", 'x', fixed_odd, IMG_VHD_FOOTER_UNALIGNED, 0 },
	{ "fixed_trailing", 'x', fixed_trailing, IMG_VHD_FIXED_TRAILING, 0 },
	{ "fixed_short", 'x', fixed_short, IMG_VHD_FIXED_SHORT, 0 },
	{ "fixed_short_odd", 'x', fixed_short_odd, IMG_VHD_FIXED_SHORT, 0 },
	{ "fixed_long", 'x', fixed_long, IMG_VHD_FIXED_LONG, 0 },
	{ "fixed_sum", 'x', fixed_sum, IMG_VHD_FIXED_SUM, 0 },
	{ "device_end_lost", 'b', device_end_lost, IMG_VHD_END_LOST, 0 },
	{ "device_same_place", 'b', same_place, IMG_VHD_BAT_OVERLAP, 1 },
	{ "device_partly_over", 'b', partly_over, IMG_VHD_BLOCK_OVERLAP, 0 },
	{ "device_out_of_range", 'b', out_of_range, IMG_VHD_BLOCK_META, 0 },
	{ "device_all_zeros", 'b', all_zeros, IMG_VHD_BLOCK_ZERO, 1 },
	{ "bits_clear", 'd', bits_clear, IMG_VHD_BIT_CLEAR, 0 },
};

static void
make(struct fx *fx, const struct damage *d, uint8_t *was)
{
	fx_init(fx);
	if (d->d_kind == 'b')
		mem_device(&fx->fx_mem, END + 65536);
	if (d->d_kind == 'x')
		mkvhd_fixed(&fx->fx_k, &fx->fx_mem, DISK);
	else
		mkvhd_make(&fx->fx_k, &fx->fx_mem, DISK, BLOCK, blocks,
		    LENGTH_OF(blocks));
	fx->fx_mem.m_ops.fo_extent = NULL;
	remember(fx, was);
	d->d_do(fx);
	if (d->d_known)
		remember(fx, was);
	check(fx);
	if (mem_has(&fx->fx_sink, d->d_row) == 0)
		fail_msg("%s: not raised", d->d_name);
}

#endif /* TESTS_UNIT_VHD_DAMAGE_H */
