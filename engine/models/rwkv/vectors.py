"""SIMD vectors as values inside numba code: what the blocked step needs, and no more.

They are plain LLVM vector instructions, so every target of LLVM can run them; only `WIDTH` is
chosen for the machine. Matrices and the activations they meet come in two kinds, told apart by
dtype, so that one source compiles to both precisions:

* ``float32`` weights and activations: a vector is one column of `WIDTH` rows;
* ``int8`` weights and ``int16`` activations: a vector is two neighbouring columns of `WIDTH` rows,
  and sums are ``int32``. LLVM knows the multiply-and-add of neighbours as ``vpdpwssd`` (AVX-512
  VNNI), ``vpmaddwd`` (SSE2, AVX2) or ``smlal`` (Neon).

Importing this module imports numba.
"""
# mypy: disable-error-code="untyped-decorator,no-untyped-call,misc"

from __future__ import annotations

from typing import Any, cast

import llvmlite.binding  # type: ignore[import-untyped]
from llvmlite import ir
from numba import config, extending, types
from numba.core import cgutils
from numba.extending import models, register_model

intrinsic: Any = extending.intrinsic


def _features() -> list[str]:
    """CPU features that numba compiles for, as ``+avx2``."""
    forced: str | None = cast(Any, config).CPU_FEATURES
    flags = forced or llvmlite.binding.get_host_cpu_features().flatten()
    return flags.split(",")


WIDTH = 16 if "+avx512bw" in _features() else 8 if "+avx2" in _features() else 4
"""float32 or int32 values in a vector, and rows of a panel of weights."""

COLUMNS = {"float32": 1, "int8": 2}
"""Columns that one vector of weights holds, by the dtype of the weights."""

_FLOAT, _SHORT, _INT = ir.FloatType(), ir.IntType(16), ir.IntType(32)


class _Vector(types.Type):
    """A numba type that is one LLVM vector."""

    def __init__(self, element: ir.Type, lanes: int) -> None:
        self.llvm = ir.VectorType(element, lanes)
        super().__init__(name=f"vector({lanes} x {element})")


@register_model(_Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: _Vector) -> None:
        super().__init__(manager, vector, vector.llvm)


_FLOATS = _Vector(_FLOAT, WIDTH)
_INTS = _Vector(_INT, WIDTH)
_SHORTS = _Vector(_SHORT, 2 * WIDTH)
_BYTES = ir.VectorType(ir.IntType(8), 2 * WIDTH)


def _is_float(array: types.Array) -> bool:
    return bool(array.dtype == types.float32)


def _at(
    context: Any, builder: ir.IRBuilder, array: types.Array, value: Any, index: Any, item: ir.Type
) -> Any:
    """The address ``index`` items into the data of ``array``."""
    data = context.make_array(array)(context, builder, value).data
    return builder.gep(builder.bitcast(data, item.as_pointer()), [index])


def _floats_at(
    context: Any, builder: ir.IRBuilder, array: types.Array, value: Any, index: Any
) -> Any:
    """The address of the vector that begins at float ``index`` of ``array``."""
    address = _at(context, builder, array, value, index, _FLOAT)
    return builder.bitcast(address, _FLOATS.llvm.as_pointer())


def _same(builder: ir.IRBuilder, scalar: Any) -> Any:
    """A vector of `WIDTH` times ``scalar``."""
    empty = ir.Constant(ir.VectorType(scalar.type, WIDTH), ir.Undefined)
    first = builder.insert_element(empty, scalar, _INT(0))
    return builder.shuffle_vector(first, empty, ir.Constant(ir.VectorType(_INT, WIDTH), None))


def _fused(builder: ir.IRBuilder, left: Any, right: Any, total: Any) -> Any:
    """``left * right + total`` of floats, in one instruction where there is one."""
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(_FLOATS.llvm, [_FLOATS.llvm] * 3),
        f"llvm.fmuladd.v{WIDTH}f32",
    )
    return builder.call(function, [left, right, total])


def _pairs(builder: ir.IRBuilder, left: Any, right: Any, total: Any) -> Any:
    """``left[2i] * right[2i] + left[2i + 1] * right[2i + 1] + total[i]``."""
    wide = ir.VectorType(_INT, 2 * WIDTH)
    products = builder.mul(builder.sext(left, wide), builder.sext(right, wide))
    even, odd = (
        builder.shuffle_vector(
            products,
            ir.Constant(wide, ir.Undefined),
            ir.Constant(ir.VectorType(_INT, WIDTH), list(range(first, 2 * WIDTH, 2))),
        )
        for first in (0, 1)
    )
    return builder.add(total, builder.add(even, odd))


@intrinsic(prefer_literal=True)
def no_sums(typing: Any, weights: types.Array, count: types.IntegerLiteral) -> Any:
    """A tuple of ``count`` vectors of sums for products with ``weights``, all 0."""
    kind = types.UniTuple(_FLOATS if _is_float(weights) else _INTS, count.literal_value)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        zero = ir.Constant(kind.dtype.llvm, None)
        return cgutils.pack_array(builder, [zero] * kind.count)

    return kind(weights, count), codegen


