#!/bin/sh
# SPDX-License-Identifier: ISC
#
# imgtool convert: what comes out, held against qemu-img, and what becomes of
# files.  Failures are in failure.sh.

. "$TOP/tests/lib.sh"

skip_unless qemu-img jq
need_mkimage

silent()
{
	[ ! -s "$OUT" ] && [ ! -s "$ERR" ] || fail "it says: $(cat "$OUT" "$ERR")"
}

blocks()
{
	stat -c %b "$1"
}

# 5 MiB: 128 KiB of data, a hole, 64 KiB of data, 64 KiB of zeros that are
# there, 4 KiB of data and zeros again, and a hole to the end.
dd if=/dev/urandom of=noise bs=64k count=3 2>/dev/null
truncate -s 5M disk.raw
dd if=noise of=disk.raw bs=64k count=2 conv=notrunc 2>/dev/null
dd if=noise of=disk.raw bs=64k count=1 seek=30 conv=notrunc 2>/dev/null
dd if=/dev/zero of=disk.raw bs=64k count=1 seek=31 conv=notrunc 2>/dev/null
dd if=noise of=disk.raw bs=4k count=1 seek=512 conv=notrunc 2>/dev/null
dd if=/dev/zero of=disk.raw bs=4k count=15 seek=513 conv=notrunc 2>/dev/null
DATA=$((2 * 128 + 128 + 8))

# ------------------------------------------------------------------------

t_begin "raw to dynamic and fixed VHD and back gives the same bytes"
run_ok imgtool convert -f raw -O vhd disk.raw dyn.vhd
silent
run_ok imgtool convert -O vhd -o subformat=fixed dyn.vhd fix.vhd
run_ok imgtool convert -O raw fix.vhd back.raw
same_bytes disk.raw back.raw
for f in dyn.vhd fix.vhd; do
	run_ok qemu-img compare -f raw -F vpc disk.raw $f
	run_ok imgtool check $f
	[ "$(qemu-img info -f vpc --output=json $f |
	    jq '."virtual-size"')" -eq 5242880 ] || fail "$f has another size"
done
[ "$(stat -c %s fix.vhd)" -eq $((5242880 + 512)) ] || fail "not fixed"

t_begin "holes and zeros of the source take no space in the result"
[ "$(blocks back.raw)" -eq $DATA ] ||
    fail "raw: $(blocks back.raw) blocks, $DATA have data"
# Three blocks of 2 MiB at most, and of them what has data.
[ "$(blocks dyn.vhd)" -le $((DATA + 64)) ] ||
    fail "dynamic: $(blocks dyn.vhd) blocks"
[ "$(blocks fix.vhd)" -le $((DATA + 16)) ] ||
    fail "fixed: $(blocks fix.vhd) blocks"
run_ok imgtool info --output=json dyn.vhd
# Blocks 0 and 1 have data, no other.
field '."format-specific".data["allocated-blocks"]' 2

t_begin "-S says which zeros stay, 0 that all do"
dd if=/dev/zero of=some.raw bs=4k count=32 2>/dev/null
for at in 0 2 19; do
	dd if=noise of=some.raw bs=4k count=1 seek=$at conv=notrunc 2>/dev/null
done
run_ok imgtool convert some.raw out.raw
same_bytes some.raw out.raw
[ "$(blocks out.raw)" -eq 24 ] || fail "4k: $(blocks out.raw) blocks"
# The runs of zeros have 1, 16 and 12 pieces.
run_ok imgtool convert -S 48k some.raw out.raw
same_bytes some.raw out.raw
[ "$(blocks out.raw)" -eq 32 ] || fail "48k: $(blocks out.raw) blocks"
run_ok imgtool convert --sparse-size=1M some.raw out.raw
same_bytes some.raw out.raw
[ "$(blocks out.raw)" -ge 160 ] || fail "1M: $(blocks out.raw) blocks"
run_ok imgtool convert -S 0 disk.raw out.raw
same_bytes disk.raw out.raw
[ "$(blocks out.raw)" -ge 10240 ] || fail "0: $(blocks out.raw) blocks"

t_begin "the source's format is found out, and -f wins"
run_ok imgtool convert dyn.vhd out.raw
same_bytes disk.raw out.raw
run_ok imgtool convert -f raw dyn.vhd out.raw
same_bytes dyn.vhd out.raw

t_begin "a source that is no multiple of 512 comes back with its size"
head -c 1000 noise >odd.raw
run_ok imgtool convert odd.raw out.raw
same_bytes odd.raw out.raw

t_begin "an empty disk can be converted"
: >empty.raw
run_ok imgtool convert -f raw empty.raw out.raw
[ -f out.raw ] && [ ! -s out.raw ] || fail "not an empty file"

