"""One fresh process of `fixed`: prints milliseconds as JSON; imports nothing before its time."""

import importlib
import json
import statistics
import sys
import time
import warnings


def milliseconds(call) -> float:
    start = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - start)


def theirs() -> None:
    for name in ("sklearn.linear_model", "sklearn.neural_network"):
        importlib.import_module(name)


def imports() -> dict[str, float]:
    return {
        "theirs": milliseconds(theirs),
        "ours": milliseconds(lambda: importlib.import_module("skopt_est")),
    }


def fits(case: str, library: str) -> dict[str, float]:
    theirs()
    if library == "skopt_est":
        importlib.import_module(library)
    import numpy as np

    large = case == "large network"
    n, d = (20_000, 100) if large else (100, 10)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d), dtype=np.float32)
    y = (X[:, 0] > 0).astype(int)
    if case == "linear":
        module = "sklearn.linear_model" if library == "sklearn" else library
        params = {"max_iter": 100}
        if library == "skopt_est":
            params["solver"] = "lbfgs"
        model = importlib.import_module(module).LogisticRegression(**params)
    else:
        module = "sklearn.neural_network" if library == "sklearn" else library
        params = {"max_iter": 1, "batch_size": 1024} if large else {"max_iter": 20}
        hidden = (256, 256, 256) if large else (100,)
        model = importlib.import_module(module).MLPClassifier(hidden, random_state=0, **params)
    first = milliseconds(lambda: model.fit(X, y))
    later = [milliseconds(lambda: model.fit(X, y)) for _ in range(1 if large else 20)]
    return {"first": first, "later": statistics.median(later)}


class Silent:
    """A callback that asks for nothing and does nothing."""

    def setup(self, estimator, context):
        pass

    teardown = on_fit_task_begin = on_fit_task_end = setup


def callbacks(epochs: int = 2000) -> dict[str, float]:
    """Microseconds an epoch: of all of it on 100 rows, of the part that looks whether somebody is
    to be told, and of telling a callback that does nothing."""
    import numpy as np

    from skopt_est import LogisticRegression
    from skopt_est._trainer import Trainer

    X = np.random.default_rng(0).standard_normal((100, 10))
    y = (X[:, 0] > 0).astype(int)

    def fit(n, *callbacks):
        model = LogisticRegression(max_iter=n, tol=0, n_iter_no_change=10**9, random_state=0)
        model.set_callbacks(*callbacks).fit(X, y)

    def an_epoch(*callbacks):
        times = [milliseconds(lambda n=n: fit(n, *callbacks)) for n in (epochs, 2 * epochs)]
        return 1000 * (times[1] - times[0]) / epochs

    fit(1)
    trainer = object.__new__(Trainer)
    trainer.tasks = None

    def look():
        for _ in range(epochs):
            trainer.begin_task()
            trainer.end_task(True)

    plain = an_epoch()
    looking = 1000 * milliseconds(look) / epochs
    return {"epoch": plain, "look": looking, "tell": an_epoch(Silent()) - plain}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    whole = {"import": imports, "callbacks": callbacks}.get(sys.argv[1])
    print(json.dumps(whole() if whole else fits(*sys.argv[1:])))
