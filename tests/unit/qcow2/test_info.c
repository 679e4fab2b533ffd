/* SPDX-License-Identifier: ISC */

/* What is told of an image, be it as damaged as can be. */

#include "unit/help/test.h"

#include "qcow2/tool.h"
#include "unit/help/told.h"

#define CLUSTER 4096u
#define NCLUSTERS 32u
#define SNAPS (8 * CLUSTER)
#define BITMAPS (9 * CLUSTER)
#define LUKS (10 * CLUSTER)
#define EXT 112u

static struct mem_env env;
static struct mem mem;

/* ENXIO where it cannot even be opened. */
static int
info(void)
{
	return (told_of(&env, &mem, &img_qcow2));
}

static void
make(const char *opts)
{
	struct img_create cr = { 0 };
	char all[128];

	mem_env(&env);
	mem_file(&mem, 0);
	snprintf(all, sizeof(all), "cluster_size=4k%s%s", *opts ? "," : "",
	    opts);
	cr.cr_size = 1 << 20;
	cr.cr_opts = all;
	assert_int_equal(img_create(&env.e_env, &mem.m_file, &img_qcow2, &cr),
	    0);
	mem_set_len(&mem, NCLUSTERS * CLUSTER);
}

static void
put_ext(uint32_t at, uint32_t type, uint32_t len)
{
	mem_put32(&mem, at, type);
	mem_put32(&mem, at + 4, len);
}

/* Snapshot "1", of 5 seconds and 7 ns of a machine's time; returns its end. */
static uint64_t
put_snapshot(uint64_t at, const char *id, const char *name, uint32_t extra)
{
	size_t n = strlen(id), m = strlen(name);

	mem_put64(&mem, at, 20 * CLUSTER);
	mem_put32(&mem, at + 8, 1);
	mem_put32(&mem, at + 12, (uint32_t)(n << 16 | m));
	mem_put32(&mem, at + 16, 1000);
	mem_put32(&mem, at + 20, 2000);
	mem_put64(&mem, at + 24, UINT64_C(5000000007));
	mem_put32(&mem, at + 32, 77);
	mem_put32(&mem, at + 36, extra);
	if (extra >= 24) {
		mem_put64(&mem, at + 40, UINT64_C(1) << 40);
		mem_put64(&mem, at + 48, 1 << 20);
		mem_put64(&mem, at + 56, 99);
	}
	mem_put(&mem, at + 40 + extra, id, n);
	mem_put(&mem, at + 40 + extra + n, name, m);
	return ((at + 40 + extra + n + m + 7) / 8 * 8);
}

static uint64_t
put_bitmap(uint64_t at, const char *name, uint32_t flags, unsigned bits)
{
	size_t n = strlen(name);
	uint8_t b[2] = { 1, (uint8_t)bits };

	mem_put64(&mem, at, 21 * CLUSTER);
	mem_put32(&mem, at + 8, 1);
	mem_put32(&mem, at + 12, flags);
	mem_put32(&mem, at + 16, (uint32_t)n);
	mem_put(&mem, at + 16, b, 2);
	mem_put(&mem, at + 24, name, n);
	return ((at + 24 + n + 7) / 8 * 8);
}

static void
add_snapshots(void)
{
	uint64_t at;

	at = put_snapshot(SNAPS, "1", "first", 24);
	(void)put_snapshot(at, "2", "the second", 16);
	mem_put32(&mem, QCOW2_H_NSNAP, 2);
	mem_put64(&mem, QCOW2_H_SNAP_OFF, SNAPS);
}

static void
add_bitmaps(void)
{
	uint64_t at;

	at = put_bitmap(BITMAPS, "b1", 3, 16);
	at = put_bitmap(at, "b2", 0, 9);
	put_ext(EXT, QCOW2_X_BITMAPS, QCOW2_B_LEN);
	mem_put32(&mem, EXT + 8, 2);
	mem_put64(&mem, EXT + 16, at - BITMAPS);
	mem_put64(&mem, EXT + 24, BITMAPS);
	mem_put64(&mem, QCOW2_H_AUTOCLEAR, QCOW2_A_BITMAPS);
}

