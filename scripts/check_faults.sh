#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Shows that the emulated CUDA back end finds faults: puts one fault after another into a kernel,
# in a copy, and expects `p2s-emulated check --device cuda OP` of each build, which passes without
# the fault, to fail and to say why.
#   check_faults.sh BUILD...    folders of builds with Ninja: plain, ASan and UBSan, or TSan
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
all=$(mktemp -d)
trap 'rm -rf "$all"' EXIT
count=0

# Compiles cuda/$2 with the include path of the copy first, and links the program with it.
build_with() {
    local build=$1 source=$2 compile link object
    compile=$(ninja -C "$build" -t commands p2s-emulated | grep -F "_emulated.dir/__/$source.o" |
        grep -v ' -MT [^ ]*\.a ' | head -n 1)
    link=$(ninja -C "$build" -t commands p2s-emulated | tail -n 1)
    object=$work/$source.o
    compile=${compile/ -I/ -I$work -I}
    compile=$(sed -E "s# -o [^ ]+# -o $object#; s# -M[TF] [^ ]+##g; s# -MD##; s#-c [^ ]+#-c $work/cuda/$source#" <<<"$compile")
    link=$(sed -E "s# -o p2s-emulated # $object -o $work/faulty #" <<<"$link")
    (cd "$build" && bash -c "$compile" && bash -c "$link") >"$work/log" 2>&1
}

check() { # PROGRAM OP
    OMP_NUM_THREADS=1 timeout 300 "$1" check --device cuda "$2" >"$work/log" 2>&1
}

# What a build's program with a fault in it comes to, as a line.
verdict() { # NAME BUILD KIND SOURCE OP
    local code=0 words
    if ! check "$2/p2s-emulated" "$5"; then
        echo "FAIL    $1: without it $5 fails in $2 too"
        return
    fi
    if ! build_with "$2" "$4"; then
        echo "FAIL    $1 does not compile in $2: $(tail -n 1 "$work/log")"
        return
    fi
    check "$work/faulty" "$5" || code=$?
    words=$(grep -m 1 -hE 'AddressSanitizer:|ThreadSanitizer:|runtime error|emulation:' "$work/log" ||
        grep -m 1 '^FAIL' "$work/log" || true)
    case $code in
    0) echo "MISSED  $1 ($3)" ;;
    124 | 126 | 127) echo "FAIL    $1 ($3): does not start or does not end (exit code $code)" ;;
    *) [ -z "$words" ] && echo "FAIL    $1 ($3): fails without a word" || echo "caught  $1 ($3): ${words:0:100}" ;;
    esac
}

# fault NAME FILE SOURCE OP BUILDS SED: SED changes cuda/FILE, which cuda/SOURCE compiles.
# BUILDS says which builds must see it: plain, address, thread. Two are looked at at a time.
fault() {
    local seen_by=$5 build kind
    for build in "${builds[@]}"; do
        kind=$(kind_of "$build")
        [[ " $seen_by " == *" $kind "* ]] || continue
        while [ "$(jobs -rp | wc -l)" -ge 2 ]; do wait -n || true; done
        count=$((count + 1))
        work=$all/$(printf %03d $count)
        mkdir "$work"
        one_fault "$1" "$2" "$3" "$4" "$build" "$kind" "$6" >"$work/said" 2>&1 &
    done
}

one_fault() { # NAME FILE SOURCE OP BUILD KIND SED
    cp -r "$root/cuda" "$work/cuda"
    sed -i "$7" "$work/cuda/$2"
    if cmp -s "$root/cuda/$2" "$work/cuda/$2"; then
        echo "FAIL    $1: nothing in cuda/$2 to change"
    else
        verdict "$1" "$5" "$6" "$3" "$4"
    fi
}

kind_of() {
    case $(grep -oE '^P2S_SANITIZE:[^=]*=.*' "$1/CMakeCache.txt" | cut -d= -f2) in
    *address*) echo address ;;
    *thread*) echo thread ;;
    *) echo plain ;;
    esac
}

[ $# -gt 0 ] || { echo "usage: check_faults.sh BUILD..." >&2 && exit 2; }
builds=()
for build in "$@"; do builds+=("$(realpath "$build")"); done

fault "a barrier is missing before sums are read" columns.cuh group_norm.cu group_norm "plain thread" \
    '/parts\[v \* BLOCK + thread\] = sums/{n;d}'
fault "a barrier is missing before shared memory is used again" kernel.cuh group_norm.cu group_norm thread \
    '/the last use of parts is over/d'
fault "a loop goes one row too far" columns.cuh group_norm.cu group_norm "plain address" \
    's/span.end = (blockIdx.y + 1) \* c.chunk;/span.end = (blockIdx.y + 1) * c.chunk + 1;/; s/span.end > c.rows) span.end = c.rows/span.end > c.rows + 1) span.end = c.rows + 1/'
fault "one element too many is written" map.cuh unary.cu unary "address" \
    's/if (rest >= count) return;/if (rest > count) return;/'
fault "epsilon is a tenth" layer_norm.cu layer_norm.cu layer_norm "plain" 's/(float)args->eps/(float)args->eps * 0.1f/'
fault "a thread leaves before a barrier" softmax.cu softmax.cu softmax "plain" \
    's/^        float highest = -INFINITY, sum = 0;/        if (threadIdx.x == 127) return;\n&/'
fault "a tie of the minimum is counted twice" minmax.cu minmax.cu minmax "plain" \
    's/highs += other.high == high ? other.highs : 0/highs += other.high == high ? 2 * other.highs : 0/'
wait
grep -hE '^(caught|MISSED|FAIL) ' "$all"/*/said
echo "$(cat "$all"/*/said | grep -c '^caught ') of $count faults caught"
! grep -qhE '^(MISSED|FAIL) ' "$all"/*/said && [ $count -gt 0 ]
