# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What a user who types a wrong command reads, and that a bug still shows its traceback."""

from __future__ import annotations

import io
import os
import runpy
import shlex
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest

import monai_debias
from monai_debias import __main__ as command_line
from monai_debias.apps.ecg.cohorts.build import ecg_commands
from monai_debias.apps.radiography.cohorts.build import chest_commands
from monai_debias.command_line.typed_words import command_in, refuse_mistakes


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["monai_debias", *map(str, arguments)])
    command_line.main()


@pytest.fixture
def folder(tmp_path):
    """Two classes of one file each."""
    for view in ("A2C", "A4C"):
        (tmp_path / view).mkdir()
        np.save(tmp_path / view / "p1_0.npy", np.zeros((8, 8), np.uint8))
    (tmp_path / "datalist.json").write_text("no JSON")
    (tmp_path / "table.csv").write_bytes(b"\xff\xfe")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("datalist", "folder", "{0}/gone"), "gone does not exist"),
        (("datalist", "folder", "{0}"), "pass overwrite=True (--overwrite) to replace it"),
        (("datalist", "folder", "{0}", "--seed", "many"), "seed is 'many', expected an integer"),
        (("datalist", "folder", "{0}", "--overwrite"), "2 of 2 files have no Patient ID"),
        (
            ("datalist", "folder", "{0}", "--overwrite", "--patient_regex", "(p"),
            "not a regular expression: missing",
        ),
        (("datalist", "folder", "{0}", "--overwrite", "--patient_regex", "(p1)", "--test_fraction", "2"), "in (0, 1)"),
        (("datalist", "tmed2", "{0}/A2C", "{0}/gone"), "gone does not exist"),
        (("demo-data", "echo", "{0}/new", "--bias", "5"), "bias is 5, expected a number in [0.25, 1]"),
        (("demo-data", "echo", "{0}"), "is not an empty directory"),
        (("demo-data", "echo", "{0}/new", "--bais", "0.5"), "there is no option --bais; did you mean --bias?"),
        (
            ("bundles", "copy", "ecg", "{0}/new", "--quite=1"),
            "there is no option --quite; choose from --name, --folder.",
        ),
        (("bundles", "copy", "ecg", "{0}/table.csv/new"), "table.csv/new: Not a directory"),
        (("chek", "{0}"), "there is no command chek; did you mean check?"),
        (("datalist", "cheXpert", "{0}"), "there is no command datalist cheXpert; did you mean chexpert?"),
        (("--verbose",), "there is no command --verbose; choose from audit, bundles"),
        (("bundles", "copy", "ecg"), "bundles copy needs FOLDER; see monai-debias bundles copy --help"),
        (("bundles", "copy", "--folder", "{0}/new"), "bundles copy needs NAME; see"),
        (("bundles", "copy", "ecg", "{0}/new", "films"), "bundles copy has no use for 'films'; put a path with spaces"),
        (("doctor", "who"), "doctor has no use for 'who'"),
        (("check", "{0}"), "is not valid JSON"),
        (("check", "{0}/A2C"), "monai-debias datalist folder"),
        (("sectors", "{0}/gone", "{0}/out"), "gone"),
        (("sectors", "{0}/A2C", "{0}/out", "--mask", "{0}/table.csv"), "table.csv"),
    ],
)
def test_what_a_user_can_mend_is_one_line_and_exit_code_2(folder, monkeypatch, capsys, arguments, said):
    with pytest.raises(SystemExit) as end:
        run(monkeypatch, *(argument.format(folder) for argument in arguments))
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") or "\nerror: " in error  # after what was logged
    assert said in error
    assert "Traceback" not in error
    assert not (folder / "new").exists()


@pytest.mark.parametrize(
    "bug", [lambda datalist: np.ones(2) + np.ones(3), lambda datalist: int("x"), lambda datalist: {}["key"]]
)
def test_a_bug_keeps_its_traceback(monkeypatch, bug):
    monkeypatch.setitem(command_line.COMMANDS, "check", bug)
    with pytest.raises((ValueError, KeyError)):
        run(monkeypatch, "check", "data")


def test_a_warning_is_one_line_without_code(folder, monkeypatch):
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)  # restored in the end
    monkeypatch.setattr(sys, "argv", ["monai_debias", "check", str(folder)])
    with pytest.raises(SystemExit):
        runpy.run_module("monai_debias", run_name="__main__")
    assert warnings.formatwarning("a.dcm: odd", UserWarning, "code.py", 1) == "warning: a.dcm: odd\n"


