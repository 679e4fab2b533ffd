/* SPDX-License-Identifier: ISC */

/*
 * Vnodes of regular files.  A vnode is locked and unlocked in strict pairs;
 * vn_rdwr locks it itself.  Every vnode call may sleep.
 */

#include "driver/kern.h"

#define NVNODES 16

struct kvnode {
	struct vnode kv_vnode; /* first */
	void *volatile kv_lock;
	struct host_node kv_node;
	int kv_file; /* the host's number */
	int kv_readers, kv_writers;
};

static struct kvnode *table[NVNODES];
static struct rwlock table_lock = RWLOCK_INITIALIZER("vnodes");

static struct kvnode *
kvnode(struct vnode *vp)
{
	return ((struct kvnode *)vp);
}

static void
locked(struct vnode *vp, const char *what)
{
	kern_sleeps(what);
	if (!kern_holds(vp))
		host_panic("%s: the vnode is not locked", what);
}

int
vn_lock(struct vnode *vp, int flags)
{
	kern_sleeps("vn_lock");
	if (vp->v_usecount == 0)
		host_panic("vn_lock: no reference");
	if ((flags & LK_RETRY) == 0)
		host_panic("vn_lock: without LK_RETRY it may fail");
	kern_enter(&kvnode(vp)->kv_lock, vp, CL_VNODE);
	return (0);
}

void
ndinitat(struct nameidata *nd, u_long op, u_long flags, enum uio_seg seg,
    int fd, const char *name, struct proc *p)
{
	memset(nd, 0, sizeof(*nd));
	nd->ni_cnd.cn_nameiop = op;
	nd->ni_cnd.cn_flags = flags;
	nd->ni_segflg = seg;
	nd->ni_dirfd = fd;
	nd->ni_dirp = name;
	nd->ni_cnd.cn_proc = p;
}

/* The vnode of a file of the host's, by table_lock. */
static struct kvnode *
get(int file, const struct host_node *hn)
{
	struct kvnode *kv;
	int i, room = -1;

	for (i = 0; i < NVNODES; i++)
		if (table[i] == NULL)
			room = i;
		else if (table[i]->kv_file == file)
			return (table[i]);
	if (room < 0)
		host_panic("vnode: table is full");
	kv = host_alloc(sizeof(*kv));
	memset(kv, 0, sizeof(*kv));
	kv->kv_file = file;
	kv->kv_node = *hn;
	kv->kv_vnode.v_type = hn->hn_type == HOST_REG ? VREG : VCHR;
	kern_count(&kern_nvnodes, 1);
	return (table[room] = kv);
}

static void
put(struct kvnode *kv)
{
	int i;

	if (--kv->kv_vnode.v_usecount > 0)
		return;
	for (i = 0; i < NVNODES; i++)
		if (table[i] == kv)
			table[i] = NULL;
	if (kv->kv_lock != NULL)
		host_mutex_free(kv->kv_lock);
	kern_count(&kern_nvnodes, -1);
	host_free(kv);
}

int
vn_open(struct nameidata *nd, int mode, int cmode)
{
	struct host_node hn;
	struct kvnode *kv;
	int file, want;

	kern_sleeps("vn_open");
	if (nd->ni_cnd.cn_nameiop != 0 || nd->ni_cnd.cn_flags != 0)
		host_panic("vn_open: wants no operation and no flags");
	want = UNVEIL_READ | (mode & FWRITE ? UNVEIL_WRITE : 0);
	if (nd->ni_unveil != want)
		host_panic("vn_open: unveil %x, not %x", nd->ni_unveil, want);
	if (host_fault(F_OPEN))
		return (EIO);
	file = host_lookup(nd->ni_dirp, &hn);
	if (file < 0)
		return (-file);
	if (hn.hn_error != 0)
		return (hn.hn_error);
	if (hn.hn_type == HOST_DIR && (mode & FWRITE))
		return (EISDIR);
	if ((mode & FWRITE) && hn.hn_werror != 0)
		return (hn.hn_werror);
	rw_enter_write(&table_lock);
	kv = get(file, &hn);
	kv->kv_vnode.v_usecount++;
	if (mode & FWRITE)
		kv->kv_writers++;
	else
		kv->kv_readers++;
	rw_exit_write(&table_lock);
	vn_lock(&kv->kv_vnode, LK_EXCLUSIVE | LK_RETRY);
	nd->ni_vp = &kv->kv_vnode;
	return (0);
}

int
vn_close(struct vnode *vp, int flags, struct ucred *cred, struct proc *p)
{
	struct kvnode *kv = kvnode(vp);
	int failed;

	kern_sleeps("vn_close");
	if (kern_holds(vp))
		host_panic("vn_close: the vnode is locked");
	if (!kern_cred_live(cred))
		host_panic("vn_close: with credentials that are gone");
	vn_lock(vp, LK_EXCLUSIVE | LK_RETRY);
	VOP_UNLOCK(vp);
	failed = host_fault(F_CLOSE);
	rw_enter_write(&table_lock);
	if ((flags & FWRITE ? kv->kv_writers-- : kv->kv_readers--) <= 0)
		host_panic("vn_close: not as vn_open had it");
	put(kv);
	rw_exit_write(&table_lock);
	return (failed ? EIO : 0);
}

