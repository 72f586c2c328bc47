"""A file of plain JSON values and arrays: an uncompressed ``.npz`` whose entry ``document`` is the JSON.

Nothing else is taken from it, nothing of it is run; what is damaged is found by the checksums of its entries.
A file that must be as it was written, to the bit, has a seal: an entry that follows from all others.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sne_deploy.data.npz import opened_npz, read_entry
from sne_deploy.errors import CheckpointError
from sne_deploy.files import atomic_path
from sne_deploy.frontend.compiled_file.codec import Array, Arrays

MAX_ENTRIES = 1_000_000
MAX_DOCUMENT_BYTES = 64 * 2**20
Seal = Callable[[Arrays], str]
"""Of the document's bytes and every array."""


def write_container(
    path: str | os.PathLike[str],
    document: Mapping[str, Any],
    arrays: Mapping[str, Array],
    *,
    sort_keys: bool = False,
    seal: Seal | None = None,
) -> None:
    """Write a file whole, or not at all; the same content gives the same bytes.

    ``sort_keys``: whether the order of keys means nothing, and is not kept; ``seal``: gives its seal.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    text = json.dumps(document, indent=1, sort_keys=sort_keys, allow_nan=False)
    entries = {**arrays, "document": np.frombuffer(text.encode(), dtype=np.uint8)}
    if seal is not None:
        entries["seal"] = np.frombuffer(seal(entries).encode(), dtype=np.uint8)
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name in sorted(entries):
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.ascontiguousarray(entries[name]), allow_pickle=False)


def read_container(
    path: Path, kind: str, version: int, keys: tuple[str, ...], remedy: str, seal: Seal | None = None
) -> tuple[dict[str, Any], Arrays]:
    """The document, and every array by its name.

    Parameters
    ----------
    path : path
    kind, version : str, int
        What the document must have as ``format`` and ``version``.
    keys : tuple of str
        All that it holds beside these.
    remedy : str
        For messages.
    seal : callable, optional
        What gives the seal that the file must have.

    Raises
    ------
    CheckpointError
        Another format or version; something is missing, or too much; another seal.
    DataError
        Missing, damaged, or too large.
    """
    with opened_npz(path, MAX_ENTRIES, remedy) as archive:
        entries = archive.infolist()
        packed = next(
            (entry.filename for entry in entries if entry.compress_type != zipfile.ZIP_STORED), None
        )
        if packed is not None:
            raise CheckpointError(f"{packed[:80]!r} is compressed, arrays are stored as they are")
        names = {entry.filename.removesuffix(".npy"): entry for entry in entries}
        if "document" not in names or names["document"].file_size > MAX_DOCUMENT_BYTES:
            raise CheckpointError(f"there is no document of at most {MAX_DOCUMENT_BYTES} bytes")
        arrays = {name: read_entry(path, archive, entry) for name, entry in names.items()}
    if seal is not None:
        mark = arrays.pop("seal", np.empty(0)).tobytes()
        if mark != seal(arrays).encode():
            raise CheckpointError("not as it was written, or of another run")
    try:
        document = json.loads(arrays.pop("document").tobytes())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"the document is not JSON: {' '.join(str(error).split())[:120]}") from None
    if not isinstance(document, dict) or document.get("format") != kind:
        raise CheckpointError(f"not of format {kind!r}")
    found = document.get("version")
    if found != version:
        raise CheckpointError(f"format version {str(found)[:40]}; this sne-deploy knows {version}")
    if {*document} != {"format", "version", *keys}:
        raise CheckpointError(f"the document must hold format, version, {' and '.join(keys)}")
    return document, arrays