@intrinsic(prefer_literal=True)
def add_products(
    typing: Any,
    sums: types.UniTuple,
    panels: types.IntegerLiteral,
    weights: types.Array,
    first: types.Integer,
    units: types.Integer,
    inputs: types.Array,
    sequence: types.Integer,
    unit: types.Integer,
) -> Any:
    """Add one unit of columns of neighbouring panels, for neighbouring sequences.

    Each panel has ``units`` vectors; the first one's is vector ``first`` of ``weights``, and meets
    ``inputs[sequence, unit]``. Sums are ordered by sequence, and in it by panel.
    """
    floats, height = _is_float(weights), panels.literal_value
    stored = _FLOATS.llvm if floats else _BYTES
    item = _FLOAT if floats else _INT

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        totals, _, weights_value, vector, stride, inputs_value, row, column = args
        left = []
        for _ in range(height):
            address = _at(context, builder, weights, weights_value, vector, stored)
            loaded = builder.load(address, align=1)
            left.append(loaded if floats else builder.sext(loaded, _SHORTS.llvm))
            vector = builder.add(vector, stride)
        width = builder.extract_value(
            context.make_array(inputs)(context, builder, inputs_value).shape, 1
        )
        if not floats:
            width = builder.lshr(width, ir.Constant(width.type, 1))
        added = []
        for i, total in enumerate(cgutils.unpack_tuple(builder, totals)):
            if i % height == 0:
                at = builder.add(builder.mul(row, width), column)
                row = builder.add(row, ir.Constant(row.type, 1))
                address = _at(context, builder, inputs, inputs_value, at, item)
                right = _same(builder, builder.load(address, align=2))
            if floats:
                added.append(_fused(builder, left[i % height], right, total))
            else:
                pairs = builder.bitcast(right, _SHORTS.llvm)
                added.append(_pairs(builder, left[i % height], pairs, total))
        return cgutils.pack_array(builder, added)

    integers = (types.intp,) * 2
    signature = sums(sums, panels, weights, *integers, inputs, *integers)
    return signature, codegen


@intrinsic(prefer_literal=True)
def store_sums(
    typing: Any,
    sums: types.UniTuple,
    panels: types.IntegerLiteral,
    scales: types.Array,
    scale_row: types.Integer,
    input_scales: types.Array,
    out: types.Array,
    sequence: types.Integer,
    row: types.Integer,
) -> Any:
    """Write what `add_products` made to ``out[sequence:, row:]``.

    Integers are multiplied by the scales of their row and of their sequence before.
    """
    integers, height = sums.dtype.name == _INTS.name, panels.literal_value

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        totals, _, scales_value, scales_at, factors, out_value, b, first = args
        width = builder.extract_value(context.make_array(out)(context, builder, out_value).shape, 1)
        for i, total in enumerate(cgutils.unpack_tuple(builder, totals)):
            panel = ir.Constant(first.type, i % height * WIDTH)
            if integers:
                at = builder.add(scales_at, panel)
                rows = builder.load(_floats_at(context, builder, scales, scales_value, at), align=4)
                factor = builder.load(_at(context, builder, input_scales, factors, b, _FLOAT))
                rows = builder.fmul(rows, _same(builder, factor))
                total = builder.fmul(builder.sitofp(total, _FLOATS.llvm), rows)
            at = builder.add(builder.mul(b, width), builder.add(first, panel))
            builder.store(total, _floats_at(context, builder, out, out_value, at), align=4)
            if i % height == height - 1:
                b = builder.add(b, ir.Constant(b.type, 1))
        return context.get_dummy_value()

    at = types.intp
    signature = types.void(sums, panels, scales, at, input_scales, out, at, at)
    return signature, codegen


@intrinsic
def no_floats(typing: Any) -> Any:
    """`WIDTH` times 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(_FLOATS.llvm, None)

    return _FLOATS(), codegen


@intrinsic
def floats(typing: Any, array: types.Array, index: types.Integer) -> Any:
    """`WIDTH` floats from ``array[index:]`` on."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_floats_at(context, builder, array, *args), align=4)

    return _FLOATS(array, types.intp), codegen


@intrinsic
def store_floats(typing: Any, vector: _Vector, array: types.Array, index: types.Integer) -> Any:
    """Write ``vector`` to ``array[index:]``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, data, at = args
        builder.store(value, _floats_at(context, builder, array, data, at), align=4)
        return context.get_dummy_value()

    return types.void(vector, array, types.intp), codegen


@intrinsic
def scaled(typing: Any, vector: _Vector, scalar: types.Float) -> Any:
    """``vector * scalar``, of floats."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fmul(args[0], _same(builder, args[1]))

    return vector(vector, types.float32), codegen


@intrinsic
def scaled_add(typing: Any, vector: _Vector, scalar: types.Float, total: _Vector) -> Any:
    """``vector * scalar + total``, of floats."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _fused(builder, args[0], _same(builder, args[1]), args[2])

    return total(vector, types.float32, total), codegen


@intrinsic
def prefetch(typing: Any, array: types.Array, index: types.Integer) -> Any:
    """Ask for the cache line of float ``index`` of ``array``, to be written; any index is safe."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = builder.bitcast(
            _at(context, builder, array, args[0], args[1], _FLOAT), cgutils.voidptr_t
        )
        function = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, _INT, _INT, _INT]),
            "llvm.prefetch.p0",
        )
        write, keep, data = _INT(1), _INT(3), _INT(1)
        builder.call(function, [address, write, keep, data])
        return context.get_dummy_value()

    return types.void(array, types.intp), codegen
