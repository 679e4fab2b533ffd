/* SPDX-License-Identifier: ISC */

/* fx.h: what every test of the drivers does first and last. */

#ifndef TESTS_DRIVER_FX_H
#define TESTS_DRIVER_FX_H

#include "driver/host.h"

#define DISK (8u << 20) /* bytes of the images' disk */

struct fx {
	enum k_face fx_face;
	struct host_file *fx_file;
	int fx_ctl;        /* the raw character partition, for writing */
	int fx_disk;       /* the same once more, opened when attached */
	uint8_t *fx_guest; /* what the disk has to hold */
};

/* cmocka's setup for groups: the kernel boots, once. */
int fx_boot(void **state);
int fx_reset(void **state);

/* A test; what a failed one leaves does not concern the next. */
#define TEST(f) cmocka_unit_test_teardown(f, fx_reset)

/* A path of the folder of images; static, three at a time. */
const char *fx_image(const char *name);
/* The same for what fx_sound saves: "image", and what it holds, "raw". */
const char *fx_saved(const char *what);
/* The face that the name of an image asks for. */
enum k_face fx_face(const char *image);

/* A copy of the image as file "disk", a control descriptor; not attached. */
void fx_put(struct fx *, const char *image);
/* Attached too, and open; raw is what it holds, NULL for zeros. */
void fx_up(struct fx *, const char *image, const char *raw, int readonly,
    unsigned secbits);
/* Detach, close, and all that the driver had came back. */
void fx_down(struct fx *);
/* The same without an attachment. */
void fx_drop(struct fx *);

/* Write a pattern, in the guest's copy as well. */
void fx_write(struct fx *, uint64_t off, size_t len, unsigned version);
/* The disk, read through the driver, is as it has to be. */
void fx_look(struct fx *, uint64_t off, size_t len);
/*
 * The file is sound for imgtool check and for qemu-img check, with leaks if
 * so said, and both find the guest's bytes in it.
 */
void fx_sound(struct fx *, int leaks);
/* Nothing of the kernel's is in use but so many descriptors. */
void fx_clean(int open);
/* Run a command; its status. */
int fx_run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif /* TESTS_DRIVER_FX_H */
