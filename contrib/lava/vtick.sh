#!/bin/sh
# Runs vtick on a board and says each result as LAVA's dispatcher reads it from the console.
# usage: vtick.sh URL "ARGUMENTS OF TEST" "SCENARIOS"
set -u

url=$1 test_args=$2 scenarios=$3
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT

vtick=vtick
if [ -n "$url" ]; then
    vtick=$folder/vtick
    if command -v wget > /dev/null; then wget -q -O "$vtick" "$url"; else curl -sSfL -o "$vtick" "$url"; fi || {
        echo "cannot fetch $url"
        exit 1
    }
    chmod +x "$vtick"
fi

status=0
# Unquoted on purpose: several arguments.
# shellcheck disable=SC2086
"$vtick" test --output "$folder/checks.json" $test_args || status=$?
if [ -s "$folder/checks.json" ]; then
    "$vtick" report "$folder/checks.json" --as lava
fi
if [ -n "$scenarios" ]; then
    # shellcheck disable=SC2086
    "$vtick" bench --output "$folder/latency.json" $scenarios || [ $status -ne 0 ] || status=$?
    if [ -s "$folder/latency.json" ]; then
        "$vtick" report "$folder/latency.json" --as lava
    fi
fi
# 4: nothing could be exercised on this board, which LAVA's test cases say one by one.
[ $status -eq 4 ] && status=0
exit $status
