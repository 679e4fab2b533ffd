/* SPDX-License-Identifier: ISC */

/* qcow(4): qcow2 images as disks.  See imgdiskvar.h. */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/proc.h>
#include <sys/conf.h>
#include <sys/disk.h>
#include <sys/disklabel.h>
#include <sys/buf.h>
#include <sys/stat.h>
#include <sys/task.h>
#include <sys/uio.h>

#include "dev/imgdiskvar.h"
#include "dev/qcowioctl.h"
#include "core/core.h"

void qcowattach(int);
int qcowopen(dev_t, int, int, struct proc *);
int qcowclose(dev_t, int, int, struct proc *);
void qcowstrategy(struct buf *);
int qcowread(dev_t, struct uio *, int);
int qcowwrite(dev_t, struct uio *, int);
int qcowioctl(dev_t, u_long, caddr_t, int, struct proc *);
daddr_t qcowsize(dev_t);
int qcowdump(dev_t, daddr_t, caddr_t, size_t);

/* Slots of the cache of data, each at most 2 MiB; 0 turns it off. */
int qcow_nslots = IMGDISK_NSLOTS;

static struct imgdisk_face qcow = {
	.fa_name = "qcow",
	.fa_format = &img_qcow2,
	.fa_open = qcowopen,
	.fa_strategy = qcowstrategy,
	.fa_nslots = &qcow_nslots,
};

void
qcowattach(int num)
{
	imgdisk_units(&qcow, num);
}

int
qcowopen(dev_t dev, int flags, int fmt, struct proc *p)
{
	return (imgdisk_open(&qcow, dev, flags, fmt));
}

int
qcowclose(dev_t dev, int flags, int fmt, struct proc *p)
{
	return (imgdisk_close(&qcow, dev, fmt));
}

void
qcowstrategy(struct buf *bp)
{
	imgdisk_strategy(&qcow, bp);
}

int
qcowread(dev_t dev, struct uio *uio, int flags)
{
	return (physio(qcowstrategy, dev, B_READ, minphys, uio));
}

int
qcowwrite(dev_t dev, struct uio *uio, int flags)
{
	return (physio(qcowstrategy, dev, B_WRITE, minphys, uio));
}

int
qcowioctl(dev_t dev, u_long cmd, caddr_t data, int flag, struct proc *p)
{
	struct qcow_attach *qc = (struct qcow_attach *)data;
	struct imgdisk_attach ia;
	enum imgdisk_verb verb;

	switch (cmd) {
	case QCOWIOCATTACH:
		ia.ia_file = qc->qc_file;
		ia.ia_readonly = qc->qc_readonly != 0;
		ia.ia_secbits = qc->qc_secbits;
		return (
		    imgdisk_control(&qcow, dev, IMGDISK_ATTACH, &ia, flag, p));
	case QCOWIOCDETACH:
		verb = IMGDISK_DETACH;
		break;
	case QCOWIOCFNAME:
		verb = IMGDISK_FNAME;
		break;
	case QCOWIOCSTAT:
		verb = IMGDISK_STAT;
		break;
	case QCOWIOCLIST:
		verb = IMGDISK_LIST;
		break;
	default:
		return (imgdisk_ioctl(&qcow, dev, cmd, data, flag));
	}
	return (imgdisk_control(&qcow, dev, verb, data, flag, p));
}

/* No swapping to it. */
daddr_t
qcowsize(dev_t dev)
{
	return (-1);
}

int
qcowdump(dev_t dev, daddr_t blkno, caddr_t va, size_t size)
{
	return (ENXIO);
}
