/* SPDX-License-Identifier: ISC */

/*
 * Making an empty VHD: copy of the footer, header, BAT, footer; or, fixed,
 * the data and the footer.  The size is exactly the one asked for.  By
 * default the creator is "win " and the geometry is computed from the size:
 * every reader known agrees on the size of such an image.
 */

#include <stdio.h>
#include <stdlib.h>

#include "vhd/tool.h"

#define BAT_OFF (VHD_FOOTER + VHD_HEADER)
#define BLOCK_MIN 4096u
#define BLOCK_MAX (16u << 20)

const struct img_opt vhd_opts[] = {
	{ "subformat", "dynamic (default) or fixed" },
	{ "block_size",
	    "bytes of a block of a dynamic image, a power of two "
	    "from 4k to 16M (default 2M)" },
	{ "creator", "creator application, up to 4 characters (default win)" },
	{ "uuid", "unique id (default random)" },
	{ "timestamp", "creation time in seconds since 1970 (default now)" },
	{ NULL, NULL },
};

struct plan {
	struct img_file *pl_file;
	struct img_create *pl_cr;
	uint64_t pl_len; /* of the file, where it is a device */
	uint32_t pl_type;
	uint32_t pl_block;
	uint32_t pl_nentries;
	uint8_t pl_footer[VHD_FOOTER];
};

static int
opt(const struct plan *pl, const char *name, char *buf, size_t size)
{
	int error;

	error = img_opt_get(pl->pl_cr->cr_opts, name, buf, size);
	if (error == EINVAL)
		return (
		    img_create_error(pl->pl_cr, EINVAL, "bad value for", name));
	return (error);
}

static int
refuse(const struct plan *pl, const char *what, const char *value)
{
	return (img_create_error(pl->pl_cr, EINVAL, what, value));
}

static int
plan_type(struct plan *pl)
{
	char buf[16];
	uint64_t n;
	int error;

	pl->pl_type = VHD_DYNAMIC;
	pl->pl_block = VHD_BLOCK_DEFAULT;
	error = opt(pl, "subformat", buf, sizeof(buf));
	if (error == 0 && strcmp(buf, "fixed") == 0)
		pl->pl_type = VHD_FIXED;
	else if (error == 0 && strcmp(buf, "dynamic") != 0)
		return (refuse(pl, "subformat is fixed or dynamic, not", buf));
	if (error != 0 && error != ENOENT)
		return (error);
	error = opt(pl, "block_size", buf, sizeof(buf));
	if (error == ENOENT)
		return (0);
	if (error != 0)
		return (error);
	if (pl->pl_type == VHD_FIXED)
		return (refuse(pl, "a fixed image has no block_size", NULL));
	if (img_opt_size(buf, &n) != 0 || n < BLOCK_MIN || n > BLOCK_MAX ||
	    (n & (n - 1)) != 0)
		return (refuse(pl,
		    "block_size is a power of two from 4k to 16M, not", buf));
	pl->pl_block = (uint32_t)n;
	return (0);
}

static int
plan_creator(struct plan *pl)
{
	static const char *const with_nul[] = { "tap", "d2v", "wa" };
	uint8_t *app = pl->pl_footer + VHD_F_APP;
	uint32_t version = VHD_VERSION;
	char buf[16] = "win";
	size_t i;
	int error;

	error = opt(pl, "creator", buf, sizeof(buf));
	if (error != 0 && error != ENOENT)
		return (error);
	for (i = 0; buf[i] != '\0'; i++)
		if (i >= 4 || buf[i] < 0x20 || buf[i] > 0x7e)
			return (
			    refuse(pl, "creator is 1 to 4 letters, not", buf));
	memset(app, ' ', 4);
	for (i = 0; i < sizeof(with_nul) / sizeof(with_nul[0]); i++)
		if (strcmp(buf, with_nul[i]) == 0)
			memset(app, 0, 4);
	memcpy(app, buf, strlen(buf));
	if (strcmp(buf, "win") == 0)
		version = 0x000a0000; /* 10.0 */
	img_put_be32(pl->pl_footer + VHD_F_APP_VERSION, version);
	memcpy(pl->pl_footer + VHD_F_OS, "Wi2k", 4);
	return (0);
}

