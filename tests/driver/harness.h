/* SPDX-License-Identifier: ISC */

/*
 * harness.h: between the two halves of the harness.  The kernel's half is
 * the drivers, the core of the library and the mocks of what they call, all
 * compiled against OpenBSD's headers: k_*.  The host's half has the C
 * library, files in memory and the tests: host_*.  Only plain types cross.
 *
 * Errors are OpenBSD's numbers.  Where a k_ call returns a count or a
 * descriptor, an error is negative.
 */

#ifndef TESTS_DRIVER_HARNESS_H
#define TESTS_DRIVER_HARNESS_H

enum {
	K_EINTR = 4,
	K_EIO = 5,
	K_ENXIO = 6,
	K_EBADF = 9,
	K_ENOMEM = 12,
	K_EACCES = 13,
	K_EFAULT = 14,
	K_EBUSY = 16,
	K_EISDIR = 21,
	K_EINVAL = 22,
	K_ENOTTY = 25,
	K_ENOENT = 2,
	K_EPERM = 1,
	K_ENOSPC = 28,
	K_EROFS = 30,
	K_EOPNOTSUPP = 45,
	K_ENAMETOOLONG = 63,
	K_EFTYPE = 79,
	K_ENOTSUP = 91
};

#define K_FREAD 1
#define K_FWRITE 2
#define K_RAW 2 /* the partition that is the whole disk */
#define K_NAMELEN 1024
#define K_SECTOR 512
#define K_MAXPHYS 65536

enum k_face { K_QCOW, K_VHD };

/* --- the kernel's half: what a process or a file system does ------------ */

/* Boot with so many units of each; once in a program. */
void k_boot(int units);
/* Slots of the cache of data, from the next attach on. */
void k_slots(enum k_face, int n);
/* From now on I/O is not under the big lock, stricter than 7.8 is. */
void k_unlocked_io(int on);

/* After a test that failed: nothing is open, nothing attached. */
void k_reset(void);

/* A descriptor, of the character device or the block device. */
int k_open(enum k_face, int unit, int part, int block, int flags);
int k_close(int fd);
int k_attach(int fd, const char *file, int readonly, unsigned secbits);
/* The same with a name at a bad address. */
int k_attach_bad(int fd);
int k_detach(int fd, unsigned force);
int k_fname(int fd, char name[K_NAMELEN]);
int k_stat(int fd, unsigned long long *size, unsigned long long *ino);

struct k_unit {
	unsigned ku_attached, ku_readonly;
	unsigned long long ku_size;
	char ku_name[K_NAMELEN];
};

int k_list(int fd, unsigned unit, struct k_unit *);
/* An ioctl that no disk knows. */
int k_odd(int fd);
/* Through the tables: no swap, no dump. */
int k_size(enum k_face, int unit);
int k_dump(enum k_face, int unit);

enum k_label_how { K_GET, K_REREAD, K_DEFAULT, K_PART };

struct k_label {
	unsigned kl_secsize, kl_type, kl_nparts;
	unsigned long long kl_size; /* of the disk, sectors */
	char kl_typename[17];
	unsigned long long kl_off, kl_len; /* of the partition, sectors */
};

/* What the label says of the disk and of one partition. */
int k_label(int fd, enum k_label_how, int part, struct k_label *);
/* Make a partition; with disk, on the disk too. */
int k_setlabel(int fd, int disk, int part, unsigned long long off,
    unsigned long long len);

/* read(2) and write(2) on a character device. */
long k_read(int fd, void *, unsigned long len, unsigned long long off);
long k_write(int fd, const void *, unsigned long len, unsigned long long off);
/* A file system's dirty buffer: written when the device is revoked. */
int k_dirty(int fd, const void *, unsigned long len, unsigned long long off);

/* One buf, as a file system has it; blkno as the driver gets it. */
struct k_buf;
struct k_buf *k_submit(int fd, int write, void *, long len, long long blkno);
/* Wait, free: its error, and what was not done. */
int k_wait(struct k_buf *, unsigned long *resid);
int k_done(struct k_buf *); /* is it? */
/* Wait: which of all bufs that were done it was. */
unsigned long k_order(struct k_buf *);
/* No task starts while held; release lets them. */
void k_hold(void);
void k_release(void);

/* Everything that the driver has of the kernel's at the moment. */
struct k_counts {
	long kc_vnodes, kc_creds, kc_allocs, kc_labels, kc_taskqs, kc_open;
	long kc_bytes;
};

void k_counts(struct k_counts *);

/* How often disk_busy was told of, and what it then heard. */
struct k_stats {
	int ks_busy;
	unsigned long long ks_rxfer, ks_wxfer, ks_rbytes, ks_wbytes;
};

int k_stats(enum k_face, int unit, struct k_stats *);

/* --- failures on request ------------------------------------------------ */

enum k_fault {
	F_ALLOC,
	F_READ,
	F_WRITE,
	F_SHORT, /* a transfer ends early, without an error */
	F_FSYNC,
	F_GETATTR,
	F_SETATTR,
	F_OPEN,
	F_CLOSE,
	F_COPYIN,
	F_DISKLOCK, /* EINTR */
	F_BUFQ,
	F_TASKQ,
	F_LABEL,
	F_NKINDS
};

/* The n-th from now fails, 1 is the next; with forever all after it too. */
void host_fail(enum k_fault, int n, int forever);
/* How many chances there were since host_fail_reset, how many failed. */
long host_chances(enum k_fault);
long host_failures(void);
void host_fail_reset(void);
int host_fault(enum k_fault);

/* --- the host's half, for the mocks ------------------------------------- */

void *host_alloc(unsigned long);
void host_free(void *);
void host_panic(const char *, ...) __attribute__((noreturn));
int host_vsnprintf(char *, unsigned long, const char *, __builtin_va_list);
/* A line of the kernel's log. */
void host_log(const char *);

struct host_mutex;
struct host_mutex *host_mutex_new(void);
void host_mutex_free(struct host_mutex *);
void host_mutex_lock(struct host_mutex *);
void host_mutex_unlock(struct host_mutex *);
/* Every mutex has one condition: wait releases it, wake wakes all. */
void host_mutex_wait(struct host_mutex *);
void host_mutex_wake(struct host_mutex *);
struct host_thread;
struct host_thread *host_thread_new(void (*)(void *), void *);
void host_thread_join(struct host_thread *);
void host_yield(void);

/* Files: what a name leads to.  ENOENT and the like as vn_open has them. */
struct host_node {
	enum { HOST_REG, HOST_DIR, HOST_CHR } hn_type;
	int hn_error;  /* of every open */
	int hn_werror; /* of opens for writing */
	int hn_major;  /* of the device its file system is on */
	int hn_ino;
};

/* Its number or a negative error. */
int host_lookup(const char *name, struct host_node *);
unsigned long long host_length(int node);
/* Bytes that were there, or a negative error. */
long host_pread(int node, void *, unsigned long, unsigned long long off);
int host_pwrite(int node, const void *, unsigned long, unsigned long long off,
    int sync);
int host_truncate(int node, unsigned long long);
int host_fsync(int node);
/* A buf that was written is done, and where its bytes are on the disk. */
void host_biodone(const void *, unsigned long len, unsigned long long off,
    int error);

#endif /* TESTS_DRIVER_HARNESS_H */
