/* SPDX-License-Identifier: ISC */

/* disk(9) and labels, the parts that a driver sees. */

#include "driver/kern.h"

#define NDISKS 8

static struct disk *disks[NDISKS];
static int nknown, ndisks;

static u_int
spoilt(const struct disk *dk)
{
	return ((dk->dk_flags & DKF_CONSTRUCTED) == 0);
}

int
disk_construct(struct disk *dk)
{
	_rw_init_flags(&dk->dk_lock, "dklk", 0, NULL, 0);
	mtx_init(&dk->dk_mtx, IPL_BIO);
	dk->dk_flags |= DKF_CONSTRUCTED;
	if (nknown < NDISKS)
		disks[nknown++] = dk;
	return (0);
}

void
device_ref(struct device *dv)
{
	dv->dv_ref++;
}

void
disk_attach(struct device *dv, struct disk *dk)
{
	if (spoilt(dk) || dk->dk_label != NULL)
		host_panic("disk_attach: %s is attached", dk->dk_name);
	dk->dk_label =
	    malloc(sizeof(*dk->dk_label), M_DEVBUF, M_WAITOK | M_ZERO);
	dk->dk_device = dv;
	kern_count(&kern_nlabels, 1);
	ndisks++;
}

void
disk_detach(struct disk *dk)
{
	if (dk->dk_label == NULL || --ndisks < 0)
		host_panic("disk_detach: %s is not attached", dk->dk_name);
	if (dk->dk_busy != 0)
		host_panic("disk_detach: %s is busy", dk->dk_name);
	kern_count(&kern_nlabels, -1);
	free(dk->dk_label, M_DEVBUF, sizeof(*dk->dk_label));
	dk->dk_label = NULL;
}

static void
mine(const struct disk *dk, const char *what)
{
	if (!kern_holds(&dk->dk_lock))
		host_panic("%s: without the lock of the disk", what);
}

int
disk_openpart(struct disk *dk, int part, int fmt, int haslabel)
{
	struct disklabel *lp = dk->dk_label;

	mine(dk, "disk_openpart");
	if (part < 0 || part >= MAXPARTITIONS)
		host_panic("disk_openpart: partition %d", part);
	if (part != RAW_PART &&
	    (!haslabel || part >= lp->d_npartitions ||
		lp->d_partitions[part].p_fstype == FS_UNUSED))
		return (ENXIO);
	if (fmt == S_IFCHR)
		dk->dk_copenmask |= 1ULL << part;
	else if (fmt == S_IFBLK)
		dk->dk_bopenmask |= 1ULL << part;
	else
		host_panic("disk_openpart: format %o", fmt);
	dk->dk_openmask = dk->dk_copenmask | dk->dk_bopenmask;
	return (0);
}

void
disk_closepart(struct disk *dk, int part, int fmt)
{
	uint64_t *mask = fmt == S_IFCHR ? &dk->dk_copenmask : &dk->dk_bopenmask;

	mine(dk, "disk_closepart");
	if ((*mask & (1ULL << part)) == 0)
		host_panic("disk_closepart: %d is not open", part);
	*mask &= ~(1ULL << part);
	dk->dk_openmask = dk->dk_copenmask | dk->dk_bopenmask;
}

void
disk_gone(int (*open)(dev_t, int, int, struct proc *), int unit)
{
	kern_nothing_held("disk_gone");
	kern_revoke(open, unit);
}

void
disk_busy(struct disk *dk)
{
	mtx_enter(&dk->dk_mtx);
	dk->dk_busy++;
	mtx_leave(&dk->dk_mtx);
}

void
disk_unbusy(struct disk *dk, long bytes, daddr_t blkno, int read)
{
	mtx_enter(&dk->dk_mtx);
	if (dk->dk_busy-- <= 0)
		host_panic("disk_unbusy: %s is not busy", dk->dk_name);
	if (bytes > 0 && read) {
		dk->dk_rbytes += bytes;
		dk->dk_rxfer++;
	} else if (bytes > 0) {
		dk->dk_wbytes += bytes;
		dk->dk_wxfer++;
	}
	mtx_leave(&dk->dk_mtx);
}

int
k_stats(enum k_face face, int unit, struct k_stats *ks)
{
	char name[16];
	int i;

	snprintf(name, sizeof(name), "%s%d", face == K_QCOW ? "qcow" : "vhd",
	    unit);
	for (i = 0; i < nknown; i++) {
		if (strcmp(disks[i]->dk_name, name) != 0)
			continue;
		ks->ks_busy = disks[i]->dk_busy;
		ks->ks_rxfer = disks[i]->dk_rxfer;
		ks->ks_wxfer = disks[i]->dk_wxfer;
		ks->ks_rbytes = disks[i]->dk_rbytes;
		ks->ks_wbytes = disks[i]->dk_wbytes;
		return (0);
	}
	return (ENXIO);
}

/* --- labels ------------------------------------------------------------- */

u_int
dkcksum(struct disklabel *lp)
{
	u_int16_t *p = (u_int16_t *)lp;
	u_int16_t *end = (u_int16_t *)&lp->d_partitions[lp->d_npartitions];
	u_int sum = 0;

	for (; p < end; p++)
		sum ^= *p;
	return (sum);
}

