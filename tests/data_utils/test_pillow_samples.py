"""Pillow's own test images, many of them broken on purpose: read right, or refused in one line.

They are in Pillow's source archive, not in the installed package::

    pip download --no-deps --no-binary pillow pillow && tar xf pillow-*.tar.gz
    export RCAE_PILLOW_IMAGES=pillow-13.0.0/Tests/images
    pytest -m "" tests/data_utils/test_pillow_samples.py
"""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from data_utils import KitError
from data_utils.images import image_size, preview, read_image, read_mask

FOLDER = os.environ.get("RCAE_PILLOW_IMAGES")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Pillow says what it thinks of each of them
@pytest.mark.skipif(not FOLDER, reason="RCAE_PILLOW_IMAGES does not name Pillow's Tests/images")
def test_pillows_own_images_are_read_or_refused_in_one_line():
    paths = [path for path in Path(FOLDER).rglob("*") if path.is_file()]
    counts: Counter[str] = Counter()
    for path in paths:
        for reader in (image_size, read_image, read_mask, lambda path: preview(path, 64)):
            try:
                found = reader(path)
            except KitError as error:
                assert len(str(error).splitlines()) == 1
                counts["refused"] += 1
                continue
            counts["read"] += 1
            if reader is read_image:
                assert found.dtype == np.uint8 and found.shape == (*image_size(path), 3)
            if reader is read_mask:
                assert found.dtype == bool and found.shape == image_size(path)
    print(f"\n{len(paths)} files, {dict(counts)}")
    assert len(paths) >= 500 and counts["read"] >= 1000 and counts["refused"] >= 500
