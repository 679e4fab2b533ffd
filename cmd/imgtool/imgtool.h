/* SPDX-License-Identifier: ISC */

/*
 * What the files of the program share.  Each subcommand is one file: options,
 * a call of the library, print.
 */

#ifndef IMGTOOL_H
#define IMGTOOL_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "img_host.h"

#define IMGTOOL_VERSION "0.1.0"

struct how;

/* Every subcommand, in the order in which the help shows them. */
#define COMMANDS   \
	C(info)    \
	C(check)   \
	C(map)     \
	C(convert) \
	C(compare) \
	C(create)  \
	C(dd_read) \
	C(dd_write)

/* ------------------------------------------------------------------------
 * opts.c: one table per command says its options and its help.
 */

struct opt {
	int op_id;           /* the letter, or a number from 256 */
	const char *op_long; /* or NULL */
	const char *op_arg;  /* what the argument is called; NULL: none */
	const char *op_help; /* NULL: a synonym of the row before */
};

struct command {
	const char *c_name;
	const char *c_about;    /* one line */
	const char *c_operands; /* how it is called */
	const struct opt *c_opts;
	int c_error; /* exit status of an error */
	int (*c_main)(int argc, char **argv);
};

#define C(name) extern const struct command cmd_##name;
COMMANDS
#undef C

/* The next option's id, or -1; --help and mistakes end the program. */
int opts_next(const struct command *, int argc, char **argv);
/* The arguments behind the options, exactly n; else the program ends. */
char **opts_operands(const struct command *, int argc, char **argv, int n);
/* End the program because of how the command was called. */
void opts_wrong(const struct command *, const char *fmt, ...)
    __attribute__((__noreturn__, __format__(__printf__, 2, 3)));
/* The argument just met as a format, a size, or human (0) or json (1). */
const struct img_format *opts_format(const struct command *);
uint64_t opts_size(const struct command *);
int opts_output(const struct command *);
/* Is this one of OPT_ROW_REFS or OPT_SNAPSHOT?  Then it is in there now. */
int opts_how(const struct command *, int id, struct how *);
/* Add the argument to what -o said before; room for names of 1023 bytes. */
#define OPTS_MAX 8192
void opts_join(const struct command *, char *buf);
/* Add name=value, with the commas in it doubled. */
void opts_add(const struct command *, char *buf, const char *name,
    const char *value);
void print_help(const struct command *);

#define OPT_OPERAND 1  /* a row of the help: an operand of the form x=y */
#define OPT_OUTPUT 256 /* ids that mean the same everywhere */
#define OPT_CHAIN 257
#define OPT_NOCLOBBER 258
#define OPT_FORCE 259
#define OPT_BACKING 260
#define OPT_BACKING_FORMAT 261
#define OPT_DATA_FILE 262
#define OPT_NO_BACKING 263
#define OPT_SNAPSHOT 264
#define OPT_OWN 300 /* a command's own start here */

#define OPT_ROW_FORMAT                                            \
	{                                                         \
		'f', "format", "FMT",                             \
		    "format of the image; found out if not given" \
	}
#define OPT_ROW_OUTPUT                                                        \
	{                                                                     \
		OPT_OUTPUT, "output", "human|json", "how to print the result" \
	}
#define OPT_ROW_QUIET                                          \
	{                                                      \
		'q', "quiet", NULL, "print nothing but errors" \
	}
#define OPT_ROW_PROGRESS                                              \
	{                                                             \
		'p', "progress", NULL, "show progress, on a terminal" \
	}
#define OPT_ROW_OPTIONS                            \
	{                                          \
		'o', "options", "NAME=VALUE,...",  \
		    "of the format; -o help lists" \
	}
#define OPT_ROW_RESULT                                                 \
	{ OPT_NOCLOBBER, "no-clobber", NULL, "never replace a file" }, \
	{                                                              \
		OPT_FORCE, "force", NULL,                              \
		    "replace one with other hard links too"            \
	}
#define OPT_ROW_BEHIND                                       \
	{                                                    \
		OPT_BACKING_FORMAT, "backing-format", "FMT", \
		    "format of the backing file"             \
	}
