/* SPDX-License-Identifier: ISC */

/* A host file in memory: counters, a log, and failures on request. */

#include "unit/help/test.h"

#define SECTOR_START(off) ((off) & ~(uint64_t)(IMG_SECTOR - 1))

static struct mem *
mem_of(struct img_file *f)
{
	return ((struct mem *)(void *)f);
}

static uint8_t *
chunk_for(struct mem *m, uint64_t off)
{
	size_t i = (size_t)(off >> m->m_shift), n;

	if (i >= m->m_nchunks) {
		n = i + 1 + i / 2;
		m->m_chunk = realloc(m->m_chunk, n * sizeof(*m->m_chunk));
		if (m->m_chunk == NULL)
			abort();
		memset(m->m_chunk + m->m_nchunks, 0,
		    (n - m->m_nchunks) * sizeof(*m->m_chunk));
		m->m_nchunks = n;
	}
	if (m->m_chunk[i] == NULL) {
		m->m_chunk[i] = malloc((size_t)1 << m->m_shift);
		if (m->m_chunk[i] == NULL)
			abort();
		memset(m->m_chunk[i], m->m_fill, (size_t)1 << m->m_shift);
	}
	return (m->m_chunk[i]);
}

static size_t
part(const struct mem *m, uint64_t off, size_t n)
{
	size_t room = ((size_t)1 << m->m_shift) -
	    (size_t)(off & (((uint64_t)1 << m->m_shift) - 1));

	return (n < room ? n : room);
}

static void
store(struct mem *m, uint64_t off, const uint8_t *p, size_t n)
{
	size_t k;

	for (; n > 0; n -= k, off += k, p += k) {
		k = part(m, off, n);
		memcpy(chunk_for(m, off) +
			(off & (((uint64_t)1 << m->m_shift) - 1)),
		    p, k);
	}
}

static void
load(const struct mem *m, uint64_t off, uint8_t *p, size_t n)
{
	size_t k, i;

	for (; n > 0; n -= k, off += k, p += k) {
		k = part(m, off, n);
		i = (size_t)(off >> m->m_shift);
		if (i < m->m_nchunks && m->m_chunk[i] != NULL)
			memcpy(p,
			    m->m_chunk[i] +
				(off & (((uint64_t)1 << m->m_shift) - 1)),
			    k);
		else
			memset(p, m->m_fill, k);
	}
}

/* What lies beyond the end is never seen again. */
static void
forget(struct mem *m, uint64_t from, uint64_t to)
{
	uint64_t off, size = (uint64_t)1 << m->m_shift;
	size_t i, n;

	for (off = from; off < to; off += n) {
		n = part(m, off, (size_t)img_min(to - off, size));
		i = (size_t)(off >> m->m_shift);
		if (i >= m->m_nchunks)
			break;
		if (m->m_chunk[i] != NULL)
			memset(m->m_chunk[i] + (off & (size - 1)), m->m_fill,
			    n);
	}
}

void
mem_set_len(struct mem *m, uint64_t len)
{
	if (len < m->m_len)
		forget(m, len, m->m_len);
	m->m_len = len;
}

/* Counts the call; not 0 when it has to fail. */
static int
enter(struct mem *m, enum mem_op op)
{
	uint64_t n = ++m->m_calls[op];

	if (m->m_fail[op] == 0 ||
	    (m->m_forever ? n < m->m_fail[op] : n != m->m_fail[op]))
		return (0);
	m->m_failed++;
	return (m->m_error);
}

static int
op_read(struct img_file *f, void *buf, uint32_t len, uint64_t off)
{
	struct mem *m = mem_of(f);
	int error;

	error = enter(m, MEM_READ);
	if (error != 0)
		return (error);
	if (!img_inside(off, len, m->m_len)) {
		m->m_past++;
		return (EIO);
	}
	m->m_rbytes += len;
	load(m, off, buf, len);
	return (0);
}

