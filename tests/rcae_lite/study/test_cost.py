import pytest

from data_utils import KitError
from rcae_lite import ablate, get_config
from rcae_lite.study import cost, plots
from rcae_lite.study.cost import Cost, Measured

SMALL = get_config("demo", size=64, crd={"crop": 0})


def made_up(device: str, factor: float) -> list[Measured]:
    """Time grows as the power 1.5 of the pixels and as the square of N."""
    return [
        Measured(
            device,
            detector,
            depth,
            size,
            {"rcae": 7, "total": 7},
            gflop=depth * size**2,
            milliseconds=factor * depth**2 * size**3,
            mebibytes=None,
        )
        for detector in ("single_pass", "rcae", "full")
        for depth in (1, 5)
        for size in (64, 128)
    ]


@pytest.fixture(scope="module")
def measured() -> Cost:
    with pytest.MonkeyPatch.context() as patch:  # a fresh process serves the memory alone
        patch.setattr(cost, "_in_a_fresh_process", cost._measure_here)
        return cost.measure(
            SMALL, device="cpu", sizes=(64, 128), depths=(1, 2), command="a command"
        )


def test_a_fresh_process_answers():
    (found,) = cost._in_a_fresh_process("single_pass", [SMALL], "cpu")
    assert found.detector == "single_pass" and found.milliseconds > 0


def test_every_detector_is_measured_at_every_depth_and_size(measured):
    found = [(m.detector, m.depth, m.size) for m in measured.measured]
    recursive = [(k, n, size) for k in ("rcae", "full") for n in (1, 2) for size in (64, 128)]
    assert found == [("single_pass", SMALL.rcae.depth, size) for size in (64, 128)] + recursive
    assert all(m.milliseconds > 0 for m in measured.measured)
    assert len(measured.devices) == 1 and measured.devices[0].startswith("cpu (")


def test_operations_and_parameters_are_those_of_the_networks(measured):
    flop = {(m.detector, m.depth, m.size): m.gflop for m in measured.measured}
    ratio = flop["rcae", 1, 128] / flop["rcae", 1, 64]
    assert ratio == pytest.approx(4, rel=0.1)  # convolutions are proportional to the pixels
    assert flop["full", 2, 64] > flop["full", 1, 64] > flop["rcae", 1, 64]
    totals = {m.detector: m.parameters for m in measured.measured}
    assert set(totals["full"]) == {"rcae", "dpn", "crd", "total"}
    assert totals["full"]["total"] == sum(totals["full"][name] for name in ("rcae", "dpn", "crd"))


def test_the_exponents_are_those_of_a_power_law():
    table = Cost(made_up("here", 2.0), [])
    assert table.exponent("full", "milliseconds", "pixels", depth=5) == pytest.approx(1.5)
    assert table.exponent("full", "gflop", "depth", size=64) == pytest.approx(1)
    assert table.exponent("full", "mebibytes", "pixels", depth=5) is None
    assert table.exponent("full", "gflop", "depth", size=64, depth=1) is None


def test_the_single_pass_grows_too_though_it_has_no_depth(measured):
    growth = measured.markdown().partition("### Growth")[2]
    (row,) = [line for line in growth.splitlines() if line.startswith("| single-pass")]
    assert float(row.split(" | ")[1]) == pytest.approx(1, abs=0.1)  # GFLOP with the pixels


def test_devices_are_kept_apart():
    table = Cost(made_up("cpu (a)", 2.0) + made_up("cuda (b)", 0.01), ["a note"])
    text = table.markdown()
    slow, fast = text.split("## On cuda (b)")
    assert "## On cpu (a)" in slow and text.count("## Parameters") == 1
    row = "| RcAE, N = 1 | {:,.1f} | {:,.1f} |"
    assert row.format(2 * 64**3, 2 * 128**3) in slow
    assert row.format(0.01 * 64**3, 0.01 * 128**3) in fast
    figure = plots.cost(table)
    figure.canvas.draw()  # there is no memory to draw, which a logarithmic axis does not like
    assert len(figure.axes) == 2 * len(cost.QUANTITIES)
    lines = table.csv().splitlines()
    assert lines[0].startswith("device,detector,depth,size,")
    assert len(lines) == 1 + len(table.measured)


def test_auto_is_the_cpu_and_the_gpu_where_there_is_one(monkeypatch):
    asked = []

    def measure(kind, configs, device):
        asked.append(device)
        return made_up(device, 1.0)

    monkeypatch.setattr(cost, "_in_a_fresh_process", measure)
    for there, devices in ((False, ["cpu"]), (True, ["cpu", "cuda"])):
        asked.clear()
        monkeypatch.setattr("torch.cuda.is_available", lambda there=there: there)
        assert cost.measure(SMALL, sizes=(64,), depths=(1,)).devices == devices
        assert list(dict.fromkeys(asked)) == devices


def test_the_table_is_written_with_its_plot(measured, monkeypatch, tmp_path):
    monkeypatch.setattr("rcae_lite.study.ablation.measure", lambda *_, **__: measured)
    ablate("cost", preset="demo", out=tmp_path / "tables")
    written = {path.name for path in (tmp_path / "tables").iterdir() if path.is_file()}
    assert written == {"cost.csv", "cost.md", "cost.png"}
    assert "a command" in (tmp_path / "tables" / "cost.md").read_text()


def test_a_process_that_fails_says_which_detector_and_why():
    with pytest.raises(
        KitError, match=r"measuring single-pass autoencoder up to 64x64 failed: .*'tpu'"
    ):
        cost.measure(SMALL, device="tpu", sizes=(64,), depths=(1,))
