# ruff: noqa: ARG001  # numba asks these functions for types; what they compute stands in "generate"
"""Sixteen sums at once, and the spikes among 64 bytes at once: what the compiler does not find by itself.

Each function is a few instructions of LLVM's portable vector types; LLVM makes them what the processor has.
Nothing checks bounds: the caller sees to it.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]  # numba brings it
from numba import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic

LANES = 16
"""Sums that are added at once: rows of weights are padded with zeros to a multiple of it."""
MASK_BITS = 64

_WORD = ir.IntType(64)
_SUMS = ir.VectorType(ir.IntType(32), LANES)
_WEIGHTS = ir.VectorType(ir.IntType(16), LANES)
_BYTES = ir.VectorType(ir.IntType(8), MASK_BITS)
_COPIED = ir.VectorType(ir.IntType(8), LANES)


def _vector_at(context: Any, builder: Any, array_type: Any, array: Any, index: Any, vector: Any) -> Any:
    """A pointer to a vector in a contiguous array of one dimension."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def _add(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    sums_type, _, weights_type, *_ = signature.args
    sums, at, weights, *starts = arguments
    target = _vector_at(context, builder, sums_type, sums, at, _SUMS)
    total = builder.load(target, align=4)
    for start in starts:
        row = builder.load(_vector_at(context, builder, weights_type, weights, start, _WEIGHTS), align=2)
        total = builder.add(total, builder.sext(row, _SUMS))
    builder.store(total, target, align=4)
    return context.get_dummy_value()


@intrinsic  # type: ignore[untyped-decorator]
def add_row(_context: Any, sums: Any, at: Any, weights: Any, start: Any) -> Any:
    """sums[at + j] += weights[start + j] for j < LANES; int32 and int16, both contiguous."""
    arguments = (sums, types.int64, weights, types.int64)
    return types.none(*arguments), _add


@intrinsic  # type: ignore[untyped-decorator]
def add_four_rows(_context: Any, sums: Any, at: Any, weights: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
    """As :func:`add_row` for the weights from a, b, c and d."""
    arguments = (sums, types.int64, weights, *4 * (types.int64,))
    return types.none(*arguments), _add


@intrinsic  # type: ignore[untyped-decorator]
def spike_mask(_context: Any, sent: Any, at: Any) -> Any:
    """uint64 whose bit j says whether sent[at + j] is not 0; uint8, contiguous."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, index = arguments
        place = _vector_at(context, builder, signature.args[0], array, index, _BYTES)
        found = builder.icmp_unsigned("!=", builder.load(place, align=1), ir.Constant(_BYTES, None))
        return builder.bitcast(found, _WORD)

    return types.uint64(sent, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def copy_bytes(_context: Any, to: Any, at: Any, sent: Any, start: Any) -> Any:
    """to[at + j] = sent[start + j] for j < LANES; uint8, both contiguous."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        target, place, source, first = arguments
        to_type, _, sent_type, _ = signature.args
        copied = builder.load(_vector_at(context, builder, sent_type, source, first, _COPIED), align=1)
        builder.store(copied, _vector_at(context, builder, to_type, target, place, _COPIED), align=1)
        return context.get_dummy_value()

    return types.none(to, types.int64, sent, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def lowest_bit(_context: Any, mask: Any) -> Any:
    """int64: the place of the lowest bit of a uint64 that is not 0."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(_WORD, [_WORD, ir.IntType(1)])
        count = get_or_insert_function(builder.module, kind, "llvm.cttz.i64")
        return builder.call(count, [arguments[0], ir.Constant(ir.IntType(1), 1)])

    return types.int64(types.uint64), generate