/* What stands in place of what an image references. */
#define OPT_ROW_REFS                                                        \
	{ OPT_BACKING, "backing", "FILE", "in place of its backing file" }, \
	    OPT_ROW_BEHIND,                                                 \
	    { OPT_NO_BACKING, "no-backing", NULL, "read the image alone" }, \
	{                                                                   \
		OPT_DATA_FILE, "data-file", "FILE",                         \
		    "in place of its data file"                             \
	}
#define OPT_HELP_SNAPSHOT "the disk as this snapshot has it"
#define OPT_ROW_END                                       \
	{ 'h', "help", NULL, "show this text and exit" }, \
	{                                                 \
		0                                         \
	}

/* ------------------------------------------------------------------------
 * imgtool.c
 */

/* The exit status when the work ended with this one: see to stdout first. */
int finish(int status, int error);
/* How the program was called. */
extern char **command_line;

/* ------------------------------------------------------------------------
 * size.c
 */

/* 1, 0x1000, 4k, 4KiB, 2T: powers of 1024.  0, EINVAL or EFBIG. */
int size_parse(const char *, uint64_t *);
/* As dd(1) has it: 512, 2b, 4kB, 4K, 1MiB, 2x512. */
int size_parse_dd(const char *, uint64_t *);
/* "1.5 MiB", in a buffer of SIZE_TEXT bytes. */
#define SIZE_TEXT 48
const char *size_text(char *buf, uint64_t);

/* ------------------------------------------------------------------------
 * print.c: text.  What comes from an image, or is a file's name, is printed
 * with control characters escaped.
 */

/* One line on stderr: "imgtool: FILE: what"; FILE may be NULL. */
void complain(const char *file, const char *fmt, ...)
    __attribute__((__format__(__printf__, 2, 3)));
/* "imgtool: FILE: words for the error". */
void complain_errno(const char *file, int error);
/* The same with a command at the end: this one, with one option more. */
void complain_permit(const char *file, const char *text, int letter,
    const char *value);
/* "imgtool: FILE: ROW at OFFSET: ..." with "warning: " before the row. */
void complain_finding(const char *file, const struct img_finding *, int warn);
/* The same where it is why a command refuses, and what helps if that is sure. */
void complain_refused(const char *file, const struct img_finding *);
const char *error_text(int error);

void print_safe(FILE *, const char *);
/* "ROW at OFFSET: text ..." without a newline. */
void print_finding(FILE *, const struct img_finding *);
const char *severity_text(enum img_severity);

/* ------------------------------------------------------------------------
 * json.c: on stdout.  The key is NULL inside an array.
 */

void json_begin(const char *key, int bracket); /* '{' or '[' */
void json_begin_line(const char *key);         /* an object on one line */
void json_end(int bracket);                    /* '}' or ']' */
void json_str(const char *key, const char *);
void json_num(const char *key, uint64_t);
void json_bool(const char *key, int);
void json_finding(const struct img_finding *);
/* "filename", "format" and "format-name", as every object has them. */
void json_image(const char *file, const struct img_format *);

/* The code point at *s, which moves on; -1 for a byte that is no UTF-8. */
long utf8_next(const char **s);

/* ------------------------------------------------------------------------
 * image.c: an image that a command works on.
 */

#define IMAGE_WARNINGS 8u

/* How to open an image; all 0: read what is found out, with what it names. */
struct how {
	const struct img_format *h_format; /* NULL: by probing */
	unsigned h_flags;                  /* IMG_* */
	unsigned h_chain;                  /* IMG_CHAIN_* */
	enum img_allows h_need;            /* the least it must allow */
	int h_letter;          /* of the option that states the format; 0: f */
	const char *h_backing; /* these and the next: NULL as recorded */
	const struct img_format *h_backing_format;
	const struct img_format *h_expected; /* see ca_expected */
	const char *h_data_file;
	const char *h_snapshot; /* NULL: as the disk is now */
};

struct image {
	const char *i_name;
	struct img_chain *i_chain;
	struct img_file *i_file;
	struct img *i_img;
	const struct img_format *i_format;
	struct img_finding i_limit; /* the row that limits it most */
	struct img_finding i_warn[IMAGE_WARNINGS];
	unsigned i_nwarn; /* may be more */
};

