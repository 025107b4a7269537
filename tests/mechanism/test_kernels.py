"""The CUDA kernels without a GPU: in Triton's interpreter against the CPU's function, and compiled for GPUs offline."""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from sampling_free.mechanism import fused, sigmoid_cross_entropy_sum
from sampling_free.mechanism.classification import sigmoid_cross_entropy_sums

pytest.importorskip("triton", reason="torch for this platform brings no Triton")

INTERPRETED = """
import sys, warnings
import torch
warnings.simplefilter("error")  # that the kernels fail and torch's operators serve is a warning
from hypothesis import given, settings, strategies as st
from sampling_free.mechanism import fused, sigmoid_cross_entropy_sum

def check(sizes, anchors, classes, images=1, dtype=torch.float32, channels_last=False, seed=0):
    random = torch.Generator().manual_seed(seed)
    maps = [torch.randn(images, anchors * classes, *size, generator=random) * 4 - 3 for size in sizes]
    maps = [level.to(dtype) for level in maps]
    if channels_last:
        maps = [level.contiguous(memory_format=torch.channels_last) for level in maps]
    examples = anchors * sum(height * width for height, width in sizes)
    labels = torch.randint(-1, classes + 1, (images, examples), generator=random)
    ours = [level.clone().requires_grad_() for level in maps]
    theirs = [level.float().requires_grad_() for level in maps]
    sums = fused.image_sums(ours, labels, classes)
    expected = sigmoid_cross_entropy_sum(theirs, labels, classes)
    assert sums.shape == (images,) and sums.dtype == torch.float32
    torch.testing.assert_close(sums.sum(), expected, rtol=1e-6, atol=1e-6)
    for image in range(images):
        one = slice(image, image + 1)
        alone = sigmoid_cross_entropy_sum([level[one].float() for level in maps], labels[one], classes)
        torch.testing.assert_close(sums[image], alone, rtol=1e-6, atol=1e-6)
    (0.37 * sums.sum()).backward()
    (0.37 * expected).backward()
    tolerance = dict(rtol=1e-6, atol=1e-7) if dtype == torch.float32 else dict(rtol=1e-2, atol=1e-7)
    for mine, other in zip(ours, theirs):
        assert mine.grad.stride() == mine.stride()
        torch.testing.assert_close(mine.grad.float(), other.grad, **tolerance)

COCO = [(100, 168), (50, 84), (25, 42), (13, 21), (7, 11)]  # 800 x 1333, strides 8 to 128
if sys.argv[1] == "coco":
    check(COCO, anchors=3, classes=1, images=2)
    check(COCO, anchors=1, classes=4, channels_last=True)
    check(COCO[2:], anchors=2, classes=80, images=2)
    check(COCO[2:], anchors=2, classes=80, images=2, channels_last=True)
    check(COCO[4:], anchors=1, classes=1203)
    check([(3, 4), (0, 5)], anchors=2, classes=3)
    for dtype in (torch.float16, torch.bfloat16):
        check(COCO[4:], anchors=3, classes=20, dtype=dtype)
        check(COCO[4:], anchors=3, classes=20, dtype=dtype, channels_last=True)
    turned = torch.randn(2, 3, 5, 4).transpose(2, 3).requires_grad_()  # dense in neither of the two ways
    labels = torch.randint(-1, 4, (2, 20))
    grads = [torch.autograd.grad(loss([turned], labels, 3).sum(), turned)[0] for loss in
             (fused.image_sums, sigmoid_cross_entropy_sum)]
    torch.testing.assert_close(*grads)
    rare = torch.full((1, 1, 64, 64), -30.0)  # log(1 + e) of 9e-14, which 1 + e alone rounds to 0
    found = fused.cross_entropy_sums([rare], torch.ones(1, 4096, dtype=torch.int64), 1).item()
    assert abs(found / (4096 * 9.357622968839299e-14) - 1) < 1e-5, found
elif sys.argv[1] == "compiled":  # one graph, forward and backward: the registered operators say their shapes
    def step(x, weight, labels):
        return fused.image_sums([x * weight], labels, 3).sum()

    x, labels = torch.randn(2, 6, 4, 5), torch.randint(-1, 4, (2, 40))
    gradients = []
    for call in (step, torch.compile(step, backend="aot_eager", fullgraph=True)):
        weight = torch.ones((), requires_grad=True)
        call(x, weight, labels).backward()
        gradients.append(weight.grad)
    torch.testing.assert_close(*gradients)
else:
    sizes = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=3)

    @settings(max_examples=12, deadline=None, database=None)
    @given(sizes, st.integers(1, 4), st.integers(1, 37), st.integers(1, 3), st.booleans(), st.integers(0, 99))
    def odd_shapes(sizes, anchors, classes, images, channels_last, seed):
        check(sizes, anchors, classes, images, channels_last=channels_last, seed=seed)

    odd_shapes()
"""


