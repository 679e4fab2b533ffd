/* SPDX-License-Identifier: ISC */

/*
 * imgtool info: lines for people, as qemu-img has them.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "info.h"
#include "host/host.h"

struct snapshot {
	char *s_id;
	char *s_name;
	uint64_t s_size;
	uint64_t s_date;
	uint64_t s_clock; /* seconds ... */
	uint64_t s_nsec;
	uint64_t s_icount; /* all ones: none */
};

struct sink {
	const struct info *s_info;
	int s_depth;
	unsigned s_next[INFO_DEPTH + 1]; /* of lists: the next one's number */
	int s_rest; /* the line above what is the format's own is printed */
	int s_snapshots; /* within the list of them, and how deep */
	struct snapshot s_snap;
};

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
		fputs(info_time(buf, sizeof(buf), it->it_num), stdout);
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

/* "    some key:", or "[3]:" in a list. */
static void
print_key(struct sink *s, const struct img_item *it)
{
	const char *p;

	printf("%*s", 4 * (s->s_depth + s->s_rest), "");
	if (it->it_key == NULL)
		printf("[%u]", s->s_next[s->s_depth]++);
	else
		for (p = it->it_key; *p != '\0'; p++)
			putchar(*p == '-' ? ' ' : *p);
	putchar(':');
}

static void
print_item(struct sink *s, const struct img_item *it)
{
	if (it->it_kind == IMG_K_END || it->it_kind == IMG_K_ENDLIST) {
		s->s_depth--;
		return;
	}
	print_key(s, it);
	if (it->it_kind == IMG_K_BEGIN || it->it_kind == IMG_K_LIST) {
		if (s->s_depth < INFO_DEPTH)
			s->s_depth++;
		s->s_next[s->s_depth] = 0;
	} else {
		putchar(' ');
		print_value(it);
	}
	putchar('\n');
}

static void
print_padded(const char *s, int width)
{
	int len = s == NULL ? 0 : (int)strlen(s);

	if (s != NULL)
		print_safe(stdout, s);
	printf("%*s", len < width ? width - len : 0, "");
}

static void
print_snapshot(const struct snapshot *s)
{
	char date[32] = "", clock[48], size[SIZE_TEXT], icount[32] = "";
	time_t t = (time_t)s->s_date;
	struct tm tm;

	if (localtime_r(&t, &tm) != NULL)
		strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
	snprintf(clock, sizeof(clock), "%02" PRIu64 ":%02u:%02u.%03u",
	    s->s_clock / 3600, (unsigned)(s->s_clock / 60 % 60),
	    (unsigned)(s->s_clock % 60),
	    (unsigned)(s->s_nsec / 1000000 % 1000));
	if (s->s_icount != UINT64_MAX)
		snprintf(icount, sizeof(icount), "%" PRIu64, s->s_icount);
	print_padded(s->s_id, 9);
	putchar(' ');
	print_padded(s->s_name, 16);
	printf(" %8s%20s%13s%11s\n", size_text(size, s->s_size), date, clock,
	    icount);
}

static void
end_snapshot(struct snapshot *s)
{
	print_snapshot(s);
	free(s->s_id);
	free(s->s_name);
	memset(s, 0, sizeof(*s));
	s->s_icount = UINT64_MAX;
}

static void
keep(char **to, const char *text)
{
	free(*to);
	*to = strdup(text);
}

static void
snapshot_member(struct snapshot *s, const struct img_item *it)
{
	static const char *const keys[] = { "vm-state-size", "date-sec",
		"vm-clock-sec", "vm-clock-nsec", "icount" };
	uint64_t *const to[] = { &s->s_size, &s->s_date, &s->s_clock,
		&s->s_nsec, &s->s_icount };
	size_t i;

	if (it->it_kind == IMG_K_STR && strcmp(it->it_key, "id") == 0)
		keep(&s->s_id, it->it_str);
	else if (it->it_kind == IMG_K_STR && strcmp(it->it_key, "name") == 0)
		keep(&s->s_name, it->it_str);
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strcmp(it->it_key, keys[i]) == 0)
			*to[i] = it->it_num;
}

/* The list of snapshots is a table. */
static void
snapshots(struct sink *s, const struct img_item *it)
{
	if (it->it_kind == IMG_K_LIST) {
		s->s_snapshots++;
		printf("Snapshot list:\n%-9s %-16s %8s%20s%13s%11s\n", "ID",
		    "TAG", "VM SIZE", "DATE", "VM CLOCK", "ICOUNT");
	} else if (it->it_kind == IMG_K_ENDLIST) {
		s->s_snapshots--;
	} else if (it->it_kind == IMG_K_END) {
		end_snapshot(&s->s_snap);
	} else if (it->it_kind != IMG_K_BEGIN) {
		snapshot_member(&s->s_snap, it);
	}
}

static void
print_backing(const struct sink *s, const char *name)
{
	char *path = host_ref_path(s->s_info->f_name, name);

	fputs("backing file: ", stdout);
	print_safe(stdout, name);
	if (path != NULL && strcmp(path, name) != 0) {
		fputs(" (actual path: ", stdout);
		print_safe(stdout, path);
		putchar(')');
	}
	putchar('\n');
	free(path);
}

/* What stands before that which is the format's own. */
static void
print_top(struct sink *s, const struct img_item *it)
{
	if (strcmp(it->it_key, "snapshots") == 0)
		snapshots(s, it);
	else if (strcmp(it->it_key, "backing-filename") == 0)
		print_backing(s, it->it_str);
	else if (strcmp(it->it_key, "backing-filename-format") == 0) {
		fputs("backing file format: ", stdout);
		print_safe(stdout, it->it_str);
		putchar('\n');
	} else if (strcmp(it->it_key, "dirty-flag") == 0) {
		if (it->it_num != 0)
			printf("cleanly shut down: no\n");
	} else if (strcmp(it->it_key, "encrypted") == 0) {
		if (it->it_num != 0)
			printf("encrypted: yes\n");
	} else {
		print_item(s, it);
	}
}

static int
item(void *arg, const struct img_item *it)
{
	struct sink *s = arg;

	if (s->s_snapshots > 0) {
		snapshots(s, it);
	} else if (it->it_top && s->s_depth == 0) {
		print_top(s, it);
	} else {
		if (!s->s_rest && s->s_depth == 0) {
			printf("Format specific information:\n");
			s->s_rest = 1;
		}
		print_item(s, it);
	}
	return (0);
}

int
info_text(const struct info *f)
{
	struct sink s = { .s_info = f, .s_snap.s_icount = UINT64_MAX };
	char buf[SIZE_TEXT];
	int error;

	fputs("image: ", stdout);
	print_safe(stdout, f->f_name);
	printf("\nfile format: %s\n", img_format_name(f->f_format));
	printf("virtual size: %s (%" PRIu64 " bytes)\n",
	    size_text(buf, img_size(f->f_img)), img_size(f->f_img));
	printf("disk size: %s\n", size_text(buf, f->f_used));
	if (img_unit(f->f_img) != 0)
		printf("cluster_size: %" PRIu32 "\n", img_unit(f->f_img));
	error = img_info(f->f_img, item, &s);
	free(s.s_snap.s_id);
	free(s.s_snap.s_name);
	return (error);
}
