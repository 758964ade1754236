"""State of `DefectPainter`: one image, what was painted on it, and what the detector says."""

from __future__ import annotations

import dataclasses
import io
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from data_utils.errors import KitError
from data_utils.listing import list_images
from data_utils.samples import GOOD
from rcae_lite.base import Detector
from rcae_lite.config import FAMILIES
from rcae_lite.storage.atomic import write_bytes
from rcae_lite.training.pseudo_anomalies import VISIBLE, add_pseudo_anomalies
from rcae_lite.widgets.state.base import Control, State, Tree
from rcae_lite.widgets.state.frames import COLOURS, UNIT, distance, record, scale_of, to_bytes

__all__ = ["CONTRAST", "TOOLS", "PainterState", "Unnoticed"]

TOOLS = ("brush", "line", "eraser", "clone")
CONTRAST = 0.1  # mean change over the channels from which a pixel counts in the challenge


@dataclass(frozen=True)
class Unnoticed:
    """A painted defect that the detector called normal.

    Parameters
    ----------
    pixels : int
        How many differ from the image by `CONTRAST` of the range or more, the mean over the
        channels; fainter ones would make an invisible tint the largest defect of all.
    score : float
        Not above the threshold.
    picture : np.ndarray
        The painted image, (H, W, 3) uint8.
    """

    pixels: int
    score: float
    picture: np.ndarray

    @property
    def share(self) -> float:
        """The pixels as a share of the image's."""
        return self.pixels / self.picture[..., 0].size

    def data(self) -> Tree:
        """For the JavaScript side."""
        return {"pixels": self.pixels, "score": self.score, "picture": self.picture}


