# Copyright (c) monai-debias contributors
# SPDX-License-Identifier: Apache-2.0
"""What was saved by torch, verified before it is used.

``torch.load`` does not notice a changed byte in a tensor: a damaged model would still predict, a damaged image still be
trained with. The file is a ZIP archive with a checksum for each of its members, which Python's ``zipfile`` verifies.
"""

from __future__ import annotations

import io
import zipfile

__all__ = ["verified_archive"]


def verified_archive(content: bytes) -> io.BytesIO:
    """Verify what ``torch.save`` wrote, and open it for ``torch.load``.

    Args:
        content: all bytes of the file.

    Raises:
        zipfile.BadZipFile: when it is not such an archive, or is cut short.
        ValueError: when a checksum is wrong.

    Example:
        >>> verified_archive(b"")
        Traceback (most recent call last):
        zipfile.BadZipFile: File is not a zip file
    """
    opened = io.BytesIO(content)
    with zipfile.ZipFile(opened) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise ValueError(f"the checksum of {damaged} is wrong.")
    opened.seek(0)
    return opened