def test_without_words_it_lists_every_command_with_examples(monkeypatch, capsys):
    for words in ((), ("--help",)):
        run(monkeypatch, *words)
        said = capsys.readouterr().out
        for name, command in command_line.COMMANDS.items():
            assert f"  {name}" in said
            assert all(f"  {name} {part} " in said for part in command) if isinstance(command, dict) else True
        assert "Examples:" in said


def test_each_command_has_an_example_that_it_would_run():
    commands = {}
    for name, command in command_line.COMMANDS.items():
        commands |= {f"{name} {part}": one for part, one in command.items()} if isinstance(command, dict) else {name: 0}
    public = {f"datalist {name}" for name in (*chest_commands(), *ecg_commands())}
    assert set(command_line.EXAMPLES) == set(commands) - public
    for name, lines in command_line.EXAMPLES.items():
        for line in lines:
            program, *words = shlex.split(line)
            assert (program, " ".join(command_in(words, command_line.COMMANDS))) == ("monai-debias", name)
            refuse_mistakes(words, command_line.COMMANDS)


def test_help_has_the_examples_and_types_that_a_user_can_read(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, "audit", "--help")
    said = "".join(capsys.readouterr())
    assert all(line in said for line in command_line.EXAMPLES["audit"])
    assert "Type: Optional[str]\n" in said


def test_a_group_with_a_list_is_that_list(monkeypatch, capsys):
    run(monkeypatch, "bundles")
    assert any(line.startswith("echo_view ") for line in capsys.readouterr().out.splitlines())


def test_its_version(monkeypatch, capsys):
    run(monkeypatch, "--version")
    assert capsys.readouterr().out.strip() == monai_debias.__version__


@pytest.mark.parametrize(
    "words", [("demo-data", "echo", "{0}/new"), ("bundles", "copy", "ecg", "{0}/new"), ("doctor",)]
)
def test_help_is_shown_and_nothing_is_done_whatever_else_is_typed(folder, monkeypatch, capsys, words):
    with pytest.raises(SystemExit) as end:
        run(monkeypatch, *(word.format(folder) for word in words), "--help")
    assert end.value.code in (None, 0)
    said = "".join(capsys.readouterr())
    assert f"monai-debias {' '.join(words[:2])}" in said
    assert not (folder / "new").exists()


def test_debug_shows_where_an_error_came_from(folder, monkeypatch):
    with pytest.raises(ValueError, match="is not valid JSON"):
        run(monkeypatch, "check", folder, "--debug")


def test_bash_completes_commands_and_options(monkeypatch, capsys):
    run(monkeypatch, "--", "--completion")
    script = capsys.readouterr().out
    for words, expected in ((["da"], "datalist"), (["bundles", "c"], "copy"), (["check", "--sec"], "--section")):
        typed = f"COMP_WORDS=(monai-debias {' '.join(words)}); COMP_CWORD={len(words)}; _complete-monai-debias"
        shell = ["bash", "-c", f'{script}\n{typed}; echo "${{COMPREPLY[*]}}"']
        assert subprocess.check_output(shell, text=True).split() == [expected]


@pytest.mark.parametrize(
    ("command", "said"),
    [("masks", "interrupted; the same command goes on where it was\n"), ("doctor", "interrupted\n")],
)
def test_an_interruption_is_one_line(monkeypatch, capsys, command, said):
    monkeypatch.setitem(command_line.COMMANDS, command, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(SystemExit) as stopped:
        run(monkeypatch, command)
    assert stopped.value.code == 130
    assert capsys.readouterr().err == said


def test_whoever_reads_the_output_may_stop(monkeypatch, capsys):
    reads, writes = os.pipe()
    os.close(reads)
    with os.fdopen(writes, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        with pytest.raises(SystemExit) as stopped:
            run(monkeypatch)
    assert stopped.value.code == 141
    assert not capsys.readouterr().err


def test_a_letter_that_the_terminal_lacks_is_no_error(monkeypatch):
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setitem(command_line.COMMANDS, "doctor", lambda: "p ≤ 0.01")
    run(monkeypatch, "doctor")
    assert terminal.buffer.getvalue() == b"p \\u2264 0.01\n"
