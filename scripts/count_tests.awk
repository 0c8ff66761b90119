# SPDX-License-Identifier: MIT
# Sums a `ctest -V` log: prints "PASSED FAILED SKIPPED". Each test function of a Criterion program
# counts as one, and so does a plain program; a Criterion program that ctest failed without a failed
# function (a sanitizer's report, a crash, a time-out) counts as one failure.
function number(line, word) {
    return match(line, word ": [0-9]+") ? substr(line, RSTART + length(word) + 2, RLENGTH) + 0 : 0
}
match($0, /^[0-9]+: /) { program = substr($0, 1, RLENGTH - 2) }
/^[0-9]+: \[====\] Synthesis:/ {
    summed[program] = 1
    passed += number($0, "Passing")
    bad[program] += number($0, "Failing") + number($0, "Crashing")
}
/^[0-9]+: SKIP / { skipped++ }
/^ *[0-9]+\/[0-9]+ Test +#[0-9]+: / {
    match($0, /#[0-9]+/)
    program = substr($0, RSTART + 1, RLENGTH - 1)
    if ($0 ~ / Passed /) passed += !summed[program]
    else if (!bad[program]) bad[program] = 1
}
END {
    for (program in bad) failed += bad[program]
    print passed + 0, failed + 0, skipped + 0
}
