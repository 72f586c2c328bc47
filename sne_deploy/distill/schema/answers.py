"""``students.answers``: the teacher's answers to augmented samples."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from sne_deploy.distill.schema.base import Model

MOST = 1000
"""Versions of every sample: of 50,000 with 128 features a version's answers take 28 MB."""


class AnswersModel(Model):
    """Students see each training sample once in an epoch, augmented, with the teacher's answer to that image.

    ``copies``: versions of every sample, of which an epoch shows one after the other; the teacher answers
    each once, before the first epoch that shows it. Answers are kept in memory and in the work folder;
    images are made anew in every batch. ``fresh``: instead, no image is shown twice, and the teacher answers
    in every step (Beyer et al. 2022, "Knowledge distillation: A good teacher is patient and consistent",
    CVPR, 10915-10924, who find that teacher and student should see the same image, and for long): best on a
    GPU, and dear on a processor.
    """

    copies: Annotated[int, Field(ge=1, le=MOST)] | None = None
    fresh: bool = False

    @model_validator(mode="after")
    def _one_of_both(self) -> AnswersModel:
        if (self.copies is None) != self.fresh:
            raise ValueError("give either copies or fresh = true")
        return self