static void
add_luks(const char *mode)
{
	unsigned i;

	mem_put32(&mem, QCOW2_H_CRYPT, QCOW2_CRYPT_LUKS);
	put_ext(EXT + 32, QCOW2_X_LUKS, 16);
	mem_put64(&mem, EXT + 40, LUKS);
	mem_put64(&mem, EXT + 48, CLUSTER);
	mem_put(&mem, LUKS, QCOW2_LUKS_MAGIC "\0\1", 8);
	mem_put(&mem, LUKS + 8, "aes", 3);
	mem_put(&mem, LUKS + 40, mode, strlen(mode));
	mem_put(&mem, LUKS + 72, "sha256", 6);
	mem_put32(&mem, LUKS + 104, 8);
	mem_put32(&mem, LUKS + 108, 64);
	mem_put32(&mem, LUKS + 164, 4711);
	mem_put(&mem, LUKS + 168, "the-uuid", 8);
	for (i = 0; i < 8; i++)
		mem_put32(&mem, LUKS + 208 + 48 * i, 0xdead);
	mem_put32(&mem, LUKS + 208 + 48, 0x00ac71f3);
	mem_put32(&mem, LUKS + 208 + 48 + 4, 815);
	mem_put32(&mem, LUKS + 208 + 48 + 40, 3);
	mem_put32(&mem, LUKS + 208 + 48 + 44, 4000);
}

static void
a_new_image_is_told_in_full(void **state)
{
	(void)state;
	make("");
	assert_int_equal(info(), 0);
	assert_string_equal(told_text,
	    "dirty-flag=0 | compat=1.1 compression-type=zlib lazy-refcounts=0 "
	    "refcount-bits=16 corrupt=0 extended-l2=0 version=3 "
	    "header-length=112 incompatible-features=0 "
	    "compatible-features=0 autoclear-features=0 l1-size=1 "
	    "l1-offset=12288 refcount-table-offset=4096 "
	    "refcount-table-clusters=1 header-extensions[] ");
	mem_free(&mem);
}

static void
flags_are_told(void **state)
{
	(void)state;
	make("lazy_refcounts=on,refcount_bits=1");
	mem_put64(&mem, QCOW2_H_INCOMPAT, QCOW2_I_DIRTY | QCOW2_I_CORRUPT);
	mem_put64(&mem, QCOW2_H_COMPAT, 0x11);
	assert_int_equal(info(), 0);
	told_has("dirty-flag=1 ");
	told_has("corrupt=1 ");
	told_has("lazy-refcounts=1 ");
	told_has("refcount-bits=1 ");
	told_has("compatible-features=17 ");
	mem_free(&mem);
}

static void
snapshots_are_told(void **state)
{
	(void)state;
	make("");
	add_snapshots();
	assert_int_equal(info(), 0);
	told_has(
	    "snapshots[{id=1 name=first vm-state-size=1099511627776 "
	    "date-sec=1000 date-nsec=2000 vm-clock-sec=5 vm-clock-nsec=7 "
	    "icount=99 } {id=2 name=the second vm-state-size=0 "
	    "date-sec=1000 date-nsec=2000 vm-clock-sec=5 vm-clock-nsec=7 } "
	    "] ");
	told_has("snapshots-offset=32768 ");
	/* The second one ends outside the file. */
	mem_set_len(&mem, SNAPS + 80);
	assert_int_equal(info(), 0);
	told_has("name=first ");
	told_has_not("name=the second");
	mem_free(&mem);
}

static void
bitmaps_are_told_while_they_are_valid(void **state)
{
	(void)state;
	make("");
	add_bitmaps();
	assert_int_equal(info(), 0);
	told_has("bitmaps[{flags[in-use auto ] name=b1 granularity=65536 } "
		 "{flags[] name=b2 granularity=512 } ] ");
	told_has(
	    "header-extensions[{name=bitmaps type=595929205 length=24 } ] ");
	mem_put64(&mem, QCOW2_H_AUTOCLEAR, 0);
	assert_int_equal(info(), 0);
	told_has_not("b1");
	mem_free(&mem);
}

static void
damaged_bitmaps_end_the_list(void **state)
{
	uint8_t b = 64;

	(void)state;
	make("");
	add_bitmaps();
	mem_put(&mem, BITMAPS + 32 + 17, &b, 1);
	assert_int_equal(info(), 0);
	told_has("bitmaps[{flags[in-use auto ] name=b1 granularity=65536 } ] ");
	add_bitmaps();
	/* A name that is longer than the directory, and than the file. */
	mem_put32(&mem, BITMAPS + 32 + 16, 9);
	assert_int_equal(info(), 0);
	told_has("bitmaps[{flags[in-use auto ] name=b1 granularity=65536 } ] ");
	mem_put32(&mem, BITMAPS + 32 + 20, UINT32_MAX);
	assert_int_equal(info(), 0);
	told_has("bitmaps[{flags[in-use auto ] name=b1 granularity=65536 } ] ");
	mem_free(&mem);
}

