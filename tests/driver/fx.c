/* SPDX-License-Identifier: ISC */

#include <sys/wait.h>
#include <unistd.h>

#include "driver/fx.h"

static int
env_path(char *buf, size_t len, const char *var, const char *name)
{
	const char *dir = getenv(var);

	if (dir == NULL)
		fail_msg("%s is not set; see check.sh", var);
	return (
	    snprintf(buf, len, "%s%s%s", dir, *name != '\0' ? "/" : "", name));
}

const char *
fx_image(const char *name)
{
	static char path[3][512];
	static int turn;

	turn = (turn + 1) % 3;
	env_path(path[turn], sizeof(path[turn]), "DRIVER_IMAGES", name);
	return (path[turn]);
}

const char *
fx_saved(const char *what)
{
	char name[64];

	/* Several programs run at once. */
	snprintf(name, sizeof(name), "saved.%ld.%s", (long)getpid(), what);
	return (fx_image(name));
}

enum k_face
fx_face(const char *image)
{
	return (strstr(image, ".vhd") != NULL ? K_VHD : K_QCOW);
}

int
fx_boot(void **state)
{
	(void)state;
	k_boot(2);
	return (0);
}

int
fx_reset(void **state)
{
	(void)state;
	host_fail_reset();
	cut_forget();
	k_release();
	k_slots(K_QCOW, 4);
	k_slots(K_VHD, 4);
	k_reset();
	host_files_free();
	return (0);
}

int
fx_run(const char *fmt, ...)
{
	char cmd[2048];
	va_list ap;
	int status;

	va_start(ap, fmt);
	vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	status = system(cmd);
	return (WIFEXITED(status) ? WEXITSTATUS(status) : 255);
}

void
fx_put(struct fx *fx, const char *image)
{
	memset(fx, 0, sizeof(*fx));
	host_fail_reset();
	host_log_clear();
	fx->fx_face = fx_face(image);
	fx->fx_file = host_file("disk", fx_image(image));
	fx->fx_disk = -1;
	fx->fx_ctl = k_open(fx->fx_face, 0, K_RAW, 0, K_FREAD | K_FWRITE);
	assert_true(fx->fx_ctl >= 0);
}

void
fx_up(struct fx *fx, const char *image, const char *raw, int readonly,
    unsigned secbits)
{
	FILE *f;

	fx_put(fx, image);
	assert_int_equal(k_attach(fx->fx_ctl, "disk", readonly, secbits), 0);
	fx->fx_disk = k_open(fx->fx_face, 0, K_RAW, 0,
	    readonly ? K_FREAD : K_FREAD | K_FWRITE);
	assert_true(fx->fx_disk >= 0);
	fx->fx_guest = calloc(1, DISK);
	assert_non_null(fx->fx_guest);
	if (raw == NULL)
		return;
	f = fopen(fx_image(raw), "rb");
	assert_non_null(f);
	assert_int_equal(fread(fx->fx_guest, 1, DISK, f), DISK);
	fclose(f);
}

void
fx_drop(struct fx *fx)
{
	if (fx->fx_disk >= 0)
		assert_int_equal(k_close(fx->fx_disk), 0);
	assert_int_equal(k_close(fx->fx_ctl), 0);
	fx_clean(0);
	host_file_free(fx->fx_file);
	free(fx->fx_guest);
	memset(fx, 0, sizeof(*fx));
}

void
fx_down(struct fx *fx)
{
	assert_int_equal(k_close(fx->fx_disk), 0);
	fx->fx_disk = -1;
	assert_int_equal(k_detach(fx->fx_ctl, 0), 0);
	fx_drop(fx);
}

void
fx_clean(int open)
{
	struct k_counts kc;
	struct k_stats ks;
	int i;

	k_counts(&kc);
	assert_int_equal(kc.kc_vnodes, 0);
	assert_int_equal(kc.kc_creds, 0);
	assert_int_equal(kc.kc_allocs, 0);
	assert_int_equal(kc.kc_bytes, 0);
	assert_int_equal(kc.kc_labels, 0);
	assert_int_equal(kc.kc_taskqs, 0);
	assert_int_equal(kc.kc_open, open);
	for (i = 0; i < 4; i++) {
		assert_int_equal(k_stats(i / 2, i % 2, &ks), 0);
		assert_int_equal(ks.ks_busy, 0);
	}
}

void
fx_write(struct fx *fx, uint64_t off, size_t len, unsigned version)
{
	mem_pattern(fx->fx_guest + off, len, off, version);
	assert_int_equal(k_write(fx->fx_disk, fx->fx_guest + off, len, off),
	    (long)len);
}

void
fx_look(struct fx *fx, uint64_t off, size_t len)
{
	uint8_t *buf = malloc(len);

	assert_non_null(buf);
	assert_int_equal(k_read(fx->fx_disk, buf, len, off), (long)len);
	assert_memory_equal(buf, fx->fx_guest + off, len);
	free(buf);
}

void
fx_sound(struct fx *fx, int leaks)
{
	const char *tmp = fx_saved("image"), *raw = fx_saved("raw");
	int vhd = fx->fx_face == K_VHD, rc;
	FILE *f;

	host_file_save(fx->fx_file, tmp);
	rc = fx_run("\"$IMGTOOL\" check -q -f %s %s", vhd ? "vhd" : "qcow2",
	    tmp);
	if (rc != 0 && (!leaks || rc != 3))
		fail_msg("imgtool check: status %d", rc);
	/* It has no check for a VHD, which is its status 63. */
	rc = fx_run("qemu-img check -q -f %s %s >/dev/null 2>&1",
	    vhd ? "vpc" : "qcow2", tmp);
	if (rc != (vhd ? 63 : 0) && (!leaks || rc != 3))
		fail_msg("qemu-img check: status %d", rc);
	f = fopen(raw, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(fx->fx_guest, 1, DISK, f), DISK);
	fclose(f);
	assert_int_equal(fx_run("qemu-img compare -q -f %s -F raw %s %s",
			     vhd ? "vpc" : "qcow2", tmp, raw),
	    0);
	assert_int_equal(fx_run("\"$IMGTOOL\" compare -q -f %s -F raw %s %s",
			     vhd ? "vhd" : "qcow2", tmp, raw),
	    0);
}
