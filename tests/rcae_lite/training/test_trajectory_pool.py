"""The pool depends on the step alone, keeps images, sequences and masks together, and crops."""

import torch

from rcae_lite.training.trajectory_pool import CRDExamples, TrajectoryPool


def chunk(number: int) -> CRDExamples:
    """Fill item i of chunk c with 4 c + i; the z_scores is the mask itself: a corner of 8x8."""
    images = (torch.arange(4.0).view(4, 1, 1, 1) + 4 * number).expand(4, 3, 32, 32)
    masks = torch.zeros(4, 1, 32, 32)
    masks[:, :, :8, :8] = 1
    enhanced = images.unsqueeze(2).expand(4, 3, 5, 32, 32)
    z_scores = masks.expand(4, 6, 32, 32)  # to see that crops stay together
    return CRDExamples(*(field.half() for field in (images, enhanced, z_scores, masks)))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_chunks_alive_roll_on_and_are_made_once():
    made = []
    pool = TrajectoryPool(lambda c: (made.append(c), chunk(c))[1], chunks=3, every=10)
    for step in range(30):
        pool.at(step)
    assert made == [0, 1, 2, 3, 4]
    fresh = TrajectoryPool(chunk, chunks=3, every=10)  # as after a resume at step 25
    first, second = (p.batch(25, 6, 0, generator()) for p in (pool, fresh))
    assert torch.equal(first.images, second.images)
    assert set(first.images[:, 0, 0, 0].tolist()) <= set(range(8, 20))


def test_items_stay_together():
    batch = TrajectoryPool(chunk, chunks=2, every=5).batch(0, 16, 16, generator())
    assert batch.enhanced.shape == (16, 3, 5, 16, 16) and batch.masks.shape == (16, 1, 16, 16)
    assert torch.equal(batch.z_scores, batch.masks.expand(-1, 6, -1, -1))
    assert torch.equal(batch.enhanced[:, :, 2], batch.images)


def test_half_of_the_crops_look_at_the_anomaly():
    batch = TrajectoryPool(chunk, chunks=1, every=5).batch(0, 400, 16, generator())
    share = (batch.masks.flatten(1).amax(1) > 0).float().mean().item()
    anywhere = (15.5 / 32) ** 2  # the images are flat: a window around any pixel meets the corner
    assert abs(share - (0.5 + 0.5 * anywhere)) < 0.08


def test_the_other_crops_look_where_there_is_structure():
    def with_part(number: int) -> CRDExamples:
        images = torch.zeros(4, 3, 128, 128)
        images[..., 8:24, 100:116] = torch.rand(16, 16, generator=generator())  # 2% of the image
        normal = torch.zeros(4, 1, 128, 128)
        return CRDExamples(images, images.unsqueeze(2), normal[:, :0], normal)

    batch = TrajectoryPool(with_part, chunks=1, every=5).batch(0, 400, 32, generator())
    share = (batch.images.flatten(1).amax(1) > 0).float().mean().item()
    anywhere = (24 + 15.5) / 128 * (59 - 15.5) / 128  # of windows around any pixel meet the part
    assert share > 4 * anywhere


def test_whole_images_without_crop():
    batch = TrajectoryPool(chunk, chunks=1, every=5).batch(0, 2, 0, generator())
    assert batch.enhanced.shape == (2, 3, 5, 32, 32) and batch.enhanced.dtype == torch.float32


def test_a_batch_as_large_as_the_pool_holds_every_item_once():
    pool = TrajectoryPool(chunk, chunks=2, every=5)
    batch = pool.batch(0, sum(len(part.masks) for part in pool.at(0)), 0, generator())
    assert len({tuple(image.flatten().tolist()) for image in batch.images}) == len(batch.images)