static void
a_damaged_luks_header_tells_nothing(void **state)
{
	(void)state;
	make("");
	add_bitmaps();
	add_luks("xts-plain64");
	mem_put(&mem, LUKS, "X", 1);
	assert_int_equal(info(), 0);
	told_has("encrypt{format=luks } ");
	mem_free(&mem);
}

static void
encryption_is_told_without_a_key(void **state)
{
	(void)state;
	make("");
	add_bitmaps();
	add_luks("xts-plain64");
	assert_int_equal(info(), 0);
	told_has("encrypted=1 ");
	told_has("encrypt{format=luks cipher-alg=aes-256 cipher-mode=xts "
		 "ivgen-alg=plain64 hash-alg=sha256 uuid=the-uuid "
		 "payload-offset=4096 master-key-iters=4711 "
		 "slots[{active=0 key-offset=0 } "
		 "{active=1 iters=815 key-offset=1536 stripes=4000 } ");
	add_luks("cbc-essiv:sha256");
	assert_int_equal(info(), 0);
	told_has("cipher-alg=aes-512 cipher-mode=cbc ivgen-alg=essiv "
		 "ivgen-hash-alg=sha256 ");
	mem_put32(&mem, QCOW2_H_CRYPT, QCOW2_CRYPT_AES);
	assert_int_equal(info(), 0);
	told_has("encrypt{format=aes } ");
	mem_free(&mem);
}

static void
what_is_referenced_is_told(void **state)
{
	(void)state;
	make("backing_file=b,backing_fmt=vhd");
	assert_int_equal(info(), 0);
	told_has("backing-filename=b backing-filename-format=vpc ");
	mem_free(&mem);
	make("data_file=d,data_file_raw=on");
	assert_int_equal(info(), 0);
	told_has("data-file=d data-file-raw=1 ");
	told_has_not("backing");
	mem_free(&mem);
}

static void
version_2_has_no_more_than_it_has(void **state)
{
	(void)state;
	make("compat=0.10");
	assert_int_equal(info(), 0);
	assert_string_equal(told_text,
	    "dirty-flag=0 | compat=0.10 compression-type=zlib "
	    "refcount-bits=16 version=2 header-length=72 l1-size=1 "
	    "l1-offset=12288 refcount-table-offset=4096 "
	    "refcount-table-clusters=1 header-extensions[] ");
	mem_free(&mem);
}

static int
stop(void *arg, const struct img_item *it)
{
	(void)it;
	return (++*(unsigned *)arg == 3 ? EINTR : 0);
}

static void
whoever_listens_can_end_it(void **state)
{
	struct img *im;
	unsigned n = 0;

	(void)state;
	make("");
	add_snapshots();
	assert_int_equal(mem_open(&im, &env, &mem, &img_qcow2, 0, NULL), 0);
	env.e_opening = 1;
	assert_int_equal(img_info(im, stop, &n), EINTR);
	env.e_opening = 0;
	assert_int_equal(n, 3);
	assert_int_equal(mem_close(im, &env), 0);
	mem_free(&mem);
}

/* Bytes of everything that is looked at, set to something else. */
static void
however_damaged_what_is_told_is_well_formed(void **state)
{
	static const uint64_t at[] = { 0, EXT, SNAPS, BITMAPS, LUKS };
	static const uint8_t values[] = { 0, 1, 0x7f, 0x80, 0xff };
	uint64_t seed = 1, off;
	uint8_t old, b;
	unsigned i, opened = 0;

	(void)state;
	make("");
	add_snapshots();
	add_bitmaps();
	add_luks("xts-plain64");
	for (i = 0; i < 3000; i++) {
		off = at[mem_random(&seed) % LENGTH_OF(at)] +
		    mem_random(&seed) % 200;
		b = values[mem_random(&seed) % LENGTH_OF(values)];
		mem_get(&mem, off, &old, 1);
		mem_put(&mem, off, &b, 1);
		opened += info() == 0;
		mem_put(&mem, off, &old, 1);
	}
	assert_true(opened > 1000);
	mem_free(&mem);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_image_is_told_in_full),
		cmocka_unit_test(flags_are_told),
		cmocka_unit_test(snapshots_are_told),
		cmocka_unit_test(bitmaps_are_told_while_they_are_valid),
		cmocka_unit_test(damaged_bitmaps_end_the_list),
		cmocka_unit_test(a_damaged_luks_header_tells_nothing),
		cmocka_unit_test(encryption_is_told_without_a_key),
		cmocka_unit_test(what_is_referenced_is_told),
		cmocka_unit_test(version_2_has_no_more_than_it_has),
		cmocka_unit_test(whoever_listens_can_end_it),
		cmocka_unit_test(however_damaged_what_is_told_is_well_formed),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
