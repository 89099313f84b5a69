"""Export to ONNX: importing this module registers the estimators' converters with skl2onnx.

`to_onnx` and `convert_sklearn` are skl2onnx's own; they convert the estimators, and pipelines and
other estimators that hold them.

The graph computes in float64 where its input is float64, else in float32; only the error function
of "gelu" is in float32 always, as onnxruntime has no other. Classifiers take skl2onnx's options
"zipmap", "nocl", "output_class_labels" and "raw_scores"; with a float64 input set "zipmap" to False
or "columns", as onnxruntime makes dictionaries of float32 only.

>>> from sklearn.datasets import load_iris
>>> from sklearn.pipeline import make_pipeline
>>> from sklearn.preprocessing import StandardScaler
>>> from skopt_est import LogisticRegression
>>> from skopt_est.onnx import to_onnx
>>> X, y = load_iris(return_X_y=True)
>>> pipe = make_pipeline(StandardScaler(), LogisticRegression(random_state=0)).fit(X, y)
>>> model = to_onnx(pipe, X[:1].astype("float32"), options={"zipmap": False})
>>> [output.name for output in model.graph.output]
['label', 'probabilities']
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from skopt_est import LinearRegression, LogisticRegression, MLPClassifier, MLPRegressor

try:
    from onnx import TensorProto
    from skl2onnx import convert_sklearn, to_onnx, update_registered_converter
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType
    from skl2onnx.common.shape_calculator import (
        calculate_linear_classifier_output_shapes,
        calculate_linear_regressor_output_shapes,
    )
    from skl2onnx.common.utils_classifier import get_label_classes
except ImportError as error:
    raise ImportError(
        f"skopt_est.onnx needs skl2onnx ({error}): pip install 'skopt-est[onnx]'"
    ) from error

__all__ = ["convert_sklearn", "to_onnx"]

Array = np.ndarray
# of torch, Keras and the paper (Klambauer et al. 2017)
SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
LEAKY_SLOPE = 0.01


class Graph:
    """Nodes of one converted estimator; operands and results are names, numbers or arrays."""

    def __init__(self, scope: Any, operator: Any, container: Any) -> None:
        self.scope, self.container = scope, container
        self.double = isinstance(operator.inputs[0].type, DoubleTensorType)
        self.real = TensorProto.DOUBLE if self.double else TensorProto.FLOAT
        self.input = operator.inputs[0].full_name
        if not isinstance(operator.inputs[0].type, DoubleTensorType | FloatTensorType):
            self.input = self.node("Cast", self.input, to=self.real)

    def node(self, op: str, *operands: Any, result: str | None = None, **attributes: Any) -> str:
        names = [x if isinstance(x, str) else self._constant(np.asarray(x)) for x in operands]
        result = result or self.scope.get_unique_variable_name(op.lower())
        name = self.scope.get_unique_operator_name(op)
        self.container.add_node(op, names, result, name=name, **attributes)
        return result

    def _constant(self, value: Array) -> str:
        name = self.scope.get_unique_variable_name("constant")
        if value.dtype.kind in "OU":
            kind, flat = TensorProto.STRING, [str(item).encode() for item in value.ravel()]
        elif value.dtype.kind == "f":
            kind, flat = self.real, value.ravel().tolist()
        else:
            kind, flat = TensorProto.INT64, value.ravel().tolist()
        self.container.add_initializer(name, kind, value.shape, flat)
        return name


def _erf(g: Graph, x: str) -> str:
    if not g.double:
        return g.node("Erf", x)
    single = g.node("Cast", x, to=TensorProto.FLOAT)
    return g.node("Cast", g.node("Erf", single), to=TensorProto.DOUBLE)


def _gelu(g: Graph, x: str) -> str:
    erf = _erf(g, g.node("Mul", x, np.sqrt(0.5)))
    return g.node("Mul", g.node("Mul", x, 0.5), g.node("Add", erf, 1.0))


def _elu(g: Graph, x: str) -> str:
    below = g.node("Sub", g.node("Exp", g.node("Min", x, 0.0)), 1.0)
    return g.node("Where", g.node("Greater", x, 0.0), x, below)


def _selu(g: Graph, x: str) -> str:
    below = g.node("Sub", g.node("Exp", g.node("Min", x, 0.0)), 1.0)
    below = g.node("Mul", below, SELU_ALPHA)
    return g.node("Mul", g.node("Where", g.node("Greater", x, 0.0), x, below), SELU_SCALE)


def _silu(g: Graph, x: str) -> str:
    # not x sigmoid(x): some versions of onnxruntime fuse that into a node without float64
    return g.node("Div", x, g.node("Add", g.node("Exp", g.node("Neg", x)), 1.0))


def _softplus(g: Graph, x: str) -> str:
    tail = g.node("Log", g.node("Add", g.node("Exp", g.node("Neg", g.node("Abs", x))), 1.0))
    return g.node("Add", g.node("Max", x, 0.0), tail)


ACTIVATIONS: dict[str, Callable[[Graph, str], str]] = {
    "identity": lambda g, x: x,
    "logistic": lambda g, x: g.node("Sigmoid", x),
    "tanh": lambda g, x: g.node("Tanh", x),
    "relu": lambda g, x: g.node("Relu", x),
    "leaky_relu": lambda g, x: g.node("Max", x, g.node("Mul", x, LEAKY_SLOPE)),
    "elu": _elu,
    "selu": _selu,
    "gelu": _gelu,
    "silu": _silu,
    "mish": lambda g, x: g.node("Mul", x, g.node("Tanh", _softplus(g, x))),
}


def _raw_prediction(g: Graph, est: Any) -> str:
    """The last layer's products, (n, outputs)."""
    if hasattr(est, "coefs_"):
        weights, intercepts, hidden = est.coefs_, est.intercepts_, est._activations
    else:
        W, b = est._get_coef()
        weights, intercepts, hidden = [W], [b], []
    z = g.input
    for W, b, name in zip(weights, intercepts, [*hidden, "identity"], strict=True):
        z = ACTIVATIONS[name](g, g.node("Gemm", z, W, b))
    return z


