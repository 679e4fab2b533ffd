/* SPDX-License-Identifier: ISC */

/* A unit gets its image, and loses it. */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/proc.h>
#include <sys/conf.h>
#include <sys/disk.h>
#include <sys/disklabel.h>
#include <sys/buf.h>
#include <sys/fcntl.h>
#include <sys/lock.h>
#include <sys/malloc.h>
#include <sys/mutex.h>
#include <sys/namei.h>
#include <sys/syslog.h>
#include <sys/task.h>
#include <sys/ucred.h>
#include <sys/vnode.h>

#include "dev/imgdiskvar.h"

/* All units with a file, so that none has two; by imgdisk_lock. */
static LIST_HEAD(, imgdisk_softc) imgdisk_all = LIST_HEAD_INITIALIZER(
    imgdisk_all);
static struct rwlock imgdisk_lock = RWLOCK_INITIALIZER("imgdisk");

/* The first row that forbids what is wanted: the line that is logged. */
struct imgdisk_verdict {
	enum img_allows iv_want;
	enum img_allows iv_least;
	struct img_finding iv_why;
};

static void
imgdisk_found(void *arg, const struct img_finding *fi)
{
	struct imgdisk_verdict *iv = arg;
	enum img_allows allows = img_row(fi->fi_row)->r_allows;

	if (allows < iv->iv_least)
		iv->iv_least = allows;
	if (iv->iv_why.fi_row != IMG_ROW_NONE || allows >= iv->iv_want)
		return;
	iv->iv_why = *fi;
	iv->iv_why.fi_name = NULL; /* valid during this call only */
}

static void
imgdisk_refused(const struct imgdisk_softc *sc, const struct img_finding *fi)
{
	const struct img_rowdesc *r = img_row(fi->fi_row);

	if (fi->fi_off == IMG_NOWHERE)
		log(LOG_NOTICE, "%s: %s-%u: %s\n", sc->sc_dev.dv_xname,
		    r->r_format, r->r_number, r->r_text);
	else
		log(LOG_NOTICE, "%s: %s-%u at %llu: %s\n", sc->sc_dev.dv_xname,
		    r->r_format, r->r_number, (unsigned long long)fi->fi_off,
		    r->r_text);
}

static int
imgdisk_unserved(const struct imgdisk_softc *sc, const char *what)
{
	log(LOG_NOTICE, "%s: %s\n", sc->sc_dev.dv_xname, what);
	return (ENOTSUP);
}

/* What the library could do, but a kernel does not. */
static int
imgdisk_serves(struct imgdisk_softc *sc)
{
	struct img_extent e;
	struct img_ref ref;
	uint64_t voff, size = img_size(sc->sc_img);
	int error;

	if (img_ref(sc->sc_img, 0, &ref) == 0)
		return (imgdisk_unserved(sc,
		    ref.rf_kind == IMG_REF_BACKING ?
			"image needs a backing file" :
			"image needs an external data file"));
	for (voff = 0; voff < size; voff += e.e_len) {
		error = img_map(sc->sc_img, voff, size - voff, &e);
		if (error != 0)
			return (error);
		if (e.e_type == IMG_PACKED)
			return (imgdisk_unserved(sc,
			    "image has compressed clusters"));
	}
	return (0);
}

static int
imgdisk_open_image(struct imgdisk_softc *sc)
{
	struct imgdisk_verdict iv;
	struct img_args a;
	int error;

	memset(&iv, 0, sizeof(iv));
	iv.iv_want = sc->sc_readonly ? IMG_ALLOW_READ : IMG_ALLOW_WRITE;
	iv.iv_least = iv.iv_want;
	memset(&a, 0, sizeof(a));
	a.a_format = sc->sc_face->fa_format;
	a.a_flags = sc->sc_readonly ? IMG_VERIFY : IMG_RDWR | IMG_VERIFY;
	a.a_budget = IMGDISK_BUDGET;
	a.a_report = imgdisk_found;
	a.a_arg = &iv;
	error =
	    img_dcache_init(&sc->sc_dcache, &imgdisk_env, &sc->sc_file.if_file);
	if (error == 0)
		error = img_open(&sc->sc_img, &imgdisk_env,
		    &sc->sc_dcache.dc_file, &a);
	if (error == 0 && img_allows(sc->sc_img, NULL) < iv.iv_want)
		error = EFTYPE;
	/* EROFS says that it can be attached for reading. */
	if (error == EROFS && iv.iv_least < IMG_ALLOW_READ)
		error = EFTYPE;
	if (iv.iv_why.fi_row != IMG_ROW_NONE)
		imgdisk_refused(sc, &iv.iv_why);
	if (error == 0)
		error = imgdisk_serves(sc);
	if (error == 0)
		error = img_dcache_slots(&sc->sc_dcache,
		    *sc->sc_face->fa_nslots, img_unit(sc->sc_img));
	return (error);
}

