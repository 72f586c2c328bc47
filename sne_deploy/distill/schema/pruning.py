"""Pruning in an experiment file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sne_deploy.distill.schema.base import Model, Part, Positive


class PruningModel(Model):
    r"""Weights that become exactly 0, ever more of them, while each student is trained by itself.

    From a part ``start`` to a part ``end`` of the training with spikes, every ``every`` steps, with progress
    p, up to

    .. math:: s(p) = S \Bigl[ 1 - \Bigl( 1 - \frac{p - start}{end - start} \Bigr)^3 \Bigr]

    (Zhu and Gupta 2017, To prune, or not to prune, arXiv:1710.01878). What is 0 stays 0, also when students
    are trained together and with quantised weights.

    ``by`` magnitude: the smallest weights of each layer. ``sparsity`` S: the part of a layer's weights that
    goes in the end. ``first``, ``last``: how much of it the first map and the last one have; ``first`` left
    out is 0 where that map runs on the host, and 1 where it is synapses, of spikes; ``last`` left out is 0.7.
    ``by`` synops: of all layers together, those that do least for each synaptic operation that they cost, see
    :mod:`sne_deploy.distill.students.synapse_costs`. ``sparsity``: the part of the operations that goes in
    the end; or ``operations``, instead: of a sample that are to be left then. As many spikes come as do when
    it is pruned; what training does to them later is not known. ``structure`` neurons: of ``by`` synops,
    whole channels of neurons instead of single weights, which are then left out of the model.
    """

    by: Literal["magnitude", "synops"] = "magnitude"
    sparsity: Annotated[float, Field(gt=0, lt=1)] | None = None
    structure: Literal["weights", "neurons"] = "weights"
    operations: Annotated[float, Field(gt=0)] | None = None
    start: Part = 0.1
    end: Part = 0.6
    every: Positive = 40
    first: Part | None = None
    last: Part | None = None

    @model_validator(mode="after")
    def _in_order(self) -> PruningModel:
        if self.start >= self.end:
            raise ValueError(f"start {self.start:g} must be below end {self.end:g}")
        if self.by == "magnitude" and self.sparsity is None:
            raise ValueError("sparsity is missing: the part of the weights that is to be 0, such as 0.8")
        if self.by == "magnitude" and self.structure == "neurons":
            raise ValueError("structure 'neurons' is of by 'synops': set by to it, or leave structure out")
        if self.by == "magnitude" and self.operations is not None:
            raise ValueError("operations is of by 'synops' alone; take sparsity, or set by to 'synops'")
        if self.by == "synops" and (self.sparsity is None) == (self.operations is None):
            raise ValueError("by 'synops' takes one of sparsity and operations")
        if self.by == "synops" and (self.first is not None or self.last is not None):
            raise ValueError(
                "first and last are of by 'magnitude'; 'synops' compares all layers: leave them out"
            )
        return self

    def part_of(self, operations: float) -> float:
        """What part of so many operations is to go in the end."""
        if self.operations is None:
            return self.sparsity or 0.0
        return max(0.0, 1.0 - self.operations / operations) if operations else 0.0

    def share(self, progress: float) -> float:
        """What part of the final sparsity is due, in [0, 1]."""
        done = (progress - self.start) / (self.end - self.start)
        return 1.0 - (1.0 - min(1.0, max(0.0, done))) ** 3
