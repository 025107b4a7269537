"""What a training step leaves behind in a model."""

import copy
import gc
import io
import pickle
import weakref

import torch


class Left:
    """Weak references to what parts of a model give while it trains.

    Args:
        parts: modules; every tensor in their outputs is watched.
    """

    def __init__(self, *parts):
        self.references = []
        self.handles = [part.register_forward_hook(self._watch) for part in parts]

    def _watch(self, module, inputs, output):
        self.references.extend(weakref.ref(tensor) for tensor in tensors(output))

    def alive(self):
        """How many of them are still there, and how many there were; ends the watch."""
        for handle in self.handles:
            handle.remove()
        gc.collect()
        return sum(reference() is not None for reference in self.references), len(self.references)


def tensors(value):
    """All tensors in nested lists, tuples and dicts, and in detectron2's structures."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors(item)
    elif hasattr(value, "values"):
        yield from tensors(list(value.values()))
    elif hasattr(value, "get_fields"):
        yield from tensors(value.get_fields())
    elif hasattr(value, "tensor"):
        yield value.tensor


def copies(model):
    """The model deep-copied, pickled, and saved whole."""
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return [copy.deepcopy(model), pickle.loads(pickle.dumps(model)), torch.load(file, weights_only=False)]


def assert_same_state(model, others):
    state = model.state_dict()
    for other in others:
        assert list(other.state_dict()) == list(state)
        assert all(torch.equal(value, state[name]) for name, value in other.state_dict().items())
