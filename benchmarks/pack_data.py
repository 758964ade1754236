"""Pack a category into one small archive for a machine that has no data set.

python benchmarks/pack_data.py DATA CATEGORY OUT.tar [--limit-mib 64]

Images become JPEG of quality 95, at native size if they fit the limit, else at the largest of a few
smaller sizes that does; masks are PNG of the same size (nearest). Train on it like on MVTec AD. The
result is another data set: its fingerprint differs, so figures from it say so.
"""

import argparse
import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from data_utils import open_category

SIDES = (0, 1024, 768, 512, 384, 256)  # 0: as photographed


def encoded(array: np.ndarray, side: int, mask: bool) -> bytes:
    image = Image.fromarray(array)
    scale = min(1.0, side / max(image.size)) if side else 1.0
    size = (round(image.width * scale), round(image.height * scale))
    image = image.resize(size, Image.Resampling.NEAREST if mask else Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    if mask:
        image.save(buffer, "PNG")
    else:
        image.save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def files(category, side: int) -> dict[str, bytes]:
    """Every file of the archive, in MVTec AD's layout."""
    found = {}
    for split in (category.train, category.test):
        for number, record in enumerate(split.records):
            stem = f"{category.name}/{{}}/{record.defect}/{number:03}"
            found[f"{stem.format(split.split)}.jpg"] = encoded(record.read_image(), side, False)
            if record.read_mask is not None:
                mask = 255 * record.read_mask().astype(np.uint8)
                name = f"{stem.format('ground_truth')}_mask.png"
                found[name] = encoded(mask, side, True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("category")
    parser.add_argument("out", type=Path)
    parser.add_argument("--limit-mib", type=float, default=64)
    args = parser.parse_args()
    category = open_category(args.data, args.category)
    for side in SIDES:
        packed = files(category, side)
        total = sum(len(content) + 1024 for content in packed.values()) / 2**20
        if total <= args.limit_mib:
            break
    else:
        raise SystemExit(f"{total:.0f} MiB even at {side} pixels; the limit is {args.limit_mib}")
    with tarfile.open(args.out, "w") as archive:
        for name, content in packed.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    size = f"longest side {side}" if side else "native size"
    print(f"{args.out}: {len(packed)} files, {total:.1f} MiB, {size}")


if __name__ == "__main__":
    main()
