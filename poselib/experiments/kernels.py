"""A Jupyter kernel that runs in the calling interpreter's environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar, TextIO

from ipykernel.kernelspec import get_kernel_dict
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager

import poselib
from poselib.experiments.parameters import CALLER


class ThisInterpreter(AsyncKernelManager):
    """Starts kernels with the interpreter and the poselib of the calling process.

    A kernel found by name may be another Python: the first ``python3`` in the user's folders is
    taken. And a kernel that starts in a notebook's folder does not find a poselib that was
    imported through a relative path.

    A process executes one notebook at a time: what it is told of it are attributes of the class.

    Attributes:
        caller: the folder from which the notebook was started, which the kernel is told.
        copy: the executed copy.
        output: receives what the kernel's process itself writes, as when it crashes; the kernel
            holds it open until its end.
        process: id of the kernel's process, or 0.
    """

    caller = Path()
    copy = Path()
    output: ClassVar[TextIO | None] = None
    process = 0

    async def start_kernel(self, **kw: Any) -> None:  # type: ignore[override]
        """Start the kernel's process."""
        if self.output is not None:
            kw |= {"stdout": self.output, "stderr": self.output}
        await super().start_kernel(**kw)
        ThisInterpreter.process = getattr(self.provisioner, "pid", None) or 0

    @property
    def kernel_spec(self) -> KernelSpec:
        """The specification of the kernel, whatever kernels are installed."""
        source = str(Path(poselib.__file__).resolve().parents[1])
        inherited = os.environ.get("PYTHONPATH")
        path = os.pathsep.join([source, inherited] if inherited else [source])
        # What a cell raises comes as a message. What the kernel itself logs would only confuse: it
        # begins with a warning about local sockets, and ends with an error about an interrupt if
        # the client, which sends one before it asks for the end, was quicker than the last reply.
        command = get_kernel_dict(["--log-level=CRITICAL"])
        return KernelSpec(**command, env={"PYTHONPATH": path, CALLER: str(self.caller)})
