"""A host's method under a second name, for TorchScript, which compiles no call of `super()`."""

from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


def inherited(method: F) -> F:
    """A method of a host's class under the name `host_forward`, for the body of a class that overrides it.

    TorchScript files a method under the function's own name, so `host_forward` and the `forward` that overrides it
    must be functions of two names.

    Args:
        method: a function of the host's class.
    """
    assert isinstance(method, FunctionType)
    name = f"host_{method.__name__}"
    second = FunctionType(method.__code__, method.__globals__, name, method.__defaults__, method.__closure__)
    second.__annotations__ = dict(method.__annotations__)
    return cast(F, second)
