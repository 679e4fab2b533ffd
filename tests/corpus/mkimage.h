/* SPDX-License-Identifier: ISC */

/*
 * mkimage.h: test images from text recipes.  Nothing here uses the library
 * under test: what this program knows of the formats is a second opinion.
 */

#ifndef MKIMAGE_H
#define MKIMAGE_H

#include <stddef.h>
#include <stdint.h>

#define MAXWORDS 40

/* One line of a recipe, cut into words, and where it stands. */
struct line {
	const char *l_file;
	unsigned l_no;
	unsigned l_nwords;
	char *l_word[MAXWORDS];
	char *l_text; /* what stood between the quotes, or NULL */
	size_t l_ntext;
};

/* The image under construction. */
struct image {
	int im_fd;
	const char *im_path;
	uint64_t im_packed; /* qcow2: where the last compressed cluster ends */
};

/* Print "file:line: message" and exit 1.  NULL: without a place. */
void die(const struct line *, const char *, ...)
    __attribute__((noreturn, format(printf, 2, 3)));

/* expr.c: numbers, sums and products of them, and "end" (file length). */
uint64_t number(const struct line *, const struct image *, const char *);
int split_line(struct line *, char *);

/* Words such as "block=4k", from word i on. */
struct key {
	const char *k_name; /* with the '=' */
	uint64_t *k_value;
};
void get_keys(const struct line *, const struct image *, unsigned i,
    const struct key *, size_t nkeys);
/* The bytes that the words from word i on are in hexadecimal. */
size_t get_hex(const struct line *, unsigned i, uint8_t *, size_t max);

/* file.c: reads past the end give zeros; writes past the end extend. */
uint64_t file_length(const struct line *, const struct image *);
void file_resize(const struct line *, struct image *, uint64_t);
void file_read(const struct line *, const struct image *, void *, size_t,
    uint64_t);
void file_write(const struct line *, struct image *, const void *, size_t,
    uint64_t);
void file_fill(const struct line *, struct image *, uint64_t, uint64_t, int);
void file_random(const struct line *, struct image *, uint64_t, uint64_t,
    uint64_t);
/* At most 4 KiB of noise at the start and at the end. */
void file_noise(const struct line *, struct image *, uint64_t, uint64_t,
    uint64_t);
void file_copy(const struct line *, struct image *, uint64_t, uint64_t,
    uint64_t);

uint64_t get_be(const uint8_t *, unsigned nbytes);
void put_be(uint8_t *, unsigned nbytes, uint64_t);
uint64_t get_le(const uint8_t *, unsigned nbytes);
void put_le(uint8_t *, unsigned nbytes, uint64_t);

/* recipe.c */
#define RECIPE_DEPTH 8
void build(const char *recipe, struct image *, unsigned depth);

/* expect.c: print what a recipe says about the image, normalised. */
void expectations(const char *recipe);
int is_expectation(const char *word);

/* vhd.c: makers */
void vhd_fixed(const struct line *, struct image *);
void vhd_dynamic(const struct line *, struct image *);
void vhd_block(const struct line *, struct image *);
void vhd_both(const struct line *, struct image *);
void vhd_end(const struct line *, struct image *, uint64_t);
void vhd_sum(const struct line *, struct image *, unsigned nbytes,
    unsigned field, uint64_t off);

/* qcow2.c: 0 if the statement is none of its own */
int qcow2_statement(const struct line *, struct image *);

/* qed.c: the same; of an image that is none so far it is only "qed" */
int qed_statement(const struct line *, struct image *);

/* guest.c */
void open_image(struct image *, const char *path, int flags);
/* A file of that name beside the image. */
void open_beside(struct image *, const struct image *, const char *name,
    int flags);
/* All of it that is not zero. */
void put_bytes(struct image *, const uint8_t *, size_t, uint64_t);
/*
 * What is under an image: the bytes of the raw file whose name is there in
 * it, as far as that and the disk go.
 */
void put_backing(const struct image *, uint64_t name_off, uint64_t name_len,
    struct image *out, uint64_t size);
void guest_bytes(const char *image, const char *snapshot, const char *out);
void qcow2_guest(const struct image *, const char *snapshot, struct image *);
void qed_guest(const struct image *, struct image *);
int compare_files(const char *, const char *, char **ranges, int nranges);

#endif /* MKIMAGE_H */
