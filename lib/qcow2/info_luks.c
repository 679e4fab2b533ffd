/* SPDX-License-Identifier: ISC */

/* What the LUKS header of an encrypted image says, without any key. */

#include <stdio.h>

#include "qcow2/info.h"

/* Offsets in the header; numbers are big-endian, of 32 bits. */
#define CIPHER 8
#define MODE 40
#define HASH 72
#define NAME 32     /* bytes of each of these */
#define PAYLOAD 104 /* in sectors */
#define KEY_BYTES 108
#define ITERATIONS 164
#define UUID 168
#define UUID_LEN 40
#define SLOT 208
#define NSLOTS 8
#define SLOT_LEN 48
#define SLOT_ITERATIONS 4
#define SLOT_OFF 40 /* in sectors */
#define SLOT_STRIPES 44
#define ACTIVE 0x00ac71f3u

static void
tell_slot(struct img_teller *t, const uint8_t *s)
{
	int active = img_be32(s) == ACTIVE;

	img_tell(t, NULL, IMG_K_BEGIN, 0, NULL);
	img_tell_bool(t, "active", active);
	if (active)
		img_tell_num(t, "iters", img_be32(s + SLOT_ITERATIONS));
	img_tell_num(t, "key-offset",
	    (uint64_t)img_be32(s + SLOT_OFF) * IMG_SECTOR);
	if (active)
		img_tell_num(t, "stripes", img_be32(s + SLOT_STRIPES));
	img_tell(t, NULL, IMG_K_END, 0, NULL);
}

/* "xts-plain64", "cbc-essiv:sha256": the mode, and how sectors are told. */
static void
tell_cipher(struct img_teller *t, const uint8_t *h)
{
	char mode[NAME + 1] = "", name[NAME + 1] = "", alg[2 * NAME], *iv, *of;
	uint32_t bits = img_be32(h + KEY_BYTES);

	memcpy(mode, h + MODE, NAME);
	memcpy(name, h + CIPHER, NAME);
	iv = strchr(mode, '-');
	if (iv != NULL)
		*iv++ = '\0';
	of = iv != NULL ? strchr(iv, ':') : NULL;
	if (of != NULL)
		*of++ = '\0';
	/* Such a key is two, of which one is for the sectors' numbers. */
	bits = strcmp(mode, "xts") == 0 ? bits / 2 : bits;
	(void)snprintf(alg, sizeof(alg), "%s-%llu", name,
	    (unsigned long long)bits * 8);
	img_tell_text(t, "cipher-alg", alg);
	img_tell_text(t, "cipher-mode", mode);
	if (iv != NULL)
		img_tell_text(t, "ivgen-alg", iv);
	if (of != NULL)
		img_tell_text(t, "ivgen-hash-alg", of);
}

static void
tell_field(struct img_teller *t, const char *key, const uint8_t *p, size_t len)
{
	char s[UUID_LEN + 1];

	memcpy(s, p, len);
	s[len] = '\0';
	img_tell_text(t, key, s);
}

int
qcow2_tell_luks(struct img *im, struct img_teller *t)
{
	struct qcow2 *q = qcow2(im);
	uint8_t h[QCOW2_LUKS_LEN];
	int error, i;

	img_tell_text(t, "format", "luks");
	if (q->q_luks_len < sizeof(h))
		return (0);
	error = img_io_read(im, 0, h, sizeof(h), q->q_luks_off);
	if (error != 0 || memcmp(h, QCOW2_LUKS_MAGIC, 6) != 0)
		return (error);
	tell_cipher(t, h);
	tell_field(t, "hash-alg", h + HASH, NAME);
	tell_field(t, "uuid", h + UUID, UUID_LEN);
	img_tell_num(t, "payload-offset",
	    (uint64_t)img_be32(h + PAYLOAD) * IMG_SECTOR);
	img_tell_num(t, "master-key-iters", img_be32(h + ITERATIONS));
	img_tell(t, "slots", IMG_K_LIST, 0, NULL);
	for (i = 0; i < NSLOTS; i++)
		tell_slot(t, h + SLOT + i * SLOT_LEN);
	img_tell(t, "slots", IMG_K_ENDLIST, 0, NULL);
	return (0);
}
