"""How many images the public data sets have, as their authors publish them."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["PUBLISHED", "Counts"]


class Counts(NamedTuple):
    """Images of a category: to train on, normal ones to test on, defective ones to test on."""

    train: int
    test_good: int
    test_defective: int


# MVTec AD: Bergmann et al., CVPR 2019, table 1.
_MVTEC = {
    "carpet": Counts(280, 28, 89),
    "grid": Counts(264, 21, 57),
    "leather": Counts(245, 32, 92),
    "tile": Counts(230, 33, 84),
    "wood": Counts(247, 19, 60),
    "bottle": Counts(209, 20, 63),
    "cable": Counts(224, 58, 92),
    "capsule": Counts(219, 23, 109),
    "hazelnut": Counts(391, 40, 70),
    "metal_nut": Counts(220, 22, 93),
    "pill": Counts(267, 26, 141),
    "screw": Counts(320, 41, 119),
    "toothbrush": Counts(60, 12, 30),
    "transistor": Counts(213, 60, 40),
    "zipper": Counts(240, 32, 119),
}

# VisA: the one-class split (split_csv/1cls.csv) that comes with Zou et al., ECCV 2022.
_VISA = {
    "candle": Counts(900, 100, 100),
    "capsules": Counts(542, 60, 100),
    "cashew": Counts(450, 50, 100),
    "chewinggum": Counts(453, 50, 100),
    "fryum": Counts(450, 50, 100),
    "macaroni1": Counts(900, 100, 100),
    "macaroni2": Counts(900, 100, 100),
    "pcb1": Counts(904, 100, 100),
    "pcb2": Counts(901, 100, 100),
    "pcb3": Counts(905, 101, 100),
    "pcb4": Counts(904, 101, 100),
    "pipe_fryum": Counts(450, 50, 100),
}

PUBLISHED: dict[str, dict[str, Counts]] = {"mvtec": _MVTEC, "visa": _VISA}  # by layout
