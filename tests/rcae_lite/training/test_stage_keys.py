"""A stage is found again by what its weights depend on, and by nothing else."""

import dataclasses

import pytest
import torch

from data_utils import KitError
from rcae_lite.baselines import SinglePassDetector
from rcae_lite.config import Config
from rcae_lite.detector import RcAEDetector
from rcae_lite.training.checkpoint import UNSEEN, StageStore, stage_key
from tests.rcae_lite.conftest import TINY_STAGE, tiny_config

# Another valid value of every field that some stage does not see.
OTHER = {
    "dpn": {**TINY_STAGE, "steps": 7},
    "crd": {**TINY_STAGE, "steps": 7},
    "dpn_width": 16,
    "crd_width": 16,
    "rcae_width": 24,
    "channels": 4,
    "skips": False,
    "shared": False,
    "families": ("random_lines",),
    "residual_input": False,
    "normality": 0.0,
    "crd_depths": (1, 5),
    "map_loss": "l2",
    "crop": 32,
    "pool_chunk": 3,
    "pool_chunks": 1,
    "pool_every": 3,
}


def key(stage: str, config: Config, seed: int = 0, data: str = "f", paths=("a", "b")) -> str:
    return stage_key(stage, config, seed, data, paths)


@pytest.mark.parametrize("stage", UNSEEN)
def test_keys_depend_on_what_a_stage_sees(stage):
    config = tiny_config()
    same = key(stage, config)
    for name, value in OTHER.items():
        changed = key(stage, tiny_config(**{name: value}))
        assert (changed == same) == (name in UNSEEN[stage]), name
    assert key(stage, dataclasses.replace(config, preset="other")) == same
    assert key(stage, tiny_config(variation=0.5)) != same
    assert key(stage, config, seed=1) != same
    assert key(stage, config, data="g") != same
    assert key(stage, config, paths=("a", "c")) != same


@pytest.mark.parametrize("stage", ["rcae", "dpn", "single_pass"])
def test_what_a_stage_does_not_see_changes_no_weight(tiny_category, tmp_path, stage):
    """All unseen fields at once: were one of them seen after all, a weight would differ."""
    kind = SinglePassDetector if stage == "single_pass" else RcAEDetector
    other = {name: OTHER[name] for name in UNSEEN[stage]}
    states = [
        kind(tiny_config(**options), 0, "cpu")
        .fit(tiny_category.train, callbacks=[])
        .modules[stage]
        .state_dict()
        for options in ({}, other)
    ]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_stored_stages_are_loaded_and_not_trained_again(tiny_category, tiny_detector, tmp_path):
    trained = []

    def fit(**options) -> RcAEDetector:
        trained.clear()
        return RcAEDetector(tiny_config(**options), 0, "cpu").fit(
            tiny_category.train,
            callbacks=[lambda e: trained.append(e.stage) if e.done == e.steps else None],
            stages=tmp_path,
        )

    fit()
    assert trained == ["rcae", "dpn", "crd"]
    again = fit()
    assert trained == []
    assert again.calibration_scores == tiny_detector.calibration_scores
    assert again.losses == tiny_detector.losses and list(again.trained["seconds"]) == [
        "rcae",
        "dpn",
        "crd",
    ]
    fit(map_loss="l2")
    assert trained == ["crd"]
    fit(dpn_width=16)
    assert trained == ["dpn", "crd"]
    fit(variation=0.0)
    assert trained == ["rcae", "dpn", "crd"]


def test_a_stage_without_its_json_is_not_there_and_a_damaged_one_is_refused(
    tiny_detector, tmp_path
):
    store = StageStore(tmp_path)
    module = tiny_detector.rcae
    store.save("k", "rcae", module, {"seconds": 1.0, "losses": []})
    assert "k" in store and store.load("k", "rcae", module)["seconds"] == 1.0
    with pytest.raises(KitError, match="holds stage 'rcae', expected 'dpn'"):
        store.load("k", "dpn", tiny_detector.dpn)
    (tmp_path / "k" / "stage.safetensors").write_bytes(b"cut off")
    with pytest.raises(KitError, match="not a readable safetensors"):
        store.load("k", "rcae", module)
    (tmp_path / "k" / "stage.json").unlink()
    assert "k" not in store and store.load("k", "rcae", module) is None
