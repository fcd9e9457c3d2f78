"""Decodes the RaBitQ codes of FAISS, which itself decodes only the first bit of each dim.

A code has the first bits of all dims; two factors, or three if there are more bits; the other bits, lowest first; and their
two factors. The layout is that of faiss/impl/RaBitQUtils.h in the pinned version.
"""
import numpy as np

FLOAT = 4


def floats(codes, at):
    """float32 [n]: the number at this byte of each code."""
    return np.ascontiguousarray(codes[:, at:at + FLOAT]).view(np.float32)[:, 0]


def integers(packed, dim, bits):
    """float32 [n][dim] of integers of so many bits."""
    unpacked = np.unpackbits(packed, axis=1, count=dim * bits, bitorder='little').reshape(-1, dim, bits)
    return unpacked @ (1 << np.arange(bits)).astype(np.float32)


def quotients(numbers, by):
    """numbers / by, and 0 for a row without a residual, whose factors are 0."""
    return np.divide(numbers, by, out=np.zeros_like(numbers), where=by != 0)


def residuals(codes, dim, bits):
    """float32 [n][dim]: what is decoded less the mean, still rotated. codes: uint8 [n][code bytes], of metric L2.

    The factors have the length of a row's residual and its product with the decoded direction. RaBitQ's estimates of
    distances need an unbiased length; the length here is the one of least error, the projection.
    """
    first, more = -(-dim // 8), -(-dim * (bits - 1) // 8)
    directions = integers(codes[:, :first], dim, 1) - 0.5
    if bits == 1:
        squares, multipliers = floats(codes, first), floats(codes, first + FLOAT)
        products = quotients(squares, multipliers) * np.sqrt(dim) / 2
    else:
        at = first + 3 * FLOAT
        directions = directions * 2 ** (bits - 1) + integers(codes[:, at:at + more], dim, bits - 1) + 0.5 - 2 ** (bits - 2)
        squares, multipliers = floats(codes, at + more), floats(codes, at + more + FLOAT)
        products = -2 * quotients(squares, multipliers)
    return directions * (products / np.sum(directions ** 2, axis=1))[:, None]
