"""What a training run says of its data before it starts."""

import warnings

import pytest
from PIL import Image

from data_utils import open_category
from rcae_lite.commands.run import warn_of_left_out

pytestmark = pytest.mark.usefixtures("coarse_pictures")


def test_a_training_tells_what_it_does_not_read(tmp_path):
    (tmp_path / "lid/normal").mkdir(parents=True)
    for number in range(3):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"lid/normal/{number}.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_left_out(open_category(tmp_path))
        warn_of_left_out(open_category("synthetic"))
    for number in range(4):
        (tmp_path / f"lid/normal/{number}.gif").write_bytes(b"GIF89a")
    with pytest.warns(UserWarning, match=r"^4 not read, GIF image: normal/0\.gif, .*, \.\.\.$"):
        warn_of_left_out(open_category(tmp_path))
