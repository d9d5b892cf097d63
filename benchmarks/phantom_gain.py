"""What UG-MCL gains over supervised learning on the phantom, and which of its terms does the work.

    python benchmarks/phantom_gain.py --runs DIR --dims 2 --out benchmarks/results/phantom_gain_2d.csv

Trains the quick preset: supervised with 80 and 4 labels, UG-MCL with 16 and 4, over seeds; with --ablate also UG-MCL
with 4 labels without each of its parts. Finished runs are not trained again. Every row is one run; the summary at the
end pairs the seeds.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from machine import machine

from ssmis_core.configuration import configure
from ssmis_core.evaluation import evaluate_run
from ssmis_core.files import write_csv
from ssmis_core.runs import Run
from ssmis_core.statistics import paired_difference
from ssmis_core.training import train

ABLATIONS: dict[str, dict[str, Any]] = {
    "without intra-task": {"intra_task": False},
    "without cross-task": {"cross_task": False},
    "without uncertainty": {"uncertainty": False},
    "without consistency": {"intra_task": False, "cross_task": False},
    "without distance": {"distance": False, "cross_task": False},
}


def main() -> None:
    arguments = parse()
    jobs: list[tuple[str, str, int, int, dict[str, Any]]] = [
        ("supervised", "supervised", 80, 0, {}),
        ("ugmcl", "ugmcl", 16, 0, {}),
    ]
    for seed in range(arguments.seeds):
        jobs += [("supervised", "supervised", 4, seed, {}), ("ugmcl", "ugmcl", 4, seed, {})]
    if arguments.ablate:
        jobs += [
            (name, "ugmcl", 4, seed, options) for name, options in ABLATIONS.items() for seed in range(arguments.seeds)
        ]
    rows = []
    for name, method, labeled, seed, options in jobs:
        row = one_run(arguments, name, method, labeled, seed, options)
        rows.append(row)
        print({key: row[key] for key in ("name", "labeled", "seed", "dice", "seconds")}, flush=True)
        write_csv(arguments.out, rows)
    pairs = summarise(rows)
    write_csv(arguments.out.with_name(arguments.out.stem + "_pairs.csv"), pairs)
    for pair in pairs:
        print(pair)


def one_run(
    arguments: argparse.Namespace, name: str, method: str, labeled: int, seed: int, options: dict[str, Any]
) -> dict[str, Any]:
    config = configure(
        method, dataset="phantom", dataset_options={"dims": arguments.dims}, labeled=labeled, seed=seed, **options
    )
    folder = Path(arguments.runs) / f"{arguments.dims}d" / f"{name.replace(' ', '_')}-{labeled}-seed{seed}"
    run = train(config, run_dir=folder)
    summary = run.summary if (folder / "summary.json").is_file() else evaluate_run(run, save_predictions=False)
    info = Run(folder).info
    return {
        "name": name,
        "dims": arguments.dims,
        "labeled": labeled,
        "seed": seed,
        "iterations": config.iterations,
        **{metric: round(summary["mean"][metric], 4) for metric in ("dice", "jaccard", "hd95", "asd")},
        "missed": summary["missed"],
        "seconds": info["seconds"],
        **machine(),
    }


def summarise(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Paired over seeds, 4 labels: UG-MCL minus supervised, and full UG-MCL minus each ablation."""
    dice = {(row["name"], row["seed"]): row["dice"] for row in rows if row["labeled"] == 4}
    seconds = {(row["name"], row["seed"]): row["seconds"] for row in rows if row["labeled"] == 4}
    seeds = sorted({seed for _, seed in dice})
    pairs = []
    for other in [name for name in ("supervised", *ABLATIONS) if (name, seeds[0]) in dice]:
        difference = paired_difference([dice["ugmcl", s] for s in seeds], [dice[other, s] for s in seeds])
        ratio = sum(seconds["ugmcl", s] for s in seeds) / sum(seconds[other, s] for s in seeds)
        values = {key: round(value, 4) for key, value in difference.as_dict().items()}
        pairs.append(
            {
                "comparison": f"ugmcl minus {other}",
                **values,
                "interval_holds_zero": difference.holds_zero,
                "seconds_ratio": round(ratio, 2),
            }
        )
    return pairs


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, required=True, help="folder for the run folders")
    parser.add_argument("--dims", type=int, default=2, choices=(2, 3))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--ablate", action="store_true", help="also train UG-MCL without each of its parts")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
