"""Files become the right pixels, whatever they are called, or one clear line."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from data_utils import DataError, images
from data_utils.images import image_size, read_image, read_mask, value_bits
from data_utils.listing import list_images

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 9), dtype=np.uint8)
RGB = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)


def written(path: Path, image: Image.Image, **options: object) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_the_content_decides_and_not_the_extension(tmp_path: Path, kind: str) -> None:
    for name in ("a.jpg", "a.xyz", "a"):
        path = written(tmp_path / name, Image.fromarray(RGB), format=kind)
        np.testing.assert_array_equal(read_image(path), RGB)


def test_jpeg_is_decoded_in_full(tmp_path: Path) -> None:
    path = written(tmp_path / "a.png", Image.fromarray(RGB), format="JPEG", quality=90)
    np.testing.assert_array_equal(read_image(path), np.asarray(Image.open(path)))


def test_greyscale_is_repeated(tmp_path: Path) -> None:
    for name, image in (("l.png", Image.fromarray(GREY)), ("one.png", Image.new("1", (9, 6), 1))):
        pixels = read_image(written(tmp_path / name, image))
        assert pixels.shape == (6, 9, 3) and pixels.dtype == np.uint8
        assert (pixels == pixels[..., :1]).all()
    assert (pixels == 255).all()  # 1 bit, full range
    np.testing.assert_array_equal(read_image(tmp_path / "l.png")[..., 0], GREY)


@pytest.mark.parametrize("extension", ["png", "tif"])
def test_sixteen_bits_are_scaled_by_their_full_range(tmp_path: Path, extension: str) -> None:
    values = np.array([[0, 257, 256 * 128, 65535]], dtype=np.uint16)
    pixels = read_image(written(tmp_path / f"a.{extension}", Image.fromarray(values)))
    assert pixels[0].tolist() == [[0] * 3, [1] * 3, [128] * 3, [255] * 3]


def test_big_endian_sixteen_bits(tmp_path: Path) -> None:
    image = Image.frombytes("I;16B", (2, 1), struct.pack(">HH", 65535, 257 * 9))
    assert read_image(written(tmp_path / "a.tif", image))[0, :, 0].tolist() == [255, 9]


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_values_without_a_known_range_are_refused(tmp_path: Path, dtype: type) -> None:
    path = written(tmp_path / "a.tif", Image.fromarray(GREY.astype(dtype)))
    with pytest.raises(
        DataError, match=r"a\.tif has .*32-bit .* expected 8 or 16 bits .*; scale it"
    ):
        read_image(path)


def test_opaque_alpha_changes_nothing_and_transparency_is_white(tmp_path: Path) -> None:
    alpha = np.full((6, 9, 1), 255, np.uint8)
    alpha[0] = 0
    path = written(tmp_path / "a.png", Image.fromarray(np.concatenate([RGB, alpha], axis=2)))
    pixels = read_image(path)
    np.testing.assert_array_equal(pixels[1:], RGB[1:])
    assert (pixels[0] == 255).all()
    grey_alpha = np.stack([GREY, alpha[..., 0]], axis=2)
    pixels = read_image(written(tmp_path / "la.png", Image.fromarray(grey_alpha)))
    np.testing.assert_array_equal(pixels[1:, :, 2], GREY[1:])


def test_palette_becomes_its_colours(tmp_path: Path) -> None:
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 0])
    image.putpixel((1, 0), 1)
    pixels = read_image(written(tmp_path / "a.png", image))
    assert pixels[0].tolist() == [[10, 20, 30], [200, 100, 0]]


def test_cmyk(tmp_path: Path) -> None:
    image = Image.new("CMYK", (4, 4), (0, 255, 255, 0))  # red
    pixels = read_image(written(tmp_path / "a.tif", image))
    assert pixels[0, 0].tolist() == [255, 0, 0]
    pixels = read_image(written(tmp_path / "a.jpg", image))
    assert pixels[0, 0, 0] > 245 and pixels[0, 0, 1] < 10


@pytest.mark.parametrize("extension", ["png", "tif", "jpg"])
@pytest.mark.parametrize(
    ("orientation", "shown"),
    [(1, RGB), (3, RGB[::-1, ::-1]), (6, np.rot90(RGB, -1)), (8, np.rot90(RGB))],
)
def test_exif_orientation(
    tmp_path: Path, extension: str, orientation: int, shown: np.ndarray
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    blocks = np.kron(RGB, np.ones((16, 16, 1), np.uint8))  # JPEG keeps flat blocks nearly exact
    options = {"quality": 100, "subsampling": 0} if extension == "jpg" else {}
    path = written(tmp_path / f"a.{extension}", Image.fromarray(blocks), exif=exif, **options)
    expected = np.kron(shown, np.ones((16, 16, 1), np.uint8)).astype(int)
    assert np.abs(read_image(path) - expected).max() <= (6 if extension == "jpg" else 0)
    assert image_size(path) == expected.shape[:2]
    assert image_size(path, path.read_bytes()) == expected.shape[:2]


@pytest.mark.parametrize("value", [1, 2, 128, 254, 255])
def test_mask_is_whatever_differs_from_zero(tmp_path: Path, value: int) -> None:
    expected = GREY > 100
    grey = Image.fromarray(np.where(expected, value, 0).astype(np.uint8))
    for name in ("a.png", "a.bmp", "a.tif"):
        np.testing.assert_array_equal(read_mask(written(tmp_path / name, grey)), expected)
    deep = Image.fromarray(np.where(expected, value, 0).astype(np.uint16))
    np.testing.assert_array_equal(read_mask(written(tmp_path / "deep.png", deep)), expected)
    wide = Image.fromarray(np.where(expected, value / 1e6, 0).astype(np.float32))
    np.testing.assert_array_equal(read_mask(written(tmp_path / "wide.tif", wide)), expected)


def test_mask_in_every_mode(tmp_path: Path) -> None:
    expected = GREY > 100
    one = Image.fromarray(expected)
    palette = Image.new("P", (9, 6))
    palette.putdata(expected.astype(np.uint8).ravel().tolist())
    palette.putpalette([0] * 768)  # class ids that all look black
    blue = np.zeros((6, 9, 4), np.uint8)
    blue[..., 2] = expected
    blue[..., 3] = 255  # opaque everywhere is not foreground everywhere
    grey_alpha = np.stack([expected.astype(np.uint8), np.full((6, 9), 255, np.uint8)], axis=2)
    modes = {
        "1": one,
        "P": palette,
        "RGBA": Image.fromarray(blue),
        "LA": Image.fromarray(grey_alpha),
    }
    for mode, image in modes.items():
        assert image.mode == mode
        mask = read_mask(written(tmp_path / f"{mode}.png", image))
        assert mask.dtype == bool
        np.testing.assert_array_equal(mask, expected, err_msg=mode)


def test_jpeg_mask_is_not_grown_by_its_noise(tmp_path: Path) -> None:
    expected = np.zeros((40, 40), bool)
    expected[11:24, 9:30] = True
    image = Image.fromarray(expected.astype(np.uint8) * 255)
    path = written(tmp_path / "a.jpg", image, quality=60)
    assert (np.asarray(Image.open(path))[~expected] != 0).any()  # noise there is
    np.testing.assert_array_equal(read_mask(path), expected)


def test_mask_is_turned_like_its_image(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    marked = GREY > 100
    path = written(tmp_path / "a.png", Image.fromarray(np.uint8(255 * marked)), exif=exif)
    np.testing.assert_array_equal(read_mask(path), np.rot90(marked, -1))


@pytest.mark.parametrize("mode", ["L", "I;16", "RGB", "RGBA"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tiff_is_turned_and_not_scrambled(tmp_path: Path, mode: str, orientation: int) -> None:
    """Pillow maps such a file into memory with its sides exchanged."""
    image = Image.fromarray(np.uint8(255 * np.tile(GREY > 100, (10, 10))))
    image = image.convert("I").convert(mode) if mode == "I;16" else image.convert(mode)
    path = written(tmp_path / "a.tif", image, tiffinfo={274: orientation})
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(path.read_bytes())))
    np.testing.assert_array_equal(read_mask(path), np.asarray(upright.convert("L")) > 0)
    assert read_image(path).shape[:2] == image_size(path) == upright.size[::-1]
    if mode != "I;16":
        np.testing.assert_array_equal(read_image(path), np.asarray(upright.convert("RGB")))


@pytest.mark.parametrize("extension", ["png", "jpg", "bmp", "tif"])
@pytest.mark.parametrize("read", [read_image, read_mask])
def test_a_truncated_file_is_refused(tmp_path: Path, extension: str, read) -> None:  # noqa: ANN001
    path = written(tmp_path / f"a.{extension}", Image.fromarray(np.tile(RGB, (20, 20, 1))))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    with pytest.raises(
        DataError, match=rf"a\.{extension} .*; expected a JPEG.*; (copy|replace)"
    ) as e:
        read(path)
    assert "\n" not in str(e.value)


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("hello")
    for read in (read_image, read_mask, image_size):
        with pytest.raises(
            DataError, match=r"a\.png is not an image .* expected a JPEG, .*; replace"
        ):
            read(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.png is not an image"):
        image_size(path, b"")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.png .*No such file"):
        read_image(tmp_path / "none.png")


def test_a_decompression_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b""))
    for read in (read_image, read_mask, image_size):
        with pytest.raises(DataError, match=r"bomb\.png has too many pixels; expected at most"):
            read(path)


def test_a_length_that_asks_for_all_of_the_memory_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged chunk of a PNG says that it is 4 GB long; found by tests/fuzz.py."""
    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(path)

    def load(image: Image.Image) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    with pytest.raises(DataError, match="asks for more memory than there is; .* copy it again"):
        read_image(path)


