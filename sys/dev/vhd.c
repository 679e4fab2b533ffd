/* SPDX-License-Identifier: ISC */

/* vhd(4): VHD images as disks.  See imgdiskvar.h. */

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
#include "dev/vhdioctl.h"
#include "core/core.h"

void vhdattach(int);
int vhdopen(dev_t, int, int, struct proc *);
int vhdclose(dev_t, int, int, struct proc *);
void vhdstrategy(struct buf *);
int vhdread(dev_t, struct uio *, int);
int vhdwrite(dev_t, struct uio *, int);
int vhdioctl(dev_t, u_long, caddr_t, int, struct proc *);
daddr_t vhdsize(dev_t);
int vhddump(dev_t, daddr_t, caddr_t, size_t);

/* Slots of the cache of data, each at most 2 MiB; 0 turns it off. */
int vhd_nslots = IMGDISK_NSLOTS;

static struct imgdisk_face vhd = {
	.fa_name = "vhd",
	.fa_format = &img_vhd,
	.fa_open = vhdopen,
	.fa_strategy = vhdstrategy,
	.fa_nslots = &vhd_nslots,
};

void
vhdattach(int num)
{
	imgdisk_units(&vhd, num);
}

int
vhdopen(dev_t dev, int flags, int fmt, struct proc *p)
{
	return (imgdisk_open(&vhd, dev, flags, fmt));
}

int
vhdclose(dev_t dev, int flags, int fmt, struct proc *p)
{
	return (imgdisk_close(&vhd, dev, fmt));
}

void
vhdstrategy(struct buf *bp)
{
	imgdisk_strategy(&vhd, bp);
}

int
vhdread(dev_t dev, struct uio *uio, int flags)
{
	return (physio(vhdstrategy, dev, B_READ, minphys, uio));
}

int
vhdwrite(dev_t dev, struct uio *uio, int flags)
{
	return (physio(vhdstrategy, dev, B_WRITE, minphys, uio));
}

int
vhdioctl(dev_t dev, u_long cmd, caddr_t data, int flag, struct proc *p)
{
	struct vhd_attach *va = (struct vhd_attach *)data;
	struct imgdisk_attach ia;
	enum imgdisk_verb verb;

	switch (cmd) {
	case VHDIOCATTACH:
		ia.ia_file = va->vhd_file;
		ia.ia_readonly = va->vhd_readonly != 0;
		ia.ia_secbits = 0;
		return (
		    imgdisk_control(&vhd, dev, IMGDISK_ATTACH, &ia, flag, p));
	case VHDIOCDETACH:
		verb = IMGDISK_DETACH;
		break;
	case VHDIOCFNAME:
		verb = IMGDISK_FNAME;
		break;
	case VHDIOCSTAT:
		verb = IMGDISK_STAT;
		break;
	case VHDIOCLIST:
		verb = IMGDISK_LIST;
		break;
	default:
		return (imgdisk_ioctl(&vhd, dev, cmd, data, flag));
	}
	return (imgdisk_control(&vhd, dev, verb, data, flag, p));
}

/* No swapping to it. */
daddr_t
vhdsize(dev_t dev)
{
	return (-1);
}

int
vhddump(dev_t dev, daddr_t blkno, caddr_t va, size_t size)
{
	return (ENXIO);
}
