/* SPDX-License-Identifier: ISC */

/* Control of a unit, and what every disk answers. */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/proc.h>
#include <sys/conf.h>
#include <sys/disk.h>
#include <sys/disklabel.h>
#include <sys/dkio.h>
#include <sys/buf.h>
#include <sys/fcntl.h>
#include <sys/lock.h>
#include <sys/malloc.h>
#include <sys/stat.h>
#include <sys/task.h>
#include <sys/vnode.h>

#include "dev/imgdiskvar.h"

static int
imgdisk_fname(struct imgdisk_softc *sc, struct imgdisk_fname *name)
{
	int error = 0;

	disk_lock_nointr(&sc->sc_dk);
	if (sc->sc_state == IMGDISK_ATTACHED)
		strlcpy(name->if_name, sc->sc_name, sizeof(name->if_name));
	else
		error = ENXIO;
	disk_unlock(&sc->sc_dk);
	return (error);
}

static int
imgdisk_stat(struct imgdisk_softc *sc, struct stat *sb, struct proc *p)
{
	struct vnode *vp;
	int error;

	if (!imgdisk_take(sc))
		return (ENXIO);
	vp = sc->sc_file.if_vp;
	error = vn_lock(vp, LK_SHARED | LK_RETRY);
	if (error == 0) {
		error = vn_stat(vp, sb, p);
		VOP_UNLOCK(vp);
	}
	imgdisk_drop(sc);
	return (error);
}

static int
imgdisk_list(const struct imgdisk_face *fa, struct imgdisk_unit *iu)
{
	struct imgdisk_softc *sc;
	u_int unit = iu->iu_unit;

	if (unit >= (u_int)fa->fa_nunits)
		return (ENXIO);
	sc = fa->fa_unit[unit];
	memset(iu, 0, sizeof(*iu));
	iu->iu_unit = unit;
	disk_lock_nointr(&sc->sc_dk);
	if (sc->sc_state == IMGDISK_ATTACHED) {
		iu->iu_attached = 1;
		iu->iu_readonly = sc->sc_readonly;
		iu->iu_size = sc->sc_nsec << sc->sc_secbits;
		strlcpy(iu->iu_name, sc->sc_name, sizeof(iu->iu_name));
	}
	disk_unlock(&sc->sc_dk);
	return (0);
}

/* The raw partition of the character device, or nothing. */
int
imgdisk_control(const struct imgdisk_face *fa, dev_t dev,
    enum imgdisk_verb verb, void *data, int flag, struct proc *p)
{
	struct imgdisk_softc *sc = imgdisk_lookup(fa, dev);

	if (sc == NULL)
		return (ENXIO);
	if (DISKPART(dev) != RAW_PART || major(dev) >= nchrdev ||
	    cdevsw[major(dev)].d_open != fa->fa_open)
		return (ENOTTY);
	if ((verb == IMGDISK_ATTACH || verb == IMGDISK_DETACH) &&
	    !(flag & FWRITE))
		return (EBADF);
	switch (verb) {
	case IMGDISK_ATTACH:
		return (imgdisk_attach(sc, data, p));
	case IMGDISK_DETACH:
		return (imgdisk_detach(sc, dev, *(unsigned int *)data != 0, p));
	case IMGDISK_LIST:
		return (imgdisk_list(fa, data));
	case IMGDISK_FNAME:
		return (imgdisk_fname(sc, data));
	case IMGDISK_STAT:
		return (imgdisk_stat(sc, data, p));
	default:
		return (ENOTTY);
	}
}

static int
imgdisk_setlabel(struct imgdisk_softc *sc, dev_t dev, u_long cmd,
    struct disklabel *lp, int flag)
{
	int error;

	if (!(flag & FWRITE))
		return (EBADF);
	if (sc->sc_readonly && cmd == DIOCWDINFO)
		return (EROFS);
	error = disk_lock(&sc->sc_dk);
	if (error != 0)
		return (error);
	error = sc->sc_haslabel ?
	    setdisklabel(sc->sc_dk.dk_label, lp, sc->sc_dk.dk_openmask) :
	    ENXIO;
	if (error == 0 && cmd == DIOCWDINFO)
		error = writedisklabel(DISKLABELDEV(dev),
		    sc->sc_face->fa_strategy, sc->sc_dk.dk_label);
	disk_unlock(&sc->sc_dk);
	return (error);
}

static int
imgdisk_reread(struct imgdisk_softc *sc, dev_t dev)
{
	struct disklabel *lp;
	int error;

	/* It is too large for the stack. */
	lp = malloc(sizeof(*lp), M_TEMP, M_WAITOK);
	error = disk_lock(&sc->sc_dk);
	if (error == 0) {
		if (sc->sc_haslabel) {
			imgdisk_getlabel(sc, dev, lp, 0);
			*sc->sc_dk.dk_label = *lp;
		} else
			error = ENXIO;
		disk_unlock(&sc->sc_dk);
	}
	free(lp, M_TEMP, sizeof(*lp));
	return (error);
}

/* What every disk does; ENOTTY for anything else. */
int
imgdisk_ioctl(const struct imgdisk_face *fa, dev_t dev, u_long cmd,
    caddr_t data, int flag)
{
	struct imgdisk_softc *sc = imgdisk_lookup(fa, dev);
	struct disklabel *lp;
	struct partinfo *pi;

	if (sc == NULL)
		return (ENXIO);
	if (!sc->sc_haslabel)
		return (ENOTTY);
	lp = sc->sc_dk.dk_label;
	switch (cmd) {
	case DIOCRLDINFO:
		return (imgdisk_reread(sc, dev));
	case DIOCGPDINFO:
		imgdisk_getlabel(sc, dev, (struct disklabel *)data, 1);
		return (0);
	case DIOCGDINFO:
		*(struct disklabel *)data = *lp;
		return (0);
	case DIOCGPART:
		pi = (struct partinfo *)data;
		pi->disklab = lp;
		pi->part = &lp->d_partitions[DISKPART(dev)];
		return (0);
	case DIOCSDINFO:
	case DIOCWDINFO:
		return (imgdisk_setlabel(sc, dev, cmd, (struct disklabel *)data,
		    flag));
	default:
		return (ENOTTY);
	}
}
