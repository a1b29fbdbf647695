# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The testbeds, one module each."""

from __future__ import annotations

from benchmarks.evidence.testbed import Testbed
from benchmarks.evidence.testbeds import biased_mnist, colored_mnist, corrupted_labels, echo_demo

TESTBEDS: dict[str, Testbed] = {
    module.TESTBED.name: module.TESTBED for module in (biased_mnist, colored_mnist, corrupted_labels, echo_demo)
}
