# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The testbeds, one module each."""

from __future__ import annotations

from benchmarks.evidence.testbed import Testbed
from benchmarks.evidence.testbeds import (
    biased_mnist,
    chest_xray,
    colored_mnist,
    colour_corner,
    corrupted_labels,
    ecg_device,
    ecg_flow_mixup,
    ecg_noise,
    echo_demo,
)

_MODULES = (biased_mnist, colored_mnist, corrupted_labels, echo_demo, ecg_device, ecg_flow_mixup)
TESTBEDS: dict[str, Testbed] = {
    testbed.name: testbed
    for testbed in (
        *(module.TESTBED for module in _MODULES),
        *chest_xray.TESTBEDS,
        *colour_corner.TESTBEDS,
        *ecg_noise.TESTBEDS,
    )
}
