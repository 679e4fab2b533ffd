/* SPDX-License-Identifier: ISC */

/* Memory, credentials, user space, messages. */

#include <sys/stdarg.h>

#include "driver/kern.h"

#define MAGIC 0x6b65726eU

struct block {
	size_t b_size;
	int b_type;
	unsigned b_magic;
};

struct proc kern_proc;
long kern_ncreds, kern_nallocs, kern_nbytes, kern_nlabels;
long kern_ntaskqs, kern_nvnodes;

static __thread int noalloc;

void
kern_count(long *n, long change)
{
	if (__atomic_add_fetch(n, change, __ATOMIC_RELAXED) < 0)
		host_panic("a count fell below zero");
}

int
kern_noalloc_depth(int change)
{
	return (noalloc += change);
}

void *
malloc(size_t n, int type, int flags)
{
	struct block *b;
	int held;

	if (((flags & M_WAITOK) != 0) == ((flags & M_NOWAIT) != 0))
		host_panic("malloc: one of M_WAITOK and M_NOWAIT");
	if (noalloc > 0)
		host_panic("malloc: on the way of I/O");
	if (flags & M_WAITOK) {
		kern_sleeps("malloc");
		held = kern_unlock_all();
		host_yield();
		kern_relock(held);
	}
	if ((flags & (M_CANFAIL | M_NOWAIT)) && host_fault(F_ALLOC))
		return (NULL);
	b = host_alloc(sizeof(*b) + n);
	memset(b + 1, flags & M_ZERO ? 0 : 0xdf, n);
	b->b_size = n;
	b->b_type = type;
	b->b_magic = MAGIC;
	kern_count(&kern_nallocs, 1);
	kern_count(&kern_nbytes, n);
	return (b + 1);
}

void *
mallocarray(size_t n, size_t size, int type, int flags)
{
	if (size != 0 && n > SIZE_MAX / size)
		host_panic("mallocarray: overflow");
	return (malloc(n * size, type, flags));
}

void
free(void *p, int type, size_t n)
{
	struct block *b = p;

	if (p == NULL)
		return;
	b--;
	if (b->b_magic != MAGIC || b->b_type != type || b->b_size != n)
		host_panic("free: %zu bytes of type %d, not %zu of %d", n, type,
		    b->b_size, b->b_type);
	b->b_magic = 0;
	kern_count(&kern_nallocs, -1);
	kern_count(&kern_nbytes, -(long)n);
	host_free(b);
}

/* --- credentials -------------------------------------------------------- */

struct ucred *
crdup(struct ucred *old)
{
	struct ucred *cr = host_alloc(sizeof(*cr));

	if (noalloc > 0)
		host_panic("crdup: on the way of I/O");
	memset(cr, 0, sizeof(*cr));
	cr->cr_uid = old->cr_uid;
	cr->cr_ngroups = (short)MAGIC;
	kern_count(&kern_ncreds, 1);
	return (cr);
}

void
crfree(struct ucred *cr)
{
	if (!kern_cred_live(cr))
		host_panic("crfree: not a credential");
	cr->cr_ngroups = 0;
	kern_count(&kern_ncreds, -1);
	host_free(cr);
}

int
kern_cred_live(const struct ucred *cr)
{
	return (cr != NULL && cr->cr_ngroups == (short)MAGIC);
}

/* --- user space --------------------------------------------------------- */

int
copyinstr(const void *from, void *to, size_t max, size_t *done)
{
	const char *s = from;
	char *d = to;
	size_t i;

	kern_sleeps("copyinstr");
	if ((uintptr_t)from < 4096 || host_fault(F_COPYIN))
		return (EFAULT);
	for (i = 0; i < max; i++) {
		d[i] = s[i];
		if (s[i] == '\0') {
			if (done != NULL)
				*done = i + 1;
			return (0);
		}
	}
	return (ENAMETOOLONG);
}

/* --- messages ----------------------------------------------------------- */

void
panic(const char *fmt, ...)
{
	host_panic("panic: %s", fmt);
}

void
__assert(const char *kind, const char *file, int line, const char *what)
{
	host_panic("%sassertion \"%s\" failed: %s:%d", kind, what, file, line);
}

static void
say(const char *fmt, va_list ap)
{
	char line[512];

	host_vsnprintf(line, sizeof(line), fmt, ap);
	host_log(line);
}

int
printf(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	return (0);
}

void
log(int prio, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}

int
snprintf(char *s, size_t n, const char *fmt, ...)
{
	va_list ap;
	int r;

	va_start(ap, fmt);
	r = host_vsnprintf(s, n, fmt, ap);
	va_end(ap);
	return (r);
}

size_t
strlcpy(char *d, const char *s, size_t n)
{
	size_t i;

	for (i = 0; s[i] != '\0'; i++)
		if (i + 1 < n)
			d[i] = s[i];
	if (n > 0)
		d[i < n - 1 ? i : n - 1] = '\0';
	return (i);
}
