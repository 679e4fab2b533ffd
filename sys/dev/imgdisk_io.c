/* SPDX-License-Identifier: ISC */

/*
 * Bufs.  strategy looks at them and queues them; one thread per unit does
 * the rest.  So nothing is read or written with a lock of the caller's held
 * below one of ours, the caller's stack stays shallow, and the library has
 * one caller.
 *
 * There is no request to flush in this system, so a write is done only when
 * it is stable.  One that changes no table is written with IO_SYNC.  The
 * others, and all writes behind them, wait for one flush: once the queue is
 * empty or, as reads may keep it from ever being that, IMGDISK_NPEND bufs on.
 */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/proc.h>
#include <sys/disk.h>
#include <sys/disklabel.h>
#include <sys/buf.h>
#include <sys/mutex.h>
#include <sys/task.h>

#include "dev/imgdiskvar.h"

static void
imgdisk_done(struct buf *bp, int error)
{
	int s;

	bp->b_resid = error == 0 ? 0 : bp->b_bcount;
	bp->b_error = error;
	if (error != 0)
		bp->b_flags |= B_ERROR;
	s = splbio();
	biodone(bp);
	splx(s);
}

/* One less under way. */
void
imgdisk_drop(struct imgdisk_softc *sc)
{
	mtx_enter(&sc->sc_mtx);
	if (--sc->sc_nuse == 0)
		wakeup(&sc->sc_nuse);
	mtx_leave(&sc->sc_mtx);
}

/* A buf that the task had. */
static void
imgdisk_finish(struct imgdisk_softc *sc, struct buf *bp, int error)
{
	disk_unbusy(&sc->sc_dk, error == 0 ? bp->b_bcount : 0, bp->b_blkno,
	    bp->b_flags & B_READ);
	imgdisk_done(bp, error);
}

/* Is there an image?  If so, it stays until imgdisk_drop. */
int
imgdisk_take(struct imgdisk_softc *sc)
{
	int ok;

	mtx_enter(&sc->sc_mtx);
	ok = sc->sc_state == IMGDISK_ATTACHED ||
	    sc->sc_state == IMGDISK_LEAVING;
	if (ok)
		sc->sc_nuse++;
	mtx_leave(&sc->sc_mtx);
	return (ok);
}

/*
 * The image is held until the task is sure to run after this; who wants the
 * image gone waits for strategy first, then for the task.
 */
void
imgdisk_strategy(const struct imgdisk_face *fa, struct buf *bp)
{
	struct imgdisk_softc *sc = imgdisk_lookup(fa, bp->b_dev);
	int s;

	if (sc == NULL || !imgdisk_take(sc)) {
		imgdisk_done(bp, ENXIO);
		return;
	}
	if (!(bp->b_flags & B_READ) && sc->sc_readonly)
		imgdisk_done(bp, EROFS);
	else if (bounds_check_with_label(bp, sc->sc_dk.dk_label) == -1) {
		/* It said in bp what is wrong, or that this is the end. */
		bp->b_resid = bp->b_bcount;
		s = splbio();
		biodone(bp);
		splx(s);
	} else {
		disk_busy(&sc->sc_dk);
		bufq_queue(&sc->sc_bufq, bp);
		task_add(sc->sc_taskq, &sc->sc_task);
	}
	imgdisk_drop(sc);
}

/* Write in the library's two steps. */
static int
imgdisk_put(struct imgdisk_softc *sc, const uint8_t *p, uint32_t len,
    uint64_t voff)
{
	struct img_file *f = &sc->sc_dcache.dc_file;
	struct img_claim c;
	uint32_t n;
	int error, error2;

	for (; len > 0; len -= n, p += n, voff += n) {
		error = img_begin(sc->sc_img, voff, len, &c);
		if (error != 0)
			return (error);
		n = c.c_ext.e_len;
		if (c.c_flags & IMG_CLAIM_FRESH)
			sc->sc_unflushed = 1;
		else if (!sc->sc_unflushed)
			sc->sc_file.if_sync = 1;
		error = f->f_ops->fo_write(f, p, n, c.c_ext.e_off);
		sc->sc_file.if_sync = 0;
		error2 = img_end(sc->sc_img, &c, error == 0);
		if (error != 0 || error2 != 0)
			return (error != 0 ? error : error2);
	}
	return (0);
}

static void
imgdisk_flush(struct imgdisk_softc *sc)
{
	u_int i;
	int error;

	if (sc->sc_npend == 0)
		return;
	error = img_flush(sc->sc_img);
	if (error == 0)
		sc->sc_unflushed = 0;
	for (i = 0; i < sc->sc_npend; i++)
		imgdisk_finish(sc, sc->sc_pend[i], error);
	sc->sc_npend = 0;
}

/* Byte offset on the disk of a buf that passed the bounds check. */
static uint64_t
imgdisk_offset(const struct imgdisk_softc *sc, const struct buf *bp)
{
	struct disklabel *lp = sc->sc_dk.dk_label;
	struct partition *pp = &lp->d_partitions[DISKPART(bp->b_dev)];

	return (((uint64_t)DL_GETPOFFSET(pp) << sc->sc_secbits) +
	    ((uint64_t)bp->b_blkno << DEV_BSHIFT));
}

static void
imgdisk_one(struct imgdisk_softc *sc, struct buf *bp)
{
	uint64_t voff = imgdisk_offset(sc, bp);
	int error;

	if (bp->b_flags & B_READ) {
		error = img_read(sc->sc_img, bp->b_data, bp->b_bcount, voff);
		imgdisk_finish(sc, bp, error);
		return;
	}
	/* One that failed may have changed tables before it did. */
	error = imgdisk_put(sc, bp->b_data, bp->b_bcount, voff);
	if (error != 0 || !sc->sc_unflushed) {
		imgdisk_finish(sc, bp, error);
		return;
	}
	sc->sc_pend[sc->sc_npend++] = bp;
}

void
imgdisk_task(void *arg)
{
	struct imgdisk_softc *sc = arg;
	struct buf *bp;
	u_int n = 0;

	while ((bp = bufq_dequeue(&sc->sc_bufq)) != NULL) {
		imgdisk_one(sc, bp);
		if (sc->sc_npend > 0 && ++n == IMGDISK_NPEND) {
			imgdisk_flush(sc);
			n = 0;
		}
	}
	imgdisk_flush(sc);
}
