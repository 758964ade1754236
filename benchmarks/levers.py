"""Try what the kit leaves out: averaged weights of CRD, and scores of top pixels.

    python benchmarks/levers.py DATA CATEGORY [--seeds 0 1 2] > results/levers-CATEGORY.md

The average is exponential, over the weights after every step of CRD. A top-k score is the mean of
the largest values of the library's map instead of the largest one. Everything is compared on the
test set: a study, not a way to choose on it.
"""

from statistics import mean

from setting import Setting, asked
from sklearn.metrics import roc_auc_score
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from rcae_lite import RcAEDetector
from rcae_lite.evaluation.metrics import pixel_metrics
from rcae_lite.evaluation.protocol import native_pairs
from rcae_lite.study.summary import markdown_table
from rcae_lite.training.events import Event

SHARES = (0.0, 0.001, 0.01, 0.05)  # of the pixels; the first is the maximum alone


class Averages:
    """Callback that keeps exponential averages of CRD's weights."""

    def __init__(self, *decays: float) -> None:
        self.decays = decays
        self.models: dict[float, AveragedModel] = {}

    def __call__(self, event: Event) -> None:
        """Take part in every step of CRD."""
        if event.stage != "crd":
            return
        for decay in self.decays:
            if decay not in self.models:
                average = get_ema_multi_avg_fn(decay)
                self.models[decay] = AveragedModel(event.state.module, multi_avg_fn=average)
            self.models[decay].update_parameters(event.state.module)


def top(maps: Tensor, share: float) -> Tensor:
    """Mean of the largest values of maps (n, H, W): (n,)."""
    values = maps.flatten(1)
    return values.topk(max(1, round(share * values.shape[1])), dim=1).values.mean(dim=1)


def variants(setting: Setting, seed: int) -> dict[str, list[float]]:
    """Train once and evaluate each set of weights: pixel AUROC, AU-PRO, image AUROC per share."""
    category, averages = setting.category, Averages(0.99, 0.995)
    detector = RcAEDetector(setting.config, seed, "cpu")
    detector.fit(category.train, callbacks=[averages])
    last = {name: value.clone() for name, value in detector.crd.state_dict().items()}
    weights = {"of the last step (the library's)": last}
    for decay, model in averages.models.items():
        weights[f"averaged, decay {decay:g}"] = model.module.state_dict()
    images, found = category.test.images() / 255, {}
    for name, state in weights.items():
        detector.crd.load_state_dict(state)
        maps = detector.predict(images).anomaly_map
        pixels = pixel_metrics(*native_pairs(category.test, maps), resamples=2)
        found[name] = [pixels["pixel_auroc"].value, pixels["au_pro"].value]
        found[name] += [roc_auc_score(category.test.labels, top(maps, share)) for share in SHARES]
    return found


def main() -> None:
    setting = asked(__doc__)
    runs = [variants(setting, seed) for seed in setting.seeds]
    print(setting.heading("Levers that the kit leaves out", "Means over the seeds."))
    head = ["weights of CRD", "pixel AUROC", "AU-PRO"]
    head += ["image AUROC", *(f"top {100 * share:g}%" for share in SHARES[1:])]
    print("\n".join(markdown_table(head, [])))
    for name in runs[0]:
        means = (mean(column) for column in zip(*(run[name] for run in runs), strict=True))
        print(f"| {name} | {' | '.join(f'{value:.3f}' for value in means)} |")


if __name__ == "__main__":
    main()
