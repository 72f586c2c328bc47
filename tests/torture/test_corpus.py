"""Every input that has broken something: corpus/KIND/NAME."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sne_deploy.errors import SneError
from tests.torture.files.readers import readers

CORPUS = Path(__file__).with_name("corpus")


@pytest.fixture(scope="module")
def known():
    return readers()


@pytest.mark.parametrize(
    "file", sorted(CORPUS.glob("*/*")), ids=lambda file: f"{file.parent.name}-{file.name}"
)
def test_what_broke_is_refused_in_one_line(known, file, tmp_path):
    name, read = known[file.parent.name.replace("_", " ")]
    path = shutil.copyfile(file, tmp_path / name)
    with pytest.raises(SneError) as raised:
        read(path)
    assert str(raised.value).isprintable()
