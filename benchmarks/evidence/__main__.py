# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Does each method do what its paper says? Trains, evaluates, and keeps one line for each run.

    python -m benchmarks.evidence biased_mnist --seeds 5
    python -m benchmarks.evidence biased_mnist --methods plain,isnet --seeds 3 --strengths 0.9,0.98
    python -m benchmarks.evidence biased_mnist --seeds 5 --workers 16 --again
    python -m benchmarks.evidence colored_mnist --seeds 5
    python -m benchmarks.evidence corrupted_labels --seeds 5
    python -m benchmarks.evidence echo_demo --seeds 3
    python -m benchmarks.evidence ecg_noise --seeds 5
    python -m benchmarks.evidence ecg_device --seeds 3
    python -m benchmarks.evidence chest_xray --seeds 3
    python -m benchmarks.evidence colour_corner_resnet --seeds 5
    python -m benchmarks.evidence biased_mnist --quick

A run whose line is in the CSV already is not run again: an interrupted command resumes when repeated. Two runs at a
time share the cores, one thread each; seconds are processor time, of the training and of the whole run. The Markdown
page and the figures are made from the CSV. Without a git repository, the environment variable COMMIT names the commit
of the files.
"""

from __future__ import annotations

import fire

from benchmarks.evidence.command import main

if __name__ == "__main__":
    fire.Fire(main)