static int
plan_time(struct plan *pl)
{
	int64_t t = pl->pl_cr->cr_time;
	char buf[24];
	uint64_t n;
	int error;

	error = opt(pl, "timestamp", buf, sizeof(buf));
	if (error != 0 && error != ENOENT)
		return (error);
	if (error == 0) {
		if (img_opt_size(buf, &n) != 0 || n > INT64_MAX ||
		    (int64_t)n < VHD_EPOCH ||
		    (int64_t)n - VHD_EPOCH > UINT32_MAX)
			return (refuse(pl,
			    "timestamp is from 946684800 on, not", buf));
		t = (int64_t)n;
	}
	/* A clock, or SOURCE_DATE_EPOCH, may say what VHD cannot. */
	t -= VHD_EPOCH;
	if (t < 0)
		t = 0;
	if (t > UINT32_MAX)
		t = UINT32_MAX;
	img_put_be32(pl->pl_footer + VHD_F_TIME, (uint32_t)t);
	return (0);
}

/* FNV-1a, 64 bits: not secret, only the same every time. */
static uint64_t
hash(uint64_t h, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len-- > 0)
		h = (h ^ *p++) * UINT64_C(0x100000001b3);
	return (h);
}

static void
derive_uuid(const struct plan *pl, uint8_t *u)
{
	const struct img_create *cr = pl->pl_cr;
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	uint8_t n[16];
	int i;

	img_put_be64(n, (uint64_t)cr->cr_time);
	img_put_be64(n + 8, cr->cr_size);
	h = hash(h, n, sizeof(n));
	if (cr->cr_opts != NULL)
		h = hash(h, cr->cr_opts, strlen(cr->cr_opts));
	h = hash(h, "", 1);
	if (cr->cr_name != NULL)
		h = hash(h, cr->cr_name, strlen(cr->cr_name));
	for (i = 0; i < 16; i += 8) {
		h = hash(h, n, sizeof(n));
		img_put_be64(u + i, h);
	}
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return (c - '0');
	c = (char)(c | 0x20);
	return (c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1);
}

/* 8-4-4-4-12 digits; EINVAL for anything else. */
static int
parse_uuid(const char *s, uint8_t *u)
{
	int i, hi, lo;

	for (i = 0; i < 16; i++, s += 2) {
		if ((i == 4 || i == 6 || i == 8 || i == 10) && *s++ != '-')
			return (EINVAL);
		hi = hex_digit(s[0]);
		lo = hi < 0 ? -1 : hex_digit(s[1]);
		if (lo < 0)
			return (EINVAL);
		u[i] = (uint8_t)(hi << 4 | lo);
	}
	return (*s == '\0' ? 0 : EINVAL);
}

static int
plan_uuid(struct plan *pl)
{
	uint8_t *u = pl->pl_footer + VHD_F_UUID;
	char buf[40];
	int error;

	error = opt(pl, "uuid", buf, sizeof(buf));
	if (error == 0) {
		if (parse_uuid(buf, u) != 0 || img_is_zero(u, 16))
			return (refuse(pl, "not a UUID", buf));
		return (0);
	}
	if (error != ENOENT)
		return (error);
	if (pl->pl_cr->cr_repeatable)
		derive_uuid(pl, u);
	else
		memcpy(u, pl->pl_cr->cr_random, 16);
	u[6] = (uint8_t)((u[6] & 0x0f) | 0x40); /* version 4 ... */
	u[8] = (uint8_t)((u[8] & 0x3f) | 0x80); /* ... of RFC 4122 */
	return (0);
}

static int
plan_size(struct plan *pl)
{
	uint64_t size = pl->pl_cr->cr_size, stride, last;
	int error;

	if (size == 0 || size % IMG_SECTOR != 0)
		return (refuse(pl, "size must be a multiple of 512 and not 0",
		    NULL));
	if (size > VHD_MAX_SIZE)
		return (img_create_error(pl->pl_cr, EFBIG,
		    "size is over 2040 GiB, the largest VHD", NULL));
	error = pl->pl_file->f_ops->fo_length(pl->pl_file, &pl->pl_len);
	if (error != 0)
		return (error);
	if (pl->pl_file->f_flags & IMG_FILE_FIXED) {
		if (pl->pl_type == VHD_FIXED && size + VHD_FOOTER != pl->pl_len)
			return (refuse(pl,
			    "a fixed image must fill the device, and its "
			    "footer take the last 512 bytes",
			    NULL));
	} else if (pl->pl_len != 0)
		return (refuse(pl, "file is not empty", NULL));
	if (pl->pl_type == VHD_FIXED)
		return (0);
	pl->pl_nentries = (uint32_t)((size + pl->pl_block - 1) / pl->pl_block);
	stride = pl->pl_block + img_roundup(pl->pl_block / 4096, IMG_SECTOR);
	last = BAT_OFF + vhd_bat_bytes(pl->pl_nentries);
	if ((pl->pl_file->f_flags & IMG_FILE_FIXED) &&
	    !img_inside(last, VHD_FOOTER, pl->pl_len))
		return (img_create_error(pl->pl_cr, ENOSPC,
		    "device is too small for the block table", NULL));
	last += (pl->pl_nentries - 1) * stride;
	if (last / IMG_SECTOR >= VHD_ABSENT)
		return (refuse(pl,
		    "block_size is too small for a disk of this size", NULL));
	return (0);
}

