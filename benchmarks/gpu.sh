#!/bin/bash
# What to do once a GPU is lent: pack here, then each step on the GPU machine in calls of at most
# nine minutes. Every training goes on where the last call stopped.
#
#   benchmarks/gpu.sh pack DATA CATEGORY     here: packed/CATEGORY.tar, at most 64 MiB
#   benchmarks/gpu.sh test                   there: the tests that need CUDA
#   benchmarks/gpu.sh train PRESET CATEGORY  there: standard or paper; again until it says "report:"
#   benchmarks/gpu.sh speed                  there: images per second at 256 and 1024
#
# PYTHON, DEVICE, OUT and SECONDS_PER_CALL can be set in the environment. Exit code 75: unfinished.
set -euo pipefail
PYTHON=${PYTHON:-python} DEVICE=${DEVICE:-cuda} OUT=${OUT:-runs/gpu}
SECONDS_PER_CALL=${SECONDS_PER_CALL:-540}
mkdir -p packed "$OUT"

case ${1:-} in
pack)
    "$PYTHON" benchmarks/pack_data.py "$2" "$3" "packed/$3.tar"
    ;;
test)
    "$PYTHON" -m pytest -m gpu -q
    ;;
train)
    preset=$2 category=$3
    [ -d "packed/$category" ] || tar -xf "packed/$category.tar" -C packed
    run="$OUT/$category-$preset-0"
    if [ -e "$run/report.html" ]; then echo "report: $run/report.html"; exit 0; fi
    resume=(); [ -e "$run/run.json" ] && resume=(--resume)
    # A checkpoint is written every 20 seconds: little is lost when the time is up.
    code=0
    timeout --signal=INT --kill-after=30 "$SECONDS_PER_CALL" "$PYTHON" -m rcae_lite train packed \
        "$category" --preset "$preset" --device "$DEVICE" --out "$run" "${resume[@]}" || code=$?
    if [ $code = 124 ] || [ $code = 130 ]; then
        echo "unfinished: $run; the same call goes on"
        exit 75
    fi
    exit $code
    ;;
speed)
    for size in 256 1024; do
        batch=$([ $size = 256 ] && echo 32 || echo 4)
        compile=$([ "$DEVICE" = cuda ] && echo --compile || true)
        "$PYTHON" benchmarks/gpu.py --size $size --batch $batch --device "$DEVICE" $compile \
            | tee "$OUT/speed-gpu-$size.md"
    done
    ;;
*)
    sed -n '2,11s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
