# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What do the parts of monai_debias cost, beside the least that the same work can cost and beside what surrounds them?

    python benchmarks/speed.py backmix
    python benchmarks/speed.py isnet
    python benchmarks/speed.py mixup
    python benchmarks/speed.py spectral_decoupling

All variants of a table alternate within one run, so that the state of the machine is the same for all. Nothing else
should run beside it.
"""

import fire
from speed_backmix import backmix_speed
from speed_isnet import isnet_speed
from speed_mixup import mixup_speed
from speed_spectral_decoupling import spectral_decoupling_speed

if __name__ == "__main__":
    fire.Fire(
        {
            "backmix": backmix_speed,
            "isnet": isnet_speed,
            "mixup": mixup_speed,
            "spectral_decoupling": spectral_decoupling_speed,
        }
    )
