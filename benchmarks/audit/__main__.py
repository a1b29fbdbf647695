# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""How often the audit finds a shortcut, by what it costs, and how often it accuses networks that have none.

python -m benchmarks.audit biased_mnist
"""

import fire

from benchmarks.audit.command import main

if __name__ == "__main__":
    fire.Fire(main)
