/* SPDX-License-Identifier: ISC */

/* Files in memory, by name; their vnode's lock is their lock. */

#include <fcntl.h>
#include <unistd.h>

#include "driver/host.h"

static struct host_file files[HOST_NFILES];

/* The bytes of a real file; its holes cost nothing. */
static void
load(struct mem *m, const char *from)
{
	static uint8_t buf[65536];
	off_t off = 0, hole, end;
	ssize_t n;
	int fd;

	fd = open(from, O_RDONLY);
	if (fd < 0)
		fail_msg("%s: %s", from, strerror(errno));
	end = lseek(fd, 0, SEEK_END);
	if (end > 1 << 30)
		mem_large(m);
	while ((off = lseek(fd, off, SEEK_DATA)) >= 0) {
		hole = lseek(fd, off, SEEK_HOLE);
		for (; off < hole; off += n) {
			n = pread(fd, buf,
			    (size_t)img_min(sizeof(buf),
				(uint64_t)(hole - off)),
			    off);
			if (n <= 0)
				fail_msg("%s: cannot read", from);
			mem_put(m, (uint64_t)off, buf, (size_t)n);
		}
	}
	mem_set_len(m, (uint64_t)end);
	close(fd);
}

struct host_file *
host_file(const char *name, const char *from)
{
	struct host_file *hf = files;

	while (hf->hf_name != NULL)
		hf++;
	assert_true(hf < files + HOST_NFILES);
	memset(hf, 0, sizeof(*hf));
	hf->hf_name = name;
	hf->hf_node.hn_type = HOST_REG;
	hf->hf_node.hn_major = 4;
	hf->hf_node.hn_ino = 100 + (int)(hf - files);
	mem_file(&hf->hf_mem, 0);
	if (from != NULL)
		load(&hf->hf_mem, from);
	return (hf);
}

void
host_file_log(struct host_file *hf)
{
	hf->hf_mem.m_log = &hf->hf_log;
}

void
host_file_save(const struct host_file *hf, const char *to)
{
	uint8_t buf[65536];
	uint64_t off;
	size_t n;
	FILE *f;

	f = fopen(to, "wb");
	if (f == NULL)
		fail_msg("%s: %s", to, strerror(errno));
	for (off = 0; off < hf->hf_mem.m_len; off += n) {
		n = (size_t)img_min(sizeof(buf), hf->hf_mem.m_len - off);
		mem_get(&hf->hf_mem, off, buf, n);
		if (fwrite(buf, 1, n, f) != n)
			fail_msg("%s: cannot write", to);
	}
	if (fclose(f) != 0)
		fail_msg("%s: cannot write", to);
}

void
host_file_free(struct host_file *hf)
{
	mem_log_free(&hf->hf_log);
	mem_free(&hf->hf_mem);
	free(hf->hf_sync);
	memset(hf, 0, sizeof(*hf));
}

void
host_files_free(void)
{
	int i;

	for (i = 0; i < HOST_NFILES; i++)
		if (files[i].hf_name != NULL)
			host_file_free(&files[i]);
}

void
host_calls_reset(struct host_file *hf)
{
	hf->hf_reads = hf->hf_writes = hf->hf_fsyncs = 0;
}

/* --- for the vnodes ----------------------------------------------------- */

int
host_lookup(const char *name, struct host_node *hn)
{
	int i;

	for (i = 0; i < HOST_NFILES; i++)
		if (files[i].hf_name != NULL &&
		    strcmp(files[i].hf_name, name) == 0) {
			*hn = files[i].hf_node;
			return (i);
		}
	return (-K_ENOENT);
}

unsigned long long
host_length(int node)
{
	return (files[node].hf_mem.m_len);
}

long
host_pread(int node, void *buf, unsigned long len, unsigned long long off)
{
	struct host_file *hf = &files[node];
	struct mem *m = &hf->hf_mem;
	int error;

	hf->hf_reads++;
	if (off >= m->m_len)
		return (0);
	len = (unsigned long)img_min(len, m->m_len - off);
	error = m->m_ops.fo_read(&m->m_file, buf, (uint32_t)len, off);
	return (error != 0 ? -error : (long)len);
}

/* The last entry of the log is stable already. */
static void
mark(struct host_file *hf)
{
	size_t n = hf->hf_log.lg_n, i;

	if (n == 0)
		return;
	if (n > hf->hf_nsync) {
		hf->hf_sync = realloc(hf->hf_sync, n + n / 2);
		if (hf->hf_sync == NULL)
			abort();
		for (i = hf->hf_nsync; i < n + n / 2; i++)
			hf->hf_sync[i] = 0;
		hf->hf_nsync = n + n / 2;
	}
	hf->hf_sync[n - 1] = 1;
}

int
host_pwrite(int node, const void *buf, unsigned long len,
    unsigned long long off, int sync)
{
	struct host_file *hf = &files[node];
	struct mem *m = &hf->hf_mem;
	int error;

	hf->hf_writes++;
	if (hf->hf_room != 0 && off + len > hf->hf_room)
		return (K_ENOSPC);
	error = m->m_ops.fo_write(&m->m_file, buf, (uint32_t)len, off);
	if (sync && error == 0)
		mark(hf);
	return (error);
}

int
host_truncate(int node, unsigned long long len)
{
	struct mem *m = &files[node].hf_mem;

	if (files[node].hf_room != 0 && len > files[node].hf_room)
		return (K_ENOSPC);
	return (m->m_ops.fo_resize(&m->m_file, len));
}

int
host_fsync(int node)
{
	struct mem *m = &files[node].hf_mem;

	files[node].hf_fsyncs++;
	return (m->m_ops.fo_barrier(&m->m_file));
}
