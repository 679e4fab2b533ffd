/* SPDX-License-Identifier: ISC */

/*
 * log.h: logs of operations on a disk, as lines of text.
 *
 *	write OFF LEN VERSION	LEN bytes at OFF, see log_fill
 *	read OFF LEN		what is read is what was written
 *	flush			fsync(2), a barrier, or nothing where what is
 *				done is stable anyway
 *	reopen			close the image, open it again
 *	detach			the end
 *
 * OFF and LEN are bytes, multiples of 512.  A write is made in pieces of
 * LOG_PIECE from OFF on, in this order.  Then whoever replays a log on the
 * same image makes the same file, byte for byte: where things go depends on
 * the pieces, but not on when there is a flush.
 */

#ifndef TESTS_DRIVER_LOG_H
#define TESTS_DRIVER_LOG_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define LOG_MAX (512u * 1024) /* bytes of the longest write or read */
#define LOG_PIECE 65536u

struct log_op {
	char lo_what; /* 'w', 'r', 'f', 'o' reopen, 'd' detach */
	uint64_t lo_off;
	uint32_t lo_len;
	uint32_t lo_version;
};

/* The bytes of a write: they say where they belong and how new they are. */
static inline void
log_fill(uint8_t *p, const struct log_op *lo)
{
	uint64_t at = lo->lo_off;
	uint32_t i;

	for (i = 0; i < lo->lo_len; i++, at++)
		p[i] = (uint8_t)(1 +
		    (at * 167 + (at >> 9) * 31 + lo->lo_version * 59) % 255);
}

/* 1 and the next operation, 0 at the end, -1 for what is no log. */
static inline int
log_next(FILE *f, struct log_op *lo)
{
	char line[128];

	memset(lo, 0, sizeof(*lo));
	if (fgets(line, sizeof(line), f) == NULL)
		return (0);
	lo->lo_what = 'w';
	if (sscanf(line, "write %" SCNu64 " %" SCNu32 " %" SCNu32, &lo->lo_off,
		&lo->lo_len, &lo->lo_version) == 3)
		return (lo->lo_len <= LOG_MAX ? 1 : -1);
	lo->lo_what = 'r';
	if (sscanf(line, "read %" SCNu64 " %" SCNu32, &lo->lo_off,
		&lo->lo_len) == 2)
		return (lo->lo_len <= LOG_MAX ? 1 : -1);
	lo->lo_what = strcmp(line, "flush\n") == 0 ? 'f' :
	    strcmp(line, "reopen\n") == 0          ? 'o' :
	    strcmp(line, "detach\n") == 0          ? 'd' :
						     '\0';
	return (lo->lo_what != '\0' ? 1 : -1);
}

static inline uint32_t
log_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) +
	    UINT64_C(1442695040888963407);
	return ((uint32_t)(*state >> 33));
}

/* A log for a disk of so many bytes. */
static inline void
log_make(FILE *f, uint64_t seed, uint64_t size, unsigned steps)
{
	uint64_t off, nsec = size / 512;
	uint32_t len, most;
	unsigned i, what;

	for (i = 0; i < steps; i++) {
		what = log_random(&seed) % 40;
		/* Mostly short ones, and few places, that meet again. */
		most = log_random(&seed) % 8 == 0 ? LOG_MAX / 512 : 24;
		len = 1 + log_random(&seed) % most;
		off = log_random(&seed) % 16 * (nsec / 16) +
		    log_random(&seed) % 400;
		if (log_random(&seed) % 4 == 0)
			off = log_random(&seed) % nsec;
		if (off + len > nsec)
			off = nsec - len;
		if (what == 0)
			fprintf(f, "reopen\n");
		else if (what <= 4)
			fprintf(f, "flush\n");
		else if (what <= 12)
			fprintf(f, "read %" PRIu64 " %" PRIu32 "\n", off * 512,
			    len * 512);
		else
			fprintf(f, "write %" PRIu64 " %" PRIu32 " %u\n",
			    off * 512, len * 512, i);
	}
	fprintf(f, "detach\n");
}

#endif /* TESTS_DRIVER_LOG_H */