/* The whole disk is partition c, whatever the label says. */
static void
whole(struct disklabel *lp, const struct disklabel *was)
{
	struct partition *pp = &lp->d_partitions[RAW_PART];

	lp->d_secsize = was->d_secsize;
	lp->d_secpercyl = was->d_secpercyl;
	DL_SETDSIZE(lp, DL_GETDSIZE(was));
	DL_SETPSIZE(pp, DL_GETDSIZE(was));
	DL_SETPOFFSET(pp, 0);
	pp->p_fstype = FS_UNUSED;
}

/* Move the sector of the label. */
static int
label_io(dev_t dev, void (*strategy)(struct buf *), struct disklabel *lp,
    void *sector, int flags)
{
	struct buf *bp = host_alloc(sizeof(*bp));
	int error;

	memset(bp, 0, sizeof(*bp));
	bp->b_flags = B_BUSY | B_RAW | flags;
	bp->b_dev = dev;
	bp->b_data = sector;
	bp->b_bcount = lp->d_secsize;
	bp->b_blkno = DL_SECTOBLK(lp, LABELSECTOR);
	if (DISKPART(dev) != RAW_PART)
		host_panic("label: not through the raw partition");
	kern_strategy(strategy, bp);
	error = kern_biowait(bp);
	if (error == 0 && bp->b_resid != 0)
		error = EIO;
	host_free(bp);
	return (error);
}

static int
good(struct disklabel *lp)
{
	return (lp->d_magic == DISKMAGIC && lp->d_magic2 == DISKMAGIC &&
	    lp->d_npartitions <= MAXPARTITIONS && dkcksum(lp) == 0);
}

int
readdisklabel(dev_t dev, void (*strategy)(struct buf *), struct disklabel *lp,
    int spoofonly)
{
	struct disklabel *disk, was;
	char *sector;
	int error;

	if (lp->d_secpercyl == 0 || lp->d_secsize < DEV_BSIZE)
		return (ERANGE);
	if (lp->d_checksum == 0 || DL_GETDSIZE(lp) == 0)
		host_panic("readdisklabel: not a label that a driver makes");
	was = *lp;
	lp->d_npartitions = RAW_PART + 1;
	whole(lp, &was);
	if (host_fault(F_LABEL))
		return (EIO);
	sector = host_alloc(lp->d_secsize);
	error = label_io(dev, strategy, lp, sector, B_READ);
	disk = (struct disklabel *)(sector + LABELOFFSET);
	if (error == 0 && !spoofonly && good(disk)) {
		*lp = *disk;
		whole(lp, &was);
	}
	if (spoofonly || error != 0 || !good(disk)) {
		/* A default: partition a is all of it. */
		lp->d_partitions[0] = lp->d_partitions[RAW_PART];
		lp->d_partitions[0].p_fstype = FS_BSDFFS;
	}
	lp->d_checksum = 0;
	lp->d_checksum = dkcksum(lp);
	host_free(sector);
	return (error);
}

int
setdisklabel(struct disklabel *olp, struct disklabel *nlp, u_int64_t open)
{
	struct partition *op, *np;
	struct disklabel was = *olp;
	int i;

	if (nlp->d_magic != DISKMAGIC || nlp->d_magic2 != DISKMAGIC ||
	    nlp->d_npartitions > MAXPARTITIONS || dkcksum(nlp) != 0)
		return (EINVAL);
	for (i = 0; i < MAXPARTITIONS; i++) {
		if (i == RAW_PART || (open & (1ULL << i)) == 0)
			continue;
		op = &olp->d_partitions[i];
		np = &nlp->d_partitions[i];
		if (DL_GETPOFFSET(np) != DL_GETPOFFSET(op) ||
		    DL_GETPSIZE(np) < DL_GETPSIZE(op))
			return (EBUSY);
	}
	*olp = *nlp;
	whole(olp, &was);
	olp->d_checksum = 0;
	olp->d_checksum = dkcksum(olp);
	return (0);
}

int
writedisklabel(dev_t dev, void (*strategy)(struct buf *), struct disklabel *lp)
{
	char *sector = host_alloc(lp->d_secsize);
	int error;

	error = label_io(dev, strategy, lp, sector, B_READ);
	if (error == 0) {
		memcpy(sector + LABELOFFSET, lp, sizeof(*lp));
		error = label_io(dev, strategy, lp, sector, B_WRITE);
	}
	host_free(sector);
	return (error);
}

int
bounds_check_with_label(struct buf *bp, struct disklabel *lp)
{
	struct partition *p = &lp->d_partitions[DISKPART(bp->b_dev)];
	daddr_t partblocks, sz;

	if (lp->d_secpercyl == 0 || bp->b_blkno < 0 || bp->b_bcount < 0)
		goto bad;
	if (bp->b_bcount % lp->d_secsize != 0 ||
	    bp->b_blkno % DL_BLKSPERSEC(lp) != 0)
		goto bad;
	partblocks = DL_SECTOBLK(lp, DL_GETPSIZE(p));
	sz = howmany(bp->b_bcount, DEV_BSIZE);
	if (bp->b_blkno > partblocks)
		goto bad;
	if (bp->b_blkno == partblocks || bp->b_bcount == 0) {
		bp->b_resid = bp->b_bcount;
		return (-1);
	}
	if (bp->b_blkno > partblocks - sz)
		bp->b_bcount = (partblocks - bp->b_blkno) << DEV_BSHIFT;
	return (0);
bad:
	bp->b_error = EINVAL;
	bp->b_flags |= B_ERROR;
	return (-1);
}
