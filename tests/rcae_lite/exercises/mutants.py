"""Wrong answers: for every exercise, one for each mistake that its check claims to recognise."""

import copy

import numpy as np
import torch
from scipy.ndimage import label
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn import functional as F

from rcae_lite.model.losses import gradient


def signs(x):
    """Forward differences of both axes without the padding at the end."""
    return x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :]


def resized(mask, size, mode):
    return F.interpolate(mask[None, None].float(), (size, size), mode=mode)[0, 0]


class Encoder(nn.Module):
    """An encoder with one thing wrong."""

    def __init__(self, channels, *, stride=2, out=0, bend=True, fixed=False):
        super().__init__()
        self.down = nn.Conv2d(channels, channels + out, 4, stride=stride, padding=1)
        if stride == 1:
            self.down = nn.Conv2d(channels, channels, 3, padding=1)
        if stride == 4:
            self.down = nn.Conv2d(channels, channels, 4, stride=4)
        self.bend, self.fixed = bend, fixed

    def forward(self, x):
        if self.fixed:
            assert x.shape[-2] == 32, "mat1 and mat2 shapes cannot be multiplied"
        x = self.down(x)
        return F.gelu(x) if self.bend else x


def rounds(network, x, n):
    for _ in range(n):
        x = network(x)
    return x


def trained(module):
    return [p for p in module.parameters() if p.requires_grad]


def zigzag(encoder, decoder, x, n):
    return rounds(lambda y: decoder(encoder(y)), x, n)


def depths(encoder, decoder, x, numbers):
    return [rounds(decoder, rounds(encoder, x, n), n) for n in numbers]


def painted(image, top, left, side, colour):
    out, mask = image.clone(), torch.zeros(image.shape[1:], dtype=torch.bool)
    out[:, top : top + side, left : left + side] = colour[:, None, None]
    mask[top : top + side, left : left + side] = True
    return out, mask


def painted_in_place(image, top, left, side, colour):
    before = image.clone()
    image[:, top : top + side, left : left + side] = colour[:, None, None]
    return image, (image != before).any(0)


def inverted(*arguments):
    out, _ = painted(*arguments)
    return out, (out == arguments[0]).all(0)


def beside(images, enhanced):
    return torch.cat([images.unsqueeze(2).expand_as(enhanced), enhanced], dim=1)


def weak_patch(image, top, left, side, colour):
    return image.clone(), painted(image, top, left, side, colour)[1]


def train_step(module, optimiser, batch, loss, *, clear=True, late=False, steps=1, plain=True):
    if clear:
        optimiser.zero_grad()
    value = loss(module(batch), batch)
    value.backward()
    if late:
        optimiser.zero_grad()
    for _ in range(steps):
        optimiser.step()
    return value.item() if plain else value


class Snapshot:
    copies = (True, True)
    with_moments = True

    def __init__(self, module, optimiser):
        keep = [copy.deepcopy if deep else (lambda state: state) for deep in self.copies]
        self.weights, self.moments = keep[0](module.state_dict()), keep[1](optimiser.state_dict())

    def restore(self, module, optimiser):
        module.load_state_dict(self.weights)
        if self.with_moments:
            optimiser.load_state_dict(self.moments)


class Alias(Snapshot):
    copies = (False, True)


class OnlyWeights(Snapshot):
    with_moments = False


class SharedMoments(Snapshot):
    copies = (True, False)


def series(draw, labels, scores, metric, resamples):
    values = []
    for _ in range(resamples):
        y, s = draw(labels, scores)
        values.append(metric(y, s))
    return np.array(values)


