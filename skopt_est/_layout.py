"""Where weights and intercepts lie in the flat parameter array.

``theta = [all weights | all intercepts]``; the weights of a layer are input-major (inputs,
outputs), so that the parameters of one feature, which is what a sparse step touches, are
contiguous. A linear model is the case of no hidden layer.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np


class Layout:
    """Parameters of a network with these numbers of units, input and output included."""

    def __init__(self, *units: int) -> None:
        self.units = units
        self.shapes = list(pairwise(units))
        self.n_weights = sum(rows * columns for rows, columns in self.shapes)
        self.size = self.n_weights + sum(units[1:])

    def weights(self, theta: np.ndarray) -> list[np.ndarray]:
        """Views of each layer's weights, (inputs, outputs)."""
        ends = np.cumsum([rows * columns for rows, columns in self.shapes])
        parts = np.split(theta[: self.n_weights], ends[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def intercepts(self, theta: np.ndarray) -> list[np.ndarray]:
        """Views of each layer's intercepts, (outputs,)."""
        return np.split(theta[self.n_weights :], np.cumsum(self.units[1:])[:-1])
