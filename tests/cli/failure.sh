#!/bin/sh
# SPDX-License-Identifier: ISC
#
# What is left when imgtool convert fails, is interrupted or killed, or the
# disk is full: nothing, and what was there before is whole.

. "$TOP/tests/lib.sh"

need_mkimage

# alone DIRECTORY FILE ...: these are there, and nothing else.
alone()
{
	t_dir=$1
	shift
	printf '%s\n' "$@" | sort >want.list
	# shellcheck disable=SC2012 # names of ours
	ls -A "$t_dir" | sort >got.list
	diff want.list got.list || fail "something else is in $t_dir"
}

# still FILE: it has what prepare gave it.
still()
{
	[ "$(cat "$1")" = precious ] || fail "$1 was changed"
}

prepare()
{
	rm -rf dir
	mkdir dir
	echo precious >dir/old.img
}

dd if=/dev/urandom of=disk.raw bs=64k count=80 2>/dev/null
mkfifo fifo

# interrupted SIGNAL COMMAND ...: gets some data, then nothing, then a signal.
interrupted()
{
	t_sig=$1
	shift
	exec 3<>fifo
	cat disk.raw >&3 &
	t_cat=$!
	status=0
	timeout --preserve-status -s "$t_sig" 0.7 "$@" <fifo >"$OUT" \
	    2>"$ERR" 3>&- || status=$?
	exec 3>&-
	# It may be stuck: its end of the fifo is one to read from, too.
	kill "$t_cat" 2>/dev/null || :
	wait
}

# ------------------------------------------------------------------------

t_begin "a signal ends it, with no trace and one line"
for s in 'INT 130' 'TERM 143' 'HUP 129'; do
	for name in new.img old.img; do
		for fmt in raw vhd; do
			prepare
			interrupted "${s% *}" "$IMGTOOL" convert -O $fmt \
			    --size 64M - dir/$name
			[ $status -eq "${s#* }" ] || fail "$s: status $status"
			one_line '.*: interrupted$'
			alone dir old.img
			still dir/old.img
		done
	done
done

t_begin "a signal while the pipe is stored leaves no trace"
prepare
interrupted TERM "$IMGTOOL" convert -q -O vhd - dir/new.img
[ $status -eq 143 ] || fail "status $status"
one_line '.*: interrupted$'
alone dir old.img

t_begin "a signal while the data go to a pipe ends it"
interrupted TERM "$IMGTOOL" convert - -
[ $status -eq 143 ] || fail "status $status"
one_line '.*: interrupted$'

t_begin "SIGKILL leaves no trace where files need no name"
prepare
if ! interrupted KILL "$IMGTOOL" convert -O vhd --size 64M - dir/new.img; then
	fail "it did not run"
fi
[ $status -eq 137 ] || fail "status $status"
still dir/old.img
case $(stat -f -c %T dir) in
ext2/ext3 | xfs | btrfs | tmpfs)
	alone dir old.img ;;
esac
prepare
interrupted KILL "$IMGTOOL" convert -O vhd --size 64M - dir/old.img
still dir/old.img

t_begin "a signal during dd-write ends it, and the image is sound"
run_ok imgtool create -f vhd image.vhd 64M
interrupted TERM "$IMGTOOL" dd-write of=image.vhd bs=1M seek=3 status=none
[ $status -eq 143 ] || fail "status $status"
expect_err '^imgtool: .*interrupted$'
run_ok imgtool check image.vhd
run_ok imgtool dd-read if=image.vhd bs=64k skip=48 count=80
same_bytes disk.raw "$OUT"

# ------------------------------------------------------------------------

# The same with a limit on the size of files.
limited()
{
	(ulimit -f 2048 && exec "$@")
}

t_begin "a result that becomes too large leaves no trace, and one line"
for fmt in raw vhd; do
	prepare
	for name in new.img old.img; do
		run_rc 1 limited "$IMGTOOL" convert -O $fmt disk.raw dir/$name
		one_line "dir/$name: "
		alone dir old.img
		still dir/old.img
		run_rc 1 limited "$IMGTOOL" dd-read if=disk.raw status=none \
		    of=dir/$name
		one_line "dir/$name: "
		alone dir old.img
		still dir/old.img
	done
done
prepare
run_rc 1 limited "$IMGTOOL" create dir/new.img 2M
one_line 'dir/new\.img: '
alone dir old.img

t_begin "a full disk leaves no trace, and one line"
mkdir full
if mount -t tmpfs -o size=1m none full 2>/dev/null; then
	at_exit "umount '$PWD/full'"
	echo precious >full/old.img
	for fmt in raw vhd; do
		for name in new.img old.img; do
			run_rc 1 imgtool convert -O $fmt disk.raw full/$name
			one_line "full/$name: No space left on device"
			alone full old.img
			still full/old.img
		done
	done
	# shellcheck disable=SC2016 # for the inner shell
	run_rc 1 sh -c 'cat disk.raw | "$IMGTOOL" convert -q -O vhd - full/new'
	one_line '.*: No space left on device'
	alone full old.img
fi