def bootstrap(kind="right", ends=(2.5, 97.5), summary="percentiles"):
    def answer(labels, scores, metric, rng, resamples):
        size = len(labels)

        def draw(y, s):
            if kind == "permuted":
                i = rng.permutation(size)
            else:
                i = rng.integers(size, size=size // 2 if kind == "size" else size)
            j = rng.integers(size, size=size) if kind == "unpaired" else i
            return y[i], s[j]

        values = series(draw, labels, scores, metric, 1 if kind == "single" else resamples)
        width = {"spread": values.std(), "narrow": values.std() / len(values) ** 0.5}.get(summary)
        if width is not None:
            return values.mean() - 1.96 * width, values.mean() + 1.96 * width
        return tuple(np.percentile(values, ends))

    return answer


class Uneven:
    """A generator that never draws the first image."""

    def __init__(self, rng):
        self.rng = rng

    def integers(self, end, *, size):
        return self.rng.integers(1, end, size=size)


def gain(kind):
    def answer(labels, first, second, metric, rng, resamples):
        one, two = [], []
        for _ in range(3 if kind == "single" else resamples):
            i = rng.integers(len(labels), size=len(labels))
            j = rng.integers(len(labels), size=len(labels)) if kind == "unpaired" else i
            one.append(metric(labels[i], first[i]))
            two.append(metric(labels[j], second[j]))
        if kind == "ends":
            ends = [np.percentile(part, [2.5, 97.5]) for part in (one, two)]
            return tuple(ends[1] - ends[0])
        difference = np.subtract(two, one)
        return tuple(np.percentile(-difference if kind == "sign" else difference, [2.5, 97.5]))

    return answer


def stretched(maps, masks):
    return pooled([(m - m.min()) / (m.max() - m.min()) for m in maps], masks)


def pooled(maps, masks):
    flat = [np.concatenate([v.ravel() for v in part]) for part in (masks, maps)]
    return float(roc_auc_score(*flat))


def average(maps, masks):
    pairs = [(m, t) for m, t in zip(maps, masks, strict=True) if t.any()]
    return float(np.mean([roc_auc_score(t.ravel(), m.ravel()) for m, t in pairs]))


def defective_only(maps, masks):
    kept = [(m, t) for m, t in zip(maps, masks, strict=True) if t.any()]
    return pooled(*zip(*kept, strict=True))


def cheapest(labels, scores, alarm, miss, *, lowest=-np.inf):
    def price(t):
        return (
            alarm * ((scores > t) & (labels == 0)).sum()
            + miss * ((scores <= t) & (labels == 1)).sum()
        )

    return float(min([lowest, *np.sort(scores)], key=price))


def accumulate(*, weigh, clear=False, finish=False, step=False):
    def answer(module, batch, parts, loss):
        for piece in batch.chunk(parts):
            if clear:
                module.zero_grad()
            (weigh(len(piece), len(batch), parts) * loss(module(piece), piece)).backward()
        if step:
            with torch.no_grad():
                for p in module.parameters():
                    p -= 0.1 * p.grad
        if finish:
            module.zero_grad()

    return answer


def changed(base, other, *, keep=lambda a, b: a != b):
    return sorted(name for name in base if keep(base[name], other[name]))


def first_share(digests, share):
    return [i < share * len(digests) for i in range(len(digests))]


def by_chance(digests, share):
    return (np.random.default_rng().random(len(digests)) < share).tolist()


def sorted_but_one_by_one(digests, share):
    order = np.argsort(digests)
    # Every fourth of the sorted list: two copies stand side by side and part.
    chosen = np.zeros(len(digests), bool)
    chosen[order[:: round(1 / share)]] = True
    return chosen.tolist()


def hash_modulo(digests, share):
    return [int(digest, 16) % 40 == 0 for digest in digests]


def split_evenly(count, rank, world):
    size = count // world
    return list(range(rank * size, (rank + 1) * size))


def rest_to_last(count, rank, world):
    size = count // world
    return list(range(rank * size, count if rank == world - 1 else (rank + 1) * size))


def overlapping(count, rank, world):
    size = -(-count // world)
    return list(range(max(0, rank * size - 1), min(count, (rank + 1) * size)))


def rates(labels, scores, threshold, *, at=False):
    called = scores >= threshold if at else scores > threshold
    return called, called[labels == 0].mean(), called[labels == 1].mean()


def intensity(r, i):
    return F.l1_loss(r, i)


def bounded(missing):
    return missing / (missing.abs() + 0.05)


def slope(r, i):
    return F.l1_loss(gradient(r), gradient(i))


def shares(a, b, p, x, m, *, power=1, absolute=True):
    """Sums of what came and what was painted, inside the mask."""
    came, went = ((one - two).masked_select(m.expand_as(a)) for one, two in ((a, b), (p, x)))
    came, went = (v.abs() if absolute else v for v in (came, went))
    return (came**power).sum().item(), (went**power).sum().item()


def ratio(a, b):
    return a / b


class Reader(nn.Module):
    """A CRD with one thing wrong."""

    def __init__(self, steps, *, wrong="", kernel=3):
        super().__init__()
        self.within = nn.Conv3d(6, 6, (1, kernel, kernel), padding="same")
        self.collapse = nn.Conv3d(6, 2 if wrong == "channels" else 1, (steps, 1, 1))
        self.wrong = wrong

    def forward(self, x):
        if self.wrong == "size":
            assert x.shape[-2] == 16, "made for one size"
        if self.wrong == "last":
            x = x * torch.tensor([0.0] * (x.shape[2] - 1) + [1.0]).view(1, 1, -1, 1, 1)
        if self.wrong == "image":
            x = x * torch.tensor([0.0] * 3 + [1.0] * 3).view(1, 6, 1, 1, 1)
        if self.wrong == "order":
            x = x.mean(dim=2, keepdim=True).expand_as(x)
        x = self.within(x)
        x = x if self.wrong == "linear" else F.gelu(x)
        if self.wrong == "steps":
            return x[:, :1]
        x = self.collapse(x).squeeze(2)
        if self.wrong == "small":
            x = F.avg_pool2d(x, 2)
        return x.sigmoid() if self.wrong == "sigmoid" else x


def region(enhanced, clean, mask):
    error = (enhanced - clean).abs().mean(1, keepdim=True)
    return (error * mask).sum() / mask.sum().clamp(min=1)


class Blind(nn.Module):
    def forward(self, x):
        return x[:, :1].mean(dim=2)


def overlaps(maps, masks, threshold, *, at=False, per="defect"):
    """Shares of the defects, one by one or as means of images."""
    found = []
    for one, mask in zip(maps, masks, strict=True):
        numbered, count = label(mask)
        above = one >= threshold if at else one > threshold
        each = [float(above[numbered == n].mean()) for n in range(1, count + 1)]
        found += each if per == "defect" else [np.mean(each)] * bool(each)
    return found


MUTANTS = {
    "00.score": {
        "mean": lambda m: m.mean(dim=(1, 2)),
        "whole": lambda m: m.max(),
        "axis": lambda m: m.amax(dim=-1),
        "lowest": lambda m: m.amin(dim=(1, 2)),
    },
    "00.label": {
        "at": lambda s, t: s >= t,
        "below": lambda s, t: s < t,
        "numbers": lambda s, t: (s > t).float(),
    },
    "01.to_tensor": {
        "range": lambda i: torch.from_numpy(i).permute(2, 0, 1).float(),
        "layout": lambda i: torch.from_numpy(i).float() / 255,
        "transposed": lambda i: torch.from_numpy(i.T.copy()).float() / 255,
        "reshaped": lambda i: torch.from_numpy(i).reshape(3, *i.shape[:2]) / 255,
        "stretched": lambda i: torch.from_numpy(i).permute(2, 0, 1) / float(i.max()),
        "precision": lambda i: torch.from_numpy(i / 255).permute(2, 0, 1),
    },
    "01.mask": {
        "grown": lambda m, n: F.adaptive_avg_pool2d(m[None].float(), n)[0].bool(),
        "shrunk": lambda m, n: F.adaptive_avg_pool2d(m[None].float(), n)[0].int().bool(),
        "mixed": lambda m, n: F.adaptive_avg_pool2d(m[None].float(), n)[0] > 0.5,
        "grey": lambda m, n: resized(m, n, "nearest"),
    },
    "01.foreground": {
        "half": lambda i: i > 127,
        "full": lambda i: i == 255,
        "one": lambda i: i == 1,
        "highest": lambda i: i == i.max(),
        "background": lambda i: i == 0,
    },
    "02.gradient": {
        "order": lambda x: torch.cat(
            [F.pad(signs(x)[1], (0, 0, 0, 1)), F.pad(signs(x)[0], (0, 1))], dim=1
        ),
        "backward": lambda x: torch.cat(
            [F.pad(signs(x)[0], (1, 0)), F.pad(signs(x)[1], (0, 0, 1, 0))], dim=1
        ),
        "sign": lambda x: -gradient(x),
        "wrapped": lambda x: torch.cat([x.roll(-1, 3) - x, x.roll(-1, 2) - x], dim=1),
        "absolute": lambda x: gradient(x).abs(),
    },
    "02.loss": {
        "squared": lambda r, i: F.mse_loss(r, i) + F.mse_loss(gradient(r), gradient(i)),
        "total": lambda r, i: (r - i).abs().sum() + (gradient(r) - gradient(i)).abs().sum(),
        "intensity": intensity,
        "gradient": slope,
        "steepness": lambda r, i: intensity(r, i) + F.l1_loss(gradient(r).abs(), gradient(i).abs()),
    },
    "02.copied": {
        "everywhere": lambda a, b, p, x, m: ratio(*shares(a, b, p, x, torch.ones_like(m))),
        "signed": lambda *given: ratio(*shares(*given, absolute=False)),
        "inverted": lambda *given: 1 / ratio(*shares(*given)),
        "ratios": lambda a, b, p, x, m: (
            ((a - b) / (p - x)).abs().masked_select(m.expand_as(a)).mean().item()
        ),
        "clean": lambda a, b, p, x, m: ratio(*shares(a, x, p, x, m)),
        "squared": lambda *given: ratio(*shares(*given, power=2)),
    },
    "02.residual": {
        "signed": lambda i, r: (i - r).mean(dim=1),
        "squared": lambda i, r: ((i - r) ** 2).mean(dim=1),
        "strongest": lambda i, r: (i - r).abs().amax(dim=1),
        "coloured": lambda i, r: (i - r).abs(),
    },
    "03.encoder": {
        "unhalved": lambda c: Encoder(c, stride=1),
        "twice": lambda c: Encoder(c, stride=4),
        "side": lambda c: nn.Sequential(nn.Conv2d(c, c, 3, stride=(1, 2), padding=1), nn.GELU()),
        "channels": lambda c: Encoder(c, out=13),
        "nothing": lambda c: nn.AvgPool2d(2),
        "linear": lambda c: Encoder(c, bend=False),
        "size": lambda c: Encoder(c, fixed=True),
        "padding": lambda c: nn.Sequential(nn.Conv2d(c, c, 3, stride=2), nn.GELU()),
        "doubled": lambda c: nn.Sequential(nn.ConvTranspose2d(c, c, 2, stride=2), nn.GELU()),
        "ignored": lambda c: nn.Sequential(nn.Conv2d(c, c, 1, stride=2), nn.GELU()),
        "inplace": lambda c: nn.Sequential(nn.ReLU(inplace=True), Encoder(c)),
    },
    "03.reconstruct": {
        "once": lambda e, d, x, n: d(e(x)),
        "zigzag": zigzag,
        "shallow": lambda e, d, x, n: depths(e, d, x, [n - 1])[0],
        "lopsided": lambda e, d, x, n: d(rounds(e, x, n)),
        "restart": lambda e, d, x, n: rounds(d, e(x), n),
        "deep": lambda e, d, x, n: depths(e, d, x, [n + 1])[0],
        "swapped": lambda e, d, x, n: rounds(e, rounds(d, x, n), n),
        "compressed": lambda e, d, x, n: rounds(e, x, n),
        "image": lambda e, d, x, n: x,
        "stacked": lambda e, d, x, n: torch.stack(depths(e, d, x, range(1, n + 1)), dim=2),
    },
    "03.trajectory": {
        "axis": lambda e, d, x, n: torch.stack(depths(e, d, x, range(1, n + 1)), dim=1),
        "reversed": lambda e, d, x, n: torch.stack(depths(e, d, x, range(n, 0, -1)), dim=2),
        "image": lambda e, d, x, n: torch.stack([x, *depths(e, d, x, range(1, n + 1))], dim=2),
        "short": lambda e, d, x, n: torch.stack(depths(e, d, x, range(1, n)), dim=2),
        "shifted": lambda e, d, x, n: torch.stack(depths(e, d, x, range(2, n + 2)), dim=2),
        "only": lambda e, d, x, n: depths(e, d, x, [n])[0],
        "joined": lambda e, d, x, n: torch.cat(depths(e, d, x, range(1, n + 1)), dim=1),
        "listed": lambda e, d, x, n: depths(e, d, x, range(1, n + 1)),
        "zigzag": lambda e, d, x, n: torch.stack(
            [zigzag(e, d, x, k) for k in range(1, n + 1)], dim=2
        ),
        "wasteful": lambda e, d, x, n: torch.stack(depths(e, d, x, range(1, n + 1)), dim=2),
    },
    "03.changes": {
        "signed": lambda x: x.diff(dim=2).mean(dim=1),
        "first": lambda x: (x[:, :, 1:] - x[:, :, :1]).abs().mean(dim=1),
        "coloured": lambda x: x.diff(dim=2).abs(),
        "pixels": lambda x: x.diff(dim=-1).abs().mean(dim=1),
        "cancelled": lambda x: x.diff(dim=2).mean(dim=1).abs(),
        "total": lambda x: x.diff(dim=2).abs().sum(dim=1),
        "strongest": lambda x: x.diff(dim=2).abs().amax(dim=1),
        "squared": lambda x: x.diff(dim=2).norm(dim=1),
        "last": lambda x: (x[:, :, -1:] - x[:, :, :-1]).abs().mean(dim=1),
        "reversed": lambda x: x.flip(2).diff(dim=2).abs().mean(dim=1),
        "averaged": lambda x: x.diff(dim=2).abs().mean(dim=(1, 2)),
    },
    "03.parameters": {
        "tensors": lambda m: len(list(m.parameters())),
        "frozen": lambda m: sum(p.numel() for p in m.parameters()),
        "double": lambda m: sum(
            p.numel() for name in ("first", "second", "norm") for p in getattr(m, name).parameters()
        ),
        "buffers": lambda m: sum(v.numel() for v in m.state_dict().values()),
        "rows": lambda m: sum(len(p) for p in trained(m)),
        "layers": lambda m: len(list(m.children())),
        "bytes": lambda m: sum(p.nbytes for p in trained(m)),
        "weights": lambda m: sum(
            p.numel() for name, p in m.named_parameters() if "weight" in name and p.requires_grad
        ),
        "linear": lambda m: sum(
            p.numel()
            for layer in m.modules()
            if isinstance(layer, nn.Linear)
            for p in trained(layer)
        ),
        "outer": lambda m: sum(p.numel() for p in m.parameters(recurse=False)),
    },
    "04.psnr": {
        "natural": lambda r, i: -10 * torch.log(((r - i) ** 2).mean(dim=(1, 2, 3))),
        "root": lambda r, i: -10 * torch.log10(((r - i) ** 2).mean(dim=(1, 2, 3)).sqrt()),
        "absolute": lambda r, i: -10 * torch.log10((r - i).abs().mean(dim=(1, 2, 3))),
        "batch": lambda r, i: -10 * torch.log10(((r - i) ** 2).mean()),
        "eight_bit": lambda r, i: 10 * torch.log10(255**2 / ((r - i) ** 2).mean(dim=(1, 2, 3))),
        "sign": lambda r, i: 10 * torch.log10(((r - i) ** 2).mean(dim=(1, 2, 3))),
    },
    "04.freeze": {
        "training": lambda m: m.requires_grad_(False),
        "gradients": lambda m: m.eval(),
        "weights": lambda m: [p.zero_() for p in m.eval().requires_grad_(False).parameters()],
    },
    "04.weighted": {
        "plain": lambda e, c, m, w: (e - c).abs().mean(),
        "alone": lambda e, c, m, w: w * region(e, c, m),
        "diluted": lambda e, c, m, w: (e - c).abs().mean() + w * ((e - c).abs() * m).mean(),
        "other": lambda e, c, m, w: (e - c).abs().mean() + w * region(e, c, 1 - m),
        "weightless": lambda e, c, m, w: (e - c).abs().mean() + region(e, c, m),
        "empty": lambda e, c, m, w: (
            (e - c).abs().mean() + w * ((e - c).abs().mean(1, keepdim=True) * m).sum() / m.sum()
        ),
    },
    "04.input": {
        "source": lambda r, i: torch.cat([r, bounded(gradient(r))], dim=1),
        "whole": lambda r, i: torch.cat([r, bounded(gradient(i))], dim=1),
        "sign": lambda r, i: torch.cat([r, bounded(gradient(r) - gradient(i))], dim=1),
        "unbounded": lambda r, i: torch.cat([r, gradient(i - r)], dim=1),
        "order": lambda r, i: torch.cat([bounded(gradient(i - r)), r], dim=1),
        "image": lambda r, i: torch.cat([i, bounded(gradient(i - r))], dim=1),
    },
    "05.patch": {
        "inplace": painted_in_place,
        "rectangle": painted,
        "transposed": lambda i, top, left, side, c: painted(i, left, top, side, c),
        "inverted": inverted,
        "unpainted": weak_patch,
        "colours": lambda i, *square: (
            painted(i, *square)[0],
            (painted(i, *square)[0] != i).all(0),
        ),
        "each": lambda i, *square: (painted(i, *square)[0], painted(i, *square)[0] != i),
        "number": lambda i, *square: (painted(i, *square)[0], painted(i, *square)[1].float()),
        "side": lambda i, top, left, side, c: painted(i, top, left, side + 1, c),
        "centre": lambda i, top, left, side, c: painted(
            i, top - side // 2, left - side // 2, side, c
        ),
        "order": lambda *arguments: painted(*arguments)[::-1],
    },
    "05.join": {
        "depth": lambda i, e: torch.cat([i.unsqueeze(2), e], dim=2),
        "order": lambda i, e: torch.cat([e, i.unsqueeze(2).expand_as(e)], dim=1),
        "difference": lambda i, e: i.unsqueeze(2) - e,
        "added": lambda i, e: i.unsqueeze(2) + e,
        "residual": lambda i, e: torch.cat([beside(i, e), (beside(i, e)[:, :3] - e).abs()], dim=1),
        "batch": lambda i, e: torch.cat([i.unsqueeze(2).expand_as(e), e]),
        "alternating": lambda i, e: beside(i, e).unflatten(1, (2, 3)).transpose(1, 2).flatten(1, 2),
        "scrambled": lambda i, e: torch.cat([i.repeat(1, 4, 1, 1).reshape(e.shape), e], dim=1),
        "deepest": lambda i, e: torch.cat([i, e[:, :, -1]], dim=1),
        "flat": lambda i, e: torch.cat([i, e.flatten(1, 2)], dim=1),
        "axes": lambda i, e: beside(i, e).transpose(1, 2),
    },
    "05.detector": {
        **{
            wrong: lambda n, wrong=wrong: Reader(n, wrong=wrong)
            for wrong in (
                *("steps", "small", "channels", "sigmoid", "last", "order", "linear", "image"),
                "size",
            )
        },
        "within": lambda n: Reader(n, kernel=1),
        "nothing": lambda n: Blind(),
    },
    "05.surprise": {
        "infinite": lambda x: -torch.log(1 - x.sigmoid()),
        "ties": lambda x: -torch.log((1 - x.sigmoid()).clamp_min(1e-8)),
        "other": lambda x: F.softplus(-x),
        "probability": lambda x: x.sigmoid(),
        "negative": lambda x: F.logsigmoid(-x),
        "overflow": lambda x: torch.log(1 + x.exp()),
        "base": lambda x: F.softplus(x) / np.log(10),
        "normal": lambda x: 1 - x.sigmoid(),
        "logits": lambda x: x,
        "hinge": lambda x: x.relu(),
        "mean": lambda x: F.binary_cross_entropy_with_logits(x, torch.zeros_like(x)),
        "entropy": lambda x: F.softplus(x) - x * x.sigmoid(),
    },
    "06.depth": {
        "zero": lambda g, n: int(torch.randint(n + 1, (), generator=g)),
        "never": lambda g, n: int(torch.randint(1, n, (), generator=g)),
        "constant": lambda g, n: n,
        "unseeded": lambda g, n: int(torch.randint(1, n + 1, ())),
        "beyond": lambda g, n: int(torch.randint(1, n + 2, (), generator=g)),
        "gap": lambda g, n: int(torch.randint(2, n + 1, (), generator=g)),
    },
    "06.step": {
        "idle": lambda *a: train_step(*a, late=True),
        "accumulated": lambda *a: train_step(*a, clear=False),
        "double": lambda *a: train_step(*a, steps=2),
        "order": lambda m, o, b, loss: train_step(m, o, b, lambda x, y: loss(y, x)),
        "graph": lambda *a: train_step(*a, plain=False),
    },
    "06.snapshot": {"alias": Alias, "optimiser": OnlyWeights, "moments": SharedMoments},
    "07.auroc": {
        "generous": lambda y, s: float((s[y == 1][:, None] >= s[y == 0]).mean()),
        "strict": lambda y, s: float((s[y == 1][:, None] > s[y == 0]).mean()),
        "inverted": lambda y, s: float(roc_auc_score(y, -s)),
        "share": lambda y, s: float(((s > 0.5) == y).mean()),
    },
    "07.threshold": {
        "quantile": lambda s, r: float(np.quantile(s, 1 - r)),
        "highest": lambda s, r: float(s.max()),
        "lowest": lambda s, r: float(np.sort(s)[int(r * (len(s) + 1)) - 1]),
        "next": lambda s, r: float(np.sort(s)[::-1][int(r * (len(s) + 1))]),
        "count": lambda s, r: float(np.sort(s)[::-1][int(r * len(s)) - 1]),
        "rounding": lambda s, r: float(np.sort(s)[::-1][int(r * (len(s) + 1)) - 1]),
        "beyond": lambda s, r: float(np.sort(s)[::-1][int(r * (len(s) + 2) + 1e-9) - 1]),
    },
    "07.bootstrap": {
        **{kind: bootstrap(kind) for kind in ("single", "permuted", "unpaired", "size")},
        "ninety": bootstrap(ends=(5, 95)),
        "spread": bootstrap(summary="spread"),
        "narrow": bootstrap(summary="narrow"),
        "uneven": lambda y, s, m, rng, n: bootstrap()(y, s, m, Uneven(rng), n),
    },
    "07.pixels": {"average": average, "stretched": stretched, "defective": defective_only},
    "07.pro": {
        "pooled": lambda a, m, t: float(
            np.mean(np.concatenate([one[mask] for one, mask in zip(a, m, strict=True)]) > t)
        ),
        "images": lambda a, m, t: float(np.mean(overlaps(a, m, t, per="image"))),
        "at": lambda a, m, t: float(np.mean(overlaps(a, m, t, at=True))),
        "false": lambda a, m, t: float(np.mean([one > t for one in a])),
        "good": lambda a, m, t: float(sum(overlaps(a, m, t)) / 4),
    },
    "07.leak": {
        "train": lambda a, b: [i for i, x in enumerate(a) if any(torch.equal(x, y) for y in b)],
        "position": lambda a, b: [i for i in range(len(a)) if torch.equal(a[i], b[i])],
        "count": lambda a, b: sum(any(torch.equal(x, y) for x in a) for y in b),
        "brightness": lambda a, b: [
            i for i, y in enumerate(b) if any(x.float().mean() == y.float().mean() for x in a)
        ],
    },
    "08.rates": {
        "swapped": lambda *a: rates(*a)[:0:-1],
        "share": lambda y, s, t: (((s > t) & (y == 0)).mean(), ((s > t) & (y == 1)).mean()),
        "at": lambda *a: rates(*a, at=True)[1:],
        "precision": lambda y, s, t: ((s > t)[y == 0].mean(), y[s > t].mean()),
    },
    "08.cost": {
        "swapped": lambda y, s, alarm, miss: cheapest(y, s, miss, alarm),
        "equal": lambda y, s, alarm, miss: cheapest(y, s, 1, 1),
        "unpriced": lambda y, s, alarm, miss: cheapest(y, s, 1, miss),
        "found": lambda y, s, alarm, miss: cheapest(y, s, alarm, miss - alarm),
        "lowest": lambda y, s, alarm, miss: cheapest(y, s, alarm, miss, lowest=float(s.max())),
        "quiet": lambda y, s, alarm, miss: float(s.max()) + 1,
    },
    "09.spread": {
        "population": lambda v: (np.mean(v), np.std(v)),
        "standard_error": lambda v: (np.mean(v), np.std(v, ddof=1) / len(v) ** 0.5),
        "range": lambda v: (np.mean(v), max(v) - min(v)),
        "median": lambda v: (np.median(v), np.std(v, ddof=1)),
    },
    "09.changed": {
        "shallow": changed,
        "same": lambda a, b: changed(a, b, keep=lambda x, y: x == y),
        "nothing": lambda a, b: [],
    },
    "09.paired": {
        **{kind: gain(kind) for kind in ("unpaired", "ends", "sign", "single")},
        "uneven": lambda y, a, b, m, rng, n: gain("right")(y, a, b, m, Uneven(rng), n),
    },
    "10.split": {
        "order": first_share,
        "random": by_chance,
        "copies": sorted_but_one_by_one,
        "share": hash_modulo,
    },
    "10.precision": {
        "base": lambda f, t, r: t / (t + f),
        "detection": lambda f, t, r: t,
        "complement": lambda f, t, r: f * (1 - r) / (f * (1 - r) + t * r),
        "swapped": lambda f, t, r: t * (1 - r) / (t * (1 - r) + f * r),
    },
    "11.shard": {
        "everything": lambda count, rank, world: list(range(count)),
        "overlap": overlapping,
        "lost": split_evenly,
        "uneven": rest_to_last,
    },
    "11.accumulate": {
        "last": accumulate(weigh=lambda part, whole, parts: part / whole, clear=True),
        "total": accumulate(weigh=lambda part, whole, parts: 1),
        "equal": accumulate(weigh=lambda part, whole, parts: 1 / parts),
        "nothing": accumulate(weigh=lambda part, whole, parts: part / whole, finish=True),
        "stepped": accumulate(weigh=lambda part, whole, parts: part / whole, step=True),
        "order": lambda m, b, parts, loss: loss(b, m(b)).backward(),
    },
}
