/* SPDX-License-Identifier: ISC */

/*
 * attach.c: what the drivers say to images.
 *
 *	attach qcow|vhd FILE ...
 *
 * Each file is attached for writing and for reading and detached.  A line
 * per file and way: its name, rw or ro, what the rows allow that opening and
 * verifying raise over POSIX (0 nothing, 1 map, 2 read, 3 write), the error,
 * what was logged.
 */

#include "driver/fx.h"

static int
least(struct host_file *hf, enum k_face face)
{
	enum img_allows allows = IMG_ALLOW_WRITE;
	struct mem_sink sink = { 0 };
	struct mem_env env;
	struct img *im;
	int i;

	mem_env(&env);
	if (mem_open(&im, &env, &hf->hf_mem,
		img_format_find(face == K_VHD ? "vhd" : "qcow2"), IMG_VERIFY,
		&sink) == 0)
		(void)mem_close(im, &env);
	for (i = IMG_ROW_NONE + 1; i < IMG_NROWS; i++)
		if (sink.s_per_row[i] > 0 && img_row(i)->r_allows < allows)
			allows = img_row(i)->r_allows;
	return (allows == IMG_ALLOW_WRITE ? 3 :
		allows == IMG_ALLOW_READ  ? 2 :
		allows == IMG_ALLOW_MAP   ? 1 :
					    0);
}

static void
try(enum k_face face, const char *path, int readonly)
{
	struct host_file *hf = host_file("disk", path);
	struct k_counts kc;
	char line[512];
	int error, fd;

	host_log_clear();
	fd = k_open(face, 0, K_RAW, 0, K_FREAD | K_FWRITE);
	error = k_attach(fd, "disk", readonly, 0);
	snprintf(line, sizeof(line), "%s", host_logged());
	line[strcspn(line, "\n")] = '\0';
	printf("%s %s %d %d %s\n", path, readonly ? "ro" : "rw",
	    least(hf, face), error, line);
	if (error == 0 && k_detach(fd, 0) != 0)
		printf("%s: detach failed\n", path);
	(void)k_close(fd);
	k_counts(&kc);
	if (kc.kc_allocs != 0 || kc.kc_vnodes != 0 || kc.kc_creds != 0)
		printf("%s: something is left\n", path);
	if (readonly && hf->hf_writes != 0)
		printf("%s: was written to\n", path);
	host_file_free(hf);
}

int
main(int argc, char **argv)
{
	enum k_face face;
	int i;

	if (argc < 3)
		return (2);
	face = strcmp(argv[1], "vhd") == 0 ? K_VHD : K_QCOW;
	k_boot(1);
	k_slots(face, 0);
	for (i = 2; i < argc; i++) {
		try(face, argv[i], 0);
		try(face, argv[i], 1);
	}
	return (0);
}
