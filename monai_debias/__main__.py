# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The command line: ``python -m monai_debias``."""

from __future__ import annotations

from monai.utils import optional_import

from monai_debias.data import build_folder_datalist, build_tmed2_datalist
from monai_debias.data.check_command import check
from monai_debias.demo import build_echo_cohort
from monai_debias.sectors.command import sectors


def main() -> None:
    """Run the command that the arguments name; each is the function of the same arguments."""
    fire, has_fire = optional_import("fire")
    if not has_fire:
        raise SystemExit("the command line needs the package fire: pip install 'monai-debias[demo]'")
    fire.Fire(
        {
            "check": check,
            "demo-data": {"echo": build_echo_cohort},
            "datalist": {"folder": build_folder_datalist, "tmed2": build_tmed2_datalist},
            "sectors": sectors,
        },
        name="monai_debias",
    )


if __name__ == "__main__":
    main()