@pytest.mark.parametrize("shapes", ["coco", "odd", "compiled"])
def test_in_the_interpreter_the_kernels_are_the_cpu_s_function(shapes, tmp_path):
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    program = [sys.executable, "-c", INTERPRETED, shapes]
    done = subprocess.run(program, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


SIZES = {  # launch constants as `kernels._launch` chooses them
    "planes": {"ANCHORS": 9, "CLASSES": 80, "BLOCK": 512, "STEPS": 2, "UNROLL": 8},
    "small planes": {"ANCHORS": 3, "CLASSES": 1, "BLOCK": 128, "STEPS": 1, "UNROLL": 1},
    "rows": {"CLASSES": 80, "BLOCK": 512, "UNROLL": 8},
}
POINTERS = {"labels": "*i64", "partials": "*fp64", "grad": "*fp32"}


def compiled(name: str, capability: int, dtype: str, sizes: dict[str, int]):
    """A kernel of ours, compiled for a GPU that need not be there, for pointers and sizes that 16 divides."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from sampling_free.mechanism import kernels

    kernel = getattr(kernels, name)
    pointers = POINTERS | {"logits": f"*{dtype}", "result": f"*{dtype}"}
    signature = {arg: pointers.get(arg, "constexpr" if arg in sizes else "i32") for arg in kernel.arg_names}
    aligned = {(i,): [["tt.divisibility", 16]] for i, arg in enumerate(kernel.arg_names) if arg not in sizes}
    return triton.compile(ASTSource(kernel, signature, sizes, aligned), target=GPUTarget("cuda", capability, 32))


@pytest.mark.parametrize("capability", [75, 80, 90, 100])
@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16"])
def test_for_a_gpu_each_logit_is_loaded_once_and_no_register_spills(capability, sizes, dtype, tmp_path):
    layout = sizes.split()[-1]
    reads = SIZES[sizes]["UNROLL"]
    labels = 1 if layout == "planes" else reads
    for kernel, others in (("_sums_of_", labels), ("_gradient_of_", labels + 1)):
        asm = compiled(kernel + layout, capability, dtype, SIZES[sizes]).asm
        tiles = 1 if kernel + layout == "_gradient_of_planes" else reads  # one of several rows
        assert asm["ttgir"].count("tt.load") == tiles + others
        assert asm["ttgir"].count("tt.store") == (1 if kernel == "_sums_of_" else tiles)
        assert "atom" not in asm["ptx"] and "red.global" not in asm["ptx"]
        assert "0 bytes spill stores, 0 bytes spill loads" in assembled(asm["ptx"], tmp_path)


def assembled(ptx: str, folder: Path) -> str:
    """What the assembler says of registers."""
    import triton

    (folder / "kernel.ptx").write_text(ptx)
    target = re.search(r"\.target (sm_\w+)", ptx).group(1)
    tools = Path(triton.__file__).parent / "backends/nvidia/bin"
    assembler = tools / "ptxas-blackwell" if target >= "sm_100" and len(target) > 5 else tools / "ptxas"
    if not assembler.is_file():
        assembler = tools / "ptxas"
    command = [assembler, "-v", "--gpu-name", target, folder / "kernel.ptx", "-o", folder / "kernel.cubin"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr


def test_where_the_kernels_fail_a_warning_says_so_once_and_torch_s_operators_serve(monkeypatch):
    """Outside the interpreter Triton cannot run on a CPU, which is as good a failure as any."""
    monkeypatch.setattr(fused, "broken", [])
    for channels_last in (False, True):
        memory_format = torch.channels_last if channels_last else torch.contiguous_format
        maps = [torch.randn(2, 6, *size).contiguous(memory_format=memory_format) for size in [(4, 5), (0, 3), (1, 1)]]
        maps = [level.requires_grad_() for level in maps]
        labels = torch.randint(-1, 4, (2, 42))
        expectation = (
            contextlib.nullcontext() if fused.broken else pytest.warns(UserWarning, match="without its Triton")
        )
        with expectation:
            sums = fused.image_sums(maps, labels, 3)
        expected = sigmoid_cross_entropy_sums(maps, labels, 3)
        torch.testing.assert_close(sums, expected)
        weights = torch.tensor([0.5, 2.0])
        ours, theirs = (torch.autograd.grad((loss * weights).sum(), maps) for loss in (sums, expected))
        for mine, other, level in zip(ours, theirs, maps, strict=True):
            torch.testing.assert_close(mine, other)
            assert mine.stride() == level.stride()


def test_cuda_s_loss_stays_on_cuda_and_refuses_labels_from_elsewhere():
    """With tensors that only claim to be on a GPU."""
    with FakeTensorMode():
        maps = [torch.empty(2, 12, *size, device="cuda", dtype=torch.float16) for size in [(5, 7), (3, 4)]]
        labels = torch.zeros(2, 3 * 47, device="cuda", dtype=torch.int64)
        sums = fused.cross_entropy_sums(maps, labels, 4)
        assert sums.device.type == "cuda" and sums.dtype == torch.float32 and sums.shape == (2,)
        gradients = fused.cross_entropy_gradients(torch.ones(2, device="cuda"), maps, labels, 4)
        assert [(g.device, g.dtype, g.shape) for g in gradients] == [(m.device, m.dtype, m.shape) for m in maps]
        with pytest.raises(ValueError, match="labels are on cpu, logits on cuda:0"):
            sigmoid_cross_entropy_sum(maps, labels.cpu(), 4)


def test_without_cuda_the_kernels_are_not_even_imported():
    code = """
import sys, torch
from sampling_free.mechanism import sigmoid_cross_entropy_sum
sigmoid_cross_entropy_sum(torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64), 3)
print("triton" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_rows_are_the_places_of_one_image():
    logits, labels = torch.randn(50, 7), torch.randint(-1, 8, (50,))
    rows = sigmoid_cross_entropy_sum(logits, labels, 7)
    as_map = sigmoid_cross_entropy_sum([logits.T.reshape(1, 7, 50, 1)], labels[None], 7)
    torch.testing.assert_close(rows, as_map)