/* Is the file on a disk of ours, which would wait for itself? */
static int
imgdisk_stacked(const struct imgdisk_face *fa, const struct vattr *va)
{
	int maj = major((dev_t)va->va_fsid);

	return (maj >= 0 && maj < nblkdev && bdevsw[maj].d_open == fa->fa_open);
}

/* May this file become a disk?  If so, nobody else's from now on. */
static int
imgdisk_claim(struct imgdisk_softc *sc, struct vnode *vp, struct proc *p)
{
	struct imgdisk_softc *other;
	struct vattr va;
	int error;

	if (vp->v_type != VREG)
		return (EOPNOTSUPP);
	error = VOP_GETATTR(vp, &va, sc->sc_file.if_cred, p);
	if (error != 0)
		return (error);
	if (imgdisk_stacked(sc->sc_face, &va))
		return (EINVAL);
	rw_enter_write(&imgdisk_lock);
	LIST_FOREACH(other, &imgdisk_all, sc_link)
	{
		if (other->sc_file.if_vp == vp)
			error = EBUSY;
		else if (imgdisk_stacked(other->sc_face, &va))
			error = EINVAL;
	}
	if (error == 0) {
		sc->sc_file.if_vp = vp;
		LIST_INSERT_HEAD(&imgdisk_all, sc, sc_link);
	}
	rw_exit_write(&imgdisk_lock);
	return (error);
}

static int
imgdisk_open_file(struct imgdisk_softc *sc, struct proc *p)
{
	struct imgdisk_file *vf = &sc->sc_file;
	struct nameidata nd;
	int error;

	vf->if_mode = sc->sc_readonly ? FREAD : FREAD | FWRITE;
	NDINIT(&nd, 0, 0, UIO_SYSSPACE, sc->sc_name, p);
	nd.ni_unveil = UNVEIL_READ | (sc->sc_readonly ? 0 : UNVEIL_WRITE);
	error = vn_open(&nd, vf->if_mode, 0);
	if (error != 0)
		return (error);
	vf->if_cred = crdup(p->p_ucred);
	error = imgdisk_claim(sc, nd.ni_vp, p);
	VOP_UNLOCK(nd.ni_vp);
	if (error != 0)
		(void)vn_close(nd.ni_vp, vf->if_mode, vf->if_cred, p);
	vf->if_file.f_ops = &imgdisk_fileops;
	vf->if_file.f_flags = IMG_FILE_ZEROES;
	return (error);
}

/* Everything that an attach made; each part may be missing. */
static int
imgdisk_release(struct imgdisk_softc *sc, struct proc *p)
{
	struct imgdisk_file *vf = &sc->sc_file;
	int error = 0, error2 = 0;

	if (sc->sc_taskq != NULL) {
		taskq_destroy(sc->sc_taskq);
		bufq_destroy(&sc->sc_bufq);
	}
	if (sc->sc_img != NULL)
		error = img_close(sc->sc_img);
	img_dcache_fini(&sc->sc_dcache);
	if (vf->if_vp != NULL) {
		rw_enter_write(&imgdisk_lock);
		LIST_REMOVE(sc, sc_link);
		rw_exit_write(&imgdisk_lock);
		error2 = vn_close(vf->if_vp, vf->if_mode, vf->if_cred, p);
	}
	if (vf->if_cred != NULL)
		crfree(vf->if_cred);
	free(sc->sc_name, M_DEVBUF, IMGDISK_NAMELEN);
	sc->sc_taskq = NULL;
	sc->sc_img = NULL;
	sc->sc_name = NULL;
	memset(vf, 0, sizeof(*vf));
	return (error != 0 ? error : error2);
}

static int
imgdisk_fill(struct imgdisk_softc *sc, const struct imgdisk_attach *ia,
    struct proc *p)
{
	int error;

