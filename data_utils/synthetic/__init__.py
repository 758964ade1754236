"""Synthetic categories: drawn inspection photographs with exact defect masks.

Four objects and two textures, each with seven of eight families of defects in three severities. A
picture depends only on (category, split, index, seed): the scene (`scenes`) is drawn first, a
defect (`defects`) is painted onto its surface, and the surface is lit and photographed (`camera`).
The mask is where the photograph with the defect visibly differs from the one without; elsewhere
they are identical.

None of this is shared with the pseudo-anomalies that a detector is trained on.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from scipy import ndimage

from data_utils.errors import KitError
from data_utils.samples import Record
from data_utils.synthetic.camera import develop, draw_camera, expose
from data_utils.synthetic.defects import FAMILIES
from data_utils.synthetic.fields import grid_of
from data_utils.synthetic.scenes import SCENES

__all__ = [
    "CATEGORIES",
    "DEFECTS",
    "NATIVE_SIZE",
    "SEVERITIES",
    "Picture",
    "defects_of",
    "draw",
    "records",
    "render",
    "severity_of",
    "write",
]

CATEGORIES: tuple[str, ...] = tuple(SCENES)
DEFECTS: tuple[str, ...] = tuple(FAMILIES)
SEVERITIES: dict[str, float] = {"mild": 0.4, "medium": 0.7, "strong": 1.0}
NATIVE_SIZE = 256

TRAIN_IMAGES = 160
TEST_GOOD = 30
TEST_DEFECTIVE = 63  # three of every family and severity

_VISIBLE = 0.02  # of the full range: a smaller change does not count as defective
_SPLITS = ("train", "test")
_CACHED = TRAIN_IMAGES + TEST_GOOD + TEST_DEFECTIVE  # one category


class Picture(NamedTuple):
    """One synthetic picture and what is known about it.

    Parameters
    ----------
    image : np.ndarray
        (H, W, 3) uint8 RGB.
    mask : np.ndarray
        (H, W) bool: where the image differs from the one drawn with
        ``defect="good"``; all False without a defect.
    part : np.ndarray
        (H, W) bool: where the part is (everywhere for a texture), before any defect.
    """

    image: np.ndarray
    mask: np.ndarray
    part: np.ndarray


def defects_of(category: str) -> tuple[str, ...]:
    """Families of defects that a category has: seven of `DEFECTS`."""
    return SCENES[category].defects


def _is_normal(split: str, index: int) -> bool:
    return split == "train" or index < TEST_GOOD


def _defect_of(category: str, split: str, index: int) -> str:
    """Family of an image: "good", or the families in turn after the good test images."""
    if _is_normal(split, index):
        return "good"
    families = defects_of(category)
    return families[(index - TEST_GOOD) % len(families)]


def severity_of(split: str, index: int) -> str | None:
    """Severity of an image's defect: "mild", "medium" or "strong"; None for a normal image."""
    if _is_normal(split, index):
        return None
    families = len(defects_of(CATEGORIES[0]))  # every category has as many
    return list(SEVERITIES)[(index - TEST_GOOD) // families % len(SEVERITIES)]


def _generators(category: str, split: str, index: int, seed: int) -> list[np.random.Generator]:
    """Independent streams for camera, scene, defect and sensor."""
    entropy = [zlib.crc32(category.encode()), _SPLITS.index(split), index, seed]
    return [np.random.default_rng(child) for child in np.random.SeedSequence(entropy).spawn(4)]


def draw(
    category: str,
    split: str,
    index: int,
    *,
    seed: int = 0,
    size: int = NATIVE_SIZE,
    defect: str | None = None,
    severity: str | None = None,
    spread: float = 1.0,
) -> Picture:
    """Draw a picture with a chosen defect.

    Parameters
    ----------
    category : str
        One of `CATEGORIES`.
    split : {"train", "test"}
        Splits differ only in their random numbers: both come from one distribution. The bolt's
        test images alone are darker, good and defective alike.
    index : int
        Number of the image, from 0.
    seed : int
        From 0. Another seed gives other images of the same category.
    size : int
        Height and width in pixels, from 32; the scene does not depend on it.
    defect : str, optional
        One of `defects_of`, or "good"; by default what the split has at this index.
    severity : {"mild", "medium", "strong"}, optional
        By default what the split has at this index (of a normal index: "medium").
    spread : float
        How far light and pose wander from image to image, from 0. The categories have 1; another
        light and place than a detector was trained with is 2.

    Raises
    ------
    KitError
        If a name is unknown or a number out of range.
    """
    _check_name("synthetic category", category, CATEGORIES)
    _check_name("split", split, _SPLITS)
    if index < 0 or seed < 0 or size < 32:
        raise KitError(
            f"index {index}, seed {seed}, size {size}: index and seed start at 0, size at 32"
        )
    if not 0 <= spread <= 3:
        raise KitError(f"spread {spread} is outside [0, 3]; 1 is what the categories have")
    defect = _defect_of(category, split, index) if defect is None else defect
    severity = severity or severity_of(split, index) or "medium"
    _check_name(f"defect of {category}", defect, ("good", *defects_of(category)))
    _check_name("severity", severity, tuple(SEVERITIES))

    grid = grid_of(size)
    camera_rng, scene_rng, defect_rng, sensor_rng = _generators(category, split, index, seed)
    camera = draw_camera(camera_rng, spread)
    if split == "test":
        dimmed = camera_rng.uniform(*SCENES[category].test_exposure)
        camera = replace(camera, exposure=camera.exposure * dimmed)
    scene = SCENES[category](scene_rng, camera, spread)
    surface = scene.surface(grid)
    part = surface.cover > 0.5
    photograph = expose(surface, camera, grid)
    mask = np.zeros((size, size), bool)
    if defect != "good":
        strength = scene.damage * SEVERITIES[severity]
        FAMILIES[defect](surface, scene, grid, defect_rng, strength)
        damaged = expose(surface, camera, grid)
        mask = _changed(photograph, damaged)
        photograph = np.where(mask, damaged, photograph)
    return Picture(develop(photograph, camera, sensor_rng), mask, part)


def _changed(clean: np.ndarray, damaged: np.ndarray) -> np.ndarray:
    """Where two noise-free photographs visibly differ, without pinholes: (H, W) bool."""
    changed = np.abs(damaged - clean).max(axis=0) > _VISIBLE
    return changed | ndimage.binary_closing(changed)


def _check_name(kind: str, name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise KitError(f"unknown {kind} {name!r}; choose from {', '.join(known)}")


def render(
    category: str,
    split: str,
    index: int,
    seed: int = 0,
    size: int = NATIVE_SIZE,
    spread: float = 1.0,
) -> tuple[np.ndarray, np.ndarray, str]:
    """Render image ``index`` of a split; see `draw` for the parameters.

    Returns
    -------
    image : np.ndarray
        (size, size, 3) uint8 RGB.
    mask : np.ndarray
        (size, size) bool.
    defect : str
        "good" or one of `DEFECTS`.
    """
    picture = draw(category, split, index, seed=seed, size=size, spread=spread)
    return picture.image, picture.mask, _defect_of(category, split, index)


_render_cached = lru_cache(maxsize=_CACHED)(render)


def _read_image(*arguments: Any) -> np.ndarray:
    return _render_cached(*arguments)[0].copy()


def _read_mask(*arguments: Any) -> np.ndarray:
    return _render_cached(*arguments)[1].copy()


def _digest(*arguments: Any) -> str:
    image, mask, _ = _render_cached(*arguments)
    return hashlib.sha256(image.tobytes() + mask.tobytes()).hexdigest()


def _record(category: str, split: str, index: int, seed: int, spread: float) -> Record:
    defect = _defect_of(category, split, index)
    arguments = (category, split, index, seed, NATIVE_SIZE, spread)
    return Record(
        path=f"{category}/{split}/{defect}/{index:03d}.png",
        label=int(defect != "good"),
        defect=defect,
        read_image=partial(_read_image, *arguments),
        read_mask=partial(_read_mask, *arguments) if defect != "good" else None,
        digest=partial(_digest, *arguments),
    )


def records(
    category: str, seed: int = 0, *, spread: float = 1.0
) -> tuple[list[Record], list[Record]]:
    """Return the train and test records of a category, rendered when they are read.

    See `draw` for the parameters.

    Raises
    ------
    KitError
        If the category is unknown.
    """
    _check_name("synthetic category", category, CATEGORIES)
    train = [_record(category, "train", index, seed, spread) for index in range(TRAIN_IMAGES)]
    tested = range(TEST_GOOD + TEST_DEFECTIVE)
    return train, [_record(category, "test", index, seed, spread) for index in tested]


def write(out: Path, category: str | None = None, seed: int = 0) -> list[Path]:
    """Write one category, or all of them, as PNG files in the layout of MVTec AD.

    Parameters
    ----------
    out : Path
        Folder that receives one folder per category.
    category : str, optional
        One of `CATEGORIES`; all by default.
    seed : int
        As in `draw`.

    Returns
    -------
    list of Path
        The categories' folders.

    Raises
    ------
    KitError
        If the category is unknown, or its folder exists and is not empty.
    """
    names = CATEGORIES if category is None else (category,)
    for name in names:
        _check_name("synthetic category", name, CATEGORIES)
        if (out / name).exists() and any((out / name).iterdir()):
            raise KitError(f"{out / name} is not empty; remove it or choose another folder")
    for name in names:
        train, test = records(name, seed)
        for record in (*train, *test):
            file = out / record.path
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(record.read_image()).save(file)
            if record.read_mask is not None:
                truth = out / name / "ground_truth" / record.defect / f"{file.stem}_mask.png"
                truth.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(record.read_mask()).convert("L").save(truth)
    return [out / name for name in names]
