"""Presets are complete, frozen and strict about names and ranges."""

import dataclasses
import json

import pytest

from data_utils import KitError
from rcae_lite.config import PRESETS, Stage, config_from_dict, get_config
from rcae_lite.training.pseudo_anomalies import PAPER_FAMILIES


@pytest.mark.parametrize("preset", PRESETS)
def test_round_trip_through_json(preset):
    config = get_config(preset)
    assert config.preset == preset
    assert config_from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_presets_have_the_promised_sizes():
    assert {name: c.size for name, c in PRESETS.items()} == {
        "demo": 128,
        "lite": 128,
        "standard": 256,
        "paper": 1024,
    }


def test_paper_preset_has_the_papers_settings_and_nothing_of_ours():
    paper = get_config("paper")
    assert (paper.rcae.epochs, paper.dpn.epochs, paper.crd.epochs) == (1500, 400, 300)
    for stage in (paper.rcae, paper.dpn, paper.crd):
        assert (stage.learning_rate, stage.schedule) == (1e-4, "constant")
    assert (paper.depth, paper.channels, paper.skips, paper.shared) == (5, 3, True, True)
    assert paper.families == PAPER_FAMILIES and paper.map_loss == "l2"
    assert not paper.residual_input and paper.normality == 0
    assert paper.variation == 0 and paper.crop == 0


def test_overrides():
    config = get_config("lite", depth=3, crd={"steps": 7})
    assert config.depth == 3 and config.crd.steps == 7
    assert config.crd.batch_size == PRESETS["lite"].crd.batch_size
    assert PRESETS["lite"].depth == 5
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.depth = 4  # type: ignore[misc]


def test_a_shortened_preset_says_so():
    lite, paper = get_config("lite"), get_config("paper").shortened(0.01)
    assert lite.shortened(1) is lite
    half = lite.shortened(0.5)
    assert (half.rcae.steps, half.dpn.steps, half.crd.steps) == (400, 200, 800)
    assert half.preset == "lite (50% of its steps)"
    assert (paper.rcae.epochs, paper.dpn.epochs, paper.crd.epochs) == (15, 4, 3)
    assert lite.shortened(1e-6).crd.steps == 1
    assert config_from_dict(json.loads(json.dumps(half.to_dict()))) == half


def test_steps_count_epochs_over_the_training_set():
    assert Stage(epochs=3, batch_size=4).optimiser_steps(9) == 9
    assert Stage(steps=50).optimiser_steps(9) == 50


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: get_config("light"), "unknown preset 'light'; choose from demo, lite"),
        (lambda: get_config("lite", dept=3), "unknown option 'dept'; did you mean 'depth'"),
        (lambda: get_config("lite", crd={"step": 3}), "unknown option 'step'"),
        (lambda: get_config("lite").shortened(0), r"step_fraction 0 is outside \(0, 1\]"),
        (lambda: get_config("lite").shortened(1.5), "step_fraction 1.5 is outside"),
        (lambda: get_config("lite", size=100), "size 100 is not a multiple of 32.*use 96"),
        (lambda: get_config("lite", crop=40), "crop 40 must be a multiple of 16"),
        (lambda: get_config("lite", map_loss="l3"), "map_loss 'l3'"),
        (lambda: get_config("lite", variation=-1), "variation -1"),
        (lambda: get_config("lite", families=("rust",)), "choose from"),
        (lambda: get_config("lite", dpn_width=20), "dpn_width 20"),
        (lambda: get_config("lite", channels=0), "channels 0"),
        (lambda: get_config("lite", crd=100), "crd 100 is no stage"),
        (lambda: Stage(), "exactly one"),
        (lambda: Stage(steps=1, epochs=1), "exactly one"),
        (lambda: Stage(steps=1, batch_size=0), "batch_size 0"),
        (lambda: Stage(steps=1, schedule="linear"), "schedule 'linear'"),
        (lambda: config_from_dict({"preset": "x"}), "not a complete configuration"),
        (lambda: config_from_dict({"presett": "x"}), "unknown option"),
    ],
)
def test_mistakes_name_value_and_remedy(call, message):
    with pytest.raises(KitError, match=message):
        call()