static void
make_footer(struct plan *pl)
{
	uint8_t *f = pl->pl_footer;
	uint64_t size = pl->pl_cr->cr_size;

	memcpy(f, VHD_COOKIE, 8);
	img_put_be32(f + VHD_F_FEATURES, VHD_FEAT_RESERVED);
	img_put_be32(f + VHD_F_VERSION, VHD_VERSION);
	img_put_be64(f + VHD_F_DATA_OFF,
	    pl->pl_type == VHD_FIXED ? UINT64_MAX : VHD_FOOTER);
	img_put_be64(f + VHD_F_ORIG_SIZE, size);
	img_put_be64(f + VHD_F_SIZE, size);
	img_put_be32(f + VHD_F_CYLS, vhd_geometry(size));
	img_put_be32(f + VHD_F_TYPE, pl->pl_type);
	vhd_set_sum(f, VHD_FOOTER, VHD_F_SUM);
}

static int
put(const struct plan *pl, const void *p, uint32_t len, uint64_t off)
{
	if ((pl->pl_file->f_flags & IMG_FILE_FIXED) &&
	    !img_inside(off, len, pl->pl_len))
		return (ENOSPC);
	return (pl->pl_file->f_ops->fo_write(pl->pl_file, p, len, off));
}

static int
write_bat(const struct plan *pl)
{
	uint64_t off = BAT_OFF, end;
	uint8_t ones[8192];
	uint32_t n;
	int error = 0;

	memset(ones, 0xff, sizeof(ones));
	end = off + vhd_bat_bytes(pl->pl_nentries);
	for (; off < end && error == 0; off += n) {
		n = (uint32_t)img_min(sizeof(ones), end - off);
		error = put(pl, ones, n, off);
	}
	return (error);
}

static int
write_dynamic(const struct plan *pl)
{
	uint8_t h[VHD_HEADER];
	uint64_t end = BAT_OFF + vhd_bat_bytes(pl->pl_nentries);
	int error;

	if (pl->pl_file->f_flags & IMG_FILE_FIXED)
		end = pl->pl_len - VHD_FOOTER;
	memset(h, 0, sizeof(h));
	memcpy(h, VHD_H_COOKIE_TEXT, 8);
	img_put_be64(h + VHD_H_NEXT, UINT64_MAX);
	img_put_be64(h + VHD_H_BAT_OFF, BAT_OFF);
	img_put_be32(h + VHD_H_VERSION, VHD_VERSION);
	img_put_be32(h + VHD_H_NENTRIES, pl->pl_nentries);
	img_put_be32(h + VHD_H_BLOCK, pl->pl_block);
	vhd_set_sum(h, VHD_HEADER, VHD_H_SUM);
	error = write_bat(pl);
	if (error == 0)
		error = put(pl, h, VHD_HEADER, VHD_FOOTER);
	if (error == 0)
		error = put(pl, pl->pl_footer, VHD_FOOTER, end);
	if (error == 0)
		error = put(pl, pl->pl_footer, VHD_FOOTER, 0);
	return (error);
}

int
vhd_create(const struct img_env *env, struct img_file *f, struct img_create *cr)
{
	struct plan pl;
	int error;

	(void)env;
	memset(&pl, 0, sizeof(pl));
	pl.pl_file = f;
	pl.pl_cr = cr;
	error = plan_type(&pl);
	if (error == 0)
		error = plan_creator(&pl);
	if (error == 0)
		error = plan_time(&pl);
	if (error == 0)
		error = plan_uuid(&pl);
	if (error == 0)
		error = plan_size(&pl);
	if (error != 0)
		return (error);
	make_footer(&pl);
	if (pl.pl_type == VHD_FIXED)
		return (put(&pl, pl.pl_footer, VHD_FOOTER, cr->cr_size));
	return (write_dynamic(&pl));
}
