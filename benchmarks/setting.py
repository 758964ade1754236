"""What a benchmark that trains on a category is asked for, and how its page begins."""

import argparse
import platform
import shlex
import sys
from dataclasses import dataclass

import torch

from data_utils import Category, open_category
from rcae_lite import get_config
from rcae_lite.cli import parse_options
from rcae_lite.config import Config
from rcae_lite.storage.provenance import code_version


def command() -> str:
    """Return the command that runs this benchmark from the repository, as it was typed."""
    script = "benchmarks/" + sys.argv[0].rpartition("/")[2]
    return shlex.join(["python", script, *sys.argv[1:]])


@dataclass(frozen=True)
class Setting:
    """Configuration, seeds and data of a benchmark."""

    config: Config
    seeds: list[int]
    category: Category

    def heading(self, title: str, remark: str = "") -> str:
        """Return title, command and provenance, ending with what else there is to say."""
        seeds = ", ".join(map(str, self.seeds))
        return (
            f"# {title}\n\n`{command()}`\n\n"
            f"Preset `{self.config.preset}`, seeds {seeds}, data "
            f"`{self.category.fingerprint[:12]}`, {platform.machine()}, "
            f"{torch.get_num_threads()} threads, PyTorch {torch.__version__}, code "
            f"`{code_version()}`.{remark and ' ' + remark}\n"
        )


def asked(description: str) -> Setting:
    """Read DATA, CATEGORY and the options from the command line, and open the category."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("category")
    parser.add_argument("--preset", default="lite")
    parser.add_argument("--step-fraction", type=float, default=1.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", dest="options")
    args = parser.parse_args()
    config = get_config(args.preset, **parse_options(args.options)).shortened(args.step_fraction)
    return Setting(config, args.seeds, open_category(args.data, args.category, size=config.size))
