/* SPDX-License-Identifier: ISC */

/* Units: opens, closes, labels, and the questions about them. */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/proc.h>
#include <sys/conf.h>
#include <sys/disk.h>
#include <sys/disklabel.h>
#include <sys/buf.h>
#include <sys/fcntl.h>
#include <sys/malloc.h>
#include <sys/mutex.h>
#include <sys/stat.h>
#include <sys/task.h>

#include "dev/imgdiskvar.h"

/* At boot: the units that the kernel's configuration asks for. */
void
imgdisk_units(struct imgdisk_face *fa, int n)
{
	struct imgdisk_softc *sc;
	int i;

	if (n <= 0)
		return;
	fa->fa_unit =
	    mallocarray(n, sizeof(*fa->fa_unit), M_DEVBUF, M_NOWAIT | M_ZERO);
	if (fa->fa_unit == NULL)
		goto fail;
	for (i = 0; i < n; i++) {
		sc = malloc(sizeof(*sc), M_DEVBUF, M_NOWAIT | M_ZERO);
		if (sc == NULL)
			goto fail;
		sc->sc_face = fa;
		sc->sc_unit = i;
		mtx_init(&sc->sc_mtx, IPL_BIO);
		sc->sc_dev.dv_unit = i;
		snprintf(sc->sc_dev.dv_xname, sizeof(sc->sc_dev.dv_xname),
		    "%s%d", fa->fa_name, i);
		sc->sc_dk.dk_name = sc->sc_dev.dv_xname;
		disk_construct(&sc->sc_dk);
		device_ref(&sc->sc_dev);
		fa->fa_unit[i] = sc;
		fa->fa_nunits = i + 1;
	}
	return;
fail:
	printf("%s: no memory for %d units, have %d\n", fa->fa_name, n,
	    fa->fa_nunits);
}

struct imgdisk_softc *
imgdisk_lookup(const struct imgdisk_face *fa, dev_t dev)
{
	u_int unit = DISKUNIT(dev);

	return (unit < (u_int)fa->fa_nunits ? fa->fa_unit[unit] : NULL);
}

/*
 * The label, whenever there is an image without one: a control descriptor
 * that stays open over an attach must not keep it from being read.
 */
void
imgdisk_getlabel(struct imgdisk_softc *sc, dev_t dev, struct disklabel *lp,
    int spoofonly)
{
	memset(lp, 0, sizeof(*lp));
	lp->d_secsize = 1U << sc->sc_secbits;
	lp->d_nsectors = 100;
	lp->d_ntracks = 1;
	lp->d_secpercyl = lp->d_nsectors * lp->d_ntracks;
	lp->d_ncylinders = MIN(sc->sc_nsec / lp->d_secpercyl, UINT32_MAX);
	snprintf(lp->d_typename, sizeof(lp->d_typename), "%s device",
	    sc->sc_face->fa_name);
	lp->d_type = DTYPE_VND;
	strlcpy(lp->d_packname, "fictitious", sizeof(lp->d_packname));
	DL_SETDSIZE(lp, sc->sc_nsec);
	lp->d_version = 1;
	lp->d_magic = DISKMAGIC;
	lp->d_magic2 = DISKMAGIC;
	lp->d_checksum = dkcksum(lp);
	/* An error leaves the label as it was made here. */
	(void)readdisklabel(DISKLABELDEV(dev), sc->sc_face->fa_strategy, lp,
	    spoofonly);
}

int
imgdisk_open(const struct imgdisk_face *fa, dev_t dev, int flags, int fmt)
{
	struct imgdisk_softc *sc = imgdisk_lookup(fa, dev);
	int control, error, part = DISKPART(dev);

	if (sc == NULL)
		return (ENXIO);
	error = disk_lock(&sc->sc_dk);
	if (error != 0)
		return (error);
	/* Detaching needs a descriptor for writing, of a read-only unit too. */
	control = part == RAW_PART && fmt == S_IFCHR;
	if (sc->sc_state == IMGDISK_LEAVING || sc->sc_state == IMGDISK_GONE)
		error = ENXIO;
	else if ((flags & FWRITE) && sc->sc_state == IMGDISK_ATTACHED &&
	    sc->sc_readonly && !control)
		error = EROFS;
	if (error == 0 && sc->sc_state == IMGDISK_ATTACHED &&
	    !sc->sc_haslabel) {
		imgdisk_getlabel(sc, dev, sc->sc_dk.dk_label, 0);
		sc->sc_haslabel = 1;
	}
	if (error == 0)
		error = disk_openpart(&sc->sc_dk, part, fmt, sc->sc_haslabel);
	disk_unlock(&sc->sc_dk);
	return (error);
}

int
imgdisk_close(const struct imgdisk_face *fa, dev_t dev, int fmt)
{
	struct imgdisk_softc *sc = imgdisk_lookup(fa, dev);

	if (sc == NULL)
		return (ENXIO);
	disk_lock_nointr(&sc->sc_dk);
	disk_closepart(&sc->sc_dk, DISKPART(dev), fmt);
	disk_unlock(&sc->sc_dk);
	return (0);
}
