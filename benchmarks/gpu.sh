#!/bin/bash
# What to do once a GPU is lent: pack here, then each step on the GPU machine in calls of at most
# nine minutes. Every training run resumes where the last call stopped.
#
#   benchmarks/gpu.sh pack DATA CATEGORY     here: packed/CATEGORY.tar, at most 48 MiB
#   benchmarks/gpu.sh wheels                 here: .whl/, the kit and what that machine lacks
#   benchmarks/gpu.sh setup                  there, once: installs .whl/
#   benchmarks/gpu.sh test                   there: the tests that need CUDA
#   benchmarks/gpu.sh train PRESET CATEGORY [STEP_FRACTION]
#                                            there: standard or paper; again until it says "report:"
#   benchmarks/gpu.sh speed                  there: images per second at 256 and 1024
#
# packed/, .whl/ and runs/gpu are ignored by git: name them as what travels with the working tree.
# Where $OUT is set, what a call made is put there too; unpack its run into runs/gpu before the
# next call if the machine is a new one. PYTHON, DEVICE, RUNS and SECONDS_PER_CALL can be set in the
# environment. Exit code 75: unfinished.
set -euo pipefail
PYTHON=${PYTHON:-python3} DEVICE=${DEVICE:-cuda} RUNS=${RUNS:-runs/gpu}
SECONDS_PER_CALL=${SECONDS_PER_CALL:-540}
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
mkdir -p packed "$RUNS"

case ${1:-} in
pack)
    "$PYTHON" benchmarks/pack_data.py "$2" "$3" "packed/$3.tar" --limit-mib 48
    ;;
wheels)
    "$PYTHON" -m pip wheel --quiet --no-deps --wheel-dir .whl .
    "$PYTHON" -m pip download --quiet --no-deps --dest .whl --only-binary=:all: \
        --python-version "${GPU_PYTHON:-3.12}" --implementation cp \
        --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
        jsonschema jsonschema-specifications referencing rpds-py pooch platformdirs \
        pytest pytest-timeout pluggy iniconfig pygments
    ;;
setup)
    "$PYTHON" -m pip install --quiet --no-index --no-deps .whl/*.whl
    ;;
test)
    "$PYTHON" -m pytest -m gpu -q -p no:cacheprovider tests/rcae_lite/test_detector.py
    ;;
train)
    preset=$2 category=$3 fraction=${4:-1}
    [ -d "packed/$category" ] || tar -xf "packed/$category.tar" -C packed
    name="$category-$preset-0$([ "$fraction" = 1 ] || echo "-$fraction")"
    run="$RUNS/$name"
    if [ -e "$run/report.html" ]; then echo "report: $run/report.html"; exit 0; fi
    resume=(); [ -e "$run/run.json" ] && resume=(--resume)
    # A checkpoint is written every 20 seconds: little is lost when the time is up.
    code=0
    timeout --signal=INT --kill-after=30 "$SECONDS_PER_CALL" "$PYTHON" -m rcae_lite train packed \
        "$category" --preset "$preset" --step-fraction "$fraction" --device "$DEVICE" \
        --out "$run" "${resume[@]}" || code=$?
    if [ -n "${OUT:-}" ] && [ -d "$run" ]; then tar -cf "$OUT/$name.tar" -C "$RUNS" "$name"; fi
    case $code in
    124 | 130 | 137 | 143) echo "unfinished: $run; the same call resumes"; exit 75 ;;
    *) exit $code ;;
    esac
    ;;
speed)
    for size in 256 1024; do
        batch=$([ $size = 256 ] && echo 32 || echo 4)
        compile=$([ "$DEVICE" = cuda ] && echo --compile || true)
        "$PYTHON" benchmarks/gpu.py --size $size --batch $batch --device "$DEVICE" $compile \
            | tee "${OUT:-$RUNS}/speed-gpu-$size.md"
    done
    ;;
*)
    sed -n '2,18s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
