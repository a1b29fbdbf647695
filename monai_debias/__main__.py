# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The command line: ``python -m monai_debias``."""

from __future__ import annotations

import sys
import traceback
import warnings
from pathlib import Path

from monai.utils import OptionalImportError, optional_import

from monai_debias.apps.ultrasound import build_tmed2_datalist, build_ultrasound_datalist
from monai_debias.apps.ultrasound.sector_files.command import sectors
from monai_debias.data import build_folder_datalist
from monai_debias.data.check_command import check
from monai_debias.demo import build_cxr_cohort, build_ecg_cohort, build_echo_cohort
from monai_debias.overlays import overlays


def main() -> None:
    """Run the command that the arguments name; each command is a function with the same arguments.

    An error that the user can correct is printed as one sentence, with exit code 2; a bug shows its traceback.
    """
    fire, has_fire = optional_import("fire")
    if not has_fire:
        raise SystemExit("the command line needs the package fire: pip install 'monai-debias[demo]'.")
    commands = {
        "check": check,
        "demo-data": {"cxr": build_cxr_cohort, "ecg": build_ecg_cohort, "echo": build_echo_cohort},
        "datalist": {
            "folder": build_folder_datalist,
            "ultrasound": build_ultrasound_datalist,
            "tmed2": build_tmed2_datalist,
        },
        "overlays": overlays,
        "sectors": sectors,
    }
    try:
        fire.Fire(commands, name="monai_debias")
    except Exception as error:
        if not _is_for_the_user(error):
            raise
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from error


def _is_for_the_user(error: Exception) -> bool:
    """Whether an error is about a file, a missing package, or wrong input that this package itself refuses.

    A ValueError or TypeError that Python or a library raised inside this package was not foreseen: that is a bug.
    """
    if isinstance(error, OSError | OptionalImportError):
        return True
    raised = traceback.extract_tb(error.__traceback__)[-1]
    ours = Path(raised.filename).is_relative_to(Path(__file__).parent)
    return isinstance(error, ValueError | TypeError) and ours and (raised.line or "").startswith("raise ")


def _warning_line(message: Warning | str, *_: object, **__: object) -> str:
    """A warning without the line of code that raised it, which does not help the user of a command."""
    return f"warning: {message}\n"


if __name__ == "__main__":
    warnings.formatwarning = _warning_line
    main()
