#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Sets up, builds and runs every test and check. Ends with "N passed, N failed, N skipped"; each
# check, test function and op case counts as one. Exit code 1 when one failed.
#   P2S_DATA      folder of the sample data (default ../shared/data beside the clone)
#   P2S_JOBS      jobs of the build (default: number of processors)
#   P2S_PRESETS   builds to test (default "release debug tsan"; debug-clang is another)
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
root=$PWD
logs=$root/build/logs
jobs=${P2S_JOBS:-$(nproc)}
read -r -a presets <<<"${P2S_PRESETS:-release debug tsan}"
mkdir -p "$logs"
passed=0 failed=0 skipped=0
failures=()

add() {
    passed=$((passed + $1))
    failed=$((failed + $2))
    skipped=$((skipped + $3))
}

# stage NAME COMMAND...: runs it with its output in $log; prints time and result, does not count.
# Returns the command's exit code.
stage() {
    local name=$1 start=$SECONDS code=0
    shift
    log=$logs/${name// /-}.log
    "$@" >"$log" 2>&1 || code=$?
    if [ $code -eq 0 ]; then
        printf '%-28s ok      %4d s\n' "$name" $((SECONDS - start))
    else
        printf '%-28s FAILED  %4d s  (exit code %d)\n' "$name" $((SECONDS - start)) $code
        failures+=("$name: $log")
    fi
    return $code
}

# One check that passes or fails; shows the end of its log where it fails.
check() {
    if stage "$@"; then
        grep '^SKIP ' "$log" | sed 's/^/    /'
        add 1 0 0
    else
        tail -n 30 "$log" | sed 's/^/    /'
        add 0 1 0
        return 1
    fi
}

# The test programs of a build: two at a time of those that use one processor.
tests() {
    rm -f "build/$1/kernels.txt"
    stage "tests $1" ctest --test-dir "build/$1" -V -j 2 --timeout 300
    local code=$? counts
    read -r -a counts < <(awk -f scripts/count_tests.awk "$log")
    [ $code -ne 0 ] && [ "${counts[1]}" -eq 0 ] && counts[1]=1
    grep -hoE '^[0-9]+: SKIP .*' "$log" | sed 's/^[0-9]*: /    /'
    if [ $code -ne 0 ]; then
        grep -hE '\[(FAIL|CRASH)\]|ERROR: [A-Za-z]*Sanitizer|runtime error|\*\*\*' "$log" |
            sort -u | sed 's/^/    /'
    fi
    add "${counts[@]}"
}

# The op cases through the program, which prints "N passed, N failed, N skipped" at its end.
op_cases() {
    stage "op cases $1" "build/$1/p2s" check
    local code=$? counts
    counts=$(grep -oE '[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?' "$log" | tail -n 1)
    # shellcheck disable=SC2046,SC2086
    set -- $(printf '%s' "$counts" | grep -oE '[0-9]+')
    if [ $code -eq 0 ]; then
        add "${1:-1}" "${2:-0}" "${3:-0}"
    elif [ "${2:-0}" -gt 0 ]; then
        add "$1" "$2" "${3:-0}"
    else
        add 0 1 0
    fi
}

# LLVM's OpenMP is not instrumented; its tool library tells TSan where threads meet.
tsan() {
    local archer
    archer=$(dirname "$(realpath "$(clang -print-file-name=libomp.so)")")/libarcher.so
    [ -f "$archer" ] && export OMP_TOOL_LIBRARIES=$archer
    export TSAN_OPTIONS=ignore_noninstrumented_modules=1:halt_on_error=1
    tests tsan
    op_cases tsan
}

build() {
    cmake --preset "$1" && cmake --build --preset "$1" -j "$jobs" -- -k 0
}

# Installs, then builds and runs a program outside the tree with what was installed.
install_and_use() {
    local folder code=0
    folder=$(mktemp -d)
    {
        cmake --install build/release --prefix "$folder/installed" &&
            cp -r tests/example "$folder/example" &&
            PKG_CONFIG_PATH=$folder/installed/lib/pkgconfig cmake -S "$folder/example" \
                -B "$folder/build" -G Ninja &&
            cmake --build "$folder/build" &&
            "$folder/build/example"
    } || code=$?
    rm -rf "$folder"
    return $code
}

# Every stage of the miniature with one step each, with ablations and without, and that a second call
# finds nothing left to do.
miniature_chain() {
    local folder code=0 times
    folder=$(mktemp -d)
    local call=(scripts/miniature.sh seeds=2 "out=$folder" p2s=build/release/p2s images=1)
    call+=(steps.vae=1 steps.diffusion=1 steps.gen2seg=1 steps.prompt2seg=1)
    {
        "${call[@]}" && times=$(cat "$folder/seed-0/times.txt") && "${call[@]}" >/dev/null &&
            [ "$(cat "$folder/seed-0/times.txt")" = "$times" ] && [ "$(wc -l <<<"$times")" = 16 ] &&
            [ "$(wc -l <"$folder/seed-1/times.txt")" = 8 ] &&
            [ -s "$folder/page.html" ] && grep -q 'a: branch - gen2seg+cc' "$folder/table.md"
    } || code=$?
    rm -rf "$folder"
    return $code
}

started=$SECONDS
scripts/setup.sh || exit 1
printf '%-28s ok      %4d s\n' "set-up" $((SECONDS - started))
built=()
for preset in "${presets[@]}"; do
    check "build $preset" build "$preset" && built+=("$preset")
done
tested=$SECONDS
check "include directions" scripts/check_includes.sh
check "format" scripts/check_format.sh
# Teams of threads that wait without spinning: several programs share the processors.
export OMP_WAIT_POLICY=passive OMP_NUM_THREADS=${OMP_NUM_THREADS:-2}
for preset in "${built[@]}"; do
    case $preset in
    release)
        tests release
        op_cases release
        check "install and use" install_and_use
        check "chain of the miniature" miniature_chain
        check "kill and resume" scripts/check_resume.sh
        check "bad input" scripts/check_bad_input.sh
        check "trust" scripts/check_trust.sh
        check "instruction sets" scripts/check_isa.sh
        check "several processes" scripts/check_processes.sh emulated=build/release/p2s-emulated
        ;;
    tsan) tsan ;;
    *) tests "$preset" ;;
    esac
done
folders=("${built[@]/#/build/}")
check "kernels" scripts/check_kernels.sh "${folders[@]}"
check "injected faults" scripts/check_faults.sh "${folders[@]}"
for failure in "${failures[@]}"; do echo "failed: $failure"; done
printf 'set-up and build %d s, tests %d s\n' $((tested - started)) $((SECONDS - tested))
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
