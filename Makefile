# imgtool: one makefile for GNU make and BSD make.
#
#	make deps demo		fetch what is needed, then show what it does
#	make deps test		fetch what is needed, then run every test
#
# Nothing here may ask a tool that `make deps` installs while this file is
# read: in `make deps test` it is read first and the tools come later.

# --- what you may want to change ---------------------------------------

VERSION = 0.1.0

CC ?= cc
CFLAGS = -O2 -g
STD = -std=c99
WARN = -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
	-Wpointer-arith -Wcast-qual -Wundef -Wvla -Werror
LIBS = -lz -lpthread $(ZSTD_LIBS)
UNIT_LIBS = -lcmocka

# Every stack frame of the core, in bytes: a kernel's stack is small.
CORE_FRAME = -Wframe-larger-than=1024

# The second kind of object, .ao, is the one the tests use.
SAN = -fsanitize=address,undefined -fno-sanitize-recover=all
SAN_CFLAGS = -O1 -g -fno-omit-frame-pointer

# zstd is used where pkg-config knows it, when compiling and linking begin;
# NO_ZSTD=1 builds without it.
ZSTD_CFLAGS = $$(test -z "$(NO_ZSTD)" && \
	pkg-config --exists libzstd 2>/dev/null && \
	echo -DHAVE_ZSTD $$(pkg-config --cflags libzstd))
ZSTD_LIBS = $$(test -z "$(NO_ZSTD)" && pkg-config --libs libzstd 2>/dev/null)

# DESTDIR, when set, goes before all of these.
PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCDIR ?= $(PREFIX)/include
MANDIR ?= $(PREFIX)/share/man

# --- sources -----------------------------------------------------------

# What a kernel builds too; `make check-core` proves that it can.
CORE_SRC = \
	lib/core/img.c lib/core/rw.c lib/core/cache.c lib/core/finding.c \
	lib/core/formats.c lib/core/io.c lib/core/dcache.c \
	lib/raw/raw.c \
	lib/vhd/geometry.c lib/vhd/footer.c lib/vhd/place.c \
	lib/vhd/header.c lib/vhd/open.c lib/vhd/order.c lib/vhd/verify.c \
	lib/vhd/map.c lib/vhd/alloc.c \
	lib/qcow2/header.c lib/qcow2/ext.c lib/qcow2/place.c \
	lib/qcow2/snap.c lib/qcow2/open.c lib/qcow2/table.c \
	lib/qcow2/entry.c lib/qcow2/map.c lib/qcow2/count.c \
	lib/qcow2/grow.c lib/qcow2/alloc.c lib/qcow2/link.c \
	lib/qcow2/write.c lib/qcow2/zero.c lib/qcow2/walk.c \
	lib/qcow2/verify.c \
	lib/qed/header.c lib/qed/entry.c lib/qed/table.c lib/qed/open.c \
	lib/qed/map.c lib/qed/walk.c lib/qed/marks.c lib/qed/verify.c \
	lib/qed/alloc.c lib/qed/write.c lib/qed/zero.c

# In the library, for programs only.
TOOL_SRC = \
	lib/raw/check.c lib/raw/create.c \
	lib/vhd/check.c lib/vhd/deep.c lib/vhd/locator.c lib/vhd/batmap.c \
	lib/vhd/repair.c lib/vhd/repair_base.c lib/vhd/repair_foot.c \
	lib/vhd/repair_head.c \
	lib/vhd/repair_bat.c lib/vhd/repair_end.c lib/vhd/repair_move.c \
	lib/vhd/repair_map.c lib/vhd/repair_io.c \
	lib/vhd/create.c lib/vhd/info.c \
	lib/qcow2/create.c lib/qcow2/create_plan.c lib/qcow2/create_head.c \
	lib/qcow2/create_write.c lib/qcow2/info.c lib/qcow2/info_list.c \
	lib/qcow2/info_luks.c lib/qcow2/pack.c \
	lib/qcow2/check.c lib/qcow2/check_tally.c lib/qcow2/check_walk.c \
	lib/qcow2/check_count.c lib/qcow2/check_snap.c lib/qcow2/owners.c \
	lib/qcow2/bitmap.c lib/qcow2/deep.c \
	lib/qcow2/repair.c lib/qcow2/repair_io.c lib/qcow2/repair_head.c \
	lib/qcow2/repair_entry.c lib/qcow2/repair_count.c \
	lib/qcow2/repair_table.c lib/qcow2/repair_copy.c \
	lib/qcow2/repair_snap.c \
	lib/qed/check.c lib/qed/leak.c lib/qed/create.c lib/qed/info.c \
	lib/qed/repair.c lib/qed/repair_io.c lib/qed/repair_head.c \
	lib/qed/repair_guess.c lib/qed/repair_entry.c \
	lib/qed/repair_copy.c lib/qed/repair_leak.c lib/qed/repair_move.c \
	lib/tool/tool.c lib/tool/tell.c lib/tool/view.c lib/tool/opts.c \
	lib/tool/copy.c \
	lib/tool/copy_pack.c lib/tool/copy_ahead.c lib/tool/compare.c \
	lib/host/file.c lib/host/env.c lib/host/codec.c lib/host/pool.c \
	lib/host/output.c lib/host/place.c lib/host/keep.c lib/host/spool.c \
	lib/host/chain.c lib/host/chain_ref.c lib/host/chain_end.c \
	lib/host/backing.c

