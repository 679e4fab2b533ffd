/* SPDX-License-Identifier: ISC */

/*
 * imgtool map: where the bytes of the virtual disk live.
 */

#include <inttypes.h>
#include <string.h>

#include "imgtool.h"
#include "host/host.h"

#define OPT_TOTALS (OPT_OWN + 0)

static const struct opt options[] = { OPT_ROW_FORMAT, OPT_ROW_OUTPUT,
	{ 's', "start", "OFFSET", "begin at this byte of the disk" },
	{ 's', "start-offset", "OFFSET", NULL },
	{ 'l', "length", "SIZE", "tell of so many bytes" },
	{ 'l', "max-length", "SIZE", NULL },
	{ OPT_TOTALS, "totals", NULL, "how much there is of each kind" },
	OPT_ROW_REFS, { OPT_SNAPSHOT, "snapshot", "NAME", OPT_HELP_SNAPSHOT },
	OPT_ROW_END };

static const char *const kinds[] = { [IMG_HOLE] = "hole",
	[IMG_ZERO] = "zero",
	[IMG_DATA] = "data",
	[IMG_PACKED] = "compressed",
	[IMG_BAD] = "bad" };
#define NKINDS 5

struct map {
	struct image m_image;
	int m_json;
	int m_totals;
	struct img_extent m_last; /* not printed yet; it may grow */
	unsigned m_depth;
	uint64_t m_sum[NKINDS];
	uint64_t m_count;
};

static const char *
row_name(char *buf, size_t len, enum img_row row)
{
	const struct img_rowdesc *r = img_row(row);

	snprintf(buf, len, "%s-%u", r->r_format, r->r_number);
	return (buf);
}

static void
print_json(const struct map *m)
{
	const struct img_extent *e = &m->m_last;
	int data = e->e_type == IMG_DATA || e->e_type == IMG_PACKED;
	char row[32];

	json_begin_line(NULL);
	json_num("start", e->e_voff);
	json_num("length", e->e_len);
	json_num("depth", m->m_depth);
	json_bool("present", e->e_type != IMG_HOLE);
	json_bool("zero", e->e_type == IMG_HOLE || e->e_type == IMG_ZERO);
	json_bool("data", data);
	json_bool("compressed", e->e_type == IMG_PACKED);
	if (e->e_off != IMG_NOWHERE)
		json_num("offset", e->e_off);
	if (e->e_type == IMG_BAD)
		json_str("bad", row_name(row, sizeof(row), e->e_row));
	json_end('}');
}

static void
print_text(const struct map *m)
{
	const struct img_extent *e = &m->m_last;
	const struct img_chain *ch = m->m_image.i_chain;
	char at[32] = "-", row[32];

	if (e->e_off != IMG_NOWHERE)
		snprintf(at, sizeof(at), "%#" PRIx64, e->e_off);
	printf("%#-15" PRIx64 " %#-15" PRIx64 " %-15s %-10s ", e->e_voff,
	    e->e_len, at, kinds[e->e_type]);
	if (e->e_type == IMG_BAD)
		printf("%s ", row_name(row, sizeof(row), e->e_row));
	print_safe(stdout,
	    e->e_file == 1 ? host_chain_data_path(ch, m->m_depth) :
			     img_chain_path(ch, m->m_depth));
	putchar('\n');
}

static void
put(struct map *m)
{
	if (m->m_last.e_len == 0)
		return;
	m->m_sum[m->m_last.e_type] += m->m_last.e_len;
	m->m_count++;
	if (m->m_totals)
		return;
	if (m->m_json)
		print_json(m);
	else
		print_text(m);
}

/* Runs that lie behind each other on the disk and in the file are one. */
static void
add(struct map *m, struct img_extent *e, unsigned depth)
{
	struct img_extent *l = &m->m_last;

	if (e->e_type == IMG_PACKED)
		e->e_off = IMG_NOWHERE;
	if (l->e_len > 0 && l->e_type == e->e_type && depth == m->m_depth &&
	    l->e_row == e->e_row && l->e_file == e->e_file &&
	    (l->e_off == IMG_NOWHERE ? e->e_off == IMG_NOWHERE :
				       e->e_off == l->e_off + l->e_len)) {
		l->e_len += e->e_len;
		return;
	}
	put(m);
	*l = *e;
	m->m_depth = depth;
}

static int
walk(struct map *m, uint64_t voff, uint64_t len)
{
	uint64_t at, end = voff + len;
	struct img_extent e;
	struct img *owner;
	unsigned depth;
	int error;

	for (at = voff; at < end; at += e.e_len) {
		error = img_walk(m->m_image.i_img, at, end - at, &e, &owner,
		    &depth);
		if (error != 0) {
			image_complain(&m->m_image, error, at);
			return (error);
		}
		add(m, &e, depth);
		progress_poll(NULL, at - voff, len);
	}
	put(m);
	return (0);
}

static void
print_totals(const struct map *m, uint64_t voff, uint64_t len)
{
	char buf[SIZE_TEXT];
	int k;

	if (m->m_json) {
		json_begin(NULL, '{');
		json_num("schema", 1);
		json_image(m->m_image.i_name, m->m_image.i_format);
		json_num("start", voff);
		json_num("length", len);
		json_num("extents", m->m_count);
	}
	for (k = 0; k < NKINDS; k++) {
		if (m->m_json)
			json_num(kinds[k], m->m_sum[k]);
		else
			printf("%s: %s (%" PRIu64 " bytes)\n", kinds[k],
			    size_text(buf, m->m_sum[k]), m->m_sum[k]);
	}
	if (m->m_json)
		json_end('}');
	else
		printf("extents: %" PRIu64 "\n", m->m_count);
}

static int
map(struct map *m, uint64_t voff, uint64_t len)
{
	uint64_t size = img_size(m->m_image.i_img);
	int error;

	if (voff > size) {
		complain(m->m_image.i_name,
		    "start is beyond the end of the disk, %" PRIu64, size);
		return (1);
	}
	if (len > size - voff)
		len = size - voff;
	if (m->m_json && !m->m_totals)
		json_begin(NULL, '[');
	else if (!m->m_totals)
		printf("%-15s %-15s %-15s %-10s %s\n", "Offset", "Length",
		    "Mapped to", "Kind", "File");
	progress_start("map", 0);
	error = walk(m, voff, len);
	if (m->m_json && !m->m_totals)
		json_end(']');
	else if (m->m_totals && error == 0)
		print_totals(m, voff, len);
	return (error != 0);
}

static int
map_main(int argc, char **argv)
{
	const struct command *c = &cmd_map;
	struct how how = { .h_need = IMG_ALLOW_MAP };
	uint64_t voff = 0, len = UINT64_MAX;
	struct map m;
	int id, status;

	memset(&m, 0, sizeof(m));
	while ((id = opts_next(c, argc, argv)) != -1) {
		if (id == 'f')
			how.h_format = opts_format(c);
		else if (id == OPT_OUTPUT)
			m.m_json = opts_output(c);
		else if (id == 's')
			voff = opts_size(c);
		else if (id == 'l')
			len = opts_size(c);
		else if (!opts_how(c, id, &how))
			m.m_totals = 1;
	}
	argv = opts_operands(c, argc, argv, 1);
	if (image_open(&m.m_image, argv[0], NULL, &how) != 0)
		return (1);
	status = map(&m, voff, len);
	return (image_close(&m.m_image) != 0 ? 1 : status);
}

const struct command cmd_map = { "map", "tell where the bytes of a disk are",
	"[OPTION ...] FILE", options, 1, map_main };
