# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# For checks of messages, sourced with the caller's arguments, [p2s=build/release/p2s]: sets $root,
# $p2s, $configs and $data, and goes to a new $folder, removed when the caller ends. Counts in $cases
# and $failed.
cases=0 failed=0 p2s=build/release/p2s
root=$(realpath "$(dirname "${BASH_SOURCE[0]}")/..") && cd "$root" || exit 1
for setting in "$@"; do
    case $setting in
    p2s=*) p2s=${setting#p2s=} ;;
    *) echo "${0##*/}: unknown argument \"$setting\"" >&2 && exit 2 ;;
    esac
done
[ -x "$p2s" ] || { echo "${0##*/}: $p2s is missing; build it first" >&2 && exit 1; }
p2s=$(realpath "$p2s") configs=$root/configs/miniature
data=$(realpath -m "${P2S_DATA:-../shared/data}")
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
cd "$folder" || exit 1
export OMP_WAIT_POLICY=passive OMP_NUM_THREADS=2

wrong() {
    echo "    WRONG: $1"
    failed=$((failed + 1))
}

# refused "WHAT" "WORD|WORD" COMMAND...: the command must refuse with a message that has the words.
refused() {
    local what=$1 words=$2 code=0 word found
    shift 2
    cases=$((cases + 1))
    timeout 60 "$@" >out 2>err || code=$?
    echo "$what (exit code $code)"
    grep -v '^plan' err | sed 's/^/    /' | head -n 6
    { [ "$code" -ge 1 ] && [ "$code" -le 123 ]; } || wrong "exit code $code"
    while read -r -d '|' word; do
        grep -qF -- "$word" err || wrong "\"$word\" is not in the message"
    done <<<"$words|"
    found=$(find . -name '*.p2s-*' -o -name '*.tmp-*')
    [ -z "$found" ] || wrong "left behind: $found"
}

# absent PATH...: nothing was written there.
absent() {
    local path
    for path in "$@"; do [ ! -e "$path" ] || wrong "$path was written"; done
}
