"""The command line: a thin shell over the library. A user's mistake is one line and exit code 2.

Whatever imports PyTorch is imported by the command that needs it: `rcae --help` answers at once.
"""

from __future__ import annotations

import argparse
import ast
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from data_utils import KitError
from data_utils.errors import printable
from rcae_lite.commands.terminal import any_terminal
from rcae_lite.config import PRESETS, get_config
from rcae_lite.version import __version__

__all__ = ["main", "parse_options"]

Command = Callable[[argparse.Namespace], int | None]  # an exit code other than 0


class _Parser(argparse.ArgumentParser):
    """A mistake in the command is one line, as any other mistake is."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where the options are listed; exit code 2."""
        words = message.removeprefix("unrecognized arguments: ")
        if words != message and not words.startswith("-"):
            message += "; what has no dash goes before the options, side by side"
        self.exit(2, f"rcae: {printable(message)}; see {self.prog} --help\n")


def _train(args: argparse.Namespace) -> None:
    from rcae_lite.commands.run import follow_run, train_all, train_run
    from rcae_lite.training.distributed import is_leader, process_group, world_size

    common = {
        "seed": args.seed,
        "step_fraction": args.step_fraction,
        "options": parse_options(args.options),
        "device": args.device,
        "false_alarm_rate": args.false_alarm_rate,
    }
    own = common | {"resume": args.resume, "command": args.command_line}
    if args.all:
        if args.category or args.baseline:
            other = "--baseline" if args.baseline else f"CATEGORY {args.category!r}"
            raise KitError(f"{other} and --all: give one of them")
        print(train_all(args.data, args.preset, out=args.out, **own))
        return
    with process_group():  # of torchrun, if it started us
        if args.baseline and world_size() > 1:
            raise KitError("--baseline is trained by one process; leave torchrun or --baseline out")
        where = args.data, args.category, args.preset
        if not is_leader():
            follow_run(*where, out=args.out, **common)
            return
        folder, evaluation = train_run(*where, out=args.out, baseline=args.baseline, **own)
    print(evaluation.summary())
    print(f"report: {folder / 'report.html'}")


def _evaluate(args: argparse.Namespace) -> None:
    from rcae_lite.commands.run import evaluate_run

    evaluation = evaluate_run(
        args.run, data=args.data, device=args.device, command=args.command_line
    )
    print(evaluation.to_json() if args.json else evaluation.summary())


def _doctor(args: argparse.Namespace) -> int:
    from data_utils.doctor import diagnose, to_html
    from rcae_lite.storage.atomic import write_text

    diagnosis = diagnose(args.data, args.category, size=PRESETS[args.preset].size)
    if args.out:
        write_text(args.out, to_html(diagnosis))
    if args.json:
        print(diagnosis.to_json())
    else:
        print(diagnosis.fix_plan() if args.fix_plan else diagnosis.summary())
    return diagnosis.exit_code


def _predict(args: argparse.Namespace) -> int:
    from rcae_lite.commands.prediction import predict_files
    from rcae_lite.commands.run_record import load_detector

    _, detector = load_detector(args.run, args.device)
    done = predict_files(
        detector, args.images, args.out, maps=args.maps, false_alarm_rate=args.false_alarm_rate
    )
    before = f", {done.before} of them scored before" if done.before else ""
    table = args.out / "scores.csv"
    print(f"{done.images} images{before}: {table}")
    if done.errors:
        line = (
            f"{len(done.errors)} of {done.images} images have no score, {table} says why; the "
            f"first: {done.errors[0]}"
        )
        print(f"rcae: {printable(line)}", file=sys.stderr)
    return 1 if done.errors else 0


def _explore(args: argparse.Namespace) -> None:
    from rcae_lite.widgets.page import explore_run
    from rcae_lite.widgets.paint import paint_run
    from rcae_lite.widgets.story import story_run

    if args.paint or args.story:
        page = (paint_run if args.paint else story_run)(args.run, args.images, args.out)
    else:
        page = explore_run(args.run, args.images, args.out, device=args.device)
    print(f"{page}: {page.stat().st_size / 2**20:.1f} MiB, opens in any browser")


def _export(args: argparse.Namespace) -> None:
    from rcae_lite.commands.export import export_onnx
    from rcae_lite.commands.run_record import load_detector

    _, detector = load_detector(args.run, "cpu")
    path = args.out or args.run / "detector.onnx"
    difference = export_onnx(detector, path)
    print(f"{path}: differs from PyTorch by {difference:.1e} at most")


def _reproduce(args: argparse.Namespace) -> int:
    from rcae_lite.commands.reproduction import reproduce_run

    found = reproduce_run(args.run, data=args.data, out=args.out, device=args.device)
    print(found.summary())
    return 0 if found.succeeded else 1


def _synthesize(args: argparse.Namespace) -> None:
    from data_utils import synthetic
    from rcae_lite.storage.atomic import require_empty_folder

    require_empty_folder(args.out)
    synthetic.write(args.out, args.category)
    print(
        f"written to {args.out}; train with: rcae train {args.out} "
        f"{args.category or synthetic.CATEGORIES[0]}"
    )