def _convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    g, est = Graph(scope, operator, container), operator.raw_operator
    log_link = est._loss in ("poisson", "gamma")
    f = _raw_prediction(g, est)
    g.node("Exp" if log_link else "Identity", f, result=operator.outputs[0].full_name)


def _convert_classifier(scope: Any, operator: Any, container: Any) -> None:
    g, est = Graph(scope, operator, container), operator.raw_operator
    options = container.get_options(est, dict(raw_scores=False))
    labels, scores = (output.full_name for output in operator.outputs)
    f = _raw_prediction(g, est)
    positive = g.node("Greater", f, 0.0)
    if est._multilabel:
        g.node("Cast", positive, result=labels, to=TensorProto.INT64)
        g.node("Identity" if options["raw_scores"] else "Sigmoid", f, result=scores)
        return
    if len(est.classes_) == 2:
        index = g.node("Reshape", g.node("Cast", positive, to=TensorProto.INT64), [-1])
        both = g.node("Concat", g.node("Neg", f), f, axis=1)
        g.node("Identity" if options["raw_scores"] else "Sigmoid", both, result=scores)
    else:  # of a single class: its softmax is one
        index = g.node("ArgMax", f, axis=1, keepdims=0)
        if options["raw_scores"]:
            g.node("Identity", f, result=scores)
        else:
            g.node("Softmax", f, result=scores, axis=1)
    g.node("Gather", _labels(get_label_classes(scope, est)), index, result=labels, axis=0)


def _labels(classes: Array) -> Array:
    """Class labels as ONNX knows them: integers (of booleans and whole floats, too) or strings."""
    return classes if classes.dtype.kind in "OU" else classes.astype(np.int64)


def _regressor_shapes(operator: Any) -> None:
    calculate_linear_regressor_output_shapes(operator)
    est, output = operator.raw_operator, operator.outputs[0]
    n_outputs = est.n_outputs_ if hasattr(est, "coefs_") else len(np.atleast_1d(est.intercept_))
    output.type.shape = [operator.inputs[0].get_first_dimension(), n_outputs]


def _classifier_shapes(operator: Any) -> None:
    calculate_linear_classifier_output_shapes(operator)
    if operator.raw_operator._multilabel:
        n = operator.inputs[0].get_first_dimension()
        shape = [n, len(operator.raw_operator.classes_)]
        operator.outputs[0].set_type(Int64TensorType(shape))


OPTIONS = {
    "zipmap": [True, False, "columns"],
    "nocl": [True, False],
    "output_class_labels": [False, True],
    "raw_scores": [True, False],
}
REGRESSOR = ("SkoptEstRegressor", _regressor_shapes, _convert_regressor)
CLASSIFIER = ("SkoptEstClassifier", _classifier_shapes, _convert_classifier)
update_registered_converter(LinearRegression, *REGRESSOR)
update_registered_converter(MLPRegressor, *REGRESSOR)
update_registered_converter(LogisticRegression, *CLASSIFIER, options=OPTIONS)
update_registered_converter(MLPClassifier, *CLASSIFIER, options=OPTIONS)
