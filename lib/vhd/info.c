/* SPDX-License-Identifier: ISC */

/* What a VHD says about itself. */

#include <stdio.h>

#include "vhd/tool.h"

struct teller {
	img_info_fn *t_fn;
	void *t_arg;
	int t_error;
};

static void
tell(struct teller *t, const char *key, enum img_kind kind, uint64_t num,
    const char *str)
{
	struct img_item it;

	if (t->t_error != 0)
		return;
	it.it_key = key;
	it.it_kind = kind;
	it.it_top = 0;
	it.it_num = num;
	it.it_str = str;
	t->t_error = t->t_fn(t->t_arg, &it);
}

static void
tell_backing(struct teller *t, const char *name)
{
	struct img_item it;

	memset(&it, 0, sizeof(it));
	it.it_key = "backing-filename";
	it.it_kind = IMG_K_STR;
	it.it_top = 1;
	it.it_str = name;
	t->t_error = t->t_fn(t->t_arg, &it);
}

static void
tell_uuid(struct teller *t, const char *key, const uint8_t *u)
{
	char s[37];

	(void)snprintf(s, sizeof(s),
	    "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-"
	    "%02x%02x%02x%02x%02x%02x",
	    u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10],
	    u[11], u[12], u[13], u[14], u[15]);
	tell(t, key, IMG_K_STR, 0, s);
}

/* Four bytes, of which those that are no letters are shown in hex. */
static void
tell_code(struct teller *t, const char *key, const uint8_t *c)
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
	tell(t, key, IMG_K_STR, 0, s);
}

static void
tell_version(struct teller *t, const char *key, uint32_t version)
{
	char s[16];

	(void)snprintf(s, sizeof(s), "%u.%u", (unsigned)(version >> 16),
	    (unsigned)(version & 0xffff));
	tell(t, key, IMG_K_STR, 0, s);
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
tell_geometry(struct teller *t, const uint8_t *f)
{
	uint32_t chs = img_be32(f + VHD_F_CYLS);

	tell(t, "geometry", IMG_K_BEGIN, 0, NULL);
	tell(t, "cylinders", IMG_K_NUM, chs >> 16, NULL);
	tell(t, "heads", IMG_K_NUM, chs >> 8 & 0xff, NULL);
	tell(t, "sectors-per-track", IMG_K_NUM, chs & 0xff, NULL);
	tell(t, "size", IMG_K_BYTES, vhd_chs_sectors(chs) * IMG_SECTOR, NULL);
	tell(t, "geometry", IMG_K_END, 0, NULL);
}

static void
tell_footer(struct teller *t, const struct vhd *v)
{
	const uint8_t *f = v->v_footer;
	uint32_t bits = img_be32(f + VHD_F_FEATURES);

	tell(t, "disk-type", IMG_K_STR, 0, type_name(v->v_type));
	tell_code(t, "creator", f + VHD_F_APP);
	tell_version(t, "creator-version", img_be32(f + VHD_F_APP_VERSION));
	tell_code(t, "creator-os", f + VHD_F_OS);
	tell(t, "creation-time", IMG_K_TIME,
	    (uint64_t)VHD_EPOCH + img_be32(f + VHD_F_TIME), NULL);
	tell_uuid(t, "uuid", f + VHD_F_UUID);
	tell_version(t, "format-version", img_be32(f + VHD_F_VERSION));
	tell(t, "original-size", IMG_K_BYTES, img_be64(f + VHD_F_ORIG_SIZE),
	    NULL);
	tell_geometry(t, f);
	tell(t, "temporary", IMG_K_BOOL, bits & VHD_FEAT_TEMPORARY, NULL);
	tell(t, "saved-state", IMG_K_BOOL, f[VHD_F_SAVED] != 0, NULL);
	tell(t, "footer", IMG_K_STR, 0, state_name(v->v_end));
	tell(t, "footer-checksum", IMG_K_HEX, img_be32(f + VHD_F_SUM), NULL);
	if (v->v_type != VHD_FIXED)
		tell(t, "footer-copy", IMG_K_STR, 0, state_name(v->v_copy));
}

static void
tell_parent(struct teller *t, const struct vhd *v)
{
	const uint8_t *h = v->v_header;

	tell_uuid(t, "parent-uuid", h + VHD_H_PARENT_UUID);
	tell(t, "parent-time", IMG_K_TIME,
	    (uint64_t)VHD_EPOCH + img_be32(h + VHD_H_PARENT_TIME), NULL);
}

int
vhd_info(struct img *im, img_info_fn *fn, void *arg)
{
	struct vhd *v = vhd(im);
	struct teller t;
	struct img_checked ch;
	int error;

	t.t_fn = fn;
	t.t_arg = arg;
	t.t_error = 0;
	if (v->v_type == VHD_DIFFERENCING && v->v_parent[0] != '\0')
		tell_backing(&t, v->v_parent);
	tell_footer(&t, v);
	if (v->v_type == VHD_FIXED)
		return (t.t_error);
	error = vhd_count_blocks(im, &ch);
	if (error != 0)
		return (error);
	tell_version(&t, "header-version",
	    img_be32(v->v_header + VHD_H_VERSION));
	tell(&t, "header-offset", IMG_K_HEX, v->v_header_off, NULL);
	tell(&t, "header", IMG_K_STR, 0,
	    state_name(v->v_sum_ok ? VHD_F_GOOD : VHD_F_BAD));
	tell(&t, "header-checksum", IMG_K_HEX,
	    img_be32(v->v_header + VHD_H_SUM), NULL);
	tell(&t, "bat-offset", IMG_K_HEX, v->v_bat_off, NULL);
	tell(&t, "bat-entries", IMG_K_NUM, v->v_nentries, NULL);
	tell(&t, "block-size", IMG_K_BYTES, v->v_block, NULL);
	tell(&t, "blocks", IMG_K_NUM, v->v_nblocks, NULL);
	tell(&t, "allocated-blocks", IMG_K_NUM, ch.ch_allocated, NULL);
	if (v->v_type == VHD_DIFFERENCING)
		tell_parent(&t, v);
	return (t.t_error);
}
