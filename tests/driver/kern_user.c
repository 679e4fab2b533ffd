/* SPDX-License-Identifier: ISC */

/*
 * What stands above a disk: the tables of devices, descriptors and their
 * vnodes (a device is closed when the last descriptor of its vnode is), dirty
 * buffers, revocation; and so what a test calls.
 */

#include "driver/kern.h"
#include "dev/qcowioctl.h"
#include "dev/vhdioctl.h"

#define NUNITS 4
#define NFDS 32

cdev_decl(qcow);
bdev_decl(qcow);
cdev_decl(vhd);
bdev_decl(vhd);
void qcowattach(int);
void vhdattach(int);
extern int qcow_nslots, vhd_nslots;
extern struct cpu_info_full cpu_info_full_primary;

#define DISK(n)                                                         \
	{                                                               \
		.d_open = n##open, .d_close = n##close,                 \
		.d_strategy = n##strategy, .d_ioctl = n##ioctl,         \
		.d_dump = n##dump, .d_psize = n##size, .d_type = D_DISK \
	}
#define CDISK(n)                                                           \
	{                                                                  \
		.d_open = n##open, .d_close = n##close, .d_read = n##read, \
		.d_write = n##write, .d_ioctl = n##ioctl, .d_type = D_DISK \
	}

static const int bmajor[] = { 18, 19 }, cmajor[] = { 86, 87 };
struct bdevsw bdevsw[] = { [18] = DISK(qcow), [19] = DISK(vhd), [20] = { 0 } };
struct cdevsw
    cdevsw[] = { [86] = CDISK(qcow), [87] = CDISK(vhd), [88] = { 0 } };
int nblkdev = nitems(bdevsw), nchrdev = nitems(cdevsw);

/* By the kernel lock. */
struct devnode {
	int dn_nopen;
	int dn_busy; /* being opened or closed; by kern_change */
	struct kern_dirty *dn_dirty;
};

static struct devnode node[2][NUNITS][MAXPARTITIONS][2];
static struct kern_fd table[NFDS];
static struct k_counts base;

/* --- boot --------------------------------------------------------------- */

static void
count(struct k_counts *kc)
{
	int i;

	memset(kc, 0, sizeof(*kc));
	kc->kc_vnodes = __atomic_load_n(&kern_nvnodes, __ATOMIC_RELAXED);
	kc->kc_creds = __atomic_load_n(&kern_ncreds, __ATOMIC_RELAXED);
	kc->kc_allocs = __atomic_load_n(&kern_nallocs, __ATOMIC_RELAXED);
	kc->kc_bytes = __atomic_load_n(&kern_nbytes, __ATOMIC_RELAXED);
	kc->kc_labels = __atomic_load_n(&kern_nlabels, __ATOMIC_RELAXED);
	kc->kc_taskqs = __atomic_load_n(&kern_ntaskqs, __ATOMIC_RELAXED);
	for (i = 0; i < NFDS; i++)
		kc->kc_open += table[i].f_used;
}

void
k_counts(struct k_counts *kc)
{
	count(kc);
	kc->kc_allocs -= base.kc_allocs;
	kc->kc_bytes -= base.kc_bytes;
}

void
k_boot(int units)
{
	static struct ucred root;

	if (units > NUNITS)
		host_panic("too many units");
	kern_buf_init();
	kern_proc.p_ucred = &root;
	curproc = &kern_proc;
	kern_lock();
	qcowattach(units);
	vhdattach(units);
	kern_unlock();
	count(&base);
}

void
k_slots(enum k_face face, int n)
{
	*(face == K_QCOW ? &qcow_nslots : &vhd_nslots) = n;
}

/* --- descriptors -------------------------------------------------------- */

dev_t
kern_device(const struct kern_fd *f)
{
	return (MAKEDISKDEV(f->f_block ? bmajor[f->f_face] : cmajor[f->f_face],
	    f->f_unit, f->f_part));
}

static struct devnode *
devnode(const struct kern_fd *f)
{
	return (&node[f->f_face][f->f_unit][f->f_part][f->f_block]);
}

struct kern_fd *
kern_descriptor(int fd)
{
	if (fd < 0 || fd >= NFDS || !table[fd].f_used)
		host_panic("test: not a descriptor");
	return (&table[fd]);
}

/* One at a time opens or closes a device. */
static int
try_busy(void *arg)
{
	struct devnode *dn = arg;

	if (dn->dn_busy)
		return (0);
	return (dn->dn_busy = 1);
}

static void
set_free(void *arg)
{
	((struct devnode *)arg)->dn_busy = 0;
}

static int
enroll(const struct kern_fd *f)
{
	int i;

	for (i = 0; i < NFDS; i++)
		if (!table[i].f_used) {
			table[i] = *f;
			table[i].f_used = 1;
			devnode(f)->dn_nopen++;
			return (i);
		}
	host_panic("test: too many descriptors");
}