def _download(args: argparse.Namespace) -> None:
    from data_utils.download import download

    print(f"ready: {download(args.name, args.out)}")


def _demo(args: argparse.Namespace) -> None:
    from rcae_lite.commands.run import forget_demo, train_run
    from rcae_lite.evaluation.results import Evaluation
    from rcae_lite.storage.provenance import resolve_device

    resolve_device(args.device)  # a device that is not there must not cost the earlier demo
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


def _ablate(args: argparse.Namespace) -> None:
    from joblib import parallel_config

    from rcae_lite.study.ablation import ablate

    options = parse_options(args.options)
    get_config(args.preset, **options)  # refuses what is no option, be it an argument of `ablate`
    with parallel_config(n_jobs=args.jobs):
        table = ablate(
            args.table,
            args.data,
            args.categories,
            preset=args.preset,
            seeds=args.seeds,
            out=args.out,
            step_fraction=args.step_fraction,
            device=args.device,
            command=args.command_line,
            **options,
        )
    print(table.markdown())


def parse_options(words: Sequence[str]) -> dict[str, Any]:
    """Read options of a configuration as typed: ``["crd.width=24", "crd.map_loss=l2"]``.

    Parameters
    ----------
    words : sequence of str
        NAME=VALUE each; a value that is no Python literal is a string.

    Raises
    ------
    KitError
        If a word has no "=".
    """
    options = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise KitError(f"{word!r} is no option; write NAME=VALUE, for example crd.width=24")
        try:
            options[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError, TypeError):
            options[name] = value
    return options


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 2^63 - 1")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="rcae", description="Recursive autoencoder for industrial anomaly detection."
    )
    parser.add_argument("--version", action="version", version=f"rcae-lite {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, function: Command, text: str) -> argparse.ArgumentParser:
        brief = text.replace("%", "%%")  # argparse formats a help text, but no description
        sub = commands.add_parser(name, help=brief, description=text, allow_abbrev=False)
        sub.set_defaults(function=function)
        return sub

    def device(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda", "mps"])

    def quiet(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--quiet", action="store_true", help="draw no progress bars")

    def step_fraction(sub: argparse.ArgumentParser) -> None:
        text = "train for this fraction of the preset's steps; the results say so (default: 1)"
        sub.add_argument("--step-fraction", type=float, default=1.0, metavar="F", help=text)

    def options(sub: argparse.ArgumentParser, where: str) -> None:
        sub.add_argument(
            "--set",
            dest="options",
            action="extend",
            nargs="+",
            default=[],
            metavar="NAME=VALUE",
            help=f"change options of the preset{where}, for example size=256 or crd.steps=3200",
        )

    def false_alarm_rate(sub: argparse.ArgumentParser, default: str) -> None:
        text = f"bound for the threshold (default: {default})"
        sub.add_argument("--false-alarm-rate", type=float, metavar="R", help=text)

    def detector(sub: argparse.ArgumentParser) -> None:
        text = "folder of a run, or of a saved detector"
        sub.add_argument("run", metavar="RUN", type=Path, help=text)

    train = command("train", _train, "train on one category, evaluate, write a report")
    train.add_argument("data", metavar="DATA", help="'synthetic' or a folder")
    train.add_argument(
        "category", metavar="CATEGORY", nargs="?", help="needed if there are several"
    )
    train.add_argument(
        "--baseline", action="store_true", help="train the single-pass autoencoder beside it, too"
    )
    train.add_argument("--preset", default="lite", choices=list(PRESETS))
    train.add_argument("--out", type=Path, metavar="RUN", help="default: runs/CATEGORY-PRESET-SEED")
    train.add_argument("--seed", type=_seed, default=0)
    step_fraction(train)
    options(train, "")
    train.add_argument("--resume", action="store_true", help="continue an interrupted run")
    false_alarm_rate(train, "the smallest attainable one not below 0.05")
    train.add_argument("--all", action="store_true", help="every category, and a table of them")
    quiet(train)
    device(train)

    evaluate = command("evaluate", _evaluate, "evaluate a run again: all metrics, 95% intervals")
    detector(evaluate)
    evaluate.add_argument("--data", metavar="DATA", help="other data than the run was trained on")
    evaluate.add_argument("--json", action="store_true", help="print one JSON object")
    quiet(evaluate)
    device(evaluate)

    doctor = command(
        "doctor", _doctor, "look for everything wrong with a data set; exit code 0, 1 or 2"
    )
    doctor.add_argument("data", metavar="DATA", help="'synthetic' or a folder")
    doctor.add_argument("category", metavar="CATEGORY", nargs="?", help="default: all of them")
    doctor.add_argument(
        "--preset", default="lite", choices=list(PRESETS), help="its size decides what is too small"
    )
    doctor.add_argument("--out", type=Path, metavar="FILE", help="write a page of HTML, too")
    shown = doctor.add_mutually_exclusive_group()
    shown.add_argument("--json", action="store_true", help="print one JSON object")
    shown.add_argument("--fix-plan", action="store_true", help="print what to do; changes nothing")

    predict = command("predict", _predict, "score images and write their anomaly maps")
    detector(predict)
    predict.add_argument("images", metavar="IMAGE_OR_FOLDER", nargs="+", type=Path)
    predict.add_argument(
        "--out", metavar="DIR", type=Path, required=True, help="may hold a part of the results"
    )
    size = predict.add_mutually_exclusive_group()
    for maps, flag, text in (
        ("none", "--scores-only", "write no heat maps"),
        ("full", "--full-size", "heat maps as large as the images (default: the working size)"),
    ):
        size.add_argument(
            flag, action="store_const", dest="maps", const=maps, default="working", help=text
        )
    false_alarm_rate(predict, "the detector's threshold")
    quiet(predict)
    device(predict)

    ablate = command("ablate", _ablate, "regenerate a table of the paper; resumes where it stopped")
    ablate.add_argument(
        "table",
        metavar="TABLE",
        help="components, depth, sharing, data, steps, residual, departures, restoration; or cost, "
        "which needs no DATA",
    )
    ablate.add_argument("data", metavar="DATA", nargs="?", default="", help="as in train")
    ablate.add_argument("categories", metavar="CATEGORY", nargs="*")
    ablate.add_argument("--preset", default="lite", choices=list(PRESETS))
    ablate.add_argument("--seeds", type=_seed, nargs="+", default=[0, 1, 2])
    ablate.add_argument("--out", metavar="DIR", type=Path, required=True)
    ablate.add_argument("--jobs", type=_count, default=1, help="trainings at a time (default: 1)")
    step_fraction(ablate)
    options(ablate, " in all rows")
    device(ablate)

    explore = command("explore", _explore, "write a page that follows images through a detector")
    detector(explore)
    explore.add_argument("images", metavar="IMAGE_OR_FOLDER", nargs="+", type=Path)
    explore.add_argument("--out", metavar="PAGE", type=Path, required=True)
    inside = explore.add_mutually_exclusive_group()
    inside.add_argument(
        "--paint", action="store_true", help="put the detector itself inside, to paint on one image"
    )
    inside.add_argument(
        "--story", action="store_true", help="the same as a story to pass on: what is forgotten?"
    )
    device(explore)

    export = command("export", _export, "write the detector for use without PyTorch")
    detector(export)
    export.add_argument(
        "--onnx", action="store_true", required=True, help="as one ONNX model, any image size"
    )
    export.add_argument("--out", metavar="FILE", type=Path, help="default: RUN/detector.onnx")

    reproduce = command(
        "reproduce", _reproduce, "train a run again and compare; exit code 0 if it is the same"
    )
    reproduce.add_argument("run", metavar="RUN", type=Path)
    reproduce.add_argument("--data", metavar="DATA", help="where the data are now, if they moved")
    reproduce.add_argument("--out", metavar="DIR", type=Path, help="default: RUN-reproduced")
    reproduce.add_argument("--device", choices=["cpu", "cuda", "mps"], help="default: the run's")

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


def _how_to_resume(args: argparse.Namespace) -> str:
    """Say how to resume what was stopped, where nothing is lost."""
    again = "the same command"
    how = {_train: f"{again} with --resume", _ablate: again, _predict: again}
    return f"; {how[args.function]} resumes it" if args.function in how else ""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns
    -------
    int
        0, or 2 for a mistake the user can fix, or 130 after Ctrl-C. `rcae doctor`: 1 for warnings,
        2 for errors in the data. `rcae predict`: 1 if an image could not be read.
    """
    with any_terminal():
        return _run(sys.argv[1:] if argv is None else list(argv))


def _run(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    args.command_line = shlex.join(["rcae", *argv])
    if getattr(args, "quiet", False):
        os.environ["TQDM_DISABLE"] = "1"  # tqdm reads this once, as it is loaded
    # PyTorch's threads spin while they wait for each other, and beside one other busy process a
    # step of training takes many times as long (benchmarks/contention.py). PyTorch reads this once,
    # as it is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # What is wrong with an image is said in our own line.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        return args.function(args) or 0
    except KitError as error:
        print(f"rcae: {printable(str(error))}", file=sys.stderr)
        return 2
    except OSError as error:
        reason = f"{error.strerror or error}: {error.filename or ''}".rstrip(": ")
        remedy = "check that the path exists, is accessible, and that the disk is not full"
        print(f"rcae: {printable(reason)}; {remedy}{_how_to_resume(args)}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        import torch

        if not isinstance(error, torch.OutOfMemoryError):
            raise
        remedy = "use a smaller preset, or --device cpu"
        print(f"rcae: the device is out of memory; {remedy}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"rcae: stopped{_how_to_resume(args)}", file=sys.stderr)
        return 130