def test_the_limit_of_pixels_is_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.png", Image.fromarray(RGB))
    monkeypatch.setattr(images, "MAX_PIXELS", 6 * 9)
    read_image(path)
    monkeypatch.setattr(images, "MAX_PIXELS", 6 * 9 - 1)
    with pytest.raises(DataError, match="expected at most 53;"):
        read_image(path)


def test_listing(tmp_path: Path) -> None:
    for name, kind in (("b.png", "PNG"), ("a", "JPEG"), ("c.dat", "BMP"), ("d.x", "TIFF")):
        written(tmp_path / name, Image.fromarray(RGB), format=kind)
    (tmp_path / "damaged.JPG").write_bytes(b"")  # to be reported when it is read
    (tmp_path / "BMW.txt").write_text("BM is how a bitmap starts")
    (tmp_path / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    written(tmp_path / ".hidden.png", Image.fromarray(RGB))
    for folder in ("deep", ".git"):
        (tmp_path / folder).mkdir()
        written(tmp_path / folder / "e.png", Image.fromarray(RGB))
    flat = ["a", "b.png", "c.dat", "d.x", "damaged.JPG"]
    assert [path.name for path in list_images(tmp_path)] == flat
    found = list_images(tmp_path, recursive=True)
    assert [path.relative_to(tmp_path).as_posix() for path in found] == [*flat, "deep/e.png"]
    assert list_images(tmp_path / "missing") == []


def test_an_orientation_that_there_is_not_turns_nothing(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 255
    path = written(tmp_path / "a.jpg", Image.fromarray(RGB), exif=exif)
    assert image_size(path) == read_image(path).shape[:2] == (6, 9)


def test_alpha_that_is_the_same_everywhere_is_no_transparency(tmp_path: Path) -> None:
    for alpha in (0, 90, 255):
        plane = np.full(RGB.shape[:2], alpha, np.uint8)
        path = written(tmp_path / f"{alpha}.png", Image.fromarray(np.dstack([RGB, plane])))
        assert np.array_equal(read_image(path), RGB)


@pytest.mark.parametrize("bits", [8, 16])
def test_tiff_whose_smallest_value_is_white(tmp_path: Path, bits: int) -> None:
    grey = np.array([[0, 100, 255]], np.uint8)
    stored = grey if bits == 8 else 65535 - grey.astype(np.uint16) * 257  # Pillow turns 8 bits
    path = written(tmp_path / "a.tif", Image.fromarray(stored), tiffinfo={262: 0})
    assert read_image(path)[0, :, 0].tolist() == [0, 100, 255]
    assert read_mask(path)[0].tolist() == [False, True, True]


def test_sixteen_bits_of_fewer(tmp_path: Path) -> None:
    path = written(tmp_path / "a.png", Image.fromarray(np.array([[0, 2048, 4095]], np.uint16)))
    assert read_image(path, bits=12)[0, :, 0].tolist() == [0, 128, 255]
    with pytest.raises(DataError, match=r"values up to 4095; expected 10 bits, 0 to 1023"):
        read_image(path, bits=10)
    assert value_bits([path]) == 12
    assert value_bits([tmp_path / "missing.png"]) == 16


@pytest.mark.parametrize(("hot", "side"), [(4, 32), (100, 1000), (3000, 100)])
def test_hot_pixels_make_no_bit_depth(tmp_path: Path, hot: int, side: int) -> None:
    values = np.linspace(0, 4095, side**2).astype(np.uint16).reshape(side, side)
    values.flat[:hot] = 65535
    path = written(tmp_path / "a.png", Image.fromarray(values))
    assert value_bits([path]) == 12
    read = read_image(path, bits=12)[..., 0]
    assert (read.flat[:hot] == 255).all() and abs(int(read[side // 2, 0]) - 128) <= 1
    values.flat[: hot + 1] = 60000  # not saturated
    expected = 12 if hot > side**2 // 2 else 16
    assert value_bits([written(tmp_path / "b.png", Image.fromarray(values))]) == expected


MARKED = np.zeros((40, 60), bool)
MARKED[10:20, 10:30] = True
WHITE = np.uint8(255 * MARKED)
COLOUR = np.dstack([WHITE] * 3)


def smoothed() -> Image.Image:
    large = Image.fromarray(np.kron(WHITE, np.ones((4, 4), np.uint8)))
    return large.resize((60, 40), Image.Resampling.LANCZOS)


def once_a_jpeg() -> Image.Image:
    file = io.BytesIO()
    Image.fromarray(WHITE).save(file, "JPEG", quality=70)
    return Image.open(file)


def in_alpha(colour: int) -> Image.Image:
    return Image.fromarray(np.dstack([np.full_like(COLOUR, colour), WHITE]))


WITH_PROFILE = {"lossless": True, "icc_profile": bytes(200)}


def white_on(*ground: int) -> Image.Image:
    """A palette whose first colour is white."""
    image = Image.fromarray(np.uint8(~MARKED), "P")
    image.putpalette([255, 255, 255, *ground])
    return image


@pytest.mark.parametrize(
    ("name", "image", "options"),
    [
        ("cmyk.tif", Image.fromarray(COLOUR).convert("CMYK"), {}),
        ("cmyk.jpg", Image.fromarray(COLOUR).convert("CMYK"), {}),
        ("ycbcr.tif", Image.fromarray(COLOUR).convert("YCbCr"), {}),
        ("pa.tif", Image.fromarray(COLOUR).convert("P").convert("PA"), {}),
        ("lossy.webp", Image.fromarray(COLOUR), {"quality": 60}),
        ("lossless.webp", Image.fromarray(COLOUR), {"lossless": True}),
        ("jpeg_inside.tif", Image.fromarray(COLOUR), {"compression": "jpeg"}),
        ("once_a_jpeg.png", once_a_jpeg(), {}),
        ("smoothed.png", smoothed(), {}),
        ("smoothed_palette.png", smoothed().convert("P"), {}),
        ("faint.png", smoothed().point(lambda v: v * 100 // 255), {}),
        ("with_profile.webp", Image.fromarray(2 * (COLOUR // 255)), WITH_PROFILE),
        ("blue.png", white_on(0, 0, 255), {}),
        ("red.png", white_on(255, 0, 0), {}),
        ("yellow.png", white_on(255, 255, 0), {}),
        ("white_alpha.png", in_alpha(255), {}),
        ("black_alpha.png", in_alpha(0), {}),
        ("opaque.png", Image.fromarray(COLOUR).convert("RGBA"), {}),
        ("class_ids.png", Image.fromarray(np.uint8(2 * MARKED)), {}),
        ("one_channel.png", Image.fromarray(COLOUR * np.uint8([0, 0, 1])), {}),
    ],
)
def test_a_mask_means_what_it_looks_like(
    tmp_path: Path, name: str, image: Image.Image, options: dict
) -> None:
    found = read_mask(written(tmp_path / name, image, **options))
    np.testing.assert_array_equal(found, MARKED)


@pytest.mark.parametrize(("ids", "step"), [(8, 31), (12, 20), (40, 6), (20, 1), (40, 1000)])
def test_class_ids_are_no_shades(tmp_path: Path, ids: int, step: int) -> None:
    numbered = np.repeat(np.arange(ids + 1) * step, 5).reshape(1, -1).repeat(10, axis=0)
    stored = numbered.astype(np.uint8 if numbered.max() < 256 else np.uint16)
    path = written(tmp_path / "a.png", Image.fromarray(stored))
    np.testing.assert_array_equal(read_mask(path), numbered > 0)


def test_masks_that_cannot_be_read_right_are_refused(tmp_path: Path) -> None:
    planes = np.uint16(257) * np.moveaxis(COLOUR, -1, 0)
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate")
    with pytest.raises(DataError, match="16-bit colours in separate planes"):
        read_mask(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "b.tif", np.uint16(COLOUR > 0), photometric="rgb")
    with pytest.raises(DataError, match=r"16 bits, all below 256.* expected 8 bits; save"):
        read_mask(tmp_path / "b.tif")
    pages = [Image.fromarray(WHITE)] * 3
    pages[0].save(tmp_path / "c.tif", save_all=True, append_images=pages[1:])
    with pytest.raises(DataError, match="has 3 pages; expected a mask of one; save it alone"):
        read_mask(tmp_path / "c.tif")
    assert read_image(tmp_path / "c.tif").shape == (40, 60, 3)  # of an image the first page
    tifffile.imwrite(tmp_path / "d.tif", WHITE.astype(np.float16))
    with pytest.raises(DataError, match=r"TIFF of a kind that is not .* save it again with 8"):
        read_image(tmp_path / "d.tif")


def test_signed_and_separate_planes_are_refused(tmp_path: Path) -> None:
    signed = written(tmp_path / "s.tif", Image.fromarray(RGB[..., 0]), tiffinfo={339: (2,)})
    with pytest.raises(DataError, match="signed, floating-point or 32-bit .* scale it"):
        read_image(signed)


@pytest.mark.parametrize(
    ("palette", "bright"),
    [
        ([255, 255, 255, 0, 0, 0], 0),  # what is stored as 0 is white
        ([0, 0, 0, 255, 255, 255], 1),
        ([9, 9, 9, 240, 240, 240], 1),  # black and white, nearly
        ([0, 0, 0, 128, 0, 0], 1),  # as Pascal VOC stores its class ids
        ([0, 0, 0, 1, 1, 1], 1),  # class ids that look black
        ([0, 0, 0, 0, 0, 0], 1),  # all look alike
    ],
)
def test_in_a_palette_mask_bright_is_defective(
    tmp_path: Path, palette: list[int], bright: int
) -> None:
    index = np.zeros((4, 4), np.uint8)
    index[1:3, 1:3] = 1
    stored = Image.fromarray(index, "P")
    stored.putpalette(palette)
    path = written(tmp_path / "m.png", stored)
    assert np.array_equal(read_mask(path), index == bright)


def test_a_palette_mask_of_one_colour(tmp_path: Path) -> None:
    for colour, marked in ((0, False), (255, True)):
        stored = Image.fromarray(np.zeros((4, 4), np.uint8), "P")
        stored.putpalette([colour] * 3)
        assert read_mask(written(tmp_path / f"{colour}.png", stored)).all() == marked
