"""Choose the learning rate of the single pass, the control of RcAE, on synthetic categories.

    python benchmarks/learning_rate.py [--rates 0.002 0.004 0.008] [--categories ...]
                                       [--step-fraction 0.5] > results/learning_rate.md

It is trained on clean and on perturbed images, as `rcae ablate residual` does; what counts is the
mean over the categories of the plain residual's image AUROC.
"""

import argparse
import itertools
from statistics import mean

from setting import command
from validate import image_and_pixel

from data_utils import open_category
from data_utils.synthetic import CATEGORIES
from rcae_lite import SinglePassDetector, get_config
from rcae_lite.storage.provenance import code_version
from rcae_lite.study.summary import markdown_table

VARIANTS = {"clean": 0.0, "perturbed": 1.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rates", type=float, nargs="+", default=[0.002, 0.004, 0.008])
    parser.add_argument("--categories", nargs="+", default=list(CATEGORIES))
    parser.add_argument("--step-fraction", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print(
        f"# The single pass's learning rate\n\n`{command()}`, preset `lite`, seed {args.seed}, "
        f"code `{code_version()}`, CPU.\n\nImage / pixel AUROC of the plain residual in percent.\n"
    )
    print("\n".join(markdown_table(["images", "rate", *args.categories, "mean"], [])), flush=True)
    for (variant, share), rate in itertools.product(VARIANTS.items(), args.rates):
        options = {"single_pass.perturbed": share, "single_pass.learning_rate": rate}
        config = get_config("lite", **options).shortened(args.step_fraction)
        found = []
        for name in args.categories:
            category = open_category("synthetic", name, size=config.size)
            detector = SinglePassDetector(config, args.seed, "cpu")
            detector.fit(category.train, callbacks=[])
            found.append([100 * value for value in image_and_pixel(detector, category.test)])
        means = [mean(column) for column in zip(*found, strict=True)]
        cells = [f"{image:.1f} / {pixel:.1f}" for image, pixel in [*found, means]]
        print(f"| {variant} | {rate:g} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
