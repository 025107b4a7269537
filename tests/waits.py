"""How often would a GPU make the processor wait? Counted on a CPU, from the operators that PyTorch dispatches."""

import traceback
from collections import Counter
from pathlib import Path

import torch
import torchvision  # noqa: F401 - registers torchvision::nms
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

ROOT = Path(__file__).parents[1]
aten = torch.ops.aten

# operators whose result's shape, or Python's own number, is known on the device alone
READS = {
    aten._local_scalar_dense,
    aten.nonzero,
    aten.masked_select,
    aten._unique,
    aten._unique2,
    aten.unique_dim,
    aten.unique_consecutive,
    aten.bincount,
    aten.repeat_interleave,
    torch.ops.torchvision.nms,
}
PUTS = {aten.index_put, aten.index_put_, aten._index_put_impl_}


class Waits(TorchDispatchMode):
    """Counts operators that read from the device, by the line of Python that asked for them.

    `Tensor.tolist` is one read, however long; a mask among indices is one, for its length has to be known.
    """

    def __init__(self):
        super().__init__()
        self.lines = Counter()
        self._lists = _Lists(self)

    @property
    def count(self):
        return sum(self.lines.values())

    def __enter__(self):
        self._lists.__enter__()
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        self._lists.__exit__(*error)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        packet = func.overloadpacket
        if packet in READS and not (packet is aten.repeat_interleave and (kwargs or {}).get("output_size") is not None):
            self.note(packet)
        elif packet is aten.index or (
            packet in PUTS and args[2].numel() != 1
        ):  # a single value fills, it needs no count
            masks = [index for index in args[1] if index is not None and index.dtype in (torch.bool, torch.uint8)]
            for _ in masks:
                self.note(packet)
        return func(*args, **(kwargs or {}))

    def note(self, what):
        frames = [frame for frame in traceback.extract_stack() if "/torch/" not in frame.filename]
        frame = [frame for frame in frames if not frame.filename.endswith("tests/waits.py")][-1]
        file = frame.filename.removeprefix(f"{ROOT}/").split("site-packages/")[-1]
        self.lines[f"{what} at {file}:{frame.lineno}"] += 1


class _Lists(TorchFunctionMode):
    def __init__(self, waits):
        super().__init__()
        self.waits = waits

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.Tensor.tolist:
            self.waits.note("tolist")
        return func(*args, **(kwargs or {}))
