# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
import pytest

from monai_debias.data.frame_index import frame_index


def test_frame_index():
    assert [frame_index("middle", n) for n in (1, 2, 3, 30)] == [0, 1, 1, 15]
    assert frame_index(-2, 3) == 1
    with pytest.raises(ValueError, match="there are 3 frames"):
        frame_index(3, 3)