/* As img_host_open; what goes wrong is told. */
int file_open(struct img_file **, const char *name, unsigned flags);

/*
 * Open an image, by path or in a file that stays the caller's.  What goes
 * wrong is told, and what is corrupt in it too.
 */
int image_open(struct image *, const char *name, struct img_file *,
    const struct how *);
/* Tell why one of its chain could not be opened. */
void image_tell_chain(const char *name, const struct img_chain_args *,
    int error, int letter);
/* Tell why reading or writing at voff failed. */
void image_complain(struct image *, int error, uint64_t voff);
/*
 * Is this, which is open or has that name, among the files that it is made
 * of?  From 1 on the first, the image's own, does not count.
 */
int image_has(const struct image *, int fd);
int image_has_path(const struct image *, unsigned from, const char *path);
/* Close the image with all that it opened; an error is told and returned. */
int image_close(struct image *);
/*
 * Take the image from under a failed job: nothing is told.  1 where a fresh
 * one had been written to.
 */
int image_drop(struct image *);

/* snapshot.c: the id of the one that h_snapshot means, if it says so. */
int snapshot_id(const char *name, const struct how *, char **idp);

/* ------------------------------------------------------------------------
 * output.c: results.  What goes wrong is told.
 */

struct host_output;

/* flags are HOST_NOCLOBBER and HOST_FORCE. */
int output_open(struct host_output **, const char *path, unsigned flags);
int output_commit(struct host_output *, const char *path);
/*
 * img_create: an empty image in a new file; opts is "" or as for -o.  Where
 * it shall have a data file, that is made too: *made is for output_data_end,
 * which removes it again after a failure.
 */
int output_create(struct img_file *, const char *path,
    const struct img_format *, uint64_t size, const char *opts, char **made);
void output_data_end(char *made, int failed);
/* The IMG_* flags that opts, as for -o, ask for. */
unsigned output_flags(const char *opts);
/* Is this "-o help"?  Then the format's options were printed. */
int output_help(const struct img_format *, const char *opts);

/* ------------------------------------------------------------------------
 * progress.c
 */

/* Progress of this from now on; shown all the time or on request only. */
void progress_start(const char *what, int show);
int progress_poll(void *arg, uint64_t done, uint64_t total);
void progress_end(void);

/* ------------------------------------------------------------------------
 * stream.c: raw bytes to a descriptor.  What goes wrong is told.
 */

#define STREAM_BUF (1u << 20) /* what is moved at once */
#define GRAIN 4096u           /* zeros are looked for in pieces of this */

struct stream {
	int st_fd;
	const char *st_name;
	int st_sparse;    /* an empty file: zeros are skipped over */
	int st_skipped;   /* and were, last */
	uint64_t st_done; /* bytes, with those skipped */
};

void stream_init(struct stream *, int fd, const char *name, int sparse);
int stream_write(struct stream *, const void *, size_t);
int stream_zero(struct stream *, uint64_t);
/* A range of the disk; buf has STREAM_BUF bytes. */
int stream_guest(struct stream *, struct image *, uint64_t voff, uint64_t len,
    void *buf);
/* What was only skipped over becomes real. */
int stream_finish(struct stream *);
/* How far they are all zeros, or not, by aligned pieces of GRAIN. */
size_t zero_run(const char *, size_t len, uint64_t where, int *zero);

/* ------------------------------------------------------------------------
 * input.c: raw bytes from standard input.  What goes wrong is told.
 */

extern const char stdin_name[];

/* Is it a file, and at its start? */
int input_is_file(void);
int input_read(void *, size_t len, size_t *got);
int input_to_file(struct img_file *, const char *name, int sparse);
/* With sparse, zeros take no space; inplace, the disk may have old data. */
int input_to_image(struct image *, uint64_t size, int sparse, int inplace);
/* It is longer than --size says: EFBIG. */
int input_too_long(uint64_t size);
/* The same, as far as it is known beforehand: 1 and a complaint, or 0. */
int input_exceeds(uint64_t size);

#endif /* IMGTOOL_H */