static int
op_write(struct img_file *f, const void *buf, uint32_t len, uint64_t off)
{
	struct mem *m = mem_of(f);
	int error;

	error = enter(m, MEM_WRITE);
	if (error != 0 && m->m_half)
		len /= 2;
	else if (error != 0)
		return (error);
	if (off + len > m->m_len) {
		if (m->m_file.f_flags & IMG_FILE_FIXED)
			return (ENOSPC);
		mem_set_len(m, off + len);
	}
	store(m, off, buf, len);
	m->m_wbytes += len;
	if (m->m_log != NULL)
		mem_log_add(m->m_log, m, MEM_WRITE, off, len);
	return (error);
}

static int
op_barrier(struct img_file *f)
{
	struct mem *m = mem_of(f);
	int error;

	error = enter(m, MEM_BARRIER);
	if (error == 0 && m->m_log != NULL)
		mem_log_add(m->m_log, m, MEM_BARRIER, 0, 0);
	return (error);
}

static int
op_length(struct img_file *f, uint64_t *len)
{
	struct mem *m = mem_of(f);
	int error;

	error = enter(m, MEM_LENGTH);
	if (error == 0)
		*len = m->m_len;
	return (error);
}

static int
op_resize(struct img_file *f, uint64_t len)
{
	struct mem *m = mem_of(f);
	int error;

	error = enter(m, MEM_RESIZE);
	if (error == 0 && (m->m_file.f_flags & IMG_FILE_FIXED))
		error = EINVAL;
	if (error != 0)
		return (error);
	mem_set_len(m, len);
	if (m->m_log != NULL)
		mem_log_add(m->m_log, m, MEM_RESIZE, len, 0);
	return (0);
}

static int
op_extent(struct img_file *f, uint64_t off, uint64_t *len, int *data)
{
	struct mem *m = mem_of(f);
	size_t i;
	int error;

	error = enter(m, MEM_EXTENT);
	if (error != 0)
		return (error);
	i = (size_t)(off >> m->m_shift);
	*data = i < m->m_nchunks && m->m_chunk[i] != NULL;
	*len = part(m, off, (size_t)*len);
	return (0);
}

static int
op_zero(struct img_file *f, uint64_t off, uint64_t len)
{
	static const uint8_t zeros[IMG_SECTOR];
	struct mem *m = mem_of(f);
	uint64_t n, at = off, end = off + len;
	int error;

	error = enter(m, MEM_ZERO);
	if (error != 0)
		return (error);
	for (; at < end; at += n) {
		n = img_min(end - at, sizeof(zeros));
		store(m, at, zeros, (size_t)n);
	}
	if (m->m_log != NULL)
		mem_log_add(m->m_log, m, MEM_WRITE, off, len);
	return (0);
}

void
mem_file(struct mem *m, uint64_t len)
{
	memset(m, 0, sizeof(*m));
	m->m_ops.fo_read = op_read;
	m->m_ops.fo_write = op_write;
	m->m_ops.fo_barrier = op_barrier;
	m->m_ops.fo_length = op_length;
	m->m_ops.fo_resize = op_resize;
	m->m_ops.fo_extent = op_extent;
	m->m_ops.fo_zero = op_zero;
	m->m_file.f_ops = &m->m_ops;
	m->m_file.f_flags = IMG_FILE_ZEROES;
	m->m_len = len;
	m->m_shift = 12;
	m->m_error = EIO;
}

void
mem_device(struct mem *m, uint64_t len)
{
	mem_file(m, len);
	m->m_file.f_flags = IMG_FILE_FIXED;
	m->m_ops.fo_extent = NULL;
	m->m_ops.fo_zero = NULL;
	m->m_fill = 0xa5;
}

void
mem_large(struct mem *m)
{
	m->m_shift = 20;
}

void
mem_free(struct mem *m)
{
	size_t i;

	for (i = 0; i < m->m_nchunks; i++)
		free(m->m_chunk[i]);
	free(m->m_chunk);
	m->m_chunk = NULL;
	m->m_nchunks = 0;
}

void
mem_put(struct mem *m, uint64_t off, const void *p, size_t n)
{
	if (off + n > m->m_len)
		m->m_len = off + n;
	store(m, off, p, n);
}