t_begin "what was written in place and failed is called unusable"
truncate -s 5M place.raw
run_rc 1 limited "$IMGTOOL" convert -n disk.raw place.raw
expect_err '^imgtool: place\.raw: unusable now'
[ "$(grep -c '^imgtool: place\.raw: ' "$ERR")" -eq "$(wc -l <"$ERR")" ] ||
    fail "$(cat "$ERR")"
run_ok imgtool create -f vhd place.vhd 5M
run_rc 1 limited "$IMGTOOL" convert -n disk.raw place.vhd
expect_err '^imgtool: place\.vhd: unusable now'
# Its header comes last: nothing takes it for a complete image.
run_rc 2 imgtool check -f vhd place.vhd

t_begin "a device is written in place, and called unusable after a signal"
head -c 8M /dev/zero | tr '\0' '\377' >device.raw
if loop=$(losetup -f --show device.raw 2>/dev/null); then
	at_exit "losetup -d $loop"
	run_ok imgtool convert disk.raw "$loop"
	cmp -n 5242880 disk.raw "$loop" || fail "the disk differs"
	[ "$(tail -c 3145728 "$loop" | tr -d '\377' | wc -c)" -eq 0 ] ||
	    fail "what is behind the disk was changed"
	run_ok imgtool convert -O vhd disk.raw "$loop"
	run_ok imgtool check -f vhd "$loop"
	run_ok imgtool compare disk.raw "$loop"
	run_rc 1 imgtool convert -O vhd -o nonsense=1 disk.raw "$loop"
	one_line "$loop: .*nonsense"
	run_ok imgtool compare disk.raw "$loop"
	run_rc 1 imgtool convert "$loop" device.raw
	one_line 'device\.raw: source and destination are the same'
	for fmt in raw vhd; do
		run_ok imgtool convert -O vhd disk.raw "$loop"
		interrupted TERM "$IMGTOOL" convert -O $fmt --size 6M - "$loop"
		[ $status -eq 143 ] || fail "status $status"
		expect_err "^imgtool: .*: interrupted\$"
		expect_err "^imgtool: $loop: unusable now"
		[ "$(wc -l <"$ERR")" -eq 2 ] || fail "$(cat "$ERR")"
	done
	# The last was to be a VHD, and its header comes last.
	run_rc 2 imgtool check -f vhd "$loop"
fi

t_begin "a source that cannot be read leaves no trace, and its row"
prepare
run_ok ./mkimage "$TOP/testdata/vhd/bad-VHD-52-cut.recipe" bad.vhd
for name in new.img old.img; do
	run_rc 1 imgtool convert bad.vhd dir/$name
	one_line 'bad\.vhd: VHD-52: .*, guest 6299648\+'
	alone dir old.img
	still dir/old.img
done
run_ok ./mkimage "$TOP/testdata/vhd/unsup-differencing.recipe" diff.vhd
run_rc 1 imgtool convert diff.vhd dir/new.img
one_line 'diff\.vhd: VHD-100 .*"base\.vhd"'
alone dir old.img
run_rc 1 imgtool convert missing.vhd dir/new.img
one_line 'missing\.vhd: No such file'
alone dir old.img

t_begin "a destination that cannot be made is one line"
run_rc 1 imgtool convert disk.raw no/such/folder.raw
one_line 'no/such/folder\.raw: '
run_rc 1 imgtool convert disk.raw dir
one_line 'dir: '
run_rc 1 imgtool convert disk.raw fifo
one_line 'fifo: '
run_rc 1 imgtool convert disk.raw /dev/null
one_line '/dev/null: '
prepare
run_rc 1 imgtool convert -O vhd -o nonsense=1 disk.raw dir/new.img
one_line 'dir/new\.img: .*nonsense'
alone dir old.img

t_begin "standard output that cannot be written is an error"
run_rc 1 sh -c '"$IMGTOOL" convert disk.raw - >/dev/full'
one_line 'standard output: No space left on device'
mkfifo out
head -c 1 <out >/dev/null &
run_rc 1 sh -c '"$IMGTOOL" convert disk.raw - >out'
one_line 'standard output: Broken pipe'
wait

t_begin "a closed standard descriptor does no image harm"
run_ok imgtool create -q -f vhd closed.vhd 4M
cp closed.vhd was.vhd
head -c 1024 /dev/urandom >in
"$IMGTOOL" dd-write of=closed.vhd status=none <in 2>&- || fail "status $?"
run_ok imgtool check closed.vhd
cp was.vhd closed.vhd
"$IMGTOOL" check -r safe closed.vhd >&- 2>"$ERR" && fail "it could print"
one_line 'standard output: '
same_bytes was.vhd closed.vhd

t_begin "an image is never its own input or output, by redirection either"
run_ok imgtool convert -O vhd disk.raw self.vhd
cp self.vhd was.vhd
"$IMGTOOL" convert self.vhd - 1<>self.vhd 2>"$ERR" && fail "it was"
one_line 'standard output: source and destination are the same'
"$IMGTOOL" dd-read if=self.vhd 1<>self.vhd 2>"$ERR" && fail "it was"
one_line 'standard output: image and output are the same'
"$IMGTOOL" dd-write of=self.vhd count=1 <self.vhd 2>"$ERR" && fail "it was"
one_line 'standard input: image and input are the same'
same_bytes was.vhd self.vhd
