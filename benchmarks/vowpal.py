"""Vowpal Wabbit as its Python package drives it: a text file, a cache, passes over the cache."""

import tempfile
from pathlib import Path

import numpy as np

from benchmarks import peers

BITS = 18
CONSTANT = 11650396 % (1 << BITS)  # where the intercept lies
RULES = {"sgd": "--sgd -l 0.5", "adagrad": "--adaptive -l 0.5"}


class Rows:
    """CSR rows with labels 0 and 1 as a file, for as long as this object lives."""

    def __init__(self, X, y) -> None:
        if X.shape[1] > CONSTANT:
            raise ValueError("a column would share its weight with the intercept")
        self.n_columns = X.shape[1]
        self.folder = tempfile.TemporaryDirectory()
        self.text = Path(self.folder.name, "rows.vw")
        with self.text.open("w") as file:
            for i, label in enumerate(y):
                entries = slice(X.indptr[i], X.indptr[i + 1])
                pairs = zip(X.indices[entries], X.data[entries], strict=True)
                features = " ".join(f"{column}:{value:.8g}" for column, value in pairs)
                file.write(f"{2 * label - 1} | {features}\n")

    def train(self, rule: str, alpha: float, passes: int) -> "Rows.Model":
        """The first pass writes the cache, so it falls out of a difference of fits."""
        return self.Model(
            peers.vowpalwabbit().Workspace(
                f"-d {self.text} -c -k --passes {passes} {RULES[rule]} --l2 {alpha} -b {BITS} "
                "--loss_function logistic --holdout_off --predict_only_model --quiet"
            ),
            self.n_columns,
        )

    class Model:
        def __init__(self, workspace, n_columns) -> None:
            self.coef_ = np.array([workspace.get_weight(j) for j in range(n_columns)])
            self.intercept_ = workspace.get_weight(CONSTANT)
            workspace.finish()
