"""The command line: a thin shell over the library. A user's mistake is one line and exit code 2."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from data_utils import KitError
from rcae_lite import __version__
from rcae_lite.config import PRESETS
from rcae_lite.results import Evaluation

__all__ = ["main"]

Command = Callable[[argparse.Namespace], None]


def _train(args: argparse.Namespace) -> None:
    from rcae_lite.runs import train_all, train_run

    options = {
        "seed": args.seed,
        "device": args.device,
        "resume": args.resume,
        "command": args.command_line,
    }
    if args.all:
        if args.category:
            raise KitError(f"CATEGORY {args.category!r} and --all: give one of them")
        print(train_all(args.data, args.preset, out=args.out, **options))
        return
    folder, evaluation = train_run(args.data, args.category, args.preset, out=args.out, **options)
    print(evaluation.summary())
    print(f"report: {folder / 'report.html'}")


def _evaluate(args: argparse.Namespace) -> None:
    from rcae_lite.runs import evaluate_run

    evaluation = evaluate_run(
        args.run, data=args.data, device=args.device, command=args.command_line
    )
    print(evaluation.to_json() if args.json else evaluation.summary())


def _predict(args: argparse.Namespace) -> None:
    from rcae_lite.prediction import predict_files
    from rcae_lite.runs import load_run

    _, detector = load_run(args.run, args.device)
    count = predict_files(detector, args.images, args.out)
    print(f"{count} images: {args.out / 'scores.csv'}")


def _synthesize(args: argparse.Namespace) -> None:
    from data_utils import synthetic
    from rcae_lite.files import claim_folder

    claim_folder(args.out)
    synthetic.write(args.out, args.category)
    print(
        f"written to {args.out}; train with: rcae train {args.out} "
        f"{args.category or synthetic.CATEGORIES[0]}"
    )


def _download(args: argparse.Namespace) -> None:
    from data_utils.download import download

    print(f"ready: {download(args.name, args.out)}")


def _demo(args: argparse.Namespace) -> None:
    from rcae_lite.runs import forget_demo, train_run

    forget_demo(args.out, args.category)
    folder, evaluation = train_run(
        "synthetic",
        args.category,
        "demo",
        out=args.out,
        device=args.device,
        baseline=True,
        command=args.command_line,
    )
    baseline = Evaluation.load(folder / "baseline" / "evaluation.json")
    print(f"single-pass baseline\n{baseline.summary()}\nRcAE + DPN + CRD\n{evaluation.summary()}")
    print(f"report: {folder / 'report.html'}")


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2^63 - 1")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rcae", description="Recursive autoencoder for industrial anomaly detection."
    )
    parser.add_argument("--version", action="version", version=f"rcae-lite {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, function: Command, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        sub.set_defaults(function=function)
        return sub

    def device(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])

    train = command("train", _train, "train on one category, evaluate, write a report")
    train.add_argument("data", metavar="DATA", help="'synthetic' or a folder")
    train.add_argument(
        "category", metavar="CATEGORY", nargs="?", help="needed if there are several"
    )
    train.add_argument("--preset", default="lite", choices=list(PRESETS))
    train.add_argument("--out", type=Path, metavar="RUN", help="default: runs/CATEGORY-PRESET-SEED")
    train.add_argument("--seed", type=_seed, default=0)
    train.add_argument("--resume", action="store_true", help="go on in a folder that is not empty")
    train.add_argument("--all", action="store_true", help="every category, and a table of them")
    device(train)

    evaluate = command("evaluate", _evaluate, "evaluate a run again: all metrics, 95% intervals")
    evaluate.add_argument("run", metavar="RUN", type=Path)
    evaluate.add_argument("--data", metavar="DATA", help="other data than the run was trained on")
    evaluate.add_argument("--json", action="store_true", help="print one JSON object")
    device(evaluate)

    predict = command("predict", _predict, "score images and write their anomaly maps")
    predict.add_argument("run", metavar="RUN", type=Path)
    predict.add_argument("images", metavar="IMAGE_OR_FOLDER", nargs="+", type=Path)
    predict.add_argument("--out", metavar="DIR", type=Path, required=True)
    device(predict)

    synthesize = command("synthesize", _synthesize, "write the built-in categories as PNG files")
    synthesize.add_argument("out", metavar="OUT", type=Path)
    synthesize.add_argument("--category", metavar="NAME", help="only this one")

    download = command("download", _download, "fetch a data set, after showing its licence")
    download.add_argument("name", choices=["mvtec", "visa"])
    download.add_argument("out", metavar="OUT", type=Path)

    demo = command("demo", _demo, "train and evaluate on a synthetic category, baseline beside it")
    demo.add_argument("--category", metavar="NAME", help="another synthetic category")
    demo.add_argument("--out", metavar="RUN", type=Path, default=Path("runs/demo"))
    device(demo)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns
    -------
    int
        0, or 2 for a mistake the user can mend, or 130 after Ctrl-C.
    """
    argv = sys.argv[1:] if argv is None else list(argv)
    args = _parser().parse_args(argv)
    args.command_line = shlex.join(["rcae", *argv])
    try:
        args.function(args)
    except KitError as error:
        print(f"rcae: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(
            f"rcae: {error.strerror or error}: {error.filename or ''}".rstrip(": "), file=sys.stderr
        )
        return 2
    except torch.OutOfMemoryError:
        remedy = "use a smaller preset, or --device cpu"
        print(f"rcae: the memory of the device is not enough; {remedy}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        hint = "; the same command with --resume goes on" if args.function is _train else ""
        print(f"rcae: stopped{hint}", file=sys.stderr)
        return 130
    return 0
