# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# For checks of messages, sourced: counts in $cases and $failed. Works in the current folder.
cases=0 failed=0

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