CMD_SRC = \
	cmd/imgtool/imgtool.c cmd/imgtool/opts.c cmd/imgtool/size.c \
	cmd/imgtool/print.c cmd/imgtool/json.c cmd/imgtool/image.c \
	cmd/imgtool/output.c cmd/imgtool/input.c cmd/imgtool/stream.c \
	cmd/imgtool/progress.c cmd/imgtool/info.c cmd/imgtool/check.c \
	cmd/imgtool/repair.c cmd/imgtool/map.c cmd/imgtool/convert.c \
	cmd/imgtool/transfer.c cmd/imgtool/compare.c cmd/imgtool/create.c \
	cmd/imgtool/dd.c cmd/imgtool/dd_read.c cmd/imgtool/dd_write.c \
	cmd/imgtool/snapshot.c cmd/imgtool/info_json.c \
	cmd/imgtool/info_text.c cmd/imgtool/check_chain.c cmd/imgtool/diff.c

# One cmocka program per file, tests/unit/ mirrors lib/.
UNIT_SRC = \
	tests/unit/qed/test_repair.c tests/unit/qed/test_repair_cut.c \
	tests/unit/qed/test_repair_rules.c tests/unit/qed/test_repair_any.c \
	tests/unit/qed/test_repair_space.c \
	tests/unit/core/test_cache.c tests/unit/core/test_dcache.c \
	tests/unit/core/test_rw.c \
	tests/unit/core/test_write.c tests/unit/core/test_img.c \
	tests/unit/core/test_finding.c tests/unit/raw/test_raw.c \
	tests/unit/vhd/test_geometry.c tests/unit/vhd/test_footer.c \
	tests/unit/vhd/test_place.c tests/unit/vhd/test_map.c \
	tests/unit/vhd/test_verify.c tests/unit/vhd/test_alloc.c \
	tests/unit/vhd/test_device.c \
	tests/unit/vhd/test_fresh.c tests/unit/vhd/test_repair.c \
	tests/unit/vhd/test_repair_cut.c \
	tests/unit/qcow2/test_check.c \
	tests/unit/qcow2/test_owners.c tests/unit/qcow2/test_repair.c \
	tests/crash/test_crash.c tests/crash/test_fault.c \
	tests/crash/test_qcow2.c tests/crash/test_qed.c \
	tests/crash/test_qed_life.c \
	tests/unit/core/test_lend.c \
	tests/unit/qcow2/test_traps.c \
	tests/unit/qcow2/test_verify.c \
	tests/unit/qcow2/test_entry.c \
	tests/unit/qcow2/test_header.c \
	tests/fuzz/test_fuzz_qcow2.c tests/fuzz/test_fuzz_qed.c \
	tests/crash/test_qcow2_fault.c tests/crash/test_qed_fault.c \
	tests/unit/qcow2/test_map.c \
	tests/unit/qcow2/test_count.c \
	tests/unit/qcow2/test_write.c tests/unit/qcow2/test_claims.c \
	tests/unit/qcow2/test_zero.c \
	tests/fuzz/test_fuzz.c \
	tests/unit/host/test_file.c tests/unit/host/test_env.c \
	tests/unit/host/test_codec.c \
	tests/unit/host/test_output.c tests/unit/host/test_chain.c \
	tests/unit/host/test_chain_rules.c tests/unit/host/test_backing.c \
	tests/unit/tool/test_copy.c tests/unit/tool/test_compare.c \
	tests/unit/tool/test_opts.c tests/unit/tool/test_copy_pack.c \
	tests/unit/tool/test_copy_end.c tests/unit/tool/test_copy_ahead.c \
	tests/unit/qcow2/test_create.c tests/unit/qcow2/test_info.c \
	tests/unit/qcow2/test_pack.c \
	tests/unit/qed/test_header.c \
	tests/unit/qed/test_entry.c \
	tests/unit/qed/test_map.c \
	tests/unit/qed/test_marks.c \
	tests/unit/qed/test_verify.c \
	tests/unit/qed/test_hostile.c \
	tests/unit/qed/test_write.c \
	tests/unit/qed/test_alloc.c \
	tests/unit/qed/test_zero.c \
	tests/unit/qed/test_check.c \
	tests/unit/qed/test_traps.c \
	tests/unit/qed/test_create.c tests/unit/qed/test_info.c