class PainterState(State):
    """An image under the brush.

    Painting itself happens in the browser (``brush.js``); this side gets the painted image and
    answers with its trajectory, its map, and the overlap with the painted mask.

    Parameters
    ----------
    detector : Detector
        Trained.
    image : Tensor
        (3, H, W) or (1, 3, H, W) in [0, 1], normally without a defect.
    folder : path, optional
        Where `save` writes, as a category in MVTec AD's layout.

    Attributes
    ----------
    frames : Frames
        The painted image and all that the detector makes of it.
    mask : np.ndarray
        (H, W) bool: where a channel differs visibly (by more than 0.02) from the image.
    record : Unnoticed or None
        The largest defect so far that went unnoticed; `forget` starts afresh.
    """

    def __init__(self, detector: Detector, image: Tensor, folder: str | Path | None = None) -> None:
        image = image.unsqueeze(0) if image.ndim == 3 else image
        if len(image) != 1:
            raise KitError(f"{len(image)} images; the painter takes one")
        self.detector = detector
        self.folder = None if folder is None else Path(folder)
        self.threshold = detector.threshold.value if detector.threshold else None
        self.frames = record(detector, image)
        self.original = self.frames.images[0]
        self.unpainted = float(self.frames.scores[0])
        self.mask = np.zeros(self.original.shape[:2], dtype=bool)
        own = scale_of(self.frames, self.threshold)
        # Of the image as it is; what is painted differs by more, so a third of the whole range.
        self.scale = dataclasses.replace(own, difference=max(own.difference, UNIT // 3))
        self.record: Unnoticed | None = None
        self.seconds = 0.0
        depth = self.frames.depth
        super().__init__(
            {
                "depth": Control(depth, 1, depth),
                "size": Control(max(1, len(self.mask) // 20), 1, self.max_size),
                "opacity": Control(1.0, 0.05, 1, whole=False),
                "hardness": Control(0.8, 0, 1, whole=False),
            }
        )
        self.values |= {"tool": "brush", "colour": "#1a1a1a"}

    @property
    def max_size(self) -> int:
        """The largest brush, in pixels: a third of the image."""
        return max(1, len(self.mask) // 3)

    def check(self, name: str, value: Any) -> Any:
        """As `State.check`; ``tool`` is one of `TOOLS`, ``colour`` is "#rrggbb"."""
        if name == "tool":
            if value not in TOOLS:
                raise KitError(f"tool {value!r} is unknown; choose from {list(TOOLS)}")
            return value
        if name == "colour":
            if not isinstance(value, str) or not re.fullmatch("#[0-9a-fA-F]{6}", value):
                raise KitError(f"colour {value!r}: write it as '#rrggbb', for example '#ff0000'")
            return value.lower()
        return super().check(name, value)

    @property
    def iou(self) -> float | None:
        """Overlap of the pixels above the threshold with the mask; None without either."""
        if self.threshold is None or not self.mask.any():
            return None
        found = self.frames.maps[0] > self.threshold
        return float((found & self.mask).sum() / (found | self.mask).sum())

    @property
    def pixels(self) -> int:
        """The size of what is painted, as `Unnoticed` counts it."""
        change = distance(self.frames.images[0], self.original)
        return int((change >= CONTRAST * UNIT).sum())

    def paint(self, painted: np.ndarray) -> None:
        """Take a painted image, (H, W, 3) uint8, and ask the detector about it.

        Raises
        ------
        KitError
            If it has another size or type than the image.
        """
        if painted.shape != self.original.shape or painted.dtype != np.uint8:
            raise KitError(
                f"the painted image is {painted.dtype} {painted.shape}; expected uint8 "
                f"{self.original.shape}"
            )
        start = time.perf_counter()
        picture = torch.tensor(painted).permute(2, 0, 1).unsqueeze(0) / 255  # (1, 3, H, W)
        self.frames = record(self.detector, picture)
        difference = np.abs(painted.astype(np.int16) - self.original).max(axis=-1)
        self.mask = difference > VISIBLE * 255
        self._compare_with_record()
        self.seconds = time.perf_counter() - start

    def _compare_with_record(self) -> None:
        """Keep the painted image if it is the largest defect that went unnoticed."""
        score, largest = float(self.frames.scores[0]), self.record.pixels if self.record else 0
        if self.threshold is not None and score <= self.threshold and self.pixels > largest:
            self.record = Unnoticed(self.pixels, score, self.frames.images[0])

    def forget(self) -> None:
        """Start the challenge afresh."""
        self.record = None

    def paint_random(self, seed: int) -> None:
        """Paint one random pseudo-anomaly on top of what is there."""
        picture = torch.tensor(self.frames.images).permute(0, 3, 1, 2) / 255  # (1, 3, H, W)
        generator = torch.Generator().manual_seed(seed)
        altered, mask = picture, picture.new_zeros(1)
        while not mask.any():  # some draws are too faint to be seen
            altered, mask = add_pseudo_anomalies(
                picture, generator, families=FAMILIES, probability=1, layers=1
            )
        self.paint(to_bytes(altered)[0])

    def save(self, folder: str | Path | None = None, defect: str = "painted") -> Path:
        """Write image and mask as a defective test image of a category in MVTec AD's layout.

        They become ``FOLDER/test/DEFECT/NNN.png`` and ``FOLDER/ground_truth/DEFECT/NNN_mask.png``,
        NNN the next free number, so a folder that holds a category gets one more test image. The
        unpainted image goes to ``FOLDER/test/good``, once. A category needs normal images to train
        on, too: where FOLDER has none, it gets the unpainted one mirrored in three ways, so that it
        can be evaluated; a training on them would be none.

        Parameters
        ----------
        folder : path, optional
            The category's folder; the one given at the start by default.
        defect : str
            Name of the family of defects.

        Returns
        -------
        Path
            Of the image.

        Raises
        ------
        KitError
            If there is no folder, or nothing was painted.
        """
        category = self.folder if folder is None else Path(folder)
        if category is None:
            raise KitError("no folder to save in; give DefectPainter folder='my_part'")
        if not self.mask.any():
            raise KitError("nothing was painted; an image without a defect has no mask")
        self._complete(category)
        image = _next(category / "test" / defect)
        mask = category / "ground_truth" / defect / f"{image.stem}_mask.png"
        write_bytes(mask, _png(255 * self.mask.astype(np.uint8)))  # first: no image without mask
        write_bytes(image, _png(self.frames.images[0]))
        return image

    def _complete(self, category: Path) -> None:
        """Add the normal images without which a folder is no category to evaluate."""
        good, normal = category / "test" / GOOD, _png(self.original)
        if normal not in [path.read_bytes() for path in good.glob("*.png")]:
            write_bytes(_next(good), normal)
        train = category / "train" / GOOD
        if not list_images(train):
            rows, columns = self.original[::-1], self.original[:, ::-1]
            for mirrored in (rows, columns, rows[:, ::-1]):
                write_bytes(_next(train), _png(mirrored))

    def data(self) -> Tree:
        """Return what stays the same while painting."""
        height, width = self.mask.shape
        return {
            "height": height,
            "width": width,
            "depth": self.frames.depth,
            "enhanced": self.frames.enhanced is not None,
            "original": self.original,
            "scale": self.scale.data(),
            "threshold": self.threshold,
            "unpainted": self.unpainted,
            "contrast": CONTRAST,
            "colours": COLOURS,
            "max_size": self.max_size,
            "can": ["random"] + ([] if self.folder is None else ["save"]),
        }

    def result(self, number: int = 0, note: str = "", ours: bool = False) -> Tree:
        """Answer a question of the browser.

        Parameters
        ----------
        number : int
            Of the question.
        note : str
            A line for the reader.
        ours : bool
            The browser sent the image that this is about.
        """
        return {
            "number": number,
            "note": note,
            "ours": ours,
            "picture": self.frames.data(0),
            "mask": self.mask.astype(np.uint8),
            "iou": self.iou,
            "pixels": self.pixels,
            "record": self.record and self.record.data(),
            "seconds": self.seconds,
        }


def _next(folder: Path) -> Path:
    """Return the image in a folder that gets the next free number."""
    taken = [int(path.stem) for path in folder.glob("*.png") if path.stem.isdecimal()]
    return folder / f"{max(taken, default=-1) + 1:03}.png"


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
