/* SPDX-License-Identifier: ISC */

/*
 * mkimage: build test images from recipes.
 *
 *	mkimage RECIPE OUT		build the image
 *	mkimage -e RECIPE		what check must say about it
 *	mkimage -g IMAGE OUT		the guest bytes of a sound image
 *	mkimage -s ID IMAGE OUT		... of a qcow2's snapshot
 *	mkimage -c A B [START LEN]...	are two files equal, outside these
 *					ranges?  Holes cost nothing.
 *
 * A recipe is text, one statement per line, '#' begins a comment:
 *
 *	from NAME		first build NAME.recipe of the same directory
 *	size N			cut or extend the file
 *	u8|be16|be32|be64|le32|le64 OFF = N
 *	bytes OFF = HEX...	also with spaces between the bytes
 *	text OFF = "..."	knows \0 \n \t \" \\ and \xHH
 *	utf16be|utf16le OFF = "..."
 *	fill OFF LEN BYTE
 *	random OFF LEN SEED	x = x*6364136223846793005+1442695040888963407
 *				from x = SEED, one byte of each, its top one
 *	copy FROM LEN TO	as memmove(3)
 *	sum footer|header OFF	recompute the checksum of a VHD structure
 *	sum batmap OFF		... of a tapdisk batmap, over its map
 *	fixed SIZE		a fixed VHD, all zeros
 *	dynamic SIZE [block=N] [head=OFF] [bat=OFF] [entries=N] [pad=BYTE]
 *	    [end=OFF] [type=N]	a dynamic VHD without blocks
 *	block I at OFF		allocate block I there: BAT entry, bitmap with
 *				the bits of all its sectors inside the disk,
 *				4 KiB of noise at its start and its end; the
 *				end footer moves behind it if it was in the way
 *	both u8|be16|be32|be64 FIELD = N
 *	both text|bytes FIELD = ...
 *				in the footer copy at 0 and the end footer,
 *				with their checksums
 *	end OFF			move the end footer, leave zeros
 *
 * qcow2 images, put together piece by piece; what has no at= goes behind the
 * file's end so far, aligned to a cluster:
 *
 *	qcow2 SIZE [version=2|3] [bits=N] [order=N] [header=LEN] [incompat=N]
 *	    [compat=N] [autoclear=N] [crypt=N] [type=N] [rt=CLUSTERS] [rtat=OFF]
 *	    [rbat=OFF] [l1=ENTRIES] [l1at=OFF]
 *				header, refcount table, one block, L1 table in
 *				this order; nothing is counted so far
 *	ext TYPE "..."|HEX...	a header extension; TYPE is a number or format,
 *				features, bitmaps, luks, datafile
 *	features		the usual table of feature names
 *	backing [at=OFF] "NAME"
 *	file SIZE SEED "NAME"	another file, beside the image; SEED 0: zeros
 *	luks [at=OFF] [len=N]	extension and the start of a LUKS header
 *	l2 I [at=OFF]		an L2 table for L1 entry I; if it had one, its
 *				contents.  What follows makes one at need
 *	data CL [at=OFF] [n=N] [seed=N]	guest clusters with noise in them, n
 *				in a row; with a data file it is written too
 *	zero CL [at=OFF] [n=N]	zero clusters; with a place for them or without
 *	sub CL [at=OFF] [alloc=BITS] [zero=BITS]	subclusters
 *	packed CL [at=OFF] [period=N] [seed=N] [sectors=N] [zlib=LEVEL]
 *				compressed: noise that repeats; by hand or by
 *				zlib, right behind the last one
 *	stream CL OFF|next HEX...	compressed: these bytes
 *	entry CL = N [BITS]	an L2 entry as it is
 *	l1 I = N		an L1 entry as it is
 *	snapshot ID NAME [at=OFF] [l1at=OFF] [l1=N] [size=N] [vm=N] [extra=N]
 *	    [sec=N] [nsec=N] [clock=N] [icount=N]
 *				of what there is; "-" is an empty name
 *	bitmap NAME [at=OFF] [table=OFF] [data=OFF] [granularity=N] [flags=N]
 *	    [ones=N]		data=0: no data, all entries are ones=N
 *	refblock I [at=OFF]	a refcount block
 *	counts			all refcounts and COPIED flags as they must be
 *	count CL = N		one refcount
 *
 * QED images, in the same way; tables and data are real bytes:
 *
 *	qed SIZE [cluster=BYTES] [table=CLUSTERS] [header=CLUSTERS]
 *	    [features=N] [compat=N] [autoclear=N] [l1at=OFF] [sparse=1]
 *				header and L1 table; sparse: its zeros are holes
 *	backing [at=OFF] "NAME"	raw, and said to be so
 *	l2 I [at=OFF] [sparse=1]
 *	data CL [at=OFF] [n=N] [seed=N]
 *	zero CL [n=N]
 *	entry CL = N
 *	l1 I = N		as above
 *
 * Numbers are decimal or 0x hexadecimal, with k M G T, may be sums and
 * products without spaces, and know "end", the length of the file so far.
 * The statements about the result, ignored while building:
 *
 *	expect ROW [off N] [voff N vlen N] [found N want N]
 *	expect none
 *	format vhd|raw|qcow2|qed	what -f is given; if not stated, the directory
 *	probe vhd|raw|qcow2|qed	what probing must find
 *	flags WORD...		deep: check --deep; huge: nothing reads
 *				all guest bytes or copies the file; alone: its
 *				guest bytes are not here; eio: it is refused
 *				to read them; zstd: may not be known here;
 *				grows: the disk is longer when repaired
 *	repair none|safe|lossy	what mends the row of the recipe's name
 *	leaves ROW...		that may be there when it is repaired
 *	qemu N			what qemu-img check exits with; "-": do not ask
 *	guest NAME		recipe with the same guest bytes, where this
 *				image cannot be read itself
 */

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mkimage.h"

void
die(const struct line *l, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "mkimage: ");
	if (l != NULL)
		fprintf(stderr, "%s:%u: ", l->l_file, l->l_no);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	exit(1);
}

static void
usage(void)
{
	fprintf(stderr,
	    "usage: mkimage RECIPE OUT\n"
	    "       mkimage -e RECIPE\n"
	    "       mkimage -g IMAGE OUT\n"
	    "       mkimage -s SNAPSHOT IMAGE OUT\n"
	    "       mkimage -c A B [START LEN]...\n");
	exit(1);
}

static void
make(const char *recipe, const char *out)
{
	struct image im;

	open_image(&im, out, O_RDWR | O_CREAT | O_TRUNC);
	build(recipe, &im, 0);
	if (close(im.im_fd) == -1)
		die(NULL, "%s: cannot write", out);
}

int
main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "-e") == 0)
		expectations(argv[2]);
	else if (argc == 4 && strcmp(argv[1], "-g") == 0)
		guest_bytes(argv[2], NULL, argv[3]);
	else if (argc == 5 && strcmp(argv[1], "-s") == 0)
		guest_bytes(argv[3], argv[2], argv[4]);
	else if (argc >= 4 && argc % 2 == 0 && strcmp(argv[1], "-c") == 0)
		return (compare_files(argv[2], argv[3], argv + 4, argc - 4));
	else if (argc == 3 && argv[1][0] != '-')
		make(argv[1], argv[2]);
	else
		usage();
	if (fflush(stdout) != 0)
		die(NULL, "cannot write to standard output");
	return (0);
}