# Linked into every program of UNIT_SRC and PROG_SRC: what they share.
HELP_SRC = \
	tests/unit/help/mem.c tests/unit/help/env.c tests/unit/help/fake.c \
	tests/unit/help/mkvhd.c tests/unit/help/mkqcow2.c \
	tests/unit/help/mkrefs.c tests/unit/help/mkqed.c \
	tests/crash/guest.c tests/crash/subject.c tests/crash/replay.c \
	tests/crash/vhd.c tests/crash/qcow2.c tests/crash/qed.c \
	tests/crash/cut.c tests/crash/fault.c

# Programs that test scripts run, as "$TOP/tests/<dir>/<name>.t".
PROG_SRC = tests/interop/cost.c tests/interop/disk_plan.c \
	tests/interop/disk_io.c tests/interop/qcow2_big.c

MAN = man/imgtool.1 man/imgtool-check.7 man/img.3 man/img_format.9
SYS_MAN = sys/man/qcow.4 sys/man/vhd.4 sys/man/qcowctl.8 sys/man/vhdctl.8

# Every object depends on every header: simple, and never wrong.
HDRS != find lib cmd tests -name '*.h' -o -name '*.def' | sort

# --- objects and products ----------------------------------------------

LIB_SRC = $(CORE_SRC) $(TOOL_SRC)
TEST_SRC = $(UNIT_SRC) $(PROG_SRC)
TEST_T = $(TEST_SRC:.c=.t)

all: libimg.a imgtool

.SUFFIXES:
.SUFFIXES: .c .o .ao .t

