/* SPDX-License-Identifier: ISC */

/* Internal snapshots and bitmaps, by name. */

#include "qcow2/info.h"

#define NAME_ROOM 65536u /* lengths have 16 bits; a NUL follows */
#define NSEC UINT64_C(1000000000)

static int
tell_name(struct img *im, struct img_teller *t, const char *key, char *room,
    uint64_t off, uint32_t len)
{
	int error;

	error = img_io_read(im, 0, room, len, off);
	if (error != 0)
		return (error);
	room[len] = '\0';
	img_tell_text(t, key, room);
	return (0);
}

static int
tell_snapshot(struct img *im, struct img_teller *t, const struct qcow2_snap *s,
    char *room)
{
	int error;

	img_tell(t, NULL, IMG_K_BEGIN, 0, NULL);
	error = tell_name(im, t, "id", room, s->s_id_off, s->s_id_len);
	if (error == 0)
		error = tell_name(im, t, "name", room, s->s_name_off,
		    s->s_name_len);
	img_tell_num(t, "vm-state-size", s->s_vm_size);
	img_tell_num(t, "date-sec", s->s_sec);
	img_tell_num(t, "date-nsec", s->s_nsec);
	img_tell_num(t, "vm-clock-sec", s->s_clock / NSEC);
	img_tell_num(t, "vm-clock-nsec", s->s_clock % NSEC);
	if (s->s_icount != UINT64_MAX)
		img_tell_num(t, "icount", s->s_icount);
	img_tell(t, NULL, IMG_K_END, 0, NULL);
	return (error);
}

int
qcow2_tell_snapshots(struct img *im, struct img_teller *t)
{
	struct qcow2_snap s;
	char *room;
	int error;

	if (qcow2(im)->q_nsnap == 0)
		return (0);
	error = img_alloc(im, NAME_ROOM, &room);
	if (error != 0)
		return (error);
	memset(&s, 0, sizeof(s));
	s.s_next = qcow2(im)->q_snap_off;
	img_tell(t, "snapshots", IMG_K_LIST, 0, NULL);
	while (t->t_error == 0 && (error = qcow2_snap_next(im, &s)) == 0 &&
	    (error = tell_snapshot(im, t, &s, room)) == 0)
		continue;
	img_tell(t, "snapshots", IMG_K_ENDLIST, 0, NULL);
	img_free(im, room, NAME_ROOM);
	return (error == ENOENT || error == EFTYPE ? 0 : error);
}

/* The entry at off, which moves to the next one; EFTYPE where there is none. */
static int
tell_bitmap(struct img *im, struct img_teller *t, uint64_t *off, uint64_t end,
    char *room)
{
	uint8_t b[QCOW2_D_LEN];
	uint32_t flags, extra, name;
	int error;

	if (!img_inside(*off, sizeof(b), end))
		return (EFTYPE);
	error = img_io_read(im, 0, b, sizeof(b), *off);
	if (error != 0)
		return (error);
	flags = img_be32(b + QCOW2_D_FLAGS);
	extra = img_be32(b + QCOW2_D_EXTRA_LEN);
	name = img_be16(b + QCOW2_D_NAME_LEN);
	if (b[QCOW2_D_GRANULARITY] > 63 ||
	    !img_inside(*off + sizeof(b), (uint64_t)extra + name, end))
		return (EFTYPE);
	img_tell(t, NULL, IMG_K_BEGIN, 0, NULL);
	img_tell(t, "flags", IMG_K_LIST, 0, NULL);
	if (flags & QCOW2_D_IN_USE)
		img_tell_text(t, NULL, "in-use");
	if (flags & QCOW2_D_AUTO)
		img_tell_text(t, NULL, "auto");
	img_tell(t, "flags", IMG_K_ENDLIST, 0, NULL);
	error = tell_name(im, t, "name", room, *off + sizeof(b) + extra, name);
	img_tell_num(t, "granularity", UINT64_C(1) << b[QCOW2_D_GRANULARITY]);
	img_tell(t, NULL, IMG_K_END, 0, NULL);
	*off += img_roundup(sizeof(b) + (uint64_t)extra + name, 8);
	return (error);
}

int
qcow2_tell_bitmaps(struct img *im, struct img_teller *t)
{
	struct qcow2 *q = qcow2(im);
	uint64_t off = q->q_bitmap_off, end;
	uint32_t i;
	char *room;
	int error;

	/* Without the bit they are not what they were. */
	if (off == 0 || !(q->q_autoclear & QCOW2_A_BITMAPS) ||
	    off > im->im_eof[0])
		return (0);
	end = off + img_min(q->q_bitmap_len, im->im_eof[0] - off);
	error = img_alloc(im, NAME_ROOM, &room);
	if (error != 0)
		return (error);
	img_tell(t, "bitmaps", IMG_K_LIST, 0, NULL);
	for (i = 0; error == 0 && t->t_error == 0 && i < q->q_nbitmaps; i++)
		error = tell_bitmap(im, t, &off, end, room);
	img_tell(t, "bitmaps", IMG_K_ENDLIST, 0, NULL);
	img_free(im, room, NAME_ROOM);
	return (error == EFTYPE ? 0 : error);
}
