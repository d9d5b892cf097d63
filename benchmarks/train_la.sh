#!/usr/bin/env bash
# Train on LA with the papers' own budgets for as long as it is given, several runs at once on one GPU.
#
#   benchmarks/train_la.sh LA OUT SECONDS [options of benchmarks/compare.py]
#
# LA: the folder of the data set la. OUT: a folder; OUT/la*.csv are the tables, and OUT/runs.tar.gz has of every
# finished run its settings, history, scores and summary, no weights. Runs lie in OUT/runs, and the same command goes on
# with those that were stopped. After SECONDS the tables and the archive take some more. $PYTHON: the interpreter
# (default: python). $JOBS: runs at once (default: 3).
set -u
here=$(cd "$(dirname "$0")" && pwd) || exit 2
. "$here/arguments.sh"
arguments $# 3
la=$(folder LA "$1" "2018LA_Seg_Training Set") || exit 2
seconds=$3
[[ $seconds =~ ^[0-9]*[.]?[0-9]+$ && $seconds =~ [1-9] ]] || refuse "SECONDS $seconds: expected a number above 0"
python=$(interpreter) || exit 2
torch_device "$python" >/dev/null || exit 2
out=$(writable OUT "$2") || exit 2
shift 3
cd "$here/.." || exit 2
export PYTHONPATH="$here/..${PYTHONPATH:+:$PYTHONPATH}"

"$python" benchmarks/compare.py --folder "$out/runs" --out "$out/la.csv" --datasets la --data-root "$la" \
    --presets full --labels 8 --jobs "${JOBS:-3}" --max-seconds "$seconds" \
    --methods supervised mean_teacher bcp ssnet ugmcl tracoco cpam_trcm "$@"
code=$?
packed=$(find "$out/runs" -name summary.json -printf '%h\n' 2>/dev/null | while read -r run; do
    for name in run.json history.csv evaluations.csv cases.csv summary.json; do
        [ -f "$run/$name" ] && realpath --relative-to "$out" "$run/$name"
    done
done)
if [ -n "$packed" ]; then # else an earlier archive stays
    archive=$out/runs.tar.gz
    tar --create --gzip --directory "$out" --file "$archive.part" --files-from - <<<"$packed" &&
        mv "$archive.part" "$archive" || code=1
    rm -f "$archive.part"
fi
exit $code
