"""Write results/README.md from the CATEGORY-PRESET-SEED.json of `rcae evaluate RUN --json`.

python benchmarks/results_table.py
"""

import json
from pathlib import Path
from statistics import mean

from rcae_lite.tables import markdown_table

RESULTS = Path(__file__).parent.parent / "results"
METRICS = ("image_auroc", "pixel_auroc", "pixel_ap", "au_pro", "image_f1_max")
HEAD = """# What was measured

Written by `python benchmarks/results_table.py` from the JSON files in this folder. Each file is
what `rcae evaluate RUN --json` printed; its field `command` holds the training and the evaluation;
it carries seed, preset, device, threads, data fingerprint and the code versions of both. Values are
fractions of 1, from the last training step, with 95% bootstrap intervals over test images; image
F1-max is an oracle. One training is one seed: where there are several, their mean and range stand
below. [notes.md](notes.md) says what was tried, and what is known to be weak.
"""


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    return "\n".join(markdown_table(head, rows)) + "\n"


def interval(found: dict | None) -> str:
    return f"{found['value']:.3f} [{found['low']:.3f}, {found['high']:.3f}]" if found else "-"


def write() -> None:
    runs = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*-*-[0-9].json"))]
    metric_rows, cost_rows = [], []
    for run in runs:
        name = [run["category"], run["preset"], str(run["seed"])]
        metric_rows.append(name + [interval(run[metric]) for metric in METRICS])
        ladder = " ".join(f"{value:.3f}" for value in run["residual_auroc_by_depth"])
        seconds = run["seconds"]["train"]
        cost_rows.append(
            [
                *name,
                ladder,
                " + ".join(f"{value:.0f}" for value in seconds.values()),
                str(run["threads"]),
                f"{1000 * run['seconds']['inference_per_image']:.0f}",
                f"{run['parameters']['total']:,}",
                f"`{run['data_fingerprint'][:12]}`",
                f"`{run['trained_with']}`, `{run['code_version']}`",
            ]
        )
    spread = []
    for group in dict.fromkeys((run["category"], run["preset"]) for run in runs):
        seeds = [run for run in runs if (run["category"], run["preset"]) == group]
        if len(seeds) > 1:
            values = {m: [run[m]["value"] for run in seeds] for m in METRICS}
            spread.append(
                [*group, str(len(seeds))]
                + [f"{mean(v):.3f} ({min(v):.3f} to {max(v):.3f})" for v in values.values()]
            )
    head = ["category", "preset", "seed"]
    text = [HEAD, "## Metrics\n", table(head + list(METRICS), metric_rows)]
    if spread:
        text += [
            "## Over seeds: mean (lowest to highest)\n",
            table(["category", "preset", "seeds", *METRICS], spread),
        ]
    text += [
        "## The ladder, cost and provenance\n",
        "The ladder is the image AUROC of the plain residual `|I - I_R^n|` at depth n = 1..5.\n",
        table(
            [
                *head,
                "ladder",
                "training s (RcAE + DPN + CRD)",
                "threads",
                "ms per image",
                "parameters",
                "data",
                "code",
            ],
            cost_rows,
        ),
        "## Commands\n",
        "".join(f"- `{run['command']}`\n" for run in runs),
    ]
    (RESULTS / "README.md").write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    write()
