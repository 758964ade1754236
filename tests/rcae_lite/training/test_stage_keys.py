"""A stage is found again by what its weights depend on, and by nothing else."""

import numpy as np
import pytest
import torch
from msgspec.structs import replace
from PIL import Image

from data_utils import ImageSet, KitError, open_category
from rcae_lite.base import keys_of
from rcae_lite.baselines import SinglePassDetector
from rcae_lite.config import Config, Stage
from rcae_lite.detector import RcAEDetector
from rcae_lite.training.checkpoint import StageStore, stage_keys
from tests.rcae_lite.conftest import TINY_STAGE, tiny_config, tiny_records

# Another valid value of every option of each stage.
LONGER = {**TINY_STAGE, "steps": 7}
OTHER = {
    "single_pass": {"levels": 4, "width": 24, "skips": True, "perturbed": 0.5},
    "rcae": {
        "depth": 2,
        "width": 24,
        "skips": False,
        "shared": False,
        "half_size": False,
        "identity": False,
        "half_size_steps": 2,
    },
    "dpn": {"width": 16, "perturbed": 1.0, "mask_weight": 0.5, "part_weight": 0.5},
    "crd": {
        "width": 16,
        "depths": (1, 2),
        "families": ("random_lines",),
        "residual_input": False,
        "z_score_weight": 0.0,
        "half_size_eigenimages": False,
        "map_loss": "l2",
        "crop": 32,
        "pool_chunk": 3,
        "pool_chunks": 1,
        "pool_every": 3,
    },
}
CHAINS = [("single_pass",), ("rcae", "dpn", "crd")]


def keys(chain, config: Config, seed: int = 0, data: str = "f", paths=("a", "b")) -> dict[str, str]:
    return stage_keys(chain, config, seed, data, paths)


@pytest.mark.parametrize("chain", CHAINS)
def test_keys_depend_on_a_prefix_of_the_configuration(chain):
    config = tiny_config(size=64)
    same = keys(chain, config)
    for owner, options in OTHER.items():
        schedule = {name: value for name, value in LONGER.items() if name == "steps"}
        for name, value in (options | schedule).items():
            changed = keys(chain, tiny_config(size=64, **{f"{owner}.{name}": value}))
            for place, stage in enumerate(chain):
                sees = owner in chain[: place + 1]
                assert (changed[stage] != same[stage]) == sees, (stage, owner, name)
    assert keys(chain, replace(config, preset="other")) == same
    for other in (
        keys(chain, tiny_config(size=64, augmentation=0.5)),
        keys(chain, config, seed=1),
        keys(chain, config, data="g"),
        keys(chain, config, paths=("a", "c")),
    ):
        assert not set(other.values()) & set(same.values())


def test_the_same_files_read_with_other_bits_are_other_images(tmp_path):
    (tmp_path / "cam/normal").mkdir(parents=True)
    for number in range(5):
        grey = np.full((32, 32), 4000 - number, np.uint16)  # of 12 bits
        Image.fromarray(grey).save(tmp_path / f"cam/normal/{number}.png")
    found = [
        keys_of(RcAEDetector, tiny_config(), 0, open_category(tmp_path, size=32, bits=bits).train)
        for bits in (None, 12, 14, 16)
    ]
    assert found[0] == found[1] and len({key["rcae"] for key in found}) == 3


def test_every_option_of_a_stage_is_tried_above():
    for owner, options in OTHER.items():
        kind = type(getattr(tiny_config(), owner))
        assert set(options) == set(kind.__struct_fields__) - set(Stage.__struct_fields__)


@pytest.mark.parametrize("stage", ["rcae", "dpn", "single_pass"])
def test_what_a_stage_does_not_see_changes_no_weight(stage):
    """All unseen options at once: were one of them seen after all, a weight would differ."""
    chain = next(chain for chain in CHAINS if stage in chain)
    seen = chain[: chain.index(stage) + 1]
    other = {name: OTHER[name] | LONGER for name in OTHER if name not in seen}
    kind = SinglePassDetector if stage == "single_pass" else RcAEDetector
    train = ImageSet(tiny_records(12), 64, category="tiny", split="train", fingerprint="f" * 64)
    states = [
        kind(tiny_config(size=64, **options), 0, "cpu")
        .fit(train, callbacks=[])
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
    fit(crd={"map_loss": "l2"})
    assert trained == ["crd"]
    fit(dpn={"width": 16})
    assert trained == ["dpn", "crd"]
    fit(augmentation=0.0)
    assert trained == ["rcae", "dpn", "crd"]


def test_a_stage_without_its_json_is_not_there_and_a_damaged_one_is_refused(
    tiny_category, tiny_detector, tmp_path
):
    RcAEDetector(tiny_config(), 0, "cpu").fit(tiny_category.train, callbacks=[], stages=tmp_path)
    store, module = StageStore(tmp_path), tiny_detector.rcae
    key = keys_of(RcAEDetector, tiny_config(), 0, tiny_category.train)["rcae"]
    assert key in store and store.load(key, "rcae", module).seconds >= 0
    with pytest.raises(KitError, match="holds stage rcae, expected dpn"):
        store.load(key, "dpn", tiny_detector.dpn)
    (tmp_path / key / "detector.safetensors").write_bytes(b"cut off")
    with pytest.raises(KitError, match="not a readable safetensors"):
        store.load(key, "rcae", module)
    (tmp_path / key / "detector.json").unlink()
    assert key not in store and store.load(key, "rcae", module) is None
