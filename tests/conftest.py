# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What tests of several parts share."""

from __future__ import annotations

from pathlib import Path

import pytest
import two_processes


@pytest.fixture(scope="session")
def of_two_processes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what each of two processes of a distributed training has written."""
    folder = tmp_path_factory.mktemp("two_processes")
    two_processes.start(folder)
    return folder
