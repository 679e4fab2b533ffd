/* SPDX-License-Identifier: ISC */

/*
 * imgtool info --output=json: an object, in qemu-img's names.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "info.h"
#include "host/host.h"

struct sink {
	const struct info *s_info;
	int s_depth; /* objects and lists of the format that are open */
	int s_rest;  /* 1: what stands beside "filename" is complete ... */
		     /* ... 2: and what is the format's own is begun */
	int s_dirty; /* "dirty-flag" was there */
	char *s_backing;
};

/* What comes last of that which every format has. */
static void
end_top(struct sink *s)
{
	if (s->s_rest > 0)
		return;
	s->s_rest = 1;
	if (s->s_backing != NULL)
		json_str("full-backing-filename", s->s_backing);
	if (!s->s_dirty)
		json_bool("dirty-flag", 0);
	free(s->s_backing);
	s->s_backing = NULL;
}

static void
begin_rest(struct sink *s)
{
	const struct img_format *fmt = s->s_info->f_format;

	end_top(s);
	s->s_rest = 2;
	json_begin("format-specific", '{');
	json_str("type", img_format_alias(fmt));
	json_begin("data", '{');
}

/* What is more to say of some of the items that every format has. */
static int
look(struct sink *s, const struct img_item *it)
{
	if (strcmp(it->it_key, "dirty-flag") == 0)
		s->s_dirty = 1;
	if (strcmp(it->it_key, "backing-filename") != 0)
		return (0);
	free(s->s_backing);
	s->s_backing = host_ref_path(s->s_info->f_name, it->it_str);
	return (s->s_backing == NULL ? ENOMEM : 0);
}

static void
value(const struct img_item *it)
{
	char buf[64];

	if (it->it_kind == IMG_K_STR)
		json_str(it->it_key, it->it_str);
	else if (it->it_kind == IMG_K_BOOL)
		json_bool(it->it_key, it->it_num != 0);
	else if (it->it_kind == IMG_K_TIME)
		json_str(it->it_key, info_time(buf, sizeof(buf), it->it_num));
	else
		json_num(it->it_key, it->it_num);
}

static int
item(void *arg, const struct img_item *it)
{
	struct sink *s = arg;
	int error = 0;

	if (s->s_depth == 0 && !it->it_top && s->s_rest < 2)
		begin_rest(s);
	if (s->s_depth == 0 && it->it_top)
		error = look(s, it);
	if (it->it_kind == IMG_K_BEGIN || it->it_kind == IMG_K_LIST) {
		json_begin(it->it_key, it->it_kind == IMG_K_BEGIN ? '{' : '[');
		s->s_depth++;
	} else if (it->it_kind == IMG_K_END || it->it_kind == IMG_K_ENDLIST) {
		json_end(it->it_kind == IMG_K_END ? '}' : ']');
		s->s_depth--;
	} else {
		value(it);
	}
	return (error);
}

int
info_json(const struct info *f)
{
	struct sink s = { .s_info = f };
	int error;

	json_begin(NULL, '{');
	json_num("schema", 1);
	json_image(f->f_name, f->f_format);
	json_num("virtual-size", img_size(f->f_img));
	json_num("actual-size", f->f_used);
	if (img_unit(f->f_img) != 0)
		json_num("cluster-size", img_unit(f->f_img));
	error = img_info(f->f_img, item, &s);
	for (; s.s_depth > 0; s.s_depth--)
		json_end('}'); /* an error came in between */
	end_top(&s);
	if (s.s_rest == 2) {
		json_end('}');
		json_end('}');
	}
	json_end('}');
	return (error);
}