int
VOP_UNLOCK(struct vnode *vp)
{
	kern_exit(&kvnode(vp)->kv_lock, vp);
	return (0);
}

void
vattr_null(struct vattr *va)
{
	memset(va, 0xff, sizeof(*va));
}

int
VOP_GETATTR(struct vnode *vp, struct vattr *va, struct ucred *cred,
    struct proc *p)
{
	locked(vp, "VOP_GETATTR");
	if (!kern_cred_live(cred))
		host_panic("VOP_GETATTR: with credentials that are gone");
	if (host_fault(F_GETATTR))
		return (EIO);
	memset(va, 0, sizeof(*va));
	va->va_type = vp->v_type;
	va->va_size = host_length(kvnode(vp)->kv_file);
	va->va_fsid = makedev(kvnode(vp)->kv_node.hn_major, 0);
	va->va_fileid = kvnode(vp)->kv_node.hn_ino;
	return (0);
}

int
VOP_SETATTR(struct vnode *vp, struct vattr *va, struct ucred *cred,
    struct proc *p)
{
	struct vattr all;

	locked(vp, "VOP_SETATTR");
	vattr_null(&all);
	all.va_size = va->va_size;
	if (memcmp(&all, va, sizeof(all)) != 0)
		host_panic("VOP_SETATTR: of more than the size");
	if (kvnode(vp)->kv_writers == 0 || !kern_cred_live(cred))
		host_panic("VOP_SETATTR: not open for writing");
	if (host_fault(F_SETATTR))
		return (EIO);
	return (host_truncate(kvnode(vp)->kv_file, va->va_size));
}

int
VOP_FSYNC(struct vnode *vp, struct ucred *cred, int wait, struct proc *p)
{
	locked(vp, "VOP_FSYNC");
	if (wait != MNT_WAIT || !kern_cred_live(cred))
		host_panic("VOP_FSYNC: does not wait");
	if (host_fault(F_FSYNC))
		return (EIO);
	return (host_fsync(kvnode(vp)->kv_file));
}

int
vn_stat(struct vnode *vp, struct stat *sb, struct proc *p)
{
	struct vattr va;
	struct ucred *cr = crdup(p->p_ucred);
	int error;

	error = VOP_GETATTR(vp, &va, cr, p);
	crfree(cr);
	if (error != 0)
		return (error);
	memset(sb, 0, sizeof(*sb));
	sb->st_mode = S_IFREG;
	sb->st_size = va.va_size;
	sb->st_ino = va.va_fileid;
	return (0);
}

/* Bytes moved or a negative error. */
static long
move(struct kvnode *kv, enum uio_rw rw, caddr_t base, int len, off_t off,
    int flags)
{
	int error = 0;

	if (host_fault(rw == UIO_READ ? F_READ : F_WRITE))
		return (-EIO);
	if (host_fault(F_SHORT))
		len /= 2;
	if (rw == UIO_READ)
		return (host_pread(kv->kv_file, base, len, off));
	if (kv->kv_writers == 0)
		host_panic("vn_rdwr: writes to what is open for reading");
	if ((flags & IO_NOLIMIT) == 0)
		host_panic("vn_rdwr: within the limits of some process");
	if (len > 0)
		error = host_pwrite(kv->kv_file, base, len, off,
		    (flags & IO_SYNC) != 0);
	return (error != 0 ? -error : len);
}

int
vn_rdwr(enum uio_rw rw, struct vnode *vp, caddr_t base, int len, off_t off,
    enum uio_seg seg, int flags, struct ucred *cred, size_t *resid,
    struct proc *p)
{
	long n;
	int held;

	kern_sleeps("vn_rdwr");
	if (len < 0 || off < 0 || seg != UIO_SYSSPACE)
		host_panic("vn_rdwr: impossible arguments");
	if (!kern_cred_live(cred))
		host_panic("vn_rdwr: with credentials that are gone");
	if ((flags & IO_NODELOCKED) == 0)
		vn_lock(vp, LK_EXCLUSIVE | LK_RETRY);
	else
		locked(vp, "vn_rdwr");
	held = kern_unlock_all();
	n = move(kvnode(vp), rw, base, len, off, flags);
	kern_relock(held);
	if ((flags & IO_NODELOCKED) == 0)
		VOP_UNLOCK(vp);
	if (resid != NULL)
		*resid = n < 0 ? len : len - n;
	else if (n >= 0 && n != len)
		return (EIO);
	return (n < 0 ? -n : 0);
}
