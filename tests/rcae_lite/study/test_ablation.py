"""Every table on a tiny category; stopped and continued; each stage trained once."""

import csv
import json
import re
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest
from joblib import parallel_config
from PIL import Image

from data_utils import KitError
from rcae_lite import ablate
from rcae_lite.cli import main
from rcae_lite.config import PRESETS, get_config
from rcae_lite.study import restoration
from rcae_lite.study.paper_tables import TABLES
from rcae_lite.training import trainer
from rcae_lite.training.stages import CRDStage
from tests.rcae_lite.conftest import tiny_config, tiny_records

pytestmark = pytest.mark.usefixtures("coarse_pictures", "few_resamples")

TINY = {name: getattr(tiny_config(), name) for name in ("single_pass", "rcae", "dpn", "crd")}
TINY |= {"size": 64}
LONG = ("departures", "depth")  # tables with the most trainings


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Return the tiny category as a folder: 12 normal images, 4 defective ones with masks."""
    root = tmp_path_factory.mktemp("data") / "tiny"
    for folder in ("normal", "defective", "masks"):
        (root / folder).mkdir(parents=True)
    for number, record in enumerate(tiny_records(12)):
        Image.fromarray(record.read_image()).save(root / "normal" / f"{number}.png")
    for number, record in enumerate(tiny_records(4, 4)):
        Image.fromarray(record.read_image()).save(root / "defective" / f"{number}.png")
        mask = Image.fromarray(255 * record.read_mask().astype("uint8"))
        mask.save(root / "masks" / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Path:
    """Return one folder for the tests that do not count trainings: the tables share theirs."""
    return tmp_path_factory.mktemp("ablation")


@pytest.fixture
def trained(monkeypatch) -> list[str]:
    """Collect the stages that are really trained."""
    names = []
    train = trainer.train_stage

    def counted(name, *args, **options):
        names.append(name)
        return train(name, *args, **options)

    monkeypatch.setattr(trainer, "train_stage", counted)
    return names


def table(name: str, data: Path, out: Path, **options):
    options = {"preset": "demo", "seeds": (0,), "device": "cpu"} | TINY | options
    return ablate(name, data, ["tiny"], out=out, **options)


def lines(out: Path, name: str) -> list[dict[str, str]]:
    with (out / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow if n in LONG else []) for n in TABLES],
)
def test_every_table_is_written(data, shared, name):
    config = get_config("demo", **TINY)
    found = table(name, data, shared)
    assert found.missing == 0
    assert [line["row"] for line in lines(shared, name)] == [r.label for r in TABLES[name](config)]
    text = (shared / f"{name}.md").read_text()
    assert all(f"| {row.label} |" in text for row in found.rows)
    assert (shared / f"{name}.png").stat().st_size > 5000


def test_residuals_are_compared_in_pairs(data, shared):
    found = table("residual", data, shared)
    lines = found.differences("tiny")
    assert [line.split(":")[0] for line in lines] == [
        f"{row.label} minus {other}" for row in found.rows for other in row.compared_with
    ]
    ours, theirs = (found.values(found.rows[n].label, "image_auroc")[0] for n in (2, 0))
    assert f"image AUROC {ours - theirs:+.1f} [" in lines[0]
    assert all(f"- {line}.\n" in found.markdown() for line in lines)


def test_the_probe_of_every_network_is_written(data, tmp_path, trained):
    found = table("restoration", data, tmp_path)
    assert sorted(trained) == ["dpn", "dpn", "rcae", "single_pass", "single_pass"]
    rows = [row.label for row in restoration.rows(get_config("demo", **TINY))]
    first = f"{restoration.RESIZING}, no network"
    assert [one.label for one in found.probed] == [first, *rows]
    depths = {line["row"]: 0 for line in lines(tmp_path, "restoration")}
    for line in lines(tmp_path, "restoration"):
        depths[line["row"]] += 1
    assert depths == {label: 1 if "single" in label else 3 for label in depths}
    resized = found.probed[0].found
    assert resized.copied_share[0] > resized.copied_share[-1]  # blur alone lowers it
    assert resized.error[0] < resized.error[-1]
    text = (tmp_path / "restoration.md").read_text()
    assert all(f"| {label} |" in text for label in depths)
    assert (tmp_path / "restoration.png").stat().st_size > 5000
    trained.clear()
    assert table("restoration", data, tmp_path).csv() == found.csv() and not trained


def test_components_train_each_stage_once(data, tmp_path, trained):
    found = table("components", data, tmp_path)
    assert sorted(trained) == [
        "crd",
        "crd",
        "dpn",
        "rcae",
        "single_pass",
    ]
    psnr = {r.label: r.psnr for r in found.results}
    assert psnr["RcAE"] != psnr["+ DPN"] and psnr["+ CRD"] is None
    parameters = [int(line["parameters"]) for line in lines(tmp_path, "components")]
    assert parameters[1] < parameters[2] < parameters[3]


def test_tables_share_trainings_and_a_second_call_trains_nothing(data, tmp_path, trained):
    table("components", data, tmp_path)
    trained.clear()
    table("steps", data, tmp_path)
    assert trained == ["crd"] * 3  # all depths: the detector of components
    trained.clear()
    first = (tmp_path / "steps.csv").read_bytes()
    table("steps", data, tmp_path)
    assert trained == [] and (tmp_path / "steps.csv").read_bytes() == first


def test_stopped_and_continued(data, shared, tmp_path, trained, monkeypatch):
    whole = table("components", data, shared)
    trained.clear()

    class Stop(Exception):
        pass

    def stop(*_args):
        raise Stop

    with monkeypatch.context() as patch:
        patch.setattr(CRDStage, "__init__", stop)
        with pytest.raises(Stop):
            table("components", data, tmp_path)
    assert "rcae" in trained and "crd" not in trained
    text = (tmp_path / "components.md").read_text()
    assert "Not finished" in text
    trained.clear()
    parted = table("components", data, tmp_path)
    assert trained == ["crd", "crd"] and "Not finished" not in parted.markdown()
    for row in whole.rows:
        assert parted.values(row.label, "image_auroc") == whole.values(row.label, "image_auroc")


def test_stopped_in_its_first_stage_and_continued(data, tmp_path, monkeypatch):
    """There is a checkpoint then, and no finished stage."""
    (tmp_path / "out").mkdir()

    def stop(*_args, **_options):
        (tmp_path / "out" / "checkpoints").mkdir(exist_ok=True)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "train_stage", stop)
        with pytest.raises(KeyboardInterrupt):
            table("steps", data, tmp_path / "out")
    assert table("steps", data, tmp_path / "out").missing == 0


def test_options_of_all_rows_are_said(data, tmp_path, capsys):
    command = ["ablate", "steps", str(data), "tiny", "--preset", "demo", "--seeds", "0"]
    crd = {"width": 8, "crop": 16, "pool_chunk": 4, "pool_chunks": 2, "steps": 1}
    options = ["size=64", "rcae.width=16", "dpn.width=8", f"crd={crd}", "crd.map_loss=l2"]
    options += ["crd.z_score_weight=0", *(f"{name}.steps=1" for name in ("rcae", "dpn"))]
    assert (
        main([*command, "--out", str(tmp_path / "out"), "--device", "cpu", "--set", *options]) == 0
    )
    assert "crd.map_loss l2, crd.z_score_weight 0" in capsys.readouterr().out
    assert main([*command, "--out", str(tmp_path / "out"), "--set", "crd.width"]) == 2
    assert "write NAME=VALUE" in capsys.readouterr().err


@pytest.mark.slow
def test_an_order_needs_two_rows(data, shared):
    text = table("departures", data, shared).markdown()
    assert text.count("fewer than two rows have a value in both") == 2


def test_shares_of_the_data_are_nested_and_counted(data, shared):
    found = table("data", data, shared)
    images = {r.label: r.evaluation.provenance for r in found.results}
    used = [images[f"RcAE, {p}%"] for p in (10, 25, 50, 75, 100)]
    totals = [u.training_images + u.calibration_images for u in used]
    # Two of twelve normal images are test images of a plain folder.
    assert totals == sorted(totals) and totals[-1] > totals[0] >= 3


def test_steps_give_crd_fewer_depths(data, shared):
    rows = lines((table("steps", data, shared), shared)[1], "steps")
    parameters = [int(row["parameters"]) for row in rows]
    # The last convolution covers the depths; the control sees the image in the place of one.
    assert parameters[0] == parameters[1] < parameters[2] < parameters[3]


def test_departures_name_every_option_that_differs_from_the_paper():
    rows = TABLES["departures"](PRESETS["lite"])
    named = set().union(*(row.options for row in rows[1:-1]))
    ours = ("families", "residual_input", "z_score_weight", "map_loss", "crop")
    pool = ("pool_chunk", "pool_chunks", "pool_every")
    assert {"augmentation", *(f"crd.{name}" for name in (*ours, *pool))} <= named
    assert {f"{stage}.learning_rate" for stage in ("rcae", "dpn", "crd")} <= named
    assert PRESETS["lite"].updated(rows[-1].options).crd.families == ()
    assert rows[-1].options.keys() == named and rows[0].options == {}


def test_half_the_steps_are_said(data, tmp_path):
    found = table("components", data, tmp_path, step_fraction=0.5)
    assert "(50% of its steps)` at 64x64: rcae 3 steps" in found.markdown()
    for path in (tmp_path / "stages").glob("*/detector.json"):
        (stage,) = json.loads(path.read_text())["stages"].values()
        assert len(stage["losses"]) == 3


def test_the_papers_order_is_compared(data, shared):
    found = table("components", data, shared)
    pairs = found.reversed_pairs()
    means = {row.label: found.values(row.label, "image_auroc")[0] for row in found.rows}
    for high, low in (("RcAE", "single-pass"), ("+ DPN", "RcAE"), ("+ CRD", "+ DPN")):
        said = any(pair.startswith(f"{high} above {low} in the paper") for pair in pairs)
        assert said == (means[high] <= means[low])


def test_the_papers_order_on_visa_is_compared_too(data, shared):
    found = table("components", data, shared)
    assert found.sources == {"paper": "MVTec AD"} and "VisA" not in found.markdown()
    means = [found.values(row.label, "image_auroc")[0] for row in found.rows]
    as_here = [replace(row, paper_visa=(m, m)) for row, m in zip(found.rows, means, strict=True)]
    text = replace(found, rows=as_here).markdown()
    assert "| paper, MVTec AD | paper, VisA |" in text
    assert "on VisA\n\n- image AUROC: as in the paper" in text
    turned = [replace(row, paper_visa=(-m, None)) for row, m in zip(found.rows, means, strict=True)]
    found = replace(found, rows=turned)
    different = sum(a != b for a, b in combinations(means, 2))
    assert len(found.reversed_pairs("image_auroc", "paper_visa")) == different
    assert "pixel AUROC: fewer than two rows" in found.markdown().partition("on VisA")[2]


@pytest.mark.slow  # lecture 11 has the same on dask
@pytest.mark.parametrize("backend", ["loky", "dask"])
def test_cells_run_on_other_processes(data, shared, tmp_path, backend):
    expected = table("components", data, shared)
    if backend == "loky":
        with parallel_config(backend="loky", n_jobs=2):
            found = table("components", data, tmp_path / backend)
    else:
        distributed = pytest.importorskip("distributed", reason="needs dask[distributed]")
        cluster = distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        )
        with cluster, distributed.Client(cluster), parallel_config(backend="dask"):
            found = table("components", data, tmp_path / backend)
    for row in expected.rows:
        for metric in ("image_auroc", "pixel_auroc"):
            assert found.values(row.label, metric) == pytest.approx(
                expected.values(row.label, metric), abs=0.5
            )


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("widths", {}, "unknown table 'widths'; choose from components"),
        ("depth", {"seeds": ()}, "1 categories and 0 seeds"),
        ("depth", {"step_fraction": 0.0}, "step_fraction 0.0 is outside"),
    ],
)
def test_mistakes_are_named(data, shared, name, options, message):
    with pytest.raises(KitError, match=message):
        table(name, data, shared, **options)


def test_a_folder_with_other_files_is_refused(data, tmp_path):
    (tmp_path / "thesis.tex").write_text("text")
    with pytest.raises(KitError, match="holds other files"):
        table("depth", data, tmp_path)


def test_the_command_line_is_a_thin_shell(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(PRESETS, "demo", get_config("demo", **TINY))
    command = ["ablate", "components", str(data), "tiny", "tiny", "--preset", "demo"]
    command += ["--seeds", "0", "0", "--device", "cpu", "--out", str(tmp_path)]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert printed.strip() == (tmp_path / "components.md").read_text().strip()
    assert "Command: `rcae ablate components" in printed
    assert not re.search(r"^\| [^|]+ \| - \|", printed, re.MULTILINE)  # once is enough
    assert main([*command, "--set", "seeds=1"]) == 2
    assert "unknown option 'seeds'" in capsys.readouterr().err
    assert main(["ablate", "depth", "--out", str(tmp_path)]) == 2
