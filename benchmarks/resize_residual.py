"""How much of RcAE's residual is that of plain resizing: no network, nothing learned.

python benchmarks/resize_residual.py DATA CATEGORY [--size 128] > results/resize_residual.md

An image is averaged down n times by two and enlarged n times (bilinear): the identity paths of E
and D alone. Its residual knows edges and fine texture, and nothing of what is normal. A trained
RcAE whose residual finds no more than this has learned to resize.
"""

import argparse

import torch

from data_utils import open_category
from rcae_lite.baselines import resize_trajectory
from rcae_lite.evaluation.metrics import image_metrics, pixel_metrics
from rcae_lite.evaluation.protocol import native_pairs
from rcae_lite.evaluation.scoring import smooth
from rcae_lite.storage.provenance import code_version
from rcae_lite.study.summary import markdown_table

DEPTHS = range(1, 6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("category")
    parser.add_argument("--size", type=int, default=128)
    args = parser.parse_args()
    test = open_category(args.data, args.category, size=args.size).test
    images = test.images() / 255
    print(f"# Residual of plain resizing: {args.category}\n")
    print(
        f"`python benchmarks/resize_residual.py {args.data} {args.category} --size {args.size}`, "
        f"data `{test.fingerprint[:12]}`, PyTorch {torch.__version__}, code `{code_version()}`. "
        "Image score and map as in the protocol; 95% intervals.\n"
    )
    rows = []
    trajectory = resize_trajectory(images, DEPTHS[-1])  # (B, 3, N, H, W)
    for depth in DEPTHS:
        maps = smooth((images - trajectory[:, :, depth - 1]).abs().mean(dim=1))  # (B, H, W)
        found = image_metrics(test.labels, maps.flatten(1).amax(dim=1).double().numpy())
        found |= pixel_metrics(*native_pairs(test, maps))
        values = (found[name] for name in ("image_auroc", "pixel_auroc", "au_pro"))
        rows.append([str(depth), *(str(value or "-") for value in values)])
    print("\n".join(markdown_table(["n", "image AUROC", "pixel AUROC", "AU-PRO"], rows)))


if __name__ == "__main__":
    main()
