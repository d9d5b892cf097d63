#!/usr/bin/env bash
# What only a GPU can show, unattended and within ten minutes: ours beside the released code, and the CUDA tests.
#
#   benchmarks/gpu.sh LA RELEASED OUT
#
# LA: the folder of the data set la. RELEASED: checkouts of SS-Net, UG-MCL, TraCoCo and shuaiAIMedcalLab.
# OUT: a folder; OUT/gpu.csv has what was measured, as far as it came, and OUT/gpu.log what was said; those of an earlier
# run go, once the arguments are found to be in order. A topic that fails or takes too long is named at the end, and the
# others are kept. Compiled networks come last, of as many methods as there is time for. $PYTHON: the interpreter
# (default: python), with what the package needs, pytest, hypothesis and medpy.
set -u
here=$(cd "$(dirname "$0")" && pwd) || exit 2
. "$here/arguments.sh"
arguments $# 3 3
la=$(folder LA "$1" "2018LA_Seg_Training Set") || exit 2
released=$(folder RELEASED "$2" SS-Net UG-MCL TraCoCo shuaiAIMedcalLab) || exit 2
python=$(interpreter) || exit 2
device=$(torch_device "$python") || exit 2
[ "$device" = cuda ] || refuse "PYTHON=$python: its torch sees no CUDA device, expected one"
out=$(writable OUT "$3") || exit 2
scratch=$(mktemp -d) || exit 2
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/parts"
: >"$out/gpu.log"
rm -f "$out/gpu.csv"
cd "$here/.." || exit 2
export PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}"
failed=() end=580 # seconds after the start

topic() { # name, seconds, command
    local name=$1 seconds=$2
    shift 2
    echo "== $name" >>"$out/gpu.log"
    if ! timeout --signal=INT --kill-after=5 "$seconds" "$@" >>"$out/gpu.log" 2>&1; then
        failed+=("$name")
    fi
    tail -n 1 "$out/gpu.log"
    if compgen -G "$scratch/parts/*.csv" >/dev/null; then # now: the next topic may be the last
        "$python" benchmarks/one_table.py "$out/gpu.csv" "$scratch"/parts/*.csv || failed+=("the table with $name")
    fi
}

beside=(--la "$la" --released "$released")
topic signed_distance 25 "$python" benchmarks/signed_distance.py --la "$la" \
    --devices cuda --rounds 3 --out "$scratch/parts/signed_distance.csv"
topic sliding_window 40 "$python" benchmarks/sliding_window.py "${beside[@]}" \
    --rounds 3 --out "$scratch/parts/sliding_window.csv"
for method in ssnet ugmcl tracoco cpam_trcm; do
    topic "training_step_$method" 60 "$python" benchmarks/training_step.py "${beside[@]}" --methods "$method" \
        --ours bf16 float32 --rounds 5 --warm-up 3 --threads 4 --out "$scratch/parts/training_step_$method.csv"
done
topic evaluation 75 "$python" benchmarks/evaluation.py "${beside[@]}" \
    --run "$scratch/run" --train-seconds 20 --volumes 6 --out "$scratch/parts/evaluation.csv"
topic cuda_tests 70 "$python" -m pytest -q -m gpu tests/core/test_gpu.py tests/core/test_distance_transform.py
for method in ssnet ugmcl tracoco cpam_trcm; do
    left=$((end - SECONDS))
    if [ "$left" -lt 70 ]; then # a compiler takes a minute or more
        echo "no time left for compiled networks of $method" | tee -a "$out/gpu.log"
        continue
    fi
    topic "compiled_step_$method" "$left" "$python" benchmarks/training_step.py "${beside[@]}" --methods "$method" \
        --ours bf16+compile --rounds 5 --warm-up 3 --threads 4 --out "$scratch/parts/compiled_step_$method.csv"
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "not finished: ${failed[*]}; see $out/gpu.log"
    exit 1
fi