	sc->sc_readonly = ia->ia_readonly != 0;
	sc->sc_unflushed = 0;
	sc->sc_secbits = ia->ia_secbits != 0 ? ia->ia_secbits : DEV_BSHIFT;
	sc->sc_name = malloc(IMGDISK_NAMELEN, M_DEVBUF, M_WAITOK | M_ZERO);
	error = copyinstr(ia->ia_file, sc->sc_name, IMGDISK_NAMELEN, NULL);
	if (error == 0)
		error = imgdisk_open_file(sc, p);
	if (error == 0)
		error = imgdisk_open_image(sc);
	if (error != 0)
		return (error);
	sc->sc_nsec = img_size(sc->sc_img) >> sc->sc_secbits;
	if (sc->sc_nsec == 0 || sc->sc_nsec > MAXDISKSIZE)
		return (imgdisk_unserved(sc, "impossible size of a disk"));
	error = bufq_init(&sc->sc_bufq, BUFQ_FIFO);
	if (error != 0)
		return (error);
	task_set(&sc->sc_task, imgdisk_task, sc);
	sc->sc_taskq = taskq_create(sc->sc_dev.dv_xname, 1, IPL_BIO, 0);
	if (sc->sc_taskq == NULL) {
		bufq_destroy(&sc->sc_bufq);
		return (ENOMEM);
	}
	return (0);
}

static void
imgdisk_set_state(struct imgdisk_softc *sc, enum imgdisk_state state)
{
	mtx_enter(&sc->sc_mtx);
	sc->sc_state = state;
	mtx_leave(&sc->sc_mtx);
}

int
imgdisk_attach(struct imgdisk_softc *sc, const struct imgdisk_attach *ia,
    struct proc *p)
{
	int error;

	if (ia->ia_secbits != 0 &&
	    (ia->ia_secbits < IMGDISK_SECBITS_MIN ||
		ia->ia_secbits > IMGDISK_SECBITS_MAX))
		return (EINVAL);
	error = disk_lock(&sc->sc_dk);
	if (error != 0)
		return (error);
	if (sc->sc_state != IMGDISK_FREE)
		error = EBUSY;
	else
		imgdisk_set_state(sc, IMGDISK_ATTACHING);
	disk_unlock(&sc->sc_dk);
	if (error != 0)
		return (error);
	/* It takes a while, and nobody needs to wait for it. */
	error = imgdisk_fill(sc, ia, p);
	if (error != 0)
		(void)imgdisk_release(sc, p);
	disk_lock_nointr(&sc->sc_dk);
	if (error != 0)
		imgdisk_set_state(sc, IMGDISK_FREE);
	else {
		disk_attach(&sc->sc_dev, &sc->sc_dk);
		imgdisk_set_state(sc, IMGDISK_ATTACHED);
	}
	disk_unlock(&sc->sc_dk);
	return (error);
}

/* Is anything of it open but this control descriptor? */
static int
imgdisk_busy(const struct imgdisk_softc *sc, dev_t dev)
{
	uint64_t mine = 1ULL << DISKPART(dev);

	return ((sc->sc_dk.dk_copenmask & ~mine) != 0 ||
	    sc->sc_dk.dk_bopenmask != 0);
}

/*
 * By force: first every descriptor is revoked while I/O still works, so that
 * dirty buffers reach the file; then I/O ends, and then the image is closed.
 */
int
imgdisk_detach(struct imgdisk_softc *sc, dev_t dev, int force, struct proc *p)
{
	int error = 0;

	disk_lock_nointr(&sc->sc_dk);
	if (sc->sc_state != IMGDISK_ATTACHED)
		error = ENXIO;
	else if (!force && imgdisk_busy(sc, dev))
		error = EBUSY;
	else
		imgdisk_set_state(sc, IMGDISK_LEAVING);
	disk_unlock(&sc->sc_dk);
	if (error != 0)
		return (error);
	if (force)
		disk_gone(sc->sc_face->fa_open, sc->sc_unit);
	mtx_enter(&sc->sc_mtx);
	sc->sc_state = IMGDISK_GONE;
	while (sc->sc_nuse > 0)
		msleep_nsec(&sc->sc_nuse, &sc->sc_mtx, PRIBIO, "imggone",
		    INFSLP);
	mtx_leave(&sc->sc_mtx);
	taskq_barrier(sc->sc_taskq);
	error = imgdisk_release(sc, p);
	disk_lock_nointr(&sc->sc_dk);
	disk_detach(&sc->sc_dk);
	sc->sc_haslabel = 0;
	imgdisk_set_state(sc, IMGDISK_FREE);
	disk_unlock(&sc->sc_dk);
	return (error);
}