int
k_open(enum k_face face, int unit, int part, int block, int flags)
{
	struct kern_fd f = { .f_face = face,
		.f_unit = unit,
		.f_part = part,
		.f_block = block != 0,
		.f_flags = flags };
	int error, fd;

	kern_lock();
	kern_wait_for(try_busy, devnode(&f));
	/* The vnode of a block device is locked over its opening. */
	if (block) {
		kern_pretend(&f, CL_VNODE);
		error = (*bdevsw[bmajor[face]].d_open)(kern_device(&f), flags,
		    S_IFBLK, &kern_proc);
		kern_forget(&f);
	} else
		error = (*cdevsw[cmajor[face]].d_open)(kern_device(&f), flags,
		    S_IFCHR, &kern_proc);
	kern_nothing_held("open");
	fd = error != 0 ? -error : enroll(&f);
	kern_change(set_free, devnode(&f));
	kern_unlock();
	return (fd);
}

static int
shut(const struct kern_fd *f)
{
	int error;

	error = f->f_block ?
	    (*bdevsw[bmajor[f->f_face]].d_close)(kern_device(f), f->f_flags,
		S_IFBLK, &kern_proc) :
	    (*cdevsw[cmajor[f->f_face]].d_close)(kern_device(f), f->f_flags,
		S_IFCHR, &kern_proc);
	kern_nothing_held("close");
	return (error);
}

void
kern_add_dirty(const struct kern_fd *f, struct kern_dirty *d)
{
	d->d_next = devnode(f)->dn_dirty;
	devnode(f)->dn_dirty = d;
}

/* Write what is dirty, through what strategy there is. */
static void
clean(const struct kern_fd *f)
{
	struct kern_dirty *d;

	while ((d = devnode(f)->dn_dirty) != NULL) {
		devnode(f)->dn_dirty = d->d_next;
		kern_strategy(bdevsw[bmajor[f->f_face]].d_strategy, &d->d_buf);
		(void)kern_biowait(&d->d_buf);
		host_free(d->d_buf.b_data);
		host_free(d);
	}
}

int
k_close(int fd)
{
	struct kern_fd f;
	struct devnode *dn;
	int error = 0;

	kern_lock();
	f = *kern_descriptor(fd);
	dn = devnode(&f);
	kern_wait_for(try_busy, dn);
	f = table[fd];
	table[fd].f_used = 0;
	if (!f.f_revoked && --dn->dn_nopen == 0) {
		clean(&f);
		error = shut(&f);
	}
	kern_change(set_free, dn);
	kern_unlock();
	return (error);
}

static void
revoke(const struct kern_fd *f)
{
	int n;

	devnode(f)->dn_nopen = 0;
	for (n = 0; n < NFDS; n++)
		if (table[n].f_used && table[n].f_face == f->f_face &&
		    table[n].f_unit == f->f_unit &&
		    table[n].f_part == f->f_part &&
		    table[n].f_block == f->f_block)
			table[n].f_revoked = 1;
	clean(f);
	(void)shut(f);
}

void
kern_revoke(int (*open)(dev_t, int, int, struct proc *), int unit)
{
	struct kern_fd f = { 0 };
	int i;

	f.f_face = open == qcowopen ? K_QCOW : K_VHD;
	f.f_unit = unit;
	for (i = 0; i < 2 * MAXPARTITIONS; i++) {
		f.f_part = i / 2;
		f.f_block = i % 2;
		kern_wait_for(try_busy, devnode(&f));
		if (devnode(&f)->dn_nopen > 0)
			revoke(&f);
		kern_change(set_free, devnode(&f));
	}
}

void
k_reset(void)
{
	int i, fd;

	for (i = 0; i < 4; i++) {
		fd = k_open(i / 2, i % 2, K_RAW, 0, K_FREAD | K_FWRITE);
		if (fd < 0)
			continue;
		(void)k_detach(fd, 1);
		(void)k_close(fd);
	}
	for (i = 0; i < NFDS; i++)
		if (table[i].f_used)
			(void)k_close(i);
}

/* --- ioctls ------------------------------------------------------------- */

static int
call(int fd, u_long cmd, void *data)
{
	struct kern_fd f;
	int error;

	kern_lock();
	f = *kern_descriptor(fd);
	if (f.f_revoked)
		error = EBADF;
	else if (f.f_block)
		error = (*bdevsw[bmajor[f.f_face]].d_ioctl)(kern_device(&f),
		    cmd, data, f.f_flags, &kern_proc);
	else
		error = (*cdevsw[cmajor[f.f_face]].d_ioctl)(kern_device(&f),
		    cmd, data, f.f_flags, &kern_proc);
	kern_nothing_held("ioctl");
	kern_unlock();
	return (error);
}

static int
is_qcow(int fd)
{
	return (kern_descriptor(fd)->f_face == K_QCOW);
}

