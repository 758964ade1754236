"""State of `RecursionExplorer`: which image, which depth, which pixels."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from data_utils.errors import KitError
from rcae_lite.widgets.state.base import Control, State, Tree
from rcae_lite.widgets.state.frames import (
    COLOURS,
    UNIT,
    Frames,
    levels,
    lookup,
    scale_of,
    separations,
)

__all__ = ["MAX_PROBES", "PLACE", "QUANTILES", "ExplorerState"]

MAX_PROBES = 6  # as many as there are colours that stay apart
QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)  # of normal pixels, drawn as bands
PLACE = 4  # so many pixels along each side count as the same place; every size is divisible by it


class ExplorerState(State):
    """The trajectories of some images, and where the user stands in them.

    It starts at the depth whose residual shows the first image's defect best, see `clearest`.

    Parameters
    ----------
    frames : Frames
        What is shown.
    normal : Frames, optional
        Normal images; their pixels at the same place are the background of the probe.
    threshold : float, optional
        The detector's, on scores and on the raw map.
    """

    def __init__(
        self, frames: Frames, normal: Frames | None = None, threshold: float | None = None
    ) -> None:
        self.frames = frames
        self.separations = separations(frames)
        super().__init__(
            {
                "image": Control(0, 0, len(frames) - 1),
                "depth": Control(self.clearest(0), 1, frames.depth),
                "opacity": Control(0.0, 0, 1, whole=False),
            }
        )
        if normal is not None and normal.depth != frames.depth:
            raise KitError(f"the normal images have depth {normal.depth}, not {frames.depth}")
        self.values["probes"] = []
        self.normal = normal
        self.threshold = threshold
        self.scale = scale_of(frames, threshold)

    def check(self, name: str, value: Any) -> Any:
        """As `State.check`; a probe is [row, column, number of its colour], six at most."""
        if name != "probes":
            return super().check(name, value)
        height, width = self.frames.images.shape[1:3]
        if not isinstance(value, (list, tuple)) or len(value) > MAX_PROBES:
            raise KitError(f"probes {value!r}: give a list of at most {MAX_PROBES} pixels")
        for pixel in value:
            if not isinstance(pixel, (list, tuple)) or len(pixel) != 3:
                raise KitError(f"probe {pixel!r}: give [row, column, colour]")
            for part, name_, end in zip(
                pixel, ("row", "column", "colour"), (height, width, MAX_PROBES), strict=True
            ):
                Control(0, 0, end - 1).check(name_, part)
        return [[int(part) for part in pixel] for pixel in value]

    def clearest(self, image: int) -> int:
        """Depth whose residual shows an image's defect best, by `separations`.

        The shallowest of equal ones; N where no defect is known.
        """
        found = self.separations[image]
        return self.frames.depth if found is None else int(np.argmax(found)) + 1

    @property
    def panels(self) -> list[str]:
        """Names of the pictures, in the order in which they stand."""
        enhanced = ["enhanced"] if self.frames.enhanced is not None else []
        return ["input", "reconstruction", *enhanced, "residual", "map"]

    def panel(self, name: str) -> np.ndarray:
        """Return what a canvas shows now: (H, W, 3) uint8.

        Raises
        ------
        KitError
            If there is no such panel.
        """
        image, depth = self.values["image"], self.values["depth"] - 1
        frames, scale = self.frames, self.scale
        if name not in self.panels:
            raise KitError(f"panel {name!r} is unknown; choose from {self.panels}")
        if name == "input":
            return self._overlaid(frames.images[image], frames.maps[image])
        if name == "reconstruction":
            return frames.reconstructions[image, depth]
        if name == "enhanced" and frames.enhanced is not None:
            return frames.enhanced[image, depth]
        if name == "residual":
            return lookup(frames.residuals[image, depth], 0, scale.difference)
        return lookup(frames.maps[image], scale.low, scale.high)

    def _overlaid(self, image: np.ndarray, anomaly_map: np.ndarray) -> np.ndarray:
        """Lay the coloured map over the image, the same opacity everywhere."""
        opacity = self.values["opacity"]
        colours = lookup(anomaly_map, self.scale.low, self.scale.high)
        mixed = (1 - opacity) * image + opacity * colours.astype(np.float64)
        return np.floor(mixed + 0.5).astype(np.uint8)

    def probe(self, row: int, column: int) -> dict[str, np.ndarray]:
        """Follow one pixel of the chosen image over the depth, in grey levels 0 to 1.

        Returns
        -------
        dict
            ``value`` (N + 1,): I, then I_R^1 ... I_R^N, mean of the channels; ``residual`` (N,);
            ``change`` (N - 1,).
        """
        self.check("probes", [[row, column, 0]])
        image, frames = self.values["image"], self.frames
        path = np.stack([frames.images[image], *frames.reconstructions[image]])[:, row, column]
        return {
            "value": path.sum(axis=-1, dtype=int) / UNIT,
            "residual": frames.residuals[image, :, row, column] / UNIT,
            "change": frames.changes[image, :, row, column] / UNIT,
        }

    @cached_property
    def bands(self) -> dict[str, np.ndarray] | None:
        """Quantiles `QUANTILES` of the normal images at every place, (5, steps, H/4, W/4) uint8.

        ``value`` of I and I_R^1 ... I_R^N, ``residual`` of N steps, ``change`` of N - 1, in whole
        grey levels; a place is `PLACE` by `PLACE` pixels.
        """
        normal = self.normal
        if normal is None:
            return None
        values = np.concatenate([normal.images[:, None], normal.reconstructions], axis=1)
        return {
            "value": _quantiles(values.sum(axis=-1, dtype=int)),
            "residual": _quantiles(normal.residuals),
            "change": _quantiles(normal.changes),
        }

    def band(self, row: int, column: int) -> dict[str, np.ndarray]:
        """Where normal pixels at the place of a pixel lie, for each line of `probe`.

        Returns
        -------
        dict
            (5, steps) for each, the quantiles `QUANTILES` in grey levels 0 to 1.

        Raises
        ------
        KitError
            If there is no such pixel, or there are no normal images.
        """
        self.check("probes", [[row, column, 0]])
        if self.bands is None:
            raise KitError("no normal images were given; pass normal=")
        place = (..., row // PLACE, column // PLACE)
        return {name: grid[place] / 255 for name, grid in self.bands.items()}

    def data(self) -> Tree:
        """All frames and the fixed things around them."""
        height, width = self.frames.images.shape[1:3]
        return {
            "height": height,
            "width": width,
            "depth": self.frames.depth,
            "enhanced": self.frames.enhanced is not None,
            "images": [self._image(index) for index in range(len(self.frames))],
            "scale": self.scale.data(),
            "threshold": self.threshold,
            "colours": COLOURS,
            "bands": self.bands,
            "normal": None if self.normal is None else {"images": len(self.normal), "side": PLACE},
            "max_probes": MAX_PROBES,
        }

    def stack(self, image: int) -> np.ndarray:
        """Return the frames of one image, see `Frames.stack`."""
        self.check("image", image)
        return self.frames.stack(image)

    def _image(self, index: int) -> Tree:
        """One image, with the number of its colour for every pixel of the map."""
        coloured = levels(self.frames.maps[index], self.scale.low, self.scale.high)  # (H, W) uint8
        return self.frames.data(index) | {"map": coloured, "separation": self.separations[index]}


def _quantiles(values: np.ndarray) -> np.ndarray:
    """Quantiles over images and the pixels of each place: (B, K, H, W) to (5, K, H/4, W/4)."""
    images, steps, height, width = values.shape
    if not steps:  # a single round has no change
        return np.empty((len(QUANTILES), 0, height // PLACE, width // PLACE), np.uint8)
    places = values.reshape(images, steps, height // PLACE, PLACE, width // PLACE, PLACE)
    found = np.quantile(places, QUANTILES, axis=(0, 3, 5)) * (255 / UNIT)
    return found.round().astype(np.uint8)