void
mem_get(const struct mem *m, uint64_t off, void *p, size_t n)
{
	if (!img_inside(off, n, m->m_len))
		fail_msg("test reads past the end of its file");
	load(m, off, p, n);
}

void
mem_put32(struct mem *m, uint64_t off, uint32_t n)
{
	uint8_t b[4];

	img_put_be32(b, n);
	mem_put(m, off, b, sizeof(b));
}

void
mem_put64(struct mem *m, uint64_t off, uint64_t n)
{
	uint8_t b[8];

	img_put_be64(b, n);
	mem_put(m, off, b, sizeof(b));
}

uint32_t
mem_get32(const struct mem *m, uint64_t off)
{
	uint8_t b[4];

	mem_get(m, off, b, sizeof(b));
	return (img_be32(b));
}

int
mem_is(const struct mem *m, uint64_t off, size_t len, uint8_t b)
{
	uint8_t buf[IMG_SECTOR];
	size_t n, i;

	for (; len > 0; len -= n, off += n) {
		n = len < sizeof(buf) ? len : sizeof(buf);
		mem_get(m, off, buf, n);
		for (i = 0; i < n; i++)
			if (buf[i] != b)
				return (0);
	}
	return (1);
}

void
mem_copy(struct mem *to, const struct mem *from)
{
	size_t i, size = (size_t)1 << from->m_shift;

	mem_free(to);
	*to = *from;
	to->m_file.f_ops = &to->m_ops;
	to->m_chunk = calloc(from->m_nchunks + 1, sizeof(*to->m_chunk));
	if (to->m_chunk == NULL)
		abort();
	for (i = 0; i < from->m_nchunks; i++) {
		if (from->m_chunk[i] == NULL)
			continue;
		to->m_chunk[i] = malloc(size);
		if (to->m_chunk[i] == NULL)
			abort();
		memcpy(to->m_chunk[i], from->m_chunk[i], size);
	}
	to->m_log = NULL;
	mem_reset(to);
}

int
mem_equal(const struct mem *a, const struct mem *b)
{
	uint8_t x[IMG_SECTOR], y[IMG_SECTOR];
	uint64_t off;
	size_t n;

	if (a->m_len != b->m_len)
		return (0);
	for (off = 0; off < a->m_len; off += n) {
		n = (size_t)img_min(a->m_len - off, sizeof(x));
		load(a, off, x, n);
		load(b, off, y, n);
		if (memcmp(x, y, n) != 0)
			return (0);
	}
	return (1);
}

void
mem_reset(struct mem *m)
{
	memset(m->m_calls, 0, sizeof(m->m_calls));
	memset(m->m_fail, 0, sizeof(m->m_fail));
	m->m_rbytes = m->m_wbytes = m->m_failed = 0;
	m->m_forever = m->m_half = 0;
}

void
mem_log_add(struct mem_log *lg, const struct mem *m, enum mem_op op,
    uint64_t off, uint64_t len)
{
	struct mem_logged *l;
	uint64_t end;

	if (lg->lg_n == lg->lg_room) {
		lg->lg_room = lg->lg_room * 2 + 64;
		lg->lg_op =
		    realloc(lg->lg_op, lg->lg_room * sizeof(*lg->lg_op));
		if (lg->lg_op == NULL)
			abort();
	}
	l = &lg->lg_op[lg->lg_n++];
	memset(l, 0, sizeof(*l));
	l->l_op = op;
	l->l_file = m->m_id;
	l->l_off = off;
	l->l_len = len;
	if (op != MEM_WRITE)
		return;
	l->l_start = SECTOR_START(off);
	end = img_min(SECTOR_START(off + len + IMG_SECTOR - 1), m->m_len);
	l->l_bytes = (size_t)(end - l->l_start);
	l->l_data = malloc(l->l_bytes + 1);
	if (l->l_data == NULL)
		abort();
	load(m, l->l_start, l->l_data, l->l_bytes);
}

void
mem_log_free(struct mem_log *lg)
{
	size_t i;

	for (i = 0; i < lg->lg_n; i++)
		free(lg->lg_op[i].l_data);
	free(lg->lg_op);
	memset(lg, 0, sizeof(*lg));
}