t_begin "-o makes the image as asked, and lists options"
run_ok imgtool convert -O vhd -o block_size=512k,creator=abc disk.raw out.vhd
run_ok imgtool info --output=json out.vhd
field '."cluster-size"' 524288
run_ok imgtool convert -O vhd -o help
expect_out '^  block_size '

t_begin "with SOURCE_DATE_EPOCH the same bytes come again, in any folder"
mkdir -p one two
for d in one two; do
	SOURCE_DATE_EPOCH=1 run_ok imgtool convert -O vhd disk.raw $d/same.vhd
done
same_bytes one/same.vhd two/same.vhd

# ------------------------------------------------------------------------

pipe_from()
{
	t_input=$1
	shift
	cat "$t_input" | "$IMGTOOL" convert "$@"
}

t_begin "raw from a pipe goes to raw and to VHD"
run_ok pipe_from disk.raw -f raw -O raw - out.raw
same_bytes disk.raw out.raw
[ "$(blocks out.raw)" -eq $DATA ] || fail "$(blocks out.raw) blocks"
silent
run_ok pipe_from disk.raw -O vhd --size 5M - out.vhd
silent
run_ok qemu-img compare -f raw -F vpc disk.raw out.vhd
run_ok imgtool check out.vhd

t_begin "--size fills up a shorter input, and refuses a longer one"
run_ok pipe_from disk.raw -O vhd --size 6M - out.vhd
cp disk.raw six.raw
truncate -s 6M six.raw
run_ok qemu-img compare -f raw -F vpc six.raw out.vhd
expect_no_out mismatch
run_ok pipe_from disk.raw -O raw --size 6M - out.raw
same_bytes six.raw out.raw
for fmt in raw vhd; do
	rm -f out
	run_rc 1 pipe_from disk.raw -O $fmt --size 4M - out
	one_line 'standard input: longer than the 4194304 bytes'
	[ ! -e out ] || fail "$fmt: something is left"
done
run_ok pipe_from disk.raw -S 0 --size 6M - out.raw
same_bytes six.raw out.raw
[ "$(blocks out.raw)" -ge 12288 ] || fail "-S 0: $(blocks out.raw) blocks"

t_begin "without --size the pipe is stored first, and this is said"
run_ok pipe_from disk.raw -O vhd -f raw - out.vhd
one_line 'standard input: .*stored'
run_ok imgtool compare disk.raw out.vhd
[ -z "$(find . -newer out.vhd -name '*imgtool*')" ] || fail "$(ls -A)"
run_ok pipe_from disk.raw -q -O vhd - out.vhd
silent

t_begin "a file on standard input needs neither"
run_ok sh -c '"$IMGTOOL" convert -O vhd - out.vhd <disk.raw'
silent
run_ok imgtool compare disk.raw out.vhd
run_rc 1 sh -c '"$IMGTOOL" convert -O vhd --size 4M - out2.vhd <disk.raw'
one_line 'standard input: longer'
[ ! -e out2.vhd ] || fail "something is left"
run_rc 1 sh -c '"$IMGTOOL" convert - disk.raw <disk.raw'
one_line 'disk\.raw: source and destination are the same'

t_begin "raw goes to a pipe, whole"
imgtool convert dyn.vhd - | cmp - disk.raw || fail "differs"
cat disk.raw | imgtool convert - - | cmp - disk.raw || fail "differs"
cat disk.raw | imgtool convert --size 6M - - | cmp - six.raw ||
    fail "differs"
run_rc 1 pipe_from disk.raw --size 4M - -
one_line 'standard input: longer'

t_begin "to a file on standard output it leaves holes"
run_ok sh -c '"$IMGTOOL" convert dyn.vhd - >out.raw'
same_bytes disk.raw out.raw
[ "$(blocks out.raw)" -eq $DATA ] || fail "$(blocks out.raw) blocks"
run_ok sh -c 'cat disk.raw | "$IMGTOOL" convert - - >out.raw'
same_bytes disk.raw out.raw
[ "$(blocks out.raw)" -eq $DATA ] || fail "$(blocks out.raw) blocks"
run_ok sh -c '"$IMGTOOL" convert -S 0 dyn.vhd - >out.raw'
same_bytes disk.raw out.raw
[ "$(blocks out.raw)" -ge 10240 ] || fail "$(blocks out.raw) blocks"

t_begin "what a file on standard output has already stays"
echo head >out.raw
run_ok sh -c '"$IMGTOOL" convert dyn.vhd - >>out.raw'
echo head | cat - disk.raw >want.raw
same_bytes want.raw out.raw
run_ok sh -c ': >out.raw; "$IMGTOOL" convert dyn.vhd - >>out.raw'
same_bytes disk.raw out.raw
run_ok sh -c '{ echo head; "$IMGTOOL" convert dyn.vhd -; } >out.raw'
same_bytes want.raw out.raw

