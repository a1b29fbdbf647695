# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Computations recorded as CUDA graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch

__all__ = ["GraphRecorder"]

Result = TypeVar("Result")


class GraphRecorder:
    """Records computations as CUDA graphs, which share their memory.

    Args:
        device: where they are computed.
    """

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device)
        self.pool: Any = None

    @contextmanager
    def aside(self) -> Iterator[None]:
        """On the stream of the recordings, in order with what was and will be computed outside.

        What accumulates gradients belongs to the stream that used a parameter first: a recording could not wait for
        another one.
        """
        outside = torch.cuda.current_stream(self.stream.device)
        self.stream.wait_stream(outside)
        with torch.cuda.stream(self.stream):
            yield
        outside.wait_stream(self.stream)

    def record(self, compute: Callable[[], Result]) -> Callable[[], Result]:
        """Record a computation without doing it.

        Args:
            compute: reads and writes tensors that stay where they are, and does not look at values.

        Returns:
            A function that does it, and returns what ``compute`` returned: tensors which the next call overwrites.

        Raises:
            Exception: when something in it cannot be recorded.
        """
        graph = torch.cuda.CUDAGraph()
        # other threads, which load data, may call what a recording must not
        with torch.cuda.graph(graph, pool=self.pool, stream=self.stream, capture_error_mode="thread_local"):
            result = compute()
        self.pool = graph.pool()

        def replay() -> Result:
            graph.replay()
            return result

        return replay
