/* SPDX-License-Identifier: ISC */

/*
 * race.c: threads attach, detach, open, read, write and ask at once, under
 * the thread sanitizer.  What must hold: no race, no panic of the mocks, an
 * error only where one is due, nothing left at the end; and what was done is
 * in the file.
 *
 *	race SECONDS-IN-TENTHS SEED unlocked|locked
 */

#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "driver/fx.h"

#define NWRITERS 3
#define SLICE (DISK / NWRITERS / 65536 * 65536)

struct worker {
	pthread_t w_id;
	void (*w_job)(struct worker *);
	unsigned w_n;
	uint64_t w_seed;
	uint64_t w_done, w_refused;
};

static int stop;
static enum k_face face;
static uint8_t guest[DISK];

static int
stopped(void)
{
	return (__atomic_load_n(&stop, __ATOMIC_RELAXED));
}

static void
wrong(const char *what, long error)
{
	fprintf(stderr, "race: %s: unexpected %ld\n", what, error);
	abort();
}

/* Attach; detach, by force or not. */
static void
attacher(struct worker *w)
{
	int error, fd;

	while (!stopped()) {
		fd = k_open(face, 0, K_RAW, 0, K_FREAD | K_FWRITE);
		if (fd < 0) {
			if (fd != -K_ENXIO)
				wrong("open for control", fd);
			continue;
		}
		error = k_attach(fd, "disk", 0, 0);
		if (error == 0)
			w->w_done++;
		else if (error != K_EBUSY && error != K_EBADF)
			wrong("attach", error);
		usleep(mem_random(&w->w_seed) % 20000);
		error = k_detach(fd, mem_random(&w->w_seed) % 2);
		if (error != 0 && error != K_EBUSY && error != K_ENXIO &&
		    error != K_EBADF)
			wrong("detach", error);
		if (k_close(fd) != 0)
			wrong("close", 0);
	}
}

/* Write in a part of the disk that nobody else writes to, and read it. */
static void
writer(struct worker *w)
{
	uint8_t buf[8192];
	uint64_t off;
	long n;
	int fd, i;

	while (!stopped()) {
		fd = k_open(face, 0, 0, 0, K_FREAD | K_FWRITE);
		if (fd < 0) {
			w->w_refused++;
			usleep(100);
			continue;
		}
		for (i = 0; i < 8; i++) {
			off = w->w_n * SLICE +
			    mem_random(&w->w_seed) % 256 * 8192 % SLICE;
			mem_pattern(buf, sizeof(buf), off, (unsigned)w->w_done);
			n = k_write(fd, buf, sizeof(buf), off);
			if (n == (long)sizeof(buf)) {
				memcpy(guest + off, buf, sizeof(buf));
				w->w_done++;
			} else if (n != -K_ENXIO && n != -K_EIO)
				wrong("write", n);
			else
				break;
			n = k_read(fd, buf, sizeof(buf), off);
			if (n == (long)sizeof(buf)) {
				if (memcmp(buf, guest + off, sizeof(buf)) != 0)
					wrong("bytes", (long)off);
			} else if (n != -K_ENXIO && n != -K_EIO)
				wrong("read", n);
		}
		if (k_close(fd) != 0)
			wrong("close", 0);
	}
}

/* Ask whatever can be asked. */
static void
asker(struct worker *w)
{
	unsigned long long size, ino;
	char name[K_NAMELEN];
	struct k_label kl;
	struct k_unit ku;
	int error, fd;

	while (!stopped()) {
		fd = k_open(face, 0, K_RAW, 0, K_FREAD);
		if (fd < 0)
			continue;
		error = k_fname(fd, name);
		if (error == 0 && strcmp(name, "disk") != 0)
			wrong("name", 0);
		error = k_stat(fd, &size, &ino);
		if (error != 0 && error != K_ENXIO && error != K_EBADF)
			wrong("stat", error);
		error = k_list(fd, 0, &ku);
		if (error == 0 && ku.ku_attached && ku.ku_size != DISK)
			wrong("size", 0);
		error = k_label(fd, K_GET, K_RAW, &kl);
		if (error == 0 && kl.kl_len != DISK / 512)
			wrong("label", (long)kl.kl_len);
		w->w_done++;
		if (k_close(fd) != 0)
			wrong("close", 0);
		usleep(mem_random(&w->w_seed) % 1000);
	}
}

static void *
start(void *arg)
{
	struct worker *w = arg;

	(*w->w_job)(w);
	return (NULL);
}

static void
settle(struct host_file *hf, const char *format)
{
	static uint8_t buf[DISK];
	struct mem_env env;
	struct k_counts kc;
	struct img *im;
	const char *why;

	k_counts(&kc);
	if (kc.kc_vnodes != 0 || kc.kc_creds != 0 || kc.kc_allocs != 0 ||
	    kc.kc_labels != 0 || kc.kc_taskqs != 0 || kc.kc_open != 0)
		wrong("something is left", kc.kc_allocs);
	why = host_judge(&hf->hf_mem, img_format_find(format), &im, &env);
	if (*why != '\0')
		wrong(why, 0);
	if (img_read(im, buf, DISK, 0) != 0 || memcmp(buf, guest, DISK) != 0)
		wrong("the file has other bytes", 0);
	(void)mem_close(im, &env);
}

static void
run(const char *image, unsigned tenths, uint64_t seed)
{
	static void (*const job[])(struct worker *) = { writer, writer, writer,
		attacher, attacher, asker };
	struct worker w[LENGTH_OF(job)];
	struct host_file *hf;
	size_t i;

	stop = 0;
	face = fx_face(image);
	hf = host_file("disk", fx_image(image));
	memset(guest, 0, sizeof(guest));
	for (i = 0; i < LENGTH_OF(job); i++) {
		memset(&w[i], 0, sizeof(w[i]));
		w[i].w_job = job[i];
		w[i].w_n = (unsigned)i;
		w[i].w_seed = seed * 100 + i;
		if (pthread_create(&w[i].w_id, NULL, start, &w[i]) != 0)
			abort();
	}
	usleep(tenths * 100000);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	for (i = 0; i < LENGTH_OF(job); i++)
		pthread_join(w[i].w_id, NULL);
	k_reset();
	printf("%s: %ju writes, %ju refused, %ju attaches, %ju questions\n",
	    image, (uintmax_t)(w[0].w_done + w[1].w_done + w[2].w_done),
	    (uintmax_t)w[0].w_refused, (uintmax_t)(w[3].w_done + w[4].w_done),
	    (uintmax_t)w[5].w_done);
	if (w[0].w_done == 0 || w[3].w_done + w[4].w_done < 3)
		wrong("nothing happened", 0);
	settle(hf, face == K_VHD ? "vhd" : "qcow2");
	host_file_free(hf);
}

int
main(int argc, char **argv)
{
	unsigned tenths;

	if (argc != 4)
		return (2);
	tenths = (unsigned)atoi(argv[1]);
	k_boot(1);
	k_unlocked_io(strcmp(argv[3], "unlocked") == 0);
	run("empty.qcow2", tenths, (uint64_t)atoi(argv[2]));
	run("empty.vhd", tenths, (uint64_t)atoi(argv[2]));
	return (0);
}