t_begin "only raw goes through pipes"
run_rc 1 imgtool convert -O vhd disk.raw -
one_line 'convert: only raw'
run_rc 1 sh -c '"$IMGTOOL" convert -f vhd - out3.raw <dyn.vhd'
one_line 'standard input: only raw'

# ------------------------------------------------------------------------

t_begin "an existing file is replaced, its mode and attributes stay"
echo old >out.raw
chmod 640 out.raw
setfattr -n user.note -v kept out.raw 2>/dev/null && attrs=1 || attrs=
inode=$(stat -c %i out.raw)
run_ok imgtool convert dyn.vhd out.raw
same_bytes disk.raw out.raw
[ "$(stat -c %a out.raw)" = 640 ] || fail "mode $(stat -c %a out.raw)"
[ "$(stat -c %i out.raw)" != "$inode" ] || fail "written in place"
[ -z "$attrs" ] ||
    [ "$(getfattr --only-values -n user.note out.raw)" = kept ] ||
    fail "the attribute is lost"

t_begin "a new file gets the mode of the umask"
rm -f new.raw
(umask 027 && imgtool convert dyn.vhd new.raw) || fail "it failed"
[ "$(stat -c %a new.raw)" = 640 ] || fail "mode $(stat -c %a new.raw)"

t_begin "--no-clobber keeps what is there"
echo old >out.raw
run_rc 1 imgtool convert --no-clobber dyn.vhd out.raw
one_line 'out\.raw: exists already'
[ "$(cat out.raw)" = old ] || fail "it was changed"
run_ok imgtool convert --no-clobber dyn.vhd fresh.raw
same_bytes disk.raw fresh.raw

t_begin "a file with another hard link needs --force"
ln out.raw other.link
run_rc 1 imgtool convert dyn.vhd out.raw
one_line 'out\.raw: .*--force'
[ "$(cat out.raw)" = old ] || fail "it was changed"
run_ok imgtool convert --force dyn.vhd out.raw
same_bytes disk.raw out.raw
[ "$(cat other.link)" = old ] || fail "the other link was changed"

t_begin "the target of a symbolic link is replaced"
mkdir -p elsewhere
echo old >elsewhere/real.raw
ln -s elsewhere/real.raw link.raw
run_ok imgtool convert dyn.vhd link.raw
[ -L link.raw ] || fail "the link is gone"
same_bytes disk.raw elsewhere/real.raw
ln -s elsewhere/none.raw dangling.raw
run_ok imgtool convert dyn.vhd dangling.raw
[ -L dangling.raw ] || fail "the link is gone"
same_bytes disk.raw elsewhere/none.raw

t_begin "source and destination must differ, whatever they are called"
cp disk.raw self.raw
ln self.raw hard.raw
ln -s self.raw soft.raw
for dst in self.raw ./self.raw "$PWD/self.raw" hard.raw soft.raw; do
	run_rc 1 imgtool convert -O vhd self.raw "$dst"
	one_line '.*: source and destination are the same'
	run_rc 1 imgtool convert --force -O vhd self.raw "$dst"
	one_line '.*: source and destination are the same'
	run_rc 1 imgtool convert -n self.raw "$dst"
	one_line '.*: source and destination are the same'
	same_bytes disk.raw self.raw
done

# ------------------------------------------------------------------------

t_begin "-n writes into an image that exists, zeros over old data too"
dd if=/dev/zero bs=64k count=80 2>/dev/null | tr '\0' '\377' >ones.raw
inode=$(stat -c %i ones.raw)
run_ok imgtool convert -n -O raw dyn.vhd ones.raw
silent
same_bytes disk.raw ones.raw
[ "$(stat -c %i ones.raw)" = "$inode" ] || fail "not in place"
dd if=/dev/zero bs=64k count=80 2>/dev/null | tr '\0' '\377' >ones.raw
run_ok imgtool convert -O vhd ones.raw ones.vhd
uuid=$(imgtool info ones.vhd | grep ' uuid:')
run_ok imgtool convert -n disk.raw ones.vhd
run_ok imgtool compare disk.raw ones.vhd
run_ok imgtool check ones.vhd
[ "$(imgtool info ones.vhd | grep ' uuid:')" = "$uuid" ] ||
    fail "not the image that was there"
run_ok qemu-img compare -f raw -F vpc disk.raw ones.vhd

t_begin "-n leaves alone what is behind the source's end"
dd if=/dev/zero bs=64k count=96 2>/dev/null | tr '\0' '\377' >ones.raw
run_ok imgtool convert -n dyn.vhd ones.raw
cmp -n 5242880 disk.raw ones.raw || fail "the disk differs"
[ "$(tail -c 1048576 ones.raw | tr -d '\377' | wc -c)" -eq 0 ] ||
    fail "the rest was changed"

