/* SPDX-License-Identifier: ISC */

/* What a VHD says about itself. */

#include <stdio.h>

#include "vhd/tool.h"

static void
tell_uuid(struct img_teller *t, const char *key, const uint8_t *u)
{
	char s[37];

	(void)snprintf(s, sizeof(s),
	    "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
	    "%02x%02x%02x%02x%02x%02x",
	    u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10],
	    u[11], u[12], u[13], u[14], u[15]);
	img_tell_text(t, key, s);
}

/* Four bytes, of which those that are no letters are shown in hex. */
static void
tell_code(struct img_teller *t, const char *key, const uint8_t *c)
{
	char s[17];
	size_t n = 0;
	int i;

	for (i = 0; i < 4; i++)
		if (c[i] >= 0x20 && c[i] < 0x7f && c[i] != '\\')
			s[n++] = (char)c[i];
		else
			n += (size_t)snprintf(s + n, sizeof(s) - n, "\\x%02x",
			    c[i]);
	s[n] = '\0';
	img_tell_text(t, key, s);
}

static void
tell_version(struct img_teller *t, const char *key, uint32_t version)
{
	char s[16];

	(void)snprintf(s, sizeof(s), "%u.%u", (unsigned)(version >> 16),
	    (unsigned)(version & 0xffff));
	img_tell_text(t, key, s);
}

static const char *
type_name(uint32_t type)
{
	switch (type) {
	case VHD_FIXED:
		return ("fixed");
	case VHD_DYNAMIC:
		return ("dynamic");
	default:
		return ("differencing");
	}
}

static const char *
state_name(enum vhd_footer_state state)
{
	static const char *const names[] = { "missing", "disabled",
		"checksum wrong", "good" };

	return (names[state]);
}

static void
tell_geometry(struct img_teller *t, const uint8_t *f)
{
	uint32_t chs = img_be32(f + VHD_F_CYLS);

	img_tell(t, "geometry", IMG_K_BEGIN, 0, NULL);
	img_tell_num(t, "cylinders", chs >> 16);
	img_tell_num(t, "heads", chs >> 8 & 0xff);
	img_tell_num(t, "sectors-per-track", chs & 0xff);
	img_tell(t, "size", IMG_K_BYTES, vhd_chs_sectors(chs) * IMG_SECTOR,
	    NULL);
	img_tell(t, "geometry", IMG_K_END, 0, NULL);
}

static void
tell_footer(struct img_teller *t, const struct vhd *v)
{
	const uint8_t *f = v->v_footer;
	uint32_t bits = img_be32(f + VHD_F_FEATURES);

	img_tell_text(t, "disk-type", type_name(v->v_type));
	tell_code(t, "creator", f + VHD_F_APP);
	tell_version(t, "creator-version", img_be32(f + VHD_F_APP_VERSION));
	tell_code(t, "creator-os", f + VHD_F_OS);
	img_tell(t, "creation-time", IMG_K_TIME,
	    (uint64_t)VHD_EPOCH + img_be32(f + VHD_F_TIME), NULL);
	tell_uuid(t, "uuid", f + VHD_F_UUID);
	tell_version(t, "format-version", img_be32(f + VHD_F_VERSION));
	img_tell(t, "original-size", IMG_K_BYTES, img_be64(f + VHD_F_ORIG_SIZE),
	    NULL);
	tell_geometry(t, f);
	img_tell_bool(t, "temporary", bits & VHD_FEAT_TEMPORARY);
	img_tell_bool(t, "saved-state", f[VHD_F_SAVED] != 0);
	img_tell_text(t, "footer", state_name(v->v_end));
	img_tell_hex(t, "footer-checksum", img_be32(f + VHD_F_SUM));
	if (v->v_type != VHD_FIXED)
		img_tell_text(t, "footer-copy", state_name(v->v_copy));
}

static void
tell_parent(struct img_teller *t, const struct vhd *v)
{
	const uint8_t *h = v->v_header;

	tell_uuid(t, "parent-uuid", h + VHD_H_PARENT_UUID);
	img_tell(t, "parent-time", IMG_K_TIME,
	    (uint64_t)VHD_EPOCH + img_be32(h + VHD_H_PARENT_TIME), NULL);
}

int
vhd_info(struct img *im, img_info_fn *fn, void *arg)
{
	struct vhd *v = vhd(im);
	struct img_teller t;
	struct img_checked ch;
	int error;

	t.t_fn = fn;
	t.t_arg = arg;
	t.t_top = 1;
	t.t_error = 0;
	if (v->v_type == VHD_DIFFERENCING && v->v_parent[0] != '\0')
		img_tell_text(&t, "backing-filename", v->v_parent);
	t.t_top = 0;
	tell_footer(&t, v);
	if (v->v_type == VHD_FIXED)
		return (t.t_error);
	error = vhd_count_blocks(im, &ch);
	if (error != 0)
		return (error);
	tell_version(&t, "header-version",
	    img_be32(v->v_header + VHD_H_VERSION));
	img_tell_hex(&t, "header-offset", v->v_header_off);
	img_tell_text(&t, "header",
	    state_name(v->v_sum_ok ? VHD_F_GOOD : VHD_F_BAD));
	img_tell_hex(&t, "header-checksum", img_be32(v->v_header + VHD_H_SUM));
	img_tell_hex(&t, "bat-offset", v->v_bat_off);
	img_tell_num(&t, "bat-entries", v->v_nentries);
	img_tell(&t, "block-size", IMG_K_BYTES, v->v_block, NULL);
	img_tell_num(&t, "blocks", v->v_nblocks);
	img_tell_num(&t, "allocated-blocks", ch.ch_allocated);
	if (v->v_type == VHD_DIFFERENCING)
		tell_parent(&t, v);
	return (t.t_error);
}
