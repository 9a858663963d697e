#!/usr/bin/env bash
# Tests and times lstm_zoo on one GPU in less than 8 minutes, and prints a table of what came out.
#
#   tests/benchmarks/gpu.sh [DIRECTORY]
#
# DIRECTORY, a new one of the system's if it is not given, gets the output of each step. It runs in a
# bare checkout, without network: python (or $PYTHON) must be able to import the dependencies in
# setup.cfg, pytest and hypothesis; eSpeak NG, Babel, LiteRT and ONNX are not needed, and PyTorch is
# timed where it is installed. A step that takes too long is stopped, and the next one runs. Exits
# with 1 if a step failed. $TIMES is multiplied with the steps' limits, and $QUICK=1 shortens the
# benchmarks: for machines without a GPU.
set -uo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python}
directory=${1:-$(mktemp -d)}
mkdir -p "$directory"
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} TF_CPP_MIN_LOG_LEVEL=3
table=() failed=0

step() { # name, seconds, command...
  local name=$1 limit=$(($2 * ${TIMES:-1})) start=$SECONDS status=0
  shift 2
  echo "== $name"
  timeout --kill-after 5 "$limit" "$@" >"$directory/$name.txt" 2>&1 || status=$?
  [ $status -eq 0 ] || failed=1
  [ $status -ne 124 ] || status="124 (stopped)"
  table+=("$(printf '%-12s %6s s  status %-14s %s' "$name" $((SECONDS - start)) "$status" \
    "$(grep -v '^$' "$directory/$name.txt" | tail -n 1 | cut -c 1-120)")")
}

rounds=(--rounds 3) shapes=(4 5 8 9 11) batches=4
if [ -n "${QUICK:-}" ]; then rounds=(--rounds 1) shapes=(2) batches=1; fi

# All tests of the marker gpu: they train, resume and export a model of each family, too.
step gpu 140 "$python" -m pytest -q -m gpu tests/test_gpu.py
step recurrent 80 "$python" -m pytest -q -m "not slow" tests/recurrent
step layers 140 "$python" tests/benchmarks/bench_cudnn.py "${rounds[@]}" "${shapes[@]/#/--only=}"
step families 110 "$python" tests/benchmarks/bench_families.py sentiment speech translation \
  "${rounds[@]}" --batches "$batches"

grep -hvE 'WARNING|^[IWE][0-9]{4} ' "$directory/layers.txt" "$directory/families.txt"
grep -hE '^(FAILED|ERROR)' "$directory/gpu.txt" "$directory/recurrent.txt"
printf '\n'
printf '%s\n' "${table[@]}"
echo "The steps' output is in $directory."
exit $failed
