# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""Arrays of NumPy as stills and clips: their values, their axes, and what is refused."""

from __future__ import annotations

# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
import gc
import pickle
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from monai_debias.data import FileReadError
from tests.data.formats.clips import CLIP
from tests.data.image_files import GREY, load


def test_threads_do_not_disturb_each_other(tmp_path):
    np.save(tmp_path / "a.npy", GREY)

    def read(depth: int) -> int:
        return read(depth - 1) if depth else sum(load(tmp_path / "a.npy")[0].shape == GREY.shape for _ in range(200))

    def change_threads(phase: str, info: dict) -> None:
        time.sleep(0)

    often, seldom = 3, gc.get_threshold()
    gc.callbacks.append(change_threads)  # in the middle of whatever a thread does
    gc.set_threshold(often)
    try:
        with ThreadPoolExecutor(2) as threads:
            assert list(threads.map(read, [0, 5])) == [200, 200]
    finally:
        gc.set_threshold(*seldom)
        gc.callbacks.remove(change_threads)


def test_float_and_bool_npy_keep_their_values(tmp_path):
    np.save(tmp_path / "f.npy", GREY / 255)
    np.testing.assert_array_equal(load(tmp_path / "f.npy")[0], GREY / 255)
    np.save(tmp_path / "b.npy", GREY > 100)
    np.testing.assert_array_equal(load(tmp_path / "b.npy")[0], GREY > 100)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([{"a": 1}], dtype=object), "pickle"),
        (np.zeros((4, 5, 6, 7)), r"shape \(4, 5, 6, 7\), expected \(rows, columns\)"),
        (np.zeros((0, 5)), "shape"),
        (np.full((4, 5), np.nan), "NaN"),
        (np.array([["a"]]), "expected numbers"),
        (np.zeros((4, 5), dtype=complex), "expected numbers"),
    ],
)
def test_bad_npy(tmp_path, array, message):
    np.save(tmp_path / "bad.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=rf"bad\.npy: .*{message}"):
        load(tmp_path / "bad.npy")


def test_pickle_named_npy_is_not_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "exploded"), "w"))

    (tmp_path / "bomb.npy").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(ValueError, match="pickle"):
        load(tmp_path / "bomb.npy")
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    "array",
    [CLIP, CLIP[..., None], np.asfortranarray(CLIP), CLIP.astype(">u2"), np.stack([CLIP] * 3, axis=-1)],
    ids=["frames first", "one channel", "fortran", "big endian", "colours"],
)
def test_npy_clip(tmp_path, array):
    np.save(tmp_path / "clip.npy", array)
    loaded, meta = load(tmp_path / "clip.npy")
    np.testing.assert_array_equal(loaded, CLIP.transpose(1, 2, 0))
    assert meta["n_frames"] == 40
    np.testing.assert_array_equal(load(tmp_path / "clip.npy", frames="middle")[0], CLIP[20])


@pytest.mark.parametrize(
    ("shape", "other"),
    [
        ((48, 64, 40), r"\(rows, columns, frames\)"),
        ((112, 112, 200), r"\(rows, columns, frames\)"),
        ((112, 112, 112), r"\(rows, columns, frames\)"),
        ((48, 64, 1), r"\(rows, columns, frames\)"),
        ((3, 48, 64), r"\(3, rows, columns\)"),
    ],
)
def test_npy_whose_axes_may_be_two_things_is_refused(tmp_path, shape, other):
    np.save(tmp_path / "a.npy", np.zeros(shape, np.uint8))
    with pytest.raises(FileReadError, match=rf"a\.npy: has shape .*may be \(frames, rows, columns\) or {other}.*Save"):
        load(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.zeros((*shape, 1), np.uint8))  # what the message advises
    assert load(tmp_path / "a.npy")[0].shape == (*shape[1:], shape[0])


def test_npy_with_a_bad_value_in_one_frame(tmp_path):
    clip = CLIP.astype(np.float32)
    clip[7, 0, 0] = np.nan
    np.save(tmp_path / "a.npy", clip)
    assert load(tmp_path / "a.npy", frames="middle")[0].shape == (48, 64)
    with pytest.raises(FileReadError, match=r"a\.npy: has values that are NaN"):
        load(tmp_path / "a.npy")
