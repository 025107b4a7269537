"""The loss kernels on the GPU against the CPU's function."""

import pytest
import torch

from sampling_free.mechanism import sigmoid_cross_entropy_sum

COCO = [(100, 168), (50, 84), (25, 42), (13, 21), (7, 11)]  # 800 x 1333, strides 8 to 128


def maps_and_labels(sizes, anchors, classes, images=2, dtype=torch.float32, channels_last=False):
    maps = [torch.randn(images, anchors * classes, *size) * 3 - 4 for size in sizes]
    maps = [level.to(dtype) for level in maps]
    if channels_last:
        maps = [level.contiguous(memory_format=torch.channels_last) for level in maps]
    return maps, torch.randint(-1, classes + 1, (images, anchors * sum(h * w for h, w in sizes)))


def on_gpu(maps, labels, classes):
    ours = [level.cuda().requires_grad_() for level in maps]
    loss = sigmoid_cross_entropy_sum(ours, labels.cuda(), classes)
    loss.backward()
    return loss.detach(), [level.grad for level in ours]


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize(("anchors", "classes"), [(9, 80), (3, 1), (1, 1203), (2, 5)])
def test_values_and_gradients_are_the_cpu_s(anchors, classes, dtype, channels_last):
    sizes = COCO if classes == 80 else COCO[1:]
    maps, labels = maps_and_labels(sizes, anchors, classes, dtype=dtype, channels_last=channels_last)
    loss, gradients = on_gpu(maps, labels, classes)
    theirs = [level.float().requires_grad_() for level in maps]
    expected = sigmoid_cross_entropy_sum(theirs, labels, classes)
    expected.backward()
    torch.testing.assert_close(loss.cpu(), expected.detach(), rtol=1e-6, atol=0)
    tolerance = dict(rtol=1e-5, atol=1e-7) if dtype == torch.float32 else dict(rtol=1e-2, atol=1e-6)
    for mine, other, level in zip(gradients, theirs, maps, strict=True):
        assert mine.dtype == dtype and mine.stride() == level.stride()
        torch.testing.assert_close(mine.float().cpu(), other.grad, **tolerance)


def test_the_same_input_gives_the_same_bits():
    maps, labels = maps_and_labels(COCO, 9, 80)
    first, again = on_gpu(maps, labels, 80), on_gpu(maps, labels, 80)
    assert torch.equal(first[0], again[0])
    assert all(torch.equal(a, b) for a, b in zip(first[1], again[1], strict=True))


def test_the_kernels_can_be_turned_off(monkeypatch):
    maps, labels = maps_and_labels(COCO[2:], 3, 4)
    with_kernels = on_gpu(maps, labels, 4)
    monkeypatch.setenv("SAMPLING_FREE_KERNELS", "0")
    without = on_gpu(maps, labels, 4)
    torch.testing.assert_close(with_kernels[0], without[0], rtol=1e-6, atol=0)
    for mine, other in zip(with_kernels[1], without[1], strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-7)


def test_rows_of_a_region_of_interest_head():
    logits, labels = torch.randn(3000, 81), torch.randint(-1, 82, (3000,))
    expected = sigmoid_cross_entropy_sum(logits, labels, 81)
    torch.testing.assert_close(sigmoid_cross_entropy_sum(logits.cuda(), labels.cuda(), 81).cpu(), expected)


@pytest.mark.filterwarnings("default:.*torch.jit:DeprecationWarning")  # of torch's own compiler
def test_the_loss_compiles_into_one_graph():
    maps, labels = maps_and_labels(COCO[2:], 3, 4)
    maps, labels = [level.cuda() for level in maps], labels.cuda()

    def step(weight):
        return sigmoid_cross_entropy_sum([level * weight for level in maps], labels, 4)

    gradients = []
    for call in (step, torch.compile(step, fullgraph=True)):
        weight = torch.ones((), device="cuda", requires_grad=True)
        call(weight).backward()
        gradients.append(weight.grad)
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=0)


@pytest.mark.filterwarnings("default")  # torch warns that the debug mode is a prototype
def test_the_loss_waits_for_nothing():
    maps, labels = maps_and_labels(COCO, 9, 80)
    maps, labels = [level.cuda().requires_grad_() for level in maps], labels.cuda()
    sigmoid_cross_entropy_sum(maps, labels, 80).backward()  # compiles
    try:
        torch.cuda.set_sync_debug_mode("error")
        sigmoid_cross_entropy_sum(maps, labels, 80).backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_memory_beside_the_gradient_is_small():
    maps, labels = maps_and_labels(COCO, 9, 80)
    on_gpu(maps, labels, 80)
    maps, labels = [level.cuda().requires_grad_() for level in maps], labels.cuda()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    sigmoid_cross_entropy_sum(maps, labels, 80).backward()
    gradient = sum(level.numel() * level.element_size() for level in maps)
    assert torch.cuda.max_memory_allocated() - before < 1.05 * gradient
