"""From a file, or a document, to the class that holds its parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sne_deploy.errors import CheckpointError, InputError
from sne_deploy.model.checkpoint.archive import read_archive
from sne_deploy.model.checkpoint.contents import read_contents
from sne_deploy.model.checkpoint.document import parse_document, parts_of
from sne_deploy.model.checkpoint.validate import validate

if TYPE_CHECKING:
    from pathlib import Path

    from sne_deploy.model.ensemble import Ensemble


def read_model(where: object, path: Path, make: type[Ensemble]) -> Ensemble:
    """Read a file that messages call ``where``; see :func:`sne_deploy.model.checkpoint.load_checkpoint`."""
    return checked(where, read_contents(where, read_archive(where, path)), make)


def checked(where: object, plain: Any, make: type[Ensemble]) -> Ensemble:
    """The Ensemble that a document says.

    Raises
    ------
    CheckpointError
        It does not fit the schema, or its parts do not fit each other.
    """
    document = parse_document(where, plain)
    try:
        ensemble = make(**parts_of(document))
        validate(where, ensemble)
    except CheckpointError:
        raise
    except InputError as error:
        raise CheckpointError(f"{where}: {error}") from error
    return ensemble
