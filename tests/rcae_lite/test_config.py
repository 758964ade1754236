"""Presets are complete, frozen and strict about names and ranges."""

import json

import pytest

from data_utils import KitError
from rcae_lite.config import PRESETS, Stage, config_from_dict, get_config


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
    rcae, crd = paper.rcae, paper.crd
    assert (rcae.depth, rcae.skips, rcae.shared) == (5, True, True)
    assert not rcae.half_size and not rcae.identity
    assert paper.dpn.perturbed == paper.dpn.mask_weight == paper.dpn.part_weight == 0
    assert crd.families == () and crd.map_loss == "l2"
    assert not crd.residual_input and crd.z_score_weight == 0 and crd.crop == 0
    assert paper.augmentation == 0


def test_overrides():
    config = get_config("lite", rcae={"depth": 2}, crd={"steps": 7}, **{"crd.width": 24})
    assert config.rcae.depth == 2 and (config.crd.steps, config.crd.width) == (7, 24)
    assert config.crd.batch_size == PRESETS["lite"].crd.batch_size
    assert PRESETS["lite"].rcae.depth == 3
    with pytest.raises(AttributeError):
        config.rcae.depth = 4  # type: ignore[misc]


def test_a_shortened_preset_says_so():
    lite, paper = get_config("lite"), get_config("paper").shortened(0.01)
    assert lite.shortened(1) is lite
    half = lite.shortened(0.5)
    assert (half.rcae.steps, half.dpn.steps, half.crd.steps) == (1150, 250, 800)
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
        (
            lambda: get_config("lite", rcae={"dept": 3}),
            "unknown option 'dept'; did you mean 'depth'",
        ),
        (lambda: get_config("lite", crd={"step": 3}), "unknown option 'step'"),
        (
            lambda: get_config("lite", **{"crd.widht": 3}),
            "unknown option 'widht'; did you mean 'wi",
        ),
        (lambda: get_config("lite", **{"size.x": 3}), "option 'size' has no part 'x'"),
        (lambda: get_config("lite").shortened(0), r"step_fraction 0 is outside \(0, 1\]"),
        (lambda: get_config("lite").shortened(1.5), "step_fraction 1.5 is outside"),
        (lambda: get_config("lite", size=100), "size 100 is not a multiple of 16.*use 96"),
        (lambda: get_config("lite", crd={"crop": 40}), "crd.crop is 40; expected.*multiple of 16"),
        (
            lambda: get_config("lite", crd={"crop": 256}),
            "crop 256 is larger than the size 128; use crd.crop=128 or less, 0 for whole images",
        ),
        (
            lambda: get_config("lite", size=48),
            "size 48 .*use size=64 or more, or rcae.h",
        ),
        (lambda: get_config("paper", size=16, **{"rcae.depth": 1}), "use size=32 or more$"),
        (lambda: get_config("lite", **{"rcae": 5, "rcae.steps": 4}), "rcae is 5; expected options"),
        (lambda: get_config("lite", size=1j), "'size' is 1j; expected a number"),
        (lambda: get_config("lite", preset="x"), "unknown option 'preset'"),
        (
            lambda: get_config("lite", size=208, **{"rcae.depth": 4}),
            r"size 208 is not a multiple of 32 \(depth 4.*use 192",
        ),
        (lambda: get_config("lite", crd={"depths": [6]}), r"crd.depths \[6\] must increase"),
        (lambda: get_config("lite", crd={"depths": [1, 0]}), r"\[1, 0\] must.*in 0..3"),
        (lambda: get_config("lite", crd={"map_loss": "l3"}), "crd.map_loss is 'l3'|l3"),
        (lambda: get_config("lite", augmentation=-1), "augmentation is -1; expected"),
        (lambda: get_config("lite", crd={"families": ("rust",)}), "choose from"),
        (lambda: get_config("lite", dpn={"width": 20}), "dpn.width is 20; expected.*multiple of 8"),
        (lambda: get_config("lite", rcae={"depth": 0}), "rcae.depth is 0; expected"),
        (lambda: get_config("lite", crd=100), "crd is 100; expected"),
        (lambda: Stage(), "exactly one"),
        (lambda: Stage(steps=1, epochs=1), "exactly one"),
        (lambda: get_config("lite", rcae={"batch_size": 0}), "rcae.batch_size is 0; expected"),
        (lambda: get_config("lite", rcae={"steps": 2.5}), "rcae.steps is 2.5; expected `int`"),
        (lambda: config_from_dict({"preset": "x"}), "missing required field `size`"),
        (lambda: config_from_dict({"presett": "x"}), "unknown field `presett`"),
    ],
)
def test_mistakes_name_value_and_remedy(call, message):
    with pytest.raises(KitError, match=message):
        call()