# Only what talks to the system sees more of it than C99 has.
FLAGS_FOR = \
	case $< in \
	(lib/host/*) f="-D_GNU_SOURCE $(ZSTD_CFLAGS)" ;; \
	(cmd/*|tests/*) f=-D_GNU_SOURCE ;; \
	(*) f= ;; \
	esac
FRAME_FOR = \
	case " $(CORE_SRC) " in \
	(*" $< "*) f=$(CORE_FRAME) ;; \
	esac

.c.o:
	@echo "  CC  $@"; $(FLAGS_FOR); $(FRAME_FOR); \
	$(CC) $(STD) $$f $(WARN) $(CPPFLAGS) $(CFLAGS) -Ilib -c -o $@ $<

.c.ao:
	@echo "  CC  $@"; $(FLAGS_FOR); \
	$(CC) $(STD) $$f $(WARN) $(CPPFLAGS) $(SAN_CFLAGS) $(SAN) \
	    -Ilib -Itests -c -o $@ $<

.ao.t:
	$(CC) $(SAN) $(LDFLAGS) -o $@ $< $(HELP_SRC:.c=.ao) libimg-asan.a \
	    $(UNIT_LIBS) $(LIBS)

libimg.a: $(LIB_SRC:.c=.o)
	rm -f $@
	$(AR) rcs $@ $(LIB_SRC:.c=.o)

libimg-asan.a: $(LIB_SRC:.c=.ao)
	rm -f $@
	$(AR) rcs $@ $(LIB_SRC:.c=.ao)

imgtool: $(CMD_SRC:.c=.o) libimg.a
	$(CC) $(LDFLAGS) -o $@ $(CMD_SRC:.c=.o) libimg.a $(LIBS)

imgtool-asan: $(CMD_SRC:.c=.ao) libimg-asan.a
	$(CC) $(SAN) $(LDFLAGS) -o $@ $(CMD_SRC:.c=.ao) libimg-asan.a $(LIBS)

$(LIB_SRC:.c=.o) $(CMD_SRC:.c=.o): $(HDRS)
$(LIB_SRC:.c=.ao) $(CMD_SRC:.c=.ao): $(HDRS)
$(TEST_SRC:.c=.ao) $(HELP_SRC:.c=.ao): $(HDRS)
$(TEST_T): $(HELP_SRC:.c=.ao) libimg-asan.a

# --- tests and gates ---------------------------------------------------

deps:
	@sh .ci/deps

demo: imgtool
	@IMGTOOL=./imgtool sh tests/demo.sh

# T narrows it: make test T="tests/cli/readme.sh tests/cli/info.sh"
test: imgtool imgtool-asan $(TEST_T)
	@sh tests/run.sh $(UNIT_SRC:.c=.t) $(T)

check-core:
	sh tests/gate/selftest.sh
	sh tests/gate/core.sh $(CORE_SRC)

# The OpenBSD drivers, without OpenBSD; T="test_io" narrows it.
check-driver: check-core imgtool libimg-asan.a
	@CC="$(CC)" LIBS="$(LIBS)" T="$(T)" \
	    sh tests/driver/check.sh $(CORE_SRC)

# The module in User Mode Linux and in Debian's kernel, which are fetched and
# kept in IMGTOOL_CACHE (~/.cache/imgtool); the first is built once.
check-kernel: imgtool libimg.a
	@sh .ci/deps kernel
	@IMGTOOL=$$PWD/imgtool LIMIT=2400 \
	    sh tests/run.sh tests/kernel/uml.sh tests/kernel/qemu.sh

lint:
	sh tests/gate/format.sh
	sh tests/gate/size.sh
	sh tests/gate/return.sh
	sh tests/gate/paths.sh
	sh tests/gate/shell.sh
	sh tests/gate/man.sh $(MAN) $(SYS_MAN)

format:
	sh tests/gate/format.sh -i

bench: imgtool
	@IMGTOOL=./imgtool sh tests/bench/run.sh

# --- install -----------------------------------------------------------

install: all
	mkdir -p $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBDIR)/pkgconfig \
	    $(DESTDIR)$(INCDIR)/imgtool/core $(DESTDIR)$(MANDIR)/man1 \
	    $(DESTDIR)$(MANDIR)/man3 $(DESTDIR)$(MANDIR)/man7 \
	    $(DESTDIR)$(MANDIR)/man9
	install -m 755 imgtool $(DESTDIR)$(BINDIR)/imgtool
	install -m 644 libimg.a $(DESTDIR)$(LIBDIR)/libimg.a
	install -m 644 lib/img.h lib/img_host.h $(DESTDIR)$(INCDIR)/imgtool
	install -m 644 lib/core/findings.def \
	    $(DESTDIR)$(INCDIR)/imgtool/core/findings.def
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' \
	    -e 's|@INCDIR@|$(INCDIR)|' -e 's|@VERSION@|$(VERSION)|' \
	    -e "s|@LIBS@|$(LIBS)|" lib/img.pc.in > $(DESTDIR)$(LIBDIR)/pkgconfig/img.pc
	chmod 644 $(DESTDIR)$(LIBDIR)/pkgconfig/img.pc
	install -m 644 man/imgtool.1 $(DESTDIR)$(MANDIR)/man1/imgtool.1
	install -m 644 man/img.3 $(DESTDIR)$(MANDIR)/man3/img.3
	install -m 644 man/imgtool-check.7 \
	    $(DESTDIR)$(MANDIR)/man7/imgtool-check.7
	install -m 644 man/img_format.9 $(DESTDIR)$(MANDIR)/man9/img_format.9

uninstall:
	rm -f $(DESTDIR)$(BINDIR)/imgtool $(DESTDIR)$(LIBDIR)/libimg.a \
	    $(DESTDIR)$(LIBDIR)/pkgconfig/img.pc \
	    $(DESTDIR)$(MANDIR)/man1/imgtool.1 \
	    $(DESTDIR)$(MANDIR)/man3/img.3 \
	    $(DESTDIR)$(MANDIR)/man7/imgtool-check.7 \
	    $(DESTDIR)$(MANDIR)/man9/img_format.9 \
	    $(DESTDIR)$(INCDIR)/imgtool/img.h \
	    $(DESTDIR)$(INCDIR)/imgtool/img_host.h \
	    $(DESTDIR)$(INCDIR)/imgtool/core/findings.def
	-rmdir $(DESTDIR)$(INCDIR)/imgtool/core $(DESTDIR)$(INCDIR)/imgtool

clean:
	find lib cmd tests \( -name '*.o' -o -name '*.ao' -o -name '*.t' \) \
	    -exec rm -f {} +
	rm -f imgtool imgtool-asan libimg.a libimg-asan.a

.PHONY: all deps demo test check-core check-driver check-kernel lint format bench install uninstall clean
