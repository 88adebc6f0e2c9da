"""A device that is none: it computes on the CPU, is not called so, and counts what leaves it.

Code takes the paths of a GPU on it, on a machine without one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

DEVICE = "meta"
# Operations the result of which, or its size, the host must know before it goes on.
_WAITING = (
    "_local_scalar_dense",  # item, tolist, float, int and bool of a tensor
    "nonzero",
    "masked_select",
    "equal",
    "is_nonzero",
    "_unique2",
    "unique_dim",
    "unique_consecutive",
    "repeat_interleave",
)
_INDEXING = ("index", "index_put", "index_put_", "_index_put_impl_")


class _Distant(Tensor):
    """A tensor on the device, whose values are those of a tensor here."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor) -> _Distant:
        made = Tensor._make_wrapper_subclass(
            cls,
            here.shape,
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            device=DEVICE,
        )
        made.here = here
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, function: Any, *_: Any) -> Any:
        raise AssertionError(f"{function} is computed outside of the mode")


class _Made(TorchFunctionMode):
    """Makes tensors of Python's numbers here first: torch does not dispatch how it makes them."""

    def __torch_function__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if function is Tensor.new_tensor and isinstance(args[0], _Distant):
            kwargs = {"dtype": args[0].dtype, "device": DEVICE} | kwargs
            function, args = torch.tensor, args[1:]
        if function in (torch.tensor, torch.as_tensor) and str(kwargs.get("device")) == DEVICE:
            return function(*args, **{**kwargs, "device": "cpu"}).to(DEVICE)
        if function is Tensor.tolist and isinstance(args[0], _Distant):
            return args[0].cpu().tolist()
        if function is Tensor.__getitem__ and isinstance(args[0], _Distant):
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            lists = (torch.tensor(i).to(DEVICE) if isinstance(i, list) else i for i in index)
            args = args[0], tuple(lists)
        return function(*args, **kwargs)


class CountedDevice(TorchDispatchMode):
    """Within it, the device exists.

    Attributes:
        waits: operations that wait for the device, in order: copies to the host and others.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        distant = any(isinstance(each, _Distant) for each in tree_leaves((args, kwargs)))
        target = kwargs.get("device")
        if target is not None:
            target, kwargs["device"] = torch.device(target).type, torch.device("cpu")
        result = function(*tree_map(_here, args), **tree_map(_here, kwargs))
        if distant:
            self._count(function.overloadpacket.__name__, args, target)
        if target == "cpu" or not (distant or target == DEVICE):
            return result
        return tree_map(_away, result)

    def _count(self, name: str, args: Sequence[Any], target: str | None) -> None:
        if target == "cpu":
            self.waits.append("copy")
        elif name in _WAITING:
            self.waits.append(name)
        elif name in _INDEXING and any(
            isinstance(each, Tensor) and _here(each).dtype == torch.bool for each in args[1]
        ):
            self.waits.append("mask")


def _here(value: Any) -> Any:
    return value.here if isinstance(value, _Distant) else value


def _away(value: Any) -> Any:
    return _Distant(value) if isinstance(value, Tensor) and type(value) is Tensor else value


def map_tensors(outputs: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Change the tensors of outputs."""
    if isinstance(outputs, Tensor):
        return change(outputs)
    if isinstance(outputs, tuple):
        return tuple(map_tensors(each, change) for each in outputs)
    if is_dataclass(outputs) and not isinstance(outputs, type):
        values = {each.name: getattr(outputs, each.name) for each in fields(outputs)}
        changed = {name: map_tensors(value, change) for name, value in values.items()}
        return replace(outputs, **changed)
    return outputs


def waits_of(decode: Callable[[Any], Any], outputs: Any) -> tuple[list[str], Any]:
    """Decode outputs on the device; return what waited for it, and the result."""
    with _Made(), CountedDevice() as device, torch.no_grad():
        moved = map_tensors(outputs, lambda each: each.to(DEVICE))
        device.waits.clear()
        result = decode(moved)
    return device.waits, result
