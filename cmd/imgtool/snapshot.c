/* SPDX-License-Identifier: ISC */

/*
 * Which snapshot is meant: an id or a name, or as qemu-img has it
 * "snapshot.id=ID,snapshot.name=NAME", of which one will do.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "imgtool.h"
#include "tool/tool.h"

struct search {
	char s_id[OPTS_MAX]; /* "" for any */
	char s_name[OPTS_MAX];
	int s_list;   /* within the list of snapshots ... */
	int s_inside; /* ... and so many objects deep */
	int s_match;
	char *s_this; /* id of the one at hand */
	char *s_found;
};

static int
wanted(const char *want, const char *got)
{
	return (*want == '\0' || strcmp(want, got) == 0);
}

static int
member(struct search *s, const struct img_item *it)
{
	if (it->it_kind != IMG_K_STR || s->s_inside != 1 || it->it_key == NULL)
		return (0);
	if (strcmp(it->it_key, "id") == 0) {
		free(s->s_this);
		if ((s->s_this = strdup(it->it_str)) == NULL)
			return (ENOMEM);
		s->s_match &= wanted(s->s_id, it->it_str);
	} else if (strcmp(it->it_key, "name") == 0) {
		s->s_match &= wanted(s->s_name, it->it_str);
	}
	return (0);
}

static int
item(void *arg, const struct img_item *it)
{
	struct search *s = arg;

	if (it->it_kind == IMG_K_LIST && !s->s_list) {
		s->s_list = strcmp(it->it_key, "snapshots") == 0;
		return (0);
	}
	if (!s->s_list)
		return (0);
	if (it->it_kind == IMG_K_ENDLIST && s->s_inside == 0)
		s->s_list = 0;
	else if (it->it_kind == IMG_K_BEGIN && s->s_inside++ == 0)
		s->s_match = 1;
	else if (it->it_kind == IMG_K_END && --s->s_inside == 0 && s->s_match &&
	    s->s_found == NULL) {
		s->s_found = s->s_this;
		s->s_this = NULL;
	}
	return (member(s, it));
}

/* 0 too where the image cannot be opened: whoever reads it will tell. */
static int
search(struct search *s, const char *name, const struct how *h)
{
	struct img_chain_args ca = { .ca_args.a_format = h->h_format,
		.ca_flags = IMG_CHAIN_TOP };
	struct img_chain *ch;
	int error;

	if (img_chain_open(&ch, name, NULL, &ca) != 0)
		return (0);
	error = img_info(img_chain_image(ch, 0), item, s);
	(void)img_chain_abandon(ch);
	free(s->s_this);
	if (error == 0 && s->s_found == NULL)
		error = ENOENT;
	if (error == ENOENT)
		complain(name, "no snapshot with %s", h->h_snapshot);
	else if (error != 0)
		complain_errno(name, error);
	return (error);
}

/* 1 for the long form, 0 for an id or a name, -1 for neither. */
static int
parse(struct search *s, const char *text)
{
	static const char *const forms[] = { "snapshot.id", "snapshot.name" };
	char *const to[] = { s->s_id, s->s_name };
	int i, error;

	if (strncmp(text, "snapshot.", 9) != 0)
		return (0);
	for (i = 0; i < 2; i++) {
		error = img_opt_get(text, forms[i], to[i], OPTS_MAX);
		if (error != 0 && error != ENOENT)
			return (-1);
	}
	return (*s->s_id != '\0' || *s->s_name != '\0' ? 1 : -1);
}

int
snapshot_id(const char *name, const struct how *h, char **idp)
{
	struct search *s = calloc(1, sizeof(*s));
	int error = 0, form;

	*idp = NULL;
	if (s == NULL) {
		complain_errno(name, ENOMEM);
		return (ENOMEM);
	}
	form = parse(s, h->h_snapshot);
	if (form == 1)
		error = search(s, name, h);
	if (form == -1) {
		complain(name, "%s: no snapshot.id=ID or snapshot.name=NAME",
		    h->h_snapshot);
		error = EINVAL;
	}
	if (error == 0)
		*idp = s->s_found;
	else
		free(s->s_found);
	free(s);
	return (error);
}
