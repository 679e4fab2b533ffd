/* SPDX-License-Identifier: ISC */

/*
 * A raw image has no structure that could be wrong.  What can be said: that
 * its contents look like another format (then someone forgot to convert, or
 * said raw to be safe), and that its size is odd.
 */

#include "raw/tool.h"

static int raw_check(struct img *, unsigned, int64_t, struct img_checked *);

const struct img_tool img_tool_raw = {
	.t_format = &img_raw,
	.t_opts = raw_opts,
	.t_check = raw_check,
	.t_create = raw_create,
};

#define FROM_END UINT64_C(0x8000000000000000)

/* Signatures at an offset from the start, or from the end. */
static const struct {
	uint64_t s_off;
	uint32_t s_len;
	const char *s_bytes;
	const char *s_name;
} signatures[] = {
	{ 0, 4, "QFI\xfb", "qcow2" },
	{ 0, 4, "QED\0", "QED" },
	{ FROM_END | 512, 8, "conectix", "VHD" },
	{ FROM_END | 511, 8, "conectix", "VHD" },
	{ 0, 8, "conectix", "VHD" },
	{ FROM_END | 512, 8, "v_poison", "VHD (disabled)" },
	{ 0, 8, "v_poison", "VHD (disabled)" },
	{ 0, 8, "vhdxfile", "VHDX" },
	{ 0, 4, "KDMV", "VMDK" },
	{ 0, 21, "# Disk DescriptorFile", "VMDK" },
	{ 64, 4, "\x7f\x10\xda\xbe", "VDI" },
	{ 0, 16, "WithoutFreeSpace", "Parallels" },
	{ 0, 16, "WithouFreSpacExt", "Parallels" },
	{ FROM_END | 512, 4, "koly", "DMG" },
	{ 0, 3, "\x1f\x8b\x08", "gzip" },
	{ 0, 6,
	    "\xfd"
	    "7zXZ\0",
	    "xz" },
	{ 0, 4, "\x28\xb5\x2f\xfd", "zstd" },
	{ 0, 4, "PK\x03\x04", "zip" },
};

static int
look_like(struct img *im, size_t i, int *yes)
{
	uint64_t off = signatures[i].s_off;
	uint8_t buf[32];
	int error;

	*yes = 0;
	if (off & FROM_END) {
		off &= ~FROM_END;
		if (off > im->im_eof[0])
			return (0);
		off = im->im_eof[0] - off;
	}
	if (!img_inside(off, signatures[i].s_len, im->im_eof[0]))
		return (0);
	error = img_io_read(im, 0, buf, signatures[i].s_len, off);
	if (error == 0)
		*yes = memcmp(buf, signatures[i].s_bytes,
			   signatures[i].s_len) == 0;
	return (error);
}

static int
raw_check(struct img *im, unsigned flags, int64_t now, struct img_checked *ch)
{
	uint64_t len = im->im_eof[0];
	struct img_finding fi;
	size_t i;
	int error, yes;

	(void)flags;
	(void)now;
	ch->ch_end = len;
	if (len == 0)
		img_raise(im, IMG_RAW_EMPTY, 0);
	if (len % IMG_SECTOR != 0)
		img_raise_num(im, IMG_RAW_ODD_SIZE, len, IMG_WANT_EQ, len,
		    img_roundup(len, IMG_SECTOR));
	for (i = 0; i < sizeof(signatures) / sizeof(signatures[0]); i++) {
		error = look_like(im, i, &yes);
		if (error != 0)
			return (error);
		if (!yes)
			continue;
		memset(&fi, 0, sizeof(fi));
		fi.fi_row = IMG_RAW_LOOKS;
		fi.fi_off = signatures[i].s_off & FROM_END ?
		    len - (signatures[i].s_off & ~FROM_END) :
		    signatures[i].s_off;
		fi.fi_name = signatures[i].s_name;
		img_raise_finding(im, &fi);
		break;
	}
	return (0);
}
