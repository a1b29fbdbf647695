# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The time that parts of monai_debias take, compared with the least possible and with the training around them.

    python -m benchmarks.speed backmix
    python -m benchmarks.speed cohort
    python -m benchmarks.speed isnet
    python -m benchmarks.speed mixup
    python -m benchmarks.speed operations
    python -m benchmarks.speed spectral_decoupling --csv benchmarks/results/speed_spectral_decoupling.csv

The last lines are the tables that the guides quote, and a test compares these with the CSV files.

All variants of a table alternate within one run, so that the state of the machine is the same for all. Nothing else
should run at the same time.
"""

import fire

from benchmarks.speed.backmix import backmix_speed
from benchmarks.speed.cohort import cohort_cost
from benchmarks.speed.isnet import isnet_speed
from benchmarks.speed.mixup import mixup_speed
from benchmarks.speed.operations import operations_speed
from benchmarks.speed.spectral_decoupling import spectral_decoupling_speed

if __name__ == "__main__":
    fire.Fire(
        {
            "backmix": backmix_speed,
            "cohort": cohort_cost,
            "isnet": isnet_speed,
            "mixup": mixup_speed,
            "operations": operations_speed,
            "spectral_decoupling": spectral_decoupling_speed,
        }
    )