t_begin "-n refuses a smaller image before writing a byte"
head -c 4M noise >small.raw
truncate -s 4M small.raw
cp small.raw before.raw
run_rc 1 imgtool convert -n dyn.vhd small.raw
one_line 'small\.raw: disk has 4194304 bytes, the source 5242880'
same_bytes before.raw small.raw
run_ok imgtool create -q -f vhd small.vhd 4M
cp small.vhd before.vhd
run_rc 1 imgtool convert -n disk.raw small.vhd
one_line 'small\.vhd: disk has 4194304'
same_bytes before.vhd small.vhd
run_rc 1 imgtool convert -n disk.raw missing.vhd
one_line 'missing\.vhd: No such file'
[ ! -e missing.vhd ] || fail "it was made"
run_ok ./mkimage "$TOP/testdata/vhd/bad-VHD-52-cut.recipe" bad.vhd
cp bad.vhd before.vhd
run_rc 1 imgtool convert -n disk.raw bad.vhd
one_line 'bad\.vhd: VHD-52 '
same_bytes before.vhd bad.vhd

t_begin "-n takes a pipe"
dd if=/dev/zero bs=64k count=80 2>/dev/null | tr '\0' '\377' >ones.raw
run_ok pipe_from disk.raw -q -n -O raw - ones.raw
same_bytes disk.raw ones.raw

# ------------------------------------------------------------------------

t_begin "progress is shown on a terminal and nowhere else"
run_ok imgtool convert -p disk.raw out.raw
silent
if command -v script >/dev/null 2>&1; then
	run_ok script -qec '"$IMGTOOL" convert -p disk.raw out.raw' /dev/null
	tr '\r' '\n' <"$OUT" >lines
	grep -qE '^convert: 100\.0%, 5 MiB of 5 MiB' lines ||
	    fail "$(cat lines)"
	run_ok script -qec '"$IMGTOOL" convert -p -q disk.raw out.raw' /dev/null
	[ ! -s "$OUT" ] || fail "-q: $(cat "$OUT")"
fi

t_begin "SIGUSR1 brings one line about the progress"
mkfifo fifo
"$IMGTOOL" convert - out.raw <fifo 2>"$ERR" &
pid=$!
exec 3>fifo
cat noise >&3
sleep 0.5
kill -USR1 $pid
head -c 2M /dev/zero >&3
exec 3>&-
wait $pid || fail "status $?"
[ "$(grep -cE '^convert: [0-9.]+ (B|KiB|MiB)' "$ERR")" -eq 1 ] &&
    [ "$(wc -l <"$ERR")" -eq 1 ] || fail "$(cat "$ERR")"

t_begin "an option of qemu-img that is not here is refused in one line"
for o in '-m 4' '-W' '-t none' '-T none' '-C' '-U' '--salvage' \
    '--target-is-zero' '--bitmaps' '-r 1M'; do
	# shellcheck disable=SC2086 # two words
	run_rc 1 imgtool convert $o disk.raw no.raw
	one_line 'convert: '
	[ ! -e no.raw ] || fail "$o: a file was made"
done

t_begin "what does not go together is refused in one line"
run_rc 1 imgtool convert disk.raw dyn.vhd out.raw
one_line 'convert: several sources'
run_rc 1 imgtool convert disk.raw
one_line 'convert: '
run_rc 1 imgtool convert --size 1M disk.raw out.raw
one_line 'convert: --size'
run_rc 1 imgtool convert -n -o x=1 disk.raw out.raw
one_line 'convert: -o'
run_rc 1 imgtool convert -n disk.raw -
one_line 'convert: -n'
run_rc 1 imgtool convert -O qcow disk.raw out.raw
one_line 'convert: qcow: unknown format'

t_begin "an input shorter than --size is filled with zeros, wherever it goes"
printf '%1000d' 7 >short
cp short want
truncate -s 1M want
run_ok imgtool convert -q --size=1M - new.raw <short
same_bytes want new.raw
for how in pipe file; do
	tr '\0' A <want >old.raw
	if [ $how = pipe ]; then
		# shellcheck disable=SC2002 # a pipe is what is meant
		cat short | "$IMGTOOL" convert -n --size=1M - old.raw ||
		    fail "status $?"
	else
		run_ok imgtool convert -n --size=1M - old.raw <short
	fi
	same_bytes want old.raw
done
"$IMGTOOL" convert --size=1M - - <short >out.raw || fail "status $?"
same_bytes want out.raw
rm -f new.raw
run_rc 1 imgtool convert --size=10 - new.raw <short
one_line 'standard input: longer than the 10 bytes'
[ ! -e new.raw ] || fail "new.raw is there"

t_begin "options for raw are refused wherever it goes"
run_rc 1 imgtool convert -o subformat=fixed - new.raw <short
one_line 'convert: raw has no options'
run_rc 1 imgtool convert -o subformat=fixed short -
one_line 'convert: raw has no options'
