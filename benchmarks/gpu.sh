#!/usr/bin/env bash
# What only a GPU can show, unattended and within ten minutes: the CUDA tests, then ours beside the released code.
#
#   benchmarks/gpu.sh LA RELEASED OUT
#
# LA: the folder of the data set la. RELEASED: checkouts of SS-Net, UG-MCL, TraCoCo and shuaiAIMedcalLab.
# OUT: a folder; OUT/gpu.csv has what was measured, OUT/<topic>.log what was said. A topic that fails or takes too long
# is named at the end, and the others are kept. $PYTHON: the interpreter (default: python).
set -u
if [ $# -ne 3 ]; then
    sed -n 's/^# \{0,1\}//p' "$0" | sed 1d
    exit 2
fi
python=${PYTHON:-python}
here=$(cd "$(dirname "$0")" && pwd)
la=$(realpath "$1") released=$(realpath "$2")
mkdir -p "$3/parts"
out=$(realpath "$3")
cd "$here/.." || exit 2
export PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}"
failed=()

topic() { # name, seconds, command
    local name=$1 seconds=$2
    shift 2
    if ! timeout --signal=INT --kill-after=10 "$seconds" "$@" >"$out/$name.log" 2>&1; then
        failed+=("$name")
    fi
    tail -n 1 "$out/$name.log"
}

beside=(--la "$la" --released "$released")
topic signed_distance 40 "$python" benchmarks/signed_distance.py --la "$la" --out "$out/parts/signed_distance.csv"
topic sliding_window 45 "$python" benchmarks/sliding_window.py "${beside[@]}" \
    --rounds 3 --out "$out/parts/sliding_window.csv"
topic training_step 270 "$python" benchmarks/training_step.py "${beside[@]}" \
    --ours bf16 float32 bf16+compile --rounds 7 --warm-up 3 --threads 4 --out "$out/parts/training_step.csv"
topic evaluation 135 "$python" benchmarks/evaluation.py "${beside[@]}" \
    --run "$out/run" --train-seconds 40 --out "$out/parts/evaluation.csv"
topic cuda_tests 100 "$python" -m pytest -q -m gpu tests/core
"$python" benchmarks/one_table.py "$out/gpu.csv" "$out"/parts/*.csv
if [ ${#failed[@]} -gt 0 ]; then
    echo "not finished: ${failed[*]}; see $out/*.log"
    exit 1
fi