int
k_attach(int fd, const char *file, int readonly, unsigned secbits)
{
	struct qcow_attach qc = { .qc_file = (char *)(uintptr_t)file,
		.qc_readonly = readonly,
		.qc_secbits = secbits };
	struct vhd_attach va = { .vhd_file = (char *)(uintptr_t)file,
		.vhd_readonly = readonly };

	if (is_qcow(fd))
		return (call(fd, QCOWIOCATTACH, &qc));
	return (call(fd, VHDIOCATTACH, &va));
}

int
k_attach_bad(int fd)
{
	return (k_attach(fd, (const char *)16, 0, 0));
}

int
k_detach(int fd, unsigned force)
{
	return (call(fd, is_qcow(fd) ? QCOWIOCDETACH : VHDIOCDETACH, &force));
}

int
k_fname(int fd, char name[K_NAMELEN])
{
	struct imgdisk_fname fn;
	int error;

	memset(&fn, 0xdf, sizeof(fn));
	error = call(fd, is_qcow(fd) ? QCOWIOCFNAME : VHDIOCFNAME, &fn);
	if (error == 0)
		memcpy(name, fn.if_name, K_NAMELEN);
	return (error);
}

int
k_stat(int fd, unsigned long long *size, unsigned long long *ino)
{
	struct stat sb;
	int error;

	error = call(fd, is_qcow(fd) ? QCOWIOCSTAT : VHDIOCSTAT, &sb);
	if (error == 0) {
		*size = sb.st_size;
		*ino = sb.st_ino;
	}
	return (error);
}

int
k_list(int fd, unsigned unit, struct k_unit *ku)
{
	struct imgdisk_unit iu = { .iu_unit = unit };
	int error;

	error = call(fd, is_qcow(fd) ? QCOWIOCLIST : VHDIOCLIST, &iu);
	if (error != 0)
		return (error);
	if (iu.iu_unit != unit)
		host_panic("list: of another unit");
	ku->ku_attached = iu.iu_attached;
	ku->ku_readonly = iu.iu_readonly;
	ku->ku_size = iu.iu_size;
	memcpy(ku->ku_name, iu.iu_name, K_NAMELEN);
	return (0);
}

int
k_odd(int fd)
{
	struct dk_cache dc = { 0 };

	return (call(fd, DIOCGCACHE, &dc));
}

int
k_size(enum k_face face, int unit)
{
	return ((*bdevsw[bmajor[face]].d_psize)(
	    MAKEDISKDEV(bmajor[face], unit, 1)));
}

int
k_dump(enum k_face face, int unit)
{
	return (
	    (*bdevsw[bmajor[face]].d_dump)(MAKEDISKDEV(bmajor[face], unit, 1),
		0, NULL, DEV_BSIZE));
}

static void
describe(const struct disklabel *lp, const struct partition *pp,
    struct k_label *kl)
{
	memset(kl, 0, sizeof(*kl));
	kl->kl_secsize = lp->d_secsize;
	kl->kl_type = lp->d_type;
	kl->kl_nparts = lp->d_npartitions;
	kl->kl_size = DL_GETDSIZE(lp);
	memcpy(kl->kl_typename, lp->d_typename, sizeof(lp->d_typename));
	kl->kl_off = DL_GETPOFFSET(pp);
	kl->kl_len = DL_GETPSIZE(pp);
}

int
k_label(int fd, enum k_label_how how, int part, struct k_label *kl)
{
	struct disklabel *lp = host_alloc(sizeof(*lp));
	struct partinfo pi;
	int error;

	if (how == K_REREAD)
		error = call(fd, DIOCRLDINFO, lp);
	else if (how == K_PART)
		error = call(fd, DIOCGPART, &pi);
	else
		error = call(fd, how == K_GET ? DIOCGDINFO : DIOCGPDINFO, lp);
	if (error == 0 && how == K_REREAD)
		error = call(fd, DIOCGDINFO, lp);
	if (error == 0 && how == K_PART)
		describe(pi.disklab, pi.part, kl);
	else if (error == 0)
		describe(lp, &lp->d_partitions[part], kl);
	host_free(lp);
	return (error);
}

int
k_setlabel(int fd, int disk, int part, unsigned long long off,
    unsigned long long len)
{
	struct disklabel *lp = host_alloc(sizeof(*lp));
	int error;

	error = call(fd, DIOCGDINFO, lp);
	if (error == 0) {
		DL_SETPOFFSET(&lp->d_partitions[part], off);
		DL_SETPSIZE(&lp->d_partitions[part], len);
		lp->d_partitions[part].p_fstype = FS_BSDFFS;
		lp->d_npartitions = MAXPARTITIONS;
		lp->d_checksum = 0;
		lp->d_checksum = dkcksum(lp);
		error = call(fd, disk ? DIOCWDINFO : DIOCSDINFO, lp);
	}
	host_free(lp);
	return (error);
}
