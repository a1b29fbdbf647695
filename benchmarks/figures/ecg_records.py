# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Draw docs/images/ecg_records.png: a record of the demo cohort for each label, and a real one, on ECG paper.

Run from the root of the repository, with the extra ``dev`` installed: ``python -m benchmarks.figures.ecg_records``.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pydicom
from matplotlib.axes import Axes
from matplotlib.ticker import MultipleLocator
from pydicom.data import get_testdata_file
from scipy import signal

from monai_debias.demo.ecg.findings import LABELS, Findings
from monai_debias.demo.ecg.leads import LEADS
from monai_debias.demo.ecg.one_record import simulate
from monai_debias.demo.ecg.patients import draw_patient

ROOT = Path(__file__).parents[2]

REAL = "waveform_ecg.dcm"
SHOWN = (
    Findings(),
    Findings(rhythm="atrial fibrillation"),
    Findings(conduction="left bundle branch block"),
    Findings(conduction="right bundle branch block"),
    Findings(st="anterior ST elevation"),
    Findings(st="inferior ST elevation"),
    Findings(st="ST depression"),
    Findings(premature=True),
    Findings(first_degree=True),
    Findings(rhythm="bradycardia"),
    Findings(rhythm="tachycardia"),
)
RATE, WIDTH = 500, 2.5  # samples and seconds of a lead
ROW = 2.5  # mV between the rows of a sheet


def real_record() -> np.ndarray:
    """The record in the package pydicom, in mV at 500 Hz, (12, 5000), without its drift."""
    dataset = pydicom.dcmread(get_testdata_file(REAL))
    leads = dataset.waveform_array(0).T[:, ::2] / 1000
    return signal.sosfiltfilt(signal.butter(2, [0.3, 100], "bandpass", fs=RATE, output="sos"), leads, axis=1)


def draw(axis: Axes, leads: np.ndarray, title: str) -> None:
    """Draw three rows of four leads for 2.5 s each, and ten seconds of lead II, at 25 mm/s and 10 mm/mV."""
    samples = round(WIDTH * RATE)
    leads = leads[:, : 4 * samples] - np.median(leads, axis=1, keepdims=True)
    for lead, (name, values) in enumerate(zip(LEADS, leads, strict=True)):
        column, row = divmod(lead, 3)
        part = slice(column * samples, (column + 1) * samples)
        axis.plot(np.arange(part.start, part.stop) / RATE, values[part] - row * ROW, color="black", linewidth=0.6)
        axis.text(column * WIDTH + 0.05, 0.85 - row * ROW, name, fontsize=6)
    length = leads.shape[1]
    axis.plot(np.arange(length) / RATE, leads[1] - 3 * ROW, color="black", linewidth=0.6)
    axis.text(0.05, 0.85 - 3 * ROW, "II", fontsize=6)
    axis.set(xlim=(0, 10), ylim=(-3 * ROW - 1.1, 1.7), title=title, aspect=0.4)  # 0.2 s are as long as 0.5 mV
    for which, seconds, millivolts, color in (("major", 0.2, 0.5, "#f4b6b6"), ("minor", 0.04, 0.1, "#fbe4e4")):
        for scale, size in ((axis.xaxis, seconds), (axis.yaxis, millivolts)):
            (scale.set_major_locator if which == "major" else scale.set_minor_locator)(MultipleLocator(size))
        axis.grid(which=which, color=color, linewidth=0.5 if which == "major" else 0.3)
    axis.tick_params(which="both", length=0, labelbottom=False, labelleft=False)
    axis.set_axisbelow(True)


def main() -> None:
    """Draw the sheets, the real one first; each has another patient."""
    figure, axes = plt.subplots(4, 3, figsize=(21, 12.6), constrained_layout=True)
    draw(axes.flat[0], real_record(), f"a real record: {REAL} of pydicom")
    for number, (axis, findings) in enumerate(zip(axes.flat[1:], SHOWN, strict=True)):
        rng = np.random.default_rng([3, number])
        shown = [name for name, true in zip(LABELS, findings.labels, strict=True) if true]
        draw(axis, simulate(draw_patient(rng), findings, RATE, rng), ", ".join(shown))
    path = ROOT / "docs" / "images" / "ecg_records.png"
    figure.savefig(path, dpi=100)
    print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
