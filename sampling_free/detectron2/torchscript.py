"""What TorchScript needs to compile a subclass: it knows no super(), and names a method as its function is named."""

from collections.abc import Callable
from types import FunctionType
from typing import Any


def under_name(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """A host's method as one of another name, so that a subclass with a method of that name can call it."""
    assert isinstance(method, FunctionType)
    copy = FunctionType(method.__code__, method.__globals__, name, method.__defaults__, method.__closure__)
    copy.__annotations__, copy.__kwdefaults__ = method.__annotations__, method.__kwdefaults__
    copy.__module__, copy.__doc__ = method.__module__, method.__doc__
    return copy
