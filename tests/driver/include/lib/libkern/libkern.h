/* SPDX-License-Identifier: ISC */

/*
 * libkern.h: what OpenBSD's kernel has of the C library.  <sys/systm.h>
 * includes it, but no system installs it.  Here is what drivers use.
 */

#ifndef __LIBKERN_H__
#define __LIBKERN_H__

#include <sys/types.h>

#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#ifdef DIAGNOSTIC
#define KASSERT(e) \
	((e) ? (void)0 : __assert("diagnostic ", __FILE__, __LINE__, #e))
#else
#define KASSERT(e) ((void)0)
#endif

void __assert(const char *, const char *, int, const char *)
    __attribute__((__noreturn__));
int memcmp(const void *, const void *, size_t);
void *memcpy(void *, const void *, size_t);
void *memmove(void *, const void *, size_t);
void *memset(void *, int, size_t);
int snprintf(char *, size_t, const char *, ...)
    __attribute__((__format__(__printf__, 3, 4)));
int strcmp(const char *, const char *);
size_t strlcpy(char *, const char *, size_t);
size_t strlen(const char *);

#endif /* __LIBKERN_H__ */
