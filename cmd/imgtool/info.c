/* SPDX-License-Identifier: ISC */

/*
 * imgtool info: what an image says about itself.
 */

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "imgtool.h"

static const struct opt options[] = { OPT_ROW_FORMAT, OPT_ROW_OUTPUT,
	{ OPT_CHAIN, "backing-chain", NULL, "the images behind it too" },
	OPT_ROW_END };

/* Where the items of a format are printed. */
struct sink {
	int s_json;
	int s_named; /* what stands outside of "format-specific" was printed */
	int s_begun;
	int s_depth;
	const char *s_type;
};

static const char *
time_text(char *buf, size_t len, uint64_t n)
{
	time_t t = (time_t)n;
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL ||
	    strftime(buf, len, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		snprintf(buf, len, "%" PRId64, (int64_t)n);
	return (buf);
}

/* Names that do not depend on the format. */
static int
is_common(const struct img_item *it)
{
	return (it->it_kind == IMG_K_STR &&
	    strncmp(it->it_key, "backing-filename", 16) == 0);
}

static void
json_item(struct sink *s, const struct img_item *it)
{
	char buf[64];

	if (is_common(it) == s->s_named)
		return;
	if (!s->s_named) {
		json_str(it->it_key, it->it_str);
		return;
	}
	if (!s->s_begun) {
		s->s_begun = 1;
		json_begin("format-specific", '{');
		json_str("type", s->s_type);
		json_begin("data", '{');
	}
	if (it->it_kind == IMG_K_BEGIN)
		json_begin(it->it_key, '{');
	else if (it->it_kind == IMG_K_END)
		json_end('}');
	else if (it->it_kind == IMG_K_STR)
		json_str(it->it_key, it->it_str);
	else if (it->it_kind == IMG_K_BOOL)
		json_bool(it->it_key, it->it_num != 0);
	else if (it->it_kind == IMG_K_TIME)
		json_str(it->it_key, time_text(buf, sizeof(buf), it->it_num));
	else
		json_num(it->it_key, it->it_num);
}

static void
print_value(const struct img_item *it)
{
	char buf[64];

	switch (it->it_kind) {
	case IMG_K_STR:
		print_safe(stdout, it->it_str);
		break;
	case IMG_K_BOOL:
		fputs(it->it_num != 0 ? "true" : "false", stdout);
		break;
	case IMG_K_TIME:
		fputs(time_text(buf, sizeof(buf), it->it_num), stdout);
		break;
	case IMG_K_HEX:
		printf("0x%" PRIx64, it->it_num);
		break;
	case IMG_K_BYTES:
		printf("%s (%" PRIu64 " bytes)", size_text(buf, it->it_num),
		    it->it_num);
		break;
	default:
		printf("%" PRIu64, it->it_num);
	}
}

static void
print_item(struct sink *s, const struct img_item *it)
{
	const char *p;

	if (it->it_kind == IMG_K_END) {
		s->s_depth--;
		return;
	}
	printf("%*s", 4 * s->s_depth, "");
	for (p = it->it_key; *p != '\0'; p++)
		putchar(*p == '-' ? ' ' : *p);
	putchar(':');
	if (it->it_kind == IMG_K_BEGIN) {
		s->s_depth++;
	} else {
		putchar(' ');
		print_value(it);
	}
	putchar('\n');
}

static int
item(void *arg, const struct img_item *it)
{
	struct sink *s = arg;

	if (s->s_json)
		json_item(s, it);
	else
		print_item(s, it);
	return (0);
}

static int
info_json(struct image *i, uint64_t used, int chain)
{
	const char *alias = img_format_alias(i->i_format);
	struct sink s = { .s_json = 1 };
	int error;

	s.s_type = alias != NULL ? alias : img_format_name(i->i_format);
	if (chain)
		json_begin(NULL, '[');
	json_begin(NULL, '{');
	json_num("schema", 1);
	json_image(i->i_name, i->i_format);
	json_num("virtual-size", img_size(i->i_img));
	json_num("actual-size", used);
	json_bool("dirty-flag", 0);
	if (img_unit(i->i_img) != 0)
		json_num("cluster-size", img_unit(i->i_img));
	error = img_info(i->i_img, item, &s);
	s.s_named = 1;
	if (error == 0)
		error = img_info(i->i_img, item, &s);
	if (s.s_begun) {
		json_end('}');
		json_end('}');
	}
	json_end('}');
	if (chain)
		json_end(']');
	return (error);
}

static int
info_text(struct image *i, uint64_t used)
{
	struct sink s = { 0 };
	char buf[SIZE_TEXT];

	fputs("image: ", stdout);
	print_safe(stdout, i->i_name);
	printf("\nfile format: %s\n", img_format_name(i->i_format));
	printf("virtual size: %s (%" PRIu64 " bytes)\n",
	    size_text(buf, img_size(i->i_img)), img_size(i->i_img));
	printf("disk size: %s\n", size_text(buf, used));
	if (img_unit(i->i_img) != 0)
		printf("cluster_size: %" PRIu32 "\n", img_unit(i->i_img));
	return (img_info(i->i_img, item, &s));
}

static int
info_main(int argc, char **argv)
{
	const struct command *c = &cmd_info;
	const struct img_format *fmt = NULL;
	int id, error, json = 0, chain = 0;
	struct image i;
	struct stat st;
	uint64_t used;

	while ((id = opts_next(c, argc, argv)) != -1) {
		if (id == 'f')
			fmt = opts_format(c);
		else if (id == OPT_OUTPUT)
			json = opts_output(c);
		else
			chain = 1;
	}
	argv = opts_operands(c, argc, argv, 1);
	if (image_open(&i, argv[0], fmt, 0, IMG_ALLOW_MAP) != 0)
		return (1);
	if (fstat(img_host_fd(i.i_file), &st) == -1)
		memset(&st, 0, sizeof(st));
	used = (uint64_t)st.st_blocks * 512;
	error = json ? info_json(&i, used, chain) : info_text(&i, used);
	if (error != 0)
		complain_errno(i.i_name, error);
	if (image_close(&i) != 0 || error != 0)
		return (1);
	return (0);
}

const struct command cmd_info = { "info", "tell what an image is",
	"[-f FMT] [--output=human|json] FILE", options, 1, info_main };
