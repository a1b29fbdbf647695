# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""The testbeds of evidence.py, one module each, with the same names.

========================  ====================================================================================
``METHODS``, ``MAIN``     all methods by name, with ``title`` and ``settings``; the names of the main ones
``SPLITS``, ``MEASURE``   what is measured on test data, column: title, the shifted split last; its unit
``GROUPS``                what follows from the splits: the worst group and the gap, column: title
``AXES``                  what else is measured, column: title
``STRENGTHS``             of the bias or noise, unless the user names others
``STRENGTH``              what a strength is
``Budget``, ``QUICK``     what every run has, whatever its method; that of a smoke test
``run``                   trains and judges a method once; returns a line of the results
``remarks``               what stands below the table, from all lines
========================  ====================================================================================
"""

from __future__ import annotations

from typing import Any

from testbeds import biased_mnist, colored_mnist, corrupted_labels, echo_demo

__all__ = ["TESTBEDS"]

TESTBEDS: dict[str, Any] = {
    "biased_mnist": biased_mnist,
    "colored_mnist": colored_mnist,
    "corrupted_labels": corrupted_labels,
    "echo_demo": echo_demo,
}
